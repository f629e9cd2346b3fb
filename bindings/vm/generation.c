/* Generations and their arenas: a set of sources named by its digest, loaded into an image wherever one is
 * needed. Invariant: a generation never changes; loading it again, in any arena, registers the same entries.
 * Any thread: the counter is atomic, the idle arenas are under the pool's lock, and nothing is held while a
 * script loads. */
#include "base/json.h"
#include "base/text.h"
#include "bindings/vm/internal.h"
#include "bindings/vm/require.h"
#include "crypto/crypto.h"
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { IDLE_MAX = 256, FILES_MAX = 10000, SOURCE_MAX = 1024 * 1024, SOURCES_MAX = 16 * 1024 * 1024 };

const char mt_key_entries[] = "mintage.entries";
static const char key_places[] = "mintage.places";   /* entry -> "checkout.lua:12" */
static const char key_listing[] = "mintage.listing"; /* registrations' JSON, in order */

/* ---- files ---- */

static bool ends_with(const char *s, const char *end) {
    size_t n = strlen(s), m = strlen(end);
    return n > m && strcmp(s + n - m, end) == 0;
}

static bool is_library(const char *name) {
    return strncmp(name, "mintage.", 8) == 0 && !ends_with(name, ".lua");
}

static int check_file(const struct mt_source *f, struct mt_error *e) {
    if (f->name == NULL || f->name[0] == '\0' || f->name[0] == '/' || strlen(f->name) > 200 ||
        strstr(f->name, "..") != NULL)
        return mt_fail(e, MT_SCRIPT,
                       "'%.200s' is no file name for a script: wanted a path relative to the flows",
                       f->name != NULL ? f->name : "");
    if (f->len > SOURCE_MAX)
        return mt_fail(e, MT_SCRIPT, "%s: found %zu bytes, wanted at most %d", f->name, f->len, SOURCE_MAX);
    if (is_library(f->name)) return 0;
    if (strncmp(f->name, "mintage.", 8) == 0 || strncmp(f->name, "mintage/", 8) == 0)
        return mt_fail(e, MT_SCRIPT, "%s: names that begin with 'mintage' belong to Mintage; rename the file",
                       f->name);
    return 0;
}

static int by_name(const void *a, const void *b) {
    return strcmp(((const struct mt_source *)a)->name, ((const struct mt_source *)b)->name);
}

static void copy_sources(struct mt_generation *g, const struct mt_source *from, size_t n, bool library) {
    for (size_t i = 0; i < n; i++) {
        if (is_library(from[i].name) != library) continue;
        g->files[g->count++] =
            (struct mt_source){mt_strdup(from[i].name), mt_memdup(from[i].text, from[i].len), from[i].len};
    }
}

/* Fills g->files: the library (the files' own when they bring one), then the scripts. */
static int take_sources(struct mt_generation *g, const struct mt_source *files, size_t count,
                        struct mt_error *e) {
    const struct mt_vm_options *o = &g->vm->o;
    if (count > FILES_MAX)
        return mt_fail(e, MT_SCRIPT, "found %zu files, wanted at most %d", count, FILES_MAX);
    bool own = false;
    size_t total = 0;
    for (size_t i = 0; i < count; i++) {
        if (check_file(&files[i], e) != 0) return -1;
        own = own || is_library(files[i].name);
        total += files[i].len;
    }
    if (total > SOURCES_MAX)
        return mt_fail(e, MT_SCRIPT, "found %zu bytes of scripts, wanted at most %d", total, SOURCES_MAX);
    g->files = mt_calloc(count + o->library_count + 1, sizeof(*g->files));
    copy_sources(g, own ? files : o->library, own ? count : o->library_count, true);
    g->library_count = g->count;
    copy_sources(g, files, count, false);
    qsort(g->files, g->library_count, sizeof(*g->files), by_name);
    qsort(g->files + g->library_count, g->count - g->library_count, sizeof(*g->files), by_name);
    for (size_t i = 1; i < g->count; i++)
        if (strcmp(g->files[i - 1].name, g->files[i].name) == 0)
            return mt_fail(e, MT_SCRIPT, "the file %s was given twice", g->files[i].name);
    return 0;
}

static int take_settings(struct mt_generation *g, const char *settings, struct mt_error *e) {
    if (settings == NULL || settings[0] == '\0') settings = "{}";
    json_t *o = mt_json_parse(settings, strlen(settings), e);
    if (o == NULL) return mt_error_wrap(e, "settings");
    if (json_is_object(o)) g->settings = mt_json_dump(o, NULL);
    json_decref(o);
    return g->settings != NULL ? 0 : mt_fail(e, MT_SCRIPT, "settings: wanted a JSON object");
}

