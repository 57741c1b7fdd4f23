/* driver.h -- the network's thread: runs the swarm's state machine on real QUIC.
 *
 *     endpoint (net/) --events--> node (swarm/) --actions--> endpoint, trainer (exchange.h), log
 *
 * One thread with an event loop. It never waits for the trainer, and the trainer waits for it only
 * when it has nothing to train. Signals (stop.h) are received here: the first asks the node to
 * leave, a later one ends the process. */
#ifndef SHOAL_NODE_DRIVER_H
#define SHOAL_NODE_DRIVER_H

#include "base/event_log.h"
#include "config/experiment.h"
#include "net/identity.h"
#include "node/exchange.h"
#include "node/pass.h"
#include "node/replica.h"
#include "node/unreached.h"

struct driver;

struct driver_config {
    const struct experiment *experiment;
    struct identity *identity;
    const struct crypto *crypto;
    struct exchange *exchange; /* all of these outlive the driver */
    struct replica *replica;   /* downloads go into its spare buffers */
    struct event_log *log;     /* may be NULL */
    const char *listen;        /* host:port */
    const char *const *peers;  /* files or URLs of ID@host:port lines, or such lines */
    size_t peers_count;
    uint64_t incarnation;
    uint8_t run_id[CRYPTO_DIGEST_BYTES];
    /* What identifies the run, as text (config/shared.h); lent until driver_close. */
    struct bytes shared;
    struct bytes secret;         /* of a closed swarm (secret.h); empty: open. Lent likewise. */
    struct pass *pass;           /* of a swarm with tickets, else NULL. Lent likewise. */
    struct round_progress round; /* done since the last outer step, from a checkpoint */
};

/* Opens the socket, starts the node with the replica's state, and the thread that runs both. The
 * signals of stop.h must be blocked in the calling thread. ERR_USAGE or ERR_IO for an address or a
 * peer list that cannot be read, ERR_NETWORK for a socket that cannot be opened, ERR_MEMORY. */
enum err driver_open(struct driver **out, const struct driver_config *c, struct why *w);

/* Bytes of host memory that the swarm's state machine (swarm/node.h) allocates for a model of
 * `parameters` elements, without a peer list. */
size_t driver_swarm_bytes(uint64_t parameters);

/* The address where it can be reached from this host's networks (interface.h), with the port that
 * the system chose. */
struct address driver_address(const struct driver *d);

/* Copies up to `room` peers that it cannot reach now, with reasons, most recently tried first;
 * returns their number. From any thread. */
size_t driver_unreached(struct driver *d, struct unreached *out, size_t room);

/* Closes all links (CLOSE_LEAVING), ends the thread, frees everything. NULL is fine. */
void driver_close(struct driver *d);

#endif
