/* The mintage.* modules as scripts see them, on a fake engine: what each call asks of the engine, and what
 * each answer becomes. */
/* links: mt_modules */
#include "fake_engine.h"

/* Runs `body` as the run of flow "t" (input: any object) on line 12 and on; the result is the caller's. */
static void run(struct world *w, const char *body, const char *input, struct mt_script_result *r) {
    static const char head[] =
        "local flow = require 'mintage.flow'\n"
        "local mintro = require 'mintage.mintro'\n"
        "local http = require 'mintage.http'\n"
        "local collection = require 'mintage.collection'\n"
        "local crypto = require 'mintage.crypto'\n"
        "local time = require 'mintage.time'\n"
        "local json = require 'mintage.json'\n"
        "local orders = collection.define('orders', { unique = {'reference'}, index = {'status'} })\n"
        "local _ = { flow, mintro, http, crypto, time, json, orders }\n"
        "\n"
        "flow.define { name = 't', run = function(input)\n";
    struct mt_buf text;
    struct mt_error e;
    mt_buf_init(&text, 65536);
    mt_buf_adds(&text, head);
    mt_buf_adds(&text, body);
    mt_buf_adds(&text, "\nend }\n");
    if (world_load(w, "t.lua", text.data, &e) != 0) fail_msg("%s\n%s", e.message, body);
    world_run(w, "t", input, r);
    mt_buf_clear(&text);
}

static void returns(void **state, const char *body, const char *value) {
    struct mt_script_result r;
    run(*state, body, "{}", &r);
    if (r.end != MT_END_RETURNED) fail_msg("end %d: %s %s\n%s", r.end, r.error.message, r.value.data, body);
    assert_string_equal(r.value.data, value);
    result_clear(&r);
}

static void bugs(void **state, const char *body, const char *message) {
    struct mt_script_result r;
    run(*state, body, "{}", &r);
    if (r.end != MT_END_BUG)
        fail_msg("end %d, wanted \"%s\"; value %s\n%s", r.end, message, r.value.data, body);
    assert_string_equal(r.error.message, message);
    result_clear(&r);
}

static void raises(void **state, const char *body, const char *error) {
    struct mt_script_result r;
    run(*state, body, "{}", &r);
    if (r.end != MT_END_RAISED) fail_msg("end %d: %s\n%s", r.end, r.error.message, body);
    assert_string_equal(r.value.data, error);
    result_clear(&r);
}

static void asked_for(const char *log) {
    assert_string_equal(engine.log.data, log);
    mt_buf_reset(&engine.log);
}

static void refuses_file(void **state, const char *text, const char *part) {
    struct mt_error e;
    assert_int_equal(world_load(*state, "t.lua", text, &e), -1);
    if (strstr(e.message, part) == NULL) fail_msg("\"%s\" does not say \"%s\"", e.message, part);
}

/* ---- flow.define ---- */

static void define_says_what_is_wrong(void **state) {
    refuses_file(state, "require('mintage.flow').define { name = 'a', rum = type }",
                 "unknown field \"rum\"; did you mean \"run\"?");
    refuses_file(state, "require('mintage.flow').define { name = 'a' }", "run must be a function, not nil");
    refuses_file(state, "require('mintage.flow').define { name = 'a b', run = function() end }",
                 "the name \"a b\" may hold");
    refuses_file(
        state, "require('mintage.flow').define { name = 'a', input = { x = 'mony' }, run = function() end }",
        "flow.define \"a\": schema of x: unknown type \"mony\"; did you mean \"money\"?");
    refuses_file(state, "require('mintage.flow').sleep '1d'",
                 "flow.sleep cannot be used while a file is loading");
    refuses_file(state, "require('mintage.flow').slep '1d'",
                 "mintage.flow has no \"slep\"; did you mean \"sleep\"?");
    refuses_file(state, "local _ = (require('mintage.mintro').intents.crate)",
                 "mintage.mintro.intents has no \"crate\"; did you mean \"create\"?");
    bugs(state, "flow.define { name = 'x', run = function() end }",
         "t.lua:12: flow.define: flows are defined when their file loads, not while one runs");
}

static void a_late_handler_is_a_flow_of_its_own(void **state) {
    struct world *w = *state;
    struct mt_error e;
    assert_int_equal(
        world_load(
            w, "t.lua",
            "local f = require('mintage.flow').define { name = 'a', title = 'A', input = { x = 'string' },\n"
            "run = function() end, late = function(e) return e end }\n"
            "assert(f.name == 'a' and tostring(f) == 'flow a')",
            &e),
        0);
    struct mt_generation *g = mt_scripts_current(w->scripts);
    assert_string_equal(
        mt_generation_registry(g),
        "[{\"file\":\"t.lua\",\"input\":{\"x\":\"string\"},\"kind\":\"flow\",\"late\":\"a.late\",\"line\":1,"
        "\"name\":\"a\",\"title\":\"A\"},"
        "{\"file\":\"t.lua\",\"kind\":\"flow\",\"late\":true,\"line\":1,\"name\":\"a.late\"}]");
    mt_generation_release(g);
}

