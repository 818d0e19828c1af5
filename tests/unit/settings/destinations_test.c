/* on_success and on_failure: what they refer to, and records that come back as jobs. */
#include "unit/base/unit.h"

#include "sluice/settings.h"

#define GOOD TEST_SOURCE_DIR "/vectors/config/good/destinations.json"

static struct settings *load(const char *routes)
{
    struct buf text;
    struct error_list errors = {0};
    struct settings *s = NULL;
    buf_init(&text, CONFIG_TEXT_MAX);
    buf_addf(&text,
             "{\"limits\":{\"l\":{\"requests\":5}},\"targets\":{\"t\":{\"url\":\"http://h\"}},"
             "\"queues\":{\"a\":{\"dead_letter\":\"d\"},\"b\":{\"dead_letter\":\"d\"},"
             "\"c\":{\"dead_letter\":\"d\"}},\"routes\":{%s}}",
             routes);
    assert_int_equal(settings_load(buf_str(&text), "text", &s, &errors), 0);
    error_list_free(&errors);
    buf_done(&text);
    return s;
}

#define ROUTE(name, queue, more)                                                                   \
    "\"" name "\":{\"queue\":\"" queue "\",\"target\":\"t\",\"limits\":\"l\"" more "}"
#define TO(end, queue) ",\"" end "\":{\"queue\":\"" queue "\"}"

static uint32_t warnings_of(const char *routes, const char *where)
{
    struct settings *s = load(routes);
    struct error_list warnings = {0};
    uint32_t found = 0;
    settings_warn(s, &warnings);
    for (uint32_t i = 0; i < warnings.count; i++) {
        assert_non_null(strstr(warnings.items[i].where, where));
        found++;
    }
    error_list_free(&warnings);
    settings_free(s);
    return found;
}

static void test_resolved(void **state)
{
    (void)state;
    struct settings *s = NULL;
    struct error_list errors = {0};
    assert_int_equal(settings_load_file(GOOD, NULL, &s, &errors), 0);
    const struct route_settings *r = &s->routes.items[0];
    const struct route_settings *other = &s->routes.items[1];
    assert_string_equal(s->queues.items[r->on_success.queue_index].name, "results");
    assert_null(r->on_success.url);
    assert_null(r->on_failure.queue);
    assert_int_equal(r->on_failure.queue_index, SETTINGS_NONE);
    assert_null(other->on_success.queue); /* an empty object is none */
    assert_null(other->on_success.url);
    assert_non_null(other->on_failure.queue);
    assert_int_equal(other->on_failure.queue_index, SETTINGS_NONE);
    settings_free(s);
    error_list_free(&errors);
}

static void test_circles(void **state)
{
    (void)state;
    assert_int_equal(warnings_of(ROUTE("r", "a", TO("on_success", "b")) "," ROUTE(
                                     "s", "b", TO("on_success", "c")) "," ROUTE("u", "c", ""),
                                 "none"),
                     0);
    /* all three of a circle, however it is closed */
    assert_int_equal(
        warnings_of(ROUTE("r", "a", TO("on_success", "b")) "," ROUTE(
                        "s", "b", TO("on_failure", "c")) "," ROUTE("u", "c", TO("on_success", "a")),
                    "on_success"),
        3);
    /* one that only leads into a circle is in none */
    assert_int_equal(
        warnings_of(ROUTE("r", "a", TO("on_success", "b")) "," ROUTE(
                        "s", "b", TO("on_success", "c")) "," ROUTE("u", "c", TO("on_success", "b")),
                    "on_success"),
        2);
}

/* Where on_failure keeps what is given up, a dead-letter queue is not missed. */
static void test_no_dead_letter_queue(void **state)
{
    (void)state;
    struct error_list errors = {0};
    struct settings *s = NULL;
    assert_int_equal(settings_load_file(GOOD, NULL, &s, &errors), 0);
    struct error_list warnings = {0};
    settings_warn(s, &warnings);
    assert_int_equal(warnings.count, 0);
    error_list_free(&warnings);
    settings_free(s);
    error_list_free(&errors);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_resolved),
        cmocka_unit_test(test_circles),
        cmocka_unit_test(test_no_dead_letter_queue),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
