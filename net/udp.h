/* udp.h -- one UDP socket that sends and receives batches of datagrams (GSO, GRO), of IPv4 and
 * IPv6. Private to net/.
 *
 * A wildcard listens on every address of the host, of both families where the kernel has IPv6. The
 * kernel then writes IPv4 addresses as ::ffff:192.0.2.1; no caller ever sees that form. */
#ifndef SHOAL_NET_UDP_H
#define SHOAL_NET_UDP_H

#include <netinet/in.h>
#include <stdbool.h>

#include "base/address.h"
#include "base/bytes.h"
#include "base/err.h"

union udp_name { /* a socket address of either family */
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

/* The socket address of an address, and its length in bytes. */
socklen_t udp_name_of(const struct address *a, union udp_name *out);
socklen_t udp_name_bytes(const struct sockaddr *s);
struct address udp_address_of(const struct sockaddr *s); /* in plain form (address.h) */

struct udp {
    int fd;               /* -1: not open */
    bool gso, gro;        /* in use */
    bool six;             /* it is an IPv6 socket */
    bool any;             /* it listens on a wildcard, and always supports IPv4 */
    struct address local; /* as requested, with the port that the system chose */
};

/* Binds to `listen`; sets `clamped` to the bytes of buffer that the kernel granted when they are
 * fewer than `socket_bytes`, else 0. ERR_NETWORK. */
enum err udp_open(struct udp *u, const struct address *listen, bool gso, bool gro,
                  size_t socket_bytes, size_t *clamped, struct why *w);
void udp_close(struct udp *u);

/* Can it send to addresses of this family (4 or 6)? */
bool udp_speaks(const struct udp *u, uint8_t family);

/* The default source address of datagrams to this family: where the socket is bound, or "any". */
void udp_local(const struct udp *u, uint8_t family, union udp_name *out);

enum udp_sent {
    UDP_SENT,
    UDP_FULL, /* the socket's buffer is full: try again when it is writable */
    UDP_BUSY, /* the device's queue is full: try again after a while, as no event will tell */
    /* The path's device cannot segment (no checksum offload, IPsec), or its packets are shorter
     * than a segment: nothing was sent, send them one by one. */
    UDP_NO_GSO,
    UDP_TOO_LONG, /* the path's device has shorter packets */
    UDP_LOST      /* the kernel refused: no route, a firewall */
};
/* Sends `all`, cut into pieces of `segment` bytes, of which the last may be shorter. More than one
 * piece needs gso. `from`: the source address; "any" (udp_local), or an address that the host no
 * longer has, leaves the choice to the kernel. */
enum udp_sent udp_send(struct udp *u, const struct sockaddr *from, const struct sockaddr *to,
                       struct bytes all, size_t segment);

/* Receives up to 64 KiB from one sender, as datagrams of `segment` bytes each; a datagram may be
 * empty. `to`: the address of this host that it was sent to. -1 when there is nothing now. */
ssize_t udp_receive(struct udp *u, uint8_t buffer[65536], union udp_name *from, union udp_name *to,
                    size_t *segment);

/* Takes one ICMP error off the socket: nobody listens at `to`, where we sent something. False when
 * there is none left. Anyone who knows both addresses can forge one, but not what it quotes: the
 * first *count bytes of the packet that we sent there. Routers may quote none of them. */
#define UDP_QUOTED_BYTES 64
bool udp_refused(struct udp *u, union udp_name *to, uint8_t quoted[UDP_QUOTED_BYTES],
                 size_t *count);

/* Are such errors heard at all? Those that wait are dropped when they are not. At first they are. */
void udp_hear_refusals(struct udp *u, bool hear);

#endif
