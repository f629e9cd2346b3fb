/* Providers by definition: what is refused, what a request's bytes are, how answers, reads and webhooks are
 * judged, and what generations share. */
/* links: mt_providers */
#include "crypto/crypto.h"
#include "provider_fake.h"

/* ---- a world with one defined provider ---- */

struct defined_world {
    struct world w;
    struct mt_provider_set *set;
};

static json_t *list_of(const char *definition) {
    json_t *list = json_array();
    json_array_append_new(list, from_text(definition));
    return list;
}

static struct mt_provider_set *set_of(struct world *w, const char *definition) {
    json_t *list = list_of(definition);
    struct mt_provider_set *set = mt_provider_set_new(w->providers, list, &w->e);
    json_decref(list);
    if (set == NULL) fail_msg("%s", w->e.message);
    return set;
}

static struct defined_world begin(const char *definition, const char *config) {
    struct defined_world d = {.w = world_with(config, NULL)};
    d.set = set_of(&d.w, definition);
    return d;
}

static void end(struct defined_world *d) {
    mt_provider_set_release(d->set);
    world_end(&d->w);
}

static const struct mt_operation *find(struct defined_world *d, const char *name,
                                       const struct mt_account **account) {
    const struct mt_operation *op = mt_operation_find_in(d->w.providers, d->set, name, account, &d->w.e);
    if (op == NULL) fail_msg("%s", d->w.e.message);
    return op;
}

/* Checks, builds, authorises, "sends" and reads. The value, or NULL with w.e. */
static json_t *send(struct defined_world *d, const char *name, const char *params, const char *key) {
    const struct mt_account *account;
    struct mt_http_request req = {0};
    struct mt_http_response resp;
    json_t *p = from_text(params), *value = NULL;
    const struct mt_operation *op = find(d, name, &account);
    assert_non_null(account);
    memset(&d->w.e, 0, sizeof(d->w.e));
    if (mt_operation_check(op, name, p, &d->w.e) == 0 && op->build(op, account, p, key, &req, &d->w.e) == 0) {
        assert_int_equal(account->provider->authorize(account, op, &req, &d->w.e), 0);
        d->w.net.base.perform(&d->w.net.base, &req, &resp, &d->w.e);
        int r = op->read(op, p, &resp, &value, &d->w.e);
        assert_int_equal(r, value != NULL ? 0 : -1);
        mt_http_response_clear(&resp);
    }
    mt_http_request_clear(&req);
    json_decref(p);
    return value;
}

static const char *header(struct defined_world *d, const char *name) {
    const char *value = mt_headers_get(&d->w.net.last.headers, name);
    return value != NULL ? value : "";
}

#define ACME(REST) "{\"name\":\"acme\",\"base_url\":\"https://api.acme.example/\"," REST "}"
#define GET "\"get\":{\"method\":\"GET\",\"path\":\"/g/{id}\",\"params\":{\"id\":\"string\"}}"
#define KEYED "\"idempotency\":{\"header\":\"Idempotency-Key\",\"lasts\":\"24h\"},"
#define MONEY(HOW) "\"money\":{\"amounts\":\"" HOW "\",\"currency\":\"currency\",\"answers\":[\"amount\"]},"
static const char key[] = "0123456789abcdef0123456789abcdef01234567";

/* ---- definitions ---- */