/* ---- effects ---- */

static void calls_ask_and_answer(void **state) {
    engine_answers(MT_STEP_ANSWER, "{\"intent_id\":\"pi_1\",\"amount\":{\"$money\":\"80.00 USD\"}}");
    returns(state,
            "local i = mintro.intents.get('pi_1')\n"
            "return { i.intent_id, tostring(i.amount), tostring(mintro.intents.get), "
            "mintro.intents.get.repeats }",
            "[\"pi_1\",\"80.00 USD\",\"mintro.intents.get\",\"read\"]");
    asked_for("call mintro.intents.get {\"intent_id\":\"pi_1\"} @t.lua:12\n");
    returns(state, "mintro.intents.settled('pi_1', '30m')", "null");
    asked_for("call mintro.intents.settled {\"id\":\"pi_1\",\"within\":1800000} @t.lua:12\n");
    returns(state, "mintro.intents.settled { id = 'pi_1', within = 90 }", "null");
    asked_for("call mintro.intents.settled {\"id\":\"pi_1\",\"within\":90000} @t.lua:12\n");
    returns(state, "http.get('http://x/', { headers = { a = 'b' } })", "null");
    asked_for("call http.get {\"headers\":{\"a\":\"b\"},\"url\":\"http://x/\"} @t.lua:12\n");
    returns(state, "http.post { url = 'http://x/', json = { n = 1 } }", "null");
    asked_for("call http.post {\"json\":{\"n\":1},\"url\":\"http://x/\"} @t.lua:12\n");
    bugs(state, "mintro.intents.get(12)",
         "t.lua:12: mintro.intents.get takes a table of parameters, not number");
    bugs(state, "http.post { url = 'x', json = type }",
         "t.lua:12: http.post: json: functions cannot cross the journal");
    engine_answers(MT_STEP_BUG, "mintro.intents.get: unknown field \"idd\"");
    bugs(state, "\nmintro.intents.get { idd = 1 }", "t.lua:13: mintro.intents.get: unknown field \"idd\"");
}

static const char declined[] = "{\"kind\":\"declined\",\"message\":\"no\",\"outcome\":\"rejected\"}";

static void a_no_is_raised_or_answered(void **state) {
    struct mt_script_result r;
    engine_answers(MT_STEP_RAISE, declined);
    raises(state, "mintro.intents.get('pi_1')", declined);
    engine_answers(MT_STEP_RAISE, declined);
    returns(state,
            "local v, err = flow.try(mintro.intents.cancel, { intent_id = 'pi_1' })\n"
            "return { v == nil, err.kind, tostring(err) }",
            "[true,\"declined\",\"declined: no\"]");
    engine_answers(MT_STEP_RAISE, "{\"kind\":\"timeout\",\"outcome\":\"unknown\"}");
    raises(state, "flow.try(mintro.intents.get, 'pi_1')", "{\"kind\":\"timeout\",\"outcome\":\"unknown\"}");
    bugs(state, "flow.try(type, 1)",
         "t.lua:12: flow.try takes an operation, such as mintro.intents.create (without calling it), not "
         "function");
    engine_answers(MT_STEP_LEAVE, NULL);
    run(*state, "pcall(flow.sleep, '1d') return 1", "{}", &r);
    assert_int_equal(r.end, MT_END_LEFT);
    result_clear(&r);
}

static void all_takes_calls(void **state) {
    engine_answers(MT_STEP_ANSWER, "[{\"value\":1},{\"err\":{\"kind\":\"declined\",\"message\":\"no\"}}]");
    returns(state,
            "local a = flow.all { { mintro.intents.get, 'pi_1' }, { http.get, { url = 'u' } } }\n"
            "return { a[1].value, tostring(a[2].err) }",
            "[1,\"declined: no\"]");
    asked_for(
        "one of all: mintro.intents.get {\"intent_id\":\"pi_1\"}\none of all: http.get {\"url\":\"u\"}\n"
        "all 2 @t.lua:12\n");
    bugs(state, "flow.all { mintro.intents.get }",
         "t.lua:12: flow.all: call 1 must be a table { operation, params }, not userdata");
}

