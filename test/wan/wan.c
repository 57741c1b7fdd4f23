/* wan.c -- a wide area network on one machine: network namespaces, and delayed packets between
 * them.
 *
 *     wan MATRIX.yaml [OPTION...] [-- COMMAND...]    makes the nodes; runs COMMAND in each of them
 *     wan --enter PID NODE COMMAND...                runs COMMAND in a node of a running wan
 *
 *     --seed N        which packets are lost; the seed of each run is printed
 *     --scale F       all rates of the matrix are divided by F, 1 to 1000, since one machine may
 *                     forward less; delays stay
 *     --seconds N     everything ends after this time, instead of the matrix's limit
 *     --links FILE    what each pair is, journal.h, written at the start
 *     --report FILE   packet counts of each pair, written at the end
 *     --journal FILE  the same for each second, written as it ends
 *
 * At the end it says how well it did: how late packets were delivered, and whether some were lost
 * because this machine was too slow to read them. Those are in no count.
 *
 * matrix.h describes the matrix, space.h the addresses, journal.h the counts. COMMAND gets WAN_NODE
 * (0, 1, ...), WAN_NODES, WAN_ADDRESS and, where the node has IPv6, WAN_ADDRESS6 in its
 * environment: its own addresses, so behind a NAT a private one. One process holds all TUN devices
 * and forwards their packets. "wan: 4 nodes, seed 7, process 123" means that everything is set up.
 *
 * With COMMAND it lives as long as one of the commands; otherwise until a signal, or until its
 * parent ends (as does what --enter started). SIGTERM and SIGINT are passed to the commands, which
 * can still reach each other until they end, for at most GRACE_S; a second signal ends everything
 * at once. SIGUSR1 reads MATRIX.yaml again ("wan: read again", or "wan: not read again" if
 * something is wrong with it): all pairs and lines start over, at_s counts from then; NATs keep
 * their mappings. All descendants of the commands end with wan.
 *
 * Exit codes: 0; that of the first command that failed; 124 at the time limit; 2 for wrong
 * usage; 77 if the machine does not allow namespaces or TUN devices: nothing was run then. */
#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "journal.h"
#include "space.h"
#include "traffic.h"

#define GRACE_S        30
#define SECONDS_MAX    86400
#define BURST          64    /* packets read from one node before the others get their turn */
#define PACKET_BYTES   65536 /* maximum packet of a TUN device */
#define TIMER_SLACK_NS 50000 /* Linux's default, for the commands: ours is the least */
#define CODE_USAGE     2
#define CODE_SKIP      77
#define CODE_LIMIT     124

struct wan {
    const char *path, *links, *report, *history; /* files; NULL: not wanted */
    uint64_t seed;
    double scale;
    uint64_t seconds; /* 0: the matrix says */
    char **command;   /* NULL: none */
    struct matrix matrix;
    struct traffic traffic;
    struct journal journal; /* in the file `history`; its file is NULL: none, or none any more */
    struct space spaces[MATRIX_NODES_MAX];
    pid_t children[MATRIX_NODES_MAX]; /* 0: none, or gone */
    uint32_t alive;                   /* children */
    int signals;                      /* a signalfd */
    sigset_t mask;                    /* signal mask before that */
    instant read, end;                /* when the matrix was read; when everything is killed */
    uint32_t rule;                    /* the next one to apply */
    bool asked;                       /* a signal has asked us to end */
    uint64_t delivered;
    span late, late_max; /* of all that was delivered: the sum, and the worst */
    int code;
};

static int told(const struct why *w)
{
    fprintf(stderr, "wan: %s\n", w->text);
    return w->err == ERR_UNSUPPORTED ? CODE_SKIP : w->err == ERR_USAGE ? CODE_USAGE : 1;
}

static void set_number(const char *name, uint32_t n)
{
    char text[16];
    snprintf(text, sizeof text, "%u", n);
    setenv(name, text, 1);
}

