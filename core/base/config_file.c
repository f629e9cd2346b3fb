/* Settings from a JSON file: its rows, and the sections of providers. Invariant: nothing of a file in which
 * anything is wrong becomes a value of a provider. One thread fills a config. */
#include "base/config_private.h"
#include "base/json.h"
#include "base/setting.h"
#include "base/text.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FILE_MAX = 1024 * 1024 };

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

struct mt_setting config_row_of_key(const struct mt_provider_key *key) {
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
            return config_unknown(where, "key", key, names, n, e);
        }
        struct mt_setting row = config_row_of_key(known);
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
            return config_unknown(where, "provider", name, names, n, e);
        }
        if (check_provider(spec, source, name, section, e) != 0) return -1;
    }
    return 0;
}

void config_merge_providers(struct mt_config *c) {
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
    config_unknown(where, "setting", key, names, n + 1, e);
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
        size_t i = config_find(c->spec, key, strlen(key));
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
        config_put(c, i, FROM_FILE, source, value, number);
        free(value);
    }
    json_decref(c->file);
    c->file = json_incref(root);
    config_merge_providers(c);
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
