/* What a console does to the world: an operation that is no read becomes a durable run of the flow "console",
 * and whatever can move money is asked for first, saying what, how much, to whom and where. Invariant:
 * nothing that changes anything happens in a read-only session, and a run that was started goes on whatever
 * becomes of the session. On the session's thread, inside an effect. */
#include "base/json.h"
#include "base/log.h"
#include "base/text.h"
#include "bindings/modules/console.h"
#include "bindings/modules/plain.h"
#include "console_private.h"
#include <stdlib.h>
#include <string.h>

enum { QUESTION_MAX = 16 * 1024, LINE_BYTES = 300, PARAMS_SHOWN = 24, SLICE_MS = 200 };

static int refused(struct mt_error *e, enum mt_kind kind, const char *code, const char *text) {
    mt_fail(e, kind, "%s", text);
    mt_copy(e->code, sizeof e->code, code);
    e->outcome = MT_NOT_SENT;
    return -1;
}

/* ---- questions ---- */

static void add_line(struct mt_buf *b, const char *name, const char *text) {
    char line[LINE_BYTES];
    mt_copy(line, sizeof line, text);
    for (char *c = line; *c; c++)
        if ((unsigned char)*c < 0x20) *c = ' ';
    mt_buf_addf(b, "  %-16s %s%s\n", name, line, strlen(text) >= sizeof line ? "..." : "");
}

static void add_value(struct mt_buf *b, const char *name, const json_t *value) {
    struct mt_buf plain;
    struct mt_error e;
    size_t len;
    char *text = mt_json_dump(value, &len);
    mt_buf_init(&plain, 4 * MT_VALUE_MAX);
    if (mt_plain_from_value(text, len, &plain, &e) == 0) {
        size_t quoted = plain.len >= 2 && plain.data[0] == '"' && plain.data[plain.len - 1] == '"';
        if (quoted) plain.data[plain.len - 1] = '\0';
        add_line(b, name, plain.data + quoted);
    }
    mt_buf_clear(&plain);
    free(text);
}

/* The members of an object of JSON text, one a line: those named first, then the rest. */
static void add_members(struct mt_buf *b, const char *json, const char *const *only) {
    struct mt_error e;
    const char *name;
    json_t *object = mt_json_parse(json, strlen(json), &e), *masked = NULL, *value;
    size_t n = 0;
    if (object) masked = mt_json_redact(object);
    json_object_foreach(masked, name, value) {
        bool wanted = !only;
        for (size_t i = 0; only && only[i]; i++) wanted = wanted || strcmp(only[i], name) == 0;
        if (!wanted || json_is_null(value)) continue;
        if (n++ == PARAMS_SHOWN) {
            mt_buf_addf(b, "  ... and %zu more\n", json_object_size(masked) - PARAMS_SHOWN);
            break;
        }
        add_value(b, name, value);
    }
    json_decref(masked);
    json_decref(object);
}

/* The read of the object that an operation is about: "payment_id" is read by payments.retrieve. */
static bool read_of(struct console_session *s, const struct mt_operation_asked *asked, char name[128],
                    char params[512]) {
    static const char *const reads[] = {"retrieve", "get", "read", NULL};
    const char *dot = strchr(asked->name, '.');
    for (const struct mt_param *p = asked->row->params; dot && p && p->name; p++) {
        const char *id = json_string_value(json_object_get(asked->values, p->name));
        const char *end = strstr(p->name, "_id");
        if (!id || strlen(id) > 200) continue;
        for (size_t i = 0; reads[i]; i++) {
            struct mt_error e;
            const struct mt_account *account;
            bool fits =
                end && end[3] == '\0'
                    ? mt_format(name, 128, "%.*s.%.*ss.%s", (int)(dot - asked->name), asked->name,
                                (int)(end - p->name), p->name, reads[i])
                    : strcmp(p->name, "id") == 0 &&
                          mt_format(name, 128, "%.*s.%s", (int)(strrchr(asked->name, '.') - asked->name),
                                    asked->name, reads[i]);
            const struct mt_operation *row =
                fits ? mt_operation_find(s->console->rt->providers, name, &account, &e) : NULL;
            if (!row || !account || mt_operation_repeat(row, NULL) != MT_REPEAT_READ) continue;
            json_t *object = json_pack("{s:s}", p->name, id);
            char *text = mt_json_dump(object, NULL);
            bool ok = mt_operation_check(row, name, object, &e) == 0 && mt_copy(params, 512, text);
            free(text);
            json_decref(object);
            if (ok) return true;
        }
    }
    return false;
}

