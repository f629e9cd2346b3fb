/* The effects of effect.h that are not collections: calls, waits, children, and the small ones. Each takes its position with
 * exec_next, answers from the journal when that has an answer, and otherwise does its work once. One thread an execution. */
#include "engine/internal.h"
#include <stdlib.h>
#include <string.h>

/* Whether the effect is over already: answered from the journal, or left. `entry` is set when pending or answered. */
static bool over(struct mt_exec *x, const char *kind, const char *name, const char *digest, const char *site,
                 struct mt_entry **entry, struct mt_answer *a)
{
    switch (exec_next(x, kind, name, digest, site, entry, a)) {
    case FOUND_LEAVE: return true;
    case FOUND_ANSWERED: exec_give(x, *entry, a); return true;
    case FOUND_PENDING:
    case FOUND_NEW: break;
    }
    return false;
}

/* Gives the answer of an entry that the script will see in the next write. */
static void answer(struct mt_exec *x, struct mt_entry *entry, enum mt_outcome outcome, char *json, bool written,
                   struct mt_answer *a)
{
    exec_set_answer(x, entry, outcome, json);
    if (written)
        exec_op_answer(x, entry);
    else
        exec_op_entry(x, entry);
    if (x->leave == LEAVE_NONE)
        exec_give(x, entry, a);
    else
        a->step = MT_STEP_LEAVE;
}

static void answer_error(struct mt_exec *x, struct mt_entry *entry, const struct mt_error *e, struct mt_answer *a)
{
    json_t *obj = mt_error_json(e);
    answer(x, entry, MT_REJECTED, mt_json_dump(obj, NULL), false, a);
    json_decref(obj);
}

/* ---- provider operations ---- */

static const char *kind_of(const struct mt_operation *op, const json_t *params)
{
    switch (op->kind) {
    case MT_OPERATION_SETTLED: return "settled";
    case MT_OPERATION_RELEASE: return "release";
    case MT_OPERATION_CALL: break;
    }
    return mt_operation_repeat(op, params) == MT_REPEAT_READ ? "read" : "call";
}

static const struct mt_operation *read_of(struct mt_exec *x, const struct mt_operation *op,
                                          const struct mt_account *account, struct mt_error *e)
{
    char full[96];
    const struct mt_account *same;
    mt_format(full, sizeof full, "%s.%s", account->provider->name, op->read_operation);
    return mt_operation_find(x->g->o.providers, full, &same, e);
}

/* "id", or the one other member: the object that settled and release speak of. */
static json_t *object_params(const json_t *params, const struct mt_operation *read_op)
{
    const char *id = mt_json_str(params, "id", NULL);
    if (!id && read_op->params && read_op->params[0].name) id = mt_json_str(params, read_op->params[0].name, NULL);
    json_t *out = json_object();
    json_object_set_new(out, read_op->params && read_op->params[0].name ? read_op->params[0].name : "id",
                        json_string(id ? id : ""));
    return out;
}

static const int64_t settled_reads_ms[] = {5000, 60000, 300000, 3600000};

struct settling {
    const struct mt_operation *op, *read_op;
    const struct mt_account *account;
    json_t *params, *read_params, *meta;
    const char *key;
};

/* True: *object is at rest (or NULL at the deadline), or *e a definite no. */
static bool settled_look(struct mt_exec *x, struct settling *s, json_t **object, struct mt_error *e, bool *refused)
{
    int64_t cursor = 0;
    struct mt_error ignored;
    *refused = false;
    if (x->g->o.store->last_event(x->g->o.store, s->op->topic, s->key, &cursor, &ignored) == 0)
        json_object_set_new(s->meta, "cursor", json_integer(cursor));
    if (call_read(x, s->read_op, s->account, s->read_params, object, e) != 0) {
        *object = NULL;
        *refused = e->outcome == MT_REJECTED && !e->retryable;
        return *refused;
    }
    if (s->op->at_rest(*object)) return true;
    json_decref(*object);
    *object = NULL;
    return false;
}

