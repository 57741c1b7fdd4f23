/* relay.h -- messages between two members that have no link, through a third one that has a link to
 * both.
 *
 *     NONE --no link for two seconds--> ASKED --it is heard through the relay--> OPEN
 *      ^                                  |                                        |
 *      `------ a link; the relay refuses, is lost, or brings nothing for a while --'
 *
 * An OPEN path carries frames, parcels and requests; a parcel is done when its receiver says so, not
 * when the relay has it. A relay cannot change or forge what it carries (relay_wire.h). It carries for
 * a member no more than relay_carry.h says, and never what was relayed to it. SPEC.md, "Relays".
 *
 * Pure. Works on membership's table, which learns of paths by NEWS_LINKED and NEWS_UNLINKED. */
#ifndef SHOAL_SWARM_RELAY_H
#define SHOAL_SWARM_RELAY_H

#include "base/bucket.h"
#include "member.h"
#include "relay_wire.h"

#define RELAY_TICKET ((uint64_t)1 << 61) /* set in every ticket of relays, without bits 62 and 63 */

/* Parcels in flight to a member that have not been answered. */
#define RELAY_FLIGHT 16
/* The same to all of them, with the requests: as many as an average fetches. */
#define RELAY_SENT_MAX ((RELAY_FLIGHT + 8) * NODE_GROUP_MAX)
/* Messages that a relay carries at a time, frames not counted: for all, and for one member. */
#define RELAY_CARRIED      256
#define RELAY_CARRIED_EACH (2 * RELAY_FLIGHT)

struct relay_path { /* to one member */
    sid sid;        /* which; 0: nobody */
    int via;        /* the relay's index; NOBODY: NONE */
    bool open;
    instant without_link; /* since when; INSTANT_NEVER: there is one */
    instant echo_at;      /* of the next ECHO, or the next look for a relay */
    uint32_t nonce;       /* of the ECHO under way; 0: none */
    instant asked;        /* when it was sent */
    uint32_t rtt_ms;      /* 0: not measured */
    instant opened;
    instant heard;    /* the latest message that came through a relay */
    uint64_t refused; /* bits of members that could not relay to it, not asked again */
    instant refused_until;
    uint32_t seq[RELAY_FORMS]; /* of the latest message to it */
    /* What has come from it, so that nothing counts twice: bit i of `seen`: latest - i has. */
    uint64_t life;
    uint32_t latest[RELAY_FORMS];
    uint64_t seen[RELAY_FORMS];
};

struct relay_sent {  /* a parcel or request of mine without an answer */
    uint64_t ticket; /* of its maker; 0: free */
    sid to;
    int via;
    uint32_t seq, serial;
    enum relay_form form;
    bool failed; /* relay_failed has not told it yet */
    instant at;
};

struct relay_carried { /* a parcel or request of another member without an answer */
    sid from;          /* 0: free */
    sid to;
    link_id back;    /* requests: where the answer goes, */
    uint64_t ticket; /* and under which ticket */
    uint32_t serial;
    size_t bytes;
};

/* Frames carried for one member. */
struct relay_bucket {
    sid from;
    struct bucket bucket;
};

struct relay {
    struct relay_path paths[MEMBERS_MAX];
    struct relay_sent sent[RELAY_SENT_MAX];
    uint32_t sent_count;
    struct relay_carried carried[RELAY_CARRIED];
    struct relay_bucket buckets[NODE_GROUP_MAX];
    uint32_t seq[RELAY_FORMS]; /* the highest used */
    uint32_t serial, nonce;
    uint64_t carried_bytes; /* for others, in all */
    instant now;
};

/* A message that came through a relay, from a member to me. */
struct relayed {
    int from;
    enum relay_form form;
    uint8_t type; /* of a frame */
    struct bytes bytes;
};

enum relay_verdict {
    RELAY_MINE,  /* *out is for me */
    RELAY_DEALT, /* carried on, refused, or of no use */
    RELAY_FALSE  /* no conforming member sends these bytes */
};

void relay_init(struct relay *r);

/* Can this member be spoken to through another one? */
bool relay_open(const struct relay *r, const struct members *m, int member);
/* Of an open path: the member that relays, and the round trip (0: not known). */
int relay_via(const struct relay *r, const struct members *m, int member);
uint32_t relay_rtt_ms(const struct relay *r, const struct members *m, int member);

/* Sends the message of `a`, a frame, parcel or request, to a member without a link; drops a frame to
 * one without a path. A parcel and a request end by relay_failed or by their answer. */
void relay_send(struct relay *r, struct members *m, int to, const struct action *a, instant now,
                const struct sink *out);

/* Handles a RELAY from member `by`, as a frame, parcel or request; `link` and `ticket` are those of
 * a request. */
enum relay_verdict relay_take(struct relay *r, struct members *m, int by, enum relay_form form,
                              link_id link, uint64_t ticket, struct bytes bytes, instant now,
                              struct relayed *out, const struct sink *sink);
/* Does a frame of this type from a member, direct or relayed, concern relays? relay_frame handles it;
 * false as RELAY_FALSE. A parcel of mine that is done: *done is its ticket, otherwise 0. */
bool relay_takes(uint8_t type);
bool relay_frame(struct relay *r, struct members *m, int from, uint8_t type, struct bytes body,
                 instant now, uint64_t *done, const struct sink *out);

/* The result of a parcel or request with RELAY_TICKET. Of my own request, *mine is its maker's ticket,
 * otherwise 0. */
void relay_parcel_done(struct relay *r, struct members *m, uint64_t ticket, bool ok,
                       const struct sink *out);
void relay_reply(struct relay *r, uint64_t ticket, bool ok, struct bytes reply, uint64_t *mine,
                 const struct sink *out);

/* The next parcel or request of mine that has failed; false when there is none. */
bool relay_failed(struct relay *r, uint64_t *ticket, enum relay_form *form);

/* This member was silent where it should have spoken: its path goes through another relay, if there is
 * one. kbps as in relay_tick. */
void relay_doubt(struct relay *r, struct members *m, int member, const uint32_t *kbps,
                 const struct sink *out);

/* Time has passed, or links have changed. kbps[MEMBERS_MAX]: what each member can send, as it said
 * last; 0: not known. */
void relay_tick(struct relay *r, struct members *m, const uint32_t *kbps, instant now,
                const struct sink *out);
instant relay_due(const struct relay *r, const struct members *m);

#endif
