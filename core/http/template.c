/* Filling templates: one pass over the text, calling itself for sections. Invariant: what comes from the
 * values or the words is escaped on its way into the page, always. No state; any thread. */
#include "http/template.h"
#include "base/json.h"
#include "base/text.h"
#include <stdlib.h>
#include <string.h>

enum { WORD_MAX = 4096 };

struct scope {
    const json_t *values;
    const struct scope *outer;
};

struct page {
    const json_t *words;
    struct mt_buf *out;
};

/* {{# name}}: where the mark stands and what is in it. */
struct mark {
    const char *begin, *end; /* of the mark, with its braces */
    char kind;               /* '#', '^', '/', '=', or 0 */
    char name[64];
};

static void add_escaped(struct mt_buf *out, const char *s) {
    for (; *s; s++) {
        switch (*s) {
        case '&':
            mt_buf_adds(out, "&amp;");
            break;
        case '<':
            mt_buf_adds(out, "&lt;");
            break;
        case '>':
            mt_buf_adds(out, "&gt;");
            break;
        case '"':
            mt_buf_adds(out, "&quot;");
            break;
        case '\'':
            mt_buf_adds(out, "&#39;");
            break;
        default:
            mt_buf_addc(out, *s);
        }
    }
}

static const json_t *find(const struct scope *scope, const char *name) {
    for (; scope; scope = scope->outer) {
        const json_t *value = json_object_get(scope->values, name);
        if (value) return value;
    }
    return NULL;
}

static void add_value(struct mt_buf *out, const json_t *value, bool escaped) {
    if (json_is_integer(value))
        mt_buf_addi(out, json_integer_value(value));
    else if (json_is_string(value) && escaped)
        add_escaped(out, json_string_value(value));
    else if (json_is_string(value))
        mt_buf_adds(out, json_string_value(value));
}

static char *say(const json_t *words, const char *key, const struct scope *scope) {
    const char *word = mt_json_str(words, key, key);
    struct mt_buf b;
    mt_buf_init(&b, WORD_MAX);
    while (*word) {
        char name[64];
        size_t plain = strcspn(word, "{");
        mt_buf_add(&b, word, plain);
        word += plain;
        if (!*word) break;
        size_t len = strcspn(word, "}");
        if (word[len] == '}' && mt_format(name, sizeof name, "%.*s", (int)len - 1, word + 1))
            add_value(&b, find(scope, name), false);
        word += len + (word[len] == '}');
    }
    char *said = mt_buf_take(&b, NULL);
    mt_buf_clear(&b);
    return said ? said : mt_strdup("");
}

char *mt_template_say(const json_t *words, const char *key, const json_t *values) {
    struct scope scope = {.values = values};
    return say(words, key, &scope);
}

/* The first mark in [p, end). A section's mark takes the end of its line with it. */
static bool next_mark(const char *p, const char *end, struct mark *m) {
    const char *open = memmem(p, (size_t)(end - p), "{{", 2);
    const char *close = open ? memmem(open, (size_t)(end - open), "}}", 2) : NULL;
    if (!close) return false;
    const char *name = open + 2;
    m->kind = strchr("#^/=", *name) ? *name++ : 0;
    if (!mt_format(m->name, sizeof m->name, "%.*s", (int)(close - name), name)) return false;
    m->begin = open;
    m->end = close + 2;
    if (m->kind && m->kind != '=' && m->end < end && *m->end == '\n') m->end++;
    return true;
}

/* The mark that closes a section whose inside begins at p. */
static bool closing_mark(const char *p, const char *end, const char *name, struct mark *m) {
    for (int depth = 1; next_mark(p, end, m); p = m->end) {
        if (strcmp(m->name, name) != 0) continue;
        if (m->kind == '/' && --depth == 0) return true;
        if (m->kind == '#' || m->kind == '^') depth++;
    }
    return false;
}

static bool shows(const json_t *value) {
    if (!value || json_is_null(value) || json_is_false(value)) return false;
    if (json_is_array(value)) return json_array_size(value) > 0;
    return !json_is_string(value) || json_string_length(value) > 0;
}

static void fill(struct page *page, const char *p, const char *end, const struct scope *scope);

static void section(struct page *page, char kind, const json_t *value, const char *p, const char *end,
                    const struct scope *scope) {
    if (shows(value) == (kind == '^')) return;
    if (kind == '#' && json_is_array(value)) {
        for (size_t i = 0; i < json_array_size(value); i++) {
            struct scope inner = {json_array_get(value, i), scope};
            fill(page, p, end, &inner);
        }
        return;
    }
    struct scope inner = {value, scope};
    fill(page, p, end, kind == '#' && json_is_object(value) ? &inner : scope);
}

static void fill(struct page *page, const char *p, const char *end, const struct scope *scope) {
    struct mark m, close;
    while (next_mark(p, end, &m)) {
        mt_buf_add(page->out, p, (size_t)(m.begin - p));
        p = m.end;
        if (m.kind == '=') {
            char *said = say(page->words, m.name, scope);
            add_escaped(page->out, said);
            free(said);
        } else if (!m.kind) {
            add_value(page->out, find(scope, m.name), true);
        } else if (m.kind != '/') {
            if (!closing_mark(p, end, m.name, &close)) return;
            section(page, m.kind, find(scope, m.name), p, close.begin, scope);
            p = close.end;
        }
    }
    mt_buf_add(page->out, p, (size_t)(end - p));
}

void mt_template_fill(const char *text, size_t len, const json_t *values, const json_t *words,
                      struct mt_buf *out) {
    struct page page = {words, out};
    struct scope scope = {.values = values};
    fill(&page, text, text + len, &scope);
}
