#include "config/check.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/url.h"
#include "config/complain.h"
#include "config/tree.h"
#include "config/value.h"

typedef unsigned long long big; /* for %llu */

/* Are these keys (ended by NULL) free of mistakes, so that their values may be used? */
static bool good(const struct experiment *x, const char *const *keys)
{
    for (; *keys; keys++)
        if (x->places[schema_index(*keys)].bad) return false;
    return true;
}

#define GOOD(...) good(x, (const char *const[]){__VA_ARGS__, NULL})

/* A contradiction: always a user's mistake. */
#define CONTRADICTION(key, ...) COMPLAIN(key, ERR_USAGE, __VA_ARGS__)
#define UNBUILT(key, ...)       COMPLAIN(key, ERR_UNSUPPORTED, __VA_ARGS__)
#define COMPLAIN(key, e, ...)                                                                      \
    complain(x, &schema_keys[schema_index(key)], x->places[schema_index(key)], e, __VA_ARGS__)

static void model_check(struct experiment *x)
{
    const struct model_shape *m = &x->model;
    if (GOOD("model.dim", "model.heads")) {
        if (m->dim % m->heads)
            CONTRADICTION("model.dim", "%u is not a multiple of model.heads, which is %u", m->dim,
                          m->heads);
        else if (m->dim / m->heads % 2)
            CONTRADICTION("model.heads",
                          "%u heads of model.dim %u are %u wide each, and rotary embedding needs "
                          "an even width",
                          m->heads, m->dim, m->dim / m->heads);
    }
    if (GOOD("model.kv_heads", "model.heads") && m->heads % m->kv_heads)
        CONTRADICTION("model.kv_heads", "%u does not divide model.heads, which is %u", m->kv_heads,
                      m->heads);
}

static void batch_check(struct experiment *x)
{
    if (!GOOD("train.batch_tokens", "model.context")) return;
    if (x->train.batch_tokens % x->model.context) {
        CONTRADICTION("train.batch_tokens", "%llu is not a multiple of model.context, which is %u",
                      (big)x->train.batch_tokens, x->model.context);
        return;
    }
    uint64_t sequences = experiment_batch_sequences(x);
    if (GOOD("train.micro_batch") && x->train.micro_batch > sequences)
        CONTRADICTION("train.micro_batch",
                      "%u sequences at once, but train.batch_tokens of %llu makes only %llu "
                      "sequences of model.context %u",
                      x->train.micro_batch, (big)x->train.batch_tokens, (big)sequences,
                      x->model.context);
}

static void schedule_check(struct experiment *x)
{
    if (!GOOD("train.schedule.warmup", "train.steps")) return;
    if (x->train.schedule.warmup >= x->train.steps) {
        CONTRADICTION("train.schedule.warmup",
                      "%llu steps leave nothing of train.steps, which is %llu",
                      (big)x->train.schedule.warmup, (big)x->train.steps);
        return;
    }
    double decaying = x->train.schedule.decay * (double)x->train.steps;
    if (GOOD("train.schedule.kind", "train.schedule.decay") &&
        x->train.schedule.kind == SCHEDULE_WSD &&
        (double)x->train.schedule.warmup + decaying > (double)x->train.steps)
        CONTRADICTION("train.schedule.decay",
                      "%g of train.steps %llu and train.schedule.warmup %llu are together "
                      "longer than the run",
                      x->train.schedule.decay, (big)x->train.steps, (big)x->train.schedule.warmup);
}

static void outer_check(struct experiment *x)
{
    if (GOOD("outer.every", "train.steps")) {
        uint64_t left = x->train.steps % x->outer.every, whole = x->train.steps - left;
        if (left && whole)
            CONTRADICTION("outer.every",
                          "%llu does not divide train.steps, which is %llu: make that %llu or %llu",
                          (big)x->outer.every, (big)x->train.steps, (big)whole,
                          (big)(whole + x->outer.every));
        else if (left)
            CONTRADICTION("outer.every", "%llu is more than train.steps, which is %llu",
                          (big)x->outer.every, (big)x->train.steps);
        else if (experiment_epochs(x) > UINT32_MAX) /* 32 bits on the wire */
            CONTRADICTION("outer.every", "%llu makes %llu epochs of train.steps, more than %u",
                          (big)x->outer.every, (big)experiment_epochs(x), UINT32_MAX);
    }
    if (GOOD("outer.every", "outer.overlap") && x->outer.overlap >= x->outer.every)
        CONTRADICTION("outer.overlap", "%u is not less than outer.every, which is %llu",
                      x->outer.overlap, (big)x->outer.every);
}

