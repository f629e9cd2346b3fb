/* links: mt_base */
/* The baton: one task at a time, virtual time, the seed's schedule, and the death of a group. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/baton.h"
#include "base/sync.h"
#include <stdio.h>
#include <string.h>

#define START INT64_C(1795166400000)
#define SECOND INT64_C(1000000000)
#define DAY (86400 * SECOND)

struct notes {
    char text[512];
    pthread_mutex_t lock;
    pthread_cond_t cond;
    uint32_t word;
    int count, inside, most;
};

struct job {
    struct notes *n;
    char name;
    int64_t pause;
    int times;
};

static void note(struct notes *n, char c) {
    size_t len = strlen(n->text);
    if (len + 1 < sizeof n->text) n->text[len] = c;
}

static void init(struct notes *n) {
    memset(n, 0, sizeof *n);
    pthread_mutex_init(&n->lock, NULL);
    mt_cond_init(&n->cond);
}

static void *write_name(void *arg) {
    struct job *j = arg;
    for (int i = 0; i < j->times; i++) {
        note(j->n, j->name);
        if (j->pause)
            mt_nap(j->pause);
        else
            mt_baton_yield(mt_baton_mine());
    }
    return NULL;
}

static void *in_the_lock(void *arg) {
    struct job *j = arg;
    for (int i = 0; i < j->times; i++) {
        mt_lock(&j->n->lock);
        if (++j->n->inside > j->n->most) j->n->most = j->n->inside;
        mt_nap(j->pause);
        j->n->inside--;
        j->n->count++;
        mt_unlock(&j->n->lock);
    }
    return NULL;
}

static void run_three(uint64_t seed, char out[512]) {
    struct notes n;
    struct mt_baton *b = mt_baton_new(seed, START);
    pthread_t threads[3];
    struct job jobs[3];
    init(&n);
    mt_baton_enter(b);
    for (int i = 0; i < 3; i++) {
        jobs[i] = (struct job){&n, (char)('a' + i), 0, 20};
        assert_int_equal(mt_thread_start(&threads[i], 0, write_name, &jobs[i]), 0);
    }
    for (int i = 0; i < 3; i++) mt_thread_join(threads[i]);
    mt_baton_leave(b);
    mt_baton_free(b);
    memcpy(out, n.text, 512);
}

static void a_seed_is_a_schedule(void **state) {
    (void)state;
    char first[512], again[512], other[512];
    run_three(7, first);
    run_three(7, again);
    run_three(8, other);
    assert_int_equal(strlen(first), 60);
    assert_string_equal(first, again);
    assert_string_not_equal(first, other);
}

static void time_jumps_to_what_is_next(void **state) {
    (void)state;
    struct notes n;
    struct mt_baton *b = mt_baton_new(1, START);
    struct job fast = {&n, 'f', DAY, 5}, slow = {&n, 's', 2 * DAY + SECOND, 2};
    pthread_t threads[2];
    init(&n);
    mt_baton_enter(b);
    assert_int_equal(mt_baton_wall_ms(b), START);
    mt_thread_start(&threads[0], 0, write_name, &fast);
    mt_thread_start(&threads[1], 0, write_name, &slow);
    mt_baton_settle(b);
    assert_int_equal(mt_baton_next(b), mt_mono_ns() + DAY);
    mt_thread_join(threads[0]);
    assert_int_equal(mt_baton_wall_ms(b), START + 5 * 86400000);
    mt_thread_join(threads[1]);
    mt_baton_leave(b);
    mt_baton_free(b);
    n.text[2] = n.text[0] == n.text[1] ? 'x' : n.text[2];
    assert_string_equal(n.text + 2, "ffsff");
}

static void a_lock_is_one_tasks(void **state) {
    (void)state;
    for (uint64_t seed = 0; seed < 20; seed++) {
        struct notes n;
        struct mt_baton *b = mt_baton_new(seed, START);
        pthread_t threads[3];
        struct job job = {&n, 'x', SECOND, 4};
        init(&n);
        mt_baton_enter(b);
        for (int i = 0; i < 3; i++) mt_thread_start(&threads[i], 0, in_the_lock, &job);
        for (int i = 0; i < 3; i++) mt_thread_join(threads[i]);
        assert_int_equal(n.most, 1);
        assert_int_equal(n.count, 12);
        assert_int_equal(mt_baton_wall_ms(b), START + 12000);
        mt_baton_leave(b);
        mt_baton_free(b);
    }
}

static void *wait_for_count(void *arg) {
    struct job *j = arg;
    int64_t deadline = mt_mono_ns() + j->pause;
    mt_lock(&j->n->lock);
    bool in_time = true;
    while (in_time && j->n->count < j->times) in_time = mt_cond_wait(&j->n->cond, &j->n->lock, deadline);
    note(j->n, in_time ? j->name : 'T');
    mt_unlock(&j->n->lock);
    while (__atomic_load_n(&j->n->word, __ATOMIC_ACQUIRE) == 0)
        if (!mt_futex_wait(&j->n->word, 0, deadline)) break;
    note(j->n, 'w');
    return NULL;
}

static void conditions_and_words_have_deadlines(void **state) {
    (void)state;
    struct notes n;
    struct mt_baton *b = mt_baton_new(3, START);
    struct job patient = {&n, 'p', 10 * SECOND, 1}, hasty = {&n, 'h', SECOND, 1};
    pthread_t threads[2];
    init(&n);
    mt_baton_enter(b);
    mt_thread_start(&threads[0], 0, wait_for_count, &patient);
    mt_thread_start(&threads[1], 0, wait_for_count, &hasty);
    mt_nap(2 * SECOND);
    assert_string_equal(n.text, "Tw");
    mt_lock(&n.lock);
    n.count = 1;
    mt_cond_broadcast(&n.cond);
    mt_unlock(&n.lock);
    mt_nap(SECOND);
    assert_string_equal(n.text, "Twp");
    n.word = 1;
    mt_futex_wake(&n.word);
    for (int i = 0; i < 2; i++) mt_thread_join(threads[i]);
    assert_string_equal(n.text, "Twpw");
    assert_int_equal(mt_baton_wall_ms(b), START + 3000);
    mt_baton_leave(b);
    mt_baton_free(b);
}

static void *dies_of_itself(void *arg) {
    struct job *j = arg;
    pthread_t child;
    struct job grandchild = {j->n, 'g', SECOND, 100};
    mt_lock(&j->n->lock); /* nobody gives it back */
    mt_thread_start(&child, 0, write_name, &grandchild);
    mt_nap(j->pause);
    note(j->n, '+');
    mt_baton_kill(mt_baton_mine(), mt_baton_group(mt_baton_mine()));
    note(j->n, '!');
    return NULL;
}

