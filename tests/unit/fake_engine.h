/* An engine in a test's hands: every function of effect.h and engine.h that bindings/ calls, writing down
 * what it was asked and answering what the test has laid out. Included by one file of a test program. Not
 * thread-safe. */
#pragma once
#include "base/buf.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/text.h"
#include "bindings/modules/modules.h"
#include "bindings/modules/script.h"
#include "bindings/vm/vm.h"
#include "crypto/crypto.h"
#include "engine/effect.h"
#include "http/assets.h"
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct mt_exec {
    bool handler;
};

/* What the next effects are answered with, in order; when there is nothing left: null. */
struct canned {
    enum mt_step step;
    const char *json;
};

static struct {
    struct mt_buf log; /* "call mintro.intents.get {...} @t.lua:3\n" */
    struct canned answers[32];
    size_t count, next;
    int64_t now;
    uint64_t counter;
    int commits[8]; /* what mt_handler_commit answers, in order; 0 afterwards */
    size_t commit;
    int begun, ended;
} engine;

static inline void engine_reset(void) {
    mt_buf_clear(&engine.log);
    memset(&engine, 0, sizeof(engine));
    mt_buf_init(&engine.log, 1024 * 1024);
    engine.now = INT64_C(1795168800000); /* 2026-11-20T10:00:00Z */
}

static inline void engine_answers(enum mt_step step, const char *json) {
    engine.answers[engine.count++] = (struct canned){step, json};
}

