#include "fleet/fleet.h"

#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/code.h"
#include "base/file.h"
#include "base/process.h"
#include "net/identity.h"

static double unix_now(void) { return (double)clock_unix_ms() * 1e-3; }

/* Settling. */

/* A free port. Another process may take it before the worker binds it; then that worker reports it
 * and ends. */
static enum err free_port(uint16_t *out, struct why *w)
{
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof a;
    bool bound = fd >= 0 && !bind(fd, (struct sockaddr *)&a, sizeof a) &&
                 !getsockname(fd, (struct sockaddr *)&a, &n);
    enum err e =
        bound ? ERR_OK
              : why(w, ERR_NETWORK, "finding a free UDP port on loopback: %s", strerror(errno));
    if (fd >= 0) close(fd);
    *out = ntohs(a.sin_port);
    return e;
}

/* The identity of worker `i` of a repeatable run: its secret is SHA-256("shoal worker" || seed u64
 * || i u64). */
static enum err create_repeatable(const char *path, uint64_t seed, uint64_t i,
                                  struct identity **out, struct why *w)
{
    uint8_t numbers[16], secret[CRYPTO_HASH_BYTES];
    struct writer to = writer_init(numbers, sizeof numbers);
    writer_u64(&to, seed);
    writer_u64(&to, i);
    struct crypto c = identity_crypto(NULL);
    struct bytes parts[] = {bytes_of("shoal worker", 12), writer_bytes(&to)};
    c.hash(c.self, parts, 2, secret);
    return identity_create_from_seed(path, secret, out, w);
}

enum err fleet_settle(struct fleet *f, bool repeatable, struct why *w)
{
    const size_t i = f->count;
    struct fleet_worker *k = &f->workers[i];
    if (snprintf(k->dir, sizeof k->dir, "%s/worker-%zu", f->dir, i) >= (int)sizeof k->dir)
        return why(w, ERR_USAGE, "--out %s is too long", f->dir);
    enum err e = file_make_dirs(k->dir, w);
    char key[FLEET_PATH_BYTES], log[FLEET_PATH_BYTES];
    snprintf(key, sizeof key, "%s/node.key", k->dir);
    snprintf(log, sizeof log, "%s/log.jsonl", k->dir);
    struct identity *id = NULL;
    if (!e && repeatable && !file_exists(key))
        e = create_repeatable(key, f->experiment->seed, i, &id, w);
    else if (!e) e = identity_open(key, true, &id, w);
    if (e) return e;
    identity_print(identity_id(id), k->id);
    identity_close(id);
    uint16_t port;
    e = free_port(&port, w);
    snprintf(k->address, sizeof k->address, "127.0.0.1:%u", port);
    watch_init(&k->watch, log);
    f->count = i + 1;
    return e;
}

enum err fleet_write_peers(const struct fleet *f, struct why *w)
{
    char path[FLEET_PATH_BYTES], text[(FLEET_MAX + 1) * 160];
    size_t used = 0;
    for (size_t i = 0; i < f->count; i++)
        used += (size_t)snprintf(text + used, sizeof text - used, "%s@%s\n", f->workers[i].id,
                                 f->workers[i].address);
    snprintf(path, sizeof path, "%s/peers.txt", f->dir);
    struct bytes all = bytes_of(text, used);
    return file_write_atomic(path, &all, 1, 0644, w);
}

enum err fleet_keep_experiment(const struct fleet *f, char copy[FLEET_PATH_BYTES], struct why *w)
{
    char *text = NULL;
    size_t count = 0;
    FILE *to = open_memstream(&text, &count);
    if (!to) return why(w, ERR_MEMORY, "no memory to keep the experiment");
    experiment_print(f->experiment, to);
    bool failed = fclose(to) != 0;
    snprintf(copy, FLEET_PATH_BYTES, "%s/experiment.yaml", f->dir);
    struct bytes all = bytes_of(text, count);
    enum err e = failed ? why(w, ERR_MEMORY, "no memory to keep the experiment")
                        : file_write_atomic(copy, &all, 1, 0644, w);
    free(text);
    return e;
}

/* Running. */

enum err fleet_start(struct fleet *f, size_t i, const struct fleet_start *how, struct why *w)
{
    struct fleet_worker *k = &f->workers[i];
    char peers[FLEET_PATH_BYTES], said[FLEET_PATH_BYTES];
    snprintf(peers, sizeof peers, "%s/peers.txt", f->dir);
    snprintf(said, sizeof said, "%s/output.txt", k->dir);
    const char *argv[16] = {"shoal",    "run",      "--dir",   k->dir,
                            "--listen", k->address, "--peers", peers};
    size_t n = 8;
    if (how->from) argv[n++] = "--from", argv[n++] = how->from;
    if (how->device) argv[n++] = "--device", argv[n++] = how->device;
    argv[n++] = "--"; /* a file name may begin with a dash */
    argv[n++] = how->experiment;
    enum err e = process_start(argv, said, &k->pid, w);
    if (e) {
        k->pid = 0;
        return why_while(w, e, "worker %zu", i);
    }
    k->began = unix_now();
    return ERR_OK;
}

enum fleet_end fleet_reap(struct fleet *f, size_t i)
{
    struct fleet_worker *k = &f->workers[i];
    int status;
    if (k->pid <= 0 || waitpid(k->pid, &status, WNOHANG) != k->pid) return FLEET_RUNS;
    k->pid = 0;
    k->ended = unix_now();
    const int code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    k->crashed = code != 0 && code != CODE_STOPPED && code != CODE_UNSAVED;
    if (code == CODE_UNSAVED) f->unsaved = true;
    return code == CODE_UNSAVED ? FLEET_UNSAVED : k->crashed ? FLEET_CRASHED : FLEET_ENDED;
}

size_t fleet_running(const struct fleet *f)
{
    size_t n = 0;
    for (size_t i = 0; i < f->count; i++) n += f->workers[i].pid > 0;
    return n;
}

void fleet_signal(const struct fleet *f, int signal)
{
    for (size_t i = 0; i < f->count; i++)
        if (f->workers[i].pid > 0) kill(f->workers[i].pid, signal);
}

uint64_t fleet_epoch(const struct fleet *f)
{
    uint64_t epoch = 0;
    for (size_t i = 0; i < f->count; i++)
        if (f->workers[i].watch.epoch > epoch) epoch = f->workers[i].watch.epoch;
    return epoch;
}
