/* What a defined provider says when it is asked afterwards: after an unknown outcome, while waiting for an
 * object at rest, and before giving one back. Invariant: a call counts as not sent only where the
 * definition's own read says so. No state; any thread. */
#include "base/json.h"
#include "base/text.h"
#include "providers/define.h"
#include <string.h>

static int no(const struct mt_operation *op, enum mt_kind kind, struct mt_error *e, const char *what) {
    const char *provider = defined_operation(op)->of->row.name;
    mt_fail(e, kind, "%s.%s: %s", provider, op->name, what);
    e->outcome = MT_REJECTED;
    mt_copy(e->provider, sizeof(e->provider), provider);
    mt_copy(e->operation, sizeof(e->operation), op->name);
    return -1;
}

/* ---- after an unknown outcome ---- */

int defined_reconcile(const struct mt_operation *op, const json_t *params, const char **read_operation,
                      json_t **read_params) {
    const struct defined_operation *own = defined_operation(op);
    const struct mt_operation *read = defined_find(own->of, own->find);
    *read_operation = own->find;
    *read_params = json_object();
    for (const struct mt_param *p = read->params; p->name != NULL; p++) {
        const json_t *v = param(params, mt_json_str(own->find_with, p->name, p->name));
        if (v != NULL) json_object_set(*read_params, p->name, (json_t *)(uintptr_t)v);
        if (v != NULL || !p->required) continue;
        json_decref(*read_params);
        *read_params = NULL;
        return -1;
    }
    return 0;
}

/* The first of `same` in which what was found is not what was asked for; NULL. */
static const char *other(const struct defined_operation *own, const json_t *params, const json_t *found) {
    for (size_t i = 0; i < json_array_size(own->find_same); i++) {
        const char *name = json_string_value(json_array_get(own->find_same, i));
        const json_t *asked = param(params, name), *got = defined_at(found, name);
        struct mt_money a, b;
        if (asked == NULL || got == NULL) continue;
        bool same =
            value_money(asked, &a) && value_money(got, &b) ? mt_money_equal(&a, &b) : json_equal(asked, got);
        if (!same) return name;
    }
    return NULL;
}

enum mt_outcome defined_reconciled(const struct mt_operation *op, const json_t *params, const json_t *found,
                                   const struct mt_error *read_error, json_t **value, struct mt_error *e) {
    const struct defined_operation *own = defined_operation(op);
    char what[200];
    if (found == NULL)
        return read_error != NULL && read_error->kind == MT_NOT_FOUND ? MT_NOT_SENT : MT_UNKNOWN;
    const char *differs = other(own, params, found);
    if (differs != NULL) {
        mt_format(what, sizeof(what), "what is there under its name has another \"%.60s\"", differs);
        no(op, MT_CONFLICT, e, what);
        return MT_REJECTED;
    }
    if (own->find_refused != NULL && defined_holds(own->find_refused, found)) {
        no(op, MT_CONFLICT, e, "reading shows that it was refused");
        return MT_REJECTED;
    }
    if (own->find_not_sent != NULL && defined_holds(own->find_not_sent, found)) return MT_NOT_SENT;
    if (own->find_done != NULL && !defined_holds(own->find_done, found)) return MT_UNKNOWN;
    *value = json_incref((json_t *)(uintptr_t)found);
    return MT_DONE;
}

/* ---- settled, release ---- */

bool defined_at_rest(const struct mt_operation *op, const json_t *object) {
    return defined_holds(defined_operation(op)->rests, object);
}

/* The parameters of the call that gives back: what the rule says (from the object, else from the release's
 * own), then the release's own of the same name, then, for the path, the object's id. */
static json_t *params_of(const struct mt_operation *op, const struct mt_operation *target, const json_t *with,
                         const json_t *params, const json_t *object) {
    json_t *o = json_object();
    for (size_t i = 0; target->params[i].name != NULL; i++) {
        const char *name = target->params[i].name, *from = mt_json_str(with, name, NULL);
        const json_t *v = from != NULL ? defined_at(object, from) : NULL;
        if (v == NULL) v = param(params, from != NULL ? from : name);
        if (v != NULL) {
            json_object_set(o, name, (json_t *)(uintptr_t)v);
        } else if (i == 0 && from == NULL && target->params[i].required) {
            const char *id = mt_operation_object_id(op, params);
            if (id != NULL) json_object_set_new(o, name, json_string(id));
        }
    }
    return o;
}

static int choose(const struct mt_operation *op, const json_t *rule, const json_t *params,
                  const json_t *object, const char **operation, json_t **operation_params,
                  struct mt_error *e) {
    const struct defined *d = defined_operation(op)->of;
    const struct mt_operation *target = defined_find(d, *operation = mt_json_str(rule, "call", ""));
    char full[96];
    *operation_params = params_of(op, target, param(rule, "with"), params, object);
    mt_format(full, sizeof(full), "%s.%s", d->row.name, target->name);
    if (mt_operation_check(target, full, *operation_params, e) == 0) return 0;
    json_decref(*operation_params);
    *operation_params = NULL;
    *operation = NULL;
    e->outcome = MT_REJECTED;
    return mt_error_wrap(e, "%s.%s", d->row.name, op->name);
}

int defined_decide(const struct mt_operation *op, const json_t *params, const json_t *object,
                   const char **operation, json_t **operation_params, struct mt_error *e) {
    const struct defined_operation *own = defined_operation(op);
    *operation = NULL;
    for (size_t i = 0; i < json_array_size(own->release); i++) {
        const json_t *rule = json_array_get(own->release, i);
        const char *words = mt_json_str(rule, "refuse", NULL);
        if (!defined_holds(param(rule, "when"), object)) continue;
        if (param(rule, "call") != NULL)
            return choose(op, rule, params, object, operation, operation_params, e);
        if (words != NULL) return no(op, MT_UNSUPPORTED, e, words);
        if (!mt_json_bool(rule, "later", false)) return 0;
        no(op, MT_CONFLICT, e, "it cannot be given back yet");
        e->retryable = true;
        return -1;
    }
    return no(op, MT_CONFLICT, e, "no rule of its definition says how to give back what is there");
}
