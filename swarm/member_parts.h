/* member_parts.h -- the struct of member.c and its parts. member.h describes the whole. */
#ifndef SHOAL_SWARM_MEMBER_PARTS_H
#define SHOAL_SWARM_MEMBER_PARTS_H

#include "action.h"
#include "base/rng.h"
#include "wire.h"

#define MEMBERS_MAX 64 /* live ones (NODE_GROUP_MAX with me), and those remembered as gone */
/* To one peer: both sides may dial at once, and one link may be a dead one. */
#define MEMBER_LINKS 3
#define ACCUSERS_MAX 4 /* Lifeguard's K: more accusers make a timer no shorter */
#define NOBODY       (-1)

enum stored_kind { STORED_PEER, STORED_PROGRESS, STORED_LEAVE, STORED_REACH, STORED_COUNT };

struct stored {     /* a record as its writer signed it */
    uint16_t count; /* 0: none */
    uint8_t bytes[RECORD_BYTES_MAX];
    struct version version;
    instant at;      /* when it came here */
    uint32_t age_ms; /* how old it was then */
    uint64_t push;   /* bit i: member i gets it with the next GOSSIP, PING or PONG */
};

struct member_link {
    link_id link;           /* LINK_NONE: free */
    bool dialled;           /* by me */
    bool greeted;           /* its HELLO has come: it is of this run and this version */
    bool retired;           /* it ends soon, another one stays */
    instant heard;          /* when something last came on it */
    instant since;          /* when it came up */
    struct address address; /* where the peer was seen when it came up */
    uint64_t incarnation;   /* in its HELLO */
    uint64_t life;  /* which process of the peer's it leads to; 0: it did not say (version 1.0) */
    instant broken; /* until then: a parcel on it failed, so it is probably about to end */
    uint64_t order; /* the newer of two links has the higher */
};

/* A HELLO that is not believed yet: another process with the same key has a link to us (twin.h). */
struct twin {
    link_id link;         /* it came on this one; LINK_NONE: there is none */
    instant until, again; /* how long the other process may take to answer; the next PING to it */
    uint32_t nonce;       /* of these PINGs */
    uint64_t life;        /* of the process that said HELLO */
    struct address seen;  /* where it sees me */
    uint16_t count;       /* of its PEER record */
    uint8_t record[RECORD_BYTES_MAX];
};

struct member {
    bool used;
    uint8_t id[CRYPTO_KEY_BYTES];
    sid sid;
    bool known; /* holds a PEER record; else there is only an ID to dial */
    enum peer_health health;
    uint64_t incarnation; /* the highest it has signed */
    struct stored stored[STORED_COUNT];
    struct record_peer peer;
    struct record_progress progress; /* valid when stored[STORED_PROGRESS].count */
    instant heard;                   /* its latest record or message */
    instant gone;                    /* DEAD, LEFT: since then */
    /* suspicion */
    instant suspected; /* since then */
    struct {
        sid accuser;
        uint64_t push; /* as in struct stored */
        uint8_t bytes[RECORD_SUSPECT_BYTES];
    } accusers[ACCUSERS_MAX];
    uint32_t accusers_count;
    uint64_t suspected_incarnation; /* a higher one brings it back */
    instant told;                   /* when it was last told that it is suspected */
    /* probing */
    uint32_t nonce;        /* of the PING under way; 0: none */
    instant probed, again; /* when the probe began; its next PING */
    uint32_t tries;        /* PINGs sent */
    uint32_t rtt_ms;       /* round trip; 0: unknown */
    bool differs;          /* its digest was not mine when it last said it */
    /* reaching it */
    struct member_link links[MEMBER_LINKS];
    /* doubles.h: since when it has two links, and when the next PING is due; 0: it has not. */
    instant doubled, doubled_again;
    struct twin twin;
    struct address observed; /* where it was seen; family 0: nowhere */
    struct address sees_me;  /* where it sees me; family 0: it has not said so */
    instant sees_me_at;      /* when it said so */
    uint32_t listed;         /* its place in the peer list, from 1; 0: it is not there */
    bool dialling;           /* a dial is under way */
    uint32_t failures;       /* dials in a row that failed */
    instant dialled;         /* the latest dial began */
    /* dial_at: the next dial, INSTANT_NEVER: none is planned; refused: not dialled before, because
     * it refused me. */
    instant dial_at, refused;
    enum reach_reason unreached; /* why the latest try failed; REACH_REASONS: it did not */
    struct record_reach reach;   /* valid when stored[STORED_REACH].count */
};

