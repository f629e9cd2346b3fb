/* The simulated world: what the driver does with it, and the runtime's deaths. See world.h. */
#include "base/json.h"
#include "base/log.h"
#include "base/text.h"
#include "embedded.h"
#include "world_private.h"
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define START_MS INT64_C(1795166400000) /* 2026-11-20T09:20:00Z */
#define MS INT64_C(1000000)
#define DOWN_MS 2000  /* how long a dead runtime stays down, at most */
enum { IMAGES = 64 }; /* of scripts, that the next world does not load again */

static void random_bytes(struct mt_random *self, void *out, size_t len) {
    struct mt_world *w = (struct mt_world *)((char *)self - offsetof(struct mt_world, random));
    unsigned char *p = out;
    for (size_t i = 0; i < len; i++) p[i] = (unsigned char)mt_baton_choose(w->baton, 256);
}

/* ---- what went on ---- */

void world_log(struct mt_world *w, const char *format, ...) {
    char at[25], *line = w->log->lines[w->log->count++ % LOG_LINES];
    va_list args;
    mt_time_format(mt_baton_wall_ms(w->baton), at);
    size_t n = (size_t)snprintf(line, LOG_LINE, "%s  ", at);
    va_start(args, format);
    vsnprintf(line + n, LOG_LINE - n, format, args);
    va_end(args);
}

char *mt_world_read_log(const void *memory) {
    const struct mt_world_lines *log = memory;
    struct mt_buf b;
    mt_buf_init(&b, MT_WORLD_LOG_SIZE + LOG_LINES);
    uint64_t from = log->count > LOG_LINES ? log->count - LOG_LINES : 0;
    for (uint64_t i = from; i < log->count; i++)
        mt_buf_addf(&b, "%.*s\n", LOG_LINE - 1, log->lines[i % LOG_LINES]);
    return mt_buf_take(&b, NULL);
}

char *mt_world_log(const struct mt_world *w) {
    return mt_world_read_log(w->log);
}

/* What the two sides write to their logs, without the real time it begins with. */
static void keep_line(void *ctx, const char *line, size_t len) {
    const char *text = memchr(line, ' ', len);
    if (text) world_log(ctx, "%.*s", (int)strcspn(text + 1, "\n"), text + 1);
}

/* ---- dying, and standing up again ---- */

static _Noreturn void die(struct mt_world *w) {
    struct mt_world_side *s = &w->sides[SIDE_RUNTIME];
    w->died++;
    w->life++;
    w->since_death = 0;
    s->up = false;
    mt_disk_crash(s->disk, w->o.loss);
    world_net_reset(w);
    w->fallen++;
    mt_futex_wake(&w->fallen);
    mt_baton_kill(w->baton, SIDE_RUNTIME);
    abort(); /* not reached by a task of the runtime */
}

static bool fated(struct mt_world *w) {
    uint64_t at = w->died < MT_WORLD_DEATHS ? w->o.deaths[w->died] : 0;
    return (at && w->since_death == at) || world_chance_dies(w);
}

void world_point(struct mt_world *w, const char *format, ...) {
    char what[96];
    va_list args;
    if (w->closing || mt_baton_group(w->baton) != SIDE_RUNTIME) return;
    w->points++;
    w->since_death++;
    va_start(args, format);
    vsnprintf(what, sizeof what, format, args);
    va_end(args);
    bool dies = fated(w);
    world_log(w, "point %llu%s: %s", (unsigned long long)w->points, dies ? ", THE RUNTIME DIES" : "", what);
    if (dies) die(w);
}

/* A task of the outside that stands the runtime up again. */
static void *keeper_main(void *arg) {
    struct mt_world *w = arg;
    struct mt_world_side *s = &w->sides[SIDE_RUNTIME];
    for (unsigned seen = 0;;) {
        while (w->fallen == seen) mt_futex_wait(&w->fallen, seen, MT_NO_DEADLINE);
        seen = w->fallen;
        struct mt_runtime *dead = s->rt;
        s->rt = NULL;
        mt_nap((int64_t)(1 + mt_baton_choose(w->baton, DOWN_MS)) * MS);
        if (w->fallen != seen) continue;
        world_side_bury(w, dead);
        if (!w->closing) world_side_start(w, SIDE_RUNTIME);
    }
    return NULL;
}

