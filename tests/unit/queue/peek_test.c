/* Looking at messages: nothing changes, oldest first, page by page, whatever lies in between. */
#include "support/queue_kit.h"

#include <setjmp.h>
#include <stddef.h>
#include <cmocka.h>

#define SHOWN_MAX 64

struct look {
    struct store_peek peek;
    struct sqs_message messages[SHOWN_MAX];
    int pages;
};

static int setup(void **state)
{
    *state = MEM_NEW(struct kit);
    kit_init(*state);
    return 0;
}

static void page(struct kit *kit, struct store_peek *peek)
{
    peek->before = peek->count;
    kit_begin(kit);
    assert_int_equal(engine_peek(&kit->engine, peek), 0);
    kit_commit(kit);
}

/* All pages. */
static void look_at(struct kit *kit, struct look *look, const char *queue, bool invisible,
                    bool delayed)
{
    *look = (struct look){.peek = {.queue = kit_text(kit, queue),
                                   .invisible = invisible,
                                   .delayed = delayed,
                                   .arena = &kit->arena,
                                   .max = SHOWN_MAX}};
    look->peek.messages = look->messages;
    do {
        look->peek.from = look->peek.next;
        page(kit, &look->peek);
        look->pages++;
    } while (look->peek.next != 0 && look->peek.count < look->peek.max && !look->peek.full);
    assert_int_equal(look->peek.error, 0);
}

static void expect_bodies(const struct look *look, const char *bodies)
{
    struct str rest = str_from(bodies);
    struct str body;
    uint32_t i = 0;
    for (; rest.len > 0 && str_next(&rest, ' ', &body); i++) {
        assert_true(i < look->peek.count);
        if (!str_equal(look->messages[i].body, body)) {
            fail_msg("message %u is %.*s, not %.*s", i, STR_FMT(look->messages[i].body),
                     STR_FMT(body));
        }
    }
    assert_int_equal(look->peek.count, i);
}

static void expect_mark(const struct look *look, uint32_t i, const char *name, const char *value)
{
    assert_true(str_equal(kit_system(&look->messages[i], name), str_from(value)));
}

static void nothing_changes(void **state)
{
    struct kit *kit = *state;
    struct look look;
    assert_int_equal(kit_create(kit, "jobs", NULL), 0);
    assert_int_equal(kit_send(kit, "jobs", "a", -1), 0);
    assert_int_equal(kit_send(kit, "jobs", "b", -1), 0);
    assert_int_equal(kit_send(kit, "jobs", "c", 60), 0);
    int64_t changes = db_changes(&kit->engine.db);
    for (int i = 0; i < 3; i++) {
        look_at(kit, &look, "jobs", true, true);
        expect_bodies(&look, "a b c");
    }
    assert_int_equal(db_changes(&kit->engine.db), changes);
    assert_int_equal(kit_visible(kit, "jobs"), 2);
    assert_int_equal(kit_delayed(kit, "jobs"), 1);
    expect_mark(&look, 0, "ApproximateReceiveCount", "0");
    assert_null(look.messages[0].receipt_handle.ptr);
    assert_int_equal(look.messages[0].md5_of_body.len, 32);
    const struct sqs_receive_out *got = kit_receive(kit, "jobs", 1, 0);
    expect_mark(&look, 0, "SenderId", KIT_ACCOUNT);
    assert_true(
        str_equal(kit_system(&got->messages.items[0], "ApproximateReceiveCount"), STR("1")));
    look_at(kit, &look, "jobs", false, false);
    expect_bodies(&look, "a b");
    expect_mark(&look, 0, "ApproximateReceiveCount", "1");
    assert_null(kit_system(&look.messages[0], "IsVisible").ptr);
}

static void hidden_ones_are_shown_when_asked_for(void **state)
{
    struct kit *kit = *state;
    struct look look;
    assert_int_equal(kit_create(kit, "jobs", NULL), 0);
    assert_int_equal(kit_send(kit, "jobs", "flight", -1), 0);
    assert_int_equal(kit_send(kit, "jobs", "held", -1), 0);
    assert_int_equal(kit_receive(kit, "jobs", 1, 60)->messages.count, 1);
    struct store_hold hold = kit_hold(kit, "jobs", 1);
    assert_int_equal(hold.count, 1);
    assert_int_equal(kit_send(kit, "jobs", "later", 60), 0);
    assert_int_equal(kit_send(kit, "jobs", "now", -1), 0);
    look_at(kit, &look, "jobs", false, false);
    expect_bodies(&look, "now");
    look_at(kit, &look, "jobs", true, false);
    expect_bodies(&look, "flight held now");
    expect_mark(&look, 0, "IsVisible", "false");
    expect_mark(&look, 1, "IsVisible", "false");
    expect_mark(&look, 2, "IsVisible", "true");
    assert_null(kit_system(&look.messages[0], "IsDelayed").ptr);
    look_at(kit, &look, "jobs", false, true);
    expect_bodies(&look, "later now");
    expect_mark(&look, 0, "IsDelayed", "true");
    expect_mark(&look, 1, "IsDelayed", "false");
    kit->now_ms += 61 * 1000;
    look_at(kit, &look, "jobs", false, false);
    expect_bodies(&look, "flight later now");
}

static void send_to_group(struct kit *kit, const char *body, const char *group)
{
    struct sqs_send_message_in in = {
        .queue_url = kit_url(kit, "jobs.fifo"),
        .entry = {.body = kit_text(kit, body),
                  .group_id = kit_text(kit, group),
                  .deduplication_id = kit_text(kit, body)},
    };
    assert_int_equal(kit_run(kit, SQS_SEND_MESSAGE, &in), 0);
}

