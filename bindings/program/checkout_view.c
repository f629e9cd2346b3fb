/* The values of the checkout page. Invariant: a run that publishes nothing, or only payment_url, gives an
 * understandable page: whatever is missing in its progress is left out. No state; any thread. */
#include "checkout_view.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/text.h"
#include "crypto/crypto.h"
#include "http/template.h"
#include "money/money.h"
#include <stdlib.h>
#include <string.h>

enum { NEAR_END_S = 10 * 60 }; /* from when on the end is spoken of */

struct view {
    json_t *out;
    const json_t *run, *input, *progress, *words;
    const json_t *ways, *paid;
    const struct mt_checkout_asked *asked;
    const char *state;
    int64_t attempt; /* -1: the flow takes no orders */
};

static bool same(const char *a, const char *b) {
    return a && b && strcmp(a, b) == 0;
}

static void set(json_t *obj, const char *name, const char *value) {
    if (value && *value) json_object_set_new(obj, name, json_string(value));
}

static void set_word(const struct view *v, json_t *obj, const char *name, const char *key) {
    char *said = mt_template_say(v->words, key, v->out);
    set(obj, name, said);
    free(said);
}

static bool has_word(const struct view *v, const char *key) {
    return json_object_get(v->words, key) != NULL;
}

/* "way_mintro_says" */
static void set_word_of(const struct view *v, json_t *obj, const char *name, const char *first,
                        const char *second, const char *last) {
    char key[96];
    if (mt_format(key, sizeof key, "%s_%s%s%s", first, second, *last ? "_" : "", last) && has_word(v, key))
        set_word(v, obj, name, key);
}

static bool is_web(const char *url) {
    return url && (strncmp(url, "http://", 7) == 0 || strncmp(url, "https://", 8) == 0);
}

/* A link of the page to itself; `what` is the rest of the query, "" for none. */
static void set_link(const struct view *v, json_t *obj, const char *name, const char *what) {
    char url[512];
    const char *locale = v->asked->chosen_language ? v->asked->language : "";
    if (mt_format(url, sizeof url, "%s%s%s%s%s%s", v->asked->path, *what || *locale ? "?" : "", what,
                  *what && *locale ? "&" : "", *locale ? "locale=" : "", locale))
        set(obj, name, url);
}

/* ---- money ---- */

static bool money_of(const json_t *value, struct mt_money *out) {
    struct mt_error e;
    return value && mt_money_from_json(value, out, &e) == 0;
}

static void set_money(const struct view *v, json_t *obj, const char *name, const struct mt_money *m,
                      bool minus) {
    char text[64], whole[72];
    if (mt_money_display(m, v->asked->language, text, sizeof text) &&
        mt_format(whole, sizeof whole, "%s%s", minus ? "\xE2\x88\x92" : "", text))
        set(obj, name, whole);
}

/* ---- the order ---- */

static json_t *add_line(json_t *lines, const char *class) {
    json_t *line = json_object();
    set(line, "class", class);
    json_array_append_new(lines, line);
    return line;
}

static void money_line(const struct view *v, json_t *lines, const char *word, const struct mt_money *m,
                       bool minus) {
    json_t *line = add_line(lines, same(word, "total") ? "total" : NULL);
    set_word(v, line, "label", word);
    set_money(v, line, "value", m, minus);
}

/* The rows of items; *sum is what they cost together, false when that cannot be said. */
static json_t *items_of(const struct view *v, const json_t *items, struct mt_money *sum, bool *summed) {
    json_t *rows = json_array();
    struct mt_error e;
    *summed = false;
    for (size_t i = 0; i < json_array_size(items); i++) {
        const json_t *item = json_array_get(items, i);
        struct mt_money price, row;
        json_t *shown = json_object();
        json_array_append_new(rows, shown);
        set(shown, "name", mt_json_str(item, "name", NULL));
        int64_t quantity = mt_json_int(item, "quantity", 1);
        json_object_set_new(shown, "quantity", json_integer(quantity));
        if (!money_of(json_object_get(item, "price"), &price) ||
            mt_money_ratio(&price, quantity, 1, &row, &e) != 0)
            continue;
        set_money(v, shown, "price", &price, false);
        set_money(v, shown, "sum", &row, false);
        if (i == 0) {
            *sum = row;
            *summed = true;
        } else if (*summed) {
            *summed = mt_money_add(sum, &row, sum, &e) == 0;
        }
    }
    return rows;
}

