#include "sync.h"
#include "sync_parts.h"

/* SPEC.md, "State transfer". */
/* Before a server is asked again that did not have what it was asked for; and how long a download
 * waits for one that may have it then. */
#define PAUSE span_s(1)
#define HOPE  span_s(3)

#define NO_CHUNK UINT32_MAX

/* ---- servers ---- */

static bool here(const struct sync_server *v) { return v->away == SYNC_HERE; }

/* Nobody can be asked, and nobody will be soon. */
static bool hopeless(const struct sync *s, instant now)
{
    for (uint32_t i = 0; i < s->servers_count; i++) {
        const struct sync_server *v = &s->servers[i];
        bool soon = v->away == SYNC_EMPTY && now.ns < instant_after(v->since, HOPE).ns;
        if (here(v) || soon) return false;
    }
    return s->servers_count > 0;
}

/* The place of a new server: a free one, or that of one that is away. */
static struct sync_server *place(struct sync *s)
{
    if (s->servers_count < SYNC_SERVERS) return &s->servers[s->servers_count++];
    for (uint32_t i = 0; i < s->servers_count; i++)
        if (!here(&s->servers[i]) && s->servers[i].away != SYNC_LIAR) return &s->servers[i];
    return NULL;
}

/* ---- what is asked of whom ---- */

static bool asked(const struct sync *s, enum sync_what what)
{
    for (size_t i = 0; i < sizeof s->requests / sizeof *s->requests; i++)
        if (s->requests[i].ticket && s->requests[i].what == what) return true;
    return false;
}

/* No rounds lead from what is here to the target: it is downloaded. */
static void start_over(struct sync *s)
{
    for (size_t i = 0; i < sizeof s->requests / sizeof *s->requests; i++) {
        struct sync_request *q = &s->requests[i];
        if (q->ticket && q->what != SYNC_LEAVES) sync_take_back(s, q);
    }
    sync_chain_start(s, s->target.epoch, s->target.lineage);
    s->downloaded = true;
}

/* Asks one server after the other for the rounds from the chain's end to the target. */
static void lead_on(struct sync *s, instant now, const struct sink *out)
{
    if (sync_chain_whole(s) || asked(s, SYNC_PAST)) return;
    bool any = false, beyond = sync_chain_end(s) >= s->target.epoch;
    for (uint32_t i = 0; !beyond && i < s->servers_count; i++) {
        any = any || here(&s->servers[i]);
        if (!here(&s->servers[i]) || s->servers[i].no_past) continue;
        sync_ask_past(s, i, now, out);
        return;
    }
    if (any || beyond) start_over(s);
}

static bool lacks_any(const struct sync *s)
{
    for (uint32_t c = 0; c < s->config.layout.chunks; c++)
        if (s->chunks[c].hold == SYNC_LACKS) return true;
    return false;
}

static bool asked_of(const struct sync *s, uint64_t epoch)
{
    for (size_t i = 0; i < sizeof s->requests / sizeof *s->requests; i++) {
        const struct sync_request *q = &s->requests[i];
        if (q->ticket && q->what == SYNC_CHUNK && q->epoch == epoch) return true;
    }
    return false;
}

/* Asks for the target's manifest, where something must be downloaded. */
static void learn_leaves(struct sync *s, instant now, const struct sink *out)
{
    uint32_t sent = 0;
    if (!lacks_any(s) || sync_manifest_leaves(s, s->target.lineage)) return;
    /* Chunks that are on their way are checked against one of the two manifests that are kept. */
    if (s->manifest_before.any && asked_of(s, s->manifest_before.epoch)) return;
    for (uint32_t i = 0; i < s->servers_count; i++)
        sent += here(&s->servers[i]) && s->servers[i].asked;
    for (uint32_t i = 0; i < s->servers_count && sent < SYNC_MANIFESTS; i++) {
        if (!here(&s->servers[i]) || s->servers[i].asked) continue;
        sync_ask_manifest(s, i, now, out);
        sent++;
    }
}

/* May more be asked of it? */
static bool has_room(const struct sync_server *v)
{
    if (!here(v) || v->busy) return here(v) && v->in_flight == 0;
    return v->in_flight < SYNC_IN_FLIGHT ||
           (v->in_flight < SYNC_IN_FLIGHT_MAX && v->flying < v->rate);
}

static bool behind(const struct sync *s, const struct sync_chunk *k)
{
    return k->hold != SYNC_LACKS && k->epoch < sync_chain_head(s);
}

