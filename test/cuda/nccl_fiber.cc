/* nccl_fiber.cc -- stands in for NCCL where fibers stand in for GPUs (fiber.h): a library of its
 * own, loaded as NCCL is.
 *
 * Sums and copies happen in the order of the streams: when all have come so far, in one of them,
 * for which the others wait. Sums are made in the order of the ranks. What NCCL leaves undefined,
 * or would wait for forever, ends the program with one sentence. The environment's NCCL_FIBER_FAILS
 * names a function that fails. */
#include "fiber.h"

#include <stdio.h>
#include <stdlib.h>

#define RANKS_MAX 16

namespace
{

enum result { success = 0, system_error = 2, invalid_argument = 4 };

struct clique;

struct call { /* of one rank, within a group */
    bool sum;
    const float *from;
    float *to;
    size_t count;
    int root;
    cudaStream_t stream;
};

} // namespace

struct ncclComm {
    clique *all;
    int rank, device;
    bool called; /* in the present group */
    struct call call;
};

namespace
{

struct clique {
    int ranks, left; /* left: not destroyed yet */
    ncclComm *comms[RANKS_MAX];
};

int depth; /* of groups */
clique *grouped;

[[noreturn]] void fail(const char *what, const ncclComm *comm)
{
    fprintf(stderr, "fiber: nccl: %s, rank %d\n", what, comm->rank);
    abort();
}

bool asked_to_fail(const char *function)
{
    const char *name = getenv("NCCL_FIBER_FAILS");
    return name && !strcmp(name, function);
}

void compute(void *with)
{
    clique *c = (clique *)with;
    const call *first = &c->comms[0]->call;
    for (size_t i = 0; i < first->count; i++) {
        float x = c->comms[first->sum ? 0 : first->root]->call.from[i];
        for (int r = 1; r < c->ranks && first->sum; r++) x += c->comms[r]->call.from[i];
        for (int r = 0; r < c->ranks; r++) c->comms[r]->call.to[i] = x;
    }
    for (int r = 0; r < c->ranks; r++) delete c->comms[r];
    delete c;
}

/* The calls of a group by themselves: until they are carried out the clique may be used again. */
clique *copy_of(const clique *c)
{
    clique *copy = new clique{*c};
    for (int r = 0; r < c->ranks; r++) copy->comms[r] = new ncclComm{*c->comms[r]};
    return copy;
}

void look_at(const ncclComm *comm, const call &first)
{
    const call &own = comm->call;
    if (!comm->called) fail("a rank is missing in a group", comm);
    if (own.sum != first.sum) fail("a sum and a broadcast meet in a group", comm);
    if (own.count != first.count) fail("another count than rank 0's", comm);
    if (own.root != first.root) fail("another root than rank 0's", comm);
    if (fiber::device_of(own.stream) != comm->device) fail("a stream of another device", comm);
    if (fiber::device_of(own.to) != comm->device || fiber::device_of(own.from) != comm->device ||
        fiber::device_of(own.to + own.count - 1) != comm->device)
        fail("memory that is not its device's", comm);
}

void queue(clique *c)
{
    cudaEvent_t ready[RANKS_MAX], done;
    for (int r = 0; r < c->ranks; r++) look_at(c->comms[r], c->comms[0]->call);
    for (int r = 0; r < c->ranks; r++) {
        cudaEventCreateWithFlags(&ready[r], cudaEventDisableTiming);
        cudaEventRecord(ready[r], c->comms[r]->call.stream);
    }
    const cudaStream_t one = c->comms[0]->call.stream;
    for (int r = 1; r < c->ranks; r++) cudaStreamWaitEvent(one, ready[r]);
    cudaLaunchHostFunc(one, compute, copy_of(c));
    cudaEventCreateWithFlags(&done, cudaEventDisableTiming);
    cudaEventRecord(done, one);
    for (int r = 1; r < c->ranks; r++) cudaStreamWaitEvent(c->comms[r]->call.stream, done);
    for (int r = 0; r < c->ranks; r++) {
        c->comms[r]->called = false;
        cudaEventDestroy(ready[r]);
    }
    cudaEventDestroy(done);
}

int enter(ncclComm *comm, const struct call &call, int type)
{
    if (type != 7) fail("a type that is not fp32", comm);
    if (depth == 0 && comm->all->ranks > 1)
        fail("a call outside a group waits for the other ranks", comm);
    if (comm->called) fail("it is called twice in a group", comm);
    if (grouped && grouped != comm->all) fail("another clique in a group", comm);
    grouped = comm->all;
    comm->called = true;
    comm->call = call;
    return success;
}

int leave(ncclComm *comm)
{
    if (--comm->all->left == 0) delete comm->all;
    delete comm;
    return success;
}

} // namespace

extern "C" {

int ncclGetVersion(int *version)
{
    *version = 22809;
    return success;
}

const char *ncclGetErrorString(int result)
{
    return result == system_error ? "unhandled system error" : "invalid argument";
}

const char *ncclGetLastError(ncclComm *)
{
    return asked_to_fail("ncclAllReduce") ? "made to fail" : "";
}

int ncclCommInitAll(ncclComm **comms, int count, const int *devices)
{
    int there = 0;
    cudaGetDeviceCount(&there);
    if (asked_to_fail("ncclCommInitAll")) return system_error;
    if (count < 1 || count > RANKS_MAX) return invalid_argument;
    clique *c = new clique{count, count, {}};
    for (int r = 0; r < count; r++) {
        for (int q = 0; q < r; q++)
            if (devices[q] == devices[r]) return invalid_argument;
        if (devices[r] < 0 || devices[r] >= there) return invalid_argument;
        comms[r] = c->comms[r] = new ncclComm{c, r, devices[r], false, {}};
    }
    return success;
}

int ncclCommGetAsyncError(ncclComm *, int *result)
{
    *result = success;
    return success;
}

int ncclCommDestroy(ncclComm *comm) { return leave(comm); }
int ncclCommAbort(ncclComm *comm) { return leave(comm); }

int ncclGroupStart()
{
    depth++;
    return success;
}

int ncclGroupEnd()
{
    if (depth == 0) fprintf(stderr, "fiber: nccl: a group ends that did not start\n"), abort();
    if (--depth) return success;
    if (grouped) queue(grouped);
    grouped = nullptr;
    return success;
}

int ncclAllReduce(const void *from, void *to, size_t count, int type, int operation, ncclComm *comm,
                  cudaStream_t s)
{
    if (asked_to_fail("ncclAllReduce")) return system_error;
    if (operation != 0) fail("an operation that is not the sum", comm);
    return enter(comm, call{true, (const float *)from, (float *)to, count, 0, s}, type);
}

int ncclBroadcast(const void *from, void *to, size_t count, int type, int root, ncclComm *comm,
                  cudaStream_t s)
{
    if (asked_to_fail("ncclBroadcast")) return system_error;
    return enter(comm, call{false, (const float *)from, (float *)to, count, root, s}, type);
}
}
