#include "node_history.h"

#include "node_choice.h"
#include "node_look.h"
#include "node_say.h"

/* SPEC.md, "A node's life". */
#define SYNC_RETRY     span_s(2) /* after a failed download; doubled after each further one */
#define SYNC_DOUBLINGS 3
#define FORK_PERIOD    span_s(30)
#define CARRY_ROUNDS   2

void node_rest_match(struct node *n)
{
    match_rest(&n->match, n->state.epoch + 1, n->state.lineage, n->state.lineage_tokens);
}

void node_new_state(struct node *n, const struct lineage_state *s, bool keep)
{
    n->state = *s;
    n->round.steps = n->round.tokens = 0;
    n->learned_since = s->epoch;
    n->certain = false;
    n->round_began = n->now;
    n->solo_until = n->now;
    n->due_since = INSTANT_NEVER;
    n->publish_at = n->now; /* others wait for this record */
    sync_offer(&n->sync, s, keep);
    node_rest_match(n);
}

struct votes { /* digests that the holders of a history announce */
    uint64_t digests[MEMBERS_MAX + 1];
    size_t count;
};

static size_t votes_for(const struct votes *v, uint64_t digest)
{
    size_t votes = 0;
    for (size_t i = 0; i < v->count; i++) votes += v->digests[i] == digest;
    return votes;
}

static struct votes votes_of(const struct node *n, const uint8_t lineage[CRYPTO_DIGEST_BYTES])
{
    struct votes v = {.count = 0};
    if (memcmp(n->state.lineage, lineage, CRYPTO_DIGEST_BYTES) == 0)
        v.digests[v.count++] = first_eight(n->state.digest);
    for (int i = 0; i < MEMBERS_MAX; i++) {
        const struct member *p = node_member(n, i);
        if (p && memcmp(p->progress.lineage, lineage, CRYPTO_DIGEST_BYTES) == 0)
            v.digests[v.count++] = p->progress.digest;
    }
    return v;
}

/* The digest with most votes; at a tie the smallest. A member with another one is damaged. 0 when
 * nobody holds that history. */
static uint64_t sound_digest(const struct votes *v)
{
    uint64_t best = 0;
    size_t most = 0;
    for (size_t i = 0; i < v->count; i++) {
        size_t votes = votes_for(v, v->digests[i]);
        if (votes < most || (votes == most && v->digests[i] >= best)) continue;
        most = votes;
        best = v->digests[i];
    }
    return best;
}

void node_offer_servers(struct node *n)
{
    struct sink in = node_inner(n);
    const struct votes votes = votes_of(n, n->sync.target.lineage);
    const uint64_t best = sound_digest(&votes);
    sync_sound(&n->sync, best, votes_for(&votes, best));
    for (int i = 0; i < MEMBERS_MAX; i++) {
        const struct member *p = node_member(n, i);
        if (!p || member_link(&n->members, i) == LINK_NONE) continue;
        const struct record_progress *r = &p->progress;
        if (r->lineage_tokens == n->sync.target.lineage_tokens && r->digest == n->sync.sound &&
            memcmp(r->lineage, n->sync.target.lineage, CRYPTO_DIGEST_BYTES) == 0)
            sync_server(&n->sync, p->sid, r->phase == PHASE_REDUCE, n->now, &in);
    }
}

static struct lineage_state target_of(const struct record_progress *r)
{
    struct lineage_state target = {.epoch = r->epoch, .lineage_tokens = r->lineage_tokens};
    memcpy(target.lineage, r->lineage, sizeof target.lineage);
    return target;
}

/* May the rounds that others keep lead from my state to the target? */
static bool within_reach(const struct node *n, const struct lineage_state *target)
{
    return target->epoch > n->state.epoch && target->epoch - n->state.epoch <= NODE_PAST_MAX;
}

void node_download(struct node *n, const struct record_progress *r)
{
    struct lineage_state target = target_of(r);
    if (node_same_lineage(n, r)) sync_spoil(&n->sync); /* mine is damaged */
    node_note(n, (struct note){.name = "behind",
                               .numbers = {{"epoch", n->state.epoch}, {"target", r->epoch}},
                               .hex = {"lineage", bytes_of(r->lineage, CRYPTO_DIGEST_BYTES)}});
    node_train(n, false);
    reduce_rest(&n->reduce);
    node_rest_match(n);
    sync_withdraw(&n->sync);
    sync_start(&n->sync, &target, within_reach(n, &target), n->now);
    node_offer_servers(n);
}

void node_follow(struct node *n)
{
    struct sink in = node_inner(n);
    const struct member *p = node_choice_beyond(n, &n->sync.target);
    struct lineage_state target;
    if (p) {
        target = target_of(&p->progress);
        sync_retarget(&n->sync, &target, n->now, &in);
    }
    node_offer_servers(n);
    if (sync_near(&n->sync) != n->near) node_publish_soon(n);
}

/* Detects a history with the same number of outer steps that is not mine: the swarm was split
 * earlier. Noted when first seen, and repeated while it lasts. */
static void look_for_fork(struct node *n)
{
    for (int i = 0; n->now.ns >= n->fork_again.ns && i < MEMBERS_MAX; i++) {
        const struct member *p = node_member(n, i);
        if (!p || p->progress.epoch != n->state.epoch || node_same_lineage(n, &p->progress))
            continue;
        n->fork_again = instant_after(n->now, FORK_PERIOD);
        node_note(n, (struct note){.name = "fork",
                                   .numbers = {{"epoch", n->state.epoch},
                                               {"mine", n->state.lineage_tokens},
                                               {"theirs", p->progress.lineage_tokens}},
                                   .hex = {"peer", bytes_of(p->id, sizeof p->id)}});
    }
}

