#include "match.h"

#include <assert.h>

#include "lineage.h"
#include "wire.h"

/* SPEC.md, "Timers". */
#define T_MATCH_S 15 /* from READY to COMMITTED or SOLO */
#define T_STEP_MS                                                                                  \
    1500 /* patience with a mate that says nothing: T_UNR, T_PROP, T_LOCK; or six round trips */
#define T_STEP_LONG_MS                                                                             \
    6000 /* the same with count_steps: a reproducible run waits rather than leaves out */
#define GRACE_MIN_MS   3000
#define GRACE_MAX_MS   (T_MATCH_S * 1000 / 2)
#define GRACE_AGAIN_MS 1000 /* of later attempts */
#define GRACE_HINT_MS  300  /* once somebody else has closed */
#define ATTEMPTS_MAX   8
#define ATTEMPT_JUMP   64 /* a READY so far ahead of mine is not followed: nobody can count so fast */
#define DISTRUST_S     3600

#define READY_BODY_BYTES  74
#define READY_BYTES       (2 + READY_BODY_BYTES + CRYPTO_SIGNATURE_BYTES + 2 + 16 * MATCH_PAIRS_MAX)
#define PROPOSE_BYTES     (8 + 2 + 1 + 2 + 16 * NODE_GROUP_MAX + 2 + 16 * MATCH_PAIRS_MAX)
#define ACCEPT_BODY_BYTES (8 + 2 + CRYPTO_DIGEST_BYTES + 8)
#define CERT_BYTES        (8 + 2 + CRYPTO_DIGEST_BYTES + 2 + NODE_GROUP_MAX * (8 + CRYPTO_SIGNATURE_BYTES))

static struct bytes text(const char *s) { return bytes_of(s, strlen(s)); }

static void note(const struct match *m, const struct sink *out, const char *name, const char *key,
                 uint64_t value)
{
    struct action a = {.kind = ACTION_NOTE, .text = name};
    a.note.numbers[0].key = "round";
    a.note.numbers[0].value = m->round;
    a.note.numbers[1].key = "attempt";
    a.note.numbers[1].value = m->attempt;
    a.note.numbers[2].key = key;
    a.note.numbers[2].value = value;
    sink_act(out, &a);
}

static void say(sid peer, uint8_t type, struct bytes body, const struct sink *out)
{
    sink_act(out,
             &(struct action){.kind = ACTION_FRAME, .peer = peer, .type = type, .bytes = body});
}

/* ---- mates ---- */

static struct match_mate *mate_of(struct match *m, sid s)
{
    for (uint32_t i = 0; i < m->mates_count; i++)
        if (m->mates[i].sid == s) return &m->mates[i];
    return NULL;
}

static bool under_way(const struct match *m)
{
    return m->state == MATCH_OPEN || m->state == MATCH_CLOSED || m->state == MATCH_LOCKED;
}

/* Makes room by forgetting whom membership does not list; indices move, so never in an attempt. */
static void forget_unlisted(struct match *m)
{
    assert(!under_way(m));
    uint32_t kept = 0;
    for (uint32_t i = 0; i < m->mates_count; i++)
        if (m->mates[i].listed) m->mates[kept++] = m->mates[i];
    m->mates_count = kept;
}

static struct match_mate *mate_add(struct match *m, sid s)
{
    if (m->mates_count == NODE_GROUP_MAX - 1 && !under_way(m)) forget_unlisted(m);
    if (m->mates_count == NODE_GROUP_MAX - 1) return NULL;
    struct match_mate *mate = &m->mates[m->mates_count++];
    *mate = (struct match_mate){.sid = s};
    return mate;
}

static void mate_identify(struct match_mate *mate, const uint8_t id[CRYPTO_KEY_BYTES])
{
    memcpy(mate->id, id, CRYPTO_KEY_BYTES);
    mate->known = true;
}

/* Does its latest READY speak of this round and my history? */
static bool same_history(const struct match *m, const struct match_ready *r)
{
    return r->attempt && r->round == m->round &&
           memcmp(r->lineage, m->lineage, CRYPTO_DIGEST_BYTES) == 0;
}
static bool ready_now(const struct match *m, const struct match_mate *mate)
{
    return !mate->left && same_history(m, &mate->ready) && mate->ready.attempt == m->attempt;
}

static span patience(const struct match *m)
{
    uint64_t ms = m->config.count_steps ? T_STEP_LONG_MS : T_STEP_MS;
    for (uint32_t i = 0; i < m->mates_count; i++)
        if (6u * (uint64_t)m->mates[i].rtt_ms > ms) ms = 6u * (uint64_t)m->mates[i].rtt_ms;
    return span_ms(ms < GRACE_MAX_MS ? ms : GRACE_MAX_MS);
}

/* ---- blocked pairs ---- */

static bool is_blocked(const struct match *m, sid a, sid b)
{
    sid first = a < b ? a : b, second = a < b ? b : a;
    for (uint32_t i = 0; i < m->blocked_count; i++)
        if (m->blocked[i].first == first && m->blocked[i].second == second) return true;
    return false;
}

static void block(struct match *m, sid a, sid b)
{
    if (a == b || is_blocked(m, a, b) || m->blocked_count == MATCH_PAIRS_MAX) return;
    m->blocked[m->blocked_count].first = a < b ? a : b;
    m->blocked[m->blocked_count++].second = a < b ? b : a;
}

static void write_pairs(const struct match *m, struct writer *w)
{
    writer_u16(w, (uint16_t)m->blocked_count);
    for (uint32_t i = 0; i < m->blocked_count; i++) {
        writer_u64(w, m->blocked[i].first);
        writer_u64(w, m->blocked[i].second);
    }
}

/* Takes over the pairs that a peer knows. Read in full before anything of the message is believed. */
static void read_pairs(struct match *m, struct bytes pairs)
{
    struct reader r = reader_init(pairs);
    while (reader_left(&r)) {
        sid a = reader_u64(&r), b = reader_u64(&r);
        block(m, a, b);
    }
}

/* ---- what goes out ---- */

static void make_ready(struct match *m)
{
    m->mine = (struct match_ready){.incarnation = m->config.incarnation,
                                   .round = m->round,
                                   .attempt = m->attempt,
                                   .lineage_tokens = m->lineage_tokens,
                                   .offer = m->offer};
    memcpy(m->mine.lineage, m->lineage, CRYPTO_DIGEST_BYTES);
}

