#include "lies.h"

#include <string.h>

#include "draw.h"
#include "far.h"
#include "lies_parts.h"
#include "swarm/node_parts.h"
#include "swarm/wire.h"
#include "world.h"

#define STALLED_S       180 /* what several that say the same cost a round: SPEC.md, "Averaging" */
#define PING_HEAD_BYTES 13  /* type, nonce, view digest */

void lies_of(uint64_t seed, uint32_t nodes, struct scenario *s, uint64_t needed[FAULT_COUNT])
{
    struct rng r = rng_split(rng_init(seed), 11);
    memset(s, 0, sizeof *s);
    s->kind = scenario_kind_of(seed, WORLDS_LIES);
    s->nodes = nodes ? nodes : (uint32_t)between(&r, 4, rng_below(&r, 4) ? 8 : 20);
    if (s->nodes < 4) s->nodes = 4;
    far_swarm(&r, s);
    for (uint64_t i = between(&r, 1, (s->nodes - 1) / 3); i > 0; i--)
        s->fabulists |= 1u << rng_below(&r, s->nodes);
    if (s->kind == LIES_RELAY) far_holes(&r, s, ~s->fabulists);
    if (s->kind == LIES_STALL) {
        span more = span_ns(span_s(STALLED_S).ns * (__builtin_popcount(s->fabulists) > 1 ? 3 : 1));
        s->slack.ns += more.ns;
        s->round.ns += more.ns;
    }
    /* There may be nothing to relay, and nobody who asks for means. */
    needed[FAULT_TALE] = s->kind != LIES_RELAY && s->kind != LIES_MEANS;
    scenario_plan_times(&r, s);
}

/* What it makes of this record is the same each time it is asked. */
static struct rng dice(const struct world *w, const struct sim_node *n, struct version v)
{
    return rng_init(rng_at(w->options.seed, v.incarnation ^ v.seq) + (uint64_t)n->index);
}

static uint64_t any_size(struct rng *r) { return rng_next(r) >> rng_below(r, 64); }

static void tell_history(struct rng *r, struct record_progress *p)
{
    if (rng_below(r, 2)) p->lineage[rng_below(r, CRYPTO_DIGEST_BYTES)] ^= 1;
    if (rng_below(r, 2)) p->epoch += (uint32_t)between(r, 1, 5);
    p->lineage_tokens += any_size(r) >> 1;
    if (rng_below(r, 2)) p->digest_epoch = p->epoch;
}

static void tell_work(struct rng *r, struct record_progress *p)
{
    p->steps = (uint32_t)any_size(r);
    p->tokens = any_size(r);
    p->tokens_per_s = (uint32_t)any_size(r);
    p->step_ms = (uint32_t)any_size(r);
    p->eta_ms = (uint32_t)any_size(r);
}

static void tell_phase(struct rng *r, struct record_progress *p)
{
    static const enum peer_phase phases[] = {PHASE_JOIN,  PHASE_SYNC,   PHASE_TRAIN,
                                             PHASE_MATCH, PHASE_REDUCE, PHASE_DONE};
    p->phase = phases[rng_below(r, sizeof phases / sizeof *phases)];
    p->flags = rng_below(r, 2) ? PROGRESS_SERVES | PROGRESS_NEAR : 0;
}

static void tell_address(const struct world *w, struct rng *r, struct record_peer *p)
{
    for (int i = 0; i < p->addresses_count; i++) {
        p->addresses[i] = w->nodes[rng_below(r, w->node_count)].address;
        if (rng_below(r, 2)) p->addresses[i].port ^= 1;
    }
}

static bool change(const struct world *w, const struct sim_node *n, struct record *record)
{
    const enum scenario_kind kind = w->scenario.kind;
    bool peer = kind == LIES_ADDRESS, accuses = kind == LIES_ACCUSE;
    if (record->kind != (peer ? RECORD_PEER : RECORD_PROGRESS) || accuses) return false;
    if (kind == LIES_HISTORY && record->progress.epoch < 2) return false;
    struct rng r = dice(w, n, peer ? record->peer.version : record->progress.version);
    if (kind == LIES_HISTORY) tell_history(&r, &record->progress);
    if (kind == LIES_WORK) tell_work(&r, &record->progress);
    if (kind == LIES_DIGEST) record->progress.digest = rng_next(&r);
    if (kind == LIES_PHASE) tell_phase(&r, &record->progress);
    if (kind == LIES_ADDRESS) tell_address(w, &r, &record->peer);
    return true;
}

