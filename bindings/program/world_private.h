/* What the files of the simulated world share. Everything belongs to whoever holds the baton. */
#pragma once
#include "base/baton.h"
#include "base/id.h"
#include "base/sync.h"
#include "http/client.h"
#include "runtime.h"
#include "store/shadow.h"
#include "world.h"
#include <sched.h>

/* Groups of the baton, and ends of the network. */
enum mt_side { SIDE_OUTSIDE, SIDE_RUNTIME, SIDE_SANDBOX, SIDES };

enum { LOG_LINES = 560, LOG_LINE = 160 };

struct mt_world_lines {
    uint64_t count;
    char lines[LOG_LINES][LOG_LINE];
};
_Static_assert(sizeof(struct mt_world_lines) <= MT_WORLD_LOG_SIZE, "the log's memory");

/* What goes wrong with an exchange. Names are in world_chance.c. */
enum mt_mishap_kind {
    MISHAP_NONE,
    MISHAP_REFUSED,   /* nobody listens */
    MISHAP_LOST,      /* it never arrives, and no answer comes */
    MISHAP_CUT,       /* it is answered, but the answer does not come back */
    MISHAP_SLOW,      /* its answer takes long */
    MISHAP_BUSY,      /* something in between answers 503 */
    MISHAP_TWICE,     /* it arrives twice */
    MISHAP_LATE,      /* it arrives long after the sender has given up */
    MISHAP_SWALLOWED, /* something in between says yes and forgets it */
    MISHAP_CLOCK,     /* the runtime's clock is set, by some seconds */
    MISHAP_DEATH,     /* of a point: the runtime dies there */
    MISHAP_KINDS
};

struct mt_mishap {
    uint64_t at; /* number of the exchange, or of the point */
    enum mt_mishap_kind kind;
    int64_t ms; /* SLOW, LATE, CLOCK */
};

struct mt_exchange {
    struct mt_world *w;
    struct mt_exchange *next; /* in the world's list, while it is under way */
    int refs;
    enum mt_side from, to;
    unsigned life; /* of the runtime, when it was sent there */
    struct mt_http_request req;
    struct mt_http_response resp;
    bool quiet;       /* seen from above: no points, no mishaps */
    int64_t delay_ms; /* on its way */
    enum { NO_ANSWER, ANSWERED, RESET, CUT } end;
    uint32_t done; /* word: 1 when it has ended */
};

struct mt_world_clock {
    struct mt_clock base;
    struct mt_world *w;
    int64_t wrong_ms; /* it is fast by so much */
    uint32_t word;    /* changes with every wake */
    uint32_t seen;
};

struct mt_world_net {
    struct mt_transport base;
    struct mt_world *w;
    enum mt_side side;
};

struct mt_world_side {
    enum mt_side side;
    struct mt_runtime *rt; /* NULL: down */
    struct mt_config *config;
    struct mt_disk *disk;
    struct mt_world_clock clock;
    struct mt_world_net net;
    struct mt_runtime_parts parts;
    bool up;
};

struct mt_world {
    struct mt_world_options o;
    struct mt_baton *baton;
    struct mt_random random;
    struct mt_seal_key key;
    struct mt_asset *flows; /* as embedded ones: what the next load reads; owned, ends with a NULL path */
    struct mt_world_side sides[SIDES];
    struct mt_world_net outside;
    struct mt_exchange *under_way;
    struct mt_exchange *inbox; /* for the driver to answer; linked by `next` */
    uint32_t driver;           /* word: changes when the driver has something to look at */
    uint32_t fallen;           /* word: changes when the runtime has died */
    bool closing, in_store;    /* in_store: it died inside SQLite */
    unsigned life, died;
    uint64_t points, since_death, exchanges, sends;
    struct mt_mishap planned[MT_WORLD_MISHAPS], happened[MT_WORLD_MISHAPS];
    size_t planned_count, happened_count;
    bool broken, moved;
    cpu_set_t cores; /* that the driver had before; moved: they are known */
    struct mt_error error;
    struct mt_shadow *shadow; /* of the runtime's store; NULL: none */
    struct mt_world_lines *log;
};

void world_log(struct mt_world *w, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* A point at which the runtime may die: then this does not return. */
void world_point(struct mt_world *w, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Wakes the driver. */
void world_ring(struct mt_world *w);

/* world_chance.c: what goes wrong, and when. */
int world_chance_plan(struct mt_world *w, const char *plan, struct mt_error *e);
bool world_chance_dies(struct mt_world *w); /* at the point that was just counted */
/* Counts an exchange; kind NONE: it goes well. */
struct mt_mishap world_chance_exchange(struct mt_world *w, enum mt_side from, enum mt_side to);
const char *world_mishap_name(enum mt_mishap_kind kind);

/* world_net.c */
void world_net_init(struct mt_world *w, struct mt_world_net *net, enum mt_side side);
/* As perform, but see mt_world_look. */
int world_net_look(struct mt_world *w, const struct mt_http_request *req, struct mt_http_response *resp,
                   struct mt_error *e);
/* Those under way to a runtime that has died. */
void world_net_reset(struct mt_world *w);
/* Answers what waits for the driver. */
void world_net_serve(struct mt_world *w);

/* world_side.c */
int world_side_open(struct mt_world *w, enum mt_side side, struct mt_error *e);
void world_side_start(struct mt_world *w, enum mt_side side); /* in its own group; answers through `up` */
void world_side_stop(struct mt_world *w, enum mt_side side);
void world_side_close(struct mt_world *w, enum mt_side side);
/* What is left of a runtime whose tasks have all died. */
void world_side_bury(struct mt_world *w, struct mt_runtime *rt);
