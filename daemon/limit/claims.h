/*
 * claims: permission on disk to use permits of a limit that outlives the process. Private to the
 * room.
 *
 * A record on disk says how many calls are known to have arrived, and how many besides may have:
 * those under way, and those it gives permission for. A process that is killed is taken to have
 * made all of them. So no permit may be taken beyond what the latest record allows, and while one
 * is being written, beyond what either of the two does.
 */
#ifndef SLUICE_LIMIT_CLAIMS_H
#define SLUICE_LIMIT_CLAIMS_H

#include <stdbool.h>
#include <stdint.h>

struct claims {
    bool restored;               /* what an earlier process did is known */
    bool writing;                /* a record is on its way to the disk */
    uint32_t wanted;             /* permits that a call waits for; 0: none waits */
    uint64_t room, room_written; /* that may be taken: by the record in force, by the new one */
    uint64_t allowed, allowed_written; /* calls in all, by the one and the other */
    uint64_t arrived, arrived_noted;   /* since the record in force; of these, in the new one */
};

static inline bool claims_allow(const struct claims *claims, uint32_t weight)
{
    return claims->room >= weight && (!claims->writing || claims->room_written >= weight);
}

static inline void claims_take(struct claims *claims, uint32_t weight)
{
    claims->room -= weight;
    claims->room_written -= claims->writing ? weight : 0;
}

static inline void claims_refund(struct claims *claims, uint32_t weight)
{
    claims->room += weight;
    claims->room_written += claims->writing ? weight : 0;
}

static inline void claims_begin(struct claims *claims, uint64_t under_way, uint32_t units)
{
    claims->writing = true;
    claims->allowed_written = under_way + units;
    claims->room_written = units;
    claims->arrived_noted = claims->arrived;
}

static inline void claims_end(struct claims *claims, bool written)
{
    claims->writing = false;
    if (written) {
        claims->room = claims->room_written;
        claims->allowed = claims->allowed_written;
        claims->arrived -= claims->arrived_noted;
        claims->wanted = 0;
    }
}

#endif
