#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/rng.h"
#include "swarm/match.h"
#include "swarm/wire.h"
#include "test/swarm/carrier.h"
#include "test/swarm/sizes.h"
#include "swarm/match_mates.h"
#include "test/sim/standin.h"

/* Several machines and the frames between them. */

#define NODES_MAX CARRIER_MACHINES_MAX

struct one {
    struct match match;
    struct standin standin;
    struct crypto crypto;
    uint8_t id[CRYPTO_KEY_BYTES];
    bool dead, willing; /* willing: starts as soon as `called` is set */
    uint32_t eta_ms;    /* its answer while it is not willing */
    instant committed_at;
    uint32_t accepts; /* ACCEPTs that it signed */
    struct {
        uint64_t round;
        uint16_t attempt;
        uint8_t gid[CRYPTO_DIGEST_BYTES];
    } accepted[64];
    struct match_group group; /* the first that it committed to */
    uint32_t commits;
};

struct cell {
    struct one nodes[NODES_MAX];
    int count, acting;
    struct carrier carrier;
    bool blocked[NODES_MAX][NODES_MAX];
    /* Filter for frames: true drops it. */
    bool (*drop)(struct cell *c, int from, int to, uint8_t type);
    /* Changes what node `from` says to `to`. */
    void (*lie)(int from, int to, uint8_t type, uint8_t *bytes);
    size_t sent;
    uint64_t sent_of[256];
    size_t bytes_of[256]; /* size of the latest frame of this type */
};

static struct cell cell;

static int node_named(sid s)
{
    for (int i = 0; i < cell.count; i++)
        if (wire_sid(cell.nodes[i].id) == s) return i;
    return -1;
}

static void watch_accept(struct one *n, const struct action *a)
{
    struct reader r = reader_init(a->bytes);
    uint64_t round = reader_u64(&r);
    uint16_t attempt = reader_u16(&r);
    struct bytes gid = reader_bytes(&r, CRYPTO_DIGEST_BYTES);
    for (uint32_t i = 0; i < n->accepts; i++) {
        if (n->accepted[i].round != round || n->accepted[i].attempt != attempt) continue;
        cr_assert(!memcmp(n->accepted[i].gid, gid.data, gid.count),
                  "two different groups signed in round %lu attempt %u", round, attempt);
        return;
    }
    cr_assert_lt(n->accepts, 64);
    n->accepted[n->accepts].round = round;
    n->accepted[n->accepts].attempt = attempt;
    memcpy(n->accepted[n->accepts++].gid, gid.data, gid.count);
}

static void act(void *self, struct action *a)
{
    (void)self;
    if (a->kind != ACTION_FRAME) return;
    int from = cell.acting, to = node_named(a->peer);
    cell.sent++;
    cell.sent_of[a->type]++;
    cell.bytes_of[a->type] = a->bytes.count;
    if (a->type == WIRE_ACCEPT) watch_accept(&cell.nodes[from], a);
    if (to < 0 || cell.blocked[from][to] || cell.nodes[from].dead) return;
    if (cell.drop && cell.drop(&cell, from, to, a->type)) return;
    uint8_t changed[4096];
    struct bytes bytes = a->bytes;
    if (cell.lie) {
        memcpy(changed, bytes.data, bytes.count);
        cell.lie(from, to, a->type, changed);
        bytes.data = changed;
    }
    carrier_post(&cell.carrier,
                 (struct carried){.at = carrier_arrival_in_order(&cell.carrier, from, to),
                                  .from = from,
                                  .to = to,
                                  .type = a->type},
                 bytes, (struct bytes){0});
}
static const struct sink sink = {NULL, act};

static struct match_offer offer_of(int i)
{
    return (struct match_offer){
        .weight = 1000 + (uint64_t)i, .steps = 10, .up_kbps = 100000, .step_ms = 200};
}

static void start(int i)
{
    cell.acting = i;
    struct match_offer offer = offer_of(i);
    match_start(&cell.nodes[i].match, &offer, cell.carrier.now, &sink);
}

/* Does what node.c does after every event. */
static void settle_node(int i)
{
    struct one *n = &cell.nodes[i];
    cell.acting = i;
    bool rests = n->match.state == MATCH_IDLE || n->match.state == MATCH_SOLO;
    if (rests && n->match.called && n->willing) start(i);
    match_decline(&n->match, MATCH_REASON_TRAINING, n->eta_ms, &sink);
    if (n->match.state == MATCH_COMMITTED && !n->commits) {
        n->committed_at = cell.carrier.now;
        n->group = n->match.group;
        n->commits = 1;
    }
}

