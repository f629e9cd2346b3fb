/* links: mt_base */
/* Settings: precedence, refusals that name the source and the nearest name, secrets that stay unseen. */
#include "base/config.h"
#include "base/text.h"
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
// cmocka.h needs the ones above
#include <cmocka.h>

enum { SERVE = 1, SANDBOX = 2 };

static const struct mt_setting settings[] = {
    {"host", MT_SET_STRING, "127.0.0.1", 0, 0, NULL, SERVE | SANDBOX, "address to listen on", 0},
    {"port", MT_SET_INT, "8080", 0, 65535, NULL, SERVE, "port of the runtime", 'p'},
    {"sandbox-port", MT_SET_INT, "8090", 0, 65535, NULL, SANDBOX, "port of the sandbox", 0},
    {"config", MT_SET_PATH, NULL, 0, 0, NULL, 0, "configuration file", 'c'},
    {"log-level", MT_SET_ENUM, "info", 0, 0, "debug|info|warn|error|off", 0, "least level that is logged", 0},
    {"reload", MT_SET_BOOL, "true", 0, 0, NULL, SERVE, "load flows again when they change", 0},
    {"cpu-limit", MT_SET_DURATION, "1s", 1, 60000, NULL, SERVE, "CPU time between two effects", 0},
    {"memory-limit", MT_SET_SIZE, "64M", 1048576, 1073741824, NULL, SERVE, "memory of an execution", 0},
    {"public-url", MT_SET_URL, NULL, 0, 0, NULL, SERVE, "URL that customers see", 0},
    {"store", MT_SET_URL, NULL, 1, 0, NULL, SERVE, "database", 0},
    {"admin-token", MT_SET_SECRET, NULL, 0, 0, NULL, SERVE, "token of the HTTP API", 0},
    {"run", MT_SET_STRINGS, NULL, 0, 0, NULL, SERVE, "what to run; may be repeated", 'r'},
};
static const struct mt_provider_key keys[] = {
    {"mintro", "base_url", MT_SET_URL},         {"mintro", "client_id", MT_SET_STRING},
    {"mintro", "client_secret", MT_SET_SECRET}, {"paymnt", "api_key", MT_SET_SECRET},
    {"paymnt", "retries", MT_SET_INT},
};
static bool later(const char *name) {
    return strcmp(name, "acme") == 0;
}

static const struct mt_config_spec spec = {settings, sizeof(settings) / sizeof(settings[0]), keys,
                                           sizeof(keys) / sizeof(keys[0]), later};

static struct mt_error e;

static int load_json(struct mt_config *c, const char *text) {
    return mt_config_load_json(c, text, strlen(text), "configuration file X", &e);
}

static int load_args(struct mt_config *c, unsigned command, const char *const *args, const char **rest,
                     int *rest_count) {
    int argc = 0;
    while (args[argc] != NULL) argc++;
    return mt_config_load_args(c, argc, (char *const *)(uintptr_t)args, command, rest, rest_count, &e);
}

/* Loads one source into a fresh config and expects its error. */
static void refused_json(const char *text, const char *message) {
    struct mt_config *c = mt_config_new(&spec);
    assert_int_equal(load_json(c, text), -1);
    assert_int_equal(e.kind, MT_USAGE);
    assert_string_equal(e.message, message);
    mt_config_free(c);
}

static void refused_env(const char *variable, const char *message) {
    struct mt_config *c = mt_config_new(&spec);
    assert_int_equal(mt_config_load_env(c, (const char *const[]){"HOME=/", variable, NULL}, &e), -1);
    assert_int_equal(e.kind, MT_USAGE);
    assert_string_equal(e.message, message);
    mt_config_free(c);
}

static void refused_args(const char *first, const char *second, const char *message) {
    struct mt_config *c = mt_config_new(&spec);
    const char *rest[4];
    int n;
    assert_int_equal(load_args(c, SERVE, (const char *const[]){first, second, NULL}, rest, &n), -1);
    assert_int_equal(e.kind, MT_USAGE);
    assert_string_equal(e.message, message);
    mt_config_free(c);
}

static void defaults_hold_until_something_is_set(void **state) {
    (void)state;
    struct mt_config *c = mt_config_new(&spec);
    assert_string_equal(mt_config_str(c, "host"), "127.0.0.1");
    assert_int_equal(mt_config_int(c, "port"), 8080);
    assert_int_equal(mt_config_int(c, "cpu-limit"), 1000);
    assert_int_equal(mt_config_int(c, "memory-limit"), 67108864);
    assert_true(mt_config_bool(c, "reload"));
    assert_null(mt_config_str(c, "admin-token"));
    assert_false(mt_config_is_set(c, "port"));
    assert_string_equal(mt_config_source(c, "port"), "default");
    assert_int_equal(json_object_size(mt_config_provider(c, "mintro")), 0);
    assert_null(mt_config_section(c, "providers"));
    mt_config_free(c);
    mt_config_free(NULL);
}

