/* What the C functions that stand for scripts do: effects, with their answers taken as the bindings take
 * them. Included by engine_world.h. */
#pragma once

static inline const char *flow_keep(struct flow *f, const char *s, size_t len) {
    assert_true(f->kept_count < 256);
    return f->kept[f->kept_count++] = mt_memdup(s, len);
}

/* The answer, or out of the flow as the bindings would. */
static inline const char *flow_take(struct flow *f) {
    switch (f->a.step) {
    case MT_STEP_ANSWER:
        return flow_keep(f, f->a.json, f->a.len);
    case MT_STEP_RAISE:
        mt_buf_reset(&f->result->value);
        mt_buf_add(&f->result->value, f->a.json, f->a.len);
        longjmp(f->out, OUT_RAISED);
    case MT_STEP_BUG:
        f->result->error = f->a.error;
        longjmp(f->out, OUT_BUG);
    case MT_STEP_LEAVE:
        longjmp(f->out, OUT_LEFT);
    }
    return NULL;
}

/* flow.try: NULL and *error (JSON) for a definite no. */
static inline const char *flow_take_try(struct flow *f, const char **error) {
    if (f->a.step != MT_STEP_RAISE) return flow_take(f);
    *error = flow_keep(f, f->a.json, f->a.len);
    return NULL;
}

static inline const char *call(struct flow *f, const char *op, const char *params) {
    mt_effect_call(f->x, op, params, strlen(params), "flow.lua:1", &f->a);
    return flow_take(f);
}

static inline const char *try_call(struct flow *f, const char *op, const char *params, const char **error) {
    mt_effect_call(f->x, op, params, strlen(params), "flow.lua:1", &f->a);
    return flow_take_try(f, error);
}

/* A charge at /charge/NAME with NAME as its idempotency key. */
static inline const char *charge(struct flow *f, const char *name) {
    char params[256];
    mt_format(params, sizeof params,
              "{\"idempotency_key\":\"%s-%s\",\"json\":{\"amount\":{\"$money\":\"80.00 "
              "USD\"}},\"url\":\"" WORLD_BASE "/charge/%s\"}",
              mt_exec_run_id(f->x), name, name);
    return call(f, "http.post", params);
}

/* The same without a key: never to be sent twice. */
static inline const char *unsafe_charge(struct flow *f, const char *name) {
    char params[256];
    mt_format(params, sizeof params, "{\"body\":\"80\",\"url\":\"" WORLD_BASE "/unsafe/%s\"}", name);
    return call(f, "http.post", params);
}

static inline const char *store_put(struct flow *f, const char *name) {
    char params[256];
    mt_format(params, sizeof params, "{\"body\":\"x\",\"url\":\"" WORLD_BASE "/put/%s\"}", name);
    return call(f, "http.put", params);
}

static inline const char *read_url(struct flow *f, const char *path) {
    char params[256];
    mt_format(params, sizeof params, "{\"url\":\"" WORLD_BASE "%s\"}", path);
    return call(f, "http.get", params);
}

static inline void undo_charge(struct flow *f, const char *name) {
    char params[256];
    mt_format(params, sizeof params,
              "{\"idempotency_key\":\"%s-undo-%s\",\"url\":\"" WORLD_BASE "/refund/%s\"}",
              mt_exec_run_id(f->x), name, name);
    mt_effect_undo(f->x, "http.post", params, strlen(params), "flow.lua:2", &f->a);
    flow_take(f);
}

static inline void nap(struct flow *f, int64_t ms) {
    mt_effect_sleep(f->x, ms, "flow.lua:3", &f->a);
    flow_take(f);
}

static inline const char *await_event(struct flow *f, const char *topic, const char *key, int64_t within) {
    mt_effect_await(f->x, topic, key, within, "flow.lua:4", &f->a);
    return flow_take(f);
}

static inline const char *start_child(struct flow *f, const char *flow, const char *input, const char *key,
                                      bool detached) {
    mt_effect_start(f->x, flow, input, key, detached, "flow.lua:5", &f->a);
    return flow_take(f);
}

static inline void give_signal(struct flow *f, const char *topic, const char *key, const char *payload) {
    mt_effect_signal(f->x, topic, key, payload, "flow.lua:6", &f->a);
    flow_take(f);
}

static inline void progress(struct flow *f, const char *object) {
    mt_effect_progress(f->x, object, "flow.lua:7", &f->a);
    flow_take(f);
}

static inline void go_on(struct flow *f, const char *input) {
    mt_effect_continue(f->x, input, false, "flow.lua:8", &f->a);
    flow_take(f);
}

static inline const char *documents(struct flow *f, const char *action, const char *params) {
    mt_effect_collection(f->x, &(struct mt_collection){"orders", "[\"number\"]", "[\"state\"]", 0}, action,
                         params, "flow.lua:9", &f->a);
    return flow_take(f);
}

/* flow.fail */
static inline void fail_flow(struct flow *f, const char *kind) {
    mt_buf_reset(&f->result->value);
    mt_buf_addf(&f->result->value, "{\"kind\":\"%s\"}", kind);
    longjmp(f->out, OUT_RAISED);
}

static inline void finish(struct flow *f, const char *json) {
    mt_buf_adds(&f->result->value, json);
}
