/* The pages of core/providers/reference against the tables that they are written from.
 * MINTAGE_WRITE_REFERENCE=1 writes them. */
/* links: mt_providers */
#include "base/buf.h"
#include "base/json.h"
#include "base/text.h"
#include "providers/provider.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { PAGE_MAX = 1024 * 1024 };

static void page_path(const char *provider, char out[512]) {
    mt_format(out, 512, "%.*s../../core/providers/reference/%s.md",
              (int)(strrchr(__FILE__, '/') + 1 - __FILE__), __FILE__, provider);
}

static void write_file(const char *path, const char *text) {
    FILE *out = fopen(path, "wb");
    if (out == NULL) fail_msg("%s cannot be written", path);
    fputs(text, out);
    assert_int_equal(fclose(out), 0);
}

static void pages_are_up_to_date(void **state) {
    (void)state;
    for (const struct mt_provider *const *p = mt_providers_all(); *p != NULL; p++) {
        char path[512], *had = mt_calloc(1, PAGE_MAX);
        struct mt_buf page;
        mt_buf_init(&page, PAGE_MAX);
        mt_provider_page(*p, &page);
        assert_true(mt_buf_ok(&page));
        page_path((*p)->name, path);
        if (getenv("MINTAGE_WRITE_REFERENCE") != NULL) write_file(path, page.data);
        FILE *in = fopen(path, "rb");
        if (in == NULL) fail_msg("%s is missing: run MINTAGE_WRITE_REFERENCE=1 test_reference", path);
        had[fread(had, 1, PAGE_MAX - 1, in)] = '\0';
        fclose(in);
        if (strcmp(page.data, had) != 0)
            fail_msg("%s is out of date: run MINTAGE_WRITE_REFERENCE=1 test_reference", path);
        mt_buf_clear(&page);
        free(had);
    }
}

static void wants_text(const char *what, const json_t *row, const char *member) {
    if (mt_json_str(row, member, "")[0] == '\0')
        fail_msg("%s %s: \"%s\" is empty", what, mt_json_str(row, "name", mt_json_str(row, "code", "?")),
                 member);
}

static void every_description_is_whole(void **state) {
    (void)state;
    for (const struct mt_provider *const *p = mt_providers_all(); *p != NULL; p++) {
        json_t *o = mt_provider_describe(*p), *row, *param;
        size_t i, k;
        wants_text("provider", o, "title");
        wants_text("provider", o, "authentication");
        json_array_foreach(json_object_get(o, "credentials"), i, row) {
            wants_text("credential", row, "doc");
            wants_text("credential", row, "variable");
        }
        json_array_foreach(json_object_get(o, "operations"), i, row) {
            wants_text("operation", row, "request");
            wants_text("operation", row, "repeats");
            wants_text("operation", row, "returns");
            wants_text("operation", row, "doc");
            json_array_foreach(json_object_get(row, "params"), k, param) {
                wants_text("parameter", param, "wanted");
                wants_text("parameter", param, "doc");
            }
        }
        json_array_foreach(json_object_get(o, "errors"), i, row) {
            wants_text("error", row, "kind");
            wants_text("error", row, "meaning");
        }
        json_decref(o);
    }
}

/* The sandbox's credentials stand in the same rows; a description has names only. */
static void no_description_has_a_credential(void **state) {
    (void)state;
    for (const struct mt_provider *const *p = mt_providers_all(); *p != NULL; p++) {
        struct mt_buf page;
        json_t *o = mt_provider_describe(*p);
        char *text = mt_json_dump(o, NULL);
        mt_buf_init(&page, PAGE_MAX);
        mt_provider_page(*p, &page);
        for (const struct mt_credential *c = (*p)->credentials; c->name != NULL; c++) {
            if (c->sandbox == NULL) continue;
            assert_null(strstr(text, c->sandbox));
            assert_null(strstr(page.data, c->sandbox));
        }
        mt_buf_clear(&page);
        free(text);
        json_decref(o);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pages_are_up_to_date),
        cmocka_unit_test(every_description_is_whole),
        cmocka_unit_test(no_description_has_a_credential),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
