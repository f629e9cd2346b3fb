/* Values to JSON text and back: what crosses the journal (value.h). Invariant: equal values give equal bytes,
 * and what was written reads back as the same value. Writing neither raises nor leaves, so that the caller's
 * buffer is safe; it reads tables raw, so that no script runs meanwhile. The thread of the execution. */
#include "base/json.h"
#include "base/text.h"
#include "bindings/vm/internal.h"
#include "crypto/crypto.h"
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DEPTH_MAX = 64, PATH_SHOWN = 200 };

static const char array_meta[] = "mintage.array";

void mt_array_open(lua_State *L) {
    luaL_newmetatable(L, array_meta);
    lua_pop(L, 1);
}

void mt_array_make(lua_State *L, int index) {
    index = lua_absindex(L, index);
    luaL_getmetatable(L, array_meta);
    lua_setmetatable(L, index);
}

bool mt_array_test(lua_State *L, int index) {
    if (lua_type(L, index) != LUA_TTABLE || !lua_getmetatable(L, index)) return false;
    luaL_getmetatable(L, array_meta);
    bool same = lua_rawequal(L, -1, -2);
    lua_pop(L, 2);
    return same;
}

/* ---- writing ---- */

/* One step of the way to the value being written. */
struct step {
    const void *table;
    const char *name; /* NULL: an index */
    size_t number;
};

struct writer {
    lua_State *L;
    struct mt_buf *out;
    size_t start; /* where this value begins in out */
    struct mt_error *e;
    struct step steps[DEPTH_MAX + 1];
    int depth;
};

/* "items[2].price: functions cannot cross the journal" */
__attribute__((format(printf, 2, 3))) static int refuse(struct writer *w, const char *format, ...) {
    char path[PATH_SHOWN] = "", what[320];
    size_t used = 0;
    for (int i = 0; i < w->depth && used < sizeof(path) - 1; i++) {
        const struct step *s = &w->steps[i];
        if (s->name == NULL && s->number == 0) continue; /* the table itself is refused */
        int n = s->name != NULL
                    ? snprintf(path + used, sizeof(path) - used, "%s%s", used > 0 ? "." : "", s->name)
                    : snprintf(path + used, sizeof(path) - used, "[%zu]", s->number);
        used += n > 0 ? (size_t)n : 0;
    }
    va_list args;
    va_start(args, format);
    vsnprintf(what, sizeof(what), format, args);
    va_end(args);
    return mt_fail(w->e, MT_SCRIPT, "%s: %s", path[0] != '\0' ? path : "value", what);
}

/* The fewest digits that read back as the same double, always recognisable as no integer: as core writes
 * them. */
static void write_float(struct mt_buf *out, double d) {
    char text[40];
    if (isnan(d) || isinf(d)) {
        mt_buf_addf(out, "{\"$float\":\"%s\"}", isnan(d) ? "nan" : d > 0 ? "inf" : "-inf");
        return;
    }
    for (int precision = 15; precision <= 17; precision++) {
        snprintf(text, sizeof(text), "%.*g", precision, d);
        if (strtod(text, NULL) == d) break;
    }
    mt_buf_adds(out, text);
    if (strpbrk(text, ".e") == NULL) mt_buf_adds(out, ".0");
}

static void write_string(struct mt_buf *out, const char *s, size_t len) {
    if (memchr(s, '\0', len) == NULL && mt_utf8_valid(s, len)) {
        mt_buf_add_json_string(out, s, len);
        return;
    }
    mt_buf_adds(out, "{\"$bytes\":\"");
    mt_base64_encode(s, len, out);
    mt_buf_adds(out, "\"}");
}

static int write_value(struct writer *w, int index);

static int write_array(struct writer *w, int index, size_t n) {
    struct step *step = &w->steps[w->depth - 1];
    mt_buf_addc(w->out, '[');
    for (size_t i = 1; i <= n; i++) {
        if (i > 1) mt_buf_addc(w->out, ',');
        step->number = i;
        lua_rawgeti(w->L, index, (lua_Integer)i);
        if (write_value(w, lua_gettop(w->L)) != 0) return -1;
        lua_pop(w->L, 1);
    }
    mt_buf_addc(w->out, ']');
    return 0;
}

