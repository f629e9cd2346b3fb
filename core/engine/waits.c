/* The effects that wait: sleep and await, and flow.continue, which begins a new segment. A wait is an entry
 * when it begins, so that its end stays where it was however often the run is woken. One thread an execution.
 */
#include "engine/internal.h"
#include <stdlib.h>
#include <string.h>

#define INSTANT_MAX INT64_C(253402300799999) /* the year 9999, the last that can be written */

static int64_t later_by(int64_t from, int64_t ms) {
    return ms < INSTANT_MAX - from ? from + ms : INSTANT_MAX;
}

/* ---- sleep ---- */

/* ms >= 0: from now on; else until the instant. */
static void sleep_till(struct mt_exec *x, const char *name, const char *digest, int64_t ms, int64_t until,
                       const char *site, struct mt_answer *a) {
    struct mt_entry *entry;
    char text[25];
    travel_asks(x, NULL);
    if (exec_refuse_handler(x, "flow.sleep", a) || exec_over(x, "sleep", name, digest, site, &entry, a))
        return;
    bool written = entry != NULL;
    json_t *meta = entry ? entry_meta(entry) : json_object();
    if (!entry) {
        entry = exec_append(x, "sleep", name, digest, site);
        if (ms >= 0) until = later_by(entry->at, ms);
        json_object_set_new(meta, "until", json_integer(until));
        entry_set_meta(entry, meta);
    }
    until = mt_json_int(meta, "until", until);
    json_decref(meta);
    if (exec_wall(x) >= until) {
        exec_answer(x, entry, MT_DONE, mt_strdup("null"), written, a);
        return;
    }
    if (!written) exec_op_entry(x, entry);
    mt_time_format(until, text);
    exec_suspend(x, MT_RUN_SLEEPING, until, NULL, NULL, 0,
                 json_pack("{s:s, s:s, s:i}", "what", "sleep", "until", text, "seq", entry->seq), a);
}

void mt_effect_sleep(struct mt_exec *x, int64_t ms, const char *site, struct mt_answer *a) {
    char name[64], params[32], digest[33];
    if (ms < 0) ms = 0;
    mt_format_duration(ms, name, sizeof name);
    engine_digest(x->g, params, (size_t)snprintf(params, sizeof params, "%lld", (long long)ms), digest);
    sleep_till(x, name, digest, ms, 0, site, a);
}

void mt_effect_sleep_until(struct mt_exec *x, int64_t instant_ms, const char *site, struct mt_answer *a) {
    char name[25], digest[33];
    if (instant_ms > INSTANT_MAX) instant_ms = INSTANT_MAX;
    mt_time_format(instant_ms, name);
    engine_digest(x->g, name, strlen(name), digest);
    sleep_till(x, name, digest, -1, instant_ms, site, a);
}

/* ---- await ---- */

bool exec_refuse_topic(const char *topic, const char *key, struct mt_answer *a) {
    if (topic[0] && strlen(topic) < MT_NAME_MAX && key[0] && strlen(key) < MT_KEY_MAX) return false;
    exec_bug(a, "a topic has 1 to %d bytes and a key 1 to %d; found %zu and %zu", MT_NAME_MAX - 1,
             MT_KEY_MAX - 1, strlen(topic), strlen(key));
    return true;
}

struct awaiting {
    const char *topic, *key;
    char cursor_key[MT_NAME_MAX + MT_KEY_MAX];
    int64_t deadline; /* MT_NEVER: none */
};

static char *waiting_for(const struct awaiting *w, int seq) {
    char until[25];
    json_t *obj =
        json_pack("{s:s, s:s, s:s, s:i}", "what", "event", "topic", w->topic, "key", w->key, "seq", seq);
    if (w->deadline != MT_NEVER) {
        mt_time_format(w->deadline, until);
        json_object_set_new(obj, "until", json_string(until));
    }
    char *text = mt_json_dump(obj, NULL);
    json_decref(obj);
    return text;
}

