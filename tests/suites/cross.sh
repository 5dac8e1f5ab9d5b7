#!/usr/bin/env bash
# musl; aarch64, riscv64 and s390x under emulation: unit tests, C API, Rust front, profiles, large pages
set -u
. tests/lib.sh
need_linker
host=$(uname -m)
[ "$host" = x86_64 ] || cannot "the cross builds are set up for an x86_64 host, this is $host"
musl=x86_64-unknown-linux-musl
threads=4
need_stable target $musl
code=0

# profiled COMMAND…: the Rust front's program takes a profile of itself; what it wrote is read here, and has its two
# sites with the bytes that stayed.
tool=$BRKMAP_TARGET/debug/brkmap
cargo build -p brkmap-tool || code=1
profiled() {
  local folder status
  folder=$(mktemp -d) && "$@" profiled-by-functions "$folder" &&
    COLUMNS=200 "$tool" profile "$folder/packed.pb.gz" >"$folder/all" &&
    COLUMNS=200 "$tool" profile --show live "$folder/plain.pb" >"$folder/live" &&
    grep -q 'profiled::short_lives' "$folder/all" && grep -q 'profiled::long_lives' "$folder/all" &&
    grep -q 'profiled::long_lives' "$folder/live" && ! grep -q 'profiled::short_lives' "$folder/live"
  status=$?
  [ $status = 0 ] || head -n 40 "$folder"/{all,live}
  rm -rf "$folder"
  return $status
}

echo "# musl: no C compiler's library, the linker only"
cargo_test -p brkmap --target $musl || code=1
cargo build -p brkmap-tests --target $musl --bin exercise-rust --bin exercise-configured || code=1
step "musl: storm on the Rust front" "$BRKMAP_TARGET/$musl/debug/exercise-rust" storm 4 20000 1
step "musl: a profile has its sites" profiled "$BRKMAP_TARGET/$musl/debug/exercise-rust"
step "musl: the background thread" env BRKMAP_CONF=background:on,decay:50ms \
  "$BRKMAP_TARGET/$musl/debug/exercise-rust" background idle
step "musl: a child's background thread" env BRKMAP_CONF=background:on,decay:50ms \
  "$BRKMAP_TARGET/$musl/debug/exercise-rust" background fork
configured=$(BRKMAP_CONF=dirty_floor:3M "$BRKMAP_TARGET/$musl/debug/exercise-configured" threshold) || code=1
step "musl: what code says is in force" [ "$configured" = 262144 ]

# units ARCHITECTURE TARGET [TEST-ARGUMENT…]: the unit tests.
units() {
  local root=/usr/$1-linux-gnu upper
  arch=$1 target=$2
  shift 2
  echo "# $arch"
  run="qemu-$arch -L $root"
  upper=$(tr 'a-z-' 'A-Z_' <<<"$target")
  export "CARGO_TARGET_${upper}_LINKER=$arch-linux-gnu-gcc" "CARGO_TARGET_${upper}_RUNNER=$run"
  cargo_test -p brkmap --lib --target "$target" -- "$@" || code=1
}
# The same, the Rust front, and heaps of one's own.
emulated() {
  units "$@"
  cargo build -p brkmap-tests --target "$target" --bin exercise --bin exercise-rust --bin exercise-heap || code=1
  bin=$BRKMAP_TARGET/$target/debug
  storms
  step "$arch: a profile has its sites" profiled $run "$bin/exercise-rust"
}
# storms [OPTION…]: with options of the emulator. Without optimisation and under it a storm of this size takes seconds.
storms() {
  step "$arch: storm on the Rust front $*" $run "$@" "$bin/exercise-rust" storm $threads 5000 1
  step "$arch: storm on a heap of one's own $*" $run "$@" "$bin/exercise-heap" storm $threads 5000 1
}
# The library, for the architecture that was emulated last.
library() {
  cargo build --release -p brkmap-preload --target "$target" || code=1
  so=$BRKMAP_TARGET/$target/release/libbrkmap.so
  step "$arch: storm under preload" $run -E LD_PRELOAD="$so" "$bin/exercise" storm 4 5000 1
  step "$arch: C semantics under preload" $run -E LD_PRELOAD="$so" "$bin/exercise" c-api all
}
# Emulated instructions are slow: with few of them the tests take a fifth of the time. The checks of overflow stay.
export CARGO_PROFILE_DEV_OPT_LEVEL=1
need_stable target aarch64-unknown-linux-gnu
need_stable target riscv64gc-unknown-linux-gnu
if ! command -v aarch64-linux-gnu-gcc >/dev/null || ! command -v qemu-aarch64 >/dev/null; then
  apt gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user
fi
command -v riscv64-linux-gnu-gcc >/dev/null || apt gcc-riscv64-linux-gnu libc6-dev-riscv64-cross
emulated aarch64 aarch64-unknown-linux-gnu
library
# Its programs are linked for pages of up to 64 KiB, and the emulator says that it has these.
for page in 16384 65536; do
  storms -p $page
  # A limit on addresses that it sets leaves libc's threads no room beside what swings, in pages as long as these.
  step "$arch: C semantics under preload -p $page" \
    $run -p $page -E BRKMAP_CONF=swing:0 -E LD_PRELOAD="$so" "$bin/exercise" c-api all
done
# 39 bits of addresses, as small kernels have them. One thread: of several, this emulator stops some for ever at a page
# that it takes for writable and the kernel does not.
threads=1
storms -R 0x8000000000
step "aarch64: storm under preload -R 0x8000000000" \
  $run -R 0x8000000000 -E LD_PRELOAD="$so" "$bin/exercise" storm $threads 5000 1
threads=4
# The emulator is slow: fewer of the long sequences, and neither of the two tests that go through gigabytes. They have
# run three times by now.
PROPTEST_CASES=8 emulated riscv64 riscv64gc-unknown-linux-gnu \
  --skip a_program_that_freed_all_keeps_few_addresses --skip ends_that_the_kernel_keeps_are_not_tried_at_each_free
library
# The one that begins its words with the other end. The crate alone: the library and what traces programs are not for it.
need_stable target s390x-unknown-linux-gnu
command -v s390x-linux-gnu-gcc >/dev/null || apt gcc-s390x-linux-gnu libc6-dev-s390x-cross
PROPTEST_CASES=8 units s390x s390x-unknown-linux-gnu \
  --skip a_program_that_freed_all_keeps_few_addresses --skip ends_that_the_kernel_keeps_are_not_tried_at_each_free
for example in global give_back heap c_side; do
  step "s390x: the example $example" cargo run -q -p brkmap --features override --target "$target" --example $example
done
[ $code = 0 ] && [ $step_failed = 0 ]
