#!/usr/bin/env bash
# the benchmarks: figures and reports, and that every workload's checksum agrees over the allocators
set -u
. tests/lib.sh
need_linker
cargo_test -p brkmap-race -p brkmap-benches
