#include "member.h"

#include "access.h"
#include "contact.h"
#include "doubles.h"
#include "hello.h"
#include "member_health.h"
#include "member_probe.h"
#include "member_push.h"
#include "member_record.h"
#include "member_sync.h"
#include "member_table.h"
#include "twin.h"
#include "unreachable.h"
#include "wire.h"

/* SPEC.md, "Membership". */
#define PROBE_PERIOD span_s(1)
#define SYNC_PERIOD  span_s(5)
#define LATE         span_ms(250)

/* ---- messages ---- */

static void heard_from(struct members *m, int i, const struct sink *out)
{
    struct member *p = &m->members[i];
    p->heard = m->now;
    member_tell_suspect(m, i, out);
}

bool members_gossip(struct members *m, link_id link, struct bytes body, instant now,
                    const struct sink *out)
{
    m->now = now;
    int i = members_by_link(m, link);
    if (i == NOBODY) return true;
    struct reader r = reader_init(body);
    bool good = member_absorb_all(m, &r, i, out);
    if (m->members[i].used) heard_from(m, i, out);
    return good;
}

bool members_datagram(struct members *m, link_id link, struct bytes bytes, instant now,
                      const struct sink *out)
{
    m->now = now;
    int i = members_by_link(m, link);
    if (i == NOBODY || !member_greeted(&m->members[i], link)) return true;
    struct reader r = reader_init(bytes);
    uint8_t type = reader_u8(&r);
    uint32_t nonce = 0;
    uint64_t digest = 0;
    if (type == WIRE_PING || type == WIRE_PONG) {
        nonce = reader_u32(&r);
        digest = reader_u64(&r);
    } else if (type != WIRE_GOSSIP) {
        return true;
    }
    if (r.bad || !member_absorb_all(m, &r, i, out)) return false;
    if (!m->members[i].used) return true;
    if (type != WIRE_GOSSIP) m->members[i].differs = digest != member_view_digest(m);
    if (type == WIRE_PONG) {
        member_on_pong(m, i, nonce);
        twin_pong(m, i, link, nonce, out);
    }
    if (type == WIRE_PING) member_send_ping(m, i, WIRE_PONG, nonce, out);
    heard_from(m, i, out);
    return true;
}

void members_revoked(struct members *m, struct bytes record, const struct sink *out)
{
    (void)access_revoke(m, record, NOBODY, out);
}

/* ---- time ---- */

void members_tick(struct members *m, instant now, const struct sink *out)
{
    m->now = now;
    if (now.ns >= m->probe_at.ns) {
        m->probe_at = instant_after(now, PROBE_PERIOD);
        member_probe_next(m);
    }
    if (m->ticket && now.ns >= m->sync_until.ns) m->ticket = 0;
    if (!m->ticket && now.ns >= m->sync_at.ns) {
        m->sync_at = instant_after(now, SYNC_PERIOD);
        member_sync_someone(m, out);
    }
    for (int i = 0; i < MEMBERS_MAX; i++) {
        if (!m->members[i].used) continue;
        member_probe_tick(m, i, out);
        if (member_health_tick(m, i, out)) contact_drop(m, i, CLOSE_DEAD, out);
    }
    hello_tick(m, out);
    unreachable_tick(m);
    if (now.ns >= m->flush_at.ns) member_flush(m, out);
}

instant members_due(const struct members *m)
{
    instant due = instant_min(m->probe_at, m->flush_at);
    due = instant_min(due, m->ticket ? m->sync_until : m->sync_at);
    due = instant_min(due, m->reach_at);
    for (int i = 0; i < MEMBERS_MAX; i++) {
        const struct member *p = &m->members[i];
        if (!p->used) continue;
        if (p->nonce) due = instant_min(due, p->again);
        due = instant_min(due, instant_min(twin_due(p), doubles_due(p)));
        if (!member_live(p)) continue;
        due = instant_min(due, instant_after(p->heard, MEMBER_LEASE));
        if (p->health == HEALTH_SUSPECT) due = instant_min(due, member_suspicion_ends(m, p));
    }
    return instant_min(instant_min(due, contact_due(m)), access_due(m));
}

void members_late(struct members *m, span late)
{
    if (late.ns < LATE.ns) return;
    if (m->health < MEMBER_HEALTH_WORST) m->health++;
    for (int i = 0; i < MEMBERS_MAX; i++) {
        struct member *p = &m->members[i];
        p->probed = instant_after(p->probed, late);
        if (p->nonce) p->again = instant_after(p->again, late);
        p->suspected = instant_after(p->suspected, late);
        if (p->doubled.ns) p->doubled = instant_after(p->doubled, late);
        if (p->used) p->heard = instant_after(p->heard, late);
    }
}

void members_init(struct members *m, const struct member_config *c, struct rng rng, instant now)
{
    *m = (struct members){.config = *c,
                          .self = wire_sid(c->id),
                          .rng = rng,
                          .now = now,
                          .incarnation = c->incarnation,
                          .health = 1,
                          .probe_at = instant_after(now, PROBE_PERIOD),
                          .flush_at = INSTANT_NEVER,
                          .reach_at = INSTANT_NEVER,
                          .sync_at = instant_after(now, SYNC_PERIOD),
                          .sync_with = NOBODY};
    memcpy(m->me.id, c->id, sizeof m->me.id);
    if (c->advertise.family) m->me.addresses[m->me.addresses_count++] = c->advertise;
    members_publish_peer(m);
    contact_init(m);
}