/* Tax, discount, and what the order does not explain: what is missing is shown, not hidden. */
static void lines_of_total(const struct view *v, json_t *lines, const json_t *order,
                           const struct mt_money *total, struct mt_money *sum, bool summed) {
    struct mt_money tax, discount;
    struct mt_error e;
    if (money_of(json_object_get(order, "tax"), &tax) && tax.minor != 0) {
        money_line(v, lines, "tax", &tax, false);
        summed = summed && mt_money_add(sum, &tax, sum, &e) == 0;
    }
    if (money_of(json_object_get(order, "discount"), &discount) && discount.minor != 0) {
        money_line(v, lines, "discount", &discount, true);
        summed = summed && mt_money_sub(sum, &discount, sum, &e) == 0;
    }
    if (summed && mt_money_sub(total, sum, sum, &e) == 0 && sum->minor != 0) {
        bool minus = sum->minor < 0;
        if (!minus || mt_money_neg(sum, sum, &e) == 0) money_line(v, lines, "other", sum, minus);
    }
    money_line(v, lines, "total", total, false);
}

static void lines_of_paid(const struct view *v, json_t *lines) {
    for (size_t i = 0; i < json_array_size(v->paid); i++) {
        const json_t *part = json_array_get(v->paid, i);
        struct mt_money amount, change;
        if (!money_of(json_object_get(part, "amount"), &amount)) continue;
        json_t *line = add_line(lines, "paid"), *said = json_object();
        set(said, "masked", mt_json_str(part, "masked", NULL));
        bool epin = same(mt_json_str(part, "way", NULL), "epin");
        char *label = epin ? mt_template_say(v->words, "paid_epin", said) : NULL;
        set(line, "label", label);
        free(label);
        if (!epin) set_word_of(v, line, "label", "way", mt_json_str(part, "way", ""), "");
        set_money(v, line, "value", &amount, true);
        if (money_of(json_object_get(part, "change"), &change) && change.minor > 0) {
            set_money(v, said, "change", &change, false);
            char *left = mt_template_say(v->words, "paid_left", said);
            set(line, "small", left);
            free(left);
        }
        json_decref(said);
    }
}

static void add_order(const struct view *v) {
    const json_t *order = json_object_get(v->progress, "order");
    struct mt_money total, due, sum;
    bool summed, paid_all = same(v->state, "succeeded");
    if (!order || !money_of(json_object_get(v->progress, "total"), &total)) return;
    if (!money_of(json_object_get(v->progress, "due"), &due)) due = total;
    json_t *out = json_object(), *lines = json_array();
    json_object_set_new(v->out, "order", out);
    set(out, "reference", mt_json_str(order, "reference", NULL));
    set_word(v, out, "due_label",
             paid_all                       ? "paid"
             : json_array_size(v->paid) > 0 ? "still_to_pay"
                                            : "to_pay");
    set_money(v, out, "due", paid_all ? &total : &due, false);
    json_t *rows = items_of(v, json_object_get(order, "items"), &sum, &summed);
    if (json_array_size(rows) > 0)
        json_object_set_new(out, "items",
                            json_pack("{s:O,s:b}", "rows", rows, "open",
                                      json_array_size(rows) <= 3 && !same(v->state, "frame")));
    lines_of_total(v, lines, order, &total, &sum, summed);
    lines_of_paid(v, lines);
    json_object_set_new(out, "lines", lines);
    json_decref(rows);
}

/* ---- the state ---- */

