#include "member_sync.h"

#include <assert.h>

#include "member_push.h"
#include "member_record.h"
#include "member_table.h"
#include "wire.h"

/* SPEC.md, "Membership". */
#define SYNC_PATIENCE  span_s(10)
#define SYNC_REPLY_MAX (24 << 10)
#define SYNC_ENTRY     (8 + 1 + 12)
#define SYNC_ENTRIES   (MEMBERS_MAX * STORED_COUNT + STORED_COUNT + 1)

static const enum record_kind kind_of[STORED_COUNT] = {RECORD_PEER, RECORD_PROGRESS, RECORD_LEAVE,
                                                       RECORD_REACH};

struct entry {
    sid sid;
    uint8_t kind;
    struct version version;
};

static const struct stored *stored_of(const struct members *m, sid s, uint8_t kind)
{
    if (kind == RECORD_REVOKED) return m->config.ticket_key ? &m->revoked : NULL;
    for (int k = 0; k < STORED_COUNT; k++) {
        if (kind_of[k] != kind) continue;
        if (s == m->self) return &m->mine[k];
        int i = members_find(m, s);
        return i != NOBODY && m->members[i].known ? &m->members[i].stored[k] : NULL;
    }
    return NULL;
}

static void write_entry(struct writer *w, sid s, enum record_kind kind, const struct stored *stored,
                        uint16_t *count)
{
    if (stored->count == 0) return;
    writer_u64(w, s);
    writer_u8(w, (uint8_t)kind);
    writer_u64(w, stored->version.incarnation);
    writer_u32(w, stored->version.seq);
    (*count)++;
}

/* Sends SYNC: the versions that I hold. */
static void ask_sync(struct members *m, int i, const struct sink *out)
{
    uint8_t room[3 + SYNC_ENTRY * SYNC_ENTRIES];
    struct writer w = writer_init(room + 3, sizeof room - 3);
    uint16_t count = 0;
    write_entry(&w, 0, RECORD_REVOKED, &m->revoked, &count);
    for (int k = 0; k < STORED_COUNT; k++)
        write_entry(&w, m->self, kind_of[k], &m->mine[k], &count);
    for (int j = 0; j < MEMBERS_MAX; j++) {
        const struct member *p = &m->members[j];
        for (int k = 0; p->used && p->known && k < STORED_COUNT; k++)
            write_entry(&w, p->sid, kind_of[k], &p->stored[k], &count);
    }
    struct writer head = writer_init(room, 3);
    writer_u8(&head, WIRE_SYNC);
    writer_u16(&head, count);
    assert(!w.full);
    struct action a = {.kind = ACTION_REQUEST,
                       .peer = m->members[i].sid,
                       .link = member_link(m, i),
                       .ticket = ++m->tickets,
                       .bytes = bytes_of(room, 3 + w.used)};
    m->ticket = a.ticket;
    m->sync_with = i;
    m->sync_until = instant_after(m->now, SYNC_PATIENCE);
    sink_act(out, &a);
}

static bool read_entries(struct reader *r, struct entry *out, uint16_t *count)
{
    *count = reader_u16(r);
    if (*count > SYNC_ENTRIES) return false;
    for (uint16_t j = 0; j < *count; j++) {
        out[j].sid = reader_u64(r);
        out[j].kind = reader_u8(r);
        out[j].version.incarnation = reader_u64(r);
        out[j].version.seq = reader_u32(r);
    }
    return !r->bad;
}

/* Packs my record when the peer's entry for it is older or missing. */
static void pack_newer(struct members *m, sid s, enum record_kind kind, const struct stored *mine,
                       const struct entry *theirs, uint16_t count, struct writer *w)
{
    if (mine->count == 0) return;
    for (uint16_t j = 0; j < count; j++)
        if (theirs[j].sid == s && theirs[j].kind == kind &&
            !version_newer(mine->version, theirs[j].version))
            return;
    (void)record_pack(w, member_age_ms(mine, m->now), member_stored_bytes(mine));
}

