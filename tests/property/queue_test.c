/*
 * The engine against a model of SQS (queue_model.h) that is a plain array searched from one end to
 * the other: random sequences of operations on standard and FIFO queues, on a clock of the test's
 * own, restarts and clock steps among them, must give the same answers and the same counts. Tenants
 * of a standard queue are compared as far as their rule leaves the order open. Prints its seed;
 * SLUICE_SEED repeats a run, SLUICE_SEQUENCES sets their number.
 */
#include "property/queue_model.h"
#include "support/queue_kit.h"

#include "sluice/base/rng.h"

#include <setjmp.h>
#include <stddef.h>
#include <cmocka.h>
#include <time.h>

#ifdef SLUICE_SANITIZED
#define SEQUENCES 5000
#else
#define SEQUENCES 50000 /* in each of two processes */
#endif
#define OPERATIONS 36

static const char *const queue_names[MODEL_QUEUES] = {"jobs", "dead", "line.fifo", "dead.fifo"};
static const char *const group_names[MODEL_GROUPS] = {"a", "b", "c", "d"};

struct run {
    struct kit kit;
    struct model model;
    struct rng rng;
    uint64_t seed, sequences;
    int sequence;
    char trace[OPERATIONS][96];
    int traced;
};

/* ---- reporting ---- */

static void trace(struct run *run, const char *format, ...) SL_PRINTF(2, 3);
static void trace(struct run *run, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    if (run->traced < OPERATIONS) {
        (void)vsnprintf(run->trace[run->traced++], sizeof(run->trace[0]), format, args);
    }
    va_end(args);
}

static void check(struct run *run, bool ok, const char *what)
{
    if (ok) {
        return;
    }
    (void)fprintf(stderr, "%s (SLUICE_SEED=%llu, sequence %d)\n", what,
                  (unsigned long long)run->seed, run->sequence);
    for (int i = 0; i < run->traced; i++) {
        (void)fprintf(stderr, "  %2d %s\n", i, run->trace[i]);
    }
    fail();
}

/* ---- operations on both ---- */

static int any(struct run *run, int count)
{
    return (int)rng_between(&run->rng, 0, count - 1);
}

static int64_t lease_now(struct run *run)
{
    return kit_lease_ms(&run->kit);
}

static int any_queue(struct run *run)
{
    int fifo = any(run, 2) == 0 ? MODEL_LINE : MODEL_JOBS;
    return fifo + (any(run, 5) == 0);
}

static struct model_message *model_add(struct run *run, int queue, int group, int64_t delay_ms)
{
    struct model *m = &run->model;
    model_group_join(m, queue, group);
    struct model_message *ret = &m->messages[m->message_count];
    *ret = (struct model_message){
        .exists = true,
        .queue = queue,
        .group = group,
        .place = m->next_place[queue]++,
        .visible_at = m->now + delay_ms,
        .enqueued_at = m->now,
        .number = m->message_count++,
    };
    const struct sqs_send_result *out = run->kit.request.output;
    str_copy(ret->id, sizeof(ret->id), out->message_id);
    return ret;
}

static void send_standard(struct run *run, int queue)
{
    char body[16];
    int64_t delay = any(run, 3) == 0 ? any(run, 20) : 0;
    (void)snprintf(body, sizeof(body), "%d", run->model.message_count);
    trace(run, "send %s to %s delay %lld", body, queue_names[queue], (long long)delay);
    check(run, kit_send(&run->kit, queue_names[queue], body, delay) == 0, "send failed");
    (void)model_add(run, queue, -1, delay * 1000);
}

