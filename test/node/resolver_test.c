#include "node/resolver.h"

#include <criterion/criterion.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"

static struct peerlist_name names[40];
static atomic_int asked[40], woken, hung;
static sem_t hang, said;
static struct resolver *resolver;

static void wake(void *ctx)
{
    woken++;
    sem_post(&said);
}

/* Names are numbers: 0..9 are known, 10..19 only from the third time on, 20..29 hang until the test
 * lets them go. */
static enum err look_up(const struct resolve_name *name, struct address out[RESOLVE_ADDRESSES_MAX],
                        size_t *count, struct why *w)
{
    int n = atoi(name->host), times = ++asked[n];
    if (n >= 20) {
        hung++;
        sem_wait(&hang);
    }
    if (n >= 10 && n < 20 && times < 3)
        return why(w, ERR_NETWORK, "looking up %s: nobody knows it", name->host);
    *count = 2;
    out[0] = (struct address){.family = 4, .ip = {10, 0, 0, (uint8_t)n}, .port = name->port};
    out[1] = (struct address){.family = 6, .ip = {[15] = (uint8_t)n}, .port = name->port};
    return ERR_OK;
}

static struct resolver_config config(const int *hosts, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        names[i] = (struct peerlist_name){.id = {(uint8_t)(i + 1)}, .name = {.port = 4433}};
        snprintf(names[i].name.host, sizeof names[i].name.host, "%d", hosts[i]);
    }
    return (struct resolver_config){.names = names,
                                    .count = count,
                                    .wake = wake,
                                    .retry_first = span_ms(1),
                                    .retry_most = span_ms(4),
                                    .again = span_s(300),
                                    .look_up = look_up};
}

static void open_for(const int *hosts, size_t count)
{
    struct resolver_config c = config(hosts, count);
    struct why w = {0};
    cr_assert_eq(resolver_open(&resolver, &c, &w), ERR_OK, "%s", w.text);
}

static struct resolver_answer next(void)
{
    struct resolver_answer a;
    while (!resolver_take(resolver, &a)) sem_wait(&said);
    return a;
}

static void start(void)
{
    sem_init(&hang, 0, 0);
    sem_init(&said, 0, 0);
}

static void stop(void)
{
    for (int i = 0; i < 40; i++) sem_post(&hang);
    resolver_close(resolver);
    resolver = NULL;
}

TestSuite(resolver, .init = start, .fini = stop, .timeout = 30);

Test(resolver, hands_over_all_addresses_of_a_name)
{
    open_for((int[]){7}, 1);
    struct resolver_answer a = next();
    cr_assert_eq(a.of.id[0], 1);
    cr_assert_eq(a.count, 2);
    cr_assert(a.addresses[0].family == 4 && a.addresses[0].ip[3] == 7);
    cr_assert(a.addresses[1].family == 6 && a.addresses[1].port == 4433);
    cr_assert(a.changed && !a.failures);
    cr_assert_not(resolver_take(resolver, &a), "once");
}

Test(resolver, asks_again_until_a_name_is_known)
{
    open_for((int[]){12}, 1);
    struct resolver_answer a = next();
    cr_assert(a.count == 0 && a.failures == 1 && a.changed);
    cr_assert_str_eq(a.why, "looking up 12: nobody knows it");
    a = next();
    cr_assert(a.count == 0 && a.failures == 2 && !a.changed);
    a = next();
    cr_assert(a.count == 2 && a.failures == 0 && a.changed);
}

Test(resolver, asks_again_for_one_that_was_known)
{
    struct resolver_config c = config((int[]){3}, 1);
    c.again = span_ms(1);
    cr_assert_eq(resolver_open(&resolver, &c, NULL), ERR_OK);
    cr_assert(next().changed);
    struct resolver_answer a = next();
    cr_assert(a.count == 2 && !a.changed, "a second time, with the same answer");
}

Test(resolver, goes_on_while_names_hang)
{
    int hosts[] = {20, 21, 22, 23, 24, 1, 2, 3, 11};
    open_for(hosts, 9);
    unsigned seen = 0;
    while (seen != (1u << 1 | 1u << 2 | 1u << 3 | 1u << 11)) {
        struct resolver_answer a = next();
        if (a.count) seen |= 1u << atoi(a.of.name.host);
    }
    cr_assert_leq(hung, 5);
}

Test(resolver, ends_at_once_while_names_hang)
{
    int hosts[40];
    for (int i = 0; i < 40; i++) hosts[i] = 20 + i % 10;
    open_for(hosts, 40);
    while (hung < 8) usleep(1000);
    resolver_close(resolver); /* or this test runs into its limit */
    resolver = NULL;
    int woke = woken;
    for (int i = 0; i < 8; i++) sem_post(&hang);
    usleep(20000);
    cr_assert_eq(woken, woke, "nobody is woken after the end");
}

Test(resolver, needs_no_thread_without_names)
{
    open_for(NULL, 0);
    struct resolver_answer a;
    cr_assert_not(resolver_take(resolver, &a));
}
