#include "unit/base/unit.h"

#include "sluice/base/clock.h"
#include "sluice/settings.h"

#include <dirent.h>

#define BAD  TEST_SOURCE_DIR "/vectors/config/bad"
#define GOOD TEST_SOURCE_DIR "/vectors/config/good"
#define CONF TEST_SOURCE_DIR "/../conf"

static void read_file(const char *path, struct buf *text)
{
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        fail_msg("cannot open %s", path);
        return;
    }
    char *room;
    size_t n;
    while ((room = buf_reserve(text, 4096)) != NULL && (n = fread(room, 1, 4096, file)) > 0) {
        buf_commit(text, n);
    }
    (void)fclose(file);
}

static struct settings *load(const char *text)
{
    struct settings *settings = NULL;
    struct error_list errors = {0};
    if (settings_load(str_from(text), "test", &settings, &errors) != 0) {
        fail_msg("%s: %s", errors.items[0].where, errors.items[0].text);
    }
    assert_int_equal(errors.count, 0);
    error_list_free(&errors);
    return settings;
}

static struct settings *load_file(const char *path)
{
    struct settings *settings = NULL;
    struct error_list errors = {0};
    if (settings_load_file(path, NULL, &settings, &errors) != 0) {
        fail_msg("%s: %s: %s", path, errors.items[0].where, errors.items[0].text);
    }
    error_list_free(&errors);
    return settings;
}

static bool has_error(const struct error_list *errors, struct str expected)
{
    char line[sizeof(struct error) + 4];
    char wanted[512];
    str_copy(wanted, sizeof(wanted), expected);
    for (uint32_t i = 0; i < errors->count; i++) {
        (void)snprintf(line, sizeof(line), "%s: %s", errors->items[i].where, errors->items[i].text);
        if (strstr(line, wanted) != NULL) {
            return true;
        }
    }
    return false;
}

static void print_errors(const char *file, const struct error_list *errors)
{
    for (uint32_t i = 0; i < errors->count; i++) {
        print_message("%s: %s: %s\n", file, errors->items[i].where, errors->items[i].text);
    }
}

/* Every "// expect: text" line at the top of the file is found in one error, and there is not one
   error more: an error that only follows from another would send people to the wrong place. */
static void check_bad(const char *name)
{
    char path[1024];
    struct buf text;
    struct settings *settings = NULL;
    struct error_list errors = {0};
    (void)snprintf(path, sizeof(path), "%s/%s", BAD, name);
    buf_init(&text, CONFIG_TEXT_MAX);
    read_file(path, &text);
    int rc = settings_load(buf_str(&text), name, &settings, &errors);
    assert_null(settings);
    struct str rest = buf_str(&text);
    struct str line;
    uint32_t expected = 0;
    while (str_next(&rest, '\n', &line) && str_starts_with(line, STR("// expect: "))) {
        struct str wanted = {line.ptr + 11, line.len - 11};
        expected++;
        if (rc == 0 || !has_error(&errors, wanted)) {
            print_errors(name, &errors);
            fail_msg("%s: no error \"%.*s\"", name, STR_FMT(wanted));
        }
    }
    if (expected == 0 || expected != errors.count) {
        print_errors(name, &errors);
        fail_msg("%s: %u errors, expected %u", name, errors.count, expected);
    }
    error_list_free(&errors);
    buf_done(&text);
}

static uint32_t each_file(const char *directory, void (*check)(const char *name))
{
    DIR *dir = opendir(directory);
    const struct dirent *entry;
    uint32_t count = 0;
    assert_non_null(dir);
    while ((entry = readdir(dir)) != NULL) {
        if (str_ends_with(str_from(entry->d_name), STR(".json"))) {
            check(entry->d_name);
            count++;
        }
    }
    (void)closedir(dir);
    return count;
}

static void test_bad_files(void **state)
{
    (void)state;
    uint32_t count = each_file(BAD, check_bad);
    print_message("%u broken files\n", count);
    assert_true(count >= 45);
}

/* Loads, and its dump (secrets replaced) loads as well and says the same. */
static void check_good(const char *name)
{
    char path[1024];
    struct buf first;
    struct buf second;
    (void)snprintf(path, sizeof(path), "%s/%s", GOOD, name);
    struct settings *settings = load_file(path);
    buf_init(&first, CONFIG_TEXT_MAX);
    buf_init(&second, CONFIG_TEXT_MAX);
    assert_int_equal(settings_dump(settings, &first), 0);
    settings_free(settings);
    settings = load(buf_str(&first).ptr);
    assert_int_equal(settings_dump(settings, &second), 0);
    settings_free(settings);
    assert_str(buf_str(&second), buf_str(&first).ptr);
    buf_done(&first);
    buf_done(&second);
}