/* The id is one of a few, so that some sends are repeats; id 9: none, the body decides. */
static void send_fifo(struct run *run, int queue)
{
    struct model *m = &run->model;
    char body[16];
    char id[16];
    int group = any(run, MODEL_GROUPS);
    int number = any(run, 10);
    (void)snprintf(body, sizeof(body), "%d", m->message_count);
    (void)snprintf(id, sizeof(id), "id-%d", number);
    struct sqs_send_message_in in = {
        .queue_url = kit_url(&run->kit, queue_names[queue]),
        .entry = {.body = kit_text(&run->kit, body),
                  .group_id = str_from(group_names[group]),
                  .deduplication_id = number == 9 ? STR_NONE : kit_text(&run->kit, id)},
    };
    trace(run, "send %s to %s group %s %s", body, queue_names[queue], group_names[group],
          number == 9 ? "by content" : id);
    check(run, kit_run(&run->kit, SQS_SEND_MESSAGE, &in) == 0, "send failed");
    const struct sqs_send_result *out = run->kit.request.output;
    int scope = m->scope_is_group && queue == MODEL_LINE ? group : -1;
    int key = number == 9 ? 1000 + m->message_count : number;
    struct model_recent *first = model_recent_find(m, queue, 'd', scope, key);
    if (first != NULL) {
        check(run, str_equal(out->message_id, str_from(m->messages[first->message].id)),
              "a repeat has another message id");
        return;
    }
    struct model_message *message = model_add(run, queue, group, 0);
    model_recent_put(m, queue, 'd', scope, key)->message = message->number;
}

static void do_send(struct run *run)
{
    if (run->model.message_count == MODEL_MESSAGES_MAX) {
        return;
    }
    int queue = any_queue(run);
    if (model_is_fifo(queue)) {
        send_fifo(run, queue);
    } else {
        send_standard(run, queue);
    }
}

static int number_of(struct str body)
{
    int64_t number = -1;
    return str_to_i64(body, 0, MODEL_MESSAGES_MAX, &number) == 0 ? (int)number : -1;
}

static void check_received(struct run *run, const struct model_message *message,
                           const struct sqs_message *got)
{
    int64_t receives = 0;
    check(run, number_of(got->body) == message->number, "another message or order");
    check(run, str_equal(got->message_id, str_from(message->id)), "another message id");
    check(run,
          str_to_i64(kit_system(got, "ApproximateReceiveCount"), 1, 1000, &receives) == 0 &&
              receives == message->receives,
          "other receive count");
}

static void note_handle(struct run *run, int index, struct str text)
{
    struct model *m = &run->model;
    struct model_message *message = &m->messages[index];
    SL_ASSERT(m->handle_count < MODEL_HANDLES_MAX);
    m->handles[m->handle_count++] =
        (struct model_handle){text, index, message->queue, message->place};
    message->handle = m->handle_count;
}

static void do_receive(struct run *run)
{
    struct model *m = &run->model;
    int expected[10];
    int queue = any_queue(run);
    int max = 1 + any(run, 10);
    int64_t timeout = any(run, 5) == 0 ? 0 : any(run, 40);
    trace(run, "receive %d from %s for %lld s", max, queue_names[queue], (long long)timeout);
    int count = model_take(m, queue, max, m->now + timeout * 1000, expected);
    const struct sqs_receive_out *out = kit_receive(&run->kit, queue_names[queue], max, timeout);
    check(run, out != NULL && (int)out->messages.count == count, "other number of messages");
    for (int i = 0; i < count; i++) {
        check_received(run, &m->messages[expected[i]], &out->messages.items[i]);
        note_handle(run, expected[i], out->messages.items[i].receipt_handle);
    }
}

/* The messages of the attempt, once more. */
static int model_take_again(struct model *m, const struct model_recent *attempt, int max,
                            int64_t visible_at, int *ret)
{
    int count = attempt->count < max ? attempt->count : max;
    for (int i = 0; i < count; i++) {
        ret[i] = attempt->messages[i];
        m->messages[ret[i]].visible_at = visible_at;
    }
    return count;
}

