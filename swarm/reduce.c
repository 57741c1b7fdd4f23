#include "reduce.h"

#include <assert.h>
#include <stdio.h>

#include "owners.h"
#include "parcel.h"
#include "wire.h"

/* SPEC.md, "Timers". */
#define T_BEAT_S   1  /* STAGE goes to all members this often */
#define T_STALL_S  5  /* a member without a word for so long is suspected */
#define T_REDUCE_S 10 /* and three estimates: from the snapshots to the end of GATHER */
#define T_RESCUE_S 5  /* and one estimate: GATHER lasts so long after a member was lost, at least */
#define REDUCE_TIMES                                                                               \
    4 /* GATHER lasts so many times T_REDUCE at most, as long as chunks are settled */
#define T_SNAPSHOT_S 10 /* and three inner steps: the wait for snapshots */
#define T_CLOSE_S    10 /* and one estimate: the wait for agreement */
#define GAP_S        3 /* no tick for so long: this process stood still, and accuses nobody of it */

#define AVERAGES_A_CALL                                                                            \
    8               /* chunks averaged in one call: some milliseconds each at the largest size */
#define ASKS_MAX 16 /* chunks asked of whoever has taken them over, at one time */

#define VARIANT_BYTES (1 + CRYPTO_DIGEST_BYTES)
#define GID_BYTES     CRYPTO_DIGEST_BYTES
#define STAGE_BYTES   (GID_BYTES + 1 + 4 + CRYPTO_DIGEST_BYTES)
#define NEED_BYTES    (GID_BYTES + 4 + 1)
#define HAVE_BYTES    (GID_BYTES + 4 + 1 + 4 + CRYPTO_DIGEST_BYTES)
#define FETCH_BYTES   (1 + GID_BYTES + 4 + CRYPTO_DIGEST_BYTES)

enum ticket_kind { TICKET_CONTRIBUTION, TICKET_RESULT, TICKET_VEC, TICKET_FETCH };

static const uint8_t zeros[CRYPTO_DIGEST_BYTES];

static void review(struct reduce *r, const struct sink *out);

/* ---- small things ---- */

static struct bytes text(const char *s) { return bytes_of(s, strlen(s)); }

static uint32_t bit(uint32_t i) { return (uint32_t)1 << i; }

static uint32_t self_of(const struct reduce *r) { return r->group.self; }

static bool running(const struct reduce *r)
{
    return r->state == REDUCE_GATHER || r->state == REDUCE_CLOSING;
}

static int member_of(const struct reduce *r, sid peer)
{
    for (uint32_t i = 0; i < r->group.count; i++)
        if (r->group.members[i].sid == peer) return (int)i;
    return -1;
}

static size_t wire_bytes_of(const struct reduce *r, uint32_t c)
{
    return outer_wire_bytes(outer_chunk_count(&r->config.layout, c));
}

static uint8_t *mean_of(const struct reduce *r, uint32_t c)
{
    return r->means + outer_wire_offset(&r->config.layout, c);
}

static int variant_compare(const struct reduce_variant *a, const struct reduce_variant *b)
{
    if (a->rank != b->rank) return a->rank < b->rank ? -1 : 1;
    return memcmp(a->digest, b->digest, CRYPTO_DIGEST_BYTES);
}

static uint64_t ticket_of(const struct reduce *r, enum ticket_kind kind, uint32_t c,
                          uint32_t member)
{
    return REDUCE_TICKET | (uint64_t)kind << 60 | (uint64_t)r->serial << 40 | (uint64_t)c << 8 |
           member;
}

static void note(const struct reduce *r, const struct sink *out, const char *name, const char *key,
                 uint64_t value)
{
    struct action a = {.kind = ACTION_NOTE, .text = name};
    a.note.numbers[0].key = "round";
    a.note.numbers[0].value = r->group.round;
    a.note.numbers[1].key = key;
    a.note.numbers[1].value = value;
    a.note.hex.key = "gid";
    a.note.hex.value = bytes_of(r->group.gid, GID_BYTES);
    sink_act(out, &a);
}

/* The member as the first 16 digits of its ID: as a number it would not survive JSON, whose readers keep 53 bits. */
static void note_suspect(const struct reduce *r, const struct sink *out, sid member)
{
    char digits[2 * sizeof member + 1];
    snprintf(digits, sizeof digits, "%016llx", (unsigned long long)__builtin_bswap64(member));
    struct action a = {.kind = ACTION_NOTE, .text = "reduce.suspect"};
    a.note.numbers[0].key = "round";
    a.note.numbers[0].value = r->group.round;
    a.note.word.key = "member";
    a.note.word.value = digits;
    a.note.hex.key = "gid";
    a.note.hex.value = bytes_of(r->group.gid, GID_BYTES);
    sink_act(out, &a);
}

/* ---- what goes out ---- */

static void say(const struct reduce *r, uint32_t member, uint8_t type, struct bytes body,
                const struct sink *out)
{
    sink_act(out, &(struct action){.kind = ACTION_FRAME,
                                   .peer = r->group.members[member].sid,
                                   .type = type,
                                   .bytes = body});
}

static void say_stage(const struct reduce *r, uint32_t member, const struct sink *out)
{
    uint8_t frame[STAGE_BYTES];
    struct writer w = writer_init(frame, sizeof frame);
    writer_copy(&w, r->group.gid, GID_BYTES);
    writer_u8(&w, (uint8_t)r->stage);
    writer_u32(&w, r->close);
    writer_copy(&w, r->stage >= REDUCE_STAGE_CLOSE ? r->root : zeros, CRYPTO_DIGEST_BYTES);
    assert(!w.full);
    say(r, member, WIRE_STAGE, writer_bytes(&w), out);
}

static void say_stage_to_all(struct reduce *r, const struct sink *out)
{
    r->beat = instant_after(r->now, span_s(T_BEAT_S));
    for (uint32_t i = 0; i < r->group.count; i++)
        if (i != self_of(r)) say_stage(r, i, out);
}

static void say_need(const struct reduce *r, uint32_t member, uint32_t c, uint8_t rank,
                     const struct sink *out)
{
    uint8_t frame[NEED_BYTES];
    struct writer w = writer_init(frame, sizeof frame);
    writer_copy(&w, r->group.gid, GID_BYTES);
    writer_u32(&w, c);
    writer_u8(&w, rank);
    say(r, member, WIRE_NEED, writer_bytes(&w), out);
}

