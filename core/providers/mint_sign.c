/* The signature of Paymentwall's reseller API, and the form fields it is taken over. Invariant: what is
 * signed is what is sent, value by value, and the time in it is that of the sending. No state; any thread. */
#include "base/text.h"
#include "crypto/crypto.h"
#include "providers/private.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char prefix[] = "params["; /* of every field that is signed */

void mint_field(struct mt_buf *b, const char *name, const char *value) {
    if (b->len > 0) mt_buf_addc(b, '&');
    mt_url_encode(b, name, strlen(name));
    mt_buf_addc(b, '=');
    mt_url_encode(b, value, strlen(value));
}

static int by_name(const void *a, const void *b) {
    return strcmp(((const struct mint_value *)a)->name, ((const struct mint_value *)b)->name);
}

/* PHP's ksort and implode: the values alone, in the byte order of their names, which are not signed. */
void mint_sign(const char *public_key, int64_t timestamp, struct mint_value *values, size_t n,
               const char *private_key, char *out) {
    struct mt_buf b;
    mt_buf_init(&b, SIZE_MAX);
    mt_buf_addf(&b, "%s%" PRId64, public_key, timestamp);
    qsort(values, n, sizeof(values[0]), by_name);
    for (size_t i = 0; i < n; i++) mt_buf_adds(&b, values[i].value);
    mt_buf_adds(&b, private_key);
    mt_md5_hex(b.data, b.len, out);
    mt_wipe(b.data, b.len);
    mt_buf_clear(&b);
}

static char *decoded(const char *s, size_t len) {
    char *out = mt_calloc(len + 1, 1);
    if (mt_url_decode(s, len, out, true) < 0) out[0] = '\0'; /* our own build wrote it: it is well formed */
    return out;
}

/* The params[...] of a form that build wrote, as names and values that the caller frees. */
static size_t values_of(const char *form, struct mint_value *values, size_t room) {
    size_t n = 0;
    while (form[0] != '\0' && n < room) {
        size_t len = strcspn(form, "&"), split = strcspn(form, "=");
        if (split > len) split = len;
        char *name = decoded(form, split);
        if (strncmp(name, prefix, sizeof(prefix) - 1) == 0)
            values[n++] =
                (struct mint_value){name, decoded(form + split + (split < len), len - split - (split < len))};
        else
            free(name);
        form += len + (form[len] == '&');
    }
    return n;
}

void mint_add_signature(const struct mt_account *account, const char *form, struct mt_buf *signed_form) {
    struct mint_value values[MINT_VALUES_MAX];
    char sign[2 * MT_MD5_SIZE + 1], timestamp[24];
    const char *key = mt_account_credential(account, "public_key");
    int64_t now = account->clock->wall_ms(account->clock) / 1000;
    size_t n = values_of(form, values, MINT_VALUES_MAX);
    mint_sign(key, now, values, n, mt_account_credential(account, "private_key"), sign);
    snprintf(timestamp, sizeof(timestamp), "%" PRId64, now);
    mint_field(signed_form, "auth[key]", key);
    mint_field(signed_form, "auth[timestamp]", timestamp);
    mint_field(signed_form, "auth[sign]", sign);
    if (form[0] != '\0') {
        mt_buf_addc(signed_form, '&');
        mt_buf_adds(signed_form, form);
    }
    for (size_t i = 0; i < n; i++) {
        free((char *)(uintptr_t)values[i].name);
        free((char *)(uintptr_t)values[i].value);
    }
}
