/* JSON over jansson: parsing with this house's limits, writing with sorted keys and shortest numbers, errors
 * as JSON, and redaction. Invariant: equal values give equal bytes; what was written parses back to the same
 * value. No state; any thread (a json_t belongs to one thread at a time). */
#include "base/json.h"
#include "base/buf.h"
#include "base/json_read.h"
#include "base/log.h"
#include "base/text.h"
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DEPTH_MAX = 64 };

/* Whether arrays and objects nest at most DEPTH_MAX deep; jansson's own limit is a constant of its build. */
static bool depth_ok(const char *text, size_t len) {
    int depth = 0;
    bool in_string = false;
    for (size_t i = 0; i < len; i++) {
        char c = text[i];
        if (in_string) {
            if (c == '\\')
                i++;
            else if (c == '"')
                in_string = false;
        } else if (c == '"') {
            in_string = true;
        } else if (c == '[' || c == '{') {
            if (++depth > DEPTH_MAX) return false;
        } else if (c == ']' || c == '}') {
            depth--;
        }
    }
    return true;
}

json_t *mt_json_parse(const char *text, size_t len, struct mt_error *e) {
    json_t *quick = json_read(text, len, DEPTH_MAX);
    if (quick != NULL) return quick;
    if (!depth_ok(text, len))
        return mt_fail_null(e, MT_INVALID_REQUEST, "JSON nested more than %d levels deep", DEPTH_MAX);
    const char *nul =
        len == 0 ? NULL : memchr(text, 0, len); /* jansson would read past it as if it were not there */
    if (nul != NULL)
        return mt_fail_null(e, MT_INVALID_REQUEST, "malformed JSON: a NUL at byte %zu",
                            (size_t)(nul - text) + 1);
    json_error_t je;
    json_t *value = json_loadb(text, len, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, &je);
    if (value != NULL) return value;
    /* jansson quotes the text near the error, which may be a secret. */
    char *near = strstr(je.text, " near ");
    if (near != NULL) *near = '\0';
    return mt_fail_null(e, MT_INVALID_REQUEST, "malformed JSON at line %d, column %d: %s",
                        je.line > 0 ? je.line : 1, je.column > 0 ? je.column : 1, je.text);
}

/* The fewest digits that read back as the same double, always with a sign that it is no integer. */
static void add_real(struct mt_buf *b, double d) {
    char text[40];
    for (int precision = 15; precision <= 17; precision++) {
        snprintf(text, sizeof(text), "%.*g", precision, d);
        if (strtod(text, NULL) == d) break;
    }
    mt_buf_adds(b, text);
    if (strpbrk(text, ".e") == NULL) mt_buf_adds(b, ".0");
}

struct member {
    const char *key;
    const json_t *value;
};

static int compare_members(const void *a, const void *b) {
    return strcmp(((const struct member *)a)->key, ((const struct member *)b)->key);
}

/* Few members, mostly in order already: what was written so comes back so. */
static void sort_members(struct member *members, size_t n) {
    if (n > 16) {
        qsort(members, n, sizeof(*members), compare_members);
        return;
    }
    for (size_t i = 1; i < n; i++) {
        struct member m = members[i];
        size_t k = i;
        for (; k > 0 && compare_members(&members[k - 1], &m) > 0; k--) members[k] = members[k - 1];
        members[k] = m;
    }
}

static void add_value(struct mt_buf *b, const json_t *value);

static void add_object(struct mt_buf *b, const json_t *object) {
    size_t n = json_object_size(object), i = 0;
    struct member few[16], *members = n <= 16 ? few : mt_calloc(n, sizeof(*members));
    /* jansson's iterators take a json_t that is not const, and do not change it. */
    json_t *o = (json_t *)(uintptr_t)object;
    for (void *it = json_object_iter(o); it != NULL; it = json_object_iter_next(o, it))
        members[i++] = (struct member){json_object_iter_key(it), json_object_iter_value(it)};
    sort_members(members, n);
    mt_buf_addc(b, '{');
    for (i = 0; i < n; i++) {
        if (i > 0) mt_buf_addc(b, ',');
        mt_buf_add_json_string(b, members[i].key, strlen(members[i].key));
        mt_buf_addc(b, ':');
        add_value(b, members[i].value);
    }
    mt_buf_addc(b, '}');
    if (members != few) free(members);
}