/* What I hold of this chunk; rank REDUCE_NULL: nothing, and I shall contribute nothing either. */
static void say_have(const struct reduce *r, uint32_t member, uint32_t c, const struct sink *out)
{
    const struct reduce_variant *best = &r->chunks[c].best;
    uint8_t frame[HAVE_BYTES];
    struct writer w = writer_init(frame, sizeof frame);
    writer_copy(&w, r->group.gid, GID_BYTES);
    writer_u32(&w, c);
    writer_u8(&w, best->rank);
    writer_u32(&w, best->mask);
    writer_copy(&w, best->digest, CRYPTO_DIGEST_BYTES);
    say(r, member, WIRE_HAVE, writer_bytes(&w), out);
}

/* What I hold of a chunk, as a RESULT. */
static struct parcel result_of(const struct reduce *r, uint32_t c)
{
    const struct reduce_variant *best = &r->chunks[c].best;
    struct parcel p = {.type = WIRE_RESULT,
                       .rank = best->rank,
                       .chunk = c,
                       .mask = best->mask,
                       .wire = bytes_of(mean_of(r, c), best->mask ? wire_bytes_of(r, c) : 0)};
    memcpy(p.gid, r->group.gid, GID_BYTES);
    return p;
}

static void send(struct reduce *r, uint32_t member, enum ticket_kind kind, const struct parcel *p,
                 const struct sink *out)
{
    uint8_t head[PARCEL_HEAD_BYTES];
    r->peers[member].in_flight++;
    sink_act(out, &(struct action){.kind = ACTION_PARCEL,
                                   .peer = r->group.members[member].sid,
                                   .ticket = ticket_of(r, kind, p->chunk, member),
                                   .bytes = parcel_head(p, &r->config.layout, head),
                                   .more = p->wire});
}

static void send_contribution(struct reduce *r, uint32_t member, uint32_t c, uint8_t rank,
                              const struct sink *out)
{
    r->chunks[c].given |= bit(member);
    struct parcel p = {
        .type = WIRE_CONTRIBUTION,
        .rank = rank,
        .chunk = c,
        .mask = bit(self_of(r)),
        .wire = bytes_of(r->mine + outer_wire_offset(&r->config.layout, c), wire_bytes_of(r, c))};
    memcpy(p.gid, r->group.gid, GID_BYTES);
    send(r, member, TICKET_CONTRIBUTION, &p, out);
}

static void send_result(struct reduce *r, uint32_t member, uint32_t c, const struct sink *out)
{
    r->chunks[c].told |= bit(member);
    struct parcel p = result_of(r, c);
    send(r, member, TICKET_RESULT, &p, out);
}

/* Results first: they let the others go on. */
static void fill_window_of(struct reduce *r, uint32_t i, const struct sink *out)
{
    struct reduce_peer *p = &r->peers[i];
    if (!p->linked || !p->heard || p->suspect || p->stage >= REDUCE_STAGE_CLOSE) return;
    for (; p->results_next < r->results_count && p->in_flight < REDUCE_WINDOW; p->results_next++) {
        uint32_t c = r->results[p->results_next];
        if (!(r->chunks[c].told & bit(i))) send_result(r, i, c, out);
    }
    if (r->state != REDUCE_GATHER || !r->mine) return;
    /* The owner holds what comes in for REDUCE_WINDOW of its chunks: so far ahead of its results may I be. */
    for (uint32_t place = p->settled;
         place < p->owned && place < p->settled + REDUCE_WINDOW && p->in_flight < REDUCE_WINDOW;
         place++) {
        uint32_t c = r->order[p->first + place];
        if (!r->chunks[c].settled && !(r->chunks[c].given & bit(i)))
            send_contribution(r, i, c, 0, out);
    }
}

static void fill_windows(struct reduce *r, const struct sink *out)
{
    if (r->state == REDUCE_IDLE || r->state == REDUCE_FAILED) return;
    /* from the next member on, so that not all begin with the same one */
    for (uint32_t j = 1; j < r->group.count; j++)
        fill_window_of(r, (self_of(r) + j) % r->group.count, out);
}

/* ---- settling a chunk ---- */

static void settle(struct reduce *r, uint32_t c, const struct reduce_variant *v,
                   const struct sink *out)
{
    struct reduce_chunk *chunk = &r->chunks[c];
    chunk->best = *v;
    if (chunk->fetch == REDUCE_FETCH_WANTED) {
        chunk->fetch = REDUCE_FETCH_NONE;
        r->fetch_wanted--;
    }
    if (chunk->settled) return;
    chunk->settled = true;
    r->rescued = r->rescued || r->peers[chunk->owner].suspect;
    r->settled++;
    r->settled_at = r->now;
    struct reduce_peer *owner = &r->peers[chunk->owner];
    while (owner->settled < owner->owned &&
           r->chunks[r->order[owner->first + owner->settled]].settled)
        owner->settled++;
    for (uint32_t i = 0; i < REDUCE_WINDOW + REDUCE_RESCUE; i++)
        if (r->work[i].busy && r->work[i].chunk == c) r->work[i].busy = false;
    for (uint32_t i = 0; i < r->group.count; i++)
        if (chunk->asked & bit(i)) say_have(r, i, c, out);
    chunk->asked = 0;
}

/* Adds up the contributions that are there, in member order, and quantizes their mean. */
static void average(struct reduce *r, const struct reduce_work *w, const struct sink *out)
{
    uint32_t c = w->chunk, mask = 0;
    size_t n = outer_chunk_count(&r->config.layout, c);
    size_t room = outer_wire_bytes(r->config.layout.chunk_elements);
    uint64_t weights = 0;
    memset(r->accumulator, 0, n * sizeof(float));
    for (uint32_t i = 0; i < r->group.count; i++) {
        const uint8_t *wire = w->contributions + i * room;
        if (i == self_of(r) && r->mine) wire = r->mine + outer_wire_offset(&r->config.layout, c);
        else if (i == self_of(r) || !(w->arrived & bit(i))) continue;
        uint64_t weight = r->group.members[i].offer.weight;
        outer_accumulate(r->accumulator, wire, n, (float)weight);
        weights += weight;
        mask |= bit(i);
    }
    if (mask && !outer_quantize_mean(r->accumulator, n, (float)weights, mean_of(r, c))) mask = 0;
    struct reduce_variant v = {.rank = w->rank, .mask = mask};
    parcel_digest(r->config.crypto, mask, bytes_of(mean_of(r, c), outer_wire_bytes(n)), v.digest);
    r->results[r->results_count++] = c;
    settle(r, c, &v, out);
}

