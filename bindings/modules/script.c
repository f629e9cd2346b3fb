/* Generations and their execution for the engine. Invariant: a generation in the list is never changed, and
 * freed only when nobody uses it and it is not current. The lock guards the list and the counts; it is not
 * held while Lua runs. */
#include "bindings/modules/script.h"
#include "base/json.h"
#include "base/log.h"
#include "base/sync.h"
#include "base/text.h"
#include "bindings/modules/console.h"
#include "bindings/modules/internal.h"
#include "bindings/modules/schema.h"
#include "bindings/vm/value.h"
#include <stdlib.h>
#include <string.h>

enum { KEEP = 16, NAMES_MAX = 256 };

/* ---- one generation ---- */

static void never(void *ctx, const struct mt_request *req, struct mt_response *resp) {
    (void)ctx, (void)req, (void)resp;
}

static void loaded_free(struct loaded *l) {
    if (l == NULL) return;
    if (l->g != NULL) mt_generation_release(l->g);
    json_decref(l->flows);
    json_decref(l->registry);
    mt_router_free(l->router);
    free(l->routes);
    free(l);
}

/* Parses the registry and builds the router. Takes a reference of g. */
static int loaded_fill(struct loaded *l, struct mt_generation *g, struct mt_error *e) {
    const char *registry = mt_generation_registry(g);
    l->g = mt_generation_retain(g);
    l->registry = mt_json_parse(registry, strlen(registry), e);
    if (l->registry == NULL) return mt_error_wrap(e, "the registry of generation %s", l->id);
    size_t n = json_array_size(l->registry);
    l->flows = json_object();
    l->router = mt_router_new();
    l->routes = mt_calloc(n + 1, sizeof(*l->routes));
    for (size_t i = 0; i < n; i++) {
        json_t *row = json_array_get(l->registry, i);
        const char *kind = mt_json_str(row, "kind", ""), *name = mt_json_str(row, "name", "");
        if (strcmp(kind, "flow") == 0) json_object_set(l->flows, name, row);
        if (strcmp(kind, "route") != 0) continue;
        struct route *r = &l->routes[i];
        r->public = mt_json_bool(row, "public", false);
        mt_format(r->entry, sizeof(r->entry), "route:%s", name);
        if (mt_router_add(l->router, mt_json_str(row, "method", ""), mt_json_str(row, "pattern", ""), never,
                          r, e) != 0)
            return mt_error_wrap(e, "%s:%d", mt_json_str(row, "file", ""), (int)mt_json_int(row, "line", 0));
    }
    return 0;
}

/* ---- the list (all with the lock held) ---- */

static struct loaded *find(struct mt_scripts *s, const char *id) {
    for (struct loaded *l = s->first; l != NULL; l = l->next)
        if (strcmp(l->id, id) == 0) return l;
    return NULL;
}

static void unlink_loaded(struct mt_scripts *s, struct loaded *gone) {
    for (struct loaded **l = &s->first; *l != NULL; l = &(*l)->next) {
        if (*l != gone) continue;
        *l = gone->next;
        return;
    }
}

/* Takes the ones that have not been used for longest out of the list until there are few enough; gives them
 * as a chain. */
static struct loaded *evict(struct mt_scripts *s) {
    struct loaded *gone = NULL;
    for (;;) {
        struct loaded *oldest = NULL;
        size_t n = 0;
        for (struct loaded *l = s->first; l != NULL; l = l->next) {
            if (l == s->current || l->refs > 0 || l->g == NULL) continue;
            n++;
            if (oldest == NULL || l->used < oldest->used) oldest = l;
        }
        if (n <= (s->o.keep > 0 ? s->o.keep : KEEP)) return gone;
        unlink_loaded(s, oldest);
        oldest->next = gone;
        gone = oldest;
    }
}

static void free_chain(struct loaded *l) {
    while (l != NULL) {
        struct loaded *next = l->next;
        loaded_free(l);
        l = next;
    }
}

static struct loaded *use(struct mt_scripts *s, struct loaded *l) {
    l->refs++;
    l->used = ++s->clock;
    return l;
}

/* ---- acquiring ---- */

struct loaded *scripts_current(struct mt_scripts *s) {
    mt_lock(&s->lock);
    struct loaded *l = s->current != NULL ? use(s, s->current) : NULL;
    mt_unlock(&s->lock);
    return l;
}

void scripts_release(struct mt_scripts *s, struct loaded *l) {
    if (l == NULL) return;
    mt_lock(&s->lock);
    l->refs--;
    struct loaded *gone = evict(s);
    mt_unlock(&s->lock);
    free_chain(gone);
}

