/* device.h -- opens the compute device: the requested one, or the best available. */
#ifndef SHOAL_NODE_DEVICE_H
#define SHOAL_NODE_DEVICE_H

#include "backend.h"
#include "base/pool.h"
#include "config/experiment.h"
#include "model/checkpoint.h"

/* The devices that shoal was built for, for `shoal version`. */
const char *device_built(void);

/* The devices of one worker: the CPU, a GPU, or several joined GPUs. */
struct devices {
    struct backend ranks[BACKEND_RANKS_MAX];
    size_t count; /* of open ranks */
};

struct device_options {
    enum device_kind kind;
    uint32_t index; /* of the GPU */
    enum precision precision;
    enum cpu_kernels kernels;
    const char *kept; /* the checkpoint's CPU kernels, which auto chooses; NULL: unknown */
    /* Of the model to compute: the fastest kernels depend on it. */
    const struct model_shape *shape;
    const char *cublaslt; /* machine.cublaslt, or NULL */
    bool quiet;           /* missing features were already reported for another GPU */
};

/* Opens it; auto is GPU 0 where there is one, else the CPU. A requested GPU that cannot be used is
 * an error, with no silent fallback to the CPU; features that it lacks are reported on stderr.
 * ERR_UNSUPPORTED when shoal was built without CUDA, ERR_DEVICE, ERR_MEMORY. The pool must outlive
 * it. */
enum err device_open(struct backend *out, const struct device_options *o, struct pool *pool,
                     struct why *w);
void device_close(struct backend *b);

/* Peak floating-point operations per second: of the CPU measured now (about 0.1 s, cpu_peak), of a
 * GPU the data sheet's dense bf16 rate; 0: not known. */
double device_peak(const struct backend *b);

/* Bytes per second between a GPU and its memory, from the memory's clock and width; 0: not known,
 * as for a CPU. */
double device_memory_peak(const struct backend *b);

/* "AVX-512 BF16" or "NVIDIA H100 80GB HBM3, sm_90, cuBLASLt 13.1"; valid as long as the backend. */
const char *device_describe(const struct backend *b);

/* How the CPU's kernels were chosen, for the log ("measured: AVX-512 3.1 ms, AMX 0.9 ms"); NULL for
 * a GPU, and where there was no choice. */
const char *device_choice(const struct backend *b);

/* The precision it computes in; never PRECISION_AUTO. */
enum precision device_precision(const struct backend *b);

/* Opens what the experiment asks for: auto takes all GPUs where there are any. Several GPUs compute
 * together through NCCL; where that is unavailable it is ERR_DEVICE, never fewer GPUs. `kept`: the
 * checkpoint to resume from, or NULL; machine.kernels and train.precision that are auto are taken
 * from it, and if its kernels do not run here a message on stderr says that bits differ from now
 * on. x->train.precision is set to the chosen one. Other errors as above. devices_close closes what
 * was opened, also after an error. */
enum err devices_open(struct devices *out, struct experiment *x, const struct checkpoint *kept,
                      struct pool *pool, struct why *w);
void devices_close(struct devices *d);
size_t devices_gpus(const struct devices *d); /* 0: only the CPU */

/* The GPU for worker `i` of several on this machine: those of the experiment, round robin, in `out`
 * ("cuda:1"). False: all use what the experiment names. */
bool devices_deal(const struct experiment *x, size_t i, char out[16]);

/* Marks in the device's queue, for measuring, of one backend at a time. device_marks makes `count`
 * of them (0 frees them); device_mark queues one, which is reached when all work queued before it
 * is done; device_between waits for two marks and returns the seconds between them. ERR_MEMORY,
 * ERR_DEVICE. */
enum err device_marks(const struct backend *b, size_t count, struct why *w);
void device_mark(const struct backend *b, size_t mark);
double device_between(const struct backend *b, size_t from, size_t to);

#endif