/* When contributions that are not there yet are given up: half of T_REDUCE, so that a late result still gets round;
 * but not before those whose turn has just come could send theirs. */
static instant contributions_due(const struct reduce *r, const struct reduce_work *w)
{
    if (r->base.ns == INSTANT_NEVER.ns) return INSTANT_NEVER;
    return instant_max(
        instant_after(r->base, span_ns(T_STALL_S * 1000000000ull + r->estimate.ns * 3 / 2)),
        instant_after(w->began, span_s(T_STALL_S)));
}

/* Is this member's contribution to come still? */
static bool awaited(const struct reduce *r, const struct reduce_work *w, uint32_t i)
{
    const struct reduce_peer *p = &r->peers[i];
    if (p->late) return false;
    if (i == self_of(r)) return r->stage == REDUCE_STAGE_COMMITTED;
    return !((w->arrived | w->absent) & bit(i)) && !p->suspect && p->contributes;
}

/* Is everybody's contribution there, or no longer waited for? */
static bool complete(const struct reduce *r, const struct reduce_work *w)
{
    for (uint32_t i = 0; i < r->group.count; i++)
        if (awaited(r, w, i)) return false;
    return true;
}

/* Whoever lets a chunk wait for too long, and contributes nothing meanwhile, is not waited for in the next ones either:
 * what it still sends in time counts. */
static void give_up_on_late(struct reduce *r, const struct reduce_work *w)
{
    if (!instant_reached(r->now, contributions_due(r, w))) return;
    for (uint32_t i = 0; i < r->group.count; i++) {
        bool gives =
            !instant_reached(r->now, instant_after(r->peers[i].gave_at, span_s(T_STALL_S)));
        if (awaited(r, w, i) && !gives) r->peers[i].late = true;
    }
}

/* Begins with chunks of mine up to the window's end. */
static void open_own_work(struct reduce *r)
{
    const struct reduce_peer *me = &r->peers[self_of(r)];
    for (uint32_t place = me->settled; place < me->owned && place < me->settled + REDUCE_WINDOW;
         place++) {
        uint32_t c = r->order[me->first + place];
        struct reduce_work *w = &r->work[place % REDUCE_WINDOW];
        if (w->busy || r->chunks[c].settled) continue;
        *w = (struct reduce_work){
            .busy = true, .chunk = c, .began = r->now, .contributions = w->contributions};
    }
}

static void do_work(struct reduce *r, const struct sink *out)
{
    r->more = false;
    open_own_work(r);
    uint32_t done = 0;
    for (uint32_t i = 0; i < REDUCE_WINDOW + REDUCE_RESCUE; i++) {
        struct reduce_work *w = &r->work[i];
        if (!w->busy) continue;
        give_up_on_late(r, w);
        if (!complete(r, w)) continue;
        if (done == AVERAGES_A_CALL) r->more = true;
        else {
            average(r, w, out);
            done++;
        }
    }
    open_own_work(r);
    for (uint32_t i = 0; i < REDUCE_WINDOW && done; i++)
        r->more = r->more || (r->work[i].busy && complete(r, &r->work[i]));
}

/* ---- lost owners ---- */

static bool any_suspect(const struct reduce *r)
{
    for (uint32_t i = 0; i < r->group.count; i++)
        if (r->peers[i].suspect) return true;
    return false;
}

/* The first in the chunk's order of owners whom I do not suspect. */
static uint32_t heir_of(const struct reduce *r, uint32_t c, uint8_t *rank)
{
    for (uint32_t k = 0; k < r->group.count; k++) {
        uint32_t i = owners_at_rank(&r->group, c, r->chunks[c].owner, k);
        if (r->peers[i].suspect) continue;
        *rank = (uint8_t)k;
        return i;
    }
    assert(false); /* I never suspect myself */
    return self_of(r);
}

static struct reduce_work *rescue_of(struct reduce *r, uint32_t c)
{
    for (uint32_t i = REDUCE_WINDOW; i < REDUCE_WINDOW + REDUCE_RESCUE; i++)
        if (r->work[i].busy && r->work[i].chunk == c) return &r->work[i];
    return NULL;
}

/* I am the heir of this chunk: everybody is asked for what it has of it. False: no room to gather another one. */
static bool rescue(struct reduce *r, uint32_t c, uint8_t rank, bool again, const struct sink *out)
{
    struct reduce_work *w = rescue_of(r, c);
    if (w && !again && w->rank == rank) return true;
    for (uint32_t i = REDUCE_WINDOW; !w && i < REDUCE_WINDOW + REDUCE_RESCUE; i++)
        if (!r->work[i].busy) {
            w = &r->work[i];
            *w = (struct reduce_work){
                .busy = true, .chunk = c, .began = r->now, .contributions = w->contributions};
        }
    if (!w) return false;
    w->rank = rank;
    for (uint32_t i = 0; i < r->group.count; i++)
        if (i != self_of(r) && !r->peers[i].suspect && !((w->arrived | w->absent) & bit(i)))
            say_need(r, i, c, rank, out);
    return true;
}

/* Goes for the chunks whose owners I suspect, some at a time: at a suspicion, whenever one of them is settled, and
 * `again` at each beat. */
static void recover(struct reduce *r, bool again, const struct sink *out)
{
    r->rescued = false;
    if (r->state != REDUCE_GATHER || !any_suspect(r)) return;
    uint32_t asked = 0;
    bool room = true;
    for (uint32_t c = 0; c < r->config.layout.chunks && (room || asked < ASKS_MAX); c++) {
        struct reduce_chunk *chunk = &r->chunks[c];
        if (chunk->settled || !r->peers[chunk->owner].suspect || chunk->fetch != REDUCE_FETCH_NONE)
            continue;
        uint8_t rank;
        uint32_t heir = heir_of(r, c, &rank);
        if (heir == self_of(r)) room = room && rescue(r, c, rank, again, out);
        else if (asked < ASKS_MAX) {
            asked++;
            if (again || chunk->sought != rank) say_need(r, heir, c, rank, out);
            chunk->sought = rank;
        }
    }
}

/* ---- fetching ---- */

static void want(struct reduce *r, uint32_t c, uint32_t from, const struct reduce_variant *v)
{
    struct reduce_chunk *chunk = &r->chunks[c];
    if (chunk->fetch == REDUCE_FETCH_SENT) return;
    if (chunk->fetch == REDUCE_FETCH_NONE) r->fetch_wanted++;
    chunk->fetch = REDUCE_FETCH_WANTED;
    chunk->fetch_from = (uint8_t)from;
    chunk->wanted = *v;
}

