/* The operations of a definition: calls, and those that wait (settled) or choose (release). Invariant: what
 * an operation names (parameters, other operations) exists and is of the kind that is wanted there. No state;
 * any thread. */
#include "base/json.h"
#include "base/text.h"
#include "providers/define.h"
#include "providers/rows.h"
#include <ctype.h>
#include <string.h>

enum { OPERATION_BYTES = 47, RULES_MAX = 32 };

static const char *const call_fields[] = {"method", "path",        "doc",    "returns", "repeats", "params",
                                          "body",   "moves_money", "sealed", "fixed",   "answer",  "refused",
                                          "code",   "id",          "find",   "timeout", NULL};
static const char *const settled_fields[] = {"read", "at_rest", "topic", "doc", "returns", NULL};
static const char *const release_fields[] = {"read", "release", "params", "doc", "returns", NULL};
static const struct mt_param settled_params[] = {
    {.name = "id", .type = MT_P_STRING, .required = true, .min = 1, .max = 255, .doc = "the object"},
    PARAM_WITHIN,
    {0},
};

static const struct mt_param release_params[] = {
    {.name = "id", .type = MT_P_STRING, .required = true, .min = 1, .max = 255, .doc = "the object"},
    {0},
};

const struct mt_operation *defined_find(const struct defined *d, const char *name) {
    for (const struct mt_operation *op = d->operations; op->name != NULL; op++)
        if (strcmp(op->name, name) == 0) return op;
    return NULL;
}

static const struct mt_param *param_of(const struct mt_operation *op, const char *name) {
    for (const struct mt_param *p = op->params; p->name != NULL; p++)
        if (strcmp(p->name, name) == 0) return p;
    return NULL;
}

static int word_at(const char *where, const char *field, const char *word, const char *const *words, size_t n,
                   size_t *out, struct mt_error *e) {
    char whole[DEFINED_WHERE_MAX + 16];
    mt_format(whole, sizeof(whole), "%s.%s", where, field);
    return define_word(whole, word, words, n, out, e);
}

/* ---- calls ---- */

static bool path_ok(const char *path) {
    int open = 0;
    if (path[0] != '/' || strlen(path) > 200 || strstr(path, "//") != NULL) return false;
    for (const char *c = path; *c != '\0'; c++) {
        if (*c == '{' ? ++open > 1 || c[-1] != '/' : *c == '}' && --open < 0) return false;
        if (!isalnum((unsigned char)*c) && strchr("/{}-._~:@%+,=", *c) == NULL) return false;
    }
    return open == 0;
}

static int take_request(struct defined *d, struct mt_operation *op, struct defined_operation *own,
                        const char *where, const json_t *o, struct mt_error *e) {
    static const char *const methods[] = {"GET", "POST", "PUT", "PATCH", "DELETE"};
    static const char *const bodies[] = {"query", "json", "form"};
    const char *body = NULL;
    int64_t timeout = d->timeout_ms;
    size_t at;
    if (define_required(where, o, "method", &op->method, e) != 0 ||
        define_required(where, o, "path", &op->path, e) != 0 ||
        define_text(where, o, "body", &body, e) != 0 ||
        define_duration(where, o, "timeout", 100, 300000, &timeout, e) != 0)
        return -1;
    own->timeout_ms = (int)timeout;
    if (word_at(where, "method", op->method, methods, 5, &at, e) != 0) return -1;
    if (!path_ok(op->path))
        return define_fail(where, e,
                           "path \"%.100s\" is none; wanted \"/v1/charges/{id}/capture\": each {parameter} a "
                           "whole segment, no query",
                           op->path);
    own->body = at == 0 || at == 4 ? DEFINED_QUERY : DEFINED_JSON;
    if (body == NULL) return 0;
    if (word_at(where, "body", body, bodies, 3, &at, e) != 0) return -1;
    if (strcmp(op->method, "GET") == 0 && at != DEFINED_QUERY)
        return define_fail(where, e, "a GET has no body");
    own->body = (enum defined_body)at;
    return 0;
}

