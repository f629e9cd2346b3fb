/* links: mt_modules mt_vm mt_engine mt_store mt_providers mt_http mt_crypto mt_money mt_base */
/* Time travel: runs are replayed up to an effect and looked at there, by their own code and by edited code;
 * it touches neither the world nor the store, shows no secret, and ends in time. */
#include "engine_world.h"

#include "base/sync.h"
#include "bindings/modules/modules.h"
#include "bindings/modules/travel.h"

#define HEAD                                                                                                 \
    "local flow = require 'mintage.flow'\nlocal http = require 'mintage.http'\n"                             \
    "local money = require 'mintage.money'\nlocal crypto = require 'mintage.crypto'\n"                       \
    "local function post(path) local a = http.post('" WORLD_BASE "/' .. path, { body = path, "               \
    "idempotency_key = path }) return a end\n"

/* Line 6 begins what follows HEAD. */
static const char shop[] =
    HEAD "local tries = 3\n"
         "local function charge(what)\n"
         "  local label = 'charge ' .. what\n"
         "  local answer = post('charge/' .. what) return answer\n"
         "end\n"
         "flow.define { name = 'shop', input = { amount = 'money' }, run = "
         "function(order)\n"
         "  local items = { { name = 'tea', price = money '3.00 USD' }, count = tries }\n"
         "  local first = charge 'first'\n"
         "  flow.progress { step = 1 }\n"
         "  flow.sleep '1m'\n"
         "  local second = charge 'second'\n"
         "  return { both = true }\n"
         "end }\n";

struct scripted {
    struct world *w;
    struct mt_vm *vm;
    struct mt_scripts *scripts;
    char *text;
};
static struct scripted the;

static void s_execute(struct mt_script *self, struct mt_exec *x, const char *generation, const char *flow,
                      const char *input, struct mt_script_result *out) {
    (void)self;
    struct mt_script *v = mt_scripts_vtable(the.scripts);
    v->execute(v, x, generation, flow, input, out);
}
static void s_current(struct mt_script *self, char out[80]) {
    (void)self;
    struct mt_script *v = mt_scripts_vtable(the.scripts);
    v->current(v, out);
}
static int s_check(struct mt_script *self, const char *generation, const char *flow, const char *input,
                   struct mt_buf *normal, struct mt_error *e) {
    (void)self;
    struct mt_script *v = mt_scripts_vtable(the.scripts);
    return v->check_input(v, generation, flow, input, normal, e);
}

static void publish(const char *text) {
    struct mt_error e;
    struct mt_source file = {"shop.lua", text, strlen(text)};
    struct mt_generation *g = mt_generation_load(the.vm, &file, 1, NULL, &e);
    if (!g || mt_scripts_publish(the.scripts, g, &e) != 0) fail_msg("%s", e.message);
    mt_generation_release(g);
}

static struct world *begin(const char *text) {
    struct mt_error e;
    struct mt_vm_options vm = {.modules = mt_modules, .cpu_limit_ms = 200};
    struct world *w = world_new(NULL, true);
    the.w = w;
    the.vm = mt_vm_new(&vm, &e);
    if (!the.vm) fail_msg("%s", e.message);
    the.scripts = mt_scripts_new(&(struct mt_scripts_options){.vm = the.vm});
    w->script.execute = s_execute;
    w->script.current = s_current;
    w->script.check_input = s_check;
    publish(text);
    world_open(w);
    mt_scripts_bind(the.scripts, w->engine);
    return w;
}

static void reopen(struct world *w) {
    if (w->engine) world_stop(w);
    world_open(w);
    mt_scripts_bind(the.scripts, w->engine);
}

static void end(struct world *w) {
    if (w->engine) world_stop(w);
    mt_scripts_free(the.scripts);
    mt_vm_free(the.vm);
    world_free(w);
}

