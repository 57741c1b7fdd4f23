/* Frames of matchmaking from three mates, whose signatures all hold, in any order and form: the
 * machine stays whole, signs one list an attempt, and commits only to a list that has its own name
 * in it.
 *
 * Input: for each event a byte that says which (mate, frame type, or a pause), a length and so many
 * bytes. */
#include <stdio.h>
#include <stdlib.h>

#include "swarm/match.h"
#include "swarm/wire.h"
#include "test/sim/standin.c"

static uint8_t signed_gid[65536][CRYPTO_DIGEST_BYTES];
static bool signed_in[65536];
static uint64_t signed_round;
static uint64_t committed; /* for a debugger: does it get that far? */

static void check(bool holds, const char *what)
{
    if (holds) return;
    fprintf(stderr, "match_fuzz: %s\n", what);
    abort();
}

static bool verify_all(void *self, const uint8_t *key, struct bytes message,
                       const uint8_t *signature)
{
    (void)self, (void)key, (void)message, (void)signature;
    return true;
}

static void act(void *self, struct action *a)
{
    (void)self;
    if (a->kind != ACTION_FRAME || a->type != WIRE_ACCEPT) return;
    struct reader r = reader_init(a->bytes);
    uint64_t round = reader_u64(&r);
    uint16_t attempt = reader_u16(&r);
    if (round != signed_round) memset(signed_in, 0, sizeof signed_in);
    signed_round = round;
    struct bytes gid = reader_bytes(&r, CRYPTO_DIGEST_BYTES);
    check(!r.bad, "a short ACCEPT");
    check(!signed_in[attempt] || !memcmp(signed_gid[attempt], gid.data, gid.count),
          "two lists signed in one attempt");
    signed_in[attempt] = true;
    memcpy(signed_gid[attempt], gid.data, gid.count);
}

static void check_group(const struct match *m)
{
    if (m->state != MATCH_LOCKED && m->state != MATCH_COMMITTED) return;
    check(m->group.count >= 1 && m->group.count <= NODE_GROUP_MAX, "the size of a group");
    check(m->group.members[m->group.self].sid == m->self, "a group without me");
    for (uint32_t i = 1; i < m->group.count; i++)
        check(m->group.members[i - 1].sid < m->group.members[i].sid, "the order of members");
}

/* Fills in what no chance would find: the round, the attempt, the latest gid, who speaks, and in
 * `how` & 4 the list that the machine itself proposes. The rest stays as the input has it. */
