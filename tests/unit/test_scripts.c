/* Generations, routes and tasks: which code a run gets, and how requests become handlers' calls. On a fake
 * engine. */
/* links: mt_modules */
#include "fake_engine.h"

static void load(struct world *w, const char *text) {
    struct mt_error e;
    if (world_load(w, "t.lua", text, &e) != 0) fail_msg("%s\n%s", e.message, text);
}

struct exchange {
    struct mt_request req;
    struct mt_response resp;
    bool served;
};

/* Sends a request through the routes. `headers`: pairs, NULL-terminated, or NULL. */
static void send_request(struct world *w, struct exchange *x, const char *method, const char *path,
                         const char *body, const char *const *headers) {
    memset(x, 0, sizeof(*x));
    char *plain = mt_strdup(path), *query = strchr(plain, '?');
    if (query != NULL) *query++ = '\0';
    x->req = (struct mt_request){.method = method,
                                 .path = plain,
                                 .raw_path = plain,
                                 .query = query != NULL ? query : "",
                                 .body = body != NULL ? body : "",
                                 .body_len = body != NULL ? strlen(body) : 0};
    mt_copy(x->req.remote, sizeof(x->req.remote), "127.0.0.1");
    mt_copy(x->req.host, sizeof(x->req.host), "localhost:8080");
    for (; headers != NULL && *headers != NULL; headers += 2)
        mt_headers_add(&x->req.headers, headers[0], headers[1]);
    x->resp.status = 200;
    mt_buf_init(&x->resp.body, 1024 * 1024);
    x->served = mt_scripts_try(w->scripts, &x->req, &x->resp);
    mt_headers_clear(&x->req.headers);
    free(plain);
}

static void exchange_clear(struct exchange *x) {
    mt_headers_clear(&x->resp.headers);
    mt_buf_clear(&x->resp.body);
}

static const char *body_of(const struct exchange *x) {
    return x->resp.static_body != NULL ? x->resp.static_body : x->resp.body.data;
}

static void answers(struct world *w, const char *method, const char *path, const char *body, int status,
                    const char *expected) {
    struct exchange x;
    send_request(w, &x, method, path, body, NULL);
    assert_true(x.served);
    if (x.resp.status != status || strcmp(body_of(&x), expected) != 0)
        fail_msg("%s %s: %d %s", method, path, x.resp.status, body_of(&x));
    exchange_clear(&x);
}

#define WEB                                                                                                  \
    "local web = require 'mintage.web'\nlocal flow = require 'mintage.flow'\n"                               \
    "local json = require 'mintage.json'\nlocal money = require 'mintage.money'\n"

