/* mintage schedules: what a running runtime starts by the clock. Main thread. */
#include "base/clock.h"
#include "base/json.h"
#include "base/text.h"
#include "client.h"
#include "program.h"
#include "terminal.h"
#include <string.h>

enum { COLUMN_MAX = 40 };

static size_t widest(const json_t *rows, const char *member, const char *title) {
    const json_t *row;
    size_t i, width = strlen(title);
    json_array_foreach(rows, i, row) {
        size_t columns = mt_columns(mt_json_str(row, member, ""));
        if (columns > width) width = columns;
    }
    return width < COLUMN_MAX ? width : COLUMN_MAX;
}

static void column(const char *text, size_t width) {
    mt_print_padded(stdout, text, width);
    printf("  ");
}

static void when(const json_t *row, const char *member, int64_t now, char *out, size_t size) {
    int64_t at;
    mt_copy(out, size, "-");
    if (mt_time_parse(mt_json_str(row, member, ""), &at)) mt_relative_time(at, now, out, size);
}

static void print_last(const json_t *row, int64_t now, const struct mt_colors *k) {
    const char *run = mt_json_str(row, "last_run", NULL), *problem = mt_json_str(row, "problem", NULL);
    const char *state = mt_json_str(row, "last_state", "");
    char text[64];
    bool bad = strcmp(state, "failed") == 0 || strcmp(state, "needs_attention") == 0;
    when(row, "last_at", now, text, sizeof text);
    if (run)
        printf("%s  %s%s%s  %s\n", text, bad ? k->red : k->dim, state, k->reset, run);
    else
        printf("%snot yet%s\n", k->dim, k->reset);
    if (problem) printf("    %snot started: %s%s\n", k->red, problem, k->reset);
}

static void print_list(const json_t *rows, int64_t now, const struct mt_colors *k) {
    const json_t *row;
    size_t i, name = widest(rows, "name", "NAME"), flow = widest(rows, "flow", "FLOW");
    size_t at = widest(rows, "when", "WHEN"), zone = widest(rows, "zone", "ZONE");
    if (json_array_size(rows) == 0) {
        printf("There are no schedules; a file of flows registers them with flow.every and flow.cron\n");
        return;
    }
    printf("%s", k->bold);
    column("NAME", name);
    column("FLOW", flow);
    column("WHEN", at);
    column("ZONE", zone);
    column("NEXT", 15);
    printf("LAST%s\n", k->reset);
    json_array_foreach(rows, i, row) {
        char text[64];
        column(mt_json_str(row, "name", ""), name);
        column(mt_json_str(row, "flow", ""), flow);
        column(mt_json_str(row, "when", ""), at);
        column(mt_json_str(row, "zone", ""), zone);
        when(row, "next_at", now, text, sizeof text);
        column(text, 15);
        print_last(row, now, k);
    }
}

int mt_schedules_command(const struct mt_command *self, struct mt_config *config, int argc,
                         const char **argv) {
    (void)self, (void)argc, (void)argv;
    struct mt_client client;
    struct mt_error e;
    if (mt_client_open(&client, config, &e) != 0) return mt_report(&e);
    json_t *answer = mt_client_call(&client, "GET", "/v1/schedules", NULL, NULL, &e);
    mt_client_close(&client);
    if (!answer) return mt_report(&e);
    if (mt_config_bool(config, "json")) {
        json_dumpf(answer, stdout, JSON_INDENT(2) | JSON_PRESERVE_ORDER);
        putchar('\n');
    } else {
        print_list(json_object_get(answer, "data"), mt_client_now(&client),
                   mt_colors_for(stdout, mt_config_str(config, "color")));
    }
    json_decref(answer);
    return MT_EXIT_DONE;
}
