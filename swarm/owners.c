#include "owners.h"

#include <assert.h>

#include "base/rng.h"

static bool names(const struct match_offer *o, sid s)
{
    for (uint32_t i = 0; i < o->apart_count; i++)
        if (o->apart[i] == s) return true;
    return false;
}

/* Is there a link between this member and each other one? One of a pair alone cannot say that there
 * is none. */
static bool reaches_all(const struct match_group *g, uint32_t i)
{
    for (uint32_t j = 0; j < g->count; j++)
        if (names(&g->members[i].offer, g->members[j].sid) &&
            names(&g->members[j].offer, g->members[i].sid))
            return false;
    return true;
}

/* Those who may own chunks, by descending bandwidth: who reaches all others, or all if nobody does.
 * Returns their number. */
static uint32_t candidates(const struct match_group *g, uint32_t by[NODE_GROUP_MAX])
{
    uint32_t count = 0;
    bool any = false;
    for (uint32_t i = 0; i < g->count; i++) any = any || reaches_all(g, i);
    for (uint32_t i = 0; i < g->count; i++) {
        if (any && !reaches_all(g, i)) continue;
        uint32_t at = count++;
        for (; at > 0 && g->members[by[at - 1]].offer.up_kbps < g->members[i].offer.up_kbps; at--)
            by[at] = by[at - 1];
        by[at] = i;
    }
    return count;
}

/* How many of the fastest candidates own chunks: the largest k with T b_k >= 1, T = (g - 2 + k) /
 * (b_1 + ... + b_k). *sum: bandwidth of those k. */
static uint32_t owning(const struct match_group *g, const uint32_t by[NODE_GROUP_MAX],
                       uint32_t count, uint64_t *sum)
{
    uint32_t k = 0;
    uint64_t so_far = 0;
    for (uint32_t i = 0; i < count; i++) {
        uint64_t b = g->members[by[i]].offer.up_kbps;
        so_far += b;
        if ((uint64_t)(g->count - 2 + i + 1) * b < so_far) break;
        k = i + 1;
        *sum = so_far;
    }
    assert(k > 0);
    return k;
}

/* Distributes the remaining chunks, one each, by descending remainder; ties in member order. */
static void round_up(uint64_t remainder[NODE_GROUP_MAX], uint32_t count, uint32_t left,
                     uint32_t share[NODE_GROUP_MAX])
{
    for (; left > 0; left--) {
        uint32_t most = 0;
        for (uint32_t i = 1; i < count; i++)
            if (remainder[i] > remainder[most]) most = i;
        share[most]++;
        remainder[most] = 0;
    }
}

void owners_share(const struct match_group *g, uint32_t chunks, uint32_t share[NODE_GROUP_MAX])
{
    uint32_t by[NODE_GROUP_MAX], given = 0;
    uint64_t remainder[NODE_GROUP_MAX] = {0};
    for (uint32_t i = 0; i < NODE_GROUP_MAX; i++) share[i] = 0;
    if (g->count <= 2) { /* with g = 2 the load does not depend on the shares */
        for (uint32_t i = 0; i < g->count; i++) share[i] = (chunks + i) / g->count;
        return;
    }
    uint64_t sum = 0;
    uint32_t k = owning(g, by, candidates(g, by), &sum);
    /* f_i = (T b_i - 1) / (g - 2) = ((g - 2 + k) b_i - sum) / (sum (g - 2)) */
    uint64_t divisor = sum * (g->count - 2);
    for (uint32_t i = 0; i < k; i++) {
        uint64_t b = g->members[by[i]].offer.up_kbps;
        unsigned __int128 part = (unsigned __int128)((g->count - 2 + k) * b - sum) * chunks;
        share[by[i]] = (uint32_t)(part / divisor);
        remainder[by[i]] = (uint64_t)(part % divisor);
        given += share[by[i]];
    }
    round_up(remainder, g->count, chunks - given, share);
}

void owners_assign(const uint32_t share[NODE_GROUP_MAX], uint32_t count, uint32_t chunks,
                   uint8_t *owner)
{
    int64_t credit[NODE_GROUP_MAX] = {0};
    for (uint32_t c = 0; c < chunks; c++) {
        uint32_t most = 0;
        for (uint32_t i = 0; i < count; i++) {
            credit[i] += share[i];
            if (credit[i] > credit[most]) most = i;
        }
        credit[most] -= chunks;
        owner[c] = (uint8_t)most;
    }
}

uint32_t owners_at_rank(const struct match_group *g, uint32_t c, uint32_t owner, uint32_t rank)
{
    assert(rank < g->count);
    if (rank == 0) return owner;
    struct reader r = reader_init(bytes_of(g->gid, sizeof g->gid));
    uint64_t key = reader_u64(&r) ^ c;
    uint64_t score[NODE_GROUP_MAX];
    for (uint32_t i = 0; i < g->count; i++) score[i] = rng_at(key, g->members[i].sid);
    for (uint32_t i = 0; i < g->count; i++) {
        uint32_t before = 1;
        for (uint32_t j = 0; j < g->count; j++)
            before += j != owner && (score[j] < score[i] || (score[j] == score[i] && j < i));
        if (i != owner && before == rank) return i;
    }
    assert(false);
    return owner;
}