/* A member that holds my history with the most common digest, when mine differs, and those who have
 * not done the outer step yet cannot change that: the first one to have done it may be the damaged
 * one. */
static const struct member *look_for_damage(const struct node *n)
{
    const struct votes votes = votes_of(n, n->state.lineage);
    uint64_t sound = sound_digest(&votes), mine = first_eight(n->state.digest);
    size_t to_come = node_stragglers(n);
    if (sound == mine) return NULL;
    if (to_come && votes_for(&votes, sound) <= votes_for(&votes, mine) + to_come) return NULL;
    for (int i = 0; i < MEMBERS_MAX; i++) {
        const struct member *p = node_member(n, i);
        if (p && node_same_lineage(n, &p->progress) && p->progress.digest == sound &&
            member_link(&n->members, i) != LINK_NONE)
            return p;
    }
    return NULL;
}

const struct member *node_ahead(struct node *n)
{
    look_for_fork(n);
    const struct member *p = node_choice(n);
    if (!p) {
        n->behind_since = INSTANT_NEVER;
        const struct member *sound = look_for_damage(n);
        if (!sound || n->now.ns < n->sync_again.ns) return NULL;
        node_note(n, (struct note){.name = "digest_mismatch",
                                   .numbers = {{"epoch", n->state.epoch}},
                                   .hex = {"peer", bytes_of(sound->id, sizeof sound->id)}});
        return sound;
    }
    /* Neither an outer step nor a download resets this: the swarm may have advanced meanwhile. */
    if (n->behind_since.ns == INSTANT_NEVER.ns) n->behind_since = n->now;
    bool fork = p->progress.epoch <= n->state.epoch;
    bool now = n->life == LIFE_JOIN || fork || node_swarm_epoch(n) > n->state.epoch ||
               n->now.ns >= instant_after(n->behind_since, NODE_BEHIND_PATIENCE).ns;
    return now && n->now.ns >= n->sync_again.ns ? p : NULL;
}

const struct member *node_overtaking(struct node *n)
{
    const struct member *p = node_choice(n);
    bool passed = p && p->progress.epoch > n->state.epoch;
    return passed && n->now.ns >= n->sync_again.ns ? p : NULL;
}

/* What was learned is kept if it began at most CARRY_ROUNDS ago, from a state that the rounds since
 * then lead on from; where one of them has it already, in order.average.mine, it is dropped. */
static bool carries(const struct node *n)
{
    return !n->sync.downloaded && n->sync.target.epoch - n->learned_since <= CARRY_ROUNDS;
}

void node_order_adopt(struct node *n)
{
    struct order o = {.kind = ORDER_ADOPT,
                      .epoch = n->sync.target.epoch,
                      .lineage_tokens = n->sync.target.lineage_tokens};
    memcpy(o.lineage, n->sync.target.lineage, CRYPTO_DIGEST_BYTES);
    if (carries(n)) {
        o.carries = true;
        o.average.mine = n->reduce.average.mine;
        for (uint32_t c = 0; c < n->sync.config.layout.chunks; c++)
            o.average.mine[c] = n->sync.chunks[c].mine;
    }
    node_order(n, &o);
}

bool node_sync_failed(const struct node *n)
{
    bool nobody = n->sync.servers_count == 0 &&
                  n->now.ns >= instant_after(n->sync.began, NODE_JOIN_PATIENCE).ns;
    return n->sync.state == SYNC_FAILED || nobody;
}

void node_give_up_sync(struct node *n)
{
    node_note(n, (struct note){.name = "sync_failed",
                               .numbers = {{"epoch", n->sync.target.epoch},
                                           {"chunks", sync_written(&n->sync)}}});
    sync_stop(&n->sync);
    n->sync_again = instant_after(n->now, span_ns(SYNC_RETRY.ns << n->sync_failures));
    if (n->sync_failures < SYNC_DOUBLINGS) n->sync_failures++;
}

void node_take_download(struct node *n, const struct event *e)
{
    uint32_t givers = sync_givers(&n->sync);
    struct round_progress learned = n->round;
    uint64_t since = n->learned_since;
    bool keeps = carries(n);
    for (uint32_t c = 0; c < n->sync.config.layout.chunks; c++)
        keeps = keeps && !n->sync.chunks[c].mine;
    if (memcmp(n->state.lineage, e->state.lineage, CRYPTO_DIGEST_BYTES)) {
        if (n->sync.downloaded) node_comes_from_nothing(n);
        else node_comes_from(n, n->state.lineage);
    }
    sync_stop(&n->sync);
    sync_spoil(&n->sync);
    n->sync_failures = 0;
    node_new_state(n, &e->state, false);
    if (keeps) {
        n->round = learned;
        n->learned_since = since;
    }
    node_note(n,
              (struct note){.name = "joined",
                            .numbers = {{"epoch", n->state.epoch},
                                        {"bytes", n->sync.bytes},
                                        {"servers", givers},
                                        {"ms", span_in_ms(instant_since(n->now, n->sync.began))},
                                        {"liars", n->sync.liars},
                                        {"replayed", n->sync.replayed}},
                            .hex = {"lineage", bytes_of(n->state.lineage, CRYPTO_DIGEST_BYTES)}});
}
