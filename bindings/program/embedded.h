/* What the program carries inside it, made at build time from flows/ and bindings/lua (web/ is mt_assets,
 * http/assets.h). Read only. */
#pragma once
#include "http/assets.h"

extern const struct mt_asset mt_embedded_flows[];    /* flows/ without sandbox/ */
extern const struct mt_asset mt_embedded_sandbox[];  /* flows/sandbox/ */
extern const struct mt_asset mt_embedded_checking[]; /* the Lua half of mintage check */
extern const struct mt_asset mt_embedded_parser[];   /* luacheck's parser of Lua */
extern const struct mt_asset mt_embedded_types[];    /* bindings/types */
extern const struct mt_asset mt_embedded_testing[];  /* the Lua half of mintage.testing */
extern const struct mt_asset mt_embedded_worlds[];   /* that of mintage.world and of mintage test */
extern const struct mt_asset mt_embedded_console[];  /* the Lua half of the console */
extern const struct mt_asset mt_embedded_new[];      /* what mintage new writes */
