/* pass.h -- a worker's own ticket, and the file of revoked ones that it watches.
 *
 * The file swarm.revoked is where the experiment's owner puts a new list, at any member, and where
 * each member keeps the newest that it has heard of. */
#ifndef SHOAL_NODE_PASS_H
#define SHOAL_NODE_PASS_H

#include <sys/stat.h>

#include "config/experiment.h"
#include "node/ticket_file.h"

#define PASS_STORY_BYTES 640

struct pass {
    struct ticket_file own;
    struct crypto verify; /* signs nothing */
    char path[EXPERIMENT_PATH_BYTES];
    struct stat seen;         /* of the file when it was read or written last; zeros: not there */
    struct ticket_file list;  /* the newest that the swarm knows; count 0: none */
    struct ticket_file found; /* in the file, when it was read last */
    bool warned;              /* that the ticket ends within a day */
    char over[TICKET_STORY_BYTES]; /* why the ticket is good no more; empty: it is */
};

/* Reads the ticket of the worker with this ID, which must be good for this run now. ERR_IO when
 * there is none, ERR_FORMAT for a damaged one, ERR_USAGE for one that is of no use here; each with
 * a sentence that says what to do. */
enum err pass_open(struct pass *p, const struct experiment *x, const uint8_t id[CRYPTO_KEY_BYTES],
                   const uint8_t run_id[CRYPTO_DIGEST_BYTES], struct why *w);

/* Has the file of revoked tickets changed? If it now holds a list of this run that is newer than
 * what is known, *list is its record, valid until the next call. Otherwise `story` says what is
 * wrong with it, or is empty. */
bool pass_reread(struct pass *p, struct bytes *list, char story[PASS_STORY_BYTES]);

/* The swarm has taken this list: keeps it in the file, unless that holds it. ERR_IO. */
enum err pass_keep(struct pass *p, struct bytes list, struct why *w);

/* Is the own ticket over, since the last call? Then p->over says why. */
bool pass_over(struct pass *p, uint64_t wall_ms);

/* Seconds until the own ticket ends, if that is within a day: once. Otherwise 0. */
uint64_t pass_ends_s(struct pass *p, uint64_t wall_ms);

#endif
