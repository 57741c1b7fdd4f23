#include "match_pairs.h"

bool match_pairs_has(const struct match_pairs *p, sid a, sid b)
{
    sid first = a < b ? a : b, second = a < b ? b : a;
    for (uint32_t i = 0; i < p->count; i++)
        if (p->list[i].first == first && p->list[i].second == second) return true;
    return false;
}

void match_pairs_add(struct match_pairs *p, sid a, sid b)
{
    if (a == b || match_pairs_has(p, a, b) || p->count == MATCH_PAIRS_MAX) return;
    p->list[p->count].first = a < b ? a : b;
    p->list[p->count++].second = a < b ? b : a;
}

void match_pairs_write(const struct match_pairs *p, struct writer *w)
{
    writer_u16(w, (uint16_t)p->count);
    for (uint32_t i = 0; i < p->count; i++) {
        writer_u64(w, p->list[i].first);
        writer_u64(w, p->list[i].second);
    }
}

void match_pairs_take(struct match_pairs *p, struct bytes list)
{
    struct reader r = reader_init(list);
    while (reader_left(&r)) {
        sid a = reader_u64(&r), b = reader_u64(&r);
        match_pairs_add(p, a, b);
    }
}
