/* Hex and base64. Decoding is strict: one text for one value, so that nothing signed or stored has two
 * spellings. No state; any thread. */
#include "base/id.h"
#include "crypto/crypto.h"
#include <stdlib.h>
#include <string.h>

void mt_hex_encode(const void *data, size_t len, char *out) {
    static const char digits[] = "0123456789abcdef";
    const uint8_t *p = data;
    for (size_t i = 0; i < len; i++) {
        out[2 * i] = digits[p[i] >> 4];
        out[2 * i + 1] = digits[p[i] & 15];
    }
    out[2 * len] = '\0';
}

static int hex_value(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

bool mt_hex_decode(const char *hex, size_t hex_len, void *out, size_t size) {
    uint8_t *p = out;
    if (hex_len / 2 != size || hex_len % 2 != 0) return false;
    for (size_t i = 0; i < size; i++) {
        int high = hex_value(hex[2 * i]), low = hex_value(hex[2 * i + 1]);
        if (high < 0 || low < 0) return false;
        p[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

static const char standard[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char for_urls[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/* Three bytes, of which n are there, as four characters, of which n + 1 count. */
static void encode_group(const char *alphabet, const uint8_t *p, size_t n, char out[4]) {
    uint32_t bits = (uint32_t)p[0] << 16 | (n > 1 ? (uint32_t)p[1] << 8 : 0) | (n > 2 ? p[2] : 0);
    for (int i = 0; i < 4; i++) out[i] = alphabet[bits >> (18 - 6 * i) & 63];
}

static void encode(const char *alphabet, bool padding, const void *data, size_t len, struct mt_buf *out) {
    const uint8_t *p = data;
    char group[4];
    for (size_t i = 0; i < len; i += 3) {
        size_t n = len - i < 3 ? len - i : 3;
        encode_group(alphabet, p + i, n, group);
        mt_buf_add(out, group, n + 1);
        if (n < 3 && padding) mt_buf_add(out, "==", 3 - n);
    }
}

void mt_base64_encode(const void *data, size_t len, struct mt_buf *out) {
    encode(standard, true, data, len, out);
}

void mt_base64url_encode(const void *data, size_t len, struct mt_buf *out) {
    encode(for_urls, false, data, len, out);
}

static int base64_value(char c, bool url) {
    if (c >= 'A' && c <= 'Z') return c - 'A';
    if (c >= 'a' && c <= 'z') return c - 'a' + 26;
    if (c >= '0' && c <= '9') return c - '0' + 52;
    if (c == (url ? '-' : '+')) return 62;
    if (c == (url ? '_' : '/')) return 63;
    return -1;
}

static bool decode(const char *s, size_t len, bool url, struct mt_buf *out) {
    size_t before = out->len;
    size_t padding = 0;
    while (padding < 2 && len > padding && s[len - 1 - padding] == '=') padding++;
    if ((padding > 0 || !url) && len % 4 != 0) return false;
    len -= padding;
    if (len % 4 == 1) return false;
    if (padding > 0 && len % 4 + padding != 4) return false;
    uint32_t bits = 0;
    int held = 0; /* bits not written yet */
    for (size_t i = 0; i < len; i++) {
        int v = base64_value(s[i], url);
        if (v < 0) goto malformed;
        bits = bits << 6 | (uint32_t)v;
        held += 6;
        if (held >= 8) {
            held -= 8;
            mt_buf_addc(out, (char)(bits >> held & 0xFF));
        }
    }
    if ((bits & ((1U << held) - 1)) != 0) goto malformed; /* stray bits after the last byte */
    if (mt_buf_ok(out)) return true;
malformed:
    out->len = before;
    out->data[before] = '\0';
    return false;
}

bool mt_base64_decode(const char *s, size_t len, struct mt_buf *out) {
    return decode(s, len, false, out);
}

bool mt_base64url_decode(const char *s, size_t len, struct mt_buf *out) {
    return decode(s, len, true, out);
}

static size_t random_bytes(size_t bytes, uint8_t raw[64]) {
    if (bytes > 64) bytes = 64;
    struct mt_random *random = mt_random_system();
    random->bytes(random, raw, bytes);
    return bytes;
}

void mt_random_hex(size_t bytes, char *out) {
    uint8_t raw[64];
    bytes = random_bytes(bytes, raw);
    mt_hex_encode(raw, bytes, out);
    mt_wipe(raw, sizeof(raw));
}

void mt_random_token(size_t bytes, char *out) {
    uint8_t raw[64];
    char group[4];
    bytes = random_bytes(bytes, raw);
    for (size_t i = 0; i < bytes; i += 3) {
        size_t n = bytes - i < 3 ? bytes - i : 3;
        encode_group(for_urls, raw + i, n, group);
        memcpy(out, group, n + 1);
        out += n + 1;
    }
    *out = '\0';
    mt_wipe(raw, sizeof(raw));
}
