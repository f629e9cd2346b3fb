/* The providers that one generation's scripts define: made with their accounts when the generation is first
 * used, freed when nobody uses it any more. Invariant: a set never changes; what is counted, limited and
 * broken is the registry's and outlives it. Any thread. */
#include "base/json.h"
#include "base/log.h"
#include "base/text.h"
#include "providers/define.h"
#include <stdlib.h>
#include <string.h>

enum { SET_MAX = 32, NAMED_MAX = 2048 };

struct mt_provider_set {
    atomic_size_t refs;
    struct mt_providers *p; /* borrowed; NULL: only described */
    size_t count;
    struct defined *rows[SET_MAX];
};

/* ---- what sets share ---- */

static struct provider_state *share(struct mt_providers *p, const struct defined *d) {
    const json_t *own = json_object_get(p->sections, d->row.name);
    int rate = (int)mt_json_int(own, "max_per_second", d->row.max_per_second);
    int burst = (int)mt_json_int(own, "burst", rate == d->row.max_per_second ? d->row.burst : rate);
    pthread_mutex_lock(&p->lock);
    struct shared_state *s = p->shared;
    while (s != NULL && (strcmp(s->name, d->row.name) != 0 || strcmp(s->base_url, d->account.base_url) != 0))
        s = s->next;
    if (s == NULL) {
        s = mt_calloc(1, sizeof(*s));
        mt_copy(s->name, sizeof(s->name), d->row.name);
        mt_copy(s->base_url, sizeof(s->base_url), d->account.base_url);
        breaker_init(&s->state.breaker, rate, burst, p->clock->mono_ns(p->clock));
        s->next = p->shared;
        p->shared = s;
    } else {
        breaker_limit(&s->state.breaker, rate, burst); /* the newest definition's */
    }
    s->refs++;
    pthread_mutex_unlock(&p->lock);
    return &s->state;
}

static void leave_shared(struct mt_providers *p, struct provider_state *state) {
    struct shared_state *s = (struct shared_state *)state;
    if (s == NULL) return;
    pthread_mutex_lock(&p->lock);
    bool last = --s->refs == 0;
    if (last) {
        struct shared_state **at = &p->shared;
        while (*at != s) at = &(*at)->next;
        *at = s->next;
    }
    pthread_mutex_unlock(&p->lock);
    if (!last) return;
    breaker_clear(&s->state.breaker);
    free(s);
}

static struct operation_counters *counters_named(struct mt_providers *p, const char *name) {
    pthread_mutex_lock(&p->lock);
    struct named_counters *n = p->named;
    while (n != NULL && strcmp(n->name, name) != 0) n = n->next;
    if (n == NULL && p->named_count < NAMED_MAX) {
        n = mt_calloc(1, sizeof(*n));
        mt_copy(n->name, sizeof(n->name), name);
        n->next = p->named;
        p->named = n;
        p->named_count++;
    }
    pthread_mutex_unlock(&p->lock);
    return n != NULL ? &n->counters : NULL;
}

void sets_clear(struct mt_providers *p) {
    mt_provider_set_release(p->current);
    while (p->named != NULL) {
        struct named_counters *next = p->named->next;
        free(p->named);
        p->named = next;
    }
}

/* ---- accounts ---- */

static bool needs_credentials(const struct defined *d) {
    for (const struct mt_credential *c = d->credentials; c->name != NULL; c++)
        if (c->required) return true;
    return d->row.base_url[0] == '\0';
}

/* One that needs nothing of the configuration is ready as it is. */
static void configure(struct mt_providers *p, struct defined *d) {
    const json_t *section = json_object_get(p->sections, d->row.name);
    struct mt_error e = {0};
    char host[256];
    json_t *nothing = json_pack("{s:s}", "label", "default");
    if (json_object_size(section) == 0 && !needs_credentials(d)) section = nothing;
    if (account_configure(&d->row, section, &d->account, &d->configured, &e) != 0) {
        mt_copy(d->problem, sizeof(d->problem), e.message);
        d->configured = false;
    } else if (d->configured && p->sandbox && url_host(d->account.base_url, host, sizeof(host)) &&
               !host_is_loopback(host)) {
        mt_format(
            d->problem, sizeof(d->problem),
            "with --sandbox nothing leaves this machine, and %s is at %.200s: let base_url be an imitation "
            "of it on this machine",
            d->row.name, host);
        d->configured = false;
    }
    json_decref(nothing);
}

static void adopt(struct mt_providers *p, struct defined *d) {
    char full[96];
    d->account = (struct mt_account){
        .provider = &d->row, .label = "default", .credentials = json_object(), .clock = p->clock};
    configure(p, d);
    d->state = share(p, d);
    for (size_t i = 0; d->operations[i].name != NULL; i++) {
        mt_format(full, sizeof(full), "%s.%s", d->row.name, d->operations[i].name);
        d->own[i].counters = counters_named(p, full);
    }
}

