#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static enum err read_fully(int fd, uint8_t *to, size_t count, const char *path, struct why *w)
{
    for (size_t done = 0; done < count;) {
        ssize_t n = read(fd, to + done, count - done);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return why(w, ERR_IO, "reading %s: %s", path, strerror(errno));
        if (n == 0) return why(w, ERR_IO, "reading %s: it became shorter while it was read", path);
        done += (size_t)n;
    }
    return ERR_OK;
}

/* The caller closes *fd, which is -1 after an error. */
static enum err open_to_read(const char *path, int *fd, struct stat *s, struct why *w)
{
    *fd = open(path, O_RDONLY | O_CLOEXEC);
    if (*fd >= 0 && !fstat(*fd, s)) return ERR_OK;
    enum err e = why(w, ERR_IO, "opening %s: %s", path, strerror(errno));
    if (*fd >= 0) close(*fd);
    *fd = -1;
    return e;
}

enum err file_read(const char *path, size_t bytes_max, uint8_t **out, size_t *count, struct why *w)
{
    int fd;
    struct stat s;
    enum err e = open_to_read(path, &fd, &s, w);
    if (e) return e;
    uint8_t *p = NULL;
    if (S_ISDIR(s.st_mode))
        e = why(w, ERR_IO, "opening %s: it is a folder, a file is needed", path);
    else if ((uint64_t)s.st_size > bytes_max)
        e = why(w, ERR_FORMAT, "%s has %lld bytes, more than the %zu that such a file may have",
                path, (long long)s.st_size, bytes_max);
    else if (!(p = malloc((size_t)s.st_size + 1)))
        e = why(w, ERR_MEMORY, "no memory to read %s", path);
    if (!e) e = read_fully(fd, p, (size_t)s.st_size, path, w);
    close(fd);
    if (e) {
        free(p);
        return e;
    }
    p[s.st_size] = 0;
    *out = p;
    *count = (size_t)s.st_size;
    return ERR_OK;
}

enum err file_map(const char *path, struct bytes *out, struct why *w)
{
    *out = (struct bytes){0};
    int fd;
    struct stat s;
    enum err e = open_to_read(path, &fd, &s, w);
    if (e) return e;
    void *p = NULL;
    if (!S_ISREG(s.st_mode)) e = why(w, ERR_IO, "opening %s: a regular file is needed", path);
    else if (s.st_size > 0) {
        p = mmap(NULL, (size_t)s.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (p == MAP_FAILED) e = why(w, ERR_IO, "mapping %s: %s", path, strerror(errno));
        else *out = (struct bytes){p, (size_t)s.st_size};
    }
    close(fd);
    return e;
}

void file_unmap(struct bytes mapped)
{
    if (mapped.count) munmap((void *)mapped.data, mapped.count);
}

static enum err write_fully(int fd, struct bytes b, const char *path, struct why *w)
{
    for (size_t done = 0; done < b.count;) {
        ssize_t n = write(fd, b.data + done, b.count - done);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return why(w, ERR_IO, "writing %s: %s", path, strerror(errno));
        done += (size_t)n;
    }
    return ERR_OK;
}

/* A rename is durable once its folder is on the disk. */
static enum err sync_folder_of(const char *path, struct why *w)
{
    char copy[PATH_MAX];
    snprintf(copy, sizeof copy, "%s", path);
    const char *folder = dirname(copy);
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return why(w, ERR_IO, "opening folder %s: %s", folder, strerror(errno));
    int rc = fsync(fd);
    close(fd);
    return rc ? why(w, ERR_IO, "syncing folder %s: %s", folder, strerror(errno)) : ERR_OK;
}

enum err file_write_atomic(const char *path, const struct bytes *parts, size_t count, unsigned mode,
                           struct why *w)
{
    char aside[PATH_MAX];
    if (snprintf(aside, sizeof aside, "%s.tmp-%ld", path, (long)getpid()) >= (int)sizeof aside)
        return why(w, ERR_IO, "writing %s: the path is too long", path);
    int fd = open(aside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, (mode_t)mode);
    if (fd < 0) return why(w, ERR_IO, "creating %s: %s", aside, strerror(errno));
    enum err e = ERR_OK;
    for (size_t i = 0; i < count && !e; i++) e = write_fully(fd, parts[i], aside, w);
    if (!e && fsync(fd)) e = why(w, ERR_IO, "syncing %s: %s", aside, strerror(errno));
    if (close(fd) && !e) e = why(w, ERR_IO, "closing %s: %s", aside, strerror(errno));
    if (!e && rename(aside, path))
        e = why(w, ERR_IO, "renaming %s to %s: %s", aside, path, strerror(errno));
    if (e) {
        unlink(aside);
        return e;
    }
    return sync_folder_of(path, w);
}

enum err file_make_dirs(const char *path, struct why *w)
{
    char part[PATH_MAX];
    size_t n = strlen(path);
    if (n == 0 || n >= sizeof part)
        return why(w, ERR_IO, "making folder '%s': the path is %s", path, n ? "too long" : "empty");
    memcpy(part, path, n + 1);
    for (size_t i = 1; i <= n; i++) {
        if (part[i] != '/' && part[i] != 0) continue;
        char kept = part[i];
        part[i] = 0;
        if (mkdir(part, 0777) && errno != EEXIST)
            return why(w, ERR_IO, "making folder %s: %s", part, strerror(errno));
        part[i] = kept;
    }
    struct stat s;
    if (stat(path, &s) || !S_ISDIR(s.st_mode))
        return why(w, ERR_IO, "%s exists and is not a folder", path);
    return ERR_OK;
}

enum err file_lock(const char *path, int *out_fd, struct why *w)
{
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (fd < 0) return why(w, ERR_IO, "opening lock %s: %s", path, strerror(errno));
    char who[32] = {0};
    if (flock(fd, LOCK_EX | LOCK_NB)) {
        int failed = errno;
        ssize_t n = pread(fd, who, sizeof who - 1, 0);
        if (n > 0) who[strcspn(who, "\n")] = 0;
        close(fd);
        if (failed != EWOULDBLOCK) return why(w, ERR_IO, "locking %s: %s", path, strerror(failed));
        return why(w, ERR_STOPPED, "%s is held by process %s: stop it, or use another folder", path,
                   n > 0 ? who : "(unknown)");
    }
    int n = snprintf(who, sizeof who, "%ld\n", (long)getpid());
    if (ftruncate(fd, 0) || pwrite(fd, who, (size_t)n, 0) != n) {
        enum err e = why(w, ERR_IO, "writing lock %s: %s", path, strerror(errno));
        close(fd);
        return e;
    }
    *out_fd = fd;
    return ERR_OK;
}

void file_unlock(int fd) { close(fd); }

enum err file_check_private(const char *about, const char *path, unsigned mode, struct why *w)
{
    if (!(mode & 077)) return ERR_OK;
    return why(w, ERR_IO, "%sothers may use %s (its mode is %04o): run 'chmod 600 %s'", about, path,
               mode & 07777, path);
}

bool file_exists(const char *path) { return access(path, F_OK) == 0; }

bool file_cache(char *path, size_t room)
{
    const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    if (cache && *cache == '/') return (size_t)snprintf(path, room, "%s/shoal", cache) < room;
    if (home && *home == '/') return (size_t)snprintf(path, room, "%s/.cache/shoal", home) < room;
    return false;
}