static void cell_init(int count, bool count_steps)
{
    carrier_fini(&cell.carrier);
    cell = (struct cell){.count = count};
    carrier_init(&cell.carrier, span_ms(40), 5);
    uint8_t lineage[CRYPTO_DIGEST_BYTES] = {9};
    for (int i = 0; i < count; i++) {
        struct one *n = &cell.nodes[i];
        uint64_t name = rng_at(77, (uint64_t)i) | 1;
        memcpy(n->id, &name, sizeof name);
        n->id[31] = (uint8_t)i;
        n->standin = (struct standin){.world = 3, .rng = rng_init((uint64_t)i)};
        memcpy(n->standin.key, n->id, sizeof n->id);
        n->crypto = standin_crypto(&n->standin);
        n->willing = true;
        struct match_config config = {.run_id = {4},
                                      .incarnation = 100,
                                      .crypto = &n->crypto,
                                      .group_min = 2,
                                      .weight_max = MATCH_WEIGHT_MAX,
                                      .count_steps = count_steps};
        memcpy(config.id, n->id, sizeof n->id);
        match_init(&n->match, &config);
        match_rest(&n->match, 1, lineage, 0);
    }
    for (int i = 0; i < count; i++) {
        struct match_peer peers[NODES_MAX];
        size_t known = 0;
        for (int j = 0; j < count; j++) {
            if (j == i) continue;
            peers[known] = (struct match_peer){.rtt_ms = 80, .counts = true};
            memcpy(peers[known++].id, cell.nodes[j].id, CRYPTO_KEY_BYTES);
        }
        cell.acting = i;
        match_cell(&cell.nodes[i].match, peers, known, cell.carrier.now, &sink);
    }
}

static instant due(int i)
{
    return cell.nodes[i].dead ? INSTANT_NEVER : match_due(&cell.nodes[i].match);
}

static void tick(int i)
{
    cell.acting = i;
    match_tick(&cell.nodes[i].match, cell.carrier.now, &sink);
    settle_node(i);
}

static void deliver(const struct carried *m)
{
    struct one *n = &cell.nodes[m->to];
    if (n->dead) return;
    cell.acting = m->to;
    bool good = match_frame(&n->match, cell.nodes[m->from].id, m->type, bytes_of(m->data, m->count),
                            cell.carrier.now, &sink);
    cr_assert(good, "node %d refused frame %02x of node %d", m->to, m->type, m->from);
    settle_node(m->to);
}

static void run_for(span how_long)
{
    carrier_run(&cell.carrier,
                &(struct carrier_machines){
                    .count = cell.count, .due = due, .tick = tick, .deliver = deliver},
                how_long);
}

/* Every committed node agrees with every committed member of its group. Returns the number of
 * committed nodes. */
static int check_groups(void)
{
    int committed = 0;
    for (int i = 0; i < cell.count; i++) {
        const struct one *a = &cell.nodes[i];
        if (!a->commits) continue;
        committed++;
        cr_assert_eq(a->group.members[a->group.self].sid, wire_sid(a->id));
        for (uint32_t k = 0; k < a->group.count; k++) {
            int j = node_named(a->group.members[k].sid);
            cr_assert_geq(j, 0);
            cr_assert_eq(a->group.members[k].offer.weight, offer_of(j).weight);
            const struct one *b = &cell.nodes[j];
            if (!b->commits || b->group.attempt != a->group.attempt) continue;
            cr_assert_eq(a->group.count, b->group.count, "two groups of one attempt overlap");
            cr_assert(!memcmp(a->group.gid, b->group.gid, CRYPTO_DIGEST_BYTES));
            for (uint32_t m = 0; m < a->group.count; m++)
                cr_assert_eq(a->group.members[m].sid, b->group.members[m].sid);
        }
    }
    return committed;
}

static void assert_group_of(uint32_t size, int but)
{
    int committed = check_groups();
    cr_assert_eq(committed, (int)size, "%d of %u have committed", committed, size);
    for (int i = 0; i < cell.count; i++) {
        if (i == but || !cell.nodes[i].commits) continue;
        cr_assert_eq(cell.nodes[i].group.count, size, "node %d is in a group of %u", i,
                     cell.nodes[i].group.count);
    }
}

static double seconds(instant t) { return (double)(t.ns - 1000000000) * 1e-9; }

Test(match, all_who_are_ready_agree_within_a_few_round_trips)
{
    for (int n = 2; n <= 20; n++) {
        cell_init(n, false);
        for (int i = 0; i < n; i++) start(i);
        run_for(span_s(30));
        assert_group_of((uint32_t)n, -1);
        for (int i = 0; i < n; i++) cr_assert_lt(seconds(cell.nodes[i].committed_at), 0.33);
        cr_assert_lt(cell.sent, (size_t)(8 * n * n), "%zu frames for %d nodes", cell.sent, n);
    }
}

Test(match, one_ready_node_calls_the_others_together)
{
    cell_init(6, false);
    start(2);
    run_for(span_s(30));
    assert_group_of(6, -1);
}

Test(match, a_silent_mate_is_left_out_after_its_patience)
{
    cell_init(5, false);
    cell.nodes[3].dead = true;
    for (int i = 0; i < 5; i++)
        if (i != 3) start(i);
    run_for(span_s(30));
    assert_group_of(4, 3);
    for (int i = 0; i < 5; i++)
        if (i != 3) {
            cr_assert_gt(seconds(cell.nodes[i].committed_at), 1.4);
            cr_assert_lt(seconds(cell.nodes[i].committed_at), 2.2);
        }
}

Test(match, a_silent_mate_is_not_waited_for_twice)
{
    cell_init(3, false);
    cell.nodes[2].dead = true;
    start(0), start(1);
    run_for(span_s(30));
    assert_group_of(2, 2);
    uint8_t lineage[CRYPTO_DIGEST_BYTES] = {10};
    instant began = cell.carrier.now;
    for (int i = 0; i < 2; i++) {
        cell.nodes[i].commits = 0;
        match_rest(&cell.nodes[i].match, 2, lineage, 5000);
    }
    start(0), start(1);
    run_for(span_s(5));
    assert_group_of(2, 2);
    cr_assert_lt(instant_since(cell.nodes[0].committed_at, began).ns, 1000000000u);
}

