/* sim.h -- the simulated swarm: 1 to 20 real nodes in one thread, where one seed decides
 * everything.
 *
 *     zig build sim                    seeds 1 .. 200, on all cores
 *     zig build sim -- 17              one seed
 *     zig build sim -- 1..200 --only pause,churn  these scenarios alone
 *     zig build sim -- --far 1..200    worlds with slow links, where a round takes minutes (far.h)
 *     zig build sim -- --wrong 1..200  far worlds where something is wrong with a member (wrong.h)
 *     zig build sim -- --lies 1..200   far worlds where members say what is not so (lies.h)
 *     zig build sim -- 17 --trace      the same, printing every note, fault and state change
 *     zig build sim -- 17 --html FILE  the run as a page: who did what, when (timeline.h)
 *     zig build sim -- 17 --shrink     a smaller world that fails in the same way (shrink.h), and the
 *                                      options that give it: --without 3,5 --absent 2 (arguments.h)
 *     zig build sim -- 17 --nodes 5    the same random numbers for five nodes
 *     zig build sim -- 17 --salt 1     the same run with other timing: with `count: steps` and no
 *                                      fault, the same bits
 *     zig build sim -- 1..1000         many
 *     zig build sim -- 1..200 --golden test/golden/sim.txt
 *                                      compares all messages and notes with that file
 *     zig build sim -- 1..1000 --said > test/golden/sim.txt
 *                                      after an intended change of messages
 *     zig build mutate                 plants bugs (mutations.py), each of which must be caught
 *
 * The code of swarm/, c/outer/outer.c, c/cpu/outer.c and c/node/replica.c is the real one. The world
 * around it is simulated: the
 * clock, the network (network.h), memory (one arena per node), random numbers, cryptography
 * (standin.h), the trainer and its disk (trainer.h). First come the faults of the seed's scenario
 * (scenario.h), then calm. The invariants of check.h are checked after every event.
 *
 * How to read a failure:
 *
 *     seed 17: FAILED at 83.214 s (event 51234): an average counted a contribution twice: ...
 *       nodes 6, crash 3, restart 2, pause 0, ...
 *       repeat: zig build sim -- 17
 *
 * The first violated invariant ends the run, so the message is the earliest sign, not the last
 * consequence. check.h explains each invariant and names the part of SPEC.md that promises it. Run
 * it again with --trace: the same seed gives the same events, so the last lines show what led to
 * it; times are seconds since the start of the world, and nodes have the world's numbers. With
 * --html the same stands in a picture: a lane for each node, with faults, groups and forks. "proved
 * nothing" is a failure of the scenario, not of the protocol: too few rounds, or a planned kind of
 * fault that never had an effect. A crash of the process itself (an assertion in swarm/) is
 * reported with the seed and the time. */
#ifndef SHOAL_SIM_SIM_H
#define SHOAL_SIM_SIM_H

#include <stdbool.h>
#include <stdint.h>

#include "base/instant.h"

enum fault {
    FAULT_LOSS,      /* a packet was lost: a datagram is gone, a reliable message is delayed */
    FAULT_DUPLICATE, /* a datagram arrived twice */
    FAULT_REORDER,   /* a datagram was overtaken by a later one */
    FAULT_CRASH,     /* a process died without notice, maybe while sending */
    FAULT_RESTART,   /* it came back with the same key and its checkpoint */
    FAULT_EMPTY,     /* it came back with the same key and an empty folder */
    FAULT_PARTITION, /* two sets of nodes did not hear each other */
    FAULT_ONE_WAY,   /* one set did not hear another, but was heard */
    FAULT_PAUSE,     /* a process was paused, as by SIGSTOP */
    FAULT_SLOW,      /* a node trained several times slower than the others */
    FAULT_JOIN,      /* a node joined late, with genesis */
    FAULT_LEAVE,     /* a node left normally */
    FAULT_DAMAGE,    /* part of a state was served with a flipped bit */
    FAULT_DEAF,      /* large messages did not reach a node, small ones did: an MTU hole */
    FAULT_HANG,      /* a trainer stood still, and its node talked on */
    FAULT_FREEZE,    /* a virtual machine was paused, and its clock with it */
    FAULT_JUMP,      /* a clock jumped forward */
    FAULT_COPY,      /* a second process with a member's key was refused */
    FAULT_FLIP,      /* a bit of a replica was flipped in memory */
    FAULT_LIE,       /* a server answered a download with something else than its state */
    FAULT_NUMBER,    /* what was learned held a number that is none */
    FAULT_REFUSAL,   /* a receiver's transport declined a parcel or a request for bulk */
    FAULT_TALE,      /* a member signed and sent what is not so */
    FAULT_COUNT
};

const char *fault_name(enum fault f);

/* What is left out of a seed's world (less.h). A world with something left out need not prove
 * anything: it is for looking at a failure. */
struct sim_less {
    uint64_t faults; /* bit i: planned fault i does not happen */
    uint32_t nodes;  /* bit i: node i never starts */
    bool loss, duplicates, reordering, damage;
    uint32_t calm_s; /* earliest calm; 0: the scenario's */
};

enum sim_worlds {
    WORLDS_ORDINARY,
    WORLDS_FAR,   /* slow, uneven and long links (far.h) */
    WORLDS_WRONG, /* the same, and something is wrong with a member (wrong.h) */
    WORLDS_LIES,  /* the same, and members say what is not so (lies.h) */
};

struct sim_options {
    uint64_t seed;
    uint32_t nodes; /* 1 .. 20; 0: the seed decides */
    /* Other random numbers for network and timing, for the same run: the same bits if nothing
     * depends on them. */
    uint64_t salt;
    bool trace; /* to stderr */
    enum sim_worlds worlds;
    struct sim_less less;
    const char *html; /* writes the run as a page there (timeline.h); NULL: no */
};

struct sim_report {
    bool ok;
    char violation[600]; /* the first violated invariant, when not ok */
    instant at;          /* when the run ended */
    uint64_t events;     /* events given to nodes */
    uint64_t hash;       /* of all events and actions in order */
    /* Hash of all delivered messages and notes, with their times; independent of internal
     * interfaces. */
    uint64_t said;
    uint64_t bits; /* of anchor and momentum at epoch 10 of the winning history */
    uint32_t nodes;
    uint64_t rounds;              /* outer steps in the winning history */
    uint64_t grouped;             /* outer steps whose mean has at least two contributions */
    uint64_t forks, adoptions;    /* notes of forks; downloads and replays */
    uint64_t seconds;             /* histories that were not the first from their past */
    uint64_t faults[FAULT_COUNT]; /* that took effect */
    uint64_t needed[FAULT_COUNT]; /* minimum that the scenario requires */
    const char *scenario;
};

/* Runs one world to its end. False when the page of --html could not be written: it has said so. */
bool sim_run(const struct sim_options *o, struct sim_report *out);

/* The process dies during sim_run: writes its page as far as it got, with `why` as the violation. */
void sim_died(const char *why);

#endif
