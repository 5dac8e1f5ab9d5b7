# SPDX-License-Identifier: GPL-2.0
# A kernel tree that Rust modules can be built against, and the compiler it needs. Sourced by rfl/test, after
# vm/lib.sh.
#
# A kernel's C headers come in a package; the compiled Rust half of them does not. It is made again here: the source
# of the packaged kernel, its own configuration, and the compiler it was built with, in a chroot of its Debian
# release. Crate hashes hold the compiler's version, so that no other one would do.
#
#   target/kmod/rfl/RELEASE/root         the chroot; /linux in it is the tree, /build the modules
#   target/kmod/rfl/RELEASE/packages     the kernel to boot, its configuration and its source

# The oldest Debian release whose (backports) kernel has CONFIG_RUST.
SUITE=trixie
# What unpacked and built takes about 4 GB.
NEEDED_KB=6000000
# Kbuild's own list, what bindgen reads headers with, and pahole: without it the configuration would lose its BTF, and
# with that a member of struct module.
CHROOT_PACKAGES=bc,bindgen,bison,flex,gcc-14,libelf-dev,libssl-dev,make,openssl,pahole,python3,rust-src,rustc

# rust_kernel: sets KREL, VMLINUZ, TREE and ROOT, making what is missing; says why it cannot on standard error.
rust_kernel() {
  local headers free home
  apt_for "$SUITE-backports" || return 1
  headers=$(apt-cache "${APT[@]}" depends linux-headers-cloud-amd64 | awk '$1 == "Depends:" && $2 ~ /^linux-headers-/ { print $2; exit }')
  [ -n "$headers" ] || { echo "$SUITE-backports has no linux-headers-cloud-amd64" >&2; return 1; }
  KREL=${headers#linux-headers-}
  home=$WORK/rfl/$KREL ROOT=$WORK/rfl/$KREL/root TREE=$WORK/rfl/$KREL/root/linux
  # One kernel at a time: each takes gigabytes.
  find "$WORK/rfl" -mindepth 1 -maxdepth 1 -type d ! -name "$KREL" -exec rm -rf {} + 2>/dev/null
  mkdir -p "$home/packages"
  fetch "$home/packages" "$headers" "linux-binary-$KREL" -- "${APT[@]}" || return 1
  VMLINUZ=$home/packages/usr/lib/modules/$KREL/vmlinuz
  grep -q '^CONFIG_RUST=y' "$home/packages/usr/src/$headers/.config" || { echo "Linux $KREL has no CONFIG_RUST" >&2; return 1; }
  [ -e "$home/.tree" ] && return
  free=$(df --output=avail -k "$home" | tail -n 1)
  [ "$free" -ge "$NEEDED_KB" ] || { echo "$((free / 1000000)) GB of disk are free, $((NEEDED_KB / 1000000)) are needed" >&2; return 1; }
  echo "# making the Rust headers of Linux $KREL (some minutes, once)"
  chroot_made "$home" && compiler_fits "$home" "$headers" && source_unpacked "$home" && tree_made "$home" "$headers" &&
    touch "$home/.tree"
}

# in_root COMMAND...: runs in the chroot. While it does, /proc is there (rustc asks it for its own path), and at /rust
# the compiler of this project, which the other module is built with.
in_root() {
  unshare --mount sh -c 'mount -t proc proc "$0/proc" && mount --bind "$1" "$0/rust" && shift && exec chroot "$0" "$@"' \
    "$ROOT" "$(rustc --print sysroot)" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C HOME=/root "$@"
}

# chroot_made HOME: from the mirror that this machine uses, reached in the way it is reached here.
chroot_made() {
  [ -e "$1/.root" ] && return
  rm -rf "$ROOT"
  apt-config dump | grep -E '^Acquire::(https?|Check|Retries|Proxy|Languages)' >"$1/apt.conf"
  mmdebstrap --quiet --mode=root --variant=apt --aptopt="$1/apt.conf" --include="$CHROOT_PACKAGES" \
    "$SUITE" "$ROOT" "$(debian_site)" >"$1/chroot.log" 2>&1 ||
    { echo "mmdebstrap: $(grep -m1 '^E:' "$1/chroot.log")" >&2; return 1; }
  mkdir "$ROOT/rust" && touch "$1/.root"
}

# compiler_fits HOME HEADERS: the release may have moved on since the kernel was built.
compiler_fits() {
  local wanted has
  wanted=$(sed -n 's/^CONFIG_RUSTC_VERSION_TEXT="\(.*\)"/\1/p' "$1/packages/usr/src/$2/.config")
  has=$(in_root rustc --version)
  [ "$has" = "$wanted" ] || { echo "Linux $KREL was built by $wanted, $SUITE has $has" >&2; return 1; }
}

# source_unpacked HOME: of the very release that is to be booted.
source_unpacked() {
  local package=linux-source-${KREL%%.*}
  package+=.$(cut -d. -f2 <<<"$KREL")
  [ -e "$1/.source" ] && return
  rm -rf "$TREE" "$1/source"
  fetch "$1/source" "$package" -- "${APT[@]}" || return 1
  mkdir -p "$TREE"
  tar -xJf "$1/source/usr/src/$package.tar.xz" -C "$TREE" --strip-components=1 || { echo "cannot unpack $package" >&2; return 1; }
  rm -rf "$1/source"
  local is
  is=$(awk '$1 ~ /^(VERSION|PATCHLEVEL|SUBLEVEL)$/ { v = v sep $3; sep = "." } $1 == "SUBLEVEL" { print v; exit }' "$TREE/Makefile")
  case $KREL in "$is"[+-]*) ;; *) echo "$package holds Linux $is, not $KREL" >&2; return 1 ;; esac
  touch "$1/.source"
}

