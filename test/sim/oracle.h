/* oracle.h -- a false swarm for the simulator's own tests, in place of swarm/node.c: its nodes know
 * each other through a global variable and average at once and rightly, unless the test tells them
 * to cheat. What the simulator says of a cheat is what it would say of a bug. It also talks over
 * every link it gets, and keeps count. */
#ifndef SHOAL_SIM_ORACLE_H
#define SHOAL_SIM_ORACLE_H

#include "swarm/node.h"

enum cheat {
    CHEAT_NONE,
    CHEAT_TALK,    /* never averages: processes may die */
    CHEAT_TWICE,   /* the first contribution is added twice, and counted twice */
    CHEAT_MISSING, /* the last contribution is counted in the weights but not added */
    CHEAT_WEIGHT,  /* all weigh the same, whatever they have done */
    CHEAT_TOKENS,  /* a token is added to the lineage that nobody trained on */
    CHEAT_CLAIM,   /* a node is told that it is not in the mean, and it is */
    CHEAT_NOISE,   /* something is in the mean that nobody contributed */
    CHEAT_STALE,   /* the contribution of the round before is in the mean */
    CHEAT_BITS,    /* one node's mean differs in one q, under the same lineage */
    CHEAT_LINEAGE, /* one node goes its own way, and says nothing */
    CHEAT_EPOCH,   /* an outer step leads two epochs on */
    CHEAT_LIGHTER, /* a node adopts genesis again */
    CHEAT_MATCH,   /* a node stays in MATCH */
    CHEAT_HOLD,    /* a snapshot is ordered, and nothing after it */
    CHEAT_STOP,    /* no more rounds after the fifth */
    CHEAT_GHOST,   /* a node acts after it has finished */
    CHEAT_SPIN,    /* a node wants tick after tick */
    CHEAT_FLOOD,   /* a node sends thousands of frames a second */
    CHEAT_LINK,    /* a node uses a link that it does not have */
    CHEAT_COUNT
};

struct oracle_counts {
    uint64_t ups, downs, dial_failures;
    uint64_t frames_sent, frames, frames_disordered;
    uint64_t parcels_sent, parcels, parcels_damaged, done_ok, done_failed;
    uint64_t requests_sent, requests, replies_ok, replies_failed, replies_wrong;
    uint64_t datagrams_sent, datagrams, datagrams_late, datagrams_double;
};

/* Forgets everything; the next world cheats like this. */
void oracle_reset(enum cheat c);

extern struct oracle_counts oracle_counts;

#endif
