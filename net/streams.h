/* streams.h -- the streams of a link: the chunks that each has to send, the queues that order
 * sending, and incoming messages that are not complete yet. It calls no handler; link.c does.
 * Private to net/. */
#ifndef SHOAL_NET_STREAMS_H
#define SHOAL_NET_STREAMS_H

#include "chunks.h"
#include "frames.h"
#include "internal.h"

/* Kinds of streams: their first byte. */
#define KIND_CONTROL 0x01
#define KIND_PARCEL  0x02
#define KIND_REQUEST 0x10

/* Application codes of RESET_STREAM and STOP_SENDING. */
#define STREAM_UNKNOWN  0x01 /* unknown kind of stream */
#define STREAM_TOO_LONG 0x02
#define STREAM_FULL     0x03 /* too many unfinished messages at once: retry later */
#define STREAM_DECLINED 0x04 /* the request was not answered */
#define STREAM_EARLY    0x05 /* a parcel of a peer that is not welcome yet */

struct train { /* train.h */
    bool begun;
    instant sent, began; /* its first packets, and their acknowledgement */
    uint64_t before;     /* the endpoint's total after that */
};

struct stream {
    struct stream *next; /* in one of the session's lists */
    struct stream *all_next, *all_before;
    int64_t id; /* -1: not opened yet */
    uint8_t kind;
    bool ours; /* we opened it, or will */
    bool queued, blocked;
    uint64_t ticket;
    /* sending */
    struct chunks out;
    bool out_open; /* may still send: FIN not written, and no STOP_SENDING */
    bool out_fin;  /* FIN follows its chunks */
    /* receiving */
    bool in_open, kind_known;
    uint8_t *in;
    size_t in_count, in_room, in_max;
    bool asked;                    /* a request that was delivered and is not answered yet */
    bool early;                    /* a request that waits until the peer is welcome */
    bool bulk;                     /* a request whose reply counts in link_flows */
    instant sent_first, sent_last; /* pieces of a message of bulk; 0: not yet */
};

struct list {
    struct stream *first, **end;
};

struct session {
    struct stream *all;
    struct stream *control;   /* ours */
    bool control_seen;        /* the peer's */
    struct frames frames;     /* of the peer's control stream */
    struct list urgent, bulk; /* have data to send: frames and requests; parcels and replies */
    struct list unopened_uni, unopened_bidi; /* waiting for the peer's stream limit */
    struct chunks datagrams;
    size_t datagram_count;
    size_t queued;                     /* bytes not acknowledged */
    size_t held;                       /* bytes of the peer's unfinished messages */
    uint64_t bulk_sent, bulk_received; /* since the latest link_flows */
    struct train train;
    struct loop_timer quiet; /* of a retiring link */
    struct loop_timer welcome;
    instant retired, moved;
};

static inline void list_init(struct list *l) { *l = (struct list){.end = &l->first}; }

static inline void list_add(struct list *l, struct stream *s)
{
    s->next = NULL;
    *l->end = s;
    l->end = &s->next;
}

static inline bool list_remove(struct list *l, struct stream *s)
{
    for (struct stream **at = &l->first; *at; at = &(*at)->next) {
        if (*at != s) continue;
        *at = s->next;
        if (!*at) l->end = at;
        return true;
    }
    return false;
}

/* True while there are chunks, or FIN, to send. */
bool streams_has_data(const struct stream *s);
/* Adds a stream to the queue of those with data to send, if it has some and is open and not
 * blocked; otherwise removes it from that queue. */
void streams_enqueue(struct session *n, struct stream *s);
void streams_dequeue(struct session *n, struct stream *s);

/* A stream of the session; NULL: no memory. With `id` < 0 it is not open yet: the caller adds it to
 * one of the lists of unopened streams, and streams_open opens it. streams_free removes it from all
 * lists. */
struct stream *streams_new(struct session *n, int64_t id, uint8_t kind, bool ours);
void streams_free(struct connection *c, struct stream *s);

/* Frees an unfinished incoming message, and returns its flow control credit to the peer. */
void streams_release_in(struct connection *c, struct stream *s);
/* Opens as many waiting streams as the peer allows. */
void streams_open(struct connection *c);
/* Refuses further data on this stream. */
void streams_refuse(struct connection *c, struct stream *s, uint64_t code);

/* Appends `b` to the stream's unfinished message; false: no memory. */
bool streams_keep(struct session *n, struct stream *s, struct bytes b);
/* Refuses the youngest unfinished messages until the rest hold at most half of the connection's
 * window. */
void streams_make_room(struct connection *c);

/* A copy of these parts as one chunk, which the caller owns. NULL: no memory, or the link would
 * have more than queue_bytes_max + `reserve` bytes queued. */
struct chunk *streams_chunk(struct connection *c, const struct bytes *parts, size_t count,
                            size_t reserve);
/* Appends the chunk, which the stream now owns, to its send queue. */
void streams_queue(struct connection *c, struct stream *s, struct chunk *k);
/* Starts a stream of ours that carries one message of at most 3 parts, then FIN. NULL as for
 * streams_chunk. */
struct stream *streams_send(struct connection *c, uint8_t kind, const struct bytes *parts,
                            size_t count, uint64_t ticket);

#endif
