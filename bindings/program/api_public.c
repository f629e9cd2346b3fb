/* What the world reaches without the admin token: providers' webhooks, customers' checkout pages, and the
 * assets of both. */
#include "api.h"
#include "base/json.h"
#include "base/text.h"
#include <stdlib.h>
#include <string.h>

enum { STATUS_MAX = 4 * 1024 * 1024 };

/* ---- webhooks ---- */

static void webhook(struct mt_runtime *rt, const struct mt_request *req, struct mt_response *resp) {
    char *secret = mt_form_get(req->query, strlen(req->query), "s");
    bool matches = secret && mt_equal_str(secret, rt->webhook_secret);
    free(secret);
    mt_engine_webhook(rt->engine, mt_request_param(req, "provider"), matches, req, resp);
}

/* ---- checkout pages ---- */

/* The run that a page's token names; 404 is answered when there is none. */
static int run_of_token(struct mt_runtime *rt, const struct mt_request *req, struct mt_response *resp,
                        struct mt_run *run) {
    char id[MT_ID_SIZE];
    struct mt_error e;
    *run = (struct mt_run){0};
    if (mt_engine_token_run(rt->engine, mt_request_param(req, "token"), id) &&
        rt->store->get_run(rt->store, id, run, &e) == 0)
        return 0;
    mt_respond_problem(resp, 404, "not_found", "there is no such checkout");
    return -1;
}

/* "https://host:port" of a URL; false when it is none that may stand in a policy. */
static bool origin_of(const char *url, char *out, size_t size) {
    const char *host = url ? strstr(url, "://") : NULL;
    if (!host || (strncmp(url, "http://", 7) != 0 && strncmp(url, "https://", 8) != 0)) return false;
    size_t len = (size_t)(host - url) + 3;
    len += strspn(url + len, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-:[]");
    return (url[len] == '\0' || url[len] == '/' || url[len] == '?' || url[len] == '#') &&
           mt_format(out, size, "%.*s", (int)len, url);
}

static void add_source(struct mt_buf *policy, const char *url) {
    char origin[300], quoted[320];
    if (!origin_of(url, origin, sizeof origin) || !mt_format(quoted, sizeof quoted, " %s ", origin)) return;
    if (strstr(policy->data, quoted)) return;
    mt_buf_adds(policy, quoted + 1);
}

/* The providers' own pages may be shown in a frame of ours, nothing else may. The page is often made before
 * the run knows its payment's address, so the providers that are configured are named in any case. */
static void frame_source(struct mt_runtime *rt, const json_t *progress, struct mt_buf *policy) {
    struct mt_provider_set *set = mt_providers_current(rt->providers);
    const struct mt_provider *row;
    mt_buf_adds(policy, "frame-src ");
    add_source(policy, mt_json_str(progress, "payment_url", NULL));
    for (size_t i = 0; (row = mt_provider_row(set, i)); i++) {
        const struct mt_account *account = mt_provider_account(rt->providers, set, row->name);
        if (account) add_source(policy, account->base_url);
    }
    mt_provider_set_release(set);
    if (policy->len == strlen("frame-src ")) mt_buf_adds(policy, "'none'");
}

/* Browsers without script cannot follow the run: with ?continue they are led to the payment as long as it can
 * be paid, and to a page that says the outcome afterwards. NULL: neither is known yet. */
static const char *plain_page(const struct mt_run *run, const json_t *progress, struct mt_response *resp) {
    char origin[300];
    const char *url = mt_json_str(progress, "payment_url", NULL);
    if (run->state == MT_RUN_COMPLETED) return "checkout/completed.html";
    if (mt_run_ended(run->state)) return "checkout/failed.html";
    if (run->state == MT_RUN_COMPENSATING || run->state == MT_RUN_NEEDS_ATTENTION)
        return "checkout/checking.html";
    if (!origin_of(url, origin, sizeof origin)) return NULL;
    mt_headers_set(&resp->headers, "Location", url);
    return "";
}

static void checkout_page(struct mt_runtime *rt, const struct mt_request *req, struct mt_response *resp) {
    struct mt_run run;
    struct mt_error e;
    struct mt_buf frames;
    const char *origins = mt_config_str(rt->o.config, "embed-origins");
    if (run_of_token(rt, req, resp, &run) != 0) return;
    json_t *progress = run.progress ? mt_json_parse(run.progress, strlen(run.progress), &e) : NULL;
    const char *plain = strcmp(req->query, "continue") == 0 ? plain_page(&run, progress, resp) : NULL;
    mt_buf_init(&frames, 8192);
    frame_source(rt, progress, &frames);
    json_decref(progress);
    mt_run_clear(&run);
    mt_page_headers(resp, origins ? origins : "'none'", mt_buf_ok(&frames) ? frames.data : NULL);
    mt_buf_clear(&frames);
    if (plain && !*plain)
        resp->status = 303;
    else
        mt_asset_respond(req, resp, plain ? plain : "checkout/index.html");
}

static void checkout_status(struct mt_runtime *rt, const struct mt_request *req, struct mt_response *resp) {
    struct mt_run run;
    struct mt_buf whole;
    struct mt_error e;
    if (run_of_token(rt, req, resp, &run) != 0) return;
    /* Values are shown as the API shows them (money as text), so they are taken from the run's JSON. */
    mt_buf_init(&whole, STATUS_MAX);
    mt_run_to_json(rt->engine, &run, &whole);
    json_t *json = mt_buf_ok(&whole) ? mt_json_parse(whole.data, whole.len, &e) : NULL;
    json_t *out = json_object();
    static const char *const copied[] = {"state", "flow", "created_at", "updated_at"};
    for (size_t i = 0; i < sizeof copied / sizeof copied[0]; i++)
        json_object_set(out, copied[i], json_object_get(json, copied[i]));
    static const char *const redacted[] = {"progress", "output"};
    for (size_t i = 0; i < sizeof redacted / sizeof redacted[0]; i++) {
        const json_t *value = json_object_get(json, redacted[i]);
        json_object_set_new(out, redacted[i], value ? mt_json_redact(value) : json_null());
    }
    const char *integration = mt_json_str(json_object_get(json, "input"), "integration", NULL);
    json_object_set_new(out, "integration", integration ? json_string(integration) : json_null());
    const char *kind = mt_json_str(json_object_get(json, "error"), "kind", NULL);
    json_object_set_new(out, "error", kind ? json_pack("{s:s}", "kind", kind) : json_null());
    size_t len;
    char *text = mt_json_dump(out, &len);
    mt_respond_json(resp, 200, text, len);
    mt_headers_set(&resp->headers, "Cache-Control", "no-store");
    free(text);
    json_decref(out);
    json_decref(json);
    mt_buf_clear(&whole);
    mt_run_clear(&run);
}

static void asset(struct mt_runtime *rt, const struct mt_request *req, struct mt_response *resp) {
    (void)rt;
    mt_asset_respond(req, resp, mt_request_param(req, "*"));
}

const struct mt_route mt_api_public_routes[] = {
    {"POST", "/webhooks/{provider}", MT_PUBLIC, webhook},
    {"GET", "/webhooks/{provider}", MT_PUBLIC, webhook}, /* pingbacks are GETs */
    {"GET", "/checkout/{token}", MT_PUBLIC, checkout_page},
    {"GET", "/checkout/{token}/status", MT_PUBLIC, checkout_status},
    {NULL, NULL, MT_PUBLIC, NULL},
};

const struct mt_route mt_api_asset_routes[] = {
    {"GET", "/assets/*", MT_ALWAYS, asset},
    {NULL, NULL, MT_PUBLIC, NULL},
};
