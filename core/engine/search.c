/* Searching runs (search.h): pages of rows, newest first, then, only where the row does not have it all, the
 * run's journal. Invariant: one page and one journal are in memory at a time. Any thread. */
#include "engine/search.h"
#include "base/sync.h"
#include "engine/internal.h"
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define SCAN_MAX 5000
#define TIME_MS 3000
#define PAGE 100
#define DEPTH_MAX 32
#define PLACE_MAX 160

enum { TEXT, REFERENCE, EMAIL, AMOUNT, LAST4, WANTS };

struct search {
    struct mt_engine *g;
    const struct mt_search *s;
    const char *wants[WANTS]; /* NULL: not asked for */
    int64_t until_ns;
    size_t scanned;
    /* of the run that is looked at */
    bool found[WANTS];
    json_t *matched;
};

/* ---- does a text match ---- */

/* The digits that count of an amount, "80.00 USD" and "80" alike: "80". Its currency, or "". */
static bool read_amount(const char *text, char digits[40], char currency[8]) {
    size_t n = 0;
    const char *s = text;
    bool point = false;
    currency[0] = '\0';
    for (; (isdigit((unsigned char)*s) || *s == '.' || *s == ',') && n < 39; s++) {
        if (*s == ',') continue;
        point = point || *s == '.';
        digits[n++] = *s;
    }
    if (n == 0) return false;
    while (point && n > 1 && digits[n - 1] == '0') n--;
    if (digits[n - 1] == '.') n--;
    digits[n] = '\0';
    while (*s == ' ') s++;
    if (*s && !mt_copy(currency, 8, s)) return false;
    for (const char *c = currency; *c; c++)
        if (!isalpha((unsigned char)*c)) return false;
    return true;
}

static bool same_amount(const char *wanted, const char *found) {
    char a[40], b[40], of[8], in[8];
    if (!read_amount(wanted, a, of) || !read_amount(found, b, in)) return false;
    return strcmp(a, b) == 0 && (!of[0] || !in[0] || strcasecmp(of, in) == 0);
}

static bool is_last4(const char *name, const char *text, const char *wanted) {
    size_t len = strlen(text);
    if (len < 4 || strcmp(text + len - 4, wanted) != 0) return false;
    if (len > 4) return strpbrk(text, "*xX") != NULL && !isdigit((unsigned char)text[len - 5]);
    return strcasestr(name, "last4") || strcasestr(name, "last_4") || strcasestr(name, "last_four") ||
           strcasestr(name, "card");
}

static bool matches(const struct search *x, int want, const char *name, const char *text) {
    const char *wanted = x->wants[want];
    switch (want) {
    case TEXT:
        return strcasestr(text, wanted) != NULL;
    case REFERENCE:
        return strcmp(text, wanted) == 0;
    case EMAIL:
        return strcasecmp(text, wanted) == 0;
    case AMOUNT:
        return same_amount(wanted, text);
    default:
        return is_last4(name, text, wanted);
    }
}

/* ---- in a run ---- */

static void look_at_text(struct search *x, const char *place, const char *name, const char *text) {
    bool told = false;
    for (int i = 0; i < WANTS; i++) {
        if (!x->wants[i] || x->found[i] || !matches(x, i, name, text)) continue;
        x->found[i] = true;
        if (!told) json_array_append_new(x->matched, json_string(place));
        told = true;
    }
}

static void look_at(struct search *x, const char *place, const char *name, const json_t *value, int depth) {
    const char *key;
    json_t *member;
    char inner[PLACE_MAX], number[40];
    size_t i;
    if (depth > DEPTH_MAX) return;
    if (json_is_object(value)) {
        json_object_foreach((json_t *)(uintptr_t)value, key, member) {
            if (strcmp(key, "$sealed") == 0 || strcmp(key, "$secret") == 0) continue;
            if (key[0] == '$' && key[1] != '$')
                mt_copy(inner, sizeof inner, place); /* a mark: {"$money":...} */
            else
                mt_format(inner, sizeof inner, "%s.%s", place, key);
            look_at(x, inner, key[0] == '$' ? name : key, member, depth + 1);
        }
    } else if (json_is_array(value)) {
        json_array_foreach(value, i, member) look_at(x, place, name, member, depth + 1);
    } else if (json_is_string(value)) {
        look_at_text(x, place, name, json_string_value(value));
        if (json_string_value(value)[0] == '{' && depth < 2) { /* what flow.log was given */
            struct mt_error e;
            member = mt_json_parse(json_string_value(value), json_string_length(value), &e);
            look_at(x, place, name, member, depth + 1);
            json_decref(member);
        }
    } else if (json_is_integer(value)) {
        mt_format(number, sizeof number, "%lld", (long long)json_integer_value(value));
        look_at_text(x, place, name, number);
    }
}

static void look_at_json(struct search *x, const char *place, const char *text) {
    struct mt_error e;
    if (!text || !text[0]) return;
    json_t *value = mt_json_parse(text, strlen(text), &e);
    look_at(x, place, place, value, 0);
    json_decref(value);
}

static bool found_all(const struct search *x) {
    for (int i = 0; i < WANTS; i++)
        if (x->wants[i] && !x->found[i]) return false;
    return true;
}

