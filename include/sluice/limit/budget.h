/*
 * budget: how many calls may repeat failed ones.
 *
 * Every success earns a tenth of a token, every repetition costs one, and one is given for every
 * 10 s that pass, so that an API that never succeeds at first is not left alone. At most
 * max(10, 10 s of calls) tokens are kept; 10 are there at the start. After gRPC's retry throttling
 * and Finagle's budget. A token is counted as the 10 s it takes to be given: integers only.
 * Pure, one thread, open struct to embed.
 */
#ifndef SLUICE_LIMIT_BUDGET_H
#define SLUICE_LIMIT_BUDGET_H

#include "sluice/base/clock.h"

#include <stdbool.h>

#define BUDGET_TOKEN_NS (10 * NS_PER_S)

struct budget {
    int64_t balance_ns; /* BUDGET_TOKEN_NS a token */
    int64_t most_ns;
    mono_ns at; /* given up to then */
};

void budget_init(struct budget *budget, mono_ns now);
/* A call succeeded; calls_per_second: the pace of its route, 0 when it has none. */
void budget_earn(struct budget *budget, double calls_per_second, mono_ns now);
/* Takes a token; false: there is none. */
bool budget_take(struct budget *budget, mono_ns now);
/* When there is one if nothing succeeds meanwhile. */
mono_ns budget_at(const struct budget *budget);

#endif
