/* Opening and closing a serving process. See runtime.h. */
#include "runtime.h"
#include "api.h"
#include "base/json.h"
#include "base/log.h"
#include "base/text.h"
#include "bindings/modules/console.h"
#include "bindings/modules/modules.h"
#include "console.h"
#include "data.h"
#include "program.h"
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

enum { WEBHOOK_SECRET_BYTES = 16, MODULES_MAX = 64, SANDBOX_THREADS = 2048 };
#define SANDBOX_RETAIN_MS (INT64_C(366) * 24 * 3600 * 1000)

void mt_log_setup_from(const struct mt_config *c) {
    static const char *const levels[] = {"debug", "info", "warn", "error", "off"};
    static const char *const formats[] = {"auto", "text", "json"};
    int level = 0, format = 0;
    while (strcmp(levels[level], mt_config_str(c, "log-level")) != 0) level++;
    while (strcmp(formats[format], mt_config_str(c, "log-format")) != 0) format++;
    mt_log_setup((enum mt_log_level)level, (enum mt_log_format)format);
}

/* ---- opening, a piece at a time ---- */

static int open_identity(struct mt_runtime *rt, struct mt_error *e) {
    const char *token = rt->o.sandbox ? NULL : mt_config_str(rt->o.config, "admin-token");
    const char *secret = rt->o.sandbox ? NULL : mt_config_str(rt->o.config, "webhook-secret");
    char path[4200];
    if (mt_data_make(rt->o.data, e) != 0 ||
        mt_data_path(rt->o.data, "secret-key", path, sizeof path, e) != 0 ||
        mt_secret_file(path, &rt->key, e) != 0)
        return -1;
    if (rt->o.sandbox) return 0;
    if (token) {
        if (strlen(token) < 16 || !mt_copy(rt->token, sizeof rt->token, token))
            return mt_fail(e, MT_USAGE, "admin-token must have 16 to %zu characters", sizeof rt->token - 1);
    } else if (mt_data_token(rt->o.data, rt->token, sizeof rt->token, e) != 0 ||
               mt_data_path(rt->o.data, "admin-token", rt->token_path, sizeof rt->token_path, e) != 0) {
        return -1;
    }
    if (!secret) { /* derived, so that the URL a provider was given stays right over restarts */
        struct mt_seal_key key;
        mt_derive_key(&rt->key, "webhook-url", &key);
        mt_hex_encode(key.bytes, WEBHOOK_SECRET_BYTES, rt->webhook_secret);
        mt_wipe(&key, sizeof key);
        return 0;
    }
    if (strlen(secret) < 16 || !mt_copy(rt->webhook_secret, sizeof rt->webhook_secret, secret))
        return mt_fail(e, MT_USAGE, "webhook-secret must have 16 to %zu characters",
                       sizeof rt->webhook_secret - 1);
    return 0;
}

/* The secrets of merchants' endpoints are derived from a key, which is the data folder's own unless
 * configured. With a sandbox, merchants may be on this machine as well. */
static void sign_webhooks(struct mt_runtime *rt, json_t *accounts) {
    struct mt_seal_key key;
    json_t *own = json_object_get(accounts, "webhooks");
    if (!own) json_object_set_new(accounts, "webhooks", own = json_object());
    if (!*mt_json_str(own, "signing_key", "")) {
        char hex[2 * sizeof key.bytes + 1];
        mt_derive_key(&rt->key, "merchant webhooks", &key);
        mt_hex_encode(key.bytes, sizeof key.bytes, hex);
        json_object_set_new(own, "signing_key", json_string(hex));
        mt_wipe(&key, sizeof key);
        mt_wipe(hex, sizeof hex);
    }
    if (mt_config_str(rt->o.config, "sandbox") && !*mt_json_str(own, "private_addresses", ""))
        json_object_set_new(own, "private_addresses", json_string("allow"));
}