static void test_good_files(void **state)
{
    (void)state;
    assert_true(each_file(GOOD, check_good) >= 4);
}

static void test_defaults(void **state)
{
    (void)state;
    struct settings *s = settings_default();
    assert_int_equal(s->limits.count + s->targets.count + s->queues.count + s->routes.count, 0);
    assert_int_equal(s->sqs_api.listen.count, 1);
    assert_string_equal(s->sqs_api.listen.items[0], "127.0.0.1:9324");
    assert_string_equal(s->sqs_api.region, "us-east-1");
    assert_string_equal(s->sqs_api.account, "000000000000");
    assert_int_equal(s->sqs_api.access_keys.count, 0);
    assert_false(s->sqs_api.allow_anonymous);
    assert_false(s->sqs_api.sixty_second_rules);
    assert_null(s->sqs_api.tls.cert_file);
    assert_string_equal(s->http.listen.items[0], "127.0.0.1:9325");
    assert_int_equal(s->log.level, LOG_LEVEL_INFO);
    assert_int_equal(s->log.format, LOG_FORMAT_AUTO);
    assert_string_equal(s->log.service, "sluice");
    assert_true(s->drain_timeout_ns == 25 * NS_PER_S);
    assert_null(s->data_dir);
    assert_null(s->aws.region);
    settings_free(s);
    settings_free(NULL);
}

static void test_design_example(void **state)
{
    (void)state;
    struct settings *s = load_file(GOOD "/design.json");
    const struct limit_settings *limit = &s->limits.items[0];
    assert_int_equal(limit->kind, LIMIT_WINDOW);
    assert_int_equal(limit->hold, LIMIT_HOLD_ARRIVAL);
    assert_int_equal(limit->requests, 5);
    assert_true(limit->per_ns == NS_PER_S);
    assert_int_equal(limit->burst, 0);
    assert_true(limit->guard_ns == 10 * NS_PER_MS);
    assert_true(limit->max_flight_ns == NS_PER_S);
    const struct target_settings *target = &s->targets.items[0];
    assert_string_equal(target->url, "http://127.0.0.1:8080/jobs");
    assert_int_equal(target->concurrency, 8);
    assert_true(target->timeout_ns == 30 * NS_PER_S);
    assert_true(target->connect_timeout_ns == 5 * NS_PER_S);
    /* the dead-letter queue nobody declared */
    assert_int_equal(s->queues.count, 2);
    assert_int_equal(s->queues.items[0].dead_letter_index, 1);
    assert_string_equal(s->queues.items[1].name, "jobs-dlq");
    assert_true(s->queues.items[1].implied);
    assert_false(s->queues.items[0].implied);
    assert_int_equal(s->queues.items[1].retention_s, 14 * 86400);
    assert_int_equal(s->queues.items[1].dead_letter_index, SETTINGS_NONE);
    const struct route_settings *route = &s->routes.items[0];
    assert_int_equal(route->queue_index, 0);
    assert_int_equal(route->target_index, 0);
    assert_int_equal(route->limits.count, 1);
    assert_int_equal(route->limit_index[0], 0);
    assert_int_equal(route->weight, 1);
    assert_int_equal(route->share, 1);
    assert_int_equal(route->priority, 0);
    assert_int_equal(route->retry.max_attempts, 20);
    assert_true(route->retry.min_backoff_ns == NS_PER_S);
    assert_true(route->retry.max_backoff_ns == 120 * NS_PER_S);
    assert_int_equal(route->retry.max_doublings, 16);
    assert_true(route->retry.max_retry_duration_ns == 0);
    assert_true(target->breaker.enabled);
    assert_false(target->adaptive_concurrency);
    assert_int_equal(target->breaker.failure_percent, 50);
    assert_true(target->breaker.max_open_ns == 60 * NS_PER_S);
    assert_true(route->visibility_ns == 60 * NS_PER_S);
    settings_free(s);
}

