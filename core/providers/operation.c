/* Operations by name, and their parameters against the row. Invariant: what passes the check has every
 * required member, each of its row's type and within its limits, and nothing else. No state; any thread. */
#include "base/json.h"
#include "base/text.h"
#include "providers/private.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const char *const repeat_names[] = {
    [MT_REPEAT_READ] = "read",
    [MT_REPEAT_KEYED] = "keyed",
    [MT_REPEAT_NATURAL] = "natural",
    [MT_REPEAT_UNSAFE] = "unsafe",
};
static const char *const type_names[] = {
    [MT_P_STRING] = "string",   [MT_P_INTEGER] = "integer", [MT_P_NUMBER] = "number",
    [MT_P_BOOLEAN] = "boolean", [MT_P_MONEY] = "money",     [MT_P_OBJECT] = "object",
    [MT_P_ARRAY] = "array",     [MT_P_ANY] = "any",
};
static const char *const wanted[] = {
    [MT_P_STRING] = "a string",
    [MT_P_INTEGER] = "an integer",
    [MT_P_NUMBER] = "a number",
    [MT_P_BOOLEAN] = "true or false",
    [MT_P_MONEY] = "money, as in money \"80.00 USD\"",
    [MT_P_OBJECT] = "an object",
    [MT_P_ARRAY] = "an array",
    [MT_P_ANY] = "a value",
};
_Static_assert(sizeof(type_names) == sizeof(wanted), "every type has both names");

const char *mt_repeat_name(enum mt_repeat r) {
    return repeat_names[r];
}

const char *mt_param_type_name(enum mt_param_type t) {
    return type_names[t];
}

/* ---- finding ---- */

enum { SUGGESTIONS_MAX = 64 };

static const struct mt_provider *provider_named(const struct mt_provider_set *set, const char *name,
                                                size_t len) {
    const struct mt_provider *row;
    for (size_t i = 0; (row = mt_provider_row(set, i)) != NULL; i++)
        if (strlen(row->name) == len && memcmp(row->name, name, len) == 0) return row;
    return NULL;
}

const struct mt_provider *mt_provider_named(const struct mt_provider_set *s, const char *name) {
    return provider_named(s, name, strlen(name));
}

static int unknown_provider(const struct mt_provider_set *set, const char *full_name, size_t len,
                            struct mt_error *e) {
    const struct mt_provider *row;
    const char *names[SUGGESTIONS_MAX] = {0};
    char name[64], list[256] = "";
    size_t n = 0, used = 0;
    for (; n < SUGGESTIONS_MAX && (row = mt_provider_row(set, n)) != NULL; n++) {
        int w = snprintf(list + used, sizeof(list) - used, "%s%s", n > 0 ? ", " : "", row->name);
        if (w > 0 && (size_t)w < sizeof(list) - used) used += (size_t)w;
        names[n] = row->name;
    }
    snprintf(name, sizeof(name), "%.*s", (int)(len < 63 ? len : 63), full_name);
    const char *near = mt_nearest(name, names, n);
    if (near != NULL)
        return mt_fail(e, MT_INVALID_REQUEST, "there is no provider \"%s\" (did you mean \"%s\"?)", name,
                       near);
    return mt_fail(e, MT_INVALID_REQUEST, "there is no provider \"%s\"; there are %s", name, list);
}

static int unknown_operation(const struct mt_provider *row, const char *name, struct mt_error *e) {
    const char *names[SUGGESTIONS_MAX] = {0};
    size_t n = 0;
    for (const struct mt_operation *op = row->operations; op->name != NULL && n < SUGGESTIONS_MAX; op++)
        names[n++] = op->name;
    const char *near = mt_nearest(name, names, n);
    /* "create" for "intents.create": right after the last dot. */
    for (size_t i = 0; near == NULL && i < n; i++) {
        const char *dot = strrchr(names[i], '.');
        if (dot != NULL && strcmp(dot + 1, name) == 0) near = names[i];
    }
    if (near != NULL)
        return mt_fail(e, MT_INVALID_REQUEST, "%s has no operation \"%.100s\" (did you mean \"%s.%s\"?)",
                       row->name, name, row->name, near);
    struct mt_buf list;
    mt_buf_init(&list, 400);
    for (size_t i = 0; i < n; i++) mt_buf_addf(&list, "%s%s", i > 0 ? ", " : "", names[i]);
    mt_fail(e, MT_INVALID_REQUEST, "%s has no operation \"%.100s\"; it has %s", row->name, name, list.data);
    mt_buf_clear(&list);
    return -1;
}

