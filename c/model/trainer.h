/* trainer.h -- inner training: AdamW on the sampler's sequences, one step of train.batch_tokens
 * at a time.
 *
 *     trainer_open --> trainer_step, trainer_step, ... trainer_evaluate ... --> trainer_close
 *
 * All that a run depends on lies in struct trainer_state: saved and put back it continues bit for
 * bit on the same machine (and build, and micro-batch). The outer step reads and overwrites
 * `parameters` between calls; the moments and counters stay the worker's own.
 *
 * Several GPUs of one machine are the ranks of one trainer: each holds the whole model and computes
 * every n-th micro-batch of a step, n being their number; their gradients are added up among them,
 * and each takes the same AdamW step. All others see rank 0, whose parameters the other ranks take
 * over before the next step or evaluation. With another number of ranks sums are rounded otherwise,
 * as with another micro-batch.
 *
 * One thread uses a trainer at a time. It calls the backend and its pool; for a pool that gives way
 * to the network thread, open it with TRAINER_NICENESS and give the calling thread the same. */
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
    uint64_t position; /* of the sampler: sequences this worker has read */
    uint64_t tokens;   /* trained on, in steps that were kept or not: position x context */
};

struct trainer_report {
    double loss;          /* mean nats per token of this step's batch, before its update */
    double gradient_norm; /* before clipping */
    double lr;
    uint64_t tokens; /* of this step: train.batch_tokens */
};

/* Do experiment and corpus fit together? ERR_USAGE when the tokenizer is larger than model.vocab,
 * data.validation is not what the corpus was made with, or there is too little text for one
 * sequence. */
enum err trainer_fits(const struct experiment *x, const struct corpus *c, struct why *w);

/* Genesis parameters from the experiment's seed, zero moments and counters. `identity` decides what
 * is read: 32 bytes, the worker's node ID or zeros for one alone. `b` are `ranks` backends, 1 ..
 * BACKEND_RANKS_MAX; more than one were joined (backend.h). Experiment, backends and corpus must
 * outlive the trainer. ERR_USAGE when experiment and corpus do not fit together or a rank would
 * have nothing to do, ERR_UNSUPPORTED for a precision that the backend lacks, ERR_MEMORY,
 * ERR_DEVICE. */
enum err trainer_open(const struct experiment *x, const struct backend *b, size_t ranks,
                      const struct corpus *c, const uint8_t identity[32], struct trainer **out,
                      struct why *w);
void trainer_close(struct trainer *t);

/* One inner step with the learning rate of global step `schedule_step` (schedule.h). ERR_NUMBER
 * when loss or gradient is not finite: parameters, moments and `steps` are then unchanged, position
 * and tokens have moved on, so that the next try reads other text; `out` says what they were.
 * ERR_DEVICE. */
enum err trainer_step(struct trainer *t, double schedule_step, struct trainer_report *out,
                      struct why *w);

/* Mean nats per token over the corpus's validation windows in order, at most tokens_max of them (at
 * least one window); `tokens_used` says how many. Leaves the state alone. ERR_USAGE when nothing is
 * held out. */
enum err trainer_evaluate(struct trainer *t, uint64_t tokens_max, double *loss,
                          uint64_t *tokens_used, struct why *w);

/* The state, to read and to overwrite between calls; the pointers in it stay. */
struct trainer_state *trainer_state(struct trainer *t);
const struct layout *trainer_layout(const struct trainer *t);
const struct backend *trainer_backend(const struct trainer *t); /* of rank 0 */

/* To be called after `parameters` were written between calls. */
void trainer_parameters_changed(struct trainer *t);

/* Sets the moments and `steps` back to those of genesis. */
void trainer_forget(struct trainer *t);

/* The three vectors of the state (of rank 0, all ranks hold the same) as the host sees them:
 * themselves where backend.host, else copies in host memory that `pull` brings up to date and
 * `push` sends to all ranks. ERR_DEVICE. */
enum trainer_vector { TRAINER_PARAMETERS, TRAINER_MOMENT1, TRAINER_MOMENT2, TRAINER_VECTORS };
float *trainer_host(struct trainer *t, enum trainer_vector v);
enum err trainer_pull(struct trainer *t, struct why *w);
void trainer_push(struct trainer *t);

/* Sequences at once in each rank: budget_micro_batch (budget.h). */
uint32_t trainer_micro_batch(const struct trainer *t);

#endif
