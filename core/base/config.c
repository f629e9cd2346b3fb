/* Settings: the table walked by each source of values. Invariant: every value held has passed its row's
 * check; a layer never replaces a value of a higher one, so the order in which sources are read does not
 * matter. One thread fills, any reads. */
#include "base/config_private.h"
#include "base/json.h"
#include "base/setting.h"
#include "base/text.h"
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NAME_SIZE = 96 };

void config_put(struct mt_config *c, size_t i, enum layer layer, const char *source, const char *text,
                int64_t number) {
    struct value *v = &c->values[i];
    if (layer < v->layer) return;
    json_t *all = layer == v->layer ? v->all : NULL; /* a higher layer begins anew */
    if (all == NULL) json_decref(v->all);
    if (c->spec->settings[i].type == MT_SET_STRINGS && text != NULL) {
        if (all == NULL) all = json_array();
        json_array_append_new(all, json_string(text));
    }
    free(v->text);
    free(v->source);
    *v = (struct value){layer, mt_strdup(text), number, mt_strdup(source), all};
}
/* --- names
 * --------------------------------------------------------------------------------------------------------------
 */

size_t config_find(const struct mt_config_spec *spec, const char *name, size_t len) {
    for (size_t i = 0; i < spec->setting_count; i++)
        if (strlen(spec->settings[i].name) == len && memcmp(spec->settings[i].name, name, len) == 0) return i;
    return SIZE_MAX;
}

/* "MINTAGE_SANDBOX_PORT"; or of a provider's key, "MINTAGE_MINTRO_CLIENT_SECRET". */
static void variable_name(const char *first, const char *second, char out[NAME_SIZE]) {
    mt_format(out, NAME_SIZE, "MINTAGE_%s%s%s", first, second == NULL ? "" : "_",
              second == NULL ? "" : second);
    for (char *p = out; *p != '\0'; p++)
        *p = (char)(*p == '-' ? '_' : *p >= 'a' && *p <= 'z' ? *p - 'a' + 'A' : *p);
}

int config_unknown(const char *where, const char *kind, const char *name, const char *const *names, size_t n,
                   struct mt_error *e) {
    const char *nearest = mt_nearest(name, names, n);
    return mt_fail(e, MT_USAGE, "%.200sunknown %s %.64s%s%s%s", where, kind, name,
                   nearest == NULL ? "" : ": did you mean ", nearest == NULL ? "" : nearest,
                   nearest == NULL ? "" : "?");
}

/* --- the environment
 * -------------------------------------------------------------------------------------------------------- */

static int set_provider_key(struct mt_config *c, const struct mt_provider_key *key, const char *variable,
                            const char *text, struct mt_error *e) {
    struct mt_setting row = config_row_of_key(key);
    int64_t number;
    if (!setting_parse(&row, text, &number)) return setting_refuse_text(&row, variable, text, e);
    json_t *section = json_object_get(c->environment, key->provider);
    if (section == NULL) {
        section = json_object();
        json_object_set_new(c->environment, key->provider, section);
    }
    json_t *value = row.type == MT_SET_BOOL  ? json_boolean(number != 0)
                    : row.type == MT_SET_INT ? json_integer(number)
                                             : json_string(text);
    json_object_set_new(section, key->key, value);
    return 0;
}

/* "MINTAGE_PROVIDER_ACME__API_KEY": false when the variable is none of these. */
static bool set_later_key(struct mt_config *c, const char *variable, const char *text) {
    static const char prefix[] = "MINTAGE_PROVIDER_";
    char name[NAME_SIZE];
    int64_t number;
    if (c->spec->later_provider == NULL || strncmp(variable, prefix, sizeof(prefix) - 1) != 0 ||
        !mt_format(name, sizeof(name), "%s", variable + sizeof(prefix) - 1))
        return false;
    for (char *s = name; *s != '\0'; s++) *s = (char)tolower((unsigned char)*s);
    char *key = strstr(name, "__");
    if (key == NULL || key[2] == '\0') return false;
    *key = '\0';
    key += 2;
    if (!c->spec->later_provider(name)) return false;
    if (text[0] == '\0') return true;
    bool rate = strcmp(key, "max_per_second") == 0 || strcmp(key, "burst") == 0;
    json_t *section = json_object_get(c->environment, name);
    if (section == NULL) json_object_set_new(c->environment, name, section = json_object());
    json_object_set_new(section, key,
                        rate && mt_parse_int(text, 0, INT32_MAX, &number) ? json_integer(number)
                                                                          : json_string(text));
    return true;
}

