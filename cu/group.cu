/* group.cu -- GPUs of one machine that compute together: sums and copies of a vector over all of
 * them, by NCCL.
 *
 * One thread drives them all, so a collective is queued on each within one NCCL group, and nothing
 * waits. Every GPU gets the same bits: NCCL computes each element of a sum once and distributes it.
 * The order of summation follows from the library and the topology, so the same machine gives the
 * same bits; not with NVLS, where the switch does the sum, so that is disabled. */
#include "cuda.h"

#include <sched.h>
#include <stdlib.h>

#include "nccl_api.h"
#include "ops.h"

struct cuda_group {
    struct nccl nccl;
    size_t count;
    struct cuda *members[BACKEND_RANKS_MAX];
    nccl_comm comms[BACKEND_RANKS_MAX];
    bool ended; /* there are no communicators (any more) */
};

static const char *text_of(const struct cuda_group *g, int result)
{
    const char *last = g->nccl.get_last_error(NULL);
    return last && *last ? last : g->nccl.get_error_string(result);
}

/* Ends the communicators, aborting unless `in_order`: a kernel of NCCL that waits for a failed GPU
 * would never end, nor would its waiters. */
static void end(struct cuda_group *g, bool in_order)
{
    for (size_t i = 0; i < g->count && !g->ended; i++)
        (in_order ? g->nccl.comm_destroy : g->nccl.comm_abort)(g->comms[i]);
    g->ended = true;
}

static const struct cuda *failed(const struct cuda_group *g)
{
    for (size_t i = 0; i < g->count; i++)
        if (g->members[i]->failed != cudaSuccess) return g->members[i];
    return NULL;
}

void cuda_leave(struct cuda *c)
{
    struct cuda_group *g = c->group;
    if (!g) return;
    end(g, !failed(g));
    for (size_t i = 0; i < g->count; i++) g->members[i]->group = NULL;
    free(g);
}

/* Checks all GPUs for failures, and whether c has finished its work. */
static int look(struct cuda_group *g, const struct cuda *c, bool *done)
{
    int result = NCCL_OK;
    *done = false;
    for (size_t i = 0; i < g->count; i++) {
        struct cuda *member = g->members[i];
        cudaError_t e = cudaStreamQuery(member->stream);
        if (e != cudaErrorNotReady) cuda_note(member, e, "a kernel");
        if (e == cudaSuccess && member == c) *done = true;
    }
    for (size_t i = 0; i < g->count && !g->ended; i++) {
        int now = NCCL_OK;
        g->nccl.comm_get_async_error(g->comms[i], &now);
        if (now != NCCL_OK && now != NCCL_IN_PROGRESS) result = now;
    }
    return result;
}

enum err cuda_wait_together(struct cuda *c, struct why *w)
{
    struct cuda_group *g = c->group;
    for (bool done = false; !done; sched_yield()) {
        int result = look(g, c, &done);
        const struct cuda *one = failed(g);
        if (one || result != NCCL_OK) end(g, false);
        if (one) return cuda_said(one, w);
        if (result != NCCL_OK)
            return why(w, ERR_DEVICE, "GPU %d waits for others, and NCCL failed: %s", c->device,
                       text_of(g, result));
    }
    return ERR_OK;
}

enum what { ALL_REDUCE, BROADCAST };

static enum err together(struct cuda *c, enum what what, float *const *x, size_t count,
                         struct why *w)
{
    struct cuda_group *g = c->group;
    const struct cuda *one = failed(g);
    if (one) return cuda_said(one, w);
    int result = g->nccl.group_start(), ended;
    for (size_t i = 0; i < g->count && result == NCCL_OK; i++) {
        cudaStream_t s = g->members[i]->stream;
        result = what == ALL_REDUCE
                     ? g->nccl.all_reduce(x[i], x[i], count, NCCL_FLOAT, NCCL_ADD, g->comms[i], s)
                     : g->nccl.broadcast(x[i], x[i], count, NCCL_FLOAT, 0, g->comms[i], s);
    }
    ended = g->nccl.group_end();
    if (result == NCCL_OK) result = ended;
    if (result == NCCL_OK) return ERR_OK;
    return why(w, ERR_DEVICE, "%s %zu GPUs through NCCL failed: %s",
               what == ALL_REDUCE ? "adding up over" : "copying to", g->count, text_of(g, result));
}

static enum err all_reduce(void *self, float *const *x, size_t count, struct why *w)
{
    return together(cuda_of(self), ALL_REDUCE, x, count, w);
}

static enum err broadcast(void *self, float *const *x, size_t count, struct why *w)
{
    return together(cuda_of(self), BROADCAST, x, count, w);
}

static enum err join(struct cuda_group *g, const char *library, struct why *w)
{
    int devices[BACKEND_RANKS_MAX];
    for (size_t i = 0; i < g->count; i++) devices[i] = g->members[i]->device;
    setenv("NCCL_NVLS_ENABLE", "0", 0);
    /* Allocates its memory now, before the rest is divided. */
    setenv("NCCL_RUNTIME_CONNECT", "0", 0);
    enum err e = nccl_load(&g->nccl, library, w);
    if (e)
        return why_while(w, e, "%zu GPUs need NCCL, --device cuda:%d would take one of them",
                         g->count, devices[0]);
    int result = g->nccl.comm_init_all(g->comms, (int)g->count, devices);
    if (result == NCCL_OK) return ERR_OK;
    return why(w, ERR_DEVICE,
               "NCCL %d.%d.%d cannot join %zu GPUs: %s; --device cuda:%d computes on one",
               g->nccl.version / 10000, g->nccl.version / 100 % 100, g->nccl.version % 100,
               g->count, text_of(g, result), devices[0]);
}

enum err cuda_join(struct backend *ranks, size_t count, const char *library, struct why *w)
{
    struct cuda_group *g = (struct cuda_group *)calloc(1, sizeof *g);
    if (!g) return why(w, ERR_MEMORY, "no memory to join %zu GPUs", count);
    g->count = count;
    for (size_t i = 0; i < count; i++) g->members[i] = (struct cuda *)ranks[i].self;
    enum err e = join(g, library, w);
    if (e) {
        free(g);
        return e;
    }
    for (size_t i = 0; i < count; i++) g->members[i]->group = g;
    ranks[0].all_reduce = all_reduce;
    ranks[0].broadcast = broadcast;
    return ERR_OK;
}
