/* A session: its thread takes one message after the other and carries it out in the session's own Lua state.
 * Interrupts and answers do not wait in the queue. Invariant: every message that has an id is answered
 * exactly once, by a result, an error or candidates. Functions say which thread they are for. */
#include "base/json.h"
#include "base/log.h"
#include "base/text.h"
#include "console_private.h"
#include "embedded.h"
#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>

enum {
    TEXT_MAX = 160 * 1024, /* of a rendered result: escaped as JSON it fits a line */
    VALUES_MAX = 512 * 1024,
    CODE_MAX = 512 * 1024,
    USER_MAX = 64,
    MOVE_MS = 10000,
    TOLD_MAX = 4 * 1024,
    ANSWER_MAX_MS = 10 * 60 * 1000,
};

static const char key_half[] = "mintage.console"; /* registry: the functions of the Lua half */

/* ---- what is sent ---- */

/* Text as JSON, masked; what is no UTF-8 is replaced. At most `max` bytes of it. */
static json_t *shown(const char *text, size_t len, size_t max) {
    struct mt_buf b;
    mt_buf_init(&b, 2 * CONSOLE_LINE_MAX);
    size_t cut = len;
    for (cut = len < max ? len : max; cut > 0 && cut < len && ((unsigned char)text[cut] & 0xc0) == 0x80;)
        cut--;
    for (size_t i = 0; i < cut;) {
        size_t n = mt_utf8_next(text + i, cut - i);
        if (n > 0)
            mt_buf_add(&b, text + i, n);
        else
            mt_buf_adds(&b, "\xef\xbf\xbd");
        i += n > 0 ? n : 1;
    }
    if (cut < len) mt_buf_addf(&b, "\n... %zu bytes more", len - cut);
    mt_mask_digits(b.data, b.len);
    json_t *value = json_stringn(b.data, b.len);
    mt_buf_clear(&b);
    return value ? value : json_string("");
}

void console_send(struct console_session *s, const char *type, int64_t id, json_t *more) {
    json_t *line = json_pack("{s:s}", "type", type);
    if (id >= 0) json_object_set_new(line, "id", json_integer(id));
    if (more) json_object_update(line, more);
    json_decref(more);
    char *text = json_dumps(line, JSON_COMPACT | JSON_PRESERVE_ORDER);
    json_decref(line);
    if (!text) return;
    mt_lock(&s->wire_lock);
    if (!s->deaf && !s->send(s, text, strlen(text))) s->deaf = true;
    mt_unlock(&s->wire_lock);
    free(text);
}

void console_notice(struct console_session *s, const char *text) {
    console_send(s, "notice", -1, json_pack("{s:o}", "text", shown(text, strlen(text), TEXT_MAX)));
}

static void tell(struct console_session *s, const char *outcome, const char *text, size_t len) {
    s->outcome = outcome;
    mt_buf_reset(&s->told);
    mt_buf_add(&s->told, text, len < TOLD_MAX ? len : TOLD_MAX);
}

/* The last message of a command. One that is on record is told of when the record has its end. */
static void answer(struct console_session *s, const char *type, int64_t id, json_t *more) {
    if (s->command == 0) {
        console_send(s, type, id, more);
        return;
    }
    json_decref(s->last_more);
    s->last_type = type;
    s->last_more = more;
}

static void send_error(struct console_session *s, int64_t id, const char *kind, const char *text, size_t len,
                       bool incomplete, int64_t ms) {
    tell(s, strcmp(kind, "interrupted") == 0 ? "interrupted" : "failed", text, len);
    answer(s, "error", id,
           json_pack("{s:o, s:s, s:b, s:I}", "text", shown(text, len, TEXT_MAX), "kind", kind, "incomplete",
                     (int)incomplete, "ms", (json_int_t)ms));
}

bool console_output(struct console_session *s, const char *text, size_t len) {
    s->printed += len;
    if (s->printed > CONSOLE_OUTPUT_MAX) return false;
    console_send(s, "output", s->id_now, json_pack("{s:o}", "text", shown(text, len, TEXT_MAX)));
    return true;
}

/* ---- stopping and asking ---- */

bool console_stopped(struct console_session *s) {
    mt_lock(&s->lock);
    bool stopped = s->stop;
    mt_unlock(&s->lock);
    return stopped || (s->vm && mt_vm_session_stopped(s->vm));
}

