#include "check.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "lies.h"
#include "swarm/lineage.h"
#include "swarm/relay_wire.h"
#include "swarm/wire.h"
#include "world.h"

/* ---- histories: all lineages and their bits ---- */

int32_t check_history(const struct check *c, const uint8_t lineage[CRYPTO_DIGEST_BYTES])
{
    for (int32_t i = c->history_count - 1; i >= 0; i--)
        if (memcmp(c->histories[i].lineage, lineage, CRYPTO_DIGEST_BYTES) == 0) return i;
    return -1;
}

static float *copy(const float *v, uint64_t n)
{
    float *to = malloc(n * sizeof *to);
    if (!to) abort();
    return memcpy(to, v, n * sizeof *to);
}

static int32_t history_add(struct world *w, const struct lineage_state *s, int32_t parent)
{
    struct check *c = &w->check;
    if (c->history_count == c->history_room) {
        c->history_room = c->history_room ? 2 * c->history_room : 64;
        c->histories = realloc(c->histories, (size_t)c->history_room * sizeof *c->histories);
        if (!c->histories) abort();
    }
    struct history *h = &c->histories[c->history_count];
    memset(h, 0, sizeof *h);
    memcpy(h->lineage, s->lineage, sizeof h->lineage);
    h->parent = parent;
    h->epoch = s->epoch;
    h->tokens = s->lineage_tokens;
    return c->history_count++;
}

/* Its bits, which no node without a flipped one has held before. */
static void history_fill(struct world *w, struct history *h, const struct lineage_state *s)
{
    const uint64_t count = w->scenario.parameters;
    bool finite = true;
    h->anchor = copy(s->anchor, count);
    h->momentum = copy(s->momentum, count);
    for (uint64_t i = 0; i < count; i++)
        finite = finite && isfinite(h->anchor[i]) && isfinite(h->momentum[i]);
    if (!finite)
        world_violated(w, "finite: a number of the state of epoch %llu is none",
                       (unsigned long long)h->epoch);
}

static bool busy(enum peer_phase p) { return p == PHASE_MATCH || p == PHASE_REDUCE; }

static bool trains(enum peer_phase p) { return p == PHASE_TRAIN || busy(p); }

/* Is `a` in the past of `b`, or `b` itself? */
static bool past(const struct check *c, int32_t a, int32_t b)
{
    while (b >= 0 && c->histories[b].epoch > c->histories[a].epoch) b = c->histories[b].parent;
    return a == b;
}

static bool forked(const struct check *c, int32_t a, int32_t b)
{
    return !past(c, a, b) && !past(c, b, a);
}

/* Records the state that a node holds now; has any node held a different one under the same
 * lineage? */
static int32_t history_hold(struct world *w, struct sim_node *n, int32_t parent, const char *how)
{
    const struct lineage_state *s = &n->trainer.replica.state;
    size_t bytes = w->scenario.parameters * sizeof(float);
    int32_t i = check_history(&w->check, s->lineage);
    if (i < 0) i = history_add(w, s, parent);
    struct history *h = &w->check.histories[i];
    instant *flipped = &n->watch.flipped_at;
    if (!h->anchor && !flipped->ns) history_fill(w, h, s);
    bool same = h->anchor && !memcmp(h->anchor, s->anchor, bytes) &&
                !memcmp(h->momentum, s->momentum, bytes);
    if (same && flipped->ns) {
        world_trace(w, "node %d has the bits of its lineage again", n->index);
        flipped->ns = 0;
    }
    if (h->epoch != s->epoch || h->tokens != s->lineage_tokens)
        world_violated(w,
                       "bits: node %d (%s) holds a lineage at epoch %llu with %llu tokens that "
                       "others hold at epoch %llu with %llu",
                       n->index, how, (unsigned long long)s->epoch,
                       (unsigned long long)s->lineage_tokens, (unsigned long long)h->epoch,
                       (unsigned long long)h->tokens);
    else if (!same && !flipped->ns)
        world_violated(w, "bits: node %d (%s) differs from others of its lineage at epoch %llu",
                       n->index, how, (unsigned long long)s->epoch);
    return i;
}

/* ---- states ---- */

void check_state(struct world *w, struct sim_node *n, const char *how)
{
    n->watch.history = history_hold(w, n, -1, how);
    n->watch.learned_since = n->trainer.replica.state.epoch;
    n->watch.accepts = n->standin.good[WIRE_ACCEPT];
    n->watch.records = n->standin.good[RECORD_PROGRESS];
}

/* From the start of the node that all know until all know each other (SPEC.md, "Membership"). */
#define MEETING_S 10

/* Does everybody's list name only the first node, and was that not started yet, or only
 * recently? */
static bool too_early(const struct world *w)
{
    const struct sim_node *first = &w->nodes[0];
    return w->scenario.list_first &&
           (first->life == 0 || w->now.ns < instant_after(first->born, span_s(MEETING_S)).ns);
}

/* Since the two histories diverged, was a step of one made by a node that may not have known the
 * others? */
static bool parted_apart(const struct check *c, int32_t a, int32_t b)
{
    const int32_t both[] = {a, b};
    for (int k = 0; k < 2; k++)
        for (int32_t i = both[k]; i >= 0 && !past(c, i, both[1 - k]); i = c->histories[i].parent)
            if (c->histories[i].apart) return true;
    return false;
}

