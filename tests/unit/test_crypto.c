/* links: mt_crypto mt_base */
/* Digests and MACs against published and our own vectors; sealing and key files against damage. */
#include "base/text.h"
#include "crypto/crypto.h"
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

static void digests_match_their_vectors(void **state) {
    (void)state;
    static const struct {
        void (*hex)(const void *, size_t, char *);
        const char *data, *expected;
    } cases[] = {
        {mt_md5_hex, "", "d41d8cd98f00b204e9800998ecf8427e"},
        {mt_md5_hex, "pubkey14902604251USUSD5101privkey", "c5c084e0ca5ba54d262b6baf475a08f6"},
        {mt_md5_hex, "pubkey1490260425privkey", "faf9f719571c09ae9d98a11c9e9a908d"},
        {mt_sha256_hex, "abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
        {mt_sha256_hex, "A1B2C3D4E5F6G7H8I9J0,01012345678,50000",
         "a5e3be3227d81f6bb0b278ad9ad0729152df55a354d146efce8f7171af9a785a"},
        {mt_sha256_hex, "A1B2C3D4E5F6G7H8I9J0,50000",
         "03d6a82a541c9aa627c6c30d8f3d95fcecf8efb723e07f4eb80f8c4c6cf70352"},
        {mt_sha512_hex, "abc",
         "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd"
         "454d4423643ce80e2a9ac94fa54ca49f"},
    };
    char hex[129];
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        cases[i].hex(cases[i].data, strlen(cases[i].data), hex);
        assert_string_equal(hex, cases[i].expected);
    }
    uint8_t whole[32], parts[32];
    struct mt_part pieces[] = {{"a", 1}, {NULL, 0}, {"bc", 2}};
    mt_sha256("abc", 3, whole);
    mt_sha256_parts(pieces, 3, parts);
    assert_memory_equal(whole, parts, 32);
    mt_sha256(NULL, 0, whole);
    mt_hex_encode(whole, 4, hex);
    assert_string_equal(hex, "e3b0c442");
}

static void macs_match_their_vectors(void **state) {
    (void)state;
    static const struct {
        const char *key, *data, *sha256, *sha512;
    } cases[] = {
        {"hmac_secret_1234", "{\"type\":\"payment_intent\"}", NULL,
         "38b0bc1ea66b14793e39cd58e93d37b799a507442d0dd8d37443fa95dec58e57da6db4742636fea31201c48e57a66e73a30"
         "8a2e5a5c6bb831e4e39f"
         "e2227c00f"},
        {"whsec_test_secret", "{\"event_id\":\"evt_1\",\"event_type\":\"payment_succeeded\"}",
         "2a4fddb2337400343c9a7bc045538bba7d59d63091c837ff4762be20472fa0cf",
         "4164249b34b911a90df9f410b36a08297e2f0b636e03ed556d2f22a675caf41d2c9add218670558ac7409053589c8ac25e1"
         "ae3e100e8ed4b79eac44b"
         "a4b33895"},
        /* RFC 4231, case 2 */
        {"Jefe", "what do ya want for nothing?",
         "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
         "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea2505549758bf75c05a994a6d034f65f8f0e6fdcae"
         "ab1a34d4a6b4b636e070a"
         "38bce737"},
    };
    char hex[129];
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        size_t key_len = strlen(cases[i].key), len = strlen(cases[i].data);
        mt_hmac_sha256_hex(cases[i].key, key_len, cases[i].data, len, hex);
        if (cases[i].sha256 != NULL) assert_string_equal(hex, cases[i].sha256);
        mt_hmac_sha512_hex(cases[i].key, key_len, cases[i].data, len, hex);
        assert_string_equal(hex, cases[i].sha512);
    }
    /* RFC 4231, case 6: a key longer than a block */
    uint8_t key[131];
    memset(key, 0xAA, sizeof(key));
    const char *data = "Test Using Larger Than Block-Size Key - Hash Key First";
    mt_hmac_sha256_hex(key, sizeof(key), data, strlen(data), hex);
    assert_string_equal(hex, "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
    mt_hmac_sha512_hex(key, sizeof(key), data, strlen(data), hex);
    assert_memory_equal(hex, "80b24263c7c1a3ebb71493c1dd7be8b4", 32);
    mt_hmac_sha256_hex(NULL, 0, NULL, 0, hex);
    assert_string_equal(hex, "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad");
    /* a signature with its time in it, as card processors send it: v1 over "time.body" */
    data = "1614265330.{\"event_id\":\"evt_1\",\"event_type\":\"payment_succeeded\"}";
    mt_hmac_sha256_hex("whsec_test_secret", 17, data, strlen(data), hex);
    assert_string_equal(hex, "1d0135813835984f929d787f6e4144f96351537db5656f26b9c31230ed83443c");
}

