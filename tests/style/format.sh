#!/bin/sh
# tests/style/format.sh [CLANG-FORMAT]: names every C file that is not as .clang-format says. To mend them:
#   git ls-files '*.c' '*.h' '*.cc' | xargs clang-format -i
set -eu
tool=${1:-clang-format}
files=$(find core bindings tests -name node_modules -prune -o \( -name '*.c' -o -name '*.h' -o -name '*.cc' \) -print | sort)
# shellcheck disable=SC2086 # names of files, to be split
"$tool" --dry-run $files 2>&1 | grep -o '^[^ :]*:[0-9]*' | cut -d: -f1 | sort -u >"${TMPDIR:-/tmp}/unformatted.$$" || true
bad=$(wc -l <"${TMPDIR:-/tmp}/unformatted.$$")
sed 's/^/not formatted: /' "${TMPDIR:-/tmp}/unformatted.$$"
rm -f "${TMPDIR:-/tmp}/unformatted.$$"
echo "$bad files are not formatted"
[ "$bad" -eq 0 ]
