#include "member.h"

#include <assert.h>

#include "contact.h"
#include "listed.h"
#include "unreachable.h"
#include "twin.h"

/* Constants of SPEC.md, "Membership". */
#define PROBE_PERIOD   span_s(1)
#define PROBE_PATIENCE span_s(3) /* times local health */
#define SYNC_PERIOD    span_s(5)
#define SYNC_PATIENCE  span_s(10)
#define FLUSH_DELAY    span_ms(20)
#define LEASE          span_s(120)
#define TELL_PERIOD    span_s(1)
#define CLONE_PERIOD   span_s(10)
#define LATE           span_ms(250)
#define FANOUT         3
#define HEALTH_WORST   8
#define SYNC_REPLY_MAX (24 << 10)
#define SYNC_ENTRY     (8 + 1 + 12)
#define SYNC_ENTRIES   (MEMBERS_MAX * STORED_COUNT + STORED_COUNT)

static const enum record_kind kind_of[STORED_COUNT] = {RECORD_PEER, RECORD_PROGRESS, RECORD_LEAVE,
                                                       RECORD_REACH};

/* ---- looking ---- */

int members_find(const struct members *m, sid s)
{
    for (int i = 0; i < MEMBERS_MAX; i++)
        if (m->members[i].used && m->members[i].sid == s) return i;
    return NOBODY;
}

int members_by_id(const struct members *m, const uint8_t id[CRYPTO_KEY_BYTES])
{
    int i = members_find(m, wire_sid(id));
    return i >= 0 && memcmp(m->members[i].id, id, CRYPTO_KEY_BYTES) == 0 ? i : NOBODY;
}

bool member_live(const struct member *p)
{
    return p->used && p->known && (p->health == HEALTH_ALIVE || p->health == HEALTH_SUSPECT);
}

span member_progress_age(const struct member *p, instant now)
{
    const struct stored *s = &p->stored[STORED_PROGRESS];
    return span_ns(instant_since(now, s->at).ns + span_ms(s->age_ms).ns);
}

const struct record_reach *members_reach(const struct members *m, int member)
{
    if (member == NOBODY) return &m->reach;
    const struct member *p = &m->members[member];
    bool said = p->stored[STORED_REACH].count && p->reach.version.incarnation == p->incarnation;
    return said ? &p->reach : NULL;
}

uint32_t members_live(const struct members *m)
{
    uint32_t n = 1;
    for (int i = 0; i < MEMBERS_MAX; i++) n += member_live(&m->members[i]);
    return n;
}

struct address members_address(const struct members *m)
{
    return m->me.addresses_count ? m->me.addresses[0] : (struct address){0};
}

void members_tell(struct members *m, enum member_news kind, int member)
{
    if (m->news_count == NEWS_MAX) return; /* nobody reads; the states say the same */
    uint32_t at = (m->news_first + m->news_count++) % NEWS_MAX;
    m->news[at].kind = kind;
    m->news[at].member = member;
}

bool members_news(struct members *m, enum member_news *kind, int *member)
{
    if (m->news_count == 0) return false;
    *kind = m->news[m->news_first].kind;
    *member = m->news[m->news_first].member;
    m->news_first = (m->news_first + 1) % NEWS_MAX;
    m->news_count--;
    return true;
}

static void note(const struct sink *out, const char *name, const struct member *p, const char *key,
                 uint64_t value)
{
    struct action a = {.kind = ACTION_NOTE, .text = name};
    a.note.hex.key = "peer";
    a.note.hex.value = bytes_of(p->id, sizeof p->id);
    a.note.numbers[0].key = key;
    a.note.numbers[0].value = value;
    sink_act(out, &a);
}

/* ---- sending ---- */

static void send_datagram(struct members *m, int member, const struct writer *w,
                          const struct sink *out)
{
    struct action a = {.kind = ACTION_DATAGRAM,
                       .peer = m->members[member].sid,
                       .link = member_link(m, member),
                       .bytes = writer_bytes(w)};
    if (a.link != LINK_NONE) sink_act(out, &a);
}

static uint32_t age_ms(const struct stored *s, instant now)
{
    uint64_t age = span_in_ms(instant_since(now, s->at)) + s->age_ms;
    return age > UINT32_MAX ? UINT32_MAX : (uint32_t)age;
}

static struct bytes stored_bytes(const struct stored *s) { return bytes_of(s->bytes, s->count); }

/* Everything that is to go to this member, as far as it fits. True when something is left. */
static bool pack_for(struct members *m, int member, struct writer *w)
{
    uint64_t bit = (uint64_t)1 << member;
    bool left = false;
    for (int i = -1; i < MEMBERS_MAX; i++) {
        if (i >= 0 && !m->members[i].used) continue;
        for (int k = 0; k < STORED_COUNT; k++) {
            struct stored *s = i < 0 ? &m->mine[k] : &m->members[i].stored[k];
            if (!(s->push & bit)) continue;
            if (!record_pack(w, age_ms(s, m->now), stored_bytes(s))) left = true;
            else s->push &= ~bit;
        }
        for (uint32_t j = 0; i >= 0 && j < m->members[i].accusers_count; j++) {
            uint64_t *push = &m->members[i].accusers[j].push;
            if (!(*push & bit)) continue;
            if (!record_pack(w, 0, bytes_of(m->members[i].accusers[j].bytes, RECORD_SUSPECT_BYTES)))
                left = true;
            else *push &= ~bit;
        }
    }
    return left;
}

