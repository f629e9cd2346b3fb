/* Server-sent events: what is published goes to every stream that is open. Each stream has a queue with a
 * limit; a client that cannot keep up is told so and dropped, and never holds up the publisher. Idle streams
 * get heartbeats. Any thread. */
#pragma once
#include "http/server.h"

struct mt_sse;

/* queue_max: events that may wait for one client (0: 256). heartbeat_ms: 0: 15,000. */
struct mt_sse *mt_sse_new(size_t queue_max, int heartbeat_ms);
/* Ends all streams and waits until they have gone; nobody may publish or respond any more. Call it before or
 * after the server is stopped (which ends streams too). NULL is fine. */
void mt_sse_free(struct mt_sse *sse);
/* Hands an event to every stream. `event` is a plain word; `data` is JSON (line breaks are carried as the
 * format asks). Ids count up from 1, so a client sees by a gap that it has missed some. Never waits for a
 * client. */
void mt_sse_publish(struct mt_sse *sse, const char *event, const char *data, size_t len);
/* Makes the response a stream, holding a thread of the server (mt_server_hold); 503 when too many are held.
 */
void mt_sse_respond(struct mt_sse *sse, struct mt_server *server, struct mt_response *resp);
/* How many streams are open. */
size_t mt_sse_count(struct mt_sse *sse);
