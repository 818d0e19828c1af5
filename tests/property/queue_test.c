/*
 * The engine against a model of a standard queue that is a plain array searched from one end to the
 * other: random sequences of operations on a clock of the test's own, restarts and clock steps
 * among them, must give the same answers and the same counts. Prints its seed; SLUICE_SEED repeats
 * a run, SLUICE_SEQUENCES sets their number.
 */
#include "support/queue_kit.h"

#include "sluice/base/rng.h"

#include <setjmp.h>
#include <stddef.h>
#include <cmocka.h>
#include <time.h>

#define SEQUENCES      4000
#define OPERATIONS     60
#define MESSAGES_MAX   (OPERATIONS * 2)
#define HANDLES_MAX    (OPERATIONS * 10)
#define LEASE_TOTAL_MS INT64_C(43200000)
#define MODEL_HELD     (INT64_MAX / 2)

enum { QUEUE_JOBS, QUEUE_DEAD, QUEUES };
static const char *const queue_names[QUEUES] = {"jobs", "dead"};

struct model_message {
    bool exists;
    int queue;
    int64_t place, visible_at, enqueued_at, received_at, receives;
    int number;     /* its body */
    int handle;     /* latest one, index + 1 */
    int64_t row_id; /* when held */
};

struct model_handle {
    struct str text;
    int message, queue;
};

struct model {
    struct model_message messages[MESSAGES_MAX];
    struct model_handle handles[HANDLES_MAX];
    int message_count, handle_count;
    int64_t next_place[QUEUES], retention_ms[QUEUES];
    int64_t max_receives; /* 0: no dead letters */
    int64_t now;
};

struct run {
    struct kit kit;
    struct model model;
    struct rng rng;
    uint64_t seed;
    int sequence;
    char trace[OPERATIONS][80];
    int traced;
};

/* ---- the model ---- */

static bool model_is_ready(const struct model *m, const struct model_message *message, int queue)
{
    return message->exists && message->queue == queue && message->visible_at <= m->now;
}

static struct model_message *model_first_ready(struct model *m, int queue, const bool *taken)
{
    struct model_message *best = NULL;
    for (int i = 0; i < m->message_count; i++) {
        struct model_message *c = &m->messages[i];
        if (!model_is_ready(m, c, queue) || taken[i]) {
            continue;
        }
        if (best == NULL || c->visible_at < best->visible_at ||
            (c->visible_at == best->visible_at && c->place < best->place)) {
            best = c;
        }
    }
    return best;
}

static bool model_is_expired(const struct model *m, const struct model_message *message)
{
    return message->enqueued_at + m->retention_ms[message->queue] <= m->now;
}

static void model_to_dead(struct model *m, struct model_message *message, bool restart)
{
    message->queue = QUEUE_DEAD;
    message->place = m->next_place[QUEUE_DEAD]++;
    message->visible_at = m->now;
    message->handle = 0;
    if (restart) {
        message->enqueued_at = m->now;
    }
}

static void model_expire(struct model *m, struct model_message *message)
{
    if (message->queue == QUEUE_JOBS && m->max_receives > 0) {
        model_to_dead(m, message, true);
    } else {
        message->exists = false;
    }
}

/* Takes up to max; their indices in order. */
static int model_take(struct model *m, int queue, int max, int64_t visible_at, int *ret)
{
    bool taken[MESSAGES_MAX] = {false};
    int count = 0;
    int seen = 0;
    struct model_message *next;
    while (count < max && (next = model_first_ready(m, queue, taken)) != NULL) {
        /* A lease of 0 s ends with the round that found something: fewer than there are is allowed.
         */
        if (visible_at <= m->now && count > 0 && seen % max == 0) {
            break;
        }
        seen++;
        if (model_is_expired(m, next)) {
            model_expire(m, next);
            continue;
        }
        if (queue == QUEUE_JOBS && m->max_receives > 0 && next->receives >= m->max_receives) {
            model_to_dead(m, next, false);
            continue;
        }
        int index = (int)(next - m->messages);
        taken[index] = true;
        ret[count++] = index;
        next->visible_at = visible_at;
        next->receives++;
        next->received_at = m->now;
        next->handle = 0;
    }
    return count;
}

static void model_sweep(struct model *m)
{
    for (int queue = 0; queue < QUEUES; queue++) {
        for (int64_t place = 0; place < m->next_place[queue]; place++) {
            struct model_message *found = NULL;
            for (int i = 0; i < m->message_count && found == NULL; i++) {
                struct model_message *c = &m->messages[i];
                found = c->exists && c->queue == queue && c->place == place ? c : NULL;
            }
            if (found == NULL) {
                continue;
            }
            if (!model_is_expired(m, found)) {
                break;
            }
            bool in_hand = found->visible_at > m->now && found->receives > 0;
            if (!in_hand) {
                model_expire(m, found);
            }
        }
    }
}

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