void mt_sources_free(struct mt_source *files, size_t count) {
    for (size_t i = 0; files != NULL && i < count; i++) {
        free((char *)(uintptr_t)files[i].name);
        free((char *)(uintptr_t)files[i].text);
    }
    free(files);
}

/* Brings a generation from the store into `l`. */
static int fetch(struct mt_scripts *s, struct loaded *l, struct mt_error *e) {
    struct mt_source *files = NULL;
    size_t count = 0;
    char *settings = NULL;
    if (s->o.load == NULL) return mt_fail(e, MT_NOT_FOUND, "generation %s is not in memory", l->id);
    if (s->o.load(s->o.ctx, l->id, &files, &count, &settings, e) != 0) return -1;
    struct mt_generation *g = mt_generation_load(s->o.vm, files, count, settings, e);
    mt_sources_free(files, count);
    free(settings);
    if (g == NULL) return mt_error_wrap(e, "generation %s", l->id);
    if (strcmp(mt_generation_id(g), l->id) !=
        0) /* a newer program has a newer library; a replay shows whether it matters */
        mt_warn("a stored generation has another id in this version of the program", "generation", l->id,
                "now", mt_generation_id(g));
    int rc = loaded_fill(l, g, e);
    mt_generation_release(g);
    return rc;
}

struct loaded *scripts_acquire(struct mt_scripts *s, const char *id, struct mt_error *e) {
    struct loaded *l = NULL;
    if (id == NULL || id[0] == '\0') {
        l = scripts_current(s);
        return l != NULL ? l : mt_fail_null(e, MT_UNAVAILABLE, "no scripts are loaded");
    }
    mt_lock(&s->lock);
    while ((l = find(s, id)) != NULL && l->g == NULL)
        mt_cond_wait(&s->ready, &s->lock, MT_NO_DEADLINE); /* another loads it */
    if (l != NULL) {
        use(s, l);
        mt_unlock(&s->lock);
        return l;
    }
    l = mt_calloc(1, sizeof(*l));
    mt_copy(l->id, sizeof(l->id), id);
    l->refs = 1;
    l->next = s->first;
    s->first = l;
    mt_unlock(&s->lock);

    struct loaded made = {.g = NULL};
    mt_copy(made.id, sizeof(made.id), id);
    int rc = fetch(s, &made, e);

    mt_lock(&s->lock);
    if (rc == 0) { /* the waiters see it whole or not at all */
        l->registry = made.registry;
        l->flows = made.flows;
        l->router = made.router;
        l->routes = made.routes;
        l->g = made.g;
        l->used = ++s->clock;
    } else {
        unlink_loaded(s, l);
    }
    mt_cond_broadcast(&s->ready);
    mt_unlock(&s->lock);
    if (rc == 0) return l;
    struct loaded *failed = mt_calloc(1, sizeof(*failed));
    *failed = made;
    loaded_free(failed);
    free(l);
    return NULL;
}

int mt_scripts_publish(struct mt_scripts *s, struct mt_generation *g, struct mt_error *e) {
    struct loaded *fresh = mt_calloc(1, sizeof(*fresh)), *unwanted = NULL;
    mt_copy(fresh->id, sizeof(fresh->id), mt_generation_id(g));
    if (loaded_fill(fresh, g, e) != 0) {
        loaded_free(fresh);
        return -1;
    }
    mt_lock(&s->lock);
    struct loaded *l = find(s, fresh->id);
    while (l != NULL && l->g == NULL) {
        mt_cond_wait(&s->ready, &s->lock, MT_NO_DEADLINE);
        l = find(s, fresh->id);
    }
    if (l != NULL) { /* an older one again */
        unwanted = fresh;
    } else {
        l = fresh;
        l->next = s->first;
        s->first = l;
    }
    l->used = ++s->clock;
    s->current = l;
    struct loaded *gone = evict(s);
    mt_unlock(&s->lock);
    loaded_free(unwanted);
    free_chain(gone);
    return 0;
}

struct mt_generation *mt_scripts_current(struct mt_scripts *s) {
    struct loaded *l = scripts_current(s);
    struct mt_generation *g = l != NULL ? mt_generation_retain(l->g) : NULL;
    scripts_release(s, l);
    return g;
}

/* ---- flows ---- */

struct flow_call {
    void *ctx; /* first: who looks finds it there */
    const char *input;
    struct mt_buf *value;
    struct mt_error error;
    bool unfit; /* run() returned something that is no value */
};

static int push_input(lua_State *L, void *arg) {
    struct flow_call *c = arg;
    mt_value_push(L, c->input, strlen(c->input));
    return 1;
}