static uint64_t pushed_to(const struct members *m)
{
    uint64_t all = 0;
    for (int i = -1; i < MEMBERS_MAX; i++) {
        if (i >= 0 && !m->members[i].used) continue;
        for (int k = 0; k < STORED_COUNT; k++)
            all |= i < 0 ? m->mine[k].push : m->members[i].stored[k].push;
        for (uint32_t j = 0; i >= 0 && j < m->members[i].accusers_count; j++)
            all |= m->members[i].accusers[j].push;
    }
    return all;
}

static void forget_pushes(struct members *m, int member)
{
    uint64_t keep = ~((uint64_t)1 << member);
    for (int i = -1; i < MEMBERS_MAX; i++) {
        for (int k = 0; k < STORED_COUNT; k++)
            (i < 0 ? &m->mine[k] : &m->members[i].stored[k])->push &= keep;
        for (uint32_t j = 0; i >= 0 && j < m->members[i].accusers_count; j++)
            m->members[i].accusers[j].push &= keep;
    }
}

/* Sends what is to be pushed, in as few datagrams as it takes. */
static void flush(struct members *m, const struct sink *out)
{
    uint64_t all = pushed_to(m);
    m->flush_at = INSTANT_NEVER;
    for (int i = 0; i < MEMBERS_MAX; i++) {
        if (!(all >> i & 1)) continue;
        if (member_link(m, i) == LINK_NONE) {
            forget_pushes(m, i); /* it will ask, when it can be reached */
            continue;
        }
        bool left = true;
        while (left) {
            uint8_t room[WIRE_DATAGRAM_MAX];
            struct writer w = writer_init(room, sizeof room);
            writer_u8(&w, WIRE_GOSSIP);
            left = pack_for(m, i, &w);
            send_datagram(m, i, &w, out);
        }
    }
}

static void flush_soon(struct members *m)
{
    m->flush_at = instant_min(m->flush_at, instant_after(m->now, FLUSH_DELAY));
}

static uint64_t linked_mask(const struct members *m)
{
    uint64_t mask = 0;
    for (int i = 0; i < MEMBERS_MAX; i++)
        if (m->members[i].used && member_link(m, i) != LINK_NONE) mask |= (uint64_t)1 << i;
    return mask;
}

/* FANOUT of those linked, chosen by chance, without the ones excluded. */
static uint64_t some_linked(struct members *m, uint64_t excluded)
{
    uint64_t left = linked_mask(m) & ~excluded, chosen = 0;
    for (int n = 0; n < FANOUT && left; n++) {
        uint64_t which = rng_below(&m->rng, (uint64_t)__builtin_popcountll(left));
        uint64_t rest = left;
        while (which-- > 0) rest &= rest - 1;
        uint64_t bit = rest & ~(rest - 1);
        chosen |= bit;
        left &= ~bit;
    }
    return chosen;
}

static uint64_t bit_of(int member) { return member < 0 ? 0 : (uint64_t)1 << member; }

/* ---- my own records ---- */

static void keep_mine(struct members *m, enum stored_kind k, const struct record *r,
                      struct version v)
{
    struct stored *s = &m->mine[k];
    s->count = (uint16_t)record_write(m->config.crypto, m->config.run_id, r, s->bytes);
    s->version = v;
    s->at = m->now;
    s->age_ms = 0;
    s->push = linked_mask(m);
    if (s->push) flush_soon(m);
}

static struct version next_version(struct members *m)
{
    return (struct version){m->incarnation, ++m->seq};
}

void members_publish_peer(struct members *m)
{
    struct record r = {.kind = RECORD_PEER, .peer = m->me};
    m->me.version = r.peer.version = next_version(m);
    keep_mine(m, STORED_PEER, &r, r.peer.version);
}

static void publish_progress(struct members *m)
{
    struct record r = {.kind = RECORD_PROGRESS, .progress = m->progress};
    r.progress.sid = m->self;
    r.progress.version = next_version(m);
    keep_mine(m, STORED_PROGRESS, &r, r.progress.version);
}

void members_publish_reach(struct members *m)
{
    struct record r = {.kind = RECORD_REACH, .reach = m->reach};
    r.reach.sid = m->self;
    r.reach.version = next_version(m);
    keep_mine(m, STORED_REACH, &r, r.reach.version);
}

void members_publish(struct members *m, const struct record_progress *mine, instant now,
                     const struct sink *out)
{
    m->now = now;
    m->progress = *mine;
    m->published = true;
    publish_progress(m);
    flush(m, out);
}

