/* member_parts.h -- the struct of member.c and its parts. member.h describes the whole. */
#ifndef SHOAL_SWARM_MEMBER_PARTS_H
#define SHOAL_SWARM_MEMBER_PARTS_H

#include "action.h"
#include "base/rng.h"
#include "base/bucket.h"
#include "ticket.h"
#include "wire.h"

/* Live members (at most NODE_GROUP_MAX with me), and gone ones still remembered. */
#define MEMBERS_MAX 64
/* Links to one peer: both sides may dial at once, and one more may be stale. */
#define MEMBER_LINKS 3
#define ACCUSERS_MAX 4 /* Lifeguard's K: further accusers do not shorten the timer */
#define NOBODY       (-1)

enum stored_kind { STORED_PEER, STORED_PROGRESS, STORED_LEAVE, STORED_REACH, STORED_COUNT };

struct stored {     /* a record, as signed */
    uint16_t count; /* 0: none */
    uint8_t bytes[RECORD_BYTES_MAX];
    struct version version;
    instant at;      /* when it arrived */
    uint32_t age_ms; /* how old it was then */
    uint64_t push;   /* bit i: member i is sent it with the next GOSSIP, PING or PONG */
};

struct member_link {
    link_id link;           /* LINK_NONE: free */
    bool dialled;           /* by me */
    bool greeted;           /* its HELLO has come: the peer has this run and this version */
    bool retired;           /* closes soon, another one stays */
    instant heard;          /* latest message on it */
    instant since;          /* when it came up */
    struct address address; /* where the peer was seen when it came up */
    uint8_t exporter[CRYPTO_HASH_BYTES]; /* as in EVENT_LINK_UP */
    uint64_t incarnation;                /* in its HELLO */
    uint64_t life;  /* identifies the peer's process; 0: it did not say (version 1.0) */
    instant broken; /* not used until then: a parcel on it failed, so it has probably ended */
    uint64_t order; /* higher for newer links */
};

/* A HELLO that is not accepted yet, because another process with the same key has a link to us
 * (twin.h). */
struct twin {
    link_id link;         /* where it arrived; LINK_NONE: there is none */
    instant until, again; /* deadline for the other process to answer; its next PING */
    uint32_t nonce;       /* of these PINGs */
    uint64_t life;        /* of the process that sent HELLO */
    struct address seen;  /* the address at which it sees me */
    uint16_t count;       /* of its PEER record */
    uint8_t record[RECORD_BYTES_MAX];
};

struct member {
    bool used;
    uint8_t id[CRYPTO_KEY_BYTES];
    sid sid;
    bool known; /* there is a PEER record; otherwise only an ID to dial */
    enum peer_health health;
    uint64_t incarnation; /* the highest seen in a record signed by it */
    struct stored stored[STORED_COUNT];
    struct record_peer peer;
    struct record_progress progress; /* valid when stored[STORED_PROGRESS].count */
    instant heard;                   /* its latest record or message */
    instant gone;                    /* DEAD, LEFT: since when */
    /* suspicion */
    instant suspected; /* since when */
    struct {
        sid accuser;
        uint64_t push; /* as in struct stored */
        uint8_t bytes[RECORD_SUSPECT_BYTES];
    } accusers[ACCUSERS_MAX];
    uint32_t accusers_count;
    uint64_t suspected_incarnation; /* a higher one refutes */
    instant told;                   /* when the accusation was last sent to it */
    /* probing */
    uint32_t nonce;         /* of the PING under way; 0: none */
    instant probed, again;  /* start of the probe; its next PING */
    uint32_t tries;         /* PINGs sent */
    uint32_t rtt_ms;        /* round trip; 0: unknown */
    uint64_t grouped;       /* round of the latest group with it that I committed to; 0: none */
    bool differs;           /* its latest digest differed from mine */
    struct bucket messages; /* that it sends */
    /* links and dialling */
    struct member_link links[MEMBER_LINKS];
    /* doubles.h: since when it has two links, and when the next PING is due; 0: it has one. */
    instant doubled, doubled_again;
    struct twin twin;
    struct address observed; /* where it was last seen; family 0: never */
    struct address sees_me;  /* where it sees me; family 0: not known */
    instant sees_me_at;      /* when it reported that */
    uint32_t listed;         /* its position in the peer lists, from 1; 0: not listed */
    bool dialling;           /* a dial is under way */
    uint32_t failures;       /* consecutive failed dials */
    instant dialled;         /* start of the latest dial */
    /* dial_at: the next dial, INSTANT_NEVER: none is planned; refused: not dialled before, because
     * it refused me. */
    instant dial_at, refused;
    enum reach_reason unreached; /* why the latest dial failed; REACH_REASONS: it did not fail */
    struct record_reach reach;   /* valid when stored[STORED_REACH].count */
    struct ticket ticket;        /* that it showed last; serial 0: none (access.h) */
    instant lingers;             /* its ticket is over: its links end then; 0: it is not */
};

