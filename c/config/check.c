#include "config/check.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "config/tree.h"
#include "config/value.h"

static struct tree_place place_of(struct experiment_place p)
{
    return (struct tree_place){p.line, p.column};
}

typedef unsigned long long big; /* what %llu takes */

/* A contradiction: always of the user's making. */
#define CONTRADICTION(key, ...) experiment_complain(x, key, w, ERR_USAGE, __VA_ARGS__)

static enum err model_check(const struct experiment *x, struct why *w)
{
    const struct model_shape *m = &x->model;
    if (m->dim % m->heads)
        return CONTRADICTION("model.dim", "%u is not a multiple of model.heads, which is %u",
                             m->dim, m->heads);
    if (m->dim / m->heads % 2)
        return CONTRADICTION(
            "model.heads",
            "%u heads of model.dim %u are %u wide each, and rotary embedding needs "
            "an even width",
            m->heads, m->dim, m->dim / m->heads);
    if (m->heads % m->kv_heads)
        return CONTRADICTION("model.kv_heads", "%u does not divide model.heads, which is %u",
                             m->kv_heads, m->heads);
    return ERR_OK;
}

static enum err train_check(const struct experiment *x, struct why *w)
{
    uint64_t sequences = experiment_batch_sequences(x);
    if (x->train.batch_tokens % x->model.context)
        return CONTRADICTION("train.batch_tokens",
                             "%llu is not a multiple of model.context, which is %u",
                             (big)x->train.batch_tokens, x->model.context);
    if (x->train.micro_batch > sequences)
        return CONTRADICTION("train.micro_batch",
                             "%u sequences at once, but train.batch_tokens of %llu makes only %llu "
                             "sequences of model.context %u",
                             x->train.micro_batch, (big)x->train.batch_tokens, (big)sequences,
                             x->model.context);
    if (x->train.schedule.warmup >= x->train.steps)
        return CONTRADICTION("train.schedule.warmup",
                             "%llu steps leave nothing of train.steps, which is %llu",
                             (big)x->train.schedule.warmup, (big)x->train.steps);
    double decaying = x->train.schedule.decay * (double)x->train.steps;
    if (x->train.schedule.kind == SCHEDULE_WSD &&
        (double)x->train.schedule.warmup + decaying > (double)x->train.steps)
        return CONTRADICTION("train.schedule.decay",
                             "%g of train.steps %llu and train.schedule.warmup %llu are together "
                             "longer than the run",
                             x->train.schedule.decay, (big)x->train.steps,
                             (big)x->train.schedule.warmup);
    return ERR_OK;
}

static enum err outer_check(const struct experiment *x, struct why *w)
{
    if (x->train.steps % x->outer.every)
        return CONTRADICTION("outer.every", "%llu does not divide train.steps, which is %llu",
                             (big)x->outer.every, (big)x->train.steps);
    if (experiment_epochs(x) > UINT32_MAX) /* they go on the wire as 32 bits */
        return CONTRADICTION("outer.every", "%llu makes %llu epochs of train.steps, more than %u",
                             (big)x->outer.every, (big)experiment_epochs(x), UINT32_MAX);
    if (x->outer.overlap >= x->outer.every)
        return CONTRADICTION("outer.overlap", "%u is not less than outer.every, which is %llu",
                             x->outer.overlap, (big)x->outer.every);
    return ERR_OK;
}

enum err check_contradictions(const struct experiment *x, struct why *w)
{
    enum err e = model_check(x, w);
    if (!e) e = train_check(x, w);
    if (!e) e = outer_check(x, w);
    if (e) return e;
    if (x->swarm.group_min > x->swarm.group_max)
        return CONTRADICTION("swarm.group.min", "%u is more than swarm.group.max, which is %u",
                             x->swarm.group_min, x->swarm.group_max);
    if (x->evaluate.tokens < x->model.context)
        return CONTRADICTION("evaluate.tokens",
                             "%llu are less than one sequence: model.context is %u",
                             (big)x->evaluate.tokens, x->model.context);
    return ERR_OK;
}

#define UNBUILT(key, ...) experiment_complain(x, key, w, ERR_UNSUPPORTED, __VA_ARGS__)

static enum err peers_built(const struct experiment *x, struct why *w)
{
    for (size_t i = 0; i < x->swarm.peers_count; i++) {
        const char *peer = x->swarm.peers[i];
        char shown[TREE_SHOWN_BYTES];
        if (!strstr(peer, "://")) continue;
        return tree_complain(
            x->path, place_of(x->peers_places[i]), w, ERR_UNSUPPORTED,
            "swarm.peers: a list from the web is not built yet: download %s and name "
            "the file",
            tree_shown(peer, strlen(peer), shown));
    }
    return ERR_OK;
}

enum err check_built(const struct experiment *x, struct why *w)
{
    static const char *const wires[] = {"fp32", "bf16", "int8", "int4"};
    if (x->outer.wire != WIRE_INT8)
        return UNBUILT("outer.wire", "%s is not built yet: write int8", wires[x->outer.wire]);
    if (x->outer.overlap > 0)
        return UNBUILT("outer.overlap",
                       "training on while an average is under way is not built yet: write 0");
    if (x->outer.fragments > 1)
        return UNBUILT("outer.fragments", "averaging in parts is not built yet: write 1");
    if (x->swarm.access == ACCESS_PSK)
        return UNBUILT("swarm.access", "a shared secret is not built yet: write open");
    if (x->swarm.access == ACCESS_TICKET)
        return UNBUILT("swarm.access", "tickets are not built yet: write open");
    if (x->metrics.listen[0])
        return UNBUILT("metrics.listen", "the metrics endpoint is not built yet: leave it out");
    return peers_built(x, w);
}

/* Is there something at `path`, and is it a folder? */
static bool there(const char *path, bool *folder)
{
    struct stat s;
    if (stat(path, &s)) return false;
    *folder = S_ISDIR(s.st_mode);
    return true;
}

enum err experiment_check_files(const struct experiment *x, struct why *w)
{
    const char *corpus = x->data.corpus;
    bool folder;
    if (!there(corpus, &folder))
        return CONTRADICTION("data.corpus",
                             "there is no folder %s; `shoal prepare TEXT... -o %s` makes one",
                             corpus, corpus);
    if (!folder)
        return CONTRADICTION("data.corpus", "%s is a file, not a folder made by `shoal prepare`",
                             corpus);
    for (size_t i = 0; i < x->swarm.peers_count; i++) {
        const char *peer = x->swarm.peers[i];
        if (value_is_peer(peer) || (there(peer, &folder) && !folder)) continue;
        return tree_complain(x->path, place_of(x->peers_places[i]), w, ERR_USAGE,
                             "swarm.peers: there is no file %s, and it is not ID@host:port", peer);
    }
    if (there(x->swarm.identity, &folder) && folder)
        return CONTRADICTION("swarm.identity", "%s is a folder, not a file", x->swarm.identity);
    if (there(x->checkpoint.dir, &folder) && !folder)
        return CONTRADICTION("checkpoint.dir", "%s is a file, not a folder", x->checkpoint.dir);
    const char *cublaslt = x->machine.cublaslt;
    if (cublaslt[0] && !there(cublaslt, &folder))
        return CONTRADICTION("machine.cublaslt", "there is no file %s", cublaslt);
    if (cublaslt[0] && folder)
        return CONTRADICTION("machine.cublaslt", "%s is a folder, not the library's file",
                             cublaslt);
    if (x->metrics.log[0] && there(x->metrics.log, &folder) && folder)
        return CONTRADICTION("metrics.log", "%s is a folder, not a file", x->metrics.log);
    return ERR_OK;
}