/* Runs in the child. */
static void be_node(const struct wan *w, uint32_t index)
{
    char address[SPACE_ADDRESS_BYTES];
    struct why y;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    prctl(PR_SET_TIMERSLACK, TIMER_SLACK_NS);
    setpgid(0, 0);
    sigprocmask(SIG_SETMASK, &w->mask, NULL);
    setpriority(PRIO_PROCESS, 0, 0);
    if (space_enter(&w->spaces[index], &y)) _exit(told(&y));
    set_number("WAN_NODE", index);
    set_number("WAN_NODES", w->matrix.nodes);
    space_address(&w->spaces[index], false, address);
    setenv("WAN_ADDRESS", address, 1);
    space_address(&w->spaces[index], true, address);
    if (w->spaces[index].six) setenv("WAN_ADDRESS6", address, 1);
    execvp(w->command[0], w->command);
    fprintf(stderr, "wan: %s: %s\n", w->command[0], strerror(errno));
    _exit(127);
}

static void start(struct wan *w)
{
    for (uint32_t i = 0; i < w->matrix.nodes; i++) {
        pid_t child = fork();
        if (child == 0) be_node(w, i);
        if (child < 0) {
            fprintf(stderr, "wan: no process for node %u: %s\n", i, strerror(errno));
            w->code = 1;
            return;
        }
        setpgid(child, child); /* also done by the child: whichever is first */
        w->children[i] = child;
        w->alive++;
    }
}

static void signal_all(const struct wan *w, int number)
{
    for (uint32_t i = 0; i < w->matrix.nodes; i++)
        if (w->children[i]) kill(-w->children[i], number);
}

static void reap(struct wan *w)
{
    int status;
    for (pid_t gone; (gone = waitpid(-1, &status, WNOHANG)) > 0;)
        for (uint32_t i = 0; i < w->matrix.nodes; i++) {
            if (w->children[i] != gone) continue;
            int code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
            if (code && !w->code) w->code = code;
            kill(-gone, SIGKILL); /* its remaining process group */
            w->children[i] = 0;
            w->alive--;
        }
}

/* Kills every descendant: orphans become our children, since we are their subreaper. */
static void kill_all(struct wan *w)
{
    char path[64];
    signal_all(w, SIGKILL);
    snprintf(path, sizeof path, "/proc/self/task/%d/children", (int)getpid());
    for (bool any = true; any;) {
        FILE *f = fopen(path, "r");
        int child;
        any = false;
        while (f && fscanf(f, "%d", &child) == 1) any = kill(child, SIGKILL) == 0 || any;
        if (f) fclose(f);
        if (any && waitpid(-1, NULL, 0) < 0 && errno != EINTR) any = false;
    }
}

static enum err read_matrix(const struct wan *w, struct matrix *out, struct why *y)
{
    enum err e = matrix_read(w->path, out, y);
    if (!e) matrix_scale(out, w->scale);
    if (!e && w->seconds) out->limit = span_ms(w->seconds * 1000);
    return e;
}

static void rules(struct wan *w, instant now)
{
    for (; w->rule < w->matrix.count; w->rule++) {
        const struct matrix_rule *r = &w->matrix.rules[w->rule];
        if (!instant_reached(now, instant_after(w->read, r->at))) return;
        traffic_rule(&w->traffic, r);
    }
}

static bool read_again(struct wan *w)
{
    static struct matrix again;
    struct why y;
    if (read_matrix(w, &again, &y)) {
        told(&y);
        return false;
    }
    if (again.nodes != w->matrix.nodes) {
        fprintf(stderr, "wan: %s: there are %u nodes, not %u\n", w->path, w->matrix.nodes,
                again.nodes);
        return false;
    }
    if (matrix_natted(&again) != matrix_natted(&w->matrix)) {
        fprintf(stderr, "wan: %s: other nodes than before are behind NATs: start it anew\n",
                w->path);
        return false;
    }
    w->matrix = again;
    w->read = clock_now();
    w->rule = 0;
    traffic_reset(&w->traffic);
    rules(w, w->read);
    return true;
}

static void signals(struct wan *w)
{
    struct signalfd_siginfo s;
    while (read(w->signals, &s, sizeof s) == (ssize_t)sizeof s) {
        int number = (int)s.ssi_signo;
        if (number == SIGCHLD) reap(w);
        else if (number == SIGUSR1) {
            puts(read_again(w) ? "wan: read again" : "wan: not read again");
        } else if (w->asked) w->end = clock_now();
        else {
            w->asked = true;
            w->end = instant_min(w->end, instant_after(clock_now(), span_s(GRACE_S)));
            signal_all(w, number);
        }
    }
}

