/* The order in which scripts see keys, which in Lua differs from process to process: numbers first, then
 * strings by their bytes, then false and true; other keys have no order and raise. And a stable sort.
 * Invariant: what a loop sees depends on the table alone. Nothing is collected during an execution, so sorted
 * keys may point at strings. The execution's thread. */
#include "base/text.h"
#include "bindings/vm/internal.h"
#include <stdlib.h>
#include <string.h>

/* ---- keys ---- */

/* False when the value at index has no order. */
static bool get_key(lua_State *L, int index, struct key *k) {
    switch (lua_type(L, index)) {
    case LUA_TNUMBER:
        if (lua_isinteger(L, index)) {
            k->type = KEY_INT;
            k->u.i = lua_tointeger(L, index);
        } else {
            k->type = KEY_FLOAT;
            k->u.f = lua_tonumber(L, index);
        }
        return true;
    case LUA_TSTRING:
        k->type = KEY_STRING;
        k->u.s = lua_tolstring(L, index, &k->len);
        return true;
    case LUA_TBOOLEAN:
        k->type = KEY_BOOLEAN;
        k->u.i = lua_toboolean(L, index);
        return true;
    default:
        return false;
    }
}

void mt_push_key(lua_State *L, const struct key *k) {
    switch (k->type) {
    case KEY_INT:
        lua_pushinteger(L, k->u.i);
        break;
    case KEY_FLOAT:
        lua_pushnumber(L, k->u.f);
        break;
    case KEY_STRING:
        lua_pushlstring(L, k->u.s, k->len);
        break;
    case KEY_BOOLEAN:
        lua_pushboolean(L, (int)k->u.i);
        break;
    }
}

static int rank(const struct key *k) {
    return k->type == KEY_STRING ? 1 : k->type == KEY_BOOLEAN ? 2 : 0;
}

static int compare_keys(const void *left, const void *right) {
    const struct key *a = left, *b = right;
    if (a->type == KEY_INT && b->type == KEY_INT) return (a->u.i > b->u.i) - (a->u.i < b->u.i);
    if (rank(a) != rank(b)) return rank(a) - rank(b);
    if (a->type == KEY_STRING) {
        if (a->u.s == b->u.s) return 0;
        int order = memcmp(a->u.s, b->u.s, a->len < b->len ? a->len : b->len);
        return order != 0 ? order : (a->len > b->len) - (a->len < b->len);
    }
    if (a->type == KEY_BOOLEAN) return (int)(a->u.i - b->u.i);
    /* long double holds every 64-bit integer and every double */
    long double x = a->type == KEY_INT ? (long double)a->u.i : (long double)a->u.f;
    long double y = b->type == KEY_INT ? (long double)b->u.i : (long double)b->u.f;
    return (x > y) - (x < y);
}

/* Heap sort: no memory, no recursion, and keys differ, so that stability does not matter. */
static void sort_keys(struct key *keys, size_t n) {
    for (size_t start = n / 2, end = n; end > 1;) {
        if (start > 0) {
            start--;
        } else {
            end--;
            struct key swap = keys[0];
            keys[0] = keys[end];
            keys[end] = swap;
        }
        size_t root = start;
        struct key moved = keys[root];
        for (size_t child; (child = 2 * root + 1) < end; root = child) {
            if (child + 1 < end && compare_keys(&keys[child], &keys[child + 1]) < 0) child++;
            if (compare_keys(&moved, &keys[child]) >= 0) break;
            keys[root] = keys[child];
        }
        keys[root] = moved;
    }
}

/* Reads the keys of a table into keys, of which there is room for `room`; NULL only counts. Sets *bad for a
 * key without order. */
static size_t read_keys(lua_State *L, int index, struct key *keys, size_t room, const char **bad) {
    size_t n = 0;
    bool sorted = true;
    for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1)) {
        if (keys != NULL && n < room) {
            if (!get_key(L, -2, &keys[n])) {
                *bad = luaL_typename(L, -2);
                lua_pop(L, 2);
                return 0;
            }
            sorted = sorted && (n == 0 || compare_keys(&keys[n - 1], &keys[n]) < 0);
        }
        n++;
    }
    if (keys != NULL && !sorted) sort_keys(keys, n);
    return n;
}

struct key *mt_ordered_keys(lua_State *L, int index, size_t *n, const char **bad) {
    *bad = NULL;
    index = lua_absindex(L, index);
    *n = read_keys(L, index, NULL, 0, bad);
    struct key *keys = mt_realloc(NULL, (*n + 1) * sizeof(*keys));
    read_keys(L, index, keys, *n, bad);
    if (*bad == NULL) return keys;
    free(keys);
    return NULL;
}

