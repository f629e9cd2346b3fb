/* table.insert, remove and move: loops whose length a script decides (through __len, or a range), which ask
 * at every step whether the CPU limit has been reached. Otherwise as in Lua. The thread of the execution. */
#include "bindings/vm/internal.h"

static void check_list(lua_State *L, int index) {
    if (lua_type(L, index) == LUA_TTABLE) return;
    /* Anything that can be indexed and assigned to will do, as in Lua. */
    if (luaL_getmetafield(L, index, "__index") == LUA_TNIL) luaL_checktype(L, index, LUA_TTABLE);
    lua_pop(L, 1);
}

/* to[t] = from[f] */
static void copy_one(lua_State *L, struct mt_arena *a, int from, lua_Integer f, int to, lua_Integer t) {
    lua_geti(L, from, f);
    lua_seti(L, to, t);
    mt_limits_poll(a);
}

static int table_insert(lua_State *L) {
    struct mt_arena *a = mt_arena_of(L);
    check_list(L, 1);
    lua_Integer end = (lua_Integer)((lua_Unsigned)luaL_len(L, 1) + 1), pos = end;
    switch (lua_gettop(L)) {
    case 2:
        break;
    case 3:
        pos = luaL_checkinteger(L, 2);
        luaL_argcheck(L, (lua_Unsigned)pos - 1u < (lua_Unsigned)end, 2, "position out of bounds");
        for (lua_Integer i = end; i > pos; i--) copy_one(L, a, 1, i - 1, 1, i);
        break;
    default:
        return luaL_error(L, "wrong number of arguments to 'insert'");
    }
    lua_seti(L, 1, pos);
    return 0;
}

static int table_remove(lua_State *L) {
    struct mt_arena *a = mt_arena_of(L);
    check_list(L, 1);
    lua_Integer n = luaL_len(L, 1), pos = luaL_optinteger(L, 2, n);
    if (pos != n) luaL_argcheck(L, (lua_Unsigned)pos - 1u <= (lua_Unsigned)n, 2, "position out of bounds");
    lua_geti(L, 1, pos);
    for (; pos < n; pos++) copy_one(L, a, 1, pos + 1, 1, pos);
    lua_pushnil(L);
    lua_seti(L, 1, pos);
    return 1;
}

static int table_move(lua_State *L) {
    struct mt_arena *a = mt_arena_of(L);
    lua_Integer first = luaL_checkinteger(L, 2), last = luaL_checkinteger(L, 3), to = luaL_checkinteger(L, 4);
    int target = lua_isnoneornil(L, 5) ? 1 : 5;
    check_list(L, 1);
    check_list(L, target);
    if (last >= first) {
        luaL_argcheck(L, first > 0 || last < LUA_MAXINTEGER + first, 3, "too many elements to move");
        lua_Integer n = last - first + 1;
        luaL_argcheck(L, to <= LUA_MAXINTEGER - n + 1, 4, "destination wrap around");
        bool forward = to > last || to <= first || (target != 1 && !lua_compare(L, 1, target, LUA_OPEQ));
        for (lua_Integer i = 0; i < n; i++) {
            lua_Integer k = forward ? i : n - 1 - i;
            copy_one(L, a, 1, first + k, target, to + k);
        }
    }
    lua_pushvalue(L, target);
    return 1;
}

void mt_table_open(lua_State *L) {
    static const luaL_Reg functions[] = {
        {"insert", table_insert}, {"remove", table_remove}, {"move", table_move}, {NULL, NULL}};
    lua_getglobal(L, "table");
    luaL_setfuncs(L, functions, 0);
    lua_pop(L, 1);
}
