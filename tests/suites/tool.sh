#!/usr/bin/env bash
# the brkmap tool
set -u
. tests/lib.sh
need_linker
need strace strace
cargo_test -p brkmap-tool
