/* mintage.testing: what specs of `mintage test` need from C. The Lua half is testing.lua. A plain Lua state,
 * not the sandboxed one: specs are trusted. One thread calls it. */
#pragma once
#include "http/message.h"
#include <lua.h>

/* The module mintage.testing.native: processes, HTTP, JSON, a receiver of requests, and the time. */
int mt_open_testing(lua_State *L);

/* Its parts, each adding functions to the table at the top of the stack. */
void mt_testing_add_processes(lua_State *L); /* testing_process.c */
void mt_testing_add_http(lua_State *L);      /* testing_http.c */
void mt_testing_add_json(lua_State *L);      /* testing_json.c */
void mt_testing_add_sockets(lua_State *L);   /* testing_socket.c */
void mt_testing_add_world(lua_State *L);     /* testing_world.c */

void mt_testing_add_forks(lua_State *L); /* testing_fork.c */

/* The memory behind a shared log (testing_fork.c) at `index`; NULL: there is none. */
void *mt_testing_shared_log(lua_State *L, int index);
/* A request from the table at `index`: method, url, headers, body, timeout_ms. The caller clears it. */
void mt_testing_read_request(lua_State *L, int index, struct mt_http_request *req);
/* A table: status, headers (names in small letters), body, duration_us. */
void mt_testing_push_response(lua_State *L, const struct mt_http_response *resp);
