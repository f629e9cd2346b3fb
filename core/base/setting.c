/* One setting's value against its row (see setting.h). Invariant: no message holds the value of a secret.
 * No state; any thread. */
#include "base/setting.h"
#include "base/text.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static void describe(const struct mt_setting *row, char out[160]) {
    char min[48], max[48];
    switch (row->type) {
    case MT_SET_INT:
        if (row->min != 0 || row->max != 0)
            mt_format(out, 160, "an integer from %" PRId64 " to %" PRId64, row->min, row->max);
        else
            mt_copy(out, 160, "an integer");
        break;
    case MT_SET_BOOL:
        mt_copy(out, 160, "true or false");
        break;
    case MT_SET_DURATION:
        mt_format_duration(row->min, min, sizeof(min));
        mt_format_duration(row->max, max, sizeof(max));
        if (row->min != 0 || row->max != 0)
            mt_format(out, 160, "a duration such as \"90s\" or \"1h30m\", from %s to %s", min, max);
        else
            mt_copy(out, 160, "a duration such as \"90s\" or \"1h30m\"");
        if (row->choices) {
            size_t len = strlen(out);
            mt_format(out + len, 160 - len, ", or %s", row->choices);
        }
        break;
    case MT_SET_SIZE:
        if (row->min != 0 || row->max != 0)
            mt_format(out, 160, "a size such as \"64M\", from %" PRId64 " to %" PRId64 " bytes", row->min,
                      row->max);
        else
            mt_copy(out, 160, "a size such as \"64M\"");
        break;
    case MT_SET_ENUM: {
        size_t used = 0;
        mt_copy(out, 160, "one of ");
        used = strlen(out);
        for (const char *c = row->choices; *c != '\0' && used + 3 < 160; c++) {
            if (*c == '|') out[used++] = ',';
            out[used++] = *c == '|' ? ' ' : *c;
        }
        out[used] = '\0';
        break;
    }
    case MT_SET_PATH:
        mt_copy(out, 160, "a path");
        break;
    case MT_SET_URL:
        mt_copy(out, 160, row->min == 1 ? "a URL such as scheme://host" : "a URL such as http://host:port");
        break;
    case MT_SET_STRING:
    case MT_SET_STRINGS:
    case MT_SET_SECRET:
        mt_copy(out, 160, "a text that is not empty");
        break;
    }
}

static bool parse_size(const char *s, int64_t *bytes) {
    static const char suffixes[] = "KMGT";
    char digits[24];
    size_t n = strspn(s, "0123456789");
    if (n == 0 || n >= sizeof(digits)) return false;
    memcpy(digits, s, n);
    digits[n] = '\0';
    if (!mt_parse_int(digits, 0, INT64_MAX, bytes)) return false;
    const char *suffix = s[n] == '\0' ? NULL : strchr(suffixes, s[n] >= 'a' ? s[n] - 'a' + 'A' : s[n]);
    if (suffix == NULL) return s[n] == '\0';
    const char *rest = s + n + 1;
    if (strcmp(rest, "") != 0 && strcmp(rest, "B") != 0 && strcmp(rest, "iB") != 0) return false;
    for (const char *p = suffixes; p <= suffix; p++)
        if (__builtin_mul_overflow(*bytes, 1024, bytes)) return false;
    return true;
}

static bool parse_url(const char *s, bool any_scheme) {
    const char *rest = strstr(s, "://");
    for (const unsigned char *c = (const unsigned char *)s; *c != '\0'; c++)
        if (*c <= ' ' || *c == 0x7F) return false;
    if (rest == NULL || rest == s) return false;
    size_t scheme = (size_t)(rest - s);
    if (strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789+-.") < scheme) return false;
    bool web = (scheme == 4 && strncmp(s, "http", 4) == 0) || (scheme == 5 && strncmp(s, "https", 5) == 0);
    if (!web) return any_scheme && rest[3] != '\0';
    return rest[3] != '\0' && strchr("/:?#", rest[3]) == NULL;
}

static bool parse_bool(const char *s, int64_t *out) {
    static const char *const words[] = {"false", "true", "no", "yes", "off", "on", "0", "1"};
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        if (strcmp(s, words[i]) == 0) {
            *out = (int64_t)(i % 2);
            return true;
        }
    return false;
}

static bool is_choice(const char *choices, const char *s) {
    size_t len = strlen(s);
    for (const char *c = choices; len > 0; c = strchr(c, '|') + 1) {
        size_t n = strcspn(c, "|");
        if (n == len && memcmp(c, s, n) == 0) return true;
        if (c[n] == '\0') return false;
    }
    return false;
}

bool setting_parse(const struct mt_setting *row, const char *text, int64_t *number) {
    bool bounded = row->min != 0 || row->max != 0, ok = false;
    *number = 0;
    switch (row->type) {
    case MT_SET_INT:
        ok = mt_parse_int(text, INT64_MIN, INT64_MAX, number);
        break;
    case MT_SET_DURATION:
        if (row->choices && strcmp(text, row->choices) == 0) {
            *number = INT64_MAX;
            return true;
        }
        ok = mt_parse_duration(text, number);
        break;
    case MT_SET_SIZE:
        ok = parse_size(text, number);
        break;
    case MT_SET_BOOL:
        return parse_bool(text, number);
    case MT_SET_ENUM:
        return is_choice(row->choices, text);
    case MT_SET_URL:
        return parse_url(text, row->min == 1);
    case MT_SET_STRING:
    case MT_SET_STRINGS:
    case MT_SET_PATH:
    case MT_SET_SECRET:
        return text[0] != '\0' && mt_utf8_valid(text, strlen(text));
    }
    return ok && (!bounded || (*number >= row->min && *number <= row->max));
}

void setting_show(const struct mt_setting *row, const char *text, char *out, size_t size) {
    const char *authority = strstr(text, "://");
    const char *at = authority == NULL ? NULL : strrchr(authority, '@');
    const char *colon = at == NULL ? NULL : memchr(authority + 3, ':', (size_t)(at - authority - 3));
    if (row->type == MT_SET_SECRET)
        mt_copy(out, size, "[redacted]");
    else if (colon != NULL)
        mt_format(out, size, "%.*s:[redacted]%s", (int)(colon - text), text, at);
    else
        mt_copy(out, size, text);
}

int setting_refuse(const struct mt_setting *row, const char *what, const char *found, struct mt_error *e) {
    char wanted[160];
    describe(row, wanted);
    return mt_fail(e, MT_USAGE, "%.200s: found %.120s, wanted %s", what, found, wanted);
}

int setting_refuse_text(const struct mt_setting *row, const char *what, const char *text,
                        struct mt_error *e) {
    char shown[100], found[120];
    setting_show(row, text, shown, sizeof(shown));
    mt_format(found, sizeof(found), text[0] == '\0' ? "nothing%s" : "\"%s\"", text[0] == '\0' ? "" : shown);
    return setting_refuse(row, what, found, e);
}
