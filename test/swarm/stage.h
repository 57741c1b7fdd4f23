/* stage.h -- one real node, and strangers simulated by the test: they have keys and links, and send
 * what the test wants. */
#ifndef SHOAL_TEST_SWARM_STAGE_H
#define SHOAL_TEST_SWARM_STAGE_H

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "swarm/lineage.h"
#include "swarm/node.h"
#include "swarm/wire.h"
#include "test/sim/standin.h"

#define STAGE_ACTIONS    4096
#define STAGE_POOL       (4u << 20)
#define STAGE_PARAMETERS 9000

struct stage {
    struct node *node;
    struct node_config config;
    struct standin standin;
    struct crypto crypto;
    struct arena room;
    float anchor[STAGE_PARAMETERS], momentum[STAGE_PARAMETERS];
    uint8_t leaves[3 * CRYPTO_DIGEST_BYTES];
    struct lineage_state state;
    instant now;
    struct action actions[STAGE_ACTIONS]; /* since stage_forget, bytes copied */
    size_t actions_count;
    uint8_t *pool;
    size_t pool_used;
    struct peer_address bootstrap[4];
};

struct stranger {
    uint8_t id[CRYPTO_KEY_BYTES];
    struct standin standin;
    struct crypto crypto;
    link_id link;
    uint16_t port; /* of its links */
    struct version version;
    struct record_progress progress;
    uint64_t life;       /* identifies its process in HELLO; 0: it has version 1.0 */
    char shared[64];     /* the shared settings it sends */
    struct address sees; /* the address at which it claims to see the node */
    struct bytes shown;  /* the admission in its HELLO */
};

static inline struct bytes stage_copy(struct stage *s, struct bytes b)
{
    if (b.count == 0) return b;
    assert(s->pool_used + b.count <= STAGE_POOL);
    memcpy(s->pool + s->pool_used, b.data, b.count);
    s->pool_used += b.count;
    return bytes_of(s->pool + s->pool_used - b.count, b.count);
}

/* Does the action carry a message: type, bytes, more? */
static inline bool stage_carries(const struct action *a)
{
    return a->kind >= ACTION_DATAGRAM && a->kind <= ACTION_REPLY;
}

static inline void stage_act(void *self, struct action *a)
{
    struct stage *s = self;
    if (s->actions_count == STAGE_ACTIONS) return;
    struct action *b = &s->actions[s->actions_count++];
    *b = *a;
    if (a->kind == ACTION_STATE) b->part.floats = stage_copy(s, a->part.floats);
    if (a->kind == ACTION_HANG_UP)
        b->text = (const char *)stage_copy(s, bytes_of(a->text, strlen(a->text) + 1)).data;
    if (a->kind == ACTION_NOTE && a->note.word.key)
        b->note.word.value = (const char *)stage_copy(
                                 s, bytes_of(a->note.word.value, strlen(a->note.word.value) + 1))
                                 .data;
    if (a->kind == ACTION_REPLAY) b->replay.mean = stage_copy(s, a->replay.mean);
    if (!stage_carries(a)) return;
    b->bytes = stage_copy(s, a->bytes);
    b->more = stage_copy(s, a->more);
}

static inline void stage_forget(struct stage *s) { s->actions_count = s->pool_used = 0; }

static inline void stage_give(struct stage *s, struct event e)
{
    struct sink out = {s, stage_act};
    e.now = s->now;
    node_step(s->node, &e, &out);
}

/* Lets time pass, with ticks when the node wants them. */
static inline void stage_pass(struct stage *s, span length)
{
    instant end = instant_after(s->now, length);
    while (node_due(s->node).ns <= end.ns) {
        s->now = instant_max(s->now, node_due(s->node));
        stage_give(s, (struct event){.kind = EVENT_TICK});
    }
    s->now = end;
}

