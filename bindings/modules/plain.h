/* From values' JSON, with its tags ({"$money":...}), to the plain JSON that the outside sees, and back. */
#pragma once
#include "base/buf.h"
#include "base/error.h"
#include <lua.h>

/* Appends the plain form: money and bytes as strings, errors as objects, nan and inf as null. */
int mt_plain_from_value(const char *json, size_t len, struct mt_buf *out, struct mt_error *e);
/* Appends the value's form of JSON that came from outside: keys that begin with "$" are what they are, no
 * tags. */
int mt_plain_to_value(const char *json, size_t len, struct mt_buf *out, struct mt_error *e);
/* Pushes the plain JSON text of the value at index, as mintage.json would write it; raises naming `what`. */
void mt_plain_push(lua_State *L, int index, const char *what);
