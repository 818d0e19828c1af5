/* What settings and a queue's state mean together, by the lines and warnings a person sees. */
#include "unit/base/unit.h"

#include "settings_advice.h"

#include <stdarg.h>

struct bench {
    struct settings *settings;
    struct advice_queue queue;
    struct buf report;
    struct error_list warnings;
};

#define SQS_URL "https://sqs.eu-central-1.amazonaws.com/123456789012/jobs"

/* route, target: what stands in their braces behind the keys that must be there. */
static struct bench bench_new(const char *queue, const char *route, const char *target)
{
    struct bench b = {.queue = {.counted = true,
                                .visibility_s = 30,
                                .retention_s = 345600,
                                .oldest_age_s = -1,
                                .max_receives = 5,
                                .dead_letter = "jobs-dlq"}};
    struct error_list errors = {0};
    struct buf text;

    buf_init(&text, 8192);
    buf_init(&b.report, 8192);
    buf_addf(&text,
             "{\"limits\":{\"c\":{\"requests\":5}, \"m\":{\"requests\":60,\"per\":\"1m\"},"
             "\"dry\":{\"requests\":2,\"dry_run\":true},"
             "\"tenant\":{\"requests\":1,\"key\":\"message_group_id\"},"
             "\"daily\":{\"kind\":\"quota\",\"requests\":2000,\"period\":\"day\"}},"
             "\"targets\":{\"t\":{\"url\":\"http://h/\"%s}},"
             "\"queues\":{\"jobs\":{\"dead_letter\":\"dlq\",\"max_receives\":7,"
             "\"retention\":\"1h\",\"visibility_timeout\":\"45s\"}},"
             "\"routes\":{\"r\":{\"queue\":\"%s\",\"target\":\"t\"%s}}}",
             target, queue, route);
    if (settings_load(buf_str(&text), "test", &b.settings, &errors) != 0) {
        fail_msg("%s: %s", errors.items[0].where, errors.items[0].text);
    }
    buf_done(&text);
    return b;
}

static void run(struct bench *b)
{
    error_list_free(&b->warnings);
    buf_reset(&b->report);
    advice_route(b->settings, 0, &b->queue, &b->report, &b->warnings);
}

static void bench_done(struct bench *b)
{
    error_list_free(&b->warnings);
    buf_done(&b->report);
    settings_free(b->settings);
}

static void assert_report(const struct bench *b, const char *wanted)
{
    if (strstr(buf_str(&b->report).ptr, wanted) == NULL) {
        fail_msg("no \"%s\" in:\n%s", wanted, buf_str(&b->report).ptr);
    }
}

/* Exactly one warning at that key, with that text in it; NULL: none. */
static void assert_warns(const struct bench *b, const char *where, const char *wanted)
{
    uint32_t found = 0;

    for (uint32_t i = 0; i < b->warnings.count; i++) {
        const struct error *w = &b->warnings.items[i];
        found += wanted != NULL && strcmp(w->where, where) == 0 && strstr(w->text, wanted) != NULL;
        assert_true(strlen(w->text) < sizeof(w->text) - 1); /* not cut */
    }
    if (b->warnings.count != (wanted == NULL ? 0 : 1) || found != b->warnings.count) {
        for (uint32_t i = 0; i < b->warnings.count; i++) {
            print_message("%s: %s\n", b->warnings.items[i].where, b->warnings.items[i].text);
        }
        fail_msg("wanted: %s: %s", where, wanted == NULL ? "nothing" : wanted);
    }
}

static void a_good_route(void **state)
{
    struct bench b = bench_new(SQS_URL, ",\"limits\":\"c\"", "");

    (void)state;
    b.queue.visible = 1200;
    b.queue.in_flight = 8;
    run(&b);
    assert_warns(&b, "", NULL);
    assert_report(&b, "route r: " SQS_URL " -> t\n");
    assert_report(&b, "standard; 1200 visible, 8 in flight, 0 delayed; visibility 30s, retention "
                      "4d0h, dead-letter queue jobs-dlq after 5 receives\n");
    /* Little: 8 at once at 5 a second is 1.6 s each; at 30 s it is 8 / 30. */
    assert_report(&b, "at most 5 calls a second (limit c); when calls take longer than 1.6 s on "
                      "average, the concurrency (8) decides: at the timeout (30s) it is 0.267 a "
                      "second\n");
    assert_report(&b, "1208 messages, at that pace 4m2s\n");
    bench_done(&b);
}

