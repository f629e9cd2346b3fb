/* What the world reaches without the admin token: providers' webhooks, customers' checkout pages, and the
 * assets of both. */
#include "api.h"
#include "checkout_order.h"
#include "checkout_page.h"
#include <stdlib.h>
#include <string.h>

static void webhook(struct mt_runtime *rt, const struct mt_request *req, struct mt_response *resp) {
    char *secret = mt_form_get(req->query, strlen(req->query), "s");
    bool matches = secret && mt_equal_str(secret, rt->webhook_secret);
    free(secret);
    mt_engine_webhook(rt->engine, mt_request_param(req, "provider"), matches, req, resp);
}

static void asset(struct mt_runtime *rt, const struct mt_request *req, struct mt_response *resp) {
    (void)rt;
    mt_asset_respond(req, resp, mt_request_param(req, "*"));
}

const struct mt_route mt_api_public_routes[] = {
    {"POST", "/webhooks/{provider}", MT_PUBLIC, webhook},
    {"GET", "/webhooks/{provider}", MT_PUBLIC, webhook}, /* pingbacks are GETs */
    {"GET", "/checkout/{token}", MT_PUBLIC, mt_checkout_page},
    {"POST", "/checkout/{token}", MT_PUBLIC, mt_checkout_order},
    {"GET", "/checkout/{token}/status", MT_PUBLIC, mt_checkout_status},
    {NULL, NULL, MT_PUBLIC, NULL},
};

const struct mt_route mt_api_asset_routes[] = {
    {"GET", "/assets/*", MT_ALWAYS, asset},
    {NULL, NULL, MT_PUBLIC, NULL},
};
