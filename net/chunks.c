#include "chunks.h"

#include <assert.h>
#include <stdlib.h>

void chunks_init(struct chunks *q) { *q = (struct chunks){.end = &q->first}; }

struct chunk *chunk_new(size_t count)
{
    struct chunk *k = malloc(sizeof *k + count);
    if (k) *k = (struct chunk){.count = count};
    return k;
}

void chunks_add(struct chunks *q, struct chunk *k)
{
    *q->end = k;
    q->end = &k->next;
    if (!q->unsent) q->unsent = k;
}

void chunks_sent(struct chunks *q, size_t count)
{
    while (count) {
        struct chunk *k = q->unsent;
        assert(k);
        size_t step = k->count - k->sent < count ? k->count - k->sent : count;
        k->sent += step;
        count -= step;
        if (k->sent == k->count) q->unsent = k->next;
    }
}

void chunks_drop_first(struct chunks *q)
{
    struct chunk *k = q->first;
    q->first = k->next;
    if (!q->first) q->end = &q->first;
    if (q->unsent == k) q->unsent = k->next;
    q->first_acked = 0;
    free(k);
}

size_t chunks_clear(struct chunks *q)
{
    size_t bytes = 0;
    while (q->first) {
        bytes += q->first->count - q->first_acked;
        chunks_drop_first(q);
    }
    return bytes;
}

void chunks_acked(struct chunks *q, size_t count)
{
    while (q->first && count >= q->first->count - q->first_acked) {
        count -= q->first->count - q->first_acked;
        chunks_drop_first(q);
    }
    if (count) assert(q->first);
    if (q->first) q->first_acked += count;
}