static struct bytes ready_body(const struct match *m, uint8_t room[READY_BODY_BYTES])
{
    struct writer w = writer_init(room, READY_BODY_BYTES);
    writer_u64(&w, m->self);
    writer_u64(&w, m->mine.incarnation);
    writer_u64(&w, m->mine.round);
    writer_u16(&w, m->mine.attempt);
    writer_copy(&w, m->mine.lineage, CRYPTO_DIGEST_BYTES);
    writer_u64(&w, m->mine.lineage_tokens);
    writer_u64(&w, m->mine.offer.weight);
    writer_u64(&w, m->mine.offer.steps);
    writer_u32(&w, m->mine.offer.up_mbps);
    writer_u32(&w, m->mine.offer.step_ms);
    assert(!w.full && w.used == READY_BODY_BYTES);
    return writer_bytes(&w);
}

static uint64_t ready_hash(const struct match *m, struct bytes body)
{
    uint8_t hash[CRYPTO_HASH_BYTES];
    crypto_hash(m->config.crypto, body, hash);
    return first_eight(hash);
}

static void say_ready(const struct match *m, sid peer, const struct sink *out)
{
    uint8_t body[READY_BODY_BYTES], frame[READY_BYTES];
    struct bytes signed_part = ready_body(m, body);
    uint8_t signature[CRYPTO_SIGNATURE_BYTES];
    wire_sign(m->config.crypto, m->config.run_id, WIRE_READY, signed_part, signature);
    struct writer w = writer_init(frame, sizeof frame);
    writer_u16(&w, READY_BODY_BYTES);
    writer_copy(&w, body, sizeof body);
    writer_copy(&w, signature, sizeof signature);
    write_pairs(m, &w);
    assert(!w.full);
    say(peer, WIRE_READY, writer_bytes(&w), out);
}

static void say_notready(const struct match *m, sid peer, enum match_reason reason, uint32_t eta_ms,
                         uint64_t round, uint16_t attempt, const struct sink *out)
{
    uint8_t frame[15];
    struct writer w = writer_init(frame, sizeof frame);
    writer_u64(&w, round);
    writer_u16(&w, attempt);
    writer_u8(&w, (uint8_t)reason);
    writer_u32(&w, eta_ms);
    say(peer, WIRE_NOTREADY, writer_bytes(&w), out);
}

/* The members of a set: those mates and me, by rising sid. */
static uint32_t members_of(const struct match *m, uint32_t set,
                           struct match_member to[NODE_GROUP_MAX], uint32_t *self)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i <= m->mates_count; i++) {
        if (i < m->mates_count && !(set >> i & 1)) continue;
        struct match_member one = {.sid = m->self, .offer = m->mine.offer, .hash = m->mine.hash};
        if (i < m->mates_count) {
            const struct match_mate *mate = &m->mates[i];
            bool ready = ready_now(m, mate);
            one = (struct match_member){.sid = mate->sid,
                                        .offer = mate->ready.offer,
                                        .hash = ready ? mate->ready.hash : mate->hearsay};
            memcpy(one.id, mate->id, CRYPTO_KEY_BYTES);
        } else memcpy(one.id, m->config.id, CRYPTO_KEY_BYTES);
        uint32_t at = count++;
        for (; at > 0 && to[at - 1].sid > one.sid; at--) to[at] = to[at - 1];
        to[at] = one;
    }
    for (uint32_t i = 0; i < count; i++)
        if (to[i].sid == m->self) *self = i;
    return count;
}

/* gid = digest("shoal1 group" || run || round || attempt || each (sid, hash), by rising sid) */
static void gid_of(const struct match *m, const uint8_t *pairs, uint32_t count,
                   uint8_t out[CRYPTO_DIGEST_BYTES])
{
    uint8_t number[10];
    struct writer w = writer_init(number, sizeof number);
    writer_u64(&w, m->round);
    writer_u16(&w, m->attempt);
    struct bytes parts[] = {text("shoal1 group"), bytes_of(m->config.run_id, CRYPTO_DIGEST_BYTES),
                            writer_bytes(&w), bytes_of(pairs, (size_t)count * 16)};
    crypto_digest(m->config.crypto, parts, 4, out);
}

static void gid_of_members(const struct match *m, const struct match_member *members,
                           uint32_t count, uint8_t out[CRYPTO_DIGEST_BYTES])
{
    uint8_t pairs[16 * NODE_GROUP_MAX];
    struct writer w = writer_init(pairs, sizeof pairs);
    for (uint32_t i = 0; i < count; i++) {
        writer_u64(&w, members[i].sid);
        writer_u64(&w, members[i].hash);
    }
    gid_of(m, pairs, count, out);
}

static void say_propose(const struct match *m, sid peer, const struct sink *out)
{
    struct match_member members[NODE_GROUP_MAX];
    uint32_t self, count = members_of(m, m->set, members, &self);
    uint8_t frame[PROPOSE_BYTES];
    struct writer w = writer_init(frame, sizeof frame);
    writer_u64(&w, m->round);
    writer_u16(&w, m->attempt);
    writer_u8(&w, m->set_verified);
    writer_u16(&w, (uint16_t)count);
    for (uint32_t i = 0; i < count; i++) {
        writer_u64(&w, members[i].sid);
        writer_u64(&w, members[i].hash);
    }
    write_pairs(m, &w);
    assert(!w.full);
    say(peer, WIRE_PROPOSE, writer_bytes(&w), out);
}

static struct bytes accept_body(const struct match_group *g, sid who,
                                uint8_t room[ACCEPT_BODY_BYTES])
{
    struct writer w = writer_init(room, ACCEPT_BODY_BYTES);
    writer_u64(&w, g->round);
    writer_u16(&w, g->attempt);
    writer_copy(&w, g->gid, CRYPTO_DIGEST_BYTES);
    writer_u64(&w, who);
    assert(!w.full && w.used == ACCEPT_BODY_BYTES);
    return writer_bytes(&w);
}

static void say_accept(const struct match *m, sid peer, const struct sink *out)
{
    uint8_t frame[ACCEPT_BODY_BYTES + CRYPTO_SIGNATURE_BYTES];
    accept_body(&m->group, m->self, frame);
    memcpy(frame + ACCEPT_BODY_BYTES, m->signatures[m->group.self], CRYPTO_SIGNATURE_BYTES);
    say(peer, WIRE_ACCEPT, bytes_of(frame, sizeof frame), out);
}