static int no_order(lua_State *L, const char *type) {
    return luaL_error(
        L, "cannot iterate over a table with a %s as a key: its order would differ from run to run", type);
}

/* ---- snapshots ---- */

static struct snapshot *find_snapshot(struct mt_arena *a, const void *table) {
    for (int i = 0; i < SNAPSHOTS; i++)
        if (a->snapshots[i].table == table) return &a->snapshots[i];
    return NULL;
}

static void drop_snapshot(struct mt_arena *a, struct snapshot *s) {
    mt_arena_release(a, s->keys, (s->n + 1) * sizeof(*s->keys));
    s->table = NULL;
}

static struct snapshot *make_snapshot(lua_State *L, int index) {
    struct mt_arena *a = mt_arena_of(L);
    const void *table = lua_topointer(L, index);
    struct snapshot *s = find_snapshot(a, table);
    for (int i = 0; s == NULL && i < SNAPSHOTS; i++)
        if (a->snapshots[i].table == NULL) s = &a->snapshots[i];
    if (s == NULL) { /* the one longest unused */
        s = &a->snapshots[0];
        for (int i = 1; i < SNAPSHOTS; i++)
            if (a->snapshots[i].used < s->used) s = &a->snapshots[i];
    }
    if (s->table != NULL) drop_snapshot(a, s);
    const char *bad = NULL;
    luaL_checkstack(L, 4, NULL);
    size_t n = read_keys(L, index, NULL, 0, &bad);
    struct key *keys = mt_arena_alloc(a, (n + 1) * sizeof(*keys));
    read_keys(L, index, keys, n, &bad);
    mt_limits_poll(a);
    if (bad != NULL) no_order(L, bad);
    *s = (struct snapshot){.table = table, .keys = keys, .n = n, .used = ++a->snapshot_clock};
    return s;
}

/* Pushes the first key from position `pos` on whose value is not nil, and the value. 0 at the end. */
static int push_from(lua_State *L, int index, struct mt_arena *a, struct snapshot *s, size_t pos) {
    for (; pos < s->n; pos++) {
        mt_push_key(L, &s->keys[pos]);
        lua_pushvalue(L, -1);
        if (lua_rawget(L, index) != LUA_TNIL) {
            s->pos = pos;
            s->fresh = false;
            s->used = ++a->snapshot_clock;
            return 2;
        }
        lua_pop(L, 2);
    }
    drop_snapshot(a, s);
    return 0;
}

/* Position of a key, by bisection; n when it is not there. */
static size_t position_of(const struct snapshot *s, const struct key *k) {
    size_t low = 0, high = s->n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = compare_keys(&s->keys[middle], k);
        if (order == 0) return middle;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return s->n;
}

/* The smallest key, without sorting: next(t) is how scripts ask whether a table is empty. */
static int push_first(lua_State *L, int index) {
    struct key least = {0}, k;
    bool any = false;
    for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1)) {
        if (!get_key(L, -2, &k)) return no_order(L, luaL_typename(L, -2));
        if (!any || compare_keys(&k, &least) < 0) least = k;
        any = true;
    }
    mt_limits_poll(mt_arena_of(L));
    if (!any) return 0;
    mt_push_key(L, &least);
    lua_pushvalue(L, -1);
    lua_rawget(L, index);
    return 2;
}

/* The key is at the top and is replaced by the next pair, or by nothing. */
static int next_of(lua_State *L, int index) {
    struct mt_arena *a = mt_arena_of(L);
    struct snapshot *s = find_snapshot(a, lua_topointer(L, index));
    if (lua_isnil(L, -1)) {
        lua_pop(L, 1);
        if (s != NULL && s->fresh) return push_from(L, index, a, s, 0);
        if (s != NULL) drop_snapshot(a, s);
        return push_first(L, index);
    }
    struct key k;
    if (!get_key(L, -1, &k)) return no_order(L, luaL_typename(L, -1));
    if (s != NULL && s->pos < s->n && !s->fresh && compare_keys(&s->keys[s->pos], &k) == 0) {
        lua_pop(L, 1);
        return push_from(L, index, a, s, s->pos + 1);
    }
    size_t pos = s != NULL ? position_of(s, &k) : 0;
    if (s == NULL || pos == s->n) {
        s = make_snapshot(L, index);
        pos = position_of(s, &k);
    }
    if (pos == s->n) {
        mt_tolstring(L, -1, NULL);
        return luaL_error(L, "invalid key to 'next': '%s' is not in the table", lua_tostring(L, -1));
    }
    lua_pop(L, 1);
    return push_from(L, index, a, s, pos + 1);
}

