/* Which providers exist, and their accounts from configuration. Invariants: an account is whole (every
 * required credential) or absent; credentials never travel in the clear except to this machine; the sandbox's
 * credentials never leave it. Built once at the start, read by any thread after. */
#include "base/json.h"
#include "base/text.h"
#include "providers/define.h"
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* Adding a provider is a file with its table, and its row here. */
static const struct mt_provider *const providers[] = {
    &mt_provider_mintro,
    &mt_provider_mint,
    &mt_provider_paymint,
    &mt_provider_paymnt,
    &mt_provider_http,
    &mt_provider_webhooks,
    NULL,
};
enum { PROVIDER_COUNT = sizeof(providers) / sizeof(providers[0]) - 1 };

/* Keys of a section besides the credentials. */
static const struct {
    const char *key;
    enum mt_setting_type type;
} common_keys[] = {
    {"base_url", MT_SET_URL},
    {"label", MT_SET_STRING},
    {"max_per_second", MT_SET_INT},
    {"burst", MT_SET_INT},
};
enum { COMMON_KEYS = sizeof(common_keys) / sizeof(common_keys[0]), KEYS_MAX = 24, RATE_MAX = 1000000 };

const struct mt_provider *const *mt_providers_all(void) {
    return providers;
}

size_t operation_count(const struct mt_provider *row) {
    size_t n = 0;
    while (row->operations[n].name != NULL) n++;
    return n;
}

struct provider_state *provider_state(struct mt_providers *p, const struct mt_provider *row) {
    if (row->defined) return p != NULL ? defined_of(row)->state : NULL;
    for (size_t i = 0; p != NULL && i < p->count; i++)
        if (p->states[i].row == row) return &p->states[i];
    return NULL;
}

/* ---- URLs ---- */

bool url_host(const char *url, char *host, size_t size) {
    size_t n = strncasecmp(url, "https://", 8) == 0 ? 8 : strncasecmp(url, "http://", 7) == 0 ? 7 : 0;
    if (n == 0) return false;
    for (const unsigned char *c = (const unsigned char *)url; *c != '\0'; c++)
        if (*c <= ' ' || *c >= 0x7F || *c == '\\') return false;
    url += n;
    size_t len = strcspn(url, "/?#");
    if (memchr(url, '@', len) != NULL) return false;
    if (url[0] == '[') {
        const char *end = memchr(url, ']', len);
        if (end == NULL) return false;
        len = (size_t)(end - url) - 1;
        url++;
        if (end[1] != '\0' && strchr(":/?#", end[1]) == NULL) return false;
    } else {
        const char *colon = memchr(url, ':', len);
        if (colon != NULL) len = (size_t)(colon - url);
    }
    if (len == 0 || len >= size) return false;
    memcpy(host, url, len);
    host[len] = '\0';
    return true;
}

bool host_is_loopback(const char *host) {
    struct in_addr v4;
    struct in6_addr v6;
    if (strcasecmp(host, "localhost") == 0) return true;
    if (inet_pton(AF_INET, host, &v4) == 1) return (ntohl(v4.s_addr) >> 24) == 127;
    return inet_pton(AF_INET6, host, &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6);
}

bool mt_account_is_local(const struct mt_account *a) {
    char host[256];
    return url_host(a->base_url, host, sizeof(host)) && host_is_loopback(host);
}

int account_take_url(const char *provider, const char *url, struct mt_account *a, bool *loopback,
                     struct mt_error *e) {
    char host[256];
    if (!url_host(url, host, sizeof(host)) || strpbrk(url, "?#") != NULL ||
        strlen(url) >= sizeof(a->base_url))
        return mt_fail(
            e, MT_USAGE,
            "providers.%s.base_url is no usable URL; wanted https://HOST with an optional path, without a "
            "user name or query, under %zu bytes",
            provider, sizeof(a->base_url));
    *loopback = host_is_loopback(host);
    if (strncasecmp(url, "https://", 8) != 0 && !*loopback)
        return mt_fail(
            e, MT_USAGE,
            "providers.%s.base_url: credentials would travel to %s in the clear; wanted https:// (http:// is "
            "for this machine only)",
            provider, host);
    mt_copy(a->base_url, sizeof(a->base_url), url);
    for (size_t n = strlen(a->base_url); n > 0 && a->base_url[n - 1] == '/'; n--) a->base_url[n - 1] = '\0';
    return 0;
}

/* ---- accounts ---- */

const char *mt_account_credential(const struct mt_account *a, const char *name) {
    return mt_json_str(a->credentials, name, "");
}

static bool key_known(const struct mt_provider *row, const char *key, const char **names, size_t *n) {
    *n = 0;
    for (size_t i = 0; i < COMMON_KEYS; i++)
        if (!(row->many_hosts && strcmp(common_keys[i].key, "base_url") == 0))
            names[(*n)++] = common_keys[i].key;
    for (const struct mt_credential *c = row->credentials; c->name != NULL && *n < KEYS_MAX; c++)
        names[(*n)++] = c->name;
    for (size_t i = 0; i < *n; i++)
        if (strcmp(names[i], key) == 0) return true;
    return false;
}