static void small_effects_ask(void **state) {
    engine_answers(MT_STEP_ANSWER, "null");
    engine_answers(MT_STEP_ANSWER, "null");
    engine_answers(MT_STEP_ANSWER, "null");
    engine_answers(MT_STEP_ANSWER, "null");
    engine_answers(MT_STEP_ANSWER, "{\"id\":\"run_1\",\"existing\":false}");
    returns(state,
            "flow.undo(mintro.intents.release, { intent_id = 'a' })\n"
            "flow.progress { at = 1 }\n"
            "flow.log('paid', { n = 1 }) flow.warn 'odd'\n"
            "local child = flow.start('notify', { id = 'a' }, { key = 'k', detached = true })\n"
            "flow.signal('order', 'a', { paid = true })\n"
            "flow.sleep '1h30m' flow.sleep(1.5) flow.sleep_until '2027-01-31T00:00:00Z'\n"
            "return { child.id, flow.id(), flow.key(), flow.token(), flow.checkout_url 'run_9' }",
            "[\"run_1\",\"run_0\",\"order-1\",\"token-of-run_0\",\"http://127.0.0.1:8080/checkout/"
            "token-of-run_9\"]");
    asked_for("undo mintro.intents.release {\"intent_id\":\"a\"} @t.lua:12\n"
              "progress {\"at\":1} @t.lua:13\n"
              "log info paid {\"n\":1} @t.lua:14\n"
              "log warn odd null @t.lua:14\n"
              "start notify {\"id\":\"a\"} key=k detached @t.lua:15\n"
              "signal order/a {\"paid\":true} @t.lua:16\n"
              "sleep 5400000 @t.lua:17\nsleep 1500 @t.lua:17\nsleep_until 1801353600000 @t.lua:17\n");
    bugs(state, "flow.sleep '3 fortnights'",
         "t.lua:12: flow.sleep: the duration \"3 fortnights\" is not a duration such as \"30d\", \"1h30m\" "
         "or \"250ms\"");
    bugs(state, "flow.start('x', {}, { kye = 1 })",
         "t.lua:12: flow.start options: unknown field \"kye\"; did you mean \"key\"?");
    bugs(state, "flow.progress { 1, 2 }",
         "t.lua:12: flow.progress wants a table with named fields, not a list");
    struct mt_script_result r;
    bugs(state, "flow.continue({ n = 2 }, { kep = true })",
         "t.lua:12: flow.continue options: unknown field \"kep\"; did you mean \"keep\"?");
    run(*state, "flow.continue({ n = 2 }, { keep = true })", "{}", &r);
    assert_int_equal(r.end, MT_END_LEFT);
    result_clear(&r);
}

static void waits_answer_payloads(void **state) {
    engine_answers(MT_STEP_ANSWER, "{\"event\":7,\"at\":1795168800000,\"payload\":{\"ok\":1}}");
    returns(
        state,
        "local p, e = flow.await('order', 'a', { within = '30m' }) return { p.ok, e.event, tostring(e.at) }",
        "[1,7,\"2026-11-20T10:00:00.000Z\"]");
    asked_for("await order/a 1800000 @t.lua:12\n");
    returns(state, "return flow.await('order', 'a') == nil", "true");
    asked_for("await order/a -1 @t.lua:12\n");
    engine.count = engine.next = 0;
    engine_answers(MT_STEP_ANSWER, "{\"event\":1,\"payload\":{\"n\":1}}");
    engine_answers(MT_STEP_ANSWER, "{\"event\":2,\"payload\":null}");
    returns(state,
            "local seen = json.array()\n"
            "for p in flow.events('order', 'a', { till = flow.later '1h' }) do seen[#seen + 1] = p end\n"
            "return { #seen, seen[1].n, seen[2] == json.null }",
            "[2,1,true]");
    asked_for("await order/a 3600000 @t.lua:13\nawait order/a 3600000 @t.lua:13\nawait order/a 3600000 "
              "@t.lua:13\n");
}

static void a_payment_or_an_event(void **state) {
    engine_answers(MT_STEP_ANSWER, "{\"event\":7,\"at\":1795168800000,\"payload\":{\"way\":\"card\"}}");
    returns(state,
            "local paid, order, e = flow.unless('page', 'p', mintro.intents.settled, 'pi_1', '30m')\n"
            "return { paid == nil, order.way, e.event, tostring(e.at) }",
            "[true,\"card\",7,\"2026-11-20T10:00:00.000Z\"]");
    asked_for("unless page/p mintro.intents.settled {\"id\":\"pi_1\",\"within\":1800000} @t.lua:12\n");
    engine.count = engine.next = 0;
    engine_answers(MT_STEP_ANSWER, "{\"intent_id\":\"pi_1\",\"status\":\"succeeded\"}");
    returns(state,
            "local paid, order = flow.unless('page', 'p', mintro.intents.settled, { id = 'pi_1' })\n"
            "return { paid.status, order == nil }",
            "[\"succeeded\",true]");
    asked_for("unless page/p mintro.intents.settled {\"id\":\"pi_1\"} @t.lua:12\n");
    returns(state, "return { select('#', flow.unless('page', 'p', mintro.intents.settled, 'pi_1')) }", "[1]");
    asked_for("unless page/p mintro.intents.settled {\"id\":\"pi_1\"} @t.lua:12\n");
    bugs(state, "flow.unless('page', 'p', 'mintro')",
         "t.lua:12: flow.unless takes an operation, such as mintro.intents.create (without calling it), not "
         "string");
    returns(state, "return { flow.run_of('token-of-run_9'), flow.run_of('x') == nil }", "[\"run_9\",true]");
    engine.count = engine.next = 0;
    engine_answers(MT_STEP_ANSWER, "[true,false]");
    returns(state,
            "local p = require 'mintage.provider'\n"
            "local a, b = p.configured(mintro.intents.get, mintro.intents.cancel) return { a, b }",
            "[true,false]");
    asked_for("configured 2, the first mintro.intents.get @t.lua:13\n");
}

