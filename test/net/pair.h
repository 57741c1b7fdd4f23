/* pair.h -- what the tests of net/ share: endpoints on one loop in one process, and what their
 * handlers saw. */
#ifndef SHOAL_TEST_NET_PAIR_H
#define SHOAL_TEST_NET_PAIR_H

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "net/endpoint.h"

#define SAW_MAX 512

struct saw { /* one message that came in */
    link_id link;
    uint8_t type;
    uint64_t number; /* handle, ticket */
    bool ok;
    size_t count;
    uint8_t *bytes;
};

struct node {
    struct endpoint *endpoint;
    struct identity *self;
    struct address address;
    link_id up; /* the latest that came up */
    int ups, downs, moves;
    struct link_end end; /* the latest */
    link_id down;
    char reason[256];
    struct saw frames[SAW_MAX], parcels[SAW_MAX], requests[SAW_MAX], replies[SAW_MAX],
        dones[SAW_MAX], datagrams[SAW_MAX];
    size_t frame_count, parcel_count, request_count, reply_count, done_count, datagram_count;
    int echo;     /* answers each request with itself, so many times in a row; 0: not */
    bool refuses; /* its accept handler says no */
    bool cool;    /* does not welcome whoever comes up */
    int warnings;
    int trains;
    uint64_t train_bytes; /* of the latest */
    span train_took;
};

#define PAIR_ECHO_MAX 32

#define PAIR_BULK 0x42 /* a request that begins with it has a bulk reply */

extern struct loop *loop;

static inline void saw(struct saw *list, size_t *count, struct saw what, struct bytes b)
{
    cr_assert_lt(*count, SAW_MAX);
    what.count = b.count;
    what.bytes = malloc(b.count + 1);
    if (b.count) memcpy(what.bytes, b.data, b.count);
    what.bytes[b.count] = 0;
    list[(*count)++] = what;
}

/* Opens a node with an identity of its own; `c` may be NULL. */
void node_start(struct node *n, const struct endpoint_config *c, uint8_t seed);
/* All messages that it saw, which count from 0 again. */
void node_forget(struct node *n);
void node_stop(struct node *n);
/* Opens one on loopback with the identity it has. */
void node_open(struct node *n, const struct endpoint_config *c);
link_id node_dial(struct node *n, const struct node *to);

/* The clock without the time in which the machine had no processor for us: beside other programs a
 * limit must not run out before the nodes, which are all in this thread, had their turn. */
instant own_now(void);

/* Turns the loop until `condition` or for `seconds` of own_now(). */
#define turn_until(condition, seconds)                                                             \
    do {                                                                                           \
        instant turn_end = instant_after(own_now(), span_ms((uint64_t)((seconds)*1000)));          \
        for (instant now; !(condition) && !instant_reached(now = own_now(), turn_end);)            \
            loop_turn(loop, instant_after(clock_now(), instant_since(turn_end, now)));             \
    } while (0)

/* Two nodes with a link from a to b. */
void link_pair(struct node *a, struct node *b, const struct endpoint_config *c);

/* Skips the test where loopback has no IPv6. */
void need_ipv6(void);

#endif