static void definitions_are_refused_with_what_is_wrong(void **state) {
    static const struct {
        const char *definition, *message;
    } rows[] = {
        {"7", "found an integer, wanted a table"},
        {"{}", "field \"name\" is missing"},
        {"{\"name\":\"acme\"}", "field \"operations\" is missing"},
        {"{\"name\":\"acme\",\"operations\":{}}", "operations: wanted a table of 1 to 64 operations by name"},
        {"{\"name\":\"a__b\",\"operations\":{" GET "}}",
         "\"a__b\" is no name for a provider; wanted 1 to 23 lower-case letters, digits and single "
         "underscores, a letter first"},
        {ACME("\"operations\":{\"get\":{\"method\":\"GIT\",\"path\":\"/\"}}"),
         "operations[\"get\"].method: found \"GIT\" (did you mean \"GET\"?)"},
        {ACME("\"operations\":{\"get\":{\"method\":\"GET\",\"path\":\"/x?y=1\"}}"),
         "operations[\"get\"]: path \"/x?y=1\" is none; wanted \"/v1/charges/{id}/capture\": each "
         "{parameter} "
         "a whole segment, no query"},
        {ACME("\"operations\":{\"get\":{\"method\":\"GET\",\"path\":\"/x\",\"body\":\"json\"}}"),
         "operations[\"get\"]: a GET has no body"},
        {ACME("\"operations\":{\"get\":{\"method\":\"GET\",\"path\":\"/x\",\"params\":{\"o\":\"object\"}}}"),
         "operations[\"get\"]: params.o: object needs a JSON body"},
        {ACME("\"operations\":{\"get\":{\"method\":\"GET\",\"path\":\"/x\",\"params\":{\"o\":\"money\"}}}"),
         "operations[\"get\"].params.o: money needs the definition's \"money\", such as { amounts = "
         "\"minor\", "
         "currency = \"currency\" }"},
        {ACME("\"operations\":{\"put\":{\"method\":\"POST\",\"path\":\"/x\",\"repeats\":\"keyed\"}}"),
         "operations[\"put\"]: \"keyed\" needs the definition's \"idempotency\", such as { header = "
         "\"Idempotency-Key\", lasts = \"24h\" }"},
        {ACME("\"operations\":{\"put\":{\"method\":\"POST\",\"path\":\"/x\",\"repeats\":\"natural\"}}"),
         "operations[\"put\"]: \"natural\" needs \"find\": the read that tells a repeat that was refused "
         "from a "
         "call that never happened"},
        {ACME("\"operations\":{\"a\":{\"method\":\"GET\",\"path\":\"/"
              "x\"},\"a.b\":{\"method\":\"GET\",\"path\":"
              "\"/x\"}}"),
         "operations: \"a\" is an operation, so \"a.b\" cannot be below it"},
        {ACME("\"operations\":{" GET ",\"s\":{\"read\":\"gett\",\"topic\":\"t\",\"at_rest\":{\"s\":1}}}"),
         "operations[\"s\"].read: found \"gett\" (did you mean \"get\"?)"},
        {ACME("\"operations\":{" GET ",\"s\":{\"read\":\"get\",\"topic\":\"t\",\"at_rest\":{\"s\":{}}}}"),
         "operations[\"s\"].at_rest: \"s\" is an object, wanted a value, or a list of strings, integers or "
         "booleans"},
        {ACME("\"operations\":{" GET ",\"r\":{\"read\":\"get\",\"release\":[{\"call\":\"get\"}]}}"),
         "operations[\"r\"].release[1]: field \"when\" is missing"},
        {ACME("\"operations\":{\"a\":{\"method\":\"GET\",\"path\":\"/a\",\"params\":{\"pin\":\"secret\"}}}"),
         "operations[\"a\"]: params.pin: a secret would stand in the URL; wanted a body"},
        {ACME("\"operations\":{\"a\":{\"method\":\"POST\",\"path\":\"/a/{pin}\",\"repeats\":\"unsafe\","
              "\"params\":{\"pin\":\"secret\"}}}"),
         "operations[\"a\"]: params.pin: a secret would stand in the URL; wanted a body"},
        {ACME("\"operations\":{" GET
              ",\"r\":{\"read\":\"get\",\"release\":[{\"when\":{\"s\":1},\"again\":true}]}}"),
         "operations[\"r\"].release[1]: \"again\" goes with \"call\""},
        {ACME("\"operations\":{" GET
              ",\"r\":{\"read\":\"get\",\"params\":{\"it\":\"string\"},\"release\":[{\"when\":{\"s\":1}}]}}"),
         "operations[\"r\"]: \"params\": wanted \"id\", or a string whose name ends in \"_id\": the object "
         "that is "
         "given back"},
        {ACME("\"auth\":{\"bearer\":\"key\"},\"operations\":{" GET "}"),
         "auth.bearer: \"key\" is no credential: \"credentials\" names none"},
        {ACME("\"credentials\":{\"label\":\"string\"},\"operations\":{" GET "}"),
         "credentials.label: every provider's configuration has a \"label\" of its own"},
        {ACME("\"headers\":{\"Host\":\"x\"},\"operations\":{" GET "}"),
         "headers: the header \"Host\" is the connection's own"},
        {ACME("\"limits\":{\"at_once\":0},\"operations\":{" GET "}"),
         "limits: \"at_once\" is 0, wanted 1 to 1024"},
        {ACME("\"webhook\":{\"event\":\"type\"},\"operations\":{" GET "}"),
         "webhook: field \"verify\" is missing: what proves an event; { header = ..., secret = ... } (an "
         "HMAC), "
         "\"url\" (the secret in its URL) or \"read\" (nothing: it is read back)"},
        {ACME("\"webhook\":{\"event\":\"type\",\"verify\":\"read\",\"events\":{\"a*b\":{}}},\"operations\":"
              "{" GET "}"),
         "webhook.events[\"a*b\"]: a \"*\" can only be the end"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct mt_error e = {0};
        json_t *definition = from_text(rows[i].definition);
        struct mt_provider *row = mt_provider_define(definition, &e);
        json_decref(definition);
        assert_null(row);
        assert_string_equal(e.message, rows[i].message);
        assert_int_equal(e.kind, MT_INVALID_REQUEST);
    }
}

/* ---- requests ---- */

static void requests_are_what_the_definition_says(void **state) {
    struct defined_world d =
        begin(ACME(MONEY("minor") KEYED
                   "\"headers\":{\"Acme-Version\":\"7\"},"
                   "\"credentials\":{\"user\":\"string\",\"password\":\"secret\"},"
                   "\"auth\":{\"basic\":[\"user\",\"password\"]},"
                   "\"operations\":{\"pay\":{\"method\":\"POST\",\"path\":\"/v1/{shop}/{id}/pay\","
                   "\"repeats\":\"keyed\",\"fixed\":{\"capture\":false,\"charge\":{\"$$k\":1}},"
                   "\"params\":{\"id\":\"string\",\"shop\":\"integer\",\"sum\":{\"type\":\"money\","
                   "\"as\":\"charge.amount\",\"currency\":\"charge.currency\"},"
                   "\"meta\":\"object?\"}}}"),
              "{\"acme\":{\"user\":\"u\",\"password\":\"p\"}}");
    (void)state;
    d.w.net.body = "{\"ok\":true}";
    json_t *v = send(&d, "acme.pay",
                     "{\"id\":\"a/b c\",\"shop\":7,\"sum\":{\"$money\":\"80.00 USD\"},\"meta\":[]}", key);
    assert_json(v, "{\"ok\":true}");
    json_decref(v);
    assert_string_equal(d.w.net.last.url, "https://api.acme.example/v1/7/a%2Fb%20c/pay");
    assert_string_equal(d.w.net.last.body,
                        "{\"capture\":false,\"charge\":{\"$k\":1,\"amount\":8000,\"currency\":\"USD\"},"
                        "\"meta\":{}}");
    assert_string_equal(header(&d, "Authorization"), "Basic dTpw");
    assert_string_equal(header(&d, "Acme-Version"), "7");
    assert_string_equal(header(&d, "Idempotency-Key"), key);
    assert_null(send(&d, "acme.pay", "{\"id\":\"..\",\"shop\":7,\"sum\":{\"$money\":\"1.00 USD\"}}", key));
    assert_string_equal(d.w.e.message,
                        "acme.pay: field \"id\" is empty or points only; it stands in the path");
    assert_null(
        send(&d, "acme.pay", "{\"id\":\"x\",\"shop\":7,\"sum\":{\"$money\":\"1.00 USD\"},\"mta\":{}}", key));
    assert_string_equal(d.w.e.message, "acme.pay: unknown field \"mta\" (did you mean \"meta\"?)");
    end(&d);
}

static void forms_and_queries_have_scalars(void **state) {
    struct defined_world d = begin(
        ACME(MONEY("decimal") "\"idempotency\":{\"member\":\"request_id\"},"
                              "\"operations\":{\"list\":{\"method\":\"GET\",\"path\":\"/v1\",\"params\":"
                              "{\"after\":\"string?\",\"limit\":\"integer?\",\"open\":\"boolean?\"}},"
                              "\"pay\":{\"method\":\"POST\",\"path\":\"/v1\",\"body\":\"form\","
                              "\"repeats\":\"keyed\",\"params\":{\"amount\":\"money\",\"to\":\"a|b\"}}}"),
        NULL);
    (void)state;
    d.w.net.body = "[]";
    json_decref(send(&d, "acme.list", "{\"after\":\"a&b\",\"limit\":5,\"open\":true}", ""));
    assert_string_equal(d.w.net.last.url, "https://api.acme.example/v1?after=a%26b&limit=5&open=true");
    json_decref(send(&d, "acme.list", "{}", ""));
    assert_string_equal(d.w.net.last.url, "https://api.acme.example/v1");
    d.w.net.body = "{}";
    json_decref(send(&d, "acme.pay", "{\"amount\":{\"$money\":\"10.5 EUR\"},\"to\":\"a\"}", key));
    assert_string_equal(d.w.net.last.body,
                        "amount=10.50&currency=EUR&to=a&request_id=0123456789abcdef0123456789abcdef01234567");
    assert_null(send(&d, "acme.pay", "{\"amount\":{\"$money\":\"1 EUR\"},\"to\":\"c\"}", key));
    assert_string_equal(d.w.e.message, "acme.pay: field \"to\" is \"c\", wanted one of \"a\", \"b\"");
    end(&d);
}

static void signatures_cover_what_the_definition_says(void **state) {
    struct defined_world d = begin(
        ACME("\"credentials\":{\"secret\":\"secret\"},\"auth\":{\"hmac\":{\"header\":\"X-Sign\",\"secret\":"
             "\"secret\",\"of\":\"{method}\\n{path}\\n{timestamp}\\n{body}\",\"timestamp\":\"X-Time\","
             "\"prefix\":\"sha512=\",\"digest\":\"sha512\"}},"
             "\"operations\":{\"do\":{\"method\":\"POST\",\"path\":\"/v1/do\",\"repeats\":\"unsafe\","
             "\"params\":{\"a\":\"integer\"}}}"),
        "{\"acme\":{\"secret\":\"s\",\"base_url\":\"https://api.acme.example/base\"}}");
    static const char signed_text[] = "POST\n/base/v1/do\n1795166400\n{\"a\":1}";
    char expected[2 * MT_SHA512_SIZE + 1], whole[200];
    (void)state;
    d.w.net.body = "";
    json_t *v = send(&d, "acme.do", "{\"a\":1}", "");
    assert_json(v, "{}"); /* nothing said is nothing wrong */
    json_decref(v);
    mt_hmac_sha512_hex("s", 1, signed_text, sizeof(signed_text) - 1, expected);
    mt_format(whole, sizeof(whole), "sha512=%s", expected);
    assert_string_equal(header(&d, "X-Sign"), whole);
    assert_string_equal(header(&d, "X-Time"), "1795166400");
    end(&d);
}

/* ---- answers ---- */

static const char paying[] = ACME(
    MONEY("minor") KEYED
    "\"error\":{\"code\":\"error.code\",\"message\":\"error.message\"},\"errors\":{\"429\":\"rate_limited\","
    "\"busy\":{\"kind\":\"conflict\",\"unknown\":true},\"nope\":{\"kind\":\"declined\",\"hard\":true}},"
    "\"operations\":{\"pay\":{\"method\":\"POST\",\"path\":\"/p\",\"repeats\":\"keyed\","
    "\"params\":{\"amount\":\"money\"},\"answer\":\"data\",\"code\":\"why\","
    "\"refused\":{\"declined\":{\"status\":[\"failed\",\"blocked\"]}}},"
    "\"find\":{\"method\":\"GET\",\"path\":\"/p\",\"answer\":\"data.1\"}," GET "}");

static void answers_are_believed_as_far_as_they_are_understood(void **state) {
    static const struct {
        int status;
        const char *body;
        const char *value; /* or what is wrong: */
        enum mt_kind kind;
        enum mt_outcome outcome;
        const char *code;
        bool retryable, hard;
    } rows[] = {
        {200, "{\"data\":{\"amount\":8000,\"currency\":\"USD\",\"$x\":1}}",
         "{\"amount\":{\"$money\":\"80.00 USD\"},\"currency\":\"USD\",\"$$x\":1}", 0, 0, "", false, false},
        /* the call's own currency, where the answer names none; what is no integer stays */
        {201, "{\"data\":{\"amount\":8000}}", "{\"amount\":{\"$money\":\"80.00 EUR\"}}", 0, 0, "", false,
         false},
        {200, "{\"data\":{\"amount\":\"x\"}}", "{\"amount\":\"x\"}", 0, 0, "", false, false},
        {200, "{\"data\":{\"status\":\"failed\",\"why\":\"nope\"}}", NULL, MT_DECLINED, MT_REJECTED, "nope",
         false, true},
        {200, "{\"data\":{\"status\":\"blocked\"}}", NULL, MT_DECLINED, MT_REJECTED, "", false, false},
        {200, "{\"error\":{\"code\":\"nope\"}}", NULL, MT_DECLINED, MT_REJECTED, "nope", false, true},
        {200, "{\"other\":1}", NULL, MT_PROTOCOL, MT_UNKNOWN, "", false, false},
        {200, "<html>", NULL, MT_PROTOCOL, MT_UNKNOWN, "", false, false},
        {402, "{\"error\":{\"code\":\"nope\",\"message\":\"No.\"}}", NULL, MT_DECLINED, MT_REJECTED, "nope",
         false, true},
        {402, "{\"error\":{\"code\":\"new\"}}", NULL, MT_PERMISSION, MT_REJECTED, "new", false, false},
        {409, "{\"error\":{\"code\":\"busy\"}}", NULL, MT_CONFLICT, MT_UNKNOWN, "busy", true, false},
        {429, "{}", NULL, MT_RATE_LIMITED, MT_REJECTED, "429", true, false},
        {404, "{}", NULL, MT_NOT_FOUND, MT_REJECTED, "404", false, false},
        {404, "no such page", NULL, MT_PROTOCOL, MT_UNKNOWN, "404", false, false},
        {302, "{}", NULL, MT_PROTOCOL, MT_UNKNOWN, "302", false, false},
        {503, "{}", NULL, MT_UNAVAILABLE, MT_UNKNOWN, "503", true, false},
    };
    struct defined_world d = begin(paying, NULL);
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        d.w.net.status = rows[i].status;
        d.w.net.body = rows[i].body;
        json_t *v = send(&d, "acme.pay", "{\"amount\":{\"$money\":\"1.00 EUR\"}}", key);
        if (rows[i].value != NULL) {
            assert_json(v, rows[i].value);
            json_decref(v);
            continue;
        }
        assert_null(v);
        assert_int_equal(d.w.e.kind, rows[i].kind);
        assert_int_equal(d.w.e.outcome, rows[i].outcome);
        assert_string_equal(d.w.e.code, rows[i].code);
        assert_int_equal(d.w.e.retryable, rows[i].retryable);
        assert_int_equal(d.w.e.hard, rows[i].hard);
        assert_string_equal(d.w.e.provider, "acme");
    }
    d.w.net.status = 200;
    d.w.net.body = "{\"data\":[]}"; /* a read that finds none */
    assert_null(send(&d, "acme.find", "{}", ""));
    assert_int_equal(d.w.e.kind, MT_NOT_FOUND);
    assert_int_equal(d.w.e.outcome, MT_REJECTED);
    d.w.net.status = 409;
    d.w.net.header = "Retry-After";
    d.w.net.header_value = "3";
    assert_null(send(&d, "acme.pay", "{\"amount\":{\"$money\":\"1.00 EUR\"}}", key));
    assert_int_equal(d.w.e.outcome, MT_UNKNOWN);
    /* What a read does not find has to be said by them, and not by what stands before them. */
    static const struct {
        const char *body;
        enum mt_outcome outcome;
    } missing[] = {{"{\"message\":\"no Route matched\"}", MT_UNKNOWN},
                   {"{\"error\":{\"code\":404}}", MT_REJECTED},
                   {"{\"error\":{\"message\":\"No such charge.\"}}", MT_REJECTED}};
    d.w.net.status = 404;
    for (size_t i = 0; i < sizeof(missing) / sizeof(missing[0]); i++) {
        d.w.net.body = missing[i].body;
        assert_null(send(&d, "acme.find", "{}", key));
        assert_int_equal(d.w.e.outcome, missing[i].outcome);
    }
    end(&d);
}