static const char *ended_state(const struct view *v) {
    const char *state = mt_json_str(v->run, "state", ""),
               *kind = mt_json_str(json_object_get(v->run, "error"), "kind", "");
    if (same(state, "completed")) return "succeeded";
    if (same(state, "cancelled") || same(kind, "cancelled") || same(kind, "canceled")) return "cancelled";
    if (same(state, "failed")) return same(kind, "expired") ? "expired" : "failed";
    if (same(state, "needs_attention")) return "attention";
    if (same(state, "compensating")) return "undoing";
    return same(mt_json_str(v->progress, "step", NULL), "done") ? "succeeded" : NULL;
}

/* How the way that is open now is paid. */
static const char *open_state(const struct view *v) {
    const char *way = mt_json_str(v->progress, "way", NULL);
    const char *integration = mt_json_str(v->input, "integration", NULL);
    if (!integration) integration = mt_json_str(v->progress, "integration", "");
    if (same(way, "paymint")) return "waiting";
    if (!is_web(mt_json_str(v->progress, "payment_url", NULL))) return "preparing";
    bool framed = same(integration, "iframe") && (!way || same(way, "mintro"));
    if (v->asked->returned) return framed ? "checking" : "returned";
    return framed ? "frame" : "leaving";
}

static const char *state_of(const struct view *v) {
    const char *ended = v->run ? ended_state(v) : "missing", *step = mt_json_str(v->progress, "step", "");
    size_t ways = json_array_size(v->ways);
    if (ended) return ended;
    if (v->asked->field && ways > 0 && (same(step, "choose") || same(step, "pay"))) return "choose";
    if (v->asked->sent >= 0 && v->attempt >= 0 && v->attempt <= v->asked->sent) return "opening";
    if (same(step, "closing")) return "closing";
    if (same(step, "opening")) return v->attempt > 0 ? "opening" : "preparing";
    if (same(step, "choose") && ways > 0) return "choose";
    if (ways > 1 && (v->asked->change || v->attempt == 0)) return "choose";
    return open_state(v);
}

/* ---- the choice ---- */

/* What went wrong, in words: by kind and way, by kind, or something did. */
static void set_problem(const struct view *v, json_t *obj, const char *name, const char *kind,
                        const char *way, const char *field) {
    static const char *const others[][2] = {
        {"canceled", "cancelled"},  {"rate_limited", "too_many"}, {"limit", "too_many"},
        {"timeout", "unavailable"}, {"protocol", "unavailable"},  {"not_found", "declined"},
        {"unsupported", "closed"},  {"conflict", "stale"},
    };
    char key[96];
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        if (same(kind, others[i][0])) kind = others[i][1];
    if (mt_format(key, sizeof key, "problem_%s_%s", kind, way ? way : "") && has_word(v, key))
        set_word(v, obj, name, key);
    else if (field && mt_format(key, sizeof key, "problem_invalid_%s", field) && has_word(v, key))
        set_word(v, obj, name, key);
    else if (mt_format(key, sizeof key, "problem_%s", kind) && has_word(v, key))
        set_word(v, obj, name, key);
    else
        set_word(v, obj, name, "problem_other");
}

static bool has_way(const struct view *v, const char *way) {
    for (size_t i = 0; i < json_array_size(v->ways); i++)
        if (same(json_string_value(json_array_get(v->ways, i)), way)) return true;
    return false;
}

/* The way that is marked when the page opens: what was chosen before; after a problem that typing cannot
 * mend, another one. */
static const char *marked_way(const struct view *v, const char *problem_way, bool mendable) {
    const char *open = mt_json_str(v->progress, "way", NULL), *avoid = NULL;
    if (problem_way && mendable && has_way(v, problem_way)) return problem_way;
    if (problem_way)
        avoid = problem_way;
    else if (v->asked->change)
        avoid = open;
    else if (open && has_way(v, open))
        return open;
    for (size_t i = 0; i < json_array_size(v->ways); i++) {
        const char *way = json_string_value(json_array_get(v->ways, i));
        if (!same(way, avoid)) return way;
    }
    return json_string_value(json_array_get(v->ways, 0));
}