static int check_keys(const struct mt_provider *row, const json_t *section, struct mt_error *e) {
    const char *key;
    json_t *value;
    if (!json_is_object(section))
        return mt_fail(e, MT_USAGE, "providers.%s is %s, wanted an object", row->name,
                       value_type_name(section));
    json_object_foreach((json_t *)(uintptr_t)section, key, value) {
        const char *names[KEYS_MAX];
        size_t n;
        if (!key_known(row, key, names, &n)) {
            const char *near = mt_nearest(key, names, n);
            return mt_fail(e, MT_USAGE, "providers.%s: unknown setting \"%s\"%s%s%s", row->name, key,
                           near != NULL ? " (did you mean \"" : "", near != NULL ? near : "",
                           near != NULL ? "\"?)" : "");
        }
        bool number = strcmp(key, "max_per_second") == 0 || strcmp(key, "burst") == 0;
        if (number && (!json_is_integer(value) || json_integer_value(value) < 0 ||
                       json_integer_value(value) > RATE_MAX))
            return mt_fail(e, MT_USAGE, "providers.%s.%s: wanted an integer from 0 (no limit) to %d",
                           row->name, key, RATE_MAX);
        if (!number && !json_is_string(value))
            return mt_fail(e, MT_USAGE, "providers.%s.%s is %s, wanted a string", row->name, key,
                           value_type_name(value));
    }
    return 0;
}

/* A credential goes into a header or a signature as it is. */
static bool credential_ok(const char *s) {
    size_t n = strlen(s);
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)s[i] < ' ' || (unsigned char)s[i] == 0x7F) return false;
    return n > 0 && n <= 1024;
}

static int take_credentials(const struct mt_provider *row, const json_t *section, bool loopback,
                            struct mt_account *a, struct mt_error *e) {
    for (const struct mt_credential *c = row->credentials; c->name != NULL; c++) {
        const char *value = mt_json_str(section, c->name, "");
        if (value[0] == '\0') {
            if (!c->required) continue;
            return mt_fail(e, MT_USAGE, "providers.%s: \"%s\" is missing (%s)", row->name, c->name, c->doc);
        }
        if (!credential_ok(value))
            return mt_fail(e, MT_USAGE, "providers.%s.%s: wanted 1 to 1024 bytes without control characters",
                           row->name, c->name);
        if (c->sandbox != NULL && strcmp(value, c->sandbox) == 0 && !loopback)
            return mt_fail(e, MT_USAGE,
                           "providers.%s.%s is the sandbox's test credential, which is for a sandbox on this "
                           "machine only; "
                           "%s is not one",
                           row->name, c->name, a->base_url);
        json_object_set_new(a->credentials, c->name, json_string(value));
    }
    return 0;
}

int account_configure(const struct mt_provider *row, const json_t *section, struct mt_account *a,
                      bool *configured, struct mt_error *e) {
    bool loopback = false;
    if (section == NULL || json_is_null(section)) return 0;
    if (check_keys(row, section, e) != 0) return -1;
    if (json_object_size(section) == 0) return 0;
    const char *label = mt_json_str(section, "label", "default");
    if (label[0] == '\0' || !mt_copy(a->label, sizeof(a->label), label))
        return mt_fail(e, MT_USAGE, "providers.%s.label: wanted 1 to %zu bytes", row->name,
                       sizeof(a->label) - 1);
    if (row->many_hosts) return take_credentials(row, section, true, a, e);
    if (account_take_url(row->name, mt_json_str(section, "base_url", row->base_url), a, &loopback, e) != 0 ||
        take_credentials(row, section, loopback, a, e) != 0)
        return -1;
    if (row->check != NULL && row->check(a, e) != 0) return -1;
    *configured = true;
    return 0;
}

/* The section that points a provider at a sandbox: its own configuration, real credentials with it, stays
 * out. */
static json_t *sandbox_section(const struct mt_provider *row, const char *url) {
    json_t *section = json_object();
    json_object_set_new(section, "base_url", json_string(url));
    json_object_set_new(section, "label", json_string("sandbox"));
    for (const struct mt_credential *c = row->credentials; c->name != NULL; c++)
        if (c->sandbox != NULL) json_object_set_new(section, c->name, json_string(c->sandbox));
    return section;
}

static int check_sandbox_url(const char *url, struct mt_error *e) {
    char host[256];
    if (!url_host(url, host, sizeof(host)))
        return mt_fail(e, MT_USAGE, "sandbox: \"%.200s\" is no URL; wanted http://HOST:PORT", url);
    if (!host_is_loopback(host))
        return mt_fail(e, MT_USAGE,
                       "sandbox: %s is not this machine; a sandbox is on 127.0.0.1, ::1 or localhost", host);
    return 0;
}

