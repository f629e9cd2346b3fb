/* mintage.task and mintage.deliver: dated work and outgoing webhooks, both enqueued in a handler's
 * transaction. */
#include "bindings/modules/module.h"
#include "bindings/modules/modules.h"
#include "bindings/modules/plain.h"
#include <string.h>

enum { NAME_BYTES = 63, URL_BYTES = 2048, DELAYS_MAX = 32 };

/* ---- tasks ---- */

static int define(lua_State *L) {
    lua_settop(L, 2);
    const char *name = mt_module_string(L, 1, "task.define", "the name", NAME_BYTES);
    if (!lua_isfunction(L, 2))
        return luaL_error(L, "task.define \"%s\" wants a function, not %s", name, luaL_typename(L, 2));
    if (!mt_vm_loading(L))
        return luaL_error(
            L, "task.define \"%s\": tasks are defined when their file loads, not while one runs", name);
    mt_vm_register(L, "task", name, 2, NULL);
    return 0;
}

static int schedule(lua_State *L, struct mt_effect *f, int64_t at, const char *what) {
    const char *name = mt_module_string(L, 2, what, "the task's name", NAME_BYTES);
    const struct mt_buf *payload = mt_module_json(L, 3, what);
    mt_vm_effect_begin(L);
    mt_effect_schedule(f->x, at, name, payload->data, f->site, &f->a);
    return mt_module_end(L, f);
}

static int at(lua_State *L) {
    struct mt_effect f;
    lua_settop(L, 3);
    mt_module_begin(L, &f, "task.at");
    return schedule(L, &f, mt_module_instant(L, 1, "task.at", "the instant"), "task.at");
}

static int after(lua_State *L) {
    struct mt_effect f;
    lua_settop(L, 3);
    mt_module_begin(L, &f, "task.after");
    int64_t ms = mt_module_duration(L, 1, "task.after", "the duration");
    return schedule(L, &f, mt_exec_now(f.x) + ms, "task.after");
}

/* ---- deliveries ---- */

/* The list of durations at the top becomes one of milliseconds. */
static void to_delays(lua_State *L) {
    if (!lua_istable(L, -1) || lua_rawlen(L, -1) > DELAYS_MAX)
        luaL_error(L, "deliver: schedule must be a list of at most %d durations", (int)DELAYS_MAX);
    int from = lua_gettop(L);
    lua_Integer n = (lua_Integer)lua_rawlen(L, from);
    lua_createtable(L, (int)n, 0);
    mt_array_make(L, from + 1);
    for (lua_Integer i = 1; i <= n; i++) {
        lua_rawgeti(L, from, i);
        lua_pushinteger(L, mt_module_duration(L, -1, "deliver", "schedule"));
        lua_rawseti(L, from + 1, i);
        lua_pop(L, 1);
    }
    lua_replace(L, from);
}

static int deliver(lua_State *L) {
    static const char *const fields[] = {"group",       "event",    "url",    "headers",  "body",  "json",
                                         "schedule_ms", "schedule", "accept", "delay_ms", "delay", NULL};
    struct mt_effect f;
    mt_module_begin(L, &f, "deliver");
    lua_settop(L, 1);
    mt_module_fields(L, 1, "deliver", fields);
    lua_createtable(L, 0, 8); /* 2: what the engine wants */
    for (size_t i = 0; fields[i] != NULL; i++) {
        if (lua_getfield(L, 1, fields[i]) == LUA_TNIL) {
            lua_pop(L, 1);
            continue;
        }
        if (strcmp(fields[i], "schedule") == 0) {
            to_delays(L);
            lua_setfield(L, 2, "schedule_ms");
        } else if (strcmp(fields[i], "delay") == 0) {
            lua_pushinteger(L, mt_module_duration(L, -1, "deliver", "delay"));
            lua_setfield(L, 2, "delay_ms");
            lua_pop(L, 1);
        } else if (strcmp(fields[i], "json") == 0) {
            mt_plain_push(L, -1, "deliver: json");
            lua_setfield(L, 2, "body");
            lua_pop(L, 1);
        } else {
            if (strcmp(fields[i], "url") == 0) mt_module_string(L, -1, "deliver", "url", URL_BYTES);
            lua_setfield(L, 2, fields[i]);
        }
    }
    if (lua_getfield(L, 2, "event") != LUA_TSTRING) return luaL_error(L, "deliver: event is missing");
    if (lua_getfield(L, 2, "body") != LUA_TSTRING)
        return luaL_error(L, "deliver: body (a string) or json is missing");
    const struct mt_buf *delivery = mt_module_json(L, 2, "deliver");
    mt_vm_effect_begin(L);
    mt_effect_deliver(f.x, delivery->data, f.site, &f.a);
    return mt_module_end(L, &f);
}

static const luaL_Reg functions[] = {{"define", define}, {"at", at}, {"after", after}, {NULL, NULL}};

int mt_open_task(lua_State *L) {
    luaL_newlib(L, functions);
    return mt_module_seal(L, "mintage.task");
}

int mt_open_deliver(lua_State *L) {
    lua_pushcfunction(L, deliver);
    return 1;
}
