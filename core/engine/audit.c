/* The record of what people did: what is about to be done is durable before it is, and how it ended after.
 * Secrets are masked here, whatever the caller has masked already. Any thread. */
#include "engine/audit.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/text.h"
#include "engine/engine.h"
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

enum { DETAIL_MAX = 16 * 1024, RESULT_MAX = 4 * 1024, NAME_BYTES = 64 };

/* ---- masking ---- */

static bool word_char(char c) {
    return isalnum((unsigned char)c) || c == '_';
}

/* After a secret's name: the quoted text that is given to it, in Lua (cvc = "123", ["cvc"] = '123') or in
 * JSON
 * ("cvc": "123"). The position of its opening quote, or NULL. */
static const char *value_after(const char *p) {
    if (*p == '"' || *p == '\'') p++;
    if (*p == ']') p++;
    while (*p == ' ' || *p == '\t') p++;
    if (*p != '=' && *p != ':') return NULL;
    for (p++; *p == ' ' || *p == '\t';) p++;
    return *p == '"' || *p == '\'' || isdigit((unsigned char)*p) ? p : NULL;
}

static const char *end_of(const char *value) {
    const char *p = value;
    if (isdigit((unsigned char)*p)) {
        while (isdigit((unsigned char)*p)) p++;
        return p;
    }
    for (p++; *p && *p != *value && *p != '\n'; p++)
        if (*p == '\\' && p[1]) p++;
    return *p == *value ? p + 1 : p;
}

void mt_audit_mask(const char *text, size_t len, struct mt_buf *out) {
    char *copy = mt_memdup(text, len);
    for (size_t i = 0; i < len; i++)
        if (!copy[i]) copy[i] = ' ';
    for (const char *p = copy; *p;) {
        char name[NAME_BYTES];
        size_t n = 0;
        while (word_char(p[n]) || (n > 0 && p[n] == '-' && word_char(p[n + 1]))) n++;
        if (n == 0) {
            mt_buf_addc(out, *p++);
            continue;
        }
        mt_buf_add(out, p, n);
        const char *value = n < sizeof name ? value_after(p + n) : NULL;
        mt_format(name, sizeof name, "%.*s", (int)(n < sizeof name ? n : 0), p);
        p += n;
        if (!value || !mt_secret_name(name)) continue;
        mt_buf_add(out, p, (size_t)(value - p));
        mt_buf_adds(out, "\"[redacted]\"");
        p = end_of(value);
    }
    if (mt_buf_ok(out)) mt_mask_digits(out->data, out->len);
    free(copy);
}

/* Masked, cut to `max` bytes; caller frees. */
static char *masked(const char *text, size_t max) {
    struct mt_buf b;
    if (!text) return NULL;
    mt_buf_init(&b, 4 * max + 64 * 1024);
    size_t len = strlen(text);
    mt_audit_mask(text, len < 2 * max ? len : 2 * max, &b);
    char *out = mt_calloc(1, max + 1);
    mt_copy(out, max + 1, mt_buf_ok(&b) ? b.data : "");
    mt_buf_clear(&b);
    return out;
}

/* ---- appending ---- */

static int append(struct mt_engine *g, struct mt_audit *a, struct mt_error *e) {
    struct mt_op op = {.type = MT_OP_AUDIT, .audit = a};
    struct mt_batch batch = {.ops = &op, .count = 1};
    if (mt_writer_submit(mt_engine_writer(g), &batch) == 0) return 0;
    *e = batch.error;
    return mt_error_wrap(e, "the record of what people do cannot be written");
}

int mt_engine_audit_begin(struct mt_engine *g, const struct mt_deed *d, int64_t now, int64_t *n,
                          struct mt_error *e) {
    struct mt_audit a = {.at = now};
    a.who = masked(d->who, MT_KEY_MAX - 1);
    a.via = masked(d->via, MT_KEY_MAX - 1);
    a.session = d->session ? mt_strdup(d->session) : NULL;
    a.what = mt_strdup(d->what);
    a.object = masked(d->object, MT_KEY_MAX - 1);
    a.detail = masked(d->detail, DETAIL_MAX);
    int rc = append(g, &a, e);
    *n = a.n;
    mt_audit_clear(&a);
    return rc;
}

void mt_engine_audit_end(struct mt_engine *g, const struct mt_deed *d, int64_t n, const char *outcome,
                         const char *result, int64_t ms, int64_t now) {
    struct mt_error e;
    struct mt_audit a = {.of = n, .at = now, .ms = ms};
    a.who = masked(d->who, MT_KEY_MAX - 1);
    a.via = masked(d->via, MT_KEY_MAX - 1);
    a.what = mt_strdup(d->what);
    a.outcome = mt_strdup(outcome);
    a.result = masked(result, RESULT_MAX);
    if (append(g, &a, &e) != 0) mt_err("the end of a deed is not in the record", "error", e.message);
    mt_audit_clear(&a);
}

/* ---- showing ---- */

static void set_text(json_t *row, const char *name, const char *text) {
    json_t *value = text && *text ? json_string(text) : NULL;
    json_object_set_new(row, name, value ? value : json_null());
}

json_t *mt_audit_json(const struct mt_audit *a) {
    char at[25];
    mt_time_format(a->at, at);
    json_t *row = json_pack("{s:I, s:s}", "n", (json_int_t)a->n, "at", at);
    set_text(row, "who", a->who);
    set_text(row, "via", a->via);
    set_text(row, "session", a->session);
    set_text(row, "what", a->what);
    set_text(row, "object", a->object);
    set_text(row, "detail", a->detail);
    set_text(row, "outcome", a->outcome);
    set_text(row, "result", a->result);
    json_object_set_new(row, "ms", a->of ? json_integer(a->ms) : json_null());
    return row;
}
