/* mintage.collection: small documents with unique keys and conditional updates. A document in Lua is one
 * table: its own fields, and `id` and `version` beside them; here the two are taken apart and put together.
 */
#include "base/text.h"
#include "bindings/modules/module.h"
#include "bindings/modules/modules.h"
#include <string.h>

#define METATABLE "mintage.collection"

enum { NAME_BYTES = 63, ID_BYTES = 255, FIELDS_MAX = 8, LIST_MAX = 1000, KEEP_MIN_MS = 1000 };

/* Upvalue-free: everything the effect needs is in the object: { name, unique (JSON), index (JSON), keep (ms)
 * }. */
static const char *part(lua_State *L, const char *field) {
    lua_getfield(L, 1, field);
    const char *s = lua_tostring(L, -1);
    lua_pop(L, 1); /* the object keeps it */
    return s;
}

static void check_self(lua_State *L, const char *method) {
    bool ok = lua_istable(L, 1) && lua_getmetatable(L, 1);
    if (ok) {
        luaL_getmetatable(L, METATABLE);
        ok = lua_rawequal(L, -1, -2);
        lua_pop(L, 2);
    }
    if (!ok) luaL_error(L, "call it with a colon: orders:%s(...)", method);
}

/* Carries out `action` with the parameters at the top of the stack. Pushes the answer. */
static int collection_effect(lua_State *L, const char *action) {
    char what[96];
    struct mt_effect f;
    mt_format(what, sizeof(what), "%s:%s", part(L, "name"), action);
    mt_module_begin(L, &f, what);
    const struct mt_buf *params = mt_module_json(L, -1, what);
    mt_vm_effect_begin(L);
    lua_getfield(L, 1, "keep");
    struct mt_collection c = {part(L, "name"), part(L, "unique"), part(L, "index"), lua_tointeger(L, -1)};
    lua_pop(L, 1);
    mt_effect_collection(f.x, &c, action, params->data, f.site, &f.a);
    return mt_module_end(L, &f);
}

/* {id, version, doc} at the top -> one table; nil stays. */
static int join(lua_State *L) {
    if (!lua_istable(L, -1)) return 1;
    int answer = lua_gettop(L);
    if (lua_getfield(L, answer, "doc") != LUA_TTABLE) {
        lua_settop(L, answer);
        return 1;
    }
    lua_getfield(L, answer, "id");
    lua_setfield(L, -2, "id");
    lua_getfield(L, answer, "version");
    lua_setfield(L, -2, "version");
    lua_replace(L, answer);
    lua_settop(L, answer);
    return 1;
}

/* A copy of the table at `index` without id and version. */
static void fields_of(lua_State *L, int index) {
    lua_newtable(L);
    lua_pushnil(L);
    while (lua_next(L, index) != 0) {
        bool ours = lua_type(L, -2) == LUA_TSTRING &&
                    (strcmp(lua_tostring(L, -2), "id") == 0 || strcmp(lua_tostring(L, -2), "version") == 0);
        if (ours) {
            lua_pop(L, 1);
            continue;
        }
        lua_pushvalue(L, -2);
        lua_insert(L, -2);
        lua_rawset(L, -4);
    }
}

/* Pushes a new id: 26 lower-case characters, derived from the run (or random in a handler). */
static void push_new_id(lua_State *L, const char *what) {
    static const char digits[] = "0123456789abcdefghjkmnpqrstvwxyz";
    uint8_t bytes[26];
    char id[27];
    mt_exec_random(mt_module_exec(L, what), bytes, sizeof(bytes));
    for (size_t i = 0; i < sizeof(bytes); i++) id[i] = digits[bytes[i] & 31];
    id[26] = '\0';
    lua_pushstring(L, id);
}

static void check_version(lua_State *L, int index, const char *what) {
    if (!lua_isinteger(L, index) || lua_tointeger(L, index) < 0)
        luaL_error(L, "%s: version must be an integer, not %s", what, luaL_typename(L, index));
}

