/* Runs over HTTP: start them, wait for them, look at them, and what a person does to them. */
#include "api.h"
#include "base/json.h"
#include "base/text.h"
#include <stdlib.h>
#include <string.h>

enum {
    WAIT_MAX_MS = 5 * 60 * 1000,
    WAIT_SLICE_MS = 1000, /* a waiter notices within so long that the process is stopping */
    LIST_DEFAULT = 100,
    LIST_MAX = 1000,
    ANSWER_MAX = 64 * 1024 * 1024,
};

/* ---- answers ---- */

/* Clears the run. */
static void answer_run(struct mt_runtime *rt, struct mt_response *resp, int status, struct mt_run *run) {
    struct mt_buf b;
    mt_buf_init(&b, ANSWER_MAX);
    mt_run_to_json(rt->engine, run, &b);
    mt_run_clear(run);
    mt_api_answer(resp, status, &b);
}

static int get_run(struct mt_runtime *rt, const struct mt_request *req, struct mt_run *run,
                   struct mt_response *resp) {
    struct mt_error e;
    const char *id = mt_request_param(req, "id");
    if (strlen(id) < MT_ID_SIZE && rt->store->get_run(rt->store, id, run, &e) == 0) return 0;
    if (strlen(id) >= MT_ID_SIZE || e.kind == MT_NOT_FOUND)
        mt_respond_problem(resp, 404, "not_found", "there is no run '%.60s'", id);
    else
        mt_api_fail(resp, &e);
    return -1;
}

/* ---- starting ---- */

/* Reads Idempotency-Key, written as a quoted string (as its standard says) or bare. False: 422 is answered.
 */
static bool read_key(const struct mt_request *req, struct mt_response *resp, char out[MT_KEY_MAX],
                     bool *given) {
    const char *s = mt_headers_get(&req->headers, "Idempotency-Key");
    *given = s != NULL;
    if (!s) return true;
    bool quoted = *s == '"', closed = !quoted, ok = true;
    size_t n = 0;
    for (s += quoted; *s && ok && !(quoted && closed); s++) {
        if (quoted && *s == '"') {
            closed = true;
            continue;
        }
        if (quoted && *s == '\\' && (s[1] == '"' || s[1] == '\\')) s++;
        ok = n < MT_KEY_MAX - 1 && *s >= 0x20 && *s < 0x7f;
        if (ok) out[n++] = *s;
    }
    out[n] = '\0';
    if (ok && closed && !*s && n > 0) return true;
    mt_respond_problem(resp, 422, "invalid_request",
                       "Idempotency-Key: wanted 1 to %d visible ASCII characters, bare or in double quotes",
                       MT_KEY_MAX - 1);
    return false;
}

/* Two starts with one key at the same time: the second is told to come again, as the header's standard says.
 */
static bool begin_starting(struct mt_runtime *rt, struct mt_starting *s) {
    bool taken = false;
    if (!s->key) return true;
    pthread_mutex_lock(&rt->starting_lock);
    for (const struct mt_starting *o = rt->starting; o && !taken; o = o->next)
        taken = strcmp(o->key, s->key) == 0 && strcmp(o->flow, s->flow) == 0;
    if (!taken) {
        s->next = rt->starting;
        rt->starting = s;
    }
    pthread_mutex_unlock(&rt->starting_lock);
    return !taken;
}

static void end_starting(struct mt_runtime *rt, struct mt_starting *s) {
    if (!s->key) return;
    pthread_mutex_lock(&rt->starting_lock);
    struct mt_starting **p = &rt->starting;
    while (*p != s) p = &(*p)->next;
    *p = s->next;
    pthread_mutex_unlock(&rt->starting_lock);
}

static bool at_rest(const struct mt_run *run) {
    return mt_run_ended(run->state) || run->state == MT_RUN_NEEDS_ATTENTION;
}

/* Waits for the run's end; *run is then the run as it is. The caller holds a thread of the server. */
static void wait_for_end(struct mt_runtime *rt, struct mt_run *run, int64_t wait_ms) {
    while (wait_ms > 0 && !at_rest(run) && !atomic_load(&rt->stopping)) {
        struct mt_run now = {0};
        struct mt_error e;
        int64_t slice = wait_ms < WAIT_SLICE_MS ? wait_ms : WAIT_SLICE_MS;
        if (mt_engine_wait(rt->engine, run->id, slice, &now, &e) != 0) break;
        mt_run_clear(run);
        *run = now;
        wait_ms -= slice;
    }
}

/* Starts, and waits a first slice with the start itself: then the end is told to this thread and nothing is
 * read back. A key is "being accepted" until the start has answered, so a start that has one does not wait
 * inside it. */
