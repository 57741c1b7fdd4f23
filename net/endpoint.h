/* endpoint.h -- one UDP socket that speaks QUIC with many peers at once, as client and as server.
 *
 *     dialled   HANDSHAKE --the peer confirms, its key is right------> UP --close, silence--> DOWN
 *     accepted  HANDSHAKE --its key is proven, accept() is true------> UP
 *
 * TLS 1.3. Connections with ALPN shoal/1 are links (link.h): both sides show a self-signed Ed25519
 * certificate, and a peer's key is its ID. Connections with ALPN h3 are HTTP/3 (http3.h): the
 * client shows no certificate.
 *
 * Promises: a link is reported up only when both sides have proven their keys, down exactly once
 * after that, and every dial ends in up or down. Two nodes that dial each other at once get both
 * connections; the user says which of them ends (link_retire). What a peer may make us hold is
 * bounded: window_bytes a link for what it sends, queue_bytes_max for what we queue.
 *
 * One thread: everything here is called on the loop's thread, handlers too, and any of them may
 * call any function here except endpoint_close. */
#ifndef SHOAL_NET_ENDPOINT_H
#define SHOAL_NET_ENDPOINT_H

#include "base/err.h"
#include "identity.h"
#include "link.h"
#include "loop.h"

struct endpoint_config {
    /* "host:port"; port 0: one the system chooses. 0.0.0.0, [::] and * are every address of the
     * host, of IPv4 and of IPv6 where the kernel has it; any other host is of one family, and so
     * are the peers that can be dialled. */
    const char *listen;
    bool bbr;            /* congestion control; else CUBIC */
    bool gso, gro;       /* segmentation offload: the kernel cuts and joins datagrams */
    size_t socket_bytes; /* asked for each of the socket's two buffers */
    span idle;           /* silence after which a connection is dead */
    span keep_alive;     /* silence after which the side that dialled speaks up; 0: never */
    span handshake;      /* a connection must be up within it */
    /* Connections at once, handshakes and HTTP/3 counted, <= 4000; the last quarter only for those
     * we dial. */
    uint32_t links_max;
    size_t parcel_bytes_max; /* longer ones are refused by STOP_SENDING; <= window_bytes / 2 */
    size_t reply_bytes_max;  /* the same */
    size_t window_bytes;     /* bytes received and not yet handed on, per link */
    size_t queue_bytes_max;  /* queued and unacknowledged, per link; frames may have 4 MiB more */
    /* New connections per second above which a client must prove its address. */
    uint32_t retry_above;
    /* Beyond that, connections of one place (address_same_place) at once, and a second. */
    uint32_t place_burst, place_rate;
    const char *alpn; /* of links; tests may set another than shoal/1 */
};

/* Defaults: BBR, GSO and GRO on, 4 MiB of socket buffers, 30 s idle, 10 s keep-alive, 10 s
 * handshake, 128 links, parcels and replies up to 2 MiB, 32 MiB windows, 64 MiB queues, Retry above
 * 8/s, then 32 at once and 4/s of a place. */
struct endpoint_config endpoint_defaults(const char *listen);

