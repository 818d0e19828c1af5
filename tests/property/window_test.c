/*
 * I1 at the receiver: no half-open window of W ever holds more than N arrivals, counted by brute
 * force, for every N, W, demand and delay below. SLUICE_PROPERTY_SENDS: how many calls in all.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "limiter_harness.h"

#define SENDS_DEFAULT 10500000

static const uint32_t all_requests[] = {1, 2, 3, 5, 7, 100, 1000};
static const int64_t all_per_ns[] = {100 * NS_PER_MS, NS_PER_S, 60 * NS_PER_S};

/* What happens besides in the cases of a cell, in turn. The even ones are paced. */
static const uint32_t rounds[] = {
    0,
    0,
    TROUBLE_CLOCK | TROUBLE_TIMER,
    TROUBLE_UNKNOWN | TROUBLE_REFUND,
    TROUBLE_RESTART,
    TROUBLE_RESIZE,
    TROUBLE_WEIGHT | TROUBLE_UNKNOWN | TROUBLE_TIMER,
    TROUBLE_RESTART | TROUBLE_CLOCK | TROUBLE_UNKNOWN | TROUBLE_REFUND | TROUBLE_WEIGHT,
    TROUBLE_RESIZE | TROUBLE_UNKNOWN | TROUBLE_REFUND | TROUBLE_RESTART,
};

struct cell {
    uint32_t requests;
    int64_t per_ns;
    enum demand demand;
    enum delay delay;
    uint32_t number;
};

struct tally {
    uint64_t sends, violations, peak;
    double utilisation, floor; /* worst of the undisturbed cases, and what it may be */
};

static uint64_t run_seed;
static uint64_t total_sends;

/* Enough for every permit to be needed several times over. */
static uint32_t case_sends(uint32_t requests)
{
    return 4 * requests > 600 ? 4 * requests : 600;
}

static void run_case(const struct cell *cell, uint32_t round, struct tally *tally)
{
    struct outcome o;
    const struct scenario s = {
        .config = {.kind = LIMIT_WINDOW,
                   .requests = cell->requests,
                   .per_ns = cell->per_ns,
                   .max_flight_ns = NS_PER_S,
                   .pace = round % 2 == 0},
        .delay = cell->delay,
        .demand = cell->demand,
        .trouble = rounds[round % SL_COUNT(rounds)],
        .sends = case_sends(cell->requests),
        .seed = harness_mix(run_seed, cell->number, round),
    };

    scenario_run(&real_limiter, &s, &o);
    assert_int_equal(o.sends, s.sends);
    tally->sends += o.sends;
    tally->violations += o.violations;
    if ((s.trouble & TROUBLE_RESIZE) == 0 && o.peak > tally->peak) {
        tally->peak = o.peak;
    }
    if (o.violations > 0) {
        print_message("VIOLATED %" PRIu64 " times: N=%u W=%lldms round %u\n", o.violations,
                      cell->requests, (long long)(cell->per_ns / NS_PER_MS), round);
    }
    if (s.trouble == 0 && s.demand == DEMAND_SATURATED) {
        double floor = 0.97 * (double)cell->per_ns / ((double)cell->per_ns + o.mean_ack_ns);
        if (tally->floor == 0 || o.utilisation / floor < tally->utilisation / tally->floor) {
            tally->utilisation = o.utilisation;
            tally->floor = floor;
        }
    }
}

/* Returns whether the cell holds. */
static bool run_cell(const struct cell *cell, uint64_t sends)
{
    struct tally tally = {0};
    char utilisation[64] = "";

    for (uint32_t round = 0; round < SL_COUNT(rounds) || tally.sends < sends; round++) {
        run_case(cell, round, &tally);
    }
    if (tally.floor > 0) {
        (void)snprintf(utilisation, sizeof(utilisation), ", utilisation %.4f (floor %.4f)",
                       tally.utilisation, tally.floor);
    }
    bool reached = tally.peak == cell->requests;
    bool used = tally.utilisation >= tally.floor;
    print_message("N=%-4u W=%-5lldms %-9s %-8s %8" PRIu64 " sends, peak %" PRIu64 "/%u%s%s%s%s\n",
                  cell->requests, (long long)(cell->per_ns / NS_PER_MS), demand_names[cell->demand],
                  delay_names[cell->delay], tally.sends, tally.peak, cell->requests, utilisation,
                  tally.violations > 0 ? " VIOLATED" : "", reached ? "" : " NEVER REACHED",
                  used ? "" : " TOO SLOW");
    total_sends += tally.sends;
    return tally.violations == 0 && reached && used;
}

static void no_window_holds_more_than_n(void **state)
{
    const uint32_t cells =
        SL_COUNT(all_requests) * SL_COUNT(all_per_ns) * DEMAND__COUNT * DELAY__COUNT;
    const uint64_t sends = harness_number("SLUICE_PROPERTY_SENDS", SENDS_DEFAULT);
    uint32_t failed = 0;

    (void)state;
    for (uint32_t i = 0; i < cells; i++) {
        uint32_t rest = i;
        struct cell cell = {.number = i};
        cell.delay = (enum delay)(rest % DELAY__COUNT);
        rest /= DELAY__COUNT;
        cell.demand = (enum demand)(rest % DEMAND__COUNT);
        rest /= DEMAND__COUNT;
        cell.per_ns = all_per_ns[rest % SL_COUNT(all_per_ns)];
        cell.requests = all_requests[rest / SL_COUNT(all_per_ns)];
        failed += run_cell(&cell, sends / cells) ? 0 : 1;
    }
    print_message("%" PRIu64 " sends in %u cells, %u failed\n", total_sends, cells, failed);
    assert_int_equal(failed, 0);
    assert_true(total_sends >= sends / cells * cells);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(no_window_holds_more_than_n)};

    run_seed = harness_seed();
    return cmocka_run_group_tests_name("window", tests, NULL, NULL);
}