static void add_phone_field(const struct view *v, json_t *out, const char *field) {
    set(out, "known", mt_json_str(v->progress, "phone_masked", NULL));
    if (same(field, "phone")) set_word(v, out, "wrong", "wrong_phone");
}

static void add_epin_fields(const struct view *v, json_t *out, const char *field) {
    int64_t tries = mt_json_int(v->progress, "tries_left", -1);
    if (tries >= 0) json_object_set_new(out, "tries", json_integer(tries));
    if (same(field, "epin")) set_word(v, out, "wrong", "wrong_epin");
    if (same(field, "amount")) set_word(v, out, "wrong_amount", "wrong_amount");
}

static void add_ways(const struct view *v, const char *marked, const char *field) {
    json_t *ways = json_array();
    for (size_t i = 0; i < json_array_size(v->ways); i++) {
        const char *way = json_string_value(json_array_get(v->ways, i));
        if (!way) continue;
        json_t *row = json_object(), *more = json_object();
        set(row, "way", way);
        set(row, "label", way);
        set_word_of(v, row, "label", "way", way, "");
        set_word_of(v, row, "says", "way", way, "says");
        set_word(v, row, "button", "continue");
        set_word_of(v, row, "button", "way", way, "button");
        json_object_set_new(row, "checked", json_boolean(same(way, marked)));
        if (same(way, "paymint")) add_phone_field(v, more, field);
        if (same(way, "epin")) add_epin_fields(v, more, field);
        if (same(way, "paymint") || same(way, "epin")) json_object_set(row, way, more);
        json_array_append_new(ways, row);
        json_decref(more);
    }
    json_object_set_new(v->out, "ways", ways);
}

/* What MINT says of a code that cannot be used, whatever the reason: guessers learn nothing from it. */
static bool refused_code(const char *kind) {
    return same(kind, "not_found") || same(kind, "conflict") || same(kind, "permission") ||
           same(kind, "invalid_request");
}

static void add_choice(const struct view *v) {
    const json_t *problem = json_object_get(v->progress, "problem");
    const char *field = v->asked->field, *kind = field ? "invalid_request" : NULL, *way = NULL;
    json_object_set_new(v->out, "choose", json_true());
    if (field) {
        way = same(field, "phone") ? "paymint" : same(field, "way") ? NULL : "epin";
    } else if (json_is_object(problem) && !v->asked->change) {
        kind = mt_json_str(problem, "kind", "other");
        way = mt_json_str(problem, "way", NULL);
        field = mt_json_str(problem, "field", NULL);
        if (same(way, "epin") && refused_code(kind)) kind = "declined";
    }
    if (kind) {
        json_t *errors = json_object();
        set_word(v, errors, "heading", "problem_heading");
        set_problem(v, errors, "says", kind, way, field);
        if (same(field, "phone") || same(field, "epin") || same(field, "amount")) set(errors, "field", field);
        json_object_set_new(v->out, "errors", errors);
    }
    add_ways(v, marked_way(v, kind ? way : NULL, field || same(way, "epin")), field);
    const char *step = mt_json_str(v->progress, "step", "");
    if (v->asked->change && same(step, "pay")) {
        set_link(v, v->out, "change", "");
        set_word(v, v->out, "change_label", "back");
    }
}

/* ---- the other states ---- */

/* To the provider's page. Browsers go there by themselves when the customer has just chosen it, or when it is
 * the only way; not in another tab, nor after coming back. */
static void add_leave(const struct view *v) {
    const char *url = mt_json_str(v->progress, "payment_url", "");
    bool returned = same(v->state, "returned");
    json_t *out = json_object();
    json_object_set_new(v->out, "leave", out);
    set(out, "mark", returned ? "working" : "card");
    set(out, "button", returned ? "secondary" : "primary");
    set(out, "url", url);
    set(v->out, "url", url);
    set_word_of(v, out, "says", v->state, "says", "");
    if (returned)
        set_word(v, out, "link", "returned_link");
    else
        set_word(v, out, "link", json_object_get(v->out, "due") ? "leaving_link" : "leaving_plain");
    bool chosen = v->asked->sent >= 0 && v->asked->sent + 1 == v->attempt;
    bool lead = !returned && (chosen || (v->attempt <= 0 && json_array_size(v->ways) <= 1));
    if (lead) set(v->out, "lead", "yes");
    char refresh[2200];
    if (lead && mt_format(refresh, sizeof refresh, "1;url=%s", url))
        set(v->out, "refresh", refresh);
    else
        set(v->out, "refresh", "3");
}