/* Above every incarnation of mine that others have heard of. */
static void outgrow(struct members *m, uint64_t incarnation)
{
    if (incarnation >= m->incarnation && incarnation < UINT64_MAX - 1)
        m->incarnation = incarnation + 1;
    members_publish_peer(m);
    if (m->published) publish_progress(m);
    if (m->mine[STORED_REACH].count) members_publish_reach(m);
}

/* A record with my signature that I have not made in this life, and newer than mine: another process has my key, or
 * my clock went back. Rising above it settles the second; the first is for a person to end. */
static void meet_self(struct members *m, struct version v, const struct sink *out)
{
    struct version mine = {m->incarnation, m->seq};
    if (!version_newer(v, mine) || m->now.ns < m->clone_at.ns) return;
    m->clone_at = instant_after(m->now, CLONE_PERIOD);
    struct action a = {.kind = ACTION_NOTE, .text = "clone"};
    a.note.numbers[0].key = "incarnation";
    a.note.numbers[0].value = v.incarnation;
    a.note.hex.key = "peer";
    a.note.hex.value = bytes_of(m->config.id, CRYPTO_KEY_BYTES);
    sink_act(out, &a);
    outgrow(m, v.incarnation);
}

/* ---- health of others ---- */

static void clear_suspicion(struct member *p)
{
    p->accusers_count = 0;
    p->suspected_incarnation = 0;
}

static void revive(struct members *m, int i, const struct sink *out)
{
    struct member *p = &m->members[i];
    const char *name = p->health == HEALTH_SUSPECT ? "refuted" : "up";
    if (p->health != HEALTH_SUSPECT && !contact_any(p)) p->dial_at = m->now;
    p->health = HEALTH_ALIVE;
    clear_suspicion(p);
    note(out, name, p, "incarnation", p->incarnation);
    members_tell(m, NEWS_CHANGED, i);
}

static void lose(struct members *m, int i, enum peer_health how, const struct sink *out)
{
    struct member *p = &m->members[i];
    p->health = how;
    p->gone = m->now;
    p->nonce = 0;
    p->suspected_incarnation = p->incarnation;
    p->accusers_count = 0;
    note(out, how == HEALTH_LEFT ? "left" : "dead", p, "incarnation", p->incarnation);
    members_tell(m, NEWS_GONE, i);
    contact_drop(m, i, how == HEALTH_LEFT ? CLOSE_OK : CLOSE_DEAD, out);
}

/* Lifeguard: patience shrinks with the number of accusers, from T_max to T_min, as their logarithm. Rows: how many
 * could accuse, 1 .. ACCUSERS_MAX. */
static span suspicion_patience(uint32_t accusers, uint32_t possible)
{
    static const uint32_t ms[ACCUSERS_MAX][ACCUSERS_MAX] = {
        {10000, 10000, 10000, 10000},
        {60000, 10000, 10000, 10000},
        {60000, 28454, 10000, 10000},
        {60000, 35000, 20376, 10000},
    };
    assert(accusers >= 1);
    if (possible < 1) possible = 1;
    if (possible > ACCUSERS_MAX) possible = ACCUSERS_MAX;
    if (accusers > ACCUSERS_MAX) accusers = ACCUSERS_MAX;
    return span_ms(ms[possible - 1][accusers - 1]);
}

static instant suspicion_ends(const struct members *m, const struct member *p)
{
    uint32_t possible = 1; /* me, and all who are not suspected themselves */
    for (int i = 0; i < MEMBERS_MAX; i++)
        possible += member_live(&m->members[i]) && m->members[i].health == HEALTH_ALIVE;
    return instant_after(p->suspected, suspicion_patience(p->accusers_count, possible));
}

static void probe(struct members *m, int i);

/* Takes an accusation of the present incarnation; `from` sent it (NOBODY: me). False when it says nothing new. */
static bool accused(struct members *m, int i, sid accuser, uint64_t incarnation,
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
        note(out, "suspect", p, "incarnation", incarnation);
        members_tell(m, NEWS_CHANGED, i);
    }
    uint32_t j = p->accusers_count++;
    p->accusers[j].accuser = accuser;
    memcpy(p->accusers[j].bytes, bytes, RECORD_SUSPECT_BYTES);
    uint64_t target = member_link(m, i) == LINK_NONE ? 0 : bit_of(i);
    p->accusers[j].push =
        some_linked(m, bit_of(from) | bit_of(members_find(m, accuser)) | bit_of(i)) | target;
    flush_soon(m);
    if (first && from != NOBODY) probe(m, i); /* verify the rumour */
    return true;
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
    (void)accused(m, i, m->self, p->incarnation, bytes, NOBODY, out);
}

/* Whoever is suspected or dead and still speaks must know, to refute: its accusation, or, for one that left, its own
 * goodbye. */
