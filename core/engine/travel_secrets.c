/* What a travel shows to nobody: what was secret in the input, in sealed answers, and in what the script
 * unsealed. Invariant: each such text is noted before the script has it; code that is not the runtime's gets
 * a stand-in instead. The execution's thread. */
#include "engine/internal.h"
#include <stdlib.h>
#include <string.h>

#define SECRET_MIN 4 /* a shorter one is hidden only where it is the whole text */
#define CUT_MIN 256  /* no shorter text was cut off */

/* ---- what is noted, and what stands in ---- */

bool travel_strange(const struct mt_exec *x) {
    return x->travel && x->travel->strange;
}

void travel_stands_in(struct mt_exec *x, char *text, size_t len) {
    travel_hides(x, text, len);
    if (!travel_strange(x)) return;
    for (size_t i = 0; i < len; i++) {
        if (text[i] >= '0' && text[i] <= '9')
            text[i] = '0';
        else if (text[i] != '-' && text[i] != ' ')
            text[i] = 'x';
    }
    travel_hides(x, text, len);
    if (len > 0) json_object_setn_new(x->travel->stand_ins, text, len, json_true());
}

void travel_hides(struct mt_exec *x, const char *text, size_t len) {
    if (!x->travel || len == 0 || !mt_utf8_valid(text, len)) return;
    json_object_setn_new(x->travel->secrets, text, len, json_true()); /* once, however often it is met */
}

static bool is_id(const char *name) {
    size_t len = strlen(name);
    return strcmp(name, "id") == 0 || (len > 3 && strcmp(name + len - 3, "_id") == 0);
}

/* A code is digits for the most part, perhaps in groups; words, money and times are told. */
static bool looks_secret(const char *text, size_t len) {
    size_t digits = 0, others = 0;
    int64_t ms;
    for (size_t i = 0; i < len; i++) {
        if (text[i] == '-' || text[i] == ' ') continue;
        if (text[i] == '.' || text[i] == ':') return false;
        if (text[i] >= '0' && text[i] <= '9')
            digits++;
        else
            others++;
    }
    return digits >= 6 && digits >= 2 * others && !mt_time_parse(text, &ms);
}

/* A text that is a secret: the same, or what stands in for it. New reference. */
static json_t *secret_text(struct mt_exec *x, const json_t *text) {
    size_t len = json_string_length(text);
    char *copy = mt_memdup(json_string_value(text), len);
    travel_stands_in(x, copy, len);
    json_t *out = json_stringn(copy, len);
    mt_wipe(copy, len);
    free(copy);
    return out ? out : json_string("");
}

/* A copy in which stand-ins are for secrets, if the code is strange; they are noted in any case. `name`: the
 * member's; NULL: secrets have their marks, as an input's normal form. */
static json_t *hide_member(struct mt_exec *x, const char *name, const json_t *value) {
    const char *key;
    json_t *member, *out, *held;
    size_t i;
    if (json_is_array(value)) {
        out = json_array();
        json_array_foreach(value, i, member) json_array_append_new(out, hide_member(x, name, member));
        return out;
    }
    if (json_is_object(value)) {
        held = !name && json_object_size(value) == 1 ? json_object_get(value, "$secret") : NULL;
        if (json_is_string(held)) return secret_text(x, held);
        out = json_object();
        json_object_foreach((json_t *)(uintptr_t)value, key, member)
            json_object_set_new(out, key, hide_member(x, name ? key : NULL, member));
        return out;
    }
    if (name && json_is_string(value) &&
        (mt_secret_name(name) ||
         (!is_id(name) && looks_secret(json_string_value(value), json_string_length(value)))))
        return secret_text(x, value);
    return json_incref((json_t *)(uintptr_t)value);
}

void travel_hides_answer(struct mt_exec *x, struct mt_buf *json) {
    struct mt_error e;
    size_t len;
    if (!x->travel) return;
    json_t *value = mt_json_parse(json->data, json->len, &e);
    json_t *given = value ? hide_member(x, "", value) : json_null();
    char *text = mt_json_dump(given, &len);
    if (x->travel->strange) {
        mt_buf_reset(json);
        mt_buf_add(json, text, len);
    }
    mt_wipe(text, len);
    free(text);
    json_decref(given);
    json_decref(value);
}

