/* Provider operations as effects (one call, several at once, a compensation registered), and the small
 * effects: signal, progress, log, pure functions. Each takes its position with exec_next, answers from the
 * journal when that has an answer, and otherwise does its work once. One thread an execution. */
#include "engine/call.h"
#include <stdlib.h>
#include <string.h>

#define ALL_MAX 100

/* ---- provider operations ---- */

static const char *kind_of(const struct mt_operation *op, const json_t *params) {
    switch (op->kind) {
    case MT_OPERATION_SETTLED:
        return "settled";
    case MT_OPERATION_RELEASE:
        return "release";
    case MT_OPERATION_CALL:
        break;
    }
    return mt_operation_repeat(op, params) == MT_REPEAT_READ ? "read" : "call";
}

static bool has_secret(const struct mt_operation *op, const json_t *params) {
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)params, key, value) {
        if (mt_secret_name(key)) return true;
        for (const struct mt_param *row = op ? op->params : NULL; row && row->name; row++)
            if (row->secret && strcmp(row->name, key) == 0) return true;
        if (json_is_object(value) && has_secret(NULL, value)) return true;
        if (json_is_array(value)) {
            size_t i;
            const json_t *item;
            json_array_foreach(value, i,
                               item) if (json_is_object(item) && has_secret(NULL, item)) return true;
        }
    }
    return false;
}

/* The parameters as people may see them. Mostly there is nothing to hide, and the script's own text does. */
static char *shown_params(const struct mt_operation *op, const json_t *params, const char *text, size_t len,
                          bool *hides) {
    char *copy = mt_memdup(text, len);
    mt_mask_digits(copy, len);
    *hides = memcmp(copy, text, len) != 0 || has_secret(op, params);
    if (!*hides) return copy;
    free(copy);
    json_t *masked = mt_operation_mask_params(op, params);
    copy = mt_json_dump(masked, NULL);
    json_decref(masked);
    return copy;
}

/* An operator's run carries it out. */
static void operated(struct mt_exec *x, const struct mt_operation *op, const char *full,
                     const struct mt_account *account, const json_t *params, const char *text, size_t len,
                     struct mt_answer *a) {
    bool hides;
    char *shown = shown_params(op, params, text, len, &hides);
    struct mt_operation_asked asked = {.name = full,
                                       .row = op,
                                       .account = account,
                                       .values = params,
                                       .params = text,
                                       .len = len,
                                       .shown = shown};
    operator_call(x, &asked, a);
    free(shown);
}

/* A handler's reads go straight out; nothing is journaled. */
static void handler_call(struct mt_exec *x, const struct mt_operation *op, const char *full,
                         const struct mt_account *account, const json_t *params, const char *text, size_t len,
                         struct mt_answer *a) {
    json_t *value = NULL;
    struct mt_error e;
    if (op->kind != MT_OPERATION_CALL || mt_operation_repeat(op, params) != MT_REPEAT_READ) {
        if (x->operator)
            operated(x, op, full, account, params, text, len, a);
        else
            exec_refuse_handler(x, full, a);
    } else if (call_read(x, op, account, params, &value, &e) != 0)
        exec_give_error(x, &e, a);
    else
        handler_give(x, value, a);
}

/* The operation, when the script may have it with these parameters. What the journal has at this position
 * (`ahead` of the next) was checked when it was new, perhaps by older rules. NULL: `a` is set. */
static const struct mt_operation *find_operation(struct mt_exec *x, size_t ahead, const char *kind,
                                                 const char *name, const json_t *params, const char *digest,
                                                 const struct mt_account **account, struct mt_answer *a) {
    struct mt_error e;
    if (!x->g->o.providers) {
        exec_bug(a, "there are no providers here");
        return NULL;
    }
    const struct mt_operation *op = exec_operation(x, name, account, &e);
    if (op && (exec_has(x, ahead, kind ? kind : kind_of(op, params), name, digest) ||
               mt_operation_check(op, name, params, &e) == 0))
        return op;
    exec_bug(a, "%s", e.message);
    return NULL;
}

static void not_configured(const char *name, struct mt_error *e) {
    mt_fail(e, MT_AUTHENTICATION,
            "%.*s is not configured: set its credentials in the configuration's \"providers\" section",
            (int)strcspn(name, "."), name);
    e->outcome = MT_NOT_SENT;
}

/* An intent of an account that is gone is not the script's to hear of: its call may have had its effect. */
static void account_gone(struct mt_exec *x, const struct mt_entry *entry, const char *name,
                         struct mt_error *e, struct mt_answer *a) {
    mt_error_wrap(e, "effect %d, %s, was under way", entry->seq, name);
    exec_park(x, a, e, entry->site, json_pack("{s:i}", "seq", entry->seq));
}