static void say_cert(const struct match *m, sid peer, const struct sink *out)
{
    uint8_t frame[CERT_BYTES];
    struct writer w = writer_init(frame, sizeof frame);
    writer_u64(&w, m->group.round);
    writer_u16(&w, m->group.attempt);
    writer_copy(&w, m->group.gid, CRYPTO_DIGEST_BYTES);
    writer_u16(&w, (uint16_t)m->group.count);
    for (uint32_t i = 0; i < m->group.count; i++) {
        writer_u64(&w, m->group.members[i].sid);
        writer_copy(&w, m->signatures[i], CRYPTO_SIGNATURE_BYTES);
    }
    assert(!w.full);
    say(peer, WIRE_CERT, writer_bytes(&w), out);
}

static void say_withdraw(sid peer, uint64_t round, uint16_t attempt,
                         const uint8_t gid[CRYPTO_DIGEST_BYTES], const struct sink *out)
{
    uint8_t frame[8 + 2 + CRYPTO_DIGEST_BYTES];
    struct writer w = writer_init(frame, sizeof frame);
    writer_u64(&w, round);
    writer_u16(&w, attempt);
    writer_copy(&w, gid, CRYPTO_DIGEST_BYTES);
    say(peer, WIRE_WITHDRAW, writer_bytes(&w), out);
}

/* ---- the attempt ---- */

static void review(struct match *m, instant now, const struct sink *out);

static void say_ready_to(struct match *m, struct match_mate *mate, instant now,
                         const struct sink *out)
{
    mate->asked = now;
    mate->unanswered = false;
    say_ready(m, mate->sid, out);
}

static void open_attempt(struct match *m, uint16_t attempt, instant now, const struct sink *out)
{
    assert(attempt > m->attempt);
    m->state = MATCH_OPEN;
    m->attempt = attempt;
    m->attempts++;
    make_ready(m);
    uint8_t body[READY_BODY_BYTES];
    m->mine.hash = ready_hash(m, ready_body(m, body));
    m->proposals_count = 0;
    m->set = 0;
    m->set_verified = false;
    uint64_t grace = 2u * (uint64_t)m->offer.step_ms;
    grace = grace < GRACE_MIN_MS ? GRACE_MIN_MS : grace > GRACE_MAX_MS ? GRACE_MAX_MS : grace;
    if (m->attempts > 1) grace = GRACE_AGAIN_MS;
    bool counts = m->config.count_steps && m->until.ns == INSTANT_NEVER.ns;
    m->grace = counts ? m->waits : instant_after(now, span_ms(grace));
    for (uint32_t i = 0; i < m->mates_count; i++) {
        struct match_mate *mate = &m->mates[i];
        mate->proposed = mate->verified = mate->busy = false;
        if (ready_now(m, mate)) mate->status = MATE_READY;
        else if (mate->status == MATE_READY || mate->status == MATE_HEARSAY)
            mate->status = MATE_UNKNOWN;
        if (!mate->left) say_ready_to(m, mate, now, out);
    }
    note(m, out, "match.open", "mates", m->mates_count);
}

static void solo(struct match *m, const struct sink *out)
{
    m->state = MATCH_SOLO;
    for (uint32_t i = 0; i < m->mates_count; i++)
        if (!m->mates[i].left)
            say_notready(m, m->mates[i].sid, MATCH_REASON_TRAINING, UINT32_MAX, m->round,
                         m->attempt, out);
    note(m, out, "match.solo", "attempts", m->attempts);
}

static void distrust(struct match_mate *mate, instant now)
{
    mate->distrusted = instant_after(now, span_s(DISTRUST_S));
}

/* Who is in others' sets and has said nothing to me for so long is out of my reach. */
static void block_unheard(struct match *m, instant now)
{
    for (uint32_t i = 0; i < m->mates_count; i++) {
        struct match_mate *mate = &m->mates[i];
        if (mate->left || mate->status != MATE_HEARSAY ||
            !instant_reached(now, instant_after(mate->asked, patience(m))))
            continue;
        block(m, m->self, mate->sid);
        distrust(mate, now);
    }
}

static void next_attempt(struct match *m, uint16_t attempt, instant now, const struct sink *out)
{
    if (m->attempts >= ATTEMPTS_MAX || instant_reached(now, m->until)) solo(m, out);
    else {
        block_unheard(m, now);
        open_attempt(m, attempt, now, out);
        review(m, now, out);
    }
}

static bool waits_for(const struct match *m, const struct match_mate *mate, instant now)
{
    if (mate->left || now.ns < mate->distrusted.ns) return false;
    switch (mate->status) {
    case MATE_UNKNOWN:
    case MATE_HEARSAY:
        return !instant_reached(now, instant_after(mate->asked, patience(m)));
    case MATE_LATER:
        return m->config.count_steps || mate->eta.ns <= m->grace.ns;
    case MATE_READY:
    case MATE_OUT:
        return false;
    }
    return false;
}

/* The order in which a set is filled; another one each round. */
static uint64_t key_of(const struct match *m, sid s)
{
    uint8_t number[16], hash[CRYPTO_HASH_BYTES];
    struct writer w = writer_init(number, sizeof number);
    writer_u64(&w, m->round);
    writer_u64(&w, s);
    struct bytes parts[] = {text("shoal1 cell"), bytes_of(m->config.run_id, CRYPTO_DIGEST_BYTES),
                            writer_bytes(&w)};
    m->config.crypto->hash(m->config.crypto->self, parts, 3, hash);
    return first_eight(hash);
}

struct candidate {
    sid sid;
    uint64_t key;
    int index; /* of the mate; -1: me */
};

/* Everybody I might average with, me included, in key order, without those whom more than half cannot reach. */
static uint32_t candidates_of(const struct match *m, struct candidate to[NODE_GROUP_MAX])
{
    struct candidate all[NODE_GROUP_MAX];
    uint32_t count = 0, kept = 0;
    for (int i = -1; i < (int)m->mates_count; i++) {
        if (i >= 0 && (m->mates[i].left ||
                       (m->mates[i].status != MATE_READY && m->mates[i].status != MATE_HEARSAY)))
            continue;
        struct candidate c = {.sid = i < 0 ? m->self : m->mates[i].sid, .index = i};
        c.key = key_of(m, c.sid);
        uint32_t at = count++;
        for (; at > 0 &&
               (all[at - 1].key > c.key || (all[at - 1].key == c.key && all[at - 1].sid > c.sid));
             at--)
            all[at] = all[at - 1];
        all[at] = c;
    }
    for (uint32_t i = 0; i < count; i++) {
        uint32_t against = 0;
        for (uint32_t j = 0; j < count; j++) against += is_blocked(m, all[i].sid, all[j].sid);
        if (2 * against <= count) to[kept++] = all[i];
    }
    return kept;
}