Test(match, a_mate_that_trains_is_waited_for_as_long_as_the_grace_lasts)
{
    cell_init(4, false);
    cell.nodes[1].willing = false;
    cell.nodes[1].eta_ms = 2000; /* within the grace of 3 s */
    for (int i = 0; i < 4; i++)
        if (i != 1) start(i);
    run_for(span_s(2));
    cr_assert_eq(check_groups(), 0);
    start(1);
    run_for(span_s(30));
    assert_group_of(4, -1);

    cell_init(4, false);
    cell.nodes[1].willing = false;
    cell.nodes[1].eta_ms = 20000;
    for (int i = 0; i < 4; i++)
        if (i != 1) start(i);
    run_for(span_s(2));
    assert_group_of(3, 1);
}

Test(match, with_counted_steps_a_mate_that_trains_is_waited_for_long)
{
    cell_init(4, true);
    cell.nodes[1].willing = false;
    cell.nodes[1].eta_ms = 1000;
    for (int i = 0; i < 4; i++)
        if (i != 1) start(i);
    run_for(span_s(300));
    cr_assert_eq(check_groups(), 0);
    start(1);
    run_for(span_s(30));
    assert_group_of(4, -1);

    cell_init(4, true);
    cell.nodes[1].willing = false;
    for (int i = 0; i < 4; i++)
        if (i != 1) start(i);
    run_for(span_s(MATCH_WAIT_S + 20));
    assert_group_of(3, 1); /* not forever */
}

Test(match, with_counted_steps_a_mate_that_died_holds_nobody_up)
{
    cell_init(4, true);
    cell.nodes[1].willing = false;
    for (int i = 0; i < 4; i++)
        if (i != 1) start(i);
    run_for(span_s(20));
    cell.nodes[1].dead = true;
    for (int i = 0; i < 4; i++) {
        cell.acting = i;
        match_gone(&cell.nodes[i].match, wire_sid(cell.nodes[1].id), cell.carrier.now, &sink);
    }
    run_for(span_s(2));
    assert_group_of(3, 1);
}

/* ---- a node dies just after, or while, sending ---- */

static int victim, victim_frames;
static uint8_t victim_type;

static bool dies_at(struct cell *c, int from, int to, uint8_t type)
{
    (void)to;
    if (from != victim || type != victim_type) return false;
    if (victim_frames-- > 0) return false;
    c->nodes[from].dead = true;
    return true;
}

static void die_after(uint8_t type, int frames, uint32_t expected)
{
    cell_init(5, false);
    victim = 4;
    victim_type = type;
    victim_frames = frames;
    cell.drop = dies_at;
    for (int i = 0; i < 5; i++) start(i);
    run_for(span_s(30));
    cr_assert(cell.nodes[4].dead);
    cell.nodes[4].commits = 0;
    int committed = check_groups();
    cr_assert_eq(committed, 4, "%d committed, type %02x after %d", committed, type, frames);
    for (int i = 0; i < 4; i++) {
        cr_assert_eq(cell.nodes[i].group.count, expected, "type %02x after %d: group of %u", type,
                     frames, cell.nodes[i].group.count);
        cr_assert_lt(seconds(cell.nodes[i].committed_at), 15.0 + 1.5);
    }
}

Test(match, one_that_dies_after_its_ready_is_dropped) { die_after(WIRE_PROPOSE, 0, 4); }
Test(match, one_that_dies_while_it_says_ready_is_dropped)
{
    for (int frames = 0; frames < 4; frames++) die_after(WIRE_READY, frames, 4);
}
Test(match, one_that_dies_after_its_proposal_is_dropped) { die_after(WIRE_ACCEPT, 0, 4); }
Test(match, one_whose_signature_reached_somebody_stays_in_the_group)
{
    for (int frames = 1; frames < 4; frames++) die_after(WIRE_ACCEPT, frames, 5);
}
Test(match, one_that_dies_after_it_committed_stays_in_the_group)
{
    for (int frames = 0; frames < 4; frames++) die_after(WIRE_CERT, frames, 5);
}
Test(match, one_that_dies_while_it_proposes_is_dropped)
{
    for (int frames = 1; frames < 4; frames++) die_after(WIRE_PROPOSE, frames, 4);
}

Test(match, a_pair_that_cannot_reach_each_other_is_never_in_one_group)
{
    cell_init(5, false);
    cell.blocked[0][1] = cell.blocked[1][0] = true;
    for (int i = 0; i < 5; i++) start(i);
    run_for(span_s(40));
    int committed = check_groups();
    cr_assert_geq(committed, 4, "%d committed", committed);
    for (int i = 0; i < 5; i++) {
        bool has[2] = {false, false};
        for (uint32_t k = 0; cell.nodes[i].commits && k < cell.nodes[i].group.count; k++)
            for (int j = 0; j < 2; j++)
                has[j] = has[j] || cell.nodes[i].group.members[k].sid == wire_sid(cell.nodes[j].id);
        cr_assert_not(has[0] && has[1]);
    }
    cr_assert_eq(cell.sent_of[WIRE_WITHDRAW], 0,
                 "nobody signs a list with one who does not know all of it");
}

