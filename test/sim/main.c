/* main.c -- zig build sim: runs seeds, each in a process of its own, and reports the results
 * (sim.h). */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/machine.h"
#include "base/whole.h"
#include "less.h"
#include "arguments.h"
#include "scenario.h"
#include "shrink.h"
#include "trial.h"

#define SEED_FIRST 1
#define SEED_LAST  200
#define JOBS_MAX   64
#define SHRINK_S   300 /* shrinking begins no more tries after that */

struct totals {
    uint64_t passed, failed, events, rounds, faults[FAULT_COUNT];
    uint64_t hash;
};

struct choice {
    struct sim_options run; /* of each seed, whose number is still missing */
    uint64_t first, last;
    uint32_t jobs;
    bool quiet, shrink;
    bool stop; /* at the first failure */
    bool said; /* print only the lines of a golden file */
    const char *golden;
    const char *only; /* scenarios, by parts of their names, with commas between; NULL: all */
};

static struct sim_options options_of(const struct choice *c, uint64_t seed)
{
    struct sim_options o = c->run;
    o.seed = seed;
    return o;
}

static void print_faults(const uint64_t faults[FAULT_COUNT])
{
    bool any = false;
    for (int f = 0; f < FAULT_COUNT; f++)
        if (faults[f]) {
            printf("%s%s %llu", any ? ", " : "", fault_name((enum fault)f),
                   (unsigned long long)faults[f]);
            any = true;
        }
    if (!any) printf("no faults");
}

static void print_repeat(const struct sim_options *o)
{
    char text[ARGUMENTS_TEXT_BYTES];
    arguments_repeat(o, text);
    printf("  repeat: %s --trace, or --html FILE%s\n", text,
           less_any(&o->less) ? "" : ", or --shrink");
}

static void print_report(const struct sim_options *o, const struct sim_report *r)
{
    const uint64_t seed = o->seed;
    if (r->ok)
        printf("seed %llu: ok, %s, %u nodes, %llu rounds (%llu in groups), %.0f s, %llu events, ",
               (unsigned long long)seed, r->scenario, r->nodes, (unsigned long long)r->rounds,
               (unsigned long long)r->grouped, (double)r->at.ns * 1e-9,
               (unsigned long long)r->events);
    else
        printf("seed %llu: FAILED at %.3f s (event %llu): %s\n  scenario %s, %u nodes, ",
               (unsigned long long)seed, (double)r->at.ns * 1e-9, (unsigned long long)r->events,
               r->violation, r->scenario, r->nodes);
    print_faults(r->faults);
    if (r->forks || r->adoptions)
        printf("; %llu forks seen, %llu adoptions", (unsigned long long)r->forks,
               (unsigned long long)r->adoptions);
    if (r->seconds) printf("; %llu second histories", (unsigned long long)r->seconds);
    printf("; bits %016llx, hash %016llx\n", (unsigned long long)r->bits,
           (unsigned long long)r->hash);
    if (!r->ok) print_repeat(o);
}

/* What asks for one seed gets one, the page can be written, and what is left out is there. */
static bool sound(const struct choice *c)
{
    const char *one = c->run.html ? "--html" : c->shrink ? "--shrink" : NULL;
    if (!one && less_any(&c->run.less)) one = "what is left out";
    if (!one) return true;
    if (c->first != c->last) {
        fprintf(stderr, "sim: %s is for one seed: name one, not a range\n", one);
        return false;
    }
    struct sim_options o = options_of(c, c->first);
    if (!less_valid(&o)) return false;
    FILE *f = o.html ? fopen(o.html, "w") : NULL;
    if (o.html && !f) fprintf(stderr, "sim: writing %s: %s\n", o.html, strerror(errno));
    if (f) fclose(f);
    return f || !o.html;
}

/* Does the golden file hold `said` for this seed? */
static bool as_golden(const struct choice *c, uint64_t seed, uint64_t said)
{
    unsigned long long its, was;
    bool same = false;
    FILE *f = c->golden ? fopen(c->golden, "r") : NULL;
    if (!f) return !c->golden;
    while (!same && fscanf(f, "%llu %llx", &its, &was) == 2) same = its == seed && was == said;
    fclose(f);
    return same;
}