static int take_repeats(const struct defined *d, struct mt_operation *op, const char *where, const json_t *o,
                        struct mt_error *e) {
    static const char *const words[] = {"read", "keyed", "natural", "unsafe"};
    const char *word = strcmp(op->method, "GET") == 0 ? "read" : NULL;
    size_t at;
    if (define_text(where, o, "repeats", &word, e) != 0) return -1;
    if (word == NULL)
        return define_fail(where, e,
                           "field \"repeats\" is missing: whether the call may be sent again when nobody "
                           "knows what became of it; one of \"read\", \"keyed\", \"natural\", \"unsafe\"");
    if (word_at(where, "repeats", word, words, 4, &at, e) != 0) return -1;
    op->repeat = (enum mt_repeat)at;
    if (op->repeat != MT_REPEAT_KEYED) return 0;
    if (d->key_header == NULL && d->key_member == NULL)
        return define_fail(where, e,
                           "\"keyed\" needs the definition's \"idempotency\", such as { header = "
                           "\"Idempotency-Key\", lasts = \"24h\" }");
    op->key_ttl_s = d->key_ttl_s;
    return 0;
}

static int take_answer(struct defined_operation *own, const char *where, const json_t *o,
                       struct mt_error *e) {
    const json_t *refused = param(o, "refused");
    const char *kind;
    json_t *condition;
    enum mt_kind ignored;
    if (define_text(where, o, "answer", &own->at, e) != 0 ||
        define_text(where, o, "code", &own->code, e) != 0)
        return -1;
    if (refused == NULL) return 0;
    if (!json_is_object(refused))
        return define_fail(where, e,
                           "\"refused\": wanted a table such as { declined = { status = \"failed\" } }");
    json_object_foreach((json_t *)(uintptr_t)refused, kind, condition) {
        char at[DEFINED_WHERE_MAX + 16];
        mt_format(at, sizeof(at), "%s.refused", where);
        if (define_kind(at, kind, &ignored, e) != 0 || define_condition(at, condition, e) != 0) return -1;
    }
    own->refused = refused;
    return 0;
}

/* What is sent in any case: scalars, unless the body is JSON. */
static int take_fixed(struct defined_operation *own, const char *where, const json_t *o, struct mt_error *e) {
    const json_t *fixed = param(o, "fixed");
    if (fixed == NULL) return 0;
    if (!json_is_object(fixed)) return define_fail(where, e, "\"fixed\": wanted a table of members");
    own->fixed = fixed;
    return 0;
}

/* URLs stand in logs, on either side and in between. */
static int check_secrets(const struct defined_operation *own, const char *where, struct mt_error *e) {
    for (const struct mt_param *p = own->row->params; p->name != NULL; p++) {
        char hole[64];
        bool in_url = own->body == DEFINED_QUERY;
        for (size_t i = 0; defined_placeholder(own->row->path, i, hole); i++)
            in_url = in_url || strcmp(hole, p->name) == 0;
        if (p->secret && in_url)
            return define_fail(where, e, "params.%s: a secret would stand in the URL; wanted a body",
                               p->name);
    }
    return 0;
}

static int check_sendable(const struct defined_operation *own, const char *where, struct mt_error *e) {
    const char *key;
    json_t *v;
    if (check_secrets(own, where, e) != 0) return -1;
    if (own->body == DEFINED_JSON) return 0;
    for (const struct mt_param *p = own->row->params; p->name != NULL; p++)
        if (p->type == MT_P_OBJECT || p->type == MT_P_ARRAY || p->type == MT_P_ANY)
            return define_fail(where, e, "params.%s: %s needs a JSON body", p->name,
                               mt_param_type_name(p->type));
    json_object_foreach((json_t *)(uintptr_t)own->fixed, key, v) {
        if (json_is_object(v) || json_is_array(v))
            return define_fail(where, e, "fixed.%.60s: %s needs a JSON body", key, value_type_name(v));
    }
    return 0;
}

static int take_own_id(struct defined_operation *own, const char *where, const json_t *o,
                       struct mt_error *e) {
    if (define_text(where, o, "id", &own->own_id, e) != 0) return -1;
    if (own->own_id == NULL) return 0;
    const struct mt_param *p = param_of(own->row, own->own_id);
    if (p == NULL || p->type != MT_P_STRING || p->required || p->values != NULL || p->max < 20)
        return define_fail(where, e,
                           "\"id\" names \"%.60s\"; wanted a parameter of type \"string?\" that may have 20 "
                           "bytes or more: it is made when left out",
                           own->own_id);
    return 0;
}