static void tell_suspect(struct members *m, int i, const struct sink *out)
{
    struct member *p = &m->members[i];
    if (!p->known || p->health == HEALTH_ALIVE ||
        m->now.ns < instant_after(p->told, TELL_PERIOD).ns)
        return;
    p->told = m->now;
    uint8_t room[WIRE_DATAGRAM_MAX], made[RECORD_BYTES_MAX];
    struct writer w = writer_init(room, sizeof room);
    writer_u8(&w, WIRE_GOSSIP);
    struct bytes record = bytes_of(p->accusers[0].bytes, RECORD_SUSPECT_BYTES);
    if (p->health == HEALTH_LEFT && p->stored[STORED_LEAVE].count) {
        record = stored_bytes(&p->stored[STORED_LEAVE]);
    } else if (p->accusers_count == 0) {
        struct record r = {
            .kind = RECORD_SUSPECT,
            .suspect = {.accuser = m->self, .target = p->sid, .incarnation = p->incarnation}};
        record = bytes_of(made, record_write(m->config.crypto, m->config.run_id, &r, made));
    }
    (void)record_pack(&w, 0, record);
    send_datagram(m, i, &w, out);
}

/* ---- records of others ---- */

static bool fresh(const struct stored *s, struct version v)
{
    return s->count == 0 || version_newer(v, s->version);
}

static void keep(struct members *m, int i, enum stored_kind k, struct version v, uint32_t age,
                 struct bytes bytes, int from)
{
    struct member *p = &m->members[i];
    struct stored *s = &p->stored[k];
    memcpy(s->bytes, bytes.data, bytes.count);
    s->count = (uint16_t)bytes.count;
    s->version = v;
    s->at = m->now;
    s->age_ms = age;
    /* Progress comes from its writer to all who have a link to it; the others learn it by SYNC. */
    s->push = k == STORED_PROGRESS ? 0 : some_linked(m, bit_of(from) | bit_of(i));
    if (s->push) flush_soon(m);
    uint64_t ago = span_ms(age).ns;
    instant when = {m->now.ns > ago ? m->now.ns - ago : 0};
    p->heard = instant_max(p->heard, when);
    if (v.incarnation > p->incarnation) p->incarnation = v.incarnation;
}

/* An incarnation above the one that is suspected, dead or gone brings it back, unless it is old news itself. */
static void reconsider(struct members *m, int i, const struct sink *out)
{
    struct member *p = &m->members[i];
    if (p->health == HEALTH_ALIVE || p->incarnation <= p->suspected_incarnation) return;
    if (instant_since(m->now, p->heard).ns > LEASE.ns) return;
    if (!member_live(p) && members_live(m) >= NODE_GROUP_MAX) return;
    revive(m, i, out);
}

static int room_for(struct members *m)
{
    int oldest = NOBODY;
    for (int i = 0; i < MEMBERS_MAX; i++) {
        struct member *p = &m->members[i];
        if (!p->used) return i;
        if (p->dialling || contact_any(p) || member_live(p)) continue;
        if (oldest == NOBODY || p->gone.ns < m->members[oldest].gone.ns) oldest = i;
    }
    if (oldest != NOBODY) forget_pushes(m, oldest);
    return oldest;
}

int members_add(struct members *m, const uint8_t id[CRYPTO_KEY_BYTES])
{
    if (wire_sid(id) == 0 || members_find(m, wire_sid(id)) != NOBODY) return NOBODY;
    int i = room_for(m);
    if (i == NOBODY) return NOBODY;
    m->members[i] = (struct member){.used = true,
                                    .sid = wire_sid(id),
                                    .health = HEALTH_DEAD,
                                    .gone = m->now,
                                    .listed = listed_place(m, id),
                                    .dial_at = INSTANT_NEVER,
                                    .unreached = REACH_REASONS};
    memcpy(m->members[i].id, id, CRYPTO_KEY_BYTES);
    return i;
}

void members_remove(struct members *m, int i)
{
    assert(!m->members[i].known && !contact_any(&m->members[i]));
    forget_pushes(m, i);
    m->members[i].used = false;
}

static bool same_addresses(const struct record_peer *a, const struct record_peer *b)
{
    if (a->addresses_count != b->addresses_count) return false;
    for (size_t j = 0; j < a->addresses_count; j++)
        if (!address_equal(&a->addresses[j], &b->addresses[j])) return false;
    return true;
}

static bool absorb_peer(struct members *m, const struct record_peer *r, uint32_t age,
                        struct bytes bytes, int from, const struct sink *out)
{
    int i = members_find(m, wire_sid(r->id));
    if (i != NOBODY && memcmp(m->members[i].id, r->id, CRYPTO_KEY_BYTES) != 0) return true;
    if (i != NOBODY && !fresh(&m->members[i].stored[STORED_PEER], r->version)) return true;
    if (!record_verify(m->config.crypto, m->config.run_id, bytes, r->id)) return false;
    bool full = members_live(m) >= NODE_GROUP_MAX;
    if (i == NOBODY) {
        if (full) return true;
        i = members_add(m, r->id);
        if (i == NOBODY) return true;
    }
    struct member *p = &m->members[i];
    if (!p->known && full) return true;
    bool moved = !same_addresses(&p->peer, r);
    p->peer = *r;
    p->known = true;
    keep(m, i, STORED_PEER, r->version, age, bytes, from);
    reconsider(m, i, out);
    if (moved)
        contact_learned(m, i); /* often the first record names none: its writer knew none yet */
    return true;
}