/* The clique of candidates that holds me: a pure function of the candidates and the blocked pairs. As mates' bits. */
static uint32_t set_of(const struct match *m)
{
    struct candidate all[NODE_GROUP_MAX];
    uint32_t count = candidates_of(m, all);
    bool used[NODE_GROUP_MAX] = {false};
    for (uint32_t first = 0; first < count; first++) {
        if (used[first]) continue;
        uint32_t taken[NODE_GROUP_MAX], taken_count = 0, set = 0;
        bool mine = false;
        for (uint32_t i = first; i < count; i++) {
            bool fits = !used[i];
            for (uint32_t j = 0; fits && j < taken_count; j++)
                fits = !is_blocked(m, all[i].sid, all[taken[j]].sid);
            if (!fits) continue;
            used[i] = true;
            taken[taken_count++] = i;
            if (all[i].index < 0) mine = true;
            else set |= (uint32_t)1 << all[i].index;
        }
        if (mine) return set;
    }
    return 0; /* I am the one whom most cannot reach */
}

/* Index in the latest group; -1: not in it. */
static int group_index(const struct match *m, sid s)
{
    for (uint32_t i = 0; i < m->group.count; i++)
        if (m->group.members[i].sid == s) return (int)i;
    return -1;
}

/* Is a set more than half of those who train, as I see them? Of two halves the one with the smallest sid is. Two groups
 * of one round would be two histories, so of disjoint sets one at most may go on; and a history that few hold waits
 * until they have given it up. The other group may have lost members since it was signed: one who is still in it is
 * enough. */
static bool quorum(const struct match *m, uint32_t set)
{
    uint32_t all = 1, in = 1;
    sid least = m->self;
    bool least_in = true;
    for (uint32_t i = 0; i < m->mates_count; i++) {
        const struct match_mate *mate = &m->mates[i];
        if (mate->left) continue;
        if (mate->busy) return false;
        if (!mate->counts) continue;
        bool is = set >> i & 1;
        all++;
        in += is;
        if (mate->sid > least) continue;
        least = mate->sid;
        least_in = is;
    }
    return 2 * in > all || (2 * in == all && least_in);
}

static void commit(struct match *m, const struct sink *out)
{
    m->state = MATCH_COMMITTED;
    m->withdrawn = 0;
    for (uint32_t i = 0; i < m->group.count; i++)
        if (i != m->group.self) say_cert(m, m->group.members[i].sid, out);
    note(m, out, "match.committed", "members", m->group.count);
}

static void commit_if_all_signed(struct match *m, const struct sink *out)
{
    if (m->signed_mask == ((uint32_t)1 << m->group.count) - 1) commit(m, out);
}

/* Signs this set: the only signature of mine in this attempt, ever. */
static void lock(struct match *m, uint32_t set, instant now, const struct sink *out)
{
    assert(m->attempt > m->accepted);
    struct match_group *g = &m->group;
    *g = (struct match_group){.round = m->round, .attempt = m->attempt};
    g->count = members_of(m, set, g->members, &g->self);
    gid_of_members(m, g->members, g->count, g->gid);
    m->state = MATCH_LOCKED;
    m->accepted = m->attempt;
    m->over = instant_after(now, patience(m));
    uint8_t body[ACCEPT_BODY_BYTES];
    wire_sign(m->config.crypto, m->config.run_id, WIRE_ACCEPT, accept_body(g, m->self, body),
              m->signatures[g->self]);
    m->signed_mask = (uint32_t)1 << g->self;
    for (uint32_t i = 0; i < g->count; i++) {
        if (i == g->self) continue;
        say_accept(m, g->members[i].sid, out);
        const struct match_mate *mate = mate_of(m, g->members[i].sid);
        if (mate->accepted != m->attempt || memcmp(mate->accept, g->gid, sizeof g->gid)) continue;
        memcpy(m->signatures[i], mate->signature, CRYPTO_SIGNATURE_BYTES);
        m->signed_mask |= (uint32_t)1 << i;
    }
    note(m, out, "match.locked", "members", g->count);
    commit_if_all_signed(m, out);
}

/* CLOSED: locks when everyone proposes what I do, or when somebody signed what I have proposed in this attempt. */
static void lock_if_agreed(struct match *m, instant now, const struct sink *out)
{
    for (uint32_t p = 0; p < m->proposals_count; p++) {
        bool latest = p + 1 == m->proposals_count && m->set_verified;
        bool all = latest, one = false;
        for (uint32_t i = 0; i < m->mates_count; i++) {
            const struct match_mate *mate = &m->mates[i];
            if (!(m->proposals[p].set >> i & 1)) continue;
            all = all && mate->proposed && mate->verified &&
                  !memcmp(mate->proposal, m->proposals[p].gid, CRYPTO_DIGEST_BYTES);
            one = one || (mate->accepted == m->attempt &&
                          !memcmp(mate->accept, m->proposals[p].gid, CRYPTO_DIGEST_BYTES));
        }
        if (all || one) {
            lock(m, m->proposals[p].set, now, out);
            return;
        }
    }
}

static void remember_proposal(struct match *m)
{
    struct match_member members[NODE_GROUP_MAX];
    uint32_t self, count = members_of(m, m->set, members, &self);
    if (m->proposals_count == MATCH_PROPOSALS_MAX) {
        memmove(&m->proposals[0], &m->proposals[1],
                sizeof m->proposals[0] * (MATCH_PROPOSALS_MAX - 1));
        m->proposals_count--;
    }
    gid_of_members(m, members, count, m->proposals[m->proposals_count].gid);
    m->proposals[m->proposals_count++].set = m->set;
}

/* CLOSED: proposes anew when what I would propose has changed. */
static void propose(struct match *m, bool first, instant now, const struct sink *out)
{
    uint32_t set = set_of(m);
    if ((uint32_t)__builtin_popcount(set) + 1 < m->config.group_min) {
        solo(m, out);
        return;
    }
    if (!quorum(m, set)) {
        next_attempt(m, (uint16_t)(m->attempt + 1), now, out);
        return;
    }
    bool verified = true;
    for (uint32_t i = 0; i < m->mates_count; i++)
        if (set >> i & 1) verified = verified && ready_now(m, &m->mates[i]);
    if (first || set != m->set || verified != m->set_verified) {
        m->set = set;
        m->set_verified = verified;
        if (verified) remember_proposal(m);
        for (uint32_t i = 0; i < m->mates_count; i++)
            if (set >> i & 1) say_propose(m, m->mates[i].sid, out);
    }
    lock_if_agreed(m, now, out);
}

