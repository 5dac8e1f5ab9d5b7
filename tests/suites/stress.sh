#!/usr/bin/env bash
# many threads, every block's content checked, both fronts
set -u
. tests/lib.sh
need_linker
cargo_test -p brkmap-tests --test stress
