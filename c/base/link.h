/* link.h -- what net/, swarm/ and the code that joins them call a connection to a peer, and why it
 * ended. SPEC.md, "Links". */
#ifndef SHOAL_BASE_LINK_H
#define SHOAL_BASE_LINK_H

#include <stdint.h>

/* One authenticated connection. Never reused while the program lives, until 2^20 links had the same
 * slot. */
typedef uint32_t link_id;
#define LINK_NONE 0u

/* To hand over a longer message is a bug. A longer frame of a peer's ends the link, a longer
 * request is refused. SPEC.md, "Identity and transport". */
#define LINK_DATAGRAM_BYTES_MAX 1150
#define LINK_FRAME_BYTES_MAX    (64u << 10) /* without its head of type and length */
#define LINK_REQUEST_BYTES_MAX  (64u << 10)

/* Why a link or a dial ended. Below 0x1000: sent in CONNECTION_CLOSE, by us or by the peer. From
 * 0x1000 up: what we saw ourselves, never sent. */
enum link_close {
    CLOSE_OK = 0x00,        /* politely: nothing more to say */
    CLOSE_BUSY = 0x01,      /* no room for one more link: try another peer, or later */
    CLOSE_DUPLICATE = 0x02, /* another connection to the same peer stays */
    CLOSE_SELF = 0x03,      /* the peer has our own key */
    CLOSE_REFUSED = 0x04,   /* the accept handler said no; the reason says why */
    CLOSE_PROTOCOL = 0x05,  /* bytes that shoal/1 does not allow */
    CLOSE_VERSION = 0x06,   /* another major version of the protocol */
    CLOSE_RUN = 0x07,       /* a peer of another experiment */
    CLOSE_LEAVING = 0x08,   /* the process ends */
    CLOSE_DEAD = 0x40,      /* silent for too long: no member any more */

    CLOSE_IDLE = 0x1000, /* nothing heard for the idle time-out */
    CLOSE_TIMEOUT,       /* the handshake did not finish in time: nobody there, or no way through */
    CLOSE_RESET,         /* the peer no longer knows the connection: it restarted */
    CLOSE_GONE,          /* nobody listens where the peer was: its process ended without a word */
    CLOSE_WRONG_KEY,     /* who answered has another key than the one dialled */
    CLOSE_ALPN,          /* the peer speaks UDP and QUIC, but not our protocol */
    CLOSE_QUIC_VERSION,  /* no common version of QUIC */
    CLOSE_TLS,           /* the handshake failed for another reason: the text says which */
    CLOSE_TRANSPORT,     /* a QUIC error: the text says which */
    CLOSE_FAMILY,    /* never dialled: its address is of a family that the socket does not speak */
    CLOSE_UNDIALLED, /* never dialled: the text says why */
};

#endif
