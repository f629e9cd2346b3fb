/* The frames of an execution that stands still, and the way to one value in them. See inspect.h. Invariant:
 * each stack that is read is left as it was found. The execution's thread. */
#include "base/json.h"
#include "base/log.h"
#include "base/text.h"
#include "bindings/vm/inspect_private.h"
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

enum {
    FRAMES_MAX = 40,
    LEVELS_MAX = 1000, /* looked at for them */
    VARIABLES_MAX = 100,
    AROUND = 3, /* lines of source before and after the one that runs */
    LINE_MAX_BYTES = 160,
    NAME_MAX_BYTES = 120,
};

/* ---- frames ---- */

/* Fills ar when the level is a frame of one of the script's files. False: the stack ends here. */
static bool frame_at(lua_State *L, int level, lua_Debug *ar, bool *script) {
    if (level >= LEVELS_MAX || !lua_getstack(L, level, ar)) return false;
    lua_getinfo(L, "Slnt", ar);
    *script = ar->source[0] == '@' && ar->currentline > 0;
    return true;
}

/* The function of an entry of the generation has no name of its own: it is what the entry says. So one that
 * was called in the last `return` of its caller, whose frame it has taken. */
static const char *function_name(lua_State *L, lua_Debug *ar) {
    const struct mt_vm_call *call = mt_arena_of(L)->call;
    if (ar->name != NULL) return ar->name;
    if (strcmp(ar->what, "main") == 0) return "main chunk";
    if (call == NULL) return "";
    lua_getfield(L, LUA_REGISTRYINDEX, mt_key_entries);
    lua_getfield(L, -1, call->entry);
    lua_getinfo(L, "f", ar);
    bool entry = lua_rawequal(L, -1, -2);
    lua_pop(L, 3);
    return !entry ? "" : strncmp(call->entry, "flow:", 5) == 0 ? "run" : call->entry;
}

static const struct mt_source *source_of(lua_State *L, const char *name) {
    const struct mt_generation *g = mt_arena_of(L)->generation;
    for (size_t i = 0; i < g->count; i++)
        if (strcmp(g->files[i].name, name) == 0) return &g->files[i];
    return NULL;
}

static json_t *excerpt(lua_State *L, const char *file, int line) {
    const struct mt_source *source = source_of(L, file);
    json_t *lines = json_array();
    if (source == NULL) return lines;
    const char *at = source->text, *end = source->text + source->len;
    for (int n = 1; at < end && n <= line + AROUND; n++) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        size_t len = (size_t)((stop != NULL ? stop : end) - at);
        if (n >= line - AROUND) {
            char text[LINE_MAX_BYTES + 1];
            mt_format(text, sizeof text, "%.*s", (int)(len < LINE_MAX_BYTES ? len : LINE_MAX_BYTES), at);
            if (!mt_utf8_valid(text, strlen(text))) text[0] = '\0';
            json_array_append_new(lines, json_pack("{s:i, s:s}", "line", n, "text", text));
        }
        at = stop != NULL ? stop + 1 : end;
    }
    return lines;
}

/* The value on top, which stays there. */
static void add_variable(struct inspecting *p, json_t *list, lua_State *L, const char *name) {
    int top = lua_gettop(L);
    bool hide = mt_secret_name(name) && lua_type(L, top) == LUA_TSTRING;
    if (json_array_size(list) == VARIABLES_MAX || p->budget <= 0) return;
    json_array_append_new(list,
                          json_pack("{s:s, s:s, s:o}", "name", name, "type", inspect_type(L, top), "value",
                                    hide ? json_string("[redacted]") : inspect_value(p, L, top, 0)));
}

static json_t *locals_of(struct inspecting *p, lua_State *L, lua_Debug *ar) {
    json_t *list = json_array();
    const char *name;
    for (int i = 1; i <= 250 && (name = lua_getlocal(L, ar, i)) != NULL; i++) {
        if (name[0] != '(' && !inspect_is_module(L, lua_gettop(L))) add_variable(p, list, L, name);
        lua_pop(L, 1);
    }
    return list;
}

