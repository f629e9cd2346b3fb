#!/bin/sh
# tests/crash/crash.sh [--runs N] [--kills N] [--seed N] [--mintage FILE]: the crash test, larger than the daily one (60 and 8).
set -eu
cd "$(dirname "$0")/../.."
runs=300 kills=20 seed= mintage=build/mintage
while [ $# -gt 0 ]; do
  case "$1" in
  --runs) runs=$2 ;;
  --kills) kills=$2 ;;
  --seed) seed=$2 ;;
  --mintage) mintage=$2 ;;
  *)
    sed -n '2s/^# //p' "$0" >&2
    exit 2
    ;;
  esac
  shift 2
done
CRASH_RUNS=$runs CRASH_KILLS=$kills CRASH_SEED=${seed:-$(date +%s)} exec "$mintage" test tests/crash/crash_spec.lua
