/* group_test.c -- several GPUs joined by NCCL (cu/group.cu): what a sum and a copy give, and one
 * sentence for each thing that may be missing or fail. On fibers, with what stands in for NCCL;
 * test/model/ranks_test.c trains on them. */
#include "golden.h"

#define GPUS  3
#define COUNT 1000

static struct backend gpus[GPUS];
static float *vectors[GPUS]; /* of each */

static float number(size_t gpu, size_t i) { return (float)((i * 7 + gpu * 13) % 101) - 50; }

static void open_gpus(size_t count)
{
    struct why w;
    if (!getenv("NCCL_BIN")) cr_skip("not on fibers");
    setenv("FIBER_DEVICES", "3", 1);
    for (size_t g = 0; g < count; g++) {
        float host[COUNT];
        void *memory;
        cr_assert_eq(cuda_open(&gpus[g], &(struct cuda_options){.device = (int)g}, &w), ERR_OK,
                     "%s", w.text);
        cr_assert_eq(gpus[g].alloc(gpus[g].self, sizeof host, &memory, &w), ERR_OK, "%s", w.text);
        for (size_t i = 0; i < COUNT; i++) host[i] = number(g, i);
        gpus[g].upload(gpus[g].self, memory, host, sizeof host);
        vectors[g] = memory;
    }
}

static void join_gpus(size_t count)
{
    struct why w;
    open_gpus(count);
    cr_assert_eq(cuda_join(gpus, count, getenv("NCCL_BIN"), &w), ERR_OK, "%s", w.text);
}

static void close_gpus(size_t count)
{
    for (size_t g = 0; g < count; g++) {
        gpus[g].free(gpus[g].self, vectors[g], COUNT * sizeof(float));
        cuda_close(&gpus[g]);
    }
}

/* Each GPU's vector is that of the numbers of the GPUs `first` to `last` added up, and what is
 * behind `count` is its own. */
static void hold(size_t count, size_t first, size_t last)
{
    for (size_t g = 0; g < GPUS; g++) {
        float host[COUNT];
        cr_assert_eq(gpus[g].download(gpus[g].self, host, vectors[g], sizeof host, NULL), ERR_OK);
        for (size_t i = 0; i < COUNT; i++) {
            float expected = i < count ? 0 : number(g, i);
            for (size_t of = first; i < count && of <= last; of++) expected += number(of, i);
            cr_assert_eq(host[i], expected, "GPU %zu, element %zu", g, i);
        }
    }
}

Test(group, adds_up_so_many_elements_on_each)
{
    join_gpus(GPUS);
    cr_assert_eq(gpus[0].all_reduce(gpus[0].self, vectors, 777, NULL), ERR_OK);
    hold(777, 0, 2);
    close_gpus(GPUS);
}

Test(group, copies_the_first_to_each)
{
    join_gpus(GPUS);
    cr_assert_eq(gpus[0].broadcast(gpus[0].self, vectors, 777, NULL), ERR_OK);
    hold(777, 0, 0);
    close_gpus(GPUS);
}

/* Each is given its numbers, and its work behind the sum, while nothing has run yet. */
Test(group, keeps_to_the_order_in_which_each_was_given_its_work)
{
    const char *const orders[] = {"behind", "ahead"};
    for (int o = 0; o < 2; o++) {
        setenv("FIBER_STREAMS", orders[o], 1);
        join_gpus(GPUS);
        cr_assert_eq(gpus[0].all_reduce(gpus[0].self, vectors, COUNT, NULL), ERR_OK);
        gpus[1].zero(gpus[1].self, vectors[1], COUNT * sizeof(float));
        cr_assert_eq(gpus[0].all_reduce(gpus[0].self, vectors, COUNT, NULL), ERR_OK);
        for (size_t g = 0; g < GPUS; g++) {
            float host[COUNT];
            cr_assert_eq(gpus[g].download(gpus[g].self, host, vectors[g], sizeof host, NULL),
                         ERR_OK);
            for (size_t i = 0; i < COUNT; i++)
                cr_assert_eq(host[i], 2 * (number(0, i) + number(1, i) + number(2, i)));
        }
        close_gpus(GPUS);
    }
}

static void cannot_be_joined(const char *library, const char *says)
{
    struct why w = {0};
    open_gpus(2);
    cr_assert_eq(cuda_join(gpus, 2, library, &w), ERR_DEVICE);
    cr_assert_not_null(strstr(w.text, says), "%s", w.text);
    cr_assert_not_null(strstr(w.text, "--device cuda:0"), "%s", w.text);
    cr_assert_null(gpus[0].all_reduce);
    close_gpus(2);
}

Test(group, without_the_library_says_where_it_was_looked_for_and_what_to_do)
{
    cannot_be_joined("/nowhere/libnccl.so.2",
                     "machine.nccl: /nowhere/libnccl.so.2 cannot be opened");
    cannot_be_joined(getenv("CUBLASLT_BIN"), " has no function ncclGetVersion"); /* another one */
}

Test(group, that_the_library_refuses_says_why)
{
    setenv("NCCL_FIBER_FAILS", "ncclCommInitAll", 1);
    cannot_be_joined(getenv("NCCL_BIN"),
                     "NCCL 2.28.9 cannot join 2 GPUs: unhandled system error; ");
}

Test(group, says_when_the_library_fails_to_add_up)
{
    struct why w;
    join_gpus(2);
    setenv("NCCL_FIBER_FAILS", "ncclAllReduce", 1);
    cr_assert_eq(gpus[0].all_reduce(gpus[0].self, vectors, COUNT, &w), ERR_DEVICE);
    cr_assert_str_eq(w.text, "adding up over 2 GPUs through NCCL failed: made to fail");
    close_gpus(2);
}

/* Whoever waits for one of them would wait for ever. */
Test(group, names_the_gpu_that_failed_whichever_is_waited_for)
{
    for (size_t waits = 0; waits < 2; waits++) {
        struct why w = {0};
        double sum;
        setenv("FIBER_FAILING", "1", 1);
        join_gpus(2);
        setenv("FIBER_FAILS", "0", 1);
        gpus[1].zero(gpus[1].self, vectors[1], 4);
        cr_assert_eq(gpus[waits].sum(gpus[waits].self, vectors[waits], COUNT, &sum, &w),
                     ERR_DEVICE);
        cr_assert_str_eq(w.text, "GPU 1 failed in zero: unspecified launch failure");
        cr_assert_eq(gpus[0].all_reduce(gpus[0].self, vectors, COUNT, &w), ERR_DEVICE);
        cr_assert_str_eq(w.text, "GPU 1 failed in zero: unspecified launch failure");
        unsetenv("FIBER_FAILS");
        close_gpus(2);
    }
}

/* Of the real one, which needs no GPU to be loaded. */
Test(group, finds_all_functions_in_the_library_of_this_machine)
{
    int version = 0;
    struct why w;
    if (cuda_nccl(&version, "", &w) != ERR_OK) {
        cr_assert_not_null(
            strstr(w.text, "there is no NCCL: no libnccl.so.2 where the loader looks"), "%s",
            w.text);
        cr_skip("no NCCL here");
    }
    cr_assert_geq(version, 21300);
}
