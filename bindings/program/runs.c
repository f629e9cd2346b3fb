/* mintage runs: list, show, find, cancel, retry, resolve, migrate, purge, erase. Each is a row: its arguments
 * and its function. */
#include "asking.h"
#include "base/clock.h"
#include "base/id.h"
#include "base/json.h"
#include "base/text.h"
#include "migrate.h"
#include "program.h"
#include "purge.h"
#include "story.h"
#include "terminal.h"
#include <stdlib.h>
#include <string.h>

/* ---- list ---- */

/* Flows that cannot be loaded are news for whoever looks at runs. */
static void notice_problem(struct mt_asking *x) {
    struct mt_error ignored;
    json_t *state = mt_client_call(&x->client, "GET", "/v1/generations", NULL, NULL, &ignored);
    const json_t *problem = json_object_get(state, "problem");
    if (json_is_object(problem))
        printf("%sflows are broken%s, new runs use the last that worked: %s\n\n", x->colors->red,
               x->colors->reset, mt_json_str(problem, "message", ""));
    json_decref(state);
}

static void print_row(struct mt_asking *x, const json_t *run, int64_t now, size_t flow_width) {
    const char *state = mt_json_str(run, "state", ""), *key = mt_json_str(run, "key", NULL);
    const json_t *error = json_object_get(run, "error");
    char when[64];
    int64_t at = 0;
    mt_time_parse(mt_json_str(run, "updated_at", ""), &at);
    mt_relative_time(at, now, when, sizeof when);
    printf("%s  %s", mt_json_str(run, "id", ""), mt_story_color(x->colors, state));
    mt_print_padded(stdout, state, 15);
    printf("%s  ", x->colors->reset);
    mt_print_padded(stdout, mt_json_str(run, "flow", ""), flow_width);
    printf("  %s", x->colors->dim);
    mt_print_padded(stdout, when, 15);
    printf("%s", x->colors->reset);
    if (key) printf("  %s", key);
    if (json_is_object(error)) printf("  %s", mt_json_str(error, "kind", ""));
    if (mt_json_str(run, "tombstone_since", NULL))
        printf("  %s(tombstone)%s", x->colors->dim, x->colors->reset);
    putchar('\n');
}

static int list(struct mt_asking *x, struct mt_error *e) {
    struct mt_buf path;
    mt_buf_init(&path, 4096);
    mt_buf_addf(&path, "/v1/runs?limit=%lld", (long long)mt_config_int(x->config, "limit"));
    mt_add_filter(&path, "flow", mt_config_str(x->config, "flow"));
    mt_add_filter(&path, "state", mt_config_str(x->config, "state"));
    mt_add_filter(&path, "key", mt_config_str(x->config, "key"));
    json_t *answer = mt_client_call(&x->client, "GET", path.data, NULL, NULL, e);
    mt_buf_clear(&path);
    if (!answer) return -1;
    if (x->json) {
        mt_print_json(answer);
        json_decref(answer);
        return 0;
    }
    notice_problem(x);
    const json_t *runs = json_object_get(answer, "data"), *run;
    size_t i, width = 4;
    int64_t now = mt_client_now(&x->client);
    json_array_foreach(runs, i, run) {
        size_t columns = mt_columns(mt_json_str(run, "flow", ""));
        if (columns > width) width = columns;
    }
    json_array_foreach(runs, i, run) print_row(x, run, now, width);
    if (json_array_size(runs) == 0) printf("There are no such runs. Start one: mintage run FLOW JSON\n");
    if (json_is_string(json_object_get(answer, "next_cursor"))) printf("There are more; ask with --limit\n");
    json_decref(answer);
    return 0;
}

/* ---- find ---- */

static void print_found(struct mt_asking *x, const json_t *run, int64_t now) {
    const json_t *place;
    size_t i;
    print_row(x, run, now, mt_columns(mt_json_str(run, "flow", "")));
    printf("   %s", x->colors->dim);
    json_array_foreach(json_object_get(run, "matched"), i, place)
        printf("%s%s", i ? ", " : "found in ", json_string_value(place));
    printf("%s\n", x->colors->reset);
}

