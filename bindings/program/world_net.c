/* The network of the simulated world: an exchange is carried to the other end by a task there, with delays
 * and mishaps of the seed's choosing. Invariant: the two ends share an exchange only, so either may die at
 * any moment. */
#include "base/text.h"
#include "world_private.h"
#include <stdlib.h>
#include <string.h>

#define MS INT64_C(1000000)
#define TIMEOUT_MS 30000
#define HASTE_MS 50
#define LATENCY_MS 20 /* one way, at most */

/* ---- exchanges ---- */

static void copy_headers(struct mt_headers *to, const struct mt_headers *from) {
    for (size_t i = 0; i < from->count; i++) mt_headers_add(to, from->items[i].name, from->items[i].value);
}

static void copy_request(struct mt_http_request *to, const struct mt_http_request *from) {
    *to = *from;
    to->method = mt_strdup(from->method ? from->method : "GET");
    to->url = mt_strdup(from->url);
    to->headers = (struct mt_headers){0};
    copy_headers(&to->headers, &from->headers);
    to->body = from->body ? mt_memdup(from->body, from->body_len) : NULL;
}

static void release(struct mt_exchange *x) {
    if (--x->refs > 0) return;
    mt_http_request_clear(&x->req);
    mt_http_response_clear(&x->resp);
    free(x);
}

static void end(struct mt_exchange *x, int how) {
    if (x->done) return;
    for (struct mt_exchange **p = &x->w->under_way; *p; p = &(*p)->next) {
        if (*p != x) continue;
        *p = x->next;
        break;
    }
    x->next = NULL;
    x->end = how;
    x->done = 1;
    mt_futex_wake(&x->done);
}

void world_net_reset(struct mt_world *w) {
    for (struct mt_exchange *x = w->under_way, *next; x; x = next) {
        next = x->next;
        if (x->to == SIDE_RUNTIME) end(x, RESET);
    }
}

/* ---- the other end ---- */

static struct mt_request *make_request(struct mt_exchange *x, char **space) {
    struct mt_request *req = mt_calloc(1, sizeof *req);
    const char *host = strstr(x->req.url, "://") + 3, *why;
    size_t host_len = strcspn(host, "/?#");
    char *target = mt_strdup(host[host_len] == '/' ? host + host_len : "/");
    target[strcspn(target, "#")] = '\0';
    char *query = strchr(target, '?');
    if (query) *query++ = '\0';
    *space = mt_calloc(2, strlen(target) + 1);
    memcpy(*space, target, strlen(target) + 1);
    req->method = x->req.method;
    req->raw_path = *space;
    req->path = mt_request_path(req->raw_path, *space + strlen(target) + 1, &why);
    if (!req->path) req->path = "/";
    req->query = query ? strstr(x->req.url, query) : "";
    req->headers = x->req.headers; /* borrowed */
    req->body = x->req.body ? x->req.body : "";
    req->body_len = x->req.body_len;
    mt_copy(req->remote, sizeof req->remote, "127.0.0.1");
    mt_format(req->host, sizeof req->host, "%.*s", (int)host_len, host);
    mt_id_new("req_", mt_baton_wall_ms(x->w->baton), &x->w->random, req->request_id);
    free(target);
    return req;
}

static void take_response(struct mt_exchange *x, const struct mt_response *resp) {
    x->resp.status = resp->status;
    copy_headers(&x->resp.headers, &resp->headers);
    const char *body = resp->static_body ? resp->static_body : resp->body.data;
    size_t len = resp->static_body ? resp->static_len : resp->body.len;
    if (len && strcmp(x->req.method, "HEAD") != 0) mt_buf_add(&x->resp.body, body, len);
}

/* An unsound runtime's: yes is said first, and what was said is stored when there is time for it. */
static void answer_hastily(struct mt_exchange *x, const char *path) {
    const char *last = strrchr(path, '/');
    if (strncmp(path, "/webhooks/", 10) != 0 && strcmp(last ? last : "", "/signal") != 0) return;
    x->resp.status = 200;
    mt_buf_adds(&x->resp.body, "{}");
    end(x, ANSWERED);
    world_point(x->w, "answered %s %s", x->req.method, path);
    mt_nap(HASTE_MS * MS);
}

