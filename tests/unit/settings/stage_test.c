#include "unit/base/unit.h"

#include "sluice/settings.h"

#include <unistd.h>

/* Files of a test, in a directory of its own. */
struct files {
    char directory[64];
    char base[96];
};

static void write_file(const struct files *files, const char *name, const char *text)
{
    char path[160];
    (void)snprintf(path, sizeof(path), "%s/%s", files->directory, name);
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    (void)fputs(text, file);
    (void)fclose(file);
}

static void files_init(struct files *files, const char *base, const char *overlay)
{
    str_copy(files->directory, sizeof(files->directory), STR("/tmp/stage_test_XXXXXX"));
    assert_non_null(mkdtemp(files->directory));
    (void)snprintf(files->base, sizeof(files->base), "%s/s.json", files->directory);
    write_file(files, "s.json", base);
    write_file(files, "s.prd.json", overlay);
}

static void files_done(const struct files *files)
{
    static const char *const names[] = {"s.json", "s.prd.json", "s.b.json", "s.a.json",
                                        "s.x.y.json"};
    char path[160];
    for (size_t i = 0; i < SL_COUNT(names); i++) {
        (void)snprintf(path, sizeof(path), "%s/%s", files->directory, names[i]);
        (void)unlink(path);
    }
    assert_int_equal(rmdir(files->directory), 0);
}

#define BASE                                                                                       \
    "{\"limits\": {\"l\": {\"requests\": 5, \"per\": \"1s\"}},\n"                                  \
    " \"targets\": {\"t\": {\"url\": \"http://h/\", \"headers\": {\"A\": \"1\", \"B\": "           \
    "\"2\"}}},\n"                                                                                  \
    " \"queues\": {\"q.fifo\": {}}, // a comment\n"                                                \
    " \"routes\": {\"r\": {\"queue\": \"q.fifo\", \"target\": \"t\", \"limits\": [\"l\"]}}}\n"

static void test_merged(void **state)
{
    (void)state;
    struct files files;
    struct settings *s = NULL;
    struct error_list errors = {0};
    files_init(&files, BASE,
               "{\"limits\": {\"l\": {\"requests\": 50}, \"m\": {\"requests\": 1}},\n"
               " \"targets\": {\"t\": {\"headers\": {\"A\": null, \"C\": \"3\"}}}, // another\n"
               " \"routes\": {\"r\": {\"limits\": [\"m\"]}}, \"stage\": \"prd\",}");
    assert_int_equal(settings_load_file(files.base, "prd", &s, &errors), 0);
    assert_int_equal(s->limits.count, 2);
    assert_int_equal(s->limits.items[0].requests, 50);
    assert_true(s->limits.items[0].per_ns == 1000000000);
    assert_int_equal(s->targets.items[0].headers.count, 2);
    assert_string_equal(s->targets.items[0].headers.items[0].name, "B");
    assert_string_equal(s->targets.items[0].headers.items[1].name, "C");
    assert_int_equal(s->routes.items[0].limits.count, 1);
    assert_string_equal(s->routes.items[0].limits.items[0], "m");
    assert_string_equal(s->stage, "prd");
    settings_free(s);
    assert_int_equal(settings_load_file(files.base, NULL, &s, &errors), 0);
    assert_int_equal(s->limits.items[0].requests, 5);
    assert_null(s->stage);
    settings_free(s);
    files_done(&files);
}