static void append(struct world *w, struct sim_node *n, const struct record *record,
                   struct writer *to)
{
    uint8_t bytes[RECORD_BYTES_MAX];
    size_t count = record_write(&n->crypto, w->run_id, record, bytes);
    if (record_pack(to, 0, bytes_of(bytes, count))) w->report->faults[FAULT_TALE]++;
}

static void accuse(struct world *w, struct sim_node *n, struct writer *to)
{
    for (uint32_t i = 0; i < w->node_count; i++) {
        const struct sim_node *o = &w->nodes[i];
        if (o == n || !o->alive) continue;
        struct record suspect = {.kind = RECORD_SUSPECT,
                                 .suspect = {wire_sid(n->id), wire_sid(o->id), o->incarnation}};
        append(w, n, &suspect, to);
    }
}

/* Copies enveloped records, those of its own changed. False: these are none. */
static bool copy(struct world *w, struct sim_node *n, struct bytes from, struct writer *to)
{
    struct reader in = reader_init(from);
    struct bytes bytes;
    uint32_t age_ms;
    while (record_unpack(&in, &age_ms, &bytes)) {
        struct record record;
        uint8_t changed[RECORD_BYTES_MAX];
        if (!record_read(bytes, &record)) return false;
        if (record_writer(&record) == wire_sid(n->id) && change(w, n, &record)) {
            bytes = bytes_of(changed, record_write(&n->crypto, w->run_id, &record, changed));
            w->report->faults[FAULT_TALE]++;
        }
        record_pack(to, age_ms, bytes);
    }
    return !in.bad;
}

/* By its number a liar keeps all that it relays, changes it, or sends it three times. */
static uint32_t relay_falsely(struct world *w, struct sim_node *n, struct action *a)
{
    bool carries = a->kind == ACTION_FRAME || a->kind == ACTION_PARCEL || a->kind == ACTION_REQUEST;
    if (!carries) return 1; /* without bytes: a dial has others in their place */
    struct reader in = reader_init(a->bytes);
    uint8_t type = a->kind == ACTION_FRAME ? a->type : reader_u8(&in);
    if (type != WIRE_RELAY || reader_u64(&in) == wire_sid(n->id)) return 1;
    w->report->faults[FAULT_TALE]++;
    if (n->index % 3 == 0) return 0;
    if (n->index % 3 == 1 || a->bytes.count > sizeof w->tale) return 3;
    memcpy(w->tale, a->bytes.data, a->bytes.count);
    w->tale[a->bytes.count - 1] ^= 1;
    a->bytes = bytes_of(w->tale, a->bytes.count);
    return 1;
}

/* Each message many times, but bulk, which takes its link's share of a line and no more. */
static uint32_t flood(struct world *w, const struct action *a)
{
    bool repeats = a->kind == ACTION_FRAME || a->kind == ACTION_DATAGRAM ||
                   (a->kind == ACTION_REQUEST && !wire_bulk(a->bytes.data[0]));
    if (!repeats) return 1;
    w->report->faults[FAULT_TALE]++;
    return 10;
}

#define BEGAN_MS  1764000000000u /* unix time of the world's beginning: world.c */
#define BEFORE_MS 86400000u

static const uint8_t owner_key[CRYPTO_KEY_BYTES] = {0x0e, 7};

