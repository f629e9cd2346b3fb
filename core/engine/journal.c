/* The journal of one execution: its entries, the operations that the next batch will write, and the replay.
 * Invariant: nothing leaves before what led to it is durable; a result that may be had again (of a read, of a
 * keyed call) waits for the next batch. One thread an execution. */
#include "engine/internal.h"
#include <stdlib.h>
#include <string.h>

#define FLUSH_AT 32 /* pending operations, checked at each effect's boundary */

bool exec_live(const struct mt_exec *x) {
    return x->seq >= x->stored;
}

int64_t exec_wall(struct mt_exec *x) {
    int64_t t = x->g->o.clock->wall_ms(x->g->o.clock);
    return t > x->now ? t : x->now;
}

void engine_digest(const struct mt_engine *g, const char *params, size_t len, char out[33]) {
    uint8_t mac[MT_SHA256_SIZE];
    mt_hmac_sha256(g->digest_key.bytes, sizeof g->digest_key.bytes, params, len, mac);
    mt_hex_encode(mac, 16, out);
}

/* PURPOSE|RUN|SEGMENT|SEQ and what follows: written for every effect, so by hand. */
static struct mt_buf place_of(char room[160], const char *purpose, const char *run_id, int segment, int seq) {
    struct mt_buf b = {.data = room, .cap = 160, .max = 159};
    mt_buf_adds(&b, purpose);
    mt_buf_addc(&b, '|');
    mt_buf_adds(&b, run_id);
    mt_buf_addc(&b, '|');
    mt_buf_addi(&b, segment);
    mt_buf_addc(&b, '|');
    mt_buf_addi(&b, seq);
    return b;
}

void exec_derive(struct mt_exec *x, const char *purpose, int seq, int attempt, uint8_t out[32]) {
    char room[160];
    struct mt_buf place = place_of(room, purpose, x->run.id, x->run.segment, seq);
    mt_buf_addc(&place, '|');
    mt_buf_addi(&place, attempt);
    mt_hmac_sha256(x->g->derive_key.bytes, sizeof x->g->derive_key.bytes, place.data, place.len, out);
}

/* ---- sealing ---- */

int exec_seal(struct mt_exec *x, const char *what, const struct mt_entry *entry, const void *plain_text,
              size_t len, struct mt_buf *out, struct mt_error *e) {
    char room[160];
    struct mt_buf place = place_of(room, what, x->run.id, entry->segment, entry->seq);
    return mt_seal(&x->g->seal_key, place.data, place.len, plain_text, len, out, e);
}

int exec_unseal(struct mt_exec *x, const char *what, const struct mt_entry *entry, const void *sealed,
                size_t len, struct mt_buf *out, struct mt_error *e) {
    char room[160];
    struct mt_buf place = place_of(room, what, x->run.id, entry->segment, entry->seq);
    return mt_unseal(&x->g->seal_key, place.data, place.len, sealed, len, out, e);
}

char *seal_text(struct mt_engine *g, const char *run_id, int segment, int seq, const char *json, size_t len) {
    struct mt_buf sealed, text;
    struct mt_error e;
    char room[160], *out = NULL;
    struct mt_buf place = place_of(room, "result", run_id, segment, seq);
    mt_buf_init(&sealed, 2 * MT_VALUE_MAX);
    mt_buf_init(&text, 4 * MT_VALUE_MAX);
    if (mt_seal(&g->seal_key, place.data, place.len, json, len, &sealed, &e) == 0) {
        mt_base64_encode(sealed.data, sealed.len, &text);
        out = mt_buf_take(&text, NULL);
    }
    mt_buf_clear(&sealed);
    mt_buf_clear(&text);
    return out;
}

/* A sealed answer opens only in its own place. */
static bool open_result(struct mt_exec *x, const struct mt_entry *entry, struct mt_buf *out) {
    struct mt_buf raw;
    struct mt_error e;
    mt_buf_init(&raw, 4 * MT_VALUE_MAX);
    bool ok = mt_base64_decode(entry->result, strlen(entry->result), &raw) &&
              exec_unseal(x, "result", entry, raw.data, raw.len, out, &e) == 0;
    mt_buf_clear(&raw);
    return ok;
}

/* ---- answers ---- */

char *error_text(const struct mt_error *e) {
    json_t *obj = mt_error_json(e);
    char *text = mt_json_dump(obj, NULL);
    json_decref(obj);
    return text;
}

void exec_bug(struct mt_answer *a, const char *format, ...) {
    char text[sizeof a->error.message];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    a->step = MT_STEP_BUG;
    mt_fail(&a->error, MT_SCRIPT, "%s", text);
}

