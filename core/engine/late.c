/* Late events: those that came when everyone who had asked for them had ended (store.h). Each starts the
 * `late` handler of its run's flow, or is told to people. Invariant: an event is looked after in the batch
 * that starts its handler, so that it happens once whatever dies in between. The dater's thread. */
#include "engine/internal.h"
#include <stdlib.h>
#include <string.h>

#define AT_ONCE 16

struct looking {
    struct mt_engine *g;
    const struct mt_event *event;
    struct mt_run run; /* that it came too late for */
    char flow[MT_NAME_MAX], generation[80];
    struct mt_buf input, normal;
};

enum looked { LOOKED, NO_HANDLER, IN_TROUBLE };

/* ---- the handler's input ---- */

static void member(struct mt_buf *b, const char *name, const char *json) {
    if (!json) return;
    mt_buf_addf(b, ",\"%s\":", name);
    mt_buf_adds(b, json);
}

static void text_member(struct mt_buf *b, const char *name, const char *text) {
    if (!text) return;
    mt_buf_addf(b, ",\"%s\":", name);
    mt_buf_add_json_string(b, text, strlen(text));
}

/* {"event","at","topic","key","payload","run":{...}}. An input with secrets is left out: they are sealed for
 * the run that has ended. `brief` leaves out all that a large run may have made too large. */
static void write_input(struct looking *l, bool brief) {
    struct mt_buf *b = &l->input;
    mt_buf_reset(b);
    mt_buf_addf(b, "{\"event\":%lld,\"at\":%lld", (long long)l->event->n, (long long)l->event->at);
    text_member(b, "topic", l->event->topic);
    text_member(b, "key", l->event->key);
    member(b, "payload", l->event->payload);
    mt_buf_addf(b, ",\"run\":{\"id\":\"%s\"", l->run.id);
    text_member(b, "flow", l->run.flow);
    text_member(b, "key", l->run.key);
    text_member(b, "state", mt_run_state_name(l->run.state));
    member(b, "error", l->run.error);
    if (!brief) {
        member(b, "output", l->run.output);
        member(b, "progress", l->run.progress);
        member(b, "input", secrets_in(&l->run) || l->run.gone_at ? NULL : l->run.input);
    }
    mt_buf_adds(b, "}}");
}

/* ---- finding the handler ---- */

/* Whether it was no fault of the flow's that it could not be asked. */
static bool passing(const struct mt_error *e) {
    return e->kind == MT_UNAVAILABLE || e->kind == MT_FULL || e->kind == MT_STORE;
}

static int ask(struct looking *l, const char *generation, struct mt_error *e) {
    struct mt_script *script = l->g->o.script;
    mt_copy(l->generation, sizeof l->generation, generation);
    if (!generation[0]) return mt_fail(e, MT_NOT_FOUND, "no flows are loaded");
    for (int brief = 0; brief < 2; brief++) {
        write_input(l, brief);
        mt_buf_reset(&l->normal);
        if (script->check_input(script, generation, l->flow, l->input.data, &l->normal, e) == 0) return 0;
        if (e->kind != MT_LIMIT) break;
    }
    return -1;
}

/* The newest flows first, as for any new run; a flow that has gone from them is asked as it was. */
static enum looked find_handler(struct looking *l, struct mt_error *e) {
    char newest[80] = "";
    if (!mt_format(l->flow, sizeof l->flow, "%s.late", l->run.flow)) return NO_HANDLER;
    l->g->o.script->current(l->g->o.script, newest);
    if (ask(l, newest, e) == 0) return LOOKED;
    if (e->kind == MT_NOT_FOUND && strcmp(newest, l->run.generation) != 0 &&
        ask(l, l->run.generation, e) == 0)
        return LOOKED;
    return passing(e) ? IN_TROUBLE : NO_HANDLER;
}

/* ---- looking after one ---- */

static enum looked commit(struct looking *l, struct mt_op *ops, size_t count, struct mt_error *e) {
    struct mt_batch batch = {.ops = ops, .count = count};
    if (mt_writer_submit(l->g->writer, &batch) == 0) return LOOKED;
    *e = batch.error;
    enum mt_op_result refused = batch.failed < count ? ops[batch.failed].result : MT_RES_OK;
    if (refused == MT_RES_MISSING) return LOOKED; /* another has looked after it */
    return refused == MT_RES_KEY_REUSED ? NO_HANDLER : IN_TROUBLE;
}

static struct mt_op looked_after(const struct looking *l, enum mt_late late) {
    return (struct mt_op){.type = MT_OP_LATE, .late = {.n = l->event->n, .late = late}};
}

