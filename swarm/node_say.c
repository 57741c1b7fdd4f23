#include "node_say.h"

#include "node_look.h"

/* SPEC.md, "A node's life" and "Progress". */
#define PUBLISH_PERIOD span_ms(PROGRESS_PERIOD_MS)
#define PUBLISH_PAUSE  span_ms(500) /* between two records, even if something changes */

/* Sub-machines name peers; the driver knows links. To a peer without a link it goes through another
 * member; a frame to a peer that nobody reaches is dropped, and its sender repeats it when there is a
 * path. */
static void act(void *self, struct action *a)
{
    struct node *n = self;
    bool network = a->kind == ACTION_DATAGRAM || a->kind == ACTION_FRAME ||
                   a->kind == ACTION_PARCEL || a->kind == ACTION_REQUEST;
    if (network && a->link == LINK_NONE) {
        int i = members_find(&n->members, a->peer);
        if (i == NOBODY) return;
        a->link = member_link(&n->members, i);
        if (a->link == LINK_NONE) {
            relay_send(&n->relay, &n->members, i, a, n->now, n->out);
            return;
        }
    }
    sink_act(n->out, a);
}

struct sink node_inner(struct node *n) { return (struct sink){n, act}; }

void node_note(struct node *n, struct note note) { sink_note(n->out, note); }

void node_order(struct node *n, const struct order *o)
{
    sink_act(n->out, &(struct action){.kind = ACTION_ORDER, .order = *o});
}

void node_train(struct node *n, bool on)
{
    if (n->training == on) return;
    n->training = on;
    node_order(n, &(struct order){.kind = on ? ORDER_TRAIN : ORDER_HOLD});
}

/* ---- my phase and progress, as published ---- */

enum peer_phase node_phase(const struct node *n)
{
    switch (n->life) {
    case LIFE_JOIN:
        return PHASE_JOIN;
    case LIFE_SYNC:
    case LIFE_ADOPT:
        return PHASE_SYNC;
    case LIFE_TRAIN:
        return PHASE_TRAIN;
    case LIFE_MATCH:
        return PHASE_MATCH;
    case LIFE_REDUCE:
    case LIFE_APPLY:
        return PHASE_REDUCE;
    case LIFE_DONE:
        return PHASE_DONE;
    case LIFE_LEAVING:
    case LIFE_LEFT:
        return PHASE_LEAVING;
    }
    return PHASE_JOIN;
}

static uint32_t clamp32(uint64_t v) { return v > UINT32_MAX ? UINT32_MAX : (uint32_t)v; }

void node_publish(struct node *n)
{
    struct sink in = node_inner(n);
    n->near = n->life == LIFE_SYNC && sync_near(&n->sync);
    struct record_progress p = {.phase = node_phase(n),
                                .flags = (uint8_t)(PROGRESS_SERVES | (n->near ? PROGRESS_NEAR : 0)),
                                .epoch = clamp32(n->state.epoch),
                                .lineage_tokens = n->state.lineage_tokens,
                                .steps = clamp32(n->round.steps),
                                .tokens = n->round.tokens,
                                .tokens_per_s = n->round.tokens_per_s,
                                .step_ms = n->round.step_ms,
                                .eta_ms = node_eta_ms(n),
                                .loss = n->round.loss,
                                .digest_epoch = clamp32(n->state.epoch),
                                .digest = first_eight(n->state.digest)};
    memcpy(p.lineage, n->state.lineage, sizeof p.lineage);
    members_publish(&n->members, &p, n->now, &in);
    n->published = n->now;
    n->publish_at = instant_after(n->now, PUBLISH_PERIOD);
}

void node_publish_soon(struct node *n)
{
    n->publish_at = instant_min(n->publish_at, instant_after(n->published, PUBLISH_PAUSE));
}
