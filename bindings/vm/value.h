/* Between Lua and the JSON text of values (core/base/json.h): what crosses the journal. Scripts always see
 * the decoding of the encoded bytes. Integers stay integers, floats keep their bits, money is a value of its
 * own, tables whose keys are 1..n are arrays, all others must have string keys; an empty table is an object
 * unless made by json.array. */
#pragma once
#include "base/buf.h"
#include "base/error.h"
#include "money/money.h"
#include <lua.h>

/* Appends the JSON of the value at `index` to out. -1 with MT_SCRIPT naming the path ("order.items[2].price:
 * functions cannot cross the journal") for functions, threads, foreign userdata, cycles, mixed or holed
 * tables, depth over 64 or size over MT_VALUE_MAX. Raises nothing. */
int mt_value_encode(lua_State *L, int index, struct mt_buf *out, struct mt_error *e);
/* Pushes the value of JSON text written by mt_value_encode or by core (plain JSON is fine). null members of
 * objects are absent, null elsewhere is nil at the top and json.null inside arrays. Raises on malformed text.
 * Keeps no C memory when it raises. */
void mt_value_push(lua_State *L, const char *json, size_t len);

/* Money: a userdata with metatable "mintage.money", made only here. */
void mt_money_push(lua_State *L, const struct mt_money *m);
/* NULL when the value at index is not money. */
const struct mt_money *mt_money_test(lua_State *L, int index);

/* Error tables: a table with metatable "mintage.error" (its __tostring gives "kind: message"). mt_error_push
 * builds one from the record; mt_error_push_json from JSON (whose kind may be any word, as flow.fail allows).
 * lua_error() after it raises. */
void mt_error_push(lua_State *L, const struct mt_error *e);
void mt_error_push_json(lua_State *L, const char *json, size_t len);
bool mt_error_test(lua_State *L, int index); /* is it an error table? */
/* Makes the table at `index` an error table (sets the metatable). */
void mt_error_make(lua_State *L, int index);
/* json.null: a light userdata NULL. */
#define mt_push_null(L) lua_pushlightuserdata((L), NULL)
/* Marks the table at index as an array even when empty (metatable "mintage.array"). Decoded arrays are marked
 * too. */
void mt_array_make(lua_State *L, int index);
bool mt_array_test(lua_State *L, int index);
