/* budget.h -- what a training step needs of one device's memory, and which settings fit into it.
 *
 * A device holds the parameters, their gradients, two moments, on a GPU in bf16 copies of the
 * matrices, and activations, which train.micro_batch and train.recompute make larger or smaller.
 * With several GPUs in a worker each holds all of it. */
#ifndef SHOAL_MODEL_BUDGET_H
#define SHOAL_MODEL_BUDGET_H

#include "backend.h"
#include "config/experiment.h"
#include "model/model.h"

/* The two settings that memory is traded with. */
struct budget {
    enum recompute recompute;
    uint32_t micro_batch; /* sequences at once */
    size_t bytes;         /* that they take together with all else */
};

/* A device of `memory` bytes: how many of them a training step may take. The rest is the driver's
 * and for scratch: a sixteenth, at most 1 GiB. */
size_t budget_of_gpu(size_t memory);

/* What a model is opened for with train.recompute. */
enum model_use budget_use(enum recompute r);

/* Is a batch one micro-batch on each of `ranks` devices? Then gradients are not added up, and
 * activations lie where they will be (model.h). */
bool budget_at_once(const struct experiment *x, size_t ranks, uint32_t micro_batch);

/* Bytes with these settings. No operation of the backend is called. */
size_t budget_bytes(const struct experiment *x, const struct backend *b, size_t ranks,
                    enum recompute r, uint32_t micro_batch);

/* What train.micro_batch comes to on each of `ranks` devices: what the experiment says, or for auto
 * the largest divisor of the batch's sequences that gives no rank more than a sixteenth more to do
 * than need be, is at most about BUDGET_TOKENS_HOST or BUDGET_TOKENS_GPU tokens, and leaves
 * activations within BUDGET_BYTES_HOST, or all within what the device has. On the host a pure
 * function of experiment and ranks, elsewhere of these and the device. At least 1. */
#define BUDGET_TOKENS_HOST 4096
#define BUDGET_TOKENS_GPU  16384
#define BUDGET_BYTES_HOST  ((size_t)2 << 30)
uint32_t budget_micro_batch(const struct experiment *x, const struct backend *b, size_t ranks);

/* The settings, of those that recompute no less than the experiment's and take no more sequences at
 * once, that cost the least time of those that fit into `bytes`: rather fewer sequences, down to
 * BUDGET_TOKENS_HOST tokens, than more to compute. False: none fits. */
bool budget_fit(const struct experiment *x, const struct backend *b, size_t ranks, size_t bytes,
                struct budget *out);

/* ERR_MEMORY when the experiment does not fit a device of `memory` bytes ("GPU 0"), with the
 * settings that would. */
enum err budget_check(const struct experiment *x, const struct backend *b, size_t ranks,
                      size_t memory, const char *device, struct why *w);

/* The same for what the host must hold: `others` bytes and, where the host computes, the training;
 * a GPU's worker keeps a copy of parameters and moments. `room`: what the host has left. */
enum err budget_check_host(const struct experiment *x, const struct backend *b, size_t ranks,
                           uint64_t others, uint64_t room, struct why *w);

#endif
