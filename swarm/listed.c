#include "listed.h"

#include "member_table.h"

#define LISTED_DIALS 80 /* at a time */
/* Of lists that are longer, and of those that come later: for the first dial to an entry, and twice
 * as long for each further one, until the dial's own limit is shorter. Most of a list may be gone. */
#define LISTED_PATIENCE  span_s(1)
#define LISTED_DOUBLINGS 4

/* Adds what is new. */
static bool add_address(struct listed *l, const struct address *a)
{
    uint32_t at = 0;
    if (a->family == 0) return false;
    while (at < l->addresses_count && !address_equal(&l->addresses[at], a)) at++;
    if (at < l->addresses_count) return false;
    if (at < LISTED_ADDRESSES_MAX) l->addresses_count++;
    else at--; /* replaces the oldest */
    for (; at > 0; at--) l->addresses[at] = l->addresses[at - 1];
    l->addresses[0] = *a;
    return true;
}

static struct listed *find(struct members *m, const uint8_t id[CRYPTO_KEY_BYTES], uint32_t list)
{
    for (size_t k = 0; k < m->listed_count; k++)
        if (m->listed[k].list == list && memcmp(m->listed[k].id, id, CRYPTO_KEY_BYTES) == 0)
            return &m->listed[k];
    return NULL;
}

static const struct address any_address = {0};

/* The entry of this ID that is dialled at this address; family 0: at any. */
static struct listed *find_dialling(struct members *m, const uint8_t id[CRYPTO_KEY_BYTES],
                                    const struct address *at)
{
    for (size_t k = 0; k < m->listed_count; k++) {
        struct listed *l = &m->listed[k];
        if (l->dialling && memcmp(l->id, id, CRYPTO_KEY_BYTES) == 0 &&
            (at->family == 0 || address_equal(&l->dialled, at)))
            return l;
    }
    return NULL;
}

static const struct address *next_address(const struct listed *l)
{
    return &l->addresses[l->failures % l->addresses_count];
}

bool listed_found(struct members *m, const uint8_t id[CRYPTO_KEY_BYTES], const struct address *a,
                  uint32_t list)
{
    struct listed *l = find(m, id, list);
    if (!l || !add_address(l, a)) return false;
    l->failures = 0;
    l->again = m->now;
    m->listed_at = instant_min(m->listed_at, m->now);
    return true;
}

/* ---- lists that come later ---- */

/* Where the list has room for one more entry: a new one, or the one that failed most often of those
 * that it has. NULL: there is none. */
static struct listed *room_of(struct members *m, uint32_t list)
{
    struct listed *worst = NULL;
    uint32_t count = 0;
    for (size_t k = 0; k < m->listed_count; k++) {
        struct listed *l = &m->listed[k];
        if (l->list != list) continue;
        count++;
        if (l->failures > (worst ? worst->failures : 0) && !l->dialling &&
            members_find(m, wire_sid(l->id)) == NOBODY)
            worst = l;
    }
    return count < NODE_LATER_MAX ? &m->listed[m->listed_count++] : worst;
}

bool listed_add(struct members *m, const uint8_t id[CRYPTO_KEY_BYTES], const struct address *a,
                uint32_t list)
{
    if (wire_sid(id) == 0 || list == 0 || list > m->config.lists) return false;
    if (find(m, id, list)) return listed_found(m, id, a, list);
    struct listed *l = room_of(m, list);
    if (!l) return false;
    *l = (struct listed){.list = list, .again = m->now};
    memcpy(l->id, id, CRYPTO_KEY_BYTES);
    int i = members_by_id(m, id);
    if (i != NOBODY && !m->members[i].listed) m->members[i].listed = member_listed(m, id);
    m->listed_at = instant_min(m->listed_at, m->now);
    return add_address(l, a);
}

void members_list_read(struct members *m, uint32_t list)
{
    if (list && list <= NODE_LISTS_MAX) m->lists_awaited &= ~(UINT32_C(1) << (list - 1));
}

/* ---- dials ---- */

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

static void dial(struct members *m, struct listed *l, const struct sink *out)
{
    struct action a = {.kind = ACTION_DIAL, .peer = wire_sid(l->id), .address = *next_address(l)};
    memcpy(a.id, l->id, sizeof a.id);
    bool many = m->listed_count > LISTED_DIALS || l->list; /* more may come */
    if (many && l->failures < LISTED_DOUBLINGS)
        a.patience = span_ns(LISTED_PATIENCE.ns << l->failures);
    l->dialling = true;
    l->dialled = a.address;
    sink_act(out, &a);
}

