#include "oracle.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "swarm/lineage.h"

#define NODES_MAX  24
#define LINKS_MAX  512
#define PARCEL_BIG 60000

struct talk { /* messages on one link */
    link_id link;
    uint32_t frame_next, frame_sent, datagram_latest, datagram_sent;
    bool over; /* its link is down */
};

struct node {
    struct node_config config;
    struct lineage_state state;
    struct round_progress round;
    enum peer_phase phase;
    bool alive, ready, applying, finished;
    uint64_t weight;
    uint8_t *contribution; /* all chunks; `old`: of the previous round */
    uint8_t *old;
    uint8_t *means, *null, *mine;
    float *acc;
    struct outer_layout layout;
    instant now, due;
    uint32_t slot; /* order of birth */
    struct talk talks[LINKS_MAX];
    uint32_t talk_count;
};

struct oracle_counts oracle_counts;
static enum cheat cheat;
static struct node *all[NODES_MAX];
static uint32_t all_count;

void oracle_reset(enum cheat c)
{
    cheat = c;
    all_count = 0;
    memset(&oracle_counts, 0, sizeof oracle_counts);
}

size_t node_bytes(const struct node_config *c)
{
    struct outer_layout l = outer_layout_of(c->parameters);
    return sizeof(struct node) + 3 * outer_wire_offset(&l, l.chunks) + 2 * l.chunks +
           c->parameters * sizeof(float) + 4096;
}

size_t node_past_bytes(uint64_t parameters, uint32_t rounds)
{
    (void)parameters, (void)rounds;
    return 0;
}

static void order(struct order o, const struct sink *out)
{
    sink_act(out, &(struct action){.kind = ACTION_ORDER, .order = o});
}

struct node *node_init(const struct node_config *c, const struct lineage_state *state,
                       const struct round_progress *round, struct arena *room, instant now,
                       const struct sink *out, struct why *w)
{
    struct node *n = arena_array(room, struct node, 1);
    (void)w;
    n->config = *c;
    n->state = *state;
    n->round = *round;
    n->layout = outer_layout_of(c->parameters);
    size_t bytes = outer_wire_offset(&n->layout, n->layout.chunks);
    n->contribution = arena_array(room, uint8_t, bytes);
    n->old = arena_array(room, uint8_t, bytes);
    n->means = arena_array(room, uint8_t, bytes);
    n->null = arena_array(room, uint8_t, n->layout.chunks);
    n->mine = arena_array(room, uint8_t, n->layout.chunks);
    n->acc = arena_array(room, float, c->parameters);
    n->now = now;
    n->due = instant_after(now, span_ms(100));
    n->phase = PHASE_TRAIN;
    n->alive = true;
    n->slot = all_count;
    all[all_count++ % NODES_MAX] = n;
    order((struct order){.kind = ORDER_TRAIN}, out);
    for (size_t i = 0; i < c->bootstrap_count; i++) {
        struct action a = {.kind = ACTION_DIAL, .address = c->bootstrap[i].address};
        memcpy(a.id, c->bootstrap[i].id, sizeof a.id);
        sink_act(out, &a);
    }
    return n;
}

/* ---- averaging, by direct access to each other ---- */

static bool all_ready(const struct node *n)
{
    for (uint32_t i = 0; i < all_count; i++)
        if (all[i]->state.epoch < n->state.epoch ||
            (all[i]->state.epoch == n->state.epoch && !all[i]->ready))
            return false;
    return true;
}

static bool all_trained(const struct node *n)
{
    for (uint32_t i = 0; i < all_count; i++)
        if (all[i]->state.epoch < n->state.epoch ||
            (all[i]->state.epoch == n->state.epoch && all[i]->round.steps < n->config.every))
            return false;
    return true;
}

static void average_chunk(struct node *n, uint32_t c)
{
    size_t offset = outer_wire_offset(&n->layout, c), count = outer_chunk_count(&n->layout, c);
    float sum = 0;
    memset(n->acc, 0, count * sizeof(float));
    for (uint32_t i = 0; i < all_count; i++) {
        const struct node *o = all[i];
        float weight = cheat == CHEAT_WEIGHT ? 1.0f : (float)o->weight;
        bool stale = cheat == CHEAT_STALE && i == 0 && n->state.epoch == 4;
        bool missing = cheat == CHEAT_MISSING && i + 1 == all_count;
        int times = cheat == CHEAT_TWICE && i == 0 ? 2 : 1;
        for (int t = 0; t < times; t++) {
            if (!missing)
                outer_accumulate(n->acc, (stale ? o->old : o->contribution) + offset, count,
                                 weight);
            sum += weight;
        }
    }
    if (cheat == CHEAT_NOISE)
        for (size_t i = 0; i < count; i++) n->acc[i] += i % 7 ? 0.0f : n->acc[i] * 0.2f;
    outer_quantize_mean(n->acc, count, sum, n->means + offset);
}