static void fail_raises_errors_of_the_world(void **state) {
    raises(state, "flow.fail 'expired'", "{\"kind\":\"expired\",\"message\":\"the flow failed: expired\"}");
    raises(state, "flow.fail('declined', 'no funds')", "{\"kind\":\"declined\",\"message\":\"no funds\"}");
    raises(state, "flow.fail('unpaid', { attempts = 3 })",
           "{\"details\":{\"attempts\":3},\"kind\":\"unpaid\",\"message\":\"the flow failed: unpaid\"}");
    engine_answers(MT_STEP_RAISE, declined);
    raises(state, "local _, err = flow.try(mintro.intents.get, 'a') flow.fail('unpaid', err)",
           "{\"cause\":{\"$error\":{\"kind\":\"declined\",\"message\":\"no\",\"outcome\":\"rejected\"}},"
           "\"kind\":\"unpaid\","
           "\"message\":\"no\"}");
    engine_answers(MT_STEP_RAISE, declined);
    raises(state, "local _, err = flow.try(mintro.intents.get, 'a') flow.fail(err)", declined);
    bugs(state, "flow.fail(nil)", "t.lua:12: flow.fail: the kind (or an error) must be a string, not nil");
}

static void sealing_is_for_one_place(void **state) {
    struct mt_script_result a;
    run(*state,
        "local code = '1111222233334444'\n"
        "local sealed = crypto.seal(code, 'campaign/1')\n"
        "assert(not sealed:find(code, 1, true) and sealed:match '^[%w_-]+$')\n"
        "assert(sealed == crypto.seal(code, 'campaign/1') and sealed ~= crypto.seal(code, 'campaign/2'))\n"
        "assert(crypto.unseal(sealed, 'campaign/1') == code)\n"
        "assert(crypto.unseal(sealed, 'campaign/2') == nil)\n"
        "assert(crypto.unseal('x' .. sealed, 'campaign/1') == nil and crypto.unseal('', '') == nil)\n"
        "assert(crypto.unseal(crypto.seal('', ''), '') == '')\n"
        "assert(#crypto.mac 'a' == 64 and #crypto.mac('a', 'raw') == 32 and crypto.mac 'a' ~= crypto.mac "
        "'b')\n"
        "assert(not pcall(crypto.seal, ('x'):rep(64 * 1024 + 1), 'a') and not pcall(crypto.seal, 'a'))\n"
        "return true",
        "{}", &a);
    if (a.end != MT_END_RETURNED) fail_msg("%s", a.error.message);
    assert_string_equal(a.value.data, "true");
    result_clear(&a);
}

static void chance_is_derived(void **state) {
    struct mt_script_result a, b;
    static const char body[] =
        "local t = { flow.uuid(), flow.random(), flow.random(6), flow.random(-3, 3), crypto.token(8) }\n"
        "assert(t[1]:match '^%x+%-%x+%-4%x%x%x%-[89ab]%x%x%x%-%x+$' and #t[1] == 36)\n"
        "assert(t[2] >= 0 and t[2] < 1 and t[3] >= 1 and t[3] <= 6 and t[4] >= -3 and t[4] <= 3)\n"
        "for _ = 1, 200 do local n = flow.random(3) assert(n >= 1 and n <= 3) end\n"
        "flow.random(math.mininteger, math.maxinteger)\n"
        "return t";
    engine.counter = 1;
    run(*state, body, "{}", &a);
    if (a.end != MT_END_RETURNED) fail_msg("%s", a.error.message);
    engine.counter = 1;
    run(*state, body, "{}", &b);
    assert_string_equal(a.value.data, b.value.data);
    result_clear(&a);
    result_clear(&b);
    bugs(state, "flow.random(2, 1)", "t.lua:12: bad argument #2 to 'random' (the interval is empty)");
}

/* ---- times ---- */