/* One that only counts, and one that each key has to itself, hold no backlog up. */
static void limits_that_are_not_the_routes_pace(void **state)
{
    struct bench b = bench_new(SQS_URL, ",\"limits\":[\"dry\",\"c\",\"tenant\"]", "");

    (void)state;
    run(&b);
    assert_report(&b, "at most 5 calls a second (limit c); ");
    bench_done(&b);
}

/* A quota sets no pace: it ends, and goes on the next day. */
static void a_quota_has_days(void **state)
{
    struct bench b = bench_new(SQS_URL, ",\"limits\":[\"c\",\"daily\"]", "");

    (void)state;
    b.queue.visible = 1500;
    run(&b);
    assert_report(&b, "at most 5 calls a second (limit c); ");
    assert_report(&b, "quota    2000 calls a day (limit daily), then none until the next\n");
    assert_report(&b, "1500 messages, at that pace 5m1s\n");
    assert_warns(&b, "", NULL);
    b.queue.visible = 9000;
    run(&b);
    assert_report(&b, "9000 messages, at that pace 4d0h\n");
    assert_warns(&b, "routes.r.queue", "takes 4d0h, and a message is kept for 4d0h");
    bench_done(&b);
}

static void the_narrowest_limit_and_the_weight(void **state)
{
    struct bench b = bench_new(SQS_URL, ",\"limits\":[\"c\",\"m\"],\"weight\":2,\"concurrency\":3",
                               ",\"timeout\":\"6s\"");

    (void)state;
    run(&b);
    assert_report(&b, "at most 0.5 calls a second (limit m); 3 at once suffice even if every call "
                      "takes its timeout, 6s\n");
    assert_null(strstr(buf_str(&b.report).ptr, "backlog"));
    bench_done(&b);
    b = bench_new(SQS_URL, "", "");
    b.queue.visible = 10;
    run(&b);
    assert_report(&b, "no limit: the 8 calls at once");
    bench_done(&b);
}

static void a_shared_limit(void **state)
{
    struct bench b = bench_new(SQS_URL,
                               ",\"limits\":\"c\"},\"s\":{\"queue\":\"jobs\",\"target\":\"t\","
                               "\"limits\":[\"m\",\"c\"]",
                               "");

    (void)state;
    run(&b);
    assert_report(&b, "(limit c, all of it, which 2 routes share); when");
    bench_done(&b);
}

static void backlog_and_retention(void **state)
{
    struct bench b = bench_new(SQS_URL, ",\"limits\":\"c\"", "");

    (void)state;
    b.queue.visible = 5 * 345600;
    run(&b);
    assert_warns(&b, "routes.r.queue", "those at its end expire before their turn");
    b.queue.visible = 5 * 3600;
    run(&b);
    assert_warns(&b, "", NULL);
    b.queue.oldest_age_s = 345600 - 600;
    run(&b);
    assert_report(&b, "the oldest is 3d23h old and is kept for another 10m0s");
    assert_warns(&b, "routes.r.queue", "messages that are as old expire before their turn");
    b.queue.oldest_age_s = 600;
    run(&b);
    assert_warns(&b, "", NULL);
    b.queue.visible = INT64_MAX / 8; /* a server may say anything */
    run(&b);
    assert_warns(&b, "routes.r.queue", "those at its end expire");
    bench_done(&b);
}

static void receives(void **state)
{
    struct bench b = bench_new(SQS_URL, ",\"limits\":\"c\"", "");

    (void)state;
    b.queue.max_receives = 0;
    run(&b);
    assert_report(&b, "no dead-letter queue\n");
    assert_warns(&b, "routes.r.queue", "has no dead-letter queue");
    b.queue.max_receives = 2;
    run(&b);
    assert_warns(&b, "routes.r.queue", "gives a message up after 2 receives");
    b.queue.max_receives = 3;
    b.queue.in_flight = 119000;
    run(&b);
    assert_warns(&b, "routes.r.queue", "119000 messages are in flight");
    bench_done(&b);
}

