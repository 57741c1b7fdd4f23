#include "node_choice.h"

#include "lineage.h"
#include "node_look.h"

#define OUTVOTED_PATIENCE span_s(30) /* SPEC.md, "Which history" */

/* What speaks for a history. */
struct backing {
    size_t followers;
    bool certain;
    uint64_t tokens;
    const uint8_t *lineage;
};

static bool came_from(const struct node *n, const uint8_t *lineage)
{
    for (size_t i = 0; i < NODE_ANCESTORS; i++)
        if (!memcmp(n->ancestors[i], lineage, CRYPTO_DIGEST_BYTES)) return true;
    return false;
}

void node_comes_from_nothing(struct node *n) { memset(n->ancestors, 0, sizeof n->ancestors); }

void node_comes_from(struct node *n, const uint8_t lineage[CRYPTO_DIGEST_BYTES])
{
    memcpy(n->ancestors[n->ancestors_next], lineage, CRYPTO_DIGEST_BYTES);
    n->ancestors_next = (n->ancestors_next + 1) % NODE_ANCESTORS;
}

/* Members that joined, download or watch have not settled on the history that they announce. */
static bool settled(enum peer_phase p) { return node_takes_part(p) || p == PHASE_DONE; }

/* Who says other tokens of the same lineage speaks for another history. */
static struct backing backing_of(const struct node *n, uint64_t tokens, const uint8_t *lineage)
{
    struct backing b = {.tokens = tokens, .lineage = lineage};
    b.certain = n->certain && !memcmp(n->certain_lineage, lineage, CRYPTO_DIGEST_BYTES);
    for (int i = 0; i < MEMBERS_MAX; i++) {
        const struct member *p = node_member(n, i);
        b.followers += p && settled(p->progress.phase) && p->progress.lineage_tokens == tokens &&
                       !memcmp(p->progress.lineage, lineage, CRYPTO_DIGEST_BYTES);
    }
    return b;
}

static struct backing my_backing(const struct node *n)
{
    struct backing b = {.tokens = n->state.lineage_tokens, .lineage = n->state.lineage};
    if (n->life == LIFE_JOIN) return b;
    b.followers = 1;
    for (int i = 0; i < MEMBERS_MAX; i++) {
        const struct member *p = node_member(n, i);
        b.followers += p && settled(p->progress.phase) &&
                       (node_same_lineage(n, &p->progress) || came_from(n, p->progress.lineage));
    }
    return b;
}

static bool heavier(const struct backing *a, const struct backing *b)
{
    return lineage_heavier(a->tokens, a->lineage, b->tokens, b->lineage);
}

/* The member that I can take a history from which is neither mine nor led to it. */
static const struct member *holder(const struct node *n, int i)
{
    const struct member *p = node_member(n, i);
    if (!p || p->progress.phase == PHASE_OBSERVER) return NULL;
    const struct record_progress *r = &p->progress;
    if (node_same_lineage(n, r) || member_link(&n->members, i) == LINK_NONE) return NULL;
    if (came_from(n, r->lineage)) return NULL;
    bool lighter =
        lineage_heavier(n->state.lineage_tokens, n->state.lineage, r->lineage_tokens, r->lineage);
    return n->life == LIFE_JOIN && lighter ? NULL : p;
}

/* The one to be followed instead of `base`, among those and it. */
static const struct member *choice(const struct node *n, struct backing base)
{
    const struct member *from[MEMBERS_MAX];
    struct backing of[MEMBERS_MAX];
    size_t most = base.followers;
    for (int i = 0; i < MEMBERS_MAX; i++) {
        from[i] = holder(n, i);
        if (!from[i]) continue;
        const struct record_progress *r = &from[i]->progress;
        of[i] = backing_of(n, r->lineage_tokens, r->lineage);
        if (of[i].followers > most) most = of[i].followers;
    }
    const struct member *best = NULL;
    const struct backing *than = 2 * base.followers >= most ? &base : NULL;
    for (int i = 0; i < MEMBERS_MAX; i++) {
        if (!from[i] || (!of[i].certain && 2 * of[i].followers < most)) continue;
        if (than && !heavier(&of[i], than)) continue;
        best = from[i];
        than = &of[i];
    }
    return best;
}

/* A lighter one waits: what I know of the others may be from before they came to mine. */
static const struct member *settled_choice(struct node *n, struct backing base)
{
    const struct member *p = choice(n, base);
    bool outvoted = p && lineage_heavier(base.tokens, base.lineage, p->progress.lineage_tokens,
                                         p->progress.lineage);
    if (!outvoted) n->outvoted_since = INSTANT_NEVER;
    else if (n->outvoted_since.ns == INSTANT_NEVER.ns) n->outvoted_since = n->now;
    return outvoted && n->now.ns < node_outvoted_at(n).ns ? NULL : p;
}

instant node_outvoted_at(const struct node *n)
{
    if (n->outvoted_since.ns == INSTANT_NEVER.ns) return INSTANT_NEVER;
    return instant_after(n->outvoted_since, OUTVOTED_PATIENCE);
}

const struct member *node_choice(struct node *n) { return settled_choice(n, my_backing(n)); }

const struct member *node_choice_beyond(struct node *n, const struct lineage_state *target)
{
    return settled_choice(n, backing_of(n, target->lineage_tokens, target->lineage));
}
