/* action.h -- what goes into the swarm's state machines and what comes out of them.
 *
 * swarm/ decides, its driver acts: under ngtcp2 the driver is c/node/driver.c, in the simulator
 * test/sim/. Time comes in with every event, random numbers from a generator handed in at the
 * start; the same events in give the same actions out. Bytes in an event are lent for the call;
 * bytes in an action are lent for the duration of the sink's call, except where a field says
 * longer. */
#ifndef SHOAL_SWARM_ACTION_H
#define SHOAL_SWARM_ACTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/address.h"
#include "base/bytes.h"
#include "base/crypto.h"
#include "base/instant.h"
#include "base/link.h"
#include "peer.h"

/* The replicated state: the same bits in every member of the swarm. */
struct lineage_state {
    uint64_t epoch;                       /* outer steps in its history */
    uint8_t lineage[CRYPTO_DIGEST_BYTES]; /* chain hash of that history */
    uint64_t lineage_tokens;              /* tokens averaged into it: the heavier lineage wins */
    const float *anchor, *momentum; /* [parameters]; immutable until the next one replaces it */
    const uint8_t *leaves;          /* [chunks][16] of both (outer.h); lent as long as they are */
    uint8_t digest[CRYPTO_HASH_BYTES]; /* SHA-256 of the leaves */
};

/* ---- events ---- */

/* After each name: the fields of struct event that it fills. */
enum event_kind {
    EVENT_TICK, /* a timer expired: now >= node_due */
    /* contacts */
    EVENT_LINK_UP,     /* link, id, address, dialled, exporter */
    EVENT_LINK_DOWN,   /* link, code, said: it was up */
    EVENT_LINK_MOVED,  /* link, address: the peer's packets come from there now */
    EVENT_DIAL_FAILED, /* id, address, code: a dial that failed */
    /* id, address, code: a peer of the peer list, or this node where it is its own id, can be
     * reached there. May come again with other addresses. `code`: 0 for the list that the node
     * started with, or the number of a later one. */
    EVENT_ADDRESS,
    /* id, address (family 0: not known yet), code: an entry of a list that came later, whose number
     * is 1 .. node_config.lists. May come again. */
    EVENT_LISTED,
    EVENT_LIST_READ, /* code: all entries of this list have come, or it could not be read */
    /* messages */
    EVENT_DATAGRAM,    /* link, bytes */
    EVENT_FRAME,       /* link, type, bytes: one whole message of the control stream, in order */
    EVENT_PARCEL,      /* link, bytes: one whole unidirectional stream */
    EVENT_PARCEL_DONE, /* link, ticket, ok: delivered, or never will be */
    EVENT_REQUEST,     /* link, ticket (repeated in ACTION_REPLY), bytes */
    EVENT_REPLY,       /* link, ticket, ok, bytes */
    EVENT_FLOW,        /* link, sent, received: about once a second while they move */
    EVENT_TRAIN,       /* count, took: a train of packets was acknowledged (rate.h) */
    /* kept: the spare buffers hold this chunk, which ACTION_KEEP kept in an earlier life of the
     * process. Before anything else has happened. */
    EVENT_KEPT,
    /* the trainer */
    EVENT_STEP,     /* round: one more inner step done */
    EVENT_SNAPSHOT, /* wire: the answer to ORDER_SNAPSHOT */
    /* state: the outer step of ORDER_APPLY is done and its buffers are now the state. The previous
     * state's buffers stay unchanged until the next ORDER_APPLY or ACTION_STATE. */
    EVENT_APPLIED,
    EVENT_ADOPTED, /* state: the download of ORDER_ADOPT is in place */
    EVENT_LEAVE,   /* the user wants to leave: say goodbye, then ORDER_FINISH */
    /* bytes: a REVOKED record (wire.h) that was kept, or that the experiment's owner has made */
    EVENT_REVOKED,
};