static void take_from(struct wan *w, uint32_t from)
{
    static uint8_t packet[PACKET_BYTES];
    instant now = clock_now();
    for (int i = 0; i < BURST; i++) {
        uint32_t to;
        ssize_t n = read(w->spaces[from].tun, packet, sizeof packet);
        if (n <= 0) return;
        if (space_destination(packet, (size_t)n, w->matrix.nodes, &to) &&
            (to != from || w->spaces[from].natted))
            traffic_offer(&w->traffic, now, from, to, packet, (size_t)n);
    }
}

static void deliver(struct wan *w, instant now)
{
    for (struct traffic_packet *p; (p = traffic_take(&w->traffic, now)); free(p)) {
        span late = instant_since(clock_now(), p->at);
        w->delivered++;
        w->late.ns += late.ns;
        if (late.ns > w->late_max.ns) w->late_max = late;
        if (write(w->spaces[p->to].tun, p->data, p->bytes) < 0)
            fprintf(stderr, "wan: node %u takes no packet: %s\n", p->to, strerror(errno));
    }
}

static void say_how_well(const struct wan *w)
{
    uint64_t unread = 0;
    if (w->delivered)
        printf("wan: %lu packets delivered, late by %.3f ms on average, %.3f ms at most\n",
               w->delivered, span_in_s(w->late) * 1e3 / (double)w->delivered,
               span_in_s(w->late_max) * 1e3);
    for (uint32_t i = 0; i < w->matrix.nodes; i++) unread += space_unread(&w->spaces[i]);
    if (unread)
        printf("wan: %lu more packets were lost: this machine is too slow for them, see --scale\n",
               unread);
}

static bool over(struct wan *w, instant now)
{
    if (w->command ? w->alive == 0 : w->asked) return true;
    if (!instant_reached(now, w->end)) return false;
    if (!w->asked) {
        fprintf(stderr, "wan: %.0f s are over, the limit of %s\n", span_in_s(w->matrix.limit),
                w->path);
        w->code = CODE_LIMIT;
    }
    return true;
}

/* Ends the journal if it cannot be written. */
static void write_history(struct wan *w, instant now)
{
    struct why y;
    if (!w->journal.file || !instant_reached(now, w->journal.due)) return;
    if (!journal_write(&w->journal, &w->traffic, now, clock_unix_ms(), &y)) return;
    told(&y);
    w->code = 1;
    journal_close(&w->journal);
}

static void forward(struct wan *w)
{
    uint32_t n = w->matrix.nodes;
    struct pollfd fds[MATRIX_NODES_MAX + 1];
    for (uint32_t i = 0; i < n; i++) fds[i] = (struct pollfd){w->spaces[i].tun, POLLIN, 0};
    fds[n] = (struct pollfd){w->signals, POLLIN, 0};
    for (;;) {
        instant now = clock_now(), due = instant_min(w->end, traffic_due(&w->traffic));
        if (w->rule < w->matrix.count)
            due = instant_min(due, instant_after(w->read, w->matrix.rules[w->rule].at));
        if (w->journal.file) due = instant_min(due, w->journal.due);
        uint64_t ns = instant_since(due, now).ns;
        struct timespec wait = {(time_t)(ns / 1000000000u), (long)(ns % 1000000000u)};
        if (ppoll(fds, n + 1, &wait, NULL) < 0 && errno != EINTR) {
            fprintf(stderr, "wan: poll: %s\n", strerror(errno));
            w->code = 1;
            return;
        }
        rules(w, clock_now());
        for (uint32_t i = 0; i < n; i++)
            if (fds[i].revents) take_from(w, i);
        deliver(w, clock_now());
        if (fds[n].revents) signals(w);
        write_history(w, clock_now());
        if (over(w, clock_now())) return;
    }
}

/* Keeps packets in time on a machine that is busy with the nodes' programs, as far as allowed. The
 * commands do not inherit it. */
static void be_urgent(void)
{
    const struct sched_param least = {.sched_priority = 1};
    prctl(PR_SET_TIMERSLACK, 1);
    if (sched_setscheduler(0, SCHED_RR | SCHED_RESET_ON_FORK, &least))
        setpriority(PRIO_PROCESS, 0, -10);
}

