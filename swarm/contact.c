#include "contact.h"

#include "listed.h"
#include "member_health.h"
#include "member_table.h"
#include "seen.h"
#include "stranger.h"

#define RECONNECT       span_s(30)
#define RECONNECT_ALONE span_s(5)
#define REFUSED         span_s(300) /* another run or version is unlikely to change soon */
#define REDIAL          span_ms(300)
/* If nobody has heard from it for so long either, a failed dial becomes an accusation. */
#define UNHEARD    span_s(15)
#define BROKEN     span_s(1)
#define REMEMBERED span_s(24 * 3600)

/* ---- links ---- */

void contact_hang_up(const struct members *m, link_id link, uint32_t code, const char *text,
                     const struct sink *out)
{
    int i = members_by_link(m, link);
    struct action a = {.kind = ACTION_HANG_UP,
                       .peer = i == NOBODY ? 0 : m->members[i].sid,
                       .link = link,
                       .code = code,
                       .text = text};
    sink_act(out, &a);
}

/* Schedules the next dial to a member without a link. */
static void plan_dial(struct members *m, int i, span first)
{
    struct member *p = &m->members[i];
    if (member_live(p) || (p->listed && !members_any_usable(m)))
        p->dial_at = instant_after(m->now, member_back_off(m, p->failures, first));
    else p->dial_at = INSTANT_NEVER; /* left to reconnect() */
}

void contact_learned(struct members *m, int i)
{
    struct member *p = &m->members[i];
    if (!member_live(p) || member_any_link(p) || p->dialling || m->now.ns < p->refused.ns) return;
    p->failures = 0; /* the new address is tried first */
    p->dial_at =
        instant_min(p->dial_at, instant_max(m->now, instant_after(p->dialled, MEMBER_RETRY_FIRST)));
}

/* The last link is gone: the whole peer list is dialled again. */
static void all_lost(struct members *m)
{
    if (m->listed_count) m->listed_at = m->now;
    for (int i = 0; i < MEMBERS_MAX; i++) {
        const struct member *p = &m->members[i];
        if (p->used && p->listed && !member_live(p) && !p->dialling && !member_any_link(p))
            plan_dial(m, i, REDIAL);
    }
}

/* After a change that may have taken away the link in use. */
static void link_lost(struct members *m, int i, link_id before)
{
    if (before == LINK_NONE || member_link(m, i) == before) return;
    m->members[i].nonce = 0; /* its PING went over the lost link */
    members_tell(m, NEWS_UNLINKED, i);
    if (member_link(m, i) != LINK_NONE) members_tell(m, NEWS_LINKED, i);
    else if (!members_any_usable(m)) all_lost(m);
}

static void forget_link(struct members *m, int i, struct member_link *l)
{
    link_id before = member_link(m, i);
    if (member_held_back(&m->members[i], l->link)) m->members[i].twin = (struct twin){0};
    *l = (struct member_link){.link = LINK_NONE};
    link_lost(m, i, before);
}

void contact_forget(struct members *m, link_id link)
{
    int i = members_by_link(m, link);
    if (i != NOBODY) forget_link(m, i, member_link_of(&m->members[i], link));
}

void contact_broken(struct members *m, link_id link)
{
    int i = members_by_link(m, link);
    if (i == NOBODY) return;
    link_id before = member_link(m, i);
    member_link_of(&m->members[i], link)->broken = instant_after(m->now, BROKEN);
    link_lost(m, i, before);
}

/* Hangs up links without a HELLO, so that they do not occupy a slot for long. */
static void drop_mute_links(struct members *m, int i, const struct sink *out)
{
    for (int j = 0; j < MEMBER_LINKS; j++) {
        const struct member_link *l = &m->members[i].links[j];
        if (l->link == LINK_NONE || l->greeted || member_held_back(&m->members[i], l->link) ||
            m->now.ns < instant_after(l->since, HELLO_PATIENCE).ns)
            continue;
        contact_hang_up(m, l->link, CLOSE_PROTOCOL, "there was no HELLO", out);
        contact_refuse(m, l->link);
    }
}

/* Returns links to use that were marked broken and did not end. */
static void mend_links(struct members *m, int i)
{
    link_id before = member_link(m, i);
    for (int j = 0; j < MEMBER_LINKS; j++) {
        struct member_link *l = &m->members[i].links[j];
        if (l->link != LINK_NONE && m->now.ns >= l->broken.ns) l->broken = (instant){0};
    }
    if (member_link(m, i) != before) members_tell(m, NEWS_LINKED, i);
}

