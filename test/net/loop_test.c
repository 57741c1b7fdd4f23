#include <criterion/criterion.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/rng.h"
#include "net/loop.h"

static struct loop *l;

static void start(void) { cr_assert_eq(loop_open(&l, NULL), ERR_OK); }
static void stop(void) { loop_close(l); }
TestSuite(loop, .init = start, .fini = stop, .timeout = 120);

struct tick {
    struct loop_timer timer;
    int fired;
    instant at;
};
static uint64_t order[1000];
static size_t order_count;

static void on_tick(void *ctx, instant now)
{
    struct tick *t = ctx;
    t->fired++;
    t->at = clock_now();
    if (order_count < 1000) order[order_count++] = t->timer.due.ns;
}

static struct tick tick_new(void) { return (struct tick){.timer = {.fire = on_tick}}; }

Test(loop, fires_timers_once_in_order_and_never_early)
{
    static struct tick t[500];
    struct rng rng = rng_init(1);
    instant now = clock_now(), end = instant_after(now, span_ms(300));
    for (size_t i = 0; i < 500; i++) {
        t[i] = tick_new();
        t[i].timer.ctx = &t[i];
        loop_timer_set(l, &t[i].timer, instant_after(now, span_us(rng_below(&rng, 100000))));
    }
    for (size_t i = 0; i < 500; i += 3) /* moved */
        loop_timer_set(l, &t[i].timer, instant_after(now, span_us(rng_below(&rng, 100000))));
    for (size_t i = 0; i < 500; i += 5) loop_timer_clear(l, &t[i].timer);
    while (!instant_reached(clock_now(), end)) loop_turn(l, end);
    for (size_t i = 0; i < 500; i++) {
        cr_assert_eq(t[i].fired, i % 5 ? 1 : 0);
        if (t[i].fired) cr_assert_geq(t[i].at.ns, t[i].timer.due.ns);
    }
    cr_assert_eq(order_count, 400);
    for (size_t i = 1; i < order_count; i++) cr_assert_leq(order[i - 1], order[i]);
}

static void again(void *ctx, instant now)
{
    struct tick *t = ctx;
    if (++t->fired < 5)
        loop_timer_set(l, &t->timer, now); /* due already: next turn at the latest */
}

Test(loop, lets_a_timer_set_itself_again)
{
    struct tick t = {.timer = {.fire = again, .ctx = &t}};
    instant end = instant_after(clock_now(), span_ms(100));
    loop_timer_set(l, &t.timer, clock_now());
    while (!instant_reached(clock_now(), end)) loop_turn(l, end);
    cr_assert_eq(t.fired, 5);
}

Test(loop, sleeps_until_something_is_due)
{
    struct tick t = tick_new();
    t.timer.ctx = &t;
    instant began = clock_now(), end = instant_after(began, span_ms(400));
    loop_timer_set(l, &t.timer, instant_after(began, span_ms(200)));
    while (!instant_reached(clock_now(), end)) loop_turn(l, end);
    cr_assert_eq(t.fired, 1);
    cr_assert_leq(loop_wakeups(l), 4, "%llu wake-ups for one timer",
                  (unsigned long long)loop_wakeups(l));
}

struct worker {
    struct loop_call call;
    atomic_int posted, ran;
};

static void on_call(void *ctx) { atomic_fetch_add(&((struct worker *)ctx)->ran, 1); }

static void *post_many(void *ctx)
{
    struct worker *w = ctx;
    for (int i = 0; i < 1000; i++) {
        atomic_fetch_add(&w->posted, 1);
        loop_post(l, &w->call);
        if (i % 100 == 0) usleep(1000);
    }
    return NULL;
}

Test(loop, hears_other_threads)
{
    static struct worker w[4];
    pthread_t threads[4];
    for (size_t i = 0; i < 4; i++) {
        w[i].call = (struct loop_call){.run = on_call, .ctx = &w[i]};
        pthread_create(&threads[i], NULL, post_many, &w[i]);
    }
    instant end = instant_after(clock_now(), span_ms(200));
    while (!instant_reached(clock_now(), end)) loop_turn(l, end);
    for (size_t i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
        loop_turn(l, clock_now());
        cr_assert_geq(w[i].ran, 1);
        cr_assert_leq(w[i].ran, 1000);
        int before = w[i].ran;
        loop_post(l, &w[i].call); /* and one more, after all the others ran */
        loop_turn(l, clock_now());
        cr_assert_eq(w[i].ran, before + 1);
    }
}

