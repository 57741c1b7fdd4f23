/* scenario.h -- what a seed decides before the world starts: the nodes, and the faults with their
 * times. */
#ifndef SHOAL_SIM_SCENARIO_H
#define SHOAL_SIM_SCENARIO_H

#include "base/instant.h"
#include "base/rng.h"
#include "network.h"
#include "sim.h"

#define SCENARIO_PLAN_MAX 64

/* Seed modulo their number, so that 200 seeds have 20 of each. */
enum scenario_kind {
    SCENARIO_QUIET,     /* no fault at all */
    SCENARIO_LOSSY,     /* packets lost, doubled, reordered; slow nodes; no other faults */
    SCENARIO_CRASH,     /* crashes only; the dead stay dead */
    SCENARIO_RESTART,   /* crashes; the dead come back with their checkpoint or without */
    SCENARIO_PARTITION, /* the swarm is cut in two, then healed */
    SCENARIO_ONE_WAY,   /* some do not hear some others */
    SCENARIO_PAUSE,     /* processes and virtual machines are paused for up to two minutes */
    SCENARIO_CHURN,     /* joins, leaves, crashes, restarts */
    SCENARIO_ALL,       /* everything at once */
    SCENARIO_END,       /* the run ends after some epochs; a crash and a join on the way */
    SCENARIO_COUNT,
    /* far.h */
    FAR_SLOW = SCENARIO_COUNT, /* all links are slow */
    FAR_UNEVEN,                /* some are fifty times slower than others */
    FAR_LONG,                  /* round trips of up to 0.8 s, loss of up to 20 % in bursts */
    FAR_JOIN,                  /* who comes late needs many rounds to download the state */
    FAR_DEAF,                  /* large messages do not reach one member for a while */
    FAR_HANG,                  /* a trainer stands still for up to two minutes */
    FAR_HUB,                   /* one member reaches all, the others nobody else */
    FAR_HOLES,                 /* some pairs never reach each other */
    FAR_END,
    /* wrong.h */
    WRONG_COPY = FAR_END, /* a second process has a member's key */
    WRONG_REPLICA,        /* bits of replicas are flipped */
    WRONG_SERVER,         /* a member answers downloads with something else than its state */
    WRONG_NUMBER,         /* what a member learned holds numbers that are none */
    WRONG_REFUSAL,        /* receivers' transports decline bulk now and then */
    WRONG_MINIMUM,        /* swarm.group.min is more than 2, and there may be fewer */
    WRONG_END,
    /* lies.h */
    LIES_HISTORY = WRONG_END, /* members claim outer steps and tokens that nobody has */
    LIES_WORK,                /* tokens, rates and times of any size */
    LIES_DIGEST,              /* another state */
    LIES_PHASE,               /* that they do something else */
    LIES_ACCUSE,              /* that all others are gone */
    LIES_ADDRESS,             /* other addresses */
    LIES_MATCH,  /* they say READY to each otherwise, propose others' otherwise, sign nothing */
    LIES_READY,  /* what they have trained, and what their lines carry */
    LIES_MEANS,  /* what a mean is */
    LIES_STALL,  /* that bytes move, and results change */
    LIES_FLOOD,  /* everything, many times */
    LIES_RELAY,  /* they keep, change and repeat what they relay */
    LIES_TICKET, /* that they may join */
    SCENARIO_KINDS
};

struct planned {
    enum fault kind;
    instant at;
    span length;      /* pause, partition, jump; downtime of a crash, 0: for ever */
    int node;         /* pause, crash, leave; -1: chosen when it happens */
    uint32_t drawn;   /* jump: of this node's clock, or the next one's that runs */
    bool freezes;     /* pause: its clock stands still, too */
    uint32_t sides;   /* partition: bit i set: node i is on one side */
    bool empty;       /* crash: it comes back with an empty folder */
    uint64_t actions; /* crash: after so many more of its actions */
    bool done;        /* it has happened, and what it began has ended */
};

struct scenario {
    enum scenario_kind kind;
    uint32_t nodes;
    uint64_t parameters, every, batch_tokens, epochs;
    bool count_steps; /* each worker does exactly `every` steps, then waits for the others */
    double loss, duplicate, reorder;
    uint32_t group_min;            /* swarm.group.min; 0: its default */
    uint32_t copies, liars;        /* bit i: node i has the key of node 0; lies when it serves */
    uint32_t fabulists;            /* bit i: node i says what is not so */
    uint32_t apart[SIM_NODES_MAX]; /* bit i: node i and this one never reach each other */
    double refusal;                /* probability that a receiver declines bulk */
    uint32_t damage;               /* one in so many served parts of a state is damaged; 0: none */
    span step[SIM_NODES_MAX];      /* of an inner step */
    int32_t ppm[SIM_NODES_MAX];    /* by which a node's clock is fast (own_clock.h) */
    double mbps[SIM_NODES_MAX];    /* up, in truth */
    double down_mbps[SIM_NODES_MAX]; /* down, in truth; 0: no limit */
    uint32_t guess_mbps;             /* what all were configured with; 0: the truth */
    bool far;
    span slack;    /* what slow links add to the time in which a round or a download must end */
    span download; /* of a state, on the slowest link */
    double burst;  /* probability a message that a burst of loss begins; in it most is lost */
    instant start[SIM_NODES_MAX];
    bool late[SIM_NODES_MAX]; /* joins while the others train */
    /* Everybody's peer list names only the first node, as in the README; otherwise all that are not
     * late. */
    bool list_first;
    span one_way;          /* latency of every pair; 0: each pair has its own, up to 75 ms */
    span round;            /* estimated duration of a round */
    span checkpoint_every; /* epochs are written to disk no more often than this */
    struct planned plan[SCENARIO_PLAN_MAX];
    uint32_t plan_count;
    instant calm_at; /* earliest calm; it begins when all faults have passed */
    uint32_t absent; /* bit i: node i never starts (less.h) */
};

void scenario_of(uint64_t seed, uint32_t nodes, struct scenario *out, uint64_t needed[FAULT_COUNT]);

/* For far.c and wrong.c: one more fault, without a time; members who come late; a time for each fault. */
struct planned *scenario_plan(struct scenario *s, enum fault kind, uint64_t needed[FAULT_COUNT]);
void scenario_plan_joins(struct rng *r, struct scenario *s, uint64_t count,
                         uint64_t needed[FAULT_COUNT]);
void scenario_plan_times(struct rng *r, struct scenario *s);

/* The calm that the planned faults and starts allow, without those that are left out. */
instant scenario_calm(const struct scenario *s);

const char *scenario_name(enum scenario_kind k);

/* The kind of this seed's world; with one node it may be another. */
enum scenario_kind scenario_kind_of(uint64_t seed, enum sim_worlds worlds);

struct world;

/* A planned fault begins or ends. */
void scenario_happen(struct world *w, const struct happening *h);

#endif
