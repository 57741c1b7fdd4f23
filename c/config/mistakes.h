/* mistakes.h -- what is wrong with an experiment, collected, so that one try names all of it.
 *
 * Each mistake is one sentence that starts with its place: "file:line:column: train.steps: found
 * ..." for what stands in the file, "--set train.steps: found ..." for what came from the command
 * line. */
#ifndef SHOAL_CONFIG_MISTAKES_H
#define SHOAL_CONFIG_MISTAKES_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define MISTAKES_MAX 20 /* a screen; what is beyond it is counted only */

struct mistakes {
    size_t count; /* of `all`, in the order in which they were found */
    size_t more;  /* found after those, and not kept */
    struct mistake {
        enum err err;
        uint32_t line, column; /* from 1; 0: it stands in no file */
        char text[WHY_BYTES];
    } all[MISTAKES_MAX];
};

/* Keeps "name:line:column: " and the sentence; without a line "name: " and the sentence. Returns
 * `e`. */
enum err mistakes_add(struct mistakes *m, const char *name, uint32_t line, uint32_t column,
                      enum err e, const char *format, ...) __attribute__((format(printf, 6, 7)));

/* The first one goes into `w`. Returns ERR_OK when there is none, the first one's error otherwise;
 * but ERR_USAGE if any of them is that: a mistake of the user's counts more than what is not built
 * yet. */
enum err mistakes_why(const struct mistakes *m, struct why *w);

/* Puts them in the order of the file, those of the command line last. */
void mistakes_sort(struct mistakes *m);

#endif