/* ---- afterwards ---- */

static const char recovering[] = ACME(MONEY(
    "minor") "\"operations\":{\"read\":{\"method\":\"GET\",\"path\":\"/p\",\"params\":{\"ref\":\"string\"}},"
             "\"pay\":{\"method\":\"POST\",\"path\":\"/p\",\"repeats\":\"natural\",\"id\":\"order\","
             "\"params\":{\"amount\":\"money\",\"order\":\"string?\"},"
             "\"find\":{\"read\":\"read\",\"with\":{\"ref\":\"order\"},\"same\":[\"amount\"],"
             "\"not_sent\":{\"status\":\"new\"},\"refused\":{\"status\":\"bad\"},\"done\":{\"status\":["
             "\"ok\",\"old\"]}}},"
             "\"void\":{\"method\":\"POST\",\"path\":\"/p/{charge}\",\"repeats\":\"unsafe\","
             "\"params\":{\"charge\":\"string\",\"amount\":\"money?\",\"why\":\"string?\"}}," GET ","
             "\"settled\":{\"read\":\"get\",\"topic\":\"charge\",\"at_rest\":{\"state.done\":true}},"
             "\"release\":{\"read\":\"get\",\"params\":{\"id\":\"string\",\"why\":\"string?\"},\"release\":["
             "{\"when\":{\"status\":\"ok\"},\"call\":\"void\",\"with\":{\"amount\":\"left\"}},"
             "{\"when\":{\"status\":\"wait\"},\"later\":true},{\"when\":{\"status\":\"out\"},\"refuse\":"
             "\"ask them\"},"
             "{\"when\":{\"status\":\"gone\"}},"
             "{\"when\":{\"status\":\"half\"},\"call\":\"void\",\"again\":true}]}}");

