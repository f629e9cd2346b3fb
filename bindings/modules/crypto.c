/* mintage.crypto: digests, MACs and encodings over core/crypto. Pure but for token, which is derived from the
 * run (and random in a handler). Nothing is kept. */
#include "crypto/crypto.h"
#include "bindings/modules/module.h"
#include "bindings/modules/modules.h"
#include "crypto/webhook.h"
#include <string.h>

enum { INPUT_MAX = 16 * 1024 * 1024, TOKEN_MAX = 64, SECRETS_MAX = 8, SEALED_MAX = 64 * 1024 };

static const char *input(lua_State *L, int index, size_t *len) {
    const char *s = luaL_checklstring(L, index, len);
    luaL_argcheck(L, *len <= INPUT_MAX, index, "more than 16 MiB");
    return s;
}

/* Pushes the digest as lower-case hex, or as bytes when the argument at `index` is "raw". */
static int push_digest(lua_State *L, const uint8_t *digest, size_t size, int index) {
    char hex[2 * MT_SHA512_SIZE + 1];
    const char *form = luaL_optstring(L, index, "hex");
    if (strcmp(form, "raw") == 0) {
        lua_pushlstring(L, (const char *)digest, size);
        return 1;
    }
    luaL_argcheck(L, strcmp(form, "hex") == 0, index, "wanted \"hex\" or \"raw\"");
    mt_hex_encode(digest, size, hex);
    lua_pushlstring(L, hex, 2 * size);
    return 1;
}

static int md5(lua_State *L) {
    size_t len;
    uint8_t out[MT_MD5_SIZE];
    const char *s = input(L, 1, &len);
    mt_md5(s, len, out);
    return push_digest(L, out, sizeof(out), 2);
}

static int sha256(lua_State *L) {
    size_t len;
    uint8_t out[MT_SHA256_SIZE];
    const char *s = input(L, 1, &len);
    mt_sha256(s, len, out);
    return push_digest(L, out, sizeof(out), 2);
}

static int sha512(lua_State *L) {
    size_t len;
    uint8_t out[MT_SHA512_SIZE];
    const char *s = input(L, 1, &len);
    mt_sha512(s, len, out);
    return push_digest(L, out, sizeof(out), 2);
}

/* hmac_x(key, message [, form]) */
static int hmac_sha256(lua_State *L) {
    size_t key_len, len;
    uint8_t out[MT_SHA256_SIZE];
    const char *key = input(L, 1, &key_len), *s = input(L, 2, &len);
    mt_hmac_sha256(key, key_len, s, len, out);
    return push_digest(L, out, sizeof(out), 3);
}

static int hmac_sha512(lua_State *L) {
    size_t key_len, len;
    uint8_t out[MT_SHA512_SIZE];
    const char *key = input(L, 1, &key_len), *s = input(L, 2, &len);
    mt_hmac_sha512(key, key_len, s, len, out);
    return push_digest(L, out, sizeof(out), 3);
}

/* In time that depends on the lengths alone; false for anything that is no string. */
static int equal(lua_State *L) {
    size_t a_len = 0, b_len = 0;
    bool strings = lua_type(L, 1) == LUA_TSTRING && lua_type(L, 2) == LUA_TSTRING;
    const char *a = strings ? lua_tolstring(L, 1, &a_len) : NULL,
               *b = strings ? lua_tolstring(L, 2, &b_len) : NULL;
    lua_pushboolean(L, strings && mt_equal(a, a_len, b, b_len));
    return 1;
}

static int hex(lua_State *L) {
    size_t len;
    const char *s = input(L, 1, &len);
    luaL_Buffer b;
    char *out = luaL_buffinitsize(L, &b, 2 * len + 1);
    mt_hex_encode(s, len, out);
    luaL_pushresultsize(&b, 2 * len);
    return 1;
}

/* nil when it is no hex. */
static int unhex(lua_State *L) {
    size_t len;
    const char *s = input(L, 1, &len);
    luaL_Buffer b;
    char *out = luaL_buffinitsize(L, &b, len / 2 + 1);
    if (len % 2 != 0 || !mt_hex_decode(s, len, out, len / 2)) {
        lua_pushnil(L);
        return 1;
    }
    luaL_pushresultsize(&b, len / 2);
    return 1;
}

static int push_scratch(lua_State *L, const struct mt_buf *b, bool ok) {
    if (!mt_buf_ok(b)) return luaL_error(L, "the result has more than %d bytes", (int)b->max);
    if (ok)
        lua_pushlstring(L, b->data, b->len);
    else
        lua_pushnil(L);
    return 1;
}

static int base64(lua_State *L) {
    size_t len;
    const char *s = input(L, 1, &len);
    struct mt_buf *b = mt_module_scratch(L);
    mt_base64_encode(s, len, b);
    return push_scratch(L, b, true);
}

static int unbase64(lua_State *L) {
    size_t len;
    const char *s = input(L, 1, &len);
    struct mt_buf *b = mt_module_scratch(L);
    bool ok = mt_base64_decode(s, len, b);
    return push_scratch(L, b, ok);
}

static int base64url(lua_State *L) {
    size_t len;
    const char *s = input(L, 1, &len);
    struct mt_buf *b = mt_module_scratch(L);
    mt_base64url_encode(s, len, b);
    return push_scratch(L, b, true);
}

static int unbase64url(lua_State *L) {
    size_t len;
    const char *s = input(L, 1, &len);
    struct mt_buf *b = mt_module_scratch(L);
    bool ok = mt_base64url_decode(s, len, b);
    return push_scratch(L, b, ok);
}

