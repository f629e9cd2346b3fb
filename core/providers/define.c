/* A provider from its definition: names, credentials, how requests are signed, errors, money, limits. What it
 * gives is a row like any shipped provider's, whose functions (defined*.c) find their words beside it.
 * Invariant: a definition is accepted whole or not at all. No state; any thread. */
#include "providers/define.h"
#include "base/text.h"
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { NAME_BYTES = 23, RATE_MAX = 1000000, IN_FLIGHT_MAX = 1024, KEPT_STEP = 32, HEADERS_MAX = 32 };
static const int64_t day_ms = 86400000;

void *define_alloc(struct defined *d, size_t n, size_t size) {
    if (d->kept_count % KEPT_STEP == 0)
        d->kept = mt_realloc(d->kept, (d->kept_count + KEPT_STEP) * sizeof(*d->kept));
    return d->kept[d->kept_count++] = mt_calloc(n > 0 ? n : 1, size);
}

/* ---- names ---- */

static bool word_ok(const char *s, size_t max) {
    size_t n = strlen(s);
    if (n == 0 || n > max || !islower((unsigned char)s[0]) || s[n - 1] == '_' || strstr(s, "__") != NULL)
        return false;
    for (; *s != '\0'; s++)
        if (!islower((unsigned char)*s) && !isdigit((unsigned char)*s) && *s != '_') return false;
    return true;
}

/* Configuration takes a section whose name is nearly a shipped provider's for a slip, so no other provider
 * can have such a name. */
int mt_provider_name_check(const char *name, struct mt_error *e) {
    const char *names[64];
    size_t n = 0;
    for (const struct mt_provider *const *row = mt_providers_all(); *row != NULL && n < 64; row++) {
        if (strcmp((*row)->name, name) == 0)
            return mt_fail(e, MT_INVALID_REQUEST, "\"%s\" is a provider that ships with Mintage", name);
        names[n++] = (*row)->name;
    }
    if (!word_ok(name, NAME_BYTES))
        return mt_fail(e, MT_INVALID_REQUEST,
                       "\"%.40s\" is no name for a provider; wanted 1 to %d lower-case letters, digits and "
                       "single underscores, a letter first",
                       name, (int)NAME_BYTES);
    const char *near = mt_nearest(name, names, n);
    if (near != NULL)
        return mt_fail(
            e, MT_INVALID_REQUEST,
            "\"%s\" is too close to \"%s\", which ships with Mintage: one would be taken for the other", name,
            near);
    return 0;
}

/* ---- credentials and signing ---- */

static int take_credential(struct defined *d, const char *name, const json_t *v, struct mt_credential *c,
                           struct mt_error *e) {
    static const char *const known[] = {"type", "optional", "doc", NULL};
    static const char *const types[] = {"string", "secret", "string?", "secret?"};
    static const char *const taken[] = {"base_url", "label", "max_per_second", "burst"};
    char where[DEFINED_WHERE_MAX];
    const char *type = json_string_value(v);
    bool optional = false;
    size_t at;
    mt_format(where, sizeof(where), "credentials.%.60s", name);
    if (!word_ok(name, 40))
        return define_fail(where, e, "wanted a name of lower-case letters, digits and single underscores");
    for (size_t i = 0; i < sizeof(taken) / sizeof(taken[0]); i++)
        if (strcmp(taken[i], name) == 0)
            return define_fail(where, e, "every provider's configuration has a \"%s\" of its own", name);
    *c = (struct mt_credential){.name = name, .doc = "named by the definition"};
    if (!json_is_string(v)) {
        if (define_fields(where, v, known, e) != 0 || define_required(where, v, "type", &type, e) != 0 ||
            define_bool(where, v, "optional", &optional, e) != 0 ||
            define_text(where, v, "doc", &c->doc, e) != 0)
            return -1;
    }
    if (define_word(where, type, types, 4, &at, e) != 0) return -1;
    c->secret = at % 2 == 1;
    c->required = at < 2 && !optional;
    (void)d;
    return 0;
}