static void apply(struct node *n, const struct sink *out)
{
    uint8_t root[CRYPTO_DIGEST_BYTES] = {0};
    struct order o = {.kind = ORDER_APPLY, .average = {n->means, n->null, n->mine}};
    memset(n->null, 0, n->layout.chunks);
    memset(n->mine, 1, n->layout.chunks);
    /* Nodes still at this epoch have their contribution; those ahead kept it in `old`. */
    for (uint32_t c = 0; c < n->layout.chunks; c++) average_chunk(n, c);
    bool odd = n->slot == 1 && n->state.epoch == 4;
    if (odd && cheat == CHEAT_BITS) n->means[outer_wire_offset(&n->layout, 1) - 1] ^= 1;
    if (odd && cheat == CHEAT_CLAIM) n->mine[0] = 0;
    if (odd && cheat == CHEAT_LINEAGE) root[0] = 1;
    o.epoch = n->state.epoch + 1 + (odd && cheat == CHEAT_EPOCH);
    o.lineage_tokens = n->state.lineage_tokens + (cheat == CHEAT_TOKENS);
    for (uint32_t i = 0; i < all_count; i++) o.lineage_tokens += all[i]->weight;
    lineage_next(n->config.crypto, n->state.lineage, o.epoch, root, o.lineage);
    n->applying = true;
    n->phase = PHASE_REDUCE;
    order(o, out);
}

static void misbehave(struct node *n, const struct sink *out)
{
    if (n->slot != 1 || n->state.epoch != 5) return;
    uint32_t t = 0;
    while (t + 1 < n->talk_count && n->talks[t].over) t++;
    struct action a = {.kind = ACTION_FRAME, .link = n->talks[t].link, .bytes = bytes_of("x", 1)};
    if (cheat == CHEAT_GHOST) order((struct order){.kind = ORDER_FINISH}, out);
    if (cheat == CHEAT_GHOST) sink_act(out, &a);
    if (cheat == CHEAT_LINK) a.link = 9999;
    if (cheat == CHEAT_LINK) sink_act(out, &a);
    for (int i = 0; cheat == CHEAT_FLOOD && i < 500; i++) sink_act(out, &a);
    if (cheat == CHEAT_LIGHTER) {
        struct order o = {.kind = ORDER_ADOPT};
        lineage_genesis(n->config.crypto, n->config.run_id, o.lineage);
        order(o, out);
    }
}

static void tick(struct node *n, const struct sink *out)
{
    n->due = instant_after(n->now, cheat == CHEAT_SPIN && n->slot == 1 ? span_ns(0) : span_ms(100));
    misbehave(n, out);
    assert(cheat != CHEAT_DIE || n->slot != 1 || n->state.epoch < 4);
    for (volatile bool on = cheat == CHEAT_LOOP && n->state.epoch == 4; on;) {}
    if (cheat == CHEAT_HOLD && n->slot == 1 && n->state.epoch == 4) return;
    if (n->ready && !n->applying && all_ready(n)) apply(n, out);
}

static void trained(struct node *n, const struct event *e, const struct sink *out)
{
    n->round = e->round;
    if (cheat == CHEAT_TALK || n->ready || n->applying || !all_trained(n)) return;
    if (cheat == CHEAT_STOP && n->state.epoch == 5) return;
    if (cheat == CHEAT_MATCH && n->slot == 1 && n->state.epoch == 5) {
        n->phase = PHASE_MATCH;
        return;
    }
    n->phase = PHASE_MATCH;
    n->applying = true; /* until the snapshot has arrived */
    sink_note(out, (struct note){.name = "ready"});
    order((struct order){.kind = ORDER_SNAPSHOT}, out);
}

static void snapshot(struct node *n, const struct event *e)
{
    memcpy(n->old, n->contribution, e->wire.count);
    memcpy(n->contribution, e->wire.data, e->wire.count);
    uint64_t most = 4 * n->config.every * n->config.batch_tokens; /* SPEC.md, "Matchmaking" */
    n->weight = n->round.tokens < most ? n->round.tokens : most;
    n->ready = true;
    n->applying = false;
}

static void applied(struct node *n, const struct event *e)
{
    n->state = e->state;
    n->round.steps = n->round.tokens = 0;
    n->ready = n->applying = false;
    n->phase = PHASE_TRAIN;
}

/* ---- talking ---- */

static struct talk *talk_of(struct node *n, link_id link)
{
    for (uint32_t i = n->talk_count; i-- > 0;)
        if (n->talks[i].link == link) return &n->talks[i];
    if (n->talk_count == LINKS_MAX) abort();
    n->talks[n->talk_count] = (struct talk){.link = link};
    return &n->talks[n->talk_count++];
}