/* Tells nodes [from, to) that the nodes selected by `gone` are gone. */
static void declare_gone(int from, int to, bool (*gone)(int))
{
    for (int i = from; i < to; i++) {
        if (cell.nodes[i].dead) continue;
        cell.acting = i;
        for (int j = 0; j < cell.count; j++)
            if (j != i && gone(j))
                match_gone(&cell.nodes[i].match, wire_sid(cell.nodes[j].id), cell.carrier.now,
                           &sink);
    }
}
static bool is_dead(int i) { return cell.nodes[i].dead; }
static bool is_beyond_3(int i) { return i >= 3; }

Test(match, the_smaller_side_of_a_partition_waits_until_the_other_counts_as_gone)
{
    cell_init(7, false);
    for (int i = 0; i < 7; i++)
        for (int j = 0; j < 7; j++) cell.blocked[i][j] = (i < 3) != (j < 3);
    for (int i = 0; i < 7; i++) start(i);
    run_for(span_s(30));
    cr_assert_eq(check_groups(), 4);
    for (int i = 0; i < 3; i++) cr_assert_eq(cell.nodes[i].match.state, MATCH_SOLO);
    declare_gone(0, 3, is_beyond_3);
    for (int i = 0; i < 3; i++)
        if (cell.nodes[i].match.state == MATCH_SOLO) start(i);
    run_for(span_s(5));
    cr_assert_eq(check_groups(), 7);
    for (int i = 0; i < 7; i++) cr_assert_eq(cell.nodes[i].group.count, i < 3 ? 3 : 4);
}

static bool cuts_2_from_2(struct cell *c, int from, int to, uint8_t type)
{
    (void)c;
    (void)type;
    return (from < 2) != (to < 2);
}

Test(match, of_two_halves_one_goes_on)
{
    cell_init(4, false);
    cell.drop = cuts_2_from_2;
    for (int i = 0; i < 4; i++) start(i);
    run_for(span_s(30));
    cr_assert_eq(check_groups(), 2);
    cr_assert_eq(cell.nodes[0].commits, cell.nodes[1].commits);
    sid least = wire_sid(cell.nodes[0].id);
    int with = 0;
    for (int i = 1; i < 4; i++)
        if (wire_sid(cell.nodes[i].id) < least) least = wire_sid(cell.nodes[i].id), with = i;
    cr_assert(cell.nodes[with].commits);
}

Test(match, two_who_are_early_do_not_run_off_without_the_others)
{
    cell_init(17, false);
    for (int i = 2; i < 17; i++) {
        cell.nodes[i].willing = false;
        cell.nodes[i].eta_ms = 60000; /* beyond any grace, and wrong */
    }
    start(0), start(1);
    run_for(span_ms(350));
    for (int i = 2; i < 17; i++) start(i);
    run_for(span_s(20));
    assert_group_of(17, -1);
}

Test(match, who_finds_nobody_knows_it_in_time_and_meets_the_next_one_who_is_solo)
{
    cell_init(2, false);
    cell.blocked[0][1] = cell.blocked[1][0] = true;
    cell.nodes[0].willing = true;
    start(0);
    run_for(span_s(17));
    cr_assert_eq(cell.nodes[0].match.state, MATCH_SOLO);
    start(1);
    run_for(span_s(17));
    cr_assert_eq(cell.nodes[1].match.state, MATCH_SOLO);
    cell.blocked[0][1] = cell.blocked[1][0] = false;
    start(1);
    run_for(span_s(3));
    assert_group_of(2, -1);
}

/* ---- WITHDRAW and CERT ---- */

static bool loses_accepts_to_all_but_0(struct cell *c, int from, int to, uint8_t type)
{
    (void)c;
    return type == WIRE_ACCEPT && from == 3 && to != 0;
}

Test(match, one_who_has_all_signatures_carries_the_others_along)
{
    cell_init(4, false);
    cell.drop = loses_accepts_to_all_but_0;
    for (int i = 0; i < 4; i++) start(i);
    run_for(span_s(1));
    assert_group_of(4, -1);
}

static bool loses_accepts_of_3(struct cell *c, int from, int to, uint8_t type)
{
    (void)c;
    (void)to;
    return from == 3 && (type == WIRE_ACCEPT || type == WIRE_CERT);
}

Test(match, a_signature_that_never_comes_ends_in_withdrawal_and_a_smaller_group)
{
    cell_init(4, false);
    cell.drop = loses_accepts_of_3;
    for (int i = 0; i < 4; i++) start(i);
    run_for(span_s(30));
    cr_assert_gt(cell.sent_of[WIRE_WITHDRAW], 0);
    int committed = check_groups();
    cr_assert_geq(committed, 3);
    for (int i = 0; i < 3; i++) cr_assert(cell.nodes[i].commits);
}

/* Only node 0 gets the signature of node 3, and no other node learns of it. */
static bool holds_certs(struct cell *c, int from, int to, uint8_t type)
{
    (void)c;
    return (type == WIRE_ACCEPT && from == 3 && to != 0) || type == WIRE_CERT ||
           (from == 0 && to != 0 && c->nodes[0].match.state == MATCH_COMMITTED);
}

