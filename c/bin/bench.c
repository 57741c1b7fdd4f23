/* bench.c -- `shoal bench`: measures this machine, subject by subject. */
#include "bin/bench.h"

#include <stdio.h>
#include <string.h>

#include "bin/command.h"

static const struct command subjects[] = {
    {"cpu", bench_cpu,
     "training on this machine's processor: tokens a second and share of its peak"},
    {"gpu", bench_gpu, "training on a GPU, the same way"},
    {"net", bench_net, "parcels between two processes on this machine: Gbit/s and CPU seconds"},
};

int bench_main(int argc, char **argv)
{
    static const struct command_choice choice = {
        "bench", "subject", "cpu, gpu", "net", subjects, sizeof subjects / sizeof *subjects};
    return command_choose(&choice, argc, argv);
}
