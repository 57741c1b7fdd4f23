/* trainer.h -- a fast fake trainer: its inner steps change the parameters randomly.
 *
 * It works like c/node/worker.c: inner steps one by one; orders of the swarm are carried out at
 * step boundaries, in order; an order takes time. Snapshots, outer steps and downloads are the real
 * ones of c/node/replica.c, on the CPU's outer step (c/cpu/outer.c). The state is written to the
 * disk now and then, and a restart continues from there. */
#ifndef SHOAL_SIM_TRAINER_H
#define SHOAL_SIM_TRAINER_H

#include "base/arena.h"
#include "base/instant.h"
#include "cpu/ops.h"
#include "node/replica.h"
#include "swarm/action.h"

#define TRAINER_ORDERS 32
#define STEP_UNIT      0x1p-14f /* an inner step adds up to 128 of them to a parameter */

struct world;
struct sim_node;

struct disk { /* survives a crash */
    bool any;
    float *anchor, *momentum;
    struct lineage_state state; /* its vectors are the two above */
    float *kept_anchor, *kept_momentum;
    struct kept_chunk *kept; /* what ACTION_KEEP kept of each chunk; epoch 0: nothing */
    instant saved;
};

enum trainer_job { JOB_NONE, JOB_STEP, JOB_SNAPSHOT, JOB_APPLY, JOB_ADOPT };

struct trainer {
    struct arena memory; /* of the replica, mapped anew for each process */
    struct replica replica;
    float *parameters;
    /* What its inner steps added to each parameter and is in no mean yet, in units of STEP_UNIT: a
     * second account, kept without the replica (check.h, "learned"). */
    int32_t *learned;
    struct round_progress round;
    uint64_t steps; /* in its life: selects an inner step's random numbers */
    span step;      /* time of one inner step */
    bool breaks;    /* its next step leaves a number that is none */
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

/* What replicas compute with: the outer step of the CPU's backend, one thread, and no other
 * operation. */
struct trainer_device {
    struct cpu cpu;
    struct backend backend;
};
void trainer_device_open(struct trainer_device *d);
void trainer_device_close(struct trainer_device *d);

/* Allocates the parameters and the disk; trainer_boot sets their content. */
void trainer_open(struct world *w, struct sim_node *n);
void trainer_close(struct sim_node *n);

/* The start of a process, from its checkpoint or genesis. Fills state and round. */
void trainer_boot(struct world *w, struct sim_node *n);

/* Its disk is empty from now on. */
void trainer_wipe(struct sim_node *n);

/* What ACTION_KEEP kept in an earlier life, to the node that has just been made. */
void trainer_find_kept(struct world *w, struct sim_node *n);

/* Handles ACTION_ORDER, ACTION_STATE, ACTION_REPLAY and ACTION_KEEP. */
void trainer_order(struct world *w, struct sim_node *n, const struct order *o);
void trainer_part(struct world *w, struct sim_node *n, const struct action *a);
void trainer_replay(struct world *w, struct sim_node *n, const struct action *a);
void trainer_keep(struct sim_node *n, const struct kept_chunk *k);

/* FAULT_FLIP: a low bit of the anchor's or the momentum's fraction. */
void trainer_flip(struct world *w, struct sim_node *n);

/* The present job is done. */
void trainer_happen(struct world *w, struct sim_node *n);

#endif
