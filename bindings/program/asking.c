/* Commands that ask a runtime. See asking.h. */
#include "asking.h"
#include "base/text.h"
#include "terminal.h"
#include <stdio.h>
#include <string.h>

enum { ACTIONS_MAX = 16 };

static int no_such(const struct mt_command *self, const struct mt_action *actions, size_t count,
                   const char *name) {
    const char *names[ACTIONS_MAX], *near;
    char list[400] = "";
    for (size_t i = 0; i < count; i++) {
        size_t used = strlen(list);
        names[i] = actions[i].name;
        mt_format(list + used, sizeof list - used, "%s%s",
                  i == 0          ? ""
                  : i + 1 < count ? ", "
                                  : " and ",
                  names[i]);
    }
    near = mt_nearest(name, names, count);
    return mt_usage(self, "there is no '%s'%s%s%s; there are %s", name, near ? " (did you mean '" : "",
                    near ? near : "", near ? "'?)" : "", list);
}

int mt_act(const struct mt_command *self, const struct mt_action *actions, size_t count,
           struct mt_config *config, int argc, const char **argv) {
    struct mt_error e;
    const struct mt_action *action = NULL;
    for (size_t i = 0; i < count; i++)
        if (strcmp(actions[i].name, argv[0]) == 0) action = &actions[i];
    if (!action) return no_such(self, actions, count, argv[0]);
    if (argc - 1 < action->args || argc - 1 > action->args + action->optional)
        return mt_usage(self, "wanted: mintage %s %s %s", self->name, action->name, action->arguments);
    struct mt_asking x = {.config = config,
                          .colors = mt_colors_for(stdout, mt_config_str(config, "color")),
                          .json = mt_config_bool(config, "json"),
                          .argc = argc - 1,
                          .argv = argv + 1};
    int code = MT_EXIT_DONE;
    if (mt_client_open(&x.client, config, &e) != 0 || action->act(&x, &e) != 0) code = mt_report(&e);
    mt_client_close(&x.client);
    return code == MT_EXIT_DONE && x.incomplete ? MT_EXIT_FAILED : code;
}

void mt_print_json(const json_t *value) {
    json_dumpf(value, stdout, JSON_INDENT(2) | JSON_PRESERVE_ORDER | JSON_ENCODE_ANY);
    putchar('\n');
}

void mt_add_filter(struct mt_buf *path, const char *name, const char *value) {
    if (!value) return;
    mt_buf_addf(path, "&%s=", name);
    mt_url_encode(path, value, strlen(value));
}
