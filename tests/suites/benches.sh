#!/usr/bin/env bash
# the benchmarks: figures and reports, and that every workload's checksum agrees over the allocators
set -u
. tests/lib.sh
need_linker
want valgrind valgrind
# Without it one set less: the tests say so.
(need_stable target "$(uname -m)-unknown-linux-musl")
cargo_test -p brkmap-race -p brkmap-benches
