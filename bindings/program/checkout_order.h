/* What a customer orders on a run's checkout page. */
#pragma once
#include "runtime.h"

/* POST /checkout/{token}: a script's route of the same path takes it (flows/checkout/page.lua). A form is led
 * back to the page, with ?field=NAME when that has to be mended. Handlers run on the server's threads. */
void mt_checkout_order(struct mt_runtime *rt, const struct mt_request *req, struct mt_response *resp);
