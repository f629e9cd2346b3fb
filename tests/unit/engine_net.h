/* The provider of the engine's tests: answers as it was told, and keeps a ledger of what it has carried out.
 * Included by engine_world.h. Any thread. */
#pragma once

static inline enum fault net_fault(struct net *n, const char *line) {
    for (size_t i = 0; i < n->rule_count; i++)
        if (n->rules[i].times > 0 && strstr(line, n->rules[i].path)) {
            n->rules[i].times--;
            return n->rules[i].fault;
        }
    return FAULT_NONE;
}

static inline void net_rule(struct world *w, const char *path, enum fault fault, int times) {
    pthread_mutex_lock(&w->net.lock);
    assert_true(w->net.rule_count < 16);
    w->net.rules[w->net.rule_count++] = (struct rule){path, fault, times};
    pthread_mutex_unlock(&w->net.lock);
}

static inline struct sent *net_note(struct net *n, const struct mt_http_request *req, const char *path) {
    struct mt_buf b;
    if (n->count == n->room)
        n->sent = mt_realloc(n->sent, (n->room = n->room ? 2 * n->room : 64) * sizeof *n->sent);
    struct sent *s = &n->sent[n->count++];
    const char *key = mt_headers_get(&req->headers, "Idempotency-Key");
    mt_buf_init(&b, SIZE_MAX);
    mt_buf_addf(&b, "%s %s", req->method, path);
    s->line = mt_buf_take(&b, NULL);
    s->key = mt_strdup(key ? key : "");
    s->carried_out = false;
    mt_buf_addf(&b, "%s %s\n", req->method, req->url);
    for (size_t i = 0; i < req->headers.count; i++)
        if (strncmp(req->headers.items[i].name, "X-Client", 8) != 0)
            mt_buf_addf(&b, "%s: %s\n", req->headers.items[i].name, req->headers.items[i].value);
    mt_buf_add(&b, req->body, req->body_len);
    s->bytes = mt_buf_take(&b, NULL);
    mt_buf_clear(&b);
    return s;
}

/* Whether this piece of work is new to the ledger. */
static inline bool net_carry_out(struct net *n, const struct sent *s) {
    char work[400];
    bool keyed = s->key[0] != 0, natural = strncmp(s->line, "PUT", 3) == 0;
    mt_format(work, sizeof work, "%s %s", s->line, s->key);
    for (size_t i = 0; (keyed || natural) && i < n->done_count; i++)
        if (strcmp(n->done[i], work) == 0) return false;
    assert_true(n->done_count < 512);
    n->done[n->done_count++] = mt_strdup(work);
    return true;
}

static inline json_t *intent_json(json_t *intent) {
    return json_pack("{s:b, s:O}", "success", 1, "data", intent);
}

/* The model of Mintro's intents: by reference, forward states only. */
static inline json_t *net_mintro(struct net *n, const struct mt_http_request *req, const char *path,
                                 int *status) {
    struct mt_error e;
    const char *reference = strstr(path, "/intents/reference/"), *one = strstr(path, "/intents/pi_");
    if (strcmp(req->method, "POST") == 0 && strcmp(path, "/api/platform/intents") == 0) {
        json_t *body = mt_json_parse(req->body, req->body_len, &e);
        const char *ref = mt_json_str(body, "reference_id", "");
        json_t *had = json_object_get(n->intents, ref);
        if (!had) {
            char id[128];
            mt_format(id, sizeof id, "pi_%s", ref);
            had = json_pack("{s:s, s:s, s:s, s:O, s:s, s:s}", "intent_id", id, "reference_id", ref, "status",
                            "requires_payment", "amount", json_object_get(body, "amount"), "currency", "USD",
                            "payment_url", "https://pay.example/x");
            json_object_set_new(n->intents, ref, had);
        }
        json_decref(body);
        *status = 201;
        return intent_json(had);
    }
    char ref[128] = "";
    if (reference) mt_copy(ref, sizeof ref, reference + 19);
    if (one) mt_format(ref, sizeof ref, "%.*s", (int)strcspn(one + 12, "/"), one + 12);
    json_t *had = json_object_get(n->intents, ref);
    if (!had) {
        *status = 404;
        return json_pack("{s:s}", "error", "No such intent");
    }
    if (strcmp(req->method, "POST") == 0) {
        if (strcmp(mt_json_str(had, "status", ""), "requires_payment") != 0) {
            *status = 400;
            return json_pack("{s:s}", "error", "Its state forbids it");
        }
        json_object_set_new(had, "status", json_string("cancelled"));
    }
    return intent_json(had);
}

/* ---- the model of Paymnt: one payment, held in cents ---- */