/* Travels; touches nothing on the way. */
static json_t *travel_with(struct world *w, struct mt_scripts_travel t) {
    struct mt_error e = {0};
    json_t *out = NULL;
    size_t sent = w->net.count;
    struct mt_run before = run_of(w, t.run), after;
    if (mt_scripts_travel(the.scripts, &t, &out, &e) != 0) fail_msg("%s", e.message);
    after = run_of(w, t.run);
    assert_int_equal(w->net.count, sent);
    assert_int_equal(after.entries, before.entries);
    assert_int_equal(after.state, before.state);
    assert_true(after.updated_at == before.updated_at && after.owner == before.owner);
    mt_run_clear(&before);
    mt_run_clear(&after);
    return out;
}

static json_t *travel(struct world *w, const char *run, int at) {
    return travel_with(w, (struct mt_scripts_travel){.run = run, .segment = -1, .at = at});
}

static json_t *what_if(struct world *w, const char *run, const char *text) {
    struct mt_source file = {"", text, strlen(text)};
    return travel_with(w, (struct mt_scripts_travel){.run = run, .segment = -1, .files = &file, .count = 1});
}

/* The member at a path of names and numbers: "frames.0.line". */
static json_t *at_path(json_t *value, const char *path) {
    char name[64];
    while (value && *path) {
        size_t n = strcspn(path, ".");
        mt_format(name, sizeof name, "%.*s", (int)n, path);
        value =
            json_is_array(value) ? json_array_get(value, (size_t)atoi(name)) : json_object_get(value, name);
        path += n + (path[n] == '.');
    }
    return value;
}

static void is_text(json_t *t, const char *path, const char *wanted) {
    const char *found = json_string_value(at_path(t, path));
    char *all = mt_json_dump(t, NULL);
    if (!found || strcmp(found, wanted) != 0)
        fail_msg("%s: found %s, wanted %s in\n%s", path, found ? found : "nothing", wanted, all);
    free(all);
}

static void is_number(json_t *t, const char *path, int wanted) {
    json_t *found = at_path(t, path);
    char *all = mt_json_dump(t, NULL);
    if (!json_is_integer(found) || json_integer_value(found) != wanted)
        fail_msg("%s: wanted %d in\n%s", path, wanted, all);
    free(all);
}

/* A variable of a frame. */
static json_t *variable(json_t *t, int frame, const char *kind, const char *name) {
    char path[64];
    json_t *v;
    size_t i;
    mt_format(path, sizeof path, "frames.%d.%s", frame, kind);
    json_array_foreach(at_path(t, path), i, v) {
        if (strcmp(mt_json_str(v, "name", ""), name) == 0) return json_object_get(v, "value");
    }
    char *all = mt_json_dump(t, NULL);
    fail_msg("no %s %s in frame %d of\n%s", kind, name, frame, all);
    return NULL;
}

static void shows(const json_t *value, const char *wanted) {
    char *text = mt_json_dump(value, NULL);
    assert_string_equal(text, wanted);
    free(text);
}

static void hides(const json_t *t, const char *secret) {
    char *text = mt_json_dump(t, NULL);
    if (strstr(text, secret)) fail_msg("%s is shown in\n%s", secret, text);
    free(text);
}