/* The wait as an entry of the journal: new, or as an earlier execution has left it. */
static struct mt_entry *await_entry(struct mt_exec *x, struct awaiting *w, struct mt_entry *entry,
                                    const char *name, const char *digest, const char *params,
                                    int64_t within_ms, const char *site) {
    json_t *meta;
    if (entry) {
        meta = entry_meta(entry);
        w->deadline = mt_json_int(meta, "deadline", MT_NEVER);
    } else {
        entry = exec_append(x, "await", name, digest, site);
        entry->params = mt_strdup(params);
        w->deadline = within_ms < 0 ? MT_NEVER : later_by(entry->at, within_ms);
        meta = json_pack("{s:s}", "cursor_key", w->cursor_key);
        if (w->deadline != MT_NEVER) json_object_set_new(meta, "deadline", json_integer(w->deadline));
        entry_set_meta(entry, meta);
        exec_op_entry(x, entry);
    }
    json_decref(meta);
    return entry;
}

/* What the writer answered; the same bytes that it has journaled. */
static void take_event(struct mt_exec *x, const struct awaiting *w, struct mt_entry *entry,
                       const struct mt_op *op) {
    if (op->result != MT_RES_FOUND) {
        entry->result = mt_strdup("null");
        return;
    }
    struct mt_buf b;
    mt_buf_init(&b, 4 * MT_VALUE_MAX);
    mt_buf_addf(&b, "{\"at\":%lld,\"event\":%lld,\"payload\":", (long long)op->await.event.at,
                (long long)op->await.event.n);
    mt_buf_adds(&b, op->await.event.payload ? op->await.event.payload : "null");
    mt_buf_addc(&b, '}');
    exec_set_cursor(x, w->cursor_key, op->await.event.n);
    entry->result = mt_buf_take(&b, NULL);
    mt_buf_clear(&b);
}

/* The writer answers a wait once: with the next event, with its end, or by letting go of the run. */
static void await_now(struct mt_exec *x, struct awaiting *w, struct mt_entry *entry, struct mt_answer *a) {
    enum mt_op_result refused;
    int64_t now = exec_wall(x);
    char *waiting = waiting_for(w, entry->seq);
    struct mt_op *op = exec_op(x, MT_OP_AWAIT);
    op->await.entry = entry;
    op->await.inserted = true;
    op->await.topic = w->topic;
    op->await.key = w->key;
    op->await.cursor = exec_cursor(x, w->cursor_key);
    op->await.deadline = w->deadline;
    op->await.waiting_for = waiting;
    op->await.at = now;
    if (!exec_flush_keep(x, &refused)) {
        exec_lose(x, refused, a);
    } else if (op->result == MT_RES_SUSPENDED) {
        exec_leave(x, LEAVE_SUSPENDED, a);
        x->run.state = MT_RUN_WAITING;
        x->run.due_at = w->deadline;
        x->run.updated_at = now;
        free(x->run.waiting_for);
        x->run.waiting_for = mt_strdup(waiting);
        runs_changed(x->g, &x->run);
    } else {
        entry->outcome = MT_DONE;
        entry->done_at = x->now = now;
        take_event(x, w, entry, op);
        mt_event_clear(&op->await.event);
        exec_give(x, entry, a);
    }
    exec_drop_ops(x);
    free(waiting);
}

void mt_effect_await(struct mt_exec *x, const char *topic, const char *key, int64_t within_ms,
                     const char *site, struct mt_answer *a) {
    char name[96], digest[33];
    struct mt_entry *entry;
    struct awaiting w = {.topic = topic, .key = key};
    if (exec_refuse_handler(x, "flow.await", a)) return;
    if (exec_refuse_topic(topic, key, a)) return;
    mt_format(name, sizeof name, "%s/%s", topic, key);
    mt_format(w.cursor_key, sizeof w.cursor_key, "%s\x1f%s", topic, key);
    json_t *params =
        json_pack("{s:s, s:s, s:I}", "topic", topic, "key", key, "within", (json_int_t)within_ms);
    size_t len;
    char *text = mt_json_dump(params, &len);
    json_decref(params);
    engine_digest(x->g, text, len, digest);
    travel_asks(x, text);
    if (!exec_over(x, "await", name, digest, site, &entry, a)) {
        entry = await_entry(x, &w, entry, name, digest, text, within_ms, site);
        await_now(x, &w, entry, a);
    }
    free(text);
}

