/* Where a script is: the innermost line, and the traceback in terms of the script (frames of a generation's
 * files only, whose chunk names begin with '@'). Invariant: reads only, allocates nothing, so it may be
 * called from the allocator and after a leave. The thread of the execution. */
#include "bindings/vm/internal.h"
#include <stdio.h>
#include <string.h>

enum { FRAMES_MAX = 24, WALK_MAX = 1000 };

static bool script_frame(lua_State *L, int level, lua_Debug *ar, const char *what) {
    if (!lua_getstack(L, level, ar)) return false;
    lua_getinfo(L, what, ar);
    return true;
}

void mt_trace_site(lua_State *L, const void *from, char *out, size_t size) {
    out[0] = '\0';
    lua_Debug ar;
    for (int level = 0; level < WALK_MAX && lua_getstack(L, level, &ar); level++) {
        /* Lua links a new frame before it fills it in: those above `from` may be half made, and are only
         * stepped over. */
        if (from != NULL && (const void *)ar.i_ci != from) continue;
        from = NULL;
        lua_getinfo(L, "Sl", &ar);
        if (ar.source[0] != '@' || ar.currentline <= 0) continue;
        snprintf(out, size, "%s:%d", ar.short_src, ar.currentline);
        return;
    }
}

void mt_vm_site(lua_State *L, char out[96]) {
    mt_trace_site(L, NULL, out, 96);
}

void mt_vm_traceback(lua_State *L, char *out, size_t size) {
    out[0] = '\0';
    mt_trace_frames(L, out, size);
}

void mt_trace_frames(lua_State *L, char *out, size_t size) {
    size_t used = strlen(out);
    lua_Debug ar;
    int shown = 0;
    for (int level = 0; script_frame(L, level, &ar, "Sln"); level++) {
        if (ar.source[0] != '@' || ar.currentline <= 0) continue;
        char line[256];
        if (shown++ == FRAMES_MAX || level >= WALK_MAX)
            snprintf(line, sizeof(line), "...\n");
        else if (ar.name != NULL)
            snprintf(line, sizeof(line), "%s:%d: in function '%.100s'\n", ar.short_src, ar.currentline,
                     ar.name);
        else if (strcmp(ar.what, "main") == 0)
            snprintf(line, sizeof(line), "%s:%d: in main chunk\n", ar.short_src, ar.currentline);
        else
            snprintf(line, sizeof(line), "%s:%d: in function <%s:%d>\n", ar.short_src, ar.currentline,
                     ar.short_src, ar.linedefined);
        size_t len = strlen(line);
        if (used + len >= size) return;
        memcpy(out + used, line, len + 1);
        used += len;
        if (shown > FRAMES_MAX) return;
    }
}

/* "stack overflow", "C stack overflow" and "stack overflow (reason)", with or without a position in front. */
bool mt_trace_overflow(lua_State *L, int index) {
    if (lua_type(L, index) != LUA_TSTRING) return false;
    size_t len;
    const char *s = lua_tolstring(L, index, &len), *found = strstr(s, "stack overflow");
    if (found == NULL) return false;
    const char *after = found + strlen("stack overflow");
    if (*after != '\0' && strncmp(after, " (", 2) != 0 && strncmp(after, " near ", 6) != 0) return false;
    if (found - s >= 2 && strncmp(found - 2, "C ", 2) == 0) found -= 2;
    return found == s || (found - s >= 2 && strncmp(found - 2, ": ", 2) == 0);
}
