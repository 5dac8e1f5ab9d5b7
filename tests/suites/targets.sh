#!/usr/bin/env bash
# the crate for other architectures and libcs, by the compiler alone; what it is not for
set -u
. tests/lib.sh
need_linker
command -v rustup >/dev/null || cannot "no rustup here to bring targets"

# The compiler alone. Where rustup has no standard library for a target, nightly makes one.
compiles() {
  local package=$1 target=$2
  if rustup target list --installed 2>/dev/null | grep -qx "$target" || rustup target add "$target" 2>/dev/null; then
    cargo check -q -p "$package" --target "$target"
  else
    cargo +nightly check -q -Zbuild-std --target-dir "$BRKMAP_TARGET/build-std" -p "$package" --target "$target"
  fi
}
(need_nightly rust-src) || echo "skip targets_without_a_standard_library: missing nightly with rust-src"
for target in riscv64gc-unknown-linux-musl loongarch64-unknown-linux-gnu loongarch64-unknown-linux-musl \
  powerpc64le-unknown-linux-gnu powerpc64le-unknown-linux-musl s390x-unknown-linux-gnu s390x-unknown-linux-musl; do
  step "the crate compiles for $target" compiles brkmap $target
done
# Elsewhere one sentence says what it is for.
refuses() {
  local package=$1 target=$2 words=$3
  compiles "$package" "$target" >"$BRKMAP_TARGET/refusal" 2>&1 && { echo "it compiles"; return 1; }
  grep -q "^error: $words" "$BRKMAP_TARGET/refusal" || { cat "$BRKMAP_TARGET/refusal"; return 1; }
}
for target in i686-unknown-linux-gnu x86_64-unknown-freebsd; do
  step "the crate says that it is not for $target" refuses brkmap $target "brkmap is for Linux on 64-bit"
done
step "the library says that it is not for powerpc64le" \
  refuses brkmap-preload powerpc64le-unknown-linux-gnu "libbrkmap.so is for x86-64, aarch64 and riscv64"
exit $step_failed
