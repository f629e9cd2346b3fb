/* Money as scripts hold it: a userdata with exact arithmetic. Invariant: never a float, never rounded unless
 * a ratio is asked for; mixing currencies or multiplying by a float raises, saying what to write instead. The
 * thread of the execution. */
#include "base/text.h"
#include "bindings/vm/internal.h"
#include <string.h>

static const char meta[] = "mintage.money";

void mt_money_push(lua_State *L, const struct mt_money *m) {
    struct mt_money *new = lua_newuserdatauv(L, sizeof(*new), 0);
    *new = *m;
    luaL_setmetatable(L, meta);
}

const struct mt_money *mt_money_test(lua_State *L, int index) {
    return luaL_testudata(L, index, meta);
}

static const struct mt_money *check_money(lua_State *L, int index) {
    const struct mt_money *m = mt_money_test(L, index);
    if (m == NULL)
        luaL_argerror(L, index, lua_pushfstring(L, "wanted money, found a %s", luaL_typename(L, index)));
    return m;
}

/* Pushes the result of an operation, or raises its error. */
static int push_result(lua_State *L, int failed, const struct mt_money *m, const struct mt_error *e) {
    if (failed) return luaL_error(L, "%s", e->message);
    mt_money_push(L, m);
    return 1;
}

/* ---- arithmetic ---- */

/* Both sides of + - < <=: operators give no argument numbers worth showing. */
static void check_both(lua_State *L, const char *operator, const struct mt_money ** a,
                       const struct mt_money **b) {
    *a = mt_money_test(L, 1);
    *b = mt_money_test(L, 2);
    if (*a == NULL || *b == NULL)
        luaL_error(L, "money %s needs money on both sides, found a %s", operator,
                   luaL_typename(L, *a == NULL ? 1 : 2));
}

static int money_add(lua_State *L) {
    const struct mt_money *a, *b;
    struct mt_money sum;
    struct mt_error e;
    check_both(L, "+", &a, &b);
    return push_result(L, mt_money_add(a, b, &sum, &e), &sum, &e);
}

static int money_sub(lua_State *L) {
    const struct mt_money *a, *b;
    struct mt_money difference;
    struct mt_error e;
    check_both(L, "-", &a, &b);
    return push_result(L, mt_money_sub(a, b, &difference, &e), &difference, &e);
}

static int money_unm(lua_State *L) {
    struct mt_money m;
    struct mt_error e;
    return push_result(L, mt_money_neg(check_money(L, 1), &m, &e), &m, &e);
}

static lua_Integer check_factor(lua_State *L, const char *operator, int index) {
    if (lua_isinteger(L, index)) return lua_tointeger(L, index);
    return luaL_error(
        L, "money %s needs an integer, found a %s; for a share of it use m:ratio(numerator, denominator)",
           operator, lua_type(L, index) == LUA_TNUMBER ? "float" : luaL_typename(L, index));
}

static int money_mul(lua_State *L) {
    int at = mt_money_test(L, 1) != NULL ? 1 : 2;
    lua_Integer factor = check_factor(L, "*", 3 - at);
    struct mt_money m;
    struct mt_error e;
    return push_result(L, mt_money_ratio(check_money(L, at), factor, 1, &m, &e), &m, &e);
}

static lua_Integer floor_div(lua_State *L, lua_Integer a, lua_Integer b) {
    if (b == 0) return luaL_error(L, "money divided by zero");
    if (b == -1) { /* the smallest integer has no opposite */
        if (a == LUA_MININTEGER) return luaL_error(L, "money: the amount is too large");
        return -a;
    }
    lua_Integer q = a / b;
    return a % b != 0 && (a % b < 0) != (b < 0) ? q - 1 : q;
}

