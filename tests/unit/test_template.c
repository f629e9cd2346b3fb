/* links: mt_http */
/* Templates: values, words, sections and their scopes, escaping, and templates that are cut short. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "http/template.h"

static json_t *parse(const char *text) {
    struct mt_error e;
    json_t *value = mt_json_parse(text, strlen(text), &e);
    assert_non_null(value);
    return value;
}

static void expect(const char *template, const char *values_text, const char *wanted) {
    json_t *values = parse(values_text);
    json_t *words = parse("{\"pay\":\"Pay {amount}\",\"hi\":\"<b>Hi</b> {nobody}{\",\"plain\":\"Plain\"}");
    struct mt_buf out;
    mt_buf_init(&out, 4096);
    mt_template_fill(template, strlen(template), values, words, &out);
    assert_true(mt_buf_ok(&out));
    assert_string_equal(out.data, wanted);
    mt_buf_clear(&out);
    json_decref(values);
    json_decref(words);
}

static void values_are_shown_and_escaped(void **state) {
    (void)state;
    expect("a {{x}} b", "{\"x\":\"<&>\\\"'\"}", "a &lt;&amp;&gt;&quot;&#39; b");
    expect("{{n}}{{missing}}{{null}}{{list}}", "{\"n\":-7,\"null\":null,\"list\":[1]}", "-7");
    expect("no marks { } {", "{}", "no marks { } {");
}

static void words_take_values(void **state) {
    (void)state;
    expect("{{=pay}}", "{\"amount\":\"<5\"}", "Pay &lt;5");
    expect("{{=hi}}", "{}", "&lt;b&gt;Hi&lt;/b&gt; ");
    expect("{{=missing}}", "{}", "missing");
    json_t *words = parse("{\"pay\":\"Pay {amount} & {n}\"}"), *values = parse("{\"amount\":\"$5\",\"n\":2}");
    char *said = mt_template_say(words, "pay", values);
    assert_string_equal(said, "Pay $5 & 2");
    free(said);
    json_decref(words);
    json_decref(values);
}

static void sections_follow_their_value(void **state) {
    (void)state;
    const char *page = "{{#x}}yes{{/x}}{{^x}}no{{/x}}";
    expect(page, "{\"x\":true}", "yes");
    expect(page, "{\"x\":1}", "yes");
    expect(page, "{\"x\":\"a\"}", "yes");
    expect(page, "{\"x\":{}}", "yes");
    expect(page, "{\"x\":[1,2]}", "yesyes");
    expect(page, "{\"x\":false}", "no");
    expect(page, "{\"x\":null}", "no");
    expect(page, "{\"x\":\"\"}", "no");
    expect(page, "{\"x\":[]}", "no");
    expect(page, "{}", "no");
}

static void scopes_look_outwards(void **state) {
    (void)state;
    expect("{{#list}}{{a}}{{b}},{{/list}}", "{\"a\":\"o\",\"list\":[{\"b\":1},{\"a\":\"i\",\"b\":2}]}",
           "o1,i2,");
    expect("{{#o}}{{#o}}{{x}}{{/o}}{{/o}}{{x}}", "{\"x\":\"out\",\"o\":{\"x\":\"in\"}}", "inout");
    expect("{{#o}}{{=pay}}{{/o}}", "{\"amount\":\"no\",\"o\":{\"amount\":\"1\"}}", "Pay 1");
}

static void marks_of_sections_take_their_line(void **state) {
    (void)state;
    expect("<ul>\n{{#x}}\n<li>{{y}}\n{{/x}}\n</ul>\n", "{\"x\":[{\"y\":1},{\"y\":2}]}",
           "<ul>\n<li>1\n<li>2\n</ul>\n");
}

static void templates_that_are_cut_short_end_there(void **state) {
    (void)state;
    expect("a{{#x}}b", "{\"x\":true}", "a");
    expect("a{{x", "{\"x\":1}", "a{{x");
    expect("a{{/x}}b", "{}", "ab");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_are_shown_and_escaped),
        cmocka_unit_test(words_take_values),
        cmocka_unit_test(sections_follow_their_value),
        cmocka_unit_test(scopes_look_outwards),
        cmocka_unit_test(marks_of_sections_take_their_line),
        cmocka_unit_test(templates_that_are_cut_short_end_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