/* If the only faults are crashes, nodes that never crashed share one history. */
static void check_survivors(struct world *w, struct sim_node *n)
{
    enum scenario_kind k = w->scenario.kind;
    if (k != SCENARIO_QUIET && k != SCENARIO_CRASH && k != SCENARIO_RESTART) return;
    if (n->life != 1 || n->watch.adopted) return;
    for (uint32_t i = 0; i < w->node_count; i++) {
        struct sim_node *o = &w->nodes[i];
        if (!o->alive || o->life != 1 || o->watch.adopted) continue;
        if (forked(&w->check, o->watch.history, n->watch.history) &&
            !parted_apart(&w->check, o->watch.history, n->watch.history))
            world_violated(w,
                           "survivors: nodes %d and %d differ after epoch %llu, and nothing but "
                           "crashes has happened",
                           o->index, n->index, (unsigned long long)n->trainer.replica.state.epoch);
    }
}

/* Who floods is cut off, and who has no ticket is alone: they go their own way. */
static bool outside(const struct world *w, const struct sim_node *n)
{
    const enum scenario_kind kind = w->scenario.kind;
    return node_lies(w, n) && (kind == LIES_FLOOD || kind == LIES_TICKET);
}

/* The history that all live nodes hold, but those outside; -1 if they differ. */
static int32_t sameness(const struct world *w)
{
    int32_t same = -1;
    for (uint32_t i = 0; i < w->node_count; i++) {
        const struct sim_node *n = &w->nodes[i];
        if (!n->alive || n->leaving || outside(w, n)) continue;
        if ((same >= 0 && n->watch.history != same) || n->watch.flipped_at.ns) return -1;
        same = n->watch.history;
    }
    return same;
}

static void look_for_sameness(struct world *w)
{
    struct check *c = &w->check;
    int32_t same = w->calm ? sameness(w) : -1;
    if (same < 0) return;
    if (c->same_count == 0 || c->histories[same].epoch > c->same_epoch) {
        if (c->same_count++ == 0) world_trace(w, "all live nodes are identical");
        c->same_epoch = c->histories[same].epoch;
    }
}

static void check_tokens(struct world *w, struct sim_node *n, uint64_t added)
{
    uint64_t low = 0, high = 0;
    for (int i = 0; i < SIM_NODES_MAX; i++) {
        low += n->watch.means.low[i];
        high += n->watch.means.high[i];
    }
    if (added < low || added > high)
        world_violated(w, "average: node %d adds %llu tokens to its lineage, not %llu to %llu",
                       n->index, (unsigned long long)added, (unsigned long long)low,
                       (unsigned long long)high);
}

/* A token counts once in a history: what was given is not carried on. */
static void check_twice(struct world *w, int32_t now)
{
    struct history *h = &w->check.histories[now];
    const struct history *before = &w->check.histories[h->parent];
    for (uint32_t i = 0; i < w->node_count; i++) {
        uint64_t trained = w->nodes[i].trainer.steps * w->scenario.batch_tokens;
        h->given[i] = before->given[i] + h->means.low[i];
        if (h->given[i] > trained && !node_lies(w, &w->nodes[i]))
            world_violated(w,
                           "twice: %llu tokens of node %u are in the history of epoch %llu, and it "
                           "has trained on %llu",
                           (unsigned long long)h->given[i], i, (unsigned long long)h->epoch,
                           (unsigned long long)trained);
    }
}

/* Does a node that can say so hold this history, or a descendant of it? Its other makers may have
 * come back with an older checkpoint. */
static bool held(const struct world *w, int32_t history)
{
    for (uint32_t i = 0; i < w->node_count; i++)
        if (node_runs(w, &w->nodes[i]) && past(&w->check, history, w->nodes[i].watch.history))
            return true;
    return false;
}

/* A second history from the same past: did one of the two have a reason to consider the other's
 * members gone? */
static void check_cause(struct world *w, struct sim_node *n, int32_t now)
{
    struct check *c = &w->check;
    struct history *h = &c->histories[now];
    h->blind = n->watch.blind;
    h->born = n->watch.born;
    for (uint32_t i = 0; i < w->node_count; i++) /* one member that knows too few is enough */
        for (uint32_t k = 0; k < SIM_CHUNKS_MAX; k++)
            if (h->means.members[k] >> i & 1) h->blind = h->blind || w->nodes[i].watch.blind;
    for (int32_t i = 0; i < now && !h->blind; i++)
        if (c->histories[i].parent == h->parent && !c->histories[i].blind &&
            c->histories[i].born == h->born && held(w, i))
            world_violated(w,
                           "cause: node %d made a second history of epoch %llu, and all who made "
                           "either saw all who lived",
                           n->index, (unsigned long long)c->histories[now].epoch);
}

/* Second histories that what has happened so far excuses: one for each cut, since both sides may go
 * on, also for a pause that no connection survives; and one for each process that came back or late,
 * which may hold an old state and know nobody. */
static uint64_t budget(const struct world *w)
{
    const uint64_t *f = w->report->faults;
    uint64_t pauses = 0;
    for (uint32_t i = 0; i < w->scenario.plan_count; i++) {
        const struct planned *p = &w->scenario.plan[i];
        pauses += p->kind == FAULT_PAUSE && p->done && p->length.ns >= span_s(NETWORK_IDLE_S).ns;
    }
    return pauses + f[FAULT_PARTITION] + f[FAULT_ONE_WAY] + f[FAULT_RESTART] + f[FAULT_EMPTY] +
           f[FAULT_JOIN];
}

static void check_budget(struct world *w, struct sim_node *n, int32_t now)
{
    const struct history *all = w->check.histories;
    bool second = false;
    for (int32_t i = 0; i < now; i++)
        second = second || (all[i].parent == all[now].parent && !all[i].apart && !all[now].apart);
    w->report->seconds += second;
    if (w->report->seconds > budget(w))
        world_violated(
            w,
            "budget: node %d made another history of epoch %llu: second histories so far "
            "are %llu, and what has happened excuses %llu",
            n->index, (unsigned long long)all[now].epoch, (unsigned long long)w->report->seconds,
            (unsigned long long)budget(w));
}