static void effect_settled(struct mt_exec *x, struct settling *s, struct mt_entry *entry, bool written,
                           struct mt_answer *a)
{
    int64_t now = exec_wall(x), deadline = json_object_get(s->meta, "deadline")
                                               ? mt_json_int(s->meta, "deadline", 0)
                                               : now + mt_json_int(s->params, "within", 3600000);
    json_object_set_new(s->meta, "deadline", json_integer(deadline));
    json_t *object = NULL;
    struct mt_error e;
    bool refused;
    if (settled_look(x, s, &object, &e, &refused) || now >= deadline) {
        if (refused) {
            json_t *err = mt_error_json(&e);
            answer(x, entry, MT_REJECTED, mt_json_dump(err, NULL), written, a);
            json_decref(err);
        } else {
            answer(x, entry, MT_DONE, mt_json_dump(object ? object : json_null(), NULL), written, a);
        }
        json_decref(object);
        return;
    }
    int64_t reads = mt_json_int(s->meta, "reads", 0);
    size_t last = sizeof settled_reads_ms / sizeof *settled_reads_ms - 1;
    int64_t next = now + settled_reads_ms[(size_t)reads < last ? (size_t)reads : last];
    if (next > deadline) next = deadline;
    json_object_set_new(s->meta, "reads", json_integer(reads + 1));
    entry_set_meta(entry, s->meta);
    if (written)
        exec_op_answer(x, entry);
    else
        exec_op_entry(x, entry);
    char until[25];
    mt_time_format(deadline, until);
    exec_suspend(x, MT_RUN_WAITING, next, s->op->topic, s->key, mt_json_int(s->meta, "cursor", 0),
                 json_pack("{s:s, s:s, s:s, s:s, s:i}", "what", entry->name, "topic", s->op->topic, "key", s->key, "until",
                           until, "seq", entry->seq),
                 a);
}

static void run_settled(struct mt_exec *x, const struct mt_operation *op, const struct mt_account *account,
                        json_t *params, struct mt_entry *entry, bool written, struct mt_answer *a)
{
    struct settling s = {.op = op, .account = account, .params = params, .meta = entry_meta(entry)};
    struct mt_error e;
    s.read_op = read_of(x, op, account, &e);
    if (!s.read_op) {
        exec_park(x, a, &e, entry->site, NULL);
    } else {
        s.read_params = object_params(params, s.read_op);
        s.key = json_string_value(json_object_iter_value(json_object_iter(s.read_params)));
        effect_settled(x, &s, entry, written, a);
    }
    json_decref(s.read_params);
    json_decref(s.meta);
}

bool release_settle(struct mt_exec *x, struct mt_entry *entry, const struct mt_operation *op,
                    const struct mt_account *account, json_t *params, bool written, struct mt_answer *a)
{
    json_t *meta = entry_meta(entry), *object = NULL, *chosen_params = NULL;
    const char *chosen = mt_json_str(meta, "chosen", NULL);
    char full[96];
    struct mt_error e;
    bool answered = false;
    const struct mt_account *same;
    const struct mt_operation *call_op, *read_op;
    if (!chosen) {
        json_t *read_params = NULL;
        enum mt_outcome outcome = MT_DONE;
        read_op = read_of(x, op, account, &e);
        if (read_op) read_params = object_params(params, read_op);
        if (!read_op || call_read(x, read_op, account, read_params, &object, &e) != 0 ||
            op->decide(op, params, object, &chosen, &chosen_params, &e) != 0)
            outcome = e.outcome == MT_REJECTED || !e.retryable ? MT_REJECTED : MT_UNKNOWN;
        json_decref(read_params);
        if (outcome == MT_UNKNOWN) { /* it could not be read now: later */
            int64_t tries = mt_json_int(meta, "reads", 0) + 1;
            json_object_set_new(meta, "reads", json_integer(tries));
            entry_set_meta(entry, meta);
            if (written)
                exec_op_answer(x, entry);
            else
                exec_op_entry(x, entry);
            exec_suspend(x, MT_RUN_WAITING, exec_wall(x) + (tries < 5 ? 5000 : 300000), NULL, NULL, 0,
                         json_pack("{s:s, s:s, s:i}", "what", entry->name, "why", e.message, "seq", entry->seq), a);
            goto done;
        }
        if (outcome == MT_REJECTED || !chosen) {
            json_t *value = outcome == MT_DONE ? json_incref(object) : mt_error_json(&e);
            answer(x, entry, outcome, mt_json_dump(value, NULL), written, a);
            json_decref(value);
            answered = x->leave == LEAVE_NONE;
            goto done;
        }
        mt_format(full, sizeof full, "%s.%s", account->provider->name, chosen);
        json_object_set_new(meta, "chosen", json_string(full));
        json_object_set(meta, "chosen_params", chosen_params);
        entry_set_meta(entry, meta);
    } else {
        mt_copy(full, sizeof full, chosen);
        chosen_params = json_incref(json_object_get(meta, "chosen_params"));
    }
    call_op = mt_operation_find(x->g->o.providers, full, &same, &e);
    if (!call_op)
        exec_park(x, a, &e, entry->site, NULL);
    else
        answered = call_settle(x, entry, call_op, full, account, chosen_params, written, a);
done:
    json_decref(object);
    json_decref(chosen_params);
    json_decref(meta);
    return answered;
}