static void test_stops_at_each_effect(void **state) {
    (void)state;
    char id[MT_ID_SIZE];
    struct world *w = begin(shop);
    mt_copy(id, sizeof id, start_run(w, "shop", "{\"amount\":\"80.00 USD\"}", "order-1"));
    world_settle(w);
    assert_state(w, id, MT_RUN_SLEEPING);

    json_t *t = travel(w, id, 1);
    is_text(t, "stop", "effect");
    is_number(t, "at", 1);
    is_number(t, "effects", 3);
    is_text(t, "effect.name", "http.post");
    is_text(t, "effect.outcome", "done");
    is_text(t, "frames.0.function", "post");
    is_text(t, "frames.1.function", "charge");
    is_number(t, "frames.1.line", 9);
    is_text(t, "frames.2.function", "run");
    is_number(t, "frames.2.line", 13);
    is_number(t, "frames.2.source.3.line", 13);
    is_text(t, "frames.2.source.3.text", "  local first = charge 'first'");
    shows(variable(t, 1, "locals", "label"), "\"charge first\"");
    shows(variable(t, 2, "locals", "order"), "{\"amount\":\"80.00 USD\"}");
    shows(variable(t, 2, "locals", "items"), "{\"1\":{\"name\":\"tea\",\"price\":\"3.00 USD\"},\"count\":3}");
    shows(variable(t, 2, "upvalues", "tries"), "3");
    json_decref(t);

    t = travel(w, id, 2);
    is_text(t, "effect.kind", "progress");
    is_text(t, "previous.name", "http.post");
    is_number(t, "frames.0.line", 14);
    assert_true(json_is_object(variable(t, 0, "locals", "first")));
    json_decref(t);

    t = travel(w, id, 0); /* as far as it goes: the sleep that it is in */
    is_text(t, "stop", "end");
    is_number(t, "at", 3);
    is_text(t, "effect.kind", "sleep");
    is_text(t, "waiting_for.what", "sleep");
    assert_true(json_is_string(json_object_get(t, "due_at")));
    json_decref(t);
    t = travel(w, id, 99);
    is_text(t, "stop", "end");
    is_number(t, "at", 3);
    json_decref(t);

    struct mt_scripts_travel look = {.run = id, .segment = -1, .at = 1, .look = "items[1].price", .level = 2};
    t = travel_with(w, look);
    is_text(t, "look.value", "3.00 USD");
    is_text(t, "look.type", "money");
    json_decref(t);
    look.look = "items.wrong.name";
    t = travel_with(w, look);
    assert_non_null(at_path(t, "look.problem"));
    json_decref(t);

    static const char *const wrong[] = {"",
                                        ".",
                                        "a.",
                                        "items[",
                                        "items['",
                                        "items['x",
                                        "items[1",
                                        "items]",
                                        "a..b",
                                        "items[]",
                                        "items[1]]",
                                        "items[1].name.x.y",
                                        "[1]",
                                        "items[-9223372036854775808]",
                                        "\xff",
                                        "items.",
                                        "items[99999999999999999999]",
                                        "function() end",
                                        "post('x')",
                                        "tries + 1",
                                        "_ENV._G"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        look.look = wrong[i];
        t = travel_with(w, look);
        assert_non_null(at_path(t, "look.problem"));
        json_decref(t);
    }
    look.look = "items";
    look.level = 99;
    t = travel_with(w, look);
    assert_non_null(at_path(t, "look.problem"));
    json_decref(t);

    world_drive(w);
    assert_state(w, id, MT_RUN_COMPLETED);
    t = travel(w, id, 4); /* it has ended, and is looked at all the same */
    is_text(t, "effect.name", "http.post");
    is_number(t, "frames.2.line", 16);
    json_decref(t);
    t = travel(w, id, 0);
    is_text(t, "stop", "returned");
    shows(json_object_get(t, "output"), "{\"both\":true}");
    json_decref(t);
    end(w);
}

