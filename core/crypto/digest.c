/* Digests, HMAC and HKDF, on contexts that the thread keeps.
 * Invariant: a context is left ready for the next message. Any thread. */
#include "crypto/thread.h"
#include <openssl/crypto.h>
#include <string.h>

enum { BLOCK_MAX = 128 };

static void digest(enum digest which, const struct mt_part *parts, size_t n, uint8_t *out) {
    EVP_MD_CTX *ctx = crypto_thread()->digests[which];
    const EVP_MD *md = crypto_digest(which);
    static const char *const names[] = {"MD5", "SHA-256", "SHA-512"};
    crypto_must(md != NULL && EVP_DigestInit_ex(ctx, md, NULL), names[which]);
    for (size_t i = 0; i < n; i++)
        if (parts[i].len > 0) crypto_must(EVP_DigestUpdate(ctx, parts[i].data, parts[i].len), names[which]);
    crypto_must(EVP_DigestFinal_ex(ctx, out, NULL), names[which]);
}

static size_t digest_size(enum digest which) {
    return which == DIGEST_MD5 ? MT_MD5_SIZE : which == DIGEST_SHA256 ? MT_SHA256_SIZE : MT_SHA512_SIZE;
}

static void digest_hex(enum digest which, const void *data, size_t len, char *out) {
    uint8_t raw[MT_SHA512_SIZE];
    digest(which, &(struct mt_part){data, len}, 1, raw);
    mt_hex_encode(raw, digest_size(which), out);
}

void mt_md5(const void *data, size_t len, uint8_t out[MT_MD5_SIZE]) {
    digest(DIGEST_MD5, &(struct mt_part){data, len}, 1, out);
}

void mt_sha256(const void *data, size_t len, uint8_t out[MT_SHA256_SIZE]) {
    digest(DIGEST_SHA256, &(struct mt_part){data, len}, 1, out);
}

void mt_sha512(const void *data, size_t len, uint8_t out[MT_SHA512_SIZE]) {
    digest(DIGEST_SHA512, &(struct mt_part){data, len}, 1, out);
}

void mt_md5_hex(const void *data, size_t len, char out[2 * MT_MD5_SIZE + 1]) {
    digest_hex(DIGEST_MD5, data, len, out);
}

void mt_sha256_hex(const void *data, size_t len, char out[2 * MT_SHA256_SIZE + 1]) {
    digest_hex(DIGEST_SHA256, data, len, out);
}

void mt_sha512_hex(const void *data, size_t len, char out[2 * MT_SHA512_SIZE + 1]) {
    digest_hex(DIGEST_SHA512, data, len, out);
}

void mt_sha256_parts(const struct mt_part *parts, size_t n, uint8_t out[MT_SHA256_SIZE]) {
    digest(DIGEST_SHA256, parts, n, out);
}

/* RFC 2104 by hand: OpenSSL 3's EVP_MAC takes longer to set a key than SHA-256 takes for the message. */
static void hmac(enum digest which, const void *key, size_t key_len, const struct mt_part *parts, size_t n,
                 uint8_t *out) {
    size_t block = which == DIGEST_SHA512 ? 128 : 64, size = digest_size(which);
    uint8_t padded[BLOCK_MAX] = {0}, inner[MT_SHA512_SIZE];
    struct mt_part all[4];
    if (key_len > block)
        digest(which, &(struct mt_part){key, key_len}, 1, padded);
    else if (key_len > 0)
        memcpy(padded, key, key_len);
    for (size_t i = 0; i < block; i++) padded[i] ^= 0x36;
    all[0] = (struct mt_part){padded, block};
    for (size_t i = 0; i < n; i++) all[i + 1] = parts[i];
    digest(which, all, n + 1, inner);
    for (size_t i = 0; i < block; i++) padded[i] ^= 0x36 ^ 0x5C;
    all[1] = (struct mt_part){inner, size};
    digest(which, all, 2, out);
    mt_wipe(padded, sizeof(padded));
    mt_wipe(inner, sizeof(inner));
}

void mt_hmac_sha256(const void *key, size_t key_len, const void *data, size_t len,
                    uint8_t out[MT_SHA256_SIZE]) {
    hmac(DIGEST_SHA256, key, key_len, &(struct mt_part){data, len}, 1, out);
}

void mt_hmac_sha512(const void *key, size_t key_len, const void *data, size_t len,
                    uint8_t out[MT_SHA512_SIZE]) {
    hmac(DIGEST_SHA512, key, key_len, &(struct mt_part){data, len}, 1, out);
}

void mt_hmac_sha256_hex(const void *key, size_t key_len, const void *data, size_t len,
                        char out[2 * MT_SHA256_SIZE + 1]) {
    uint8_t raw[MT_SHA256_SIZE];
    mt_hmac_sha256(key, key_len, data, len, raw);
    mt_hex_encode(raw, sizeof(raw), out);
}

void mt_hmac_sha512_hex(const void *key, size_t key_len, const void *data, size_t len,
                        char out[2 * MT_SHA512_SIZE + 1]) {
    uint8_t raw[MT_SHA512_SIZE];
    mt_hmac_sha512(key, key_len, data, len, raw);
    mt_hex_encode(raw, sizeof(raw), out);
}

void mt_hkdf_sha256(const void *ikm, size_t ikm_len, const void *salt, size_t salt_len, const void *info,
                    size_t info_len, uint8_t *out, size_t size) {
    uint8_t prk[MT_SHA256_SIZE], block[MT_SHA256_SIZE], counter = 1;
    size_t block_len = 0; /* the first round has no block before it */
    crypto_must(size <= 255 * MT_SHA256_SIZE, "HKDF output of that size");
    mt_hmac_sha256(salt, salt_len, ikm, ikm_len, prk);
    for (size_t done = 0; done < size; counter++) {
        struct mt_part parts[] = {{block, block_len}, {info, info_len}, {&counter, 1}};
        hmac(DIGEST_SHA256, prk, sizeof(prk), parts, 3, block);
        block_len = sizeof(block);
        size_t n = size - done < sizeof(block) ? size - done : sizeof(block);
        memcpy(out + done, block, n);
        done += n;
    }
    mt_wipe(prk, sizeof(prk));
    mt_wipe(block, sizeof(block));
}

void mt_derive_key(const struct mt_seal_key *from, const char *label, struct mt_seal_key *out) {
    struct mt_seal_key derived; /* `out` may be `from` */
    mt_hkdf_sha256(from->bytes, sizeof(from->bytes), NULL, 0, label, strlen(label), derived.bytes,
                   sizeof(derived.bytes));
    *out = derived;
    mt_wipe(&derived, sizeof(derived));
}

bool mt_equal(const void *a, size_t a_len, const void *b, size_t b_len) {
    return a_len == b_len && (a_len == 0 || CRYPTO_memcmp(a, b, a_len) == 0);
}

bool mt_equal_str(const char *a, const char *b) {
    return a != NULL && b != NULL && mt_equal(a, strlen(a), b, strlen(b));
}