static void run_call(struct mt_exec *x, const struct mt_operation *op, const char *name,
                     const struct mt_account *account, json_t *params, struct unless *unless,
                     const char *text, size_t len, const char *digest, const char *site,
                     struct mt_answer *a) {
    struct mt_entry *entry = NULL;
    struct mt_error e;
    bool answered = false, hides;
    travel_asks_call(x, op, params);
    if (exec_over(x, kind_of(op, params), name, digest, site, &entry, a)) {
        if (unless) unless->came = entry && entry->meta && strstr(entry->meta, "\"cursor_key\"");
        return;
    }
    bool written = entry != NULL;
    if (!account) not_configured(name, &e);
    if (!account && written) {
        account_gone(x, entry, name, &e, a);
        return;
    }
    if (!entry) {
        entry = exec_append(x, kind_of(op, params), name, digest, site);
        entry->params = shown_params(op, params, text, len, &hides);
    }
    if (!account) {
        exec_answer(x, entry, MT_NOT_SENT, error_text(&e), false, a);
        return;
    }
    switch (op->kind) {
    case MT_OPERATION_SETTLED:
        settled_settle(x, entry, op, account, params, unless, written, a);
        return;
    case MT_OPERATION_RELEASE:
        answered = release_settle(x, entry, op, account, params, written, a);
        break;
    case MT_OPERATION_CALL:
        answered = call_settle(x, entry, op, name, account, params, written, a);
        break;
    }
    if (answered)
        exec_give(x, entry, a);
    else
        a->step = MT_STEP_LEAVE;
}

/* A wait that an event may end is another one than the same without it. */
static void digest_of(const struct mt_engine *g, const char *text, size_t len, const struct unless *unless,
                      char out[33]) {
    struct mt_buf b;
    if (!unless) {
        engine_digest(g, text, len, out);
        return;
    }
    mt_buf_init(&b, 2 * MT_VALUE_MAX);
    mt_buf_addf(&b, "%s\x1f%s\x1f", unless->topic, unless->key);
    mt_buf_add(&b, text, len);
    engine_digest(g, b.data, b.len, out);
    mt_buf_clear(&b);
}

static void effect_call(struct mt_exec *x, const char *name, const char *params_text, size_t len,
                        struct unless *unless, const char *site, struct mt_answer *a) {
    struct mt_error e;
    char digest[33];
    const struct mt_account *account = NULL;
    json_t *params = mt_json_parse(params_text, len, &e);
    if (!params) {
        exec_bug(a, "%s: %s", name, e.message);
        return;
    }
    digest_of(x->g, params_text, len, unless, digest);
    const struct mt_operation *op = find_operation(x, 0, NULL, name, params, digest, &account, a);
    if (op && unless && op->kind != MT_OPERATION_SETTLED) {
        exec_bug(a,
                 "flow.unless waits with an operation that settles, such as mintro.intents.settled; %s "
                 "does not wait",
                 name);
    } else if (op && !x->handler) {
        run_call(x, op, name, account, params, unless, params_text, len, digest, site, a);
    } else if (op && account) {
        handler_call(x, op, name, account, params, params_text, len, a);
    } else if (op) {
        not_configured(name, &e);
        exec_give_error(x, &e, a);
    }
    json_decref(params);
}

void mt_effect_call(struct mt_exec *x, const char *name, const char *params, size_t len, const char *site,
                    struct mt_answer *a) {
    effect_call(x, name, params, len, NULL, site, a);
}

bool mt_effect_unless(struct mt_exec *x, const char *topic, const char *key, const char *name,
                      const char *params, size_t len, const char *site, struct mt_answer *a) {
    struct unless unless = {.topic = topic, .key = key};
    if (exec_refuse_handler(x, "flow.unless", a) || exec_refuse_topic(topic, key, a)) return false;
    effect_call(x, name, params, len, &unless, site, a);
    return unless.came;
}

/* Reads one call of flow.all, the i-th. False: the script's mistake. */
static bool all_read(struct mt_exec *x, struct all_call *c, size_t i, const char *name, const char *text,
                     struct mt_answer *a) {
    struct mt_error e;
    mt_copy(c->full_name, sizeof c->full_name, name);
    engine_digest(x->g, text, strlen(text), c->digest);
    if (!(c->params = mt_json_parse(text, strlen(text), &e))) {
        exec_bug(a, "%s: %s", name, e.message);
        return false;
    }
    c->op = find_operation(x, i, NULL, name, c->params, c->digest, &c->account, a);
    if (c->op && c->op->kind != MT_OPERATION_CALL) {
        exec_bug(a, "flow.all takes single calls; %s waits or chooses: call it on its own", name);
        return false;
    }
    return c->op != NULL;
}

