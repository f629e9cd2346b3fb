/* mintage providers: what the tables of providers say, for people or as JSON. Offline it describes the tables
 * in this program; with a runtime it shows what that one answers, so both come in one form. */
#include "base/buf.h"
#include "base/json.h"
#include "base/text.h"
#include "bindings/modules/modules.h"
#include "client.h"
#include "generations.h"
#include "program.h"
#include "providers/provider.h"
#include "sources.h"
#include "terminal.h"
#include <string.h>
#include <unistd.h>

struct view {
    const struct mt_colors *c;
    size_t width;
};

/* ---- what is to be shown ---- */

/* The providers that the flows of this folder define; NULL: none, or it cannot be loaded. */
static struct mt_provider_set *defined_in(const char *dir) {
    struct mt_source_set files;
    struct mt_vm_options options = {.modules = mt_modules};
    struct mt_provider_set *set = NULL;
    struct mt_generation *g = NULL;
    struct mt_error e;
    if (access(dir, F_OK) != 0) return NULL;
    if (mt_source_set_read(dir, &files, &e) != 0) return NULL;
    struct mt_vm *vm = mt_vm_new(&options, &e);
    if (vm) g = mt_generation_load(vm, files.files, files.count, NULL, &e);
    if (g) {
        json_t *definitions = mt_generation_providers(g);
        set = mt_provider_set_new(NULL, definitions, &e);
        json_decref(definitions);
        mt_generation_release(g);
    }
    if (!set) fprintf(stderr, "mintage: %s is left out: %s\n", dir, e.message);
    if (vm) mt_vm_free(vm);
    mt_source_set_clear(&files);
    return set;
}

static json_t *offline(const struct mt_provider_set *set) {
    json_t *list = json_array();
    const struct mt_provider *row;
    for (size_t i = 0; (row = mt_provider_row(set, i)); i++)
        json_array_append_new(list, mt_provider_describe(row));
    return json_pack("{s:o, s:n}", "data", list, "next_cursor");
}

static json_t *live(const struct mt_config *config, struct mt_error *e) {
    struct mt_client client;
    json_t *answer = mt_client_open(&client, config, e) == 0
                         ? mt_client_call(&client, "GET", "/v1/providers", NULL, NULL, e)
                         : NULL;
    mt_client_close(&client);
    return answer;
}

/* Where `name` stands in a list of {"name":...}; the list's size when it does not. */
static size_t place(const json_t *list, const char *name, size_t len) {
    size_t i;
    const json_t *row;
    json_array_foreach(list, i, row) {
        const char *s = mt_json_str(row, "name", "");
        if (strlen(s) == len && memcmp(s, name, len) == 0) return i;
    }
    return json_array_size(list);
}

static void keep_only(json_t *list, size_t i) {
    json_t *row = json_incref(json_array_get(list, i));
    json_array_clear(list);
    json_array_append_new(list, row);
}

/* Leaves in `answer` the provider, or the one operation, that name says. */
static int narrow(json_t *answer, const struct mt_provider_set *set, const char *name, struct mt_error *e) {
    const struct mt_account *ignored;
    json_t *list = json_object_get(answer, "data");
    size_t len = strcspn(name, "."), at = place(list, name, len);
    if (at < json_array_size(list)) {
        json_t *operations = json_object_get(json_array_get(list, at), "operations");
        size_t op = name[len] ? place(operations, name + len + 1, strlen(name + len + 1)) : 0;
        if (op < json_array_size(operations)) {
            if (name[len]) keep_only(operations, op);
            keep_only(list, at);
            return 0;
        }
    }
    /* It knows the nearest names. */
    if (mt_operation_find_in(NULL, set, name, &ignored, e))
        mt_fail(e, MT_USAGE, "the runtime has no '%.80s'", name);
    e->kind = MT_USAGE;
    return -1;
}

/* ---- tables ---- */

enum { CELLS_MAX = 4, TEXT_MIN = 32 };

struct table {
    size_t indent, widest; /* widest: of a cell; a longer one ends its line */
    size_t widths[CELLS_MAX];
};

/* Rows are walked twice: to measure, then to print. The last column takes what is left of the line. */
static void measure(struct table *t, const char *const *cells) {
    for (size_t i = 0; i + 1 < CELLS_MAX; i++) {
        size_t n = mt_columns(cells[i]);
        if (n > t->widest) n = t->widest;
        if (n > t->widths[i]) t->widths[i] = n;
    }
}

/* Where the last column begins. */
static size_t text_at(const struct table *t) {
    size_t at = t->indent;
    for (size_t i = 0; i < CELLS_MAX - 1; i++) at += t->widths[i] + 2;
    return at;
}

