/* HTTP for specs: requests, many at once, raw bytes for what a proper client cannot send, and a receiver that
 * records what it gets. */
#include "base/text.h"
#include "http/client.h"
#include "http/server.h"
#include "testing.h"
#include <arpa/inet.h>
#include <errno.h>
#include <lauxlib.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define RECEIVER "mintage.testing.receiver"
enum { MANY_MAX = 1000, KEPT_MAX = 10000, RAW_MAX = 4 * 1024 * 1024, TIMEOUT_MS = 30000 };

static struct mt_transport *transport(void) {
    static struct mt_transport *one; /* lives as long as the tests */
    if (!one) one = mt_transport_curl();
    return one;
}

/* ---- requests ---- */

static const char *field(lua_State *L, int index, const char *name, const char *fallback) {
    lua_getfield(L, index, name);
    const char *s = lua_isstring(L, -1) ? lua_tostring(L, -1) : fallback;
    lua_pop(L, 1); /* held by the table */
    return s;
}

void mt_testing_read_request(lua_State *L, int index, struct mt_http_request *req) {
    size_t len = 0;
    *req = (struct mt_http_request){.method = mt_strdup(field(L, index, "method", "GET")),
                                    .url = mt_strdup(field(L, index, "url", "")),
                                    .timeout_ms = TIMEOUT_MS,
                                    .max_response = 64 * 1024 * 1024};
    lua_getfield(L, index, "timeout_ms");
    if (lua_isinteger(L, -1)) req->timeout_ms = (int)lua_tointeger(L, -1);
    lua_getfield(L, index, "body");
    if (lua_isstring(L, -1)) {
        const char *body = lua_tolstring(L, -1, &len);
        req->body = mt_memdup(body, len);
        req->body_len = len;
    }
    lua_getfield(L, index, "headers");
    if (lua_istable(L, -1)) {
        for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1)) {
            if (lua_type(L, -2) == LUA_TSTRING && lua_isstring(L, -1))
                mt_headers_add(&req->headers, lua_tostring(L, -2), lua_tostring(L, -1));
        }
    }
    lua_pop(L, 3);
}

static void push_headers(lua_State *L, const struct mt_headers *h) {
    char name[256];
    lua_newtable(L);
    for (size_t i = 0; i < h->count; i++) {
        mt_copy(name, sizeof name, h->items[i].name);
        for (char *c = name; *c; c++) *c = (char)(*c >= 'A' && *c <= 'Z' ? *c + 32 : *c);
        lua_pushstring(L, h->items[i].value);
        lua_setfield(L, -2, name);
    }
}

void mt_testing_push_response(lua_State *L, const struct mt_http_response *resp) {
    lua_newtable(L);
    lua_pushinteger(L, resp->status);
    lua_setfield(L, -2, "status");
    lua_pushlstring(L, resp->body.data, resp->body.len);
    lua_setfield(L, -2, "body");
    lua_pushinteger(L, resp->duration_us);
    lua_setfield(L, -2, "duration_us");
    push_headers(L, &resp->headers);
    lua_setfield(L, -2, "headers");
}

/* request{method=, url=, headers=, body=, timeout_ms=}: the response; or nil, what failed, and what became of
 * the request. */