static void add_phone(const struct view *v) {
    json_t *out = json_object();
    const char *masked = mt_json_str(v->progress, "phone_masked", NULL);
    const char *url = mt_json_str(v->progress, "payment_url", NULL);
    json_object_set_new(v->out, "phone", out);
    set(v->out, "refresh", "5");
    set(v->out, "phone_number", masked);
    json_t *said = json_object();
    json_object_update_missing(said, v->out);
    set(said, "phone", masked);
    char *says = mt_template_say(v->words, masked ? "paymint_says" : "paymint_says_plain", said);
    set(out, "says", says);
    set(out, "url", is_web(url) ? url : "");
    json_object_set_new(out, "url", is_web(url) ? json_string(url) : json_null());
    json_object_set_new(out, "resend", json_boolean(mt_json_bool(v->progress, "resend", false)));
    free(says);
    json_decref(said);
}

static void add_home(const struct view *v, json_t *out, const char *member) {
    const char *home = mt_json_str(v->progress, member, mt_json_str(v->input, member, NULL));
    char refresh[2200];
    if (!is_web(home)) return;
    set(out, "home", home);
    set(v->out, "home", home);
    set_word(v, out, "home_link", "home");
    if (same(member, "success_url")) set_word(v, out, "says", "succeeded_back");
    if (mt_format(refresh, sizeof refresh, "3;url=%s", home)) set(v->out, "refresh", refresh);
}

/* Nothing to do but to read: at work, or at an end. */
static void add_plain(const struct view *v) {
    static const char *const marks[][2] = {
        {"succeeded", "good"}, {"failed", "bad"},      {"expired", "bad"},
        {"missing", "bad"},    {"cancelled", "ended"},
    };
    json_t *out = json_object();
    const char *mark = "working";
    json_object_set_new(v->out, "plain", out);
    for (size_t i = 0; i < sizeof marks / sizeof marks[0]; i++)
        if (same(v->state, marks[i][0])) mark = marks[i][1];
    set(out, "mark", mark);
    set_word_of(v, out, "says", v->state, "says", "");
    bool unpaid_end = same(mark, "bad") || same(mark, "ended");
    if (unpaid_end && json_array_size(v->paid) > 0) set_word(v, out, "says", "ended_paid");
    if (same(mark, "working")) set(v->out, "refresh", same(v->state, "attention") ? "30" : "2");
    if (same(v->state, "succeeded")) add_home(v, out, "success_url");
    if (same(v->state, "cancelled")) add_home(v, out, "cancel_url");
}

static void add_state(const struct view *v) {
    if (same(v->state, "choose")) {
        add_choice(v);
    } else if (same(v->state, "leaving") || same(v->state, "returned")) {
        add_leave(v);
    } else if (same(v->state, "frame")) {
        json_t *out = json_object();
        set(out, "url", mt_json_str(v->progress, "payment_url", NULL));
        set_link(v, out, "paid_url", "returned");
        json_object_set_new(v->out, "frame", out);
    } else if (same(v->state, "waiting")) {
        add_phone(v);
    } else {
        add_plain(v);
    }
    bool open = same(v->state, "leaving") || same(v->state, "returned") || same(v->state, "frame") ||
                same(v->state, "waiting");
    if (open && v->attempt >= 0 && json_array_size(v->ways) > 1) {
        set_link(v, v->out, "change", "ways");
        set_word(v, v->out, "change_label", "change");
    }
    bool cancels = v->attempt >= 0 && (same(v->state, "choose") || open);
    json_object_set_new(v->out, "cancel", json_boolean(cancels));
}

