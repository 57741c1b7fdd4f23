#include "match.h"

#include <assert.h>

#include "lineage.h"
#include "match_attempt.h"
#include "match_mates.h"
#include "wire.h"

#define GRACE_HINT_MS 300 /* SPEC.md, "Timers": grace once another member has closed */
/* A mate takes me to later attempts by so many in T_MATCH at most: no honest node counts so fast, and
 * attempts are 16 bits. */
#define ATTEMPT_JUMP 64

/* ---- events ---- */

/* Is `r` newer than what I hold of this mate? Two different ones of the same attempt and
 * incarnation: the sender lies. */
static bool newer(const struct match_ready *held, const struct match_ready *r)
{
    if (!held->attempt) return true;
    if (r->incarnation != held->incarnation) return r->incarnation > held->incarnation;
    if (r->round != held->round || memcmp(r->lineage, held->lineage, CRYPTO_DIGEST_BYTES))
        return true;
    return r->attempt > held->attempt;
}

/* Its READY is of a later attempt: do I follow it there? */
static bool leads(const struct match *m, struct match_mate *mate, instant now)
{
    uint16_t theirs = mate->ready.attempt;
    if (theirs <= m->attempt) return false;
    if (instant_reached(now, instant_after(mate->led_since, span_s(MATCH_TIME_S)))) {
        mate->led_since = now;
        mate->led = 0;
    }
    uint32_t led = mate->led + theirs - m->attempt;
    if (led > ATTEMPT_JUMP) return false;
    mate->led = led;
    return true;
}

static void ready_while_open(struct match *m, struct match_mate *mate, instant now,
                             const struct sink *out)
{
    uint16_t theirs = mate->ready.attempt;
    if (leads(m, mate, now)) match_next(m, theirs, now, out);
    if (m->state == MATCH_SOLO) return;
    if (theirs == m->attempt) mate->status = MATE_READY;
    if (mate->asked.ns == 0) match_say_ready(m, mate, now, out);
    mate->unanswered = theirs > m->attempt;
    match_review(m, now, out);
}

/* This mate has lied: it is out of this round, whatever it says. */
static void leave_out(struct match *m, struct match_mate *mate, instant now, const struct sink *out)
{
    mate->lied = m->round;
    mate->status = MATE_OUT;
    mate->refused = m->attempt;
    mate->ready.attempt = 0;
    match_pairs_add(&m->blocked, m->self, mate->sid);
    match_void_proposals(m, mate);
    sink_note(out, (struct note){.name = "lied",
                                 .numbers = {{"epoch", m->round}},
                                 .hex = {"peer", bytes_of(mate->id, CRYPTO_KEY_BYTES)}});
    if (m->state == MATCH_LOCKED)
        match_lost_while_locked(m, mate->sid, (uint16_t)(m->attempt + 1), now, out);
    else match_review(m, now, out);
}

