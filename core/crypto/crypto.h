/* Digests, MACs, encodings, sealing and secret files, over OpenSSL's libcrypto. Contexts are cached per
 * thread, because sealing and HMAC sit on the path of every effect. Invariant: no key and no plaintext
 * appears in an error message; comparisons of secrets take the same time whatever they hold. Any thread. */
#pragma once
#include "base/buf.h"
#include "base/error.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MT_MD5_SIZE 16
#define MT_SHA256_SIZE 32
#define MT_SHA512_SIZE 64

void mt_md5(const void *data, size_t len, uint8_t out[MT_MD5_SIZE]);
void mt_sha256(const void *data, size_t len, uint8_t out[MT_SHA256_SIZE]);
void mt_sha512(const void *data, size_t len, uint8_t out[MT_SHA512_SIZE]);
/* The same in lowercase hex with a NUL. */
void mt_md5_hex(const void *data, size_t len, char out[2 * MT_MD5_SIZE + 1]);
void mt_sha256_hex(const void *data, size_t len, char out[2 * MT_SHA256_SIZE + 1]);
void mt_sha512_hex(const void *data, size_t len, char out[2 * MT_SHA512_SIZE + 1]);

/* One piece of a message that is digested without being joined first. */
struct mt_part {
    const void *data;
    size_t len;
};
void mt_sha256_parts(const struct mt_part *parts, size_t n, uint8_t out[MT_SHA256_SIZE]);

void mt_hmac_sha256(const void *key, size_t key_len, const void *data, size_t len,
                    uint8_t out[MT_SHA256_SIZE]);
void mt_hmac_sha512(const void *key, size_t key_len, const void *data, size_t len,
                    uint8_t out[MT_SHA512_SIZE]);
void mt_hmac_sha256_hex(const void *key, size_t key_len, const void *data, size_t len,
                        char out[2 * MT_SHA256_SIZE + 1]);
void mt_hmac_sha512_hex(const void *key, size_t key_len, const void *data, size_t len,
                        char out[2 * MT_SHA512_SIZE + 1]);

/* Equality in time that depends on the lengths alone. The string form is for signatures and tokens; NULL
 * equals nothing. */
bool mt_equal(const void *a, size_t a_len, const void *b, size_t b_len);
bool mt_equal_str(const char *a, const char *b);

/* out holds 2 * len + 1. */
void mt_hex_encode(const void *data, size_t len, char *out);
/* Either case. Exactly 2 * size digits into size bytes; false when anything else. */
bool mt_hex_decode(const char *hex, size_t hex_len, void *out, size_t size);
/* Standard alphabet with padding; and the URL's alphabet without. */
void mt_base64_encode(const void *data, size_t len, struct mt_buf *out);
void mt_base64url_encode(const void *data, size_t len, struct mt_buf *out);
/* Strict: no white space, right padding (none for the URL's alphabet, where it is allowed but not needed), no
 * stray bits. Appends to out; false, and nothing appended, when malformed or when out is full. */
bool mt_base64_decode(const char *s, size_t len, struct mt_buf *out);
bool mt_base64url_decode(const char *s, size_t len, struct mt_buf *out);

/* Sealing: AES-256-GCM with a fresh random 96-bit nonce; the bytes are version (1) | nonce (12) | ciphertext
 * | tag (16). `aad` binds the place where the sealed bytes belong (a run's id and position), so that they
 * open nowhere else. With random nonces, one key seals up to 2^32 messages; derive one for each use
 * (mt_derive_key). */
#define MT_SEAL_OVERHEAD 29
struct mt_seal_key {
    uint8_t bytes[32];
};
/* Appends the sealed bytes to out. Fails only when out is full (MT_LIMIT). */
int mt_seal(const struct mt_seal_key *key, const void *aad, size_t aad_len, const void *plain, size_t len,
            struct mt_buf *out, struct mt_error *e);
/* As mt_seal, but the same text at the same place always gives the same bytes: for what is done again and
 * compared. Opened by mt_unseal. Never use a key for both. */
int mt_seal_same(const struct mt_seal_key *key, const void *aad, size_t aad_len, const void *plain,
                 size_t len, struct mt_buf *out, struct mt_error *e);
/* Appends the plaintext to out. MT_STORE when the bytes are damaged, or sealed under another key or for
 * another place. */
int mt_unseal(const struct mt_seal_key *key, const void *aad, size_t aad_len, const void *sealed, size_t len,
              struct mt_buf *out, struct mt_error *e);
/* HKDF-SHA256 (RFC 5869, no salt): a key of its own for each `label`. */
void mt_derive_key(const struct mt_seal_key *from, const char *label, struct mt_seal_key *out);
/* HKDF-SHA256 in full, for vectors and other lengths (at most 255 * 32 bytes). */
void mt_hkdf_sha256(const void *ikm, size_t ikm_len, const void *salt, size_t salt_len, const void *info,
                    size_t info_len, uint8_t *out, size_t size);

/* A random token of `bytes` random bytes (at most 64) from the kernel: hex (2 * bytes + 1 characters) or
 * base64url
 * ((4 * bytes + 2) / 3 + 1 characters). */
void mt_random_hex(size_t bytes, char *out);
void mt_random_token(size_t bytes, char *out);

/* Loads a 32-byte key from `path`, or makes one: mode 0600, written aside, synced, renamed into place without
 * replacing a file that another process made first. Refuses another size, another owner, and a file that
 * others may read. */
int mt_secret_file(const char *path, struct mt_seal_key *key, struct mt_error *e);
/* Overwrites memory in a way that is not optimised away. */
void mt_wipe(void *p, size_t len);
