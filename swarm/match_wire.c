#include "match_wire.h"

#include <assert.h>

#include "wire.h"

static struct bytes text(const char *s) { return bytes_of(s, strlen(s)); }

static void write_entries(const struct match_group *g, struct writer *w)
{
    for (uint32_t i = 0; i < g->count; i++) {
        writer_u64(w, g->members[i].sid);
        writer_u64(w, g->members[i].hash);
    }
}

/* ---- names ---- */

void match_gid(const struct match_signer *s, uint64_t round, uint16_t attempt, struct bytes entries,
               uint8_t out[CRYPTO_DIGEST_BYTES])
{
    uint8_t number[10];
    struct writer w = writer_init(number, sizeof number);
    writer_u64(&w, round);
    writer_u16(&w, attempt);
    struct bytes parts[] = {text("shoal1 group"), bytes_of(s->run_id, CRYPTO_DIGEST_BYTES),
                            writer_bytes(&w), entries};
    crypto_digest(s->crypto, parts, 4, out);
}

void match_name(const struct match_signer *s, struct match_group *g)
{
    uint8_t entries[MATCH_ENTRY_BYTES * NODE_GROUP_MAX];
    struct writer w = writer_init(entries, sizeof entries);
    write_entries(g, &w);
    match_gid(s, g->round, g->attempt, writer_bytes(&w), g->gid);
}

/* ---- READY ---- */

static struct bytes ready_body(sid who, const struct match_ready *r,
                               uint8_t room[MATCH_READY_BODY_BYTES])
{
    struct writer w = writer_init(room, MATCH_READY_BODY_BYTES);
    writer_u64(&w, who);
    writer_u64(&w, r->incarnation);
    writer_u64(&w, r->round);
    writer_u16(&w, r->attempt);
    writer_copy(&w, r->lineage, CRYPTO_DIGEST_BYTES);
    writer_u64(&w, r->lineage_tokens);
    writer_u64(&w, r->offer.weight);
    writer_u64(&w, r->offer.steps);
    writer_u32(&w, r->offer.up_kbps);
    writer_u32(&w, r->offer.step_ms);
    writer_u8(&w, (uint8_t)r->offer.apart_count);
    for (uint32_t i = 0; i < r->offer.apart_count; i++) writer_u64(&w, r->offer.apart[i]);
    assert(!w.full);
    return writer_bytes(&w);
}

static uint64_t hash_of(const struct match_signer *s, struct bytes body)
{
    uint8_t hash[CRYPTO_HASH_BYTES];
    crypto_hash(s->crypto, body, hash);
    return first_eight(hash);
}

void match_hash_ready(const struct match_signer *s, sid who, struct match_ready *r)
{
    uint8_t body[MATCH_READY_BODY_BYTES];
    r->hash = hash_of(s, ready_body(who, r, body));
}

struct bytes match_write_ready(const struct match_signer *s, sid who, const struct match_ready *r,
                               const struct match_pairs *pairs, uint8_t room[MATCH_READY_BYTES])
{
    uint8_t made[MATCH_READY_BODY_BYTES], signature[CRYPTO_SIGNATURE_BYTES];
    struct bytes body = ready_body(who, r, made);
    wire_sign(s->crypto, s->run_id, WIRE_READY, body, signature);
    struct writer w = writer_init(room, MATCH_READY_BYTES);
    writer_u16(&w, (uint16_t)body.count);
    writer_copy(&w, body.data, body.count);
    writer_copy(&w, signature, sizeof signature);
    match_pairs_write(pairs, &w);
    assert(!w.full);
    return writer_bytes(&w);
}

bool match_read_ready(const struct match_signer *s, sid who, const uint8_t id[CRYPTO_KEY_BYTES],
                      struct bytes frame, struct match_ready *to, struct bytes *pairs)
{
    struct reader r = reader_init(frame);
    uint16_t count = reader_u16(&r);
    struct bytes body = reader_bytes(&r, count);
    struct bytes signature = reader_bytes(&r, CRYPTO_SIGNATURE_BYTES);
    uint16_t pairs_count = reader_u16(&r);
    *pairs = reader_bytes(&r, (size_t)pairs_count * MATCH_PAIR_BYTES);
    if (r.bad) return false;
    struct reader b = reader_init(body);
    sid writer = reader_u64(&b);
    to->incarnation = reader_u64(&b);
    to->round = reader_u64(&b);
    to->attempt = reader_u16(&b);
    reader_copy(&b, to->lineage, CRYPTO_DIGEST_BYTES);
    to->lineage_tokens = reader_u64(&b);
    to->offer.weight = reader_u64(&b);
    to->offer.steps = reader_u64(&b);
    to->offer.up_kbps = reader_u32(&b);
    to->offer.step_ms = reader_u32(&b);
    to->offer.apart_count = reader_u8(&b);
    if (to->offer.apart_count >= NODE_GROUP_MAX) return false;
    for (uint32_t i = 0; i < to->offer.apart_count; i++) to->offer.apart[i] = reader_u64(&b);
    if (b.bad || writer != who || !to->attempt || !to->offer.up_kbps) return false;
    if (!to->offer.weight || to->offer.weight > MATCH_WEIGHT_MAX) return false;
    to->hash = hash_of(s, body);
    return wire_verify(s->crypto, s->run_id, WIRE_READY, body, id, signature.data);
}

