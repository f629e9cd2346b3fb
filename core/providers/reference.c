/* What the tables say, for those who read: as JSON (GET /v1/providers, mintage providers) and as the pages of
 * reference/. Invariant: names and words of the tables only, never a credential's value. No state; any
 * thread. */
#include "base/json.h"
#include "base/text.h"
#include "providers/private.h"
#include <ctype.h>
#include <inttypes.h>
#include <string.h>

enum { WORDS_MAX = 4096 };

static const char *const kind_names[] = {
    [MT_OPERATION_CALL] = "call",
    [MT_OPERATION_SETTLED] = "settled",
    [MT_OPERATION_RELEASE] = "release",
};

static void set_str(json_t *o, const char *name, const char *s) {
    if (s != NULL) json_object_set_new(o, name, json_string(s));
}

static void set_words(json_t *o, const char *name, struct mt_buf *b) {
    set_str(o, name, b->data != NULL ? b->data : "");
    mt_buf_clear(b);
}

/* ---- words ---- */

/* "1 to 255 bytes", "at most 10 items", "3 bytes". */
static void add_range(struct mt_buf *b, int64_t min, int64_t max, const char *unit) {
    mt_buf_adds(b, ", ");
    if (max == INT64_MAX)
        mt_buf_addf(b, "at least %" PRId64, min);
    else if (min == max)
        mt_buf_addf(b, "%" PRId64, min);
    else if (min == 0 && unit[0] != '\0')
        mt_buf_addf(b, "at most %" PRId64, max);
    else
        mt_buf_addf(b, "%" PRId64 " to %" PRId64, min, max);
    mt_buf_adds(b, unit);
}

/* "string, 1 to 255 bytes", "one of one_time, recurring". */
static void add_wanted(struct mt_buf *b, const struct mt_operation *op, const struct mt_param *p) {
    if (p->values != NULL) {
        for (size_t i = 0; p->values[i] != NULL; i++)
            mt_buf_addf(b, "%s%s", i == 0 ? "one of " : ", ", p->values[i]);
        return;
    }
    /* Scripts write "2h" or milliseconds; the row counts milliseconds. */
    if (op->kind == MT_OPERATION_SETTLED && strcmp(p->name, "within") == 0) {
        mt_buf_adds(b, "duration");
        return;
    }
    mt_buf_adds(b, mt_param_type_name(p->type));
    if (p->min == 0 && p->max == 0) return;
    add_range(b, p->min, p->max, p->type == MT_P_STRING ? " bytes" : p->type == MT_P_ARRAY ? " items" : "");
}

/* What happens when it is not known whether a request arrived. */
static void add_repeats(struct mt_buf *b, const struct mt_operation *op) {
    char ttl[64];
    switch (op->repeat) {
    case MT_REPEAT_READ:
        mt_buf_adds(b, "changes nothing: asked again");
        break;
    case MT_REPEAT_KEYED:
        mt_format_duration(op->key_ttl_s * 1000, ttl, sizeof(ttl));
        mt_buf_addf(b, "sent again with the same idempotency key and the same bytes, for %s", ttl);
        break;
    case MT_REPEAT_NATURAL:
        mt_buf_adds(b, op->reconcile != NULL ? "a second one is recognised: read back, or sent again"
                                             : "a second one is recognised: sent again");
        break;
    case MT_REPEAT_UNSAFE:
        mt_buf_adds(b, op->reconcile != NULL ? "never sent twice on a guess: read back, else a person decides"
                                             : "never sent twice on a guess: a person decides");
        break;
    }
    if (op->repeat_of != NULL) mt_buf_adds(b, "; its parameters may allow more");
}

/* What an operation without a request of its own does. */
static void add_instead(struct mt_buf *b, const struct mt_provider *row, const struct mt_operation *op) {
    if (op->kind == MT_OPERATION_SETTLED)
        mt_buf_addf(b, "reads with %s.%s until it is at rest; events of %s wake it", row->name,
                    op->read_operation, op->topic);
    else if (op->kind == MT_OPERATION_RELEASE)
        mt_buf_addf(b, "reads with %s.%s, then decides what gives it back", row->name, op->read_operation);
    else if (op->path[0] == '\0')
        mt_buf_addf(b, "%s, any URL", op->method);
    else
        mt_buf_addf(b, "%s %s", op->method, op->path);
}

/* ---- as JSON ---- */

static json_t *param_json(const struct mt_operation *op, const struct mt_param *row) {
    json_t *o = json_object();
    struct mt_buf b;
    mt_buf_init(&b, WORDS_MAX);
    set_str(o, "name", row->name);
    set_str(o, "type", mt_param_type_name(row->type));
    add_wanted(&b, op, row);
    set_words(o, "wanted", &b);
    set_str(o, "doc", row->doc);
    json_object_set_new(o, "required", json_boolean(row->required));
    if (row->secret) json_object_set_new(o, "secret", json_true());
    if (row->min != 0 || row->max != 0) {
        json_object_set_new(o, "min", json_integer(row->min));
        json_object_set_new(o, "max", json_integer(row->max));
    }
    if (row->values != NULL) {
        json_t *values = json_array();
        for (size_t i = 0; row->values[i] != NULL; i++)
            json_array_append_new(values, json_string(row->values[i]));
        json_object_set_new(o, "values", values);
    }
    return o;
}