static void do_send(struct run *run)
{
    struct model *m = &run->model;
    if (m->message_count == MESSAGES_MAX) {
        return;
    }
    char body[16];
    int number = m->message_count;
    int64_t delay = any(run, 3) == 0 ? any(run, 20) : 0;
    int queue = any(run, 6) == 0 ? QUEUE_DEAD : QUEUE_JOBS;
    (void)snprintf(body, sizeof(body), "%d", number);
    trace(run, "send %d to %s delay %lld", number, queue_names[queue], (long long)delay);
    check(run, kit_send(&run->kit, queue_names[queue], body, delay) == 0, "send failed");
    m->messages[m->message_count++] = (struct model_message){
        .exists = true,
        .queue = queue,
        .place = m->next_place[queue]++,
        .visible_at = m->now + delay * 1000,
        .enqueued_at = m->now,
        .number = number,
    };
}

static int number_of(struct str body)
{
    int64_t number = -1;
    return str_to_i64(body, 0, MESSAGES_MAX, &number) == 0 ? (int)number : -1;
}

static void do_receive(struct run *run)
{
    struct model *m = &run->model;
    int expected[10];
    int queue = any(run, 4) == 0 ? QUEUE_DEAD : QUEUE_JOBS;
    int max = 1 + any(run, 10);
    int64_t timeout = any(run, 5) == 0 ? 0 : any(run, 40);
    trace(run, "receive %d from %s for %lld s", max, queue_names[queue], (long long)timeout);
    int count = model_take(m, queue, max, m->now + timeout * 1000, expected);
    const struct sqs_receive_out *out = kit_receive(&run->kit, queue_names[queue], max, timeout);
    check(run, out != NULL && (int)out->messages.count == count, "other number of messages");
    for (int i = 0; i < count; i++) {
        struct model_message *message = &m->messages[expected[i]];
        const struct sqs_message *got = &out->messages.items[i];
        int64_t receives = 0;
        check(run, number_of(got->body) == message->number, "another message or order");
        check(run,
              str_to_i64(kit_system(got, "ApproximateReceiveCount"), 1, 1000, &receives) == 0 &&
                  receives == message->receives,
              "other receive count");
        if (m->handle_count < HANDLES_MAX) {
            m->handles[m->handle_count++] =
                (struct model_handle){got->receipt_handle, expected[i], queue};
            message->handle = m->handle_count;
        }
    }
}

/* The message of a handle if the handle is its latest one. */
static struct model_message *model_by_handle(struct model *m, int index)
{
    struct model_message *message = &m->messages[m->handles[index].message];
    return message->exists && message->handle == index + 1 ? message : NULL;
}

static void do_delete(struct run *run)
{
    struct model *m = &run->model;
    if (m->handle_count == 0) {
        check(run, kit_delete(&run->kit, "jobs", STR("x")) == SQS_ERROR_RECEIPT_HANDLE_IS_INVALID,
              "garbage accepted");
        return;
    }
    int index = any(run, m->handle_count);
    struct model_message *message = model_by_handle(m, index);
    trace(run, "delete by handle %d (message %d)", index, m->handles[index].message);
    check(run,
          kit_delete(&run->kit, queue_names[m->handles[index].queue], m->handles[index].text) == 0,
          "delete failed");
    if (message != NULL) {
        message->exists = false;
    }
}

