/* check.h -- what must be true of a swarm, looked at after every event; the first that is not ends
 * the run.
 *
 *     bits       equal lineage means equal anchor, momentum, epoch and tokens, in memory and on disk
 *     survivors  where the only faults are crashes: nodes that lived through round r have one lineage at r
 *     average    a mean is the weighted mean of contributions to this very round, each counted once with the weight it
 *                was READY with, recomputed in float64 from what the trainers handed over; nothing is missing that is
 *                claimed to be in it, and nothing is in it that is claimed not to be
 *     accept     a process signs one group at most in each attempt of a round (SPEC.md, "Matchmaking")
 *     bound      from READY to applied or solo: T_MATCH + T_REDUCE + 2 T_CLOSE and a margin (SIM_ROUND_S); the
 *                trainer stands still for T_REDUCE + 2 T_CLOSE and a margin at most (SIM_HELD_S)
 *     back       an epoch grows by one, or changes by adopting a heavier lineage
 *     cause      a second history from one past is made only where a member did not see another that lives: it held it
 *                for dead, had not heard of it or lost it in the average; or while another fork heals, or when one had
 *                joined in between
 *     fork       two nodes in contact whose lineages are neither one the other's past: within SIM_FORK_S one of them
 *                says so or gives way
 *     heal       SIM_HEAL_S after the last fault all live nodes are identical, and at least twice again after that
 *     meet       where nothing goes wrong all have links to all SIM_MEET_S after the last start
 *     ghost      nothing is done after ORDER_FINISH
 *     leave      who was told to leave has finished SIM_LEAVE_S later
 *     memory     bytes on the way from one node, its links, its messages a second
 *     driver     what an action asks for can be done: the link exists, the request was made, the vector is that long */
#ifndef SHOAL_SIM_CHECK_H
#define SHOAL_SIM_CHECK_H

#include "network.h"
#include "swarm/node.h"

/* From the snapshot on (SPEC.md, "Timers"): 10 s and three inner steps of the slowest member for
 * the others' snapshots, T_REDUCE = 10 s and three estimates for the chunks, 2 T_CLOSE = 20 s and
 * one estimate to agree. The estimate is under a second for vectors as short as these. 5 s of
 * margin for latency; inner steps are added by check.c. */
#define SIM_HELD_S (10 + 10 + 20 + 4 + 5)
/* Before it T_MATCH = 15 s and one timer of its last attempt. */
#define SIM_ROUND_S (15 + 3 + SIM_HELD_S)
/* Two gossip periods, a suspicion that is refuted, and a round in which READY carries the
 * lineage. */
#define SIM_FORK_S 90
/* A round that began before the end (SIM_ROUND_S), T_max of the suspicion timers (60 s), two
 * periods of the reconnector (60 s), a download and a round. */
#define SIM_HEAL_S 240
/* Dials through the first of the list, an exchange of records, more dials. */
#define SIM_MEET_S 10
/* A polite leave: T_REDUCE of a round under way, and the good-byes. */
#define SIM_LEAVE_S (SIM_ROUND_S + 10)

#define SIM_ROUNDS_MIN 10
#define SIM_LIMIT_S    5000 /* no world lasts longer; a far one ten times that */

#define SIM_LINKS_MAX    64         /* of one node at a time */
#define SIM_QUEUED_MAX   (32 << 20) /* bytes on their way from one node */
#define SIM_MESSAGES_MAX 4000       /* of one node in a second */

struct world;
struct sim_node;

#define CHECK_SNAPSHOTS 128
#define SIM_CHUNKS_MAX  16

struct means {                        /* what average.c found in the means of one outer step */
    uint32_t members[SIM_CHUNKS_MAX]; /* bit i: node i's contribution is in that chunk's mean */
    uint32_t faint[SIM_CHUNKS_MAX];   /* so small beside the others that quantization hides it */
    uint64_t low[SIM_NODES_MAX], high[SIM_NODES_MAX]; /* tokens that node adds to the lineage */
};

struct history { /* one lineage that ever was */
    uint8_t lineage[CRYPTO_DIGEST_BYTES];
    int32_t parent; /* index; -1: genesis */
    uint64_t epoch, tokens;
    float *anchor, *momentum; /* its bits */
    struct means means;       /* that led to it */
    bool blind;    /* who made it first did not see all who lived, or lost some while averaging */
    uint32_t born; /* nodes that had ever been started then: more of them have another half */
    bool apart;    /* who made it first may not have heard of the others: check_survivors */
};

struct offers { /* tokens that a node had processed when it said READY in this round */
    uint64_t latest;
    uint64_t before; /* the time before: its certificate may come late; 0: there was none */
};

struct snapshot { /* what a trainer handed over */
    int node;
    int32_t base; /* index of the history it started from */
    struct offers offers;
    uint64_t tokens; /* at the snapshot */
    float *delta;
};

struct check {
    struct history *histories;
    int32_t history_count, history_room;
    struct snapshot snapshots[CHECK_SNAPSHOTS]; /* a ring */
    uint32_t snapshot_next;
    instant forked_since[SIM_NODES_MAX][SIM_NODES_MAX]; /* and in contact; INSTANT_NEVER: not */
    uint32_t second; /* histories that were made from a past that had a successor already */
    instant calm_since;
    uint64_t grouped_before;         /* the calm */
    uint64_t same_count, same_epoch; /* epochs after the calm at which all were identical */
};

struct accepted { /* the latest ACCEPT of a process */
    int32_t history;
    uint64_t round;
    uint16_t attempt;
    uint8_t gid[CRYPTO_DIGEST_BYTES];
};

struct node_watch {
    int32_t history; /* of its state */
    enum peer_phase phase;
    instant busy_since; /* in MATCH or REDUCE; INSTANT_NEVER: not */
    struct offers offers;
    struct accepted accepted;
    bool blind;         /* in this round: did not see all who live */
    bool adopted;       /* ever, in this life */
    instant fork_said;  /* the latest note of a fork */
    struct means means; /* that are being applied */
};

/* The index of a lineage that somebody has held, or -1. */
int32_t check_history(const struct check *c, const uint8_t lineage[CRYPTO_DIGEST_BYTES]);

void check_init(struct world *w);
void check_fini(struct check *c);

/* A process starts with this state. */
void check_state(struct world *w, struct sim_node *n, const char *how);
/* The trainer has handed over anchor - parameters (average.c). */
void check_snapshot(struct world *w, struct sim_node *n);
/* ORDER_APPLY is about to be carried out (average.c). */
void check_means(struct world *w, struct sim_node *n);
/* It was: the state before it is `before`. */
void check_applied(struct world *w, struct sim_node *n, const struct lineage_state *before);
void check_adopted(struct world *w, struct sim_node *n, const struct lineage_state *before);
void check_note(struct world *w, struct sim_node *n, const struct note *note);
/* A frame goes out. */
void check_frame(struct world *w, struct sim_node *n, const struct action *a);
/* After every event that a node was given. */
void check_step(struct world *w, struct sim_node *n);
/* Once a second. Ends the run when all that had to be shown has been. */
void check_watch(struct world *w);

#endif
