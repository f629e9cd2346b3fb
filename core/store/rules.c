/* The rules that all stores share (rules.h). No state. */
#include "store/rules.h"
#include "base/text.h"
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KEYS_MAX 64        /* declared fields of one document */
#define KEY_VALUE_MAX 1024 /* bytes of one declared field's value */
#define GENERATION_FILES 10000
#define PURGE_MOST 10000 /* rows at once */

static const char *const op_names[] = {
    [MT_OP_START] = "start",
    [MT_OP_CLAIM] = "claim",
    [MT_OP_ENTRY] = "entry",
    [MT_OP_ANSWER] = "answer",
    [MT_OP_RUN] = "run",
    [MT_OP_SUSPEND] = "suspend",
    [MT_OP_AWAIT] = "await",
    [MT_OP_CONTINUE] = "continue",
    [MT_OP_SEEN] = "seen",
    [MT_OP_EVENT] = "event",
    [MT_OP_LATE] = "late",
    [MT_OP_CANCEL] = "cancel",
    [MT_OP_RETRY] = "retry",
    [MT_OP_RESOLVE] = "resolve",
    [MT_OP_MIGRATE] = "migrate",
    [MT_OP_FORGET] = "forget",
    [MT_OP_DOC_PUT] = "document put",
    [MT_OP_DOC_DELETE] = "document delete",
    [MT_OP_DOC_CHECK] = "document check",
    [MT_OP_COLLECTION_CHECK] = "collection check",
    [MT_OP_DELIVERY_PUT] = "delivery put",
    [MT_OP_DELIVERY_UPDATE] = "delivery update",
    [MT_OP_TASK_PUT] = "task put",
    [MT_OP_TASK_DELETE] = "task delete",
    [MT_OP_GENERATION] = "generation",
    [MT_OP_PURGE] = "purge",
    [MT_OP_META] = "meta",
    [MT_OP_AUDIT] = "audit",
};
static_assert(sizeof op_names / sizeof *op_names == MT_OP_AUDIT + 1, "every operation has a name");

static void begin_op(struct mt_op *op) {
    op->result = MT_RES_OK;
    switch (op->type) {
    case MT_OP_START:
        memset(&op->start.existing, 0, sizeof op->start.existing);
        break;
    case MT_OP_CLAIM:
        op->claim.runs = NULL;
        op->claim.count = 0;
        break;
    case MT_OP_AWAIT:
        memset(&op->await.event, 0, sizeof op->await.event);
        break;
    case MT_OP_EVENT:
        op->event.n = 0;
        op->event.woken = 0;
        break;
    case MT_OP_DOC_PUT:
    case MT_OP_DOC_DELETE:
    case MT_OP_DOC_CHECK:
        op->doc.version = 0;
        break;
    case MT_OP_TASK_PUT:
        op->task.n = 0;
        break;
    case MT_OP_PURGE:
        op->purge.seen = op->purge.count = op->purge.count_unread = 0;
        op->purge.more = false;
        break;
    default:
        break;
    }
}

void mt_rules_begin(struct mt_batch *b) {
    b->status = 0;
    b->failed = 0;
    b->cancel_requested = false;
    b->due = MT_NEVER;
    b->error = (struct mt_error){0};
    for (size_t i = 0; i < b->count; i++) begin_op(&b->ops[i]);
}

void mt_rules_undo(struct mt_batch *b, bool keep_existing) {
    b->due = MT_NEVER;
    for (size_t i = 0; i < b->count; i++) {
        struct mt_op *op = &b->ops[i];
        bool failed = keep_existing && i == b->failed;
        enum mt_op_result result = op->result;
        if (op->type == MT_OP_START && failed) continue;
        if (op->type == MT_OP_START) mt_run_clear(&op->start.existing);
        if (op->type == MT_OP_CLAIM) {
            for (size_t k = 0; k < op->claim.count; k++) mt_run_clear(&op->claim.runs[k]);
            free(op->claim.runs);
        }
        if (op->type == MT_OP_AWAIT) mt_event_clear(&op->await.event);
        begin_op(op);
        if (failed) op->result = result;
    }
}

void mt_rules_due(struct mt_batch *b, int64_t at) {
    if (at < b->due) b->due = at;
}

static enum mt_kind kind_of(enum mt_op_result result) {
    switch (result) {
    case MT_RES_MISSING:
        return MT_NOT_FOUND;
    case MT_RES_INVALID:
        return MT_INVALID_REQUEST;
    default:
        return MT_CONFLICT;
    }
}

