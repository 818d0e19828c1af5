#include "unit/base/unit.h"

#include "sluice/base/clock.h"
#include "sluice/runtime/config.h"

/* A small table with every type; the program's own is tested with tests/vectors/config. */
enum colour { RED, GREEN };

struct key {
    char *id;
    char *secret;
};

struct door {
    char *name;
    enum colour colour;
    uint32_t width;
    int64_t depth, delay_ns;
    uint32_t pause_s;
    bool open;
    char *label;
    struct config_map tags;
    struct config_array keys;
};

struct house {
    struct config_array doors;
    char *street;
    struct config_strings names;
    struct {
        int64_t height;
    } roof;
};

#define HOUSE(member) CONFIG_MEMBER(struct house, member)
#define DOOR(member)  CONFIG_MEMBER(struct door, member)

static const char *const colours[] = {"red", "green", NULL};
static const struct config_row rows[] = {
    {.path = "doors",
     .type = CONFIG_TABLE,
     HOUSE(doors),
     .item_size = sizeof(struct door),
     .max = 3,
     .help = "Doors.",
     .example = "front"},
    {.path = "doors.*.colour",
     .type = CONFIG_ENUM,
     DOOR(colour),
     .names = colours,
     .fallback = "\"green\"",
     .help = "Colour."},
    {.path = "doors.*.width",
     .type = CONFIG_INTEGER,
     .flags = CONFIG_REQUIRED,
     DOOR(width),
     .min = 1,
     .max = 100,
     .unit = "cm",
     .help = "Width.",
     .example = "80"},
    {.path = "doors.*.depth",
     .type = CONFIG_INTEGER,
     DOOR(depth),
     .min = -5,
     .max = 5,
     .fallback = "-3",
     .help = "Depth."},
    {.path = "doors.*.delay",
     .type = CONFIG_DURATION,
     DOOR(delay_ns),
     .min = 0,
     .max = NS_PER_S,
     .help = "Delay.",
     .example = "\"1ms\""},
    {.path = "doors.*.pause",
     .type = CONFIG_SECONDS,
     DOOR(pause_s),
     .min = 0,
     .max = 60,
     .fallback = "\"1m\"",
     .help = "Pause."},
    {.path = "doors.*.open", .type = CONFIG_BOOL, DOOR(open), .fallback = "true", .help = "Open."},
    {.path = "doors.*.label",
     .type = CONFIG_STRING,
     DOOR(label),
     .min = 0,
     .max = 5,
     .help = "Label.",
     .example = "\"x\""},
    {.path = "doors.*.tags",
     .type = CONFIG_MAP,
     .flags = CONFIG_SECRET,
     DOOR(tags),
     .max = 2,
     .help = "Tags.",
     .example = "{\"a\": \"b\"}"},
    {.path = "doors.*.keys",
     .type = CONFIG_LIST,
     DOOR(keys),
     .item_size = sizeof(struct key),
     .help = "Keys."},
    {.path = "doors.*.keys[].id",
     .type = CONFIG_NAME,
     .flags = CONFIG_REQUIRED,
     CONFIG_MEMBER(struct key, id),
     .help = "Id.",
     .example = "\"k\""},
    {.path = "doors.*.keys[].secret",
     .type = CONFIG_STRING,
     .flags = CONFIG_SECRET,
     CONFIG_MEMBER(struct key, secret),
     .max = 9,
     .help = "Secret.",
     .example = "\"s\""},
    {.path = "street",
     .type = CONFIG_STRING,
     HOUSE(street),
     .min = 1,
     .max = 20,
     .fallback = "\"Main\"",
     .help = "Street."},
    {.path = "names",
     .type = CONFIG_STRINGS,
     HOUSE(names),
     .max = 2,
     .fallback = "[\"a\"]",
     .help = "Names."},
    {.path = "roof", .type = CONFIG_OBJECT, .help = "Roof."},
    {.path = "roof.height",
     .type = CONFIG_INTEGER,
     HOUSE(roof.height),
     .min = 0,
     .max = INT64_C(1) << 50,
     .fallback = "3",
     .help = "Height."},
};
static const struct config_rows part = CONFIG_ROWS(rows);
static const struct config_table table = {{&part}, sizeof(struct house)};