static int open_providers(struct mt_runtime *rt, struct mt_error *e) {
    json_t *accounts = mt_setting_providers(rt->o.config);
    sign_webhooks(rt, accounts);
    rt->providers = mt_providers_new(accounts, mt_config_str(rt->o.config, "sandbox"), rt->clock, e);
    json_decref(accounts);
    return rt->providers ? 0 : -1;
}

static int script_settings(void *ctx, char **json, struct mt_error *e) {
    return mt_setting_scripts(((struct mt_runtime *)ctx)->o.config, json, e);
}

static int load_sources(void *ctx, const char *id, struct mt_source **files, size_t *count, char **settings,
                        struct mt_error *e) {
    return mt_generations_fetch(((struct mt_runtime *)ctx)->generations, id, files, count, settings, e);
}

/* Tells streams that the flows changed or broke. */
static void flows_changed(void *ctx) {
    struct mt_runtime *rt = ctx;
    struct mt_buf b;
    mt_buf_init(&b, 64 * 1024);
    mt_api_generation_json(rt, &b);
    if (mt_buf_ok(&b)) mt_sse_publish(rt->sse, "generation", b.data, b.len);
    mt_buf_clear(&b);
    mt_console_reloaded(atomic_load(&rt->console));
}

static int open_scripts(struct mt_runtime *rt, struct mt_error *e) {
    const struct mt_config *c = rt->o.config;
    rt->modules = mt_calloc(MODULES_MAX, sizeof *rt->modules);
    if (mt_modules_with(rt->o.modules, rt->modules, MODULES_MAX) == 0)
        return mt_fail(e, MT_INTERNAL, "there are more than %d modules", MODULES_MAX);
    struct mt_vm_options vo = {
        .modules = rt->modules,
        .entries = mt_console_entries,
        .memory_limit = (size_t)mt_config_int(c, "memory-limit"),
        .cpu_limit_ms = (int)mt_config_int(c, "cpu-limit"),
    };
    if (!(rt->vm = mt_vm_new(&vo, e))) return -1;
    struct mt_generations_options go = {
        .vm = rt->vm,
        .store = rt->store,
        .clock = rt->clock,
        .dir = rt->o.flows,
        .embedded = rt->o.embedded,
        .settings = rt->o.sandbox ? NULL : script_settings,
        .changed = flows_changed,
        .ctx = rt,
    };
    rt->generations = mt_generations_new(&go);
    struct mt_scripts_options so = {
        .vm = rt->vm,
        .load = load_sources,
        .authorised = rt->o.sandbox ? NULL : mt_runtime_authorised,
        .ctx = rt,
    };
    rt->scripts = mt_scripts_new(&so);
    return 0;
}

static int open_server(struct mt_runtime *rt, struct mt_error *e) {
    const struct mt_config *c = rt->o.config;
    int threads = (int)mt_config_int(c, "threads");
    /* A runtime keeps a connection from each worker that has called here, and a connection has a thread. */
    if (rt->o.sandbox && !mt_config_is_set(c, "threads")) threads = SANDBOX_THREADS;
    struct mt_server_options so = {
        .host = mt_config_str(c, "host"),
        .port = rt->o.port,
        .threads = threads,
        .max_body = (size_t)mt_config_int(c, "max-body"),
        .drain_ms = (int)mt_config_int(c, "drain"),
        .loopback_only = rt->o.sandbox,
        .trusted_proxies = rt->o.sandbox ? NULL : mt_config_str(c, "trusted-proxies"),
        .clock = rt->clock,
        .fallback = mt_api_scripts,
        .fallback_ctx = rt,
    };
    struct mt_router *router = rt->router;
    rt->router = NULL; /* the server's, whatever becomes of it */
    struct mt_server *server = mt_server_start(&so, router, e);
    if (!server) return -1;
    rt->router = router;
    rt->port = mt_server_port(server);
    atomic_store(&rt->server, server);
    return 0;
}

static int open_routes(struct mt_runtime *rt, struct mt_error *e) {
    rt->router = mt_router_new();
    if (mt_api_bind(rt, rt->router, e) != 0) return -1;
    rt->port = rt->o.port;
    return rt->o.parts || rt->o.offline ? 0 : open_server(rt, e);
}

