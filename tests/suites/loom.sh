#!/usr/bin/env bash
# loom models of what threads share
set -u
. tests/lib.sh
need_linker
# The flag changes every crate, so it gets a target directory of its own.
RUSTFLAGS="--cfg brkmap_loom" CARGO_TARGET_DIR=$BRKMAP_TARGET/loom cargo_test -p brkmap-loom --release --lib loom