static void handlers_answer_in_many_ways(void **state) {
    struct world *w = *state;
    load(
        w, WEB
        "web.get('/text', function() return 'hello' end)\n"
        "web.get('/none', function() end)\n"
        "web.get('/json', function() return { status = 201, json = { price = money '80.00 USD', list = "
        "json.array {} } } end)\n"
        "web.get('/html', function() return { html = '<p>', frame_ancestors = 'https://shop.example' } end)\n"
        "web.get('/away', function() return { redirect = 'https://example.com/x' } end)\n"
        "web.get('/page', function() return web.page { asset = 'shop/index.html' } end)\n"
        "web.get('/bytes', function() return { body = '\\0\\1', headers = { ['Content-Type'] = 'image/x', A "
        "= {'1', '2'} } } end)\n"
        "web.get('/fault', function() return { text = '', delay_ms = 5, fault = 'drop' } end)\n"
        "web.get('/bad', function() return { jsn = 1 } end)\n"
        "web.get('/split', function() return { text = '', headers = { A = 'x\\r\\nB: y' } } end)\n");
    struct exchange x;
    answers(w, "GET", "/text", NULL, 200, "hello");
    answers(w, "HEAD", "/text", NULL, 200, "hello"); /* the server drops the body */
    answers(w, "GET", "/none", NULL, 204, "");
    answers(w, "GET", "/json", NULL, 201, "{\"list\":[],\"price\":\"80.00 USD\"}");

    send_request(w, &x, "GET", "/html", NULL, NULL);
    assert_string_equal(mt_headers_get(&x.resp.headers, "Content-Type"), "text/html; charset=utf-8");
    assert_non_null(strstr(mt_headers_get(&x.resp.headers, "Content-Security-Policy"),
                           "frame-ancestors https://shop.example"));
    exchange_clear(&x);
    send_request(w, &x, "GET", "/away", NULL, NULL);
    assert_int_equal(x.resp.status, 303);
    assert_string_equal(mt_headers_get(&x.resp.headers, "Location"), "https://example.com/x");
    exchange_clear(&x);
    send_request(w, &x, "GET", "/page", NULL, NULL);
    assert_string_equal(x.resp.static_body, "<p>shop</p>");
    assert_string_equal(mt_headers_get(&x.resp.headers, "X-Frame-Options"), "DENY");
    exchange_clear(&x);
    send_request(w, &x, "GET", "/bytes", NULL, NULL);
    assert_int_equal(x.resp.body.len, 2);
    assert_string_equal(mt_headers_get(&x.resp.headers, "Content-Type"), "image/x");
    assert_int_equal(x.resp.headers.count, 3); /* both of A */
    exchange_clear(&x);
    send_request(w, &x, "GET", "/fault", NULL, NULL);
    assert_int_equal(x.resp.fault, MT_FAULT_DROP);
    assert_int_equal(x.resp.delay_ms, 5);
    exchange_clear(&x);

    mt_log_setup(MT_LOG_OFF, MT_LOG_TEXT);
    send_request(w, &x, "GET", "/bad", NULL, NULL);
    assert_int_equal(x.resp.status, 500);
    assert_null(strstr(x.resp.body.data, "jsn")); /* what went wrong is the log's to say */
    exchange_clear(&x);
    send_request(w, &x, "GET", "/split", NULL, NULL);
    assert_int_equal(x.resp.status, 500);
    exchange_clear(&x);
    assert_int_equal(engine.begun, engine.ended);
}

static void handlers_see_the_request(void **state) {
    struct world *w = *state;
    load(w, WEB "web.post('/a/{id}/*', function(req)\n"
                "  return { json = { req.method, req.path, req.params.id, req.params['*'], req.query.q, "
                "req.query.r, req.headers['x-y'],\n"
                "    req.body, req.remote, req.host } }\n"
                "end)\n"
                "web.post('/json', function(req) local v = req.json() return { json = { v.a.b, "
                "req:json().money == nil, v['$money'] } } end)\n"
                "web.post('/form', function(req) return { json = { req.form().a, req:form().b } } end)\n"
                "web.get('/typo', function(req) return req.hedaers end)\n");
    struct exchange x;
    const char *const headers[] = {"X-Y", "z", "x-y", "second", NULL};
    send_request(w, &x, "POST", "/a/7/b/c?q=1+2%26&q=3&r", "raw", headers);
    assert_string_equal(
        x.resp.body.data,
        "[\"POST\",\"/a/7/b/c\",\"7\",\"b/c\",\"1 2&\",\"\",\"z\",\"raw\",\"127.0.0.1\",\"localhost:8080\"]");
    exchange_clear(&x);
    /* what comes from outside has no marks */
    answers(w, "POST", "/json", "{\"a\":{\"b\":1},\"$money\":\"1.00 USD\"}", 200, "[1,true,\"1.00 USD\"]");
    answers(w, "POST", "/form", "a=1&b=%C3%A9", 200, "[\"1\",\"\xC3\xA9\"]");
    send_request(w, &x, "POST", "/json", "{\"a\":", NULL);
    assert_int_equal(x.resp.status, 400);
    assert_non_null(strstr(x.resp.body.data, "malformed JSON at line 1"));
    exchange_clear(&x);
    send_request(w, &x, "POST", "/form", "a=%G1", NULL);
    assert_int_equal(x.resp.status, 400);
    exchange_clear(&x);
    mt_log_setup(MT_LOG_OFF, MT_LOG_TEXT);
    send_request(w, &x, "GET", "/typo", NULL, NULL);
    assert_int_equal(x.resp.status, 500);
    exchange_clear(&x);
}