enum mt_applied mt_rules_refuse(struct mt_batch *b, struct mt_op *op, enum mt_op_result result,
                                const char *format, ...) {
    char text[sizeof b->error.message];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    mt_fail(&b->error, kind_of(result), "%s", text);
    b->status = -1;
    b->failed = op ? (size_t)(op - b->ops) : 0;
    if (op) op->result = result;
    return MT_REFUSED;
}

bool mt_rules_on_run(enum mt_op_type type) {
    switch (type) {
    case MT_OP_ENTRY:
    case MT_OP_ANSWER:
    case MT_OP_RUN:
    case MT_OP_SUSPEND:
    case MT_OP_AWAIT:
    case MT_OP_CONTINUE:
    case MT_OP_SEEN:
        return true;
    default:
        return false;
    }
}

/* ---- malformed operations ---- */

struct field {
    const char *name;
    const char *value;
    size_t size; /* bytes with NUL; 0: any length */
};

static enum mt_applied check_fields(struct mt_batch *b, struct mt_op *op, const struct field *fields,
                                    size_t count) {
    const char *name = op_names[op->type];
    for (size_t i = 0; i < count; i++) {
        if (!fields[i].value)
            return mt_rules_refuse(b, op, MT_RES_INVALID, "%s: %s is missing", name, fields[i].name);
        if (fields[i].size && strnlen(fields[i].value, fields[i].size) >= fields[i].size)
            return mt_rules_refuse(b, op, MT_RES_INVALID, "%s: %s is longer than %zu bytes", name,
                                   fields[i].name, fields[i].size - 1);
    }
    return MT_APPLIED;
}
#define FIELDS(...)                                                                                          \
    check_fields(b, op, (const struct field[]){__VA_ARGS__},                                                 \
                 sizeof((const struct field[]){__VA_ARGS__}) / sizeof(struct field))

static enum mt_applied check_place(struct mt_batch *b, struct mt_op *op, int segment, int seq) {
    if (segment >= 0 && seq >= 1 && seq <= MT_SEQ_MAX) return MT_APPLIED;
    return mt_rules_refuse(b, op, MT_RES_INVALID,
                           "%s: place %d/%d: wanted a segment from 0 and a seq from 1 to %d",
                           op_names[op->type], segment, seq, MT_SEQ_MAX);
}

static enum mt_applied check_start(struct mt_batch *b, struct mt_op *op) {
    const char *optional_key = op->start.key ? op->start.key : "";
    const char *optional_parent = op->start.parent ? op->start.parent : "";
    if (FIELDS({"id", op->start.id, MT_ID_SIZE}, {"flow", op->start.flow, MT_NAME_MAX},
               {"key", optional_key, MT_KEY_MAX}, {"input", op->start.input, 0},
               {"input_digest", op->start.input_digest, 129},
               {"generation", op->start.generation, MT_GENERATION_MAX},
               {"parent", optional_parent, MT_ID_SIZE}))
        return MT_REFUSED;
    if ((unsigned)op->start.cls >= MT_CLASS_COUNT)
        return mt_rules_refuse(b, op, MT_RES_INVALID, "start: there is no class %d", (int)op->start.cls);
    if (op->start.claim && b->epoch <= 0)
        return mt_rules_refuse(b, op, MT_RES_INVALID, "start: a claim needs the batch's epoch");
    return MT_APPLIED;
}

static enum mt_applied check_entry(struct mt_batch *b, struct mt_op *op, const struct mt_entry *entry) {
    if (!entry) return mt_rules_refuse(b, op, MT_RES_INVALID, "%s: the entry is missing", op_names[op->type]);
    return check_place(b, op, entry->segment, entry->seq);
}

static enum mt_applied check_suspend(struct mt_batch *b, struct mt_op *op) {
    switch (op->suspend.state) {
    case MT_RUN_SLEEPING:
    case MT_RUN_WAITING:
    case MT_RUN_COMPENSATING:
    case MT_RUN_QUEUED:
    case MT_RUN_NEEDS_ATTENTION:
        break;
    default:
        return mt_rules_refuse(b, op, MT_RES_INVALID, "suspend: a run cannot be let go as \"%s\"",
                               mt_run_state_name(op->suspend.state));
    }
    if ((unsigned)op->suspend.cls >= MT_CLASS_COUNT)
        return mt_rules_refuse(b, op, MT_RES_INVALID, "suspend: there is no class %d", (int)op->suspend.cls);
    if (op->suspend.also_topic &&
        FIELDS({"topic", op->suspend.topic, MT_NAME_MAX}, {"also_topic", op->suspend.also_topic, MT_NAME_MAX},
               {"also_key", op->suspend.also_key, MT_KEY_MAX}))
        return MT_REFUSED;
    if (!op->suspend.topic) return MT_APPLIED;
    return FIELDS({"topic", op->suspend.topic, MT_NAME_MAX}, {"key", op->suspend.key, MT_KEY_MAX});
}