int mt_ordered_next(lua_State *L, int index) {
    index = lua_absindex(L, index);
    luaL_checkstack(L, 4, NULL);
    if (lua_isnil(L, -1)) { /* the sorted keys will be needed, so take them at once */
        struct snapshot *s = make_snapshot(L, index);
        s->fresh = true;
    }
    return next_of(L, index) > 0;
}

/* ---- next, pairs ---- */

static int order_next(lua_State *L) {
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 2);
    int n = next_of(L, 1);
    if (n == 0) lua_pushnil(L);
    return n > 0 ? n : 1;
}

static int finish_pairs(lua_State *L, int status, lua_KContext k) {
    (void)L, (void)status, (void)k;
    return 3;
}

static int order_pairs(lua_State *L) {
    luaL_checkany(L, 1);
    if (luaL_getmetafield(L, 1, "__pairs") != LUA_TNIL) {
        lua_pushvalue(L, 1);
        lua_callk(L, 1, 3, 0, finish_pairs);
        return 3;
    }
    luaL_checktype(L, 1, LUA_TTABLE);
    make_snapshot(L, 1)->fresh = true;
    lua_pushcfunction(L, order_next);
    lua_pushvalue(L, 1);
    lua_pushnil(L);
    return 3;
}

/* ---- table.sort ---- */

enum { LIST = 1, ORDER = 2, COPY = 3 };

/* Whether element j comes before element i: only then do they change places, which is what makes the sort
 * stable. */
static bool before(lua_State *L, lua_Integer j, lua_Integer i) {
    bool less;
    if (lua_isnil(L, ORDER)) {
        lua_rawgeti(L, COPY, j);
        lua_rawgeti(L, COPY, i);
        less = lua_compare(L, -2, -1, LUA_OPLT);
        lua_pop(L, 2);
    } else {
        lua_pushvalue(L, ORDER);
        lua_rawgeti(L, COPY, j);
        lua_rawgeti(L, COPY, i);
        lua_call(L, 2, 1);
        less = lua_toboolean(L, -1);
        lua_pop(L, 1);
    }
    return less;
}

/* Merges from[low..middle) and from[middle..high) into to. */
static void merge(lua_State *L, const int *from, int *to, int low, int middle, int high) {
    for (int i = low, j = middle, k = low; k < high; k++) {
        if (j >= high || (i < middle && !before(L, from[j], from[i])))
            to[k] = from[i++];
        else
            to[k] = from[j++];
    }
}

/* Merge sort of the numbers of the elements, bottom up: ends whatever the order function says. */
static int order_sort(lua_State *L) {
    luaL_checktype(L, LIST, LUA_TTABLE);
    if (!lua_isnoneornil(L, ORDER)) luaL_checktype(L, ORDER, LUA_TFUNCTION);
    lua_settop(L, 2);
    lua_Integer n = luaL_len(L, LIST);
    if (n < 2) return 0;
    luaL_argcheck(L, n < 1 << 28, LIST, "array too big");
    struct mt_arena *a = mt_arena_of(L);
    int *order = mt_arena_alloc(a, 2 * (size_t)n * sizeof(*order)), *other = order + n;
    lua_createtable(L, (int)n, 0);
    for (int i = 0; i < n; i++) {
        order[i] = i + 1;
        lua_geti(L, LIST, i + 1);
        lua_rawseti(L, COPY, i + 1);
    }
    for (int64_t width = 1; width < n; width *= 2) {
        for (int64_t low = 0; low < n; low += 2 * width) {
            int64_t middle = low + width < n ? low + width : n,
                    high = low + 2 * width < n ? low + 2 * width : n;
            merge(L, order, other, (int)low, (int)middle, (int)high);
            mt_limits_poll(a);
        }
        int *swap = order;
        order = other;
        other = swap;
    }
    for (int i = 0; i < n; i++) {
        lua_rawgeti(L, COPY, order[i]);
        lua_seti(L, LIST, i + 1);
    }
    mt_arena_release(a, order < other ? order : other, 2 * (size_t)n * sizeof(*order));
    return 0;
}

void mt_order_open(lua_State *L) {
    lua_pushcfunction(L, order_next);
    lua_setglobal(L, "next");
    lua_pushcfunction(L, order_pairs);
    lua_setglobal(L, "pairs");
    lua_getglobal(L, "table");
    lua_pushcfunction(L, order_sort);
    lua_setfield(L, -2, "sort");
    lua_pop(L, 1);
}
