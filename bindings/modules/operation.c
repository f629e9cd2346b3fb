/* Operations of providers as values: `mintro.intents.create` is a userdata that can be called and that
 * flow.try, flow.undo and flow.all take. The modules are built from the providers' tables, so there is
 * nothing here about any one of them. A userdata holds a pointer to a row that lives as long as the program.
 */
#include "base/text.h"
#include "bindings/modules/module.h"
#include "providers/provider.h"
#include <string.h>

#define METATABLE "mintage.operation"

struct operation {
    const struct mt_operation *row;
    char name[96]; /* "mintro.intents.create" */
};

const char *mt_module_operation(lua_State *L, int index, const char *what) {
    struct operation *o = luaL_testudata(L, index, METATABLE);
    if (o == NULL)
        luaL_error(L, "%s takes an operation, such as mintro.intents.create (without calling it), not %s",
                   what, luaL_typename(L, index));
    return o->name;
}

/* ---- parameters ---- */

static const struct mt_operation *find_row(const char *name) {
    for (const struct mt_provider *const *p = mt_providers_all(); *p != NULL; p++) {
        size_t n = strlen((*p)->name);
        if (strncmp((*p)->name, name, n) != 0 || name[n] != '.') continue;
        for (const struct mt_operation *row = (*p)->operations; row->name != NULL; row++)
            if (strcmp(row->name, name + n + 1) == 0) return row;
    }
    return NULL;
}

/* The parameter that a string in first place stands for: the first required one that is a string; where
 * nothing is required (an id that has two names), the first. */
static const char *first_param(const struct mt_operation *row) {
    const char *first = NULL;
    bool required = false;
    if (row->kind == MT_OPERATION_SETTLED) return "id";
    for (const struct mt_param *p = row->params; p != NULL && p->name != NULL; p++) {
        required = required || p->required;
        if (p->type != MT_P_STRING) continue;
        if (p->required) return p->name;
        if (first == NULL) first = p->name;
    }
    return required ? NULL : first;
}

/* Copies the table at `from` into the one at `to`. */
static void merge(lua_State *L, int from, int to) {
    lua_pushnil(L);
    while (lua_next(L, from) != 0) {
        lua_pushvalue(L, -2);
        lua_insert(L, -2);
        lua_rawset(L, to);
    }
}

void mt_module_params(lua_State *L, const char *operation, int index, int last) {
    const struct mt_operation *row = find_row(operation);
    int count = last - index + 1;
    bool settled = row->kind == MT_OPERATION_SETTLED;
    luaL_checkstack(L, 8, operation);
    if (count <= 0 || lua_isnil(L, index)) { /* nothing given */
        lua_settop(L, index - 1);
        lua_newtable(L);
        return;
    }
    if (count == 1 && lua_istable(L, index) && !settled) return; /* the common case */

    lua_newtable(L);
    int to = lua_gettop(L);
    if (lua_istable(L, index)) {
        if (count > 1) luaL_error(L, "%s takes one table of parameters", operation);
        merge(L, index, to);
    } else if (lua_type(L, index) == LUA_TSTRING) {
        const char *first = first_param(row);
        if (first == NULL) luaL_error(L, "%s takes a table of parameters, not a string", operation);
        if (count > 2) luaL_error(L, "%s takes %s and one table at most", operation, first);
        if (count == 2 && lua_istable(L, index + 1)) {
            merge(L, index + 1, to);
        } else if (count == 2 && settled && !lua_isnil(L, index + 1)) {
            lua_pushvalue(L, index + 1);
            lua_setfield(L, to, "within");
        } else if (count == 2 && !lua_isnil(L, index + 1)) {
            luaL_error(L, "%s: after %s comes a table, not %s", operation, first,
                       luaL_typename(L, index + 1));
        }
        lua_pushvalue(L, index);
        lua_setfield(L, to, first);
    } else {
        luaL_error(L, "%s takes a table of parameters, not %s", operation, luaL_typename(L, index));
    }
    if (settled && lua_getfield(L, to, "within") != LUA_TNIL) {
        lua_pushinteger(L, mt_module_duration(L, -1, operation, "within"));
        lua_setfield(L, to, "within");
    }
    lua_settop(L, to);
    lua_replace(L, index);
    lua_settop(L, index);
}

