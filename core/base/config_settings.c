/* The section "settings" of the configuration file: what scripts can see of it. Its names are the flows' own,
 * so only what no name may do is refused: to carry a secret into scripts, their journals and generations, or
 * to look like a value that is more than JSON. No state; any thread. */
#include "base/config.h"
#include "base/json.h"
#include "base/log.h"
#include "base/text.h"
#include <stdlib.h>
#include <string.h>

enum { DEPTH_MAX = 8, BYTES_MAX = 64 * 1024 };

static int check_value(const char *where, const json_t *value, int depth, struct mt_error *e);

static int check_members(const char *where, const json_t *object, int depth, struct mt_error *e) {
    const char *name;
    json_t *member;
    json_object_foreach((json_t *)(uintptr_t)object, name, member) {
        char inside[300];
        mt_format(inside, sizeof(inside), "%.180s.%.100s", where, name);
        if (name[0] == '\0' || name[0] == '$')
            return mt_fail(e, MT_USAGE, "%s: a name may not be empty or begin with '$'", inside);
        if (mt_secret_name(name))
            return mt_fail(
                e, MT_USAGE,
                "%s: this name is a secret's, and scripts see the settings. Credentials belong under "
                "\"providers\"; a secret of a run is an input of type \"secret\"",
                inside);
        if (check_value(inside, member, depth + 1, e) != 0) return -1;
    }
    return 0;
}

static int check_value(const char *where, const json_t *value, int depth, struct mt_error *e) {
    const json_t *item;
    size_t i;
    if (depth > DEPTH_MAX) return mt_fail(e, MT_USAGE, "%s: nested deeper than %d", where, DEPTH_MAX);
    if (json_is_null(value)) return mt_fail(e, MT_USAGE, "%s: found null; leave it out instead", where);
    if (json_is_object(value)) return check_members(where, value, depth, e);
    json_array_foreach(value, i, item) {
        char inside[300];
        mt_format(inside, sizeof(inside), "%.280s[%zu]", where, i + 1);
        if (check_value(inside, item, depth + 1, e) != 0) return -1;
    }
    return 0;
}

int mt_config_check_settings(const char *source, const json_t *settings, struct mt_error *e) {
    char where[300];
    size_t len;
    mt_format(where, sizeof(where), "%.200s: settings", source);
    if (!json_is_object(settings)) return mt_fail(e, MT_USAGE, "%s: wanted an object", where);
    if (check_members(where, settings, 0, e) != 0) return -1;
    char *text = mt_json_dump(settings, &len);
    free(text);
    if (len <= BYTES_MAX) return 0;
    return mt_fail(e, MT_USAGE, "%s: found %zu bytes, wanted at most %d", where, len, BYTES_MAX);
}
