/* require: how the files of a generation, the library and the C modules find each other. Private to
 * bindings/vm. Raises like Lua; the thread of the execution. */
#pragma once
#include "bindings/vm/vm.h"
#include <lua.h>

/* Compiles a file and keeps the chunk under its module name ("lib/tax.lua": "lib.tax"); raises
 * "lib/tax.lua:3: ...". */
void mt_require_compile(lua_State *L, const struct mt_source *file);
/* Runs a compiled file once and pushes what it returned. */
void mt_require_file(lua_State *L, const struct mt_source *file);