/* It takes its place in the journal; once one is new, all that follow are. False: left. */
static bool all_place(struct mt_exec *x, struct all_call *c, const char *text, bool *fresh, const char *site,
                      struct mt_answer *a) {
    struct mt_error e;
    bool hides;
    const char *kind = kind_of(c->op, c->params);
    travel_asks_call(x, c->op, c->params);
    if (!*fresh) {
        switch (exec_next(x, kind, c->full_name, c->digest, site, &c->entry, a)) {
        case FOUND_LEAVE:
            return false;
        case FOUND_NEW:
            *fresh = true;
            break;
        case FOUND_PENDING:
        case FOUND_ANSWERED:
            c->written = true;
            break;
        }
    }
    if (x->judging) return true;
    if (!c->account) not_configured(c->full_name, &e);
    if (!c->account && c->entry && c->entry->outcome == MT_OUTCOME_NONE) {
        account_gone(x, c->entry, c->full_name, &e, a);
        return false;
    }
    if (c->entry) return true;
    c->entry = exec_append(x, kind, c->full_name, c->digest, site);
    c->entry->params = shown_params(c->op, c->params, text, strlen(text), &hides);
    if (!c->account) {
        exec_set_answer(x, c->entry, MT_NOT_SENT, error_text(&e));
        exec_op_entry(x, c->entry);
        c->written = true;
    }
    return true;
}

static void all_give(struct mt_exec *x, struct all_call *list, size_t n, struct mt_answer *a) {
    struct mt_buf out;
    mt_buf_init(&out, ALL_MAX * (size_t)MT_VALUE_MAX);
    for (size_t i = 0; i < n && x->leave == LEAVE_NONE; i++) {
        struct mt_answer one;
        bool done = list[i].entry->outcome == MT_DONE;
        exec_give(x, list[i].entry, &one);
        if (one.step == MT_STEP_LEAVE) break;
        mt_buf_adds(&out, i ? "," : "[");
        mt_buf_adds(&out, done ? "{\"value\":" : "{\"err\":{\"$error\":");
        mt_buf_add(&out, one.json, one.len);
        mt_buf_adds(&out, done ? "}" : "}}");
    }
    mt_buf_addc(&out, ']');
    if (x->leave == LEAVE_NONE)
        exec_give_json(x, out.data, out.len, a);
    else
        a->step = MT_STEP_LEAVE;
    mt_buf_clear(&out);
}

/* Judging, one that has no answer yet is where it stops. */
static bool all_answered(struct mt_exec *x, const struct all_call *list, size_t n, struct mt_answer *a) {
    for (size_t i = 0; i < n; i++) {
        if (list[i].entry->outcome != MT_OUTCOME_NONE) continue;
        exec_leave(x, LEAVE_JUDGED, a);
        return false;
    }
    return true;
}

void mt_effect_all(struct mt_exec *x, size_t n, const char *const *operations, const char *const *params,
                   const char *site, struct mt_answer *a) {
    if (exec_refuse_handler(x, "flow.all", a)) return;
    if (n == 0 || n > ALL_MAX) {
        exec_bug(a, "flow.all takes 1 to %d calls, found %zu", ALL_MAX, n);
        return;
    }
    struct all_call *list = mt_calloc(n, sizeof *list);
    bool ok = true, fresh = false;
    for (size_t i = 0; i < n && ok; i++) ok = all_read(x, &list[i], i, operations[i], params[i], a);
    for (size_t i = 0; i < n && ok; i++) ok = all_place(x, &list[i], params[i], &fresh, site, a);
    if (ok && x->judging) ok = all_answered(x, list, n, a);
    if (ok && (x->judging || call_all(x, list, n, a))) all_give(x, list, n, a);
    for (size_t i = 0; i < n; i++) json_decref(list[i].params);
    free(list);
}

/* Secrets among the parameters are sealed beside what is shown: compensating takes them from there. */
static bool keep_undo(struct mt_exec *x, struct mt_entry *entry, const struct mt_operation *op,
                      const json_t *params, const char *text, size_t len, struct mt_answer *a) {
    struct mt_buf sealed;
    struct mt_error e;
    bool hides;
    entry->params = shown_params(op, params, text, len, &hides);
    if (!hides) return true;
    mt_buf_init(&sealed, 2 * MT_VALUE_MAX);
    int rc = exec_seal(x, "params", entry, text, len, &sealed, &e);
    if (rc == 0)
        entry->request = mt_buf_take(&sealed, &entry->request_len);
    else
        exec_park(x, a, &e, entry->site, NULL);
    mt_buf_clear(&sealed);
    return rc == 0;
}

