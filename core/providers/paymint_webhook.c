/* Paymint's callbacks: flat, unsigned, documented for payments alone. So they are hints: a bill is believed
 * to be paid once it has been read. Invariant: every documented state is accepted, the sender's apikey is
 * kept nowhere. No state; any thread. */
#include "base/json.h"
#include "base/text.h"
#include "providers/private.h"
#include <ctype.h>
#include <string.h>

enum { WEBHOOK_MAX = 64 * 1024, WORD_MAX = 80 };

static const struct {
    const char *state, *event;
} states[] = {
    {"F", "bill.paid"},
    {"W", "bill.unpaid"},
    {"C", "bill.cancelled"},
    {"D", "bill.destroyed"},
};

/* A member that is a word: printable ASCII without spaces. */
static const char *word_of(const json_t *body, const char *name) {
    const char *s = mt_json_str(body, name, "");
    size_t n = 0;
    for (; s[n] != '\0'; n++)
        if (!isgraph((unsigned char)s[n]) || n == WORD_MAX) return "";
    return s;
}

static bool id_ok(const char *id) {
    size_t n = 0;
    for (; id[n] != '\0'; n++)
        if (!isalnum((unsigned char)id[n]) || n == PAYMINT_BILL_ID_MAX) return false;
    return n > 0;
}

int paymint_webhook(const struct mt_account *account, const struct mt_request *req, bool secret_url,
                    struct mt_hint *hints, size_t *count, struct mt_error *e) {
    (void)account, (void)secret_url; /* reading the bill back is what makes it believed */
    const char *event = NULL;
    int r = -1;
    *count = 0;
    if (req->body_len > WEBHOOK_MAX)
        return mt_fail(e, MT_INVALID_REQUEST, "paymint callback: the body has %zu bytes, wanted at most %d",
                       req->body_len, WEBHOOK_MAX);
    json_t *body = mt_json_parse(req->body, req->body_len, e);
    if (body == NULL) return mt_error_wrap(e, "paymint callback");
    const char *id = mt_json_str(body, "bill_id", ""), *state = word_of(body, "appr_state");
    const char *number = word_of(body, "appr_num");
    for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++)
        if (strcmp(states[i].state, state) == 0) event = states[i].event;
    if (!id_ok(id)) {
        mt_fail(e, MT_INVALID_REQUEST,
                "paymint callback: \"bill_id\" is missing or malformed; wanted 1 to %d letters and digits",
                PAYMINT_BILL_ID_MAX);
    } else if (event == NULL) {
        mt_fail(e, MT_INVALID_REQUEST, "paymint callback: \"appr_state\" is \"%.10s\", wanted F, W, C or D",
                state);
    } else {
        struct mt_hint *h = &hints[(*count)++];
        *h = (struct mt_hint){.payload = value_from_plain(json_copy(body))};
        json_object_del(h->payload, "apikey");
        json_object_set_new(h->payload, "event", json_string(event));
        mt_copy(h->topic, sizeof(h->topic), "paymint.bill");
        mt_copy(h->key, sizeof(h->key), id);
        mt_format(h->source, sizeof(h->source), "paymint:%s:%s:%s", id, state,
                  number[0] != '\0' ? number : word_of(body, "appr_dt"));
        r = 0;
    }
    json_decref(body);
    return r;
}
