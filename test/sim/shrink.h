/* shrink.h -- finds a smaller world that fails in the same way: `sim SEED --shrink`.
 *
 *     faults --> nodes --> packets --> calm --.      until nothing more can be left out
 *       ^-------------------------------------'
 *
 * Greedy: what can be left out stays left out. Of faults and nodes first half of those that are left
 * are tried at once, then fewer, at last each alone, so what remains is needed: without any single
 * one of them the failure is not seen. When nothing can be left out any more the same is tried with
 * other random numbers (--salt), as leaving something out changes those of what stays. */
#ifndef SHOAL_SIM_SHRINK_H
#define SHOAL_SIM_SHRINK_H

#include "sim.h"

#define SHRINK_SALTS 6 /* tried for each smaller world, at last */

enum shrink_answer {
    SHRINK_NO,   /* it passes, or fails in another way */
    SHRINK_YES,  /* it fails in the same way */
    SHRINK_STOP, /* no more tries */
};

/* Tries a world. */
typedef enum shrink_answer (*shrink_try)(void *self, const struct sim_options *o);

struct shrunk {
    struct sim_options options; /* the smallest found that fails */
    uint32_t tries;
    bool stopped; /* by SHRINK_STOP: a smaller one may exist */
};

/* `options` fail; what they leave out already stays left out. */
void shrink(const struct sim_options *options, shrink_try attempt, void *self, struct shrunk *out);

#endif
