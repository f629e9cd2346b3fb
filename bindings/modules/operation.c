/* Operations of providers as values: `mintro.intents.create` is a userdata that can be called and that
 * flow.try, flow.undo and flow.all take. The modules are built from the providers' tables, so there is
 * nothing here about any one of them. A userdata holds what it needs itself: a defined provider's row is gone
 * when its file has been loaded. */
#include "base/text.h"
#include "bindings/modules/module.h"
#include "providers/provider.h"
#include <string.h>

#define METATABLE "mintage.operation"

struct operation {
    enum mt_operation_kind kind;
    const char *doc, *returns; /* static; NULL: the user value, a table, has them */
    const char *repeats;
    char first[64]; /* the parameter that a string in first place stands for; "": none */
    char name[96];  /* "mintro.intents.create" */
};

const char *mt_module_operation(lua_State *L, int index, const char *what) {
    struct operation *o = luaL_testudata(L, index, METATABLE);
    if (o == NULL)
        luaL_error(L, "%s takes an operation, such as mintro.intents.create (without calling it), not %s",
                   what, luaL_typename(L, index));
    return o->name;
}

/* ---- parameters ---- */

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

void mt_module_params(lua_State *L, int at, int index, int last) {
    const struct operation *o = luaL_checkudata(L, at, METATABLE);
    const char *operation = o->name, *first = o->first;
    int count = last - index + 1;
    bool settled = o->kind == MT_OPERATION_SETTLED;
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
        if (first[0] == '\0') luaL_error(L, "%s takes a table of parameters, not a string", operation);
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
    mt_module_params(L, 1, 2, lua_gettop(L));
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
    bool doc = strcmp(key, "doc") == 0, returns = strcmp(key, "returns") == 0;
    if (strcmp(key, "name") == 0) {
        lua_pushstring(L, o->name);
    } else if (doc || returns) {
        const char *text = doc ? o->doc : o->returns;
        if (text == NULL && lua_getiuservalue(L, 1, 1) == LUA_TTABLE &&
            lua_getfield(L, -1, key) == LUA_TSTRING)
            return 1;
        lua_pushstring(L, text != NULL ? text : "");
    } else if (strcmp(key, "repeats") == 0) {
        lua_pushstring(L, o->repeats);
    } else {
        return luaL_error(L, "%s is an operation: it has no \"%s\", only name, doc, returns and repeats",
                          o->name, key);
    }
    return 1;
}

void mt_operation_outline(const struct mt_operation *row, struct mt_operation_outline *out) {
    const char *first = first_param(row);
    out->kind = row->kind;
    out->repeats = mt_repeat_name(row->repeat);
    mt_copy(out->name, sizeof(out->name), row->name);
    mt_copy(out->first, sizeof(out->first), first != NULL ? first : "");
}

static struct operation *push_operation(lua_State *L, const char *provider,
                                        const struct mt_operation_outline *outline) {
    static const luaL_Reg meta[] = {{"__call", operation_call},
                                    {"__tostring", operation_tostring},
                                    {"__index", operation_index},
                                    {NULL, NULL}};
    struct operation *o = lua_newuserdatauv(L, sizeof(*o), 1);
    *o = (struct operation){.kind = outline->kind, .repeats = outline->repeats};
    mt_copy(o->first, sizeof(o->first), outline->first);
    mt_format(o->name, sizeof(o->name), "%s.%s", provider, outline->name);
    if (luaL_newmetatable(L, METATABLE)) luaL_setfuncs(L, meta, 0);
    lua_setmetatable(L, -2);
    return o;
}

/* ---- the modules ---- */

/* Stack: [module, operation]. Puts the operation where its dotted name says, making the tables on the way. */
static void add_operation(lua_State *L, const char *prefix, const char *full) {
    int top = lua_gettop(L);
    lua_pushvalue(L, top - 1);
    const char *part = full;
    for (const char *dot = strchr(part, '.'); dot != NULL; part = dot + 1, dot = strchr(part, '.')) {
        lua_pushlstring(L, part, (size_t)(dot - part));
        if (lua_rawget(L, -2) != LUA_TTABLE) {
            lua_pop(L, 1);
            lua_newtable(L);
            char name[160];
            mt_format(name, sizeof(name), "%s.%.*s", prefix, (int)(dot - full), full);
            mt_module_seal(L, name);
            lua_pushlstring(L, part, (size_t)(dot - part));
            lua_pushvalue(L, -2);
            lua_rawset(L, -4);
        }
        lua_remove(L, -2);
    }
    lua_pushstring(L, part);
    lua_pushvalue(L, top);
    lua_rawset(L, -3);
    lua_settop(L, top - 1);
}

void mt_module_add_operation(lua_State *L, const char *provider, const struct mt_operation_outline *outline,
                             int words) {
    words = lua_absindex(L, words);
    push_operation(L, provider, outline);
    lua_pushvalue(L, words);
    lua_setiuservalue(L, -2, 1);
    add_operation(L, provider, outline->name);
}

int mt_module_provider(lua_State *L, const char *name) {
    const struct mt_provider *provider = NULL;
    for (const struct mt_provider *const *p = mt_providers_all(); *p != NULL; p++)
        if (strcmp((*p)->name, name) == 0) provider = *p;
    if (provider == NULL) return luaL_error(L, "mintage.%s: this program has no such provider", name);
    char title[64];
    mt_format(title, sizeof(title), "mintage.%s", name);
    lua_newtable(L);
    for (const struct mt_operation *row = provider->operations; row->name != NULL; row++) {
        struct mt_operation_outline outline;
        mt_operation_outline(row, &outline);
        struct operation *o = push_operation(L, name, &outline);
        o->doc = row->doc != NULL ? row->doc : "";
        o->returns = row->returns != NULL ? row->returns : "";
        add_operation(L, title, row->name);
    }
    return mt_module_seal(L, title);
}
