/* Telling a run's story. See story.h. A kind of entry is a row: its verb, and where its object comes from. */
#include "story.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/text.h"
#include <stdlib.h>
#include <string.h>

enum { WHAT_MAX = 400, BRIEF_MAX = 110, LONG_TEXT = 48, COLUMN_MAX = 64 };

static const struct {
    const char *kind, *verb;
} verbs[] = {
    {"call", "calls"},
    {"read", "reads"},
    {"sleep", "sleeps"},
    {"await", "waits for"},
    {"start", "starts"},
    {"find", "looks at"},
    {"signal", "signals"},
    {"progress", "tells"},
    {"undo", "is ready to undo with"},
    {"compensate", "undoes with"},
    {"collection", "keeps"},
    {"all", "calls at once"},
    {"settled", "waits until it settles:"},
    {"log", "notes"},
    {"continue", "goes on in a new segment"},
    {"pure", "computes"},
    {"cancel", "is cancelled"},
};

const char *mt_story_color(const struct mt_colors *c, const char *state) {
    if (strcmp(state, "completed") == 0) return c->green;
    if (strcmp(state, "failed") == 0 || strcmp(state, "needs_attention") == 0) return c->red;
    if (strcmp(state, "cancelled") == 0 || strcmp(state, "compensating") == 0) return c->yellow;
    return c->cyan;
}

/* A value as a person writes it: text without quotes, lists by their length. */
static void add_plain(struct mt_buf *b, const json_t *value) {
    if (json_is_string(value)) {
        mt_buf_adds(b, json_string_value(value));
    } else if (json_is_array(value)) {
        size_t n = json_array_size(value);
        mt_buf_addf(b, "(%zu %s)", n, n == 1 ? "entry" : "entries");
    } else if (json_is_object(value)) {
        mt_buf_addf(b, "{%zu %s}", json_object_size(value),
                    json_object_size(value) == 1 ? "member" : "members");
    } else {
        char *text = mt_json_dump(value, NULL);
        mt_buf_adds(b, text);
        free(text);
    }
}

/* "amount 114.00 USD, reference_id SHOP-1", cut to `max` columns. */
static void add_brief(struct mt_buf *out, const json_t *value, size_t max) {
    const char *key, *separator = "";
    json_t *member;
    struct mt_buf b;
    char cut[512];
    mt_buf_init(&b, 65536);
    if (json_is_object(value)) {
        json_object_foreach((json_t *)value, key, member) {
            char within[64];
            if (json_is_null(member) || json_string_length(member) > LONG_TEXT)
                continue; /* URLs and the like */
            mt_buf_addf(&b, "%s%s ", separator, key);
            mt_format_duration(json_integer_value(member), within, sizeof within);
            if (strcmp(key, "within") == 0 && json_is_integer(member))
                mt_buf_adds(&b, within);
            else
                add_plain(&b, member);
            separator = ", ";
        }
    } else if (value && !json_is_null(value)) {
        add_plain(&b, value);
    }
    bool whole = mt_copy(cut, max < sizeof cut ? max : sizeof cut, b.data);
    mt_buf_addf(out, "%s%s", cut, whole ? "" : "...");
    mt_buf_clear(&b);
}

/* ---- one entry ---- */

static void add_names(struct mt_buf *b, const json_t *object) {
    const char *key, *separator = " ";
    json_t *value;
    json_object_foreach((json_t *)object, key, value) {
        mt_buf_addf(b, "%s%s", separator, key);
        separator = ", ";
    }
}

/* "calls mintro.intents.create", "sleeps 30 days", "waits for order/1001". */
static void add_what(struct mt_buf *b, const json_t *entry) {
    const char *kind = mt_json_str(entry, "kind", ""), *name = mt_json_str(entry, "name", NULL), *verb = kind;
    const json_t *params = json_object_get(entry, "params");
    for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++) {
        if (strcmp(verbs[i].kind, kind) == 0) verb = verbs[i].verb;
    }
    mt_buf_adds(b, verb);
    if (strcmp(kind, "progress") == 0 && json_is_object(params)) {
        add_names(b, params);
        return;
    }
    if (strcmp(kind, "log") == 0) {
        mt_buf_addf(b, " \"%s\"", mt_json_str(params, "message", name ? name : ""));
        return;
    }
    if (name) mt_buf_addf(b, " %s", name);
}

