#!/usr/bin/env bash
# brk and mmap by strace, C semantics, limits, fork, memory bounds, real programs
set -u
. tests/lib.sh
need_linker
# Each test says itself what it lacks, so one missing program does not take the others with it.
while read -r program package; do want "$program" "$package"; done <<END
strace strace
readelf binutils
gcore gdb
valgrind valgrind
/usr/bin/jq jq
go golang-go
qemu-$(uname -m) qemu-user
/usr/bin/python3 python3
/usr/bin/git git
/usr/bin/sqlite3 sqlite3
/usr/bin/perl perl
/usr/bin/gcc gcc
/usr/bin/g++ g++
/usr/bin/redis-server redis-server
/usr/bin/redis-benchmark redis-tools
/usr/lib/$(uname -m)-linux-gnu/libjemalloc.so.2 libjemalloc2
/usr/lib/$(uname -m)-linux-gnu/libtcmalloc_minimal.so.4 libtcmalloc-minimal4
END
# It is of use where the kernel has what it is for.
[ ! -e /sys/bus/event_source/devices/uprobe ] || want bpftrace bpftrace
# Every file of tests, but for those that have a suite of their own.
tests=()
for file in tests/tests/*.rs; do
  name=$(basename "$file" .rs)
  case $name in bare_bools | circles | documents | property | stress | structure | suites | unsafety) continue ;; esac
  tests+=(--test "$name")
done
cargo_test -p brkmap-tests --lib "${tests[@]}"