static void a_group_dies_at_once(void **state) {
    (void)state;
    struct notes n;
    struct mt_baton *b = mt_baton_new(5, START);
    struct job job = {&n, 'd', 3 * SECOND + SECOND / 2, 1}, other = {&n, 'o', 3 * SECOND + SECOND / 4, 3};
    init(&n);
    mt_baton_enter(b);
    assert_int_equal(mt_baton_spawn(b, 1, dies_of_itself, &job), 0);
    assert_int_equal(mt_baton_spawn(b, 2, write_name, &other), 0);
    mt_nap(20 * SECOND);
    n.text[0] = n.text[1] = '.'; /* at the same instant */
    assert_string_equal(n.text, "..gggo+o");
    assert_int_equal(mt_baton_spawn(b, 1, write_name, &(struct job){&n, 'n', SECOND, 50}), 0);
    mt_nap(SECOND / 2);
    mt_baton_kill(b, 1); /* from outside */
    assert_int_equal(mt_baton_next(b), MT_NO_DEADLINE);
    assert_string_equal(n.text + 8, "n");
    mt_baton_leave(b);
    mt_baton_free(b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_seed_is_a_schedule), cmocka_unit_test(time_jumps_to_what_is_next),
        cmocka_unit_test(a_lock_is_one_tasks),  cmocka_unit_test(conditions_and_words_have_deadlines),
        cmocka_unit_test(a_group_dies_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
