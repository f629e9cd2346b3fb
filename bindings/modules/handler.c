/* An HTTP request through a route of the current generation: the request as a Lua table, the handler in a
 * transaction, its answer as a response. Nothing of the response leaves before the commit. On the server's
 * worker thread. */
#include "base/json.h"
#include "base/text.h"
#include "bindings/modules/internal.h"
#include "bindings/modules/module.h"
#include "bindings/modules/plain.h"
#include "http/assets.h"
#include <stdlib.h>
#include <string.h>

#define METATABLE "mintage.request"

enum {
    FORM_FIELDS_MAX = 256,
    HEADERS_MAX = 64,
    BODY_MAX = 8 * 1024 * 1024,
    DELAY_MAX_MS = 600000,
    URL_BYTES = 4096
};

/* ---- the request ---- */

static const char request_key = 0; /* its address is the key in Lua's registry */

static const struct mt_request *request(lua_State *L) {
    lua_rawgetp(L, LUA_REGISTRYINDEX, &request_key);
    const struct mt_request *req = lua_touserdata(L, -1);
    lua_pop(L, 1);
    return req;
}

static int bad_request(lua_State *L, const char *code, const char *message) {
    struct mt_error e;
    mt_fail(&e, MT_INVALID_REQUEST, "%s", message);
    e.http_status = 400;
    mt_copy(e.code, sizeof(e.code), code);
    mt_error_push(L, &e);
    return lua_error(L);
}

static void push_decoded(lua_State *L, const char *s, size_t len) {
    luaL_Buffer b;
    char *out = luaL_buffinitsize(L, &b, len + 1);
    long n = mt_url_decode(s, len, out, true);
    if (n < 0)
        bad_request(L, "malformed_form",
                    "a percent sign in the query or form is not followed by two hex digits");
    luaL_pushresultsize(&b, (size_t)n);
}

/* "a=1&b=2" as a table; the first of each name. */
static int push_form(lua_State *L, const char *s, size_t len) {
    const char *end = s + len;
    lua_newtable(L);
    for (int fields = 0; s < end; fields++) {
        if (fields >= FORM_FIELDS_MAX) return bad_request(L, "malformed_form", "more than 256 fields");
        const char *amp = memchr(s, '&', (size_t)(end - s));
        const char *stop = amp != NULL ? amp : end;
        const char *eq = memchr(s, '=', (size_t)(stop - s));
        if (stop > s) {
            push_decoded(L, s, (size_t)((eq != NULL ? eq : stop) - s));
            lua_pushvalue(L, -1);
            if (lua_rawget(L, -3) == LUA_TNIL) {
                lua_pop(L, 1);
                push_decoded(L, eq != NULL ? eq + 1 : stop, eq != NULL ? (size_t)(stop - eq - 1) : 0);
                lua_rawset(L, -3);
            } else {
                lua_pop(L, 2);
            }
        }
        s = stop + 1;
    }
    return 1;
}

static int request_json(lua_State *L) {
    const struct mt_request *req = request(L);
    struct mt_error e;
    struct mt_buf *b = mt_module_scratch(L);
    if (mt_plain_to_value(req->body, req->body_len, b, &e) != 0)
        return bad_request(L, "malformed_json", e.message);
    mt_value_push(L, b->data, b->len);
    return 1;
}

static int request_form(lua_State *L) {
    const struct mt_request *req = request(L);
    return push_form(L, req->body, req->body_len);
}

static void push_headers(lua_State *L, const struct mt_request *req) {
    lua_createtable(L, 0, (int)req->headers.count);
    for (size_t i = 0; i < req->headers.count; i++) {
        char name[128];
        if (!mt_copy(name, sizeof(name), req->headers.items[i].name)) continue;
        for (char *p = name; *p != '\0'; p++)
            if (*p >= 'A' && *p <= 'Z') *p = (char)(*p - 'A' + 'a');
        if (lua_getfield(L, -1, name) == LUA_TNIL) { /* the first of each name */
            lua_pushstring(L, req->headers.items[i].value);
            lua_setfield(L, -3, name);
        }
        lua_pop(L, 1);
    }
}

