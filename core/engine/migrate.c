/* Moving runs to newer code (migrate.h). Invariant: a run is moved only while nobody executes it and its
 * journal is the one that was judged; the store checks both in the commit that moves it. Any thread. */
#include "engine/migrate.h"
#include "base/sync.h"
#include "engine/internal.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MOVES_MAX 20 /* that are remembered of a run */
#define CALL_MS 5000 /* a call begins no further run after so long */
#define BUSY_MS 1000 /* busy ones are tried again for so long */
#define BUSY_PAUSE_MS 20

static const char *const names[] = {
    [MT_MOVED] = "moved",
    [MT_WOULD_MOVE] = "would_move",
    [MT_PARTS_WAYS] = "parts_ways",
    [MT_BUSY] = "busy",
    [MT_OVER] = "ended",
    [MT_SAME] = "same",
};

const char *mt_moved_name(enum mt_moved m) {
    return names[m];
}

void mt_migration_clear(struct mt_migration *m) {
    free(m->expected);
    free(m->found);
    memset(m, 0, sizeof *m);
}

/* ---- how they part ways ---- */

/* "checkout.lua:31" */
static void split_site(const char *site, struct mt_migration *m) {
    const char *colon = strrchr(site, ':');
    int64_t line;
    if (!colon || !mt_parse_int(colon + 1, 1, INT32_MAX, &line)) return;
    mt_format(m->file, sizeof m->file, "%.*s", (int)(colon - site), site);
    m->line = (int)line;
}

static char *effect_text(const char *kind, const char *name, const char *line) {
    json_t *effect = json_pack("{s:s, s:s, s:s}", "kind", kind, "name", name, "line", line);
    char *text = mt_json_dump(effect, NULL);
    json_decref(effect);
    return text;
}

static void add_effect(struct mt_buf *b, const json_t *effect) {
    const char *name = mt_json_str(effect, "name", "");
    mt_buf_addf(b, "%s%s%s", mt_json_str(effect, "kind", ""), name[0] ? " " : "", name);
}

/* The script asked for another effect: the words of the mismatch, without what to do about it. */
static void tell_mismatch(const struct mt_exec *x, struct mt_migration *m) {
    const json_t *had = json_object_get(x->park_details, "expected");
    const json_t *found = json_object_get(x->park_details, "found");
    struct mt_buf b;
    m->expected = mt_json_dump(had, NULL);
    m->found = mt_json_dump(found, NULL);
    split_site(mt_json_str(found, "line", ""), m);
    mt_buf_init(&b, sizeof m->message);
    mt_buf_addf(&b, "effect %d is ", m->seq);
    add_effect(&b, had);
    mt_buf_addf(&b, " (journaled at %s), the newer code asks for ", mt_json_str(had, "line", ""));
    add_effect(&b, found);
    if (mt_json_bool(x->park_details, "other_parameters", false)) mt_buf_adds(&b, " with other parameters");
    mt_copy(m->message, sizeof m->message, b.data);
    mt_buf_clear(&b);
}

static void tell_parting(const struct mt_exec *x, struct mt_migration *m) {
    m->seq = (int)x->seq + 1;
    if (x->error.kind == MT_MISMATCH) {
        tell_mismatch(x, m);
        return;
    }
    if (x->seq < x->stored) {
        const struct mt_entry *had = x->entries[x->seq];
        m->expected = effect_text(had->kind, had->name, had->site);
    }
    m->found = effect_text("error", mt_kind_name(x->error.kind), x->error_site);
    split_site(x->error_site, m);
    mt_copy(m->message, sizeof m->message, x->error.message);
    mt_mask_digits(m->message, strlen(m->message)); /* the words are the script's own */
}

/* ---- calls under way ---- */

/* A generation's own definition of a provider, as its manifest has it; NULL: none. New reference. */
static json_t *definition_of(struct mt_engine *g, const char *generation, const char *provider) {
    char *text = NULL;
    struct mt_error e;
    size_t i;
    json_t *row, *found = NULL;
    if (g->o.store->get_generation(g->o.store, generation, &text, &e) != 0) return NULL;
    json_t *manifest = mt_json_parse(text, strlen(text), &e);
    json_array_foreach(json_object_get(manifest, "providers"), i, row) {
        if (strcmp(mt_json_str(row, "name", ""), provider) == 0) found = json_incref(row);
    }
    json_decref(manifest);
    free(text);
    return found;
}

/* What was sent by one definition of a provider is not found out about by another. */
static bool same_definition(struct mt_engine *g, const struct mt_entry *entry, const char *from,
                            const char *to) {
    char provider[64];
    bool asks = strcmp(entry->kind, "sleep") != 0 && strcmp(entry->kind, "await") != 0;
    if (entry->outcome != MT_OUTCOME_NONE || !asks ||
        !mt_format(provider, sizeof provider, "%.*s", (int)strcspn(entry->name, "."), entry->name) ||
        mt_provider_named(NULL, provider))
        return true;
    json_t *old = definition_of(g, from, provider), *newer = definition_of(g, to, provider);
    bool same = old == newer || json_equal(old, newer);
    json_decref(old);
    json_decref(newer);
    return same;
}

