#!/usr/bin/env bash
# operation sequences against a shadow model
set -u
. tests/lib.sh
need_linker
[ "$BRKMAP_FULL" = 1 ] && export PROPTEST_CASES=5000
cargo_test -p brkmap-tests --test property
