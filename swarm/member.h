/* member.h -- who is in the swarm, how to reach them, and whether they are still there.
 *
 *              --SUSPECT heard--> SUSPECT --its timer over--> DEAD --higher incarnation--> ALIVE
 *     ALIVE <--`--higher incarnation--'  any --LEAVE--> LEFT --higher incarnation--> ALIVE
 *
 * A full view of signed records (wire.h), links to everybody, probes in datagrams, suspicion with Lifeguard's timers
 * (arXiv 1707.00788). Nobody says DEAD to others: each node's own timer decides, and whoever is accused refutes by a
 * higher incarnation. SPEC.md, "Membership".
 *
 * Pure. Messages go out with action.link set. All storage is in the struct, but for the peer list. Its parts:
 *
 *     table      who is known, the links to them, news for whoever composes this
 *     push       records on their way out, and my own
 *     sync       anti-entropy
 *     health     suspicion, death, return
 *     probe      PING and PONG
 *     record     what others say
 *     contact    dialling; with listed (the peer list) and seen (my addresses)
 *     hello      a link comes up; with twin (one key twice)
 *     unreachable
 *     member     what comes in, and time */
#ifndef SHOAL_SWARM_MEMBER_H
#define SHOAL_SWARM_MEMBER_H

#include "action.h"
#include "base/rng.h"
#include "wire.h"

#define MEMBERS_MAX 64 /* live ones (NODE_GROUP_MAX with me), and those remembered as gone */
#define MEMBER_LINKS                                                                               \
    3 /* to one peer: both sides may dial at once, and one link may be a dead one */
#define ACCUSERS_MAX 4 /* Lifeguard's K: more accusers make a timer no shorter */
#define NOBODY       (-1)

enum stored_kind { STORED_PEER, STORED_PROGRESS, STORED_LEAVE, STORED_REACH, STORED_COUNT };

struct stored {     /* a record as its writer signed it */
    uint16_t count; /* 0: none */
    uint8_t bytes[RECORD_BYTES_MAX];
    struct version version;
    instant at;      /* when it came here */
    uint32_t age_ms; /* how old it was then */
    uint64_t push;   /* bit i: member i is to get it with the next GOSSIP, PING or PONG */
};

struct member_link {
    link_id link; /* LINK_NONE: free */
    bool dialled; /* by me */
    bool greeted; /* its HELLO has come: it is of this run and this version */
    instant since;
    struct address address; /* where the peer was seen when it came up */
    uint64_t incarnation;   /* in its HELLO */
    uint64_t life;  /* which process of the peer's it leads to; 0: it did not say (version 1.0) */
    instant broken; /* until then: a parcel on it failed, so it is probably about to end */
    uint64_t order;
};

/* A HELLO that is not believed yet: another process with the same key has a link to us (twin.h). */
struct twin {
    link_id link; /* it came on this one; LINK_NONE: there is none */
    instant until, again;
    uint32_t nonce; /* of the PINGs to the other process */
    uint64_t life;
    struct address seen;
    uint16_t count; /* of its PEER record */
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
    instant suspected;
    struct {
        sid accuser;
        uint64_t push;
        uint8_t bytes[RECORD_SUSPECT_BYTES];
    } accusers[ACCUSERS_MAX];
    uint32_t accusers_count;
    uint64_t suspected_incarnation;
    instant told; /* when it was last told that it is suspected */
    /* probing */
    uint32_t nonce; /* of the PING under way; 0: none */
    instant probed, again;
    uint32_t tries;
    uint32_t rtt_ms;
    bool differs; /* its digest was not mine when it last said it */
    /* reaching it */
    struct member_link links[MEMBER_LINKS];
    struct twin twin;
    struct address observed; /* where it was seen; family 0: nowhere */
    struct address sees_me;  /* where it sees me; family 0: it has not said so */
    instant sees_me_at;
    uint32_t listed; /* its place in the peer list, from 1; 0: it is not there */
    bool dialling;
    uint32_t failures;           /* dials in a row that came to nothing */
    instant dialled;             /* the latest dial began */
    instant dial_at, refused;    /* refused: not dialled before, because it refused me */
    enum reach_reason unreached; /* why the latest try came to nothing; REACH_REASONS: it did not */
    struct record_reach reach;   /* valid when stored[STORED_REACH].count */
};

#define LISTED_ADDRESSES_MAX 4

/* An entry of the peer list. While nothing is known of it but that, it has a place among the members only for the time
 * of a dial. */
struct listed {
    uint8_t id[CRYPTO_KEY_BYTES];
    struct address addresses[LISTED_ADDRESSES_MAX]; /* the newest first */
    uint32_t addresses_count;
    uint32_t failures;
    instant again; /* not dialled before */
};

