/* Tests of the simulator itself, with the fake swarm of oracle.h: it does what is asked, and
 * detects what is wrong. */
#include <criterion/criterion.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "oracle.h"
#include "own_clock.h"
#include "queue.h"
#include "less.h"
#include "scenario.h"
#include "shrink.h"
#include "sim.h"
#include "standin.h"
#include "swarm/wire.h"
#include "timeline_page.h"
#include "trial.h"

static struct sim_report run(enum cheat c, uint64_t seed, uint32_t nodes)
{
    struct sim_report r;
    oracle_reset(c);
    sim_run(&(struct sim_options){.seed = seed, .nodes = nodes}, &r);
    return r;
}

#define QUIET (10 * SCENARIO_COUNT + SCENARIO_QUIET)
#define LOSSY (10 * SCENARIO_COUNT + SCENARIO_LOSSY)

static void expect(enum cheat c, const char *invariant)
{
    struct sim_report r = run(c, QUIET, 4);
    cr_assert_not(r.ok, "the cheat was not seen");
    cr_assert(strncmp(r.violation, invariant, strlen(invariant)) == 0, "it said: %s", r.violation);
}

Test(queue, gives_what_is_earliest_and_of_equals_what_was_asked_first)
{
    struct queue q = {0};
    struct happening h = {0}, last = {0};
    struct rng r = rng_init(1);
    for (int i = 0; i < 5000; i++) queue_push(&q, (struct happening){.at = {rng_below(&r, 100)}});
    for (int i = 0; i < 5000; i++) {
        cr_assert(queue_next(&q, &h));
        cr_assert(h.at.ns > last.at.ns || i == 0 ||
                  (h.at.ns == last.at.ns && h.sequence > last.sequence));
        last = h;
    }
    cr_assert_not(queue_next(&q, &h));
    queue_fini(&q);
}

Test(own_clock, says_when_it_will_show_a_time_to_the_nanosecond)
{
    struct rng r = rng_init(1);
    for (int i = 0; i < 20000; i++) {
        struct own_clock c = {.origin_ns = rng_below(&r, span_s(1000000).ns),
                              .ppm = (int32_t)rng_below(&r, 401) - OWN_CLOCK_PPM,
                              .jumped_ns = rng_below(&r, span_s(100).ns)};
        instant from = {rng_below(&r, span_s(5000).ns)};
        instant to = instant_after(from, span_ns(rng_below(&r, span_s(120).ns)));
        instant before = own_clock_now(&c, from);
        own_clock_stand(&c, from, to);
        cr_assert_eq(own_clock_now(&c, to).ns, before.ns, "it stood still");
        instant due = instant_after(before, span_ns(1 + rng_below(&r, span_s(50000).ns)));
        instant at = own_clock_when(&c, due);
        cr_assert_gt(at.ns, to.ns);
        cr_assert_geq(own_clock_now(&c, at).ns, due.ns);
        cr_assert_lt(own_clock_now(&c, (instant){at.ns - 1}).ns, due.ns);
    }
    struct own_clock c = {.origin_ns = 50};
    cr_assert_eq(own_clock_when(&c, INSTANT_NEVER).ns, INSTANT_NEVER.ns);
    cr_assert_eq(own_clock_when(&c, (instant){3}).ns, 0, "it is past already");
}

Test(own_clock, is_up_to_200_millionths_fast_or_slow)
{
    struct own_clock fast = {.ppm = OWN_CLOCK_PPM}, slow = {.ppm = -OWN_CLOCK_PPM};
    cr_assert_eq(own_clock_now(&fast, (instant){span_s(5000).ns}).ns, span_ms(5001000).ns);
    cr_assert_eq(own_clock_now(&slow, (instant){span_s(5000).ns}).ns, span_ms(4999000).ns);
    struct scenario s;
    uint64_t needed[FAULT_COUNT] = {0};
    int32_t least = 0, most = 0;
    for (uint64_t seed = 1; seed < 100; seed++) {
        scenario_of(seed, 10, &s, needed);
        for (int i = 0; i < 10; i++) {
            if (s.ppm[i] < least) least = s.ppm[i];
            if (s.ppm[i] > most) most = s.ppm[i];
        }
    }
    cr_assert(least < -190 && least >= -OWN_CLOCK_PPM && most > 190 && most <= OWN_CLOCK_PPM);
    cr_assert(needed[FAULT_FREEZE] > 5 && needed[FAULT_JUMP] > 5);
}

