/* flow.every and flow.cron: a schedule is a row of the generation's registry, so that a reload swaps it with
 * everything else. What can be said while a file loads is said there, at its line; whether the flow exists
 * and takes the input, when all files are loaded. No state. */
#include "bindings/modules/schedule.h"
#include "base/json.h"
#include "base/text.h"
#include "bindings/modules/module.h"
#include "bindings/modules/schema.h"
#include "engine/schedule.h"
#include <stdlib.h>
#include <string.h>

enum { NAME_BYTES = MT_NAME_MAX - 1, ZONE_BYTES = 63, WHEN_BYTES = 500 };

/* ---- while a file loads ---- */

/* The entry of a schedule: nothing is executed of it. */
static int nothing(lua_State *L) {
    return luaL_error(L, "a schedule is not executed");
}

static void set_text(lua_State *L, const char *name, const char *value) {
    lua_pushstring(L, value);
    lua_setfield(L, -2, name);
}

static bool plain_name(const char *s) {
    return s[strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.")] == '\0';
}

/* What flow.define returned, or a name, at 2. */
static const char *flow_name(lua_State *L, const char *what) {
    if (lua_istable(L, 2)) {
        lua_getfield(L, 2, "name");
        lua_replace(L, 2);
    }
    if (lua_isfunction(L, 2))
        luaL_error(L, "%s: a schedule starts a flow: define one with flow.define and name it here", what);
    return mt_module_string(L, 2, what, "the flow (or its name)", NAME_BYTES);
}

/* [when, flow, input, options]: leaves the description, a table, at 5. */
static const char *common(lua_State *L, const char *what, const char *const *options) {
    lua_settop(L, 4);
    if (!mt_vm_loading(L))
        luaL_error(L, "%s: schedules are registered when their file loads, not while one runs", what);
    const char *flow = flow_name(L, what), *name = flow;
    if (!lua_isnil(L, 3) && !lua_istable(L, 3))
        luaL_error(L, "%s: the input must be a table, not %s", what, luaL_typename(L, 3));
    if (!lua_isnil(L, 4)) mt_module_fields(L, 4, what, options);
    lua_createtable(L, 0, 8);
    set_text(L, "flow", flow);
    lua_pushvalue(L, 3);
    lua_setfield(L, 5, "input"); /* or nothing, for nil */
    if (mt_module_option(L, 4, "catch_up") != LUA_TNIL) {
        enum mt_catch_up ignored;
        const char *catch_up = lua_tostring(L, -1);
        if (!catch_up || !mt_catch_up_from_name(catch_up, &ignored))
            luaL_error(L, "%s: catch_up: found %s, wanted \"once\", \"skip\" or \"all\"", what,
                       luaL_tolstring(L, -1, NULL));
        lua_setfield(L, 5, "catch_up");
    }
    if (mt_module_option(L, 4, "name") != LUA_TNIL) name = mt_module_string(L, -1, what, "name", NAME_BYTES);
    if (!plain_name(name))
        luaL_error(L, "%s: the name \"%s\" may hold letters, digits, \"-\", \"_\" and \".\" only", what,
                   name);
    lua_pushstring(L, name);
    lua_replace(L, 2); /* kept there */
    lua_settop(L, 5);
    return lua_tostring(L, 2);
}

static int add(lua_State *L, const char *what, const char *name) {
    const struct mt_buf *json = mt_module_json(L, 5, what);
    lua_pushcfunction(L, nothing);
    mt_vm_register(L, "schedule", name, lua_gettop(L), json->data);
    return 0;
}

int mt_schedule_every(lua_State *L) {
    static const char *const options[] = {"name", "from", "catch_up", NULL};
    const char *what = "flow.every";
    int64_t every = mt_module_duration(L, 1, what, "the interval"), from = 0;
    if (every < MT_SCHEDULE_LEAST_MS)
        return luaL_error(L, "flow.every: the interval: found %d ms, wanted 1s or more", (int)every);
    const char *name = common(L, what, options);
    char when[48];
    mt_format_duration(every, when, sizeof when);
    set_text(L, "when", lua_type(L, 1) == LUA_TSTRING ? lua_tostring(L, 1) : when);
    if (mt_module_option(L, 4, "from") != LUA_TNIL) from = mt_module_instant(L, -1, what, "from");
    lua_settop(L, 5);
    lua_pushinteger(L, every);
    lua_setfield(L, 5, "every_ms");
    lua_pushinteger(L, from);
    lua_setfield(L, 5, "from_ms");
    return add(L, what, name);
}

int mt_schedule_cron(lua_State *L) {
    static const char *const options[] = {"name", "zone", "catch_up", NULL};
    const char *what = "flow.cron", *zone = "UTC";
    struct mt_cron cron;
    struct mt_error e;
    const char *when = mt_module_string(L, 1, what, "the expression", WHEN_BYTES);
    if (mt_cron_parse(when, &cron, &e) != 0) return luaL_error(L, "flow.cron: %s", e.message);
    const char *name = common(L, what, options);
    set_text(L, "when", when);
    if (mt_module_option(L, 4, "zone") != LUA_TNIL) zone = mt_module_string(L, -1, what, "zone", ZONE_BYTES);
    struct mt_zone *known = mt_zone_open(zone, &e);
    if (!known) return luaL_error(L, "flow.cron: zone: %s", e.message);
    mt_zone_free(known);
    lua_pushstring(L, zone);
    lua_setfield(L, 5, "zone");
    lua_settop(L, 5);
    return add(L, what, name);
}

/* ---- when all are loaded ---- */

static const json_t *find_flow(const json_t *registry, const char *name, const char **near) {
    const char *names[256];
    size_t i, n = 0;
    const json_t *row;
    json_array_foreach(registry, i, row) {
        if (strcmp(mt_json_str(row, "kind", ""), "flow") != 0) continue;
        if (strcmp(mt_json_str(row, "name", ""), name) == 0) return row;
        if (n < 256) names[n++] = mt_json_str(row, "name", "");
    }
    *near = mt_nearest(name, names, n);
    return NULL;
}

static bool holds_secret(const json_t *value) {
    const char *key;
    const json_t *member;
    size_t i;
    json_object_foreach((json_t *)(uintptr_t)value, key,
                        member) if (strcmp(key, "$secret") == 0 || holds_secret(member)) return true;
    json_array_foreach(value, i, member) if (holds_secret(member)) return true;
    return false;
}

static int check_one(const json_t *registry, const json_t *row, struct mt_error *e) {
    const char *near = NULL, *flow = mt_json_str(row, "flow", "");
    const json_t *found = find_flow(registry, flow, &near);
    if (!found)
        return mt_fail(e, MT_INVALID_REQUEST, "there is no flow \"%s\"%s%s%s", flow,
                       near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "");
    json_t *checked = NULL, *none = json_object();
    const json_t *input = json_object_get(row, "input");
    int rc = mt_schema_check(json_object_get(found, "input"), input ? input : none, &checked, e);
    if (rc != 0)
        mt_error_wrap(e, "input of flow \"%s\"", flow);
    else if (holds_secret(checked))
        rc = mt_fail(e, MT_INVALID_REQUEST,
                     "input of flow \"%s\": a script is no place for a secret, and its schedules are shown",
                     flow);
    json_decref(checked);
    json_decref(none);
    return rc;
}

int mt_schedules_check(const json_t *registry, struct mt_error *e) {
    size_t i, count = 0;
    const json_t *row;
    json_array_foreach(registry, i, row) {
        if (strcmp(mt_json_str(row, "kind", ""), "schedule") != 0) continue;
        int rc = ++count > MT_SCHEDULES_MAX ? mt_fail(e, MT_LIMIT, "more than %d schedules", MT_SCHEDULES_MAX)
                                            : check_one(registry, row, e);
        if (rc != 0) {
            mt_error_wrap(e, "schedule \"%s\"", mt_json_str(row, "name", ""));
            return mt_error_wrap(e, "%s:%d", mt_json_str(row, "file", ""), (int)mt_json_int(row, "line", 0));
        }
    }
    return 0;
}