void exec_give_json(struct mt_exec *x, const char *json, size_t len, struct mt_answer *a) {
    mt_buf_reset(&x->answer);
    mt_buf_add(&x->answer, json, len);
    a->step = MT_STEP_ANSWER;
    a->json = x->answer.data;
    a->len = x->answer.len;
}

void exec_give_error(struct mt_exec *x, const struct mt_error *e, struct mt_answer *a) {
    char *text = error_text(e);
    exec_give_json(x, text, strlen(text), a);
    a->step = MT_STEP_RAISE;
    free(text);
}

void exec_give(struct mt_exec *x, const struct mt_entry *entry, struct mt_answer *a) {
    if (x->leave != LEAVE_NONE) { /* what was to be given has not been written */
        a->step = MT_STEP_LEAVE;
        return;
    }
    if (entry->sealed && entry->outcome == MT_DONE) {
        struct mt_error e;
        mt_buf_reset(&x->answer);
        if (!entry->result || !open_result(x, entry, &x->answer)) {
            mt_fail(&e, MT_STORE,
                    "the sealed answer of effect %d (%s) cannot be opened: was the secret key file replaced?",
                    entry->seq, entry->name);
            exec_park(x, a, &e, entry->site, NULL);
            return;
        }
        travel_hides_answer(x, &x->answer);
        a->step = MT_STEP_ANSWER;
        a->json = x->answer.data;
        a->len = x->answer.len;
        return;
    }
    const char *json = entry->result ? entry->result : "null";
    exec_give_json(x, json, strlen(json), a);
    if (entry->outcome != MT_DONE) a->step = MT_STEP_RAISE;
}

void exec_set_answer(struct mt_exec *x, struct mt_entry *entry, enum mt_outcome outcome, char *result) {
    free(entry->result);
    entry->result = result;
    entry->outcome = outcome;
    entry->done_at = exec_wall(x);
    x->now = entry->done_at;
}

void exec_answer(struct mt_exec *x, struct mt_entry *entry, enum mt_outcome outcome, char *json, bool written,
                 struct mt_answer *a) {
    exec_set_answer(x, entry, outcome, json);
    if (written)
        exec_op_answer(x, entry);
    else
        exec_op_entry(x, entry);
    exec_give(x, entry, a);
}

void exec_answer_error(struct mt_exec *x, struct mt_entry *entry, const struct mt_error *e, bool written,
                       struct mt_answer *a) {
    exec_answer(x, entry, MT_REJECTED, error_text(e), written, a);
}

/* ---- entries ---- */

json_t *entry_meta(const struct mt_entry *entry) {
    struct mt_error e;
    json_t *meta = entry->meta ? mt_json_parse(entry->meta, strlen(entry->meta), &e) : NULL;
    return meta ? meta : json_object();
}

void entry_set_meta(struct mt_entry *entry, const json_t *meta) {
    free(entry->meta);
    entry->meta = mt_json_dump(meta, NULL);
}

