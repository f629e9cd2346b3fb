/* What the files that carry out calls share: call.c (one call's course), parallel.c (several at once),
 * request.c (the intent: the exact request, and what the journal keeps beside it), send.c (the exchange
 * itself). Inside core/engine only. */
#pragma once
#include "engine/internal.h"

/* How a call stands after a step. */
enum going {
    GO_ON,   /* again */
    GO_DONE, /* decided */
    GO_LEFT, /* the run was let go, parked or lost: a is set */
};

/* What is to be done next about a call that is being waited for. */
enum call_next {
    NEXT_NONE,      /* its request may be on its way */
    NEXT_SEND,      /* (re)send it: nothing of it is on its way, or it may be repeated */
    NEXT_RECONCILE, /* ask what became of it */
};

struct call_meta {
    int64_t attempt; /* from 1; another one has another idempotency key */
    int64_t sends, refused, asked;
    int64_t key_at;  /* when the idempotency key was made; 0: none */
    int64_t sent_at; /* the last send whose outcome is not known; 0: none */
    enum call_next next;
    bool unsure;  /* an earlier send of this attempt may have had its effect */
    bool stale;   /* the request that the store keeps is of an earlier attempt */
    json_t *rest; /* the account, and what others keep with the entry; NULL: the account as it is now */
};

struct call {
    struct mt_exec *x;
    struct mt_entry *entry;
    const struct mt_operation *op;
    const struct mt_account *account;
    const char *full_name;
    json_t *params; /* owned; with the id that the script left out */
    enum mt_repeat repeat;
    struct call_meta meta;
    struct mt_http_request request;
    bool has_request; /* `request` is filled */
    bool written;     /* the entry is in the store, or in the next batch */
    bool intent_kept; /* the store has this request and knows that it may leave */
    struct mt_answer *a;
    json_t *value;
    struct mt_error error;
    /* A release has its say when the call that it chose is decided. DONE: *outcome stands (it may have
     * changed it, with value and error); ON: this is another call now, to be made; LEFT. NULL: a call of its
     * own. */
    enum going (*then)(struct call *c, enum mt_outcome *outcome);
    void *release;
    bool half; /* a part of the release has been done: it is not left undone for a cancellation */
};

/* ---- request.c ---- */
void call_begin(struct call *c, struct mt_exec *x, struct mt_entry *entry, const struct mt_operation *op,
                const struct mt_account *account, const char *full_name, json_t *params, bool written,
                struct mt_answer *a);
void call_end(struct call *c);
/* Builds the request and its key, or takes the one the intent kept. */
int call_build(struct call *c);
int call_seal(struct call *c);
int call_unseal(struct call *c);
/* Another attempt: another key, another request. */
void call_new_attempt(struct call *c);
/* Makes it another call of the same effect. full_name is borrowed. */
void call_change(struct call *c, const struct mt_operation *op, const char *full_name, json_t *params);
/* Whether the account is still the one the intent was made for; else the run is parked. */
bool call_same_account(struct call *c);
/* The entry with its meta goes into the next batch. */
void call_write(struct call *c);

/* ---- send.c ---- */
/* One provider holds at most half the workers; the breaker and the limiter may ask for time as well. 0: go,
 * and leave later. */
int64_t call_admit(struct mt_engine *g, const struct mt_provider *provider);
void call_leave(struct mt_engine *g, const struct mt_provider *provider);
int call_authorize(const struct mt_operation *op, const struct mt_account *account,
                   struct mt_http_request *req, struct mt_error *e);
/* Judges one exchange (rc 0: resp; else e says what became of it): fills *value or *e with its outcome. */
enum mt_outcome call_judge(struct mt_engine *g, const struct mt_operation *op,
                           const struct mt_account *account, const json_t *params, int rc,
                           const struct mt_http_response *resp, json_t **value, struct mt_error *e);
enum mt_outcome call_send(struct mt_engine *g, const struct mt_operation *op,
                          const struct mt_account *account, const json_t *params,
                          struct mt_http_request *request, json_t **value,
                          struct mt_error *e); /* uses the request up: it has the credentials in it */
void call_finish_error(struct mt_error *e, const struct mt_operation *op, const struct mt_account *account);
/* How long to wait before try number `tries` + 1: exponential, jittered, at least what was asked for. */
int64_t call_backoff(struct mt_engine *g, int64_t tries, int asked_s);
/* Whether a refusal only says "later": the engine tries again by itself. */
bool call_later(const struct mt_error *e);

/* ---- call.c ---- */
struct pause {
    int64_t ms; /* 0: none */
    const char *why;
};
/* The course of a call that has begun, to its end. */
enum going call_run(struct call *c);
/* Lets go of the run for so long; what is to be done then is in the meta. */
enum going call_suspend(struct call *c, int64_t ms, const char *why);
enum going call_decide(struct call *c, enum mt_outcome outcome);
/* What a send came to: decided, or GO_ON with what is to be done next in the meta, after a pause. */
enum going call_take(struct call *c, enum mt_outcome outcome, struct pause *pause);
/* In the worker when it is short, else as a timer. */
enum going call_pause(struct call *c, const struct pause *pause);
/* One step of the course, until it is not GO_ON. */
enum going call_step(struct call *c);
