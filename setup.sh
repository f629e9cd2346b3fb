#!/bin/sh
# The two commands: ./setup.sh dev and ./setup.sh test. Installs what is missing (Debian packages), builds into build/, and starts or
# tests. Without arguments it stops after building; any other arguments go to build/mintage.
set -eu
root=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)

build_packages="gcc g++ libc6-dev binutils cmake ninja-build pkg-config libcurl4-openssl-dev libssl-dev libsqlite3-dev
  libcivetweb-dev libjansson-dev libsimdjson-dev libjemalloc-dev liblua5.4-dev lua-cjson-dev lua-check
  libedit-dev zlib1g-dev"
test_packages="libcmocka-dev tmux lua-busted lua-filesystem clang-format chromium nodejs curl"

say() { printf '%s\n' "$*" >&2; }

# ---- what is missing ----

installed() { dpkg-query -W -f '${Status}' "$1" 2>/dev/null | grep -q 'ok installed'; }

as_root() {
  if [ "$(id -u)" = 0 ]; then
    "$@"
  elif command -v sudo >/dev/null; then
    sudo "$@"
  else
    say "This needs root. Run it as root, or install sudo: $*"
    exit 1
  fi
}

apt_install() {
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "$@" >&2
}

# Lists of packages may be old or, on a fresh system, not there at all.
install_debian() {
  missing=
  for package in $1; do installed "$package" || missing="$missing $package"; done
  # Node.js of other sources brings npm with it.
  case "$1" in *nodejs*) command -v npm >/dev/null || missing="$missing npm" ;; esac
  [ -n "$missing" ] || return 0
  say "Installing:$missing"
  # shellcheck disable=SC2086 # names of packages, to be split
  apt_install $missing || { as_root apt-get update -q >&2 && apt_install $missing; }
}

lacks_library() { ! pkg-config --exists "$1" 2>/dev/null; }
lacks_file() { ! find /usr/include /usr/lib /usr/local/include /usr/local/lib -name "$1" 2>/dev/null | grep -q .; }

name_missing() {
  missing=
  for program in cc objcopy cmake ninja pkg-config luacheck; do
    command -v "$program" >/dev/null || missing="$missing\n  program  $program"
  done
  for library in libcurl libcrypto sqlite3 jansson simdjson lua5.4 libedit zlib; do
    if lacks_library "$library"; then missing="$missing\n  library  $library (with its pkg-config file)"; fi
  done
  if lacks_file civetweb.h; then missing="$missing\n  library  civetweb (civetweb.h)"; fi
  if lacks_file liblua5.4-cjson.a; then missing="$missing\n  library  lua-cjson for Lua 5.4 (liblua5.4-cjson.a)"; fi
  if [ "$1" = test ]; then
    for program in clang-format node npm chromium tmux; do
      command -v "$program" >/dev/null || missing="$missing\n  program  $program"
    done
    if lacks_library cmocka; then missing="$missing\n  library  cmocka"; fi
    if lacks_file busted.lua; then missing="$missing\n  library  busted for Lua 5.4"; fi
  fi
  [ -z "$missing" ] && return 0
  say "This system has no apt-get, so install these by its own means, then run ./setup.sh again:"
  printf '%b\n' "$missing" >&2
  exit 1
}

install() {
  if command -v apt-get >/dev/null; then
    install_debian "$build_packages"
    [ "$1" = build ] || install_debian "$test_packages"
  else
    name_missing "$1"
  fi
}

# ---- building and testing ----

# With or without tests: a build for use needs no cmocka.
build() {
  log=$root/build/setup.log
  mkdir -p "$root/build"
  if ! { (cd "$root" && cmake --preset release -DMT_TESTS="$1") && cmake --build "$root/build"; } >"$log" 2>&1; then
    tail -n 40 "$log" >&2
    say "The build failed; all it said is in $log"
    exit 1
  fi
}

# Without them the browser tests fail, and say so, but the others can be run.
browser_packages() {
  [ -d "$root/tests/browser/node_modules/playwright-core" ] ||
    (cd "$root/tests/browser" && npm ci --no-audit --no-fund --ignore-scripts >&2) ||
    say "npm could not fetch playwright-core; the browser tests will fail."
}

test_all() {
  browser_packages
  status=$root/build/test.status
  { ctest --test-dir "$root/build" --output-on-failure -j "$(nproc)" "$@" && echo 0 >"$status" || echo 1 >"$status"; } 2>&1 |
    tee "$root/build/test.log"
  grep -E '^[0-9]+% tests passed' "$root/build/test.log" | tail -n 1 | grep . || say "No test was run."
  return "$(cat "$status")"
}

case "${1-}" in
'')
  install build && build OFF
  say "Built $root/build/mintage. Next: ./setup.sh dev"
  ;;
test)
  shift
  install test && build ON
  test_all "$@"
  ;;
*)
  install build
  [ -x "$root/build/mintage" ] && tests=$(grep -c '^MT_TESTS:BOOL=ON' "$root/build/CMakeCache.txt" || true) || tests=0
  build "$([ "$tests" = 1 ] && echo ON || echo OFF)"
  exec "$root/build/mintage" "$@"
  ;;
esac
