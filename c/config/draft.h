/* draft.h -- a first experiment for a corpus: chooses what the user has not.
 *
 * Batch, learning rate and context follow from the preset, steps from the text and the passes over
 * it, the outer epochs from the steps. Values given by `--set` are kept, and the rest follows from
 * them. */
#ifndef SHOAL_CONFIG_DRAFT_H
#define SHOAL_CONFIG_DRAFT_H

#include <stdio.h>

#include "config/paths.h"
#include "config/schema.h"

struct draft {
    /* Input. */
    const char *name;
    const char *corpus; /* as written in the file */
    const struct schema_preset *preset;
    uint32_t vocab;            /* of the corpus's tokenizer */
    uint64_t tokens, held_out; /* for training, and for validation */
    double passes;             /* of one worker over the text; > 0 */
    const char *const *sets;   /* "key=value" each */
    size_t sets_count;
    const struct paths *paths; /* relative ones in `sets` are relative to the working folder */

    /* Output; input where not 0. */
    uint64_t context, batch_tokens, steps, every;
    double lr;
};

/* Chooses the fields that are 0: batch_tokens is a multiple of context, steps of every. */
void draft_choose(struct draft *d);

/* Applies `sets`, chooses the rest and fills in the experiment, with paths as written in the file;
 * the keys to print are those with `given` in x->places. ERR_USAGE with --set KEY. */
enum err draft_make(struct draft *d, struct experiment *x, struct why *w);

/* Writes the experiment with a comment for each line; `file`: its name. */
void draft_print(const struct draft *d, const struct experiment *x, const char *file, FILE *to);

/* Derives an experiment's name from a path: its last part without ".yaml", with '-' for characters
 * not allowed. */
void draft_name(const char *path, char out[EXPERIMENT_NAME_BYTES]);

/* The preset of that name; NULL when there is none, and `known` lists the existing ones: "2m, 14m
 * or 1b". */
const struct schema_preset *draft_preset(const char *name, char known[128]);

#endif
