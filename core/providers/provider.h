/* A provider is a table: base URL, authentication, operations, error map, limits. An operation is a row:
 * name, method, path, how it may be repeated, its parameters, how its request is built and how its answer is
 * read. Rows are walked by tests, by `mintage providers`, and by the modules that scripts require. Immutable;
 * any thread. */
#pragma once
#include "base/clock.h"
#include "base/config.h"
#include "base/error.h"
#include "http/client.h"
#include "http/server.h"
#include <jansson.h>

/* How an operation may be sent again when its outcome is not known. */
enum mt_repeat {
    MT_REPEAT_READ,    /* changes nothing: send again */
    MT_REPEAT_KEYED,   /* the provider honours an idempotency key for key_ttl_s: same key, same bytes */
    MT_REPEAT_NATURAL, /* a caller-chosen id makes a second send a recognisable duplicate: send again, or read
                          by that id */
    MT_REPEAT_UNSAFE,  /* none of these: read if anything can be read, else a person decides */
};
const char *mt_repeat_name(enum mt_repeat r); /* "read" "keyed" "natural" "unsafe" */

enum mt_param_type {
    MT_P_STRING,
    MT_P_INTEGER,
    MT_P_NUMBER,
    MT_P_BOOLEAN,
    MT_P_MONEY,
    MT_P_OBJECT,
    MT_P_ARRAY,
    MT_P_ANY
};
const char *mt_param_type_name(enum mt_param_type t);

struct mt_param {
    const char *name; /* NULL ends the table */
    enum mt_param_type type;
    bool required;
    bool secret;               /* masked in stories, sealed in the journal */
    const char *const *values; /* an enumeration of strings, NULL-terminated; or NULL */
    int64_t min,
        max; /* of an integer, or of a string's length in bytes; both 0: no limit beyond the value's */
    const char *doc;
};

enum mt_operation_kind {
    MT_OPERATION_CALL,    /* one request */
    MT_OPERATION_SETTLED, /* waits until an object is at rest: events are hints, reading decides */
    MT_OPERATION_RELEASE, /* gives back what an earlier call took, by reading the state and then voiding,
                             refunding or nothing */
};

struct mt_provider;
struct mt_account;
struct defined_operation;

struct mt_operation {
    const char *name; /* "intents.create"; NULL ends the table */
    enum mt_operation_kind kind;
    const char *method,
        *path; /* "POST", "/api/platform/intents/{id}": for documentation and routing of CALLs */
    enum mt_repeat repeat;
    int64_t key_ttl_s;  /* KEYED: how long the provider remembers a key */
    bool moves_money;   /* refused outside runs */
    bool sealed_result; /* the answer holds secrets: sealed in the journal, masked in stories */
    const struct mt_param *params;
    const char *doc;     /* one sentence, and which document it implements */
    const char *returns; /* one line: the members of its answer */

