#!/usr/bin/env bash
# the demonstration programs
set -u
. tests/lib.sh
need_linker
# All of the package but the tool's own target, which has its suite.
[ -d demos/tests ] || absent "demos/tests is not there"
targets=()
for file in demos/tests/*.rs; do
  name=$(basename "$file" .rs)
  [ "$name" = tool ] || targets+=(--test "$name")
done
cargo_test -p brkmap-demos --lib ${targets[@]+"${targets[@]}"}
