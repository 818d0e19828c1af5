#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "sluice/base/rng.h"
#include "sluice/runtime/loop.h"

#include <stdlib.h>

#define POSTS      1000
#define TIMERS     64
#define WAKE_TURNS 100

struct fixture {
    struct loop *loop;
    struct loop_timer timer, second;
    struct loop_hook hook, other_hook;
    mono_ns due;
    int calls, other_calls, hook_calls;
    char order[16];
    size_t order_len;
};

static void setup(struct fixture *f)
{
    *f = (struct fixture){.loop = loop_new()};
}

static void run_and_free(struct fixture *f)
{
    assert_int_equal(loop_run(f->loop), 0);
    loop_free(f->loop);
}

static void on_due_stop(void *context, mono_ns now)
{
    struct fixture *f = context;
    assert_true(now >= f->due);
    f->calls++;
    loop_stop(f->loop);
}

static void test_deadline_is_never_early(void **state)
{
    (void)state;
    const int64_t after_ns[] = {0, 1, 1000, 999999, 1000000, 1000001, 3500000, 20000000};
    for (size_t i = 0; i < SL_COUNT(after_ns); i++) {
        struct fixture f;
        setup(&f);
        f.timer = (struct loop_timer){.callback = on_due_stop, .context = &f};
        f.due = loop_now() + after_ns[i];
        loop_timer_set(f.loop, &f.timer, f.due);
        run_and_free(&f);
        assert_int_equal(f.calls, 1);
    }
}

struct many {
    struct loop *loop;
    struct loop_timer timer[TIMERS];
    mono_ns due[TIMERS], last_due;
    int left;
};

struct one {
    struct many *many;
    int index;
};

static void on_one_of_many(void *context, mono_ns now)
{
    struct one *one = context;
    struct many *many = one->many;
    mono_ns due = many->due[one->index];
    assert_true(now >= due);
    assert_true(due >= many->last_due);
    many->last_due = due;
    if (--many->left == 0) {
        loop_stop(many->loop);
    }
}

static void test_many_deadlines_in_order(void **state)
{
    (void)state;
    struct many many = {.loop = loop_new(), .left = TIMERS};
    struct one ones[TIMERS];
    struct rng rng;
    rng_init(&rng, 1);
    mono_ns now = loop_now();
    for (int i = 0; i < TIMERS; i++) {
        ones[i] = (struct one){&many, i};
        many.timer[i] = (struct loop_timer){.callback = on_one_of_many, .context = &ones[i]};
        many.due[i] = now + rng_between(&rng, 0, 30 * NS_PER_MS);
        loop_timer_set(many.loop, &many.timer[i], now + NS_PER_S);
        loop_timer_set(many.loop, &many.timer[i], many.due[i]); /* moved */
    }
    assert_int_equal(loop_run(many.loop), 0);
    assert_int_equal(many.left, 0);
    loop_free(many.loop);
}

static void on_never(void *context, mono_ns now)
{
    (void)context;
    (void)now;
    fail_msg("a cleared deadline was called");
}

static void on_due_clear_other(void *context, mono_ns now)
{
    struct fixture *f = context;
    (void)now;
    f->calls++;
    loop_timer_clear(f->loop, &f->second);
    loop_timer_clear(f->loop, &f->second); /* again: nothing happens */
    loop_timer_set(f->loop, &f->timer, MONO_NEVER);
    loop_stop(f->loop);
}

static void test_clear(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f);
    mono_ns now = loop_now();
    f.timer = (struct loop_timer){.callback = on_due_clear_other, .context = &f};
    f.second = (struct loop_timer){.callback = on_never, .context = &f};
    loop_timer_set(f.loop, &f.timer, now);
    loop_timer_set(f.loop, &f.second, now);
    run_and_free(&f);
    assert_int_equal(f.calls, 1);
}

/* A deadline that sets itself to the past each time: others and the hooks still get their turn. */
static void on_greedy(void *context, mono_ns now)
{
    struct fixture *f = context;
    (void)now;
    f->calls++;
    loop_timer_set(f->loop, &f->timer, 0);
}

static void on_modest(void *context, mono_ns now)
{
    struct fixture *f = context;
    if (++f->other_calls == 3) {
        loop_timer_clear(f->loop, &f->timer);
        loop_stop(f->loop);
    } else {
        loop_timer_set(f->loop, &f->second, now);
    }
}

static void on_turn_count(void *context, mono_ns now)
{
    struct fixture *f = context;
    (void)now;
    f->hook_calls++;
}

