/* Admission to a provider: a circuit breaker and a token bucket behind one lock. Invariants: only
 * infrastructure failures (unreachable, timed out, 5xx) count, never a decline or a refusal; half open, one
 * call at a time finds out. All times are monotonic. Any thread. */
#include "providers/private.h"

/* Opens when at least FAILURES_MIN of the calls of the last 15 to 30 seconds failed and they are half of them
 * or more: a single lost connection under load does not, a provider that is down does after five calls. */
enum {
    FAILURES_MIN = 5,
    OPEN_FIRST_MS = 5000,
    OPEN_LONGEST_MS = 60000,
    PROBE_LOST_MS = 120000, /* a probe that never reported (its thread was abandoned) */
    PROBE_POLL_MS = 500,
};
static const int64_t ms_ns = 1000000;
static const int64_t call = 1000000; /* tokens of one call */

const char *mt_breaker_state_name(enum mt_breaker_state s) {
    switch (s) {
    case MT_BREAKER_CLOSED:
        return "closed";
    case MT_BREAKER_OPEN:
        return "open";
    case MT_BREAKER_HALF_OPEN:
        return "half_open";
    }
    return "";
}

void breaker_init(struct breaker *b, int max_per_second, int burst, int64_t now_ns) {
    pthread_mutex_init(&b->lock, NULL);
    b->span_start_ns = b->refilled_ns = now_ns;
    b->open_for_ms = OPEN_FIRST_MS;
    b->max_per_second = max_per_second;
    b->burst = burst > 0 ? burst : max_per_second;
    b->tokens = b->burst * call;
}

void breaker_limit(struct breaker *b, int max_per_second, int burst) {
    pthread_mutex_lock(&b->lock);
    b->max_per_second = max_per_second;
    b->burst = burst > 0 ? burst : max_per_second;
    if (b->tokens > b->burst * call) b->tokens = b->burst * call;
    pthread_mutex_unlock(&b->lock);
}

void breaker_clear(struct breaker *b) {
    pthread_mutex_destroy(&b->lock);
}

static int64_t ceil_ms(int64_t ns) {
    return ns <= 0 ? 0 : (ns + ms_ns - 1) / ms_ns;
}

/* 0 and one call's tokens taken, or milliseconds until there are enough. */
static int64_t take_token(struct breaker *b, int64_t now_ns) {
    if (b->max_per_second == 0) return 0;
    int64_t most = b->burst * call, gained;
    /* Tokens a second times nanoseconds, in parts that cannot overflow: beyond this the bucket is full
     * anyway. */
    int64_t passed = now_ns - b->refilled_ns;
    if (__builtin_mul_overflow(passed / 1000, (int64_t)b->max_per_second, &gained) ||
        gained > most - b->tokens) {
        b->tokens = most;
        b->refilled_ns = now_ns;
    } else if (gained > 0) {
        b->tokens += gained;
        b->refilled_ns += passed / 1000 * 1000; /* what was too little for a token is kept */
    }
    if (b->tokens >= call) {
        b->tokens -= call;
        return 0;
    }
    int64_t wait_us = (call - b->tokens + b->max_per_second - 1) / b->max_per_second;
    return ceil_ms(wait_us * 1000);
}

int64_t breaker_admit(struct breaker *b, bool breaks, int64_t now_ns) {
    int64_t wait = 0;
    pthread_mutex_lock(&b->lock);
    bool probe = false;
    if (breaks && b->state != MT_BREAKER_CLOSED) {
        if (b->state == MT_BREAKER_OPEN)
            wait = ceil_ms(b->open_until_ns - now_ns);
        else if (b->probing && now_ns - b->probe_since_ns < PROBE_LOST_MS * ms_ns)
            wait = PROBE_POLL_MS;
        probe = wait == 0;
    }
    if (wait == 0) wait = take_token(b, now_ns);
    if (wait == 0 && probe) {
        b->state = MT_BREAKER_HALF_OPEN;
        b->probing = true;
        b->probe_since_ns = now_ns;
    }
    pthread_mutex_unlock(&b->lock);
    return wait;
}

