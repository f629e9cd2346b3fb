/* links: mt_engine mt_store mt_providers mt_http mt_crypto mt_money mt_base */
/* Finding runs: by each of what may be asked for, in rows and in journals, through many pages, and cut off
 * where it was told to be. */
#include "engine_world.h"

#include "engine/search.h"

static void order(struct flow *f) {
    progress(f, "{\"note\":\"from the progress\",\"card\":{\"last4\":\"4242\",\"brand\":\"visa\"}}");
    charge(f, mt_json_str(f->in, "reference", ""));
    nap(f, 60000);
}

static void plain_one(struct flow *f) {
    progress(f, "{\"card_num\":\"****-****-****-1881\",\"paid\":{\"$money\":\"12.50 USD\"}}");
}

static const struct flow_row flows[] = {{"order", order}, {"plain", plain_one}, {NULL, NULL}};

static json_t *search(struct world *w, struct mt_search s) {
    struct mt_error e = {0};
    json_t *out = NULL;
    if (!s.limit) s.limit = 20;
    s.state = -1;
    if (mt_engine_search(w->engine, &s, &out, &e) != 0) fail_msg("%s", e.message);
    return out;
}

static size_t found(struct world *w, struct mt_search s) {
    json_t *out = search(w, s);
    size_t n = json_array_size(json_object_get(out, "data"));
    json_decref(out);
    return n;
}

static void refused(struct world *w, struct mt_search s) {
    struct mt_error e = {0};
    json_t *out = NULL;
    s.limit = 1;
    s.state = -1;
    assert_int_equal(mt_engine_search(w->engine, &s, &out, &e), -1);
    assert_int_equal(e.kind, MT_INVALID_REQUEST);
    assert_null(out);
}

static void test_what_may_be_asked_for(void **state) {
    (void)state;
    struct world *w = world_new(flows, true);
    world_open(w);
    start_run(w, "order",
              "{\"reference\":\"R-1\",\"email\":\"Ann@example.com\",\"total\":{\"$money\":\"80.00 USD\"}}",
              "key-1");
    start_run(w, "plain", "{\"reference\":\"R-2\"}", NULL);
    start_run(w, "plain", "{\"pin\":{\"$sealed\":\"UmF0aGVy\"}}", NULL); /* it cannot be opened: parked */
    world_drive(w);
    assert_int_equal(found(w, (struct mt_search){.reference = "R-1"}), 1);
    assert_int_equal(found(w, (struct mt_search){.reference = "key-1"}), 1);
    assert_int_equal(found(w, (struct mt_search){.reference = "R-"}), 0); /* a whole one */
    assert_int_equal(found(w, (struct mt_search){.email = "ann@EXAMPLE.com"}), 1);
    assert_int_equal(found(w, (struct mt_search){.amount = "80"}), 1);
    assert_int_equal(found(w, (struct mt_search){.amount = "80.0 usd"}), 1);
    assert_int_equal(found(w, (struct mt_search){.amount = "80 EUR"}), 0);
    assert_int_equal(found(w, (struct mt_search){.amount = "12.5 USD"}), 1);
    assert_int_equal(found(w, (struct mt_search){.last4 = "4242"}), 1);
    assert_int_equal(found(w, (struct mt_search){.last4 = "1881"}), 1);
    assert_int_equal(found(w, (struct mt_search){.last4 = "8188"}), 0);
    assert_int_equal(found(w, (struct mt_search){.text = "CHARGE/r-1"}), 1); /* in the journal only */
    assert_int_equal(found(w, (struct mt_search){.text = "rather"}), 0);
    assert_int_equal(found(w, (struct mt_search){.text = "UmF0"}), 0); /* sealed */
    assert_int_equal(found(w, (struct mt_search){.text = "r-", .flow = "plain"}), 1);
    assert_int_equal(found(w, (struct mt_search){.reference = "R-1", .last4 = "1881"}),
                     0); /* both, or none */
    assert_int_equal(found(w, (struct mt_search){.reference = "R-1", .since = now_of(w) + 1}), 0);
    json_t *out = search(w, (struct mt_search){.email = "ann@example.com"});
    json_t *run = json_array_get(json_object_get(out, "data"), 0);
    assert_string_equal(json_string_value(json_array_get(json_object_get(run, "matched"), 0)), "input.email");
    json_decref(out);
    refused(w, (struct mt_search){.flow = "order"});
    refused(w, (struct mt_search){.last4 = "42"});
    refused(w, (struct mt_search){.last4 = "42x2"});
    refused(w, (struct mt_search){.amount = "much"});
    world_free(w);
}

static void test_it_is_cut_off_and_goes_on(void **state) {
    (void)state;
    char input[64], cursor[MT_ID_SIZE] = "";
    size_t seen = 0, turns = 0;
    struct world *w = world_new(flows, true);
    world_open(w);
    for (int i = 0; i < 250; i++) {
        mt_format(input, sizeof input, "{\"reference\":\"%s\"}", i % 5 == 0 ? "wanted" : "other");
        start_run(w, "plain", input, NULL);
    }
    world_drive(w);
    assert_int_equal(found(w, (struct mt_search){.reference = "wanted", .limit = 1000}), 50);
    do { /* so many runs at a time */
        json_t *out = search(
            w,
            (struct mt_search){.reference = "wanted", .scan_max = 30, .before = cursor[0] ? cursor : NULL});
        seen += json_array_size(json_object_get(out, "data"));
        assert_true(mt_json_int(out, "scanned", 0) <= 30);
        mt_copy(cursor, sizeof cursor, mt_json_str(out, "next_cursor", ""));
        assert_int_equal(mt_json_bool(out, "cut", false), cursor[0] != '\0');
        json_decref(out);
    } while (cursor[0] && ++turns < 100);
    assert_int_equal(seen, 50);
    seen = turns = 0;
    do { /* so many found at a time */
        json_t *out = search(
            w, (struct mt_search){.reference = "wanted", .limit = 7, .before = cursor[0] ? cursor : NULL});
        assert_true(json_array_size(json_object_get(out, "data")) <= 7);
        seen += json_array_size(json_object_get(out, "data"));
        mt_copy(cursor, sizeof cursor, mt_json_str(out, "next_cursor", ""));
        json_decref(out);
    } while (cursor[0] && ++turns < 100);
    assert_int_equal(seen, 50);
    world_free(w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_may_be_asked_for),
        cmocka_unit_test(test_it_is_cut_off_and_goes_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