static int start_run(struct mt_runtime *rt, const struct mt_start *s, int64_t wait_ms, struct mt_run *run,
                     bool *existing, struct mt_error *e) {
    if (wait_ms == 0 || s->key) return mt_engine_start_run(rt->engine, s, run, existing, e);
    return mt_engine_start_wait(rt->engine, s, wait_ms < WAIT_SLICE_MS ? wait_ms : WAIT_SLICE_MS, run,
                                existing, e);
}

static void start(struct mt_runtime *rt, const struct mt_request *req, struct mt_response *resp) {
    char key[MT_KEY_MAX];
    bool keyed, existing = false;
    int64_t wait_ms;
    if (!read_key(req, resp, key, &keyed) || !mt_api_duration(req, resp, "wait", 0, WAIT_MAX_MS, &wait_ms))
        return;
    if (req->body_len && (req->body[0] != '{' || memchr(req->body, 0, req->body_len))) {
        json_t *input = mt_api_body(req, resp); /* the engine takes a text for granted, and an object */
        if (!input) return;
        json_decref(input);
    }
    struct mt_starting starting = {.flow = mt_request_param(req, "flow"), .key = keyed ? key : NULL};
    struct mt_start s = {.flow = starting.flow,
                         .input = req->body_len ? req->body : "{}",
                         .key = starting.key,
                         .waited = wait_ms > 0};
    struct mt_run run = {0};
    struct mt_error e;
    if (!begin_starting(rt, &starting)) {
        mt_respond_problem(resp, 409, "conflict",
                           "a start with this Idempotency-Key is being accepted; ask again");
        mt_headers_set(&resp->headers, "Retry-After", "1");
        return;
    }
    struct mt_server *server = atomic_load(&rt->server);
    if (wait_ms && !mt_server_hold(server))
        wait_ms = 0; /* too many wait already: answer with the run as it is */
    int result = start_run(rt, &s, wait_ms, &run, &existing, &e);
    end_starting(rt, &starting);
    if (result == 0) wait_for_end(rt, &run, wait_ms);
    if (wait_ms) mt_server_release(server);
    if (result != 0) {
        json_t *input = mt_api_body(req, resp); /* what is no JSON is said as everywhere */
        if (!input) return;
        json_decref(input);
        if (e.kind == MT_CONFLICT) /* the key was used with another input, which is the request's fault */
            mt_respond_error(resp, 422, &e);
        else
            mt_api_fail(resp, &e);
        return;
    }
    char location[80];
    mt_format(location, sizeof location, "/v1/runs/%s", run.id);
    mt_headers_set(&resp->headers, "Location", location);
    answer_run(rt, resp, existing ? 200 : 201, &run);
}

/* ---- looking ---- */

static void list(struct mt_runtime *rt, const struct mt_request *req, struct mt_response *resp) {
    char *flow = NULL, *key = NULL, *state_name = NULL, *cursor = NULL;
    struct mt_run *runs = NULL;
    size_t count = 0;
    int64_t limit;
    enum mt_run_state state = MT_RUN_STATE_COUNT;
    struct mt_error e;
    struct mt_run_filter filter = {.state = -1};

    if (mt_api_search(rt, req, resp)) return;
    if (!mt_api_int(req, resp, "limit", LIST_DEFAULT, 1, LIST_MAX, &limit) ||
        !mt_api_text(req, resp, "flow", MT_NAME_MAX, &flow) ||
        !mt_api_text(req, resp, "key", MT_KEY_MAX, &key) ||
        !mt_api_text(req, resp, "state", 32, &state_name) ||
        !mt_api_text(req, resp, "cursor", MT_ID_SIZE, &cursor))
        goto out;
    if (state_name && !mt_run_state_from_name(state_name, &state)) {
        mt_respond_problem(resp, 422, "invalid_request",
                           "parameter state: found '%s', wanted queued, running, sleeping, waiting, "
                           "compensating, completed, "
                           "failed, cancelled or needs_attention",
                           state_name);
        goto out;
    }
    if (state_name) filter.state = (int)state;
    filter.flow = flow;
    filter.key = key;
    filter.limit = (size_t)limit + 1; /* one more tells whether there is a next page */
    if (cursor) mt_copy(filter.before, sizeof filter.before, cursor);
    if (rt->store->list_runs(rt->store, &filter, &runs, &count, &e) != 0) {
        mt_api_fail(resp, &e);
        goto out;
    }
    bool more = count > (size_t)limit;
    size_t shown = more ? (size_t)limit : count;
    struct mt_buf b;
    mt_buf_init(&b, ANSWER_MAX);
    mt_buf_adds(&b, "{\"data\":[");
    for (size_t i = 0; i < shown; i++) {
        if (i) mt_buf_addc(&b, ',');
        mt_run_to_json(rt->engine, &runs[i], &b);
    }
    if (more)
        mt_buf_addf(&b, "],\"next_cursor\":\"%s\"}", runs[shown - 1].id);
    else
        mt_buf_adds(&b, "],\"next_cursor\":null}");
    mt_api_answer(resp, 200, &b);
out:
    for (size_t i = 0; i < count; i++) mt_run_clear(&runs[i]);
    free(runs);
    free(flow);
    free(key);
    free(state_name);
    free(cursor);
}

