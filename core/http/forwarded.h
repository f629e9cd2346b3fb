/* Who a request comes from when it came through proxies: X-Forwarded-For and Forwarded (RFC 7239), believed
 * only as far as proxies that are trusted have written them. Invariant: what a stranger writes into a header
 * never becomes the answer. Pure; any thread. */
#pragma once
#include "base/error.h"
#include "http/message.h"
#include <stddef.h>
#include <stdint.h>

enum { MT_NETWORKS_MAX = 64, MT_ADDRESS_TEXT = 64 };

struct mt_networks {
    struct mt_network {
        uint8_t net[16]; /* IPv4 as ::ffff:a.b.c.d */
        int bits;        /* of the 128 */
    } items[MT_NETWORKS_MAX];
    size_t count;
};

/* Addresses and networks ("10.0.0.0/8 192.0.2.7, 2001:db8::/32"), separated by white space or commas. NULL
 * and "" are none. MT_USAGE names the one that is no network. */
int mt_networks_parse(const char *text, struct mt_networks *out, struct mt_error *e);

/* The client's address: the peer's; when that is a trusted proxy, the last one in its header that is none.
 * Where the chain names nobody ("unknown", a made-up name, nonsense) it is the proxy that wrote so. A request
 * with both headers is believed only when they agree, since most proxies write one and pass the other on. */
void mt_client_address(const struct mt_networks *trusted, const char *peer, const struct mt_headers *headers,
                       char out[MT_ADDRESS_TEXT]);
