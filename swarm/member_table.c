#include "member_table.h"

#include <assert.h>

#define RETRY_DOUBLINGS 3 /* at most 8 s */

/* ---- lookup ---- */

int members_find(const struct members *m, sid s)
{
    for (int i = 0; i < MEMBERS_MAX; i++)
        if (m->members[i].used && m->members[i].sid == s) return i;
    return NOBODY;
}

int members_by_id(const struct members *m, const uint8_t id[CRYPTO_KEY_BYTES])
{
    int i = members_find(m, wire_sid(id));
    return i >= 0 && memcmp(m->members[i].id, id, CRYPTO_KEY_BYTES) == 0 ? i : NOBODY;
}

int members_by_link(const struct members *m, link_id link)
{
    if (link == LINK_NONE) return NOBODY;
    for (int i = 0; i < MEMBERS_MAX; i++)
        for (int j = 0; m->members[i].used && j < MEMBER_LINKS; j++)
            if (m->members[i].links[j].link == link) return i;
    return NOBODY;
}

/* ---- links ---- */

struct member_link *member_link_of(struct member *p, link_id link)
{
    for (int j = 0; j < MEMBER_LINKS; j++)
        if (p->links[j].link == link) return &p->links[j];
    return NULL;
}

bool member_any_link(const struct member *p)
{
    for (int j = 0; j < MEMBER_LINKS; j++)
        if (p->links[j].link != LINK_NONE) return true;
    return false;
}

bool member_greeted(const struct member *p, link_id link)
{
    for (int j = 0; j < MEMBER_LINKS; j++)
        if (p->links[j].link == link) return p->links[j].greeted && !member_over(p);
    return false;
}

/* Both sides agree on the order: the links that the smaller ID dialled come first, and of those the
 * newest. But a link on which a restarted process has sent HELLO beats those of its former life. (A
 * peer of version 1.0 identifies its process only by its incarnation, which also grows within one
 * process.) */
bool member_better_link(const struct members *m, const struct member *p,
                        const struct member_link *a, const struct member_link *b)
{
    bool smaller = memcmp(m->config.id, p->id, CRYPTO_KEY_BYTES) < 0;
    bool a_stays = a->dialled == smaller, b_stays = b->dialled == smaller;
    bool same_process = a->life && a->life == b->life;
    if (!same_process && a->incarnation != b->incarnation) return a->incarnation > b->incarnation;
    return a_stays != b_stays ? a_stays : a->order > b->order;
}

link_id member_link(const struct members *m, int member)
{
    const struct member *p = &m->members[member];
    const struct member_link *best = NULL;
    for (int j = 0; j < MEMBER_LINKS; j++) {
        const struct member_link *l = &p->links[j];
        bool usable = l->link != LINK_NONE && l->greeted && l->broken.ns == 0;
        if (usable && (!best || member_better_link(m, p, l, best))) best = l;
    }
    return best ? best->link : LINK_NONE;
}

bool members_any_usable(const struct members *m)
{
    for (int i = 0; i < MEMBERS_MAX; i++)
        if (m->members[i].used && member_link(m, i) != LINK_NONE) return true;
    return false;
}

uint64_t member_linked(const struct members *m)
{
    uint64_t mask = 0;
    for (int i = 0; i < MEMBERS_MAX; i++)
        if (m->members[i].used && member_link(m, i) != LINK_NONE) mask |= (uint64_t)1 << i;
    return mask;
}

/* ---- state of a member ---- */

bool member_live(const struct member *p)
{
    return p->used && p->known && (p->health == HEALTH_ALIVE || p->health == HEALTH_SUSPECT);
}

span member_progress_age(const struct member *p, instant now)
{
    const struct stored *s = &p->stored[STORED_PROGRESS];
    return span_ns(instant_since(now, s->at).ns + span_ms(s->age_ms).ns);
}

const struct record_reach *members_reach(const struct members *m, int member)
{
    if (member == NOBODY) return &m->reach;
    const struct member *p = &m->members[member];
    bool said = p->stored[STORED_REACH].count && p->reach.version.incarnation == p->incarnation;
    return said ? &p->reach : NULL;
}

uint32_t members_live(const struct members *m)
{
    uint32_t n = 1;
    for (int i = 0; i < MEMBERS_MAX; i++) n += member_live(&m->members[i]);
    return n;
}

struct address members_address(const struct members *m)
{
    return m->me.addresses_count ? m->me.addresses[0] : (struct address){0};
}

/* ---- digest ---- */

static uint64_t entry_digest(sid s, enum stored_kind k, struct version v)
{
    return rng_mix(rng_mix(rng_mix(s + (uint64_t)k) ^ v.incarnation) ^ v.seq);
}

