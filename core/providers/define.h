/* What the files of a defined provider share (define*.c reads a definition, defined*.c does what it says). A
 * definition is data: every word below points into its JSON, which lives as long as the provider. Invariant:
 * what define_* has accepted, defined_* carries out without asking again. Immutable once made; any thread.
 * Not for other folders. */
#pragma once
#include "providers/private.h"

enum {
    DEFINED_OPERATIONS_MAX = MT_DEFINED_OPERATIONS_MAX,
    DEFINED_PARAMS_MAX = 48,
    DEFINED_ERRORS_MAX = 256,
    DEFINED_CREDENTIALS_MAX = 12,
    DEFINED_TEXT_MAX = 300,
    DEFINED_BODY_MAX = 256 * 1024,
    DEFINED_WHERE_MAX = 200,
};

/* How an amount is written on the wire. */
enum defined_amounts {
    DEFINED_MINOR,   /* 8000: an integer of minor units */
    DEFINED_DECIMAL, /* "80.00": a string */
    DEFINED_NUMBER,  /* 80.00: a number of major units */
};

enum defined_body { DEFINED_QUERY, DEFINED_JSON, DEFINED_FORM };

/* Which part of an HMAC's header, and of what it is. */
struct defined_hmac {
    const char *header; /* NULL: there is none */
    const char *secret; /* the credential */
    const char *of;     /* "{timestamp}.{body}" */
    const char *prefix; /* before the digest: "sha256="; or "" */
    const char *field;  /* incoming: the part of the header with the digest ("v1"); or NULL: all of it */
    const char *timestamp;
    int64_t within_ms; /* incoming: how old a timestamp may be; 0: any */
    bool sha512, base64;
};

struct defined_money {
    enum defined_amounts amounts;
    const char *currency; /* the member with the currency, on the way out and in; NULL: none */
    bool lowercase;
    const json_t *answers; /* names of members of answers that hold amounts */
};

struct defined_operation {
    const struct defined *of;
    const struct mt_operation *row;
    enum defined_body body;
    const char **wire;     /* one a parameter: its name on the wire */
    const char **currency; /* one a parameter: money's currency; NULL: not sent */
    const json_t *fixed;   /* members that are always sent */
    const char *at;        /* where the object stands in the answer; NULL: it is the answer */
    const json_t *refused; /* a 2xx that is a no: kind -> condition */
    const char *code;      /* where such a no says its code; NULL: where errors do */
    const char *own_id;    /* the parameter that is made when left out; NULL */
    const char *find;      /* after an unknown outcome: the operation that reads; NULL */
    const json_t *find_with, *find_done, *find_not_sent, *find_refused, *find_same;
    const json_t *rests;   /* SETTLED: the condition */
    const json_t *release; /* RELEASE: the rules */
    int timeout_ms;
    struct operation_counters *counters; /* the registry's, by name; NULL: not adopted */
};

struct defined_webhook {
    bool wanted, url_secret, read_only; /* read_only: unsigned, so nothing of it is believed */
    struct defined_hmac hmac;
    const char *event, *id, *object;
    const json_t *events; /* "charge.*" -> {topic, key} */
};

struct defined {
    struct mt_provider row; /* first: a row of a defined provider is one of these */
    json_t *json;
    struct mt_operation *operations;
    struct defined_operation *own; /* one an operation, in the same order */
    void **kept;                   /* what was allocated for it */
    size_t kept_count;
    struct mt_credential *credentials;
    struct mt_error_row *errors;
    bool *error_unknown; /* one an error: nobody knows what became of the call */
    struct defined_money money;
    bool has_money;
    const char *bearer, *basic_user, *basic_password;
    const json_t *auth_headers; /* header -> credential */
    struct defined_hmac hmac;
    const json_t *headers; /* header -> text */
    const char *key_header, *key_member;
    int64_t key_ttl_s;
    const char *error_code, *error_message; /* where an error answer says them; NULL */
    int timeout_ms;
    char authentication[DEFINED_TEXT_MAX];
    struct defined_webhook webhook;
    /* Of the set that it belongs to. */
    struct mt_account account;
    bool configured;
    char problem[DEFINED_TEXT_MAX]; /* why it is not configured; "" */
    struct provider_state *state;
};

static inline const struct defined *defined_of(const struct mt_provider *row) {
    return (const struct defined *)row;
}
static inline const struct defined_operation *defined_operation(const struct mt_operation *op) {
    return op->own;
}

