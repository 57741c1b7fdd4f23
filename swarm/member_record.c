#include "member_record.h"

#include "access.h"
#include "contact.h"
#include "member_health.h"
#include "member_probe.h"
#include "member_push.h"
#include "member_table.h"
#include "unreachable.h"
#include "wire.h"

#define CLONE_PERIOD span_s(10) /* SPEC.md, "Membership" */

/* A record signed with my key, newer than mine and not made in this life: another process has my
 * key, or my clock went back. Raising my incarnation above it settles the second case; the first
 * one needs a person. */
static void meet_self(struct members *m, struct version v, const struct sink *out)
{
    struct version mine = {m->incarnation, m->seq};
    if (!version_newer(v, mine) || m->now.ns < m->clone_at.ns) return;
    m->clone_at = instant_after(m->now, CLONE_PERIOD);
    sink_note(out, (struct note){.name = "clone",
                                 .numbers = {{"incarnation", v.incarnation}},
                                 .hex = {"peer", bytes_of(m->config.id, CRYPTO_KEY_BYTES)}});
    member_outgrow(m, v.incarnation);
}

bool member_fresh(const struct stored *s, struct version v)
{
    return s->count == 0 || version_newer(v, s->version);
}

static void keep(struct members *m, int i, enum stored_kind k, struct version v, uint32_t age,
                 struct bytes bytes, int from)
{
    struct member *p = &m->members[i];
    struct stored *s = &p->stored[k];
    memcpy(s->bytes, bytes.data, bytes.count);
    s->count = (uint16_t)bytes.count;
    s->version = v;
    s->at = m->now;
    s->age_ms = age;
    /* A writer sends its PROGRESS to all its links itself; the others learn it by SYNC. */
    s->push = k == STORED_PROGRESS ? 0 : member_some_linked(m, member_bit(from) | member_bit(i));
    if (s->push) member_flush_soon(m);
    uint64_t ago = span_ms(age).ns;
    instant when = {m->now.ns > ago ? m->now.ns - ago : 0};
    p->heard = instant_max(p->heard, when);
    if (v.incarnation > p->incarnation) p->incarnation = v.incarnation;
}

/* An incarnation above the one that is suspected, dead or gone revives the member, unless the
 * record is itself too old. */
static void reconsider(struct members *m, int i, const struct sink *out)
{
    struct member *p = &m->members[i];
    if (p->health == HEALTH_ALIVE || p->incarnation <= p->suspected_incarnation) return;
    if (instant_since(m->now, p->heard).ns > MEMBER_LEASE.ns) return;
    if (access_over(m, p)) return;
    if (!member_live(p) && members_live(m) >= NODE_GROUP_MAX) return;
    member_revive(m, i, out);
}

static bool same_addresses(const struct record_peer *a, const struct record_peer *b)
{
    if (a->addresses_count != b->addresses_count) return false;
    for (size_t j = 0; j < a->addresses_count; j++)
        if (!address_equal(&a->addresses[j], &b->addresses[j])) return false;
    return true;
}

static bool absorb_peer(struct members *m, const struct record_peer *r, uint32_t age,
                        struct bytes bytes, int from, const struct sink *out)
{
    int i = members_find(m, wire_sid(r->id));
    if (i != NOBODY && memcmp(m->members[i].id, r->id, CRYPTO_KEY_BYTES) != 0) return true;
    if (i != NOBODY && !member_fresh(&m->members[i].stored[STORED_PEER], r->version)) return true;
    if (!record_verify(m->config.crypto, m->config.run_id, bytes, r->id)) return false;
    bool full = members_live(m) >= NODE_GROUP_MAX;
    if (i == NOBODY) {
        if (full) return true;
        i = members_add(m, r->id);
        if (i == NOBODY) return true;
    }
    struct member *p = &m->members[i];
    if (!p->known && full) return true;
    bool moved = !same_addresses(&p->peer, r);
    p->peer = *r;
    p->known = true;
    keep(m, i, STORED_PEER, r->version, age, bytes, from);
    reconsider(m, i, out);
    /* The first record often has no address: its writer did not know its own yet. */
    if (moved) contact_learned(m, i);
    return true;
}

/* The member that this record belongs to, if it is new and properly signed. Otherwise NOBODY, and
 * `good` says whether a conforming node could have sent it. A member's PEER record must arrive
 * before its other records. */
static int news_of(const struct members *m, sid writer, enum stored_kind k, struct version v,
                   struct bytes bytes, bool *good)
{
    int i = members_find(m, writer);
    *good = true;
    if (i == NOBODY || !m->members[i].known || !member_fresh(&m->members[i].stored[k], v))
        return NOBODY;
    *good = record_verify(m->config.crypto, m->config.run_id, bytes, m->members[i].id);
    return *good ? i : NOBODY;
}

static bool absorb_progress(struct members *m, const struct record_progress *r, uint32_t age,
                            struct bytes bytes, int from, const struct sink *out)
{
    bool good;
    int i = news_of(m, r->sid, STORED_PROGRESS, r->version, bytes, &good);
    if (i == NOBODY) return good;
    struct member *p = &m->members[i];
    p->progress = *r;
    keep(m, i, STORED_PROGRESS, r->version, age, bytes, from);
    reconsider(m, i, out);
    members_tell(m, NEWS_PROGRESS, i);
    return true;
}