static void reading_tells_what_became_of_a_call(void **state) {
    static const struct {
        const char *found;
        enum mt_outcome outcome;
    } rows[] = {
        {"{\"status\":\"ok\",\"amount\":{\"$money\":\"1.00 EUR\"}}", MT_DONE},
        {"{\"status\":\"old\"}", MT_DONE},
        {"{\"status\":\"new\"}", MT_NOT_SENT},
        {"{\"status\":\"bad\"}", MT_REJECTED},
        {"{\"status\":\"ok\",\"amount\":{\"$money\":\"2.00 EUR\"}}", MT_REJECTED},
        {"{\"status\":\"strange\"}", MT_UNKNOWN},
    };
    struct defined_world d = begin(recovering, NULL);
    const struct mt_account *account;
    const struct mt_operation *op = find(&d, "acme.pay", &account);
    const char *read;
    json_t *given = from_text("{\"amount\":{\"$money\":\"1.00 EUR\"}}"), *read_params, *value = NULL;
    json_t *params = op->identify(op, given, key);
    struct mt_error e = {.kind = MT_NOT_FOUND};
    (void)state;
    assert_string_equal(mt_json_str(params, "order", ""), "0123456789abcdef0123456789abcdef");
    assert_int_equal(op->reconcile(op, params, &read, &read_params), 0);
    assert_string_equal(read, "read");
    assert_json(read_params, "{\"ref\":\"0123456789abcdef0123456789abcdef\"}");
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        json_t *found = from_text(rows[i].found);
        struct mt_error no;
        value = NULL;
        assert_int_equal(op->reconciled(op, params, found, NULL, &value, &no), rows[i].outcome);
        assert_int_equal(value != NULL, rows[i].outcome == MT_DONE);
        json_decref(value);
        json_decref(found);
    }
    assert_int_equal(op->reconciled(op, params, NULL, &e, &value, &e), MT_NOT_SENT);
    e.kind = MT_PERMISSION;
    assert_int_equal(op->reconciled(op, params, NULL, &e, &value, &e), MT_UNKNOWN);
    json_decref(read_params);
    json_decref(params);
    json_decref(given);
    end(&d);
}

