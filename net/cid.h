/* cid.h -- which connection a packet belongs to, by its destination connection ID. Private to
 * net/. */
#ifndef SHOAL_NET_CID_H
#define SHOAL_NET_CID_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Of those that we choose: 2^64 is beyond guessing, and short headers stay short. */
#define CID_BYTES     8
#define CID_BYTES_MAX 20 /* RFC 9000, 17.2 */

struct cid_entry { /* linked into a bucket and into its owner's list */
    struct cid_entry *next_in_bucket, *next_of_owner;
    void *owner;
    uint8_t count, bytes[CID_BYTES_MAX];
};

struct cid_map {
    struct cid_entry **buckets;
    size_t bucket_count; /* a power of two */
    uint64_t key;        /* secret, so that peers cannot choose IDs that fall into one bucket */
};

/* `bucket_count`: a power of two. False without memory. Before cid_map_fini all must be dropped. */
bool cid_map_init(struct cid_map *m, size_t bucket_count, uint64_t key);
void cid_map_fini(struct cid_map *m);

/* Adds one to *list, its owner's; one that the owner has already is fine. False when there is no
 * memory, when another owner has it, or when it is longer than CID_BYTES_MAX. */
bool cid_map_add(struct cid_map *m, const uint8_t *bytes, size_t count, void *owner,
                 struct cid_entry **list);
/* One that is not in *list is ignored. */
void cid_map_drop(struct cid_map *m, const uint8_t *bytes, size_t count, struct cid_entry **list);
void cid_map_drop_all(struct cid_map *m, struct cid_entry **list);

/* NULL when nobody has it. */
void *cid_map_find(const struct cid_map *m, const uint8_t *bytes, size_t count);

#endif
