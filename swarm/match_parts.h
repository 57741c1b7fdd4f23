/* match_parts.h -- the struct of match.c and its parts: match_pairs, match_wire and match_set
 * (these do not use the struct), mates, attempt. match.h describes the whole. */
#ifndef SHOAL_SWARM_MATCH_PARTS_H
#define SHOAL_SWARM_MATCH_PARTS_H

#include "action.h"
#include "match_wire.h"

#define MATCH_PROPOSALS_MAX 4 /* sets I proposed in one attempt and may still be asked to sign */

struct match_config {
    uint8_t id[CRYPTO_KEY_BYTES];
    uint8_t run_id[CRYPTO_DIGEST_BYTES];
    uint64_t incarnation;
    const struct crypto *crypto; /* lent for the life of the match */
    uint32_t group_min;          /* a smaller set means SOLO; >= 2 */
    uint64_t weight_max;         /* of any READY, mine too; <= MATCH_WEIGHT_MAX */
    bool count_steps; /* wait for every live mate that still trains, at most MATCH_WAIT_S */
};

#define MATCH_WAIT_S 600 /* count_steps: the longest wait for a mate that trains */

/* A member of my cell by membership's view: alive or suspected, never dead. */
struct match_peer {
    uint8_t id[CRYPTO_KEY_BYTES];
    uint32_t rtt_ms; /* round trip; 0: unknown */
    /* It trains, on my history or another: a group needs more than half of all that do. */
    bool counts;
};

/* State of a mate in the present attempt. */
enum match_status {
    MATE_UNKNOWN,
    MATE_READY,   /* I hold its READY */
    MATE_HEARSAY, /* others propose it; I hold no READY of it */
    MATE_LATER,   /* NOTREADY: it still trains, see `eta` */
    MATE_OUT      /* busy, silent, leaving, gone, or of another round or lineage */
};

/* A mate's latest PROPOSE in the present attempt. */
enum match_proposed {
    PROPOSED_NOTHING,
    PROPOSED_HEARSAY, /* it knows some of the set only through others */
    PROPOSED_VERIFIED /* it holds the READY of every member of the set */
};

/* Invariants: `counts` implies `listed`; `unanswered` implies a READY; `busy` implies that
 * `refused` is this attempt; `left` implies no READY, since earlier messages no longer count. A
 * member that has left may still be listed; a new READY, or being listed again, clears `left`. */
struct match_mate {
    sid sid;
    uint8_t id[CRYPTO_KEY_BYTES]; /* zeros: known only from a proposal */
    bool listed;                  /* membership lists it */
    bool counts;                  /* as in match_peer */
    bool left;                    /* said that it leaves, or was dropped by match_gone */
    uint32_t rtt_ms;
    /* Not waited for until then: it timed out on me and has not been heard since. */
    instant distrusted;
    enum match_status status;
    instant asked;            /* when my READY of this attempt went out to it */
    instant eta;              /* MATE_LATER: when it will be ready */
    struct match_ready ready; /* the latest; attempt 0: none */
    struct match_said said;   /* the same as it was signed */
    uint64_t lied;            /* round in which it said what cannot be; 0: none */
    uint32_t shown;           /* mates whose READY was shown to it in this attempt, by index */
    instant shown_at;         /* the first of them */
    instant led_since;        /* by how much it has taken me to later attempts since then */
    uint32_t led;
    bool unanswered; /* it said READY and has had no answer: match_decline */
    bool busy; /* it said in this attempt that it has signed for another group in this round */
    /* Latest attempt it refused by NOTREADY: hearsay does not make it eligible again. */
    uint16_t refused;
    uint64_t hearsay; /* hash of its READY as others report it */
    enum match_proposed proposed;
    uint8_t proposal[CRYPTO_DIGEST_BYTES]; /* its gid */
    uint16_t accepted;                     /* attempt of its latest ACCEPT; 0: none yet */
    uint8_t accept[CRYPTO_DIGEST_BYTES];   /* its gid */
    uint8_t signature[CRYPTO_SIGNATURE_BYTES];
};

enum match_state {
    MATCH_IDLE,      /* training, or not taking part */
    MATCH_OPEN,      /* READY is sent */
    MATCH_CLOSED,    /* proposing */
    MATCH_LOCKED,    /* ACCEPT is signed */
    MATCH_COMMITTED, /* `group` is certified */
    MATCH_SOLO       /* no one to average with; like IDLE, but a READY from a mate sets `called` */
};

struct match {
    struct match_config config;
    sid self;
    enum match_state state;
    instant now; /* latest time passed in */
    /* IDLE or SOLO: a mate of my lineage sent READY for my round; match_start clears it */
    bool called;
    /* my position in history */
    uint64_t round;
    uint8_t lineage[CRYPTO_DIGEST_BYTES];
    uint64_t lineage_tokens;
    /* the attempt */
    struct match_offer offer;
    struct match_ready mine;
    uint16_t attempt;  /* latest number used for this lineage and round; 0: none */
    uint16_t accepted; /* latest attempt in which I signed an ACCEPT */
    uint16_t attempts; /* since match_start */
    instant until;     /* when matching as a whole ends (T_MATCH) */
    instant waits;     /* count_steps: wait for training mates until then */
    instant grace;     /* OPEN: closes no later than this */
    instant over;      /* CLOSED, LOCKED: when the state times out */
    uint32_t set;      /* CLOSED: mates I propose, by index */
    bool set_verified;
    struct {
        uint32_t set;
        struct match_group group; /* with the offers that were verified: a mate's may be replaced */
    } proposals[MATCH_PROPOSALS_MAX]; /* verified ones of this attempt */
    uint32_t proposals_count;
    struct match_pairs blocked;
    struct match_group group; /* LOCKED, COMMITTED; kept for a late CERT */
    uint8_t signatures[NODE_GROUP_MAX][CRYPTO_SIGNATURE_BYTES];
    uint32_t signed_mask;
    uint32_t withdrawn; /* COMMITTED: members that said WITHDRAW in the latest frame, by index */
    struct match_mate mates[NODE_GROUP_MAX];
    uint32_t mates_count;
};

#endif
