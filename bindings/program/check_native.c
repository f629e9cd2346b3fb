/* What `mintage check` knows comes from here: the VM is asked what a name is, the operations' tables whether
 * a value fits, the readers of money and durations whether a text is one. Nothing of it is kept twice. One
 * thread. */
#include "base/json.h"
#include "base/text.h"
#include "bindings/vm/value.h"
#include "check.h"
#include "embedded.h"
#include "money/money.h"
#include "providers/provider.h"
#include "testing.h"
#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>

enum { NAMES_MAX = 1000, ANSWER_MAX = 1 << 20 };

/* ---- the VM ---- */

struct asking {
    const char *question;
    struct mt_buf answer;
    struct mt_error error;
};

static int push_question(lua_State *L, void *arg) {
    const struct asking *a = arg;
    mt_value_push(L, a->question, strlen(a->question));
    return 1;
}

static int take_answer(lua_State *L, void *arg) {
    struct asking *a = arg;
    mt_buf_reset(&a->answer);
    if (lua_gettop(L) > 0) mt_value_encode(L, 1, &a->answer, &a->error);
    return 0;
}

/* upvalue: the checker. A question's JSON, the answer's JSON: see checking/ask.lua. */
static int ask(lua_State *L) {
    const struct mt_check_known *k = lua_touserdata(L, lua_upvalueindex(1));
    struct asking a = {.question = luaL_checkstring(L, 1)};
    struct mt_vm_result r;
    struct mt_vm_call call = {.entry = "flow:ask", .push = push_question, .take = take_answer, .arg = &a};
    mt_buf_init(&a.answer, ANSWER_MAX);
    mt_vm_execute(k->vm, k->asked, &call, &r);
    bool ok = r.exit == MT_EXIT_RETURNED && mt_buf_ok(&a.answer) && a.answer.len > 0;
    lua_pushlstring(L, ok ? a.answer.data : "{}", ok ? a.answer.len : 2);
    mt_vm_result_clear(&r);
    mt_buf_clear(&a.answer);
    return 1;
}

struct mt_generation *mt_check_asked(struct mt_vm *vm, struct mt_error *e) {
    for (const struct mt_asset *a = mt_embedded_checking; a->path; a++) {
        if (strcmp(a->path, "ask.lua") != 0) continue;
        struct mt_source file = {"ask.lua", (const char *)a->data, a->len};
        return mt_generation_load(vm, &file, 1, NULL, e);
    }
    return mt_fail_null(e, MT_INTERNAL, "the program lacks checking/ask.lua");
}

/* ---- texts ---- */

/* nearest(name, names): the one that was probably meant, or nil. */
static int nearest(lua_State *L) {
    const char *names[NAMES_MAX];
    size_t n = 0;
    const char *name = luaL_checkstring(L, 1);
    luaL_checktype(L, 2, LUA_TTABLE);
    for (lua_Integer i = 1; n < NAMES_MAX && lua_rawgeti(L, 2, i) == LUA_TSTRING; i++) {
        names[n++] = lua_tostring(L, -1); /* the table keeps it */
        lua_pop(L, 1);
    }
    lua_pushstring(L, mt_nearest(name, names, n));
    return 1;
}

static int duration(lua_State *L) {
    int64_t ms;
    lua_pushboolean(L, mt_parse_duration(luaL_checkstring(L, 1), &ms));
    return 1;
}

/* What is wrong with a text as money, or as a currency; nil: nothing. */
static int money(lua_State *L) {
    struct mt_money m;
    struct mt_error e;
    if (mt_money_parse(luaL_checkstring(L, 1), &m, &e) == 0) return 0;
    lua_pushstring(L, e.message);
    return 1;
}

static int currency(lua_State *L) {
    struct mt_error e;
    if (mt_currency_parse(luaL_checkstring(L, 1), &e)) return 0;
    lua_pushstring(L, e.message);
    return 1;
}

/* ---- the operations' tables ---- */

struct mt_provider **mt_check_defined(const json_t *registered) {
    struct mt_provider **list = mt_calloc(json_array_size(registered) + 1, sizeof *list);
    const json_t *row;
    struct mt_error e;
    size_t i, n = 0;
    json_array_foreach(registered, i, row) {
        if (strcmp(mt_json_str(row, "kind", ""), "provider") != 0) continue;
        list[n] = mt_provider_define(json_object_get(row, "definition"), &e);
        if (list[n]) n++;
    }
    return list;
}

void mt_check_undefine(struct mt_provider **list) {
    for (size_t i = 0; list && list[i]; i++) mt_provider_undefine(list[i]);
    free(list);
}

static const struct mt_operation *row_of(const struct mt_provider *provider, const char *name) {
    size_t n = strlen(provider->name);
    if (strncmp(provider->name, name, n) != 0 || name[n] != '.') return NULL;
    for (const struct mt_operation *row = provider->operations; row->name; row++)
        if (strcmp(row->name, name + n + 1) == 0) return row;
    return NULL;
}

/* upvalue: what is known. Shipped or defined. */
static const struct mt_operation *find_row(lua_State *L, const char *name,
                                           const struct mt_provider **provider) {
    const struct mt_check_known *k = lua_touserdata(L, lua_upvalueindex(1));
    const struct mt_operation *row = NULL;
    for (const struct mt_provider *const *p = mt_providers_all(); *p && !row; p++)
        if ((row = row_of(*p, name))) *provider = *p;
    for (size_t i = 0; k->defined[i] && !row; i++)
        if ((row = row_of(k->defined[i], name))) *provider = k->defined[i];
    return row;
}