Test(own_clock, never_goes_back_and_no_tick_comes_early_whatever_is_paused)
{
    uint64_t frozen = 0, jumped = 0;
    for (uint64_t i = 0; i < 20; i++) { /* oracle.c asserts it */
        struct sim_report r = run(CHEAT_TALK, i * SCENARIO_COUNT + SCENARIO_PAUSE, 6);
        frozen += r.faults[FAULT_FREEZE];
        jumped += r.faults[FAULT_JUMP];
    }
    cr_assert(frozen > 10 && jumped > 10);
}

Test(standin, refuses_a_signature_of_another_key_another_message_or_another_world)
{
    struct standin a = {.key = {1}, .world = 5}, b = {.key = {2}, .world = 5},
                   c = {.key = {1}, .world = 6};
    struct crypto ca = standin_crypto(&a), cb = standin_crypto(&b), cc = standin_crypto(&c);
    uint8_t sig[CRYPTO_SIGNATURE_BYTES];
    ca.sign(ca.self, bytes_of("yes", 3), sig);
    cr_assert(cb.verify(cb.self, a.key, bytes_of("yes", 3), sig));
    cr_assert_not(cb.verify(cb.self, b.key, bytes_of("yes", 3), sig));
    cr_assert_not(cb.verify(cb.self, a.key, bytes_of("yet", 3), sig));
    cr_assert_not(cc.verify(cc.self, a.key, bytes_of("yes", 3), sig));
    sig[63] ^= 1;
    cr_assert_not(cb.verify(cb.self, a.key, bytes_of("yes", 3), sig));
    cr_assert_eq(b.refused_count, 3);
}

Test(standin, counts_good_signatures_by_the_kind_of_what_is_signed)
{
    struct standin a = {.key = {1}, .world = 5};
    struct crypto c = standin_crypto(&a);
    uint8_t sig[CRYPTO_SIGNATURE_BYTES], run[CRYPTO_DIGEST_BYTES] = {7};
    wire_sign(&c, run, WIRE_SURE, bytes_of("yes", 3), sig);
    cr_assert(wire_verify(&c, run, WIRE_SURE, bytes_of("yes", 3), a.key, sig));
    cr_assert_not(wire_verify(&c, run, WIRE_ACCEPT, bytes_of("yes", 3), a.key, sig));
    cr_assert_eq(a.good[WIRE_SURE], 1);
    cr_assert_eq(a.good[WIRE_ACCEPT], 0);
}

Test(standin, hashes_parts_as_if_they_were_one)
{
    struct standin s = {0};
    struct crypto c = standin_crypto(&s);
    struct bytes parts[] = {bytes_of("ab", 2), bytes_of("", 0), bytes_of("c", 1)};
    uint8_t one[32], many[32];
    c.hash(c.self, parts, 3, many);
    crypto_hash(&c, bytes_of("abc", 3), one);
    cr_assert(memcmp(one, many, 32) == 0);
    crypto_hash(&c, bytes_of("abd", 3), one);
    cr_assert(memcmp(one, many, 32) != 0);
}

Test(network, gives_each_reliable_message_once_and_frames_in_order_whatever_is_lost)
{
    const struct oracle_counts *c = &oracle_counts;
    run(CHEAT_NONE, LOSSY, 5);
    cr_assert_gt(c->ups, 0);
    cr_assert_eq(c->frames, c->frames_sent);
    cr_assert_eq(c->frames_disordered, 0);
    cr_assert_eq(c->parcels, c->parcels_sent);
    cr_assert_eq(c->done_ok, c->parcels_sent);
    cr_assert_eq(c->replies_ok, c->requests_sent);
    cr_assert_eq(c->parcels_damaged + c->replies_wrong, 0);
}

Test(network, keeps_one_link_of_two_that_a_pair_dialled)
{
    struct sim_report r = run(CHEAT_NONE, QUIET, 5);
    cr_assert(r.ok, "%s", r.violation);
    /* All dial all: two links per pair, one of which is closed, at both ends. */
    cr_assert_eq(oracle_counts.ups, 5 * 4 * 2);
    cr_assert_eq(oracle_counts.downs, 5 * 4);
}