const struct mt_operation *mt_operation_find(struct mt_providers *p, const char *full_name,
                                             const struct mt_account **account, struct mt_error *e) {
    return mt_operation_find_in(p, NULL, full_name, account, e);
}

const struct mt_operation *mt_operation_find_in(struct mt_providers *p, const struct mt_provider_set *s,
                                                const char *full_name, const struct mt_account **account,
                                                struct mt_error *e) {
    const char *dot = strchr(full_name, '.');
    size_t len = dot != NULL ? (size_t)(dot - full_name) : strlen(full_name);
    *account = NULL;
    const struct mt_provider *row = provider_named(s, full_name, len);
    if (row == NULL) {
        unknown_provider(s, full_name, len, e);
        return NULL;
    }
    if (dot != NULL) {
        for (const struct mt_operation *op = row->operations; op->name != NULL; op++) {
            if (strcmp(op->name, dot + 1) != 0) continue;
            *account = mt_provider_account(p, s, row->name);
            return op;
        }
    }
    unknown_operation(row, dot != NULL ? dot + 1 : "", e);
    return NULL;
}

/* ---- checking ---- */

static int wrong_type(const char *full_name, const struct mt_param *row, const json_t *v,
                      struct mt_error *e) {
    return mt_fail(e, MT_INVALID_REQUEST, "%s: field \"%s\" is %s, wanted %s", full_name, row->name,
                   value_type_name(v), wanted[row->type]);
}

static bool tagged(const json_t *v) {
    const char *name = value_type_name(v);
    return json_is_object(v) && strcmp(name, "an object") != 0;
}

static bool type_fits(enum mt_param_type type, const json_t *v) {
    struct mt_money m;
    switch (type) {
    case MT_P_STRING:
        return json_is_string(v);
    case MT_P_INTEGER:
        return json_is_integer(v);
    case MT_P_NUMBER:
        return json_is_number(v);
    case MT_P_BOOLEAN:
        return json_is_boolean(v);
    case MT_P_MONEY:
        return value_money(v, &m);
    /* An empty table of a script is either. */
    case MT_P_OBJECT:
        return (json_is_object(v) && !tagged(v)) || (json_is_array(v) && json_array_size(v) == 0);
    case MT_P_ARRAY:
        return json_is_array(v) || (json_is_object(v) && json_object_size(v) == 0);
    case MT_P_ANY:
        return true;
    }
    return false;
}

static int check_value(const char *full_name, const struct mt_param *row, const char *s, struct mt_error *e) {
    size_t n = 0;
    struct mt_buf list;
    for (; row->values[n] != NULL; n++)
        if (strcmp(row->values[n], s) == 0) return 0;
    mt_buf_init(&list, 300);
    for (n = 0; row->values[n] != NULL; n++)
        mt_buf_addf(&list, "%s\"%s\"", n > 0 ? ", " : "", row->values[n]);
    const char *near = mt_nearest(s, row->values, n);
    mt_fail(e, MT_INVALID_REQUEST, "%s: field \"%s\" is \"%.60s\", wanted one of %s%s%s%s", full_name,
            row->name, row->secret ? "[redacted]" : s, list.data, near != NULL ? " (did you mean \"" : "",
            near != NULL ? near : "", near != NULL ? "\"?)" : "");
    mt_buf_clear(&list);
    return -1;
}

static int check_limits(const char *full_name, const struct mt_param *row, const json_t *v,
                        struct mt_error *e) {
    if (row->min == 0 && row->max == 0) return 0;
    if (json_is_string(v)) {
        int64_t len = (int64_t)json_string_length(v);
        if (len < row->min || len > row->max)
            return mt_fail(e, MT_INVALID_REQUEST,
                           "%s: field \"%s\" is %" PRId64 " bytes long, wanted %" PRId64 " to %" PRId64,
                           full_name, row->name, len, row->min, row->max);
    } else if (json_is_integer(v)) {
        int64_t n = (int64_t)json_integer_value(v);
        if (n < row->min || n > row->max)
            return mt_fail(e, MT_INVALID_REQUEST,
                           "%s: field \"%s\" is %" PRId64 ", wanted %" PRId64 " to %" PRId64, full_name,
                           row->name, n, row->min, row->max);
    } else if (json_is_array(v)) {
        int64_t n = (int64_t)json_array_size(v);
        if (n < row->min || n > row->max)
            return mt_fail(e, MT_INVALID_REQUEST,
                           "%s: field \"%s\" has %" PRId64 " items, wanted %" PRId64 " to %" PRId64,
                           full_name, row->name, n, row->min, row->max);
    }
    return 0;
}