static void a_higher_source_wins_whatever_the_order(void **state) {
    (void)state;
    static const char *const environment[] = {"MINTAGE_SANDBOX_PORT=2", "MINTAGE_PORT=2", NULL};
    const char *rest[4];
    int n;
    for (int order = 0; order < 2; order++) {
        struct mt_config *c = mt_config_new(&spec);
        for (int step = 0; step < 3; step++) {
            int source = order == 0 ? step : 2 - step, r;
            if (source == 0)
                r = load_json(c, "{\"host\":\"::1\",\"sandbox-port\":1,\"port\":1}");
            else if (source == 1)
                r = mt_config_load_env(c, environment, &e);
            else
                r = load_args(c, 0, (const char *const[]){"--port=3", NULL}, rest, &n);
            assert_int_equal(r, 0);
        }
        assert_string_equal(mt_config_str(c, "host"), "::1");
        assert_int_equal(mt_config_int(c, "sandbox-port"), 2);
        assert_int_equal(mt_config_int(c, "port"), 3);
        assert_string_equal(mt_config_source(c, "host"), "configuration file X");
        assert_string_equal(mt_config_source(c, "sandbox-port"), "MINTAGE_SANDBOX_PORT");
        assert_string_equal(mt_config_source(c, "port"), "--port");
        assert_true(mt_config_is_set(c, "port"));
        mt_config_free(c);
    }
}

static void options_are_read_in_every_usual_form(void **state) {
    (void)state;
    struct mt_config *c = mt_config_new(&spec);
    const char *rest[16];
    int n;
    const char *const args[] = {"checkout",          "--port",      "1",           "-p",    "2",
                                "--log-level=debug", "--no-reload", "--cpu-limit", "250ms", "-",
                                "--memory-limit=2M", "--",          "--port",      "{}",    NULL};
    assert_int_equal(load_args(c, SERVE, args, rest, &n), 0);
    assert_int_equal(mt_config_int(c, "port"), 2);
    assert_string_equal(mt_config_str(c, "log-level"), "debug");
    assert_false(mt_config_bool(c, "reload"));
    assert_int_equal(mt_config_int(c, "cpu-limit"), 250);
    assert_int_equal(mt_config_int(c, "memory-limit"), 2097152);
    assert_int_equal(n, 4);
    assert_string_equal(rest[0], "checkout");
    assert_string_equal(rest[1], "-");
    assert_string_equal(rest[2], "--port");
    assert_string_equal(rest[3], "{}");
    assert_int_equal(load_args(c, SERVE, (const char *const[]){"--reload", NULL}, rest, &n), 0);
    assert_true(mt_config_bool(c, "reload"));
    assert_int_equal(load_args(c, SERVE, (const char *const[]){"--reload=off", NULL}, rest, &n), 0);
    assert_false(mt_config_bool(c, "reload"));
    assert_int_equal(mt_config_set(c, "public-url", "http://localhost:1", &e), 0);
    assert_string_equal(mt_config_str(c, "public-url"), "http://localhost:1");
    assert_int_equal(mt_config_set(c, "public-url", "localhost", &e), -1);
    assert_int_equal(mt_config_set(c, "nothing", "1", &e), -1);
    mt_config_free(c);
}

static void an_option_may_be_repeated(void **state) {
    (void)state;
    const char *rest[4];
    int n;
    struct mt_config *c = mt_config_new(&spec);
    assert_int_equal(json_array_size(mt_config_all(c, "run")), 0);
    assert_int_equal(mt_config_load_env(c, (const char *const[]){"MINTAGE_RUN=zero", NULL}, &e), 0);
    assert_int_equal(json_array_size(mt_config_all(c, "run")), 1);
    const char *const args[] = {"-r", "one", "--run=two", "--run", "-- three", NULL};
    assert_int_equal(load_args(c, SERVE, args, rest, &n), 0);
    assert_int_equal(json_array_size(mt_config_all(c, "run")), 3);
    assert_string_equal(json_string_value(json_array_get(mt_config_all(c, "run"), 0)), "one");
    assert_string_equal(json_string_value(json_array_get(mt_config_all(c, "run"), 2)), "-- three");
    assert_string_equal(mt_config_str(c, "run"), "-- three");
    mt_config_free(c);
}

