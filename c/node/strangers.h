/* strangers.h -- what those cost that are no members: counted by net/, shown by `shoal status`, and
 * said in the log at most once a minute however many they are. */
#ifndef SHOAL_NODE_STRANGERS_H
#define SHOAL_NODE_STRANGERS_H

#include "base/event_log.h"
#include "net/endpoint.h"

/* Since the endpoint was opened; the names are those of docs/events.md. */
#define STRANGERS_COUNTS 7
struct strangers_count {
    const char *name;
    uint64_t value;
};
void strangers_counts(const struct endpoint_counters *n,
                      struct strangers_count out[STRANGERS_COUNTS]);

struct strangers { /* zeroed at first */
    uint64_t told; /* sum of what was counted then */
    instant again; /* nothing is said before */
};

/* The event "strangers", if anything has been counted since the latest one. Call it each second. */
void strangers_tell(struct strangers *s, const struct endpoint_counters *n, instant now,
                    struct event_log *j);

#endif