bool console_confirm(struct console_session *s, const char *text, bool production) {
    if (s->confirm != CONFIRM_ASK) return s->confirm == CONFIRM_YES;
    mt_lock(&s->lock);
    s->asking = true;
    s->answer = -1;
    mt_unlock(&s->lock);
    console_send(
        s, "confirm", s->id_now,
        json_pack("{s:o, s:b}", "text", shown(text, strlen(text), TEXT_MAX), "production", (int)production));
    int64_t began = mt_mono_ns(), until = began + (int64_t)ANSWER_MAX_MS * 1000000;
    mt_lock(&s->lock);
    while (s->answer < 0 && !s->stop && !s->deaf && mt_mono_ns() < until)
        mt_cond_wait(&s->news, &s->lock, mt_mono_ns() + 500000000);
    bool yes = s->answer == 1 && !s->stop;
    s->asking = false;
    s->active_ns = mt_mono_ns();
    mt_unlock(&s->lock);
    mt_vm_session_extend(s->vm, (mt_mono_ns() - began) / 1000000);
    return yes;
}

/* ---- the state ---- */

struct asking {
    struct console_session *s;
    const char *function; /* of the Lua half */
    const char *text, *more, *third;
    size_t text_len;
    bool flag;
    /* what it answered: a word, a text, an integer and further texts */
    struct mt_buf word, answer, extra;
    int64_t n;
    bool incomplete;
};

static void asking_init(struct asking *a, struct console_session *s, const char *function) {
    *a = (struct asking){.s = s, .function = function};
    mt_buf_init(&a->word, 64);
    mt_buf_init(&a->answer, 16 * 1024 * 1024);
    mt_buf_init(&a->extra, VALUES_MAX);
}

static void asking_clear(struct asking *a) {
    mt_buf_clear(&a->word);
    mt_buf_clear(&a->answer);
    mt_buf_clear(&a->extra);
}

static int push_function(lua_State *L, void *arg) {
    struct asking *a = arg;
    lua_getfield(L, LUA_REGISTRYINDEX, key_half);
    lua_getfield(L, -1, a->function);
    lua_remove(L, -2);
    lua_pushlstring(L, a->text ? a->text : "", a->text ? a->text_len : 0);
    lua_pushboolean(L, a->flag);
    lua_pushstring(L, a->more);
    lua_pushstring(L, a->third);
    return 4;
}

static void take_text(lua_State *L, int index, struct mt_buf *out) {
    size_t len;
    const char *text = lua_type(L, index) == LUA_TSTRING ? lua_tolstring(L, index, &len) : NULL;
    if (text) mt_buf_add(out, text, len);
}

/* word, text, integer, further text, incomplete */
static int take_answer(lua_State *L, void *arg) {
    struct asking *a = arg;
    take_text(L, 1, &a->word);
    take_text(L, 2, &a->answer);
    a->n = lua_isinteger(L, 3) ? lua_tointeger(L, 3) : 0;
    take_text(L, 4, &a->extra);
    a->incomplete = lua_toboolean(L, 5);
    return 0;
}

const struct mt_asset *console_asset(const char *name) {
    for (const struct mt_asset *a = mt_embedded_console; a->path; a++)
        if (strcmp(a->path, name) == 0) return a;
    return NULL;
}

static int push_half(lua_State *L, void *arg) {
    const struct asking *a = arg;
    const struct mt_asset *asset = console_asset("session.lua");
    if (luaL_loadbufferx(L, (const char *)asset->data, asset->len, "=console.session", "t") != LUA_OK)
        return lua_error(L);
    console_native_push(L, a->s);
    return 1;
}

static int take_half(lua_State *L, void *arg) {
    (void)arg;
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    lua_setfield(L, LUA_REGISTRYINDEX, key_half);
    return 0;
}

/* Runs a function of the Lua half. */
static void run(struct asking *a, int64_t timeout_ms, struct mt_vm_result *r) {
    struct console_session *s = a->s;
    struct mt_engine *g = s->console->rt->engine;
    s->exec = mt_handler_begin(g, "console");
    mt_handler_generation(s->exec, mt_generation_id(s->generation));
    struct mt_operator operator;
    console_operator(s, &operator);
    mt_handler_operator(s->exec, &operator);
    struct mt_vm_call call = {
        .push = a->function ? push_function : push_half,
        .take = a->function ? take_answer : take_half,
        .arg = a,
        .context = s->exec,
    };
    mt_vm_session_run(s->vm, &call, timeout_ms, r);
    mt_handler_end(s->exec);
    s->exec = NULL;
}

