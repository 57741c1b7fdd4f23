
#include "sync.h"
#include "sync_parts.h"
#include "wire.h"

/* Plus a second for each MANIFEST_RATE bytes of the state, to hash them. */
#define MANIFEST_PATIENCE span_s(5)
#define MANIFEST_RATE     (256u << 20)
/* Of a request: from its sending, or from the latest byte of its server. */
#define PATIENCE       span_s(30)
#define WHOLE_MANIFEST UINT32_MAX

enum { NEEDED, ASKED, WRITTEN };

/* ---- requests ---- */

static struct sync_request *free_request(struct sync *s)
{
    for (size_t i = 0; i < sizeof s->requests / sizeof *s->requests; i++)
        if (s->requests[i].ticket == 0) return &s->requests[i];
    return NULL;
}

static span manifest_patience(const struct sync *s)
{
    return span_ns(MANIFEST_PATIENCE.ns +
                   span_s(s->config.parameters * 2 * sizeof(float) / MANIFEST_RATE).ns);
}

static bool active(const struct sync *s)
{
    return s->state == SYNC_MANIFEST || s->state == SYNC_CHUNKS;
}

static void ask(struct sync *s, uint32_t server, uint32_t chunk, instant now,
                const struct sink *out)
{
    struct sync_request *q = free_request(s);
    uint8_t room[1 + CRYPTO_DIGEST_BYTES + 4];
    struct writer w = writer_init(room, sizeof room);
    if (!q) return;
    bool manifest = chunk == WHOLE_MANIFEST;
    writer_u8(&w, manifest ? WIRE_GET_MANIFEST : WIRE_GET_CHUNK);
    writer_copy(&w, s->target.lineage, CRYPTO_DIGEST_BYTES);
    if (!manifest) writer_u32(&w, chunk);
    *q = (struct sync_request){.ticket = SYNC_TICKET | ++s->tickets,
                               .server = server,
                               .chunk = chunk,
                               .until = instant_after(now, PATIENCE)};
    if (!manifest) {
        s->have[chunk] = ASKED;
        s->servers[server].in_flight++;
    }
    struct action a = {.kind = ACTION_REQUEST,
                       .peer = s->servers[server].sid,
                       .ticket = q->ticket,
                       .bytes = writer_bytes(&w)};
    sink_act(out, &a);
}

/* Cancels a request to a server, so that its chunk is requested elsewhere. */
static void take_back(struct sync *s, struct sync_request *q)
{
    if (q->chunk != WHOLE_MANIFEST) {
        if (s->have[q->chunk] == ASKED) s->have[q->chunk] = NEEDED;
        s->servers[q->server].in_flight--;
    }
    q->ticket = 0;
}

static void lose(struct sync *s, uint32_t server)
{
    s->servers[server].lost = true;
    for (size_t i = 0; i < sizeof s->requests / sizeof *s->requests; i++)
        if (s->requests[i].ticket && s->requests[i].server == server) take_back(s, &s->requests[i]);
}

static uint32_t servers_left(const struct sync *s)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < s->servers_count; i++) n += !s->servers[i].lost;
    return n;
}

static uint32_t asked_for_manifest(const struct sync *s)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < s->servers_count; i++)
        n += s->servers[i].asked && (s->servers[i].answered || !s->servers[i].lost);
    return n;
}

/* The next chunk to request; UINT32_MAX when there is none. */
static uint32_t next_chunk(struct sync *s)
{
    for (uint32_t n = 0; n < 2 * s->chunks; n++) {
        uint32_t c = (s->next + n) % (2 * s->chunks);
        if (s->have[c] != NEEDED) continue;
        s->next = c + 1;
        return c;
    }
    return UINT32_MAX;
}

/* Requests chunks, from the least busy server first, to balance the load. */
static void ask_chunks(struct sync *s, instant now, const struct sink *out)
{
    for (;;) {
        uint32_t best = UINT32_MAX;
        for (uint32_t i = 0; i < s->servers_count; i++) {
            const struct sync_server *v = &s->servers[i];
            if (v->lost || v->in_flight >= SYNC_IN_FLIGHT) continue;
            const struct sync_server *b = best == UINT32_MAX ? NULL : &s->servers[best];
            if (!b || v->in_flight < b->in_flight ||
                (v->in_flight == b->in_flight && v->served < b->served))
                best = i;
        }
        if (best == UINT32_MAX) return;
        uint32_t c = next_chunk(s);
        if (c == UINT32_MAX) return;
        ask(s, best, c, now, out);
    }
}

