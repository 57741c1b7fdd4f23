#include "node_relay.h"

#include "member_push.h"
#include "member_record.h"
#include "node_hear.h"
#include "node_news.h"
#include "node_say.h"

#define RELAY_LOOK span_s(1) /* SPEC.md, "Timers" */

/* ---- what comes ---- */

static bool on_frame(struct node *n, const struct relayed *r)
{
    struct sink in = node_inner(n);
    struct reader records = reader_init(r->bytes);
    if (r->type == WIRE_GOSSIP) return member_absorb_all(&n->members, &records, r->from, &in);
    return node_hear_frame(n, r->from, r->type, r->bytes);
}

bool node_on_relay(struct node *n, int i, enum relay_form form, const struct event *e)
{
    struct sink in = node_inner(n);
    struct relayed r;
    switch (relay_take(&n->relay, &n->members, i, form, e->link, e->ticket, e->bytes, n->now, &r,
                       n->out)) {
    case RELAY_FALSE:
        return false;
    case RELAY_DEALT:
        return true;
    case RELAY_MINE:
        break;
    }
    node_read_news(n); /* its path may be new */
    /* What it may not say has no effect; there is no link of its own to end. */
    if (form == RELAY_FRAME) (void)on_frame(n, &r);
    else if (form == RELAY_REQUEST) node_hear_request(n, r.from, e, r.bytes);
    else (void)reduce_parcel(&n->reduce, n->members.members[r.from].sid, r.bytes, n->now, &in);
    return true;
}

/* ---- what goes ---- */

void node_relay_result(struct node *n, const struct event *e)
{
    struct sink in = node_inner(n);
    uint64_t mine;
    if (e->kind == EVENT_PARCEL_DONE) {
        relay_parcel_done(&n->relay, &n->members, e->ticket, e->ok, n->out);
        return;
    }
    relay_reply(&n->relay, e->ticket, e->ok, e->bytes, &mine, n->out);
    if (mine) (void)reduce_reply(&n->reduce, mine, e->ok, e->bytes, n->now, &in);
}

/* Who was silent in a match, or is in an average, although there is a path: its relay may keep what it
 * should carry, and answer for it. */
static void doubt_relays(struct node *n, const uint32_t *kbps)
{
    for (int i = 0; i < MEMBERS_MAX; i++) {
        sid s = n->members.members[i].sid;
        if (relay_via(&n->relay, &n->members, i) == NOBODY) continue;
        bool blocked =
            n->life == LIFE_MATCH && match_pairs_has(&n->match.blocked, wire_sid(n->config.id), s);
        if (blocked || reduce_suspects(&n->reduce, s))
            relay_doubt(&n->relay, &n->members, i, kbps, n->out);
    }
}

void node_relay_tick(struct node *n)
{
    struct sink in = node_inner(n);
    uint32_t kbps[MEMBERS_MAX] = {0};
    uint64_t ticket;
    enum relay_form form;
    bool due = n->links_changed || instant_reached(n->now, n->relay_look_at) ||
               instant_reached(n->now, relay_due(&n->relay, &n->members));
    if (!due) return;
    n->links_changed = false;
    n->relay_look_at = instant_after(n->now, RELAY_LOOK);
    for (uint32_t i = 0; i < n->match.mates_count; i++) {
        int m = members_find(&n->members, n->match.mates[i].sid);
        if (m != NOBODY) kbps[m] = n->match.mates[i].ready.offer.up_kbps;
    }
    doubt_relays(n, kbps);
    relay_tick(&n->relay, &n->members, kbps, n->now, n->out);
    node_read_news(n); /* before anything is sent there again */
    for (int k = 0; k < RELAY_SENT_MAX && relay_failed(&n->relay, &ticket, &form); k++) {
        if (form == RELAY_PARCEL) reduce_parcel_done(&n->reduce, ticket, false, n->now, &in);
        else (void)reduce_reply(&n->reduce, ticket, false, (struct bytes){0}, n->now, &in);
    }
}

void node_relay_progress(struct node *n)
{
    struct sink in = node_inner(n);
    uint8_t room[RECORD_ENVELOPE_BYTES + RECORD_PROGRESS_BYTES];
    struct writer w = writer_init(room, sizeof room);
    if (!record_pack(&w, 0, member_stored_bytes(&n->members.mine[STORED_PROGRESS]))) return;
    for (int i = 0; i < MEMBERS_MAX; i++)
        if (relay_open(&n->relay, &n->members, i))
            sink_act(&in, &(struct action){.kind = ACTION_FRAME,
                                           .peer = n->members.members[i].sid,
                                           .type = WIRE_GOSSIP,
                                           .bytes = writer_bytes(&w)});
}
