/* Registering webhook endpoints with a sandbox. See endpoints.h. Done once: the sandbox keeps them, and
 * whoever sets others afterwards means it. */
#include "endpoints.h"
#include "base/log.h"
#include "base/text.h"
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { RETRY_FIRST_MS = 50, RETRY_MAX_MS = 2000, TIMEOUT_MS = 2000, WARN_AFTER = 5, PROVIDERS = 3 };

struct mt_endpoints {
    struct mt_transport *transport;
    char *url, *bodies[PROVIDERS];
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t stopped;
    bool stop;
};

/* MINT sends none. One PUT each, because a sandbox may know fewer providers than we do. */
static const char *const providers[PROVIDERS] = {"mintro", "paymnt", "paymint"};

static char *make_body(const char *provider, const char *target, const char *secret) {
    struct mt_buf b;
    char url[1200];
    mt_buf_init(&b, 4096);
    mt_format(url, sizeof url, "%s/%s%s%s", target, provider, secret ? "?s=" : "", secret ? secret : "");
    mt_buf_addf(&b, "{\"%s\":", provider);
    mt_buf_add_json_string(&b, url, strlen(url));
    mt_buf_addc(&b, '}');
    return mt_buf_take(&b, NULL);
}

/* 0 as well when the sandbox refuses it for good. */
static int put(struct mt_endpoints *ep, const char *body, struct mt_error *e) {
    struct mt_http_request req = {.method = mt_strdup("PUT"),
                                  .url = mt_strdup(ep->url),
                                  .body = mt_strdup(body),
                                  .body_len = strlen(body),
                                  .timeout_ms = TIMEOUT_MS,
                                  .connect_timeout_ms = TIMEOUT_MS};
    struct mt_http_response resp = {0};
    mt_headers_add(&req.headers, "Content-Type", "application/json");
    int result = ep->transport->perform(ep->transport, &req, &resp, e);
    if (result == 0 && resp.status == 422)
        mt_warn("the sandbox refuses an endpoint for webhooks", "answer", resp.body.data);
    else if (result == 0 && resp.status >= 300)
        result = mt_fail(e, MT_PROTOCOL, "the sandbox answered %d", resp.status);
    mt_http_response_clear(&resp);
    mt_http_request_clear(&req);
    return result;
}

/* Whether to go on. */
static bool pause_for(struct mt_endpoints *ep, int ms) {
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += ms / 1000;
    until.tv_nsec += (long)(ms % 1000) * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    pthread_mutex_lock(&ep->lock);
    while (!ep->stop && pthread_cond_timedwait(&ep->stopped, &ep->lock, &until) == 0) continue;
    bool go_on = !ep->stop;
    pthread_mutex_unlock(&ep->lock);
    return go_on;
}

/* False: told to stop before it was taken. */
static bool register_one(struct mt_endpoints *ep, const char *body) {
    struct mt_error e;
    int wait = RETRY_FIRST_MS, tries = 0;
    while (put(ep, body, &e) != 0) {
        if (++tries == WARN_AFTER)
            mt_warn("the sandbox does not answer; still trying", "sandbox", ep->url, "error", e.message);
        if (!pause_for(ep, wait)) return false;
        wait = wait * 2 < RETRY_MAX_MS ? wait * 2 : RETRY_MAX_MS;
    }
    return true;
}

static void *register_all(void *arg) {
    struct mt_endpoints *ep = arg;
    for (size_t i = 0; i < PROVIDERS; i++) {
        if (!register_one(ep, ep->bodies[i])) return NULL;
    }
    mt_info("the sandbox sends its webhooks here", "sandbox", ep->url);
    return NULL;
}

struct mt_endpoints *mt_endpoints_register(struct mt_transport *transport, const char *sandbox_url,
                                           const char *target, const char *secret) {
    struct mt_endpoints *ep = mt_calloc(1, sizeof *ep);
    pthread_condattr_t attr;
    size_t len = strlen(sandbox_url);
    while (len > 0 && sandbox_url[len - 1] == '/') len--;
    ep->transport = transport;
    ep->url = mt_calloc(1, len + 32);
    mt_format(ep->url, len + 32, "%.*s/_sandbox/endpoints", (int)len, sandbox_url);
    for (size_t i = 0; i < PROVIDERS; i++) ep->bodies[i] = make_body(providers[i], target, secret);
    pthread_mutex_init(&ep->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&ep->stopped, &attr);
    pthread_condattr_destroy(&attr);
    if (pthread_create(&ep->thread, NULL, register_all, ep) != 0) {
        mt_err("cannot register for the sandbox's webhooks", "sandbox", ep->url);
        ep->thread = 0;
    }
    return ep;
}

void mt_endpoints_stop(struct mt_endpoints *ep) {
    if (!ep) return;
    pthread_mutex_lock(&ep->lock);
    ep->stop = true;
    pthread_cond_broadcast(&ep->stopped);
    pthread_mutex_unlock(&ep->lock);
    if (ep->thread) pthread_join(ep->thread, NULL);
    pthread_cond_destroy(&ep->stopped);
    pthread_mutex_destroy(&ep->lock);
    free(ep->url);
    for (size_t i = 0; i < PROVIDERS; i++) free(ep->bodies[i]);
    free(ep);
}