static int parse(const char *text, struct house *house, struct error_list *errors)
{
    *house = (struct house){0};
    *errors = (struct error_list){0};
    return config_parse(&table, str_from(text), house, errors);
}

static void release(struct house *house, struct error_list *errors)
{
    config_free(&table, house);
    config_free(&table, house); /* a second time does nothing */
    error_list_free(errors);
}

static void assert_error(const char *text, const char *where, const char *message)
{
    struct house house;
    struct error_list errors;
    int rc = parse(text, &house, &errors);
    assert_true(rc < 0);
    assert_int_equal(errors.count, 1);
    assert_int_equal(errors.items[0].code, rc);
    assert_string_equal(errors.items[0].where, where);
    if (strstr(errors.items[0].text, message) == NULL) {
        fail_msg("%s: \"%s\" is not in \"%s\"", text, message, errors.items[0].text);
    }
    release(&house, &errors);
}

static void test_defaults(void **state)
{
    (void)state;
    struct house house;
    struct error_list errors;
    assert_int_equal(parse("{\"doors\": {\"d\": {\"width\": 5}}}", &house, &errors), 0);
    assert_int_equal(house.doors.count, 1);
    const struct door *door = house.doors.items;
    assert_string_equal(door->name, "d");
    assert_int_equal(door->colour, GREEN);
    assert_int_equal(door->width, 5);
    assert_true(door->depth == -3);
    assert_true(door->delay_ns == CONFIG_UNSET);
    assert_int_equal(door->pause_s, 60);
    assert_true(door->open);
    assert_null(door->label);
    assert_int_equal(door->tags.count + door->keys.count, 0);
    assert_string_equal(house.street, "Main");
    assert_int_equal(house.names.count, 1);
    assert_true(house.roof.height == 3);
    release(&house, &errors);
}

static void test_values(void **state)
{
    (void)state;
    struct house house;
    struct error_list errors;
    int rc = parse("{ // a comment\n"
                   "\"roof\": {\"height\": 1125899906842624}, \"names\": \"solo\", /* */\n"
                   "\"doors\": {\"a\": {\"width\": 1, \"colour\": \"red\", \"depth\": 5,\n"
                   "  \"delay\": \"1.5ms\", \"pause\": \"0s\", \"open\": false, \"label\": \"\",\n"
                   "  \"tags\": {\"x\": \"y\", \"z\": \"\"},\n"
                   "  \"keys\": [{\"id\": \"k1\", \"secret\": \"s1\"}, {\"id\": \"k2\"}]},\n"
                   "  \"b\": {\"width\": 100}}}",
                   &house, &errors);
    assert_int_equal(rc, 0);
    const struct door *doors = house.doors.items;
    assert_int_equal(house.doors.count, 2);
    assert_int_equal(doors[0].colour, RED);
    assert_true(doors[0].delay_ns == 1500000);
    assert_string_equal(doors[0].label, "");
    assert_string_equal(doors[0].tags.items[1].name, "z");
    const struct key *keys = doors[0].keys.items;
    assert_int_equal(doors[0].keys.count, 2);
    assert_string_equal(keys[0].secret, "s1");
    assert_null(keys[1].secret);
    assert_int_equal(doors[1].width, 100);
    assert_string_equal(house.names.items[0], "solo");
    assert_true(house.roof.height == INT64_C(1) << 50);
    release(&house, &errors);
}

