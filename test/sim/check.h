/* check.h -- the invariants of a swarm, checked after every event; the first violation ends the
 * run.
 *
 *     bits       equal lineage means equal anchor, momentum, epoch, tokens, in memory and on disk
 *     survivors  if the only faults are crashes, nodes that survived round r have one lineage at r
 *     average    a mean is the weighted mean of contributions to this very round, each counted once
 *                with the weight in its READY, recomputed in float64 from the trainers'
 *                contributions; it contains exactly those that are claimed to be in it
 *     learned    a contribution is what the inner steps have added since the parameters last followed
 *                an anchor, where no mean has it yet, and nothing else
 *     twice      of a node's tokens no more are in a history than it has trained on
 *     accept     a process signs at most one group per attempt (SPEC.md, "Matchmaking"), and after a
 *                restart none while others average with its former life
 *     bound      from READY to applied or solo: SIM_ROUND_S; the trainer pauses for at most
 *                SIM_HELD_S
 *     back       an epoch grows by one, or changes by adopting a lineage that is heavier or that more
 *                nodes follow
 *     cause      a second history from one past is made only if a member did not see another live
 *                one: it considered it dead, had not heard of it or lost it in the average; or
 *                while another fork heals, or when a node had joined in between
 *     fork       two nodes in contact hold lineages neither of which is the other's past: within
 *                SIM_FORK_S one of them reports it or adopts the other
 *     heal       SIM_HEAL_S after the last fault all live nodes are identical, and at least twice
 *                again after that
 *     meet       without faults all have links to all SIM_MEET_S after the last start
 *     group      all members of a group that agree, agree on the same
 *     budget     second histories from one past are no more than the cuts, and the processes that
 *                came back or late: none where packets are lost, links slow, trainers hung or
 *                processes dead for good. Not counted is what nodes did that could not know the
 *                others yet
 *     copy       a second process with a member's key ends SIM_COPY_S after its start, refused; until
 *                then it makes no outer step. Nobody else is refused
 *     replica    a node whose bits were flipped has those of its lineage again SIM_REPAIR_S later, and
 *                nobody else ever holds other bits
 *     finite     no anchor and no momentum holds a number that is none
 *     minimum    a group has swarm.group.min members or more, or is one that is alone
 *     part       slow, uneven, long and lies worlds: whoever handed over a contribution is in every mean
 *     smooth     quiet, slow, uneven and lies worlds: a group holds all honest who train, no
 *                signature is withdrawn, no round is in vain, and nobody must download
 *     lasts      worlds with fast links where nobody is cut off: from commit to agreement
 *                SIM_QUIET_MS without faults, otherwise SIM_LASTS_MS
 *     woken      who was paused suspects nobody for SIM_WOKEN_S that lives and has a link to it
 *     null       every chunk of an average has a mean: all trainers have finite numbers
 *     liar       where no bytes are damaged, nobody's answer is found false
 *     carry      who learned from a state at most SIM_CARRY rounds back in the past of the adopted
 *                one keeps that, in long worlds; who learned from an older one never does
 *     signed     who commits has checked the signatures of all others, who applies those of a
 *                majority, who sees a member move on that member's record
 *     rate       slow and uneven worlds: after five rounds a node says no more than half more than
 *                its line carries
 *     ghost      nothing is done after ORDER_FINISH
 *     leave      a node told to leave has finished SIM_LEAVE_S later
 *     memory     bounds bytes in flight from a node, its links, its messages per second
 *     driver     actions are possible: the link exists, the request was made, the vector fits */
#ifndef SHOAL_SIM_CHECK_H
#define SHOAL_SIM_CHECK_H

#include "network.h"
#include "swarm/node.h"

/* Counted from the snapshot (SPEC.md, "Timers"): 10 s for the others' snapshots, T_STILL = 10 s three
 * times until nothing more is waited for, T_CLOSE = 60 s to agree, 4 s for the bytes of vectors as
 * short as these, and 5 s of margin for latency. check.c adds inner steps of the slowest member;
 * far worlds add what their bytes take. */
#define SIM_HELD_S (10 + 30 + 60 + 4 + 5)
/* Adds T_MATCH = 15 s and one timer of its last attempt. */
#define SIM_ROUND_S (15 + 3 + SIM_HELD_S)
/* Two gossip periods, a refuted suspicion, and a round in which READY carries the lineage. */
#define SIM_FORK_S 90
/* A round that began before the end (SIM_ROUND_S), T_max of the suspicion timers (60 s), two
 * periods of the reconnector (60 s), a download and a round. */
#define SIM_HEAL_S 240
/* Dials through the first of the list, an exchange of records, more dials. */
#define SIM_MEET_S 10
/* A normal leave: a round in progress, and the goodbyes. */
#define SIM_LEAVE_S (SIM_ROUND_S + 10)

/* An average of vectors as short as these takes a second and a half; a member that is silent is
 * suspected after T_SILENT = 8 s, its heir may be another that is, and so may who would sign. */
#define SIM_QUIET_MS 4000
#define SIM_LASTS_MS 28000
/* T_RETURN: less silence is no reason to suspect anybody. */
#define SIM_WOKEN_S 3
/* SPEC.md, "A node's life": rounds over which what was learned is carried. */
#define SIM_CARRY 2
/* HELLO on its links, T of the twin (5 s), latencies, and time for its own first dials. */
#define SIM_COPY_S 30
/* The outer step that spreads the flip over the digest, two gossip periods, and a download after
 * a failed one: SIM_ROUND_S and SIM_FORK_S. check.c adds rounds and what bytes take. */
#define SIM_REPAIR_S (SIM_ROUND_S + SIM_FORK_S)