static enum looked start_handler(struct looking *l, struct mt_error *e) {
    char id[MT_ID_SIZE], key[40], digest[33];
    struct mt_engine *g = l->g;
    int64_t now = g->o.clock->wall_ms(g->o.clock);
    mt_format(key, sizeof key, "event-%lld", (long long)l->event->n);
    mt_id_new("run_", now, g->o.random, id);
    engine_digest(g, l->normal.data, l->normal.len, digest);
    if (secrets_seal(g, id, 0, &l->normal, e) != 0) return NO_HANDLER;
    struct mt_op ops[2] = {{.type = MT_OP_START,
                            .start = {.id = id,
                                      .flow = l->flow,
                                      .key = key,
                                      .input = l->normal.data,
                                      .input_digest = digest,
                                      .generation = l->generation,
                                      .cls = MT_CLASS_START,
                                      .at = now}},
                           looked_after(l, MT_LATE_HANDLED)};
    enum looked end = commit(l, ops, 2, e);
    mt_run_clear(&ops[0].start.existing);
    if (end != LOOKED) return end;
    atomic_fetch_add_explicit(&g->late_handled, 1, memory_order_relaxed);
    mt_info("an event came after its run had ended; the flow's late handler has been started", "topic",
            l->event->topic, "run", l->run.id, "started", id);
    return LOOKED;
}

/* A hint only says that there is something to read. One for a run that has completed is mostly the news that
 * the run had read by itself already. */
static bool old_news(const struct looking *l) {
    if (l->run.state != MT_RUN_COMPLETED) return false;
    struct mt_provider_set *set;
    struct mt_error ignored;
    if (engine_providers(l->g, l->run.generation, &set, &ignored) != 0) set = NULL;
    bool hint = mt_provider_hints(set, l->event->topic);
    mt_provider_set_release(set);
    return hint;
}

/* The engine tells parents of their children's ends; nothing comes from outside there. */
static bool own(const struct looking *l) {
    return strcmp(l->event->topic, "run") == 0;
}

static enum looked tell_people(struct looking *l, const struct mt_error *why, struct mt_error *e) {
    bool quiet = own(l) || old_news(l);
    struct mt_op op = looked_after(l, quiet ? MT_LATE_NO : MT_LATE_UNHANDLED);
    if (commit(l, &op, 1, e) != LOOKED) return IN_TROUBLE;
    if (quiet) return LOOKED;
    char n[24];
    mt_format(n, sizeof n, "%lld", (long long)l->event->n);
    atomic_fetch_add_explicit(&l->g->late_unhandled, 1, memory_order_relaxed);
    mt_warn("an event came after its run had ended, and nothing looks after it: the flow has no late handler",
            "event", n, "topic", l->event->topic, "run", l->run.id, "flow", l->run.flow, "state",
            mt_run_state_name(l->run.state), "error", why->message);
    return LOOKED;
}

static enum looked look_after(struct mt_engine *g, const struct mt_event *event, struct mt_error *e) {
    struct looking l = {.g = g, .event = event};
    struct mt_error why = {0};
    if (g->o.store->get_run(g->o.store, event->late_run, &l.run, e) != 0) {
        if (e->kind != MT_NOT_FOUND) return IN_TROUBLE;
        struct mt_op op = looked_after(&l, MT_LATE_UNHANDLED);
        return commit(&l, &op, 1, e);
    }
    mt_buf_init(&l.input, 8 * MT_VALUE_MAX);
    mt_buf_init(&l.normal, MT_VALUE_MAX);
    enum looked end = own(&l) ? NO_HANDLER : find_handler(&l, &why);
    if (end == LOOKED) end = start_handler(&l, &why);
    if (end == IN_TROUBLE) *e = why;
    if (end == NO_HANDLER) end = tell_people(&l, &why, e);
    mt_buf_clear(&l.normal);
    mt_buf_clear(&l.input);
    mt_run_clear(&l.run);
    return end;
}

int late_carry_out(struct mt_engine *g) {
    struct mt_event *events = NULL;
    size_t count = 0;
    struct mt_error e;
    enum looked end = LOOKED;
    if (g->o.store->list_events(g->o.store, NULL, NULL, 0, false, MT_EVENTS_PENDING, AT_ONCE, &events, &count,
                                &e) != 0)
        end = IN_TROUBLE;
    for (size_t i = 0; i < count; i++) {
        if (end == LOOKED) end = look_after(g, &events[i], &e);
        mt_event_clear(&events[i]);
    }
    free(events);
    if (end == LOOKED) return (int)count;
    mt_err("an event that came late has to wait", "error", e.message);
    return -1;
}
