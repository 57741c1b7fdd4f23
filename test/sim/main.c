/* main.c -- zig build sim: runs seeds, each in a process of its own, and reports the results
 * (sim.h). */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/machine.h"
#include "base/whole.h"
#include "options.h"
#include "scenario.h"
#include "sim.h"

#define SEED_FIRST 1
#define SEED_LAST  200
#define JOBS_MAX   64
#define LIMIT_S    300 /* processor time for one seed: catches endless loops */

struct job {
    pid_t child;
    int pipe;
    uint64_t seed;
};

struct totals {
    uint64_t passed, failed, events, rounds, faults[FAULT_COUNT];
    uint64_t hash;
};

struct choice {
    uint64_t first, last;
    uint32_t nodes, jobs;
    uint64_t salt;
    bool trace, quiet, far;
    bool stop; /* at the first failure */
    bool said; /* print only the lines of a golden file */
    const char *golden;
    const char *html; /* one seed's page */
    const char *only; /* scenarios, by parts of their names, with commas between; NULL: all */
};

static struct sim_report report; /* in the child: a signal handler reads its time */

static void on_signal(int number)
{
    char line[120];
    int n = snprintf(line, sizeof line, "sim: signal %d at %.3f s, event %llu\n", number,
                     (double)report.at.ns * 1e-9, (unsigned long long)report.events);
    if (write(STDERR_FILENO, line, (size_t)n) < 0) _exit(3);
    signal(number, SIG_DFL); /* should the page die of it, too */
    snprintf(line, sizeof line, "assert: the process died of signal %d; stderr says why", number);
    sim_died(line);
    _exit(3);
}

static struct sim_options options_of(const struct choice *c, uint64_t seed)
{
    return (struct sim_options){.seed = seed,
                                .nodes = c->nodes,
                                .salt = c->salt,
                                .trace = c->trace,
                                .far = c->far,
                                .html = c->html};
}