/* "done", "not sent: the card was declined", "no answer yet". */
static void add_outcome(struct mt_buf *b, const struct mt_colors *c, const json_t *entry) {
    const char *outcome = mt_json_str(entry, "outcome", NULL);
    const json_t *error = json_object_get(entry, "error");
    if (!outcome) {
        mt_buf_addf(b, "%sno answer yet%s", c->yellow, c->reset);
    } else if (strcmp(outcome, "done") == 0) {
        mt_buf_addf(b, "%sdone%s", c->green, c->reset);
    } else {
        mt_buf_addf(b, "%s%s%s", c->red, strcmp(outcome, "not_sent") == 0 ? "not sent" : outcome, c->reset);
        if (json_is_object(error))
            mt_buf_addf(b, ": %s, %s", mt_json_str(error, "kind", "error"),
                        mt_json_str(error, "message", ""));
    }
}

static int64_t time_of(const json_t *obj, const char *name) {
    int64_t ms = 0;
    const char *text = mt_json_str(obj, name, NULL);
    return text && mt_time_parse(text, &ms) ? ms : 0;
}

/* "+0.120 s", "+3 days": since the run began. */
static void add_since(char out[24], int64_t from, int64_t at) {
    int64_t ms = at > from ? at - from : 0;
    static const struct {
        int64_t ms;
        const char *unit;
    } units[] = {{24LL * 3600 * 1000, "d"}, {3600LL * 1000, "h"}, {60LL * 1000, "min"}};
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        if (ms < units[i].ms) continue;
        mt_format(out, 24, "+%lld.%lld %s", (long long)(ms / units[i].ms),
                  (long long)(ms % units[i].ms * 10 / units[i].ms), units[i].unit);
        return;
    }
    mt_format(out, 24, "+%lld.%03lld s", (long long)(ms / 1000), (long long)(ms % 1000));
}

static size_t what_width(const json_t *entries) {
    size_t i, width = 10;
    const json_t *entry;
    json_array_foreach(entries, i, entry) {
        struct mt_buf b;
        mt_buf_init(&b, WHAT_MAX);
        add_what(&b, entry);
        size_t columns = mt_columns(b.data);
        if (columns > width) width = columns;
        mt_buf_clear(&b);
    }
    return width < COLUMN_MAX ? width : COLUMN_MAX;
}

static void print_detail(FILE *out, const struct mt_colors *c, const char *mark, const char *text) {
    if (text[0]) fprintf(out, "  %4s  %-10s  %s%s%s%s\n", "", "", c->dim, mark, text, c->reset);
}

/* What was asked, how often it had to be sent, and what came back: a line each, where there is something to
 * say. */
static void print_details(FILE *out, const struct mt_colors *c, const json_t *entry) {
    const char *kind = mt_json_str(entry, "kind", "");
    const json_t *meta = json_object_get(entry, "meta"), *result = json_object_get(entry, "result");
    struct mt_buf b;
    mt_buf_init(&b, 2048);
    if (strcmp(kind, "log") != 0 && strcmp(kind, "await") != 0 && strcmp(kind, "progress") != 0)
        add_brief(&b, json_object_get(entry, "params"), BRIEF_MAX);
    print_detail(out, c, "", b.data);
    mt_buf_reset(&b);
    if (mt_json_int(meta, "sends", 0) > 1)
        mt_buf_addf(&b, "sent %lld times, the same bytes each time, until an answer came",
                    (long long)mt_json_int(meta, "sends", 0));
    print_detail(out, c, "", b.data);
    mt_buf_reset(&b);
    if (mt_json_int(meta, "asked", 0) > 0)
        mt_buf_addf(&b, "asked %lld times what became of it", (long long)mt_json_int(meta, "asked", 0));
    print_detail(out, c, "", b.data);
    mt_buf_reset(&b);
    add_brief(&b, result, BRIEF_MAX);
    print_detail(out, c, "-> ", b.data);
    mt_buf_clear(&b);
}

