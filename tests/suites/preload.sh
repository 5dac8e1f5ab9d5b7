#!/usr/bin/env bash
# brk and mmap by strace, C semantics, limits, fork, memory bounds, real programs
set -u
. tests/lib.sh
need_linker
# Each test says itself what it lacks, so one missing program does not take the others with it.
want strace strace
want readelf binutils
want gcore gdb
want valgrind valgrind
want "qemu-$(uname -m)" qemu-user
for pair in python3:python3 git:git sqlite3:sqlite3 perl:perl gcc:gcc g++:g++ redis-server:redis-server \
  redis-benchmark:redis-tools; do
  want "/usr/bin/${pair%%:*}" "${pair#*:}"
done
for pair in libjemalloc.so.2:libjemalloc2 libtcmalloc_minimal.so.4:libtcmalloc-minimal4; do
  [ -e "/usr/lib/$(uname -m)-linux-gnu/${pair%%:*}" ] || want "${pair%%:*}" "${pair#*:}"
done
# Every file of tests, but for those that have a suite of their own.
tests=()
for file in tests/tests/*.rs; do
  case ${file##*/} in documents.rs | property.rs | stress.rs | structure.rs | unsafety.rs) continue ;; esac
  name=${file##*/}
  tests+=(--test "${name%.rs}")
done
cargo_test -p brkmap-tests --lib "${tests[@]}"
