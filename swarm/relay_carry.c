#include "relay_carry.h"

#include "member_table.h"
#include "wire.h"

/* SPEC.md, "Timers": of one member. */
#define RELAY_BYTES_EACH   ((size_t)8 << 20)     /* of parcels at a time */
#define RELAY_FRAMES_BURST ((size_t)1 << 20)     /* of frames at once, */
#define RELAY_FRAMES_RATE  ((uint64_t)128 << 10) /* and in a second */

#define CARRIED_TICKET ((uint64_t)1 << 60) /* in a ticket, beside RELAY_TICKET */

static uint64_t ticket_of(const struct relay *r, const struct relay_carried *c)
{
    return RELAY_TICKET | CARRIED_TICKET | (uint64_t)c->serial << 16 | (uint64_t)(c - r->carried);
}

bool relay_ticket_carried(uint64_t ticket) { return ticket & CARRIED_TICKET; }

/* NULL: that one is over. */
static struct relay_carried *carried_of(struct relay *r, uint64_t ticket)
{
    uint16_t i = (uint16_t)ticket;
    if (i >= RELAY_CARRIED) return NULL;
    struct relay_carried *c = &r->carried[i];
    return c->from && ticket_of(r, c) == ticket ? c : NULL;
}

/* May one more message be carried for this member? NULL: no. */
static struct relay_carried *room_for(struct relay *r, sid from, size_t bytes)
{
    struct relay_carried *place = NULL;
    uint32_t count = 0;
    size_t held = 0;
    for (uint32_t i = 0; i < RELAY_CARRIED; i++) {
        struct relay_carried *c = &r->carried[i];
        if (!c->from) place = c;
        if (c->from != from) continue;
        count++;
        held += c->bytes;
    }
    return count < RELAY_CARRIED_EACH && held + bytes <= RELAY_BYTES_EACH ? place : NULL;
}

/* May a frame of so many bytes be carried for this member now? */
static bool frame_fits(struct relay *r, sid from, size_t bytes)
{
    struct relay_bucket *b = &r->buckets[0];
    for (uint32_t i = 0; i < NODE_GROUP_MAX && b->from != from; i++) {
        struct relay_bucket *other = &r->buckets[i]; /* its own, or the oldest */
        if (other->from == from || other->bucket.at.ns < b->bucket.at.ns) b = other;
    }
    if (b->from != from) *b = (struct relay_bucket){.from = from};
    return bucket_take(&b->bucket, bytes, RELAY_FRAMES_BURST, RELAY_FRAMES_RATE, r->now);
}

static void refuse(struct relay *r, struct members *m, int by, sid to, const struct sink *out)
{
    uint8_t room[8];
    struct writer w = writer_init(room, sizeof room);
    writer_u64(&w, to);
    if (by == NOBODY || member_link(m, by) == LINK_NONE) return;
    sink_act(out, &(struct action){.kind = ACTION_FRAME,
                                   .peer = m->members[by].sid,
                                   .link = member_link(m, by),
                                   .type = WIRE_RELAY_REFUSED,
                                   .bytes = writer_bytes(&w)});
}

void relay_carry(struct relay *r, struct members *m, int by, const struct relay_envelope *e,
                 link_id link, uint64_t ticket, struct bytes whole, const struct sink *out)
{
    static const enum action_kind carriers[RELAY_FORMS] = {ACTION_FRAME, ACTION_PARCEL,
                                                           ACTION_REQUEST};
    int to = members_find(m, e->to);
    link_id there = to == NOBODY ? LINK_NONE : member_link(m, to);
    bool frame = e->form == RELAY_FRAME;
    struct relay_carried *c = frame ? NULL : room_for(r, e->from, whole.count);
    if (there == LINK_NONE || !(frame ? frame_fits(r, e->from, whole.count) : c != NULL)) {
        refuse(r, m, by, e->to, out);
        if (e->form == RELAY_REQUEST) sink_answer_nothing(out, m->members[by].sid, link, ticket);
        return;
    }
    struct action a = {.kind = carriers[e->form],
                       .peer = e->to,
                       .link = there,
                       .type = WIRE_RELAY,
                       .bytes = whole};
    if (c) {
        *c = (struct relay_carried){.from = e->from,
                                    .to = e->to,
                                    .back = link,
                                    .ticket = ticket,
                                    .serial = ++r->serial,
                                    .bytes = whole.count};
        a.ticket = ticket_of(r, c);
    }
    r->carried_bytes += whole.count;
    sink_act(out, &a);
}

void relay_carried_done(struct relay *r, struct members *m, uint64_t ticket, bool ok,
                        const struct sink *out)
{
    struct relay_carried *c = carried_of(r, ticket);
    if (!c) return;
    struct relay_carried was = *c;
    *c = (struct relay_carried){0};
    if (!ok) refuse(r, m, members_find(m, was.from), was.to, out);
}

void relay_carried_reply(struct relay *r, uint64_t ticket, bool ok, struct bytes reply,
                         const struct sink *out)
{
    struct relay_carried *c = carried_of(r, ticket);
    if (!c) return;
    struct action a = {.kind = ACTION_REPLY, .peer = c->from, .link = c->back, .ticket = c->ticket};
    if (ok) a.bytes = reply;
    r->carried_bytes += a.bytes.count;
    *c = (struct relay_carried){0};
    sink_act(out, &a);
}