struct mt_entry *exec_append(struct mt_exec *x, const char *kind, const char *name, const char *digest,
                             const char *site) {
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

/* ---- what is about to be written ---- */

struct mt_op *exec_op(struct mt_exec *x, enum mt_op_type type) {
    if (x->op_count == x->op_room) {
        x->op_room = x->op_room ? 2 * x->op_room : 8;
        x->ops = mt_realloc(x->ops, x->op_room * sizeof *x->ops);
    }
    struct mt_op *op = &x->ops[x->op_count++];
    memset(op, 0, sizeof *op);
    op->type = type;
    return op;
}

void exec_op_entry(struct mt_exec *x, struct mt_entry *entry) {
    exec_op(x, MT_OP_ENTRY)->entry = entry;
}

void exec_op_answer(struct mt_exec *x, struct mt_entry *entry) {
    /* an operation on it that is still pending takes the answer along */
    for (size_t i = 0; i < x->op_count; i++)
        if ((x->ops[i].type == MT_OP_ENTRY || x->ops[i].type == MT_OP_ANSWER) && x->ops[i].entry == entry)
            return;
    exec_op(x, MT_OP_ANSWER)->entry = entry;
}

char *exec_keep(struct mt_exec *x, char *s) {
    if (x->scratch_count == x->scratch_room) {
        x->scratch_room = x->scratch_room ? 2 * x->scratch_room : 16;
        x->scratch = mt_realloc(x->scratch, x->scratch_room * sizeof *x->scratch);
    }
    x->scratch[x->scratch_count++] = s;
    return s;
}

void exec_drop_ops(struct mt_exec *x) {
    for (size_t i = 0; i < x->scratch_count; i++) free(x->scratch[i]);
    x->scratch_count = 0;
    x->op_count = 0;
    x->progress_written = false;
}

bool exec_flush_keep(struct mt_exec *x, enum mt_op_result *refused) {
    *refused = MT_RES_OK;
    if (x->leave == LEAVE_LOST) return false;
    if (!x->op_count) return true;
    struct mt_batch batch = {
        .run = x->run.id, .epoch = x->g->o.store->epoch, .ops = x->ops, .count = x->op_count};
    if (mt_writer_submit(x->g->writer, &batch) == 0) {
        if (batch.cancel_requested) x->run.cancel_requested = true;
        if (x->progress_written) runs_changed(x->g, &x->run);
        return true;
    }
    x->error = batch.error;
    if (batch.failed < x->op_count) *refused = x->ops[batch.failed].result;
    return false;
}

bool exec_flush(struct mt_exec *x) {
    enum mt_op_result refused;
    bool ok = exec_flush_keep(x, &refused);
    if (!ok) exec_lose(x, refused, NULL);
    exec_drop_ops(x);
    return ok;
}

/* A batch that the store will not take is a bug of ours or a value beyond its limits; it would be refused
 * again. */
static bool park_refused(struct mt_exec *x) {
    struct mt_error e = x->error;
    mt_error_wrap(&e, "what run %s did could not be written", x->run.id);
    char *text = error_text(&e);
    struct mt_op op = {
        .type = MT_OP_SUSPEND,
        .suspend = {.state = MT_RUN_NEEDS_ATTENTION, .due_at = MT_NEVER, .error = text, .at = exec_wall(x)}};
    struct mt_batch batch = {.run = x->run.id, .epoch = x->g->o.store->epoch, .ops = &op, .count = 1};
    bool ok = mt_writer_submit(x->g->writer, &batch) == 0;
    if (ok) {
        free(x->run.error);
        x->run.error = mt_strdup(text);
        x->run.state = MT_RUN_NEEDS_ATTENTION;
        runs_changed(x->g, &x->run);
        runs_notify(x->g, &x->run);
    }
    free(text);
    return ok;
}

void exec_lose(struct mt_exec *x, enum mt_op_result refused, struct mt_answer *a) {
    if (a) a->step = MT_STEP_LEAVE;
    if (x->leave == LEAVE_LOST) return;
    x->leave = LEAVE_LOST;
    mt_warn("a run could not be written", "run", x->run.id, "error", x->error.message);
    if (refused == MT_RES_NOT_OWNER) return;
    x->stranded = refused == MT_RES_OK || !park_refused(x);
}

/* ---- cursors: the last event read, by (topic, key) ---- */

int64_t exec_cursor(const struct mt_exec *x, const char *cursor_key) {
    return mt_json_int(x->cursors, cursor_key, 0);
}

void exec_set_cursor(struct mt_exec *x, const char *cursor_key, int64_t n) {
    if (!x->cursors) x->cursors = json_object();
    json_object_set_new(x->cursors, cursor_key, json_integer(n));
}

static void note_cursor(struct mt_exec *x, const struct mt_entry *entry) {
    struct mt_error e;
    if (!entry->meta || !strstr(entry->meta, "\"cursor_key\"") || !entry->result || entry->result[0] != '{')
        return;
    json_t *result = mt_json_parse(entry->result, strlen(entry->result), &e);
    json_t *meta = entry_meta(entry);
    const char *cursor = mt_json_str(meta, "cursor_key", NULL);
    if (cursor && result) exec_set_cursor(x, cursor, mt_json_int(result, "event", 0));
    json_decref(result);
    json_decref(meta);
}

/* ---- replay ---- */

static void mismatch(struct mt_exec *x, const struct mt_entry *had, const char *kind, const char *name,
                     bool same_call, const char *site, struct mt_answer *a) {
    struct mt_error e;
    char newest[80] = "";
    x->g->o.script->current(x->g->o.script, newest);
    mt_fail(&e, MT_MISMATCH,
            "on replay, effect %d was expected to be %s %s (journaled at %s) but the script asked for %s "
            "%s%s at %s. Repair the "
            "flow so that it asks for the same again, then migrate and retry the run.",
            had->seq, had->kind, had->name, had->site[0] ? had->site : "an unknown line", kind, name,
            same_call ? " with other parameters" : "", site && site[0] ? site : "an unknown line");
    json_t *details =
        json_pack("{s:i, s:b, s:{s:s, s:s, s:s}, s:{s:s, s:s, s:s}, s:s, s:s}", "seq", had->seq,
                  "other_parameters", (int)same_call, "expected", "kind", had->kind, "name", had->name,
                  "line", had->site, "found", "kind", kind, "name", name, "line", site ? site : "",
                  "generation", x->run.generation, "newest_generation", newest);
    exec_park(x, a, &e, site, details);
}

static bool same_effect(const struct mt_entry *had, const char *kind, const char *name) {
    char cut[sizeof had->name];
    mt_copy(cut, sizeof cut, name); /* as it was kept */
    return strcmp(had->kind, kind) == 0 && strcmp(had->name, cut) == 0;
}

bool exec_has(const struct mt_exec *x, size_t ahead, const char *kind, const char *name, const char *digest) {
    size_t at = x->seq + ahead;
    return at < x->stored && same_effect(x->entries[at], kind, name) &&
           strcmp(x->entries[at]->digest, digest) == 0;
}

/* Positions before `stored`: what the script asks for must be what was journaled. */
static enum found replay(struct mt_exec *x, const char *kind, const char *name, const char *digest,
                         const char *site, struct mt_entry **entry, struct mt_answer *a) {
    struct mt_entry *had = x->entries[x->seq];
    bool same_call = same_effect(had, kind, name);
    bool same_params = strcmp(had->digest, digest) == 0 || (x->travel && x->travel->stands_in);
    if (!same_call || !same_params) {
        mismatch(x, had, kind, name, same_call, site, a);
        return FOUND_LEAVE;
    }
    if (had->outcome == MT_OUTCOME_NONE && !x->judging && atomic_load(&x->g->stopping)) {
        exec_let_go(x, a);
        return FOUND_LEAVE;
    }
    if (travel_stops(x, kind, name, site)) {
        exec_leave(x, LEAVE_JUDGED, a);
        return FOUND_LEAVE;
    }
    x->seq++;
    *entry = had;
    if (had->outcome == MT_OUTCOME_NONE) return FOUND_PENDING;
    if (had->done_at > x->now) x->now = had->done_at;
    note_cursor(x, had);
    return FOUND_ANSWERED;
}

static bool too_long(struct mt_exec *x, const char *site, struct mt_answer *a) {
    if (x->count >= x->g->o.entries_max) {
        struct mt_error e;
        mt_fail(&e, MT_LIMIT,
                "the journal of this segment has %zu entries, the most there may be: begin new segments with "
                "flow.continue",
                x->count);
        exec_park(x, a, &e, site, NULL);
        return true;
    }
    if (x->count == x->g->o.entries_warn && !x->warned_length) {
        char n[24];
        x->warned_length = true;
        snprintf(n, sizeof n, "%zu", x->count);
        mt_warn("a run's journal grows long; flow.continue begins a new segment", "run", x->run.id, "entries",
                n);
    }
    return false;
}

enum found exec_next(struct mt_exec *x, const char *kind, const char *name, const char *digest,
                     const char *site, struct mt_entry **entry, struct mt_answer *a) {
    *entry = NULL;
    if (x->leave != LEAVE_NONE) { /* the store was lost in the middle of something */
        a->step = MT_STEP_LEAVE;
        return FOUND_LEAVE;
    }
    if (x->seq < x->stored) return replay(x, kind, name, digest, site, entry, a);
    if (x->judging) { /* this effect would be the next to begin */
        travel_stops(x, kind, name, site);
        exec_leave(x, LEAVE_JUDGED, a);
        return FOUND_LEAVE;
    }
    if (x->run.cancel_requested &&
        strcmp(kind, "undo") != 0) { /* what was done is not left without its undo */
        exec_leave(x, LEAVE_CANCELLED, a);
        return FOUND_LEAVE;
    }
    if (atomic_load(&x->g->stopping)) {
        exec_let_go(x, a);
        return FOUND_LEAVE;
    }
    if (too_long(x, site, a)) return FOUND_LEAVE;
    if (x->op_count >= FLUSH_AT && !exec_flush(x)) {
        a->step = MT_STEP_LEAVE;
        return FOUND_LEAVE;
    }
    return FOUND_NEW;
}

bool exec_over(struct mt_exec *x, const char *kind, const char *name, const char *digest, const char *site,
               struct mt_entry **entry, struct mt_answer *a) {
    switch (exec_next(x, kind, name, digest, site, entry, a)) {
    case FOUND_LEAVE:
        return true;
    case FOUND_ANSWERED:
        exec_give(x, *entry, a);
        return true;
    case FOUND_PENDING:
        if (!x->judging) break;
        exec_leave(x, LEAVE_JUDGED, a);
        return true;
    case FOUND_NEW:
        break;
    }
    return false;
}

void exec_stopped_early(struct mt_exec *x) {
    const struct mt_entry *open = x->entries[x->seq - 1];
    mismatch(x, x->entries[x->seq], open->kind, open->name, false, open->site, NULL);
}

/* The script has ended, but its journal goes on. */
void exec_ended_early(struct mt_exec *x, const char *how, const char *site) {
    mismatch(x, x->entries[x->seq], how, "", false, site, NULL);
}
