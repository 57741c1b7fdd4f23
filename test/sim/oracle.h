/* oracle.h -- a fake swarm for the simulator's own tests, in place of swarm/node.c: its nodes know
 * each other through a global variable and average at once and correctly, unless the test makes
 * them cheat. The simulator must report a cheat as it would a bug. It also sends messages over
 * every link it gets, and counts them. */
#ifndef SHOAL_SIM_ORACLE_H
#define SHOAL_SIM_ORACLE_H

#include "swarm/node.h"

enum cheat {
    CHEAT_NONE,
    CHEAT_TALK,    /* no cheating, and no averages: processes may die */
    CHEAT_TWICE,   /* the first contribution is added twice, and counted twice */
    CHEAT_MISSING, /* the last contribution is counted in the weights but not added */
    CHEAT_WEIGHT,  /* all have the same weight, whatever they have done */
    CHEAT_TOKENS,  /* adds a token to the lineage that nobody trained on */
    CHEAT_CLAIM,   /* a node is told that it is not in the mean, but it is */
    CHEAT_NOISE,   /* the mean contains something that nobody contributed */
    CHEAT_STALE,   /* a contribution of the previous round is in the mean */
    CHEAT_BITS,    /* one node's mean differs in one q, under the same lineage */
    CHEAT_LINEAGE, /* one node forks silently */
    CHEAT_EPOCH,   /* an outer step advances two epochs */
    CHEAT_LIGHTER, /* a node adopts genesis again */
    CHEAT_MATCH,   /* a node stays in MATCH */
    CHEAT_HOLD,    /* a snapshot is ordered, and then nothing else */
    CHEAT_STOP,    /* no more rounds after the fifth */
    CHEAT_GHOST,   /* a node acts after it has finished */
    CHEAT_SPIN,    /* a node wants tick after tick */
    CHEAT_FLOOD,   /* a node sends thousands of frames per second */
    CHEAT_LINK,    /* a node uses a link that it does not have */
    CHEAT_DIE,     /* an assertion of a node fails */
    CHEAT_LOOP,    /* a node's step does not end */
    CHEAT_COUNT
};

struct oracle_counts {
    uint64_t ups, downs, dial_failures;
    uint64_t frames_sent, frames, frames_disordered;
    uint64_t parcels_sent, parcels, parcels_damaged, done_ok, done_failed;
    uint64_t requests_sent, requests, replies_ok, replies_failed, replies_wrong;
    uint64_t datagrams_sent, datagrams, datagrams_late, datagrams_double;
};

/* Resets everything; the next world cheats like this. */
void oracle_reset(enum cheat c);

extern struct oracle_counts oracle_counts;

#endif