static int name_url(struct mt_runtime *rt, struct mt_error *e) {
    const struct mt_config *c = rt->o.config;
    const char *url = rt->o.sandbox ? NULL : mt_config_str(c, "public-url");
    bool fits = url ? mt_copy(rt->public_url, sizeof rt->public_url, url)
                    : mt_format(rt->public_url, sizeof rt->public_url, "http://%s:%d",
                                mt_config_str(c, "host"), rt->port);
    for (size_t n = strlen(rt->public_url); n > 0 && rt->public_url[n - 1] == '/'; n--)
        rt->public_url[n - 1] = '\0';
    return fits
               ? 0
               : mt_fail(e, MT_USAGE, "public-url is too long: at most %zu bytes", sizeof rt->public_url - 1);
}

static void publish(void *ctx, const char *name, const char *json) {
    mt_sse_publish(((struct mt_runtime *)ctx)->sse, name, json, strlen(json));
}

static bool listening(void *ctx) {
    return mt_sse_count(((struct mt_runtime *)ctx)->sse) > 0;
}

/* The sandbox keeps what it is asked about for a year (its scripts say so of their requests as well). */
static struct mt_retention retention_of(const struct mt_runtime *rt) {
    const struct mt_config *c = rt->o.config;
    if (rt->o.sandbox) return (struct mt_retention){SANDBOX_RETAIN_MS, SANDBOX_RETAIN_MS, MT_NEVER};
    return (struct mt_retention){.runs_ms = mt_config_int(c, "retain"),
                                 .unread_ms = mt_config_int(c, "retain-unread"),
                                 .tombstones_ms = mt_config_int(c, "retain-tombstones")};
}

static int open_engine(struct mt_runtime *rt, struct mt_error *e) {
    struct mt_engine_options eo = {
        .store = rt->store,
        .clock = rt->clock,
        .random = rt->o.parts ? rt->o.parts->random : mt_random_system(),
        .transport = rt->transport,
        .providers = rt->providers,
        .script = mt_scripts_vtable(rt->scripts),
        .key = &rt->key,
        .public_url = rt->public_url,
        .workers = rt->o.sandbox ? -1 : (int)mt_config_int(rt->o.config, "workers"),
        .retention = retention_of(rt),
        .changed = publish,
        .listening = listening,
        .ctx = rt,
    };
    if (!(rt->engine = mt_engine_new(&eo, e))) return -1;
    mt_scripts_bind(rt->scripts, rt->engine);
    mt_generations_attach(rt->generations, rt->scripts, rt->engine);
    return 0;
}

/* A connection is a descriptor, and shells hand on a limit of 1,024 that exists for programs with select().
 */
static void raise_descriptors(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= limit.rlim_max) return;
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
        mt_warn("cannot raise the limit of descriptors", "error", strerror(errno));
}

static int open_machine(struct mt_runtime *rt, struct mt_error *e) {
    raise_descriptors();
    if (open_identity(rt, e) != 0) return -1;
    rt->clock = rt->o.clock_path ? mt_clock_open_shared(rt->o.clock_path, e) : mt_clock_system();
    if (!rt->clock || !(rt->store = mt_store_sqlite_open(rt->o.data, e))) return -1;
    rt->transport = mt_transport_curl();
    return 0;
}

static int open_given(struct mt_runtime *rt, struct mt_error *e) {
    const struct mt_runtime_parts *parts = rt->o.parts;
    rt->key = *parts->key;
    mt_copy(rt->token, sizeof rt->token, parts->token);
    mt_copy(rt->webhook_secret, sizeof rt->webhook_secret, parts->webhook_secret);
    rt->clock = parts->clock;
    rt->transport = parts->transport;
    return (rt->store = parts->open_store(parts->ctx, e)) ? 0 : -1;
}

