/* JSON through jansson, with the rules of this house: 64-bit integers, finite doubles, UTF-8 only, duplicate
 * keys and NUL refused, depth at most 64, objects written with sorted keys so that equal values give equal
 * bytes.
 *
 * "Values" are what crosses the journal. As JSON text they are plain JSON plus four tagged objects, so a
 * person reading the store with sqlite3 sees ordinary JSON:
 *   {"$money":"80.00 USD"}   money          {"$error":{...}}       an error table (mt_error_json)
 *   {"$bytes":"base64"}      a string that is not UTF-8 or has a NUL
 *   {"$float":"nan"|"inf"|"-inf"}           the floats JSON cannot write
 * and, in the inputs of runs alone, {"$secret":"clear"} on the way to the store and {"$sealed":"base64"} in
 * it. An ordinary object key that begins with "$" is written with one more "$" in front. */
#pragma once
#include "base/error.h"
#include <jansson.h>

#define MT_VALUE_MAX (1024 * 1024) /* bytes of one value's JSON */

/* Parses text of any JSON value. NULL and `e` (MT_INVALID_REQUEST, with line and column) when malformed. New
 * reference. */
json_t *mt_json_parse(const char *text, size_t len, struct mt_error *e);
/* Compact, sorted keys. Caller frees with free(). Never NULL for a value from mt_json_parse (aborts on no
 * memory). */
char *mt_json_dump(const json_t *value, size_t *len);
/* Typed reads of object members. Missing gives the fallback. Returned strings are borrowed from obj. */
const char *mt_json_str(const json_t *obj, const char *key, const char *fallback);
int64_t mt_json_int(const json_t *obj, const char *key, int64_t fallback);
bool mt_json_bool(const json_t *obj, const char *key, bool fallback);

/* An error as the JSON scripts, journals and the HTTP API see: kind, message, provider, operation, code,
 * http_status, retryable, hard, outcome (empty members left out). New reference. */
json_t *mt_error_json(const struct mt_error *e);
void mt_error_from_json(const json_t *obj, struct mt_error *e);

/* A copy of `value` with every member whose name is a secret (mt_secret_name) replaced by "[redacted]" and
 * card-like digit runs in strings masked: what logs, stories and recorded requests show. The "key" of a run
 * or an event, beside its "flow" or "topic", is its name and stays. New reference. */
json_t *mt_json_redact(const json_t *value);
