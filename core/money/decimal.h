/* Decimal text and integers of minor units, exactly. Private to money/. No state; any thread. */
#pragma once
#include "base/error.h"
#include "money/money.h"
#include <stdbool.h>
#include <stdint.h>

/* "-80.5" at exponent 2 is -8050. `strict`: more digits after the point than the exponent are refused, even
 * zeros; else zeros are allowed there. `currency` is for the errors. */
int decimal_parse(const char *text, int exponent, bool strict, const char *currency, int64_t *minor,
                  struct mt_error *e);
/* -8050 at exponent 2 is "-80.50". out holds 36 bytes. */
void decimal_format(int64_t minor, int exponent, char *out);
