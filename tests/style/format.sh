#!/bin/sh
# tests/style/format.sh [CLANG-FORMAT]: names every C file that is not as .clang-format says. To mend them:
#   git ls-files '*.c' '*.h' | xargs clang-format -i
set -eu
tool=${1:-clang-format}
bad=0
for file in $(find core bindings tests -name node_modules -prune -o \( -name '*.c' -o -name '*.h' \) -print | sort); do
  if ! "$tool" --dry-run -Werror "$file" >/dev/null 2>&1; then
    echo "not formatted: $file"
    bad=$((bad + 1))
  fi
done
echo "$bad files are not formatted"
[ "$bad" = 0 ]
