#include "hello.h"

#include <assert.h>
#include <stdio.h>

#include "access.h"
#include "contact.h"
#include "doubles.h"
#include "listed.h"
#include "member_health.h"
#include "member_probe.h"
#include "member_push.h"
#include "member_record.h"
#include "member_table.h"
#include "seen.h"
#include "stranger.h"
#include "twin.h"
#include "wire.h"

#define STRANGER_PERIOD span_s(10) /* SPEC.md, "Membership" */
#define REVOKED_LINGER  span_ms(300)

static void say_hello(struct members *m, const struct stranger_link *to, const struct sink *out)
{
    uint8_t room[74 + ACCESS_PROOF_BYTES + RECORD_BYTES_MAX + NODE_SHARED_MAX];
    uint8_t proof[ACCESS_PROOF_BYTES];
    size_t proof_bytes = access_prove(m, to->exporter, proof);
    struct writer w = writer_init(room, sizeof room);
    writer_u16(&w, WIRE_MAJOR);
    writer_u16(&w, WIRE_MINOR);
    writer_copy(&w, m->config.run_id, CRYPTO_DIGEST_BYTES);
    wire_write_address(&w, &to->address);
    writer_u16(&w, (uint16_t)proof_bytes);
    writer_copy(&w, proof, proof_bytes);
    writer_u16(&w, m->mine[STORED_PEER].count);
    writer_copy(&w, m->mine[STORED_PEER].bytes, m->mine[STORED_PEER].count);
    /* since 1.1: which process this is, and what it shares */
    writer_u64(&w, m->config.incarnation);
    writer_u16(&w, (uint16_t)m->config.shared.count);
    writer_copy(&w, m->config.shared.data, m->config.shared.count);
    assert(!w.full);
    struct action a = {
        .kind = ACTION_FRAME, .link = to->link, .type = WIRE_HELLO, .bytes = writer_bytes(&w)};
    sink_act(out, &a);
}

/* The link leads to this member from now on. */
static void attach(struct members *m, int i, const struct stranger_link *s, bool dialled,
                   const struct sink *out)
{
    struct member_link *l = contact_slot(m, i, out);
    *l = (struct member_link){.link = s->link,
                              .address = s->address,
                              .dialled = dialled,
                              .since = s->since,
                              .order = ++m->order};
    memcpy(l->exporter, s->exporter, sizeof l->exporter);
    if (dialled) m->members[i].dialling = false;
}

void members_link_up(struct members *m, const struct event *e, const struct sink *out)
{
    m->now = e->now;
    if (memcmp(e->id, m->config.id, CRYPTO_KEY_BYTES) == 0) {
        contact_hang_up(m, e->link, CLOSE_SELF, "this is your own key", out);
        return;
    }
    struct stranger_link s = {.link = e->link, .address = e->address, .since = m->now};
    memcpy(s.id, e->id, sizeof s.id);
    memcpy(s.exporter, e->exporter, sizeof s.exporter);
    int i = listed_met(m, e->id, &e->address, e->dialled);
    if (i == NOBODY) stranger_add(m, &s, out);
    else attach(m, i, &s, e->dialled, out);
    say_hello(m, &s, out);
}

/* ---- HELLO ---- */

/* The records that a new neighbour needs first; it learns the rest by SYNC. */
static void inform(struct members *m, int i)
{
    struct member *p = &m->members[i];
    for (int k = 0; k < STORED_COUNT; k++)
        if (m->mine[k].count) m->mine[k].push |= member_bit(i);
    if (m->revoked.count) m->revoked.push |= member_bit(i);
    p->differs = true;
    m->sync_at = instant_min(m->sync_at, instant_after(m->now, MEMBER_FLUSH_DELAY));
    member_probe(m, i);
    member_flush_soon(m);
}

static const char full[] = "this swarm has all the members it can have";

/* A stranger's HELLO can be accepted: gives it an entry in the table, which it takes only if its
 * PEER record is its own. False when that is not so. NOBODY in *member: there is no room, and it has
 * been told. */
