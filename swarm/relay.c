#include "relay.h"

#include <assert.h>

#include "member_table.h"
#include "relay_carry.h"
#include "wire.h"

/* SPEC.md, "Timers". */
#define RELAY_AFTER       span_s(2)
#define RELAY_PERIOD      span_s(5)
#define RELAY_PATIENCE_MS 3000
#define RELAY_AGAIN       span_s(1)
#define RELAY_REFUSED     span_s(5)
#define RELAY_DOUBTED     span_s(60)
#define RELAY_STUCK       span_s(60)

#define RELAY_FRAME_MAX 4096 /* no frame of matchmaking or averaging, and no record, is longer */

#define ECHO_BYTES (4 + 1)
#define DONE_BYTES 4

/* ---- paths ---- */

static void forget_path(struct relay_path *p, sid s, const struct relay *r)
{
    *p = (struct relay_path){.sid = s, .via = NOBODY, .without_link = INSTANT_NEVER};
    memcpy(p->seq, r->seq, sizeof p->seq); /* never one that was used already */
}

/* The path to a member; the entry may have been another one's. */
static struct relay_path *path_of(struct relay *r, const struct members *m, int i)
{
    struct relay_path *p = &r->paths[i];
    if (p->sid != m->members[i].sid) forget_path(p, m->members[i].sid, r);
    return p;
}

static const struct relay_path *open_path(const struct relay *r, const struct members *m, int i)
{
    const struct relay_path *p = &r->paths[i];
    bool its = m->members[i].used && p->sid == m->members[i].sid;
    return its && p->open && member_link(m, i) == LINK_NONE ? p : NULL;
}

bool relay_open(const struct relay *r, const struct members *m, int member)
{
    return open_path(r, m, member) != NULL;
}

int relay_via(const struct relay *r, const struct members *m, int member)
{
    const struct relay_path *p = open_path(r, m, member);
    return p ? p->via : NOBODY;
}

uint32_t relay_rtt_ms(const struct relay *r, const struct members *m, int member)
{
    const struct relay_path *p = open_path(r, m, member);
    return p ? p->rtt_ms : 0;
}

/* ---- sending ---- */

static uint64_t ticket_of(const struct relay *r, const struct relay_sent *s)
{
    return RELAY_TICKET | (uint64_t)s->serial << 16 | (uint64_t)(s - r->sent);
}

static struct relay_sent *sent_of(struct relay *r, uint64_t ticket)
{
    uint16_t i = (uint16_t)ticket;
    if (i >= RELAY_SENT_MAX) return NULL;
    struct relay_sent *s = &r->sent[i];
    return s->ticket && ticket_of(r, s) == ticket ? s : NULL;
}

/* Nobody has more under way than RELAY_SENT_MAX counts. */
static struct relay_sent *keep_sent(struct relay *r, const struct relay_sent *one)
{
    uint32_t i = 0;
    while (i < RELAY_SENT_MAX && r->sent[i].ticket) i++;
    assert(i < RELAY_SENT_MAX);
    r->sent[i] = *one;
    r->sent[i].serial = ++r->serial;
    r->sent_count++;
    return &r->sent[i];
}

static uint64_t take_sent(struct relay *r, struct relay_sent *s)
{
    uint64_t ticket = s->ticket;
    *s = (struct relay_sent){0};
    r->sent_count--;
    return ticket;
}

/* Sends it through `via`, which has a link. */
static void send_by(struct relay *r, struct members *m, int to, int via, const struct action *a,
                    const struct sink *out)
{
    struct relay_path *p = path_of(r, m, to);
    enum relay_form form = a->kind == ACTION_FRAME    ? RELAY_FRAME
                           : a->kind == ACTION_PARCEL ? RELAY_PARCEL
                                                      : RELAY_REQUEST;
    struct relay_envelope e = {.from = m->self,
                               .to = p->sid,
                               .life = m->config.incarnation,
                               .seq = ++p->seq[form],
                               .form = form,
                               .type = form == RELAY_FRAME ? a->type : 0};
    uint8_t room[1 + RELAY_HEAD_BYTES + 1 + RELAY_FRAME_MAX];
    if (p->seq[form] > r->seq[form]) r->seq[form] = p->seq[form];
    relay_seal(m->config.crypto, m->config.run_id, &e, a->bytes, a->more);
    struct writer w = writer_init(room, sizeof room);
    if (form != RELAY_FRAME) writer_u8(&w, WIRE_RELAY);
    relay_write(&e, &w);
    writer_copy(&w, a->bytes.data, a->bytes.count);
    assert(!w.full);
    struct action to_via = {.kind = a->kind,
                            .peer = m->members[via].sid,
                            .link = member_link(m, via),
                            .type = WIRE_RELAY,
                            .bytes = writer_bytes(&w),
                            .more = a->more};
    if (form != RELAY_FRAME) {
        struct relay_sent s = {.ticket = a->ticket,
                               .to = p->sid,
                               .via = via,
                               .seq = e.seq,
                               .form = form,
                               .at = r->now};
        to_via.ticket = ticket_of(r, keep_sent(r, &s));
    }
    sink_act(out, &to_via);
}