/* insert and put: the document at 2. Answers it as it is now. */
static int write_document(lua_State *L, const char *action, bool conditional) {
    check_self(L, action);
    lua_settop(L, 2);
    if (!lua_istable(L, 2))
        return luaL_error(L, "%s:%s wants a document such as { id = \"...\", ... }, not %s", part(L, "name"),
                          action, luaL_typename(L, 2));
    lua_createtable(L, 0, 3); /* 3: params */
    if (lua_getfield(L, 2, "id") == LUA_TNIL) {
        lua_pop(L, 1);
        push_new_id(L, action);
    }
    mt_module_string(L, -1, action, "id", ID_BYTES);
    lua_setfield(L, 3, "id");
    if (lua_getfield(L, 2, "version") != LUA_TNIL && conditional) {
        check_version(L, -1, action);
        lua_setfield(L, 3, "version");
    }
    lua_settop(L, 3);
    fields_of(L, 2);
    lua_pushvalue(L, -1);
    lua_setfield(L, 3, "doc"); /* 4: doc */
    lua_pushvalue(L, 3);
    collection_effect(L, action); /* ..., answer */
    lua_getfield(L, -1, "id");
    lua_setfield(L, 4, "id");
    lua_getfield(L, -1, "version");
    lua_setfield(L, 4, "version");
    lua_settop(L, 4);
    return 1;
}

static int insert(lua_State *L) {
    return write_document(L, "insert", false);
}
static int put(lua_State *L) {
    return write_document(L, "put", true);
}

/* Puts the id at 2 and the options' version into the parameters at the top. */
static void id_and_version(lua_State *L, int options, const char *what) {
    static const char *const names[] = {"version", NULL};
    int params = lua_gettop(L);
    mt_module_string(L, 2, what, "id", ID_BYTES);
    lua_pushvalue(L, 2);
    lua_setfield(L, params, "id");
    if (options == 0 || lua_isnil(L, options)) return;
    mt_module_fields(L, options, what, names);
    if (mt_module_option(L, options, "version") != LUA_TNIL) {
        check_version(L, -1, what);
        lua_setfield(L, params, "version");
    }
    lua_settop(L, params);
}

static int update(lua_State *L) {
    check_self(L, "update");
    lua_settop(L, 4);
    if (!lua_istable(L, 3))
        return luaL_error(L, "%s:update wants an id and a table of changes, not %s", part(L, "name"),
                          luaL_typename(L, 3));
    lua_createtable(L, 0, 3);
    id_and_version(L, 4, "update");
    fields_of(L, 3);
    lua_setfield(L, 5, "set");
    return collection_effect(L, "update");
}

static int delete (lua_State *L) {
    check_self(L, "delete");
    lua_settop(L, 3);
    lua_createtable(L, 0, 2);
    id_and_version(L, 3, "delete");
    return collection_effect(L, "delete");
}

static int get(lua_State *L) {
    check_self(L, "get");
    lua_settop(L, 2);
    lua_createtable(L, 0, 1);
    id_and_version(L, 0, "get");
    collection_effect(L, "get");
    return join(L);
}

static int by(lua_State *L) {
    check_self(L, "by");
    lua_settop(L, 3);
    mt_module_string(L, 2, "by", "the field", NAME_BYTES);
    if (lua_isnil(L, 3))
        return luaL_error(L, "%s:by wants the value of \"%s\", not nil", part(L, "name"), lua_tostring(L, 2));
    lua_createtable(L, 0, 2);
    lua_pushvalue(L, 2);
    lua_setfield(L, 4, "field");
    lua_pushvalue(L, 3);
    lua_setfield(L, 4, "value");
    collection_effect(L, "by");
    return join(L);
}

