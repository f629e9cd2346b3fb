/* mintage.money: making money from text, minor units and tables, and adding lists of it. What money does
 * itself is in bindings/vm/money_value.c. Raises for what the programmer did wrong; money.parse answers nil,
 * err for text that came from elsewhere. The thread of the execution. */
#include "bindings/modules/module.h"
#include "bindings/modules/modules.h"

/* money "80.00 USD" | money(8000, "USD") | money{ amount = 8000, currency = "USD" } | money(m): -1 and e when
 * wrong. */
static int read_money(lua_State *L, int index, struct mt_money *m, struct mt_error *e) {
    const struct mt_money *same = mt_money_test(L, index);
    if (same != NULL) {
        *m = *same;
        return 0;
    }
    switch (lua_type(L, index)) {
    case LUA_TSTRING:
        return mt_money_parse(lua_tostring(L, index), m, e);
    case LUA_TNUMBER:
        if (!lua_isinteger(L, index))
            return mt_fail(
                e, MT_INVALID_REQUEST,
                "money: found a float, wanted minor units as an integer or text like \"80.00 USD\"");
        if (lua_type(L, index + 1) != LUA_TSTRING)
            return mt_fail(e, MT_INVALID_REQUEST, "money: minor units need a currency: money(8000, \"USD\")");
        return mt_money_make(lua_tointeger(L, index), lua_tostring(L, index + 1), m, e);
    case LUA_TTABLE:
        lua_settop(L, index);
        lua_pushliteral(L, "amount");
        lua_rawget(L, index);
        lua_pushliteral(L, "currency");
        lua_rawget(L, index);
        if (!lua_isinteger(L, -2))
            return mt_fail(e, MT_INVALID_REQUEST,
                           "money.amount: found a %s, wanted minor units as an integer",
                           lua_type(L, -2) == LUA_TNUMBER ? "float" : luaL_typename(L, -2));
        return read_money(L, index + 1, m, e);
    default:
        return mt_fail(e, MT_INVALID_REQUEST, "money: found a %s, wanted text like \"80.00 USD\"",
                       luaL_typename(L, index));
    }
}

static int money_call(lua_State *L) {
    struct mt_money m;
    struct mt_error e;
    if (read_money(L, 2, &m, &e) != 0) return luaL_error(L, "%s", e.message);
    mt_money_push(L, &m);
    return 1;
}

static int money_parse(lua_State *L) {
    struct mt_money m;
    struct mt_error e;
    if (read_money(L, 1, &m, &e) == 0) {
        mt_money_push(L, &m);
        return 1;
    }
    lua_pushnil(L);
    mt_error_push(L, &e);
    return 2;
}

static int money_zero(lua_State *L) {
    struct mt_money m;
    struct mt_error e;
    if (mt_money_make(0, luaL_checkstring(L, 1), &m, &e) != 0) return luaL_error(L, "%s", e.message);
    mt_money_push(L, &m);
    return 1;
}

/* money.sum(list [, currency]): the currency is what an empty list is zero of. */
static int money_sum(lua_State *L) {
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 2);
    lua_Integer n = luaL_len(L, 1);
    struct mt_money sum;
    struct mt_error e;
    if (!lua_isnoneornil(L, 2)) {
        if (mt_money_make(0, luaL_checkstring(L, 2), &sum, &e) != 0) return luaL_error(L, "%s", e.message);
    } else if (n == 0) {
        return luaL_error(L, "the sum of an empty list has no currency: money.sum(list, \"USD\")");
    }
    for (lua_Integer i = 1; i <= n; i++) {
        lua_geti(L, 1, i);
        const struct mt_money *m = mt_money_test(L, -1);
        if (m == NULL)
            return luaL_error(L, "money.sum: element %I is a %s, wanted money", (LUAI_UACINT)i,
                              luaL_typename(L, -1));
        if (i == 1 && lua_isnoneornil(L, 2)) {
            sum = *m;
        } else if (mt_money_add(&sum, m, &sum, &e) != 0) {
            return luaL_error(L, "money.sum: element %I: %s", (LUAI_UACINT)i, e.message);
        }
        lua_pop(L, 1);
    }
    mt_money_push(L, &sum);
    return 1;
}

static int money_is(lua_State *L) {
    luaL_checkany(L, 1);
    lua_pushboolean(L, mt_money_test(L, 1) != NULL);
    return 1;
}

int mt_open_money(lua_State *L) {
    static const luaL_Reg functions[] = {
        {"is", money_is}, {"parse", money_parse}, {"sum", money_sum}, {"zero", money_zero}, {NULL, NULL}};
    luaL_newlib(L, functions);
    mt_module_seal(L, "mintage.money");
    lua_getmetatable(L, -1);
    lua_pushcfunction(L, money_call);
    lua_setfield(L, -2, "__call");
    lua_pop(L, 1);
    return 1;
}
