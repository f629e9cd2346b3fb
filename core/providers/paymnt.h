/* What the files of Paymnt's client share: the functions that its operations' rows name, and the rules for
 * ids. Only for paymnt*.c. No state; any thread. */
#pragma once
#include "providers/private.h"

enum { PAYMNT_ID_MAX = 64 };

extern const struct mt_error_row paymnt_errors[];

/* paymnt_check.c */
bool paymnt_id_ok(const char *id);
/* params' `name` ("payment_id"), or its other name "id". Borrowed. */
const char *paymnt_id(const json_t *params, const char *name);
int paymnt_check(const struct mt_operation *op, const char *full_name, const json_t *params,
                 struct mt_error *e);

/* paymnt_request.c */
/* params with an id of ours where the script gave none: "pay_" or "ref_" and 26 digits of the key. */
json_t *paymnt_identify(const struct mt_operation *op, const json_t *params, const char *key);
int paymnt_build(const struct mt_operation *op, const struct mt_account *account, const json_t *params,
                 const char *key, struct mt_http_request *req, struct mt_error *e);
int paymnt_authorize(const struct mt_account *account, const struct mt_operation *op,
                     struct mt_http_request *req, struct mt_error *e);

/* paymnt_answer.c */
/* A payment or refund as scripts see it: money for minor units, one spelling, no client_secret. Steals. */
json_t *paymnt_payment(json_t *plain);
json_t *paymnt_refund(json_t *plain);
int paymnt_read_created(const struct mt_operation *op, const json_t *params,
                        const struct mt_http_response *resp, json_t **value, struct mt_error *e);
int paymnt_read_payment(const struct mt_operation *op, const json_t *params,
                        const struct mt_http_response *resp, json_t **value, struct mt_error *e);
int paymnt_read_refund(const struct mt_operation *op, const json_t *params,
                       const struct mt_http_response *resp, json_t **value, struct mt_error *e);
int paymnt_read_payments(const struct mt_operation *op, const json_t *params,
                         const struct mt_http_response *resp, json_t **value, struct mt_error *e);
int paymnt_read_refunds(const struct mt_operation *op, const json_t *params,
                        const struct mt_http_response *resp, json_t **value, struct mt_error *e);

/* paymnt_recover.c */
int paymnt_reconcile_payment(const struct mt_operation *op, const json_t *params, const char **read_operation,
                             json_t **read_params);
int paymnt_reconcile_refund(const struct mt_operation *op, const json_t *params, const char **read_operation,
                            json_t **read_params);
enum mt_outcome paymnt_reconciled_create(const struct mt_operation *op, const json_t *params,
                                         const json_t *found, const struct mt_error *read_error,
                                         json_t **value, struct mt_error *e);
enum mt_outcome paymnt_reconciled_confirm(const struct mt_operation *op, const json_t *params,
                                          const json_t *found, const struct mt_error *read_error,
                                          json_t **value, struct mt_error *e);
enum mt_outcome paymnt_reconciled_capture(const struct mt_operation *op, const json_t *params,
                                          const json_t *found, const struct mt_error *read_error,
                                          json_t **value, struct mt_error *e);
enum mt_outcome paymnt_reconciled_cancel(const struct mt_operation *op, const json_t *params,
                                         const json_t *found, const struct mt_error *read_error,
                                         json_t **value, struct mt_error *e);
enum mt_outcome paymnt_reconciled_refund(const struct mt_operation *op, const json_t *params,
                                         const json_t *found, const struct mt_error *read_error,
                                         json_t **value, struct mt_error *e);
bool paymnt_payment_at_rest(const struct mt_operation *op, const json_t *payment);
bool paymnt_refund_at_rest(const struct mt_operation *op, const json_t *refund);
int paymnt_decide(const struct mt_operation *op, const json_t *params, const json_t *payment,
                  const char **operation, json_t **operation_params, struct mt_error *e);

/* paymnt_webhook.c */
int paymnt_webhook(const struct mt_account *account, const struct mt_request *req, bool secret_url,
                   struct mt_hint *hints, size_t *count, struct mt_error *e);
