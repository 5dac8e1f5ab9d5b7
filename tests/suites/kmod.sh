#!/usr/bin/env bash
# the kernel module in a virtual machine
set -u
. tests/lib.sh
[ -x kmod/vm/test ] || absent "kmod/vm/test is not there"
need_linker
missing=()
if [ -f kmod/vm/packages ]; then
  while read -r package; do
    case "$package" in '' | '#'*) continue ;; esac
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
  done <kmod/vm/packages
fi
[ ${#missing[@]} -eq 0 ] || apt "${missing[@]}"
need_stable target x86_64-unknown-none
exec kmod/vm/test