static void close_attempt(struct match *m, instant now, const struct sink *out)
{
    m->state = MATCH_CLOSED;
    m->over = instant_after(now, patience(m));
    for (uint32_t i = 0; i < m->mates_count; i++) {
        struct match_mate *mate = &m->mates[i];
        if (mate->status == MATE_UNKNOWN && !waits_for(m, mate, now)) distrust(mate, now);
    }
    if (m->config.count_steps && m->until.ns == INSTANT_NEVER.ns)
        m->until = instant_after(now, span_s(T_MATCH_S));
    propose(m, true, now, out);
}

/* T_PROP: who has not proposed is out of my reach. */
static void give_up_on_silent(struct match *m, instant now, const struct sink *out)
{
    for (uint32_t i = 0; i < m->mates_count; i++) {
        struct match_mate *mate = &m->mates[i];
        if (mate->left ||
            (mate->status != MATE_HEARSAY && (mate->status != MATE_READY || mate->proposed)))
            continue;
        block(m, m->self, mate->sid);
        distrust(mate, now);
    }
    next_attempt(m, (uint16_t)(m->attempt + 1), now, out);
}

/* LOCKED: the group does not come about. */
static void unlock(struct match *m, bool late, uint16_t attempt, instant now,
                   const struct sink *out)
{
    for (uint32_t i = 0; i < m->group.count; i++) {
        if (i == m->group.self) continue;
        sid peer = m->group.members[i].sid;
        say_withdraw(peer, m->group.round, m->group.attempt, m->group.gid, out);
        if (m->signed_mask >> i & 1 || !late) continue;
        block(m, m->self, peer);
        distrust(mate_of(m, peer), now);
    }
    note(m, out, "match.withdrawn", "signed", (uint64_t)__builtin_popcount(m->signed_mask));
    next_attempt(m, attempt, now, out);
}

/* Looks whether the present state has run its course. */
static void review(struct match *m, instant now, const struct sink *out)
{
    m->now = now;
    if (m->state == MATCH_OPEN) {
        bool waits = false;
        for (uint32_t i = 0; i < m->mates_count; i++)
            waits = waits || waits_for(m, &m->mates[i], now);
        bool over = !waits || instant_reached(now, m->grace);
        if (over && quorum(m, set_of(m))) close_attempt(m, now, out);
        else if (instant_reached(now, instant_min(m->until, m->waits))) solo(m, out);
    } else if (m->state == MATCH_CLOSED) {
        propose(m, false, now, out);
        if (m->state != MATCH_CLOSED) return;
        if (instant_reached(now, m->until)) solo(m, out);
        else if (instant_reached(now, m->over)) give_up_on_silent(m, now, out);
    } else if (m->state == MATCH_LOCKED && instant_reached(now, m->over))
        unlock(m, true, (uint16_t)(m->attempt + 1), now, out);
}

/* A member of the locked group will not sign any more, unless it has. */
static void lost_while_locked(struct match *m, sid peer, uint16_t attempt, instant now,
                              const struct sink *out)
{
    int i = group_index(m, peer);
    if (m->state == MATCH_LOCKED && i >= 0 && !(m->signed_mask >> i & 1))
        unlock(m, false, attempt, now, out);
}

/* ---- what comes in ---- */

static bool read_ready(struct match *m, const struct match_mate *mate, struct bytes frame,
                       struct match_ready *to, struct bytes *pairs)
{
    struct reader r = reader_init(frame);
    uint16_t count = reader_u16(&r);
    struct bytes body = reader_bytes(&r, count);
    struct bytes signature = reader_bytes(&r, CRYPTO_SIGNATURE_BYTES);
    uint16_t pairs_count = reader_u16(&r);
    *pairs = reader_bytes(&r, (size_t)pairs_count * 16);
    if (r.bad) return false;
    struct reader b = reader_init(body);
    sid who = reader_u64(&b);
    to->incarnation = reader_u64(&b);
    to->round = reader_u64(&b);
    to->attempt = reader_u16(&b);
    reader_copy(&b, to->lineage, CRYPTO_DIGEST_BYTES);
    to->lineage_tokens = reader_u64(&b);
    to->offer.weight = reader_u64(&b);
    to->offer.steps = reader_u64(&b);
    to->offer.up_mbps = reader_u32(&b);
    to->offer.step_ms = reader_u32(&b);
    if (b.bad || who != mate->sid || !to->attempt || !to->offer.up_mbps) return false;
    if (!to->offer.weight || to->offer.weight > MATCH_WEIGHT_MAX) return false;
    to->hash = ready_hash(m, body);
    return wire_verify(m->config.crypto, m->config.run_id, WIRE_READY, body, mate->id,
                       signature.data);
}

/* Is `r` newer than what I hold of this mate? Two that differ in one attempt of one incarnation are a lie. */
static bool newer(const struct match_ready *held, const struct match_ready *r)
{
    if (!held->attempt) return true;
    if (r->incarnation != held->incarnation) return r->incarnation > held->incarnation;
    if (r->round != held->round || memcmp(r->lineage, held->lineage, CRYPTO_DIGEST_BYTES))
        return true;
    return r->attempt > held->attempt;
}

static void note_fork(struct match *m, const struct match_mate *mate)
{
    const struct match_ready *r = &mate->ready;
    if (!memcmp(r->lineage, m->lineage, CRYPTO_DIGEST_BYTES)) return;
    if (m->fork.seen &&
        !lineage_heavier(r->lineage_tokens, r->lineage, m->fork.tokens, m->fork.lineage))
        return;
    m->fork.seen = true;
    m->fork.peer = mate->sid;
    m->fork.round = r->round;
    m->fork.tokens = r->lineage_tokens;
    memcpy(m->fork.lineage, r->lineage, CRYPTO_DIGEST_BYTES);
}

/* Its former READY counts no longer: sets that held it are void. */
static void void_proposals(struct match *m, const struct match_mate *mate)
{
    uint32_t bit = (uint32_t)1 << (mate - m->mates), kept = 0;
    for (uint32_t p = 0; p < m->proposals_count; p++)
        if (!(m->proposals[p].set & bit)) m->proposals[kept++] = m->proposals[p];
    m->proposals_count = kept;
    m->set_verified = m->set_verified && !(m->set & bit);
}

static void ready_while_open(struct match *m, struct match_mate *mate, instant now,
                             const struct sink *out)
{
    uint16_t theirs = mate->ready.attempt;
    if (theirs > m->attempt && theirs - m->attempt <= ATTEMPT_JUMP)
        next_attempt(m, theirs, now, out);
    if (m->state == MATCH_SOLO) return;
    if (theirs == m->attempt) mate->status = MATE_READY;
    if (mate->asked.ns == 0) say_ready_to(m, mate, now, out);
    mate->unanswered = theirs > m->attempt;
    review(m, now, out);
}

