/* Log lines: text for people, JSON for machines; secrets redacted by construction.
 * Invariant: no value reaches a line before its key was asked for a secret and its digits were masked.
 * Any thread; one write(2) a line. */
#include "base/log.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/text.h"
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

enum { LINE_MAX_BYTES = 16384, VALUE_MAX_BYTES = 2048 };

static _Atomic int log_level = MT_LOG_INFO;
static _Atomic bool log_json;
static _Atomic bool has_sink;
static pthread_mutex_t sink_lock =
    PTHREAD_MUTEX_INITIALIZER; /* held while a sink runs: after mt_log_sink it is not in use */
static void (*sink_function)(void *, const char *, size_t);
static void *sink_ctx;

void mt_log_setup(enum mt_log_level level, enum mt_log_format format) {
    atomic_store(&log_level, (int)level);
    atomic_store(&log_json, format == MT_LOG_JSON || (format == MT_LOG_AUTO && !isatty(STDERR_FILENO)));
}

void mt_log_sink(void (*sink)(void *ctx, const char *line, size_t len), void *ctx) {
    pthread_mutex_lock(&sink_lock);
    sink_function = sink;
    sink_ctx = ctx;
    atomic_store(&has_sink, sink != NULL);
    pthread_mutex_unlock(&sink_lock);
}

bool mt_log_enabled(enum mt_log_level level) {
    return (int)level >= atomic_load(&log_level) && level != MT_LOG_OFF;
}

/* Words that make a name secret wherever they stand in it, and names that are secret as a whole; both without
 * case, dashes, underscores, dots and spaces. "idempotency_key" and "public_key" are neither. */
static const char *const secret_parts[] = {
    "secret",    "password",   "passwd",     "passphrase", "authorization", "cookie",       "token",
    "apikey",    "appkey",     "privatekey", "hashkey",    "signingkey",    "accesskey",    "sealkey",
    "masterkey", "credential", "cardnumber", "pincode",    "signature",     "securitycode", "epincode",
};
static const char *const secret_names[] = {
    "key",  "cvc",  "cvv",   "cvc2", "cvv2", "cardcvc", "cardcvv", "pan",    "number", "pin",
    "pins", "epin", "epins", "sign", "auth", "cardpin", "pwd",     "track1", "track2",
};

/* Whether one of them begins here. Each name of each effect's parameters is asked about: a letter decides
 * most. */
static bool secret_part_at(const char *at) {
    for (size_t i = 0; i < sizeof(secret_parts) / sizeof(secret_parts[0]); i++)
        if (secret_parts[i][0] == *at && strncmp(at, secret_parts[i], strlen(secret_parts[i])) == 0)
            return true;
    return false;
}

static bool judge_name(const char *name) {
    char plain[96];
    size_t n = 0;
    for (; *name != '\0' && n < sizeof(plain) - 1; name++) {
        if (strchr("-_. []", *name) != NULL) continue;
        plain[n++] = (char)(*name >= 'A' && *name <= 'Z' ? *name - 'A' + 'a' : *name);
    }
    plain[n] = '\0';
    for (const char *at = plain; *at != '\0'; at++)
        if (secret_part_at(at)) return true;
    for (size_t i = 0; i < sizeof(secret_names) / sizeof(secret_names[0]); i++)
        if (secret_names[i][0] == plain[0] && strcmp(plain, secret_names[i]) == 0) return true;
    return false;
}

/* The same few names come again and again (every parameter of every call), so a thread remembers its
 * verdicts. */
bool mt_secret_name(const char *name) {
    static _Thread_local struct {
        char name[28];
        bool known, secret;
    } verdicts[64];
    uint32_t hash = 2166136261u;
    size_t len = 0;
    for (; name[len] != '\0' && len < sizeof(verdicts[0].name); len++)
        hash = (hash ^ (unsigned char)name[len]) * 16777619u;
    if (len == sizeof(verdicts[0].name)) return judge_name(name);
    size_t i = hash % (sizeof(verdicts) / sizeof(verdicts[0]));
    if (!verdicts[i].known || strcmp(verdicts[i].name, name) != 0) {
        verdicts[i].secret = judge_name(name);
        verdicts[i].known = true;
        memcpy(verdicts[i].name, name, len + 1);
    }
    return verdicts[i].secret;
}

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

/* Masks the digits of s[from..to) but the last `keep` of them. */
static void mask_range(char *s, size_t from, size_t to, size_t keep) {
    while (to > from) {
        to--;
        if (!is_digit(s[to])) continue;
        if (keep > 0)
            keep--;
        else
            s[to] = '*';
    }
}

