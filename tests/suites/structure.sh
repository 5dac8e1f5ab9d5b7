#!/usr/bin/env bash
# layers, file lengths, dead files, homes of unsafe, banned calls, documents
set -u
. tests/lib.sh
need_linker
cargo_test -p brkmap-tests --test structure --test unsafety --test bare_bools --test circles --test documents --test suites || step_failed=1

# tests/run itself, over suites of our own.
tells() {
  local tree
  tree=$(mktemp -d) || return 1
  mkdir -p "$tree/tests/suites"
  cp tests/run tests/lib.sh "$tree/tests/"
  printf '. tests/lib.sh\ntell "bringing something"\nstep "a good step" true\n' >"$tree/tests/suites/good.sh"
  printf '. tests/lib.sh\nstep "a bad step" false\nexit 1\n' >"$tree/tests/suites/bad.sh"
  env -u BRKMAP_TELL CARGO_TARGET_DIR="$tree/target" "$tree/tests/run" good bad >"$tree/first" 2>&1
  env -u BRKMAP_TELL CARGO_TARGET_DIR="$tree/target" "$tree/tests/run" good >"$tree/second" 2>&1
  local line
  for line in '== good (1 of 2; 0 s so far' '   bringing something' '== bad (2 of 2;' \
    "FAILED bad: not ok a bad step; its log: $tree/target/test-logs/bad.log" '1 passed, 1 failed, 0 skipped'; do
    grep -qF "$line" "$tree/first" || { echo "no line: $line"; cat "$tree/first"; return 1; }
  done
  [ "$(tail -n 1 "$tree/second")" = "1 passed, 0 failed, 0 skipped" ] || { cat "$tree/second"; return 1; }
  # Those that run side by side: each waits for the other.
  cat >"$tree/tests/suites/fresh.sh" <<'END'
. tests/lib.sh
meets() {
  touch "$BRKMAP_TARGET/${0##*/}.here"
  for _ in {1..100}; do
    [ -e "$BRKMAP_TARGET/fresh.sh.here" ] && [ -e "$BRKMAP_TARGET/crate.sh.here" ] && return
    sleep 0.1
  done
  return 1
}
step "it meets the other" meets
exit $step_failed
END
  cp "$tree/tests/suites/fresh.sh" "$tree/tests/suites/crate.sh"
  env -u BRKMAP_TELL CARGO_TARGET_DIR="$tree/target" "$tree/tests/run" good fresh good crate >"$tree/third" 2>&1
  [ "$(tail -n 1 "$tree/third")" = "4 passed, 0 failed, 0 skipped" ] || { cat "$tree/third"; return 1; }
  rm -rf "$tree"
}
step "tests/run says what it does, how far it is, and what failed where" tells
exit $step_failed