static void cert_of(int i, struct bytes *out, uint8_t room[2048])
{
    const struct match *m = &cell.nodes[i].match;
    struct writer w = writer_init(room, 2048);
    writer_u64(&w, m->group.round);
    writer_u16(&w, m->group.attempt);
    writer_copy(&w, m->group.gid, CRYPTO_DIGEST_BYTES);
    writer_u16(&w, (uint16_t)m->group.count);
    for (uint32_t k = 0; k < m->group.count; k++) {
        writer_u64(&w, m->group.members[k].sid);
        writer_copy(&w, m->signatures[k], CRYPTO_SIGNATURE_BYTES);
    }
    *out = writer_bytes(&w);
}

Test(match, a_late_cert_counts_until_one_has_signed_anew)
{
    cell_init(4, false);
    cell.drop = holds_certs;
    for (int i = 0; i < 4; i++) start(i);
    run_for(span_ms(300));
    cr_assert_eq(cell.nodes[0].match.state, MATCH_COMMITTED);
    cr_assert_eq(cell.nodes[1].match.state, MATCH_LOCKED);
    uint8_t room[2048];
    struct bytes cert;
    cert_of(0, &cert, room);
    uint16_t attempt = cell.nodes[1].match.attempt;
    /* T_LOCK has expired: node 1 has withdrawn and opened the next attempt, but signed nothing in
     * it */
    cell.acting = 1;
    cell.carrier.now = match_due(&cell.nodes[1].match);
    match_tick(&cell.nodes[1].match, cell.carrier.now, &sink);
    cr_assert_eq(cell.nodes[1].match.attempt, attempt + 1);
    cr_assert(match_frame(&cell.nodes[1].match, cell.nodes[0].id, WIRE_CERT, cert, cell.carrier.now,
                          &sink));
    cr_assert_eq(cell.nodes[1].match.state, MATCH_COMMITTED);
    cr_assert(!memcmp(cell.nodes[1].match.group.gid, cell.nodes[0].match.group.gid, 16));
    /* Node 2 continues and signs in a later attempt: the old CERT no longer binds it. */
    cell.nodes[2].match.accepted = (uint16_t)(attempt + 1);
    uint64_t withdrawals = cell.sent_of[WIRE_WITHDRAW];
    cell.acting = 2;
    cr_assert(match_frame(&cell.nodes[2].match, cell.nodes[0].id, WIRE_CERT, cert, cell.carrier.now,
                          &sink));
    cr_assert_neq(cell.nodes[2].match.state, MATCH_COMMITTED);
    cr_assert_eq(cell.sent_of[WIRE_WITHDRAW], withdrawals + 1);
}

Test(match, a_cert_with_a_forged_signature_is_refused)
{
    cell_init(4, false);
    cell.drop = holds_certs;
    for (int i = 0; i < 4; i++) start(i);
    run_for(span_ms(300));
    uint8_t room[2048];
    struct bytes cert;
    cert_of(0, &cert, room);
    room[cert.count - 1] ^= 1;
    cell.acting = 1;
    cr_assert_not(match_frame(&cell.nodes[1].match, cell.nodes[0].id, WIRE_CERT, cert,
                              cell.carrier.now, &sink));
    cr_assert_eq(cell.nodes[1].match.state, MATCH_LOCKED);
}

/* ---- histories ---- */

Test(match, the_sides_of_a_fork_do_not_mix)
{
    cell_init(4, false);
    uint8_t other[CRYPTO_DIGEST_BYTES] = {8};
    for (int i = 2; i < 4; i++) match_rest(&cell.nodes[i].match, 1, other, 777);
    for (int i = 0; i < 4; i++) /* membership knows who trains on which history */
        for (uint32_t j = 0; j < 3; j++) {
            struct match_mate *mate = &cell.nodes[i].match.mates[j];
            mate->counts = (i < 2) == (node_named(mate->sid) < 2);
        }
    for (int i = 0; i < 4; i++) start(i);
    run_for(span_s(10));
    cr_assert_eq(check_groups(), 4);
    for (int i = 0; i < 4; i++) cr_assert_eq(cell.nodes[i].group.count, 2);
}

/* A READY of another round comes late, over another link than the newer one. */
Test(match, what_was_proposed_is_signed_with_the_weights_that_were_verified)
{
    cell_init(3, false);
    for (int i = 0; i < 3; i++) start(i);
    while (!cell.nodes[0].match.proposals_count) run_for(span_ms(10));
    const struct one *mate = &cell.nodes[1];
    struct match_signer signer = {&mate->crypto, mate->match.config.run_id};
    struct match_ready late = mate->match.mine;
    struct match_pairs none = {.count = 0};
    uint8_t frame[MATCH_READY_BYTES];
    late.round = 2;
    late.offer = offer_of(7);
    match_hash_ready(&signer, mate->match.self, &late);
    cell.acting = 0;
    cr_assert(match_frame(&cell.nodes[0].match, mate->id, WIRE_READY,
                          match_write_ready(&signer, mate->match.self, &late, &none, frame),
                          cell.carrier.now, &sink));
    run_for(span_s(10));
    cr_assert_eq(check_groups(), 3);
}

