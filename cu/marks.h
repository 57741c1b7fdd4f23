/* marks.h -- timestamps in a GPU's queue, for measuring: an event each. For one backend at a
 * time. */
#ifndef SHOAL_CU_MARKS_H
#define SHOAL_CU_MARKS_H

#include "backend.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Creates `count` marks, replacing existing ones; 0 only frees those. ERR_MEMORY, ERR_DEVICE. */
enum err cuda_marks(const struct backend *b, size_t count, struct why *w);

/* Queues mark `mark`, reached when everything queued before it is done. */
void cuda_mark(const struct backend *b, size_t mark);

/* Waits for both marks and returns the seconds between them. */
double cuda_between(const struct backend *b, size_t from, size_t to);

#ifdef __cplusplus
}
#endif
#endif
