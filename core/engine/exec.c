/* The life of an execution: it replays the run's journal through the script, goes on where the journal ends,
 * and writes down how it was left: suspended, parked, ended, or handed to compensation. One thread an
 * execution. */
#include "engine/internal.h"
#include <stdlib.h>
#include <string.h>

#define KEEP_BYTES 65536 /* of a buffer, from one execution to the next */

/* ---- leaving ---- */

void exec_leave(struct mt_exec *x, enum leave why, struct mt_answer *a) {
    x->leave = why;
    if (a) a->step = MT_STEP_LEAVE;
}

void exec_park(struct mt_exec *x, struct mt_answer *a, const struct mt_error *e, const char *site,
               json_t *details) {
    if (x->leave == LEAVE_LOST) { /* nothing can be written any more */
        json_decref(details);
        if (a) a->step = MT_STEP_LEAVE;
        return;
    }
    x->error = *e;
    mt_copy(x->error_site, sizeof x->error_site, site ? site : "");
    json_decref(x->park_details);
    x->park_details = details;
    exec_leave(x, LEAVE_PARK, a);
}

bool exec_refuse_handler(struct mt_exec *x, const char *what, struct mt_answer *a) {
    if (!x->handler) return false;
    exec_bug(a,
             "%s is for runs: a handler may read, keep documents, signal and start runs. Start one with "
             "flow.start(NAME, INPUT)",
             what);
    return true;
}

static void set_text(char **slot, const char *text) {
    free(*slot);
    *slot = mt_strdup(text);
}

/* The run as the last batch has left it, for those who listen. */
static void tell(struct mt_exec *x, enum mt_run_state state, int64_t due_at, const char *waiting_for,
                 int64_t at) {
    x->run.state = state;
    x->run.due_at = due_at;
    x->run.updated_at = at;
    set_text(&x->run.waiting_for, waiting_for);
    runs_changed(x->g, &x->run);
}

void exec_suspend(struct mt_exec *x, enum mt_run_state state, int64_t due_at, const char *topic,
                  const char *key, int64_t cursor, json_t *waiting_for, struct mt_answer *a) {
    exec_suspend_also(x, state, due_at, &(struct exec_wait){topic, key, cursor}, NULL, waiting_for, a);
}

void exec_suspend_also(struct mt_exec *x, enum mt_run_state state, int64_t due_at,
                       const struct exec_wait *wait, const struct exec_wait *also, json_t *waiting_for,
                       struct mt_answer *a) {
    char *text = waiting_for ? mt_json_dump(waiting_for, NULL) : NULL;
    json_decref(waiting_for);
    if (x->compensating)
        state = MT_RUN_COMPENSATING; /* also while it waits: it cannot be cancelled any more */
    int64_t at = exec_wall(x);
    struct mt_op *op = exec_op(x, MT_OP_SUSPEND);
    op->suspend.state = state;
    op->suspend.due_at = due_at;
    op->suspend.topic = wait->topic;
    op->suspend.key = wait->key;
    op->suspend.cursor = wait->cursor;
    if (also) {
        op->suspend.also_topic = also->topic;
        op->suspend.also_key = also->key;
        op->suspend.also_cursor = also->cursor;
    }
    op->suspend.waiting_for = text;
    op->suspend.cls = MT_CLASS_TIMER;
    op->suspend.at = at;
    if (exec_flush(x)) {
        exec_leave(x, LEAVE_SUSPENDED, a);
        tell(x, state, due_at, text, at);
    } else if (a) {
        a->step = MT_STEP_LEAVE;
    }
    free(text);
}

void exec_let_go(struct mt_exec *x, struct mt_answer *a) {
    exec_suspend(x, MT_RUN_QUEUED, exec_wall(x), NULL, NULL, 0, NULL, a);
}