/* A chunk of both vectors, and the state that it is of. */
struct kept_chunk {
    uint32_t chunk; /* of outer_layout_of */
    uint64_t epoch;
    uint8_t lineage[CRYPTO_DIGEST_BYTES];
};

/* What the trainer did since the last outer step. */
struct round_progress {
    uint64_t steps, tokens;
    float loss;            /* mean of the latest step, nats per token */
    uint32_t tokens_per_s; /* recent rate */
    uint32_t step_ms;      /* recent time of one inner step */
};

struct event {
    enum event_kind kind;
    instant now;
    uint64_t
        wall_ms;  /* unix milliseconds, for tickets; 0: as before, and as much as passed since */
    link_id link; /* the link that the event is about */
    union {
        struct { /* links */
            uint8_t id[CRYPTO_KEY_BYTES];
            struct address address; /* where the peer was seen */
            bool dialled;           /* we dialled it */
            /* A secret that both ends of this link know and nobody else (RFC 8446, 7.5). */
            uint8_t exporter[CRYPTO_HASH_BYTES];
            uint32_t code;     /* enum link_close; the number of a peer list */
            struct bytes said; /* the peer's reason, untrusted bytes */
        };
        struct { /* messages */
            uint8_t type;
            bool ok;
            uint64_t ticket;
            struct bytes bytes;
        };
        /* Bytes of bulk (parcels; replies where wire_bulk), of whole messages and of parts, since
         * the latest EVENT_FLOW of this link: acknowledged by the peer, and come from it. */
        struct {
            uint64_t sent, received;
        };
        /* Bytes of bulk that all links sent while one had some on its way, as they were acknowledged,
         * and that time, from after the first packets to the last. */
        struct {
            uint64_t count;
            span took;
        };
        struct kept_chunk kept;
        struct round_progress round;
        /* The quantized pseudo-gradient of all chunks, at least outer_wire_bytes. Lent until
         * ORDER_APPLY, ORDER_ADOPT or ORDER_RESUME has been carried out. Its weight is the one in
         * the READY. Empty: it was not finite, and the trainer restarts from the anchor. */
        struct bytes wire;
        struct lineage_state state;
    };
};

/* ---- orders to the trainer ---- */

enum order_kind {
    ORDER_TRAIN,    /* start or continue training */
    ORDER_HOLD,     /* pause: there is no state to train from */
    ORDER_SNAPSHOT, /* quantize anchor - parameters, send EVENT_SNAPSHOT, pause */
    ORDER_RESUME,   /* the round failed: continue training from where you stopped */
    /* epoch, lineage, average: do the outer step, send EVENT_APPLIED, continue training */
    ORDER_APPLY,
    /* epoch, lineage: the spare buffers hold a complete, verified state. Make it the current one,
     * send EVENT_ADOPTED, continue training. Local progress is dropped, unless `carries`: then
     * average.mine says where it is kept, as in ORDER_APPLY, and steps and tokens go on counting
     * unless a contribution is in. */
    ORDER_ADOPT,
    ORDER_FINISH, /* refused, text: nothing more to do; the driver may close its links and stop */
};

/* What the members of a group agree on. swarm/ owns the buffers. */
struct average {
    uint8_t *means; /* all chunks' wire bytes (outer_wire_offset); unspecified where null */
    uint8_t *null;  /* [chunks] 1: not averaged: anchor, momentum and parameters stay */
    /* [chunks] 1: my contribution is in the mean. 0: it is not, and the parameters keep their local
     * progress: theta = a' + (theta - a). */
    uint8_t *mine;
};

#define ORDER_TEXT_BYTES 200

struct order {
    enum order_kind kind;
    uint64_t epoch; /* after the order, as are the next two */
    uint8_t lineage[CRYPTO_DIGEST_BYTES];
    uint64_t lineage_tokens;
    struct average average;      /* lent until EVENT_APPLIED or EVENT_ADOPTED; read only */
    bool carries;                /* of ORDER_ADOPT: average.mine is set, its other fields are not */
    bool refused;                /* the swarm refuses this worker */
    char text[ORDER_TEXT_BYTES]; /* why */
};