/* What the provider knows of it now: a refund's question says of how much and of whom. */
static void add_object(struct console_session *s, const struct mt_operation_asked *asked, struct mt_buf *b) {
    static const char *const told[] = {
        "amount",      "amount_received", "amount_captured", "price",       "currency",
        "status",      "state",           "email",           "name",        "customer",
        "customer_id", "reference_id",    "member_nm",       "description", "merchant_order_reference_id",
        NULL};
    char name[128], params[512];
    struct mt_answer a = {.step = MT_STEP_BUG};
    if (!read_of(s, asked, name, params)) return;
    mt_effect_call(s->exec, name, params, strlen(params), "", &a);
    if (a.step == MT_STEP_RAISE) {
        struct mt_error e, ignored;
        json_t *error = mt_json_parse(a.json, a.len, &ignored);
        mt_error_from_json(error, &e);
        json_decref(error);
        mt_buf_addf(b, "as it is now: %s could not be read: %s\n", name, e.message);
    } else if (a.step == MT_STEP_ANSWER) {
        mt_buf_addf(b, "as it is now (%s):\n", name);
        add_members(b, a.json, told);
    }
}

static void question(struct console_session *s, const struct mt_operation_asked *asked, bool production,
                     struct mt_buf *b) {
    const char *dot = strchr(asked->name, '.');
    mt_buf_addf(b, "%s%s\n", asked->name, asked->row->moves_money ? " moves money" : "");
    if (asked->row->doc && *asked->row->doc) mt_buf_addf(b, "%s\n", asked->row->doc);
    add_members(b, asked->shown, NULL);
    if (asked->row->moves_money && !json_object_get(asked->values, "amount") &&
        !json_object_get(asked->values, "price") && !json_object_get(asked->values, "amount_to_capture"))
        add_line(b, "amount", "not given: all of it");
    add_object(s, asked, b);
    const char *url = asked->account->provider->many_hosts ? mt_json_str(asked->values, "url", "")
                                                           : asked->account->base_url;
    mt_buf_addf(b, "at %.*s, %s (%s)\n", (int)(dot - asked->name), asked->name, url,
                production ? "PRODUCTION" : "a sandbox on this machine");
    mt_buf_adds(b, "Go on?");
}

static bool is_production(const struct mt_account *account) {
    return !mt_account_is_local(account) && !account->provider->many_hosts;
}

/* Where the caller names the host, it goes by that. */
static bool goes_to_production(const struct mt_operation_asked *asked) {
    struct mt_account named = *asked->account;
    const char *url = mt_json_str(asked->values, "url", "");
    if (!named.provider->many_hosts) return is_production(asked->account);
    mt_copy(named.base_url, sizeof named.base_url, url);
    return !mt_account_is_local(&named);
}

static int ask(struct console_session *s, const char *text, bool production, struct mt_error *e) {
    if (console_confirm(s, text, production)) return 0;
    return refused(
        e, MT_CANCELLED, "refused",
        s->confirm == CONFIRM_ASK ? "nobody said yes; nothing was done"
        : s->confirm == CONFIRM_NO
            ? "nobody can be asked in this session, and it was not begun with --yes; nothing was done"
            : "nothing was done");
}

static int refuse_read_only(const char *what, struct mt_error *e) {
    char text[200];
    mt_format(text, sizeof text, "this session is read-only: %s was not carried out", what);
    return refused(e, MT_PERMISSION, "read_only", text);
}

/* ---- operations ---- */

static char *run_input(struct console_session *s, const struct mt_operation_asked *asked) {
    struct mt_buf plain;
    struct mt_error e;
    json_t *params = NULL;
    mt_buf_init(&plain, 4 * MT_VALUE_MAX);
    if (mt_plain_from_value(asked->shown, strlen(asked->shown), &plain, &e) == 0)
        params = mt_json_parse(plain.data, plain.len, &e);
    mt_buf_clear(&plain);
    json_t *input =
        json_pack("{s:s, s:s, s:s, s:o, s:s%}", "operation", asked->name, "by", s->user, "session", s->id,
                  "params", params ? params : json_object(), "exact", asked->params, asked->len);
    char *text = input ? mt_json_dump(input, NULL) : NULL;
    json_decref(input);
    return text;
}