uint64_t member_view_digest(const struct members *m)
{
    uint64_t d = m->revoked.count ? entry_digest(0, STORED_COUNT, m->revoked.version) : 0;
    for (int k = 0; k < STORED_COUNT; k++)
        if (m->mine[k].count) d ^= entry_digest(m->self, (enum stored_kind)k, m->mine[k].version);
    for (int i = 0; i < MEMBERS_MAX; i++) {
        const struct member *p = &m->members[i];
        if (!p->used || !p->known || !(member_live(p) || p->health == HEALTH_LEFT)) continue;
        for (int k = 0; k < STORED_COUNT; k++)
            if (p->stored[k].count)
                d ^= entry_digest(p->sid, (enum stored_kind)k, p->stored[k].version);
    }
    return d;
}

/* ---- news ---- */

void members_tell(struct members *m, enum member_news kind, int member)
{
    /* Nobody reads them; the members' states hold the same. */
    if (m->news_count == NEWS_MAX) return;
    uint32_t at = (m->news_first + m->news_count++) % NEWS_MAX;
    m->news[at].kind = kind;
    m->news[at].member = member;
}

bool members_news(struct members *m, enum member_news *kind, int *member)
{
    if (m->news_count == 0) return false;
    *kind = m->news[m->news_first].kind;
    *member = m->news[m->news_first].member;
    m->news_first = (m->news_first + 1) % NEWS_MAX;
    m->news_count--;
    return true;
}

void member_note(const struct sink *out, const char *name, const struct member *p, const char *key,
                 uint64_t value)
{
    sink_note(out, (struct note){.name = name,
                                 .numbers = {{key, value}},
                                 .hex = {"peer", bytes_of(p->id, sizeof p->id)}});
}

/* ---- entries ---- */

void member_forget_pushes(struct members *m, int member)
{
    uint64_t keep = ~((uint64_t)1 << member);
    m->revoked.push &= keep;
    for (int i = -1; i < MEMBERS_MAX; i++) {
        for (int k = 0; k < STORED_COUNT; k++)
            (i < 0 ? &m->mine[k] : &m->members[i].stored[k])->push &= keep;
        for (uint32_t j = 0; i >= 0 && j < m->members[i].accusers_count; j++)
            m->members[i].accusers[j].push &= keep;
    }
}

uint32_t member_listed(const struct members *m, const uint8_t id[CRYPTO_KEY_BYTES])
{
    for (size_t k = 0; k < m->listed_count; k++)
        if (memcmp(m->listed[k].id, id, CRYPTO_KEY_BYTES) == 0) return (uint32_t)k + 1;
    return 0;
}

static int room_for(struct members *m)
{
    int oldest = NOBODY;
    for (int i = 0; i < MEMBERS_MAX; i++) {
        struct member *p = &m->members[i];
        if (!p->used) return i;
        if (p->dialling || member_any_link(p) || member_live(p)) continue;
        if (oldest == NOBODY || p->gone.ns < m->members[oldest].gone.ns) oldest = i;
    }
    if (oldest != NOBODY) member_forget_pushes(m, oldest);
    return oldest;
}

int members_add(struct members *m, const uint8_t id[CRYPTO_KEY_BYTES])
{
    if (wire_sid(id) == 0 || members_find(m, wire_sid(id)) != NOBODY) return NOBODY;
    int i = room_for(m);
    if (i == NOBODY) return NOBODY;
    bool dialling = false; /* by listed_dial */
    for (size_t k = 0; k < m->listed_count; k++)
        dialling = dialling ||
                   (m->listed[k].dialling && memcmp(m->listed[k].id, id, CRYPTO_KEY_BYTES) == 0);
    m->members[i] = (struct member){.used = true,
                                    .sid = wire_sid(id),
                                    .health = HEALTH_DEAD,
                                    .gone = m->now,
                                    .listed = member_listed(m, id),
                                    .dialling = dialling,
                                    .dial_at = INSTANT_NEVER,
                                    .unreached = REACH_REASONS};
    memcpy(m->members[i].id, id, CRYPTO_KEY_BYTES);
    return i;
}

void members_remove(struct members *m, int i)
{
    assert(!m->members[i].known && !member_any_link(&m->members[i]));
    member_forget_pushes(m, i);
    m->members[i].used = false;
}

/* ---- dials ---- */

span member_jittered(struct members *m, span s)
{
    return span_ns(s.ns * 3 / 4 + rng_below(&m->rng, s.ns / 2 + 1));
}

span member_back_off(struct members *m, uint32_t failures, span first)
{
    uint32_t doublings = failures > RETRY_DOUBLINGS ? RETRY_DOUBLINGS : failures - 1;
    return member_jittered(m, failures ? span_ns(MEMBER_RETRY_FIRST.ns << doublings) : first);
}
