#!/usr/bin/env bash
# what is installed: by the script, and as Debian packages in a root of their own
set -u
. tests/lib.sh
need_linker
want man man-db
want zsh zsh
want fish fish
want systemd-analyze systemd
lacks() { if [ -n "${BRKMAP_CANNOT:-}" ]; then echo "cannot install $1"; else echo "missing $1; install: apt-get install $2"; fi; }
version=$(sed -n '/^\[workspace.package\]/,/^\[/s/^version = "\(.*\)"/\1/p' Cargo.toml)
triplet=$(uname -m)-linux-gnu
here=$PWD
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Below PREFIX, from here on without cargo and the source tree's other products.
installs() {
  local name
  DESTDIR=$work/dest PREFIX=/usr LIBDIR=/usr/lib/$triplet allocator/preload/install || return 1
  (cd "$work/dest" && find . ! -type d | sort) | tee "$work/files"
  for name in "lib/$triplet/libbrkmap.so.$version" "lib/$triplet/libbrkmap.so.0" "lib/$triplet/libbrkmap.a" \
    "lib/$triplet/pkgconfig/brkmap.pc" include/brkmap.h bin/brkmap libexec/brkmap/probe libexec/brkmap/share \
    share/man/man1/brkmap.1 share/man/man1/brkmap-trace.1 share/man/man3/libbrkmap.3; do
    grep -qx "./usr/$name" "$work/files" || { echo "no $name"; return 1; }
  done
}
step "the script installs below DESTDIR and PREFIX" installs
usr=$work/dest/usr

no_placeholder() { ! grep -rIl '@[A-Z]*@' "$usr"; }
step "no placeholder is left in a file" no_placeholder

every_command_has_a_page() {
  local name
  for name in $("$usr/bin/brkmap" help | sed -n '/^Commands:/,/^$/s/^  \([a-z]*\) .*/\1/p'); do
    [ "$name" = help ] || [ -s "$usr/share/man/man1/brkmap-$name.1" ] || { echo "no page for $name"; return 1; }
  done
}
step "every command of the tool has a page" every_command_has_a_page

