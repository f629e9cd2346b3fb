/* Small helpers for strings, and the "did you mean" that every refusal of an unknown name uses. No state. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* snprintf that says whether it fitted. */
bool mt_format(char *out, size_t size, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* Copies at most size-1 bytes, never splitting a UTF-8 sequence. Returns whether all of s fitted. */
bool mt_copy(char *out, size_t size, const char *s);
/* strdup/memdup that abort the process when there is no memory (a NUL is added). Caller frees. NULL gives
 * NULL. */
char *mt_strdup(const char *s);
char *mt_memdup(const void *s, size_t len);
void *mt_calloc(size_t n, size_t size); /* aborts when there is no memory */
void *mt_realloc(void *p, size_t size); /* aborts when there is no memory */
bool mt_utf8_valid(const char *s, size_t len);
/* Bytes of the well-formed UTF-8 character at s (1 to 4, at most len); 0 when there is none. */
size_t mt_utf8_next(const char *s, size_t len);
/* The nearest of `names` (n entries) to `name` by edit distance, when near enough to be a slip; else NULL. */
const char *mt_nearest(const char *name, const char *const *names, size_t n);
/* Parses a whole decimal integer within [min, max]; false when anything else. */
bool mt_parse_int(const char *s, int64_t min, int64_t max, int64_t *out);
/* Durations: "30d", "12h", "5m", "10s", "250ms", "1w", combined as "1h30m", or plain seconds "90". Result in
 * ms; false when malformed, negative or beyond 100 years. */
bool mt_parse_duration(const char *s, int64_t *ms);
/* "30 days", "5 minutes", "250 ms": for people. */
void mt_format_duration(int64_t ms, char *out, size_t size);
/* Percent-encoding of a path segment or query value (RFC 3986 unreserved kept), appended to a buffer. */
struct mt_buf;
void mt_url_encode(struct mt_buf *b, const char *s, size_t len);
/* Decodes in place semantic: writes at most len bytes to out; '+' becomes a space when `form`. -1 when
 * malformed. */
long mt_url_decode(const char *s, size_t len, char *out, bool form);
