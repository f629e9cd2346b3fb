/* Values and the wire: journal values carry tags ({"$money"}, {"$bytes"}, ...), providers' JSON does not.
 * Also the writer of request bodies, which puts amounts down as exact text and never through a double. No
 * state; any thread. */
#include "base/json.h"
#include "base/text.h"
#include "crypto/crypto.h"
#include "providers/private.h"
#include <stdlib.h>
#include <string.h>

const json_t *param(const json_t *params, const char *name) {
    const json_t *v = json_object_get(params, name);
    return json_is_null(v) ? NULL : v;
}

const char *param_str(const json_t *params, const char *name) {
    return json_string_value(json_object_get(params, name));
}

/* The tag of a tagged value and what it holds; NULL for an ordinary value. */
static const char *tag_of(const json_t *value, const json_t **held) {
    static const char *const tags[] = {"$money", "$bytes", "$float", "$error"};
    if (!json_is_object(value) || json_object_size(value) != 1) return NULL;
    for (size_t i = 0; i < sizeof(tags) / sizeof(tags[0]); i++) {
        *held = json_object_get(value, tags[i]);
        if (*held != NULL) return tags[i];
    }
    return NULL;
}

const char *value_type_name(const json_t *value) {
    const json_t *held;
    const char *tag = tag_of(value, &held);
    if (tag != NULL) {
        return strcmp(tag, "$money") == 0   ? "money"
               : strcmp(tag, "$bytes") == 0 ? "a string that is not UTF-8"
               : strcmp(tag, "$float") == 0 ? "a number that is not finite"
                                            : "an error";
    }
    if (value == NULL) return "nothing";
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        return "an object";
    case JSON_ARRAY:
        return "an array";
    case JSON_STRING:
        return "a string";
    case JSON_INTEGER:
        return "an integer";
    case JSON_REAL:
        return "a number with a fraction";
    case JSON_TRUE:
    case JSON_FALSE:
        return "a boolean";
    case JSON_NULL:
        break;
    }
    return "null";
}

bool value_money(const json_t *value, struct mt_money *m) {
    const json_t *held;
    const char *tag = tag_of(value, &held);
    struct mt_error ignored;
    return tag != NULL && strcmp(tag, "$money") == 0 && json_is_string(held) &&
           mt_money_parse(json_string_value(held), m, &ignored) == 0;
}

json_t *value_from_money(const struct mt_money *m) {
    json_t *o = json_object();
    json_object_set_new(o, "$money", mt_money_json(m));
    return o;
}

json_t *value_from_bytes(const char *data, size_t len) {
    if (memchr(data, '\0', len) == NULL) {
        json_t *text = json_stringn(data, len); /* NULL when it is not UTF-8 */
        if (text != NULL) return text;
    }
    struct mt_buf b;
    mt_buf_init(&b, SIZE_MAX);
    mt_base64_encode(data, len, &b);
    json_t *o = json_object();
    json_object_set_new(o, "$bytes", json_stringn(b.data, b.len));
    mt_buf_clear(&b);
    return o;
}

/* jansson's iterators take a json_t that is not const, and do not change it. */
static json_t *unconst(const json_t *value) {
    return (json_t *)(uintptr_t)value;
}

json_t *value_to_plain(const json_t *value, struct mt_error *e) {
    const json_t *held;
    const char *tag = tag_of(value, &held);
    if (tag != NULL) {
        if (strcmp(tag, "$float") == 0)
            return mt_fail_null(e, MT_INVALID_REQUEST, "JSON has no such number as %s",
                                json_is_string(held) ? json_string_value(held) : "that");
        return value_to_plain(held, e);
    }
    json_t *copy;
    if (json_is_array(value)) {
        copy = json_array();
        for (size_t i = 0; i < json_array_size(value); i++) {
            json_t *item = value_to_plain(json_array_get(value, i), e);
            if (item == NULL) goto fail;
            json_array_append_new(copy, item);
        }
        return copy;
    }
    if (!json_is_object(value)) return json_incref(unconst(value)); /* leaves are never changed in place */
    copy = json_object();
    for (void *it = json_object_iter(unconst(value)); it != NULL;
         it = json_object_iter_next(unconst(value), it)) {
        const char *key = json_object_iter_key(it);
        json_t *member = value_to_plain(json_object_iter_value(it), e);
        if (member == NULL) goto fail;
        json_object_set_new(copy, key[0] == '$' && key[1] == '$' ? key + 1 : key, member);
    }
    return copy;
fail:
    json_decref(copy);
    return NULL;
}

