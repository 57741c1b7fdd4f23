#include "marks.h"

#include <stdlib.h>

#include "ops.h"

static cudaEvent_t *marks;
static size_t marks_count;

static void give_back(void)
{
    for (size_t i = 0; i < marks_count; i++) cudaEventDestroy(marks[i]);
    free(marks);
    marks = NULL;
    marks_count = 0;
}

enum err cuda_marks(const struct backend *b, size_t count, struct why *w)
{
    struct cuda *c = cuda_of(b->self);
    give_back();
    if (!count) return ERR_OK;
    marks = (cudaEvent_t *)calloc(count, sizeof *marks);
    if (!marks) return why(w, ERR_MEMORY, "no memory for %zu marks", count);
    for (; marks_count < count; marks_count++)
        if (cudaEventCreate(&marks[marks_count]) != cudaSuccess)
            return why(w, ERR_DEVICE, "GPU %d gave no events to measure with", c->device);
    return ERR_OK;
}

void cuda_mark(const struct backend *b, size_t mark)
{
    struct cuda *c = cuda_of(b->self);
    cuda_note(c, cudaEventRecord(marks[mark], c->stream), "a mark");
}

double cuda_between(const struct backend *b, size_t from, size_t to)
{
    struct cuda *c = cuda_of(b->self);
    float ms = 0;
    cuda_note(c, cudaEventSynchronize(marks[to]), "a mark");
    cuda_note(c, cudaEventElapsedTime(&ms, marks[from], marks[to]), "a mark");
    return ms * 1e-3;
}
