/* A client of Unix sockets for specs: bytes out, lines in. */
#include "base/buf.h"
#include "base/sync.h"
#include "base/text.h"
#include "testing.h"
#include <errno.h>
#include <lauxlib.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define CLIENT "mintage.testing.socket"
enum { LINE_MAX_BYTES = 16 * 1024 * 1024, TIMEOUT_MS = 30000 };

struct client {
    int fd; /* -1: closed */
    struct mt_buf in;
};

static struct client *check(lua_State *L) {
    return luaL_checkudata(L, 1, CLIENT);
}

/* unix(path) -> client, or nil and why. */
static int connect_to(lua_State *L) {
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    const char *path = luaL_checkstring(L, 1);
    if (!mt_copy(at.sun_path, sizeof at.sun_path, path))
        return luaL_error(L, "%s: the path is too long", path);
    struct client *c = lua_newuserdatauv(L, sizeof *c, 0);
    c->fd = -1;
    mt_buf_init(&c->in, LINE_MAX_BYTES);
    luaL_setmetatable(L, CLIENT);
    c->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (c->fd >= 0 && connect(c->fd, (struct sockaddr *)&at, sizeof at) == 0) return 1;
    int failed = errno;
    if (c->fd >= 0) close(c->fd);
    c->fd = -1;
    lua_pushnil(L);
    lua_pushstring(L, strerror(failed));
    return 2;
}

/* send(bytes) -> whether all went out: the other side may have closed. */
static int send_bytes(lua_State *L) {
    struct client *c = check(L);
    size_t len;
    const char *bytes = luaL_checklstring(L, 2, &len);
    while (len > 0) {
        ssize_t n = send(c->fd, bytes, len, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) break;
        bytes += n;
        len -= (size_t)n;
    }
    lua_pushboolean(L, len == 0);
    return 1;
}

/* Reads what is there, waiting until `deadline`: NULL, or why there is nothing. */
static const char *fill(struct client *c, int64_t deadline) {
    char part[16384];
    int64_t left = (deadline - mt_mono_ns()) / 1000000;
    struct pollfd p = {.fd = c->fd, .events = POLLIN};
    int ready = poll(&p, 1, left > 0 ? (int)left : 0);
    if (ready < 0 && errno == EINTR) return NULL;
    if (ready <= 0) return "timeout";
    ssize_t n = recv(c->fd, part, sizeof part, 0);
    if (n <= 0) return "closed";
    mt_buf_add(&c->in, part, (size_t)n);
    return mt_buf_ok(&c->in) ? NULL : "too long";
}

/* line(timeout_ms) -> the next line without its end, or nil and "closed", "timeout". */
static int line(lua_State *L) {
    struct client *c = check(L);
    int64_t deadline = mt_mono_ns() + luaL_optinteger(L, 2, TIMEOUT_MS) * 1000000;
    const char *end, *why = NULL;
    while (!(end = memchr(c->in.data, '\n', c->in.len)) && !why)
        why = c->fd < 0 ? "closed" : fill(c, deadline);
    if (!end) {
        lua_pushnil(L);
        lua_pushstring(L, why);
        return 2;
    }
    size_t len = (size_t)(end - c->in.data);
    lua_pushlstring(L, c->in.data, len);
    memmove(c->in.data, end + 1, c->in.len - len - 1);
    c->in.len -= len + 1;
    return 1;
}

static int close_client(lua_State *L) {
    struct client *c = check(L);
    if (c->fd >= 0) close(c->fd);
    c->fd = -1;
    return 0;
}

static int collect(lua_State *L) {
    close_client(L);
    mt_buf_clear(&check(L)->in);
    return 0;
}

void mt_testing_add_sockets(lua_State *L) {
    static const luaL_Reg methods[] = {
        {"send", send_bytes}, {"line", line}, {"close", close_client}, {NULL, NULL}};
    if (luaL_newmetatable(L, CLIENT)) {
        luaL_newlib(L, methods);
        lua_setfield(L, -2, "__index");
        lua_pushcfunction(L, collect);
        lua_setfield(L, -2, "__gc");
    }
    lua_pop(L, 1);
    lua_pushcfunction(L, connect_to);
    lua_setfield(L, -2, "unix");
}
