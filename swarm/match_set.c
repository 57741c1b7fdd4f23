#include "match_set.h"

#include <string.h>

static uint64_t key_of(const struct match_signer *s, uint64_t round, sid who)
{
    static const char name[] = "shoal1 cell";
    uint8_t number[16], hash[CRYPTO_HASH_BYTES];
    struct writer w = writer_init(number, sizeof number);
    writer_u64(&w, round);
    writer_u64(&w, who);
    struct bytes parts[] = {bytes_of(name, sizeof name - 1),
                            bytes_of(s->run_id, CRYPTO_DIGEST_BYTES), writer_bytes(&w)};
    s->crypto->hash(s->crypto->self, parts, 3, hash);
    return first_eight(hash);
}

static bool before(const struct match_candidate *a, const struct match_candidate *b)
{
    return a->key != b->key ? a->key < b->key : a->sid < b->sid;
}

static void sort(const struct match_signer *s, uint64_t round, struct match_candidate *all,
                 uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        struct match_candidate one = all[i];
        uint32_t at = i;
        one.key = key_of(s, round, one.sid);
        for (; at > 0 && before(&one, &all[at - 1]); at--) all[at] = all[at - 1];
        all[at] = one;
    }
}

/* The members that at most half of all cannot reach; returns their number. */
static uint32_t reachable(const struct match_candidate *all, uint32_t count,
                          const struct match_pairs *blocked, struct match_candidate *to)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t against = 0;
        for (uint32_t j = 0; j < count; j++)
            against += match_pairs_has(blocked, all[i].sid, all[j].sid);
        if (2 * against <= count) to[kept++] = all[i];
    }
    return kept;
}

uint32_t match_set(const struct match_signer *s, uint64_t round, struct match_candidate *all,
                   uint32_t count, const struct match_pairs *blocked)
{
    struct match_candidate kept[NODE_GROUP_MAX];
    bool used[NODE_GROUP_MAX] = {false};
    sort(s, round, all, count);
    count = reachable(all, count, blocked, kept);
    for (uint32_t first = 0; first < count; first++) {
        if (used[first]) continue;
        uint32_t taken[NODE_GROUP_MAX], taken_count = 0, set = 0;
        bool mine = false;
        for (uint32_t i = first; i < count; i++) {
            bool fits = !used[i];
            for (uint32_t j = 0; fits && j < taken_count; j++)
                fits = !match_pairs_has(blocked, kept[i].sid, kept[taken[j]].sid);
            if (!fits) continue;
            used[i] = true;
            taken[taken_count++] = i;
            if (kept[i].index < 0) mine = true;
            else set |= (uint32_t)1 << kept[i].index;
        }
        if (mine) return set;
    }
    return 0; /* most cannot reach me */
}