static int unknown_variable(const struct mt_config *c, const char *variable, struct mt_error *e) {
    const struct mt_config_spec *spec = c->spec;
    size_t n = spec->setting_count + spec->provider_key_count;
    char(*texts)[NAME_SIZE] = mt_calloc(n, NAME_SIZE);
    const char **names = mt_calloc(n, sizeof(*names));
    for (size_t i = 0; i < n; i++) {
        const struct mt_provider_key *key =
            i < spec->setting_count ? NULL : &spec->provider_keys[i - spec->setting_count];
        variable_name(key == NULL ? spec->settings[i].name : key->provider, key == NULL ? NULL : key->key,
                      texts[i]);
        names[i] = texts[i];
    }
    config_unknown("", "variable", variable, names, n, e);
    free(names);
    free(texts);
    return -1;
}

static int load_variable(struct mt_config *c, const char *variable, const char *text, struct mt_error *e) {
    char name[NAME_SIZE];
    int64_t number;
    for (size_t i = 0; i < c->spec->setting_count; i++) {
        const struct mt_setting *row = &c->spec->settings[i];
        variable_name(row->name, NULL, name);
        if (strcmp(name, variable) != 0) continue;
        if (!setting_parse(row, text, &number)) return setting_refuse_text(row, variable, text, e);
        config_put(c, i, FROM_ENVIRONMENT, variable, text, number);
        return 0;
    }
    for (size_t i = 0; i < c->spec->provider_key_count; i++) {
        const struct mt_provider_key *key = &c->spec->provider_keys[i];
        variable_name(key->provider, key->key, name);
        if (strcmp(name, variable) == 0) return set_provider_key(c, key, variable, text, e);
    }
    return set_later_key(c, variable, text) ? 0 : unknown_variable(c, variable, e);
}

int mt_config_load_env(struct mt_config *c, const char *const *environment, struct mt_error *e) {
    for (; *environment != NULL; environment++) {
        const char *equals = strchr(*environment, '=');
        char name[NAME_SIZE];
        if (strncmp(*environment, "MINTAGE_", 8) != 0 || equals == NULL) continue;
        if (!mt_format(name, sizeof(name), "%.*s", (int)(equals - *environment), *environment))
            return mt_fail(e, MT_USAGE, "unknown variable %.64s...", *environment);
        if (equals[1] == '\0') { /* empty is as good as not set; but its name must still be known */
            struct mt_error ignored;
            if (load_variable(c, name, "", &ignored) != 0 && strncmp(ignored.message, "unknown", 7) == 0) {
                *e = ignored;
                return -1;
            }
            continue;
        }
        if (load_variable(c, name, equals + 1, e) != 0) return -1;
    }
    config_merge_providers(c);
    return 0;
}

/* --- the command line
 * ----------------------------------------------------------------------------------------------------------
 */

/* One option as written: the row, whether it was --no-NAME, and the value behind "=" if any. */
struct option {
    size_t row;
    bool negated;
    const char *value;
    char written[NAME_SIZE]; /* "--port" or "-p" */
};

static int unknown_option(const struct mt_config *c, const char *written, unsigned command,
                          struct mt_error *e) {
    size_t n = 0;
    char(*texts)[NAME_SIZE] = mt_calloc(c->spec->setting_count, NAME_SIZE);
    const char **names = mt_calloc(c->spec->setting_count, sizeof(*names));
    for (size_t i = 0; i < c->spec->setting_count; i++) {
        const struct mt_setting *row = &c->spec->settings[i];
        if (command != 0 && row->commands != 0 && (row->commands & command) == 0) continue;
        mt_format(texts[n], NAME_SIZE, "--%s", row->name);
        names[n] = texts[n];
        n++;
    }
    config_unknown("", "option", written, names, n, e);
    free(names);
    free(texts);
    return -1;
}

static int read_option(const struct mt_config *c, const char *arg, unsigned command, struct option *o,
                       struct mt_error *e) {
    const struct mt_config_spec *spec = c->spec;
    *o = (struct option){.row = SIZE_MAX};
    if (arg[1] != '-') {
        for (size_t i = 0; i < spec->setting_count && arg[2] == '\0'; i++)
            if (spec->settings[i].letter == arg[1]) o->row = i;
        mt_copy(o->written, sizeof(o->written), arg);
    } else {
        const char *equals = strchr(arg, '=');
        size_t len = equals == NULL ? strlen(arg) : (size_t)(equals - arg);
        o->value = equals == NULL ? NULL : equals + 1;
        mt_format(o->written, sizeof(o->written), "%.*s", (int)(len < 80 ? len : 80), arg);
        o->row = config_find(spec, arg + 2, len - 2);
        if (o->row == SIZE_MAX && len > 5 && strncmp(arg, "--no-", 5) == 0) {
            o->row = config_find(spec, arg + 5, len - 5);
            o->negated = true;
            if (o->row != SIZE_MAX && spec->settings[o->row].type != MT_SET_BOOL) o->row = SIZE_MAX;
        }
    }
    if (o->row == SIZE_MAX) return unknown_option(c, o->written, command, e);
    unsigned taken = spec->settings[o->row].commands;
    if (command != 0 && taken != 0 && (taken & command) == 0)
        return mt_fail(e, MT_USAGE, "%s is not an option of this command", o->written);
    return 0;
}