static int request(lua_State *L) {
    struct mt_http_request req;
    struct mt_http_response resp = {0};
    struct mt_error e;
    luaL_checktype(L, 1, LUA_TTABLE);
    mt_testing_read_request(L, 1, &req);
    int result = transport()->perform(transport(), &req, &resp, &e), pushed = 1;
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

static void ignore_done(void *ctx, size_t i, bool failed) {
    if (failed) ((bool *)ctx)[i] = true;
}

/* requests{ {...}, {...} }: all at once; a list of responses, false where one failed. */
static int requests(lua_State *L) {
    luaL_checktype(L, 1, LUA_TTABLE);
    size_t n = lua_rawlen(L, 1);
    luaL_argcheck(L, n <= MANY_MAX, 1, "too many at once");
    struct mt_http_request *reqs = mt_calloc(n + 1, sizeof *reqs);
    struct mt_http_response *resps = mt_calloc(n + 1, sizeof *resps);
    struct mt_error *errors = mt_calloc(n + 1, sizeof *errors);
    bool *failed = mt_calloc(n + 1, sizeof *failed);
    for (size_t i = 0; i < n; i++) {
        lua_rawgeti(L, 1, (lua_Integer)i + 1);
        mt_testing_read_request(L, lua_gettop(L), &reqs[i]);
        lua_pop(L, 1);
    }
    if (n > 0) transport()->perform_all(transport(), n, reqs, resps, errors, ignore_done, failed);
    lua_createtable(L, (int)n, 0);
    for (size_t i = 0; i < n; i++) {
        if (failed[i])
            lua_pushboolean(L, false);
        else
            mt_testing_push_response(L, &resps[i]);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
        mt_http_response_clear(&resps[i]);
        mt_http_request_clear(&reqs[i]);
    }
    free(reqs);
    free(resps);
    free(errors);
    free(failed);
    return 1;
}

/* raw(port, bytes, timeout_ms): sends them, and answers all that comes back until the other side closes or
 * falls silent. */
static int raw(lua_State *L) {
    size_t len, sent = 0;
    int port = (int)luaL_checkinteger(L, 1), timeout = (int)luaL_optinteger(L, 3, 5000);
    const char *bytes = luaL_checklstring(L, 2, &len);
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof to) != 0) {
        int why = errno;
        if (fd >= 0) close(fd);
        return luaL_error(L, "connect: %s", strerror(why));
    }
    while (sent < len) {
        ssize_t n = send(fd, bytes + sent, len - sent, MSG_NOSIGNAL);
        if (n <= 0) break; /* closed early: what it said before is the answer */
        sent += (size_t)n;
    }
    luaL_Buffer b;
    char chunk[4096];
    size_t got = 0;
    luaL_buffinit(L, &b);
    struct pollfd p = {.fd = fd, .events = POLLIN};
    while (got < RAW_MAX && poll(&p, 1, timeout) > 0) {
        ssize_t n = recv(fd, chunk, sizeof chunk, 0);
        if (n <= 0) break;
        got += (size_t)n;
        luaL_addlstring(&b, chunk, (size_t)n);
    }
    close(fd);
    luaL_pushresult(&b);
    return 1;
}

/* ---- a receiver ---- */

struct kept {
    char *method, *path, *query, *body;
    size_t body_len;
    struct mt_headers headers;
};

struct receiver {
    struct mt_server *server;
    struct mt_clock *clock;
    pthread_mutex_t lock;
    struct kept *kept;
    pthread_cond_t let_go;
    size_t count;
    bool held;  /* what has come waits for its answer */
    int status; /* what it answers */
    char body[4096];
};

static void receive(void *ctx, const struct mt_request *req, struct mt_response *resp) {
    struct receiver *r = ctx;
    pthread_mutex_lock(&r->lock);
    if (r->count < KEPT_MAX) {
        r->kept = mt_realloc(r->kept, (r->count + 1) * sizeof *r->kept);
        struct kept *k = &r->kept[r->count++];
        *k = (struct kept){mt_strdup(req->method), mt_strdup(req->path),
                           mt_strdup(req->query),  mt_memdup(req->body, req->body_len),
                           req->body_len,          {0}};
        for (size_t i = 0; i < req->headers.count; i++)
            mt_headers_add(&k->headers, req->headers.items[i].name, req->headers.items[i].value);
    }
    while (r->held) pthread_cond_wait(&r->let_go, &r->lock);
    resp->status = r->status;
    mt_buf_adds(&resp->body, r->body);
    pthread_mutex_unlock(&r->lock);
}

static struct receiver *check(lua_State *L) {
    struct receiver *r = luaL_checkudata(L, 1, RECEIVER);
    luaL_argcheck(L, r->server != NULL, 1, "this receiver is closed");
    return r;
}

/* receiver(threads): as many requests as threads can be under way in it. */
static int receiver_new(lua_State *L) {
    struct mt_error e;
    int threads = (int)luaL_optinteger(L, 1, 64);
    struct receiver *r = lua_newuserdatauv(L, sizeof *r, 0);
    *r = (struct receiver){.status = 200};
    pthread_mutex_init(&r->lock, NULL);
    pthread_cond_init(&r->let_go, NULL);
    luaL_setmetatable(L, RECEIVER);
    r->clock = mt_clock_system();
    struct mt_server_options o = {
        .host = "127.0.0.1", .threads = threads, .clock = r->clock, .fallback = receive, .fallback_ctx = r};
    if (!(r->server = mt_server_start(&o, mt_router_new(), &e))) return luaL_error(L, "%s", e.message);
    return 1;
}

