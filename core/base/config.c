/* Settings: the table walked by each source of values. Invariant: every value held has passed its row's
 * check; a layer never replaces a value of a higher one, so the order in which sources are read does not
 * matter. One thread fills, any reads. */
#include "base/config.h"
#include "base/json.h"
#include "base/setting.h"
#include "base/text.h"
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { NAME_SIZE = 96, FILE_MAX = 1024 * 1024 };
enum layer { DEFAULTS, FROM_FILE, FROM_ENVIRONMENT, FROM_ARGUMENTS };

struct value {
    enum layer layer;
    char *text;     /* NULL: not set */
    int64_t number; /* of types that are numbers; 0 or 1 of a boolean */
    char *source;
    json_t *all; /* of MT_SET_STRINGS; NULL: not set */
};

struct mt_config {
    const struct mt_config_spec *spec;
    struct value *values; /* one for each row */
    json_t *file;         /* "providers" and its like, as in the file */
    json_t *environment;  /* provider -> key -> value */
    json_t *providers;    /* both merged */
    json_t *none;         /* an empty array, to be borrowed */
};

static void put(struct mt_config *c, size_t i, enum layer layer, const char *source, const char *text,
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

static size_t find(const struct mt_config_spec *spec, const char *name, size_t len) {
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

static int unknown(const char *where, const char *kind, const char *name, const char *const *names, size_t n,
                   struct mt_error *e) {
    const char *nearest = mt_nearest(name, names, n);
    return mt_fail(e, MT_USAGE, "%.200sunknown %s %.64s%s%s%s", where, kind, name,
                   nearest == NULL ? "" : ": did you mean ", nearest == NULL ? "" : nearest,
                   nearest == NULL ? "" : "?");
}

/* --- the file
 * -----------------------------------------------------------------------------------------------------------
 */

static void json_found(const struct mt_setting *row, const json_t *value, char out[120]) {
    char shown[90];
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        mt_copy(out, 120, "an object");
        return;
    case JSON_ARRAY:
        mt_copy(out, 120, "an array");
        return;
    case JSON_NULL:
        mt_copy(out, 120, "null");
        return;
    case JSON_STRING:
        setting_show(row, json_string_value(value), shown, sizeof(shown));
        mt_format(out, 120, "the text \"%s\"", shown);
        return;
    default: {
        char *text = mt_json_dump(value, NULL);
        mt_copy(out, 120, row->type == MT_SET_SECRET ? "a value that is no text" : text);
        free(text);
    }
    }
}

/* Checks one JSON value against a row; its text goes to `text` (caller frees). */
static int json_value(const struct mt_setting *row, const char *what, const json_t *value, char **text,
                      int64_t *number, struct mt_error *e) {
    char found[120];
    bool is_number = row->type == MT_SET_INT || row->type == MT_SET_DURATION || row->type == MT_SET_SIZE;
    bool right_type = row->type == MT_SET_INT ? json_is_integer(value)
                      : row->type == MT_SET_BOOL
                          ? json_is_boolean(value)
                          : json_is_string(value) || (is_number && json_is_integer(value));
    *text = NULL;
    if (right_type) {
        *text = json_is_string(value) ? mt_strdup(json_string_value(value)) : mt_json_dump(value, NULL);
        bool whole = !json_is_string(value) || strlen(*text) == json_string_length(value);
        if (whole && setting_parse(row, *text, number)) return 0;
        free(*text);
        *text = NULL;
    }
    json_found(row, value, found);
    return setting_refuse(row, what, found, e);
}

static const struct mt_provider_key *find_key(const struct mt_config_spec *spec, const char *provider,
                                              const char *key) {
    for (size_t i = 0; i < spec->provider_key_count; i++)
        if (strcmp(spec->provider_keys[i].provider, provider) == 0 &&
            (key == NULL || strcmp(spec->provider_keys[i].key, key) == 0))
            return &spec->provider_keys[i];
    return NULL;
}

static struct mt_setting row_of_key(const struct mt_provider_key *key) {
    return (struct mt_setting){.name = key->key, .type = key->type};
}

static int check_provider(const struct mt_config_spec *spec, const char *source, const char *provider,
                          json_t *section, struct mt_error *e) {
    char where[300];
    const char *key;
    json_t *member;
    mt_format(where, sizeof(where), "%s: providers.%s", source, provider);
    if (!json_is_object(section)) return mt_fail(e, MT_USAGE, "%s: wanted an object", where);
    json_object_foreach(section, key, member) {
        const struct mt_provider_key *known = find_key(spec, provider, key);
        char *text;
        int64_t number;
        if (known == NULL) {
            const char *names[64];
            size_t n = 0;
            for (size_t i = 0; i < spec->provider_key_count && n < 64; i++)
                if (strcmp(spec->provider_keys[i].provider, provider) == 0)
                    names[n++] = spec->provider_keys[i].key;
            mt_format(where, sizeof(where), "%s: providers.%s: ", source, provider);
            return unknown(where, "key", key, names, n, e);
        }
        struct mt_setting row = row_of_key(known);
        mt_format(where, sizeof(where), "%s: providers.%s.%s", source, provider, key);
        if (json_value(&row, where, member, &text, &number, e) != 0) return -1;
        free(text);
    }
    return 0;
}

/* Only what can be said without knowing the keys. */
static int check_later(const char *source, const char *provider, const json_t *section, struct mt_error *e) {
    const char *key;
    json_t *member;
    if (!json_is_object(section))
        return mt_fail(e, MT_USAGE, "%s: providers.%s: wanted an object", source, provider);
    json_object_foreach((json_t *)(uintptr_t)section, key, member) {
        if (!json_is_string(member) && !json_is_integer(member))
            return mt_fail(e, MT_USAGE, "%s: providers.%s.%s: wanted a string or an integer", source,
                           provider, key);
    }
    return 0;
}

static int check_providers(const struct mt_config_spec *spec, const char *source, json_t *providers,
                           struct mt_error *e) {
    const char *name;
    json_t *section;
    char where[300];
    if (!json_is_object(providers)) return mt_fail(e, MT_USAGE, "%s: providers: wanted an object", source);
    json_object_foreach(providers, name, section) {
        bool shipped = find_key(spec, name, NULL) != NULL;
        if (!shipped && spec->later_provider != NULL && spec->later_provider(name)) {
            if (check_later(source, name, section, e) != 0) return -1;
            continue;
        }
        if (!shipped) {
            const char *names[64];
            size_t n = 0;
            for (size_t i = 0; i < spec->provider_key_count && n < 64; i++)
                names[n++] = spec->provider_keys[i].provider;
            mt_format(where, sizeof(where), "%s: providers: ", source);
            return unknown(where, "provider", name, names, n, e);
        }
        if (check_provider(spec, source, name, section, e) != 0) return -1;
    }
    return 0;
}

static void merge_providers(struct mt_config *c) {
    const char *name;
    json_t *section;
    json_decref(c->providers);
    c->providers = json_deep_copy(json_object_get(c->file, "providers"));
    if (c->providers == NULL) c->providers = json_object();
    for (size_t i = 0; i < c->spec->provider_key_count;
         i++) { /* every provider has a section, if an empty one */
        name = c->spec->provider_keys[i].provider;
        if (json_object_get(c->providers, name) == NULL)
            json_object_set_new(c->providers, name, json_object());
    }
    json_object_foreach(c->environment, name, section) {
        if (json_object_get(c->providers, name) == NULL)
            json_object_set_new(c->providers, name, json_object());
        json_object_update(json_object_get(c->providers, name), section);
    }
}

static int unknown_setting(const struct mt_config *c, const char *source, const char *key,
                           struct mt_error *e) {
    char where[300];
    size_t n = c->spec->setting_count;
    const char **names = mt_calloc(n + 2, sizeof(*names));
    for (size_t i = 0; i < n; i++) names[i] = c->spec->settings[i].name;
    names[n++] = "providers";
    names[n] = "settings";
    mt_format(where, sizeof(where), "%s: ", source);
    unknown(where, "setting", key, names, n + 1, e);
    free(names);
    return -1;
}

int mt_config_load_json(struct mt_config *c, const char *text, size_t len, const char *source,
                        struct mt_error *e) {
    const char *key;
    json_t *member;
    int r = -1;
    json_t *root = mt_json_parse(text, len, e);
    if (root == NULL) {
        mt_error_wrap(e, "%s", source);
        e->kind = MT_USAGE;
        return -1;
    }
    if (!json_is_object(root)) {
        mt_fail(e, MT_USAGE, "%s: wanted a JSON object of settings", source);
        goto done;
    }
    json_object_foreach(root, key, member) {
        size_t i = find(c->spec, key, strlen(key));
        char *value, what[300];
        int64_t number;
        if (i == SIZE_MAX && strcmp(key, "providers") == 0) {
            if (check_providers(c->spec, source, member, e) != 0) goto done;
            continue;
        }
        if (i == SIZE_MAX && strcmp(key, "settings") == 0) {
            if (mt_config_check_settings(source, member, e) != 0) goto done;
            continue;
        }
        if (i == SIZE_MAX) {
            unknown_setting(c, source, key, e);
            goto done;
        }
        mt_format(what, sizeof(what), "%s: %s", source, key);
        if (json_value(&c->spec->settings[i], what, member, &value, &number, e) != 0) goto done;
        put(c, i, FROM_FILE, source, value, number);
        free(value);
    }
    json_decref(c->file);
    c->file = json_incref(root);
    merge_providers(c);
    r = 0;
done:
    json_decref(root);
    return r;
}

int mt_config_load_file(struct mt_config *c, const char *path, struct mt_error *e) {
    char source[300];
    struct stat st;
    int r = -1;
    char *text = NULL;
    mt_format(source, sizeof(source), "configuration file %.200s", path);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0 || fstat(fd, &st) != 0) {
        mt_fail(e, MT_USAGE, "%s: %s", source, strerror(errno));
        goto done;
    }
    if (!S_ISREG(st.st_mode) || st.st_size > FILE_MAX) {
        mt_fail(e, MT_USAGE, "%s: wanted a regular file of at most %d bytes", source, FILE_MAX);
        goto done;
    }
    text = mt_calloc(1, (size_t)st.st_size + 1);
    ssize_t n = read(fd, text, (size_t)st.st_size);
    if (n < 0)
        mt_fail(e, MT_USAGE, "%s: %s", source, strerror(errno));
    else
        r = mt_config_load_json(c, text, (size_t)n, source, e);
done:
    if (fd >= 0) close(fd);
    free(text);
    return r;
}

