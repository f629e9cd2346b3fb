/* mintage.flow: what a flow is made of. Registration happens while a file loads; everything else is an effect
 * of the execution it is called in. No state: what is kept is kept by the engine. */
#include "base/id.h"
#include "base/json.h"
#include "base/text.h"
#include "bindings/modules/console.h"
#include "bindings/modules/module.h"
#include "bindings/modules/modules.h"
#include "bindings/modules/schedule.h"
#include "bindings/modules/schema.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { NAME_MAX_BYTES = 63, KEY_MAX_BYTES = 255, MESSAGE_MAX = 4096, ALL_MAX = 64, KIND_MAX = 64 };

/* ---- define ---- */

static bool plain_name(const char *s) {
    return s[strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-")] == '\0';
}

/* The definition at 1 without its functions, as JSON in the scratch; refuses a schema that is not one. */
static const char *describe(lua_State *L, const char *name, const char *late) {
    lua_createtable(L, 0, 4);
    static const char *const copied[] = {"title", "description", "input", NULL};
    for (size_t i = 0; copied[i] != NULL; i++) {
        if (lua_getfield(L, 1, copied[i]) == LUA_TNIL) {
            lua_pop(L, 1);
            continue;
        }
        if (i < 2 && lua_type(L, -1) != LUA_TSTRING)
            luaL_error(L, "flow.define \"%s\": %s must be a string, not %s", name, copied[i],
                       luaL_typename(L, -1));
        lua_setfield(L, -2, copied[i]);
    }
    if (late != NULL) {
        lua_pushstring(L, late);
        lua_setfield(L, -2, "late");
    }
    const struct mt_buf *json = mt_module_json(L, -1, "flow.define");
    lua_pop(L, 1);

    struct mt_error e;
    json_t *description = mt_json_parse(json->data, json->len, &e);
    int ok = description != NULL ? 0 : -1;
    const json_t *schema = json_object_get(description, "input");
    if (ok == 0 && schema != NULL) ok = mt_schema_valid(schema, &e);
    json_decref(description);
    if (ok != 0) luaL_error(L, "flow.define \"%s\": %s", name, e.message);
    return json->data;
}

static int define(lua_State *L) {
    static const char *const fields[] = {"name", "title", "description", "input", "run", "late", NULL};
    luaL_checktype(L, 1, LUA_TTABLE);
    if (!mt_vm_loading(L))
        return luaL_error(L, "flow.define: flows are defined when their file loads, not while one runs");
    mt_module_fields(L, 1, "flow.define", fields);

    lua_getfield(L, 1, "name");
    const char *name = mt_module_string(L, -1, "flow.define", "name", NAME_MAX_BYTES - 5);
    if (!plain_name(name))
        return luaL_error(L, "flow.define: the name \"%s\" may hold letters, digits, \"-\" and \"_\" only",
                          name);
    if (strcmp(name, MT_CONSOLE_FLOW) == 0)
        return luaL_error(
            L, "flow.define: the name \"%s\" is taken: what operators do at the console are its runs", name);
    if (lua_getfield(L, 1, "input") != LUA_TNIL && !lua_istable(L, -1))
        return luaL_error(L,
                          "flow.define \"%s\": input must be a table such as { amount = \"money\" }, not %s",
                          name, luaL_typename(L, -1));
    lua_pop(L, 1);
    if (lua_getfield(L, 1, "run") != LUA_TFUNCTION)
        return luaL_error(L, "flow.define \"%s\": run must be a function, not %s", name,
                          luaL_typename(L, -1));
    int run = lua_gettop(L);
    char late_name[NAME_MAX_BYTES + 1] = "";
    if (lua_getfield(L, 1, "late") != LUA_TNIL) {
        if (!lua_isfunction(L, -1))
            return luaL_error(L, "flow.define \"%s\": late must be a function, not %s", name,
                              luaL_typename(L, -1));
        mt_format(late_name, sizeof(late_name), "%s.late", name);
    }
    int late = lua_gettop(L);

    mt_vm_register(L, "flow", name, run, describe(L, name, late_name[0] != '\0' ? late_name : NULL));
    /* An event that comes after the end starts a run of its own, so that what is done about it is durable
     * too. */
    if (late_name[0] != '\0') mt_vm_register(L, "flow", late_name, late, "{\"late\":true}");

    lua_createtable(L, 0, 1);
    lua_pushstring(L, name);
    lua_setfield(L, -2, "name");
    luaL_setmetatable(L, "mintage.flow");
    return 1;
}

static int flow_tostring(lua_State *L) {
    lua_getfield(L, 1, "name");
    lua_pushfstring(L, "flow %s", lua_tostring(L, -1));
    return 1;
}

/* ---- starting and telling ---- */

static const char *flow_name(lua_State *L, int index) {
    if (lua_istable(L, index)) { /* what flow.define returned */
        lua_getfield(L, index, "name");
        lua_replace(L, index);
    }
    return mt_module_string(L, index, "flow.start", "the flow's name", NAME_MAX_BYTES);
}

static int start(lua_State *L) {
    static const char *const options[] = {"key", "detached", NULL};
    struct mt_effect f;
    mt_module_begin(L, &f, "flow.start");
    lua_settop(L, 3);
    const char *name = flow_name(L, 1), *key = NULL;
    bool detached = false;
    if (lua_isnil(L, 2)) {
        lua_newtable(L);
        lua_replace(L, 2);
    }
    luaL_argexpected(L, lua_istable(L, 2), 2, "table");
    if (!lua_isnil(L, 3)) {
        mt_module_fields(L, 3, "flow.start options", options);
        if (mt_module_option(L, 3, "key") != LUA_TNIL)
            key = mt_module_string(L, -1, "flow.start", "key", KEY_MAX_BYTES);
        mt_module_option(L, 3, "detached");
        detached = lua_toboolean(L, -1);
    }
    const struct mt_buf *input = mt_module_json(L, 2, "flow.start");
    mt_vm_effect_begin(L);
    mt_effect_start(f.x, name, input->data, key, detached, f.site, &f.a);
    return mt_module_end(L, &f);
}

static int signal_(lua_State *L) {
    struct mt_effect f;
    mt_module_begin(L, &f, "flow.signal");
    lua_settop(L, 3);
    const char *topic = mt_module_string(L, 1, "flow.signal", "topic", NAME_MAX_BYTES);
    const char *key = mt_module_string(L, 2, "flow.signal", "key", KEY_MAX_BYTES);
    const struct mt_buf *payload = mt_module_json(L, 3, "flow.signal");
    mt_vm_effect_begin(L);
    mt_effect_signal(f.x, topic, key, payload->data, f.site, &f.a);
    return mt_module_end(L, &f);
}

static int find(lua_State *L) {
    static const char *const fields[] = {"flow", "state", "before", "limit", "input", NULL};
    struct mt_effect f;
    mt_module_begin(L, &f, "flow.find");
    if (lua_istable(L, 1)) {
        mt_module_fields(L, 1, "flow.find", fields);
        const struct mt_buf *filter = mt_module_json(L, 1, "flow.find");
        if (filter->data[0] != '{') return luaL_error(L, "flow.find wants a table with named fields");
        mt_vm_effect_begin(L);
        mt_effect_find_all(f.x, filter->data, f.site, &f.a);
        return mt_module_end(L, &f);
    }
    const char *what = mt_module_string(L, 1, "flow.find", "the run's id or key", KEY_MAX_BYTES);
    mt_vm_effect_begin(L);
    mt_effect_find(f.x, what, f.site, &f.a);
    return mt_module_end(L, &f);
}

static int progress(lua_State *L) {
    struct mt_effect f;
    mt_module_begin(L, &f, "flow.progress");
    luaL_checktype(L, 1, LUA_TTABLE);
    const struct mt_buf *object = mt_module_json(L, 1, "flow.progress");
    if (object->data[0] != '{')
        return luaL_error(L, "flow.progress wants a table with named fields, not a list");
    mt_vm_effect_begin(L);
    mt_effect_progress(f.x, object->data, f.site, &f.a);
    mt_module_end(L, &f);
    return 0;
}

static int log_at(lua_State *L, const char *what, const char *level) {
    struct mt_effect f;
    mt_module_begin(L, &f, what);
    lua_settop(L, 2);
    const char *message = mt_module_string(L, 1, what, "the message", MESSAGE_MAX);
    const struct mt_buf *details = mt_module_json(L, 2, what);
    mt_vm_effect_begin(L);
    mt_effect_log(f.x, level, message, details->data, f.site, &f.a);
    mt_module_end(L, &f);
    return 0;
}

static int log_info(lua_State *L) {
    return log_at(L, "flow.log", "info");
}
static int log_warn(lua_State *L) {
    return log_at(L, "flow.warn", "warn");
}

/* ---- waiting ---- */

static int sleep_(lua_State *L) {
    struct mt_effect f;
    mt_module_begin(L, &f, "flow.sleep");
    int64_t ms = mt_module_duration(L, 1, "flow.sleep", "the duration");
    mt_vm_effect_begin(L);
    mt_effect_sleep(f.x, ms, f.site, &f.a);
    mt_module_end(L, &f);
    return 0;
}

static int sleep_until(lua_State *L) {
    struct mt_effect f;
    mt_module_begin(L, &f, "flow.sleep_until");
    int64_t at = mt_module_instant(L, 1, "flow.sleep_until", "the instant");
    mt_vm_effect_begin(L);
    mt_effect_sleep_until(f.x, at, f.site, &f.a);
    mt_module_end(L, &f);
    return 0;
}

/* [event or nil] -> payload, {event, at}; a nil payload is json.null, so that it does not look like a
 * timeout. */
static int split_event(lua_State *L) {
    if (!lua_istable(L, -1)) return 1;
    int event = lua_gettop(L);
    if (lua_getfield(L, event, "payload") == LUA_TNIL) {
        lua_pop(L, 1);
        mt_push_null(L);
    }
    lua_createtable(L, 0, 2);
    lua_getfield(L, event, "event");
    lua_setfield(L, -2, "event");
    if (lua_getfield(L, event, "at") == LUA_TNUMBER) {
        mt_time_push(L, lua_tointeger(L, -1));
        lua_setfield(L, -3, "at");
    }
    lua_pop(L, 1);
    return 2;
}

static int await(lua_State *L) {
    static const char *const options[] = {"within", NULL};
    struct mt_effect f;
    mt_module_begin(L, &f, "flow.await");
    lua_settop(L, 3);
    const char *topic = mt_module_string(L, 1, "flow.await", "topic", NAME_MAX_BYTES);
    const char *key = mt_module_string(L, 2, "flow.await", "key", KEY_MAX_BYTES);
    int64_t within = -1;
    if (!lua_isnil(L, 3)) {
        mt_module_fields(L, 3, "flow.await options", options);
        if (mt_module_option(L, 3, "within") != LUA_TNIL)
            within = mt_module_duration(L, -1, "flow.await", "within");
    }
    mt_vm_effect_begin(L);
    mt_effect_await(f.x, topic, key, within, f.site, &f.a);
    mt_module_end(L, &f);
    return split_event(L);
}

/* One step of flow.events; upvalues: topic, key, till (ms or nil). */
static int next_event(lua_State *L) {
    struct mt_effect f;
    mt_module_begin(L, &f, "flow.events");
    int64_t within = -1;
    if (!lua_isnil(L, lua_upvalueindex(3))) {
        within = lua_tointeger(L, lua_upvalueindex(3)) - mt_exec_now(f.x);
        if (within < 0) within = 0; /* what has come until now is still to be read */
    }
    mt_vm_effect_begin(L);
    mt_effect_await(f.x, lua_tostring(L, lua_upvalueindex(1)), lua_tostring(L, lua_upvalueindex(2)), within,
                    f.site, &f.a);
    mt_module_end(L, &f);
    return split_event(L);
}

static int events(lua_State *L) {
    static const char *const options[] = {"till", NULL};
    mt_module_exec(L, "flow.events");
    lua_settop(L, 3);
    mt_module_string(L, 1, "flow.events", "topic", NAME_MAX_BYTES);
    mt_module_string(L, 2, "flow.events", "key", KEY_MAX_BYTES);
    lua_pushnil(L);
    if (!lua_isnil(L, 3)) {
        mt_module_fields(L, 3, "flow.events options", options);
        if (mt_module_option(L, 3, "till") != LUA_TNIL) {
            lua_pushinteger(L, mt_module_instant(L, -1, "flow.events", "till"));
            lua_replace(L, 4);
        }
        lua_settop(L, 4);
    }
    lua_remove(L, 3);
    lua_pushcclosure(L, next_event, 3);
    return 1;
}

/* ---- operations ---- */

static int undo(lua_State *L) {
    struct mt_effect f;
    mt_module_begin(L, &f, "flow.undo");
    const char *operation = mt_module_operation(L, 1, "flow.undo");
    mt_module_params(L, 1, 2, lua_gettop(L));
    const struct mt_buf *params = mt_module_json(L, 2, operation);
    mt_vm_effect_begin(L);
    mt_effect_undo(f.x, operation, params->data, params->len, f.site, &f.a);
    mt_module_end(L, &f);
    return 0;
}

static int try(lua_State *L) {
    struct mt_effect f;
    mt_module_begin(L, &f, "flow.try");
    const char *operation = mt_module_operation(L, 1, "flow.try");
    mt_module_params(L, 1, 2, lua_gettop(L));
    const struct mt_buf *params = mt_module_json(L, 2, operation);
    mt_vm_effect_begin(L);
    mt_effect_call(f.x, operation, params->data, params->len, f.site, &f.a);
    if (!mt_module_end_try(L, &f)) return 1;
    /* Only a definite no is an answer; not knowing (of a read) is not. */
    lua_getfield(L, -1, "outcome");
    bool unknown = lua_type(L, -1) == LUA_TSTRING && strcmp(lua_tostring(L, -1), "unknown") == 0;
    lua_pop(L, 1);
    if (unknown) return lua_error(L);
    lua_pushnil(L);
    lua_insert(L, -2);
    return 2;
}

/* unless(topic, key, operation, params...) -> the object; nil, payload, event when an event came first */
static int unless(lua_State *L) {
    struct mt_effect f;
    mt_module_begin(L, &f, "flow.unless");
    const char *topic = mt_module_string(L, 1, "flow.unless", "topic", NAME_MAX_BYTES);
    const char *key = mt_module_string(L, 2, "flow.unless", "key", KEY_MAX_BYTES);
    const char *operation = mt_module_operation(L, 3, "flow.unless");
    mt_module_params(L, 3, 4, lua_gettop(L));
    const struct mt_buf *params = mt_module_json(L, 4, operation);
    mt_vm_effect_begin(L);
    bool came = mt_effect_unless(f.x, topic, key, operation, params->data, params->len, f.site, &f.a);
    mt_module_end(L, &f);
    if (!came) return 1;
    split_event(L);
    lua_pushnil(L);
    lua_insert(L, -3);
    return 3;
}

/* Normalises the list at 1 into flat pairs at 3: name, params, name, params, ... */
static size_t all_pairs(lua_State *L) {
    size_t n = lua_rawlen(L, 1);
    if (n > ALL_MAX) luaL_error(L, "flow.all: %d calls; at most %d", (int)n, (int)ALL_MAX);
    lua_createtable(L, (int)(2 * n), 0);
    for (size_t i = 1; i <= n; i++) {
        if (lua_rawgeti(L, 1, (lua_Integer)i) != LUA_TTABLE)
            luaL_error(L, "flow.all: call %d must be a table { operation, params }, not %s", (int)i,
                       luaL_typename(L, -1));
        int item = lua_gettop(L), items = (int)lua_rawlen(L, item);
        luaL_checkstack(L, items, "flow.all");
        for (int k = 1; k <= items; k++) lua_rawgeti(L, item, k);
        const char *operation = mt_module_operation(L, item + 1, "flow.all");
        mt_module_params(L, item + 1, item + 2, lua_gettop(L));
        lua_rawseti(L, 2, (lua_Integer)(2 * i));
        lua_pushstring(L, operation);
        lua_rawseti(L, 2, (lua_Integer)(2 * i - 1));
        lua_settop(L, 2);
    }
    return n;
}

static int all(lua_State *L) {
    struct mt_effect f;
    mt_module_begin(L, &f, "flow.all");
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    size_t n = all_pairs(L), offsets[ALL_MAX];
    const char *operations[ALL_MAX], *params[ALL_MAX];

    struct mt_buf *b = mt_module_scratch(L);
    for (size_t i = 0; i < n; i++) {
        lua_rawgeti(L, 2, (lua_Integer)(2 * i + 1));
        operations[i] = lua_tostring(L, -1); /* the list keeps it */
        lua_pop(L, 1);
        lua_rawgeti(L, 2, (lua_Integer)(2 * i + 2));
        offsets[i] = b->len;
        mt_module_encode(L, -1, operations[i], b);
        mt_buf_addc(b, '\0');
        lua_pop(L, 1);
    }
    if (!mt_buf_ok(b)) return luaL_error(L, "flow.all: the parameters are too large together");
    for (size_t i = 0; i < n; i++) params[i] = b->data + offsets[i];
    mt_vm_effect_begin(L);
    mt_effect_all(f.x, n, operations, params, f.site, &f.a);
    mt_module_end(L, &f);
    for (size_t i = 1; i <= n && lua_istable(L, -1); i++) {
        lua_rawgeti(L, -1, (lua_Integer)i);
        if (lua_istable(L, -1) && lua_getfield(L, -1, "err") == LUA_TTABLE) mt_error_make(L, lua_gettop(L));
        lua_settop(L, 3);
    }
    return 1;
}

/* ---- ends ---- */

static int continue_(lua_State *L) {
    static const char *const options[] = {"keep", NULL};
    struct mt_effect f;
    bool keep = false;
    mt_module_begin(L, &f, "flow.continue");
    lua_settop(L, 2);
    luaL_checktype(L, 1, LUA_TTABLE);
    if (!lua_isnil(L, 2)) {
        mt_module_fields(L, 2, "flow.continue options", options);
        mt_module_option(L, 2, "keep");
        keep = lua_toboolean(L, -1);
    }
    const struct mt_buf *input = mt_module_json(L, 1, "flow.continue");
    mt_vm_effect_begin(L);
    mt_effect_continue(f.x, input->data, keep, f.site, &f.a);
    return mt_module_end(L, &f);
}

/* flow.fail(kind [, text | cause | details]), flow.fail(err) */
static int fail(lua_State *L) {
    mt_module_exec(L, "flow.fail");
    lua_settop(L, 2);
    if (mt_error_test(L, 1)) {
        lua_pushvalue(L, 1);
        return lua_error(L);
    }
    const char *kind = mt_module_string(L, 1, "flow.fail", "the kind (or an error)", KIND_MAX);
    lua_createtable(L, 0, 3);
    lua_pushvalue(L, 1);
    lua_setfield(L, 3, "kind");
    switch (lua_type(L, 2)) {
    case LUA_TNIL:
        lua_pushfstring(L, "the flow failed: %s", kind);
        lua_setfield(L, 3, "message");
        break;
    case LUA_TSTRING:
        lua_pushvalue(L, 2);
        lua_setfield(L, 3, "message");
        break;
    case LUA_TTABLE:
        if (mt_error_test(L, 2) && lua_getfield(L, 2, "message") == LUA_TSTRING) {
            lua_setfield(L, 3, "message");
        } else {
            lua_settop(L, 3);
            lua_pushfstring(L, "the flow failed: %s", kind);
            lua_setfield(L, 3, "message");
        }
        lua_settop(L, 3);
        lua_pushvalue(L, 2);
        lua_setfield(L, 3, mt_error_test(L, 2) ? "cause" : "details");
        break;
    default:
        return luaL_error(L, "flow.fail: the second argument must be a text, an error or a table, not %s",
                          luaL_typename(L, 2));
    }
    mt_error_make(L, 3);
    return lua_error(L);
}

/* ---- what a run knows without an effect ---- */

static int now(lua_State *L) {
    mt_time_push(L, mt_exec_now(mt_module_exec(L, "flow.now")));
    return 1;
}

static int later(lua_State *L) {
    struct mt_exec *x = mt_module_exec(L, "flow.later");
    mt_time_push(L, mt_exec_now(x) + mt_module_duration(L, 1, "flow.later", "the duration"));
    return 1;
}

static int push_word(lua_State *L, const char *s) {
    if (s == NULL || s[0] == '\0')
        lua_pushnil(L);
    else
        lua_pushstring(L, s);
    return 1;
}

static int id(lua_State *L) {
    return push_word(L, mt_exec_run_id(mt_module_exec(L, "flow.id")));
}
static int key(lua_State *L) {
    return push_word(L, mt_exec_run_key(mt_module_exec(L, "flow.key")));
}

static void run_url(lua_State *L, const char *what, char *out, size_t size) {
    struct mt_exec *x = mt_module_exec(L, what);
    const char *run =
        lua_isnoneornil(L, 1) ? mt_exec_run_id(x) : mt_module_string(L, 1, what, "the run's id", MT_ID_SIZE);
    if (run[0] == '\0') luaL_error(L, "%s: a handler is no run: name one, %s(run.id)", what, what);
    mt_exec_checkout_url(x, run, out, size);
}

static int checkout_url(lua_State *L) {
    char url[1024];
    run_url(L, "flow.checkout_url", url, sizeof(url));
    lua_pushstring(L, url);
    return 1;
}

static int token(lua_State *L) {
    char url[1024];
    run_url(L, "flow.token", url, sizeof(url));
    const char *slash = strrchr(url, '/');
    lua_pushstring(L, slash != NULL ? slash + 1 : url);
    return 1;
}

/* The run whose page has this token; nil for what is no token of ours. */
static int run_of(lua_State *L) {
    char id[MT_ID_SIZE];
    struct mt_exec *x = mt_module_exec(L, "flow.run_of");
    const char *text = mt_module_string(L, 1, "flow.run_of", "the token", KEY_MAX_BYTES);
    return push_word(L, mt_exec_token_run(x, text, id, sizeof(id)) ? id : NULL);
}

/* random() in [0, 1); random(n) in 1..n; random(m, n) in m..n: like math.random, but derived from the run. */
static int random_(lua_State *L) {
    struct mt_exec *x = mt_module_exec(L, "flow.random");
    uint64_t bits;
    mt_exec_random(x, &bits, sizeof(bits));
    if (lua_isnoneornil(L, 1)) {
        lua_pushnumber(L, (lua_Number)(bits >> 11) * 0x1p-53);
        return 1;
    }
    lua_Integer from = 1, to = luaL_checkinteger(L, 1);
    if (!lua_isnoneornil(L, 2)) {
        from = to;
        to = luaL_checkinteger(L, 2);
    }
    luaL_argcheck(L, from <= to, lua_isnoneornil(L, 2) ? 1 : 2, "the interval is empty");
    uint64_t span = (uint64_t)to - (uint64_t)from;
    if (span != UINT64_MAX) {
        uint64_t limit = UINT64_MAX - (UINT64_MAX % (span + 1) + 1) %
                                          (span + 1); /* beyond it, the low ones would weigh more */
        while (bits > limit) mt_exec_random(x, &bits, sizeof(bits));
        bits %= span + 1;
    }
    lua_pushinteger(L, (lua_Integer)((uint64_t)from + bits));
    return 1;
}

static int uuid(lua_State *L) {
    uint8_t b[16];
    char text[40];
    mt_exec_random(mt_module_exec(L, "flow.uuid"), b, sizeof(b));
    b[6] = (uint8_t)((b[6] & 0x0f) | 0x40); /* version 4 */
    b[8] = (uint8_t)((b[8] & 0x3f) | 0x80); /* RFC 9562 */
    snprintf(text, sizeof(text), "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", b[0],
             b[1], b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13], b[14], b[15]);
    lua_pushstring(L, text);
    return 1;
}

static const luaL_Reg functions[] = {
    {"define", define},
    {"start", start},
    {"signal", signal_},
    {"find", find},
    {"progress", progress},
    {"log", log_info},
    {"warn", log_warn},
    {"sleep", sleep_},
    {"sleep_until", sleep_until},
    {"await", await},
    {"events", events},
    {"undo", undo},
    {"try", try},
    {"unless", unless},
    {"all", all},
    {"continue", continue_},
    {"fail", fail},
    {"now", now},
    {"later", later},
    {"date", mt_time_date},
    {"id", id},
    {"key", key},
    {"token", token},
    {"run_of", run_of},
    {"checkout_url", checkout_url},
    {"random", random_},
    {"uuid", uuid},
    {"every", mt_schedule_every},
    {"cron", mt_schedule_cron},
    {NULL, NULL},
};

int mt_open_flow(lua_State *L) {
    luaL_newmetatable(L, "mintage.flow");
    lua_pushcfunction(L, flow_tostring);
    lua_setfield(L, -2, "__tostring");
    lua_pop(L, 1);
    luaL_newlib(L, functions);
    return mt_module_seal(L, "mintage.flow");
}
