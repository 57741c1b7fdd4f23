#include "udp.h"

#include <errno.h>
#include <linux/errqueue.h>
#include <netinet/udp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef UDP_SEGMENT /* from linux/udp.h; missing in glibc 2.28 */
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

socklen_t udp_name_bytes(const struct sockaddr *s)
{
    return s->sa_family == AF_INET6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);
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
    return address_plain(&a);
}

/* ---- IPv4 on an IPv6 socket ---- */

/* Converts to the kernel's form for this socket; returns its length. */
static socklen_t to_kernel(const struct udp *u, const struct sockaddr *s, union udp_name *out)
{
    memset(out, 0, sizeof *out);
    memcpy(out, s, udp_name_bytes(s));
    if (!u->six || s->sa_family == AF_INET6) return udp_name_bytes(s);
    const struct sockaddr_in *v4 = (const void *)s;
    union udp_name mapped = {
        .v6 = {.sin6_family = AF_INET6, .sin6_port = v4->sin_port},
    };
    mapped.v6.sin6_addr.s6_addr[10] = mapped.v6.sin6_addr.s6_addr[11] = 0xff;
    memcpy(mapped.v6.sin6_addr.s6_addr + 12, &v4->sin_addr, 4);
    *out = mapped;
    return sizeof out->v6;
}

/* Converts back. A link-local IPv6 address keeps its interface. */
static void from_kernel(union udp_name *name)
{
    if (name->any.sa_family != AF_INET6 || !IN6_IS_ADDR_V4MAPPED(&name->v6.sin6_addr)) return;
    struct address a = udp_address_of(&name->any);
    udp_name_of(&a, name);
}

/* Asks for a buffer and returns what was granted. Linux reports twice the usable size
 * (socket(7)). */
static size_t raise_buffer(int fd, int option, size_t want)
{
    int asked = (int)want, got = 0;
    socklen_t n = sizeof got;
    int force = option == SO_RCVBUF ? SO_RCVBUFFORCE : SO_SNDBUFFORCE; /* root's is not limited */
    if (setsockopt(fd, SOL_SOCKET, force, &asked, sizeof asked))
        setsockopt(fd, SOL_SOCKET, option, &asked, sizeof asked);
    getsockopt(fd, SOL_SOCKET, option, &got, &n);
    return (size_t)got / 2;
}

/* A bound socket, or -1 with errno. */
static int bound_socket(struct udp *u, const struct address *listen)
{
    union udp_name name;
    struct address at = *listen;
    int off = 0;
    if (u->any) at.family = u->six ? 6 : 4;
    socklen_t bytes = udp_name_of(&at, &name);
    int fd = socket(name.any.sa_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) return -1;
    if (u->any && u->six) setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
    if (!bind(fd, &name.any, bytes) && !getsockname(fd, &name.any, &bytes)) {
        u->local = *listen;
        u->local.port = udp_address_of(&name.any).port;
        return fd;
    }
    int error = errno;
    close(fd);
    errno = error;
    return -1;
}

void udp_hear_refusals(struct udp *u, bool hear)
{
    int on = hear;
    if (u->six) setsockopt(u->fd, IPPROTO_IPV6, IPV6_RECVERR, &on, sizeof on);
    if (udp_speaks(u, 4)) setsockopt(u->fd, IPPROTO_IP, IP_RECVERR, &on, sizeof on);
}

/* Options of each family that this socket supports. Failures are ignored. */
static void set_options(struct udp *u)
{
    int on = 1;
    int probe = IP_PMTUDISC_PROBE; /* no fragments: path MTU discovery is QUIC's (RFC 9000, 14) */
    if (u->six) setsockopt(u->fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, &probe, sizeof probe);
    if (udp_speaks(u, 4)) setsockopt(u->fd, IPPROTO_IP, IP_MTU_DISCOVER, &probe, sizeof probe);
    udp_hear_refusals(u, true);
    if (u->any && u->six) setsockopt(u->fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, &on, sizeof on);
    else if (u->any) setsockopt(u->fd, IPPROTO_IP, IP_PKTINFO, &on, sizeof on);
    int none = 0; /* of each packet its own size, where the kernel has GSO */
    if (u->gso && setsockopt(u->fd, SOL_UDP, UDP_SEGMENT, &none, sizeof none)) u->gso = false;
    if (u->gro && setsockopt(u->fd, SOL_UDP, UDP_GRO, &on, sizeof on)) u->gro = false;
}