void relay_send(struct relay *r, struct members *m, int to, const struct action *a, instant now,
                const struct sink *out)
{
    assert(a->kind != ACTION_DATAGRAM);
    r->now = instant_max(r->now, now);
    const struct relay_path *p = open_path(r, m, to);
    if (p && member_link(m, p->via) != LINK_NONE) {
        send_by(r, m, to, p->via, a, out);
    } else if (a->kind != ACTION_FRAME) {
        struct relay_sent s = {.ticket = a->ticket,
                               .to = m->members[to].sid,
                               .via = NOBODY,
                               .form = a->kind == ACTION_PARCEL ? RELAY_PARCEL : RELAY_REQUEST,
                               .failed = true};
        (void)keep_sent(r, &s);
    }
}

static void send_frame(struct relay *r, struct members *m, int to, int via, uint8_t type,
                       struct bytes body, const struct sink *out)
{
    if (member_link(m, via) == LINK_NONE) return;
    struct action a = {.kind = ACTION_FRAME, .type = type, .bytes = body};
    send_by(r, m, to, via, &a, out);
}

static void send_echo(struct relay *r, struct members *m, int to, int via, uint32_t nonce,
                      bool back, const struct sink *out)
{
    uint8_t room[ECHO_BYTES];
    struct writer w = writer_init(room, sizeof room);
    writer_u32(&w, nonce);
    writer_u8(&w, back);
    send_frame(r, m, to, via, WIRE_RELAY_ECHO, writer_bytes(&w), out);
}

/* ---- failure ---- */

/* What was sent to `to` through `via` will have no answer. */
static void fail(struct relay *r, sid to, int via)
{
    for (uint32_t i = 0; r->sent_count && i < RELAY_SENT_MAX; i++) {
        struct relay_sent *s = &r->sent[i];
        if (s->ticket && s->to == to && s->via == via) s->failed = true;
    }
}

bool relay_failed(struct relay *r, uint64_t *ticket, enum relay_form *form)
{
    for (uint32_t i = 0; r->sent_count && i < RELAY_SENT_MAX; i++) {
        struct relay_sent *s = &r->sent[i];
        if (!s->ticket || !s->failed) continue;
        *form = s->form;
        *ticket = take_sent(r, s);
        return true;
    }
    return false;
}

static void leave_relay(struct relay_path *p)
{
    p->via = NOBODY;
    p->open = false;
    p->nonce = p->rtt_ms = 0;
}

static void note_path(const struct members *m, int i, int via, const struct sink *out)
{
    char digits[FIRST_EIGHT_DIGITS];
    sid through = via == NOBODY ? 0 : m->members[via].sid;
    sink_note(
        out, (struct note){.name = "relayed",
                           .word = {"via", through ? first_eight_print(through, digits) : "nobody"},
                           .hex = {"peer", bytes_of(m->members[i].id, CRYPTO_KEY_BYTES)}});
}

/* The path ends; another relay is looked for at once. */
static void close_path(struct relay *r, struct members *m, int i, const struct sink *out)
{
    struct relay_path *p = path_of(r, m, i);
    bool open = p->open;
    if (p->via != NOBODY) fail(r, p->sid, p->via);
    leave_relay(p);
    p->echo_at = r->now;
    if (!open || member_link(m, i) != LINK_NONE) return;
    members_tell(m, NEWS_UNLINKED, i);
    note_path(m, i, NOBODY, out);
}

/* This member is not asked to relay to that one for so long. */
static void refused_by(struct relay *r, struct members *m, int i, int via, span length,
                       const struct sink *out)
{
    struct relay_path *p = path_of(r, m, i);
    p->refused |= member_bit(via);
    p->refused_until = instant_max(p->refused_until, instant_after(r->now, length));
    if (p->via == via) close_path(r, m, i, out);
    else fail(r, p->sid, via);
}

/* ---- looking for a relay ---- */

