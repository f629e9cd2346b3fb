/* What the commands share that look at things of a running runtime and do something about them: `mintage runs
 * list`, `mintage events show 7`. One thread. */
#pragma once
#include "client.h"
#include "program.h"

struct mt_asking {
    struct mt_client client;
    const struct mt_config *config;
    const struct mt_colors *colors;
    bool json;
    bool incomplete;   /* not all that was asked for could be done */
    int argc;          /* behind the name of the action */
    const char **argv; /* as many */
};

struct mt_action {
    const char *name, *arguments; /* "ID [SEQ]", for people */
    int args, optional;
    int (*act)(struct mt_asking *x, struct mt_error *e);
};

/* Finds argv[0] among the actions, opens the client and acts. The exit code. */
int mt_act(const struct mt_command *self, const struct mt_action *actions, size_t count,
           struct mt_config *config, int argc, const char **argv);

/* Indented, in the order that the runtime wrote, and a line's end. */
void mt_print_json(const json_t *value);
/* "&name=value"; nothing when value is NULL. */
void mt_add_filter(struct mt_buf *path, const char *name, const char *value);
