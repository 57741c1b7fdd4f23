#include "node/preflight.h"

#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>

#include "config/settings.h"
#include "model/trainer.h"
#include "node/peerlist.h"
#include "swarm/node.h"

enum err preflight_data(const char *command, struct experiment *x, struct corpus **corpus,
                        struct why *w)
{
    *corpus = NULL;
    enum err e = settings_check_files(command, x, w);
    if (!e) e = corpus_open(x->data.corpus, corpus, w);
    if (!e) e = trainer_fits(x, *corpus, w);
    if (e && *corpus) {
        corpus_close(*corpus);
        *corpus = NULL;
    }
    return e;
}

static void say(void *command, const char *text)
{
    fprintf(stderr, "shoal %s: %s\n", (const char *)command, text);
}

enum err preflight_peers(const char *command, const struct experiment *x, struct why *w)
{
    static const uint8_t nobody[CRYPTO_KEY_BYTES];
    const char *sources[EXPERIMENT_PEERS_MAX];
    struct peerlist list = {0};
    struct peerlist_faults faults = {.say = say, .ctx = (void *)command};
    for (size_t i = 0; i < x->swarm.peers_count; i++) sources[i] = x->swarm.peers[i];
    enum err e = peerlist_init(&list, w);
    if (!e) e = peerlist_read(&list, sources, x->swarm.peers_count, nobody, &faults, w);
    peerlist_free(&list);
    return e;
}

struct preflight_disk preflight_disk_of(const struct experiment *x)
{
    /* Parameters, two moments, anchor and momentum, fp32 each. */
    const uint64_t parameters = model_shape_parameters(&x->model), one = 20 * parameters;
    struct preflight_disk d = {.checkpoint = one,
                               .past = node_past_bytes(parameters, NODE_PAST_MAX)};
    d.all = one * (x->checkpoint.keep + 1ull) + d.past;
    char path[EXPERIMENT_PATH_BYTES];
    struct statvfs s;
    snprintf(path, sizeof path, "%s", x->checkpoint.dir);
    while (statvfs(path, &s)) { /* the folder may not exist yet: try its parent */
        char *slash = strrchr(path, '/');
        if (!slash || slash == path) return d;
        *slash = 0;
    }
    d.free = (uint64_t)s.f_bavail * s.f_frsize;
    return d;
}
