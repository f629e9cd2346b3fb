/* One execution of a run: replay its journal through the script, go on where it ends, and write down what comes of it.
 * Invariant: nothing leaves before what led to it is durable; a result that may be had again (reads, keyed calls) waits for
 * the next write. One thread an execution. */
#include "engine/internal.h"
#include <stdlib.h>
#include <string.h>

bool exec_live(const struct mt_exec *x) { return x->seq >= x->stored; }

int64_t exec_wall(struct mt_exec *x)
{
    int64_t t = x->g->o.clock->wall_ms(x->g->o.clock);
    return t > x->now ? t : x->now;
}

void exec_digest(const char *params, size_t len, char out[33])
{
    uint8_t sha[MT_SHA256_SIZE];
    mt_sha256(params, len, sha);
    mt_hex_encode(sha, 16, out);
}

void exec_derive(struct mt_exec *x, const char *purpose, int seq, int attempt, uint8_t out[32])
{
    char place[160];
    int n = snprintf(place, sizeof place, "%s|%s|%d|%d|%d", purpose, x->run.id, x->run.segment, seq, attempt);
    mt_hmac_sha256(x->g->derive_key.bytes, sizeof x->g->derive_key.bytes, place, (size_t)n, out);
}

/* ---- answers ---- */

void exec_bug(struct mt_answer *a, const char *format, ...)
{
    char text[sizeof a->error.message];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    a->step = MT_STEP_BUG;
    mt_fail(&a->error, MT_SCRIPT, "%s", text);
}

void exec_give_json(struct mt_exec *x, const char *json, size_t len, struct mt_answer *a)
{
    mt_buf_reset(&x->answer);
    mt_buf_add(&x->answer, json, len);
    a->step = MT_STEP_ANSWER;
    a->json = x->answer.data;
    a->len = x->answer.len;
}

void exec_give_error(struct mt_exec *x, const struct mt_error *e, struct mt_answer *a)
{
    json_t *obj = mt_error_json(e);
    size_t len;
    char *text = mt_json_dump(obj, &len);
    json_decref(obj);
    exec_give_json(x, text, len, a);
    a->step = MT_STEP_RAISE;
    free(text);
}

/* A sealed answer opens only in its own place. */
static bool open_result(struct mt_exec *x, const struct mt_entry *entry, struct mt_buf *out)
{
    struct mt_buf raw;
    struct mt_error e;
    char place[96];
    int n = snprintf(place, sizeof place, "result|%s|%d|%d", x->run.id, entry->segment, entry->seq);
    mt_buf_init(&raw, 4 * MT_VALUE_MAX);
    bool ok = mt_base64_decode(entry->result, strlen(entry->result), &raw) &&
              mt_unseal(&x->g->seal_key, place, (size_t)n, raw.data, raw.len, out, &e) == 0;
    mt_buf_clear(&raw);
    return ok;
}

void exec_give(struct mt_exec *x, const struct mt_entry *entry, struct mt_answer *a)
{
    if (entry->sealed && entry->outcome == MT_DONE && entry->result) {
        mt_buf_reset(&x->answer);
        if (!open_result(x, entry, &x->answer)) {
            struct mt_error e;
            mt_fail(&e, MT_STORE, "the sealed answer of effect %d (%s) cannot be opened: was the secret key file replaced?",
                    entry->seq, entry->name);
            exec_park(x, a, &e, entry->site, NULL);
            return;
        }
        a->step = MT_STEP_ANSWER;
        a->json = x->answer.data;
        a->len = x->answer.len;
        return;
    }
    const char *json = entry->result ? entry->result : "null";
    exec_give_json(x, json, strlen(json), a);
    if (entry->outcome != MT_DONE) a->step = MT_STEP_RAISE;
}

void exec_leave(struct mt_exec *x, enum leave why, struct mt_answer *a)
{
    x->leave = why;
    if (a) a->step = MT_STEP_LEAVE;
}

void exec_park(struct mt_exec *x, struct mt_answer *a, const struct mt_error *e, const char *site, json_t *details)
{
    x->error = *e;
    mt_copy(x->error_site, sizeof x->error_site, site ? site : "");
    json_decref(x->park_details);
    x->park_details = details;
    exec_leave(x, LEAVE_PARK, a);
}

bool exec_refuse_handler(struct mt_exec *x, const char *what, struct mt_answer *a)
{
    if (!x->handler) return false;
    exec_bug(a, "%s is for runs: a handler may read, keep documents, signal and start runs. Start one with flow.start(NAME, INPUT)",
             what);
    return true;
}