static enum mt_applied check_document(struct mt_batch *b, struct mt_op *op) {
    const char *body = op->type == MT_OP_DOC_PUT ? op->doc.body : "";
    size_t keys = op->type == MT_OP_DOC_PUT ? op->doc.key_count : 0;
    if (FIELDS({"collection", op->doc.collection, MT_NAME_MAX}, {"id", op->doc.id, MT_KEY_MAX},
               {"body", body, 0}))
        return MT_REFUSED;
    if (op->type == MT_OP_DOC_PUT && op->doc.keep < 0)
        return mt_rules_refuse(b, op, MT_RES_INVALID, "document put: it cannot be kept for %" PRId64 " ms",
                               op->doc.keep);
    if (keys > KEYS_MAX)
        return mt_rules_refuse(b, op, MT_RES_INVALID, "document put: %zu declared fields, at most %d", keys,
                               KEYS_MAX);
    for (size_t i = 0; i < keys; i++) {
        const struct mt_doc_key *key = &op->doc.keys[i];
        if (FIELDS({"a declared field's name", key->field, MT_NAME_MAX},
                   {"a declared field's value", key->value, KEY_VALUE_MAX}))
            return MT_REFUSED;
        for (size_t k = 0; k < i; k++)
            if (strcmp(op->doc.keys[k].field, key->field) == 0 &&
                strcmp(op->doc.keys[k].value, key->value) == 0)
                return mt_rules_refuse(b, op, MT_RES_INVALID, "document put: field %s is given twice",
                                       key->field);
    }
    return MT_APPLIED;
}

static enum mt_applied check_generation(struct mt_batch *b, struct mt_op *op) {
    if (FIELDS({"id", op->generation.id, MT_GENERATION_MAX}, {"manifest", op->generation.manifest, 0}))
        return MT_REFUSED;
    if (op->generation.count > GENERATION_FILES)
        return mt_rules_refuse(b, op, MT_RES_INVALID, "generation: %zu files, at most %d",
                               op->generation.count, GENERATION_FILES);
    for (size_t i = 0; i < op->generation.count; i++)
        if (FIELDS({"a file's hash", op->generation.shas[i], 129},
                   {"a file's text", op->generation.texts[i], 0}))
            return MT_REFUSED;
    return MT_APPLIED;
}

static enum mt_applied check_purge(struct mt_batch *b, struct mt_op *op) {
    if ((unsigned)op->purge.what >= MT_PURGE_COUNT)
        return mt_rules_refuse(b, op, MT_RES_INVALID, "purge: there is no kind %d", (int)op->purge.what);
    if (op->purge.limit >= 1 && op->purge.limit <= PURGE_MOST) return MT_APPLIED;
    return mt_rules_refuse(b, op, MT_RES_INVALID, "purge: %zu rows, wanted 1 to %d", op->purge.limit,
                           PURGE_MOST);
}

