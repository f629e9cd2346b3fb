/* The console of a running process: sessions of operators, over a Unix socket in the data folder and over
 * HTTP. A session has a Lua state of its own, on a thread of its own, never a worker of the crew. See
 * console_private.h for how it is made and console/ for its Lua half. */
#pragma once
#include "runtime.h"

struct mt_console;

/* Listens on DATA/console.sock. A socket that a dead process left is replaced. NULL and e: it cannot. */
struct mt_console *mt_console_start(struct mt_runtime *rt, struct mt_error *e);
/* Tells sessions that the process stops, ends them, takes the socket away. Before the engine is stopped. */
void mt_console_stop(struct mt_console *c);
/* The generation has changed: sessions move to it before their next command. Any thread. */
void mt_console_reloaded(struct mt_console *c);
