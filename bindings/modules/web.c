/* mintage.web: registering HTTP routes while a file loads, and checking pages. How a request becomes a call
 * and its answer a response is handler.c. */
#include "base/text.h"
#include "bindings/modules/module.h"
#include "bindings/modules/modules.h"
#include "http/server.h"
#include <ctype.h>
#include <string.h>

enum { METHOD_BYTES = 15, PATTERN_BYTES = 200 };

const char *const mt_web_response_fields[] = {
    "status", "headers",         "body", "text",     "json",  "html", "redirect",
    "asset",  "frame_ancestors", "csp",  "delay_ms", "fault", NULL};

static void never(void *ctx, const struct mt_request *req, struct mt_response *resp) {
    (void)ctx, (void)req, (void)resp;
}

/* Whether the router will take it, so that the file that says it is told. */
static bool pattern_ok(const char *method, const char *pattern, struct mt_error *e) {
    struct mt_router *r = mt_router_new();
    bool ok = mt_router_add(r, method, pattern, never, NULL, e) == 0;
    mt_router_free(r);
    return ok;
}

/* {public = true} or {auth = "token"} at index 3, or nothing. */
static bool is_public(lua_State *L, const char *what) {
    static const char *const options[] = {"public", "auth", NULL};
    if (!lua_istable(L, 3)) return false;
    mt_module_fields(L, 3, what, options);
    bool public = false;
    if (mt_module_option(L, 3, "public") != LUA_TNIL) {
        if (!lua_isboolean(L, -1))
            luaL_error(L, "%s: public must be true or false, not %s", what, luaL_typename(L, -1));
        public = lua_toboolean(L, -1);
    }
    if (mt_module_option(L, 3, "auth") != LUA_TNIL) {
        const char *auth = lua_tostring(L, -1);
        if (auth == NULL || strcmp(auth, "token") != 0)
            luaL_error(L, "%s: auth must be \"token\"; a route for everybody says public = true", what);
        if (public) luaL_error(L, "%s: public and auth contradict each other", what);
    }
    lua_pop(L, 2);
    return public;
}

/* [method, pattern, options or handler, handler] */
static int add(lua_State *L) {
    char what[256], name[256], description[640];
    struct mt_error e;
    const char *method = mt_module_string(L, 1, "web.route", "the method", METHOD_BYTES);
    const char *pattern = mt_module_string(L, 2, method, "the pattern", PATTERN_BYTES);
    mt_format(what, sizeof(what), "route \"%s %s\"", method, pattern);
    if (!pattern_ok(method, pattern, &e)) return luaL_error(L, "%s", e.message);
    for (const char *p = pattern; *p != '\0'; p++)
        if ((unsigned char)*p <= ' ' || *p == '"' || *p == '\\' || (unsigned char)*p >= 0x7f)
            return luaL_error(L, "%s: a pattern holds printable ASCII only", what);
    if (lua_gettop(L) > 4) return luaL_error(L, "%s: wanted a pattern, options and one handler", what);
    int handler = lua_gettop(L) >= 4 || lua_istable(L, 3) ? 4 : 3;
    lua_settop(L, 4);
    if (handler == 4 && !lua_isnil(L, 3) && !lua_istable(L, 3))
        return luaL_error(L, "%s: options must be a table, not %s", what, luaL_typename(L, 3));
    if (!lua_isfunction(L, handler))
        return luaL_error(L, "%s wants a handler, a function, not %s", what, luaL_typename(L, handler));
    if (!mt_vm_loading(L))
        return luaL_error(L, "%s: routes are registered when their file loads, not while one runs", what);
    bool public = is_public(L, what);
    mt_format(name, sizeof(name), "%s %s", method, pattern);
    mt_format(description, sizeof(description), "{\"method\":\"%s\",\"pattern\":\"%s\",\"public\":%s}",
              method, pattern, public ? "true" : "false");
    mt_vm_register(L, "route", name, handler, description);
    return 0;
}

static int route(lua_State *L) {
    if (lua_type(L, 1) == LUA_TSTRING) { /* "get" is welcome too */
        char method[METHOD_BYTES + 1];
        mt_copy(method, sizeof(method), lua_tostring(L, 1));
        for (char *p = method; *p != '\0'; p++) *p = (char)toupper((unsigned char)*p);
        lua_pushstring(L, method);
        lua_replace(L, 1);
    }
    return add(L);
}

static int with_method(lua_State *L, const char *method) {
    lua_pushstring(L, method);
    lua_insert(L, 1);
    return add(L);
}

static int get(lua_State *L) {
    return with_method(L, "GET");
}
static int post(lua_State *L) {
    return with_method(L, "POST");
}
static int put(lua_State *L) {
    return with_method(L, "PUT");
}
static int patch(lua_State *L) {
    return with_method(L, "PATCH");
}
static int delete (lua_State *L) {
    return with_method(L, "DELETE");
}

/* page{asset or html, frame_ancestors, csp, ...}: the same table, checked where it is written. */
static int page(lua_State *L) {
    lua_settop(L, 1);
    mt_module_fields(L, 1, "web.page", mt_web_response_fields);
    bool asset = lua_getfield(L, 1, "asset") == LUA_TSTRING, html = lua_getfield(L, 1, "html") == LUA_TSTRING;
    if (asset == html)
        return luaL_error(L, "web.page wants either asset = \"shop/index.html\" or html = \"...\"");
    lua_settop(L, 1);
    return 1;
}

static const luaL_Reg functions[] = {{"get", get},       {"post", post},   {"put", put},   {"patch", patch},
                                     {"delete", delete}, {"route", route}, {"page", page}, {NULL, NULL}};

int mt_open_web(lua_State *L) {
    luaL_newlib(L, functions);
    return mt_module_seal(L, "mintage.web");
}
