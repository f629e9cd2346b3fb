/* One end of the simulated world: the runtime, or the sandbox, with its clock and its disk; how it is opened,
 * dies, and stands up again. */
#include "api.h"
#include "base/log.h"
#include "base/text.h"
#include "embedded.h"
#include "program.h"
#include "world_private.h"
#include <stdlib.h>
#include <string.h>

/* ---- its clock ---- */

static int64_t wall(struct mt_clock *self) {
    struct mt_world_clock *c = (struct mt_world_clock *)self;
    return mt_baton_wall_ms(c->w->baton) + c->wrong_ms;
}

static int64_t mono(struct mt_clock *self) {
    (void)self;
    return mt_mono_ns();
}

static void wait_until(struct mt_clock *self, int64_t until_ms, int64_t max_wait_ms) {
    struct mt_world_clock *c = (struct mt_world_clock *)self;
    int64_t now = wall(self), deadline = MT_NO_DEADLINE;
    (void)max_wait_ms; /* whoever has news wakes */
    if (until_ms < now + INT64_C(1000) * 366 * 86400 * 1000)
        deadline = mt_mono_ns() + (until_ms > now ? until_ms - now : 0) * 1000000;
    if (c->word == c->seen) mt_futex_wait(&c->word, c->seen, deadline);
    c->seen = c->word;
}

static void wake(struct mt_clock *self) {
    struct mt_world_clock *c = (struct mt_world_clock *)self;
    c->word++;
    mt_futex_wake(&c->word);
}

static void keep(struct mt_clock *self) {
    (void)self;
}

/* ---- its disk ---- */

#define STORE "mintage.db"

/* A disk with an empty store on it, made once: a third of what opening a world would cost is the schema. */
static struct mt_disk *formatted(struct mt_error *e) {
    static struct mt_disk *disk; /* of the driving thread; processes that are copied have it too */
    if (disk) return disk;
    struct mt_disk *made = mt_disk_new(0);
    struct mt_store *store = mt_store_sqlite_open_on(made, STORE, e);
    if (store) store->close(store);
    if (!store) mt_disk_free(made);
    return disk = store ? made : NULL;
}

static struct mt_disk *new_disk(const struct mt_world *w, enum mt_side side, struct mt_error *e) {
    uint64_t seed = w->o.seed + side;
    if (side == SIDE_RUNTIME && w->o.empty_disk) return mt_disk_new(seed);
    struct mt_disk *from = formatted(e);
    return from ? mt_disk_copy(from, seed) : NULL;
}

static int (*sound_commit)(struct mt_store *self, struct mt_batch **batches, size_t count,
                           struct mt_error *e);

/* MT_WORLD_MISLAYS */
static int mislaying_commit(struct mt_store *self, struct mt_batch **batches, size_t count,
                            struct mt_error *e) {
    static unsigned said;
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < batches[i]->count; k++) {
            struct mt_op *op = &batches[i]->ops[k];
            if (op->type == MT_OP_RUN && op->run.progress && ++said % 3 == 0) op->run.progress = NULL;
        }
    return sound_commit(self, batches, count, e);
}

static struct mt_store *open_store(void *ctx, struct mt_error *e) {
    struct mt_world_side *s = ctx;
    struct mt_world *w = s->clock.w;
    struct mt_store *store = mt_store_sqlite_open_on(s->disk, STORE, e);
    if (!store || s->side != SIDE_RUNTIME) return store;
    if (w->o.unsound == MT_WORLD_MISLAYS) {
        sound_commit = store->commit;
        store->commit = mislaying_commit;
    }
    return w->shadow ? mt_shadow_over(w->shadow, store) : store;
}

static void at_sync(void *ctx, const char *what) {
    struct mt_world *w = ctx;
    if (mt_baton_group(w->baton) != SIDE_RUNTIME) return;
    w->in_store = true;
    world_point(w, "%s", what);
    w->in_store = false;
}

static int64_t disk_now(void *ctx) {
    return mt_baton_wall_ms(((struct mt_world *)ctx)->baton);
}

/* ---- opening ---- */

static int configure(struct mt_world *w, struct mt_world_side *s, struct mt_error *e) {
    s->config = mt_config_new(&mt_program_settings);
    if (s->side == SIDE_SANDBOX) return 0;
    if (w->o.config && mt_config_load_json(s->config, w->o.config, strlen(w->o.config), "world", e) != 0)
        return -1;
    /* Stories of years are about their runs, not about forgetting them, unless they say so. */
    if (!mt_config_is_set(s->config, "retain") && mt_config_set(s->config, "retain", "forever", e) != 0)
        return -1;
    return mt_config_set(s->config, "sandbox", MT_WORLD_SANDBOX_URL, e);
}

