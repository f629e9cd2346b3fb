/* The flow "console", which every generation has: an operation that a person calls at a console is a run of
 * it, so that it is as durable as any flow's. Its one effect is the call; the parameters come sealed, and it
 * has no output, since what the call answered stands in the journal, sealed where it must be. On the thread
 * of its execution. */
#include "bindings/modules/console.h"
#include "base/json.h"
#include "bindings/modules/module.h"

static int run(lua_State *L) {
    struct mt_effect f;
    size_t len;
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    lua_getfield(L, 1, "operation");
    lua_getfield(L, 1, "exact");
    const char *operation = luaL_checkstring(L, 2), *params = luaL_checklstring(L, 3, &len);
    mt_module_begin(L, &f, operation);
    mt_vm_effect_begin(L);
    mt_effect_call(f.x, operation, params, len, f.site, &f.a);
    mt_module_end(L, &f);
    return 0;
}

const struct mt_vm_entry mt_console_entries[] = {{"flow:" MT_CONSOLE_FLOW, run}, {NULL, NULL}};

json_t *mt_console_schema(void) {
    return json_pack("{s:s, s:s, s:s, s:s, s:{s:s, s:i}}", "operation", "string", "by", "string", "session",
                     "string", "params", "any", "exact", "type", "secret", "max", MT_VALUE_MAX);
}
