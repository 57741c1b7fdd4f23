/* internal.h -- what endpoint.c, connection.c, farewell.c, link.c and http3.c share. Private to
 * net/.
 *
 *     endpoint    the socket, the table of connections, new ones; packets in and out
 *     connection  one QUIC connection: handshake, packets, timers, end; not what streams hold
 *     protocol    what runs on its streams: link.c or http3.c, by ALPN
 *
 *     HANDSHAKE --tls done--> OPEN --close--> CLOSING --3 PTO--> freed
 *         `-----------------------------------> DRAINING --3 PTO--> freed      (RFC 9000, 10.2)
 *
 * ngtcp2 may not be called back into while it calls us. So calls from outside only queue and mark
 * (connection_touch); packets are written and connections end in the endpoint's own job, at the end
 * of the loop's turn. */
#ifndef SHOAL_NET_INTERNAL_H
#define SHOAL_NET_INTERNAL_H

#include <ngtcp2/ngtcp2.h>
#include <ngtcp2/ngtcp2_crypto.h>

#include "cid.h"
#include "endpoint.h"
#include "http3.h"
#include "tls.h"
#include "udp.h"

#define SEND_BATCH_PACKETS 44 /* of 1452 bytes: just below the 64 KiB that one GSO send may hold */
#define PAYLOAD_BYTES_MAX  1452 /* UDP payload for an Ethernet's 1500 bytes over IPv6 */
#define REASON_BYTES       160

enum connection_state {
    CONNECTION_HANDSHAKE,
    CONNECTION_OPEN,
    CONNECTION_CLOSING,
    CONNECTION_DRAINING
};

struct connection;

/* A stretch of stream data that wants to leave. stream < 0: nothing. */
struct piece {
    int64_t stream;
    ngtcp2_vec parts[8];
    size_t part_count;
    bool fin;
    void *of; /* the protocol's own */
};

/* What runs on a connection's streams. All but end are called inside ngtcp2's callbacks or while a
 * packet is written; those that return bool end the connection when they say false, after
 * connection_doom said why. */
struct protocol {
    /* TLS is done: c->session may be made. */
    bool (*start)(struct connection *c);
    /* The peer has let us in, too. */
    bool (*up)(struct connection *c);
    /* Here and below `of` is what the protocol keeps for this stream (NULL: nothing yet). */
    bool (*data)(struct connection *c, int64_t stream, void *of, struct bytes b, bool fin);
    void (*acked)(struct connection *c, int64_t stream, void *of, uint64_t count);
    /* Both directions are over. `whole`: neither side gave up on it. */
    void (*closed)(struct connection *c, int64_t stream, void *of, bool whole, uint64_t code);
    /* The peer gave up sending, or receiving. */
    void (*reset)(struct connection *c, int64_t stream, void *of);
    void (*stopped)(struct connection *c, int64_t stream, void *of);
    void (*datagram)(struct connection *c, struct bytes b);
    /* More streams may be opened, or more data sent on this one. */
    void (*credit)(struct connection *c);
    void (*stream_credit)(struct connection *c, int64_t stream, void *of);
    /* Writing: the next datagram (empty: none) or piece of stream data; then what became of it:
     * `count` bytes were taken, or the stream takes no more now, or never (`gone`). */
    struct bytes (*next_datagram)(struct connection *c);
    void (*datagram_done)(struct connection *c);
    void (*next)(struct connection *c, struct piece *out);
    void (*took)(struct connection *c, struct piece *p, size_t count);
    void (*blocked)(struct connection *c, struct piece *p, bool gone);
    /* It is over. Frees c->session. Handlers may be called. */
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
    const struct protocol *protocol; /* of a dialled one from the start, else once ALPN is known */
    void *session;
    struct call *call; /* http3.c's, of one we dialled */
    link_id id;        /* of its slot; LINK_NONE once it ended */
    bool dialled, up, retiring;
    /* From where packets leave: of one that came to us the address that it was sent to, of a
     * dialled one whatever the kernel chooses ("any" on a wildcard), so that the link outlives a
     * change of this host's address. */
    union udp_name local;
    struct address remote;
    instant heard; /* the latest packet that was the peer's */
    /* Since then the network says that nobody listens there; not later than `heard`: it does not
     * say so. */
    instant refused;
    struct cid_entry *cids, *tokens; /* its own in the endpoint's two maps */
    struct loop_timer timer;
    struct connection *dirty_next; /* in the endpoint's list of those with something to do */
    bool dirty;
    bool doomed; /* ends for this reason at the end of the turn */
    uint32_t doom_code;
    char doom_reason[REASON_BYTES];
    /* CLOSING: the packet that answers further ones, ever more rarely (RFC 9000, 10.2.1). */
    uint8_t *farewell;
    size_t farewell_count;
    uint32_t farewell_heard, farewell_next;
    struct connection *closing_next; /* in the endpoint's list of ended ones */
    struct { /* delivery rate: acknowledged bytes over busy stretches of time */
        uint64_t acked;
        instant since;
        double per_s;
    } rate;
    uint64_t sent, received; /* UDP payload */
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
    size_t slot_count, slot_next; /* links_max; where to look for a free one first */
    struct connection *dirty, **dirty_end;
    struct connection *closing; /* ended, waiting out 3 PTO */
    size_t closing_count;
    uint8_t reset_secret[CRYPTO_HASH_BYTES], token_secret[CRYPTO_HASH_BYTES];
    instant second; /* start of the second that the next two count in */
    uint32_t handshakes_now, resets_now;
    bool send_blocked; /* the batch below waits for room in the socket */
    struct {
        union udp_name from, to;
        size_t count, segment;
    } waiting;
    struct endpoint_counters counters;
    struct {
        http3_handler *handler;
        void *ctx;
    } http3;
    bool ending; /* endpoint_close: no handler is called any more */
    uint8_t in[65536], out[65536];
};

