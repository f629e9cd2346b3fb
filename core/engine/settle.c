/* settled: waits for an object at rest, or until an event of another topic comes first (flow.unless). Events
 * about the object are hints; reading decides, and only the answer is journaled. One thread an execution. */
#include "engine/internal.h"
#include <stdlib.h>
#include <string.h>

#define WITHIN_MS 3600000 /* when the script does not say */

static const int64_t settled_reads_ms[] = {5000, 60000, 300000, 3600000};

const struct mt_operation *settle_read_of(struct mt_exec *x, const struct mt_operation *op,
                                          const struct mt_account *account, struct mt_error *e) {
    char full[96];
    const struct mt_account *same;
    mt_format(full, sizeof full, "%s.%s", account->provider->name, op->read_operation);
    return exec_operation(x, full, &same, e);
}

/* The read's own name for the object's id. */
json_t *settle_read_params(const struct mt_operation *op, const struct mt_operation *read_op,
                           const json_t *params) {
    const char *id = mt_operation_object_id(op, params);
    const char *name = read_op->params && read_op->params[0].name ? read_op->params[0].name : "id";
    return json_pack("{s:s}", name, id ? id : "");
}

void settle_write_entry(struct mt_exec *x, struct mt_entry *entry, const json_t *meta, bool written) {
    entry_set_meta(entry, meta);
    if (written)
        exec_op_answer(x, entry);
    else
        exec_op_entry(x, entry);
}

/* ---- settled ---- */

struct settling {
    const struct mt_operation *op, *read_op;
    const struct mt_account *account;
    json_t *params, *read_params, *meta;
    const char *key;
    struct unless *unless; /* NULL: nothing else ends it */
    char cursor_key[MT_NAME_MAX + MT_KEY_MAX];
    bool read; /* the last read has answered */
};

/* True: *object is at rest, or *refused and *e is a definite no. Events up to the cursor are older than the
 * read. */
static bool look(struct mt_exec *x, struct settling *s, json_t **object, struct mt_error *e, bool *refused) {
    int64_t cursor = 0;
    struct mt_error ignored;
    *refused = false;
    if (x->g->o.store->last_event(x->g->o.store, s->op->topic, s->key, &cursor, &ignored) == 0)
        json_object_set_new(s->meta, "cursor", json_integer(cursor));
    s->read = call_read(x, s->read_op, s->account, s->read_params, object, e) == 0;
    if (!s->read) {
        *object = NULL;
        *refused = e->outcome == MT_REJECTED && !e->retryable;
        return *refused;
    }
    if (s->op->at_rest(s->op, *object)) return true;
    json_decref(*object);
    *object = NULL;
    return false;
}

static void wait_for_rest(struct mt_exec *x, struct settling *s, struct mt_entry *entry, int64_t now,
                          int64_t deadline, bool written, struct mt_answer *a) {
    char until[25];
    int64_t reads = mt_json_int(s->meta, "reads", 0);
    size_t last = sizeof settled_reads_ms / sizeof *settled_reads_ms - 1;
    int64_t next = now + settled_reads_ms[(size_t)reads < last ? (size_t)reads : last];
    if (next > deadline) next = deadline;
    json_object_set_new(s->meta, "reads", json_integer(reads + 1));
    settle_write_entry(x, entry, s->meta, written);
    mt_time_format(deadline, until);
    json_t *for_what = json_pack("{s:s, s:s, s:s, s:s, s:i}", "what", entry->name, "topic", s->op->topic,
                                 "key", s->key, "until", until, "seq", entry->seq);
    struct exec_wait hints = {s->op->topic, s->key, mt_json_int(s->meta, "cursor", 0)}, also;
    if (s->unless) {
        also = (struct exec_wait){s->unless->topic, s->unless->key, exec_cursor(x, s->cursor_key)};
        json_object_set_new(for_what, "unless",
                            json_pack("{s:s, s:s}", "topic", also.topic, "key", also.key));
    }
    exec_suspend_also(x, MT_RUN_WAITING, next, &hints, s->unless ? &also : NULL, for_what, a);
}

/* Whatever hints there were up to the last read, what they hint at has been read; later ones are this run's.
 */