/* The session's state on the current generation. */
static int open_state(struct console_session *s, struct mt_error *e) {
    struct mt_runtime *rt = s->console->rt;
    struct mt_generation *g = mt_scripts_current(rt->scripts);
    if (!g) return mt_fail(e, MT_UNAVAILABLE, "no flows are loaded, so there is nothing to work with");
    struct mt_vm_session *vm = mt_vm_session_new(rt->vm, g, e);
    if (!vm) {
        mt_generation_release(g);
        return -1;
    }
    mt_lock(&s->lock);
    struct mt_vm_session *old = s->vm;
    s->vm = vm;
    mt_unlock(&s->lock);
    mt_vm_session_free(old);
    if (s->generation) mt_generation_release(s->generation);
    s->generation = g;
    struct asking a;
    struct mt_vm_result r;
    asking_init(&a, s, NULL);
    run(&a, MOVE_MS, &r);
    int rc = r.exit == MT_EXIT_RETURNED ? 0
                                        : mt_fail(e, MT_INTERNAL, "the console's own scripts failed: %s",
                                                  r.exit == MT_EXIT_RAISED ? r.error.data : r.message);
    mt_vm_result_clear(&r);
    asking_clear(&a);
    return rc;
}

/* ---- carrying out ---- */

/* What an execution that did not return is to be told as. */
static void failed(struct console_session *s, const struct mt_vm_result *r, const char *code, int64_t id,
                   int64_t ms) {
    const char *kind = "runtime";
    char text[1200];
    mt_copy(text, sizeof text, r->message);
    if (r->exit == MT_EXIT_LIMIT) kind = "limit";
    if (r->exit == MT_EXIT_LEFT && r->code == MT_VM_STOPPED) {
        kind = "interrupted";
        mt_format(text, sizeof text, "interrupted%s%s", r->site[0] ? " at " : "", r->site);
    } else if (r->exit == MT_EXIT_LEFT && r->code == MT_VM_DEADLINE) {
        kind = "timeout";
        char limit[48];
        mt_format_duration(s->timeout_ms, limit, sizeof limit);
        mt_format(text, sizeof text, "stopped after %s%s%s", limit, r->site[0] ? ", at " : "", r->site);
    } else if (r->exit == MT_EXIT_LEFT) {
        kind = "unavailable";
        mt_copy(text, sizeof text,
                "the command could not be carried out: the runtime stops, or its store failed");
    }
    struct asking a;
    struct mt_vm_result rendered;
    asking_init(&a, s, "failure");
    bool raised = r->exit == MT_EXIT_RAISED;
    a.text = raised ? r->error.data : text;
    a.text_len = raised ? r->error.len : strlen(text);
    a.flag = raised;
    a.more = r->exit == MT_EXIT_BUG ? r->traceback : r->site;
    a.third = code;
    mt_lock(&s->lock);
    s->stop = s->stop_all;
    if (!s->stop) mt_vm_session_go_on(s->vm);
    mt_unlock(&s->lock);
    run(&a, MOVE_MS, &rendered);
    if (rendered.exit == MT_EXIT_RETURNED && a.answer.len > 0)
        send_error(s, id, strcmp(kind, "runtime") == 0 && a.word.len ? a.word.data : kind, a.answer.data,
                   a.answer.len, false, ms);
    else
        send_error(s, id, kind, a.text, a.text_len, false, ms);
    mt_vm_result_clear(&rendered);
    asking_clear(&a);
}

static void returned(struct console_session *s, struct asking *a, int64_t id, int64_t ms) {
    if (strcmp(a->word.data, "result") != 0) {
        send_error(s, id, a->word.data, a->answer.data, a->answer.len, a->incomplete, ms);
        return;
    }
    struct mt_error e;
    json_t *values =
        a->extra.len && mt_buf_ok(&a->extra) ? mt_json_parse(a->extra.data, a->extra.len, &e) : NULL;
    json_t *masked = values ? mt_json_redact(values) : json_array();
    json_decref(values);
    const struct mt_buf *told = a->answer.len ? &a->answer : &a->extra; /* values as JSON */
    tell(s, "done", told->data, told->len);
    answer(s, "result", id,
           json_pack("{s:o, s:o, s:I, s:I}", "text", shown(a->answer.data, a->answer.len, TEXT_MAX), "values",
                     masked, "n", (json_int_t)a->n, "ms", (json_int_t)ms));
}

