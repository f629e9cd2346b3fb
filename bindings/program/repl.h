/* What the files of `mintage repl` share. The client is one thread: it edits lines, sends what was entered
 * and shows what comes; a connection by HTTP and a runtime of --offline have threads of their own behind it.
 * All that runs, runs in the runtime (console.h); nothing here decides what is allowed. */
#pragma once
#include "base/buf.h"
#include "base/config.h"
#include "terminal.h"
#include <jansson.h>

struct lua_State;

/* ---- repl_connection.c: lines of JSON to the runtime and back ---- */

struct repl_connection;

/* How to reach a runtime; borrowed strings. */
struct repl_target {
    const char *data; /* its folder: the socket in it; NULL: by HTTP */
    const char *url;
    const char *token;
};

enum repl_got { REPL_GOT, REPL_NOTHING, REPL_LOST };

/* The path of the socket in a data folder. False: too long for any file. */
bool mt_repl_socket_path(const char *data, char *out, size_t size);
/* Connects and says hello. The answer to it goes to *answer (new reference); hello is borrowed. NULL and e:
 * nobody there, or refused. */
struct repl_connection *mt_repl_connect(const struct repl_target *target, const json_t *hello,
                                        json_t **answer, struct mt_error *e);
void mt_repl_disconnect(struct repl_connection *c);
/* Takes the message. False: the connection is lost. */
bool mt_repl_send(struct repl_connection *c, json_t *message);
/* The next message that has come (new reference), without waiting. */
enum repl_got mt_repl_receive(struct repl_connection *c, json_t **message);
/* Readable when something has come. */
int mt_repl_fd(const struct repl_connection *c);

/* ---- repl_bridge.c: the same by HTTP ---- */

/* Opens a session and starts a thread that carries lines of the socket *fd to it and its answers back.
 * *answer: what hello was answered. */
struct repl_bridge *mt_repl_bridge(const char *url, const char *token, const json_t *hello, int *fd,
                                   json_t **answer, struct mt_error *e);
/* After fd has been closed. */
void mt_repl_bridge_free(struct repl_bridge *b);

/* ---- repl_offline.c: a runtime in this process that runs no flows ---- */

struct repl_offline;

struct repl_offline *mt_repl_offline_start(struct mt_config *config, struct mt_error *e);
void mt_repl_offline_stop(struct repl_offline *o);

/* ---- repl_input.c: what is a whole statement ---- */

enum repl_whole { REPL_WHOLE, REPL_PART, REPL_WRONG };

/* Whether the text is a chunk or an expression, the beginning of one, or can never become one. */
enum repl_whole mt_repl_whole(struct lua_State *L, const char *code);
/* Whether a line goes on with the statement before it, though that is whole by itself (":method()"). */
bool mt_repl_goes_on(const char *line);
/* Makes variables of the session of those that a statement declares: "local x = 1" would end with its chunk.
 * Same length or longer, same lines. Caller frees. */
char *mt_repl_session_variables(const char *code);

/* ---- repl_history.c: what was entered, of one user ---- */

/* Where it is kept. False: there is no home. Makes the folder. */
bool mt_repl_history_path(char *out, size_t size);
/* Gives each entry, the oldest first. Shortens a file that has grown too long. */
void mt_repl_history_load(const char *path, void (*entry)(void *ctx, const char *text), void *ctx);
void mt_repl_history_add(const char *path, const char *text);
/* Whether the text seems to hold a card's number, an ePIN or the value of a secret field. */
bool mt_repl_has_secret(const char *text);
/* What stands for these lines in the history: one line; NULL: it is not to be remembered. Caller frees. */
char *mt_repl_history_line(const char *text);

/* ---- repl_screen.c: what is written ---- */

struct repl_screen {
    FILE *out;
    const struct mt_colors *colors;
    bool colored;
};

/* Text of the runtime, in which nothing but colours can steer the terminal. Caller frees. */
char *mt_repl_clean(const struct repl_screen *s, const char *text);
void mt_repl_write(const struct repl_screen *s, const char *text);
/* The same, and ends its line. */
void mt_repl_write_line(const struct repl_screen *s, const char *text);
/* Columns of text as shown: colours take none. */
size_t mt_repl_columns(const char *text);

