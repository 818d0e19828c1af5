#include "pacer.h"

/* Not stingy: timers are late by milliseconds, and a loop that was busy must not lose its share of
 * the limit for good. */
#define TOLERANCE_MIN_NS (10 * NS_PER_MS)

void pacer_init(struct pacer *pacer, int64_t interval_ns)
{
    pacer->interval_ns = interval_ns;
    pacer->tolerance_ns = interval_ns / 2 > TOLERANCE_MIN_NS ? interval_ns / 2 : TOLERANCE_MIN_NS;
    pacer->next = INT64_MIN / 2; /* long ago */
}

mono_ns pacer_at(const struct pacer *pacer)
{
    return pacer->next - pacer->tolerance_ns;
}

void pacer_take(struct pacer *pacer, uint32_t weight, mono_ns now)
{
    /* weight <= N, so weight * T is hardly more than W. */
    pacer->next = mono_add(mono_max(pacer->next, now), weight * pacer->interval_ns);
}

void pacer_return(struct pacer *pacer, uint32_t weight)
{
    pacer->next -= weight * pacer->interval_ns;
}

/* What is owed was owed at the old pace: one interval of the new one is enough. */
void pacer_resize(struct pacer *pacer, int64_t interval_ns, mono_ns now)
{
    mono_ns next = mono_min(pacer->next, mono_add(now, interval_ns));
    pacer_init(pacer, interval_ns);
    pacer->next = next;
}
