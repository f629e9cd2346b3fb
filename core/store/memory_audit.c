/* The record of what people did, in the store that is the oracle. The operation under the store's lock for
 * writing, the list for reading. */
#include "base/text.h"
#include "store/memory_private.h"
#include <stdlib.h>
#include <string.h>

static const struct mt_audit *row_of(const struct mt_memory *m, int64_t n, bool end) {
    MT_MEM_EACH(m, MEM_AUDIT, struct mt_audit, x) if (end ? x->of == n : x->n == n && !x->of) return x;
    return NULL;
}

enum mt_applied mt_memory_audit(struct mt_memory *m, struct mt_batch *b, struct mt_op *op) {
    struct mt_audit *x = op->audit;
    if (x->of && (!row_of(m, x->of, false) || row_of(m, x->of, true)))
        return mt_rules_refuse(b, op, MT_RES_MISSING, "audit: nothing has begun at %lld, or it has ended",
                               (long long)x->of);
    int64_t last = 0;
    MT_MEM_EACH(m, MEM_AUDIT, struct mt_audit, had) last = had->n;
    struct mt_audit *row = mt_memory_add(m, MEM_AUDIT);
    *row = *x;
    row->n = x->n = last + 1;
    row->who = mt_memory_keep(m, x->who);
    row->via = mt_memory_keep(m, x->via);
    row->session = mt_memory_keep(m, x->session);
    row->what = mt_memory_keep(m, x->what);
    row->object = mt_memory_keep(m, x->object);
    row->detail = mt_memory_keep(m, x->detail);
    row->outcome = mt_memory_keep(m, x->outcome);
    row->result = mt_memory_keep(m, x->result);
    return MT_APPLIED;
}

/* The row with its end, copied. */
static void copy(const struct mt_memory *m, const struct mt_audit *row, struct mt_audit *out) {
    const struct mt_audit *end = row_of(m, row->n, true);
    *out = (struct mt_audit){.n = row->n, .at = row->at};
    out->who = mt_strdup(row->who);
    out->via = mt_strdup(row->via);
    out->session = mt_strdup(row->session);
    out->what = mt_strdup(row->what);
    out->object = mt_strdup(row->object);
    out->detail = mt_strdup(row->detail);
    if (!end) return;
    out->of = end->of;
    out->outcome = mt_strdup(end->outcome);
    out->result = mt_strdup(end->result);
    out->ms = end->ms;
}

static int list_audit(struct mt_store *self, const char *who, int64_t since, int64_t before, size_t limit,
                      struct mt_audit **out, size_t *count, struct mt_error *e) {
    struct mt_memory *m = (struct mt_memory *)self;
    (void)e;
    pthread_rwlock_rdlock(&m->lock);
    size_t rows = m->tables[MEM_AUDIT].count;
    *count = 0;
    *out = rows ? mt_calloc(rows, sizeof **out) : NULL;
    for (size_t i = rows; i-- > 0 && *count < limit;) {
        const struct mt_audit *row = mt_memory_row(m, MEM_AUDIT, i);
        if (row->of || row->at < since || (before && row->n >= before) || (who && strcmp(row->who, who) != 0))
            continue;
        copy(m, row, &(*out)[(*count)++]);
    }
    pthread_rwlock_unlock(&m->lock);
    return 0;
}

void mt_memory_set_audit(struct mt_store *store) {
    store->list_audit = list_audit;
}