/* token([bytes]): that many unguessable bytes (16) as hex. */
static int token(lua_State *L) {
    uint8_t bytes[TOKEN_MAX];
    char out[2 * TOKEN_MAX + 1];
    lua_Integer n = luaL_optinteger(L, 1, 16);
    luaL_argcheck(L, n >= 8 && n <= TOKEN_MAX, 1, "wanted 8 to 64 bytes");
    mt_exec_random(mt_module_exec(L, "crypto.token"), bytes, (size_t)n);
    mt_hex_encode(bytes, (size_t)n, out);
    lua_pushlstring(L, out, 2 * (size_t)n);
    return 1;
}

/* seal(text, place): text that only this program's scripts can open, and only for that place. */
static int seal(lua_State *L) {
    size_t len, place_len;
    struct mt_error e;
    struct mt_exec *x = mt_module_exec(L, "crypto.seal");
    const char *s = luaL_checklstring(L, 1, &len), *place = luaL_checklstring(L, 2, &place_len);
    luaL_argcheck(L, len <= SEALED_MAX, 1, "more than 64 KiB");
    struct mt_buf *sealed = mt_module_scratch(L);
    if (mt_exec_seal(x, place, place_len, s, len, sealed, &e) != 0)
        return luaL_error(L, "crypto.seal: %s", e.message);
    lua_pushlstring(L, sealed->data, sealed->len);
    size_t n;
    const char *bytes = lua_tolstring(L, -1, &n);
    struct mt_buf *text = mt_module_scratch(L);
    mt_base64url_encode(bytes, n, text);
    return push_scratch(L, text, true);
}

/* unseal(sealed, place): nil when it does not open there. */
static int unseal(lua_State *L) {
    size_t len, place_len;
    struct mt_error e;
    struct mt_exec *x = mt_module_exec(L, "crypto.unseal");
    const char *s = luaL_checklstring(L, 1, &len), *place = luaL_checklstring(L, 2, &place_len);
    luaL_argcheck(L, len <= 2 * SEALED_MAX, 1, "more than 128 KiB");
    struct mt_buf *sealed = mt_module_scratch(L);
    if (!mt_base64url_decode(s, len, sealed)) {
        lua_pushnil(L);
        return 1;
    }
    push_scratch(L, sealed, true);
    const char *bytes = lua_tolstring(L, -1, &len);
    struct mt_buf *text = mt_module_scratch(L);
    bool ok = mt_exec_unseal(x, place, place_len, bytes, len, text, &e) == 0;
    push_scratch(L, text, ok);
    if (ok) mt_wipe(text->data, text->len);
    return 1;
}

/* mac(text [, form]): HMAC-SHA-256 under a key that no script sees. */
static int mac(lua_State *L) {
    size_t len;
    uint8_t out[MT_SHA256_SIZE];
    const char *s = input(L, 1, &len);
    mt_exec_mac(mt_module_exec(L, "crypto.mac"), s, len, out);
    return push_digest(L, out, sizeof(out), 2);
}

/* The header of that name in the table at 1 ("headers" of it, when it is a request). */
static const char *header(lua_State *L, const char *name) {
    lua_getfield(L, 1, "headers");
    lua_getfield(L, -1, name);
    return lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : NULL; /* stays on the stack */
}

/* verify_webhook({headers, body}, secret or list of them [, tolerance]): true, or nil and why not. */
static int verify_webhook(lua_State *L) {
    const char *secrets[SECRETS_MAX], *what = "crypto.verify_webhook";
    size_t count = 0, len = 0;
    int64_t tolerance = MT_WEBHOOK_TOLERANCE_S;
    struct mt_error e;
    lua_settop(L, 3);
    luaL_checktype(L, 1, LUA_TTABLE);
    luaL_checkstack(L, SECRETS_MAX + 10, what);
    if (!lua_isnil(L, 3)) tolerance = mt_module_duration(L, 3, what, "the tolerance") / 1000;
    if (lua_istable(L, 2)) {
        lua_Integer n = (lua_Integer)lua_rawlen(L, 2);
        luaL_argcheck(L, n <= SECRETS_MAX, 2, "more than 8 secrets");
        for (lua_Integer i = 1; i <= n; i++) {
            lua_rawgeti(L, 2, i);
            secrets[count++] = mt_module_string(L, lua_gettop(L), what, "a secret", 200);
        }
    } else {
        secrets[count++] = mt_module_string(L, 2, what, "the secret", 200);
    }
    int64_t now = mt_exec_now(mt_module_exec(L, what)) / 1000;
    lua_getfield(L, 1, "body");
    const char *body = luaL_checklstring(L, -1, &len);
    const char *id = header(L, "webhook-id"), *timestamp = header(L, "webhook-timestamp"),
               *signature = header(L, "webhook-signature");
    if (mt_webhook_verify(secrets, count, id, timestamp, signature, body, len, now, tolerance, &e) == 0) {
        lua_pushboolean(L, 1);
        return 1;
    }
    if (e.kind != MT_AUTHENTICATION) return luaL_error(L, "%s: %s", what, e.message);
    lua_pushnil(L);
    lua_pushstring(L, e.message);
    return 2;
}

static const luaL_Reg functions[] = {
    {"md5", md5},
    {"sha256", sha256},
    {"sha512", sha512},
    {"hmac_sha256", hmac_sha256},
    {"hmac_sha512", hmac_sha512},
    {"equal", equal},
    {"hex", hex},
    {"unhex", unhex},
    {"base64", base64},
    {"unbase64", unbase64},
    {"base64url", base64url},
    {"unbase64url", unbase64url},
    {"token", token},
    {"seal", seal},
    {"unseal", unseal},
    {"mac", mac},
    {"verify_webhook", verify_webhook},
    {NULL, NULL},
};

int mt_open_crypto(lua_State *L) {
    luaL_newlib(L, functions);
    return mt_module_seal(L, "mintage.crypto");
}