static void set_width(struct console_session *s, int64_t width) {
    s->width = width < 40 ? 40 : width > 500 ? 500 : (int)width;
}

/* Carries the code out, once it is in the record. */
static void eval_code(struct console_session *s, struct asking *a, int64_t timeout_ms, int64_t id) {
    struct mt_vm_result r;
    struct mt_error e;
    const char *code = a->text + strspn(a->text, "\n"); /* those keep the numbers of a script's lines */
    if (console_audit_begin(s, "command", NULL, code, &s->command, &e) != 0) {
        s->command = 0;
        send_error(s, id, "unavailable", e.message, strlen(e.message), false, 0);
        return;
    }
    s->printed = 0;
    s->granted = false;
    int64_t began = mt_mono_ns();
    run(a, timeout_ms, &r);
    int64_t ms = (mt_mono_ns() - began) / 1000000;
    if (r.exit == MT_EXIT_RETURNED)
        returned(s, a, id, ms);
    else
        failed(s, &r, a->text, id, ms);
    mt_vm_result_clear(&r);
    console_audit_end(s, "command", s->command, s->outcome, s->told.data, ms);
    s->command = 0;
    console_send(s, s->last_type, id, s->last_more);
    s->last_more = NULL;
}

static void eval(struct console_session *s, json_t *m, int64_t id) {
    struct asking a;
    char width[16];
    const char *code = mt_json_str(m, "code", NULL);
    int64_t timeout_ms = mt_json_int(m, "timeout_ms", s->timeout_ms);
    if (!code || strlen(code) > CODE_MAX || timeout_ms < 1 || timeout_ms > CONSOLE_TIMEOUT_MAX_MS) {
        static const char why[] =
            "eval wants code, a string of at most 512 KiB, and timeout_ms of at most an hour";
        send_error(s, id, "protocol", why, sizeof why - 1, false, 0);
        return;
    }
    asking_init(&a, s, "eval");
    a.text = code;
    a.text_len = strlen(code);
    a.flag = mt_json_bool(m, "json", false);
    set_width(s, mt_json_int(m, "width", s->width));
    mt_format(width, sizeof width, "%d", s->width);
    a.more = width;
    eval_code(s, &a, timeout_ms, id);
    asking_clear(&a);
}

static void complete(struct console_session *s, json_t *m, int64_t id) {
    struct asking a;
    struct mt_vm_result r;
    const char *text = mt_json_str(m, "text", "");
    json_t *names = json_array();
    asking_init(&a, s, "complete");
    a.text = text;
    a.text_len = strlen(text);
    run(&a, 2000, &r);
    if (r.exit == MT_EXIT_RETURNED) { /* one name a line */
        for (char *name = a.answer.data, *end; *name; name = end) {
            end = name + strcspn(name, "\n");
            json_array_append_new(names, shown(name, (size_t)(end - name), 1024));
            if (*end) end++;
        }
    }
    console_send(s, "candidates", id, json_pack("{s:I, s:o}", "start", (json_int_t)a.n, "data", names));
    mt_vm_result_clear(&r);
    asking_clear(&a);
}

/* To the generation that is current now, with what globals can be taken along. */
static void move(struct console_session *s) {
    struct asking a;
    struct mt_vm_result r;
    struct mt_error e;
    struct mt_generation *g = mt_scripts_current(s->console->rt->scripts);
    bool same = !g || strcmp(mt_generation_id(g), mt_generation_id(s->generation)) == 0;
    if (g) mt_generation_release(g);
    if (same) return;
    asking_init(&a, s, "pack");
    run(&a, MOVE_MS, &r);
    bool packed = r.exit == MT_EXIT_RETURNED && mt_buf_ok(&a.answer);
    mt_vm_result_clear(&r);
    if (open_state(s, &e) != 0) {
        console_notice(s, e.message);
    } else {
        char text[700];
        struct asking b;
        asking_init(&b, s, "unpack");
        b.text = packed ? a.answer.data : "{}";
        b.text_len = strlen(b.text);
        run(&b, MOVE_MS, &r);
        mt_vm_result_clear(&r);
        asking_clear(&b);
        mt_format(text, sizeof text, "the flows have changed; this session uses generation %.19s now%s%s",
                  mt_generation_id(s->generation), a.extra.len ? "; not taken along: " : "",
                  a.extra.len ? a.extra.data : "");
        console_notice(s, text);
    }
    asking_clear(&a);
}

