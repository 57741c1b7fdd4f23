/* queue.h -- future events of the simulated world, in order of time, at a tie in the order they
 * were pushed.
 *
 * A binary heap. Nothing in it depends on an address or on the clock of the machine it runs on. */
#ifndef SHOAL_SIM_QUEUE_H
#define SHOAL_SIM_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/instant.h"

struct message;

enum happening_kind {
    HAPPEN_START,   /* node: its process starts */
    HAPPEN_TICK,    /* node: its timer expires */
    HAPPEN_TRAINER, /* node: the trainer's present job is done */
    HAPPEN_ARRIVE,  /* message */
    HAPPEN_DIAL,    /* link: the dialler tries to reach the other side */
    HAPPEN_UP,      /* link, side: the handshake is complete there */
    HAPPEN_GONE,    /* link, side: the network reports that nobody listens at the peer's address */
    HAPPEN_IDLE,    /* link, side: idle timeout, if `stamp` is still current */
    HAPPEN_RESET,   /* link, side: the peer answers that it knows no such connection */
    HAPPEN_CLOSE,   /* link, side: a close arrives there */
    HAPPEN_RETIRE,  /* link, side: close it when it is quiet */
    HAPPEN_SENT,    /* stamp: a node's uplink has sent a piece of its outbox; link: its number */
    HAPPEN_WAKE,    /* node: a pause ends */
    HAPPEN_FAULT,   /* stamp: index into the plan */
    HAPPEN_HEAL,    /* stamp: index into the plan; its effect ends */
    HAPPEN_WATCH,   /* once a second: checks of what must happen within a bound */
};

struct happening {
    instant at;
    uint64_t sequence; /* given by queue_push */
    enum happening_kind kind;
    uint8_t side;
    int node;      /* the node concerned; -1: none, or see the link */
    uint32_t life; /* of the node's process: void for a later process; 0: any */
    uint32_t link;
    uint64_t stamp;
    struct message *message; /* owned by the happening */
};

struct queue {
    struct happening *heap;
    size_t count, room;
    uint64_t sequence;
};

/* Copies `h`; its sequence number is the number of pushes so far. */
void queue_push(struct queue *q, struct happening h);

/* Takes the earliest; false when there is none. */
bool queue_next(struct queue *q, struct happening *out);

/* Frees the heap's storage; the caller first frees the messages still in it (queue_next until
 * false). */
void queue_fini(struct queue *q);

#endif
