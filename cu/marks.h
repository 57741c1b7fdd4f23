/* marks.h -- moments in a GPU's queue, for measuring: an event each. Of one backend at a time,
 * which is what a bench has. */
#ifndef SHOAL_CU_MARKS_H
#define SHOAL_CU_MARKS_H

#include "backend.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Makes `count` of them, in place of those before; 0 only frees those. ERR_MEMORY, ERR_DEVICE. */
enum err cuda_marks(const struct backend *b, size_t count, struct why *w);

/* Sets mark number `mark` to the moment when all that was queued so far is done. */
void cuda_mark(const struct backend *b, size_t mark);

/* Seconds from one to the other, once both have passed: it waits for them. */
double cuda_between(const struct backend *b, size_t from, size_t to);

#ifdef __cplusplus
}
#endif
#endif