static void a_webhook_signature_of_the_standard_verifies(void **state) {
    (void)state;
    struct mt_buf secret, signature;
    uint8_t mac[32];
    const char *signed_text = "msg_p5jXN8AQM9LWM0D4loKWxJek.1614265330.{\"test\": 2432232314}";
    mt_buf_init(&secret, 64);
    mt_buf_init(&signature, 64);
    assert_true(mt_base64_decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", 32, &secret));
    mt_hmac_sha256(secret.data, secret.len, signed_text, strlen(signed_text), mac);
    mt_base64_encode(mac, sizeof(mac), &signature);
    assert_string_equal(signature.data, "g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    mt_buf_clear(&secret);
    mt_buf_clear(&signature);
}

static void hkdf_matches_rfc_5869(void **state) {
    (void)state;
    uint8_t ikm[22], salt[13], info[10], out[82];
    char hex[200];
    memset(ikm, 0x0B, sizeof(ikm));
    for (int i = 0; i < 13; i++) salt[i] = (uint8_t)i;
    for (int i = 0; i < 10; i++) info[i] = (uint8_t)(0xF0 + i);
    mt_hkdf_sha256(ikm, sizeof(ikm), salt, sizeof(salt), info, sizeof(info), out, 42);
    mt_hex_encode(out, 42, hex);
    assert_string_equal(
        hex, "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865");
    mt_hkdf_sha256(ikm, sizeof(ikm), NULL, 0, NULL, 0, out, 42);
    mt_hex_encode(out, 42, hex);
    assert_string_equal(
        hex, "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8");
    struct mt_seal_key root = {{1}}, a, b, again;
    mt_derive_key(&root, "journal", &a);
    mt_derive_key(&root, "idempotency", &b);
    mt_derive_key(&root, "journal", &again);
    assert_memory_equal(&a, &again, sizeof(a));
    assert_memory_not_equal(&a, &b, sizeof(a));
    mt_derive_key(&root, "journal", &root);
    assert_memory_equal(&a, &root, sizeof(a));
}

static void equality_is_of_length_and_bytes(void **state) {
    (void)state;
    assert_true(mt_equal("ab", 2, "ab", 2));
    assert_false(mt_equal("ab", 2, "ac", 2));
    assert_false(mt_equal("ab", 2, "abc", 3));
    assert_true(mt_equal(NULL, 0, "", 0));
    assert_true(mt_equal_str("token", "token"));
    assert_false(mt_equal_str("token", "toke"));
    assert_false(mt_equal_str(NULL, NULL));
    assert_false(mt_equal_str("", NULL));
}

static void hex_has_two_digits_a_byte(void **state) {
    (void)state;
    uint8_t out[4];
    assert_true(mt_hex_decode("00fFAb", 6, out, 3));
    assert_memory_equal(out, "\x00\xFF\xAB", 3);
    assert_false(mt_hex_decode("00fFAb", 6, out, 4));
    assert_false(mt_hex_decode("00fFA", 5, out, 2));
    assert_false(mt_hex_decode("0g", 2, out, 1));
    assert_false(mt_hex_decode(" 0", 2, out, 1));
    assert_true(mt_hex_decode("", 0, out, 0));
}

static void base64_goes_there_and_back_and_has_one_spelling(void **state) {
    (void)state;
    static const struct {
        const char *plain, *encoded, *url;
    } cases[] = {{"", "", ""},
                 {"f", "Zg==", "Zg"},
                 {"fo", "Zm8=", "Zm8"},
                 {"foo", "Zm9v", "Zm9v"},
                 {"foobar", "Zm9vYmFy", "Zm9vYmFy"},
                 {"\xFB\xFF\xFE", "+//+", "-__-"},
                 {"\xFF", "/w==", "_w"}};
    struct mt_buf b;
    mt_buf_init(&b, 100);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        size_t len = strlen(cases[i].plain);
        mt_buf_reset(&b);
        mt_base64_encode(cases[i].plain, len, &b);
        assert_string_equal(b.data, cases[i].encoded);
        mt_buf_reset(&b);
        mt_base64url_encode(cases[i].plain, len, &b);
        assert_string_equal(b.data, cases[i].url);
        mt_buf_reset(&b);
        assert_true(mt_base64_decode(cases[i].encoded, strlen(cases[i].encoded), &b));
        assert_true(mt_base64url_decode(cases[i].url, strlen(cases[i].url), &b));
        assert_int_equal(b.len, 2 * len);
        assert_memory_equal(b.data + len, cases[i].plain, len);
    }
    mt_buf_reset(&b);
    assert_true(mt_base64url_decode("Zg==", 4, &b));
    static const char *const bad[] = {
        "Z",     "Zg",   "Zg=",   "Zh==",  "Zm9=", "Zg==Zg==",        "=", "==", "====", "Z===", "Zm9v\n",
        " Zm9v", "Zm-_", "Zm9v=", "Zm9vZ", "A===", "\xFF\xFF\xFF\xFF"};
    mt_buf_reset(&b);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_false(mt_base64_decode(bad[i], strlen(bad[i]), &b));
        assert_int_equal(b.len, 0);
    }
    assert_false(mt_base64url_decode("Zm+/", 4, &b));
    assert_false(mt_base64url_decode("Zg=", 3, &b));
    assert_false(mt_base64url_decode("Z", 1, &b));
    mt_buf_clear(&b);
    mt_buf_init(&b, 2);
    assert_false(mt_base64_decode("Zm9v", 4, &b)); /* no room */
    assert_int_equal(b.len, 0);
    mt_buf_clear(&b);
}

