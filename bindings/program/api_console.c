/* The console over HTTP: a session is a resource, each message a request, its answers the lines of the
 * response, streamed. Invariant: one request at a time streams a session's lines; those that nobody waits for
 * stay for the next, up to a limit. Any thread. */
#include "api.h"
#include "base/json.h"
#include "base/log.h"
#include "base/text.h"
#include "console_private.h"
#include <stdlib.h>
#include <string.h>

enum { WIRE_MAX = 8 * 1024 * 1024, LOOK_MS = 250 };

struct wire {
    pthread_mutex_t lock;
    pthread_cond_t news;
    struct mt_buf lines;
    bool streaming;
    int64_t wanted;   /* the message whose last answer ends the stream */
    bool last_is_out; /* it is among the lines */
};

/* ---- lines out ---- */

/* Whether the line is the last that a message is answered with: as console_send writes it. */
static bool ends_message(const char *line, int64_t id) {
    static const char *const last[] = {"result", "error", "candidates"};
    char start[64];
    for (size_t i = 0; i < sizeof last / sizeof last[0]; i++) {
        mt_format(start, sizeof start, "{\"type\":\"%s\",\"id\":%lld,", last[i], (long long)id);
        if (strncmp(line, start, strlen(start)) == 0) return true;
    }
    return false;
}

static bool send_line(struct console_session *s, const char *line, size_t len) {
    struct wire *w = s->wire;
    mt_lock(&w->lock);
    if (w->lines.len + len + 1 > WIRE_MAX && !w->streaming)
        mt_buf_reset(&w->lines); /* notices nobody fetched */
    mt_buf_add(&w->lines, line, len);
    mt_buf_addc(&w->lines, '\n');
    bool ok = mt_buf_ok(&w->lines);
    if (ends_message(line, w->wanted)) w->last_is_out = true;
    mt_cond_broadcast(&w->news);
    mt_unlock(&w->lock);
    return ok;
}

static void free_wire(struct console_session *s) {
    struct wire *w = s->wire;
    mt_buf_clear(&w->lines);
    pthread_cond_destroy(&w->news);
    pthread_mutex_destroy(&w->lock);
    free(w);
}

/* ---- beginning and end of a session ---- */

static struct mt_console *console_or_refuse(struct mt_runtime *rt, struct mt_response *resp) {
    struct mt_console *c = atomic_load(&rt->console);
    if (!c) mt_respond_problem(resp, 503, "unavailable", "this runtime has no console");
    return c;
}

static void open_session(struct mt_runtime *rt, const struct mt_request *req, struct mt_response *resp) {
    struct mt_console *c = console_or_refuse(rt, resp);
    json_t *hello = c ? mt_api_body(req, resp) : NULL;
    struct mt_error e;
    char who[96];
    if (!hello) return;
    struct wire *w = mt_calloc(1, sizeof *w);
    pthread_mutex_init(&w->lock, NULL);
    mt_cond_init(&w->news);
    mt_buf_init(&w->lines, WIRE_MAX);
    w->wanted = -1;
    mt_format(who, sizeof who, "admin token, %s", req->remote);
    struct console_session *s = console_session_new(c, hello, who, "http", send_line, w, &e);
    json_decref(hello);
    if (!s) {
        struct console_session none = {.wire = w};
        free_wire(&none);
        mt_respond_error(resp, e.kind == MT_LIMIT ? 429 : mt_status_for(&e), &e);
        return;
    }
    s->hang_up = free_wire;
    json_t *answer = console_hello(s);
    char *text = json_dumps(answer, JSON_COMPACT | JSON_PRESERVE_ORDER);
    mt_respond_json(resp, 201, text, strlen(text));
    free(text);
    json_decref(answer);
}

static void end_session(struct mt_runtime *rt, const struct mt_request *req, struct mt_response *resp) {
    struct mt_console *c = console_or_refuse(rt, resp);
    if (!c) return;
    if (console_end_named(c, mt_request_param(req, "id")))
        resp->status = 204;
    else
        mt_respond_problem(resp, 404, "not_found",
                           "there is no such console; it may have been idle for long");
}

/* ---- a message ---- */

struct streaming {
    struct mt_runtime *rt;
    struct console_session *s;
};

