/* mistakes.h -- collects the mistakes in an experiment, so that one run reports all of them.
 *
 * Each mistake is one sentence that starts with its place: "file:line:column: train.steps: found
 * ..." for the file, "--set train.steps: found ..." for the command line. */
#ifndef SHOAL_CONFIG_MISTAKES_H
#define SHOAL_CONFIG_MISTAKES_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define MISTAKES_MAX 20 /* about a screen; further ones are only counted */

struct mistakes {
    size_t count; /* of `all`, in the order found */
    size_t more;  /* found after those, only counted */
    struct mistake {
        enum err err;
        uint32_t line, column; /* from 1; 0: not in a file */
        char text[WHY_BYTES];
    } all[MISTAKES_MAX];
};

/* Adds "name:line:column: " and the sentence; without a line "name: " and the sentence. Returns
 * `e`. */
enum err mistakes_add(struct mistakes *m, const char *name, uint32_t line, uint32_t column,
                      enum err e, const char *format, ...) __attribute__((format(printf, 6, 7)));

/* The first one goes into `w`. Returns ERR_OK when there is none, the first one's error otherwise;
 * but ERR_USAGE if any of them is that: a user's mistake takes precedence over missing features. */
enum err mistakes_why(const struct mistakes *m, struct why *w);

/* Sorts them by place in the file, those of the command line last. */
void mistakes_sort(struct mistakes *m);

#endif