/* A world where nobody is out of reach: whoever handed over a contribution is in every mean. */
static void check_part(struct world *w, struct sim_node *n, int32_t now)
{
    const struct check *c = &w->check;
    const struct history *h = &c->histories[now];
    const uint32_t chunks = n->trainer.replica.layout.chunks;
    for (int s = 0; s < CHECK_SNAPSHOTS; s++) {
        const struct snapshot *one = &c->snapshots[s];
        if (!one->delta || one->base != h->parent || node_lies(w, &w->nodes[one->node])) continue;
        for (uint32_t k = 0; k < chunks; k++)
            if (!((h->means.members[k] | h->means.faint[k]) >> one->node & 1))
                world_violated(w, "part: node %d's contribution to epoch %llu is not in chunk %u",
                               one->node, (unsigned long long)h->epoch, k);
    }
}

void check_applied(struct world *w, struct sim_node *n, const struct lineage_state *before)
{
    const struct lineage_state *s = &n->trainer.replica.state;
    int32_t old = n->watch.history, known = check_history(&w->check, s->lineage);
    if (w->scenario.copies >> n->index & 1)
        world_violated(w, "copy: node %d, which has node 0's key, makes an outer step", n->index);
    int32_t now = history_hold(w, n, old, "applied");
    struct history *h = &w->check.histories[now];
    if (known < 0) {
        h->means = n->watch.means;
        h->apart = outside(w, n) || too_early(w);
    }
    if (s->epoch != before->epoch + 1)
        world_violated(w, "back: node %d's outer step leads from epoch %llu to %llu", n->index,
                       (unsigned long long)before->epoch, (unsigned long long)s->epoch);
    else if (h->parent != old)
        world_violated(w, "bits: node %d's outer step gave a lineage that has another past",
                       n->index);
    else if (s->lineage_tokens <= before->lineage_tokens)
        world_violated(w, "back: node %d's outer step added no tokens to its lineage", n->index);
    else if (known < 0 && !lies_about_means(w))
        check_tokens(w, n, s->lineage_tokens - before->lineage_tokens);
    n->watch.history = now;
    n->watch.learned_since = s->epoch;
    check_given(n);
    uint32_t count = 0;
    for (uint32_t c = 0; c < SIM_CHUNKS_MAX; c++) {
        uint32_t in = (uint32_t)__builtin_popcount(h->means.members[c]);
        if (in > count) count = in;
    }
    world_trace(w, "node %d applied epoch %llu, %u contributions, lineage %02x%02x%02x%02x",
                n->index, (unsigned long long)s->epoch, count, s->lineage[0], s->lineage[1],
                s->lineage[2], s->lineage[3]);
    timeline_outer(w, n, false);
    check_survivors(w, n);
    if (known < 0 && h->parent >= 0) check_twice(w, now);
    if (known < 0 && !outside(w, n)) check_cause(w, n, now);
    if (known < 0 && !outside(w, n)) check_budget(w, n, now);
    const enum scenario_kind kind = w->scenario.kind;
    if (known < 0 && !outside(w, n) &&
        (kind == FAR_SLOW || kind == FAR_UNEVEN || kind == FAR_LONG || kind == FAR_HUB ||
         kind == FAR_HOLES || kind == WRONG_COPY || kind == WRONG_REFUSAL ||
         kind >= LIES_HISTORY) &&
        !lies_about_means(w) && !lies_stall_together(w))
        check_part(w, n, now);
    memset(&n->watch.offers, 0, sizeof n->watch.offers);
    n->watch.blind = false;
    look_for_sameness(w);
}

/* What it learned lasts SIM_CARRY rounds: surely where all downloads are short. */
static void check_carried(struct world *w, struct sim_node *n, int32_t to)
{
    const struct trainer *t = &n->trainer;
    uint64_t back = t->replica.state.epoch - n->watch.learned_since;
    bool leads = past(&w->check, n->watch.history, to);
    bool kept = w->scenario.kind == FAR_LONG;
    if (t->order.carries && (!leads || back > SIM_CARRY))
        world_violated(w, "carry: node %d keeps what it learned from epoch %llu on, at epoch %llu",
                       n->index, (unsigned long long)n->watch.learned_since,
                       (unsigned long long)t->replica.state.epoch);
    if (!t->order.carries && leads && back <= SIM_CARRY && kept)
        world_violated(w, "carry: node %d loses what it learned from epoch %llu on, at epoch %llu",
                       n->index, (unsigned long long)n->watch.learned_since,
                       (unsigned long long)t->replica.state.epoch);
    if (t->round.tokens == 0) n->watch.learned_since = t->replica.state.epoch;
}

/* Nodes that work on this history or have gone on from it. */
static uint32_t followers(const struct world *w, int32_t history)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < w->node_count; i++) {
        const struct sim_node *o = &w->nodes[i];
        bool settled = trains(o->watch.phase) || o->watch.phase == PHASE_DONE;
        count += o->alive && settled && past(&w->check, history, o->watch.history);
    }
    return count;
}