/* A handler's reads go straight out; nothing is journaled. */
static void handler_call(struct mt_exec *x, const struct mt_operation *op, const char *full,
                         const struct mt_account *account, const json_t *params, struct mt_answer *a)
{
    json_t *value = NULL;
    struct mt_error e;
    if (op->kind != MT_OPERATION_CALL || mt_operation_repeat(op, params) != MT_REPEAT_READ) {
        exec_refuse_handler(x, full, a);
        return;
    }
    if (call_read(x, op, account, params, &value, &e) != 0) {
        exec_give_error(x, &e, a);
        return;
    }
    size_t len;
    char *text = mt_json_dump(value, &len);
    exec_give_json(x, text, len, a);
    free(text);
    json_decref(value);
}

static const struct mt_operation *find_operation(struct mt_exec *x, const char *name, const json_t *params, bool check,
                                                 const struct mt_account **account, struct mt_answer *a)
{
    struct mt_error e;
    const struct mt_operation *op =
        x->g->o.providers ? mt_operation_find(x->g->o.providers, name, account, &e) : NULL;
    if (!x->g->o.providers) {
        exec_bug(a, "there are no providers here");
        return NULL;
    }
    if (!op || (check && mt_operation_check(op, name, params, &e) != 0)) {
        exec_bug(a, "%s", e.message);
        return NULL;
    }
    return op;
}

static bool have_account(const struct mt_account *account, const char *name, struct mt_error *e)
{
    if (account) return true;
    mt_fail(e, MT_AUTHENTICATION, "%.*s is not configured: set its credentials in the configuration's \"providers\" section",
            (int)strcspn(name, "."), name);
    e->outcome = MT_NOT_SENT;
    return false;
}

void mt_effect_call(struct mt_exec *x, const char *name, const char *params_text, size_t len, const char *site,
                    struct mt_answer *a)
{
    struct mt_error e;
    const struct mt_account *account = NULL;
    char digest[33];
    struct mt_entry *entry = NULL;
    json_t *params = mt_json_parse(params_text, len, &e);
    if (!params) {
        exec_bug(a, "%s: %s", name, e.message);
        return;
    }
    const struct mt_operation *op = find_operation(x, name, params, exec_live(x), &account, a);
    if (!op) goto done;
    exec_digest(params_text, len, digest);
    if (!x->handler && over(x, kind_of(op, params), name, digest, site, &entry, a)) goto done;
    if (!have_account(account, name, &e)) {
        if (!x->handler && !entry) {
            entry = exec_append(x, kind_of(op, params), name, digest, site);
            answer_error(x, entry, &e, a);
        } else {
            exec_give_error(x, &e, a);
        }
        goto done;
    }
    if (x->handler) {
        handler_call(x, op, name, account, params, a);
        goto done;
    }
    bool written = entry != NULL;
    if (!entry) {
        entry = exec_append(x, kind_of(op, params), name, digest, site);
        if (op->kind != MT_OPERATION_CALL) {
            free(entry->params);
            entry->params = mt_memdup(params_text, len);
        }
    }
    bool answered = false;
    switch (op->kind) {
    case MT_OPERATION_SETTLED: run_settled(x, op, account, params, entry, written, a); goto done;
    case MT_OPERATION_RELEASE: answered = release_settle(x, entry, op, account, params, written, a); break;
    case MT_OPERATION_CALL: answered = call_settle(x, entry, op, name, account, params, written, a); break;
    }
    if (answered)
        exec_give(x, entry, a);
    else
        a->step = MT_STEP_LEAVE;
done:
    json_decref(params);
}

