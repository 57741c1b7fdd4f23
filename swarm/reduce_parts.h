/* reduce_parts.h -- what all parts of an average share. reduce.h describes the whole.
 *
 *     variant    which bytes win, and the root over all of them
 *     made       who made them
 *     send       sends frames and parcels, within the windows
 *     flow       who moves bytes, and who stands still
 *     fetch      requests what other members hold
 *     gather     averages contributions, settles chunks
 *     rescue     lost members and their chunks
 *     sure       signatures that make a root certain
 *     close      compares roots until all are equal
 *     reduce     events and timers; reduce_start: memory, and a new group
 *
 * Each uses those above it. */
#ifndef SHOAL_SWARM_REDUCE_PARTS_H
#define SHOAL_SWARM_REDUCE_PARTS_H

#include "action.h"
#include "base/arena.h"
#include "match_wire.h"
#include "outer/mean.h"
#include "outer/outer.h"

/* Bytes of contributions that an owner buffers; that many of its chunks are gathered at a time. */
#define REDUCE_ROOM     ((size_t)64 << 20)
#define REDUCE_OPEN_MIN 8
#define REDUCE_OPEN_MAX 256
#define REDUCE_FLIGHT   2 /* parcels in flight to a peer beside what its round trip asks for */
#define REDUCE_RESCUE   4 /* chunks of lost owners that I gather at a time */
#define REDUCE_FETCH    4 /* chunks I fetch at a time */
#define REDUCE_STILLS   3 /* the third time that the group stands still ends GATHER */

/* Set in every ticket of reduce, and in no other ticket of the node. */
#define REDUCE_TICKET ((uint64_t)1 << 63)

enum reduce_state { REDUCE_IDLE, REDUCE_GATHER, REDUCE_CLOSING, REDUCE_AGREED, REDUCE_FAILED };

/* How far a member is. Wire values. */
enum reduce_stage {
    REDUCE_STAGE_COMMITTED = 0, /* waits for its snapshot */
    REDUCE_STAGE_GIVES = 1,     /* has taken it and contributes */
    REDUCE_STAGE_EMPTY = 2,     /* contributes nothing: its snapshot was not finite */
    REDUCE_STAGE_CLOSE = 3,     /* frozen; root names what it holds */
    REDUCE_STAGE_APPLIED = 4    /* root is what it applies */
};

struct reduce_config {
    const struct crypto *crypto;
    uint8_t run_id[CRYPTO_DIGEST_BYTES];
    struct outer_layout layout;
    uint32_t group_max; /* upper bound of a group's members: sizes the contribution buffers */
    bool robust;        /* of the means that I make (outer/mean.h) */
};

/* What a member holds for a chunk. Of two variants the one with the lower rank wins, at equal rank
 * the one with the smaller digest. */
struct reduce_variant {
    uint8_t rank;  /* of the owner that averaged it; REDUCE_NULL: not averaged */
    uint32_t mask; /* whose contributions are in it; 0: none, and the chunk stays as it is */
    /* Of the mask as u32 and the wire bytes; zeros when mask is 0. */
    uint8_t digest[CRYPTO_DIGEST_BYTES];
};
#define REDUCE_NULL 255

enum reduce_fetch { REDUCE_FETCH_NONE, REDUCE_FETCH_WANTED, REDUCE_FETCH_SENT };

struct reduce_chunk {
    uint8_t owner;
    bool settled;
    struct reduce_variant best;
    uint8_t signature[CRYPTO_SIGNATURE_BYTES]; /* of `best`, by whoever made it */
    uint32_t place;                            /* index among its owner's chunks */
    uint32_t given;                            /* members that my contribution was sent to */
    uint32_t told;  /* I averaged it: members that the mean was sent to */
    uint32_t asked; /* members that asked for it and have no answer yet */
    uint8_t sought; /* rank of the heir that I asked for it; 0: none */
    enum reduce_fetch fetch;
    uint8_t fetch_from; /* member to fetch it from */
    struct reduce_variant wanted;
};

