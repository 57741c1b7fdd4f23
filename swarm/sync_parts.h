/* sync_parts.h -- what both sides of a download share: how a state is split into chunks. sync.h
 * describes the whole. */
#ifndef SHOAL_SWARM_SYNC_PARTS_H
#define SHOAL_SWARM_SYNC_PARTS_H

#include "action.h"
#include "base/arena.h"

#define SYNC_TICKET    ((uint64_t)1 << 62) /* set in every ticket of sync */
#define SYNC_MANIFESTS 3                   /* members asked for the manifest */
#define SYNC_SERVERS   8                   /* servers of one download */
#define SYNC_IN_FLIGHT 2                   /* outstanding chunk requests per server */
#define SYNC_WAITING   20 /* manifest requests waiting for digests to be computed */

#define SYNC_CHUNK_MIN (1u << 9)  /* elements */
#define SYNC_CHUNK_MAX (1u << 18) /* 1 MiB */

struct sync_config {
    const struct crypto *crypto;
    uint64_t parameters;
};

enum sync_state { SYNC_IDLE, SYNC_MANIFEST, SYNC_CHUNKS, SYNC_WHOLE, SYNC_FAILED };

struct sync_server {
    sid sid;
    /* For a manifest; `again`: ask once more, because another server's leaves were kept. */
    bool asked, answered, again;
    bool lost; /* gone, without the state, or wrong: not asked again in this download */
    uint8_t root[CRYPTO_DIGEST_BYTES]; /* digest of the leaves it answered */
    uint32_t in_flight, served;        /* outstanding chunk requests; chunks received from it */
};

struct sync_request { /* an outstanding request */
    uint64_t ticket;  /* 0: free */
    uint32_t server;
    uint32_t chunk; /* UINT32_MAX: the manifest */
    instant until;  /* timeout, after which the server is lost */
};

struct sync_offer { /* a state that I serve */
    bool any;
    struct lineage_state state;
    uint8_t *leaves; /* [2 * chunks][16] */
    uint32_t hashed; /* leaves computed */
};

struct sync {
    struct sync_config config;
    uint32_t elements, chunks; /* per chunk; chunks per vector */
    /* downloading */
    enum sync_state state;
    struct lineage_state target; /* its pointers are not used */
    struct sync_server servers[SYNC_SERVERS];
    uint32_t servers_count;
    struct sync_request requests[SYNC_SERVERS * SYNC_IN_FLIGHT + SYNC_MANIFESTS];
    instant manifest_until, began;     /* end of the wait for manifests; start of the download */
    uint8_t *leaves;                   /* [2 * chunks][16]: of the accepted manifest */
    uint8_t root[CRYPTO_DIGEST_BYTES]; /* digest of `leaves`; zeros: none accepted yet */
    uint8_t *have;                     /* [2 * chunks] 0: needed, 1: requested, 2: written */
    uint32_t written, next;  /* chunks written; where the search for the next request starts */
    uint64_t tickets, bytes; /* issued so far; of chunks received */
    uint64_t liars;          /* servers banned since the start */
    /* serving */
    struct sync_offer now, before;
    uint8_t *reply; /* a manifest */
    struct {
        bool used, before;
        link_id link;
        uint64_t ticket;
    } waiting[SYNC_WAITING];
};

/* ---- shared by the parts ---- */

#define SYNC_MANIFEST_HEAD (1 + 8 + CRYPTO_DIGEST_BYTES + 8 + 8 + 4 + 4)

static inline size_t sync_leaves_bytes(const struct sync *s)
{
    return 2 * (size_t)s->chunks * CRYPTO_DIGEST_BYTES;
}

/* Chunks 0 .. chunks-1 are the anchor's, the others the momentum's. */
static inline uint64_t sync_chunk_offset(const struct sync *s, uint32_t c)
{
    return (uint64_t)(c % s->chunks) * s->elements;
}

static inline size_t sync_chunk_bytes(const struct sync *s, uint32_t c)
{
    uint64_t left = s->config.parameters - sync_chunk_offset(s, c);
    return (size_t)(left < s->elements ? left : s->elements) * sizeof(float);
}

static inline struct bytes sync_chunk(const struct sync *s, const struct lineage_state *state,
                                      uint32_t c)
{
    const float *v = c < s->chunks ? state->anchor : state->momentum;
    return bytes_of(v + sync_chunk_offset(s, c), sync_chunk_bytes(s, c));
}

static inline void sync_digest(const struct sync *s, struct bytes b,
                               uint8_t out[CRYPTO_DIGEST_BYTES])
{
    crypto_digest(s->config.crypto, &b, 1, out);
}

/* ---- sync_fetch.c ---- */

void sync_fetch_tick(struct sync *s, instant now, const struct sink *out);
instant sync_fetch_due(const struct sync *s);

/* ---- sync_serve.c ---- */

/* Computes digests for which a request waits. */
void sync_serve_tick(struct sync *s, const struct sink *out);
/* Does a request wait for digests? */
bool sync_serve_busy(const struct sync *s);

#endif