void check_adopted(struct world *w, struct sim_node *n, const struct lineage_state *before)
{
    const struct lineage_state *s = &n->trainer.replica.state;
    int32_t known = check_history(&w->check, s->lineage);
    world_trace(w, "node %d adopted epoch %llu, lineage %02x%02x%02x%02x", n->index,
                (unsigned long long)s->epoch, s->lineage[0], s->lineage[1], s->lineage[2],
                s->lineage[3]);
    if (known < 0) {
        world_violated(w, "bits: node %d adopted a lineage that nobody ever had", n->index);
        return;
    }
    bool repairs =
        n->watch.flipped_at.ns && !memcmp(s->lineage, before->lineage, CRYPTO_DIGEST_BYTES);
    bool heavier = s->lineage_tokens > before->lineage_tokens ||
                   (s->lineage_tokens == before->lineage_tokens &&
                    memcmp(s->lineage, before->lineage, CRYPTO_DIGEST_BYTES) < 0);
    uint32_t theirs = followers(w, known), ours = 1 + followers(w, n->watch.history);
    if (!repairs && !heavier && theirs <= ours)
        world_violated(w,
                       "back: node %d gave up epoch %llu with %llu tokens, which %u follow, for "
                       "epoch %llu with %llu, which %u follow",
                       n->index, (unsigned long long)before->epoch,
                       (unsigned long long)before->lineage_tokens, ours,
                       (unsigned long long)s->epoch, (unsigned long long)s->lineage_tokens, theirs);
    check_carried(w, n, known);
    n->watch.history = history_hold(w, n, -1, "adopted");
    timeline_outer(w, n, true);
    n->watch.adopted = true;
    check_given(n);
    memset(&n->watch.offers, 0, sizeof n->watch.offers);
    n->watch.blind = false;
    w->report->adoptions++;
    look_for_sameness(w);
}

/* A node agrees with its group on this lineage: nobody may have agreed on another. */
static void check_outcome(struct world *w, struct sim_node *n, struct bytes lineage)
{
    struct check *c = &w->check;
    for (int32_t i = c->outcome_count - 1; i >= 0; i--) {
        const struct outcome *o = &c->outcomes[i];
        if (memcmp(o->gid, n->watch.agreed, sizeof o->gid) != 0) continue;
        if (memcmp(o->lineage, lineage.data, sizeof o->lineage) != 0)
            world_violated(w, "group: node %d agrees on another mean than a member of its group",
                           n->index);
        return;
    }
    if (c->outcome_count == c->outcome_room) {
        c->outcome_room = c->outcome_room ? 2 * c->outcome_room : 64;
        c->outcomes = realloc(c->outcomes, (size_t)c->outcome_room * sizeof *c->outcomes);
        if (!c->outcomes) abort();
    }
    struct outcome *o = &c->outcomes[c->outcome_count++];
    memcpy(o->gid, n->watch.agreed, sizeof o->gid);
    memcpy(o->lineage, lineage.data, sizeof o->lineage);
}

/* ---- what goes without saying where nothing goes wrong ---- */

static uint64_t number(const struct note *note, const char *key)
{
    for (size_t i = 0; i < sizeof note->numbers / sizeof *note->numbers; i++)
        if (note->numbers[i].key && strcmp(note->numbers[i].key, key) == 0)
            return note->numbers[i].value;
    return 0;
}

/* Without those who say what is not so. */
static uint32_t training(const struct world *w)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < w->node_count; i++)
        count +=
            w->nodes[i].alive && trains(w->nodes[i].watch.phase) && !node_lies(w, &w->nodes[i]);
    return count;
}

static bool suspects_liar(const struct world *w, const struct note *note)
{
    char digits[FIRST_EIGHT_DIGITS];
    for (uint32_t i = 0; i < w->node_count; i++)
        if (node_lies(w, &w->nodes[i]) &&
            !strcmp(first_eight_print(first_eight(w->nodes[i].id), digits), note->word.value))
            return true;
    return false;
}

/* A liar that is left out calls the next round early, before all others have done a step, and so do the
 * first of those whom it makes end a round at different times; and whose signature is missing is found
 * out by withdrawing one's own. */
static bool early_rounds(const struct world *w)
{
    const enum scenario_kind kind = w->scenario.kind;
    return kind == LIES_STALL || kind == LIES_MATCH || kind == LIES_READY || kind == LIES_MEANS;
}

/* May liars be why a node notes this? */
static bool excused(const struct world *w, const struct note *note)
{
    const bool still = w->scenario.kind == LIES_STALL, means = w->scenario.kind == LIES_MEANS;
    if (strncmp(note->name, "reduce", 6) != 0) return early_rounds(w);
    if (strcmp(note->name, "reduce.still") == 0) return still;
    if (strcmp(note->name, "reduce.suspect") == 0) return still || means || suspects_liar(w, note);
    return lies_stall_together(w) || lies_about_means(w); /* reduce.failed */
}

static void check_smooth(struct world *w, struct sim_node *n, const struct note *note)
{
    static const char *const vain[] = {"solo",         "behind",         "match.withdrawn",
                                       "reduce.still", "reduce.suspect", "reduce.failed"};
    const enum scenario_kind kind = w->scenario.kind;
    if (kind != SCENARIO_QUIET && kind != FAR_SLOW && kind != FAR_UNEVEN && kind != FAR_HUB &&
        kind != FAR_HOLES && kind < WRONG_END)
        return;
    if (node_lies(w, n)) return;
    /* Who starts last may find a swarm that is ahead. */
    for (uint32_t i = 0; i < w->node_count; i++)
        if (w->now.ns < instant_after(w->scenario.start[i], span_s(MEETING_S)).ns) return;
    const bool early = early_rounds(w);
    for (size_t i = 0; i < sizeof vain / sizeof *vain; i++)
        if (strcmp(note->name, vain[i]) == 0 && !excused(w, note))
            world_violated(w, "smooth: node %d notes %s, and nothing has gone wrong", n->index,
                           note->name);
    if (!early && strcmp(note->name, "committed") == 0 && number(note, "members") < training(w))
        world_violated(w, "smooth: node %d's group has %llu members, and %u nodes train", n->index,
                       (unsigned long long)number(note, "members"), training(w));
}

/* Who has just woken has had no time to miss a member that lives and has a link to it, unless that
 * one stood still before, or is not in the round any more. */