/* Each error names the file that its key is from, or none: then it is the base's. */
static void test_errors(void **state)
{
    static const struct {
        const char *overlay, *where, *text;
        bool of_stage;
    } rows[] = {
        {"{\"limits\": {\"l\": {\"requests\": 0}}}", "limits.l.requests", "found 0", true},
        {"{\"limits\": {\"l\": {\"per\": null}}, \"routes\": {\"r\": {\"target\": null}}}",
         "routes.r.target", "is missing", true},
        {"{\"queues\": {\"q.fifo\": {\"dead_letter\": \"d\"}}}", "queues.q.fifo.dead_letter",
         "FIFO queue", true},
        {"{\"targets\": null}", "routes.r.target", "not in targets", false},
        {"{\"limts\": null}", "limts", "found null", true},
        {"{\"limits\": {\"new\": {\"requests\": 1, \"x\": null}}}", "limits.new.x", "found null",
         true},
        {"{\"limits\": {\"l\": []}}", "limits.l", "found a list", true},
        {"{\"queues\": null, \"routes\": null, \"sqs_api\": {\"access_keys\": [{\"id\": \"A\"}]}}",
         "sqs_api.access_keys[0].secret", "is missing", true},
    };
    (void)state;
    for (size_t i = 0; i < SL_COUNT(rows); i++) {
        struct files files;
        struct settings *s = NULL;
        struct error_list errors = {0};
        files_init(&files, BASE, rows[i].overlay);
        assert_int_not_equal(settings_load_file(files.base, "prd", &s, &errors), 0);
        assert_null(s);
        assert_int_equal(errors.count, 1);
        const struct error *e = &errors.items[0];
        bool named = strstr(e->text, "s.prd.json)") != NULL;
        if (strcmp(e->where, rows[i].where) != 0 || strstr(e->text, rows[i].text) == NULL ||
            named != rows[i].of_stage) {
            fail_msg("%s: %s: %s", rows[i].overlay, e->where, e->text);
        }
        error_list_free(&errors);
        files_done(&files);
    }
}

static void refused(const char *base, const char *overlay, const char *stage, const char *text)
{
    struct files files;
    struct settings *s = NULL;
    struct error_list errors = {0};
    char line[sizeof(struct error) + 4];
    files_init(&files, base, overlay);
    write_file(&files, "s.b.json", "{}");
    write_file(&files, "s.a.json", "{}");
    write_file(&files, "s.x.y.json", "{}"); /* no stage: a name has no dot */
    assert_int_not_equal(settings_load_file(files.base, stage, &s, &errors), 0);
    assert_int_equal(errors.count, 1);
    (void)snprintf(line, sizeof(line), "%s: %s", errors.items[0].where, errors.items[0].text);
    if (strstr(line, text) == NULL) {
        fail_msg("no \"%s\" in \"%s\"", text, line);
    }
    error_list_free(&errors);
    files_done(&files);
}

static void test_refused(void **state)
{
    (void)state;
    refused(BASE, "{}", "stg", "s.stg.json; stages that have a file: a, b, prd");
    refused(BASE, "{}", "../a", "--stage: found \"../a\"");
    refused(BASE, "{}", "x.y", "--stage: found \"x.y\"");
    refused(BASE, "{}", "", "--stage: found \"\"");
    refused(BASE, "{\"a\": 1, \"a\": 2}", "prd", "s.prd.json: a: line 1, column 10");
    refused(BASE, "[]", "prd", "s.prd.json: expected an object");
    refused(BASE, "{\n \"limits\": }", "prd", "s.prd.json: line 2, column 12");
    refused(BASE, "{\"stage\": \"dev\"}", "prd", "found \"dev\"");
    refused("[]", "{}", "prd", "s.json: expected an object");
    refused("{\n  x}", "{}", "prd", "s.json: line 2, column 3");
}

/* What would take long is refused at once, in either file and wherever it is. */
static void test_wide(void **state)
{
    struct buf text;
    (void)state;
    buf_init(&text, CONFIG_TEXT_MAX);
    (void)buf_adds(&text, "{\"limits\": {\"l\": {");
    for (int i = 0; i < 1001; i++) {
        (void)buf_addf(&text, "%s\"k%d\": 1", i == 0 ? "" : ",", i);
    }
    (void)buf_adds(&text, "}}}");
    refused(BASE, buf_str(&text).ptr, "prd", "s.prd.json: an object has more than 1000 members");
    refused(buf_str(&text).ptr, "{}", "prd", "s.json: an object has more than 1000 members");
    buf_done(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_merged),
        cmocka_unit_test(test_errors),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_wide),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