int mt_config_load_args(struct mt_config *c, int argc, char *const *argv, unsigned command, const char **rest,
                        int *rest_count, struct mt_error *e) {
    *rest_count = 0;
    for (int i = 0; i < argc; i++) {
        struct option o;
        int64_t number;
        if (argv[i][0] != '-' || argv[i][1] == '\0') {
            rest[(*rest_count)++] = argv[i];
            continue;
        }
        if (strcmp(argv[i], "--") == 0) {
            while (++i < argc) rest[(*rest_count)++] = argv[i];
            break;
        }
        if (read_option(c, argv[i], command, &o, e) != 0) return -1;
        const struct mt_setting *row = &c->spec->settings[o.row];
        if (row->type == MT_SET_BOOL && o.value == NULL) {
            o.value = o.negated ? "false" : "true";
        } else if (o.negated) {
            return mt_fail(e, MT_USAGE, "%s takes no value", o.written);
        } else if (o.value == NULL) {
            bool like_option = i + 1 < argc && strncmp(argv[i + 1], "--", 2) == 0;
            if (i + 1 == argc || (like_option && row->type != MT_SET_STRINGS))
                return setting_refuse_text(row, o.written, "", e);
            o.value = argv[++i];
        }
        if (!setting_parse(row, o.value, &number)) return setting_refuse_text(row, o.written, o.value, e);
        config_put(c, o.row, FROM_ARGUMENTS, o.written, o.value, number);
    }
    return 0;
}

int mt_config_load(struct mt_config *c, int argc, char *const *argv, const char *const *environment,
                   unsigned command, const char **rest, int *rest_count, struct mt_error *e) {
    if (mt_config_load_args(c, argc, argv, command, rest, rest_count, e) != 0) return -1;
    if (mt_config_load_env(c, environment, e) != 0) return -1;
    size_t i = config_find(c->spec, "config", 6);
    const char *path = i == SIZE_MAX ? NULL : c->values[i].text;
    return path == NULL ? 0 : mt_config_load_file(c, path, e);
}

int mt_config_set(struct mt_config *c, const char *name, const char *value, struct mt_error *e) {
    size_t i = config_find(c->spec, name, strlen(name));
    int64_t number;
    if (i == SIZE_MAX) return mt_fail(e, MT_INTERNAL, "there is no setting %.64s", name);
    if (!setting_parse(&c->spec->settings[i], value, &number))
        return setting_refuse_text(&c->spec->settings[i], name, value, e);
    config_put(c, i, FROM_ARGUMENTS, "set by the command", value, number);
    return 0;
}

/* --- making and reading
 * ------------------------------------------------------------------------------------------------------- */

static void bug(const char *name, const char *what) {
    fprintf(stderr, "mintage: setting %s: %s\n", name, what);
    abort();
}

struct mt_config *mt_config_new(const struct mt_config_spec *spec) {
    struct mt_config *c = mt_calloc(1, sizeof(*c));
    c->spec = spec;
    c->values = mt_calloc(spec->setting_count, sizeof(*c->values));
    c->environment = json_object();
    c->none = json_array();
    for (size_t i = 0; i < spec->setting_count; i++) {
        const struct mt_setting *row = &spec->settings[i];
        int64_t number = 0;
        if (row->fallback != NULL && !setting_parse(row, row->fallback, &number))
            bug(row->name, "its default is not valid");
        config_put(c, i, DEFAULTS, "default", row->fallback, number);
    }
    config_merge_providers(c);
    return c;
}

void mt_config_free(struct mt_config *c) {
    if (c == NULL) return;
    for (size_t i = 0; i < c->spec->setting_count; i++) {
        free(c->values[i].text);
        free(c->values[i].source);
        json_decref(c->values[i].all);
    }
    json_decref(c->file);
    json_decref(c->environment);
    json_decref(c->providers);
    json_decref(c->none);
    free(c->values);
    free(c);
}

