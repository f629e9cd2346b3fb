/* The log of events over HTTP: what has happened outside, which of it no run has read, and one event once
 * more for the runs that wait for its like. */
#include "api.h"
#include "base/json.h"
#include "base/log.h"
#include "base/text.h"
#include <stdlib.h>
#include <string.h>

enum { LIST_DEFAULT = 100, LIST_MAX = 1000, ANSWER_MAX = 64 * 1024 * 1024 };

static void clear_events(struct mt_event *events, size_t count) {
    for (size_t i = 0; i < count; i++) mt_event_clear(&events[i]);
    free(events);
}

/* ---- the list ---- */

static void answer_list(struct mt_response *resp, const struct mt_event *found, size_t shown, bool more) {
    struct mt_buf b;
    mt_buf_init(&b, ANSWER_MAX);
    mt_buf_adds(&b, "{\"data\":[");
    for (size_t i = 0; i < shown; i++) {
        if (i) mt_buf_addc(&b, ',');
        mt_event_to_json(&found[i], &b);
    }
    if (more)
        mt_buf_addf(&b, "],\"next_cursor\":\"%lld\"}", (long long)found[shown - 1].n);
    else
        mt_buf_adds(&b, "],\"next_cursor\":null}");
    mt_api_answer(resp, 200, &b);
}

/* ?unread, ?late; the late ones are few, and may have been read since. */
static bool which_of(const struct mt_request *req, struct mt_response *resp, enum mt_event_filter *which) {
    bool unread, late;
    if (!mt_api_flag(req, resp, "unread", &unread) || !mt_api_flag(req, resp, "late", &late)) return false;
    if (unread && late) {
        mt_respond_problem(resp, 422, "invalid_request", "wanted unread or late, not both");
        return false;
    }
    *which = late ? MT_EVENTS_LATE : unread ? MT_EVENTS_UNREAD : MT_EVENTS_ALL;
    return true;
}

/* Newest first; cursor goes back in time. ?after=N answers what came after event N, oldest first, for those
 * who follow. */
static void list(struct mt_runtime *rt, const struct mt_request *req, struct mt_response *resp) {
    char *topic = NULL, *key = NULL;
    int64_t limit, cursor, after;
    enum mt_event_filter which;
    struct mt_event *found = NULL;
    size_t count = 0;
    struct mt_error e;
    if (!mt_api_int(req, resp, "limit", LIST_DEFAULT, 1, LIST_MAX, &limit) ||
        !mt_api_int(req, resp, "cursor", 0, 1, INT64_MAX, &cursor) ||
        !mt_api_int(req, resp, "after", -1, 0, INT64_MAX, &after) || !which_of(req, resp, &which) ||
        !mt_api_text(req, resp, "topic", MT_NAME_MAX, &topic) ||
        !mt_api_text(req, resp, "key", MT_KEY_MAX, &key))
        goto out;
    bool newest = after < 0;
    if (rt->store->list_events(rt->store, topic, key, newest ? cursor : after, newest, which,
                               (size_t)limit + 1, &found, &count, &e) != 0) {
        mt_api_fail(resp, &e);
        goto out;
    }
    bool more = count > (size_t)limit;
    answer_list(resp, found, more ? (size_t)limit : count, more);
out:
    clear_events(found, count);
    free(topic);
    free(key);
}

/* ---- one event ---- */

/* The event numbered n; false: an answer says why not. */
static bool get(struct mt_runtime *rt, int64_t n, struct mt_event *out, struct mt_response *resp) {
    struct mt_event *found = NULL;
    size_t count = 0;
    struct mt_error e;
    if (rt->store->list_events(rt->store, NULL, NULL, n - 1, false, MT_EVENTS_ALL, 1, &found, &count, &e) !=
        0) {
        mt_api_fail(resp, &e);
        return false;
    }
    bool there = count == 1 && found[0].n == n;
    if (there) {
        *out = found[0];
        count = 0; /* its texts are the caller's now */
    } else {
        mt_respond_problem(resp, 404, "not_found", "there is no event %lld", (long long)n);
    }
    clear_events(found, count);
    return there;
}