#define SIM_ROUNDS_MIN 10
#define SIM_LIMIT_S    5000 /* maximum duration of a world; a far one ten times that */

#define SIM_LINKS_MAX    64         /* of a node at a time */
#define SIM_QUEUED_MAX   (32 << 20) /* bytes in flight from a node */
#define SIM_MESSAGES_MAX 4000       /* of a node per second */

struct world;
struct sim_node;

#define CHECK_SNAPSHOTS 128
#define SIM_CHUNKS_MAX  16

/* What average.c determined about the means of one outer step. */
struct means {
    uint32_t members[SIM_CHUNKS_MAX]; /* bit i: node i's contribution is in that chunk's mean */
    /* Too small beside the others to be detected after quantization. */
    uint32_t faint[SIM_CHUNKS_MAX];
    uint64_t low[SIM_NODES_MAX], high[SIM_NODES_MAX]; /* tokens that node adds to the lineage */
};

struct history { /* a lineage that exists or existed */
    uint8_t lineage[CRYPTO_DIGEST_BYTES];
    int32_t parent; /* index; -1: genesis */
    uint64_t epoch, tokens;
    float *anchor, *momentum;      /* its bits; NULL while only nodes with flipped bits hold it */
    struct means means;            /* of the outer step that led to it */
    uint64_t given[SIM_NODES_MAX]; /* tokens of each node in it, at least */
    bool blind; /* its first maker did not see all live nodes, or lost some while averaging */
    /* Nodes started when its first maker's group was committed: a quorum of more nodes may be
     * another half. */
    uint32_t born;
    bool apart; /* its first maker may not have known the others: check_survivors */
};

struct offers { /* tokens that a node had processed when it sent READY in this round */
    uint64_t latest;
    uint64_t before; /* the same for the previous READY, whose certificate may be late; 0: none */
};

struct snapshot { /* a contribution of a trainer */
    int node;
    int32_t base; /* index of the history it started from */
    struct offers offers;
    uint64_t tokens; /* at the snapshot */
    float *delta;
};

struct outcome { /* what a group has agreed on */
    uint8_t gid[CRYPTO_DIGEST_BYTES], lineage[CRYPTO_DIGEST_BYTES];
};

struct accepted { /* the latest ACCEPT of a node */
    int32_t history;
    uint64_t round;
    uint16_t attempt;
    uint32_t life;
    uint8_t gid[CRYPTO_DIGEST_BYTES];
};

struct check {
    struct outcome *outcomes;
    int32_t outcome_count, outcome_room;
    struct history *histories;
    int32_t history_count, history_room;
    struct snapshot snapshots[CHECK_SNAPSHOTS]; /* a ring */
    struct accepted accepted[SIM_NODES_MAX];    /* by nodes, in whatever life */
    uint32_t snapshot_next;
    /* Forked and in contact since then; INSTANT_NEVER: not. */
    instant forked_since[SIM_NODES_MAX][SIM_NODES_MAX];
    instant calm_since;
    uint64_t grouped_before;         /* grouped rounds before the calm */
    uint64_t same_count, same_epoch; /* epochs after the calm at which all were identical */
};

struct node_watch {
    int32_t history; /* of its state */
    enum peer_phase phase;
    instant busy_since; /* since when in MATCH or REDUCE; INSTANT_NEVER: not */
    struct offers offers;
    bool blind;                            /* in this round it did not see all live nodes */
    uint32_t born;                         /* nodes started when this round was committed */
    bool adopted;                          /* at any time in this life */
    instant fork_said;                     /* the latest note of a fork */
    struct means means;                    /* being applied */
    uint8_t agreed[CRYPTO_DIGEST_BYTES];   /* the gid of the latest agreement */
    uint8_t averages[CRYPTO_DIGEST_BYTES]; /* the gid of its latest group */
    uint32_t members;                      /* of that */
    uint64_t learned_since;                /* epoch from which its trainer's progress began */
    uint64_t accepts, sures, records;      /* signatures of others it had checked by then */
    uint64_t epochs[SIM_NODES_MAX];        /* of the others, as it knew them last */
    instant flipped_at; /* FAULT_FLIP, and its bits are not those of its lineage; 0: not so */
};

/* The index of a lineage that some node has held, or -1. */
int32_t check_history(const struct check *c, const uint8_t lineage[CRYPTO_DIGEST_BYTES]);

void check_init(struct world *w);
void check_fini(struct check *c);

/* A process starts with this state. */
void check_state(struct world *w, struct sim_node *n, const char *how);
/* The trainer has contributed anchor - parameters (average.c). */
void check_snapshot(struct world *w, struct sim_node *n);
/* An order was carried out: what it gave to means, or dropped, is no longer learned (average.c). */
void check_given(struct sim_node *n);
/* ORDER_APPLY is about to be carried out (average.c). */
void check_means(struct world *w, struct sim_node *n);
/* It was carried out; `before`: the previous state. */
void check_applied(struct world *w, struct sim_node *n, const struct lineage_state *before);
void check_adopted(struct world *w, struct sim_node *n, const struct lineage_state *before);
/* A bit of its state was flipped. */
void check_flipped(struct world *w, struct sim_node *n);
/* ORDER_FINISH. */
void check_finish(struct world *w, struct sim_node *n, bool refused);
void check_note(struct world *w, struct sim_node *n, const struct note *note);
/* A frame is sent. */
void check_frame(struct world *w, struct sim_node *n, const struct action *a);
/* Called after every event given to a node. */
void check_step(struct world *w, struct sim_node *n);
/* Called once a second. Ends the run when everything required has been shown. */
void check_watch(struct world *w);

#endif