/* Waits for one child and adds its report to the totals. */
static void collect(struct trial *j, const struct choice *c, struct totals *t)
{
    struct sim_report r;
    struct sim_options o = options_of(c, j->seed);
    enum trial_end end = trial_end(j, &r);
    if (end == TRIAL_DIED) {
        printf("seed %llu: FAILED: the process died; what it said is above\n",
               (unsigned long long)j->seed);
        print_repeat(&o);
        t->failed++;
        return;
    }
    if (r.ok && !as_golden(c, j->seed, r.said)) {
        r.ok = false;
        snprintf(r.violation, sizeof r.violation,
                 "golden: %s has other messages or notes for this seed, or none", c->golden);
    }
    if (c->said && !r.ok)
        fprintf(stderr, "seed %llu: FAILED: %s\n", (unsigned long long)j->seed, r.violation);
    else if (c->said)
        printf("%llu %016llx\n", (unsigned long long)j->seed, (unsigned long long)r.said);
    else if (!r.ok || !c->quiet) print_report(&o, &r);
    if (r.ok && end == TRIAL_WHOLE) t->passed++;
    else t->failed++;
    t->events += r.events;
    t->rounds += r.rounds;
    t->hash ^= r.hash;
    for (int f = 0; f < FAULT_COUNT; f++) t->faults[f] += r.faults[f];
}

/* Is the seed's scenario among those that --only names? */
static bool chosen(const struct choice *c, uint64_t seed)
{
    const char *name = scenario_name(scenario_kind_of(seed, c->run.worlds));
    for (const char *word = c->only; word;
         word = strchr(word, ',') ? strchr(word, ',') + 1 : NULL) {
        char part[32];
        snprintf(part, sizeof part, "%.*s", (int)strcspn(word, ","), word);
        if (strstr(name, part)) return true;
    }
    return !c->only;
}

static bool read_seeds(const char *s, struct choice *c)
{
    char *end;
    if (!arguments_number(s, &end, &c->first)) return false;
    c->last = c->first;
    if (strncmp(end, "..", 2) == 0 && !arguments_number(end + 2, &end, &c->last)) return false;
    return *end == 0 && c->last >= c->first;
}

static void usage(void)
{
    fprintf(
        stderr,
        "usage: sim [--far | --wrong | --lies] [SEED | FIRST..LAST] [--nodes 1..20] [--salt N] "
        "[--trace] [--html FILE] [--shrink] [--without FAULT,...] [--absent NODE,...] [--no-loss] "
        "[--no-duplicates] [--no-reordering] [--no-damage] [--calm SECONDS] [--jobs N] "
        "[--quiet] [--stop] [--golden FILE] [--said] [--only SCENARIO,...]\n"
        "Without a seed: 1..200. test/sim/sim.h says how to read a failure.\n");
    exit(2);
}

static void choose(int argc, char **argv, struct choice *c)
{
    *c = (struct choice){.first = SEED_FIRST,
                         .last = SEED_LAST,
                         .jobs = (uint32_t)min_u64(machine_processors(), JOBS_MAX)};
    for (int i = 1; i < argc; i++) {
        uint64_t number = 0;
        char *end = "";
        bool has = i + 1 < argc && arguments_number(argv[i + 1], &end, &number) && *end == 0;
        int took = arguments_take(&c->run, argc, argv, i);
        if (took < 0) exit(2);
        if (took > 0) i += took - 1;
        else if (strcmp(argv[i], "--quiet") == 0) c->quiet = true;
        else if (strcmp(argv[i], "--stop") == 0) c->stop = true;
        else if (strcmp(argv[i], "--said") == 0) c->said = true;
        else if (strcmp(argv[i], "--shrink") == 0) c->shrink = true;
        else if (strcmp(argv[i], "--only") == 0 && i + 1 < argc) c->only = argv[++i];
        else if (strcmp(argv[i], "--golden") == 0 && i + 1 < argc) c->golden = argv[++i];
        else if (strcmp(argv[i], "--jobs") == 0 && has && number >= 1 && number <= JOBS_MAX)
            c->jobs = (uint32_t)number, i++;
        else if (!read_seeds(argv[i], c)) usage();
    }
    if (c->run.trace) c->jobs = 1;
}

/* ---- --shrink ---- */