Test(network, loses_doubles_and_reorders_datagrams_only_where_the_scenario_says_so)
{
    struct oracle_counts quiet, lossy;
    run(CHEAT_NONE, QUIET, 5);
    quiet = oracle_counts;
    cr_assert_eq(quiet.datagrams, quiet.datagrams_sent);
    cr_assert_eq(quiet.datagrams_double, 0);
    uint64_t lost = 0;
    for (uint64_t seed = LOSSY; seed < LOSSY + 100; seed += SCENARIO_COUNT) {
        run(CHEAT_NONE, seed, 6);
        lossy = oracle_counts;
        lost += lossy.datagrams < lossy.datagrams_sent + lossy.datagrams_double;
    }
    cr_assert_gt(lost, 3);
}

Test(network, fails_what_is_under_way_when_the_peer_dies_and_then_says_that_the_link_is_down)
{
    struct sim_report r = run(CHEAT_TALK, 10 * SCENARIO_COUNT + SCENARIO_RESTART, 4);
    cr_assert_gt(r.faults[FAULT_CRASH], 0, "%s", r.violation);
    cr_assert_gt(oracle_counts.downs, 0);
    cr_assert_eq(oracle_counts.frames_disordered, 0);
}

Test(network, keeps_frames_in_order_across_partitions_and_pauses)
{
    for (int kind = SCENARIO_PARTITION; kind <= SCENARIO_PAUSE; kind++) {
        struct sim_report r = run(CHEAT_TALK, (uint64_t)(10 * SCENARIO_COUNT + kind), 6);
        cr_assert_gt(r.faults[kind == SCENARIO_PARTITION ? FAULT_PARTITION
                              : kind == SCENARIO_ONE_WAY ? FAULT_ONE_WAY
                                                         : FAULT_PAUSE],
                     0);
        cr_assert_gt(oracle_counts.frames, 0);
        cr_assert_eq(oracle_counts.frames_disordered, 0);
        cr_assert_leq(oracle_counts.parcels, oracle_counts.parcels_sent);
        cr_assert_eq(oracle_counts.done_ok + oracle_counts.done_failed, oracle_counts.parcels_sent);
        cr_assert_eq(oracle_counts.replies_ok + oracle_counts.replies_failed,
                     oracle_counts.requests_sent);
    }
}

Test(sim, passes_a_swarm_that_averages_rightly)
{
    struct sim_report r = run(CHEAT_NONE, QUIET, 4);
    cr_assert(r.ok, "%s", r.violation);
    cr_assert_geq(r.rounds, 10);
    cr_assert_geq(r.grouped, 10);
}

Test(sim, gives_the_same_hash_for_the_same_seed_and_another_for_another)
{
    uint64_t a = run(CHEAT_NONE, LOSSY, 5).hash, b = run(CHEAT_NONE, LOSSY, 5).hash,
             c = run(CHEAT_NONE, LOSSY + SCENARIO_COUNT, 5).hash;
    cr_assert_eq(a, b);
    cr_assert_neq(a, c);
}

Test(sim, says_the_same_for_the_same_seed_and_something_else_for_another)
{
    uint64_t a = run(CHEAT_NONE, LOSSY, 5).said, b = run(CHEAT_NONE, LOSSY, 5).said,
             c = run(CHEAT_NONE, LOSSY + SCENARIO_COUNT, 5).said;
    cr_assert_eq(a, b);
    cr_assert_neq(a, c);
}