static int write_object(struct writer *w, int index, const struct key *keys, size_t n) {
    struct step *step = &w->steps[w->depth - 1];
    bool first = true;
    mt_buf_addc(w->out, '{');
    for (size_t i = 0; i < n; i++) {
        const struct key *k = &keys[i];
        if (memchr(k->u.s, '\0', k->len) != NULL || !mt_utf8_valid(k->u.s, k->len))
            return refuse(w, "keys must be UTF-8 text without NUL to cross the journal");
        if (!first) mt_buf_addc(w->out, ',');
        first = false;
        if (k->u.s[0] == '$') { /* not one of our marks */
            mt_buf_adds(w->out, "\"$");
            size_t quote = w->out->len;
            mt_buf_add_json_string(w->out, k->u.s, k->len);
            if (mt_buf_ok(w->out)) { /* the string's own opening quote goes */
                memmove(w->out->data + quote, w->out->data + quote + 1, w->out->len - quote);
                w->out->len--;
            }
        } else {
            mt_buf_add_json_string(w->out, k->u.s, k->len);
        }
        mt_buf_addc(w->out, ':');
        step->name = k->u.s;
        mt_push_key(w->L, k);
        lua_rawget(w->L, index);
        if (write_value(w, lua_gettop(w->L)) != 0) return -1;
        lua_pop(w->L, 1);
    }
    mt_buf_addc(w->out, '}');
    return 0;
}

/* Arrays have the keys 1..n, objects strings only. */
static int write_sorted(struct writer *w, int index, const struct key *keys, size_t n, bool is_array) {
    size_t numbers = 0;
    while (numbers < n && (keys[numbers].type == KEY_INT || keys[numbers].type == KEY_FLOAT)) numbers++;
    if (n > 0 && keys[n - 1].type == KEY_BOOLEAN)
        return refuse(w, "booleans as keys cannot cross the journal");
    if (numbers > 0 && numbers < n)
        return refuse(w, "a table with both numbers and strings as keys cannot cross the journal");
    if (is_array && numbers < n) return refuse(w, "an array cannot have the key '%.60s'", keys[numbers].u.s);
    if (numbers == 0 && !is_array) return write_object(w, index, keys, n);
    for (size_t i = 0; i < n; i++)
        if (keys[i].type != KEY_INT || keys[i].u.i != (lua_Integer)i + 1)
            return refuse(
                w, "an array with holes cannot cross the journal: element %zu is missing (use json.null)",
                i + 1);
    return write_array(w, index, n);
}

static int write_table(struct writer *w, int index) {
    const void *table = lua_topointer(w->L, index);
    for (int i = 0; i < w->depth; i++)
        if (w->steps[i].table == table)
            return refuse(w, "a table that contains itself cannot cross the journal");
    if (w->depth == DEPTH_MAX) return refuse(w, "nested deeper than %d levels", DEPTH_MAX);
    if (!lua_checkstack(w->L, 8)) return refuse(w, "the stack is used up");
    bool is_error = mt_error_test(w->L, index), is_array = mt_array_test(w->L, index);
    size_t n;
    const char *bad;
    struct key *keys = mt_ordered_keys(w->L, index, &n, &bad);
    if (keys == NULL) return refuse(w, "%ss as keys cannot cross the journal", bad);
    w->steps[w->depth++] = (struct step){.table = table};
    if (is_error) mt_buf_adds(w->out, "{\"$error\":");
    int failed = write_sorted(w, index, keys, n, is_array);
    if (is_error) mt_buf_addc(w->out, '}');
    w->depth--;
    free(keys);
    return failed;
}