static void rules_say_what_gives_back(void **state) {
    static const struct {
        const char *object, *operation, *params, *message;
        bool retryable;
    } rows[] = {
        {"{\"status\":\"ok\",\"left\":{\"$money\":\"3.00 EUR\"}}", "void",
         "{\"amount\":{\"$money\":\"3.00 EUR\"},\"charge\":\"c1\",\"why\":\"w\"}", NULL, false},
        {"{\"status\":\"gone\"}", NULL, NULL, NULL, false},
        {"{\"status\":\"half\"}", "void", "{\"charge\":\"c1\",\"why\":\"w\"}", NULL, false},
        {"{\"status\":\"wait\"}", NULL, NULL, "acme.release: it cannot be given back yet", true},
        {"{\"status\":\"out\"}", NULL, NULL, "acme.release: ask them", false},
        {"{\"status\":\"ok\",\"left\":7}", NULL, NULL,
         "acme.release: acme.void: field \"amount\" is an integer, wanted money, as in money \"80.00 USD\"",
         false},
        {"{}", NULL, NULL, "acme.release: no rule of its definition says how to give back what is there",
         false},
    };
    struct defined_world d = begin(recovering, NULL);
    const struct mt_account *account;
    const struct mt_operation *op = find(&d, "acme.release", &account);
    json_t *params = from_text("{\"id\":\"c1\",\"why\":\"w\"}");
    (void)state;
    assert_string_equal(op->again_after, "void");
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        json_t *object = from_text(rows[i].object), *chosen = NULL;
        const char *operation = "";
        struct mt_error e = {0};
        assert_int_equal(op->decide(op, params, object, &operation, &chosen, &e), rows[i].message ? -1 : 0);
        if (rows[i].message != NULL) assert_string_equal(e.message, rows[i].message);
        assert_int_equal(e.retryable, rows[i].retryable);
        if (rows[i].operation != NULL) {
            assert_string_equal(operation, rows[i].operation);
            assert_json(chosen, rows[i].params);
        } else {
            assert_null(operation);
        }
        json_decref(chosen);
        json_decref(object);
    }
    op = find(&d, "acme.settled", &account);
    json_t *busy = from_text("{\"state\":{\"done\":false}}"),
           *rest = from_text("{\"state\":{\"done\":true}}");
    assert_false(op->at_rest(op, busy));
    assert_true(op->at_rest(op, rest));
    assert_string_equal(op->topic, "acme.charge");
    assert_true(mt_provider_hints(d.set, "acme.charge") && !mt_provider_hints(NULL, "acme.charge"));
    json_decref(busy);
    json_decref(rest);
    json_decref(params);
    end(&d);
}