static void the_retry_plan(void **state)
{
    /* 100 attempts, 99 waits of up to 1h: 4d3h and their timeouts. */
    struct bench b =
        bench_new(SQS_URL,
                  ",\"limits\":\"c\",\"retry\":{\"max_attempts\":100,\"min_backoff\":\"1h\","
                  "\"max_backoff\":\"1h\"}",
                  "");

    (void)state;
    b.queue.retention_s = 1209600;
    b.queue.max_receives = 9; /* 4d3h and 50m are 9 spans of 12h */
    run(&b);
    assert_warns(&b, "", NULL);
    b.queue.max_receives = 8;
    run(&b);
    assert_warns(&b, "routes.r.retry.max_attempts",
                 "that is 9 receives, and the queue gives up "
                 "after 8");
    b.queue.max_receives = 9;
    b.queue.retention_s = 345600;
    run(&b);
    assert_warns(&b, "routes.r.retry.max_attempts",
                 "100 attempts: with its waits and calls a message may be tried for 4d3h, and it "
                 "is kept for 4d0h");
    bench_done(&b);
    b = bench_new(SQS_URL, ",\"limits\":\"c\",\"retry\":{\"max_attempts\":0}", "");
    run(&b);
    assert_warns(&b, "", NULL); /* without a bound, as asked for */
    bench_done(&b);
    b = bench_new(SQS_URL,
                  ",\"limits\":\"c\",\"retry\":{\"max_attempts\":0,\"max_retry_duration\":\"1d\"}",
                  "");
    b.queue.retention_s = 86400;
    run(&b);
    assert_warns(&b, "routes.r.retry.max_retry_duration", "\"1d\": with its waits and calls");
    bench_done(&b);
    b = bench_new(SQS_URL, ",\"limits\":\"c\",\"retry\":{\"max_retry_duration\":\"14d\"}", "");
    run(&b);
    assert_warns(&b, "", NULL); /* the attempts end before */
    bench_done(&b);
}

static void visibility(void **state)
{
    struct bench b =
        bench_new(SQS_URL, ",\"limits\":\"c\",\"visibility\":\"31s\"", ",\"timeout\":\"30s\"");

    (void)state;
    run(&b);
    assert_warns(&b, "routes.r.visibility",
                 "waits longer than 1s for its turn must be extended "
                 "before it can be called; use \"1m\" or more");
    bench_done(&b);
    b = bench_new(SQS_URL, ",\"limits\":\"c\",\"visibility\":\"32s\"", ",\"timeout\":\"30s\"");
    run(&b);
    assert_warns(&b, "", NULL);
    bench_done(&b);
}

static void an_embedded_queue_as_declared(void **state)
{
    struct bench b = bench_new("jobs", ",\"limits\":\"c\"", "");

    (void)state;
    advice_queue_of_settings(b.settings, 0, &b.queue);
    run(&b);
    assert_warns(&b, "", NULL);
    assert_report(&b, "standard; visibility 45s, retention 1h0m, dead-letter queue dlq after 7 "
                      "receives\n");
    bench_done(&b);
}

static void attributes(void **state)
{
    struct advice_queue q = {.visible = 1, .delay_s = 2};
    const struct {
        struct str name, value;
    } pairs[] = {
        {STR("ApproximateNumberOfMessages"), STR("12")},
        {STR("ApproximateNumberOfMessagesNotVisible"), STR("3")},
        {STR("ApproximateNumberOfMessagesDelayed"), STR("4")},
        {STR("VisibilityTimeout"), STR("77")},
        {STR("MessageRetentionPeriod"), STR("1209600")},
        {STR("DelaySeconds"), STR("-1")},
        {STR("FifoQueue"), STR("true")},
        {STR("Unheard"), STR("x")},
        {STR("RedrivePolicy"),
         STR("{\"deadLetterTargetArn\":\"arn:aws:sqs:eu-central-1:123456789012:dead.fifo\","
             "\"maxReceiveCount\":\"4\"}")},
    };

    (void)state;
    for (size_t i = 0; i < SL_COUNT(pairs); i++) {
        advice_queue_attribute(&q, pairs[i].name, pairs[i].value);
    }
    assert_int_equal(q.visible, 12);
    assert_int_equal(q.in_flight, 3);
    assert_int_equal(q.delayed, 4);
    assert_int_equal(q.visibility_s, 77);
    assert_int_equal(q.retention_s, 1209600);
    assert_int_equal(q.delay_s, 2); /* what is no number changes nothing */
    assert_true(q.fifo);
    assert_int_equal(q.max_receives, 4);
    assert_string_equal(q.dead_letter, "dead.fifo");
    advice_queue_attribute(&q, STR("RedrivePolicy"), STR("{"));
    assert_int_equal(q.max_receives, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_good_route),     cmocka_unit_test(the_narrowest_limit_and_the_weight),
        cmocka_unit_test(a_shared_limit),   cmocka_unit_test(backlog_and_retention),
        cmocka_unit_test(receives),         cmocka_unit_test(the_retry_plan),
        cmocka_unit_test(visibility),       cmocka_unit_test(an_embedded_queue_as_declared),
        cmocka_unit_test(attributes),       cmocka_unit_test(limits_that_are_not_the_routes_pace),
        cmocka_unit_test(a_quota_has_days),
    };

    return cmocka_run_group_tests_name("advice", tests, NULL, NULL);
}
