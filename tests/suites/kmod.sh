#!/usr/bin/env bash
# the kernel module in a virtual machine
set -u
. tests/lib.sh
[ -x kmod/vm/test ] || absent "kmod/vm/test is not there"
need_linker
packages kmod/vm/packages
need_stable target x86_64-unknown-none
exec kmod/vm/test