static bool on_ready(struct match *m, struct match_mate *mate, struct bytes frame, instant now,
                     const struct sink *out)
{
    struct match_ready r;
    struct bytes pairs;
    struct match_signer s = match_signer(m);
    if (!match_read_ready(&s, mate->sid, mate->id, frame, &r, &pairs)) return false;
    if (r.offer.weight > m->config.weight_max) {
        if (match_same_history(m, &r) && mate->lied != m->round) leave_out(m, mate, now, out);
        return true;
    }
    if (!newer(&mate->ready, &r)) {
        /* Repeated after a new link: it may not have mine. */
        if (r.hash == mate->ready.hash) mate->unanswered = !match_under_way(m);
        return r.hash == mate->ready.hash || r.incarnation < mate->ready.incarnation ||
               r.attempt < mate->ready.attempt;
    }
    if (mate->ready.attempt && r.incarnation != mate->ready.incarnation) {
        match_void_proposals(m, mate);
        mate->asked = (instant){0}; /* it has forgotten my READY */
    }
    mate->ready = r;
    match_keep_said(frame, &mate->said);
    mate->left = mate->busy = false;
    mate->unanswered = true;
    if (!match_same_history(m, &r) || mate->lied == m->round) {
        mate->status = MATE_OUT;
        match_review(m, now, out);
        return true;
    }
    if (m->state == MATCH_OPEN || m->state == MATCH_CLOSED) {
        match_pairs_take(&m->blocked, pairs);
        ready_while_open(m, mate, now, out);
    } else if (m->state == MATCH_LOCKED) {
        if (match_group_index(m, mate->sid) >= 0 && r.attempt > m->attempt) {
            uint16_t next = leads(m, mate, now) ? r.attempt : (uint16_t)(m->attempt + 1);
            mate->unanswered = false;
            match_lost_while_locked(m, mate->sid, next, now, out);
        }
    } else if (m->state == MATCH_COMMITTED) {
        if (match_group_index(m, mate->sid) >= 0 && r.attempt > m->group.attempt) {
            mate->unanswered = false; /* it has signed, and missed that all others have */
            match_say_cert(m, mate->sid, out);
        }
    } else m->called = true;
    return true;
}

static bool on_notready(struct match *m, struct match_mate *mate, struct bytes frame, instant now,
                        const struct sink *out)
{
    struct match_notready n;
    if (!match_read_notready(frame, &n)) return false;
    bool leaves = n.reason == MATCH_REASON_LEAVING || n.reason == MATCH_REASON_DONE;
    if (!leaves && n.round != m->round) return true;
    if (leaves) mate->left = true;
    if (leaves || (mate->ready.round == n.round && mate->ready.attempt == n.attempt)) {
        mate->ready.attempt = 0;
        mate->unanswered = false;
        match_void_proposals(m, mate);
    }
    if (!leaves && n.attempt != m->attempt) return true;
    mate->refused = m->attempt;
    mate->busy = n.reason == MATCH_REASON_BUSY;
    mate->status = n.reason == MATCH_REASON_TRAINING ? MATE_LATER : MATE_OUT;
    mate->eta = n.eta_ms == UINT32_MAX ? INSTANT_NEVER : instant_after(now, span_ms(n.eta_ms));
    if (m->state == MATCH_LOCKED)
        match_lost_while_locked(m, mate->sid, (uint16_t)(m->attempt + 1), now, out);
    else match_review(m, now, out);
    return true;
}

/* Mates that others propose and from which I have heard nothing in this attempt become HEARSAY. */
static void take_hearsay(struct match *m, struct bytes entries)
{
    struct reader r = reader_init(entries);
    sid who;
    uint64_t hash;
    while (match_next_entry(&r, &who, &hash)) {
        if (who == m->self) continue;
        struct match_mate *mate = match_mate(m, who);
        if (!mate) mate = match_mate_add(m, who);
        if (!mate || mate->left || mate->status == MATE_READY || mate->refused == m->attempt)
            continue;
        mate->status = MATE_HEARSAY;
        mate->hearsay = hash;
    }
}

/* A mate proposes with another READY of somebody than the one that I hold: one of us is shown to be
 * wrong, or that one has said two things. */
static void show(struct match *m, struct match_mate *mate, struct bytes entries, instant now,
                 const struct sink *out)
{
    struct reader r = reader_init(entries);
    sid who;
    uint64_t hash;
    while (match_next_entry(&r, &who, &hash)) {
        const struct match_mate *of = match_mate(m, who);
        if (!of || of == mate || !match_ready_now(m, of) || of->ready.hash == hash) continue;
        uint32_t bit = (uint32_t)1 << (of - m->mates);
        if (mate->shown & bit) continue;
        if (!mate->shown) mate->shown_at = now;
        mate->shown |= bit;
        match_say_witness(mate->sid, who, &of->said, out);
    }
}