static void do_receive_attempt(struct run *run)
{
    struct model *m = &run->model;
    static struct str all[] = {{"All", 3}};
    int expected[10];
    int max = 1 + any(run, 10);
    int64_t timeout = 1 + any(run, 400);
    int id = any(run, 3);
    struct sqs_receive_in in = {
        .queue_url = kit_url(&run->kit, queue_names[MODEL_LINE]),
        .system_attribute_names = {.items = all, .count = 1, .set = true},
        .max_messages = {true, max},
        .visibility_timeout = {true, timeout},
        .attempt_id = str_from(group_names[id]),
    };
    trace(run, "receive %d for %lld s, attempt %d", max, (long long)timeout, id);
    struct model_recent *attempt = model_recent_find(m, MODEL_LINE, 'a', -1, id);
    bool again = attempt != NULL && model_attempt_is_intact(m, attempt);
    int64_t visible_at = m->now + timeout * 1000;
    int count = again ? model_take_again(m, attempt, max, visible_at, expected)
                      : model_take(m, MODEL_LINE, max, visible_at, expected);
    check(run, kit_run(&run->kit, SQS_RECEIVE_MESSAGE, &in) == 0, "receive failed");
    const struct sqs_receive_out *out = run->kit.request.output;
    check(run, (int)out->messages.count == count, "other number of messages");
    for (int i = 0; i < count; i++) {
        struct str handle = out->messages.items[i].receipt_handle;
        check_received(run, &m->messages[expected[i]], &out->messages.items[i]);
        if (again) {
            check(run, str_equal(handle, m->handles[attempt->handles[i]].text), "other handle");
        } else {
            note_handle(run, expected[i], handle);
        }
    }
    if (count == 0) {
        return;
    }
    attempt = model_recent_put(m, MODEL_LINE, 'a', -1, id);
    attempt->count = count;
    for (int i = 0; i < count; i++) {
        attempt->messages[i] = expected[i];
        attempt->handles[i] = m->messages[expected[i]].handle - 1;
        attempt->visible_at[i] = visible_at;
    }
}

static void do_delete(struct run *run)
{
    struct model *m = &run->model;
    struct model_message *message = NULL;
    if (m->handle_count == 0) {
        check(run, kit_delete(&run->kit, "jobs", STR("x")) == SQS_ERROR_RECEIPT_HANDLE_IS_INVALID,
              "garbage accepted");
        return;
    }
    int index = any(run, m->handle_count);
    int queue = m->handles[index].queue;
    enum model_found found = model_find(m, index, &message);
    bool is_error = found == MODEL_FOUND_OUTDATED && model_is_fifo(queue);
    trace(run, "delete by handle %d (message %d)", index, m->handles[index].message);
    check(run,
          kit_delete(&run->kit, queue_names[queue], m->handles[index].text) ==
              (is_error ? SQS_ERROR_INVALID_PARAMETER_VALUE : 0),
          "delete answered otherwise");
    if (found == MODEL_FOUND) {
        model_remove(m, message);
    }
}

static void do_change(struct run *run)
{
    struct model *m = &run->model;
    struct model_message *message = NULL;
    if (m->handle_count == 0) {
        return;
    }
    int index = any(run, m->handle_count);
    int64_t seconds = any(run, 4) == 0 ? 0 : any(run, 10) == 0 ? 43200 : any(run, 60);
    trace(run, "change handle %d (message %d) to %lld s", index, m->handles[index].message,
          (long long)seconds);
    int expected = SQS_ERROR_INVALID_PARAMETER_VALUE;
    if (model_find(m, index, &message) == MODEL_FOUND &&
        (m->now - message->received_at) / 1000 + seconds <= MODEL_LEASE_TOTAL_S) {
        message->visible_at = m->now + seconds * 1000;
        expected = 0;
    }
    int got = kit_change(&run->kit, queue_names[m->handles[index].queue], m->handles[index].text,
                         seconds);
    check(run, got == expected, "change of visibility answered otherwise");
}

static void do_hold(struct run *run)
{
    struct model *m = &run->model;
    int expected[20];
    int max = 1 + any(run, 20);
    int queue = any(run, 2) == 0 ? MODEL_LINE : MODEL_JOBS;
    trace(run, "hold %d of %s", max, queue_names[queue]);
    int count = model_take(m, queue, max, MODEL_HELD, expected);
    struct store_hold hold = kit_hold(&run->kit, queue_names[queue], (uint32_t)max);
    check(run, hold.error == 0 && (int)hold.count == count, "other number of held messages");
    for (int i = 0; i < count; i++) {
        struct model_message *message = &m->messages[expected[i]];
        check(run, number_of(hold.messages[i].body) == message->number, "another held message");
        check(run, hold.messages[i].receive_count == message->receives, "other count of receives");
        message->row_id = hold.messages[i].row_id;
    }
}

