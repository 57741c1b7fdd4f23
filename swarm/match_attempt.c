#include "match_attempt.h"

#include <assert.h>

#include "match_mates.h"
#include "match_set.h"

/* SPEC.md, "Timers". */
#define GRACE_MIN_MS   3000
#define GRACE_AGAIN_MS 1000 /* in later attempts */
#define ATTEMPTS_MAX   8
#define DISTRUST_S     3600

void match_make_ready(struct match *m)
{
    struct match_signer s = match_signer(m);
    m->mine = (struct match_ready){.incarnation = m->config.incarnation,
                                   .round = m->round,
                                   .attempt = m->attempt,
                                   .lineage_tokens = m->lineage_tokens,
                                   .offer = m->offer};
    memcpy(m->mine.lineage, m->lineage, CRYPTO_DIGEST_BYTES);
    match_hash_ready(&s, m->self, &m->mine);
}

void match_open(struct match *m, uint16_t attempt, instant now, const struct sink *out)
{
    assert(attempt > m->attempt);
    m->state = MATCH_OPEN;
    m->attempt = attempt;
    m->attempts++;
    match_make_ready(m);
    m->proposals_count = 0;
    m->set = 0;
    m->set_verified = false;
    uint64_t grace = 2u * (uint64_t)m->offer.step_ms;
    grace = grace < GRACE_MIN_MS         ? GRACE_MIN_MS
            : grace > MATCH_GRACE_MAX_MS ? MATCH_GRACE_MAX_MS
                                         : grace;
    if (m->attempts > 1) grace = GRACE_AGAIN_MS;
    bool counts = m->config.count_steps && m->until.ns == INSTANT_NEVER.ns;
    m->grace = counts ? m->waits : instant_after(now, span_ms(grace));
    for (uint32_t i = 0; i < m->mates_count; i++) {
        struct match_mate *mate = &m->mates[i];
        mate->proposed = PROPOSED_NOTHING;
        mate->busy = false;
        mate->shown = 0;
        if (match_ready_now(m, mate)) mate->status = MATE_READY;
        else if (mate->status == MATE_READY || mate->status == MATE_HEARSAY)
            mate->status = MATE_UNKNOWN;
        if (!mate->left) match_say_ready(m, mate, now, out);
    }
    match_note(m, out, "match.open", "mates", m->mates_count);
}

static void solo(struct match *m, const struct sink *out)
{
    m->state = MATCH_SOLO;
    for (uint32_t i = 0; i < m->mates_count; i++)
        if (!m->mates[i].left)
            match_say_notready(m->mates[i].sid, MATCH_REASON_TRAINING, UINT32_MAX, m->round,
                               m->attempt, out);
    match_note(m, out, "match.solo", "attempts", m->attempts);
}

static void distrust(struct match_mate *mate, instant now)
{
    mate->distrusted = instant_after(now, span_s(DISTRUST_S));
}

/* Does it propose with READYs that their makers have not signed, as far as I know? I have shown it
 * what I hold, and it had time to show what it holds. */
static bool makes_up(const struct match *m, const struct match_mate *mate, instant now)
{
    span answer = span_ns(match_patience(m).ns / 2);
    for (uint32_t i = 0; i < m->mates_count; i++)
        if (mate->shown >> i & 1 && m->mates[i].lied != m->round)
            return instant_reached(now, instant_after(mate->shown_at, answer));
    return false;
}

/* Blocks mates that are in others' sets and have been silent to me for too long: I cannot reach
 * them. And those that propose with what nobody has said. */
static void block_useless(struct match *m, instant now)
{
    for (uint32_t i = 0; i < m->mates_count; i++) {
        struct match_mate *mate = &m->mates[i];
        bool silent = mate->status == MATE_HEARSAY &&
                      instant_reached(now, instant_after(mate->asked, match_patience(m)));
        if (mate->left || !(silent || makes_up(m, mate, now))) continue;
        match_pairs_add(&m->blocked, m->self, mate->sid);
        distrust(mate, now);
    }
}

void match_next(struct match *m, uint16_t attempt, instant now, const struct sink *out)
{
    bool none_left = attempt <= m->attempt; /* in 16 bits */
    if (none_left || m->attempts >= ATTEMPTS_MAX || instant_reached(now, m->until)) solo(m, out);
    else {
        block_useless(m, now);
        match_open(m, attempt, now, out);
        match_review(m, now, out);
    }
}

