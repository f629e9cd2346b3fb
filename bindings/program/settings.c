/* The table of settings: every option, its variable and its line of --help is a row here, and nowhere else.
 * What a row means is decided where it is read. Filled once by mt_settings_init, immutable from then on; any
 * thread. */
#include "base/json.h"
#include "program.h"
#include "providers/provider.h"
#include <stdlib.h>

#define LONG_RUNNING MT_CMD_RUNTIME
#define SERVERS (MT_CMD_DEV | MT_CMD_SERVE)
#define DAY_MS (24LL * 60 * 60 * 1000)

static const struct mt_setting settings[] = {
    {"host", MT_SET_STRING, "127.0.0.1", 0, 0, NULL, LONG_RUNNING, "address to listen on", 0},
    {"port", MT_SET_INT, NULL, 0, 65535, NULL, LONG_RUNNING,
     "port to listen on: 8080 for the runtime, 8090 for mintage sandbox; 0: any that is free", 'p'},
    {"sandbox-port", MT_SET_INT, "8090", 0, 65535, NULL, MT_CMD_DEV,
     "port of the sandbox; 0: any that is free", 0},
    {"data", MT_SET_PATH, "./mintage-data", 0, 0, NULL, LONG_RUNNING | MT_CMD_CLIENT,
     "folder for runs, keys and the admin token", 'd'},
    {"flows", MT_SET_PATH, "./flows", 0, 0, NULL,
     SERVERS | MT_CMD_CHECK | MT_CMD_PROVIDERS | MT_CMD_NEW | MT_CMD_REPL,
     "folder of flows: *.lua in it are flows, its subfolders are for require", 0},
    {"config", MT_SET_PATH, NULL, 0, 0, NULL, LONG_RUNNING | MT_CMD_CLIENT | MT_CMD_CHECK,
     "configuration file (JSON): these options, \"providers\", and \"settings\" for scripts", 'c'},
    {"public-url", MT_SET_URL, NULL, 0, 0, NULL, SERVERS,
     "how customers and providers reach the runtime (http://HOST:PORT)", 0},
    {"sandbox", MT_SET_URL, NULL, 0, 0, NULL, MT_CMD_SERVE | MT_CMD_REPL,
     "point all providers at a running mintage sandbox, with its test credentials", 0},
    {"webhooks", MT_SET_URL, NULL, 0, 0, NULL, MT_CMD_SANDBOX, "send webhooks to URL/{provider}", 0},
    {"reload", MT_SET_BOOL, "true", 0, 0, NULL, SERVERS, "load flows again when their files change", 0},
    {"admin-token", MT_SET_SECRET, NULL, 0, 0, NULL, SERVERS,
     "token of the /v1 API (made in the data folder unless set)", 0},
    {"webhook-secret", MT_SET_SECRET, NULL, 0, 0, NULL, SERVERS,
     "secret of webhook URLs, ?s=... (derived from the data folder's key unless set)", 0},
    {"embed-origins", MT_SET_STRING, NULL, 0, 0, NULL, SERVERS,
     "origins, separated by spaces, whose pages may show the checkout page in a frame", 0},
    {"trusted-proxies", MT_SET_STRING, NULL, 0, 0, NULL, SERVERS,
     "addresses and networks, separated by spaces, of proxies whose X-Forwarded-For or Forwarded is believed",
     0},
    {"workers", MT_SET_INT, "2048", 1, 4096, NULL, SERVERS,
     "most flows under way at once; threads come and go with them", 0},
    {"threads", MT_SET_INT, "512", 8, 4096, NULL, LONG_RUNNING,
     "HTTP connections served at once (the sandbox: 2048 unless set)", 0},
    {"max-body", MT_SET_SIZE, "1M", 1024, 64LL << 20, NULL, LONG_RUNNING, "largest request body", 0},
    {"memory-limit", MT_SET_SIZE, "32M", 1 << 20, 1LL << 30, NULL, LONG_RUNNING,
     "memory that one execution may use", 0},
    {"cpu-limit", MT_SET_DURATION, "1s", 10, 60000, NULL, LONG_RUNNING,
     "processor time that a script may use between two effects", 0},
    {"drain", MT_SET_DURATION, "30s", 0, 600000, NULL, LONG_RUNNING,
     "how long requests under way may take to finish when stopping", 0},
    {"retain", MT_SET_DURATION, "90d", 1000, 36500 * DAY_MS, "forever", SERVERS,
     "how long ended runs, earlier segments of running ones and read events are kept; a tombstone stays", 0},
    {"retain-unread", MT_SET_DURATION, "365d", 1000, 36500 * DAY_MS, "forever", SERVERS,
     "how long events are kept that no run has read", 0},
    {"retain-tombstones", MT_SET_DURATION, "forever", 1000, 36500 * DAY_MS, "forever", SERVERS,
     "how long the tombstones of ended runs are kept: as long, a key starts nothing twice", 0},
    {"clock", MT_SET_PATH, NULL, 0, 0, NULL, MT_CMD_SERVE | MT_CMD_SANDBOX | MT_CMD_REPL,
     "file with the clock's offset, shared with the sandbox (serve: only with --sandbox)", 0},
    {"log-level", MT_SET_ENUM, "info", 0, 0, "debug|info|warn|error|off", LONG_RUNNING,
     "least level of log lines", 0},
    {"log-format", MT_SET_ENUM, "auto", 0, 0, "auto|text|json", LONG_RUNNING,
     "form of log lines; auto: text on a terminal, JSON elsewhere", 0},
    {"ready-fd", MT_SET_INT, "-1", -1, 1 << 20, NULL, MT_CMD_SERVE | MT_CMD_SANDBOX,
     "descriptor to write \"ready PORT\" to when listening, for supervisors", 0},
    {"color", MT_SET_ENUM, "auto", 0, 0, "auto|always|never", MT_CMD_DEV | MT_CMD_CLIENT | MT_CMD_CHECK,
     "colours; auto: on a terminal without NO_COLOR", 0},
    {"url", MT_SET_URL, "http://127.0.0.1:8080", 0, 0, NULL, MT_CMD_CLIENT, "the runtime to talk to", 0},
    {"token", MT_SET_SECRET, NULL, 0, 0, NULL, MT_CMD_CLIENT,
     "its admin token (read from the data folder unless set)", 0},
    {"json", MT_SET_BOOL, "false", 0, 0, NULL, MT_CMD_CLIENT | MT_CMD_CHECK | MT_CMD_TEST,
     "print JSON instead of words", 0},
    {"execute", MT_SET_STRINGS, NULL, 0, 0, NULL, MT_CMD_REPL,
     "run this code and leave; may be repeated, and stops at the first that fails", 'e'},
    {"offline", MT_SET_BOOL, "false", 0, 0, NULL, MT_CMD_REPL,
     "open the data folder in this process; --flows, --sandbox and --clock are for this", 0},
    {"read-only", MT_SET_BOOL, "false", 0, 0, NULL, MT_CMD_REPL, "refuse whatever would change anything", 0},
    {"yes", MT_SET_BOOL, "false", 0, 0, NULL, MT_CMD_REPL | MT_CMD_RUNS,
     "answer yes to every question, also those about real money (on the command line alone)", 0},
    {"timeout", MT_SET_DURATION, "30s", 100, 60 * 60 * 1000, NULL, MT_CMD_REPL,
     "how long a command may take; waiting for an answer is not counted", 0},
    {"run", MT_SET_STRING, NULL, 0, 0, NULL, MT_CMD_REPL,
     "time travel: begin with `travel`, this run as it was at an effect", 0},
    {"at", MT_SET_INT, NULL, 0, INT32_MAX, NULL, MT_CMD_REPL, "which effect of --run (its end)", 0},
    {"no-color", MT_SET_BOOL, "false", 0, 0, NULL, MT_CMD_REPL, "as --color never", 0},
    {"shipped", MT_SET_BOOL, "false", 0, 0, NULL, MT_CMD_NEW,
     "copy the flow of this name that ships with Mintage, and what it requires", 0},
    {"crash", MT_SET_BOOL, "false", 0, 0, NULL, MT_CMD_TEST,
     "run each test again once for each point at which the runtime could die", 0},
    {"crash-pairs", MT_SET_BOOL, "false", 0, 0, NULL, MT_CMD_TEST,
     "and once for each point at which it could die a second time (for short tests)", 0},
    {"loss", MT_SET_ENUM, "unsynced", 0, 0, "unsynced|process|tears|all", MT_CMD_TEST,
     "what its disk forgets then: all that was not synced, nothing, or any part of it", 0},
    {"faults", MT_SET_INT, "0", 0, 1000000, NULL, MT_CMD_TEST,
     "run each test again with so many schedules of mishaps", 0},
    {"seed", MT_SET_INT, NULL, 0, INT32_MAX, NULL, MT_CMD_TEST,
     "what chance is made of: of --faults (1), or of the worlds of a plain run (their own)", 0},
    {"replay", MT_SET_STRING, NULL, 0, 0, NULL, MT_CMD_TEST,
     "run tests with exactly these mishaps, as a failure printed them: \"p37 n12:lost\"", 0},
    {"filter", MT_SET_STRING, NULL, 0, 0, NULL, MT_CMD_TEST, "only tests whose names have this Lua pattern",
     0},
    {"jobs", MT_SET_INT, "0", 0, 256, NULL, MT_CMD_TEST, "children at once; 0: as many as there are cores",
     0},
    {"deadline", MT_SET_DURATION, "60s", 1000, 3600000, NULL, MT_CMD_TEST,
     "real time that one run of one test may take", 0},
    {"junit", MT_SET_PATH, NULL, 0, 0, NULL, MT_CMD_TEST, "write the results there, as JUnit's XML", 0},
    {"key", MT_SET_STRING, NULL, 0, 0, NULL, MT_CMD_RUN | MT_CMD_RUNS | MT_CMD_EVENTS,
     "run: idempotency key, the same key is the same run; runs list, events list: only those of this key",
     'k'},
    {"wait", MT_SET_DURATION, NULL, 0, DAY_MS, NULL, MT_CMD_RUN,
     "how long to wait for the run to end (until it does)", 0},
    {"flow", MT_SET_STRING, NULL, 0, 0, NULL, MT_CMD_RUNS,
     "list, find, migrate, purge: only runs of this flow", 0},
    {"dry-run", MT_SET_BOOL, "false", 0, 0, NULL, MT_CMD_RUNS, "migrate, purge: only say what would be done",
     0},
    {"state", MT_SET_STRING, NULL, 0, 0, NULL, MT_CMD_RUNS, "list, find: only runs in this state", 0},
    {"reference", MT_SET_STRING, NULL, 0, 0, NULL, MT_CMD_RUNS, "find: an order's reference, or a key", 0},
    {"email", MT_SET_STRING, NULL, 0, 0, NULL, MT_CMD_RUNS, "find: a customer's e-mail address", 0},
    {"amount", MT_SET_STRING, NULL, 0, 0, NULL, MT_CMD_RUNS, "find: \"80.00 USD\", or 80 of any currency", 0},
    {"last4", MT_SET_STRING, NULL, 0, 0, NULL, MT_CMD_RUNS, "find: the last four digits of a card", 0},
    {"since", MT_SET_STRING, NULL, 0, 0, NULL, MT_CMD_RUNS | MT_CMD_AUDIT,
     "find: runs that began after this instant, or 7d ago; audit: what was done since then", 0},
    {"user", MT_SET_STRING, NULL, 0, 0, NULL, MT_CMD_AUDIT, "only what this person did", 0},
    {"cursor", MT_SET_STRING, NULL, 0, 0, NULL, MT_CMD_RUNS, "find: go on where a search was cut off", 0},
    {"topic", MT_SET_STRING, NULL, 0, 0, NULL, MT_CMD_EVENTS, "list: only events of this topic", 0},
    {"late", MT_SET_BOOL, "false", 0, 0, NULL, MT_CMD_EVENTS,
     "list: only events that came when their run had ended", 0},
    {"unread", MT_SET_BOOL, "false", 0, 0, NULL, MT_CMD_EVENTS, "list: only events that no run has read", 0},
    {"again", MT_SET_BOOL, "false", 0, 0, NULL, MT_CMD_EVENTS,
     "redeliver: also an event that flows count, such as a renewal", 0},
    {"live", MT_SET_BOOL, "false", 0, 0, NULL, MT_CMD_PROVIDERS,
     "ask the runtime for accounts, breakers and calls as well (implied by --url)", 0},
    {"limit", MT_SET_INT, "20", 1, 1000, NULL, MT_CMD_RUNS | MT_CMD_EVENTS | MT_CMD_AUDIT,
     "list: at most this many", 'n'},
    {"before", MT_SET_STRING, NULL, 0, 0, NULL, MT_CMD_RUNS,
     "purge: runs that ended before a date, or so long ago (30d); unless given, as the runtime keeps them",
     0},
    {"reason", MT_SET_STRING, NULL, 0, 0, NULL, MT_CMD_RUNS, "cancel: why, for the story", 0},
    {"outcome", MT_SET_ENUM, NULL, 0, 0, "done|rejected|not_sent", MT_CMD_RUNS,
     "resolve: what became of the effect", 0},
    {"value", MT_SET_STRING, NULL, 0, 0, NULL, MT_CMD_RUNS, "resolve: what a done effect answered (JSON)", 0},
    {"error", MT_SET_STRING, NULL, 0, 0, NULL, MT_CMD_RUNS,
     "resolve: the error of one that did not happen (JSON)", 0},
};