static void test_greedy_deadline_starves_nobody(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f);
    f.timer = (struct loop_timer){.callback = on_greedy, .context = &f};
    f.second = (struct loop_timer){.callback = on_modest, .context = &f};
    f.hook = (struct loop_hook){.callback = on_turn_count, .context = &f};
    loop_hook_add(f.loop, &f.hook);
    loop_timer_set(f.loop, &f.timer, 0);
    loop_timer_set(f.loop, &f.second, 1);
    run_and_free(&f);
    assert_int_equal(f.other_calls, 3);
    assert_int_equal(f.calls, 3);
    assert_int_equal(f.hook_calls, 3);
}

static void on_hook_wake(void *context, mono_ns now)
{
    struct fixture *f = context;
    (void)now;
    if (++f->hook_calls < WAKE_TURNS) {
        loop_wake(f->loop);
        loop_wake(f->loop);
    } else {
        loop_stop(f->loop);
    }
}

static void test_wake_gives_one_more_turn_each(void **state)
{
    (void)state;
    struct fixture f;
    struct loop_stats stats;
    setup(&f);
    f.hook = (struct loop_hook){.callback = on_hook_wake, .context = &f};
    loop_hook_add(f.loop, &f.hook);
    loop_wake(f.loop);
    assert_int_equal(loop_run(f.loop), 0);
    loop_stats(f.loop, &stats);
    loop_free(f.loop);
    assert_int_equal(f.hook_calls, WAKE_TURNS);
    assert_true(stats.turns >= WAKE_TURNS);
}

static void on_hook_a(void *context, mono_ns now)
{
    struct fixture *f = context;
    (void)now;
    f->order[f->order_len++] = 'a';
    if (f->order_len == 1) {
        loop_wake(f->loop);
    } else {
        loop_hook_remove(f->loop, &f->other_hook); /* the one that would be next */
        loop_hook_remove(f->loop, &f->hook);       /* itself */
        loop_stop(f->loop);
    }
}

static void on_hook_b(void *context, mono_ns now)
{
    struct fixture *f = context;
    (void)now;
    f->order[f->order_len++] = 'b';
}

static void test_hooks_in_order_and_removed_inside(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f);
    f.hook = (struct loop_hook){.callback = on_hook_a, .context = &f};
    f.other_hook = (struct loop_hook){.callback = on_hook_b, .context = &f};
    loop_hook_add(f.loop, &f.hook);
    loop_hook_add(f.loop, &f.other_hook);
    loop_wake(f.loop);
    run_and_free(&f);
    assert_string_equal(f.order, "aba");
}

static void on_first_hook(void *context, mono_ns now)
{
    struct fixture *f = context;
    (void)now;
    f->order[f->order_len++] = 'a';
    loop_wake(f->loop);
}

static void on_last_hook(void *context, mono_ns now)
{
    struct fixture *f = context;
    (void)now;
    f->order[f->order_len++] = 'z';
    if (f->order_len >= 4) {
        loop_hook_remove(f->loop, &f->hook);
        loop_hook_remove(f->loop, &f->other_hook);
        loop_stop(f->loop);
    }
}

/* Added first and run last, and once more before the first poll, where nothing is lost either. */
static void test_last_hooks_run_after_the_others(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f);
    f.other_hook = (struct loop_hook){.callback = on_last_hook, .context = &f};
    f.hook = (struct loop_hook){.callback = on_first_hook, .context = &f};
    loop_hook_add_last(f.loop, &f.other_hook);
    loop_hook_add(f.loop, &f.hook);
    loop_wake(f.loop);
    run_and_free(&f);
    assert_string_equal(f.order, "zazaz");
}

struct post {
    struct loop_work work;
    struct poster *poster;
    int index;
};

struct poster {
    struct loop *loop;
    struct post posts[POSTS];
    uv_thread_t thread, loop_thread;
    int next;
};

static void on_posted(void *context)
{
    struct post *post = context;
    struct poster *poster = post->poster;
    uv_thread_t self = uv_thread_self();
    assert_true(uv_thread_equal(&self, &poster->loop_thread));
    assert_int_equal(post->index, poster->next);
    if (++poster->next == POSTS) {
        loop_stop(poster->loop);
    }
}

static void post_all(void *argument)
{
    struct poster *poster = argument;
    for (int i = 0; i < POSTS; i++) {
        struct post *post = &poster->posts[i];
        post->index = i;
        post->poster = poster;
        post->work = (struct loop_work){.callback = on_posted, .context = post};
        loop_post(poster->loop, &post->work);
    }
}

