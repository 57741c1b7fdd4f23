#include "queue.h"

#include <stdlib.h>

static bool before(const struct happening *a, const struct happening *b)
{
    return a->at.ns != b->at.ns ? a->at.ns < b->at.ns : a->sequence < b->sequence;
}

void queue_push(struct queue *q, struct happening h)
{
    if (q->count == q->room) {
        q->room = q->room ? 2 * q->room : 1024;
        q->heap = realloc(q->heap, q->room * sizeof *q->heap);
        if (!q->heap) abort();
    }
    h.sequence = q->sequence++;
    size_t i = q->count++;
    for (; i > 0 && before(&h, &q->heap[(i - 1) / 2]); i = (i - 1) / 2)
        q->heap[i] = q->heap[(i - 1) / 2];
    q->heap[i] = h;
}

bool queue_next(struct queue *q, struct happening *out)
{
    if (q->count == 0) return false;
    *out = q->heap[0];
    struct happening last = q->heap[--q->count];
    size_t i = 0;
    for (size_t child; (child = 2 * i + 1) < q->count; i = child) {
        if (child + 1 < q->count && before(&q->heap[child + 1], &q->heap[child])) child++;
        if (!before(&q->heap[child], &last)) break;
        q->heap[i] = q->heap[child];
    }
    if (q->count) q->heap[i] = last;
    return true;
}

void queue_fini(struct queue *q)
{
    free(q->heap);
    *q = (struct queue){0};
}