/* ---- entries and pending writes ---- */

struct mt_entry *exec_append(struct mt_exec *x, const char *kind, const char *name, const char *digest,
                             const char *site)
{
    if (x->count == x->room) {
        x->room = x->room ? 2 * x->room : 16;
        x->entries = mt_realloc(x->entries, x->room * sizeof *x->entries);
    }
    struct mt_entry *entry = mt_calloc(1, sizeof *entry);
    x->entries[x->count++] = entry;
    x->seq = x->count;
    entry->segment = x->run.segment;
    entry->seq = (int)x->count;
    mt_copy(entry->kind, sizeof entry->kind, kind);
    mt_copy(entry->name, sizeof entry->name, name);
    mt_copy(entry->digest, sizeof entry->digest, digest ? digest : "");
    mt_copy(entry->site, sizeof entry->site, site ? site : "");
    entry->at = exec_wall(x);
    atomic_fetch_add_explicit(&x->g->effects, 1, memory_order_relaxed);
    return entry;
}

struct mt_op *exec_op(struct mt_exec *x, enum mt_op_type type)
{
    if (x->op_count == MAX_PENDING_OPS) exec_flush(x);
    struct mt_op *op = &x->ops[x->op_count < MAX_PENDING_OPS ? x->op_count++ : MAX_PENDING_OPS - 1];
    memset(op, 0, sizeof *op);
    op->type = type;
    return op;
}

void exec_op_entry(struct mt_exec *x, struct mt_entry *entry)
{
    if (x->op_count + 4 > MAX_PENDING_OPS) exec_flush(x);
    exec_op(x, MT_OP_ENTRY)->entry = entry;
}

void exec_op_answer(struct mt_exec *x, struct mt_entry *entry)
{
    /* an insert that is still pending takes the answer along */
    for (size_t i = 0; i < x->op_count; i++)
        if (x->ops[i].type == MT_OP_ENTRY && x->ops[i].entry == entry) return;
    if (x->op_count + 4 > MAX_PENDING_OPS) exec_flush(x);
    exec_op(x, MT_OP_ANSWER)->entry = entry;
}

char *exec_keep(struct mt_exec *x, char *s)
{
    if (x->scratch_count == x->scratch_room) {
        x->scratch_room = x->scratch_room ? 2 * x->scratch_room : 16;
        x->scratch = mt_realloc(x->scratch, x->scratch_room * sizeof *x->scratch);
    }
    x->scratch[x->scratch_count++] = s;
    return s;
}

void exec_drop_ops(struct mt_exec *x)
{
    for (size_t i = 0; i < x->scratch_count; i++) free(x->scratch[i]);
    x->scratch_count = 0;
    x->op_count = 0;
}

bool exec_flush_keep(struct mt_exec *x, enum mt_op_result *refused)
{
    if (refused) *refused = MT_RES_OK;
    if (x->leave == LEAVE_LOST) return false;
    if (!x->op_count) return true;
    struct mt_batch batch = {.run = x->run.id, .epoch = x->g->o.store->epoch, .ops = x->ops, .count = x->op_count};
    if (mt_writer_submit(x->g->writer, &batch) == 0) {
        if (batch.cancel_requested) x->run.cancel_requested = true;
        return true;
    }
    x->error = batch.error;
    if (refused) *refused = batch.failed < x->op_count ? x->ops[batch.failed].result : MT_RES_OK;
    return false;
}

bool exec_flush(struct mt_exec *x)
{
    if (exec_flush_keep(x, NULL)) {
        exec_drop_ops(x);
        return true;
    }
    if (x->leave != LEAVE_LOST) {
        mt_warn("a run could not be written and is left as it was", "run", x->run.id, "error", x->error.message);
        x->leave = LEAVE_LOST;
    }
    exec_drop_ops(x);
    return false;
}

void exec_set_answer(struct mt_exec *x, struct mt_entry *entry, enum mt_outcome outcome, char *result)
{
    free(entry->result);
    entry->result = result;
    entry->outcome = outcome;
    entry->done_at = exec_wall(x);
    x->now = entry->done_at;
}