static void model_settle(struct model *m, struct model_message *message,
                         const struct store_settle *settle)
{
    if (settle->how == STORE_SETTLE_DELETE) {
        model_remove(m, message);
    } else if (settle->how == STORE_SETTLE_DEAD_LETTER) {
        model_to_dead(m, message, false);
    } else {
        message->receives -= settle->uncount;
        message->visible_at = settle->uncount && settle->delay_ms == 0 ? message->enqueued_at
                                                                       : m->now + settle->delay_ms;
    }
}

static void do_settle(struct run *run)
{
    struct model *m = &run->model;
    struct model_message *message = NULL;
    for (int i = 0; i < m->message_count; i++) {
        struct model_message *c = &m->messages[i];
        if (c->exists && c->visible_at == MODEL_HELD && (message == NULL || any(run, 2) == 0)) {
            message = c;
        }
    }
    if (message == NULL) {
        return;
    }
    struct store_settle settle = {
        .queue = str_from(queue_names[message->queue]),
        .row_id = message->row_id,
        .how = (enum store_settle_how)any(run, 3),
        .delay_ms = any(run, 2) == 0 ? 0 : any(run, 30000),
        .uncount = any(run, 3) == 0,
    };
    if (settle.how == STORE_SETTLE_DEAD_LETTER && m->max_receives[message->queue] == 0) {
        check(run, kit_settle(&run->kit, settle) == ERR_UNSUPPORTED, "dead letter to nowhere");
        return;
    }
    trace(run, "settle message %d how %d delay %lld uncount %d", message->number, (int)settle.how,
          (long long)settle.delay_ms, (int)settle.uncount);
    check(run, kit_settle(&run->kit, settle) == 0, "settle failed");
    model_settle(m, message, &settle);
    check(run, kit_settle(&run->kit, settle) == ERR_NOT_FOUND, "settled twice");
}

static void do_purge(struct run *run)
{
    struct model *m = &run->model;
    int queue = any_queue(run);
    bool any_there = false;
    trace(run, "purge %s", queue_names[queue]);
    check(run, kit_queue_action(&run->kit, SQS_PURGE_QUEUE, queue_names[queue]) == 0,
          "purge failed");
    for (int i = 0; i < m->message_count; i++) {
        any_there = any_there || (m->messages[i].exists && m->messages[i].queue == queue);
        m->messages[i].exists = m->messages[i].exists && m->messages[i].queue != queue;
    }
    if (!any_there) {
        return;
    }
    m->epoch[queue]++;
    for (int g = 0; g < MODEL_GROUPS; g++) { /* their rows stay until they are reaped */
        int number = m->group_number[queue][g];
        m->ghosts = number > m->ghosts ? number : m->ghosts;
        m->group_number[queue][g] = 0;
    }
}

static void do_attributes(struct run *run)
{
    struct model *m = &run->model;
    char text[200] = "";
    if (any(run, 2) == 0) {
        int queue = any(run, MODEL_QUEUES);
        int64_t seconds = any(run, 2) == 0 ? 345600 : 60 + any(run, 60);
        (void)snprintf(text, sizeof(text), "%lld", (long long)seconds);
        trace(run, "retention of %s %s s", queue_names[queue], text);
        check(run,
              kit_set(&run->kit, queue_names[queue], "MessageRetentionPeriod", text, NULL) == 0,
              "retention not set");
        m->retention_ms[queue] = seconds * 1000;
        return;
    }
    int queue = any(run, 2) == 0 ? MODEL_LINE : MODEL_JOBS;
    m->max_receives[queue] = any(run, 4);
    if (m->max_receives[queue] > 0) {
        (void)snprintf(text, sizeof(text),
                       "{\"deadLetterTargetArn\":\"arn:aws:sqs:" KIT_REGION ":" KIT_ACCOUNT
                       ":%s\",\"maxReceiveCount\":%lld}",
                       queue_names[queue + 1], (long long)m->max_receives[queue]);
    }
    trace(run, "max receives of %s %lld", queue_names[queue], (long long)m->max_receives[queue]);
    check(run, kit_set(&run->kit, queue_names[queue], "RedrivePolicy", text, NULL) == 0,
          "policy not set");
}

