/* links: mt_base */
/* Clocks (also across processes), RFC 3339, and what log lines show and hide. */
#include "base/clock.h"
#include "base/id.h"
#include "base/json.h"
#include "base/log.h"
#include "base/text.h"
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
// cmocka.h needs the ones above
#include <cmocka.h>

static const int64_t hour = 3600000;

static void temporary_path(char out[64]) {
    mt_copy(out, 64, "/tmp/mintage-test-XXXXXX");
    int fd = mkstemp(out);
    assert_true(fd >= 0);
    close(fd);
    unlink(out);
}

static void instants_read_and_write_as_rfc_3339(void **state) {
    (void)state;
    static const struct {
        const char *text;
        int64_t ms;
        const char *canonical;
    } good[] = {
        {"1970-01-01T00:00:00Z", 0, "1970-01-01T00:00:00.000Z"},
        {"2026-11-20T09:30:00.123Z", 1795167000123, "2026-11-20T09:30:00.123Z"},
        {"2026-11-20t18:30:00.123999999+09:00", 1795167000123, "2026-11-20T09:30:00.123Z"},
        {"2026-11-20 04:00:00-05:30", 1795167000000, "2026-11-20T09:30:00.000Z"},
        {"2024-02-29T12:00:00Z", 1709208000000, "2024-02-29T12:00:00.000Z"},
        {"1969-12-31T23:59:59.999Z", -1, "1969-12-31T23:59:59.999Z"},
        {"0000-01-01T00:00:00Z", -62167219200000, "0000-01-01T00:00:00.000Z"},
        {"9999-12-31T23:59:59.999Z", 253402300799999, "9999-12-31T23:59:59.999Z"},
        {"2016-12-31T23:59:60Z", 1483228800000, "2017-01-01T00:00:00.000Z"},
    };
    static const char *const bad[] = {"",
                                      "2026-11-20",
                                      "2026-11-20T09:30Z",
                                      "2026-11-20T09:30:00",
                                      "2026-11-20T09:30:00.Z",
                                      "2026-13-01T00:00:00Z",
                                      "2026-02-29T00:00:00Z",
                                      "1900-02-29T00:00:00Z",
                                      "2026-11-20T24:00:00Z",
                                      "2026-11-20T09:60:00Z",
                                      "2026-11-20T09:30:61Z",
                                      "2026-11-20T09:30:00+0900",
                                      "2026-11-20T09:30:00Zx",
                                      "26-11-20T09:30:00Z",
                                      "2026-11-20T09:30:00+24:00"};
    int64_t ms;
    char out[25];
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        assert_true(mt_time_parse(good[i].text, &ms));
        assert_true(ms == good[i].ms);
        mt_time_format(ms, out);
        assert_string_equal(out, good[i].canonical);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) assert_false(mt_time_parse(bad[i], &ms));
    mt_time_format(INT64_MAX, out);
    assert_string_equal(out, "9999-12-31T23:59:59.999Z");
    mt_time_format(INT64_MIN, out);
    assert_string_equal(out, "0000-01-01T00:00:00.000Z");
    for (int64_t day = -800000; day < 2900000; day += 97) { /* every kind of year */
        int64_t back;
        mt_time_format(day * 86400000 + 1, out);
        if (out[0] == '0' && strncmp(out, "0000", 4) == 0) continue;
        if (day * 86400000 > 253402300799998) break;
        assert_true(mt_time_parse(out, &back));
        assert_true(back == day * 86400000 + 1);
    }
}

static void a_fixed_clock_stands_still_until_advanced(void **state) {
    (void)state;
    struct mt_error e;
    struct mt_clock *c = mt_clock_fixed(1000);
    assert_true(c->wall_ms(c) == 1000);
    int64_t mono = c->mono_ns(c);
    assert_int_equal(c->advance(c, 500, &e), 0);
    assert_true(c->wall_ms(c) == 1500);
    assert_true(c->mono_ns(c) - mono == 500000000);
    assert_int_equal(c->advance(c, -1, &e), -1);
    assert_int_equal(c->advance(c, INT64_MAX, &e), -1);
    assert_int_equal(e.kind, MT_LIMIT);
    c->wait_until(c, 1500, INT64_MAX); /* already there */
    c->wait_until(c, INT64_MAX, 1);    /* real time bounds it */
    c->free(c);
}

