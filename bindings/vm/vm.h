/* Executing scripts: one execution, one Lua state, one arena. An arena holds the image of a generation (a
 * state with the library and all scripts loaded) and is restored from it by copying before each execution; it
 * is forgotten afterwards. Executions end by returning, by an uncaught error, at a limit, or by
 * mt_vm_leave(), which longjmps out through whatever Lua or C of the library is running: so whoever calls it
 * (an effect) must hold no C resource.
 *
 * An execution belongs to the thread that called mt_vm_execute. Generations are immutable, counted, and
 * shared by threads. */
#pragma once
#include "base/buf.h"
#include "base/error.h"
#include <lua.h>
#include <stdint.h>

struct mt_vm;
struct mt_generation;

/* One file of a generation. "checkout.lua" at the top is loaded as a flow file; "lib/tax.lua" is found by
 * require "lib.tax". */
struct mt_source {
    const char *name;
    const char *text;
    size_t len;
};

/* A C module that scripts can require ("mintage.flow"). open() pushes its table; it is called once per image,
 * lazily at the first require in it (all memory it allocates through L lives in the arena). */
struct mt_vm_module {
    const char *name;
    int (*open)(lua_State *L);
};

/* An entry that every generation has, whatever its scripts: no part of its id, and not in its registry. */
struct mt_vm_entry {
    const char *name; /* "flow:console" */
    int (*call)(lua_State *L);
};

struct mt_vm_options {
    const struct mt_vm_module *modules; /* ends with a NULL name; borrowed */
    const struct mt_vm_entry *entries;  /* ends with a NULL name; borrowed; NULL: none */
    const struct mt_source
        *library; /* Mintage's own Lua modules: name "mintage.flow" etc.; part of each generation */
    size_t library_count;
    size_t memory_limit; /* bytes an execution may use beyond its image; 0: 32 MiB */
    int cpu_limit_ms;    /* CPU between two effects; 0: 1,000 */
    int depth_limit;     /* C and Lua call depth; 0: 190 (LUAI_MAXCCALLS is 200) for C, Lua's own for Lua */
};

struct mt_vm *mt_vm_new(const struct mt_vm_options *options, struct mt_error *e);
void mt_vm_free(struct mt_vm *vm); /* every generation must have been released */
/* For a process that has died in a simulated world: no thread is in the vm any more, or ever will be, and
 * what it had loaded or was executing is given up. Memory that generations hold outside arenas is not freed.
 */
void mt_vm_abandon(struct mt_vm *vm);

/* For a process that opens the same scripts over and over, in one simulated world after another: so many
 * arenas outlive their vm, and the next vm that loads the same generation with the same modules and limits
 * takes them over, instead of compiling and running its files. A forked process has them as well. 0, as it
 * begins: none. */
void mt_vm_keep_images(size_t most);

/* ---- generations ---- */

/* Files whose name has no ".lua" and begins with "mintage." are a library of the generation's own, in place
 * of the options': that is how a stored generation, whose files include the library it was made with, comes
 * back as it was. */
/* Loads the files in a scratch arena: compiles each, runs the top-level ones, collects what they register.
 * `settings` is the part of the configuration that scripts can see (JSON object, or NULL) and part of the
 * identity. Fails with MT_SCRIPT and a message that names file and line (e.g. "checkout.lua:12: '}' expected
 * near 'run'"). The generation has one reference. */
struct mt_generation *mt_generation_load(struct mt_vm *vm, const struct mt_source *files, size_t count,
                                         const char *settings, struct mt_error *e);
struct mt_generation *mt_generation_retain(struct mt_generation *g);
void mt_generation_release(struct mt_generation *g);
const char *mt_generation_id(const struct mt_generation *g); /* "sha256:<64 hex>" */
/* All that the id stands for: the library's modules ("mintage.flow"), then the scripts ("checkout.lua"), each
 * by name. */
const struct mt_source *mt_generation_files(const struct mt_generation *g, size_t *count);
const char *mt_generation_settings(const struct mt_generation *g); /* JSON; "{}" when none */
/* What the scripts registered, in the order they did: JSON array of {"kind","name","file","line",
 * ...description}. Borrowed. */
const char *mt_generation_registry(const struct mt_generation *g);

/* ---- for modules, while a generation is loading ---- */

/* Whether L is loading a generation (registrations are allowed, effects are not). */
bool mt_vm_loading(lua_State *L);
/* lua_next in the order in which scripts see keys (numbers, strings, booleans; others raise): for every C
 * loop over a script's table whose order could be seen, in an error's text for instance. */
int mt_ordered_next(lua_State *L, int index);
/* The generation L is loading or running (for its settings). Borrowed. */
const struct mt_generation *mt_vm_generation(lua_State *L);
/* Registers the function at `index` as the entry "kind:name" with a description (JSON object text, or NULL).
 * Raises when not loading, or when this entry exists (naming both files). */
void mt_vm_register(lua_State *L, const char *kind, const char *name, int index, const char *description);

/* ---- executing ---- */

