/* mintage check: loads flows as a runtime would, without store, network or engine, and prints every mistake
 * it can find: each broken file gets its own line, because each is also loaded without the others that are
 * broken. */
#include "base/clock.h"
#include "base/json.h"
#include "base/text.h"
#include "bindings/modules/modules.h"
#include "bindings/vm/vm.h"
#include "generations.h"
#include "program.h"
#include "sources.h"
#include "terminal.h"
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PROBLEMS_MAX = 100 };

static bool is_folder(const char *path) {
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* Takes the named file out of the set, so that the next load finds the next mistake. False when there is no
 * such file. */
static bool leave_out(struct mt_source_set *set, const char *name) {
    for (size_t i = 0; i < set->count; i++) {
        if (strcmp(set->files[i].name, name) != 0) continue;
        free((char *)set->files[i].name);
        free((char *)set->files[i].text);
        memmove(&set->files[i], &set->files[i + 1], (set->count - i - 1) * sizeof *set->files);
        set->count--;
        return true;
    }
    return false;
}

static struct mt_generation *load_all(struct mt_vm *vm, struct mt_source_set *set,
                                      struct mt_flow_problem *problems, size_t *count) {
    struct mt_error e;
    for (*count = 0; *count < PROBLEMS_MAX;) {
        struct mt_generation *g = mt_generation_load(vm, set->files, set->count, NULL, &e);
        if (g) return g;
        struct mt_flow_problem *p = &problems[(*count)++];
        mt_flow_problem_fill(p, e.message, 0);
        /* What others require cannot be left out: they would only complain that it is gone. */
        if (strchr(p->file, '/') || !leave_out(set, p->file)) return NULL;
    }
    return NULL;
}

static void print_json(const struct mt_flow_problem *problems, size_t count, const json_t *entries) {
    json_t *list = json_array(), *root = json_object();
    for (size_t i = 0; i < count; i++)
        json_array_append_new(list, json_pack("{s:s, s:i, s:s}", "file", problems[i].file, "line",
                                              problems[i].line, "message", problems[i].message));
    json_object_set_new(root, "problems", list);
    json_object_set(root, "registered", (json_t *)entries);
    json_dumpf(root, stdout, JSON_INDENT(2));
    putchar('\n');
    json_decref(root);
}

static void print_words(const struct mt_flow_problem *problems, size_t count, const json_t *entries,
                        const char *path, const struct mt_colors *c) {
    const json_t *entry;
    size_t i, flows = 0;
    for (i = 0; i < count; i++) printf("%serror%s  %s\n", c->red, c->reset, problems[i].message);
    json_array_foreach(entries, i, entry) flows += strcmp(mt_json_str(entry, "kind", ""), "flow") == 0;
    if (count == 0)
        printf("%sfine%s   %s: %zu flow%s, %zu registered in all\n", c->green, c->reset, path, flows,
               flows == 1 ? "" : "s", json_array_size(entries));
    else
        printf("%zu problem%s in %s\n", count, count == 1 ? "" : "s", path);
}

int mt_check_command(const struct mt_command *self, struct mt_config *config, int argc, const char **argv) {
    (void)self;
    const char *path = argc > 0 ? argv[0] : mt_config_str(config, "flows");
    struct mt_source_set set = {0};
    struct mt_error e;
    struct mt_vm_options vo = {.modules = mt_modules};
    struct mt_flow_problem *problems = mt_calloc(PROBLEMS_MAX, sizeof *problems);
    struct mt_vm *vm = NULL;
    struct mt_generation *g = NULL;
    json_t *entries = NULL;
    size_t count = 0;
    int code = MT_EXIT_FAILED;

    if (access(path, F_OK) != 0) {
        mt_fail(&e, MT_USAGE, "there is no %s to check", path);
        code = mt_report(&e);
        goto out;
    }
    int read = is_folder(path) ? mt_source_set_read(path, &set, &e) : mt_source_set_read_one(path, &set, &e);
    if (read != 0 || !(vm = mt_vm_new(&vo, &e))) {
        code = mt_report(&e);
        goto out;
    }
    g = load_all(vm, &set, problems, &count);
    entries =
        g ? mt_json_parse(mt_generation_registry(g), strlen(mt_generation_registry(g)), &e) : json_array();
    if (mt_config_bool(config, "json"))
        print_json(problems, count, entries);
    else
        print_words(problems, count, entries, path, mt_colors_for(stdout, mt_config_str(config, "color")));
    if (count == 0) code = MT_EXIT_DONE;
out:
    json_decref(entries);
    if (g) mt_generation_release(g);
    if (vm) mt_vm_free(vm);
    mt_source_set_clear(&set);
    free(problems);
    return code;
}
