#include "wire.h"

#include <assert.h>

/* ---- signatures ---- */

static struct bytes to_sign(const uint8_t run_id[CRYPTO_DIGEST_BYTES], uint8_t kind,
                            struct bytes body, uint8_t *room, size_t bytes)
{
    struct writer w = writer_init(room, bytes);
    writer_copy(&w, "shoal1", 6);
    writer_copy(&w, run_id, CRYPTO_DIGEST_BYTES);
    writer_u8(&w, kind);
    writer_copy(&w, body.data, body.count);
    assert(!w.full);
    return writer_bytes(&w);
}

void wire_sign(const struct crypto *c, const uint8_t run_id[CRYPTO_DIGEST_BYTES], uint8_t kind,
               struct bytes body, uint8_t out[CRYPTO_SIGNATURE_BYTES])
{
    uint8_t room[WIRE_SIGNED_MAX + 32];
    assert(body.count <= WIRE_SIGNED_MAX);
    c->sign(c->self, to_sign(run_id, kind, body, room, sizeof room), out);
}

bool wire_verify(const struct crypto *c, const uint8_t run_id[CRYPTO_DIGEST_BYTES], uint8_t kind,
                 struct bytes body, const uint8_t id[CRYPTO_KEY_BYTES],
                 const uint8_t signature[CRYPTO_SIGNATURE_BYTES])
{
    uint8_t room[WIRE_SIGNED_MAX + 32];
    if (body.count > WIRE_SIGNED_MAX) return false;
    return c->verify(c->self, id, to_sign(run_id, kind, body, room, sizeof room), signature);
}

sid wire_sid(const uint8_t id[CRYPTO_KEY_BYTES]) { return first_eight(id); }

/* ---- fields ---- */

void wire_write_address(struct writer *w, const struct address *a)
{
    writer_u8(w, a->family);
    writer_copy(w, a->ip, sizeof a->ip);
    writer_u16(w, a->port);
}

/* A valid address: a known family, zeros where IPv4 has no bytes, and a port, or all zeros. */
bool wire_read_address(struct reader *r, struct address *out)
{
    *out = (struct address){.family = reader_u8(r)};
    reader_copy(r, out->ip, sizeof out->ip);
    out->port = reader_u16(r);
    if (r->bad) return false;
    bool zeros = true;
    size_t used = out->family == 4 ? 4 : out->family == 6 ? 16 : 0;
    for (size_t i = used; i < sizeof out->ip; i++) zeros = zeros && out->ip[i] == 0;
    bool good =
        out->family == 0 ? out->port == 0 : (out->family == 4 || out->family == 6) && out->port > 0;
    if (!good || !zeros) r->bad = true;
    return !r->bad;
}

static void write_version(struct writer *w, struct version v)
{
    writer_u64(w, v.incarnation);
    writer_u32(w, v.seq);
}

static struct version read_version(struct reader *r)
{
    struct version v;
    v.incarnation = reader_u64(r);
    v.seq = reader_u32(r);
    return v;
}

/* ---- records ---- */

static void write_peer(struct writer *w, const struct record_peer *p)
{
    writer_u8(w, 0); /* flags */
    writer_u16(w, WIRE_MAJOR);
    writer_u16(w, WIRE_MINOR);
    writer_copy(w, p->id, sizeof p->id);
    write_version(w, p->version);
    writer_u32(w, p->capabilities);
    writer_u8(w, p->addresses_count);
    for (size_t i = 0; i < p->addresses_count; i++) wire_write_address(w, &p->addresses[i]);
}

static bool read_peer(struct reader *r, struct record_peer *p)
{
    *p = (struct record_peer){0};
    (void)reader_u8(r);
    if (reader_u16(r) != WIRE_MAJOR) return false;
    (void)reader_u16(r);
    reader_copy(r, p->id, sizeof p->id);
    p->version = read_version(r);
    p->capabilities = reader_u32(r);
    p->addresses_count = reader_u8(r);
    if (p->addresses_count > RECORD_ADDRESSES_MAX) return false;
    for (size_t i = 0; i < p->addresses_count; i++)
        if (!wire_read_address(r, &p->addresses[i]) || p->addresses[i].family == 0) return false;
    return wire_sid(p->id) != 0;
}

