/* trainer.h -- a fast fake trainer: its inner steps change the parameters randomly.
 *
 * It works like c/node/worker.c: inner steps one by one; orders of the swarm are carried out at
 * step boundaries, in order; an order takes time. The replica has two pairs of buffers; an outer
 * step or a download is written to the spare pair, which then becomes the state. The state is
 * written to the disk now and then, and a restart continues from there. */
#ifndef SHOAL_SIM_TRAINER_H
#define SHOAL_SIM_TRAINER_H

#include "base/instant.h"
#include "outer/outer.h"
#include "swarm/action.h"

#define TRAINER_ORDERS 32

struct world;
struct sim_node;

struct disk { /* survives a crash */
    bool any;
    float *anchor, *momentum;
    struct lineage_state state; /* its pointers are the two above */
    instant saved;
};

enum trainer_job { JOB_NONE, JOB_STEP, JOB_SNAPSHOT, JOB_APPLY, JOB_ADOPT };

struct trainer {
    struct outer_layout layout;
    float *parameters, *anchor[2], *momentum[2];
    uint8_t *leaves[2];
    int current; /* index of the pair that is the state */
    uint8_t *wire;
    struct lineage_state state;
    struct round_progress round;
    uint64_t steps; /* in its life: selects an inner step's random numbers */
    span step;      /* time of one inner step */
    bool on;        /* the latest of ORDER_TRAIN and ORDER_HOLD was ORDER_TRAIN */
    bool held;      /* a snapshot was ordered, and nothing since */
    instant held_since;
    enum trainer_job job;
    instant hung_until; /* its present job ends no earlier */
    struct order order; /* of JOB_APPLY and JOB_ADOPT */
    struct order orders[TRAINER_ORDERS];
    size_t order_count;
    uint64_t snapshot_tokens; /* of the round at the latest snapshot */
};

/* Allocates the vectors; trainer_boot sets their content. */
void trainer_open(struct world *w, struct sim_node *n);
void trainer_close(struct sim_node *n);

/* The start of a process, from its checkpoint or genesis. Fills state and round. */
void trainer_boot(struct world *w, struct sim_node *n);

/* Handles ACTION_ORDER, ACTION_STATE and ACTION_REPLAY. */
void trainer_order(struct world *w, struct sim_node *n, const struct order *o);
void trainer_part(struct world *w, struct sim_node *n, const struct action *a);
void trainer_replay(struct world *w, struct sim_node *n, const struct action *a);

/* The present job is done. */
void trainer_happen(struct world *w, struct sim_node *n);

#endif
