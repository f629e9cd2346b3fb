/* The schedules of the newest generation: what is due starts a run, keyed by the due instant. Invariant: the
 * store keeps, for each name, up to when its instants have been looked after, and this moves in the batch
 * that starts the run; so an instant has one run, whatever dies in between and however often files are
 * loaded. The list is changed by the dater's thread (dated_lock) and read by any, under its lock. */
#include "engine/internal.h"
#include "engine/schedule.h"
#include <stdlib.h>
#include <string.h>

#define META_NAMES "schedules" /* of whom there is a state: a list */
#define MISSED_MOST 1000
#define GRACE_MS 60000 /* an instant that is longer ago was missed */

struct scheduled {
    struct mt_schedule s;
    int64_t upto; /* instants up to this one have been looked after */
    int64_t next;
    int64_t last; /* that a run was started for; 0: none */
    char last_run[MT_ID_SIZE];
    char problem[256]; /* why the last one was not started */
};

struct schedules {
    char generation[80];
    pthread_mutex_t lock; /* list, count and what is in it, for others than the dater */
    struct scheduled *list;
    size_t count;
    atomic_uint_fast64_t started, missed, failed, lag_ms;
};

struct schedules *schedules_new(void) {
    struct schedules *s = mt_calloc(1, sizeof *s);
    pthread_mutex_init(&s->lock, NULL);
    return s;
}

static void free_list(struct scheduled *list, size_t count) {
    for (size_t i = 0; i < count; i++) mt_schedule_clear(&list[i].s);
    free(list);
}