void mt_effect_all(struct mt_exec *x, size_t n, const char *const *operations, const char *const *params,
                   const char *site, struct mt_answer *a)
{
    struct mt_error e;
    if (exec_refuse_handler(x, "flow.all", a)) return;
    if (n == 0 || n > 100) {
        exec_bug(a, "flow.all takes 1 to 100 calls, found %zu", n);
        return;
    }
    struct all_call *list = mt_calloc(n, sizeof *list);
    bool ok = true, replay_over = false;
    for (size_t i = 0; i < n && ok; i++) {
        struct all_call *c = &list[i];
        char digest[33];
        mt_copy(c->full_name, sizeof c->full_name, operations[i]);
        c->params = mt_json_parse(params[i], strlen(params[i]), &e);
        if (!c->params) exec_bug(a, "%s: %s", operations[i], e.message);
        c->op = c->params ? find_operation(x, operations[i], c->params, exec_live(x), &c->account, a) : NULL;
        ok = c->op != NULL;
        if (ok && c->op->kind != MT_OPERATION_CALL) {
            exec_bug(a, "flow.all takes single calls; %s waits or chooses: call it on its own", operations[i]);
            ok = false;
        }
        if (ok && !have_account(c->account, operations[i], &e)) {
            exec_bug(a, "%s", e.message);
            ok = false;
        }
        if (!ok) break;
        exec_digest(params[i], strlen(params[i]), digest);
        if (!replay_over) {
            switch (exec_next(x, kind_of(c->op, c->params), operations[i], digest, site, &c->entry, a)) {
            case FOUND_LEAVE: ok = false; break;
            case FOUND_NEW: replay_over = true; break;
            case FOUND_PENDING: c->written = true; break;
            case FOUND_ANSWERED: break;
            }
        }
        if (ok && !c->entry) c->entry = exec_append(x, kind_of(c->op, c->params), operations[i], digest, site);
    }
    if (ok && call_all(x, list, n, a)) {
        struct mt_buf out;
        mt_buf_init(&out, 100 * (size_t)MT_VALUE_MAX);
        mt_buf_addc(&out, '[');
        for (size_t i = 0; i < n; i++) {
            struct mt_answer one;
            exec_give(x, list[i].entry, &one);
            if (one.step == MT_STEP_LEAVE) break;
            mt_buf_addf(&out, "%s{\"%s\":", i ? "," : "", list[i].entry->outcome == MT_DONE ? "value" : "err");
            if (list[i].entry->outcome != MT_DONE) mt_buf_adds(&out, "{\"$error\":");
            mt_buf_add(&out, one.json, one.len);
            mt_buf_adds(&out, list[i].entry->outcome == MT_DONE ? "}" : "}}");
        }
        mt_buf_addc(&out, ']');
        if (x->leave == LEAVE_NONE)
            exec_give_json(x, out.data, out.len, a);
        else
            a->step = MT_STEP_LEAVE;
        mt_buf_clear(&out);
    } else if (ok) {
        a->step = MT_STEP_LEAVE;
    }
    for (size_t i = 0; i < n; i++) json_decref(list[i].params);
    free(list);
}

void mt_effect_undo(struct mt_exec *x, const char *name, const char *params_text, size_t len, const char *site,
                    struct mt_answer *a)
{
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
    const struct mt_operation *op = find_operation(x, name, params, exec_live(x), &account, a);
    if (op && op->kind == MT_OPERATION_SETTLED) {
        exec_bug(a, "flow.undo takes a call or a release; %s only waits", name);
        op = NULL;
    }
    if (op) {
        exec_digest(params_text, len, digest);
        if (!over(x, "undo", name, digest, site, &entry, a)) {
            entry = exec_append(x, "undo", name, digest, site);
            entry->params = mt_memdup(params_text, len);
            answer(x, entry, MT_DONE, mt_strdup("null"), false, a);
        }
    }
    json_decref(params);
}

/* ---- waiting ---- */