void contact_drop(struct members *m, int i, uint32_t code, const struct sink *out)
{
    struct member *p = &m->members[i];
    for (int j = 0; j < MEMBER_LINKS; j++) {
        link_id link = p->links[j].link;
        if (link == LINK_NONE) continue;
        contact_hang_up(m, link, code, code == CLOSE_DEAD ? "silent for too long" : "goodbye", out);
        forget_link(m, i, &p->links[j]);
    }
    p->failures = 0;
    plan_dial(m, i, MEMBER_RETRY_FIRST);
}

void members_address_found(struct members *m, const uint8_t id[CRYPTO_KEY_BYTES],
                           const struct address *a, uint32_t list, instant now)
{
    m->now = now;
    if (wire_sid(id) == m->self) {
        seen_named(m, a);
        return;
    }
    int i = members_by_id(m, id);
    if (listed_found(m, id, a, list) && i != NOBODY) contact_learned(m, i);
}

void members_listed(struct members *m, const uint8_t id[CRYPTO_KEY_BYTES], const struct address *a,
                    uint32_t list, instant now)
{
    m->now = now;
    int i = members_by_id(m, id);
    if (wire_sid(id) != m->self && listed_add(m, id, a, list) && i != NOBODY) contact_learned(m, i);
}

struct member_link *contact_slot(struct members *m, int i, const struct sink *out)
{
    struct member *p = &m->members[i];
    struct member_link *worst = &p->links[0];
    for (int j = 0; j < MEMBER_LINKS; j++) {
        if (p->links[j].link == LINK_NONE) return &p->links[j];
        if (member_better_link(m, p, worst, &p->links[j])) worst = &p->links[j];
    }
    contact_hang_up(m, worst->link, CLOSE_DUPLICATE, "another connection stays", out);
    forget_link(m, i, worst);
    return worst;
}

void contact_ended(struct members *m, int i, uint32_t code, const struct sink *out)
{
    struct member *p = &m->members[i];
    if (code == CLOSE_GONE) {
        members_tell(m, NEWS_ENDED, i);
        members_accuse(m, i, out); /* without a link nothing would probe it */
    }
    plan_dial(m, i, REDIAL);
    p->unreached = reach_reason_of(code, true);
    if (code == CLOSE_RUN || code == CLOSE_VERSION || code == CLOSE_BUSY || code == CLOSE_SELF ||
        code == CLOSE_REFUSED)
        p->refused = p->dial_at = instant_after(m->now, REFUSED);
    listed_give_up(m, i);
}

void members_dial_failed(struct members *m, const uint8_t id[CRYPTO_KEY_BYTES],
                         const struct address *at, uint32_t code, instant now,
                         const struct sink *out)
{
    m->now = now;
    int i = members_by_id(m, id);
    listed_dial_failed(m, id, at);
    if (i == NOBODY) return;
    struct member *p = &m->members[i];
    p->dialling = false;
    if (member_any_link(p)) return;
    p->unreached = reach_reason_of(code, false);
    p->failures++;
    plan_dial(m, i, MEMBER_RETRY_FIRST);
    if (instant_since(now, p->heard).ns > UNHEARD.ns) members_accuse(m, i, out);
    listed_give_up(m, i);
}

void contact_refuse(struct members *m, link_id link)
{
    int i = members_by_link(m, link);
    stranger_forget(m, link);
    if (i == NOBODY) return;
    struct member *p = &m->members[i];
    forget_link(m, i, member_link_of(p, link));
    if (member_any_link(p)) return;
    p->failures++;
    plan_dial(m, i, MEMBER_RETRY_FIRST);
    listed_give_up(m, i);
}

void contact_note(const uint8_t id[CRYPTO_KEY_BYTES], const char *name, const char *key,
                  const char *word, const struct sink *out)
{
    sink_note(out, (struct note){.name = name,
                                 .word = {key, word},
                                 .hex = {"peer", bytes_of(id, CRYPTO_KEY_BYTES)}});
}

