/* The Lua files of a generation, read from a folder or from the program itself. A set owns everything in it
 * and is sorted by name, so equal contents are equal sets. No state; any thread. */
#pragma once
#include "base/error.h"
#include "bindings/vm/vm.h"
#include "http/assets.h"
#include <stdbool.h>

struct mt_source_set {
    struct mt_source *files; /* names and texts are the set's own */
    size_t count;
};

/* Reads every *.lua below `dir`: the top level and its subfolders, but neither hidden ones nor `sandbox` (the
 * emulated providers are loaded by mintage sandbox alone). At most 1,000 files, 1 MiB each, 16 MiB together.
 */
int mt_source_set_read(const char *dir, struct mt_source_set *out, struct mt_error *e);
/* One file, as the only one of its folder's top level that is a flow (the others are left out, subfolders are
 * not). */
int mt_source_set_read_one(const char *file, struct mt_source_set *out, struct mt_error *e);
/* Copies the *.lua of an embedded tree (ends with a NULL path), without those below a folder named `sandbox`.
 */
void mt_source_set_embedded(const struct mt_asset *assets, struct mt_source_set *out);
/* Adds one file; copies both. Keeps no order: mt_source_set_sort when done. */
void mt_source_set_add(struct mt_source_set *s, const char *name, const char *text, size_t len);
void mt_source_set_sort(struct mt_source_set *s);
void mt_source_set_clear(struct mt_source_set *s);