Test(match, two_different_readies_of_one_attempt_are_refused)
{
    cell_init(2, false);
    cell.nodes[1].willing = false;
    start(0);
    run_for(span_ms(100));
    struct match_ready before = cell.nodes[1].match.mates[0].ready;
    cr_assert_eq(before.attempt, 1);
    /* The same node, the same attempt, another weight. */
    struct match liar = cell.nodes[0].match;
    liar.attempt = 0;
    liar.state = MATCH_IDLE;
    struct match_offer offer = offer_of(7);
    carrier_clear(&cell.carrier);
    cell.acting = 0;
    match_start(&liar, &offer, cell.carrier.now, &sink);
    cr_assert_eq(cell.carrier.count, 1);
    cr_assert_not(match_frame(&cell.nodes[1].match, cell.nodes[0].id, WIRE_READY,
                              bytes_of(cell.carrier.queue[0].data, cell.carrier.queue[0].count),
                              cell.carrier.now, &sink));
    cr_assert_eq(cell.nodes[1].match.mates[0].ready.hash, before.hash);
}

/* READY of node 0 for this attempt, which it hands to node 1. */
static void claim_attempt(uint16_t attempt)
{
    static uint8_t frame[2048];
    struct match liar = cell.nodes[0].match;
    struct match_offer offer = offer_of(0);
    liar.attempt = (uint16_t)(attempt - 1);
    liar.state = MATCH_IDLE;
    carrier_clear(&cell.carrier);
    cell.acting = 0;
    match_start(&liar, &offer, cell.carrier.now, &sink);
    struct carried f = cell.carrier.queue[0];
    memcpy(frame, f.data, f.count);
    carrier_clear(&cell.carrier);
    cell.acting = 1;
    cr_assert(match_frame(&cell.nodes[1].match, cell.nodes[0].id, WIRE_READY,
                          bytes_of(frame, f.count), cell.carrier.now, &sink));
    settle_node(1);
}

Test(match, a_mate_that_counts_attempts_without_end_is_not_followed)
{
    cell_init(2, false);
    start(1);
    struct match *m = &cell.nodes[1].match;
    for (uint32_t attempt = 2; attempt < 65535; attempt += 30) { /* in three seconds */
        claim_attempt((uint16_t)attempt);
        cell.carrier.now = instant_after(cell.carrier.now, span_ms(1));
    }
    claim_attempt(65535);
    cr_assert_leq(m->attempt, 64 + 8, "%u", m->attempt);
}

static bool drop_accepts(struct cell *c, int from, int to, uint8_t type)
{
    return type == WIRE_ACCEPT;
}

Test(match, when_attempts_are_used_up_a_node_is_alone_until_the_round_ends)
{
    cell_init(2, false);
    for (int i = 0; i < 2; i++) cell.nodes[i].match.attempt = 65533;
    cell.drop = drop_accepts; /* so that no attempt succeeds */
    for (int i = 0; i < 2; i++) start(i);
    run_for(span_s(60));
    for (int i = 0; i < 2; i++) {
        cr_assert_eq(cell.nodes[i].match.attempt, 65535);
        cr_assert_eq(cell.nodes[i].match.state, MATCH_SOLO);
    }
    struct match_offer offer = offer_of(0);
    match_alone(&cell.nodes[0].match, &offer);
    cr_assert_eq(cell.nodes[0].match.state, MATCH_COMMITTED);
}

Test(match, a_restarted_mate_is_taken_with_its_new_ready)
{
    cell_init(3, false);
    cell.nodes[2].willing = false;
    start(0);
    run_for(span_ms(50));
    struct one *n = &cell.nodes[0];
    struct match_config config = n->match.config;
    config.incarnation++;
    struct match_peer peers[2] = {{.rtt_ms = 80, .counts = true}, {.rtt_ms = 80, .counts = true}};
    memcpy(peers[0].id, cell.nodes[1].id, CRYPTO_KEY_BYTES);
    memcpy(peers[1].id, cell.nodes[2].id, CRYPTO_KEY_BYTES);
    uint8_t lineage[CRYPTO_DIGEST_BYTES] = {9};
    match_init(&n->match, &config);
    match_rest(&n->match, 1, lineage, 0);
    cell.acting = 0;
    match_cell(&n->match, peers, 2, cell.carrier.now, &sink);
    start(0);
    cell.nodes[2].willing = true;
    run_for(span_s(30));
    assert_group_of(3, -1);
}

/* A restarted process does not have what its previous life proposed and signed. */
Test(match, what_was_said_before_a_new_link_counts_no_more)
{
    cell_init(3, false);
    cell.nodes[2].willing = false; /* so that nobody commits at once */
    cell.nodes[2].eta_ms = 60000;
    start(0);
    struct match *m = &cell.nodes[0].match;
    struct match_mate *mate = &m->mates[0];
    for (int i = 0; i < 2000 && !(mate->proposed && mate->accepted); i++) {
        run_for(span_ms(1));
        if (mate->accepted) break;
    }
    cr_assert(mate->proposed || mate->accepted);
    cell.acting = 0;
    match_link(m, mate->sid, cell.carrier.now, &sink);
    cr_assert_eq(mate->proposed, PROPOSED_NOTHING);
    cr_assert_eq(mate->accepted, 0);
    cr_assert(match_called_by(m, mate->sid));
}

