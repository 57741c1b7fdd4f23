/* network.h -- links as QUIC gives them, without QUIC.
 *
 *     DIALLING --handshake--> LIVE --both ends down--> OVER
 *         `-- ten seconds without an answer: EVENT_DIAL_FAILED
 *
 * A link has two ends, and each learns of its end by itself: by a close that arrives, by an answer
 * that no such connection is known (the peer was restarted), or by 30 s of silence (RFC 9000,
 * section 10). An end keeps a link alive, so silence means: the peer died, stands still, or its
 * packets do not get through.
 *
 * Frames of one direction arrive in order. Parcels, requests and replies arrive each by itself,
 * after latency and the time that the sender's uplink takes. All of them get delay where a packet
 * is lost, and wait where the path is blocked; when their end goes down, what was not acknowledged
 * fails. Datagrams are lost, doubled and overtaken. A message of a process that died arrives only
 * if it had left by then. Two links of a pair: the one that the smaller ID dialled stays; of two
 * dialled by the same side the newer. */
#ifndef SHOAL_SIM_NETWORK_H
#define SHOAL_SIM_NETWORK_H

#include "queue.h"
#include "swarm/action.h"

#define SIM_NODES_MAX 24

#define NETWORK_IDLE_S   30   /* idle time-out of a connection */
#define NETWORK_DIAL_S   10   /* a handshake without answer is given up */
#define NETWORK_KEEP_S   10   /* keep-alive: how late a restarted peer's reset may come */
#define NETWORK_BURST_MS 3000 /* a burst of loss lasts no longer */
#define NETWORK_INBOX    64   /* datagrams that a stopped process's socket holds */
#define NETWORK_RETIRE_S                                                                           \
    1 /* how often the worse of two links is looked at: it goes once it is quiet */

struct world;
struct sim_node;

struct message { /* on its way to one end of a link */
    enum event_kind kind;
    uint32_t link;
    uint8_t side; /* the receiving end */
    uint8_t type;
    bool ok, doubled;
    uint64_t number;  /* frames: position in their direction; datagrams: order of sending */
    uint32_t pending; /* parcels, requests and their answers: index in the link's list */
    bool waiting;     /* a datagram in a stopped process's socket */
    instant left;     /* when its last packet that got through left the sender */
    size_t count;
    uint8_t data[];
};

struct link_end {
    int node;
    uint32_t life;      /* of the process that holds it */
    bool up;            /* the process may send and receive */
    bool told;          /* EVENT_LINK_UP was given, so EVENT_LINK_DOWN is due */
    instant up_at;      /* nothing arrives earlier */
    instant deaf_since; /* since when nothing can come from the peer; INSTANT_NEVER: it can */
    /* what is on its way to this end */
    uint64_t frame_next, frame_sent, datagram_latest, datagram_sent;
    instant frame_at; /* the latest frame arrives then */
    struct message **stalled;
    size_t stalled_count, stalled_room;
};

struct pending { /* a parcel without acknowledgement or a request without reply */
    bool open;
    bool answered;        /* requests: the reply was handed in at the other end */
    uint8_t side;         /* who waits */
    uint8_t what;         /* the first byte of what was sent: its type */
    enum event_kind kind; /* EVENT_PARCEL_DONE, EVENT_REPLY */
    uint64_t ticket;      /* the waiting side's */
};

struct link {
    struct link_end end[2];       /* 0 dialled */
    uint8_t id[CRYPTO_KEY_BYTES]; /* who was dialled */
    bool dialling;
    instant dial_until;
    uint32_t under_way; /* messages, both ways */
    struct pending *pending;
    size_t pending_count, pending_room;
};

struct network_card { /* a node's */
    double mbps;      /* up */
    double down_mbps; /* 0: no limit */
    instant uplink_free, downlink_free;
    uint32_t inbox;      /* datagrams that wait while it is paused */
    uint64_t queued;     /* bytes on their way from it */
    uint64_t queued_max; /* for check.h */
    uint64_t sent_count; /* messages since the latest look (check.h) */
};

struct network {
    struct link *links;
    uint32_t link_count, link_room;
    uint32_t link_first;             /* all before it are over */
    double loss, duplicate, reorder; /* probability a packet; 0 in the calm */
    double burst;                    /* probability a datagram that a burst of loss begins */
    instant burst_until[SIM_NODES_MAX][SIM_NODES_MAX]; /* [from][to] */
    bool deaf[SIM_NODES_MAX]; /* what needs more than one packet does not reach this node */
    uint32_t damage,
        served; /* every so manieth part of a state has a bit flipped; how many were served */
    span latency[SIM_NODES_MAX][SIM_NODES_MAX];    /* one way */
    uint8_t blocked[SIM_NODES_MAX][SIM_NODES_MAX]; /* [from][to]: how many faults block it */
};

/* An action of `n` that is for the network. */
void network_act(struct world *w, struct sim_node *n, const struct action *a);

/* Carries out a happening of the network's kinds; takes the message over. */
void network_happen(struct world *w, const struct happening *h);

/* Something changed (crash, pause, partition): starts and stops the idle timers. Called after every
 * such change. */
void network_review(struct world *w);

/* A process stands still from now until its wake: what it has not heard for too long is gone when
 * it wakes. */
void network_paused(struct world *w, struct sim_node *n);

/* A process has died: where its machine still answers, peers hear soon that nobody listens
 * there. */
void network_crashed(struct world *w, struct sim_node *n);

/* A process has started where one had died: peers that still speak to the old one are told so. */
void network_restarted(struct world *w, struct sim_node *n);

/* A process has ended in good order: its driver closes its links. */
void network_closed(struct world *w, struct sim_node *n);

/* Which processes are in contact: a link whose both ends are up and hear each other. */
void network_contacts(const struct world *w, bool out[SIM_NODES_MAX][SIM_NODES_MAX]);

/* Live ends of a node. */
uint32_t network_degree(const struct world *w, const struct sim_node *n);

void network_fini(struct network *n);

#endif