static void test_keys(void **state)
{
    (void)state;
    struct settings *s = load_file(GOOD "/tenants.json");
    assert_int_equal(s->limits.items[0].parsed_key.kind, MESSAGE_KEY_BODY);
    assert_string_equal(s->limits.items[0].parsed_key.name, "/tenant");
    assert_int_equal(s->limits.items[0].keys_max, 100);
    assert_int_equal(s->limits.items[1].keys_max, 10000);
    assert_null(s->limits.items[2].key);
    assert_int_equal(s->limits.items[2].keys_max, 0);
    assert_true(s->limits.items[2].dry_run);
    assert_false(s->limits.items[0].dry_run);
    assert_int_equal(s->routes.items[0].parsed_tenant.kind, MESSAGE_KEY_ATTRIBUTE);
    settings_free(s);
    s = load_file(GOOD "/everything.json");
    assert_int_equal(s->routes.items[0].parsed_tenant.kind, MESSAGE_KEY_GROUP);
    settings_free(s);
}

static void test_resolved(void **state)
{
    (void)state;
    struct settings *s = load_file(GOOD "/everything.json");
    /* hold: response needs no guard */
    assert_true(s->limits.items[0].guard_ns == 0);
    assert_true(s->limits.items[1].guard_ns == 20 * NS_PER_MS);
    assert_int_equal(s->limits.items[1].kind, LIMIT_BUCKET);
    assert_int_equal(s->limits.items[1].burst, 10);
    assert_int_equal(s->targets.items[0].headers.count, 2);
    assert_string_equal(s->targets.items[0].headers.items[0].name, "Authorization");
    assert_string_equal(s->targets.items[0].headers.items[0].value, "Bearer abc");
    assert_false(s->queues.items[1].implied);
    assert_int_equal(s->queues.items[0].delay_s, 5);
    assert_int_equal(s->routes.items[0].limit_index[1], 1);
    assert_int_equal(s->routes.items[0].share, 3);
    assert_int_equal(s->routes.items[0].priority, 9);
    assert_true(s->routes.items[0].paused);
    assert_int_equal(s->routes.items[0].retry.max_attempts, 0);
    assert_true(s->routes.items[0].retry.max_retry_duration_ns == 3600 * NS_PER_S);
    assert_false(s->targets.items[0].breaker.enabled);
    assert_true(s->targets.items[0].adaptive_concurrency);
    assert_true(s->targets.items[0].breaker.max_open_ns == 300 * NS_PER_S);
    const struct idempotency_settings *idempotency = &s->routes.items[0].idempotency;
    assert_int_equal(idempotency->parsed.kind, MESSAGE_KEY_BODY);
    assert_string_equal(idempotency->parsed.name, "/order/id");
    assert_int_equal(idempotency->on_unknown, IDEMPOTENCY_DEAD_LETTER);
    assert_true(idempotency->expires_after_ns == INT64_C(7) * 86400 * NS_PER_S);
    assert_null(s->routes.items[1].idempotency.key);
    assert_int_equal(s->routes.items[1].queue_index, SETTINGS_NONE);
    assert_true(s->routes.items[1].visibility_ns == 120 * NS_PER_S);
    assert_int_equal(s->routes.items[1].limits.count, 1); /* "second", not ["second"] */
    assert_int_equal(s->sqs_api.listen.count, 3);
    assert_string_equal(s->sqs_api.access_keys.items[0].id, "AKID");
    const struct access_key_settings *key = s->sqs_api.access_keys.items;
    assert_string_equal(key[0].secret, "wJalrXUtnFEMI");
    assert_int_equal(key[0].actions.count, 1);
    assert_string_equal(key[0].actions.items[0], "*");
    assert_string_equal(key[0].queues.items[0], "*");
    assert_int_equal(key[1].actions.count, 2);
    assert_string_equal(key[1].actions.items[1], "GetQueueUrl");
    assert_string_equal(key[1].queues.items[0], "jobs");
    settings_free(s);
}

static void test_quotas(void **state)
{
    (void)state;
    struct settings *s = load_file(GOOD "/quota.json");
    assert_int_equal(s->limits.items[0].kind, LIMIT_QUOTA);
    assert_true(s->limits.items[0].per_ns == LIMIT_DAY_NS);
    assert_true(s->limits.items[1].per_ns == LIMIT_HOUR_NS);
    assert_true(s->limits.items[2].per_ns == LIMIT_DAY_NS);
    assert_int_equal(s->limits.items[2].kind, LIMIT_WINDOW);
    assert_string_equal(s->time_zone, "America/Los_Angeles");
    settings_free(s);
    s = settings_default();
    assert_string_equal(s->time_zone, "UTC");
    settings_free(s);
}