/* ---- sets ---- */

struct mt_provider_set *mt_provider_set_new(struct mt_providers *p, const json_t *definitions,
                                            struct mt_error *e) {
    struct mt_provider_set *s = mt_calloc(1, sizeof(*s));
    size_t n = json_array_size(definitions);
    s->p = p;
    atomic_init(&s->refs, 1);
    if (n > SET_MAX) {
        mt_fail(e, MT_INVALID_REQUEST, "found %zu defined providers, wanted at most %d", n, (int)SET_MAX);
        goto fail;
    }
    for (size_t i = 0; i < n; i++) {
        struct mt_provider *row = mt_provider_define(json_array_get(definitions, i), e);
        if (row == NULL) goto fail;
        s->rows[s->count++] = (struct defined *)row;
        for (size_t k = 0; k + 1 < s->count; k++) {
            if (strcmp(s->rows[k]->row.name, row->name) != 0) continue;
            mt_fail(e, MT_INVALID_REQUEST, "the provider \"%s\" is defined twice", row->name);
            goto fail;
        }
        if (p != NULL) adopt(p, s->rows[i]);
    }
    return s;
fail:
    mt_provider_set_release(s);
    return NULL;
}

struct mt_provider_set *mt_provider_set_retain(struct mt_provider_set *s) {
    if (s != NULL) atomic_fetch_add(&s->refs, 1);
    return s;
}

void mt_provider_set_release(struct mt_provider_set *s) {
    if (s == NULL || atomic_fetch_sub(&s->refs, 1) > 1) return;
    for (size_t i = 0; i < s->count; i++) {
        leave_shared(s->p, s->rows[i]->state);
        mt_provider_undefine(&s->rows[i]->row);
    }
    free(s);
}

const struct mt_provider *mt_provider_row(const struct mt_provider_set *s, size_t i) {
    const struct mt_provider *const *row = mt_providers_all();
    for (; *row != NULL && i > 0; i--) row++;
    if (*row != NULL) return *row;
    return s != NULL && i < s->count ? &s->rows[i]->row : NULL;
}

bool mt_provider_hints(const struct mt_provider_set *s, const char *topic) {
    const struct mt_provider *row;
    for (size_t i = 0; (row = mt_provider_row(s, i)) != NULL; i++)
        for (const struct mt_operation *op = row->operations; op->name != NULL; op++)
            if (op->kind == MT_OPERATION_SETTLED && strcmp(op->topic, topic) == 0) return true;
    return false;
}

const struct mt_account *mt_provider_account(struct mt_providers *p, const struct mt_provider_set *s,
                                             const char *provider) {
    for (size_t i = 0; p != NULL && i < p->count; i++)
        if (strcmp(p->states[i].row->name, provider) == 0)
            return p->states[i].configured ? &p->states[i].account : NULL;
    for (size_t i = 0; p != NULL && s != NULL && i < s->count; i++)
        if (strcmp(s->rows[i]->row.name, provider) == 0)
            return s->rows[i]->configured ? &s->rows[i]->account : NULL;
    return NULL;
}

const char *mt_provider_problem(const struct mt_provider *row) {
    return row->defined ? defined_of(row)->problem : "";
}

/* ---- the current one ---- */

/* Sections for which there is no provider: a slip in their name, or flows that are gone. */
static void warn_of_sections(struct mt_providers *p, const struct mt_provider_set *s) {
    const char *name, *names[SET_MAX];
    json_t *section;
    size_t n = 0;
    for (; s != NULL && n < s->count; n++) names[n] = s->rows[n]->row.name;
    json_object_foreach(p->sections, name, section) {
        if (json_object_size(section) == 0 || mt_provider_named(s, name) != NULL) continue;
        mt_warn("the configuration has a section for a provider that no flow defines", "provider", name,
                "nearest", mt_nearest(name, names, n));
    }
}

void mt_providers_publish(struct mt_providers *p, struct mt_provider_set *s) {
    warn_of_sections(p, s);
    for (size_t i = 0; s != NULL && i < s->count; i++)
        if (s->rows[i]->problem[0] != '\0')
            mt_warn("a defined provider is not configured", "provider", s->rows[i]->row.name, "why",
                    s->rows[i]->problem);
    pthread_mutex_lock(&p->lock);
    struct mt_provider_set *before = p->current;
    p->current = mt_provider_set_retain(s);
    pthread_mutex_unlock(&p->lock);
    mt_provider_set_release(before);
}

struct mt_provider_set *mt_providers_current(struct mt_providers *p) {
    if (p == NULL) return NULL;
    pthread_mutex_lock(&p->lock);
    struct mt_provider_set *s = mt_provider_set_retain(p->current);
    pthread_mutex_unlock(&p->lock);
    return s;
}
