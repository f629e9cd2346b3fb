/* A run's checkout page over HTTP: /checkout/{token} and its status. Every state is a whole page made here,
 * so that it works without script; the script fetches the same pages. Handlers run on the server's threads.
 */
#pragma once
#include "runtime.h"

/* GET /checkout/{token} */
void mt_checkout_page(struct mt_runtime *rt, const struct mt_request *req, struct mt_response *resp);
/* GET /checkout/{token}/status: how the run is, as JSON without secrets; `version` names what the page shows.
 */
void mt_checkout_status(struct mt_runtime *rt, const struct mt_request *req, struct mt_response *resp);
/* Answers a form that was refused with the page and the problem in words. `kind` is an error's kind, or
 * "stale", "closed" or "too_many"; `field` is "phone", "epin", "amount", "way" or NULL. What was typed stays,
 * but for ePINs. */
void mt_checkout_refused(struct mt_runtime *rt, const struct mt_request *req, struct mt_response *resp,
                         const struct mt_run *run, int status, const char *kind, const char *field);
/* The run that the request's token names: 0, and the caller clears it. -1: 404 is answered. */
int mt_checkout_run(struct mt_runtime *rt, const struct mt_request *req, struct mt_response *resp,
                    struct mt_run *run);