void world_ring(struct mt_world *w) {
    w->driver++;
    mt_futex_wake(&w->driver);
}

/* ---- driving ---- */

/* Waits until a side is up or will not be. */
static int await_up(struct mt_world *w, enum mt_side side, struct mt_error *e) {
    while (!w->sides[side].up && !w->broken) mt_futex_wait(&w->driver, w->driver, MT_NO_DEADLINE);
    if (w->broken) *e = w->error;
    return w->broken ? -1 : 0;
}

struct driven {
    struct mt_world *w;
    const struct mt_http_request *req;
    struct mt_http_response *resp;
    struct mt_error *e;
    int rc;
    bool quiet, done;
};

static void *driven_main(void *arg) {
    struct driven *d = arg;
    d->rc = d->quiet ? world_net_look(d->w, d->req, d->resp, d->e)
                     : d->w->outside.base.perform(&d->w->outside.base, d->req, d->resp, d->e);
    d->done = true;
    world_ring(d->w);
    return NULL;
}

/* By a task of its own, so that the driver can answer what is asked of it meanwhile. */
static int drive(struct driven *d) {
    struct mt_world *w = d->w;
    if (mt_baton_spawn(w->baton, SIDE_OUTSIDE, driven_main, d) != 0) abort();
    while (!d->done) {
        if (w->inbox)
            world_net_serve(w);
        else
            mt_futex_wait(&w->driver, w->driver, MT_NO_DEADLINE);
    }
    return d->rc;
}

/* Several worlds may be open; whichever is called goes on. */
static void use(struct mt_world *w) {
    mt_baton_use(w->baton);
    mt_log_sink(keep_line, w);
}

int mt_world_request(struct mt_world *w, const struct mt_http_request *req, struct mt_http_response *resp,
                     struct mt_error *e) {
    use(w);
    struct driven d = {.w = w, .req = req, .resp = resp, .e = e};
    return drive(&d);
}

int mt_world_look(struct mt_world *w, const struct mt_http_request *req, struct mt_http_response *resp,
                  struct mt_error *e) {
    use(w);
    struct driven d = {.w = w, .req = req, .resp = resp, .e = e, .quiet = true};
    return drive(&d);
}

static void settle(struct mt_world *w) {
    for (;;) {
        mt_baton_settle(w->baton);
        if (!w->inbox) return;
        world_net_serve(w);
    }
}

bool mt_world_step(struct mt_world *w, int64_t until_ms) {
    use(w);
    settle(w);
    int64_t until = mt_mono_ns() + (until_ms - mt_world_now(w)) * MS, next = mt_baton_next(w->baton);
    if (next == MT_NO_DEADLINE || next > until) return false;
    mt_baton_jump(w->baton, next);
    settle(w);
    return true;
}

void mt_world_advance(struct mt_world *w, int64_t ms) {
    use(w);
    int64_t until = mt_world_now(w) + ms;
    while (mt_world_step(w, until)) continue;
    mt_baton_jump(w->baton, mt_mono_ns() + (until - mt_world_now(w)) * MS);
    settle(w);
}

int64_t mt_world_now(const struct mt_world *w) {
    return mt_baton_wall_ms(w->baton);
}

void mt_world_kill(struct mt_world *w) {
    use(w);
    struct mt_world_side *s = &w->sides[SIDE_RUNTIME];
    if (!s->up) return;
    world_log(w, "THE RUNTIME IS KILLED");
    w->died++;
    w->life++;
    w->since_death = 0;
    s->up = false;
    mt_disk_crash(s->disk, w->o.loss);
    world_net_reset(w);
    mt_baton_kill(w->baton, SIDE_RUNTIME);
    w->fallen++;
    mt_futex_wake(&w->fallen);
}

void mt_world_calm(struct mt_world *w) {
    size_t deaths = 0;
    w->o.faults = w->o.crashes = 0;
    for (size_t i = 0; i < w->planned_count; i++)
        if (w->planned[i].kind == MISHAP_DEATH) w->planned[deaths++] = w->planned[i];
    w->planned_count = deaths;
}