static void months_keep_their_anchor(void **state) {
    static const struct {
        const char *anchor, *span, *dates;
    } vectors[] = {
        {"2027-01-31", "month", "2027-02-28 2027-03-31 2027-04-30 2027-05-31 2027-06-30 2027-07-31"},
        {"2027-01-30", "month", "2027-02-28 2027-03-30 2027-04-30 2027-05-30 2027-06-30 2027-07-30"},
        {"2027-01-29", "month", "2027-02-28 2027-03-29 2027-04-29 2027-05-29 2027-06-29 2027-07-29"},
        {"2028-01-31", "month", "2028-02-29 2028-03-31 2028-04-30 2028-05-31 2028-06-30 2028-07-31"},
        {"2026-10-31", "month", "2026-11-30 2026-12-31 2027-01-31 2027-02-28 2027-03-31 2027-04-30"},
        {"2028-02-29", "year", "2029-02-28 2030-02-28 2031-02-28 2032-02-29 2033-02-28 2034-02-28"},
        {"2027-01-31", "3 months", "2027-04-30 2027-07-31 2027-10-31 2028-01-31 2028-04-30 2028-07-31"},
        /* Mintro's interval_days = 30 is no month */
        {"2027-01-31", "30 days", "2027-03-02 2027-04-01 2027-05-01 2027-05-31 2027-06-30 2027-07-30"},
        {"2027-02-28", "2 weeks", "2027-03-14 2027-03-28 2027-04-11 2027-04-25 2027-05-09 2027-05-23"},
    };
    for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
        char body[600], value[200];
        mt_format(body, sizeof(body),
                  "local t, chained, out, other = flow.date('%s'), flow.date('%s'), {}, {}\n"
                  "for k = 1, 6 do\n"
                  "  chained = chained:plus('%s')\n"
                  "  out[k], other[k] = t:plus('%s', k).date, chained.date\n"
                  "end\n"
                  "assert(table.concat(out, ' ') == table.concat(other, ' '), 'chained differently')\n"
                  "return table.concat(out, ' ')",
                  vectors[i].anchor, vectors[i].anchor, vectors[i].span, vectors[i].span);
        mt_format(value, sizeof(value), "\"%s\"", vectors[i].dates);
        returns(state, body, value);
    }
    asked_for(""); /* UTC needs no zone table, so no entry */
}

static void zones_follow_their_rules(void **state) {
    static const struct {
        const char *expression, *text;
    } vectors[] = {
        {"flow.date('2027-01-31', 'Asia/Seoul')", "2027-01-31T00:00:00.000+09:00"},
        {"flow.date('2027-01-31T15:00:00Z', 'Asia/Seoul')", "2027-02-01T00:00:00.000+09:00"},
        /* a month later it is nine again, though the offset has changed */
        {"flow.date('2027-02-28T09:00', 'America/New_York'):plus 'month'", "2027-03-28T09:00:00.000-04:00"},
        /* 02:30 does not exist on 14 March 2027; 01:30 exists twice on 7 November */
        {"flow.date('2027-03-14T02:30', 'America/New_York')", "2027-03-14T03:30:00.000-04:00"},
        {"flow.date('2027-11-07T01:30', 'America/New_York')", "2027-11-07T01:30:00.000-04:00"},
        {"flow.date('2027-11-07T01:30', 'America/New_York'):plus '1h'", "2027-11-07T01:30:00.000-05:00"},
        {"flow.date('2027-11-06T12:00', 'America/New_York'):plus '1 day'", "2027-11-07T12:00:00.000-05:00"},
        {"flow.date('2027-11-06T12:00', 'America/New_York'):plus '24h'", "2027-11-07T11:00:00.000-05:00"},
        /* beyond the listed transitions, by the rule at the end of the file */
        {"flow.date('2061-07-01', 'Europe/Berlin')", "2061-07-01T00:00:00.000+02:00"},
        {"flow.date('2061-12-01', 'Europe/Berlin')", "2061-12-01T00:00:00.000+01:00"},
        {"flow.date('2061-01-15', 'Australia/Sydney')", "2061-01-15T00:00:00.000+11:00"},
        {"flow.date('2061-07-15', 'Australia/Sydney')", "2061-07-15T00:00:00.000+10:00"},
        {"flow.date('1900-01-01', 'Asia/Kolkata')", "1900-01-01T00:00:00.000+05:21"},
        {"flow.date('2027-01-31', 'Asia/Seoul'):plus('month'):in_zone 'UTC'", "2027-02-27T15:00:00.000Z"},
        {"flow.date { year = 2027, month = 5, day = 1, hour = 9 }", "2027-05-01T09:00:00.000Z"},
    };
    for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
        char body[300], value[80];
        mt_format(body, sizeof(body), "return tostring(%s)", vectors[i].expression);
        mt_format(value, sizeof(value), "\"%s\"", vectors[i].text);
        returns(state, body, value);
    }
    mt_buf_reset(&engine.log);
    returns(state, "return flow.date('2027-01-31', 'Asia/Seoul').ms", "1801321200000");
    asked_for("pure date/1 {\"zone\":\"Asia/Seoul\",\"day\":0,\"months\":0,\"days\":0,\"ms\":0,"
              "\"local\":\"2027-01-31T00:00:00\"} @t.lua:12\n");
    bugs(state, "flow.date('2027-01-31', 'Asia/Soul')",
         "t.lua:12: there is no time zone \"Asia/Soul\"; zones are named like \"Asia/Seoul\"");
    bugs(state, "flow.date('2027-01-31', '../../etc/passwd')",
         "t.lua:12: \"../../etc/passwd\" is not a time zone such as \"Asia/Seoul\"");
    bugs(state, "flow.date '2027-02-29'",
         "t.lua:12: flow.date: the date \"2027-02-29\" is not an instant such as \"2027-01-31T09:00:00Z\"");
}