struct reduce_work { /* a chunk that I average */
    bool busy;
    uint32_t chunk;
    uint8_t rank;
    uint32_t arrived, absent; /* members, by index */
    instant began;            /* when work on it began */
    uint8_t *contributions;   /* wire bytes of a chunk, of each member of the group */
};

/* The way to a member. */
struct reduce_path {
    bool linked;     /* it can be spoken to */
    uint32_t rtt_ms; /* 0: not known */
    uint32_t flight; /* parcels on their way at most; 0: what the round trip asks for */
};

/* A member's signature for what it holds. */
struct reduce_sure {
    bool said;
    uint8_t root[CRYPTO_DIGEST_BYTES];
    uint8_t lineage[CRYPTO_DIGEST_BYTES]; /* after the outer step */
    uint64_t lineage_tokens;              /* the same */
    uint8_t signature[CRYPTO_SIGNATURE_BYTES];
};

/* A member of the group. `suspect` and `late` are temporary: a member that is heard from is no
 * longer suspected, one that moves bytes again no longer late; nothing is outstanding with a
 * suspected one (`examining` is false). `stuck` and `given_up` are permanent. Until `heard` the
 * stage is COMMITTED. */
struct reduce_peer {
    bool linked, suspect;
    bool stuck; /* the group stood still with chunks of its unsettled: others average them */
    bool heard; /* its STAGE has arrived: it is in the group and accepts parcels */
    enum reduce_stage stage;
    bool gives;    /* it has a contribution */
    bool given_up; /* it contributes nothing: EMPTY, or no snapshot in time */
    bool late;     /* it stood still while its contribution was awaited */
    instant heard_at;
    uint64_t moved;   /* bytes of the round that it sent and received, by its word */
    instant moved_at; /* when bytes came from it */
    instant said_at;  /* when it said that it moved, or that it holds another root */
    instant news_at;  /* of its signature */
    instant told_at;  /* I have applied: when it was told so */
    bool sending;     /* parcels to it were in flight since its flow was last told */
    uint32_t close;   /* sequence number of its latest root */
    uint8_t root[CRYPTO_DIGEST_BYTES];
    struct reduce_sure sure;
    uint32_t examined;     /* `close` of the root that I have compared with mine; 0: none */
    bool examining;        /* a VEC request is outstanding */
    bool ask_again;        /* a request to it failed: its root is compared once more */
    uint32_t in_flight;    /* parcels to it that are not acknowledged yet */
    uint32_t flight_max;   /* as many at most */
    uint32_t first, owned; /* its chunks: order[first .. first + owned) */
    uint32_t settled;      /* of those, from the first, how many are settled here */
    /* Index in `results` of the first that may still have to be sent to it. */
    uint32_t results_next;
};

struct reduce {
    struct reduce_config config;
    enum reduce_state state;
    struct match_group group;
    instant now;      /* latest time passed in */
    instant waits;    /* wait for snapshots until then */
    instant base;     /* when all had their snapshot, or the wait ended; INSTANT_NEVER: not yet */
    instant closed;   /* when CLOSING began; 0: it has not */
    instant alike_at; /* a majority holds my root since then; INSTANT_NEVER: none does */
    span patience;    /* from `base` on bytes that move count for so long */
    instant beat;     /* time of the next STAGE to all */
    uint64_t moved;   /* bytes of this round that I sent and received */
    instant moved_at; /* when that grew */
    instant still_at; /* when the group stood still */
    uint32_t stills;  /* how many times it did */
    uint16_t serial;  /* of this group, in tickets */
    bool more;        /* work is left for the next tick */
    bool rescued;     /* a chunk of a lost owner was settled: the next may start */
    enum reduce_stage stage;
    uint32_t close; /* sequence number of my latest root */
    /* My contribution: wire bytes of all chunks; lent from reduce_snapshot on. */
    const uint8_t *mine;
    struct reduce_peer peers[NODE_GROUP_MAX];
    struct reduce_chunk *chunks; /* [layout.chunks] */
    uint32_t *order;             /* [layout.chunks] by owner, then by index */
    uint32_t *results;           /* [layout.chunks] the chunks that I averaged */
    uint32_t results_count;
    uint32_t settled;                  /* chunks */
    uint32_t settled_before;           /* the same at the latest beat */
    instant settled_at;                /* when the latest was settled */
    uint32_t fetch_wanted, fetch_sent; /* chunks wanted, and of those requested */
    int adopting;                      /* member whose certain root I am taking over; -1: none */
    uint32_t open;                     /* of my own chunks that I gather at a time: reduce_open */
    uint8_t *contributions;            /* [open] x all members' wire bytes of a chunk */
    struct reduce_work own[REDUCE_OPEN_MAX], rescue[REDUCE_RESCUE];
    struct outer_mean_room mean_room; /* of a chunk */
    uint32_t clipped[NODE_GROUP_MAX]; /* chunks in which I counted less of this member */
    uint8_t *scratch;                 /* a VEC reply, or the input of the root's hash */
    /* The result, in AGREED: for ORDER_APPLY. */
    uint8_t root[CRYPTO_DIGEST_BYTES];
    uint64_t tokens; /* sum of the weights of all members in any mean */
    struct average average;
    /* what it leads from; after it where the root is certain: peers[].sure */
    uint8_t parent[CRYPTO_DIGEST_BYTES];
    uint64_t parent_tokens;
};

