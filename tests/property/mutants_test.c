/*
 * The property tests must be able to see what is wrong: every known-wrong limiter is caught by the
 * cell that is meant for its fault, and passes, where it can, the same cell without that trouble.
 * The real limiter, and the control, pass every cell.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "mutants.h"

#define SEEDS 12

static uint64_t run_seed;

#define WINDOW(n)                                                                                  \
    {                                                                                              \
        .kind = LIMIT_WINDOW, .requests = (n), .per_ns = NS_PER_S, .max_flight_ns = NS_PER_S       \
    }
#define BUCKET(n, depth)                                                                           \
    {                                                                                              \
        .kind = LIMIT_BUCKET, .requests = (n), .per_ns = NS_PER_S, .burst = (depth),               \
        .max_flight_ns = NS_PER_S                                                                  \
    }
#define CELL(text, limit, demand_, delay_, trouble_)                                               \
    {                                                                                              \
        .name = (text), .config = limit, .demand = (demand_), .delay = (delay_),                   \
        .trouble = (trouble_), .sends = 600                                                        \
    }

static const struct scenario cells[] = {
    CELL("5/s saturated", WINDOW(5), DEMAND_SATURATED, DELAY_NONE, 0),
    CELL("5/s on/off", WINDOW(5), DEMAND_ON_OFF, DELAY_NONE, 0),
    CELL("7/s saturated", WINDOW(7), DEMAND_SATURATED, DELAY_NONE, 0),
    CELL("5/s U(0,5ms)", WINDOW(5), DEMAND_SATURATED, DELAY_UNIFORM, 0),
    CELL("5/s on/off exp(5ms)", WINDOW(5), DEMAND_ON_OFF, DELAY_EXPONENTIAL, 0),
    CELL("5/s 1%x200ms", WINDOW(5), DEMAND_SATURATED, DELAY_SPIKES, 0),
    CELL("5/s old clock", WINDOW(5), DEMAND_SATURATED, DELAY_NONE, TROUBLE_CLOCK),
    CELL("5/s restarts", WINDOW(5), DEMAND_SATURATED, DELAY_UNIFORM, TROUBLE_RESTART),
    CELL("5/s resizes", WINDOW(5), DEMAND_SATURATED, DELAY_UNIFORM, TROUBLE_RESIZE),
    CELL("5/s unknown outcomes", WINDOW(5), DEMAND_SATURATED, DELAY_NONE, TROUBLE_UNKNOWN),
    CELL("5/s refunds", WINDOW(5), DEMAND_SATURATED, DELAY_NONE, TROUBLE_REFUND),
    CELL("bucket 5/s depth 10", BUCKET(5, 10), DEMAND_SATURATED, DELAY_NONE, 0),
    CELL("bucket 5/s depth 1 exp(5ms)", BUCKET(5, 1), DEMAND_SATURATED, DELAY_EXPONENTIAL, 0),
    CELL("bucket 5/s depth 10 resizes", BUCKET(5, 10), DEMAND_SATURATED, DELAY_NONE,
         TROUBLE_RESIZE),
    CELL("bucket 5/s depth 10 unknown", BUCKET(5, 10), DEMAND_ON_OFF, DELAY_UNIFORM,
         TROUBLE_UNKNOWN | TROUBLE_RESTART),
};

struct mutant {
    struct limiter_ops ops;
    const char *caught_by; /* cell */
    const char *passes;    /* the like without the trouble, or NULL: wrong from the start */
};

static const struct mutant mutants[] = {
    {TOY_OTHER("rate N/W and burst N", create_rate_and_burst, tokens_check, tokens_take),
     "5/s saturated", NULL},
    {TOY_OTHER("fixed window", create_fixed_window, fixed_check, fixed_take), "5/s on/off",
     "5/s saturated"},
    {TOY_PERMITS("log of send times", create_send_time_log), "5/s U(0,5ms)", "5/s on/off"},
    {TOY_OTHER("interval rounded down", create_rounded_down, interval_check, interval_take),
     "7/s saturated", "5/s saturated"},
    {TOY_OTHER("time going backwards re-credits", create_recredits, tokens_check, tokens_take),
     "5/s old clock", "5/s saturated"},
    {TOY_PERMITS("no cold hold", create_no_cold_hold), "5/s restarts", "5/s U(0,5ms)"},
    {TOY_PERMITS("cold hold without max_flight", create_cold_without_flight), "5/s restarts",
     "5/s U(0,5ms)"},
    {TOY_PERMITS("reset on reload", create_reset_on_reload), "5/s resizes", "5/s U(0,5ms)"},
    {TOY_PERMITS("hold one tick short", create_tick_short), "5/s saturated", NULL},
    {TOY_PERMITS("unknown outcome frees at once", create_unknown_is_over), "5/s unknown outcomes",
     "5/s saturated"},
    {TOY_PERMITS("unknown outcome counts at reset", create_unknown_is_arrived),
     "5/s unknown outcomes", "5/s saturated"},
    {TOY_PERMITS("refund frees another", create_refund_of_another), "5/s refunds", "5/s saturated"},
    {TOY_BUCKET("bucket starts full", create_bucket_full), "bucket 5/s depth 10", NULL},
    {TOY_BUCKET("bucket charged when sent", create_bucket_at_send), "bucket 5/s depth 1 exp(5ms)",
     "bucket 5/s depth 10"},
    {TOY_BUCKET("bucket filled by a reload", create_bucket_reload), "bucket 5/s depth 10 resizes",
     "bucket 5/s depth 10"},
};

