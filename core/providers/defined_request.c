/* Requests of a defined provider: path, query or body, key; and their credentials, added to the copy that
 * leaves. Invariant: the same parameters and the same key give the same bytes; an amount is written exactly
 * or not at all. No state; any thread. */
#include "base/json.h"
#include "base/text.h"
#include "crypto/crypto.h"
#include "providers/define.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { URL_MAX = 4096, KEY_DIGITS = 32 };

json_t *defined_identify(const struct mt_operation *op, const json_t *params, const char *key) {
    const char *name = defined_operation(op)->own_id;
    json_t *copy = json_is_object(params) ? json_copy((json_t *)(uintptr_t)params) : json_object();
    int64_t most = KEY_DIGITS;
    if (param(copy, name) != NULL || key == NULL || strlen(key) < KEY_DIGITS) return copy;
    for (const struct mt_param *p = op->params; p->name != NULL; p++)
        if (strcmp(p->name, name) == 0 && p->max > 0 && p->max < most) most = p->max;
    json_object_set_new(copy, name, json_stringn(key, (size_t)most));
    return copy;
}

/* ---- values on the wire ---- */

static json_t *amount(const struct defined *d, const struct mt_money *m, struct mt_error *e) {
    char text[MT_MONEY_TEXT];
    int64_t minor;
    switch (d->money.amounts) {
    case DEFINED_MINOR:
        return mt_money_to_minor(m, NULL, &minor, e) == 0 ? json_integer(minor) : NULL;
    case DEFINED_DECIMAL:
        return mt_money_to_decimal(m, mt_currency_exponent(m->currency, NULL), text, e) == 0
                   ? json_string(text)
                   : NULL;
    case DEFINED_NUMBER:
        break;
    }
    return mt_money_json_number(m, e);
}

/* Sets a member by its dotted name, making the objects on the way. Steals value. */
static void set_at(json_t *o, const char *path, json_t *value) {
    char part[DEFINED_TEXT_MAX + 1];
    for (const char *dot = strchr(path, '.'); dot != NULL; path = dot + 1, dot = strchr(path, '.')) {
        mt_format(part, sizeof(part), "%.*s", (int)(dot - path), path);
        json_t *next = json_object_get(o, part);
        if (!json_is_object(next)) json_object_set_new(o, part, next = json_object());
        o = next;
    }
    json_object_set_new(o, path, value);
}

static void set_member(const struct defined_operation *own, json_t *o, const char *name, json_t *value) {
    if (own->body == DEFINED_JSON)
        set_at(o, name, value);
    else
        json_object_set_new(o, name, value);
}

static int set_currency(const struct defined_operation *own, json_t *o, const char *name,
                        const struct mt_money *m, const struct mt_operation *op, struct mt_error *e) {
    char code[4];
    mt_copy(code, sizeof(code), m->currency);
    for (char *c = code; own->of->money.lowercase && *c != '\0'; c++) *c = (char)(*c | 0x20);
    const json_t *had = own->body == DEFINED_JSON ? defined_at(o, name) : json_object_get(o, name);
    if (had != NULL && strcmp(json_string_value(had) != NULL ? json_string_value(had) : "", code) != 0)
        return mt_fail(e, MT_INVALID_REQUEST,
                       "%s.%s: its amounts are in different currencies, and \"%s\" is "
                       "one for all",
                       own->of->row.name, op->name, name);
    set_member(own, o, name, json_string(code));
    return 0;
}

static bool in_path(const struct mt_operation *op, const char *name) {
    char hole[64];
    for (size_t i = 0; defined_placeholder(op->path, i, hole); i++)
        if (strcmp(hole, name) == 0) return true;
    return false;
}

/* All that does not stand in the path, by its names on the wire. NULL: e says why. */
static json_t *members(const struct mt_operation *op, const json_t *params, const char *key,
                       struct mt_error *e) {
    const struct defined_operation *own = defined_operation(op);
    json_t *o = own->fixed != NULL ? value_to_plain(own->fixed, e) : json_object();
    if (o == NULL) return NULL;
    for (size_t i = 0; op->params[i].name != NULL; i++) {
        const json_t *v = param(params, op->params[i].name);
        struct mt_money m;
        if (v == NULL || in_path(op, op->params[i].name)) continue;
        json_t *wire = value_money(v, &m) && op->params[i].type == MT_P_MONEY ? amount(own->of, &m, e)
                                                                              : value_to_plain(v, e);
        if (wire == NULL) {
            mt_error_wrap(e, "%s.%s: field \"%s\"", own->of->row.name, op->name, op->params[i].name);
            goto fail;
        }
        /* An empty table of a script may be either. */
        if (op->params[i].type == MT_P_OBJECT && json_is_array(wire)) {
            json_decref(wire);
            wire = json_object();
        }
        set_member(own, o, own->wire[i], wire);
        if (op->params[i].type == MT_P_MONEY && own->currency[i] != NULL &&
            set_currency(own, o, own->currency[i], &m, op, e) != 0)
            goto fail;
    }
    if (op->repeat == MT_REPEAT_KEYED && own->of->key_member != NULL && key != NULL)
        set_member(own, o, own->of->key_member, json_string(key));
    return o;
fail:
    json_decref(o);
    return NULL;
}