static inline json_t *payment_json(const struct payment *p) {
    return json_pack("{s:s, s:s, s:i, s:s, s:i, s:i, s:O}", "payment_id", "pay_1", "status", p->status,
                     "amount", 5000, "currency", "USD", "amount_capturable", p->capturable, "amount_received",
                     p->received, "refunds", p->refunds);
}

static inline json_t *paymnt_refusal(int *status, const char *code, const char *message) {
    *status = 400;
    return json_pack("{s:{s:s, s:s, s:s}}", "error", "type", "invalid_request", "code", code, "message",
                     message);
}

static inline json_t *paymnt_cancel(struct payment *p, int *status) {
    if (p->capturable == 0) return paymnt_refusal(status, "IR_16", "You cannot cancel this payment");
    p->capturable = 0;
    p->status = p->received > 0 ? "partially_captured" : "cancelled";
    return payment_json(p);
}

static inline json_t *paymnt_refund(struct payment *p, const json_t *body, int *status) {
    const char *id = mt_json_str(body, "refund_id", "");
    json_t *had;
    size_t i;
    int left = p->received, amount = (int)mt_json_int(body, "amount", 0);
    json_array_foreach(p->refunds, i, had) {
        left -= (int)mt_json_int(had, "amount", 0);
        if (strcmp(mt_json_str(had, "refund_id", ""), id) == 0)
            return paymnt_refusal(status, "HE_01", "Duplicate refund request");
    }
    if (p->capturable > 0) return paymnt_refusal(status, "IR_14", "This Payment could not be refund");
    if (amount > left) return paymnt_refusal(status, "IR_13", "Refund amount exceeds the payment amount");
    json_t *refund = json_pack("{s:s, s:s, s:i, s:s, s:s}", "refund_id", id, "payment_id", "pay_1", "amount",
                               amount, "currency", "USD", "status", "succeeded");
    json_array_append(p->refunds, refund);
    return refund;
}

static inline json_t *paymnt_read(struct payment *p, const char *path, int *status) {
    json_t *had;
    size_t i;
    if (strncmp(path, "/refunds/", 9) == 0) {
        json_array_foreach(p->refunds, i, had) if (strcmp(mt_json_str(had, "refund_id", ""), path + 9) ==
                                                   0) return json_incref(had);
        *status = 404;
        return json_pack("{s:{s:s, s:s, s:s}}", "error", "type", "invalid_request", "code", "HE_02",
                         "message", "Refund does not exist");
    }
    json_t *answer = payment_json(p);
    if (p->captured_after_read) {
        p->captured_after_read = false;
        p->received += p->capturable;
        p->capturable = 0;
        p->status = "succeeded";
    }
    return answer;
}

/* As the real one: a key that is known is given the answer that it was given before. */
static inline json_t *net_paymnt(struct net *n, const struct mt_http_request *req, struct sent *s,
                                 const char *path, int *status) {
    struct mt_error e;
    struct payment *p = &n->payment;
    if (strcmp(req->method, "GET") == 0) return paymnt_read(p, path, status);
    json_t *had = json_object_get(p->by_key, s->key);
    if (had) return json_incref(had);
    json_t *body = mt_json_parse(req->body, req->body_len, &e);
    json_t *answer = strstr(path, "/cancel") ? paymnt_cancel(p, status) : paymnt_refund(p, body, status);
    json_decref(body);
    if (*status < 400) net_carry_out(n, s);
    if (*status < 400) json_object_set_new(p->by_key, s->key, json_deep_copy(answer));
    return answer;
}

static inline json_t *net_answer(struct net *n, const struct mt_http_request *req, struct sent *s,
                                 const char *path, int *status) {
    *status = 200;
    if (strncmp(path, "/api/platform/", 14) == 0) {
        if (strcmp(req->method, "GET") != 0) net_carry_out(n, s);
        s->carried_out = true;
        return net_mintro(n, req, path, status);
    }
    s->carried_out = true;
    if (n->payment.status && (strncmp(path, "/payments/", 10) == 0 || strncmp(path, "/refunds", 8) == 0))
        return net_paymnt(n, req, s, path, status);
    if (strncmp(path, "/pwapi/mint", 11) == 0) {
        net_carry_out(n, s);
        return json_pack("{s:b, s:[{s:i, s:s, s:s, s:s}], s:s}", "success", 1, "data", "pin_id", 52775,
                         "pin_code", "5311 8601 2711 2955", "pin_nominal_value", "5.0000", "cu_code", "USD",
                         "reference", "186177");
    }
    if (strcmp(req->method, "GET") == 0) return json_pack("{s:s}", "read", path);
    net_carry_out(n, s);
    return json_pack("{s:s}", "done", path);
}

