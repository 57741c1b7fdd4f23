#include "node_hear.h"

#include "node_say.h"

static bool on_match(struct node *n, const struct member *p, uint8_t type, struct bytes body)
{
    struct sink in = node_inner(n);
    bool good = match_frame(&n->match, p->id, type, body, n->now, &in);
    for (uint32_t j = 0; j < n->match.group.count; j++)
        if (n->life == LIFE_REDUCE && n->match.withdrawn >> j & 1)
            reduce_withdrew(&n->reduce, n->match.group.members[j].sid, n->now);
    n->match.withdrawn = 0;
    return good;
}

static bool on_relays(struct node *n, int i, uint8_t type, struct bytes body)
{
    struct sink in = node_inner(n);
    uint64_t done;
    if (!relay_frame(&n->relay, &n->members, i, type, body, n->now, &done, n->out)) return false;
    if (done) reduce_parcel_done(&n->reduce, done, true, n->now, &in);
    return true;
}

bool node_hear_frame(struct node *n, int i, uint8_t type, struct bytes body)
{
    struct sink in = node_inner(n);
    const struct member *p = &n->members.members[i];
    if (match_takes(type)) return on_match(n, p, type, body);
    if (reduce_takes(type)) return reduce_frame(&n->reduce, p->sid, type, body, n->now, &in);
    return !relay_takes(type) || on_relays(n, i, type, body);
}

void node_hear_request(struct node *n, int i, const struct event *e, struct bytes request)
{
    struct sink in = node_inner(n);
    sid s = n->members.members[i].sid;
    uint8_t type = request.count ? request.data[0] : 0;
    if (!(reduce_takes(type) &&
          reduce_request(&n->reduce, s, e->link, e->ticket, request, n->now, &in)) &&
        !past_request(&n->past, s, e->link, e->ticket, request, &in))
        sink_answer_nothing(n->out, s, e->link, e->ticket);
}