enum mt_exit {
    MT_EXIT_RETURNED, /* take() has consumed its results */
    MT_EXIT_RAISED,   /* an uncaught error table of the world (mintage.error): error holds its JSON */
    MT_EXIT_BUG,      /* any other uncaught error: message and traceback, in terms of the script */
    MT_EXIT_LIMIT,    /* memory, CPU or depth; message says which and how much */
    MT_EXIT_LEFT      /* mt_vm_leave(); code is what it was given */
};

struct mt_vm_result {
    enum mt_exit exit;
    int code;
    char message[1024];   /* BUG, LIMIT: "checkout.lua:31: attempt to ..." */
    char traceback[4096]; /* BUG: frames of scripts only, one a line: "checkout.lua:31: in function 'run'" */
    char site[96];        /* BUG, LIMIT, RAISED: "checkout.lua:31" where known */
    struct mt_buf error;  /* RAISED: JSON of the error; caller clears (mt_vm_result_clear) */
    size_t memory_used;
    int64_t cpu_us;
};
void mt_vm_result_clear(struct mt_vm_result *r);

struct mt_vm_call {
    const char *entry; /* "flow:checkout", "route:POST /shop/orders" */
    int (*push)(lua_State *L,
                void *arg); /* pushes the arguments, returns their number; runs protected; may raise */
    int (*take)(lua_State *L,
                void *arg); /* results are 1..lua_gettop(L); runs protected; may raise. NULL: ignored */
    void *arg;
    void *context; /* what mt_vm_context() answers (struct mt_exec *) */
    /* Looks at an execution that stands still (inspect.h): called on this thread when it was left by
     * mt_vm_leave, or where an error that nobody catches was raised, while its stack is as it was there. L is
     * the coroutine that ran. It must neither run the script nor raise. NULL: nobody looks. */
    void (*look)(lua_State *L, void *arg);
};
/* Restores an arena and runs the entry to its end on this thread. Always fills *out. */
void mt_vm_execute(struct mt_vm *vm, struct mt_generation *g, const struct mt_vm_call *call,
                   struct mt_vm_result *out);

/* The context of the execution L belongs to; NULL while loading. */
void *mt_vm_context(lua_State *L);
/* Leaves the execution at once: no __close, no __gc, no pcall sees it. Code > 0. */
_Noreturn void mt_vm_leave(lua_State *L, int code);
/* Around every effect: the CPU count stops and starts anew (what is waited for is not the script's doing),
 * and for its length the watchdog leaves this thread alone. */
void mt_vm_effect_begin(lua_State *L);
void mt_vm_effect_end(lua_State *L);
/* "checkout.lua:31": the innermost script line that is running; "" when unknown. */
void mt_vm_site(lua_State *L, char out[96]);
/* The traceback in terms of scripts, a frame a line, innermost first. */
void mt_vm_traceback(lua_State *L, char *out, size_t size);
/* A C buffer of the arena of L, emptied (i: 0 to 3), for modules that build text while Lua may raise or
 * leave: nothing is lost by that. Valid until the next call with the same i, or the end of the execution; 0
 * is also used by mt_value_push. */
struct mt_buf *mt_vm_scratch(lua_State *L, int i);
/* Memory from the arena of L, for C code that must keep something for the length of the execution; never
 * freed, leaves at the memory limit. */
void *mt_vm_alloc(lua_State *L, size_t size);

/* ---- sessions ---- */

/* A session is a state that goes on from one execution to the next: what a person's console is. Its arena
 * holds a generation's image and is not restored in between, so what one execution leaves in globals the next
 * one finds. An execution that passes a limit, leaves, or is stopped is undone: everything is as it was
 * before it began. Between executions garbage is collected. One thread at a time; mt_vm_session_stop from
 * any. */
struct mt_vm_session;

enum { MT_VM_STOPPED = 1 << 20, MT_VM_DEADLINE }; /* codes of MT_EXIT_LEFT */

/* NULL and e when the generation cannot be loaded. Keeps a reference of g. */
struct mt_vm_session *mt_vm_session_new(struct mt_vm *vm, struct mt_generation *g, struct mt_error *e);
void mt_vm_session_free(struct mt_vm_session *s);
/* Runs call->push, which pushes a function and its arguments and answers how many those are, then the
 * function, then call->take; call->entry is not used. timeout_ms: of real time, 0 for none. Always fills
 * *out. */
void mt_vm_session_run(struct mt_vm_session *s, const struct mt_vm_call *call, int64_t timeout_ms,
                       struct mt_vm_result *out);
/* Stops the execution that runs now: at its next instruction, or when its effect has ended. */
void mt_vm_session_stop(struct mt_vm_session *s);
/* Forgets a stop that came too late for the execution it was meant for. */
void mt_vm_session_go_on(struct mt_vm_session *s);
/* Whether the execution of L has been stopped or its time is over: for effects that wait in slices. */
bool mt_vm_stopped(lua_State *L);
/* Leaves if so. Whoever calls it holds nothing. */
void mt_vm_leave_stopped(lua_State *L);
/* The same, for whoever has the session and not the state. */
bool mt_vm_session_stopped(struct mt_vm_session *s);
/* Gives the execution that runs so much more time: what a person takes to answer is not its own. */
void mt_vm_session_extend(struct mt_vm_session *s, int64_t ms);
/* Bytes in use beyond the image. */
size_t mt_vm_session_memory(const struct mt_vm_session *s);
