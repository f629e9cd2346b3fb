/* What the console's objects call beside the API: the story of a run in words, the control interface of a
 * sandbox, the files of a what-if, and waiting. Invariant: as console_native.c: nothing that was malloc'ed is
 * held where Lua may raise or the execution may be left. On the session's thread. */
#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/text.h"
#include "bindings/modules/plain.h"
#include "bindings/vm/value.h"
#include "console_private.h"
#include "http/client.h"
#include "sources.h"
#include "story.h"
#include <errno.h>
#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum {
    SCRATCH = 3,
    STORY_ENTRIES = 400, /* of a longer journal the last ones */
    PAUSE_MAX_MS = 5000,
    SANDBOX_TIMEOUT_MS = 20000,
    ANSWER_MAX = 16 * 1024 * 1024,
};

/* ---- waiting ---- */

/* pause(ms): lets so much time pass, which does not count for the command; false when it is to stop. */
static int pause_(lua_State *L) {
    struct console_session *s = console_of(L);
    int64_t ms = luaL_checkinteger(L, 1), began = mt_mono_ns();
    int64_t until = began + (ms < PAUSE_MAX_MS ? ms : PAUSE_MAX_MS) * 1000000;
    mt_vm_effect_begin(L);
    mt_lock(&s->lock);
    while (!s->stop && !s->deaf && mt_mono_ns() < until) mt_cond_wait(&s->news, &s->lock, until);
    bool go_on = !s->stop && !s->deaf;
    s->active_ns = mt_mono_ns();
    mt_unlock(&s->lock);
    mt_vm_session_extend(s->vm, (mt_mono_ns() - began) / 1000000);
    mt_vm_effect_end(L);
    lua_pushboolean(L, go_on);
    return 1;
}

/* ---- the story ---- */

static json_t *parsed(struct mt_buf *b) {
    struct mt_error e;
    json_t *value = mt_buf_ok(b) ? mt_json_parse(b->data, b->len, &e) : NULL;
    mt_buf_clear(b);
    return value;
}

/* A run and its journal as the API shows them. */
static int read_story(struct mt_runtime *rt, const char *id, json_t **run, json_t **journal,
                      struct mt_error *e) {
    struct mt_run row;
    struct mt_entry *entries = NULL;
    struct mt_buf b;
    size_t count = 0;
    if (rt->store->get_run(rt->store, id, &row, e) != 0) return -1;
    mt_buf_init(&b, 64 * 1024 * 1024);
    mt_run_to_json(rt->engine, &row, &b);
    mt_run_clear(&row);
    *run = parsed(&b);
    if (rt->store->read_journal(rt->store, id, -1, &entries, &count, e) != 0) {
        json_decref(*run);
        return -1;
    }
    json_t *data = json_array();
    for (size_t i = 0; i < count; i++) {
        mt_buf_init(&b, 64 * 1024 * 1024);
        if (i + STORY_ENTRIES >= count) {
            mt_entry_to_json(rt->engine, &entries[i], &b);
            json_array_append_new(data, parsed(&b));
        }
        mt_entry_clear(&entries[i]);
    }
    free(entries);
    *journal = json_pack("{s:o}", "data", data);
    return 0;
}

/* The words, malloc'ed; NULL and *e. */
static char *tell_story(struct console_session *s, const char *id, struct mt_error *e) {
    struct mt_runtime *rt = s->console->rt;
    json_t *run = NULL, *journal = NULL;
    char *text = NULL;
    size_t len = 0;
    if (strlen(id) >= MT_ID_SIZE)
        mt_fail(e, MT_NOT_FOUND, "there is no run '%.60s'", id);
    else if (read_story(rt, id, &run, &journal, e) == 0) {
        FILE *out = open_memstream(&text, &len);
        if (out) {
            mt_story_print(out, mt_colors_for(out, s->color ? "always" : "never"), run, journal,
                           rt->clock->wall_ms(rt->clock));
            fclose(out);
        }
    }
    json_decref(run);
    json_decref(journal);
    return text;
}

/* A malloc'ed text becomes a Lua string by way of the scratch, since pushing may leave. */
static void push_text(lua_State *L, char *text) {
    struct mt_buf *b = mt_vm_scratch(L, SCRATCH);
    mt_buf_adds(b, text);
    free(text);
    lua_pushlstring(L, b->len ? b->data : "", b->len);
}

/* story(id) -> text, or nil and why */
static int story(lua_State *L) {
    struct mt_error e = {0};
    const char *id = luaL_checkstring(L, 1);
    mt_vm_effect_begin(L);
    char *text = tell_story(console_of(L), id, &e);
    mt_vm_effect_end(L);
    if (text) {
        push_text(L, text);
        return 1;
    }
    lua_pushnil(L);
    lua_pushstring(L, e.message);
    return 2;
}

/* ---- the sandbox ---- */

/* Carries out one request of the control interface: its status, and the answer in `out`; -1 with *e. */
static int ask_sandbox(struct mt_runtime *rt, const char *url, const char *method, const char *path,
                       const char *body, struct mt_buf *out, struct mt_error *e) {
    struct mt_http_response resp = {0};
    char full[2048];
    size_t len = strlen(url);
    while (len > 0 && url[len - 1] == '/') len--;
    if (!mt_format(full, sizeof full, "%.*s/_sandbox/%s", (int)len, url, path))
        return mt_fail(e, MT_INVALID_REQUEST, "the path is too long");
    struct mt_http_request req = {.method = mt_strdup(method),
                                  .url = mt_strdup(full),
                                  .body = mt_strdup(body ? body : ""),
                                  .body_len = body ? strlen(body) : 0,
                                  .timeout_ms = SANDBOX_TIMEOUT_MS,
                                  .connect_timeout_ms = 2000};
    mt_headers_add(&req.headers, "Content-Type", "application/json");
    int rc = rt->transport->perform(rt->transport, &req, &resp, e);
    if (rc == 0) {
        rc = resp.status;
        if (resp.body.len) mt_buf_add(out, resp.body.data, resp.body.len);
    }
    mt_http_response_clear(&resp);
    mt_http_request_clear(&req);
    return rc;
}