static bool is_hex(char c) {
    return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

/* A UUID is an id, though its digits may stand in groups as a card's do; no number of a card is part of one.
 */
static bool uuid_at(const char *s, size_t i, size_t len) {
    static const char shape[] = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";
    enum { LENGTH = sizeof shape - 1 };
    if (len - i < LENGTH || (i > 0 && (is_hex(s[i - 1]) || s[i - 1] == '-'))) return false;
    for (size_t k = 0; k < LENGTH; k++)
        if (shape[k] == '-' ? s[i + k] != '-' : !is_hex(s[i + k])) return false;
    return len - i == LENGTH || (!is_hex(s[i + LENGTH]) && s[i + LENGTH] != '-');
}

void mt_mask_digits(char *s, size_t len) {
    for (size_t i = 0; i < len;) {
        if (is_hex(s[i]) && uuid_at(s, i, len)) {
            i += 36;
            continue;
        }
        if (!is_digit(s[i])) {
            i++;
            continue;
        }
        /* A run: groups of digits with one space or dash between. A group that is a whole card number is
         * masked by itself; else the run counts as one number. */
        size_t start = i, group = i, digits = 0, groups = 0;
        bool whole_group = false, like_a_card = true;
        for (;;) {
            group = i;
            while (i < len && is_digit(s[i])) i++;
            digits += i - group;
            groups++;
            /* Cards are printed 4-4-4-4, 4-6-5 and so on; an order's number such as 20261120-000123 is not.
             */
            if ((groups == 1 && i - group != 4) || (groups == 2 && i - group != 4 && i - group != 6))
                like_a_card = false;
            if (i - group >= 13) {
                whole_group = true;
                /* Thirteen digits that begin with 1 are a time in milliseconds; no card's number is like
                 * that. */
                if (i - group != 13 || s[group] != '1') mask_range(s, group, i, 4);
            }
            if (i + 1 < len && (s[i] == ' ' || s[i] == '-') && is_digit(s[i + 1]))
                i++;
            else
                break;
        }
        /* A last group under four digits may be a CVC typed after the number: nothing is kept then. */
        if (!whole_group && like_a_card && digits >= 13) mask_range(s, start, i, i - group >= 4 ? 4 : 0);
    }
}

/* The value as it may be shown, in `out`. */
static const char *shown(const char *key, const char *value, char out[VALUE_MAX_BYTES]) {
    if (key != NULL && mt_secret_name(key)) return "[redacted]";
    bool fits = mt_copy(out, VALUE_MAX_BYTES, value);
    size_t len = strlen(out);
    mt_mask_digits(out, len);
    if (!fits && len >= 3) {
        /* A number cut at the end would be too short to be recognised. */
        while (len > 0 && (is_digit(out[len - 1]) || out[len - 1] == ' ' || out[len - 1] == '-')) len--;
        mt_copy(out + (len > VALUE_MAX_BYTES - 4 ? VALUE_MAX_BYTES - 4 : len), 4, "...");
    }
    return out;
}

static bool needs_quotes(const char *s) {
    if (*s == '\0') return true;
    for (; *s != '\0'; s++)
        if ((unsigned char)*s <= ' ' || *s == '"' || *s == '=' || *s == '\\' || *s == 0x7F) return true;
    return !mt_utf8_valid(s, strlen(s));
}

static void add_pair(struct mt_buf *b, bool json, const char *key, const char *value) {
    char text[VALUE_MAX_BYTES];
    if (json) {
        mt_buf_addc(b, ',');
        mt_buf_add_json_string(b, key, strlen(key));
        mt_buf_addc(b, ':');
    } else {
        mt_buf_addf(b, " %s=", key);
    }
    if (value == NULL) {
        mt_buf_adds(b, "null");
        return;
    }
    const char *safe = shown(key, value, text);
    if (json || needs_quotes(safe))
        mt_buf_add_json_string(b, safe, strlen(safe));
    else
        mt_buf_adds(b, safe);
}

static void add_head(struct mt_buf *b, bool json, enum mt_log_level level, const char *message) {
    static const char *const names[] = {"debug", "info", "warn", "error"};
    static const char *const labels[] = {"DEBUG", "INFO ", "WARN ", "ERROR"};
    struct timespec t;
    char stamp[25], text[VALUE_MAX_BYTES];
    clock_gettime(CLOCK_REALTIME, &t);
    mt_time_format((int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000, stamp);
    const char *safe = shown(NULL, message, text);
    if (json) {
        mt_buf_addf(b, "{\"time\":\"%s\",\"level\":\"%s\",\"message\":", stamp, names[level]);
        mt_buf_add_json_string(b, safe, strlen(safe));
    } else {
        mt_buf_addf(b, "%s %s ", stamp, labels[level]);
        /* A line break in a message would let it forge a line of its own. */
        for (; *safe != '\0'; safe++) mt_buf_addc(b, (unsigned char)*safe < ' ' ? ' ' : *safe);
    }
}

static void emit(const char *line, size_t len) {
    if (atomic_load(&has_sink)) {
        pthread_mutex_lock(&sink_lock);
        bool taken = sink_function != NULL;
        if (taken) sink_function(sink_ctx, line, len);
        pthread_mutex_unlock(&sink_lock);
        if (taken) return;
    }
    /* There is nowhere to report that standard error cannot be written. */
    ssize_t n = write(STDERR_FILENO, line, len);
    (void)n;
}

void mt_log(enum mt_log_level level, const char *message, ...) {
    if (!mt_log_enabled(level)) return;
    bool json = atomic_load(&log_json);
    struct mt_buf b;
    mt_buf_init(&b, LINE_MAX_BYTES);
    add_head(&b, json, level, message);
    va_list args;
    va_start(args, message);
    const char *key;
    while ((key = va_arg(args, const char *)) != NULL) {
        const char *value = va_arg(args, const char *);
        size_t before = b.len;
        add_pair(&b, json, key, value);
        if (!mt_buf_ok(&b) || b.len > LINE_MAX_BYTES - 64) { /* the line stays whole; the rest is left out */
            b.failed = false;
            b.len = before;
            b.data[before] = '\0';
            mt_buf_adds(&b, json ? ",\"truncated\":true" : " truncated=true");
            break;
        }
    }
    va_end(args);
    mt_buf_adds(&b, json ? "}\n" : "\n");
    emit(b.data, b.len);
    mt_buf_clear(&b);
}