static void answer(struct mt_exchange *x, struct mt_runtime *rt) {
    struct mt_response resp;
    char *space = NULL;
    struct mt_request *req = make_request(x, &space);
    mt_response_init(&resp);
    if (x->to == SIDE_RUNTIME && x->w->o.unsound == MT_WORLD_HASTY) answer_hastily(x, req->path);
    mt_runtime_serve(rt, req, &resp);
    if (x->to == SIDE_RUNTIME && !x->quiet) world_point(x->w, "answering %s %s", req->method, req->path);
    if (resp.delay_ms && !x->quiet) mt_nap(resp.delay_ms * MS);
    if (resp.fault == MT_FAULT_DROP || resp.fault == MT_FAULT_RESET) {
        end(x, RESET);
    } else if (!x->done) {
        take_response(x, &resp);
        end(x, resp.fault == MT_FAULT_TRUNCATE ? CUT : ANSWERED);
    }
    if (x->to == SIDE_RUNTIME && !x->quiet) world_point(x->w, "answered %s %s", req->method, req->path);
    mt_response_clear(&resp);
    free(req);
    free(space);
}

static void *carry_in(void *arg);

/* What is long on its way outlives the one it goes to. */
static void *courier(void *arg) {
    struct mt_exchange *x = arg;
    mt_nap(x->delay_ms * MS);
    x->life = x->w->life;
    world_log(x->w, "arrives late: %s %.60s", x->req.method, x->req.url);
    if (mt_baton_spawn(x->w->baton, x->to, carry_in, x) != 0) abort();
    return NULL;
}

static void *carry_in(void *arg) {
    struct mt_exchange *x = arg;
    struct mt_world_side *side = &x->w->sides[x->to];
    if (!side->up || (x->to == SIDE_RUNTIME && x->life != x->w->life))
        end(x, RESET);
    else
        answer(x, side->rt);
    release(x);
    return NULL;
}

/* The driver's own: hosts that a spec plays. */
void world_net_serve(struct mt_world *w) {
    struct mt_exchange *x;
    while ((x = w->inbox)) {
        w->inbox = x->next;
        x->next = NULL;
        bool there = w->o.serve && w->o.serve(w->o.ctx, &x->req, &x->resp);
        mt_baton_use(w->baton); /* it may have looked at another world */
        x->end = there ? ANSWERED : NO_ANSWER;
        x->done = 1;
        mt_futex_wake(&x->done);
        release(x);
    }
}

/* ---- this end ---- */

static enum mt_side side_of(const char *url) {
    size_t n = strlen(MT_WORLD_RUNTIME_URL);
    if (strncmp(url, MT_WORLD_RUNTIME_URL, n) == 0 && strchr("/?#", url[n])) return SIDE_RUNTIME;
    if (strncmp(url, MT_WORLD_SANDBOX_URL, n) == 0 && strchr("/?#", url[n])) return SIDE_SANDBOX;
    return SIDE_OUTSIDE;
}

static int fail(struct mt_error *e, enum mt_kind kind, bool sent, const char *where, const char *why) {
    mt_fail(e, kind, "%.150s: %s", where, why);
    e->outcome = sent ? MT_UNKNOWN : MT_NOT_SENT;
    e->retryable = kind == MT_UNAVAILABLE || kind == MT_TIMEOUT;
    return -1;
}

static void latency(struct mt_world *w) {
    mt_nap((int64_t)(1 + mt_baton_choose(w->baton, LATENCY_MS)) * MS);
}

/* Sends it on its way. NULL: nobody is there. */
static struct mt_exchange *set_out(struct mt_world_net *net, const struct mt_http_request *req,
                                   int64_t delay_ms, bool quiet) {
    struct mt_world *w = net->w;
    enum mt_side to = side_of(req->url);
    if (to != SIDE_OUTSIDE && !w->sides[to].up && !delay_ms) return NULL;
    struct mt_exchange *x = mt_calloc(1, sizeof *x);
    *x = (struct mt_exchange){.w = w,
                              .refs = 2,
                              .from = net->side,
                              .to = to,
                              .life = w->life,
                              .delay_ms = delay_ms,
                              .quiet = quiet};
    copy_request(&x->req, req);
    mt_http_response_init(&x->resp);
    if (to == SIDE_OUTSIDE) {
        struct mt_exchange **last = &w->inbox;
        while (*last) last = &(*last)->next;
        *last = x;
        world_ring(w);
        return x;
    }
    x->next = w->under_way;
    w->under_way = x;
    int rc = delay_ms ? mt_baton_spawn(w->baton, SIDE_OUTSIDE, courier, x)
                      : mt_baton_spawn(w->baton, to, carry_in, x);
    if (rc != 0) abort();
    return x;
}