static void do_change(struct run *run)
{
    struct model *m = &run->model;
    if (m->handle_count == 0) {
        return;
    }
    int index = any(run, m->handle_count);
    int64_t seconds = any(run, 4) == 0 ? 0 : any(run, 10) == 0 ? 43200 : any(run, 60);
    struct model_message *message = model_by_handle(m, index);
    trace(run, "change handle %d (message %d) to %lld s", index, m->handles[index].message,
          (long long)seconds);
    int expected = SQS_ERROR_INVALID_PARAMETER_VALUE;
    if (message != NULL &&
        (m->now - message->received_at) / 1000 + seconds <= LEASE_TOTAL_MS / 1000) {
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
    trace(run, "hold %d", max);
    int count = model_take(m, QUEUE_JOBS, max, MODEL_HELD, expected);
    struct store_hold hold = kit_hold(&run->kit, "jobs", (uint32_t)max);
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
        message->exists = false;
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
        .queue = STR("jobs"),
        .row_id = message->row_id,
        .how = (enum store_settle_how)any(run, 3),
        .delay_ms = any(run, 2) == 0 ? 0 : any(run, 30000),
        .uncount = any(run, 3) == 0,
    };
    if (settle.how == STORE_SETTLE_DEAD_LETTER && m->max_receives == 0) {
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
    int queue = any(run, QUEUES);
    trace(run, "purge %s", queue_names[queue]);
    check(run, kit_queue_action(&run->kit, SQS_PURGE_QUEUE, queue_names[queue]) == 0,
          "purge failed");
    for (int i = 0; i < m->message_count; i++) {
        if (m->messages[i].queue == queue) {
            m->messages[i].exists = false;
        }
    }
}

static void do_attributes(struct run *run)
{
    struct model *m = &run->model;
    char text[200] = "";
    if (any(run, 2) == 0) {
        int queue = any(run, QUEUES);
        int64_t seconds = any(run, 2) == 0 ? 345600 : 60 + any(run, 60);
        (void)snprintf(text, sizeof(text), "%lld", (long long)seconds);
        trace(run, "retention of %s %s s", queue_names[queue], text);
        check(run,
              kit_set(&run->kit, queue_names[queue], "MessageRetentionPeriod", text, NULL) == 0,
              "retention not set");
        m->retention_ms[queue] = seconds * 1000;
        return;
    }
    m->max_receives = any(run, 4);
    if (m->max_receives > 0) {
        (void)snprintf(text, sizeof(text),
                       "{\"deadLetterTargetArn\":\"arn:aws:sqs:" KIT_REGION ":" KIT_ACCOUNT
                       ":dead\",\"maxReceiveCount\":%lld}",
                       (long long)m->max_receives);
    }
    trace(run, "max receives %lld", (long long)m->max_receives);
    check(run, kit_set(&run->kit, "jobs", "RedrivePolicy", text, NULL) == 0, "policy not set");
}

static void do_time(struct run *run)
{
    static const int64_t steps_ms[] = {1, 10, 999, 1000, 5000, 30000, 70000, 3600000};
    run->kit.now_ms += steps_ms[any(run, SL_COUNT(steps_ms))];
    if (any(run, 10) == 0) { /* nothing may depend on the wall clock while the process runs */
        run->kit.wall_step_ms = rng_between(&run->rng, -100000, 100000);
    }
    run->model.now = lease_now(run);
    trace(run, "time %lld", (long long)(run->model.now - KIT_WALL));
}

static void do_sweep(struct run *run)
{
    /* A sweep may be a second late; the model's never is. */
    run->kit.now_ms += 1000;
    run->model.now = lease_now(run);
    trace(run, "sweep");
    model_sweep(&run->model);
    while (run->kit.engine.next_expiry <= lease_now(run)) {
        kit_sweep(&run->kit);
    }
    /* What is due later is looked at again, though nobody asks. */
    check(run, run->kit.engine.next_expiry > lease_now(run), "sweep did not end");
}

static void faster(struct kit *kit)
{
    /* Durability has its own tests. */
    SL_ASSERT(sqlite3_exec(kit->engine.db.handle, "PRAGMA synchronous = OFF", NULL, NULL, NULL) ==
              SQLITE_OK);
}

static void do_restart(struct run *run)
{
    struct model *m = &run->model;
    int64_t before = lease_now(run);
    trace(run, "restart");
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
    for (int queue = 0; queue < QUEUES; queue++) {
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
    arena_done(&kit->arena);
    arena_init(&kit->arena, (size_t)64 << 20);
    for (int queue = 0; queue < QUEUES; queue++) {
        (void)kit_queue_action(kit, SQS_DELETE_QUEUE, queue_names[queue]);
        check(run, kit_create(kit, queue_names[queue], NULL) == 0, "create failed");
    }
    kit_begin(kit);
    while (kit->engine.has_given_up) {
        check(run, engine_reap(&kit->engine, 1000) == 0, "reap failed");
    }
    kit_commit(kit);
    run->traced = 0;
    run->model = (struct model){.now = lease_now(run)};
    for (int queue = 0; queue < QUEUES; queue++) {
        run->model.retention_ms[queue] = INT64_C(345600) * 1000;
    }
}

static void one_operation(struct run *run)
{
    static const struct {
        void (*apply)(struct run *);
        int weight;
    } operations[] = {
        {do_send, 25}, {do_receive, 20}, {do_delete, 12},    {do_change, 10},
        {do_hold, 8},  {do_settle, 12},  {do_attributes, 3}, {do_time, 20},
        {do_sweep, 5}, {do_purge, 1},    {do_restart, 1},
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

static void test_engine_is_the_model(void **state)
{
    static struct run run;
    (void)state;
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    run.seed = number_from_environment("SLUICE_SEED", (uint64_t)t.tv_nsec);
    uint64_t sequences = number_from_environment("SLUICE_SEQUENCES", SEQUENCES);
    (void)printf("SLUICE_SEED=%llu\n", (unsigned long long)run.seed);
    rng_init(&run.rng, run.seed);
    kit_init(&run.kit);
    faster(&run.kit);
    for (uint64_t i = 0; i < sequences; i++) {
        run.sequence = (int)i;
        begin_sequence(&run);
        for (int k = 0; k < OPERATIONS; k++) {
            one_operation(&run);
            if (k % 5 == 4) {
                compare_counts(&run);
            }
        }
    }
    kit_done(&run.kit);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_engine_is_the_model)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