/* The chunk to ask this server for: the one that is the furthest behind, since results are kept for
 * some rounds only; otherwise one that is lacking. */
static uint32_t next_chunk(const struct sync *s, const struct sync_server *v)
{
    uint32_t best = NO_CHUNK, lacking = NO_CHUNK;
    for (uint32_t c = 0; c < s->config.layout.chunks; c++) {
        const struct sync_chunk *k = &s->chunks[c];
        if (k->asked) continue;
        if (k->hold == SYNC_LACKS && lacking == NO_CHUNK) lacking = c;
        if (!behind(s, k) || k->epoch + 1 <= v->lacks) continue;
        if (best == NO_CHUNK || k->epoch < s->chunks[best].epoch) best = c;
    }
    const uint8_t *lineage = sync_chain_lineage(s, s->manifest.epoch);
    bool can =
        s->manifest.any && lineage && !memcmp(lineage, s->manifest.lineage, CRYPTO_DIGEST_BYTES);
    return best != NO_CHUNK ? best : can ? lacking : NO_CHUNK;
}

/* Asks the least busy server first, to balance the load. */
static void ask_more(struct sync *s, instant now, const struct sink *out)
{
    uint32_t passed = 0; /* servers that there is nothing to ask for */
    for (;;) {
        uint32_t best = NO_CHUNK;
        for (uint32_t i = 0; i < s->servers_count; i++) {
            const struct sync_server *v = &s->servers[i];
            const struct sync_server *b = best == NO_CHUNK ? NULL : &s->servers[best];
            if (!has_room(v) || passed >> i & 1) continue;
            if (!b || v->flying < b->flying || (v->flying == b->flying && v->served < b->served))
                best = i;
        }
        if (best == NO_CHUNK) return;
        uint32_t c = next_chunk(s, &s->servers[best]);
        if (c == NO_CHUNK) passed |= (uint32_t)1 << best;
        else if (s->chunks[c].hold == SYNC_LACKS) sync_ask_chunk(s, best, c, now, out);
        else sync_ask_result(s, best, c, now, out);
    }
}

/* Chunks whose next result nobody has any more are downloaded after all. */
static void drop_lost(struct sync *s)
{
    uint64_t least = UINT64_MAX;
    for (uint32_t i = 0; i < s->servers_count; i++)
        if (here(&s->servers[i]) && s->servers[i].lacks < least) least = s->servers[i].lacks;
    if (least == UINT64_MAX) return;
    for (uint32_t c = 0; c < s->config.layout.chunks; c++) {
        struct sync_chunk *k = &s->chunks[c];
        if (k->asked || !behind(s, k) || k->epoch + 1 > least) continue;
        k->hold = SYNC_LACKS;
        s->downloaded = true;
    }
}

static bool whole(const struct sync *s)
{
    if (!sync_chain_whole(s)) return false;
    for (uint32_t c = 0; c < s->config.layout.chunks; c++)
        if (s->chunks[c].hold == SYNC_LACKS || behind(s, &s->chunks[c])) return false;
    return true;
}

static void go_on(struct sync *s, instant now, const struct sink *out)
{
    if (s->state != SYNC_RUNNING) return;
    for (uint32_t c = 0; sync_chain_whole(s) && c < s->config.layout.chunks; c++)
        if (s->chunks[c].doubted) sync_chunk_advance(s, c);
    if (whole(s)) {
        sync_chunk_finish(s, out);
        s->state = SYNC_WHOLE;
        return;
    }
    if (hopeless(s, now)) {
        s->state = SYNC_FAILED;
        return;
    }
    lead_on(s, now, out);
    drop_lost(s);
    learn_leaves(s, now, out);
    ask_more(s, now, out);
}

/* ---- replies ---- */

static void on_past(struct sync *s, const struct sync_request *q, struct bytes reply)
{
    if (sync_chain_end(s) != q->epoch) return;
    if (!sync_chain_take(s, reply)) s->servers[q->server].no_past = true;
    for (uint32_t c = 0; c < s->config.layout.chunks; c++) sync_chunk_advance(s, c);
}

static void on_manifest(struct sync *s, const struct sync_request *q, struct bytes reply,
                        instant now)
{
    if (sync_manifest_take(s, reply)) return;
    sync_lose(s, q->server, reply.count ? SYNC_LIAR : SYNC_EMPTY, now);
}