void lies_ticket(struct world *w, struct sim_node *n)
{
    struct standin owner = {.world = n->standin.world};
    memcpy(owner.key, owner_key, sizeof owner.key);
    bool lies = node_lies(w, n), ended = n->index % 3 == 0, forged = n->index % 3 == 1;
    struct crypto signer = lies && forged ? n->crypto : standin_crypto(&owner);
    struct ticket t = {
        .until_s = (lies && ended ? BEGAN_MS - BEFORE_MS / 2 : 2 * (uint64_t)BEGAN_MS) / 1000,
        .rights = TICKET_TRAIN,
        .serial = 1 + (uint32_t)n->index};
    bool another = lies && !ended && !forged;
    memcpy(t.id, another ? w->nodes[(n->index + 1) % (int)w->node_count].id : n->id, sizeof t.id);
    ticket_write(&signer, w->run_id, &t, n->ticket);
    n->config.ticket_key = owner_key;
    n->config.ticket = bytes_of(n->ticket, sizeof n->ticket);
    w->report->faults[FAULT_TALE] += lies;
}

/* The time of day: wrong where a ticket would be over. */
static uint64_t wall_ms(const struct world *w, const struct sim_node *n)
{
    uint64_t now = BEGAN_MS + span_in_ms(span_ns(w->now.ns));
    return node_lies(w, n) && n->index % 3 == 0 ? now - BEFORE_MS : now;
}

/* What it has trained, and what its line carries, is what it takes them for. */
void lies_think(struct world *w, struct sim_node *n, struct event *e)
{
    if (w->scenario.kind == LIES_TICKET) e->wall_ms = wall_ms(w, n);
    if (w->scenario.kind != LIES_READY || !node_lies(w, n)) return;
    struct node *mind = n->node;
    struct rng r = rng_init(rng_at(w->options.seed, mind->state.epoch) + (uint64_t)n->index);
    uint64_t times = any_size(&r) | 1;
    uint32_t kbps = (uint32_t)any_size(&r) | 1;
    mind->match.config.weight_max = MATCH_WEIGHT_MAX;
    mind->up.count = RATE_TRAINS;
    for (uint32_t i = 0; i < RATE_TRAINS; i++) mind->up.kbps[i] = kbps;
    if (e->kind != EVENT_STEP) return;
    e->round.tokens = ((e->round.tokens * times) & (MATCH_WEIGHT_MAX - 1)) | 1;
    e->round.step_ms = (uint32_t)any_size(&r);
    w->report->faults[FAULT_TALE]++;
}

static uint32_t gossip_falsely(struct world *w, struct sim_node *n, struct action *a)
{
    bool datagram = a->kind == ACTION_DATAGRAM, reply = a->kind == ACTION_REPLY;
    if (!datagram && !reply && a->kind != ACTION_FRAME) return 1;
    uint8_t type = reply ? WIRE_GOSSIP : datagram ? a->bytes.data[0] : a->type;
    bool ping = type == WIRE_PING || type == WIRE_PONG;
    size_t head = !datagram ? 0 : ping ? PING_HEAD_BYTES : 1;
    size_t room = datagram ? LINK_DATAGRAM_BYTES_MAX : sizeof w->tale;
    if ((!ping && type != WIRE_GOSSIP) || a->bytes.count < head || a->bytes.count > room) return 1;
    struct writer to = writer_init(w->tale, room);
    writer_copy(&to, a->bytes.data, head);
    if (!copy(w, n, bytes_of(a->bytes.data + head, a->bytes.count - head), &to)) return 1;
    if (!reply && w->scenario.kind == LIES_ACCUSE) accuse(w, n, &to);
    a->bytes = writer_bytes(&to);
    return 1;
}

void lies_tell(struct world *w, struct sim_node *n, struct action *a, const struct sink *out)
{
    uint32_t times = 1;
    switch (w->scenario.kind) {
    case LIES_MATCH:
        times = lies_match(w, n, a);
        break;
    case LIES_MEANS:
        times = lies_means(w, n, a, out);
        break;
    case LIES_STALL:
        times = lies_stall(w, n, a);
        break;
    case LIES_FLOOD:
        times = flood(w, a);
        break;
    case LIES_RELAY:
        times = relay_falsely(w, n, a);
        break;
    case LIES_READY:
    case LIES_TICKET:
        break; /* what it thinks, or shows, is false */
    default:
        times = gossip_falsely(w, n, a);
    }
    for (; times > 0; times--) sink_act(out, a);
}