static bool admit(struct members *m, link_id link, const struct hello *h, int *member,
                  const struct sink *out)
{
    const struct stranger_link s = *stranger_of(m, link);
    *member = NOBODY;
    if (!members_own_record(m, s.id, h->record)) return false;
    *member = members_by_id(m, s.id);
    if (*member == NOBODY && members_live(m) < NODE_GROUP_MAX) *member = members_add(m, s.id);
    if (*member == NOBODY) {
        contact_turn_away(m, NOBODY, link, CLOSE_BUSY, full, out);
        return true;
    }
    stranger_forget(m, link);
    attach(m, *member, &s, false, out);
    return true;
}

/* Accepts a HELLO: stores its record and greets its link. False when the record is not this
 * member's. */
static bool greet(struct members *m, int i, link_id link, const struct hello *h,
                  const struct sink *out)
{
    struct member *p = &m->members[i];
    struct member_link *l = member_link_of(p, link);
    if (!members_absorb_hello(m, i, h->record, out)) return false;
    if (!p->known) {
        contact_turn_away(m, i, link, CLOSE_BUSY, full, out);
        return true;
    }
    link_id before = member_link(m, i);
    l->greeted = true;
    sink_act(out, &(struct action){.kind = ACTION_WELCOME, .peer = p->sid, .link = link});
    l->heard = m->now;
    l->incarnation = p->incarnation;
    l->life = h->life;
    p->failures = 0;
    p->unreached = REACH_REASONS;
    p->heard = m->now;
    p->observed = l->address;
    seen_by(m, i, &h->seen);
    if (member_link(m, i) != before) {
        if (before == LINK_NONE) inform(m, i);
        members_tell(m, NEWS_LINKED, i);
    }
    doubles_greeted(m, i, out);
    return true;
}

/* Somebody was turned away: for the log, but not every time, as anybody may call. */
static void note_stranger(struct members *m, instant *again, const uint8_t id[CRYPTO_KEY_BYTES],
                          const char *name, const char *why, const struct sink *out)
{
    if (m->now.ns < again->ns) return;
    *again = instant_after(m->now, STRANGER_PERIOD);
    contact_note(id, name, "why", why, out);
}

/* Another experiment: notes which settings differ, for the log and for whoever set it up. */
static void note_other_run(struct members *m, const uint8_t id[CRYPTO_KEY_BYTES],
                           struct bytes theirs, const struct sink *out)
{
    char story[NODE_STORY_BYTES] = "which keys differ is not known";
    if (m->config.differ) (void)m->config.differ(m->config.shared, theirs, story);
    note_stranger(m, &m->other_run_at, id, "other_run", story, out);
}

/* The text is read on both sides, so it says neither "this node" nor "here". */
static void turn_away_version(struct members *m, int i, link_id link, uint16_t major,
                              const struct sink *out)
{
    char text[96];
    snprintf(text, sizeof text,
             "versions %u and %u of the protocol do not mix: both need the same version of shoal",
             (unsigned)WIRE_MAJOR, major);
    contact_turn_away(m, i, link, CLOSE_VERSION, text, out);
}

bool members_hello(struct members *m, link_id link, struct bytes body, instant now,
                   const struct sink *out)
{
    m->now = now;
    int i = members_by_link(m, link);
    const struct stranger_link *s = i == NOBODY ? stranger_of(m, link) : NULL;
    if (i == NOBODY && !s) return true; /* already hung up */
    struct reader r = reader_init(body);
    uint16_t major = reader_u16(&r);
    (void)reader_u16(&r);
    if (r.bad || (!s && member_greeted(&m->members[i], link))) return false;
    if (major != WIRE_MAJOR) {
        turn_away_version(m, i, link, major, out);
        return true;
    }
    struct hello h = {0};
    struct bytes shared = {0}, run = reader_bytes(&r, CRYPTO_DIGEST_BYTES);
    (void)wire_read_address(&r, &h.seen);
    struct bytes proof = reader_bytes(&r, reader_u16(&r));
    h.record = reader_bytes(&r, reader_u16(&r));
    if (r.bad) return false;
    if (reader_left(&r) >= sizeof h.life + 2) { /* since 1.1 */
        h.life = reader_u64(&r);
        shared = reader_bytes(&r, reader_u16(&r));
        if (r.bad) return false;
    }
    if (memcmp(run.data, m->config.run_id, CRYPTO_DIGEST_BYTES) != 0) {
        note_other_run(m, s ? s->id : m->members[i].id, shared, out);
        contact_turn_away(m, i, link, CLOSE_RUN, "this node takes part in another experiment", out);
        return true;
    }
    const uint8_t *id = s ? s->id : m->members[i].id;
    const uint8_t *exporter = s ? s->exporter : member_link_of(&m->members[i], link)->exporter;
    struct access_answer asked;
    access_ask(m, exporter, id, proof, &asked);
    if (!asked.admitted) {
        note_stranger(m, &m->not_admitted_at, id, "not_admitted", asked.log, out);
        contact_turn_away(m, i, link, CLOSE_REFUSED, asked.told, out);
        return true;
    }
    if (s && !admit(m, link, &h, &i, out)) return false;
    if (i == NOBODY) return true;
    struct member *p = &m->members[i];
    access_shown(p, &asked.ticket);
    if (p->twin.link != LINK_NONE) {
        contact_hang_up(m, link, CLOSE_DUPLICATE, "another process of yours is being looked at",
                        out);
        contact_refuse(m, link);
        return true;
    }
    return twin_holds(m, i, member_link_of(p, link), &h, out) || greet(m, i, link, &h, out);
}