static int find_runs(struct mt_asking *x, struct mt_error *e) {
    static const char *const names[] = {"reference", "email", "amount", "last4",
                                        "since",     "flow",  "state",  "cursor"};
    struct mt_buf path;
    mt_buf_init(&path, 8192);
    mt_buf_addf(&path, "/v1/runs?limit=%lld", (long long)mt_config_int(x->config, "limit"));
    if (x->argc > 0) mt_add_filter(&path, "find", x->argv[0]);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        mt_add_filter(&path, names[i], mt_config_str(x->config, names[i]));
    bool wanted = x->argc > 0;
    for (size_t i = 0; i < 4; i++) wanted = wanted || mt_config_str(x->config, names[i]);
    json_t *answer = wanted ? mt_client_call(&x->client, "GET", path.data, NULL, NULL, e) : NULL;
    mt_buf_clear(&path);
    if (!wanted)
        return mt_fail(e, MT_USAGE, "what is to be found? A TEXT, --reference, --email, --amount or --last4");
    if (!answer) return -1;
    if (x->json) {
        mt_print_json(answer);
        json_decref(answer);
        return 0;
    }
    const json_t *run;
    size_t i;
    int64_t now = mt_client_now(&x->client);
    json_array_foreach(json_object_get(answer, "data"), i, run) print_found(x, run, now);
    printf("%zu found among %lld runs%s\n", json_array_size(json_object_get(answer, "data")),
           (long long)mt_json_int(answer, "scanned", 0),
           mt_json_bool(answer, "cut", false) ? ", and there are older ones:" : "");
    if (mt_json_bool(answer, "cut", false))
        printf("  mintage runs find ... --cursor %s\n", mt_json_str(answer, "next_cursor", ""));
    json_decref(answer);
    return 0;
}

/* ---- show ---- */

static json_t *whole_journal(struct mt_asking *x, const char *id, struct mt_error *e) {
    char path[160], cursor[32] = "0";
    json_t *all = json_array();
    for (;;) {
        mt_format(path, sizeof path, "/v1/runs/%s/journal?limit=1000&cursor=%s", id, cursor);
        json_t *page = mt_client_call(&x->client, "GET", path, NULL, NULL, e);
        if (!page) {
            json_decref(all);
            return NULL;
        }
        json_array_extend(all, json_object_get(page, "data"));
        const char *next = mt_json_str(page, "next_cursor", NULL);
        if (next) mt_copy(cursor, sizeof cursor, next);
        json_decref(page);
        if (!next) return json_pack("{s:o}", "data", all);
    }
}

