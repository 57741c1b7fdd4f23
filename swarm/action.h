/* action.h -- what goes into the swarm's state machines and what comes out of them.
 *
 * swarm/ decides, its driver acts: under ngtcp2 the driver is c/node/driver.c, in the simulator
 * test/sim/. Time comes in with every event; chance comes from a generator handed in at the start;
 * the same events in give the same actions out. Bytes in an event are lent for the call; bytes in
 * an action are lent for the duration of the sink's call, except where a field says longer. */
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

/* The replicated state: what every member of the swarm holds bit for bit alike. */
struct lineage_state {
    uint64_t epoch;                       /* outer steps in its history */
    uint8_t lineage[CRYPTO_DIGEST_BYTES]; /* chain hash of that history */
    uint64_t lineage_tokens;              /* tokens averaged into it: the heavier lineage wins */
    const float *anchor, *momentum;    /* [parameters]; immutable until the next one replaces it */
    uint8_t digest[CRYPTO_HASH_BYTES]; /* SHA-256 of anchor, then momentum */
};

enum event_kind {
    EVENT_TICK, /* time has come: now >= what node_due said */
    /* network */
    EVENT_LINK_UP,     /* link, id, address, dialled */
    EVENT_LINK_DOWN,   /* link, code, bytes: it was up; the peer's sentence */
    EVENT_LINK_MOVED,  /* link, address: the peer's packets come from there now */
    EVENT_DIAL_FAILED, /* id, code: a dial that never came up */
    EVENT_ADDRESS, /* id, address: whoever the peer list names, or I with my own id, may be reached there. May come again,
                      with others */
    EVENT_DATAGRAM,    /* link, bytes */
    EVENT_FRAME,       /* link, type, bytes: one whole message of the control stream, in order */
    EVENT_PARCEL,      /* link, bytes: one whole chunk stream */
    EVENT_PARCEL_DONE, /* link, ticket, ok: the peer has it all, or never will */
    EVENT_REQUEST,     /* link, ticket (to be named in ACTION_REPLY), bytes */
    EVENT_REPLY,       /* link, ticket, ok, bytes */
    /* the trainer */
    EVENT_STEP, /* round: one more inner step is done */
    EVENT_SNAPSHOT, /* ok, bytes: quantized pseudo-gradient of all chunks, lent until ACTION_APPLY, ACTION_ADOPT
                          or ACTION_RESUME was carried out; round.tokens is the weight that was in the READY.
                          ok false: it was not finite; the trainer restarts from the anchor */
    EVENT_APPLIED, /* state: the outer step of ACTION_APPLY is done; its buffers now serve. Those of the state
                          before stay as they are until the next ACTION_APPLY or ACTION_STATE */
    EVENT_ADOPTED, /* state: the download of ACTION_ADOPT is in place */
    EVENT_LEAVE,   /* the user wants out: say goodbye, then ACTION_FINISHED */
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
    link_id link;
    uint64_t ticket;
    uint8_t id[CRYPTO_KEY_BYTES];
    struct address address; /* where the peer was seen */
    bool dialled;           /* we dialled it */
    bool ok;
    uint32_t code;
    uint8_t type;
    struct bytes bytes;
    struct round_progress round;
    struct lineage_state state;
};

enum action_kind {
    /* network */
    ACTION_DIAL,    /* id, address */
    ACTION_HANG_UP, /* link, code, text */
    ACTION_SETTLE, /* link: if there are others to the same peer, all but one are to end once they are quiet */
    ACTION_DATAGRAM, /* link, bytes (at most LINK_DATAGRAM_BYTES_MAX): may be lost */
    ACTION_FRAME,    /* link, type, bytes (at most LINK_FRAME_BYTES_MAX): reliable, in order */
    ACTION_PARCEL, /* link, ticket, bytes then more: one message, reliable, apart from the others */
    ACTION_REQUEST, /* link, ticket, bytes */
    ACTION_REPLY,   /* link, ticket of the request, bytes then more */
    /* the trainer */
    ACTION_TRAIN,    /* ok: train from now on, or hold still (no state yet) */
    ACTION_SNAPSHOT, /* stop at the next step boundary and hand over EVENT_SNAPSHOT; do not go on */
    ACTION_RESUME,   /* the round came to nothing: go on training from where you stopped */
    ACTION_APPLY,    /* apply: do the outer step, then EVENT_APPLIED, and train on */
    ACTION_STATE,    /* state part: write it to the spare buffers */
    ACTION_ADOPT, /* adopt: the spare buffers are whole and verified: make them the state, drop local progress,
                        then EVENT_ADOPTED */
    ACTION_FINISHED, /* ok, text: nothing more to do; the driver may close its links and stop. Not ok: it cannot go on,
                        and text says why */
    /* the log */
    ACTION_NOTE, /* note: something a person or a test wants to know */
};

struct action {
    enum action_kind kind;
    sid peer; /* whom it is for; set for network actions */
    link_id link;
    uint64_t ticket;
    uint8_t id[CRYPTO_KEY_BYTES];
    struct address address;
    bool ok;
    uint32_t code;
    uint8_t type;
    struct bytes bytes, more;
    const char *text;
    union {
        struct {            /* ACTION_APPLY: buffers lent until EVENT_APPLIED */
            uint64_t epoch; /* after the step */
            uint8_t lineage[CRYPTO_DIGEST_BYTES]; /* after the step */
            uint64_t lineage_tokens;              /* after the step */
            const uint8_t
                *means; /* all chunks' wire bytes (outer_wire_offset); unspecified where null */
            const uint8_t
                *null; /* [chunks] 1: nobody could average it; anchor, momentum, parameters stay */
            const uint8_t
                *mine; /* [chunks] 1: my contribution is in the mean; 0: parameters keep what
                                      they learned: theta = a' + (theta - a) */
        } apply;
        struct {             /* ACTION_STATE */
            uint8_t vector;  /* 0: anchor, 1: momentum */
            uint64_t offset; /* elements */
        } part;              /* the floats are in bytes */
        struct {             /* ACTION_ADOPT */
            uint64_t epoch;
            uint8_t lineage[CRYPTO_DIGEST_BYTES];
            uint64_t lineage_tokens;
        } adopt;
        struct { /* ACTION_NOTE: a line of the event log; text is its name */
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
                const sid *value; /* lent, as bytes are */
                size_t count;
            } sids;
        } note;
    };
};

/* Where actions go; `act` is called once for each, in order, and must not call back into the
 * machine. */
struct sink {
    void *self;
    void (*act)(void *self, const struct action *a);
};

static inline void sink_act(const struct sink *s, const struct action *a) { s->act(s->self, a); }

#endif