static bool absorb_progress(struct members *m, const struct record_progress *r, uint32_t age,
                            struct bytes bytes, int from, const struct sink *out)
{
    int i = members_find(m, r->sid);
    if (i == NOBODY || !m->members[i].known) return true; /* its PEER comes first */
    struct member *p = &m->members[i];
    if (!fresh(&p->stored[STORED_PROGRESS], r->version)) return true;
    if (!record_verify(m->config.crypto, m->config.run_id, bytes, p->id)) return false;
    p->progress = *r;
    keep(m, i, STORED_PROGRESS, r->version, age, bytes, from);
    reconsider(m, i, out);
    members_tell(m, NEWS_PROGRESS, i);
    return true;
}

static bool absorb_leave(struct members *m, const struct record_leave *r, uint32_t age,
                         struct bytes bytes, int from, const struct sink *out)
{
    int i = members_find(m, r->sid);
    if (i == NOBODY || !m->members[i].known) return true;
    struct member *p = &m->members[i];
    if (!fresh(&p->stored[STORED_LEAVE], r->version)) return true;
    if (!record_verify(m->config.crypto, m->config.run_id, bytes, p->id)) return false;
    keep(m, i, STORED_LEAVE, r->version, age, bytes, from);
    if (r->version.incarnation >= p->incarnation && p->health != HEALTH_LEFT)
        lose(m, i, HEALTH_LEFT, out);
    return true;
}

static bool absorb_reach(struct members *m, const struct record_reach *r, uint32_t age,
                         struct bytes bytes, int from, const struct sink *out)
{
    int i = members_find(m, r->sid);
    if (i == NOBODY || !m->members[i].known) return true;
    struct member *p = &m->members[i];
    if (!fresh(&p->stored[STORED_REACH], r->version)) return true;
    if (!record_verify(m->config.crypto, m->config.run_id, bytes, p->id)) return false;
    bool changed = !unreachable_same(&p->reach, r);
    p->reach = *r;
    keep(m, i, STORED_REACH, r->version, age, bytes, from);
    reconsider(m, i, out);
    if (changed) note(out, "reach", p, "unreachable", r->count);
    return true;
}

static bool absorb_suspect(struct members *m, const struct record_suspect *r, struct bytes bytes,
                           int from, const struct sink *out)
{
    int accuser = members_find(m, r->accuser);
    if (accuser == NOBODY || !m->members[accuser].known) return true;
    int target = members_find(m, r->target);
    bool me = r->target == m->self;
    if (me && r->incarnation < m->incarnation && from != NOBODY)
        for (int k = 0; k < STORED_COUNT; k++) /* refuted already: it has not heard */
            if (m->mine[k].count) m->mine[k].push |= bit_of(from), flush_soon(m);
    if (me ? r->incarnation != m->incarnation
           : target == NOBODY || r->incarnation != m->members[target].incarnation)
        return true;
    if (!record_verify(m->config.crypto, m->config.run_id, bytes, m->members[accuser].id))
        return false;
    if (!me) {
        (void)accused(m, target, r->accuser, r->incarnation, bytes.data, from, out);
        return true;
    }
    if (m->health < HEALTH_WORST) m->health++;
    note(out, "accused", &m->members[accuser], "incarnation", m->incarnation);
    outgrow(m, m->incarnation);
    return true;
}

static struct version version_of(const struct record *r)
{
    switch (r->kind) {
    case RECORD_PEER:
        return r->peer.version;
    case RECORD_PROGRESS:
        return r->progress.version;
    case RECORD_LEAVE:
        return r->leave.version;
    case RECORD_REACH:
        return r->reach.version;
    case RECORD_SUSPECT:
        break;
    }
    return (struct version){0, 0};
}

/* Takes a record that `from` sent on. False when nobody who follows the protocol could have sent it. */
static bool absorb(struct members *m, uint32_t age, struct bytes bytes, int from,
                   const struct sink *out)
{
    struct record r;
    bool known_kind =
        bytes.count > 0 && bytes.data[0] >= RECORD_PEER && bytes.data[0] <= RECORD_REACH;
    if (!known_kind) return bytes.count > 0; /* of a later minor */
    if (!record_read(bytes, &r)) return false;
    if (record_writer(&r) == m->self) {
        if (version_newer(version_of(&r), (struct version){m->incarnation, m->seq}) &&
            record_verify(m->config.crypto, m->config.run_id, bytes, m->config.id))
            meet_self(m, version_of(&r), out);
        return true;
    }
    switch (r.kind) {
    case RECORD_PEER:
        return absorb_peer(m, &r.peer, age, bytes, from, out);
    case RECORD_PROGRESS:
        return absorb_progress(m, &r.progress, age, bytes, from, out);
    case RECORD_SUSPECT:
        return absorb_suspect(m, &r.suspect, bytes, from, out);
    case RECORD_LEAVE:
        return absorb_leave(m, &r.leave, age, bytes, from, out);
    case RECORD_REACH:
        return absorb_reach(m, &r.reach, age, bytes, from, out);
    }
    return true;
}