void schedules_free(struct schedules *s) {
    free_list(s->list, s->count);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

/* ---- what the store keeps ---- */

static void meta_key(const char *name, char out[96]) {
    mt_format(out, 96, "schedule.%s", name);
}

static char *state_text(const struct scheduled *x) {
    char signature[640];
    mt_schedule_signature(&x->s, signature, sizeof signature);
    json_t *state = json_pack("{s:s, s:I, s:I, s:s}", "when", signature, "upto", (json_int_t)x->upto, "last",
                              (json_int_t)x->last, "run", x->last_run);
    char *text = mt_json_dump(state, NULL);
    json_decref(state);
    return text;
}

/* A key's JSON; *value is NULL when there is none, or what is there says nothing. */
static int get_meta(struct mt_engine *g, const char *key, json_t **value, struct mt_error *e) {
    char *text = NULL;
    struct mt_error ignored;
    *value = NULL;
    if (g->o.store->get_meta(g->o.store, key, &text, e) != 0) return e->kind == MT_NOT_FOUND ? 0 : -1;
    if (text[0]) *value = mt_json_parse(text, strlen(text), &ignored);
    free(text);
    return 0;
}

/* Goes on where this name was; one that is new, or due by another rule, begins now (*fresh). */
static int recall(struct mt_engine *g, struct scheduled *x, int64_t now, bool *fresh, struct mt_error *e) {
    char key[96], signature[640];
    json_t *state;
    meta_key(x->s.name, key);
    if (get_meta(g, key, &state, e) != 0) return -1;
    mt_schedule_signature(&x->s, signature, sizeof signature);
    *fresh = !state || strcmp(mt_json_str(state, "when", ""), signature) != 0;
    x->upto = *fresh ? now : mt_json_int(state, "upto", now);
    x->last = mt_json_int(state, "last", 0);
    mt_copy(x->last_run, sizeof x->last_run, mt_json_str(state, "run", ""));
    x->next = mt_schedule_next(&x->s, x->upto);
    json_decref(state);
    return 0;
}

/* ---- another generation ---- */

struct changes { /* one batch */
    struct mt_op *ops;
    char (*keys)[96], **values;
    size_t count;
};

static void change(struct changes *c, const char *key, char *value) {
    mt_copy(c->keys[c->count], sizeof c->keys[0], key);
    c->values[c->count] = value;
    c->ops[c->count] = (struct mt_op){.type = MT_OP_META, .meta = {c->keys[c->count], value}};
    c->count++;
}

/* The names that are there now, and an end to the states of those that have gone: one that comes back begins
 * anew, since nobody has missed it. */
static int change_names(struct mt_engine *g, struct changes *c, const struct scheduled *list, size_t count,
                        struct mt_error *e) {
    json_t *had, *names = json_array(), *name;
    size_t i;
    if (get_meta(g, META_NAMES, &had, e) != 0) return -1;
    for (size_t k = 0; k < count; k++) json_array_append_new(names, json_string(list[k].s.name));
    json_array_foreach(had, i, name) {
        size_t k = 0;
        while (k < count && strcmp(list[k].s.name, json_string_value(name)) != 0) k++;
        char key[96];
        meta_key(json_string_value(name), key);
        if (k == count && c->count < 2 * MT_SCHEDULES_MAX) change(c, key, mt_strdup(""));
    }
    if (c->count || json_array_size(had) != count) change(c, META_NAMES, mt_json_dump(names, NULL));
    json_decref(names);
    json_decref(had);
    return 0;
}

static int write_changes(struct mt_engine *g, struct scheduled *list, size_t count, const bool *fresh,
                         struct mt_error *e) {
    size_t room = count + 2 * MT_SCHEDULES_MAX + 1;
    struct changes c = {.ops = mt_calloc(room, sizeof *c.ops),
                        .keys = mt_calloc(room, sizeof *c.keys),
                        .values = mt_calloc(room, sizeof *c.values)};
    int rc = 0;
    for (size_t i = 0; i < count; i++) {
        char key[96];
        meta_key(list[i].s.name, key);
        if (fresh[i]) change(&c, key, state_text(&list[i]));
    }
    if (count || g->schedules->count || !g->schedules->generation[0])
        rc = change_names(g, &c, list, count, e);
    struct mt_batch batch = {.ops = c.ops, .count = c.count};
    if (rc == 0 && c.count && (rc = mt_writer_submit(g->writer, &batch)) != 0) *e = batch.error;
    for (size_t i = 0; i < c.count; i++) free(c.values[i]);
    free(c.values);
    free(c.keys);
    free(c.ops);
    return rc;
}

static int read_rows(struct mt_engine *g, const json_t *rows, struct scheduled *list, size_t *count,
                     bool *fresh, struct mt_error *e) {
    size_t i;
    const json_t *row;
    int64_t now = g->o.clock->wall_ms(g->o.clock);
    json_array_foreach(rows, i, row) {
        struct scheduled *x = &list[*count];
        if (*count == MT_SCHEDULES_MAX) break;
        if (mt_schedule_read(row, &x->s, e) != 0) { /* it was read before it was published: a zone has gone */
            mt_err("a schedule cannot be kept", "schedule", mt_json_str(row, "name", ""), "error",
                   e->message);
            mt_schedule_clear(&x->s);
            continue;
        }
        if (recall(g, x, now, &fresh[*count], e) != 0) {
            mt_schedule_clear(&x->s);
            return -1;
        }
        ++*count;
    }
    return 0;
}

/* Takes over the schedules of the newest generation, if it is another. */
static int refresh(struct mt_engine *g, struct mt_error *e) {
    struct schedules *s = g->schedules;
    char generation[80] = "";
    struct mt_script *script = g->o.script;
    json_t *rows = script->schedules ? script->schedules(script, generation) : NULL;
    if (!rows || !generation[0] || strcmp(generation, s->generation) == 0) {
        json_decref(rows);
        return 0;
    }
    size_t count = 0, room = json_array_size(rows) + 1;
    struct scheduled *list = mt_calloc(room, sizeof *list), *old = s->list;
    bool *fresh = mt_calloc(room, sizeof *fresh);
    int rc = read_rows(g, rows, list, &count, fresh, e);
    if (rc == 0) rc = write_changes(g, list, count, fresh, e);
    if (rc == 0) {
        size_t old_count = s->count;
        pthread_mutex_lock(&s->lock);
        s->list = list;
        s->count = count;
        mt_copy(s->generation, sizeof s->generation, generation);
        pthread_mutex_unlock(&s->lock);
        free_list(old, old_count);
    } else {
        free_list(list, count);
    }
    free(fresh);
    json_decref(rows);
    return rc;
}

static struct scheduled *first(struct schedules *s) {
    struct scheduled *first = NULL;
    for (size_t i = 0; i < s->count; i++)
        if (!first || s->list[i].next < first->next) first = &s->list[i];
    return first;
}

int schedules_next(struct mt_engine *g, int64_t *due) {
    struct mt_error e;
    int64_t looking = MT_NEVER;
    /* Before the generation is read: one that comes from now on is seen the next time. */
    int64_t was = atomic_exchange(&g->schedules_due, MT_NEVER);
    if (was == 0 && refresh(g, &e) != 0) {
        mt_err("schedules have to wait", "error", e.message);
        atomic_store(&g->schedules_due, 0);
        return -1;
    }
    const struct scheduled *x = first(g->schedules);
    *due = x ? x->next : MT_NEVER;
    atomic_compare_exchange_strong(&g->schedules_due, &looking, *due);
    return 0;
}

/* ---- starting ---- */

/* Whether it was no fault of the schedule's. */
static bool passing(const struct mt_error *e) {
    return e->kind == MT_UNAVAILABLE || e->kind == MT_FULL || e->kind == MT_STORE;
}

struct starting {
    struct scheduled after; /* how it stands then; what it points to is the list's */
    char id[MT_ID_SIZE], key[128], digest[33];
    struct mt_buf normal;
};

static int prepare(struct mt_engine *g, struct starting *t, struct mt_error *e) {
    struct mt_script *script = g->o.script;
    char at[25];
    mt_time_format(t->after.upto, at);
    mt_copy(at + 19, 2, "Z"); /* whole seconds */
    mt_format(t->key, sizeof t->key, "schedule-%s-%s", t->after.s.name, at);
    mt_id_new("run_", g->o.clock->wall_ms(g->o.clock), g->o.random, t->id);
    if (script->check_input(script, g->schedules->generation, t->after.s.flow, t->after.s.input, &t->normal,
                            e) != 0)
        return -1;
    engine_digest(g, t->normal.data, t->normal.len, t->digest);
    return secrets_seal(g, t->id, 0, &t->normal, e);
}

static int submit(struct mt_engine *g, struct starting *t, bool start, struct mt_error *e) {
    char meta[96];
    struct mt_op ops[2] = {0};
    meta_key(t->after.s.name, meta);
    if (start) {
        mt_copy(t->after.last_run, sizeof t->after.last_run, t->id);
        t->after.last = t->after.upto;
        ops[1].type = MT_OP_START;
        ops[1].start.id = t->id;
        ops[1].start.flow = t->after.s.flow;
        ops[1].start.key = t->key;
        ops[1].start.input = t->normal.data;
        ops[1].start.input_digest = t->digest;
        ops[1].start.generation = g->schedules->generation;
        ops[1].start.cls = MT_CLASS_START;
        ops[1].start.at = g->o.clock->wall_ms(g->o.clock);
    }
    char *state = state_text(&t->after);
    ops[0] = (struct mt_op){.type = MT_OP_META, .meta = {meta, state}};
    struct mt_batch batch = {.ops = ops, .count = start ? 2 : 1};
    int rc = mt_writer_submit(g->writer, &batch);
    bool reused = rc != 0 && start && batch.failed == 1 && ops[1].result == MT_RES_KEY_REUSED;
    if (start && rc == 0 && ops[1].result == MT_RES_EXISTS)
        mt_copy(t->after.last_run, sizeof t->after.last_run, ops[1].start.existing.id);
    if (start) mt_run_clear(&ops[1].start.existing);
    free(state);
    if (rc != 0) *e = batch.error;
    if (reused) return mt_fail(e, MT_CONFLICT, "the run %s exists already with another input", t->key);
    if (rc != 0 && !passing(e)) return mt_fail(e, MT_UNAVAILABLE, "%s", batch.error.message);
    return rc;
}

/* Which instant is to have a run; MT_NEVER: none. *upto: what has been looked after then. */
static int64_t choose(struct schedules *s, const struct scheduled *x, int64_t now, int64_t *upto) {
    bool more;
    size_t most = x->s.catch_up == MT_CATCH_UP_ALL ? MISSED_MOST : 1;
    int64_t at = mt_schedule_missed(&x->s, x->upto, now, most, &more);
    *upto = at;
    if (more) {
        char since[25];
        mt_time_format(x->next, since);
        atomic_fetch_add_explicit(&s->missed, 1, memory_order_relaxed);
        mt_warn("a schedule has missed instants that get no run of their own", "schedule", x->s.name, "since",
                since, "catch_up", mt_catch_up_name(x->s.catch_up));
    }
    if (x->s.catch_up != MT_CATCH_UP_SKIP || now - at <= GRACE_MS) return at;
    if (!more) atomic_fetch_add_explicit(&s->missed, 1, memory_order_relaxed);
    return MT_NEVER;
}

int schedules_carry_out(struct mt_engine *g) {
    struct schedules *s = g->schedules;
    struct scheduled *x = first(s);
    struct mt_error e = {0};
    int64_t now = g->o.clock->wall_ms(g->o.clock), upto;
    if (!x || x->next > now) return 0;
    struct starting t = {.after = *x};
    int64_t at = choose(s, x, now, &upto);
    t.after.upto = upto;
    t.after.problem[0] = '\0';
    mt_buf_init(&t.normal, MT_VALUE_MAX);
    bool start = at != MT_NEVER;
    int rc = start ? prepare(g, &t, &e) : 0;
    if (rc == 0) rc = submit(g, &t, start, &e);
    if (rc != 0 && !passing(&e)) { /* it would fail again: this instant has no run, the next one may */
        mt_err("a schedule could not start its flow", "schedule", x->s.name, "flow", x->s.flow, "error",
               e.message);
        atomic_fetch_add_explicit(&s->failed, 1, memory_order_relaxed);
        t.after.last = x->last;
        mt_copy(t.after.last_run, sizeof t.after.last_run, x->last_run);
        mt_copy(t.after.problem, sizeof t.after.problem, e.message);
        start = false;
        rc = submit(g, &t, false, &e);
    }
    mt_buf_clear(&t.normal);
    if (rc != 0) {
        mt_err("a schedule has to wait", "schedule", x->s.name, "error", e.message);
        return -1;
    }
    if (start) {
        atomic_fetch_add_explicit(&s->started, 1, memory_order_relaxed);
        atomic_store(&s->lag_ms, (uint64_t)(now - at));
    }
    t.after.next = mt_schedule_next(&x->s, t.after.upto);
    pthread_mutex_lock(&s->lock);
    *x = t.after;
    pthread_mutex_unlock(&s->lock);
    return 0;
}

/* ---- telling ---- */

static json_t *time_json(int64_t ms) {
    char at[25];
    if (ms <= 0 || ms == MT_NEVER) return json_null();
    mt_time_format(ms, at);
    return json_string(at);
}

static json_t *schedule_json(const struct scheduled *x) {
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:o, s:o, s:s?, s:s?, s:s}", "name", x->s.name, "flow",
                     x->s.flow, "kind", x->s.is_cron ? "cron" : "every", "when", x->s.when, "zone", x->s.zone,
                     "catch_up", mt_catch_up_name(x->s.catch_up), "next_at", time_json(x->next), "last_at",
                     time_json(x->last), "last_run", x->last_run[0] ? x->last_run : NULL, "problem",
                     x->problem[0] ? x->problem : NULL, "site", x->s.site);
}