/* Writes the value at an absolute index. */
static int write_value(struct writer *w, int index) {
    lua_State *L = w->L;
    struct mt_buf *out = w->out;
    size_t len;
    if (!mt_buf_ok(out) || out->len - w->start > MT_VALUE_MAX)
        return mt_fail(w->e, MT_SCRIPT, "value: its JSON is larger than %d bytes", MT_VALUE_MAX);
    switch (lua_type(L, index)) {
    case LUA_TNIL:
        mt_buf_adds(out, "null");
        return 0;
    case LUA_TBOOLEAN:
        mt_buf_adds(out, lua_toboolean(L, index) ? "true" : "false");
        return 0;
    case LUA_TNUMBER:
        if (lua_isinteger(L, index))
            mt_buf_addi(out, lua_tointeger(L, index));
        else
            write_float(out, lua_tonumber(L, index));
        return 0;
    case LUA_TSTRING: {
        const char *s = lua_tolstring(L, index, &len);
        write_string(out, s, len);
        return 0;
    }
    case LUA_TTABLE:
        return write_table(w, index);
    case LUA_TLIGHTUSERDATA:
        if (lua_touserdata(L, index) != NULL) return refuse(w, "pointers cannot cross the journal");
        mt_buf_adds(out, "null");
        return 0;
    default:
        break;
    }
    const struct mt_money *m = mt_money_test(L, index);
    if (m == NULL)
        return refuse(w, "%s cannot cross the journal",
                      lua_isfunction(L, index) ? "functions"
                      : lua_isthread(L, index) ? "coroutines"
                                               : "userdata");
    char text[MT_MONEY_TEXT];
    mt_money_format(m, text);
    mt_buf_addf(out, "{\"$money\":\"%s\"}", text);
    return 0;
}

int mt_value_encode(lua_State *L, int index, struct mt_buf *out, struct mt_error *e) {
    struct mt_arena *a = mt_arena_of(L);
    struct writer w = {.L = L, .out = out, .start = out->len, .e = e};
    bool soft = a->soft;
    int top = lua_gettop(L);
    a->soft = true; /* the stack may grow, and must not leave */
    index = lua_absindex(L, index);
    int failed = lua_checkstack(L, 8) ? write_value(&w, index) : refuse(&w, "the stack is used up");
    if (failed == 0 && (!mt_buf_ok(out) || out->len - w.start > MT_VALUE_MAX))
        failed = mt_fail(e, MT_SCRIPT, "value: its JSON is larger than %d bytes", MT_VALUE_MAX);
    lua_settop(L, top);
    a->soft = soft;
    return failed;
}

/* ---- reading ---- */

struct reader {
    lua_State *L;
    struct mt_buf *text; /* the arena's: what raises loses nothing */
    const char *start, *p, *end;
    int depth;
};

static int malformed(struct reader *r, const char *what) {
    return luaL_error(r->L, "malformed JSON at byte %d: %s", (int)(r->p - r->start) + 1, what);
}

static void skip_space(struct reader *r) {
    while (r->p < r->end && (*r->p == ' ' || *r->p == '\t' || *r->p == '\n' || *r->p == '\r')) r->p++;
}

static bool skip_char(struct reader *r, char c) {
    skip_space(r);
    if (r->p == r->end || *r->p != c) return false;
    r->p++;
    return true;
}

static unsigned read_hex4(struct reader *r) {
    unsigned value = 0;
    if (r->end - r->p < 4) malformed(r, "cut \\u escape");
    for (int i = 0; i < 4; i++) {
        char c = *r->p++;
        unsigned digit = c >= '0' && c <= '9' ? (unsigned)(c - '0') : (unsigned)((c | 0x20) - 'a' + 10);
        if (digit > 15) malformed(r, "wrong \\u escape");
        value = value << 4 | digit;
    }
    return value;
}

static void add_utf8(struct mt_buf *b, unsigned c) {
    if (c < 0x80) {
        mt_buf_addc(b, (char)c);
    } else if (c < 0x800) {
        mt_buf_add(b, (char[]){(char)(0xC0 | c >> 6), (char)(0x80 | (c & 63))}, 2);
    } else if (c < 0x10000) {
        mt_buf_add(b, (char[]){(char)(0xE0 | c >> 12), (char)(0x80 | (c >> 6 & 63)), (char)(0x80 | (c & 63))},
                   3);
    } else {
        mt_buf_add(b,
                   (char[]){(char)(0xF0 | c >> 18), (char)(0x80 | (c >> 12 & 63)),
                            (char)(0x80 | (c >> 6 & 63)), (char)(0x80 | (c & 63))},
                   4);
    }
}