static int unknown_field(const struct mt_operation *op, const char *full_name, const char *key,
                         struct mt_error *e) {
    const char *names[SUGGESTIONS_MAX] = {0};
    struct mt_buf list;
    size_t n = 0;
    mt_buf_init(&list, 400);
    for (const struct mt_param *row = op->params; row->name != NULL && n < SUGGESTIONS_MAX; row++) {
        mt_buf_addf(&list, "%s%s", n > 0 ? ", " : "", row->name);
        names[n++] = row->name;
    }
    const char *near = mt_nearest(key, names, n);
    if (near != NULL)
        mt_fail(e, MT_INVALID_REQUEST, "%s: unknown field \"%.60s\" (did you mean \"%s\"?)", full_name, key,
                near);
    else
        mt_fail(e, MT_INVALID_REQUEST, "%s: unknown field \"%.60s\"; it takes %s", full_name, key, list.data);
    mt_buf_clear(&list);
    return -1;
}

int mt_operation_check(const struct mt_operation *op, const char *full_name, const json_t *params,
                       struct mt_error *e) {
    const char *key;
    json_t *v;
    bool empty_array = json_is_array(params) && json_array_size(params) == 0;
    if (!empty_array && (!json_is_object(params) || tagged(params)))
        return mt_fail(e, MT_INVALID_REQUEST, "%s takes one table of named fields, found %s", full_name,
                       value_type_name(params));
    json_object_foreach((json_t *)(uintptr_t)params, key, v) {
        const struct mt_param *row = op->params;
        while (row->name != NULL && strcmp(row->name, key) != 0) row++;
        if (row->name == NULL) return unknown_field(op, full_name, key, e);
        if (json_is_null(v)) continue; /* as if absent */
        if (!type_fits(row->type, v)) return wrong_type(full_name, row, v, e);
        /* Strings go into URLs, headers and C; none of them can carry it. */
        if (json_is_string(v) && strlen(json_string_value(v)) != json_string_length(v))
            return mt_fail(e, MT_INVALID_REQUEST, "%s: field \"%s\" has a NUL in it", full_name, row->name);
        if (row->values != NULL && json_is_string(v) &&
            check_value(full_name, row, json_string_value(v), e) != 0)
            return -1;
        if (check_limits(full_name, row, v, e) != 0) return -1;
    }
    for (const struct mt_param *row = op->params; row->name != NULL; row++)
        if (row->required && param(params, row->name) == NULL)
            return mt_fail(e, MT_INVALID_REQUEST, "%s: field \"%s\" is missing; wanted %s: %s", full_name,
                           row->name, wanted[row->type], row->doc);
    return op->check != NULL ? op->check(op, full_name, params, e) : 0;
}

enum mt_repeat mt_operation_repeat(const struct mt_operation *op, const json_t *params) {
    return op->repeat_of != NULL ? op->repeat_of(op, params) : op->repeat;
}

const char *mt_operation_object_id(const struct mt_operation *op, const json_t *params) {
    const char *id = param_str(params, "id");
    for (const struct mt_param *row = op->params; id == NULL && row->name != NULL; row++) {
        size_t n = strlen(row->name);
        if (n > 3 && strcmp(row->name + n - 3, "_id") == 0) id = param_str(params, row->name);
    }
    return id;
}

/* ---- masking ---- */

/* A secret object keeps its members' names: which headers were sent is no secret, what they said is. */
static json_t *masked(const json_t *v) {
    const char *key;
    json_t *member;
    if (!json_is_object(v) || tagged(v)) return json_string("[redacted]");
    json_t *copy = json_object();
    json_object_foreach((json_t *)(uintptr_t)v, key, member) {
        json_object_set_new(copy, key, json_string("[redacted]"));
    }
    return copy;
}

json_t *mt_operation_mask_params(const struct mt_operation *op, const json_t *params) {
    json_t *copy = mt_json_redact(params);
    for (const struct mt_param *row = op->params; row->name != NULL; row++) {
        const json_t *v = row->secret ? param(params, row->name) : NULL;
        if (v != NULL) json_object_set_new(copy, row->name, masked(v));
    }
    return copy;
}

json_t *mt_operation_mask_result(const struct mt_operation *op, const json_t *value) {
    (void)op; /* secrets of answers are known by their names, whatever operation gave them */
    return mt_json_redact(value);
}