/* Every part with its length in front, so that no two sets of files read the same. */
static void name_generation(struct mt_generation *g) {
    struct mt_buf b;
    mt_buf_init(&b, 4 * (size_t)SOURCES_MAX);
    mt_buf_adds(&b, "mintage generation 1\n");
    for (size_t i = 0; i < g->count; i++) {
        mt_buf_addf(&b, "%s %zu\n", g->files[i].name, g->files[i].len);
        mt_buf_add(&b, g->files[i].text, g->files[i].len);
    }
    mt_buf_addf(&b, "settings %zu\n%s", strlen(g->settings), g->settings);
    memcpy(g->id, "sha256:", 7);
    mt_sha256_hex(b.data, b.len, g->id + 7);
    mt_buf_clear(&b);
}

/* ---- images ---- */

/* Compiles every file, so that a mistake in any of them is found now, then runs the top-level ones. */
static int load_image(lua_State *L) {
    struct mt_arena *a = mt_arena_of(L);
    const struct mt_generation *g = a->generation;
    mt_sandbox_open(L);
    lua_newtable(L);
    lua_setfield(L, LUA_REGISTRYINDEX, mt_key_entries);
    lua_newtable(L);
    lua_setfield(L, LUA_REGISTRYINDEX, key_places);
    lua_newtable(L);
    lua_setfield(L, LUA_REGISTRYINDEX, key_listing);
    for (size_t i = g->library_count; i < g->count; i++)
        if (ends_with(g->files[i].name, ".lua")) mt_require_compile(L, &g->files[i]);
    for (size_t i = g->library_count; i < g->count; i++) {
        const char *name = g->files[i].name;
        if (strchr(name, '/') != NULL || !ends_with(name, ".lua")) continue;
        mt_require_file(L, &g->files[i]);
        lua_settop(L, 0);
    }
    lua_getfield(L, LUA_REGISTRYINDEX, mt_key_entries);
    for (const struct mt_vm_entry *own = a->vm->o.entries; own != NULL && own->name != NULL; own++) {
        lua_pushcfunction(L, own->call);
        lua_setfield(L, -2, own->name);
    }
    return 0;
}

static int load_failed(const struct mt_vm_result *out, struct mt_error *e) {
    if (out->exit != MT_EXIT_RAISED)
        return mt_fail(e, MT_SCRIPT, "%s",
                       out->message[0] != '\0' ? out->message : "a file could not be loaded");
    struct mt_error ignored;
    json_t *o = mt_json_parse(out->error.data, out->error.len, &ignored);
    mt_fail(e, MT_SCRIPT, "%s%s%s: %s", out->site, out->site[0] != '\0' ? ": " : "",
            mt_json_str(o, "kind", "error"), mt_json_str(o, "message", ""));
    json_decref(o);
    return -1;
}

/* The JSON array of what was registered; the list is not needed in the image. */
static char *take_listing(lua_State *L) {
    struct mt_buf b;
    mt_buf_init(&b, 64 * 1024 * 1024);
    mt_buf_addc(&b, '[');
    lua_getfield(L, LUA_REGISTRYINDEX, key_listing);
    for (lua_Integer i = 1, n = (lua_Integer)lua_rawlen(L, -1); i <= n; i++) {
        size_t len;
        lua_rawgeti(L, -1, i);
        const char *s = lua_tolstring(L, -1, &len);
        if (i > 1) mt_buf_addc(&b, ',');
        mt_buf_add(&b, s, len);
        lua_pop(L, 1);
    }
    mt_buf_addc(&b, ']');
    return mt_buf_take(&b, NULL);
}

static void list_arena(struct mt_arena *a) {
    struct mt_vm *vm = a->vm;
    pthread_mutex_lock(&vm->list_lock);
    a->all_next = vm->all;
    if (vm->all != NULL) vm->all->all_prev = a;
    vm->all = a;
    pthread_mutex_unlock(&vm->list_lock);
}

static void destroy_arena(struct mt_arena *a) {
    struct mt_vm *vm = a->vm;
    pthread_mutex_lock(&vm->list_lock);
    if (a->all_next != NULL) a->all_next->all_prev = a->all_prev;
    *(a->all_prev != NULL ? &a->all_prev->all_next : &vm->all) = a->all_next;
    pthread_mutex_unlock(&vm->list_lock);
    mt_arena_retire(a);
}

