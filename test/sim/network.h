/* network.h -- links that behave like QUIC's.
 *
 *     DIALLING --handshake--> LIVE --both ends down--> OVER
 *         `-- ten seconds without an answer: EVENT_DIAL_FAILED
 *
 * A link has two ends, and each learns of the end separately: by a close that arrives, by an answer
 * that no such connection is known (the peer was restarted), or by 30 s of silence (RFC 9000,
 * section 10). An end sends keep-alives, so silence means that the peer died, is paused, or its
 * packets are lost.
 *
 * Frames of one direction arrive in order. Parcels, requests and replies arrive independently,
 * after latency and the sender's uplink time. All of them are delayed by lost packets, and wait
 * while the path is blocked; when their end goes down, unacknowledged ones fail. Datagrams are
 * lost, duplicated and reordered. A message of a dead process arrives only if it was sent before
 * its death. Two links of a pair: the one that the smaller ID dialled stays; of two dialled by the
 * same side the newer stays. */
#ifndef SHOAL_SIM_NETWORK_H
#define SHOAL_SIM_NETWORK_H

#include "queue.h"
#include "swarm/action.h"

#define SIM_NODES_MAX 24

#define NETWORK_IDLE_S   30   /* idle timeout of a connection */
#define NETWORK_DIAL_S   10   /* timeout of a handshake */
#define NETWORK_KEEP_S   10   /* keep-alive: how late a restarted peer's reset may come */
#define NETWORK_BURST_MS 3000 /* a burst of loss lasts no longer */
#define NETWORK_INBOX    64   /* datagrams buffered by a stopped process's socket */
/* How often the worse of two links is checked: it closes once it is quiet. */
#define NETWORK_RETIRE_S 1

struct world;
struct sim_node;

struct train {           /* EVENT_TRAIN, when the message is acknowledged */
    uint64_t bytes;      /* until its last piece leaves: what the sender had sent before it */
    instant sent, began; /* its first piece begins to leave, and to arrive */
    span took;
};

struct message { /* in flight to one end of a link */
    enum event_kind kind;
    uint32_t link;
    uint8_t side; /* the receiving end */
    uint8_t type;
    bool ok, doubled;
    bool declined;    /* an answer: the receiver's transport did not take the message */
    uint64_t number;  /* frames: position in their direction; datagrams: order of sending */
    uint32_t pending; /* parcels, requests and their answers: index in the link's list */
    bool waiting;     /* a datagram in a stopped process's socket */
    instant left;     /* when its last packet that got through left the sender */
    span one_way;     /* bulk of a far world; the next two as well */
    size_t to_send;   /* bytes that have not begun to leave */
    instant arrives;  /* the latest piece */
    struct train train;
    size_t count;
    uint8_t data[];
};

struct transfer { /* bytes that move from one moment to another, evenly */
    instant from, to;
    size_t bytes, told; /* told: of them, in an EVENT_FLOW */
};

struct transfers {
    struct transfer *list;
    size_t count, room;
};

struct link_end {
    int node;
    uint32_t life; /* of the process that holds it */
    bool up;       /* the process may send and receive */
    bool told;     /* EVENT_LINK_UP was delivered, so EVENT_LINK_DOWN must follow */
    bool welcome;  /* ACTION_WELCOME: parcels to this end are not declined, requests do not wait */
    instant up_at; /* nothing arrives earlier */
    instant deaf_since; /* since when the peer cannot be heard; INSTANT_NEVER: it can */
    /* messages to this end */
    uint64_t frame_next, frame_sent, datagram_latest, datagram_sent;
    instant frame_at; /* arrival of the latest frame */
    instant piece_at; /* far worlds: of the latest piece of bulk */
    struct message **stalled;
    size_t stalled_count, stalled_room;
    struct transfers in, out; /* what comes to this end; what it sends, as it is acknowledged */
};

struct pending { /* a parcel without acknowledgement or a request without reply */
    bool open;
    bool answered;        /* requests: the other end has sent the reply */
    uint8_t side;         /* the waiting side */
    uint8_t what;         /* first byte of the message sent: its type */
    enum event_kind kind; /* EVENT_PARCEL_DONE, EVENT_REPLY */
    uint64_t ticket;      /* the waiting side's */
};

struct link {
    struct link_end end[2];       /* [0] dialled */
    uint8_t id[CRYPTO_KEY_BYTES]; /* the dialled node */
    bool dialling;
    instant dial_until;
    uint32_t under_way; /* messages in flight, both ways */
    struct pending *pending;
    size_t pending_count, pending_room;
};

struct network_card { /* state of a node */
    double mbps;      /* up */
    double down_mbps; /* 0: no limit */
    instant uplink_free, downlink_free;
    uint64_t sent_bytes; /* of bulk, that have begun to leave */
    /* Far worlds: bulk that waits for the uplink, in order; links take turns, as connections that
     * share a queue do. */
    struct message **outbox;
    size_t outbox_count, outbox_room;
    uint32_t outbox_link; /* whose turn it was */
    bool sending;         /* a piece is leaving: the outbox's first message's */
    uint32_t sent;        /* number of the latest HAPPEN_SENT to come: an earlier one is void */
    uint32_t inbox;       /* datagrams waiting while it is paused */
    uint64_t queued;      /* bytes in flight from it */
    uint64_t queued_max;  /* for check.h */
    uint64_t sent_count;  /* messages since the latest check (check.h) */
};

struct network {
    struct link *links;
    uint32_t link_count, link_room;
    uint32_t link_first;             /* all before it are over */
    double loss, duplicate, reorder; /* probability per packet; 0 in the calm */
    double burst;                    /* probability a datagram that a burst of loss begins */
    instant burst_until[SIM_NODES_MAX][SIM_NODES_MAX]; /* [from][to] */
    bool deaf[SIM_NODES_MAX]; /* what needs more than one packet does not reach this node */
    double refusal;           /* probability that bulk is declined by its receiver */
    uint32_t damage;    /* every n-th part of a state, and every n-th result, has a bit flipped */
    uint32_t served[2]; /* parts and results that were served to downloads so far */
    span latency[SIM_NODES_MAX][SIM_NODES_MAX];    /* one way */
    uint8_t blocked[SIM_NODES_MAX][SIM_NODES_MAX]; /* [from][to]: number of faults that block it */
};

/* Carries out an action of `n` that concerns the network. */
void network_act(struct world *w, struct sim_node *n, const struct action *a);

/* Carries out a happening of the network's kinds; takes ownership of the message. */
void network_happen(struct world *w, const struct happening *h);

/* Something changed (crash, pause, partition): starts and stops the idle timers. Called after every
 * such change. */
void network_review(struct world *w);

/* A process is paused from now until its wake: links that are silent for too long are gone by
 * then. */
void network_paused(struct world *w, struct sim_node *n);

/* A process has died: if its machine still answers, peers are soon told that nobody listens
 * there. */
void network_crashed(struct world *w, struct sim_node *n);

/* A process has started where one had died: peers that still send to the old one are told so. */
void network_restarted(struct world *w, struct sim_node *n);

/* A process has ended normally: its driver closes its links. */
void network_closed(struct world *w, struct sim_node *n);

/* Tells a process what has moved on its links: EVENT_FLOW. Once a second. */
void network_flow(struct world *w, struct sim_node *n);

/* Which processes are in contact: a link whose both ends are up and hear each other. */
void network_contacts(const struct world *w, bool out[SIM_NODES_MAX][SIM_NODES_MAX]);

/* Live ends of a node. */
uint32_t network_degree(const struct world *w, const struct sim_node *n);

void network_fini(struct network *n);

#endif