static int take_call(struct defined *d, struct mt_operation *op, struct defined_operation *own,
                     const char *where, const json_t *o, struct mt_error *e) {
    op->kind = MT_OPERATION_CALL;
    op->build = defined_build;
    op->read = defined_read;
    if (define_fields(where, o, call_fields, e) != 0 || take_request(d, op, own, where, o, e) != 0 ||
        take_repeats(d, op, where, o, e) != 0 || define_params(d, own, param(o, "params"), e) != 0 ||
        take_answer(own, where, o, e) != 0 || take_fixed(own, where, o, e) != 0 ||
        check_sendable(own, where, e) != 0 || take_own_id(own, where, o, e) != 0 ||
        define_bool(where, o, "moves_money", &op->moves_money, e) != 0 ||
        define_bool(where, o, "sealed", &op->sealed_result, e) != 0)
        return -1;
    if (op->repeat == MT_REPEAT_KEYED && d->key_member != NULL && own->body == DEFINED_QUERY)
        return define_fail(where, e, "its idempotency key travels in the body, and it has none");
    if (own->own_id != NULL) op->identify = defined_identify;
    return 0;
}

/* ---- those that wait and choose ---- */

static int take_settled(struct defined *d, struct mt_operation *op, struct defined_operation *own,
                        const char *where, const json_t *o, struct mt_error *e) {
    const char *topic = NULL;
    op->kind = MT_OPERATION_SETTLED;
    op->params = settled_params;
    op->method = op->path = "";
    op->at_rest = defined_at_rest;
    own->rests = param(o, "at_rest");
    if (define_fields(where, o, settled_fields, e) != 0 ||
        define_required(where, o, "read", &op->read_operation, e) != 0 ||
        define_required(where, o, "topic", &topic, e) != 0)
        return -1;
    char at[DEFINED_WHERE_MAX + 16];
    mt_format(at, sizeof(at), "%s.at_rest", where);
    if (define_condition(at, own->rests, e) != 0) return -1;
    char *full = define_alloc(d, 64, 1);
    if (!mt_format(full, 64, "%s.%s", d->row.name, topic))
        return define_fail(where, e, "\"topic\": wanted at most %d bytes", 40);
    op->topic = full;
    return 0;
}

static int take_release(struct defined *d, struct mt_operation *op, struct defined_operation *own,
                        const char *where, const json_t *o, struct mt_error *e) {
    op->kind = MT_OPERATION_RELEASE;
    op->method = op->path = "";
    op->decide = defined_decide;
    op->moves_money = true;
    own->release = param(o, "release");
    if (define_fields(where, o, release_fields, e) != 0 ||
        define_required(where, o, "read", &op->read_operation, e) != 0)
        return -1;
    if (!json_is_array(own->release) || json_array_size(own->release) == 0 ||
        json_array_size(own->release) > RULES_MAX)
        return define_fail(
            where, e,
            "\"release\": wanted a list of 1 to %d rules such as { when = { status = \"paid\" }, "
            "call = \"charges.refund\" }",
            (int)RULES_MAX);
    if (param(o, "params") == NULL) {
        op->params = release_params;
        return 0;
    }
    return define_params(d, own, param(o, "params"), e);
}

/* ---- references between operations, once all are known ---- */

static int reader(const struct defined *d, const char *where, const char *name,
                  const struct mt_operation **read, struct mt_error *e) {
    const char *names[DEFINED_OPERATIONS_MAX];
    size_t n = 0, at;
    for (const struct mt_operation *op = d->operations; op->name != NULL; op++)
        if (op->kind == MT_OPERATION_CALL && op->repeat == MT_REPEAT_READ) names[n++] = op->name;
    if (n == 0) return define_fail(where, e, "\"%.60s\": no operation is a read", name);
    if (word_at(where, "read", name, names, n, &at, e) != 0) return -1;
    *read = defined_find(d, name);
    return 0;
}

/* {parameter there = what}: each key must be a parameter of the operation that is called. */
static int check_with(const char *where, const struct mt_operation *target, const json_t *with,
                      struct mt_error *e) {
    const char *key;
    json_t *v;
    if (with == NULL || (json_is_array(with) && json_array_size(with) == 0)) return 0;
    if (!json_is_object(with))
        return define_fail(where, e, "\"with\": wanted a table of parameters of %s", target->name);
    json_object_foreach((json_t *)(uintptr_t)with, key, v) {
        if (!json_is_string(v))
            return define_fail(where, e, "with.%.60s is %s, wanted a name", key, value_type_name(v));
        if (param_of(target, key) == NULL)
            return define_fail(where, e, "with.%.60s: %s has no such parameter", key, target->name);
    }
    return 0;
}