/* --- the environment
 * -------------------------------------------------------------------------------------------------------- */

static int set_provider_key(struct mt_config *c, const struct mt_provider_key *key, const char *variable,
                            const char *text, struct mt_error *e) {
    struct mt_setting row = row_of_key(key);
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
    unknown("", "variable", variable, names, n, e);
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
        put(c, i, FROM_ENVIRONMENT, variable, text, number);
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
    merge_providers(c);
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
    unknown("", "option", written, names, n, e);
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
        o->row = find(spec, arg + 2, len - 2);
        if (o->row == SIZE_MAX && len > 5 && strncmp(arg, "--no-", 5) == 0) {
            o->row = find(spec, arg + 5, len - 5);
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
        put(c, o.row, FROM_ARGUMENTS, o.written, o.value, number);
    }
    return 0;
}

int mt_config_load(struct mt_config *c, int argc, char *const *argv, const char *const *environment,
                   unsigned command, const char **rest, int *rest_count, struct mt_error *e) {
    if (mt_config_load_args(c, argc, argv, command, rest, rest_count, e) != 0) return -1;
    if (mt_config_load_env(c, environment, e) != 0) return -1;
    size_t i = find(c->spec, "config", 6);
    const char *path = i == SIZE_MAX ? NULL : c->values[i].text;
    return path == NULL ? 0 : mt_config_load_file(c, path, e);
}

int mt_config_set(struct mt_config *c, const char *name, const char *value, struct mt_error *e) {
    size_t i = find(c->spec, name, strlen(name));
    int64_t number;
    if (i == SIZE_MAX) return mt_fail(e, MT_INTERNAL, "there is no setting %.64s", name);
    if (!setting_parse(&c->spec->settings[i], value, &number))
        return setting_refuse_text(&c->spec->settings[i], name, value, e);
    put(c, i, FROM_ARGUMENTS, "set by the command", value, number);
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
        put(c, i, DEFAULTS, "default", row->fallback, number);
    }
    merge_providers(c);
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
    size_t i = find(c->spec, name, strlen(name));
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