static void test_coroutines_and_calls_at_once(void **state) {
    (void)state;
    char id[MT_ID_SIZE];
    struct world *w =
        begin(HEAD "flow.define { name = 'inner', run = function(x)\n"
                   "  local outer = 'out'\n"
                   "  local step = coroutine.wrap(function(a)\n"
                   "    local inner = 'in'\n"
                   "    while true do local b = post(a .. inner) a = coroutine.yield(b) end\n"
                   "  end)\n"
                   "  local first = step('a')\n"
                   "  local both = flow.all { { http.post, { url = '" WORLD_BASE
                   "/p', body = '1', idempotency_key = '1' } },\n"
                   "    { http.post, { url = '" WORLD_BASE "/q', body = '2', idempotency_key = '2' } } }\n"
                   "  local second = step('b')\n"
                   "  flow.sleep '1h'\n"
                   "end }\n");
    mt_copy(id, sizeof id, start_run(w, "inner", "{}", NULL));
    world_settle(w);
    json_t *t = travel(w, id, 1);
    is_text(t, "frames.0.function", "post");
    shows(variable(t, 1, "locals", "inner"), "\"in\"");  /* of the coroutine */
    shows(variable(t, 2, "locals", "outer"), "\"out\""); /* of who resumed it */
    json_decref(t);
    for (int at = 2; at < 4; at++) { /* both of one call */
        t = travel(w, id, at);
        is_number(t, "at", at);
        is_number(t, "frames.0.line", 13);
        json_decref(t);
    }
    t = travel(w, id, 4);
    shows(variable(t, 1, "locals", "a"), "\"b\"");
    assert_true(json_array_size(variable(t, 2, "locals", "both")) == 2);
    json_decref(t);
    end(w);
}

static void test_a_killed_run_is_looked_at(void **state) {
    (void)state;
    char id[MT_ID_SIZE];
    struct world *w = begin(shop);
    w->die_at_send = 1;
    mt_copy(id, sizeof id, start_run(w, "shop", "{\"amount\":\"80.00 USD\"}", NULL));
    while (!atomic_load(&w->dead)) world_wait(w, world_seen(w));
    w->die_at_send = 0;
    world_stop(w);
    w->options.workers = -1; /* nobody executes it: it is as the death has left it */
    reopen(w);
    json_t *t = travel(w, id, 0);
    is_text(t, "stop", "end");
    is_number(t, "at", 1);
    is_text(t, "effect.name", "http.post");
    assert_true(json_is_null(json_object_get(at_path(t, "effect"), "outcome")));
    is_text(t, "frames.1.function", "charge");
    json_decref(t);
    end(w);
}

static void replace(char *text, const char *from, const char *to) {
    char *at = strstr(text, from);
    assert_non_null(at);
    assert_true(strlen(from) >= strlen(to));
    memset(at, ' ', strlen(from));
    memcpy(at, to, strlen(to));
}

static void test_what_if(void **state) {
    (void)state;
    char id[MT_ID_SIZE], text[sizeof shop];
    struct mt_error e = {0};
    json_t *out, *t;
    struct world *w = begin(shop);
    mt_copy(id, sizeof id, start_run(w, "shop", "{\"amount\":\"80.00 USD\"}", NULL));
    world_settle(w);

    memcpy(text, shop, sizeof shop);
    replace(text, "flow.progress { step = 1 }", "charge 'more'");
    t = what_if(w, id, text);
    is_text(t, "stop", "parted");
    is_number(t, "parted.seq", 2);
    is_text(t, "parted.expected.kind", "progress");
    is_text(t, "parted.found.name", "http.post");
    is_text(t, "parted.file", "shop.lua");
    is_number(t, "parted.line", 5); /* where it is asked for; the frames say by whom */
    is_number(t, "frames.2.line", 14);
    is_text(t, "files.0", "shop.lua");
    json_decref(t);

    memcpy(text, shop, sizeof shop);
    replace(text, "local second = charge 'second'", "local new = order.amount");
    t = what_if(w, id, text); /* it agrees: the sleep has not ended */
    is_text(t, "stop", "end");
    is_text(t, "effect.kind", "sleep");
    json_decref(t);

    memcpy(text, shop, sizeof shop);
    replace(text, "flow.sleep '1m'", "charge 'other'");
    t = what_if(w, id, text);
    is_text(t, "stop", "parted");
    is_number(t, "parted.seq", 3);
    json_decref(t);

    memcpy(text, shop, sizeof shop);
    replace(text, "flow.progress { step = 1 }", "order.x.y = 1");
    t = what_if(w, id, text);
    is_text(t, "stop", "bug");
    is_number(t, "frames.0.line", 14);
    assert_non_null(strstr(json_string_value(at_path(t, "error.message")), "shop.lua:14"));
    json_decref(t);

    struct mt_source broken = {"shop.lua", "x =", 3};
    struct mt_scripts_travel b = {.run = id, .segment = -1, .files = &broken, .count = 1};
    assert_int_equal(mt_scripts_travel(the.scripts, &b, &out, &e), -1);
    assert_int_equal(e.kind, MT_SCRIPT);
    end(w);
}

