/* Fields of a definition: each is there or not, of the type that is wanted, within its limits, and known.
 * Invariant: every refusal says where the field stands, what was found and what is wanted. No state; any
 * thread. */
#include "base/text.h"
#include "providers/define.h"
#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

int define_fail(const char *where, struct mt_error *e, const char *format, ...) {
    char text[512];
    va_list args;
    va_start(args, format);
    if (vsnprintf(text, sizeof(text), format, args) < 0) text[0] = '\0';
    va_end(args);
    return mt_fail(e, MT_INVALID_REQUEST, "%s%s%s", where, where[0] != '\0' ? ": " : "", text);
}

void define_where(char out[DEFINED_WHERE_MAX], const char *operation, const char *rest) {
    mt_format(out, DEFINED_WHERE_MAX, "operations[\"%.48s\"]%s%.100s", operation, rest[0] != '\0' ? "." : "",
              rest);
}

static int wrong(const char *where, const char *name, const json_t *found, const char *wanted,
                 struct mt_error *e) {
    return define_fail(where, e, "\"%s\" is %s, wanted %s", name, value_type_name(found), wanted);
}

int define_fields(const char *where, const json_t *o, const char *const *known, struct mt_error *e) {
    const char *key;
    json_t *value;
    size_t n = 0;
    if (json_is_array(o) && json_array_size(o) == 0) return 0;
    if (!json_is_object(o)) return define_fail(where, e, "found %s, wanted a table", value_type_name(o));
    while (known[n] != NULL) n++;
    json_object_foreach((json_t *)(uintptr_t)o, key, value) {
        bool found = false;
        for (size_t i = 0; i < n; i++) found = found || strcmp(known[i], key) == 0;
        if (found) continue;
        const char *near = mt_nearest(key, known, n);
        if (near != NULL)
            return define_fail(where, e, "unknown field \"%.40s\" (did you mean \"%s\"?)", key, near);
        struct mt_buf list;
        mt_buf_init(&list, 300);
        for (size_t i = 0; i < n; i++) mt_buf_addf(&list, "%s%s", i > 0 ? ", " : "", known[i]);
        define_fail(where, e, "unknown field \"%.40s\"; there are %s", key, list.data);
        mt_buf_clear(&list);
        return -1;
    }
    return 0;
}

static bool plain(const char *s, size_t len) {
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)s[i] < ' ' || s[i] == 0x7F) return false;
    return true;
}

int define_text(const char *where, const json_t *o, const char *name, const char **out, struct mt_error *e) {
    const json_t *v = param(o, name);
    if (v == NULL) return 0;
    if (!json_is_string(v)) return wrong(where, name, v, "a string", e);
    size_t len = json_string_length(v);
    if (len == 0 || len > DEFINED_TEXT_MAX || !plain(json_string_value(v), len))
        return define_fail(where, e, "\"%s\": wanted 1 to %d bytes without control characters", name,
                           DEFINED_TEXT_MAX);
    *out = json_string_value(v);
    return 0;
}

int define_required(const char *where, const json_t *o, const char *name, const char **out,
                    struct mt_error *e) {
    if (param(o, name) == NULL) return define_fail(where, e, "field \"%s\" is missing", name);
    return define_text(where, o, name, out, e);
}

int define_bool(const char *where, const json_t *o, const char *name, bool *out, struct mt_error *e) {
    const json_t *v = param(o, name);
    if (v == NULL) return 0;
    if (!json_is_boolean(v)) return wrong(where, name, v, "true or false", e);
    *out = json_is_true(v);
    return 0;
}

int define_int(const char *where, const json_t *o, const char *name, int64_t min, int64_t max, int64_t *out,
               struct mt_error *e) {
    const json_t *v = param(o, name);
    if (v == NULL) return 0;
    if (!json_is_integer(v)) return wrong(where, name, v, "an integer", e);
    if (json_integer_value(v) < min || json_integer_value(v) > max)
        return define_fail(where, e, "\"%s\" is %lld, wanted %" PRId64 " to %" PRId64, name,
                           (long long)json_integer_value(v), min, max);
    *out = json_integer_value(v);
    return 0;
}