pages_read() {
  local page said
  for page in "$usr"/share/man/man*/*; do
    said=$(man --warnings -E UTF-8 -l "$page" 2>&1 >"$work/page") || { echo "$page: $said"; return 1; }
    [ -z "$said" ] || { echo "$page: $said"; return 1; }
    grep -q brkmap "$work/page" || { echo "$page is empty"; return 1; }
  done
}
if command -v man >/dev/null; then
  step "man shows the pages without a warning" pages_read
else
  echo "skip man_pages: $(lacks man man-db)"
fi

completes() {
  local words
  # shellcheck disable=SC1090
  words=$(. "$usr/share/bash-completion/completions/brkmap" && COMP_WORDS=(brkmap tr) COMP_CWORD=1 &&
    _brkmap brkmap tr brkmap && echo "${COMPREPLY[*]}") || return 1
  [ "$words" = trace ] || { echo "said: $words"; return 1; }
}
step "bash completes a command" completes
for shell in zsh fish; do
  command -v $shell >/dev/null || { echo "skip ${shell}_completion: $(lacks $shell $shell)"; continue; }
  file=share/zsh/site-functions/_brkmap
  [ $shell = fish ] && file=share/fish/vendor_completions.d/brkmap.fish
  step "$shell reads its completion" $shell -n "$usr/$file"
done

finds_its_own() {
  # Neither cargo nor a workspace can help: only what was installed beside it.
  env -i PATH=/usr/bin:/bin CARGO=/none "$usr/bin/brkmap" --sizes 1K,1M >"$work/said" || return 1
  grep -q brkmap-rust "$work/said" || { cat "$work/said"; return 1; }
  env -i PATH=/usr/bin:/bin CARGO=/none "$usr/bin/brkmap" demo threshold --json >"$work/said" && grep -q '"program"' "$work/said"
}
step "the installed tool finds its library, its probe and its demos" finds_its_own

service() {
  mkdir -p "$work/units/a.service.d" || return 1
  printf '[Service]\nExecStart=/bin/true\n' >"$work/units/a.service"
  cp "$usr/share/doc/brkmap/examples/brkmap.conf" "$work/units/a.service.d/" || return 1
  local said
  said=$(systemd-analyze verify --man=no "$work/units/a.service" 2>&1) || { echo "$said"; return 1; }
  [ -z "$said" ] || { echo "$said"; return 1; }
  # It does look at drop-ins.
  echo 'Enviroment=A=b' >>"$work/units/a.service.d/brkmap.conf"
  said=$(systemd-analyze verify --man=no "$work/units/a.service" 2>&1)
  case $said in *Enviroment*) ;; *) echo "a wrong drop-in was let pass"; return 1 ;; esac
}
if command -v systemd-analyze >/dev/null; then
  step "systemd takes the drop-in" service
else
  echo "skip systemd_drop_in: $(lacks systemd-analyze systemd)"
fi

# What the Dockerfile has the daemon run, without one.
image() (
  cargo new -q --vcs none --name app "$work/app" && cd "$work/app" || return 1
  echo "brkmap = { path = \"$here/allocator\" }" >>Cargo.toml
  cat >src/main.rs <<'END'
#[global_allocator]
static GLOBAL: brkmap::BrkMap = brkmap::BrkMap::new();

fn main() {
    let words: Vec<String> = (0..1000).map(|n| n.to_string()).collect();
    println!("{} {}", words.concat().len(), brkmap::Stats::read().arena_bytes > 0);
}
END
  export CARGO_TARGET_DIR=$work/app/target
  while read -r line; do
    case "$line" in
      'RUN '*) sh -euc "${line#RUN }" || return 1 ;;
      'COPY --from=build '*) read -r _ _ from to <<<"$line" ;;
    esac
  done <"$usr/share/doc/brkmap/examples/Dockerfile"
  # The image: that one file, with nothing beside it to be loaded.
  mkdir "$work/image" && cp "$work/app/${from#/src/}" "$work/image$to" || return 1
  if [ "$(id -u)" = 0 ]; then
    [ "$(chroot "$work/image" "$to")" = "2890 true" ]
  else
    [ "$("$work/image$to")" = "2890 true" ] && ! readelf -lW "$work/image$to" | grep -q INTERP
  fi
)
if (need_stable target "$(uname -m)-unknown-linux-musl"); then
  step "the Dockerfile's commands make a static image that runs" image
else
  echo "skip dockerfile: missing the target $(uname -m)-unknown-linux-musl"
fi

uninstalls() {
  DESTDIR=$work/dest PREFIX=/usr LIBDIR=/usr/lib/$triplet allocator/preload/install --uninstall || return 1
  [ -z "$(find "$work/dest" ! -type d)" ] || { find "$work/dest" ! -type d; return 1; }
}
step "uninstall takes all of it away" uninstalls

# The packages, in a Debian of its own with no more than they ask for, and a compiler.
no_root() { echo "skip debian_packages: $1"; exit $step_failed; }
[ -r /etc/debian_version ] || no_root "this machine is no Debian"
[ "$(id -u)" = 0 ] || no_root "a chroot needs root"
unshare --mount true 2>/dev/null || no_root "mounts are refused here"
want debootstrap debootstrap
command -v debootstrap >/dev/null || no_root "$(lacks debootstrap debootstrap)"
suite=$(. /etc/os-release && echo "$VERSION_CODENAME")
base=$BRKMAP_TARGET/install-root/$suite.tar
root=$work/root
if [ ! -s "$base" ]; then
  # From where this machine has its own packages.
  mirror=$(apt-get indextargets --format '$(CODENAME) $(REPO_URI)' 'Created-By: Packages' |
    awk -v suite="$suite" '$1 == suite { print $2; exit }')
  mkdir -p "${base%/*}"
  tell "making a root of Debian's $suite by debootstrap: a minute or two, once"
  debootstrap --variant=minbase --include=gcc,libc6-dev,pkg-config "$suite" "$root" "$mirror" >"$work/debootstrap" 2>&1 ||
    { tail -5 "$work/debootstrap"; no_root "missing: debootstrap could not make a root"; }
  rm -f "$root"/var/cache/apt/archives/*.deb
  tar -C "$root" -cf "$base.new" . && mv "$base.new" "$base"
else
  mkdir "$root" && tar -C "$root" -xf "$base"
fi

step "three packages are made" allocator/preload/debs "$work/debs"
mkdir -p "$root/try" && cp "$work/debs"/*.deb tests/programs/installed.c "$root/try/"
mkdir -p "$root/proc"
# within WORDS…: a shell's words in the new root.
within() {
  unshare --mount --fork sh -c 'mount -t proc proc "$1/proc" && exec chroot "$1" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin \
    LC_ALL=C sh -euc "$2"' sh "$root" "$1" 2>&1
}
says() {
  local said
  said=$(within "$1") || { echo "$said"; return 1; }
  case $said in *"$2"*) ;; *) echo "$said"; return 1 ;; esac
}
# All there is, but for what dpkg and the loader keep for themselves.
everything() {
  (cd "$root" && find . -path ./proc -prune -o -path ./try -prune -o -path ./var/lib/dpkg -prune -o \
    -path ./var/cache -prune -o -path ./var/log -prune -o -path ./etc/ld.so.cache -prune -o -print | sort)
}
everything >"$work/before"
step "the packages install with what they name" within 'dpkg -i /try/*.deb'
step "LD_PRELOAD=libbrkmap.so.0 works from anywhere" says \
  'cd / && LD_PRELOAD=libbrkmap.so.0 cat /proc/self/maps' "libbrkmap.so.$version"
c='cd /try && gcc -Wall -Werror -O1 installed.c -o prog'
step "a C program against the shared library" says \
  "$c \$(pkg-config --cflags --libs brkmap) && LD_TRACE_LOADED_OBJECTS=1 ./prog | grep -q libbrkmap.so.0 && ./prog" "brkmap: process"
step "a C program against the archive" says \
  "$c /usr/lib/$triplet/libbrkmap.a && ! LD_TRACE_LOADED_OBJECTS=1 ./prog | grep libbrkmap && ./prog" "brkmap: process"
step "a static C program, by pkg-config" says \
  "$c -static \$(pkg-config --static --cflags --libs brkmap) && ./prog" "brkmap: process"
step "a static C program at any address" says \
  "$c -static-pie \$(pkg-config --static --cflags --libs brkmap) && ./prog" "brkmap: process"
without="echo 'int malloc_stats(void); int main(void) { malloc_stats(); }' >plain.c && gcc plain.c -o plain && ./plain"
step "without it malloc_stats is glibc's" says "cd /try && $without" "Arena 0:"
step "pkg-config and the header name the version" says \
  "[ \"\$(pkg-config --modversion brkmap)\" = $version ] && $c \$(pkg-config --libs brkmap) && ./prog" "brkmap $version"
step "the tool compares" says 'brkmap --sizes 1K,1M' brkmap-rust
step "the tool runs a demo" says 'brkmap demo threshold --json' '"threshold"'
everywhere=/usr/share/doc/libbrkmap0/examples/everywhere
step "/etc/ld.so.preload: every program has it, beside what others put there" says \
  "echo libm.so.6 >/etc/ld.so.preload && $everywhere on && $everywhere on && [ \$(wc -l </etc/ld.so.preload) = 2 ] && cat /proc/self/maps" \
  "libbrkmap.so.$version"
step "and the way back" within \
  "$everywhere off && ! grep -q brkmap /proc/self/maps && [ \"\$(cat /etc/ld.so.preload)\" = libm.so.6 ] && rm /etc/ld.so.preload"
step "a library that is not there is not preloaded everywhere" within \
  "mv /usr/lib/$triplet/libbrkmap.so.0 /try/ && ! $everywhere on && [ ! -e /etc/ld.so.preload ] && mv /try/libbrkmap.so.0 /usr/lib/$triplet/"
quiet() {
  within "$everywhere on && dpkg -P brkmap libbrkmap-dev libbrkmap0 >/dev/null" || return 1
  local said
  said=$(within /bin/true) && [ -z "$said" ] || { echo "said: $said"; return 1; }
}
step "removed while every program has it: programs run on, quietly" quiet
nothing_left() { everything | diff "$work/before" -; }
step "nothing of the packages is left" nothing_left
exit $step_failed