/* The end of a transaction, too: within one the time stands still. */
static void move_time(struct run *run, int64_t ms)
{
    if (run->kit.in_transaction) {
        kit_flush(&run->kit);
    }
    run->kit.now_ms += ms;
}

static void do_time(struct run *run)
{
    static const int64_t steps_ms[] = {1, 10, 999, 1000, 5000, 30000, 70000, 3600000};
    move_time(run, steps_ms[any(run, SL_COUNT(steps_ms))]);
    if (any(run, 10) == 0) { /* nothing may depend on the wall clock while the process runs */
        run->kit.wall_step_ms = rng_between(&run->rng, -100000, 100000);
    }
    run->model.now = lease_now(run);
    trace(run, "time %lld", (long long)(run->model.now - KIT_WALL));
}

static void do_sweep(struct run *run)
{
    /* A sweep may be a second late; the model's never is. */
    move_time(run, 1000);
    run->model.now = lease_now(run);
    trace(run, "sweep");
    model_sweep(&run->model);
    while (run->kit.engine.next_expiry <= lease_now(run)) {
        kit_sweep(&run->kit);
        kit_flush(&run->kit);
    }
    /* What is due later is looked at again, though nobody asks. */
    check(run, run->kit.engine.next_expiry > lease_now(run), "sweep did not end");
}

static void faster(struct kit *kit)
{
    /* Durability has its own tests. */
    SL_ASSERT(sqlite3_exec(kit->engine.db.handle,
                           "PRAGMA synchronous = OFF; PRAGMA journal_mode = MEMORY", NULL, NULL,
                           NULL) == SQLITE_OK);
}

static void do_restart(struct run *run)
{
    struct model *m = &run->model;
    if (any(run, 5) != 0) { /* opening a file costs as much as a hundred operations */
        return;
    }
    int64_t before = lease_now(run);
    trace(run, "restart");
    move_time(run, 0);
    run->kit.wall_step_ms = 0;
    kit_reopen(&run->kit);
    faster(&run->kit);
    m->now = lease_now(run);
    check(run, m->now + 2000 >= before, "the lease clock went back");
    for (int i = 0; i < m->message_count; i++) {
        if (m->messages[i].exists && m->messages[i].visible_at == MODEL_HELD) {
            m->messages[i].visible_at = m->messages[i].enqueued_at;
        }
    }
}

static void compare_counts(struct run *run)
{
    struct model *m = &run->model;
    for (int queue = 0; queue < MODEL_QUEUES; queue++) {
        int64_t visible = 0;
        int64_t delayed = 0;
        int64_t in_flight = 0;
        for (int i = 0; i < m->message_count; i++) {
            const struct model_message *c = &m->messages[i];
            bool here = c->exists && c->queue == queue;
            visible += here && c->visible_at <= m->now;
            delayed += here && c->visible_at > m->now && c->receives == 0;
            in_flight += here && c->visible_at > m->now && c->receives > 0;
        }
        const char *name = queue_names[queue];
        check(run, kit_visible(&run->kit, name) == visible, "other number of visible messages");
        check(run, kit_delayed(&run->kit, name) == delayed, "other number of delayed messages");
        check(run, kit_in_flight(&run->kit, name) == in_flight, "other number in flight");
    }
}

/* ---- sequences ---- */