    /* CALL: fills method, url, headers, body from checked params; no credentials. `key`: the idempotency key
     * to send when KEYED. */
    int (*build)(const struct mt_operation *op, const struct mt_account *account, const json_t *params,
                 const char *key, struct mt_http_request *req, struct mt_error *e);
    /* CALL: reads an answer of any status: 0 and *value (new reference), or -1 and *e with outcome REJECTED
     * (a definite no), or UNKNOWN (5xx of a write, or not understood). Fills kind, code, http_status,
     * retryable, hard, retry_after_s, message. */
    int (*read)(const struct mt_operation *op, const json_t *params, const struct mt_http_response *resp,
                json_t **value, struct mt_error *e);
    /* Optional: the value of an exchange that came to no answer, where that is an answer too (a receiver of
     * webhooks that is down). New reference. */
    json_t *(*unanswered)(const struct mt_operation *op, const json_t *params, const struct mt_error *why);
    /* Optional, when repeatability depends on the parameters (http.post with an idempotency_key). */
    enum mt_repeat (*repeat_of)(const struct mt_operation *op, const json_t *params);
    /* Optional: what the parameters' table cannot say (one field needs another). Called by mt_operation_check
     * once the table is satisfied; MT_INVALID_REQUEST. */
    int (*check)(const struct mt_operation *op, const char *full_name, const json_t *params,
                 struct mt_error *e);
    /* Optional: params with the id that the caller may leave out, made from `key`: 40 hex digits that are the
     * same whenever this effect is carried out. New reference; all other functions of the row get it. */
    json_t *(*identify)(const struct mt_operation *op, const json_t *params, const char *key);
    /* Optional: after an unknown outcome, the read that finds out: names an operation of this provider and
     * its params. 0 when it can be asked. The engine calls `reconciled` with the answer (or the read's error,
     * value NULL). */
    int (*reconcile)(const struct mt_operation *op, const json_t *params, const char **read_operation,
                     json_t **read_params);
    /* Judges what the read said: DONE with *value as the call would have answered; NOT_SENT (send again);
     * REJECTED with *e; UNKNOWN (ask again later). */
    enum mt_outcome (*reconciled)(const struct mt_operation *op, const json_t *params, const json_t *found,
                                  const struct mt_error *read_error, json_t **value, struct mt_error *e);
    /* SETTLED: params have "id" (mt_operation_object_id) and "within" (ms); reads with read_operation
     * {"id":...}. */
    const char *read_operation;
    const char *topic; /* the event topic whose key is the object's id: "mintro.intent" */
    bool (*at_rest)(const struct mt_operation *op, const json_t *object);
    /* RELEASE: reads with read_operation (NULL: nothing, *object is NULL), then decides: *operation NULL:
     * nothing to do (the value is `object`). -1: it cannot be given back (MT_UNSUPPORTED or MT_CONFLICT);
     * retryable: not yet, so it is read again later. */
    int (*decide)(const struct mt_operation *op, const json_t *params, const json_t *object,
                  const char **operation, json_t **operation_params, struct mt_error *e);
    const struct defined_operation *own; /* of a defined provider: what its definition says */
    /* RELEASE: the operation that may be a part of what is to be done: after it, it decides anew. Its answer
     * is such an object. NULL: there is none. */
    const char *again_after;
};

/* A documented code of a provider and what it means in our vocabulary; a test walks every row. */
struct mt_error_row {
    const char *code; /* "404", "-32012", "IR_16"; NULL ends the table */
    enum mt_kind kind;
    bool retryable, hard;
    const char *meaning; /* the document's words */
};

/* One thing a webhook said: a hint, stored as an event. */
struct mt_hint {
    char topic[64];   /* "mintro.intent" */
    char key[256];    /* the object's id */
    char source[300]; /* deduplicated by it; "" not */
    json_t *payload;  /* owned: {"event":"payment.succeeded", ...as sent} */
};

struct mt_credential { /* what an account needs, and where configuration and environment name it */
    const char *name;  /* "client_id"; NULL ends the table */
    bool secret, required;
    const char *doc;
    const char
        *sandbox; /* its value at the sandbox; refused for any URL that is not loopback. NULL: none there */
};

struct mt_provider {
    const char *name;           /* "mintro" */
    const char *title;          /* "Mintro (Payment Platform API)" */
    const char *base_url;       /* production */
    const char *authentication; /* in words: what carries the credentials */
    const struct mt_credential *credentials;
    const struct mt_operation *operations;
    const struct mt_error_row *errors;
    /* Optional: what the table of credentials cannot say of an account (one needs another). MT_USAGE, at the
     * start. */
    int (*check)(const struct mt_account *account, struct mt_error *e);
    /* Adds credentials (headers, signature) to a request about to be sent; never journaled. */
    int (*authorize)(const struct mt_account *account, const struct mt_operation *op,
                     struct mt_http_request *req, struct mt_error *e);
    /* Verifies and reads an incoming webhook: 0 and hints[0..*count) (at most 4), or -1 (MT_AUTHENTICATION:
     * 401; MT_INVALID_REQUEST: 400). NULL: it sends none. `secret`: the value of ?s=, verified by the caller:
     * it tells whether the URL's secret matched. */
    int (*webhook)(const struct mt_account *account, const struct mt_request *req, bool secret_url,
                   struct mt_hint *hints, size_t *count, struct mt_error *e);
    const char *webhook_answer; /* the exact body of the 2xx ("" for none) */
    bool secret_webhooks;       /* they carry a credential: their bytes are not kept as they came */
    int max_per_second, burst;  /* rate limit by default; 0: none */
    int max_in_flight;          /* calls under way at once; 0: as many as the engine allows */
    bool defined;               /* by a script */
    bool many_hosts; /* the caller names the host: no base URL, no breaker (one host down says nothing of
                        others) */
};

