#include "node.h"

#include <assert.h>

#include "contact.h"
#include "lineage.h"
#include "match.h"
#include "member.h"
#include "progress.h"
#include "reduce.h"
#include "sync.h"
#include "twin.h"

/* Constants of SPEC.md, "A node's life". */
#define JOIN_PATIENCE                                                                              \
    span_s(3) /* to hear from the peer list before training from what is at hand */
#define JOIN_PATIENCE_COUNTED                                                                      \
    span_s(20) /* with count_steps: a run that is to repeat begins with all of the list */
#define BEHIND_PATIENCE                                                                            \
    span_s(5) /* a heavier history that few hold: my own round may lead there too */
#define SYNC_RETRY     span_s(2) /* after a download that failed; twice as long after each more */
#define SYNC_DOUBLINGS 3
#define PUBLISH_PERIOD span_ms(PROGRESS_PERIOD_MS)
#define PUBLISH_PAUSE  span_ms(500) /* between two records, whatever changes */
#define SOLO_PAUSE_MIN span_s(2)
#define SIT_OUT        span_s(60)
#define STRAGGLERS     span_s(60) /* a record of the epoch before counts as mine that long */
#define LEAVE_PATIENCE span_s(30)
#define LEAVE_LINGER   span_ms(300) /* for the goodbye to get out */
#define DONE_PATIENCE  span_s(60)
#define FORK_PERIOD    span_s(30)
#define LATE           span_ms(250)

enum life {
    LIFE_JOIN,  /* listens whether there is a swarm further on */
    LIFE_SYNC,  /* downloads a state */
    LIFE_ADOPT, /* ACTION_ADOPT is out */
    LIFE_TRAIN,
    LIFE_MATCH,
    LIFE_REDUCE,
    LIFE_APPLY, /* ACTION_APPLY is out */
    LIFE_DONE,
    LIFE_LEAVING, /* goodbye is said */
    LIFE_LEFT
};

struct node {
    struct node_config config;
    struct members members;
    struct match match;
    struct reduce reduce;
    struct sync sync;
    struct lineage_state state;
    struct round_progress round;
    enum life life;
    const struct sink *out; /* the driver's, during a call */
    instant now, promised;
    instant join_until, publish_at, published, leave_until;
    instant round_began;    /* the latest outer step or adoption */
    instant solo_until;     /* no attempt of mine before */
    instant sit_out_until;  /* a round of my former life may be under way */
    instant behind_since;   /* INSTANT_NEVER: I hold the heaviest history known */
    uint32_t sync_failures; /* in a row */
    instant sync_again;     /* no download before */
    uint32_t snapshots;     /* ordered and not yet here */
    bool training;          /* what the trainer was told */
    bool averaged;          /* has begun a round with others, in this process */
    bool leaving;           /* when the round is over */
    bool cell_stale;
    bool unsure;        /* my state comes from a round that ended without agreement */
    instant fork_again; /* no fork is spoken of before */
    instant committed_at;
};

/* ---- out ---- */

/* Sub-machines name peers; the driver knows links. What has no link is dropped: its sender says it again when there is
 * one. */
static void act(void *self, const struct action *a)
{
    struct node *n = self;
    struct action b = *a;
    bool network = a->kind == ACTION_DATAGRAM || a->kind == ACTION_FRAME ||
                   a->kind == ACTION_PARCEL || a->kind == ACTION_REQUEST;
    if (network && b.link == LINK_NONE) {
        int i = members_find(&n->members, b.peer);
        if (i != NOBODY) b.link = member_link(&n->members, i);
        if (b.link == LINK_NONE) return;
    }
    sink_act(n->out, &b);
}

static struct sink inner(struct node *n) { return (struct sink){n, act}; }

static void note(struct node *n, struct action a)
{
    a.kind = ACTION_NOTE;
    sink_act(n->out, &a);
}

static void order(struct node *n, enum action_kind kind, bool ok)
{
    struct action a = {.kind = kind, .ok = ok};
    sink_act(n->out, &a);
}

static void train(struct node *n, bool on)
{
    if (n->training == on) return;
    n->training = on;
    order(n, ACTION_TRAIN, on);
}

/* ---- looking at others ---- */

static const struct member *member_at(const struct node *n, int i)
{
    const struct member *p = &n->members.members[i];
    return member_live(p) && p->stored[STORED_PROGRESS].count ? p : NULL;
}

static bool takes_part(enum peer_phase p)
{
    return p == PHASE_TRAIN || p == PHASE_MATCH || p == PHASE_REDUCE;
}

static bool same_lineage(const struct node *n, const struct record_progress *p)
{
    return memcmp(p->lineage, n->state.lineage, sizeof p->lineage) == 0;
}

/* Works on the epoch that I work on, or was about to when it was last heard. */
static bool participant(const struct node *n, const struct member *p)
{
    const struct record_progress *r = &p->progress;
    if (!takes_part(r->phase)) return false;
    if (same_lineage(n, r)) return true;
    return r->epoch < n->state.epoch && instant_since(n->now, n->round_began).ns < STRAGGLERS.ns;
}

/* Trains, or is about to: who starts from the state that I hold has nothing to fetch first. */
static bool will_train(const struct node *n, const struct record_progress *r)
{
    return takes_part(r->phase) || (r->phase == PHASE_JOIN && same_lineage(n, r));
}

/* Does nobody else train? Of another history or not: two who train are not each alone. */
static bool alone(const struct node *n)
{
    for (int i = 0; i < MEMBERS_MAX; i++) {
        const struct member *p = member_at(n, i);
        if (p && will_train(n, &p->progress)) return false;
    }
    return true;
}

