/* sim.h -- the simulated swarm: 1 to 20 real nodes in one thread, where one seed decides
 * everything.
 *
 *     zig build sim                       seeds 1 .. 200, on all cores
 *     zig build sim -- 17                 one seed
 *     zig build sim -- --far 1..200       other worlds: links so slow that a round's bytes take minutes (far.h)
 *     zig build sim -- 17 --trace         the same, with every note, fault and state change on the way
 *     zig build sim -- 17 --nodes 5       the same dice for five nodes
 *     zig build sim -- 1..200 --golden test/golden/sim.txt   all messages and notes are those of the time when that was written
 *     zig build sim -- 1..1000 --said > test/golden/sim.txt  by a change that is meant to say something else
 *     zig build sim -- 17 --salt 1        the same run on another day: with `count: steps` and no fault, the same bits
 *     zig build sim -- 1..1000            many
 *     zig build mutate                    eight planted bugs: each must be caught
 *
 * The code of swarm/ and c/outer/outer.c is the real one. The world around it is made here: the
 * clock, the network (network.h), memory (one arena a node), chance, cryptography (standin.h), the
 * trainer and its disk (trainer.h). First the faults of the seed's scenario (scenario.h), then
 * calm. After every event the invariants of check.h are looked at.
 *
 * How to read a failure:
 *
 *     seed 17: FAILED at 83.214 s (event 51234): an average counted a contribution twice: node 3's, chunk 2 ...
 *       nodes 6, crash 3, restart 2, pause 0, ...
 *       repeat: zig build sim -- 17
 *
 * The first broken invariant ends the run, so what it says is the earliest sign, not the last
 * consequence. Its name is the text before the colon: look it up in check.h, where each one says
 * what it means and which part of SPEC.md promises it. Run it again with --trace: the same seed
 * gives the same events, so the lines before the last one are how it came about; times are seconds
 * since the start of the world, nodes are numbered as they are in it. "proved nothing" is a failure
 * of the scenario, not of the protocol: too few rounds, or a kind of fault that was planned and
 * never met anybody. A crash of the process itself (an assertion in swarm/) is reported with the
 * seed and the time. */
#ifndef SHOAL_SIM_SIM_H
#define SHOAL_SIM_SIM_H

#include <stdbool.h>
#include <stdint.h>

#include "base/instant.h"

enum fault {
    FAULT_LOSS,      /* a packet was lost: a datagram is gone, a reliable message comes later */
    FAULT_DUPLICATE, /* a datagram came twice */
    FAULT_REORDER,   /* a datagram was overtaken by a later one */
    FAULT_CRASH,     /* a process died without a word, maybe in the middle of what it was sending */
    FAULT_RESTART,   /* it came back with the same key and its checkpoint */
    FAULT_EMPTY,     /* it came back with the same key and an empty folder */
    FAULT_PARTITION, /* two sets of nodes did not hear each other */
    FAULT_ONE_WAY,   /* one set did not hear another, but was heard */
    FAULT_PAUSE,     /* a process stood still, as by SIGSTOP */
    FAULT_SLOW,      /* a node trained several times slower than the others */
    FAULT_JOIN,      /* a node came later, with genesis */
    FAULT_LEAVE,     /* a node said goodbye */
    FAULT_DAMAGE,    /* part of a state was served with a bit that had flipped */
    FAULT_DEAF,      /* large messages did not reach a node, small ones did: an MTU hole */
    FAULT_HANG,      /* a trainer stood still, and its node talked on */
    FAULT_COUNT
};

const char *fault_name(enum fault f);

struct sim_options {
    uint64_t seed;
    uint32_t nodes; /* 1 .. 20; 0: the seed decides */
    uint64_t
        salt; /* other dice for network and timing, the same run: where nothing depends on them, the same bits */
    bool trace; /* to stderr */
    bool far;   /* worlds of slow, uneven and long links (far.h) instead of the ordinary ones */
};

struct sim_report {
    bool ok;
    char violation[600]; /* the first broken invariant, when not ok */
    instant at;          /* when it ended */
    uint64_t events;     /* events given to nodes */
    uint64_t hash;       /* of all events and actions in order */
    uint64_t
        said; /* of all messages delivered and all notes, with their times: whatever the inner interfaces are */
    uint64_t bits; /* of anchor and momentum at epoch 10 of the history that won */
    uint32_t nodes;
    uint64_t rounds;  /* outer steps in the history that won */
    uint64_t grouped; /* of all outer steps, those whose mean holds two contributions or more */
    uint64_t forks, adoptions;
    uint64_t faults[FAULT_COUNT]; /* met */
    uint64_t needed[FAULT_COUNT]; /* what the scenario had to meet at least */
    const char *scenario;
};

/* Runs one world to its end. */
void sim_run(const struct sim_options *o, struct sim_report *out);

#endif