static bool look_at_journal(struct search *x, const struct mt_run *run, struct mt_error *e) {
    struct mt_entry *entries = NULL;
    size_t count = 0;
    struct mt_store *s = x->g->o.store;
    if (s->read_journal(s, run->id, -1, &entries, &count, e) != 0) return false;
    for (size_t i = 0; i < count; i++) {
        char place[PLACE_MAX];
        if (!found_all(x)) {
            mt_format(place, sizeof place, "effect %d %s params", entries[i].seq, entries[i].name);
            look_at_json(x, place, entries[i].params);
        }
        if (!found_all(x) && !entries[i].sealed) {
            mt_format(place, sizeof place, "effect %d %s", entries[i].seq, entries[i].name);
            look_at_json(x, place, entries[i].result);
        }
        mt_entry_clear(&entries[i]);
    }
    free(entries);
    return true;
}

/* 1: it is what is looked for; 0: it is not. */
static int look_at_run(struct search *x, const struct mt_run *run, struct mt_error *e) {
    memset(x->found, 0, sizeof x->found);
    json_array_clear(x->matched);
    if (run->key) look_at_text(x, "key", "key", run->key);
    look_at_text(x, "id", "id", run->id);
    look_at_json(x, "input", run->input);
    look_at_json(x, "progress", run->progress);
    look_at_json(x, "output", run->output);
    look_at_json(x, "error", run->error);
    if (!found_all(x) && !look_at_journal(x, run, e)) return -1;
    return found_all(x);
}

/* ---- through the runs ---- */

static json_t *found_run(struct search *x, const struct mt_run *run) {
    struct mt_buf b;
    struct mt_error e;
    mt_buf_init(&b, 16 * MT_VALUE_MAX);
    mt_run_to_json(x->g, run, &b);
    json_t *out = mt_buf_ok(&b) ? mt_json_parse(b.data, b.len, &e) : NULL;
    mt_buf_clear(&b);
    if (!out) out = json_pack("{s:s}", "id", run->id);
    json_object_set_new(out, "matched", json_deep_copy(x->matched));
    return out;
}

/* A page. 1: go on behind it, 0: that was all there is to look at, -1. `last` is the run looked at last. */
static int search_page(struct search *x, struct mt_run_filter *f, json_t *data, char last[MT_ID_SIZE],
                       bool *cut, struct mt_error *e) {
    struct mt_run *runs = NULL;
    size_t count = 0;
    const struct mt_search *s = x->s;
    size_t scan_max = s->scan_max ? s->scan_max : SCAN_MAX;
    int rc = 1;
    if (x->g->o.store->list_runs(x->g->o.store, f, &runs, &count, e) != 0) return -1;
    if (count < f->limit) rc = 0;
    for (size_t i = 0; i < count && rc >= 0 && !*cut; i++) {
        if (runs[i].created_at < s->since) { /* ids begin with their time */
            rc = 0;
            break;
        }
        if (x->scanned >= scan_max || mt_mono_ns() > x->until_ns || json_array_size(data) >= s->limit) {
            *cut = true;
            break;
        }
        int hit = look_at_run(x, &runs[i], e);
        x->scanned++;
        mt_copy(last, MT_ID_SIZE, runs[i].id);
        if (hit < 0) rc = -1;
        if (hit > 0) json_array_append_new(data, found_run(x, &runs[i]));
    }
    for (size_t i = 0; i < count; i++) mt_run_clear(&runs[i]);
    free(runs);
    return rc;
}

static int check(const struct mt_search *s, struct mt_error *e) {
    char digits[40], currency[8];
    if (!s->text && !s->reference && !s->email && !s->amount && !s->last4)
        return mt_fail(e, MT_INVALID_REQUEST,
                       "nothing to look for: wanted find, reference, email, amount or last4");
    if (s->amount && !read_amount(s->amount, digits, currency))
        return mt_fail(e, MT_INVALID_REQUEST, "amount: found '%.40s', wanted \"80.00 USD\" or \"80.00\"",
                       s->amount);
    if (s->last4 && (strlen(s->last4) != 4 || strspn(s->last4, "0123456789") != 4))
        return mt_fail(e, MT_INVALID_REQUEST, "last4: wanted the last four digits of a card");
    return 0;
}

int mt_engine_search(struct mt_engine *g, const struct mt_search *s, json_t **out, struct mt_error *e) {
    int64_t time_ms = s->time_max_ms > 0 ? s->time_max_ms : TIME_MS;
    struct search x = {.g = g,
                       .s = s,
                       .wants = {s->text, s->reference, s->email, s->amount, s->last4},
                       .until_ns = mt_mono_ns() + time_ms * INT64_C(1000000)};
    struct mt_run_filter f = {.flow = s->flow, .state = s->state, .limit = PAGE};
    char last[MT_ID_SIZE] = "";
    bool cut = false;
    int rc = 1;
    if (check(s, e) != 0) return -1;
    if (s->before) mt_copy(f.before, sizeof f.before, s->before);
    x.matched = json_array();
    json_t *data = json_array();
    while (rc > 0 && !cut) {
        rc = search_page(&x, &f, data, last, &cut, e);
        mt_copy(f.before, sizeof f.before, last);
    }
    json_decref(x.matched);
    if (rc < 0) {
        json_decref(data);
        return -1;
    }
    *out = json_pack("{s:o, s:I, s:b, s:o}", "data", data, "scanned", (json_int_t)x.scanned, "cut", (int)cut,
                     "next_cursor", cut && last[0] ? json_string(last) : json_null());
    return 0;
}
