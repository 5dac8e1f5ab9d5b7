#!/usr/bin/env bash
# as a new user: a clone of HEAD builds, the tool runs, a new crate with the two lines runs
set -u
. tests/lib.sh
need_linker
command -v git >/dev/null || apt git
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# What is tested is what is committed, not what lies about here.
git clone -q --no-hardlinks . "$work/clone" || exit 1
cd "$work/clone" || exit 1
unset CARGO_TARGET_DIR

step "cargo build --release" cargo build --release
step "it makes libbrkmap.so" test -f target/release/libbrkmap.so
step "it makes the tool" test -x target/release/brkmap

compares() {
  cargo run --release >"$work/compare" 2>"$work/errors" || { cat "$work/errors"; return 1; }
  cat "$work/compare"
  # Names of both fronts' rivals and of both calls must be in the table.
  for word in glibc brkmap brk mmap; do
    grep -qw "$word" "$work/compare" || { echo "no $word in the comparison"; return 1; }
  done
}
step "cargo run --release prints the comparison" compares

preloads() {
  local want=forty-two got
  export LD_PRELOAD=$PWD/target/release/libbrkmap.so
  got=$(/bin/bash -c 'x=(forty two); IFS=-; echo "${x[*]}"') || return 1
  unset LD_PRELOAD
  [ "$got" = $want ] || { echo "said: $got"; return 1; }
}
step "LD_PRELOAD=target/release/libbrkmap.so works" preloads

two_lines() {
  cargo new -q --vcs none "$work/user" && cd "$work/user" || return 1
  echo "brkmap = { path = \"$work/clone/allocator\" }" >>Cargo.toml
  cat >src/main.rs <<'END'
#[global_allocator]
static GLOBAL: brkmap::BrkMap = brkmap::BrkMap::new();

fn main() {
    let words: Vec<String> = (0..1000).map(|n| n.to_string()).collect();
    println!("{}", words.concat().len());
}
END
  CARGO_TARGET_DIR=$work/user-target cargo run -q >"$work/said" || return 1
  [ "$(cat "$work/said")" = 2890 ]
}
step "a new crate with the two lines runs" two_lines
exit $step_failed