enum err udp_open(struct udp *u, const struct address *listen, bool gso, bool gro,
                  size_t socket_bytes, size_t *clamped, struct why *w)
{
    char text[ADDRESS_TEXT_BYTES];
    *u = (struct udp){.gso = gso, .gro = gro, .any = address_is_any(listen)};
    u->six = u->any || listen->family == 6;
    u->fd = bound_socket(u, listen);
    if (u->fd < 0 && u->any && (errno == EAFNOSUPPORT || errno == EADDRNOTAVAIL)) {
        u->six = false; /* a kernel without IPv6 */
        u->fd = bound_socket(u, listen);
    }
    if (u->fd < 0)
        return why(w, ERR_NETWORK, "listening on %s: %s", address_print(listen, text),
                   strerror(errno));
    set_options(u);
    size_t in = raise_buffer(u->fd, SO_RCVBUF, socket_bytes);
    size_t out = raise_buffer(u->fd, SO_SNDBUF, socket_bytes);
    size_t granted = in < out ? in : out;
    *clamped = granted < socket_bytes ? granted : 0;
    return ERR_OK;
}

bool udp_speaks(const struct udp *u, uint8_t family)
{
    return family == 6 ? u->six : family == 4 && (u->any || !u->six);
}

void udp_local(const struct udp *u, uint8_t family, union udp_name *out)
{
    struct address any = {.family = family, .port = u->local.port};
    udp_name_of(u->any ? &any : &u->local, out);
}

void udp_close(struct udp *u)
{
    if (u->fd >= 0) close(u->fd);
    u->fd = -1;
}

/* ---- sending ---- */

union control_out {
    struct cmsghdr head;
    char room[CMSG_SPACE(sizeof(uint16_t)) + CMSG_SPACE(sizeof(struct in6_pktinfo))];
};

/* Adds one item; msg_controllen grows from its present value. */
static void add_control(struct msghdr *m, union control_out *room, int level, int type,
                        const void *data, size_t count)
{
    struct cmsghdr *h = (void *)(room->room + m->msg_controllen);
    m->msg_control = room;
    m->msg_controllen += CMSG_SPACE(count);
    h->cmsg_len = CMSG_LEN(count);
    h->cmsg_level = level;
    h->cmsg_type = type;
    memcpy(CMSG_DATA(h), data, count);
}

/* The source address, without an interface: so a route that the administrator set for this source
 * is used. */
static void add_source(const struct udp *u, struct msghdr *m, union control_out *room,
                       const struct sockaddr *from)
{
    union udp_name name;
    to_kernel(u, from, &name);
    if (u->six) {
        struct in6_pktinfo info = {.ipi6_addr = name.v6.sin6_addr};
        add_control(m, room, IPPROTO_IPV6, IPV6_PKTINFO, &info, sizeof info);
    } else {
        struct in_pktinfo info = {.ipi_spec_dst = name.v4.sin_addr};
        add_control(m, room, IPPROTO_IP, IP_PKTINFO, &info, sizeof info);
    }
}

/* An error may be that of an earlier packet, to any peer, that a router or a liar complained of by
 * ICMP. The kernel reports each such error once, and sends nothing then: so we try again. */
#define STALE_ERRORS 3

