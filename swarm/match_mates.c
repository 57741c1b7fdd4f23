#include "match_mates.h"

#include <assert.h>

#include "wire.h"

/* SPEC.md, "Timers": T_UNR, T_PROP, T_LOCK, or six round trips. Longer with count_steps, because a
 * reproducible run waits rather than leaving members out. */
#define T_STEP_MS      1500
#define T_STEP_LONG_MS 6000

void match_note(const struct match *m, const struct sink *out, const char *name, const char *key,
                uint64_t value)
{
    sink_note(out, (struct note){
                       .name = name,
                       .numbers = {{"round", m->round}, {"attempt", m->attempt}, {key, value}}});
}

struct match_signer match_signer(const struct match *m)
{
    return (struct match_signer){m->config.crypto, m->config.run_id};
}

/* ---- the table ---- */

struct match_mate *match_mate(struct match *m, sid s)
{
    for (uint32_t i = 0; i < m->mates_count; i++)
        if (m->mates[i].sid == s) return &m->mates[i];
    return NULL;
}

bool match_under_way(const struct match *m)
{
    return m->state == MATCH_OPEN || m->state == MATCH_CLOSED || m->state == MATCH_LOCKED;
}

/* Frees slots by removing mates that membership does not list. Indices move, so never during an
 * attempt. */
static void forget_unlisted(struct match *m)
{
    assert(!match_under_way(m));
    uint32_t kept = 0;
    for (uint32_t i = 0; i < m->mates_count; i++)
        if (m->mates[i].listed) m->mates[kept++] = m->mates[i];
    m->mates_count = kept;
}

struct match_mate *match_mate_add(struct match *m, sid s)
{
    if (m->mates_count == NODE_GROUP_MAX - 1 && !match_under_way(m)) forget_unlisted(m);
    if (m->mates_count == NODE_GROUP_MAX - 1) return NULL;
    struct match_mate *mate = &m->mates[m->mates_count++];
    *mate = (struct match_mate){.sid = s};
    return mate;
}

bool match_same_history(const struct match *m, const struct match_ready *r)
{
    return r->attempt && r->round == m->round &&
           memcmp(r->lineage, m->lineage, CRYPTO_DIGEST_BYTES) == 0;
}

bool match_ready_now(const struct match *m, const struct match_mate *mate)
{
    return !mate->left && match_same_history(m, &mate->ready) && mate->ready.attempt == m->attempt;
}

span match_patience(const struct match *m)
{
    uint64_t ms = m->config.count_steps ? T_STEP_LONG_MS : T_STEP_MS;
    for (uint32_t i = 0; i < m->mates_count; i++)
        if (6u * (uint64_t)m->mates[i].rtt_ms > ms) ms = 6u * (uint64_t)m->mates[i].rtt_ms;
    return span_ms(ms < MATCH_GRACE_MAX_MS ? ms : MATCH_GRACE_MAX_MS);
}

int match_group_index(const struct match *m, sid s)
{
    for (uint32_t i = 0; i < m->group.count; i++)
        if (m->group.members[i].sid == s) return (int)i;
    return -1;
}

static void insert(struct match_group *g, const struct match_member *one)
{
    uint32_t at = g->count++;
    for (; at > 0 && g->members[at - 1].sid > one->sid; at--) g->members[at] = g->members[at - 1];
    g->members[at] = *one;
}

void match_group_of(const struct match *m, uint32_t set, struct match_group *g)
{
    struct match_member me = {.sid = m->self, .offer = m->mine.offer, .hash = m->mine.hash};
    *g = (struct match_group){.round = m->round, .attempt = m->attempt};
    memcpy(me.id, m->config.id, CRYPTO_KEY_BYTES);
    insert(g, &me);
    for (uint32_t i = 0; i < m->mates_count; i++) {
        const struct match_mate *mate = &m->mates[i];
        if (!(set >> i & 1)) continue;
        bool ready = match_ready_now(m, mate);
        struct match_member one = {.sid = mate->sid,
                                   .offer = mate->ready.offer,
                                   .hash = ready ? mate->ready.hash : mate->hearsay};
        memcpy(one.id, mate->id, CRYPTO_KEY_BYTES);
        insert(g, &one);
    }
    for (uint32_t i = 0; i < g->count; i++)
        if (g->members[i].sid == m->self) g->self = i;
}

/* ---- frames to mates ---- */

static void say(sid peer, uint8_t type, struct bytes body, const struct sink *out)
{
    sink_act(out,
             &(struct action){.kind = ACTION_FRAME, .peer = peer, .type = type, .bytes = body});
}

void match_say_ready(struct match *m, struct match_mate *mate, instant now, const struct sink *out)
{
    struct match_signer s = match_signer(m);
    uint8_t room[MATCH_READY_BYTES];
    mate->asked = now;
    mate->unanswered = false;
    say(mate->sid, WIRE_READY, match_write_ready(&s, m->self, &m->mine, &m->blocked, room), out);
}

void match_say_notready(sid peer, enum match_reason reason, uint32_t eta_ms, uint64_t round,
                        uint16_t attempt, const struct sink *out)
{
    struct match_notready n = {round, attempt, reason, eta_ms};
    uint8_t room[MATCH_NOTREADY_BYTES];
    say(peer, WIRE_NOTREADY, match_write_notready(&n, room), out);
}

void match_say_propose(const struct match *m, sid peer, const struct sink *out)
{
    struct match_group g;
    uint8_t room[MATCH_PROPOSE_BYTES];
    match_group_of(m, m->set, &g);
    say(peer, WIRE_PROPOSE, match_write_propose(&g, m->set_verified, &m->blocked, room), out);
}

void match_say_accept(const struct match *m, sid peer, const struct sink *out)
{
    uint8_t room[MATCH_ACCEPT_BYTES];
    const uint8_t *mine = m->signatures[m->group.self];
    say(peer, WIRE_ACCEPT, match_write_accept(&m->group, m->self, mine, room), out);
}

void match_say_cert(const struct match *m, sid peer, const struct sink *out)
{
    uint8_t room[MATCH_CERT_BYTES];
    say(peer, WIRE_CERT, match_write_cert(&m->group, m->signatures, room), out);
}

void match_say_witness(sid peer, sid whose, const struct match_said *said, const struct sink *out)
{
    uint8_t room[MATCH_WITNESS_BYTES];
    if (said->count) say(peer, WIRE_WITNESS, match_write_witness(whose, said, room), out);
}

void match_say_withdraw(sid peer, uint64_t round, uint16_t attempt,
                        const uint8_t gid[CRYPTO_DIGEST_BYTES], const struct sink *out)
{
    uint8_t room[MATCH_WITHDRAW_BYTES];
    say(peer, WIRE_WITHDRAW, match_write_withdraw(round, attempt, gid, room), out);
}