/* ---- the userdata ---- */

static int operation_call(lua_State *L) {
    struct operation *o = luaL_checkudata(L, 1, METATABLE);
    struct mt_effect f;
    mt_module_begin(L, &f, o->name);
    mt_module_params(L, o->name, 2, lua_gettop(L));
    const struct mt_buf *params = mt_module_json(L, 2, o->name);
    mt_vm_effect_begin(L);
    mt_effect_call(f.x, o->name, params->data, params->len, f.site, &f.a);
    return mt_module_end(L, &f);
}

static int operation_tostring(lua_State *L) {
    struct operation *o = luaL_checkudata(L, 1, METATABLE);
    lua_pushstring(L, o->name);
    return 1;
}

/* What a person or a tool may want to know of it: name, doc, returns, repeat. */
static int operation_index(lua_State *L) {
    struct operation *o = luaL_checkudata(L, 1, METATABLE);
    const char *key = luaL_checkstring(L, 2);
    if (strcmp(key, "name") == 0)
        lua_pushstring(L, o->name);
    else if (strcmp(key, "doc") == 0)
        lua_pushstring(L, o->row->doc != NULL ? o->row->doc : "");
    else if (strcmp(key, "returns") == 0)
        lua_pushstring(L, o->row->returns != NULL ? o->row->returns : "");
    else if (strcmp(key, "repeats") == 0)
        lua_pushstring(L, mt_repeat_name(o->row->repeat));
    else
        return luaL_error(L, "%s is an operation: it has no \"%s\", only name, doc, returns and repeats",
                          o->name, key);
    return 1;
}

static void push_operation(lua_State *L, const struct mt_provider *provider, const struct mt_operation *row) {
    static const luaL_Reg meta[] = {{"__call", operation_call},
                                    {"__tostring", operation_tostring},
                                    {"__index", operation_index},
                                    {NULL, NULL}};
    struct operation *o = lua_newuserdatauv(L, sizeof(*o), 0);
    o->row = row;
    mt_format(o->name, sizeof(o->name), "%s.%s", provider->name, row->name);
    if (luaL_newmetatable(L, METATABLE)) luaL_setfuncs(L, meta, 0);
    lua_setmetatable(L, -2);
}

/* ---- the modules ---- */

/* Stack: [module]. Puts the operation where its dotted name says, making the tables on the way. */
static void add_operation(lua_State *L, const struct mt_provider *provider, const struct mt_operation *row) {
    int top = lua_gettop(L);
    lua_pushvalue(L, top);
    const char *part = row->name;
    for (const char *dot = strchr(part, '.'); dot != NULL; part = dot + 1, dot = strchr(part, '.')) {
        lua_pushlstring(L, part, (size_t)(dot - part));
        if (lua_rawget(L, -2) != LUA_TTABLE) {
            lua_pop(L, 1);
            lua_newtable(L);
            char name[160];
            mt_format(name, sizeof(name), "mintage.%s.%.*s", provider->name, (int)(dot - row->name),
                      row->name);
            mt_module_seal(L, name);
            lua_pushlstring(L, part, (size_t)(dot - part));
            lua_pushvalue(L, -2);
            lua_rawset(L, -4);
        }
        lua_remove(L, -2);
    }
    lua_pushstring(L, part);
    push_operation(L, provider, row);
    lua_rawset(L, -3);
    lua_settop(L, top);
}

int mt_module_provider(lua_State *L, const char *name) {
    const struct mt_provider *provider = NULL;
    for (const struct mt_provider *const *p = mt_providers_all(); *p != NULL; p++)
        if (strcmp((*p)->name, name) == 0) provider = *p;
    if (provider == NULL) return luaL_error(L, "mintage.%s: this program has no such provider", name);
    lua_newtable(L);
    for (const struct mt_operation *row = provider->operations; row->name != NULL; row++)
        add_operation(L, provider, row);
    char title[64];
    mt_format(title, sizeof(title), "mintage.%s", name);
    return mt_module_seal(L, title);
}
