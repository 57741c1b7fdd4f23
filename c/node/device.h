/* device.h -- which processor computes: the one that is asked for, or the best that is there. */
#ifndef SHOAL_NODE_DEVICE_H
#define SHOAL_NODE_DEVICE_H

#include "backend.h"
#include "base/pool.h"
#include "config/experiment.h"
#include "model/checkpoint.h"

/* What shoal was built to compute on, for `shoal version`. */
const char *device_built(void);

/* What computes together in one worker: the CPU, or a GPU, or several that were joined. */
struct devices {
    struct backend ranks[BACKEND_RANKS_MAX];
    size_t count; /* that are open */
};

struct device_options {
    enum device_kind kind;
    uint32_t index; /* of the GPU */
    enum precision precision;
    enum cpu_kernels kernels;
    const char *kept; /* the CPU's kernels of the checkpoint, which auto takes; NULL: not known */
    /* Of what is computed: which kernels are fastest depends on it. */
    const struct model_shape *shape;
    const char *cublaslt; /* machine.cublaslt, or NULL */
    bool quiet;           /* what a GPU does without was said of another */
};

/* Opens it; auto is GPU 0 where there is one, else the CPU. A GPU that is asked for and cannot
 * serve is an error, never a silent CPU, and what it does without is said on stderr:
 * ERR_UNSUPPORTED when shoal was built without CUDA, ERR_DEVICE, ERR_MEMORY. The pool must outlive
 * it. */
enum err device_open(struct backend *out, const struct device_options *o, struct pool *pool,
                     struct why *w);
void device_close(struct backend *b);

/* Floating-point operations a second at most: of the CPU what is measured now (about 0.1 s,
 * cpu_peak), of a GPU what its maker says of dense products in bf16; 0: not known. */
double device_peak(const struct backend *b);

/* Bytes a second between a GPU and its memory, by the memory's clock and width; 0: not known, as of
 * a CPU. */
double device_memory_peak(const struct backend *b);

/* "AVX-512 BF16" or "NVIDIA H100 80GB HBM3, sm_90, cuBLASLt 13.1"; lives as long as the backend. */
const char *device_describe(const struct backend *b);

/* How the CPU's kernels were chosen, for the log ("measured: AVX-512 3.1 ms, AMX 0.9 ms"); NULL of
 * a GPU, and where nothing was to be chosen. */
const char *device_choice(const struct backend *b);

/* What it computes in; never PRECISION_AUTO. */
enum precision device_precision(const struct backend *b);

/* Opens what the experiment asks for: auto takes all GPUs where there are any. Several GPUs compute
 * together through NCCL; where that is not to be had it is ERR_DEVICE, never fewer GPUs. `kept`:
 * the checkpoint that is gone on from, or NULL; machine.kernels and train.precision that are auto
 * are as there, and where its kernels do not run it says on stderr that bits differ from here on.
 * x->train.precision is what was taken then. Other errors as above. devices_close closes what was
 * opened, after an error too. */
enum err devices_open(struct devices *out, struct experiment *x, const struct checkpoint *kept,
                      struct pool *pool, struct why *w);
void devices_close(struct devices *d);
size_t devices_gpus(const struct devices *d); /* 0: the CPU computes */

/* The GPU for worker `i` of several on this machine: those of the experiment in turn, in `out`
 * ("cuda:1"). False: what the experiment says serves all of them. */
bool devices_deal(const struct experiment *x, size_t i, char out[16]);

/* Marks in the device's queue, for measuring, of one backend at a time. device_marks makes `count`
 * of them (0 frees them); device_mark sets one to the moment when all that was queued so far is
 * done; device_between waits for both and returns the seconds between. ERR_MEMORY, ERR_DEVICE. */
enum err device_marks(const struct backend *b, size_t count, struct why *w);
void device_mark(const struct backend *b, size_t mark);
double device_between(const struct backend *b, size_t from, size_t to);

#endif