/* ---- define_field.c: fields of a definition ---- */

/* An object (or an empty list, which is how an empty table of a script may look) with known members only. */
int define_fields(const char *where, const json_t *o, const char *const *known, struct mt_error *e);
/* A string of 1 to DEFINED_TEXT_MAX bytes without control characters; *out stays as it is when absent. */
int define_text(const char *where, const json_t *o, const char *name, const char **out, struct mt_error *e);
int define_required(const char *where, const json_t *o, const char *name, const char **out,
                    struct mt_error *e);
int define_bool(const char *where, const json_t *o, const char *name, bool *out, struct mt_error *e);
/* "30s" or a number of seconds. */
int define_duration(const char *where, const json_t *o, const char *name, int64_t min_ms, int64_t max_ms,
                    int64_t *ms, struct mt_error *e);
int define_int(const char *where, const json_t *o, const char *name, int64_t min, int64_t max, int64_t *out,
               struct mt_error *e);
/* One of `words` (n of them): its place in *out. */
int define_word(const char *where, const char *word, const char *const *words, size_t n, size_t *out,
                struct mt_error *e);
/* A list of strings. */
int define_texts(const char *where, const json_t *o, const char *name, const json_t **out,
                 struct mt_error *e);
/* {member = value or list of values}: what an object must look like. */
int define_condition(const char *where, const json_t *condition, struct mt_error *e);
int define_header_name(const char *where, const char *name, struct mt_error *e);
int define_kind(const char *where, const char *word, enum mt_kind *kind, struct mt_error *e);
/* Refuses a credential that the definition does not have. */
int define_credential(const char *where, const struct defined *d, const char *name, struct mt_error *e);
/* -1, and "where: ..." as the message. */
int define_fail(const char *where, struct mt_error *e, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Zeroed memory that lives as long as the definition. */
void *define_alloc(struct defined *d, size_t n, size_t size);
/* "[...]" of an operation, for messages. */
void define_where(char out[DEFINED_WHERE_MAX], const char *operation, const char *rest);

/* ---- define_operation.c, define_param.c, define_webhook.c: parts of a definition ---- */

int define_operations(struct defined *d, const json_t *list, struct mt_error *e);
int define_params(struct defined *d, struct defined_operation *own, const json_t *list, struct mt_error *e);
int define_webhook(struct defined *d, const json_t *o, struct mt_error *e);
int define_hmac(const char *where, const struct defined *d, const json_t *o, bool incoming,
                struct defined_hmac *out, struct mt_error *e);
const struct mt_operation *defined_find(const struct defined *d, const char *name);
/* The name between the first braces of the path, or false. */
bool defined_placeholder(const char *path, size_t i, char out[64]);

/* ---- defined_*.c: what the rows do ---- */

/* A member by its dotted path; numbers count from 1 in lists. NULL: there is none. */
const json_t *defined_at(const json_t *value, const char *path);
bool defined_holds(const json_t *condition, const json_t *object);

int defined_build(const struct mt_operation *op, const struct mt_account *account, const json_t *params,
                  const char *key, struct mt_http_request *req, struct mt_error *e);
int defined_authorize(const struct mt_account *account, const struct mt_operation *op,
                      struct mt_http_request *req, struct mt_error *e);
json_t *defined_identify(const struct mt_operation *op, const json_t *params, const char *key);
/* The digest as it stands in the header. `timestamp`: in text. */
void defined_digest(const struct defined_hmac *h, const char *secret, const char *method, const char *path,
                    const char *timestamp, const char *body, size_t len, struct mt_buf *out);
int defined_read(const struct mt_operation *op, const json_t *params, const struct mt_http_response *resp,
                 json_t **value, struct mt_error *e);
/* Members that hold amounts become money. */
void defined_take_money(const struct defined *d, json_t *value, const char *currency);
int defined_reconcile(const struct mt_operation *op, const json_t *params, const char **read_operation,
                      json_t **read_params);
enum mt_outcome defined_reconciled(const struct mt_operation *op, const json_t *params, const json_t *found,
                                   const struct mt_error *read_error, json_t **value, struct mt_error *e);
bool defined_at_rest(const struct mt_operation *op, const json_t *object);
int defined_decide(const struct mt_operation *op, const json_t *params, const json_t *object,
                   const char **operation, json_t **operation_params, struct mt_error *e);
int defined_webhook(const struct mt_account *account, const struct mt_request *req, bool secret_url,
                    struct mt_hint *hints, size_t *count, struct mt_error *e);