static void write_progress(struct writer *w, const struct record_progress *p)
{
    writer_u8(w, (uint8_t)p->phase);
    writer_u8(w, p->flags);
    writer_u64(w, p->sid);
    write_version(w, p->version);
    writer_u32(w, p->epoch);
    writer_copy(w, p->lineage, sizeof p->lineage);
    writer_u64(w, p->lineage_tokens);
    writer_u32(w, p->steps);
    writer_u64(w, p->tokens);
    writer_u32(w, p->tokens_per_s);
    writer_u32(w, p->step_ms);
    writer_u32(w, p->eta_ms);
    writer_f32(w, p->loss);
    writer_u32(w, p->digest_epoch);
    writer_u64(w, p->digest);
}

static bool read_progress(struct reader *r, struct record_progress *p)
{
    uint8_t phase = reader_u8(r);
    p->phase = (enum peer_phase)phase;
    p->flags = reader_u8(r);
    p->sid = reader_u64(r);
    p->version = read_version(r);
    p->epoch = reader_u32(r);
    reader_copy(r, p->lineage, sizeof p->lineage);
    p->lineage_tokens = reader_u64(r);
    p->steps = reader_u32(r);
    p->tokens = reader_u64(r);
    p->tokens_per_s = reader_u32(r);
    p->step_ms = reader_u32(r);
    p->eta_ms = reader_u32(r);
    p->loss = reader_f32(r);
    p->digest_epoch = reader_u32(r);
    p->digest = reader_u64(r);
    return phase <= PHASE_OBSERVER && p->sid != 0;
}

static bool read_suspect(struct reader *r, struct record_suspect *s)
{
    s->accuser = reader_u64(r);
    s->target = reader_u64(r);
    s->incarnation = reader_u64(r);
    return s->accuser != 0 && s->target != 0 && s->accuser != s->target;
}

static void write_reach(struct writer *w, const struct record_reach *p)
{
    writer_u64(w, p->sid);
    write_version(w, p->version);
    writer_u8(w, p->count);
    for (size_t i = 0; i < p->count; i++) {
        writer_u64(w, p->list[i].sid);
        writer_u8(w, (uint8_t)p->list[i].reason);
    }
}

static bool read_reach(struct reader *r, struct record_reach *p)
{
    sid before = 0;
    p->sid = reader_u64(r);
    p->version = read_version(r);
    p->count = reader_u8(r);
    if (p->count > RECORD_REACH_MAX) return false;
    for (size_t i = 0; i < p->count; i++) {
        p->list[i].sid = reader_u64(r);
        p->list[i].reason = (enum reach_reason)reader_u8(r);
        if (p->list[i].sid <= before || p->list[i].sid == p->sid) return false;
        before = p->list[i].sid;
    }
    return p->sid != 0;
}

static void write_revoked(struct writer *w, const struct record_revoked *v)
{
    writer_u32(w, v->number);
    writer_u32(w, v->below);
    writer_u8(w, v->count);
    for (size_t i = 0; i < v->count; i++) writer_u32(w, v->serials[i]);
}

static bool read_revoked(struct reader *r, struct record_revoked *v)
{
    *v = (struct record_revoked){0};
    v->number = reader_u32(r);
    v->below = reader_u32(r);
    v->count = reader_u8(r);
    if (v->count > RECORD_REVOKED_MAX) return false;
    for (size_t i = 0; i < v->count; i++) {
        v->serials[i] = reader_u32(r);
        if (i ? v->serials[i] <= v->serials[i - 1] : v->serials[i] < v->below) return false;
    }
    return v->number != 0;
}