void exec_park_now(struct mt_exec *x) {
    json_t *error = mt_error_json(&x->error);
    if (x->error_site[0]) json_object_set_new(error, "line", json_string(x->error_site));
    if (x->park_details) json_object_update_missing(error, x->park_details);
    char *text = mt_json_dump(error, NULL);
    int64_t at = exec_wall(x);
    json_decref(error);
    x->leave = LEAVE_NONE;
    struct mt_op *op = exec_op(x, MT_OP_SUSPEND);
    op->suspend.state = MT_RUN_NEEDS_ATTENTION;
    op->suspend.due_at = MT_NEVER;
    op->suspend.error = text;
    op->suspend.at = at;
    mt_warn("a run needs attention", "run", x->run.id, "flow", x->run.flow, "error", x->error.message);
    if (exec_flush(x)) {
        set_text(&x->run.error, text);
        tell(x, MT_RUN_NEEDS_ATTENTION, MT_NEVER, NULL, at);
        runs_notify(x->g, &x->run);
    }
    free(text);
}

/* ---- ending ---- */

/* A child's end is an event its parent may await. */
static void tell_parent(struct mt_exec *x) {
    if (!x->run.parent[0]) return;
    struct mt_buf b;
    mt_buf_init(&b, 4 * MT_VALUE_MAX);
    mt_buf_addf(&b, "{\"id\":\"%s\",\"state\":\"%s\",\"output\":%s,\"error\":%s}", x->run.id,
                mt_run_state_name(x->run.state), x->run.output ? x->run.output : "null",
                x->run.error ? x->run.error : "null");
    struct mt_op *op = exec_op(x, MT_OP_EVENT);
    op->event.topic = "run";
    op->event.key = x->run.id;
    op->event.payload = exec_keep(x, mt_buf_take(&b, NULL));
    op->event.at = exec_wall(x);
}

void exec_finish(struct mt_exec *x, enum mt_run_state state, const char *output, const char *error) {
    if (output) set_text(&x->run.output, output);
    if (error) set_text(&x->run.error, error);
    x->run.state = state;
    x->run.owner = 0;
    int64_t at = exec_wall(x);
    tell_parent(x);
    struct mt_op *op = exec_op(x, MT_OP_RUN);
    op->run.state = (int)state;
    op->run.output = output ? x->run.output : NULL;
    op->run.error = error ? x->run.error : NULL;
    op->run.waiting_for = "";
    op->run.release = true;
    op->run.at = at;
    if (!exec_flush(x)) return;
    atomic_fetch_add_explicit(&x->g->runs_ended, 1, memory_order_relaxed);
    tell(x, state, MT_NEVER, NULL, at);
    runs_notify(x->g, &x->run);
}

/* The script has failed in a way that undoes: journals why, then compensates. */
static void fail_run(struct mt_exec *x, const char *error) {
    if (!has_undo(x)) {
        exec_finish(x, MT_RUN_FAILED, NULL, error);
        return;
    }
    struct mt_entry *entry = exec_append(x, "fail", x->run.flow, "", "");
    exec_set_answer(x, entry, MT_DONE, mt_strdup(error));
    exec_op_entry(x, entry);
    compensate(x);
}

/* The run may have been told of its cancellation in the middle of an execution: then only the store knows
 * why. */
static void learn_reason(struct mt_exec *x) {
    struct mt_run now;
    struct mt_error e;
    if (x->run.cancel_reason || x->g->o.store->get_run(x->g->o.store, x->run.id, &now, &e) != 0) return;
    x->run.cancel_reason = mt_strdup(now.cancel_reason);
    mt_run_clear(&now);
}

/* A cancellation is an entry. What the run was waiting for is waited for no more. */
static void cancel_run(struct mt_exec *x) {
    struct mt_error e;
    x->leave = LEAVE_NONE;
    learn_reason(x);
    mt_fail(&e, MT_CANCELLED, "the run was cancelled");
    e.outcome = MT_NOT_SENT;
    for (size_t i = 0; i < x->count; i++) {
        if (x->entries[i]->outcome != MT_OUTCOME_NONE) continue;
        exec_set_answer(x, x->entries[i], MT_NOT_SENT, error_text(&e));
        exec_op_answer(x, x->entries[i]);
    }
    struct mt_entry *entry = exec_append(x, "cancel", x->run.flow, "", "");
    json_t *reason = x->run.cancel_reason ? json_string(x->run.cancel_reason) : json_null();
    exec_set_answer(x, entry, MT_DONE, mt_json_dump(reason, NULL));
    json_decref(reason);
    exec_op_entry(x, entry);
    compensate(x);
}