static const struct mt_seal_key key = {{1, 2, 3}}, other_key = {{1, 2, 4}};

static void what_is_sealed_opens_only_whole_with_its_key_in_its_place(void **state) {
    (void)state;
    struct mt_error e;
    struct mt_buf sealed, plain;
    const char *text = "{\"api\":\"call\",\"amount\":\"80.00\"}";
    size_t len = strlen(text);
    mt_buf_init(&sealed, 1000);
    mt_buf_init(&plain, 1000);
    mt_buf_adds(&sealed, "before");
    assert_int_equal(mt_seal(&key, "run_1", 5, text, len, &sealed, &e), 0);
    assert_int_equal(sealed.len, 6 + len + MT_SEAL_OVERHEAD);
    const char *bytes = sealed.data + 6;
    size_t size = sealed.len - 6;
    assert_null(memmem(bytes, size, "amount", 6));
    mt_buf_adds(&plain, "kept");
    assert_int_equal(mt_unseal(&key, "run_1", 5, bytes, size, &plain, &e), 0);
    assert_int_equal(plain.len, 4 + len);
    assert_memory_equal(plain.data + 4, text, len);
    assert_int_equal(mt_unseal(&other_key, "run_1", 5, bytes, size, &plain, &e), -1);
    assert_int_equal(e.kind, MT_STORE);
    assert_int_equal(mt_unseal(&key, "run_2", 5, bytes, size, &plain, &e), -1);
    assert_int_equal(mt_unseal(&key, NULL, 0, bytes, size, &plain, &e), -1);
    for (size_t i = 0; i < size; i++) { /* every bit counts */
        sealed.data[6 + i] ^= 0x10;
        assert_int_equal(mt_unseal(&key, "run_1", 5, bytes, size, &plain, &e), -1);
        sealed.data[6 + i] ^= 0x10;
    }
    for (size_t n = 0; n < size; n++) assert_int_equal(mt_unseal(&key, "run_1", 5, bytes, n, &plain, &e), -1);
    assert_int_equal(plain.len, 4 + len);
    assert_int_equal(mt_unseal(&key, "run_1", 5, bytes, size, &plain, &e), 0);
    mt_buf_clear(&sealed);
    mt_buf_clear(&plain);
}