static struct progress_sum work(const struct node *n)
{
    struct progress_share all[MEMBERS_MAX + 1];
    size_t count = 0;
    all[count++] = (struct progress_share){
        .current = true, .tokens = n->round.tokens, .tokens_per_s = n->round.tokens_per_s};
    for (int i = 0; i < MEMBERS_MAX; i++) {
        const struct member *p = member_at(n, i);
        if (!p || p->health == HEALTH_SUSPECT || !participant(n, p)) continue;
        all[count++] = (struct progress_share){.current = same_lineage(n, &p->progress),
                                               .tokens = p->progress.tokens,
                                               .tokens_per_s = p->progress.tokens_per_s,
                                               .age = member_progress_age(p, n->now)};
    }
    return progress_sum(all, count, instant_since(n->now, n->round_began),
                        n->config.every * n->config.batch_tokens);
}

static uint64_t swarm_epoch(const struct node *n)
{
    uint64_t epochs[MEMBERS_MAX + 1];
    size_t count = 0;
    epochs[count++] = n->state.epoch;
    for (int i = 0; i < MEMBERS_MAX; i++) {
        const struct member *p = member_at(n, i);
        if (p && (takes_part(p->progress.phase) || p->progress.phase == PHASE_DONE))
            epochs[count++] = p->progress.epoch;
    }
    return progress_epoch(epochs, count);
}

/* The heaviest history that a live member holds to whom there is a link, and that is heavier than mine; NULL when mine
 * is. */
static const struct member *heaviest(const struct node *n)
{
    const struct member *best = NULL;
    uint64_t tokens = n->state.lineage_tokens;
    const uint8_t *lineage = n->state.lineage;
    for (int i = 0; i < MEMBERS_MAX; i++) {
        const struct member *p = member_at(n, i);
        if (!p || p->progress.phase == PHASE_OBSERVER) continue;
        if (member_link(&n->members, i) == LINK_NONE) continue;
        if (!lineage_heavier(p->progress.lineage_tokens, p->progress.lineage, tokens, lineage))
            continue;
        best = p;
        tokens = p->progress.lineage_tokens;
        lineage = p->progress.lineage;
    }
    return best;
}

/* ---- what others see of me ---- */

static enum peer_phase phase(const struct node *n)
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

static uint32_t eta_ms(const struct node *n)
{
    struct progress_sum s = work(n);
    return progress_eta_ms(&s, &n->round, n->config.every, n->config.count_steps);
}

static void publish(struct node *n)
{
    struct sink in = inner(n);
    struct record_progress p = {.phase = phase(n),
                                .flags = PROGRESS_SERVES | (n->unsure ? PROGRESS_UNSURE : 0),
                                .epoch = clamp32(n->state.epoch),
                                .lineage_tokens = n->state.lineage_tokens,
                                .steps = clamp32(n->round.steps),
                                .tokens = n->round.tokens,
                                .tokens_per_s = n->round.tokens_per_s,
                                .step_ms = n->round.step_ms,
                                .eta_ms = eta_ms(n),
                                .loss = n->round.loss,
                                .digest_epoch = clamp32(n->state.epoch),
                                .digest = first_eight(n->state.digest)};
    memcpy(p.lineage, n->state.lineage, sizeof p.lineage);
    members_publish(&n->members, &p, n->now, &in);
    n->published = n->now;
    n->publish_at = instant_after(n->now, PUBLISH_PERIOD);
}

static void publish_soon(struct node *n)
{
    n->publish_at = instant_min(n->publish_at, instant_after(n->published, PUBLISH_PAUSE));
}

static void enter(struct node *n, enum life life)
{
    enum peer_phase before = phase(n);
    n->life = life;
    if (phase(n) != before) publish_soon(n);
}

/* ---- states taken and given ---- */

static void rest_match(struct node *n)
{
    match_rest(&n->match, n->state.epoch + 1, n->state.lineage, n->state.lineage_tokens);
}

static void to_train(struct node *n)
{
    if (n->state.epoch >= n->config.epochs) {
        enter(n, LIFE_DONE);
        n->leave_until = instant_after(n->now, DONE_PATIENCE);
        train(n, false);
        note(n, (struct action){.text = "done", .note.numbers = {{"epoch", n->state.epoch}}});
        return;
    }
    enter(n, LIFE_TRAIN);
    train(n, true);
}

static void new_state(struct node *n, const struct lineage_state *s, bool keep)
{
    n->state = *s;
    n->round.steps = n->round.tokens = 0;
    n->round_began = n->now;
    n->solo_until = n->now;
    n->publish_at = n->now; /* others wait for this one */
    sync_offer(&n->sync, s, keep);
    rest_match(n);
}

static uint64_t sound_digest(const struct node *n, const uint8_t lineage[CRYPTO_DIGEST_BYTES]);

/* Names to the download all who hold its target, with the bits that count. */
static void offer_servers(struct node *n)
{
    struct sink in = inner(n);
    uint64_t sound = sound_digest(n, n->sync.target.lineage);
    for (int i = 0; i < MEMBERS_MAX; i++) {
        const struct member *p = member_at(n, i);
        if (!p || member_link(&n->members, i) == LINK_NONE) continue;
        const struct record_progress *r = &p->progress;
        if (r->lineage_tokens == n->sync.target.lineage_tokens && r->digest == sound &&
            memcmp(r->lineage, n->sync.target.lineage, CRYPTO_DIGEST_BYTES) == 0)
            sync_server(&n->sync, p->sid, n->now, &in);
    }
}