static void wrong_options_are_refused_by_name(void **state) {
    (void)state;
    refused_args("--prot", "1", "unknown option --prot: did you mean --port?");
    refused_args("--prot=1", NULL, "unknown option --prot: did you mean --port?");
    refused_args("--log_level=info", NULL, "unknown option --log_level: did you mean --log-level?");
    refused_args("--elephant", NULL, "unknown option --elephant");
    refused_args("-x", NULL, "unknown option -x");
    refused_args("-5", NULL, "unknown option -5");
    refused_args("--sandbox-port=1", NULL, "--sandbox-port is not an option of this command");
    refused_args("--port", NULL, "--port: found nothing, wanted an integer from 0 to 65535");
    refused_args("--port", "--host", "--port: found nothing, wanted an integer from 0 to 65535");
    refused_args("--port", "65536", "--port: found \"65536\", wanted an integer from 0 to 65535");
    refused_args("-p", "http", "-p: found \"http\", wanted an integer from 0 to 65535");
    refused_args("--no-port", NULL, "unknown option --no-port: did you mean --port?");
    refused_args("--no-reload=true", NULL, "--no-reload takes no value");
    refused_args("--log-level", "loud",
                 "--log-level: found \"loud\", wanted one of debug, info, warn, error, off");
    refused_args("--log-level", "debug|info",
                 "--log-level: found \"debug|info\", wanted one of debug, info, warn, error, off");
    refused_args(
        "--cpu-limit", "2m",
        "--cpu-limit: found \"2m\", wanted a duration such as \"90s\" or \"1h30m\", from 1 ms to 1 minute");
    refused_args(
        "--memory-limit", "2X",
        "--memory-limit: found \"2X\", wanted a size such as \"64M\", from 1048576 to 1073741824 bytes");
    refused_args("--memory-limit", "9999999999999T",
                 "--memory-limit: found \"9999999999999T\", wanted a size such as \"64M\", from 1048576 to "
                 "1073741824 bytes");
    refused_args("--reload=maybe", NULL, "--reload: found \"maybe\", wanted true or false");
    refused_args("--public-url", "ftp://x",
                 "--public-url: found \"ftp://x\", wanted a URL such as http://host:port");
    refused_args("--public-url", "http://",
                 "--public-url: found \"http://\", wanted a URL such as http://host:port");
    refused_args("--public-url", "http://a b",
                 "--public-url: found \"http://a b\", wanted a URL such as http://host:port");
    refused_args("--host=", NULL, "--host: found nothing, wanted a text that is not empty");
}

static void wrong_variables_are_refused_by_name(void **state) {
    (void)state;
    refused_env("MINTAGE_PROT=1", "unknown variable MINTAGE_PROT: did you mean MINTAGE_PORT?");
    refused_env("MINTAGE_PROT=", "unknown variable MINTAGE_PROT: did you mean MINTAGE_PORT?");
    refused_env("MINTAGE_PORT=http", "MINTAGE_PORT: found \"http\", wanted an integer from 0 to 65535");
    refused_env("MINTAGE_MINTRO_CLIENT_SECRT=x",
                "unknown variable MINTAGE_MINTRO_CLIENT_SECRT: did you mean MINTAGE_MINTRO_CLIENT_SECRET?");
    refused_env("MINTAGE_MINTRO_BASE_URL=x",
                "MINTAGE_MINTRO_BASE_URL: found \"x\", wanted a URL such as http://host:port");
    struct mt_config *c = mt_config_new(&spec);
    assert_int_equal(
        mt_config_load_env(
            c, (const char *const[]){"MINTAGE_PORT=", "MINTAGE_MINTRO_CLIENT_SECRET=", "NOEQUALS", NULL}, &e),
        0);
    assert_false(mt_config_is_set(c, "port")); /* empty is as good as not set */
    assert_int_equal(json_object_size(mt_config_provider(c, "mintro")), 0);
    mt_config_free(c);
}

