#include "access.h"

#include "base/hmac.h"
#include "base/whole.h"
#include "member_push.h"
#include "member_table.h"

/* ---- a secret ---- */

static void prove(const struct members *m, const uint8_t exporter[CRYPTO_HASH_BYTES],
                  const uint8_t id[CRYPTO_KEY_BYTES], uint8_t out[CRYPTO_HASH_BYTES])
{
    const struct bytes parts[] = {bytes_of(m->config.run_id, CRYPTO_DIGEST_BYTES),
                                  bytes_of(exporter, CRYPTO_HASH_BYTES),
                                  bytes_of(id, CRYPTO_KEY_BYTES)};
    hmac(m->config.crypto, m->config.secret, parts, 3, out);
}

static void ask_secret(const struct members *m, const uint8_t exporter[CRYPTO_HASH_BYTES],
                       const uint8_t id[CRYPTO_KEY_BYTES], struct bytes proof,
                       struct access_answer *out)
{
    uint8_t wanted[CRYPTO_HASH_BYTES];
    prove(m, exporter, id, wanted);
    out->admitted = proof.count == CRYPTO_HASH_BYTES && hmac_equal(wanted, proof.data);
    snprintf(out->log, sizeof out->log, "it does not hold the swarm's secret");
    snprintf(out->told, sizeof out->told,
             "this swarm takes who holds its secret (swarm.access.psk) and nobody else");
}

/* ---- tickets ---- */

static uint64_t wall_ms(const struct members *m)
{
    return m->wall_ms + span_in_ms(instant_since(m->now, m->wall_at));
}

static enum ticket_fault look(const struct members *m, const struct ticket *t,
                              const uint8_t id[CRYPTO_KEY_BYTES])
{
    enum ticket_fault f = ticket_look(t, id, wall_ms(m), TICKET_SLACK);
    if (!f && m->revoked.count && ticket_revoked(&m->revoked_list, t->serial)) f = TICKET_REVOKED;
    return f;
}

/* The signature comes last: it is the one thing here that costs something. */
static void ask_ticket(const struct members *m, const uint8_t id[CRYPTO_KEY_BYTES],
                       struct bytes proof, struct access_answer *out)
{
    enum ticket_fault f = TICKET_GOOD;
    if (proof.count == 0) f = TICKET_NONE;
    else if (!ticket_read(proof, &out->ticket)) f = TICKET_MALFORMED;
    else f = look(m, &out->ticket, id);
    if (!f && !ticket_signed(m->config.crypto, m->config.run_id, proof, m->config.ticket_key))
        f = TICKET_FORGED;
    out->admitted = !f;
    (void)ticket_story(f, &out->ticket, out->log);
    (void)ticket_story(f, &out->ticket, out->told);
}

void access_shown(struct member *p, const struct ticket *t)
{
    p->ticket = *t;
    p->lingers = (instant){0};
}

enum ticket_fault access_over(const struct members *m, const struct member *p)
{
    enum ticket_fault f = p->ticket.serial ? look(m, &p->ticket, p->id) : TICKET_GOOD;
    return f == TICKET_ENDED || f == TICKET_REVOKED ? f : TICKET_GOOD;
}

static bool any_greeted(const struct member *p)
{
    for (int j = 0; j < MEMBER_LINKS; j++)
        if (p->links[j].link != LINK_NONE && p->links[j].greeted) return true;
    return false;
}

instant access_due(const struct members *m)
{
    instant due = INSTANT_NEVER;
    if (!m->config.ticket_key) return due;
    const uint64_t now_ms = wall_ms(m);
    for (int i = 0; i < MEMBERS_MAX; i++) {
        const struct member *p = &m->members[i];
        if (!p->used || !p->ticket.serial || !(member_live(p) || any_greeted(p))) continue;
        if (access_over(m, p)) {
            due = instant_min(due, member_live(p) ? m->now : p->lingers);
            continue;
        }
        uint64_t over_ms = p->ticket.until_s * 1000 + span_in_ms(TICKET_SLACK);
        /* At most a day: an instant does not reach the year 9999. */
        uint64_t left_ms = min_u64(over_ms - now_ms, 24 * 3600 * 1000);
        due = instant_min(due, instant_after(m->now, span_ms(left_ms)));
    }
    return due;
}

bool access_revoke(struct members *m, struct bytes record, int from, const struct sink *out)
{
    struct record r;
    if (!m->config.ticket_key) return true;
    if (!record_read(record, &r) || r.kind != RECORD_REVOKED) return false;
    if (m->revoked.count && r.revoked.number <= m->revoked_list.number) return true;
    if (!record_verify(m->config.crypto, m->config.run_id, record, m->config.ticket_key))
        return false;
    m->revoked_list = r.revoked;
    memcpy(m->revoked.bytes, record.data, record.count);
    m->revoked.count = (uint16_t)record.count;
    m->revoked.version = (struct version){r.revoked.number, 0};
    m->revoked.at = m->now;
    m->revoked.push = member_some_linked(m, member_bit(from));
    if (m->revoked.push) member_flush_soon(m);
    sink_note(out, (struct note){.name = "revoked",
                                 .numbers = {{"number", r.revoked.number},
                                             {"below", r.revoked.below},
                                             {"serials", r.revoked.count}}});
    sink_act(out, &(struct action){.kind = ACTION_REVOKED, .revoked = record});
    return true;
}

/* ---- both ---- */

size_t access_prove(const struct members *m, const uint8_t exporter[CRYPTO_HASH_BYTES],
                    uint8_t out[ACCESS_PROOF_BYTES])
{
    if (m->config.ticket_key) {
        memcpy(out, m->config.ticket.data, m->config.ticket.count);
        return m->config.ticket.count;
    }
    if (m->config.secret.count == 0) return 0;
    prove(m, exporter, m->config.id, out);
    return CRYPTO_HASH_BYTES;
}

void access_ask(const struct members *m, const uint8_t exporter[CRYPTO_HASH_BYTES],
                const uint8_t id[CRYPTO_KEY_BYTES], struct bytes proof, struct access_answer *out)
{
    *out = (struct access_answer){.admitted = true};
    if (m->config.ticket_key) ask_ticket(m, id, proof, out);
    else if (m->config.secret.count) ask_secret(m, exporter, id, proof, out);
}
