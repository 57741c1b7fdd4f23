/* node.h -- one member of the swarm: membership, progress, matchmaking, averaging and state
 * transfer as one machine.
 *
 *     JOIN --> TRAIN --> MATCH --> REDUCE --> APPLY --> TRAIN --> ...     at the end DONE, LEFT
 *      `--> SYNC --^ from JOIN, TRAIN or MATCH, when another member's state wins
 *
 * node_life.h lists all transitions and what they wait for.
 *
 * Pure: no clock, socket, thread, malloc or rand. Events come in with their time, actions go out to
 * a sink (action.h). What it promises is in SPEC.md, "Guarantees". */
#ifndef SHOAL_SWARM_NODE_H
#define SHOAL_SWARM_NODE_H

#include "action.h"
#include "base/arena.h"
#include "base/err.h"
#include "base/rng.h"
#include "outer/outer.h"

struct node_config {
    uint8_t id[CRYPTO_KEY_BYTES];
    uint8_t run_id[CRYPTO_DIGEST_BYTES];
    /* max(unix milliseconds at the start, previous one + 1); the driver stores it. */
    uint64_t incarnation;
    const struct crypto *crypto;
    struct rng rng;        /* the node's own stream */
    uint64_t parameters;   /* of the model */
    uint64_t every;        /* inner steps of one epoch, for a worker of reference speed */
    uint64_t batch_tokens; /* of one inner step */
    uint64_t epochs;       /* of the run */
    /* Each worker does exactly `every` steps, and its trainer pauses after them, which makes a run
     * repeatable. Otherwise the work-sum rule. */
    bool count_steps;
    bool robust; /* means are robust (outer/mean.h) */
    uint32_t group_min, group_max;
    /* Rounds to keep for members that missed them (past.h), 0 .. NODE_PAST_MAX, and memory for
     * their means, node_past_bytes, lent for the life of the node. */
    uint32_t past_rounds;
    uint8_t *past;
    uint32_t bandwidth_mbps; /* first guess of the uplink, 1 .. 4000000 */
    /* Family 0: what peers observe, until an EVENT_ADDRESS of this node's own id. */
    struct address advertise;
    /* Settings that all members must share, as text for HELLO; at most NODE_SHARED_MAX bytes; lent
     * for the life of the node. */
    struct bytes shared;
    /* What whoever joins must hold (access.h), at least NODE_SECRET_MIN unpredictable bytes; lent
     * for the life of the node. Empty: anybody may join. */
    struct bytes secret;
    /* The experiment's key: who joins must show a ticket of it (ticket.h), and `ticket` is my own,
     * TICKET_BYTES. NULL: no tickets. Both are lent for the life of the node. */
    const uint8_t *ticket_key;
    struct bytes ticket;
    /* Describes how a peer's settings, which may be any bytes, differ from ours; returns its
     * length. NULL: not needed. */
    size_t (*differ)(struct bytes here, struct bytes there, char story[NODE_STORY_BYTES]);
    /* The peer list, copied. Family 0: its address is not known yet and comes by EVENT_ADDRESS. */
    const struct peer_address *bootstrap;
    size_t bootstrap_count; /* at most NODE_LISTED_MAX */
    uint32_t lists;         /* that come later, by EVENT_LISTED; at most NODE_LISTS_MAX */
};

struct node;

/* Bytes of arena that node_init needs for this configuration, and of node_config.past. */
size_t node_bytes(const struct node_config *c);
size_t node_past_bytes(uint64_t parameters, uint32_t rounds);

/* A node that holds `state` (genesis at epoch 0, or a checkpoint's) and has done `round` since its
 * last outer step. All memory comes from `room`. Actions may go out during the call. NULL with a
 * reason when the configuration is invalid. */
struct node *node_init(const struct node_config *c, const struct lineage_state *state,
                       const struct round_progress *round, struct arena *room, instant now,
                       const struct sink *out, struct why *w);

/* Takes one event; its actions go to `out` before this returns. */
void node_step(struct node *n, const struct event *in, const struct sink *out);

/* Latest time at which the node wants its next EVENT_TICK. */
instant node_due(const struct node *n);

/* Completed share of the present epoch, 0 .. 1: the swarm's work divided by its target. The
 * learning rate schedule uses it. */
double node_epoch_share(const struct node *n);

/* Bytes that this node has relayed for others. */
uint64_t node_relayed(const struct node *n);

/* Fills up to `room` entries, self first; returns their number, at most NODE_PEERS_MAX. */
size_t node_peers(const struct node *n, struct node_peer *out, size_t room);

#endif