static inline void stage_init(struct stage *s)
{
    memset(s, 0, sizeof *s);
    s->pool = malloc(STAGE_POOL);
    s->now = (instant){span_s(100).ns};
    s->standin = (struct standin){.world = 5, .rng = rng_init(9)};
    for (int i = 0; i < CRYPTO_KEY_BYTES; i++) s->standin.key[i] = (uint8_t)(0x80 + i);
    s->crypto = standin_crypto(&s->standin);
    s->config = (struct node_config){.incarnation = 1000,
                                     .crypto = &s->crypto,
                                     .rng = rng_init(3),
                                     .parameters = STAGE_PARAMETERS,
                                     .every = 10,
                                     .batch_tokens = 100,
                                     .epochs = 1000,
                                     .group_min = 2,
                                     .group_max = NODE_GROUP_MAX,
                                     .past_rounds = NODE_PAST_MAX,
                                     .bandwidth_mbps = 100,
                                     .bootstrap = s->bootstrap};
    memcpy(s->config.id, s->standin.key, CRYPTO_KEY_BYTES);
    memset(s->config.run_id, 7, sizeof s->config.run_id);
    lineage_genesis(&s->crypto, s->config.run_id, s->state.lineage);
    s->state.anchor = s->anchor;
    s->state.momentum = s->momentum;
    s->state.leaves = s->leaves;
    const struct outer_layout l = outer_layout_of(STAGE_PARAMETERS);
    assert(sizeof s->leaves == outer_leaves_bytes(&l));
    outer_leaves(&s->crypto, &l, s->anchor, s->momentum, s->leaves);
    outer_digest(&s->crypto, &l, s->leaves, s->state.digest);
}

static inline void stage_start(struct stage *s)
{
    struct sink out = {s, stage_act};
    struct round_progress none = {0};
    struct why why = {0};
    size_t past = node_past_bytes(STAGE_PARAMETERS, NODE_PAST_MAX);
    if (arena_open(&s->room, node_bytes(&s->config) + past + 64, &why)) abort();
    s->config.past = arena_array(&s->room, uint8_t, past);
    s->node = node_init(&s->config, &s->state, &none, &s->room, s->now, &out, &why);
    if (!s->node) abort();
}

static inline void stage_fini(struct stage *s)
{
    arena_close(&s->room);
    free(s->pool);
}

static inline int stage_type(const struct action *a)
{
    if (a->kind == ACTION_FRAME) return a->type;
    return stage_carries(a) && a->bytes.count ? a->bytes.data[0] : -1;
}

/* The latest action of this kind (and frame type, or first byte), or NULL. */
static inline const struct action *stage_find(const struct stage *s, enum action_kind kind,
                                              int type)
{
    for (size_t i = s->actions_count; i-- > 0;) {
        const struct action *a = &s->actions[i];
        if (a->kind == kind && (type < 0 || stage_type(a) == type)) return a;
    }
    return NULL;
}

static inline size_t stage_count(const struct stage *s, enum action_kind kind, int type)
{
    size_t n = 0;
    for (size_t i = 0; i < s->actions_count; i++) {
        const struct action *a = &s->actions[i];
        n += a->kind == kind && (type < 0 || stage_type(a) == type);
    }
    return n;
}

/* The latest of this kind, or NULL. */
static inline const struct order *stage_order(const struct stage *s, enum order_kind kind)
{
    for (size_t i = s->actions_count; i-- > 0;)
        if (s->actions[i].kind == ACTION_ORDER && s->actions[i].order.kind == kind)
            return &s->actions[i].order;
    return NULL;
}

static inline const struct note *stage_note(const struct stage *s, const char *name)
{
    for (size_t i = s->actions_count; i-- > 0;)
        if (s->actions[i].kind == ACTION_NOTE && !strcmp(s->actions[i].note.name, name))
            return &s->actions[i].note;
    return NULL;
}

