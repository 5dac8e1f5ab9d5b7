#!/usr/bin/env bash
# the stress under ThreadSanitizer, standard library included
set -u
. tests/lib.sh
need_linker
need_nightly rust-src
host=$(rustc -vV | sed -n 's/^host: //p')
export CARGO_TARGET_DIR=$BRKMAP_TARGET/tsan
export RUSTFLAGS="-Zsanitizer=thread"
cargo +nightly build -Zbuild-std --target "$host" -p brkmap-tests --bin exercise-rust || exit 1
rounds=1
[ "$BRKMAP_FULL" = 1 ] && rounds=20
for round in $(seq $rounds); do
  # An exit code of its own: a report must fail the run even if the program ends well.
  step "no data race in the stress, seed $round" env TSAN_OPTIONS="exitcode=66 halt_on_error=1" \
    "$CARGO_TARGET_DIR/$host/debug/exercise-rust" storm 4 20000 "$round"
done
exit $step_failed
