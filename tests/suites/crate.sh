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