static void sleep_till(struct mt_exec *x, const char *name, const char *digest, int64_t ms, int64_t until,
                       const char *site, struct mt_answer *a)
{
    struct mt_entry *entry;
    if (exec_refuse_handler(x, "flow.sleep", a) || over(x, "sleep", name, digest, site, &entry, a)) return;
    bool written = entry != NULL;
    json_t *meta = entry ? entry_meta(entry) : json_object();
    if (!entry) {
        entry = exec_append(x, "sleep", name, digest, site);
        if (until < 0) until = entry->at + ms;
        json_object_set_new(meta, "until", json_integer(until));
        entry_set_meta(entry, meta);
    }
    until = mt_json_int(meta, "until", until);
    json_decref(meta);
    if (exec_wall(x) >= until) {
        answer(x, entry, MT_DONE, mt_strdup("null"), written, a);
        return;
    }
    if (!written) exec_op_entry(x, entry);
    char text[25];
    mt_time_format(until, text);
    exec_suspend(x, MT_RUN_SLEEPING, until, NULL, NULL, 0,
                 json_pack("{s:s, s:s, s:i}", "what", "sleep", "until", text, "seq", entry->seq), a);
}

void mt_effect_sleep(struct mt_exec *x, int64_t ms, const char *site, struct mt_answer *a)
{
    char name[64], params[32], digest[33];
    if (ms < 0) ms = 0;
    mt_format_duration(ms, name, sizeof name);
    exec_digest(params, (size_t)snprintf(params, sizeof params, "%lld", (long long)ms), digest);
    sleep_till(x, name, digest, ms, -1, site, a);
}

void mt_effect_sleep_until(struct mt_exec *x, int64_t instant_ms, const char *site, struct mt_answer *a)
{
    char name[25], digest[33];
    mt_time_format(instant_ms, name);
    exec_digest(name, strlen(name), digest);
    sleep_till(x, name, digest, 0, instant_ms < 0 ? 0 : instant_ms, site, a);
}

static bool event_name(const char *topic, const char *key, char out[96], struct mt_answer *a)
{
    if (!topic[0] || strlen(topic) >= MT_NAME_MAX || !key[0] || strlen(key) >= MT_KEY_MAX) {
        exec_bug(a, "a topic has 1 to %d bytes and a key 1 to %d; found %zu and %zu", MT_NAME_MAX - 1, MT_KEY_MAX - 1,
                 strlen(topic), strlen(key));
        return false;
    }
    mt_format(out, 96, "%s/%s", topic, key);
    return true;
}

void mt_effect_await(struct mt_exec *x, const char *topic, const char *key, int64_t within_ms, const char *site,
                     struct mt_answer *a)
{
    char name[96], digest[33], *text;
    struct mt_entry *entry;
    if (exec_refuse_handler(x, "flow.await", a) || !event_name(topic, key, name, a)) return;
    json_t *params = json_pack("{s:s, s:s, s:I}", "topic", topic, "key", key, "within", (json_int_t)within_ms);
    size_t len;
    text = mt_json_dump(params, &len);
    json_decref(params);
    exec_digest(text, len, digest);
    if (over(x, "await", name, digest, site, &entry, a)) {
        free(text);
        return;
    }
    bool written = entry != NULL;
    char cursor_key[MT_NAME_MAX + MT_KEY_MAX];
    mt_format(cursor_key, sizeof cursor_key, "%s\x1f%s", topic, key);
    json_t *meta = entry ? entry_meta(entry) : json_object();
    if (!entry) {
        entry = exec_append(x, "await", name, digest, site);
        entry->params = text;
        text = NULL;
        json_object_set_new(meta, "cursor_key", json_string(cursor_key));
        json_object_set_new(meta, "deadline", json_integer(within_ms < 0 ? MT_NEVER : entry->at + within_ms));
        entry_set_meta(entry, meta);
    }
    int64_t deadline = mt_json_int(meta, "deadline", MT_NEVER), now = exec_wall(x);
    json_decref(meta);
    free(text);
    json_t *waiting = json_pack("{s:s, s:s, s:s, s:i}", "what", "event", "topic", topic, "key", key, "seq", entry->seq);
    char until[25];
    if (deadline != MT_NEVER) {
        mt_time_format(deadline, until);
        json_object_set_new(waiting, "until", json_string(until));
    }
    char *waiting_text = exec_keep(x, mt_json_dump(waiting, NULL));
    json_decref(waiting);
    entry->done_at = now;
    struct mt_op *op = exec_op(x, MT_OP_AWAIT);
    op->await.entry = entry;
    op->await.inserted = written;
    op->await.topic = topic;
    op->await.key = key;
    op->await.cursor = mt_json_int(x->cursors, cursor_key, 0);
    op->await.deadline = deadline;
    op->await.waiting_for = waiting_text;
    op->await.at = now;
    if (!exec_flush_keep(x, NULL)) {
        exec_drop_ops(x);
        exec_leave(x, LEAVE_LOST, a);
        return;
    }
    enum mt_op_result result = op->result;
    if (result == MT_RES_SUSPENDED) {
        exec_drop_ops(x);
        x->run.state = MT_RUN_WAITING;
        exec_leave(x, LEAVE_SUSPENDED, a);
        runs_changed(x->g, &x->run);
        return;
    }
    entry->outcome = MT_DONE;
    x->now = now;
    if (result == MT_RES_FOUND) {
        struct mt_buf b;
        mt_buf_init(&b, 2 * MT_VALUE_MAX);
        mt_buf_addf(&b, "{\"event\":%lld,\"payload\":%s}", (long long)op->await.event.n,
                    op->await.event.payload ? op->await.event.payload : "null");
        json_object_set_new(x->cursors, cursor_key, json_integer(op->await.event.n));
        entry->result = mt_buf_take(&b, NULL);
        mt_event_clear(&op->await.event);
    } else {
        entry->result = mt_strdup("null");
    }
    exec_drop_ops(x);
    exec_give(x, entry, a);
}

