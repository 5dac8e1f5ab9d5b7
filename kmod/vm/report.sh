# SPDX-License-Identifier: GPL-2.0
# What vm/test and rfl/test share: a line a check, and the checks of a module in a guest. Sourced after lib.sh.

failed=0
ok() { echo "ok $1"; }
not_ok() { echo "not ok $1 - $2"; failed=1; }
skip() { echo "skip $1 - $2"; }

# built NAME LOG: the build succeeded; did it do so in silence?
built() {
  ok "$1/builds"
  if grep -i 'warning' "$2"; then
    not_ok "$1/builds-without-warnings" "see above"
  else
    ok "$1/builds-without-warnings"
  fi
}

# checked NAME MODULE: boots VMLINUZ (which is KREL) and has the guest check the module. Its checks' names begin with NAME.
checked() {
  local name=$1 console=$WORK/console-$KREL initrd=$WORK/initrd-$KREL.gz status
  pack "$initrd" "$2" || { not_ok "$name/boots" "no initramfs"; return; }
  boot "$initrd" "$console" test | sed -uE "s@^(ok|not ok|skip|#) @\1 $name/@"
  status=$?
  case $status in
  0) ;;
  1) failed=1 ;;
  *) not_ok "$name/guest-ends" "$(ended $status)" ;;
  esac
  if [ $status != 0 ]; then
    echo "# $name: the guest's console:"
    sed 's/^/# | /' "$console" | tr -d '\r'
  fi
}
