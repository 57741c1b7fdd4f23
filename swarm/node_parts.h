/* node_parts.h -- the struct of node.c and its parts. node.h describes the whole.
 *
 *     look      the other members: participants, their work, whether they can be spoken to
 *     choice    which of several histories is followed
 *     say       outgoing actions, and my own progress record
 *     news      what membership has found out, for the other machines
 *     hear      what members say of rounds, whichever way it comes
 *     relay     messages of members without a link to each other
 *     history   downloading and serving states: adoption, fork, damage
 *     round     from readiness to the outer step
 *     leave     leaving the swarm
 *     life      states and transitions
 *     view      what `status` shows
 *     node      events
 *
 * Each uses those above it. */
#ifndef SHOAL_SWARM_NODE_PARTS_H
#define SHOAL_SWARM_NODE_PARTS_H

#include "match.h"
#include "member.h"
#include "node.h"
#include "past.h"
#include "progress.h"
#include "rate.h"
#include "reduce.h"
#include "relay.h"
#include "sync.h"

/* How long JOIN waits for the peer list before training from the local state. SPEC.md, "A node's
 * life". */
#define NODE_JOIN_PATIENCE span_s(3)
/* How long a history that is to be followed waits: my own round may lead to it too. */
#define NODE_BEHIND_PATIENCE span_s(5)

/* So many of my latest states' lineages are remembered. */
#define NODE_ANCESTORS 64

enum life {
    LIFE_JOIN,  /* listens for a swarm that is ahead */
    LIFE_SYNC,  /* downloads a state */
    LIFE_ADOPT, /* ORDER_ADOPT is sent */
    LIFE_TRAIN,
    LIFE_MATCH,
    LIFE_REDUCE,
    LIFE_APPLY, /* ORDER_APPLY is sent */
    LIFE_DONE,
    LIFE_LEAVING, /* goodbye is sent */
    LIFE_LEFT
};

struct node {
    struct node_config config;
    struct members members;
    struct match match;
    struct reduce reduce;
    struct sync sync;
    struct past past;
    struct relay relay;
    struct rate up;              /* of this machine's line */
    struct lineage_state state;  /* the one I hold; the driver owns its vectors */
    struct round_progress round; /* the trainer's work since the latest outer step */
    uint8_t ancestors[NODE_ANCESTORS][CRYPTO_DIGEST_BYTES]; /* lineages that led to it: a ring */
    uint32_t ancestors_next;
    bool certain; /* a majority of a group signed this lineage, and I could not average with it */
    uint8_t certain_lineage[CRYPTO_DIGEST_BYTES];
    uint64_t learned_since; /* epoch at which that work began: replayed rounds carry it on */
    enum life life;
    const struct sink *out; /* the driver's, during a call */
    /* Latest time passed in; node_due then, to measure how late a tick is. */
    instant now, promised;
    /* End of JOIN; time of the next and of the latest PROGRESS; end of DONE, of LEAVING, or of
     * waiting for a round after the user asked to leave. */
    instant join_until, publish_at, published, leave_until;
    instant round_began;    /* the latest outer step or adoption */
    instant solo_until;     /* no attempt before then */
    instant sit_out_until;  /* a round from before my restart may be under way */
    instant behind_since;   /* INSTANT_NEVER: mine is the history to be followed */
    instant outvoted_since; /* INSTANT_NEVER: only a heavier history would be followed */
    uint32_t sync_failures; /* consecutive */
    instant sync_again;     /* no download before then */
    uint32_t snapshots;     /* ordered and not yet answered */
    bool training;          /* the latest order to the trainer */
    bool averaged;          /* this process has begun a round with others */
    bool leaving;           /* leave when the round is over */
    bool cell_stale;        /* matchmaking has yet to be told of a change among the members */
    bool links_changed;     /* relays have yet to be looked at */
    instant relay_look_at;  /* when they are next, whatever has changed */
    instant fork_again;     /* no fork note before then */
    instant committed_at;   /* when the latest group was certified */
    span averaging;         /* how long the latest average took from then on */
    instant due_since;      /* the round is due and waits for members that are near */
    bool near;              /* what my latest PROGRESS says: PROGRESS_NEAR */
};

#endif
