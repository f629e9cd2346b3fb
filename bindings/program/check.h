/* What the parts of `mintage check` share: the Lua that reads flows (checking/), and what C tells it. */
#pragma once
#include "bindings/vm/vm.h"
#include <lua.h>

struct mt_check_known {
    struct mt_vm *vm;            /* borrowed */
    struct mt_generation *asked; /* of mt_check_asked */
};

/* The scripts that look names up in the VM; released by the caller. */
struct mt_generation *mt_check_asked(struct mt_vm *vm, struct mt_error *e);
/* Lets L, a plain Lua state with its standard library, require "mintage.checking.init". `known` outlives it.
 */
void mt_check_open(lua_State *L, const struct mt_check_known *known);
