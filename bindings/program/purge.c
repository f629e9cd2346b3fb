/* mintage runs purge, mintage runs erase. See purge.h. What would go is looked up first, and said; then it
 * goes in pieces, a request each, so that no request takes long. */
#include "purge.h"
#include "base/json.h"
#include "base/text.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PIECE = 5000 };

static void print_json(json_t *value) {
    json_dumpf(value, stdout, JSON_INDENT(2) | JSON_PRESERVE_ORDER);
    putchar('\n');
}

static json_t *ask(struct mt_client *client, const struct mt_purge_words *w, const char *before, bool dry,
                   struct mt_error *e) {
    json_t *body = json_pack("{s:b, s:i, s:s*, s:s*}", "dry_run", (int)dry, "limit", PIECE, "before", before,
                             "flow", w->flow);
    char *text = mt_json_dump(body, NULL);
    json_decref(body);
    json_t *answer = mt_client_call(client, "POST", "/v1/runs/purge", text, NULL, e);
    free(text);
    return answer;
}

static void say_bytes(int64_t bytes, char *out, size_t size) {
    static const char *const units[] = {"bytes", "KB", "MB", "GB", "TB"};
    double n = (double)bytes;
    size_t unit = 0;
    for (; n >= 1000 && unit < 4; unit++) n /= 1000;
    mt_format(out, size, unit ? "%.1f %s" : "%.0f %s", n, units[unit]);
}

/* Whether the person agrees. Nobody at a terminal has to say --yes. */
static int agree(const struct mt_purge_words *w, struct mt_error *e, bool *yes) {
    char line[16] = "";
    *yes = w->yes;
    if (w->yes) return 0;
    if (!isatty(STDIN_FILENO) || !isatty(STDERR_FILENO))
        return mt_fail(e, MT_USAGE, "nobody is there to be asked: say --yes, or --dry-run to look first");
    fprintf(stderr, "This cannot be taken back. Go on? [y/N] ");
    if (fgets(line, sizeof line, stdin)) *yes = line[0] == 'y' || line[0] == 'Y';
    if (!*yes) fprintf(stderr, "Nothing was done.\n");
    return 0;
}

static int purge_all(struct mt_client *client, const struct mt_purge_words *w, const char *before,
                     int64_t *gone, struct mt_error *e) {
    for (bool more = true; more;) {
        json_t *answer = ask(client, w, before, false, e);
        if (!answer) return -1;
        *gone += mt_json_int(answer, "runs", 0);
        more = mt_json_bool(answer, "more", false);
        json_decref(answer);
        if (more && isatty(STDERR_FILENO)) fprintf(stderr, "\r%lld ...", (long long)*gone);
        if (!more && isatty(STDERR_FILENO) && *gone > PIECE) fprintf(stderr, "\r");
    }
    return 0;
}

int mt_purge_print(struct mt_client *client, const struct mt_purge_words *w, const struct mt_colors *c,
                   struct mt_error *e) {
    int64_t gone = 0;
    char size[48];
    bool yes = false;
    json_t *would = ask(client, w, w->before, true, e);
    if (!would) return -1;
    const char *before = mt_json_str(would, "before", "");
    int64_t runs = mt_json_int(would, "runs", 0);
    int rc = 0;
    say_bytes(mt_json_int(would, "bytes", 0), size, sizeof size);
    if (!w->json)
        printf("%s%lld%s ended run%s%s%s, ended before %s: about %s. %s\n", c->bold, (long long)runs,
               c->reset, runs == 1 ? "" : "s", w->flow ? " of " : "", w->flow ? w->flow : "", before, size,
               runs == 0 ? "Nothing to do."
                         : "Journals, inputs and results go; ids, keys and states stay as tombstones.");
    if (w->dry || runs == 0) {
        if (w->json) print_json(would);
        goto out;
    }
    fflush(stdout);
    if ((rc = agree(w, e, &yes)) == 0 && yes) rc = purge_all(client, w, before, &gone, e);
    if (rc == 0 && yes && w->json) {
        json_object_set_new(would, "dry_run", json_false());
        json_object_set_new(would, "runs", json_integer(gone));
        print_json(would);
    } else if (rc == 0 && yes) {
        printf("%s%lld%s tombstone%s made.\n", c->green, (long long)gone, c->reset, gone == 1 ? "" : "s");
    }
out:
    json_decref(would);
    return rc;
}

static void print_ids(const char *before, const json_t *ids, const char *after) {
    size_t i;
    const json_t *id;
    json_array_foreach(ids, i, id) printf("%s%s%s\n", before, json_string_value(id), after);
}

int mt_erase_print(struct mt_client *client, const char *run, const struct mt_purge_words *w,
                   const struct mt_colors *c, struct mt_error *e) {
    char path[128];
    bool yes;
    if (agree(w, e, &yes) != 0) return -1;
    if (!yes) return 0;
    mt_format(path, sizeof path, "/v1/runs/%s/erase", run);
    json_t *answer = mt_client_call(client, "POST", path, "{}", NULL, e);
    if (!answer) return -1;
    if (w->json) {
        print_json(answer);
    } else {
        char after[64];
        mt_format(after, sizeof after, " is %serased%s: a tombstone is left", c->green, c->reset);
        print_ids("", json_object_get(answer, "erased"), after);
        mt_format(after, sizeof after, " goes on, and %swas not erased%s", c->yellow, c->reset);
        print_ids("", json_object_get(answer, "left"), after);
    }
    json_decref(answer);
    return 0;
}