static json_t *operation_json(const struct mt_provider *provider, const struct mt_operation *op) {
    json_t *o = json_object(), *params = json_array();
    struct mt_buf b;
    mt_buf_init(&b, WORDS_MAX);
    set_str(o, "name", op->name);
    set_str(o, "kind", kind_names[op->kind]);
    set_str(o, "method", op->method);
    set_str(o, "path", op->path);
    add_instead(&b, provider, op);
    set_words(o, "request", &b);
    set_str(o, "repeat", mt_repeat_name(op->repeat));
    mt_buf_init(&b, WORDS_MAX);
    add_repeats(&b, op);
    set_words(o, "repeats", &b);
    if (op->key_ttl_s > 0) json_object_set_new(o, "key_ttl_s", json_integer(op->key_ttl_s));
    json_object_set_new(o, "moves_money", json_boolean(op->moves_money));
    json_object_set_new(o, "sealed_result", json_boolean(op->sealed_result));
    set_str(o, "doc", op->doc);
    set_str(o, "returns", op->returns);
    for (const struct mt_param *row = op->params; row->name != NULL; row++)
        json_array_append_new(params, param_json(op, row));
    json_object_set_new(o, "params", params);
    return o;
}

static json_t *errors_json(const struct mt_error_row *row) {
    json_t *rows = json_array();
    for (; row != NULL && row->code != NULL; row++) {
        json_t *o = json_object();
        set_str(o, "code", row->code);
        set_str(o, "kind", mt_kind_name(row->kind));
        set_str(o, "meaning", row->meaning);
        json_object_set_new(o, "retryable", json_boolean(row->retryable));
        json_object_set_new(o, "hard", json_boolean(row->hard));
        json_array_append_new(rows, o);
    }
    return rows;
}

/* "MINTAGE_MINTRO_CLIENT_SECRET"; of a defined provider "MINTAGE_PROVIDER_ACME__API_KEY". */
static json_t *variable_of(const struct mt_provider *row, const char *key) {
    char name[160];
    mt_format(name, sizeof(name), row->defined ? "MINTAGE_PROVIDER_%s__%s" : "MINTAGE_%s_%s", row->name, key);
    for (char *c = name; *c != '\0'; c++) *c = (char)toupper((unsigned char)*c);
    return json_string(name);
}

static json_t *credentials_json(const struct mt_provider *row) {
    json_t *rows = json_array();
    for (const struct mt_credential *c = row->credentials; c->name != NULL; c++) {
        json_t *o = json_object();
        set_str(o, "name", c->name);
        json_object_set_new(o, "variable", variable_of(row, c->name));
        json_object_set_new(o, "required", json_boolean(c->required));
        json_object_set_new(o, "secret", json_boolean(c->secret));
        set_str(o, "doc", c->doc);
        json_array_append_new(rows, o);
    }
    return rows;
}

json_t *mt_provider_describe(const struct mt_provider *row) {
    json_t *o = json_object(), *operations = json_array();
    set_str(o, "name", row->name);
    set_str(o, "title", row->title);
    set_str(o, "base_url", row->base_url);
    set_str(o, "authentication", row->authentication);
    if (row->defined) json_object_set_new(o, "defined", json_true());
    json_object_set_new(o, "webhooks", json_boolean(row->webhook != NULL));
    json_object_set_new(o, "credentials", credentials_json(row));
    for (const struct mt_operation *op = row->operations; op->name != NULL; op++)
        json_array_append_new(operations, operation_json(row, op));
    json_object_set_new(o, "operations", operations);
    json_object_set_new(o, "errors", errors_json(row->errors));
    return o;
}

/* ---- as a page ---- */

/* A text inside a table: a bar would end its cell. */
static void add_cell(struct mt_buf *b, const char *text) {
    for (; *text != '\0'; text++) {
        if (*text == '|') mt_buf_addc(b, '\\');
        mt_buf_addc(b, *text);
    }
    mt_buf_adds(b, " | ");
}

static void end_row(struct mt_buf *b) {
    b->len--; /* the space behind the last bar */
    mt_buf_addc(b, '\n');
}

static const char *yes(const json_t *row, const char *name) {
    return json_is_true(json_object_get(row, name)) ? "yes" : "";
}

static void code_cell(struct mt_buf *b, const char *text) {
    mt_buf_addf(b, "| `%s` | ", text);
}