/* money // integer: money, rounded down; money // money: how many times it fits. */
static int money_idiv(lua_State *L) {
    const struct mt_money *a = mt_money_test(L, 1), *b = mt_money_test(L, 2);
    if (a == NULL) return luaL_error(L, "a number cannot be divided by money");
    if (b != NULL) {
        if (strcmp(a->currency, b->currency) != 0)
            return luaL_error(L, "money // needs one currency, found %s and %s", a->currency, b->currency);
        lua_pushinteger(L, floor_div(L, a->minor, b->minor));
        return 1;
    }
    struct mt_money m = *a;
    m.minor = floor_div(L, a->minor, check_factor(L, "//", 2));
    mt_money_push(L, &m);
    return 1;
}

/* What m // n leaves. */
static int money_mod(lua_State *L) {
    const struct mt_money *a = mt_money_test(L, 1);
    if (a == NULL) return luaL_error(L, "a number cannot be divided by money");
    lua_Integer b = check_factor(L, "%%", 2);
    struct mt_money m = *a;
    lua_Integer q = floor_div(L, a->minor, b);
    m.minor = (lua_Integer)((lua_Unsigned)a->minor - (lua_Unsigned)q * (lua_Unsigned)b);
    mt_money_push(L, &m);
    return 1;
}

static int money_div(lua_State *L) {
    return luaL_error(L, "money cannot be divided by /, which makes floats: use //, m:split(n) or "
                         "m:ratio(numerator, denominator)");
}

static int money_eq(lua_State *L) {
    const struct mt_money *a = mt_money_test(L, 1), *b = mt_money_test(L, 2);
    lua_pushboolean(L, a != NULL && b != NULL && mt_money_equal(a, b));
    return 1;
}

static int compare(lua_State *L, const char *operator) {
    const struct mt_money *a, *b;
    struct mt_error e;
    int order;
    check_both(L, operator, & a, &b);
    if (mt_money_compare(a, b, &order, &e) != 0) return luaL_error(L, "%s", e.message);
    return order;
}

static int money_lt(lua_State *L) {
    lua_pushboolean(L, compare(L, "<") < 0);
    return 1;
}

static int money_le(lua_State *L) {
    lua_pushboolean(L, compare(L, "<=") <= 0);
    return 1;
}

static int money_tostring(lua_State *L) {
    char text[MT_MONEY_TEXT];
    mt_money_format(check_money(L, 1), text);
    lua_pushstring(L, text);
    return 1;
}

static int money_concat(lua_State *L) {
    for (int i = 1; i <= 2; i++)
        if (mt_money_test(L, i) == NULL && !lua_isstring(L, i))
            return luaL_error(L, "attempt to concatenate money and a %s value", luaL_typename(L, i));
    mt_tolstring(L, 1, NULL);
    mt_tolstring(L, 2, NULL);
    lua_concat(L, 2);
    return 1;
}

/* ---- methods ---- */

static int method_abs(lua_State *L) {
    const struct mt_money *a = check_money(L, 1);
    struct mt_money m = *a;
    struct mt_error e;
    if (a->minor >= 0) return push_result(L, 0, &m, &e);
    return push_result(L, mt_money_neg(a, &m, &e), &m, &e);
}

static int method_ratio(lua_State *L) {
    const struct mt_money *a = check_money(L, 1);
    lua_Integer numerator = check_factor(L, ":ratio", 2), denominator = check_factor(L, ":ratio", 3);
    struct mt_money m;
    struct mt_error e;
    return push_result(L, mt_money_ratio(a, numerator, denominator, &m, &e), &m, &e);
}

/* m:split(3) or m:split{ 70, 30 } */
static int method_split(lua_State *L) {
    enum { PARTS_MAX = 10000 };
    const struct mt_money *a = check_money(L, 1);
    bool weighted = lua_istable(L, 2);
    lua_Integer n = weighted ? (lua_Integer)lua_rawlen(L, 2) : check_factor(L, ":split", 2);
    if (n < 1 || n > PARTS_MAX)
        return luaL_error(L, "money:split makes 1 to %d parts, found %I", PARTS_MAX, (LUAI_UACINT)n);
    int64_t *weights = mt_vm_alloc(L, (size_t)n * sizeof(*weights));
    struct mt_money *parts = mt_vm_alloc(L, (size_t)n * sizeof(*parts));
    for (lua_Integer i = 0; i < n; i++) {
        weights[i] = 1;
        if (!weighted) continue;
        lua_rawgeti(L, 2, i + 1);
        weights[i] = check_factor(L, ":split", -1);
        lua_pop(L, 1);
    }
    struct mt_error e;
    if (mt_money_split(a, weights, (size_t)n, parts, &e) != 0) return luaL_error(L, "%s", e.message);
    lua_createtable(L, (int)n, 0);
    for (lua_Integer i = 0; i < n; i++) {
        mt_money_push(L, &parts[i]);
        lua_rawseti(L, -2, i + 1);
    }
    return 1;
}