static void test_a_parked_run_shows_where_it_parted(void **state) {
    (void)state;
    char id[MT_ID_SIZE], text[sizeof shop];
    struct world *w = begin(shop);
    mt_copy(id, sizeof id, start_run(w, "shop", "{\"amount\":\"80.00 USD\"}", NULL));
    world_settle(w);
    memcpy(text, shop, sizeof shop);
    replace(text, "charge 'first'", "charge 'fi'");
    publish(text);
    struct mt_generation *g = mt_scripts_current(the.scripts);
    struct mt_run run = run_of(w, id);
    struct mt_op op = {.type = MT_OP_MIGRATE,
                       .migrate = {.run = id,
                                   .from = run.generation,
                                   .to = mt_generation_id(g),
                                   .entries = run.entries,
                                   .moves = "[]",
                                   .at = now_of(w)}};
    struct mt_batch batch = {.ops = &op, .count = 1};
    assert_int_equal(mt_writer_submit(mt_engine_writer(w->engine), &batch), 0);
    mt_run_clear(&run);
    mt_generation_release(g);
    world_drive(w);
    assert_state(w, id, MT_RUN_NEEDS_ATTENTION);
    json_t *t = travel(w, id, 0);
    is_text(t, "stop", "parted");
    is_number(t, "parted.seq", 1);
    assert_true(json_is_true(at_path(t, "parted.other_parameters")));
    shows(variable(t, 1, "locals", "what"), "\"fi\"");
    is_text(t, "error.kind", "mismatch");
    json_decref(t);
    t = what_if(w, id, shop); /* the old code would mend it */
    is_text(t, "stop", "end");
    is_text(t, "effect.kind", "sleep");
    json_decref(t);
    end(w);
}

static void test_bugs_and_failures_stand_where_they_were_raised(void **state) {
    (void)state;
    char id[MT_ID_SIZE];
    struct world *w = begin(HEAD "flow.define { name = 'buggy', run = function(x)\n"
                                 "  local before = post 'a'\n"
                                 "  local function deep(n) local m = n + 1 return n.x.y end\n"
                                 "  return pcall(error, 'no') and deep(7)\n"
                                 "  or deep(8)\n"
                                 "end }\n"
                                 "flow.define { name = 'fails', run = function(x)\n"
                                 "  local undo = flow.undo(http.post, { url = '" WORLD_BASE
                                 "/undo', body = 'u', idempotency_key = 'u' })\n"
                                 "  post 'a'\n"
                                 "  local why = 'declined'\n"
                                 "  flow.fail(why)\n"
                                 "end }\n");
    mt_copy(id, sizeof id, start_run(w, "buggy", "{}", NULL));
    world_settle(w);
    assert_state(w, id, MT_RUN_NEEDS_ATTENTION);
    json_t *t = travel(w, id, 0);
    is_text(t, "stop", "bug");
    is_number(t, "at", 2);
    shows(variable(t, 0, "locals", "m"), "9");
    assert_non_null(strstr(json_string_value(at_path(t, "traceback")), "shop.lua:8"));
    json_decref(t);

    mt_copy(id, sizeof id, start_run(w, "fails", "{}", NULL));
    world_drive(w);
    assert_state(w, id, MT_RUN_FAILED);
    t = travel(w, id, 0);
    is_text(t, "stop", "failed");
    is_text(t, "error.kind", "declined");
    is_text(t, "then.kind", "fail"); /* and the engine undid: no doing of the script's */
    is_number(t, "effects", 2);
    shows(variable(t, 0, "locals", "why"), "\"declined\"");
    json_decref(t);
    end(w);
}

