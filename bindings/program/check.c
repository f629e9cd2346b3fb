/* mintage check: loads flows as a runtime would, without store, network or engine, and reads each file as
 * well (checking/), so that what only shows when a line is reached is found too. Each broken file is told of,
 * because the others are also loaded without it. One thread. */
#include "check.h"
#include "base/json.h"
#include "base/text.h"
#include "bindings/modules/modules.h"
#include "bindings/modules/schedule.h"
#include "embedded.h"
#include "generations.h"
#include "program.h"
#include "sources.h"
#include "terminal.h"
#include <lauxlib.h>
#include <lualib.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PROBLEMS_MAX = 100 };

struct checking {
    const char *path;
    bool folder;
    char *settings; /* that scripts can see, as JSON; NULL: none */
    struct mt_source_set set;
    struct mt_vm *vm;
    struct mt_generation *g; /* NULL: something cannot be loaded */
    json_t *findings;        /* {"file","line","column","severity","message"} */
    json_t *registered;
};

static bool is_folder(const char *path) {
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static const char *base_name(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* ---- loading ---- */

/* Takes the named file out of the set, so that the next load finds the next mistake. False when there is no
 * such file. */
static bool leave_out(struct mt_source_set *set, const char *name) {
    for (size_t i = 0; i < set->count; i++) {
        if (strcmp(set->files[i].name, name) != 0) continue;
        struct mt_source file = set->files[i];
        memmove(&set->files[i], &set->files[i + 1], (set->count - i - 1) * sizeof *set->files);
        set->files[--set->count] = file;
        return true;
    }
    return false;
}

static void add_problem(struct checking *c, const char *text) {
    struct mt_flow_problem p;
    mt_flow_problem_fill(&p, text, 0);
    const char *words = p.message;
    char place[320];
    mt_format(place, sizeof place, "%s:%d: ", p.file, p.line);
    if (p.file[0] && strncmp(words, place, strlen(place)) == 0) words += strlen(place);
    json_array_append_new(c->findings,
                          json_pack("{s:s, s:i, s:i, s:s, s:s, s:b}", "file", p.file, "line", p.line,
                                    "column", 0, "severity", "error", "message", words, "loading", 1));
}

/* Whatever cannot be loaded, a file a time. Files that were left out stand behind set->count meanwhile. */
static void load_all(struct checking *c) {
    size_t all = c->set.count;
    struct mt_error e;
    for (size_t i = 0; i < PROBLEMS_MAX && !c->g; i++) {
        c->g = mt_generation_load(c->vm, c->set.files, c->set.count, c->settings, &e);
        if (c->g) break;
        struct mt_flow_problem p;
        mt_flow_problem_fill(&p, e.message, 0);
        add_problem(c, e.message);
        /* What others require cannot be left out: they would only complain that it is gone. */
        if (strchr(p.file, '/') || !leave_out(&c->set, p.file)) break;
    }
    bool whole = c->set.count == all;
    c->set.count = all;
    mt_source_set_sort(&c->set);
    c->registered =
        c->g ? mt_json_parse(mt_generation_registry(c->g), strlen(mt_generation_registry(c->g)), &e)
             : json_array();
    if (whole && c->g && c->folder && mt_schedules_check(c->registered, &e) != 0) add_problem(c, e.message);
    if (whole) return;
    if (c->g) mt_generation_release(c->g); /* of a part only */
    c->g = NULL;
}

/* ---- reading ---- */

static void push_text(lua_State *L, const char *field, const char *text, size_t len) {
    lua_pushlstring(L, text, len);
    lua_setfield(L, -2, field);
}

static void push_files(lua_State *L, const struct checking *c) {
    lua_newtable(L);
    for (size_t i = 0; i < c->set.count; i++) {
        const struct mt_source *file = &c->set.files[i];
        lua_newtable(L);
        push_text(L, "name", file->name, strlen(file->name));
        push_text(L, "text", file->text, file->len);
        lua_pushboolean(L, c->folder || strcmp(file->name, base_name(c->path)) == 0);
        lua_setfield(L, -2, "wanted");
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    lua_setfield(L, -2, "files");
}

static void push_types(lua_State *L) {
    lua_Integer n = 0;
    lua_newtable(L);
    for (const struct mt_asset *a = mt_embedded_types; a->path; a++) {
        lua_newtable(L);
        push_text(L, "name", a->path, strlen(a->path));
        push_text(L, "text", (const char *)a->data, a->len);
        lua_rawseti(L, -2, ++n);
    }
    lua_setfield(L, -2, "types");
}

/* The names of all flows, when all are known. */
static void push_flows(lua_State *L, const struct checking *c) {
    const json_t *entry;
    size_t i;
    lua_Integer n = 0;
    if (!c->g || !c->folder) return;
    lua_newtable(L);
    json_array_foreach(c->registered, i, entry) {
        if (strcmp(mt_json_str(entry, "kind", ""), "flow") != 0) continue;
        lua_pushstring(L, mt_json_str(entry, "name", ""));
        lua_rawseti(L, -2, ++n);
    }
    lua_setfield(L, -2, "flows");
}

/* What load_all has said of the same line is said better here; but its own syntax errors are Lua's words. */
static bool told_by_loading(const struct checking *c, const json_t *finding) {
    size_t i;
    const json_t *had;
    json_array_foreach(c->findings, i, had) {
        if (!json_is_true(json_object_get(had, "loading")) ||
            strcmp(mt_json_str(had, "file", ""), mt_json_str(finding, "file", "")) != 0)
            continue;
        if (json_is_true(json_object_get(finding, "syntax"))) {
            if (mt_json_int(had, "line", 0) == mt_json_int(finding, "line", 0))
                json_object_set((json_t *)had, "column", json_object_get(finding, "column"));
            return true;
        }
        if (mt_json_int(had, "line", 0) != mt_json_int(finding, "line", 0)) continue;
        json_array_remove(c->findings, i);
        return false;
    }
    return false;
}

static void take_findings(lua_State *L, struct checking *c) {
    for (lua_Integer i = 1; lua_rawgeti(L, -1, i) == LUA_TTABLE; i++) {
        lua_getfield(L, -1, "file");
        lua_getfield(L, -2, "line");
        lua_getfield(L, -3, "column");
        lua_getfield(L, -4, "severity");
        lua_getfield(L, -5, "message");
        lua_getfield(L, -6, "syntax");
        json_t *finding = json_pack("{s:s, s:I, s:I, s:s, s:s, s:b}", "file", lua_tostring(L, -6), "line",
                                    (json_int_t)lua_tointeger(L, -5), "column",
                                    (json_int_t)lua_tointeger(L, -4), "severity", lua_tostring(L, -3),
                                    "message", lua_tostring(L, -2), "syntax", lua_toboolean(L, -1));
        if (finding && !told_by_loading(c, finding)) json_array_append(c->findings, finding);
        json_decref(finding);
        lua_pop(L, 7);
    }
    lua_pop(L, 1);
}

static int traceback(lua_State *L) {
    luaL_traceback(L, L, luaL_tolstring(L, 1, NULL), 1);
    return 1;
}

static int read_all(struct checking *c, struct mt_error *e) {
    struct mt_check_known known = {.vm = c->vm};
    int rc = -1;
    lua_State *L = luaL_newstate();
    if (!L) return mt_fail(e, MT_LIMIT, "no memory for a Lua state");
    known.defined = mt_check_defined(c->registered);
    if (!(known.asked = mt_check_asked(c->vm, e))) goto out;
    luaL_openlibs(L);
    mt_check_open(L, &known);
    lua_pushcfunction(L, traceback);
    lua_getglobal(L, "require");
    lua_pushstring(L, "mintage.checking.init");
    if (lua_pcall(L, 1, 1, 1) != LUA_OK) goto broken;
    lua_getfield(L, -1, "check");
    lua_newtable(L);
    push_files(L, c);
    push_types(L);
    push_flows(L, c);
    if (lua_pcall(L, 1, 1, 1) != LUA_OK) goto broken;
    take_findings(L, c);
    rc = 0;
    goto out;
broken:
    mt_fail(e, MT_INTERNAL, "the checker failed: %s", lua_tostring(L, -1));
out:
    if (known.asked) mt_generation_release(known.asked);
    lua_close(L);
    mt_check_undefine(known.defined);
    return rc;
}

/* ---- telling ---- */

static int by_place(const void *a, const void *b) {
    const json_t *x = *(json_t *const *)a, *y = *(json_t *const *)b;
    int files = strcmp(mt_json_str(x, "file", ""), mt_json_str(y, "file", ""));
    if (files) return files;
    int64_t lines = mt_json_int(x, "line", 0) - mt_json_int(y, "line", 0);
    if (!lines) lines = mt_json_int(x, "column", 0) - mt_json_int(y, "column", 0);
    return lines < 0 ? -1 : lines > 0;
}

static void sort_findings(struct checking *c) {
    size_t n = json_array_size(c->findings);
    json_t **list = mt_calloc(n + 1, sizeof(json_t *));
    for (size_t i = 0; i < n; i++) {
        list[i] = json_incref(json_array_get(c->findings, i));
        json_object_del(list[i], "loading");
        json_object_del(list[i], "syntax");
    }
    qsort(list, n, sizeof(json_t *), by_place);
    json_array_clear(c->findings);
    for (size_t i = 0; i < n; i++) json_array_append_new(c->findings, list[i]);
    free(list);
}

static size_t count_of(const struct checking *c, const char *severity) {
    size_t i, n = 0;
    const json_t *finding;
    json_array_foreach(c->findings, i, finding) n +=
        strcmp(mt_json_str(finding, "severity", ""), severity) == 0;
    return n;
}

static void print_json(const struct checking *c) {
    json_t *root = json_pack("{s:O, s:O}", "problems", c->findings, "registered", c->registered);
    json_dumpf(root, stdout, JSON_INDENT(2) | JSON_PRESERVE_ORDER);
    putchar('\n');
    json_decref(root);
}

/* As gcc does, so that editors understand it: the file as it can be opened from here. */
static void print_finding(const struct checking *c, const json_t *finding, const struct mt_colors *k) {
    const char *file = mt_json_str(finding, "file", ""), *severity = mt_json_str(finding, "severity", "");
    int64_t line = mt_json_int(finding, "line", 0), column = mt_json_int(finding, "column", 0);
    size_t len = strlen(c->path);
    while (len > 1 && c->path[len - 1] == '/') len--;
    int folder = c->folder ? (int)len : (int)(base_name(c->path) - c->path);
    if (file[0])
        printf("%s%.*s%s%s:%lld:%lld:%s ", k->bold, folder, c->path, c->folder ? "/" : "", file,
               (long long)(line ? line : 1), (long long)(column ? column : 1), k->reset);
    printf("%s%s:%s %s\n", strcmp(severity, "error") == 0 ? k->red : k->yellow, severity, k->reset,
           mt_json_str(finding, "message", ""));
}

static void print_words(const struct checking *c, const struct mt_colors *k) {
    const json_t *row;
    size_t i, flows = 0, errors = count_of(c, "error"), warnings = count_of(c, "warning");
    json_array_foreach(c->findings, i, row) print_finding(c, row, k);
    json_array_foreach(c->registered, i, row) flows += strcmp(mt_json_str(row, "kind", ""), "flow") == 0;
    if (errors + warnings == 0)
        printf("%sfine%s   %s: %zu flow%s, %zu registered in all\n", k->green, k->reset, c->path, flows,
               flows == 1 ? "" : "s", json_array_size(c->registered));
    else
        printf("%zu error%s and %zu warning%s in %s\n", errors, errors == 1 ? "" : "s", warnings,
               warnings == 1 ? "" : "s", c->path);
}

int mt_check_command(const struct mt_command *self, struct mt_config *config, int argc, const char **argv) {
    (void)self;
    struct checking c = {.path = argc > 0 ? argv[0] : mt_config_str(config, "flows")};
    struct mt_error e;
    struct mt_vm_options vo = {.modules = mt_modules};
    int code = MT_EXIT_FAILED;

    c.findings = json_array();
    c.folder = is_folder(c.path);
    if (access(c.path, F_OK) != 0) {
        mt_fail(&e, MT_USAGE, "there is no %s to check", c.path);
        code = mt_report(&e);
        goto out;
    }
    int read = c.folder ? mt_source_set_read(c.path, &c.set, &e) : mt_source_set_read_one(c.path, &c.set, &e);
    if (read != 0 || mt_setting_scripts(config, &c.settings, &e) != 0 || !(c.vm = mt_vm_new(&vo, &e))) {
        code = mt_report(&e);
        goto out;
    }
    load_all(&c);
    if (read_all(&c, &e) != 0) {
        code = mt_report(&e);
        goto out;
    }
    sort_findings(&c);
    if (mt_config_bool(config, "json"))
        print_json(&c);
    else
        print_words(&c, mt_colors_for(stdout, mt_config_str(config, "color")));
    if (json_array_size(c.findings) == 0) code = MT_EXIT_DONE;
out:
    json_decref(c.registered);
    json_decref(c.findings);
    if (c.g) mt_generation_release(c.g);
    if (c.vm) mt_vm_free(c.vm);
    mt_source_set_clear(&c.set);
    free(c.settings);
    return code;
}