static void show(struct mt_runtime *rt, const struct mt_request *req, struct mt_response *resp) {
    struct mt_run run = {0};
    int64_t wait_ms;
    if (!mt_api_duration(req, resp, "wait", 0, WAIT_MAX_MS, &wait_ms) || get_run(rt, req, &run, resp) != 0)
        return;
    struct mt_server *server = atomic_load(&rt->server);
    if (wait_ms && !at_rest(&run) && mt_server_hold(server)) {
        wait_for_end(rt, &run, wait_ms);
        mt_server_release(server);
    }
    answer_run(rt, resp, 200, &run);
}

static void journal(struct mt_runtime *rt, const struct mt_request *req, struct mt_response *resp) {
    struct mt_run run = {0};
    struct mt_entry *entries = NULL;
    size_t count = 0;
    int64_t limit, first, segment;
    struct mt_error e;
    if (!mt_api_int(req, resp, "limit", LIST_MAX, 1, 10 * LIST_MAX, &limit) ||
        !mt_api_int(req, resp, "cursor", 0, 0, INT32_MAX, &first) ||
        !mt_api_int(req, resp, "segment", -1, 0, INT32_MAX, &segment) || get_run(rt, req, &run, resp) != 0)
        return;
    if (rt->store->read_journal(rt->store, run.id, (int)segment, &entries, &count, &e) != 0) {
        mt_api_fail(resp, &e);
        goto out;
    }
    struct mt_buf b;
    mt_buf_init(&b, ANSWER_MAX);
    mt_buf_adds(&b, "{\"data\":[");
    size_t end = (size_t)first + (size_t)limit < count ? (size_t)(first + limit) : count;
    for (size_t i = (size_t)first; i < end; i++) {
        if (i > (size_t)first) mt_buf_addc(&b, ',');
        mt_entry_to_json(rt->engine, &entries[i], &b);
    }
    if (end < count)
        mt_buf_addf(&b, "],\"next_cursor\":\"%zu\"}", end);
    else
        mt_buf_adds(&b, "],\"next_cursor\":null}");
    mt_api_answer(resp, 200, &b);
out:
    for (size_t i = 0; i < count; i++) mt_entry_clear(&entries[i]);
    free(entries);
    mt_run_clear(&run);
}

/* ---- steering ---- */

/* Answers the run that a deed has changed, or why it was refused. */
static void answer_deed(struct mt_runtime *rt, struct mt_response *resp, int result, struct mt_run *run,
                        const struct mt_error *e) {
    if (result == 0)
        answer_run(rt, resp, 200, run);
    else
        mt_api_fail(resp, e);
}

static void cancel(struct mt_runtime *rt, const struct mt_request *req, struct mt_response *resp) {
    static const char *const known[] = {"reason", NULL};
    struct mt_run run = {0};
    struct mt_error e;
    json_t *body = mt_api_body(req, resp);
    if (body && mt_api_known(body, known, resp)) {
        const json_t *reason = json_object_get(body, "reason");
        if (reason && (!json_is_string(reason) || json_string_length(reason) > 500))
            mt_respond_problem(resp, 422, "invalid_request", "reason: wanted a text of at most 500 bytes");
        else
            answer_deed(rt, resp,
                        mt_engine_cancel(rt->engine, mt_request_param(req, "id"), json_string_value(reason),
                                         &run, &e),
                        &run, &e);
    }
    json_decref(body);
}

static void retry(struct mt_runtime *rt, const struct mt_request *req, struct mt_response *resp) {
    struct mt_run run = {0};
    struct mt_error e;
    answer_deed(rt, resp, mt_engine_retry(rt->engine, mt_request_param(req, "id"), &run, &e), &run, &e);
}