static int take_output(lua_State *L, void *arg) {
    struct flow_call *c = arg;
    mt_buf_reset(c->value);
    if (lua_gettop(L) == 0) lua_pushnil(L);
    c->unfit = mt_value_encode(L, 1, c->value, &c->error) != 0;
    return 0;
}

static void bug(struct mt_script_result *out, enum mt_kind kind, const char *message) {
    out->end = kind == MT_LIMIT ? MT_END_LIMIT : MT_END_BUG;
    mt_fail(&out->error, kind, "%s", message);
}

void scripts_run_flow(struct mt_scripts *s, struct mt_generation *g, struct mt_exec *x, const char *flow,
                      const char *input, void (*look)(lua_State *L, void *arg), void *ctx,
                      struct mt_script_result *out) {
    char entry[96];
    struct mt_vm_result r;
    struct flow_call c = {.ctx = ctx, .input = input, .value = &out->value};
    mt_format(entry, sizeof(entry), "flow:%s", flow);
    struct mt_vm_call call = {
        .entry = entry, .push = push_input, .take = take_output, .arg = &c, .context = x, .look = look};
    mt_vm_execute(s->o.vm, g, &call, &r);
    mt_copy(out->site, sizeof(out->site), r.site);
    switch (r.exit) {
    case MT_EXIT_RETURNED:
        out->end = MT_END_RETURNED;
        if (c.unfit) {
            mt_error_wrap(&c.error, "what run() of flow \"%s\" returned", flow);
            bug(out, MT_SCRIPT, c.error.message);
        }
        break;
    case MT_EXIT_RAISED:
        out->end = MT_END_RAISED;
        mt_buf_reset(&out->value);
        mt_buf_add(&out->value, r.error.data, r.error.len);
        break;
    case MT_EXIT_BUG:
        bug(out, MT_SCRIPT, r.message);
        mt_buf_adds(&out->traceback, r.traceback);
        break;
    case MT_EXIT_LIMIT:
        bug(out, MT_LIMIT, r.message);
        break;
    case MT_EXIT_LEFT:
        out->end = MT_END_LEFT;
        break;
    }
    mt_vm_result_clear(&r);
}

static void execute(struct mt_script *self, struct mt_exec *x, const char *generation, const char *flow,
                    const char *input, struct mt_script_result *out) {
    struct mt_scripts *s = (struct mt_scripts *)self;
    struct mt_error e;
    struct loaded *l = scripts_acquire(s, generation, &e);
    if (l == NULL) {
        bug(out, MT_SCRIPT, e.message);
        return;
    }
    scripts_run_flow(s, l->g, x, flow, input, NULL, NULL, out);
    scripts_release(s, l);
}

static void current(struct mt_script *self, char out[80]) {
    struct mt_scripts *s = (struct mt_scripts *)self;
    mt_lock(&s->lock);
    mt_copy(out, 80, s->current != NULL ? s->current->id : "");
    mt_unlock(&s->lock);
}

static int no_such_flow(const struct loaded *l, const char *flow, struct mt_error *e) {
    const char *names[NAMES_MAX], *key;
    size_t n = 0;
    json_t *row;
    json_object_foreach(l->flows, key, row) if (n < NAMES_MAX) names[n++] = key;
    const char *near = mt_nearest(flow, names, n);
    if (near != NULL)
        return mt_fail(e, MT_NOT_FOUND, "there is no flow \"%s\"; did you mean \"%s\"?", flow, near);
    return mt_fail(e, MT_NOT_FOUND, "there is no flow \"%s\"", flow);
}

static int check_input(struct mt_script *self, const char *generation, const char *flow, const char *input,
                       struct mt_buf *normal, struct mt_error *e) {
    struct mt_scripts *s = (struct mt_scripts *)self;
    struct loaded *l = scripts_acquire(s, generation, e);
    json_t *value = NULL, *checked = NULL, *schema = NULL;
    int rc = -1;
    if (l == NULL) return -1;
    const json_t *row = json_object_get(l->flows, flow);
    bool console = strcmp(flow, MT_CONSOLE_FLOW) == 0;
    if (row == NULL && !console) {
        no_such_flow(l, flow, e);
        goto done;
    }
    schema = console ? mt_console_schema() : json_incref(json_object_get(row, "input"));
    value = mt_json_parse(input, strlen(input), e);
    if (value == NULL) goto done;
    if (mt_schema_check(schema, value, &checked, e) != 0) {
        mt_error_wrap(e, "input of flow \"%s\"", flow);
        goto done;
    }
    size_t len;
    char *text = mt_json_dump(checked, &len);
    mt_buf_add(normal, text, len);
    free(text);
    rc = mt_buf_ok(normal)
             ? 0
             : mt_fail(e, MT_LIMIT, "input of flow \"%s\": more than %zu bytes", flow, normal->max);
done:
    json_decref(schema);
    json_decref(checked);
    json_decref(value);
    scripts_release(s, l);
    return rc;
}

