#include "data/document.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Where the first blank line after the target ends, or 0. */
static size_t blank_line_end(const uint8_t *text, size_t count)
{
    const uint8_t *end = text + count, *at = text + DOCUMENT_TARGET_BYTES - 1;
    while (at < end && (at = memchr(at, '\n', (size_t)(end - at)))) {
        const uint8_t *next = at + 1;
        while (next < end && (*next == ' ' || *next == '\t' || *next == '\r')) next++;
        if (next < end && *next == '\n') return (size_t)(next + 1 - text);
        at = next;
    }
    return 0;
}

/* The length of the document that `text` begins with; 0 when more of the file must be seen to know. Looks at the
 * first 64 KiB alone, so that it gives the same answer however much follows. */
static size_t document_length(const uint8_t *text, size_t count, bool ended)
{
    if (count < DOCUMENT_WINDOW_BYTES) {
        if (!ended) return 0;
        size_t blank = count > DOCUMENT_TARGET_BYTES ? blank_line_end(text, count) : 0;
        return blank ? blank : count;
    }
    size_t n = blank_line_end(text, DOCUMENT_WINDOW_BYTES);
    if (n) return n;
    const uint8_t *line = memrchr(text, '\n', DOCUMENT_WINDOW_BYTES);
    if (line) return (size_t)(line + 1 - text);
    const uint8_t *space = memrchr(text + 1, ' ', DOCUMENT_WINDOW_BYTES - 1);
    if (space) return (size_t)(space - text);
    n = DOCUMENT_WINDOW_BYTES - 1;
    for (size_t i = 0; i < 3 && (text[n] & 0xc0) == 0x80; i++) n--;
    return n;
}

static enum err open_file(const char *path, int *fd, uint64_t *bytes, struct why *w)
{
    struct stat s;
    *fd = open(path, O_RDONLY | O_CLOEXEC);
    if (*fd < 0 || fstat(*fd, &s)) return why(w, ERR_IO, "opening %s: %s", path, strerror(errno));
    if (S_ISDIR(s.st_mode))
        return why(w, ERR_IO, "%s is a folder: name the text files in it, as in %s/*", path, path);
    if (!S_ISREG(s.st_mode))
        return why(w, ERR_IO, "%s is no regular file: it is read twice, so write its text to one",
                   path);
    *bytes = (uint64_t)s.st_size;
    return ERR_OK;
}

enum err document_open(struct document_reader *r, const char *const *paths, size_t count,
                       size_t batch_bytes, struct why *w)
{
    *r = (struct document_reader){
        .paths = paths, .path_count = count, .batch_bytes = batch_bytes, .fd = -1};
    for (size_t i = 0; i < count; i++) {
        int fd;
        uint64_t bytes = 0;
        enum err e = open_file(paths[i], &fd, &bytes, w);
        if (fd >= 0) close(fd);
        if (e) return e;
        r->bytes_all += bytes;
    }
    r->text = malloc(batch_bytes + DOCUMENT_WHOLE_BYTES + DOCUMENT_WINDOW_BYTES);
    return r->text ? ERR_OK : why(w, ERR_MEMORY, "no memory for %zu bytes of text", batch_bytes);
}

void document_fini(struct document_reader *r)
{
    if (r->fd >= 0) close(r->fd);
    free(r->text);
    free(r->documents);
    *r = (struct document_reader){.fd = -1};
}

static enum err emit(struct document_reader *r, size_t bytes, struct why *w)
{
    if (bytes == 0) return ERR_OK;
    if (r->count == r->room) {
        size_t room = r->room ? 2 * r->room : 256;
        struct bytes *documents = realloc(r->documents, room * sizeof *documents);
        if (!documents) return why(w, ERR_MEMORY, "no memory for the documents of a batch");
        r->documents = documents;
        r->room = room;
    }
    r->documents[r->count++] = bytes_of(r->text + r->cut, bytes);
    r->cut += bytes;
    return ERR_OK;
}

static enum err next_file(struct document_reader *r, struct why *w)
{
    uint64_t bytes = 0;
    enum err e = open_file(r->paths[r->path_next], &r->fd, &bytes, w);
    r->whole = bytes <= DOCUMENT_WHOLE_BYTES;
    r->ended = false;
    r->path_next++;
    return e;
}

/* Reads on, at most `room` bytes. */
static enum err read_some(struct document_reader *r, size_t room, struct why *w)
{
    ssize_t n;
    do n = read(r->fd, r->text + r->used, room);
    while (n < 0 && errno == EINTR);
    if (n < 0) return why(w, ERR_IO, "reading %s: %s", r->paths[r->path_next - 1], strerror(errno));
    r->used += (size_t)n;
    r->ended = n == 0;
    return ERR_OK;
}

/* Cuts off all documents that are certain. */
static enum err cut(struct document_reader *r, struct why *w)
{
    enum err e = ERR_OK;
    while (!e && r->used > r->cut) {
        size_t left = r->used - r->cut;
        size_t n =
            !r->whole ? document_length(r->text + r->cut, left, r->ended) : (r->ended ? left : 0);
        if (n == 0) break;
        e = emit(r, n, w);
    }
    return e;
}

enum err document_next(struct document_reader *r, struct why *w)
{
    memmove(r->text, r->text + r->cut, r->used - r->cut);
    r->used -= r->cut;
    r->cut = r->count = 0;
    enum err e = ERR_OK;
    while (!e && r->cut < r->batch_bytes && (r->fd >= 0 || r->path_next < r->path_count)) {
        if (r->fd < 0) {
            e = next_file(r, w);
            continue;
        }
        size_t rest = r->batch_bytes + DOCUMENT_WHOLE_BYTES + DOCUMENT_WINDOW_BYTES - r->used;
        if (rest == 0)
            return why(w, ERR_IO, "%s grew while it was read", r->paths[r->path_next - 1]);
        e = read_some(r, rest, w);
        if (!e) e = cut(r, w);
        if (r->ended) {
            close(r->fd);
            r->fd = -1;
        }
    }
    return e;
}
