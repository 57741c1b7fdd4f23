/* How long packets may be, against a path that is imagined. */
#include "net/payload.h"

#include <criterion/criterion.h>

static struct payload p;
static instant now;
static size_t passes;           /* the longest packet that the path carries; 0: none at all */
static uint64_t packets, bytes; /* lost */
static const span pto = {1000 * 1000000u};

static void begin(void)
{
    p = (struct payload){0};
    payload_init(&p);
    p.probes = true;
    now = (instant){1000000000u};
    passes = 9000;
    packets = bytes = 0;
}

static void wait_ms(uint64_t ms) { now = instant_after(now, span_ms(ms)); }

static void tick(void) { payload_tick(&p, 1452, packets, bytes, pto, now); }

/* A round trip: a probe if one is wanted, then a packet as long as allowed. What arrives is
 * acknowledged; what does not is lost if something after it arrives. `small`: a short packet goes
 * along. Returns the length of the long packet. */
static size_t turn(bool small)
{
    tick();
    size_t probe = payload_probe(&p, now);
    uint32_t id = payload_probe_id(&p, probe);
    if (probe) payload_probed(&p, probe, true, pto, now);
    size_t count = p.cap < 1452 ? p.cap : 1452;
    payload_sent(&p, count, now);
    wait_ms(600);
    bool arrived = count <= passes || (small && passes);
    if (probe && probe <= passes) payload_probe_acked(&p, id, now);
    else if (probe && arrived) payload_probe_lost(&p, id);
    if (count > passes && arrived) packets++, bytes += count;
    if (arrived) payload_acked(&p);
    wait_ms(600);
    tick();
    return count;
}

static void turns(int n, bool small)
{
    for (int i = 0; i < n; i++) turn(small);
}

Test(payload, is_the_longest_on_a_good_path, .init = begin)
{
    for (int i = 0; i < 1000; i++) cr_assert_eq(turn(i % 2), 1452);
    cr_assert_eq(p.state, PAYLOAD_STEADY);
}

Test(payload, is_not_probed_where_nothing_is_lost, .init = begin)
{
    for (int i = 0; i < 1000; i++) {
        tick();
        cr_assert_eq(payload_probe(&p, now), 0);
        payload_sent(&p, 1452, now);
        wait_ms(600);
        payload_acked(&p);
    }
}

Test(payload, falls_to_1200_within_two_timeouts_when_nothing_arrives, .init = begin)
{
    turns(10, false);
    passes = 1300;
    turn(false);
    cr_assert_eq(turn(false), 1200);
}

Test(payload, falls_though_short_packets_still_arrive, .init = begin)
{
    turns(10, true);
    passes = 1300;
    turns(4, true);
    cr_assert_leq(turn(true), 1300);
}

Test(payload, is_then_the_longest_that_arrives, .init = begin)
{
    const size_t found[][2] = {{1451, 1444}, {1444, 1444}, {1443, 1406}, {1400, 1372}, {1350, 1342},
                               {1300, 1232}, {1232, 1232}, {1231, 1200}, {1200, 1200}};
    for (size_t i = 0; i < sizeof found / sizeof *found; i++) {
        begin();
        turns(10, false);
        passes = found[i][0];
        turns(25, false);
        cr_assert_eq(turn(false), found[i][1], "%zu pass: %zu", passes, turn(false));
    }
}

Test(payload, grows_again_when_the_path_does, .init = begin)
{
    passes = 1300;
    turns(30, false);
    cr_assert_eq(turn(false), 1232);
    passes = 9000;
    for (int i = 0; i < 2; i++) { /* it may have been in the middle of a search */
        wait_ms(60000);
        turns(3, false);
    }
    cr_assert_eq(turn(false), 1452);
    cr_assert_eq(p.cap, SIZE_MAX);
}

