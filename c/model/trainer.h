/* trainer.h -- inner training: AdamW on the sampler's sequences, one step of train.batch_tokens at
 * a time.
 *
 *     trainer_open --> trainer_step, trainer_step, ... trainer_evaluate ... --> trainer_close
 *
 * Everything that a run depends on is in struct trainer_state: saved and restored, it continues bit
 * for bit on the same machine (with the same build and micro-batch). The outer step reads and
 * overwrites `parameters` between calls; the moments and counters stay the worker's own.
 *
 * Several GPUs of one machine are the ranks of one trainer: each holds the whole model and computes
 * every n-th micro-batch of a step, n being their number; gradients are all-reduced, and each does
 * the same AdamW step. Callers see rank 0, whose parameters are copied to the other ranks before
 * the next step or evaluation. Another number of ranks rounds sums differently, as does another
 * micro-batch.
 *
 * One thread uses a trainer at a time. It calls the backend and its pool; for a pool that yields to
 * the network thread, open it with TRAINER_NICENESS and give the calling thread the same. */
#ifndef SHOAL_MODEL_TRAINER_H
#define SHOAL_MODEL_TRAINER_H

#include "backend.h"
#include "config/experiment.h"
#include "model/layout.h"
#include "model/model.h"

#define TRAINER_NICENESS 5

struct corpus; /* data/corpus.h */
struct trainer;

struct trainer_state {
    /* Flat vectors of layout.parameters fp32 in the memory of rank 0 (host memory where
     * backend.host). */
    float *parameters, *moment1, *moment2;
    uint64_t steps;    /* AdamW steps taken: its bias correction */
    uint64_t position; /* of the sampler: sequences read by this worker */
    uint64_t tokens;   /* trained on, including discarded steps: position x context */
};

struct trainer_report {
    double loss;          /* mean nats per token of this step's batch, before its update */
    double gradient_norm; /* before clipping */
    double lr;
    uint64_t tokens; /* of this step: train.batch_tokens */
};

/* Do experiment and corpus fit together? ERR_USAGE when the tokenizer is larger than model.vocab,
 * data.validation differs from the corpus's, or there is too little text for one sequence. */
enum err trainer_fits(const struct experiment *x, const struct corpus *c, struct why *w);

/* Genesis parameters from the experiment's seed, zero moments and counters. `identity` determines
 * what text is read: 32 bytes, the worker's node ID, or zeros for `train`. `b` are `ranks`
 * backends, 1 .. BACKEND_RANKS_MAX, joined if more than one (backend.h). Experiment, backends and
 * corpus must outlive the trainer. ERR_USAGE when experiment and corpus do not fit together or a
 * rank would have nothing to do, ERR_UNSUPPORTED for a precision that the backend lacks,
 * ERR_MEMORY, ERR_DEVICE. */
enum err trainer_open(const struct experiment *x, const struct backend *b, size_t ranks,
                      const struct corpus *c, const uint8_t identity[32], struct trainer **out,
                      struct why *w);
void trainer_close(struct trainer *t);

/* One inner step with the learning rate of global step `schedule_step` (schedule.h). ERR_NUMBER
 * when loss or gradient is not finite: parameters, moments and `steps` are then unchanged; position
 * and tokens have advanced, so that the next try reads other text; `out` has the loss and gradient
 * norm. ERR_DEVICE. */
enum err trainer_step(struct trainer *t, double schedule_step, struct trainer_report *out,
                      struct why *w);

/* Mean nats per token over the corpus's validation windows in order, at most tokens_max of them (at
 * least one window); `tokens_used`: the number evaluated. Does not change the state. ERR_USAGE when
 * nothing is held out. */
enum err trainer_evaluate(struct trainer *t, uint64_t tokens_max, double *loss,
                          uint64_t *tokens_used, struct why *w);

/* The state, which the caller may read and overwrite between calls, except for the pointers. */
struct trainer_state *trainer_state(struct trainer *t);
const struct layout *trainer_layout(const struct trainer *t);
const struct backend *trainer_backend(const struct trainer *t); /* of rank 0 */

/* Call it after writing `parameters` between calls. */
void trainer_parameters_changed(struct trainer *t);

/* Resets the moments and `steps` to those of genesis. */
void trainer_forget(struct trainer *t);

/* The three vectors of the state (of rank 0; all ranks hold the same) in host memory: the vectors
 * themselves where backend.host, otherwise copies, which `pull` updates and `push` sends to all
 * ranks. ERR_DEVICE. */
enum trainer_vector { TRAINER_PARAMETERS, TRAINER_MOMENT1, TRAINER_MOMENT2, TRAINER_VECTORS };
float *trainer_host(struct trainer *t, enum trainer_vector v);
enum err trainer_pull(struct trainer *t, struct why *w);
void trainer_push(struct trainer *t);

/* Sequences per micro-batch of each rank: budget_micro_batch (budget.h). */
uint32_t trainer_micro_batch(const struct trainer *t);

#endif