struct mt_account {
    const struct mt_provider *provider;
    char label[64];         /* "default" */
    char base_url[512];     /* no trailing slash */
    json_t *credentials;    /* {"client_id":...}: never printed */
    struct mt_clock *clock; /* borrowed; for timestamps in signatures and for dating webhooks */
};
/* Whether its base URL is on this machine: a sandbox, where no money moves. */
bool mt_account_is_local(const struct mt_account *a);
/* Borrowed; "" when not configured. */
const char *mt_account_credential(const struct mt_account *a, const char *name);

/* ---- providers that scripts define (provider.define) ---- */

enum { MT_DEFINED_OPERATIONS_MAX = 64 };

/* A provider from its definition, which README.md describes. NULL: MT_INVALID_REQUEST, saying which field was
 * found wrong and what is wanted there. Freed with mt_provider_undefine. */
struct mt_provider *mt_provider_define(const json_t *definition, struct mt_error *e);
void mt_provider_undefine(struct mt_provider *row);
/* Whether a script may give its provider this name: not a shipped provider's, nor so close to one that
 * configuration would take it for a slip. */
int mt_provider_name_check(const char *name, struct mt_error *e);

/* ---- the registry: which providers exist, their accounts, breakers and limiters ---- */

struct mt_providers;

/* config: {"mintro":{"base_url","client_id",...}} (the configuration's "providers" section; NULL for none).
 * Unknown members are refused with the nearest known. `sandbox_url`: when set, every provider points there
 * with the sandbox's test credentials (the sandbox's credentials are refused with any other URL that is not
 * loopback). */
struct mt_providers *mt_providers_new(const json_t *config, const char *sandbox_url, struct mt_clock *clock,
                                      struct mt_error *e);
void mt_providers_free(struct mt_providers *p);
/* All rows, ending with NULL: mintro, http, ... */
const struct mt_provider *const *mt_providers_all(void);
/* Every key that providers' sections may have, for mt_config_spec.provider_keys: writes at most `room` of
 * them to out and returns how many there are. The strings are static. */
size_t mt_providers_config_keys(struct mt_provider_key *out, size_t room);
/* The providers that the scripts of one generation define, with their accounts. Immutable, counted: an
 * execution keeps the set of its run's generation, whatever is current. Breakers, limits and counts are
 * shared by all sets that define a provider of the same name and URL. */
struct mt_provider_set;
/* definitions: a list, or NULL for none. A section of the configuration that does not fit a definition leaves
 * that provider unconfigured, with the reason. NULL: a definition is not acceptable. */
struct mt_provider_set *mt_provider_set_new(struct mt_providers *p, const json_t *definitions,
                                            struct mt_error *e);
struct mt_provider_set *mt_provider_set_retain(struct mt_provider_set *s); /* NULL gives NULL */
void mt_provider_set_release(struct mt_provider_set *s);
/* Makes it the one that webhooks, /v1/providers and metrics are about (keeps a reference), and says in the
 * log what of the configuration does not fit it. */
void mt_providers_publish(struct mt_providers *p, struct mt_provider_set *s);
/* The published one, with a reference for the caller; NULL: none. */
struct mt_provider_set *mt_providers_current(struct mt_providers *p);
/* Row number i of the shipped providers and then the set's (NULL: none); NULL after the last. */
const struct mt_provider *mt_provider_row(const struct mt_provider_set *s, size_t i);
const struct mt_provider *mt_provider_named(const struct mt_provider_set *s, const char *name);
/* Whether events of this topic only say that there is something to read: some `settled` reads for them. */
bool mt_provider_hints(const struct mt_provider_set *s, const char *topic);
/* The account of a provider of the set, or of a shipped one; NULL: not configured. */
const struct mt_account *mt_provider_account(struct mt_providers *p, const struct mt_provider_set *s,
                                             const char *provider);
