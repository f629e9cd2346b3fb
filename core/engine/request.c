/* The intent of a call: the exact request, built once, sealed without credentials, sent again as the same
 * bytes; and the meta that the journal keeps beside it: attempt, account, what is to be done next. One thread
 * a call. */
#include "engine/call.h"
#include <stdlib.h>
#include <string.h>

static const char *const next_names[] = {
    [NEXT_NONE] = "", [NEXT_SEND] = "send", [NEXT_RECONCILE] = "reconcile"};

/* ---- meta ---- */

static int64_t take_int(json_t *obj, const char *name, int64_t fallback) {
    int64_t n = mt_json_int(obj, name, fallback);
    json_object_del(obj, name);
    return n;
}

static void read_meta(const struct mt_entry *entry, struct call_meta *m) {
    *m = (struct call_meta){.attempt = 1};
    if (!entry->meta) return;
    m->rest = entry_meta(entry);
    m->attempt = take_int(m->rest, "attempt", 1);
    m->sends = take_int(m->rest, "sends", 0);
    m->refused = take_int(m->rest, "refused", 0);
    m->asked = take_int(m->rest, "asked", 0);
    m->key_at = take_int(m->rest, "key_at", 0);
    m->sent_at = take_int(m->rest, "sent_at", 0);
    m->unsure = json_is_true(json_object_get(m->rest, "unsure"));
    m->stale = json_is_true(json_object_get(m->rest, "stale"));
    json_object_del(m->rest, "unsure");
    json_object_del(m->rest, "stale");
    const char *next = mt_json_str(m->rest, "next", "");
    m->next = strcmp(next, "send") == 0        ? NEXT_SEND
              : strcmp(next, "reconcile") == 0 ? NEXT_RECONCILE
                                               : NEXT_NONE;
    json_object_del(m->rest, "next");
}

static void add_account(const struct mt_account *account, struct mt_buf *b) {
    mt_buf_adds(b, "\"account\":{\"label\":");
    mt_buf_add_json_string(b, account->label, strlen(account->label));
    mt_buf_adds(b, ",\"url\":");
    mt_buf_add_json_string(b, account->base_url, strlen(account->base_url));
    mt_buf_addc(b, '}');
}

static void add_int(struct mt_buf *b, const char *name, int64_t value, int64_t usual) {
    if (value == usual) return;
    mt_buf_adds(b, ",\"");
    mt_buf_adds(b, name);
    mt_buf_adds(b, "\":");
    mt_buf_addi(b, value);
}

static void write_meta(struct call *c) {
    const struct call_meta *m = &c->meta;
    struct mt_buf b;
    mt_buf_init(&b, 4 * MT_VALUE_MAX);
    mt_buf_addc(&b, '{');
    if (json_object_size(m->rest)) {
        size_t len;
        char *text = mt_json_dump(m->rest, &len);
        mt_buf_add(&b, text + 1, len - 2);
        free(text);
    } else {
        add_account(c->account, &b);
    }
    add_int(&b, "asked", m->asked, 0);
    add_int(&b, "attempt", m->attempt, 1);
    add_int(&b, "key_at", m->key_at, 0);
    if (m->next) mt_buf_addf(&b, ",\"next\":\"%s\"", next_names[m->next]);
    add_int(&b, "refused", m->refused, 0);
    add_int(&b, "sends", m->sends, 0);
    add_int(&b, "sent_at", m->sent_at, 0);
    if (m->stale) mt_buf_adds(&b, ",\"stale\":true");
    if (m->unsure) mt_buf_adds(&b, ",\"unsure\":true");
    mt_buf_addc(&b, '}');
    free(c->entry->meta);
    c->entry->meta = mt_buf_take(&b, NULL);
    mt_buf_clear(&b);
}

void call_write(struct call *c) {
    /* Of a call that went well at once there is nothing to add to what its intent says. */
    if (c->entry->outcome == MT_DONE && c->intent_kept && c->meta.sends <= 1 && !c->x->compensating) {
        free(c->entry->meta);
        c->entry->meta = NULL;
    } else {
        write_meta(c);
    }
    if (c->written)
        exec_op_answer(c->x, c->entry);
    else
        exec_op_entry(c->x, c->entry);
    c->written = true;
}