/* ---- a new segment ---- */

/* The generation that takes the input, the newest if it can: its normal form. -1: none does. */
static int next_generation(struct mt_exec *x, const char *input, char generation[80], struct mt_buf *normal,
                           struct mt_error *e) {
    struct mt_script *script = x->g->o.script;
    script->current(script, generation);
    if (script->check_input(script, generation, x->run.flow, input, normal, e) == 0) return 0;
    mt_buf_reset(normal);
    mt_warn("a run stays on its old generation: the newest one does not take its input", "run", x->run.id,
            "flow", x->run.flow, "error", e->message);
    mt_copy(generation, 80, x->run.generation);
    return script->check_input(script, generation, x->run.flow, input, normal, e);
}

/* The segment's last entry keeps what it began with, so that it can be replayed when the run has another. */
static void end_segment(struct mt_exec *x, const char *input, const char *digest, const char *site) {
    struct mt_error e;
    struct mt_entry *entry = exec_append(x, "continue", x->run.flow, digest, site);
    json_t *began =
        mt_json_parse(x->run.input ? x->run.input : "{}", strlen(x->run.input ? x->run.input : "{}"), &e);
    json_t *cursors = x->run.cursors ? mt_json_parse(x->run.cursors, strlen(x->run.cursors), &e) : NULL;
    json_t *meta = json_pack("{s:o, s:s, s:o}", "input", began ? began : json_object(), "generation",
                             x->run.generation, "cursors", cursors ? cursors : json_null());
    entry->params = mt_strdup(input);
    entry_set_meta(entry, meta);
    json_decref(meta);
    exec_set_answer(x, entry, MT_DONE, mt_strdup("null"));
    exec_op_entry(x, entry);
}

static void begin_segment(struct mt_exec *x, const char *input, const char *generation, struct mt_answer *a) {
    int64_t at = exec_wall(x);
    exec_set_cursor(x, "@now", at);
    struct mt_op *op = exec_op(x, MT_OP_CONTINUE);
    op->cont.input = exec_keep(x, mt_strdup(input));
    op->cont.generation = generation;
    op->cont.cursors = exec_keep(x, mt_json_dump(x->cursors, NULL));
    op->cont.at = at;
    if (!exec_flush(x)) {
        a->step = MT_STEP_LEAVE;
        return;
    }
    exec_leave(x, LEAVE_SUSPENDED, a);
    x->run.segment++;
    x->run.state = MT_RUN_QUEUED;
    x->run.due_at = x->run.updated_at = at;
    mt_copy(x->run.generation, sizeof x->run.generation, generation);
    mt_provider_set_release(x->providers); /* the next segment's are others */
    x->providers = NULL;
    free(x->run.input);
    x->run.input = mt_strdup(input);
    runs_changed(x->g, &x->run);
}

void mt_effect_continue(struct mt_exec *x, const char *input, bool keep, const char *site,
                        struct mt_answer *a) {
    struct mt_error e;
    struct mt_buf normal;
    struct mt_entry *entry;
    char generation[80], digest[33];
    if (exec_refuse_handler(x, "flow.continue", a)) return;
    if (has_undo(x) && !keep) {
        exec_bug(a,
                 "flow.continue with compensations pending: they would be forgotten. Finish or fail this "
                 "segment first, or say that what it did is to stay: flow.continue(input, { keep = true })");
        return;
    }
    engine_digest(x->g, input, strlen(input), digest);
    travel_asks_input(x, x->run.flow, input);
    if (exec_over(x, "continue", x->run.flow, digest, site, &entry, a)) return;
    mt_buf_init(&normal, MT_VALUE_MAX);
    if (next_generation(x, input, generation, &normal, &e) == 0 &&
        secrets_seal(x->g, x->run.id, x->run.segment + 1, &normal, &e) == 0) {
        end_segment(x, normal.data, digest, site);
        begin_segment(x, normal.data, generation, a);
    } else { /* what comes after a refusal has its place */
        e.outcome = MT_REJECTED;
        exec_answer_error(x, exec_append(x, "continue", x->run.flow, digest, site), &e, false, a);
    }
    mt_buf_clear(&normal);
}
