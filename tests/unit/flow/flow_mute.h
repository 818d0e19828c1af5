/*
 * flow_mute: ops of a flow that ask for nothing, for tests that bring their messages themselves.
 */
#ifndef SLUICE_TESTS_FLOW_MUTE_H
#define SLUICE_TESTS_FLOW_MUTE_H

#include "unit/base/unit.h"

#include "flow/flow_internal.h"

static inline void mute_receive(void *context, struct route *route, uint32_t max)
{
    (void)context;
    (void)route;
    (void)max;
}

static inline void mute_message(void *context, struct message *message)
{
    (void)context;
    (void)message;
}

#endif
