/* Identifiers and randomness. Invariant: ids made at different milliseconds sort by time as plain bytes.
 * Any thread; the seeded stream hands out its words one at a time, so it is safe to share but its order is
 * then chance. */
#include "base/id.h"
#include "base/text.h"
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

static void system_bytes(struct mt_random *self, void *out, size_t len) {
    (void)self;
    char *at = out;
    while (len > 0) {
        ssize_t n = getrandom(at, len, 0);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) {
            fputs("mintage: the kernel gave no random bytes\n", stderr);
            abort();
        }
        at += n;
        len -= (size_t)n;
    }
}

static struct mt_random system_random = {system_bytes};

struct mt_random *mt_random_system(void) {
    return &system_random;
}

struct seeded {
    struct mt_random base;
    _Atomic uint64_t state;
};

/* splitmix64: one addition per word, so a shared stream needs no lock. */
static void seeded_bytes(struct mt_random *self, void *out, size_t len) {
    struct seeded *s = (struct seeded *)self;
    char *at = out;
    while (len > 0) {
        uint64_t z = atomic_fetch_add(&s->state, UINT64_C(0x9E3779B97F4A7C15)) + UINT64_C(0x9E3779B97F4A7C15);
        z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
        z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
        z ^= z >> 31;
        size_t n = len < sizeof(z) ? len : sizeof(z);
        memcpy(at, &z, n);
        at += n;
        len -= n;
    }
}

struct mt_random *mt_random_seeded(uint64_t seed) {
    struct seeded *s = mt_calloc(1, sizeof(*s));
    s->base.bytes = seeded_bytes;
    atomic_init(&s->state, seed);
    return &s->base;
}

enum { ID_CHARS = 26, PREFIX_MAX = MT_ID_SIZE - ID_CHARS - 1 };

void mt_id_format(const char *prefix, int64_t ms, const uint8_t tail[10], char out[MT_ID_SIZE]) {
    static const char alphabet[] = "0123456789abcdefghjkmnpqrstvwxyz"; /* Crockford's, in order of value */
    size_t n = strnlen(prefix, PREFIX_MAX);
    memcpy(out, prefix, n);
    unsigned __int128 bits = (unsigned __int128)((uint64_t)(ms < 0 ? 0 : ms) & UINT64_C(0xFFFFFFFFFFFF))
                             << 80;
    for (int i = 0; i < 10; i++) bits |= (unsigned __int128)tail[i] << (8 * (9 - i));
    for (int i = ID_CHARS - 1; i >= 0; i--) {
        out[n + (size_t)i] = alphabet[(unsigned)bits & 31];
        bits >>= 5;
    }
    out[n + ID_CHARS] = '\0';
}

void mt_id_new(const char *prefix, int64_t ms, struct mt_random *random, char out[MT_ID_SIZE]) {
    uint8_t tail[10];
    random->bytes(random, tail, sizeof(tail));
    mt_id_format(prefix, ms, tail, out);
}