/* sandbox(method, path, body) -> status, value; nil and why when it does not answer. sandbox() -> its URL. */
static int sandbox(lua_State *L) {
    struct console_session *s = console_of(L);
    struct mt_error e;
    const char *url = mt_config_str(s->console->rt->o.config, "sandbox");
    if (lua_gettop(L) == 0 || !url) {
        lua_pushstring(L, url);
        return 1;
    }
    const char *method = luaL_checkstring(L, 1), *path = luaL_checkstring(L, 2), *body = NULL;
    lua_settop(L, 3);
    if (!lua_isnil(L, 3)) {
        mt_plain_push(L, 3, "sandbox");
        body = lua_tostring(L, -1);
    }
    struct mt_buf *answer = mt_vm_scratch(L, SCRATCH), value;
    mt_buf_reset(answer);
    mt_vm_effect_begin(L);
    int status = ask_sandbox(s->console->rt, url, method, path, body, answer, &e), ok = -1;
    if (status >= 0 && answer->len) {
        mt_buf_init(&value, ANSWER_MAX);
        ok = mt_plain_to_value(answer->data, answer->len, &value, &e);
        mt_buf_reset(answer);
        if (ok == 0) mt_buf_add(answer, value.data, value.len);
        mt_buf_clear(&value);
    }
    mt_vm_effect_end(L);
    if (status < 0) {
        lua_pushnil(L);
        lua_pushstring(L, e.message);
        return 2;
    }
    lua_pushinteger(L, status);
    if (ok != 0) return 1;
    mt_value_push(L, answer->data, answer->len);
    return 2;
}

/* ---- edited code ---- */

/* A file, or the *.lua of a folder, as {"name": text} in JSON. */
static int read_code(const char *path, bool *folder, struct mt_buf *out, struct mt_error *e) {
    struct mt_source_set set = {0};
    struct stat st;
    const char *name = strrchr(path, '/') ? strrchr(path, '/') + 1 : path, *dot = strrchr(name, '.');
    if (stat(path, &st) != 0)
        return mt_fail(e, MT_NOT_FOUND, "%.200s: %s (as the runtime sees its machine)", path,
                       strerror(errno));
    *folder = S_ISDIR(st.st_mode);
    if (!*folder && (!S_ISREG(st.st_mode) || !dot || strcmp(dot, ".lua") != 0))
        return mt_fail(e, MT_INVALID_REQUEST, "%.200s: wanted a .lua file or a folder of them", path);
    if ((*folder ? mt_source_set_read(path, &set, e) : mt_source_set_read_one(path, &set, e)) != 0) return -1;
    mt_buf_addc(out, '{');
    bool first = true;
    for (size_t i = 0; i < set.count; i++) {
        if (!*folder && strcmp(set.files[i].name, name) != 0) continue;
        if (!first) mt_buf_addc(out, ',');
        first = false;
        mt_buf_add_json_string(out, set.files[i].name, strlen(set.files[i].name));
        mt_buf_addc(out, ':');
        mt_buf_add_json_string(out, set.files[i].text, set.files[i].len);
    }
    mt_buf_addc(out, '}');
    mt_source_set_clear(&set);
    return mt_buf_ok(out) ? 0 : mt_fail(e, MT_LIMIT, "%.200s: too much code", path);
}

/* files(path) -> {name = text}, is a folder; nil and why. Only for who is on this machine. */
static int files(lua_State *L) {
    struct console_session *s = console_of(L);
    const char *path = luaL_checkstring(L, 1);
    struct mt_error e;
    bool folder = false;
    int rc = -1;
    struct mt_buf *text = mt_vm_scratch(L, SCRATCH);
    mt_vm_effect_begin(L);
    if (s->http)
        mt_fail(&e, MT_PERMISSION,
                "files are read by the runtime, on its own machine: over HTTP give the code as a string");
    else
        rc = read_code(path, &folder, text, &e);
    mt_vm_effect_end(L);
    if (rc != 0) {
        lua_pushnil(L);
        lua_pushstring(L, e.message);
        return 2;
    }
    mt_value_push(L, text->data, text->len);
    lua_pushboolean(L, folder);
    return 2;
}

/* production() -> the names of the providers that are no sandbox's. */
static int production(lua_State *L) {
    struct console_session *s = console_of(L);
    char names[1024] = "";
    size_t i, used = 0;
    const json_t *name;
    mt_vm_effect_begin(L);
    json_t *list = json_array();
    console_production(s->console->rt, list);
    json_array_foreach(list, i, name) {
        size_t len = json_string_length(name);
        if (used + len + 2 > sizeof names) break;
        memcpy(names + used, json_string_value(name), len + 1);
        used += len + 1; /* one after the other, each with its NUL */
    }
    json_decref(list);
    mt_vm_effect_end(L);
    lua_newtable(L);
    lua_Integer n = 0;
    for (size_t at = 0; at < used; at += strlen(names + at) + 1) {
        lua_pushstring(L, names + at);
        lua_rawseti(L, -2, ++n);
    }
    return 1;
}

void console_more_push(lua_State *L) {
    static const luaL_Reg functions[] = {{"pause", pause_}, {"story", story},           {"sandbox", sandbox},
                                         {"files", files},  {"production", production}, {NULL, NULL}};
    luaL_setfuncs(L, functions, 0);
}