static int take_credentials(struct defined *d, struct mt_error *e) {
    const json_t *o = param(d->json, "credentials");
    const char *name;
    json_t *v;
    size_t n = json_object_size(o), i = 0;
    d->credentials = define_alloc(d, n + 1, sizeof(*d->credentials));
    d->row.credentials = d->credentials;
    if (o == NULL || (json_is_array(o) && json_array_size(o) == 0)) return 0;
    if (!json_is_object(o))
        return define_fail("credentials", e, "found %s, wanted a table", value_type_name(o));
    if (n > DEFINED_CREDENTIALS_MAX)
        return define_fail("credentials", e, "found %zu, wanted at most %d", n, (int)DEFINED_CREDENTIALS_MAX);
    json_object_foreach((json_t *)(uintptr_t)o, name, v) {
        if (take_credential(d, name, v, &d->credentials[i++], e) != 0) return -1;
    }
    return 0;
}

static int take_auth_headers(struct defined *d, const json_t *o, struct mt_error *e) {
    const char *name;
    json_t *v;
    if (!json_is_object(o)) return define_fail("auth.headers", e, "wanted a table of header = credential");
    json_object_foreach((json_t *)(uintptr_t)o, name, v) {
        if (define_header_name("auth.headers", name, e) != 0) return -1;
        if (!json_is_string(v))
            return define_fail("auth.headers", e, "\"%.40s\" is %s, wanted a credential's name", name,
                               value_type_name(v));
        if (define_credential("auth.headers", d, json_string_value(v), e) != 0) return -1;
    }
    d->auth_headers = o;
    return 0;
}

static int take_basic(struct defined *d, const json_t *v, struct mt_error *e) {
    d->basic_user = json_is_string(v) ? json_string_value(v) : json_string_value(json_array_get(v, 0));
    d->basic_password = json_string_value(json_array_get(v, 1));
    if (d->basic_user == NULL || json_array_size(v) > 2 ||
        (json_array_size(v) == 2 && d->basic_password == NULL))
        return define_fail("auth.basic", e,
                           "wanted the name of a credential, or two: the user's and the password's");
    if (define_credential("auth.basic", d, d->basic_user, e) != 0) return -1;
    return d->basic_password != NULL ? define_credential("auth.basic", d, d->basic_password, e) : 0;
}

static int take_auth(struct defined *d, struct mt_error *e) {
    static const char *const known[] = {"bearer", "basic", "headers", "hmac", NULL};
    const json_t *o = param(d->json, "auth");
    struct mt_buf words;
    if (o == NULL) {
        mt_copy(d->authentication, sizeof(d->authentication), "none");
        return 0;
    }
    if (define_fields("auth", o, known, e) != 0 || define_text("auth", o, "bearer", &d->bearer, e) != 0)
        return -1;
    if (d->bearer != NULL && define_credential("auth.bearer", d, d->bearer, e) != 0) return -1;
    if (param(o, "basic") != NULL && take_basic(d, param(o, "basic"), e) != 0) return -1;
    if (d->bearer != NULL && d->basic_user != NULL)
        return define_fail("auth", e, "\"bearer\" and \"basic\" exclude each other");
    if (param(o, "headers") != NULL && take_auth_headers(d, param(o, "headers"), e) != 0) return -1;
    if (param(o, "hmac") != NULL && define_hmac("auth.hmac", d, param(o, "hmac"), false, &d->hmac, e) != 0)
        return -1;
    mt_buf_init(&words, sizeof(d->authentication) - 1);
    if (d->bearer != NULL) mt_buf_addf(&words, "Authorization: Bearer with %s; ", d->bearer);
    if (d->basic_user != NULL) mt_buf_addf(&words, "Authorization: Basic with %s; ", d->basic_user);
    for (void *it = json_object_iter((json_t *)(uintptr_t)d->auth_headers); it != NULL;
         it = json_object_iter_next((json_t *)(uintptr_t)d->auth_headers, it))
        mt_buf_addf(&words, "%s; ", json_object_iter_key(it));
    if (d->hmac.header != NULL) mt_buf_addf(&words, "an HMAC in %s; ", d->hmac.header);
    if (words.len > 2) mt_copy(d->authentication, words.len - 1, words.data); /* without the last "; " */
    mt_buf_clear(&words);
    return 0;
}

/* ---- errors ---- */

