/* link.h -- an authenticated connection to a peer, and the messages it carries (ALPN shoal/1).
 *
 *     datagram   at most 1150 bytes, may be lost
 *     frame      a type and at most 64 KiB: reliable, in order; one stream each way for all of them
 *     parcel     one message, reliable, on its own stream: no head-of-line blocking between them
 *     request    one message and one reply, on a stream of its own
 *
 * On the wire (RFC 9000 streams): the first byte of a stream is its kind. 0x01 control, one
 * unidirectional stream each way, then frames as type u8, length u24 little-endian, body; 0x02
 * parcel, unidirectional, the message up to FIN; 0x10 request, bidirectional, each message up to
 * FIN. An unknown kind is refused by STOP_SENDING.
 *
 * Everything passed in is copied before the call returns. Every function here may be called from a
 * handler, and with a link that is gone or not up yet: it returns false then, as it does when the
 * link's queue is full. An accepted frame is delivered, or the link goes down; the result of a
 * parcel or a request is reported to its handler. */
#ifndef SHOAL_NET_LINK_H
#define SHOAL_NET_LINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/address.h"
#include "base/bytes.h"
#include "base/crypto.h"
#include "base/instant.h"
#include "base/link.h"

struct endpoint;

/* How a link ended. */
struct link_end {
    uint32_t code;                /* enum link_close, or the peer's own number */
    const char *reason;           /* a sentence, the peer's or ours; lent for the call */
    bool by_peer;                 /* the peer closed it */
    bool up;                      /* it had been up: link_up was called */
    bool welcome;                 /* link_welcome was called */
    bool dialled;                 /* by us */
    uint8_t id[CRYPTO_KEY_BYTES]; /* the peer's, or the one that was dialled */
    struct address address;
};

/* Ends a link: what was queued and not sent is lost. The link_down handler is called before the
 * loop sleeps again. */
void link_close(struct endpoint *e, link_id l, uint32_t code, const char *reason);

/* What both ends of this link know and nobody else: RFC 8446, 7.5, with the label "EXPORTER-shoal-link"
 * and no context. False for a link that is gone. */
bool link_exporter(struct endpoint *e, link_id l, uint8_t out[CRYPTO_HASH_BYTES]);

/* The peer has said who it is and is let in. Until this is called its parcels are refused, its
 * requests wait, and all it has under way is 256 KiB and 16 requests at most. */
void link_welcome(struct endpoint *e, link_id l);

/* Ends a link with CLOSE_DUPLICATE once it is quiet: no parcel or request is open on it and nothing
 * has moved for 1 s, or after 30 s. Until then it works as before. The caller chooses which of
 * several links to one peer ends, since it knows the processes at their ends. */
void link_retire(struct endpoint *e, link_id l);

/* Each returns false, having queued nothing, when the link is gone or not up, or its queue is full.
 * A datagram, frame or request longer than base/link.h allows is a bug; false for an empty datagram
 * and for a parcel (head, then body) longer than parcel_bytes_max. */
bool link_datagram(struct endpoint *e, link_id l, struct bytes payload);
bool link_frame(struct endpoint *e, link_id l, uint8_t type, struct bytes body);
bool link_parcel(struct endpoint *e, link_id l, struct bytes head, struct bytes body,
                 uint64_t ticket);
bool link_request(struct endpoint *e, link_id l, struct bytes message, uint64_t ticket);

/* Answers a request once, with the concatenated parts; `handle` as passed to the request handler.
 * False when the peer has cancelled it, or when the queue is full: then it is declined. */
bool link_reply(struct endpoint *e, link_id l, uint64_t handle, const struct bytes *parts,
                size_t count);
/* Refuses to answer: the peer's reply handler gets ok = false. */
void link_decline(struct endpoint *e, link_id l, uint64_t handle);

/* Bytes queued and not yet acknowledged by the peer; 0 for a link that is gone. */
size_t link_queued(struct endpoint *e, link_id l);

/* Calls `each` for every link on which bulk has moved since the last call: bytes of parcels and of
 * replies for which the handler `bulk` says so, acknowledged by the peer and come from it, whether
 * their message is whole or not. `each` may use any link. */
void link_flows(struct endpoint *e,
                void (*each)(void *ctx, link_id l, uint64_t sent, uint64_t received), void *ctx);

struct link_info {
    uint8_t id[CRYPTO_KEY_BYTES];
    struct address address;
    bool up, dialled;
    bool retiring;           /* link_retire was called */
    span rtt, rtt_min;       /* smoothed round trip; the shortest so far */
    uint64_t window_bytes;   /* congestion window */
    uint64_t sent, received; /* bytes of QUIC packets */
    uint64_t lost;           /* bytes of packets declared lost */
    /* Bytes acknowledged per second, over recent periods with something to send; 0: not known
     * yet. */
    double delivered_per_s;
    size_t queued; /* link_queued */
};

/* False when the link no longer exists. */
bool link_info(struct endpoint *e, link_id l, struct link_info *out);

#endif