/* ---- executing ---- */

static void script_bug(struct mt_exec *x, struct mt_script_result *r) {
    json_t *details = json_object();
    if (r->traceback.len) json_object_set_new(details, "traceback", json_string(r->traceback.data));
    exec_park(x, NULL, &r->error, r->site, details);
}

/* The script has ended by itself. */
static void script_ended(struct mt_exec *x, struct mt_script_result *r) {
    bool by_itself = r->end == MT_END_RETURNED || r->end == MT_END_RAISED;
    if (by_itself && x->seq < x->stored) {
        exec_ended_early(x, r->end == MT_END_RETURNED ? "return" : "an error", r->site);
        return;
    }
    if (by_itself && !mt_buf_ok(&r->value)) {
        mt_fail(&r->error, MT_LIMIT, "what the flow ended with is larger than %d bytes as JSON",
                MT_VALUE_MAX);
        r->end = MT_END_LIMIT;
    }
    switch (r->end) {
    case MT_END_RETURNED:
        if (x->run.cancel_requested)
            x->leave = LEAVE_CANCELLED; /* its end is a boundary too */
        else
            exec_finish(x, MT_RUN_COMPLETED, r->value.len ? r->value.data : "null", NULL);
        break;
    case MT_END_RAISED:
        fail_run(x, r->value.len ? r->value.data : "{}");
        break;
    case MT_END_LEFT:
        mt_fail(&r->error, MT_INTERNAL, "the execution was left although no effect asked for it");
        script_bug(x, r);
        break;
    case MT_END_BUG:
    case MT_END_LIMIT:
        script_bug(x, r);
        break;
    }
}

static void execute(struct mt_exec *x, struct mt_script_result *r) {
    struct mt_script *script = x->g->o.script;
    struct mt_buf clear;
    struct mt_error e;
    if (!secrets_in(&x->run)) {
        script->execute(script, x, x->run.generation, x->run.flow, x->run.input ? x->run.input : "{}", r);
        return;
    }
    mt_buf_init(&clear, MT_VALUE_MAX);
    if (secrets_open(x->g, &x->run, false, &clear, &e) == 0)
        script->execute(script, x, x->run.generation, x->run.flow, clear.data, r);
    else
        exec_park(x, NULL, &e, NULL, NULL);
    if (clear.len) mt_wipe(clear.data, clear.len);
    mt_buf_clear(&clear);
}

/* No call has to settle. */
static bool at_rest(const struct mt_exec *x) {
    for (size_t i = 0; i < x->count; i++)
        if (call_in_flight(x->entries[i])) return false;
    return true;
}

/* Whether the script was waiting when it was let go: then it has registered every undo that it came to. After
 * an effect that is over it may have come to none yet, and is replayed for them though it was cancelled. So
 * is the beginning of a later segment, for the undos that it takes over from the one before. */
static bool was_waiting(const struct mt_exec *x) {
    if (x->count == 0) return x->run.segment == 0;
    return x->entries[x->count - 1]->outcome == MT_OUTCOME_NONE;
}

static void run_script(struct mt_exec *x) {
    struct mt_script_result r = {0};
    mt_buf_init(&r.value, MT_VALUE_MAX);
    mt_buf_init(&r.traceback, 16384);
    execute(x, &r);
    if (x->leave == LEAVE_NONE) script_ended(x, &r);
    if (x->leave == LEAVE_PARK && x->run.cancel_requested &&
        at_rest(x)) { /* a bug keeps nobody from cancelling */
        json_decref(x->park_details);
        x->park_details = NULL;
        x->leave = LEAVE_CANCELLED;
    }
    if (x->leave == LEAVE_CANCELLED) cancel_run(x);
    mt_buf_clear(&r.value);
    mt_buf_clear(&r.traceback);
}

/* Whether the script has ended already and only compensation is left. */
static bool script_over(const struct mt_exec *x) {
    for (size_t i = x->count; i-- > 0;)
        if (strcmp(x->entries[i]->kind, "fail") == 0 || strcmp(x->entries[i]->kind, "cancel") == 0)
            return true;
    return false;
}