static void wrong_files_are_refused_by_place(void **state) {
    (void)state;
    refused_json("{\"prot\":1}", "configuration file X: unknown setting prot: did you mean port?");
    refused_json("{\"sandbox_port\":1}",
                 "configuration file X: unknown setting sandbox_port: did you mean sandbox-port?");
    refused_json("{\"provider\":{}}",
                 "configuration file X: unknown setting provider: did you mean providers?");
    refused_json("{\"port\":\"8080\"}",
                 "configuration file X: port: found the text \"8080\", wanted an integer from 0 to 65535");
    refused_json("{\"port\":80.5}",
                 "configuration file X: port: found 80.5, wanted an integer from 0 to 65535");
    refused_json("{\"port\":-1}", "configuration file X: port: found -1, wanted an integer from 0 to 65535");
    refused_json("{\"port\":null}",
                 "configuration file X: port: found null, wanted an integer from 0 to 65535");
    refused_json("{\"reload\":\"true\"}",
                 "configuration file X: reload: found the text \"true\", wanted true or false");
    refused_json("{\"host\":[]}",
                 "configuration file X: host: found an array, wanted a text that is not empty");
    refused_json("[]", "configuration file X: wanted a JSON object of settings");
    refused_json("{\"providers\":[]}", "configuration file X: providers: wanted an object");
    refused_json("{\"providers\":{\"mintor\":{}}}",
                 "configuration file X: providers: unknown provider mintor: did you mean mintro?");
    refused_json("{\"providers\":{\"mintro\":1}}",
                 "configuration file X: providers.mintro: wanted an object");
    refused_json(
        "{\"providers\":{\"mintro\":{\"client_sceret\":\"s\"}}}",
        "configuration file X: providers.mintro: unknown key client_sceret: did you mean client_secret?");
    refused_json("{\"providers\":{\"paymnt\":{\"retries\":\"3\"}}}",
                 "configuration file X: providers.paymnt.retries: found the text \"3\", wanted an integer");
    struct mt_config *c = mt_config_new(&spec);
    assert_int_equal(load_json(c, "{\"port\":1"), -1);
    assert_true(strncmp(e.message, "configuration file X: malformed JSON at line 1, column", 54) == 0);
    assert_int_equal(e.kind, MT_USAGE);
    assert_int_equal(mt_config_load_file(c, "/nonexistent/mintage.json", &e), -1);
    assert_string_equal(e.message, "configuration file /nonexistent/mintage.json: No such file or directory");
    assert_int_equal(mt_config_load_file(c, "/tmp", &e), -1);
    assert_int_equal(mt_config_load_file(c, "/dev/zero", &e), -1);
    mt_config_free(c);
}

static void one_call_reads_all_sources(void **state) {
    (void)state;
    char path[] = "/tmp/mintage-test-XXXXXX", variable[64];
    int fd = mkstemp(path), n;
    static const char text[] = "{\"port\":1,\"cpu-limit\":5,\"providers\":{\"mintro\":{\"client_id\":"
                               "\"file\",\"client_secret\":\"file\"}}}";
    const char *rest[4];
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
    mt_format(variable, sizeof(variable), "MINTAGE_CONFIG=%s", path);
    const char *const environment[] = {variable, "MINTAGE_MINTRO_CLIENT_SECRET=env",
                                       "MINTAGE_PAYMNT_RETRIES=4", NULL};
    char *const args[] = {(char *)(uintptr_t) "--log-level=off", NULL};
    struct mt_config *c = mt_config_new(&spec);
    assert_int_equal(mt_config_load(c, 1, args, environment, SERVE, rest, &n, &e), 0);
    assert_int_equal(mt_config_int(c, "port"), 1);
    assert_int_equal(mt_config_int(c, "cpu-limit"), 5000); /* a bare number is seconds here too */
    const json_t *mintro = mt_config_provider(c, "mintro");
    assert_string_equal(json_string_value(json_object_get(mintro, "client_id")), "file");
    assert_string_equal(json_string_value(json_object_get(mintro, "client_secret")), "env");
    assert_int_equal(json_integer_value(json_object_get(mt_config_provider(c, "paymnt"), "retries")), 4);
    assert_non_null(mt_config_section(c, "providers"));
    mt_config_free(c);
    unlink(path);
    c = mt_config_new(&spec);
    assert_int_equal(mt_config_load(c, 1, args, environment, SERVE, rest, &n, &e),
                     -1); /* a named file must be there */
    mt_config_free(c);
}