static void add_scalar(struct mt_buf *b, const json_t *v) {
    if (json_is_string(v)) {
        mt_url_encode(b, json_string_value(v), json_string_length(v));
        return;
    }
    size_t len;
    char *text = mt_json_dump(v, &len);
    mt_url_encode(b, text, len);
    free(text);
}

static void add_form(struct mt_buf *b, const json_t *o) {
    const char *name;
    json_t *v;
    bool first = true;
    json_object_foreach((json_t *)(uintptr_t)o, name, v) {
        if (!first) mt_buf_addc(b, '&');
        first = false;
        mt_url_encode(b, name, strlen(name));
        mt_buf_addc(b, '=');
        add_scalar(b, v);
    }
}

/* ---- the request ---- */

static int add_path(const struct mt_operation *op, const json_t *params, struct mt_buf *url,
                    struct mt_error *e) {
    const char *rest = op->path;
    char hole[64];
    for (size_t i = 0; defined_placeholder(op->path, i, hole); i++) {
        const char *open = strchr(rest, '{');
        const json_t *v = param(params, hole);
        const char *s = json_string_value(v);
        if (!json_is_integer(v) && (s == NULL || s[0] == '\0' || strcmp(s, ".") == 0 || strcmp(s, "..") == 0))
            return mt_fail(e, MT_INVALID_REQUEST, "%s.%s: field \"%s\" is %s; it stands in the path",
                           defined_operation(op)->of->row.name, op->name, hole,
                           s != NULL ? "empty or points only" : value_type_name(v));
        mt_buf_add(url, rest, (size_t)(open - rest));
        add_scalar(url, v);
        rest = strchr(open, '}') + 1;
    }
    mt_buf_adds(url, rest);
    return 0;
}

static void add_headers(const struct mt_operation *op, const char *key, struct mt_http_request *req) {
    const struct defined *d = defined_operation(op)->of;
    const char *name;
    json_t *v;
    mt_headers_add(&req->headers, "Accept", "application/json");
    json_object_foreach((json_t *)(uintptr_t)d->headers, name, v)
        mt_headers_set(&req->headers, name, json_string_value(v));
    if (op->repeat == MT_REPEAT_KEYED && d->key_header != NULL && key != NULL && key[0] != '\0')
        mt_headers_set(&req->headers, d->key_header, key);
}

static void write_body(const struct defined_operation *own, const json_t *o, struct mt_http_request *req,
                       struct mt_buf *b) {
    if (own->body == DEFINED_FORM) {
        add_form(b, o);
    } else {
        size_t len;
        char *text = mt_json_dump(o, &len);
        mt_buf_add(b, text, len);
        free(text);
    }
    mt_headers_set(&req->headers, "Content-Type",
                   own->body == DEFINED_FORM ? "application/x-www-form-urlencoded" : "application/json");
}

int defined_build(const struct mt_operation *op, const struct mt_account *account, const json_t *params,
                  const char *key, struct mt_http_request *req, struct mt_error *e) {
    const struct defined_operation *own = defined_operation(op);
    struct mt_buf url, body;
    json_t *o = members(op, params, key, e);
    int r = -1;
    if (o == NULL) return -1;
    mt_buf_init(&url, URL_MAX);
    mt_buf_init(&body, DEFINED_BODY_MAX);
    mt_buf_adds(&url, account->base_url);
    if (add_path(op, params, &url, e) != 0) goto done;
    add_headers(op, key, req);
    if (own->body != DEFINED_QUERY) {
        write_body(own, o, req, &body);
    } else if (json_object_size(o) > 0) {
        mt_buf_addc(&url, '?');
        add_form(&url, o);
    }
    req->method = mt_strdup(op->method);
    req->timeout_ms = own->timeout_ms;
    req->max_response = MT_VALUE_MAX / 2;
    if (!mt_buf_ok(&url)) {
        mt_fail(e, MT_LIMIT, "%s.%s: the URL is over %d bytes long", own->of->row.name, op->name, URL_MAX);
        goto done;
    }
    req->url = mt_buf_take(&url, NULL);
    r = own->body != DEFINED_QUERY ? body_finish(&body, req, e) : 0;
done:
    mt_buf_clear(&url);
    mt_buf_clear(&body);
    json_decref(o);
    return r;
}