static void check_woken(struct world *w, struct sim_node *n, const struct note *note)
{
    bool contact[SIM_NODES_MAX][SIM_NODES_MAX];
    char digits[FIRST_EIGHT_DIGITS];
    if (strcmp(note->name, "reduce.suspect") != 0 || n->paused_until.ns == 0 ||
        w->now.ns > instant_after(n->paused_until, span_s(SIM_WOKEN_S)).ns)
        return;
    network_contacts(w, contact);
    for (uint32_t i = 0; i < w->node_count; i++)
        if (contact[n->index][i] &&
            !memcmp(w->nodes[i].watch.averages, n->watch.averages, CRYPTO_DIGEST_BYTES) &&
            w->nodes[i].paused_until.ns < n->paused_since.ns &&
            instant_since(w->now, w->nodes[i].started).ns > span_s(SIM_HELD_S).ns &&
            strcmp(first_eight_print(first_eight(w->nodes[i].id), digits), note->word.value) == 0)
            world_violated(w, "woken: node %d suspects node %u as soon as it wakes", n->index, i);
}

static void check_agreed(struct world *w, struct sim_node *n, const struct note *note)
{
    const enum scenario_kind kind = w->scenario.kind;
    bool near = kind == SCENARIO_LOSSY || kind == SCENARIO_CRASH || kind == SCENARIO_RESTART ||
                kind == SCENARIO_END;
    uint64_t most = kind == SCENARIO_QUIET ? SIM_QUIET_MS : near ? SIM_LASTS_MS : UINT64_MAX;
    if (number(note, "ms") > most)
        world_violated(w, "lasts: node %d agrees after %llu ms", n->index,
                       (unsigned long long)number(note, "ms"));
    /* A chunk of two needs both, or that one has lost the other. */
    bool deaf_pair = w->scenario.kind == FAR_DEAF && number(note, "members") == 2;
    if (number(note, "null") && !deaf_pair && !lies_stall_together(w))
        world_violated(w, "null: %llu chunks of node %d's average have no mean",
                       (unsigned long long)number(note, "null"), n->index);
}

/* ---- what is signed is checked ---- */

static void signed_enough(struct world *w, struct sim_node *n, uint8_t kind, uint64_t *before,
                          uint64_t needed, const char *what)
{
    const uint64_t now = n->standin.good[kind];
    if (now - *before < needed)
        world_violated(w, "signed: node %d goes by %llu %s, and has checked %llu signatures",
                       n->index, (unsigned long long)needed, what,
                       (unsigned long long)(now - *before));
    *before = now;
}

static void check_signed(struct world *w, struct sim_node *n, const struct note *note)
{
    if (strcmp(note->name, "committed") == 0) {
        n->watch.members = (uint32_t)number(note, "members");
        signed_enough(w, n, WIRE_ACCEPT, &n->watch.accepts, n->watch.members - 1, "accepts");
        n->watch.sures = n->standin.good[WIRE_SURE];
    }
    if (strcmp(note->name, "agreed") == 0) /* half of them may be a majority; one is the node's */
        signed_enough(w, n, WIRE_SURE, &n->watch.sures, (n->watch.members + 1) / 2 - 1, "sures");
}

void check_flipped(struct world *w, struct sim_node *n)
{
    if (!n->watch.flipped_at.ns) n->watch.flipped_at = w->now;
}

void check_finish(struct world *w, struct sim_node *n, bool refused)
{
    n->finished = true;
    if (!refused) return;
    if (w->scenario.copies >> n->index & 1) w->report->faults[FAULT_COPY]++;
    else world_violated(w, "copy: node %d is refused, and its key is its own", n->index);
}

/* What is wrong with this node has an end. */
static void check_wrong(struct world *w, struct sim_node *n)
{
    const struct scenario *s = &w->scenario;
    if (s->copies >> n->index & 1 && w->now.ns > instant_after(n->born, span_s(SIM_COPY_S)).ns)
        world_violated(w, "copy: node %d has node 0's key, and is still there", n->index);
    span repair =
        span_ns(span_s(SIM_REPAIR_S).ns + 3 * s->round.ns + s->slack.ns + 2 * s->download.ns);
    instant flipped = n->watch.flipped_at;
    if (flipped.ns && instant_since(w->now, flipped).ns > repair.ns)
        world_violated(w, "replica: %.0f s after a bit of node %d was flipped it still differs",
                       span_in_s(repair), n->index);
}

/* Who shows no good ticket is in no group with others. */
static void check_tickets(struct world *w, struct sim_node *n, const struct note *note)
{
    if (w->scenario.kind != LIES_TICKET) return;
    for (size_t k = 0; k < note->sids.count; k++)
        for (uint32_t i = 0; i < w->node_count; i++)
            if (first_eight(w->nodes[i].id) == note->sids.value[k] && node_lies(w, &w->nodes[i]) &&
                !node_lies(w, n))
                world_violated(w, "ticket: node %d averages with node %u, which has none", n->index,
                               i);
}

/* A group is certified. */
static void check_minimum(struct world *w, struct sim_node *n, uint64_t members)
{
    if (members > 1 && members < n->config.group_min)
        world_violated(w, "minimum: node %d averages with %llu, and swarm.group.min is %u",
                       n->index, (unsigned long long)members, n->config.group_min);
}