static void times_compare_and_cross_the_journal(void **state) {
    returns(state,
            "local t = flow.now()\n"
            "assert(t < flow.later '1h' and t <= t and t == time.parse(t.ms) and flow.later(90) - t == 90)\n"
            "assert(t.year == 2026 and t.month == 11 and t.day == 20 and t.hour == 10 and t.weekday == 5)\n"
            "assert(t:format '%A %d %B %Y %H:%M %z %%' == 'Friday 20 November 2026 10:00 +0000 %')\n"
            "assert(t:minus('1 day').date == '2026-11-19' and time.format(t.ms) == tostring(t))\n"
            "assert(time.duration '1h30m' == 5400 and time.duration(0.25) == 0.25 and time.words '30d' == "
            "'30 days')\n"
            "return { at = t }",
            "{\"at\":{\"ms\":1795168800000,\"offset\":0,\"zone\":\"UTC\"}}");
    struct mt_script_result r;
    run(*state, "return flow.date(input.at):plus('1 day').date",
        "{\"at\":{\"ms\":1795168800000,\"offset\":0,\"zone\":\"UTC\"}}", &r);
    assert_string_equal(r.value.data, "\"2026-11-21\"");
    result_clear(&r);
    bugs(state, "return flow.now().yaer", "t.lua:12: a time has no \"yaer\"; did you mean \"year\"?");
}

/* ---- collections, tasks, deliveries ---- */

static void documents_are_one_table(void **state) {
    engine_answers(MT_STEP_ANSWER, "{\"id\":\"O-1\",\"version\":1}");
    engine_answers(MT_STEP_ANSWER, "{\"id\":\"O-1\",\"version\":4,\"doc\":{\"status\":\"open\"}}");
    engine_answers(MT_STEP_ANSWER, "{\"id\":\"O-1\",\"version\":5}");
    engine_answers(MT_STEP_ANSWER, "[{\"id\":\"O-1\",\"version\":5,\"doc\":{\"status\":\"paid\"}}]");
    engine_answers(MT_STEP_ANSWER, "{\"id\":\"O-1\",\"version\":6}");
    returns(state,
            "local a = orders:insert { id = 'O-1', status = 'open' }\n"
            "local b = orders:get 'O-1'\n"
            "b.status = 'paid'\n"
            "local c = orders:put(b)\n"
            "local l = orders:list { field = 'status', value = 'paid', limit = 10 }\n"
            "orders:update('O-1', { note = json.null }, { version = 5 })\n"
            "return { a, c, l, orders:by('reference', 'R') == nil, orders:delete 'O-1' == nil }",
            "[{\"id\":\"O-1\",\"status\":\"open\",\"version\":1},{\"id\":\"O-1\",\"status\":\"paid\","
            "\"version\":5},"
            "[{\"id\":\"O-1\",\"status\":\"paid\",\"version\":5}],true,true]");
    asked_for("collection orders [\"reference\"][\"status\"] insert "
              "{\"doc\":{\"status\":\"open\"},\"id\":\"O-1\"} @t.lua:12\n"
              "collection orders [\"reference\"][\"status\"] get {\"id\":\"O-1\"} @t.lua:13\n"
              "collection orders [\"reference\"][\"status\"] put "
              "{\"doc\":{\"status\":\"paid\"},\"id\":\"O-1\",\"version\":4} @t.lua:15\n"
              "collection orders [\"reference\"][\"status\"] list "
              "{\"field\":\"status\",\"limit\":10,\"value\":\"paid\"} @t.lua:16\n"
              "collection orders [\"reference\"][\"status\"] update "
              "{\"id\":\"O-1\",\"set\":{\"note\":null},\"version\":5} @t.lua:17\n"
              "collection orders [\"reference\"][\"status\"] by {\"field\":\"reference\",\"value\":\"R\"} "
              "@t.lua:18\n"
              "collection orders [\"reference\"][\"status\"] delete {\"id\":\"O-1\"} @t.lua:18\n");
    engine_answers(MT_STEP_ANSWER, "{\"id\":\"x\",\"version\":1}");
    returns(state, "orders:insert {}", "null");
    assert_non_null(strstr(engine.log.data, "insert {\"doc\":{},\"id\":\""));
    bugs(state, "orders.get('O-1')", "t.lua:12: call it with a colon: orders:get(...)");
    bugs(state, "orders:insrt {}", "t.lua:12: mintage.collection has no \"insrt\"; did you mean \"insert\"?");
    bugs(state, "orders:get(nil)", "t.lua:12: get: id must be a string, not nil");
}