/* ---- webhooks ---- */

static int hook(struct defined_world *d, const char *body, const char *name, const char *value,
                bool secret_url, struct mt_hint *hint) {
    struct mt_hint hints[4] = {0};
    size_t count = 0;
    const struct mt_account *account = mt_provider_account(d->w.providers, d->set, "acme");
    struct mt_request req = {
        .method = "POST", .path = "/webhooks/acme", .body = body, .body_len = strlen(body)};
    if (name != NULL) mt_headers_add(&req.headers, name, value);
    int r = account->provider->webhook(account, &req, secret_url, hints, &count, &d->w.e);
    assert_int_equal(count, r == 0 ? 1 : 0);
    *hint = hints[0];
    mt_headers_clear(&req.headers);
    return r;
}

static void webhooks_are_believed_as_far_as_they_are_proven(void **state) {
    static const char body[] = "{\"id\":9,\"type\":\"charge.paid\",\"data\":{\"id\":\"c1\",\"amount\":5,"
                               "\"currency\":\"EUR\"}}";
#define HOOK(VERIFY)                                                                                         \
    ACME(MONEY("minor") "\"credentials\":{\"s\":\"secret?\"},\"operations\":{" GET                           \
                        "},\"webhook\":{\"verify\":" VERIFY                                                  \
                        ",\"event\":\"type\",\"id\":\"id\",\"object\":\"data\",\"events\":{\"charge.*\":{"   \
                        "\"topic\":\"charge\",\"key\":\"data.id\"}}}")
    struct defined_world d = begin(HOOK("\"read\""), NULL);
    struct mt_hint hint;
    (void)state;
    assert_int_equal(hook(&d, body, NULL, NULL, false, &hint), 0);
    assert_string_equal(hint.topic, "acme.charge");
    assert_string_equal(hint.key, "c1");
    assert_string_equal(hint.source, "acme:9");
    assert_json(hint.payload, "{\"event\":\"charge.paid\",\"id\":\"c1\"}"); /* nothing that could be a lie */
    json_decref(hint.payload);
    assert_int_equal(hook(&d, "{\"id\":1,\"type\":\"ping\"}", NULL, NULL, false, &hint), 0);
    assert_string_equal(hint.topic, "acme.other");
    assert_string_equal(hint.key, "ping");
    json_decref(hint.payload);
    assert_int_equal(hook(&d, "{\"id\":1,\"type\":\"charge.paid\"}", NULL, NULL, false, &hint), -1);
    assert_string_equal(d.w.e.message, "acme webhook charge.paid: \"data.id\" is missing or too long");
    assert_int_equal(hook(&d, "{\"type\":7", NULL, NULL, false, &hint), -1);
    end(&d);

    d = begin(HOOK("\"url\""), NULL);
    assert_int_equal(hook(&d, body, NULL, NULL, false, &hint), -1);
    assert_int_equal(d.w.e.kind, MT_AUTHENTICATION);
    assert_int_equal(hook(&d, body, NULL, NULL, true, &hint), 0);
    assert_json(hint.payload, "{\"event\":\"charge.paid\",\"id\":\"c1\",\"amount\":{\"$money\":\"0.05 EUR\"},"
                              "\"currency\":\"EUR\"}");
    json_decref(hint.payload);
    end(&d);

    d = begin(HOOK("{\"header\":\"X-S\",\"secret\":\"s\",\"encoding\":\"base64\"}"),
              "{\"acme\":{\"s\":\"k\"}}");
    uint8_t mac[MT_SHA256_SIZE];
    struct mt_buf text;
    mt_buf_init(&text, 100);
    mt_hmac_sha256("k", 1, body, strlen(body), mac);
    mt_base64_encode(mac, sizeof(mac), &text);
    assert_int_equal(hook(&d, body, "X-S", text.data, false, &hint), 0);
    json_decref(hint.payload);
    text.data[0] ^= 1;
    assert_int_equal(hook(&d, body, "X-S", text.data, false, &hint), -1);
    assert_int_equal(d.w.e.kind, MT_AUTHENTICATION);
    mt_buf_clear(&text);
    end(&d);

    /* While the secret rotates the header has the signatures of both. */
    d = begin(HOOK("{\"header\":\"X-S\",\"secret\":\"s\",\"field\":\"v1\"}"), "{\"acme\":{\"s\":\"k\"}}");
    char hex[2 * MT_SHA256_SIZE + 1], both[300];
    mt_hex_encode(mac, sizeof(mac), hex);
    mt_format(both, sizeof(both), "v1=%064d, v0=1,v1=%s", 0, hex);
    assert_int_equal(hook(&d, body, "X-S", both, false, &hint), 0);
    json_decref(hint.payload);
    mt_format(both, sizeof(both), "v1=%064d,v0=%s", 0, hex);
    assert_int_equal(hook(&d, body, "X-S", both, false, &hint), -1);
    assert_int_equal(hook(&d, body, "X-S", "v0=1", false, &hint), -1);
    assert_string_equal(d.w.e.message, "acme webhook: the header's signature is missing");
    end(&d);

    d = begin(HOOK("{\"header\":\"X-S\",\"secret\":\"s\"}"), NULL);
    assert_int_equal(hook(&d, body, "X-S", "", false, &hint), -1);
    assert_string_equal(d.w.e.message, "acme webhook: no s is configured, so no webhook can be believed");
    end(&d);
}

