/* Which sessions there are: their life from the first message to the last, the idle ones' end, and the
 * console's own. Invariant: a session in the list is freed only by whoever took it out. Any thread. */
#include "base/json.h"
#include "base/log.h"
#include "base/text.h"
#include "console_private.h"
#include "console_socket.h"
#include <stdlib.h>
#include <string.h>

struct mt_console *mt_console_start(struct mt_runtime *rt, struct mt_error *e) {
    struct mt_console *c = mt_calloc(1, sizeof *c);
    c->rt = rt;
    c->listener = c->wake[0] = c->wake[1] = -1;
    pthread_mutex_init(&c->lock, NULL);
    mt_cond_init(&c->gone);
    if (console_socket_open(c, e) == 0) return c;
    if (!rt->o.offline && c->listener < 0 && c->wake[0] >= 0) { /* over HTTP it works */
        mt_warn("no console over a socket; mintage repl --url works", "error", e->message);
        return c;
    }
    pthread_cond_destroy(&c->gone);
    pthread_mutex_destroy(&c->lock);
    free(c);
    return NULL;
}

void mt_console_stop(struct mt_console *c) {
    if (!c) return;
    mt_lock(&c->lock);
    c->stopping = true;
    for (struct console_session *s = c->sessions; s; s = s->next) {
        console_notice(s, "the runtime stops; this session ends");
        mt_lock(&s->lock);
        s->stop = s->stop_all = true;
        if (s->vm && s->running) mt_vm_session_stop(s->vm);
        mt_cond_broadcast(&s->news);
        mt_unlock(&s->lock);
    }
    mt_unlock(&c->lock);
    console_socket_close(c);
    console_end_http(c);
    mt_lock(&c->lock);
    while (c->count > 0) mt_cond_wait(&c->gone, &c->lock, MT_NO_DEADLINE);
    mt_unlock(&c->lock);
    pthread_cond_destroy(&c->gone);
    pthread_mutex_destroy(&c->lock);
    free(c);
}

void mt_console_reloaded(struct mt_console *c) {
    if (!c) return;
    mt_lock(&c->lock);
    for (struct console_session *s = c->sessions; s; s = s->next) {
        mt_lock(&s->lock);
        s->moved = true;
        mt_cond_broadcast(&s->news);
        mt_unlock(&s->lock);
    }
    mt_unlock(&c->lock);
}