static int receiver_port(lua_State *L) {
    lua_pushinteger(L, mt_server_port(check(L)->server));
    return 1;
}

/* receiver:answer(status, body): to all that comes from now on. */
static int receiver_answer(lua_State *L) {
    struct receiver *r = check(L);
    int status = (int)luaL_checkinteger(L, 2);
    const char *body = luaL_optstring(L, 3, "");
    pthread_mutex_lock(&r->lock);
    r->status = status;
    bool fits = mt_copy(r->body, sizeof r->body, body);
    pthread_mutex_unlock(&r->lock);
    return fits ? 0 : luaL_error(L, "the body is too long");
}

static void set_held(struct receiver *r, bool held) {
    pthread_mutex_lock(&r->lock);
    r->held = held;
    pthread_cond_broadcast(&r->let_go);
    pthread_mutex_unlock(&r->lock);
}

/* receiver:hold(): from now on nothing is answered, until receiver:release(). */
static int receiver_hold(lua_State *L) {
    set_held(check(L), true);
    return 0;
}

static int receiver_release(lua_State *L) {
    set_held(check(L), false);
    return 0;
}

/* How many requests have come. */
static int receiver_count(lua_State *L) {
    struct receiver *r = check(L);
    pthread_mutex_lock(&r->lock);
    lua_pushinteger(L, (lua_Integer)r->count);
    pthread_mutex_unlock(&r->lock);
    return 1;
}

static int receiver_requests(lua_State *L) {
    struct receiver *r = check(L);
    pthread_mutex_lock(&r->lock);
    lua_createtable(L, (int)r->count, 0);
    for (size_t i = 0; i < r->count; i++) {
        const struct kept *k = &r->kept[i];
        lua_newtable(L);
        lua_pushstring(L, k->method);
        lua_setfield(L, -2, "method");
        lua_pushstring(L, k->path);
        lua_setfield(L, -2, "path");
        lua_pushstring(L, k->query);
        lua_setfield(L, -2, "query");
        lua_pushlstring(L, k->body, k->body_len);
        lua_setfield(L, -2, "body");
        push_headers(L, &k->headers);
        lua_setfield(L, -2, "headers");
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    pthread_mutex_unlock(&r->lock);
    return 1;
}

static int receiver_close(lua_State *L) {
    struct receiver *r = luaL_checkudata(L, 1, RECEIVER);
    set_held(r, false); /* or it would wait for those who wait */
    if (r->server) mt_server_stop(r->server);
    r->server = NULL;
    if (r->clock) r->clock->free(r->clock);
    r->clock = NULL;
    for (size_t i = 0; i < r->count; i++) {
        free(r->kept[i].method);
        free(r->kept[i].path);
        free(r->kept[i].query);
        free(r->kept[i].body);
        mt_headers_clear(&r->kept[i].headers);
    }
    free(r->kept);
    r->kept = NULL;
    r->count = 0;
    return 0;
}

void mt_testing_add_http(lua_State *L) {
    static const luaL_Reg methods[] = {{"port", receiver_port},       {"answer", receiver_answer},
                                       {"count", receiver_count},     {"hold", receiver_hold},
                                       {"release", receiver_release}, {"requests", receiver_requests},
                                       {"close", receiver_close},     {NULL, NULL}};
    static const luaL_Reg meta[] = {{"__gc", receiver_close}, {"__close", receiver_close}, {NULL, NULL}};
    static const luaL_Reg functions[] = {
        {"request", request}, {"requests", requests}, {"raw", raw}, {"receiver", receiver_new}, {NULL, NULL}};
    luaL_newmetatable(L, RECEIVER);
    luaL_setfuncs(L, meta, 0);
    luaL_newlib(L, methods);
    lua_setfield(L, -2, "__index");
    lua_pop(L, 1);
    luaL_setfuncs(L, functions, 0);
}
