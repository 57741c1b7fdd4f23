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

bool sync_manifest_take(struct sync *s, struct bytes reply)
{
    struct bytes leaves;
    uint8_t digest[CRYPTO_HASH_BYTES];
    if (!read_manifest(s, reply, &leaves)) return false;
    outer_digest(s->config.crypto, &s->config.layout, leaves.data, digest);
    if (first_eight(digest) != s->sound) return false;
    if (sync_manifest_leaves(s, s->target.lineage)) return true;
    uint8_t *room = s->manifest_before.leaves;
    s->manifest_before = s->manifest;
    s->manifest = (struct sync_manifest){.any = true, .epoch = s->target.epoch, .leaves = room};
    memcpy(s->manifest.lineage, s->target.lineage, sizeof s->manifest.lineage);
    memcpy(room, leaves.data, leaves.count);
    return true;
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
