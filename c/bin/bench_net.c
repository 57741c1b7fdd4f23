/* bench_net.c -- `shoal bench net`: parcels between two processes over QUIC on loopback, timed. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/object.h"
#include "base/whole.h"
#include "bin/bench.h"
#include "bin/command.h"
#include "net/endpoint.h"

#define LINKS_MAX 16
/* In flight per link: more than a window on loopback. */
#define QUEUE_BYTES (8u << 20)

struct wishes {
    uint64_t megabytes, parcel_kib, links;
    bool cubic, no_gso, json;
};

struct sender {
    struct loop *loop;
    struct endpoint *endpoint[LINKS_MAX];
    link_id link[LINKS_MAX];
    size_t links, up;
    uint64_t parcels, sent, done, lost;
    struct bytes parcel;
    instant began, ended;
    bool failed;
    char reason[160];
};

/* One of the sender's links; the handlers' ctx. */
struct lane {
    struct sender *s;
    size_t index;
};

static double cpu_seconds(void)
{
    struct rusage r;
    getrusage(RUSAGE_SELF, &r);
    return (double)(r.ru_utime.tv_sec + r.ru_stime.tv_sec) +
           1e-6 * (double)(r.ru_utime.tv_usec + r.ru_stime.tv_usec);
}

static void feed(struct sender *s, size_t i)
{
    struct bytes none = bytes_of(NULL, 0);
    while (s->sent < s->parcels && link_queued(s->endpoint[i], s->link[i]) < QUEUE_BYTES &&
           link_parcel(s->endpoint[i], s->link[i], s->parcel, none, s->sent))
        s->sent++;
}

static void on_up(void *ctx, link_id l, const uint8_t id[CRYPTO_KEY_BYTES],
                  const struct address *remote, bool dialled)
{
    struct lane *lane = ctx;
    struct sender *s = lane->s;
    s->link[lane->index] = l;
    if (++s->up < s->links) return;
    s->began = clock_now();
    for (size_t i = 0; i < s->links; i++) feed(s, i);
}

static void on_down(void *ctx, link_id l, const struct link_end *end)
{
    struct sender *s = ((struct lane *)ctx)->s;
    s->failed = true;
    snprintf(s->reason, sizeof s->reason, "%s", end->reason);
    loop_stop(s->loop);
}

static void on_done(void *ctx, link_id l, uint64_t ticket, bool ok)
{
    struct lane *lane = ctx;
    struct sender *s = lane->s;
    s->done++;
    s->lost += !ok;
    if (s->done == s->parcels) {
        s->ended = clock_now();
        loop_stop(s->loop);
    } else {
        feed(s, lane->index);
    }
}

static struct endpoint_config config_of(const struct wishes *o)
{
    struct endpoint_config c = endpoint_defaults("127.0.0.1:0");
    c.bbr = !o->cubic;
    c.gso = c.gro = !o->no_gso;
    return c;
}

static enum err open_side(const struct wishes *o, uint8_t number, struct identity **self,
                          struct loop **loop, struct why *w)
{
    uint8_t seed[IDENTITY_SEED_BYTES] = {number};
    enum err e = identity_from_seed(seed, self, w);
    return e ? e : loop_open(loop, w);
}

static void on_sender(void *ctx, link_id l, const uint8_t id[CRYPTO_KEY_BYTES],
                      const struct address *remote, bool dialled)
{
    link_welcome(*((struct sender *)ctx)->endpoint, l);
}

/* The other process: receives parcels until the links end, then reports its CPU time. */
static void on_gone(void *ctx, link_id l, const struct link_end *end)
{
    struct sender *s = ctx;
    if (++s->done == s->links) loop_stop(s->loop);
}

static int receive(const struct wishes *o, int tell)
{
    struct sender s = {.links = o->links};
    struct identity *self;
    struct endpoint_config c = config_of(o);
    struct endpoint_handlers h = {.ctx = &s, .link_up = on_sender, .link_down = on_gone};
    if (open_side(o, 2, &self, &s.loop, NULL) ||
        endpoint_open(s.loop, &c, self, &h, s.endpoint, NULL))
        return 1;
    struct address at = endpoint_address(*s.endpoint);
    if (write(tell, &at, sizeof at) != sizeof at) return 1;
    double before = cpu_seconds();
    loop_run(s.loop);
    double spent = cpu_seconds() - before;
    if (write(tell, &spent, sizeof spent) != sizeof spent) return 1;
    endpoint_close(*s.endpoint);
    identity_close(self);
    loop_close(s.loop);
    return 0;
}

/* One endpoint per link, each with its own port, so that every link has its own congestion window.
 * The receiver tells them apart by their keys. */
static enum err open_lanes(const struct wishes *o, struct sender *s, struct lane *lanes,
                           struct identity **selves, const struct address *to, struct why *w)
{
    uint8_t seed[IDENTITY_SEED_BYTES] = {2};
    struct identity *other;
    struct endpoint_config c = config_of(o);
    enum err e = identity_from_seed(seed, &other, w);
    for (size_t i = 0; !e && i < s->links; i++) {
        lanes[i] = (struct lane){s, i};
        struct endpoint_handlers h = {
            .ctx = &lanes[i], .link_up = on_up, .link_down = on_down, .parcel_done = on_done};
        seed[0] = (uint8_t)(3 + i);
        e = identity_from_seed(seed, &selves[i], w);
        if (!e) e = endpoint_open(s->loop, &c, selves[i], &h, &s->endpoint[i], w);
        if (!e && endpoint_dial(s->endpoint[i], identity_id(other), to, w) == LINK_NONE)
            e = ERR_NETWORK;
    }
    identity_close(other);
    return e;
}

