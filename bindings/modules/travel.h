/* Travelling through a run's journal (engine/travel.h) by the scripts of its own generation, or by edited
 * ones. Any thread. */
#pragma once
#include "bindings/modules/script.h"

struct mt_scripts_travel {
    const char *run;
    int segment; /* negative: the newest */
    int at;      /* 0: as far as the journal goes */
    /* What if: other code on the same journal. Files take the place of those of the run's generation that
     * have their names, or of all of its scripts (`whole`); one without a name ("") is the flow's own file.
     * Nothing is kept of them, and they are given stand-ins for secrets. Or another generation, by its id.
     * Neither: the code that the run has. */
    const struct mt_source *files;
    size_t count;
    bool whole;
    const char *generation;
    const char *look; /* a variable and its members, shown whole: "order.items[2]"; NULL: none */
    int level;        /* of the frame that it is looked for in; 0: the innermost */
};

/* As mt_engine_travel, with "frames" (vm/inspect.h), "files" (those that differ; null without), and "look"
 * {"path","type","value"} or {"path","problem"}. -1 as there, and MT_SCRIPT when edited code does not load.
 */
int mt_scripts_travel(struct mt_scripts *s, const struct mt_scripts_travel *t, json_t **out,
                      struct mt_error *e);
