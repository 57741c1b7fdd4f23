/* choices.h -- the algorithms that a machine has chosen for the shapes of its products, stored in a
 * file.
 *
 * Algorithms are chosen by measurement, two measurements may choose differently, and two algorithms
 * may differ in their bits. So choices are stored in $XDG_CACHE_HOME/shoal or ~/.cache/shoal, one
 * file per `machine`, which names everything that a choice depends on. Nothing here fails: without
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
    uint64_t none; /* 1: there is no algorithm for the shape; value is zeros */
};

struct choices {
    char path[512]; /* empty: no file */
    char machine[CHOICES_MACHINE_BYTES];
    struct choice *all; /* newest first */
    size_t count;
};

/* Reads the choices for `machine`. `say`, which may be NULL, gets a sentence when the file is
 * damaged. */
void choices_open(struct choices *c, const char *machine, void (*say)(const char *sentence));
void choices_close(struct choices *c);

/* Reads again: adds what another GPU of this machine, or another process, has chosen since. */
void choices_again(struct choices *c);

/* `shape` and `value` have CHOICES_SHAPE_BYTES and CHOICES_VALUE_BYTES. False for an unknown
 * shape. */
bool choices_find(const struct choices *c, const void *shape, void *value, bool *none);

/* Adds a choice, `value` NULL for no algorithm, and atomically writes the file, merged with what
 * other processes have added. If it cannot be written, `say` gets a sentence, once. */
void choices_keep(struct choices *c, const void *shape, const void *value,
                  void (*say)(const char *sentence));

#ifdef __cplusplus
}
#endif
#endif
