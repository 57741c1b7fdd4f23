#include "udp.h"

#include <errno.h>
#include <linux/errqueue.h>
#include <netinet/udp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef UDP_SEGMENT /* from linux/udp.h; glibc 2.28 lacks them */
#define UDP_SEGMENT 103
#endif
#ifndef UDP_GRO
#define UDP_GRO 104
#endif

socklen_t udp_name_of(const struct address *a, union udp_name *out)
{
    memset(out, 0, sizeof *out);
    if (a->family == 6) {
        out->v6.sin6_family = AF_INET6;
        out->v6.sin6_port = htons(a->port);
        memcpy(&out->v6.sin6_addr, a->ip, 16);
        return sizeof out->v6;
    }
    out->v4.sin_family = AF_INET;
    out->v4.sin_port = htons(a->port);
    memcpy(&out->v4.sin_addr, a->ip, 4);
    return sizeof out->v4;
}

struct address udp_address_of(const struct sockaddr *s)
{
    struct address a = {0};
    if (s->sa_family == AF_INET) {
        const struct sockaddr_in *v4 = (const void *)s;
        a.family = 4;
        a.port = ntohs(v4->sin_port);
        memcpy(a.ip, &v4->sin_addr, 4);
    } else if (s->sa_family == AF_INET6) {
        const struct sockaddr_in6 *v6 = (const void *)s;
        a.family = 6;
        a.port = ntohs(v6->sin6_port);
        memcpy(a.ip, &v6->sin6_addr, 16);
    }
    return a;
}

/* Asks for a buffer and returns what was granted. Linux reports twice the usable size (socket(7)). */
static size_t raise_buffer(int fd, int option, size_t want)
{
    int asked = (int)want, got = 0;
    socklen_t n = sizeof got;
    setsockopt(fd, SOL_SOCKET, option, &asked, sizeof asked);
    getsockopt(fd, SOL_SOCKET, option, &got, &n);
    return (size_t)got / 2;
}

