/* Inputs against their schemas, when a run starts. Invariant: a schema that mt_schema_valid accepted makes
 * mt_schema_check fail for the input's sake only. Pure; any thread. */
#include "bindings/modules/schema.h"
#include "base/buf.h"
#include "base/json.h"
#include "base/text.h"
#include "bindings/modules/schema_rule.h"
#include "bindings/modules/schema_text.h"
#include "money/money.h"
#include <inttypes.h>
#include <math.h>
#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct check {
    char text[560]; /* room for the sentence around it in an error's message */
    size_t used;
    int problems;
};

static void problem(struct check *c, const char *path, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void problem(struct check *c, const char *path, const char *format, ...) {
    char line[240];
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof(line), format, args);
    va_end(args);
    if (++c->problems > PROBLEMS_MAX || c->used + 1 >= sizeof(c->text)) return;
    char whole[420], fitting[sizeof(c->text)];
    mt_format(whole, sizeof(whole), "%s%s: %s", c->used > 0 ? "; " : "", schema_shown(path), line);
    mt_copy(fitting, sizeof(c->text) - c->used, whole); /* never splits a character */
    memcpy(c->text + c->used, fitting, strlen(fitting) + 1);
    c->used += strlen(fitting);
}

/* "string", "integer 80", "list": never the text itself, which may be a secret. */
static const char *found(const json_t *value, char out[64]) {
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        return "an object";
    case JSON_ARRAY:
        return "a list";
    case JSON_STRING:
        mt_format(out, 64, "a string of %zu bytes", json_string_length(value));
        return out;
    case JSON_INTEGER:
        mt_format(out, 64, "the integer %" JSON_INTEGER_FORMAT, json_integer_value(value));
        return out;
    case JSON_REAL:
        mt_format(out, 64, "the number %g", json_real_value(value));
        return out;
    case JSON_TRUE:
        return "true";
    case JSON_FALSE:
        return "false";
    default:
        return "null";
    }
}

static json_t *check_at(const struct rule *r, const json_t *value, const char *path, int depth,
                        struct check *c);

static json_t *copy(const json_t *value) {
    return json_incref((json_t *)(uintptr_t)value);
}

static json_t *mismatch(const struct rule *r, const json_t *value, const char *path, struct check *c) {
    char text[64];
    const char *is = r->type == T_SECRET && json_is_number(value) ? "a number" : found(value, text);
    problem(c, path, "wanted %s, found %s", schema_wanted[r->type], is);
    return NULL;
}

static bool bounds_ok(const struct rule *r, int64_t n, const char *unit, const char *path, struct check *c) {
    if (r->min != NULL && n < json_integer_value(r->min)) {
        problem(c, path, "has %" PRId64 "%s; at least %" JSON_INTEGER_FORMAT, n, unit,
                json_integer_value(r->min));
        return false;
    }
    if (r->max != NULL && n > json_integer_value(r->max)) {
        problem(c, path, "has %" PRId64 "%s; at most %" JSON_INTEGER_FORMAT, n, unit,
                json_integer_value(r->max));
        return false;
    }
    return true;
}

/* The whole string must match, whatever anchors the pattern has. */
static bool pattern_ok(const char *pattern, const char *s, size_t len) {
    regex_t compiled;
    regmatch_t match;
    if (regcomp(&compiled, pattern, REG_EXTENDED) != 0) return false;
    bool ok = regexec(&compiled, s, 1, &match, 0) == 0 && match.rm_so == 0 && match.rm_eo == (regoff_t)len;
    regfree(&compiled);
    return ok;
}

