/* What the console's Lua half calls: the table `native`, given to the console's own chunks and to nobody
 * else. Invariant: nothing that was malloc'ed is held where Lua may raise or the execution may be left. On
 * the session's thread. */
#include "api.h"
#include "base/json.h"
#include "base/log.h"
#include "base/text.h"
#include "bindings/modules/plain.h"
#include "bindings/vm/value.h"
#include "console_private.h"
#include "embedded.h"
#include "http/server.h"
#include <lauxlib.h>
#include <string.h>

enum { SCRATCH = 3, PATH_MAX_BYTES = 4096 };

static const char session_key = 0; /* its address is the key in Lua's registry */

struct console_session *console_of(lua_State *L) {
    lua_rawgetp(L, LUA_REGISTRYINDEX, &session_key);
    struct console_session *s = lua_touserdata(L, -1);
    lua_pop(L, 1);
    return s;
}

/* ---- talking to the person ---- */

static int output(lua_State *L) {
    struct console_session *s = console_of(L);
    size_t len;
    const char *text = luaL_checklstring(L, 1, &len);
    mt_vm_effect_begin(L);
    bool room = console_output(s, text, len);
    mt_vm_effect_end(L);
    return room ? 0 : luaL_error(L, "a command prints at most %d bytes", CONSOLE_OUTPUT_MAX);
}

static int confirm(lua_State *L) {
    struct console_session *s = console_of(L);
    const char *text = luaL_checkstring(L, 1);
    bool production = lua_toboolean(L, 2);
    mt_vm_effect_begin(L);
    bool yes = console_confirm(s, text, production);
    mt_vm_effect_end(L);
    s->granted = yes;
    lua_pushboolean(L, yes);
    return 1;
}

/* ---- the API, in process ---- */

static void call_api(struct console_session *s, const char *method, const char *path, const char *body,
                     size_t body_len, int *status, struct mt_buf *answer) {
    struct mt_runtime *rt = s->console->rt;
    struct mt_request req = {.method = method, .body = body ? body : "", .body_len = body_len};
    struct mt_response resp;
    char space[PATH_MAX_BYTES + 1], raw[PATH_MAX_BYTES + 1], token[300];
    const char *why, *query = strchr(path, '?');
    mt_format(raw, sizeof raw, "%.*s", (int)(query ? query - path : (long)strlen(path)), path);
    mt_response_init(&resp);
    req.raw_path = raw;
    req.query = query ? query + 1 : "";
    req.path = mt_request_path(raw, space, &why);
    mt_copy(req.remote, sizeof req.remote, s->id); /* where the deed came from, for the record */
    mt_id_new("req_", rt->clock->wall_ms(rt->clock), mt_random_system(), req.request_id);
    mt_format(token, sizeof token, "Bearer %s", rt->token);
    mt_headers_add(&req.headers, "Authorization", token);
    mt_headers_add(&req.headers, "X-Mintage-User", s->who);
    mt_wipe(token, sizeof token);
    if (!req.path)
        mt_respond_problem(&resp, 400, "invalid_request", "the path %s", why);
    else
        mt_runtime_serve(rt, &req, &resp);
    *status = resp.status;
    mt_buf_reset(answer);
    if (resp.stream)
        *status = 501;
    else if (resp.static_body)
        mt_buf_add(answer, resp.static_body, resp.static_len);
    else
        mt_buf_add(answer, resp.body.data, resp.body.len);
    mt_headers_clear(&req.headers);
    mt_response_clear(&resp);
}

/* What the Lua half asks for is asked for here as well, should it forget: a read-only session changes
 * nothing, and what may move money has been said yes to. False: the answer is the refusal. */
static bool permitted(struct console_session *s, const char *method, const char *path, const char *body,
                      size_t len, int *status, struct mt_buf *answer) {
    bool money = false, reads = strcmp(method, "GET") == 0;
    const char *what = mt_api_deed_of(method, path, body, len, &money), *why = NULL;
    if (s->read_only && (what || (!reads && strcmp(method, "POST") != 0)))
        why = "this session is read-only: it was not carried out";
    else if (money && !s->granted && !console_confirm(s, path, console_production(s->console->rt, NULL)))
        why = "nobody said yes; nothing was done";
    if (what) s->granted = false;
    if (!why) return true;
    *status = 403;
    mt_buf_reset(answer);
    mt_buf_addf(answer, "{\"title\":\"Forbidden\",\"status\":403,\"code\":\"permission\",\"detail\":\"%s\"}",
                why);
    return false;
}

