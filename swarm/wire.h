/* wire.h -- the wire format: message types, records, signatures. SPEC.md, "Messages" and "Records".
 *
 *     carrier     first byte    body
 *     datagram    type          to the end, at most LINK_DATAGRAM_BYTES_MAX with the type
 *     frame       (driver)      action.type, action.bytes; on the wire type u8, length u24, body
 *     parcel      type          one whole unidirectional stream
 *     request     type          one reply, without a type; an empty one means "I do not have it"
 *
 * A record is a node's signed statement to all, forwarded unchanged from node to node with its age.
 * Of two records of the same writer and kind the newer version counts. Readers never trust a
 * length; what they reject has no effect. */
#ifndef SHOAL_SWARM_WIRE_H
#define SHOAL_SWARM_WIRE_H

#include "action.h"

#define WIRE_MAJOR 4 /* nodes with another major do not talk to each other */
#define WIRE_MINOR 0 /* types of a later minor are ignored */

#define WIRE_SIGNED_MAX 2048 /* bytes under one signature */

enum wire_type {
    WIRE_HELLO = 0x00,        /* frame, the first one on every link */
    WIRE_CONTRIBUTION = 0x01, /* parcel */
    WIRE_RESULT = 0x02,       /* parcel */
    WIRE_SEEN = 0x03,         /* frame, since 1.1 */
    WIRE_PING = 0x10,         /* datagram */
    WIRE_PONG = 0x11,         /* datagram */
    WIRE_GOSSIP = 0x12,       /* datagram, frame */
    WIRE_SYNC = 0x13,         /* request */
    WIRE_READY = 0x20,        /* frames of matchmaking */
    WIRE_NOTREADY = 0x21,
    WIRE_PROPOSE = 0x22,
    WIRE_ACCEPT = 0x23,
    WIRE_CERT = 0x24,
    WIRE_WITHDRAW = 0x25,
    WIRE_WITNESS = 0x26,
    WIRE_STAGE = 0x30, /* frames and requests of averaging */
    WIRE_VEC = 0x31,   /* request */
    WIRE_HAVE = 0x32,
    WIRE_NEED = 0x33,
    WIRE_FETCH = 0x34,        /* request */
    WIRE_SURE = 0x35,         /* frame, signed */
    WIRE_GET_MANIFEST = 0x40, /* request */
    WIRE_GET_CHUNK = 0x41,    /* request */
    WIRE_GET_PAST = 0x42,     /* request */
    WIRE_RELAY = 0x50,        /* frame, parcel, request: signed, holds another one */
    WIRE_RELAY_DONE = 0x51,   /* frame */
    WIRE_RELAY_ECHO = 0x52,   /* frame, relayed */
    WIRE_RELAY_REFUSED = 0x53 /* frame */
};

/* Is the reply to a request of this type bulk: of a mean or of a state? EVENT_FLOW counts these and
 * parcels. */
static inline bool wire_bulk(uint8_t type)
{
    return type == WIRE_FETCH || type == WIRE_RELAY ||
           (type >= WIRE_GET_MANIFEST && type <= WIRE_GET_PAST);
}

/* ---- signatures ---- */

/* Ed25519 over "shoal1" || run_id || kind || body; kind is the record kind or the message type. A
 * body is at most WIRE_SIGNED_MAX bytes: wire_sign asserts that, wire_verify returns false. */
void wire_sign(const struct crypto *c, const uint8_t run_id[CRYPTO_DIGEST_BYTES], uint8_t kind,
               struct bytes body, uint8_t out[CRYPTO_SIGNATURE_BYTES]);
bool wire_verify(const struct crypto *c, const uint8_t run_id[CRYPTO_DIGEST_BYTES], uint8_t kind,
                 struct bytes body, const uint8_t id[CRYPTO_KEY_BYTES],
                 const uint8_t signature[CRYPTO_SIGNATURE_BYTES]);

/* The short name of an ID. An ID whose first 8 bytes are zero is not valid: sid 0 means nobody. */
sid wire_sid(const uint8_t id[CRYPTO_KEY_BYTES]);

/* ---- records ---- */

/* Kinds are at 0x80 and above, so that they differ from message types: both serve as the signed
 * kind. */
enum record_kind {
    RECORD_PEER = 0x81,
    RECORD_PROGRESS = 0x82,
    RECORD_SUSPECT = 0x83,
    RECORD_LEAVE = 0x84,
    RECORD_REACH = 0x85,  /* since 1.1 */
    RECORD_REVOKED = 0x86 /* signed by the experiment's key (ticket.h), not by a node */
};

