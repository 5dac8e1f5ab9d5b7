#!/usr/bin/env bash
# the kernel module in Rust alone, on a Rust-for-Linux kernel (only with --full, or named)
set -u
. tests/lib.sh
[ -x kmod/rfl/test ] || absent "kmod/rfl/test is not there"
[ "$(id -u)" = 0 ] || cannot "a chroot and a device node for the guest need root"
need_linker
packages kmod/rfl/packages
need_stable target x86_64-unknown-none
exec kmod/rfl/test
