/* Simulated worlds for specs: what world.h offers, as methods of a userdata. The Lua half, with which specs
 * are written, is world.lua. A world belongs to the thread of the specs; one that is forgotten is closed when
 * it is collected. */
#include "base/json.h"
#include "base/text.h"
#include "story.h"
#include "testing.h"
#include "world.h"
#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>

#define WORLD "mintage.testing.world"

struct world {
    struct mt_world *w; /* NULL: closed */
    lua_State *L;       /* of the call that is in the world now */
    int serve;          /* reference of a function, or LUA_NOREF */
};

static struct world *check(lua_State *L) {
    struct world *u = luaL_checkudata(L, 1, WORLD);
    luaL_argcheck(L, u->w != NULL, 1, "this world is closed");
    u->L = L;
    return u;
}

/* ---- hosts that a spec plays ---- */

static void push_request(lua_State *L, const struct mt_http_request *req) {
    lua_newtable(L);
    lua_pushstring(L, req->method);
    lua_setfield(L, -2, "method");
    lua_pushstring(L, req->url);
    lua_setfield(L, -2, "url");
    lua_pushlstring(L, req->body ? req->body : "", req->body_len);
    lua_setfield(L, -2, "body");
    lua_newtable(L);
    for (size_t i = 0; i < req->headers.count; i++) {
        char name[256];
        mt_copy(name, sizeof name, req->headers.items[i].name);
        for (char *c = name; *c; c++) *c = (char)(*c >= 'A' && *c <= 'Z' ? *c + 32 : *c);
        lua_pushstring(L, req->headers.items[i].value);
        lua_setfield(L, -2, name);
    }
    lua_setfield(L, -2, "headers");
}

/* The function answers a table, or nil: there is no such host. What it raises is answered with 500. */
static bool serve(void *ctx, const struct mt_http_request *req, struct mt_http_response *resp) {
    struct world *u = ctx;
    lua_State *L = u->L;
    int top = lua_gettop(L);
    bool there = true;
    lua_rawgeti(L, LUA_REGISTRYINDEX, u->serve);
    push_request(L, req);
    if (lua_pcall(L, 1, 1, 0) != LUA_OK) {
        size_t len;
        const char *why = luaL_tolstring(L, -1, &len);
        resp->status = 500;
        mt_buf_add(&resp->body, why, len);
    } else if (!lua_istable(L, -1)) {
        there = false;
    } else {
        size_t len = 0;
        lua_getfield(L, -1, "status");
        resp->status = (int)luaL_optinteger(L, -1, 200);
        lua_getfield(L, -2, "body");
        const char *body = lua_tolstring(L, -1, &len);
        if (body) mt_buf_add(&resp->body, body, len);
        lua_getfield(L, -3, "headers");
        if (lua_istable(L, -1))
            for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1))
                if (lua_type(L, -2) == LUA_TSTRING && lua_isstring(L, -1))
                    mt_headers_add(&resp->headers, lua_tostring(L, -2), lua_tostring(L, -1));
    }
    lua_settop(L, top);
    return there;
}

/* ---- opening ---- */

static lua_Integer integer(lua_State *L, int index, const char *name) {
    lua_getfield(L, index, name);
    lua_Integer n = luaL_optinteger(L, -1, 0);
    lua_pop(L, 1);
    return n;
}

/* The table's files, whose strings stay in it. NULL: no table there. */
static struct mt_source *read_flows(lua_State *L, int index, size_t *count) {
    *count = 0;
    if (!lua_istable(L, index)) return NULL;
    size_t n = 0;
    for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1)) n++;
    struct mt_source *files = lua_newuserdatauv(L, (n + 1) * sizeof *files, 0);
    for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1)) {
        struct mt_source *f = &files[(*count)++];
        if (lua_type(L, -2) != LUA_TSTRING || lua_type(L, -1) != LUA_TSTRING)
            luaL_error(L, "flows: wanted a table of texts by file name");
        f->name = lua_tostring(L, -2);
        f->text = lua_tolstring(L, -1, &f->len);
    }
    return files;
}