int world_side_open(struct mt_world *w, enum mt_side side, struct mt_error *e) {
    struct mt_world_side *s = &w->sides[side];
    struct mt_disk_hooks hooks = {.ctx = w, .at = side == SIDE_RUNTIME ? at_sync : NULL, .now_ms = disk_now};
    s->side = side;
    if (!(s->disk = new_disk(w, side, e))) return -1;
    if (side == SIDE_RUNTIME && w->o.oracle) w->shadow = mt_shadow_new();
    mt_disk_set_hooks(s->disk, &hooks);
    if (side == SIDE_RUNTIME && w->o.unsound == MT_WORLD_FORGETS) mt_disk_lie(s->disk, 1);
    s->clock = (struct mt_world_clock){.base = {wall, mono, wait_until, wake, NULL, keep}, .w = w};
    world_net_init(w, &s->net, side);
    s->parts = (struct mt_runtime_parts){
        .clock = &s->clock.base,
        .random = &w->random,
        .transport = &s->net.base,
        .open_store = open_store,
        .ctx = s,
        .key = &w->key,
        .token = side == SIDE_RUNTIME ? MT_WORLD_TOKEN : "",
        .webhook_secret = "webhook-secret-of-a-world",
    };
    return configure(w, s, e);
}

static int open_runtime(struct mt_world *w, struct mt_world_side *s, struct mt_error *e) {
    bool sandbox = s->side == SIDE_SANDBOX;
    struct mt_runtime_options o = {
        .command = sandbox ? "sandbox" : "serve",
        .config = s->config,
        .data = "(the world's)",
        .port = sandbox ? MT_PORT_SANDBOX : MT_PORT_RUNTIME,
        .sandbox = sandbox,
        .embedded = sandbox ? mt_embedded_sandbox : w->flows,
        .routes = sandbox ? mt_sandbox_routes : mt_serve_routes,
        .parts = &s->parts,
    };
    struct mt_runtime *rt = mt_calloc(1, sizeof *rt);
    if (mt_runtime_open(rt, &o, e) != 0) {
        free(rt);
        return -1;
    }
    s->rt = rt;
    if (mt_runtime_start(rt, e) == 0) return 0;
    s->rt = NULL;
    mt_runtime_close(rt);
    free(rt);
    return -1;
}

struct start {
    struct mt_world *w;
    enum mt_side side;
};

static void *start_main(void *arg) {
    struct start start = *(struct start *)arg;
    struct mt_world *w = start.w;
    struct mt_world_side *s = &w->sides[start.side];
    free(arg);
    if (open_runtime(w, s, &w->error) == 0) {
        s->up = true;
        world_log(w, "%s is up", s->side == SIDE_RUNTIME ? "the runtime" : "the sandbox");
    } else {
        w->broken = true;
    }
    world_ring(w);
    return NULL;
}

void world_side_start(struct mt_world *w, enum mt_side side) {
    struct start *start = mt_calloc(1, sizeof *start);
    *start = (struct start){w, side};
    if (mt_baton_spawn(w->baton, side, start_main, start) != 0) abort();
}

/* ---- closing ---- */

static void *stop_main(void *arg) {
    struct start stop = *(struct start *)arg;
    struct mt_world_side *s = &stop.w->sides[stop.side];
    free(arg);
    struct mt_runtime *rt = s->rt;
    s->rt = NULL;
    if (rt) mt_runtime_close(rt);
    free(rt);
    world_ring(stop.w);
    return NULL;
}

void world_side_stop(struct mt_world *w, enum mt_side side) {
    w->sides[side].up = false;
    if (!w->sides[side].rt) return;
    struct start *stop = mt_calloc(1, sizeof *stop);
    *stop = (struct start){w, side};
    if (mt_baton_spawn(w->baton, side, stop_main, stop) != 0) abort();
    while (w->sides[side].rt) mt_futex_wait(&w->driver, w->driver, MT_NO_DEADLINE);
}

void world_side_close(struct mt_world *w, enum mt_side side) {
    struct mt_world_side *s = &w->sides[side];
    mt_config_free(s->config);
    mt_disk_free(s->disk);
    if (side == SIDE_RUNTIME) mt_shadow_free(w->shadow);
}

void world_side_bury(struct mt_world *w, struct mt_runtime *rt) {
    if (!rt) return;
    if (!w->in_store && rt->store) rt->store->close(rt->store);
    w->in_store = false;
    if (rt->vm) mt_vm_abandon(rt->vm);
}
