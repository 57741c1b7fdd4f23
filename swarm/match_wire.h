/* match_wire.h -- the frames of matchmaking: their values and their encoding. SPEC.md,
 * "Matchmaking".
 *
 * Holds no state. Writers return the bytes written into `room`. Readers reject what no conforming
 * node sends, and leave `to` unspecified then. Bytes in what a reader returns point into the
 * frame. */
#ifndef SHOAL_SWARM_MATCH_WIRE_H
#define SHOAL_SWARM_MATCH_WIRE_H

#include "base/bytes.h"
#include "match_pairs.h"
#include "peer.h"

/* Why a node answers NOTREADY. */
enum match_reason {
    /* eta_ms: time until it is ready. Also used while it still averages the previous round. */
    MATCH_REASON_TRAINING = 1,
    MATCH_REASON_BUSY = 2, /* locked or committed in this round */
    MATCH_REASON_SYNC = 3, /* has no state yet, or the wrong one */
    MATCH_REASON_LEAVING = 4,
    MATCH_REASON_ROUND = 5,   /* is at another epoch than the sender of READY */
    MATCH_REASON_LINEAGE = 6, /* same epoch, another history: a fork */
    MATCH_REASON_DONE = 7     /* the run is over for it */
};

#define MATCH_WEIGHT_MAX ((uint64_t)1 << 48) /* so that no sum of weights overflows */

/* What a node brings to a round. */
struct match_offer {
    uint64_t weight;  /* tokens since the last outer step, 1 .. MATCH_WEIGHT_MAX */
    uint64_t steps;   /* inner steps since then */
    uint32_t up_kbps; /* what it can send, measured (rate.h) or guessed, >= 1 */
    uint32_t step_ms; /* of one inner step */
    /* Members to which it has no link, although it has tried; ascending. */
    uint32_t apart_count;
    sid apart[NODE_GROUP_MAX - 1];
};

/* What a READY says. `round` is the epoch after the next outer step; attempts count from 1. */
struct match_ready {
    uint64_t incarnation, round;
    uint16_t attempt;
    uint8_t lineage[CRYPTO_DIGEST_BYTES];
    uint64_t lineage_tokens;
    struct match_offer offer;
    uint64_t hash; /* first 8 bytes of SHA-256 of the signed body */
};

struct match_member {
    sid sid;
    uint8_t id[CRYPTO_KEY_BYTES];
    struct match_offer offer;
    uint64_t hash; /* of its READY */
};

/* The result of matching, identical in every member of the group. */
struct match_group {
    uint8_t gid[CRYPTO_DIGEST_BYTES];
    uint64_t round; /* the epoch after its outer step */
    uint16_t attempt;
    uint32_t count, self;                        /* members; my index */
    struct match_member members[NODE_GROUP_MAX]; /* in ascending order of sid */
};

/* Keys and run under which signatures are made. */
struct match_signer {
    const struct crypto *crypto;
    const uint8_t *run_id; /* [CRYPTO_DIGEST_BYTES] */
};

/* ---- names ---- */

#define MATCH_ENTRY_BYTES 16 /* a proposed member: sid, hash of its READY */

/* gid = digest("shoal1 group" || run || round || attempt || each (sid, hash), in ascending order of
 * sid) */
void match_gid(const struct match_signer *s, uint64_t round, uint16_t attempt, struct bytes entries,
               uint8_t out[CRYPTO_DIGEST_BYTES]);

/* Computes the gid of a group from its other fields. */
void match_name(const struct match_signer *s, struct match_group *g);

/* ---- READY ---- */

#define MATCH_READY_BODY_BYTES (75 + 8 * (NODE_GROUP_MAX - 1)) /* at most */
#define MATCH_READY_BYTES                                                                          \
    (2 + MATCH_READY_BODY_BYTES + CRYPTO_SIGNATURE_BYTES + 2 + MATCH_PAIR_BYTES * MATCH_PAIRS_MAX)

/* Computes `hash` of a READY of `who` from its other fields. */
void match_hash_ready(const struct match_signer *s, sid who, struct match_ready *r);

/* Signs with the node's own key. */
struct bytes match_write_ready(const struct match_signer *s, sid who, const struct match_ready *r,
                               const struct match_pairs *pairs, uint8_t room[MATCH_READY_BYTES]);

/* Reads and verifies a READY of `who`, signed by the key `id`. */
bool match_read_ready(const struct match_signer *s, sid who, const uint8_t id[CRYPTO_KEY_BYTES],
                      struct bytes frame, struct match_ready *to, struct bytes *pairs);

