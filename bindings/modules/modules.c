/* The table of everything that scripts can require. Read only. */
#include "bindings/modules/modules.h"
#include "bindings/modules/module.h"
#include <string.h>

/* One open function a provider, because a row has no argument; the names come from the providers' own tables.
 */
static int open_mintro(lua_State *L) {
    return mt_module_provider(L, "mintro");
}
static int open_paymint(lua_State *L) {
    return mt_module_provider(L, "paymint");
}
static int open_mint(lua_State *L) {
    return mt_module_provider(L, "mint");
}
static int open_paymnt(lua_State *L) {
    return mt_module_provider(L, "paymnt");
}
static int open_http(lua_State *L) {
    return mt_module_provider(L, "http");
}

static int open_webhooks(lua_State *L) {
    return mt_module_provider(L, "webhooks");
}

const struct mt_vm_module mt_modules[] = {
    {"mintage.collection", mt_open_collection},
    {"mintage.crypto", mt_open_crypto},
    {"mintage.deliver", mt_open_deliver},
    {"mintage.flow", mt_open_flow},
    {"mintage.http", open_http},
    {"mintage.json", mt_open_json},
    {"mintage.mint", open_mint},
    {"mintage.mintro", open_mintro},
    {"mintage.money", mt_open_money},
    {"mintage.paymint", open_paymint},
    {"mintage.paymnt", open_paymnt},
    {"mintage.provider", mt_open_provider},
    {"mintage.settings", mt_open_settings},
    {"mintage.task", mt_open_task},
    {"mintage.time", mt_open_time},
    {"mintage.web", mt_open_web},
    {"mintage.webhooks", open_webhooks},
    {NULL, NULL},
};

size_t mt_modules_with(const struct mt_vm_module *extra, struct mt_vm_module *out, size_t size) {
    size_t n = 0;
    for (const struct mt_vm_module *m = mt_modules; m->name != NULL; m++, n++) {
        if (n + 1 >= size) return 0;
        out[n] = *m;
    }
    for (const struct mt_vm_module *m = extra; m != NULL && m->name != NULL; m++) {
        size_t i = 0;
        while (i < n && strcmp(out[i].name, m->name) != 0) i++;
        if (i == n && ++n + 1 > size) return 0;
        out[i] = *m;
    }
    out[n] = (struct mt_vm_module){NULL, NULL};
    return n;
}
