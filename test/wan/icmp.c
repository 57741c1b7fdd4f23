#include "icmp.h"

#include <stdbool.h>
#include <string.h>

#include "plan.h"

enum { HEAD4 = 20, HEAD6 = 40, HEAD_ICMP = 8 };
enum { PROTOCOL_ICMP = 1, PROTOCOL_ICMP6 = 58 };
enum { UNREACHABLE = 3, FRAGMENTATION_NEEDED = 4, TOO_BIG6 = 2, ECHO_ANSWER = 0, ECHO = 8 };

#define BYTES4_MAX 576 /* of an answer over IPv4: RFC 1812, 4.3.2.3 */

static void put16(uint8_t *at, uint32_t v)
{
    at[0] = (uint8_t)(v >> 8);
    at[1] = (uint8_t)v;
}

uint32_t icmp_sum(uint32_t so_far, const uint8_t *data, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++) so_far += i % 2 ? data[i] : (uint32_t)data[i] << 8;
    while (so_far >> 16) so_far = (so_far & 0xffff) + (so_far >> 16);
    return so_far;
}

static bool answered4(const uint8_t *packet, size_t bytes)
{
    const size_t head = (size_t)(packet[0] & 15) * 4;
    bool whole = packet[6] & 0x40; /* Don't Fragment, so it is the first and only fragment */
    if (bytes <= head || head < HEAD4 || !whole) return false;
    return packet[9] != PROTOCOL_ICMP || packet[head] == ECHO || packet[head] == ECHO_ANSWER;
}

static size_t answer4(const uint8_t *packet, size_t bytes, uint32_t mtu, uint8_t *out)
{
    size_t quoted = BYTES4_MAX - HEAD4 - HEAD_ICMP, all;
    if (quoted > bytes) quoted = bytes;
    all = HEAD4 + HEAD_ICMP + quoted;
    memset(out, 0, HEAD4 + HEAD_ICMP);
    out[0] = 0x45;
    put16(out + 2, (uint32_t)all);
    out[8] = 64;
    out[9] = PROTOCOL_ICMP;
    put16(out + 12, (PLAN_NET + PLAN_ROUTER) >> 16);
    put16(out + 14, PLAN_NET + PLAN_ROUTER);
    memcpy(out + 16, packet + 12, 4);
    put16(out + 10, ~icmp_sum(0, out, HEAD4));
    out[HEAD4] = UNREACHABLE;
    out[HEAD4 + 1] = FRAGMENTATION_NEEDED;
    put16(out + HEAD4 + 6, mtu);
    memcpy(out + HEAD4 + HEAD_ICMP, packet, quoted);
    put16(out + HEAD4 + 2, ~icmp_sum(0, out + HEAD4, all - HEAD4));
    return all;
}

static size_t answer6(const uint8_t *packet, size_t bytes, uint32_t mtu, uint8_t *out)
{
    static const uint8_t router[16] = {PLAN_NET6, [15] = PLAN_ROUTER};
    size_t quoted = ICMP_BYTES_MAX - HEAD6 - HEAD_ICMP, length;
    if (quoted > bytes) quoted = bytes;
    length = HEAD_ICMP + quoted;
    memset(out, 0, HEAD6 + HEAD_ICMP);
    out[0] = 0x60;
    put16(out + 4, (uint32_t)length);
    out[6] = PROTOCOL_ICMP6;
    out[7] = 64;
    memcpy(out + 8, router, sizeof router);
    memcpy(out + 24, packet + 8, 16);
    out[HEAD6] = TOO_BIG6;
    put16(out + HEAD6 + 6, mtu);
    memcpy(out + HEAD6 + HEAD_ICMP, packet, quoted);
    /* The checksum covers both addresses, the length and the protocol (RFC 8200, 8.1). */
    uint32_t check = icmp_sum((uint32_t)length + PROTOCOL_ICMP6, out + 8, 32);
    put16(out + HEAD6 + 2, ~icmp_sum(check, out + HEAD6, length));
    return HEAD6 + length;
}

size_t icmp_too_long(const uint8_t *packet, size_t bytes, uint32_t mtu, uint8_t out[ICMP_BYTES_MAX])
{
    if (bytes > HEAD4 && packet[0] >> 4 == 4)
        return answered4(packet, bytes) ? answer4(packet, bytes, mtu, out) : 0;
    if (bytes <= HEAD6 || packet[0] >> 4 != 6) return 0;
    bool error = packet[6] == PROTOCOL_ICMP6 && packet[HEAD6] < 128;
    return error ? 0 : answer6(packet, bytes, mtu, out);
}