static void *advance_by_an_hour(void *arg) {
    struct mt_clock *c = arg;
    struct mt_error e;
    assert_int_equal(c->advance(c, hour, &e), 0);
    return NULL;
}

static void *wake(void *arg) {
    struct mt_clock *c = arg;
    c->wake(c);
    return NULL;
}

/* Each round ends only because another thread moved or woke the clock: the waits themselves would last for
 * ever. */
static void waits_end_when_woken_or_moved(struct mt_clock *c, int rounds) {
    for (int i = 0; i < rounds; i++) {
        pthread_t thread;
        int64_t until = c->wall_ms(c) + hour;
        assert_int_equal(pthread_create(&thread, NULL, advance_by_an_hour, c), 0);
        while (c->wall_ms(c) < until) c->wait_until(c, until, 1000 * hour);
        pthread_join(thread, NULL);
        c->wait_until(c, 0, 0);
        assert_int_equal(pthread_create(&thread, NULL, wake, c), 0);
        c->wait_until(c, INT64_MAX, 1000 * hour);
        pthread_join(thread, NULL);
    }
}

static void a_wake_between_two_waits_is_not_lost(struct mt_clock *c) {
    c->wait_until(c, 0, 0);
    c->wake(c);
    c->wait_until(c, INT64_MAX, INT64_MAX);
}

static void every_clock_wakes_its_waiter(void **state) {
    (void)state;
    char path[64];
    struct mt_error e;
    temporary_path(path);
    struct mt_clock *shared = mt_clock_open_shared(path, &e), *fixed = mt_clock_fixed(0),
                    *real = mt_clock_system();
    assert_non_null(shared);
    a_wake_between_two_waits_is_not_lost(shared);
    a_wake_between_two_waits_is_not_lost(fixed);
    a_wake_between_two_waits_is_not_lost(real);
    waits_end_when_woken_or_moved(shared, 50);
    waits_end_when_woken_or_moved(fixed, 50);
    assert_null(real->advance);
    real->wait_until(real, real->wall_ms(real) + 2, 1000);
    shared->free(shared);
    fixed->free(fixed);
    real->free(real);
    unlink(path);
}

static void an_offset_survives_and_is_shared_between_processes(void **state) {
    (void)state;
    char path[64];
    struct mt_error e;
    struct stat st;
    temporary_path(path);
    struct mt_clock *c = mt_clock_open_shared(path, &e), *real = mt_clock_system();
    assert_non_null(c);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_size, 64);
    assert_int_equal(st.st_mode & 0777, 0600);
    pid_t child = fork();
    if (child == 0) { /* another process moves the clock */
        struct mt_clock *own = mt_clock_open_shared(path, &e);
        _exit(own != NULL && own->advance(own, 720 * hour, &e) == 0 ? 0 : 1);
    }
    int64_t until = real->wall_ms(real) + 719 * hour;
    while (c->wall_ms(c) < until) c->wait_until(c, until, 1000 * hour);
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    c->free(c);
    c = mt_clock_open_shared(path, &e); /* a restart */
    /* the real one is read first: time passes between the two */
    int64_t wall = real->wall_ms(real), mono = real->mono_ns(real);
    int64_t ahead = c->wall_ms(c) - wall;
    assert_true(ahead >= 720 * hour && ahead < 721 * hour);
    int64_t moved = (c->mono_ns(c) - mono) / 1000000;
    assert_true(moved >= 720 * hour && moved < 721 * hour);
    c->free(c);
    real->free(real);
    unlink(path);
}

static void a_file_that_is_no_clock_is_refused(void **state) {
    (void)state;
    char path[64];
    struct mt_error e;
    temporary_path(path);
    FILE *f = fopen(path, "w");
    fputs("precious data of somebody else that happens to be 64 bytes long!", f);
    fclose(f);
    assert_null(mt_clock_open_shared(path, &e));
    assert_int_equal(e.kind, MT_STORE);
    assert_non_null(strstr(e.message, path));
    unlink(path);
    assert_null(mt_clock_open_shared("/nonexistent/folder/clock", &e));
    assert_null(mt_clock_open_shared("/tmp", &e));
}