/* ---- credentials ---- */

void defined_digest(const struct defined_hmac *h, const char *secret, const char *method, const char *path,
                    const char *timestamp, const char *body, size_t len, struct mt_buf *out) {
    struct mt_buf text;
    uint8_t mac[MT_SHA512_SIZE];
    char hex[2 * MT_SHA512_SIZE + 1];
    size_t size = h->sha512 ? MT_SHA512_SIZE : MT_SHA256_SIZE;
    mt_buf_init(&text, SIZE_MAX);
    for (const char *c = h->of; *c != '\0'; c++) {
        const char *close = *c == '{' ? strchr(c, '}') : NULL;
        if (close == NULL) {
            mt_buf_addc(&text, *c);
            continue;
        }
        switch (c[1]) { /* the definition was checked: it is one of these */
        case 'b':
            mt_buf_add(&text, body, len);
            break;
        case 't':
            mt_buf_adds(&text, timestamp);
            break;
        case 'm':
            mt_buf_adds(&text, method);
            break;
        default:
            mt_buf_adds(&text, path);
            break;
        }
        c = close;
    }
    if (h->sha512)
        mt_hmac_sha512(secret, strlen(secret), text.data, text.len, mac);
    else
        mt_hmac_sha256(secret, strlen(secret), text.data, text.len, mac);
    mt_buf_clear(&text);
    mt_buf_adds(out, h->prefix);
    if (h->base64) {
        mt_base64_encode(mac, size, out);
    } else {
        mt_hex_encode(mac, size, hex);
        mt_buf_adds(out, hex);
    }
}

static void sign(const struct defined_hmac *h, const struct mt_account *account,
                 struct mt_http_request *req) {
    struct mt_buf digest;
    char now[24];
    const char *path = strstr(req->url, "://");
    path = path != NULL ? strchr(path + 3, '/') : NULL;
    snprintf(now, sizeof(now), "%" PRId64, account->clock->wall_ms(account->clock) / 1000);
    if (h->timestamp != NULL) mt_headers_set(&req->headers, h->timestamp, now);
    mt_buf_init(&digest, 1024);
    defined_digest(h, mt_account_credential(account, h->secret), req->method, path != NULL ? path : "/", now,
                   req->body != NULL ? req->body : "", req->body_len, &digest);
    mt_headers_set(&req->headers, h->header, digest.data);
    mt_buf_clear(&digest);
}

static void add_authorization(const struct defined *d, const struct mt_account *account,
                              struct mt_http_request *req) {
    struct mt_buf b, pair;
    mt_buf_init(&b, SIZE_MAX);
    if (d->bearer != NULL) {
        mt_buf_addf(&b, "Bearer %s", mt_account_credential(account, d->bearer));
    } else {
        mt_buf_init(&pair, SIZE_MAX);
        mt_buf_addf(&pair, "%s:%s", mt_account_credential(account, d->basic_user),
                    d->basic_password != NULL ? mt_account_credential(account, d->basic_password) : "");
        mt_buf_adds(&b, "Basic ");
        mt_base64_encode(pair.data, pair.len, &b);
        mt_wipe(pair.data, pair.len);
        mt_buf_clear(&pair);
    }
    mt_headers_set(&req->headers, "Authorization", b.data);
    mt_wipe(b.data, b.len);
    mt_buf_clear(&b);
}

int defined_authorize(const struct mt_account *account, const struct mt_operation *op,
                      struct mt_http_request *req, struct mt_error *e) {
    const struct defined *d = defined_operation(op)->of;
    const char *name;
    json_t *credential;
    (void)e;
    if (d->bearer != NULL || d->basic_user != NULL) add_authorization(d, account, req);
    json_object_foreach((json_t *)(uintptr_t)d->auth_headers, name, credential) {
        const char *value = mt_account_credential(account, json_string_value(credential));
        if (value[0] != '\0') mt_headers_set(&req->headers, name, value);
    }
    if (d->hmac.header != NULL) sign(&d->hmac, account, req);
    return 0;
}
