#include "member_health.h"

#include <assert.h>

#include "member_push.h"
#include "member_table.h"
#include "wire.h"

#define TELL_PERIOD    span_s(1) /* SPEC.md, "Membership" */
#define SUSPECT_MIN_MS 10000
#define SUSPECT_MAX_MS 60000

static void clear_suspicion(struct member *p)
{
    p->accusers_count = 0;
    p->suspected_incarnation = 0;
}

void member_revive(struct members *m, int i, const struct sink *out)
{
    struct member *p = &m->members[i];
    const char *name = p->health == HEALTH_SUSPECT ? "refuted" : "up";
    if (p->health != HEALTH_SUSPECT && !member_any_link(p)) p->dial_at = m->now;
    p->health = HEALTH_ALIVE;
    clear_suspicion(p);
    member_note(out, name, p, "incarnation", p->incarnation);
    members_tell(m, NEWS_CHANGED, i);
}

void member_lose(struct members *m, int i, enum peer_health how, const struct sink *out)
{
    struct member *p = &m->members[i];
    p->health = how;
    p->gone = m->now;
    p->nonce = 0;
    p->suspected_incarnation = p->incarnation;
    p->accusers_count = 0;
    member_note(out, how == HEALTH_LEFT ? "left" : "dead", p, "incarnation", p->incarnation);
    members_tell(m, NEWS_GONE, i);
}

/* Lifeguard: the timeout falls with the number of accusers from T_max to T_min, along their
 * logarithm. Rows: number of possible accusers, 1 .. ACCUSERS_MAX. */
static span suspicion_patience(uint32_t accusers, uint32_t possible)
{
    static const uint32_t ms[ACCUSERS_MAX][ACCUSERS_MAX] = {
        {SUSPECT_MIN_MS, SUSPECT_MIN_MS, SUSPECT_MIN_MS, SUSPECT_MIN_MS},
        {SUSPECT_MAX_MS, SUSPECT_MIN_MS, SUSPECT_MIN_MS, SUSPECT_MIN_MS},
        {SUSPECT_MAX_MS, 28454, SUSPECT_MIN_MS, SUSPECT_MIN_MS},
        {SUSPECT_MAX_MS, 35000, 20376, SUSPECT_MIN_MS},
    };
    assert(accusers >= 1);
    if (possible < 1) possible = 1;
    if (possible > ACCUSERS_MAX) possible = ACCUSERS_MAX;
    if (accusers > ACCUSERS_MAX) accusers = ACCUSERS_MAX;
    return span_ms(ms[possible - 1][accusers - 1]);
}

instant member_suspicion_ends(const struct members *m, const struct member *p)
{
    uint32_t possible = 1; /* me, and all members that are not suspected themselves */
    for (int i = 0; i < MEMBERS_MAX; i++)
        possible += member_live(&m->members[i]) && m->members[i].health == HEALTH_ALIVE;
    return instant_after(p->suspected, suspicion_patience(p->accusers_count, possible));
}

bool member_accused(struct members *m, int i, sid accuser, uint64_t incarnation,
                    const uint8_t bytes[RECORD_SUSPECT_BYTES], int from, const struct sink *out)
{
    struct member *p = &m->members[i];
    if (!member_live(p) || incarnation != p->incarnation) return false;
    for (uint32_t j = 0; j < p->accusers_count; j++)
        if (p->accusers[j].accuser == accuser) return false;
    if (p->accusers_count == ACCUSERS_MAX) return false;
    bool first = p->health == HEALTH_ALIVE;
    if (first) {
        p->health = HEALTH_SUSPECT;
        p->suspected = m->now;
        p->suspected_incarnation = incarnation;
        member_note(out, "suspect", p, "incarnation", incarnation);
        members_tell(m, NEWS_CHANGED, i);
    }
    uint32_t j = p->accusers_count++;
    p->accusers[j].accuser = accuser;
    memcpy(p->accusers[j].bytes, bytes, RECORD_SUSPECT_BYTES);
    uint64_t target = member_link(m, i) == LINK_NONE ? 0 : member_bit(i);
    p->accusers[j].push =
        member_some_linked(m, member_bit(from) | member_bit(members_find(m, accuser)) |
                                  member_bit(i)) |
        target;
    member_flush_soon(m);
    return first;
}

void members_accuse(struct members *m, int i, const struct sink *out)
{
    struct member *p = &m->members[i];
    uint8_t bytes[RECORD_BYTES_MAX];
    struct record r = {
        .kind = RECORD_SUSPECT,
        .suspect = {.accuser = m->self, .target = p->sid, .incarnation = p->incarnation}};
    if (!member_live(p)) return;
    for (uint32_t j = 0; j < p->accusers_count; j++)
        if (p->accusers[j].accuser == m->self) return;
    (void)record_write(m->config.crypto, m->config.run_id, &r, bytes);
    (void)member_accused(m, i, m->self, p->incarnation, bytes, NOBODY, out);
}

void member_tell_suspect(struct members *m, int i, const struct sink *out)
{
    struct member *p = &m->members[i];
    if (!p->known || p->health == HEALTH_ALIVE ||
        m->now.ns < instant_after(p->told, TELL_PERIOD).ns)
        return;
    p->told = m->now;
    uint8_t room[LINK_DATAGRAM_BYTES_MAX], made[RECORD_BYTES_MAX];
    struct writer w = writer_init(room, sizeof room);
    writer_u8(&w, WIRE_GOSSIP);
    struct bytes record = bytes_of(p->accusers[0].bytes, RECORD_SUSPECT_BYTES);
    if (p->health == HEALTH_LEFT && p->stored[STORED_LEAVE].count) {
        record = member_stored_bytes(&p->stored[STORED_LEAVE]);
    } else if (p->accusers_count == 0) {
        struct record r = {
            .kind = RECORD_SUSPECT,
            .suspect = {.accuser = m->self, .target = p->sid, .incarnation = p->incarnation}};
        record = bytes_of(made, record_write(m->config.crypto, m->config.run_id, &r, made));
    }
    (void)record_pack(&w, 0, record);
    member_send(m, i, &w, out);
}

bool member_health_tick(struct members *m, int i, const struct sink *out)
{
    struct member *p = &m->members[i];
    if (!member_live(p)) return false;
    bool over = p->health == HEALTH_SUSPECT && m->now.ns >= member_suspicion_ends(m, p).ns;
    bool silent = m->now.ns >= instant_after(p->heard, MEMBER_LEASE).ns;
    if (over || silent) member_lose(m, i, HEALTH_DEAD, out);
    return over || silent;
}
