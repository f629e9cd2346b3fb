/* Reading input schemas, and whether they are well formed when their flow is defined. Invariant: what
 * mt_schema_valid accepted can be checked against. Pure; any thread. */
#include "bindings/modules/schema_rule.h"
#include "base/text.h"
#include "bindings/modules/schema.h"
#include "money/money.h"
#include <regex.h>
#include <string.h>

static const char *const type_names[] = {"string", "integer", "number", "boolean", "money", "email",
                                         "url",    "date",    "time",   "local",   "zone",  "duration",
                                         "period", "secret",  "object", "array",   "any"};
_Static_assert(sizeof(type_names) / sizeof(type_names[0]) == T_WORDS, "a name for each type");

/* What is wanted, in the words of an error. */
const char *const schema_wanted[] = {"a string",
                                     "an integer",
                                     "a number",
                                     "true or false",
                                     "money such as \"80.00 USD\"",
                                     "an e-mail address",
                                     "an http or https URL",
                                     "a date such as \"2027-01-31\"",
                                     "an instant such as \"2027-01-31T09:00:00Z\"",
                                     "a date or local time such as \"2027-01-31\" or \"2027-01-31T09:00\"",
                                     "a time zone such as \"Asia/Seoul\"",
                                     "a duration such as \"3d\" or \"1h30m\"",
                                     "a period of the calendar such as \"month\" or \"2 weeks\"",
                                     "a secret, which is a string",
                                     "an object",
                                     "a list",
                                     "any value",
                                     "one of"};
_Static_assert(sizeof(schema_wanted) / sizeof(schema_wanted[0]) == T_COUNT, "words for each type");

/* ---- reading ---- */

static bool type_named(const char *s, size_t len, enum type *out) {
    for (size_t i = 0; i < T_WORDS; i++) {
        if (strlen(type_names[i]) == len && memcmp(type_names[i], s, len) == 0) {
            *out = (enum type)i;
            return true;
        }
    }
    return false;
}

/* "string", "money?", "url|iframe?" */
static int read_word(const char *text, struct rule *r, const char *path, struct mt_error *e) {
    size_t len = strlen(text);
    if (len > 0 && text[len - 1] == '?') {
        r->optional = true;
        len--;
    }
    if (memchr(text, '|', len) != NULL) {
        if (text[0] == '|' || text[len - 1] == '|' || memmem(text, len, "||", 2) != NULL)
            return mt_fail(e, MT_INVALID_REQUEST, "schema of %s: \"%s\" has an empty word", path, text);
        r->type = T_WORDS;
        r->words = text;
        r->words_len = len;
        return 0;
    }
    if (type_named(text, len, &r->type)) return 0;
    char name[64];
    mt_format(name, sizeof(name), "%.*s", (int)len, text);
    const char *near = mt_nearest(name, type_names, T_WORDS);
    if (near != NULL)
        return mt_fail(e, MT_INVALID_REQUEST, "schema of %s: unknown type \"%s\"; did you mean \"%s\"?", path,
                       name, near);
    return mt_fail(
        e, MT_INVALID_REQUEST,
        "schema of %s: unknown type \"%s\"; there are string, integer, number, boolean, money, "
        "email, url, date, time, local, zone, duration, period, secret, object, array, any, and words "
        "such as \"url|iframe\"",
        path, name);
}

/* A table is a type with limits when its `type` is a string and everything else in it is a limit; otherwise
 * the fields of an object. (A field of that name is written { type = "object", fields = { type = "string" }
 * }.) */
static const char *const limit_names[] = {"type",  "min",    "max",      "pattern",  "values",
                                          "items", "fields", "optional", "currency", "doc"};
enum { LIMIT_NAMES = sizeof(limit_names) / sizeof(limit_names[0]) };

static bool is_limited(const json_t *schema) {
    if (!json_is_string(json_object_get(schema, "type"))) return false;
    const char *key;
    json_t *member;
    json_object_foreach((json_t *)(uintptr_t)schema, key, member) {
        bool known = false;
        for (size_t i = 0; i < LIMIT_NAMES; i++) known = known || strcmp(limit_names[i], key) == 0;
        if (!known) return false;
    }
    return true;
}

static int read_limited(const json_t *schema, struct rule *r, const char *path, struct mt_error *e) {
    if (read_word(json_string_value(json_object_get(schema, "type")), r, path, e) != 0) return -1;
    r->min = json_object_get(schema, "min");
    r->max = json_object_get(schema, "max");
    r->pattern = json_string_value(json_object_get(schema, "pattern"));
    r->currency = json_string_value(json_object_get(schema, "currency"));
    r->doc = json_string_value(json_object_get(schema, "doc"));
    r->items = json_object_get(schema, "items");
    r->fields = json_object_get(schema, "fields");
    r->values = json_object_get(schema, "values");
    if (json_is_true(json_object_get(schema, "optional"))) r->optional = true;
    if (r->values != NULL) {
        if (r->type != T_STRING)
            return mt_fail(e, MT_INVALID_REQUEST, "schema of %s: values are for strings", path);
        r->type = T_WORDS;
    }
    return 0;
}