void exec_suspend(struct mt_exec *x, enum mt_run_state state, int64_t due_at, const char *topic, const char *key,
                  int64_t cursor, json_t *waiting_for, struct mt_answer *a)
{
    char *text = waiting_for ? exec_keep(x, mt_json_dump(waiting_for, NULL)) : NULL;
    json_decref(waiting_for);
    struct mt_op *op = exec_op(x, MT_OP_SUSPEND);
    op->suspend.state = state;
    op->suspend.due_at = due_at;
    op->suspend.topic = topic;
    op->suspend.key = key;
    op->suspend.cursor = cursor;
    op->suspend.waiting_for = text;
    op->suspend.cls = MT_CLASS_TIMER;
    op->suspend.at = exec_wall(x);
    x->run.state = state;
    if (exec_flush(x)) {
        exec_leave(x, LEAVE_SUSPENDED, a);
        free(x->run.waiting_for);
        x->run.waiting_for = NULL;
        runs_changed(x->g, &x->run);
    } else {
        exec_leave(x, LEAVE_LOST, a);
    }
}

/* ---- replay ---- */

static void mismatch(struct mt_exec *x, const struct mt_entry *had, const char *kind, const char *name, bool params,
                     const char *site, struct mt_answer *a)
{
    struct mt_error e;
    char newest[80] = "";
    x->g->o.script->current(x->g->o.script, newest);
    mt_fail(&e, MT_MISMATCH,
            "on replay, effect %d was expected to be %s %s%s (journaled at %s) but the script asked for %s %s at %s. Repair the "
            "flow so that it asks for the same again, then retry the run.",
            had->seq, had->kind, had->name, params ? " with other parameters" : "",
            had->site[0] ? had->site : "an unknown line", kind, name, site && site[0] ? site : "an unknown line");
    json_t *details = json_pack("{s:i, s:{s:s, s:s, s:s}, s:{s:s, s:s, s:s}, s:s, s:s}", "seq", had->seq, "expected",
                                "kind", had->kind, "name", had->name, "line", had->site, "found", "kind", kind, "name",
                                name, "line", site ? site : "", "generation", x->run.generation, "newest_generation",
                                newest);
    exec_park(x, a, &e, site, details);
}

static void note_cursor(struct mt_exec *x, const struct mt_entry *entry)
{
    if (strcmp(entry->kind, "await") != 0 || !entry->result || entry->result[0] != '{') return;
    struct mt_error e;
    json_t *result = mt_json_parse(entry->result, strlen(entry->result), &e);
    json_t *meta = entry_meta(entry);
    const char *cursor = mt_json_str(meta, "cursor_key", NULL);
    if (cursor && result) json_object_set_new(x->cursors, cursor, json_integer(mt_json_int(result, "event", 0)));
    json_decref(result);
    json_decref(meta);
}

enum found exec_next(struct mt_exec *x, const char *kind, const char *name, const char *digest, const char *site,
                     struct mt_entry **entry, struct mt_answer *a)
{
    *entry = NULL;
    if (x->leave != LEAVE_NONE) { /* the store was lost in the middle of something */
        a->step = MT_STEP_LEAVE;
        return FOUND_LEAVE;
    }
    if (x->seq < x->stored) {
        struct mt_entry *had = x->entries[x->seq];
        if (strcmp(had->kind, "cancel") == 0) {
            exec_leave(x, LEAVE_CANCELLED, a);
            return FOUND_LEAVE;
        }
        if (strcmp(had->kind, kind) != 0 || strcmp(had->name, name) != 0 || strcmp(had->digest, digest) != 0) {
            bool same = strcmp(had->kind, kind) == 0 && strcmp(had->name, name) == 0;
            mismatch(x, had, kind, name, same, site, a);
            return FOUND_LEAVE;
        }
        x->seq++;
        *entry = had;
        if (had->outcome == MT_OUTCOME_NONE) return FOUND_PENDING;
        if (had->done_at > x->now) x->now = had->done_at;
        note_cursor(x, had);
        return FOUND_ANSWERED;
    }
    if (x->run.cancel_requested) {
        exec_leave(x, LEAVE_CANCELLED, a);
        return FOUND_LEAVE;
    }
    size_t max = x->g->o.entries_max, warn = x->g->o.entries_warn;
    if (x->count >= max) {
        struct mt_error e;
        mt_fail(&e, MT_LIMIT, "the journal of this segment has %zu entries, the most there may be: begin new segments with "
                              "flow.continue", x->count);
        exec_park(x, a, &e, site, NULL);
        return FOUND_LEAVE;
    }
    if (x->count >= warn && !x->warned_length) {
        x->warned_length = true;
        char n[24];
        snprintf(n, sizeof n, "%zu", x->count);
        mt_warn("a run's journal grows long; flow.continue begins a new segment", "run", x->run.id, "entries", n);
    }
    return FOUND_NEW;
}

