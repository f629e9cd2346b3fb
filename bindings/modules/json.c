/* mintage.json: lua-cjson, with what the packaged 2.1.0 gets wrong in Lua 5.4 put right at its seams. The
 * build renames some of the symbols that lua_cjson.o refers to (bindings/CMakeLists.txt) to the functions
 * here. Invariant: integers are exact both ways, keys are written in the order of scripts, empty arrays stay
 * arrays. The thread of the execution. */
#include "bindings/modules/module.h"
#include "bindings/modules/modules.h"
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DEPTH_MAX = 64 };

int luaopen_cjson(lua_State *L);
void strbuf_append_string(void *buffer, const char *text);

double mt_cjson_strtod(const char *text, char **end);
void mt_cjson_pushnumber(lua_State *L, lua_Number n);
int mt_cjson_checkstack(lua_State *L, int n);
void mt_cjson_createtable(lua_State *L, int array, int record);
lua_Number mt_cjson_tonumberx(lua_State *L, int index, int *is_number);
int mt_cjson_g_fmt(char *out, double n, int precision);
void mt_cjson_append_string(void *buffer, const char *text);
int mt_cjson_type(lua_State *L, int index);
const char *mt_cjson_tolstring(lua_State *L, int index, size_t *len);

/* What one seam tells the next; lua_cjson.o calls them one right after the other. */
static _Thread_local struct {
    enum { FLOAT, INTEGER, EMPTY_ARRAY } kind;
    lua_Integer integer;
    int slots;
} seam;

/* ---- reading: strtod then pushnumber ---- */

static const char *skip_digits(const char *p) {
    while (*p >= '0' && *p <= '9') p++;
    return p;
}

/* The end of the JSON number at `text`, or `text` itself when it is none. strtod would also take "1." and
 * "0x10". */
static const char *number_end(const char *text, bool *integer) {
    const char *p = text + (*text == '-'), *digits = p;
    *integer = true;
    p = skip_digits(p);
    if (p == digits || (digits[0] == '0' && p > digits + 1)) return text;
    if (*p == '.') {
        *integer = false;
        digits = ++p;
        p = skip_digits(p);
        if (p == digits) return text;
    }
    if (*p == 'e' || *p == 'E') {
        *integer = false;
        p += p[1] == '+' || p[1] == '-' ? 2 : 1;
        digits = p;
        p = skip_digits(p);
        if (p == digits) return text;
    }
    return p;
}

/* Remembers the exact integer: for integer text that fits 64 bits, and for whole floats that a double holds
 * exactly. */
double mt_cjson_strtod(const char *text, char **end) {
    bool integer;
    const char *stop = number_end(text, &integer);
    *end = (char *)(uintptr_t)stop;
    seam.kind = FLOAT;
    if (stop == text) return 0;
    double d = strtod(text, NULL);
    if (integer) {
        errno = 0;
        seam.integer = strtoll(text, NULL, 10);
        if (errno == 0) seam.kind = INTEGER;
    } else if (d >= -9007199254740992.0 && d <= 9007199254740992.0 && d == (double)(lua_Integer)d) {
        seam.integer = (lua_Integer)d;
        seam.kind = INTEGER;
    }
    if (d > 1.7976931348623157e308 || d < -1.7976931348623157e308)
        *end = (char *)(uintptr_t)text; /* infinite */
    return d;
}

void mt_cjson_pushnumber(lua_State *L, lua_Number n) {
    if (seam.kind == INTEGER)
        lua_pushinteger(L, seam.integer);
    else
        lua_pushnumber(L, n);
}

/* Before it makes a table, lua-cjson asks for 3 slots for an object and 2 for an array. */
int mt_cjson_checkstack(lua_State *L, int n) {
    seam.slots = n;
    return lua_checkstack(L, n);
}

void mt_cjson_createtable(lua_State *L, int array, int record) {
    lua_createtable(L, array, record);
    if (seam.slots == 2) mt_array_make(L, -1);
    seam.slots = 0;
}

/* ---- writing: type, then tonumberx and g_fmt, or tolstring ---- */

static bool is_empty(lua_State *L, int index) {
    index = lua_absindex(L, index);
    lua_pushnil(L);
    if (lua_next(L, index) == 0) return true;
    lua_pop(L, 2);
    return false;
}