static bool absorb_all(struct members *m, struct reader *r, int from, const struct sink *out)
{
    uint32_t age;
    struct bytes record;
    bool good = true;
    while (good && record_unpack(r, &age, &record)) good = absorb(m, age, record, from, out);
    return good && !r->bad;
}

static void heard_from(struct members *m, int i, const struct sink *out)
{
    struct member *p = &m->members[i];
    p->heard = m->now;
    tell_suspect(m, i, out);
}

/* ---- messages ---- */

bool members_absorb_hello(struct members *m, int i, struct bytes record, const struct sink *out)
{
    struct record r;
    if (!record_read(record, &r) || r.kind != RECORD_PEER ||
        memcmp(r.peer.id, m->members[i].id, CRYPTO_KEY_BYTES) != 0)
        return false;
    return absorb(m, 0, record, i, out);
}

/* What a new neighbour has to know first; the rest it learns by SYNC. */
void members_greet(struct members *m, int i)
{
    struct member *p = &m->members[i];
    for (int k = 0; k < STORED_COUNT; k++)
        if (m->mine[k].count) m->mine[k].push |= bit_of(i);
    p->differs = true;
    m->sync_at = instant_min(m->sync_at, instant_after(m->now, FLUSH_DELAY));
    probe(m, i);
    flush_soon(m);
}

bool members_gossip(struct members *m, link_id link, struct bytes body, instant now,
                    const struct sink *out)
{
    m->now = now;
    int i = members_by_link(m, link);
    if (i == NOBODY) return true;
    struct reader r = reader_init(body);
    bool good = absorb_all(m, &r, i, out);
    if (m->members[i].used) heard_from(m, i, out);
    return good;
}

static uint64_t entry_digest(sid s, enum stored_kind k, struct version v)
{
    return rng_mix(rng_mix(rng_mix(s + (uint64_t)k) ^ v.incarnation) ^ v.seq);
}

/* What I hold, as one number: equal at two nodes that hold the same records. */
static uint64_t view_digest(const struct members *m)
{
    uint64_t d = 0;
    for (int k = 0; k < STORED_COUNT; k++)
        if (m->mine[k].count) d ^= entry_digest(m->self, (enum stored_kind)k, m->mine[k].version);
    for (int i = 0; i < MEMBERS_MAX; i++) {
        const struct member *p = &m->members[i];
        if (!p->used || !p->known || !(member_live(p) || p->health == HEALTH_LEFT)) continue;
        for (int k = 0; k < STORED_COUNT; k++)
            if (p->stored[k].count)
                d ^= entry_digest(p->sid, (enum stored_kind)k, p->stored[k].version);
    }
    return d;
}

static void send_ping(struct members *m, int i, uint8_t type, uint32_t nonce,
                      const struct sink *out)
{
    uint8_t room[WIRE_DATAGRAM_MAX];
    struct writer w = writer_init(room, sizeof room);
    writer_u8(&w, type);
    writer_u32(&w, nonce);
    writer_u64(&w, view_digest(m));
    if (pack_for(m, i, &w)) flush_soon(m);
    send_datagram(m, i, &w, out);
}

void members_ping(struct members *m, int i, uint32_t nonce, const struct sink *out)
{
    send_ping(m, i, WIRE_PING, nonce, out);
}

static void on_pong(struct members *m, int i, uint32_t nonce)
{
    struct member *p = &m->members[i];
    if (p->nonce == 0 || p->nonce != nonce) return;
    uint64_t ms = span_in_ms(instant_since(m->now, p->probed));
    if (p->tries <= 1) p->rtt_ms = ms > 60000 ? 60000 : (uint32_t)(ms ? ms : 1);
    p->nonce = 0;
    if (m->health > 1) m->health--;
}

void members_datagram(struct members *m, link_id link, struct bytes bytes, instant now,
                      const struct sink *out)
{
    m->now = now;
    int i = members_by_link(m, link);
    if (i == NOBODY || !contact_greeted(&m->members[i], link)) return;
    struct reader r = reader_init(bytes);
    uint8_t type = reader_u8(&r);
    uint32_t nonce = 0;
    uint64_t digest = 0;
    if (type == WIRE_PING || type == WIRE_PONG) {
        nonce = reader_u32(&r);
        digest = reader_u64(&r);
    } else if (type != WIRE_GOSSIP) {
        return;
    }
    if (r.bad || !absorb_all(m, &r, i, out) || !m->members[i].used) return;
    if (type != WIRE_GOSSIP) m->members[i].differs = digest != view_digest(m);
    if (type == WIRE_PONG) {
        on_pong(m, i, nonce);
        twin_pong(m, i, link, nonce, out);
    }
    if (type == WIRE_PING) send_ping(m, i, WIRE_PONG, nonce, out);
    heard_from(m, i, out);
}