/* api(method, path, body) -> status, value */
static int api(lua_State *L) {
    struct console_session *s = console_of(L);
    const char *method = luaL_checkstring(L, 1), *path = luaL_checkstring(L, 2), *body = NULL;
    size_t len = 0;
    struct mt_error e;
    lua_settop(L, 3);
    if (strlen(path) > PATH_MAX_BYTES || path[0] != '/') return luaL_error(L, "api: the path is too long");
    if (!lua_isnil(L, 3)) {
        mt_plain_push(L, 3, "api");
        body = lua_tolstring(L, -1, &len);
    }
    struct mt_buf *answer = mt_vm_scratch(L, SCRATCH);
    int status = 0;
    mt_vm_effect_begin(L);
    if (permitted(s, method, path, body, len, &status, answer))
        call_api(s, method, path, body, len, &status, answer);
    mt_vm_effect_end(L);
    lua_pushinteger(L, status);
    if (answer->len == 0 || (answer->data[0] != '{' && answer->data[0] != '[')) {
        lua_pushlstring(L, answer->data, answer->len);
        return 2;
    }
    struct mt_buf value;
    mt_buf_init(&value, 64 * 1024 * 1024);
    int ok = mt_plain_to_value(answer->data, answer->len, &value, &e);
    mt_buf_reset(answer);
    mt_buf_add(answer, value.data, value.len);
    mt_buf_clear(&value);
    if (ok != 0) return luaL_error(L, "api: %s", e.message);
    mt_value_push(L, answer->data, answer->len);
    return 2;
}

/* ---- what things are ---- */

/* The definitions of bindings/types, one after the other. */
static int types(lua_State *L) {
    luaL_Buffer b;
    luaL_buffinit(L, &b);
    for (const struct mt_asset *a = mt_embedded_types; a->path; a++) {
        luaL_addlstring(&b, (const char *)a->data, a->len);
        luaL_addchar(&b, '\n');
    }
    luaL_pushresult(&b);
    return 1;
}

/* source(name): the text of console/NAME.lua, or nil. */
static int source(lua_State *L) {
    char file[128];
    const struct mt_asset *a =
        mt_format(file, sizeof file, "%s.lua", luaL_checkstring(L, 1)) ? console_asset(file) : NULL;
    if (!a) return 0;
    lua_pushlstring(L, (const char *)a->data, a->len);
    return 1;
}

static int secret_name(lua_State *L) {
    lua_pushboolean(L, mt_secret_name(luaL_checkstring(L, 1)));
    return 1;
}

/* plain(value): its JSON as programs see it; raises when it has none. */
static int plain(lua_State *L) {
    luaL_checkany(L, 1);
    mt_plain_push(L, 1, "value");
    return 1;
}

/* encode(value), decode(text): as values cross the journal. */
static int encode(lua_State *L) {
    struct mt_error e;
    luaL_checkany(L, 1);
    struct mt_buf *b = mt_vm_scratch(L, SCRATCH);
    if (mt_value_encode(L, 1, b, &e) != 0 || !mt_buf_ok(b)) return 0;
    lua_pushlstring(L, b->data, b->len);
    return 1;
}

static int decode(lua_State *L) {
    size_t len;
    const char *text = luaL_checklstring(L, 1, &len);
    mt_value_push(L, text, len);
    return 1;
}

static bool is_a(lua_State *L, const char *metatable) {
    if (!lua_getmetatable(L, 1)) return false;
    luaL_getmetatable(L, metatable);
    bool same = lua_rawequal(L, -1, -2);
    lua_pop(L, 2);
    return same;
}

/* What a value is, past any metatable: money, time, error, operation, array, else Lua's type. */
static int kind(lua_State *L) {
    luaL_checkany(L, 1);
    if (mt_money_test(L, 1)) {
        lua_pushliteral(L, "money");
    } else if (lua_isuserdata(L, 1) && luaL_testudata(L, 1, "mintage.operation")) {
        lua_pushliteral(L, "operation");
    } else if (lua_islightuserdata(L, 1) && !lua_touserdata(L, 1)) {
        lua_pushliteral(L, "null");
    } else if (lua_istable(L, 1) && is_a(L, "mintage.time")) {
        lua_pushliteral(L, "time");
    } else if (lua_istable(L, 1) && mt_error_test(L, 1)) {
        lua_pushliteral(L, "error");
    } else if (lua_istable(L, 1) && mt_array_test(L, 1)) {
        lua_pushliteral(L, "array");
    } else {
        lua_pushstring(L, luaL_typename(L, 1));
    }
    return 1;
}

