# SPDX-License-Identifier: GPL-2.0
# What vm/test and vm/run share: find a kernel, pack an initramfs, boot it. Sourced by bash.
#
# A "kernel" is three variables: KREL (its release), KDIR (headers to build against), VMLINUZ.
# All that is fetched or built lies under target/kmod/, which git ignores.

KMOD=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
WORK=$(dirname "$KMOD")/target/kmod
GNU=x86_64-unknown-linux-gnu
# Emulated, the guest needs 10 to 30 s; a busy host several times that.
: "${MYMAP_VM_TIMEOUT:=300}"

# lacking [headers]: prints the commands that are not there, and the headers, a line each.
lacking() {
  local want
  for want in make gcc cpio qemu-system-x86_64; do
    command -v "$want" >/dev/null || echo "$want"
  done
  [ "${1-}" != headers ] || ls -d /usr/src/linux-headers-*-amd64 >/dev/null 2>&1 || echo "kernel headers"
}

# bare_rust: whether Rust can build for the kernel.
bare_rust() { ls "$(rustc --print target-libdir --target x86_64-unknown-none)"/libcore-* >/dev/null 2>&1; }

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi
}

apt_install() {
  # Its words are no part of what runs in the guest.
  as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends "$@" >&2
}

# bring [headers]: installs what is missing, as far as it may: BRKMAP_INSTALL=no forbids it, and packages need root
# or passwordless sudo. Needs `say`. What could not be had `missing` tells.
bring() {
  local packages
  [ "$(uname -m)" = x86_64 ] && [ "${BRKMAP_INSTALL:-yes}" != no ] || return 0
  if [ -n "$(lacking "$@")" ] && command -v apt-get >/dev/null && as_root true 2>/dev/null; then
    mapfile -t packages <"$KMOD/vm/packages"
    say "installing ${packages[*]}"
    apt_install "${packages[@]}" || { as_root apt-get -qq update >&2 && apt_install "${packages[@]}"; } ||
      say "that could not be installed"
  fi
  if command -v rustup >/dev/null && ! bare_rust; then
    say "adding Rust for the kernel"
    rustup -q target add x86_64-unknown-none >&2 || say "that could not be added"
  fi
}

