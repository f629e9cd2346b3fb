/* What the files of the simulated world share. Everything belongs to whoever holds the baton. */
#pragma once
#include "base/baton.h"
#include "base/id.h"
#include "base/sync.h"
#include "http/client.h"
#include "runtime.h"
#include "world.h"

/* Groups of the baton, and ends of the network. */
enum mt_side { SIDE_OUTSIDE, SIDE_RUNTIME, SIDE_SANDBOX, SIDES };

enum { LOG_LINES = 512, LOG_LINE = 160 };

struct mt_exchange {
    struct mt_world *w;
    struct mt_exchange *next; /* in the world's list, while it is under way */
    int refs;
    enum mt_side from, to;
    unsigned life; /* of the runtime, when it was sent there */
    struct mt_http_request req;
    struct mt_http_response resp;
    enum { NO_ANSWER, ANSWERED, RESET, CUT } end;
    uint32_t done; /* word: 1 when it has ended */
};

struct mt_world_clock {
    struct mt_clock base;
    struct mt_world *w;
    uint32_t word; /* changes with every wake */
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
    uint64_t points, since_death;
    bool broken;
    struct mt_error error;
    char (*log)[LOG_LINE];
    size_t logged;
};

void world_log(struct mt_world *w, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* A point at which the runtime may die: then this does not return. */
void world_point(struct mt_world *w, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Wakes the driver. */
void world_ring(struct mt_world *w);

/* world_net.c */
void world_net_init(struct mt_world *w, struct mt_world_net *net, enum mt_side side);
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