static enum err print(const struct wishes *o, const struct sender *s, double sent_cpu,
                      double received_cpu, struct why *w)
{
    double bytes = (double)s->parcels * (double)s->parcel.count, gigabytes = bytes * 1e-9;
    double seconds = span_in_s(instant_since(s->ended, s->began));
    if (o->json) {
        json_t *out = json_object();
        object_f64(out, "gbit_per_s", bytes * 8e-9 / seconds);
        object_f64(out, "seconds", seconds);
        object_f64(out, "gigabytes", gigabytes);
        object_f64(out, "sender_cpu_s_per_gb", sent_cpu / gigabytes);
        object_f64(out, "receiver_cpu_s_per_gb", received_cpu / gigabytes);
        return object_print(out, w);
    }
    printf("%.2f Gbit/s: %.2f s for %.2f GB; CPU seconds a gigabyte: sender %.2f, receiver %.2f\n",
           bytes * 8e-9 / seconds, seconds, gigabytes, sent_cpu / gigabytes,
           received_cpu / gigabytes);
    return ERR_OK;
}

static enum err send_all(const struct wishes *o, int hear, struct why *w)
{
    struct sender s = {.links = o->links};
    struct lane lanes[LINKS_MAX];
    struct identity *selves[LINKS_MAX] = {NULL};
    struct address to;
    double spent, before;
    s.parcel = bytes_of(calloc(1, o->parcel_kib << 10), o->parcel_kib << 10);
    s.parcels = ceil_div(o->megabytes * 1000000, s.parcel.count);
    enum err e = s.parcel.data ? ERR_OK : why(w, ERR_MEMORY, "no memory for a parcel");
    if (!e && read(hear, &to, sizeof to) != sizeof to)
        e = why(w, ERR_NETWORK, "the receiving process did not start");
    if (!e) e = loop_open(&s.loop, w);
    before = cpu_seconds();
    if (!e) e = open_lanes(o, &s, lanes, selves, &to, w);
    if (!e) loop_run(s.loop);
    if (!e && s.failed) e = why(w, ERR_NETWORK, "the link ended: %s", s.reason);
    if (!e && s.lost)
        e = why(w, ERR_NETWORK, "%llu parcels were refused", (unsigned long long)s.lost);
    double sent_cpu = cpu_seconds() - before;
    for (size_t i = 0; i < s.links; i++) {
        endpoint_close(s.endpoint[i]);
        identity_close(selves[i]);
    }
    if (!e && read(hear, &spent, sizeof spent) != sizeof spent)
        e = why(w, ERR_NETWORK, "the receiving process ended early");
    if (!e) e = print(o, &s, sent_cpu, spent, w);
    loop_close(s.loop);
    free((void *)s.parcel.data);
    return e;
}

static bool take_options(int argc, char **argv, struct wishes *o, int *code)
{
    *o = (struct wishes){.megabytes = 1000, .parcel_kib = 256, .links = 1};
    const struct option_row rows[] = {
        {"megabytes", .whole = &o->megabytes, .least = 1, .most = 1000000, .value = "N",
         .help = "how much"},
        {"parcel", .whole = &o->parcel_kib, .least = 1, .most = 2048, .value = "KIB",
         .help = "length of a parcel"},
        {"links", .whole = &o->links, .least = 1, .most = LINKS_MAX, .value = "N",
         .help = "connections side by side, each on a port of its own"},
        {"cubic", .flag = &o->cubic, .help = "CUBIC instead of BBR"},
        {"no-gso", .flag = &o->no_gso, .help = "no segmentation by the kernel, neither out nor in"},
        COMMAND_JSON(&o->json),
        {0}};
    struct options table = {
        .command = "shoal bench net",
        .about = "Sends parcels from one process to another on this machine, as averaging does, "
                 "over mutual TLS 1.3.",
        .notes = "CPU seconds are those of user and system together, for each gigabyte, at each "
                 "side.",
        .rows = rows};
    return command_options("bench net", &table, argc, argv, code);
}

int bench_net(int argc, char **argv)
{
    struct wishes o;
    struct why w = {0};
    int ends[2], code;
    if (!take_options(argc, argv, &o, &code)) return code;
    if (pipe(ends)) {
        why(&w, ERR_IO, "opening a pipe: %s", strerror(errno));
        return command_failed("bench net", &w);
    }
    pid_t child = fork();
    if (child == 0) {
        close(ends[0]);
        _exit(receive(&o, ends[1]));
    }
    close(ends[1]);
    enum err e = child < 0 ? why(&w, ERR_IO, "starting a process: %s", strerror(errno))
                           : send_all(&o, ends[0], &w);
    close(ends[0]);
    if (child > 0) {
        if (e) kill(child, SIGTERM);
        waitpid(child, NULL, 0);
    }
    return e ? command_failed("bench net", &w) : 0;
}