/* ---- a second process with its key ---- */

/* Time has passed, or a link is gone: accepts a held-back HELLO if the first process is given
 * up. */
static void look_at_twin(struct members *m, int i, const struct sink *out)
{
    struct twin t;
    if (!twin_look(m, i, &t, out)) return;
    struct hello h = {.seen = t.seen, .record = bytes_of(t.record, t.count), .life = t.life};
    if (greet(m, i, t.link, &h, out)) return;
    contact_hang_up(m, t.link, CLOSE_PROTOCOL, "its HELLO holds no PEER record of its own", out);
    contact_refuse(m, t.link);
}

void members_link_down(struct members *m, link_id link, uint32_t code, instant now,
                       const struct sink *out)
{
    m->now = now;
    int i = members_by_link(m, link);
    stranger_forget(m, link);
    if (i == NOBODY) return;
    contact_forget(m, link);
    look_at_twin(m, i, out);
    if (!member_any_link(&m->members[i])) contact_ended(m, i, code, out);
}

/* Its ticket has ended or was revoked: it is out, and hears why. */
static void look_at_ticket(struct members *m, int i, const struct sink *out)
{
    struct member *p = &m->members[i];
    enum ticket_fault f = access_over(m, p);
    char story[TICKET_STORY_BYTES];
    if (!f) return;
    (void)ticket_story(f, &p->ticket, story);
    if (member_live(p)) {
        contact_note(p->id, "ticket_over", "why", story, out);
        member_lose(m, i, HEALTH_DEAD, out);
        p->lingers = f == TICKET_REVOKED ? instant_after(m->now, REVOKED_LINGER) : m->now;
        /* Nobody will be linked to it any more soon. */
        if (f == TICKET_REVOKED) member_say_record(m, i, &m->revoked, out);
    }
    if (m->now.ns < p->lingers.ns) return;
    for (int j = 0; j < MEMBER_LINKS; j++)
        if (p->links[j].link != LINK_NONE && p->links[j].greeted)
            contact_turn_away(m, i, p->links[j].link, CLOSE_REFUSED, story, out);
}

void hello_tick(struct members *m, const struct sink *out)
{
    contact_tick(m, out);
    for (int i = 0; i < MEMBERS_MAX; i++) {
        if (!m->members[i].used) continue;
        look_at_ticket(m, i, out);
        if (!m->members[i].used) continue;
        contact_look(m, i, out);
        look_at_twin(m, i, out);
        doubles_look(m, i, out);
        contact_dial(m, i, out);
    }
}

/* ---- where I am seen ---- */

void members_moved(struct members *m, link_id link, const struct address *a, instant now,
                   const struct sink *out)
{
    m->now = now;
    int i = members_by_link(m, link);
    if (i == NOBODY) return;
    m->members[i].observed = *a;
    seen_tell(m, link, a, out);
}

bool members_seen(struct members *m, link_id link, struct bytes body, instant now)
{
    m->now = now;
    int i = members_by_link(m, link);
    struct reader r = reader_init(body);
    struct address a;
    if (!wire_read_address(&r, &a)) return false;
    if (i != NOBODY && link == member_link(m, i)) seen_by(m, i, &a);
    return true;
}