static const struct limiter_ops control_window = TOY_PERMITS("control", create_control);
static const struct limiter_ops control_bucket = TOY_BUCKET("control", create_control);

/* Violations in the cell; *o: of the first seed that shows one, else of the last. */
static uint64_t try_cell(const struct limiter_ops *ops, const struct scenario *cell,
                         struct outcome *o)
{
    for (uint64_t i = 0; i < SEEDS; i++) {
        struct scenario s = *cell;
        s.seed = harness_mix(run_seed, (uint64_t)(cell - cells), i);
        s.config.pace = i % 2 == 0;
        scenario_run(ops, &s, o);
        if (o->violations > 0) {
            return o->violations;
        }
    }
    return 0;
}

static const struct scenario *cell_named(const char *name)
{
    for (size_t i = 0; i < SL_COUNT(cells); i++) {
        if (strcmp(cells[i].name, name) == 0) {
            return &cells[i];
        }
    }
    fail_msg("no cell %s", name);
    return NULL;
}

static void every_mutant_is_caught(void **state)
{
    struct outcome o;

    (void)state;
    for (size_t i = 0; i < SL_COUNT(mutants); i++) {
        const struct mutant *mutant = &mutants[i];
        const struct scenario *cell = cell_named(mutant->caught_by);
        uint64_t violations = try_cell(&mutant->ops, cell, &o);
        if (violations == 0) {
            fail_msg("%s passes the cell %s", mutant->ops.name, cell->name);
        }
        if (cell->config.kind == LIMIT_BUCKET) {
            print_message("%-32s caught by %s: the bucket at %.2f\n", mutant->ops.name, cell->name,
                          o.lowest);
        } else {
            print_message("%-32s caught by %s: %" PRIu64 " in a window, %" PRIu64 " times\n",
                          mutant->ops.name, cell->name, o.peak, violations);
        }
    }
}

/* So that each was caught for its own fault, and not for one that the toy has besides. */
static void every_mutant_is_caught_for_its_fault(void **state)
{
    struct outcome o;

    (void)state;
    for (size_t i = 0; i < SL_COUNT(mutants); i++) {
        const struct mutant *mutant = &mutants[i];
        if (mutant->passes != NULL && try_cell(&mutant->ops, cell_named(mutant->passes), &o) != 0) {
            fail_msg("%s is caught by %s too", mutant->ops.name, mutant->passes);
        }
    }
}

static void passes_every_cell(const struct limiter_ops *window, const struct limiter_ops *bucket)
{
    struct outcome o;

    for (size_t i = 0; i < SL_COUNT(cells); i++) {
        const struct limiter_ops *ops = cells[i].config.kind == LIMIT_BUCKET ? bucket : window;
        if (try_cell(ops, &cells[i], &o) != 0) {
            fail_msg("%s fails the cell %s: peak %" PRIu64 ", lowest %.3f", ops->name,
                     cells[i].name, o.peak, o.lowest);
        }
        assert_int_equal(o.sends, cells[i].sends);
    }
}

static void the_real_limiter_passes(void **state)
{
    (void)state;
    passes_every_cell(&real_limiter, &real_limiter);
}

static void the_control_passes(void **state)
{
    (void)state;
    passes_every_cell(&control_window, &control_bucket);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_mutant_is_caught),
        cmocka_unit_test(every_mutant_is_caught_for_its_fault),
        cmocka_unit_test(the_real_limiter_passes),
        cmocka_unit_test(the_control_passes),
    };

    run_seed = harness_seed();
    return cmocka_run_group_tests_name("mutants", tests, NULL, NULL);
}