Test(match, what_is_no_message_is_refused)
{
    cell_init(2, false);
    start(0);
    cr_assert_eq(cell.carrier.count, 1);
    struct carried f = cell.carrier.queue[0];
    uint8_t types[] = {WIRE_READY,  WIRE_NOTREADY, WIRE_PROPOSE,
                       WIRE_ACCEPT, WIRE_CERT,     WIRE_WITHDRAW};
    cell.acting = 1;
    for (size_t t = 0; t < sizeof types; t++)
        for (size_t n = 0; n < 10; n++)
            cr_assert_not(match_frame(&cell.nodes[1].match, cell.nodes[0].id, types[t],
                                      bytes_of(f.data, n), cell.carrier.now, &sink));
    for (size_t i = 2; i < f.count - 2; i++) { /* each byte that is signed, and the signature */
        f.data[i] ^= 1;
        cr_assert_not(match_frame(&cell.nodes[1].match, cell.nodes[0].id, WIRE_READY,
                                  bytes_of(f.data, f.count), cell.carrier.now, &sink));
        f.data[i] ^= 1;
    }
    cr_assert(match_frame(&cell.nodes[1].match, cell.nodes[0].id, WIRE_READY,
                          bytes_of(f.data, f.count), cell.carrier.now, &sink));
}

Test(match, one_alone_is_a_group_of_its_own)
{
    cell_init(2, false);
    struct match_offer offer = offer_of(0);
    match_alone(&cell.nodes[0].match, &offer);
    cr_assert_eq(cell.nodes[0].match.state, MATCH_COMMITTED);
    cr_assert_eq(cell.nodes[0].match.group.count, 1);
    cr_assert_eq(cell.nodes[0].match.group.members[0].offer.weight, 1000);
}

Test(match, one_who_leaves_is_not_waited_for)
{
    cell_init(4, false);
    cell.nodes[3].willing = false;
    cell.nodes[3].eta_ms = 2500;
    for (int i = 0; i < 3; i++) start(i);
    run_for(span_ms(500));
    start(3);
    match_leave(&cell.nodes[3].match, &sink);
    cell.nodes[3].dead = true;
    run_for(span_ms(600));
    assert_group_of(3, 3);
}

/* ---- safety under random faults: loss of whole frames, deaths, blocked pairs, uneven delays
 * ---- */

static bool loses_some(struct cell *c, int from, int to, uint8_t type)
{
    (void)to;
    (void)type;
    if (rng_below(&c->carrier.rng, 400) == 0) c->nodes[from].dead = true;
    return rng_below(&c->carrier.rng, 100) < 2;
}

Test(match, whatever_gets_lost_no_two_groups_of_an_attempt_overlap_and_every_wait_ends)
{
    uint64_t committed = 0, nodes = 0, dead = 0;
    for (uint64_t seed = 0; seed < 400; seed++) {
        int n = 3 + (int)(seed % 10);
        cell_init(n, seed % 5 == 0);
        cell.carrier.rng = rng_init(seed);
        cell.carrier.jitter = span_ms(seed % 3 * 400);
        cell.drop = loses_some;
        for (int i = 0; i < n; i++)
            if (rng_below(&cell.carrier.rng, 20) == 0) {
                int j = (int)rng_below(&cell.carrier.rng, (uint64_t)n);
                cell.blocked[i][j] = cell.blocked[j][i] = true;
            }
        for (int i = 0; i < n; i++) {
            if (cell.nodes[i].match.state == MATCH_IDLE && !cell.nodes[i].dead) start(i);
            run_for(span_ms(rng_below(&cell.carrier.rng, 700)));
        }
        run_for(span_s(20));
        declare_gone(0, n, is_dead);
        for (int i = 0; i < n; i++)
            if (cell.nodes[i].match.state == MATCH_SOLO && !cell.nodes[i].dead) start(i);
        run_for(span_s(seed % 5 ? 60 : MATCH_WAIT_S + 60));
        committed += (uint64_t)check_groups();
        nodes += (uint64_t)n;
        for (int i = 0; i < n; i++) {
            dead += cell.nodes[i].dead;
            if (cell.nodes[i].dead) continue;
            /* A restart, called by another node, may wait for those that train again. */
            if (seed % 5 == 0 && cell.nodes[i].match.waits.ns > cell.carrier.now.ns) continue;
            enum match_state s = cell.nodes[i].match.state;
            cr_assert(s == MATCH_COMMITTED || s == MATCH_SOLO,
                      "seed %lu: node %d waits in state %d", seed, i, s);
        }
    }
    cr_assert_gt(dead, 100);
    cr_assert_gt(committed * 10, (nodes - dead) * 7, "%lu of %lu", committed, nodes);
}

/* ---- sizes ---- */

static void assert_size(uint8_t type, size_t n, size_t p)
{
    cr_assert_gt(cell.bytes_of[type], 0, "no message of type %02x was sent", type);
    cr_assert_eq(cell.bytes_of[type], sizes_in_spec(type, n, p, 0), "type %02x: %zu bytes", type,
                 cell.bytes_of[type]);
}

Test(match, messages_have_the_sizes_that_the_specification_says)
{
    cell_init(5, false);
    for (int i = 0; i < 5; i++) start(i);
    run_for(span_s(5));
    assert_size(WIRE_READY, 0, 0); /* nobody is apart from anybody */
    assert_size(WIRE_PROPOSE, 5, 0);
    assert_size(WIRE_ACCEPT, 5, 0);
    assert_size(WIRE_CERT, 5, 0);
    cell_init(4, false);
    cell.drop = loses_accepts_of_3;
    for (int i = 0; i < 4; i++) start(i);
    run_for(span_s(3)); /* three pairs are blocked by then: each of the others with node 3 */
    assert_size(WIRE_WITHDRAW, 4, 0);
    cr_assert_eq(cell.nodes[0].match.blocked.count, 3);
    assert_size(WIRE_PROPOSE, 3, 3);
    cell_init(2, false);
    cell.nodes[1].willing = false;
    start(0);
    run_for(span_ms(200));
    assert_size(WIRE_NOTREADY, 0, 0);
}

