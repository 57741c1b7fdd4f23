#include "node_look.h"
#include "node_parts.h"
#include "node_say.h"

#include <assert.h>

double node_epoch_share(const struct node *n)
{
    double share;
    if (n->config.count_steps) {
        share = (double)n->round.steps / (double)n->config.every;
    } else {
        struct progress_sum s = node_work(n);
        share = (double)s.done / (double)s.target;
    }
    return share < 1.0 ? share : 1.0;
}

static void fill_peer(const struct node *n, int i, struct node_peer *o)
{
    const struct member *p = &n->members.members[i];
    *o =
        (struct node_peer){.health = p->health, .linked = member_link(&n->members, i) != LINK_NONE};
    memcpy(o->id, p->id, sizeof o->id);
    int via = relay_via(&n->relay, &n->members, i);
    if (via != NOBODY) o->via = n->members.members[via].sid;
    o->address = p->peer.addresses_count ? p->peer.addresses[0] : p->observed;
    if (!p->stored[STORED_PROGRESS].count) return;
    o->phase = p->progress.phase;
    o->epoch = p->progress.epoch;
    o->steps = p->progress.steps;
    o->tokens = p->progress.tokens;
    o->lineage = first_eight(p->progress.lineage);
    o->tokens_per_s = p->progress.tokens_per_s;
    o->loss = p->progress.loss;
    o->age = member_progress_age(p, n->now);
}

uint64_t node_relayed(const struct node *n) { return n->relay.carried_bytes; }

static_assert(NODE_PEERS_MAX == MEMBERS_MAX + 1, "node_peers counts self and every member");

static void fill_unreached(const struct node *n, int member, struct node_peer *out)
{
    const struct record_reach *r = members_reach(&n->members, member);
    if (!r) return;
    out->unreached_count = r->count;
    memcpy(out->unreached, r->list, sizeof *r->list * r->count);
}

size_t node_peers(const struct node *n, struct node_peer *out, size_t room)
{
    size_t count = 0;
    if (room > 0) {
        out[0] = (struct node_peer){.address = members_address(&n->members),
                                    .health = HEALTH_ALIVE,
                                    .phase = node_phase(n),
                                    .epoch = n->state.epoch,
                                    .steps = n->round.steps,
                                    .tokens = n->round.tokens,
                                    .lineage = first_eight(n->state.lineage),
                                    .tokens_per_s = n->round.tokens_per_s,
                                    .loss = n->round.loss,
                                    .self = true};
        memcpy(out[0].id, n->config.id, sizeof out[0].id);
        fill_unreached(n, NOBODY, &out[0]);
    }
    count++;
    for (int i = 0; i < MEMBERS_MAX; i++) {
        if (!n->members.members[i].used || !n->members.members[i].known) continue;
        if (count < room) {
            fill_peer(n, i, &out[count]);
            fill_unreached(n, i, &out[count]);
        }
        count++;
    }
    return count;
}
