/* require, limited to what a generation consists of: its files, Mintage's library and C modules, and the
 * standard libraries. Invariant: each is run or opened once per image or execution; there is no search path.
 * The thread of the execution. */
#include "bindings/vm/require.h"
#include "base/text.h"
#include "bindings/vm/internal.h"
#include <string.h>

static const char key_chunks[] = "mintage.chunks"; /* module name -> compiled file */
static const char key_loaded[] = "mintage.loaded"; /* module name -> value */
static const char loading_mark;                    /* its address stands for a module that is being loaded */

static void module_name(const struct mt_source *file, char *out, size_t size) {
    mt_copy(out, size, file->name);
    size_t len = strlen(out);
    if (len > 4 && strcmp(out + len - 4, ".lua") == 0) out[len - 4] = '\0';
    for (char *p = out; *p != '\0'; p++)
        if (*p == '/') *p = '.';
}

static const struct mt_source *library_source(const struct mt_generation *g, const char *name) {
    for (size_t i = 0; i < g->library_count; i++)
        if (strcmp(g->files[i].name, name) == 0) return &g->files[i];
    return NULL;
}

static const struct mt_vm_module *c_module(const struct mt_vm *vm, const char *name) {
    for (const struct mt_vm_module *m = vm->o.modules; m != NULL && m->name != NULL; m++)
        if (strcmp(m->name, name) == 0) return m;
    return NULL;
}

void mt_require_compile(lua_State *L, const struct mt_source *file) {
    char name[256], chunk[256];
    module_name(file, name, sizeof(name));
    mt_format(chunk, sizeof(chunk), "@%s", file->name);
    lua_getfield(L, LUA_REGISTRYINDEX, key_chunks);
    if (lua_getfield(L, -1, name) != LUA_TNIL)
        luaL_error(L, "%s: another file is required as '%s' too", file->name, name);
    lua_pop(L, 1);
    if (file->len > 0 && file->text[0] == LUA_SIGNATURE[0])
        luaL_error(L, "%s:1: this is bytecode; scripts are text", file->name);
    mt_arena_of(L)->compiling = file->name;
    if (luaL_loadbufferx(L, file->text, file->len, chunk, "t") != LUA_OK) lua_error(L);
    mt_arena_of(L)->compiling = NULL;
    lua_setfield(L, -2, name);
    lua_pop(L, 1);
}

/* Pushes a function that makes the module; false when there is no such module. */
static bool push_loader(lua_State *L, const char *name) {
    struct mt_arena *a = mt_arena_of(L);
    lua_getfield(L, LUA_REGISTRYINDEX, key_chunks);
    if (lua_getfield(L, -1, name) == LUA_TFUNCTION) {
        lua_remove(L, -2);
        return true;
    }
    lua_pop(L, 2);
    const struct mt_source *source = library_source(a->generation, name);
    if (source != NULL) {
        char chunk[256];
        mt_format(chunk, sizeof(chunk), "=%s", name); /* not '@': its frames are not the script's */
        if (luaL_loadbufferx(L, source->text, source->len, chunk, "t") != LUA_OK) lua_error(L);
        return true;
    }
    const struct mt_vm_module *m = c_module(a->vm, name);
    if (m == NULL) return false;
    lua_pushcfunction(L, m->open);
    return true;
}

static int add_name(lua_State *L, int names, const char *name) {
    lua_pushboolean(L, 1);
    lua_setfield(L, names, name);
    return 0;
}

/* Raises, with the nearest of all names that could have been required. */
static int no_module(lua_State *L, const char *name) {
    struct mt_arena *a = mt_arena_of(L);
    char file[256];
    lua_newtable(L);
    int names = lua_gettop(L);
    for (size_t i = 0; i < a->generation->count; i++) {
        module_name(&a->generation->files[i], file, sizeof(file));
        add_name(L, names, file);
    }
    for (const struct mt_vm_module *m = a->vm->o.modules; m != NULL && m->name != NULL; m++)
        add_name(L, names, m->name);
    return luaL_error(L, "there is no module '%s'%s: scripts can require mintage.* and the files beside them",
                      name, mt_push_nearest(L, names, name));
}

/* __close of a module that is being loaded: when it failed, no mark stays, so that a script that caught the
 * error and tries again sees the same one. */
static int close_loading(lua_State *L) {
    lua_getfield(L, LUA_REGISTRYINDEX, key_loaded);
    lua_rawgeti(L, 1, 1);
    lua_pushvalue(L, -1);
    lua_gettable(L, -3);
    if (!lua_islightuserdata(L, -1)) return 0;
    lua_pop(L, 1);
    lua_pushnil(L);
    lua_settable(L, -3);
    return 0;
}

/* Marks `name` as being loaded until the value pushed here is closed. */
static void mark_loading(lua_State *L, int loaded, const char *name) {
    lua_pushlightuserdata(L, (void *)(uintptr_t)&loading_mark);
    lua_setfield(L, loaded, name);
    lua_createtable(L, 1, 0);
    lua_pushstring(L, name);
    lua_rawseti(L, -2, 1);
    if (luaL_newmetatable(L, "mintage.loading")) {
        lua_pushcfunction(L, close_loading);
        lua_setfield(L, -2, "__close");
    }
    lua_setmetatable(L, -2);
    lua_toclose(L, -1);
}

static int require_named(lua_State *L, const char *name) {
    lua_getfield(L, LUA_REGISTRYINDEX, key_loaded);
    int loaded = lua_gettop(L);
    if (lua_getfield(L, loaded, name) != LUA_TNIL) {
        if (lua_islightuserdata(L, -1) && lua_touserdata(L, -1) == (void *)(uintptr_t)&loading_mark)
            return luaL_error(L, "'%s' requires itself, through the files that it requires", name);
        return 1;
    }
    lua_pop(L, 1);
    if (!push_loader(L, name)) return no_module(L, name); /* [loaded, loader] */
    mark_loading(L, loaded, name);                        /* [loaded, loader, mark] */
    lua_pushvalue(L, loaded + 1);
    lua_pushstring(L, name);
    lua_call(L, 1, 1);
    if (lua_isnil(L, -1)) {
        lua_pop(L, 1);
        lua_pushboolean(L, 1);
    }
    lua_pushvalue(L, -1);
    lua_setfield(L, loaded, name);
    lua_getfield(L, LUA_REGISTRYINDEX, key_chunks); /* the compiled file is not needed again */
    lua_pushnil(L);
    lua_setfield(L, -2, name);
    lua_pop(L, 1);
    lua_replace(L, loaded); /* [value, loader, mark] */
    lua_settop(L, loaded);  /* closes the mark */
    return 1;
}

void mt_require_file(lua_State *L, const struct mt_source *file) {
    char name[256];
    module_name(file, name, sizeof(name));
    require_named(L, name);
}

static int require(lua_State *L) {
    const char *name = luaL_checkstring(L, 1);
    lua_settop(L, 1);
    return require_named(L, name);
}

void mt_require_open(lua_State *L) {
    static const char *const standard[] = {"coroutine", "math", "string", "table", "utf8"};
    lua_newtable(L);
    lua_setfield(L, LUA_REGISTRYINDEX, key_chunks);
    lua_newtable(L);
    for (size_t i = 0; i < sizeof(standard) / sizeof(standard[0]); i++) {
        lua_getglobal(L, standard[i]);
        lua_setfield(L, -2, standard[i]);
    }
    lua_setfield(L, LUA_REGISTRYINDEX, key_loaded);
    lua_pushcfunction(L, require);
    lua_setglobal(L, "require");
}