int mt_runtime_open(struct mt_runtime *rt, const struct mt_runtime_options *o, struct mt_error *e) {
    *rt = (struct mt_runtime){.o = *o};
    pthread_mutex_init(&rt->starting_lock, NULL);
    pthread_mutex_init(&rt->advance_lock, NULL);
    if ((o->parts ? open_given(rt, e) : open_machine(rt, e)) != 0) goto fail;
    rt->started_ms = rt->clock->wall_ms(rt->clock);
    rt->sse = mt_sse_new(0, 0);
    if (!o->sandbox && open_providers(rt, e) != 0) goto fail;
    if (open_scripts(rt, e) != 0 || open_routes(rt, e) != 0 || name_url(rt, e) != 0 ||
        open_engine(rt, e) != 0)
        goto fail;
    return 0;
fail:
    mt_runtime_close(rt);
    return -1;
}

/* ---- starting ---- */

static void say_loaded(struct mt_runtime *rt) {
    struct mt_generation *g = mt_scripts_current(rt->scripts);
    size_t flows, routes;
    char n[24], id[24];
    if (!g || rt->o.sandbox) goto out;
    mt_runtime_count_entries(rt, &flows, &routes);
    mt_format(n, sizeof n, "%zu", flows);
    mt_format(id, sizeof id, "%.19s",
              mt_generation_id(g)); /* a longer one may look like a card's number to the log */
    mt_info("flows loaded", "flows", n, "from", mt_generations_origin(rt->generations), "generation", id);
out:
    if (g) mt_generation_release(g);
}

static void say_broken(const struct mt_error *e, const char *consequence) {
    mt_err("flows are broken", "error", e->message, "consequence", consequence);
}

static void reloaded(void *ctx, enum mt_load result, const struct mt_error *e) {
    struct mt_runtime *rt = ctx;
    if (result == MT_LOAD_SWAPPED) say_loaded(rt);
    if (result == MT_LOAD_BROKEN) say_broken(e, "what was loaded before goes on being used");
}

/* Broken flows do not keep the runtime from starting: runs in flight have their own code and must go on. */
static int first_load(struct mt_runtime *rt, struct mt_error *error) {
    struct mt_error broken, e;
    if (mt_generations_load(rt->generations, &broken) != MT_LOAD_BROKEN) {
        say_loaded(rt);
        return 0;
    }
    if (rt->o.sandbox) { /* its flows are part of the program: a bug of ours */
        *error = broken;
        return -1;
    }
    if (mt_generations_restore(rt->generations, &e) == 0)
        say_broken(&broken, "the last flows that worked are used");
    else
        say_broken(&broken, "no flow can be started until it is mended");
    return 0;
}

static void open_console(struct mt_runtime *rt) {
    struct mt_error e;
    struct mt_console *console = mt_console_start(rt, &e);
    if (!console) mt_warn("there is no console", "error", e.message);
    atomic_store(&rt->console, console);
}

/* With the flows that were used last, unless others are named; and nothing is written that nobody asked for.
 */
static int start_offline(struct mt_runtime *rt, struct mt_error *e) {
    struct mt_error ignored;
    if ((rt->o.flows || mt_generations_restore(rt->generations, &ignored) != 0) && first_load(rt, e) != 0)
        return -1;
    struct mt_console *console = mt_console_start(rt, e);
    atomic_store(&rt->console, console);
    atomic_store(&rt->ready, true);
    return console ? 0 : -1;
}

int mt_runtime_start(struct mt_runtime *rt, struct mt_error *e) {
    if (rt->o.offline) return start_offline(rt, e);
    if (first_load(rt, e) != 0 || mt_engine_start(rt->engine, e) != 0) return -1;
    if (rt->o.flows && !rt->o.parts && mt_config_bool(rt->o.config, "reload")) {
        rt->reload = mt_reload_start(rt->generations, rt->o.flows, mt_config_str(rt->o.config, "config"),
                                     reloaded, rt, e);
        if (!rt->reload) return -1;
    }
    if (!rt->o.sandbox && !rt->o.parts) open_console(rt);
    atomic_store(&rt->ready, true);
    return 0;
}