static bool on_ready(struct match *m, struct match_mate *mate, struct bytes frame, instant now,
                     const struct sink *out)
{
    struct match_ready r;
    struct bytes pairs;
    if (!read_ready(m, mate, frame, &r, &pairs)) return false;
    if (!newer(&mate->ready, &r)) {
        /* said again after a new link; it may not have mine */
        if (r.hash == mate->ready.hash) mate->unanswered = !under_way(m);
        return r.hash == mate->ready.hash || r.incarnation < mate->ready.incarnation ||
               r.attempt < mate->ready.attempt;
    }
    if (mate->ready.attempt && r.incarnation != mate->ready.incarnation) {
        void_proposals(m, mate);
        mate->asked = (instant){0}; /* it has forgotten my READY */
    }
    mate->ready = r;
    mate->left = mate->busy = false;
    mate->unanswered = true;
    note_fork(m, mate);
    if (!same_history(m, &r)) {
        mate->status = MATE_OUT;
        review(m, now, out);
        return true;
    }
    if (m->state == MATCH_OPEN || m->state == MATCH_CLOSED) {
        read_pairs(m, pairs);
        ready_while_open(m, mate, now, out);
    } else if (m->state == MATCH_LOCKED) {
        if (group_index(m, mate->sid) >= 0 && r.attempt > m->attempt) {
            mate->unanswered = false;
            lost_while_locked(m, mate->sid, r.attempt, now, out);
        }
    } else if (m->state == MATCH_COMMITTED) {
        if (group_index(m, mate->sid) >= 0 && r.attempt > m->group.attempt) {
            mate->unanswered = false; /* it has signed, and missed that all have */
            say_cert(m, mate->sid, out);
        }
    } else m->called = true;
    return true;
}

static bool on_notready(struct match *m, struct match_mate *mate, struct bytes frame, instant now,
                        const struct sink *out)
{
    struct reader r = reader_init(frame);
    uint64_t round = reader_u64(&r);
    uint16_t attempt = reader_u16(&r);
    uint8_t reason = reader_u8(&r);
    uint32_t eta_ms = reader_u32(&r);
    if (r.bad || reason < MATCH_REASON_TRAINING || reason > MATCH_REASON_DONE) return false;
    bool leaves = reason == MATCH_REASON_LEAVING || reason == MATCH_REASON_DONE;
    if (!leaves && round != m->round) return true;
    if (leaves) mate->left = true;
    if (leaves || (mate->ready.round == round && mate->ready.attempt == attempt)) {
        mate->ready.attempt = 0;
        mate->unanswered = false;
        void_proposals(m, mate);
    }
    if (!leaves && attempt != m->attempt) return true;
    mate->refused = m->attempt;
    mate->busy = reason == MATCH_REASON_BUSY;
    mate->status = reason == MATCH_REASON_TRAINING ? MATE_LATER : MATE_OUT;
    mate->eta = eta_ms == UINT32_MAX ? INSTANT_NEVER : instant_after(now, span_ms(eta_ms));
    if (m->state == MATCH_LOCKED)
        lost_while_locked(m, mate->sid, (uint16_t)(m->attempt + 1), now, out);
    else review(m, now, out);
    return true;
}

/* What others know of whom: a mate that I have not heard of in this attempt becomes hearsay. */
static void take_hearsay(struct match *m, struct bytes members)
{
    struct reader r = reader_init(members);
    while (reader_left(&r)) {
        sid who = reader_u64(&r);
        uint64_t hash = reader_u64(&r);
        if (who == m->self) continue;
        struct match_mate *mate = mate_of(m, who);
        if (!mate) mate = mate_add(m, who);
        if (!mate || mate->left || mate->status == MATE_READY || mate->refused == m->attempt)
            continue;
        mate->status = MATE_HEARSAY;
        mate->hearsay = hash;
    }
}

static bool members_well_formed(struct bytes members, sid proposer)
{
    struct reader r = reader_init(members);
    sid before = 0;
    bool has = false;
    while (reader_left(&r)) {
        sid who = reader_u64(&r);
        reader_u64(&r);
        if (who <= before) return false;
        before = who;
        has = has || who == proposer;
    }
    return has;
}

static bool on_propose(struct match *m, struct match_mate *mate, struct bytes frame, instant now,
                       const struct sink *out)
{
    struct reader r = reader_init(frame);
    uint64_t round = reader_u64(&r);
    uint16_t attempt = reader_u16(&r);
    uint8_t flags = reader_u8(&r);
    uint16_t count = reader_u16(&r);
    struct bytes members = reader_bytes(&r, (size_t)count * 16);
    uint16_t pairs_count = reader_u16(&r);
    struct bytes pairs = reader_bytes(&r, (size_t)pairs_count * 16);
    if (r.bad || count < 2 || count > NODE_GROUP_MAX || !members_well_formed(members, mate->sid))
        return false;
    if (round != m->round || attempt != m->attempt) return true;
    if (m->state != MATCH_OPEN && m->state != MATCH_CLOSED) return true;
    mate->proposed = true;
    mate->verified = flags & 1;
    gid_of(m, members.data, count, mate->proposal);
    take_hearsay(m, members);
    read_pairs(m, pairs);
    if (m->state == MATCH_OPEN)
        m->grace = instant_min(m->grace, instant_after(now, span_ms(GRACE_HINT_MS)));
    review(m, now, out);
    return true;
}

static bool on_accept(struct match *m, struct match_mate *mate, struct bytes frame, instant now,
                      const struct sink *out)
{
    struct reader r = reader_init(frame);
    struct match_group said;
    said.round = reader_u64(&r);
    said.attempt = reader_u16(&r);
    reader_copy(&r, said.gid, CRYPTO_DIGEST_BYTES);
    sid who = reader_u64(&r);
    struct bytes signature = reader_bytes(&r, CRYPTO_SIGNATURE_BYTES);
    uint8_t body[ACCEPT_BODY_BYTES];
    if (r.bad || who != mate->sid || !said.attempt ||
        !wire_verify(m->config.crypto, m->config.run_id, WIRE_ACCEPT, accept_body(&said, who, body),
                     mate->id, signature.data))
        return false;
    if (said.round != m->round || said.attempt < m->attempt) return true;
    mate->accepted = said.attempt;
    memcpy(mate->accept, said.gid, CRYPTO_DIGEST_BYTES);
    memcpy(mate->signature, signature.data, CRYPTO_SIGNATURE_BYTES);
    if (m->state == MATCH_CLOSED) lock_if_agreed(m, now, out);
    else if (m->state == MATCH_LOCKED && !memcmp(said.gid, m->group.gid, CRYPTO_DIGEST_BYTES)) {
        int i = group_index(m, who);
        if (i < 0) return true;
        memcpy(m->signatures[i], mate->signature, CRYPTO_SIGNATURE_BYTES);
        m->signed_mask |= (uint32_t)1 << i;
        commit_if_all_signed(m, out);
    }
    return true;
}