static void unwant(struct reduce *r, uint32_t c)
{
    struct reduce_chunk *chunk = &r->chunks[c];
    if (chunk->fetch == REDUCE_FETCH_WANTED) r->fetch_wanted--;
    if (chunk->fetch == REDUCE_FETCH_SENT) r->fetch_sent--;
    chunk->fetch = REDUCE_FETCH_NONE;
}

static void fetch_more(struct reduce *r, const struct sink *out)
{
    for (uint32_t c = 0;
         c < r->config.layout.chunks && r->fetch_wanted > 0 && r->fetch_sent < REDUCE_FETCH; c++) {
        struct reduce_chunk *chunk = &r->chunks[c];
        if (chunk->fetch != REDUCE_FETCH_WANTED || !r->peers[chunk->fetch_from].linked) continue;
        chunk->fetch = REDUCE_FETCH_SENT;
        r->fetch_wanted--;
        r->fetch_sent++;
        uint8_t request[FETCH_BYTES];
        struct writer w = writer_init(request, sizeof request);
        writer_u8(&w, WIRE_FETCH);
        writer_copy(&w, r->group.gid, GID_BYTES);
        writer_u32(&w, c);
        writer_copy(&w, chunk->wanted.digest, CRYPTO_DIGEST_BYTES);
        sink_act(out, &(struct action){.kind = ACTION_REQUEST,
                                       .peer = r->group.members[chunk->fetch_from].sid,
                                       .ticket = ticket_of(r, TICKET_FETCH, c, chunk->fetch_from),
                                       .bytes = writer_bytes(&w)});
    }
}

static void ask_vector(struct reduce *r, uint32_t member, const struct sink *out)
{
    struct reduce_peer *p = &r->peers[member];
    if (p->examining || !p->linked) return;
    p->examining = true;
    p->examined = p->close;
    uint8_t request[1 + GID_BYTES];
    struct writer w = writer_init(request, sizeof request);
    writer_u8(&w, WIRE_VEC);
    writer_copy(&w, r->group.gid, GID_BYTES);
    sink_act(out, &(struct action){.kind = ACTION_REQUEST,
                                   .peer = r->group.members[member].sid,
                                   .ticket = ticket_of(r, TICKET_VEC, 0, member),
                                   .bytes = writer_bytes(&w)});
}

/* ---- closing ---- */

/* rank u8 and digest of every chunk. */
static struct bytes vector_of(const struct reduce *r)
{
    struct writer w = writer_init(r->scratch, (size_t)r->config.layout.chunks * VARIANT_BYTES);
    for (uint32_t c = 0; c < r->config.layout.chunks; c++) {
        writer_u8(&w, r->chunks[c].best.rank);
        writer_copy(&w, r->chunks[c].best.digest, CRYPTO_DIGEST_BYTES);
    }
    assert(!w.full);
    return writer_bytes(&w);
}

/* root = digest("shoal1 root" || gid || vector): names group, weights and every averaged byte. */
static void root_of(const struct reduce *r, uint8_t out[CRYPTO_DIGEST_BYTES])
{
    struct bytes parts[] = {text("shoal1 root"), bytes_of(r->group.gid, GID_BYTES), vector_of(r)};
    crypto_digest(r->config.crypto, parts, 3, out);
}

static void freeze(struct reduce *r, const struct sink *out)
{
    r->state = REDUCE_CLOSING;
    r->stage = REDUCE_STAGE_CLOSE;
    r->close = 1;
    r->deadline = instant_after(r->now, span_ns(T_CLOSE_S * 1000000000ull + r->estimate.ns));
    for (uint32_t i = 0; i < REDUCE_WINDOW + REDUCE_RESCUE; i++) r->work[i].busy = false;
    for (uint32_t c = 0; c < r->config.layout.chunks && r->fetch_wanted > 0; c++)
        if (r->chunks[c].fetch == REDUCE_FETCH_WANTED) unwant(r, c);
    root_of(r, r->root);
    note(r, out, "reduce.frozen", "unsettled", r->config.layout.chunks - r->settled);
    say_stage_to_all(r, out);
}

static void fail(struct reduce *r, const struct sink *out)
{
    r->state = REDUCE_FAILED;
    note(r, out, "reduce.failed", "settled", r->settled);
}

/* What I hold is what I apply. */
static void agree(struct reduce *r, bool unsure, const struct sink *out)
{
    uint32_t in_any = 0;
    for (uint32_t c = 0; c < r->config.layout.chunks; c++) {
        uint32_t mask = r->chunks[c].best.mask;
        r->null[c] = mask == 0;
        r->in[c] = mask >> self_of(r) & 1;
        in_any |= mask;
    }
    r->tokens = 0;
    for (uint32_t i = 0; i < r->group.count; i++)
        if (in_any & bit(i)) r->tokens += r->group.members[i].offer.weight;
    root_of(r, r->root);
    r->unsure = unsure;
    r->stage = REDUCE_STAGE_APPLIED;
    r->close++;
    say_stage_to_all(r, out);
    if (!in_any) {
        fail(r, out);
        return;
    }
    r->state = REDUCE_AGREED;
    note(r, out, unsure ? "reduce.unsure" : "reduce.agreed", "tokens", r->tokens);
}

/* After a change of what I hold: says so. */
static void close_again(struct reduce *r, const struct sink *out)
{
    uint8_t root[CRYPTO_DIGEST_BYTES];
    root_of(r, root);
    if (!memcmp(root, r->root, sizeof root)) return;
    memcpy(r->root, root, sizeof root);
    r->close++;
    say_stage_to_all(r, out);
}

/* CLOSING, nothing on its way to me: compares roots. */
static void compare(struct reduce *r, const struct sink *out)
{
    if (r->adopting >= 0) {
        const struct reduce_peer *p = &r->peers[r->adopting];
        if (p->examining) return;
        close_again(r, out);
        if (!memcmp(p->root, r->root, CRYPTO_DIGEST_BYTES)) {
            agree(r, false, out);
            return;
        }
        r->adopting = -1;
    }
    close_again(r, out);
    bool alike = true;
    for (uint32_t i = 0; i < r->group.count; i++) {
        struct reduce_peer *p = &r->peers[i];
        if (i == self_of(r)) continue;
        bool closed = p->stage >= REDUCE_STAGE_CLOSE;
        bool same = closed && !memcmp(p->root, r->root, CRYPTO_DIGEST_BYTES);
        if (p->stage == REDUCE_STAGE_APPLIED && same) {
            agree(r, false, out);
            return;
        }
        if (p->stage == REDUCE_STAGE_APPLIED && !same && p->examined != p->close) {
            r->adopting = (int)i;
            ask_vector(r, i, out);
            return;
        }
        if (closed && !same && p->examined != p->close) ask_vector(r, i, out);
        alike = alike && (same || p->suspect);
    }
    if (alike) agree(r, false, out);
}

