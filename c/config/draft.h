/* draft.h -- a first experiment for a corpus: what to write where nobody has chosen yet.
 *
 * Batch, learning rate and context follow from the preset, steps from the text and the passes over
 * it, the outer epochs from the steps. What `--set` gives stays as it is, and the rest follows from
 * that. */
#ifndef SHOAL_CONFIG_DRAFT_H
#define SHOAL_CONFIG_DRAFT_H

#include <stdio.h>

#include "config/paths.h"
#include "config/schema.h"

struct draft {
    /* In. */
    const char *name;
    const char *corpus; /* as it stands in the file */
    const struct schema_preset *preset;
    uint32_t vocab;            /* of the corpus' tokenizer */
    uint64_t tokens, held_out; /* to train on, and for validation */
    double passes;             /* of one worker over the text; > 0 */
    const char *const *sets;   /* "key=value" each */
    size_t sets_count;
    const struct paths *paths; /* relative ones in `sets` start from the working folder */

    /* Out, or in where it is not 0. */
    uint64_t context, batch_tokens, steps, every;
    double lr;
};

/* Chooses what is 0: batch_tokens is a multiple of context, steps of every. */
void draft_choose(struct draft *d);

/* Takes what `sets` give, chooses the rest and makes the experiment of it, paths as they will stand
 * in the file; the keys to print are those with `given` in x->places. ERR_USAGE with --set KEY. */
enum err draft_make(struct draft *d, struct experiment *x, struct why *w);

/* Writes the experiment with a comment for each line; `file` is what it will be called. */
void draft_print(const struct draft *d, const struct experiment *x, const char *file, FILE *to);

/* A name for an experiment out of a path: its last part without ".yaml", each odd letter a '-'. */
void draft_name(const char *path, char out[EXPERIMENT_NAME_BYTES]);

/* The preset of that name; NULL when there is none, and `known` says which there are: "2m, 14m or
 * 1b". */
const struct schema_preset *draft_preset(const char *name, char known[128]);

#endif