static int take_error(struct defined *d, const char *code, const json_t *v, size_t i, struct mt_error *e) {
    static const char *const known[] = {"kind", "retryable", "hard", "unknown", "meaning", NULL};
    struct mt_error_row *row = &d->errors[i];
    const char *kind = json_string_value(v), *meaning = "";
    char where[DEFINED_WHERE_MAX];
    mt_format(where, sizeof(where), "errors[\"%.60s\"]", code);
    if (code[0] == '\0' || strlen(code) >= sizeof(e->code))
        return define_fail(where, e, "a code has 1 to %zu bytes", sizeof(e->code) - 1);
    if (!json_is_string(v) &&
        (define_fields(where, v, known, e) != 0 || define_required(where, v, "kind", &kind, e) != 0))
        return -1;
    *row = (struct mt_error_row){.code = code};
    if (define_kind(where, kind, &row->kind, e) != 0) return -1;
    row->retryable = row->kind == MT_RATE_LIMITED || row->kind == MT_UNAVAILABLE || row->kind == MT_TIMEOUT;
    if (!json_is_string(v) && (define_bool(where, v, "retryable", &row->retryable, e) != 0 ||
                               define_bool(where, v, "hard", &row->hard, e) != 0 ||
                               define_bool(where, v, "unknown", &d->error_unknown[i], e) != 0 ||
                               define_text(where, v, "meaning", &meaning, e) != 0))
        return -1;
    row->meaning = meaning;
    return 0;
}

static int take_errors(struct defined *d, struct mt_error *e) {
    static const char *const known[] = {"code", "message", NULL};
    const json_t *o = param(d->json, "errors"), *said = param(d->json, "error");
    const char *code;
    json_t *v;
    size_t n = json_object_size(o), i = 0;
    d->errors = define_alloc(d, n + 1, sizeof(*d->errors));
    d->error_unknown = define_alloc(d, n + 1, sizeof(*d->error_unknown));
    d->row.errors = d->errors;
    if (said != NULL && (define_fields("error", said, known, e) != 0 ||
                         define_text("error", said, "code", &d->error_code, e) != 0 ||
                         define_text("error", said, "message", &d->error_message, e) != 0))
        return -1;
    if (o == NULL || (json_is_array(o) && json_array_size(o) == 0)) return 0;
    if (!json_is_object(o))
        return define_fail("errors", e, "found %s, wanted a table such as { card_declined = \"declined\" }",
                           value_type_name(o));
    if (n > DEFINED_ERRORS_MAX)
        return define_fail("errors", e, "found %zu, wanted at most %d", n, (int)DEFINED_ERRORS_MAX);
    json_object_foreach((json_t *)(uintptr_t)o, code, v) {
        if (take_error(d, code, v, i++, e) != 0) return -1;
    }
    return 0;
}

/* ---- money, keys, limits, headers ---- */

static int take_money(struct defined *d, struct mt_error *e) {
    static const char *const known[] = {"amounts", "currency", "lowercase", "answers", NULL};
    static const char *const amounts[] = {"minor", "decimal", "number"};
    const json_t *o = param(d->json, "money");
    const char *word = NULL;
    size_t at;
    if (o == NULL) return 0;
    d->has_money = true;
    if (define_fields("money", o, known, e) != 0 || define_required("money", o, "amounts", &word, e) != 0 ||
        define_word("money.amounts", word, amounts, 3, &at, e) != 0 ||
        define_text("money", o, "currency", &d->money.currency, e) != 0 ||
        define_bool("money", o, "lowercase", &d->money.lowercase, e) != 0)
        return -1;
    d->money.amounts = (enum defined_amounts)at;
    return define_texts("money", o, "answers", &d->money.answers, e);
}

static int take_key(struct defined *d, struct mt_error *e) {
    static const char *const known[] = {"header", "member", "lasts", NULL};
    const json_t *o = param(d->json, "idempotency");
    int64_t ms = day_ms;
    if (o == NULL) return 0;
    if (define_fields("idempotency", o, known, e) != 0 ||
        define_text("idempotency", o, "header", &d->key_header, e) != 0 ||
        define_text("idempotency", o, "member", &d->key_member, e) != 0 ||
        define_duration("idempotency", o, "lasts", 60000, 366 * day_ms, &ms, e) != 0)
        return -1;
    if ((d->key_header == NULL) == (d->key_member == NULL))
        return define_fail("idempotency", e,
                           "wanted \"header\" or \"member\" (of the body), and how long the key \"lasts\"");
    d->key_ttl_s = ms / 1000;
    return d->key_header != NULL ? define_header_name("idempotency.header", d->key_header, e) : 0;
}