static size_t dress(const struct match *m, unsigned kind, sid who, unsigned how, uint8_t *room,
                    size_t count)
{
    struct writer w = writer_init(room, 512);
    if (kind == 0) { /* READY */
        writer_u16(&w, 74);
        writer_u64(&w, who);
        writer_u64(&w, 1 + (how & 2)); /* of one of two lives */
        writer_u64(&w, m->round);
        writer_u16(&w, (uint16_t)(m->attempt + (how >> 2)));
        writer_copy(&w, m->lineage, sizeof m->lineage);
        w.used += 8; /* tokens */
        room[w.used] |= 1;
        w.used += 16; /* weight, steps */
        room[w.used] |= 1;
        return count < 142 ? 142 : count;
    }
    writer_u64(&w, m->round);
    writer_u16(&w, m->attempt);
    if (kind == 1) return 15; /* NOTREADY */
    if (kind == 2) {          /* PROPOSE: who and me, or all */
        writer_u8(&w, (uint8_t)(how & 1));
        sid all[5] = {who, m->self}, count_all = 2;
        for (uint32_t i = 0; how & 4 && i < m->mates_count && count_all < 5; i++)
            if (m->mates[i].sid != who) all[count_all++] = m->mates[i].sid;
        writer_u16(&w, (uint16_t)count_all);
        for (sid last = 0; count_all-- > 0;) {
            sid next = UINT64_MAX;
            uint64_t hash = m->mine.hash;
            for (int i = 0; i < 5; i++)
                if (all[i] > last && all[i] < next) next = all[i];
            for (uint32_t i = 0; i < m->mates_count; i++)
                if (m->mates[i].sid == next) hash = m->mates[i].ready.hash;
            writer_u64(&w, last = next);
            writer_u64(&w, hash);
        }
        writer_u16(&w, 0);
        return w.used;
    }
    const uint8_t *gid =
        m->proposals_count ? m->proposals[m->proposals_count - 1].group.gid : m->group.gid;
    if (kind != 3) { /* of what was signed last, maybe an attempt ago */
        gid = m->group.gid;
        w.used -= 2;
        writer_u16(&w, m->group.attempt);
    }
    writer_copy(&w, gid, CRYPTO_DIGEST_BYTES);
    if (kind == 3) writer_u64(&w, who); /* ACCEPT */
    if (kind == 4) {                    /* CERT */
        writer_u16(&w, (uint16_t)m->group.count);
        for (uint32_t i = 0; i < m->group.count && w.used < 400; i++) {
            writer_u64(&w, m->group.members[i].sid);
            w.used += CRYPTO_SIGNATURE_BYTES;
        }
        return w.used;
    }
    return w.used + CRYPTO_SIGNATURE_BYTES;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t count)
{
    static struct match m;
    struct standin standin = {.world = 1};
    struct crypto crypto = standin_crypto(&standin);
    crypto.verify = verify_all;
    struct match_config config = {.id = {9},
                                  .run_id = {1},
                                  .incarnation = 5,
                                  .crypto = &crypto,
                                  .group_min = 2,
                                  .weight_max = MATCH_WEIGHT_MAX};
    struct match_peer peers[3] = {{.id = {1}, .counts = true}, {.id = {2}}, {.id = {0, 1}}};
    const uint8_t types[] = {WIRE_READY,  WIRE_NOTREADY, WIRE_PROPOSE,
                             WIRE_ACCEPT, WIRE_CERT,     WIRE_WITHDRAW};
    const struct sink sink = {NULL, act};
    uint8_t lineage[CRYPTO_DIGEST_BYTES] = {0};
    struct match_offer offer = {.weight = 100, .steps = 1, .up_kbps = 1, .step_ms = 10};
    instant now = {1};
    uint64_t round = 1;
    memset(signed_in, 0, sizeof signed_in);
    match_init(&m, &config);
    match_rest(&m, round, lineage, 0);
    match_cell(&m, peers, 3, now, &sink);
    match_start(&m, &offer, now, &sink);
    for (size_t at = 0; at + 2 <= count;) {
        unsigned what = data[at] % 32, how = data[at] / 32;
        size_t length = data[at + 1];
        at += 2;
        if (what < 18) {
            static uint8_t room[1024];
            if (length > count - at) length = count - at;
            memset(room, 0, sizeof room);
            memcpy(room, data + at, length);
            at += length;
            if (how) length = dress(&m, what / 3, wire_sid(peers[what % 3].id), how, room, length);
            match_frame(&m, peers[what % 3].id, types[what / 3], bytes_of(room, length), now,
                        &sink);
            committed += m.state == MATCH_COMMITTED;
            if (m.state == MATCH_COMMITTED && how == 7) match_rest(&m, ++round, lineage, 0);
        } else if (what < 26) {
            now = instant_after(now, span_ms(length * 20));
            match_tick(&m, now, &sink);
        } else if (what < 28) match_gone(&m, peers[what % 3].id[0], now, &sink);
        else if (what < 30) match_link(&m, peers[what % 3].id[0], now, &sink);
        else if (m.state == MATCH_IDLE || m.state == MATCH_SOLO)
            match_start(&m, &offer, now, &sink);
        match_decline(&m, MATCH_REASON_TRAINING, 5, &sink);
        check_group(&m);
    }
    return 0;
}
