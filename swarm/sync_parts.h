/* sync_parts.h -- what the parts of a state transfer share. sync.h describes the whole.
 *
 *     chain      the rounds between the state that is held and the one that is wanted
 *     manifest   the digests of a state's chunks, which the state's digest is over
 *     chunk      chunks: downloaded, or brought forward by a round's result
 *     ask        requests to a server
 *     fetch      servers, and what is asked of whom
 *     serve      the other side
 *
 * Each uses those above it. */
#ifndef SHOAL_SWARM_SYNC_PARTS_H
#define SHOAL_SWARM_SYNC_PARTS_H

#include "action.h"
#include "base/arena.h"
#include "outer/outer.h"
#include "reduce_parts.h"

#define SYNC_TICKET    ((uint64_t)1 << 62) /* set in every ticket of sync */
#define SYNC_MANIFESTS 3                   /* members asked for a manifest at a time */
#define SYNC_SERVERS   8                   /* servers at a time */
/* Outstanding requests per server: the first many at any rate, others as long as they are less than
 * what came from it in the latest second. */
#define SYNC_IN_FLIGHT     2
#define SYNC_IN_FLIGHT_MAX 16
#define SYNC_STEPS         16 /* rounds that a chunk may be behind */
#define SYNC_GIVEN         4  /* groups in which my contribution may have counted */
#define SYNC_NEAR          2  /* rounds */

struct sync_config {
    const struct crypto *crypto;
    struct outer_layout layout;
};

enum sync_state { SYNC_IDLE, SYNC_RUNNING, SYNC_WHOLE, SYNC_FAILED };

/* Why a server is not asked now. */
enum sync_away {
    SYNC_HERE,  /* it is asked */
    SYNC_EMPTY, /* it did not have what it was asked for: again when offered a second later */
    SYNC_LATE,  /* not a byte for long: again when offered after as long */
    SYNC_GONE,  /* no link: again when offered */
    SYNC_LIAR   /* never in this download */
};

struct sync_server {
    sid sid;
    enum sync_away away;
    instant since;         /* of `away` */
    bool busy;             /* it averages: it is asked for one thing at a time */
    bool asked;            /* for the target's manifest */
    bool no_past;          /* it knows no rounds that lead to the target */
    uint64_t lacks;        /* it has no results of rounds up to this epoch */
    uint32_t in_flight;    /* outstanding requests for chunks and results */
    uint64_t flying, rate; /* their bytes; bytes that came in the latest second */
    uint32_t served;       /* chunks and results received from it */
};

enum sync_what { SYNC_PAST, SYNC_LEAVES, SYNC_CHUNK, SYNC_RESULT };

struct sync_request { /* an outstanding request */
    uint64_t ticket;  /* 0: free */
    enum sync_what what;
    uint32_t server, chunk;
    uint64_t epoch; /* of the state, or after the round, that was asked for */
    uint64_t bytes; /* of a chunk or result */
    instant until;  /* then its server is late */
};

/* Where a chunk is. */
enum sync_hold {
    SYNC_LACKS, /* nowhere */
    SYNC_OWNS,  /* in my own state */
    SYNC_HOLDS  /* in the spare buffers */
};

struct sync_chunk {
    uint64_t epoch; /* of its content, on the chain */
    enum sync_hold hold;
    bool asked; /* there is a request for it */
    bool mine;  /* my contribution is in a result that brought it forward */
    /* It comes from an earlier life of this process, and whether the chain leads over its state is
     * not known yet; that state's lineage. */
    bool doubted;
    uint8_t lineage[CRYPTO_DIGEST_BYTES];
};

/* A round on the way to the target. */
struct sync_step {
    uint8_t gid[CRYPTO_DIGEST_BYTES], lineage[CRYPTO_DIGEST_BYTES]; /* lineage: after it */
    uint8_t *vector; /* [chunks] of rank u8, digest 16 */
};

struct sync_manifest {
    bool any;
    uint64_t epoch;
    uint8_t lineage[CRYPTO_DIGEST_BYTES];
    uint8_t *leaves; /* [chunks][16] */
};

struct sync_offer { /* a state that I serve */
    bool any;
    struct lineage_state state;
};