static void sealing_twice_gives_different_bytes_and_nothing_can_be_sealed(void **state) {
    (void)state;
    struct mt_error e;
    struct mt_buf a, b;
    mt_buf_init(&a, 29);
    mt_buf_init(&b, 100);
    assert_int_equal(mt_seal(&key, NULL, 0, NULL, 0, &a, &e), 0);
    assert_int_equal(mt_seal(&key, NULL, 0, NULL, 0, &b, &e), 0);
    assert_memory_not_equal(a.data, b.data, MT_SEAL_OVERHEAD);
    mt_buf_reset(&b);
    assert_int_equal(mt_unseal(&key, NULL, 0, a.data, a.len, &b, &e), 0);
    assert_int_equal(b.len, 0);
    mt_buf_reset(&a);
    assert_int_equal(mt_seal(&key, NULL, 0, "x", 1, &a, &e), -1); /* 30 bytes into 29 */
    assert_int_equal(e.kind, MT_LIMIT);
    mt_buf_clear(&a);
    mt_buf_clear(&b);
}

enum { THREADS = 4, ROUNDS = 500 };

static void *seal_much(void *arg) {
    struct mt_error e;
    struct mt_buf sealed, plain;
    struct mt_seal_key mine = {{(uint8_t)(uintptr_t)arg}};
    mt_buf_init(&sealed, 4096);
    mt_buf_init(&plain, 4096);
    for (int i = 0; i < ROUNDS; i++) {
        char text[32];
        mt_format(text, sizeof(text), "message %d", i);
        mt_buf_reset(&sealed);
        mt_buf_reset(&plain);
        /* keys in turn, so that the kept context changes its key again and again */
        const struct mt_seal_key *k = i % 3 == 0 ? &key : &mine;
        assert_int_equal(mt_seal(k, "aad", 3, text, strlen(text), &sealed, &e), 0);
        assert_int_equal(mt_unseal(k, "aad", 3, sealed.data, sealed.len, &plain, &e), 0);
        assert_string_equal(plain.data, text);
    }
    mt_buf_clear(&sealed);
    mt_buf_clear(&plain);
    return NULL;
}

static void threads_seal_side_by_side(void **state) {
    (void)state;
    pthread_t threads[THREADS];
    for (uintptr_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, seal_much, (void *)(i + 1)), 0);
    for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
}

static void a_fork_never_repeats_a_nonce(void **state) {
    (void)state;
    struct mt_error e;
    struct mt_buf b;
    int ends[2];
    char theirs[MT_SEAL_OVERHEAD];
    mt_buf_init(&b, 1000);
    assert_int_equal(mt_seal(&key, NULL, 0, NULL, 0, &b, &e), 0); /* so that random bytes are at hand */
    mt_buf_reset(&b);
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    if (child == 0) {
        mt_seal(&key, NULL, 0, NULL, 0, &b, &e);
        _exit(write(ends[1], b.data, b.len) == MT_SEAL_OVERHEAD ? 0 : 1);
    }
    assert_int_equal(read(ends[0], theirs, sizeof(theirs)), MT_SEAL_OVERHEAD);
    mt_seal(&key, NULL, 0, NULL, 0, &b, &e);
    assert_memory_not_equal(theirs + 1, b.data + 1, 12);
    int status;
    waitpid(child, &status, 0);
    close(ends[0]);
    close(ends[1]);
    mt_buf_clear(&b);
}