bool record_read(struct bytes bytes, struct record *out)
{
    if (bytes.count < CRYPTO_SIGNATURE_BYTES) return false;
    struct reader r = reader_init(bytes_of(bytes.data, bytes.count - CRYPTO_SIGNATURE_BYTES));
    uint8_t kind = reader_u8(&r);
    bool good = false;
    out->kind = (enum record_kind)kind;
    switch (kind) {
    case RECORD_PEER:
        good = read_peer(&r, &out->peer);
        break;
    case RECORD_PROGRESS:
        good = read_progress(&r, &out->progress);
        break;
    case RECORD_SUSPECT:
        good = read_suspect(&r, &out->suspect);
        break;
    case RECORD_LEAVE:
        out->leave.sid = reader_u64(&r);
        out->leave.version = read_version(&r);
        good = out->leave.sid != 0;
        break;
    case RECORD_REACH:
        good = read_reach(&r, &out->reach);
        break;
    case RECORD_REVOKED:
        good = read_revoked(&r, &out->revoked);
        break;
    }
    return good && reader_done(&r);
}

sid record_writer(const struct record *r)
{
    switch (r->kind) {
    case RECORD_PEER:
        return wire_sid(r->peer.id);
    case RECORD_PROGRESS:
        return r->progress.sid;
    case RECORD_SUSPECT:
        return r->suspect.accuser;
    case RECORD_LEAVE:
        return r->leave.sid;
    case RECORD_REACH:
        return r->reach.sid;
    case RECORD_REVOKED:
        break;
    }
    return 0;
}

bool record_verify(const struct crypto *c, const uint8_t run_id[CRYPTO_DIGEST_BYTES],
                   struct bytes bytes, const uint8_t id[CRYPTO_KEY_BYTES])
{
    if (bytes.count < 1 + CRYPTO_SIGNATURE_BYTES) return false;
    size_t body = bytes.count - CRYPTO_SIGNATURE_BYTES;
    return wire_verify(c, run_id, bytes.data[0], bytes_of(bytes.data + 1, body - 1), id,
                       bytes.data + body);
}

size_t record_write(const struct crypto *c, const uint8_t run_id[CRYPTO_DIGEST_BYTES],
                    const struct record *r, uint8_t *out)
{
    struct writer w = writer_init(out, RECORD_BYTES_MAX - CRYPTO_SIGNATURE_BYTES);
    writer_u8(&w, (uint8_t)r->kind);
    switch (r->kind) {
    case RECORD_PEER:
        write_peer(&w, &r->peer);
        break;
    case RECORD_PROGRESS:
        write_progress(&w, &r->progress);
        break;
    case RECORD_SUSPECT:
        writer_u64(&w, r->suspect.accuser);
        writer_u64(&w, r->suspect.target);
        writer_u64(&w, r->suspect.incarnation);
        break;
    case RECORD_LEAVE:
        writer_u64(&w, r->leave.sid);
        write_version(&w, r->leave.version);
        break;
    case RECORD_REACH:
        write_reach(&w, &r->reach);
        break;
    case RECORD_REVOKED:
        write_revoked(&w, &r->revoked);
        break;
    }
    assert(!w.full);
    wire_sign(c, run_id, (uint8_t)r->kind, bytes_of(out + 1, w.used - 1), out + w.used);
    return w.used + CRYPTO_SIGNATURE_BYTES;
}

bool record_pack(struct writer *w, uint32_t age_ms, struct bytes record)
{
    if (w->full || w->room - w->used < RECORD_ENVELOPE_BYTES + record.count) return false;
    writer_u16(w, (uint16_t)record.count);
    writer_u32(w, age_ms);
    writer_copy(w, record.data, record.count);
    return true;
}

bool record_unpack(struct reader *r, uint32_t *age_ms, struct bytes *record)
{
    if (r->bad || reader_left(r) == 0) return false;
    uint16_t count = reader_u16(r);
    *age_ms = reader_u32(r);
    *record = reader_bytes(r, count);
    return !r->bad;
}