/* Somebody's READY as another mate holds it. */
static bool on_witness(struct match *m, struct bytes frame, instant now, const struct sink *out)
{
    sid whose;
    struct bytes said, pairs;
    struct match_ready r;
    struct match_signer s = match_signer(m);
    if (!match_read_witness(frame, &whose, &said)) return false;
    struct match_mate *of = match_mate(m, whose);
    if (!of || !match_ready_now(m, of)) return true;
    if (!match_read_ready(&s, whose, of->id, said, &r, &pairs)) return false;
    if (!match_same_history(m, &r) || r.incarnation != of->ready.incarnation ||
        r.attempt != of->ready.attempt || r.hash == of->ready.hash)
        return true;
    struct match_said other;
    match_keep_said(said, &other);
    for (uint32_t i = 0; i < m->mates_count; i++) { /* nobody is to be alone with it */
        if (&m->mates[i] == of || m->mates[i].left) continue;
        match_say_witness(m->mates[i].sid, whose, &of->said, out);
        match_say_witness(m->mates[i].sid, whose, &other, out);
    }
    leave_out(m, of, now, out);
    return true;
}

static bool on_propose(struct match *m, struct match_mate *mate, struct bytes frame, instant now,
                       const struct sink *out)
{
    struct match_propose p;
    if (!match_read_propose(mate->sid, frame, &p)) return false;
    if (p.round != m->round || p.attempt != m->attempt) return true;
    if (m->state != MATCH_OPEN && m->state != MATCH_CLOSED) return true;
    struct match_signer s = match_signer(m);
    mate->proposed = p.verified ? PROPOSED_VERIFIED : PROPOSED_HEARSAY;
    match_gid(&s, m->round, m->attempt, p.entries, mate->proposal);
    if (p.verified) show(m, mate, p.entries, now, out);
    take_hearsay(m, p.entries);
    match_pairs_take(&m->blocked, p.pairs);
    if (m->state == MATCH_OPEN)
        m->grace = instant_min(m->grace, instant_after(now, span_ms(GRACE_HINT_MS)));
    match_review(m, now, out);
    return true;
}

static bool on_accept(struct match *m, struct match_mate *mate, struct bytes frame, instant now,
                      const struct sink *out)
{
    struct match_signer s = match_signer(m);
    struct match_accept said;
    if (!match_read_accept(&s, mate->sid, mate->id, frame, &said)) return false;
    if (said.round != m->round || said.attempt < m->attempt) return true;
    mate->accepted = said.attempt;
    memcpy(mate->accept, said.gid, CRYPTO_DIGEST_BYTES);
    memcpy(mate->signature, said.signature, CRYPTO_SIGNATURE_BYTES);
    if (m->state == MATCH_CLOSED) match_lock_if_agreed(m, now, out);
    else if (m->state == MATCH_LOCKED && !memcmp(said.gid, m->group.gid, CRYPTO_DIGEST_BYTES)) {
        int i = match_group_index(m, mate->sid);
        if (i < 0) return true;
        memcpy(m->signatures[i], mate->signature, CRYPTO_SIGNATURE_BYTES);
        m->signed_mask |= (uint32_t)1 << i;
        match_commit_if_signed(m, out);
    }
    return true;
}

static bool on_cert(struct match *m, const struct match_mate *mate, struct bytes frame,
                    const struct sink *out)
{
    struct match_cert c;
    if (!match_read_cert(frame, &c)) return false;
    bool same = c.round == m->round && m->group.count && m->group.round == c.round &&
                m->group.attempt == c.attempt && !memcmp(m->group.gid, c.gid, sizeof c.gid);
    if (same && m->state == MATCH_COMMITTED) return true;
    if (!same || m->accepted != c.attempt || m->state == MATCH_COMMITTED) {
        /* Not mine any more: I have signed in a later attempt, or it is from before a restart.
         * Tells the sender that I do not take part in that group. */
        match_say_withdraw(mate->sid, c.round, c.attempt, c.gid, out);
        return true;
    }
    struct match_signer s = match_signer(m);
    uint8_t signatures[NODE_GROUP_MAX][CRYPTO_SIGNATURE_BYTES];
    if (!match_open_cert(&s, &m->group, &c, signatures)) return false;
    memcpy(m->signatures, signatures, sizeof signatures[0] * c.count);
    bool open = m->state == MATCH_OPEN || m->state == MATCH_CLOSED;
    for (uint32_t i = 0; open && i < m->mates_count; i++)
        if (match_group_index(m, m->mates[i].sid) < 0)
            match_say_notready(m->mates[i].sid, MATCH_REASON_BUSY, 0, m->round, m->attempt, out);
    match_commit(m, out);
    return true;
}