struct sync {
    struct sync_config config;
    /* downloading */
    enum sync_state state;
    bool kept;                   /* what the spare buffers and `chunks` hold may be gone on from */
    struct lineage_state target; /* its pointers are not used */
    struct sync_server servers[SYNC_SERVERS];
    uint32_t servers_count;
    struct sync_request requests[SYNC_SERVERS * SYNC_IN_FLIGHT_MAX + SYNC_MANIFESTS + 1];
    struct sync_chunk *chunks; /* [layout.chunks] */
    uint64_t base_epoch;       /* the state that the chain leads from */
    uint8_t base[CRYPTO_DIGEST_BYTES];
    struct sync_step steps[SYNC_STEPS];
    uint32_t steps_count, proven; /* rounds of the chain; those that surely led to a target */
    uint64_t sound;               /* the first bytes of the target's digest */
    size_t sound_votes;           /* the most holders that have said so */
    /* The latest accepted manifest and the one before it. */
    struct sync_manifest manifest, manifest_before;
    instant began;
    uint64_t tickets, bytes, liars; /* issued so far; bytes received; servers banned */
    uint64_t replayed;              /* results that brought a chunk forward */
    bool downloaded;                /* at least one chunk was, so local progress has no anchor */
    struct {
        uint8_t gid[CRYPTO_DIGEST_BYTES];
        uint32_t self; /* my index */
    } given[SYNC_GIVEN];
    uint32_t given_next;
    /* serving */
    struct sync_offer now, before;
    uint8_t *reply; /* a manifest */
};

/* ---- shared by the parts ---- */

#define SYNC_MANIFEST_HEAD (1 + 8 + CRYPTO_DIGEST_BYTES + 8 + 8 + 4 + 4)

/* Bytes of a chunk of one vector. */
static inline size_t sync_vector_bytes(const struct sync *s, uint32_t c)
{
    return outer_chunk_count(&s->config.layout, c) * sizeof(float);
}

static inline struct bytes sync_vector(const struct sync *s, const float *vector, uint32_t c)
{
    return bytes_of(vector + outer_chunk_start(&s->config.layout, c), sync_vector_bytes(s, c));
}

/* ---- sync_chain.c ---- */

/* The chain begins here, with no round. All chunks are LACKS. */
void sync_chain_start(struct sync *s, uint64_t epoch, const uint8_t lineage[CRYPTO_DIGEST_BYTES]);
/* Rounds that lead on from its end, as GET_PAST's reply has them. False when the target is no
 * nearer, and forgets those that led nowhere. */
bool sync_chain_take(struct sync *s, struct bytes reply);
/* Epoch of the latest state on it that surely led to a target; the lineage at `epoch`, NULL when it
 * is not on the chain; epoch and lineage that the next rounds are to lead on from. */
uint64_t sync_chain_head(const struct sync *s);
const uint8_t *sync_chain_lineage(const struct sync *s, uint64_t epoch);
uint64_t sync_chain_end(const struct sync *s);
const uint8_t *sync_chain_end_lineage(const struct sync *s);
/* Does it lead to the target? */
bool sync_chain_whole(const struct sync *s);
/* The round that leads on from this epoch, which is on the chain and not its head. */
const struct sync_step *sync_chain_step(const struct sync *s, uint64_t epoch);

/* ---- sync_manifest.c ---- */

/* A server's answer; false unless it is the manifest of the target, and what its digest is over. */
bool sync_manifest_take(struct sync *s, struct bytes reply);
/* The leaves of the state of this lineage; NULL: not known. */
const uint8_t *sync_manifest_leaves(const struct sync *s,
                                    const uint8_t lineage[CRYPTO_DIGEST_BYTES]);

/* ---- sync_chunk.c ---- */

/* A chunk's reply; false when it is not what was asked for. */
bool sync_chunk_take(struct sync *s, uint32_t c, uint64_t epoch, struct bytes reply,
                     const struct sink *out);
bool sync_result_take(struct sync *s, uint32_t c, uint64_t epoch, struct bytes reply,
                      const struct sink *out);
/* Passes rounds that left the chunk as it was. A doubted one is believed, or LACKS, as soon as the
 * chain tells. */
void sync_chunk_advance(struct sync *s, uint32_t c);
/* All chunks are at the target: writes the ones that are still in my own state. */
void sync_chunk_finish(struct sync *s, const struct sink *out);

/* ---- sync_ask.c ---- */

/* Of a request: from its sending, or from the latest byte of its server. */
#define SYNC_PATIENCE span_s(30)

/* Of this server: the rounds that lead on from the chain's end; the target's manifest; a chunk at
 * the epoch of the latest manifest; the next result of a chunk. */
void sync_ask_past(struct sync *s, uint32_t server, instant now, const struct sink *out);
void sync_ask_manifest(struct sync *s, uint32_t server, instant now, const struct sink *out);
void sync_ask_chunk(struct sync *s, uint32_t server, uint32_t c, instant now,
                    const struct sink *out);
void sync_ask_result(struct sync *s, uint32_t server, uint32_t c, instant now,
                     const struct sink *out);
/* Cancels a request, so that what it was for is requested elsewhere. */
void sync_take_back(struct sync *s, struct sync_request *q);
/* This server is away: cancels all requests to it. */
void sync_lose(struct sync *s, uint32_t server, enum sync_away why, instant now);

#endif
