/* payload.h -- how long the packets of one connection may be, in bytes of UDP payload: notices a
 * path that no longer carries long ones. Private to net/.
 *
 * ngtcp2 starts with 1200 bytes, which every path of QUIC carries, looks once for the longest
 * packets that pass (path MTU discovery), and uses these for ever. But a route may change to one
 * that carries less and tells nobody: a black hole (RFC 8899, 4.3). Routers may tell by ICMP, which
 * anybody can forge: nothing here listens to it.
 *
 *     STEADY --long packets, and no acknowledgement for a PTO---> DOUBT
 *     DOUBT  --something is acknowledged---------------------> SEARCH
 *     STEADY --long ones get lost, so does a probe, others arrive--> SEARCH
 *     SEARCH --a probe arrives, or all lengths failed----------> STEADY
 *     STEADY, not at the longest --it is time to look again----> SEARCH
 *
 * In DOUBT, and in the SEARCH after it, packets have 1200 bytes at most. That costs little when
 * nothing is wrong: the next probe ends it, a round trip later. So little is needed for it. The PTO
 * counts as a second at least.
 *
 * A probe is a packet padded to the length in question. What is acknowledged meanwhile tells a
 * black hole from a path that carries nothing at all: then there is no point in probing.
 *
 * Pure: no clock, no socket, no ngtcp2. */
#ifndef SHOAL_NET_PAYLOAD_H
#define SHOAL_NET_PAYLOAD_H

#include <stddef.h>

#include "base/instant.h"

#define PAYLOAD_BYTES_MIN 1200 /* RFC 9000, 14: or it is no path for QUIC */
#define PAYLOAD_BYTES_MAX 1452 /* fits 1500-byte Ethernet over IPv6 */

enum payload_state { PAYLOAD_STEADY, PAYLOAD_DOUBT, PAYLOAD_SEARCH };

struct payload {
    enum payload_state state;
    bool probes;     /* the peer takes them; otherwise one doubt shortens packets for good */
    size_t path;     /* what ngtcp2 found */
    size_t cap;      /* longest packet that may be sent, except for probes; SIZE_MAX: no limit */
    size_t limit;    /* SEARCH: this length and longer ones failed */
    size_t probe;    /* length of the probe under way; 0: none */
    uint16_t serial; /* of the latest probe */
    instant overdue; /* when the probe under way counts as lost */
    instant next;    /* no probe before */
    instant raise;   /* when to look for longer packets again */
    span pause;      /* from one search to the next */
    instant sent;    /* the first long packet after the latest acknowledgement; NEVER: none */
    bool alive;      /* something was acknowledged after the latest probe was sent */
    bool suspect;    /* long packets were lost after the latest probe that arrived */
    uint32_t failed; /* probes of this length, in a row */
    struct {         /* so far, as ngtcp2 counts them */
        uint64_t packets, bytes;
    } lost;
};

void payload_init(struct payload *p);

/* Before packets are written. `path`: the longest that ngtcp2 would write; `packets` and `bytes`
 * were lost so far; `pto`: the probe timeout (RFC 9002, 6.2). */
void payload_tick(struct payload *p, size_t path, uint64_t packets, uint64_t bytes, span pto,
                  instant now);

/* The length of a probe to be sent now, or 0. */
size_t payload_probe(struct payload *p, instant now);
/* Names the probe for the two functions below. */
uint32_t payload_probe_id(const struct payload *p, size_t count);
/* The result of writing it: `sent` is false when there was no room for it. */
void payload_probed(struct payload *p, size_t count, bool sent, span pto, instant now);
void payload_probe_acked(struct payload *p, uint32_t id, instant now);
void payload_probe_lost(struct payload *p, uint32_t id);

/* A packet of so many bytes was written. */
void payload_sent(struct payload *p, size_t count, instant now);
/* The peer acknowledged something that was not a probe. */
void payload_acked(struct payload *p);
/* This machine's own network device takes no packet of so many bytes: nobody forges that. */
void payload_too_long(struct payload *p, size_t count);

#endif
