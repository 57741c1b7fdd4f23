#include "cid.h"

#include <stdlib.h>
#include <string.h>

#include "base/rng.h"

bool cid_map_init(struct cid_map *m, size_t bucket_count, uint64_t key)
{
    *m = (struct cid_map){calloc(bucket_count, sizeof(struct cid_entry *)), bucket_count, key};
    return m->buckets;
}

void cid_map_fini(struct cid_map *m)
{
    free(m->buckets);
    *m = (struct cid_map){0};
}

static struct cid_entry **bucket_of(const struct cid_map *m, const uint8_t *bytes, size_t count)
{
    uint64_t h = m->key ^ count;
    for (size_t at = 0; at < count; at += 8) {
        uint64_t word = 0;
        memcpy(&word, bytes + at, count - at < 8 ? count - at : 8);
        h = rng_mix(h ^ word);
    }
    return &m->buckets[h & (m->bucket_count - 1)];
}

static bool same(const struct cid_entry *e, const uint8_t *bytes, size_t count)
{
    return e->count == count && !memcmp(e->bytes, bytes, count);
}

void *cid_map_find(const struct cid_map *m, const uint8_t *bytes, size_t count)
{
    if (count > CID_BYTES_MAX) return NULL;
    for (struct cid_entry *e = *bucket_of(m, bytes, count); e; e = e->next_in_bucket)
        if (same(e, bytes, count)) return e->owner;
    return NULL;
}

bool cid_map_add(struct cid_map *m, const uint8_t *bytes, size_t count, void *owner,
                 struct cid_entry **list)
{
    void *had = cid_map_find(m, bytes, count);
    if (had || count > CID_BYTES_MAX) return had == owner && count <= CID_BYTES_MAX;
    struct cid_entry *e = calloc(1, sizeof *e), **bucket = bucket_of(m, bytes, count);
    if (!e) return false;
    e->owner = owner;
    e->count = (uint8_t)count;
    memcpy(e->bytes, bytes, count);
    e->next_in_bucket = *bucket;
    *bucket = e;
    e->next_of_owner = *list;
    *list = e;
    return true;
}

static void unlink_from_bucket(struct cid_map *m, struct cid_entry *e)
{
    struct cid_entry **at = bucket_of(m, e->bytes, e->count);
    while (*at != e) at = &(*at)->next_in_bucket;
    *at = e->next_in_bucket;
}

void cid_map_drop(struct cid_map *m, const uint8_t *bytes, size_t count, struct cid_entry **list)
{
    for (struct cid_entry **at = list, *e; (e = *at); at = &e->next_of_owner) {
        if (!same(e, bytes, count)) continue;
        *at = e->next_of_owner;
        unlink_from_bucket(m, e);
        free(e);
        return;
    }
}

void cid_map_drop_all(struct cid_map *m, struct cid_entry **list)
{
    for (struct cid_entry *e; (e = *list);) {
        *list = e->next_of_owner;
        unlink_from_bucket(m, e);
        free(e);
    }
}