static bool has_dollar(const json_t *plain) {
    if (json_is_array(plain)) {
        for (size_t i = 0; i < json_array_size(plain); i++)
            if (has_dollar(json_array_get(plain, i))) return true;
    } else if (json_is_object(plain)) {
        for (void *it = json_object_iter(unconst(plain)); it != NULL;
             it = json_object_iter_next(unconst(plain), it))
            if (json_object_iter_key(it)[0] == '$' || has_dollar(json_object_iter_value(it))) return true;
    }
    return false;
}

static json_t *escaped(const json_t *plain) {
    if (json_is_array(plain)) {
        json_t *copy = json_array();
        for (size_t i = 0; i < json_array_size(plain); i++)
            json_array_append_new(copy, escaped(json_array_get(plain, i)));
        return copy;
    }
    if (!json_is_object(plain)) return json_incref(unconst(plain));
    json_t *copy = json_object();
    for (void *it = json_object_iter(unconst(plain)); it != NULL;
         it = json_object_iter_next(unconst(plain), it)) {
        const char *key = json_object_iter_key(it);
        json_t *member = escaped(json_object_iter_value(it));
        if (key[0] != '$') {
            json_object_set_new(copy, key, member);
            continue;
        }
        struct mt_buf longer;
        mt_buf_init(&longer, SIZE_MAX);
        mt_buf_addc(&longer, '$');
        mt_buf_adds(&longer, key);
        json_object_set_new(copy, longer.data, member);
        mt_buf_clear(&longer);
    }
    return copy;
}

json_t *value_from_plain(json_t *plain) {
    if (!has_dollar(plain)) return plain;
    json_t *copy = escaped(plain);
    json_decref(plain);
    return copy;
}

void body_name(struct mt_buf *b, const char *name) {
    char last = b->len > 0 ? b->data[b->len - 1] : '{';
    if (last != '{' && last != '[') mt_buf_addc(b, ',');
    mt_buf_add_json_string(b, name, strlen(name));
    mt_buf_addc(b, ':');
}

void body_str(struct mt_buf *b, const char *name, const char *s) {
    if (s == NULL) return;
    body_name(b, name);
    mt_buf_add_json_string(b, s, strlen(s));
}

int body_money(struct mt_buf *b, const char *name, const struct mt_money *m, struct mt_error *e) {
    char text[MT_MONEY_TEXT];
    if (mt_money_to_decimal(m, mt_currency_exponent(m->currency, NULL), text, e) != 0) return -1;
    body_name(b, name);
    mt_buf_adds(b, text);
    return 0;
}

int body_value(struct mt_buf *b, const char *name, const json_t *value, struct mt_error *e) {
    json_t *plain = value_to_plain(value, e);
    if (plain == NULL) return mt_error_wrap(e, "field \"%s\"", name);
    size_t len;
    char *text = mt_json_dump(plain, &len);
    json_decref(plain);
    body_name(b, name);
    mt_buf_add(b, text, len);
    free(text);
    return 0;
}

int body_finish(struct mt_buf *b, struct mt_http_request *req, struct mt_error *e) {
    if (!mt_buf_ok(b))
        return mt_fail(e, MT_LIMIT, "the request's body would pass the limit of %zu bytes", b->max);
    req->body = mt_buf_take(b, &req->body_len);
    return 0;
}
