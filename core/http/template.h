/* Pages from templates: HTML with marks, filled from JSON. Logic stays outside: a mark shows a value, a word,
 * or a part of the page once for each element. Whatever is put in is escaped for HTML, in text and in quoted
 * attributes alike.
 *
 *   {{name}}                     the value: a string or an integer; nothing when there is none
 *   {{=word}}                    the word of that name in the page's language, its {name}s filled from the
 * values
 *   {{#name}} ... {{/name}}      for each element of an array, in its scope; once in the scope of an object;
 *                                once when it is anything else but false, null, "" or missing
 *   {{^name}} ... {{/name}}      once when the above would show nothing
 *
 * Names are looked up from the innermost scope outwards. No state; any thread. */
#pragma once
#include "base/buf.h"
#include <jansson.h>

/* Appends the filled template. `words` is an object of strings. A template with a section that is not closed
 * ends there: templates are ours, and tests read them. */
void mt_template_fill(const char *text, size_t len, const json_t *values, const json_t *words,
                      struct mt_buf *out);
/* A word with its {name}s filled, not escaped; the key itself when there is no such word. Caller frees. */
char *mt_template_say(const json_t *words, const char *key, const json_t *values);
