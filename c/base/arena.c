#include "base/arena.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

void arena_init(struct arena *a, void *storage, size_t bytes)
{
    *a = (struct arena){.start = storage, .bytes = bytes};
}

enum err arena_open(struct arena *a, size_t bytes, struct why *w)
{
    void *p = mmap(NULL, bytes ? bytes : 1, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED)
        return why(w, ERR_MEMORY, "asking the system for %zu bytes of memory: %s", bytes,
                   strerror(errno));
    *a = (struct arena){.start = p, .bytes = bytes, .owned = true};
    return ERR_OK;
}

enum err arena_open_file(struct arena *a, const char *folder, size_t bytes, struct why *w)
{
    char path[PATH_MAX];
    if (!bytes) bytes = 1;
    int n = snprintf(path, sizeof path, "%s/.memory-XXXXXX", folder);
    if (n < 0 || (size_t)n >= sizeof path)
        return why(w, ERR_IO, "a folder's path of more than %d bytes", PATH_MAX);
    int fd = mkostemp(path, O_CLOEXEC);
    if (fd < 0) return why(w, ERR_IO, "a file in %s: %s", folder, strerror(errno));
    unlink(path);
    int rc = posix_fallocate(fd, 0, (off_t)bytes); /* otherwise a full disk kills who touches it */
    void *p = rc ? MAP_FAILED : mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (!rc && p == MAP_FAILED) rc = errno;
    close(fd);
    if (rc) return why(w, ERR_IO, "%zu bytes in a file in %s: %s", bytes, folder, strerror(rc));
    *a = (struct arena){.start = p, .bytes = bytes, .owned = true};
    return ERR_OK;
}

void arena_close(struct arena *a)
{
    if (a->owned) munmap(a->start, a->bytes ? a->bytes : 1);
    *a = (struct arena){0};
}

void *arena_take(struct arena *a, size_t bytes, size_t align)
{
    assert(!a->sealed);
    assert(align && !(align & (align - 1)) && align <= 4096);
    uintptr_t here = (uintptr_t)a->start + a->used;
    size_t pad = (size_t)(-here & (align - 1));
    if (a->bytes - a->used < pad || a->bytes - a->used - pad < bytes) return NULL;
    void *p = a->start + a->used + pad;
    a->used += pad + bytes;
    memset(p, 0, bytes);
    return p;
}

void arena_seal(struct arena *a) { a->sealed = true; }