/* Ids are made of letters, digits and _; anything else would be another path. */
static int check_id(const char *id, struct mt_error *e) {
    if (strlen(id) < MT_ID_SIZE &&
        id[strspn(id, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_")] == '\0')
        return 0;
    return mt_fail(e, MT_USAGE, "'%.60s' is not the id of a run; mintage runs list shows them", id);
}

static int show(struct mt_asking *x, struct mt_error *e) {
    char path[128];
    json_t *run = NULL, *journal = NULL;
    int result = -1;
    if (check_id(x->argv[0], e) != 0) return -1;
    mt_format(path, sizeof path, "/v1/runs/%s", x->argv[0]);
    if (!(run = mt_client_call(&x->client, "GET", path, NULL, NULL, e)) ||
        !(journal = whole_journal(x, x->argv[0], e)))
        goto out;
    if (x->json) {
        json_object_set(run, "journal", json_object_get(journal, "data"));
        mt_print_json(run);
    } else {
        mt_story_print(stdout, x->colors, run, journal, mt_client_now(&x->client));
    }
    result = 0;
out:
    json_decref(run);
    json_decref(journal);
    return result;
}

/* ---- deeds ---- */

/* Posts a deed and says what the run is now. Takes body. */
static int deed(struct mt_asking *x, const char *name, json_t *body, struct mt_error *e) {
    char path[128];
    if (check_id(x->argv[0], e) != 0) {
        json_decref(body);
        return -1;
    }
    mt_format(path, sizeof path, "/v1/runs/%s/%s", x->argv[0], name);
    char *text = mt_json_dump(body, NULL);
    json_t *run = mt_client_call(&x->client, "POST", path, text, NULL, e);
    free(text);
    json_decref(body);
    if (!run) return -1;
    const char *state = mt_json_str(run, "state", "");
    if (x->json)
        mt_print_json(run);
    else
        printf("%s is %s%s%s. Its story: mintage runs show %s\n", x->argv[0],
               mt_story_color(x->colors, state), state, x->colors->reset, x->argv[0]);
    json_decref(run);
    return 0;
}

static int cancel(struct mt_asking *x, struct mt_error *e) {
    const char *reason = mt_config_str(x->config, "reason");
    return deed(x, "cancel", reason ? json_pack("{s:s}", "reason", reason) : json_object(), e);
}

static int retry(struct mt_asking *x, struct mt_error *e) {
    return deed(x, "retry", json_object(), e);
}

static int add_json(const struct mt_config *config, const char *name, json_t *body, struct mt_error *e) {
    const char *text = mt_config_str(config, name);
    if (!text) return 0;
    json_t *value = mt_json_parse(text, strlen(text), e);
    if (!value) {
        mt_error_wrap(e, "--%s is not valid JSON", name);
        e->kind = MT_USAGE;
        return -1;
    }
    return json_object_set_new(body, name, value);
}

static int resolve(struct mt_asking *x, struct mt_error *e) {
    int64_t seq;
    const char *outcome = mt_config_str(x->config, "outcome");
    if (!mt_parse_int(x->argv[1], 1, INT32_MAX, &seq))
        return mt_fail(e, MT_USAGE,
                       "'%.40s' is not the number of a journal entry; mintage runs show %s lists them",
                       x->argv[1], x->argv[0]);
    if (!outcome)
        return mt_fail(e, MT_USAGE, "say what became of the effect: --outcome done, rejected or not_sent");
    json_t *body = json_pack("{s:I, s:s}", "seq", (json_int_t)seq, "outcome", outcome);
    if (add_json(x->config, "value", body, e) != 0 || add_json(x->config, "error", body, e) != 0) {
        json_decref(body);
        return -1;
    }
    return deed(x, "resolve", body, e);
}

static int migrate(struct mt_asking *x, struct mt_error *e) {
    struct mt_migrate_ask ask = {.run = x->argc > 0 ? x->argv[0] : NULL,
                                 .flow = mt_config_str(x->config, "flow"),
                                 .dry = mt_config_bool(x->config, "dry-run"),
                                 .json = x->json};
    bool all;
    if (ask.run && check_id(ask.run, e) != 0) return -1;
    if (mt_migrate_print(&x->client, &ask, x->colors, &all, e) != 0) return -1;
    x->incomplete = !all;
    return 0;
}

/* An agreement is given at the deed, not lying about in a file or a variable. */
static struct mt_purge_words purge_words(const struct mt_asking *x) {
    bool here = strncmp(mt_config_source(x->config, "yes"), "--", 2) == 0;
    return (struct mt_purge_words){.before = mt_config_str(x->config, "before"),
                                   .flow = mt_config_str(x->config, "flow"),
                                   .dry = mt_config_bool(x->config, "dry-run"),
                                   .yes = here && mt_config_bool(x->config, "yes"),
                                   .json = x->json};
}

static int purge(struct mt_asking *x, struct mt_error *e) {
    struct mt_purge_words words = purge_words(x);
    return mt_purge_print(&x->client, &words, x->colors, e);
}

static int erase(struct mt_asking *x, struct mt_error *e) {
    struct mt_purge_words words = purge_words(x);
    return check_id(x->argv[0], e) != 0 ? -1 : mt_erase_print(&x->client, x->argv[0], &words, x->colors, e);
}

/* ---- which ---- */

static const struct mt_action actions[] = {
    {"list", "", 0, 0, list},
    {"show", "ID", 1, 0, show},
    {"cancel", "ID", 1, 0, cancel},
    {"retry", "ID", 1, 0, retry},
    {"find", "[TEXT]", 0, 1, find_runs},
    {"resolve", "ID SEQ", 2, 0, resolve},
    {"migrate", "[ID]", 0, 1, migrate},
    {"purge", "", 0, 0, purge},
    {"erase", "ID", 1, 0, erase},
};

int mt_runs_command(const struct mt_command *self, struct mt_config *config, int argc, const char **argv) {
    return mt_act(self, actions, sizeof actions / sizeof actions[0], config, argc, argv);
}
