/* flow.every and flow.cron, and what can be checked of schedules only when all files are loaded. */
#pragma once
#include "base/error.h"
#include <jansson.h>
#include <lua.h>

int mt_schedule_every(lua_State *L);
int mt_schedule_cron(lua_State *L);

/* Whether each schedule of a registry starts a flow that it has, with an input that it takes. -1: "FILE:LINE:
 * ..." in e. */
int mt_schedules_check(const json_t *registry, struct mt_error *e);
