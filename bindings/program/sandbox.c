/* mintage sandbox: the four providers alone, emulated by flows/sandbox on a runtime of their own: own store,
 * no providers, no flow workers. It shares nothing with the runtime it judges but, if wanted, the clock. */
#include "api.h"
#include "base/log.h"
#include "base/text.h"
#include "data.h"
#include "embedded.h"
#include "endpoints.h"
#include "program.h"
#include "terminal.h"
#include <string.h>
#include <unistd.h>

const struct mt_route *const mt_sandbox_routes[] = {
    mt_api_sandbox_routes,
    mt_api_health_routes,
    mt_api_asset_routes,
    NULL,
};

static void greet(struct mt_runtime *rt) {
    mt_info("ready", "url", rt->public_url, "data", rt->o.data);
    if (!isatty(STDOUT_FILENO)) return;
    const struct mt_colors *c = mt_colors_for(stdout, "auto");
    printf("\n%sMintage sandbox%s  %s  (test only: no real money moves)\n", c->bold, c->reset,
           rt->public_url);
    printf("  credentials and test cards: mintage sandbox --help, or open the URL\n");
    printf("  stop    Ctrl-C\n\n");
    fflush(stdout);
}

int mt_sandbox_command(const struct mt_command *self, struct mt_config *config, int argc, const char **argv) {
    (void)self, (void)argc, (void)argv;
    struct mt_runtime rt;
    struct mt_error e;
    struct mt_endpoints *endpoints = NULL;
    char data[4096], clock[4200];
    const char *folder = mt_config_str(config, "data");

    mt_log_setup_from(config);
    mt_runtime_block_signals();
    if (mt_data_path(folder, "sandbox", data, sizeof data, &e) != 0 ||
        mt_data_path(folder, "clock", clock, sizeof clock, &e) != 0 || mt_data_make(folder, &e) != 0)
        return mt_report(&e);
    struct mt_runtime_options o = {
        .command = "sandbox",
        .config = config,
        .data = data,
        .clock_path = mt_config_str(config, "clock") ? mt_config_str(config, "clock") : clock,
        .port = mt_setting_port(config, MT_PORT_SANDBOX),
        .sandbox = true,
        .embedded = mt_embedded_sandbox,
        .routes = mt_sandbox_routes,
    };
    if (mt_runtime_open(&rt, &o, &e) != 0) return mt_report(&e);
    int code = MT_EXIT_DONE;
    if (mt_runtime_start(&rt, &e) != 0) {
        code = mt_report(&e);
        goto out;
    }
    greet(&rt);
    mt_runtime_tell_ready(&rt);
    if (mt_config_str(config, "webhooks"))
        endpoints =
            mt_endpoints_register(rt.transport, rt.public_url, mt_config_str(config, "webhooks"), NULL);
    mt_runtime_wait_signal(&rt);
out:
    mt_endpoints_stop(endpoints);
    mt_runtime_close(&rt);
    return code;
}