/* What costs something is made when it is asked for, and kept. */
static int request_index(lua_State *L) {
    static const char *const names[] = {"method", "path",   "raw_path", "params", "query", "headers", "body",
                                        "remote", "client", "host",     "id",     "json",  "form"};
    const struct mt_request *req = request(L);
    const char *key = luaL_checkstring(L, 2);
    if (strcmp(key, "query") == 0) {
        push_form(L, req->query, strlen(req->query));
    } else if (strcmp(key, "headers") == 0) {
        push_headers(L, req);
    } else if (strcmp(key, "body") == 0) {
        lua_pushlstring(L, req->body != NULL ? req->body : "", req->body_len);
    } else if (strcmp(key, "json") == 0) {
        lua_pushcfunction(L, request_json);
    } else if (strcmp(key, "form") == 0) {
        lua_pushcfunction(L, request_form);
    } else {
        const char *near = mt_nearest(key, names, sizeof(names) / sizeof(names[0]));
        if (near != NULL) return luaL_error(L, "a request has no \"%s\"; did you mean \"%s\"?", key, near);
        return luaL_error(L, "a request has no \"%s\"", key);
    }
    lua_pushvalue(L, 2);
    lua_pushvalue(L, -2);
    lua_rawset(L, 1);
    return 1;
}

static void set_text(lua_State *L, const char *name, const char *value) {
    lua_pushstring(L, value);
    lua_setfield(L, -2, name);
}

/* ---- the answer ---- */

struct reply {
    int status;
    struct mt_headers headers;
    struct mt_buf body;
    char asset[256];
    bool page;
    char frame_ancestors[1024], csp[1024];
    int delay_ms;
    enum mt_response_fault fault;
};

struct serving {
    const struct mt_request *req;
    struct reply reply;
};

static void reply_reset(void *arg) {
    struct reply *r = &((struct serving *)arg)->reply;
    mt_headers_clear(&r->headers);
    mt_buf_clear(&r->body);
    memset(r, 0, sizeof(*r));
    mt_buf_init(&r->body, BODY_MAX);
    mt_copy(r->frame_ancestors, sizeof(r->frame_ancestors), "'none'");
}

static int push_request(lua_State *L, void *arg) {
    const struct mt_request *req = ((struct serving *)arg)->req;
    lua_pushlightuserdata(L, (void *)(uintptr_t)req);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &request_key);
    lua_createtable(L, 0, 9);
    set_text(L, "method", req->method);
    set_text(L, "path", req->path);
    set_text(L, "raw_path", req->raw_path);
    set_text(L, "remote", req->remote);
    set_text(L, "client", req->client[0] != '\0' ? req->client : req->remote);
    set_text(L, "host", req->host);
    set_text(L, "id", req->request_id);
    lua_createtable(L, 0, (int)req->param_count);
    for (size_t i = 0; i < req->param_count; i++) set_text(L, req->param_names[i], req->param_values[i]);
    lua_setfield(L, -2, "params");
    if (luaL_newmetatable(L, METATABLE)) {
        lua_pushcfunction(L, request_index);
        lua_setfield(L, -2, "__index");
    }
    lua_setmetatable(L, -2);
    return 1;
}

