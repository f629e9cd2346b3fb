/* The checkout page: reads the run and the request, and fills web/checkout/page.html. Invariant: what is
 * shown comes from the run alone; nothing that a browser sends changes it but the language and which part is
 * looked at. */
#include "checkout_page.h"
#include "api.h"
#include "base/json.h"
#include "base/text.h"
#include "checkout_view.h"
#include "http/assets.h"
#include "http/template.h"
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { RUN_MAX = 4 * 1024 * 1024, PAGE_MAX = 1024 * 1024 };

static bool find_run(struct mt_runtime *rt, const struct mt_request *req, struct mt_run *run) {
    char id[MT_ID_SIZE];
    struct mt_error e;
    *run = (struct mt_run){0};
    return mt_engine_token_run(rt->engine, mt_request_param(req, "token"), id) &&
           rt->store->get_run(rt->store, id, run, &e) == 0;
}

/* The run as the API shows it (money as text). NULL when it is too large. */
static json_t *run_json(struct mt_runtime *rt, const struct mt_run *run) {
    struct mt_buf whole;
    struct mt_error e;
    mt_buf_init(&whole, RUN_MAX);
    mt_run_to_json(rt->engine, run, &whole);
    json_t *json = mt_buf_ok(&whole) ? mt_json_parse(whole.data, whole.len, &e) : NULL;
    mt_buf_clear(&whole);
    return json;
}

/* ---- the policy ---- */

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

/* ---- what was asked ---- */

/* Whether the query has the parameter, with a value or without. */
static bool has_param(const char *query, const char *name) {
    size_t len = strlen(name);
    for (const char *p = query; *p; p += strspn(p, "&")) {
        size_t n = strcspn(p, "&");
        if (n >= len && memcmp(p, name, len) == 0 && (n == len || p[len] == '=')) return true;
        p += n;
    }
    return false;
}

/* The first language of a list like Accept-Language's that the page speaks; NULL when there is none. */
static const char *language_of(const char *list) {
    for (const char *p = list ? list : ""; *p; p += strspn(p, ", ")) {
        if (strncasecmp(p, "ko", 2) == 0 && !strchr("abcdefghijklmnopqrstuvwxyz", p[2] | 32)) return "ko";
        if (strncasecmp(p, "en", 2) == 0 && !strchr("abcdefghijklmnopqrstuvwxyz", p[2] | 32)) return "en";
        p += strcspn(p, ",");
    }
    return NULL;
}

/* ?locale=, then the order's, then the browser's, then English. */
static void ask_language(const struct mt_request *req, const json_t *run, struct mt_checkout_asked *asked) {
    char *chosen = mt_form_get(req->query, strlen(req->query), "locale");
    asked->language = language_of(chosen);
    asked->chosen_language = asked->language != NULL;
    free(chosen);
    if (!asked->language)
        asked->language = language_of(mt_json_str(json_object_get(run, "input"), "locale", NULL));
    if (!asked->language) asked->language = language_of(mt_headers_get(&req->headers, "Accept-Language"));
    if (!asked->language) asked->language = "en";
}

/* A form that was refused leads back with ?field=NAME. */
static const char *known_field(const char *query) {
    static const char *const names[] = {"phone", "epin", "amount", "way"};
    char *asked = mt_form_get(query, strlen(query), "field");
    const char *found = NULL;
    for (size_t i = 0; asked && i < sizeof names / sizeof names[0]; i++)
        if (strcmp(asked, names[i]) == 0) found = names[i];
    free(asked);
    return found;
}

static void ask(struct mt_runtime *rt, const struct mt_request *req, const json_t *run,
                struct mt_checkout_asked *asked) {
    char *sent = mt_form_get(req->query, strlen(req->query), "sent");
    asked->path = req->raw_path;
    ask_language(req, run, asked);
    if (!sent || !mt_parse_int(sent, 0, 1000000, &asked->sent)) asked->sent = -1;
    asked->change = has_param(req->query, "ways");
    /* Paymnt brings its customers back with payment_id and status. */
    asked->returned = has_param(req->query, "returned") || has_param(req->query, "payment_id");
    asked->field = known_field(req->query);
    asked->now_ms = rt->clock->wall_ms(rt->clock);
    free(sent);
}