static void read_escape(struct reader *r) {
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    if (r->p == r->end) malformed(r, "cut escape");
    char c = *r->p++;
    const char *found = c != '\0' ? strchr(from, c) : NULL;
    if (found != NULL) {
        mt_buf_addc(r->text, to[found - from]);
        return;
    }
    if (c != 'u') malformed(r, "unknown escape");
    unsigned code = read_hex4(r);
    if (code >= 0xD800 && code < 0xDC00) {
        if (r->end - r->p < 6 || r->p[0] != '\\' || r->p[1] != 'u') malformed(r, "lone surrogate");
        r->p += 2;
        unsigned low = read_hex4(r);
        if (low < 0xDC00 || low > 0xDFFF) malformed(r, "lone surrogate");
        code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
    } else if (code >= 0xDC00 && code < 0xE000) {
        malformed(r, "lone surrogate");
    }
    add_utf8(r->text, code);
}

/* The string after its opening quote; s points into the JSON or into the scratch, until the next string. */
static void read_string(struct reader *r, const char **s, size_t *len) {
    const char *from = r->p;
    while (r->p < r->end && *r->p != '"' && *r->p != '\\' && (unsigned char)*r->p >= 0x20) r->p++;
    if (r->p < r->end && *r->p == '"') { /* nearly always */
        *s = from;
        *len = (size_t)(r->p++ - from);
        return;
    }
    mt_buf_reset(r->text);
    for (r->p = from; r->p < r->end && *r->p != '"';) {
        char c = *r->p++;
        if ((unsigned char)c < 0x20) malformed(r, "control character in a string");
        if (c == '\\')
            read_escape(r);
        else
            mt_buf_addc(r->text, c);
    }
    if (r->p++ >= r->end) malformed(r, "cut string");
    if (!mt_buf_ok(r->text)) malformed(r, "string too long");
    *s = r->text->data;
    *len = r->text->len;
}

static void push_number(struct reader *r) {
    char text[400];
    size_t n = 0;
    bool integer = true;
    for (; r->p < r->end && strchr("+-.eE0123456789", *r->p) != NULL && *r->p != '\0'; r->p++) {
        if (n == sizeof(text) - 1) malformed(r, "number too long");
        if (strchr(".eE", *r->p) != NULL) integer = false;
        text[n++] = *r->p;
    }
    text[n] = '\0';
    const char *digits = text[0] == '-' ? text + 1 : text;
    if (digits[0] < '0' || digits[0] > '9' || (digits[0] == '0' && digits[1] >= '0' && digits[1] <= '9'))
        malformed(r, "unexpected character");
    char *end;
    if (integer) {
        errno = 0;
        long long value = strtoll(text, &end, 10);
        if (errno == 0 && *end == '\0') {
            lua_pushinteger(r->L, value);
            return;
        }
    }
    double value = strtod(text, &end);
    if (*end != '\0' || end[-1] == '.' || strstr(text, ".e") != NULL || strstr(text, ".E") != NULL ||
        isinf(value))
        malformed(r, "wrong number");
    lua_pushnumber(r->L, value);
}

static bool push_value(struct reader *r);

static void push_array(struct reader *r) {
    lua_State *L = r->L;
    lua_newtable(L);
    luaL_setmetatable(L, array_meta);
    if (skip_char(r, ']')) return;
    for (lua_Integer i = 1;; i++) {
        if (!push_value(r)) mt_push_null(L);
        lua_rawseti(L, -2, i);
        if (skip_char(r, ']')) return;
        if (!skip_char(r, ',')) malformed(r, "expected ',' or ']'");
    }
}