void mt_engine_schedules(struct mt_engine *g, struct mt_buf *out) {
    struct schedules *s = g->schedules;
    json_t *data = json_array(), *row;
    size_t i;
    pthread_mutex_lock(&s->lock);
    for (size_t k = 0; k < s->count; k++) json_array_append_new(data, schedule_json(&s->list[k]));
    pthread_mutex_unlock(&s->lock);
    json_array_foreach(data, i, row) {
        struct mt_run run;
        struct mt_error ignored;
        const char *id = mt_json_str(row, "last_run", NULL), *state = NULL;
        if (id && g->o.store->get_run(g->o.store, id, &run, &ignored) == 0) {
            state = mt_run_state_name(run.state);
            mt_run_clear(&run);
        }
        json_object_set_new(row, "last_state", state ? json_string(state) : json_null());
    }
    json_t *root = json_pack("{s:o, s:n}", "data", data, "next_cursor");
    size_t len;
    char *text = mt_json_dump(root, &len);
    mt_buf_add(out, text, len);
    free(text);
    json_decref(root);
}

static void counter(struct mt_buf *out, const char *name, const char *type, const char *help,
                    uint64_t value) {
    mt_buf_addf(out, "# HELP %s %s\n# TYPE %s %s\n%s %llu\n", name, help, name, type, name,
                (unsigned long long)value);
}