/* ---- NOTREADY ---- */

struct bytes match_write_notready(const struct match_notready *n,
                                  uint8_t room[MATCH_NOTREADY_BYTES])
{
    struct writer w = writer_init(room, MATCH_NOTREADY_BYTES);
    writer_u64(&w, n->round);
    writer_u16(&w, n->attempt);
    writer_u8(&w, (uint8_t)n->reason);
    writer_u32(&w, n->eta_ms);
    return writer_bytes(&w);
}

bool match_read_notready(struct bytes frame, struct match_notready *to)
{
    struct reader r = reader_init(frame);
    to->round = reader_u64(&r);
    to->attempt = reader_u16(&r);
    to->reason = (enum match_reason)reader_u8(&r);
    to->eta_ms = reader_u32(&r);
    return !r.bad && to->reason >= MATCH_REASON_TRAINING && to->reason <= MATCH_REASON_DONE;
}

/* ---- PROPOSE ---- */

struct bytes match_write_propose(const struct match_group *g, bool verified,
                                 const struct match_pairs *pairs, uint8_t room[MATCH_PROPOSE_BYTES])
{
    struct writer w = writer_init(room, MATCH_PROPOSE_BYTES);
    writer_u64(&w, g->round);
    writer_u16(&w, g->attempt);
    writer_u8(&w, verified);
    writer_u16(&w, (uint16_t)g->count);
    write_entries(g, &w);
    match_pairs_write(pairs, &w);
    assert(!w.full);
    return writer_bytes(&w);
}

bool match_next_entry(struct reader *entries, sid *who, uint64_t *hash)
{
    if (!reader_left(entries)) return false;
    *who = reader_u64(entries);
    *hash = reader_u64(entries);
    return true;
}

static bool well_formed(struct bytes entries, sid proposer)
{
    struct reader r = reader_init(entries);
    sid before = 0, who;
    uint64_t hash;
    bool has = false;
    while (match_next_entry(&r, &who, &hash)) {
        if (who <= before) return false;
        before = who;
        has = has || who == proposer;
    }
    return has;
}

bool match_read_propose(sid proposer, struct bytes frame, struct match_propose *to)
{
    struct reader r = reader_init(frame);
    to->round = reader_u64(&r);
    to->attempt = reader_u16(&r);
    to->verified = reader_u8(&r) & 1;
    uint16_t count = reader_u16(&r);
    to->entries = reader_bytes(&r, (size_t)count * MATCH_ENTRY_BYTES);
    uint16_t pairs_count = reader_u16(&r);
    to->pairs = reader_bytes(&r, (size_t)pairs_count * MATCH_PAIR_BYTES);
    return !r.bad && count >= 2 && count <= NODE_GROUP_MAX && well_formed(to->entries, proposer);
}

/* ---- ACCEPT ---- */

static struct bytes accept_body(uint64_t round, uint16_t attempt,
                                const uint8_t gid[CRYPTO_DIGEST_BYTES], sid who,
                                uint8_t room[MATCH_ACCEPT_BODY_BYTES])
{
    struct writer w = writer_init(room, MATCH_ACCEPT_BODY_BYTES);
    writer_u64(&w, round);
    writer_u16(&w, attempt);
    writer_copy(&w, gid, CRYPTO_DIGEST_BYTES);
    writer_u64(&w, who);
    assert(!w.full && w.used == MATCH_ACCEPT_BODY_BYTES);
    return writer_bytes(&w);
}

void match_sign_accept(const struct match_signer *s, const struct match_group *g, sid self,
                       uint8_t out[CRYPTO_SIGNATURE_BYTES])
{
    uint8_t body[MATCH_ACCEPT_BODY_BYTES];
    wire_sign(s->crypto, s->run_id, WIRE_ACCEPT,
              accept_body(g->round, g->attempt, g->gid, self, body), out);
}

