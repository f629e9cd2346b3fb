/* What a restart does to a store, done to the oracle: so that the life of a store through crashes can be
 * compared with it as well. The SQLite store's opening (sqlite.c, take_over) is the original. */
#include "store/memory_private.h"

static int64_t larger(int64_t a, int64_t b) {
    return a > b ? a : b;
}

/* Numbers go on from the largest that is still there. */
static void count_on(struct mt_memory *m) {
    m->last.event = m->last.delivery = m->last.task = m->last.strand = 0;
    m->last.rotor = 0;
    MT_MEM_EACH(m, MEM_EVENTS, const struct mt_event, x) m->last.event = larger(m->last.event, x->n);
    MT_MEM_EACH(m, MEM_DELIVERIES, const struct mt_delivery, d)
    m->last.delivery = larger(m->last.delivery, d->n);
    MT_MEM_EACH(m, MEM_RUNS, const struct mt_mem_run, r) {
        if (!r->gone) m->last.strand = larger(m->last.strand, r->n);
    }
    MT_MEM_EACH(m, MEM_SEGMENTS, const struct mt_mem_segment, s) {
        if (!s->gone) m->last.strand = larger(m->last.strand, s->strand);
    }
    MT_MEM_EACH(m, MEM_TRASH, const struct mt_mem_strand, s) {
        if (!s->gone) m->last.strand = larger(m->last.strand, s->strand);
    }
    MT_MEM_EACH(m, MEM_TASKS, const struct mt_mem_task, t) {
        if (!t->gone) m->last.task = larger(m->last.task, t->task.n);
    }
}

void mt_store_memory_restart(struct mt_store *store) {
    struct mt_memory *m = (struct mt_memory *)store;
    pthread_rwlock_wrlock(&m->lock);
    m->store.epoch++;
    MT_MEM_EACH(m, MEM_RUNS, struct mt_mem_run, r) {
        if (r->gone || !r->run.owner) continue;
        r->run.owner = r->run.due_at = 0;
        if (r->run.state != MT_RUN_COMPENSATING) r->run.state = MT_RUN_QUEUED;
    }
    count_on(m);
    pthread_rwlock_unlock(&m->lock);
}