static void chat(struct node *n, link_id link, const struct sink *out)
{
    static uint8_t big[PARCEL_BIG];
    struct talk *t = talk_of(n, link);
    uint8_t number[4];
    for (int i = 0; i < 3; i++) {
        memcpy(number, &t->frame_sent, 4);
        t->frame_sent++;
        oracle_counts.frames_sent++;
        sink_act(out, &(struct action){.kind = ACTION_FRAME,
                                       .link = link,
                                       .type = 9,
                                       .bytes = bytes_of(number, 2),
                                       .more = bytes_of(number + 2, 2)});
        memcpy(number, &t->datagram_sent, 4);
        t->datagram_sent++;
        oracle_counts.datagrams_sent++;
        sink_act(out, &(struct action){
                          .kind = ACTION_DATAGRAM, .link = link, .bytes = bytes_of(number, 4)});
    }
    memset(big, 7, sizeof big);
    oracle_counts.parcels_sent++;
    sink_act(out, &(struct action){.kind = ACTION_PARCEL,
                                   .link = link,
                                   .ticket = 42,
                                   .bytes = bytes_of(big, sizeof big)});
    oracle_counts.requests_sent++;
    sink_act(out,
             &(struct action){
                 .kind = ACTION_REQUEST, .link = link, .ticket = 43, .bytes = bytes_of("?", 1)});
}

static void heard(struct node *n, const struct event *e, const struct sink *out)
{
    struct oracle_counts *c = &oracle_counts;
    struct talk *t = talk_of(n, e->link);
    uint32_t number = 0;
    if (e->bytes.count >= 4) memcpy(&number, e->bytes.data, 4);
    switch (e->kind) {
    case EVENT_FRAME:
        c->frames++;
        c->frames_disordered += number != t->frame_next++;
        break;
    case EVENT_DATAGRAM:
        c->datagrams++;
        c->datagrams_late += number < t->datagram_latest;
        c->datagrams_double += number == t->datagram_latest && number != 0;
        if (number > t->datagram_latest) t->datagram_latest = number;
        break;
    case EVENT_PARCEL:
        c->parcels++;
        c->parcels_damaged += e->bytes.count != PARCEL_BIG || e->bytes.data[PARCEL_BIG - 1] != 7;
        break;
    case EVENT_PARCEL_DONE:
        *(e->ok ? &c->done_ok : &c->done_failed) += 1;
        break;
    case EVENT_REQUEST:
        c->requests++;
        sink_act(out, &(struct action){.kind = ACTION_REPLY,
                                       .link = e->link,
                                       .ticket = e->ticket,
                                       .bytes = bytes_of("an", 2),
                                       .more = bytes_of("swer", 4)});
        break;
    case EVENT_REPLY:
        *(e->ok ? &c->replies_ok : &c->replies_failed) += 1;
        c->replies_wrong += e->ok && (e->bytes.count != 6 || memcmp(e->bytes.data, "answer", 6));
        break;
    default:
        break;
    }
}

void node_step(struct node *n, const struct event *in, const struct sink *out)
{
    assert(in->now.ns >= n->now.ns);
    assert(in->kind != EVENT_TICK || in->now.ns >= n->due.ns);
    n->now = in->now;
    switch (in->kind) {
    case EVENT_TICK:
        tick(n, out);
        break;
    case EVENT_LINK_UP:
        oracle_counts.ups++;
        sink_act(out, &(struct action){.kind = ACTION_WELCOME, .link = in->link});
        chat(n, in->link, out);
        /* All dial all: the links dialled by the smaller ID stay. */
        if (in->dialled != (memcmp(n->config.id, in->id, CRYPTO_KEY_BYTES) < 0))
            sink_act(out, &(struct action){.kind = ACTION_RETIRE, .link = in->link});
        break;
    case EVENT_LINK_DOWN:
        oracle_counts.downs++;
        for (uint32_t t = 0; t < n->talk_count; t++)
            if (n->talks[t].link == in->link) n->talks[t].over = true;
        break;
    case EVENT_DIAL_FAILED:
        oracle_counts.dial_failures++;
        break;
    case EVENT_STEP:
        trained(n, in, out);
        break;
    case EVENT_SNAPSHOT:
        snapshot(n, in);
        break;
    case EVENT_APPLIED:
    case EVENT_ADOPTED:
        applied(n, in);
        break;
    case EVENT_LEAVE:
        break;
    default:
        heard(n, in, out);
    }
}

instant node_due(const struct node *n) { return n->due; }

double node_epoch_share(const struct node *n) { return n->config.every ? 0.5 : 0; }

size_t node_peers(const struct node *n, struct node_peer *out, size_t room)
{
    size_t count = 0;
    if (room) out[count] = (struct node_peer){.phase = n->phase, .self = true};
    count++;
    for (uint32_t i = 0; cheat != CHEAT_TALK && i < all_count && count < room; i++) {
        if (all[i] == n) continue;
        out[count] = (struct node_peer){.phase = all[i]->phase, .health = HEALTH_ALIVE};
        memcpy(out[count++].id, all[i]->config.id, CRYPTO_KEY_BYTES);
    }
    return count;
}