static void test_errors(void **state)
{
    (void)state;
    assert_error("[]", "", "found a list; allowed: an object");
    assert_error("{\"doors\": {\"d\": {}}}", "doors.d.width", "is missing; add it, for example");
    assert_error("{\"doors\": {\"d\": {\"width\": 101}}}", "doors.d.width",
                 "found 101; allowed: a whole number from 1 to 100 in cm");
    assert_error("{\"doors\": {\"d\": {\"width\": 1, \"depth\": -6}}}", "doors.d.depth",
                 "found -6; allowed: a whole number from -5 to 5");
    assert_error("{\"doors\": {\"d\": {\"width\": 1, \"delay\": \"2s\"}}}", "doors.d.delay",
                 "found \"2s\"; allowed: a duration from \"0s\" to \"1s\"");
    assert_error("{\"doors\": {\"d\": {\"width\": 1, \"keys\": [{\"id\": \"a\"}, {}]}}}",
                 "doors.d.keys[1].id", "is missing");
    assert_error("{\"doors\": {\"d\": {\"width\": 1, \"keys\": [{\"id\": \"a\", \"secret\": "
                 "\"0123456789\"}]}}}",
                 "doors.d.keys[0].secret", "found a value that is not shown; allowed: a string");
    assert_error("{\"doors\": {\"a\": {\"width\": 1}, \"b\": {\"width\": 1}, \"c\": {\"width\": "
                 "1}, \"d\": {\"width\": 1}}}",
                 "doors", "found 4 entries; allowed: at most 3");
    assert_error("{\"doors\": {\"d\": {\"width\": 1, \"tags\": {\"a\": \"\", \"b\": \"\", \"c\": "
                 "\"\"}}}}",
                 "doors.d.tags", "found 3 members; allowed: at most 2");
    assert_error("{\"roof\": {\"heigth\": 3}}", "roof.heigth", "did you mean \"height\"?");
    assert_error("{\"roof\": {\"colour\": 3}}", "roof.colour", "remove it; allowed here: height");
    assert_error("{\"street\": \"a very long street, far too long to be one\"}", "street",
                 "found \"a very long street");
}

/* The value in the message is cut, at a character. */
static void test_long_value(void **state)
{
    (void)state;
    char text[2048] = "{\"names\": {\"x\": \"";
    for (size_t i = 0; i < 300; i++) {
        memcpy(text + strlen(text), "\xe2\x82\xac", 4);
    }
    memcpy(text + strlen(text), "\"}}", 4);
    struct house house;
    struct error_list errors;
    assert_int_equal(parse(text, &house, &errors), ERR_INVALID);
    assert_int_equal(errors.count, 1);
    assert_true(str_is_utf8(str_from(errors.items[0].text)));
    assert_non_null(strstr(errors.items[0].text, "…; allowed: a list of at most 2 strings"));
    release(&house, &errors);
}

static void test_error_count_is_bounded(void **state)
{
    (void)state;
    struct buf text;
    struct house house;
    struct error_list errors;
    buf_init(&text, CONFIG_TEXT_MAX);
    buf_addc(&text, '{');
    for (uint32_t i = 0; i < CONFIG_ERRORS_MAX + 50; i++) {
        buf_addf(&text, "%s\"unknown-%u\": 1", i == 0 ? "" : ",", i);
    }
    buf_addc(&text, '}');
    assert_int_equal(parse(buf_str(&text).ptr, &house, &errors), ERR_INVALID);
    assert_int_equal(errors.count, CONFIG_ERRORS_MAX);
    assert_int_equal(errors.dropped, 50);
    release(&house, &errors);
    buf_done(&text);
    char *big = malloc(CONFIG_TEXT_MAX + 2);
    memset(big, ' ', CONFIG_TEXT_MAX + 1);
    big[CONFIG_TEXT_MAX + 1] = '\0';
    assert_int_equal(parse(big, &house, &errors), ERR_TOO_BIG);
    release(&house, &errors);
    free(big);
}