static void on_bulk(struct sync *s, const struct sync_request *q, struct bytes reply, instant now,
                    const struct sink *out)
{
    struct sync_server *v = &s->servers[q->server];
    bool chunk = q->what == SYNC_CHUNK;
    if (reply.count) {
        bool good = chunk ? sync_chunk_take(s, q->chunk, q->epoch, reply, out)
                          : sync_result_take(s, q->chunk, q->epoch, reply, out);
        if (good) v->served++;
        else sync_lose(s, q->server, SYNC_LIAR, now);
    } else if (!chunk) {
        if (v->lacks < q->epoch) v->lacks = q->epoch;
    } else if (q->epoch == s->target.epoch) {
        sync_lose(s, q->server, SYNC_EMPTY, now);
    } else if (q->epoch == s->manifest.epoch) {
        s->manifest.any = false; /* they have gone on, as the target has */
    }
}

void sync_reply(struct sync *s, uint64_t ticket, bool ok, struct bytes reply, instant now,
                const struct sink *out)
{
    for (size_t i = 0; i < sizeof s->requests / sizeof *s->requests; i++) {
        struct sync_request q = s->requests[i];
        if (q.ticket == 0 || q.ticket != ticket) continue;
        sync_take_back(s, &s->requests[i]);
        if (s->state != SYNC_RUNNING) return;
        if (!ok) reply = bytes_of("", 0);
        if (q.what == SYNC_PAST) on_past(s, &q, reply);
        else if (q.what == SYNC_LEAVES) on_manifest(s, &q, reply, now);
        else on_bulk(s, &q, reply, now, out);
        go_on(s, now, out);
        return;
    }
}

/* ---- from outside ---- */

static void aim(struct sync *s, const struct lineage_state *target)
{
    /* What is asked about an earlier target is no answer for this one; its epoch may be the same. */
    for (size_t i = 0; i < sizeof s->requests / sizeof *s->requests; i++)
        if (s->requests[i].what == SYNC_LEAVES) s->requests[i].ticket = 0;
    s->target = *target;
    s->sound_votes = 0;
    for (uint32_t i = 0; i < s->servers_count; i++)
        s->servers[i].asked = s->servers[i].no_past = false;
}

/* The chain begins at my own state, which has every chunk. */
static void start_from_own(struct sync *s)
{
    sync_chain_start(s, s->now.state.epoch, s->now.state.lineage);
    for (uint32_t c = 0; c < s->config.layout.chunks; c++)
        s->chunks[c] = (struct sync_chunk){.epoch = s->now.state.epoch, .hold = SYNC_OWNS};
}

void sync_start(struct sync *s, const struct lineage_state *target, bool own, instant now)
{
    sync_stop(s);
    s->servers_count = 0;
    aim(s, target);
    s->state = SYNC_RUNNING;
    s->began = now;
    s->bytes = s->replayed = 0;
    s->manifest.any = s->manifest_before.any = false; /* it may be why all were banned */
    if (s->kept) {
        for (uint32_t c = 0; c < s->config.layout.chunks; c++) s->chunks[c].asked = false;
        return;
    }
    s->kept = true;
    s->downloaded = !own;
    if (own) start_from_own(s);
    else sync_chain_start(s, target->epoch, target->lineage);
}

void sync_retarget(struct sync *s, const struct lineage_state *target, instant now,
                   const struct sink *out)
{
    if (s->state != SYNC_RUNNING) return;
    aim(s, target);
    go_on(s, now, out);
}

void sync_sound(struct sync *s, uint64_t digest, size_t votes)
{
    if (votes <= s->sound_votes) return;
    s->sound_votes = votes;
    if (digest == s->sound) return;
    s->sound = digest;
    if (!s->manifest.any || memcmp(s->manifest.lineage, s->target.lineage, CRYPTO_DIGEST_BYTES))
        return;
    s->manifest.any = false;
    for (uint32_t i = 0; i < s->servers_count; i++) s->servers[i].asked = false;
}

void sync_kept(struct sync *s, const struct kept_chunk *k)
{
    if (s->state != SYNC_IDLE || k->chunk >= s->config.layout.chunks) return;
    if (!s->kept) sync_chain_start(s, k->epoch, k->lineage);
    s->kept = s->downloaded = true;
    if (k->epoch < s->base_epoch) {
        s->base_epoch = k->epoch;
        memcpy(s->base, k->lineage, sizeof s->base);
    }
    struct sync_chunk *at = &s->chunks[k->chunk];
    *at = (struct sync_chunk){.epoch = k->epoch, .hold = SYNC_HOLDS, .doubted = true};
    memcpy(at->lineage, k->lineage, sizeof at->lineage);
}

