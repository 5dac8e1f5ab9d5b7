#!/usr/bin/env bash
# the unit tests beside the allocator's code
set -u
. tests/lib.sh
need_linker
cargo_test -p brkmap
