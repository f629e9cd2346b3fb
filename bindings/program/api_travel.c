/* Time travel over HTTP: a run replayed, dry, to an effect, by its own code or by edited code. Both read
 * only; edited code is sent along as a body. */
#include "api.h"
#include "base/json.h"
#include "base/text.h"
#include "bindings/modules/travel.h"
#include <stdlib.h>
#include <string.h>

enum { LOOK_MAX = 500, FILES_MAX = 1000 };

static bool read_int(const json_t *body, const char *name, int fallback, struct mt_response *resp, int *out) {
    const json_t *value = json_object_get(body, name);
    *out = fallback;
    if (!value || json_is_null(value)) return true;
    if (json_is_integer(value) && json_integer_value(value) >= 0 && json_integer_value(value) <= INT32_MAX) {
        *out = (int)json_integer_value(value);
        return true;
    }
    mt_respond_problem(resp, 422, "invalid_request", "%s: wanted an integer from 0 to %d", name, INT32_MAX);
    return false;
}

static bool read_text(const json_t *body, const char *name, size_t max, struct mt_response *resp,
                      const char **out) {
    const json_t *value = json_object_get(body, name);
    *out = json_string_value(value);
    if (!value || json_is_null(value)) return true;
    if (*out && json_string_length(value) <= max && strlen(*out) == json_string_length(value)) return true;
    mt_respond_problem(resp, 422, "invalid_request", "%s: wanted a text of at most %zu bytes", name, max);
    return false;
}

/* {"checkout.lua": text, ...}, or the text of the flow's own file as "code". Borrows from the body. */
static bool read_files(const json_t *body, struct mt_response *resp, struct mt_source **files,
                       size_t *count) {
    const json_t *given = json_object_get(body, "files");
    const json_t *code = json_object_get(body, "code"), *text;
    const char *name;
    bool ok = (!given || json_is_null(given) || json_is_object(given)) &&
              (!code || json_is_null(code) || json_is_string(code)) && json_object_size(given) <= FILES_MAX;
    *files = mt_calloc(json_object_size(given) + 1, sizeof **files);
    *count = 0;
    json_object_foreach((json_t *)(uintptr_t)given, name, text) {
        ok = ok && json_is_string(text) && name[0];
        if (ok)
            (*files)[(*count)++] =
                (struct mt_source){name, json_string_value(text), json_string_length(text)};
    }
    if (ok && json_is_string(code))
        (*files)[(*count)++] = (struct mt_source){"", json_string_value(code), json_string_length(code)};
    if (!ok)
        mt_respond_problem(
            resp, 422, "invalid_request",
            "files: wanted an object of file names and texts (at most %d); code: wanted a text", FILES_MAX);
    return ok;
}

static void answer(struct mt_runtime *rt, const struct mt_scripts_travel *t, struct mt_response *resp) {
    struct mt_error e;
    json_t *out = NULL;
    if (mt_scripts_travel(rt->scripts, t, &out, &e) != 0) {
        mt_api_fail(resp, &e);
        return;
    }
    mt_api_answer_value(resp, out);
}

/* By code that the runtime has: nothing need be sent along. */
static void look(struct mt_runtime *rt, const struct mt_request *req, struct mt_response *resp) {
    struct mt_scripts_travel t = {.run = mt_request_param(req, "id")};
    char *generation = NULL, *path = NULL;
    int64_t segment, at, level;
    if (mt_api_int(req, resp, "segment", -1, 0, INT32_MAX, &segment) &&
        mt_api_int(req, resp, "at", 0, 0, INT32_MAX, &at) &&
        mt_api_int(req, resp, "level", 0, 0, INT32_MAX, &level) &&
        mt_api_text(req, resp, "generation", 80, &generation) &&
        mt_api_text(req, resp, "look", LOOK_MAX, &path)) {
        t.segment = (int)segment;
        t.at = (int)at;
        t.level = (int)level;
        t.generation = generation;
        t.look = path;
        answer(rt, &t, resp);
    }
    free(generation);
    free(path);
}

static void travel(struct mt_runtime *rt, const struct mt_request *req, struct mt_response *resp) {
    static const char *const known[] = {"segment", "at",   "generation", "files", "code",
                                        "whole",   "look", "level",      NULL};
    struct mt_scripts_travel t = {.run = mt_request_param(req, "id")};
    struct mt_source *files = NULL;
    json_t *body = mt_api_body(req, resp);
    if (body && mt_api_known(body, known, resp) && read_int(body, "segment", -1, resp, &t.segment) &&
        read_int(body, "at", 0, resp, &t.at) && read_int(body, "level", 0, resp, &t.level) &&
        read_text(body, "generation", 79, resp, &t.generation) &&
        read_text(body, "look", LOOK_MAX, resp, &t.look) && read_files(body, resp, &files, &t.count)) {
        t.files = files;
        t.whole = json_is_true(json_object_get(body, "whole"));
        answer(rt, &t, resp);
    }
    free(files);
    json_decref(body);
}

const struct mt_route mt_api_travel_routes[] = {
    {"GET", "/v1/runs/{id}/travel", MT_ADMIN, look},
    {"POST", "/v1/runs/{id}/travel", MT_ADMIN, travel},
    {NULL, NULL, MT_ADMIN, NULL},
};