static int run(struct wan *w)
{
    struct why y;
    if (read_matrix(w, &w->matrix, &y)) return told(&y);
    const uint64_t natted = matrix_natted(&w->matrix);
    if (space_begin(&y)) return told(&y);
    for (uint32_t i = 0; i < w->matrix.nodes; i++)
        if (space_open(&w->spaces[i], i, natted >> i & 1, w->matrix.mtu, &y)) return told(&y);

    sigset_t mine;
    const int numbers[] = {SIGTERM, SIGINT, SIGHUP, SIGCHLD, SIGUSR1};
    sigemptyset(&mine);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) sigaddset(&mine, numbers[i]);
    sigprocmask(SIG_BLOCK, &mine, &w->mask);
    w->signals = signalfd(-1, &mine, SFD_NONBLOCK | SFD_CLOEXEC);
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    be_urgent();

    traffic_init(&w->traffic, w->matrix.nodes, w->seed);
    w->read = clock_now();
    w->end = instant_after(w->read, w->matrix.limit);
    rules(w, w->read);
    if (w->history && journal_open(&w->journal, w->history, &w->traffic, w->read, &y))
        return told(&y);
    if (w->links && journal_links(w->links, &w->traffic, &y)) return told(&y);
    printf("wan: %u nodes, ", w->matrix.nodes);
    if (w->scale > 1) printf("all rates divided by %g, ", w->scale);
    printf("seed %lu, process %d\n", w->seed, (int)getpid());
    if (w->command) start(w);
    else prctl(PR_SET_PDEATHSIG, SIGTERM);
    forward(w);
    kill_all(w);
    say_how_well(w);
    write_history(w, w->journal.due);
    if (w->journal.file) journal_close(&w->journal);
    if (w->report && journal_report(w->report, &w->traffic, &y)) w->code = told(&y);
    traffic_fini(&w->traffic);
    return w->code;
}

static int usage(void)
{
    fprintf(stderr, "usage: wan MATRIX.yaml [--seed N] [--scale F] [--seconds N] [--links FILE]\n"
                    "           [--report FILE] [--journal FILE] [-- COMMAND...]\n"
                    "       wan --enter PID NODE COMMAND...\n");
    return CODE_USAGE;
}

static int wrong(const char *option, const char *text, int most)
{
    fprintf(stderr, "wan: %s '%s': it needs a number from 1 to %d\n", option, text, most);
    return CODE_USAGE;
}

static int enter(int count, char **words)
{
    struct why y;
    if (count < 3) return usage();
    int pid = atoi(words[0]), node = atoi(words[1]);
    if (pid <= 0 || node < 0 || node >= MATRIX_NODES_MAX) return usage();
    if (space_enter_of(pid, (uint32_t)node, &y)) return told(&y);
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* a change of user namespace would clear it */
    execvp(words[2], words + 2);
    fprintf(stderr, "wan: %s: %s\n", words[2], strerror(errno));
    return 127;
}

int main(int count, char **words)
{
    static struct wan w;
    const struct option options[] = {{"seed", required_argument, NULL, 's'},
                                     {"scale", required_argument, NULL, 'f'},
                                     {"links", required_argument, NULL, 'l'},
                                     {"report", required_argument, NULL, 'r'},
                                     {"journal", required_argument, NULL, 'j'},
                                     {"seconds", required_argument, NULL, 't'},
                                     {0}};
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (count > 1 && !strcmp(words[1], "--enter")) return enter(count - 2, words + 2);
    w.seed = clock_unix_ms();
    w.scale = 1;
    char *rest;
    for (int c; (c = getopt_long(count, words, "", options, NULL)) != -1;) {
        if (c == 's') w.seed = strtoull(optarg, NULL, 10);
        else if (c == 'f') {
            w.scale = strtod(optarg, &rest);
            if (*rest || !(w.scale >= 1 && w.scale <= 1000)) return wrong("--scale", optarg, 1000);
        } else if (c == 't') {
            w.seconds = strtoull(optarg, &rest, 10);
            if (*rest || w.seconds < 1 || w.seconds > SECONDS_MAX)
                return wrong("--seconds", optarg, SECONDS_MAX);
        } else if (c == 'l') w.links = optarg;
        else if (c == 'r') w.report = optarg;
        else if (c == 'j') w.history = optarg;
        else return usage();
    }
    if (optind == count) return usage();
    w.path = words[optind++];
    if (optind < count) w.command = words + optind;
    return run(&w);
}