/* ---- shared by the parts ---- */

/* SPEC.md, "Timers" */
#define REDUCE_SILENT                                                                              \
    span_s(8) /* T_SILENT: a member without a message for this long is suspected */
#define REDUCE_RETURN span_s(3)  /* T_RETURN: the same after a WITHDRAW */
#define REDUCE_STILL  span_s(10) /* T_STILL: a transfer without a byte for this long is late */

#define REDUCE_VARIANT_BYTES (1 + CRYPTO_DIGEST_BYTES) /* per chunk of a vector */

/* A vector: rank u8 and digest of each chunk. */
static inline size_t reduce_vector_bytes(const struct outer_layout *l)
{
    return (size_t)l->chunks * REDUCE_VARIANT_BYTES;
}

/* Of an owner's chunks, how many a group of that many gathers at a time: all know it, and nobody
 * contributes to one further on. */
static inline uint32_t reduce_open(const struct outer_layout *l, uint32_t members)
{
    size_t fit = REDUCE_ROOM / (members * outer_wire_bytes(l->chunk_elements));
    size_t open = fit < REDUCE_OPEN_MIN   ? REDUCE_OPEN_MIN
                  : fit > REDUCE_OPEN_MAX ? REDUCE_OPEN_MAX
                                          : fit;
    return open < l->chunks ? (uint32_t)open : l->chunks;
}

static inline uint32_t reduce_bit(uint32_t i) { return (uint32_t)1 << i; }

static inline uint32_t reduce_self(const struct reduce *r) { return r->group.self; }

static inline bool reduce_running(const struct reduce *r)
{
    return r->state == REDUCE_GATHER || r->state == REDUCE_CLOSING;
}

/* Index of a member; -1: it is not in the group. */
static inline int reduce_member(const struct reduce *r, sid peer)
{
    for (uint32_t i = 0; i < r->group.count; i++)
        if (r->group.members[i].sid == peer) return (int)i;
    return -1;
}

static inline size_t reduce_wire_bytes(const struct reduce *r, uint32_t c)
{
    return outer_wire_bytes(outer_chunk_count(&r->config.layout, c));
}

static inline uint8_t *reduce_mean(const struct reduce *r, uint32_t c)
{
    return r->average.means + outer_wire_offset(&r->config.layout, c);
}

/* Not counted on: an owner whose chunks others average. */
static inline bool reduce_lost(const struct reduce_peer *p) { return p->suspect || p->stuck; }

/* No contribution is in it: there are no bytes to fetch. */
static inline bool reduce_no_bytes(const struct reduce_variant *v)
{
    static const uint8_t zeros[CRYPTO_DIGEST_BYTES];
    return !memcmp(v->digest, zeros, sizeof zeros);
}

#endif
