/* cid.h -- finds the connection of a packet by its destination connection ID. Private to net/. */
#ifndef SHOAL_NET_CID_H
#define SHOAL_NET_CID_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Length of the IDs that we choose: 2^64 cannot be guessed, and short headers stay short. */
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
    /* secret, so that peers cannot choose IDs that fall into the same bucket */
    uint64_t key;
};

/* `bucket_count`: a power of two. False without memory. All entries must be dropped before
 * cid_map_fini. */
bool cid_map_init(struct cid_map *m, size_t bucket_count, uint64_t key);
void cid_map_fini(struct cid_map *m);

/* Adds one to *list, its owner's; adding one that the owner already has is fine. False when there
 * is no memory, when another owner has it, or when it is longer than CID_BYTES_MAX. */
bool cid_map_add(struct cid_map *m, const uint8_t *bytes, size_t count, void *owner,
                 struct cid_entry **list);
/* One that is not in *list is ignored. */
void cid_map_drop(struct cid_map *m, const uint8_t *bytes, size_t count, struct cid_entry **list);
void cid_map_drop_all(struct cid_map *m, struct cid_entry **list);

/* Returns its owner; NULL when there is none. */
void *cid_map_find(const struct cid_map *m, const uint8_t *bytes, size_t count);

#endif