/* ---- children, signals, and what others see ---- */

static void start_answer(struct mt_exec *x, const char *id, const char *flow, const char *key, bool existing,
                         char **out)
{
    char url[256];
    mt_exec_checkout_url(x, id, url, sizeof url);
    json_t *obj = json_pack("{s:s, s:s, s:s?, s:b, s:s}", "id", id, "flow", flow, "key", key, "existing", (int)existing,
                            "checkout_url", url);
    *out = mt_json_dump(obj, NULL);
    json_decref(obj);
}

static void start_live(struct mt_exec *x, const char *flow, const char *normal, const char *key, bool detached,
                       const char *digest, const char *site, struct mt_answer *a)
{
    uint8_t mac[32];
    char id[MT_ID_SIZE], *result, generation[80], input_digest[33];
    struct mt_error e;
    struct mt_entry *entry = exec_append(x, "start", flow, digest, site);
    exec_derive(x, "child", entry->seq, 0, mac);
    mt_id_format("run_", entry->at, mac, id);
    exec_digest(normal, strlen(normal), input_digest);
    x->g->o.script->current(x->g->o.script, generation);
    json_t *meta = json_pack("{s:s, s:b}", "child", id, "detached", (int)detached);
    entry_set_meta(entry, meta);
    json_decref(meta);
    entry->params = mt_strdup(normal);
    start_answer(x, id, flow, key, false, &result);
    exec_set_answer(x, entry, MT_DONE, result);
    exec_op_entry(x, entry);
    struct mt_op *op = exec_op(x, MT_OP_START);
    op->start.id = exec_keep(x, mt_strdup(id));
    op->start.flow = exec_keep(x, mt_strdup(flow));
    op->start.key = key ? exec_keep(x, mt_strdup(key)) : NULL;
    op->start.input = exec_keep(x, mt_strdup(normal));
    op->start.input_digest = exec_keep(x, mt_strdup(input_digest));
    op->start.generation = exec_keep(x, mt_strdup(generation));
    op->start.parent = x->run.id;
    op->start.parent_seq = entry->seq;
    op->start.detached = detached;
    op->start.cls = MT_CLASS_START;
    op->start.at = entry->done_at;
    if (!key) {
        exec_give(x, entry, a);
        return;
    }
    enum mt_op_result refused;
    if (exec_flush_keep(x, &refused)) {
        if (op->result == MT_RES_EXISTS && strcmp(op->start.existing.id, id) != 0) {
            free(entry->result);
            start_answer(x, op->start.existing.id, flow, key, true, &entry->result);
            mt_run_clear(&op->start.existing);
            exec_drop_ops(x);
            exec_op_answer(x, entry);
        } else {
            exec_drop_ops(x);
        }
        exec_give(x, entry, a);
        return;
    }
    if (refused != MT_RES_KEY_REUSED) {
        exec_drop_ops(x);
        exec_leave(x, LEAVE_LOST, a);
        return;
    }
    mt_run_clear(&op->start.existing);
    x->op_count--; /* the start itself; what was pending with it is written with its refusal */
    mt_fail(&e, MT_CONFLICT, "a run of %s with the key '%s' exists already with another input", flow, key);
    e.outcome = MT_REJECTED;
    json_t *obj = mt_error_json(&e);
    exec_set_answer(x, entry, MT_REJECTED, mt_json_dump(obj, NULL));
    json_decref(obj);
    exec_give(x, entry, a);
}

