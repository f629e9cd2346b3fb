/* flow.start: a child run of a run, whose id follows from its place, in the same batch as its entry; or, from
 * a handler, a run of its own in the handler's transaction (handler.c). One thread an execution. */
#include "engine/internal.h"
#include <stdlib.h>
#include <string.h>

struct child {
    char id[MT_ID_SIZE], generation[80], input_digest[33];
    const char *flow, *key;
    struct mt_buf *input; /* the normal form, sealed for the child once it has its id */
    bool detached;
};

static char *start_answer(struct mt_exec *x, const char *id, const char *flow, const char *key,
                          bool existing) {
    char url[256];
    mt_exec_checkout_url(x, id, url, sizeof url);
    json_t *obj = json_pack("{s:s, s:s, s:s?, s:b, s:s}", "id", id, "flow", flow, "key", key, "existing",
                            (int)existing, "checkout_url", url);
    char *text = mt_json_dump(obj, NULL);
    json_decref(obj);
    return text;
}

static struct mt_op *push_start(struct mt_exec *x, const struct child *c, const struct mt_entry *entry) {
    struct mt_op *op = exec_op(x, MT_OP_START);
    op->start.id = exec_keep(x, mt_strdup(c->id));
    op->start.flow = exec_keep(x, mt_strdup(c->flow));
    op->start.key = exec_keep(x, mt_strdup(c->key));
    op->start.input = exec_keep(x, mt_memdup(c->input->data, c->input->len));
    op->start.input_digest = exec_keep(x, mt_strdup(c->input_digest));
    op->start.generation = exec_keep(x, mt_strdup(c->generation));
    op->start.parent = x->run.id;
    op->start.parent_seq = entry->seq;
    op->start.detached = c->detached;
    op->start.fresh = true; /* the entry says that it is new */
    op->start.cls = MT_CLASS_START;
    op->start.at = entry->done_at;
    return op;
}

/* A key may be taken: only the store knows, so the answer waits for it. */
static void start_keyed(struct mt_exec *x, struct mt_entry *entry, const struct child *c,
                        struct mt_answer *a) {
    struct mt_error e;
    enum mt_op_result refused;
    if (!exec_flush(x)) { /* what came before has its own batch, so that a refusal refuses this start alone */
        a->step = MT_STEP_LEAVE;
        return;
    }
    exec_op_entry(x, entry);
    struct mt_op *op = push_start(x, c, entry);
    if (exec_flush_keep(x, &refused)) {
        exec_drop_ops(x);
        exec_give(x, entry, a);
        return;
    }
    if (refused == MT_RES_EXISTS) {
        char *json = start_answer(x, op->start.existing.id, c->flow, c->key, true);
        mt_run_clear(&op->start.existing);
        exec_drop_ops(x);
        free(entry->meta);
        entry->meta = NULL; /* no child of ours */
        exec_answer(x, entry, MT_DONE, json, false, a);
    } else if (refused == MT_RES_KEY_REUSED) {
        mt_run_clear(&op->start.existing);
        exec_drop_ops(x);
        free(entry->meta);
        entry->meta = NULL;
        mt_fail(&e, MT_CONFLICT, "a run of %s with the key '%s' exists already with another input", c->flow,
                c->key);
        mt_copy(e.code, sizeof e.code, "key_reused");
        e.outcome = MT_REJECTED;
        exec_answer_error(x, entry, &e, false, a);
    } else {
        exec_lose(x, refused, a);
        exec_drop_ops(x);
    }
}

static void start_child(struct mt_exec *x, struct child *c, const char *digest, const char *site,
                        struct mt_answer *a) {
    uint8_t mac[32];
    struct mt_error e;
    struct mt_entry *entry = exec_append(x, "start", c->flow, digest, site);
    exec_derive(x, "child", entry->seq, 0, mac);
    mt_id_format("run_", entry->at, mac, c->id);
    engine_digest(x->g, c->input->data, c->input->len, c->input_digest);
    if (secrets_seal(x->g, c->id, 0, c->input, &e) != 0) {
        e.outcome = MT_REJECTED;
        exec_answer_error(x, entry, &e, false, a);
        return;
    }
    json_t *meta = json_pack("{s:s, s:b}", "child", c->id, "detached", (int)c->detached);
    entry_set_meta(entry, meta);
    json_decref(meta);
    entry->params = mt_memdup(c->input->data, c->input->len);
    exec_set_answer(x, entry, MT_DONE, start_answer(x, c->id, c->flow, c->key, false));
    if (c->key) {
        start_keyed(x, entry, c, a);
        return;
    }
    exec_op_entry(x, entry);
    push_start(x, c, entry);
    exec_give(x, entry, a);
}

void mt_effect_start(struct mt_exec *x, const char *flow, const char *input, const char *key, bool detached,
                     const char *site, struct mt_answer *a) {
    struct mt_error e;
    struct mt_buf normal;
    struct mt_entry *entry;
    char digest[33];
    struct child c = {.flow = flow, .key = key, .detached = detached};
    if (key && (!key[0] || strlen(key) >= MT_KEY_MAX)) {
        exec_bug(a, "a start key has 1 to %d bytes, found %zu", MT_KEY_MAX - 1, strlen(key));
        return;
    }
    json_t *params = json_pack("{s:s, s:s, s:s?, s:b}", "flow", flow, "input", input, "key", key, "detached",
                               (int)detached);
    size_t len;
    char *text = mt_json_dump(params, &len);
    json_decref(params);
    engine_digest(x->g, text, len, digest);
    free(text);
    travel_asks_input(x, flow, input);
    if (!x->handler && exec_over(x, "start", flow, digest, site, &entry, a)) return;
    mt_buf_init(&normal, MT_VALUE_MAX);
    x->g->o.script->current(x->g->o.script, c.generation);
    if (x->g->o.script->check_input(x->g->o.script, c.generation, flow, input, &normal, &e) != 0) {
        e.outcome = MT_REJECTED;
        if (x->handler)
            exec_give_error(x, &e, a);
        else
            exec_answer_error(x, exec_append(x, "start", flow, digest, site), &e, false, a);
    } else if (x->handler) {
        engine_digest(x->g, normal.data, normal.len, digest);
        if (operator_allows(x, "flow.start", flow, normal.data, a))
            handler_start(x, flow, &normal, digest, key, a);
    } else {
        c.input = &normal;
        start_child(x, &c, digest, site, a);
    }
    mt_buf_clear(&normal);
}