/* Answers an order as the trainer would, if it needs an answer; `wire`: the contribution. */
static inline void stage_obey(struct stage *s, const struct order *o, struct bytes wire)
{
    if (o->kind == ORDER_SNAPSHOT)
        stage_give(s, (struct event){.kind = EVENT_SNAPSHOT, .wire = wire});
    if (o->kind != ORDER_APPLY && o->kind != ORDER_ADOPT) return;
    s->state.epoch = o->epoch;
    s->state.lineage_tokens = o->lineage_tokens;
    memcpy(s->state.lineage, o->lineage, sizeof s->state.lineage);
    stage_give(s, (struct event){.kind = o->kind == ORDER_APPLY ? EVENT_APPLIED : EVENT_ADOPTED,
                                 .state = s->state});
}

/* The node's view of a stranger; NULL: unknown. */
static inline const struct node_peer *stage_view(const struct stage *s, const struct stranger *x)
{
    static struct node_peer peers[64];
    size_t n = node_peers(s->node, peers, 64);
    for (size_t i = 0; i < n && i < 64; i++)
        if (!memcmp(peers[i].id, x->id, CRYPTO_KEY_BYTES)) return &peers[i];
    return NULL;
}

/* Makes the dial of this peer fail. */
static inline void stage_fail_dial(struct stage *s, const uint8_t id[CRYPTO_KEY_BYTES],
                                   uint32_t code)
{
    struct event e = {.kind = EVENT_DIAL_FAILED, .code = code};
    memcpy(e.id, id, sizeof e.id);
    stage_give(s, e);
}

/* ---- strangers ---- */

static inline void stranger_init(struct stranger *x, const struct stage *s, uint8_t number)
{
    memset(x, 0, sizeof *x);
    for (int i = 0; i < CRYPTO_KEY_BYTES; i++) x->id[i] = (uint8_t)(number + 3 * i);
    x->standin = (struct standin){.world = s->standin.world, .rng = rng_init(number)};
    memcpy(x->standin.key, x->id, CRYPTO_KEY_BYTES);
    x->crypto = standin_crypto(&x->standin);
    x->link = number;
    x->port = 4433;
    x->version = (struct version){500, 0};
    x->sees = (struct address){4, {10, 0, 0, 200}, 999};
    x->progress = (struct record_progress){.phase = PHASE_TRAIN, .flags = PROGRESS_SERVES};
    memcpy(x->progress.lineage, s->state.lineage, CRYPTO_DIGEST_BYTES);
    struct reader r = reader_init(bytes_of(s->state.digest, 8));
    x->progress.digest = reader_u64(&r);
}

static inline struct version stranger_next(struct stranger *x)
{
    x->version.seq++;
    return x->version;
}

static inline size_t stranger_sign(struct stranger *x, const struct stage *s, struct record r,
                                   uint8_t *out)
{
    return record_write(&x->crypto, s->config.run_id, &r, out);
}

/* Its PEER record, with an address at this port; 0: without an address. */
static inline size_t stranger_peer_at(struct stranger *x, const struct stage *s, uint16_t port,
                                      uint8_t *out)
{
    struct record r = {.kind = RECORD_PEER};
    memcpy(r.peer.id, x->id, CRYPTO_KEY_BYTES);
    r.peer.version = stranger_next(x);
    r.peer.addresses_count = port != 0;
    r.peer.addresses[0] = (struct address){4, {10, 0, 0, x->id[0]}, port};
    return stranger_sign(x, s, r, out);
}

static inline size_t stranger_peer(struct stranger *x, const struct stage *s, uint8_t *out)
{
    return stranger_peer_at(x, s, 4433, out);
}

static inline void stranger_frame(struct stranger *x, struct stage *s, uint8_t type, struct bytes b)
{
    stage_give(s, (struct event){.kind = EVENT_FRAME, .link = x->link, .type = type, .bytes = b});
}

/* Sends one record as GOSSIP. */
static inline void stranger_says(struct stranger *x, struct stage *s, uint32_t age_ms,
                                 struct bytes record)
{
    uint8_t room[512];
    struct writer w = writer_init(room, sizeof room);
    bool fits = record_pack(&w, age_ms, record);
    assert(fits);
    stranger_frame(x, s, WIRE_GOSSIP, writer_bytes(&w));
}

