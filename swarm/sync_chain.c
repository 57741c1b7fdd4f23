#include <assert.h>

#include "lineage.h"
#include "past.h"
#include "sync_parts.h"

void sync_chain_start(struct sync *s, uint64_t epoch, const uint8_t lineage[CRYPTO_DIGEST_BYTES])
{
    s->base_epoch = epoch;
    memcpy(s->base, lineage, sizeof s->base);
    s->steps_count = s->proven = 0;
    for (uint32_t c = 0; c < s->config.layout.chunks; c++) s->chunks[c] = (struct sync_chunk){0};
}

uint64_t sync_chain_head(const struct sync *s) { return s->base_epoch + s->proven; }

static const uint8_t *lineage_after(const struct sync *s, uint32_t steps)
{
    return steps == 0 ? s->base : s->steps[steps - 1].lineage;
}

const uint8_t *sync_chain_lineage(const struct sync *s, uint64_t epoch)
{
    if (epoch < s->base_epoch || epoch > sync_chain_head(s)) return NULL;
    return lineage_after(s, (uint32_t)(epoch - s->base_epoch));
}

uint64_t sync_chain_end(const struct sync *s) { return s->base_epoch + s->steps_count; }

const uint8_t *sync_chain_end_lineage(const struct sync *s)
{
    return lineage_after(s, s->steps_count);
}

bool sync_chain_whole(const struct sync *s)
{
    return !memcmp(lineage_after(s, s->proven), s->target.lineage, CRYPTO_DIGEST_BYTES);
}

/* Forgets the oldest round: chunks that have not come further are lost. */
static void shift(struct sync *s)
{
    uint8_t *vector = s->steps[0].vector;
    memcpy(s->base, s->steps[0].lineage, sizeof s->base);
    s->base_epoch++;
    s->steps_count--;
    s->proven -= s->proven > 0;
    memmove(s->steps, s->steps + 1, (SYNC_STEPS - 1) * sizeof *s->steps);
    s->steps[SYNC_STEPS - 1].vector = vector;
    for (uint32_t c = 0; c < s->config.layout.chunks; c++)
        if (s->chunks[c].epoch < s->base_epoch) s->chunks[c].hold = SYNC_LACKS;
}

static void append(struct sync *s, struct reader *in)
{
    if (s->steps_count == SYNC_STEPS) shift(s);
    struct sync_step *t = &s->steps[s->steps_count];
    size_t count = reduce_vector_bytes(&s->config.layout);
    uint8_t root[CRYPTO_DIGEST_BYTES];
    reader_copy(in, t->gid, sizeof t->gid);
    reader_copy(in, t->vector, count);
    lineage_root(s->config.crypto, t->gid, bytes_of(t->vector, count), root);
    lineage_next(s->config.crypto, sync_chain_end_lineage(s), sync_chain_end(s) + 1, root,
                 t->lineage);
    s->steps_count++;
}

bool sync_chain_take(struct sync *s, struct bytes reply)
{
    struct reader in = reader_init(reply);
    if (reply.count == 0 || reply.count % past_entry_bytes(&s->config.layout)) return false;
    while (reader_left(&in) && sync_chain_end(s) < s->target.epoch) append(s, &in);
    bool there = sync_chain_end(s) == s->target.epoch;
    bool right = !memcmp(sync_chain_end_lineage(s), s->target.lineage, CRYPTO_DIGEST_BYTES);
    if (there && right) s->proven = s->steps_count;
    else if (there) s->steps_count = s->proven;
    return !there || right;
}

const struct sync_step *sync_chain_step(const struct sync *s, uint64_t epoch)
{
    assert(epoch >= s->base_epoch && epoch < sync_chain_head(s));
    return &s->steps[epoch - s->base_epoch];
}