/* ---- the life of an execution ---- */

static void exec_clear(struct mt_exec *x)
{
    for (size_t i = 0; i < x->count; i++) {
        mt_entry_clear(x->entries[i]);
        free(x->entries[i]);
    }
    free(x->entries);
    exec_drop_ops(x);
    free(x->scratch);
    mt_buf_clear(&x->answer);
    json_decref(x->cursors);
    json_decref(x->progress);
    json_decref(x->park_details);
    mt_run_clear(&x->run);
}

static bool load_journal(struct mt_exec *x)
{
    if (x->run.entries == 0) return true;
    struct mt_entry *entries = NULL;
    size_t count = 0;
    struct mt_error e;
    if (x->g->o.store->read_journal(x->g->o.store, x->run.id, x->run.segment, &entries, &count, &e) != 0) {
        mt_err("a journal could not be read", "run", x->run.id, "error", e.message);
        return false;
    }
    x->room = count + 16;
    x->entries = mt_calloc(x->room, sizeof *x->entries);
    for (size_t i = 0; i < count; i++) {
        x->entries[i] = mt_calloc(1, sizeof **x->entries);
        *x->entries[i] = entries[i];
    }
    x->count = x->stored = count;
    free(entries);
    atomic_fetch_add_explicit(&x->g->replays, 1, memory_order_relaxed);
    return true;
}

