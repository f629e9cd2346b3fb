/* links: mt_crypto mt_base */
/* Signatures of the Standard Webhooks convention: its published vector, and everything that must be refused.
 */
#include "base/text.h"
#include "crypto/webhook.h"
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define SECRET "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
#define ID "msg_p5jXN8AQM9LWM0D4loKWxJek"
#define AT 1614265330
#define BODY "{\"test\": 2432232314}"
#define SIGNATURE "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="

static void test_vector(void **state) {
    (void)state;
    struct mt_buf b;
    struct mt_error e;
    mt_buf_init(&b, 200);
    assert_int_equal(0, mt_webhook_sign(SECRET, ID, AT, BODY, strlen(BODY), &b, &e));
    assert_string_equal(SIGNATURE, b.data);
    mt_buf_reset(&b);
    assert_int_equal(0, mt_webhook_sign(SECRET + 6, ID, AT, BODY, strlen(BODY), &b, &e));
    assert_string_equal(SIGNATURE, b.data);
    mt_buf_clear(&b);
}

struct attempt {
    const char *secret, *id, *timestamp, *signature, *body;
    int64_t now;
    const char *refused; /* NULL: it is taken */
};

static void check(const struct attempt *a) {
    struct mt_error e;
    const char *secrets[1] = {a->secret ? a->secret : SECRET};
    const char *body = a->body ? a->body : BODY;
    int rc = mt_webhook_verify(secrets, 1, a->id, a->timestamp, a->signature, body, strlen(body),
                               a->now ? a->now : AT, MT_WEBHOOK_TOLERANCE_S, &e);
    if ((rc == 0) != !a->refused)
        fail_msg("%s / %s: rc %d", a->signature, a->refused ? a->refused : "taken", rc);
    if (rc != 0 && !strstr(e.message, a->refused)) fail_msg("%s", e.message);
}

static void test_verifying(void **state) {
    (void)state;
    static const char at[] = "1614265330", none[] = "no signature is of this message";
    const struct attempt attempts[] = {
        {NULL, ID, at, SIGNATURE, NULL, 0, NULL},
        {SECRET + 6, ID, at, SIGNATURE, NULL, 0, NULL},
        {NULL, ID, at, "v1,AAAA " SIGNATURE " v2,xxxx", NULL, 0, NULL},
        {NULL, ID, at, SIGNATURE, NULL, AT + 300, NULL},
        {NULL, ID, at, SIGNATURE, NULL, AT - 300, NULL},
        {NULL, ID, at, SIGNATURE, NULL, AT + 301, "too long ago"},
        {NULL, ID, at, SIGNATURE, NULL, AT - 301, "in the future"},
        {NULL, NULL, at, SIGNATURE, NULL, 0, "webhook-id is missing"},
        {NULL, "", at, SIGNATURE, NULL, 0, "webhook-id is missing"},
        {NULL, ID, NULL, SIGNATURE, NULL, 0, "webhook-timestamp is missing"},
        {NULL, ID, "soon", SIGNATURE, NULL, 0, "not a number of seconds"},
        {NULL, ID, "1614265330.5", SIGNATURE, NULL, 0, "not a number of seconds"},
        {NULL, ID, "-1", SIGNATURE, NULL, 0, "not a number of seconds"},
        {NULL, ID, at, NULL, NULL, 0, "webhook-signature is missing"},
        {NULL, ID, at, "", NULL, 0, "webhook-signature is missing"},
        {NULL, ID, at, "v1,", NULL, 0, none},
        {NULL, ID, at, "g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=", NULL, 0, none},
        {NULL, ID, at, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1O", NULL, 0, none},
        {NULL, ID, at, "v2,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=", NULL, 0, none},
        {NULL, ID, at, "v1a,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=", NULL, 0, none},
        {NULL, ID, at, SIGNATURE, "{\"test\": 2432232315}", 0, none},
        {NULL, ID, at, SIGNATURE, "{\"test\":2432232314}", 0, none},
        {NULL, "msg_other", at, SIGNATURE, NULL, 0, none},
        {NULL, ID, "1614265331", SIGNATURE, NULL, 0, none},
        {"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSx", ID, at, SIGNATURE, NULL, 0, none},
        {"", ID, at, SIGNATURE, NULL, 0, "is not \"whsec_\""},
        {"whsec_", ID, at, SIGNATURE, NULL, 0, "is not \"whsec_\""},
        {"whsec_AAAA", ID, at, SIGNATURE, NULL, 0, "is not \"whsec_\""},
        {"whsec_#", ID, at, SIGNATURE, NULL, 0, "is not \"whsec_\""},
    };
    for (size_t i = 0; i < sizeof attempts / sizeof *attempts; i++) check(&attempts[i]);
}

static void test_secrets_and_rotation(void **state) {
    (void)state;
    char old[MT_WEBHOOK_SECRET_SIZE], new[MT_WEBHOOK_SECRET_SIZE], other[MT_WEBHOOK_SECRET_SIZE];
    struct mt_buf b;
    struct mt_error e;
    mt_webhook_secret("a key of the program", "shop", 1, old);
    mt_webhook_secret("a key of the program", "shop", 2, new);
    mt_webhook_secret("a key of the program", "shop2", 1, other);
    assert_string_not_equal(old, new);
    assert_string_not_equal(old, other);
    assert_int_equal(0, strncmp(old, "whsec_", 6));
    mt_buf_init(&b, 300);
    assert_int_equal(0, mt_webhook_sign(new, ID, AT, "", 0, &b, &e));
    mt_buf_addc(&b, ' ');
    assert_int_equal(0, mt_webhook_sign(old, ID, AT, "", 0, &b, &e));
    const char *both[] = {other, new}, *only_old[] = {old}, *wrong[] = {other};
    assert_int_equal(0, mt_webhook_verify(both, 2, ID, "1614265330", b.data, "", 0, AT, 300, &e));
    assert_int_equal(0, mt_webhook_verify(only_old, 1, ID, "1614265330", b.data, "", 0, AT, 300, &e));
    assert_int_equal(-1, mt_webhook_verify(wrong, 1, ID, "1614265330", b.data, "", 0, AT, 300, &e));
    assert_int_equal(-1, mt_webhook_verify(both, 0, ID, "1614265330", b.data, "", 0, AT, 300, &e));
    mt_buf_clear(&b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vector),
        cmocka_unit_test(test_verifying),
        cmocka_unit_test(test_secrets_and_rotation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