Test(sim, sees_a_contribution_that_is_added_twice) { expect(CHEAT_TWICE, "average:"); }
Test(sim, sees_a_contribution_that_is_counted_and_missing) { expect(CHEAT_MISSING, "average:"); }
Test(sim, sees_weights_that_are_not_the_tokens) { expect(CHEAT_WEIGHT, "average:"); }
Test(sim, sees_tokens_that_nobody_trained_on) { expect(CHEAT_TOKENS, "average:"); }
Test(sim, sees_a_member_that_is_told_it_is_not_in_the_mean) { expect(CHEAT_CLAIM, "average:"); }
Test(sim, sees_a_mean_of_what_nobody_contributed) { expect(CHEAT_NOISE, "average:"); }
Test(sim, sees_a_contribution_to_another_round) { expect(CHEAT_STALE, "average:"); }
Test(sim, sees_one_bit_of_difference_under_one_lineage) { expect(CHEAT_BITS, "bits:"); }
Test(sim, sees_survivors_that_differ) { expect(CHEAT_LINEAGE, "survivors:"); }
Test(sim, sees_an_epoch_that_is_skipped) { expect(CHEAT_EPOCH, "back:"); }
Test(sim, sees_a_node_that_adopts_the_lighter_lineage) { expect(CHEAT_LIGHTER, "back:"); }
Test(sim, sees_a_round_that_does_not_end) { expect(CHEAT_MATCH, "bound:"); }
Test(sim, sees_a_trainer_that_stands_still) { expect(CHEAT_HOLD, "bound:"); }
Test(sim, sees_a_swarm_that_makes_no_progress) { expect(CHEAT_STOP, "heal:"); }
Test(sim, sees_a_node_that_acts_after_it_has_finished) { expect(CHEAT_GHOST, "ghost:"); }
Test(sim, sees_a_node_that_spins) { expect(CHEAT_SPIN, "driver:"); }
Test(sim, sees_a_node_that_floods) { expect(CHEAT_FLOOD, "memory:"); }
Test(sim, sees_a_node_that_uses_a_link_it_does_not_have) { expect(CHEAT_LINK, "driver:"); }

Test(sim, sees_a_second_history_that_nothing_caused)
{
    struct sim_report r = run(CHEAT_LINEAGE, LOSSY, 4);
    cr_assert(strncmp(r.violation, "cause:", 6) == 0, "it said: %s", r.violation);
}

Test(sim, sees_a_node_that_does_not_leave_when_told)
{
    struct sim_report r = run(CHEAT_TALK, 10 * SCENARIO_COUNT + SCENARIO_CHURN, 5);
    cr_assert(strncmp(r.violation, "leave:", 6) == 0, "it said: %s", r.violation);
}

/* ---- leaving out ---- */

#define ALL (10 * SCENARIO_COUNT + SCENARIO_ALL)

Test(less, leaves_times_and_speeds_of_what_stays_as_they_were)
{
    struct scenario whole, less;
    uint64_t needed[FAULT_COUNT] = {0}, less_needed[FAULT_COUNT] = {0};
    struct sim_options o = {.seed = ALL, .nodes = 6};
    less_scenario(&o, &whole, needed);
    o.less = (struct sim_less){.faults = 1 << 2 | 1 << 4, .nodes = 1 << 3, .loss = true};
    less_scenario(&o, &less, less_needed);
    cr_assert_gt(whole.plan_count, 5);
    cr_assert_eq(less.plan_count, whole.plan_count);
    for (uint32_t i = 0; i < whole.plan_count; i++) {
        cr_assert_eq(less.plan[i].at.ns, whole.plan[i].at.ns);
        cr_assert_eq(less.plan[i].length.ns, whole.plan[i].length.ns);
        cr_assert_eq(less.plan[i].done, i == 2 || i == 4);
    }
    cr_assert_eq(memcmp(less.step, whole.step, sizeof less.step), 0);
    cr_assert_eq(less.calm_at.ns, whole.calm_at.ns);
    for (uint32_t i = 0; i < less.plan_count; i++) less.plan[i].done = true;
    cr_assert_eq(scenario_calm(&whole).ns, whole.calm_at.ns);
    cr_assert_lt(scenario_calm(&less).ns, whole.calm_at.ns);
    cr_assert(whole.loss > 0 && less.loss == 0 && less.reorder == whole.reorder);
    cr_assert_gt(needed[FAULT_CRASH], 0);
    for (int f = 0; f < FAULT_COUNT; f++) cr_assert_eq(less_needed[f], 0);
}