/* Waits until it has ended or the command is to end. */
static int wait_run(struct console_session *s, struct mt_run *run, struct mt_error *e) {
    struct mt_engine *g = s->console->rt->engine;
    char id[MT_ID_SIZE];
    mt_copy(id, sizeof id, run->id);
    while (!mt_run_ended(run->state) && run->state != MT_RUN_NEEDS_ATTENTION) {
        if (console_stopped(s)) { /* the command ends with this effect */
            char text[160];
            mt_format(text, sizeof text, "Not waited for any longer; it goes on: runs \"%s\"\n", id);
            console_output(s, text, strlen(text));
            mt_fail(e, MT_CANCELLED, "not waited for any longer; run %s goes on", id);
            e->outcome = MT_UNKNOWN;
            return -1;
        }
        mt_run_clear(run);
        if (mt_engine_wait(g, id, SLICE_MS, run, e) != 0) return -1;
    }
    return 0;
}

/* What the run has come to is what the call answers. */
static int answer_run(struct console_session *s, const struct mt_run *run, struct mt_buf *answer,
                      struct mt_error *e) {
    struct mt_engine *g = s->console->rt->engine;
    if (run->state == MT_RUN_NEEDS_ATTENTION) {
        struct mt_error why = {0}, ignored;
        json_t *error = run->error ? mt_json_parse(run->error, strlen(run->error), &ignored) : NULL;
        if (error) mt_error_from_json(error, &why);
        json_decref(error);
        mt_fail(e, MT_UNAVAILABLE, "run %s needs attention: %.400s", run->id, why.message);
        e->outcome = MT_UNKNOWN;
        return -1;
    }
    if (run->state == MT_RUN_CANCELLED) {
        mt_fail(e, MT_CANCELLED, "run %s was cancelled", run->id);
        return -1;
    }
    int rc = mt_engine_effect_answer(g, run->id, 0, 1, answer, e);
    if (rc >= 0 || run->state == MT_RUN_COMPLETED) return rc;
    if (!run->error) return -1;
    mt_buf_adds(answer, run->error);
    return 1;
}

static int carry_out(struct console_session *s, const struct mt_operation_asked *asked,
                     char run_id[MT_ID_SIZE], struct mt_buf *answer, struct mt_error *e) {
    struct mt_run run;
    bool existing;
    char *input = run_input(s, asked);
    if (!input) return mt_fail(e, MT_INVALID_REQUEST, "%s: its parameters are no text", asked->name);
    struct mt_start start = {.flow = MT_CONSOLE_FLOW, .input = input, .waited = true};
    int rc = mt_engine_start_run(s->console->rt->engine, &start, &run, &existing, e);
    mt_wipe(input, strlen(input));
    free(input);
    if (rc != 0) return -1;
    mt_copy(run_id, MT_ID_SIZE, run.id);
    char text[160];
    mt_format(text, sizeof text, "%s is run %s\n", asked->name, run.id);
    console_output(s, text, strlen(text));
    rc = wait_run(s, &run, e);
    if (rc == 0) {
        rc = answer_run(s, &run, answer, e);
        mt_run_clear(&run);
    }
    return rc;
}

/* How it ended, for the record: what it answered stands in the run's journal. */
static void record_end(struct console_session *s, int64_t n, int rc, const char *run_id,
                       const struct mt_error *e, int64_t ms) {
    char text[800];
    const char *outcome = rc == 0                           ? "done"
                          : rc == 1                         ? "failed"
                          : strcmp(e->code, "refused") == 0 ? "refused"
                          : e->outcome == MT_UNKNOWN        ? "unknown"
                                                            : "failed";
    mt_format(text, sizeof text, "%s%s%s", *run_id ? "run " : "", run_id, rc < 0 && *run_id ? ": " : "");
    if (rc < 0) mt_copy(text + strlen(text), sizeof text - strlen(text), e->message);
    console_audit_end(s, "operation", n, outcome, text, ms);
}