static inline int net_exchange(struct world *w, const struct mt_http_request *req,
                               struct mt_http_response *resp, struct mt_error *e) {
    struct net *n = &w->net;
    const char *path = strstr(req->url, "127.0.0.1:1") + 11;
    int at = atomic_fetch_add(&w->sends, 1) + 1, status = 200;
    memset(resp, 0, sizeof *resp);
    if (atomic_load(&w->dead) || (at == w->die_at_send && !w->die_after)) {
        atomic_store(&w->dead, true);
        mt_fail(e, MT_UNAVAILABLE, "dead");
        e->outcome = MT_UNKNOWN;
        return -1;
    }
    pthread_mutex_lock(&n->lock);
    struct sent *s = net_note(n, req, path);
    enum fault fault = net_fault(n, s->line);
    json_t *answer = NULL;
    switch (fault) {
    case FAULT_NOT_SENT: {
        struct sent *last = &n->sent[--n->count]; /* the other side never saw it */
        free(last->line);
        free(last->key);
        free(last->bytes);
        mt_fail(e, MT_UNAVAILABLE, "connection refused");
        e->outcome = MT_NOT_SENT;
        e->retryable = true;
        break;
    }
    case FAULT_DROP_AFTER:
        answer = net_answer(n, req, s, path, &status);
        json_decref(answer);
        answer = NULL; /* fallthrough */
    case FAULT_DROP_BEFORE:
        mt_fail(e, MT_TIMEOUT, "no answer");
        e->outcome = MT_UNKNOWN;
        e->retryable = true;
        break;
    case FAULT_DECLINE:
        status = 402;
        answer = json_pack("{s:s}", "error", "declined");
        break;
    case FAULT_BUSY:
    case FAULT_BUSY_LATER:
        status = 429;
        answer = json_object();
        break;
    case FAULT_BROKEN:
        status = 500;
        answer = json_object();
        break;
    case FAULT_NONE:
        answer = net_answer(n, req, s, path, &status);
        break;
    }
    pthread_mutex_unlock(&n->lock);
    if (at == w->die_at_send) {
        atomic_store(&w->dead, true);
        json_decref(answer);
        answer = NULL;
        mt_fail(e, MT_UNAVAILABLE, "dead");
        e->outcome = MT_UNKNOWN;
    }
    if (!answer) return -1;
    size_t len;
    char *text = mt_json_dump(answer, &len);
    json_decref(answer);
    mt_http_response_init(resp);
    resp->status = status;
    mt_headers_add(&resp->headers, "Content-Type", "application/json");
    if (fault == FAULT_BUSY_LATER) mt_headers_add(&resp->headers, "Retry-After", "30");
    mt_buf_add(&resp->body, text, len);
    free(text);
    return 0;
}

/* Under load: no ledger, one answer for all. */
static inline int net_count(struct world *w, struct mt_http_response *resp) {
    static const char text[] = "{\"done\":true}";
    atomic_fetch_add(&w->net.carried_out, 1);
    mt_http_response_init(resp);
    resp->status = 200;
    mt_headers_add(&resp->headers, "Content-Type", "application/json");
    mt_buf_add(&resp->body, text, sizeof text - 1);
    return 0;
}

/* Holds the caller as long as the gate is closed. */
static inline void net_gate(struct world *w, const struct mt_http_request *req) {
    if (!strstr(req->url, "/api/") || !atomic_load(&w->net.closed)) return;
    int here = atomic_fetch_add(&w->net.before_gate, 1) + 1;
    if (here > atomic_load(&w->net.most_before_gate)) atomic_store(&w->net.most_before_gate, here);
    world_news(w);
    while (atomic_load(&w->net.closed)) world_wait(w, world_seen(w));
    atomic_fetch_sub(&w->net.before_gate, 1);
}

static inline int net_perform(struct mt_transport *self, const struct mt_http_request *req,
                              struct mt_http_response *resp, struct mt_error *e) {
    (void)self;
    net_gate(the_world, req);
    if (the_world->net.counting) return net_count(the_world, resp);
    int rc = net_exchange(the_world, req, resp, e);
    world_news(the_world);
    return rc;
}

/* The last one ends first. */
static inline void net_perform_all(struct mt_transport *self, size_t n, const struct mt_http_request *reqs,
                                   struct mt_http_response *resps, struct mt_error *errors,
                                   void (*done)(void *ctx, size_t i, bool failed), void *ctx) {
    for (size_t i = n; i-- > 0;) done(ctx, i, net_perform(self, &reqs[i], &resps[i], &errors[i]) != 0);
}
