#include "node_history.h"

#include "node_look.h"
#include "node_say.h"

/* SPEC.md, "A node's life". */
#define SYNC_RETRY     span_s(2) /* after a failed download; doubled after each further one */
#define SYNC_DOUBLINGS 3
#define FORK_PERIOD    span_s(30)

void node_rest_match(struct node *n)
{
    match_rest(&n->match, n->state.epoch + 1, n->state.lineage, n->state.lineage_tokens);
}

void node_new_state(struct node *n, const struct lineage_state *s, bool keep)
{
    n->state = *s;
    n->round.steps = n->round.tokens = 0;
    n->round_began = n->now;
    n->solo_until = n->now;
    n->publish_at = n->now; /* others wait for this record */
    sync_offer(&n->sync, s, keep);
    node_rest_match(n);
}

/* The digest that most holders of this history announce; at a tie the smallest. A member with
 * another one is damaged. 0 when nobody holds it. */
static uint64_t sound_digest(const struct node *n, const uint8_t lineage[CRYPTO_DIGEST_BYTES])
{
    uint64_t digests[MEMBERS_MAX + 1], best = 0;
    size_t count = 0, most = 0;
    if (memcmp(n->state.lineage, lineage, CRYPTO_DIGEST_BYTES) == 0)
        digests[count++] = first_eight(n->state.digest);
    for (int i = 0; i < MEMBERS_MAX; i++) {
        const struct member *p = node_member(n, i);
        if (p && memcmp(p->progress.lineage, lineage, CRYPTO_DIGEST_BYTES) == 0)
            digests[count++] = p->progress.digest;
    }
    for (size_t i = 0; i < count; i++) {
        size_t votes = 0;
        for (size_t j = 0; j < count; j++) votes += digests[j] == digests[i];
        if (votes < most || (votes == most && digests[i] >= best)) continue;
        most = votes;
        best = digests[i];
    }
    return best;
}

void node_offer_servers(struct node *n)
{
    struct sink in = node_inner(n);
    uint64_t sound = sound_digest(n, n->sync.target.lineage);
    for (int i = 0; i < MEMBERS_MAX; i++) {
        const struct member *p = node_member(n, i);
        if (!p || member_link(&n->members, i) == LINK_NONE) continue;
        const struct record_progress *r = &p->progress;
        if (r->lineage_tokens == n->sync.target.lineage_tokens && r->digest == sound &&
            memcmp(r->lineage, n->sync.target.lineage, CRYPTO_DIGEST_BYTES) == 0)
            sync_server(&n->sync, p->sid, n->now, &in);
    }
}

void node_download(struct node *n, const struct record_progress *r)
{
    struct sink in = node_inner(n);
    struct lineage_state target = {.epoch = r->epoch, .lineage_tokens = r->lineage_tokens};
    memcpy(target.lineage, r->lineage, sizeof target.lineage);
    node_note(n, (struct note){.name = "behind",
                               .numbers = {{"epoch", n->state.epoch}, {"target", r->epoch}},
                               .hex = {"lineage", bytes_of(r->lineage, CRYPTO_DIGEST_BYTES)}});
    node_train(n, false);
    reduce_rest(&n->reduce);
    node_rest_match(n);
    sync_withdraw(&n->sync, &in);
    sync_start(&n->sync, &target, n->now);
    node_offer_servers(n);
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

/* A member that holds my history with the most common digest, when mine differs. */
static const struct member *look_for_damage(const struct node *n)
{
    uint64_t sound = sound_digest(n, n->state.lineage);
    if (sound == first_eight(n->state.digest)) return NULL;
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
    const struct member *p = node_heaviest(n);
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

bool node_overtaken(const struct node *n)
{
    const struct member *p = node_heaviest(n);
    return p && p->progress.epoch > n->state.epoch && n->now.ns >= n->sync_again.ns;
}

void node_order_adopt(struct node *n)
{
    struct order o = {.kind = ORDER_ADOPT,
                      .epoch = n->sync.target.epoch,
                      .lineage_tokens = n->sync.target.lineage_tokens};
    memcpy(o.lineage, n->sync.target.lineage, CRYPTO_DIGEST_BYTES);
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
    node_note(n, (struct note){
                     .name = "sync_failed",
                     .numbers = {{"epoch", n->sync.target.epoch}, {"chunks", n->sync.written}}});
    sync_stop(&n->sync);
    n->sync_again = instant_after(n->now, span_ns(SYNC_RETRY.ns << n->sync_failures));
    if (n->sync_failures < SYNC_DOUBLINGS) n->sync_failures++;
}

void node_take_download(struct node *n, const struct event *e)
{
    uint32_t givers = sync_givers(&n->sync);
    sync_stop(&n->sync);
    n->sync_failures = 0;
    node_new_state(n, &e->state, false);
    node_note(n,
              (struct note){.name = "joined",
                            .numbers = {{"epoch", n->state.epoch},
                                        {"bytes", n->sync.bytes},
                                        {"servers", givers},
                                        {"ms", span_in_ms(instant_since(n->now, n->sync.began))},
                                        {"liars", n->sync.liars}},
                            .hex = {"lineage", bytes_of(n->state.lineage, CRYPTO_DIGEST_BYTES)}});
}
