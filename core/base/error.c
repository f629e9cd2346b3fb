/* The error record: names of kinds and outcomes, and filling a record.
 * Invariant: a message is always NUL-terminated UTF-8 that was cut between characters, never inside one.
 * No state; any thread. */
#include "base/error.h"
#include "base/text.h"
#include <stdio.h>
#include <string.h>

static const char *const kind_names[] = {
    [MT_KIND_NONE] = "",
    [MT_AUTHENTICATION] = "authentication",
    [MT_PERMISSION] = "permission",
    [MT_INVALID_REQUEST] = "invalid_request",
    [MT_NOT_FOUND] = "not_found",
    [MT_CONFLICT] = "conflict",
    [MT_INSUFFICIENT_FUNDS] = "insufficient_funds",
    [MT_DECLINED] = "declined",
    [MT_EXPIRED] = "expired",
    [MT_RATE_LIMITED] = "rate_limited",
    [MT_UNAVAILABLE] = "unavailable",
    [MT_TIMEOUT] = "timeout",
    [MT_PROTOCOL] = "protocol",
    [MT_UNSUPPORTED] = "unsupported",
    [MT_LIMIT] = "limit",
    [MT_CANCELLED] = "cancelled",
    [MT_MISMATCH] = "mismatch",
    [MT_SCRIPT] = "script",
    [MT_STORE] = "store",
    [MT_FULL] = "full",
    [MT_USAGE] = "usage",
    [MT_INTERNAL] = "internal",
};
_Static_assert(sizeof(kind_names) / sizeof(kind_names[0]) == MT_KIND_COUNT, "every kind has a name");

static const char *const outcome_names[] = {
    [MT_OUTCOME_NONE] = "", [MT_NOT_SENT] = "not_sent", [MT_REJECTED] = "rejected",
    [MT_DONE] = "done",     [MT_UNKNOWN] = "unknown",
};
_Static_assert(sizeof(outcome_names) / sizeof(outcome_names[0]) == MT_OUTCOME_COUNT,
               "every outcome has a name");

const char *mt_kind_name(enum mt_kind kind) {
    return (unsigned)kind < MT_KIND_COUNT ? kind_names[kind] : "internal";
}

enum mt_kind mt_kind_from_name(const char *name) {
    for (int i = 1; name != NULL && i < MT_KIND_COUNT; i++)
        if (strcmp(kind_names[i], name) == 0) return (enum mt_kind)i;
    return MT_KIND_NONE;
}

const char *mt_outcome_name(enum mt_outcome outcome) {
    return (unsigned)outcome < MT_OUTCOME_COUNT ? outcome_names[outcome] : "";
}

enum mt_outcome mt_outcome_from_name(const char *name) {
    for (int i = 1; name != NULL && i < MT_OUTCOME_COUNT; i++)
        if (strcmp(outcome_names[i], name) == 0) return (enum mt_outcome)i;
    return MT_OUTCOME_NONE;
}

/* Copies a message: cut between characters at the end, and a '?' for each byte that is not UTF-8 (a format
 * such as
 * "%.40s" may have cut a character in the middle, and what is quoted may be anything). */
static void copy_message(struct mt_error *e, const char *text) {
    mt_copy(e->message, sizeof(e->message), text);
    size_t len = strlen(e->message), n;
    for (size_t i = 0; i < len; i += n) {
        n = mt_utf8_next(e->message + i, len - i);
        if (n > 0) continue;
        e->message[i] = '?';
        n = 1;
    }
}

/* Formats aside first: an argument may well be a string inside `e` itself. Longer than a message, so that
 * mt_copy sees where the cut falls. */
static void fill(struct mt_error *e, enum mt_kind kind, const char *format, va_list args) {
    char text[sizeof(e->message) + 8];
    if (vsnprintf(text, sizeof(text), format, args) < 0) text[0] = '\0';
    memset(e, 0, sizeof(*e));
    e->kind = kind;
    copy_message(e, text);
}

int mt_fail(struct mt_error *e, enum mt_kind kind, const char *format, ...) {
    va_list args;
    va_start(args, format);
    fill(e, kind, format, args);
    va_end(args);
    return -1;
}

void *mt_fail_null(struct mt_error *e, enum mt_kind kind, const char *format, ...) {
    va_list args;
    va_start(args, format);
    fill(e, kind, format, args);
    va_end(args);
    return NULL;
}

int mt_error_wrap(struct mt_error *e, const char *format, ...) {
    char text[2 * sizeof(e->message) + 8];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(text, sizeof(e->message), format, args);
    va_end(args);
    size_t used = n < 0 ? 0 : strnlen(text, sizeof(e->message));
    snprintf(text + used, sizeof(text) - used, ": %s", e->message);
    copy_message(e, text);
    return -1;
}
