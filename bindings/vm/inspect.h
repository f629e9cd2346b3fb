/* Looking at an execution that stands still (mt_vm_call.look): the frames of the script's own files with
 * their lines, variables and values, as plain JSON. Reads tables raw and runs nothing of the script; what it
 * answers is bounded, follows no cycle, and hides what is named as a secret. The execution's thread. */
#pragma once
#include "base/error.h"
#include "bindings/vm/vm.h"
#include <jansson.h>

/* The frames, innermost first, those of the coroutine that ran before those of the main one:
 *   [{"file","line","function","locals":[{"name","type","value"}],"upvalues":[...],
 *     "source":[{"line","text"}], "tail": it has taken the place of its caller's frame}]
 * Money and times are their texts; what is no data (functions, operations, modules) is {"$":"function
 * checkout.lua:12"}; where something was left out stands {"$more":n}. New reference. */
json_t *mt_vm_frames(lua_State *L);
/* One value, more of it: `path` begins with a variable of frame `level` (0: the innermost) and goes on with
 * members: "order.items[2].price", "req['x-y']". {"type","value"}; new reference. NULL: MT_NOT_FOUND, naming
 * the nearest, or MT_INVALID_REQUEST. */
json_t *mt_vm_peek(lua_State *L, int level, const char *path, struct mt_error *e);