static bool waits_for(const struct match *m, const struct match_mate *mate, instant now)
{
    if (mate->left || now.ns < mate->distrusted.ns) return false;
    switch (mate->status) {
    case MATE_UNKNOWN:
    case MATE_HEARSAY:
        return !instant_reached(now, instant_after(mate->asked, match_patience(m)));
    case MATE_LATER:
        return m->config.count_steps || mate->eta.ns <= m->grace.ns;
    case MATE_READY:
    case MATE_OUT:
        return false;
    }
    return false;
}

/* The set I would average with, as mates' bits: a pure function of the mates known to be ready and
 * of the blocked pairs. */
static uint32_t set_of(const struct match *m)
{
    struct match_candidate all[NODE_GROUP_MAX] = {{.sid = m->self, .index = -1}};
    uint32_t count = 1;
    for (uint32_t i = 0; i < m->mates_count; i++) {
        const struct match_mate *mate = &m->mates[i];
        if (mate->left || (mate->status != MATE_READY && mate->status != MATE_HEARSAY)) continue;
        all[count++] = (struct match_candidate){.sid = mate->sid, .index = (int)i};
    }
    struct match_signer s = match_signer(m);
    return match_set(&s, m->round, all, count, &m->blocked);
}

/* Does a set hold more than half of those that train, by my view? Of two halves, the one with the
 * smallest sid qualifies. Two groups in one round would create two histories, so at most one of
 * disjoint sets may proceed; and a history that few hold waits until its holders have given it up.
 * The other group may have lost members since it signed; one remaining member is enough for a
 * fork. */
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
    return majority(in, all, least_in);
}

void match_commit(struct match *m, const struct sink *out)
{
    m->state = MATCH_COMMITTED;
    m->withdrawn = 0;
    for (uint32_t i = 0; i < m->group.count; i++)
        if (i != m->group.self) match_say_cert(m, m->group.members[i].sid, out);
    match_note(m, out, "match.committed", "members", m->group.count);
}

void match_commit_if_signed(struct match *m, const struct sink *out)
{
    if (m->signed_mask == ((uint32_t)1 << m->group.count) - 1) match_commit(m, out);
}

/* Signs what I proposed. It is my only signature in this attempt. */
static void lock(struct match *m, const struct match_group *proposed, instant now,
                 const struct sink *out)
{
    assert(m->attempt > m->accepted);
    struct match_group *g = &m->group;
    struct match_signer s = match_signer(m);
    *g = *proposed;
    m->state = MATCH_LOCKED;
    m->accepted = m->attempt;
    m->over = instant_after(now, match_patience(m));
    match_sign_accept(&s, g, m->self, m->signatures[g->self]);
    m->signed_mask = (uint32_t)1 << g->self;
    for (uint32_t i = 0; i < g->count; i++) {
        if (i == g->self) continue;
        match_say_accept(m, g->members[i].sid, out);
        const struct match_mate *mate = match_mate(m, g->members[i].sid);
        if (mate->accepted != m->attempt || memcmp(mate->accept, g->gid, sizeof g->gid)) continue;
        memcpy(m->signatures[i], mate->signature, CRYPTO_SIGNATURE_BYTES);
        m->signed_mask |= (uint32_t)1 << i;
    }
    match_note(m, out, "match.locked", "members", g->count);
    match_commit_if_signed(m, out);
}

void match_lock_if_agreed(struct match *m, instant now, const struct sink *out)
{
    for (uint32_t p = 0; p < m->proposals_count; p++) {
        const struct match_group *g = &m->proposals[p].group;
        bool latest = p + 1 == m->proposals_count && m->set_verified;
        bool all = latest, one = false;
        for (uint32_t i = 0; i < m->mates_count; i++) {
            const struct match_mate *mate = &m->mates[i];
            if (!(m->proposals[p].set >> i & 1)) continue;
            all = all && mate->proposed == PROPOSED_VERIFIED &&
                  !memcmp(mate->proposal, g->gid, CRYPTO_DIGEST_BYTES);
            one = one || (mate->accepted == m->attempt &&
                          !memcmp(mate->accept, g->gid, CRYPTO_DIGEST_BYTES));
        }
        if (all || one) {
            lock(m, g, now, out);
            return;
        }
    }
}

