#include "nat.h"

#include "icmp.h"

enum { HEAD = 20, HEAD_UDP = 8, HEAD_ICMP = 8 };
enum { PROTOCOL_ICMP = 1, PROTOCOL_UDP = 17 };
enum { UNREACHABLE = 3, TIME_EXCEEDED = 11, PARAMETER_PROBLEM = 12 };
enum { CHECK_IP = 10, CHECK_UDP = 6, CHECK_ICMP = 2 }; /* where the checksums stand */
enum { FRAGMENT = 0x3fff };                            /* more fragments, or an offset */

static uint16_t get16(const uint8_t *at) { return (uint16_t)(at[0] << 8 | at[1]); }

static uint32_t get32(const uint8_t *at) { return (uint32_t)get16(at) << 16 | get16(at + 2); }

static void put16(uint8_t *at, uint32_t v)
{
    at[0] = (uint8_t)(v >> 8);
    at[1] = (uint8_t)v;
}

static void put32(uint8_t *at, uint32_t v)
{
    put16(at, v >> 16);
    put16(at + 2, v);
}

/* Updates a checksum over words whose sum was `before` and is `after` (RFC 1624, equation 3). A
 * wrong one stays wrong. */
static void adjust(uint8_t *check, uint32_t before, uint32_t after)
{
    uint32_t sum = (~(uint32_t)get16(check) & 0xffff) + (~before & 0xffff) + after;
    while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
    put16(check, ~sum);
}

/* An end of a packet: its source, or its destination. */
enum end { SOURCE, DESTINATION };

static uint8_t *address_of(uint8_t *ip, enum end e) { return ip + (e == SOURCE ? 12 : 16); }

static uint8_t *port_of(uint8_t *udp, enum end e) { return udp + (e == SOURCE ? 0 : 2); }

static void replace_address(uint8_t *ip, enum end e, uint32_t address)
{
    uint8_t *at = address_of(ip, e);
    uint32_t before = icmp_sum(0, at, 4);
    put32(at, address);
    adjust(ip + CHECK_IP, before, icmp_sum(0, at, 4));
}

/* Address and port, and the checksums of both headers. UDP's covers the addresses, and may be
 * missing: then it is 0. */
static void replace(uint8_t *ip, uint8_t *udp, enum end e, uint32_t address, uint16_t port)
{
    uint8_t *at = address_of(ip, e), *at_port = port_of(udp, e), *check = udp + CHECK_UDP;
    uint32_t before = icmp_sum(icmp_sum(0, at, 4), at_port, 2);
    replace_address(ip, e, address);
    put16(at_port, port);
    if (get16(check) == 0) return;
    adjust(check, before, icmp_sum(icmp_sum(0, at, 4), at_port, 2));
    if (get16(check) == 0) put16(check, 0xffff);
}

/* Bytes of the IPv4 header. 0: there is no whole one, or it is of a fragment. */
static size_t head_bytes(const uint8_t *ip, size_t bytes)
{
    if (bytes < HEAD || ip[0] >> 4 != 4 || get16(ip + 6) & FRAGMENT) return 0;
    size_t head = (size_t)(ip[0] & 15) * 4;
    return head >= HEAD && head <= bytes ? head : 0;
}

void nat_init(struct nat *n, uint32_t inside, uint32_t outside, struct rng rng)
{
    n->kind = NAT_NONE;
    n->timeout = span_s(0);
    n->inside = inside;
    n->outside = outside;
    n->rng = rng;
    n->count = 0;
}

void nat_set(struct nat *n, enum nat_kind kind, span timeout)
{
    if (n->kind != kind) n->count = 0;
    n->kind = kind;
    n->timeout = timeout;
}

static bool over(const struct nat *n, const struct nat_flow *f, instant now)
{
    return instant_reached(now, instant_after(f->last, n->timeout));
}

static bool exactly(const struct nat_flow *f, uint32_t remote, uint16_t port)
{
    return f->remote == remote && f->port == port;
}

/* May this remote send to the outside port of this flow? */
static bool lets_in(const struct nat *n, const struct nat_flow *f, uint32_t remote, uint16_t port)
{
    if (n->kind == NAT_FULL_CONE) return true;
    return n->kind == NAT_RESTRICTED ? f->remote == remote : exactly(f, remote, port);
}

static bool taken(const struct nat *n, uint16_t outside)
{
    for (uint32_t i = 0; i < n->count; i++)
        if (n->flows[i].outside == outside) return true;
    return false;
}

/* A free outside port: there are more than flows. */
static uint16_t draw(struct nat *n, uint16_t inside)
{
    for (;;) {
        uint16_t port = (uint16_t)(NAT_PORT_MIN + rng_below(&n->rng, 65536 - NAT_PORT_MIN));
        if (port != inside && !taken(n, port)) return port;
    }
}