/* Takes up where the journal ends, without the script. */
static void skip_script(struct mt_exec *x) {
    x->seq = x->count;
    for (size_t i = 0; i < x->count; i++)
        if (x->entries[i]->done_at > x->now) x->now = x->entries[i]->done_at;
}

bool exec_load_journal(struct mt_exec *x) {
    struct mt_entry *entries = NULL;
    size_t count = 0;
    struct mt_error e;
    if (x->run.entries == 0) return true;
    if (x->g->o.store->read_journal(x->g->o.store, x->run.id, x->run.segment, &entries, &count, &e) != 0) {
        mt_err("a journal could not be read", "run", x->run.id, "error", e.message);
        x->leave = LEAVE_LOST;
        x->stranded = true;
        return false;
    }
    if (x->room < count) {
        x->room = count + 16;
        x->entries = mt_realloc(x->entries, x->room * sizeof(struct mt_entry *));
    }
    for (size_t i = 0; i < count; i++) {
        x->entries[i] = mt_calloc(1, sizeof **x->entries);
        *x->entries[i] = entries[i];
    }
    x->count = x->stored = count;
    free(entries);
    if (!x->judging) atomic_fetch_add_explicit(&x->g->replays, 1, memory_order_relaxed);
    for (size_t i = 0; i < count; i++) {
        if (x->entries[i]->seq == (int)i + 1) continue;
        mt_fail(&e, MT_STORE, "the journal of run %s has no entry %zu", x->run.id, i + 1);
        exec_park(x, NULL, &e, NULL, NULL);
        return false;
    }
    return true;
}

struct mt_exec *exec_new(struct mt_engine *g) {
    struct mt_exec *x = mt_calloc(1, sizeof *x);
    x->g = g;
    mt_buf_init(&x->answer, 8 * MT_VALUE_MAX);
    mt_buf_init(&x->flat, 4 * MT_VALUE_MAX);
    return x;
}

/* A large answer is no reason to hold its memory for ever. */
static struct mt_buf kept(struct mt_buf b) {
    if (b.cap > KEEP_BYTES) {
        size_t max = b.max;
        mt_buf_clear(&b);
        mt_buf_init(&b, max);
    }
    return b;
}

void exec_reset(struct mt_exec *x) {
    for (size_t i = 0; i < x->count; i++) {
        mt_entry_clear(x->entries[i]);
        free(x->entries[i]);
    }
    exec_drop_ops(x);
    json_decref(x->cursors);
    json_decref(x->park_details);
    mt_provider_set_release(x->providers);
    mt_run_clear(&x->run);
    *x = (struct mt_exec){.g = x->g,
                          .entries = x->entries,
                          .room = x->room,
                          .answer = kept(x->answer),
                          .flat = kept(x->flat),
                          .ops = x->ops,
                          .op_room = x->op_room,
                          .scratch = x->scratch,
                          .scratch_room = x->scratch_room};
}

void exec_free(struct mt_exec *x) {
    exec_reset(x);
    free(x->entries);
    free(x->ops);
    free(x->scratch);
    mt_buf_clear(&x->answer);
    mt_buf_clear(&x->flat);
    free(x);
}

void exec_take_run(struct mt_exec *x, struct mt_run *run) {
    struct mt_error e;
    x->run = *run;
    x->now = run->created_at;
    if (run->cursors) {
        x->cursors = mt_json_parse(run->cursors, strlen(run->cursors), &e);
        if (exec_cursor(x, "@now") > x->now) x->now = exec_cursor(x, "@now");
    }
}

void exec_execute(struct mt_exec *x, struct mt_run *run) {
    exec_take_run(x, run);
    if (exec_load_journal(x)) {
        if (script_over(x)) {
            skip_script(x);
            compensate(x);
        } else if (x->run.cancel_requested && at_rest(x) && was_waiting(x)) {
            skip_script(x);
            cancel_run(x);
        } else {
            run_script(x);
        }
    }
    if (x->leave == LEAVE_PARK) exec_park_now(x);
    if (x->leave == LEAVE_LOST) runs_lost(x->g, x->run.id);
    if (x->stranded) strand(x->g, x->run.id);
    exec_reset(x);
}

/* ---- judging ---- */