void schedules_metrics(struct mt_engine *g, struct mt_buf *out) {
    struct schedules *s = g->schedules;
    counter(out, "mintage_schedule_starts_total", "counter", "Runs started by schedules.",
            atomic_load(&s->started));
    counter(out, "mintage_schedule_failures_total", "counter",
            "Due instants whose flow could not be started.", atomic_load(&s->failed));
    counter(out, "mintage_schedule_gaps_total", "counter",
            "Times that a schedule had missed instants which got no run of their own.",
            atomic_load(&s->missed));
    counter(out, "mintage_schedule_lag_milliseconds", "gauge", "How late the last scheduled run was started.",
            atomic_load(&s->lag_ms));
    pthread_mutex_lock(&s->lock);
    if (s->count)
        mt_buf_adds(out, "# HELP mintage_schedule_next_timestamp_seconds When each schedule is due next.\n"
                         "# TYPE mintage_schedule_next_timestamp_seconds gauge\n");
    for (size_t i = 0; i < s->count; i++)
        if (s->list[i].next != MT_NEVER)
            mt_buf_addf(out, "mintage_schedule_next_timestamp_seconds{schedule=\"%s\"} %.3f\n",
                        s->list[i].s.name, (double)s->list[i].next / 1000);
    pthread_mutex_unlock(&s->lock);
}