void check_note(struct world *w, struct sim_node *n, const struct note *note)
{
    check_smooth(w, n, note);
    check_woken(w, n, note);
    check_signed(w, n, note);
    if (strcmp(note->name, "agreed") == 0) check_agreed(w, n, note);
    if (strcmp(note->name, "joined") == 0 && number(note, "liars") && !w->scenario.damage &&
        !w->scenario.liars && !w->report->faults[FAULT_FLIP])
        world_violated(w, "liar: node %d found %llu answers false, and nothing was damaged",
                       n->index, (unsigned long long)number(note, "liars"));
    if (strcmp(note->name, "reduce.start") == 0)
        memcpy(n->watch.averages, note->hex.value.data, sizeof n->watch.averages);
    if (strcmp(note->name, "committed") == 0) check_tickets(w, n, note);
    if (strcmp(note->name, "committed") == 0) check_minimum(w, n, note->numbers[1].value);
    if (strcmp(note->name, "reduce.agreed") == 0)
        memcpy(n->watch.agreed, note->hex.value.data, sizeof n->watch.agreed);
    if (strcmp(note->name, "agreed") == 0) check_outcome(w, n, note->hex.value);
    if (strcmp(note->name, "ready") == 0) {
        n->watch.offers.before = node_lies(w, n) ? 0 : n->watch.offers.latest;
        n->watch.offers.latest =
            world_counted(w, node_lies(w, n) ? number(note, "tokens") : n->trainer.round.tokens);
    }
    if (strcmp(note->name, "reduce.suspect") == 0) n->watch.blind = true;
    if (strstr(note->name, "fork")) {
        n->watch.fork_said = w->now;
        w->report->forks++;
    }
}

/* After five rounds a node knows what its line carries, whatever it was told. */
static void check_rate(struct world *w, struct sim_node *n, struct bytes ready)
{
    struct reader r = reader_init(ready);
    reader_bytes(&r, 2 + 8 + 8); /* length, sid, incarnation */
    uint64_t round = reader_u64(&r);
    reader_bytes(&r, 2 + 16 + 8 + 8 + 8); /* attempt, lineage, its tokens, weight, steps */
    double kbps = (double)reader_u32(&r), truth = w->scenario.mbps[n->index] * 1e3;
    bool known = w->scenario.kind == FAR_SLOW || w->scenario.kind == FAR_UNEVEN;
    if (known && round > 5 && kbps > 1.5 * truth && kbps > 1) /* the least that READY can say */
        world_violated(w, "rate: node %d says it can send %.0f kbit/s, and its line carries %.0f",
                       n->index, kbps, truth);
}

/* SIT_OUT: who averages for longer, as a machine that stands still may, is not waited for. */
#define SITS_OUT_S 59

/* Does anybody average in the group that `last` was signed for, and could the node have heard so? Not
 * from a machine that stood still since the node started. */
static bool averages(const struct world *w, const struct sim_node *n, const struct accepted *last)
{
    for (uint32_t i = 0; i < w->node_count; i++) {
        const struct sim_node *o = &w->nodes[i];
        if (o->alive && o->paused_until.ns < n->started.ns && o->watch.phase == PHASE_REDUCE &&
            memcmp(o->watch.averages, last->gid, sizeof last->gid) == 0)
            return true;
    }
    return false;
}

void check_frame(struct world *w, struct sim_node *n, const struct action *a)
{
    struct reader r = reader_init(a->bytes);
    struct relay_envelope e = {.type = a->type};
    bool own =
        a->type != WIRE_RELAY || (relay_read(&r, RELAY_FRAME, &e) && e.from == wire_sid(n->id));
    if (own && e.type == WIRE_READY) check_rate(w, n, bytes_of(r.at, reader_left(&r)));
    if (!own || e.type != WIRE_ACCEPT) return;
    struct accepted now = {.history = n->watch.history, .life = n->life},
                    *last = &w->check.accepted[n->index];
    now.round = reader_u64(&r);
    now.attempt = reader_u16(&r);
    reader_copy(&r, now.gid, sizeof now.gid);
    bool again = now.history == last->history && now.round == last->round;
    bool same = memcmp(now.gid, last->gid, sizeof now.gid) == 0;
    if (again && !same && now.life == last->life && now.attempt <= last->attempt)
        world_violated(w, "accept: node %d signs two groups in attempt %u of round %llu", n->index,
                       now.attempt, (unsigned long long)now.round);
    bool sits_out = w->now.ns < instant_after(n->started, span_s(SITS_OUT_S)).ns;
    if (again && now.life > last->life && sits_out && averages(w, n, last))
        world_violated(
            w, "accept: node %d signs in round %llu, in which others average with its former life",
            n->index, (unsigned long long)now.round);
    *last = now;
}

/* ---- bounds ---- */

/* Is there an unhealed fork? Until it heals, nodes that download the heavier history do not
 * count. */
static bool healing(const struct world *w)
{
    for (uint32_t a = 0; a < w->node_count; a++)
        if (w->nodes[a].alive && w->nodes[a].watch.phase == PHASE_SYNC) return true;
    for (uint32_t a = 0; a < w->node_count; a++)
        for (uint32_t b = a + 1; b < w->node_count; b++)
            if (w->nodes[a].alive && w->nodes[b].alive &&
                forked(&w->check, w->nodes[a].watch.history, w->nodes[b].watch.history))
                return true;
    return false;
}

/* Is there a live process that this node considers dead, does not know, or does not know to train,
 * as the news was cut off? */
static bool blind(const struct world *w, const struct sim_node *n)
{
    struct node_peer seen[SIM_NODES_MAX];
    size_t count = node_peers(n->node, seen, SIM_NODES_MAX);
    if (count > SIM_NODES_MAX) count = SIM_NODES_MAX;
    for (uint32_t i = 0; i < w->node_count; i++) {
        const struct sim_node *o = &w->nodes[i];
        bool sees = o == n || !o->alive;
        for (size_t j = 0; j < count && !sees; j++)
            sees = memcmp(seen[j].id, o->id, sizeof o->id) == 0 &&
                   (trains(seen[j].phase) || !trains(o->watch.phase)) &&
                   (seen[j].health == HEALTH_ALIVE || seen[j].health == HEALTH_SUSPECT);
        if (!sees) return true;
    }
    return false;
}

