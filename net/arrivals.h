/* arrivals.h -- bounds how often connections are begun from one place (address_same_place): each costs
 * some signatures before anybody knows who it is. */
#ifndef SHOAL_NET_ARRIVALS_H
#define SHOAL_NET_ARRIVALS_H

#include "base/address.h"
#include "base/bucket.h"

#define ARRIVALS_PLACES 64

struct arrivals { /* zeroed: nobody has come */
    struct {
        struct address at;
        struct bucket bucket;
    } places[ARRIVALS_PLACES];
};

/* May one more connection begin from there? At most `burst` at once, and `rate` a second. Of more places
 * than ARRIVALS_PLACES the one that came longest ago is forgotten. */
bool arrivals_take(struct arrivals *a, const struct address *from, uint32_t burst, uint32_t rate,
                   instant now);

#endif