static json_t *check_string(const struct rule *r, const json_t *value, const char *path, struct check *c) {
    if (!json_is_string(value)) return mismatch(r, value, path, c);
    const char *s = json_string_value(value);
    size_t len = json_string_length(value);
    bool ok = true;
    switch (r->type) {
    case T_EMAIL:
        ok = schema_email(s, len);
        break;
    case T_URL:
        ok = schema_url(s, len);
        break;
    case T_DATE:
        ok = schema_date(s);
        break;
    case T_TIME:
        ok = schema_time(s);
        break;
    case T_LOCAL:
        ok = mt_time_is_local(s);
        break;
    case T_ZONE:
        ok = schema_zone(s);
        break;
    case T_DURATION:
        ok = schema_duration(s);
        break;
    case T_PERIOD:
        ok = mt_time_is_period(s);
        break;
    default:
        if (r->max == NULL && len > STRING_MAX) {
            problem(c, path, "has %zu bytes; at most %d", len, (int)STRING_MAX);
            return NULL;
        }
        if (!bounds_ok(r, (int64_t)len, " bytes", path, c)) return NULL;
        if (r->pattern != NULL && !pattern_ok(r->pattern, s, len)) {
            problem(c, path, "does not match %s%s%s%s", r->pattern, r->doc != NULL ? " (" : "",
                    r->doc != NULL ? r->doc : "", r->doc != NULL ? ")" : "");
            return NULL;
        }
        return r->type == T_SECRET ? json_pack("{s:O}", "$secret", value) : copy(value);
    }
    return ok ? copy(value) : mismatch(r, value, path, c);
}

static json_t *check_words(const struct rule *r, const json_t *value, const char *path, struct check *c) {
    char list[160];
    size_t used = 0;
    const char *s = json_string_value(value);
    list[0] = '\0';
    const char *word = r->words;
    for (size_t i = 0;; i++) {
        size_t n;
        if (r->values != NULL) {
            word = json_string_value(json_array_get(r->values, i));
            if (word == NULL) break;
            n = strlen(word);
        } else {
            if (word >= r->words + r->words_len) break;
            const char *bar = memchr(word, '|', (size_t)(r->words + r->words_len - word));
            n = bar != NULL ? (size_t)(bar - word) : (size_t)(r->words + r->words_len - word);
        }
        if (s != NULL && strlen(s) == n && memcmp(s, word, n) == 0) return copy(value);
        mt_format(list + used, sizeof(list) - used, "%s\"%.*s\"", used > 0 ? ", " : "", (int)n, word);
        used = strlen(list);
        word += n + 1;
    }
    char text[64], given[48] = "";
    if (s != NULL && mt_format(given, sizeof(given), "\"%s\"", s) && json_string_length(value) < 40)
        problem(c, path, "wanted one of %s, found %s", list, given);
    else
        problem(c, path, "wanted one of %s, found %s", list, found(value, text));
    return NULL;
}

static json_t *check_number(const struct rule *r, const json_t *value, const char *path, struct check *c) {
    if (r->type == T_INTEGER) {
        int64_t n;
        if (json_is_integer(value))
            n = json_integer_value(value);
        else if (json_is_real(value) && json_real_value(value) == floor(json_real_value(value)) &&
                 fabs(json_real_value(value)) < 9007199254740992.0)
            n = (int64_t)json_real_value(value); /* 1.0 from a language that has no integers */
        else
            return mismatch(r, value, path, c);
        bool low = r->min != NULL && n < json_integer_value(r->min);
        bool high = r->max != NULL && n > json_integer_value(r->max);
        if (!low && !high) return json_integer(n);
        problem(c, path, "is %" PRId64 "; %s %" JSON_INTEGER_FORMAT, n, low ? "at least" : "at most",
                json_integer_value(low ? r->min : r->max));
        return NULL;
    }
    if (!json_is_number(value)) return mismatch(r, value, path, c);
    double d = json_number_value(value);
    bool low = r->min != NULL && d < json_number_value(r->min);
    if (!low && !(r->max != NULL && d > json_number_value(r->max))) return copy(value);
    problem(c, path, "is %g; %s %g", d, low ? "at least" : "at most",
            json_number_value(low ? r->min : r->max));
    return NULL;
}

