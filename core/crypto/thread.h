/* What each thread keeps for crypto/: OpenSSL contexts, set up once and reused, and a few random bytes for
 * nonces. Fetching an algorithm and making a context cost more than the work itself. Private to crypto/.
 * Freed when the thread ends. */
#pragma once
#include "crypto/crypto.h"
#include <openssl/evp.h>

enum digest { DIGEST_MD5, DIGEST_SHA256, DIGEST_SHA512, DIGEST_COUNT };
enum { NONCE_SIZE = 12, NONCE_POOL = 32 * NONCE_SIZE };

/* A cipher context that still holds the schedule of `key`, so that the next message under it sets a nonce
 * only. */
struct keyed {
    EVP_CIPHER_CTX *ctx;
    struct mt_seal_key key;
    bool set;
};

struct crypto_thread {
    EVP_MD_CTX *digests[DIGEST_COUNT];
    struct keyed seal, unseal;
    uint8_t nonces[NONCE_POOL];
    size_t nonces_left; /* bytes of the pool not given out */
    unsigned forks;     /* the pool belongs to the process that filled it */
};

struct crypto_thread *crypto_thread(void);
const EVP_MD *crypto_digest(enum digest which);
const EVP_CIPHER *crypto_aes_256_gcm(void);
/* Twelve random bytes, never given out before, in no process forked from this one either. */
void crypto_nonce(struct crypto_thread *t, uint8_t out[NONCE_SIZE]);
/* OpenSSL fails here only without memory or without the algorithm: neither can be carried on from. */
void crypto_must(int ok, const char *what);
