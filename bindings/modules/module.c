/* What the modules share. Invariant: no C memory is held across anything that can raise, except the arena's
 * own scratch. Each function runs on the thread of its execution. */
#include "bindings/modules/module.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/text.h"
#include "engine/engine.h"
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    SCRATCH = 2, /* 0 and 1 are used by bindings/vm */
    LEAVE_CODE = 1,
    NAMES_MAX = 128,
};

/* ---- scratch ---- */

struct mt_buf *mt_module_scratch(lua_State *L) {
    return mt_vm_scratch(L, SCRATCH);
}

/* ---- effects ---- */

struct mt_exec *mt_module_exec(lua_State *L, const char *what) {
    struct mt_exec *x = mt_vm_context(L);
    if (x == NULL)
        luaL_error(L, "%s cannot be used while a file is loading: call it inside a flow's run or a handler",
                   what);
    return x;
}

void mt_module_begin(lua_State *L, struct mt_effect *f, const char *what) {
    memset(f, 0, sizeof(*f));
    f->x = mt_module_exec(L, what);
    mt_vm_site(L, f->site);
}

bool mt_module_end_try(lua_State *L, struct mt_effect *f) {
    if (mt_exec_operated(f->x)) mt_handler_settle(f->x, &f->a);
    mt_vm_effect_end(L);
    mt_vm_leave_stopped(L);
    switch (f->a.step) {
    case MT_STEP_ANSWER:
        mt_value_push(L, f->a.json, f->a.len);
        return false;
    case MT_STEP_RAISE:
        mt_error_push_json(L, f->a.json, f->a.len);
        return true;
    case MT_STEP_BUG:
        luaL_error(L, "%s", f->a.error.message);
        break;
    case MT_STEP_LEAVE:
        mt_vm_leave(L, LEAVE_CODE);
    }
    return false;
}

int mt_module_end(lua_State *L, struct mt_effect *f) {
    if (mt_module_end_try(L, f)) return lua_error(L);
    return 1;
}

/* ---- values ---- */

void mt_module_encode(lua_State *L, int index, const char *what, struct mt_buf *out) {
    struct mt_error e;
    if (mt_value_encode(L, index, out, &e) != 0) luaL_error(L, "%s: %s", what, e.message);
    if (!mt_buf_ok(out)) luaL_error(L, "%s: larger than %d bytes as JSON", what, (int)MT_VALUE_MAX);
}

const struct mt_buf *mt_module_json(lua_State *L, int index, const char *what) {
    struct mt_buf *b = mt_module_scratch(L);
    mt_module_encode(L, index, what, b);
    return b;
}

/* ---- arguments ---- */

const char *mt_module_string(lua_State *L, int index, const char *what, const char *name, size_t max) {
    if (lua_type(L, index) != LUA_TSTRING)
        luaL_error(L, "%s: %s must be a string, not %s", what, name, luaL_typename(L, index));
    size_t len;
    const char *s = lua_tolstring(L, index, &len);
    if (len == 0) luaL_error(L, "%s: %s is empty", what, name);
    if (len > max) luaL_error(L, "%s: %s has %d bytes; at most %d", what, name, (int)len, (int)max);
    if (memchr(s, '\0', len) != NULL) luaL_error(L, "%s: %s holds a NUL byte", what, name);
    return s;
}

int64_t mt_module_duration(lua_State *L, int index, const char *what, const char *name) {
    static const double most = 100 * 366 * 86400.0;
    int64_t ms = 0;
    switch (lua_type(L, index)) {
    case LUA_TNUMBER: {
        double s = lua_tonumber(L, index);
        if (!(s >= 0 && s <= most))
            luaL_error(L, "%s: %s must be between 0 and 100 years in seconds, not %f", what, name, s);
        if (lua_isinteger(L, index)) return (int64_t)lua_tointeger(L, index) * 1000;
        return (int64_t)llround(s * 1000.0);
    }
    case LUA_TSTRING:
        if (mt_parse_duration(lua_tostring(L, index), &ms)) return ms;
        luaL_error(L, "%s: %s \"%s\" is not a duration such as \"30d\", \"1h30m\" or \"250ms\"", what, name,
                   lua_tostring(L, index));
        break;
    default:
        luaL_error(L, "%s: %s must be a duration (\"30d\", \"1h30m\") or a number of seconds, not %s", what,
                   name, luaL_typename(L, index));
    }
    return 0;
}

