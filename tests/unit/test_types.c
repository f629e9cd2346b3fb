/* The type files of bindings/types against the running VM: the same names on both sides; those of providers
 * are generated. MINTAGE_WRITE_TYPES=1 writes the generated ones. */
/* links: mt_modules */
#include "fake_engine.h"
#include "providers/provider.h"
#include <lauxlib.h>
#include <lualib.h>

static void types_path(const char *module, char out[512]) {
    mt_format(out, 512, "%.*s../../bindings/types/%s.d.lua", (int)(strrchr(__FILE__, '/') + 1 - __FILE__),
              __FILE__, module);
}

/* ---- names of a table, sorted, one a line ---- */

struct names {
    char *items[512];
    size_t count;
};

static int compare(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static char *join(struct names *n) {
    struct mt_buf b;
    mt_buf_init(&b, 65536);
    qsort(n->items, n->count, sizeof(n->items[0]), compare);
    for (size_t i = 0; i < n->count; i++) {
        mt_buf_addf(&b, "%s\n", n->items[i]);
        free(n->items[i]);
    }
    n->count = 0;
    return mt_buf_take(&b, NULL);
}

/* The dotted names in the table on top: functions, operations and constants; tables are entered. */
static void collect(lua_State *L, const char *prefix, struct names *n) {
    luaL_checkstack(L, 8, NULL);
    lua_pushnil(L);
    while (lua_next(L, -2) != 0) {
        char name[128];
        mt_format(name, sizeof(name), "%s%s%s", prefix, prefix[0] != '\0' ? "." : "", lua_tostring(L, -2));
        bool constant = strcmp(name, "null") == 0;
        if (lua_istable(L, -1) && !constant)
            collect(L, name, n);
        else if (n->count < 512)
            n->items[n->count++] = mt_strdup(name);
        lua_pop(L, 1);
    }
}

/* ---- the VM's side ---- */

static const char *const modules[] = {"flow",   "time",  "collection", "web",     "task",
                                      "crypto", "money", "json",       "provider"};
enum { MODULES = sizeof(modules) / sizeof(modules[0]) };

/* Classes with methods: the module that declares each, and how a script gets one. */
static const struct {
    const char *module, *name;
} classes[] = {{"time", "Time"}, {"collection", "Collection"}, {"money", "Money"}};
enum { CLASSES = sizeof(classes) / sizeof(classes[0]) };

static const char script[] =
    "local names = { 'flow', 'time', 'collection', 'web', 'task', 'crypto', 'money', 'json', 'provider', "
    "'mintro', 'http' }\n"
    "local m = {}\n"
    "for _, name in ipairs(names) do m[name] = require('mintage.' .. name) end\n"
    "m.deliver = require 'mintage.deliver'\n"
    "local orders = m.collection.define 'orders'\n"
    "m.flow.define { name = 't', run = function()\n"
    "  return m, { Time = m.flow.now(), Collection = orders, Money = m.money '1 USD' }\n"
    "end }\n";

struct surface {
    char *modules[MODULES], *classes[CLASSES];
    bool deliver_is_a_function;
};

/* The methods of the object on top: its metatable's __index, or what that function has as its first upvalue.
 */
static void push_methods(lua_State *L) {
    assert_true(lua_getmetatable(L, -1));
    lua_getfield(L, -1, "__index");
    if (lua_isfunction(L, -1)) assert_non_null(lua_getupvalue(L, -1, 1));
    assert_true(lua_istable(L, -1));
}

static int take_surface(lua_State *L, void *arg) {
    struct surface *s = arg;
    struct names n = {.count = 0};
    for (size_t i = 0; i < MODULES; i++) {
        lua_settop(L, 2);
        lua_getfield(L, 1, modules[i]);
        collect(L, "", &n);
        s->modules[i] = join(&n);
    }
    for (size_t i = 0; i < CLASSES; i++) {
        lua_settop(L, 2);
        lua_getfield(L, 2, classes[i].name);
        push_methods(L);
        collect(L, "", &n);
        s->classes[i] = join(&n);
    }
    lua_getfield(L, 1, "deliver");
    s->deliver_is_a_function = lua_isfunction(L, -1);
    return 0;
}

static void take(struct world *w, struct surface *s) {
    struct mt_error e;
    struct mt_exec x = {.handler = false};
    struct mt_vm_result r;
    if (world_load(w, "t.lua", script, &e) != 0) fail_msg("%s", e.message);
    struct mt_generation *g = mt_scripts_current(w->scripts);
    struct mt_vm_call call = {.entry = "flow:t", .take = take_surface, .arg = s, .context = &x};
    mt_vm_execute(w->vm, g, &call, &r);
    if (r.exit != MT_EXIT_RETURNED) fail_msg("%s", r.message);
    mt_vm_result_clear(&r);
    mt_generation_release(g);
}

/* ---- the files' side ---- */

/* A plain state with the results of running a type file: the module, and its classes (or nil). */
static lua_State *run_types(const char *module) {
    char path[512];
    types_path(module, path);
    lua_State *L = luaL_newstate();
    luaL_openlibs(L);
    if (luaL_loadfile(L, path) != LUA_OK || lua_pcall(L, 0, 2, 0) != LUA_OK)
        fail_msg("%s", lua_tostring(L, -1));
    return L;
}

static void types_and_modules_agree(void **state) {
    struct surface s;
    struct names n = {.count = 0};
    take(*state, &s);
    for (size_t i = 0; i < MODULES; i++) {
        lua_State *L = run_types(modules[i]);
        lua_settop(L, 1);
        collect(L, "", &n);
        char *declared = join(&n);
        if (strcmp(declared, s.modules[i]) != 0)
            fail_msg("mintage.%s has\n%sbut its types declare\n%s", modules[i], s.modules[i], declared);
        free(declared);
        free(s.modules[i]);
        lua_close(L);
    }
    for (size_t i = 0; i < CLASSES; i++) {
        lua_State *L = run_types(classes[i].module);
        lua_getfield(L, 2, classes[i].name);
        collect(L, "", &n);
        char *declared = join(&n);
        if (strcmp(declared, s.classes[i]) != 0)
            fail_msg("%s has the methods\n%sbut its types declare\n%s", classes[i].name, s.classes[i],
                     declared);
        free(declared);
        free(s.classes[i]);
        lua_close(L);
    }
    lua_State *L = run_types("deliver");
    assert_true(lua_isfunction(L, 1) && s.deliver_is_a_function);
    lua_close(L);
}

/* ---- providers: written from their tables ---- */

static const char *lua_type_of(const struct mt_param *p) {
    if (p->values != NULL) return NULL;
    switch (p->type) {
    case MT_P_STRING:
        return "string";
    case MT_P_INTEGER:
        return "integer";
    case MT_P_NUMBER:
        return "number";
    case MT_P_BOOLEAN:
        return "boolean";
    case MT_P_MONEY:
        return "mintage.Money";
    case MT_P_OBJECT:
    case MT_P_ARRAY:
        return "table";
    case MT_P_ANY:
        break;
    }
    return "any";
}

/* "mintro.intents.create" -> "mintro.IntentsCreate" */
static void class_name(const char *provider, const char *operation, char out[128]) {
    size_t used = 0;
    bool upper = true;
    mt_format(out, 128, "%s.", provider);
    used = strlen(out);
    for (const char *p = operation; *p != '\0' && used < 126; p++) {
        if (*p == '.' || *p == '_') {
            upper = true;
            continue;
        }
        out[used++] = upper && *p >= 'a' && *p <= 'z' ? (char)(*p - 'a' + 'A') : *p;
        upper = false;
    }
    out[used] = '\0';
}

static void write_params(struct mt_buf *b, const struct mt_provider *provider,
                         const struct mt_operation *op) {
    char name[128];
    class_name(provider->name, op->name, name);
    mt_buf_addf(b, "---@class mintage.%s\n", name);
    for (const struct mt_param *p = op->params; p != NULL && p->name != NULL; p++) {
        bool duration = op->kind == MT_OPERATION_SETTLED && strcmp(p->name, "within") == 0;
        mt_buf_addf(b, "---@field %s%s ", p->name, p->required ? "" : "?");
        for (const char *const *v = p->values; v != NULL && *v != NULL; v++)
            mt_buf_addf(b, "%s\"%s\"", v == p->values ? "" : "|", *v);
        if (p->values == NULL) mt_buf_adds(b, duration ? "mintage.Duration" : lua_type_of(p));
        mt_buf_addf(b, " %s\n",
                    p->doc == NULL ? ""
                    : duration     ? "how long to wait at most; \"1h\" when left out"
                                   : p->doc);
    }
}

/* Declares the tables on the way to "intents.create" that have not been declared. */
static void write_parents(struct mt_buf *b, const struct mt_provider *provider, const char *operation) {
    for (const char *dot = strchr(operation, '.'); dot != NULL; dot = strchr(dot + 1, '.')) {
        char line[160];
        mt_format(line, sizeof(line), "%s.%.*s = {}\n", provider->name, (int)(dot - operation), operation);
        if (strstr(b->data, line) == NULL) mt_buf_adds(b, line);
    }
}

static char *generate(const struct mt_provider *provider) {
    struct mt_buf b;
    mt_buf_init(&b, 1024 * 1024);
    mt_buf_addf(
        &b, "---@meta mintage.%s\n-- %s. Written from core/providers; not to be edited.\n\nlocal %s = {}\n",
        provider->name, provider->title, provider->name);
    for (const struct mt_operation *op = provider->operations; op->name != NULL; op++) {
        char name[128];
        class_name(provider->name, op->name, name);
        mt_buf_addc(&b, '\n');
        write_parents(&b, provider, op->name);
        write_params(&b, provider, op);
        mt_buf_addf(&b, "\n---%s\n---@param params? mintage.%s|string\n---@return table%s result %s\n",
                    op->doc, name, op->kind == MT_OPERATION_SETTLED ? "?" : "", op->returns);
        mt_buf_addf(&b, "function %s.%s(params, ...) end\n", provider->name, op->name);
    }
    mt_buf_addf(&b, "\nreturn %s\n", provider->name);
    return mt_buf_take(&b, NULL);
}

static void provider_types_are_up_to_date(void **state) {
    (void)state;
    for (const struct mt_provider *const *p = mt_providers_all(); *p != NULL; p++) {
        char path[512], *text = generate(*p), *had = mt_calloc(1, 1024 * 1024);
        types_path((*p)->name, path);
        if (getenv("MINTAGE_WRITE_TYPES") != NULL) {
            FILE *out = fopen(path, "wb");
            assert_non_null(out);
            fputs(text, out);
            assert_int_equal(fclose(out), 0);
        }
        FILE *in = fopen(path, "rb");
        if (in == NULL) fail_msg("%s is missing: run MINTAGE_WRITE_TYPES=1 test_types", path);
        had[fread(had, 1, 1024 * 1024 - 1, in)] = '\0';
        fclose(in);
        if (strcmp(text, had) != 0) fail_msg("%s is out of date: run MINTAGE_WRITE_TYPES=1 test_types", path);
        lua_close(run_types((*p)->name)); /* it is Lua */
        free(text);
        free(had);
    }
}

static void every_provider_is_a_module(void **state) {
    (void)state;
    for (const struct mt_provider *const *p = mt_providers_all(); *p != NULL; p++) {
        char name[64];
        bool found = false;
        mt_format(name, sizeof(name), "mintage.%s", (*p)->name);
        for (const struct mt_vm_module *m = mt_modules; m->name != NULL; m++)
            found = found || strcmp(m->name, name) == 0;
        if (!found) fail_msg("there is no module %s", name);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(types_and_modules_agree, world_setup, world_teardown),
        cmocka_unit_test(provider_types_are_up_to_date),
        cmocka_unit_test(every_provider_is_a_module),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