/* The first effect that is under way by a definition that the newer code has changed; NULL: none. */
static const struct mt_entry *redefined(const struct mt_exec *x, const struct mt_migration *m) {
    for (size_t i = 0; i < x->count; i++)
        if (!same_definition(x->g, x->entries[i], m->from, m->to)) return x->entries[i];
    return NULL;
}

static void tell_redefined(const struct mt_entry *entry, struct mt_migration *m) {
    m->outcome = MT_PARTS_WAYS;
    m->seq = entry->seq;
    m->expected = effect_text(entry->kind, entry->name, entry->site);
    m->found = effect_text("definition", entry->name, "");
    split_site(entry->site, m);
    mt_format(
        m->message, sizeof m->message,
        "effect %d, %s, is under way, and the newer code defines its provider in another way: try again "
        "when it is over",
        entry->seq, entry->name);
}

/* ---- one run ---- */

/* The run's earlier moves and this one. */
static char *moves_with(const struct mt_run *run, const struct mt_migration *m, int64_t at) {
    struct mt_error e;
    char when[25];
    json_t *moves = run->moves ? mt_json_parse(run->moves, strlen(run->moves), &e) : NULL;
    if (!json_is_array(moves)) {
        json_decref(moves);
        moves = json_array();
    }
    while (json_array_size(moves) >= MOVES_MAX) json_array_remove(moves, 0);
    mt_time_format(at, when);
    json_array_append_new(moves, json_pack("{s:s, s:s, s:s, s:i, s:i}", "at", when, "from", m->from, "to",
                                           m->to, "segment", run->segment, "after", run->entries));
    char *text = mt_json_dump(moves, NULL);
    json_decref(moves);
    return text;
}

static void tell_moved(struct mt_engine *g, const struct mt_migration *m) {
    struct mt_run run;
    struct mt_error e;
    mt_info("a run was moved to newer code", "run", m->run, "flow", m->flow, "from", m->from, "to", m->to);
    if (!engine_heard(g) || g->o.store->get_run(g->o.store, m->run, &run, &e) != 0) return;
    runs_changed(g, &run);
    mt_run_clear(&run);
}

/* Writes the move of a run whose journal, of `run->entries` entries, agrees. */
static int move(struct mt_engine *g, const struct mt_run *run, struct mt_migration *m, struct mt_error *e) {
    int64_t at = g->o.clock->wall_ms(g->o.clock);
    char *moves = moves_with(run, m, at);
    struct mt_op op = {.type = MT_OP_MIGRATE,
                       .migrate = {.run = m->run,
                                   .from = m->from,
                                   .to = m->to,
                                   .segment = run->segment,
                                   .entries = run->entries,
                                   .moves = moves,
                                   .at = at}};
    struct mt_batch batch = {.ops = &op, .count = 1};
    int rc = mt_writer_submit(g->writer, &batch);
    free(moves);
    if (rc == 0) {
        m->outcome = MT_MOVED;
        tell_moved(g, m);
    } else if (op.result == MT_RES_STALE) {
        m->outcome = MT_BUSY;
        rc = 0;
    } else if (op.result == MT_RES_FORBIDDEN) {
        m->outcome = MT_OVER;
        rc = 0;
    } else {
        *e = batch.error;
    }
    return rc;
}

/* Judges the run, and moves it if it agrees. Takes ownership of *run, and leaves it empty. */
static int migrate_run(struct mt_engine *g, struct mt_exec *x, struct mt_run *run, bool dry,
                       struct mt_migration *m, struct mt_error *e) {
    struct mt_run judged;
    const struct mt_entry *open;
    int rc = 0;
    mt_copy(m->from, sizeof m->from, run->generation);
    m->state = run->state;
    m->outcome = MT_SAME;
    if (mt_run_ended(run->state) || run->state == MT_RUN_COMPENSATING) m->outcome = MT_OVER;
    if (m->outcome == MT_OVER || strcmp(m->from, m->to) == 0) {
        mt_run_clear(run);
        return 0;
    }
    run_copy(&judged, run);
    enum judged judgement = exec_judge(x, run, m->to);
    memset(run, 0, sizeof *run); /* it is x's */
    switch (judgement) {
    case JUDGED_AGREES:
        m->outcome = MT_WOULD_MOVE;
        judged.entries = (int)x->stored;
        open = redefined(x, m);
        if (open)
            tell_redefined(open, m);
        else if (!dry)
            rc = move(g, &judged, m, e);
        break;
    case JUDGED_PARTS:
        m->outcome = MT_PARTS_WAYS;
        tell_parting(x, m);
        break;
    case JUDGED_OVER:
        m->outcome = MT_OVER;
        break;
    case JUDGED_FAILED:
        rc = mt_fail(e, MT_STORE, "the journal of run %s could not be read", m->run);
        break;
    }
    exec_reset(x);
    mt_run_clear(&judged);
    return rc;
}

