#include "node_look.h"

#include "lineage.h"

/* SPEC.md, "A node's life": how long a record of the previous epoch counts as one of mine. */
#define STRAGGLERS    span_s(60)
#define RETURN_ROUNDS 8 /* so long is a member that downloads waited for */

const struct member *node_member(const struct node *n, int i)
{
    const struct member *p = &n->members.members[i];
    return member_live(p) && p->stored[STORED_PROGRESS].count ? p : NULL;
}

bool node_takes_part(enum peer_phase p)
{
    return p == PHASE_TRAIN || p == PHASE_MATCH || p == PHASE_REDUCE;
}

bool node_same_lineage(const struct node *n, const struct record_progress *p)
{
    return memcmp(p->lineage, n->state.lineage, sizeof p->lineage) == 0;
}

/* Works on my epoch, or was about to when last heard from. */
static bool participant(const struct node *n, const struct member *p)
{
    const struct record_progress *r = &p->progress;
    if (!node_takes_part(r->phase)) return false;
    if (node_same_lineage(n, r)) return true;
    return r->epoch < n->state.epoch && instant_since(n->now, n->round_began).ns < STRAGGLERS.ns;
}

bool node_will_train(const struct node *n, const struct record_progress *r)
{
    const struct lineage_state *mine = &n->state;
    return node_takes_part(r->phase) ||
           (r->phase == PHASE_JOIN &&
            (node_same_lineage(n, r) ||
             lineage_heavier(r->lineage_tokens, r->lineage, mine->lineage_tokens, mine->lineage)));
}

bool node_will_return(const struct node *n, const struct member *p)
{
    return p->progress.phase == PHASE_SYNC && p->grouped > 0 &&
           n->state.epoch + 1 <= p->grouped + RETURN_ROUNDS;
}

struct reduce_path node_path(const struct node *n, int member)
{
    if (member_link(&n->members, member) != LINK_NONE)
        return (struct reduce_path){.linked = true, .rtt_ms = n->members.members[member].rtt_ms};
    if (!relay_open(&n->relay, &n->members, member)) return (struct reduce_path){0};
    return (struct reduce_path){.linked = true,
                                .rtt_ms = relay_rtt_ms(&n->relay, &n->members, member),
                                .flight = RELAY_FLIGHT};
}

size_t node_stragglers(const struct node *n)
{
    size_t count = 0;
    for (int i = 0; i < MEMBERS_MAX; i++) {
        const struct member *p = node_member(n, i);
        count += p && participant(n, p) && !node_same_lineage(n, &p->progress);
    }
    return count;
}

bool node_any_near(const struct node *n)
{
    for (int i = 0; i < MEMBERS_MAX; i++) {
        const struct member *p = node_member(n, i);
        if (p && p->progress.phase == PHASE_SYNC && p->progress.flags & PROGRESS_NEAR &&
            p->health == HEALTH_ALIVE && p->progress.epoch + NODE_PAST_MAX >= n->state.epoch &&
            node_path(n, i).linked)
            return true;
    }
    return false;
}

bool node_alone(const struct node *n)
{
    for (int i = 0; i < MEMBERS_MAX; i++) {
        const struct member *p = node_member(n, i);
        if (p && (node_will_train(n, &p->progress) || node_will_return(n, p))) return false;
    }
    return true;
}

struct progress_sum node_work(const struct node *n)
{
    struct progress_share all[MEMBERS_MAX + 1];
    size_t count = 0;
    all[count++] = (struct progress_share){
        .current = true, .tokens = n->round.tokens, .tokens_per_s = n->round.tokens_per_s};
    for (int i = 0; i < MEMBERS_MAX; i++) {
        const struct member *p = node_member(n, i);
        if (!p || p->health == HEALTH_SUSPECT || !participant(n, p)) continue;
        all[count++] = (struct progress_share){.current = node_same_lineage(n, &p->progress),
                                               .tokens = p->progress.tokens,
                                               .tokens_per_s = p->progress.tokens_per_s,
                                               .age = member_progress_age(p, n->now)};
    }
    return progress_sum(all, count, instant_since(n->now, n->round_began),
                        n->config.every * n->config.batch_tokens);
}

uint32_t node_eta_ms(const struct node *n)
{
    struct progress_sum s = node_work(n);
    return progress_eta_ms(&s, &n->round, n->config.every, n->config.count_steps);
}

uint64_t node_swarm_epoch(const struct node *n)
{
    uint64_t epochs[MEMBERS_MAX + 1];
    size_t count = 0;
    epochs[count++] = n->state.epoch;
    for (int i = 0; i < MEMBERS_MAX; i++) {
        const struct member *p = node_member(n, i);
        if (p && (node_takes_part(p->progress.phase) || p->progress.phase == PHASE_DONE))
            epochs[count++] = p->progress.epoch;
    }
    return progress_epoch(epochs, count);
}