/* A child's end is an event its parent may await. */
static void tell_parent(struct mt_exec *x)
{
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

static void set_text(char **slot, const char *text)
{
    free(*slot);
    *slot = mt_strdup(text);
}

/* Ends the run in `state` with what it has to show; everything in one batch. */
void exec_finish(struct mt_exec *x, enum mt_run_state state, const char *output, const char *error)
{
    if (output) set_text(&x->run.output, output);
    if (error) set_text(&x->run.error, error);
    x->run.state = state;
    x->run.owner = 0;
    x->run.updated_at = exec_wall(x);
    tell_parent(x);
    struct mt_op *op = exec_op(x, MT_OP_RUN);
    op->run.state = (int)state;
    op->run.output = output ? x->run.output : NULL;
    op->run.error = error ? x->run.error : NULL;
    op->run.waiting_for = "";
    op->run.release = true;
    op->run.at = x->run.updated_at;
    if (!exec_flush(x)) return;
    atomic_fetch_add_explicit(&x->g->runs_ended, 1, memory_order_relaxed);
    free(x->run.waiting_for);
    x->run.waiting_for = NULL;
    runs_changed(x->g, &x->run);
    runs_notify(x->g, &x->run);
}

void exec_park_now(struct mt_exec *x)
{
    json_t *error = mt_error_json(&x->error);
    if (x->error_site[0]) json_object_set_new(error, "line", json_string(x->error_site));
    if (x->park_details) json_object_update_missing(error, x->park_details);
    char *text = mt_json_dump(error, NULL);
    json_decref(error);
    x->leave = LEAVE_NONE;
    struct mt_op *op = exec_op(x, MT_OP_SUSPEND);
    op->suspend.state = MT_RUN_NEEDS_ATTENTION;
    op->suspend.due_at = MT_NEVER;
    op->suspend.error = exec_keep(x, text);
    op->suspend.at = exec_wall(x);
    set_text(&x->run.error, text);
    x->run.state = MT_RUN_NEEDS_ATTENTION;
    x->run.updated_at = op->suspend.at;
    mt_warn("a run needs attention", "run", x->run.id, "flow", x->run.flow, "error", x->error.message);
    if (exec_flush(x)) {
        runs_changed(x->g, &x->run);
        runs_notify(x->g, &x->run);
    }
}

/* The script has failed in a way that undoes: journals why, then compensates. */
static void fail_run(struct mt_exec *x, const char *error)
{
    if (!has_undo(x)) {
        exec_finish(x, MT_RUN_FAILED, NULL, error);
        return;
    }
    struct mt_entry *entry = exec_append(x, "fail", x->run.flow, "", "");
    exec_set_answer(x, entry, MT_DONE, mt_strdup(error));
    exec_op_entry(x, entry);
    compensate(x);
}

static void cancel_run(struct mt_exec *x)
{
    x->leave = LEAVE_NONE;
    bool journaled = x->seq < x->stored && strcmp(x->entries[x->seq]->kind, "cancel") == 0;
    if (!journaled) {
        struct mt_entry *entry = exec_append(x, "cancel", x->run.flow, "", "");
        json_t *reason = x->run.cancel_reason ? json_string(x->run.cancel_reason) : json_null();
        exec_set_answer(x, entry, MT_DONE, mt_json_dump(reason, NULL));
        json_decref(reason);
        exec_op_entry(x, entry);
    }
    compensate(x);
}

static void script_bug(struct mt_exec *x, struct mt_script_result *r)
{
    json_t *details = json_object();
    if (r->traceback.len) json_object_set_new(details, "traceback", json_string(r->traceback.data));
    exec_park(x, NULL, &r->error, r->site, details);
    exec_park_now(x);
}

static void run_script(struct mt_exec *x)
{
    struct mt_engine *g = x->g;
    struct mt_script_result r = {0};
    mt_buf_init(&r.value, MT_VALUE_MAX);
    mt_buf_init(&r.traceback, 16384);
    g->o.script->execute(g->o.script, x, x->run.generation, x->run.flow, x->run.input ? x->run.input : "{}", &r);
    switch (x->leave) {
    case LEAVE_SUSPENDED:
    case LEAVE_LOST: goto done;
    case LEAVE_CANCELLED: cancel_run(x); goto done;
    case LEAVE_PARK: exec_park_now(x); goto done;
    case LEAVE_NONE: break;
    }
    if ((r.end == MT_END_RETURNED || r.end == MT_END_RAISED) && x->seq < x->stored) {
        struct mt_entry *had = x->entries[x->seq];
        if (strcmp(had->kind, "cancel") == 0) {
            cancel_run(x);
        } else if (strcmp(had->kind, "fail") != 0) {
            mismatch(x, had, r.end == MT_END_RETURNED ? "return" : "an error", "", false, r.site, NULL);
            exec_park_now(x);
        } else {
            compensate(x);
        }
        goto done;
    }
    switch (r.end) {
    case MT_END_RETURNED: exec_finish(x, MT_RUN_COMPLETED, r.value.data, NULL); break;
    case MT_END_RAISED: fail_run(x, r.value.data); break;
    case MT_END_BUG:
    case MT_END_LIMIT: script_bug(x, &r); break;
    case MT_END_LEFT: break;
    }
done:
    mt_buf_clear(&r.value);
    mt_buf_clear(&r.traceback);
}

/* Whether the script has ended already and only compensation is left. */
static bool script_over(const struct mt_exec *x)
{
    for (size_t i = x->count; i-- > 0;)
        if (strcmp(x->entries[i]->kind, "fail") == 0 || strcmp(x->entries[i]->kind, "cancel") == 0) return true;
    return false;
}

void exec_execute(struct mt_engine *g, struct mt_run *run)
{
    struct mt_exec *x = mt_calloc(1, sizeof *x);
    x->g = g;
    x->run = *run;
    x->now = run->created_at;
    mt_buf_init(&x->answer, 8 * MT_VALUE_MAX);
    struct mt_error e;
    x->cursors = run->cursors ? mt_json_parse(run->cursors, strlen(run->cursors), &e) : NULL;
    if (!x->cursors) x->cursors = json_object();
    x->progress = run->progress ? mt_json_parse(run->progress, strlen(run->progress), &e) : NULL;
    if (!x->progress) x->progress = json_object();
    if (mt_json_int(x->cursors, "@now", 0) > x->now) x->now = mt_json_int(x->cursors, "@now", 0);
    if (load_journal(x)) {
        if (script_over(x)) {
            x->seq = x->count;
            compensate(x);
        } else {
            run_script(x);
        }
        if (x->leave == LEAVE_PARK) exec_park_now(x);
    }
    exec_clear(x);
    free(x);
}

/* ---- what scripts may know without an effect ---- */

bool mt_exec_is_handler(const struct mt_exec *x) { return x->handler; }
int64_t mt_exec_now(struct mt_exec *x) { return x->now; }
const char *mt_exec_run_id(const struct mt_exec *x) { return x->handler ? "" : x->run.id; }
const char *mt_exec_run_key(const struct mt_exec *x) { return x->run.key ? x->run.key : ""; }
const char *mt_exec_flow(const struct mt_exec *x) { return x->run.flow; }

void mt_exec_random(struct mt_exec *x, void *out, size_t len)
{
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

void mt_exec_checkout_url(struct mt_exec *x, const char *run_id, char *out, size_t size)
{
    char token[96];
    mt_engine_token(x->g, run_id && run_id[0] ? run_id : x->run.id, token);
    mt_format(out, size, "%s/checkout/%s", x->g->o.public_url ? x->g->o.public_url : "", token);
}
