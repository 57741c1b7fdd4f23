/* rate.h -- how much this machine can send, measured from trains of packets.
 *
 * A train is what goes out on all links together, as it is acknowledged, while one link has large
 * messages on their way. Its rate is the line's, or less where something else was slower. It does not
 * depend on how much there is to send: whoever waits for others most of the time measures as much as
 * whoever is always busy. SPEC.md, "Averaging". */
#ifndef SHOAL_SWARM_RATE_H
#define SHOAL_SWARM_RATE_H

#include <stdint.h>

#include "base/instant.h"

#define RATE_TRAINS 64

struct rate {                   /* zeroed: nothing is known */
    uint32_t kbps[RATE_TRAINS]; /* of the latest trains */
    uint32_t count, next;
};

/* A train of so many bytes took so long. */
void rate_train(struct rate *r, uint64_t bytes, span took);

/* Kilobits per second, >= 1: what a quarter of the latest trains exceeded; `guess` before there are
 * enough of them. */
uint32_t rate_kbps(const struct rate *r, uint32_t guess);

#endif
