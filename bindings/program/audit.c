/* mintage audit: what people did, as a running runtime has it on record. Main thread. */
#include "asking.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/text.h"
#include "program.h"
#include "terminal.h"
#include <stdlib.h>
#include <string.h>

enum { INDENT = 4, SHOWN_BYTES = 400 };

/* One line of a text that may have many. */
static void print_text(const char *text, size_t width) {
    char part[SHOWN_BYTES], line[SHOWN_BYTES + 4];
    bool fits = mt_copy(part, sizeof part, text);
    for (char *c = part; *c; c++)
        if ((unsigned char)*c < 0x20) *c = ' ';
    mt_format(line, sizeof line, "%s%s", part, fits ? "" : "...");
    printf("%*s", INDENT, "");
    mt_print_wrapped(stdout, line, INDENT, width);
}

static void print_row(const json_t *row, int64_t now, size_t width, const struct mt_colors *k) {
    const char *outcome = mt_json_str(row, "outcome", NULL), *object = mt_json_str(row, "object", "");
    const char *detail = mt_json_str(row, "detail", ""), *result = mt_json_str(row, "result", "");
    char when[64] = "";
    int64_t at;
    bool done = outcome && strcmp(outcome, "done") == 0;
    if (mt_time_parse(mt_json_str(row, "at", ""), &at)) mt_relative_time(at, now, when, sizeof when);
    printf("%s%s%s  %s  %s%s%s%s%s  %s%s%s", k->dim, when, k->reset, mt_json_str(row, "who", ""), k->bold,
           mt_json_str(row, "what", ""), k->reset, *object ? " " : "", object, done ? k->green : k->red,
           outcome ? outcome : "not ended", k->reset);
    if (outcome) printf("%s  %lld ms%s", k->dim, (long long)mt_json_int(row, "ms", 0), k->reset);
    printf("  %s%s%s\n", k->dim, mt_json_str(row, "via", ""), k->reset);
    if (*detail) print_text(detail, width);
    if (*result) {
        printf("%s", k->dim);
        print_text(result, width);
        printf("%s", k->reset);
    }
}

int mt_audit_command(const struct mt_command *self, struct mt_config *config, int argc, const char **argv) {
    (void)self, (void)argc, (void)argv;
    struct mt_client client;
    struct mt_error e;
    struct mt_buf path;
    const json_t *row;
    size_t i;
    if (mt_client_open(&client, config, &e) != 0) return mt_report(&e);
    mt_buf_init(&path, 4096);
    mt_buf_addf(&path, "/v1/audit?limit=%lld", (long long)mt_config_int(config, "limit"));
    mt_add_filter(&path, "user", mt_config_str(config, "user"));
    mt_add_filter(&path, "since", mt_config_str(config, "since"));
    json_t *answer = mt_client_call(&client, "GET", path.data, NULL, NULL, &e);
    mt_buf_clear(&path);
    mt_client_close(&client);
    if (!answer) return mt_report(&e);
    const json_t *rows = json_object_get(answer, "data");
    if (mt_config_bool(config, "json")) {
        json_dumpf(answer, stdout, JSON_INDENT(2) | JSON_PRESERVE_ORDER);
        putchar('\n');
    } else if (json_array_size(rows) == 0) {
        printf("Nobody has done anything that is on record\n");
    } else {
        int64_t now = mt_client_now(&client);
        json_array_foreach(rows, i, row) print_row(row, now, mt_terminal_width(stdout),
                                                   mt_colors_for(stdout, mt_config_str(config, "color")));
    }
    json_decref(answer);
    return MT_EXIT_DONE;
}
