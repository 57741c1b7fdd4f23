#include "node_round.h"

#include <assert.h>

#include "lineage.h"
#include "node_choice.h"
#include "node_history.h"
#include "node_look.h"
#include "node_say.h"
#include "unreachable.h"

/* SPEC.md, "A node's life". */
#define SOLO_PAUSE_MIN span_s(2)
#define NEAR_PATIENCE  span_s(60)
#define AVERAGE_MIN    span_s(900)
#define WEIGHT_PARTS   4 /* a round's work is counted up to 2 P of one member */

uint64_t node_weight_max(const struct node_config *c)
{
    const uint64_t part = MATCH_WEIGHT_MAX / WEIGHT_PARTS;
    bool fits = c->every <= part / c->batch_tokens;
    return fits ? WEIGHT_PARTS * c->every * c->batch_tokens : MATCH_WEIGHT_MAX;
}

void node_refresh_cell(struct node *n)
{
    struct match_peer peers[NODE_GROUP_MAX];
    struct sink in = node_inner(n);
    size_t count = 0;
    for (int i = 0; i < MEMBERS_MAX && count < NODE_GROUP_MAX - 1; i++) {
        const struct member *p = &n->members.members[i];
        if (!member_live(p)) continue;
        enum peer_phase f = p->stored[STORED_PROGRESS].count ? p->progress.phase : PHASE_JOIN;
        bool done = f == PHASE_DONE && p->progress.epoch >= n->config.epochs;
        if (done || f == PHASE_LEAVING || f == PHASE_OBSERVER) continue;
        memcpy(peers[count].id, p->id, sizeof p->id);
        peers[count].counts =
            f == PHASE_JOIN ? p->stored[STORED_PROGRESS].count && node_will_train(n, &p->progress)
                            : node_takes_part(f) || node_will_return(n, p);
        peers[count++].rtt_ms = node_path(n, i).rtt_ms;
    }
    n->cell_stale = false;
    match_cell(&n->match, peers, count, n->now, &in);
}

static struct match_offer offer(const struct node *n)
{
    uint32_t guess = n->config.bandwidth_mbps * 1000;
    uint64_t most = n->match.config.weight_max;
    struct match_offer o = {.weight = n->round.tokens < most ? n->round.tokens : most,
                            .steps = n->round.steps,
                            .up_kbps = rate_kbps(&n->up, guess),
                            .step_ms = n->round.step_ms};
    struct record_reach apart;
    unreachable_now(&n->members, &apart);
    for (; o.apart_count < apart.count && o.apart_count < NODE_GROUP_MAX - 1; o.apart_count++)
        o.apart[o.apart_count] = apart.list[o.apart_count].sid;
    return o;
}

static struct note round_note(const struct node *n, const char *name, uint64_t members)
{
    return (struct note){.name = name,
                         .numbers = {{"epoch", n->state.epoch + 1},
                                     {"members", members},
                                     {"steps", n->round.steps},
                                     {"tokens", n->round.tokens}}};
}

/* A round from before my restart may still be under way, and I may have signed for it. Members that
 * send READY to me now are not in it: they would wait for me, and I for them. */
bool node_sits_out(struct node *n)
{
    if (n->now.ns >= n->sit_out_until.ns) return false;
    bool any = false;
    for (int i = 0; i < MEMBERS_MAX; i++) {
        const struct member *p = &n->members.members[i]; /* who is dead to me may be cut off */
        bool there = p->used && p->stored[STORED_PROGRESS].count && p->health != HEALTH_LEFT;
        bool busy = p->progress.phase == PHASE_MATCH || p->progress.phase == PHASE_REDUCE;
        if (there && busy && node_same_lineage(n, &p->progress) &&
            !match_called_by(&n->match, p->sid))
            return true;
        any = any || there;
    }
    if (any)
        n->sit_out_until = n->now; /* else those whom I may have signed with are still to come */
    return false;
}

span node_near_patience(const struct node *n)
{
    return n->averaging.ns < NEAR_PATIENCE.ns ? n->averaging : NEAR_PATIENCE;
}

static bool waits_for_near(struct node *n)
{
    if (n->match.called || !node_any_near(n)) return false;
    if (n->due_since.ns == INSTANT_NEVER.ns) n->due_since = n->now;
    return n->now.ns < instant_after(n->due_since, node_near_patience(n)).ns;
}

bool node_round_due(struct node *n)
{
    struct progress_sum s = node_work(n);
    if (n->now.ns < n->solo_until.ns && !n->match.called) return false;
    return progress_ready(&s, &n->round, n->config.every, n->config.count_steps, n->match.called) &&
           n->snapshots == 0 && !node_sits_out(n) && !waits_for_near(n);
}