static int take_limits(struct defined *d, struct mt_error *e) {
    static const char *const known[] = {"per_second", "burst", "at_once", "timeout", NULL};
    const json_t *o = param(d->json, "limits");
    int64_t rate = 0, burst = 0, at_once = 0, timeout = 30000;
    if (o != NULL && (define_fields("limits", o, known, e) != 0 ||
                      define_int("limits", o, "per_second", 1, RATE_MAX, &rate, e) != 0 ||
                      define_int("limits", o, "burst", 1, RATE_MAX, &burst, e) != 0 ||
                      define_int("limits", o, "at_once", 1, IN_FLIGHT_MAX, &at_once, e) != 0 ||
                      define_duration("limits", o, "timeout", 100, 300000, &timeout, e) != 0))
        return -1;
    d->row.max_per_second = (int)rate;
    d->row.burst = (int)(burst > 0 ? burst : rate);
    d->row.max_in_flight = (int)at_once;
    d->timeout_ms = (int)timeout;
    return 0;
}

static int take_headers(struct defined *d, struct mt_error *e) {
    const json_t *o = param(d->json, "headers");
    const char *name, *ignored;
    json_t *v;
    if (o == NULL) return 0;
    if (!json_is_object(o) || json_object_size(o) > HEADERS_MAX)
        return define_fail("headers", e, "wanted a table of at most %d texts by header name",
                           (int)HEADERS_MAX);
    json_object_foreach((json_t *)(uintptr_t)o, name, v) {
        (void)v;
        if (define_header_name("headers", name, e) != 0 || define_text("headers", o, name, &ignored, e) != 0)
            return -1;
    }
    d->headers = o;
    return 0;
}

static int take_names(struct defined *d, struct mt_error *e) {
    struct mt_account a;
    bool loopback;
    const char *url = "";
    if (define_required("", d->json, "name", &d->row.name, e) != 0 ||
        mt_provider_name_check(d->row.name, e) != 0)
        return -1;
    d->row.title = d->row.name;
    if (define_text("", d->json, "title", &d->row.title, e) != 0 ||
        define_text("", d->json, "base_url", &url, e) != 0)
        return -1;
    d->row.base_url = url;
    if (url[0] == '\0') return 0; /* configuration has to say it */
    if (account_take_url(d->row.name, url, &a, &loopback, e) == 0) return 0;
    e->kind = MT_INVALID_REQUEST;
    return -1;
}

/* ---- the whole ---- */

static int define(struct defined *d, struct mt_error *e) {
    static const char *const known[] = {"name",    "title",   "base_url",   "credentials", "auth",
                                        "headers", "money",   "error",      "errors",      "idempotency",
                                        "limits",  "webhook", "operations", NULL};
    if (define_fields("", d->json, known, e) != 0 || take_names(d, e) != 0 || take_credentials(d, e) != 0 ||
        take_auth(d, e) != 0 || take_headers(d, e) != 0 || take_errors(d, e) != 0 || take_money(d, e) != 0 ||
        take_key(d, e) != 0 || take_limits(d, e) != 0)
        return -1;
    if (param(d->json, "operations") == NULL) return define_fail("", e, "field \"operations\" is missing");
    if (define_operations(d, param(d->json, "operations"), e) != 0) return -1;
    if (param(d->json, "webhook") != NULL && define_webhook(d, param(d->json, "webhook"), e) != 0) return -1;
    d->row.authentication = d->authentication;
    d->row.authorize = defined_authorize;
    d->row.webhook = d->webhook.wanted ? defined_webhook : NULL;
    d->row.webhook_answer = d->row.webhook_answer != NULL ? d->row.webhook_answer : "";
    d->row.defined = true;
    return 0;
}

struct mt_provider *mt_provider_define(const json_t *definition, struct mt_error *e) {
    struct defined *d = mt_calloc(1, sizeof(*d));
    d->json = json_deep_copy(definition);
    if (define(d, e) == 0) return &d->row;
    mt_provider_undefine(&d->row);
    return NULL;
}

void mt_provider_undefine(struct mt_provider *row) {
    struct defined *d = (struct defined *)row;
    if (d == NULL) return;
    for (size_t i = 0; i < d->kept_count; i++) free(d->kept[i]);
    free(d->kept);
    json_decref(d->account.credentials);
    json_decref(d->json);
    free(d);
}