static bool names(const struct record_reach *list, sid s)
{
    for (size_t j = 0; list && j < list->count; j++)
        if (list->list[j].sid == s) return true;
    return false;
}

/* Is there a link to it, and none that is known to be missing between it and the other? */
static bool may_relay(const struct members *m, int c, int to)
{
    const struct member *p = &m->members[c];
    return c != to && p->used && p->health == HEALTH_ALIVE && member_link(m, c) != LINK_NONE &&
           !names(members_reach(m, c), m->members[to].sid) && !names(members_reach(m, to), p->sid);
}

/* The one with the fastest line, shared by those that it relays to already. */
static int choose(const struct relay *r, const struct members *m, int to, const uint32_t *kbps)
{
    const struct relay_path *p = &r->paths[to];
    uint64_t most = 0;
    int best = NOBODY;
    for (int c = 0; c < MEMBERS_MAX; c++) {
        if (!may_relay(m, c, to) || p->refused & member_bit(c)) continue;
        uint64_t paths = 1;
        for (int i = 0; i < MEMBERS_MAX; i++)
            paths += i != to && r->paths[i].via == c && r->paths[i].sid == m->members[i].sid;
        uint64_t rate = ((uint64_t)kbps[c] + 1) * 64 / paths;
        if (best != NOBODY && rate <= most) continue;
        most = rate;
        best = c;
    }
    return best;
}

static void ask(struct relay *r, struct members *m, int i, int via, const struct sink *out)
{
    struct relay_path *p = path_of(r, m, i);
    p->via = via;
    p->nonce = ++r->nonce ? r->nonce : ++r->nonce;
    p->asked = r->now;
    p->echo_at = instant_after(r->now, RELAY_PERIOD);
    send_echo(r, m, i, via, p->nonce, false, out);
}

static span echo_patience(const struct relay_path *p)
{
    uint64_t ms = 6 * (uint64_t)p->rtt_ms;
    return span_ms(ms > RELAY_PATIENCE_MS ? ms : RELAY_PATIENCE_MS);
}

/* An ECHO without an answer, and nothing else came either. */
static bool echo_failed(const struct relay *r, const struct relay_path *p)
{
    return p->nonce && instant_reached(r->now, instant_after(p->asked, echo_patience(p))) &&
           p->heard.ns < p->asked.ns;
}

static void look(struct relay *r, struct members *m, int i, const uint32_t *kbps,
                 const struct sink *out)
{
    struct relay_path *p = path_of(r, m, i);
    bool apart = member_live(&m->members[i]) && member_link(m, i) == LINK_NONE;
    if (!apart) {
        if (p->via != NOBODY && !member_live(&m->members[i])) close_path(r, m, i, out);
        leave_relay(p); /* what is under way there may still arrive */
        p->without_link = INSTANT_NEVER;
        return;
    }
    if (p->without_link.ns == INSTANT_NEVER.ns) {
        p->without_link = r->now;
        p->echo_at = instant_after(r->now, RELAY_AFTER);
    }
    if (p->refused && instant_reached(r->now, p->refused_until)) p->refused = 0;
    if (p->via != NOBODY && !may_relay(m, p->via, i)) close_path(r, m, i, out);
    if (p->via != NOBODY && echo_failed(r, p)) refused_by(r, m, i, p->via, RELAY_REFUSED, out);
    if (!instant_reached(r->now, p->echo_at)) return;
    int via = p->via != NOBODY ? p->via : choose(r, m, i, kbps);
    if (via != NOBODY) ask(r, m, i, via, out);
    else p->echo_at = instant_after(r->now, RELAY_AGAIN);
}

void relay_doubt(struct relay *r, struct members *m, int member, const uint32_t *kbps,
                 const struct sink *out)
{
    const struct relay_path *p = open_path(r, m, member);
    if (!p || !instant_reached(r->now, instant_after(p->opened, RELAY_PERIOD))) return;
    int via = p->via;
    struct relay_path *path = path_of(r, m, member);
    uint64_t before = path->refused;
    path->refused |= member_bit(via);
    if (choose(r, m, member, kbps) == NOBODY) path->refused = before;
    else refused_by(r, m, member, via, RELAY_DOUBTED, out);
}

/* Messages that nobody has answered for too long: their relay keeps them. */
static void look_for_stuck(struct relay *r, struct members *m, const struct sink *out)
{
    for (uint32_t k = 0; k < RELAY_SENT_MAX; k++) {
        struct relay_sent *s = &r->sent[k];
        if (!s->ticket || s->failed) continue;
        int i = members_find(m, s->to);
        if (i == NOBODY || !member_live(&m->members[i]) || member_link(m, s->via) == LINK_NONE) {
            s->failed = true;
        } else if (instant_reached(r->now, instant_after(s->at, RELAY_STUCK))) {
            refused_by(r, m, i, s->via, RELAY_DOUBTED, out);
        }
    }
}

