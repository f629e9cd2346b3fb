/* What scripts can require: one row per mintage.* module. The table is read only. A program that has a module
 * of its own (the sandbox's clock) puts both into one array with mt_modules_with(). */
#pragma once
#include "bindings/vm/vm.h"
#include <stddef.h>

/* Ends with a NULL name. */
extern const struct mt_vm_module mt_modules[];

/* Copies mt_modules and then `extra` (ends with a NULL name; a row of the same name replaces ours) into out,
 * which has room for `size` rows with the last one. Returns how many rows there are, or 0 when they do not
 * fit. */
size_t mt_modules_with(const struct mt_vm_module *extra, struct mt_vm_module *out, size_t size);

/* What the open functions share: the modules' own files define them. */
int mt_open_flow(lua_State *L);
int mt_open_collection(lua_State *L);
int mt_open_provider(lua_State *L);
int mt_open_web(lua_State *L);
int mt_open_task(lua_State *L);
int mt_open_deliver(lua_State *L);
int mt_open_crypto(lua_State *L);
int mt_open_time(lua_State *L);
int mt_open_money(lua_State *L);    /* money.c */
int mt_open_json(lua_State *L);     /* json.c */
int mt_open_settings(lua_State *L); /* settings.c */