static void test_post_from_a_thread_in_order(void **state)
{
    (void)state;
    struct poster *poster = calloc(1, sizeof(*poster));
    poster->loop = loop_new();
    poster->loop_thread = uv_thread_self();
    assert_int_equal(uv_thread_create(&poster->thread, post_all, poster), 0);
    assert_int_equal(loop_run(poster->loop), 0);
    assert_int_equal(uv_thread_join(&poster->thread), 0);
    assert_int_equal(poster->next, POSTS);
    loop_free(poster->loop);
    free(poster);
}

/* A module that still needs a deadline after loop_stop(), before its handle closes. */
static uv_async_t module_handle;

static void on_last_deadline(void *context, mono_ns now)
{
    struct fixture *f = context;
    assert_true(now >= f->due);
    f->calls++;
    uv_close((uv_handle_t *)&module_handle, NULL);
}

static void on_first_deadline(void *context, mono_ns now)
{
    struct fixture *f = context;
    loop_stop(f->loop);
    f->due = now + 2 * NS_PER_MS;
    loop_timer_set(f->loop, &f->second, f->due);
}

static void test_deadlines_work_until_modules_are_closed(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f);
    assert_int_equal(uv_async_init(loop_uv(f.loop), &module_handle, NULL), 0);
    f.timer = (struct loop_timer){.callback = on_first_deadline, .context = &f};
    f.second = (struct loop_timer){.callback = on_last_deadline, .context = &f};
    loop_timer_set(f.loop, &f.timer, 0);
    run_and_free(&f);
    assert_int_equal(f.calls, 1);
}

static void test_a_leaked_handle_is_reported(void **state)
{
    (void)state;
    struct fixture f;
    uv_prepare_t leaked;
    setup(&f);
    assert_int_equal(uv_prepare_init(loop_uv(f.loop), &leaked), 0);
    loop_stop(f.loop);
    assert_int_equal(loop_run(f.loop), UV_EBUSY);
    /* Closed after all, for the sake of the leak checker. */
    uv_close((uv_handle_t *)&leaked, NULL);
    (void)uv_run(loop_uv(f.loop), UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(loop_uv(f.loop)), 0);
    loop_free(f.loop);
}

static void on_busy(void *context, mono_ns now)
{
    struct fixture *f = context;
    while (loop_now() < now + 5 * NS_PER_MS) {
    }
    loop_timer_set(f->loop, &f->second, loop_now() + 30 * NS_PER_MS);
}

static void test_longest_turn_counts_work_and_not_sleep(void **state)
{
    (void)state;
    struct fixture f;
    struct loop_stats stats;
    setup(&f);
    f.timer = (struct loop_timer){.callback = on_busy, .context = &f};
    f.second = (struct loop_timer){.callback = on_due_stop, .context = &f};
    loop_timer_set(f.loop, &f.timer, loop_now() + 30 * NS_PER_MS);
    mono_ns begin = loop_now();
    assert_int_equal(loop_run(f.loop), 0);
    int64_t whole_ns = loop_now() - begin;
    loop_stats(f.loop, &stats);
    loop_free(f.loop);
    assert_true(stats.longest_turn_ns >= 5 * NS_PER_MS);
    assert_true(stats.longest_turn_ns <= whole_ns - 60 * NS_PER_MS + 5 * NS_PER_MS);
}

static void test_clocks(void **state)
{
    (void)state;
    mono_ns last = loop_now();
    for (int i = 0; i < 1000; i++) {
        mono_ns now = loop_now();
        assert_true(now >= last);
        last = now;
    }
    assert_true(loop_wall() > INT64_C(1600000000000));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_deadline_is_never_early),
        cmocka_unit_test(test_many_deadlines_in_order),
        cmocka_unit_test(test_clear),
        cmocka_unit_test(test_greedy_deadline_starves_nobody),
        cmocka_unit_test(test_wake_gives_one_more_turn_each),
        cmocka_unit_test(test_hooks_in_order_and_removed_inside),
        cmocka_unit_test(test_last_hooks_run_after_the_others),
        cmocka_unit_test(test_post_from_a_thread_in_order),
        cmocka_unit_test(test_deadlines_work_until_modules_are_closed),
        cmocka_unit_test(test_a_leaked_handle_is_reported),
        cmocka_unit_test(test_longest_turn_counts_work_and_not_sleep),
        cmocka_unit_test(test_clocks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