/* ---- NOTREADY ---- */

#define MATCH_NOTREADY_BYTES 15

struct match_notready {
    uint64_t round;
    uint16_t attempt;
    enum match_reason reason;
    uint32_t eta_ms; /* UINT32_MAX: not known */
};

struct bytes match_write_notready(const struct match_notready *n,
                                  uint8_t room[MATCH_NOTREADY_BYTES]);
bool match_read_notready(struct bytes frame, struct match_notready *to);

/* ---- PROPOSE ---- */

#define MATCH_PROPOSE_BYTES                                                                        \
    (8 + 2 + 1 + 2 + MATCH_ENTRY_BYTES * NODE_GROUP_MAX + 2 + MATCH_PAIR_BYTES * MATCH_PAIRS_MAX)

struct match_propose {
    uint64_t round;
    uint16_t attempt;
    bool verified;        /* its sender holds the READY of each */
    struct bytes entries; /* in ascending order of sid */
    struct bytes pairs;
};

/* `g`: round, attempt and members are those of the set. */
struct bytes match_write_propose(const struct match_group *g, bool verified,
                                 const struct match_pairs *pairs,
                                 uint8_t room[MATCH_PROPOSE_BYTES]);

/* The proposer must be in its set. */
bool match_read_propose(sid proposer, struct bytes frame, struct match_propose *to);

/* The next member of a set; false at its end. */
bool match_next_entry(struct reader *entries, sid *who, uint64_t *hash);

/* ---- ACCEPT ---- */

#define MATCH_ACCEPT_BODY_BYTES (8 + 2 + CRYPTO_DIGEST_BYTES + 8)
#define MATCH_ACCEPT_BYTES      (MATCH_ACCEPT_BODY_BYTES + CRYPTO_SIGNATURE_BYTES)

struct match_accept {
    uint64_t round;
    uint16_t attempt;
    uint8_t gid[CRYPTO_DIGEST_BYTES];
    uint8_t signature[CRYPTO_SIGNATURE_BYTES];
};

/* My signature that accepts a group. */
void match_sign_accept(const struct match_signer *s, const struct match_group *g, sid self,
                       uint8_t out[CRYPTO_SIGNATURE_BYTES]);
struct bytes match_write_accept(const struct match_group *g, sid self,
                                const uint8_t signature[CRYPTO_SIGNATURE_BYTES],
                                uint8_t room[MATCH_ACCEPT_BYTES]);
/* Reads and verifies an ACCEPT of `who`, signed by the key `id`. */
bool match_read_accept(const struct match_signer *s, sid who, const uint8_t id[CRYPTO_KEY_BYTES],
                       struct bytes frame, struct match_accept *to);

/* ---- CERT ---- */

#define MATCH_CERT_BYTES                                                                           \
    (8 + 2 + CRYPTO_DIGEST_BYTES + 2 + NODE_GROUP_MAX * (8 + CRYPTO_SIGNATURE_BYTES))

struct match_cert {
    uint64_t round;
    uint16_t attempt;
    uint8_t gid[CRYPTO_DIGEST_BYTES];
    uint32_t count;
    struct bytes signatures; /* count x (sid, signature) */
};

struct bytes match_write_cert(const struct match_group *g,
                              const uint8_t signatures[NODE_GROUP_MAX][CRYPTO_SIGNATURE_BYTES],
                              uint8_t room[MATCH_CERT_BYTES]);
/* Verifies no signature: match_open_cert does. */
bool match_read_cert(struct bytes frame, struct match_cert *to);
/* Extracts the signatures if they are valid and those of all members of this group; otherwise
 * false, and `out` is unspecified. */
bool match_open_cert(const struct match_signer *s, const struct match_group *g,
                     const struct match_cert *c,
                     uint8_t out[NODE_GROUP_MAX][CRYPTO_SIGNATURE_BYTES]);

/* ---- WITHDRAW ---- */

#define MATCH_WITHDRAW_BYTES (8 + 2 + CRYPTO_DIGEST_BYTES)

struct bytes match_write_withdraw(uint64_t round, uint16_t attempt,
                                  const uint8_t gid[CRYPTO_DIGEST_BYTES],
                                  uint8_t room[MATCH_WITHDRAW_BYTES]);
/* gid: the group from which the sender withdraws its signature. */
bool match_read_withdraw(struct bytes frame, uint8_t gid[CRYPTO_DIGEST_BYTES]);

#endif