static void tokens_are_random_and_of_their_length(void **state) {
    (void)state;
    char a[129], b[129];
    mt_random_hex(16, a);
    mt_random_hex(16, b);
    assert_int_equal(strlen(a), 32);
    assert_string_not_equal(a, b);
    for (size_t n = 0; n <= 64; n++) {
        mt_random_token(n, a);
        assert_int_equal(strlen(a), (4 * n + 2) / 3);
        assert_int_equal(strspn(a, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"),
                         strlen(a));
    }
}

static char folder[64];

static int make_folder(void **state) {
    (void)state;
    mt_copy(folder, sizeof(folder), "/tmp/mintage-test-XXXXXX");
    return mkdtemp(folder) == NULL ? -1 : 0;
}

static int remove_folder(void **state) {
    (void)state;
    return rmdir(folder);
}

static void write_file(const char *path, const char *data, size_t len, mode_t mode) {
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_int_equal(write(fd, data, len), len);
    fchmod(fd, mode);
    close(fd);
}

static void a_key_file_is_made_once_and_read_ever_after(void **state) {
    (void)state;
    char path[128];
    struct mt_error e;
    struct mt_seal_key a, b;
    struct stat st;
    mt_format(path, sizeof(path), "%s/key", folder);
    assert_int_equal(mt_secret_file(path, &a, &e), 0);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_equal(st.st_size, 32);
    assert_int_equal(mt_secret_file(path, &b, &e), 0);
    assert_memory_equal(&a, &b, sizeof(a));
    unlink(path); /* rmdir in the teardown proves that nothing else is left */
}

static void *load_key(void *arg) {
    struct mt_error e;
    char path[128];
    mt_format(path, sizeof(path), "%s/shared", folder);
    assert_int_equal(mt_secret_file(path, arg, &e), 0);
    return NULL;
}

static void those_who_make_a_key_file_at_once_end_with_one_key(void **state) {
    (void)state;
    char path[128];
    mt_format(path, sizeof(path), "%s/shared", folder);
    for (int round = 0; round < 20; round++) {
        pthread_t threads[THREADS];
        struct mt_seal_key keys[THREADS];
        for (int i = 0; i < THREADS; i++)
            assert_int_equal(pthread_create(&threads[i], NULL, load_key, &keys[i]), 0);
        for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
        for (int i = 1; i < THREADS; i++) assert_memory_equal(&keys[0], &keys[i], sizeof(keys[0]));
        unlink(path);
    }
}

static void a_key_file_that_is_wrong_is_refused_and_left_alone(void **state) {
    (void)state;
    char path[128], target[128];
    struct mt_error e;
    struct mt_seal_key k;
    static const char bytes[33] = "0123456789abcdef0123456789abcdefX", zeros[32];
    mt_format(path, sizeof(path), "%s/key", folder);
    mt_format(target, sizeof(target), "%s/target", folder);
    write_file(path, bytes, 31, 0600);
    assert_int_equal(mt_secret_file(path, &k, &e), -1);
    assert_non_null(strstr(e.message, "found 31 bytes, wanted 32"));
    write_file(path, bytes, 33, 0600);
    assert_int_equal(mt_secret_file(path, &k, &e), -1);
    write_file(path, bytes, 0, 0600);
    assert_int_equal(mt_secret_file(path, &k, &e), -1);
    write_file(path, bytes, 32, 0640);
    assert_int_equal(mt_secret_file(path, &k, &e), -1);
    assert_non_null(strstr(e.message, "0640"));
    assert_non_null(strstr(e.message, path));
    assert_null(strstr(e.message, "0123456789abcdef"));
    write_file(path, zeros, 32, 0600);
    assert_int_equal(mt_secret_file(path, &k, &e), -1);
    write_file(path, bytes, 32, 0600);
    assert_int_equal(mt_secret_file(path, &k, &e), 0);
    assert_memory_equal(&k, bytes, 32);
    assert_int_equal(rename(path, target), 0);
    assert_int_equal(symlink(target, path), 0);
    assert_int_equal(mt_secret_file(path, &k, &e), -1); /* a link may point anywhere */
    unlink(path);
    unlink(target);
    assert_int_equal(mt_secret_file("/nonexistent/folder/key", &k, &e), -1);
    assert_int_equal(e.kind, MT_STORE);
    assert_int_equal(mt_secret_file(folder, &k, &e), -1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(digests_match_their_vectors),
        cmocka_unit_test(macs_match_their_vectors),
        cmocka_unit_test(a_webhook_signature_of_the_standard_verifies),
        cmocka_unit_test(hkdf_matches_rfc_5869),
        cmocka_unit_test(equality_is_of_length_and_bytes),
        cmocka_unit_test(hex_has_two_digits_a_byte),
        cmocka_unit_test(base64_goes_there_and_back_and_has_one_spelling),
        cmocka_unit_test(what_is_sealed_opens_only_whole_with_its_key_in_its_place),
        cmocka_unit_test(sealing_twice_gives_different_bytes_and_nothing_can_be_sealed),
        cmocka_unit_test(threads_seal_side_by_side),
        cmocka_unit_test(a_fork_never_repeats_a_nonce),
        cmocka_unit_test(tokens_are_random_and_of_their_length),
        cmocka_unit_test_setup_teardown(a_key_file_is_made_once_and_read_ever_after, make_folder,
                                        remove_folder),
        cmocka_unit_test_setup_teardown(those_who_make_a_key_file_at_once_end_with_one_key, make_folder,
                                        remove_folder),
        cmocka_unit_test_setup_teardown(a_key_file_that_is_wrong_is_refused_and_left_alone, make_folder,
                                        remove_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
