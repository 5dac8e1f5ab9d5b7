#!/usr/bin/env bash
# the core over the simulated system under Miri, both borrow models
set -u
. tests/lib.sh
need_linker
need_nightly miri rust-src
export CARGO_TARGET_DIR=$BRKMAP_TARGET/miri
miri() { cargo +nightly miri test -p brkmap --lib "$@" -- --show-output; }
code=0
echo "# Stacked Borrows"
miri || code=1
echo "# Tree Borrows"
MIRIFLAGS="-Zmiri-tree-borrows" miri || code=1
exit $code
