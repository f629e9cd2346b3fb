/* Tells a sandbox where webhooks go: PUT /_sandbox/endpoints, in the background, again and again until the
 * sandbox takes it. */
#pragma once
#include "http/client.h"

struct mt_endpoints;

/* sandbox_url: "http://127.0.0.1:8090". target: "http://127.0.0.1:8080/webhooks" gives .../webhooks/mintro
 * and so on; `secret` (NULL: none) is added as ?s=. Copies all but the transport, which outlives it. Never
 * waits. */
struct mt_endpoints *mt_endpoints_register(struct mt_transport *transport, const char *sandbox_url,
                                           const char *target, const char *secret);
/* Stops trying. NULL is fine. */
void mt_endpoints_stop(struct mt_endpoints *ep);