static void print_entry(FILE *out, const struct mt_colors *c, const json_t *entry, int64_t began,
                        size_t width) {
    char since[24];
    struct mt_buf what, outcome;
    const char *line = mt_json_str(entry, "line", NULL);
    mt_buf_init(&what, WHAT_MAX);
    mt_buf_init(&outcome, 2048);
    add_since(since, began, time_of(entry, "at"));
    add_what(&what, entry);
    add_outcome(&outcome, c, entry);
    fprintf(out, "  %4lld  %s%-10s%s  ", (long long)mt_json_int(entry, "seq", 0), c->dim, since, c->reset);
    mt_print_padded(out, what.data, width);
    fprintf(out, "  %s", outcome.data);
    if (line) fprintf(out, "  %s%s%s", c->dim, line, c->reset);
    fputc('\n', out);
    print_details(out, c, entry);
    mt_buf_clear(&what);
    mt_buf_clear(&outcome);
}

/* Moves to newer code that happened before this entry: none of them is one. */
static void print_moves(FILE *out, const struct mt_colors *c, const json_t *moves, size_t *told,
                        int64_t segment, int64_t seq) {
    for (; *told < json_array_size(moves); (*told)++) {
        const json_t *move = json_array_get(moves, *told);
        int64_t of = mt_json_int(move, "segment", 0);
        if (of > segment || (of == segment && mt_json_int(move, "after", 0) >= seq)) return;
        fprintf(out, "        %smoved to newer code, %.19s, at %s%s\n", c->cyan, mt_json_str(move, "to", ""),
                mt_json_str(move, "at", ""), c->reset);
    }
}

/* ---- around them ---- */

/* An object has a line a member. */
static void print_value(FILE *out, const char *label, const json_t *value) {
    const char *key;
    json_t *member;
    struct mt_buf b;
    if (!value || json_is_null(value)) return;
    mt_buf_init(&b, 4096);
    if (!json_is_object(value)) {
        add_brief(&b, value, 400);
        mt_mask_digits(b.data, b.len);
        fprintf(out, "  %-9s %s\n", label, b.data);
    }
    json_object_foreach((json_t *)value, key, member) {
        mt_buf_reset(&b);
        if (json_is_object(member))
            add_brief(&b, member, 200);
        else
            add_plain(&b, member);
        mt_mask_digits(b.data, b.len);
        if (!json_is_null(member)) fprintf(out, "  %-9s %-14s %s\n", label, key, b.data);
        label = "";
    }
    mt_buf_clear(&b);
}

static void print_head(FILE *out, const struct mt_colors *c, const json_t *run, int64_t now) {
    const char *state = mt_json_str(run, "state", ""), *key = mt_json_str(run, "key", NULL);
    const char *shown = strcmp(state, "needs_attention") == 0 ? "needs attention" : state;
    char ago[64];
    int64_t began = time_of(run, "created_at");
    mt_relative_time(began, now, ago, sizeof ago);
    fprintf(out, "%s%s%s  %s%s%s  %s%s%s\n", c->bold, mt_json_str(run, "flow", ""), c->reset,
            mt_story_color(c, state), shown, c->reset, c->dim, mt_json_str(run, "id", ""), c->reset);
    if (key) fprintf(out, "  %-9s %s\n", "key", key);
    fprintf(out, "  %-9s %s (%s)\n", "began", ago, mt_json_str(run, "created_at", ""));
    if (mt_json_str(run, "generation", NULL))
        fprintf(out, "  %-9s %.19s\n", "code", mt_json_str(run, "generation", ""));
    print_value(out, "input", json_object_get(run, "input"));
    print_value(out, "progress", json_object_get(run, "progress"));
}

/* The entry that has no answer, which is the one a person may have to settle. */
static const json_t *open_entry(const json_t *entries) {
    for (size_t i = json_array_size(entries); i-- > 0;) {
        const json_t *entry = json_array_get(entries, i);
        const char *outcome = mt_json_str(entry, "outcome", NULL);
        if (!outcome || strcmp(outcome, "unknown") == 0) return entry;
    }
    return NULL;
}