static void a_locked_group_is_not_visible(void **state)
{
    struct kit *kit = *state;
    struct look look;
    assert_int_equal(kit_create(kit, "jobs.fifo", "FifoQueue", "true", NULL), 0);
    send_to_group(kit, "a1", "a");
    send_to_group(kit, "b1", "b");
    send_to_group(kit, "a2", "a");
    look_at(kit, &look, "jobs.fifo", false, false);
    expect_bodies(&look, "a1 b1 a2");
    expect_mark(&look, 2, "MessageGroupId", "a");
    expect_mark(&look, 2, "MessageDeduplicationId", "a2");
    assert_int_equal(kit_system(&look.messages[0], "SequenceNumber").len, 20);
    assert_int_equal(kit_receive(kit, "jobs.fifo", 1, 60)->messages.count, 1);
    look_at(kit, &look, "jobs.fifo", false, false);
    expect_bodies(&look, "b1");
    look_at(kit, &look, "jobs.fifo", true, false);
    expect_bodies(&look, "a1 b1 a2");
    expect_mark(&look, 2, "IsVisible", "false");
}

static void fill(struct kit *kit, int count, const char *body, int64_t delay_s)
{
    struct sqs_send_message_in in = {
        .queue_url = kit_url(kit, "jobs"),
        .entry = {.body = str_from(body), .delay_seconds = {true, delay_s}},
    };
    kit_begin(kit);
    for (int i = 0; i < count; i++) {
        struct arena arena;
        arena_init(&arena, 65536);
        struct store_request request = {
            .action = SQS_SEND_MESSAGE, .input = &in, .arena = &arena, .wall = KIT_WALL};
        assert_int_equal(engine_run(&kit->engine, &request), 0);
        assert_int_equal(request.error.code, 0);
        arena_done(&arena);
    }
    kit_commit(kit);
}

/* A page is bounded by what it looks at, not by what it shows: three thousand are passed over. */
static void pages_go_past_what_is_not_shown(void **state)
{
    struct kit *kit = *state;
    struct look look;
    assert_int_equal(kit_create(kit, "jobs", NULL), 0);
    fill(kit, 3 * STORE_PEEK_ROWS, "later", 900);
    fill(kit, 2, "now", 0);
    look_at(kit, &look, "jobs", false, false);
    expect_bodies(&look, "now now");
    assert_int_equal(look.pages, 4);
    look_at(kit, &look, "jobs", false, true);
    assert_int_equal(look.peek.count, SHOWN_MAX);
    assert_int_equal(look.pages, 1);
}

static void a_full_arena_ends_a_page(void **state)
{
    struct kit *kit = *state;
    char body[4097];
    memset(body, 'x', sizeof(body));
    body[4096] = '\0';
    assert_int_equal(kit_create(kit, "jobs", NULL), 0);
    fill(kit, 20, body, 0);
    struct arena arena;
    arena_init(&arena, 50000);
    struct sqs_message messages[SHOWN_MAX];
    struct store_peek peek = {
        .queue = STR("jobs"), .arena = &arena, .messages = messages, .max = SHOWN_MAX};
    page(kit, &peek);
    assert_true(peek.full);
    assert_true(peek.count >= 5 && peek.count < 12);
    uint32_t count = peek.count;
    /* The same page again adds nothing twice; the next begins with what did not fit. */
    arena_done(&arena);
    arena_init(&arena, 1000000);
    peek.before = 0;
    kit_begin(kit);
    assert_int_equal(engine_peek(&kit->engine, &peek), 0);
    kit_commit(kit);
    assert_int_equal(peek.count, 20);
    assert_true(count < 20);
    arena_done(&arena);
}

static void queues_that_are_not_there(void **state)
{
    struct kit *kit = *state;
    struct sqs_message messages[1];
    struct store_peek peek = {
        .queue = STR("nosuch"), .arena = &kit->arena, .messages = messages, .max = 1};
    page(kit, &peek);
    assert_int_equal(peek.error, ERR_NOT_FOUND);
    /* Purged between two pages: the next begins with what came since. */
    assert_int_equal(kit_create(kit, "jobs", NULL), 0);
    assert_int_equal(kit_send(kit, "jobs", "old", -1), 0);
    assert_int_equal(kit_send(kit, "jobs", "old", -1), 0);
    peek = (struct store_peek){
        .queue = STR("jobs"), .arena = &kit->arena, .messages = messages, .max = 1};
    page(kit, &peek);
    assert_true(peek.next != 0);
    assert_int_equal(kit_queue_action(kit, SQS_PURGE_QUEUE, "jobs"), 0);
    assert_int_equal(kit_send(kit, "jobs", "new", -1), 0);
    peek.count = 0;
    peek.from = peek.next;
    page(kit, &peek);
    assert_int_equal(peek.count, 1);
    assert_true(str_equal(messages[0].body, STR("new")));
}

static void what_outlived_its_retention_is_gone(void **state)
{
    struct kit *kit = *state;
    struct look look;
    assert_int_equal(kit_create(kit, "jobs", "MessageRetentionPeriod", "60", NULL), 0);
    assert_int_equal(kit_send(kit, "jobs", "a", -1), 0);
    kit->now_ms += 60 * 1000;
    look_at(kit, &look, "jobs", true, true);
    expect_bodies(&look, "");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, kit_teardown)
    const struct CMUnitTest tests[] = {
        TEST(nothing_changes),
        TEST(hidden_ones_are_shown_when_asked_for),
        TEST(a_locked_group_is_not_visible),
        TEST(pages_go_past_what_is_not_shown),
        TEST(a_full_arena_ends_a_page),
        TEST(queues_that_are_not_there),
        TEST(what_outlived_its_retention_is_gone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