/* The number in the path; false: an answer says what was wanted. */
static bool number(const struct mt_request *req, struct mt_response *resp, int64_t *n) {
    const char *text = mt_request_param(req, "n");
    if (text && mt_parse_int(text, 1, INT64_MAX, n)) return true;
    mt_respond_problem(resp, 404, "not_found", "'%.40s' is not the number of an event", text ? text : "");
    return false;
}

static void answer_event(struct mt_response *resp, int status, const struct mt_event *event) {
    struct mt_buf b;
    mt_buf_init(&b, ANSWER_MAX);
    mt_event_to_json(event, &b);
    mt_api_answer(resp, status, &b);
}

static void show(struct mt_runtime *rt, const struct mt_request *req, struct mt_response *resp) {
    int64_t n;
    struct mt_event event;
    if (!number(req, resp, &n) || !get(rt, n, &event, resp)) return;
    answer_event(resp, 200, &event);
    mt_event_clear(&event);
}

/* ---- once more ---- */

/* Whether an event of this topic only says that there is something to read: then it may come any number of
 * times. All others are believed as they are, so one more of them is one more renewal, one more order. */
static bool is_hint(struct mt_runtime *rt, const char *topic) {
    struct mt_provider_set *set = mt_providers_current(rt->providers);
    bool hint = mt_provider_hints(set, topic);
    mt_provider_set_release(set);
    return hint;
}

/* Whether the body allows to add one more of an event that counts; -1: an answer says what is wrong with it.
 */
static int asked_again(const struct mt_request *req, struct mt_response *resp) {
    static const char *const known[] = {"again", NULL};
    json_t *body = mt_api_body(req, resp);
    int result = -1;
    if (body && mt_api_known(body, known, resp)) {
        const json_t *again = json_object_get(body, "again");
        if (again && !json_is_boolean(again))
            mt_respond_problem(resp, 422, "invalid_request", "again: wanted true or false");
        else
            result = json_is_true(again);
    }
    json_decref(body);
    return result;
}

/* A new event with the topic, key and payload of an old one, which stays as it is. It has no source: it is
 * said on purpose, so nothing takes it for a duplicate. Whoever waits for its topic and key wakes. */
static void redeliver(struct mt_runtime *rt, const struct mt_request *req, struct mt_response *resp) {
    int64_t n, copy;
    char from[24], to[24];
    struct mt_event event, added;
    struct mt_error e;
    int again = asked_again(req, resp);
    if (again < 0 || !number(req, resp, &n) || !get(rt, n, &event, resp)) return;
    if (!again && !is_hint(rt, event.topic)) {
        mt_respond_problem(
            resp, 409, "conflict",
            "events of %s are believed as they are, so a flow that counts them would count this "
            "one twice; say {\"again\":true} if that is meant",
            event.topic);
    } else if (mt_engine_signal(rt->engine, event.topic, event.key, event.payload, NULL, &copy, NULL, &e) !=
               0) {
        mt_api_fail(resp, &e);
    } else {
        mt_format(from, sizeof from, "%lld", (long long)n);
        mt_format(to, sizeof to, "%lld", (long long)copy);
        mt_info("an event was delivered again", "event", from, "as", to, "topic", event.topic);
        if (get(rt, copy, &added, resp)) {
            answer_event(resp, 201, &added);
            mt_event_clear(&added);
        }
    }
    mt_event_clear(&event);
}

const struct mt_route mt_api_event_routes[] = {
    {"GET", "/v1/events", MT_ADMIN, list},
    {"GET", "/v1/events/{n}", MT_ADMIN, show},
    {"POST", "/v1/events/{n}/redeliver", MT_ADMIN, redeliver},
    {NULL, NULL, MT_ADMIN, NULL},
};