# missing [headers]: prints all that is not there, a line each, and the commands that bring it.
missing() {
  local want commands=() lines=()
  [ "$(uname -m)" = x86_64 ] || { echo "this machine is $(uname -m): the module is for x86-64"; return; }
  command -v apt-get >/dev/null || lines+=("no apt-get: the kernel to boot is a Debian package")
  mapfile -t commands < <(lacking "$@")
  if [ ${#commands[@]} -gt 0 ]; then
    want=$(printf ', %s' "${commands[@]}")
    lines+=("no ${want#, }: apt-get install --no-install-recommends $(xargs <"$KMOD/vm/packages")")
  fi
  if ! command -v cargo >/dev/null; then
    lines+=("no cargo: the pages of Rust say how to install it")
  elif ! bare_rust; then
    lines+=("no Rust for the kernel: rustup target add x86_64-unknown-none")
  fi
  [ "$(id -u)" = 0 ] || lines+=("not root: the guest's console is a device node")
  [ ${#lines[@]} -eq 0 ] || printf '%s\n' "${lines[@]}"
}

# fetch DIRECTORY PACKAGE... [-- APT-OPTION...]: downloads and unpacks what is not there yet.
fetch() {
  local into=$1 packages=() package
  shift
  while [ $# -gt 0 ] && [ "$1" != -- ]; do packages+=("$1"); shift; done
  [ $# -gt 0 ] && shift
  mkdir -p "$into" "$WORK/debs"
  for package in "${packages[@]}"; do
    [ -e "$into/.$package" ] && continue
    rm -f "$WORK/debs/${package}"_*.deb
    (cd "$WORK/debs" && apt-get -q "$@" -o APT::Sandbox::User=root download "$package") >"$WORK/fetch.log" 2>&1 ||
      { echo "cannot download $package: $(grep -m1 '^E:' "$WORK/fetch.log")" >&2; return 1; }
    dpkg -x "$WORK/debs/${package}"_*.deb "$into" || return 1
    rm -f "$WORK/debs/${package}"_*.deb
    touch "$into/.$package"
  done
}

# kernel_installed: the kernel of the newest installed headers, as `make -C kmod` picks them on a machine
# that does not run it itself.
kernel_installed() {
  KDIR=$(ls -d /usr/src/linux-headers-*-amd64 2>/dev/null | sort -V | tail -n 1)
  [ -n "$KDIR" ] || { echo "no kernel headers: apt-get install linux-headers-cloud-amd64" >&2; return 1; }
  KREL=$(basename "$KDIR") KREL=${KREL#linux-headers-}
  fetch "$WORK/kernels/$KREL" "linux-image-$KREL" || return 1
  VMLINUZ=$WORK/kernels/$KREL/boot/vmlinuz-$KREL
}

# debian_site: the address of the Debian mirror that this machine uses.
debian_site() {
  local site
  site=$(apt-get indextargets --format '$(ORIGIN) $(CODENAME) $(SITE)' 'Created-By: Packages' |
    awk -v codename="$(. /etc/os-release; echo "$VERSION_CODENAME")" '$1 == "Debian" && $2 == codename { print $3; exit }')
  [ -n "$site" ] || { echo "apt knows no Debian mirror here (apt-get update?)" >&2; return 1; }
  echo "$site"
}

# apt_for SUITE: sets APT to options that make apt see that suite of this machine's mirror, and nothing else; the
# machine's own configuration stays as it is.
apt_for() {
  local state=$WORK/apt/$1 site
  site=$(debian_site) || return 1
  mkdir -p "$state/lists/partial" "$state/archives/partial"
  echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $site $1 main" >"$state/sources.list"
  APT=(-o "Dir::Etc::SourceList=$state/sources.list" -o Dir::Etc::SourceParts=/dev/null
    -o "Dir::State::Lists=$state/lists" -o "Dir::Cache=$state" -o APT::Sandbox::User=root)
  apt-get -q "${APT[@]}" update >"$WORK/fetch.log" 2>&1 && ! grep -q '^[EW]:' "$WORK/fetch.log" ||
    { echo "cannot reach the suite $1: $(grep -m1 '^[EW]:' "$WORK/fetch.log")" >&2; return 1; }
}

# kernel_of SUITE: the cloud kernel of another suite, unpacked, not installed.
kernel_of() {
  local root headers common kbuild
  apt_for "$1" || return 1
  headers=$(apt-cache "${APT[@]}" depends linux-headers-cloud-amd64 | awk '$1 == "Depends:" { print $2; exit }')
  case $headers in
  linux-headers-*-cloud-amd64) ;;
  *) echo "the suite $1 has no linux-headers-cloud-amd64" >&2; return 1 ;;
  esac
  KREL=${headers#linux-headers-}
  common=$(apt-cache "${APT[@]}" depends "$headers" | awk '$1 == "Depends:" && /-common$/ { print $2 }')
  kbuild=$(apt-cache "${APT[@]}" depends "$headers" | awk '$1 == "Depends:" && /linux-kbuild/ { print $2 }')
  root=$WORK/kernels/$KREL
  fetch "$root" "$headers" "$common" "$kbuild" "linux-image-$KREL" -- "${APT[@]}" || return 1
  KDIR=$root/usr/src/$headers
  # The one absolute path in it.
  echo "include $root/usr/src/$common/Makefile" >"$KDIR/Makefile"
  VMLINUZ=$root/boot/vmlinuz-$KREL
}

# build_init: the static /init.
build_init() {
  CARGO_ENCODED_RUSTFLAGS=-Ctarget-feature=+crt-static cargo build -q --release --locked --target $GNU \
    --manifest-path "$KMOD/vm/init/Cargo.toml" --target-dir "$WORK/init"
}

# pack INITRD MODULE [PROGRAM]: /init, the module, and a program with the libraries it is linked to.
pack() {
  local root=$WORK/initramfs.$$ library
  rm -rf "$root"
  mkdir -p "$root"/{bin,dev,proc,sys}
  mknod "$root/dev/console" c 5 1 || { echo "the initramfs needs a device node: be root" >&2; return 1; }
  cp "$WORK/init/$GNU/release/init" "$root/init"
  cp "$2" "$root/mymap.ko"
  if [ -n "${3-}" ]; then
    cp "$3" "$root/bin/"
    for library in $(ldd "$3" 2>/dev/null | grep -o '/[^ ]*'); do
      install -D "$library" "$root$library"
    done
  fi
  (cd "$root" && find . | cpio -o -H newc --quiet) | gzip -1 >"$1"
  rm -rf "$root"
}

# boot INITRD CONSOLE INIT-ARGUMENT...: runs the guest; its report goes to standard output, the kernel's
# console to the file CONSOLE. Returns what the guest said at its end, 124 for a hang, 125 for a death
# without a word. QEMU's own status says nothing: it ends with 0 whatever the guest did.
boot() {
  local initrd=$1 console=$2 report=$2.report status
  shift 2
  # No cmpxchg16b: under QEMU 7.2's emulation it now and then leaves a wrong EFLAGS, and the guest's slab
  # allocator, which uses it where it is offered, dies of that. Two processors, so that first touches do race.
  timeout -k 5 "$MYMAP_VM_TIMEOUT" qemu-system-x86_64 -accel tcg -machine q35 -cpu qemu64,-cx16 -smp 2 -m 256 -nodefaults \
    -display none -no-reboot -serial "file:$console" -serial stdio -kernel "$VMLINUZ" -initrd "$initrd" \
    -append "console=ttyS0 panic=-1 reboot=t loglevel=5 -- $*" </dev/null | tee "$report" | grep -v '^guest-exit '
  status=${PIPESTATUS[0]}
  [ "$status" != 124 ] && [ "$status" != 137 ] || return 124
  status=$(sed -n 's/^guest-exit \([0-9]*\)$/\1/p' "$report")
  return "${status:-125}"
}

# ended STATUS: what boot's status means, where it is not the guest's own.
ended() {
  case $1 in
  124) echo "the guest hung: no end after $MYMAP_VM_TIMEOUT s" ;;
  125) echo "the guest died without its closing line" ;;
  *) echo "the guest ended with $1" ;;
  esac
}