static void remember_proposal(struct match *m)
{
    struct match_signer s = match_signer(m);
    if (m->proposals_count == MATCH_PROPOSALS_MAX) {
        memmove(&m->proposals[0], &m->proposals[1],
                sizeof m->proposals[0] * (MATCH_PROPOSALS_MAX - 1));
        m->proposals_count--;
    }
    struct match_group *g = &m->proposals[m->proposals_count].group;
    m->proposals[m->proposals_count++].set = m->set;
    match_group_of(m, m->set, g);
    match_name(&s, g);
}

/* CLOSED: proposes again when my set has changed. */
static void propose(struct match *m, bool first, instant now, const struct sink *out)
{
    uint32_t set = set_of(m);
    if ((uint32_t)__builtin_popcount(set) + 1 < m->config.group_min) {
        solo(m, out);
        return;
    }
    if (!quorum(m, set)) {
        match_next(m, (uint16_t)(m->attempt + 1), now, out);
        return;
    }
    bool verified = true;
    for (uint32_t i = 0; i < m->mates_count; i++)
        if (set >> i & 1) verified = verified && match_ready_now(m, &m->mates[i]);
    if (first || set != m->set || verified != m->set_verified) {
        m->set = set;
        m->set_verified = verified;
        if (verified) remember_proposal(m);
        for (uint32_t i = 0; i < m->mates_count; i++)
            if (set >> i & 1) match_say_propose(m, m->mates[i].sid, out);
    }
    match_lock_if_agreed(m, now, out);
}

static void close_attempt(struct match *m, instant now, const struct sink *out)
{
    m->state = MATCH_CLOSED;
    m->over = instant_after(now, match_patience(m));
    for (uint32_t i = 0; i < m->mates_count; i++) {
        struct match_mate *mate = &m->mates[i];
        if (mate->status == MATE_UNKNOWN && !waits_for(m, mate, now)) distrust(mate, now);
    }
    if (m->config.count_steps && m->until.ns == INSTANT_NEVER.ns)
        m->until = instant_after(now, span_s(MATCH_TIME_S));
    propose(m, true, now, out);
}

/* T_PROP is over: blocks mates that have not proposed, since I cannot reach them. */
static void give_up_on_silent(struct match *m, instant now, const struct sink *out)
{
    for (uint32_t i = 0; i < m->mates_count; i++) {
        struct match_mate *mate = &m->mates[i];
        bool silent =
            mate->status == MATE_HEARSAY || (mate->status == MATE_READY && !mate->proposed);
        if (mate->left || !silent) continue;
        match_pairs_add(&m->blocked, m->self, mate->sid);
        distrust(mate, now);
    }
    match_next(m, (uint16_t)(m->attempt + 1), now, out);
}

/* LOCKED: the group failed to form. */
static void unlock(struct match *m, bool late, uint16_t attempt, instant now,
                   const struct sink *out)
{
    for (uint32_t i = 0; i < m->group.count; i++) {
        if (i == m->group.self) continue;
        sid peer = m->group.members[i].sid;
        match_say_withdraw(peer, m->group.round, m->group.attempt, m->group.gid, out);
        if (m->signed_mask >> i & 1 || !late) continue;
        match_pairs_add(&m->blocked, m->self, peer);
        distrust(match_mate(m, peer), now);
    }
    match_note(m, out, "match.withdrawn", "signed", (uint64_t)__builtin_popcount(m->signed_mask));
    match_next(m, attempt, now, out);
}

/* Looks whether the present state has run its course. */
void match_review(struct match *m, instant now, const struct sink *out)
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

void match_lost_while_locked(struct match *m, sid peer, uint16_t attempt, instant now,
                             const struct sink *out)
{
    int i = match_group_index(m, peer);
    if (m->state == MATCH_LOCKED && i >= 0 && !(m->signed_mask >> i & 1))
        unlock(m, false, attempt, now, out);
}

void match_void_proposals(struct match *m, const struct match_mate *mate)
{
    uint32_t bit = (uint32_t)1 << (mate - m->mates), kept = 0;
    for (uint32_t p = 0; p < m->proposals_count; p++)
        if (!(m->proposals[p].set & bit)) m->proposals[kept++] = m->proposals[p];
    m->proposals_count = kept;
    m->set_verified = m->set_verified && !(m->set & bit);
}

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
                due = instant_min(due, instant_after(mate->asked, match_patience(m)));
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
