/* crowd.h -- who makes room for the next comer: of the place that most come from (address_same_place)
 * the one that came first. So nobody loses a place to somebody who has many. */
#ifndef SHOAL_BASE_CROWD_H
#define SHOAL_BASE_CROWD_H

#include <stddef.h>

#include "base/address.h"
#include "base/instant.h"

struct crowd_one {
    const struct address *address;
    instant since;
};

/* Its index; `count` when there is nobody. `one` tells of the i-th of `count`; false: it is not in
 * the crowd. */
size_t crowd_choose(size_t count, bool (*one)(const void *ctx, size_t i, struct crowd_one *out),
                    const void *ctx);

#endif
