#!/usr/bin/env bash
# the core over the simulated system under Miri, both borrow models
set -u
. tests/lib.sh
need_linker
need_nightly miri rust-src
# The models run side by side, each with a target directory of its own: Miri uses one processor.
miri() {
  CARGO_TARGET_DIR=$BRKMAP_TARGET/$1 MIRIFLAGS=$2 cargo +nightly miri test -p brkmap --lib -- --show-output
}
mkdir -p "$BRKMAP_TARGET/test-logs"
trees=$BRKMAP_TARGET/test-logs/miri-trees.log
# Inside of large structures the trees do not tell cells from the rest, which takes half of the time; the stacks do.
miri miri-trees "-Zmiri-permissive-provenance -Zmiri-tree-borrows -Zmiri-tree-borrows-no-precise-interior-mut" >"$trees" 2>&1 &
other=$!
code=0
echo "# Stacked Borrows"
miri miri "-Zmiri-permissive-provenance" || code=1
wait "$other" || code=1
echo "# Tree Borrows"
cat "$trees"
exit $code