/* Are these the signatures of all members of the group that I signed last? */
static bool cert_holds(const struct match *m, struct bytes signatures, uint32_t count)
{
    if (count != m->group.count) return false;
    struct reader r = reader_init(signatures);
    for (uint32_t i = 0; i < count; i++) {
        const struct match_member *one = &m->group.members[i];
        sid who = reader_u64(&r);
        struct bytes signature = reader_bytes(&r, CRYPTO_SIGNATURE_BYTES);
        uint8_t body[ACCEPT_BODY_BYTES];
        if (who != one->sid ||
            !wire_verify(m->config.crypto, m->config.run_id, WIRE_ACCEPT,
                         accept_body(&m->group, who, body), one->id, signature.data))
            return false;
    }
    return true;
}

static bool on_cert(struct match *m, const struct match_mate *mate, struct bytes frame,
                    const struct sink *out)
{
    struct reader r = reader_init(frame);
    uint64_t round = reader_u64(&r);
    uint16_t attempt = reader_u16(&r);
    uint8_t gid[CRYPTO_DIGEST_BYTES];
    reader_copy(&r, gid, sizeof gid);
    uint16_t count = reader_u16(&r);
    struct bytes signatures = reader_bytes(&r, (size_t)count * (8 + CRYPTO_SIGNATURE_BYTES));
    if (r.bad || !count || count > NODE_GROUP_MAX) return false;
    bool same = round == m->round && m->group.count && m->group.round == round &&
                m->group.attempt == attempt && !memcmp(m->group.gid, gid, sizeof gid);
    if (same && m->state == MATCH_COMMITTED) return true;
    if (!same || m->accepted != attempt || m->state == MATCH_COMMITTED) {
        /* not mine any more: I signed in a later attempt, or before a restart. I count as lost there. */
        say_withdraw(mate->sid, round, attempt, gid, out);
        return true;
    }
    if (!cert_holds(m, signatures, count)) return false;
    struct reader s = reader_init(signatures);
    for (uint32_t i = 0; i < count; i++) {
        reader_u64(&s);
        reader_copy(&s, m->signatures[i], CRYPTO_SIGNATURE_BYTES);
    }
    bool open = m->state == MATCH_OPEN || m->state == MATCH_CLOSED;
    for (uint32_t i = 0; open && i < m->mates_count; i++)
        if (group_index(m, m->mates[i].sid) < 0)
            say_notready(m, m->mates[i].sid, MATCH_REASON_BUSY, 0, m->round, m->attempt, out);
    commit(m, out);
    return true;
}

static bool on_withdraw(struct match *m, const struct match_mate *mate, struct bytes frame,
                        instant now, const struct sink *out)
{
    struct reader r = reader_init(frame);
    reader_u64(&r);
    reader_u16(&r);
    uint8_t gid[CRYPTO_DIGEST_BYTES];
    reader_copy(&r, gid, sizeof gid);
    if (r.bad) return false;
    if (!m->group.count || memcmp(gid, m->group.gid, sizeof gid)) return true;
    if (m->state == MATCH_LOCKED)
        lost_while_locked(m, mate->sid, (uint16_t)(m->attempt + 1), now, out);
    else if (m->state == MATCH_COMMITTED && group_index(m, mate->sid) >= 0)
        m->withdrawn |= (uint32_t)1 << group_index(m, mate->sid);
    return true;
}

/* ---- public ---- */

void match_init(struct match *m, const struct match_config *c)
{
    assert(c->group_min >= 2);
    *m = (struct match){.config = *c, .self = wire_sid(c->id)};
}

void match_rest(struct match *m, uint64_t round, const uint8_t lineage[CRYPTO_DIGEST_BYTES],
                uint64_t lineage_tokens)
{
    m->state = MATCH_IDLE;
    m->called = false;
    m->fork.seen = false;
    if (m->round != round || memcmp(m->lineage, lineage, CRYPTO_DIGEST_BYTES)) {
        m->attempt = m->accepted = 0;
        m->blocked_count = 0;
    }
    m->group.count = 0; /* a CERT that comes now comes too late */
    m->round = round;
    m->lineage_tokens = lineage_tokens;
    memcpy(m->lineage, lineage, CRYPTO_DIGEST_BYTES);
    for (uint32_t i = 0; i < m->mates_count; i++) {
        m->mates[i].accepted = m->mates[i].refused = 0;
        m->called = m->called || same_history(m, &m->mates[i].ready);
    }
}

void match_cell(struct match *m, const struct match_peer *peers, size_t count, instant now,
                const struct sink *out)
{
    assert(count < NODE_GROUP_MAX);
    bool listed[NODE_GROUP_MAX] = {false};
    for (size_t p = 0; p < count; p++) {
        struct match_mate *mate = mate_of(m, wire_sid(peers[p].id));
        if (mate) listed[mate - m->mates] = true;
    }
    for (uint32_t i = 0; i < m->mates_count; i++)
        if (m->mates[i].listed && !listed[i]) {
            m->mates[i].listed = m->mates[i].counts = false;
            match_gone(m, m->mates[i].sid, now, out);
        }
    for (size_t p = 0; p < count; p++) {
        struct match_mate *mate = mate_of(m, wire_sid(peers[p].id));
        if (!mate) mate = mate_add(m, wire_sid(peers[p].id));
        if (!mate) continue;
        bool news = !mate->listed;
        if (news) mate->left = false; /* back from the dead */
        mate_identify(mate, peers[p].id);
        mate->listed = true;
        mate->rtt_ms = peers[p].rtt_ms;
        mate->counts = peers[p].counts;
        bool open = m->state == MATCH_OPEN || m->state == MATCH_CLOSED;
        if (news && open && mate->asked.ns == 0) {
            if (mate->status == MATE_OUT) mate->status = MATE_UNKNOWN;
            say_ready_to(m, mate, now, out);
        }
    }
}

