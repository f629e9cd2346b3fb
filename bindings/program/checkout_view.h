/* What the checkout page shows of a run: the values that web/checkout/page.html is filled with. It knows no
 * HTTP and no HTML, and decides everything from the run's JSON, the words and what was asked. No state; any
 * thread. */
#pragma once
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

struct mt_checkout_asked {
    const char *path;     /* "/checkout/TOKEN" */
    const char *language; /* "en" or "ko" */
    bool chosen_language; /* it was in the query, and stays in the page's links */
    int64_t sent;         /* the attempt this browser has just sent; -1: none */
    bool change;          /* the customer wants to see the ways to pay */
    bool returned;        /* the customer comes back from the provider's page */
    int64_t now_ms;
    const char *field; /* of a form that was refused: "phone", "epin", "amount", "way"; NULL: none was */
};

/* The values. `run` is what mt_run_to_json writes; NULL: there is no such checkout. New reference. */
json_t *mt_checkout_view(const json_t *run, const json_t *words, const struct mt_checkout_asked *asked);
/* Changes whenever the page of the run would: what scripts compare. 16 hex digits and NUL. */
void mt_checkout_version(const json_t *run, char out[17]);
