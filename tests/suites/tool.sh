#!/usr/bin/env bash
# the brkmap tool
set -u
. tests/lib.sh
need_linker
need strace strace
want python3 python3
want perl perl
want gcc gcc
cargo_test -p brkmap-tool