/* Takes what is there; false: the last answer was among it. */
static bool write_lines(struct wire *w, struct mt_stream *stream, bool *gone) {
    size_t len;
    mt_lock(&w->lock);
    if (w->lines.len == 0 && !w->last_is_out)
        mt_cond_wait(&w->news, &w->lock, mt_mono_ns() + (int64_t)LOOK_MS * 1000000);
    bool last = w->last_is_out;
    char *text = w->lines.len ? mt_buf_take(&w->lines, &len) : NULL;
    if (last) w->streaming = false;
    mt_unlock(&w->lock);
    if (text && !*gone) *gone = mt_stream_write(stream, text, len) != 0;
    free(text);
    *gone = *gone || mt_stream_closing(stream);
    return !last;
}

static void stop(struct console_session *s) {
    console_session_take(s, json_pack("{s:s}", "op", "interrupt"));
}

static void stream_answers(void *ctx, struct mt_stream *stream) {
    struct streaming *x = ctx;
    bool gone = false, stopped = false;
    while (write_lines(x->s->wire, stream, &gone)) {
        if (gone && !stopped) stop(x->s); /* nobody hears what it comes to; it is waited for all the same */
        stopped = gone;
    }
    console_session_release(x->s);
    mt_server_release(atomic_load(&x->rt->server));
    free(x);
}

static bool begin_stream(struct console_session *s, int64_t id) {
    struct wire *w = s->wire;
    mt_lock(&w->lock);
    bool free_now = !w->streaming;
    if (free_now) {
        w->streaming = true;
        w->wanted = id;
        w->last_is_out = false;
    }
    mt_unlock(&w->lock);
    return free_now;
}

/* Takes the message. False: it was refused; the session is the caller's to release. */
static bool answer_message(struct mt_runtime *rt, struct console_session *s, json_t *message,
                           struct mt_response *resp) {
    int64_t id = mt_json_int(message, "id", -1);
    const char *op = mt_json_str(message, "op", "");
    if (strcmp(op, "eval") != 0 && strcmp(op, "complete") != 0) {
        bool known = strcmp(op, "interrupt") == 0 || strcmp(op, "answer") == 0;
        if (known)
            console_session_take(s, json_deep_copy(message));
        else
            mt_respond_problem(resp, 422, "invalid_request",
                               "op: found '%.40s', wanted eval, complete, interrupt or answer", op);
        if (known) resp->status = 204;
        return false;
    }
    if (id < 0) {
        mt_respond_problem(resp, 422, "invalid_request", "id: wanted an integer from 0, for the answers");
        return false;
    }
    if (!mt_server_hold(atomic_load(&rt->server))) {
        mt_respond_problem(resp, 503, "unavailable", "too many requests wait for long answers");
        return false;
    }
    if (!begin_stream(s, id)) {
        mt_server_release(atomic_load(&rt->server));
        mt_respond_problem(resp, 409, "conflict", "another message of this console is still being answered");
        return false;
    }
    console_session_take(s, json_deep_copy(message));
    struct streaming *x = mt_calloc(1, sizeof *x);
    *x = (struct streaming){rt, s};
    mt_headers_set(&resp->headers, "Content-Type", "application/x-ndjson");
    mt_headers_set(&resp->headers, "Cache-Control", "no-store");
    mt_headers_set(&resp->headers, "X-Accel-Buffering", "no");
    resp->stream = stream_answers;
    resp->stream_ctx = x;
    return true;
}

static void take_message(struct mt_runtime *rt, const struct mt_request *req, struct mt_response *resp) {
    struct mt_console *c = console_or_refuse(rt, resp);
    json_t *message = c ? mt_api_body(req, resp) : NULL;
    if (!message) return;
    struct console_session *s = console_session_find(c, mt_request_param(req, "id"));
    if (!s)
        mt_respond_problem(resp, 404, "not_found",
                           "there is no such console; it may have been idle for long");
    else if (!answer_message(rt, s, message, resp))
        console_session_release(s);
    json_decref(message);
}

const struct mt_route mt_api_console_routes[] = {
    {"POST", "/v1/console", MT_ADMIN, open_session},
    {"POST", "/v1/console/{id}", MT_ADMIN, take_message},
    {"DELETE", "/v1/console/{id}", MT_ADMIN, end_session},
    {NULL, NULL, MT_ADMIN, NULL},
};
