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

#define SUBJECT_COUNT (sizeof subjects / sizeof subjects[0])

static void usage(FILE *to)
{
    fprintf(to, "usage: shoal bench SUBJECT ...        shoal bench SUBJECT --help tells more\n\n");
    for (size_t i = 0; i < SUBJECT_COUNT; i++)
        fprintf(to, "  %-10s %s\n", subjects[i].name, subjects[i].summary);
}

int bench_main(int argc, char **argv)
{
    for (size_t i = 0; argc >= 2 && i < SUBJECT_COUNT; i++)
        if (!strcmp(argv[1], subjects[i].name)) return subjects[i].main(argc - 1, argv + 1);
    if (argc >= 2 && (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h"))) {
        usage(stdout);
        return 0;
    }
    struct why w;
    why(&w, ERR_USAGE,
        argc >= 2 ? "there is no subject '%s': cpu, gpu and net are"
                  : "name a subject: cpu, gpu or net",
        argc >= 2 ? argv[1] : "");
    return command_failed("bench", &w);
}
