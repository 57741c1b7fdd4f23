/* internal.h -- what endpoint.c, send.c, connection.c, write.c, farewell.c, link.c and http3.c
 * share. Private to net/.
 *
 *     endpoint    the socket, the table of connections, accepting; packets in and out
 *     connection  one QUIC connection: handshake, packets, timers, end; not stream contents
 *     protocol    the user of its streams: link.c or http3.c, by ALPN
 *
 *     HANDSHAKE --tls done--> OPEN --close--> CLOSING --3 PTO--> freed
 *         `-----------------------------------> DRAINING --3 PTO--> freed      (RFC 9000, 10.2)
 *
 * ngtcp2 must not be called from inside its callbacks. So calls from outside only queue and mark
 * (connection_touch); packets are written, and connections ended, in the endpoint's own job at the
 * end of the loop's turn. */
#ifndef SHOAL_NET_INTERNAL_H
#define SHOAL_NET_INTERNAL_H

#include <ngtcp2/ngtcp2.h>
#include <ngtcp2/ngtcp2_crypto.h>

#include "arrivals.h"
#include "cid.h"
#include "endpoint.h"
#include "http3.h"
#include "payload.h"
#include "tls.h"
#include "udp.h"

#define SEND_BATCH_PACKETS 44 /* of 1452 bytes: just below the 64 KiB that one GSO send may hold */
#define REASON_BYTES       160
/* Requests that a peer may have under way before it is welcome; of HTTP/3 all. */
#define STRANGER_STREAMS_BIDI 16
#define CLOSE_H3_LOAD         0x107 /* H3_EXCESSIVE_LOAD (RFC 9114, 8.1) */

enum connection_state {
    CONNECTION_HANDSHAKE,
    CONNECTION_OPEN,
    CONNECTION_CLOSING,
    CONNECTION_DRAINING
};

struct connection;

/* A piece of stream data ready to be sent. stream < 0: nothing. */
struct piece {
    int64_t stream;
    ngtcp2_vec parts[8];
    size_t part_count;
    bool fin;
    void *of; /* the protocol's state of the stream */
};

/* What runs on a connection's streams. All except `end` are called inside ngtcp2's callbacks or
 * while a packet is written. A callback that returns false ends the connection; it has given the
 * reason by connection_doom. */
struct protocol {
    /* TLS is done: c->session may be created. */
    bool (*start)(struct connection *c);
    /* The peer has accepted us, too. */
    bool (*up)(struct connection *c);
    /* Here and below `of` is what the protocol keeps for this stream (NULL: nothing yet). */
    bool (*data)(struct connection *c, int64_t stream, void *of, struct bytes b, bool fin);
    void (*acked)(struct connection *c, int64_t stream, void *of, uint64_t count);
    /* Both directions are closed. `whole`: neither side aborted it. */
    void (*closed)(struct connection *c, int64_t stream, void *of, bool whole, uint64_t code);
    /* The peer aborted sending, or receiving. */
    void (*reset)(struct connection *c, int64_t stream, void *of);
    void (*stopped)(struct connection *c, int64_t stream, void *of);
    void (*datagram)(struct connection *c, struct bytes b);
    /* More streams may be opened, or more data sent on this one. */
    void (*credit)(struct connection *c);
    void (*stream_credit)(struct connection *c, int64_t stream, void *of);
    /* Sending: the next datagram (empty: none) or piece of stream data, and then its result:
     * `count` bytes were accepted, or the stream is blocked, or closed (`gone`). */
    struct bytes (*next_datagram)(struct connection *c);
    void (*datagram_done)(struct connection *c);
    void (*next)(struct connection *c, struct piece *out);
    void (*took)(struct connection *c, struct piece *p, size_t count);
    void (*blocked)(struct connection *c, struct piece *p, bool gone);
    /* The connection is over. Frees c->session. Handlers may be called. */
    void (*end)(struct connection *c, const struct link_end *end);
};

extern const struct protocol link_protocol, http3_protocol;

struct connection {
    struct endpoint *endpoint;
    enum connection_state state;
    ngtcp2_conn *quic;
    WOLFSSL *tls;
    ngtcp2_crypto_conn_ref ref;
    struct tls_peer peer;
    uint8_t exporter[CRYPTO_HASH_BYTES];
    const struct protocol *protocol; /* of a dialled one from the start, else once ALPN is known */
    void *session;
    struct call *call; /* http3.c's, of a connection we dialled */
    link_id id;        /* of its slot; LINK_NONE once it ended */
    bool dialled, up, retiring;
    bool welcome; /* may send more than a stranger */
    /* The local address of outgoing packets. Accepted: the address that the first packet was sent
     * to. Dialled: the kernel's choice ("any" on a wildcard), so that the link survives a change of
     * this host's address. */
    union udp_name local;
    struct address remote;
    instant began;
    instant heard; /* the latest authenticated packet */
    /* Since when the network reports that nobody listens there; not later than `heard`: it does
     * not. */
    instant refused;
    struct cid_entry *cids, *tokens; /* its entries in the endpoint's two maps */
    struct loop_timer timer;
    struct connection *dirty_next; /* in the endpoint's list of those with something to do */
    bool dirty;
    bool doomed; /* to be ended at the end of the turn, for this reason */
    uint32_t doom_code;
    char doom_reason[REASON_BYTES];
    /* CLOSING: the packet that answers further ones, whenever their number has doubled (RFC 9000,
     * 10.2.1). */
    uint8_t *farewell;
    size_t farewell_count;
    uint32_t farewell_heard, farewell_next;
    struct connection *closing_next; /* in the endpoint's list of ended connections */
    struct { /* delivery rate: acknowledged bytes over periods with data to send */
        uint64_t acked;
        instant since;
        double per_s;
    } rate;
    uint64_t sent, received; /* UDP payload */
    struct payload payload;  /* how long its packets may be */
    instant gso_again;       /* its path refused GSO: not tried before */
    /* What its path's device had no room for; NULL: nothing. */
    struct held {
        union udp_name from, to;
        size_t count, segment;
        uint32_t tries;
        uint8_t bytes[];
    } * held;
    struct loop_timer held_timer;
};