static int check_sections(const json_t *config, struct mt_error *e) {
    const char *key, *names[PROVIDER_COUNT];
    json_t *value;
    if (config == NULL) return 0;
    if (!json_is_object(config))
        return mt_fail(e, MT_USAGE, "providers is %s, wanted an object", value_type_name(config));
    for (size_t i = 0; i < PROVIDER_COUNT; i++) names[i] = providers[i]->name;
    json_object_foreach((json_t *)(uintptr_t)config, key, value) {
        struct mt_error no_name;
        bool known = false;
        for (size_t i = 0; i < PROVIDER_COUNT; i++) known = known || strcmp(names[i], key) == 0;
        /* A provider that a script defines is known once the flows are loaded. */
        if (known || mt_provider_name_check(key, &no_name) == 0) continue;
        const char *near = mt_nearest(key, names, PROVIDER_COUNT);
        return mt_fail(e, MT_USAGE, "providers: there is no provider \"%s\"%s%s%s", key,
                       near != NULL ? " (did you mean \"" : "", near != NULL ? near : "",
                       near != NULL ? "\"?)" : "");
    }
    return 0;
}

static int init_state(struct provider_state *s, const struct mt_provider *row, const json_t *config,
                      const char *sandbox_url, struct mt_clock *clock, struct mt_error *e) {
    s->row = row;
    s->account = (struct mt_account){
        .provider = row, .label = "default", .credentials = json_object(), .clock = clock};
    s->configured = row->many_hosts;
    s->operation_count = operation_count(row);
    s->counters = mt_calloc(s->operation_count, sizeof(*s->counters));
    const json_t *own = json_object_get(config, row->name);
    int rate = (int)mt_json_int(own, "max_per_second", row->max_per_second);
    int burst = (int)mt_json_int(own, "burst", rate == row->max_per_second ? row->burst : rate);
    breaker_init(&s->breaker, rate, burst, clock->mono_ns(clock));
    if (sandbox_url == NULL || row->many_hosts)
        return account_configure(row, own, &s->account, &s->configured, e);
    json_t *section = sandbox_section(row, sandbox_url);
    int r = account_configure(row, section, &s->account, &s->configured, e);
    json_decref(section);
    return r;
}

struct mt_providers *mt_providers_new(const json_t *config, const char *sandbox_url, struct mt_clock *clock,
                                      struct mt_error *e) {
    if (check_sections(config, e) != 0) return NULL;
    if (sandbox_url != NULL && check_sandbox_url(sandbox_url, e) != 0) return NULL;
    for (size_t i = 0; i < PROVIDER_COUNT; i++) {
        const json_t *section = json_object_get(config, providers[i]->name);
        if (section != NULL && !json_is_null(section) && check_keys(providers[i], section, e) != 0)
            return NULL;
    }
    struct mt_providers *p = mt_calloc(1, sizeof(*p));
    p->clock = clock;
    p->sandbox = sandbox_url != NULL;
    p->sections = config != NULL ? json_deep_copy(config) : json_object();
    pthread_mutex_init(&p->lock, NULL);
    p->states = mt_calloc(PROVIDER_COUNT, sizeof(*p->states));
    for (; p->count < PROVIDER_COUNT; p->count++) {
        if (init_state(&p->states[p->count], providers[p->count], config, sandbox_url, clock, e) == 0)
            continue;
        p->count++; /* half made: freed with the rest */
        mt_providers_free(p);
        return NULL;
    }
    return p;
}

void mt_providers_free(struct mt_providers *p) {
    if (p == NULL) return;
    sets_clear(p);
    pthread_mutex_destroy(&p->lock);
    json_decref(p->sections);
    for (size_t i = 0; i < p->count; i++) {
        json_decref(p->states[i].account.credentials);
        breaker_clear(&p->states[i].breaker);
        free(p->states[i].counters);
    }
    free(p->states);
    free(p);
}

const struct mt_account *mt_providers_account(struct mt_providers *p, const char *provider) {
    return mt_provider_account(p, NULL, provider);
}

size_t mt_providers_config_keys(struct mt_provider_key *out, size_t room) {
    size_t n = 0;
    for (size_t i = 0; i < PROVIDER_COUNT; i++) {
        const struct mt_provider *row = providers[i];
        for (size_t k = 0; k < COMMON_KEYS; k++) {
            if (row->many_hosts && common_keys[k].type == MT_SET_URL) continue;
            if (n < room)
                out[n] = (struct mt_provider_key){row->name, common_keys[k].key, common_keys[k].type};
            n++;
        }
        for (const struct mt_credential *c = row->credentials; c->name != NULL; c++, n++)
            if (n < room)
                out[n] =
                    (struct mt_provider_key){row->name, c->name, c->secret ? MT_SET_SECRET : MT_SET_STRING};
    }
    return n;
}
