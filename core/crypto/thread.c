/* The contexts a thread keeps (see thread.h), and the algorithms that the process fetched once.
 * Invariant: no nonce is given out twice, nor by two processes after a fork. Any thread. */
#include "crypto/thread.h"
#include "base/id.h"
#include "base/text.h"
#include <openssl/crypto.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t at_exit;
static EVP_MD *digests[DIGEST_COUNT];
static EVP_CIPHER *aes_256_gcm;
static _Atomic unsigned forks;
static _Thread_local struct crypto_thread *mine;

void crypto_must(int ok, const char *what) {
    if (ok) return;
    fprintf(stderr, "mintage: OpenSSL offers no %s here, or there is no memory\n", what);
    abort();
}

static void forget(void *p) {
    struct crypto_thread *t = p;
    for (int i = 0; i < DIGEST_COUNT; i++) EVP_MD_CTX_free(t->digests[i]);
    EVP_CIPHER_CTX_free(t->seal.ctx);
    EVP_CIPHER_CTX_free(t->unseal.ctx);
    mt_wipe(t, sizeof(*t));
    free(t);
    mine = NULL;
}

static void count_fork(void) {
    atomic_fetch_add(&forks, 1);
}

static void set_up(void) {
    static const char *const names[] = {"MD5", "SHA256", "SHA512"};
    for (int i = 0; i < DIGEST_COUNT; i++) digests[i] = EVP_MD_fetch(NULL, names[i], NULL);
    aes_256_gcm = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL);
    crypto_must(aes_256_gcm != NULL, "AES-256-GCM");
    crypto_must(pthread_key_create(&at_exit, forget) == 0, "thread key");
    crypto_must(pthread_atfork(NULL, NULL, count_fork) == 0, "fork handler");
}

struct crypto_thread *crypto_thread(void) {
    if (mine != NULL) return mine;
    pthread_once(&once, set_up);
    struct crypto_thread *t = mt_calloc(1, sizeof(*t));
    for (int i = 0; i < DIGEST_COUNT; i++) {
        t->digests[i] = EVP_MD_CTX_new();
        crypto_must(t->digests[i] != NULL, "digest context");
    }
    t->seal.ctx = EVP_CIPHER_CTX_new();
    t->unseal.ctx = EVP_CIPHER_CTX_new();
    crypto_must(t->seal.ctx != NULL && t->unseal.ctx != NULL, "cipher context");
    pthread_setspecific(at_exit, t);
    mine = t;
    return t;
}

const EVP_MD *crypto_digest(enum digest which) {
    pthread_once(&once, set_up);
    return digests[which];
}

const EVP_CIPHER *crypto_aes_256_gcm(void) {
    return aes_256_gcm;
}

void crypto_nonce(struct crypto_thread *t, uint8_t out[NONCE_SIZE]) {
    unsigned now = atomic_load(&forks);
    if (t->nonces_left == 0 || t->forks != now) {
        struct mt_random *random = mt_random_system();
        random->bytes(random, t->nonces, sizeof(t->nonces));
        t->nonces_left = sizeof(t->nonces);
        t->forks = now;
    }
    t->nonces_left -= NONCE_SIZE;
    memcpy(out, t->nonces + t->nonces_left, NONCE_SIZE);
    mt_wipe(t->nonces + t->nonces_left, NONCE_SIZE);
}

void mt_wipe(void *p, size_t len) {
    OPENSSL_cleanse(p, len);
}
