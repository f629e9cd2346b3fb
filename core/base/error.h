/* The one error record of Mintage. Every fallible function takes a `struct mt_error *` (never NULL) and
 * returns 0 or -1 (or a pointer or NULL); on failure it has filled the record. A record is plain data: no
 * memory to free, safe to copy and to hand between threads. The vocabulary is the same for providers, the
 * engine and scripts. */
#pragma once
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

/* What went wrong. mt_kind_name() gives the word that scripts and JSON see ("authentication", ...). */
enum mt_kind {
    MT_KIND_NONE = 0,
    MT_AUTHENTICATION,     /* credentials missing or wrong */
    MT_PERMISSION,         /* credentials right, but not allowed (licence, disabled product) */
    MT_INVALID_REQUEST,    /* a field is missing, unknown or malformed */
    MT_NOT_FOUND,          /* no such object */
    MT_CONFLICT,           /* the object's state forbids it, or a duplicate */
    MT_INSUFFICIENT_FUNDS, /* a balance is too low */
    MT_DECLINED,           /* the payer's bank said no */
    MT_EXPIRED,            /* too late */
    MT_RATE_LIMITED,       /* asked too often */
    MT_UNAVAILABLE,        /* the other side, or the way to it, is down */
    MT_TIMEOUT,            /* no answer in time */
    MT_PROTOCOL,           /* the answer could not be understood */
    MT_UNSUPPORTED,        /* the other side offers no such thing */
    MT_LIMIT,              /* a limit of size, time or count was passed */
    MT_CANCELLED,          /* the run was cancelled */
    MT_MISMATCH,           /* a replay parted from its journal */
    MT_SCRIPT,             /* a bug in a script */
    MT_STORE,              /* the store refused or failed */
    MT_FULL,               /* the disk is full */
    MT_USAGE,              /* the command line or the configuration is wrong */
    MT_INTERNAL,           /* a bug in Mintage */
    MT_KIND_COUNT
};

/* What became of an effect. */
enum mt_outcome {
    MT_OUTCOME_NONE = 0, /* still an intent, or not an effect */
    MT_NOT_SENT,         /* no byte of the request left */
    MT_REJECTED,         /* the other side said no; nothing happened */
    MT_DONE,             /* it happened */
    MT_UNKNOWN,          /* it may or may not have happened */
    MT_OUTCOME_COUNT
};

struct mt_error {
    enum mt_kind kind;
    enum mt_outcome outcome;
    int http_status;    /* 0 when there was no HTTP answer */
    bool retryable;     /* the same request may succeed later */
    bool hard;          /* a decline that will not change by asking again */
    int retry_after_s;  /* what the other side asked for; 0 when it did not */
    char provider[24];  /* "mintro", or "" */
    char operation[48]; /* "intents.create", or "" */
    char code[64];      /* the provider's own code, or "" */
    char message[640];  /* a sentence that says what, where and what to do; UTF-8, never a secret */
};

const char *mt_kind_name(enum mt_kind kind);
/* The kind named `name`; MT_KIND_NONE when there is none. */
enum mt_kind mt_kind_from_name(const char *name);
const char *mt_outcome_name(enum mt_outcome outcome); /* "not_sent", "rejected", "done", "unknown", "" */
enum mt_outcome mt_outcome_from_name(const char *name);

/* Fills `e` (all other fields zeroed) and returns -1, so that `return mt_fail(e, MT_LIMIT, "...")` reads
 * well. */
int mt_fail(struct mt_error *e, enum mt_kind kind, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* The same, returning NULL for functions that return pointers. */
void *mt_fail_null(struct mt_error *e, enum mt_kind kind, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Puts `format` and ": " before the message of `e`, truncating at the end. Returns -1. */
int mt_error_wrap(struct mt_error *e, const char *format, ...) __attribute__((format(printf, 2, 3)));