static bool absorb_leave(struct members *m, const struct record_leave *r, uint32_t age,
                         struct bytes bytes, int from, const struct sink *out)
{
    bool good;
    int i = news_of(m, r->sid, STORED_LEAVE, r->version, bytes, &good);
    if (i == NOBODY) return good;
    struct member *p = &m->members[i];
    keep(m, i, STORED_LEAVE, r->version, age, bytes, from);
    if (r->version.incarnation >= p->incarnation && p->health != HEALTH_LEFT) {
        member_lose(m, i, HEALTH_LEFT, out);
        contact_drop(m, i, CLOSE_OK, out);
    }
    return true;
}

static bool absorb_reach(struct members *m, const struct record_reach *r, uint32_t age,
                         struct bytes bytes, int from, const struct sink *out)
{
    bool good;
    int i = news_of(m, r->sid, STORED_REACH, r->version, bytes, &good);
    if (i == NOBODY) return good;
    struct member *p = &m->members[i];
    bool changed = !unreachable_same(&p->reach, r);
    p->reach = *r;
    keep(m, i, STORED_REACH, r->version, age, bytes, from);
    reconsider(m, i, out);
    if (changed) member_note(out, "reach", p, "unreachable", r->count);
    return true;
}

static bool absorb_suspect(struct members *m, const struct record_suspect *r, struct bytes bytes,
                           int from, const struct sink *out)
{
    int accuser = members_find(m, r->accuser);
    if (accuser == NOBODY || !m->members[accuser].known) return true;
    int target = members_find(m, r->target);
    bool me = r->target == m->self;
    if (me && r->incarnation < m->incarnation && from != NOBODY)
        for (int k = 0; k < STORED_COUNT; k++) /* already refuted: the sender does not know yet */
            if (m->mine[k].count) m->mine[k].push |= member_bit(from), member_flush_soon(m);
    if (me ? r->incarnation != m->incarnation
           : target == NOBODY || r->incarnation != m->members[target].incarnation)
        return true;
    if (!record_verify(m->config.crypto, m->config.run_id, bytes, m->members[accuser].id))
        return false;
    if (!me) {
        if (member_accused(m, target, r->accuser, r->incarnation, bytes.data, from, out) &&
            from != NOBODY)
            member_probe(m, target); /* check the rumour */
        return true;
    }
    if (m->health < MEMBER_HEALTH_WORST) m->health++;
    member_note(out, "accused", &m->members[accuser], "incarnation", m->incarnation);
    member_outgrow(m, m->incarnation);
    return true;
}

static struct version version_of(const struct record *r)
{
    switch (r->kind) {
    case RECORD_PEER:
        return r->peer.version;
    case RECORD_PROGRESS:
        return r->progress.version;
    case RECORD_LEAVE:
        return r->leave.version;
    case RECORD_REACH:
        return r->reach.version;
    case RECORD_SUSPECT:
    case RECORD_REVOKED:
        break;
    }
    return (struct version){0, 0};
}

/* Handles a record that `from` forwarded. False when no conforming node could have sent it. */
static bool absorb(struct members *m, uint32_t age, struct bytes bytes, int from,
                   const struct sink *out)
{
    struct record r;
    bool known_kind =
        bytes.count > 0 && bytes.data[0] >= RECORD_PEER && bytes.data[0] <= RECORD_REVOKED;
    if (!known_kind) return bytes.count > 0; /* from a later minor version */
    if (bytes.data[0] == RECORD_REVOKED) return access_revoke(m, bytes, from, out);
    if (!record_read(bytes, &r)) return false;
    if (record_writer(&r) == m->self) {
        if (version_newer(version_of(&r), (struct version){m->incarnation, m->seq}) &&
            record_verify(m->config.crypto, m->config.run_id, bytes, m->config.id))
            meet_self(m, version_of(&r), out);
        return true;
    }
    switch (r.kind) {
    case RECORD_PEER:
        return absorb_peer(m, &r.peer, age, bytes, from, out);
    case RECORD_PROGRESS:
        return absorb_progress(m, &r.progress, age, bytes, from, out);
    case RECORD_SUSPECT:
        return absorb_suspect(m, &r.suspect, bytes, from, out);
    case RECORD_LEAVE:
        return absorb_leave(m, &r.leave, age, bytes, from, out);
    case RECORD_REACH:
        return absorb_reach(m, &r.reach, age, bytes, from, out);
    case RECORD_REVOKED:
        break;
    }
    return true;
}

bool member_absorb_all(struct members *m, struct reader *r, int from, const struct sink *out)
{
    uint32_t age;
    struct bytes record;
    bool good = true;
    while (good && record_unpack(r, &age, &record)) good = absorb(m, age, record, from, out);
    return good && !r->bad;
}

/* Is it a PEER record that names this ID? */
static bool names(struct bytes record, const uint8_t id[CRYPTO_KEY_BYTES])
{
    struct record r;
    return record_read(record, &r) && r.kind == RECORD_PEER &&
           memcmp(r.peer.id, id, CRYPTO_KEY_BYTES) == 0;
}

bool members_own_record(const struct members *m, const uint8_t id[CRYPTO_KEY_BYTES],
                        struct bytes record)
{
    return names(record, id) && record_verify(m->config.crypto, m->config.run_id, record, id);
}

bool members_absorb_hello(struct members *m, int i, struct bytes record, const struct sink *out)
{
    return names(record, m->members[i].id) && absorb(m, 0, record, i, out);
}
