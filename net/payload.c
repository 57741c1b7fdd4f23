#include "payload.h"

#define TRIES 3 /* of each length (RFC 8899, 5.1.2): at 1 % loss all fail once in a million */
/* From the end of a search to the next: routes come back, and a search that finds nothing costs
 * a dozen packets. RFC 8899, 5.1.1, has 600 s. */
#define PAUSE_MIN span_s(5)
#define PAUSE_MAX span_s(600)

/* A queue that fills may delay packets more than the PTO, an average, expects (RFC 8899, 5.1.1). */
#define PATIENCE_MIN span_s(1)
/* From a probe that arrived to the next one because of losses: on some paths these are normal. */
#define PROVEN span_s(2)

/* Tried from the longest on, below what ngtcp2 found: PPPoE, a fiber network of Japan, the tunnels
 * of WireGuard and IPsec, the minimum of IPv6; less 48 bytes of IPv6 and UDP. */
static const size_t lengths[] = {1492 - 48, 1454 - 48, 1420 - 48, 1390 - 48, 1280 - 48};

void payload_init(struct payload *p)
{
    *p = (struct payload){.path = PAYLOAD_BYTES_MIN,
                          .cap = SIZE_MAX,
                          .limit = SIZE_MAX,
                          .raise = INSTANT_NEVER,
                          .pause = PAUSE_MIN,
                          .sent = INSTANT_NEVER,
                          .serial = (uint16_t)(p->serial + 1), /* an earlier path's probe is none */
                          .probes = p->probes,
                          .lost = {p->lost.packets, p->lost.bytes}};
}

/* What has not arrived by then is taken for lost. */
static instant patience(instant since, span pto)
{
    return instant_after(since, span_max(pto, PATIENCE_MIN));
}

static void shorten(struct payload *p, enum payload_state state)
{
    if (p->state == PAYLOAD_STEADY) p->limit = SIZE_MAX;
    p->state = state;
    p->cap = PAYLOAD_BYTES_MIN;
    p->probe = 0;
    p->sent = INSTANT_NEVER;
    p->suspect = false;
}

/* Length `count` does not pass. */
static void rule_out(struct payload *p, size_t count)
{
    if (p->state != PAYLOAD_SEARCH) shorten(p, PAYLOAD_SEARCH);
    p->probe = 0;
    p->failed = 0;
    if (count < p->limit) p->limit = count;
}

static void probe_failed(struct payload *p)
{
    size_t count = p->probe;
    if (p->state == PAYLOAD_STEADY) shorten(p, PAYLOAD_SEARCH);
    p->probe = 0;
    if (++p->failed >= TRIES) rule_out(p, count);
}

void payload_tick(struct payload *p, size_t path, uint64_t packets, uint64_t bytes, span pto,
                  instant now)
{
    uint64_t more = packets - p->lost.packets, longer = bytes - p->lost.bytes;
    p->lost.packets = packets;
    p->lost.bytes = bytes;
    if (path < p->path) payload_init(p); /* another path: ngtcp2 starts over, too */
    p->path = path;
    if (path <= PAYLOAD_BYTES_MIN) return;
    if (more && longer / more > PAYLOAD_BYTES_MIN && p->probes) p->suspect = true;
    if (p->state == PAYLOAD_STEADY && instant_reached(now, patience(p->sent, pto)))
        shorten(p, PAYLOAD_DOUBT);
    if (!p->probe || !instant_reached(now, p->overdue)) return;
    if (p->alive) probe_failed(p);
    else shorten(p, PAYLOAD_DOUBT);
}

/* Packets stay as long as they may be now, until it is time to look again. */
static void settle(struct payload *p, instant now)
{
    p->state = PAYLOAD_STEADY;
    p->sent = INSTANT_NEVER;
    p->suspect = false;
    p->raise = instant_after(now, p->pause);
    p->pause.ns = p->pause.ns * 2 < PAUSE_MAX.ns ? p->pause.ns * 2 : PAUSE_MAX.ns;
}

/* The longest length that may pass and is more than we have; 0: none is left. */
static size_t candidate(const struct payload *p)
{
    if (p->path < p->limit) return p->path;
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++)
        if (lengths[i] < p->path && lengths[i] < p->limit && lengths[i] > p->cap) return lengths[i];
    return 0;
}

size_t payload_probe(struct payload *p, instant now)
{
    if (!p->probes || p->probe || p->path <= PAYLOAD_BYTES_MIN || !instant_reached(now, p->next))
        return 0;
    if (p->state == PAYLOAD_STEADY && p->cap < p->path && instant_reached(now, p->raise)) {
        p->state = PAYLOAD_SEARCH;
        p->limit = SIZE_MAX;
        p->failed = 0;
    }
    if (p->state == PAYLOAD_STEADY && p->suspect && p->cap > PAYLOAD_BYTES_MIN)
        return p->cap < p->path ? p->cap : p->path;
    if (p->state != PAYLOAD_SEARCH) return 0;
    size_t found = candidate(p);
    if (!found) settle(p, now);
    return found;
}

uint32_t payload_probe_id(const struct payload *p, size_t count)
{
    return (uint32_t)(uint16_t)(p->serial + 1) << 16 | (uint32_t)count;
}

void payload_probed(struct payload *p, size_t count, bool sent, span pto, instant now)
{
    p->serial++;
    if (!sent) {
        p->next = instant_after(now, pto); /* retransmitted data filled the packet */
        return;
    }
    p->probe = count;
    p->overdue = patience(now, pto);
    p->alive = false;
}

void payload_probe_acked(struct payload *p, uint32_t id, instant now)
{
    size_t count = id & 0xffff;
    if (id >> 16 != p->serial) return;
    p->probe = 0;
    p->failed = 0;
    p->alive = true;
    p->suspect = false;
    p->sent = INSTANT_NEVER;
    p->next = instant_after(now, PROVEN);
    if (p->state == PAYLOAD_STEADY) return;
    p->cap = count < p->path ? count : SIZE_MAX;
    if (p->cap == SIZE_MAX) p->pause = PAUSE_MIN;
    settle(p, now);
}

void payload_probe_lost(struct payload *p, uint32_t id)
{
    if (p->probe && id >> 16 == p->serial) probe_failed(p);
}

void payload_sent(struct payload *p, size_t count, instant now)
{
    if (count > PAYLOAD_BYTES_MIN && count <= p->path && p->sent.ns == INSTANT_NEVER.ns)
        p->sent = now;
}

void payload_acked(struct payload *p)
{
    p->alive = true;
    p->sent = INSTANT_NEVER;
    if (p->state != PAYLOAD_DOUBT) return;
    p->state = p->probes ? PAYLOAD_SEARCH : PAYLOAD_STEADY;
}

void payload_too_long(struct payload *p, size_t count)
{
    if (count > PAYLOAD_BYTES_MIN && count <= p->path) rule_out(p, count);
}