void mt_effect_undo(struct mt_exec *x, const char *name, const char *params_text, size_t len,
                    const char *site, struct mt_answer *a) {
    struct mt_error e;
    const struct mt_account *account;
    struct mt_entry *entry;
    char digest[33];
    if (exec_refuse_handler(x, "flow.undo", a)) return;
    json_t *params = mt_json_parse(params_text, len, &e);
    if (!params) {
        exec_bug(a, "%s: %s", name, e.message);
        return;
    }
    engine_digest(x->g, params_text, len, digest);
    const struct mt_operation *op = find_operation(x, 0, "undo", name, params, digest, &account, a);
    if (op && op->kind == MT_OPERATION_SETTLED) {
        exec_bug(a, "flow.undo takes a call or a release; %s only waits", name);
    } else if (op) {
        travel_asks_call(x, op, params);
        if (!exec_over(x, "undo", name, digest, site, &entry, a)) {
            entry = exec_append(x, "undo", name, digest, site);
            if (keep_undo(x, entry, op, params, params_text, len, a))
                exec_answer(x, entry, MT_DONE, mt_strdup("null"), false, a);
        }
    }
    json_decref(params);
}

/* ---- signals, and what others see ---- */

/* A position whose answer is null. False: it is over already. */
static bool null_entry(struct mt_exec *x, const char *kind, const char *name, const char *params,
                       const char *site, struct mt_answer *a) {
    char digest[33];
    struct mt_entry *entry;
    size_t len = strlen(params);
    engine_digest(x->g, params, len, digest);
    travel_asks(x, params);
    if (exec_over(x, kind, name, digest, site, &entry, a)) return false;
    entry = exec_append(x, kind, name, digest, site);
    entry->params = mt_memdup(params, len);
    exec_answer(x, entry, MT_DONE, mt_strdup("null"), false, a);
    return x->leave == LEAVE_NONE;
}

void mt_effect_signal(struct mt_exec *x, const char *topic, const char *key, const char *payload,
                      const char *site, struct mt_answer *a) {
    char name[96];
    if (exec_refuse_topic(topic, key, a)) return;
    mt_format(name, sizeof name, "%s/%s", topic, key);
    if (x->handler ? !handler_room(x, a) : !null_entry(x, "signal", name, payload, site, a)) return;
    if (!operator_allows(x, "flow.signal", name, payload, a)) return;
    struct mt_op *op = exec_op(x, MT_OP_EVENT);
    op->event.topic = exec_keep(x, mt_strdup(topic));
    op->event.key = exec_keep(x, mt_strdup(key));
    op->event.payload = exec_keep(x, mt_strdup(payload));
    op->event.at = exec_wall(x);
    exec_give_json(x, "null", 4, a);
}

/* The run's progress with the members of `more` (an object) merged into it. Caller frees. */
static char *merged_progress(struct mt_exec *x, json_t *more, size_t *len) {
    struct mt_error e;
    json_t *progress = x->run.progress ? mt_json_parse(x->run.progress, strlen(x->run.progress), &e) : NULL;
    const char *name;
    json_t *value;
    void *next;
    if (!progress) progress = json_object();
    json_object_update(progress, more);
    json_object_foreach_safe(progress, next, name, value) {
        if (json_is_null(value)) json_object_del(progress, name);
    }
    char *text = mt_json_dump(progress, len);
    json_decref(progress);
    return text;
}

static void write_progress(struct mt_exec *x, struct mt_entry *entry, json_t *more, struct mt_answer *a) {
    struct mt_error e;
    size_t len;
    char *text = merged_progress(x, more, &len);
    if (len > MT_VALUE_MAX) {
        free(text);
        mt_fail(&e, MT_LIMIT, "flow.progress: the run's progress would have %zu bytes, more than %d", len,
                MT_VALUE_MAX);
        exec_answer_error(x, entry, &e, false, a);
        return;
    }
    exec_answer(x, entry, MT_DONE, mt_strdup("null"), false, a);
    struct mt_op *op = exec_op(x, MT_OP_RUN);
    op->run.state = -1;
    op->run.progress = exec_keep(x, text);
    op->run.at = entry->done_at;
    free(x->run.progress);
    x->run.progress = mt_strdup(text);
    x->progress_written = true;
}

