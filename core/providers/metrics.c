/* Counters of calls, and what GET /v1/providers and /metrics say about providers. Invariant: no credential is
 * ever written. Counters are atomic and never reset; any thread. */
#include "base/json.h"
#include "providers/define.h"
#include <inttypes.h>

/* Upper bounds of the duration histogram. */
static const int64_t bucket_us[METRIC_BUCKETS] = {1000,   2500,   5000,    10000,   25000,   50000,
                                                  100000, 250000, 1000000, 2500000, 5000000, 10000000};
static const char *const bucket_text[METRIC_BUCKETS] = {"0.001", "0.0025", "0.005", "0.01", "0.025", "0.05",
                                                        "0.1",   "0.25",   "1",     "2.5",  "5",     "10"};

/* NULL: they are not counted. */
static struct operation_counters *counters_of(struct mt_providers *p, const struct mt_provider *provider,
                                              const struct mt_operation *op) {
    if (provider->defined) return defined_operation(op)->counters;
    struct provider_state *s = provider_state(p, provider);
    if (s == NULL || op < provider->operations || (size_t)(op - provider->operations) >= s->operation_count)
        return NULL;
    return &s->counters[op - provider->operations];
}

void mt_provider_count(struct mt_providers *p, const struct mt_provider *provider,
                       const struct mt_operation *op, enum mt_outcome outcome, int64_t duration_us) {
    struct operation_counters *c = counters_of(p, provider, op);
    if (c == NULL || (unsigned)outcome >= MT_OUTCOME_COUNT) return;
    size_t bucket = 0;
    while (bucket < METRIC_BUCKETS && duration_us > bucket_us[bucket]) bucket++;
    atomic_fetch_add_explicit(&c->outcomes[outcome], 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&c->buckets[bucket], 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&c->sum_us, duration_us > 0 ? (uint64_t)duration_us : 0, memory_order_relaxed);
}

static uint64_t load(atomic_uint_fast64_t *n) {
    return atomic_load_explicit(n, memory_order_relaxed);
}

static void add_outcomes(struct mt_buf *out, const struct mt_provider *row, const struct mt_operation *op,
                         struct operation_counters *c) {
    for (int o = MT_NOT_SENT; o < MT_OUTCOME_COUNT; o++) {
        uint64_t n = load(&c->outcomes[o]);
        if (n > 0)
            mt_buf_addf(
                out,
                "mintage_provider_calls_total{provider=\"%s\",operation=\"%s\",outcome=\"%s\"} %" PRIu64 "\n",
                row->name, op->name, mt_outcome_name((enum mt_outcome)o), n);
    }
}

static void add_durations(struct mt_buf *out, const struct mt_provider *row, const struct mt_operation *op,
                          struct operation_counters *c) {
    const char *provider = row->name, *operation = op->name;
    uint64_t total = 0, each[METRIC_BUCKETS + 1];
    for (size_t b = 0; b <= METRIC_BUCKETS; b++) total += each[b] = load(&c->buckets[b]);
    if (total == 0) return;
    uint64_t below = 0;
    for (size_t b = 0; b < METRIC_BUCKETS; b++) {
        below += each[b];
        mt_buf_addf(
            out,
            "mintage_provider_call_seconds_bucket{provider=\"%s\",operation=\"%s\",le=\"%s\"} %" PRIu64 "\n",
            provider, operation, bucket_text[b], below);
    }
    uint64_t sum = load(&c->sum_us);
    mt_buf_addf(out,
                "mintage_provider_call_seconds_bucket{provider=\"%s\",operation=\"%s\",le=\"+Inf\"} %" PRIu64
                "\n",
                provider, operation, total);
    mt_buf_addf(out,
                "mintage_provider_call_seconds_sum{provider=\"%s\",operation=\"%s\"} %" PRIu64 ".%06" PRIu64
                "\n",
                provider, operation, sum / 1000000, sum % 1000000);
    mt_buf_addf(out, "mintage_provider_call_seconds_count{provider=\"%s\",operation=\"%s\"} %" PRIu64 "\n",
                provider, operation, total);
}

static uint64_t times_opened(struct provider_state *s) {
    pthread_mutex_lock(&s->breaker.lock);
    uint64_t n = s->breaker.opened;
    pthread_mutex_unlock(&s->breaker.lock);
    return n;
}

