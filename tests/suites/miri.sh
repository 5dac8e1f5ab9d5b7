#!/usr/bin/env bash
# the core over the simulated system under Miri: each test by one borrow model, with --full by both
set -u
. tests/lib.sh
need_linker
need_nightly miri rust-src
# The models run side by side, each with a target directory of its own: Miri uses one processor.
# miri FOLDER FLAGS TEST…
miri() {
  local folder=$1 flags=$2
  shift 2
  CARGO_TARGET_DIR=$BRKMAP_TARGET/$folder MIRIFLAGS=$flags cargo +nightly miri test -p brkmap --lib -- --show-output --exact "$@"
}
# By turns, so that tests of one module, which have much in common, meet both models.
mapfile -t tests < <(cargo test -q -p brkmap --lib -- --list --format terse | sed -n 's/: test$//p')
[ ${#tests[@]} -gt 0 ] || { echo "no tests are listed"; exit 1; }
stacks=() trees=()
for at in "${!tests[@]}"; do
  if [ "$BRKMAP_FULL" = 1 ] || [ $((at % 2)) = 0 ]; then stacks+=("${tests[at]}"); fi
  if [ "$BRKMAP_FULL" = 1 ] || [ $((at % 2)) = 1 ]; then trees+=("${tests[at]}"); fi
done
mkdir -p "$BRKMAP_TARGET/test-logs"
log=$BRKMAP_TARGET/test-logs/miri-trees.log
# Inside of large structures the trees do not tell cells from the rest, which takes half of the time; the stacks do.
miri miri-trees "-Zmiri-permissive-provenance -Zmiri-tree-borrows -Zmiri-tree-borrows-no-precise-interior-mut" \
  "${trees[@]}" >"$log" 2>&1 &
other=$!
code=0
echo "# Stacked Borrows"
miri miri "-Zmiri-permissive-provenance" "${stacks[@]}" || code=1
wait "$other" || code=1
echo "# Tree Borrows"
cat "$log"
exit $code
