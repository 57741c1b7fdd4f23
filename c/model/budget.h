/* budget.h -- the memory that a training step needs on one device, and the settings that fit into
 * it.
 *
 * A device holds the parameters, their gradients, two moments, on a GPU in bf16 copies of the
 * matrices, and activations, whose size depends on train.micro_batch and train.recompute. With
 * several GPUs in a worker each holds all of this. */
#ifndef SHOAL_MODEL_BUDGET_H
#define SHOAL_MODEL_BUDGET_H

#include "backend.h"
#include "config/experiment.h"
#include "model/model.h"

/* The two settings that determine the size of activations. */
struct budget {
    enum recompute recompute;
    uint32_t micro_batch; /* sequences */
    size_t bytes;         /* of memory with them, everything included */
};

/* Bytes that a training step may use on a device of `memory` bytes. The rest, a sixteenth but at
 * most 1 GiB, is for the driver and scratch. */
size_t budget_of_gpu(size_t memory);

/* The use with which a model is opened for train.recompute. */
enum model_use budget_use(enum recompute r);

/* Is a batch one micro-batch on each of `ranks` devices? Then gradients are not accumulated, and
 * activations are stored in the gradients' memory (model.h). */
bool budget_at_once(const struct experiment *x, size_t ranks, uint32_t micro_batch);

/* Bytes needed with these settings. Calls no operation of the backend. */
size_t budget_bytes(const struct experiment *x, const struct backend *b, size_t ranks,
                    enum recompute r, uint32_t micro_batch);

/* train.micro_batch on each of `ranks` devices: the experiment's or, for auto, the largest divisor
 * of the batch's sequences that gives no rank more than a sixteenth more work than necessary, has
 * at most about BUDGET_TOKENS_HOST or BUDGET_TOKENS_GPU tokens, and keeps activations within
 * BUDGET_BYTES_HOST, or everything within the device's memory. On the host a pure function of
 * experiment and ranks, otherwise also of the device. At least 1. */
#define BUDGET_TOKENS_HOST 4096
#define BUDGET_TOKENS_GPU  16384
#define BUDGET_BYTES_HOST  ((size_t)2 << 30)
uint32_t budget_micro_batch(const struct experiment *x, const struct backend *b, size_t ranks);

/* The fastest settings that fit into `bytes`, among those that recompute at least as much as the
 * experiment's and have no larger micro-batch: it prefers fewer sequences, down to
 * BUDGET_TOKENS_HOST tokens, to more recomputation. False: none fits. */
bool budget_fit(const struct experiment *x, const struct backend *b, size_t ranks, size_t bytes,
                struct budget *out);

/* ERR_MEMORY when the experiment does not fit a device of `memory` bytes ("GPU 0"), naming the
 * settings that would. */
enum err budget_check(const struct experiment *x, const struct backend *b, size_t ranks,
                      size_t memory, const char *device, struct why *w);

/* The same for the host's memory: `others` bytes and, where the host computes, the training step; a
 * GPU's worker keeps a copy of parameters and moments. `room`: bytes available on the host. */
enum err budget_check_host(const struct experiment *x, const struct backend *b, size_t ranks,
                           uint64_t others, uint64_t room, struct why *w);

#endif
