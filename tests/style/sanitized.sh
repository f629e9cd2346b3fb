#!/bin/sh
# tests/style/sanitized.sh asan|tsan: builds the C units with that preset and runs them.
set -eu
preset=$1
cmake --preset "$preset" >/dev/null
cmake --build "build-$preset" --target unit_tests >"build-$preset/build.log" 2>&1 || {
  tail -n 60 "build-$preset/build.log"
  exit 1
}
ASAN_OPTIONS=detect_stack_use_after_return=1 ctest --test-dir "build-$preset" --output-on-failure -R '^unit\.' -j 2