void match_start(struct match *m, const struct match_offer *offer, instant now,
                 const struct sink *out)
{
    assert(m->state == MATCH_IDLE || m->state == MATCH_SOLO);
    assert(offer->weight > 0);
    assert(offer->up_mbps > 0);
    m->offer = *offer;
    m->called = false;
    m->attempts = 0;
    m->blocked_count = 0;
    m->until = m->config.count_steps ? INSTANT_NEVER : instant_after(now, span_s(T_MATCH_S));
    m->waits = instant_after(now, span_s(MATCH_WAIT_S));
    uint16_t attempt = (uint16_t)(m->attempt + 1);
    for (uint32_t i = 0; i < m->mates_count; i++) {
        struct match_mate *mate = &m->mates[i];
        mate->status = MATE_UNKNOWN;
        mate->asked = (instant){0};
        if (!mate->left && same_history(m, &mate->ready) && mate->ready.attempt > attempt &&
            mate->ready.attempt - attempt <= ATTEMPT_JUMP)
            attempt = mate->ready.attempt;
    }
    open_attempt(m, attempt, now, out);
    review(m, now, out);
}

void match_alone(struct match *m, const struct match_offer *offer)
{
    assert(m->state == MATCH_IDLE || m->state == MATCH_SOLO);
    assert(offer->weight > 0);
    m->offer = *offer;
    m->called = false;
    m->attempt++;
    make_ready(m);
    uint8_t body[READY_BODY_BYTES];
    m->mine.hash = ready_hash(m, ready_body(m, body));
    m->group = (struct match_group){.round = m->round, .attempt = m->attempt};
    m->group.count = members_of(m, 0, m->group.members, &m->group.self);
    gid_of_members(m, m->group.members, 1, m->group.gid);
    m->state = MATCH_COMMITTED;
    m->withdrawn = 0;
}

bool match_takes(uint8_t type)
{
    switch (type) {
    case WIRE_READY:
    case WIRE_NOTREADY:
    case WIRE_PROPOSE:
    case WIRE_ACCEPT:
    case WIRE_CERT:
    case WIRE_WITHDRAW:
        return true;
    default:
        return false;
    }
}

bool match_frame(struct match *m, const uint8_t id[CRYPTO_KEY_BYTES], uint8_t type,
                 struct bytes body, instant now, const struct sink *out)
{
    sid peer = wire_sid(id);
    if (peer == m->self) return false;
    struct match_mate *mate = mate_of(m, peer);
    if (!mate) mate = mate_add(m, peer);
    if (!mate) return true; /* the cell is full */
    mate_identify(mate, id);
    mate->distrusted = (instant){0};
    switch (type) {
    case WIRE_READY:
        return on_ready(m, mate, body, now, out);
    case WIRE_NOTREADY:
        return on_notready(m, mate, body, now, out);
    case WIRE_PROPOSE:
        return on_propose(m, mate, body, now, out);
    case WIRE_ACCEPT:
        return on_accept(m, mate, body, now, out);
    case WIRE_CERT:
        return on_cert(m, mate, body, out);
    case WIRE_WITHDRAW:
        return on_withdraw(m, mate, body, now, out);
    default:
        return false;
    }
}

void match_decline(struct match *m, enum match_reason reason, uint32_t eta_ms,
                   const struct sink *out)
{
    for (uint32_t i = 0; i < m->mates_count; i++) {
        struct match_mate *mate = &m->mates[i];
        if (!mate->unanswered || mate->left) continue;
        mate->unanswered = false;
        const struct match_ready *r = &mate->ready;
        enum match_reason why = reason;
        if (m->state == MATCH_COMMITTED && r->round == m->round + 1) why = MATCH_REASON_TRAINING;
        else if (r->round != m->round) why = MATCH_REASON_ROUND;
        else if (!same_history(m, r)) why = MATCH_REASON_LINEAGE;
        else if (m->state == MATCH_LOCKED || m->state == MATCH_COMMITTED) why = MATCH_REASON_BUSY;
        say_notready(m, mate->sid, why, why == MATCH_REASON_TRAINING ? eta_ms : 0, r->round,
                     r->attempt, out);
    }
}

void match_link(struct match *m, sid peer, instant now, const struct sink *out)
{
    struct match_mate *mate = mate_of(m, peer);
    if (!mate) return;
    mate->proposed = mate->verified = false;
    mate->accepted = 0;
    bool in_set = m->set >> (mate - m->mates) & 1;
    if (m->state == MATCH_OPEN || m->state == MATCH_CLOSED) {
        if (!mate->left) say_ready_to(m, mate, now, out);
        if (m->state == MATCH_CLOSED && in_set) say_propose(m, peer, out);
    }
    if (m->state != MATCH_LOCKED && m->state != MATCH_COMMITTED) return;
    if (group_index(m, peer) >= 0) (m->state == MATCH_LOCKED ? say_accept : say_cert)(m, peer, out);
}

bool match_called_by(const struct match *m, sid peer)
{
    for (uint32_t i = 0; i < m->mates_count; i++)
        if (m->mates[i].sid == peer) return same_history(m, &m->mates[i].ready);
    return false;
}

void match_gone(struct match *m, sid peer, instant now, const struct sink *out)
{
    struct match_mate *mate = mate_of(m, peer);
    if (!mate) return;
    mate->left = true;
    mate->status = MATE_OUT;
    mate->asked = (instant){0};
    mate->ready.attempt = 0;
    mate->unanswered = false;
    void_proposals(m, mate);
    if (m->state == MATCH_LOCKED) lost_while_locked(m, peer, (uint16_t)(m->attempt + 1), now, out);
    else review(m, now, out);
}

void match_leave(struct match *m, const struct sink *out)
{
    if (under_way(m))
        for (uint32_t i = 0; i < m->mates_count; i++)
            say_notready(m, m->mates[i].sid, MATCH_REASON_LEAVING, 0, m->round, m->attempt, out);
    m->state = MATCH_IDLE;
}

void match_tick(struct match *m, instant now, const struct sink *out) { review(m, now, out); }

instant match_due(const struct match *m)
{
    switch (m->state) {
    case MATCH_OPEN: {
        instant due = instant_min(m->until, m->waits);
        if (!instant_reached(m->now, m->grace)) due = instant_min(due, m->grace);
        for (uint32_t i = 0; i < m->mates_count; i++) {
            const struct match_mate *mate = &m->mates[i];
            bool asked = mate->status == MATE_UNKNOWN || mate->status == MATE_HEARSAY;
            if (asked && waits_for(m, mate, m->now))
                due = instant_min(due, instant_after(mate->asked, patience(m)));
        }
        return due;
    }
    case MATCH_CLOSED:
        return instant_min(m->over, m->until);
    case MATCH_LOCKED:
        return m->over;
    case MATCH_IDLE:
    case MATCH_COMMITTED:
    case MATCH_SOLO:
        return INSTANT_NEVER;
    }
    return INSTANT_NEVER;
}
