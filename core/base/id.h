/* Identifiers: a prefix and 26 Crockford base32 characters, 48 bits of time (ms) and 80 bits that are random
 * or derived, so ids sort by the time they were made. `struct mt_random` is the vtable the simulated world
 * replaces. */
#pragma once
#include <stddef.h>
#include <stdint.h>

#define MT_ID_SIZE 40 /* bytes for any id with its prefix and NUL */

struct mt_random {
    void (*bytes)(struct mt_random *self, void *out, size_t len);
};

/* getrandom(2); never fails (aborts when the kernel cannot). A static instance; any thread. */
struct mt_random *mt_random_system(void);
/* A deterministic stream from a seed, for tests. Caller frees with free(). Not for keys. */
struct mt_random *mt_random_seeded(uint64_t seed);

/* Writes prefix ("run_") and 26 characters. `tail` is 10 bytes. */
void mt_id_format(const char *prefix, int64_t ms, const uint8_t tail[10], char out[MT_ID_SIZE]);
void mt_id_new(const char *prefix, int64_t ms, struct mt_random *random, char out[MT_ID_SIZE]);