/* What the script did while it was only watched. */
void exec_judge_end(struct mt_exec *x, struct mt_script_result *r) {
    bool by_itself = r->end == MT_END_RETURNED || r->end == MT_END_RAISED;
    if (x->leave == LEAVE_JUDGED && x->seq < x->stored)
        exec_stopped_early(x);
    else if (x->leave != LEAVE_NONE)
        return;
    else if (by_itself && x->seq < x->stored)
        exec_ended_early(x, r->end == MT_END_RETURNED ? "return" : "an error", r->site);
    else if (by_itself)
        x->leave = LEAVE_JUDGED;
    else
        script_bug(x, r);
}

enum judged exec_judge(struct mt_exec *x, struct mt_run *run, const char *generation) {
    struct mt_script_result r = {0};
    x->judging = true;
    exec_take_run(x, run);
    mt_copy(x->run.generation, sizeof x->run.generation, generation);
    if (!exec_load_journal(x)) return x->leave == LEAVE_PARK ? JUDGED_PARTS : JUDGED_FAILED;
    if (script_over(x)) return JUDGED_OVER;
    mt_buf_init(&r.value, MT_VALUE_MAX);
    mt_buf_init(&r.traceback, 16384);
    execute(x, &r);
    exec_judge_end(x, &r);
    mt_buf_clear(&r.value);
    mt_buf_clear(&r.traceback);
    return x->leave == LEAVE_JUDGED ? JUDGED_AGREES : JUDGED_PARTS;
}

/* ---- what scripts may know without an effect ---- */

bool mt_exec_is_handler(const struct mt_exec *x) {
    return x->handler;
}
int64_t mt_exec_now(struct mt_exec *x) {
    return x->now;
}
const char *mt_exec_run_id(const struct mt_exec *x) {
    return x->handler ? "" : x->run.id;
}
const char *mt_exec_run_key(const struct mt_exec *x) {
    return x->run.key ? x->run.key : "";
}
const char *mt_exec_flow(const struct mt_exec *x) {
    return x->run.flow;
}

void mt_exec_random(struct mt_exec *x, void *out, size_t len) {
    if (x->handler) {
        x->g->o.random->bytes(x->g->o.random, out, len);
        return;
    }
    uint8_t *to = out;
    while (len) {
        uint8_t block[32];
        exec_derive(x, "random", 0, (int)x->random_counter++, block);
        size_t n = len < sizeof block ? len : sizeof block;
        memcpy(to, block, n);
        to += n;
        len -= n;
    }
}

int mt_exec_seal(struct mt_exec *x, const char *place, size_t place_len, const void *text, size_t len,
                 struct mt_buf *out, struct mt_error *e) {
    static const struct mt_seal_key nobodys;
    return mt_seal_same(travel_strange(x) ? &nobodys : &x->g->script_key, place, place_len, text, len, out,
                        e);
}

int mt_exec_unseal(struct mt_exec *x, const char *place, size_t place_len, const void *sealed, size_t len,
                   struct mt_buf *out, struct mt_error *e) {
    static const struct mt_seal_key nobodys;
    if (travel_strange(x) && mt_unseal(&nobodys, place, place_len, sealed, len, out, e) == 0) return 0;
    int rc = mt_unseal(&x->g->script_key, place, place_len, sealed, len, out, e);
    if (rc == 0) travel_stands_in(x, out->data, out->len);
    return rc;
}

void mt_exec_mac(struct mt_exec *x, const void *text, size_t len, uint8_t out[32]) {
    static const struct mt_seal_key nobodys;
    const struct mt_seal_key *key = travel_strange(x) ? &nobodys : &x->g->script_mac_key;
    mt_hmac_sha256(key->bytes, sizeof key->bytes, text, len, out);
}

bool mt_exec_token_run(struct mt_exec *x, const char *token, char *run_id, size_t size) {
    char id[MT_ID_SIZE];
    return mt_engine_token_run(x->g, token, id) && mt_format(run_id, size, "%s", id);
}

void mt_exec_checkout_url(struct mt_exec *x, const char *run_id, char *out, size_t size) {
    char token[96];
    mt_engine_token(x->g, run_id && run_id[0] ? run_id : x->run.id, token);
    mt_format(out, size, "%s/checkout/%s", x->g->o.public_url ? x->g->o.public_url : "", token);
}