static void start(struct job *j, uint64_t seed, const struct choice *c)
{
    int ends[2];
    fflush(NULL);
    if (pipe(ends) != 0 || (j->child = fork()) < 0) {
        fprintf(stderr, "sim: no process for seed %llu: %s\n", (unsigned long long)seed,
                strerror(errno));
        exit(2);
    }
    j->seed = seed;
    j->pipe = ends[0];
    if (j->child == 0) {
        const int signals[] = {SIGABRT, SIGSEGV, SIGILL, SIGTRAP, SIGFPE, SIGBUS, SIGVTALRM};
        for (size_t i = 0; i < sizeof signals / sizeof *signals; i++) signal(signals[i], on_signal);
        setitimer(ITIMER_VIRTUAL, &(struct itimerval){.it_value.tv_sec = LIMIT_S}, NULL);
        struct sim_options o = options_of(c, seed);
        bool whole = sim_run(&o, &report);
        _exit(write(ends[1], &report, sizeof report) == sizeof report && whole ? 0 : 2);
    }
    close(ends[1]);
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

static void print_repeat(const struct choice *c, uint64_t seed)
{
    char text[OPTIONS_TEXT_BYTES];
    struct sim_options o = options_of(c, seed);
    options_repeat(&o, text);
    printf("  repeat: %s --trace, or --html FILE\n", text);
}

static void print_report(const struct choice *c, uint64_t seed, const struct sim_report *r)
{
    if (r->ok && c->quiet) return;
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
    printf("; bits %016llx, hash %016llx\n", (unsigned long long)r->bits,
           (unsigned long long)r->hash);
    if (!r->ok) print_repeat(c, seed);
}

/* Can the page be written? Known before the run, not after it. */
static bool can_write(const struct choice *c)
{
    if (!c->html) return true;
    if (c->first != c->last) {
        fprintf(stderr, "sim: --html shows one seed: name one, not a range\n");
        return false;
    }
    FILE *f = fopen(c->html, "w");
    if (!f) fprintf(stderr, "sim: writing %s: %s\n", c->html, strerror(errno));
    else fclose(f);
    return f;
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
static void collect(struct job *j, const struct choice *c, struct totals *t)
{
    struct sim_report r;
    size_t have = 0;
    for (ssize_t n; have < sizeof r; have += (size_t)n)
        if ((n = read(j->pipe, (char *)&r + have, sizeof r - have)) <= 0) break;
    close(j->pipe);
    int status = 0;
    waitpid(j->child, &status, 0);
    j->child = 0;
    if (have < sizeof r) {
        printf("seed %llu: FAILED: the process died; what it said is above\n",
               (unsigned long long)j->seed);
        print_repeat(c, j->seed);
        t->failed++;
        return;
    }
    r.scenario = r.scenario ? r.scenario : ""; /* a string constant: the same address after fork */
    if (r.ok && !as_golden(c, j->seed, r.said)) {
        r.ok = false;
        snprintf(r.violation, sizeof r.violation,
                 "golden: %s has other messages or notes for this seed, or none", c->golden);
    }
    if (c->said) printf("%llu %016llx\n", (unsigned long long)j->seed, (unsigned long long)r.said);
    else print_report(c, j->seed, &r);
    if (r.ok && status == 0) t->passed++;
    else t->failed++;
    t->events += r.events;
    t->rounds += r.rounds;
    t->hash ^= r.hash;
    for (int f = 0; f < FAULT_COUNT; f++) t->faults[f] += r.faults[f];
}

/* Is the seed's scenario among those that --only names? */
static bool chosen(const struct choice *c, uint64_t seed)
{
    const char *name = scenario_name(scenario_kind_of(seed, c->far));
    for (const char *word = c->only; word;
         word = strchr(word, ',') ? strchr(word, ',') + 1 : NULL) {
        char part[32];
        snprintf(part, sizeof part, "%.*s", (int)strcspn(word, ","), word);
        if (strstr(name, part)) return true;
    }
    return !c->only;
}

static bool read_number(const char *s, char **end, uint64_t *out)
{
    errno = 0;
    if (*s < '0' || *s > '9') return false;
    *out = strtoull(s, end, 10);
    return errno == 0;
}

static bool read_seeds(const char *s, struct choice *c)
{
    char *end;
    if (!read_number(s, &end, &c->first)) return false;
    c->last = c->first;
    if (strncmp(end, "..", 2) == 0 && !read_number(end + 2, &end, &c->last)) return false;
    return *end == 0 && c->last >= c->first;
}

static void usage(void)
{
    fprintf(stderr, "usage: sim [--far] [SEED | FIRST..LAST] [--nodes 1..20] [--salt N] [--trace] "
                    "[--html FILE] [--jobs N] [--quiet] [--stop] [--golden FILE] [--said] "
                    "[--only SCENARIO,...]\n"
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
        bool has = i + 1 < argc && read_number(argv[i + 1], &end, &number) && *end == 0;
        if (strcmp(argv[i], "--trace") == 0) c->trace = true;
        else if (strcmp(argv[i], "--quiet") == 0) c->quiet = true;
        else if (strcmp(argv[i], "--far") == 0) c->far = true;
        else if (strcmp(argv[i], "--stop") == 0) c->stop = true;
        else if (strcmp(argv[i], "--said") == 0) c->said = true;
        else if (strcmp(argv[i], "--only") == 0 && i + 1 < argc) c->only = argv[++i];
        else if (strcmp(argv[i], "--golden") == 0 && i + 1 < argc) c->golden = argv[++i];
        else if (strcmp(argv[i], "--html") == 0 && i + 1 < argc) c->html = argv[++i];
        else if (strcmp(argv[i], "--nodes") == 0 && has && number >= 1 && number <= 20)
            c->nodes = (uint32_t)number, i++;
        else if (strcmp(argv[i], "--salt") == 0 && has) c->salt = number, i++;
        else if (strcmp(argv[i], "--jobs") == 0 && has && number >= 1 && number <= JOBS_MAX)
            c->jobs = (uint32_t)number, i++;
        else if (!read_seeds(argv[i], c)) usage();
    }
    if (c->trace) c->jobs = 1;
}

int main(int argc, char **argv)
{
    struct choice c;
    struct job jobs[JOBS_MAX] = {0};
    struct totals t = {0};
    choose(argc, argv, &c);
    if (c.golden && access(c.golden, R_OK)) {
        fprintf(stderr, "sim: reading %s: %s\n", c.golden, strerror(errno));
        return 2;
    }
    if (!can_write(&c)) return 2;
    setvbuf(stdout, NULL, _IOLBF, 0);
    /* Seeds are reported in the order they were started, so the output is the same whatever the
     * number of jobs. */
    uint64_t count = c.last - c.first + 1;
    for (uint64_t i = 0; i < count + c.jobs; i++) {
        struct job *j = &jobs[i % c.jobs];
        if (j->child) collect(j, &c, &t);
        if (i < count && !(c.stop && t.failed) && chosen(&c, c.first + i))
            start(j, c.first + i, &c);
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
