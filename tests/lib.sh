# What the suites share; sourced by tests/run and by each tests/suites/*.sh, from the root of the tree.

BRKMAP_TARGET=${CARGO_TARGET_DIR:-$PWD/target}
export BRKMAP_TARGET

# How a suite says that it did not run. `cannot`: this machine is not allowed or not able to. `skipped`: it
# could be, but something went wrong or was forbidden on the way (.ci/run takes that as a failure).
# `absent`: the tree does not hold what the suite would test.
CANNOT=77 SKIPPED=78 ABSENT=79

cannot() { echo "$1${2:+; install: $2}" | tee "$BRKMAP_REASON"; exit "$CANNOT"; }
skipped() { echo "$1${2:+; install: $2}" | tee "$BRKMAP_REASON"; exit "$SKIPPED"; }
absent() { echo "$1" | tee "$BRKMAP_REASON"; exit "$ABSENT"; }

# tell WORDS…: for whoever waits before tests/run, and for the log.
tell() {
  echo "$*"
  if [ -n "${BRKMAP_TELL:-}" ]; then echo "   $*" >&3; fi
}

# step NAME CMD…: one test made of one command.
step_failed=0
step() {
  local name=$1
  shift
  if "$@"; then echo "ok $name"; else echo "not ok $name"; step_failed=1; fi
}

# cargo_test ARGS… [-- TEST ARGS…]: shows what passing tests print, so that their SKIP lines count.
cargo_test() {
  local ours=() theirs=() seen=0 word
  for word in "$@"; do
    if [ $seen = 0 ] && [ "$word" = -- ]; then seen=1; continue; fi
    if [ $seen = 0 ]; then ours+=("$word"); else theirs+=("$word"); fi
  done
  cargo test --no-fail-fast "${ours[@]}" -- --show-output ${theirs[@]+"${theirs[@]}"}
}

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi
}

# apt PACKAGE…: installs Debian packages, or ends the suite with the reason. It reads nothing: its caller may be
# reading a list.
apt() {
  local line="apt-get install $*"
  [ "${BRKMAP_INSTALL:-yes}" = no ] && skipped "missing $* and BRKMAP_INSTALL=no" "$line"
  command -v apt-get >/dev/null || cannot "missing $*, and no apt-get here" "$line (on Debian)"
  as_root true 2>/dev/null || cannot "missing $*, and neither root nor passwordless sudo" "$line"
  tell "installing $*"
  apt_once "$@" && return
  # One update a run is enough, and none is needed where the lists are fresh.
  local stamp=$BRKMAP_TARGET/test-logs/apt-updated
  if [ -z "$(find "$stamp" -mmin -60 2>/dev/null)" ]; then
    as_root apt-get -qq update && mkdir -p "${stamp%/*}" && touch "$stamp"
    apt_once "$@" && return
  fi
  skipped "could not install $*" "$line"
} </dev/null
apt_once() {
  as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300 \
    install -y --no-install-recommends "$@"
}

# packages FILE: the Debian packages it lists, a line each.
packages() {
  local package missing=()
  while read -r package; do
    case "$package" in '' | '#'*) continue ;; esac
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
  done <"$1"
  [ ${#missing[@]} -eq 0 ] || apt "${missing[@]}"
}

# need COMMAND PACKAGE: the command, from that Debian package if it is not here yet; else the suite ends.
need() { command -v "$1" >/dev/null || apt "$2"; }

# want COMMAND PACKAGE: the same, also for a file by its whole name, but the suite goes on: its tests name what they
# lack, and BRKMAP_CANNOT tells them whether this machine could have had it.
want() {
  if [ -e "$1" ] || command -v "$1" >/dev/null; then return; fi
  (apt "$2")
  [ $? = "$CANNOT" ] && export BRKMAP_CANNOT=1
  return 0
}

# need_nightly COMPONENT…: a nightly toolchain with these components.
need_nightly() {
  local line="rustup toolchain install nightly --profile minimal --component $(IFS=,; echo "$*")"
  command -v rustup >/dev/null || cannot "no rustup here to bring a nightly toolchain" "$line"
  local have missing=0 word
  have=$(rustup component list --toolchain nightly --installed 2>/dev/null) || missing=1
  for word in "$@"; do grep -q "^$word" <<<"$have" || missing=1; done
  [ $missing = 0 ] && return
  [ "${BRKMAP_INSTALL:-yes}" = no ] && skipped "missing nightly with $* and BRKMAP_INSTALL=no" "$line"
  tell "installing nightly Rust with $*"
  $line || skipped "could not install nightly with $*" "$line"
}

# need_stable KIND NAME: a component or a target of the toolchain in use.
need_stable() {
  local line="rustup $1 add $2"
  if command -v rustup >/dev/null; then
    rustup "$1" list --installed 2>/dev/null | grep -q "^$2" && return
  elif [ "$1" = component ]; then
    command -v "cargo-${2/rustfmt/fmt}" >/dev/null && return
  fi
  command -v rustup >/dev/null || cannot "no rustup here to bring $2" "$line"
  [ "${BRKMAP_INSTALL:-yes}" = no ] && skipped "missing $2 and BRKMAP_INSTALL=no" "$line"
  tell "installing $2 for Rust"
  $line || skipped "could not add $2" "$line"
}

# Under cargo and rustc the linker is always needed.
need_linker() { command -v cc >/dev/null || apt gcc libc6-dev; }
