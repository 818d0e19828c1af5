#include "sluice/runtime/loop.h"

#include "sluice/base/err.h"
#include "sluice/base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

/* A uv_timer longer than this is re-armed on the way: keeps the arithmetic far from its ends. */
#define SLEEP_MAX_NS (INT64_C(24) * 3600 * NS_PER_S)

/*
 * One turn of libuv: timers, idle, prepare, poll (with every I/O callback), check.
 * `prepare` looks at the first deadline and decides how long poll may sleep; `check` runs what is
 * due and then the hooks. The uv_timer only ends the sleep: its callback does nothing, because
 * libuv compares cached, truncated milliseconds and may call up to one early.
 */
struct loop {
    uv_loop_t uv;
    uv_prepare_t prepare;
    uv_check_t check;
    uv_idle_t idle; /* active: poll does not sleep */
    uv_timer_t timer;
    uv_async_t async; /* the only own handle that keeps the loop alive, until loop_stop() */

    struct heap deadlines;
    uint64_t timer_expiry_ms; /* in uv_now() time; 0: not armed */
    mono_ns round_now;        /* while due deadlines run, else INT64_MIN */

    struct list hooks, last_hooks;
    struct list_node *next_hook; /* while hooks run: survives a hook that removes another */

    uv_mutex_t posted_lock;
    struct list posted; /* under posted_lock */

    struct loop_stats stats;
    mono_ns turn_began;
    uint64_t turn_idle_ns; /* uv_metrics_idle_time() then */
    bool stopping;
};

mono_ns loop_now(void)
{
    return (mono_ns)uv_hrtime();
}

wall_ms loop_wall(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    return (wall_ms)now.tv_sec * 1000 + now.tv_nsec / NS_PER_MS;
}

/* Work done since the last sleep: the whole turn less what poll slept. */
static void measure_turn(struct loop *loop, mono_ns now)
{
    uint64_t idle_ns = uv_metrics_idle_time(&loop->uv);
    int64_t work_ns = now - loop->turn_began - (int64_t)(idle_ns - loop->turn_idle_ns);

    if (loop->stats.turns > 0 && work_ns > loop->stats.longest_turn_ns) {
        loop->stats.longest_turn_ns = work_ns;
    }
    loop->stats.turns++;
    loop->turn_began = now;
    loop->turn_idle_ns = idle_ns;
}

static void on_timer(uv_timer_t *timer)
{
    struct loop *loop = timer->data;
    loop->timer_expiry_ms = 0; /* on_check() runs the deadlines */
}

/* Poll sleeps whole milliseconds from now on, so rounding up wakes less than one late. */
static void arm_timer(struct loop *loop, mono_ns now)
{
    struct heap_node *first = heap_first(&loop->deadlines);
    if (first == NULL) {
        (void)uv_timer_stop(&loop->timer);
        loop->timer_expiry_ms = 0;
        return;
    }
    if (first->key <= now) {
        loop_wake(loop); /* a uv_timer of zero length could starve poll */
        return;
    }
    int64_t sleep_ns = first->key - now;
    if (sleep_ns > SLEEP_MAX_NS) {
        sleep_ns = SLEEP_MAX_NS;
    }
    uint64_t sleep_ms = (uint64_t)((sleep_ns + NS_PER_MS - 1) / NS_PER_MS);
    uint64_t expiry_ms = uv_now(&loop->uv) + sleep_ms;
    if (expiry_ms != loop->timer_expiry_ms) {
        (void)uv_timer_start(&loop->timer, on_timer, sleep_ms, 0);
        loop->timer_expiry_ms = expiry_ms;
    }
}

static void run_hooks(struct loop *loop, struct list *hooks)
{
    struct list_node *node = hooks->head.next;

    while (node != &hooks->head) {
        struct loop_hook *hook = LIST_ENTRY(node, struct loop_hook, node);
        loop->next_hook = node->next;
        hook->callback(hook->context, loop_now());
        node = loop->next_hook;
    }
    loop->next_hook = NULL;
}

static void on_prepare(uv_prepare_t *prepare)
{
    struct loop *loop = prepare->data;

    run_hooks(loop, &loop->last_hooks);
    mono_ns now = loop_now();
    measure_turn(loop, now);
    arm_timer(loop, now);
}

/*
 * Runs each deadline that was due and set when the round began. One set anew by a callback waits
 * for the next turn, even when it is due: nobody keeps the loop from its I/O.
 */
static void run_deadlines(struct loop *loop)
{
    uint64_t round_sequence = loop->deadlines.next_sequence;
    struct heap_node *node;

    loop->round_now = loop_now();
    while ((node = heap_first(&loop->deadlines)) != NULL && node->key <= loop->round_now &&
           node->sequence < round_sequence) {
        struct loop_timer *timer = SL_CONTAINER_OF(node, struct loop_timer, node);
        heap_remove(&loop->deadlines, node);
        timer->callback(timer->context, loop_now());
    }
    loop->round_now = INT64_MIN;
}

static void on_check(uv_check_t *check)
{
    struct loop *loop = check->data;

    /* Before the hooks: what they ask for counts for the next turn. */
    (void)uv_idle_stop(&loop->idle);
    run_deadlines(loop);
    run_hooks(loop, &loop->hooks);
}

static void on_idle(uv_idle_t *idle)
{
    (void)idle; /* being active is its work */
}

