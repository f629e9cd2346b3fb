/* What is a whole statement. Lua itself is asked, by compiling; nothing is run here. No state but Lua's; one
 * thread. */
#include "base/buf.h"
#include "base/text.h"
#include "repl.h"
#include <ctype.h>
#include <lauxlib.h>
#include <string.h>

static bool ends_with(const char *s, const char *end) {
    size_t n = strlen(s), m = strlen(end);
    return n >= m && strcmp(s + n - m, end) == 0;
}

/* "... near <eof>": the text ended where more was wanted. */
static enum repl_whole compile(lua_State *L, const char *code, size_t len) {
    enum repl_whole result = REPL_WHOLE;
    if (luaL_loadbufferx(L, code, len, "=input", "t") != LUA_OK) {
        const char *message = lua_tostring(L, -1);
        result = message && ends_with(message, "near <eof>") ? REPL_PART : REPL_WRONG;
    }
    lua_pop(L, 1);
    return result;
}

enum repl_whole mt_repl_whole(lua_State *L, const char *code) {
    struct mt_buf b;
    mt_buf_init(&b, 2 * 1024 * 1024);
    mt_buf_adds(&b, "return ");
    mt_buf_adds(&b, code);
    enum repl_whole as_expression = mt_buf_ok(&b) ? compile(L, b.data, b.len) : REPL_WRONG;
    mt_buf_clear(&b);
    if (as_expression == REPL_WHOLE) return REPL_WHOLE;
    enum repl_whole as_chunk = compile(L, code, strlen(code));
    if (as_chunk == REPL_WRONG) return as_expression;
    return as_chunk;
}

/* Whether a word stands at s. */
static bool word_at(const char *s, const char *word) {
    size_t n = strlen(word);
    return strncmp(s, word, n) == 0 && !isalnum((unsigned char)s[n]) && s[n] != '_';
}

bool mt_repl_goes_on(const char *line) {
    static const char *const words[] = {"and", "or"};
    static const char *const signs[] = {"..", "==", "~=", "<=", ">=", "//", "<<", ">>"};
    line += strspn(line, " \t");
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (word_at(line, words[i])) return true;
    }
    for (size_t i = 0; i < sizeof signs / sizeof signs[0]; i++) {
        if (strncmp(line, signs[i], 2) == 0) return true;
    }
    if (strncmp(line, "::", 2) == 0 || strncmp(line, "--", 2) == 0) return false; /* a label, a comment */
    return *line && strchr(".:+-*/%^<>&|", *line);
}

/* ---- variables of the session ---- */

static const char *skip_space(const char *s) {
    return s + strspn(s, " \t\r\n");
}

/* Past "a, b, c"; NULL when no list of plain names stands there, or an attribute ("<close>") needs a local.
 */
static const char *skip_names(const char *s) {
    for (;;) {
        if (!isalpha((unsigned char)*s) && *s != '_') return NULL;
        while (isalnum((unsigned char)*s) || *s == '_') s++;
        const char *after = skip_space(s);
        if (*after == '<') return NULL;
        if (*after != ',') return s;
        s = skip_space(after + 1);
    }
}

char *mt_repl_session_variables(const char *code) {
    const char *local = skip_space(code);
    struct mt_buf b;
    if (!word_at(local, "local")) return mt_strdup(code);
    const char *first = skip_space(local + 5);
    mt_buf_init(&b, 2 * 1024 * 1024);
    mt_buf_add(&b, code, (size_t)(local - code));
    mt_buf_adds(&b, "     ");
    if (word_at(first, "function")) {
        mt_buf_adds(&b, local + 5);
    } else {
        const char *end = skip_names(first);
        if (!end) {
            mt_buf_clear(&b);
            return mt_strdup(code);
        }
        mt_buf_add(&b, local + 5, (size_t)(end - local - 5));
        if (*skip_space(end) != '=') mt_buf_adds(&b, " = nil");
        mt_buf_adds(&b, end);
    }
    char *made = mt_buf_take(&b, NULL);
    return made ? made : mt_strdup(code);
}