Test(less, starts_no_absent_node_and_begins_no_fault_that_is_left_out)
{
    struct sim_report r;
    struct sim_options o = {.seed = ALL, .nodes = 6};
    oracle_reset(CHEAT_TALK);
    sim_run(&o, &r);
    cr_assert_gt(r.faults[FAULT_CRASH] + r.faults[FAULT_PAUSE] + r.faults[FAULT_PARTITION], 3);
    cr_assert_eq(r.faults[FAULT_JOIN], 1);
    o.less = (struct sim_less){.faults = ~0ull, .nodes = 3 << 4, .loss = true}; /* 5 joins */
    oracle_reset(CHEAT_TALK);
    sim_run(&o, &r);
    for (int f = 0; f < FAULT_COUNT; f++)
        cr_assert(r.faults[f] == 0 || f == FAULT_DUPLICATE || f == FAULT_REORDER, "%s",
                  fault_name((enum fault)f));
    cr_assert_leq(oracle_counts.ups, 4 * 3 * 2);
    cr_assert_eq(oracle_counts.dial_failures, 0, "a peer list names who is absent");
}

struct bug { /* a world fails if these are in it */
    uint64_t faults;
    uint32_t nodes;
    bool loss;
    uint64_t salt;  /* a world with something left out fails only with this one, modulo 4 */
    uint32_t tries; /* allowed; 0: any number */
};

static enum shrink_answer meets(void *self, const struct sim_options *o)
{
    struct bug *b = self;
    cr_assert_neq(o->less.nodes, (1u << o->nodes) - 1, "an empty world was tried");
    if (b->tries && --b->tries == 0) return SHRINK_STOP;
    bool in = !(o->less.faults & b->faults) && !(o->less.nodes & b->nodes) &&
              !(b->loss && o->less.loss) && o->salt % 4 == b->salt;
    return in ? SHRINK_YES : SHRINK_NO;
}

static struct shrunk shrink_to(struct bug b, uint32_t nodes)
{
    struct sim_options o = {.seed = ALL, .nodes = nodes};
    struct shrunk out;
    shrink(&o, meets, &b, &out);
    return out;
}

Test(shrink, leaves_only_what_the_failure_needs)
{
    for (uint32_t a = 0; a < 7; a++)
        for (uint32_t b = 0; b <= a; b++) {
            struct bug bug = {.faults = 1u << a | 1u << b, .nodes = 1u << a | 2u << b};
            struct shrunk s = shrink_to(bug, 12);
            struct scenario w;
            uint64_t needed[FAULT_COUNT];
            less_scenario(&s.options, &w, needed);
            cr_assert_eq(s.options.less.faults, ((1u << w.plan_count) - 1) & ~bug.faults);
            cr_assert_eq(s.options.less.nodes, ((1u << 12) - 1) & ~bug.nodes);
            cr_assert(s.options.less.loss && s.options.less.duplicates);
            cr_assert_leq(w.calm_at.ns, instant_after(scenario_calm(&w), span_s(11)).ns);
            cr_assert_not(s.stopped);
            cr_assert_lt(s.tries, 250);
        }
}

Test(shrink, keeps_one_node_and_the_loss_that_is_needed)
{
    struct shrunk s = shrink_to((struct bug){.loss = true}, 20);
    cr_assert_eq(__builtin_popcount(s.options.less.nodes), 19);
    cr_assert(!s.options.less.loss && s.options.less.reordering);
}

Test(shrink, tries_other_random_numbers_when_nothing_more_can_be_left_out)
{
    struct shrunk s = shrink_to((struct bug){.faults = 1, .nodes = 3, .salt = 3}, 6);
    cr_assert_eq(s.options.salt, 3);
    cr_assert_eq(s.options.less.nodes, 0x3c);
    cr_assert_eq(s.options.less.faults & 1, 0);
    cr_assert_neq(s.options.less.faults, 0);
}

Test(shrink, stops_with_the_smallest_so_far)
{
    struct shrunk s = shrink_to((struct bug){.faults = 1, .nodes = 3, .tries = 4}, 6);
    cr_assert(s.stopped);
    cr_assert_eq(s.tries, 4);
    cr_assert_neq(s.options.less.faults, 0);
    cr_assert_eq(s.options.less.nodes, 0);
}

/* The data in the page of --html (timeline.h). */
static json_t *page_data(const char *path)
{
    static char text[1 << 20];
    FILE *f = fopen(path, "r");
    cr_assert(f, "no page");
    text[fread(text, 1, sizeof text - 1, f)] = 0;
    fclose(f);
    char *data = strstr(text, "id=data>"), *end = data ? strstr(data, "</script>") : NULL;
    cr_assert(end);
    *end = 0; /* a browser ends the data here */
    json_error_t why;
    json_t *o = json_loads(data + strlen("id=data>"), 0, &why);
    cr_assert(o, "%s", why.text);
    return o;
}