/* Handlers get `ctx` first. All bytes are lent for the call. Each may be NULL. */
struct endpoint_handlers {
    void *ctx;
    /* Is a peer that has proven this key accepted? Otherwise `reason` (a sentence) goes to it. */
    bool (*accept)(void *ctx, const uint8_t id[CRYPTO_KEY_BYTES], bool dialled, char reason[128]);
    void (*link_up)(void *ctx, link_id l, const uint8_t id[CRYPTO_KEY_BYTES],
                    const struct address *remote, bool dialled);
    /* The peer's packets now come from another address, and it has proven that it is there. */
    void (*link_moved)(void *ctx, link_id l, const struct address *remote);
    /* Afterwards the handle is invalid. Open parcels and requests have been reported as failed just
     * before. */
    void (*link_down)(void *ctx, link_id l, const struct link_end *end);
    void (*datagram)(void *ctx, link_id l, struct bytes payload);
    void (*frame)(void *ctx, link_id l, uint8_t type, struct bytes body);
    void (*parcel)(void *ctx, link_id l, struct bytes message);
    /* The result of a link_parcel. ok: the peer's QUIC has acknowledged all of it; the peer may
     * still refuse the last bytes of a parcel after that. */
    void (*parcel_done)(void *ctx, link_id l, uint64_t ticket, bool ok);
    /* Answer it by link_reply or link_decline, with this handle, now or later. */
    void (*request)(void *ctx, link_id l, uint64_t handle, struct bytes message);
    /* Is the reply to this request bulk, which link_flows counts? NULL: no reply is. */
    bool (*bulk)(struct bytes request);
    /* 64 KiB of bulk or more in 50 ms or more, or 1 MiB, were acknowledged, in messages of one link
     * that followed each other closely: bytes of bulk that all links sent meanwhile, and that
     * time, from after the first packets to the last. */
    void (*train)(void *ctx, uint64_t count, span took);
    /* The result of a link_request. Not ok: there is no reply, and `message` is empty. */
    void (*reply)(void *ctx, link_id l, uint64_t ticket, bool ok, struct bytes message);
    /* Something an operator wants to know, once each: a clamped buffer, GSO that the device cannot
     * do. */
    void (*warn)(void *ctx, const char *text);
};

/* Opens the socket and starts to listen. Loop and identity must outlive the endpoint; configuration
 * and handlers are copied. ERR_USAGE for an address that cannot be read, or limits that contradict
 * each other; ERR_NETWORK when the socket cannot be opened, or a host name has no address; ERR_IO,
 * ERR_MEMORY. */
enum err endpoint_open(struct loop *l, const struct endpoint_config *c, struct identity *self,
                       const struct endpoint_handlers *h, struct endpoint **out, struct why *w);

/* Says goodbye to all (CLOSE_LEAVING), calls no handler, frees everything. NULL is fine. */
void endpoint_close(struct endpoint *e);

/* The address it listens at, as requested, with the port that the system chose. */
struct address endpoint_address(const struct endpoint *e);

/* Starts a connection to the node with this key at this address. LINK_NONE with a reason when it
 * cannot even start: our own ID, no room, an address that cannot be dialled (ERR_NETWORK), one of a
 * family that the socket does not speak (ERR_UNSUPPORTED), no memory (ERR_MEMORY). */
link_id endpoint_dial(struct endpoint *e, const uint8_t id[CRYPTO_KEY_BYTES],
                      const struct address *to, struct why *w);

/* The same, which gives up after `patience` where that is shorter than the handshake's; 0: it is
 * not. */
link_id endpoint_dial_within(struct endpoint *e, const uint8_t id[CRYPTO_KEY_BYTES],
                             const struct address *to, span patience, struct why *w);

struct endpoint_counters {
    uint64_t sent_bytes, sent_datagrams;         /* UDP payload that left the socket */
    uint64_t received_bytes, received_datagrams; /* all of it, garbage too */
    /* Ignored: not QUIC, or neither of a connection nor the start of one. */
    uint64_t garbage_datagrams;
    uint64_t resets_sent; /* stateless resets for connections that we no longer know */
    /* Retry, Version Negotiation, connections turned away for lack of room, or as their place has begun
     * too many. */
    uint64_t retries_sent, negotiations_sent, refused;
    uint64_t handshakes_failed; /* of incoming connections */
    uint64_t evicted;           /* incoming connections that made room for others */
    uint64_t strangers;         /* incoming links that ended before link_welcome */
    uint64_t links, links_up;   /* now */
    uint64_t http3;             /* now */
};
/* Since it was opened, except for those marked "now". */
struct endpoint_counters endpoint_counters(const struct endpoint *e);

#endif