void members_sync(struct members *m, link_id link, uint64_t ticket, struct bytes request,
                  instant now, const struct sink *out)
{
    m->now = now;
    struct entry theirs[SYNC_ENTRIES];
    uint16_t count = 0, wants = 0;
    uint8_t room[SYNC_REPLY_MAX];
    struct reader r = reader_init(request);
    struct action a = {.kind = ACTION_REPLY, .link = link, .ticket = ticket};
    int from = members_by_link(m, link);
    if (from != NOBODY) a.peer = m->members[from].sid;
    (void)reader_u8(&r);
    if (from != NOBODY && read_entries(&r, theirs, &count)) {
        struct writer w = writer_init(room + 2, sizeof room - 2);
        for (uint16_t j = 0; j < count; j++) { /* the records I want */
            const struct stored *s = stored_of(m, theirs[j].sid, theirs[j].kind);
            bool unknown = theirs[j].sid && theirs[j].sid != m->self &&
                           members_find(m, theirs[j].sid) == NOBODY;
            if (unknown || (s && member_fresh(s, theirs[j].version))) {
                writer_u64(&w, theirs[j].sid);
                writer_u8(&w, theirs[j].kind);
                wants++;
            }
        }
        pack_newer(m, 0, RECORD_REVOKED, &m->revoked, theirs, count, &w);
        for (int k = 0; k < STORED_COUNT; k++)
            pack_newer(m, m->self, kind_of[k], &m->mine[k], theirs, count, &w);
        for (int i = 0; i < MEMBERS_MAX; i++)
            for (int k = 0; m->members[i].used && m->members[i].known && k < STORED_COUNT; k++)
                pack_newer(m, m->members[i].sid, kind_of[k], &m->members[i].stored[k], theirs,
                           count, &w);
        struct writer head = writer_init(room, 2);
        writer_u16(&head, wants);
        a.bytes = bytes_of(room, 2 + w.used);
    }
    sink_act(out, &a);
}

/* The records that a SYNC reply asked for, as GOSSIP frames. */
static void send_wanted(struct members *m, int i, struct reader *wants, uint16_t count,
                        const struct sink *out)
{
    uint8_t room[SYNC_REPLY_MAX];
    struct writer w = writer_init(room, sizeof room);
    for (uint16_t j = 0; j < count; j++) {
        sid s = reader_u64(wants);
        const struct stored *stored = stored_of(m, s, reader_u8(wants));
        if (stored && stored->count)
            (void)record_pack(&w, member_age_ms(stored, m->now), member_stored_bytes(stored));
    }
    struct action a = {.kind = ACTION_FRAME,
                       .peer = m->members[i].sid,
                       .link = member_link(m, i),
                       .type = WIRE_GOSSIP,
                       .bytes = writer_bytes(&w)};
    if (a.link != LINK_NONE && w.used) sink_act(out, &a);
}

void members_synced(struct members *m, bool ok, struct bytes reply, instant now,
                    const struct sink *out)
{
    m->now = now;
    int i = m->sync_with;
    m->ticket = 0;
    if (!ok || reply.count == 0 || !m->members[i].used) return;
    struct reader r = reader_init(reply);
    uint16_t wants = reader_u16(&r);
    struct bytes wanted = reader_bytes(&r, (size_t)wants * 9);
    if (r.bad || wants > SYNC_ENTRIES) return;
    struct reader list = reader_init(wanted);
    send_wanted(m, i, &list, wants, out);
    m->members[i].differs = false;
    (void)member_absorb_all(m, &r, i, out);
}

void member_sync_someone(struct members *m, const struct sink *out)
{
    int found[MEMBERS_MAX], count = 0;
    for (int i = 0; i < MEMBERS_MAX; i++)
        if (m->members[i].used && m->members[i].differs && member_link(m, i) != LINK_NONE)
            found[count++] = i;
    if (count == 0) return;
    ask_sync(m, found[rng_below(&m->rng, (uint64_t)count)], out);
}