Test(payload, of_a_narrow_path_is_asked_for_less_and_less_often, .init = begin)
{
    int probes = 0;
    passes = 1300;
    turns(30, false);
    for (int s = 0; s < 86400; s++) {
        tick();
        for (size_t n; (n = payload_probe(&p, now));) {
            uint32_t id = payload_probe_id(&p, n);
            probes++;
            payload_probed(&p, n, true, pto, now);
            if (n <= passes) payload_probe_acked(&p, id, now);
            payload_acked(&p);
            if (n > passes) payload_probe_lost(&p, id);
        }
        wait_ms(1000);
    }
    cr_assert_gt(probes, 100);
    cr_assert_lt(probes, 2400, "%d", probes); /* 16 a search, 144 searches a day and a few more */
}

Test(payload, is_not_searched_for_while_nothing_arrives, .init = begin)
{
    turns(10, false);
    passes = 0;
    turns(2, false);
    for (int i = 0; i < 1000; i++) {
        tick();
        cr_assert_eq(payload_probe(&p, now), 0);
        turn(false);
    }
    passes = 9000;
    turns(2, false);
    cr_assert_eq(turn(false), 1452, "it is as before two round trips after an outage");
}

Test(payload, is_not_decided_by_an_outage_during_a_search, .init = begin)
{
    turns(10, false);
    passes = 0;
    turns(2, false);
    passes = 1200;
    turn(false);
    cr_assert_eq(p.state, PAYLOAD_SEARCH);
    passes = 0;
    turns(100, false);
    passes = 9000;
    turns(3, false);
    cr_assert_eq(turn(false), 1452);
}

Test(payload, survives_random_loss, .init = begin)
{
    /* Every third long packet is lost, and every third probe: never three of them in a row. */
    size_t shorter = 0;
    for (int i = 0; i < 3000; i++) {
        passes = i % 3 == 2 ? 1201 : 9000;
        if (turn(true) < 1452) shorter++;
    }
    cr_assert_lt(shorter, 1800, "%zu", shorter);
    passes = 9000;
    turns(5, true);
    cr_assert_eq(turn(true), 1452);
}

Test(payload, of_a_peer_that_takes_no_probes_stays_short_after_one_doubt, .init = begin)
{
    p.probes = false;
    passes = 1300;
    turns(2, false);
    passes = 9000;
    for (int i = 0; i < 1000; i++) {
        cr_assert_eq(turn(true), 1200);
        tick();
        cr_assert_eq(payload_probe(&p, now), 0);
    }
}

Test(payload, starts_anew_on_another_path, .init = begin)
{
    passes = 1300;
    turns(30, false);
    uint32_t id = payload_probe_id(&p, 1452);
    payload_probed(&p, 1452, true, pto, now);
    payload_tick(&p, 1200, packets, bytes, pto, now);
    cr_assert_eq(p.cap, SIZE_MAX);
    payload_probe_acked(&p, id, now);
    cr_assert_eq(p.pause.ns, span_s(5).ns, "the other path's probe says nothing of this one");
}

Test(payload, believes_its_own_device_at_once, .init = begin)
{
    turns(10, false);
    payload_too_long(&p, 1452);
    tick();
    cr_assert_eq(p.cap, 1200);
    size_t n = payload_probe(&p, now);
    cr_assert_eq(n, 1444);
    payload_probed(&p, n, true, pto, now);
    payload_too_long(&p, n);
    cr_assert_eq(payload_probe(&p, now), 1406);
}

Test(payload, does_not_probe_again_and_again_where_a_packet_has_no_room_for_it, .init = begin)
{
    turns(10, false);
    passes = 1300;
    turn(false);
    payload_acked(&p);
    cr_assert_eq(payload_probe(&p, now), 1452);
    payload_probed(&p, 1452, false, pto, now);
    cr_assert_eq(payload_probe(&p, now), 0);
    wait_ms(1000);
    cr_assert_eq(payload_probe(&p, now), 1452);
}