/* Money is written as its text is, and an empty array by the way numbers take. */
int mt_cjson_type(lua_State *L, int index) {
    int type = lua_type(L, index);
    if (type == LUA_TUSERDATA && mt_money_test(L, index) != NULL) return LUA_TSTRING;
    if (type == LUA_TTABLE && lua_checkstack(L, 4) && mt_array_test(L, index) && is_empty(L, index))
        return LUA_TNUMBER;
    return type;
}

lua_Number mt_cjson_tonumberx(lua_State *L, int index, int *is_number) {
    if (lua_type(L, index) == LUA_TTABLE) {
        seam.kind = EMPTY_ARRAY;
        return 0;
    }
    seam.kind = lua_isinteger(L, index) ? INTEGER : FLOAT;
    if (seam.kind == INTEGER) seam.integer = lua_tointeger(L, index);
    return lua_tonumberx(L, index, is_number);
}

/* lua-cjson has made room for 32 bytes. */
int mt_cjson_g_fmt(char *out, double n, int precision) {
    (void)precision;
    switch (seam.kind) {
    case EMPTY_ARRAY:
        return snprintf(out, 32, "[]");
    case INTEGER:
        return snprintf(out, 32, LUA_INTEGER_FMT, seam.integer);
    case FLOAT:
        break;
    }
    int len = 0;
    for (int digits = 15; digits <= 17; digits++) {
        len = snprintf(out, 32, "%.*g", digits, n);
        if (strtod(out, NULL) == n) break;
    }
    return len;
}

/* A slash needs no escape. */
void mt_cjson_append_string(void *buffer, const char *text) {
    strbuf_append_string(buffer, strcmp(text, "\\/") == 0 ? "/" : text);
}

/* As lua_tolstring does with numbers, the text takes the money's place. */
const char *mt_cjson_tolstring(lua_State *L, int index, size_t *len) {
    const struct mt_money *m = lua_type(L, index) == LUA_TUSERDATA ? mt_money_test(L, index) : NULL;
    if (m != NULL) {
        char text[MT_MONEY_TEXT];
        mt_money_format(m, text);
        index = lua_absindex(L, index);
        lua_pushstring(L, text);
        lua_replace(L, index);
    }
    return lua_tolstring(L, index, len);
}

/* ---- the module ---- */

/* json.array{...}: the table, marked, so that it is an array even when it is empty. */
static int json_as_array(lua_State *L) {
    if (lua_isnoneornil(L, 1)) {
        lua_settop(L, 0);
        lua_newtable(L);
    }
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    mt_array_make(L, 1);
    return 1;
}

/* json.parse(text): nil, err for text that came from elsewhere; json.decode raises. upvalue: decode. */
static int json_parse(lua_State *L) {
    luaL_checkstring(L, 1);
    lua_settop(L, 1);
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_insert(L, 1);
    if (lua_pcall(L, 1, 1, 0) == LUA_OK) return 1;
    struct mt_error e;
    mt_fail(&e, MT_INVALID_REQUEST, "malformed JSON: %s", lua_tostring(L, -1));
    lua_pushnil(L);
    mt_error_push(L, &e);
    return 2;
}

/* Calls cjson.<name>(argument) of the instance on top of the stack. */
static void configure(lua_State *L, const char *name, int argument, bool boolean) {
    lua_getfield(L, -1, name);
    if (boolean)
        lua_pushboolean(L, argument);
    else
        lua_pushinteger(L, argument);
    lua_call(L, 1, 0);
}

int mt_open_json(lua_State *L) {
    lua_newtable(L);
    luaopen_cjson(L); /* an instance of our own: [module, cjson] */
    configure(L, "decode_invalid_numbers", 0, true);
    configure(L, "encode_invalid_numbers", 0, true);
    configure(L, "decode_max_depth", DEPTH_MAX, false);
    configure(L, "encode_max_depth", DEPTH_MAX, false);
    lua_getfield(L, -1, "encode");
    lua_setfield(L, -3, "encode");
    lua_getfield(L, -1, "decode");
    lua_pushvalue(L, -1);
    lua_setfield(L, -4, "decode");
    lua_pushcclosure(L, json_parse, 1);
    lua_setfield(L, -3, "parse");
    lua_pop(L, 1);
    mt_push_null(L);
    lua_setfield(L, -2, "null");
    lua_pushcfunction(L, json_as_array);
    lua_setfield(L, -2, "array");
    return mt_module_seal(L, "mintage.json");
}