Test(timeline, shows_the_violation_and_when_it_was)
{
    char path[] = "/tmp/sim-page-XXXXXX";
    struct sim_report r;
    close(mkstemp(path));
    oracle_reset(CHEAT_BITS);
    cr_assert(sim_run(&(struct sim_options){.seed = QUIET, .nodes = 4, .html = path}, &r));
    cr_assert_not(r.ok);
    json_t *page = page_data(path), *world = json_object_get(page, "world");
    cr_assert_str_eq(json_string_value(json_object_get(world, "violation")), r.violation);
    cr_assert(json_is_false(json_object_get(world, "ok")));
    double end = json_real_value(json_object_get(world, "end"));
    cr_assert_float_eq(end, (double)r.at.ns * 1e-9, 2e-3);
    cr_assert_eq(json_array_size(json_object_get(page, "workers")), 4);
    cr_assert_gt(json_array_size(json_object_get(page, "outer")), 0);
    unlink(path);
    json_decref(page);
}

/* The thread sanitizer hands signals on when it pleases: a process in a loop never gets them. */
static void need_signals(void)
{
#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
    cr_skip_test("the thread sanitizer holds signals back");
#endif
#endif
}

Test(timeline, is_written_when_the_process_dies)
{
    need_signals();
    char path[] = "/tmp/sim-page-XXXXXX";
    struct sim_report r;
    struct trial t;
    close(mkstemp(path));
    oracle_reset(CHEAT_DIE);
    trial_start(&t, &(struct sim_options){.seed = QUIET, .nodes = 4, .html = path}, true, 60);
    cr_assert_eq(trial_end(&t, &r), TRIAL_DIED);
    cr_assert(strstr(r.violation, "died: Assertion `cheat != CHEAT_DIE"), "it said: %s",
              r.violation);
    json_t *page = page_data(path), *world = json_object_get(page, "world");
    const char *said = json_string_value(json_object_get(world, "violation"));
    cr_assert(strstr(said, "died of signal 6"), "it said: %s", said);
    cr_assert_gt(json_array_size(json_object_get(page, "outer")), 4 * 3);
    unlink(path);
    json_decref(page);
}

Test(timeline, writes_no_markup_of_a_text)
{
    char path[] = "/tmp/sim-page-XXXXXX";
    close(mkstemp(path));
    json_t *data = json_pack("{s:s}", "text", "</script><b>");
    cr_assert(timeline_page(path, "a title", data));
    json_t *page = page_data(path);
    cr_assert_str_eq(json_string_value(json_object_get(page, "text")), "</script><b>");
    cr_assert_not(timeline_page("/nowhere/page.html", "a title", data));
    unlink(path);
    json_decref(page);
    json_decref(data);
}

Test(trial, stops_a_world_that_does_not_end_and_reports_one_that_does)
{
    need_signals();
    struct sim_report r, same;
    struct trial t;
    struct sim_options o = {.seed = QUIET, .nodes = 4};
    oracle_reset(CHEAT_NONE);
    trial_start(&t, &o, true, 60);
    cr_assert_eq(trial_end(&t, &r), TRIAL_WHOLE);
    sim_run(&o, &same);
    cr_assert_eq(r.hash, same.hash);
    cr_assert(r.ok && r.rounds >= 10);
    oracle_reset(CHEAT_LOOP);
    trial_start(&t, &o, true, 1);
    cr_assert_eq(trial_end(&t, &r), TRIAL_DIED);
    cr_assert_str_eq(r.violation, "died: signal 26");
}

Test(sim, says_that_it_proved_nothing_when_a_planned_fault_met_nobody)
{
    /* These nodes send only when a link comes up: of 60 datagrams too few are lost or reordered for
     * the scenario. */
    uint64_t told = 0;
    for (uint64_t seed = LOSSY; seed < LOSSY + 400; seed += 2 * SCENARIO_COUNT) {
        struct sim_report r = run(CHEAT_NONE, seed, 4);
        told += strncmp(r.violation, "proved nothing:", 15) == 0;
        cr_assert(r.ok || r.violation[0] == 'p', "it said: %s", r.violation);
    }
    cr_assert_gt(told, 0);
}
