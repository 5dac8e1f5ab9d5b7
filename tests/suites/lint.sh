#!/usr/bin/env bash
# formatting and clippy, warnings denied
set -u
. tests/lib.sh
need_linker
need_stable component rustfmt
need_stable component clippy
step "cargo fmt --check" cargo fmt --check
step "clippy without warnings" cargo clippy --workspace --all-targets -- -D warnings
exit $step_failed