static void begin_sequence(struct run *run)
{
    struct kit *kit = &run->kit;
    bool by_group = any(run, 2) == 0;
    arena_done(&kit->arena);
    arena_init(&kit->arena, (size_t)64 << 20);
    run->traced = 0;
    for (int queue = 0; queue < MODEL_QUEUES; queue++) {
        (void)kit_queue_action(kit, SQS_DELETE_QUEUE, queue_names[queue]);
        int rc = model_is_fifo(queue) ? kit_create(kit, queue_names[queue], "FifoQueue", "true",
                                                   "ContentBasedDeduplication", "true", NULL)
                                      : kit_create(kit, queue_names[queue], NULL);
        check(run, rc == 0, "create failed");
    }
    check(run,
          kit_set(kit, queue_names[MODEL_LINE], "DeduplicationScope",
                  by_group ? "messageGroup" : "queue", NULL) == 0,
          "scope not set");
    kit_begin(kit);
    while (kit->engine.has_given_up) {
        check(run, engine_reap(&kit->engine, 1000) == 0, "reap failed");
    }
    kit_flush(kit);
    run->model = (struct model){.now = lease_now(run), .scope_is_group = by_group};
    for (int queue = 0; queue < MODEL_QUEUES; queue++) {
        run->model.retention_ms[queue] = INT64_C(345600) * 1000;
    }
}

static void one_operation(struct run *run)
{
    static const struct {
        void (*apply)(struct run *);
        int weight;
    } operations[] = {
        {do_send, 30}, {do_receive, 22}, {do_delete, 12},    {do_change, 10},
        {do_hold, 8},  {do_settle, 12},  {do_attributes, 4}, {do_time, 20},
        {do_sweep, 5}, {do_purge, 1},    {do_restart, 1},    {do_receive_attempt, 5},
    };
    int total = 0;
    for (size_t i = 0; i < SL_COUNT(operations); i++) {
        total += operations[i].weight;
    }
    int pick = any(run, total);
    size_t chosen = 0;
    while (pick >= operations[chosen].weight) {
        pick -= operations[chosen++].weight;
    }
    operations[chosen].apply(run);
}

static uint64_t number_from_environment(const char *name, uint64_t otherwise)
{
    int64_t value = 0;
    struct str text = str_from(getenv(name));
    return text.ptr != NULL && str_to_i64(text, 0, INT64_MAX, &value) == 0 ? (uint64_t)value
                                                                           : otherwise;
}

static void run_init(struct run *run)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    run->seed = number_from_environment("SLUICE_SEED", (uint64_t)t.tv_nsec);
    run->sequences = number_from_environment("SLUICE_SEQUENCES", SEQUENCES);
    (void)printf("SLUICE_SEED=%llu\n", (unsigned long long)run->seed);
    rng_init(&run->rng, run->seed);
    kit_init(&run->kit);
    run->kit.groups_commits = true;
    faster(&run->kit);
}

static void test_engine_is_the_model(void **state)
{
    static struct run run;
    (void)state;
    run_init(&run);
    for (uint64_t i = 0; i < run.sequences; i++) {
        run.sequence = (int)i;
        begin_sequence(&run);
        for (int k = 0; k < OPERATIONS; k++) {
            one_operation(&run);
            if (k % 12 == 11) {
                compare_counts(&run);
            }
        }
    }
    move_time(&run, 0);
    kit_done(&run.kit);
}

/* ---- tenants ---- */

/* A standard queue with tenants leaves open whose message is next; so it is checked that a receive
 * brings as many as are ready, each ready, each its tenant's first, and that the counts are right.
 */
#define FAIR_QUEUE "fair"

static void fair_send(struct run *run)
{
    struct model *m = &run->model;
    char body[16];
    int tenant = any(run, MODEL_GROUPS + 1) - 1;
    int64_t delay = any(run, 4) == 0 ? any(run, 20) : 0;
    if (m->message_count == MODEL_MESSAGES_MAX) {
        return;
    }
    (void)snprintf(body, sizeof(body), "%d", m->message_count);
    struct sqs_send_message_in in = {
        .queue_url = kit_url(&run->kit, FAIR_QUEUE),
        .entry = {.body = kit_text(&run->kit, body),
                  .group_id = tenant < 0 ? STR_NONE : str_from(group_names[tenant]),
                  .delay_seconds = {true, delay}},
    };
    trace(run, "send %s as %d delay %lld", body, tenant, (long long)delay);
    check(run, kit_run(&run->kit, SQS_SEND_MESSAGE, &in) == 0, "send failed");
    (void)model_add(run, MODEL_JOBS, tenant, delay * 1000);
}

