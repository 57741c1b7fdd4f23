#include "twin.h"

#include <stdio.h>

#include "contact.h"
#include "member_probe.h"

/* for the first process to answer; if it is gone, its link may end sooner */
#define PATIENCE span_s(5)
#define AGAIN    span_ms(400)

/* The link of another process than this one; NULL: there is none. */
static const struct member_link *other(const struct member *p, uint64_t life)
{
    for (int j = 0; j < MEMBER_LINKS; j++) {
        const struct member_link *l = &p->links[j];
        if (l->link != LINK_NONE && l->greeted && l->life && l->life != life) return l;
    }
    return NULL;
}

static void ask(struct members *m, int i, const struct sink *out)
{
    struct twin *t = &m->members[i].twin;
    t->again = instant_after(m->now, AGAIN);
    members_ping(m, i, t->nonce, out);
}

/* Ends all links of other processes than this one. */
static void give_up(struct members *m, struct member *p, uint64_t life, const struct sink *out)
{
    for (const struct member_link *first; (first = other(p, life));) {
        link_id dead = first->link;
        contact_hang_up(m, dead, CLOSE_DEAD, "silent, and another process has its key", out);
        contact_forget(m, dead);
    }
}

bool twin_holds(struct members *m, int i, const struct member_link *l, const struct hello *h,
                const struct sink *out)
{
    struct member *p = &m->members[i];
    const struct member_link *first = h->life ? other(p, h->life) : NULL;
    if (!first || h->record.count > sizeof p->twin.record) return false;
    if (address_equal(&first->address, &l->address)) { /* a socket has one owner: a restart */
        give_up(m, p, h->life, out);
        return false;
    }
    p->twin = (struct twin){.link = l->link,
                            .until = instant_after(m->now, PATIENCE),
                            .again = m->now,
                            .nonce = (uint32_t)rng_next(&m->rng) | 1,
                            .life = h->life,
                            .seen = h->seen,
                            .count = (uint16_t)h->record.count};
    memcpy(p->twin.record, h->record.data, h->record.count);
    return true;
}

void twin_pong(struct members *m, int i, link_id link, uint32_t nonce, const struct sink *out)
{
    struct member *p = &m->members[i];
    if (p->twin.link == LINK_NONE || p->twin.nonce != nonce) return;
    char where[ADDRESS_TEXT_BYTES], text[ADDRESS_TEXT_BYTES + 64];
    const struct member_link *first = other(p, p->twin.life);
    if (!first || first->link != link) return;
    address_print(&first->address, where);
    snprintf(text, sizeof text, "another worker with this key is in the swarm, seen at %s", where);
    link_id copy = p->twin.link;
    contact_hang_up(m, copy, CLOSE_SELF, text, out);
    contact_note(p->id, "copy", "first", where, out);
    contact_forget(m, copy);
}

bool twin_look(struct members *m, int i, struct twin *second, const struct sink *out)
{
    struct member *p = &m->members[i];
    if (!p->used || p->twin.link == LINK_NONE) return false;
    const struct member_link *first = other(p, p->twin.life);
    if (first && m->now.ns < p->twin.until.ns) {
        if (m->now.ns >= p->twin.again.ns) ask(m, i, out);
        return false;
    }
    give_up(m, p, p->twin.life, out);
    *second = p->twin;
    p->twin = (struct twin){0};
    return true;
}

instant twin_due(const struct member *p)
{
    return p->twin.link == LINK_NONE ? INSTANT_NEVER : instant_min(p->twin.again, p->twin.until);
}