void relay_tick(struct relay *r, struct members *m, const uint32_t *kbps, instant now,
                const struct sink *out)
{
    r->now = instant_max(r->now, now);
    if (r->sent_count) look_for_stuck(r, m, out);
    for (int i = 0; i < MEMBERS_MAX; i++)
        if (m->members[i].used) look(r, m, i, kbps, out);
}

instant relay_due(const struct relay *r, const struct members *m)
{
    instant due = INSTANT_NEVER;
    for (int i = 0; i < MEMBERS_MAX; i++) {
        const struct relay_path *p = &r->paths[i];
        if (!m->members[i].used || p->sid != m->members[i].sid ||
            p->without_link.ns == INSTANT_NEVER.ns)
            continue;
        due = instant_min(due, p->echo_at);
        if (p->nonce && p->heard.ns < p->asked.ns)
            due = instant_min(due, instant_after(p->asked, echo_patience(p)));
    }
    for (uint32_t k = 0; r->sent_count && k < RELAY_SENT_MAX; k++)
        if (r->sent[k].ticket)
            due = instant_min(due, r->sent[k].failed ? r->now
                                                     : instant_after(r->sent[k].at, RELAY_STUCK));
    return due;
}

void relay_init(struct relay *r)
{
    for (int i = 0; i < MEMBERS_MAX; i++) forget_path(&r->paths[i], 0, r);
}

/* ---- what comes ---- */

/* Is this number new? Then it counts as seen. */
static bool first_time(struct relay_path *p, const struct relay_envelope *e)
{
    uint32_t *latest = &p->latest[e->form];
    uint64_t *seen = &p->seen[e->form];
    if (e->seq > *latest) {
        uint32_t ahead = e->seq - *latest;
        *seen = ahead < 64 ? *seen << ahead | 1 : 1;
        *latest = e->seq;
        return true;
    }
    uint32_t behind = *latest - e->seq;
    if (behind >= 64 || *seen >> behind & 1) return false;
    *seen |= (uint64_t)1 << behind;
    return true;
}

/* It has restarted since it was last heard: what was on its way to it is lost. */
static void meet_life(struct relay *r, struct members *m, int from, uint64_t life,
                      const struct sink *out)
{
    struct relay_path *p = path_of(r, m, from);
    if (p->life == life) return;
    if (p->life && p->via != NOBODY) close_path(r, m, from, out);
    p->life = life;
    memset(p->latest, 0, sizeof p->latest);
    memset(p->seen, 0, sizeof p->seen);
}

/* It came from `from` through `by`: that is a path, if there is no other. */
static void heard_through(struct relay *r, struct members *m, int from, int by,
                          const struct sink *out)
{
    struct relay_path *p = path_of(r, m, from);
    m->members[from].heard = instant_max(m->members[from].heard, r->now);
    p->heard = r->now;
    if (member_link(m, from) != LINK_NONE || member_link(m, by) == LINK_NONE) return;
    if (p->open) return;
    if (p->via != by) leave_relay(p);
    if (p->without_link.ns == INSTANT_NEVER.ns) p->without_link = r->now;
    p->via = by;
    p->open = true;
    p->opened = r->now;
    p->echo_at = instant_after(r->now, RELAY_PERIOD);
    members_tell(m, NEWS_LINKED, from);
    note_path(m, from, by, out);
}

static void say_done(struct relay *r, struct members *m, int to, int via, uint32_t seq,
                     const struct sink *out)
{
    uint8_t room[DONE_BYTES];
    struct writer w = writer_init(room, sizeof room);
    writer_u32(&w, seq);
    send_frame(r, m, to, via, WIRE_RELAY_DONE, writer_bytes(&w), out);
}

/* What has come is for me, but of no use: nobody is to wait for an answer. */
static enum relay_verdict pass_over(const struct members *m, int by, enum relay_form form,
                                    link_id link, uint64_t ticket, const struct sink *out)
{
    if (form == RELAY_REQUEST) sink_answer_nothing(out, m->members[by].sid, link, ticket);
    return RELAY_DEALT;
}

