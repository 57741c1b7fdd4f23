/* arena.h -- memory allocated once, at start, and handed out from front to back.
 *
 * Sizes follow from the configuration, so a part of the program allocates everything while it is
 * set up; then its arena is sealed, and allocating again is a bug. */
#ifndef SHOAL_BASE_ARENA_H
#define SHOAL_BASE_ARENA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct arena {
    uint8_t *start;
    size_t bytes, used;
    bool sealed, owned; /* owned: arena_close unmaps the storage */
};

/* Uses the caller's storage, which must outlive the arena. */
void arena_init(struct arena *a, void *storage, size_t bytes);

/* Maps `bytes` of zeroed memory; pages are allocated when touched. ERR_MEMORY. */
enum err arena_open(struct arena *a, size_t bytes, struct why *w);
/* The same for memory that is seldom touched: it lies in a file without a name in `folder`, which
 * takes its space at once, and the system may write it there instead of keeping it in memory.
 * ERR_IO: no such folder, no room. */
enum err arena_open_file(struct arena *a, const char *folder, size_t bytes, struct why *w);
void arena_close(struct arena *a);

/* Allocates `bytes` zeroed bytes aligned to `align` (a power of two up to 4096), or NULL when the
 * arena is full. The arena must not be sealed. */
void *arena_take(struct arena *a, size_t bytes, size_t align);

/* Allocates `n` of a type, aligned to 64 bytes for vector code. */
#define arena_array(a, type, n) ((type *)arena_take((a), sizeof(type) * (size_t)(n), 64))

/* From now on arena_take is a bug. */
void arena_seal(struct arena *a);

#endif