#define LISTED_ADDRESSES_MAX 4

/* An entry of the peer list. While nothing is known of it but that, it has a place among the
 * members only for the time of a dial. */
struct listed {
    uint8_t id[CRYPTO_KEY_BYTES];
    struct address addresses[LISTED_ADDRESSES_MAX]; /* the newest first */
    uint32_t addresses_count;
    uint32_t failures; /* dials in a row that failed */
    instant again;     /* not dialled before */
};

struct member_config {
    uint8_t id[CRYPTO_KEY_BYTES];
    uint8_t run_id[CRYPTO_DIGEST_BYTES];
    uint64_t incarnation;
    const struct crypto *crypto;          /* lent for the life of members, as `shared` is */
    struct address advertise;             /* family 0: what peers observe */
    const struct peer_address *bootstrap; /* the peer list, lent for members_init */
    size_t bootstrap_count;
    struct bytes shared; /* as in node_config */
    size_t (*differ)(struct bytes here, struct bytes there, char story[NODE_STORY_BYTES]);
    /* [bootstrap_count]: storage for the peer list, lent for the life of members. */
    struct listed *listed;
};

/* What a call to this module may have brought about, for the caller, who takes it by
 * members_news. */
enum member_news {
    NEWS_LINKED,   /* the first usable link to it is up, or another took the place of a lost one */
    NEWS_UNLINKED, /* no usable link is left */
    NEWS_ENDED,    /* its process has ended, as far as the network can tell; after NEWS_UNLINKED */
    NEWS_GONE,     /* DEAD or LEFT */
    NEWS_PROGRESS, /* a newer PROGRESS of it */
    NEWS_CHANGED   /* alive, suspected, refuted */
};

#define NEWS_MAX (MEMBERS_MAX * 8)

struct members {
    struct member_config config;
    sid self;
    struct rng rng;
    instant now;
    uint64_t incarnation; /* mine: grows when I refute */
    uint32_t seq;         /* of my latest record */
    struct record_peer me;
    struct stored mine[STORED_COUNT]; /* my records */
    struct record_progress progress;  /* mine, as last published */
    bool published;                   /* there is one */
    struct member members[MEMBERS_MAX];
    struct record_reach reach; /* mine, as last published */
    instant reach_at;          /* when it is published anew */
    uint32_t health;           /* Lifeguard's local health, 1 (well) .. 8: multiplies patience */
    uint32_t turn;             /* of the round robin */
    uint64_t order;            /* of the latest link */
    uint32_t nonce;            /* of the latest probe */
    /* The next probe, push, SYNC, and dial to one who is gone. */
    instant probe_at, flush_at, sync_at, reconnect_at;
    struct listed *listed;            /* the peer list without me */
    size_t listed_count, listed_turn; /* entries; the next whose turn it is, modulo the count */
    instant listed_at;                /* when the next of them may be dialled */
    instant clone_at;   /* another process with my key is reported again, not before */
    uint64_t ticket;    /* of the SYNC under way; 0: none */
    uint64_t tickets;   /* given out so far */
    int sync_with;      /* the member that was asked; NOBODY: none yet */
    instant sync_until; /* when it is given up */
    struct {
        enum member_news kind;
        int member;
    } news[NEWS_MAX]; /* a ring */
    uint32_t news_first, news_count;
};

#endif
