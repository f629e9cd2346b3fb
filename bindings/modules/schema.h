/* Input schemas: a small language in JSON, written in a flow's `input` table and kept in the registry of its
 * generation.
 *
 *   "string" "integer" "number" "boolean" "money" "email" "url" "secret" "object" "array" "any"
 *   "date" 2027-01-31   "time" an instant   "local" 2027-01-31T09:00 somewhere   "zone" Asia/Seoul
 *   "duration" 1h30m    "period" of the calendar: month, 2 weeks
 *   "url|iframe"                      one of these words        "string?"   may be left out
 *   { "name": "string", ... }         an object with exactly these fields
 *   [ { "name": "string" } ]          a list of such
 *   { "type": "string", "max": 100 }  a type with limits: min, max (bytes, items, value; minor units of
 * money), pattern, values, items, fields, currency, optional, doc
 *
 * Pure functions over JSON; no state; any thread. */
#pragma once
#include "base/error.h"
#include <jansson.h>

/* Whether a schema is well formed: -1 with MT_INVALID_REQUEST naming the place. */
int mt_schema_valid(const json_t *schema, struct mt_error *e);

/* Checks an input and gives its normal form (new reference): money as {"$money":"80.00 USD"}, a secret as
 * {"$secret":"its text"}, which the engine seals, everything else as it came. schema NULL: any object. -1:
 * MT_INVALID_REQUEST listing up to five problems by field. */
int mt_schema_check(const json_t *schema, const json_t *input, json_t **normal, struct mt_error *e);
