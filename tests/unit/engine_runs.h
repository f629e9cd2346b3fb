/* Short ways to begin one run and ask about it, for the tests of single runs. Included by test programs. */
#pragma once
#include "engine_world.h"

/* ---- the flows; `script` is what a test changes ---- */

static int (*script)(struct flow *f);

static void flow_script(struct flow *f) {
    script(f);
}

static void flow_child(struct flow *f) {
    await_event(f, "child", mt_json_str(f->in, "name", "x"), -1);
    finish(f, "{\"ok\":true}");
}

static const struct flow_row flows[] = {{"script", flow_script}, {"child", flow_child}, {0}};

static inline int setup(void **state) {
    *state = world_new(flows, false);
    return 0;
}

static inline int teardown(void **state) {
    world_free(*state);
    return 0;
}

/* Starts, lets it come to rest at this instant, and answers its id. */
static inline const char *begin(struct world *w, int (*what)(struct flow *f)) {
    script = what;
    if (!w->engine) world_open(w);
    const char *id = start_run(w, "script", "{}", NULL);
    assert_true(world_settle(w));
    return id;
}

static inline int cancel(struct world *w, const char *id, struct mt_error *e) {
    struct mt_run run;
    if (mt_engine_cancel(w->engine, id, "changed my mind", &run, e) != 0) return -1;
    mt_run_clear(&run);
    return 0;
}

static inline int retry(struct world *w, const char *id, struct mt_error *e) {
    struct mt_run run;
    if (mt_engine_retry(w->engine, id, &run, e) != 0) return -1;
    mt_run_clear(&run);
    return 0;
}

static inline int resolve(struct world *w, const char *id, int seq, enum mt_outcome outcome,
                          const char *value, struct mt_error *e) {
    struct mt_run run;
    if (mt_engine_resolve(w->engine, id, -1, seq, outcome, value, NULL, &run, e) != 0) return -1;
    mt_run_clear(&run);
    return 0;
}

static inline void assert_error(struct world *w, const char *id, const char *part) {
    struct mt_run run = run_of(w, id);
    if (!run.error || !strstr(run.error, part))
        fail_msg("wanted \"%s\" in: %s", part, run.error ? run.error : "no error");
    mt_run_clear(&run);
}

static inline void assert_output(struct world *w, const char *id, const char *output) {
    struct mt_run run = run_of(w, id);
    assert_int_equal(run.state, MT_RUN_COMPLETED);
    assert_string_equal(run.output, output);
    mt_run_clear(&run);
}
