/* choices.h -- which algorithm a machine has chosen for which shape, kept in a file from start to
 * start.
 *
 * Choosing means measuring, and two measurements may not choose the same, nor two algorithms give
 * the same bits. So a choice is kept, in $XDG_CACHE_HOME/shoal or ~/.cache/shoal, one file for each
 * machine: all that must be the same for a choice to be worth anything. Nothing here fails: without
 * a file a choice is kept until the process ends, for the other GPUs that compute with this one.
 * One thread at a time. */
#ifndef SHOAL_CU_CHOICES_H
#define SHOAL_CU_CHOICES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define CHOICES_SHAPE_BYTES   64
#define CHOICES_VALUE_BYTES   64
#define CHOICES_MACHINE_BYTES 424
#define CHOICES_MAX           1024 /* in a file; the oldest are dropped */

struct choice {
    uint8_t shape[CHOICES_SHAPE_BYTES], value[CHOICES_VALUE_BYTES];
    uint64_t none; /* 1: that there is nothing to choose from was found, and value is zeros */
};

struct choices {
    char path[512]; /* empty: there is no file */
    char machine[CHOICES_MACHINE_BYTES];
    struct choice *all; /* the newest first */
    size_t count;
};

/* Reads what there is for `machine`. `say`, which may be NULL, gets a sentence about a file that is
 * damaged. */
void choices_open(struct choices *c, const char *machine, void (*say)(const char *sentence));
void choices_close(struct choices *c);

/* Reads again: takes in what another GPU of this machine, or another process, has chosen since. */
void choices_again(struct choices *c);

/* `shape` and `value` have CHOICES_SHAPE_BYTES and CHOICES_VALUE_BYTES. False when nothing is known
 * of the shape. */
bool choices_find(const struct choices *c, const void *shape, void *value, bool *none);

/* Keeps one more, `value` NULL for none, and writes the file: with what other processes have added
 * to it, and whole or not at all. When it cannot be written `say` gets a sentence, once. */
void choices_keep(struct choices *c, const void *shape, const void *value,
                  void (*say)(const char *sentence));

#ifdef __cplusplus
}
#endif
#endif
