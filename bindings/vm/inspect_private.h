/* What inspect.c and inspect_value.c share. */
#pragma once
#include "bindings/vm/inspect.h"
#include "bindings/vm/internal.h"

enum { INSPECT_DEPTH = 16 };

struct inspecting {
    int depth_max; /* at most INSPECT_DEPTH */
    size_t members_max, text_max;
    long budget; /* bytes that may still be shown */
    const void *above[INSPECT_DEPTH];
};

/* The value at an absolute index; new reference. */
json_t *inspect_value(struct inspecting *p, lua_State *L, int index, int depth);
/* "string", "money", "error", ... */
const char *inspect_type(lua_State *L, int index);
/* A table that scripts get from require "mintage.NAME". */
bool inspect_is_module(lua_State *L, int index);
