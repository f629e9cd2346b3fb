/* What a console's person does, in the store's record: each command, and each effect of it that changes
 * something, before it is done and after. On the session's thread. */
#include "console_private.h"
#include "engine/audit.h"

static struct mt_deed deed_of(const struct console_session *s, const char *what, const char *object,
                              const char *detail) {
    return (struct mt_deed){
        .who = s->who, .via = s->via, .session = s->id, .what = what, .object = object, .detail = detail};
}

int console_audit_begin(struct console_session *s, const char *what, const char *object, const char *detail,
                        int64_t *n, struct mt_error *e) {
    struct mt_runtime *rt = s->console->rt;
    struct mt_deed deed = deed_of(s, what, object, detail);
    return mt_engine_audit_begin(rt->engine, &deed, rt->clock->wall_ms(rt->clock), n, e);
}

void console_audit_end(struct console_session *s, const char *what, int64_t n, const char *outcome,
                       const char *result, int64_t ms) {
    struct mt_runtime *rt = s->console->rt;
    struct mt_deed deed = deed_of(s, what, NULL, NULL);
    mt_engine_audit_end(rt->engine, &deed, n, outcome, result, ms, rt->clock->wall_ms(rt->clock));
}