/* ---- actions ---- */

/* A line of the event log (docs/events.md). What it points to is lent, like bytes. A field whose
 * key is NULL is omitted. */
struct note {
    const char *name;
    struct {
        const char *key;
        uint64_t value;
    } numbers[6];
    struct {
        const char *key;
        const char *value;
    } word;
    struct {
        const char *key;
        struct bytes value;
    } hex;
    struct {
        const char *key;
        const sid *value;
        size_t count;
    } sids;
};

/* After each name: the fields of struct action that it fills. */
enum action_kind {
    /* network; `peer` is the addressee */
    /* id, address, patience: how long it may take at most; 0: as any dial */
    ACTION_DIAL,
    ACTION_HANG_UP, /* link, code, text */
    /* link: its HELLO is accepted; before that, parcels are declined and requests wait */
    ACTION_WELCOME,
    ACTION_RETIRE,   /* link: close it once idle, because another link to the same peer stays */
    ACTION_DATAGRAM, /* link, bytes (at most LINK_DATAGRAM_BYTES_MAX): may be lost */
    ACTION_FRAME,    /* link, type, bytes (at most LINK_FRAME_BYTES_MAX): reliable, in order */
    /* link, ticket, bytes followed by more: one message, reliable, on a stream of its own */
    ACTION_PARCEL,
    ACTION_REQUEST, /* link, ticket, bytes */
    ACTION_REPLY,   /* link, ticket of the request, bytes followed by more */
    /* the trainer */
    ACTION_ORDER,  /* order */
    ACTION_STATE,  /* part: write it to the spare buffers */
    ACTION_REPLAY, /* replay: do the outer step of that chunk within the spare buffers */
    /* keep: the spare buffers hold this chunk now; keep it where it outlives the process. What was
     * kept is worth nothing any more at the next ORDER_APPLY. */
    ACTION_KEEP,
    /* revoked: a newer list of revoked tickets has come; keep it where it outlives the process, and
     * give it back at the next start (EVENT_REVOKED) */
    ACTION_REVOKED,
    /* the log */
    ACTION_NOTE, /* note: something a person or a test wants to know */
};

struct action {
    enum action_kind kind;
    union {
        struct { /* network */
            sid peer;
            link_id link; /* parts of the machine set only the peer; node.c fills in the link */
            union {
                struct { /* ACTION_DIAL */
                    uint8_t id[CRYPTO_KEY_BYTES];
                    struct address address;
                    span patience;
                };
                struct { /* ACTION_HANG_UP */
                    uint32_t code;
                    const char *text;
                };
                struct { /* messages */
                    uint8_t type;
                    uint64_t ticket;
                    struct bytes bytes, more;
                };
            };
        };
        struct order order;
        struct {
            uint8_t vector;      /* 0: anchor, 1: momentum */
            uint64_t offset;     /* elements */
            struct bytes floats; /* fp32, as they lie in memory */
        } part;
        struct {
            uint32_t chunk;    /* of outer_layout_of */
            struct bytes mean; /* its wire bytes */
        } replay;
        struct kept_chunk keep;
        struct bytes revoked; /* a REVOKED record, as signed */
        struct note note;
    };
};

/* Where actions go. `act` is called once for each, in order, and must not call back into the
 * machine. Whoever forwards an action may fill in what its maker left open. */
struct sink {
    void *self;
    void (*act)(void *self, struct action *a);
};

static inline void sink_act(const struct sink *s, struct action *a) { s->act(s->self, a); }

/* Answers a request: I have not got that. */
static inline void sink_answer_nothing(const struct sink *s, sid peer, link_id link,
                                       uint64_t ticket)
{
    sink_act(s,
             &(struct action){.kind = ACTION_REPLY, .peer = peer, .link = link, .ticket = ticket});
}

static inline void sink_note(const struct sink *s, struct note note)
{
    sink_act(s, &(struct action){.kind = ACTION_NOTE, .note = note});
}

#endif