enum mt_applied mt_rules_check(struct mt_batch *b, struct mt_op *op) {
    switch (op->type) {
    case MT_OP_START:
        return check_start(b, op);
    case MT_OP_CLAIM:
        if (op->claim.epoch > 0) return MT_APPLIED;
        return mt_rules_refuse(b, op, MT_RES_INVALID, "claim: epoch %" PRId64 ", wanted 1 or more",
                               op->claim.epoch);
    case MT_OP_ENTRY:
    case MT_OP_ANSWER:
        return check_entry(b, op, op->entry);
    case MT_OP_RUN:
        if (op->run.state >= -1 && op->run.state < MT_RUN_STATE_COUNT) return MT_APPLIED;
        return mt_rules_refuse(b, op, MT_RES_INVALID, "run: there is no state %d", op->run.state);
    case MT_OP_SUSPEND:
        return check_suspend(b, op);
    case MT_OP_AWAIT:
        if (FIELDS({"topic", op->await.topic, MT_NAME_MAX}, {"key", op->await.key, MT_KEY_MAX}))
            return MT_REFUSED;
        return check_entry(b, op, op->await.entry);
    case MT_OP_CONTINUE:
        return FIELDS({"input", op->cont.input, 0},
                      {"generation", op->cont.generation ? op->cont.generation : "", MT_GENERATION_MAX});
    case MT_OP_EVENT:
        return FIELDS({"topic", op->event.topic, MT_NAME_MAX}, {"key", op->event.key, MT_KEY_MAX},
                      {"payload", op->event.payload, 0});
    case MT_OP_SEEN:
        return FIELDS({"topic", op->seen.topic, MT_NAME_MAX}, {"key", op->seen.key, MT_KEY_MAX});
    case MT_OP_LATE:
        if (op->late.late != MT_LATE_PENDING && (unsigned)op->late.late <= MT_LATE_UNHANDLED)
            return MT_APPLIED;
        return mt_rules_refuse(b, op, MT_RES_INVALID, "late: %d, wanted no, handled or unhandled",
                               (int)op->late.late);
    case MT_OP_CANCEL:
        return FIELDS({"run", op->cancel.run, MT_ID_SIZE});
    case MT_OP_RETRY:
        return FIELDS({"run", op->retry.run, MT_ID_SIZE});
    case MT_OP_RESOLVE:
        if (FIELDS({"run", op->resolve.run, MT_ID_SIZE})) return MT_REFUSED;
        if (op->resolve.outcome == MT_OUTCOME_NONE || op->resolve.outcome >= MT_UNKNOWN)
            return mt_rules_refuse(b, op, MT_RES_INVALID,
                                   "resolve: outcome \"%s\", wanted not_sent, rejected or done",
                                   mt_outcome_name(op->resolve.outcome));
        return check_place(b, op, op->resolve.segment, op->resolve.seq);
    case MT_OP_MIGRATE:
        return FIELDS({"run", op->migrate.run, MT_ID_SIZE}, {"from", op->migrate.from, MT_GENERATION_MAX},
                      {"to", op->migrate.to, MT_GENERATION_MAX}, {"moves", op->migrate.moves, 0});
    case MT_OP_FORGET:
        return FIELDS({"run", op->forget.run, MT_ID_SIZE});
    case MT_OP_DOC_PUT:
    case MT_OP_DOC_DELETE:
    case MT_OP_DOC_CHECK:
        return check_document(b, op);
    case MT_OP_COLLECTION_CHECK:
        return FIELDS({"collection", op->collection_check.collection, MT_NAME_MAX});
    case MT_OP_DELIVERY_PUT:
    case MT_OP_DELIVERY_UPDATE:
        if (op->delivery) return MT_APPLIED;
        return mt_rules_refuse(b, op, MT_RES_INVALID, "%s: the delivery is missing", op_names[op->type]);
    case MT_OP_TASK_PUT:
        return FIELDS({"name", op->task.name, MT_NAME_MAX}, {"payload", op->task.payload, 0});
    case MT_OP_TASK_DELETE:
        return MT_APPLIED;
    case MT_OP_GENERATION:
        return check_generation(b, op);
    case MT_OP_PURGE:
        return check_purge(b, op);
    case MT_OP_META:
        return FIELDS({"key", op->meta.key, MT_KEY_MAX}, {"value", op->meta.value, 0});
    case MT_OP_AUDIT:
        return FIELDS({"who", op->audit->who, MT_KEY_MAX}, {"via", op->audit->via, MT_KEY_MAX},
                      {"what", op->audit->what, MT_NAME_MAX});
    }
    return mt_rules_refuse(b, op, MT_RES_INVALID, "there is no operation %d", (int)op->type);
}

/* ---- claims and waits ---- */

int mt_rules_next_class(unsigned *rotor, const bool has[MT_CLASS_COUNT]) {
    static const enum mt_run_class turns[] = {MT_CLASS_WAITED, MT_CLASS_START,  MT_CLASS_WAITED,
                                              MT_CLASS_TIMER,  MT_CLASS_WAITED, MT_CLASS_START,
                                              MT_CLASS_WAITED};
    const unsigned n = sizeof turns / sizeof *turns;
    for (unsigned i = 0; i < n; i++) {
        enum mt_run_class cls = turns[(*rotor + i) % n];
        if (!has[cls]) continue;
        *rotor = (*rotor + i + 1) % n;
        return (int)cls;
    }
    return -1;
}

char *mt_rules_await_result(int64_t n, int64_t at, const char *payload) {
    size_t size = strlen(payload) + 96;
    char *text = mt_calloc(1, size);
    snprintf(text, size, "{\"at\":%" PRId64 ",\"event\":%" PRId64 ",\"payload\":%s}", at, n, payload);
    return text;
}
