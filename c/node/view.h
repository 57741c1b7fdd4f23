/* view.h -- the swarm as one peer sees it, as JSON and text: what HTTP/3 serves at /status and
 * /peers. */
#ifndef SHOAL_NODE_VIEW_H
#define SHOAL_NODE_VIEW_H

#include <stddef.h>
#include <stdint.h>

#include "net/endpoint.h"
#include "node/unreached.h"
#include "swarm/peer.h"

struct view_facts {
    const struct node_peer *peers; /* the swarm, self first */
    size_t peers_count;
    const char *experiment; /* its name */
    uint8_t run_id[CRYPTO_DIGEST_BYTES];
    uint64_t epochs;       /* of the whole run */
    uint64_t epoch_tokens; /* of an epoch per worker, on average */
    uint64_t parameters;
    struct endpoint_counters net;
    uint64_t relayed;                  /* bytes that we relayed for others */
    struct address listen;             /* our own address, used until a peer reports another */
    const struct unreached *unreached; /* peers that we cannot reach */
    size_t unreached_count;
    uint64_t now_ms; /* unix milliseconds */
};

/* A JSON object: experiment, run, epochs, epoch_tokens, parameters, sent, received, relayed, strangers:
 * {links, handshakes, retries, refused, evicted, garbage, resets}, peers: [{id,
 * address, self, linked, via, health, phase, epoch, steps, tokens, tokens_per_s, loss, lineage, age,
 * unreachable: [{id, reason}]}], unreachable: [{id, address, reason, why, tries, seconds (since the
 * latest try)}]. The inner `unreachable` lists the members that a member reports as unreachable,
 * the outer one the peers that we cannot reach. The caller frees it with free(); NULL without
 * memory. */
char *view_status(const struct view_facts *f);

/* A peer list: ID@host:port lines of all live members that have an address, self first.
 * Likewise. */
char *view_peers(const struct view_facts *f);

/* In lower case, as in the JSON: "train", "alive"; static. */
const char *view_phase(enum peer_phase p);
const char *view_health(enum peer_health h);

#endif