static void add_title(const struct view *v) {
    char key[64];
    const char *name = same(v->state, "waiting") ? "paymint" : v->state;
    if (same(v->state, "choose") && json_array_size(v->paid) > 0) name = "rest";
    if (mt_format(key, sizeof key, "%s_title", name)) set_word(v, v->out, "title", key);
}

/* How long it can still be paid; spoken of near the end only. */
static void add_expiry(const struct view *v) {
    int64_t at;
    const char *text = mt_json_str(v->progress, "expires_at", NULL);
    if (!text || !mt_time_parse(text, &at) || json_object_get(v->out, "plain")) return;
    int64_t left = at > v->asked->now_ms ? (at - v->asked->now_ms) / 1000 : 0;
    json_object_set_new(v->out, "left", json_integer(left));
    if (left > NEAR_END_S) return;
    json_t *said = json_pack("{s:I}", "minutes", (json_int_t)(left / 60));
    char *expiry = mt_template_say(v->words, left < 60 ? "expires_soon" : "expires_minutes", said);
    set(v->out, "expiry", expiry);
    free(expiry);
    json_decref(said);
}

static void add_frame_of_page(const struct view *v) {
    char version[17], sent[40];
    set(v->out, "language", v->asked->language);
    set(v->out, "state", v->state);
    set(v->out, "minutes", "{minutes}"); /* filled by the script */
    mt_checkout_version(v->run, version);
    set(v->out, "version", version);
    json_object_set_new(v->out, "attempt", json_integer(v->attempt));
    if (mt_format(sent, sizeof sent, "sent=%lld", (long long)v->attempt)) set_link(v, v->out, "action", sent);
    json_t *languages = json_array();
    static const char *const names[][2] = {{"en", "English"}, {"ko", "한국어"}};
    for (size_t i = 0; i < 2; i++) {
        char href[300];
        if (!mt_format(href, sizeof href, "%s?locale=%s", v->asked->path, names[i][0])) continue;
        json_array_append_new(languages,
                              json_pack("{s:s,s:s,s:s,s:b}", "code", names[i][0], "name", names[i][1], "href",
                                        href, "current", same(names[i][0], v->asked->language)));
    }
    json_object_set_new(v->out, "languages", languages);
}

void mt_checkout_version(const json_t *run, char out[17]) {
    char hex[2 * MT_SHA256_SIZE + 1];
    json_t *parts = json_pack("[O?,O?,O?]", json_object_get(run, "state"), json_object_get(run, "progress"),
                              json_object_get(run, "error"));
    size_t len = 0;
    char *text = mt_json_dump(parts, &len);
    mt_sha256_hex(text, len, hex);
    mt_copy(out, 17, hex);
    free(text);
    json_decref(parts);
}

json_t *mt_checkout_view(const json_t *run, const json_t *words, const struct mt_checkout_asked *asked) {
    const json_t *progress = json_object_get(run, "progress");
    const json_t *paid =
        json_object_get(json_object_get(run, "output"), "paid"); /* the last word, once it ended */
    struct view v = {
        .out = json_object(),
        .run = run,
        .input = json_object_get(run, "input"),
        .progress = progress,
        .words = words,
        .ways = json_object_get(progress, "ways"),
        .paid = paid ? paid : json_object_get(progress, "paid"),
        .asked = asked,
        .attempt = mt_json_int(progress, "attempt", -1),
    };
    struct mt_money due;
    v.state = state_of(&v);
    if (money_of(json_object_get(progress, "due"), &due)) set_money(&v, v.out, "due", &due, false);
    add_frame_of_page(&v);
    add_title(&v);
    add_state(&v);
    add_order(&v);
    add_expiry(&v);
    bool order = json_object_get(v.out, "order") != NULL, framed = same(v.state, "frame");
    set(v.out, "layout", order ? (framed ? "framed" : "both") : framed ? "framed alone" : "alone");
    return v.out;
}
