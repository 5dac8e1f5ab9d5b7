#!/usr/bin/env bash
# musl; aarch64 and riscv64 under emulation: unit tests, C API, Rust front
set -u
. tests/lib.sh
need_linker
host=$(uname -m)
[ "$host" = x86_64 ] || cannot "the cross builds are set up for an x86_64 host, this is $host"
musl=x86_64-unknown-linux-musl
need_stable target $musl
code=0

echo "# musl: no C compiler's library, the linker only"
cargo_test -p brkmap --target $musl || code=1
cargo build -p brkmap-tests --target $musl --bin exercise-rust --bin exercise-configured || code=1
step "musl: storm on the Rust front" "$BRKMAP_TARGET/$musl/debug/exercise-rust" storm 4 20000 1
step "musl: the background thread" env BRKMAP_CONF=background:on,decay:50ms \
  "$BRKMAP_TARGET/$musl/debug/exercise-rust" background idle
step "musl: a child's background thread" env BRKMAP_CONF=background:on,decay:50ms \
  "$BRKMAP_TARGET/$musl/debug/exercise-rust" background fork
configured=$(BRKMAP_CONF=dirty_floor:3M "$BRKMAP_TARGET/$musl/debug/exercise-configured" threshold) || code=1
step "musl: what code says is in force" [ "$configured" = 262144 ]

# emulated ARCHITECTURE TARGET [TEST-ARGUMENT…]: unit tests, and both fronts.
emulated() {
  local arch=$1 target=$2 root=/usr/$1-linux-gnu bin so run upper
  shift 2
  echo "# $arch"
  run="qemu-$arch -L $root"
  upper=$(tr 'a-z-' 'A-Z_' <<<"$target")
  export "CARGO_TARGET_${upper}_LINKER=$arch-linux-gnu-gcc" "CARGO_TARGET_${upper}_RUNNER=$run"
  cargo_test -p brkmap --lib --target "$target" -- "$@" || code=1
  cargo build -p brkmap-tests --target "$target" --bin exercise --bin exercise-rust || code=1
  cargo build --release -p brkmap-preload --target "$target" || code=1
  bin=$BRKMAP_TARGET/$target/debug
  so=$BRKMAP_TARGET/$target/release/libbrkmap.so
  # Without optimisation and under emulation a storm of this size takes seconds.
  step "$arch: storm on the Rust front" $run "$bin/exercise-rust" storm 4 5000 1
  step "$arch: storm under preload" $run -E LD_PRELOAD="$so" "$bin/exercise" storm 4 5000 1
  step "$arch: C semantics under preload" $run -E LD_PRELOAD="$so" "$bin/exercise" c-api all
}
need_stable target aarch64-unknown-linux-gnu
need_stable target riscv64gc-unknown-linux-gnu
if ! command -v aarch64-linux-gnu-gcc >/dev/null || ! command -v qemu-aarch64 >/dev/null; then
  apt gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user
fi
command -v riscv64-linux-gnu-gcc >/dev/null || apt gcc-riscv64-linux-gnu libc6-dev-riscv64-cross
emulated aarch64 aarch64-unknown-linux-gnu
# The emulator is slow: fewer of the long sequences, and neither of the two tests that go through gigabytes. They have
# run three times by now.
PROPTEST_CASES=8 emulated riscv64 riscv64gc-unknown-linux-gnu \
  --skip a_program_that_freed_all_keeps_few_addresses --skip ends_that_the_kernel_keeps_are_not_tried_at_each_free
[ $code = 0 ] && [ $step_failed = 0 ]