static int take_find(const struct defined *d, struct mt_operation *op, struct defined_operation *own,
                     const json_t *o, struct mt_error *e) {
    static const char *const known[] = {"read", "with", "done", "not_sent", "refused", "same", NULL};
    const json_t *find = param(o, "find");
    const struct mt_operation *read = NULL;
    char where[DEFINED_WHERE_MAX];
    define_where(where, op->name, "find");
    if (find == NULL) {
        if (op->repeat != MT_REPEAT_NATURAL || strcmp(op->method, "POST") != 0) return 0;
        define_where(where, op->name, "");
        return define_fail(where, e,
                           "\"natural\" needs \"find\": the read that tells a repeat that was refused from a "
                           "call that never happened");
    }
    if (define_fields(where, find, known, e) != 0 ||
        define_required(where, find, "read", &own->find, e) != 0 ||
        reader(d, where, own->find, &read, e) != 0 ||
        check_with(where, read, own->find_with = param(find, "with"), e) != 0 ||
        define_texts(where, find, "same", &own->find_same, e) != 0)
        return -1;
    own->find_done = param(find, "done");
    own->find_not_sent = param(find, "not_sent");
    own->find_refused = param(find, "refused");
    const json_t *conditions[] = {own->find_done, own->find_not_sent, own->find_refused};
    for (size_t i = 0; i < 3; i++)
        if (conditions[i] != NULL && define_condition(where, conditions[i], e) != 0) return -1;
    for (const struct mt_param *p = read->params; p->name != NULL; p++) {
        const char *from = mt_json_str(own->find_with, p->name, p->name);
        if (param_of(op, from) == NULL && (p->required || param(own->find_with, p->name) != NULL))
            return define_fail(where, e, "\"%.60s\" is no parameter of %s, and %s wants %s", from, op->name,
                               read->name, p->name);
    }
    op->reconcile = defined_reconcile;
    op->reconciled = defined_reconciled;
    return 0;
}

/* One that is only a part of what is to be given back: after it, the rules are asked again. */
static int take_again(struct mt_operation *op, const char *where, const char *call, struct mt_error *e) {
    if (call == NULL) return define_fail(where, e, "\"again\" goes with \"call\"");
    if (op->again_after != NULL && strcmp(op->again_after, call) != 0)
        return define_fail(where, e, "\"again\": found \"%s\" after \"%s\", wanted one operation", call,
                           op->again_after);
    op->again_after = call;
    return 0;
}

static int check_rule(const struct defined *d, struct mt_operation *op, size_t i, const json_t *rule,
                      struct mt_error *e) {
    static const char *const known[] = {"when", "call", "with", "again", "later", "refuse", NULL};
    const char *call = NULL, *refuse = NULL, *names[DEFINED_OPERATIONS_MAX];
    char where[DEFINED_WHERE_MAX], rest[32];
    bool later = false, again = false;
    size_t n = 0, at;
    mt_format(rest, sizeof(rest), "release[%zu]", i + 1);
    define_where(where, op->name, rest);
    if (define_fields(where, rule, known, e) != 0 || define_text(where, rule, "call", &call, e) != 0 ||
        define_text(where, rule, "refuse", &refuse, e) != 0 ||
        define_bool(where, rule, "later", &later, e) != 0 ||
        define_bool(where, rule, "again", &again, e) != 0 || (again && take_again(op, where, call, e) != 0))
        return -1;
    if (param(rule, "when") == NULL) return define_fail(where, e, "field \"when\" is missing");
    if (define_condition(where, param(rule, "when"), e) != 0) return -1;
    if ((call != NULL) + (refuse != NULL) + later > 1)
        return define_fail(where, e, "\"call\", \"later\" and \"refuse\" exclude each other");
    if (call == NULL) return 0;
    for (const struct mt_operation *other = d->operations; other->name != NULL; other++)
        if (other->kind == MT_OPERATION_CALL && other->repeat != MT_REPEAT_READ) names[n++] = other->name;
    if (n == 0) return define_fail(where, e, "no operation can give anything back");
    if (word_at(where, "call", call, names, n, &at, e) != 0) return -1;
    return check_with(where, defined_find(d, call), param(rule, "with"), e);
}