bool mt_world_up(const struct mt_world *w) {
    return w->sides[SIDE_RUNTIME].up;
}

const struct mt_error *mt_world_broken(const struct mt_world *w) {
    return w->broken ? &w->error : NULL;
}

const char *mt_world_store_differs(struct mt_world *w) {
    if (!w->shadow) return NULL;
    use(w);
    if (w->sides[SIDE_RUNTIME].up) mt_shadow_compare(w->shadow);
    return mt_shadow_difference(w->shadow);
}

uint64_t mt_world_points(const struct mt_world *w) {
    return w->points;
}

unsigned mt_world_died(const struct mt_world *w) {
    return w->died;
}

/* ---- scripts ---- */

static void free_flows(struct mt_asset *flows) {
    for (struct mt_asset *a = flows; a && a->path; a++) {
        free((char *)(uintptr_t)a->path);
        free((char *)(uintptr_t)a->data);
    }
    free(flows);
}

static struct mt_asset *copy_flows(const struct mt_source *files, size_t count) {
    struct mt_asset *flows = mt_calloc(count + 1, sizeof *flows);
    for (size_t i = 0; i < count; i++)
        flows[i] = (struct mt_asset){.path = mt_strdup(files[i].name),
                                     .data = (unsigned char *)mt_memdup(files[i].text, files[i].len),
                                     .len = files[i].len};
    return flows;
}

static struct mt_asset *shipped_flows(void) {
    size_t n = 0;
    while (mt_embedded_flows[n].path) n++;
    struct mt_asset *flows = mt_calloc(n + 1, sizeof *flows);
    for (size_t i = 0; i < n; i++)
        flows[i] = (struct mt_asset){
            .path = mt_strdup(mt_embedded_flows[i].path),
            .data = (unsigned char *)mt_memdup(mt_embedded_flows[i].data, mt_embedded_flows[i].len),
            .len = mt_embedded_flows[i].len};
    return flows;
}

struct reloading {
    struct mt_world *w;
    struct mt_error *e;
    enum mt_load result;
    bool done;
};

static void *reload_main(void *arg) {
    struct reloading *r = arg;
    struct mt_runtime *rt = r->w->sides[SIDE_RUNTIME].rt;
    mt_generations_set_embedded(rt->generations, r->w->flows);
    r->result = mt_generations_load(rt->generations, r->e);
    r->done = true;
    world_ring(r->w);
    return NULL;
}

int mt_world_reload(struct mt_world *w, const struct mt_source *flows, size_t count, struct mt_error *e) {
    use(w);
    struct mt_asset *before = w->flows;
    if (await_up(w, SIDE_RUNTIME, e) != 0) return -1;
    w->flows = copy_flows(flows, count);
    struct reloading r = {.w = w, .e = e};
    unsigned life = w->life;
    if (mt_baton_spawn(w->baton, SIDE_RUNTIME, reload_main, &r) != 0) abort();
    while (!r.done && w->life == life) mt_futex_wait(&w->driver, w->driver, MT_NO_DEADLINE);
    if (!r.done && await_up(w, SIDE_RUNTIME, e) != 0)
        return -1; /* it died of it, and loads them as it starts */
    free_flows(before);
    return r.done && r.result == MT_LOAD_BROKEN ? -1 : 0;
}

/* ---- beginning and end ---- */

static unsigned worlds_open;

unsigned mt_worlds_open(void) {
    return worlds_open;
}

/* One world runs on one core: handing the baton on is then a plain switch. */
static void stay_on_this_core(struct mt_world *w) {
    cpu_set_t set;
    int cpu = sched_getcpu();
    w->moved = sched_getaffinity(0, sizeof w->cores, &w->cores) == 0;
    CPU_ZERO(&set);
    CPU_SET(cpu < 0 ? 0 : cpu, &set);
    sched_setaffinity(0, sizeof set, &set);
}

