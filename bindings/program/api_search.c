/* Searching runs over HTTP: GET /v1/runs with find, reference, email, amount or last4. */
#include "api.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/text.h"
#include "engine/search.h"
#include <stdlib.h>
#include <string.h>

enum { LIMIT = 20, LIMIT_MAX = 200, TEXT_MAX = 300, SCAN_MAX = 50000 };

enum { FIND, REFERENCE, EMAIL, AMOUNT, LAST4, WANTS, FLOW = WANTS, STATE, CURSOR, SINCE, TEXTS };
static const char *const names[TEXTS] = {"find", "reference", "email",  "amount", "last4",
                                         "flow", "state",     "cursor", "since"};

/* An instant, or a duration back from now. */
static bool read_since(struct mt_runtime *rt, const char *text, struct mt_response *resp, int64_t *since) {
    int64_t back;
    *since = 0;
    if (!text || mt_time_parse(text, since)) return true;
    if (mt_parse_duration(text, &back)) {
        *since = rt->clock->wall_ms(rt->clock) - back;
        return true;
    }
    mt_respond_problem(resp, 422, "invalid_request",
                       "parameter since: found '%.60s', wanted an instant such as 2026-11-01T00:00:00Z, or a "
                       "duration such as 7d",
                       text);
    return false;
}

static bool read_state(const char *text, struct mt_response *resp, int *state) {
    enum mt_run_state known;
    *state = -1;
    if (!text) return true;
    if (mt_run_state_from_name(text, &known)) {
        *state = (int)known;
        return true;
    }
    mt_respond_problem(resp, 422, "invalid_request", "parameter state: there is no state '%.40s'", text);
    return false;
}

static void answer(struct mt_runtime *rt, const struct mt_search *s, struct mt_response *resp) {
    struct mt_error e;
    json_t *out = NULL;
    if (mt_engine_search(rt->engine, s, &out, &e) != 0) {
        mt_api_fail(resp, &e);
        return;
    }
    mt_api_answer_value(resp, out);
}

bool mt_api_search(struct mt_runtime *rt, const struct mt_request *req, struct mt_response *resp) {
    char *texts[TEXTS] = {NULL};
    struct mt_search s = {.state = -1};
    int64_t limit, scan;
    bool ok = true, wanted = false;
    for (int i = 0; i < TEXTS && ok; i++) {
        ok = mt_api_text(req, resp, names[i], TEXT_MAX, &texts[i]);
        wanted = wanted || (i < WANTS && texts[i]);
        if (i == WANTS - 1 && ok && !wanted) break;
    }
    if (ok && wanted && mt_api_int(req, resp, "limit", LIMIT, 1, LIMIT_MAX, &limit) &&
        mt_api_int(req, resp, "scan", 0, 0, SCAN_MAX, &scan) &&
        read_since(rt, texts[SINCE], resp, &s.since) && read_state(texts[STATE], resp, &s.state)) {
        s.text = texts[FIND];
        s.reference = texts[REFERENCE];
        s.email = texts[EMAIL];
        s.amount = texts[AMOUNT];
        s.last4 = texts[LAST4];
        s.flow = texts[FLOW];
        s.before = texts[CURSOR] && strlen(texts[CURSOR]) < MT_ID_SIZE ? texts[CURSOR] : NULL;
        s.limit = (size_t)limit;
        s.scan_max = (size_t)scan;
        answer(rt, &s, resp);
    }
    for (int i = 0; i < TEXTS; i++) free(texts[i]);
    return wanted || !ok;
}