static void test_a_cancelled_wait(void **state) {
    (void)state;
    char id[MT_ID_SIZE];
    struct mt_run run;
    struct mt_error e;
    struct world *w = begin(shop);
    mt_copy(id, sizeof id, start_run(w, "shop", "{\"amount\":\"80.00 USD\"}", NULL));
    world_settle(w);
    assert_int_equal(mt_engine_cancel(w->engine, id, "changed their mind", &run, &e), 0);
    mt_run_clear(&run);
    world_drive(w);
    assert_state(w, id, MT_RUN_CANCELLED);
    json_t *t = travel(w, id, 0);
    is_text(t, "stop", "end");
    is_text(t, "effect.kind", "sleep");
    is_text(t, "then.kind", "cancel");
    is_text(t, "then.reason", "changed their mind");
    json_decref(t);
    end(w);
}

static void test_segments(void **state) {
    (void)state;
    char id[MT_ID_SIZE];
    struct world *w =
        begin(HEAD "flow.define { name = 'cycle', input = { n = 'integer', pin = 'secret' }, run = "
                   "function(sub)\n"
                   "  local n = sub.n\n"
                   "  post('cycle/' .. n)\n"
                   "  flow.sleep '1m'\n"
                   "  if n < 2 then sub.n = n + 1 flow.continue(sub) end\n"
                   "  return n\n"
                   "end }\n");
    mt_copy(id, sizeof id, start_run(w, "cycle", "{\"n\":0,\"pin\":\"hush-8842\"}", NULL));
    world_drive(w);
    assert_state(w, id, MT_RUN_COMPLETED);
    for (int n = 0; n < 3; n++) {
        json_t *t = travel_with(w, (struct mt_scripts_travel){.run = id, .segment = n, .at = 2});
        char wanted[8];
        mt_format(wanted, sizeof wanted, "%d", n);
        shows(variable(t, 0, "locals", "n"), wanted);
        is_number(t, "segments", 3);
        is_text(t, "effect.kind", "sleep");
        hides(t, "hush-8842");
        json_decref(t);
        t = travel_with(w, (struct mt_scripts_travel){.run = id, .segment = n});
        is_text(t, "stop", n < 2 ? "end" : "returned");
        if (n < 2) is_text(t, "effect.kind", "continue");
        if (n < 2) is_text(t, "then.kind", "continue");
        hides(t, "hush-8842");
        json_decref(t);
    }
    end(w);
}

static void test_secrets_are_never_shown(void **state) {
    (void)state;
    char id[MT_ID_SIZE];
    struct world *w =
        begin(HEAD "flow.define { name = 'hush', input = { pin = 'secret', order = 'string' }, run = "
                   "function(x)\n"
                   "  local copy, list = x.pin, { 'a', x.pin }\n"
                   "  local line = 'the pin is ' .. x.pin .. '.'\n"
                   "  local named = { [x.pin] = true }\n"
                   "  local long = ('y'):rep(294) .. x.pin .. ('y'):rep(100)\n"
                   "  local card = '4242424242424242'\n"
                   "  local number = 4242424242424242\n"
                   "  local password = 'swordfish'\n"
                   "  local part = crypto.unseal(crypto.seal('9921', 'part'), 'part')\n"
                   "  local opened = crypto.unseal(crypto.seal('unsealed-text', 'here'), 'here')\n"
                   "  flow.log('x', { pin = x.pin })\n"
                   "  error('bad pin ' .. x.pin)\n"
                   "end }\n");
    static const char *const secrets[] = {"9921-4477", "4242424242424242", "swordfish", "unsealed-text"};
    mt_copy(id, sizeof id, start_run(w, "hush", "{\"pin\":\"9921-4477\",\"order\":\"R-1\"}", NULL));
    world_settle(w);
    for (int at = 0; at < 3; at++) {
        json_t *t = travel(w, id, at);
        assert_true(json_array_size(json_object_get(t, "frames")) > 0);
        hides(t, secrets[0]);
        hides(t, "9921-4"); /* cut off within it */
        hides(t, "4477");   /* what a shorter secret would leave of it */
        hides(json_object_get(at_path(t, "frames.0"), "locals"), secrets[1]);
        hides(json_object_get(at_path(t, "frames.0"), "locals"), secrets[2]);
        hides(json_object_get(at_path(t, "frames.0"), "locals"), secrets[3]);
        json_decref(t);
    }
    static const char *const paths[] = {"x",     "copy",     "list[2]", "line",
                                        "named", "password", "card",    "opened"};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        json_t *t =
            travel_with(w, (struct mt_scripts_travel){.run = id, .segment = -1, .at = 1, .look = paths[i]});
        for (size_t k = 0; k < 4; k++) hides(json_object_get(t, "look"), secrets[k]);
        json_decref(t);
    }
    end(w);
}