/* "80.00 USD", {"amount":8000,"currency":"USD"} or {"$money":...}; not negative unless `min` allows it. */
static json_t *check_money(const struct rule *r, const json_t *value, const char *path, struct check *c) {
    struct mt_money m;
    struct mt_error e;
    const json_t *tagged = json_object_size(value) == 1 ? json_object_get(value, "$money") : NULL;
    if (!json_is_string(value) && !json_is_object(value)) return mismatch(r, value, path, c);
    if (mt_money_from_json(tagged != NULL ? tagged : value, &m, &e) != 0) {
        problem(c, path, "wanted %s: %s", schema_wanted[T_MONEY], e.message);
        return NULL;
    }
    if (r->currency != NULL && strcmp(m.currency, r->currency) != 0) {
        problem(c, path, "wanted an amount in %s, found one in %s", r->currency, m.currency);
        return NULL;
    }
    int64_t min = r->min != NULL ? json_integer_value(r->min) : 0;
    bool low = m.minor < min;
    if (low || (r->max != NULL && m.minor > json_integer_value(r->max))) {
        struct mt_money bound = m;
        char text[MT_MONEY_TEXT], limit[MT_MONEY_TEXT];
        bound.minor = low ? min : json_integer_value(r->max);
        mt_money_format(&m, text);
        mt_money_format(&bound, limit);
        problem(c, path, "is %s; at %s %s", text, low ? "least" : "most", limit);
        return NULL;
    }
    char text[MT_MONEY_TEXT];
    mt_money_format(&m, text);
    return json_pack("{s:s}", "$money", text);
}

/* Values without a schema may come from scripts, tagged, or from outside, with any key. A key that begins
 * with one "$" and is no tag can only have come from outside: it is written as values write it. */
static json_t *check_any(const json_t *value, const char *path, struct check *c) {
    if (json_is_array(value)) {
        json_t *out = json_array();
        for (size_t i = 0; i < json_array_size(value); i++)
            json_array_append_new(out, check_any(json_array_get(value, i), path, c));
        return out;
    }
    if (!json_is_object(value)) return copy(value);
    json_t *out = json_object();
    const char *key;
    json_t *member;
    json_object_foreach((json_t *)(uintptr_t)value, key, member) {
        bool tag =
            json_object_size(value) == 1 && (strcmp(key, "$money") == 0 || strcmp(key, "$error") == 0 ||
                                             strcmp(key, "$bytes") == 0 || strcmp(key, "$float") == 0);
        struct mt_money m;
        struct mt_error e;
        if (tag && key[1] == 'm' && mt_money_from_json(member, &m, &e) != 0)
            problem(c, path, "{\"$money\"}: %s", e.message);
        else if (tag && key[1] == 'e' && !json_is_object(member))
            problem(c, path, "{\"$error\"} wants an object");
        else if (tag && (key[1] == 'b' || key[1] == 'f') && !json_is_string(member))
            problem(c, path, "{\"%s\"} wants a string", key);
        char escaped[256];
        bool reserved = key[0] == '$' && key[1] != '$' && !tag;
        if (reserved && !mt_format(escaped, sizeof(escaped), "$%s", key)) {
            problem(c, path, "a key that begins with \"$\" has more than %d bytes", (int)sizeof(escaped));
            continue;
        }
        json_object_set_new(out, reserved ? escaped : key, check_any(member, path, c));
    }
    return out;
}

static json_t *check_array(const struct rule *r, const json_t *value, const char *path, int depth,
                           struct check *c) {
    bool empty_object = json_is_object(value) && json_object_size(value) == 0; /* Lua's {} */
    if (!json_is_array(value) && !empty_object) return mismatch(r, value, path, c);
    size_t n = json_array_size(value);
    if (r->max == NULL && n > ITEMS_MAX) {
        problem(c, path, "has %zu items; at most %d", n, (int)ITEMS_MAX);
        return NULL;
    }
    if (!bounds_ok(r, (int64_t)n, " items", path, c)) return NULL;
    struct rule item = {.type = T_ANY};
    struct mt_error e;
    if (r->items != NULL && schema_read(r->items, &item, path, &e) != 0) {
        problem(c, path, "%s", e.message);
        return NULL;
    }
    json_t *out = json_array();
    for (size_t i = 0; i < n; i++) {
        char inner[160];
        mt_format(inner, sizeof(inner), "%s[%zu]", path, i + 1);
        json_t *checked = check_at(&item, json_array_get(value, i), inner, depth + 1, c);
        json_array_append_new(out, checked != NULL ? checked : json_null());
    }
    return out;
}