/* ---- sets ---- */

static void generations_share_what_is_known_of_a_server(void **state) {
    static const char here[] = ACME("\"limits\":{\"at_once\":1},\"operations\":{" GET "}"),
                      there[] =
                          "{\"name\":\"acme\",\"base_url\":\"https://other.example\",\"operations\":{" GET
                          "}}";
    struct defined_world d = begin(here, NULL);
    struct mt_provider_set *again = set_of(&d.w, here), *other = set_of(&d.w, there);
    const struct mt_provider *one = mt_provider_named(d.set, "acme"),
                             *same = mt_provider_named(again, "acme"),
                             *elsewhere = mt_provider_named(other, "acme");
    (void)state;
    for (int i = 0; i < 5; i++) mt_provider_report(d.w.providers, one, true);
    assert_int_equal(mt_provider_breaker(d.w.providers, same), MT_BREAKER_OPEN);
    assert_int_equal(mt_provider_breaker(d.w.providers, elsewhere), MT_BREAKER_CLOSED);
    assert_true(mt_provider_enter(d.w.providers, one, 10));
    assert_false(mt_provider_enter(d.w.providers, same, 10)); /* one at once, whichever generation calls */
    mt_provider_leave(d.w.providers, one);
    mt_provider_set_release(d.set); /* the old one goes; what is known stays */
    d.set = again;
    assert_int_equal(mt_provider_breaker(d.w.providers, same), MT_BREAKER_OPEN);

    mt_provider_count(d.w.providers, same, same->operations, MT_DONE, 5);
    mt_provider_count(d.w.providers, elsewhere, elsewhere->operations, MT_DONE, 5);
    mt_providers_publish(d.w.providers, other);
    struct mt_buf b;
    mt_buf_init(&b, 1024 * 1024);
    mt_providers_metrics(d.w.providers, &b);
    assert_non_null(strstr(b.data, "mintage_provider_calls_total{provider=\"acme\",operation=\"get\",outcome="
                                   "\"done\"} 2\n"));
    char *first = strstr(b.data, "mintage_provider_breaker_state{provider=\"acme\"} 0\n");
    assert_non_null(first);
    assert_null(strstr(first + 1, "mintage_provider_breaker_state{provider=\"acme\"}"));
    mt_buf_clear(&b);
    mt_provider_set_release(other);
    end(&d);
}

