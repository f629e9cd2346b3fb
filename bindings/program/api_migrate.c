/* Moving runs to newer code over HTTP: a page of runs a request, each with what became of it. */
#include "api.h"
#include "base/json.h"
#include "base/text.h"
#include "engine/migrate.h"
#include <stdlib.h>
#include <string.h>

enum { LIST_DEFAULT = 100, LIST_MAX = 1000, ANSWER_MAX = 64 * 1024 * 1024 };

/* A member that is a text shorter than `size`, or absent. False: 422 is answered. */
static bool read_text(const json_t *body, const char *name, size_t size, struct mt_response *resp,
                      const char **out) {
    const json_t *value = json_object_get(body, name);
    *out = json_string_value(value);
    if (!value || json_is_null(value)) return true;
    if (*out && **out && strlen(*out) < size) return true;
    mt_respond_problem(resp, 422, "invalid_request", "%s: wanted a text of 1 to %zu bytes", name, size - 1);
    return false;
}

static bool read_request(const json_t *body, struct mt_response *resp, struct mt_migrate *o) {
    static const char *const known[] = {"run", "flow", "dry_run", "limit", "cursor", NULL};
    const json_t *dry = json_object_get(body, "dry_run"), *limit = json_object_get(body, "limit");
    *o = (struct mt_migrate){.dry = json_is_true(dry), .limit = LIST_DEFAULT};
    if (!mt_api_known(body, known, resp) || !read_text(body, "run", MT_ID_SIZE, resp, &o->run) ||
        !read_text(body, "flow", MT_NAME_MAX, resp, &o->flow) ||
        !read_text(body, "cursor", MT_ID_SIZE, resp, &o->before))
        return false;
    if (dry && !json_is_boolean(dry)) {
        mt_respond_problem(resp, 422, "invalid_request", "dry_run: wanted true or false");
        return false;
    }
    if (!limit) return true;
    if (!json_is_integer(limit) || json_integer_value(limit) < 1 || json_integer_value(limit) > LIST_MAX) {
        mt_respond_problem(resp, 422, "invalid_request", "limit: wanted an integer from 1 to %d", LIST_MAX);
        return false;
    }
    o->limit = (size_t)json_integer_value(limit);
    return true;
}

static void answer(struct mt_response *resp, struct mt_migration *list, size_t count, const char *next) {
    struct mt_buf b;
    mt_buf_init(&b, ANSWER_MAX);
    mt_buf_adds(&b, "{\"data\":[");
    for (size_t i = 0; i < count; i++) {
        if (i) mt_buf_addc(&b, ',');
        mt_migration_to_json(&list[i], &b);
        mt_migration_clear(&list[i]);
    }
    if (next[0])
        mt_buf_addf(&b, "],\"next_cursor\":\"%s\"}", next);
    else
        mt_buf_adds(&b, "],\"next_cursor\":null}");
    mt_api_answer(resp, 200, &b);
    free(list);
}

static void migrate(struct mt_runtime *rt, const struct mt_request *req, struct mt_response *resp) {
    struct mt_migrate o;
    struct mt_migration *list;
    size_t count;
    char next[MT_ID_SIZE];
    struct mt_error e;
    json_t *body = mt_api_body(req, resp);
    if (body && read_request(body, resp, &o)) {
        if (mt_engine_migrate(rt->engine, &o, &list, &count, next, &e) == 0)
            answer(resp, list, count, next);
        else
            mt_api_fail(resp, &e);
    }
    json_decref(body);
}

const struct mt_route mt_api_migrate_routes[] = {
    {"POST", "/v1/runs/migrate", MT_ADMIN, migrate},
    {NULL, NULL, MT_ADMIN, NULL},
};