static struct mt_arena *build_arena(struct mt_vm *vm, struct mt_generation *g, struct mt_error *e) {
    struct mt_arena *a = mt_arena_revive(vm, g);
    if (a != NULL) {
        list_arena(a);
        return a;
    }
    a = mt_arena_new(vm);
    a->generation = g;
    a->loading = true;
    a->L = lua_newstate(mt_arena_lua_alloc, a);
    *(struct mt_arena **)lua_getextraspace(a->L) = a;
    lua_gc(a->L, LUA_GCSTOP);
    list_arena(a);
    struct mt_vm_result out;
    mt_buf_init(&out.error, MT_VALUE_MAX);
    mt_arena_run(a, load_image, &out);
    if (out.exit != MT_EXIT_RETURNED) {
        load_failed(&out, e);
        mt_vm_result_clear(&out);
        destroy_arena(a);
        return NULL;
    }
    mt_vm_result_clear(&out);
    /* What only loading needed goes, so that the image is small. */
    a->soft = true;
    lua_settop(a->L, 0);
    if (g->registry == NULL) {
        g->registry = take_listing(a->L);
        lua_settop(a->L, 0);
    }
    lua_pushnil(a->L);
    lua_setfield(a->L, LUA_REGISTRYINDEX, key_listing);
    lua_pushnil(a->L);
    lua_setfield(a->L, LUA_REGISTRYINDEX, key_places);
    for (int i = 0; i < SNAPSHOTS; i++) a->snapshots[i].table = NULL;
    struct mt_arena *outer = mt_arena_current;
    mt_arena_current = a;
    lua_gc(a->L, LUA_GCCOLLECT);
    mt_arena_current = outer;
    a->soft = false;
    a->loading = false;
    mt_arena_save(a);
    return a;
}

/* ---- the pool ---- */

static void unlink_idle(struct mt_vm *vm, struct mt_arena *a) {
    *(a->idle_prev != NULL ? &a->idle_prev->idle_next : &vm->idle) = a->idle_next;
    *(a->idle_next != NULL ? &a->idle_next->idle_prev : &vm->idle_last) = a->idle_prev;
    a->idle_prev = a->idle_next = NULL;
    vm->idle_count--;
}

struct mt_arena *mt_pool_take(struct mt_vm *vm, struct mt_generation *g, struct mt_error *e) {
    pthread_mutex_lock(&vm->pool_lock);
    struct mt_arena *a = vm->idle; /* the newest first: its memory is warm */
    while (a != NULL && a->generation != g) a = a->idle_next;
    if (a != NULL) unlink_idle(vm, a);
    pthread_mutex_unlock(&vm->pool_lock);
    return a != NULL ? a : build_arena(vm, g, e);
}

void mt_pool_put(struct mt_vm *vm, struct mt_arena *a) {
    mt_arena_trim(a);
    struct mt_arena *oldest = NULL;
    pthread_mutex_lock(&vm->pool_lock);
    a->idle_prev = NULL;
    a->idle_next = vm->idle;
    *(vm->idle != NULL ? &vm->idle->idle_prev : &vm->idle_last) = a;
    vm->idle = a;
    if (++vm->idle_count > IDLE_MAX) {
        oldest = vm->idle_last;
        unlink_idle(vm, oldest);
    }
    pthread_mutex_unlock(&vm->pool_lock);
    if (oldest != NULL) destroy_arena(oldest);
}

void mt_pool_drain(struct mt_vm *vm, const struct mt_generation *g) {
    struct mt_arena *gone = NULL;
    pthread_mutex_lock(&vm->pool_lock);
    for (struct mt_arena *a = vm->idle, *next; a != NULL; a = next) {
        next = a->idle_next;
        if (g != NULL && a->generation != g) continue;
        unlink_idle(vm, a);
        a->idle_next = gone;
        gone = a;
    }
    pthread_mutex_unlock(&vm->pool_lock);
    while (gone != NULL) {
        struct mt_arena *next = gone->idle_next;
        destroy_arena(gone);
        gone = next;
    }
}

/* ---- generations ---- */

static void free_generation(struct mt_generation *g) {
    for (size_t i = 0; i < g->count; i++) {
        free((void *)(uintptr_t)g->files[i].name);
        free((void *)(uintptr_t)g->files[i].text);
    }
    free(g->files);
    free(g->settings);
    free(g->registry);
    free(g);
}

