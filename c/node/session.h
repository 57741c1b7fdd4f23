/* session.h -- what a training process opens, writes and closes, shared by `train` and a swarm's
 * worker (worker.h).
 *
 *     session_claim     folder of the checkpoints: its path, its lock, leftovers of killed saves
 *     (the caller opens the event log, and a worker its identity)
 *     session_open      checkpoint to start from, corpus, threads, devices, trainer
 *     (a worker makes its replica)
 *     session_resume    the newest checkpoint of this run, or all of them set aside
 *     session_evaluate, session_save ...
 *     session_close     everything, in reverse
 *
 * session_describe fills in what both kinds of checkpoint have; a worker adds the swarm's shared
 * state. One thread uses a session. */
#ifndef SHOAL_NODE_SESSION_H
#define SHOAL_NODE_SESSION_H

#include "base/crypto.h"
#include "base/event_log.h"
#include "config/experiment.h"
#include "model/checkpoints.h"
#include "model/trainer.h"
#include "node/setup.h"
#include "node/start.h"

struct session_config {
    const char *command; /* "train" or "run", as command_failed names it */
    const char *dir; /* folder of checkpoints and log, instead of the experiment's paths; or NULL */
    const char *from; /* start with the parameters of this checkpoint (start.h); or NULL */
    bool of_swarm;    /* its checkpoints hold an anchor; with `dir`, its key is there too */
    bool fresh;       /* move existing checkpoints aside */
};

struct session {
    struct experiment *x;         /* the caller's; outlives the session */
    struct session_config config; /* its texts likewise */
    struct event_log *log;        /* opened by the caller, closed by session_close */
    struct crypto hash;           /* hashes only, no key */
    struct setup setup;
    struct start start;
    struct trainer *trainer;
    struct trainer_state *state; /* of the trainer */
    struct session_saved {
        uint64_t step, position;
        uint8_t lineage[CRYPTO_DIGEST_BYTES];
    } saved;      /* of the newest checkpoint: everything that can change afterwards */
    bool unsaved; /* the latest checkpoint could not be written */
    int lock;     /* descriptor of the folder's lock; -1: not held */
};

/* Sets all to closed, so that session_close is valid from here on. */
void session_init(struct session *s, struct experiment *x, const struct session_config *c);

/* Puts the paths under `dir` if given, creates the folder and takes its lock. ERR_USAGE when `dir`
 * is too long, or for `train` when the folder holds a swarm's checkpoints; ERR_STOPPED when another
 * process holds it; ERR_IO. */
enum err session_claim(struct session *s, struct why *w);

/* Opens everything else. `identity` decides what text is read (trainer_open); `more_bytes`: host
 * memory that the caller allocates itself; `vectors`: fp32 vectors per checkpoint, to check the
 * disk's space. Errors of start_open, setup_open, start_check, budget_check_host and
 * trainer_open. */
enum err session_open(struct session *s, const uint8_t identity[CRYPTO_KEY_BYTES],
                      uint64_t more_bytes, size_t vectors, struct why *w);

/* A checkpoint of the present moment, except for the swarm's shared state; its sections point into
 * the trainer's memory, which session_save updates. */
struct checkpoint session_describe(struct session *s, uint64_t step);

/* Resumes from the newest checkpoint of this run, if there is one: reads it into `c`, and its
 * sections to where c->sections points. `found` false: there is none, or `fresh` moved it aside.
 * ERR_FORMAT, ERR_IO. */
enum err session_resume(struct session *s, struct checkpoint *c, bool *found, struct why *w);

/* Writes a checkpoint and logs the event. A failure is printed on stderr; it is an error only with
 * checkpoint.required. ERR_IO, ERR_DEVICE. */
enum err session_save(struct session *s, const struct checkpoint *c, struct why *w);

/* At the end: the same, unless the newest checkpoint already holds the same. */
enum err session_save_last(struct session *s, const struct checkpoint *c, struct why *w);

/* Validation loss in nats per token, logged with this epoch (EVENTS_ALONE: none) and step. Errors
 * of trainer_evaluate. */
enum err session_evaluate(struct session *s, uint64_t epoch, uint64_t step, double *loss,
                          uint64_t *tokens, struct why *w);

void session_close(struct session *s);

#endif
