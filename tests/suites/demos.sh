#!/usr/bin/env bash
# the demonstration programs
set -u
. tests/lib.sh
need_linker
cargo_test -p brkmap-demos -p brkmap-base -p brkmap-probe -p brkmap-tracer -p brkmap-witness