static void carry_out(struct console_session *s, json_t *m) {
    const char *op = mt_json_str(m, "op", "");
    int64_t id = mt_json_int(m, "id", -1);
    s->id_now = id;
    if (strcmp(op, "eval") == 0) {
        eval(s, m, id);
    } else if (strcmp(op, "complete") == 0) {
        complete(s, m, id);
    } else {
        static const char why[] =
            "there is no such op; there are eval, complete, interrupt, answer and bye, after one hello";
        send_error(s, id, "protocol", why, sizeof why - 1, false, 0);
    }
}

/* ---- the thread ---- */

static struct console_message *next_message(struct console_session *s, bool *moved) {
    mt_lock(&s->lock);
    s->running = false;
    s->stop = s->stop_all;
    while (!s->first && !s->stop_all && !s->moved) mt_cond_wait(&s->news, &s->lock, MT_NO_DEADLINE);
    *moved = s->moved;
    s->moved = false;
    struct console_message *m = s->stop_all || *moved ? NULL : s->first;
    if (m) {
        s->first = m->next;
        if (!s->first) s->last = NULL;
        s->queued--;
    }
    s->running = m != NULL;
    if (m && s->stop_next) {
        s->stop = true;
        s->stop_next = false;
        mt_vm_session_stop(s->vm);
    } else if (!s->stop) {
        mt_vm_session_go_on(s->vm);
    }
    mt_unlock(&s->lock);
    return m;
}

static void *session_main(void *arg) {
    struct console_session *s = arg;
    for (;;) {
        bool moved;
        struct console_message *m = next_message(s, &moved);
        if (moved && !s->stop_all) move(s);
        if (!m && !moved) break;
        if (!m) continue;
        carry_out(s, m->json);
        json_decref(m->json);
        free(m);
    }
    mt_lock(&s->lock);
    s->ended = true;
    mt_cond_broadcast(&s->news);
    mt_unlock(&s->lock);
    return NULL;
}

/* ---- messages ---- */

bool console_session_take(struct console_session *s, json_t *message) {
    const char *op = mt_json_str(message, "op", "");
    bool bye = strcmp(op, "bye") == 0, full = false;
    int64_t id = mt_json_int(message, "id", -1);
    mt_lock(&s->lock);
    s->active_ns = mt_mono_ns();
    if (bye || strcmp(op, "interrupt") == 0) {
        s->stop = s->running;
        s->stop_next = !s->running && s->first; /* it is about to be taken */
        if (s->running) mt_vm_session_stop(s->vm);
    } else if (strcmp(op, "answer") == 0) {
        if (s->asking && s->answer < 0) s->answer = mt_json_bool(message, "yes", false);
    } else if (s->queued >= CONSOLE_QUEUE_MAX) {
        full = true;
    } else {
        struct console_message *m = mt_calloc(1, sizeof *m);
        m->json = message; /* handed on: two threads do not count the users of one value */
        message = NULL;
        if (s->last)
            s->last->next = m;
        else
            s->first = m;
        s->last = m;
        s->queued++;
    }
    mt_cond_broadcast(&s->news);
    mt_unlock(&s->lock);
    json_decref(message);
    if (full) /* past the command that runs, whose last message is the session's thread's */
        console_send(s, "error", id,
                     json_pack("{s:s, s:s, s:b, s:i}", "text",
                               "64 messages wait already; read the answers first", "kind", "limit",
                               "incomplete", 0, "ms", 0));
    return !bye;
}

/* ---- life ---- */