/* The parameter that mt_operation_object_id reads. */
static bool has_object_id(const struct mt_operation *op) {
    for (const struct mt_param *p = op->params; p->name != NULL; p++) {
        size_t n = strlen(p->name);
        if (p->type == MT_P_STRING && p->required &&
            (strcmp(p->name, "id") == 0 || (n > 3 && strcmp(p->name + n - 3, "_id") == 0)))
            return true;
    }
    return false;
}

static int link_operation(const struct defined *d, struct mt_operation *op, struct defined_operation *own,
                          const json_t *o, struct mt_error *e) {
    const struct mt_operation *read;
    char where[DEFINED_WHERE_MAX];
    if (op->kind == MT_OPERATION_CALL) return take_find(d, op, own, o, e);
    define_where(where, op->name, "");
    if (reader(d, where, op->read_operation, &read, e) != 0) return -1;
    if (read->params[0].name == NULL || read->params[0].type != MT_P_STRING)
        return define_fail(where, e, "%s has no {id} in its path to read by", read->name);
    if (!has_object_id(op))
        return define_fail(where, e,
                           "\"params\": wanted \"id\", or a string whose name ends in \"_id\": the "
                           "object that is given back");
    for (size_t i = 0; i < json_array_size(own->release); i++)
        if (check_rule(d, op, i, json_array_get(own->release, i), e) != 0) return -1;
    return 0;
}

/* ---- all ---- */

static bool name_ok(const char *s) {
    bool first = true;
    if (strlen(s) > OPERATION_BYTES) return false;
    for (; *s != '\0'; s++) {
        if (first ? !islower((unsigned char)*s)
                  : !islower((unsigned char)*s) && !isdigit((unsigned char)*s) && *s != '_' && *s != '.')
            return false;
        first = *s == '.';
    }
    return !first;
}

static int take_operation(struct defined *d, size_t i, const char *name, const json_t *o,
                          struct mt_error *e) {
    struct mt_operation *op = &d->operations[i];
    struct defined_operation *own = &d->own[i];
    char where[DEFINED_WHERE_MAX];
    define_where(where, name, "");
    if (!name_ok(name))
        return define_fail(
            where, e,
            "wanted a name such as \"charges.create\" of at most %d bytes: lower-case letters, "
            "digits, underscores and points",
            (int)OPERATION_BYTES);
    if (!json_is_object(o)) return define_fail(where, e, "found %s, wanted a table", value_type_name(o));
    *own = (struct defined_operation){.of = d, .row = op};
    op->name = name;
    op->own = own;
    op->doc = op->returns = "";
    if (define_text(where, o, "doc", &op->doc, e) != 0 ||
        define_text(where, o, "returns", &op->returns, e) != 0)
        return -1;
    if (param(o, "at_rest") != NULL) return take_settled(d, op, own, where, o, e);
    if (param(o, "release") != NULL) return take_release(d, op, own, where, o, e);
    return take_call(d, op, own, where, o, e);
}

/* "charges" cannot be an operation beside "charges.create": one is a table, the other a call. */
static int check_tree(const struct defined *d, struct mt_error *e) {
    for (const struct mt_operation *a = d->operations; a->name != NULL; a++) {
        size_t n = strlen(a->name);
        for (const struct mt_operation *b = d->operations; b->name != NULL; b++)
            if (strncmp(a->name, b->name, n) == 0 && b->name[n] == '.')
                return define_fail("operations", e, "\"%s\" is an operation, so \"%s\" cannot be below it",
                                   a->name, b->name);
    }
    return 0;
}

int define_operations(struct defined *d, const json_t *list, struct mt_error *e) {
    const char *name;
    json_t *o;
    size_t n = json_object_size(list), i = 0;
    if (!json_is_object(list) || n == 0 || n > DEFINED_OPERATIONS_MAX)
        return define_fail("operations", e, "wanted a table of 1 to %d operations by name",
                           (int)DEFINED_OPERATIONS_MAX);
    d->operations = define_alloc(d, n + 1, sizeof(*d->operations));
    d->own = define_alloc(d, n + 1, sizeof(*d->own));
    d->row.operations = d->operations;
    json_object_foreach((json_t *)(uintptr_t)list, name, o) {
        if (take_operation(d, i++, name, o, e) != 0) return -1;
    }
    if (check_tree(d, e) != 0) return -1;
    i = 0;
    json_object_foreach((json_t *)(uintptr_t)list, name, o) {
        if (link_operation(d, &d->operations[i], &d->own[i], o, e) != 0) return -1;
        i++;
    }
    return 0;
}