static void secrets_are_never_shown(void **state) {
    (void)state;
    struct mt_config *c = mt_config_new(&spec);
    struct mt_buf b;
    const char *rest[4];
    int n;
    mt_buf_init(&b, 65536);
    assert_int_equal(load_args(c, SERVE,
                               (const char *const[]){"--admin-token=hunter2",
                                                     "--store=postgresql://me:hunter2@db/x", NULL},
                               rest, &n),
                     0);
    assert_string_equal(mt_config_str(c, "admin-token"), "hunter2");
    mt_config_print(c, &b);
    assert_null(strstr(b.data, "hunter2"));
    assert_non_null(strstr(b.data, "admin-token = [redacted]  (--admin-token)\n"));
    assert_non_null(strstr(b.data, "store = postgresql://me:[redacted]@db/x  (--store)\n"));
    assert_non_null(strstr(b.data, "port = 8080  (default)\n"));
    assert_int_equal(load_json(c, "{\"admin-token\":\"hunter2\\u0001\\ud83d\\udcb3\",\"port\":-1}"), -1);
    assert_null(strstr(e.message, "hunter2"));
    assert_int_equal(load_json(c, "{\"admin-token\":[\"hunter2\"]}"), -1);
    assert_null(strstr(e.message, "hunter2"));
    assert_int_equal(load_json(c, "{\"providers\":{\"paymnt\":{\"api_key\":12345678}}}"), -1);
    assert_null(strstr(e.message, "1234"));
    assert_int_equal(
        load_args(c, SERVE, (const char *const[]){"--public-url=ws://me:hunter2@db/x", NULL}, rest, &n), -1);
    assert_null(strstr(e.message, "hunter2"));
    mt_buf_clear(&b);
    mt_config_free(c);
}

static void help_comes_from_the_same_rows(void **state) {
    (void)state;
    struct mt_buf b;
    mt_buf_init(&b, 65536);
    mt_config_help(&spec, SERVE, &b);
    assert_true(mt_buf_ok(&b));
    assert_non_null(strstr(
        b.data, "  -p, --port N                    port of the runtime (default 8080; MINTAGE_PORT)\n"));
    assert_non_null(strstr(b.data, "      --log-level debug|info|warn|error|off\n"));
    assert_non_null(strstr(b.data, "token of the HTTP API (MINTAGE_ADMIN_TOKEN)\n"));
    assert_null(strstr(b.data, "--sandbox-port"));
    mt_buf_reset(&b);
    mt_config_help(&spec, 0, &b);
    for (size_t i = 0; i < spec.setting_count; i++) {
        char option[64];
        mt_format(option, sizeof(option), "--%s", settings[i].name);
        assert_non_null(strstr(b.data, option));
        assert_non_null(strstr(b.data, settings[i].help));
    }
    mt_buf_clear(&b);
}

static void sections_may_be_of_providers_that_come_later(void **state) {
    static const char *const environment[] = {"MINTAGE_PROVIDER_ACME__API_KEY=from the environment",
                                              "MINTAGE_PROVIDER_ACME__BURST=5",
                                              "MINTAGE_PROVIDER_ACME__BASE_URL=", NULL};
    struct mt_config *c = mt_config_new(&spec);
    (void)state;
    assert_int_equal(
        load_json(c, "{\"providers\":{\"acme\":{\"api_key\":\"x\",\"label\":\"l\",\"burst\":1}}}"), 0);
    assert_int_equal(mt_config_load_env(c, environment, &e), 0);
    const json_t *acme = json_object_get(mt_config_providers(c), "acme");
    assert_string_equal(json_string_value(json_object_get(acme, "api_key")), "from the environment");
    assert_string_equal(json_string_value(json_object_get(acme, "label")), "l");
    assert_int_equal(json_integer_value(json_object_get(acme, "burst")), 5);
    assert_null(json_object_get(acme, "base_url"));
    mt_config_free(c);
    c = mt_config_new(&spec); /* the environment alone makes a section */
    assert_int_equal(mt_config_load_env(c, environment, &e), 0);
    assert_int_equal(json_object_size(json_object_get(mt_config_providers(c), "acme")), 2);
    mt_config_free(c);
    refused_json("{\"providers\":{\"acme\":7}}", "configuration file X: providers.acme: wanted an object");
    refused_json("{\"providers\":{\"acme\":{\"api_key\":true}}}",
                 "configuration file X: providers.acme.api_key: wanted a string or an integer");
    refused_env("MINTAGE_PROVIDER_ACME=x", "unknown variable MINTAGE_PROVIDER_ACME");
    refused_env("MINTAGE_PROVIDER_ACNE__API_KEY=x", "unknown variable MINTAGE_PROVIDER_ACNE__API_KEY");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_hold_until_something_is_set),
        cmocka_unit_test(a_higher_source_wins_whatever_the_order),
        cmocka_unit_test(options_are_read_in_every_usual_form),
        cmocka_unit_test(an_option_may_be_repeated),
        cmocka_unit_test(wrong_options_are_refused_by_name),
        cmocka_unit_test(wrong_variables_are_refused_by_name),
        cmocka_unit_test(wrong_files_are_refused_by_place),
        cmocka_unit_test(one_call_reads_all_sources),
        cmocka_unit_test(sections_may_be_of_providers_that_come_later),
        cmocka_unit_test(secrets_are_never_shown),
        cmocka_unit_test(help_comes_from_the_same_rows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