/* Edited code is somebody's own, and could take a secret apart: it is given a stand-in, in which the journal
 * is not held against it. */
static void test_edited_code_is_given_no_secrets(void **state) {
    (void)state;
    static const char before[] =
        HEAD "flow.define { name = 'hush', input = { pin = 'secret' }, run = function(x)\n"
             "  flow.signal('redeem', 'it', { pin = x.pin, box = crypto.seal('in the box', 'place') })\n"
             "  local opened = crypto.unseal(crypto.seal('in the box', 'place'), 'place')\n"
             "  flow.signal('mac', 'it', { mac = crypto.mac 'text' })\n"
             "  flow.sleep '1h'\n"
             "end }\n";
    static const char edited[] =
        HEAD "flow.define { name = 'hush', input = { pin = 'secret' }, run = function(x)\n"
             "  local apart = x.pin:reverse() .. x.pin:gsub('.', '%0 ')\n"
             "  flow.signal('redeem', 'it', { pin = x.pin, box = 'another' })\n"
             "  local mac = crypto.mac 'text'\n"
             "  flow.log(x.pin:rep(2):sub(2, 7))\n"
             "end }\n";
    char id[MT_ID_SIZE];
    struct world *w = begin(before);
    mt_copy(id, sizeof id, start_run(w, "hush", "{\"pin\":\"9921-4477\"}", NULL));
    world_settle(w);
    json_t *t = what_if(w, id, edited);
    is_text(t, "stop", "parted");
    is_number(t, "parted.seq", 2); /* the first agrees but for what stood in */
    assert_true(json_is_true(json_object_get(t, "stand_ins")));
    hides(t, "9921");
    hides(t, "7744-1299"); /* the other way round */
    hides(t, "9 9 2 1");
    json_decref(t);
    t = travel(w, id, 2); /* its own code has the secret, and shows it to nobody */
    is_text(t, "stop", "effect");
    assert_null(json_object_get(t, "stand_ins"));
    hides(t, "9921");
    json_decref(t);
    end(w);
}

static void test_hostile_code(void **state) {
    (void)state;
    static const char *const texts[] = {
        "while true do end",
        "local t = {} while true do t[#t + 1] = ('x'):rep(1000) end",
        "local function f() return 1 + f() end f()",
        "('x'):rep(200):find(('x*'):rep(40) .. 'y')",
        "local t = setmetatable({}, { __index = function() while true do end end, __tostring = error }) t.t "
        "= t "
        "local u = coroutine.wrap(function() local inner = t post 'a' end) u()",
        "local t = {} for i = 1, 100000 do t[i] = { i, t } end post 'a'",
        "local t = {} for i = 1, 30000 do t['k' .. i] = i end local s = ('\\255'):rep(100000) post 'a'",
        "local t = {} for i = 1, 200 do t = { t } end post 'a'",
        "local t = { [{}] = 1, [pairs] = 2 } post 'a'",
    };
    char id[MT_ID_SIZE], text[4096];
    struct world *w = begin(shop);
    mt_copy(id, sizeof id, start_run(w, "shop", "{\"amount\":\"80.00 USD\"}", NULL));
    world_settle(w);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        mt_format(text, sizeof text, "%sflow.define { name = 'shop', run = function(order) %s\nend }", HEAD,
                  texts[i]);
        json_t *t = what_if(w, id, text);
        is_text(t, "stop", i < 4 ? "limit" : "parted");
        char *shown = mt_json_dump(t, NULL);
        assert_true(strlen(shown) < 400000);
        free(shown);
        json_decref(t);
    }
    json_t *t = travel(w, id, 1); /* and all is well afterwards */
    is_text(t, "stop", "effect");
    json_decref(t);
    end(w);
}