/* ---- handlers' transactions ---- */

static int failed(const struct mt_vm_result *r, const char *name, struct mt_error *e) {
    if (r->exit == MT_EXIT_RAISED) {
        json_t *error = mt_json_parse(r->error.data, r->error.len, e);
        if (error == NULL) return -1;
        const json_t *tagged = json_object_get(error, "$error");
        mt_error_from_json(tagged != NULL ? tagged : error, e);
        json_decref(error);
        return -1;
    }
    mt_err("a handler failed", "handler", name, "error", r->message, "line", r->site, "traceback",
           r->traceback);
    return mt_fail(e, r->exit == MT_EXIT_LIMIT ? MT_LIMIT : MT_SCRIPT, "%s", r->message);
}

int scripts_transact(struct mt_scripts *s, struct loaded *l, const char *name, int64_t task,
                     struct mt_vm_call *call, void (*before)(void *arg), struct mt_error *e) {
    if (s->engine == NULL) return mt_fail(e, MT_UNAVAILABLE, "the engine has not been started");
    for (int attempt = 0; attempt < HANDLER_ATTEMPTS; attempt++) {
        struct mt_vm_result r;
        int rc = 1;
        struct mt_exec *x = mt_handler_begin(s->engine, name);
        mt_handler_generation(x, l->id);
        if (task != 0) mt_handler_task(x, task);
        if (before != NULL) before(call->arg);
        call->context = x;
        mt_vm_execute(s->o.vm, l->g, call, &r);
        if (r.exit == MT_EXIT_RETURNED || r.exit == MT_EXIT_LEFT)
            rc = mt_handler_commit(
                x, e); /* a handler that was left failed in the store, which the commit tells */
        else if (r.exit == MT_EXIT_LIMIT || !mt_handler_overtaken(x))
            rc = failed(&r, name, e);
        if (r.exit == MT_EXIT_LEFT && rc == 0)
            rc = mt_fail(e, MT_UNAVAILABLE, "the handler could not be carried out");
        mt_vm_result_clear(&r);
        mt_handler_end(x);
        if (rc <= 0) return rc;
    }
    return mt_fail(e, MT_CONFLICT, "others changed what the handler reads %d times in a row",
                   (int)HANDLER_ATTEMPTS);
}

static int carry_out_task(struct mt_script *self, int64_t n, const char *name, const char *payload,
                          struct mt_error *e) {
    struct mt_scripts *s = (struct mt_scripts *)self;
    struct loaded *l = scripts_current(s);
    if (l == NULL) return mt_fail(e, MT_UNAVAILABLE, "no scripts are loaded");
    char entry[96];
    struct flow_call c = {.input = payload};
    mt_format(entry, sizeof(entry), "task:%s", name);
    struct mt_vm_call call = {.entry = entry, .push = push_input, .arg = &c};
    int rc = scripts_transact(s, l, entry, n, &call, NULL, e);
    scripts_release(s, l);
    return rc;
}

static json_t *schedules(struct mt_script *self, char generation[80]) {
    struct mt_scripts *s = (struct mt_scripts *)self;
    struct loaded *l = scripts_current(s);
    json_t *rows = json_array(), *row;
    size_t i;
    mt_copy(generation, 80, l != NULL ? l->id : "");
    json_array_foreach(l != NULL ? l->registry : NULL, i, row) {
        /* a copy: threads that share a value would count its users at once */
        if (strcmp(mt_json_str(row, "kind", ""), "schedule") == 0)
            json_array_append_new(rows, json_deep_copy(row));
    }
    scripts_release(s, l);
    return rows;
}

/* ---- life ---- */

struct mt_scripts *mt_scripts_new(const struct mt_scripts_options *o) {
    struct mt_scripts *s = mt_calloc(1, sizeof(*s));
    s->vtable = (struct mt_script){.execute = execute,
                                   .current = current,
                                   .check_input = check_input,
                                   .task = carry_out_task,
                                   .schedules = schedules};
    s->o = *o;
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->ready, NULL);
    return s;
}

void mt_scripts_free(struct mt_scripts *s) {
    if (s == NULL) return;
    free_chain(s->first);
    pthread_cond_destroy(&s->ready);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

void mt_scripts_bind(struct mt_scripts *s, struct mt_engine *engine) {
    s->engine = engine;
}

struct mt_script *mt_scripts_vtable(struct mt_scripts *s) {
    return &s->vtable;
}