static void test_tls(void **state)
{
    (void)state;
    struct settings *s = load_file(GOOD "/tls.json");
    assert_string_equal(s->sqs_api.tls.cert_file, "/etc/sluice/tls/cert.pem");
    assert_string_equal(s->sqs_api.tls.key_file, "/etc/sluice/tls/key.pem");
    settings_free(s);
}

static void test_derived_defaults(void **state)
{
    (void)state;
    struct settings *s = load("{\"limits\":{\"b\":{\"kind\":\"bucket\",\"requests\":5}},"
                              "\"targets\":{\"t\":{\"url\":\"http://h\",\"timeout\":\"2s\"}},"
                              "\"routes\":{\"r\":{\"queue\":\"https://h/1/q\",\"target\":\"t\","
                              "\"idempotency\":{\"key\":\"message_id\"}}}}");
    assert_int_equal(s->limits.items[0].burst, 1);
    assert_true(s->targets.items[0].connect_timeout_ns == 2 * NS_PER_S);
    assert_true(s->routes.items[0].visibility_ns == 30 * NS_PER_S);
    assert_true(s->routes.items[0].idempotency.expires_after_ns == INT64_C(86400) * NS_PER_S);
    assert_int_equal(s->routes.items[0].idempotency.on_unknown, IDEMPOTENCY_CALL);
    settings_free(s);
}

/* No secret in the dump or in any message. */
static void test_secrets(void **state)
{
    (void)state;
    struct buf out;
    buf_init(&out, CONFIG_TEXT_MAX);
    struct settings *s = load_file(GOOD "/everything.json");
    assert_int_equal(settings_dump(s, &out), 0);
    assert_null(strstr(buf_str(&out).ptr, "wJalrXUtnFEMI"));
    assert_null(strstr(buf_str(&out).ptr, "Bearer"));
    assert_non_null(strstr(buf_str(&out).ptr, "<redacted>"));
    assert_non_null(strstr(buf_str(&out).ptr, "\"AKID\""));
    settings_free(s);
    buf_done(&out);

    static const char *const files[] = {BAD "/url-user.json", BAD "/access-key-secret-number.json"};
    for (size_t i = 0; i < SL_COUNT(files); i++) {
        struct error_list errors = {0};
        assert_int_not_equal(settings_load_file(files[i], NULL, &s, &errors), 0);
        for (uint32_t j = 0; j < errors.count; j++) {
            assert_null(strstr(errors.items[j].text, "hunter2"));
            assert_null(strstr(errors.items[j].text, "77123456"));
        }
        error_list_free(&errors);
    }
}

static void test_example_is_current(void **state)
{
    (void)state;
    struct buf generated;
    struct buf file;
    buf_init(&generated, CONFIG_TEXT_MAX);
    buf_init(&file, CONFIG_TEXT_MAX);
    assert_int_equal(settings_example(&generated), 0);
    settings_free(load(buf_str(&generated).ptr));
    read_file(CONF "/sluice.full.json", &file);
    if (!str_equal(buf_str(&file), buf_str(&generated))) {
        fail_msg("conf/sluice.full.json is not what the table says: "
                 "sluice check --example > conf/sluice.full.json");
    }
    buf_done(&generated);
    buf_done(&file);
    settings_free(load_file(CONF "/sluice.json"));
}

/* Also the keys that stand in the example as comments only are read with their example value. */
static void test_example_without_comments(void **state)
{
    (void)state;
    struct buf example;
    struct buf all;
    struct error_list errors = {0};
    struct settings *s = NULL;
    buf_init(&example, CONFIG_TEXT_MAX);
    buf_init(&all, CONFIG_TEXT_MAX);
    assert_int_equal(settings_example(&example), 0);
    struct str rest = buf_str(&example);
    struct str line;
    while (str_next(&rest, '\n', &line)) {
        const char *commented = strstr(line.ptr, "// \"");
        const char *value = strstr(line.ptr, "\": ");
        const char *end = line.ptr + line.len;
        if (commented != NULL && commented < end && value != NULL && value < end) {
            line.len -= (size_t)(commented + 3 - line.ptr);
            line.ptr = commented + 3;
        }
        buf_add(&all, line);
        buf_addc(&all, '\n');
    }
    /* the things that do not go together */
    assert_int_not_equal(settings_load(buf_str(&all), "all", &s, &errors), 0);
    assert_int_equal(errors.count, 3);
    assert_string_equal(errors.items[0].where, "limits.createjob.burst");
    assert_string_equal(errors.items[1].where, "routes.createjob.on_success.url");
    assert_string_equal(errors.items[2].where, "routes.createjob.on_failure.url");
    error_list_free(&errors);
    buf_done(&example);
    buf_done(&all);
}

