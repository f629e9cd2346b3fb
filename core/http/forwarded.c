/* Chains of proxies, read from the right: the last name was written by the peer, the one before it by the
 * proxy of that name, and so on for as long as each is trusted. No state; any thread. */
#include "http/forwarded.h"
#include "base/text.h"
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { HOPS_MAX = 32, NAME_MAX_BYTES = 80 };

static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};

/* "192.0.2.7", "2001:db8::1". */
static bool read_address(const char *text, uint8_t out[16]) {
    if (inet_pton(AF_INET6, text, out) == 1) return true;
    memcpy(out, mapped, 12);
    return inet_pton(AF_INET, text, out + 12) == 1;
}

static void write_address(const uint8_t address[16], char out[MT_ADDRESS_TEXT]) {
    if (memcmp(address, mapped, 12) == 0)
        inet_ntop(AF_INET, address + 12, out, MT_ADDRESS_TEXT);
    else
        inet_ntop(AF_INET6, address, out, MT_ADDRESS_TEXT);
}

/* ---- networks ---- */

static int parse_network(const char *text, struct mt_network *out, struct mt_error *e) {
    char address[NAME_MAX_BYTES];
    int64_t bits = 0;
    const char *slash = strchr(text, '/');
    mt_format(address, sizeof(address), "%.*s", slash != NULL ? (int)(slash - text) : (int)strlen(text),
              text);
    bool six = strchr(address, ':') != NULL;
    int most = six ? 128 : 32;
    if (!read_address(address, out->net) || (slash != NULL && !mt_parse_int(slash + 1, 0, most, &bits)))
        return mt_fail(e, MT_USAGE,
                       "trusted-proxies: found \"%s\", wanted an address or a network such as 10.0.0.0/8",
                       text);
    out->bits = (slash != NULL ? (int)bits : most) + (six ? 0 : 96);
    return 0;
}

int mt_networks_parse(const char *text, struct mt_networks *out, struct mt_error *e) {
    static const char between[] = " \t\r\n,";
    out->count = 0;
    for (const char *s = text != NULL ? text : ""; *(s += strspn(s, between)) != '\0';) {
        char name[NAME_MAX_BYTES];
        size_t n = strcspn(s, between);
        mt_format(name, sizeof(name), "%.*s", (int)n, s);
        if (out->count == MT_NETWORKS_MAX)
            return mt_fail(e, MT_USAGE, "trusted-proxies: more than %d networks", (int)MT_NETWORKS_MAX);
        if (parse_network(name, &out->items[out->count], e) != 0) return -1;
        out->count++;
        s += n;
    }
    return 0;
}

static bool within(const struct mt_networks *networks, const uint8_t address[16]) {
    for (size_t i = 0; i < networks->count; i++) {
        const struct mt_network *n = &networks->items[i];
        size_t whole = (size_t)n->bits / 8;
        int rest = n->bits % 8;
        uint8_t mask = rest == 0 ? 0 : (uint8_t)(0xff << (8 - rest));
        if (memcmp(n->net, address, whole) == 0 &&
            (rest == 0 || (n->net[whole] & mask) == (address[whole] & mask)))
            return true;
    }
    return false;
}

/* ---- the chain ---- */

/* The last names of all header lines of that name, the newest first: what stands between commas that are not
 * in quotes. Answers how many there are, `*lines` how many headers. */
static size_t last_names(const struct mt_headers *headers, const char *name, char out[][NAME_MAX_BYTES],
                         size_t *lines) {
    size_t count = 0;
    *lines = 0;
    for (size_t i = headers->count; i-- > 0;) {
        if (strcasecmp(headers->items[i].name, name) != 0) continue;
        const char *value = headers->items[i].value, *end = value + strlen(value);
        ++*lines;
        for (bool more = true; more && count < HOPS_MAX;) {
            bool quoted = false;
            const char *from = end;
            while (from > value && (quoted || from[-1] != ',')) {
                from--;
                if (*from == '"') quoted = !quoted;
            }
            const char *start = from + strspn(from, " \t");
            size_t n = start < end ? (size_t)(end - start) : 0;
            while (n > 0 && (start[n - 1] == ' ' || start[n - 1] == '\t')) n--;
            /* One that is too long is kept as something that is no address. */
            if (n >= NAME_MAX_BYTES || !mt_format(out[count], NAME_MAX_BYTES, "%.*s", (int)n, start))
                mt_copy(out[count], NAME_MAX_BYTES, "?");
            count++;
            more = from > value;
            end = from - 1;
        }
    }
    return count;
}

/* `proto=https; for="[2001:db8::1]:4711"`: what is said of the client, without quotes, in place. */
static bool forwarded_for(char *element) {
    char *save = NULL;
    for (char *pair = strtok_r(element, ";", &save); pair != NULL; pair = strtok_r(NULL, ";", &save)) {
        pair += strspn(pair, " \t");
        if (strncasecmp(pair, "for=", 4) != 0) continue;
        pair += 4;
        size_t n = strcspn(pair, " \t");
        if (n >= 2 && pair[0] == '"' && pair[n - 1] == '"') {
            pair++;
            n -= 2;
        }
        memmove(element, pair, n);
        element[n] = '\0';
        return true;
    }
    return false;
}

/* With the port that some proxies add: "192.0.2.7:4711", "[2001:db8::1]:4711". */
static bool read_hop(char *text, uint8_t out[16]) {
    char *colon = strchr(text, ':');
    if (text[0] == '[') {
        char *close = strchr(text, ']');
        if (close == NULL || (close[1] != '\0' && close[1] != ':')) return false;
        *close = '\0';
        text++;
    } else if (colon != NULL && strchr(colon + 1, ':') == NULL) {
        *colon = '\0';
    }
    return read_address(text, out);
}

/* Follows one header's chain from `at`, which is trusted, and leaves there whom it ends with. */
static void follow(const struct mt_networks *trusted, char names[][NAME_MAX_BYTES], size_t count,
                   bool elements, uint8_t at[16]) {
    uint8_t next[16];
    for (size_t i = 0; i < count && within(trusted, at); i++) {
        if ((elements && !forwarded_for(names[i])) || !read_hop(names[i], next)) return;
        memcpy(at, next, 16);
    }
}

void mt_client_address(const struct mt_networks *trusted, const char *peer, const struct mt_headers *headers,
                       char out[MT_ADDRESS_TEXT]) {
    char names[HOPS_MAX][NAME_MAX_BYTES];
    uint8_t address[16], plain[16], standard[16];
    size_t plain_lines = 0, standard_lines = 0;
    mt_copy(out, MT_ADDRESS_TEXT, peer);
    if (trusted->count == 0 || !read_address(peer, address) || !within(trusted, address)) return;
    memcpy(plain, address, 16);
    memcpy(standard, address, 16);
    size_t count = last_names(headers, "X-Forwarded-For", names, &plain_lines);
    follow(trusted, names, count, false, plain);
    count = last_names(headers, "Forwarded", names, &standard_lines);
    follow(trusted, names, count, true, standard);
    if (plain_lines == 0)
        write_address(standard, out);
    else if (standard_lines == 0 || memcmp(plain, standard, 16) == 0)
        write_address(plain, out);
}