static bool with_token(void *ctx, const struct mt_request *req) {
    (void)ctx;
    const char *value = mt_headers_get(&req->headers, "Authorization");
    return value != NULL && strcmp(value, "Bearer t") == 0;
}

static void routes_are_closed_unless_public(void **state) {
    struct world *w = *state;
    struct mt_scripts_options o = {.vm = w->vm, .authorised = with_token};
    mt_scripts_free(w->scripts);
    w->scripts = mt_scripts_new(&o);
    mt_scripts_bind(w->scripts, (struct mt_engine *)w);
    load(w, WEB "web.get('/open', { public = true }, function() return 'a' end)\n"
                "web.get('/closed', function() return 'b' end)\n"
                "web.route('delete', '/closed', { auth = 'token' }, function() return 'c' end)\n");
    struct exchange x;
    const char *const token[] = {"Authorization", "Bearer t", NULL};
    answers(w, "GET", "/open", NULL, 200, "a");
    send_request(w, &x, "GET", "/closed", NULL, NULL);
    assert_int_equal(x.resp.status, 401);
    assert_string_equal(mt_headers_get(&x.resp.headers, "WWW-Authenticate"), "Bearer");
    exchange_clear(&x);
    send_request(w, &x, "DELETE", "/closed", NULL, token);
    assert_string_equal(x.resp.body.data, "c");
    exchange_clear(&x);
    send_request(w, &x, "PUT", "/closed", NULL, token);
    assert_int_equal(x.resp.status, 405);
    assert_string_equal(mt_headers_get(&x.resp.headers, "Allow"), "GET, HEAD, DELETE");
    exchange_clear(&x);
    send_request(w, &x, "GET", "/nothing", NULL, token);
    assert_false(x.served);
    exchange_clear(&x);
}

static void a_conflict_runs_the_handler_again(void **state) {
    struct world *w = *state;
    load(w, WEB "web.get('/n', function() flow.signal('a', 'b', 1) return { json = 1, headers = { A = '1' } "
                "} end)\n");
    struct exchange x;
    engine.commits[0] = engine.commits[1] = 1;
    send_request(w, &x, "GET", "/n", NULL, NULL);
    assert_int_equal(engine.begun, 3);
    assert_int_equal(engine.ended, 3);
    assert_string_equal(x.resp.body.data, "1"); /* the answers of earlier attempts are forgotten */
    assert_int_equal(x.resp.headers.count, 2);
    exchange_clear(&x);
    engine.commit = 0;
    engine.commits[0] = -1;
    send_request(w, &x, "GET", "/n", NULL, NULL);
    assert_int_equal(x.resp.status, 503);
    exchange_clear(&x);
}

static void an_error_of_the_world_is_a_problem(void **state) {
    struct world *w = *state;
    load(w, WEB "web.get('/gone', function() flow.fail('not_found', 'no such order') end)\n");
    struct exchange x;
    send_request(w, &x, "GET", "/gone", NULL, NULL);
    assert_int_equal(x.resp.status, 404);
    assert_non_null(strstr(x.resp.body.data, "no such order"));
    exchange_clear(&x);
    assert_int_equal(engine.commit, 0); /* nothing of it was committed */
}