static int finish(struct mt_exchange *x, int64_t began, int64_t deadline, const char *where,
                  struct mt_http_response *resp, struct mt_error *e) {
    while (!x->done && mt_futex_wait(&x->done, 0, deadline)) continue;
    int rc = 0;
    if (!x->done)
        rc = fail(e, MT_TIMEOUT, true, where, "no answer came in time");
    else if (x->end == NO_ANSWER)
        rc = fail(e, MT_UNAVAILABLE, false, where, "there is no such host");
    else if (x->end == RESET)
        rc = fail(e, MT_UNAVAILABLE, true, where, "the connection was closed before an answer came");
    else if (x->end == CUT)
        rc = fail(e, MT_UNAVAILABLE, true, where, "the answer was cut off");
    if (rc == 0) {
        *resp = x->resp;
        memset(&x->resp, 0, sizeof x->resp);
        resp->duration_us = (mt_mono_ns() - began) / 1000;
    }
    release(x);
    return rc;
}

/* Answered by something in between. */
static int answer_for(struct mt_http_response *resp, int status) {
    mt_http_response_init(resp);
    resp->status = status;
    return 0;
}

static void set_clock(struct mt_world *w, int64_t by_ms) {
    struct mt_world_clock *c = &w->sides[SIDE_RUNTIME].clock;
    c->wrong_ms += by_ms;
    c->word++;
    mt_futex_wake(&c->word);
}

static int send_once(struct mt_world_net *net, const struct mt_http_request *req, const char *where,
                     struct mt_http_response *resp, struct mt_error *e) {
    struct mt_world *w = net->w;
    int64_t began = mt_mono_ns();
    int64_t deadline = began + (req->timeout_ms > 0 ? req->timeout_ms : TIMEOUT_MS) * MS;
    struct mt_mishap bad = world_chance_exchange(w, net->side, side_of(req->url));
    if (bad.kind != MISHAP_NONE)
        world_log(w, "MISHAP n%llu:%s: %s %.80s", (unsigned long long)bad.at, world_mishap_name(bad.kind),
                  req->method, req->url);
    latency(w);
    switch (bad.kind) {
    case MISHAP_REFUSED:
        return fail(e, MT_UNAVAILABLE, false, where, "connection refused");
    case MISHAP_LOST:
        mt_nap(deadline - mt_mono_ns());
        return fail(e, MT_TIMEOUT, true, where, "no answer came in time");
    case MISHAP_BUSY:
        return answer_for(resp, 503);
    case MISHAP_SWALLOWED:
        return answer_for(resp, 200);
    case MISHAP_CLOCK:
        set_clock(w, bad.ms);
        break;
    default:
        break;
    }
    struct mt_exchange *x = set_out(net, req, bad.kind == MISHAP_LATE ? bad.ms : 0, false);
    if (!x) return fail(e, MT_UNAVAILABLE, false, where, "connection refused");
    if (bad.kind == MISHAP_TWICE) {
        struct mt_exchange *again = set_out(net, req, 0, false);
        if (again) release(again);
    }
    int rc = finish(x, began, deadline, where, resp, e);
    latency(w);
    if (bad.kind == MISHAP_SLOW && rc == 0) mt_nap(bad.ms * MS);
    bool too_late = mt_mono_ns() > deadline;
    if ((bad.kind == MISHAP_CUT || too_late) && rc == 0) {
        mt_http_response_clear(resp);
        rc = fail(e, too_late ? MT_TIMEOUT : MT_UNAVAILABLE, true, where,
                  too_late ? "no answer came in time" : "the connection was closed before an answer came");
    }
    return rc;
}