void mt_effect_start(struct mt_exec *x, const char *flow, const char *input, const char *key, bool detached,
                     const char *site, struct mt_answer *a)
{
    struct mt_error e;
    struct mt_buf normal;
    struct mt_entry *entry;
    char digest[33], generation[80];
    if (key && (!key[0] || strlen(key) >= MT_KEY_MAX)) {
        exec_bug(a, "a start key has 1 to %d bytes, found %zu", MT_KEY_MAX - 1, strlen(key));
        return;
    }
    json_t *params = json_pack("{s:s, s:s, s:s?, s:b}", "flow", flow, "input", input, "key", key, "detached", (int)detached);
    size_t len;
    char *text = mt_json_dump(params, &len);
    json_decref(params);
    exec_digest(text, len, digest);
    free(text);
    if (!x->handler && over(x, "start", flow, digest, site, &entry, a)) return;
    mt_buf_init(&normal, MT_VALUE_MAX);
    x->g->o.script->current(x->g->o.script, generation);
    if (x->g->o.script->check_input(x->g->o.script, generation, flow, input, &normal, &e) != 0) {
        e.outcome = MT_REJECTED;
        if (x->handler)
            exec_give_error(x, &e, a);
        else
            answer_error(x, exec_append(x, "start", flow, digest, site), &e, a);
    } else if (x->handler) {
        exec_digest(normal.data, normal.len, digest);
        handler_start(x, flow, normal.data, digest, key, a);
    } else {
        start_live(x, flow, normal.data, key, detached, digest, site, a);
    }
    mt_buf_clear(&normal);
}

void mt_effect_signal(struct mt_exec *x, const char *topic, const char *key, const char *payload, const char *site,
                      struct mt_answer *a)
{
    char name[96], digest[33];
    struct mt_entry *entry = NULL;
    if (!event_name(topic, key, name, a)) return;
    exec_digest(payload, strlen(payload), digest);
    if (!x->handler && over(x, "signal", name, digest, site, &entry, a)) return;
    if (x->handler && x->op_count + 4 > MAX_PENDING_OPS) {
        exec_bug(a, "a handler may signal and start at most %d times", MAX_PENDING_OPS - 4);
        return;
    }
    if (!x->handler) {
        entry = exec_append(x, "signal", name, digest, site);
        entry->params = mt_strdup(payload);
        exec_set_answer(x, entry, MT_DONE, mt_strdup("null"));
        exec_op_entry(x, entry);
    }
    struct mt_op *op = exec_op(x, MT_OP_EVENT);
    op->event.topic = exec_keep(x, mt_strdup(topic));
    op->event.key = exec_keep(x, mt_strdup(key));
    op->event.payload = exec_keep(x, mt_strdup(payload));
    op->event.at = exec_wall(x);
    exec_give_json(x, "null", 4, a);
}

void mt_effect_progress(struct mt_exec *x, const char *object, const char *site, struct mt_answer *a)
{
    struct mt_error e;
    struct mt_entry *entry;
    char digest[33];
    if (exec_refuse_handler(x, "flow.progress", a)) return;
    exec_digest(object, strlen(object), digest);
    if (over(x, "progress", "", digest, site, &entry, a)) return;
    json_t *more = mt_json_parse(object, strlen(object), &e);
    if (!json_is_object(more)) {
        json_decref(more);
        exec_bug(a, "flow.progress takes a table with named members");
        return;
    }
    json_object_update(x->progress, more);
    json_decref(more);
    char *text = mt_json_dump(x->progress, NULL);
    entry = exec_append(x, "progress", "", digest, site);
    entry->params = mt_strdup(object);
    exec_set_answer(x, entry, MT_DONE, mt_strdup("null"));
    exec_op_entry(x, entry);
    struct mt_op *op = exec_op(x, MT_OP_RUN);
    op->run.state = -1;
    op->run.progress = exec_keep(x, text);
    op->run.at = entry->done_at;
    free(x->run.progress);
    x->run.progress = mt_strdup(text);
    exec_give(x, entry, a);
}