static bool all_others_lost(const struct reduce *r)
{
    for (uint32_t i = 0; i < r->group.count; i++)
        if (i != self_of(r) && !r->peers[i].suspect) return false;
    return r->group.count > 1;
}

static void suspect(struct reduce *r, uint32_t member, const struct sink *out)
{
    struct reduce_peer *p = &r->peers[member];
    if (p->suspect) return;
    p->suspect = true;
    p->examining = false; /* answers of its that still come are as good as unasked */
    if (r->adopting == (int)member) r->adopting = -1;
    for (uint32_t c = 0; c < r->config.layout.chunks; c++)
        if (r->chunks[c].fetch_from == member) unwant(r, c);
    if (!running(r)) return;
    note_suspect(r, out, r->group.members[member].sid);
    if (r->state == REDUCE_GATHER && r->base.ns != INSTANT_NEVER.ns && !p->lost) {
        /* time to gather its chunks; once a member, so that the bound stays one */
        instant gathered =
            instant_after(r->now, span_ns(T_RESCUE_S * 1000000000ull + r->estimate.ns));
        r->deadline = instant_max(r->deadline, gathered);
        p->lost = true;
    }
    recover(r, false, out);
}

/* Sets the start of the clock for transfers once all have taken their snapshots. */
static void start_clock(struct reduce *r)
{
    if (r->base.ns != INSTANT_NEVER.ns) return;
    bool all = r->stage != REDUCE_STAGE_COMMITTED;
    for (uint32_t i = 0; i < r->group.count; i++)
        if (i != self_of(r) && !r->peers[i].suspect)
            all = all && r->peers[i].stage != REDUCE_STAGE_COMMITTED;
    if (!all && !instant_reached(r->now, r->waits)) return;
    for (uint32_t i = 0; i < r->group.count; i++)
        if ((i == self_of(r) ? r->stage : r->peers[i].stage) == REDUCE_STAGE_COMMITTED)
            r->peers[i].late = true;
    r->base = r->now;
    r->deadline = instant_after(r->now, span_ns(T_REDUCE_S * 1000000000ull + r->estimate.ns * 3));
}

/* T_REDUCE is over, but chunks go on being settled: the links are slower than was guessed. */
static void prolong(struct reduce *r)
{
    if (!instant_reached(r->now, r->deadline)) return;
    span most = span_ns(REDUCE_TIMES * (T_REDUCE_S * 1000000000ull + r->estimate.ns * 3));
    instant last = instant_after(r->base, most);
    instant stalled = instant_after(r->settled_at, span_s(T_STALL_S));
    r->deadline = instant_max(r->deadline, instant_min(stalled, last));
}

/* Looks at everything that may have run its course. */
static void review(struct reduce *r, const struct sink *out)
{
    if (!running(r)) return;
    for (uint32_t i = 0; i < r->group.count; i++)
        if (i != self_of(r) &&
            instant_reached(r->now, instant_after(r->peers[i].heard_at, span_s(T_STALL_S))))
            suspect(r, i, out);
    if (all_others_lost(r)) {
        fail(r, out);
        return;
    }
    if (r->state == REDUCE_GATHER) {
        start_clock(r);
        do_work(r, out);
        if (r->rescued) recover(r, false, out);
        prolong(r);
        if (r->settled == r->config.layout.chunks || instant_reached(r->now, r->deadline))
            freeze(r, out);
    }
    fetch_more(r, out);
    if (r->state == REDUCE_CLOSING && r->fetch_wanted + r->fetch_sent == 0) compare(r, out);
    if (r->state == REDUCE_CLOSING && instant_reached(r->now, r->deadline)) agree(r, true, out);
    fill_windows(r, out);
}

/* Takes the time. A process that stood still shifts its timers by that: it accuses nobody on waking up. */
static void take_time(struct reduce *r, instant now)
{
    span gap = instant_since(now, r->now);
    r->now = instant_max(r->now, now);
    if (!running(r) || gap.ns < GAP_S * 1000000000ull) return;
    r->beat = r->now;
    r->waits = instant_after(r->waits, gap);
    r->deadline = instant_after(r->deadline, gap);
    if (r->base.ns != INSTANT_NEVER.ns) r->base = instant_after(r->base, gap);
    for (uint32_t i = 0; i < r->group.count; i++)
        r->peers[i].heard_at = instant_after(r->peers[i].heard_at, gap);
}

/* ---- what comes in ---- */

static void heard(struct reduce *r, uint32_t member)
{
    r->peers[member].heard_at = r->now;
    r->peers[member].suspect = false; /* I was wrong, and wait for it again */
}

static bool on_stage(struct reduce *r, uint32_t i, struct reader *in, const struct sink *out)
{
    uint8_t stage = reader_u8(in);
    uint32_t close = reader_u32(in);
    uint8_t root[CRYPTO_DIGEST_BYTES];
    reader_copy(in, root, sizeof root);
    if (in->bad || stage > REDUCE_STAGE_APPLIED) return false;
    struct reduce_peer *p = &r->peers[i];
    heard(r, i);
    bool first = !p->heard;
    p->heard = true;
    bool news = stage > p->stage || (stage == p->stage && close > p->close);
    if (news) {
        if (stage == REDUCE_STAGE_EMPTY) p->contributes = false;
        p->stage = (enum reduce_stage)stage;
        p->close = close;
        memcpy(p->root, root, sizeof root);
    }
    bool late = r->stage == REDUCE_STAGE_APPLIED && stage < REDUCE_STAGE_APPLIED;
    if ((first && running(r)) || late) say_stage(r, i, out);
    if (r->state == REDUCE_GATHER && stage == REDUCE_STAGE_APPLIED) freeze(r, out);
    return true;
}