/* The names of a defined provider's operations, or nil. */
static int defined(lua_State *L) {
    const struct mt_check_known *k = lua_touserdata(L, lua_upvalueindex(1));
    const char *name = luaL_checkstring(L, 1);
    for (size_t i = 0; k->defined[i]; i++) {
        if (strcmp(k->defined[i]->name, name) != 0) continue;
        lua_Integer n = 0;
        lua_newtable(L);
        for (const struct mt_operation *row = k->defined[i]->operations; row->name; row++) {
            lua_pushstring(L, row->name);
            lua_rawseti(L, -2, ++n);
        }
        return 1;
    }
    return 0;
}

/* Whether "mintage.mintro" is a provider's module. */
static int is_provider(lua_State *L) {
    const char *module = luaL_checkstring(L, 1), *dot = strrchr(module, '.');
    bool found = false;
    for (const struct mt_provider *const *p = mt_providers_all(); *p && !found; p++)
        found = dot && strcmp((*p)->name, dot + 1) == 0;
    lua_pushboolean(L, found);
    return 1;
}

/* The JSON of an operation's row, or nil. */
static int operation(lua_State *L) {
    const struct mt_provider *provider;
    const struct mt_operation *row = find_row(L, luaL_checkstring(L, 1), &provider);
    if (!row) return 0;
    json_t *described = mt_provider_describe(provider); /* its operations are in the table's order */
    char *text = mt_json_dump(
        json_array_get(json_object_get(described, "operations"), (size_t)(row - provider->operations)), NULL);
    lua_pushstring(L, text);
    free(text);
    json_decref(described);
    return 1;
}

/* param(operation, name, JSON): what is wrong with this one parameter, or nil. Judged by the table's own
 * check, alone: nothing else is missed. */
static int param(lua_State *L) {
    const struct mt_provider *provider;
    const char *full_name = luaL_checkstring(L, 1), *name = luaL_checkstring(L, 2);
    const char *text = luaL_checkstring(L, 3);
    const struct mt_operation *row = find_row(L, full_name, &provider);
    struct mt_error e;
    size_t count = 0;
    if (!row) return 0;
    while (row->params[count].name) count++;
    struct mt_param *alone = mt_calloc(count + 1, sizeof *alone);
    for (size_t i = 0; i < count; i++) {
        alone[i] = row->params[i];
        alone[i].required = false;
    }
    struct mt_operation copy = *row;
    copy.params = alone;
    copy.check = NULL;
    json_t *value = mt_json_parse(text, strlen(text), &e), *params = json_object();
    if (value) json_object_set_new(params, name, value);
    int rc = mt_operation_check(&copy, full_name, params, &e);
    json_decref(params);
    free(alone);
    if (rc == 0) return 0;
    lua_pushstring(L, e.message);
    return 1;
}

/* ---- the state ---- */

static int open_c(lua_State *L) {
    static const luaL_Reg functions[] = {{"nearest", nearest},
                                         {"duration", duration},
                                         {"money", money},
                                         {"currency", currency},
                                         {"operation", operation},
                                         {"param", param},
                                         {"is_provider", is_provider},
                                         {"defined", defined},
                                         {"ask", ask},
                                         {NULL, NULL}};
    lua_newtable(L);
    mt_testing_add_json(L);
    lua_pushvalue(L, lua_upvalueindex(1));
    luaL_setfuncs(L, functions, 1);
    return 1;
}

/* upvalue: the asset. */
static int open_asset(lua_State *L) {
    const struct mt_asset *a = lua_touserdata(L, lua_upvalueindex(1));
    char chunk[96];
    mt_format(chunk, sizeof chunk, "@%s", a->path);
    if (luaL_loadbuffer(L, (const char *)a->data, a->len, chunk) != LUA_OK) return lua_error(L);
    lua_pushvalue(L, 1);
    lua_call(L, 1, 1);
    return 1;
}

/* "types.lua" is mintage.checking.types; "luacheck/parser.lua" is luacheck.parser. */
static void preload(lua_State *L, const struct mt_asset *assets, const char *prefix) {
    for (const struct mt_asset *a = assets; a->path; a++) {
        size_t len = strlen(a->path) - strlen(".lua");
        char name[96];
        mt_format(name, sizeof name, "%s%.*s", prefix, (int)len, a->path);
        for (char *c = name; *c; c++)
            if (*c == '/') *c = '.';
        lua_pushlightuserdata(L, (void *)(uintptr_t)a);
        lua_pushcclosure(L, open_asset, 1);
        lua_setfield(L, -2, name);
    }
}

void mt_check_open(lua_State *L, const struct mt_check_known *known) {
    luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
    lua_pushlightuserdata(L, (void *)(uintptr_t)known);
    lua_pushcclosure(L, open_c, 1);
    lua_setfield(L, -2, "mintage.checking.c");
    preload(L, mt_embedded_checking, "mintage.checking.");
    preload(L, mt_embedded_parser, "");
    lua_pop(L, 1);
}