/* Checks a resolve body. NULL: fine; otherwise what is wrong with it. */
static const char *resolve_problem(const json_t *body, enum mt_outcome *outcome) {
    const json_t *seq = json_object_get(body, "seq"), *error = json_object_get(body, "error");
    *outcome = mt_outcome_from_name(mt_json_str(body, "outcome", ""));
    if (!json_is_integer(seq) || json_integer_value(seq) < 1 || json_integer_value(seq) > INT32_MAX)
        return "seq: wanted the number of a journal entry";
    const json_t *segment = json_object_get(body, "segment");
    if (segment && (!json_is_integer(segment) || json_integer_value(segment) < 0 ||
                    json_integer_value(segment) > INT32_MAX))
        return "segment: wanted the segment of the journal entry";
    if (*outcome != MT_DONE && *outcome != MT_REJECTED && *outcome != MT_NOT_SENT)
        return "outcome: wanted done, rejected or not_sent";
    if (*outcome == MT_DONE && !json_object_get(body, "value"))
        return "value: wanted what the effect answered, since it is done (null if nothing)";
    if (*outcome == MT_DONE && error) return "error: an effect that is done has none";
    if (*outcome != MT_DONE && json_object_get(body, "value"))
        return "value: only an effect that is done has one";
    if (error && !json_is_object(error))
        return "error: wanted an object such as {\"kind\":\"declined\",\"message\":\"...\"}";
    return NULL;
}

static void resolve(struct mt_runtime *rt, const struct mt_request *req, struct mt_response *resp) {
    static const char *const known[] = {"segment", "seq", "outcome", "value", "error", NULL};
    struct mt_run run = {0};
    struct mt_error e;
    enum mt_outcome outcome;
    json_t *body = mt_api_body(req, resp);
    if (body && mt_api_known(body, known, resp)) {
        const char *problem = resolve_problem(body, &outcome);
        const json_t *value = json_object_get(body, "value"), *error = json_object_get(body, "error");
        char *value_text = value ? mt_json_dump(value, NULL) : NULL,
             *error_text = error ? mt_json_dump(error, NULL) : NULL;
        if (problem)
            mt_respond_problem(resp, 422, "invalid_request", "%s", problem);
        else
            answer_deed(rt, resp,
                        mt_engine_resolve(
                            rt->engine, mt_request_param(req, "id"), (int)mt_json_int(body, "segment", -1),
                            (int)mt_json_int(body, "seq", 0), outcome, value_text, error_text, &run, &e),
                        &run, &e);
        free(value_text);
        free(error_text);
    }
    json_decref(body);
}

static const char *signal_problem(const json_t *body) {
    const json_t *topic = json_object_get(body, "topic"), *key = json_object_get(body, "key");
    if (!json_is_string(topic) || json_string_length(topic) == 0 || json_string_length(topic) >= MT_NAME_MAX)
        return "topic: wanted a text of 1 to 63 bytes";
    if (!json_is_string(key) || json_string_length(key) == 0 || json_string_length(key) >= MT_KEY_MAX)
        return "key: wanted a text of 1 to 255 bytes";
    return NULL;
}

static void signal_run(struct mt_runtime *rt, const struct mt_request *req, struct mt_response *resp) {
    static const char *const known[] = {"topic", "key", "payload", NULL};
    struct mt_run run = {0};
    struct mt_error e;
    int64_t n;
    json_t *body = mt_api_body(req, resp);
    if (body && mt_api_known(body, known, resp)) {
        const char *problem = signal_problem(body);
        const json_t *payload = json_object_get(body, "payload");
        char *text = payload ? mt_json_dump(payload, NULL) : mt_strdup("null");
        if (problem)
            mt_respond_problem(resp, 422, "invalid_request", "%s", problem);
        else if (get_run(rt, req, &run, resp) != 0)
            ; /* answered */
        else if (mt_run_ended(run.state))
            mt_respond_problem(resp, 409, "conflict", "the run has ended (%s) and takes no more signals",
                               mt_run_state_name(run.state));
        else if (mt_engine_signal(rt->engine, mt_json_str(body, "topic", ""), mt_json_str(body, "key", ""),
                                  text, NULL, &n, NULL, &e) != 0)
            mt_api_fail(resp, &e);
        else {
            mt_run_clear(&run);
            if (get_run(rt, req, &run, resp) == 0) answer_run(rt, resp, 200, &run);
            run = (struct mt_run){0};
        }
        mt_run_clear(&run);
        free(text);
    }
    json_decref(body);
}

const struct mt_route mt_api_run_routes[] = {
    {"POST", "/v1/flows/{flow}/runs", MT_ADMIN, start},
    {"GET", "/v1/runs", MT_ADMIN, list},
    {"GET", "/v1/runs/{id}", MT_ADMIN, show},
    {"GET", "/v1/runs/{id}/journal", MT_ADMIN, journal},
    {"POST", "/v1/runs/{id}/cancel", MT_ADMIN, cancel},
    {"POST", "/v1/runs/{id}/retry", MT_ADMIN, retry},
    {"POST", "/v1/runs/{id}/resolve", MT_ADMIN, resolve},
    {"POST", "/v1/runs/{id}/signal", MT_ADMIN, signal_run},
    {NULL, NULL, MT_ADMIN, NULL},
};