/* The metatable of a value, whatever __metatable says: for the Lua half only. */
static int metatable(lua_State *L) {
    luaL_checkany(L, 1);
    if (!lua_getmetatable(L, 1)) lua_pushnil(L);
    return 1;
}

/* Where the command is: a frame a line, the innermost first. */
static int trace(lua_State *L) {
    char frames[4096];
    mt_vm_traceback(L, frames, sizeof frames);
    lua_pushstring(L, frames);
    return 1;
}

static int nearest(lua_State *L) {
    enum { NAMES = 512 };
    const char *names[NAMES], *name = luaL_checkstring(L, 1);
    size_t n = 0;
    luaL_checktype(L, 2, LUA_TTABLE);
    for (lua_Integer i = 1; n < NAMES && lua_rawgeti(L, 2, i) == LUA_TSTRING; i++) {
        names[n++] = lua_tostring(L, -1); /* the table keeps it */
        lua_pop(L, 1);
    }
    lua_pushstring(L, mt_nearest(name, names, n));
    return 1;
}

/* parameters(operation): their names, in the table's order. */
static int parameters(lua_State *L) {
    struct console_session *s = console_of(L);
    const struct mt_account *account;
    struct mt_error e;
    lua_Integer n = 0;
    struct mt_provider_set *set = mt_providers_current(s->console->rt->providers);
    const struct mt_operation *row =
        mt_operation_find_in(s->console->rt->providers, set, luaL_checkstring(L, 1), &account, &e);
    char names[64][64];
    for (const struct mt_param *p = row ? row->params : NULL; p && p->name && n < 64; p++)
        mt_copy(names[n++], sizeof names[0], p->name);
    mt_provider_set_release(set); /* before Lua may raise */
    lua_createtable(L, (int)n, 0);
    for (lua_Integer i = 0; i < n; i++) {
        lua_pushstring(L, names[i]);
        lua_rawseti(L, -2, i + 1);
    }
    return 1;
}

/* inputs(flow): the names of its input's fields. */
static int inputs(lua_State *L) {
    struct console_session *s = console_of(L);
    const char *flow = luaL_checkstring(L, 1), *registered = mt_generation_registry(s->generation), *name;
    struct mt_buf *b = mt_vm_scratch(L, SCRATCH);
    struct mt_error e;
    json_t *registry = mt_json_parse(registered, strlen(registered), &e), *row, *field;
    size_t i;
    json_array_foreach(registry, i, row) {
        if (strcmp(mt_json_str(row, "kind", ""), "flow") != 0 ||
            strcmp(mt_json_str(row, "name", ""), flow) != 0)
            continue;
        json_object_foreach(json_object_get(row, "input"), name, field) mt_buf_addf(b, "%s\n", name);
    }
    json_decref(registry);
    lua_newtable(L);
    lua_Integer n = 0;
    for (const char *p = b->data, *end; *p; p = end + 1) {
        end = strchr(p, '\n');
        lua_pushlstring(L, p, (size_t)(end - p));
        lua_rawseti(L, -2, ++n);
    }
    return 1;
}

void console_native_push(lua_State *L, struct console_session *s) {
    static const luaL_Reg functions[] = {
        {"output", output}, {"confirm", confirm},       {"api", api},
        {"types", types},   {"source", source},         {"secret_name", secret_name},
        {"plain", plain},   {"encode", encode},         {"decode", decode},
        {"kind", kind},     {"metatable", metatable},   {"nearest", nearest},
        {"trace", trace},   {"parameters", parameters}, {"inputs", inputs},
        {NULL, NULL}};
    lua_pushlightuserdata(L, s);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &session_key);
    luaL_newlib(L, functions);
    console_more_push(L);
    lua_createtable(L, 0, 4);
    lua_pushstring(L, s->user);
    lua_setfield(L, -2, "user");
    lua_pushboolean(L, s->read_only);
    lua_setfield(L, -2, "read_only");
    lua_pushinteger(L, s->width);
    lua_setfield(L, -2, "width");
    lua_pushboolean(L, s->color);
    lua_setfield(L, -2, "color");
    lua_setfield(L, -2, "session");
}
