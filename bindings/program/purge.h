/* mintage runs purge and erase: asks a runtime to forget runs, having asked the person at the terminal. One
 * thread. */
#pragma once
#include "base/config.h"
#include "client.h"
#include "terminal.h"

struct mt_purge_words {
    const char *before, *flow; /* NULL: as the runtime keeps them; any */
    bool dry, yes, json;
};
int mt_purge_print(struct mt_client *client, const struct mt_purge_words *words,
                   const struct mt_colors *colors, struct mt_error *e);
int mt_erase_print(struct mt_client *client, const char *run, const struct mt_purge_words *words,
                   const struct mt_colors *colors, struct mt_error *e);