static void take_notice(struct mt_exec *x, const struct settling *s) {
    struct mt_op *op = exec_op(x, MT_OP_SEEN);
    op->seen.topic = s->op->topic;
    op->seen.key = exec_keep(x, mt_strdup(s->key));
    op->seen.upto = s->read ? mt_json_int(s->meta, "cursor", 0) : 0;
}

/* The event that comes first, if there is one: the answer. What was seen of the object stays to be seen. */
static bool other_event(struct mt_exec *x, struct settling *s, struct mt_entry *entry, bool written,
                        struct mt_answer *a) {
    struct mt_event *events = NULL;
    struct mt_error e;
    struct mt_buf b;
    size_t count = 0;
    struct mt_store *store = x->g->o.store;
    if (!s->unless ||
        store->list_events(store, s->unless->topic, s->unless->key, exec_cursor(x, s->cursor_key), false,
                           MT_EVENTS_ALL, 1, &events, &count, &e) != 0)
        return false;
    if (count) {
        mt_buf_init(&b, 4 * MT_VALUE_MAX);
        mt_buf_addf(&b, "{\"at\":%lld,\"event\":%lld,\"payload\":", (long long)events[0].at,
                    (long long)events[0].n);
        mt_buf_adds(&b, events[0].payload ? events[0].payload : "null");
        mt_buf_addc(&b, '}');
        struct mt_op *op = exec_op(x, MT_OP_SEEN);
        op->seen.topic = exec_keep(x, mt_strdup(s->unless->topic));
        op->seen.key = exec_keep(x, mt_strdup(s->unless->key));
        op->seen.upto = events[0].n;
        s->read = false;
        take_notice(x, s);
        exec_set_cursor(x, s->cursor_key, events[0].n);
        json_object_set_new(s->meta, "cursor_key", json_string(s->cursor_key));
        entry_set_meta(entry, s->meta);
        s->unless->came = true;
        exec_answer(x, entry, MT_DONE, mt_buf_take(&b, NULL), written, a);
        mt_buf_clear(&b);
        mt_event_clear(&events[0]);
    }
    free(events);
    return count > 0;
}

static void settle(struct mt_exec *x, struct settling *s, struct mt_entry *entry, bool written,
                   struct mt_answer *a) {
    json_t *object = NULL;
    struct mt_error e;
    bool refused;
    int64_t now = exec_wall(x), within = mt_json_int(s->params, "within", WITHIN_MS), deadline;
    if (within < 0) within = 0;
    if (!json_object_get(s->meta, "deadline"))
        json_object_set_new(s->meta, "deadline",
                            json_integer(within < MT_NEVER - entry->at ? entry->at + within : MT_NEVER));
    deadline = mt_json_int(s->meta, "deadline", 0);
    if (other_event(x, s, entry, written, a)) return;
    if (!look(x, s, &object, &e, &refused) && now < deadline) {
        wait_for_rest(x, s, entry, now, deadline, written, a);
        return;
    }
    take_notice(x, s);
    if (refused) {
        exec_answer_error(x, entry, &e, written, a);
    } else {
        exec_answer(x, entry, MT_DONE, object ? mt_json_dump(object, NULL) : mt_strdup("null"), written, a);
    }
    json_decref(object);
}

void settled_settle(struct mt_exec *x, struct mt_entry *entry, const struct mt_operation *op,
                    const struct mt_account *account, json_t *params, struct unless *unless, bool written,
                    struct mt_answer *a) {
    struct settling s = {
        .op = op, .account = account, .params = params, .meta = entry_meta(entry), .unless = unless};
    struct mt_error e;
    s.read_op = settle_read_of(x, op, account, &e);
    if (!s.read_op) {
        exec_park(x, a, &e, entry->site, NULL);
    } else {
        s.read_params = settle_read_params(op, s.read_op, params);
        s.key = json_string_value(json_object_iter_value(json_object_iter(s.read_params)));
        if (unless) mt_format(s.cursor_key, sizeof s.cursor_key, "%s\x1f%s", unless->topic, unless->key);
        settle(x, &s, entry, written, a);
    }
    json_decref(s.read_params);
    json_decref(s.meta);
}