/* Those that were executed or went on meanwhile, once more each as soon as nobody has them. */
static int try_busy_again(struct mt_engine *g, struct mt_exec *x, struct mt_migration *list, size_t count,
                          struct mt_error *e) {
    int64_t until = mt_mono_ns() + BUSY_MS * INT64_C(1000000);
    for (bool busy = true; busy && mt_mono_ns() < until && !atomic_load(&g->stopping);) {
        busy = false;
        for (size_t i = 0; i < count; i++) {
            struct mt_run run;
            if (list[i].outcome != MT_BUSY) continue;
            if (g->o.store->get_run(g->o.store, list[i].run, &run, e) != 0) return -1;
            if (run.owner)
                mt_run_clear(&run);
            else if (migrate_run(g, x, &run, false, &list[i], e) != 0)
                return -1;
            busy = busy || list[i].outcome == MT_BUSY;
        }
        if (busy) engine_nap(g, BUSY_PAUSE_MS);
    }
    return 0;
}

/* ---- many ---- */

/* The runs to look at: the one that was named, or a page of those with other code. One more than the limit
 * tells that there are more. */
static int find_runs(struct mt_engine *g, const struct mt_migrate *o, const char *to, struct mt_run **runs,
                     size_t *count, struct mt_error *e) {
    struct mt_run_filter f = {
        .flow = o->flow, .state = -1, .live = true, .except = to, .limit = o->limit + 1};
    if (o->before) mt_copy(f.before, sizeof f.before, o->before);
    if (!o->run) return g->o.store->list_runs(g->o.store, &f, runs, count, e);
    *runs = mt_calloc(1, sizeof **runs);
    if (g->o.store->get_run(g->o.store, o->run, *runs, e) == 0) {
        *count = 1;
        if (!o->flow || strcmp(o->flow, (*runs)->flow) == 0) return 0;
        mt_fail(e, MT_NOT_FOUND, "run %s is of flow %s, not of %s", o->run, (*runs)->flow, o->flow);
        mt_run_clear(*runs);
    }
    *count = 0;
    free(*runs);
    *runs = NULL;
    return -1;
}

int mt_engine_migrate(struct mt_engine *g, const struct mt_migrate *o, struct mt_migration **list,
                      size_t *count, char next[MT_ID_SIZE], struct mt_error *e) {
    struct mt_run *runs = NULL;
    size_t found = 0, n = 0;
    char to[80] = "";
    int rc = 0;
    int64_t until = mt_mono_ns() + CALL_MS * INT64_C(1000000);
    next[0] = '\0';
    *list = NULL;
    *count = 0;
    g->o.script->current(g->o.script, to);
    if (!to[0]) return mt_fail(e, MT_UNAVAILABLE, "no flows are loaded: there is nothing to move runs to");
    if (find_runs(g, o, to, &runs, &found, e) != 0) return -1;
    struct mt_exec *x = exec_new(g);
    struct mt_migration *made = mt_calloc(found + 1, sizeof *made);
    for (; rc == 0 && n < found && (o->run || n < o->limit); n++) {
        struct mt_migration *m = &made[n];
        if (n > 0 && (mt_mono_ns() > until || atomic_load(&g->stopping))) break;
        mt_copy(m->run, sizeof m->run, runs[n].id);
        mt_copy(m->flow, sizeof m->flow, runs[n].flow);
        mt_copy(m->to, sizeof m->to, to);
        rc = migrate_run(g, x, &runs[n], o->dry, m, e);
    }
    if (rc == 0 && !o->dry) rc = try_busy_again(g, x, made, n, e);
    if (rc == 0 && n > 0 && n < found) mt_copy(next, MT_ID_SIZE, made[n - 1].run);
    for (size_t i = 0; i < found; i++) mt_run_clear(&runs[i]); /* those that were taken are empty */
    free(runs);
    exec_free(x);
    if (rc == 0) {
        *list = made;
        *count = n;
        return 0;
    }
    for (size_t i = 0; i < n; i++) mt_migration_clear(&made[i]);
    free(made);
    return -1;
}

/* ---- as JSON ---- */

void mt_migration_to_json(const struct mt_migration *m, struct mt_buf *out) {
    struct mt_error e;
    json_t *obj = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s}", "run", m->run, "flow", m->flow, "state",
                            mt_run_state_name(m->state), "from", m->from, "to", m->to, "outcome",
                            mt_moved_name(m->outcome));
    if (m->outcome == MT_PARTS_WAYS) {
        json_t *expected = m->expected ? mt_json_parse(m->expected, strlen(m->expected), &e) : NULL;
        json_t *effect = m->found ? mt_json_parse(m->found, strlen(m->found), &e) : NULL;
        json_object_set_new(obj, "seq", json_integer(m->seq));
        json_object_set_new(obj, "expected", expected ? expected : json_null());
        json_object_set_new(obj, "found", effect ? effect : json_null());
        json_object_set_new(obj, "file", m->file[0] ? json_string(m->file) : json_null());
        json_object_set_new(obj, "line", m->line ? json_integer(m->line) : json_null());
        json_object_set_new(obj, "message", json_string(m->message));
    }
    char *text = mt_json_dump(obj, NULL);
    mt_buf_adds(out, text);
    free(text);
    json_decref(obj);
}
