/* A runtime in this process for a console alone: no flow runs, no clock starts anything, nobody is listened
 * to but the console's socket. The folder's lock keeps every other runtime away meanwhile. One thread. */
#include "api.h"
#include "base/log.h"
#include "base/text.h"
#include "data.h"
#include "embedded.h"
#include "program.h"
#include "repl.h"
#include "runtime.h"
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

struct repl_offline {
    struct mt_runtime rt;
};

/* Looking at a folder must not make one. */
static int check_folder(const char *data, struct mt_error *e) {
    char path[4200];
    struct stat st;
    if (mt_data_path(data, "mintage.db", path, sizeof path, e) != 0) return -1;
    if (stat(path, &st) == 0) return 0;
    return mt_fail(e, MT_USAGE, "there is no runtime's data in %s; name the folder with --data", data);
}

static int open_runtime(struct repl_offline *o, struct mt_config *config, struct mt_error *e) {
    struct mt_runtime_options options = {
        .command = "repl",
        .config = config,
        .data = mt_config_str(config, "data"),
        .clock_path = mt_config_str(config, "clock"),
        .flows = mt_config_is_set(config, "flows") ? mt_config_str(config, "flows") : NULL,
        .embedded = mt_config_is_set(config, "flows") ? NULL : mt_embedded_flows,
        .routes = mt_serve_routes,
        .offline = true,
    };
    if (mt_runtime_open(&o->rt, &options, e) != 0) return -1;
    if (mt_runtime_start(&o->rt, e) == 0) return 0;
    mt_runtime_close(&o->rt);
    return -1;
}

struct repl_offline *mt_repl_offline_start(struct mt_config *config, struct mt_error *e) {
    const char *data = mt_config_str(config, "data");
    struct repl_offline *o = mt_calloc(1, sizeof *o);
    mt_log_setup(MT_LOG_ERROR, MT_LOG_TEXT);
    if (check_folder(data, e) == 0 && open_runtime(o, config, e) == 0) return o;
    free(o);
    if (strstr(e->message, "lock"))
        mt_error_wrap(e, "a runtime holds %s: leave --offline away to attach to it", data);
    return NULL;
}

void mt_repl_offline_stop(struct repl_offline *o) {
    if (!o) return;
    mt_runtime_close(&o->rt);
    free(o);
}