#define STRANGERS_MAX 32

/* A link to a peer whose HELLO has not come; stranger.h keeps those of who has no entry among the
 * members. */
struct stranger_link {
    link_id link; /* LINK_NONE: free */
    uint8_t id[CRYPTO_KEY_BYTES];
    struct address address; /* where it was seen */
    uint8_t exporter[CRYPTO_HASH_BYTES];
    instant since;
};

#define LISTED_ADDRESSES_MAX 4

/* An entry of a peer list. It occupies no slot among the members until a link to it is up. An ID
 * that several lists name has an entry for each: none can replace what another one says. */
struct listed {
    uint8_t id[CRYPTO_KEY_BYTES];
    struct address addresses[LISTED_ADDRESSES_MAX]; /* the newest first */
    uint32_t addresses_count;
    uint32_t list;     /* 0: the one of the start, else the number of a later one */
    uint32_t failures; /* consecutive failed dials */
    instant again;     /* not dialled before then */
    bool dialling;     /* by listed_dial, at: */
    struct address dialled;
};

struct member_config {
    uint8_t id[CRYPTO_KEY_BYTES];
    uint8_t run_id[CRYPTO_DIGEST_BYTES];
    uint64_t incarnation;
    const struct crypto *crypto;          /* lent for the life of members, like `shared` */
    struct address advertise;             /* family 0: use what peers observe */
    const struct peer_address *bootstrap; /* the peer list, lent for members_init */
    size_t bootstrap_count;
    struct bytes shared, secret, ticket; /* as in node_config, like ticket_key */
    const uint8_t *ticket_key;
    size_t (*differ)(struct bytes here, struct bytes there, char story[NODE_STORY_BYTES]);
    /* [bootstrap_count + lists * NODE_LATER_MAX]: storage for the peer lists, lent for the life of
     * members. */
    struct listed *listed;
    uint32_t lists; /* that come later, at most NODE_LISTS_MAX */
};

/* News for the caller, which collects it by members_news. */
enum member_news {
    NEWS_LINKED,   /* its first usable link is up, or another link replaced a lost one */
    NEWS_UNLINKED, /* no usable link is left */
    NEWS_ENDED,    /* its process has ended, as far as the network can tell; after NEWS_UNLINKED */
    NEWS_GONE,     /* DEAD or LEFT */
    NEWS_PROGRESS, /* a newer PROGRESS of it */
    NEWS_CHANGED   /* became alive or suspected */
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
    bool published;                   /* there is a PROGRESS record of mine */
    struct member members[MEMBERS_MAX];
    struct stranger_link strangers[STRANGERS_MAX];
    struct record_reach reach; /* mine, as last published */
    instant reach_at;          /* when to publish it again */
    uint32_t health;           /* Lifeguard's local health, 1 (well) .. 8: multiplies timeouts */
    uint32_t turn;             /* of the round robin */
    uint64_t order;            /* of the latest link */
    uint32_t nonce;            /* of the latest probe */
    /* Next probe, push, SYNC, and dial to a gone member. */
    instant probe_at, flush_at, sync_at, reconnect_at;
    struct listed *listed;            /* the peer lists without me */
    size_t listed_count, listed_turn; /* entries; index of the next one to dial, modulo the count */
    instant listed_at;                /* when the next of them may be dialled */
    uint32_t lists_awaited;           /* bit i - 1: list i has not come yet */
    /* Nobody of another experiment, or without the secret, is noted before. */
    instant other_run_at, not_admitted_at;
    uint64_t wall_ms; /* unix milliseconds at wall_at */
    instant wall_at;
    struct stored revoked; /* the latest list of revoked tickets, and its fields */
    struct record_revoked revoked_list;
    instant clone_at;   /* next time that another process with my key is logged */
    uint64_t ticket;    /* of the SYNC under way; 0: none */
    uint64_t tickets;   /* issued so far */
    int sync_with;      /* the member that was asked; NOBODY: none yet */
    instant sync_until; /* its timeout */
    struct {
        enum member_news kind;
        int member;
    } news[NEWS_MAX]; /* a ring */
    uint32_t news_first, news_count;
};

#endif
