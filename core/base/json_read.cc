/* The quick way through JSON text: simdjson reads it, and what it has read becomes jansson's values. Whatever
 * is not plain (duplicate keys, a NUL, numbers past 64 bits, malformed text) is left to jansson, which knows
 * what to say of it. A thread keeps one parser, small because only small texts come here. */
#include "base/json_read.h"
#include <cstdlib>
#include <simdjson.h>

namespace {

enum { TEXT_MAX = 8192 };

using simdjson::dom::element;
using simdjson::dom::element_type;

bool has_nul(std::string_view s) {
    return s.find('\0') != std::string_view::npos;
}

/* What the element has been found to be. */
template <typename T> T as(const element &e) {
    T value{};
    if (e.get(value) != simdjson::SUCCESS) abort();
    return value;
}

json_t *make(const element &e, int depth);

json_t *make_string(const element &e) {
    std::string_view s = as<std::string_view>(e);
    return has_nul(s) ? nullptr : json_stringn_nocheck(s.data(), s.size());
}

json_t *make_array(const element &e, int depth) {
    json_t *array = json_array();
    for (element item : as<simdjson::dom::array>(e)) {
        json_t *value = make(item, depth - 1);
        if (!value || json_array_append_new(array, value) != 0) {
            json_decref(array);
            return nullptr;
        }
    }
    return array;
}

json_t *make_object(const element &e, int depth) {
    json_t *object = json_object();
    size_t members = 0;
    for (auto field : as<simdjson::dom::object>(e)) {
        json_t *value = has_nul(field.key) ? nullptr : make(field.value, depth - 1);
        if (!value || json_object_setn_new_nocheck(object, field.key.data(), field.key.size(), value) != 0) {
            json_decref(object);
            return nullptr;
        }
        members++;
    }
    if (json_object_size(object) == members) return object;
    json_decref(object); /* a key was there twice */
    return nullptr;
}

json_t *make(const element &e, int depth) {
    switch (e.type()) {
    case element_type::ARRAY:
        return depth > 0 ? make_array(e, depth) : nullptr;
    case element_type::OBJECT:
        return depth > 0 ? make_object(e, depth) : nullptr;
    case element_type::STRING:
        return make_string(e);
    case element_type::INT64:
        return json_integer(as<int64_t>(e));
    case element_type::DOUBLE:
        return json_real(as<double>(e));
    case element_type::BOOL:
        return json_boolean(as<bool>(e));
    case element_type::NULL_VALUE:
        return json_null();
    case element_type::UINT64: /* past what jansson can hold */
        break;
    }
    return nullptr;
}

} // namespace

json_t *json_read(const char *text, size_t len, int depth_max) {
    static thread_local simdjson::dom::parser parser(TEXT_MAX);
    element root;
    if (len == 0 || len > TEXT_MAX || parser.parse(text, len).get(root) != simdjson::SUCCESS) return nullptr;
    return make(root, depth_max);
}