static void asked(const char *site, struct mt_answer *a, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void asked(const char *site, struct mt_answer *a, const char *format, ...) {
    va_list args;
    va_start(args, format);
    mt_buf_addv(&engine.log, format, args);
    va_end(args);
    mt_buf_addf(&engine.log, " @%s\n", site);
    struct canned c = {MT_STEP_ANSWER, "null"};
    if (engine.next < engine.count) c = engine.answers[engine.next++];
    a->step = c.step;
    a->json = c.json;
    a->len = c.json != NULL ? strlen(c.json) : 0;
    if (c.step == MT_STEP_BUG) mt_fail(&a->error, MT_SCRIPT, "%s", c.json);
}

bool mt_exec_operated(const struct mt_exec *x) {
    (void)x;
    return false;
}
void mt_handler_settle(struct mt_exec *x, struct mt_answer *a) {
    (void)x, (void)a;
}
bool mt_exec_is_handler(const struct mt_exec *x) {
    return x->handler;
}
int64_t mt_exec_now(struct mt_exec *x) {
    return (void)x, engine.now;
}
const char *mt_exec_run_id(const struct mt_exec *x) {
    return x->handler ? "" : "run_0";
}
const char *mt_exec_run_key(const struct mt_exec *x) {
    return (void)x, "order-1";
}
const char *mt_exec_flow(const struct mt_exec *x) {
    return (void)x, "t";
}

void mt_exec_random(struct mt_exec *x, void *out, size_t len) {
    (void)x;
    for (size_t i = 0; i < len; i++) {
        engine.counter = engine.counter * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        ((uint8_t *)out)[i] = (uint8_t)(engine.counter >> 56);
    }
}

/* As the engine does it, under keys that are known. */
int mt_exec_seal(struct mt_exec *x, const char *place, size_t place_len, const void *text, size_t len,
                 struct mt_buf *out, struct mt_error *e) {
    struct mt_seal_key key = {{1}};
    (void)x;
    return mt_seal_same(&key, place, place_len, text, len, out, e);
}

int mt_exec_unseal(struct mt_exec *x, const char *place, size_t place_len, const void *sealed, size_t len,
                   struct mt_buf *out, struct mt_error *e) {
    struct mt_seal_key key = {{1}};
    (void)x;
    return mt_unseal(&key, place, place_len, sealed, len, out, e);
}

void mt_exec_mac(struct mt_exec *x, const void *text, size_t len, uint8_t out[32]) {
    (void)x;
    mt_hmac_sha256("fake", 4, text, len, out);
}

bool mt_exec_token_run(struct mt_exec *x, const char *token, char *run_id, size_t size) {
    (void)x;
    return strncmp(token, "token-of-", 9) == 0 && mt_format(run_id, size, "%s", token + 9);
}

void mt_exec_checkout_url(struct mt_exec *x, const char *run_id, char *out, size_t size) {
    (void)x;
    mt_format(out, size, "http://127.0.0.1:8080/checkout/token-of-%s", run_id);
}

void mt_effect_call(struct mt_exec *x, const char *operation, const char *params, size_t len,
                    const char *site, struct mt_answer *a) {
    (void)x;
    asked(site, a, "call %s %.*s", operation, (int)len, params);
}

bool mt_effect_unless(struct mt_exec *x, const char *topic, const char *key, const char *operation,
                      const char *params, size_t len, const char *site, struct mt_answer *a) {
    (void)x;
    asked(site, a, "unless %s/%s %s %.*s", topic, key, operation, (int)len, params);
    return a->step == MT_STEP_ANSWER && strstr(a->json, "\"payload\"") != NULL;
}

void mt_effect_configured(struct mt_exec *x, size_t n, const char *const *operations, const char *site,
                          struct mt_answer *a) {
    (void)x;
    asked(site, a, "configured %zu, the first %s", n, operations[0]);
}

void mt_effect_all(struct mt_exec *x, size_t n, const char *const *operations, const char *const *params,
                   const char *site, struct mt_answer *a) {
    (void)x;
    for (size_t i = 0; i < n; i++) mt_buf_addf(&engine.log, "one of all: %s %s\n", operations[i], params[i]);
    asked(site, a, "all %zu", n);
}

void mt_effect_undo(struct mt_exec *x, const char *operation, const char *params, size_t len,
                    const char *site, struct mt_answer *a) {
    (void)x;
    asked(site, a, "undo %s %.*s", operation, (int)len, params);
}

void mt_effect_sleep(struct mt_exec *x, int64_t ms, const char *site, struct mt_answer *a) {
    (void)x;
    asked(site, a, "sleep %lld", (long long)ms);
}

void mt_effect_sleep_until(struct mt_exec *x, int64_t instant_ms, const char *site, struct mt_answer *a) {
    (void)x;
    asked(site, a, "sleep_until %lld", (long long)instant_ms);
}

void mt_effect_await(struct mt_exec *x, const char *topic, const char *key, int64_t within_ms,
                     const char *site, struct mt_answer *a) {
    (void)x;
    asked(site, a, "await %s/%s %lld", topic, key, (long long)within_ms);
}

void mt_effect_start(struct mt_exec *x, const char *flow, const char *input, const char *key, bool detached,
                     const char *site, struct mt_answer *a) {
    (void)x;
    asked(site, a, "start %s %s key=%s%s", flow, input, key != NULL ? key : "-", detached ? " detached" : "");
}

void mt_effect_signal(struct mt_exec *x, const char *topic, const char *key, const char *payload,
                      const char *site, struct mt_answer *a) {
    (void)x;
    asked(site, a, "signal %s/%s %s", topic, key, payload);
}

void mt_effect_find(struct mt_exec *x, const char *what, const char *site, struct mt_answer *a) {
    (void)x;
    asked(site, a, "find %s", what);
}

void mt_effect_find_all(struct mt_exec *x, const char *filter, const char *site, struct mt_answer *a) {
    (void)x;
    asked(site, a, "find %s", filter);
}

void mt_effect_progress(struct mt_exec *x, const char *object, const char *site, struct mt_answer *a) {
    (void)x;
    asked(site, a, "progress %s", object);
}

void mt_effect_log(struct mt_exec *x, const char *level, const char *message, const char *details,
                   const char *site, struct mt_answer *a) {
    (void)x;
    asked(site, a, "log %s %s %s", level, message, details);
}

void mt_effect_continue(struct mt_exec *x, const char *input, bool keep, const char *site,
                        struct mt_answer *a) {
    (void)x;
    asked(site, a, "continue %s%s", input, keep ? " keep" : "");
    a->step = MT_STEP_LEAVE;
}

void mt_effect_pure(struct mt_exec *x, const char *name, const char *params,
                    int (*compute)(void *arg, struct mt_buf *json, struct mt_error *e), void *arg,
                    const char *site, struct mt_answer *a) {
    static struct mt_buf computed;
    (void)x;
    mt_buf_addf(&engine.log, "pure %s %s @%s\n", name, params, site);
    if (computed.data == NULL) mt_buf_init(&computed, 65536);
    mt_buf_reset(&computed);
    a->step = compute(arg, &computed, &a->error) == 0 ? MT_STEP_ANSWER : MT_STEP_BUG;
    a->json = computed.data;
    a->len = computed.len;
}

void mt_effect_collection(struct mt_exec *x, const struct mt_collection *c, const char *action,
                          const char *params, const char *site, struct mt_answer *a) {
    (void)x;
    asked(site, a, "collection %s %s%s %s %s", c->name, c->unique, c->index, action, params);
}

void mt_effect_deliver(struct mt_exec *x, const char *delivery, const char *site, struct mt_answer *a) {
    (void)x;
    asked(site, a, "deliver %s", delivery);
}

void mt_effect_schedule(struct mt_exec *x, int64_t at_ms, const char *name, const char *payload,
                        const char *site, struct mt_answer *a) {
    (void)x;
    asked(site, a, "schedule %lld %s %s", (long long)at_ms, name, payload);
}

struct mt_exec *mt_handler_begin(struct mt_engine *g, const char *name) {
    (void)g;
    (void)name;
    struct mt_exec *x = mt_calloc(1, sizeof(*x));
    x->handler = true;
    engine.begun++;
    return x;
}

bool mt_handler_overtaken(struct mt_exec *x) {
    (void)x;
    return false;
}

int mt_handler_commit(struct mt_exec *x, struct mt_error *e) {
    (void)x;
    int rc = engine.commit < 8 ? engine.commits[engine.commit++] : 0;
    return rc < 0 ? mt_fail(e, MT_UNAVAILABLE, "the store is away") : rc;
}

void mt_handler_generation(struct mt_exec *x, const char *id) {
    (void)x, (void)id;
}

void mt_handler_task(struct mt_exec *x, int64_t n) {
    (void)x;
    mt_buf_addf(&engine.log, "task %lld\n", (long long)n);
}

void mt_handler_end(struct mt_exec *x) {
    engine.ended++;
    free(x);
}

const struct mt_asset mt_assets[] = {
    {.path = "shop/index.html", .data = (const unsigned char *)"<p>shop</p>", .len = 11, .etag = "\"e\""},
    {.path = NULL},
};

/* ---- a world: a VM and scripts over it ---- */

struct world {
    struct mt_vm *vm;
    struct mt_scripts *scripts;
};

static inline int world_setup(void **state) {
    struct world *w = mt_calloc(1, sizeof(*w));
    struct mt_error e;
    struct mt_vm_options o = {.modules = mt_modules};
    engine_reset();
    w->vm = mt_vm_new(&o, &e);
    if (w->vm == NULL) return -1;
    struct mt_scripts_options so = {.vm = w->vm};
    w->scripts = mt_scripts_new(&so);
    mt_scripts_bind(w->scripts, (struct mt_engine *)w); /* only handed back to the functions above */
    *state = w;
    return 0;
}

static inline int world_teardown(void **state) {
    struct world *w = *state;
    mt_scripts_free(w->scripts);
    mt_vm_free(w->vm);
    free(w);
    mt_buf_clear(&engine.log);
    memset(&engine, 0, sizeof(engine));
    return 0;
}

/* Publishes one file. -1 and e when it does not load. */
static inline int world_load_all(struct world *w, const struct mt_source *files, size_t count,
                                 struct mt_error *e) {
    struct mt_generation *g = mt_generation_load(w->vm, files, count, NULL, e);
    if (g == NULL) return -1;
    int rc = mt_scripts_publish(w->scripts, g, e);
    mt_generation_release(g);
    return rc;
}

static inline int world_load(struct world *w, const char *name, const char *text, struct mt_error *e) {
    struct mt_source file = {name, text, strlen(text)};
    return world_load_all(w, &file, 1, e);
}

/* Runs a flow of the current generation; the result is the caller's to clear. */
static inline void world_run(struct world *w, const char *flow, const char *input,
                             struct mt_script_result *r) {
    struct mt_exec x = {.handler = false};
    char generation[80];
    struct mt_script *s = mt_scripts_vtable(w->scripts);
    memset(r, 0, sizeof(*r));
    mt_buf_init(&r->value, MT_VALUE_MAX);
    mt_buf_init(&r->traceback, 65536);
    s->current(s, generation);
    s->execute(s, &x, generation, flow, input, r);
}

static inline void result_clear(struct mt_script_result *r) {
    mt_buf_clear(&r->value);
    mt_buf_clear(&r->traceback);
}