static bool is_its_tenants_first(struct model *m, const struct model_message *message)
{
    for (int i = 0; i < m->message_count; i++) {
        const struct model_message *c = &m->messages[i];
        bool earlier = c->visible_at < message->visible_at ||
                       (c->visible_at == message->visible_at && c->place < message->place);
        if (c->exists && c->group == message->group && earlier) {
            return false;
        }
    }
    return true;
}

static void fair_receive(struct run *run)
{
    struct model *m = &run->model;
    int max = 1 + any(run, 10);
    int64_t timeout = 1 + any(run, 40);
    int ready = 0;
    for (int i = 0; i < m->message_count; i++) {
        ready += m->messages[i].exists && m->messages[i].visible_at <= m->now;
    }
    trace(run, "receive %d for %lld s", max, (long long)timeout);
    const struct sqs_receive_out *out = kit_receive(&run->kit, FAIR_QUEUE, max, timeout);
    check(run, out != NULL && (int)out->messages.count == (max < ready ? max : ready),
          "other number of messages");
    for (uint32_t i = 0; i < out->messages.count; i++) {
        int number = number_of(out->messages.items[i].body);
        struct model_message *message = &m->messages[number];
        check(run, message->exists && message->visible_at <= m->now, "a message that is not ready");
        check(run, is_its_tenants_first(m, message), "not its tenant's first message");
        message->visible_at = m->now + timeout * 1000;
        message->receives++;
        check_received(run, message, &out->messages.items[i]);
        note_handle(run, number, out->messages.items[i].receipt_handle);
    }
}

static void fair_settle(struct run *run)
{
    struct model *m = &run->model;
    struct model_message *message = NULL;
    int index = m->handle_count == 0 ? -1 : any(run, m->handle_count);
    if (index < 0 || model_find(m, index, &message) != MODEL_FOUND) {
        return;
    }
    if (any(run, 2) == 0) {
        trace(run, "delete message %d", message->number);
        check(run, kit_delete(&run->kit, FAIR_QUEUE, m->handles[index].text) == 0, "not deleted");
        message->exists = false;
        return;
    }
    int64_t seconds = any(run, 30);
    trace(run, "change message %d to %lld s", message->number, (long long)seconds);
    check(run, kit_change(&run->kit, FAIR_QUEUE, m->handles[index].text, seconds) == 0,
          "not changed");
    message->visible_at = m->now + seconds * 1000;
}

static void fair_compare(struct run *run)
{
    struct model *m = &run->model;
    int64_t visible = 0;
    int64_t in_flight = 0;
    for (int i = 0; i < m->message_count; i++) {
        const struct model_message *c = &m->messages[i];
        visible += c->exists && c->visible_at <= m->now;
        in_flight += c->exists && c->visible_at > m->now && c->receives > 0;
    }
    check(run, kit_visible(&run->kit, FAIR_QUEUE) == visible, "other number of visible messages");
    check(run, kit_in_flight(&run->kit, FAIR_QUEUE) == in_flight, "other number in flight");
}

static void test_tenants(void **state)
{
    static struct run run;
    (void)state;
    run_init(&run);
    for (uint64_t i = 0; i < run.sequences / 4; i++) {
        struct kit *kit = &run.kit;
        run.sequence = (int)i;
        run.traced = 0;
        arena_done(&kit->arena);
        arena_init(&kit->arena, (size_t)64 << 20);
        (void)kit_queue_action(kit, SQS_DELETE_QUEUE, FAIR_QUEUE);
        check(&run, kit_create(kit, FAIR_QUEUE, NULL) == 0, "create failed");
        run.model = (struct model){.now = lease_now(&run)};
        for (int k = 0; k < OPERATIONS; k++) {
            static void (*const operations[])(struct run *) = {
                fair_send, fair_send, fair_receive, fair_settle, fair_settle, do_time};
            operations[any(&run, SL_COUNT(operations))](&run);
            if (any(&run, 60) == 0) {
                do_restart(&run);
            }
            fair_compare(&run);
        }
    }
    move_time(&run, 0);
    kit_done(&run.kit);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_engine_is_the_model),
                                       cmocka_unit_test(test_tenants)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
