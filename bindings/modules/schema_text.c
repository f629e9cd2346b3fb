/* What the types of a schema that are texts take: addresses, days, times, zones, durations. Invariant: a text
 * that passes here is taken by the function of mintage.flow or mintage.time that it is meant for. Pure; any
 * thread. */
#include "bindings/modules/schema_text.h"
#include "base/clock.h"
#include "base/text.h"
#include "base/zone.h"
#include <stdlib.h>
#include <string.h>

enum { EMAIL_MAX = 254, URL_MAX = 2048 };

bool schema_email(const char *s, size_t len) {
    const char *at = memchr(s, '@', len);
    if (at == NULL || at == s || len > EMAIL_MAX || strchr(at + 1, '@') != NULL) return false;
    const char *dot = strchr(at + 1, '.');
    if (dot == NULL || dot == at + 1 || s[len - 1] == '.') return false;
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)s[i] <= ' ' || s[i] == 0x7f || strchr("<>()[],;:\\\"", s[i]) != NULL) return false;
    return true;
}

bool schema_url(const char *s, size_t len) {
    size_t scheme = strncmp(s, "https://", 8) == 0 ? 8 : strncmp(s, "http://", 7) == 0 ? 7 : 0;
    if (scheme == 0 || len > URL_MAX || s[scheme] == '\0' || s[scheme] == '/' || s[scheme] == ':')
        return false;
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)s[i] <= ' ' || s[i] == 0x7f || s[i] == '"' || s[i] == '<' || s[i] == '>' ||
            s[i] == '\\')
            return false;
    return memchr(s + scheme, '@', strcspn(s + scheme, "/?#")) == NULL; /* no credentials in URLs */
}

bool schema_date(const char *s) {
    static const int days[] = {31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    if (strlen(s) != 10 || s[4] != '-' || s[7] != '-') return false;
    for (size_t i = 0; i < 10; i++)
        if (i != 4 && i != 7 && (s[i] < '0' || s[i] > '9')) return false;
    int y = atoi(s), m = atoi(s + 5), d = atoi(s + 8);
    if (y < 1 || m < 1 || m > 12 || d < 1 || d > days[m - 1]) return false;
    bool leap = (y % 4 == 0 && y % 100 != 0) || y % 400 == 0;
    return m != 2 || d < 29 || leap;
}

bool schema_time(const char *s) {
    int64_t at;
    return mt_time_parse(s, &at);
}

bool schema_duration(const char *s) {
    int64_t ms;
    return mt_parse_duration(s, &ms);
}

bool schema_zone(const char *s) {
    struct mt_error e;
    struct mt_zone *z = mt_zone_open(s, &e);
    mt_zone_free(z);
    return z != NULL;
}
