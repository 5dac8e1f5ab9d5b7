#!/usr/bin/env bash
# formatting and clippy, warnings denied
set -u
. tests/lib.sh
need_linker
need_stable component rustfmt
need_stable component clippy
step "cargo fmt --check" cargo fmt --check
step "clippy without warnings" cargo clippy --workspace --all-targets -- -D warnings
# The allocator's own rules, on what its users get.
strict=(undocumented_unsafe_blocks unwrap_used expect_used panic unreachable todo unimplemented print_stdout print_stderr
  dbg_macro too_many_lines)
step "the allocator allocates nothing, formats nothing and cannot panic; its functions are short" \
  env CLIPPY_CONF_DIR="$PWD/tests/clippy" cargo clippy -p brkmap -p brkmap-preload --features brkmap/allocator-api2 --lib -- \
  -D warnings "${strict[@]/#/-Dclippy::}"
exit $step_failed
