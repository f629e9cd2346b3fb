/* mintage.provider: a script defines a provider. The definition is data: core/providers reads it, and what a
 * script gets are operations like any shipped provider's. It is registered with the generation, as JSON, so
 * that the engine can go on by it when no script is loaded. */
#include "base/json.h"
#include "base/text.h"
#include "bindings/modules/module.h"
#include "bindings/modules/modules.h"
#include <string.h>

enum { ASKED_MAX = 16 };

static const char what[] = "provider.define";

struct outline {
    char name[24];
    size_t count;
    struct mt_operation_outline operations[MT_DEFINED_OPERATIONS_MAX];
};

/* Reads the definition. Nothing of Lua in between: what it allocates is freed when it returns. */
static int read_definition(const struct mt_buf *json, struct outline *out, struct mt_error *e) {
    json_t *definition = mt_json_parse(json->data, json->len, e);
    struct mt_provider *row = definition != NULL ? mt_provider_define(definition, e) : NULL;
    json_decref(definition);
    if (row == NULL) return -1;
    mt_copy(out->name, sizeof(out->name), row->name);
    for (out->count = 0; row->operations[out->count].name != NULL; out->count++)
        mt_operation_outline(&row->operations[out->count], &out->operations[out->count]);
    mt_provider_undefine(row);
    return 0;
}

/* Entries are functions; this one is never executed. */
static int nothing(lua_State *L) {
    (void)L;
    return 0;
}

static int define(lua_State *L) {
    struct outline outline;
    struct mt_error e;
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    if (!mt_vm_loading(L))
        luaL_error(L, "%s: a provider can be defined only while its file is loading, not in a run or handler",
                   what);
    const struct mt_buf *json = mt_module_json(L, 1, what);
    lua_pushlstring(L, json->data, json->len);
    if (read_definition(json, &outline, &e) != 0) luaL_error(L, "%s: %s", what, e.message);
    lua_pushfstring(L, "{\"definition\":%s}", lua_tostring(L, 2));
    lua_pushcfunction(L, nothing);
    mt_vm_register(L, "provider", outline.name, -1, lua_tostring(L, 3));
    lua_settop(L, 1);

    lua_getfield(L, 1, "operations");
    lua_newtable(L);
    for (size_t i = 0; i < outline.count; i++) {
        lua_getfield(L, 2, outline.operations[i].name);
        lua_pushvalue(L, 3);
        mt_module_add_operation(L, outline.name, &outline.operations[i], -2);
        lua_settop(L, 3);
    }
    return mt_module_seal(L, outline.name);
}

/* configured(operation, ...) -> true or false for each */
static int configured(lua_State *L) {
    const char *operations[ASKED_MAX];
    struct mt_effect f;
    int n = lua_gettop(L);
    mt_module_begin(L, &f, "provider.configured");
    if (n > ASKED_MAX) return luaL_error(L, "provider.configured takes %d operations at most", ASKED_MAX);
    for (int i = 0; i < n; i++) operations[i] = mt_module_operation(L, i + 1, "provider.configured");
    mt_vm_effect_begin(L);
    mt_effect_configured(f.x, (size_t)n, operations, f.site, &f.a);
    mt_module_end(L, &f);
    luaL_checkstack(L, n, "provider.configured");
    for (int i = 1; i <= n; i++) lua_rawgeti(L, n + 1, i);
    return n;
}

int mt_open_provider(lua_State *L) {
    static const luaL_Reg functions[] = {{"define", define}, {"configured", configured}, {NULL, NULL}};
    luaL_newlib(L, functions);
    return mt_module_seal(L, "mintage.provider");
}