static void go_on(struct sync *s, instant now, const struct sink *out)
{
    if (!active(s)) return;
    if (servers_left(s) == 0) {
        s->state = SYNC_FAILED;
        return;
    }
    if (s->state == SYNC_CHUNKS) {
        ask_chunks(s, now, out);
        return;
    }
    for (uint32_t i = 0; i < s->servers_count && asked_for_manifest(s) < SYNC_MANIFESTS; i++) {
        if (s->servers[i].lost || s->servers[i].asked) continue;
        s->servers[i].asked = true;
        ask(s, i, WHOLE_MANIFEST, now, out);
    }
}

/* ---- the manifest ---- */

/* The root with the most answers; at a tie the smaller one, so that all downloads choose alike. */
static void choose_root(const struct sync *s, uint8_t out[CRYPTO_DIGEST_BYTES])
{
    uint32_t best = 0;
    for (uint32_t i = 0; i < s->servers_count; i++) {
        const struct sync_server *v = &s->servers[i];
        if (!v->answered || v->lost) continue;
        uint32_t votes = 0;
        for (uint32_t j = 0; j < s->servers_count; j++)
            votes += s->servers[j].answered && !s->servers[j].lost &&
                     memcmp(s->servers[j].root, v->root, CRYPTO_DIGEST_BYTES) == 0;
        if (votes > best || (votes == best && memcmp(v->root, out, CRYPTO_DIGEST_BYTES) < 0)) {
            best = votes;
            memcpy(out, v->root, CRYPTO_DIGEST_BYTES);
        }
    }
}

/* All that were asked have answered, or time is over. */
static void settle_manifest(struct sync *s, instant now, const struct sink *out)
{
    bool waiting = false, any = false, held = false;
    for (uint32_t i = 0; i < s->servers_count; i++) {
        const struct sync_server *v = &s->servers[i];
        any = any || (v->answered && !v->lost);
        waiting = waiting || (v->asked && !v->answered && !v->lost);
    }
    if (!any || (waiting && now.ns < s->manifest_until.ns)) return;
    uint8_t chosen[CRYPTO_DIGEST_BYTES];
    choose_root(s, chosen);
    held = memcmp(chosen, s->root, CRYPTO_DIGEST_BYTES) == 0;
    for (uint32_t i = 0; i < s->servers_count; i++) {
        struct sync_server *v = &s->servers[i];
        if (!v->answered || v->lost) continue;
        if (memcmp(v->root, chosen, CRYPTO_DIGEST_BYTES) != 0) {
            lose(s, i);
            s->liars++;
        } else if (!held) {
            v->asked = v->answered = false; /* ask again: another server's leaves were kept */
            v->again = true;
        }
    }
    memcpy(s->root, chosen, CRYPTO_DIGEST_BYTES);
    if (held) s->state = SYNC_CHUNKS;
    go_on(s, now, out);
}

static bool read_manifest(struct sync *s, struct bytes reply, struct bytes *leaves)
{
    struct reader r = reader_init(reply);
    uint8_t lineage[CRYPTO_DIGEST_BYTES];
    (void)reader_u8(&r); /* flags */
    uint64_t epoch = reader_u64(&r);
    reader_copy(&r, lineage, sizeof lineage);
    uint64_t tokens = reader_u64(&r), parameters = reader_u64(&r);
    uint32_t elements = reader_u32(&r), count = reader_u32(&r);
    *leaves = reader_bytes(&r, sync_leaves_bytes(s));
    return reader_done(&r) && epoch == s->target.epoch && tokens == s->target.lineage_tokens &&
           parameters == s->config.parameters && elements == s->elements &&
           count == 2 * s->chunks && memcmp(lineage, s->target.lineage, sizeof lineage) == 0;
}

static void take_manifest(struct sync *s, uint32_t server, struct bytes reply, instant now,
                          const struct sink *out)
{
    struct sync_server *v = &s->servers[server];
    struct bytes leaves;
    if (!read_manifest(s, reply, &leaves)) {
        if (reply.count) s->liars++;
        lose(s, server);
    } else {
        sync_digest(s, leaves, v->root);
        /* It answered differently before. */
        if (v->again && memcmp(v->root, s->root, sizeof s->root) != 0) {
            s->liars++;
            lose(s, server);
            settle_manifest(s, now, out);
            go_on(s, now, out);
            return;
        }
        bool first = true;
        for (uint32_t i = 0; i < s->servers_count; i++)
            first = first && (!s->servers[i].answered || s->servers[i].lost);
        v->answered = true;
        /* Stores the leaves of the first answer, or those of the chosen root. */
        if (first && memcmp(s->root, (uint8_t[CRYPTO_DIGEST_BYTES]){0}, sizeof s->root) == 0)
            memcpy(s->root, v->root, sizeof s->root);
        if (memcmp(s->root, v->root, sizeof s->root) == 0)
            memcpy(s->leaves, leaves.data, leaves.count);
    }
    settle_manifest(s, now, out);
    go_on(s, now, out);
}