static void read_options(lua_State *L, struct mt_world_options *o) {
    static const char *const losses[] = {"process", "unsynced", "tears", NULL};
    static const char *const unsound[] = {"", "forgets", "rekeys", "hasty", "resends", "mislays", NULL};
    o->seed = (uint64_t)integer(L, 1, "seed");
    o->start_ms = integer(L, 1, "start_ms");
    o->faults = (unsigned)integer(L, 1, "faults");
    o->crashes = (unsigned)integer(L, 1, "crashes");
    lua_getfield(L, 1, "loss");
    o->loss = (enum mt_disk_crash)luaL_checkoption(L, -1, "unsynced", losses);
    lua_getfield(L, 1, "empty_disk");
    o->empty_disk = lua_toboolean(L, -1);
    lua_getfield(L, 1, "oracle");
    o->oracle = lua_toboolean(L, -1);
    lua_getfield(L, 1, "unsound");
    o->unsound = (enum mt_world_unsound)luaL_checkoption(L, -1, "", unsound);
    lua_getfield(L, 1, "config");
    o->config = luaL_optstring(L, -1, NULL);
    o->mishaps = (unsigned)integer(L, 1, "mishaps");
    lua_getfield(L, 1, "plan");
    o->plan = luaL_optstring(L, -1, NULL);
    lua_getfield(L, 1, "log");
    o->log = mt_testing_shared_log(L, -1);
    lua_getfield(L, 1, "deaths");
    for (int i = 0; lua_istable(L, -1) && i < MT_WORLD_DEATHS; i++) {
        lua_rawgeti(L, -1, i + 1);
        o->deaths[i] = (uint64_t)luaL_optinteger(L, -1, 0);
        lua_pop(L, 1);
    }
}

/* world_open{seed=, start_ms=, flows={["a.lua"]=text}, config=json, deaths={n, m}, loss=, empty_disk=,
 * oracle=, faults=, crashes=, mishaps=most, plan=text, log=shared log, serve=function}: a world; or nil and
 * why not.
 */
static int world_open(lua_State *L) {
    struct mt_world_options o = {0};
    struct mt_error e;
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    struct world *u = lua_newuserdatauv(L, sizeof *u, 0);
    *u = (struct world){.L = L, .serve = LUA_NOREF};
    luaL_setmetatable(L, WORLD);
    read_options(L, &o);
    lua_getfield(L, 1, "serve");
    if (lua_isfunction(L, -1)) {
        u->serve = luaL_ref(L, LUA_REGISTRYINDEX);
        o.serve = serve;
        o.ctx = u;
    }
    lua_getfield(L, 1, "flows");
    o.flows = read_flows(L, lua_gettop(L), &o.flow_count);
    u->w = mt_world_open(&o, &e);
    if (!u->w) {
        lua_pushnil(L);
        lua_pushstring(L, e.message);
        return 2;
    }
    lua_pushvalue(L, 2);
    return 1;
}

static int world_close(lua_State *L) {
    struct world *u = luaL_checkudata(L, 1, WORLD);
    u->L = L;
    if (u->w) mt_world_close(u->w);
    u->w = NULL;
    luaL_unref(L, LUA_REGISTRYINDEX, u->serve);
    u->serve = LUA_NOREF;
    return 0;
}

/* ---- driving ---- */

static int ask(lua_State *L, int (*perform)(struct mt_world *, const struct mt_http_request *,
                                            struct mt_http_response *, struct mt_error *)) {
    struct world *u = check(L);
    struct mt_http_request req;
    struct mt_http_response resp = {0};
    struct mt_error e;
    luaL_checktype(L, 2, LUA_TTABLE);
    mt_testing_read_request(L, 2, &req);
    int result = perform(u->w, &req, &resp, &e), pushed = 1;
    if (result == 0) {
        mt_testing_push_response(L, &resp);
    } else {
        lua_pushnil(L);
        lua_pushstring(L, e.message);
        lua_pushstring(L, mt_outcome_name(e.outcome));
        pushed = 3;
    }
    mt_http_response_clear(&resp);
    mt_http_request_clear(&req);
    return pushed;
}

static int world_request(lua_State *L) {
    return ask(L, mt_world_request);
}

static int world_look(lua_State *L) {
    return ask(L, mt_world_look);
}

