/* Looking at other runs as an effect: by id, by the key that they were started with, or page by page through
 * those of a flow. A run's answer is journaled, so it says how things stood when it looked. One thread an
 * execution. */
#include "engine/internal.h"
#include <stdlib.h>
#include <string.h>

#define AT_MOST 20 /* runs of one key: one a flow */
#define PAGE_MOST 100

struct looking_for {
    const char *what; /* id or key; or */
    const char *flow; /* NULL: any */
    int state;        /* -1: any */
    const char *before;
    int64_t limit;
    bool input;
};

/* {"id","flow","key"?,"state","progress"?,"output"?,"error"?}. Inputs stay out unless they are asked for, and
 * hold no secrets. */
static void write_run(struct mt_buf *b, const struct mt_run *run, const struct looking_for *l) {
    const char *const members[] = {run->progress, run->output, run->error,
                                   l->input && !run->gone_at && !secrets_in(run) ? run->input : NULL};
    static const char *const names[] = {"progress", "output", "error", "input"};
    mt_buf_addf(b, "{\"id\":\"%s\",\"flow\":\"%s\",\"state\":\"%s\"", run->id, run->flow,
                mt_run_state_name(run->state));
    if (run->key) {
        mt_buf_adds(b, ",\"key\":");
        mt_buf_add_json_string(b, run->key, strlen(run->key));
    }
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (!members[i]) continue;
        mt_buf_addf(b, ",\"%s\":", names[i]);
        mt_buf_adds(b, members[i]);
    }
    if (!l->what) mt_buf_addf(b, ",\"created_at\":%lld", (long long)run->created_at);
    mt_buf_addc(b, '}');
}

static int read_runs(struct mt_exec *x, const struct looking_for *l, struct mt_run **runs, size_t *count,
                     struct mt_error *e) {
    struct mt_store *s = x->g->o.store;
    const char *what = l->what;
    struct mt_run_filter filter = {.key = what, .flow = l->flow, .state = l->state, .limit = AT_MOST};
    *runs = NULL;
    *count = 0;
    if (!what) {
        filter.limit = (size_t)l->limit;
        mt_copy(filter.before, sizeof filter.before, l->before);
    }
    if (!what || strncmp(what, "run_", 4) != 0) return s->list_runs(s, &filter, runs, count, e);
    *runs = mt_calloc(1, sizeof **runs);
    if (s->get_run(s, what, *runs, e) == 0)
        *count = 1;
    else if (e->kind != MT_NOT_FOUND)
        return -1;
    return 0;
}

static int find(struct mt_exec *x, const struct looking_for *l, struct mt_buf *out, struct mt_error *e) {
    struct mt_run *runs;
    size_t count;
    int rc = read_runs(x, l, &runs, &count, e);
    mt_buf_addc(out, '[');
    for (size_t i = 0; i < count; i++) {
        if (i > 0) mt_buf_addc(out, ',');
        write_run(out, &runs[i], l);
        mt_run_clear(&runs[i]);
    }
    mt_buf_addc(out, ']');
    free(runs);
    if (rc == 0 && !mt_buf_ok(out)) {
        e->outcome = MT_REJECTED;
        rc = mt_fail(e, MT_LIMIT,
                     "flow.find: what was found is larger than %d bytes; find it by its id, or with a "
                     "smaller limit",
                     MT_VALUE_MAX);
    }
    return rc;
}

static void find_for_run(struct mt_exec *x, const struct looking_for *l, const char *params, size_t len,
                         const char *site, struct mt_buf *out, struct mt_answer *a) {
    struct mt_entry *entry;
    struct mt_error e;
    char digest[33];
    engine_digest(x->g, params, len, digest);
    travel_asks(x, params);
    if (exec_over(x, "find", "runs", digest, site, &entry, a)) return;
    entry = exec_append(x, "find", "runs", digest, site);
    entry->params = mt_memdup(params, len);
    if (!exec_flush(x)) /* it may ask for itself */
        a->step = MT_STEP_LEAVE;
    else if (find(x, l, out, &e) == 0)
        exec_answer(x, entry, MT_DONE, mt_memdup(out->data, out->len), false, a);
    else if (e.kind == MT_LIMIT)
        exec_answer(x, entry, MT_REJECTED, error_text(&e), false, a);
    else
        exec_park(x, a, &e, entry->site, NULL);
}

static void look(struct mt_exec *x, const struct looking_for *l, const char *params, size_t len,
                 const char *site, struct mt_answer *a) {
    struct mt_buf out;
    struct mt_error e;
    mt_buf_init(&out, MT_VALUE_MAX);
    if (!x->handler)
        find_for_run(x, l, params, len, site, &out, a);
    else if (find(x, l, &out, &e) == 0)
        exec_give_json(x, out.data, out.len, a);
    else
        exec_give_error(x, &e, a);
    mt_buf_clear(&out);
}

void mt_effect_find(struct mt_exec *x, const char *what, const char *site, struct mt_answer *a) {
    struct looking_for l = {.what = what, .state = -1};
    struct mt_buf params;
    if (!what[0] || strlen(what) >= MT_KEY_MAX) {
        exec_bug(a, "flow.find: a run's id or key has 1 to %d bytes; found %zu", MT_KEY_MAX - 1,
                 strlen(what));
        return;
    }
    mt_buf_init(&params, MT_KEY_MAX * 8);
    mt_buf_add_json_string(&params, what, strlen(what));
    look(x, &l, params.data, params.len, site, a);
    mt_buf_clear(&params);
}

void mt_effect_find_all(struct mt_exec *x, const char *filter, const char *site, struct mt_answer *a) {
    struct mt_error e;
    enum mt_run_state state;
    json_t *o = mt_json_parse(filter, strlen(filter), &e);
    const char *name = mt_json_str(o, "state", NULL);
    struct looking_for l = {.flow = mt_json_str(o, "flow", NULL),
                            .state = -1,
                            .before = mt_json_str(o, "before", ""),
                            .limit = mt_json_int(o, "limit", PAGE_MOST),
                            .input = mt_json_bool(o, "input", false)};
    if (!o)
        exec_bug(a, "flow.find: %s", e.message);
    else if (name && !mt_run_state_from_name(name, &state))
        exec_bug(a, "flow.find: state: found \"%.40s\", wanted a run's state such as \"completed\"", name);
    else if (l.limit < 1 || l.limit > PAGE_MOST)
        exec_bug(a, "flow.find: limit: found %lld, wanted 1 to %d", (long long)l.limit, PAGE_MOST);
    else if (strlen(l.before) >= MT_ID_SIZE)
        exec_bug(a, "flow.find: before: wanted the id of a run");
    else {
        if (name) l.state = (int)state;
        look(x, &l, filter, strlen(filter), site, a);
    }
    json_decref(o);
}