struct slot {
    struct connection *connection;
    uint32_t generation; /* of the link it holds or will hold next */
};

struct endpoint {
    struct loop *loop;
    struct endpoint_config config;
    struct identity *self;
    struct endpoint_handlers handlers;
    struct tls tls;
    struct udp udp;
    struct loop_socket socket;
    struct loop_job job;
    struct cid_map cids;
    struct cid_map tokens; /* of stateless resets that peers may send */
    struct slot *slots;
    size_t slot_count, slot_next; /* links_max; where the search for a free slot starts */
    struct connection *dirty, **dirty_end;
    struct connection *closing; /* ended, waiting for 3 PTO */
    size_t closing_count;
    uint8_t reset_secret[CRYPTO_HASH_BYTES], token_secret[CRYPTO_HASH_BYTES];
    instant second; /* start of the second that the next two counters cover */
    uint32_t handshakes_now, resets_now, vain_now;
    struct loop_timer hear_again; /* set: too many complaints by ICMP were about nobody */
    struct arrivals arrivals;
    bool send_blocked; /* the batch below waits until the socket accepts it */
    struct {
        union udp_name from, to;
        size_t count, segment;
        link_id link; /* of the connection that wrote it, or LINK_NONE */
    } waiting;
    bool warned_gso;
    struct endpoint_counters counters;
    uint64_t bulk_sent; /* as in link_flows, on all links */
    struct {
        http3_handler *handler;
        void *ctx;
    } http3;
    bool ending; /* endpoint_close: no more handlers are called */
    uint8_t in[65536], out[65536];
};

/* send.c */
/* Sends the first `count` bytes of e->out, in datagrams of `segment` bytes. What the socket does
 * not accept now waits there, and e->send_blocked is set; what the device does not accept now waits
 * with the connection, which writes no more until it has left, or is lost where that is NULL. */
void endpoint_send(struct endpoint *e, struct connection *c, const ngtcp2_path *path, size_t count,
                   size_t segment);
/* The socket takes packets again: sends what waits in e->out. */
void endpoint_writable(struct endpoint *e);
/* Drops what waits with this connection. */
void endpoint_unhold(struct connection *c);

/* endpoint.c */
/* NULL when it no longer exists. */
struct connection *endpoint_connection(struct endpoint *e, link_id l);
/* One line for the warn handler. */
void endpoint_warn(struct endpoint *e, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Removes a connection from the table and from the list of those with work. */
void endpoint_release(struct endpoint *e, struct connection *c);
/* Releases an ended connection and frees it after `rest`. */
void endpoint_retire(struct endpoint *e, struct connection *c, span rest);
/* A client's first packet from which ngtcp2 makes no connection before its address is proven. */
void endpoint_ask_back(struct endpoint *e, const ngtcp2_path *path, struct bytes packet,
                       instant now);
/* One more connection is about to read by HTTP/3: there is a bound on them. */
void endpoint_make_room_to_read(struct endpoint *e);
/* A slot of the table, or LINK_NONE. */
link_id endpoint_slot(struct endpoint *e, struct connection *c);

/* connection.c */
/* NULL with a reason, like endpoint_dial_within. `pinned`: only this key is accepted; NULL: any. */
struct connection *connection_dial(struct endpoint *e, const uint8_t *pinned,
                                   const struct address *to, const struct protocol *p,
                                   span patience, struct why *w);
/* A connection for a client's first packet, which is passed to connection_read next; `odcid` is not
 * NULL when the client came back after a Retry. NULL without a free slot or memory. */
struct connection *connection_accept(struct endpoint *e, const ngtcp2_pkt_hd *hd,
                                     const ngtcp2_cid *odcid, const ngtcp2_path *path, instant now);
/* Handles one received packet, which may end the connection. */
void connection_read(struct connection *c, const ngtcp2_path *path, struct bytes packet,
                     instant now);
/* Marks it: there is something to write, or to end. */
void connection_touch(struct connection *c);
/* Ends it at the end of this turn. The first reason is kept. */
void connection_doom(struct connection *c, uint32_t code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Lets it send as much as the configuration says. May be called inside ngtcp2's callbacks. */
void connection_welcome(struct connection *c);
void connection_free(struct connection *c);

/* write.c */
/* Sends what may leave now. True when there may be more. */
bool connection_write(struct connection *c, instant now);
span connection_pto(const struct connection *c); /* the probe timeout (RFC 9002, 6.2) */

/* farewell.c */
/* Ends a doomed connection now; tells the peer, if it can still be told, and the protocol. Not
 * inside ngtcp2's callbacks. */
void connection_end(struct connection *c, instant now);
/* The same after ngtcp2 returned this error: the reason is the peer's, a TLS alert, or the
 * error's. */
void connection_finish_by_error(struct connection *c, int error, instant now);
/* The network reports that nobody listens at the peer's address: ends the connection if that
 * persists. */
void connection_refused(struct connection *c, instant now);
/* A packet arrived for an ended connection: repeats its farewell each time the number of such
 * packets has doubled. */
void connection_answer_late(struct connection *c);

#endif
