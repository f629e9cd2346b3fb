/* Carrying out a session's messages in its own Lua state, which moves along with the flows. Invariant: every
 * message that has an id is answered exactly once, by a result, an error or candidates. On the session's
 * thread; opening the first state on the one that makes the session. */
#include "base/json.h"
#include "base/text.h"
#include "console_private.h"
#include "embedded.h"
#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>

enum {
    VALUES_MAX = 512 * 1024,
    CODE_MAX = 512 * 1024,
    MOVE_MS = 10000,
    TOLD_MAX = 4 * 1024,
};

static const char key_half[] = "mintage.console"; /* registry: the functions of the Lua half */

/* ---- what a command came to ---- */

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
           json_pack("{s:o, s:s, s:b, s:I}", "text", console_shown(text, len, CONSOLE_TEXT_MAX), "kind", kind,
                     "incomplete", (int)incomplete, "ms", (json_int_t)ms));
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
int console_open_state(struct console_session *s, struct mt_error *e) {
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
           json_pack("{s:o, s:o, s:I, s:I}", "text",
                     console_shown(a->answer.data, a->answer.len, CONSOLE_TEXT_MAX), "values", masked, "n",
                     (json_int_t)a->n, "ms", (json_int_t)ms));
}

void console_set_width(struct console_session *s, int64_t width) {
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
    console_set_width(s, mt_json_int(m, "width", s->width));
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
            json_array_append_new(names, console_shown(name, (size_t)(end - name), 1024));
            if (*end) end++;
        }
    }
    console_send(s, "candidates", id, json_pack("{s:I, s:o}", "start", (json_int_t)a.n, "data", names));
    mt_vm_result_clear(&r);
    asking_clear(&a);
}

/* To the generation that is current now, with what globals can be taken along. */
void console_move(struct console_session *s) {
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
    if (console_open_state(s, &e) != 0) {
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

void console_carry_out(struct console_session *s, json_t *m) {
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
