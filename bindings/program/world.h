/* The simulated world of `mintage test`: a runtime, the sandbox and whoever drives them, in one process, with
 * virtual time, disks that lose what was not synced, a network of function calls, and a seed that decides all
 * that chance decides elsewhere. The runtime is the one that serves production; only its clock, transport,
 * randomness and disk are the world's.
 *
 * The thread that opens a world drives it, and nobody else calls these. While it waits in here the world goes
 * on. A runtime that dies (at a point of the plan, or by mt_world_kill) stands up again by itself. */
#pragma once
#include "base/error.h"
#include "bindings/vm/vm.h"
#include "http/message.h"
#include "http/server.h"
#include "store/disk.h"
#include <stdbool.h>
#include <stdint.h>

#define MT_WORLD_RUNTIME_URL "http://127.0.0.1:8080"
#define MT_WORLD_SANDBOX_URL "http://127.0.0.1:8090"
#define MT_WORLD_TOKEN "token-of-a-simulated-world"

struct mt_world;

/* MISHAPS: most that chance brings into one world. */
enum { MT_WORLD_DEATHS = 4, MT_WORLD_MISHAPS = 64, MT_WORLD_LOG_SIZE = 96 * 1024 };

/* Ways in which a world's runtime can be made unsound on purpose, to prove that what checks it can fail. */
enum mt_world_unsound {
    MT_WORLD_SOUND,
    MT_WORLD_FORGETS, /* nothing is durable when it is said to be: effects go out before their journal is kept
                       */
    MT_WORLD_REKEYS,  /* an idempotency key is another at each send */
    MT_WORLD_HASTY,   /* webhooks and signals are answered before they are stored */
    MT_WORLD_RESENDS, /* whatever got no answer is sent again */
    MT_WORLD_MISLAYS, /* its store forgets every third thing that runs say of their progress */
};

struct mt_world_options {
    uint64_t seed;
    int64_t start_ms;              /* 0: 2026-11-20T09:20:00Z */
    const struct mt_source *flows; /* the runtime's scripts, copied; NULL: those that ship */
    size_t flow_count;
    const char *config; /* JSON, as in a configuration file; NULL: none */
    /* The runtime dies at the n-th point, then at the m-th after that, and so on; 0: no more. What its disk
     * loses. */
    uint64_t deaths[MT_WORLD_DEATHS];
    enum mt_disk_crash loss;
    bool empty_disk; /* the runtime's disk has nothing on it; else an empty store, as an earlier start left it
                      */
    bool oracle;     /* the runtime's store is shadowed by the in-memory one, and compared with it */
    enum mt_world_unsound unsound;
    unsigned faults;  /* of 1,000 exchanges, how many go wrong on the way, until mt_world_calm */
    unsigned crashes; /* of 1,000 points, at how many the runtime dies, until mt_world_calm */
    unsigned mishaps; /* after so many of both it is calm; 0: MT_WORLD_MISHAPS */
    /* What goes wrong, exactly, instead of what chance brings: "p37 n12:lost n14:late=60000", as
     * mt_world_mishaps gives it. NULL: chance. */
    const char *plan;
    void *log; /* borrowed: MT_WORLD_LOG_SIZE zeroes to keep the log in; NULL: the world's own */
    /* Requests to any other host; on the driving thread. NULL, or false: there is no such host. */
    bool (*serve)(void *ctx, const struct mt_http_request *req, struct mt_http_response *resp);
    void *ctx;
};

/* NULL and *e when the flows are broken, or the configuration is. */
struct mt_world *mt_world_open(const struct mt_world_options *o, struct mt_error *e);
/* Ends everything; what was in memory and on the disks is gone. */
void mt_world_close(struct mt_world *w);

/* Sends a request as anybody outside does, to one of the URLs above or any other. As mt_transport.perform. */
int mt_world_request(struct mt_world *w, const struct mt_http_request *req, struct mt_http_response *resp,
                     struct mt_error *e);
/* The same without time passing, without points and without mishaps: what is known of the world from above
 * it.
 */
int mt_world_look(struct mt_world *w, const struct mt_http_request *req, struct mt_http_response *resp,
                  struct mt_error *e);
/* Lets everything happen that happens without time passing; then, when something is due by `until_ms` (wall
 * time), moves the clock there. False: nothing is. */
bool mt_world_step(struct mt_world *w, int64_t until_ms);
/* Lets so much time pass, and all that falls due in it happen. */
void mt_world_advance(struct mt_world *w, int64_t ms);
int64_t mt_world_now(const struct mt_world *w);
/* Replaces the runtime's scripts, as saving files does. -1: they are broken, and what was loaded stays. */
int mt_world_reload(struct mt_world *w, const struct mt_source *flows, size_t count, struct mt_error *e);

/* The runtime dies now. */
void mt_world_kill(struct mt_world *w);
/* No more faults and crashes of chance, and no more faults of the plan; its deaths stay. */
void mt_world_calm(struct mt_world *w);
bool mt_world_up(const struct mt_world *w);
/* Why the runtime cannot stand up again; NULL: it can. */
const struct mt_error *mt_world_broken(const struct mt_world *w);

/* With `oracle`: compares all there is, and answers the first difference that there ever was. NULL: none.
 * Borrowed. */
const char *mt_world_store_differs(struct mt_world *w);

/* How many points at which it could have died the runtime has passed; how often it died. */
uint64_t mt_world_points(const struct mt_world *w);
unsigned mt_world_died(const struct mt_world *w);
/* What went wrong so far, as a plan; caller frees. */
char *mt_world_mishaps(const struct mt_world *w);
/* What went on, a line each with its time: requests, points, deaths. The last few hundred; caller frees. */
char *mt_world_log(const struct mt_world *w);
/* The log that is kept in there; the world may be gone, with its process. */
char *mt_world_read_log(const void *memory);
/* How many worlds this process has open: it has threads then, and must not fork. */
unsigned mt_worlds_open(void);
