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
