#!/usr/bin/env bash
# the kernel module against a Rust-for-Linux kernel (only with --full)
set -u
. tests/lib.sh
[ -x kmod/rfl/test ] || absent "kmod/rfl/test is not there"
exec kmod/rfl/test