#define RECORD_ADDRESSES_MAX    2
#define RECORD_PEER_BYTES(n)    (119 + 19 * (n)) /* with n addresses */
#define RECORD_PROGRESS_BYTES   155
#define RECORD_SUSPECT_BYTES    89
#define RECORD_LEAVE_BYTES      85
#define RECORD_REACH_MAX        NODE_GROUP_MAX
#define RECORD_REACH_BYTES(n)   (86 + 9 * (n)) /* with n members */
#define RECORD_REVOKED_MAX      48
#define RECORD_REVOKED_BYTES(n) (74 + 4 * (n)) /* with n serials */
#define RECORD_BYTES_MAX        RECORD_REACH_BYTES(RECORD_REACH_MAX)
#define RECORD_ENVELOPE_BYTES   6 /* in GOSSIP: length u16, age_ms u32 */

struct version { /* ordered by incarnation, then by seq */
    uint64_t incarnation;
    uint32_t seq;
};

static inline bool version_newer(struct version a, struct version b)
{
    return a.incarnation != b.incarnation ? a.incarnation > b.incarnation : a.seq > b.seq;
}

struct record_peer {
    uint8_t id[CRYPTO_KEY_BYTES];
    struct version version;
    uint32_t capabilities; /* 0 in version 1 */
    uint8_t addresses_count;
    struct address addresses[RECORD_ADDRESSES_MAX];
};

enum progress_flag {
    PROGRESS_SERVES = 2, /* holds a state and serves it to joiners */
    PROGRESS_NEAR = 4    /* in SYNC: lacks the results of the latest rounds and nothing else */
};

struct record_progress {
    enum peer_phase phase;
    uint8_t flags;
    sid sid;
    struct version version;
    uint32_t epoch;
    uint8_t lineage[CRYPTO_DIGEST_BYTES];
    uint64_t lineage_tokens;
    uint32_t steps;                         /* inner steps since the latest outer step */
    uint64_t tokens;                        /* since the latest outer step */
    uint32_t tokens_per_s, step_ms, eta_ms; /* eta_ms: until `every` steps are done */
    float loss;                             /* nats per token */
    uint32_t digest_epoch;
    uint64_t digest; /* first 8 bytes of the state's digest at digest_epoch */
};

struct record_suspect {
    sid accuser, target;
    uint64_t incarnation; /* of the suspected target */
};

struct record_leave {
    sid sid;
    struct version version;
};

/* The members that its writer cannot reach. */
struct record_reach {
    sid sid;
    struct version version;
    uint8_t count;
    struct peer_unreached list[RECORD_REACH_MAX]; /* ascending */
};

/* The tickets that the experiment's owner has revoked. */
struct record_revoked {
    uint32_t number; /* from 1; of several lists the one with the highest counts */
    uint32_t below;  /* all serials below this one are revoked, too */
    uint8_t count;
    uint32_t serials[RECORD_REVOKED_MAX]; /* ascending, none below `below` */
};

struct record {
    enum record_kind kind;
    union {
        struct record_peer peer;
        struct record_progress progress;
        struct record_suspect suspect;
        struct record_leave leave;
        struct record_reach reach;
        struct record_revoked revoked;
    };
};

/* Reads a record's fields. It does not verify the signature: record_verify does, once the writer's
 * ID is known. False unless the bytes are one whole record of a known kind with valid values. */
bool record_read(struct bytes bytes, struct record *out);

/* The short name of the writer; 0 for an unknown kind, and for REVOKED, which no node writes. */
sid record_writer(const struct record *r);

/* Has the node with this ID signed the record? */
bool record_verify(const struct crypto *c, const uint8_t run_id[CRYPTO_DIGEST_BYTES],
                   struct bytes bytes, const uint8_t id[CRYPTO_KEY_BYTES]);

/* Writes and signs a record with the node's own key; `out` holds RECORD_BYTES_MAX bytes. Returns
 * its size. */
size_t record_write(const struct crypto *c, const uint8_t run_id[CRYPTO_DIGEST_BYTES],
                    const struct record *r, uint8_t *out);

/* Appends envelope and record; false, with nothing written, when they do not fit. */
bool record_pack(struct writer *w, uint32_t age_ms, struct bytes record);
/* The next record of a sequence, as a view. False at the end; also sets r->bad when what is left is
 * not a record. */
bool record_unpack(struct reader *r, uint32_t *age_ms, struct bytes *record);

/* ---- fields ---- */

void wire_write_address(struct writer *w, const struct address *a); /* family u8, ip 16, port u16 */
/* False, and sets r->bad, unless it is valid: family 4 or 6 with a port, or all zeros. */
bool wire_read_address(struct reader *r, struct address *out);

#endif
