/* What the store's tests share: a store in a directory of its own, and short ways to commit one batch. */
#pragma once
#include "base/text.h"
#include "store/store.h"
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define DIGEST_A "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
#define DIGEST_B "ffeeddccbbaa99887766554433221100ffeeddccbbaa99887766554433221100"
#define GENERATION "sha256:aaaa"

static inline int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw) {
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

static inline void remove_tree(const char *dir) {
    nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static inline char *make_dir(void) {
    char path[] = "/tmp/mintage-store-XXXXXX";
    assert_non_null(mkdtemp(path));
    return mt_strdup(path);
}

static inline struct mt_store *open_or_fail(const char *dir) {
    struct mt_error e = {0};
    struct mt_store *s = mt_store_sqlite_open(dir, &e);
    if (!s) fail_msg("open: %s", e.message);
    return s;
}

/* Commits one batch by itself; answers its status. */
static inline int commit_batch(struct mt_store *s, struct mt_batch *b) {
    struct mt_error e = {0};
    struct mt_batch *list[] = {b};
    if (s->commit(s, list, 1, &e)) fail_msg("commit: %s", e.message);
    return b->status;
}

static inline struct mt_op start_op(const char *id, const char *key, bool claim, int64_t at) {
    return (struct mt_op){.type = MT_OP_START,
                          .start = {.id = id,
                                    .flow = "checkout",
                                    .key = key,
                                    .input = "{\"amount\":\"80.00 USD\"}",
                                    .input_digest = DIGEST_A,
                                    .generation = GENERATION,
                                    .claim = claim,
                                    .cls = MT_CLASS_START,
                                    .at = at}};
}

static inline struct mt_entry entry_at(int segment, int seq, const char *kind) {
    struct mt_entry e = {.segment = segment, .seq = seq, .at = 1000 + seq};
    mt_copy(e.kind, sizeof e.kind, kind);
    mt_copy(e.name, sizeof e.name, "mintro.intents.create");
    mt_copy(e.digest, sizeof e.digest, "0123456789abcdef0123456789abcdef");
    mt_copy(e.site, sizeof e.site, "checkout.lua:31");
    e.params = (char *)"{\"amount\":80}";
    return e;
}
