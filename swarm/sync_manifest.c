#include "sync_parts.h"

static bool read_manifest(const struct sync *s, struct bytes reply, struct bytes *leaves)
{
    struct reader r = reader_init(reply);
    uint8_t lineage[CRYPTO_DIGEST_BYTES];
    (void)reader_u8(&r); /* flags */
    uint64_t epoch = reader_u64(&r);
    reader_copy(&r, lineage, sizeof lineage);
    uint64_t tokens = reader_u64(&r), parameters = reader_u64(&r);
    uint32_t elements = reader_u32(&r), count = reader_u32(&r);
    *leaves = reader_bytes(&r, outer_leaves_bytes(&s->config.layout));
    return reader_done(&r) && epoch == s->target.epoch && tokens == s->target.lineage_tokens &&
           parameters == s->config.layout.parameters &&
           elements == s->config.layout.chunk_elements && count == s->config.layout.chunks &&
           memcmp(lineage, s->target.lineage, sizeof lineage) == 0;
}

bool sync_manifest_take(struct sync *s, uint32_t server, struct bytes reply)
{
    struct bytes leaves;
    if (s->answers_count == SYNC_MANIFESTS || !read_manifest(s, reply, &leaves)) return false;
    uint32_t at = s->answers_count++;
    s->answers[at].server = server;
    crypto_digest(s->config.crypto, &leaves, 1, s->answers[at].root);
    memcpy(s->answers[at].leaves, leaves.data, leaves.count);
    return true;
}

void sync_manifest_forget(struct sync *s, uint32_t server)
{
    for (uint32_t i = 0; i < s->answers_count; i++) {
        if (s->answers[i].server != server) continue;
        struct sync_answer gone = s->answers[i];
        s->answers[i] = s->answers[--s->answers_count];
        s->answers[s->answers_count] = gone; /* its leaves are room for the next */
        return;
    }
}

static bool alike(const struct sync *s, uint32_t i, uint32_t j)
{
    return !memcmp(s->answers[i].root, s->answers[j].root, CRYPTO_DIGEST_BYTES);
}

/* The answer that most gave; of as many the smaller root, so that all downloads choose alike. */
static uint32_t most_frequent(const struct sync *s)
{
    uint32_t best = 0, most = 0;
    for (uint32_t i = 0; i < s->answers_count; i++) {
        uint32_t votes = 0;
        for (uint32_t j = 0; j < s->answers_count; j++) votes += alike(s, i, j);
        bool smaller = memcmp(s->answers[i].root, s->answers[best].root, CRYPTO_DIGEST_BYTES) < 0;
        if (votes < most || (votes == most && !smaller)) continue;
        most = votes;
        best = i;
    }
    return best;
}

uint32_t sync_manifest_settle(struct sync *s, uint32_t wanted, instant now)
{
    uint32_t others = 0;
    if (s->answers_count == 0) return 0;
    if (s->answers_count < wanted && now.ns < s->manifest_until.ns) return 0;
    uint32_t best = most_frequent(s);
    struct sync_manifest older = s->manifest_before;
    s->manifest_before = s->manifest;
    s->manifest =
        (struct sync_manifest){.any = true, .epoch = s->target.epoch, .leaves = older.leaves};
    memcpy(s->manifest.lineage, s->target.lineage, sizeof s->manifest.lineage);
    memcpy(s->manifest.leaves, s->answers[best].leaves, outer_leaves_bytes(&s->config.layout));
    for (uint32_t i = 0; i < s->answers_count; i++)
        if (!alike(s, i, best)) others |= (uint32_t)1 << s->answers[i].server;
    s->answers_count = 0;
    return others;
}

const uint8_t *sync_manifest_leaves(const struct sync *s,
                                    const uint8_t lineage[CRYPTO_DIGEST_BYTES])
{
    const struct sync_manifest *both[] = {&s->manifest, &s->manifest_before};
    for (int i = 0; i < 2; i++)
        if (both[i]->any && !memcmp(both[i]->lineage, lineage, CRYPTO_DIGEST_BYTES))
            return both[i]->leaves;
    return NULL;
}