static bool on_withdraw(struct match *m, const struct match_mate *mate, struct bytes frame,
                        instant now, const struct sink *out)
{
    uint8_t gid[CRYPTO_DIGEST_BYTES];
    if (!match_read_withdraw(frame, gid)) return false;
    if (!m->group.count || memcmp(gid, m->group.gid, sizeof gid)) return true;
    if (m->state == MATCH_LOCKED)
        match_lost_while_locked(m, mate->sid, (uint16_t)(m->attempt + 1), now, out);
    else if (m->state == MATCH_COMMITTED && match_group_index(m, mate->sid) >= 0)
        m->withdrawn |= (uint32_t)1 << match_group_index(m, mate->sid);
    return true;
}

/* ---- the cell, and my position in history ---- */

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
    if (m->round != round || memcmp(m->lineage, lineage, CRYPTO_DIGEST_BYTES)) {
        m->attempt = m->accepted = 0;
        m->blocked.count = 0;
    }
    m->group.count = 0; /* a CERT that arrives now is too late */
    m->round = round;
    m->lineage_tokens = lineage_tokens;
    memcpy(m->lineage, lineage, CRYPTO_DIGEST_BYTES);
    for (uint32_t i = 0; i < m->mates_count; i++) {
        m->mates[i].accepted = m->mates[i].refused = 0;
        m->called = m->called || match_same_history(m, &m->mates[i].ready);
    }
}

void match_cell(struct match *m, const struct match_peer *peers, size_t count, instant now,
                const struct sink *out)
{
    assert(count < NODE_GROUP_MAX);
    bool listed[NODE_GROUP_MAX] = {false};
    for (size_t p = 0; p < count; p++) {
        struct match_mate *mate = match_mate(m, wire_sid(peers[p].id));
        if (mate) listed[mate - m->mates] = true;
    }
    for (uint32_t i = 0; i < m->mates_count; i++)
        if (m->mates[i].listed && !listed[i]) {
            m->mates[i].listed = m->mates[i].counts = false;
            match_gone(m, m->mates[i].sid, now, out);
        }
    for (size_t p = 0; p < count; p++) {
        struct match_mate *mate = match_mate(m, wire_sid(peers[p].id));
        if (!mate) mate = match_mate_add(m, wire_sid(peers[p].id));
        if (!mate) continue;
        bool news = !mate->listed;
        if (news) mate->left = false; /* back from the dead */
        memcpy(mate->id, peers[p].id, CRYPTO_KEY_BYTES);
        mate->listed = true;
        mate->rtt_ms = peers[p].rtt_ms;
        mate->counts = peers[p].counts;
        bool open = m->state == MATCH_OPEN || m->state == MATCH_CLOSED;
        if (news && open && mate->asked.ns == 0) {
            if (mate->status == MATE_OUT) mate->status = MATE_UNKNOWN;
            match_say_ready(m, mate, now, out);
        }
    }
}