/* endpoint.c */
/* Sends the first `count` bytes of e->out, in datagrams of `segment` bytes; what the socket cannot
 * take now waits there. */
void endpoint_send(struct endpoint *e, struct connection *c, const ngtcp2_path *path, size_t count,
                   size_t segment);
/* NULL for one that is gone. */
struct connection *endpoint_connection(struct endpoint *e, link_id l);
/* One line for the warn handler. */
void endpoint_warn(struct endpoint *e, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Takes a connection out of the table and the list of those with something to do. */
void endpoint_release(struct endpoint *e, struct connection *c);
/* Releases an ended one and frees it after `rest`. */
void endpoint_retire(struct endpoint *e, struct connection *c, span rest);
/* A slot of the table, or LINK_NONE. */
link_id endpoint_slot(struct endpoint *e, struct connection *c);

/* connection.c */
/* NULL with a reason, like endpoint_dial. `pinned`: only this key will do; NULL: any. */
struct connection *connection_dial(struct endpoint *e, const uint8_t *pinned,
                                   const struct address *to, const struct protocol *p,
                                   struct why *w);
/* A connection for a client's first packet, which connection_read gets next; `odcid` is not NULL
 * when the client came back after a Retry. NULL without room or memory. */
struct connection *connection_accept(struct endpoint *e, const ngtcp2_pkt_hd *hd,
                                     const ngtcp2_cid *odcid, const ngtcp2_path *path, instant now);
/* Takes one packet that came; it may end the connection. */
void connection_read(struct connection *c, const ngtcp2_path *path, struct bytes packet,
                     instant now);
/* Writes what may leave now. True when there may be more. */
bool connection_write(struct connection *c, instant now);
/* There is something to write, or to end. */
void connection_touch(struct connection *c);
/* Ends it at the end of this turn. The first reason stays. */
void connection_doom(struct connection *c, uint32_t code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void connection_free(struct connection *c);

/* farewell.c */
/* Ends a doomed one now: tells the peer where there is something to tell, and the protocol. Not
 * inside ngtcp2's callbacks. */
void connection_end(struct connection *c, instant now);
/* The same after ngtcp2 returned this error: the reason is the peer's, of TLS, or the error's. */
void connection_finish_by_error(struct connection *c, int error, instant now);
/* The network says that nobody listens where the peer was: ends the connection when it still does
 * after some time. */
void connection_refused(struct connection *c, instant now);
/* A packet came for one that ended: repeats its farewell, for each doubling of packets heard
 * once. */
void connection_answer_late(struct connection *c);

#endif