static void each_operation(struct mt_providers *p, const struct mt_provider_set *set, struct mt_buf *out,
                           void (*add)(struct mt_buf *out, const struct mt_provider *row,
                                       const struct mt_operation *op, struct operation_counters *c)) {
    const struct mt_provider *row;
    for (size_t i = 0; (row = mt_provider_row(set, i)) != NULL; i++) {
        for (const struct mt_operation *op = row->operations; op->name != NULL; op++) {
            struct operation_counters *c = counters_of(p, row, op);
            if (c != NULL) add(out, row, op, c);
        }
    }
}

void mt_providers_metrics(struct mt_providers *p, struct mt_buf *out) {
    struct mt_provider_set *set = mt_providers_current(p);
    const struct mt_provider *row;
    mt_buf_adds(out, "# HELP mintage_provider_calls_total Calls to providers, by what became of them.\n"
                     "# TYPE mintage_provider_calls_total counter\n");
    each_operation(p, set, out, add_outcomes);
    mt_buf_adds(out, "# HELP mintage_provider_call_seconds How long calls to providers took.\n"
                     "# TYPE mintage_provider_call_seconds histogram\n");
    each_operation(p, set, out, add_durations);
    mt_buf_adds(out,
                "# HELP mintage_provider_breaker_state The circuit breaker: 0 closed, 1 open, 2 half open.\n"
                "# TYPE mintage_provider_breaker_state gauge\n");
    for (size_t i = 0; (row = mt_provider_row(set, i)) != NULL; i++)
        if (!row->many_hosts)
            mt_buf_addf(out, "mintage_provider_breaker_state{provider=\"%s\"} %d\n", row->name,
                        (int)breaker_state(&provider_state(p, row)->breaker));
    mt_buf_adds(out, "# HELP mintage_provider_breaker_opened_total Times the circuit breaker opened.\n"
                     "# TYPE mintage_provider_breaker_opened_total counter\n");
    for (size_t i = 0; (row = mt_provider_row(set, i)) != NULL; i++)
        if (!row->many_hosts)
            mt_buf_addf(out, "mintage_provider_breaker_opened_total{provider=\"%s\"} %" PRIu64 "\n",
                        row->name, times_opened(provider_state(p, row)));
    mt_provider_set_release(set);
}

/* ---- GET /v1/providers ---- */

static json_t *calls_json(struct operation_counters *counters) {
    json_t *calls = json_object();
    for (int k = MT_NOT_SENT; k < MT_OUTCOME_COUNT; k++)
        json_object_set_new(calls, mt_outcome_name((enum mt_outcome)k),
                            json_integer((json_int_t)load(&counters->outcomes[k])));
    return calls;
}

/* The tables, and what is so at present. */
static json_t *provider_json(struct mt_providers *p, const struct mt_provider_set *set,
                             const struct mt_provider *row) {
    json_t *o = mt_provider_describe(row), *op;
    struct provider_state *s = provider_state(p, row);
    const struct mt_account *account = mt_provider_account(p, set, row->name);
    size_t i;
    json_object_set_new(o, "configured", json_boolean(account != NULL));
    if (account != NULL) {
        json_object_set_new(o, "base_url", json_string(account->base_url));
        json_object_set_new(o, "account", json_string(account->label));
    }
    if (mt_provider_problem(row)[0] != '\0')
        json_object_set_new(o, "problem", json_string(mt_provider_problem(row)));
    if (!row->many_hosts) {
        json_object_set_new(o, "breaker", json_string(mt_breaker_state_name(breaker_state(&s->breaker))));
        json_object_set_new(o, "breaker_opened", json_integer((json_int_t)times_opened(s)));
    }
    pthread_mutex_lock(&s->breaker.lock);
    int rate = s->breaker.max_per_second;
    pthread_mutex_unlock(&s->breaker.lock);
    if (rate > 0) json_object_set_new(o, "max_per_second", json_integer(rate));
    json_array_foreach(json_object_get(o, "operations"), i, op) {
        struct operation_counters *c = counters_of(p, row, &row->operations[i]);
        if (c != NULL) json_object_set_new(op, "calls", calls_json(c));
    }
    return o;
}

char *mt_providers_json(struct mt_providers *p) {
    struct mt_provider_set *set = mt_providers_current(p);
    const struct mt_provider *row;
    json_t *list = json_array();
    for (size_t i = 0; (row = mt_provider_row(set, i)) != NULL; i++)
        json_array_append_new(list, provider_json(p, set, row));
    mt_provider_set_release(set);
    char *text = mt_json_dump(list, NULL);
    json_decref(list);
    return text;
}