static bool on_need(struct reduce *r, uint32_t i, struct reader *in, const struct sink *out)
{
    uint32_t c = reader_u32(in);
    uint8_t rank = reader_u8(in);
    if (in->bad || c >= r->config.layout.chunks || rank >= r->group.count) return false;
    heard(r, i);
    struct reduce_chunk *chunk = &r->chunks[c];
    uint32_t heir = owners_at_rank(&r->group, c, chunk->owner, rank);
    if (chunk->settled) say_have(r, i, c, out);
    else if (heir == self_of(r)) chunk->asked |= bit(i); /* answered when it is settled */
    else if (heir != i) return true;
    else if (r->state == REDUCE_GATHER && r->mine) {
        if (!(chunk->given & bit(i))) send_contribution(r, i, c, rank, out);
    } else if (r->stage != REDUCE_STAGE_COMMITTED) say_have(r, i, c, out);
    return true;
}

static bool on_have(struct reduce *r, uint32_t i, struct reader *in, const struct sink *out)
{
    uint32_t c = reader_u32(in);
    struct reduce_variant v;
    v.rank = reader_u8(in);
    v.mask = reader_u32(in);
    reader_copy(in, v.digest, CRYPTO_DIGEST_BYTES);
    if (in->bad || c >= r->config.layout.chunks) return false;
    if (v.rank != REDUCE_NULL && v.rank >= r->group.count) return false;
    heard(r, i);
    if (r->state != REDUCE_GATHER || r->chunks[c].settled) return true;
    struct reduce_work *w = rescue_of(r, c);
    if (v.rank == REDUCE_NULL) {
        if (w) w->absent |= bit(i);
    } else if (!memcmp(v.digest, zeros, sizeof zeros)) {
        v.mask = 0;
        settle(r, c, &v, out);
    } else want(r, c, i, &v);
    return true;
}

bool reduce_takes(uint8_t type)
{
    switch (type) {
    case WIRE_CONTRIBUTION:
    case WIRE_RESULT:
    case WIRE_STAGE:
    case WIRE_VEC:
    case WIRE_HAVE:
    case WIRE_NEED:
    case WIRE_FETCH:
        return true;
    default:
        return false;
    }
}

/* The member who sends this, when `gid` is of the group under way; -1: another group's. */
static int sender_of(const struct reduce *r, sid peer, struct reader *in)
{
    struct bytes gid = reader_bytes(in, GID_BYTES);
    if (in->bad || r->state == REDUCE_IDLE || memcmp(gid.data, r->group.gid, GID_BYTES)) return -1;
    int i = member_of(r, peer);
    return i == (int)self_of(r) ? -1 : i;
}

bool reduce_frame(struct reduce *r, sid peer, uint8_t type, struct bytes body, instant now,
                  const struct sink *out)
{
    take_time(r, now);
    struct reader in = reader_init(body);
    int i = sender_of(r, peer, &in);
    if (i < 0) return !in.bad;
    bool good = false;
    if (type == WIRE_STAGE) good = on_stage(r, (uint32_t)i, &in, out);
    else if (type == WIRE_NEED) good = on_need(r, (uint32_t)i, &in, out);
    else if (type == WIRE_HAVE) good = on_have(r, (uint32_t)i, &in, out);
    review(r, out);
    return good;
}

/* The work that a contribution of this rank belongs to; NULL: none under way. */
static struct reduce_work *work_of(struct reduce *r, const struct parcel *p)
{
    if (p->rank > 0) {
        struct reduce_work *w = rescue_of(r, p->chunk);
        return w && w->rank == p->rank ? w : NULL;
    }
    const struct reduce_chunk *chunk = &r->chunks[p->chunk];
    const struct reduce_peer *me = &r->peers[self_of(r)];
    if (chunk->owner != self_of(r) || chunk->place >= me->settled + REDUCE_WINDOW) return NULL;
    open_own_work(r);
    struct reduce_work *w = &r->work[chunk->place % REDUCE_WINDOW];
    return w->busy && w->chunk == p->chunk ? w : NULL;
}

static void on_contribution(struct reduce *r, uint32_t i, const struct parcel *p)
{
    if (r->state != REDUCE_GATHER || r->chunks[p->chunk].settled) return;
    struct reduce_work *w = work_of(r, p);
    if (!w || w->arrived & bit(i)) return; /* a contribution counts once */
    size_t room = outer_wire_bytes(r->config.layout.chunk_elements);
    memcpy(w->contributions + i * room, p->wire.data, p->wire.count);
    w->arrived |= bit(i);
    r->peers[i].gave_at = r->now;
}

/* Puts a mean that came from another in its place. */
static void take_mean(struct reduce *r, const struct parcel *p, const struct reduce_variant *v,
                      const struct sink *out)
{
    if (p->wire.count) memcpy(mean_of(r, p->chunk), p->wire.data, p->wire.count);
    r->chunks[p->chunk].told = UINT32_MAX; /* what I averaged myself, if anything, is superseded */
    settle(r, p->chunk, v, out);
}

static bool on_result(struct reduce *r, uint32_t i, const struct parcel *p, const struct sink *out)
{
    const struct reduce_chunk *chunk = &r->chunks[p->chunk];
    if (owners_at_rank(&r->group, p->chunk, chunk->owner, p->rank) != i) return false;
    if (r->state != REDUCE_GATHER) return true; /* frozen: only what is fetched counts */
    struct reduce_variant v = {.rank = p->rank, .mask = p->mask};
    parcel_digest(r->config.crypto, p->mask, p->wire, v.digest);
    if (!chunk->settled || variant_compare(&v, &chunk->best) < 0) take_mean(r, p, &v, out);
    return true;
}

bool reduce_parcel(struct reduce *r, sid peer, struct bytes parcel, instant now,
                   const struct sink *out)
{
    take_time(r, now);
    struct reader in = reader_init(parcel);
    reader_u32(&in); /* type, codec, rank: before the gid that says whether they concern me */
    int i = sender_of(r, peer, &in);
    if (i < 0) return !in.bad;
    heard(r, (uint32_t)i);
    struct parcel p;
    bool good = parcel_read(parcel, &r->config.layout, r->group.count, &p);
    if (good && p.type == WIRE_RESULT) good = on_result(r, (uint32_t)i, &p, out);
    else if (good) {
        good = p.mask == bit((uint32_t)i);
        if (good) on_contribution(r, (uint32_t)i, &p);
    }
    review(r, out);
    return good;
}

static void reply(sid peer, link_id link, uint64_t ticket, struct bytes bytes, struct bytes more,
                  const struct sink *out)
{
    sink_act(out, &(struct action){.kind = ACTION_REPLY,
                                   .peer = peer,
                                   .link = link,
                                   .ticket = ticket,
                                   .ok = bytes.count > 0,
                                   .bytes = bytes,
                                   .more = more});
}

