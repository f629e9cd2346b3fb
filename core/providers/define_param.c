/* The parameters of a defined operation: "money", "string?", "card|bank", or a table. Those of the path come
 * first, in its order, then the others by name. Invariant: each has a type, a name on the wire, and, when it
 * is money, a way to be written. No state; any thread. */
#include "base/text.h"
#include "providers/define.h"
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

enum { VALUES_MAX = 32, STRING_MAX = 10000 };

bool defined_placeholder(const char *path, size_t i, char out[64]) {
    const char *open = strchr(path, '{');
    while (open != NULL && i-- > 0) open = strchr(open + 1, '{');
    const char *close = open != NULL ? strchr(open, '}') : NULL;
    return close != NULL && mt_format(out, 64, "%.*s", (int)(close - open - 1), open + 1);
}

static bool name_ok(const char *s) {
    size_t n = strlen(s);
    if (n == 0 || n > 60 || !isalpha((unsigned char)s[0])) return false;
    for (size_t i = 0; i < n; i++)
        if (!isalnum((unsigned char)s[i]) && s[i] != '_') return false;
    return true;
}

/* "card|bank" as a list that ends with NULL. */
static int split_words(struct defined *d, const char *where, const char *text, struct mt_param *p,
                       struct mt_error *e) {
    const char **list = define_alloc(d, VALUES_MAX + 1, sizeof(*list));
    char *copy = define_alloc(d, strlen(text) + 1, 1);
    size_t n = 0;
    mt_copy(copy, strlen(text) + 1, text);
    for (char *word = copy; word != NULL && n < VALUES_MAX; n++) {
        char *bar = strchr(word, '|');
        if (bar != NULL) *bar = '\0';
        if (word[0] == '\0') return define_fail(where, e, "\"%.60s\" has an empty word", text);
        list[n] = word;
        word = bar != NULL ? bar + 1 : NULL;
        if (word != NULL && n + 1 == VALUES_MAX)
            return define_fail(where, e, "wanted at most %d words", (int)VALUES_MAX);
    }
    p->type = MT_P_STRING;
    p->values = list;
    return 0;
}

/* "money?", "secret", "card|bank": the type, and whether it may be left out. */
static int take_type(struct defined *d, const char *where, const char *text, struct mt_param *p,
                     struct mt_error *e) {
    static const char *const types[] = {"string", "integer", "number", "boolean", "money",
                                        "object", "array",   "any",    "secret"};
    size_t len = strlen(text), at;
    char word[DEFINED_TEXT_MAX + 1];
    mt_copy(word, sizeof(word), text);
    p->required = len == 0 || text[len - 1] != '?';
    if (!p->required) word[len - 1] = '\0';
    if (strchr(word, '|') != NULL) return split_words(d, where, word, p, e);
    if (define_word(where, word, types, sizeof(types) / sizeof(types[0]), &at, e) != 0) return -1;
    p->secret = at == 8;
    p->type = p->secret ? MT_P_STRING : (enum mt_param_type)at;
    return 0;
}

static int take_values(struct defined *d, const char *where, const json_t *v, struct mt_param *p,
                       struct mt_error *e) {
    const json_t *list = NULL;
    if (define_texts(where, v, "values", &list, e) != 0) return -1;
    if (list == NULL) return 0;
    size_t n = json_array_size(list);
    if (p->type != MT_P_STRING || n > VALUES_MAX)
        return define_fail(where, e, "\"values\": wanted at most %d strings, of a string", (int)VALUES_MAX);
    const char **words = define_alloc(d, n + 1, sizeof(*words));
    for (size_t i = 0; i < n; i++) words[i] = json_string_value(json_array_get(list, i));
    p->values = words;
    return 0;
}

static int take_limits(const char *where, const json_t *v, struct mt_param *p, struct mt_error *e) {
    bool sized = p->type == MT_P_STRING || p->type == MT_P_ARRAY;
    int64_t min = sized ? 0 : INT64_MIN, max = sized ? STRING_MAX : INT64_MAX;
    bool limited = param(v, "min") != NULL || param(v, "max") != NULL;
    if (limited && !sized && p->type != MT_P_INTEGER)
        return define_fail(where, e, "\"min\" and \"max\" are for strings, integers and arrays");
    if (define_int(where, v, "min", min, max, &min, e) != 0 ||
        define_int(where, v, "max", min, max, &max, e) != 0)
        return -1;
    if (!limited) return 0;
    p->min = min;
    p->max = max;
    return 0;
}

