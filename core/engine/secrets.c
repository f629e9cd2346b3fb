/* Secrets among the inputs of runs. In an input's normal form a secret is {"$secret":"clear"}; the store gets
 * {"$sealed":"base64"} in its place, and the script the string itself. Invariant: a sealed secret opens only
 * in the run, the segment and the place that it was sealed for. No state; any thread. */
#include "engine/internal.h"
#include <stdlib.h>
#include <string.h>

enum way { SEAL, OPEN, RESTORE };

struct pass {
    struct mt_engine *g;
    const char *run_id;
    int segment;
    enum way way;
    int place; /* secrets met so far, in the order of the text */
    struct mt_error *e;
    bool failed;
};

static json_t *marked(const json_t *value, const char *mark) {
    json_t *held = json_object_size(value) == 1 ? json_object_get(value, mark) : NULL;
    return json_is_string(held) ? held : NULL;
}

static size_t place_of(struct pass *p, char out[160]) {
    mt_format(out, 160, "input|%s|%d|%d", p->run_id, p->segment, p->place++);
    return strlen(out);
}

static json_t *seal_one(struct pass *p, const json_t *clear) {
    char place[160];
    size_t n = place_of(p, place);
    struct mt_buf sealed, text;
    json_t *out = NULL;
    mt_buf_init(&sealed, MT_VALUE_MAX + MT_SEAL_OVERHEAD);
    mt_buf_init(&text, 2 * MT_VALUE_MAX);
    if (mt_seal(&p->g->seal_key, place, n, json_string_value(clear), json_string_length(clear), &sealed,
                p->e) == 0) {
        mt_base64_encode(sealed.data, sealed.len, &text);
        out = json_pack("{s:s#}", "$sealed", text.data, (int)text.len);
    }
    mt_buf_clear(&sealed);
    mt_buf_clear(&text);
    return out;
}

static json_t *open_one(struct pass *p, const json_t *sealed) {
    char place[160];
    size_t n = place_of(p, place);
    struct mt_buf raw, clear;
    struct mt_error why;
    json_t *out = NULL;
    mt_buf_init(&raw, 2 * MT_VALUE_MAX);
    mt_buf_init(&clear, MT_VALUE_MAX);
    if (mt_base64_decode(json_string_value(sealed), json_string_length(sealed), &raw) &&
        mt_unseal(&p->g->seal_key, place, n, raw.data, raw.len, &clear, &why) == 0) {
        json_t *text = json_stringn(clear.len ? clear.data : "", clear.len);
        out = p->way == OPEN ? text : json_pack("{s:o}", "$secret", text);
    } else {
        mt_fail(p->e, MT_STORE,
                "a sealed secret of the input cannot be opened: was the secret key file "
                "replaced?");
    }
    if (clear.len) mt_wipe(clear.data, clear.len);
    mt_buf_clear(&raw);
    mt_buf_clear(&clear);
    return out;
}

/* A copy with its secrets changed; new reference. */
static json_t *walk(struct pass *p, const json_t *value) {
    const char *key;
    json_t *member, *out;
    size_t i;
    if (p->failed) return json_null();
    if (json_is_array(value)) {
        out = json_array();
        json_array_foreach(value, i, member) json_array_append_new(out, walk(p, member));
        return out;
    }
    if (!json_is_object(value)) return json_incref((json_t *)(uintptr_t)value);
    if ((member = marked(value, p->way == SEAL ? "$secret" : "$sealed"))) {
        out = p->way == SEAL ? seal_one(p, member) : open_one(p, member);
        p->failed = !out;
        return out ? out : json_null();
    }
    out = json_object();
    json_object_foreach((json_t *)(uintptr_t)value, key, member)
        json_object_set_new(out, key, walk(p, member));
    return out;
}

/* Texts are written with sorted keys, so that the places are the same on the way back. */
static int change(struct pass *p, const char *text, struct mt_buf *out) {
    json_t *value = mt_json_parse(text, strlen(text), p->e);
    if (!value) return -1;
    json_t *changed = walk(p, value);
    json_decref(value);
    size_t len = 0;
    char *dumped = p->failed ? NULL : mt_json_dump(changed, &len);
    json_decref(changed);
    if (!dumped) return -1;
    mt_buf_reset(out);
    mt_buf_add(out, dumped, len);
    mt_wipe(dumped, len);
    free(dumped);
    return mt_buf_ok(out) ? 0
                          : mt_fail(p->e, MT_LIMIT,
                                    "the input has more than %zu bytes with its secrets sealed", out->max);
}

int secrets_seal(struct mt_engine *g, const char *run_id, int segment, struct mt_buf *normal,
                 struct mt_error *e) {
    if (!memmem(normal->data, normal->len, "\"$secret\"", 9)) return 0;
    struct pass p = {.g = g, .run_id = run_id, .segment = segment, .way = SEAL, .e = e};
    char *clear = mt_memdup(normal->data, normal->len);
    size_t len = normal->len;
    int rc = change(&p, clear, normal);
    mt_wipe(clear, len);
    free(clear);
    return rc;
}

int secrets_open(struct mt_engine *g, const struct mt_run *run, bool marks, struct mt_buf *out,
                 struct mt_error *e) {
    const char *input = run->input ? run->input : "{}";
    struct pass p = {
        .g = g, .run_id = run->id, .segment = run->segment, .way = marks ? RESTORE : OPEN, .e = e};
    return change(&p, input, out);
}

bool secrets_in(const struct mt_run *run) {
    return run->input && strstr(run->input, "\"$sealed\"");
}