bool reduce_request(struct reduce *r, sid peer, link_id link, uint64_t ticket, struct bytes request,
                    instant now, const struct sink *out)
{
    take_time(r, now);
    struct bytes none = {request.data, 0}, head = none, wire = none;
    uint8_t room[PARCEL_HEAD_BYTES];
    struct reader in = reader_init(request);
    uint8_t type = reader_u8(&in);
    int i = sender_of(r, peer, &in);
    uint32_t c = type == WIRE_FETCH ? reader_u32(&in) : 0;
    struct bytes digest = reader_bytes(&in, type == WIRE_FETCH ? CRYPTO_DIGEST_BYTES : 0);
    bool good = !in.bad && (type == WIRE_FETCH || type == WIRE_VEC);
    if (good && i >= 0) {
        heard(r, (uint32_t)i);
        if (type == WIRE_VEC) head = vector_of(r);
        else if (c >= r->config.layout.chunks) good = false;
        else if (r->chunks[c].best.mask &&
                 !memcmp(digest.data, r->chunks[c].best.digest, CRYPTO_DIGEST_BYTES)) {
            struct parcel p = result_of(r, c);
            head = parcel_head(&p, &r->config.layout, room);
            wire = p.wire;
        }
    }
    reply(peer, link, ticket, head, wire, out);
    review(r, out);
    return good;
}

void reduce_parcel_done(struct reduce *r, uint64_t ticket, bool ok, instant now,
                        const struct sink *out)
{
    take_time(r, now);
    if ((uint16_t)(ticket >> 40) != r->serial || r->state == REDUCE_IDLE) return;
    uint32_t c = (uint32_t)(ticket >> 8), i = ticket & 0xff;
    enum ticket_kind kind = ticket >> 60 & 7;
    assert(i < r->group.count);
    assert(c < r->config.layout.chunks);
    struct reduce_peer *p = &r->peers[i];
    assert(p->in_flight > 0);
    p->in_flight--;
    if (!ok && kind == TICKET_CONTRIBUTION) r->chunks[c].given &= ~bit(i);
    if (!ok && kind == TICKET_RESULT) {
        r->chunks[c].told &= ~bit(i);
        p->results_next = 0;
    }
    if (running(r)) review(r, out);
    else fill_windows(r, out);
}

/* A peer's vector: what of it counts more than what I hold is wanted; when it has applied, all that differs. */
static bool on_vector(struct reduce *r, uint32_t i, struct bytes vector, const struct sink *out)
{
    if (vector.count != (size_t)r->config.layout.chunks * VARIANT_BYTES) return false;
    for (size_t at = 0; at < vector.count; at += VARIANT_BYTES)
        if (vector.data[at] >= r->group.count && vector.data[at] != REDUCE_NULL) return false;
    struct reader in = reader_init(vector);
    for (uint32_t c = 0; c < r->config.layout.chunks; c++) {
        struct reduce_variant v = {.rank = reader_u8(&in)};
        reader_copy(&in, v.digest, CRYPTO_DIGEST_BYTES);
        int order = variant_compare(&v, &r->chunks[c].best);
        if (order == 0 || (order > 0 && r->adopting != (int)i)) continue;
        if (memcmp(v.digest, zeros, sizeof zeros)) want(r, c, i, &v);
        else if (v.rank == REDUCE_NULL) r->chunks[c].best = v;
        else settle(r, c, &v, out); /* an agreed null has no bytes */
    }
    return true;
}

static bool on_fetched(struct reduce *r, uint32_t c, uint32_t from, struct bytes bytes,
                       const struct sink *out)
{
    struct parcel p;
    if (!parcel_read(bytes, &r->config.layout, r->group.count, &p) || p.type != WIRE_RESULT ||
        p.chunk != c || memcmp(p.gid, r->group.gid, GID_BYTES))
        return false;
    struct reduce_variant v = {.rank = p.rank, .mask = p.mask};
    parcel_digest(r->config.crypto, p.mask, p.wire, v.digest);
    const struct reduce_chunk *chunk = &r->chunks[c];
    if (memcmp(v.digest, chunk->wanted.digest, CRYPTO_DIGEST_BYTES) || v.rank != chunk->wanted.rank)
        return false;
    if (!chunk->settled || r->adopting == (int)from || variant_compare(&v, &chunk->best) < 0)
        take_mean(r, &p, &v, out);
    return true;
}

bool reduce_reply(struct reduce *r, uint64_t ticket, bool ok, struct bytes bytes, instant now,
                  const struct sink *out)
{
    take_time(r, now);
    if ((uint16_t)(ticket >> 40) != r->serial || r->state == REDUCE_IDLE) return true;
    uint32_t c = (uint32_t)(ticket >> 8), i = ticket & 0xff;
    enum ticket_kind kind = ticket >> 60 & 7;
    assert(i < r->group.count);
    bool good = true, has = ok && bytes.count > 0;
    if (has) heard(r, i);
    if (kind == TICKET_VEC) {
        r->peers[i].examining = false;
        if (!running(r)) return true;
        good = !has || on_vector(r, i, bytes, out);
    } else if (kind == TICKET_FETCH) {
        assert(c < r->config.layout.chunks);
        if (r->chunks[c].fetch != REDUCE_FETCH_SENT || r->chunks[c].fetch_from != i) return true;
        unwant(r, c);
        if (!running(r)) return true;
        good = !has || on_fetched(r, c, i, bytes, out);
    }
    review(r, out);
    return good;
}

/* ---- public ---- */

static size_t padded(size_t bytes) { return (bytes + 127) & ~(size_t)63; }

size_t reduce_bytes(const struct reduce_config *c)
{
    const struct outer_layout *l = &c->layout;
    size_t chunk = outer_wire_bytes(l->chunk_elements);
    return padded(sizeof(struct reduce_chunk) * l->chunks) + 2 * padded(4 * (size_t)l->chunks) +
           (REDUCE_WINDOW + REDUCE_RESCUE) * padded(chunk * c->group_max) +
           padded(sizeof(float) * l->chunk_elements) + padded(VARIANT_BYTES * (size_t)l->chunks) +
           padded(chunk * l->chunks) + 2 * padded(l->chunks);
}