void match_start(struct match *m, const struct match_offer *offer, instant now,
                 const struct sink *out)
{
    assert(m->state == MATCH_IDLE || m->state == MATCH_SOLO);
    assert(offer->weight > 0);
    assert(offer->up_kbps > 0);
    m->offer = *offer;
    m->called = false;
    m->attempts = 0;
    m->blocked.count = 0;
    m->until = m->config.count_steps ? INSTANT_NEVER : instant_after(now, span_s(MATCH_TIME_S));
    m->waits = instant_after(now, span_s(MATCH_WAIT_S));
    uint16_t attempt = (uint16_t)(m->attempt + 1);
    for (uint32_t i = 0; i < m->mates_count; i++) {
        struct match_mate *mate = &m->mates[i];
        mate->status = MATE_UNKNOWN;
        mate->asked = (instant){0};
        if (!mate->left && match_same_history(m, &mate->ready) && mate->ready.attempt > attempt &&
            leads(m, mate, now))
            attempt = mate->ready.attempt;
    }
    match_next(m, attempt, now, out);
}

void match_alone(struct match *m, const struct match_offer *offer)
{
    assert(m->state == MATCH_IDLE || m->state == MATCH_SOLO);
    assert(offer->weight > 0);
    m->offer = *offer;
    m->called = false;
    if (m->attempt < UINT16_MAX) m->attempt++;
    match_make_ready(m);
    struct match_signer s = match_signer(m);
    match_group_of(m, 0, &m->group);
    match_name(&s, &m->group);
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
    case WIRE_WITNESS:
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
    struct match_mate *mate = match_mate(m, peer);
    if (!mate) mate = match_mate_add(m, peer);
    if (!mate) return true; /* the cell is full */
    memcpy(mate->id, id, CRYPTO_KEY_BYTES);
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
    case WIRE_WITNESS:
        return on_witness(m, body, now, out);
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
        else if (!match_same_history(m, r)) why = MATCH_REASON_LINEAGE;
        else if (m->state == MATCH_LOCKED || m->state == MATCH_COMMITTED) why = MATCH_REASON_BUSY;
        match_say_notready(mate->sid, why, why == MATCH_REASON_TRAINING ? eta_ms : 0, r->round,
                           r->attempt, out);
    }
}

void match_link(struct match *m, sid peer, instant now, const struct sink *out)
{
    struct match_mate *mate = match_mate(m, peer);
    if (!mate) return;
    mate->proposed = PROPOSED_NOTHING;
    mate->accepted = 0;
    bool in_set = m->set >> (mate - m->mates) & 1;
    if (m->state == MATCH_OPEN || m->state == MATCH_CLOSED) {
        if (!mate->left) match_say_ready(m, mate, now, out);
        if (m->state == MATCH_CLOSED && in_set) match_say_propose(m, peer, out);
    }
    if (m->state != MATCH_LOCKED && m->state != MATCH_COMMITTED) return;
    if (match_group_index(m, peer) >= 0)
        (m->state == MATCH_LOCKED ? match_say_accept : match_say_cert)(m, peer, out);
}

bool match_called_by(const struct match *m, sid peer)
{
    for (uint32_t i = 0; i < m->mates_count; i++)
        if (m->mates[i].sid == peer) return match_same_history(m, &m->mates[i].ready);
    return false;
}

void match_gone(struct match *m, sid peer, instant now, const struct sink *out)
{
    struct match_mate *mate = match_mate(m, peer);
    if (!mate) return;
    mate->left = true;
    mate->status = MATE_OUT;
    mate->asked = (instant){0};
    mate->ready.attempt = 0;
    mate->unanswered = false;
    match_void_proposals(m, mate);
    if (m->state == MATCH_LOCKED)
        match_lost_while_locked(m, peer, (uint16_t)(m->attempt + 1), now, out);
    else match_review(m, now, out);
}

void match_leave(struct match *m, const struct sink *out)
{
    if (match_under_way(m))
        for (uint32_t i = 0; i < m->mates_count; i++)
            match_say_notready(m->mates[i].sid, MATCH_REASON_LEAVING, 0, m->round, m->attempt, out);
    m->state = MATCH_IDLE;
}

void match_tick(struct match *m, instant now, const struct sink *out) { match_review(m, now, out); }