enum err udp_open(struct udp *u, const struct address *listen, bool gso, bool gro,
                  size_t socket_bytes, size_t *clamped, struct why *w)
{
    char text[ADDRESS_TEXT_BYTES];
    int on = 1;
    *u = (struct udp){.gso = gso, .gro = gro};
    u->local_name_bytes = udp_name_of(listen, &u->local_name);
    u->fd = socket(u->local_name.any.sa_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (u->fd < 0) return why(w, ERR_NETWORK, "opening a UDP socket: %s", strerror(errno));
    if (bind(u->fd, &u->local_name.any, u->local_name_bytes) ||
        getsockname(u->fd, &u->local_name.any, &u->local_name_bytes)) {
        enum err e = why(w, ERR_NETWORK, "listening on %s: %s", address_print(listen, text),
                         strerror(errno));
        udp_close(u);
        return e;
    }
    u->local = udp_address_of(&u->local_name.any);
    if (gro && setsockopt(u->fd, SOL_UDP, UDP_GRO, &on, sizeof on)) u->gro = false;
    /* No fragments: path MTU discovery is QUIC's (RFC 9000, 14). */
    int probe = IP_PMTUDISC_PROBE;
    if (listen->family == 6)
        setsockopt(u->fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, &probe, sizeof probe);
    else setsockopt(u->fd, IPPROTO_IP, IP_MTU_DISCOVER, &probe, sizeof probe);
    /* Complaints are kept for udp_refused. */
    if (listen->family == 6) setsockopt(u->fd, IPPROTO_IPV6, IPV6_RECVERR, &on, sizeof on);
    else setsockopt(u->fd, IPPROTO_IP, IP_RECVERR, &on, sizeof on);
    size_t in = raise_buffer(u->fd, SO_RCVBUF, socket_bytes);
    size_t out = raise_buffer(u->fd, SO_SNDBUF, socket_bytes);
    size_t granted = in < out ? in : out;
    *clamped = granted < socket_bytes ? granted : 0;
    return ERR_OK;
}

void udp_close(struct udp *u)
{
    if (u->fd >= 0) close(u->fd);
    u->fd = -1;
}

enum udp_sent udp_send(struct udp *u, const struct sockaddr *to, socklen_t to_bytes,
                       struct bytes all, size_t segment)
{
    union {
        struct cmsghdr head;
        char room[CMSG_SPACE(sizeof(uint16_t))];
    } control = {0};
    struct iovec io = {(void *)all.data, all.count};
    struct msghdr m = {
        .msg_name = (void *)to, .msg_namelen = to_bytes, .msg_iov = &io, .msg_iovlen = 1};
    if (all.count > segment) {
        uint16_t size = (uint16_t)segment;
        m.msg_control = &control;
        m.msg_controllen = sizeof control.room;
        control.head = (struct cmsghdr){
            .cmsg_len = CMSG_LEN(sizeof size), .cmsg_level = SOL_UDP, .cmsg_type = UDP_SEGMENT};
        memcpy(CMSG_DATA(&control.head), &size, sizeof size);
    }
    for (;;) {
        if (sendmsg(u->fd, &m, 0) >= 0) return UDP_SENT;
        /* Refused was an earlier packet, perhaps to another peer: the kernel says so once. */
        if (errno == EINTR || errno == ECONNREFUSED) continue;
        if (errno == EAGAIN || errno == EWOULDBLOCK) return UDP_FULL;
        /* The device's driver lacks checksum offload, or the kernel has no GSO (udp(7)). */
        if (all.count > segment && (errno == EIO || errno == EINVAL)) return UDP_NO_GSO;
        return UDP_LOST;
    }
}

ssize_t udp_receive(struct udp *u, uint8_t buffer[65536], union udp_name *from,
                    socklen_t *from_bytes, size_t *segment)
{
    union {
        struct cmsghdr head;
        char room[CMSG_SPACE(sizeof(int))];
    } control;
    struct iovec io = {buffer, 65536};
    struct msghdr m = {.msg_name = from,
                       .msg_namelen = sizeof *from,
                       .msg_iov = &io,
                       .msg_iovlen = 1,
                       .msg_control = &control,
                       .msg_controllen = sizeof control.room};
    ssize_t n;
    do n = recvmsg(u->fd, &m, 0);
    while (n < 0 && (errno == EINTR || errno == ECONNREFUSED));
    if (n < 0) return -1;
    *from_bytes = m.msg_namelen;
    *segment = (size_t)n;
    for (struct cmsghdr *h = CMSG_FIRSTHDR(&m); h; h = CMSG_NXTHDR(&m, h)) {
        int size;
        if (h->cmsg_level != SOL_UDP || h->cmsg_type != UDP_GRO) continue;
        memcpy(&size, CMSG_DATA(h), sizeof size);
        if (size > 0) *segment = (size_t)size;
    }
    return n;
}

bool udp_refused(struct udp *u, union udp_name *to)
{
    for (;;) {
        union {
            struct cmsghdr head;
            char room[CMSG_SPACE(sizeof(struct sock_extended_err) + sizeof(union udp_name))];
        } control;
        uint8_t quoted[1];
        struct iovec io = {quoted, sizeof quoted};
        struct msghdr m = {.msg_name = to,
                           .msg_namelen = sizeof *to,
                           .msg_iov = &io,
                           .msg_iovlen = 1,
                           .msg_control = &control,
                           .msg_controllen = sizeof control.room};
        if (recvmsg(u->fd, &m, MSG_ERRQUEUE) < 0) return false;
        for (struct cmsghdr *h = CMSG_FIRSTHDR(&m); h; h = CMSG_NXTHDR(&m, h)) {
            struct sock_extended_err error;
            bool v4 = h->cmsg_level == IPPROTO_IP && h->cmsg_type == IP_RECVERR;
            bool v6 = h->cmsg_level == IPPROTO_IPV6 && h->cmsg_type == IPV6_RECVERR;
            if (!v4 && !v6) continue;
            memcpy(&error, CMSG_DATA(h), sizeof error);
            bool told =
                error.ee_origin == SO_EE_ORIGIN_ICMP || error.ee_origin == SO_EE_ORIGIN_ICMP6;
            if (told && error.ee_errno == ECONNREFUSED) return true;
        }
    }
}