int schema_read(const json_t *schema, struct rule *r, const char *path, struct mt_error *e) {
    memset(r, 0, sizeof(*r));
    switch (json_typeof(schema)) {
    case JSON_STRING:
        return read_word(json_string_value(schema), r, path, e);
    case JSON_ARRAY:
        r->type = T_ARRAY;
        if (json_array_size(schema) > 1)
            return mt_fail(e, MT_INVALID_REQUEST, "schema of %s: a list has one schema for all its items",
                           path);
        r->items = json_array_get(schema, 0);
        return 0;
    case JSON_OBJECT:
        if (is_limited(schema)) return read_limited(schema, r, path, e);
        r->type = T_OBJECT;
        r->fields = schema;
        return 0;
    default:
        return mt_fail(e, MT_INVALID_REQUEST, "schema of %s: wanted a type such as \"string\", or a table",
                       path);
    }
}

void schema_join(char out[160], const char *path, const char *name) {
    if (path[0] == '\0')
        mt_format(out, 160, "%s", name);
    else
        mt_format(out, 160, "%s.%s", path, name);
}

const char *schema_shown(const char *path) {
    return path[0] != '\0' ? path : "the input";
}

static int check_limits(const struct rule *r, const char *path, struct mt_error *e) {
    const json_t *bounds[] = {r->min, r->max};
    for (size_t i = 0; i < 2; i++) {
        if (bounds[i] == NULL) continue;
        if (!json_is_integer(bounds[i]) && !(r->type == T_NUMBER && json_is_real(bounds[i])))
            return mt_fail(e, MT_INVALID_REQUEST, "schema of %s: min and max must be integers",
                           schema_shown(path));
    }
    if (r->pattern != NULL) {
        if (r->type != T_STRING && r->type != T_SECRET)
            return mt_fail(e, MT_INVALID_REQUEST, "schema of %s: pattern is for strings", schema_shown(path));
        regex_t compiled;
        if (strlen(r->pattern) > PATTERN_MAX || regcomp(&compiled, r->pattern, REG_EXTENDED | REG_NOSUB) != 0)
            return mt_fail(
                e, MT_INVALID_REQUEST,
                "schema of %s: \"%s\" is not an extended regular expression (POSIX) of at most %d bytes",
                schema_shown(path), r->pattern, (int)PATTERN_MAX);
        regfree(&compiled);
    }
    if (r->currency != NULL && (r->type != T_MONEY || mt_currency_exponent(r->currency, NULL) < 0))
        return mt_fail(e, MT_INVALID_REQUEST, "schema of %s: currency is for money, and one of ISO 4217's",
                       schema_shown(path));
    if (r->values == NULL) return 0;
    size_t n = json_array_size(r->values);
    for (size_t i = 0; i < n; i++)
        if (!json_is_string(json_array_get(r->values, i))) n = 0;
    if (n == 0)
        return mt_fail(e, MT_INVALID_REQUEST, "schema of %s: values must be a list of strings",
                       schema_shown(path));
    return 0;
}

static int valid_at(const json_t *schema, const char *path, int depth, struct mt_error *e) {
    struct rule r;
    if (depth > DEPTH_MAX)
        return mt_fail(e, MT_LIMIT, "schema of %s: nested more than %d deep", schema_shown(path),
                       (int)DEPTH_MAX);
    if (schema_read(schema, &r, schema_shown(path), e) != 0 || check_limits(&r, path, e) != 0) return -1;
    char inner[160];
    if (r.items != NULL) {
        mt_format(inner, sizeof(inner), "%s[]", path);
        return valid_at(r.items, inner, depth + 1, e);
    }
    if (r.fields == NULL) return 0;
    if (!json_is_object(r.fields))
        return mt_fail(e, MT_INVALID_REQUEST, "schema of %s: fields must be a table of names",
                       schema_shown(path));
    if (json_object_size(r.fields) > FIELDS_MAX)
        return mt_fail(e, MT_LIMIT, "schema of %s: more than %d fields", schema_shown(path), (int)FIELDS_MAX);
    const char *key;
    json_t *member;
    json_object_foreach((json_t *)(uintptr_t)r.fields, key, member) {
        schema_join(inner, path, key);
        if (valid_at(member, inner, depth + 1, e) != 0) return -1;
    }
    return 0;
}

int mt_schema_valid(const json_t *schema, struct mt_error *e) {
    struct rule r;
    if (valid_at(schema, "", 0, e) != 0) return -1;
    if (schema_read(schema, &r, "the input", e) != 0) return -1;
    if (r.type == T_OBJECT) return 0;
    return mt_fail(e, MT_INVALID_REQUEST, "the input of a flow is an object: { amount = \"money\", ... }");
}