enum relay_verdict relay_take(struct relay *r, struct members *m, int by, enum relay_form form,
                              link_id link, uint64_t ticket, struct bytes bytes, instant now,
                              struct relayed *out, const struct sink *sink)
{
    r->now = instant_max(r->now, now);
    struct reader in = reader_init(bytes);
    struct relay_envelope e;
    if (form != RELAY_FRAME) (void)reader_u8(&in);
    if (!relay_read(&in, form, &e)) return RELAY_FALSE;
    struct bytes message = bytes_of(in.at, reader_left(&in));
    bool mine = e.to == m->self;
    int from = mine ? members_find(m, e.from) : by;
    /* What a member relays is never relayed again. */
    if (mine ? e.from == m->members[by].sid : e.from != m->members[by].sid) return RELAY_FALSE;
    if (from == NOBODY || !m->members[from].known) /* not met yet */
        return pass_over(m, by, form, link, ticket, sink);
    /* A relay looks, too, so that whoever gets what is not signed knows who made it. */
    if (!relay_sealed(m->config.crypto, m->config.run_id, &e, message, m->members[from].id))
        return RELAY_FALSE;
    if (!mine) {
        relay_carry(r, m, by, &e, link, ticket, bytes, sink);
        return RELAY_DEALT;
    }
    if (!member_live(&m->members[from]) || e.life < path_of(r, m, from)->life)
        return pass_over(m, by, form, link, ticket, sink);
    meet_life(r, m, from, e.life, sink);
    if (!first_time(path_of(r, m, from), &e)) return pass_over(m, by, form, link, ticket, sink);
    heard_through(r, m, from, by, sink);
    if (form == RELAY_PARCEL) say_done(r, m, from, by, e.seq, sink);
    if (form == RELAY_FRAME && e.type == WIRE_RELAY_ECHO) {
        struct reader echo = reader_init(message);
        uint32_t nonce = reader_u32(&echo);
        bool back = reader_u8(&echo);
        struct relay_path *p = path_of(r, m, from);
        if (!echo.bad && !back) send_echo(r, m, from, by, nonce, true, sink);
        if (!echo.bad && back && nonce == p->nonce && p->via == by) {
            p->rtt_ms = (uint32_t)span_in_ms(instant_since(r->now, p->asked)) + 1;
            p->nonce = 0;
        }
        return RELAY_DEALT;
    }
    *out = (struct relayed){.from = from, .form = form, .type = e.type, .bytes = message};
    return RELAY_MINE;
}

bool relay_takes(uint8_t type) { return type == WIRE_RELAY_DONE || type == WIRE_RELAY_REFUSED; }

/* The receiver of a parcel of mine has it; 0: there is none of that number. */
static uint64_t parcel_arrived(struct relay *r, sid to, uint32_t seq)
{
    uint64_t ticket = 0;
    for (uint32_t k = 0; k < RELAY_SENT_MAX; k++) {
        struct relay_sent *s = &r->sent[k];
        if (!s->ticket || s->failed || s->to != to) continue;
        s->at = r->now; /* it moves */
        if (s->form != RELAY_PARCEL || s->seq != seq) continue;
        ticket = take_sent(r, s);
    }
    return ticket;
}

bool relay_frame(struct relay *r, struct members *m, int from, uint8_t type, struct bytes body,
                 instant now, uint64_t *done, const struct sink *out)
{
    r->now = instant_max(r->now, now);
    *done = 0;
    struct reader in = reader_init(body);
    if (type == WIRE_RELAY_DONE) {
        uint32_t seq = reader_u32(&in);
        if (!in.bad) *done = parcel_arrived(r, m->members[from].sid, seq);
    } else {
        int to = members_find(m, reader_u64(&in));
        if (!in.bad && to != NOBODY) refused_by(r, m, to, from, RELAY_REFUSED, out);
    }
    return !in.bad;
}

void relay_parcel_done(struct relay *r, struct members *m, uint64_t ticket, bool ok,
                       const struct sink *out)
{
    struct relay_sent *s = relay_ticket_carried(ticket) ? NULL : sent_of(r, ticket);
    if (s && !ok) s->failed = true; /* otherwise its relay has it, which is not the end */
    if (relay_ticket_carried(ticket)) relay_carried_done(r, m, ticket, ok, out);
}

void relay_reply(struct relay *r, uint64_t ticket, bool ok, struct bytes reply, uint64_t *mine,
                 const struct sink *out)
{
    *mine = 0;
    if (relay_ticket_carried(ticket)) {
        relay_carried_reply(r, ticket, ok, reply, out);
        return;
    }
    struct relay_sent *s = sent_of(r, ticket);
    if (!s || s->failed) return;
    *mine = take_sent(r, s);
}
