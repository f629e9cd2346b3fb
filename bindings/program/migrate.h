/* mintage runs migrate: asks a runtime to move runs to its newest code, and says what became of each. One
 * thread. */
#pragma once
#include "base/config.h"
#include "client.h"
#include "terminal.h"

struct mt_migrate_ask {
    const char *run, *flow; /* NULL: all */
    bool dry, json;
};
/* Prints; *all gets whether every run was moved, or would be. */
int mt_migrate_print(struct mt_client *client, const struct mt_migrate_ask *ask,
                     const struct mt_colors *colors, bool *all, struct mt_error *e);