/* NULL: there are too many. */
static struct nat_flow *flow_begin(struct nat *n, instant now, uint16_t inside, uint32_t remote,
                                   uint16_t port)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < n->count; i++)
        if (!over(n, &n->flows[i], now)) n->flows[kept++] = n->flows[i];
    n->count = kept;
    if (n->count == NAT_FLOWS_MAX) return NULL;
    uint16_t outside = 0;
    for (uint32_t i = 0; i < n->count && n->kind != NAT_SYMMETRIC; i++)
        if (n->flows[i].inside == inside) outside = n->flows[i].outside;
    if (!outside) outside = draw(n, inside);
    struct nat_flow *f = &n->flows[n->count++];
    *f = (struct nat_flow){inside, outside, port, remote, now};
    return f;
}

static bool udp_out(struct nat *n, instant now, uint8_t *packet, uint8_t *udp)
{
    const uint16_t inside = get16(udp), port = get16(udp + 2);
    const uint32_t remote = get32(packet + 16);
    struct nat_flow *f = NULL;
    for (uint32_t i = 0; i < n->count && !f; i++) {
        struct nat_flow *one = &n->flows[i];
        if (one->inside == inside && exactly(one, remote, port) && !over(n, one, now)) f = one;
    }
    if (!f) f = flow_begin(n, now, inside, remote, port);
    if (!f) return false;
    f->last = now;
    replace(packet, udp, SOURCE, n->outside, f->outside);
    return true;
}

/* A flow of this port, an outside or an inside one, to which this remote may send. NULL: none. */
static const struct nat_flow *flow_of(const struct nat *n, instant now, bool inside, uint16_t mine,
                                      uint32_t remote, uint16_t port)
{
    for (uint32_t i = 0; i < n->count; i++) {
        const struct nat_flow *f = &n->flows[i];
        const uint16_t its = inside ? f->inside : f->outside;
        if (its == mine && lets_in(n, f, remote, port) && !over(n, f, now)) return f;
    }
    return NULL;
}

static bool udp_in(const struct nat *n, instant now, uint8_t *packet, uint8_t *udp)
{
    const struct nat_flow *f =
        flow_of(n, now, false, get16(udp + 2), get32(packet + 12), get16(udp));
    if (f) replace(packet, udp, DESTINATION, n->inside, f->inside);
    return f;
}

/* Translates the packet that an ICMP error quotes. It went the other way: where the error goes out,
 * its destination is the node. */
static bool error_quote(const struct nat *n, instant now, uint8_t *icmp, size_t bytes, bool out)
{
    const bool error =
        icmp[0] == UNREACHABLE || icmp[0] == TIME_EXCEEDED || icmp[0] == PARAMETER_PROBLEM;
    uint8_t *quoted = icmp + HEAD_ICMP;
    const size_t room = bytes - HEAD_ICMP, head = head_bytes(quoted, room);
    if (!error || !head || quoted[9] != PROTOCOL_UDP || room - head < HEAD_UDP) return false;
    uint8_t *udp = quoted + head;
    const enum end mine = out ? DESTINATION : SOURCE, other = out ? SOURCE : DESTINATION;
    if (get32(address_of(quoted, mine)) != (out ? n->inside : n->outside)) return false;
    const struct nat_flow *f =
        flow_of(n, now, out, get16(port_of(udp, mine)), get32(address_of(quoted, other)),
                get16(port_of(udp, other)));
    if (!f) return false;
    uint32_t before = icmp_sum(0, quoted, head + HEAD_UDP);
    if (out) replace(quoted, udp, mine, n->outside, f->outside);
    else replace(quoted, udp, mine, n->inside, f->inside);
    adjust(icmp + CHECK_ICMP, before, icmp_sum(0, quoted, head + HEAD_UDP));
    return true;
}

/* Bytes of the IP header of a packet whose payload a router may translate, of which it has at least
 * 8 bytes; in `bytes` what belongs to the packet. 0: none. */
static size_t whole(const uint8_t *packet, size_t *bytes)
{
    const size_t head = head_bytes(packet, *bytes);
    if (!head || get16(packet + 2) > *bytes || get16(packet + 2) < head + HEAD_UDP) return 0;
    *bytes = get16(packet + 2);
    if (packet[9] == PROTOCOL_ICMP) return head;
    const size_t said = get16(packet + head + 4);
    return packet[9] == PROTOCOL_UDP && said >= HEAD_UDP && said <= *bytes - head ? head : 0;
}

bool nat_out(struct nat *n, instant now, uint8_t *packet, size_t bytes)
{
    const size_t head = whole(packet, &bytes);
    if (!head || get32(packet + 12) != n->inside) return false;
    if (get32(packet + 16) == n->outside) return false;
    if (packet[9] == PROTOCOL_UDP) return udp_out(n, now, packet, packet + head);
    if (!error_quote(n, now, packet + head, bytes - head, true)) return false;
    replace_address(packet, SOURCE, n->outside);
    return true;
}

bool nat_in(struct nat *n, instant now, uint8_t *packet, size_t bytes)
{
    const size_t head = whole(packet, &bytes);
    if (!head || get32(packet + 16) != n->outside) return false;
    if (packet[9] == PROTOCOL_UDP) return udp_in(n, now, packet, packet + head);
    if (!error_quote(n, now, packet + head, bytes - head, false)) return false;
    replace_address(packet, DESTINATION, n->inside);
    return true;
}