struct member_config {
    uint8_t id[CRYPTO_KEY_BYTES];
    uint8_t run_id[CRYPTO_DIGEST_BYTES];
    uint64_t incarnation;
    const struct crypto *crypto;
    struct address advertise;
    const struct peer_address *bootstrap;
    size_t bootstrap_count;
    struct bytes shared; /* as in node_config */
    size_t (*differ)(struct bytes here, struct bytes there, char story[NODE_STORY_BYTES]);
    struct listed
        *listed; /* [bootstrap_count]: storage for the peer list, lent for the life of members */
};

/* What a call to this module may have brought about, for whoever composes it; taken and cleared by member_news. */
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
    uint32_t seq;
    struct record_peer me;
    struct stored mine[STORED_COUNT];
    struct record_progress progress; /* mine, as last published */
    bool published;
    struct member members[MEMBERS_MAX];
    struct record_reach reach; /* mine, as last published */
    instant reach_at;          /* when it is published anew */
    uint32_t health;           /* Lifeguard's local health, 1 (well) .. 8: multiplies patience */
    uint32_t turn;             /* of the round robin */
    uint64_t order;            /* of links */
    uint32_t nonce;
    instant probe_at, flush_at, sync_at, reconnect_at;
    struct listed *listed; /* the peer list without me */
    size_t listed_count, listed_turn;
    instant listed_at; /* when the next of them may be dialled */
    instant clone_at;  /* no earlier is another process with my key spoken of again */
    uint64_t ticket;   /* of the SYNC under way; 0: none */
    uint64_t tickets;  /* given out so far, by sync.h too */
    int sync_with;
    instant sync_until;
    struct {
        enum member_news kind;
        int member;
    } news[NEWS_MAX];
    uint32_t news_first, news_count;
};

/* Knows the bootstrap peers' addresses and nobody else. */
void members_init(struct members *m, const struct member_config *c, struct rng rng, instant now);

/* Publishes my progress: signs it, keeps it, pushes it to all. The caller decides how often. */
void members_publish(struct members *m, const struct record_progress *mine, instant now,
                     const struct sink *out);

/* Network events. False when the peer sent what the protocol does not allow: the link was hung up. */
void members_link_up(struct members *m, const struct event *e, const struct sink *out);
void members_link_down(struct members *m, link_id link, uint32_t code, instant now,
                       const struct sink *out);
void members_dial_failed(struct members *m, const uint8_t id[CRYPTO_KEY_BYTES], uint32_t code,
                         instant now, const struct sink *out);
/* Whoever the peer list names, or I, may be reached at this address too. */
void members_address_found(struct members *m, const uint8_t id[CRYPTO_KEY_BYTES],
                           const struct address *a, instant now);
bool members_hello(struct members *m, link_id link, struct bytes body, instant now,
                   const struct sink *out);
/* A peer's packets come from another address now: it is told. */
void members_moved(struct members *m, link_id link, const struct address *a, instant now,
                   const struct sink *out);
/* A SEEN. */
bool members_seen(struct members *m, link_id link, struct bytes body, instant now);
bool members_gossip(struct members *m, link_id link, struct bytes body, instant now,
                    const struct sink *out);
void members_datagram(struct members *m, link_id link, struct bytes bytes, instant now,
                      const struct sink *out);
/* A SYNC request: answers it. */
void members_sync(struct members *m, link_id link, uint64_t ticket, struct bytes request,
                  instant now, const struct sink *out);
/* The reply to ticket m->ticket. */
void members_synced(struct members *m, bool ok, struct bytes reply, instant now,
                    const struct sink *out);

/* I leave: tells everybody. */
void members_leave(struct members *m, instant now, const struct sink *out);

/* The process stood still for `late`: nobody is to be blamed for what was not heard in that time. */
void members_late(struct members *m, span late);

void members_tick(struct members *m, instant now, const struct sink *out);
instant members_due(const struct members *m);

/* Takes the next piece of news; false when there is none. */
bool members_news(struct members *m, enum member_news *kind, int *member);

/* ---- looking ---- */

int members_find(const struct members *m, sid s);
int members_by_id(const struct members *m, const uint8_t id[CRYPTO_KEY_BYTES]);
int members_by_link(const struct members *m, link_id link);
/* The link to send on; LINK_NONE: there is none. */
link_id member_link(const struct members *m, int member);
/* ALIVE or SUSPECT, with a PEER record. */
bool member_live(const struct member *p);
/* How old its progress is now. */
span member_progress_age(const struct member *p, instant now);
/* Live members, me included. */
uint32_t members_live(const struct members *m);
/* Has everybody on the peer list been heard of, and said how far it is? True for an empty list. */
bool members_all_heard(const struct members *m);
/* Whom a member, or I (NOBODY), cannot reach, by its latest word in this life; NULL: nobody. */
const struct record_reach *members_reach(const struct members *m, int member);
/* Where I am known to be reached, or family 0. */
struct address members_address(const struct members *m);

#endif