/* ---- anti-entropy ---- */

struct entry {
    sid sid;
    uint8_t kind;
    struct version version;
};

static const struct stored *stored_of(const struct members *m, sid s, uint8_t kind)
{
    for (int k = 0; k < STORED_COUNT; k++) {
        if (kind_of[k] != kind) continue;
        if (s == m->self) return &m->mine[k];
        int i = members_find(m, s);
        return i != NOBODY && m->members[i].known ? &m->members[i].stored[k] : NULL;
    }
    return NULL;
}

static void write_entry(struct writer *w, sid s, int k, const struct stored *stored,
                        uint16_t *count)
{
    if (stored->count == 0) return;
    writer_u64(w, s);
    writer_u8(w, (uint8_t)kind_of[k]);
    writer_u64(w, stored->version.incarnation);
    writer_u32(w, stored->version.seq);
    (*count)++;
}

/* SYNC: what I hold. */
static void ask_sync(struct members *m, int i, const struct sink *out)
{
    uint8_t room[3 + SYNC_ENTRY * SYNC_ENTRIES];
    struct writer w = writer_init(room + 3, sizeof room - 3);
    uint16_t count = 0;
    for (int k = 0; k < STORED_COUNT; k++) write_entry(&w, m->self, k, &m->mine[k], &count);
    for (int j = 0; j < MEMBERS_MAX; j++) {
        const struct member *p = &m->members[j];
        for (int k = 0; p->used && p->known && k < STORED_COUNT; k++)
            write_entry(&w, p->sid, k, &p->stored[k], &count);
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

/* Packs my record when the other side's entry for it is older, or missing. */
static void pack_newer(struct members *m, sid s, int k, const struct stored *mine,
                       const struct entry *theirs, uint16_t count, struct writer *w)
{
    if (mine->count == 0) return;
    for (uint16_t j = 0; j < count; j++)
        if (theirs[j].sid == s && theirs[j].kind == kind_of[k] &&
            !version_newer(mine->version, theirs[j].version))
            return;
    (void)record_pack(w, age_ms(mine, m->now), stored_bytes(mine));
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
        for (uint16_t j = 0; j < count; j++) { /* what I want */
            const struct stored *s = stored_of(m, theirs[j].sid, theirs[j].kind);
            bool unknown = theirs[j].sid != m->self && members_find(m, theirs[j].sid) == NOBODY;
            if (unknown || (s && fresh(s, theirs[j].version))) {
                writer_u64(&w, theirs[j].sid);
                writer_u8(&w, theirs[j].kind);
                wants++;
            }
        }
        for (int k = 0; k < STORED_COUNT; k++)
            pack_newer(m, m->self, k, &m->mine[k], theirs, count, &w);
        for (int i = 0; i < MEMBERS_MAX; i++)
            for (int k = 0; m->members[i].used && m->members[i].known && k < STORED_COUNT; k++)
                pack_newer(m, m->members[i].sid, k, &m->members[i].stored[k], theirs, count, &w);
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
            (void)record_pack(&w, age_ms(stored, m->now), stored_bytes(stored));
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
    (void)absorb_all(m, &r, i, out);
}

static void sync_someone(struct members *m, const struct sink *out)
{
    int found[MEMBERS_MAX], count = 0;
    for (int i = 0; i < MEMBERS_MAX; i++)
        if (m->members[i].used && m->members[i].differs && member_link(m, i) != LINK_NONE)
            found[count++] = i;
    if (count == 0) return;
    ask_sync(m, found[rng_below(&m->rng, (uint64_t)count)], out);
}

/* ---- probing ---- */

/* Starts a probe at the next tick, unless one is under way. */
static void probe(struct members *m, int i)
{
    struct member *p = &m->members[i];
    if (p->nonce != 0 || member_link(m, i) == LINK_NONE) return;
    p->nonce = ++m->nonce ? m->nonce : ++m->nonce;
    p->probed = p->again = m->now;
    p->tries = 0;
}

static void probe_next(struct members *m)
{
    for (uint32_t n = 0; n < MEMBERS_MAX; n++) {
        int i = (int)(m->turn++ % MEMBERS_MAX);
        const struct member *p = &m->members[i];
        if (!p->used || p->nonce != 0 || member_link(m, i) == LINK_NONE) continue;
        probe(m, i);
        return;
    }
}

static void probe_tick(struct members *m, int i, const struct sink *out)
{
    static const uint32_t after_ms[] = {0, 250, 750, 1750}; /* transmissions since the first */
    struct member *p = &m->members[i];
    if (p->nonce == 0 || m->now.ns < p->again.ns) return;
    uint32_t sends = sizeof after_ms / sizeof *after_ms;
    if (p->tries < sends) {
        p->tries++;
        send_ping(m, i, WIRE_PING, p->nonce, out);
        p->again = p->tries < sends
                       ? instant_after(p->probed, span_ms(after_ms[p->tries]))
                       : instant_after(p->probed, span_ns(PROBE_PATIENCE.ns * m->health));
        p->again = instant_max(p->again, instant_after(m->now, span_ms(200)));
        return;
    }
    p->nonce = 0;
    if (p->heard.ns < p->probed.ns) members_accuse(m, i, out); /* nobody has heard of it since */
}

/* ---- time ---- */

static void health_tick(struct members *m, int i, const struct sink *out)
{
    struct member *p = &m->members[i];
    if (!member_live(p)) return;
    bool over = p->health == HEALTH_SUSPECT && m->now.ns >= suspicion_ends(m, p).ns;
    bool silent = m->now.ns >= instant_after(p->heard, LEASE).ns;
    if (over || silent) lose(m, i, HEALTH_DEAD, out);
}

void members_tick(struct members *m, instant now, const struct sink *out)
{
    m->now = now;
    if (now.ns >= m->probe_at.ns) {
        m->probe_at = instant_after(now, PROBE_PERIOD);
        probe_next(m);
    }
    if (m->ticket && now.ns >= m->sync_until.ns) m->ticket = 0;
    if (!m->ticket && now.ns >= m->sync_at.ns) {
        m->sync_at = instant_after(now, SYNC_PERIOD);
        sync_someone(m, out);
    }
    for (int i = 0; i < MEMBERS_MAX; i++) {
        if (!m->members[i].used) continue;
        probe_tick(m, i, out);
        health_tick(m, i, out);
    }
    contact_tick(m, out);
    unreachable_tick(m);
    if (now.ns >= m->flush_at.ns) flush(m, out);
}

instant members_due(const struct members *m)
{
    instant due = instant_min(m->probe_at, m->flush_at);
    due = instant_min(due, m->ticket ? m->sync_until : m->sync_at);
    due = instant_min(due, m->reach_at);
    for (int i = 0; i < MEMBERS_MAX; i++) {
        const struct member *p = &m->members[i];
        if (!p->used) continue;
        if (p->nonce) due = instant_min(due, p->again);
        if (!member_live(p)) continue;
        due = instant_min(due, instant_after(p->heard, LEASE));
        if (p->health == HEALTH_SUSPECT) due = instant_min(due, suspicion_ends(m, p));
    }
    return instant_min(due, contact_due(m));
}

void members_late(struct members *m, span late)
{
    if (late.ns < LATE.ns) return;
    if (m->health < HEALTH_WORST) m->health++;
    for (int i = 0; i < MEMBERS_MAX; i++) {
        struct member *p = &m->members[i];
        p->probed = instant_after(p->probed, late);
        if (p->nonce) p->again = instant_after(p->again, late);
        p->suspected = instant_after(p->suspected, late);
        if (p->used) p->heard = instant_after(p->heard, late);
    }
}

void members_leave(struct members *m, instant now, const struct sink *out)
{
    m->now = now;
    struct record r = {.kind = RECORD_LEAVE, .leave = {.sid = m->self}};
    r.leave.version = next_version(m);
    keep_mine(m, STORED_LEAVE, &r, r.leave.version);
    m->mine[STORED_LEAVE].push = 0;
    uint8_t room[RECORD_ENVELOPE_BYTES + RECORD_LEAVE_BYTES];
    struct writer w = writer_init(room, sizeof room);
    (void)record_pack(&w, 0, stored_bytes(&m->mine[STORED_LEAVE]));
    for (int i = 0; i < MEMBERS_MAX; i++) {
        struct action a = {.kind = ACTION_FRAME,
                           .peer = m->members[i].sid,
                           .link = m->members[i].used ? member_link(m, i) : LINK_NONE,
                           .type = WIRE_GOSSIP,
                           .bytes = writer_bytes(&w)};
        if (a.link != LINK_NONE) sink_act(out, &a);
    }
}

void members_init(struct members *m, const struct member_config *c, struct rng rng, instant now)
{
    *m = (struct members){.config = *c,
                          .self = wire_sid(c->id),
                          .rng = rng,
                          .now = now,
                          .incarnation = c->incarnation,
                          .health = 1,
                          .probe_at = instant_after(now, PROBE_PERIOD),
                          .flush_at = INSTANT_NEVER,
                          .reach_at = INSTANT_NEVER,
                          .sync_at = instant_after(now, SYNC_PERIOD),
                          .sync_with = NOBODY};
    memcpy(m->me.id, c->id, sizeof m->me.id);
    if (c->advertise.family) m->me.addresses[m->me.addresses_count++] = c->advertise;
    members_publish_peer(m);
    contact_init(m);
}
