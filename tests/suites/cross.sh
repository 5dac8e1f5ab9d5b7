#!/usr/bin/env bash
# musl, and aarch64 under emulation: unit tests, C API, Rust front
set -u
. tests/lib.sh
need_linker
host=$(uname -m)
[ "$host" = x86_64 ] || cannot "the cross builds are set up for an x86_64 host, this is $host"
musl=x86_64-unknown-linux-musl arm=aarch64-unknown-linux-gnu
need_stable target $musl
need_stable target $arm
if ! command -v aarch64-linux-gnu-gcc >/dev/null || ! command -v qemu-aarch64 >/dev/null; then
  apt gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user
fi
root=/usr/aarch64-linux-gnu
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc
run="qemu-aarch64 -L $root"
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER=$run
code=0

echo "# musl: no C compiler's library, the linker only"
cargo_test -p brkmap --target $musl || code=1
cargo build -p brkmap-tests --target $musl --bin exercise-rust || code=1
step "musl: storm on the Rust front" "$BRKMAP_TARGET/$musl/debug/exercise-rust" storm 4 20000 1

echo "# aarch64"
cargo_test -p brkmap --target $arm || code=1
cargo build -p brkmap-tests --target $arm --bin exercise --bin exercise-rust || code=1
cargo build --release -p brkmap-preload --target $arm || code=1
bin=$BRKMAP_TARGET/$arm/debug
so=$BRKMAP_TARGET/$arm/release/libbrkmap.so
# Without optimisation and under emulation a storm of this size takes seconds.
step "aarch64: storm on the Rust front" $run "$bin/exercise-rust" storm 4 5000 1
step "aarch64: storm under preload" $run -E LD_PRELOAD="$so" "$bin/exercise" storm 4 5000 1
step "aarch64: C semantics under preload" $run -E LD_PRELOAD="$so" "$bin/exercise" c-api all
[ $code = 0 ] && [ $step_failed = 0 ]
