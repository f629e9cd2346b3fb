/* A session: its thread takes one message after the other and carries it out in the session's own Lua state.
 * Interrupts and answers do not wait in the queue. Invariant: every message that has an id is answered
 * exactly once, by a result, an error or candidates. Functions say which thread they are for. */
#include "base/json.h"
#include "base/log.h"
#include "base/text.h"
#include "console_private.h"
#include <stdlib.h>
#include <string.h>

enum {
    USER_MAX = 64,
    ANSWER_MAX_MS = 10 * 60 * 1000,
};

/* ---- what is sent ---- */

/* Text as JSON, masked; what is no UTF-8 is replaced. At most `max` bytes of it. */
json_t *console_shown(const char *text, size_t len, size_t max) {
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
    console_send(s, "notice", -1,
                 json_pack("{s:o}", "text", console_shown(text, strlen(text), CONSOLE_TEXT_MAX)));
}

bool console_output(struct console_session *s, const char *text, size_t len) {
    s->printed += len;
    if (s->printed > CONSOLE_OUTPUT_MAX) return false;
    console_send(s, "output", s->id_now,
                 json_pack("{s:o}", "text", console_shown(text, len, CONSOLE_TEXT_MAX)));
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
    console_send(s, "confirm", s->id_now,
                 json_pack("{s:o, s:b}", "text", console_shown(text, strlen(text), CONSOLE_TEXT_MAX),
                           "production", (int)production));
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
        if (moved && !s->stop_all) console_move(s);
        if (!m && !moved) break;
        if (!m) continue;
        console_carry_out(s, m->json);
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
    console_set_width(s, mt_json_int(hello, "width", CONSOLE_WIDTH));
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
    if (read_hello(s, hello, who, e) != 0 || console_open_state(s, e) != 0 || enter(c, s, e) != 0) {
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