struct shrinking {
    char invariant[600]; /* the violation up to its colon; all of it when the process died */
    uint32_t limit_s;    /* of a try's processor time */
    instant until;
    struct sim_report report; /* of the smallest world so far */
};

static void name_invariant(const struct sim_report *r, char out[600])
{
    bool died = strncmp(r->violation, "died", 4) == 0;
    snprintf(out, 600, "%.*s", died ? 599 : (int)strcspn(r->violation, ":"), r->violation);
}

static enum shrink_answer fails_alike(void *self, const struct sim_options *o)
{
    struct shrinking *s = self;
    struct trial t;
    struct sim_report r;
    char invariant[600];
    if (clock_now().ns > s->until.ns) return SHRINK_STOP;
    trial_start(&t, o, true, s->limit_s);
    trial_end(&t, &r);
    name_invariant(&r, invariant);
    if (r.ok || strcmp(invariant, s->invariant) != 0) return SHRINK_NO;
    s->report = r;
    return SHRINK_YES;
}

/* Runs the seed as it is; false when its failure cannot be shrunk. */
static bool fails_first(const struct sim_options *o, struct shrinking *s)
{
    struct trial t;
    instant before = clock_now();
    trial_start(&t, o, true, TRIAL_LIMIT_S);
    trial_end(&t, &s->report);
    s->limit_s = 10 + 3 * (uint32_t)(span_in_ms(instant_since(clock_now(), before)) / 1000);
    s->until = instant_after(clock_now(), span_s(SHRINK_S));
    name_invariant(&s->report, s->invariant);
    if (s->report.ok) fprintf(stderr, "sim: the seed passes: there is nothing to shrink\n");
    else if (strcmp(s->invariant, "proved nothing") == 0)
        fprintf(stderr, "sim: a world that proved nothing proves no more when it is smaller\n");
    else return true;
    return false;
}

static int shrink_seed(const struct choice *c)
{
    struct shrinking s = {.limit_s = 0};
    struct shrunk out;
    struct sim_options o = options_of(c, c->first);
    o.html = NULL;
    o.trace = false;
    if (!fails_first(&o, &s)) return 2;
    printf("seed %llu fails: %s\n", (unsigned long long)o.seed, s.report.violation);
    shrink(&o, fails_alike, &s, &out);
    printf("the smallest world found that fails so, in %u tries%s:\n", out.tries,
           out.stopped ? ", with no time for more" : "");
    less_print(&out.options, stdout);
    print_report(&out.options, &s.report);
    if (!c->run.html && !c->run.trace) return 1;
    struct trial t; /* the smallest one is shown */
    out.options.html = c->run.html;
    out.options.trace = c->run.trace;
    trial_start(&t, &out.options, false, TRIAL_LIMIT_S);
    trial_end(&t, &s.report);
    return 1;
}

int main(int argc, char **argv)
{
    struct choice c;
    struct trial jobs[JOBS_MAX] = {0};
    struct totals t = {0};
    choose(argc, argv, &c);
    if (c.golden && access(c.golden, R_OK)) {
        fprintf(stderr, "sim: reading %s: %s\n", c.golden, strerror(errno));
        return 2;
    }
    if (!sound(&c)) return 2;
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (c.shrink) return shrink_seed(&c);
    /* Seeds are reported in the order they were started, so the output is the same whatever the
     * number of jobs. */
    uint64_t count = c.last - c.first + 1;
    for (uint64_t i = 0; i < count + c.jobs; i++) {
        struct trial *j = &jobs[i % c.jobs];
        if (j->child) collect(j, &c, &t);
        struct sim_options o = options_of(&c, c.first + i);
        if (i < count && !(c.stop && t.failed) && chosen(&c, o.seed))
            trial_start(j, &o, false, TRIAL_LIMIT_S);
    }
    if (count > 1 && !c.said) {
        printf("%llu seeds passed, %llu failed; %llu rounds, %llu events, ",
               (unsigned long long)t.passed, (unsigned long long)t.failed,
               (unsigned long long)t.rounds, (unsigned long long)t.events);
        print_faults(t.faults);
        printf("; hash %016llx\n", (unsigned long long)t.hash);
    }
    return t.failed ? 1 : 0;
}