/* A record of its progress, not signed. */
static inline struct record stranger_record(const struct stranger *x, struct version version)
{
    struct record r = {.kind = RECORD_PROGRESS, .progress = x->progress};
    r.progress.sid = wire_sid(x->id);
    r.progress.version = version;
    return r;
}

static inline void stranger_progress(struct stranger *x, struct stage *s)
{
    uint8_t bytes[RECORD_BYTES_MAX];
    struct record r = stranger_record(x, stranger_next(x));
    stranger_says(x, s, 0, bytes_of(bytes, stranger_sign(x, s, r, bytes)));
}

static inline size_t stranger_hello(struct stranger *x, const struct stage *s, uint16_t major,
                                    const uint8_t run[CRYPTO_DIGEST_BYTES], uint8_t *out,
                                    size_t room)
{
    uint8_t peer[RECORD_BYTES_MAX];
    size_t count = stranger_peer(x, s, peer);
    struct writer w = writer_init(out, room);
    writer_u16(&w, major);
    writer_u16(&w, 0);
    writer_copy(&w, run, CRYPTO_DIGEST_BYTES);
    wire_write_address(&w, &x->sees);
    writer_u16(&w, (uint16_t)x->shown.count);
    writer_copy(&w, x->shown.data, x->shown.count);
    writer_u16(&w, (uint16_t)count);
    writer_copy(&w, peer, count);
    if (!x->life) return w.used;
    writer_u64(&w, x->life);
    writer_u16(&w, (uint16_t)strlen(x->shared));
    writer_copy(&w, x->shared, strlen(x->shared));
    assert(!w.full);
    return w.used;
}

/* The admission in the node's own HELLO, which it has sent since stage_forget. */
static inline struct bytes stage_admission(const struct stage *s)
{
    const struct action *a = stage_find(s, ACTION_FRAME, WIRE_HELLO);
    if (!a) return bytes_of(NULL, 0);
    struct reader r = reader_init(a->bytes);
    (void)reader_bytes(&r, 4 + CRYPTO_DIGEST_BYTES + 19);
    return reader_bytes(&r, reader_u16(&r));
}

static inline void stranger_link(struct stranger *x, struct stage *s)
{
    struct event e = {
        .kind = EVENT_LINK_UP, .link = x->link, .address = {4, {10, 0, 0, x->id[0]}, x->port}};
    memcpy(e.id, x->id, CRYPTO_KEY_BYTES);
    stage_give(s, e);
}

/* Makes it a member, by a link, HELLO and PROGRESS. */
static inline void stranger_joins(struct stranger *x, struct stage *s)
{
    uint8_t hello[512];
    stranger_link(x, s);
    size_t n = stranger_hello(x, s, WIRE_MAJOR, s->config.run_id, hello, sizeof hello);
    stranger_frame(x, s, WIRE_HELLO, bytes_of(hello, n));
    stranger_progress(x, s);
}

/* Answers every PING that the node has sent it since stage_forget. */
static inline void stranger_answers(struct stranger *x, struct stage *s)
{
    size_t n = s->actions_count;
    for (size_t i = 0; i < n; i++) {
        struct action a = s->actions[i];
        if (a.kind != ACTION_DATAGRAM || a.link != x->link || a.bytes.data[0] != WIRE_PING)
            continue;
        uint8_t pong[13];
        struct writer w = writer_init(pong, sizeof pong);
        writer_u8(&w, WIRE_PONG);
        writer_copy(&w, a.bytes.data + 1, 12);
        stage_give(
            s, (struct event){.kind = EVENT_DATAGRAM, .link = x->link, .bytes = writer_bytes(&w)});
    }
}

static inline size_t stranger_suspects(struct stranger *x, const struct stage *s, sid target,
                                       uint64_t incarnation, uint8_t *out)
{
    struct record r = {
        .kind = RECORD_SUSPECT,
        .suspect = {.accuser = wire_sid(x->id), .target = target, .incarnation = incarnation}};
    return stranger_sign(x, s, r, out);
}

#endif