static void print_advice(FILE *out, const struct mt_colors *c, const json_t *run, const json_t *entries) {
    const char *id = mt_json_str(run, "id", "");
    const json_t *open = open_entry(entries);
    const char *kind = mt_json_str(json_object_get(run, "error"), "kind", "");
    fprintf(out, "\n  %sWhat to do next%s\n", c->bold, c->reset);
    if (open && strcmp(mt_json_str(open, "kind", ""), "log") != 0) {
        long long seq = mt_json_int(open, "seq", 0);
        fprintf(out, "    Look at the provider what became of %s (entry %lld), then one of\n",
                mt_json_str(open, "name", "it"), seq);
        fprintf(out,
                "      mintage runs resolve %s %lld --outcome done --value '{...}'   it happened; this is "
                "its answer\n",
                id, seq);
        fprintf(out,
                "      mintage runs resolve %s %lld --outcome not_sent               it did not; the "
                "script hears so\n",
                id, seq);
    }
    if (strcmp(kind, "script") == 0 || strcmp(kind, "mismatch") == 0)
        fprintf(out,
                "    Mend the flow, then take this run to the newer code (it keeps its own otherwise)\n"
                "      mintage runs migrate %s\n",
                id);
    fprintf(out, "      mintage runs retry %s    carry on from where it stopped\n", id);
    fprintf(out, "      mintage runs cancel %s   undo what it did, and end\n", id);
}

static void print_end(FILE *out, const struct mt_colors *c, const json_t *run, const json_t *entries,
                      int64_t now) {
    const char *state = mt_json_str(run, "state", "");
    const json_t *error = json_object_get(run, "error"), *waiting = json_object_get(run, "waiting_for");
    char when[64];
    int64_t due = time_of(run, "due_at");
    fputc('\n', out);
    print_value(out, "output", json_object_get(run, "output"));
    if (json_is_object(error)) {
        fprintf(out, "  %-9s %s%s%s: %s\n", "error", c->red, mt_json_str(error, "kind", "error"), c->reset,
                mt_json_str(error, "message", ""));
        const char *at = mt_json_str(error, "site", mt_json_str(error, "line", NULL));
        if (at) fprintf(out, "  %-9s %s\n", "at", at);
    }
    print_value(out, "waits for", waiting);
    if (due) {
        mt_relative_time(due, now, when, sizeof when);
        fprintf(out, "  %-9s %s\n", "wakes", when);
    }
    if (strcmp(state, "needs_attention") == 0) print_advice(out, c, run, entries);
}

/* Whether only that is left of it. */
static bool print_tombstone(FILE *out, const struct mt_colors *c, const json_t *run) {
    const char *since = mt_json_str(run, "tombstone_since", NULL);
    if (!since) return false;
    const json_t *error = json_object_get(run, "error");
    fprintf(out, "  %-9s %s\n", "ended", mt_json_str(run, "updated_at", ""));
    print_value(out, "output", json_object_get(run, "output"));
    if (json_is_object(error)) fprintf(out, "  %-9s %s\n", "error", mt_json_str(error, "kind", "error"));
    fprintf(out,
            "\n  %sA tombstone since %s%s: its journal, input and results were kept long enough, or were "
            "purged or erased.\n  Its key, ids and state stay, so that the same start meets it again, and a "
            "late event finds it.\n",
            c->yellow, since, c->reset);
    return true;
}

static void print_dropped(FILE *out, const struct mt_colors *c, const json_t *run, int64_t *segment) {
    int64_t dropped = mt_json_int(run, "segments_dropped", 0);
    if (!dropped) return;
    fprintf(out, "  %ssegments 0 to %lld were over for long enough; their journals were dropped%s\n", c->dim,
            (long long)dropped - 1, c->reset);
    *segment = -1; /* the first one that is there is named */
}

void mt_story_print(FILE *out, const struct mt_colors *c, const json_t *run, const json_t *journal,
                    int64_t now_ms) {
    const json_t *entries = json_object_get(journal, "data"), *entry;
    const json_t *moves = json_object_get(run, "moves");
    int64_t began = time_of(run, "created_at"), segment = 0;
    size_t i, told = 0, width = what_width(entries);
    print_head(out, c, run, now_ms);
    if (print_tombstone(out, c, run)) return;
    fputc('\n', out);
    print_dropped(out, c, run, &segment);
    json_array_foreach(entries, i, entry) {
        print_moves(out, c, moves, &told, mt_json_int(entry, "segment", 0), mt_json_int(entry, "seq", 0));
        if (mt_json_int(entry, "segment", 0) != segment) {
            segment = mt_json_int(entry, "segment", 0);
            fprintf(out, "  %ssegment %lld%s\n", c->dim, (long long)segment, c->reset);
        }
        print_entry(out, c, entry, began, width);
    }
    print_moves(out, c, moves, &told, INT32_MAX, 0);
    print_end(out, c, run, entries, now_ms);
}
