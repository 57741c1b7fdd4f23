/* file.h -- whole files: reading, mapping, atomic writing, locking. */
#ifndef SHOAL_BASE_FILE_H
#define SHOAL_BASE_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Reads a file of at most `bytes_max` into memory that the caller frees with free(); a zero byte
 * follows the content and is not counted. ERR_IO, ERR_MEMORY; ERR_FORMAT when it is longer. */
enum err file_read(const char *path, size_t bytes_max, uint8_t **out, size_t *count, struct why *w);

/* Maps a file read-only; an empty file gives an empty view. Unmapped by file_unmap. ERR_IO. */
enum err file_map(const char *path, struct bytes *out, struct why *w);
void file_unmap(struct bytes mapped);

/* Writes the parts to `path` with `mode`: to a temporary file, which is synced and renamed over the
 * old file; then syncs the folder. ERR_IO; then the old file is untouched and nothing is left
 * behind, except if only syncing the folder fails: then the new file is in place. */
enum err file_write_atomic(const char *path, const struct bytes *parts, size_t count, unsigned mode,
                           struct why *w);

/* Creates a folder and its parents; an existing one is fine. ERR_IO. */
enum err file_make_dirs(const char *path, struct why *w);

/* Takes an exclusive lock on `path` (created if missing) without waiting. ERR_STOPPED, with the
 * holder's process ID if it wrote one, when another process holds it. The lock ends with
 * file_unlock or with the process. */
enum err file_lock(const char *path, int *out_fd, struct why *w);
void file_unlock(int fd);

/* May nobody but its owner use a file of this mode? ERR_IO, with `about` before what to do. */
enum err file_check_private(const char *about, const char *path, unsigned mode, struct why *w);

/* Is there a file, folder or anything else at the path? Also false when that cannot be
 * determined. */
bool file_exists(const char *path);

/* The folder for results measured on this machine, $XDG_CACHE_HOME/shoal or $HOME/.cache/shoal; it
 * need not exist yet. False if there is none, or its path is too long. */
bool file_cache(char *path, size_t room);

#ifdef __cplusplus
}
#endif
#endif
