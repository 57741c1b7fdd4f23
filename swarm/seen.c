#include "seen.h"

#include "member_push.h"
#include "member_table.h"

struct place { /* an address at which peers see me */
    struct address address;
    uint32_t votes;
    instant latest;
};

/* Does this member's report count for this address? A private address means something only to peers
 * that have one too. */
static bool counts(const struct members *m, int i)
{
    const struct member *p = &m->members[i];
    if (!p->used || p->sees_me.family == 0 || member_link(m, i) == LINK_NONE) return false;
    return !address_private(&p->sees_me) || address_private(&p->observed);
}

/* All addresses with their votes; returns their number. */
static uint32_t places(const struct members *m, struct place out[MEMBERS_MAX], uint32_t *voters)
{
    uint32_t count = 0;
    *voters = 0;
    for (int i = 0; i < MEMBERS_MAX; i++) {
        const struct member *p = &m->members[i];
        if (!counts(m, i)) continue;
        uint32_t k = 0;
        while (k < count && !address_equal(&out[k].address, &p->sees_me)) k++;
        if (k == count) out[count++] = (struct place){.address = p->sees_me};
        out[k].votes++;
        out[k].latest = instant_max(out[k].latest, p->sees_me_at);
        ++*voters;
    }
    return count;
}

/* The newest address with enough votes. */
static const struct place *newest(const struct place *all, uint32_t count, uint32_t needed)
{
    const struct place *best = NULL;
    for (uint32_t k = 0; k < count; k++)
        if (all[k].votes >= needed && (!best || all[k].latest.ns > best->latest.ns)) best = &all[k];
    return best;
}

static bool advertised(const struct members *m, const struct address *a)
{
    for (size_t j = 0; j < m->me.addresses_count; j++)
        if (address_equal(&m->me.addresses[j], a)) return true;
    return false;
}

void seen_by(struct members *m, int member, const struct address *a)
{
    struct place all[MEMBERS_MAX];
    struct address chosen[RECORD_ADDRESSES_MAX];
    uint32_t voters, count, taken = 0;
    bool news = false;
    if (a->family == 0) return;
    m->members[member].sees_me = *a;
    m->members[member].sees_me_at = m->now;
    if (m->config.advertise.family != 0) return;
    count = places(m, all, &voters);
    uint32_t needed = voters > 1 ? 2 : 1;
    for (const struct place *p; taken < RECORD_ADDRESSES_MAX && (p = newest(all, count, needed));) {
        news = news || !advertised(m, &p->address);
        chosen[taken++] = p->address;
        all[p - all].votes = 0;
    }
    /* Without agreement, the advertised addresses stay. */
    if (taken == 0 || (!news && taken == m->me.addresses_count)) return;
    for (uint32_t j = 0; j < taken; j++) m->me.addresses[j] = chosen[j];
    m->me.addresses_count = (uint8_t)taken;
    members_publish_peer(m);
}

void seen_named(struct members *m, const struct address *a)
{
    struct record_peer *me = &m->me;
    bool observed = m->config.advertise.family == 0;
    if (a->family == 0 || (!observed && advertised(m, a))) return;
    if (!observed) me->addresses[1] = me->addresses[0];
    me->addresses_count = observed ? 1 : 2;
    me->addresses[0] = m->config.advertise = *a;
    members_publish_peer(m);
}

void seen_tell(const struct members *m, link_id link, const struct address *a,
               const struct sink *out)
{
    uint8_t room[19];
    struct writer w = writer_init(room, sizeof room);
    int i = members_by_link(m, link);
    wire_write_address(&w, a);
    struct action f = {.kind = ACTION_FRAME,
                       .peer = i == NOBODY ? 0 : m->members[i].sid,
                       .link = link,
                       .type = WIRE_SEEN,
                       .bytes = writer_bytes(&w)};
    sink_act(out, &f);
}