bool call_same_account(struct call *c) {
    struct mt_error e;
    json_t *had = json_object_get(c->meta.rest, "account");
    if (!c->meta.rest) return true; /* new: it is written with the account as it is */
    if (!had) {
        json_object_set_new(c->meta.rest, "account",
                            json_pack("{s:s, s:s}", "label", c->account->label, "url", c->account->base_url));
        return true;
    }
    if (strcmp(mt_json_str(had, "url", ""), c->account->base_url) == 0 &&
        strcmp(mt_json_str(had, "label", ""), c->account->label) == 0)
        return true;
    mt_fail(&e, MT_CONFLICT,
            "effect %d, %s, began on account '%s' at %s; the configuration now says '%s' at %s. Put the "
            "account back, or resolve "
            "the effect by hand.",
            c->entry->seq, c->full_name, mt_json_str(had, "label", ""), mt_json_str(had, "url", ""),
            c->account->label, c->account->base_url);
    exec_park(c->x, c->a, &e, c->entry->site, json_pack("{s:i}", "seq", c->entry->seq));
    return false;
}

bool call_in_flight(const struct mt_entry *entry) {
    struct call_meta m;
    if (entry->outcome != MT_OUTCOME_NONE || !entry->request) return false;
    read_meta(entry, &m);
    bool in_flight = (!m.stale && (m.unsure || m.next != NEXT_SEND)) ||
                     json_is_true(json_object_get(m.rest, "half")); /* of a release */
    json_decref(m.rest);
    return in_flight;
}

/* ---- requests ---- */

static void add_number(struct mt_buf *out, int64_t n) {
    mt_buf_addi(out, n);
    mt_buf_addc(out, ' ');
}

static void flatten(const struct mt_http_request *r, struct mt_buf *out) {
    mt_buf_add(out, r->method, strlen(r->method) + 1);
    mt_buf_add(out, r->url, strlen(r->url) + 1);
    add_number(out, r->timeout_ms);
    add_number(out, r->connect_timeout_ms);
    add_number(out, (int64_t)r->max_response);
    add_number(out, r->public_only);
    add_number(out, (int64_t)r->headers.count);
    for (size_t i = 0; i < r->headers.count; i++) {
        mt_buf_add(out, r->headers.items[i].name, strlen(r->headers.items[i].name) + 1);
        mt_buf_add(out, r->headers.items[i].value, strlen(r->headers.items[i].value) + 1);
    }
    if (r->body) mt_buf_add(out, r->body, r->body_len);
}

static const char *take_string(const char **at, const char *end) {
    const char *s = *at, *nul = s < end ? memchr(s, 0, (size_t)(end - s)) : NULL;
    if (!nul) return NULL;
    *at = nul + 1;
    return s;
}

static bool unflatten(const char *at, size_t len, struct mt_http_request *r) {
    const char *end = at + len, *method = take_string(&at, end), *url = take_string(&at, end);
    int used = 0, public_only = 0;
    size_t headers = 0;
    if (!method || !url) return false;
    if (sscanf(at, "%d %d %zu %d %zu%n", &r->timeout_ms, &r->connect_timeout_ms, &r->max_response,
               &public_only, &headers, &used) < 5 ||
        at[used] != ' ')
        return false;
    at += used + 1; /* one space: what follows may begin with more of them */
    r->public_only = public_only;
    r->method = mt_strdup(method);
    r->url = mt_strdup(url);
    while (headers--) {
        const char *name = take_string(&at, end), *value = take_string(&at, end);
        if (!name || !value) return false;
        mt_headers_add(&r->headers, name, value);
    }
    r->body_len = (size_t)(end - at);
    r->body = r->body_len ? mt_memdup(at, r->body_len) : NULL;
    return true;
}