static int world_step(lua_State *L) {
    struct world *u = check(L);
    lua_pushboolean(L, mt_world_step(u->w, luaL_checkinteger(L, 2)));
    return 1;
}

static int world_advance(lua_State *L) {
    struct world *u = check(L);
    mt_world_advance(u->w, luaL_checkinteger(L, 2));
    return 0;
}

static int world_now(lua_State *L) {
    lua_pushinteger(L, mt_world_now(check(L)->w));
    return 1;
}

static int world_reload(lua_State *L) {
    struct world *u = check(L);
    struct mt_error e;
    size_t count;
    luaL_checktype(L, 2, LUA_TTABLE);
    lua_settop(L, 2);
    const struct mt_source *files = read_flows(L, 2, &count);
    if (mt_world_reload(u->w, files, count, &e) == 0) {
        lua_pushboolean(L, true);
        return 1;
    }
    lua_pushnil(L);
    lua_pushstring(L, e.message);
    return 2;
}

static int world_kill(lua_State *L) {
    mt_world_kill(check(L)->w);
    return 0;
}

static int world_calm(lua_State *L) {
    mt_world_calm(check(L)->w);
    return 0;
}

static int world_up(lua_State *L) {
    lua_pushboolean(L, mt_world_up(check(L)->w));
    return 1;
}

static int world_broken(lua_State *L) {
    const struct mt_error *e = mt_world_broken(check(L)->w);
    lua_pushstring(L, e ? e->message : NULL);
    return 1;
}

static int world_store_differs(lua_State *L) {
    lua_pushstring(L, mt_world_store_differs(check(L)->w));
    return 1;
}

static int world_points(lua_State *L) {
    struct world *u = check(L);
    lua_pushinteger(L, (lua_Integer)mt_world_points(u->w));
    lua_pushinteger(L, (lua_Integer)mt_world_died(u->w));
    return 2;
}

static int world_mishaps(lua_State *L) {
    char *text = mt_world_mishaps(check(L)->w);
    lua_pushstring(L, text);
    free(text);
    return 1;
}

static int world_log(lua_State *L) {
    char *text = mt_world_log(check(L)->w);
    lua_pushstring(L, text);
    free(text);
    return 1;
}

/* story(run, journal, now_ms): both as JSON texts; what `mintage runs show` prints. */
static int story(lua_State *L) {
    struct mt_error e;
    size_t run_len, journal_len, len = 0;
    const char *run_text = luaL_checklstring(L, 1, &run_len);
    const char *journal_text = luaL_checklstring(L, 2, &journal_len);
    lua_Integer now = luaL_checkinteger(L, 3);
    char *text = NULL;
    json_t *run = mt_json_parse(run_text, run_len, &e);
    json_t *journal = mt_json_parse(journal_text, journal_len, &e);
    FILE *out = run && journal ? open_memstream(&text, &len) : NULL;
    if (out) {
        mt_story_print(out, mt_colors_for(out, "never"), run, journal, now);
        fclose(out);
    }
    json_decref(run);
    json_decref(journal);
    lua_pushlstring(L, text ? text : "", len);
    free(text);
    return 1;
}

void mt_testing_add_world(lua_State *L) {
    static const luaL_Reg methods[] = {
        {"request", world_request},
        {"look", world_look},
        {"mishaps", world_mishaps},
        {"step", world_step},
        {"advance", world_advance},
        {"now", world_now},
        {"reload", world_reload},
        {"kill", world_kill},
        {"calm", world_calm},
        {"up", world_up},
        {"broken", world_broken},
        {"points", world_points},
        {"store_differs", world_store_differs},
        {"log", world_log},
        {"close", world_close},
        {"__gc", world_close},
        {NULL, NULL},
    };
    luaL_newmetatable(L, WORLD);
    luaL_setfuncs(L, methods, 0);
    lua_pushvalue(L, -1);
    lua_setfield(L, -2, "__index");
    lua_pop(L, 1);
    lua_pushcfunction(L, world_open);
    lua_setfield(L, -2, "world_open");
    lua_pushcfunction(L, story);
    lua_setfield(L, -2, "story");
}