static int operate(void *ctx, const struct mt_operation_asked *asked, struct mt_buf *answer,
                   struct mt_error *e) {
    struct console_session *s = ctx;
    struct mt_buf text;
    bool production = goes_to_production(asked), settled = asked->row->kind == MT_OPERATION_SETTLED;
    char run_id[MT_ID_SIZE] = "";
    int64_t n, began = mt_mono_ns();
    if (s->read_only) return refuse_read_only(asked->name, e);
    if (s->console->rt->o.offline)
        return refused(
            e, MT_UNAVAILABLE, "offline",
            "this console is offline: no run is carried out here, and without one the operation would "
            "not be safe. Start the runtime and attach to it");
    if (console_audit_begin(s, "operation", asked->name, asked->shown, &n, e) != 0) return -1;
    int rc = 0;
    if (!settled && (asked->row->moves_money || asked->row->kind == MT_OPERATION_RELEASE || production)) {
        mt_buf_init(&text, QUESTION_MAX);
        if (s->confirm == CONFIRM_ASK) question(s, asked, production, &text);
        rc = ask(s, text.data, production, e);
        mt_buf_clear(&text);
    }
    if (rc == 0) rc = carry_out(s, asked, run_id, answer, e);
    record_end(s, n, rc, run_id, e, (mt_mono_ns() - began) / 1000000);
    return rc;
}

/* ---- other deeds ---- */

static bool asks(const char *what) {
    return strcmp(what, "flow.start") == 0 || strcmp(what, "deliver") == 0;
}

/* Whom a flow may call: it is not known which of them it does. */
static void add_production(struct mt_runtime *rt, struct mt_buf *b) {
    struct mt_provider_set *set = mt_providers_current(rt->providers);
    const struct mt_provider *row;
    bool any = false;
    for (size_t i = 0; (row = mt_provider_row(set, i)); i++) {
        const struct mt_account *account = mt_provider_account(rt->providers, set, row->name);
        if (!account || !is_production(account)) continue;
        mt_buf_addf(b, "%s %s, %s\n", any ? "           " : "PRODUCTION:", row->name, account->base_url);
        any = true;
    }
    if (!any) mt_buf_adds(b, "All providers are sandboxes on this machine.\n");
    mt_provider_set_release(set);
}

static void end_deed(struct console_session *s, const char *outcome, const char *result) {
    if (s->deed)
        console_audit_end(s, s->deed_what, s->deed, outcome, result, (mt_mono_ns() - s->deed_ns) / 1000000);
    s->deed = 0;
}

static int allow(void *ctx, const char *what, const char *name, const char *json, struct mt_error *e) {
    struct console_session *s = ctx;
    struct mt_buf text;
    if (s->read_only) return refuse_read_only(what, e);
    mt_copy(s->deed_what, sizeof s->deed_what, what);
    s->deed_ns = mt_mono_ns();
    if (console_audit_begin(s, what, name, json, &s->deed, e) != 0) return -1;
    if (!asks(what)) return 0;
    bool production = console_production(s->console->rt, NULL);
    mt_buf_init(&text, QUESTION_MAX);
    mt_buf_addf(&text, "%s \"%s\"\n", what, name);
    add_members(&text, json, NULL);
    if (s->console->rt->o.offline)
        mt_buf_adds(&text, "This console is offline: it begins when a runtime is started on this data.\n");
    add_production(s->console->rt, &text);
    mt_buf_adds(&text, "Go on?");
    int rc = ask(s, text.data, production, e);
    mt_buf_clear(&text);
    if (rc != 0) end_deed(s, "refused", e->message);
    return rc;
}

static void done(void *ctx, const char *what, const char *json, const struct mt_error *e) {
    (void)what;
    end_deed(ctx, json ? "done" : "failed", json ? json : e->message);
}

void console_operator(struct console_session *s, struct mt_operator *out) {
    *out = (struct mt_operator){.ctx = s, .allow = allow, .done = done, .operate = operate};
}

/* ---- what is production ---- */

bool console_production(struct mt_runtime *rt, json_t *names) {
    struct mt_provider_set *set = mt_providers_current(rt->providers);
    const struct mt_provider *row;
    bool any = false;
    for (size_t i = 0; (row = mt_provider_row(set, i)); i++) {
        const struct mt_account *account = mt_provider_account(rt->providers, set, row->name);
        if (!account || !is_production(account)) continue;
        any = true;
        if (names) json_array_append_new(names, json_string(row->name));
    }
    mt_provider_set_release(set);
    return any;
}