int64_t mt_module_instant(lua_State *L, int index, const char *what, const char *name) {
    int64_t ms = 0;
    if (lua_isinteger(L, index)) return lua_tointeger(L, index);
    if (lua_type(L, index) == LUA_TSTRING) {
        if (mt_time_parse(lua_tostring(L, index), &ms)) return ms;
        luaL_error(L, "%s: %s \"%s\" is not an instant such as \"2027-01-31T09:00:00Z\"", what, name,
                   lua_tostring(L, index));
    }
    if (!mt_time_test(L, index, &ms))
        luaL_error(L, "%s: %s must be a time, RFC 3339 text or integer milliseconds, not %s", what, name,
                   luaL_typename(L, index));
    return ms;
}

void mt_module_fields(lua_State *L, int index, const char *what, const char *const *names) {
    index = lua_absindex(L, index);
    if (!lua_istable(L, index)) luaL_error(L, "%s wants a table, not %s", what, luaL_typename(L, index));
    size_t n = 0;
    while (names[n] != NULL) n++;
    /* The smallest unknown name is reported, so that the message does not depend on the order of a hash. */
    const char *unknown = NULL;
    lua_pushnil(L);
    while (lua_next(L, index) != 0) {
        lua_pop(L, 1);
        if (lua_type(L, -1) != LUA_TSTRING)
            luaL_error(L, "%s wants a table with named fields; one of its keys is a %s", what,
                       luaL_typename(L, -1));
        const char *key = lua_tostring(L, -1);
        size_t i = 0;
        while (i < n && strcmp(names[i], key) != 0) i++;
        if (i == n && (unknown == NULL || strcmp(key, unknown) < 0)) unknown = key;
    }
    if (unknown == NULL) return;
    const char *near = mt_nearest(unknown, names, n);
    if (near != NULL) luaL_error(L, "%s: unknown field \"%s\"; did you mean \"%s\"?", what, unknown, near);
    luaL_error(L, "%s: unknown field \"%s\"", what, unknown);
}

int mt_module_option(lua_State *L, int index, const char *name) {
    if (!lua_istable(L, index)) {
        lua_pushnil(L);
        return LUA_TNIL;
    }
    index = lua_absindex(L, index);
    lua_pushstring(L, name);
    lua_rawget(L, index);
    return lua_type(L, -1);
}

/* ---- module tables ---- */

static int compare_names(const void *a, const void *b) {
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* __index of module tables: (table, key) with the module's name as upvalue. */
static int missing_name(lua_State *L) {
    const char *module = lua_tostring(L, lua_upvalueindex(1));
    if (lua_type(L, 2) != LUA_TSTRING)
        return luaL_error(L, "%s has names only, not a %s", module, luaL_typename(L, 2));
    const char *names[NAMES_MAX];
    size_t n = 0;
    lua_pushnil(L);
    while (n < NAMES_MAX && lua_next(L, 1) != 0) {
        lua_pop(L, 1);
        if (lua_type(L, -1) == LUA_TSTRING) names[n++] = lua_tostring(L, -1);
    }
    qsort(names, n, sizeof(names[0]), compare_names);
    const char *near = mt_nearest(lua_tostring(L, 2), names, n);
    if (near != NULL)
        return luaL_error(L, "%s has no \"%s\"; did you mean \"%s\"?", module, lua_tostring(L, 2), near);
    return luaL_error(L, "%s has no \"%s\"", module, lua_tostring(L, 2));
}

int mt_module_seal(lua_State *L, const char *name) {
    lua_createtable(L, 0, 2);
    lua_pushstring(L, name);
    lua_pushcclosure(L, missing_name, 1);
    lua_setfield(L, -2, "__index");
    lua_pushstring(L, name);
    lua_setfield(L, -2, "__name");
    lua_setmetatable(L, -2);
    return 1;
}