struct bytes match_write_accept(const struct match_group *g, sid self,
                                const uint8_t signature[CRYPTO_SIGNATURE_BYTES],
                                uint8_t room[MATCH_ACCEPT_BYTES])
{
    accept_body(g->round, g->attempt, g->gid, self, room);
    memcpy(room + MATCH_ACCEPT_BODY_BYTES, signature, CRYPTO_SIGNATURE_BYTES);
    return bytes_of(room, MATCH_ACCEPT_BYTES);
}

bool match_read_accept(const struct match_signer *s, sid who, const uint8_t id[CRYPTO_KEY_BYTES],
                       struct bytes frame, struct match_accept *to)
{
    struct reader r = reader_init(frame);
    uint8_t body[MATCH_ACCEPT_BODY_BYTES];
    to->round = reader_u64(&r);
    to->attempt = reader_u16(&r);
    reader_copy(&r, to->gid, CRYPTO_DIGEST_BYTES);
    sid writer = reader_u64(&r);
    reader_copy(&r, to->signature, CRYPTO_SIGNATURE_BYTES);
    return !r.bad && writer == who && to->attempt &&
           wire_verify(s->crypto, s->run_id, WIRE_ACCEPT,
                       accept_body(to->round, to->attempt, to->gid, who, body), id, to->signature);
}

/* ---- CERT ---- */

struct bytes match_write_cert(const struct match_group *g,
                              const uint8_t signatures[NODE_GROUP_MAX][CRYPTO_SIGNATURE_BYTES],
                              uint8_t room[MATCH_CERT_BYTES])
{
    struct writer w = writer_init(room, MATCH_CERT_BYTES);
    writer_u64(&w, g->round);
    writer_u16(&w, g->attempt);
    writer_copy(&w, g->gid, CRYPTO_DIGEST_BYTES);
    writer_u16(&w, (uint16_t)g->count);
    for (uint32_t i = 0; i < g->count; i++) {
        writer_u64(&w, g->members[i].sid);
        writer_copy(&w, signatures[i], CRYPTO_SIGNATURE_BYTES);
    }
    assert(!w.full);
    return writer_bytes(&w);
}

bool match_read_cert(struct bytes frame, struct match_cert *to)
{
    struct reader r = reader_init(frame);
    to->round = reader_u64(&r);
    to->attempt = reader_u16(&r);
    reader_copy(&r, to->gid, CRYPTO_DIGEST_BYTES);
    to->count = reader_u16(&r);
    to->signatures = reader_bytes(&r, (size_t)to->count * (8 + CRYPTO_SIGNATURE_BYTES));
    return !r.bad && to->count && to->count <= NODE_GROUP_MAX;
}

bool match_open_cert(const struct match_signer *s, const struct match_group *g,
                     const struct match_cert *c,
                     uint8_t out[NODE_GROUP_MAX][CRYPTO_SIGNATURE_BYTES])
{
    if (c->count != g->count) return false;
    struct reader r = reader_init(c->signatures);
    for (uint32_t i = 0; i < g->count; i++) {
        uint8_t body[MATCH_ACCEPT_BODY_BYTES];
        sid who = reader_u64(&r);
        reader_copy(&r, out[i], CRYPTO_SIGNATURE_BYTES);
        if (who != g->members[i].sid ||
            !wire_verify(s->crypto, s->run_id, WIRE_ACCEPT,
                         accept_body(g->round, g->attempt, g->gid, who, body), g->members[i].id,
                         out[i]))
            return false;
    }
    return true;
}

/* ---- WITHDRAW ---- */

struct bytes match_write_withdraw(uint64_t round, uint16_t attempt,
                                  const uint8_t gid[CRYPTO_DIGEST_BYTES],
                                  uint8_t room[MATCH_WITHDRAW_BYTES])
{
    struct writer w = writer_init(room, MATCH_WITHDRAW_BYTES);
    writer_u64(&w, round);
    writer_u16(&w, attempt);
    writer_copy(&w, gid, CRYPTO_DIGEST_BYTES);
    return writer_bytes(&w);
}

bool match_read_withdraw(struct bytes frame, uint8_t gid[CRYPTO_DIGEST_BYTES])
{
    struct reader r = reader_init(frame);
    reader_u64(&r);
    reader_u16(&r);
    reader_copy(&r, gid, CRYPTO_DIGEST_BYTES);
    return !r.bad;
}