enum udp_sent udp_send(struct udp *u, const struct sockaddr *from, const struct sockaddr *to,
                       struct bytes all, size_t segment)
{
    union control_out control = {0};
    union udp_name name;
    struct iovec io = {(void *)all.data, all.count};
    struct msghdr m = {
        .msg_name = &name, .msg_namelen = to_kernel(u, to, &name), .msg_iov = &io, .msg_iovlen = 1};
    struct address source = udp_address_of(from);
    bool pinned = u->any && !address_is_any(&source), cut = all.count > segment;
    if (cut)
        add_control(&m, &control, SOL_UDP, UDP_SEGMENT, &(uint16_t){(uint16_t)segment},
                    sizeof(uint16_t));
    size_t unpinned = m.msg_controllen;
    if (pinned) add_source(u, &m, &control, from);
    for (int tries = 0; sendmsg(u->fd, &m, 0) < 0; tries++) {
        if (errno == EAGAIN || errno == EWOULDBLOCK) return UDP_FULL;
        if (errno == ENOBUFS || errno == ENOMEM) return UDP_BUSY;
        if (errno == EINTR || tries < STALE_ERRORS) continue;
        /* The host lost that address: packets from another one may still be understood. */
        if (pinned && (errno == EINVAL || errno == EADDRNOTAVAIL || errno == ENETUNREACH)) {
            pinned = false;
            m.msg_controllen = unpinned;
            if (!unpinned) m.msg_control = NULL;
            continue;
        }
        if (cut && (errno == EIO || errno == EINVAL || errno == EMSGSIZE)) return UDP_NO_GSO;
        return errno == EMSGSIZE ? UDP_TOO_LONG : UDP_LOST;
    }
    return UDP_SENT;
}

/* ---- receiving ---- */

/* Reads what the kernel says about a datagram: its segmentation, and the address that it was sent
 * to. */
static void take_control(struct msghdr *m, union udp_name *to, size_t *segment)
{
    for (struct cmsghdr *h = CMSG_FIRSTHDR(m); h; h = CMSG_NXTHDR(m, h)) {
        if (h->cmsg_level == SOL_UDP && h->cmsg_type == UDP_GRO) {
            int size;
            memcpy(&size, CMSG_DATA(h), sizeof size);
            if (size > 0) *segment = (size_t)size;
        } else if (h->cmsg_level == IPPROTO_IPV6 && h->cmsg_type == IPV6_PKTINFO) {
            struct in6_pktinfo info;
            memcpy(&info, CMSG_DATA(h), sizeof info);
            in_port_t port = to->v6.sin6_port; /* at the same place in both families */
            to->v6 = (struct sockaddr_in6){
                .sin6_family = AF_INET6, .sin6_port = port, .sin6_addr = info.ipi6_addr};
            from_kernel(to);
        } else if (h->cmsg_level == IPPROTO_IP && h->cmsg_type == IP_PKTINFO) {
            struct in_pktinfo info;
            memcpy(&info, CMSG_DATA(h), sizeof info);
            to->v4.sin_addr = info.ipi_spec_dst;
        }
    }
}

ssize_t udp_receive(struct udp *u, uint8_t buffer[65536], union udp_name *from, union udp_name *to,
                    size_t *segment)
{
    union {
        struct cmsghdr head;
        char room[CMSG_SPACE(sizeof(int)) + CMSG_SPACE(sizeof(struct in6_pktinfo))];
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
    from_kernel(from);
    udp_local(u, from->any.sa_family == AF_INET6 ? 6 : 4, to);
    *segment = (size_t)n;
    take_control(&m, to, segment);
    return n;
}

bool udp_refused(struct udp *u, union udp_name *to, uint8_t quoted[UDP_QUOTED_BYTES], size_t *count)
{
    for (;;) {
        union {
            struct cmsghdr head;
            char room[CMSG_SPACE(sizeof(struct sock_extended_err) + sizeof(union udp_name))];
        } control;
        struct iovec io = {quoted, UDP_QUOTED_BYTES};
        struct msghdr m = {.msg_name = to,
                           .msg_namelen = sizeof *to,
                           .msg_iov = &io,
                           .msg_iovlen = 1,
                           .msg_control = &control,
                           .msg_controllen = sizeof control.room};
        ssize_t n = recvmsg(u->fd, &m, MSG_ERRQUEUE);
        if (n < 0) return false;
        *count = (size_t)n;
        from_kernel(to);
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
