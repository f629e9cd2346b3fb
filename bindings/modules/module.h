/* What the modules share: how an effect begins and ends, how values become JSON, durations and instants, and
 * the refusal of names that do not exist. Functions raise like Lua's own; each runs on the thread of its
 * execution. Not for other folders, but for a program's own modules. */
#pragma once
#include "bindings/vm/value.h"
#include "bindings/vm/vm.h"
#include "engine/effect.h"
#include "providers/provider.h"
#include <lauxlib.h>
#include <lua.h>

/* ---- effects ---- */

struct mt_effect {
    struct mt_exec *x;
    char site[96];
    struct mt_answer a;
};

/* Begins the effect `what` ("flow.sleep"): raises while a file is loading. */
void mt_module_begin(lua_State *L, struct mt_effect *f, const char *what);
/* The execution L belongs to; raises while a file is loading, naming `what`. */
struct mt_exec *mt_module_exec(lua_State *L, const char *what);
/* After the engine has answered: pushes the value, raises, or leaves. Calls mt_vm_effect_end. Returns 1. */
int mt_module_end(lua_State *L, struct mt_effect *f);
/* The same, but an error of the world is pushed instead of raised: true when it was one. */
bool mt_module_end_try(lua_State *L, struct mt_effect *f);

/* ---- values ---- */

/* The modules' buffer of the arena, emptied. It may be held while Lua raises or leaves, because nothing is
 * lost by that; it stays valid until the next call. */
struct mt_buf *mt_module_scratch(lua_State *L);
/* Appends the JSON of the value; raises, saying whose argument it is, when it cannot cross the journal. */
void mt_module_encode(lua_State *L, int index, const char *what, struct mt_buf *out);
/* The scratch with the JSON of the value, for effects with a single one. */
const struct mt_buf *mt_module_json(lua_State *L, int index, const char *what);

/* ---- arguments ---- */

/* A string argument within 1..max bytes, without NUL. */
const char *mt_module_string(lua_State *L, int index, const char *what, const char *name, size_t max);
/* "30d", "1h30m" or a number of seconds, in ms. */
int64_t mt_module_duration(lua_State *L, int index, const char *what, const char *name);
/* A time, {ms=...}, RFC 3339 text or integer milliseconds, in ms. */
int64_t mt_module_instant(lua_State *L, int index, const char *what, const char *name);
/* Raises unless every key of the table is one of `names` (NULL-terminated), naming the nearest. */
void mt_module_fields(lua_State *L, int index, const char *what, const char *const *names);
/* Pushes the field `name` of the options table at index (nil when there is no table) and gives its type. */
int mt_module_option(lua_State *L, int index, const char *name);

/* ---- module tables ---- */

/* Gives the table on top a metatable that raises for names it does not have, and returns 1 (the table). */
int mt_module_seal(lua_State *L, const char *name);

/* ---- time.c ---- */

/* Pushes a time in UTC. */
void mt_time_push(lua_State *L, int64_t ms);
/* flow.date, mintage.time.date. */
int mt_time_date(lua_State *L);
/* The instant of a time or of a table with its fields; false for anything else. */
bool mt_time_test(lua_State *L, int index, int64_t *ms);

/* ---- web.c ---- */

/* What a handler's response may hold; NULL-terminated. */
extern const char *const mt_web_response_fields[];

/* ---- operation.c ---- */

/* The full name of the operation at index; raises for anything else. */
const char *mt_module_operation(lua_State *L, int index, const char *what);
/* Replaces what stands from `index` to the top (a string first, a table) by the one table of parameters of
 * the operation at `at`. */
void mt_module_params(lua_State *L, int at, int index, int last);
/* What a script has of an operation. Plain data: it may outlive the row. */
struct mt_operation_outline {
    enum mt_operation_kind kind;
    const char *repeats; /* static */
    char name[48], first[64];
};
void mt_operation_outline(const struct mt_operation *row, struct mt_operation_outline *out);
/* Puts an operation of a defined provider into the table on top. `words`: the table with its doc and returns.
 */
void mt_module_add_operation(lua_State *L, const char *provider, const struct mt_operation_outline *outline,
                             int words);
/* Puts mintage.<provider> on the stack. */
int mt_module_provider(lua_State *L, const char *name);