void listed_dial(struct members *m, const struct sink *out)
{
    uint32_t under_way = 0;
    m->listed_at = INSTANT_NEVER;
    if (members_any_usable(m)) return; /* left to reconnect() */
    for (size_t k = 0; k < m->listed_count; k++) under_way += m->listed[k].dialling;
    for (size_t n = 0; n < m->listed_count && under_way < LISTED_DIALS; n++) {
        struct listed *l = &m->listed[m->listed_turn++ % m->listed_count];
        if (l->addresses_count == 0 || l->dialling) continue;
        if (m->now.ns < l->again.ns) {
            m->listed_at = instant_min(m->listed_at, l->again);
            continue;
        }
        if (members_find(m, wire_sid(l->id)) != NOBODY) continue;
        if (find_dialling(m, l->id, next_address(l))) continue; /* by another list's entry */
        dial(m, l, out);
        under_way++;
    }
}

void listed_dial_failed(struct members *m, const uint8_t id[CRYPTO_KEY_BYTES],
                        const struct address *at)
{
    struct listed *l = find_dialling(m, id, at);
    /* Nobody else dials who is no member. */
    if (!l && members_by_id(m, id) == NOBODY) l = find_dialling(m, id, &any_address);
    if (!l) return;
    l->dialling = false;
    l->failures++;
    l->again = instant_after(m->now, member_back_off(m, l->failures, span_s(1)));
    m->listed_at = m->now; /* the next entry may be dialled */
}

int listed_met(struct members *m, const uint8_t id[CRYPTO_KEY_BYTES], const struct address *at,
               bool dialled)
{
    struct listed *l = find_dialling(m, id, dialled ? at : &any_address);
    int i = members_by_id(m, id);
    if (!l && i == NOBODY) l = find_dialling(m, id, &any_address);
    if (!l) return i;
    if (i == NOBODY) i = members_add(m, id);
    if (dialled) l->dialling = false;
    if (i == NOBODY) return i;
    m->members[i].listed = (uint32_t)(l - m->listed) + 1;
    m->members[i].failures = l->failures;
    return i;
}

bool members_all_heard(const struct members *m)
{
    if (m->lists_awaited) return false;
    for (size_t k = 0; k < m->listed_count; k++) {
        int i = members_by_id(m, m->listed[k].id);
        if (i == NOBODY || !m->members[i].stored[STORED_PROGRESS].count) return false;
    }
    for (int i = 0; i < MEMBERS_MAX; i++)
        if (member_live(&m->members[i]) && !m->members[i].stored[STORED_PROGRESS].count)
            return false;
    return true;
}

uint32_t listed_unmet(struct members *m, uint64_t *count)
{
    uint32_t chosen = 0;
    for (size_t k = 0; k < m->listed_count; k++) {
        const struct listed *l = &m->listed[k];
        if (l->addresses_count == 0 || l->dialling || m->now.ns < l->again.ns ||
            members_find(m, wire_sid(l->id)) != NOBODY)
            continue;
        if (rng_below(&m->rng, ++*count) == 0) chosen = (uint32_t)k + 1;
    }
    return chosen;
}

void listed_init(struct members *m)
{
    m->listed = m->config.listed;
    m->lists_awaited = (UINT32_C(1) << m->config.lists) - 1;
    for (size_t b = 0; b < m->config.bootstrap_count; b++) {
        const struct peer_address *p = &m->config.bootstrap[b];
        if (memcmp(p->id, m->config.id, CRYPTO_KEY_BYTES) == 0 || wire_sid(p->id) == 0) continue;
        struct listed *l = find(m, p->id, 0);
        if (!l) {
            l = &m->listed[m->listed_count++];
            *l = (struct listed){0};
            memcpy(l->id, p->id, CRYPTO_KEY_BYTES);
        }
        add_address(l, &p->address);
    }
    m->listed_at = m->listed_count ? m->now : INSTANT_NEVER;
    /* Start at a random entry, so that nodes with the same list do not all dial the same entries
     * first. */
    if (m->listed_count) m->listed_turn = rng_below(&m->rng, m->listed_count);
}