int world_net_look(struct mt_world *w, const struct mt_http_request *req, struct mt_http_response *resp,
                   struct mt_error *e) {
    memset(resp, 0, sizeof *resp);
    struct mt_exchange *x = set_out(&w->outside, req, 0, true);
    if (!x) return fail(e, MT_UNAVAILABLE, false, req->url, "connection refused");
    return finish(x, mt_mono_ns(), MT_NO_DEADLINE, req->url, resp, e);
}

/* As a runtime that keeps no key, or that sends again on a guess. */
static int send_unsoundly(struct mt_world_net *net, const struct mt_http_request *req, const char *where,
                          struct mt_http_response *resp, struct mt_error *e) {
    struct mt_http_request copy;
    copy_request(&copy, req);
    const char *key = mt_headers_get(&copy.headers, "Idempotency-Key");
    if (key && net->w->o.unsound == MT_WORLD_REKEYS) {
        char other[300];
        mt_format(other, sizeof other, "%.200s-%llu", key, (unsigned long long)++net->w->sends);
        mt_headers_set(&copy.headers, "Idempotency-Key", other);
    }
    int rc = send_once(net, &copy, where, resp, e);
    for (int again = 0; rc != 0 && again < 3 && net->w->o.unsound == MT_WORLD_RESENDS; again++)
        rc = send_once(net, &copy, where, resp, e);
    mt_http_request_clear(&copy);
    return rc;
}

static int perform(struct mt_transport *self, const struct mt_http_request *req,
                   struct mt_http_response *resp, struct mt_error *e) {
    struct mt_world_net *net = (struct mt_world_net *)self;
    struct mt_world *w = net->w;
    memset(resp, 0, sizeof *resp);
    const char *host = req->url ? strstr(req->url, "://") : NULL;
    if (!host) return fail(e, MT_INVALID_REQUEST, false, "url", "must begin with http:// or https://");
    char where[160];
    mt_format(where, sizeof where, "%.*s", (int)strcspn(host + 3, "/?#"), host + 3);
    const char *path = host + 3 + strcspn(host + 3, "/?#");
    int path_len = (int)strcspn(path, "?#");
    if (net->side == SIDE_RUNTIME) world_point(w, "sending %s %.*s", req->method, path_len, path);
    int rc = w->o.unsound && net->side == SIDE_RUNTIME ? send_unsoundly(net, req, where, resp, e)
                                                       : send_once(net, req, where, resp, e);
    world_log(w, "%s -> %s %s%.*s: %s",
              net->side == SIDE_RUNTIME   ? "runtime"
              : net->side == SIDE_SANDBOX ? "sandbox"
                                          : "outside",
              req->method, where, path_len, path, rc == 0 ? "answered" : e->message);
    if (net->side == SIDE_RUNTIME) world_point(w, "sent %s %.*s", req->method, path_len, path);
    return rc;
}

struct one_of {
    struct mt_transport *transport;
    const struct mt_http_request *req;
    struct mt_http_response *resp;
    struct mt_error *e;
    int rc;
    pthread_t thread;
};

static void *perform_one(void *arg) {
    struct one_of *o = arg;
    o->rc = o->transport->perform(o->transport, o->req, o->resp, o->e);
    return NULL;
}

static void perform_all(struct mt_transport *self, size_t n, const struct mt_http_request *reqs,
                        struct mt_http_response *resps, struct mt_error *errors,
                        void (*done)(void *ctx, size_t i, bool failed), void *ctx) {
    struct one_of *all = mt_calloc(n, sizeof *all);
    for (size_t i = 0; i < n; i++) {
        all[i] = (struct one_of){.transport = self, .req = &reqs[i], .resp = &resps[i], .e = &errors[i]};
        if (mt_thread_start(&all[i].thread, 0, perform_one, &all[i]) != 0) abort();
    }
    for (size_t i = 0; i < n; i++) {
        mt_thread_join(all[i].thread);
        done(ctx, i, all[i].rc != 0);
    }
    free(all);
}

static void keep(struct mt_transport *self) {
    (void)self;
}

void world_net_init(struct mt_world *w, struct mt_world_net *net, enum mt_side side) {
    *net = (struct mt_world_net){.base = {perform, perform_all, keep}, .w = w, .side = side};
}
