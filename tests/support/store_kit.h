/*
 * store_kit: for tests of the store with its thread on a real loop: calls that complete, one after
 * the other or at once. After cmocka's header.
 */
#ifndef SLUICE_TESTS_STORE_KIT_H
#define SLUICE_TESTS_STORE_KIT_H

#include "support/queue_kit.h"

#include "queue/store_internal.h"

#define DEADLINE_NS (20 * NS_PER_S)

struct fixture {
    struct loop *loop;
    struct store *store;
    char directory[64], path[96];
    uint32_t done;
    bool closed;
    struct loop_timer timer;
};

struct call {
    struct store_request request;
    struct arena arena;
    struct fixture *fixture;
    uint32_t order; /* of its completion, from 1 */
};

struct hold_call {
    struct store_hold hold;
    struct arena arena;
    struct fixture *fixture;
    uint32_t order;
};

static inline void on_timer(void *context, mono_ns now)
{
    (void)context;
    (void)now;
}

/* Turns the loop until *value >= at_least. */
static inline void run_until(struct fixture *f, const uint32_t *value, uint32_t at_least)
{
    mono_ns end = loop_now() + DEADLINE_NS;
    while (*value < at_least) {
        assert_true(loop_now() < end);
        loop_timer_set(f->loop, &f->timer, loop_now() + 50 * NS_PER_MS); /* wakes the poll */
        uv_run(loop_uv(f->loop), UV_RUN_ONCE);
    }
    loop_timer_clear(f->loop, &f->timer);
}

static inline void open_store(struct fixture *f)
{
    const struct store_config config = {
        .path = f->path, .region = STR(KIT_REGION), .account = STR(KIT_ACCOUNT)};
    struct error e = {.code = 0};
    assert_int_equal(store_open(f->loop, &config, &f->store, &e), 0);
    f->closed = false;
}

static inline void on_closed(void *context)
{
    struct fixture *f = context;
    f->closed = true;
}

static inline void close_store(struct fixture *f)
{
    store_close(f->store, on_closed, f);
    mono_ns end = loop_now() + DEADLINE_NS;
    while (!f->closed) {
        assert_true(loop_now() < end);
        loop_timer_set(f->loop, &f->timer, loop_now() + 50 * NS_PER_MS);
        uv_run(loop_uv(f->loop), UV_RUN_ONCE);
    }
    loop_timer_clear(f->loop, &f->timer);
    f->store = NULL;
}

static inline void on_done(void *context, struct store_request *request)
{
    struct call *call = context;
    (void)request;
    call->order = ++call->fixture->done;
}

static inline void on_hold(void *context, struct store_hold *hold)
{
    struct hold_call *call = context;
    (void)hold;
    call->order = ++call->fixture->done;
}

static inline struct call *start(struct fixture *f, enum sqs_action action, const void *input)
{
    struct call *call = MEM_NEW(struct call);
    call->fixture = f;
    arena_init(&call->arena, (size_t)16 << 20);
    call->request = (struct store_request){
        .action = action,
        .input = input,
        .endpoint = STR(KIT_ENDPOINT),
        .arena = &call->arena,
        .wall = loop_wall(),
        .done = on_done,
        .context = call,
    };
    store_submit(f->store, &call->request);
    assert_int_equal(call->order, 0); /* never before submit returned */
    return call;
}

static inline void call_free(struct call *call)
{
    arena_done(&call->arena);
    free(call);
}

static inline int run(struct fixture *f, enum sqs_action action, const void *input)
{
    struct call *call = start(f, action, input);
    run_until(f, &call->order, 1);
    int code = (int)call->request.error.code;
    call_free(call);
    return code;
}

static const struct sqs_create_queue_in create_jobs = {.queue_name = {"jobs", 4}};
static const struct str url = {"jobs", 4};

static inline struct sqs_send_message_in send_in(const char *body, int64_t delay_s)
{
    return (struct sqs_send_message_in){
        .queue_url = url,
        .entry = {.body = str_from(body), .delay_seconds = {delay_s > 0, delay_s}},
    };
}

static inline struct sqs_receive_in receive_in(int64_t wait_s)
{
    return (struct sqs_receive_in){
        .queue_url = url, .max_messages = {true, 10}, .wait_seconds = {true, wait_s}};
}

static inline uint32_t received(const struct call *call)
{
    const struct sqs_receive_out *out = call->request.output;
    assert_int_equal(call->request.error.code, 0);
    return out->messages.count;
}

static inline struct hold_call *start_hold(struct fixture *f, const char *queue, uint32_t max)
{
    struct hold_call *call = MEM_NEW(struct hold_call);
    call->fixture = f;
    arena_init(&call->arena, (size_t)16 << 20);
    call->hold = (struct store_hold){.queue = str_from(queue),
                                     .max = max,
                                     .arena = &call->arena,
                                     .done = on_hold,
                                     .context = call};
    store_hold(f->store, &call->hold);
    return call;
}

static inline void hold_free(struct hold_call *call)
{
    arena_done(&call->arena);
    free(call);
}

static inline void on_settled(void *context, struct store_settle *settle)
{
    (void)settle;
    ++*(uint32_t *)context;
}

static inline int settle(struct fixture *f, struct store_settle s)
{
    uint32_t done = 0;
    s.done = on_settled;
    s.context = &done;
    store_settle(f->store, &s);
    run_until(f, &done, 1);
    return s.error;
}

static inline int setup(void **state)
{
    struct fixture *f = MEM_NEW(struct fixture);
    f->loop = loop_new();
    f->timer.callback = on_timer;
    kit_directory(f->directory, sizeof(f->directory));
    (void)snprintf(f->path, sizeof(f->path), "%s/queue.db", f->directory);
    open_store(f);
    assert_int_equal(run(f, SQS_CREATE_QUEUE, &create_jobs), 0);
    *state = f;
    return 0;
}

static inline int teardown(void **state)
{
    struct fixture *f = *state;
    if (f->store != NULL) {
        close_store(f);
    }
    loop_stop(f->loop);
    assert_int_equal(loop_run(f->loop), 0);
    loop_free(f->loop);
    kit_remove_directory(f->directory);
    free(f);
    return 0;
}

#endif
