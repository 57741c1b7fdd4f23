/* link.h -- connections to peers and the reasons for their end, as used by net/, swarm/ and the
 * code that joins them. SPEC.md, "Identity and transport". */
#ifndef SHOAL_BASE_LINK_H
#define SHOAL_BASE_LINK_H

#include <stdint.h>

/* One authenticated connection. Not reused until 2^20 links have had the same slot. */
typedef uint32_t link_id;
#define LINK_NONE 0u

/* Sending a longer message is a bug. A longer frame from a peer ends the link, a longer request is
 * refused. SPEC.md, "Identity and transport". */
#define LINK_DATAGRAM_BYTES_MAX 1150
#define LINK_FRAME_BYTES_MAX    (64u << 10) /* without its header of type and length */
#define LINK_REQUEST_BYTES_MAX  (64u << 10)

/* Why a link or a dial ended. Below 0x1000: sent in CONNECTION_CLOSE, by us or by the peer. From
 * 0x1000 up: what we observed ourselves, never sent. */
enum link_close {
    CLOSE_OK = 0x00,        /* normal end */
    CLOSE_BUSY = 0x01,      /* too many links: try another peer, or later */
    CLOSE_DUPLICATE = 0x02, /* another connection to the same peer stays */
    CLOSE_SELF = 0x03,      /* the peer has our own key */
    CLOSE_REFUSED = 0x04,   /* not admitted, with the reason */
    CLOSE_PROTOCOL = 0x05,  /* bytes that shoal/1 does not allow */
    CLOSE_VERSION = 0x06,   /* another major version of the protocol */
    CLOSE_RUN = 0x07,       /* a peer of another experiment */
    CLOSE_LEAVING = 0x08,   /* the process ends */
    CLOSE_CROWDED = 0x09,   /* too many strangers at the moment, room was needed: dial again */
    CLOSE_DEAD = 0x40,      /* silent for too long: no longer a member */

    CLOSE_IDLE = 0x1000, /* nothing heard for the idle timeout */
    CLOSE_TIMEOUT,       /* the handshake did not finish in time: nobody there, or unreachable */
    CLOSE_RESET,         /* the peer no longer knows the connection: it restarted */
    CLOSE_GONE,          /* nobody listens where the peer was: its process ended without a close */
    CLOSE_WRONG_KEY,     /* the answering peer has another key than the one dialled */
    CLOSE_ALPN,          /* the peer speaks QUIC, but not our protocol */
    CLOSE_QUIC_VERSION,  /* no common version of QUIC */
    CLOSE_TLS,           /* the handshake failed for another reason: see the text */
    CLOSE_TRANSPORT,     /* a QUIC error: see the text */
    CLOSE_FAMILY,        /* never dialled: the socket does not support the address's family */
    CLOSE_UNDIALLED,     /* never dialled: see the text */
};

#endif
