/* reduce.h -- one average of a committed group, agreed on by all who survive it.
 *
 *     IDLE --reduce_start--> GATHER --every chunk settled, or T_REDUCE--> CLOSING --all alike, or T_CLOSE--> AGREED
 *                              `--all others lost, or nothing averaged--> FAILED <--'
 *
 * Each chunk has an owner. Members send it their contributions, it adds them in member order, quantizes the mean and
 * sends that to all: these bytes are what everybody uses. When an owner is lost, others take its chunks over, in an
 * order that follows from the group. In CLOSING each tells all which bytes it holds (a root over all chunks) and
 * fetches what others have with a lower rank, until all roots are alike. SPEC.md, "Averaging".
 *
 * Promises: a contribution counts at most once in any mean; members who do not suspect each other agree on the same
 * root or do not apply; AGREED or FAILED comes within the bound of reduce_start.
 *
 * After AGREED it goes on answering those who are late, until reduce_start or reduce_rest.
 * Pure. All memory comes from the arena at the start: the means of all chunks, the contributions to the few chunks
 * under way, and some bytes a chunk. Messages go to action.peer with action.link 0. */
#ifndef SHOAL_SWARM_REDUCE_H
#define SHOAL_SWARM_REDUCE_H

#include "action.h"
#include "base/arena.h"
#include "match_wire.h"
#include "model/outer.h"

#define REDUCE_WINDOW 8 /* parcels in flight to a peer; contributions an owner holds of one peer */
#define REDUCE_RESCUE 4 /* chunks of lost owners that I gather at one time */
#define REDUCE_FETCH  4 /* chunks I fetch at one time */

/* Every ticket of reduce has this bit; whoever composes it gives other tickets none. */
#define REDUCE_TICKET ((uint64_t)1 << 63)

enum reduce_state { REDUCE_IDLE, REDUCE_GATHER, REDUCE_CLOSING, REDUCE_AGREED, REDUCE_FAILED };

/* How far a member is. On the wire. */
enum reduce_stage {
    REDUCE_STAGE_COMMITTED = 0, /* waits for its snapshot */
    REDUCE_STAGE_GIVES = 1,     /* has taken it and contributes */
    REDUCE_STAGE_EMPTY = 2,     /* has none: it was not finite */
    REDUCE_STAGE_CLOSE = 3,     /* frozen; root says what it holds */
    REDUCE_STAGE_APPLIED = 4    /* root is what it applies */
};

struct reduce_config {
    const struct crypto *crypto;
    struct outer_layout layout;
    uint32_t group_max;
};

/* What a member holds for a chunk. Of two variants the lower rank counts, at the same rank the smaller digest. */
struct reduce_variant {
    uint8_t rank;  /* of the owner who averaged it; REDUCE_NULL: nobody has */
    uint32_t mask; /* whose contributions are in it; 0: nobody's, and the chunk stays as it is */
    uint8_t digest[CRYPTO_DIGEST_BYTES]; /* of mask u32 and wire bytes; zeros when mask is 0 */
};
#define REDUCE_NULL 255

enum reduce_fetch { REDUCE_FETCH_NONE, REDUCE_FETCH_WANTED, REDUCE_FETCH_SENT };

struct reduce_chunk {
    uint8_t owner;
    bool settled;
    struct reduce_variant best;
    uint32_t place; /* among its owner's chunks */
    uint32_t given; /* members to whom my contribution went out */
    uint32_t told;  /* I averaged it: members to whom that went out */
    uint32_t asked; /* members who asked for it and have had no answer */
    uint8_t sought; /* rank of the heir whom I have asked for it; 0: nobody */
    enum reduce_fetch fetch;
    uint8_t fetch_from; /* member */
    struct reduce_variant wanted;
};

struct reduce_work { /* a chunk that I average */
    bool busy;
    uint32_t chunk;
    uint8_t rank;
    uint32_t arrived, absent; /* members, by index */
    instant began;            /* when it was its turn */
    uint8_t *contributions;   /* [group_max] wire bytes of a chunk */
};

/* A member of the group. `suspect` comes and goes: whoever is heard is suspected no more, and nothing is under way with one
 * who is (`examining` is false). `lost` and `late` stay: a second suspicion prolongs nothing, and one who was late is not waited
 * for in later chunks either, though what it sends in time counts. `contributes` is false after EMPTY alone. */
struct reduce_peer {
    bool linked, suspect;
    bool lost;  /* it was suspected in GATHER, and GATHER prolonged for it */
    bool heard; /* a STAGE of it has come: it is in the group and takes parcels */
    enum reduce_stage stage;
    bool contributes; /* it has not said EMPTY */
    bool late;        /* its contributions are not waited for any more */
    instant heard_at;
    instant gave_at; /* its latest contribution came */
    uint32_t close;  /* number of its latest root */
    uint8_t root[CRYPTO_DIGEST_BYTES];
    uint32_t examined; /* `close` of the root that I have compared with mine; 0: none */
    bool examining;    /* VEC is under way */
    uint32_t in_flight;
    uint32_t first, owned; /* its chunks: order[first .. first + owned) */
    uint32_t settled;      /* of them, from the first, how many are settled at me */
    uint32_t results_next; /* of `results`: the first that may have to be sent to it */
};