void mt_runtime_tell_ready(const struct mt_runtime *rt) {
    int fd = (int)mt_config_int(rt->o.config, "ready-fd");
    char line[32];
    if (fd < 0) return;
    mt_format(line, sizeof line, "ready %d\n", rt->port);
    if (write(fd, line, strlen(line)) < 0) mt_warn("cannot tell the supervisor", "error", strerror(errno));
    close(fd);
}

void mt_runtime_serve(struct mt_runtime *rt, struct mt_request *req, struct mt_response *resp) {
    mt_router_serve(rt->router, mt_api_scripts, rt, req, resp);
}

/* ---- closing ---- */

void mt_runtime_close(struct mt_runtime *rt) {
    atomic_store(&rt->stopping, true);
    mt_reload_stop(rt->reload);
    struct mt_server *server = atomic_load(&rt->server);
    if (server)
        mt_server_stop(server); /* the engine still runs: answers under way are true ones */
    else
        mt_router_free(rt->router);
    struct mt_console *console = atomic_load(&rt->console);
    atomic_store(&rt->console, NULL);
    mt_console_stop(console);
    if (rt->engine) mt_engine_stop(rt->engine);
    mt_sse_free(rt->sse);
    if (rt->engine) mt_engine_free(rt->engine);
    if (rt->scripts) mt_scripts_free(rt->scripts);
    mt_generations_free(rt->generations);
    if (rt->vm) mt_vm_free(rt->vm);
    free(rt->modules);
    if (rt->providers) mt_providers_free(rt->providers);
    if (rt->transport && !rt->o.parts) rt->transport->free(rt->transport);
    if (rt->store) rt->store->close(rt->store);
    if (rt->clock && !rt->o.parts) rt->clock->free(rt->clock);
    free(rt->bound);
    pthread_mutex_destroy(&rt->starting_lock);
    pthread_mutex_destroy(&rt->advance_lock);
    mt_wipe(&rt->key, sizeof rt->key);
    mt_wipe(rt->token, sizeof rt->token);
}

/* ---- signals ---- */

static void stop_signals(sigset_t *set) {
    sigemptyset(set);
    sigaddset(set, SIGTERM);
    sigaddset(set, SIGINT);
    sigaddset(set, SIGHUP);
}

void mt_runtime_block_signals(void) {
    sigset_t set;
    stop_signals(&set);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
}

int mt_runtime_wait_signal(struct mt_runtime *rt) {
    sigset_t set;
    int got = 0;
    stop_signals(&set);
    for (;;) {
        if (sigwait(&set, &got) != 0) continue;
        if (got != SIGHUP) return got;
        struct mt_error e;
        if (!rt->reload) /* the watcher is the one caller of load, when there is one */
            reloaded(rt, mt_generations_load(rt->generations, &e), &e);
    }
}

/* ---- what the current generation has ---- */

static json_t *registry(struct mt_runtime *rt) {
    struct mt_error e;
    struct mt_generation *g = mt_scripts_current(rt->scripts);
    if (!g) return json_array();
    const char *text = mt_generation_registry(g);
    json_t *entries = mt_json_parse(text, strlen(text), &e);
    mt_generation_release(g);
    return entries ? entries : json_array();
}

void mt_runtime_count_entries(struct mt_runtime *rt, size_t *flows, size_t *routes) {
    json_t *entries = registry(rt), *entry;
    size_t i;
    *flows = *routes = 0;
    json_array_foreach(entries, i, entry) {
        const char *kind = mt_json_str(entry, "kind", "");
        *flows += strcmp(kind, "flow") == 0;
        *routes += strcmp(kind, "route") == 0;
    }
    json_decref(entries);
}

bool mt_runtime_has_entry(struct mt_runtime *rt, const char *kind, const char *name) {
    json_t *entries = registry(rt), *entry;
    bool found = false;
    size_t i;
    json_array_foreach(entries, i, entry) {
        found = found || (strcmp(mt_json_str(entry, "kind", ""), kind) == 0 &&
                          strcmp(mt_json_str(entry, "name", ""), name) == 0);
    }
    json_decref(entries);
    return found;
}