static void access_check(struct experiment *x)
{
    const char *key = x->swarm.access_key;
    if (x->swarm.access != ACCESS_TICKET || !GOOD("swarm.access", "swarm.access.ticket")) return;
    if (strlen(key) == 64 && strspn(key, "0123456789abcdefABCDEF") == 64) return;
    char shown[TREE_SHOWN_BYTES];
    CONTRADICTION("swarm.access.ticket",
                  "found %s, needs the 64 hexadecimal digits that `shoal ticket key` prints",
                  tree_shown(key, strlen(key), shown));
}

void check_contradictions(struct experiment *x)
{
    access_check(x);
    model_check(x);
    batch_check(x);
    schedule_check(x);
    outer_check(x);
    if (GOOD("swarm.group.min", "swarm.group.max") && x->swarm.group_min > x->swarm.group_max)
        CONTRADICTION("swarm.group.min", "%u is more than swarm.group.max, which is %u",
                      x->swarm.group_min, x->swarm.group_max);
    if (GOOD("evaluate.tokens", "model.context") && x->evaluate.tokens < x->model.context)
        CONTRADICTION("evaluate.tokens", "%llu are less than one sequence: model.context is %u",
                      (big)x->evaluate.tokens, x->model.context);
}

/* Reports a mistake in an entry of swarm.peers. */
#define COMPLAIN_PEER(i, e, ...)                                                                   \
    complain(x, &schema_keys[schema_index("swarm.peers")], x->peers_places[i], e, __VA_ARGS__)

void check_built(struct experiment *x)
{
    static const char *const wires[] = {"fp32", "bf16", "int8", "int4"};
    if (GOOD("outer.wire") && x->outer.wire != WIRE_INT8)
        UNBUILT("outer.wire", "%s is not built yet: write int8", wires[x->outer.wire]);
    if (GOOD("outer.overlap") && x->outer.overlap > 0)
        UNBUILT("outer.overlap",
                "training on while an average is under way is not built yet: write 0");
    if (GOOD("outer.fragments") && x->outer.fragments > 1)
        UNBUILT("outer.fragments", "averaging in parts is not built yet: write 1");
    if (GOOD("swarm.group.max", "swarm.group.min") && x->swarm.group_max < 20)
        UNBUILT("swarm.group.max",
                "groups that leave members out are not built yet: leave it out, and all who are "
                "ready average, up to 20");
    if (GOOD("metrics.listen") && x->metrics.listen[0])
        UNBUILT("metrics.listen", "the metrics endpoint is not built yet: leave it out");
}

/* Is there something at `path`, and is it a folder? */
static bool there(const char *path, bool *folder)
{
    struct stat s;
    if (stat(path, &s)) return false;
    *folder = S_ISDIR(s.st_mode);
    return true;
}

static void library_check(struct experiment *x, const char *key, const char *path)
{
    bool folder;
    if (!path[0]) return;
    if (!there(path, &folder)) CONTRADICTION(key, "there is no file %s", path);
    else if (folder) CONTRADICTION(key, "%s is a folder, not the library's file", path);
}

static void peers_check(struct experiment *x)
{
    bool folder;
    for (size_t i = 0; i < x->swarm.peers_count; i++) {
        const char *peer = x->swarm.peers[i], *name = strrchr(peer, '/');
        if (value_is_peer(peer) || url_like(peer) || (there(peer, &folder) && !folder)) continue;
        bool address = value_is_address(name ? name + 1 : peer, 1);
        COMPLAIN_PEER(i, ERR_USAGE, "there is no file %s, and it is not ID@host:port%s", peer,
                      address ? ": an address alone does not say who must answer, write its ID "
                                "before it (`shoal keygen --show` on that machine prints it)"
                              : "");
    }
}

enum err experiment_check_files(struct experiment *x, struct why *w)
{
    const char *corpus = x->data.corpus;
    bool folder;
    x->mistakes.count = x->mistakes.more = 0;
    if (!there(corpus, &folder))
        CONTRADICTION("data.corpus",
                      "there is no folder %s; `shoal prepare TEXT... -o %s` makes one", corpus,
                      corpus);
    else if (!folder)
        CONTRADICTION("data.corpus", "%s is a file, not a folder made by `shoal prepare`", corpus);
    peers_check(x);
    if (there(x->swarm.identity, &folder) && folder)
        CONTRADICTION("swarm.identity", "%s is a folder, not a file", x->swarm.identity);
    if (there(x->checkpoint.dir, &folder) && !folder)
        CONTRADICTION("checkpoint.dir", "%s is a file, not a folder", x->checkpoint.dir);
    library_check(x, "machine.cublaslt", x->machine.cublaslt);
    library_check(x, "machine.nccl", x->machine.nccl);
    if (x->metrics.log[0] && there(x->metrics.log, &folder) && folder)
        CONTRADICTION("metrics.log", "%s is a folder, not a file", x->metrics.log);
    return mistakes_why(&x->mistakes, w);
}