static void accounts_are_whole_or_absent(void **state) {
    static const char wants[] = ACME("\"credentials\":{\"k\":\"secret\"},\"operations\":{" GET "}");
    static const struct {
        const char *config, *sandbox, *problem;
        bool configured;
    } rows[] = {
        {NULL, NULL, "", false},
        {"{\"acme\":{\"k\":\"x\"}}", NULL, "", true},
        {"{\"acme\":{\"kk\":\"x\"}}", NULL, "providers.acme: unknown setting \"kk\"", false},
        {"{\"acme\":{\"base_url\":\"https://x.example\"}}", NULL,
         "providers.acme: \"k\" is missing (named by the definition)", false},
        {"{\"acme\":{\"k\":\"x\",\"base_url\":\"http://x.example\"}}", NULL,
         "providers.acme.base_url: credentials would travel to x.example in the clear; wanted https:// "
         "(http:// "
         "is for this machine only)",
         false},
        {"{\"acme\":{\"k\":\"x\"}}", "http://127.0.0.1:9",
         "with --sandbox nothing leaves this machine, and acme is at api.acme.example: let base_url be an "
         "imitation "
         "of it on this machine",
         false},
        {"{\"acme\":{\"k\":\"x\",\"base_url\":\"http://127.0.0.1:7\"}}", "http://127.0.0.1:9", "", true},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct world w = world_with(rows[i].config, rows[i].sandbox);
        struct mt_provider_set *set = set_of(&w, wants);
        assert_int_equal(mt_provider_account(w.providers, set, "acme") != NULL, rows[i].configured);
        assert_string_equal(mt_provider_problem(mt_provider_named(set, "acme")), rows[i].problem);
        mt_provider_set_release(set);
        world_end(&w);
    }
    struct world w = world_with(NULL, NULL);
    json_t *twice = list_of(wants);
    json_array_append(twice, json_array_get(twice, 0));
    assert_null(mt_provider_set_new(w.providers, twice, &w.e));
    assert_string_equal(w.e.message, "the provider \"acme\" is defined twice");
    json_decref(twice);
    world_end(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(definitions_are_refused_with_what_is_wrong),
        cmocka_unit_test(requests_are_what_the_definition_says),
        cmocka_unit_test(forms_and_queries_have_scalars),
        cmocka_unit_test(signatures_cover_what_the_definition_says),
        cmocka_unit_test(answers_are_believed_as_far_as_they_are_understood),
        cmocka_unit_test(reading_tells_what_became_of_a_call),
        cmocka_unit_test(rules_say_what_gives_back),
        cmocka_unit_test(webhooks_are_believed_as_far_as_they_are_proven),
        cmocka_unit_test(generations_share_what_is_known_of_a_server),
        cmocka_unit_test(accounts_are_whole_or_absent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
