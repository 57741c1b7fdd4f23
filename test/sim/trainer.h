/* trainer.h -- a worker that learns nothing, quickly: its inner steps change the parameters by
 * chance.
 *
 * It does what c/node's worker does, in its order: one inner step after the other; orders of the
 * swarm are carried out at step boundaries, in order; an order's work takes time. The replica has
 * two pairs of buffers; an outer step or a download is written to the spare pair, which then
 * becomes the state. Each state goes to the disk now and then, and a restart goes on from there. */
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
    int current; /* index of the pair that is the state */
    uint8_t *wire;
    struct lineage_state state;
    struct round_progress round;
    uint64_t steps; /* in its life: what chance an inner step takes */
    span step;      /* time of one inner step */
    bool on;        /* ORDER_TRAIN, not ORDER_HOLD, came last */
    bool held;      /* a snapshot was ordered, and nothing after it yet */
    instant held_since;
    enum trainer_job job;
    instant hung_until; /* its present job ends no earlier */
    struct order order; /* of JOB_APPLY and JOB_ADOPT */
    struct order orders[TRAINER_ORDERS];
    size_t order_count;
    uint64_t snapshot_tokens; /* of the round at the latest snapshot */
};

/* Storage for the vectors; the content comes with trainer_boot. */
void trainer_open(struct world *w, struct sim_node *n);
void trainer_close(struct sim_node *n);

/* What a process finds at its start: its checkpoint, or genesis. Fills state and round. */
void trainer_boot(struct world *w, struct sim_node *n);

/* ACTION_ORDER and ACTION_STATE. */
void trainer_order(struct world *w, struct sim_node *n, const struct order *o);
void trainer_part(struct world *w, struct sim_node *n, const struct action *a);

/* The present job is done. */
void trainer_happen(struct world *w, struct sim_node *n);

#endif