static void test_ten_thousand_effects(void **state) {
    (void)state;
    char id[MT_ID_SIZE];
    struct world *w = begin(HEAD "flow.define { name = 'long', run = function(x)\n"
                                 "  for i = 1, 10000 do flow.signal('t', 'k', { i = i }) end\n"
                                 "  flow.sleep '1h'\n"
                                 "end }\n");
    w->options.entries_warn = 20000;
    mt_copy(id, sizeof id, start_run(w, "long", "{}", NULL));
    world_settle(w);
    static const int ats[] = {1, 5000, 9999, 0};
    int64_t from = mt_mono_ns();
    for (int i = 0; i < 4; i++) {
        json_t *t = travel(w, id, ats[i]);
        is_number(t, "at", ats[i] ? ats[i] : 10001);
        is_number(t, "effects", 10001);
        json_decref(t);
    }
    assert_true((mt_mono_ns() - from) / 1000000 < 20000);
    if (getenv("MT_TEST_TIMES"))
        print_message("a travel of 10,000 effects: %d ms\n", (int)((mt_mono_ns() - from) / 4000000));
    end(w);
}

static void *travel_often(void *arg) {
    for (int i = 0; i < 25; i++) {
        struct mt_scripts_travel t = {.run = arg, .segment = -1, .at = i % 4};
        struct mt_error e = {0};
        json_t *out = NULL;
        if (mt_scripts_travel(the.scripts, &t, &out, &e) != 0) return mt_strdup(e.message);
        json_decref(out);
    }
    return NULL;
}

static void test_many_at_once_beside_the_run(void **state) {
    (void)state;
    char id[MT_ID_SIZE];
    pthread_t threads[8];
    struct world *w = begin(shop);
    mt_copy(id, sizeof id, start_run(w, "shop", "{\"amount\":\"80.00 USD\"}", NULL));
    for (int i = 0; i < 8; i++) assert_int_equal(pthread_create(&threads[i], NULL, travel_often, id), 0);
    world_drive(w);
    for (int i = 0; i < 8; i++) {
        void *problem;
        pthread_join(threads[i], &problem);
        if (problem) fail_msg("%s", (char *)problem);
    }
    assert_state(w, id, MT_RUN_COMPLETED);
    assert_int_equal(done_times(w, "/charge/"), 2);
    end(w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stops_at_each_effect),
        cmocka_unit_test(test_coroutines_and_calls_at_once),
        cmocka_unit_test(test_a_killed_run_is_looked_at),
        cmocka_unit_test(test_what_if),
        cmocka_unit_test(test_a_parked_run_shows_where_it_parted),
        cmocka_unit_test(test_bugs_and_failures_stand_where_they_were_raised),
        cmocka_unit_test(test_a_cancelled_wait),
        cmocka_unit_test(test_segments),
        cmocka_unit_test(test_secrets_are_never_shown),
        cmocka_unit_test(test_edited_code_is_given_no_secrets),
        cmocka_unit_test(test_hostile_code),
        cmocka_unit_test(test_ten_thousand_effects),
        cmocka_unit_test(test_many_at_once_beside_the_run),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