static int read_hello(struct console_session *s, const json_t *hello, const char *who, struct mt_error *e) {
    const char *confirm = mt_json_str(hello, "confirm", "ask"), *name = mt_json_str(hello, "user", "");
    if (strcmp(mt_json_str(hello, "op", ""), "hello") != 0)
        return mt_fail(e, MT_INVALID_REQUEST,
                       "the first message is {\"op\":\"hello\",\"version\":1}, found op '%.40s'",
                       mt_json_str(hello, "op", ""));
    if (mt_json_int(hello, "version", 1) != 1)
        return mt_fail(e, MT_INVALID_REQUEST, "version: found %lld, this runtime speaks 1",
                       (long long)mt_json_int(hello, "version", 1));
    if (strlen(name) > USER_MAX || name[strcspn(name, "\r\n\t\x1b")])
        return mt_fail(e, MT_INVALID_REQUEST, "user: wanted at most %d bytes on one line", USER_MAX);
    if (strcmp(confirm, "ask") != 0 && strcmp(confirm, "yes") != 0 && strcmp(confirm, "no") != 0)
        return mt_fail(e, MT_INVALID_REQUEST, "confirm: found '%.20s', wanted ask, yes or no", confirm);
    s->confirm = *confirm == 'a' ? CONFIRM_ASK : *confirm == 'y' ? CONFIRM_YES : CONFIRM_NO;
    set_width(s, mt_json_int(hello, "width", CONSOLE_WIDTH));
    s->color = mt_json_bool(hello, "color", false);
    s->read_only = mt_json_bool(hello, "read_only", false);
    s->timeout_ms = mt_json_int(hello, "timeout_ms", CONSOLE_TIMEOUT_MS);
    if (s->timeout_ms < 1 || s->timeout_ms > CONSOLE_TIMEOUT_MAX_MS)
        return mt_fail(e, MT_INVALID_REQUEST, "timeout_ms: wanted 1 to %d", CONSOLE_TIMEOUT_MAX_MS);
    mt_copy(s->who, sizeof s->who, *name ? name : who);
    mt_format(s->user, sizeof s->user, "%s%s%s%s", name, *name ? " (" : "", who, *name ? ")" : "");
    return 0;
}

json_t *console_hello(struct console_session *s) {
    struct mt_runtime *rt = s->console->rt;
    struct mt_error e;
    json_t *names = json_array(), *flows = json_array(), *row;
    bool production = console_production(rt, names);
    const char *registered = mt_generation_registry(s->generation);
    json_t *registry = mt_json_parse(registered, strlen(registered), &e);
    size_t i;
    json_array_foreach(registry, i, row) {
        if (strcmp(mt_json_str(row, "kind", ""), "flow") == 0)
            json_array_append(flows, json_object_get(row, "name"));
    }
    json_decref(registry);
    return json_pack("{s:i, s:s, s:s, s:s, s:s, s:o, s:b, s:s, s:o}", "version", 1, "session", s->id,
                     "prompt", "mintage", "data", rt->o.data, "mode", production ? "production" : "sandbox",
                     "production", names, "read_only", (int)s->read_only, "generation",
                     mt_generation_id(s->generation), "flows", flows);
}

static int enter(struct mt_console *c, struct console_session *s, struct mt_error *e) {
    int rc = 0;
    mt_lock(&c->lock);
    if (c->stopping) {
        rc = mt_fail(e, MT_UNAVAILABLE, "the runtime stops");
    } else if (c->count >= CONSOLE_SESSIONS_MAX) {
        rc = mt_fail(e, MT_LIMIT, "there are %d sessions already; end one first", CONSOLE_SESSIONS_MAX);
    } else {
        s->next = c->sessions;
        c->sessions = s;
        c->count++;
    }
    mt_unlock(&c->lock);
    return rc;
}

/* The first session that `fits`, taken out: nobody finds it any more, but it still counts. NULL: none. */
static struct console_session *
take_out(struct mt_console *c, bool (*fits)(struct console_session *s, const void *), const void *arg) {
    mt_lock(&c->lock);
    struct console_session **at = &c->sessions;
    while (*at && !fits(*at, arg)) at = &(*at)->next;
    struct console_session *s = *at;
    if (s) *at = s->next;
    mt_unlock(&c->lock);
    return s;
}

static bool is_same(struct console_session *s, const void *arg) {
    return s == arg;
}

static bool is_named(struct console_session *s, const void *id) {
    return s->http && strcmp(s->id, id) == 0;
}

static bool is_http(struct console_session *s, const void *arg) {
    (void)arg;
    return s->http;
}

