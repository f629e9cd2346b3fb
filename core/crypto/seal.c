/* Sealing: AES-256-GCM, version (1) | nonce (12) | ciphertext | tag (16).
 * Invariant: what does not open whole is not given out at all. Any thread. */
#include "crypto/thread.h"
#include <limits.h>
#include <string.h>

enum { VERSION = 1, TAG_SIZE = 16 };
_Static_assert(1 + NONCE_SIZE + TAG_SIZE == MT_SEAL_OVERHEAD, "the overhead is version, nonce and tag");

/* Points the context at a nonce, and at the key when it is not the one of last time. */
static void prepare(struct keyed *k, const struct mt_seal_key *key, const uint8_t *nonce, int sealing) {
    if (k->set && mt_equal(&k->key, sizeof(k->key), key, sizeof(*key))) {
        crypto_must(EVP_CipherInit_ex(k->ctx, NULL, NULL, NULL, nonce, sealing), "AES-256-GCM");
        return;
    }
    crypto_must(EVP_CipherInit_ex(k->ctx, crypto_aes_256_gcm(), NULL, key->bytes, nonce, sealing),
                "AES-256-GCM");
    k->key = *key;
    k->set = true;
}

static void feed(EVP_CIPHER_CTX *ctx, uint8_t *out, const void *in, size_t len) {
    int n;
    if (len > 0) crypto_must(EVP_CipherUpdate(ctx, out, &n, in, (int)len), "AES-256-GCM");
}

/* given NULL: one that was never used. */
static int seal(const struct mt_seal_key *key, const uint8_t *given, const void *aad, size_t aad_len,
                const void *plain, size_t len, struct mt_buf *out, struct mt_error *e) {
    struct crypto_thread *t = crypto_thread();
    if (len > INT_MAX || aad_len > INT_MAX)
        return mt_fail(e, MT_LIMIT, "%zu bytes are too many to seal at once", len);
    uint8_t *at = (uint8_t *)mt_buf_grow(out, len + MT_SEAL_OVERHEAD);
    if (at == NULL) return mt_fail(e, MT_LIMIT, "no room to seal %zu bytes: the limit is %zu", len, out->max);
    uint8_t *nonce = at + 1, *body = nonce + NONCE_SIZE, *tag = body + len;
    int n;
    at[0] = VERSION;
    if (given != NULL)
        memcpy(nonce, given, NONCE_SIZE);
    else
        crypto_nonce(t, nonce);
    prepare(&t->seal, key, nonce, 1);
    feed(t->seal.ctx, NULL, aad, aad_len);
    feed(t->seal.ctx, body, plain, len);
    crypto_must(EVP_CipherFinal_ex(t->seal.ctx, tag, &n), "AES-256-GCM");
    crypto_must(EVP_CIPHER_CTX_ctrl(t->seal.ctx, EVP_CTRL_AEAD_GET_TAG, TAG_SIZE, tag), "AES-256-GCM");
    return 0;
}

int mt_seal(const struct mt_seal_key *key, const void *aad, size_t aad_len, const void *plain, size_t len,
            struct mt_buf *out, struct mt_error *e) {
    return seal(key, NULL, aad, aad_len, plain, len, out, e);
}

/* The nonce is a MAC of place and text: only the same text at the same place has the same one. */
int mt_seal_same(const struct mt_seal_key *key, const void *aad, size_t aad_len, const void *plain,
                 size_t len, struct mt_buf *out, struct mt_error *e) {
    struct mt_seal_key names;
    uint8_t parts[2 * MT_SHA256_SIZE], nonce[MT_SHA256_SIZE];
    mt_derive_key(key, "nonces", &names);
    mt_hmac_sha256(names.bytes, sizeof(names.bytes), aad, aad_len, parts);
    mt_hmac_sha256(names.bytes, sizeof(names.bytes), plain, len, parts + MT_SHA256_SIZE);
    mt_hmac_sha256(names.bytes, sizeof(names.bytes), parts, sizeof(parts), nonce);
    mt_wipe(&names, sizeof(names));
    mt_wipe(parts, sizeof(parts));
    return seal(key, nonce, aad, aad_len, plain, len, out, e);
}

int mt_unseal(const struct mt_seal_key *key, const void *aad, size_t aad_len, const void *sealed, size_t len,
              struct mt_buf *out, struct mt_error *e) {
    struct crypto_thread *t = crypto_thread();
    const uint8_t *at = sealed;
    if (len < MT_SEAL_OVERHEAD || len > INT_MAX || aad_len > INT_MAX)
        return mt_fail(e, MT_STORE, "sealed bytes are damaged: %zu bytes cannot be a sealed value", len);
    if (at[0] != VERSION)
        return mt_fail(e, MT_STORE, "sealed bytes have format %d; this program reads format %d", at[0],
                       VERSION);
    size_t plain_len = len - MT_SEAL_OVERHEAD;
    uint8_t tag[TAG_SIZE];
    memcpy(tag, at + len - TAG_SIZE, TAG_SIZE);
    char *plain = mt_buf_grow(out, plain_len);
    if (plain == NULL)
        return mt_fail(e, MT_LIMIT, "no room to open %zu bytes: the limit is %zu", plain_len, out->max);
    prepare(&t->unseal, key, at + 1, 0);
    feed(t->unseal.ctx, NULL, aad, aad_len);
    feed(t->unseal.ctx, (uint8_t *)plain, at + 1 + NONCE_SIZE, plain_len);
    crypto_must(EVP_CIPHER_CTX_ctrl(t->unseal.ctx, EVP_CTRL_AEAD_SET_TAG, TAG_SIZE, tag), "AES-256-GCM");
    uint8_t none[TAG_SIZE];
    int n;
    if (EVP_CipherFinal_ex(t->unseal.ctx, none, &n) == 1) return 0;
    mt_wipe(plain, plain_len);
    out->len -= plain_len;
    out->data[out->len] = '\0';
    return mt_fail(
        e, MT_STORE,
        "sealed bytes do not open: they are damaged, or sealed with another key or for another place");
}
