/* Watches the folder of flows and loads it again when it changes: inotify with a short pause for editors that
 * save in several steps, and a look at times and sizes now and then for file systems that tell nothing. One
 * thread of its own. */
#pragma once
#include "generations.h"

struct mt_reload;

/* loaded(ctx, result, error): after each attempt, on the watcher's thread. */
/* config: the configuration file, whose settings for scripts are part of a generation; NULL: none. */
struct mt_reload *mt_reload_start(struct mt_generations *g, const char *dir, const char *config,
                                  void (*loaded)(void *ctx, enum mt_load result, const struct mt_error *e),
                                  void *ctx, struct mt_error *e);
void mt_reload_stop(struct mt_reload *r);