/* ---- repl_line.c: editing a line ---- */

struct repl_line;

enum repl_read { REPL_LINE, REPL_CLEARED, REPL_END };

/* What the editor asks while it waits. */
struct repl_line_hooks {
    /* What TAB offers for text up to the cursor: an array of strings (new reference), *start the byte where
     * the word that they stand for begins. NULL: nothing. */
    json_t *(*complete)(void *ctx, const char *text, size_t *start);
    /* The connection has something, or a moment has passed. True: the prompt may have changed. */
    bool (*news)(void *ctx);
    /* What to wait for; -1: nothing. *timeout_ms: the moment; -1: none. */
    int (*wait)(void *ctx, int *timeout_ms);
    void *ctx;
};

/* signals: a descriptor for SIGINT, SIGWINCH, SIGTSTP, SIGTERM and SIGHUP (signalfd). */
struct repl_line *mt_repl_line_new(const struct repl_screen *screen, const struct repl_line_hooks *hooks,
                                   int signals);
void mt_repl_line_free(struct repl_line *l);
/* Reads a line. The prompt is text with colours; it is asked for again when it may have changed. *text is
 * borrowed until the next call. */
enum repl_read mt_repl_line_read(struct repl_line *l, void (*prompt)(void *ctx, char *out, size_t size),
                                 const char **text);
/* Between lines the terminal neither echoes nor edits: what is typed ahead is for the next line. Whoever
 * reads it otherwise (a question), or lets others have it, has it as it was meanwhile. NULL: nothing to do.
 */
void mt_repl_line_lend(struct repl_line *l);
void mt_repl_line_take_back(struct repl_line *l);
void mt_repl_line_remember(struct repl_line *l, const char *text);
/* Writes a line above the one that is edited, if one is. */
void mt_repl_line_above(struct repl_line *l, const char *text);

/* ---- repl_session.c: one connection's life, and evaluating ---- */

struct repl {
    const struct mt_config *config;
    struct repl_target target;
    struct repl_screen screen;          /* where people look */
    struct repl_connection *connection; /* NULL: lost */
    struct repl_offline *offline;
    struct repl_line *line; /* NULL: nobody edits */
    struct lua_State *lua;  /* to tell what is whole; runs nothing */
    struct mt_buf pending;  /* the lines of a statement that is not whole yet */
    json_t *hello;          /* what the runtime said of itself */
    char where[600];        /* "the runtime of ./mintage-data", for people */
    char lost[320];         /* why the connection ended, as the runtime said; "" */
    json_t *held;           /* a message that came during a question; NULL: none */
    int64_t asked_ms;       /* how long the evaluation waited for answers */
    int64_t retry_ms;       /* when to try again */
    int64_t id;
    int signals; /* signalfd; -1: none */
    bool json, yes, read_only, timing, attended;
    bool unsent; /* the evaluation had not reached the runtime when the connection was lost */
    bool leave;  /* whoever sits there wants to leave */
};

/* What became of a chunk. */
enum repl_end { REPL_DONE, REPL_FAILED, REPL_GONE };

int mt_repl_open(struct repl *r, struct mt_error *e);
/* Takes up a lost connection again, as a new session. */
int mt_repl_reconnect(struct repl *r, struct mt_error *e);
void mt_repl_close(struct repl *r);
/* Evaluates and shows what comes. name: what an error is said to be in, "standard input, line 3"; NULL:
 * nothing is said of it. */
enum repl_end mt_repl_eval(struct repl *r, const char *code, const char *name);
/* Something worth telling that nobody asked for. */
void mt_repl_tell(struct repl *r, const char *text);
/* For the editor: see repl_line_hooks. */
json_t *mt_repl_complete(void *repl, const char *text, size_t *start);
bool mt_repl_news(void *repl);
int mt_repl_wait(void *repl, int *timeout_ms);
int64_t mt_repl_now_ms(void);

/* ---- repl_question.c ---- */

/* Asks at the terminal. Answers 1 yes, 0 no, -1 what asked has ended. */
int mt_repl_ask(struct repl *r, const char *text, bool production);

/* ---- repl_prompt.c: at a terminal ---- */

int mt_repl_interactive(struct repl *r, const char *first);