/* ---- chunks ---- */

static void take_chunk(struct sync *s, uint32_t server, uint32_t chunk, struct bytes reply,
                       instant now, const struct sink *out)
{
    uint8_t digest[CRYPTO_DIGEST_BYTES];
    struct sync_server *v = &s->servers[server];
    bool good = reply.count == sync_chunk_bytes(s, chunk);
    if (good) {
        sync_digest(s, reply, digest);
        good = memcmp(digest, s->leaves + (size_t)chunk * CRYPTO_DIGEST_BYTES, sizeof digest) == 0;
    }
    if (!good) {
        if (reply.count) s->liars++;
        lose(s, server);
    } else if (s->have[chunk] != WRITTEN) {
        s->have[chunk] = WRITTEN;
        s->written++;
        s->bytes += reply.count;
        v->served++;
        sink_act(out, &(struct action){.kind = ACTION_STATE,
                                       .part = {.vector = chunk >= s->chunks,
                                                .offset = sync_chunk_offset(s, chunk),
                                                .floats = reply}});
    }
    if (s->written == 2 * s->chunks) s->state = SYNC_WHOLE;
    go_on(s, now, out);
}

void sync_reply(struct sync *s, uint64_t ticket, bool ok, struct bytes reply, instant now,
                const struct sink *out)
{
    for (size_t i = 0; i < sizeof s->requests / sizeof *s->requests; i++) {
        struct sync_request q = s->requests[i];
        if (q.ticket == 0 || q.ticket != ticket) continue;
        take_back(s, &s->requests[i]);
        if (!active(s)) return;
        if (!ok) reply = bytes_of("", 0);
        if (q.chunk == WHOLE_MANIFEST) take_manifest(s, q.server, reply, now, out);
        else take_chunk(s, q.server, q.chunk, reply, now, out);
        return;
    }
}

void sync_start(struct sync *s, const struct lineage_state *target, instant now)
{
    sync_stop(s);
    s->state = SYNC_MANIFEST;
    s->target = *target;
    s->servers_count = 0;
    s->written = s->next = 0;
    s->bytes = 0;
    s->began = now;
    s->manifest_until = instant_after(now, manifest_patience(s));
    memset(s->root, 0, sizeof s->root);
    memset(s->have, NEEDED, 2 * (size_t)s->chunks);
}

void sync_stop(struct sync *s)
{
    s->state = SYNC_IDLE;
    memset(s->requests, 0, sizeof s->requests); /* later answers to these are ignored */
}

void sync_server(struct sync *s, sid peer, instant now, const struct sink *out)
{
    if (!active(s) || s->servers_count == SYNC_SERVERS) return;
    for (uint32_t i = 0; i < s->servers_count; i++)
        if (s->servers[i].sid == peer) return;
    s->servers[s->servers_count++] = (struct sync_server){.sid = peer};
    go_on(s, now, out);
}

void sync_gone(struct sync *s, sid peer, instant now, const struct sink *out)
{
    for (uint32_t i = 0; active(s) && i < s->servers_count; i++)
        if (s->servers[i].sid == peer && !s->servers[i].lost) lose(s, i);
    if (s->state == SYNC_MANIFEST) settle_manifest(s, now, out);
    go_on(s, now, out);
}

uint32_t sync_givers(const struct sync *s)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < s->servers_count; i++) n += s->servers[i].served > 0;
    return n;
}

void sync_flow(struct sync *s, sid peer, uint64_t received, instant now)
{
    if (!received || !active(s)) return;
    for (size_t i = 0; i < sizeof s->requests / sizeof *s->requests; i++) {
        struct sync_request *q = &s->requests[i];
        if (q->ticket && s->servers[q->server].sid == peer) q->until = instant_after(now, PATIENCE);
    }
}

/* ---- time ---- */

void sync_fetch_tick(struct sync *s, instant now, const struct sink *out)
{
    if (!active(s)) return;
    for (size_t i = 0; i < sizeof s->requests / sizeof *s->requests; i++)
        if (s->requests[i].ticket && now.ns >= s->requests[i].until.ns)
            lose(s, s->requests[i].server);
    if (s->state == SYNC_MANIFEST) settle_manifest(s, now, out);
    go_on(s, now, out);
}

instant sync_fetch_due(const struct sync *s)
{
    instant due = INSTANT_NEVER;
    if (!active(s)) return due;
    for (size_t i = 0; i < sizeof s->requests / sizeof *s->requests; i++)
        if (s->requests[i].ticket) due = instant_min(due, s->requests[i].until);
    if (s->servers_count == 0) due = s->manifest_until;
    return due;
}