/* ---- liars ---- */

#define WEIGHT_AT (2 + 8 + 8 + 8 + 2 + 16 + 8) /* in READY */

static void says_ready_otherwise(int from, int to, uint8_t type, uint8_t *bytes)
{
    if (from != 2 || type != WIRE_READY) return;
    size_t count = bytes[0] | (size_t)bytes[1] << 8;
    bytes[WEIGHT_AT] ^= (uint8_t)(to + 1);
    wire_sign(&cell.nodes[2].crypto, cell.nodes[2].match.config.run_id, WIRE_READY,
              bytes_of(bytes + 2, count), bytes + 2 + count);
}

Test(match, who_says_ready_otherwise_to_each_is_left_out)
{
    cell_init(5, false);
    cell.lie = says_ready_otherwise;
    for (int i = 0; i < 5; i++) start(i);
    run_for(span_s(10));
    for (int i = 0; i < 5; i++) {
        if (i == 2) continue;
        cr_assert_eq(cell.nodes[i].match.state, MATCH_COMMITTED);
        cr_assert_eq(cell.nodes[i].group.count, 4);
        cr_assert_eq(match_group_index(&cell.nodes[i].match, wire_sid(cell.nodes[2].id)), -1);
    }
    cr_assert_gt(cell.sent_of[WIRE_WITNESS], 0);
}

/* Of the others' READYs it proposes hashes that nobody made. */
static void proposes_otherwise(int from, int to, uint8_t type, uint8_t *bytes)
{
    (void)to;
    if (from != 2 || type != WIRE_PROPOSE) return;
    for (int i = 0; i < (bytes[11] | bytes[12] << 8); i++)
        if (first_eight(bytes + 13 + 16 * i) != wire_sid(cell.nodes[2].id))
            bytes[13 + 16 * i + 8] ^= 1;
}

static bool loses_accepts_of_2(struct cell *c, int from, int to, uint8_t type)
{
    (void)c, (void)to;
    return from == 2 && type == WIRE_ACCEPT; /* it would sign what the others propose */
}

Test(match, who_proposes_with_what_nobody_has_said_is_left_out)
{
    cell_init(5, false);
    cell.lie = proposes_otherwise;
    cell.drop = loses_accepts_of_2;
    for (int i = 0; i < 5; i++) start(i);
    run_for(span_s(12));
    for (int i = 0; i < 5; i++)
        if (i != 2)
            cr_assert_eq(cell.nodes[i].group.count, 4, "node %d: %u, state %d, attempt %d", i,
                         cell.nodes[i].group.count, (int)cell.nodes[i].match.state,
                         cell.nodes[i].match.attempt);
}

Test(match, a_witness_that_is_not_signed_is_refused)
{
    cell_init(3, false);
    for (int i = 0; i < 3; i++) start(i);
    run_for(span_ms(200));
    struct match *m = &cell.nodes[0].match;
    struct match_said said = match_mate(m, wire_sid(cell.nodes[2].id))->said;
    uint8_t frame[MATCH_WITNESS_BYTES];
    cr_assert_gt(said.count, 0);
    cell.acting = 0;
    struct bytes b = match_write_witness(wire_sid(cell.nodes[2].id), &said, frame);
    cr_assert(match_frame(m, cell.nodes[1].id, WIRE_WITNESS, b, cell.carrier.now, &sink),
              "it proves nothing");
    frame[8 + WEIGHT_AT] ^= 1;
    cr_assert_not(match_frame(m, cell.nodes[1].id, WIRE_WITNESS, b, cell.carrier.now, &sink));
}

Test(match, who_claims_more_than_any_may_is_left_out)
{
    cell_init(5, false);
    for (int i = 0; i < 4; i++) cell.nodes[i].match.config.weight_max = offer_of(3).weight;
    for (int i = 0; i < 5; i++) start(i);
    run_for(span_s(10));
    for (int i = 0; i < 4; i++) {
        cr_assert_eq(cell.nodes[i].match.state, MATCH_COMMITTED);
        cr_assert_eq(cell.nodes[i].group.count, 4);
        cr_assert_eq(match_group_index(&cell.nodes[i].match, wire_sid(cell.nodes[4].id)), -1);
    }
}

Test(match, a_weight_that_cannot_be_is_refused)
{
    const uint64_t weights[] = {0, MATCH_WEIGHT_MAX + 1, UINT64_MAX, MATCH_WEIGHT_MAX};
    for (size_t i = 0; i < 4; i++) {
        cell_init(2, false);
        cell.nodes[1].willing = false;
        struct one *n = &cell.nodes[0];
        start(0);
        n->match.mine.offer.weight = weights[i]; /* repeated, properly signed, on a new link */
        carrier_clear(&cell.carrier);
        match_link(&n->match, wire_sid(cell.nodes[1].id), cell.carrier.now, &sink);
        cr_assert_eq(cell.carrier.count, 1);
        cr_assert_eq(match_frame(&cell.nodes[1].match, n->id, WIRE_READY,
                                 bytes_of(cell.carrier.queue[0].data, cell.carrier.queue[0].count),
                                 cell.carrier.now, &sink),
                     i == 3);
    }
}