static atomic_bool asked;

static void *stop_soon(void *ctx)
{
    usleep(20000);
    asked = true;
    loop_stop(l);
    return NULL;
}

Test(loop, runs_until_another_thread_stops_it)
{
    pthread_t t;
    pthread_create(&t, NULL, stop_soon, NULL);
    loop_run(l);
    cr_assert(asked, "not before");
    pthread_join(t, NULL);
}

static int jobs;
static struct loop_job job;
static void on_job(void *ctx)
{
    if (++jobs < 3) loop_defer(l, &job);
}

Test(loop, runs_a_job_once_a_turn)
{
    job = (struct loop_job){.run = on_job};
    loop_defer(l, &job);
    loop_defer(l, &job);
    loop_turn(l, clock_now());
    cr_assert_eq(jobs, 1);
    loop_turn(l, INSTANT_NEVER); /* does not sleep: it deferred itself */
    cr_assert_eq(jobs, 2);
    loop_turn(l, INSTANT_NEVER);
    cr_assert_eq(jobs, 3);
    loop_turn(l, clock_now());
    cr_assert_eq(jobs, 3);
    loop_defer(l, &job);
    loop_undefer(l, &job);
    loop_turn(l, clock_now());
    cr_assert_eq(jobs, 3);
}

static int heard;
static struct loop_socket one, two;
static void on_ready(void *ctx, uint32_t events)
{
    heard++;
    loop_forget(l, &one);
    loop_forget(l, &two);
}

Test(loop, says_nothing_more_of_a_socket_it_was_told_to_forget)
{
    int p[2], q[2];
    cr_assert_eq(pipe(p) | pipe(q), 0);
    one = (struct loop_socket){p[0], on_ready, NULL};
    two = (struct loop_socket){q[0], on_ready, NULL};
    cr_assert_eq(loop_watch(l, &one, EPOLLIN, NULL), ERR_OK);
    cr_assert_eq(loop_watch(l, &two, EPOLLIN, NULL), ERR_OK);
    cr_assert_eq(write(p[1], "x", 1) + write(q[1], "x", 1), 2);
    loop_turn(l, INSTANT_NEVER); /* both are ready; whichever comes first forgets both */
    cr_assert_eq(heard, 1);
    loop_turn(l, clock_now());
    cr_assert_eq(heard, 1);
}

static void hold_up(void *ctx, instant now) { usleep(30000); }

Test(loop, measures_how_late_it_serves)
{
    struct loop_timer slow = {.fire = hold_up};
    struct tick t[100];
    instant now = clock_now();
    for (size_t i = 0; i < 100; i++) {
        t[i] = tick_new();
        t[i].timer.ctx = &t[i];
        loop_timer_set(l, &t[i].timer, instant_after(now, span_ms(i)));
    }
    loop_timer_set(l, &slow, instant_after(now, span_us(50500)));
    instant end = instant_after(now, span_ms(150));
    while (!instant_reached(clock_now(), end)) loop_turn(l, end);
    struct loop_lag lag = loop_lag(l, true);
    cr_assert_eq(lag.count, 101);
    cr_assert_geq(lag.max_ms, 28, "the timer due just after the hold-up waited 29 ms: %g",
                  lag.max_ms);
    cr_assert_geq(lag.p99_ms, 25, "some 30 of 101 waited up to 29 ms: %g", lag.p99_ms);
    cr_assert_leq(lag.p50_ms, lag.p99_ms);
    cr_assert_leq(lag.p99_ms, lag.max_ms);
    cr_assert_eq(loop_lag(l, false).count, 0);
    loop_timer_set(l, &t[0].timer, (instant){0});
    loop_turn(l, INSTANT_NEVER);
    lag = loop_lag(l, true);
    cr_assert_eq(lag.count, 1);
    cr_assert_leq(lag.max_ms, 1000, "0 means at once, not late since the machine was booted: %g",
                  lag.max_ms);
}