static const struct value *value_of(const struct mt_config *c, const char *name) {
    size_t i = config_find(c->spec, name, strlen(name));
    if (i == SIZE_MAX) bug(name, "there is no such row");
    return &c->values[i];
}

static enum mt_setting_type type_of(const struct mt_config *c, const struct value *v) {
    return c->spec->settings[v - c->values].type;
}

const char *mt_config_str(const struct mt_config *c, const char *name) {
    return value_of(c, name)->text;
}

int64_t mt_config_int(const struct mt_config *c, const char *name) {
    const struct value *v = value_of(c, name);
    enum mt_setting_type type = type_of(c, v);
    if (type != MT_SET_INT && type != MT_SET_DURATION && type != MT_SET_SIZE) bug(name, "it is no number");
    return v->number;
}

bool mt_config_bool(const struct mt_config *c, const char *name) {
    const struct value *v = value_of(c, name);
    if (type_of(c, v) != MT_SET_BOOL) bug(name, "it is no boolean");
    return v->number != 0;
}

const json_t *mt_config_all(const struct mt_config *c, const char *name) {
    const struct value *v = value_of(c, name);
    if (type_of(c, v) != MT_SET_STRINGS) bug(name, "it does not repeat");
    return v->all == NULL ? c->none : v->all;
}

bool mt_config_is_set(const struct mt_config *c, const char *name) {
    return value_of(c, name)->layer != DEFAULTS;
}

const char *mt_config_source(const struct mt_config *c, const char *name) {
    return value_of(c, name)->source;
}

const json_t *mt_config_providers(const struct mt_config *c) {
    return c->providers;
}

const json_t *mt_config_provider(const struct mt_config *c, const char *provider) {
    const json_t *section = json_object_get(c->providers, provider);
    if (section == NULL) bug(provider, "there is no such provider in the table of keys");
    return section;
}

const json_t *mt_config_section(const struct mt_config *c, const char *name) {
    return json_object_get(c->file, name);
}

/* --- for people
 * ------------------------------------------------------------------------------------------------------------------
 */

static void add_usage(const struct mt_setting *row, struct mt_buf *out) {
    static const char *const placeholders[] = {
        [MT_SET_STRING] = "TEXT",       [MT_SET_INT] = "N",     [MT_SET_BOOL] = NULL,
        [MT_SET_DURATION] = "DURATION", [MT_SET_SIZE] = "SIZE", [MT_SET_ENUM] = NULL,
        [MT_SET_PATH] = "PATH",         [MT_SET_URL] = "URL",   [MT_SET_SECRET] = "SECRET",
        [MT_SET_STRINGS] = "TEXT",
    };
    if (row->letter != 0)
        mt_buf_addf(out, "  -%c, --%s", row->letter, row->name);
    else
        mt_buf_addf(out, "      --%s", row->name);
    const char *placeholder = row->type == MT_SET_ENUM ? row->choices : placeholders[row->type];
    if (placeholder != NULL) mt_buf_addf(out, " %s", placeholder);
}

void mt_config_help(const struct mt_config_spec *spec, unsigned command, struct mt_buf *out) {
    enum { COLUMN = 34 };
    char variable[NAME_SIZE];
    for (size_t i = 0; i < spec->setting_count; i++) {
        const struct mt_setting *row = &spec->settings[i];
        if (command != 0 && row->commands != 0 && (row->commands & command) == 0) continue;
        size_t start = out->len;
        add_usage(row, out);
        size_t width = out->len - start;
        if (width + 2 > COLUMN)
            mt_buf_addf(out, "\n%*s", COLUMN, "");
        else
            mt_buf_addf(out, "%*s", (int)(COLUMN - width), "");
        variable_name(row->name, NULL, variable);
        mt_buf_adds(out, row->help);
        if (row->fallback != NULL && row->type != MT_SET_SECRET && row->type != MT_SET_BOOL)
            mt_buf_addf(out, " (default %s; %s)\n", row->fallback, variable);
        else
            mt_buf_addf(out, " (%s)\n", variable);
    }
}

void mt_config_print(const struct mt_config *c, struct mt_buf *out) {
    for (size_t i = 0; i < c->spec->setting_count; i++) {
        const struct value *v = &c->values[i];
        char shown[512];
        if (v->text == NULL) continue;
        setting_show(&c->spec->settings[i], v->text, shown, sizeof(shown));
        mt_buf_addf(out, "%s = %s  (%s)\n", c->spec->settings[i].name, shown, v->source);
    }
}
