#include "listed.h"

#include "member_table.h"

#define LISTED_DIALS 16 /* at a time */

static void add_address(struct listed *l, const struct address *a)
{
    uint32_t at = 0;
    if (a->family == 0) return;
    while (at < l->addresses_count && !address_equal(&l->addresses[at], a)) at++;
    if (at == l->addresses_count && at < LISTED_ADDRESSES_MAX) l->addresses_count++;
    if (at == LISTED_ADDRESSES_MAX) at--; /* replaces the oldest */
    for (; at > 0; at--) l->addresses[at] = l->addresses[at - 1];
    l->addresses[0] = *a;
}

bool listed_found(struct members *m, const uint8_t id[CRYPTO_KEY_BYTES], const struct address *a)
{
    int k = (int)member_listed(m, id) - 1;
    if (k == NOBODY || a->family == 0) return false;
    struct listed *l = &m->listed[k];
    for (uint32_t j = 0; j < l->addresses_count; j++)
        if (address_equal(&l->addresses[j], a)) return false;
    add_address(l, a);
    l->failures = 0;
    l->again = m->now;
    m->listed_at = instant_min(m->listed_at, m->now);
    return true;
}

void listed_give_up(struct members *m, int i)
{
    struct member *p = &m->members[i];
    if (!p->listed || p->known || p->dialling || member_any_link(p)) return;
    struct listed *l = &m->listed[p->listed - 1];
    l->failures = p->failures;
    l->again =
        instant_max(p->refused, instant_after(m->now, member_back_off(m, p->failures, span_s(1))));
    m->listed_at = m->now; /* the next entry may be dialled */
    members_remove(m, i);
}

void listed_dial(struct members *m)
{
    uint32_t under_way = 0;
    m->listed_at = INSTANT_NEVER;
    if (members_any_usable(m)) return; /* left to reconnect() */
    for (int i = 0; i < MEMBERS_MAX; i++)
        under_way += m->members[i].used && m->members[i].listed && !m->members[i].known;
    for (size_t n = 0; n < m->listed_count && under_way < LISTED_DIALS; n++) {
        struct listed *l = &m->listed[m->listed_turn++ % m->listed_count];
        if (l->addresses_count == 0 || members_find(m, wire_sid(l->id)) != NOBODY) continue;
        if (m->now.ns < l->again.ns) {
            m->listed_at = instant_min(m->listed_at, l->again);
            continue;
        }
        int i = members_add(m, l->id);
        if (i == NOBODY) return;
        m->members[i].failures = l->failures;
        m->members[i].dial_at = m->now;
        under_way++;
    }
}

bool members_all_heard(const struct members *m)
{
    for (size_t k = 0; k < m->listed_count; k++) {
        int i = members_by_id(m, m->listed[k].id);
        if (i == NOBODY || !m->members[i].stored[STORED_PROGRESS].count) return false;
    }
    for (int i = 0; i < MEMBERS_MAX; i++)
        if (member_live(&m->members[i]) && !m->members[i].stored[STORED_PROGRESS].count)
            return false;
    return true;
}

const struct listed *listed_unmet(struct members *m, uint64_t *count)
{
    const struct listed *chosen = NULL;
    for (size_t k = 0; k < m->listed_count; k++) {
        const struct listed *l = &m->listed[k];
        if (l->addresses_count == 0 || m->now.ns < l->again.ns ||
            members_find(m, wire_sid(l->id)) != NOBODY)
            continue;
        if (rng_below(&m->rng, ++*count) == 0) chosen = l;
    }
    return chosen;
}

void listed_init(struct members *m)
{
    m->listed = m->config.listed;
    for (size_t b = 0; b < m->config.bootstrap_count; b++) {
        const struct peer_address *p = &m->config.bootstrap[b];
        if (memcmp(p->id, m->config.id, CRYPTO_KEY_BYTES) == 0 || wire_sid(p->id) == 0) continue;
        int k = (int)member_listed(m, p->id) - 1;
        if (k == NOBODY) {
            k = (int)m->listed_count++;
            m->listed[k] = (struct listed){0};
            memcpy(m->listed[k].id, p->id, CRYPTO_KEY_BYTES);
        }
        add_address(&m->listed[k], &p->address);
    }
    m->listed_at = m->listed_count ? m->now : INSTANT_NEVER;
    /* Start at a random entry, so that nodes with the same list do not all dial the same entries
     * first. */
    if (m->listed_count) m->listed_turn = rng_below(&m->rng, m->listed_count);
}