static void page_head(struct mt_buf *b, const json_t *provider) {
    const char *name = mt_json_str(provider, "name", ""), *url = mt_json_str(provider, "base_url", "");
    bool own_urls = json_array_size(json_object_get(provider, "credentials")) == 0;
    mt_buf_addf(
        b,
        "# %s\n\nWritten from the tables in core/providers by `MINTAGE_WRITE_REFERENCE=1 test_reference`; ",
        mt_json_str(provider, "title", ""));
    mt_buf_addf(
        b, "not to be edited. In a terminal: `mintage providers %s`. In flows: `require \"mintage.%s\"`.\n\n",
        name, name);
    if (url[0] != '\0')
        mt_buf_addf(b, "- **Base URL**: `%s`, unless `base_url` says another\n", url);
    else
        mt_buf_addf(b, "- **Base URL**: %s\n",
                    own_urls ? "none; every call has its own" : "none; `base_url` is wanted");
    mt_buf_addf(b, "- **Authentication**: %s\n", mt_json_str(provider, "authentication", ""));
    if (json_is_true(json_object_get(provider, "webhooks")))
        mt_buf_addf(b, "- **Webhooks**: received at `/webhooks/%s`\n", name);
    else
        mt_buf_adds(b, "- **Webhooks**: none\n");
}

static void page_credentials(struct mt_buf *b, const json_t *provider) {
    const json_t *rows = json_object_get(provider, "credentials"), *row;
    size_t i;
    if (json_array_size(rows) == 0) return;
    mt_buf_addf(
        b,
        "\n## Credentials\n\nIn the configuration file, `{\"providers\": {\"%s\": {\"%s\": ...}}}`, or as "
        "variables.\n\n| name | variable | required | secret | what it is |\n|---|---|---|---|---|\n",
        mt_json_str(provider, "name", ""), mt_json_str(json_array_get(rows, 0), "name", ""));
    json_array_foreach(rows, i, row) {
        code_cell(b, mt_json_str(row, "name", ""));
        mt_buf_addf(b, "`%s` | ", mt_json_str(row, "variable", ""));
        add_cell(b, yes(row, "required"));
        add_cell(b, yes(row, "secret"));
        add_cell(b, mt_json_str(row, "doc", ""));
        end_row(b);
    }
}

static void page_overview(struct mt_buf *b, const json_t *provider) {
    const json_t *op;
    size_t i;
    mt_buf_adds(b, "\n## Operations\n\n| operation | request | repeat | moves money |\n|---|---|---|---|\n");
    json_array_foreach(json_object_get(provider, "operations"), i, op) {
        code_cell(b, mt_json_str(op, "name", ""));
        add_cell(b, mt_json_str(op, "request", ""));
        add_cell(b, mt_json_str(op, "repeat", ""));
        add_cell(b, yes(op, "moves_money"));
        end_row(b);
    }
}

static void page_operation(struct mt_buf *b, const char *provider, const json_t *op) {
    const json_t *params = json_object_get(op, "params"), *row;
    size_t i;
    mt_buf_addf(b, "\n### %s.%s\n\n%s\n\n", provider, mt_json_str(op, "name", ""),
                mt_json_str(op, "doc", ""));
    mt_buf_addf(b, "- **Request**: %s\n", mt_json_str(op, "request", ""));
    mt_buf_addf(b, "- **After an unknown outcome**: %s (%s)\n", mt_json_str(op, "repeats", ""),
                mt_json_str(op, "repeat", ""));
    if (json_is_true(json_object_get(op, "moves_money")))
        mt_buf_adds(b, "- **Moves money**: in runs only, and journaled before it is sent\n");
    mt_buf_addf(b, "- **Answer**: %s%s\n", mt_json_str(op, "returns", ""),
                json_is_true(json_object_get(op, "sealed_result")) ? " (sealed in the journal)" : "");
    if (json_array_size(params) == 0) return;
    mt_buf_adds(b, "\n| parameter | wanted | required | secret | what it is |\n|---|---|---|---|---|\n");
    json_array_foreach(params, i, row) {
        code_cell(b, mt_json_str(row, "name", ""));
        add_cell(b, mt_json_str(row, "wanted", ""));
        add_cell(b, yes(row, "required"));
        add_cell(b, yes(row, "secret"));
        add_cell(b, mt_json_str(row, "doc", ""));
        end_row(b);
    }
}

static void page_errors(struct mt_buf *b, const json_t *provider) {
    const json_t *row;
    size_t i;
    mt_buf_adds(b, "\n## Errors\n\nRetryable: the same call may succeed later. Hard: asking again will not "
                   "change it.\n\n"
                   "| code | kind | retryable | hard | in the provider's words |\n|---|---|---|---|---|\n");
    json_array_foreach(json_object_get(provider, "errors"), i, row) {
        code_cell(b, mt_json_str(row, "code", ""));
        add_cell(b, mt_json_str(row, "kind", ""));
        add_cell(b, yes(row, "retryable"));
        add_cell(b, yes(row, "hard"));
        add_cell(b, mt_json_str(row, "meaning", ""));
        end_row(b);
    }
}

void mt_provider_page(const struct mt_provider *row, struct mt_buf *out) {
    json_t *provider = mt_provider_describe(row), *op;
    size_t i;
    page_head(out, provider);
    page_credentials(out, provider);
    page_overview(out, provider);
    json_array_foreach(json_object_get(provider, "operations"), i, op) page_operation(out, row->name, op);
    page_errors(out, provider);
    json_decref(provider);
}
