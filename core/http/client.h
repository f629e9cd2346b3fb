/* The HTTP client, behind a vtable (struct mt_transport) so that the simulated world and tests bring their
 * own. mt_transport_curl(): libcurl, one easy handle kept per thread (connections stay alive; HTTP/2 where
 * TLS offers it), no redirects followed, http and https only, TLS verified, no signals, no proxy from the
 * environment.
 *
 * Errors say what became of the request: outcome MT_NOT_SENT when no byte of it left (name resolution,
 * refused connection, TLS handshake, connect timeout), MT_UNKNOWN once any byte may have left (timeout later,
 * reset, cut-off answer, answer too large). An answer of any HTTP status is a success here. A kept-alive
 * connection that the server had closed is not retried silently unless the request is known not to have been
 * sent. */
#pragma once
#include "http/message.h"

struct mt_transport {
    /* Sends one request and waits. 0 and *resp filled (caller clears), or -1 and *e. Any thread. */
    int (*perform)(struct mt_transport *self, const struct mt_http_request *req,
                   struct mt_http_response *resp, struct mt_error *e);
    /* Sends all at once on this thread; calls done(ctx, i, failed) on this thread as each one ends (resp[i]
     * or e[i] is filled by then). Returns when all have ended. */
    void (*perform_all)(struct mt_transport *self, size_t n, const struct mt_http_request *reqs,
                        struct mt_http_response *resps, struct mt_error *errors,
                        void (*done)(void *ctx, size_t i, bool failed), void *ctx);
    void (*free)(struct mt_transport *self);
};

struct mt_transport *mt_transport_curl(void);