bool reduce_init(struct reduce *r, const struct reduce_config *c, struct arena *room)
{
    assert(c->group_max >= 1);
    assert(c->group_max <= NODE_GROUP_MAX);
    *r = (struct reduce){.config = *c};
    const struct outer_layout *l = &c->layout;
    size_t chunk = outer_wire_bytes(l->chunk_elements);
    r->chunks = arena_array(room, struct reduce_chunk, l->chunks);
    r->order = arena_array(room, uint32_t, l->chunks);
    r->results = arena_array(room, uint32_t, l->chunks);
    bool all = r->chunks && r->order && r->results;
    for (uint32_t i = 0; i < REDUCE_WINDOW + REDUCE_RESCUE; i++) {
        r->work[i].contributions = arena_array(room, uint8_t, chunk * c->group_max);
        all = all && r->work[i].contributions;
    }
    r->accumulator = arena_array(room, float, l->chunk_elements);
    r->scratch = arena_array(room, uint8_t, VARIANT_BYTES * (size_t)l->chunks);
    r->means = arena_array(room, uint8_t, chunk * l->chunks);
    r->null = arena_array(room, uint8_t, l->chunks);
    r->in = arena_array(room, uint8_t, l->chunks);
    return all && r->accumulator && r->scratch && r->means && r->null && r->in;
}

/* Who owns what, by owner and in order. */
static void lay_out(struct reduce *r)
{
    uint32_t share[NODE_GROUP_MAX], chunks = r->config.layout.chunks, first = 0;
    owners_share(&r->group, chunks, share);
    owners_assign(share, r->group.count, chunks,
                  r->null); /* its place until the outcome needs it */
    for (uint32_t i = 0; i < r->group.count; i++) {
        r->peers[i].first = first;
        first += share[i];
    }
    for (uint32_t c = 0; c < chunks; c++) {
        struct reduce_peer *owner = &r->peers[r->null[c]];
        r->chunks[c] = (struct reduce_chunk){
            .owner = r->null[c], .place = owner->owned, .best.rank = REDUCE_NULL};
        r->order[owner->first + owner->owned++] = c;
    }
    r->estimate = owners_estimate(&r->group, share, chunks,
                                  outer_wire_bytes((size_t)r->config.layout.parameters));
}

void reduce_start(struct reduce *r, const struct match_group *g, const bool linked[NODE_GROUP_MAX],
                  instant now, const struct sink *out)
{
    assert(!running(r));
    assert(g->count >= 1 && g->count <= r->config.group_max);
    r->state = REDUCE_GATHER;
    r->stage = REDUCE_STAGE_COMMITTED;
    r->group = *g;
    r->now = now;
    r->serial++;
    r->close = r->settled = r->settled_before = r->results_count = r->fetch_wanted = r->fetch_sent =
        0;
    r->mine = NULL;
    r->adopting = -1;
    r->unsure = r->more = r->rescued = false;
    r->base = r->deadline = INSTANT_NEVER;
    r->settled_at = now;
    uint64_t slowest = 0;
    for (uint32_t i = 0; i < g->count; i++) {
        r->peers[i] =
            (struct reduce_peer){.linked = linked[i], .contributes = true, .heard_at = now};
        if (g->members[i].offer.step_ms > slowest) slowest = g->members[i].offer.step_ms;
    }
    r->waits = instant_after(now, span_ms(T_SNAPSHOT_S * 1000 + 3 * slowest));
    for (uint32_t i = 0; i < REDUCE_WINDOW + REDUCE_RESCUE; i++) r->work[i].busy = false;
    lay_out(r);
    note(r, out, "reduce.start", "members", g->count);
    say_stage_to_all(r, out);
}

void reduce_snapshot(struct reduce *r, struct bytes wire, instant now, const struct sink *out)
{
    take_time(r, now);
    if (r->state != REDUCE_GATHER || r->stage != REDUCE_STAGE_COMMITTED) return;
    assert(!wire.count || wire.count == outer_wire_bytes((size_t)r->config.layout.parameters));
    r->mine = wire.count ? wire.data : NULL;
    r->stage = wire.count ? REDUCE_STAGE_GIVES : REDUCE_STAGE_EMPTY;
    say_stage_to_all(r, out);
    review(r, out);
}

void reduce_link(struct reduce *r, sid peer, bool up, instant now, const struct sink *out)
{
    take_time(r, now);
    int i = r->state == REDUCE_IDLE ? -1 : member_of(r, peer);
    if (i < 0 || i == (int)self_of(r)) return;
    r->peers[i].linked = up;
    if (up) say_stage(r, (uint32_t)i, out);
    if (running(r)) review(r, out);
    else fill_windows(r, out);
}

void reduce_gone(struct reduce *r, sid peer, instant now, const struct sink *out)
{
    take_time(r, now);
    int i = r->state == REDUCE_IDLE ? -1 : member_of(r, peer);
    if (i < 0 || i == (int)self_of(r)) return;
    suspect(r, (uint32_t)i, out);
    review(r, out);
}

/* Nothing came of late, and another has it all: what I miss may as well be fetched. */
static void ask_the_closed(struct reduce *r, const struct sink *out)
{
    bool stalled = r->settled == r->settled_before && r->fetch_wanted + r->fetch_sent == 0;
    r->settled_before = r->settled;
    for (uint32_t j = 1; stalled && j < r->group.count; j++) {
        uint32_t i = (self_of(r) + j) % r->group.count;
        if (r->peers[i].stage < REDUCE_STAGE_CLOSE || r->peers[i].suspect) continue;
        ask_vector(r, i, out);
        return;
    }
}

void reduce_tick(struct reduce *r, instant now, const struct sink *out)
{
    take_time(r, now);
    if (!running(r)) return;
    if (instant_reached(r->now, r->beat)) {
        say_stage_to_all(r, out);
        recover(r, true, out);
        if (r->state == REDUCE_GATHER) ask_the_closed(r, out);
        for (uint32_t i = 0; i < r->group.count; i++) r->peers[i].examined = 0; /* ask once more */
    }
    review(r, out);
}

instant reduce_due(const struct reduce *r)
{
    if (!running(r)) return INSTANT_NEVER;
    return r->more ? r->now : instant_min(r->beat, r->deadline);
}

bool reduce_finished(const struct reduce *r)
{
    if (running(r)) return false;
    for (uint32_t i = 0; r->state == REDUCE_AGREED && i < r->group.count; i++)
        if (i != self_of(r) && !r->peers[i].suspect && r->peers[i].stage != REDUCE_STAGE_APPLIED)
            return false;
    return true;
}

void reduce_rest(struct reduce *r) { r->state = REDUCE_IDLE; }