static void unknown_fields(const json_t *fields, const json_t *value, const char *path, struct check *c) {
    const char *names[FIELDS_MAX], *key;
    size_t n = 0;
    json_t *member;
    json_object_foreach((json_t *)(uintptr_t)fields, key, member) if (n < FIELDS_MAX) names[n++] = key;
    json_object_foreach((json_t *)(uintptr_t)value, key, member) {
        if (json_object_get(fields, key) != NULL) continue;
        char inner[160];
        schema_join(inner, path, key);
        const char *near = mt_nearest(key, names, n);
        if (near != NULL)
            problem(c, inner, "unknown field; did you mean \"%s\"?", near);
        else
            problem(c, inner, "unknown field");
    }
}

static json_t *check_object(const struct rule *r, const json_t *value, const char *path, int depth,
                            struct check *c) {
    bool empty_array = json_is_array(value) && json_array_size(value) == 0; /* a client's empty table */
    if (!json_is_object(value) && !empty_array) return mismatch(r, value, path, c);
    if (r->fields == NULL) return empty_array ? json_object() : check_any(value, path, c);
    json_t *out = json_object();
    const char *key;
    json_t *schema;
    unknown_fields(r->fields, value, path, c); /* first: a slip in a name is why another is missing */
    json_object_foreach((json_t *)(uintptr_t)r->fields, key, schema) {
        struct rule field;
        struct mt_error e;
        char inner[160];
        schema_join(inner, path, key);
        if (schema_read(schema, &field, inner, &e) != 0) {
            problem(c, inner, "%s", e.message);
            continue;
        }
        const json_t *member = json_object_get(value, key);
        if (member == NULL || json_is_null(member)) { /* null is how other languages leave something out */
            if (!field.optional)
                problem(c, inner, "is missing; wanted %s",
                        field.type == T_WORDS ? "a word" : schema_wanted[field.type]);
            continue;
        }
        json_t *checked = check_at(&field, member, inner, depth + 1, c);
        if (checked != NULL) json_object_set_new(out, key, checked);
    }
    return out;
}

static json_t *check_at(const struct rule *r, const json_t *value, const char *path, int depth,
                        struct check *c) {
    if (depth > DEPTH_MAX + 1) {
        problem(c, path, "nested more than %d deep", (int)DEPTH_MAX);
        return NULL;
    }
    switch (r->type) {
    case T_STRING:
    case T_EMAIL:
    case T_URL:
    case T_DATE:
    case T_TIME:
    case T_LOCAL:
    case T_ZONE:
    case T_DURATION:
    case T_PERIOD:
    case T_SECRET:
        return check_string(r, value, path, c);
    case T_WORDS:
        return check_words(r, value, path, c);
    case T_INTEGER:
    case T_NUMBER:
        return check_number(r, value, path, c);
    case T_BOOLEAN:
        return json_is_boolean(value) ? copy(value) : mismatch(r, value, path, c);
    case T_MONEY:
        return check_money(r, value, path, c);
    case T_OBJECT:
        return check_object(r, value, path, depth, c);
    case T_ARRAY:
        return check_array(r, value, path, depth, c);
    case T_ANY:
    case T_COUNT:
        break;
    }
    return check_any(value, path, c);
}

int mt_schema_check(const json_t *schema, const json_t *input, json_t **normal, struct mt_error *e) {
    struct rule r = {.type = T_OBJECT};
    struct check c = {.used = 0};
    *normal = NULL;
    if (schema != NULL && schema_read(schema, &r, "the input", e) != 0) return -1;
    json_t *checked = check_at(&r, input, "", 0, &c);
    if (c.problems == 0 && checked != NULL) {
        *normal = checked;
        return 0;
    }
    json_decref(checked);
    if (c.problems > PROBLEMS_MAX)
        return mt_fail(e, MT_INVALID_REQUEST, "%s; and %d more", c.text, c.problems - PROBLEMS_MAX);
    return mt_fail(e, MT_INVALID_REQUEST, "%s", c.text);
}
