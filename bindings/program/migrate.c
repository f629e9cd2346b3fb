/* mintage runs migrate. See migrate.h. Pages are asked for until there are no more; those that were busy are
 * asked for once more at the end, one by one. */
#include "migrate.h"
#include "base/json.h"
#include "base/text.h"
#include <stdlib.h>
#include <string.h>

enum { PAGE = 100, BUSY_ROUNDS = 3 };

static json_t *ask_page(struct mt_client *client, const struct mt_migrate_ask *ask, const char *run,
                        const char *cursor, struct mt_error *e) {
    json_t *body = json_pack("{s:b, s:i, s:s*, s:s*, s:s*}", "dry_run", (int)ask->dry, "limit", PAGE, "run",
                             run, "flow", ask->flow, "cursor", cursor);
    char *text = mt_json_dump(body, NULL);
    json_decref(body);
    json_t *page = mt_client_call(client, "POST", "/v1/runs/migrate", text, NULL, e);
    free(text);
    return page;
}

/* All rows there are. */
static json_t *ask_all(struct mt_client *client, const struct mt_migrate_ask *ask, struct mt_error *e) {
    char cursor[64] = "";
    json_t *rows = json_array();
    do {
        json_t *page = ask_page(client, ask, ask->run, cursor[0] ? cursor : NULL, e);
        if (!page) {
            json_decref(rows);
            return NULL;
        }
        json_array_extend(rows, json_object_get(page, "data"));
        mt_copy(cursor, sizeof cursor, mt_json_str(page, "next_cursor", ""));
        json_decref(page);
    } while (cursor[0]);
    return rows;
}

static bool is(const json_t *row, const char *outcome) {
    return strcmp(mt_json_str(row, "outcome", ""), outcome) == 0;
}

static int ask_busy_again(struct mt_client *client, const struct mt_migrate_ask *ask, json_t *rows,
                          struct mt_error *e) {
    for (int round = 0; round < BUSY_ROUNDS; round++) {
        size_t i;
        json_t *row;
        json_array_foreach(rows, i, row) {
            if (!is(row, "busy")) continue;
            json_t *page = ask_page(client, ask, mt_json_str(row, "run", ""), NULL, e);
            if (!page) return -1;
            json_t *now = json_array_get(json_object_get(page, "data"), 0);
            if (now) json_array_set(rows, i, now);
            json_decref(page);
        }
    }
    return 0;
}

/* ---- words ---- */

static const struct {
    const char *outcome, *words, *sum;
} outcomes[] = {
    {"moved", "moved", "moved"},
    {"would_move", "would move", "would move"},
    {"parts_ways", "parts ways", "part ways and stay on the code they began with"},
    {"busy", "busy", "were executed all the time: try again"},
    {"ended", "over", "are over: there is nothing to move"},
    {"same", "same", "have the newest code already"},
};
enum { OUTCOMES = sizeof outcomes / sizeof outcomes[0] };

static void print_row(const json_t *row, size_t flow_width, const struct mt_colors *c) {
    const char *color = c->dim, *words = mt_json_str(row, "outcome", ""),
               *file = mt_json_str(row, "file", NULL);
    bool parts = is(row, "parts_ways");
    for (size_t i = 0; i < OUTCOMES; i++)
        if (is(row, outcomes[i].outcome)) words = outcomes[i].words;
    if (is(row, "moved") || is(row, "would_move")) color = c->green;
    if (is(row, "busy")) color = c->yellow;
    printf("%s  ", mt_json_str(row, "run", ""));
    mt_print_padded(stdout, mt_json_str(row, "flow", ""), flow_width);
    printf("  %s%-10s%s", parts ? c->red : color, words, c->reset);
    printf("  %s%.14s -> %.14s%s\n", c->dim, mt_json_str(row, "from", ""), mt_json_str(row, "to", ""),
           c->reset);
    if (!parts) return;
    printf("    at effect %lld", (long long)mt_json_int(row, "seq", 0));
    if (file) printf(", %s:%lld", file, (long long)mt_json_int(row, "line", 0));
    printf(": %s\n", mt_json_str(row, "message", ""));
}

static void print_words(const json_t *rows, const struct mt_colors *c) {
    size_t i, width = 4, counts[OUTCOMES] = {0};
    const json_t *row;
    json_array_foreach(rows, i, row) {
        size_t columns = mt_columns(mt_json_str(row, "flow", ""));
        if (columns > width) width = columns;
        for (size_t k = 0; k < OUTCOMES; k++) counts[k] += is(row, outcomes[k].outcome);
    }
    json_array_foreach(rows, i, row) print_row(row, width, c);
    if (json_array_size(rows) == 0) printf("Every run has the newest code.\n");
    for (size_t k = 0; k < OUTCOMES; k++)
        if (counts[k]) printf("%zu %s\n", counts[k], outcomes[k].sum);
}

int mt_migrate_print(struct mt_client *client, const struct mt_migrate_ask *ask,
                     const struct mt_colors *colors, bool *all, struct mt_error *e) {
    size_t i;
    json_t *row, *rows = ask_all(client, ask, e);
    if (!rows) return -1;
    if (!ask->dry && ask_busy_again(client, ask, rows, e) != 0) {
        json_decref(rows);
        return -1;
    }
    *all = true;
    json_array_foreach(rows, i, row) *all = *all && !is(row, "parts_ways") && !is(row, "busy");
    if (ask->json) {
        json_t *answer = json_pack("{s:O}", "data", rows);
        json_dumpf(answer, stdout, JSON_INDENT(2) | JSON_PRESERVE_ORDER);
        putchar('\n');
        json_decref(answer);
    } else {
        print_words(rows, colors);
    }
    json_decref(rows);
    return 0;
}