static char lines[65536];

static void keep_line(void *ctx, const char *line, size_t len) {
    (void)ctx;
    size_t used = strlen(lines);
    assert_true(used + len < sizeof(lines));
    memcpy(lines + used, line, len);
    lines[used + len] = '\0';
}

static void secrets_never_reach_a_log_line(void **state) {
    (void)state;
    lines[0] = '\0';
    mt_log_sink(keep_line, NULL);
    for (int format = MT_LOG_TEXT; format <= MT_LOG_JSON; format++) {
        mt_log_setup(MT_LOG_DEBUG, (enum mt_log_format)format);
        mt_info("sent to 4242424242424242", "api-key", "sk_live_1", "Authorization", "Bearer tttt",
                "card_cvc", "987", "note", "card 4000-0000-0000-9995 and 378282246310005", "pin",
                "5555666677778888", "provider", "mintro", "gone", NULL);
    }
    mt_log_sink(NULL, NULL);
    static const char *const secrets[] = {"4242424242424242", "sk_live_1", "tttt", "987", "4000-",
                                          "37828224631",      "55556666"};
    for (size_t i = 0; i < sizeof(secrets) / sizeof(secrets[0]); i++) assert_null(strstr(lines, secrets[i]));
    assert_non_null(strstr(lines, "provider=mintro"));
    assert_non_null(strstr(lines, "\"provider\":\"mintro\""));
    assert_non_null(strstr(lines, "\"gone\":null"));
    assert_non_null(strstr(lines, "****-****-****-9995"));
}

static void a_log_line_is_one_line_of_json_whatever_it_holds(void **state) {
    (void)state;
    struct mt_error e;
    char *huge = mt_calloc(1, 100001);
    memset(huge, '4', 100000);
    memset(huge + 1, '\x01', 90000);
    lines[0] = '\0';
    mt_log_sink(keep_line, NULL);
    mt_log_setup(MT_LOG_INFO, MT_LOG_JSON);
    mt_info("forged\n{\"level\":\"error\"}", "a\"b", "x\ny\xFF");
    mt_info(huge, "a", huge, "b", huge, "c", huge, "d", huge);
    mt_debug("below the level");
    mt_log_setup(MT_LOG_INFO, MT_LOG_TEXT);
    mt_info("forged\nERROR line", "k", "v\nERROR", "empty", "");
    mt_log_setup(MT_LOG_OFF, MT_LOG_TEXT);
    mt_err("nothing");
    mt_log_sink(NULL, NULL);
    free(huge);
    int count = 0;
    char *save, *line = strtok_r(lines, "\n", &save);
    for (; line != NULL; line = strtok_r(NULL, "\n", &save), count++) {
        if (count == 2) {
            assert_non_null(strstr(line, "INFO  forged ERROR line k=\"v\\nERROR\" empty=\"\""));
            continue;
        }
        json_t *v = mt_json_parse(line, strlen(line), &e);
        assert_non_null(v);
        assert_string_equal(mt_json_str(v, "level", ""), "info");
        if (count == 1) assert_true(mt_json_bool(v, "truncated", false));
        json_decref(v);
    }
    assert_int_equal(count, 3);
}

static void names_of_secrets_are_known_in_every_spelling(void **state) {
    (void)state;
    static const char *const secret[] = {
        "key",           "client_secret", "X-Client-Secret", "api-key",     "X-API-KEY",
        "Authorization", "cookie",        "Set-Cookie",      "password",    "cvc",
        "card_cvc",      "card_number",   "number",          "pin_code",    "epin",
        "ePin",          "sign",          "app_key",         "admin-token", "payment_response_hash_key",
        "private_key"};
    static const char *const plain[] = {
        "",           "amount", "currency",   "status",  "idempotency_key", "Idempotency-Key",
        "public_key", "run",    "flow",       "bill_id", "order_number",    "design",
        "monkey",     "keyed",  "ePinsCount", "signal",  "provider"};
    for (size_t i = 0; i < sizeof(secret) / sizeof(secret[0]); i++) assert_true(mt_secret_name(secret[i]));
    for (size_t i = 0; i < sizeof(plain) / sizeof(plain[0]); i++) assert_false(mt_secret_name(plain[i]));
}