# tree_made HOME HEADERS: the packaged configuration must come out as it went in, or the module would be one for another kernel.
tree_made() {
  local packaged=$1/packages/usr/src/$2 lost
  cp "$packaged/.config" "$TREE/.config"
  cp "$packaged/Module.symvers" "$TREE/Module.symvers"
  kbuild olddefconfig >"$1/tree.log" 2>&1 || { echo "olddefconfig fails: $1/tree.log" >&2; return 1; }
  lost=$(diff <(options "$packaged/.config") <(options "$TREE/.config") | sed -n 's/^[<>] //p' | head -n 3 | xargs)
  [ -z "$lost" ] || { echo "the configuration changes in the chroot: $lost" >&2; return 1; }
  kbuild -j"$(nproc)" modules_prepare >>"$1/tree.log" 2>&1 || { echo "modules_prepare fails: $(grep -m1 -B1 '\*\*\*' "$1/tree.log" | xargs)" >&2; return 1; }
}

# options CONFIG: without the texts that name the tools.
options() { grep '^CONFIG_' "$1" | grep -v '_TEXT=' | sort; }

kbuild() { in_root make -C /linux KERNELRELEASE="$KREL" ARCH=x86_64 CC=gcc-14 HOSTCC=gcc-14 "$@"; }

# copied: a fresh copy of kmod/ in the chroot.
copied() {
  rm -rf "$ROOT/build"
  mkdir -p "$ROOT/build/hybrid"
  cp -R "$KMOD" "$ROOT/build/kmod"
}

# The two modules, for the same kernel. The BTF of a module would need the kernel's vmlinux.
rust_module() { modules M=/build/kmod/rfl; }
hybrid_module() {
  ln -s ../kmod/Kbuild ../kmod/mymap_shim.c "$ROOT/build/hybrid/"
  modules M=/build/hybrid MYMAP_SRC=/build/kmod MYMAP_RUSTC=/rust/bin/rustc
}
modules() { kbuild CONFIG_DEBUG_INFO_BTF_MODULES= "$@" modules; }