static void crypto_knows_the_vectors(void **state) {
    returns(
        state,
        "assert(crypto.md5 'abc' == '900150983cd24fb0d6963f7d28e17f72')\n"
        "assert(crypto.sha256 'abc' == 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad')\n"
        "assert(#crypto.sha512('abc', 'raw') == 64)\n"
        "assert(crypto.hmac_sha256('key', 'The quick brown fox jumps over the lazy dog') ==\n"
        "  'f7bc83f430538424b13298e6aa6fb143ef4d59a14946175997479dbc2d1a3cd8')\n"
        "assert(#crypto.hmac_sha512('k', 'm') == 128 and crypto.equal('a', 'a') and not crypto.equal('a', "
        "'b'))\n"
        "assert(not crypto.equal(nil, 'a') and crypto.hex '\\0\\255' == '00ff' and crypto.unhex '00fF' == "
        "'\\0\\255')\n"
        "assert(crypto.unhex '0' == nil and crypto.base64 'a?>' == 'YT8+' and crypto.unbase64 'YT8+' == "
        "'a?>')\n"
        "assert(crypto.base64url 'a?>' == 'YT8-' and crypto.unbase64url 'YT8-' == 'a?>' and crypto.unbase64 "
        "'!' == nil)\n"
        "return true",
        "true");
}

/* ---- what ships ---- */

static char *read_file(const char *name) {
    char path[512];
    mt_format(path, sizeof(path), "%.*s../../flows/%s", (int)(strrchr(__FILE__, '/') + 1 - __FILE__),
              __FILE__, name);
    FILE *f = fopen(path, "rb");
    if (f == NULL) fail_msg("cannot read %s", path);
    char *text = mt_calloc(1, 65536);
    assert_true(fread(text, 1, 65535, f) > 0);
    fclose(f);
    return text;
}

static const char order[] =
    "{\"reference\":\"ORDER-1\",\"amount\":\"80.00 USD\",\"email\":\"j@example.com\",\"name\":\"John Doe\","
    "\"items\":[{\"name\":\"Shoes\",\"quantity\":1,\"price\":\"80.00 USD\"}]}";

/* Runs the shipped checkout with the laid out answers, after its input has been checked as a start does. */
static void run_checkout(struct world *w, struct mt_script_result *r) {
    static const char *const names[] = {"checkout.lua",        "checkout/epin.lua", "checkout/merchant.lua",
                                        "checkout/mintro.lua", "checkout/page.lua", "checkout/paymint.lua",
                                        "checkout/paymnt.lua", "checkout/sale.lua", "checkout/ways.lua",
                                        "lib/terms.lua"};
    enum { COUNT = sizeof(names) / sizeof(names[0]) };
    struct mt_source files[COUNT];
    struct mt_error e;
    struct mt_buf normal;
    for (size_t i = 0; i < COUNT; i++) {
        char *text = read_file(names[i]);
        files[i] = (struct mt_source){names[i], text, strlen(text)};
    }
    if (world_load_all(w, files, COUNT, &e) != 0) fail_msg("%s", e.message);
    for (size_t i = 0; i < COUNT; i++) free((char *)(uintptr_t)files[i].text);
    mt_buf_init(&normal, MT_VALUE_MAX);
    struct mt_script *s = mt_scripts_vtable(w->scripts);
    if (s->check_input(s, "", "checkout", order, &normal, &e) != 0) fail_msg("%s", e.message);
    world_run(w, "checkout", normal.data, r);
    mt_buf_clear(&normal);
}

/* Which ways there are, what is shown, the intent, its undo, and what is shown then. */
static void lay_out_intent(void) {
    engine_answers(MT_STEP_ANSWER, "[true,false,false,true]");
    engine_answers(MT_STEP_ANSWER, "null");
    engine_answers(
        MT_STEP_ANSWER,
        "{\"intent_id\":\"pi_1\",\"status\":\"requires_payment\",\"payment_url\":\"http://pay/1\"}");
    engine_answers(MT_STEP_ANSWER, "null");
    engine_answers(MT_STEP_ANSWER, "null");
}