void node_begin_match(struct node *n)
{
    struct sink in = node_inner(n);
    struct match_offer mine = offer(n);
    node_refresh_cell(n);
    struct note note = round_note(n, "ready", members_live(&n->members));
    note.numbers[4].key = "up_kbps";
    note.numbers[4].value = mine.up_kbps;
    node_note(n, note);
    if (node_alone(n)) match_alone(&n->match, &mine);
    else match_start(&n->match, &mine, n->now, &in);
}

void node_solo(struct node *n)
{
    span pause = span_ns(instant_since(n->now, n->round_began).ns / 10);
    if (pause.ns < SOLO_PAUSE_MIN.ns) pause = SOLO_PAUSE_MIN;
    n->solo_until = instant_after(n->now, pause);
    node_note(n, round_note(n, "solo", 1));
}

static void note_committed(struct node *n, const struct match_group *g)
{
    sid with[NODE_GROUP_MAX];
    size_t count = 0;
    for (uint32_t i = 0; i < g->count; i++)
        if (i != g->self) with[count++] = g->members[i].sid;
    struct note note = round_note(n, "committed", g->count);
    note.sids.key = "with";
    note.sids.value = with;
    note.sids.count = count;
    node_note(n, note);
}

/* An average may last as long as the training before it did. */
static span average_patience(const struct node *n)
{
    span trained = instant_since(n->now, n->round_began);
    return trained.ns < AVERAGE_MIN.ns ? AVERAGE_MIN : trained;
}

void node_begin_reduce(struct node *n)
{
    const struct match_group *g = &n->match.group;
    struct sink in = node_inner(n);
    struct reduce_path paths[NODE_GROUP_MAX] = {0};
    n->averaged = n->averaged || g->count > 1;
    for (uint32_t i = 0; i < g->count; i++) {
        int m = members_find(&n->members, g->members[i].sid);
        paths[i].linked = i == g->self;
        if (m == NOBODY) continue;
        paths[i] = node_path(n, m);
        n->members.members[m].grouped = g->round;
    }
    n->committed_at = n->now;
    note_committed(n, g);
    node_order(n, &(struct order){.kind = ORDER_SNAPSHOT});
    n->snapshots++;
    sync_gave(&n->sync, g->gid, g->self);
    reduce_collect_in(&n->reduce, past_spare(&n->past));
    reduce_start(&n->reduce, g, &n->state, paths, average_patience(n), n->now, &in);
}

void node_snapshot(struct node *n, const struct event *e)
{
    struct sink in = node_inner(n);
    assert(n->snapshots > 0);
    bool mine = --n->snapshots == 0 && n->life == LIFE_REDUCE;
    if (!e->wire.count) {
        n->round.steps = n->round.tokens = 0;
        node_note(n,
                  (struct note){.name = "not_finite", .numbers = {{"epoch", n->state.epoch + 1}}});
    }
    size_t count = outer_wire_bytes((size_t)n->config.parameters);
    assert(!e->wire.count || e->wire.count >= count);
    if (mine)
        reduce_snapshot(&n->reduce, bytes_of(e->wire.data, e->wire.count ? count : 0), n->now, &in);
}

void node_order_apply(struct node *n)
{
    struct order o = {.kind = ORDER_APPLY,
                      .epoch = n->state.epoch + 1,
                      .lineage_tokens = n->state.lineage_tokens + n->reduce.tokens,
                      .average = n->reduce.average};
    uint32_t null = 0;
    sync_spoil(&n->sync);
    for (uint32_t c = 0; c < n->reduce.config.layout.chunks; c++) null += o.average.null[c];
    lineage_next(n->config.crypto, n->state.lineage, o.epoch, n->reduce.root, o.lineage);
    sync_withdraw(&n->sync);
    node_note(n,
              (struct note){.name = "agreed",
                            .numbers = {{"epoch", o.epoch},
                                        {"members", n->reduce.group.count},
                                        {"null", null},
                                        {"ms", span_in_ms(instant_since(n->now, n->committed_at))}},
                            .hex = {"lineage", bytes_of(o.lineage, CRYPTO_DIGEST_BYTES)}});
    node_order(n, &o);
}

void node_note_certain(struct node *n)
{
    const uint8_t *root = reduce_certain(&n->reduce);
    n->certain = root != NULL;
    if (root)
        lineage_next(n->config.crypto, n->state.lineage, n->state.epoch + 1, root,
                     n->certain_lineage);
}

void node_take_average(struct node *n, const struct event *e)
{
    uint64_t members = n->reduce.group.count;
    n->averaging = instant_since(n->now, n->committed_at);
    past_keep(&n->past, &n->reduce, e->state.lineage);
    node_comes_from(n, n->state.lineage);
    node_new_state(n, &e->state, true);
    node_note(n, (struct note){.name = "applied",
                               .numbers = {{"epoch", n->state.epoch}, {"members", members}},
                               .hex = {"digest", bytes_of(n->state.digest, 32)}});
}
