/* What a customer orders on a run's checkout page. */
#pragma once
#include "runtime.h"

/* POST /checkout/{token}: a script's route of the same path takes it (flows/checkout/page.lua). Sent by a
 * form, a refusal is answered with the page. Handlers run on the server's threads. */
void mt_checkout_order(struct mt_runtime *rt, const struct mt_request *req, struct mt_response *resp);
