/* node_parts.h -- the struct of node.c and its parts. node.h describes the whole.
 *
 *     look      what others are and do: participants, the heaviest history
 *     say       actions out, and what others see of me
 *     history   states that are taken and given: download, adoption, fork, damage
 *     round     from readiness to the outer step
 *     leave     the end
 *     life      one state after the other
 *     view      for status
 *     node      what comes in
 *
 * Each uses those above it. */
#ifndef SHOAL_SWARM_NODE_PARTS_H
#define SHOAL_SWARM_NODE_PARTS_H

#include "match.h"
#include "member.h"
#include "node.h"
#include "progress.h"
#include "reduce.h"
#include "sync.h"

/* SPEC.md, "A node's life": to hear from the peer list before training from what is at hand. */
#define NODE_JOIN_PATIENCE span_s(3)
/* A heavier history that few hold: my own round may lead there too. */
#define NODE_BEHIND_PATIENCE span_s(5)

enum life {
    LIFE_JOIN,  /* listens whether there is a swarm that is further on */
    LIFE_SYNC,  /* downloads a state */
    LIFE_ADOPT, /* ORDER_ADOPT is out */
    LIFE_TRAIN,
    LIFE_MATCH,
    LIFE_REDUCE,
    LIFE_APPLY, /* ORDER_APPLY is out */
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
    struct lineage_state state;  /* the one I hold; its vectors are the driver's */
    struct round_progress round; /* what the trainer did since the latest outer step */
    enum life life;
    const struct sink *out; /* the driver's, during a call */
    instant now, promised;  /* latest time heard of; node_due then, to see how late a tick comes */
    /* How long JOIN may last; the next and the latest PROGRESS; how long DONE, LEAVING, and a round
     * that the user's wish to leave waits for may last. */
    instant join_until, publish_at, published, leave_until;
    instant round_began;    /* the latest outer step or adoption */
    instant solo_until;     /* no attempt of mine before */
    instant sit_out_until;  /* a round of my former life may be under way */
    instant behind_since;   /* INSTANT_NEVER: I hold the heaviest history known */
    uint32_t sync_failures; /* in a row */
    instant sync_again;     /* no download before */
    uint32_t snapshots;     /* ordered and not yet here */
    bool training;          /* what the trainer was told */
    bool averaged;          /* has begun a round with others, in this process */
    bool leaving;           /* when the round is over */
    bool cell_stale;        /* matchmaking must hear of a change among the members */
    bool unsure;            /* my state comes from a round that ended without agreement */
    instant fork_again;     /* a fork is reported again, not before */
    instant committed_at;   /* when the latest group was certified */
};

#endif