/* Runs what is posted by now, in order. False when there was nothing. */
static bool run_posted(struct loop *loop)
{
    struct list batch;
    struct list_node *node;

    list_init(&batch);
    uv_mutex_lock(&loop->posted_lock);
    while ((node = list_pop(&loop->posted)) != NULL) {
        list_push(&batch, node);
    }
    uv_mutex_unlock(&loop->posted_lock);

    bool any = batch.count > 0;
    while ((node = list_pop(&batch)) != NULL) {
        struct loop_work *work = LIST_ENTRY(node, struct loop_work, node);
        work->callback(work->context);
    }
    return any;
}

static void on_async(uv_async_t *async)
{
    (void)run_posted(async->data);
}

/* Fails only when the kernel has no descriptors or memory left. */
static void must(int result, const char *what)
{
    if (result != 0) {
        fprintf(stderr, "sluice: %s: %s\n", what, uv_strerror(result));
        abort();
    }
}

struct loop *loop_new(void)
{
    struct loop *loop = MEM_NEW(struct loop);

    must(uv_loop_init(&loop->uv), "no event loop");
    must(uv_loop_configure(&loop->uv, UV_METRICS_IDLE_TIME), "event loop");
    must(uv_mutex_init(&loop->posted_lock), "mutex");
    must(uv_async_init(&loop->uv, &loop->async, on_async), "event loop");
    must(uv_prepare_init(&loop->uv, &loop->prepare), "event loop");
    must(uv_check_init(&loop->uv, &loop->check), "event loop");
    must(uv_idle_init(&loop->uv, &loop->idle), "event loop");
    must(uv_timer_init(&loop->uv, &loop->timer), "event loop");
    loop->async.data = loop->prepare.data = loop->check.data = loop;
    loop->idle.data = loop->timer.data = loop;
    (void)uv_prepare_start(&loop->prepare, on_prepare);
    (void)uv_check_start(&loop->check, on_check);
    uv_unref((uv_handle_t *)&loop->prepare);
    uv_unref((uv_handle_t *)&loop->check);
    uv_unref((uv_handle_t *)&loop->idle);
    uv_unref((uv_handle_t *)&loop->timer);
    heap_init(&loop->deadlines);
    list_init(&loop->hooks);
    list_init(&loop->last_hooks);
    list_init(&loop->posted);
    loop->round_now = INT64_MIN;
    return loop;
}

/*
 * After loop_stop() the own handles still work, unreferenced, for as long as modules take to close
 * theirs; only then they are closed.
 */
int loop_run(struct loop *loop)
{
    do {
        (void)uv_run(&loop->uv, UV_RUN_DEFAULT);
    } while (run_posted(loop) || !loop->stopping || uv_loop_alive(&loop->uv));

    uv_close((uv_handle_t *)&loop->prepare, NULL);
    uv_close((uv_handle_t *)&loop->check, NULL);
    uv_close((uv_handle_t *)&loop->idle, NULL);
    uv_close((uv_handle_t *)&loop->timer, NULL);
    uv_close((uv_handle_t *)&loop->async, NULL);
    (void)uv_run(&loop->uv, UV_RUN_DEFAULT);
    return uv_loop_close(&loop->uv);
}

void loop_stop(struct loop *loop)
{
    loop->stopping = true;
    uv_unref((uv_handle_t *)&loop->async);
}

void loop_free(struct loop *loop)
{
    uv_mutex_destroy(&loop->posted_lock);
    heap_done(&loop->deadlines);
    free(loop);
}

uv_loop_t *loop_uv(struct loop *loop)
{
    return &loop->uv;
}

void loop_timer_set(struct loop *loop, struct loop_timer *timer, mono_ns at)
{
    if (at == MONO_NEVER) {
        heap_remove(&loop->deadlines, &timer->node);
        return;
    }
    /* An instant in the past counts as the present one, or it would hide older ones that are due.
     */
    heap_set(&loop->deadlines, &timer->node, mono_max(at, loop->round_now));
}

void loop_timer_clear(struct loop *loop, struct loop_timer *timer)
{
    heap_remove(&loop->deadlines, &timer->node);
}

void loop_hook_add(struct loop *loop, struct loop_hook *hook)
{
    hook->last = false;
    list_push(&loop->hooks, &hook->node);
}

void loop_hook_add_last(struct loop *loop, struct loop_hook *hook)
{
    hook->last = true;
    list_push(&loop->last_hooks, &hook->node);
}

void loop_hook_remove(struct loop *loop, struct loop_hook *hook)
{
    if (loop->next_hook == &hook->node) {
        loop->next_hook = hook->node.next;
    }
    list_remove(hook->last ? &loop->last_hooks : &loop->hooks, &hook->node);
}

void loop_wake(struct loop *loop)
{
    (void)uv_idle_start(&loop->idle, on_idle);
}

void loop_post(struct loop *loop, struct loop_work *work)
{
    /* The signal is sent under the lock: the last post may be what lets the loop end. */
    uv_mutex_lock(&loop->posted_lock);
    list_push(&loop->posted, &work->node);
    (void)uv_async_send(&loop->async);
    uv_mutex_unlock(&loop->posted_lock);
}

void loop_stats(const struct loop *loop, struct loop_stats *ret)
{
    *ret = loop->stats;
}
