/* Looking at other runs as an effect: by id, or by the key that they were started with. A run's answer is
 * journaled, so it says how things stood when it looked. One thread an execution. */
#include "engine/internal.h"
#include <stdlib.h>
#include <string.h>

#define AT_MOST 20 /* runs of one key: one a flow */

/* {"id","flow","key"?,"state","progress"?,"output"?,"error"?}. Inputs stay out: they may hold secrets. */
static void write_run(struct mt_buf *b, const struct mt_run *run) {
    const char *const members[] = {run->progress, run->output, run->error};
    static const char *const names[] = {"progress", "output", "error"};
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
    mt_buf_addc(b, '}');
}

static int read_runs(struct mt_exec *x, const char *what, struct mt_run **runs, size_t *count,
                     struct mt_error *e) {
    struct mt_store *s = x->g->o.store;
    struct mt_run_filter by_key = {.key = what, .state = -1, .limit = AT_MOST};
    *runs = NULL;
    *count = 0;
    if (strncmp(what, "run_", 4) != 0) return s->list_runs(s, &by_key, runs, count, e);
    *runs = mt_calloc(1, sizeof **runs);
    if (s->get_run(s, what, *runs, e) == 0)
        *count = 1;
    else if (e->kind != MT_NOT_FOUND)
        return -1;
    return 0;
}

static int find(struct mt_exec *x, const char *what, struct mt_buf *out, struct mt_error *e) {
    struct mt_run *runs;
    size_t count;
    int rc = read_runs(x, what, &runs, &count, e);
    mt_buf_addc(out, '[');
    for (size_t i = 0; i < count; i++) {
        if (i > 0) mt_buf_addc(out, ',');
        write_run(out, &runs[i]);
        mt_run_clear(&runs[i]);
    }
    mt_buf_addc(out, ']');
    free(runs);
    if (rc == 0 && !mt_buf_ok(out)) {
        e->outcome = MT_REJECTED;
        rc = mt_fail(e, MT_LIMIT, "flow.find: what was found is larger than %d bytes; find it by its id",
                     MT_VALUE_MAX);
    }
    return rc;
}

static void find_for_run(struct mt_exec *x, const char *what, const char *site, struct mt_buf *out,
                         struct mt_answer *a) {
    struct mt_buf params;
    struct mt_entry *entry;
    struct mt_error e;
    char digest[33];
    mt_buf_init(&params, MT_KEY_MAX * 8);
    mt_buf_add_json_string(&params, what, strlen(what));
    engine_digest(x->g, params.data, params.len, digest);
    if (!exec_over(x, "find", "runs", digest, site, &entry, a)) {
        entry = exec_append(x, "find", "runs", digest, site);
        entry->params = mt_memdup(params.data, params.len);
        if (!exec_flush(x)) /* it may ask for itself */
            a->step = MT_STEP_LEAVE;
        else if (find(x, what, out, &e) == 0)
            exec_answer(x, entry, MT_DONE, mt_memdup(out->data, out->len), false, a);
        else if (e.kind == MT_LIMIT)
            exec_answer(x, entry, MT_REJECTED, error_text(&e), false, a);
        else
            exec_park(x, a, &e, entry->site, NULL);
    }
    mt_buf_clear(&params);
}

void mt_effect_find(struct mt_exec *x, const char *what, const char *site, struct mt_answer *a) {
    struct mt_buf out;
    struct mt_error e;
    if (!what[0] || strlen(what) >= MT_KEY_MAX) {
        exec_bug(a, "flow.find: a run's id or key has 1 to %d bytes; found %zu", MT_KEY_MAX - 1,
                 strlen(what));
        return;
    }
    mt_buf_init(&out, MT_VALUE_MAX);
    if (!x->handler)
        find_for_run(x, what, site, &out, a);
    else if (find(x, what, &out, &e) == 0)
        exec_give_json(x, out.data, out.len, a);
    else
        exec_give_error(x, &e, a);
    mt_buf_clear(&out);
}