static bool is_idle(struct console_session *s, const void *arg) {
    (void)arg;
    if (!s->http || s->users > 0) return false;
    mt_lock(&s->lock);
    bool idle = !s->running && mt_mono_ns() - s->active_ns > (int64_t)CONSOLE_IDLE_MS * 1000000;
    mt_unlock(&s->lock);
    return idle;
}

static void uncount(struct mt_console *c) {
    mt_lock(&c->lock);
    c->count--;
    mt_cond_broadcast(&c->gone);
    mt_unlock(&c->lock);
}

struct console_session *console_session_find(struct mt_console *c, const char *id) {
    mt_lock(&c->lock);
    struct console_session *s = c->sessions;
    while (s && !(s->http && strcmp(s->id, id) == 0)) s = s->next;
    if (s) s->users++;
    mt_unlock(&c->lock);
    return s;
}

void console_session_release(struct console_session *s) {
    struct mt_console *c = s->console;
    mt_lock(&c->lock);
    s->users--;
    mt_cond_broadcast(&c->gone);
    mt_unlock(&c->lock);
}

static void free_session(struct console_session *s) {
    for (struct console_message *m = s->first, *next; m; m = next) {
        next = m->next;
        json_decref(m->json);
        free(m);
    }
    mt_vm_session_free(s->vm);
    if (s->generation) mt_generation_release(s->generation);
    mt_buf_clear(&s->told);
    pthread_cond_destroy(&s->news);
    pthread_mutex_destroy(&s->lock);
    pthread_mutex_destroy(&s->wire_lock);
    if (s->hang_up) s->hang_up(s);
    free(s);
}

struct console_session *
console_session_new(struct mt_console *c, const json_t *hello, const char *who, const char *via,
                    bool (*send)(struct console_session *s, const char *line, size_t len), void *wire,
                    struct mt_error *e) {
    struct mt_runtime *rt = c->rt;
    struct console_session *s = mt_calloc(1, sizeof *s);
    s->console = c;
    s->send = send;
    s->wire = wire;
    s->active_ns = mt_mono_ns();
    mt_format(s->via, sizeof s->via, "%s %s", via, who);
    s->http = strcmp(via, "http") == 0;
    mt_buf_init(&s->told, 64 * 1024);
    mt_id_new("con_", rt->clock->wall_ms(rt->clock), mt_random_system(), s->id);
    pthread_mutex_init(&s->lock, NULL);
    pthread_mutex_init(&s->wire_lock, NULL);
    mt_cond_init(&s->news);
    if (read_hello(s, hello, who, e) != 0 || open_state(s, e) != 0 || enter(c, s, e) != 0) {
        free_session(s);
        return NULL;
    }
    if (!s->http) console_send(s, "hello", -1, console_hello(s));
    int failed = mt_thread_start(&s->thread, 0, session_main, s);
    if (failed == 0) {
        mt_info("console opened", "session", s->id, "user", s->user, "via", s->via);
        return s;
    }
    take_out(c, is_same, s);
    uncount(c);
    mt_fail(e, MT_INTERNAL, "cannot start a thread: %s", strerror(failed));
    free_session(s);
    return NULL;
}

static void tell_to_end(struct console_session *s) {
    mt_lock(&s->lock);
    s->stop = s->stop_all = true;
    if (s->running) mt_vm_session_stop(s->vm);
    mt_cond_broadcast(&s->news);
    mt_unlock(&s->lock);
}

/* Stops what runs, waits for the thread and for those who use it, frees. */
static void finish(struct console_session *s) {
    struct mt_console *c = s->console;
    tell_to_end(s);
    mt_lock(&c->lock);
    while (s->users > 0) mt_cond_wait(&c->gone, &c->lock, MT_NO_DEADLINE);
    mt_unlock(&c->lock);
    mt_thread_join(s->thread);
    mt_info("console closed", "session", s->id, "user", s->user);
    free_session(s);
    uncount(c);
}

void console_session_end(struct console_session *s) {
    take_out(s->console, is_same, s);
    finish(s);
}

bool console_end_named(struct mt_console *c, const char *id) {
    struct console_session *s = take_out(c, is_named, id);
    if (s) finish(s);
    return s != NULL;
}

void console_end_idle(struct mt_console *c) {
    struct console_session *s;
    while ((s = take_out(c, is_idle, NULL))) finish(s);
}

void console_end_http(struct mt_console *c) {
    struct console_session *s;
    while ((s = take_out(c, is_http, NULL))) finish(s);
}
