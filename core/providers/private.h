/* What the files of this folder share: the table of providers, the state kept for each, and the helpers that
 * every provider's build and read functions use. Not for other folders. */
#pragma once
#include "base/buf.h"
#include "money/money.h"
#include "providers/provider.h"
#include <pthread.h>
#include <stdatomic.h>

extern const struct mt_provider mt_provider_mint;
extern const struct mt_provider mt_provider_mintro, mt_provider_http;
extern const struct mt_provider mt_provider_paymint;
extern const struct mt_provider mt_provider_paymnt;
extern const struct mt_provider mt_provider_webhooks;

/* ---- state of one provider ---- */

enum { BREAKER_SPAN_MS = 15000, METRIC_BUCKETS = 12 };

struct breaker {
    pthread_mutex_t lock;
    enum mt_breaker_state state;
    int64_t span_start_ns; /* of calls[0], failures[0]; [1] is the span before it */
    int calls[2], failures[2];
    int64_t open_until_ns;
    int64_t open_for_ms; /* how long the next opening lasts */
    bool probing;        /* half open: one call is under way */
    int64_t probe_since_ns;
    uint64_t opened; /* times, for metrics */
    /* The token bucket, in millionths of a call. */
    int64_t tokens, refilled_ns;
    int max_per_second, burst; /* 0: no limit */
};

void breaker_init(struct breaker *b, int max_per_second, int burst, int64_t now_ns);
/* Another rate from now on. */
void breaker_limit(struct breaker *b, int max_per_second, int burst);
void breaker_clear(struct breaker *b);
/* 0, or milliseconds to wait. `breaks` false: the rate limit only. */
int64_t breaker_admit(struct breaker *b, bool breaks, int64_t now_ns);
void breaker_report(struct breaker *b, bool failure, int64_t now_ns);
enum mt_breaker_state breaker_state(struct breaker *b);

struct operation_counters {
    atomic_uint_fast64_t outcomes[MT_OUTCOME_COUNT];
    atomic_uint_fast64_t buckets[METRIC_BUCKETS + 1]; /* the last one: beyond all limits */
    atomic_uint_fast64_t sum_us;
};

struct provider_state {
    const struct mt_provider *row;
    bool configured;
    struct mt_account account;
    struct breaker breaker;
    atomic_int in_flight; /* calls under way */
    size_t operation_count;
    struct operation_counters *counters; /* one an operation, in the table's order */
};

/* Of the defined providers of one name and URL, in whichever generations. */
struct shared_state {
    struct provider_state state; /* first; its row, account and counters are not used */
    char name[24], base_url[512];
    size_t refs; /* under the registry's lock */
    struct shared_state *next;
};

/* Of the defined operations of one name. They count as long as the process lives. */
struct named_counters {
    char name[96];
    struct operation_counters counters;
    struct named_counters *next;
};

struct mt_providers {
    struct mt_clock *clock; /* borrowed */
    size_t count;
    struct provider_state *states;
    bool sandbox;
    json_t *sections;     /* the configuration; credentials are in it */
    pthread_mutex_t lock; /* what follows */
    struct shared_state *shared;
    struct named_counters *named;
    size_t named_count;
    struct mt_provider_set *current;
};

/* set.c */
void sets_clear(struct mt_providers *p);

struct provider_state *provider_state(struct mt_providers *p, const struct mt_provider *row);
size_t operation_count(const struct mt_provider *row);
/* Checks a base URL and copies it without its trailing slashes. */
int account_take_url(const char *provider, const char *url, struct mt_account *a, bool *loopback,
                     struct mt_error *e);
/* The whole account from its section; one that is absent or empty leaves it unconfigured. */
int account_configure(const struct mt_provider *row, const json_t *section, struct mt_account *a,
                      bool *configured, struct mt_error *e);
/* The host of an http or https URL in `host` (without brackets or port). False when the URL is malformed:
 * another scheme, no host, a user name, white space or control characters. */
bool url_host(const char *url, char *host, size_t size);
bool host_is_loopback(const char *host);

/* ---- values (value.c): journal values have tags, what goes over the wire has none ---- */

/* A member of params; NULL when absent or null. */
const json_t *param(const json_t *params, const char *name);
const char *param_str(const json_t *params, const char *name); /* NULL when absent */
/* A value as plain JSON: money becomes "80.00 USD", bytes base64 text. New reference. */
json_t *value_to_plain(const json_t *value, struct mt_error *e);
/* Plain JSON as a value: member names that begin with "$" get one more. Steals a reference, gives one. */
json_t *value_from_plain(json_t *plain);
/* Bytes as a value: a string, or {"$bytes"} when they are not UTF-8 or have a NUL. New reference. */
json_t *value_from_bytes(const char *data, size_t len);
/* {"$money":"80.00 USD"}. New reference. */
json_t *value_from_money(const struct mt_money *m);
/* Reads {"$money"}: false when value is something else. */
bool value_money(const json_t *value, struct mt_money *m);
/* "a string", "money", "an integer", "nothing": for messages. */
const char *value_type_name(const json_t *value);

