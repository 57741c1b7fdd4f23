/* device_test.c -- what a machine may have for a GPU and a driver (cu/cuda.h): each lack is a
 * sentence, none is a silent CPU. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "cu/cuda.h"

static void expect_refused(int devices, const char *sentence)
{
    struct backend b;
    struct why w = {0};
    cr_assert_eq(cuda_devices(), devices, "where %s there are %d GPUs", sentence, cuda_devices());
    cr_assert_eq(cuda_open(&b, &(struct cuda_options){0}, &w), ERR_DEVICE);
    cr_assert_not_null(strstr(w.text, sentence), "%s", w.text);
    cr_assert_not_null(strstr(w.text, "set machine.device to cpu"), "%s", w.text);
}

Test(device, without_a_driver_there_is_no_gpu)
{
    setenv("FIBER_DRIVER", "0", 1);
    expect_refused(0, "this machine has no NVIDIA driver: install one, for CUDA 13.0 or later");
}

Test(device, with_a_driver_that_is_too_old_counts_as_one_that_does_not_open)
{
    static const char *const drivers[][2] = {{"11040", "for CUDA 11.4: install one for 13.0"},
                                             {"12080", "for CUDA 12.8: install one for 13.0"},
                                             {"12999", "install one for 13.0 or later"}};
    for (size_t i = 0; i < sizeof drivers / sizeof *drivers; i++) {
        setenv("FIBER_DRIVER", drivers[i][0], 1);
        expect_refused(1, drivers[i][1]);
    }
}

Test(device, with_a_driver_that_does_not_answer_counts_as_one_that_does_not_open)
{
    setenv("FIBER_DEVICES", "-1", 1);
    expect_refused(1, "asking for GPUs: unknown error");
}

Test(device, of_the_same_major_version_as_the_runtime_serves)
{
    struct backend b;
    struct why w;
    setenv("FIBER_DRIVER", "13000", 1);
    cr_assert_eq(cuda_devices(), 1);
    cr_assert_eq(cuda_open(&b, &(struct cuda_options){0}, &w), ERR_OK, "%s", w.text);
    cuda_close(&b);
}

Test(device, has_the_memory_that_nobody_else_has_taken)
{
    struct backend b;
    struct why w;
    setenv("FIBER_MEMORY", "100000000", 1);
    setenv("FIBER_OTHERS", "30000000", 1);
    cr_assert_eq(cuda_open(&b, &(struct cuda_options){0}, &w), ERR_OK, "%s", w.text);
    const size_t left = b.memory(b.self);
    cr_assert(left < 70000000 && left > 69000000, "%zu", left); /* less what it took itself */
    cuda_close(&b);
}