/* The epochs that it knows of others have changed no more often than it has checked records. */
static void check_seen(struct world *w, struct sim_node *n)
{
    struct node_peer seen[NODE_PEERS_MAX];
    uint64_t changed = 0;
    size_t count = node_peers(n->node, seen, NODE_PEERS_MAX);
    for (size_t j = 0; j < count && j < NODE_PEERS_MAX; j++)
        for (uint32_t i = 0; i < w->node_count; i++) {
            if (seen[j].self || memcmp(seen[j].id, w->nodes[i].id, sizeof seen[j].id)) continue;
            changed += seen[j].epoch != n->watch.epochs[i];
            n->watch.epochs[i] = seen[j].epoch;
        }
    signed_enough(w, n, RECORD_PROGRESS, &n->watch.records, changed, "records");
}

void check_step(struct world *w, struct sim_node *n)
{
    struct node_peer self;
    if (!n->alive || node_peers(n->node, &self, 1) < 1) return;
    if (self.phase != n->watch.phase) {
        if (!busy(n->watch.phase) && busy(self.phase)) {
            n->watch.busy_since = w->now;
        }
        if (self.phase == PHASE_REDUCE) {
            check_seen(w, n);
            n->watch.blind = n->watch.blind || blind(w, n) || healing(w);
            n->watch.born = 0;
            for (uint32_t i = 0; i < w->node_count; i++) n->watch.born += w->nodes[i].life > 0;
        }
        if (!busy(self.phase)) n->watch.busy_since = INSTANT_NEVER;
        n->watch.phase = self.phase;
    }
}

static void check_bounds(struct world *w, struct sim_node *n)
{
    span slowest = span_s(0);
    for (uint32_t i = 0; i < w->node_count; i++)
        if (w->scenario.step[i].ns > slowest.ns) slowest = w->scenario.step[i];
    /* The bound of a paused process starts when it resumes. */
    instant awake = instant_max(n->paused_until, n->trainer.hung_until);
    instant busy_since = instant_max(n->watch.busy_since, awake);
    span slack = w->scenario.slack;
    span allowed = span_ns(span_s(SIM_ROUND_S).ns + 4 * slowest.ns + slack.ns);
    /* A node that has done its steps waits in MATCH for the others to do theirs. */
    if (w->scenario.count_steps) allowed.ns += w->scenario.every * slowest.ns * 5 / 4;
    if (n->watch.busy_since.ns != INSTANT_NEVER.ns &&
        instant_since(w->now, busy_since).ns > allowed.ns)
        world_violated(w, "bound: node %d is in %s for %.1f s", n->index,
                       n->watch.phase == PHASE_MATCH ? "MATCH" : "REDUCE",
                       span_in_s(instant_since(w->now, busy_since)));
    instant held_since = instant_max(n->trainer.held_since, awake);
    allowed = span_ns(span_s(SIM_HELD_S).ns + 4 * slowest.ns + slack.ns);
    if (n->trainer.held && instant_since(w->now, held_since).ns > allowed.ns)
        world_violated(w, "bound: node %d's trainer stands still for %.1f s", n->index,
                       span_in_s(instant_since(w->now, held_since)));
    if (n->leaving && instant_since(w->now, instant_max(n->left_at, awake)).ns >
                          span_s(SIM_LEAVE_S).ns + slack.ns)
        world_violated(w, "leave: node %d was told to leave and is still there", n->index);
    if (network_degree(w, n) > SIM_LINKS_MAX)
        world_violated(w, "memory: node %d holds %u links", n->index, network_degree(w, n));
    bool floods = w->scenario.kind == LIES_FLOOD && node_lies(w, n);
    if (n->card.queued_max > SIM_QUEUED_MAX && !floods)
        world_violated(w, "memory: %llu bytes of node %d were on their way",
                       (unsigned long long)n->card.queued_max, n->index);
    if (n->card.sent_count > SIM_MESSAGES_MAX && !floods)
        world_violated(w, "memory: node %d sent %llu messages in a second", n->index,
                       (unsigned long long)n->card.sent_count);
    n->card.sent_count = 0;
}

/* Nodes in contact that hold forked lineages must notice. */
static void check_forks(struct world *w)
{
    bool contact[SIM_NODES_MAX][SIM_NODES_MAX];
    network_contacts(w, contact);
    struct check *c = &w->check;
    for (uint32_t a = 0; a < w->node_count; a++)
        for (uint32_t b = a + 1; b < w->node_count; b++) {
            struct sim_node *x = &w->nodes[a], *y = &w->nodes[b];
            if (!contact[a][b] || !forked(c, x->watch.history, y->watch.history)) {
                c->forked_since[a][b] = INSTANT_NEVER;
                continue;
            }
            instant *since = &c->forked_since[a][b];
            if (since->ns == INSTANT_NEVER.ns) *since = w->now;
            bool said = (x->watch.fork_said.ns &&
                         x->watch.fork_said.ns + span_s(SIM_FORK_S).ns >= since->ns) ||
                        (y->watch.fork_said.ns &&
                         y->watch.fork_said.ns + span_s(SIM_FORK_S).ns >= since->ns);
            if (!said && instant_since(w->now, *since).ns > span_s(SIM_FORK_S).ns)
                world_violated(w,
                               "fork: nodes %d and %d have been in contact for %d s with different "
                               "lineages, and neither has noticed",
                               x->index, y->index, SIM_FORK_S);
        }
}

/* ---- end of the run ---- */