static void checkout_ends_paid(void **state) {
    struct mt_script_result r;
    lay_out_intent();
    engine_answers(MT_STEP_ANSWER, "{\"intent_id\":\"pi_1\",\"status\":\"succeeded\"}");
    run_checkout(*state, &r);
    if (r.end != MT_END_RETURNED) fail_msg("%s", r.error.message);
    assert_string_equal(r.value.data, "{\"intent_id\":\"pi_1\",\"status\":\"succeeded\"}");
    assert_non_null(strstr(engine.log.data,
                           "call mintro.intents.create {\"amount\":{\"$money\":\"80.00 USD\"},"
                           "\"cancel_url\":\"http://127.0.0.1:8080/checkout/token-of-run_0\""));
    assert_non_null(strstr(engine.log.data, "undo mintro.intents.release {\"intent_id\":\"pi_1\"}"));
    assert_non_null(
        strstr(engine.log.data,
               "progress {\"intent_id\":\"pi_1\",\"payment_url\":\"http://pay/1\",\"step\":\"pay\"}"));
    assert_non_null(strstr(engine.log.data, "\"ways\":[\"mintro\",\"epin\"]"));
    assert_non_null(
        strstr(engine.log.data, "unless checkout/run_0 mintro.intents.settled {\"id\":\"pi_1\","));
    result_clear(&r);
}

static void checkout_ends_as_the_intent_does(void **state) {
    struct mt_script_result r;
    lay_out_intent();
    engine_answers(MT_STEP_ANSWER, "{\"intent_id\":\"pi_1\",\"status\":\"cancelled\"}");
    run_checkout(*state, &r);
    assert_int_equal(r.end, MT_END_RAISED);
    assert_non_null(strstr(r.value.data, "\"kind\":\"cancelled\""));
    result_clear(&r);
}

static void checkout_that_nobody_pays_expires(void **state) {
    struct mt_script_result r;
    lay_out_intent();
    engine_answers(MT_STEP_ANSWER, "null"); /* settled: not in time */
    engine_answers(MT_STEP_ANSWER, "null"); /* what is shown */
    engine_answers(MT_STEP_ANSWER, "{\"intent_id\":\"pi_1\",\"status\":\"cancelled\"}");
    engine_answers(MT_STEP_ANSWER, "{\"intent_id\":\"pi_1\",\"status\":\"cancelled\"}");
    run_checkout(*state, &r);
    assert_int_equal(r.end, MT_END_RAISED);
    assert_non_null(strstr(r.value.data, "\"kind\":\"expired\""));
    result_clear(&r);
}

static void a_payment_at_the_last_moment_is_a_payment(void **state) {
    struct mt_script_result r;
    lay_out_intent();
    engine_answers(MT_STEP_ANSWER, "null");
    engine_answers(MT_STEP_ANSWER, "null"); /* what is shown */
    engine_answers(MT_STEP_RAISE, "{\"kind\":\"conflict\",\"message\":\"paid\",\"outcome\":\"rejected\"}");
    engine_answers(MT_STEP_ANSWER, "{\"intent_id\":\"pi_1\",\"status\":\"succeeded\"}");
    run_checkout(*state, &r);
    assert_int_equal(r.end, MT_END_RETURNED);
    result_clear(&r);
}

static void bench_posts_three_times(void **state) {
    struct mt_script_result r;
    struct mt_error e;
    char *text = read_file("../tests/bench/flows/bench.lua");
    if (world_load(*state, "bench.lua", text, &e) != 0) fail_msg("%s", e.message);
    free(text);
    world_run(*state, "bench", "{\"id\":\"7\"}", &r);
    assert_string_equal(r.value.data, "{\"ok\":true}");
    assert_non_null(strstr(engine.log.data,
                           "call http.post {\"idempotency_key\":\"7-3\",\"json\":{\"amount\":1999,\"step\":3,"
                           "\"wf\":\"7\"},\"url\":\"http://127.0.0.1:9911/step\"}"));
    result_clear(&r);
}

#define test(f) cmocka_unit_test_setup_teardown(f, world_setup, world_teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        test(define_says_what_is_wrong),
        test(a_late_handler_is_a_flow_of_its_own),
        test(calls_ask_and_answer),
        test(a_no_is_raised_or_answered),
        test(all_takes_calls),
        test(small_effects_ask),
        test(waits_answer_payloads),
        test(a_payment_or_an_event),
        test(fail_raises_errors_of_the_world),
        test(sealing_is_for_one_place),
        test(chance_is_derived),
        test(months_keep_their_anchor),
        test(zones_follow_their_rules),
        test(times_compare_and_cross_the_journal),
        test(documents_are_one_table),
        test(crypto_knows_the_vectors),
        test(checkout_ends_paid),
        test(checkout_ends_as_the_intent_does),
        test(checkout_that_nobody_pays_expires),
        test(a_payment_at_the_last_moment_is_a_payment),
        test(bench_posts_three_times),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
