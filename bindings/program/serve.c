/* mintage serve: the runtime alone. Opens it, says where it is, waits for a signal, drains. */
#include "api.h"
#include "base/log.h"
#include "base/text.h"
#include "embedded.h"
#include "endpoints.h"
#include "program.h"
#include "terminal.h"
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

const struct mt_route *const mt_serve_routes[] = {
    mt_api_run_routes,    mt_api_audit_routes,  mt_api_console_routes, mt_api_migrate_routes,
    mt_api_travel_routes, mt_api_event_routes,  mt_api_list_routes,    mt_api_public_routes,
    mt_api_asset_routes,  mt_api_health_routes, mt_api_purge_routes,   NULL,
};

/* For a person at a terminal; for everybody else it is a log line. */
static void greet(struct mt_runtime *rt, int64_t took_ms) {
    size_t flows, entries;
    char took[32];
    mt_runtime_count_entries(rt, &flows, &entries);
    mt_format(took, sizeof took, "%lld", (long long)took_ms);
    mt_info("ready", "url", rt->public_url, "data", rt->o.data, "after_ms", took);
    if (!isatty(STDOUT_FILENO)) return;
    const struct mt_colors *c = mt_colors_for(stdout, "auto");
    printf("\n%sMintage%s  %s\n", c->bold, c->reset, rt->public_url);
    printf("  flows   %zu from %s\n", flows, mt_generations_origin(rt->generations));
    printf("  token   %s\n", *rt->token_path ? rt->token_path : "as configured");
    printf("  data    %s\n", rt->o.data);
    printf("  stop    Ctrl-C\n\n");
    fflush(stdout);
}

static int check_settings(const struct mt_config *config, struct mt_error *e) {
    struct stat st;
    const char *flows = mt_config_str(config, "flows");
    if (mt_config_is_set(config, "flows") && (stat(flows, &st) != 0 || !S_ISDIR(st.st_mode)))
        return mt_fail(e, MT_USAGE,
                       "--flows: there is no folder %s; make it, or leave --flows away to serve what ships",
                       flows);
    if (mt_config_str(config, "clock") && !mt_config_str(config, "sandbox"))
        return mt_fail(e, MT_USAGE,
                       "--clock moves time, which real providers do not do along: it needs --sandbox URL. "
                       "Leave it away");
    return 0;
}

int mt_serve_command(const struct mt_command *self, struct mt_config *config, int argc, const char **argv) {
    (void)self, (void)argc, (void)argv;
    struct mt_runtime rt;
    struct mt_error e;
    struct mt_endpoints *endpoints = NULL;
    struct mt_clock *mono = mt_clock_system();
    int64_t began = mono->mono_ns(mono);

    mt_log_setup_from(config);
    mt_runtime_block_signals();
    struct mt_runtime_options o = {
        .command = "serve",
        .config = config,
        .data = mt_config_str(config, "data"),
        .clock_path = mt_config_str(config, "clock"),
        .port = mt_setting_port(config, MT_PORT_RUNTIME),
        .flows = mt_config_str(config, "flows"),
        .embedded = mt_config_is_set(config, "flows") ? NULL : mt_embedded_flows,
        .routes = mt_serve_routes,
    };
    if (check_settings(config, &e) != 0 || mt_runtime_open(&rt, &o, &e) != 0) {
        mono->free(mono);
        return mt_report(&e);
    }
    int code = MT_EXIT_DONE;
    if (mt_runtime_start(&rt, &e) != 0) {
        code = mt_report(&e);
        goto out;
    }
    greet(&rt, (mono->mono_ns(mono) - began) / 1000000);
    mt_runtime_tell_ready(&rt);
    if (mt_config_str(config, "sandbox")) {
        char target[600];
        mt_format(target, sizeof target, "%s/webhooks", rt.public_url);
        endpoints =
            mt_endpoints_register(rt.transport, mt_config_str(config, "sandbox"), target, rt.webhook_secret);
    }
    int sig = mt_runtime_wait_signal(&rt);
    mt_info("stopping", "signal", sig == SIGINT ? "SIGINT" : "SIGTERM");
out:
    mt_endpoints_stop(endpoints);
    mt_runtime_close(&rt);
    mono->free(mono);
    if (code == MT_EXIT_DONE) mt_info("stopped");
    return code;
}
