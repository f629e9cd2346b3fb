/* Which addresses lie on the public internet: the guard against requests that a stranger aims at our own
 * network (URLs of webhooks). No state; any thread. */
#pragma once
#include <stdbool.h>
#include <sys/socket.h>

/* Whether an IPv4 or IPv6 address is globally reachable unicast. False for private, loopback, link-local,
 * shared (100.64/10), unique local, documentation, benchmarking, multicast and reserved ones, for the tunnels
 * (6to4, Teredo), and for IPv6 forms that carry such an IPv4 address (mapped, NAT64). False for any other
 * family. */
bool mt_address_is_public(const struct sockaddr *address);
/* 127.0.0.0/8 or ::1. */
bool mt_address_is_loopback(const struct sockaddr *address);