struct reduce {
    struct reduce_config config;
    enum reduce_state state;
    struct match_group group;
    instant now;      /* latest time heard of */
    instant waits;    /* snapshots are waited for until then */
    instant base;     /* when all had taken theirs, or time was over; INSTANT_NEVER: not yet */
    instant deadline; /* GATHER: T_REDUCE; CLOSING: T_CLOSE */
    instant beat;     /* next STAGE to all */
    span estimate;    /* of the transfer */
    uint16_t serial;  /* of this group, in tickets */
    bool more;        /* work is left for the next tick */
    bool rescued;     /* a chunk of a lost owner was settled: there is room for the next */
    enum reduce_stage stage;
    uint32_t close; /* number of my latest root */
    const uint8_t
        *mine; /* my contribution: wire bytes of all chunks; lent from reduce_snapshot on */
    struct reduce_peer peers[NODE_GROUP_MAX];
    struct reduce_chunk *chunks; /* [layout.chunks] */
    uint32_t *order;             /* [layout.chunks] by owner, then by index */
    uint32_t *results;           /* [layout.chunks] those I averaged */
    uint32_t results_count;
    uint32_t settled;                  /* chunks */
    uint32_t settled_before;           /* at the latest beat */
    instant settled_at;                /* the latest of them */
    uint32_t fetch_wanted, fetch_sent; /* chunks */
    int adopting;                      /* member whose applied root I am taking over; -1: none */
    struct reduce_work work[REDUCE_WINDOW + REDUCE_RESCUE];
    float *accumulator; /* [layout.chunk_elements] */
    uint8_t *scratch;   /* a VEC reply, or what the root is made of */
    /* the outcome, in AGREED: for ACTION_APPLY */
    uint8_t root[CRYPTO_DIGEST_BYTES];
    uint64_t tokens;    /* sum of the weights of all who are in any mean */
    uint8_t *means;     /* wire bytes of all chunks */
    uint8_t *null, *in; /* [chunks] as action.h's apply.null and apply.mine */
    bool unsure;        /* T_CLOSE ran out: others may have applied something else */
};

/* Bytes of arena that reduce_init takes. */
size_t reduce_bytes(const struct reduce_config *c);

/* False when the arena is too small. */
bool reduce_init(struct reduce *r, const struct reduce_config *c, struct arena *room);

/* The group is committed; linked[i] says whether a link to member i is up. Parcels are taken from now on, and the
 * snapshot is to be ordered. Ends within 10 s + 3 step_ms (slowest member) for snapshots, 10 s + 3 estimates for the
 * chunks (four times that while they go on being settled), 5 s + one estimate for each member that is lost meanwhile, and 10 s + one estimate for closing. */
void reduce_start(struct reduce *r, const struct match_group *g, const bool linked[NODE_GROUP_MAX],
                  instant now, const struct sink *out);

/* My contribution: wire bytes of all chunks, lent until the state is AGREED or FAILED and what follows from that is
 * carried out; empty when it was not finite. Does nothing in other states than GATHER. */
void reduce_snapshot(struct reduce *r, struct bytes wire, instant now, const struct sink *out);

/* Is this frame type, or this first byte of a parcel or request, one of averaging's? */
bool reduce_takes(uint8_t type);

/* From the peer named. False: bytes that the protocol does not allow; nothing changed. A message of another group is
 * passed over and true. */
bool reduce_frame(struct reduce *r, sid peer, uint8_t type, struct bytes body, instant now,
                  const struct sink *out);
bool reduce_parcel(struct reduce *r, sid peer, struct bytes parcel, instant now,
                   const struct sink *out);
/* Answers with ACTION_REPLY on that link and ticket; empty when it has not what is asked for. */
bool reduce_request(struct reduce *r, sid peer, link_id link, uint64_t ticket, struct bytes request,
                    instant now, const struct sink *out);

/* Of tickets with REDUCE_TICKET. */
void reduce_parcel_done(struct reduce *r, uint64_t ticket, bool ok, instant now,
                        const struct sink *out);
bool reduce_reply(struct reduce *r, uint64_t ticket, bool ok, struct bytes reply, instant now,
                  const struct sink *out);

void reduce_link(struct reduce *r, sid peer, bool up, instant now, const struct sink *out);

/* This peer is dead, has left, or has withdrawn from the group: do not wait for it. If it is heard again in this
 * group, it counts again. */
void reduce_gone(struct reduce *r, sid peer, instant now, const struct sink *out);

void reduce_tick(struct reduce *r, instant now, const struct sink *out);
instant reduce_due(const struct reduce *r);

/* Has every member that is not suspected applied this round? For the end of a run. */
bool reduce_finished(const struct reduce *r);

/* Stops answering. The buffers lent with ACTION_APPLY must have served. */
void reduce_rest(struct reduce *r);

#endif