json_t *travel_input(struct mt_exec *x, const json_t *marked) {
    return hide_member(x, NULL, marked);
}

/* ---- taking it out of an answer ---- */

/* A long text was cut before it came here, perhaps within a secret: what is left of that before `end`. */
static void hide_begun(char *text, const char *end, const char *secret, size_t len) {
    size_t before = (size_t)(end - text);
    for (size_t n = len - 1; n >= SECRET_MIN && n < len; n--) {
        if (n > before || memcmp(end - n, secret, n) != 0) continue;
        memset(text + before - n, '*', n);
        return;
    }
}

static char *replaced(char *text, const char *secret, size_t len) {
    struct mt_buf b;
    const char *from = text, *at = strstr(text, secret);
    if (!at || (len < SECRET_MIN && strcmp(text, secret) != 0)) return text;
    mt_buf_init(&b, 64 * 1024 * 1024);
    for (; at; from = at + len, at = strstr(from, secret)) {
        mt_buf_add(&b, from, (size_t)(at - from));
        mt_buf_adds(&b, "[redacted]");
    }
    mt_buf_adds(&b, from);
    free(text);
    return mt_buf_take(&b, NULL);
}

static char *without(char *text, const char *secret) {
    size_t len = strlen(secret);
    text = replaced(text, secret, len);
    if (strlen(text) < CUT_MIN) return text;
    const char *cut = strstr(text, "... (");
    if (cut) hide_begun(text, cut, secret, len);
    hide_begun(text, text + strlen(text), secret, len);
    return text;
}

/* The longest first: a short one may be a part of a longer one. */
struct secrets {
    const char **list;
    size_t n;
};

static int longest_first(const void *a, const void *b) {
    size_t m = strlen(*(const char *const *)a), n = strlen(*(const char *const *)b);
    return m > n ? -1 : m < n;
}

static char *without_all(char *text, const struct secrets *s) {
    for (size_t i = 0; i < s->n; i++) text = without(text, s->list[i]);
    return text;
}

static json_t *hide_in(const struct secrets *s, const json_t *value) {
    const char *key;
    json_t *member, *out;
    size_t i;
    if (json_is_array(value)) {
        out = json_array();
        json_array_foreach(value, i, member) json_array_append_new(out, hide_in(s, member));
        return out;
    }
    if (json_is_object(value)) {
        out = json_object();
        json_object_foreach((json_t *)(uintptr_t)value, key, member) {
            char *name = without_all(mt_strdup(key), s);
            json_object_set_new(out, name, hide_in(s, member));
            free(name);
        }
        return out;
    }
    if (!json_is_string(value)) return json_incref((json_t *)(uintptr_t)value);
    char *text = without_all(mt_strdup(json_string_value(value)), s);
    out = json_string(text);
    free(text);
    return out;
}

static json_t *by_their_value(const struct travel *t, const json_t *out) {
    struct secrets s = {.list = mt_calloc(json_object_size(t->secrets) + 1, sizeof *s.list)};
    const char *text;
    json_t *ignored;
    json_object_foreach(t->secrets, text, ignored) s.list[s.n++] = text;
    qsort(s.list, s.n, sizeof *s.list, longest_first);
    json_t *shown = hide_in(&s, out);
    free(s.list);
    return shown;
}

/* Secrets by their value; and by their name and their look, where it is not what the journal shows anyway,
 * masked when it was written. */
json_t *travel_hidden(const struct travel *t, json_t *out) {
    static const char *const shown_anyway[] = {"effect", "previous", "parted", "waiting_for", "then"};
    json_t *by_value = json_object_size(t->secrets) ? by_their_value(t, out) : json_incref(out);
    json_t *shown = mt_json_redact(by_value);
    for (size_t i = 0; i < sizeof shown_anyway / sizeof *shown_anyway; i++) {
        json_t *member = json_object_get(by_value, shown_anyway[i]);
        if (member) json_object_set(shown, shown_anyway[i], member);
    }
    json_decref(by_value);
    json_decref(out);
    return shown;
}