static int list(lua_State *L) {
    static const char *const names[] = {"field", "value", "after", "limit", "newest", NULL};
    check_self(L, "list");
    lua_settop(L, 2);
    if (lua_isnil(L, 2)) {
        lua_newtable(L);
        lua_replace(L, 2);
    }
    mt_module_fields(L, 2, "list", names);
    if (lua_getfield(L, 2, "limit") != LUA_TNIL &&
        (!lua_isinteger(L, -1) || lua_tointeger(L, -1) < 1 || lua_tointeger(L, -1) > LIST_MAX))
        return luaL_error(L, "%s:list: limit must be an integer from 1 to %d", part(L, "name"),
                          (int)LIST_MAX);
    lua_settop(L, 2);
    collection_effect(L, "list");
    int documents = lua_gettop(L);
    lua_Integer n = lua_istable(L, documents) ? (lua_Integer)lua_rawlen(L, documents) : 0;
    for (lua_Integer i = 1; i <= n; i++) {
        lua_rawgeti(L, documents, i);
        join(L);
        lua_rawseti(L, documents, i);
    }
    return 1;
}

/* ---- define ---- */

/* The field names under `option` as a JSON array in the string pushed. */
static void push_field_names(lua_State *L, const char *collection, const char *option) {
    mt_module_option(L, 2, option);
    if (lua_isnil(L, -1)) {
        lua_pop(L, 1);
        lua_pushliteral(L, "[]");
        return;
    }
    lua_Integer n = lua_istable(L, -1) ? (lua_Integer)lua_rawlen(L, -1) : 0;
    if (n == 0 || n > FIELDS_MAX)
        luaL_error(L, "collection.define \"%s\": %s must be a list of 1 to %d field names", collection,
                   option, (int)FIELDS_MAX);
    for (lua_Integer i = 1; i <= n; i++) {
        lua_rawgeti(L, -1, i);
        mt_module_string(L, -1, "collection.define", option, NAME_BYTES);
        lua_pop(L, 1);
    }
    const struct mt_buf *b = mt_module_json(L, -1, "collection.define");
    lua_pushlstring(L, b->data, b->len);
    lua_remove(L, -2);
}

/* How long a document is kept after it was written, in ms; 0: for ever. */
static void push_keep(lua_State *L, const char *collection) {
    char what[NAME_BYTES + 32];
    lua_Integer ms = 0;
    mt_format(what, sizeof what, "collection.define \"%s\"", collection);
    if (mt_module_option(L, 2, "keep") != LUA_TNIL) {
        ms = mt_module_duration(L, -1, what, "keep");
        if (ms < KEEP_MIN_MS) luaL_error(L, "%s: keep must be a second or more, such as \"90d\"", what);
    }
    lua_pop(L, 1);
    lua_pushinteger(L, ms);
}

static int define(lua_State *L) {
    static const char *const options[] = {"unique", "index", "keep", NULL};
    lua_settop(L, 2);
    const char *name = mt_module_string(L, 1, "collection.define", "the name", NAME_BYTES);
    if (!lua_isnil(L, 2)) mt_module_fields(L, 2, "collection.define", options);
    lua_createtable(L, 0, 3);
    lua_pushvalue(L, 1);
    lua_setfield(L, 3, "name");
    push_field_names(L, name, "unique");
    lua_setfield(L, 3, "unique");
    push_field_names(L, name, "index");
    lua_setfield(L, 3, "index");
    push_keep(L, name);
    lua_setfield(L, 3, "keep");
    luaL_setmetatable(L, METATABLE);
    return 1;
}

static const luaL_Reg methods[] = {{"insert", insert}, {"put", put}, {"update", update}, {"delete", delete},
                                   {"get", get},       {"by", by},   {"list", list},     {NULL, NULL}};
static const luaL_Reg functions[] = {{"define", define}, {NULL, NULL}};

int mt_open_collection(lua_State *L) {
    luaL_newmetatable(L, METATABLE);
    luaL_newlib(L, methods);
    mt_module_seal(L, METATABLE);
    lua_setfield(L, -2, "__index");
    lua_pop(L, 1);
    luaL_newlib(L, functions);
    return mt_module_seal(L, "mintage.collection");
}