static void start_sync(struct node *n, const struct record_progress *r)
{
    struct sink in = inner(n);
    struct lineage_state target = {.epoch = r->epoch, .lineage_tokens = r->lineage_tokens};
    memcpy(target.lineage, r->lineage, sizeof target.lineage);
    note(n, (struct action){.text = "behind",
                            .note.numbers = {{"epoch", n->state.epoch}, {"target", r->epoch}},
                            .note.hex = {"lineage", bytes_of(r->lineage, CRYPTO_DIGEST_BYTES)}});
    enter(n, LIFE_SYNC);
    train(n, false);
    reduce_rest(&n->reduce);
    rest_match(n);
    sync_withdraw(&n->sync, &in);
    sync_start(&n->sync, &target, n->now);
    offer_servers(n);
}

/* A history with the same number of outer steps that is not mine: somewhere behind us the swarm was cut in two. Said
 * when it is first seen, and now and then as long as it lasts. */
static void look_for_fork(struct node *n)
{
    for (int i = 0; n->now.ns >= n->fork_again.ns && i < MEMBERS_MAX; i++) {
        const struct member *p = member_at(n, i);
        if (!p || p->progress.epoch != n->state.epoch || same_lineage(n, &p->progress)) continue;
        n->fork_again = instant_after(n->now, FORK_PERIOD);
        note(n, (struct action){.text = "fork",
                                .note.numbers = {{"epoch", n->state.epoch},
                                                 {"mine", n->state.lineage_tokens},
                                                 {"theirs", p->progress.lineage_tokens}},
                                .note.hex = {"peer", bytes_of(p->id, sizeof p->id)}});
    }
}

/* The digest that most of those who hold this history have, of as many the smallest: who has another is damaged. 0 when
 * nobody holds it. */
