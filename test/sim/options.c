#include "options.h"

#include <stdio.h>

void options_repeat(const struct sim_options *o, char out[OPTIONS_TEXT_BYTES])
{
    FILE *to = fmemopen(out, OPTIONS_TEXT_BYTES, "w");
    if (!to) return;
    fprintf(to, "zig build sim -- %s%llu", o->far ? "--far " : "", (unsigned long long)o->seed);
    if (o->nodes) fprintf(to, " --nodes %u", o->nodes);
    if (o->salt) fprintf(to, " --salt %llu", (unsigned long long)o->salt);
    fclose(to);
}