/* ---- writing JSON bodies whose numbers are exact text (value.c) ---- */

void body_name(struct mt_buf *b, const char *name);               /* ,"name": (no comma after a { or [) */
void body_str(struct mt_buf *b, const char *name, const char *s); /* nothing when s is NULL */
int body_money(struct mt_buf *b, const char *name, const struct mt_money *m, struct mt_error *e);
/* A plain JSON rendering of a value. */
int body_value(struct mt_buf *b, const char *name, const json_t *value, struct mt_error *e);
/* Moves the buffer into the request, or fails when it is over its limit. */
int body_finish(struct mt_buf *b, struct mt_http_request *req, struct mt_error *e);

/* ---- answers (answer.c) ---- */

/* Fills provider, operation, http_status; returns -1. */
int answer_fail(const char *provider, const struct mt_operation *op, const struct mt_http_response *resp,
                enum mt_kind kind, enum mt_outcome outcome, struct mt_error *e, const char *format, ...)
    __attribute__((format(printf, 7, 8)));
/* The error of a status that is not 2xx: kind, code and flags from `rows`, else from the status's class;
 * outcome REJECTED below 500, UNKNOWN from there on; Retry-After. `said`: the provider's own words, or "". */
int answer_status(const char *provider, const struct mt_operation *op, const struct mt_error_row *rows,
                  const struct mt_http_response *resp, const char *said, struct mt_error *e);
/* The answer's body as JSON, or NULL when it is none (then it is not understood). */
json_t *answer_json(const struct mt_http_response *resp);
bool answer_is_json_type(const struct mt_http_response *resp);
/* Seconds of Retry-After, also when it is a date; of a 429 without one, until the limit's reset
 * (RateLimit-Reset, X-RateLimit-Reset). 0 when nothing is said; at most a day. */
int answer_retry_after(const struct mt_http_response *resp);
/* "Not Found"; "" when the number has no name. */
const char *status_words(int status);

/* ---- Mintro ---- */

enum { MINTRO_ID_MAX = 100 };
/* "canceled" and "cancelled" are one word to us. */
void mintro_normalise_status(json_t *object);
bool mintro_id_ok(const char *id);
int mintro_webhook(const struct mt_account *account, const struct mt_request *req, bool secret_url,
                   struct mt_hint *hints, size_t *count, struct mt_error *e);
/* "intent_id", or its other name "id". Borrowed. */
const char *mintro_intent_id(const json_t *params);
bool mintro_is_recurring(const json_t *params);
/* mintro_check.c: functions of the operations' rows. */
int mintro_check_create(const struct mt_operation *op, const char *full_name, const json_t *params,
                        struct mt_error *e);
int mintro_check_intent_id(const struct mt_operation *op, const char *full_name, const json_t *params,
                           struct mt_error *e);
int mintro_check_subscription_id(const struct mt_operation *op, const char *full_name, const json_t *params,
                                 struct mt_error *e);
int mintro_check_reference(const struct mt_operation *op, const char *full_name, const json_t *params,
                           struct mt_error *e);
/* mintro_recover.c: the same. */
int mintro_reconcile_create(const struct mt_operation *op, const json_t *params, const char **read_operation,
                            json_t **read_params);
enum mt_outcome mintro_reconciled_create(const struct mt_operation *op, const json_t *params,
                                         const json_t *found, const struct mt_error *read_error,
                                         json_t **value, struct mt_error *e);
int mintro_reconcile_cancel(const struct mt_operation *op, const json_t *params, const char **read_operation,
                            json_t **read_params);
enum mt_outcome mintro_reconciled_cancel(const struct mt_operation *op, const json_t *params,
                                         const json_t *found, const struct mt_error *read_error,
                                         json_t **value, struct mt_error *e);
bool mintro_at_rest(const struct mt_operation *op, const json_t *object);
int mintro_decide(const struct mt_operation *op, const json_t *params, const json_t *object,
                  const char **operation, json_t **operation_params, struct mt_error *e);

/* ---- Paymint ---- */

enum { PAYMINT_BILL_ID_MAX = 20, PAYMINT_ID_MAX = 100, PAYMINT_PHONE_SIZE = 12 };
/* A Korean mobile number in the vendor's form, "01012345678". False when it is none. */
bool paymint_phone(const char *text, char out[PAYMINT_PHONE_SIZE]);
/* The vendor's hash of a request: with the phone when (and only when) the request has one; NULL: it has none.
 * The gateway computes it; here it is for those who speak to the upstream. Lower-case hex, 65 bytes. */