struct mt_generation *mt_generation_load(struct mt_vm *vm, const struct mt_source *files, size_t count,
                                         const char *settings, struct mt_error *e) {
    struct mt_generation *g = mt_calloc(1, sizeof(*g));
    g->vm = vm;
    atomic_init(&g->refs, 1);
    struct mt_arena *a = NULL;
    if (take_sources(g, files, count, e) == 0 && take_settings(g, settings, e) == 0) {
        name_generation(g);
        a = build_arena(vm, g, e);
    }
    if (a == NULL) {
        free_generation(g);
        return NULL;
    }
    atomic_fetch_add(&vm->generations, 1);
    mt_pool_put(vm, a);
    return g;
}

struct mt_generation *mt_generation_retain(struct mt_generation *g) {
    atomic_fetch_add(&g->refs, 1);
    return g;
}

void mt_generation_release(struct mt_generation *g) {
    if (g == NULL || atomic_fetch_sub(&g->refs, 1) > 1) return;
    mt_pool_drain(g->vm, g);
    atomic_fetch_sub(&g->vm->generations, 1);
    free_generation(g);
}

const char *mt_generation_id(const struct mt_generation *g) {
    return g->id;
}

const struct mt_source *mt_generation_files(const struct mt_generation *g, size_t *count) {
    *count = g->count;
    return g->files;
}

const char *mt_generation_settings(const struct mt_generation *g) {
    return g->settings;
}

const char *mt_generation_registry(const struct mt_generation *g) {
    return g->registry;
}

/* ---- for modules ---- */

bool mt_vm_loading(lua_State *L) {
    return mt_arena_of(L)->loading;
}

const struct mt_generation *mt_vm_generation(lua_State *L) {
    return mt_arena_of(L)->generation;
}

/* {"kind","name","file","line", ...description} into the scratch; false when the description is no JSON
 * object. */
static bool describe_entry(struct mt_buf *out, const char *kind, const char *name, const char *site,
                           const char *description) {
    struct mt_error ignored;
    json_t *o =
        description != NULL ? mt_json_parse(description, strlen(description), &ignored) : json_object();
    bool ok = json_is_object(o);
    if (ok) {
        const char *colon = strrchr(site, ':');
        size_t len = colon != NULL ? (size_t)(colon - site) : strlen(site);
        json_object_set_new(o, "kind", json_string(kind));
        json_object_set_new(o, "name", json_string(name));
        json_object_set_new(o, "file", json_stringn(site, len));
        json_object_set_new(o, "line", json_integer(colon != NULL ? atoi(colon + 1) : 0));
        char *text = mt_json_dump(o, NULL);
        mt_buf_adds(out, text);
        free(text);
    }
    json_decref(o);
    return ok && mt_buf_ok(out);
}

void mt_vm_register(lua_State *L, const char *kind, const char *name, int index, const char *description) {
    struct mt_arena *a = mt_arena_of(L);
    char site[96], entry[512];
    mt_vm_site(L, site);
    if (!a->loading)
        luaL_error(L, "a %s can be registered only while its file is loading, not in a run or handler", kind);
    if (!mt_utf8_valid(name, strlen(name)) || !mt_format(entry, sizeof(entry), "%s:%s", kind, name))
        luaL_error(L, "the name of a %s must be UTF-8 of at most 400 bytes", kind);
    index = lua_absindex(L, index);
    luaL_checktype(L, index, LUA_TFUNCTION);
    lua_getfield(L, LUA_REGISTRYINDEX, key_places);
    if (lua_getfield(L, -1, entry) != LUA_TNIL)
        luaL_error(L, "the %s '%s' is defined twice: at %s and at %s", kind, name, lua_tostring(L, -1), site);
    lua_pushstring(L, site);
    lua_setfield(L, -3, entry);
    lua_getfield(L, LUA_REGISTRYINDEX, mt_key_entries);
    lua_pushvalue(L, index);
    lua_setfield(L, -2, entry);
    lua_pop(L, 3);
    if (a->generation->registry != NULL) return; /* told when the generation was first loaded */
    struct mt_buf *json = mt_vm_scratch(L, 1);
    if (!describe_entry(json, kind, name, site, description))
        luaL_error(L, "the description of %s '%s' is no JSON object", kind, name);
    lua_getfield(L, LUA_REGISTRYINDEX, key_listing);
    lua_pushlstring(L, json->data, json->len);
    lua_rawseti(L, -2, (lua_Integer)lua_rawlen(L, -2) + 1);
    lua_pop(L, 1);
}
