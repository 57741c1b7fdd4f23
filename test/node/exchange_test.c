#include "node/exchange.h"

#include <criterion/criterion.h>
#include <unistd.h>

static struct exchange x;
static int woken;

static void wake(void *self)
{
    cr_assert_eq(self, &woken);
    woken++;
}

static void begin(void)
{
    exchange_init(&x);
    x.wake = wake;
    x.wake_self = &woken;
}

static void end(void) { exchange_fini(&x); }

TestSuite(exchange, .init = begin, .fini = end);

static void order(enum order_kind kind, uint64_t epoch)
{
    exchange_order(&x, &(struct order){.kind = kind, .epoch = epoch});
}

static void tell(enum event_kind kind, uint64_t steps)
{
    exchange_tell(&x, &(struct event){.kind = kind, .round.steps = steps});
}

Test(exchange, orders_come_in_the_order_in_which_they_were_given)
{
    struct order o;
    cr_assert_not(exchange_next(&x, false, &o), "there is none at first");
    for (uint64_t i = 0; i < 3 * EXCHANGE_ROOM; i++) { /* round and round */
        order(ORDER_APPLY, 2 * i);
        order(ORDER_HOLD, 2 * i + 1);
        cr_assert(exchange_next(&x, false, &o));
        cr_assert(o.kind == ORDER_APPLY && o.epoch == 2 * i);
        cr_assert(exchange_next(&x, true, &o), "one that is there is not waited for");
        cr_assert(o.kind == ORDER_HOLD && o.epoch == 2 * i + 1);
    }
    cr_assert_not(exchange_next(&x, false, &o));
}

static void *order_later(void *ctx)
{
    (void)ctx;
    usleep(20000);
    order(ORDER_FINISH, 7);
    return NULL;
}

Test(exchange, a_trainer_without_work_sleeps_until_it_gets_an_order, .timeout = 20)
{
    pthread_t thread;
    struct order o;
    cr_assert_eq(pthread_create(&thread, NULL, order_later, NULL), 0);
    cr_assert(exchange_next(&x, true, &o));
    cr_assert(o.kind == ORDER_FINISH && o.epoch == 7);
    pthread_join(thread, NULL);
}

Test(exchange, of_several_steps_the_latest_remains)
{
    struct event e;
    for (uint64_t i = 1; i <= 2 * EXCHANGE_ROOM; i++) tell(EVENT_STEP, i);
    cr_assert_eq(woken, 2 * EXCHANGE_ROOM, "the network's thread is roused for each");
    cr_assert(exchange_heard(&x, &e));
    cr_assert(e.kind == EVENT_STEP && e.round.steps == 2 * EXCHANGE_ROOM);
    cr_assert_not(exchange_heard(&x, &e));
}

Test(exchange, steps_do_not_pass_what_was_said_between_them)
{
    static const enum event_kind said[] = {EVENT_STEP, EVENT_SNAPSHOT, EVENT_STEP,
                                           EVENT_STEP, EVENT_APPLIED,  EVENT_APPLIED};
    static const uint64_t heard[] = {0, 1, 3, 4, 5};
    struct event e;
    for (uint64_t i = 0; i < 6; i++) tell(said[i], i);
    for (size_t i = 0; i < 5; i++) {
        cr_assert(exchange_heard(&x, &e));
        cr_assert_eq(e.round.steps, heard[i]);
        cr_assert_eq(e.kind, said[heard[i]]);
    }
    cr_assert_not(exchange_heard(&x, &e));
}