static void routes_are_checked_when_they_load(void **state) {
    static const char *const files[][2] = {
        {WEB "web.get('shop', type)", "must begin with \"/\""},
        {WEB "web.get('/a/{b', type)", "a parameter is a whole segment"},
        {WEB "web.get('/a', 1)", "wants a handler, a function, not number"},
        {WEB "web.get('/a', { pubic = true }, type)", "unknown field \"pubic\"; did you mean \"public\"?"},
        {WEB "web.get('/a', { auth = 'none' }, type)", "auth must be \"token\""},
        {WEB "web.get('/a', type) web.get('/a', type)", "the route 'GET /a' is defined twice"},
        {WEB "web.get('/{a}', type) web.get('/{b}', type)", "is there twice"},
        {WEB "web.gte('/a', type)", "did you mean \"get\"?"},
    };
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        struct mt_error e = {0};
        assert_int_equal(world_load(*state, "t.lua", files[i][0], &e), -1);
        if (strstr(e.message, files[i][1]) == NULL)
            fail_msg("\"%s\" does not say \"%s\"", e.message, files[i][1]);
    }
}

static void tasks_and_deliveries(void **state) {
    struct world *w = *state;
    struct mt_error e;
    load(w, "local task, deliver = require 'mintage.task', require 'mintage.deliver'\n"
            "task.define('renew', function(p)\n"
            "  task.at(1000, 'renew', { n = p.n + 1 })\n"
            "  task.after('30d', 'renew')\n"
            "  deliver { event = 'paid', group = 'mintro', url = 'http://x/', json = { n = p.n }, schedule = "
            "{ '1m', 60 }, delay = 2 }\n"
            "end)\n"
            "task.define('broken', function() error 'oops' end)\n");
    struct mt_script *s = mt_scripts_vtable(w->scripts);
    assert_int_equal(s->task(s, 7, "renew", "{\"n\":1}", &e), 0);
    assert_string_equal(
        engine.log.data,
        "task 7\nschedule 1000 renew {\"n\":2} @t.lua:3\n"
        "schedule 1797760800000 renew null @t.lua:4\n"
        "deliver {\"body\":\"{\\\"n\\\":1}\",\"delay_ms\":2000,\"event\":\"paid\",\"group\":\"mintro\","
        "\"schedule_ms\":[60000,60000],\"url\":\"http://x/\"} @t.lua:5\n");
    mt_log_setup(MT_LOG_OFF, MT_LOG_TEXT);
    assert_int_equal(s->task(s, 8, "broken", "null", &e), -1);
    assert_string_equal(e.message, "t.lua:7: oops");
    assert_int_equal(engine.begun, engine.ended);
}

/* ---- generations ---- */

static const char *stored[2]; /* the texts that the "store" has; their ids below */
static char ids[2][80];

static int fetch(void *ctx, const char *id, struct mt_source **files, size_t *count, char **settings,
                 struct mt_error *e) {
    (void)ctx;
    for (size_t i = 0; i < 2; i++) {
        if (strcmp(ids[i], id) != 0) continue;
        *files = mt_calloc(1, sizeof(**files));
        (*files)[0] = (struct mt_source){mt_strdup("t.lua"), mt_strdup(stored[i]), strlen(stored[i])};
        *count = 1;
        *settings = NULL;
        return 0;
    }
    return mt_fail(e, MT_NOT_FOUND, "generation %s is not stored", id);
}

static void runs_keep_the_code_they_began_with(void **state) {
    struct world *w = *state;
    struct mt_script *s;
    struct mt_exec x = {.handler = false};
    stored[0] = "require('mintage.flow').define { name = 'f', input = { a = 'string' }, run = function() "
                "return 'old' end }";
    stored[1] = "require('mintage.flow').define { name = 'f', input = { b = 'money' }, run = function() "
                "return 'new' end }";
    struct mt_scripts_options o = {.vm = w->vm, .load = fetch, .keep = 1};
    mt_scripts_free(w->scripts);
    w->scripts = mt_scripts_new(&o);
    s = mt_scripts_vtable(w->scripts);
    for (size_t i = 0; i < 2; i++) {
        load(w, stored[i]);
        s->current(s, ids[i]);
    }
    load(w,
         "require('mintage.flow').define { name = 'g', run = function() end }"); /* the file of f is gone */

    for (int round = 0; round < 3; round++) {
        for (size_t i = 0; i < 2; i++) { /* only one of the older ones is kept in memory */
            struct mt_script_result r = {.site = ""};
            mt_buf_init(&r.value, MT_VALUE_MAX);
            mt_buf_init(&r.traceback, 4096);
            s->execute(s, &x, ids[i], "f", "{}", &r);
            assert_string_equal(r.value.data, i == 0 ? "\"old\"" : "\"new\"");
            mt_buf_clear(&r.value);
            mt_buf_clear(&r.traceback);
        }
    }
    struct mt_script_result r = {.site = ""};
    mt_buf_init(&r.value, MT_VALUE_MAX);
    mt_buf_init(&r.traceback, 4096);
    s->execute(s, &x, "sha256:0", "f", "{}", &r);
    assert_int_equal(r.end, MT_END_BUG);
    assert_string_equal(r.error.message, "generation sha256:0 is not stored");
    mt_buf_clear(&r.value);
    mt_buf_clear(&r.traceback);
}