int define_duration(const char *where, const json_t *o, const char *name, int64_t min_ms, int64_t max_ms,
                    int64_t *ms, struct mt_error *e) {
    const json_t *v = param(o, name);
    char least[64], most[64];
    int64_t n;
    if (v == NULL) return 0;
    if (json_is_integer(v) && json_integer_value(v) >= 0 && json_integer_value(v) <= INT32_MAX)
        n = json_integer_value(v) * 1000;
    else if (!json_is_string(v) || !mt_parse_duration(json_string_value(v), &n))
        return wrong(where, name, v, "a duration such as \"30s\" or \"24h\"", e);
    mt_format_duration(min_ms, least, sizeof(least));
    mt_format_duration(max_ms, most, sizeof(most));
    if (n < min_ms || n > max_ms) return define_fail(where, e, "\"%s\": wanted %s to %s", name, least, most);
    *ms = n;
    return 0;
}

int define_word(const char *where, const char *word, const char *const *words, size_t n, size_t *out,
                struct mt_error *e) {
    struct mt_buf list;
    for (*out = 0; *out < n; (*out)++)
        if (strcmp(words[*out], word) == 0) return 0;
    const char *near = mt_nearest(word, words, n);
    if (near != NULL) return define_fail(where, e, "found \"%.40s\" (did you mean \"%s\"?)", word, near);
    mt_buf_init(&list, 400);
    for (size_t i = 0; i < n; i++) mt_buf_addf(&list, "%s\"%s\"", i > 0 ? ", " : "", words[i]);
    define_fail(where, e, "found \"%.40s\", wanted one of %s", word, list.data);
    mt_buf_clear(&list);
    return -1;
}

int define_texts(const char *where, const json_t *o, const char *name, const json_t **out,
                 struct mt_error *e) {
    const json_t *v = param(o, name), *item;
    size_t i;
    if (v == NULL || (json_is_object(v) && json_object_size(v) == 0)) return 0;
    if (!json_is_array(v)) return wrong(where, name, v, "a list of strings", e);
    json_array_foreach((json_t *)(uintptr_t)v, i, item) {
        if (!json_is_string(item) || json_string_length(item) == 0)
            return define_fail(where, e, "\"%s\": number %zu is %s, wanted a string", name, i + 1,
                               value_type_name(item));
    }
    *out = v;
    return 0;
}

static bool scalar(const json_t *v) {
    return json_is_string(v) || json_is_integer(v) || json_is_boolean(v);
}

int define_condition(const char *where, const json_t *condition, struct mt_error *e) {
    const char *key;
    json_t *v;
    if (!json_is_object(condition) || json_object_size(condition) == 0)
        return define_fail(where, e, "wanted a table such as { status = { \"paid\", \"failed\" } }");
    json_object_foreach((json_t *)(uintptr_t)condition, key, v) {
        if (scalar(v)) continue;
        bool fits = json_is_array(v) && json_array_size(v) > 0;
        for (size_t i = 0; i < json_array_size(v); i++) fits = fits && scalar(json_array_get(v, i));
        if (!fits)
            return define_fail(where, e,
                               "\"%.40s\" is %s, wanted a value, or a list of strings, integers or booleans",
                               key, value_type_name(v));
    }
    return 0;
}

int define_header_name(const char *where, const char *name, struct mt_error *e) {
    static const char *const reserved[] = {
        "host", "content-length", "transfer-encoding", "connection", "upgrade", "te", "trailer", "expect"};
    size_t n = 0;
    for (; name[n] != '\0'; n++)
        if (!isalnum((unsigned char)name[n]) && strchr("!#$%&'*+-.^_`|~", name[n]) == NULL) break;
    if (n == 0 || n > 100 || name[n] != '\0')
        return define_fail(where, e, "\"%.40s\" is no header name", name);
    for (size_t i = 0; i < sizeof(reserved) / sizeof(reserved[0]); i++)
        if (strcasecmp(reserved[i], name) == 0)
            return define_fail(where, e, "the header \"%s\" is the connection's own", name);
    return 0;
}

int define_kind(const char *where, const char *word, enum mt_kind *kind, struct mt_error *e) {
    const char *words[MT_LIMIT];
    size_t at, n = 0;
    for (int k = MT_AUTHENTICATION; k <= MT_LIMIT; k++) words[n++] = mt_kind_name((enum mt_kind)k);
    if (define_word(where, word, words, n, &at, e) != 0) return -1;
    *kind = (enum mt_kind)((int)MT_AUTHENTICATION + (int)at);
    return 0;
}

int define_credential(const char *where, const struct defined *d, const char *name, struct mt_error *e) {
    const char *names[DEFINED_CREDENTIALS_MAX];
    size_t n = 0, at;
    for (const struct mt_credential *c = d->credentials; c->name != NULL; c++) names[n++] = c->name;
    if (n == 0) return define_fail(where, e, "\"%.40s\" is no credential: \"credentials\" names none", name);
    return define_word(where, name, names, n, &at, e);
}
