#include "fleet/summary.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static struct fleet *f;

static void begin(void) { f = calloc(1, sizeof *f); }

static void end(void)
{
    for (size_t i = 0; i < f->count; i++) {
        free(f->workers[i].watch.steps.points);
        free(f->workers[i].watch.evaluations.points);
    }
    free(f);
}

TestSuite(summary, .init = begin, .fini = end);

static struct watch_series series(const struct watch_point *points, size_t count)
{
    struct watch_point *copy = malloc(count * sizeof *copy);
    memcpy(copy, points, count * sizeof *copy);
    return (struct watch_series){.points = copy, .count = count, .room = count};
}

/* A worker that did one step of 64 tokens and 1000 ms in each second from `first` to `last`; the
 * loss is that second. */
static struct fleet_worker *worker(double first, double last)
{
    struct fleet_worker *k = &f->workers[f->count++];
    const size_t count = (size_t)(last - first) + 1;
    struct watch_point points[64];
    cr_assert_leq(count, 64);
    for (size_t i = 0; i < count; i++)
        points[i] = (struct watch_point){
            .t = first + (double)i, .value = first + (double)i, .ms = 1000, .step = i};
    k->watch.steps = series(points, count);
    k->watch.batch_tokens = 64;
    k->watch.parameters = 1000;
    k->watch.ended = true;
    k->began = first - 1;
    k->ended = last;
    return k;
}

static struct summary sum(void)
{
    struct summary s;
    summary_of_logs(f, &s);
    return s;
}

Test(summary, tokens_are_divided_by_the_time_from_the_first_step_to_the_last)
{
    worker(101, 110);
    worker(105, 110);
    const struct summary s = sum();
    cr_assert_eq(s.workers, 2);
    cr_assert_eq(s.inner_steps, 16);
    cr_assert_eq(s.tokens, 16 * 64);
    cr_assert_float_eq(s.tokens_per_second, 16 * 64 / 10.0, 1e-9);
    cr_assert_float_eq(s.sync_share, 0, 1e-9, "all of their time went into steps");
}

/* Its steps of a round that was dropped, or was not averaged in the end, are time lost too. */
Test(summary, time_without_steps_that_count_is_the_share_of_synchronising)
{
    struct fleet_worker *k = worker(101, 110);
    k->watch.dropped_ms = 1000;
    k->watch.pending_ms = 1000;
    cr_assert_float_eq(sum().sync_share, 0.2, 1e-9);
    k->watch.excluded_ms = 2000; /* evaluation is nobody's loss */
    cr_assert_float_eq(sum().sync_share, 0, 1e-9);
}

Test(summary, data_parallel_would_send_gradients_among_those_who_were_alive)
{
    worker(101, 110);
    cr_assert_float_eq(sum().bytes_data_parallel, 0, 1e-9, "one alone sends nothing");
    worker(106, 110);
    /* Five steps of both: 2 (g - 1) / g of four bytes a parameter, of each of the two. */
    cr_assert_float_eq(sum().bytes_data_parallel, (6 + 5) * 4000.0, 1e-6);
}

Test(summary, first_losses_are_of_starters_and_last_ones_of_finishers)
{
    worker(101, 110);
    worker(105, 112)->joined_late = true;
    worker(103, 109)->watch.ended = false;
    const struct summary s = sum();
    cr_assert_float_eq(s.train_loss_first, (101 + 103) / 2.0, 1e-9);
    cr_assert_float_eq(s.train_loss_last, (110 + 112) / 2.0, 1e-9);
}

Test(summary, the_earliest_and_the_latest_evaluation_of_all_count)
{
    const struct watch_point a[] = {{.t = 5, .value = 6}, {.t = 20, .value = 3}};
    const struct watch_point b[] = {{.t = 4, .value = 7}, {.t = 10, .value = 5}};
    worker(101, 102)->watch.evaluations = series(a, 2);
    worker(101, 102)->watch.evaluations = series(b, 2);
    const struct summary s = sum();
    cr_assert_float_eq(s.validation_loss_first, 7, 1e-12);
    cr_assert_float_eq(s.validation_loss, 3, 1e-12);
}

Test(summary, a_join_counts_where_state_was_transferred_to_a_late_worker)
{
    struct fleet_worker *k = worker(101, 102);
    k->watch.joined_servers = 2; /* one that was there from the start, and fell behind */
    k->watch.joined_bytes = 77;
    cr_assert_eq(sum().joins, 0);
    k = worker(101, 102);
    k->joined_late = true;
    cr_assert_eq(sum().joins, 0, "nor one that took over nothing");
    k->watch.joined_servers = 3;
    k->watch.joined_bytes = 5000;
    k->watch.joined_epoch = 4;
    const struct summary s = sum();
    cr_assert_eq(s.joins, 1);
    cr_assert_eq(s.join_servers, 3);
    cr_assert_eq(s.join_bytes, 5000);
    cr_assert_eq(s.join_epoch, 4);
}

Test(summary, bytes_epochs_and_crashes_are_of_all_processes)
{
    struct fleet_worker *k = worker(101, 102);
    k->watch.sent = 10;
    k->watch.sent_before = 20;
    k->watch.epoch = 3;
    k->watch.lag_p99_ms = 4;
    k = worker(101, 102);
    k->watch.sent = 5;
    k->watch.epoch = 5;
    k->watch.lag_p99_ms = 2;
    k->crashed = true;
    const struct summary s = sum();
    cr_assert_float_eq(s.bytes_sent, 35, 1e-9);
    cr_assert_eq(s.epochs, 5);
    cr_assert_eq(s.crashes, 1);
    cr_assert_float_eq(s.network_lag_p99_ms, 4, 1e-9);
}

Test(summary, a_swarm_that_did_nothing_has_no_rates)
{
    f->count = 2;
    const struct summary s = sum();
    cr_assert_eq(s.tokens, 0);
    cr_assert_float_eq(s.tokens_per_second, 0, 0);
    cr_assert(isnan(s.train_loss_first) && isnan(s.train_loss_last) && isnan(s.sync_share));
    cr_assert(isnan(s.validation_loss));
}
