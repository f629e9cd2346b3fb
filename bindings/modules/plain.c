/* Tagged JSON to plain and back. Texts without a "$" are copied, which is nearly all of them. Pure; any
 * thread. */
#include "bindings/modules/plain.h"
#include "base/json.h"
#include "bindings/modules/module.h"
#include <stdlib.h>
#include <string.h>

enum conversion { TO_PLAIN, TO_VALUE };

static json_t *convert(const json_t *value, enum conversion how);

/* What a tagged object stands for; NULL when it is not one. */
static json_t *untag(const json_t *object) {
    if (json_object_size(object) != 1) return NULL;
    const json_t *money = json_object_get(object, "$money");
    if (json_is_string(money)) return json_string(json_string_value(money));
    const json_t *error = json_object_get(object, "$error");
    if (json_is_object(error)) return convert(error, TO_PLAIN);
    if (json_object_get(object, "$float") != NULL) return json_null();
    const char *bytes = json_string_value(json_object_get(object, "$bytes"));
    return bytes != NULL ? json_string(bytes) : NULL; /* base64: JSON has no bytes */
}

static json_t *convert_object(const json_t *object, enum conversion how) {
    if (how == TO_PLAIN) {
        json_t *meant = untag(object);
        if (meant != NULL) return meant;
    }
    json_t *out = json_object();
    const char *key;
    json_t *member;
    json_object_foreach((json_t *)(uintptr_t)object, key, member) {
        char buffer[256], *longer = NULL;
        const char *name = key;
        if (key[0] == '$' && how == TO_PLAIN) {
            name = key + 1;
        } else if (key[0] == '$') {
            size_t n = strlen(key) + 2;
            char *to = n <= sizeof(buffer) ? buffer : (longer = malloc(n));
            if (to == NULL) abort();
            to[0] = '$';
            memcpy(to + 1, key, n - 1);
            name = to;
        }
        json_object_set_new(out, name, convert(member, how));
        free(longer);
    }
    return out;
}

static json_t *convert(const json_t *value, enum conversion how) {
    if (json_is_object(value)) return convert_object(value, how);
    if (!json_is_array(value)) return json_incref((json_t *)(uintptr_t)value);
    json_t *out = json_array();
    for (size_t i = 0; i < json_array_size(value); i++)
        json_array_append_new(out, convert(json_array_get(value, i), how));
    return out;
}

static int convert_text(const char *json, size_t len, enum conversion how, struct mt_buf *out,
                        struct mt_error *e) {
    json_t *value = mt_json_parse(json, len, e);
    if (value == NULL) return -1;
    json_t *converted = convert(value, how);
    char *text = mt_json_dump(converted, &len);
    mt_buf_add(out, text, len);
    free(text);
    json_decref(converted);
    json_decref(value);
    return mt_buf_ok(out) ? 0 : mt_fail(e, MT_LIMIT, "more than %zu bytes of JSON", out->max);
}

int mt_plain_from_value(const char *json, size_t len, struct mt_buf *out, struct mt_error *e) {
    if (memmem(json, len, "\"$", 2) != NULL) return convert_text(json, len, TO_PLAIN, out, e);
    mt_buf_add(out, json, len);
    return mt_buf_ok(out) ? 0 : mt_fail(e, MT_LIMIT, "more than %zu bytes of JSON", out->max);
}

int mt_plain_to_value(const char *json, size_t len, struct mt_buf *out, struct mt_error *e) {
    return convert_text(json, len, TO_VALUE, out, e); /* parsed in any case: it may be malformed */
}

void mt_plain_push(lua_State *L, int index, const char *what) {
    struct mt_error e;
    struct mt_buf *b = mt_module_scratch(L);
    mt_module_encode(L, index, what, b);
    if (memmem(b->data, b->len, "\"$", 2) == NULL) {
        lua_pushlstring(L, b->data, b->len);
        return;
    }
    struct mt_buf plain;
    mt_buf_init(&plain, MT_VALUE_MAX);
    int ok = mt_plain_from_value(b->data, b->len, &plain, &e);
    mt_buf_reset(b); /* the arena's, which may be held across the raise below */
    mt_buf_add(b, plain.data, plain.len);
    mt_buf_clear(&plain);
    if (ok != 0) luaL_error(L, "%s: %s", what, e.message);
    lua_pushlstring(L, b->data, b->len);
}
