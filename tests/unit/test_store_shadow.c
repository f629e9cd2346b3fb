/* links: mt_store mt_base */
/* The shadowed store: random work on a simulated disk, through deaths in the middle of commits, is what the
 * oracle says; a store that is wrong in one thing, and a disk that lies, are found out. SHADOW_SEED chooses
 * the work. */
#include "store/disk.h"
#include "store/say.h"
#include "store/shadow.h"
#include "store_random.h"
#include <inttypes.h>
#include <time.h>

struct life {
    struct mt_disk *disk;
    struct mt_shadow *shadow;
    struct mt_store *store;
    struct random random;
    int64_t now;
    int crash_in; /* syncs; negative: never */
};

static void at_sync(void *ctx, const char *what) {
    struct life *l = ctx;
    (void)what;
    if (l->crash_in < 0 || l->crash_in-- > 0) return;
    mt_disk_crash(l->disk, (enum mt_disk_crash)any(&l->random, MT_DISK_TEARS + 1));
}

static void stand_up(struct life *l) {
    struct mt_error e;
    struct mt_store *real = mt_store_sqlite_open_on(l->disk, "mintage.db", &e);
    if (!real) fail_msg("opening: %s", e.message);
    l->store = mt_shadow_over(l->shadow, real);
}

static void begin(struct life *l, uint64_t seed) {
    *l = (struct life){.disk = mt_disk_new(seed),
                       .shadow = mt_shadow_new(),
                       .random = {mt_random_seeded(seed)},
                       .now = 1000,
                       .crash_in = -1};
    mt_disk_set_hooks(l->disk, &(struct mt_disk_hooks){.ctx = l, .at = at_sync});
    stand_up(l);
}

static void end(struct life *l) {
    l->store->close(l->store);
    mt_shadow_free(l->shadow);
    mt_disk_free(l->disk);
    free(l->random.source);
}

/* False: the machine died of it. */
static bool work(struct life *l) {
    struct made made, copies[GROUP];
    struct mt_batch *list[GROUP];
    struct mt_error e;
    size_t count = 1 + any(&l->random, GROUP);
    l->now += any(&l->random, 5);
    for (size_t i = 0; i < count; i++) {
        make_batch(&l->random, l->store, &made, l->now);
        copy_made(&made, &copies[i]);
        list[i] = &copies[i].batch;
    }
    bool lives = l->store->commit(l->store, list, count, &e) == 0;
    for (size_t i = 0; i < count; i++) mt_batch_clear(&copies[i].batch);
    return lives;
}

/* So many commits, dying now and then. */
static void live(struct life *l, int commits, bool deaths) {
    for (int i = 0; i < commits; i++) {
        if (deaths && l->crash_in < 0) l->crash_in = (int)any(&l->random, 60);
        bool lives = work(l);
        if (i % 50 == 0 && lives) mt_shadow_compare(l->shadow);
        if (lives) continue;
        l->store->close(l->store);
        l->crash_in = -1;
        stand_up(l);
    }
    l->crash_in = -1;
}

static void it_is_what_the_oracle_says(void **state) {
    const char *given = getenv("SHADOW_SEED");
    uint64_t seed = given ? strtoull(given, NULL, 10) : (uint64_t)time(NULL);
    struct mt_shadow_stats stats;
    struct life l;
    (void)state;
    print_message("SHADOW_SEED=%" PRIu64 "\n", seed);
    begin(&l, seed);
    live(&l, 1500, true);
    mt_shadow_compare(l.shadow);
    if (mt_shadow_difference(l.shadow)) fail_msg("%s", mt_shadow_difference(l.shadow));
    mt_shadow_stats(l.shadow, &stats);
    assert_true(stats.restarts > 10 && stats.commits > 1000 && stats.reads > 1000);
    end(&l);
}

static void a_lying_disk_is_found_out(void **state) {
    struct life l;
    (void)state;
    begin(&l, 7);
    live(&l, 20, false);
    mt_disk_lie(l.disk, 1);
    live(&l, 20, false);
    l.store->close(l.store);
    mt_disk_crash(l.disk, MT_DISK_LOSES_UNSYNCED);
    mt_disk_lie(l.disk, 0);
    stand_up(&l);
    assert_non_null(mt_shadow_difference(l.shadow));
    end(&l);
}

static int (*sound_commit)(struct mt_store *self, struct mt_batch **batches, size_t count,
                           struct mt_error *e);

/* Forgets what runs say of their progress, and nothing else. */
static int forgetful_commit(struct mt_store *self, struct mt_batch **batches, size_t count,
                            struct mt_error *e) {
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < batches[i]->count; k++)
            if (batches[i]->ops[k].type == MT_OP_RUN) batches[i]->ops[k].run.progress = NULL;
    return sound_commit(self, batches, count, e);
}

static void a_wrong_store_is_found_out(void **state) {
    struct life l;
    struct mt_error e;
    (void)state;
    begin(&l, 7);
    l.store->close(l.store);
    struct mt_store *real = mt_store_sqlite_open_on(l.disk, "mintage.db", &e);
    assert_non_null(real);
    sound_commit = real->commit;
    real->commit = forgetful_commit;
    l.store = mt_shadow_over(l.shadow, real);
    live(&l, 300, false);
    mt_shadow_compare(l.shadow);
    assert_non_null(mt_shadow_difference(l.shadow));
    assert_non_null(strstr(mt_shadow_difference(l.shadow), "prog"));
    end(&l);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_what_the_oracle_says),
        cmocka_unit_test(a_lying_disk_is_found_out),
        cmocka_unit_test(a_wrong_store_is_found_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
