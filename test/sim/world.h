/* world.h -- the simulated world and everything in it; its parts are network.h, trainer.h,
 * scenario.h and check.h. */
#ifndef SHOAL_SIM_WORLD_H
#define SHOAL_SIM_WORLD_H

#include <stdio.h>

#include "base/arena.h"
#include "check.h"
#include "network.h"
#include "own_clock.h"
#include "queue.h"
#include "scenario.h"
#include "sim.h"
#include "standin.h"
#include "swarm/node.h"
#include "swarm/ticket.h"
#include "timeline.h"
#include "trainer.h"

/* A machine with at most one process on it. */
struct sim_node {
    struct world *world;
    int index;
    struct own_clock clock;
    uint8_t id[CRYPTO_KEY_BYTES];
    struct address address;
    bool alive;      /* the process runs (it may be paused) */
    bool finished;   /* it ended normally: ORDER_FINISH */
    bool refused;    /* with the swarm's refusal */
    bool leaving;    /* EVENT_LEAVE was delivered */
    instant left_at; /* when that was */
    /* The crash has happened within the present step: its further actions have no effect. */
    bool dying;
    bool stepping;   /* node_step is running: it must not be re-entered */
    uint32_t life;   /* number of its process, from 1 */
    instant born;    /* when its first process started */
    instant started; /* when its present one did */
    uint64_t incarnation;
    instant paused_since, paused_until; /* running when `paused_until` is past */
    instant died_at;                    /* end of its latest process */
    /* Time of the earliest tick in the queue; INSTANT_NEVER: none. */
    instant tick_at;
    uint32_t ticks_now; /* ticks at the same moment */
    instant ticked;
    uint64_t crash_after;       /* actions until it dies; 0: not planned */
    instant crash_latest;       /* or at this time, whatever it does */
    span back_after;            /* downtime after that crash; 0: for ever */
    bool back_empty, returning; /* it will be started again */
    struct node *node;
    struct node_config config;
    uint8_t ticket[TICKET_BYTES];
    struct peer_address bootstrap[SIM_NODES_MAX];
    struct standin standin;
    struct crypto crypto;
    struct arena room;
    struct trainer trainer;
    struct disk disk;
    struct network_card card;
    struct node_watch watch;
};

struct world {
    struct sim_options options;
    struct scenario scenario;
    struct sim_report *report;
    struct queue queue;
    instant now;
    bool over; /* violated or done */
    bool calm; /* the faults have ended */
    struct rng rng;
    uint8_t run_id[CRYPTO_DIGEST_BYTES];
    struct sim_node nodes[SIM_NODES_MAX];
    uint32_t node_count;
    struct network network;
    struct trainer_device device;
    struct check check;
    uint64_t hash, said;
    struct timeline *timeline;  /* NULL: no --html */
    uint8_t tale[64 << 10];     /* the latest message of lies_tell */
    const struct event *giving; /* to a node, now */
};

/* Records the first violated invariant and ends the run. */
void world_violated(struct world *w, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Gives an event to a node's machine: it must be alive and not paused. */
void world_give(struct world *w, struct sim_node *n, struct event *e);

/* A line for --trace. */
void world_trace(struct world *w, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* What a node's clock shows. */
static inline instant node_now(const struct world *w, const struct sim_node *n)
{
    return own_clock_now(&n->clock, w->now);
}

static inline bool node_runs(const struct world *w, const struct sim_node *n)
{
    return n->alive && n->paused_until.ns <= w->now.ns;
}

/* Of so many tokens of a member, those that count: four times what it owes in a round, at most. */
static inline uint64_t world_counted(const struct world *w, uint64_t tokens)
{
    uint64_t most = 4 * w->scenario.every * w->scenario.batch_tokens;
    return tokens < most ? tokens : most;
}

static inline bool node_lies(const struct world *w, const struct sim_node *n)
{
    return w->scenario.fabulists >> n->index & 1;
}

/* Schedules the machine's next tick: after its clock was changed. */
void world_schedule(struct world *w, struct sim_node *n);

/* Start and end of a process. */
void world_start(struct world *w, struct sim_node *n);
void world_crash(struct world *w, struct sim_node *n);

#endif