/* Credentials stand in the configuration's "providers" section or in the environment, never on the command
 * line, where every process of the machine could read them. Their names are the providers' own. */
static struct mt_provider_key provider_keys[128];

/* Of a provider that a flow defines. */
static bool later_provider(const char *name) {
    struct mt_error ignored;
    return mt_provider_name_check(name, &ignored) == 0;
}

struct mt_config_spec mt_program_settings = {
    settings, sizeof settings / sizeof settings[0], provider_keys, 0, later_provider,
};

void mt_settings_init(void) {
    size_t room = sizeof provider_keys / sizeof provider_keys[0];
    size_t count = mt_providers_config_keys(provider_keys, room);
    if (count > room) abort(); /* a provider more than this table was made for */
    mt_program_settings.provider_key_count = count;
}

int mt_setting_port(const struct mt_config *c, int fallback) {
    return mt_config_is_set(c, "port") ? (int)mt_config_int(c, "port") : fallback;
}

json_t *mt_setting_providers(const struct mt_config *c) {
    json_t *all = json_object(), *section;
    const char *provider;
    json_object_foreach((json_t *)mt_config_providers(c), provider, section) {
        if (json_object_size(section) > 0) json_object_set_new(all, provider, json_deep_copy(section));
    }
    return all;
}

int mt_setting_scripts(const struct mt_config *c, char **json, struct mt_error *e) {
    const char *path = mt_config_str(c, "config");
    struct mt_config *now = path ? mt_config_new(&mt_program_settings) : NULL; /* the file may have changed */
    int rc = now ? mt_config_load_file(now, path, e) : 0;
    const json_t *section = rc == 0 ? mt_config_section(now ? now : c, "settings") : NULL;
    *json = section ? mt_json_dump(section, NULL) : NULL;
    mt_config_free(now);
    return rc;
}