void contact_turn_away(struct members *m, int i, link_id link, uint32_t code, const char *text,
                       const struct sink *out)
{
    contact_hang_up(m, link, code, text, out);
    stranger_forget(m, link);
    if (i == NOBODY) return;
    struct member *p = &m->members[i];
    forget_link(m, i, member_link_of(p, link));
    p->unreached = reach_reason_of(code, true);
    p->refused = p->dial_at = instant_after(m->now, REFUSED);
    listed_give_up(m, i);
}

/* ---- dialling ---- */

/* The addresses known for it, in turn: its own record's, the peer list's, where it was seen. */
static struct address address_to_dial(const struct members *m, const struct member *p)
{
    struct address all[RECORD_ADDRESSES_MAX + LISTED_ADDRESSES_MAX + 1];
    uint32_t count = 0;
    for (size_t j = 0; p->known && j < p->peer.addresses_count; j++)
        all[count++] = p->peer.addresses[j];
    if (p->listed) {
        const struct listed *l = &m->listed[p->listed - 1];
        for (uint32_t j = 0; j < l->addresses_count; j++) all[count++] = l->addresses[j];
    }
    if (p->observed.family) all[count++] = p->observed;
    return count ? all[p->failures % count] : (struct address){0};
}

static void dial(struct members *m, int i, const struct sink *out)
{
    struct member *p = &m->members[i];
    struct action a = {.kind = ACTION_DIAL, .peer = p->sid, .address = address_to_dial(m, p)};
    p->dial_at = m->now.ns < p->refused.ns ? p->refused : INSTANT_NEVER;
    if (m->now.ns < p->refused.ns) return;
    if (a.address.family == 0) { /* contact_learned will plan the dial */
        p->unreached = REACH_NOWHERE;
        return;
    }
    memcpy(a.id, p->id, sizeof a.id);
    p->dialling = true;
    p->dialled = m->now;
    sink_act(out, &a);
}

/* Picks one gone member, or one entry of the peer list that is not a member, to dial. */
static void reconnect(struct members *m)
{
    uint64_t count = 0;
    int chosen = NOBODY;
    for (int i = 0; i < MEMBERS_MAX; i++) {
        const struct member *p = &m->members[i];
        if (!p->used || member_live(p) || p->health == HEALTH_LEFT || p->dialling ||
            member_any_link(p))
            continue;
        if (instant_since(m->now, p->gone).ns >= REMEMBERED.ns) continue;
        if (rng_below(&m->rng, ++count) == 0) chosen = i;
    }
    uint32_t unmet = listed_unmet(m, &count);
    if (unmet) {
        chosen = members_add(m, m->listed[unmet - 1].id);
        if (chosen != NOBODY) m->members[chosen].listed = unmet;
    }
    if (chosen != NOBODY) m->members[chosen].dial_at = m->now;
}

void contact_tick(struct members *m, const struct sink *out)
{
    if (m->now.ns >= m->reconnect_at.ns) {
        m->reconnect_at = instant_after(
            m->now, member_jittered(m, members_any_usable(m) ? RECONNECT : RECONNECT_ALONE));
        reconnect(m);
    }
    if (m->now.ns >= m->listed_at.ns) listed_dial(m, out);
    stranger_tick(m, out);
}

void contact_look(struct members *m, int i, const struct sink *out)
{
    mend_links(m, i);
    drop_mute_links(m, i, out);
}

void contact_dial(struct members *m, int i, const struct sink *out)
{
    const struct member *p = &m->members[i];
    bool due = p->used && m->now.ns >= p->dial_at.ns;
    if (due && !p->dialling && !member_any_link(p)) dial(m, i, out);
}

instant contact_due(const struct members *m)
{
    instant due = instant_min(instant_min(m->reconnect_at, m->listed_at), stranger_due(m));
    for (int i = 0; i < MEMBERS_MAX; i++) {
        const struct member *p = &m->members[i];
        if (!p->used) continue;
        if (!p->dialling && !member_any_link(p)) due = instant_min(due, p->dial_at);
        for (int j = 0; j < MEMBER_LINKS; j++) {
            const struct member_link *l = &p->links[j];
            if (l->link == LINK_NONE) continue;
            if (l->broken.ns) due = instant_min(due, l->broken);
            if (!l->greeted) due = instant_min(due, instant_after(l->since, HELLO_PATIENCE));
        }
    }
    return due;
}

void contact_init(struct members *m)
{
    m->reconnect_at = instant_after(m->now, RECONNECT_ALONE);
    listed_init(m);
}