static void print_row(const struct view *v, const struct table *t, const char *const *cells) {
    size_t at = t->indent;
    printf("%*s", (int)at, "");
    for (size_t i = 0; i < CELLS_MAX - 1; i++) {
        printf("%s", i == 0 ? v->c->cyan : "");
        mt_print_padded(stdout, cells[i], t->widths[i]);
        printf("%s", i == 0 ? v->c->reset : "");
        at += t->widths[i] + 2;
        if (mt_columns(cells[i]) > t->widths[i])
            printf("\n%*s", (int)at, "");
        else
            printf("  ");
    }
    mt_print_wrapped(stdout, cells[CELLS_MAX - 1], at, v->width);
}

/* Where columns leave too little for the text, it stands below. */
static void print_stacked(const struct view *v, const struct table *t, const char *const *cells) {
    size_t at = t->indent + 4;
    printf("%*s%s%s%s", (int)t->indent, "", v->c->cyan, cells[0], v->c->reset);
    for (size_t i = 1; i < CELLS_MAX - 1; i++) printf("%s%s", *cells[i] ? "  " : "", cells[i]);
    printf("\n%*s", (int)at, "");
    mt_print_wrapped(stdout, cells[CELLS_MAX - 1], at, v->width);
}

/* fill writes the cells of a row; `space` is for what it must put together. */
static void print_table(const struct view *v, const json_t *rows, size_t indent, size_t widest,
                        void (*fill)(const json_t *row, const char **cells, char space[160])) {
    struct table t = {.indent = indent, .widest = widest};
    const char *cells[CELLS_MAX];
    char space[160];
    const json_t *row;
    size_t i;
    json_array_foreach(rows, i, row) {
        fill(row, cells, space);
        measure(&t, cells);
    }
    json_array_foreach(rows, i, row) {
        fill(row, cells, space);
        if (text_at(&t) + TEXT_MIN > v->width)
            print_stacked(v, &t, cells);
        else
            print_row(v, &t, cells);
    }
}

static bool is(const json_t *row, const char *name) {
    return json_is_true(json_object_get(row, name));
}

/* The flags that hold, separated by commas. */
static void flags(const json_t *row, const char *first, const char *second, char space[160]) {
    bool one = is(row, first), two = is(row, second);
    mt_format(space, 160, "%s%s%s", one ? first : "", one && two ? ", " : "", two ? second : "");
}

static void credential_cells(const json_t *row, const char **cells, char space[160]) {
    flags(row, "required", "secret", space);
    cells[0] = mt_json_str(row, "name", "");
    cells[1] = mt_json_str(row, "variable", "");
    cells[2] = space;
    cells[3] = mt_json_str(row, "doc", "");
}

static void param_cells(const json_t *row, const char **cells, char space[160]) {
    flags(row, "required", "secret", space);
    cells[0] = mt_json_str(row, "name", "");
    cells[1] = mt_json_str(row, "wanted", "");
    cells[2] = space;
    cells[3] = mt_json_str(row, "doc", "");
}

static void error_cells(const json_t *row, const char **cells, char space[160]) {
    flags(row, "retryable", "hard", space);
    cells[0] = mt_json_str(row, "code", "");
    cells[1] = mt_json_str(row, "kind", "");
    cells[2] = space;
    cells[3] = mt_json_str(row, "meaning", "");
}

static void operation_cells(const json_t *row, const char **cells, char space[160]) {
    (void)space;
    cells[0] = mt_json_str(row, "name", "");
    cells[1] = mt_json_str(row, "repeat", "");
    cells[2] = is(row, "moves_money") ? "money" : "";
    cells[3] = mt_json_str(row, "request", "");
}

/* ---- pages ---- */

static void print_labelled(const struct view *v, size_t indent, const char *label, const char *text) {
    enum { LABEL = 16 };
    printf("%*s%s", (int)indent, "", v->c->dim);
    mt_print_padded(stdout, label, LABEL);
    printf("%s", v->c->reset);
    mt_print_wrapped(stdout, text, indent + LABEL, v->width);
}

static void print_title(const struct view *v, const json_t *provider) {
    printf("%s%s%s  %s\n", v->c->bold, mt_json_str(provider, "name", ""), v->c->reset,
           mt_json_str(provider, "title", ""));
}

/* Only a runtime knows. */
static void print_present(const struct view *v, const json_t *provider) {
    char text[160];
    const char *breaker = mt_json_str(provider, "breaker", NULL);
    if (!json_object_get(provider, "configured")) return;
    if (is(provider, "configured"))
        mt_format(text, sizeof text, "configured (%s)", mt_json_str(provider, "account", ""));
    else
        mt_copy(text, sizeof text, "not configured");
    print_labelled(v, 2, "account", text);
    if (json_object_get(provider, "problem"))
        print_labelled(v, 2, "why", mt_json_str(provider, "problem", ""));
    if (!breaker) return;
    mt_format(text, sizeof text, "%s; opened %lld times", breaker,
              (long long)mt_json_int(provider, "breaker_opened", 0));
    print_labelled(v, 2, "breaker", text);
}

