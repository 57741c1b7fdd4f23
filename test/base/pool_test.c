#include <criterion/criterion.h>
#include <stdatomic.h>

#include "base/pool.h"

static void count_piece(void *ctx, size_t index, size_t thread)
{
    (void)thread;
    atomic_int *hits = ctx;
    atomic_fetch_add(&hits[index], 1);
}

Test(pool, runs_each_piece_once_job_after_job)
{
    struct pool *p;
    static atomic_int hits[100];
    cr_assert_eq(pool_open(&p, 3, 0, NULL), ERR_OK);
    for (int job = 1; job <= 200; job++) {
        pool_run(p, count_piece, hits, 100);
        for (int i = 0; i < 100; i++) cr_assert_eq(atomic_load(&hits[i]), job);
    }
    pool_run(p, count_piece, hits, 0);
    pool_close(p);
}

static void note_thread(void *ctx, size_t index, size_t thread)
{
    (void)index;
    size_t *highest = ctx;
    if (thread > *highest) *highest = thread;
}

Test(pool, of_one_thread_works_in_the_caller)
{
    struct pool *p;
    size_t highest = 0;
    cr_assert_eq(pool_open(&p, 1, 0, NULL), ERR_OK);
    cr_assert_eq(pool_threads(p), 1);
    pool_run(p, note_thread, &highest, 10);
    cr_assert_eq(highest, 0);
    pool_close(p);
}