static void check_proof(struct world *w)
{
    struct sim_report *r = w->report;
    for (int f = 0; f < FAULT_COUNT; f++)
        if (r->faults[f] < r->needed[f])
            world_violated(w, "proved nothing: %llu of kind %s were met, %llu are needed",
                           (unsigned long long)r->faults[f], fault_name((enum fault)f),
                           (unsigned long long)r->needed[f]);
    if (r->rounds < SIM_ROUNDS_MIN)
        world_violated(w, "proved nothing: %llu rounds, %d are needed",
                       (unsigned long long)r->rounds, SIM_ROUNDS_MIN);
    if (w->scenario.nodes > 1 && r->grouped < 2 && !lies_about_means(w))
        world_violated(w, "proved nothing: only %llu averages had two contributions or more",
                       (unsigned long long)r->grouped);
}

static uint64_t bits_of(const struct world *w, const struct history *h)
{
    size_t bytes = w->scenario.parameters * sizeof(float);
    return XXH3_64bits(h->anchor, bytes) ^ rng_mix(XXH3_64bits(h->momentum, bytes));
}

static void count_rounds(struct world *w)
{
    struct sim_report *r = w->report;
    r->rounds = r->grouped = 0;
    for (int32_t i = 0; i < w->check.history_count; i++) {
        const struct history *h = &w->check.histories[i];
        if (h->epoch > r->rounds) r->rounds = h->epoch;
        if (h->epoch == SIM_ROUNDS_MIN && h->anchor) r->bits = bits_of(w, h);
        for (uint32_t c = 0; c < SIM_CHUNKS_MAX; c++)
            if (__builtin_popcount(h->means.members[c]) > 1) {
                r->grouped++;
                break;
            }
    }
}

static void finish(struct world *w)
{
    count_rounds(w);
    check_proof(w);
    w->over = true;
}

/* The run has ended for everybody: all have finished, with the same state. */
static void check_ended(struct world *w)
{
    int32_t last = -1;
    for (uint32_t i = 0; i < w->node_count; i++) {
        const struct sim_node *n = &w->nodes[i];
        if (!n->finished || n->leaving) continue;
        if (last >= 0 && n->watch.history != last)
            world_violated(w, "heal: node %d finished the run with another state than others",
                           n->index);
        last = n->watch.history;
    }
    if (last < 0 || w->check.histories[last].epoch != w->scenario.epochs)
        world_violated(w, "heal: the run ended before its last epoch");
    finish(w);
}

static void check_heal(struct world *w)
{
    struct check *c = &w->check;
    uint32_t live = 0;
    for (uint32_t i = 0; i < w->node_count; i++) live += w->nodes[i].alive;
    if (!live) {
        check_ended(w);
        return;
    }
    count_rounds(w);
    if (c->calm_since.ns == 0) {
        c->calm_since = w->now;
        c->grouped_before = w->report->grouped;
    }
    span calm = instant_since(w->now, c->calm_since);
    bool together = live < 2 || lies_about_means(w) || w->report->grouped >= c->grouped_before + 2;
    bool ends = w->scenario.kind == SCENARIO_END;
    if (!ends && c->same_count >= 3 && together && w->report->rounds >= SIM_ROUNDS_MIN) {
        finish(w);
        return;
    }
    span heal = span_ns(span_s(SIM_HEAL_S).ns + w->scenario.slack.ns + 2 * w->scenario.download.ns);
    if (c->same_count == 0 && calm.ns > heal.ns)
        world_violated(w, "heal: %.0f s after the last fault the live nodes still differ",
                       span_in_s(heal));
    uint64_t rounds = ends ? w->scenario.epochs : SIM_ROUNDS_MIN + 3;
    span limit = span_ns(heal.ns + rounds * (w->scenario.round.ns * 3 + span_s(10).ns));
    if (calm.ns > limit.ns)
        world_violated(w,
                       "heal: %.0f s after the last fault there were %llu rounds, and the live "
                       "nodes were identical after %llu",
                       span_in_s(calm), (unsigned long long)w->report->rounds,
                       (unsigned long long)c->same_count);
}

static void check_meeting(struct world *w)
{
    bool contact[SIM_NODES_MAX][SIM_NODES_MAX];
    instant last = {0};
    for (uint32_t i = 0; i < w->node_count; i++) last = instant_max(last, w->scenario.start[i]);
    if (w->scenario.kind != SCENARIO_QUIET ||
        w->now.ns < instant_after(last, span_s(SIM_MEET_S)).ns)
        return;
    network_contacts(w, contact);
    for (uint32_t a = 0; a < w->node_count; a++)
        for (uint32_t b = 0; b < a; b++)
            if (w->nodes[a].alive && w->nodes[b].alive && !contact[a][b])
                world_violated(w, "meet: nodes %u and %u have no link %d s after the last start", b,
                               a, SIM_MEET_S);
}

void check_watch(struct world *w)
{
    for (uint32_t i = 0; i < w->node_count; i++) {
        if (!node_runs(w, &w->nodes[i])) continue;
        check_bounds(w, &w->nodes[i]);
        check_wrong(w, &w->nodes[i]);
    }
    check_forks(w);
    check_meeting(w);
    if (w->calm && !w->over) check_heal(w);
    int limit = w->scenario.far ? 10 * SIM_LIMIT_S : SIM_LIMIT_S;
    if (w->now.ns > span_s((uint64_t)limit).ns)
        world_violated(w, "proved nothing: after %d s the faults have not all happened", limit);
}

void check_init(struct world *w)
{
    memset(&w->check, 0, sizeof w->check);
    for (int a = 0; a < SIM_NODES_MAX; a++)
        for (int b = 0; b < SIM_NODES_MAX; b++) w->check.forked_since[a][b] = INSTANT_NEVER;
}

void check_fini(struct check *c)
{
    free(c->outcomes);
    for (int32_t i = 0; i < c->history_count; i++) {
        free(c->histories[i].anchor);
        free(c->histories[i].momentum);
    }
    free(c->histories);
    for (int i = 0; i < CHECK_SNAPSHOTS; i++) free(c->snapshots[i].delta);
}
