/* The story of a run in plain words, from the JSON of the API. No state. */
#pragma once
#include "terminal.h"
#include <jansson.h>
#include <stdint.h>
#include <stdio.h>

/* The whole story: the run, each entry of its journal, what it waits for or why it stopped, and what to do
 * next. */
void mt_story_print(FILE *out, const struct mt_colors *c, const json_t *run, const json_t *journal,
                    int64_t now_ms);
/* The colour that a state is shown in. */
const char *mt_story_color(const struct mt_colors *c, const char *state);