static void open_breaker(struct breaker *b, int64_t now_ns) {
    b->state = MT_BREAKER_OPEN;
    b->opened++;
    b->open_until_ns = now_ns + b->open_for_ms * ms_ns;
    b->open_for_ms = b->open_for_ms * 2 > OPEN_LONGEST_MS ? OPEN_LONGEST_MS : b->open_for_ms * 2;
    b->probing = false;
}

static void forget_calls(struct breaker *b, int64_t now_ns) {
    b->calls[0] = b->calls[1] = b->failures[0] = b->failures[1] = 0;
    b->span_start_ns = now_ns;
}

static void count_call(struct breaker *b, bool failure, int64_t now_ns) {
    int64_t span = BREAKER_SPAN_MS * ms_ns, passed = now_ns - b->span_start_ns;
    if (passed >= 2 * span) {
        forget_calls(b, now_ns);
    } else if (passed >= span) {
        b->calls[1] = b->calls[0];
        b->failures[1] = b->failures[0];
        b->calls[0] = b->failures[0] = 0;
        b->span_start_ns += span;
    }
    b->calls[0]++;
    if (failure) b->failures[0]++;
}

void breaker_report(struct breaker *b, bool failure, int64_t now_ns) {
    pthread_mutex_lock(&b->lock);
    switch (b->state) {
    case MT_BREAKER_CLOSED:
        count_call(b, failure, now_ns);
        int failures = b->failures[0] + b->failures[1], calls = b->calls[0] + b->calls[1];
        if (failures >= FAILURES_MIN && failures * 2 >= calls) open_breaker(b, now_ns);
        break;
    case MT_BREAKER_OPEN:
        break; /* a call from before: the opening has been decided */
    case MT_BREAKER_HALF_OPEN:
        if (failure) {
            open_breaker(b, now_ns);
        } else {
            b->state = MT_BREAKER_CLOSED;
            b->open_for_ms = OPEN_FIRST_MS;
            b->probing = false;
            forget_calls(b, now_ns);
        }
        break;
    }
    pthread_mutex_unlock(&b->lock);
}

enum mt_breaker_state breaker_state(struct breaker *b) {
    pthread_mutex_lock(&b->lock);
    enum mt_breaker_state state = b->state;
    pthread_mutex_unlock(&b->lock);
    return state;
}

int64_t mt_provider_admit(struct mt_providers *p, const struct mt_provider *provider) {
    struct provider_state *s = provider_state(p, provider);
    if (s == NULL || (provider->many_hosts && s->breaker.max_per_second == 0)) return 0; /* nothing to ask */
    return breaker_admit(&s->breaker, !provider->many_hosts, p->clock->mono_ns(p->clock));
}

bool mt_provider_enter(struct mt_providers *p, const struct mt_provider *provider, int most) {
    struct provider_state *s = provider_state(p, provider);
    if (s == NULL) return true;
    if (provider->max_in_flight > 0 && provider->max_in_flight < most) most = provider->max_in_flight;
    if (atomic_fetch_add(&s->in_flight, 1) < most) return true;
    atomic_fetch_sub(&s->in_flight, 1);
    return false;
}

void mt_provider_leave(struct mt_providers *p, const struct mt_provider *provider) {
    struct provider_state *s = provider_state(p, provider);
    if (s != NULL) atomic_fetch_sub(&s->in_flight, 1);
}

void mt_provider_report(struct mt_providers *p, const struct mt_provider *provider,
                        bool infrastructure_failure) {
    struct provider_state *s = provider_state(p, provider);
    if (s == NULL || provider->many_hosts) return;
    breaker_report(&s->breaker, infrastructure_failure, p->clock->mono_ns(p->clock));
}

enum mt_breaker_state mt_provider_breaker(struct mt_providers *p, const struct mt_provider *provider) {
    struct provider_state *s = provider_state(p, provider);
    return s == NULL ? MT_BREAKER_CLOSED : breaker_state(&s->breaker);
}
