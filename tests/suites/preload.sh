#!/usr/bin/env bash
# brk and mmap by strace, C semantics, limits, fork, memory bounds, real programs
set -u
. tests/lib.sh
need_linker
# Each test says itself what it lacks, so one missing program does not take the others with it.
want strace strace
want readelf binutils
want gcore gdb
want "qemu-$(uname -m)" qemu-user
for pair in python3:python3 git:git sqlite3:sqlite3 perl:perl gcc:gcc g++:g++ redis-server:redis-server \
  redis-benchmark:redis-tools; do
  want "/usr/bin/${pair%%:*}" "${pair#*:}"
done
for pair in libjemalloc.so.2:libjemalloc2 libtcmalloc_minimal.so.4:libtcmalloc-minimal4; do
  [ -e "/usr/lib/$(uname -m)-linux-gnu/${pair%%:*}" ] || want "${pair%%:*}" "${pair#*:}"
done
cargo_test -p brkmap-tests --lib --test syscalls --test c_api --test c_front --test other_mallocs --test symbols \
  --test give_back --test sparse --test threads --test limits --test faults --test anywhere --test fork --test wrong \
  --test wrong_pointers --test programs --test addresses --test plugins --test beside --test own_limits \
  --test sticky