static void add_value(struct mt_buf *b, const json_t *value) {
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        add_object(b, value);
        break;
    case JSON_ARRAY:
        mt_buf_addc(b, '[');
        for (size_t i = 0; i < json_array_size(value); i++) {
            if (i > 0) mt_buf_addc(b, ',');
            add_value(b, json_array_get(value, i));
        }
        mt_buf_addc(b, ']');
        break;
    case JSON_STRING:
        mt_buf_add_json_string(b, json_string_value(value), json_string_length(value));
        break;
    case JSON_INTEGER:
        mt_buf_addi(b, (int64_t)json_integer_value(value));
        break;
    case JSON_REAL:
        add_real(b, json_real_value(value));
        break;
    case JSON_TRUE:
        mt_buf_adds(b, "true");
        break;
    case JSON_FALSE:
        mt_buf_adds(b, "false");
        break;
    case JSON_NULL:
        mt_buf_adds(b, "null");
        break;
    }
}

char *mt_json_dump(const json_t *value, size_t *len) {
    struct mt_buf b;
    mt_buf_init(&b, SIZE_MAX);
    add_value(&b, value);
    char *text = b.data;
    if (!mt_buf_ok(&b)) {
        fputs("mintage: out of memory\n", stderr);
        abort();
    }
    if (len != NULL) *len = b.len;
    return text;
}

const char *mt_json_str(const json_t *obj, const char *key, const char *fallback) {
    const json_t *v = json_object_get(obj, key);
    return json_is_string(v) ? json_string_value(v) : fallback;
}

int64_t mt_json_int(const json_t *obj, const char *key, int64_t fallback) {
    const json_t *v = json_object_get(obj, key);
    return json_is_integer(v) ? (int64_t)json_integer_value(v) : fallback;
}

bool mt_json_bool(const json_t *obj, const char *key, bool fallback) {
    const json_t *v = json_object_get(obj, key);
    return json_is_boolean(v) ? json_is_true(v) : fallback;
}

/* A JSON string of any bytes: what is not UTF-8 becomes '?' (a provider's own text may be anything). */
static json_t *string_of(const char *s) {
    json_t *value = json_string(s);
    if (value != NULL) return value;
    char *copy = mt_strdup(s);
    size_t len = strlen(copy), n;
    for (size_t i = 0; i < len; i += n) {
        n = mt_utf8_next(copy + i, len - i);
        if (n > 0) continue;
        copy[i] = '?';
        n = 1;
    }
    value = json_string(copy);
    free(copy);
    return value;
}

json_t *mt_error_json(const struct mt_error *e) {
    json_t *o = json_object();
    json_object_set_new(o, "kind", json_string(mt_kind_name(e->kind)));
    json_object_set_new(o, "message", string_of(e->message));
    if (e->provider[0] != '\0') json_object_set_new(o, "provider", string_of(e->provider));
    if (e->operation[0] != '\0') json_object_set_new(o, "operation", string_of(e->operation));
    if (e->code[0] != '\0') json_object_set_new(o, "code", string_of(e->code));
    if (e->http_status != 0) json_object_set_new(o, "http_status", json_integer(e->http_status));
    json_object_set_new(o, "retryable", json_boolean(e->retryable));
    json_object_set_new(o, "hard", json_boolean(e->hard));
    if (e->outcome != MT_OUTCOME_NONE)
        json_object_set_new(o, "outcome", json_string(mt_outcome_name(e->outcome)));
    return o;
}