int call_seal(struct call *c) {
    struct mt_buf *flat = &c->x->flat, sealed;
    int rc = -1;
    mt_buf_reset(flat);
    flatten(&c->request, flat);
    mt_buf_init(&sealed, 4 * MT_VALUE_MAX + MT_SEAL_OVERHEAD);
    if (!mt_buf_ok(flat))
        mt_fail(&c->error, MT_LIMIT, "the request of %s is too large", c->full_name);
    else
        rc = exec_seal(c->x, "request", c->entry, flat->data, flat->len, &sealed, &c->error);
    if (rc == 0) {
        free(c->entry->request);
        c->entry->request = mt_buf_take(&sealed, &c->entry->request_len);
        c->meta.stale = false;
    }
    mt_buf_clear(&sealed);
    return rc;
}

int call_unseal(struct call *c) {
    struct mt_buf b;
    mt_buf_init(&b, 4 * MT_VALUE_MAX);
    mt_http_request_clear(&c->request);
    int rc = exec_unseal(c->x, "request", c->entry, c->entry->request, c->entry->request_len, &b, &c->error);
    if (rc == 0 && !unflatten(b.data, b.len, &c->request))
        rc = mt_fail(&c->error, MT_STORE, "the kept request of effect %d (%s) is damaged", c->entry->seq,
                     c->full_name);
    mt_buf_clear(&b);
    c->has_request = rc == 0;
    return rc;
}

int call_build(struct call *c) {
    char key[65] = "";
    if (c->repeat == MT_REPEAT_KEYED) {
        uint8_t mac[32];
        exec_derive(c->x, "key", c->entry->seq, (int)c->meta.attempt, mac);
        mt_hex_encode(mac, 20, key);
    }
    mt_http_request_clear(&c->request);
    if (c->op->build(c->op, c->account, c->params, key, &c->request, &c->error) != 0) return -1;
    c->has_request = true;
    return 0;
}

static void drop_request(struct call *c) {
    free(c->entry->request);
    c->entry->request = NULL;
    c->entry->request_len = 0;
    c->has_request = c->intent_kept = false;
}

void call_new_attempt(struct call *c) {
    c->meta.attempt++;
    c->meta.key_at = 0;
    c->meta.unsure = false;
    c->meta.sent_at = 0;
    c->meta.stale = true;
    drop_request(c);
}

/* ---- a call's frame ---- */

/* The id that the script left out: the same whenever this effect is carried out, whatever the attempt. */
static void identify(struct call *c) {
    uint8_t mac[32];
    char key[41];
    if (!c->op->identify) return;
    exec_derive(c->x, "id", c->entry->seq, 1, mac);
    mt_hex_encode(mac, 20, key);
    json_t *whole = c->op->identify(c->op, c->params, key);
    json_decref(c->params);
    c->params = whole;
}

void call_begin(struct call *c, struct mt_exec *x, struct mt_entry *entry, const struct mt_operation *op,
                const struct mt_account *account, const char *full_name, json_t *params, bool written,
                struct mt_answer *a) {
    memset(c, 0, sizeof *c);
    c->x = x;
    c->entry = entry;
    c->op = op;
    c->account = account;
    c->full_name = full_name;
    c->params = json_incref(params);
    identify(c);
    c->repeat = mt_operation_repeat(op, params);
    c->written = written;
    c->a = a;
    read_meta(entry, &c->meta);
    if (c->meta.stale) drop_request(c);
}

void call_change(struct call *c, const struct mt_operation *op, const char *full_name, json_t *params) {
    json_decref(c->params);
    json_decref(c->value);
    c->value = NULL;
    c->op = op;
    c->full_name = full_name;
    c->params = json_incref(params);
    identify(c);
    c->repeat = mt_operation_repeat(op, params);
    call_new_attempt(c);
    c->meta.sends = c->meta.refused = c->meta.asked = 0;
    c->meta.next = NEXT_SEND;
}

void call_end(struct call *c) {
    mt_http_request_clear(&c->request);
    json_decref(c->params);
    json_decref(c->meta.rest);
    json_decref(c->value);
}
