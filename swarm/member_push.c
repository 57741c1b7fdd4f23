#include "member_push.h"

#include "member_table.h"
#include "wire.h"

#define FANOUT 3 /* SPEC.md, "Membership" */

void member_send(struct members *m, int member, const struct writer *w, const struct sink *out)
{
    struct action a = {.kind = ACTION_DATAGRAM,
                       .peer = m->members[member].sid,
                       .link = member_link(m, member),
                       .bytes = writer_bytes(w)};
    if (a.link != LINK_NONE) sink_act(out, &a);
}

void member_say_record(const struct members *m, int member, const struct stored *s,
                       const struct sink *out)
{
    uint8_t room[RECORD_ENVELOPE_BYTES + RECORD_BYTES_MAX];
    struct writer w = writer_init(room, sizeof room);
    (void)record_pack(&w, 0, member_stored_bytes(s));
    struct action a = {.kind = ACTION_FRAME,
                       .peer = m->members[member].sid,
                       .link = member_link(m, member),
                       .type = WIRE_GOSSIP,
                       .bytes = writer_bytes(&w)};
    if (a.link != LINK_NONE) sink_act(out, &a);
}

uint32_t member_age_ms(const struct stored *s, instant now)
{
    uint64_t age = span_in_ms(instant_since(now, s->at)) + s->age_ms;
    return age > UINT32_MAX ? UINT32_MAX : (uint32_t)age;
}

struct bytes member_stored_bytes(const struct stored *s) { return bytes_of(s->bytes, s->count); }

/* ---- waiting records ---- */

bool member_pack(struct members *m, int member, struct writer *w)
{
    uint64_t bit = (uint64_t)1 << member;
    bool left = false;
    if (m->revoked.push & bit) {
        struct stored *s = &m->revoked;
        if (!record_pack(w, member_age_ms(s, m->now), member_stored_bytes(s))) left = true;
        else s->push &= ~bit;
    }
    for (int i = -1; i < MEMBERS_MAX; i++) {
        if (i >= 0 && !m->members[i].used) continue;
        for (int k = 0; k < STORED_COUNT; k++) {
            struct stored *s = i < 0 ? &m->mine[k] : &m->members[i].stored[k];
            if (!(s->push & bit)) continue;
            if (!record_pack(w, member_age_ms(s, m->now), member_stored_bytes(s))) left = true;
            else s->push &= ~bit;
        }
        for (uint32_t j = 0; i >= 0 && j < m->members[i].accusers_count; j++) {
            uint64_t *push = &m->members[i].accusers[j].push;
            if (!(*push & bit)) continue;
            if (!record_pack(w, 0, bytes_of(m->members[i].accusers[j].bytes, RECORD_SUSPECT_BYTES)))
                left = true;
            else *push &= ~bit;
        }
    }
    return left;
}

static uint64_t pushed_to(const struct members *m)
{
    uint64_t all = m->revoked.push;
    for (int i = -1; i < MEMBERS_MAX; i++) {
        if (i >= 0 && !m->members[i].used) continue;
        for (int k = 0; k < STORED_COUNT; k++)
            all |= i < 0 ? m->mine[k].push : m->members[i].stored[k].push;
        for (uint32_t j = 0; i >= 0 && j < m->members[i].accusers_count; j++)
            all |= m->members[i].accusers[j].push;
    }
    return all;
}

void member_flush(struct members *m, const struct sink *out)
{
    uint64_t all = pushed_to(m);
    m->flush_at = INSTANT_NEVER;
    for (int i = 0; i < MEMBERS_MAX; i++) {
        if (!(all >> i & 1)) continue;
        if (member_link(m, i) == LINK_NONE) {
            member_forget_pushes(m, i); /* it will SYNC once it is linked */
            continue;
        }
        bool left = true;
        while (left) {
            uint8_t room[LINK_DATAGRAM_BYTES_MAX];
            struct writer w = writer_init(room, sizeof room);
            writer_u8(&w, WIRE_GOSSIP);
            left = member_pack(m, i, &w);
            member_send(m, i, &w, out);
        }
    }
}

void member_flush_soon(struct members *m)
{
    m->flush_at = instant_min(m->flush_at, instant_after(m->now, MEMBER_FLUSH_DELAY));
}

/* FANOUT random linked members, without the excluded ones. */
uint64_t member_some_linked(struct members *m, uint64_t excluded)
{
    uint64_t left = member_linked(m) & ~excluded, chosen = 0;
    for (int n = 0; n < FANOUT && left; n++) {
        uint64_t which = rng_below(&m->rng, (uint64_t)__builtin_popcountll(left));
        uint64_t rest = left;
        while (which-- > 0) rest &= rest - 1;
        uint64_t bit = rest & ~(rest - 1);
        chosen |= bit;
        left &= ~bit;
    }
    return chosen;
}

/* ---- my own records ---- */

static void keep_mine(struct members *m, enum stored_kind k, const struct record *r,
                      struct version v)
{
    struct stored *s = &m->mine[k];
    s->count = (uint16_t)record_write(m->config.crypto, m->config.run_id, r, s->bytes);
    s->version = v;
    s->at = m->now;
    s->age_ms = 0;
    s->push = member_linked(m);
    if (s->push) member_flush_soon(m);
}

static struct version next_version(struct members *m)
{
    return (struct version){m->incarnation, ++m->seq};
}

void members_publish_peer(struct members *m)
{
    struct record r = {.kind = RECORD_PEER, .peer = m->me};
    m->me.version = r.peer.version = next_version(m);
    keep_mine(m, STORED_PEER, &r, r.peer.version);
}

static void publish_progress(struct members *m)
{
    struct record r = {.kind = RECORD_PROGRESS, .progress = m->progress};
    r.progress.sid = m->self;
    r.progress.version = next_version(m);
    keep_mine(m, STORED_PROGRESS, &r, r.progress.version);
}

void members_publish_reach(struct members *m)
{
    struct record r = {.kind = RECORD_REACH, .reach = m->reach};
    r.reach.sid = m->self;
    r.reach.version = next_version(m);
    keep_mine(m, STORED_REACH, &r, r.reach.version);
}

void members_publish(struct members *m, const struct record_progress *mine, instant now,
                     const struct sink *out)
{
    m->now = now;
    m->progress = *mine;
    m->published = true;
    publish_progress(m);
    member_flush(m, out);
}

void member_outgrow(struct members *m, uint64_t incarnation)
{
    if (incarnation >= m->incarnation && incarnation < UINT64_MAX - 1)
        m->incarnation = incarnation + 1;
    members_publish_peer(m);
    if (m->published) publish_progress(m);
    if (m->mine[STORED_REACH].count) members_publish_reach(m);
}

void members_leave(struct members *m, instant now, const struct sink *out)
{
    m->now = now;
    struct record r = {.kind = RECORD_LEAVE, .leave = {.sid = m->self}};
    r.leave.version = next_version(m);
    keep_mine(m, STORED_LEAVE, &r, r.leave.version);
    m->mine[STORED_LEAVE].push = 0;
    for (int i = 0; i < MEMBERS_MAX; i++)
        if (m->members[i].used) member_say_record(m, i, &m->mine[STORED_LEAVE], out);
}
