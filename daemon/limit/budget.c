#include "sluice/limit/budget.h"

#define EARNED_NS    (BUDGET_TOKEN_NS / 10)
#define MOST_MIN_NS  (10 * BUDGET_TOKEN_NS)
#define MOST_SECONDS 10.0
#define MOST_CALLS   1e6 /* a second: above, the bound is no bound */

void budget_init(struct budget *budget, mono_ns now)
{
    *budget = (struct budget){.balance_ns = MOST_MIN_NS, .most_ns = MOST_MIN_NS, .at = now};
}

static void give(struct budget *budget, int64_t ns)
{
    budget->balance_ns = mono_min(budget->balance_ns + ns, budget->most_ns);
}

static void pass(struct budget *budget, mono_ns now)
{
    if (now > budget->at) {
        give(budget, mono_min(now - budget->at, budget->most_ns));
        budget->at = now;
    }
}

void budget_earn(struct budget *budget, double calls_per_second, mono_ns now)
{
    double calls = calls_per_second < MOST_CALLS ? calls_per_second : MOST_CALLS;
    int64_t most_ns = (int64_t)(calls * MOST_SECONDS * (double)BUDGET_TOKEN_NS);

    pass(budget, now);
    budget->most_ns = mono_max(budget->most_ns, most_ns);
    give(budget, EARNED_NS);
}

bool budget_take(struct budget *budget, mono_ns now)
{
    pass(budget, now);
    if (budget->balance_ns < BUDGET_TOKEN_NS) {
        return false;
    }
    budget->balance_ns -= BUDGET_TOKEN_NS;
    return true;
}

mono_ns budget_at(const struct budget *budget)
{
    int64_t missing = BUDGET_TOKEN_NS - budget->balance_ns;

    return missing > 0 ? mono_add(budget->at, missing) : budget->at;
}