static void print_calls(const struct view *v, const json_t *calls) {
    struct mt_buf b;
    const char *name;
    json_t *count;
    if (!calls) return;
    mt_buf_init(&b, 1024);
    json_object_foreach((json_t *)calls, name, count)
        mt_buf_addf(&b, "%s%lld %s", b.len ? ", " : "", (long long)json_integer_value(count), name);
    print_labelled(v, 2, "calls so far", b.data);
    mt_buf_clear(&b);
}

static void print_operation(const struct view *v, const char *provider, const json_t *op) {
    struct mt_buf b;
    mt_buf_init(&b, 8192);
    printf("\n%s%s.%s%s\n", v->c->bold, provider, mt_json_str(op, "name", ""), v->c->reset);
    if (*mt_json_str(op, "doc", "")) {
        printf("  ");
        mt_print_wrapped(stdout, mt_json_str(op, "doc", ""), 2, v->width);
    }
    print_labelled(v, 2, "request", mt_json_str(op, "request", ""));
    mt_buf_addf(&b, "%s: %s", mt_json_str(op, "repeat", ""), mt_json_str(op, "repeats", ""));
    print_labelled(v, 2, "if unknown", b.data);
    if (is(op, "moves_money")) print_labelled(v, 2, "moves money", "yes: in runs only");
    b.len = 0;
    mt_buf_addf(&b, "%s%s", mt_json_str(op, "returns", ""), is(op, "sealed_result") ? " (sealed)" : "");
    if (b.len > 0) print_labelled(v, 2, "answer", b.data);
    print_calls(v, json_object_get(op, "calls"));
    print_table(v, json_object_get(op, "params"), 4, v->width / 4, param_cells);
    mt_buf_clear(&b);
}

static void print_provider(const struct view *v, const json_t *provider) {
    const char *url = mt_json_str(provider, "base_url", ""), *name = mt_json_str(provider, "name", "");
    const json_t *credentials = json_object_get(provider, "credentials"), *op;
    char text[160];
    size_t i;
    print_title(v, provider);
    if (*url) print_labelled(v, 2, "base URL", url);
    print_labelled(v, 2, "authentication", mt_json_str(provider, "authentication", ""));
    mt_format(text, sizeof text, "received at /webhooks/%s", name);
    print_labelled(v, 2, "webhooks", is(provider, "webhooks") ? text : "none");
    print_present(v, provider);
    if (json_array_size(credentials) > 0) {
        printf("\n%sCredentials%s, in the configuration file as {\"providers\": {\"%s\": {...}}} or as "
               "variables\n",
               v->c->bold, v->c->reset, name);
        print_table(v, credentials, 2, v->width / 3, credential_cells);
    }
    json_array_foreach(json_object_get(provider, "operations"), i, op) print_operation(v, name, op);
    printf("\n%sErrors%s\n", v->c->bold, v->c->reset);
    print_table(v, json_object_get(provider, "errors"), 2, v->width / 4, error_cells);
}

static void print_all(const struct view *v, const json_t *list) {
    const json_t *provider;
    size_t i;
    json_array_foreach(list, i, provider) {
        print_title(v, provider);
        if (*mt_json_str(provider, "base_url", ""))
            print_labelled(v, 2, "base URL", mt_json_str(provider, "base_url", ""));
        print_present(v, provider);
        print_table(v, json_object_get(provider, "operations"), 2, v->width / 3, operation_cells);
        putchar('\n');
    }
    printf("All about one: mintage providers NAME\n");
}

int mt_providers_command(const struct mt_command *self, struct mt_config *config, int argc,
                         const char **argv) {
    struct mt_error e;
    struct view v = {mt_colors_for(stdout, mt_config_str(config, "color")), mt_terminal_width(stdout)};
    const char *name = argc > 0 ? argv[0] : NULL;
    bool ask =
        mt_config_is_set(config, "live") ? mt_config_bool(config, "live") : mt_config_is_set(config, "url");
    struct mt_provider_set *set = ask ? NULL : defined_in(mt_config_str(config, "flows"));
    json_t *answer = ask ? live(config, &e) : offline(set);
    (void)self;
    bool found = answer && (!name || narrow(answer, set, name, &e) == 0);
    mt_provider_set_release(set);
    if (!found) {
        json_decref(answer);
        return mt_report(&e);
    }
    const json_t *list = json_object_get(answer, "data"), *first = json_array_get(list, 0);
    if (mt_config_bool(config, "json")) {
        json_dumpf(answer, stdout, JSON_INDENT(2) | JSON_PRESERVE_ORDER);
        putchar('\n');
    } else if (!name) {
        print_all(&v, list);
    } else if (strchr(name, '.')) {
        print_operation(&v, mt_json_str(first, "name", ""),
                        json_array_get(json_object_get(first, "operations"), 0));
    } else {
        print_provider(&v, first);
    }
    json_decref(answer);
    return MT_EXIT_DONE;
}
