/* mintage events: list, show, redeliver. Each is a row: its arguments and its function. */
#include "asking.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/text.h"
#include "program.h"
#include "terminal.h"
#include <stdlib.h>
#include <string.h>

enum { COLUMN_MAX = 64, TEXT_MAX = 260 };

static void relative(const json_t *event, int64_t now, char *out, size_t size) {
    int64_t at = 0;
    mt_time_parse(mt_json_str(event, "at", ""), &at);
    mt_relative_time(at, now, out, size);
}

/* A member's text as a terminal may have it: what came from outside may hold control characters, and more
 * than a line. */
static const char *shown(const char *text, char out[TEXT_MAX]) {
    mt_copy(out, TEXT_MAX, text);
    for (char *c = out; *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f) *c = '?';
    return out;
}

/* ---- list ---- */

/* The widest text of a member, within bounds. */
static size_t widest(const json_t *events, const char *member) {
    const json_t *event;
    size_t i, width = 4;
    json_array_foreach(events, i, event) {
        size_t columns = mt_columns(mt_json_str(event, member, ""));
        if (columns > width) width = columns;
    }
    return width < COLUMN_MAX ? width : COLUMN_MAX;
}

/* What a payload says of itself, in a word: the provider's name for the event, or its status. */
static const char *gist(const json_t *event) {
    const json_t *payload = json_object_get(event, "payload");
    return mt_json_str(payload, "event", mt_json_str(payload, "status", ""));
}

static bool is_unread(const json_t *event) {
    return mt_json_int(event, "readers", 0) == 0;
}

static bool is_left_state(const char *late) {
    return strcmp(late, "unhandled") == 0;
}

/* It came when its run had ended, and nothing looks after it. */
static bool is_left(const json_t *event) {
    return is_left_state(mt_json_str(json_object_get(event, "late"), "state", ""));
}

static void print_row(struct mt_asking *x, const json_t *event, int64_t now, size_t topic, size_t key) {
    char when[64], n[24], text[TEXT_MAX];
    relative(event, now, when, sizeof when);
    mt_format(n, sizeof n, "%lld", (long long)mt_json_int(event, "n", 0));
    printf("%s%s%s ", is_left(event) ? x->colors->red : x->colors->yellow,
           is_left(event)     ? "!"
           : is_unread(event) ? "*"
                              : " ",
           x->colors->reset);
    mt_print_padded(stdout, n, 6);
    printf("  ");
    mt_print_padded(stdout, shown(mt_json_str(event, "topic", ""), text), topic);
    printf("  ");
    mt_print_padded(stdout, shown(mt_json_str(event, "key", ""), text), key);
    printf("  %s", x->colors->dim);
    mt_print_padded(stdout, when, 15);
    printf("%s  %s\n", x->colors->reset, shown(gist(event), text));
}

static void print_list(struct mt_asking *x, const json_t *answer) {
    const json_t *events = json_object_get(answer, "data"), *event;
    size_t i, unread = 0, left = 0, topic = widest(events, "topic"), key = widest(events, "key");
    int64_t now = mt_client_now(&x->client);
    json_array_foreach(events, i, event) {
        print_row(x, event, now, topic, key);
        left += is_left(event);
        unread += is_unread(event) && !is_left(event);
    }
    if (json_array_size(events) == 0) printf("There are no such events\n");
    if (unread > 0) printf("%s*%s no run has read it\n", x->colors->yellow, x->colors->reset);
    if (left > 0)
        printf("%s!%s it came when its run had ended, and nothing looks after it\n", x->colors->red,
               x->colors->reset);
    if (json_is_string(json_object_get(answer, "next_cursor"))) printf("There are more; ask with --limit\n");
}

static int list(struct mt_asking *x, struct mt_error *e) {
    struct mt_buf path;
    mt_buf_init(&path, 4096);
    mt_buf_addf(&path, "/v1/events?limit=%lld", (long long)mt_config_int(x->config, "limit"));
    mt_add_filter(&path, "topic", mt_config_str(x->config, "topic"));
    mt_add_filter(&path, "key", mt_config_str(x->config, "key"));
    if (mt_config_bool(x->config, "unread")) mt_add_filter(&path, "unread", "true");
    if (mt_config_bool(x->config, "late")) mt_add_filter(&path, "late", "true");
    json_t *answer = mt_buf_ok(&path) ? mt_client_call(&x->client, "GET", path.data, NULL, NULL, e)
                                      : mt_fail_null(e, MT_USAGE, "--topic and --key are too long");
    mt_buf_clear(&path);
    if (!answer) return -1;
    if (x->json)
        mt_print_json(answer);
    else
        print_list(x, answer);
    json_decref(answer);
    return 0;
}