static void input_is_checked_in_its_generation(void **state) {
    struct world *w = *state;
    struct mt_error e;
    struct mt_buf normal;
    load(w, "require('mintage.flow').define { name = 'checkout', input = { amount = 'money' }, run = "
            "function() end }");
    struct mt_script *s = mt_scripts_vtable(w->scripts);
    mt_buf_init(&normal, MT_VALUE_MAX);
    assert_int_equal(s->check_input(s, "", "checkout", "{\"amount\":\"8 USD\"}", &normal, &e), 0);
    assert_string_equal(normal.data, "{\"amount\":{\"$money\":\"8.00 USD\"}}");
    assert_int_equal(s->check_input(s, "", "chekout", "{}", &normal, &e), -1);
    assert_int_equal(e.kind, MT_NOT_FOUND);
    assert_string_equal(e.message, "there is no flow \"chekout\"; did you mean \"checkout\"?");
    assert_int_equal(s->check_input(s, "", "checkout", "{\"amount\":8}", &normal, &e), -1);
    assert_int_equal(e.kind, MT_INVALID_REQUEST);
    assert_string_equal(
        e.message,
        "input of flow \"checkout\": amount: wanted money such as \"80.00 USD\", found the integer 8");
    mt_buf_clear(&normal);
}

static void *execute_often(void *world) {
    struct world *w = world;
    struct mt_script *s = mt_scripts_vtable(w->scripts);
    char *wrong = NULL;
    for (int i = 0; i < 50 && wrong == NULL; i++) {
        struct mt_exec x = {.handler = false};
        struct mt_script_result r = {.site = ""};
        mt_buf_init(&r.value, MT_VALUE_MAX);
        mt_buf_init(&r.traceback, 4096);
        s->execute(s, &x, ids[i % 2], "f", "{}", &r);
        if (strcmp(r.value.data, i % 2 == 0 ? "\"old\"" : "\"new\"") != 0) wrong = ids[i % 2];
        mt_buf_clear(&r.value);
        mt_buf_clear(&r.traceback);
    }
    return wrong;
}

static void threads_share_generations(void **state) {
    struct world *w = *state;
    pthread_t threads[4];
    runs_keep_the_code_they_began_with(state); /* fills the store */
    for (size_t i = 0; i < 4; i++) assert_int_equal(pthread_create(&threads[i], NULL, execute_often, w), 0);
    for (int i = 0; i < 10; i++) load(w, i % 2 == 0 ? "local _ = 1" : "local _ = 2");
    for (size_t i = 0; i < 4; i++) {
        void *wrong;
        pthread_join(threads[i], &wrong);
        assert_null(wrong);
    }
}

#define test(f) cmocka_unit_test_setup_teardown(f, world_setup, world_teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        test(handlers_answer_in_many_ways),
        test(handlers_see_the_request),
        test(routes_are_closed_unless_public),
        test(a_conflict_runs_the_handler_again),
        test(an_error_of_the_world_is_a_problem),
        test(routes_are_checked_when_they_load),
        test(tasks_and_deliveries),
        test(runs_keep_the_code_they_began_with),
        test(input_is_checked_in_its_generation),
        test(threads_share_generations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