static bool header_ok(const char *name, const char *value) {
    size_t n = strlen(name);
    if (n == 0 || n > 100 ||
        name[strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_")] != '\0')
        return false;
    for (const char *p = value; *p != '\0'; p++)
        if ((unsigned char)*p < ' ' && *p != '\t') return false; /* a line break would begin another header */
    return true;
}

static void add_header(lua_State *L, struct reply *r, const char *name, int index, bool first) {
    const char *value = lua_isboolean(L, index) ? NULL : lua_tostring(L, index);
    if (value == NULL || !header_ok(name, value) || strlen(value) != lua_rawlen(L, index))
        luaL_error(L, "response: header \"%s\" must be a text without control characters", name);
    if (r->headers.count >= HEADERS_MAX) luaL_error(L, "response: more than %d headers", (int)HEADERS_MAX);
    if (first)
        mt_headers_set(&r->headers, name, value);
    else
        mt_headers_add(&r->headers, name, value);
}

static void take_headers(lua_State *L, struct reply *r) {
    if (lua_getfield(L, 1, "headers") == LUA_TNIL) return;
    if (!lua_istable(L, -1)) luaL_error(L, "response: headers must be a table, not %s", luaL_typename(L, -1));
    int headers = lua_gettop(L);
    lua_pushnil(L);
    while (lua_next(L, headers) != 0) {
        if (lua_type(L, -2) != LUA_TSTRING) luaL_error(L, "response: headers are named by strings");
        const char *name = lua_tostring(L, -2);
        lua_Integer n = lua_istable(L, -1) ? (lua_Integer)lua_rawlen(L, -1) : 0;
        if (n == 0) {
            lua_pushvalue(L, -1); /* a number is converted in a copy: the key's own slot must stay as it is */
            add_header(L, r, name, -1, true);
            lua_pop(L, 1);
        }
        for (lua_Integer i = 1; i <= n; i++) {
            lua_rawgeti(L, -1, i);
            add_header(L, r, name, lua_gettop(L), i == 1);
            lua_pop(L, 1);
        }
        lua_pop(L, 1);
    }
}

static void set_body(lua_State *L, struct reply *r, const char *field, const char *type) {
    if (lua_type(L, -1) != LUA_TSTRING)
        luaL_error(L, "response: %s must be a string, not %s", field, luaL_typename(L, -1));
    size_t len;
    const char *s = lua_tolstring(L, -1, &len);
    mt_buf_add(&r->body, s, len);
    if (!mt_buf_ok(&r->body)) luaL_error(L, "response: more than %d bytes", (int)BODY_MAX);
    mt_headers_set(&r->headers, "Content-Type", type);
}

static void take_json(lua_State *L, struct reply *r) {
    mt_plain_push(L, -1, "response: json");
    set_body(L, r, "json", "application/json");
    lua_pop(L, 1);
}

static void take_redirect(lua_State *L, struct reply *r) {
    const char *url = mt_module_string(L, -1, "response", "redirect", URL_BYTES);
    if (!header_ok("Location", url)) luaL_error(L, "response: redirect holds control characters");
    mt_headers_set(&r->headers, "Location", url);
    if (r->status == 0) r->status = 303;
}

static int small_text(lua_State *L, const char *field, char *out, size_t size) {
    if (lua_getfield(L, 1, field) == LUA_TNIL) return 0;
    const char *s = mt_module_string(L, -1, "response", field, size - 1);
    if (!header_ok("X", s)) luaL_error(L, "response: %s holds control characters", field);
    mt_copy(out, size, s);
    return 1;
}

static int integer(lua_State *L, const char *field, int least, int most) {
    if (lua_getfield(L, 1, field) == LUA_TNIL) return 0;
    if (!lua_isinteger(L, -1) || lua_tointeger(L, -1) < least || lua_tointeger(L, -1) > most)
        luaL_error(L, "response: %s must be an integer from %d to %d", field, least, most);
    return (int)lua_tointeger(L, -1);
}

static void take_fault(lua_State *L, struct reply *r) {
    static const char *const names[] = {"drop", "reset", "truncate", NULL};
    static const enum mt_response_fault faults[] = {MT_FAULT_DROP, MT_FAULT_RESET, MT_FAULT_TRUNCATE};
    if (lua_getfield(L, 1, "fault") == LUA_TNIL) return;
    const char *name = lua_tostring(L, -1);
    for (size_t i = 0; name != NULL && names[i] != NULL; i++) {
        if (strcmp(names[i], name) != 0) continue;
        r->fault = faults[i];
        return;
    }
    luaL_error(L, "response: fault must be \"drop\", \"reset\" or \"truncate\"");
}

static void take_table(lua_State *L, struct reply *r) {
    static const char *const bodies[] = {"body", "text", "json", "html", "redirect", "asset", NULL};
    mt_module_fields(L, 1, "response", mt_web_response_fields);
    r->status = integer(L, "status", 200, 599);
    r->delay_ms = integer(L, "delay_ms", 0, DELAY_MAX_MS);
    take_fault(L, r);
    small_text(L, "frame_ancestors", r->frame_ancestors, sizeof(r->frame_ancestors));
    small_text(L, "csp", r->csp, sizeof(r->csp));
    const char *given = NULL;
    for (size_t i = 0; bodies[i] != NULL; i++) {
        lua_settop(L, 1);
        if (lua_getfield(L, 1, bodies[i]) == LUA_TNIL) continue;
        if (given != NULL) luaL_error(L, "response: %s and %s contradict each other", given, bodies[i]);
        given = bodies[i];
        switch (given[0]) {
        case 'b':
            set_body(L, r, given, "application/octet-stream");
            break;
        case 't':
            set_body(L, r, given, "text/plain; charset=utf-8");
            break;
        case 'j':
            take_json(L, r);
            break;
        case 'r':
            take_redirect(L, r);
            break;
        case 'h':
            set_body(L, r, given, "text/html; charset=utf-8");
            r->page = true;
            break;
        default:
            small_text(L, "asset", r->asset, sizeof(r->asset));
            r->page = true;
        }
    }
    lua_settop(L, 1);
    if (r->status == 0) r->status = given != NULL ? 200 : 204;
    take_headers(L, r);
}

static int take_reply(lua_State *L, void *arg) {
    struct reply *r = &((struct serving *)arg)->reply;
    lua_settop(L, 1);
    switch (lua_type(L, 1)) {
    case LUA_TNIL:
        r->status = 204;
        break;
    case LUA_TSTRING:
        r->status = 200;
        set_body(L, r, "text", "text/plain; charset=utf-8");
        break;
    case LUA_TTABLE:
        take_table(L, r);
        break;
    default:
        luaL_error(
            L,
            "a handler returns nothing, a string or a table such as { status = 200, json = {...} }, not %s",
            luaL_typename(L, 1));
    }
    return 0;
}

/* Moves the reply into the response. */
static void deliver(const struct mt_request *req, struct reply *r, struct mt_response *resp) {
    resp->status = r->status;
    if (r->asset[0] != '\0') {
        mt_asset_respond(req, resp, r->asset);
        if (resp->status == 200) resp->status = r->status;
    } else {
        mt_buf_add(&resp->body, r->body.data, r->body.len);
    }
    if (r->page) mt_page_headers(resp, r->frame_ancestors, r->csp[0] != '\0' ? r->csp : NULL);
    const char *last = "";
    for (size_t i = 0; i < r->headers.count; last = r->headers.items[i++].name) {
        const struct mt_header *h = &r->headers.items[i];
        if (strcasecmp(last, h->name) == 0)
            mt_headers_add(&resp->headers, h->name, h->value);
        else
            mt_headers_set(&resp->headers, h->name, h->value);
    }
    resp->delay_ms = r->delay_ms;
    resp->fault = r->fault;
}

static void run_route(struct mt_scripts *s, struct loaded *l, const struct route *route,
                      const struct mt_request *req, struct mt_response *resp) {
    struct mt_error e;
    struct serving serving = {.req = req};
    struct mt_vm_call call = {
        .entry = route->entry, .push = push_request, .take = take_reply, .arg = &serving};
    mt_buf_init(&serving.reply.body, BODY_MAX);
    if (scripts_transact(s, l, route->entry, 0, &call, reply_reset, &e) == 0) {
        deliver(req, &serving.reply, resp);
    } else if (e.kind == MT_SCRIPT || e.kind == MT_INTERNAL ||
               (e.kind == MT_LIMIT && e.operation[0] == '\0')) {
        mt_respond_problem(resp, 500, "internal", "the handler of this route failed; the log says why");
    } else {
        bool malformed = strncmp(e.code, "malformed_", 10) == 0;
        mt_respond_error(resp, malformed ? 400 : mt_status_for(&e), &e);
    }
    mt_headers_clear(&serving.reply.headers);
    mt_buf_clear(&serving.reply.body);
}

/* ---- serving ---- */

bool mt_scripts_try(struct mt_scripts *s, const struct mt_request *req, struct mt_response *resp) {
    struct loaded *l = scripts_current(s);
    if (l == NULL) return false;
    struct mt_request own = *req; /* the route's params are ours; all else is borrowed */
    void *found = NULL;
    char allowed[128];
    if (mt_router_find(l->router, &own, &found, allowed) == NULL && allowed[0] == '\0') {
        scripts_release(s, l);
        return false;
    }
    const struct route *route = found;
    if (route == NULL) {
        mt_respond_problem(resp, 405, "invalid_request", "%s is not for %s; allowed: %s", req->path,
                           req->method, allowed);
        mt_headers_set(&resp->headers, "Allow", allowed);
    } else if (!route->public && s->o.authorised != NULL && !s->o.authorised(s->o.ctx, req)) {
        mt_respond_problem(resp, 401, "authentication",
                           "this route wants the admin token: Authorization: Bearer TOKEN");
        mt_headers_set(&resp->headers, "WWW-Authenticate", "Bearer");
    } else {
        run_route(s, l, route, &own, resp);
    }
    scripts_release(s, l);
    return true;
}

void mt_scripts_serve(void *ctx, const struct mt_request *req, struct mt_response *resp) {
    if (!mt_scripts_try(ctx, req, resp))
        mt_respond_problem(resp, 404, "not_found", "there is nothing at %s", req->path);
}