/* The member in which money's currency travels: the parameter's own, else the provider's. */
static int take_currency(struct defined *d, const char *where, const json_t *v, const char **out,
                         struct mt_error *e) {
    if (!d->has_money)
        return define_fail(
            where, e,
            "money needs the definition's \"money\", such as { amounts = \"minor\", currency = "
            "\"currency\" }");
    *out = d->money.currency;
    if (json_is_object(v) && json_is_false(json_object_get(v, "currency")))
        *out = NULL;
    else if (json_is_object(v))
        return define_text(where, v, "currency", out, e);
    return 0;
}

/* One parameter into place i of the operation's tables. */
static int take_param(struct defined *d, struct defined_operation *own, struct mt_param *params, size_t i,
                      const char *name, const json_t *v, struct mt_error *e) {
    static const char *const known[] = {"type", "optional", "doc",      "min", "max",
                                        "as",   "values",   "currency", NULL};
    struct mt_param *p = &params[i];
    const char *type = json_string_value(v), *doc = "";
    char rest[100], where[DEFINED_WHERE_MAX];
    bool optional = false;
    mt_format(rest, sizeof(rest), "params.%.60s", name);
    define_where(where, own->row->name, rest);
    if (!name_ok(name)) return define_fail(where, e, "wanted a name of letters, digits and underscores");
    own->wire[i] = name;
    if (!json_is_string(v) &&
        (define_fields(where, v, known, e) != 0 || define_required(where, v, "type", &type, e) != 0 ||
         define_bool(where, v, "optional", &optional, e) != 0 || define_text(where, v, "doc", &doc, e) != 0 ||
         define_text(where, v, "as", &own->wire[i], e) != 0))
        return -1;
    p->name = name;
    p->doc = doc;
    if (strlen(type) > DEFINED_TEXT_MAX) return define_fail(where, e, "the type is too long");
    if (take_type(d, where, type, p, e) != 0) return -1;
    p->required = p->required && !optional;
    if (p->type == MT_P_STRING && p->values == NULL) p->min = 1, p->max = STRING_MAX;
    if (p->type == MT_P_MONEY && take_currency(d, where, v, &own->currency[i], e) != 0) return -1;
    if (json_is_string(v)) return 0;
    return take_values(d, where, v, p, e) != 0 ? -1 : take_limits(where, v, p, e);
}

static bool in_path(const char *path, const char *name) {
    char hole[64];
    for (size_t i = 0; defined_placeholder(path, i, hole); i++)
        if (strcmp(hole, name) == 0) return true;
    return false;
}

static int check_path_params(const struct defined_operation *own, const json_t *list, struct mt_error *e) {
    char hole[64], where[DEFINED_WHERE_MAX];
    define_where(where, own->row->name, "path");
    for (size_t i = 0; defined_placeholder(own->row->path, i, hole); i++)
        if (param(list, hole) == NULL)
            return define_fail(where, e, "{%s} is no parameter of \"params\"", hole);
    return 0;
}

int define_params(struct defined *d, struct defined_operation *own, const json_t *list, struct mt_error *e) {
    const char *path = own->row->path != NULL ? own->row->path : "", *name;
    char hole[64], where[DEFINED_WHERE_MAX];
    json_t *v;
    size_t n = json_object_size(list), at = 0;
    define_where(where, own->row->name, "params");
    if (list != NULL && !json_is_object(list) && !(json_is_array(list) && json_array_size(list) == 0))
        return define_fail(where, e, "found %s, wanted a table such as { amount = \"money\" }",
                           value_type_name(list));
    if (n > DEFINED_PARAMS_MAX)
        return define_fail(where, e, "found %zu, wanted at most %d", n, (int)DEFINED_PARAMS_MAX);
    if (own->row->path != NULL && check_path_params(own, list, e) != 0) return -1;
    struct mt_param *params = define_alloc(d, n + 1, sizeof(*params));
    own->wire = define_alloc(d, n + 1, sizeof(*own->wire));
    own->currency = define_alloc(d, n + 1, sizeof(*own->currency));
    for (size_t i = 0; defined_placeholder(path, i, hole); i++) {
        json_object_foreach((json_t *)(uintptr_t)list, name, v) {
            if (strcmp(name, hole) != 0) continue;
            if (take_param(d, own, params, at, name, v, e) != 0) return -1;
            struct mt_param *p = &params[at++];
            if (p->required && (p->type == MT_P_STRING || p->type == MT_P_INTEGER)) continue;
            return define_fail(where, e, "\"%s\" stands in the path: wanted a required string or integer",
                               name);
        }
    }
    json_object_foreach((json_t *)(uintptr_t)list, name, v) {
        if (!in_path(path, name) && take_param(d, own, params, at++, name, v, e) != 0) return -1;
    }
    ((struct mt_operation *)(uintptr_t)own->row)->params = params;
    return 0;
}