void sync_spoil(struct sync *s) { s->kept = false; }

void sync_gave(struct sync *s, const uint8_t gid[CRYPTO_DIGEST_BYTES], uint32_t self)
{
    memcpy(s->given[s->given_next].gid, gid, CRYPTO_DIGEST_BYTES);
    s->given[s->given_next].self = self;
    s->given_next = (s->given_next + 1) % SYNC_GIVEN;
}

void sync_stop(struct sync *s)
{
    s->state = SYNC_IDLE;
    memset(s->requests, 0, sizeof s->requests); /* later answers to these are ignored */
}

void sync_server(struct sync *s, sid peer, bool busy, instant now, const struct sink *out)
{
    if (s->state != SYNC_RUNNING) return;
    for (uint32_t i = 0; i < s->servers_count; i++) {
        struct sync_server *v = &s->servers[i];
        if (v->sid != peer) continue;
        v->busy = busy;
        span away = v->away == SYNC_EMPTY  ? PAUSE
                    : v->away == SYNC_LATE ? SYNC_PATIENCE
                                           : span_ns(0);
        if (here(v) || v->away == SYNC_LIAR || now.ns < instant_after(v->since, away).ns) return;
        *v =
            (struct sync_server){.sid = peer, .busy = busy, .lacks = v->lacks, .served = v->served};
        go_on(s, now, out);
        return;
    }
    struct sync_server *v = place(s);
    if (!v) return;
    *v = (struct sync_server){.sid = peer, .busy = busy};
    go_on(s, now, out);
}

void sync_gone(struct sync *s, sid peer, instant now, const struct sink *out)
{
    for (uint32_t i = 0; i < s->servers_count; i++)
        if (s->servers[i].sid == peer && here(&s->servers[i])) sync_lose(s, i, SYNC_GONE, now);
    go_on(s, now, out);
}

uint32_t sync_givers(const struct sync *s)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < s->servers_count; i++) n += s->servers[i].served > 0;
    return n;
}

uint32_t sync_written(const struct sync *s)
{
    uint32_t n = 0;
    for (uint32_t c = 0; c < s->config.layout.chunks; c++) n += s->chunks[c].hold == SYNC_HOLDS;
    return n;
}

bool sync_near(const struct sync *s)
{
    if (s->state != SYNC_RUNNING) return s->state == SYNC_WHOLE;
    for (uint32_t c = 0; c < s->config.layout.chunks; c++)
        if (s->chunks[c].hold == SYNC_LACKS || s->chunks[c].epoch + SYNC_NEAR < s->target.epoch)
            return false;
    return true;
}

void sync_flow(struct sync *s, sid peer, uint64_t received, instant now)
{
    if (s->state != SYNC_RUNNING) return;
    for (uint32_t i = 0; i < s->servers_count; i++)
        if (s->servers[i].sid == peer) s->servers[i].rate = received;
    for (size_t i = 0; received && i < sizeof s->requests / sizeof *s->requests; i++) {
        struct sync_request *q = &s->requests[i];
        if (q->ticket && s->servers[q->server].sid == peer)
            q->until = instant_after(now, SYNC_PATIENCE);
    }
}

/* ---- time ---- */

void sync_tick(struct sync *s, instant now, const struct sink *out)
{
    if (s->state != SYNC_RUNNING) return;
    for (size_t i = 0; i < sizeof s->requests / sizeof *s->requests; i++)
        if (s->requests[i].ticket && now.ns >= s->requests[i].until.ns)
            sync_lose(s, s->requests[i].server, SYNC_LATE, now);
    go_on(s, now, out);
    for (uint32_t i = 0; i < s->servers_count; i++) {
        struct sync_server *v = &s->servers[i];
        if (v->away == SYNC_EMPTY && now.ns >= instant_after(v->since, HOPE).ns)
            v->away = SYNC_GONE;
    }
}

instant sync_due(const struct sync *s)
{
    instant due = INSTANT_NEVER;
    if (s->state != SYNC_RUNNING) return due;
    for (size_t i = 0; i < sizeof s->requests / sizeof *s->requests; i++)
        if (s->requests[i].ticket) due = instant_min(due, s->requests[i].until);
    for (uint32_t i = 0; i < s->servers_count; i++)
        if (s->servers[i].away == SYNC_EMPTY)
            due = instant_min(due, instant_after(s->servers[i].since, HOPE));
    return due;
}