static int method_format(lua_State *L) {
    const struct mt_money *a = check_money(L, 1);
    char text[128];
    mt_money_display(a, luaL_optstring(L, 2, "en"), text, sizeof(text));
    lua_pushstring(L, text);
    return 1;
}

static int push_sign(lua_State *L, int wanted) {
    int64_t minor = check_money(L, 1)->minor;
    lua_pushboolean(L, (minor > 0) - (minor < 0) == wanted);
    return 1;
}

static int method_is_zero(lua_State *L) {
    return push_sign(L, 0);
}
static int method_is_positive(lua_State *L) {
    return push_sign(L, 1);
}
static int method_is_negative(lua_State *L) {
    return push_sign(L, -1);
}

static const luaL_Reg methods[] = {{"abs", method_abs},
                                   {"format", method_format},
                                   {"is_negative", method_is_negative},
                                   {"is_positive", method_is_positive},
                                   {"is_zero", method_is_zero},
                                   {"ratio", method_ratio},
                                   {"split", method_split},
                                   {NULL, NULL}};

/* .minor, .currency, .amount ("80.00"), or a method; upvalue: the methods. */
static int money_index(lua_State *L) {
    const struct mt_money *m = check_money(L, 1);
    const char *name = lua_type(L, 2) == LUA_TSTRING ? lua_tostring(L, 2) : "";
    if (strcmp(name, "minor") == 0) {
        lua_pushinteger(L, m->minor);
    } else if (strcmp(name, "currency") == 0) {
        lua_pushstring(L, m->currency);
    } else if (strcmp(name, "amount") == 0) {
        char text[MT_MONEY_TEXT];
        mt_money_format(m, text);
        lua_pushlstring(L, text, strlen(text) - strlen(m->currency) - 1);
    } else {
        lua_pushvalue(L, 2);
        if (lua_rawget(L, lua_upvalueindex(1)) == LUA_TNIL) {
            static const char *const names[] = {"abs",         "amount",  "currency", "format", "is_negative",
                                                "is_positive", "is_zero", "minor",    "ratio",  "split"};
            const char *near = mt_nearest(name, names, sizeof(names) / sizeof(names[0]));
            if (near != NULL) return luaL_error(L, "money has no '%s' (did you mean '%s'?)", name, near);
            return luaL_error(L, "money has no '%s': it has minor, currency, amount and methods", name);
        }
    }
    return 1;
}

static int money_newindex(lua_State *L) {
    return luaL_error(L, "money does not change: make a new one");
}

void mt_money_open(lua_State *L) {
    static const luaL_Reg metamethods[] = {{"__add", money_add},
                                           {"__sub", money_sub},
                                           {"__mul", money_mul},
                                           {"__idiv", money_idiv},
                                           {"__mod", money_mod},
                                           {"__div", money_div},
                                           {"__unm", money_unm},
                                           {"__eq", money_eq},
                                           {"__lt", money_lt},
                                           {"__le", money_le},
                                           {"__concat", money_concat},
                                           {"__tostring", money_tostring},
                                           {"__newindex", money_newindex},
                                           {NULL, NULL}};
    luaL_newmetatable(L, meta);
    luaL_setfuncs(L, metamethods, 0);
    luaL_newlib(L, methods);
    lua_pushcclosure(L, money_index, 1);
    lua_setfield(L, -2, "__index");
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
    lua_pop(L, 1);
}