static void test_table(void **state)
{
    (void)state;
    const struct config_table *table = settings_table();
    for (uint32_t i = 0; i < config_table_count(table); i++) {
        const struct config_row *row = config_table_row(table, i);
        size_t len = strlen(row->help);
        assert_true(len > 0 && row->help[len - 1] == '.');
        bool group =
            row->type == CONFIG_OBJECT || row->type == CONFIG_TABLE || row->type == CONFIG_LIST;
        assert_true(group || row->fallback != NULL || row->example != NULL);
        assert_true((row->flags & CONFIG_REQUIRED) == 0 || row->example != NULL);
        if (row->type == CONFIG_ENUM) {
            assert_int_equal(row->size, sizeof(int));
        }
    }
}

static void test_warnings(void **state)
{
    (void)state;
    struct error_list warnings = {0};
    struct settings *s =
        load("{\"limits\":{\"unused\":{\"requests\":5}},"
             "\"targets\":{\"t\":{\"url\":\"http://h\"},\"u\":{\"url\":\"http://h\"}},"
             "\"queues\":{\"q\":{}},"
             "\"routes\":{\"r\":{\"queue\":\"q\",\"target\":\"t\"}},"
             "\"sqs_api\":{\"listen\":\"0.0.0.0:1\",\"allow_anonymous\":true}}");
    settings_warn(s, &warnings);
    assert_int_equal(warnings.count, 5);
    assert_true(has_error(&warnings, STR("routes.r.limits: no limit")));
    assert_true(has_error(&warnings, STR("queues.q.dead_letter: none: messages that the target")));
    assert_true(has_error(&warnings, STR("limits.unused: no route")));
    assert_true(has_error(&warnings, STR("targets.u: no route")));
    assert_true(has_error(&warnings, STR("sqs_api.allow_anonymous: everybody")));
    error_list_free(&warnings);
    settings_free(s);
    s = load_file(GOOD "/design.json");
    settings_warn(s, &warnings);
    assert_int_equal(warnings.count, 0);
    settings_free(s);
}

static void test_unreadable(void **state)
{
    (void)state;
    struct settings *s = NULL;
    struct error_list errors = {0};
    assert_int_equal(settings_load_file("/nonexistent/sluice.json", NULL, &s, &errors),
                     ERR_NOT_FOUND);
    assert_int_equal(errors.count, 1);
    assert_string_equal(errors.items[0].where, "/nonexistent/sluice.json");
    error_list_free(&errors);
    assert_int_not_equal(settings_load_file("/", NULL, &s, &errors), 0);
    error_list_free(&errors);
    assert_int_equal(settings_load_file("/dev/zero", NULL, &s, &errors), ERR_TOO_BIG);
    error_list_free(&errors);
}

/* Any cut of a good file is refused or good, never more than that. */
static void test_truncated(void **state)
{
    (void)state;
    struct buf text;
    buf_init(&text, CONFIG_TEXT_MAX);
    read_file(GOOD "/everything.json", &text);
    for (size_t len = 0; len < text.len - 2; len += 7) { /* without its last brace */
        struct settings *s = NULL;
        struct error_list errors = {0};
        char *copy = malloc(len + 1); /* exact: the sanitizer sees a byte read beyond */
        memcpy(copy, text.ptr, len);
        int rc = settings_load((struct str){copy, len}, "cut", &s, &errors);
        assert_int_not_equal(rc, 0);
        assert_true(errors.count > 0);
        free(copy);
        error_list_free(&errors);
    }
    buf_done(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bad_files),
        cmocka_unit_test(test_good_files),
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_design_example),
        cmocka_unit_test(test_keys),
        cmocka_unit_test(test_resolved),
        cmocka_unit_test(test_quotas),
        cmocka_unit_test(test_tls),
        cmocka_unit_test(test_derived_defaults),
        cmocka_unit_test(test_secrets),
        cmocka_unit_test(test_example_is_current),
        cmocka_unit_test(test_example_without_comments),
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_warnings),
        cmocka_unit_test(test_unreadable),
        cmocka_unit_test(test_truncated),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