static void card_like_digits_are_masked_and_others_are_not(void **state) {
    (void)state;
    static const struct {
        const char *in, *out;
    } cases[] = {
        {"4242424242424242", "************4242"},
        {"4242 4242 4242 4242", "**** **** **** 4242"},
        {"3782-822463-10005", "****-******-*0005"},
        {"x4242424242424242y", "x************4242y"},
        {"6205500000000000004", "***************0004"},
        {"4111111111111111", "************1111"},
        {"5555555555554444", "************4444"},
        {"5105105105105100", "************5100"},
        {"378282246310005", "***********0005"},
        {"6011111111111117", "************1117"},
        {"38000000000006", "**********0006"},
        {"30569309025904", "**********5904"},
        {"36227206271667", "**********1667"},
        {"3530111333300000", "************0000"},
        {"at 1795166400000", "at 1795166400000"}, /* a time */
        {"4234567890123", "*********0123"},
        {"4242424242424241", "************4241"}, /* a card's number with a slip in it is masked too */
        {"400000000000000", "***********0000"},
        {"4242424242424242 12 2030 123", "************4242 12 2030 123"},
        {"4242 4242 4242 4242 123", "**** **** **** **** ***"},
        {"010-1234-5678", "010-1234-5678"},
        {"ORDER-20261120-000123", "ORDER-20261120-000123"},
        {"123456789012", "123456789012"},
        {"2026-11-20T09:30:00.123Z", "2026-11-20T09:30:00.123Z"},
        /* An id is not a card, whichever digits chance gives it. */
        {"pi_60005b2e-cf7d-4547-8707-4246655c7b4b", "pi_60005b2e-cf7d-4547-8707-4246655c7b4b"},
        {"id=12345678-1234-4123-8123-123456789012", "id=12345678-1234-4123-8123-123456789012"},
        {"12345678-1234-4123-8123-4234567890123", "12345678-1234-4123-8123-*********0123"},
        {"ab-cf7d-4547-8707-4246655c7b4b", "ab-cf7d-****-****-***6655c7b4b"},
        {"42424242  42424242", "42424242  42424242"},
        {"424242424242424242424242", "********************4242"},
        {"", ""},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char text[64];
        mt_copy(text, sizeof(text), cases[i].in);
        mt_mask_digits(text, strlen(text));
        assert_string_equal(text, cases[i].out);
    }
}

static void *log_much(void *arg) {
    for (int i = 0; i < 200; i++) mt_info("from a thread", "who", (const char *)arg);
    return NULL;
}

static void count_line(void *ctx, const char *line, size_t len) {
    assert_true(line[len - 1] == '\n');
    (*(int *)ctx)++;
}

static void threads_log_side_by_side(void **state) {
    (void)state;
    int count = 0;
    pthread_t threads[4];
    mt_log_setup(MT_LOG_INFO, MT_LOG_JSON);
    mt_log_sink(count_line, &count);
    for (int i = 0; i < 4; i++) pthread_create(&threads[i], NULL, log_much, (void *)(uintptr_t) "x");
    for (int i = 0; i < 4; i++) pthread_join(threads[i], NULL);
    mt_log_sink(NULL, NULL);
    assert_int_equal(count, 800);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(instants_read_and_write_as_rfc_3339),
        cmocka_unit_test(a_fixed_clock_stands_still_until_advanced),
        cmocka_unit_test(every_clock_wakes_its_waiter),
        cmocka_unit_test(an_offset_survives_and_is_shared_between_processes),
        cmocka_unit_test(a_file_that_is_no_clock_is_refused),
        cmocka_unit_test(secrets_never_reach_a_log_line),
        cmocka_unit_test(a_log_line_is_one_line_of_json_whatever_it_holds),
        cmocka_unit_test(names_of_secrets_are_known_in_every_spelling),
        cmocka_unit_test(card_like_digits_are_masked_and_others_are_not),
        cmocka_unit_test(threads_log_side_by_side),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