/* ---- one event ---- */

static int event_number(const struct mt_asking *x, long long *n, struct mt_error *e) {
    int64_t value;
    if (!mt_parse_int(x->argv[0], 1, INT64_MAX, &value))
        return mt_fail(e, MT_USAGE, "'%.40s' is not the number of an event; mintage events list shows them",
                       x->argv[0]);
    *n = value;
    return 0;
}

static void print_late(struct mt_asking *x, const json_t *late) {
    const char *state = mt_json_str(late, "state", "");
    if (!late) return;
    printf("  late     %sfor run %s, which had ended; %s%s\n", is_left_state(state) ? x->colors->red : "",
           mt_json_str(late, "run", ""),
           is_left_state(state)            ? "its flow has no late handler: a person has to look"
           : strcmp(state, "handled") == 0 ? "its flow's late handler was started"
                                           : "its flow's late handler is about to be started",
           is_left_state(state) ? x->colors->reset : "");
}

static void print_event(struct mt_asking *x, const json_t *event) {
    char when[64], topic[TEXT_MAX], key[TEXT_MAX], source[TEXT_MAX];
    int64_t readers = mt_json_int(event, "readers", 0), bytes = mt_json_int(event, "raw_bytes", 0);
    relative(event, mt_client_now(&x->client), when, sizeof when);
    printf("%sevent %lld%s  %s %s\n", x->colors->bold, (long long)mt_json_int(event, "n", 0),
           x->colors->reset, shown(mt_json_str(event, "topic", ""), topic),
           shown(mt_json_str(event, "key", ""), key));
    printf("  came     %s (%s)\n", mt_json_str(event, "at", ""), when);
    if (readers > 0)
        printf("  read by  %lld run%s\n", (long long)readers, readers == 1 ? "" : "s");
    else
        printf("  %sno run has read it%s\n", x->colors->yellow, x->colors->reset);
    print_late(x, json_object_get(event, "late"));
    if (mt_json_str(event, "source", NULL))
        printf("  known by %s\n", shown(mt_json_str(event, "source", ""), source));
    if (bytes > 0) printf("  came in  a body of %lld bytes\n", (long long)bytes);
    mt_print_json(json_object_get(event, "payload"));
}

static int show(struct mt_asking *x, struct mt_error *e) {
    char path[64];
    long long n = 0;
    if (event_number(x, &n, e) != 0) return -1;
    mt_format(path, sizeof path, "/v1/events/%lld", n);
    json_t *event = mt_client_call(&x->client, "GET", path, NULL, NULL, e);
    if (!event) return -1;
    if (x->json)
        mt_print_json(event);
    else
        print_event(x, event);
    json_decref(event);
    return 0;
}

static int redeliver(struct mt_asking *x, struct mt_error *e) {
    char path[64], topic[TEXT_MAX], key[TEXT_MAX];
    long long n = 0;
    bool again = mt_config_bool(x->config, "again");
    if (event_number(x, &n, e) != 0) return -1;
    mt_format(path, sizeof path, "/v1/events/%lld/redeliver", n);
    json_t *event = mt_client_call(&x->client, "POST", path, again ? "{\"again\":true}" : "{}", NULL, e);
    if (!event && e->kind == MT_CONFLICT && !again)
        return mt_fail(e, MT_CONFLICT,
                       "event %lld is more than a hint: a flow that counts such events would count it twice; "
                       "say --again if that is meant",
                       n);
    if (!event) return -1;
    if (x->json)
        mt_print_json(event);
    else
        printf("Event %lld came again as event %lld, for the runs that wait for %s %s\n", n,
               (long long)mt_json_int(event, "n", 0), shown(mt_json_str(event, "topic", ""), topic),
               shown(mt_json_str(event, "key", ""), key));
    json_decref(event);
    return 0;
}

/* ---- which ---- */

static const struct mt_action actions[] = {
    {"list", "", 0, 0, list},
    {"show", "N", 1, 0, show},
    {"redeliver", "N", 1, 0, redeliver},
};

int mt_events_command(const struct mt_command *self, struct mt_config *config, int argc, const char **argv) {
    return mt_act(self, actions, sizeof actions / sizeof actions[0], config, argc, argv);
}
