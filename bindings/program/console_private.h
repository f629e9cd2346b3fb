/* What the files of the console share. A session is a queue of messages and a thread that carries them out in
 * order: console_session.c, console_eval.c. What comes and goes on the wire is a transport's:
 * console_socket.c, api_console.c. What its Lua half calls is console_native.c. */
#pragma once
#include "base/buf.h"
#include "base/sync.h"
#include "bindings/vm/vm.h"
#include "console.h"
#include "http/assets.h"
#include <jansson.h>
#include <lua.h>

enum {
    CONSOLE_SESSIONS_MAX = 16,
    CONSOLE_LINE_MAX = 1024 * 1024,       /* bytes of one message, either way */
    CONSOLE_QUEUE_MAX = 64,               /* messages that wait */
    CONSOLE_OUTPUT_MAX = 4 * 1024 * 1024, /* bytes that one command may print */
    CONSOLE_TEXT_MAX = 160 * 1024,        /* of a rendered result: escaped as JSON it fits a line */
    CONSOLE_IDLE_MS = 30 * 60 * 1000,
    CONSOLE_TIMEOUT_MS = 30 * 1000,
    CONSOLE_TIMEOUT_MAX_MS = 60 * 60 * 1000,
    CONSOLE_WIDTH = 100,
};

enum console_confirm { CONFIRM_ASK, CONFIRM_YES, CONFIRM_NO };

struct console_message {
    json_t *json;
    struct console_message *next;
};

struct console_session {
    struct mt_console *console;
    char id[MT_ID_SIZE];
    /* as hello said; not changed afterwards */
    char who[72];   /* who is audited: as he calls himself, or "uid 1000" */
    char via[96];   /* "socket uid 1000", "http 127.0.0.1" */
    bool http;      /* it lives from request to request */
    char user[160]; /* "ann (uid 1000)" */
    int width;
    bool color, read_only;
    enum console_confirm confirm;
    int64_t timeout_ms;
    /* the wire: one line of JSON, without its end. False: nobody listens any more. Any thread, one at a time
     */
    bool (*send)(struct console_session *s, const char *line, size_t len);
    void *wire;
    void (*hang_up)(
        struct console_session *s); /* frees the wire, once nobody uses the session; NULL: nothing */

    pthread_mutex_t lock; /* what follows */
    pthread_cond_t news;
    struct console_message *first, *last;
    size_t queued;
    bool running;   /* a message is being carried out */
    bool stop;      /* what is being carried out is to end */
    bool stop_all;  /* the session ends */
    bool stop_next; /* an interrupt came before its command was taken from the queue */
    bool moved;     /* the generation has changed */
    int answer;     /* to the question asked: -1 none yet, 0 no, 1 yes */
    bool asking;
    int64_t active_ns; /* when something last came */
    bool ended;        /* the thread has nothing more to do */

    pthread_mutex_t wire_lock; /* send */
    _Atomic bool deaf;         /* nobody listens */

    /* the session's thread's own */
    pthread_t thread;
    struct mt_vm_session *vm;
    struct mt_exec *exec; /* of the command that runs */
    struct mt_generation *generation;
    int64_t id_now; /* the message that is carried out */
    size_t printed;
    int64_t command;     /* its number in the record */
    int64_t deed;        /* that of the effect that is under way; 0: none */
    int64_t deed_ns;     /* when it began */
    char deed_what[96];  /* what it is */
    struct mt_buf told;  /* what the command came to, for the record */
    const char *outcome; /* "done", "failed", ... */
    const char
        *last_type; /* the type of the command's last message, which is sent once the record has its end */
    json_t *last_more;
    bool granted;                 /* a person has just said yes: the next deed does not ask again */
    struct console_session *next; /* under the console's lock, as the next */
    size_t users;                 /* requests that hold it */
};

struct mt_console {
    struct mt_runtime *rt;
    char path[4200]; /* of the socket */
    int listener, wake[2];
    pthread_t acceptor;
    pthread_mutex_t lock; /* sessions, count, stopping, users */
    pthread_cond_t gone;
    struct console_session *sessions;
    size_t count;
    bool stopping;
    size_t connections;
};

/* ---- console_session.c ---- */

/* From a hello; NULL and e: refused. The session's thread runs; send is called from it. `who`: the user as
 * the transport knows him ("uid 1000"). */
struct console_session *
console_session_new(struct mt_console *c, const json_t *hello, const char *who, const char *via,
                    bool (*send)(struct console_session *s, const char *line, size_t len), void *wire,
                    struct mt_error *e);
/* A message that has come. False: the session ends with it (bye). Takes the reference. Any thread. */
bool console_session_take(struct console_session *s, json_t *message);
/* Stops what runs, waits for the thread and for those who use it, frees. For the one whose connection it is.
 */
void console_session_end(struct console_session *s);
/* The same for sessions over HTTP: the one of this id (false: there is none), the idle ones, all. */
bool console_end_named(struct mt_console *c, const char *id);
void console_end_idle(struct mt_console *c);
void console_end_http(struct mt_console *c);
/* The session that has this id and comes over HTTP, for console_session_release; NULL: none. */
struct console_session *console_session_find(struct mt_console *c, const char *id);
void console_session_release(struct console_session *s);
/* A hello as it was answered. New reference. */
json_t *console_hello(struct console_session *s);
/* Text as JSON, masked; what is no UTF-8 is replaced. At most `max` bytes of it. New reference. */
json_t *console_shown(const char *text, size_t len, size_t max);
/* {"type":type,"id":id,...}; takes `more` (an object, or NULL). id < 0: none. */
void console_send(struct console_session *s, const char *type, int64_t id, json_t *more);
void console_notice(struct console_session *s, const char *text);
/* What print writes, at most CONSOLE_OUTPUT_MAX a command. False: that is used up. */
bool console_output(struct console_session *s, const char *text, size_t len);
/* For effects that wait: whether the command is to end. */
bool console_stopped(struct console_session *s);
/* Asks, and waits for the answer. False: no, nobody to answer, or stopped. */
bool console_confirm(struct console_session *s, const char *text, bool production);

/* ---- console_eval.c ---- */

/* The session's state on the current generation. */
int console_open_state(struct console_session *s, struct mt_error *e);
/* To the generation that is current now, with what globals can be taken along. */
void console_move(struct console_session *s);
/* A message that was taken from the queue: eval, complete; anything else is answered with an error. */
void console_carry_out(struct console_session *s, json_t *m);
/* Columns that results are fitted to, 40 to 500. */
void console_set_width(struct console_session *s, int64_t width);
/* A file of console/, NULL when there is none. */
const struct mt_asset *console_asset(const char *name);

/* ---- console_audit.c ---- */

/* Durable on return; -1 and e: nothing may be done. */
int console_audit_begin(struct console_session *s, const char *what, const char *object, const char *detail,
                        int64_t *n, struct mt_error *e);
void console_audit_end(struct console_session *s, const char *what, int64_t n, const char *outcome,
                       const char *result, int64_t ms);

/* ---- console_money.c ---- */

/* Asks the person, and turns operations into runs. */
void console_operator(struct console_session *s, struct mt_operator *out);
/* Whether some configured provider's base URL is not on this machine; their names are added to `names`. */
bool console_production(struct mt_runtime *rt, json_t *names);

/* ---- console_native.c ---- */

/* Pushes the table that the Lua half is given. */
void console_native_push(lua_State *L, struct console_session *s);
/* console_more.c: adds what objects need to the table on top. */
void console_more_push(lua_State *L);
/* The session whose state L is. */
struct console_session *console_of(lua_State *L);