void mt_error_from_json(const json_t *obj, struct mt_error *e) {
    memset(e, 0, sizeof(*e));
    e->kind = mt_kind_from_name(mt_json_str(obj, "kind", ""));
    if (e->kind == MT_KIND_NONE) e->kind = MT_INTERNAL; /* an error always has a kind */
    e->outcome = mt_outcome_from_name(mt_json_str(obj, "outcome", ""));
    int64_t status = mt_json_int(obj, "http_status", 0);
    e->http_status = status >= 0 && status <= 999 ? (int)status : 0;
    e->retryable = mt_json_bool(obj, "retryable", false);
    e->hard = mt_json_bool(obj, "hard", false);
    mt_copy(e->provider, sizeof(e->provider), mt_json_str(obj, "provider", ""));
    mt_copy(e->operation, sizeof(e->operation), mt_json_str(obj, "operation", ""));
    mt_copy(e->code, sizeof(e->code), mt_json_str(obj, "code", ""));
    mt_copy(e->message, sizeof(e->message), mt_json_str(obj, "message", ""));
}

static bool luhn_valid(const char *digits) {
    int sum = 0;
    size_t n = strlen(digits);
    for (size_t i = 0; i < n; i++) {
        int d = digits[n - 1 - i] - '0';
        if (i % 2 == 1 && (d *= 2) > 9) d -= 9;
        sum += d;
    }
    return sum % 10 == 0;
}

/* A card number may come as a JSON number. From 14 digits on and only when its check digit is right, so that
 * times in milliseconds and amounts stay what they are. */
/* Leaves that need no masking are shared with the original: values are not changed once they are made. */
static json_t *shared(const json_t *value) {
    return json_incref((json_t *)(uintptr_t)value);
}

static json_t *redact_integer(const json_t *original) {
    int64_t value = (int64_t)json_integer_value(original);
    char text[24];
    if (value < INT64_C(10000000000000)) return shared(original); /* fewer than 14 digits */
    snprintf(text, sizeof(text), "%" PRId64, value);
    size_t n = strlen(text);
    if (!luhn_valid(text)) return shared(original);
    mt_mask_digits(text, n);
    return json_string(text);
}

/* The key of a run or an event is its name: only beside "flow" or "topic" is a member "key" no secret. */
static bool hides(const json_t *object, const char *name) {
    if (strcmp(name, "key") == 0 && (json_object_get(object, "flow") || json_object_get(object, "topic")))
        return false;
    return mt_secret_name(name);
}

json_t *mt_json_redact(const json_t *value) {
    switch (json_typeof(value)) {
    case JSON_OBJECT: {
        json_t *copy = json_object();
        json_t *o = (json_t *)(uintptr_t)value;
        for (void *it = json_object_iter(o); it != NULL; it = json_object_iter_next(o, it)) {
            const char *key = json_object_iter_key(it);
            const json_t *member = json_object_iter_value(it);
            bool hide = hides(value, key) && !json_is_null(member);
            json_object_set_new(copy, key, hide ? json_string("[redacted]") : mt_json_redact(member));
        }
        return copy;
    }
    case JSON_ARRAY: {
        json_t *copy = json_array();
        for (size_t i = 0; i < json_array_size(value); i++)
            json_array_append_new(copy, mt_json_redact(json_array_get(value, i)));
        return copy;
    }
    case JSON_STRING: {
        size_t len = json_string_length(value);
        if (len < 13) return shared(value); /* no card number or ePIN is that short */
        char *text = mt_memdup(json_string_value(value), len);
        mt_mask_digits(text, len);
        json_t *copy =
            memcmp(text, json_string_value(value), len) == 0 ? shared(value) : json_stringn(text, len);
        free(text);
        return copy;
    }
    case JSON_INTEGER:
        return redact_integer(value);
    case JSON_REAL:
        return shared(value);
    default:
        return json_copy((json_t *)(uintptr_t)value);
    }
}
