/* sync.h -- the state goes from those who have it to one who needs it, in chunks, from several at once.
 *
 *     IDLE --sync_start--> MANIFEST --most members agree--> CHUNKS --all verified--> WHOLE
 *                              `--nobody left to ask--> FAILED <--'
 *
 * A manifest is the digests of all chunks of anchor and momentum. Up to three members are asked for it; what most of
 * them say counts, and whoever says otherwise is asked for nothing more. Each chunk is checked against it before it
 * goes out as ACTION_STATE. SPEC.md, "State transfer".
 *
 * The other side answers from the present state and the one before, as long as its buffers are untouched. Pure.
 * Requests go to action.peer with action.link 0. */
#ifndef SHOAL_SWARM_SYNC_H
#define SHOAL_SWARM_SYNC_H

#include "action.h"
#include "base/arena.h"

#define SYNC_TICKET    ((uint64_t)1 << 62) /* every ticket of sync has this bit */
#define SYNC_MANIFESTS 3
#define SYNC_SERVERS   8
#define SYNC_IN_FLIGHT 2  /* chunks asked of one server at a time */
#define SYNC_WAITING   20 /* manifest requests that wait for digests to be computed */

#define SYNC_CHUNK_MIN (1u << 9)  /* elements */
#define SYNC_CHUNK_MAX (1u << 18) /* 1 MiB */

struct sync_config {
    const struct crypto *crypto;
    uint64_t parameters;
};

/* Elements of a chunk: a power of two, small enough for eight chunks a vector where that can be. */
uint32_t sync_chunk_elements(uint64_t parameters);

enum sync_state { SYNC_IDLE, SYNC_MANIFEST, SYNC_CHUNKS, SYNC_WHOLE, SYNC_FAILED };

struct sync_server {
    sid sid;
    bool asked, answered, again; /* for a manifest; once more, as another's leaves were kept */
    bool lost; /* gone, has not got it, or lied: not asked again in this download */
    uint8_t root[CRYPTO_DIGEST_BYTES];
    uint32_t in_flight, served;
};

struct sync_request { /* under way */
    uint64_t ticket;  /* 0: free */
    uint32_t server;
    uint32_t chunk; /* UINT32_MAX: the manifest */
    instant until;
};

struct sync_offer { /* a state that I give */
    bool any;
    struct lineage_state state;
    uint8_t *leaves; /* [2 * chunks][16] */
    uint32_t hashed; /* leaves computed */
};

struct sync {
    struct sync_config config;
    uint32_t elements, chunks; /* of a chunk; chunks of one vector */
    /* taking */
    enum sync_state state;
    struct lineage_state target; /* its pointers are not used */
    struct sync_server servers[SYNC_SERVERS];
    uint32_t servers_count;
    struct sync_request requests[SYNC_SERVERS * SYNC_IN_FLIGHT + SYNC_MANIFESTS];
    instant manifest_until, began;
    uint8_t *leaves; /* [2 * chunks][16]: of the manifest that counts */
    uint8_t root[CRYPTO_DIGEST_BYTES];
    uint8_t *have; /* [2 * chunks] 0: needed, 1: under way, 2: written */
    uint32_t written, next;
    uint64_t tickets, bytes;
    uint64_t liars; /* servers banned since the start */
    /* giving */
    struct sync_offer now, before;
    uint8_t *reply; /* a manifest */
    struct {
        bool used, before;
        link_id link;
        uint64_t ticket;
    } waiting[SYNC_WAITING];
};

size_t sync_bytes(const struct sync_config *c);
bool sync_init(struct sync *s, const struct sync_config *c, struct arena *room);

/* ---- taking ---- */

/* A download of `target` (epoch, lineage, tokens). Servers are named by sync_server. */
void sync_start(struct sync *s, const struct lineage_state *target, instant now);
/* This member holds the target, and there is a link to it. */
void sync_server(struct sync *s, sid peer, instant now, const struct sink *out);
/* This member is gone, or there is no link to it any more. */
void sync_gone(struct sync *s, sid peer, instant now, const struct sink *out);
void sync_reply(struct sync *s, uint64_t ticket, bool ok, struct bytes reply, instant now,
                const struct sink *out);
/* Peers that gave at least one chunk. */
uint32_t sync_givers(const struct sync *s);
void sync_stop(struct sync *s);

/* ---- giving ---- */

/* This is the state from now on. The one before is given too, if `keep`. */
void sync_offer(struct sync *s, const struct lineage_state *state, bool keep);
/* The buffers of the state before are about to be written to. */
void sync_withdraw(struct sync *s, const struct sink *out);

bool sync_takes(uint8_t type);
/* Answers, at once or from a later sync_tick. */
void sync_request(struct sync *s, sid peer, link_id link, uint64_t ticket, struct bytes request,
                  instant now, const struct sink *out);

void sync_tick(struct sync *s, instant now, const struct sink *out);
instant sync_due(const struct sync *s);

#endif
