#include "arguments.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "scenario.h"

static const char *const worlds[] = {
    [WORLDS_ORDINARY] = "",
    [WORLDS_FAR] = "--far",
    [WORLDS_WRONG] = "--wrong",
    [WORLDS_LIES] = "--lies",
};

bool arguments_number(const char *s, char **end, uint64_t *out)
{
    errno = 0;
    if (*s < '0' || *s > '9') return false;
    *out = strtoull(s, end, 10);
    return errno == 0;
}

/* "3,5" as bits; false when it is no list of numbers below `count`. */
static bool read_bits(const char *s, uint64_t count, uint64_t *bits)
{
    for (char *end;; s = end + 1) {
        uint64_t number;
        if (!arguments_number(s, &end, &number) || number >= count) return false;
        *bits |= (uint64_t)1 << number;
        if (!*end) return true;
        if (*end != ',') return false;
    }
}

static bool take_flag(struct sim_options *o, const char *name)
{
    const struct {
        const char *name;
        bool *flag;
    } flags[] = {
        {"--trace", &o->trace},
        {"--no-loss", &o->less.loss},
        {"--no-duplicates", &o->less.duplicates},
        {"--no-reordering", &o->less.reordering},
        {"--no-damage", &o->less.damage},
    };
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++)
        if (strcmp(name, flags[i].name) == 0) return *flags[i].flag = true;
    return false;
}

static int wrong(const char *name, const char *wanted)
{
    fprintf(stderr, "sim: %s needs %s\n", name, wanted);
    return -1;
}

int arguments_take(struct sim_options *o, int argc, char **argv, int i)
{
    const char *name = argv[i], *value = i + 1 < argc ? argv[i + 1] : "";
    uint64_t number = 0, bits = 0;
    char *end = "";
    bool any = arguments_number(value, &end, &number) && !*end;
    if (take_flag(o, name)) return 1;
    for (size_t k = 1; k < sizeof worlds / sizeof *worlds; k++)
        if (strcmp(name, worlds[k]) == 0) {
            o->worlds = (enum sim_worlds)k;
            return 1;
        }
    if (strcmp(name, "--html") == 0) {
        if (!*value) return wrong(name, "a file to write");
        o->html = value;
    } else if (strcmp(name, "--nodes") == 0) {
        if (!any || number < 1 || number > 20) return wrong(name, "a number from 1 to 20");
        o->nodes = (uint32_t)number;
    } else if (strcmp(name, "--salt") == 0) {
        if (!any) return wrong(name, "a whole number");
        o->salt = number;
    } else if (strcmp(name, "--calm") == 0) {
        if (!any || number < 1 || number > 1000000) return wrong(name, "seconds, at least 1");
        o->less.calm_s = (uint32_t)number;
    } else if (strcmp(name, "--without") == 0) {
        if (!read_bits(value, SCENARIO_PLAN_MAX, &bits))
            return wrong(name, "numbers of planned faults, with commas between");
        o->less.faults = bits;
    } else if (strcmp(name, "--absent") == 0) {
        if (!read_bits(value, SIM_NODES_MAX, &bits))
            return wrong(name, "numbers of nodes, with commas between");
        o->less.nodes = (uint32_t)bits;
    } else return 0;
    return 2;
}

static void put_bits(FILE *to, const char *name, uint64_t bits)
{
    const char *before = name;
    for (uint32_t i = 0; i < 64; i++)
        if (bits >> i & 1) {
            fprintf(to, "%s%u", before, i);
            before = ",";
        }
}

void arguments_repeat(const struct sim_options *o, char out[ARGUMENTS_TEXT_BYTES])
{
    FILE *to = fmemopen(out, ARGUMENTS_TEXT_BYTES, "w");
    if (!to) abort();
    fprintf(to, "zig build sim -- %s%s%llu", worlds[o->worlds], o->worlds ? " " : "",
            (unsigned long long)o->seed);
    if (o->nodes) fprintf(to, " --nodes %u", o->nodes);
    if (o->salt) fprintf(to, " --salt %llu", (unsigned long long)o->salt);
    put_bits(to, " --without ", o->less.faults);
    put_bits(to, " --absent ", o->less.nodes);
    if (o->less.loss) fprintf(to, " --no-loss");
    if (o->less.duplicates) fprintf(to, " --no-duplicates");
    if (o->less.reordering) fprintf(to, " --no-reordering");
    if (o->less.damage) fprintf(to, " --no-damage");
    if (o->less.calm_s) fprintf(to, " --calm %u", o->less.calm_s);
    fclose(to);
}