static int register_webhooks(struct mt_world *w, struct mt_error *e) {
    static const char *const providers[] = {"mintro", "paymnt", "paymint"};
    for (size_t i = 0; i < 3; i++) {
        char body[256];
        struct mt_http_response resp = {0};
        mt_format(body, sizeof body, "{\"%s\":\"%s/webhooks/%s?s=%s\"}", providers[i], MT_WORLD_RUNTIME_URL,
                  providers[i], w->sides[SIDE_RUNTIME].parts.webhook_secret);
        struct mt_http_request req = {.method = mt_strdup("PUT"),
                                      .url = mt_strdup(MT_WORLD_SANDBOX_URL "/_sandbox/endpoints"),
                                      .body = mt_strdup(body),
                                      .body_len = strlen(body)};
        mt_headers_add(&req.headers, "Content-Type", "application/json");
        int rc = mt_world_request(w, &req, &resp, e);
        if (rc == 0 && resp.status != 204)
            rc = mt_fail(e, MT_INTERNAL, "the sandbox does not take webhook endpoints: %d %.200s",
                         resp.status, resp.body.data ? resp.body.data : "");
        mt_http_response_clear(&resp);
        mt_http_request_clear(&req);
        if (rc != 0) return -1;
    }
    return 0;
}

struct mt_world *mt_world_open(const struct mt_world_options *o, struct mt_error *e) {
    struct mt_world *w = mt_calloc(1, sizeof *w);
    unsigned crashes = o->crashes, faults = o->faults;
    w->o = *o;
    w->o.crashes = w->o.faults = 0; /* it begins in calm */
    w->random.bytes = random_bytes;
    w->log = o->log ? o->log : mt_calloc(1, sizeof *w->log);
    w->log->count = 0;
    mt_log_setup(MT_LOG_WARN, MT_LOG_TEXT);
    mt_log_sink(keep_line, w);
    w->flows = o->flows ? copy_flows(o->flows, o->flow_count) : shipped_flows();
    if (worlds_open++ == 0) stay_on_this_core(w);
    mt_vm_keep_images(IMAGES);
    w->baton = mt_baton_new(o->seed, o->start_ms ? o->start_ms : START_MS);
    memset(w->key.bytes, 0x5A, sizeof w->key.bytes);
    world_net_init(w, &w->outside, SIDE_OUTSIDE);
    mt_baton_enter(w->baton);
    if (o->plan && world_chance_plan(w, o->plan, e) != 0) goto fail;
    if (o->plan) w->o.plan = ""; /* it is read, and that there was one is what counts */
    if (mt_baton_spawn(w->baton, SIDE_OUTSIDE, keeper_main, w) != 0) abort();
    if (world_side_open(w, SIDE_SANDBOX, e) != 0 || world_side_open(w, SIDE_RUNTIME, e) != 0) goto fail;
    world_side_start(w, SIDE_SANDBOX);
    if (await_up(w, SIDE_SANDBOX, e) != 0 || register_webhooks(w, e) != 0) goto fail;
    world_side_start(w, SIDE_RUNTIME);
    if (await_up(w, SIDE_RUNTIME, e) != 0) goto fail;
    struct mt_flow_problem problem;
    if (mt_generations_problem(w->sides[SIDE_RUNTIME].rt->generations, &problem)) {
        mt_fail(e, MT_SCRIPT, "%s", problem.message);
        goto fail;
    }
    w->o.crashes = crashes;
    w->o.faults = faults;
    return w;
fail:
    mt_world_close(w);
    return NULL;
}

void mt_world_close(struct mt_world *w) {
    if (!w) return;
    use(w);
    w->closing = true;
    world_side_stop(w, SIDE_RUNTIME);
    world_side_stop(w, SIDE_SANDBOX);
    mt_baton_leave(w->baton);
    world_side_close(w, SIDE_RUNTIME);
    world_side_close(w, SIDE_SANDBOX);
    mt_baton_free(w->baton);
    mt_log_sink(NULL, NULL);
    mt_log_setup(MT_LOG_INFO, MT_LOG_TEXT);
    worlds_open--;
    if (w->moved) sched_setaffinity(0, sizeof w->cores, &w->cores);
    free_flows(w->flows);
    if (!w->o.log) free(w->log);
    free(w);
}