/* Variables of the file around the function. Modules are the same everywhere, and left out. */
static json_t *upvalues_of(struct inspecting *p, lua_State *L, lua_Debug *ar) {
    json_t *list = json_array();
    const char *name;
    lua_getinfo(L, "f", ar);
    for (int i = 1; i <= 250 && (name = lua_getupvalue(L, -1, i)) != NULL; i++) {
        if (strcmp(name, "_ENV") != 0 && !inspect_is_module(L, lua_gettop(L))) add_variable(p, list, L, name);
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
    return list;
}

static void add_frames(struct inspecting *p, json_t *frames, lua_State *L) {
    lua_Debug ar;
    bool script;
    if (!lua_checkstack(L, 20)) return;
    for (int level = 0; frame_at(L, level, &ar, &script); level++) {
        if (!script) continue;
        if (json_array_size(frames) == FRAMES_MAX) return;
        const char *name = function_name(L, &ar);
        char place[96];
        if (name[0] == '\0') mt_format(place, sizeof place, "<%s:%d>", ar.short_src, ar.linedefined);
        json_t *frame = json_pack("{s:s, s:i, s:s, s:b}", "file", ar.short_src, "line", ar.currentline,
                                  "function", name[0] != '\0' ? name : place, "tail", (int)ar.istailcall);
        json_object_set_new(frame, "locals", locals_of(p, L, &ar));
        json_object_set_new(frame, "upvalues", upvalues_of(p, L, &ar));
        json_object_set_new(frame, "source", excerpt(L, ar.source + 1, ar.currentline));
        json_array_append_new(frames, frame);
    }
}

json_t *mt_vm_frames(lua_State *L) {
    struct inspecting p = {.depth_max = 4, .members_max = 40, .text_max = 300, .budget = 256 * 1024};
    lua_State *main = mt_arena_of(L)->L;
    json_t *frames = json_array();
    add_frames(&p, frames, L);
    if (main != L) add_frames(&p, frames, main);
    return frames;
}

/* ---- one value ---- */

/* Finds the level-th frame of the script's; *L becomes the coroutine that it is in. */
static bool find_frame(lua_State **L, int wanted, lua_Debug *ar) {
    lua_State *const states[] = {*L, mt_arena_of(*L)->L};
    bool script;
    for (int i = 0; i < (states[0] == states[1] ? 1 : 2); i++) {
        for (int level = 0; frame_at(states[i], level, ar, &script); level++) {
            if (!script || wanted-- > 0) continue;
            *L = states[i];
            return true;
        }
    }
    return false;
}

/* Pushes the variable; what was declared last hides what came before. */
static bool push_variable(lua_State *L, lua_Debug *ar, const char *wanted) {
    const char *name;
    int found = 0;
    for (int i = 1; i <= 250 && (name = lua_getlocal(L, ar, i)) != NULL; i++) {
        if (strcmp(name, wanted) == 0) found = i;
        lua_pop(L, 1);
    }
    if (found > 0) return lua_getlocal(L, ar, found) != NULL;
    lua_getinfo(L, "f", ar);
    for (int i = 1; i <= 250 && (name = lua_getupvalue(L, -1, i)) != NULL; i++) {
        if (strcmp(name, wanted) == 0) {
            lua_remove(L, -2);
            return true;
        }
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
    return false;
}

/* Reads the next member of a path: ".name", "[12]", "['x']". 1: read, 0: the path is over, -1: malformed. */
static int next_member(const char **at, char name[NAME_MAX_BYTES], lua_Integer *number, bool *is_number) {
    const char *s = *at;
    size_t n = 0;
    *is_number = false;
    if (*s == '\0') return 0;
    if (*s == '.') {
        for (s++; (isalnum((unsigned char)*s) || *s == '_') && n < NAME_MAX_BYTES - 1; s++) name[n++] = *s;
        name[n] = '\0';
        *at = s;
        return n > 0 ? 1 : -1;
    }
    if (*s++ != '[') return -1;
    if (*s == '"' || *s == '\'') {
        char quote = *s++;
        for (; *s != '\0' && *s != quote && n < NAME_MAX_BYTES - 1; s++) name[n++] = *s;
        if (*s++ != quote) return -1;
    } else {
        char *end;
        *number = strtoll(s, &end, 10);
        *is_number = end > s;
        if (!*is_number) return -1;
        s = end;
    }
    name[n] = '\0';
    if (*s != ']') return -1;
    *at = s + 1;
    return 1;
}

/* The value on top becomes its member. */
static bool step_into(lua_State *L, const char *name, lua_Integer number, bool is_number) {
    if (lua_type(L, -1) != LUA_TTABLE) return false;
    if (is_number)
        lua_pushinteger(L, number);
    else
        lua_pushstring(L, name);
    lua_rawget(L, -2);
    lua_remove(L, -2);
    return !lua_isnil(L, -1);
}

/* The path's first word, and where it goes on. */
static bool first_word(const char **at, char name[NAME_MAX_BYTES]) {
    const char *s = *at;
    size_t n = 0;
    for (; (isalnum((unsigned char)*s) || *s == '_') && n < NAME_MAX_BYTES - 1; s++) name[n++] = *s;
    name[n] = '\0';
    *at = s;
    return n > 0;
}

static int walk_path(lua_State *L, lua_Debug *ar, const char *path, bool *secret, struct mt_error *e) {
    char name[NAME_MAX_BYTES];
    const char *at = path;
    lua_Integer number;
    bool is_number;
    int more;
    if (!first_word(&at, name))
        return mt_fail(e, MT_INVALID_REQUEST, "'%.80s' names no variable: wanted order.items[2].price", path);
    if (!push_variable(L, ar, name))
        return mt_fail(e, MT_NOT_FOUND, "there is no variable '%s' at %s:%d", name, ar->short_src,
                       ar->currentline);
    *secret = mt_secret_name(name);
    while ((more = next_member(&at, name, &number, &is_number)) > 0) {
        if (!step_into(L, name, number, is_number))
            return mt_fail(e, MT_NOT_FOUND, "'%.*s' is nothing there", (int)(at - path), path);
        *secret = *secret || (!is_number && mt_secret_name(name));
    }
    return more == 0
               ? 0
               : mt_fail(e, MT_INVALID_REQUEST, "'%.80s': wanted members as in order.items[2].price", path);
}

json_t *mt_vm_peek(lua_State *L, int level, const char *path, struct mt_error *e) {
    struct inspecting p = {.depth_max = 10, .members_max = 400, .text_max = 65536, .budget = 1024 * 1024};
    lua_Debug ar;
    bool secret = false;
    json_t *out = NULL;
    if (!find_frame(&L, level, &ar))
        return mt_fail_null(e, MT_NOT_FOUND, "there is no frame %d of the script's own code", level);
    int top = lua_gettop(L);
    if (!lua_checkstack(L, 20)) return mt_fail_null(e, MT_LIMIT, "the script's stack is full");
    if (walk_path(L, &ar, path, &secret, e) == 0)
        out = json_pack("{s:s, s:o}", "type", inspect_type(L, lua_gettop(L)), "value",
                        secret && lua_type(L, -1) != LUA_TTABLE ? json_string("[redacted]")
                                                                : inspect_value(&p, L, lua_gettop(L), 0));
    lua_settop(L, top);
    return out;
}