/* ---- the page ---- */

static void fill_page(struct mt_response *resp, const json_t *values, const json_t *words) {
    const struct mt_asset *page = mt_asset_find("checkout/page.html");
    if (!page) {
        mt_respond_problem(resp, 500, "internal", "the checkout page is missing in this program");
        return;
    }
    resp->body.max = PAGE_MAX;
    mt_template_fill((const char *)page->data, page->len, values, words, &resp->body);
    mt_headers_set(&resp->headers, "Content-Type", "text/html; charset=utf-8");
    mt_headers_set(&resp->headers, "Content-Language", mt_json_str(values, "language", "en"));
}

static json_t *words_of(const char *language) {
    char path[64];
    struct mt_error e;
    if (!mt_format(path, sizeof path, "checkout/words/%s.json", language)) return NULL;
    const struct mt_asset *words = mt_asset_find(path);
    return words ? mt_json_parse((const char *)words->data, words->len, &e) : NULL;
}

/* Whoever asks with ?continue is led to the payment at once, as long as it can be paid. */
static bool leads_away(const struct mt_request *req, const json_t *values, struct mt_response *resp) {
    const char *state = mt_json_str(values, "state", "");
    const char *url = mt_json_str(values, "url", NULL);
    char origin[300];
    if (strcmp(req->query, "continue") != 0 || strcmp(state, "leaving") != 0) return false;
    if (!origin_of(url, origin, sizeof origin)) return false;
    mt_headers_set(&resp->headers, "Location", url);
    resp->status = 303;
    return true;
}

/* run NULL: there is none. */
static void respond_page(struct mt_runtime *rt, const struct mt_request *req, struct mt_response *resp,
                         const json_t *run) {
    struct mt_checkout_asked asked;
    const char *origins = mt_config_str(rt->o.config, "embed-origins");
    struct mt_buf frames;
    mt_buf_init(&frames, 8192);
    frame_source(rt, json_object_get(run, "progress"), &frames);
    mt_page_headers(resp, origins ? origins : "'none'", mt_buf_ok(&frames) ? frames.data : NULL);
    mt_headers_set(&resp->headers, "Referrer-Policy", "same-origin"); /* its forms say where they come from */
    mt_buf_clear(&frames);
    ask(rt, req, run, &asked);
    json_t *words = words_of(asked.language);
    json_t *values = mt_checkout_view(run, words, &asked);
    if (!leads_away(req, values, resp)) fill_page(resp, values, words);
    json_decref(values);
    json_decref(words);
}

void mt_checkout_page(struct mt_runtime *rt, const struct mt_request *req, struct mt_response *resp) {
    struct mt_run run;
    bool known = find_run(rt, req, &run);
    json_t *json = known ? run_json(rt, &run) : NULL;
    if (!known) resp->status = 404;
    if (known && !json)
        mt_respond_problem(resp, 500, "limit", "this run is too large to be shown");
    else
        respond_page(rt, req, resp, json);
    json_decref(json);
    if (known) mt_run_clear(&run);
}

void mt_checkout_status(struct mt_runtime *rt, const struct mt_request *req, struct mt_response *resp) {
    struct mt_run run;
    if (!find_run(rt, req, &run)) {
        mt_respond_problem(resp, 404, "not_found", "there is no such checkout");
        return;
    }
    json_t *json = run_json(rt, &run);
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
    char version[17];
    mt_checkout_version(json, version);
    json_object_set_new(out, "version", json_string(version));
    size_t len;
    char *text = mt_json_dump(out, &len);
    mt_respond_json(resp, 200, text, len);
    mt_headers_set(&resp->headers, "Cache-Control", "no-store");
    free(text);
    json_decref(out);
    json_decref(json);
    mt_run_clear(&run);
}