void mt_effect_log(struct mt_exec *x, const char *level, const char *message, const char *details, const char *site,
                   struct mt_answer *a)
{
    enum mt_log_level at = strcmp(level, "error") == 0  ? MT_LOG_ERROR
                           : strcmp(level, "warn") == 0 ? MT_LOG_WARN
                                                        : MT_LOG_INFO;
    char digest[33], name[96];
    struct mt_entry *entry = NULL;
    if (!x->handler) {
        json_t *params = json_pack("{s:s, s:s, s:s?}", "level", level, "message", message, "details", details);
        size_t len;
        char *text = mt_json_dump(params, &len);
        json_decref(params);
        exec_digest(text, len, digest);
        mt_copy(name, sizeof name, level);
        if (over(x, "log", name, digest, site, &entry, a)) {
            free(text);
            return;
        }
        entry = exec_append(x, "log", name, digest, site);
        entry->params = text;
        exec_set_answer(x, entry, MT_DONE, mt_strdup("null"));
        exec_op_entry(x, entry);
    }
    mt_log(at, message, "flow", x->run.flow, "run", x->handler ? NULL : x->run.id, "details", details, "line", site,
           (const char *)NULL);
    exec_give_json(x, "null", 4, a);
}

void mt_effect_pure(struct mt_exec *x, const char *name, const char *params,
                    int (*compute)(void *arg, struct mt_buf *json, struct mt_error *e), void *arg, const char *site,
                    struct mt_answer *a)
{
    char digest[33];
    struct mt_entry *entry = NULL;
    struct mt_buf out;
    struct mt_error e;
    exec_digest(params, strlen(params), digest);
    if (!x->handler && over(x, "pure", name, digest, site, &entry, a)) return;
    mt_buf_init(&out, MT_VALUE_MAX);
    if (compute(arg, &out, &e) != 0) {
        exec_bug(a, "%s", e.message);
    } else if (x->handler) {
        exec_give_json(x, out.data, out.len, a);
    } else {
        entry = exec_append(x, "pure", name, digest, site);
        entry->params = mt_strdup(params);
        answer(x, entry, MT_DONE, mt_strdup(out.data), false, a);
    }
    mt_buf_clear(&out);
}

void mt_effect_continue(struct mt_exec *x, const char *input, const char *site, struct mt_answer *a)
{
    struct mt_error e;
    struct mt_buf normal;
    char generation[80];
    if (exec_refuse_handler(x, "flow.continue", a)) return;
    if (has_undo(x)) {
        exec_bug(a, "flow.continue with compensations pending: they would be forgotten. Finish or fail this segment first");
        return;
    }
    if (x->seq < x->stored) { /* the script asks to end where its journal goes on */
        struct mt_entry *entry;
        over(x, "continue", x->run.flow, "", site, &entry, a);
        return;
    }
    if (x->run.cancel_requested) {
        exec_leave(x, LEAVE_CANCELLED, a);
        return;
    }
    mt_buf_init(&normal, MT_VALUE_MAX);
    x->g->o.script->current(x->g->o.script, generation);
    if (x->g->o.script->check_input(x->g->o.script, generation, x->run.flow, input, &normal, &e) != 0) {
        mt_warn("a run stays on its old generation: the newest one does not take its input", "run", x->run.id, "flow",
                x->run.flow, "error", e.message);
        mt_buf_reset(&normal);
        mt_copy(generation, sizeof generation, x->run.generation);
        if (x->g->o.script->check_input(x->g->o.script, generation, x->run.flow, input, &normal, &e) != 0) {
            exec_bug(a, "flow.continue: %s", e.message);
            mt_buf_clear(&normal);
            return;
        }
    }
    json_object_set_new(x->cursors, "@now", json_integer(exec_wall(x)));
    char *cursors = exec_keep(x, mt_json_dump(x->cursors, NULL));
    struct mt_op *op = exec_op(x, MT_OP_CONTINUE);
    op->cont.input = exec_keep(x, mt_strdup(normal.data));
    op->cont.generation = exec_keep(x, mt_strdup(generation));
    op->cont.cursors = cursors;
    op->cont.at = exec_wall(x);
    mt_buf_clear(&normal);
    if (exec_flush(x)) {
        x->run.segment++;
        x->run.state = MT_RUN_QUEUED;
        exec_leave(x, LEAVE_SUSPENDED, a);
        runs_changed(x->g, &x->run);
    } else {
        exec_leave(x, LEAVE_LOST, a);
    }
}