/* The value of a mark, {"$money":...}; its name has been read. Pushes it, or false when it is none. */
static bool push_marked(struct reader *r, const char *name, size_t len) {
    lua_State *L = r->L;
    struct mt_error e;
    size_t n;
    if (len == 6 && memcmp(name, "$error", 6) == 0) {
        if (!push_value(r) || !lua_istable(L, -1)) malformed(r, "wrong $error");
        mt_error_make(L, -1);
        return true;
    }
    bool money = len == 6 && memcmp(name, "$money", 6) == 0,
         bytes = len == 6 && memcmp(name, "$bytes", 6) == 0;
    if (!money && !bytes && !(len == 6 && memcmp(name, "$float", 6) == 0)) return false;
    if (!push_value(r) || lua_type(L, -1) != LUA_TSTRING)
        malformed(r, "the value of a mark must be a string");
    const char *s = lua_tolstring(L, -1, &n);
    if (money) {
        struct mt_money m;
        if (mt_money_parse(s, &m, &e) != 0) luaL_error(L, "malformed value: %s", e.message);
        mt_money_push(L, &m);
    } else if (bytes) {
        mt_buf_reset(r->text);
        if (!mt_base64_decode(s, n, r->text)) malformed(r, "wrong $bytes");
        lua_pushlstring(L, r->text->data, r->text->len);
    } else if (strcmp(s, "nan") == 0) {
        lua_pushnumber(L, (lua_Number)NAN);
    } else {
        lua_pushnumber(L, s[0] == '-' ? -HUGE_VAL : HUGE_VAL);
    }
    lua_remove(L, -2);
    return true;
}

static void push_object(struct reader *r) {
    lua_State *L = r->L;
    const char *name;
    size_t len;
    if (skip_char(r, '}')) {
        lua_newtable(L);
        return;
    }
    for (bool first = true;; first = false) {
        if (!skip_char(r, '"')) malformed(r, "expected a member's name");
        read_string(r, &name, &len);
        /* The name may be in the scratch, which the value overwrites. */
        bool mark = first && len == 6 && name[0] == '$' && name[1] != '$';
        if (first && !mark) lua_newtable(L);
        if (!skip_char(r, ':')) malformed(r, "expected ':'");
        if (mark) {
            if (push_marked(r, name, len)) {
                if (!skip_char(r, '}')) malformed(r, "a mark must be alone");
                return;
            }
            lua_newtable(L);
        }
        size_t skip = len > 1 && name[0] == '$' && name[1] == '$' ? 1 : 0;
        lua_pushlstring(L, name + skip, len - skip);
        if (push_value(r))
            lua_rawset(L, -3);
        else
            lua_pop(L, 1); /* null: absent */
        if (skip_char(r, '}')) return;
        if (!skip_char(r, ',')) malformed(r, "expected ',' or '}'");
    }
}

static bool skip_word(struct reader *r, const char *word) {
    size_t n = strlen(word);
    if ((size_t)(r->end - r->p) < n || memcmp(r->p, word, n) != 0) return false;
    r->p += n;
    return true;
}

/* Pushes a value; false, and nothing pushed, for null. */
static bool push_value(struct reader *r) {
    const char *s;
    size_t len;
    skip_space(r);
    if (r->p == r->end) malformed(r, "cut off");
    switch (*r->p) {
    case '{':
    case '[':
        if (++r->depth > 2 * DEPTH_MAX + 2) malformed(r, "nested too deeply"); /* marks count too */
        luaL_checkstack(r->L, 8, "nested JSON");
        if (*r->p++ == '{')
            push_object(r);
        else
            push_array(r);
        r->depth--;
        return true;
    case '"':
        r->p++;
        read_string(r, &s, &len);
        lua_pushlstring(r->L, s, len);
        return true;
    case 't':
        if (!skip_word(r, "true")) malformed(r, "unknown word");
        lua_pushboolean(r->L, 1);
        return true;
    case 'f':
        if (!skip_word(r, "false")) malformed(r, "unknown word");
        lua_pushboolean(r->L, 0);
        return true;
    case 'n':
        if (!skip_word(r, "null")) malformed(r, "unknown word");
        return false;
    default:
        push_number(r);
        return true;
    }
}

void mt_value_push(lua_State *L, const char *json, size_t len) {
    struct reader r = {.L = L, .text = mt_vm_scratch(L, 0), .start = json, .p = json, .end = json + len};
    luaL_checkstack(L, 8, "JSON");
    if (!push_value(&r)) lua_pushnil(L);
    skip_space(&r);
    if (r.p != r.end) malformed(&r, "something follows the value");
}