static void test_dump(void **state)
{
    (void)state;
    struct house house;
    struct error_list errors;
    struct buf out;
    buf_init(&out, CONFIG_TEXT_MAX);
    int rc = parse("{\"doors\": {\"a\": {\"width\": 1, \"delay\": \"1.5ms\", \"tags\": {\"x\": "
                   "\"y\"}, \"keys\": [{\"id\": \"k1\", \"secret\": \"s1\"}]}}}",
                   &house, &errors);
    assert_int_equal(rc, 0);
    assert_int_equal(config_dump(&table, &house, &out), 0);
    assert_str(buf_str(&out), "{\n"
                              "    \"doors\": {\n"
                              "        \"a\": {\n"
                              "            \"colour\": \"green\",\n"
                              "            \"width\": 1,\n"
                              "            \"depth\": -3,\n"
                              "            \"delay\": \"1500us\",\n"
                              "            \"pause\": \"1m\",\n"
                              "            \"open\": true,\n"
                              "            \"tags\": {\"x\": \"<redacted>\"},\n"
                              "            \"keys\": [\n"
                              "                {\n"
                              "                    \"id\": \"k1\",\n"
                              "                    \"secret\": \"<redacted>\"\n"
                              "                }\n"
                              "            ]\n"
                              "        }\n"
                              "    },\n"
                              "    \"street\": \"Main\",\n"
                              "    \"names\": [\"a\"],\n"
                              "    \"roof\": {\n"
                              "        \"height\": 3\n"
                              "    }\n"
                              "}\n");
    release(&house, &errors);
    buf_done(&out);
}

static const char *const words[] = {"requests", "per", "hold", "concurrency", NULL};

static const char *next_word(void *context, uint32_t i)
{
    (void)context;
    return words[i];
}

static void test_suggest(void **state)
{
    (void)state;
    assert_string_equal(config_suggest(STR("request"), next_word, NULL), "requests");
    assert_string_equal(config_suggest(STR("reqeusts"), next_word, NULL), "requests");
    assert_string_equal(config_suggest(STR("HOLD"), next_word, NULL), "hold");
    assert_string_equal(config_suggest(STR("concurency"), next_word, NULL), "concurrency");
    assert_null(config_suggest(STR("colour"), next_word, NULL));
    assert_null(config_suggest(STR(""), next_word, NULL));
    assert_null(config_suggest(STR("x"), next_word, NULL));
}

static void test_texts(void **state)
{
    (void)state;
    static const struct {
        int64_t ns;
        const char *text;
    } durations[] = {
        {0, "0s"},
        {1, "1ns"},
        {1500, "1500ns"},
        {250 * NS_PER_MS, "250ms"},
        {NS_PER_S, "1s"},
        {90 * NS_PER_S, "90s"},
        {60 * NS_PER_S, "1m"},
        {86400 * 14 * NS_PER_S, "14d"},
        {3600 * NS_PER_S, "1h"},
    };
    for (size_t i = 0; i < SL_COUNT(durations); i++) {
        char text[32];
        int64_t back = -1;
        config_duration_text(durations[i].ns, text, sizeof(text));
        assert_string_equal(text, durations[i].text);
        assert_int_equal(str_to_duration(str_from(text), &back), 0);
        assert_true(back == durations[i].ns);
    }
    assert_true(config_name_is_valid(STR("aZ09_-")));
    assert_false(config_name_is_valid(STR("")));
    assert_false(config_name_is_valid(STR("a.b")));
    assert_false(config_name_is_valid(STR("a.fifo")));
    assert_true(config_queue_name_is_valid(STR("a.fifo")));
    assert_true(config_queue_name_is_valid(STR("a")));
    assert_false(config_queue_name_is_valid(STR(".fifo")));
    assert_false(config_queue_name_is_valid(STR("a.fifo.fifo")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_errors),
        cmocka_unit_test(test_long_value),
        cmocka_unit_test(test_error_count_is_bounded),
        cmocka_unit_test(test_dump),
        cmocka_unit_test(test_suggest),
        cmocka_unit_test(test_texts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