void paymint_hash(const char *bill_id, const char *phone, const char *price, char *out);
/* The row of autopay.request. */
const struct mt_operation *paymint_charge(void);
int paymint_webhook(const struct mt_account *account, const struct mt_request *req, bool secret_url,
                    struct mt_hint *hints, size_t *count, struct mt_error *e);
/* Functions of the operations' rows. */
int paymint_check(const struct mt_operation *op, const char *full_name, const json_t *params,
                  struct mt_error *e);
json_t *paymint_identify(const struct mt_operation *op, const json_t *params, const char *key);
/* paymint_read.c: the same. */
int paymint_read_coded(const struct mt_operation *op, const json_t *params,
                       const struct mt_http_response *resp, json_t **value, struct mt_error *e);
int paymint_read_bill(const struct mt_operation *op, const json_t *params,
                      const struct mt_http_response *resp, json_t **value, struct mt_error *e);
int paymint_read_sent(const struct mt_operation *op, const json_t *params,
                      const struct mt_http_response *resp, json_t **value, struct mt_error *e);
int paymint_read_charge(const struct mt_operation *op, const json_t *params,
                        const struct mt_http_response *resp, json_t **value, struct mt_error *e);
int paymint_read_page(const struct mt_operation *op, const json_t *params,
                      const struct mt_http_response *resp, json_t **value, struct mt_error *e);
int paymint_read_methods(const struct mt_operation *op, const json_t *params,
                         const struct mt_http_response *resp, json_t **value, struct mt_error *e);
int paymint_read_licenses(const struct mt_operation *op, const json_t *params,
                          const struct mt_http_response *resp, json_t **value, struct mt_error *e);
int paymint_read_phone(const struct mt_operation *op, const json_t *params,
                       const struct mt_http_response *resp, json_t **value, struct mt_error *e);
/* paymint_recover.c: the same. */
int paymint_reconcile_bill(const struct mt_operation *op, const json_t *params, const char **read_operation,
                           json_t **read_params);
int paymint_reconcile_delete(const struct mt_operation *op, const json_t *params, const char **read_operation,
                             json_t **read_params);
enum mt_outcome paymint_reconciled_request(const struct mt_operation *op, const json_t *params,
                                           const json_t *found, const struct mt_error *read_error,
                                           json_t **value, struct mt_error *e);
enum mt_outcome paymint_reconciled_charge(const struct mt_operation *op, const json_t *params,
                                          const json_t *found, const struct mt_error *read_error,
                                          json_t **value, struct mt_error *e);
enum mt_outcome paymint_reconciled_cancel(const struct mt_operation *op, const json_t *params,
                                          const json_t *found, const struct mt_error *read_error,
                                          json_t **value, struct mt_error *e);
enum mt_outcome paymint_reconciled_destroy(const struct mt_operation *op, const json_t *params,
                                           const json_t *found, const struct mt_error *read_error,
                                           json_t **value, struct mt_error *e);
enum mt_outcome paymint_reconciled_delete(const struct mt_operation *op, const json_t *params,
                                          const json_t *found, const struct mt_error *read_error,
                                          json_t **value, struct mt_error *e);
bool paymint_at_rest(const struct mt_operation *op, const json_t *object);
int paymint_decide(const struct mt_operation *op, const json_t *params, const json_t *object,
                   const char **operation, json_t **operation_params, struct mt_error *e);

/* ---- MINT ---- */

enum { MINT_VALUES_MAX = 16 };
struct mint_value {
    const char *name, *value;
};
/* mint_sign.c: appends name=value to a form, encoded. */
void mint_field(struct mt_buf *form, const char *name, const char *value);
/* auth[sign] as the PHP sample computes it. Sorts `values` by their names. out holds 33. */
void mint_sign(const char *public_key, int64_t timestamp, struct mint_value *values, size_t n,
               const char *private_key, char *out);
/* The form, behind the three auth fields for it, signed now. */
void mint_add_signature(const struct mt_account *account, const char *form, struct mt_buf *signed_form);
/* mint_read.c: functions of the operations' rows. */
int mint_read_epins(const struct mt_operation *op, const json_t *params, const struct mt_http_response *resp,
                    json_t **value, struct mt_error *e);
int mint_read_redeemed(const struct mt_operation *op, const json_t *params,
                       const struct mt_http_response *resp, json_t **value, struct mt_error *e);
int mint_read_balances(const struct mt_operation *op, const json_t *params,
                       const struct mt_http_response *resp, json_t **value, struct mt_error *e);
int mint_read_balance(const struct mt_operation *op, const json_t *params,
                      const struct mt_http_response *resp, json_t **value, struct mt_error *e);