static uint64_t sound_digest(const struct node *n, const uint8_t lineage[CRYPTO_DIGEST_BYTES])
{
    uint64_t digests[MEMBERS_MAX + 1], best = 0;
    size_t count = 0, most = 0;
    if (memcmp(n->state.lineage, lineage, CRYPTO_DIGEST_BYTES) == 0)
        digests[count++] = first_eight(n->state.digest);
    for (int i = 0; i < MEMBERS_MAX; i++) {
        const struct member *p = member_at(n, i);
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

/* A member that holds my history with the bits that count, when mine are others. */
static const struct member *look_for_damage(const struct node *n)
{
    uint64_t sound = sound_digest(n, n->state.lineage);
    if (sound == first_eight(n->state.digest)) return NULL;
    for (int i = 0; i < MEMBERS_MAX; i++) {
        const struct member *p = member_at(n, i);
        if (p && same_lineage(n, &p->progress) && p->progress.digest == sound &&
            member_link(&n->members, i) != LINK_NONE)
            return p;
    }
    return NULL;
}

/* Am I behind, on the lighter side of a fork, or damaged? Starts the download if so. */
static bool catch_up(struct node *n)
{
    look_for_fork(n);
    const struct member *p = heaviest(n);
    if (!p) {
        n->behind_since = INSTANT_NEVER;
        const struct member *sound = look_for_damage(n);
        if (!sound || n->now.ns < n->sync_again.ns) return false;
        note(n, (struct action){.text = "digest_mismatch",
                                .note.numbers = {{"epoch", n->state.epoch}},
                                .note.hex = {"peer", bytes_of(sound->id, sizeof sound->id)}});
        start_sync(n, &sound->progress);
        return true;
    }
    /* neither an outer step nor a download ends it: the swarm may have gone on meanwhile */
    if (n->behind_since.ns == INSTANT_NEVER.ns) n->behind_since = n->now;
    bool fork = p->progress.epoch <= n->state.epoch;
    bool now = n->life == LIFE_JOIN || fork || swarm_epoch(n) > n->state.epoch ||
               n->now.ns >= instant_after(n->behind_since, BEHIND_PATIENCE).ns;
    if (!now || n->now.ns < n->sync_again.ns) return false;
    start_sync(n, &p->progress);
    return true;
}

/* Has a heavier history got beyond the round that I look for a group for? Then that group would make a fork. */
static bool overtaken(const struct node *n)
{
    const struct member *p = heaviest(n);
    return p && p->progress.epoch > n->state.epoch && n->now.ns >= n->sync_again.ns;
}

static void run_sync(struct node *n)
{
    if (n->sync.state == SYNC_WHOLE) {
        struct action a = {.kind = ACTION_ADOPT};
        a.adopt.epoch = n->sync.target.epoch;
        a.adopt.lineage_tokens = n->sync.target.lineage_tokens;
        memcpy(a.adopt.lineage, n->sync.target.lineage, CRYPTO_DIGEST_BYTES);
        enter(n, LIFE_ADOPT);
        sink_act(n->out, &a);
        return;
    }
    const struct member *p = heaviest(n);
    bool nobody =
        n->sync.servers_count == 0 && n->now.ns >= instant_after(n->sync.began, JOIN_PATIENCE).ns;
    if (n->sync.state != SYNC_FAILED && !nobody) return;
    note(n, (struct action){
                .text = "sync_failed",
                .note.numbers = {{"epoch", n->sync.target.epoch}, {"chunks", n->sync.written}}});
    sync_stop(&n->sync);
    n->sync_again = instant_after(n->now, span_ns(SYNC_RETRY.ns << n->sync_failures));
    if (n->sync_failures < SYNC_DOUBLINGS) n->sync_failures++;
    if (p && p->progress.epoch > n->sync.target.epoch) { /* it went on meanwhile */
        start_sync(n, &p->progress);
        return;
    }
    to_train(n);
}

static void adopted(struct node *n, const struct event *e)
{
    if (n->life != LIFE_ADOPT) return;
    uint32_t givers = sync_givers(&n->sync);
    sync_stop(&n->sync);
    n->unsure = false;
    n->sync_failures = 0;
    new_state(n, &e->state, false);
    note(n,
         (struct action){.text = "joined",
                         .note.numbers = {{"epoch", n->state.epoch},
                                          {"bytes", n->sync.bytes},
                                          {"servers", givers},
                                          {"ms", span_in_ms(instant_since(n->now, n->sync.began))},
                                          {"liars", n->sync.liars}},
                         .note.hex = {"lineage", bytes_of(n->state.lineage, CRYPTO_DIGEST_BYTES)}});
    to_train(n);
}

/* ---- rounds ---- */

static void refresh_cell(struct node *n)
{
    struct match_peer peers[NODE_GROUP_MAX];
    struct sink in = inner(n);
    size_t count = 0;
    for (int i = 0; i < MEMBERS_MAX && count < NODE_GROUP_MAX - 1; i++) {
        const struct member *p = &n->members.members[i];
        if (!member_live(p)) continue;
        enum peer_phase f = p->stored[STORED_PROGRESS].count ? p->progress.phase : PHASE_JOIN;
        if (f == PHASE_DONE || f == PHASE_LEAVING || f == PHASE_OBSERVER) continue;
        memcpy(peers[count].id, p->id, sizeof p->id);
        peers[count].counts = f == PHASE_JOIN
                                  ? p->stored[STORED_PROGRESS].count && will_train(n, &p->progress)
                                  : takes_part(f);
        peers[count++].rtt_ms = p->rtt_ms;
    }
    n->cell_stale = false;
    match_cell(&n->match, peers, count, n->now, &in);
}

static struct match_offer offer(const struct node *n)
{
    return (struct match_offer){.weight = n->round.tokens,
                                .steps = n->round.steps,
                                .up_mbps = n->config.bandwidth_mbps,
                                .step_ms = n->round.step_ms};
}

static struct action round_note(const struct node *n, const char *name, uint64_t members)
{
    return (struct action){.text = name,
                           .note.numbers = {{"epoch", n->state.epoch + 1},
                                            {"members", members},
                                            {"steps", n->round.steps},
                                            {"tokens", n->round.tokens}}};
}

/* A round of my former life may still be under way, in which I may have signed. Those who call me to theirs are not in it:
 * they would wait for me, and I for them. */
static bool sits_out(struct node *n)
{
    if (n->now.ns >= n->sit_out_until.ns) return false;
    for (int i = 0; i < MEMBERS_MAX; i++) {
        const struct member *p = member_at(n, i);
        bool busy = p && (p->progress.phase == PHASE_MATCH || p->progress.phase == PHASE_REDUCE);
        if (busy && same_lineage(n, &p->progress) && !match_called_by(&n->match, p->sid))
            return true;
    }
    n->sit_out_until = n->now;
    return false;
}

static void try_round(struct node *n)
{
    struct sink in = inner(n);
    struct progress_sum s = work(n);
    struct match_offer mine = offer(n);
    if (n->now.ns < n->solo_until.ns && !n->match.called) return;
    if (!progress_ready(&s, &n->round, n->config.every, n->config.count_steps, n->match.called) ||
        n->snapshots > 0 || sits_out(n))
        return;
    refresh_cell(n);
    enter(n, LIFE_MATCH);
    note(n, round_note(n, "ready", members_live(&n->members)));
    if (alone(n)) match_alone(&n->match, &mine);
    else match_start(&n->match, &mine, n->now, &in);
}

static void solo(struct node *n)
{
    span pause = span_ns(instant_since(n->now, n->round_began).ns / 10);
    if (pause.ns < SOLO_PAUSE_MIN.ns) pause = SOLO_PAUSE_MIN;
    n->solo_until = instant_after(n->now, pause);
    note(n, round_note(n, "solo", 1));
    to_train(n);
}

static void note_committed(struct node *n, const struct match_group *g)
{
    sid with[NODE_GROUP_MAX];
    size_t count = 0;
    for (uint32_t i = 0; i < g->count; i++)
        if (i != g->self) with[count++] = g->members[i].sid;
    struct action a = round_note(n, "committed", g->count);
    a.note.sids.key = "with";
    a.note.sids.value = with;
    a.note.sids.count = count;
    note(n, a);
}

static void begin_reduce(struct node *n)
{
    const struct match_group *g = &n->match.group;
    struct sink in = inner(n);
    bool linked[NODE_GROUP_MAX] = {false};
    n->averaged = n->averaged || g->count > 1;
    for (uint32_t i = 0; i < g->count; i++) {
        int m = members_find(&n->members, g->members[i].sid);
        linked[i] = i == g->self || (m != NOBODY && member_link(&n->members, m) != LINK_NONE);
    }
    n->committed_at = n->now;
    note_committed(n, g);
    enter(n, LIFE_REDUCE);
    order(n, ACTION_SNAPSHOT, true);
    n->snapshots++;
    reduce_start(&n->reduce, g, linked, n->now, &in);
}

static void snapshot(struct node *n, const struct event *e)
{
    struct sink in = inner(n);
    assert(n->snapshots > 0);
    bool mine = --n->snapshots == 0 && n->life == LIFE_REDUCE;
    if (!e->ok) {
        n->round.steps = n->round.tokens = 0;
        note(n, (struct action){.text = "not_finite",
                                .note.numbers = {{"epoch", n->state.epoch + 1}}});
    }
    size_t count = outer_wire_bytes((size_t)n->config.parameters);
    assert(!e->ok || e->bytes.count >= count);
    if (mine) reduce_snapshot(&n->reduce, bytes_of(e->bytes.data, e->ok ? count : 0), n->now, &in);
}

static void apply(struct node *n)
{
    struct sink in = inner(n);
    struct action a = {.kind = ACTION_APPLY};
    uint32_t null = 0;
    for (uint32_t c = 0; c < n->reduce.config.layout.chunks; c++) null += n->reduce.null[c];
    a.apply.epoch = n->state.epoch + 1;
    a.apply.lineage_tokens = n->state.lineage_tokens + n->reduce.tokens;
    lineage_next(n->config.crypto, n->state.lineage, a.apply.epoch, n->reduce.root,
                 a.apply.lineage);
    a.apply.means = n->reduce.means;
    a.apply.null = n->reduce.null;
    a.apply.mine = n->reduce.in;
    enter(n, LIFE_APPLY);
    sync_withdraw(&n->sync, &in);
    note(n, (struct action){
                .text = n->reduce.unsure ? "unsure" : "agreed",
                .note.numbers = {{"epoch", a.apply.epoch},
                                 {"members", n->reduce.group.count},
                                 {"null", null},
                                 {"ms", span_in_ms(instant_since(n->now, n->committed_at))}},
                .note.hex = {"lineage", bytes_of(a.apply.lineage, CRYPTO_DIGEST_BYTES)}});
    sink_act(n->out, &a);
}

static void applied(struct node *n, const struct event *e)
{
    if (n->life != LIFE_APPLY) return;
    uint64_t members = n->reduce.group.count;
    n->unsure = n->reduce.unsure;
    new_state(n, &e->state, true);
    note(n, (struct action){.text = "applied",
                            .note.numbers = {{"epoch", n->state.epoch}, {"members", members}},
                            .note.hex = {"digest", bytes_of(n->state.digest, 32)}});
    to_train(n);
}

static void run_reduce(struct node *n)
{
    if (n->reduce.state == REDUCE_AGREED) {
        apply(n);
    } else if (n->reduce.state == REDUCE_FAILED) {
        order(n, ACTION_RESUME, true);
        rest_match(n);
        solo(n);
    }
}

/* ---- leaving ---- */

static void goodbye(struct node *n)
{
    struct sink in = inner(n);
    match_leave(&n->match, &in);
    sync_stop(&n->sync);
    enter(n, LIFE_LEAVING);
    members_leave(&n->members, n->now, &in);
    n->leave_until = instant_after(n->now, LEAVE_LINGER);
}

static void finish(struct node *n)
{
    struct sink in = inner(n);
    struct action a = {.kind = ACTION_FINISHED,
                       .ok = true,
                       .text = n->state.epoch >= n->config.epochs ? "the run is complete"
                                                                  : "left the swarm"};
    for (int i = 0; i < MEMBERS_MAX; i++)
        if (n->members.members[i].used) contact_drop(&n->members, i, CLOSE_LEAVING, &in);
    n->life = LIFE_LEFT;
    sink_act(n->out, &a);
}

/* A peer says that another worker has my key, and proved it by asking that one. Only at the start: later it is for the
 * others to be refused, and a liar must not end a worker that trains with everybody else. */
static void copied(struct node *n, struct bytes said)
{
    char text[160];
    size_t count = 0;
    if (n->averaged || n->leaving || contact_any_usable(&n->members)) return;
    for (; count < said.count && count + 1 < sizeof text; count++) {
        uint8_t c = said.data[count];
        text[count] = c >= 0x20 && c < 0x7f ? (char)c : '?';
    }
    text[count] = 0;
    struct action a = {.kind = ACTION_FINISHED, .text = text};
    n->life = LIFE_LEFT;
    sink_act(n->out, &a);
}

static void leave(struct node *n)
{
    if (n->life == LIFE_LEAVING || n->life == LIFE_LEFT || n->leaving) return;
    n->leaving = true;
    n->leave_until = instant_after(n->now, LEAVE_PATIENCE);
}

static bool everybody_done(const struct node *n)
{
    if (n->reduce.state != REDUCE_IDLE && !reduce_finished(&n->reduce)) return false;
    for (int i = 0; i < MEMBERS_MAX; i++) {
        const struct member *p = member_at(n, i);
        if (p && p->progress.epoch < n->config.epochs) return false;
    }
    return true;
}

/* ---- the whole ---- */

static void read_news(struct node *n)
{
    struct sink in = inner(n);
    enum member_news kind;
    int i;
    while (members_news(&n->members, &kind, &i)) {
        sid s = n->members.members[i].sid;
        switch (kind) {
        case NEWS_LINKED:
            reduce_link(&n->reduce, s, true, n->now, &in);
            match_link(&n->match, s, n->now, &in);
            n->cell_stale = true;
            break;
        case NEWS_UNLINKED:
            reduce_link(&n->reduce, s, false, n->now, &in);
            sync_gone(&n->sync, s, n->now, &in);
            break;
        case NEWS_ENDED:
            reduce_gone(&n->reduce, s, n->now, &in);
            break;
        case NEWS_GONE:
            match_gone(&n->match, s, n->now, &in);
            reduce_gone(&n->reduce, s, n->now, &in);
            sync_gone(&n->sync, s, n->now, &in);
            n->cell_stale = true;
            break;
        case NEWS_PROGRESS:
        case NEWS_CHANGED:
            n->cell_stale = true;
            break;
        }
    }
}

static void live(struct node *n)
{
    switch (n->life) {
    case LIFE_JOIN:
        if (n->now.ns < n->join_until.ns && !members_all_heard(&n->members)) break;
        n->sit_out_until = instant_after(n->now, SIT_OUT);
        if (!catch_up(n)) to_train(n);
        break;
    case LIFE_SYNC:
        offer_servers(n);
        run_sync(n);
        break;
    case LIFE_TRAIN:
        (void)sits_out(
            n); /* what is under way when training begins: a round that begins later is not meant */
        if (n->match.state == MATCH_COMMITTED) begin_reduce(n);
        else if (!catch_up(n)) try_round(n);
        break;
    case LIFE_MATCH:
        if (n->match.state == MATCH_COMMITTED) begin_reduce(n);
        else if (n->match.state == MATCH_SOLO || n->match.state == MATCH_IDLE) solo(n);
        else if (n->match.state != MATCH_LOCKED && overtaken(n))
            start_sync(n, &heaviest(n)->progress);
        else if (n->match.state != MATCH_LOCKED) (void)catch_up(n); /* a fork */
        break;
    case LIFE_REDUCE:
        run_reduce(n);
        break;
    case LIFE_ADOPT:
    case LIFE_APPLY:
        break;
    case LIFE_DONE:
        if (n->now.ns >= n->leave_until.ns || everybody_done(n)) goodbye(n);
        break;
    case LIFE_LEAVING:
        if (n->now.ns >= n->leave_until.ns) finish(n);
        break;
    case LIFE_LEFT:
        break;
    }
    bool busy = n->life == LIFE_REDUCE || n->life == LIFE_APPLY;
    bool here = n->life != LIFE_LEAVING && n->life != LIFE_LEFT;
    if (n->leaving && here && (!busy || n->now.ns >= n->leave_until.ns)) goodbye(n);
}

static void decline(struct node *n)
{
    struct sink in = inner(n);
    enum match_reason why = MATCH_REASON_TRAINING;
    if (n->life == LIFE_SYNC || n->life == LIFE_ADOPT) why = MATCH_REASON_SYNC;
    if (n->life == LIFE_TRAIN && n->now.ns < n->sit_out_until.ns && sits_out(n))
        why = MATCH_REASON_BUSY;
    if (n->life == LIFE_DONE) why = MATCH_REASON_DONE;
    if (n->life == LIFE_LEAVING || n->life == LIFE_LEFT) why = MATCH_REASON_LEAVING;
    match_decline(&n->match, why, eta_ms(n), &in);
}

/* After any event: news, time, and what follows from both, until nothing changes. Digests are computed in ticks, so that
 * no peer's message takes long. */
static void settle(struct node *n, bool tick)
{
    struct sink in = inner(n);
    if (n->now.ns >= members_due(&n->members).ns) members_tick(&n->members, n->now, &in);
    read_news(n);
    if (n->cell_stale) refresh_cell(n);
    if (n->now.ns >= match_due(&n->match).ns) match_tick(&n->match, n->now, &in);
    if (n->now.ns >= reduce_due(&n->reduce).ns) reduce_tick(&n->reduce, n->now, &in);
    if (tick && n->now.ns >= sync_due(&n->sync).ns) sync_tick(&n->sync, n->now, &in);
    for (int i = 0; i < 4; i++) { /* at most: committed alone, agreed, applied */
        enum life before = n->life;
        live(n);
        if (n->life == before) break;
    }
    if (n->life == LIFE_LEFT) return;
    decline(n);
    read_news(n);
    if (n->now.ns >= n->publish_at.ns) publish(n);
}

static void protocol_error(struct node *n, link_id link)
{
    int i = members_by_link(&n->members, link);
    struct action a = {.kind = ACTION_HANG_UP,
                       .peer = i == NOBODY ? 0 : n->members.members[i].sid,
                       .link = link,
                       .code = CLOSE_PROTOCOL,
                       .text = "bytes that the protocol does not allow"};
    if (i == NOBODY) return;
    sink_act(n->out, &a);
    contact_refuse(&n->members, link);
}

static void on_frame(struct node *n, const struct event *e)
{
    struct sink in = inner(n);
    int i = members_by_link(&n->members, e->link);
    if (i == NOBODY) return; /* hung up already */
    const struct member *p = &n->members.members[i];
    bool good = true;
    if (e->type == WIRE_HELLO) {
        good = members_hello(&n->members, e->link, e->bytes, n->now, &in);
    } else if (twin_held(p, e->link)) {
        return; /* nothing it says is taken until it is clear who it is */
    } else if (!contact_greeted(p, e->link)) {
        good = false;
    } else if (e->type == WIRE_SEEN) {
        good = members_seen(&n->members, e->link, e->bytes, n->now);
    } else if (e->type == WIRE_GOSSIP) {
        good = members_gossip(&n->members, e->link, e->bytes, n->now, &in);
    } else if (match_takes(e->type)) {
        good = match_frame(&n->match, p->id, e->type, e->bytes, n->now, &in);
        for (uint32_t j = 0; j < n->match.group.count; j++)
            if (n->life == LIFE_REDUCE && n->match.withdrawn >> j & 1)
                reduce_gone(&n->reduce, n->match.group.members[j].sid, n->now, &in);
    } else if (reduce_takes(e->type)) {
        good = reduce_frame(&n->reduce, p->sid, e->type, e->bytes, n->now, &in);
    }
    if (!good) protocol_error(n, e->link);
}

static void on_request(struct node *n, const struct event *e)
{
    struct sink in = inner(n);
    int i = members_by_link(&n->members, e->link);
    uint8_t type = e->bytes.count ? e->bytes.data[0] : 0;
    sid s = i == NOBODY ? 0 : n->members.members[i].sid;
    struct action none = {.kind = ACTION_REPLY, .peer = s, .link = e->link, .ticket = e->ticket};
    if (i == NOBODY || e->bytes.count == 0) sink_act(n->out, &none);
    else if (type == WIRE_SYNC)
        members_sync(&n->members, e->link, e->ticket, e->bytes, n->now, &in);
    else if (sync_takes(type)) sync_request(&n->sync, s, e->link, e->ticket, e->bytes, n->now, &in);
    else if (reduce_takes(type)) {
        if (!reduce_request(&n->reduce, s, e->link, e->ticket, e->bytes, n->now, &in))
            sink_act(n->out, &none);
    } else sink_act(n->out, &none);
}

static void on_reply(struct node *n, const struct event *e)
{
    struct sink in = inner(n);
    if (e->ticket & REDUCE_TICKET)
        (void)reduce_reply(&n->reduce, e->ticket, e->ok, e->bytes, n->now, &in);
    else if (e->ticket & SYNC_TICKET) sync_reply(&n->sync, e->ticket, e->ok, e->bytes, n->now, &in);
    else if (e->ticket == n->members.ticket && n->members.ticket)
        members_synced(&n->members, e->ok, e->bytes, n->now, &in);
}

static void on_network(struct node *n, const struct event *e)
{
    struct sink in = inner(n);
    int i = members_by_link(&n->members, e->link);
    switch (e->kind) {
    case EVENT_LINK_UP:
        members_link_up(&n->members, e, &in);
        break;
    case EVENT_LINK_DOWN:
        members_link_down(&n->members, e->link, e->code, n->now, &in);
        if (e->code == CLOSE_SELF) copied(n, e->bytes);
        break;
    case EVENT_LINK_MOVED:
        members_moved(&n->members, e->link, &e->address, n->now, &in);
        break;
    case EVENT_DIAL_FAILED:
        members_dial_failed(&n->members, e->id, e->code, n->now, &in);
        break;
    case EVENT_ADDRESS:
        members_address_found(&n->members, e->id, &e->address, n->now);
        break;
    case EVENT_DATAGRAM:
        members_datagram(&n->members, e->link, e->bytes, n->now, &in);
        break;
    case EVENT_FRAME:
        on_frame(n, e);
        break;
    case EVENT_PARCEL:
        if (i != NOBODY &&
            !reduce_parcel(&n->reduce, n->members.members[i].sid, e->bytes, n->now, &in))
            protocol_error(n, e->link);
        break;
    case EVENT_PARCEL_DONE:
        if (!e->ok) contact_broken(&n->members, e->link);
        read_news(n);
        if (e->ticket & REDUCE_TICKET)
            reduce_parcel_done(&n->reduce, e->ticket, e->ok, n->now, &in);
        break;
    case EVENT_REQUEST:
        on_request(n, e);
        break;
    case EVENT_REPLY:
        on_reply(n, e);
        break;
    default:
        assert(!"not an event of the network");
    }
}

static void on_step(struct node *n, const struct event *e)
{
    /* A step that was under way when the trainer was told to hold still counts, should training go on. */
    bool lives = n->life == LIFE_TRAIN || n->life == LIFE_MATCH || n->life == LIFE_REDUCE ||
                 n->life == LIFE_JOIN || n->life == LIFE_SYNC;
    if (!lives) return;
    n->round = e->round;
    uint64_t said = n->members.progress.tokens_per_s, rate = n->round.tokens_per_s;
    if (said > 2 * rate || rate > 2 * said) publish_soon(n); /* others reckon with it */
}

void node_step(struct node *n, const struct event *in, const struct sink *out)
{
    if (n->life == LIFE_LEFT) return;
    n->out = out;
    n->now = instant_max(in->now, n->now);
    span late = instant_since(n->now, n->promised);
    if (late.ns > LATE.ns) members_late(&n->members, late);
    n->members.now = n->now;
    switch (in->kind) {
    case EVENT_TICK:
        break;
    case EVENT_STEP:
        on_step(n, in);
        break;
    case EVENT_SNAPSHOT:
        snapshot(n, in);
        break;
    case EVENT_APPLIED:
        applied(n, in);
        break;
    case EVENT_ADOPTED:
        adopted(n, in);
        break;
    case EVENT_LEAVE:
        leave(n);
        break;
    default:
        on_network(n, in);
    }
    settle(n, in->kind == EVENT_TICK);
    n->promised = instant_max(node_due(n), n->now);
    n->out = NULL;
}

instant node_due(const struct node *n)
{
    if (n->life == LIFE_LEFT) return INSTANT_NEVER;
    instant due = instant_min(members_due(&n->members), match_due(&n->match));
    due = instant_min(due, instant_min(reduce_due(&n->reduce), sync_due(&n->sync)));
    due = instant_min(due, n->publish_at);
    if (n->life == LIFE_JOIN) due = instant_min(due, n->join_until);
    if (n->life == LIFE_SYNC && n->sync.servers_count == 0)
        due = instant_min(due, instant_after(n->sync.began, JOIN_PATIENCE));
    if (n->life == LIFE_DONE || n->life == LIFE_LEAVING || n->leaving)
        due = instant_min(due, n->leave_until);
    if (n->life == LIFE_TRAIN || n->life == LIFE_MATCH) {
        if (n->solo_until.ns > n->now.ns) due = instant_min(due, n->solo_until);
        if (n->behind_since.ns != INSTANT_NEVER.ns) {
            instant then =
                instant_max(instant_after(n->behind_since, BEHIND_PATIENCE), n->sync_again);
            if (then.ns > n->now.ns) due = instant_min(due, then);
        }
    }
    return due;
}

double node_epoch_share(const struct node *n)
{
    double share;
    if (n->config.count_steps) {
        share = (double)n->round.steps / (double)n->config.every;
    } else {
        struct progress_sum s = work(n);
        share = (double)s.done / (double)s.target;
    }
    return share < 1.0 ? share : 1.0;
}

/* ---- the view ---- */

static void fill_peer(const struct node *n, int i, struct node_peer *o)
{
    const struct member *p = &n->members.members[i];
    *o =
        (struct node_peer){.health = p->health, .linked = member_link(&n->members, i) != LINK_NONE};
    memcpy(o->id, p->id, sizeof o->id);
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
                                    .phase = phase(n),
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

/* ---- the start ---- */

static struct reduce_config reduce_config_of(const struct node_config *c)
{
    return (struct reduce_config){
        .crypto = c->crypto, .layout = outer_layout_of(c->parameters), .group_max = NODE_GROUP_MAX};
}

static struct sync_config sync_config_of(const struct node_config *c)
{
    return (struct sync_config){.crypto = c->crypto, .parameters = c->parameters};
}

size_t node_bytes(const struct node_config *c)
{
    struct reduce_config r = reduce_config_of(c);
    struct sync_config s = sync_config_of(c);
    return sizeof(struct node) + 64 + sizeof(struct listed) * c->bootstrap_count + 64 +
           reduce_bytes(&r) + sync_bytes(&s);
}

static enum err check_config(const struct node_config *c, const struct lineage_state *s,
                             struct why *w)
{
    if (c->parameters == 0 || c->every == 0 || c->batch_tokens == 0 || c->epochs == 0)
        return why(w, ERR_USAGE, "a swarm needs parameters, steps, tokens and epochs above 0");
    if (c->group_min < 2 || c->group_min > c->group_max || c->group_max > NODE_GROUP_MAX)
        return why(w, ERR_USAGE, "group sizes must be 2 <= min (%u) <= max (%u) <= %u",
                   c->group_min, c->group_max, NODE_GROUP_MAX);
    if (c->epochs > UINT32_MAX || s->epoch > c->epochs)
        return why(w, ERR_USAGE, "epoch %llu of a run of %llu", (unsigned long long)s->epoch,
                   (unsigned long long)c->epochs);
    if (c->shared.count > NODE_SHARED_MAX)
        return why(w, ERR_USAGE, "%zu bytes of what members share, %d fit", c->shared.count,
                   NODE_SHARED_MAX);
    if (c->bootstrap_count > NODE_LISTED_MAX)
        return why(w, ERR_USAGE, "a peer list has at most %d entries, this one %zu",
                   NODE_LISTED_MAX, c->bootstrap_count);
    if (wire_sid(c->id) == 0) return why(w, ERR_USAGE, "this key's ID begins with 8 zero bytes");
    return ERR_OK;
}

static void init_parts(struct node *n, const struct node_config *c, struct listed *listed)
{
    struct member_config m = {.incarnation = c->incarnation,
                              .crypto = c->crypto,
                              .advertise = c->advertise,
                              .bootstrap = c->bootstrap,
                              .bootstrap_count = c->bootstrap_count,
                              .shared = c->shared,
                              .differ = c->differ,
                              .listed = listed};
    struct match_config t = {.incarnation = c->incarnation,
                             .crypto = c->crypto,
                             .group_min = c->group_min,
                             .count_steps = c->count_steps};
    memcpy(m.id, c->id, sizeof m.id);
    memcpy(m.run_id, c->run_id, sizeof m.run_id);
    memcpy(t.id, c->id, sizeof t.id);
    memcpy(t.run_id, c->run_id, sizeof t.run_id);
    members_init(&n->members, &m, rng_split(c->rng, 1), n->now);
    match_init(&n->match, &t);
}

struct node *node_init(const struct node_config *c, const struct lineage_state *state,
                       const struct round_progress *round, struct arena *room, instant now,
                       const struct sink *out, struct why *w)
{
    struct reduce_config r = reduce_config_of(c);
    struct sync_config s = sync_config_of(c);
    if (check_config(c, state, w)) return NULL;
    struct node *n = arena_array(room, struct node, 1);
    struct listed *listed = arena_array(room, struct listed, c->bootstrap_count);
    if (!n || !listed || !reduce_init(&n->reduce, &r, room) || !sync_init(&n->sync, &s, room)) {
        (void)why(w, ERR_MEMORY, "the swarm's buffers need %zu bytes", node_bytes(c));
        return NULL;
    }
    n->config = *c;
    n->now = n->promised = now;
    n->out = out;
    init_parts(n, c, listed);
    n->join_until = instant_after(now, c->count_steps ? JOIN_PATIENCE_COUNTED : JOIN_PATIENCE);
    n->published = n->publish_at = now;
    new_state(n, state, false);
    n->behind_since = INSTANT_NEVER;
    n->round = *round;
    settle(n, false);
    n->promised = instant_max(node_due(n), n->now);
    n->out = NULL;
    return n;
}