/* Why a provider of the set is not configured; "" when nothing says so. */
const char *mt_provider_problem(const struct mt_provider *row);
/* mt_operation_find among the set's providers as well. */
const struct mt_operation *mt_operation_find_in(struct mt_providers *p, const struct mt_provider_set *s,
                                                const char *full_name, const struct mt_account **account,
                                                struct mt_error *e);

/* "mintro.intents.create" -> its row and account. NULL: MT_INVALID_REQUEST with a suggestion. account NULL:
 * not configured. */
const struct mt_operation *mt_operation_find(struct mt_providers *p, const char *full_name,
                                             const struct mt_account **account, struct mt_error *e);
/* Checks params against the row: unknown field (nearest named), missing, wrong type, out of range.
 * MT_INVALID_REQUEST. */
int mt_operation_check(const struct mt_operation *op, const char *full_name, const json_t *params,
                       struct mt_error *e);
enum mt_repeat mt_operation_repeat(const struct mt_operation *op, const json_t *params);
/* The object that a SETTLED or RELEASE operation is about: params' "id", or its member ending in "_id".
 * Borrowed; NULL: none. */
const char *mt_operation_object_id(const struct mt_operation *op, const json_t *params);
/* A copy of params or of an answer with secret members masked. New reference. */
json_t *mt_operation_mask_params(const struct mt_operation *op, const json_t *params);
json_t *mt_operation_mask_result(const struct mt_operation *op, const json_t *value);

/* Admission: 0 go; otherwise milliseconds to wait (breaker open, or rate limit). Every admitted call is
 * followed by a report. */
int64_t mt_provider_admit(struct mt_providers *p, const struct mt_provider *provider);
/* A place among the calls under way to this provider, of which there may be `most`, or fewer where the
 * provider says so. False: none is free. Given back with mt_provider_leave. */
bool mt_provider_enter(struct mt_providers *p, const struct mt_provider *provider, int most);
void mt_provider_leave(struct mt_providers *p, const struct mt_provider *provider);
/* infrastructure: the other side was unreachable, timed out or answered 5xx. Declines and refusals are not.
 */
void mt_provider_report(struct mt_providers *p, const struct mt_provider *provider,
                        bool infrastructure_failure);
enum mt_breaker_state { MT_BREAKER_CLOSED, MT_BREAKER_OPEN, MT_BREAKER_HALF_OPEN };
const char *mt_breaker_state_name(enum mt_breaker_state s); /* "closed" "open" "half_open" */
enum mt_breaker_state mt_provider_breaker(struct mt_providers *p, const struct mt_provider *provider);
/* The account of a provider ("mintro"), for its webhooks; NULL when there is none or it is not configured.
 * Borrowed. */
const struct mt_account *mt_providers_account(struct mt_providers *p, const char *provider);
/* What a provider's tables say, without any state: name, title, base_url, authentication, webhooks,
 * credentials (never their values), operations, errors. New reference. */
json_t *mt_provider_describe(const struct mt_provider *row);
/* The same as a page of Markdown, appended. */
void mt_provider_page(const struct mt_provider *row, struct mt_buf *out);
/* JSON array for GET /v1/providers: what describe says and what is so at present: configured, account,
 * base_url, breaker, breaker_opened (times), calls of each operation by outcome. Caller frees. */
char *mt_providers_json(struct mt_providers *p);
/* Counters by (provider, operation, outcome) for metrics. */
void mt_provider_count(struct mt_providers *p, const struct mt_provider *provider,
                       const struct mt_operation *op, enum mt_outcome outcome, int64_t duration_us);
/* Appends Prometheus text. */
void mt_providers_metrics(struct mt_providers *p, struct mt_buf *out);
