/* session.h -- what a process that trains opens, writes and closes: `train` alone, and a swarm's
 * worker (worker.h).
 *
 *     session_claim     folder of the checkpoints: where it is, its lock, leftovers of killed saves
 *     (the caller opens the event log, and a worker its identity)
 *     session_open      checkpoint to begin with, corpus, threads, devices, trainer
 *     (a worker makes its replica)
 *     session_resume    the newest checkpoint of this run, or all of them set aside
 *     session_evaluate, session_save ...
 *     session_close     everything, in reverse
 *
 * A checkpoint is described twice: session_describe fills in what both have, a worker adds what the
 * swarm holds alike. One thread uses a session. */
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
    const char *dir; /* checkpoints and log lie in it, instead of the experiment's paths; or NULL */
    const char *from; /* begin with the parameters of this checkpoint (start.h); or NULL */
    bool of_swarm;    /* its checkpoints hold an anchor; with `dir`, its key lies there too */
    bool fresh;       /* move the checkpoints that are there aside */
};

struct session {
    struct experiment *x;         /* the caller's, as long as the session */
    struct session_config config; /* likewise its texts */
    struct event_log *log;        /* opened by the caller, closed by session_close */
    struct crypto hash;           /* hashes only, no key */
    struct setup setup;
    struct start start;
    struct trainer *trainer;
    struct trainer_state *state; /* of the trainer */
    struct session_saved {
        uint64_t step, position;
        uint8_t lineage[CRYPTO_DIGEST_BYTES];
    } saved;      /* what the newest checkpoint holds: all that can have changed since */
    bool unsaved; /* the latest checkpoint could not be written */
    int lock;     /* descriptor of the folder's lock; -1: not held */
};

/* At rest, so that session_close is right from here on. */
void session_init(struct session *s, struct experiment *x, const struct session_config *c);

/* Puts the paths under `dir` where that is given, makes the folder and takes its lock. ERR_USAGE
 * when `dir` is too long, or for a worker alone when the folder holds a swarm's checkpoints;
 * ERR_STOPPED when another process holds it; ERR_IO. */
enum err session_claim(struct session *s, struct why *w);

/* Opens all the rest. `identity` decides what text is read (trainer_open); `more_bytes`: of host
 * memory that the caller takes as well; `vectors`: of one checkpoint, to see if the disk has room.
 * Errors of start_open, setup_open, start_check, budget_check_host and trainer_open. */
enum err session_open(struct session *s, const uint8_t identity[CRYPTO_KEY_BYTES],
                      uint64_t more_bytes, size_t vectors, struct why *w);

/* A checkpoint of now but for what the swarm holds alike; its sections point into the trainer's
 * memory, which session_save brings up to date. */
struct checkpoint session_describe(struct session *s, uint64_t step);

/* Goes on from the newest checkpoint of this run, when there is one: it is read into `c`, sections
 * where c->sections points to. `found` false: there is none, or `fresh` moved it aside. ERR_FORMAT,
 * ERR_IO. */
enum err session_resume(struct session *s, struct checkpoint *c, bool *found, struct why *w);

/* Writes a checkpoint, and the event. A failure is printed on stderr; it is an error only with
 * checkpoint.required. ERR_IO, ERR_DEVICE. */
enum err session_save(struct session *s, const struct checkpoint *c, struct why *w);

/* At the end: the same, unless the newest checkpoint holds the same already. */
enum err session_save_last(struct session *s, const struct checkpoint *c, struct why *w);

/* Validation loss in nats per token, into the log as of this epoch (EVENTS_ALONE: none) and step.
 * Errors of trainer_evaluate. */
enum err session_evaluate(struct session *s, uint64_t epoch, uint64_t step, double *loss,
                          uint64_t *tokens, struct why *w);

void session_close(struct session *s);

#endif
