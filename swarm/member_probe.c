#include "member_probe.h"

#include "member_health.h"
#include "member_push.h"
#include "member_table.h"
#include "wire.h"

#define PROBE_PATIENCE span_s(3) /* SPEC.md, "Membership": multiplied by local health */

void member_probe(struct members *m, int i)
{
    struct member *p = &m->members[i];
    if (p->nonce != 0 || member_link(m, i) == LINK_NONE) return;
    p->nonce = ++m->nonce ? m->nonce : ++m->nonce;
    p->probed = p->again = m->now;
    p->tries = 0;
}

void member_probe_next(struct members *m)
{
    for (uint32_t n = 0; n < MEMBERS_MAX; n++) {
        int i = (int)(m->turn++ % MEMBERS_MAX);
        const struct member *p = &m->members[i];
        if (!p->used || p->nonce != 0 || member_link(m, i) == LINK_NONE) continue;
        member_probe(m, i);
        return;
    }
}

void member_send_ping(struct members *m, int i, uint8_t type, uint32_t nonce,
                      const struct sink *out)
{
    uint8_t room[LINK_DATAGRAM_BYTES_MAX];
    struct writer w = writer_init(room, sizeof room);
    writer_u8(&w, type);
    writer_u32(&w, nonce);
    writer_u64(&w, member_view_digest(m));
    if (member_pack(m, i, &w)) member_flush_soon(m);
    member_send(m, i, &w, out);
}

void members_ping(struct members *m, int i, uint32_t nonce, const struct sink *out)
{
    member_send_ping(m, i, WIRE_PING, nonce, out);
}

void member_on_pong(struct members *m, int i, uint32_t nonce)
{
    struct member *p = &m->members[i];
    if (p->nonce == 0 || p->nonce != nonce) return;
    uint64_t ms = span_in_ms(instant_since(m->now, p->probed));
    if (p->tries <= 1) p->rtt_ms = ms > 60000 ? 60000 : (uint32_t)(ms ? ms : 1);
    p->nonce = 0;
    if (m->health > 1) m->health--;
}

void member_probe_tick(struct members *m, int i, const struct sink *out)
{
    static const uint32_t after_ms[] = {0, 250, 750, 1750}; /* PINGs, from the first one */
    struct member *p = &m->members[i];
    if (p->nonce == 0 || m->now.ns < p->again.ns) return;
    uint32_t sends = sizeof after_ms / sizeof *after_ms;
    if (p->tries < sends) {
        p->tries++;
        member_send_ping(m, i, WIRE_PING, p->nonce, out);
        p->again = p->tries < sends
                       ? instant_after(p->probed, span_ms(after_ms[p->tries]))
                       : instant_after(p->probed, span_ns(PROBE_PATIENCE.ns * m->health));
        p->again = instant_max(p->again, instant_after(m->now, span_ms(200)));
        return;
    }
    p->nonce = 0;
    if (p->heard.ns < p->probed.ns) members_accuse(m, i, out); /* nothing heard from it since */
}
