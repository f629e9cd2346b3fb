/* What the parts of `mintage check` share: the Lua that reads flows (checking/), and what C tells it. */
#pragma once
#include "bindings/vm/vm.h"
#include "providers/provider.h"
#include <lua.h>

struct mt_check_known {
    struct mt_vm *vm;             /* borrowed */
    struct mt_generation *asked;  /* of mt_check_asked */
    struct mt_provider **defined; /* by the flows; NULL after the last. Of mt_check_defined */
};

/* The scripts that look names up in the VM; released by the caller. */
struct mt_generation *mt_check_asked(struct mt_vm *vm, struct mt_error *e);
/* The providers that the loaded flows define, by what they registered; freed with mt_check_undefine. */
struct mt_provider **mt_check_defined(const json_t *registered);
void mt_check_undefine(struct mt_provider **defined);
/* Lets L, a plain Lua state with its standard library, require "mintage.checking.init". `known` outlives it.
 */
void mt_check_open(lua_State *L, const struct mt_check_known *known);