void mt_effect_progress(struct mt_exec *x, const char *object, const char *site, struct mt_answer *a) {
    struct mt_error e;
    struct mt_entry *entry;
    char digest[33];
    if (exec_refuse_handler(x, "flow.progress", a)) return;
    json_t *more = mt_json_parse(object, strlen(object), &e);
    travel_asks(x, object);
    engine_digest(x->g, object, strlen(object), digest);
    if (!json_is_object(more)) {
        exec_bug(a, "flow.progress takes a table with named members");
    } else if (!exec_over(x, "progress", "", digest, site, &entry, a)) {
        entry = exec_append(x, "progress", "", digest, site);
        entry->params = mt_strdup(object);
        write_progress(x, entry, more, a);
    }
    json_decref(more);
}

void mt_effect_log(struct mt_exec *x, const char *level, const char *message, const char *details,
                   const char *site, struct mt_answer *a) {
    enum mt_log_level at = strcmp(level, "error") == 0  ? MT_LOG_ERROR
                           : strcmp(level, "warn") == 0 ? MT_LOG_WARN
                                                        : MT_LOG_INFO;
    if (!x->handler) {
        json_t *params =
            json_pack("{s:s, s:s, s:s?}", "level", level, "message", message, "details", details);
        char *text = mt_json_dump(params, NULL);
        json_decref(params);
        bool fresh = null_entry(x, "log", level, text, site, a);
        free(text);
        if (!fresh) return;
    }
    mt_log(at, message, "flow", x->run.flow, "run", x->handler ? NULL : x->run.id, "details", details, "line",
           site, (const char *)NULL);
    exec_give_json(x, "null", 4, a);
}

struct asked_for {
    struct mt_exec *x;
    const char *const *operations;
    size_t n;
};

/* A request without parameters: only the credentials are looked at. */
static bool has_credentials(const struct mt_operation *op, const struct mt_account *account) {
    struct mt_error ignored;
    struct mt_http_request req = {.method = mt_strdup(op->method ? op->method : "GET"),
                                  .url = mt_strdup(account->base_url)};
    bool has = call_authorize(op, account, &req, &ignored) == 0;
    mt_http_request_clear(&req);
    return has;
}

static int compute_configured(void *arg, struct mt_buf *json, struct mt_error *e) {
    const struct asked_for *of = arg;
    for (size_t i = 0; i < of->n; i++) {
        const struct mt_account *account = NULL;
        const struct mt_operation *op = exec_operation(of->x, of->operations[i], &account, e);
        if (!op) return -1;
        mt_buf_adds(json, i ? "," : "[");
        mt_buf_adds(json, account && has_credentials(op, account) ? "true" : "false");
    }
    mt_buf_addc(json, ']');
    return 0;
}

void mt_effect_configured(struct mt_exec *x, size_t n, const char *const *operations, const char *site,
                          struct mt_answer *a) {
    struct asked_for of = {x, operations, n};
    struct mt_buf params;
    if (!x->g->o.providers || n == 0) {
        exec_bug(a, n ? "there are no providers here" : "provider.configured: no operation is named");
        return;
    }
    mt_buf_init(&params, 8192);
    for (size_t i = 0; i < n; i++) {
        mt_buf_addc(&params, i ? ',' : '[');
        mt_buf_add_json_string(&params, operations[i], strlen(operations[i]));
    }
    mt_buf_addc(&params, ']');
    mt_effect_pure(x, "provider.configured", params.data, compute_configured, &of, site, a);
    mt_buf_clear(&params);
}

void mt_effect_pure(struct mt_exec *x, const char *name, const char *params,
                    int (*compute)(void *arg, struct mt_buf *json, struct mt_error *e), void *arg,
                    const char *site, struct mt_answer *a) {
    char digest[33];
    struct mt_entry *entry = NULL;
    struct mt_buf out;
    struct mt_error e;
    engine_digest(x->g, params, strlen(params), digest);
    travel_asks(x, params);
    if (!x->handler && exec_has(x, 0, "pure", name, digest)) {
        exec_over(x, "pure", name, digest, site, &entry, a);
        return;
    }
    mt_buf_init(&out, MT_VALUE_MAX);
    if (compute(arg, &out, &e) != 0) {
        exec_bug(a, "%s", e.message);
    } else if (!mt_buf_ok(&out)) {
        exec_bug(a, "%s: its answer is larger than %d bytes", name, MT_VALUE_MAX);
    } else if (x->handler) {
        exec_give_json(x, out.data, out.len, a);
    } else if (!exec_over(x, "pure", name, digest, site, &entry, a)) {
        entry = exec_append(x, "pure", name, digest, site);
        entry->params = mt_strdup(params);
        exec_answer(x, entry, MT_DONE, mt_strdup(out.data), false, a);
    }
    mt_buf_clear(&out);
}
