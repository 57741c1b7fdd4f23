#include "data/source_list.h"

#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bytes.h"
#include "data/stream.h"
#include "data/unpack.h"

#define LIST_BYTES_MAX (256u << 20) /* limit of a file of --files-from */
#define INPUT_NAME     "standard input"

/* ---- Standard input ---- */

/* read(2) that ends when the user stops the program, even while waiting for input. */
static enum err read_input(const struct source_list *l, int fd, uint8_t *to, size_t room,
                           size_t *count, struct why *w)
{
    for (;;) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        if (l->stop && l->stop()) return why(w, ERR_STOPPED, "stopped while reading " INPUT_NAME);
        if (poll(&p, 1, 200) <= 0) continue;
        ssize_t n = read(fd, to, room);
        if (n < 0 && (errno == EINTR || errno == EAGAIN)) continue;
        if (n < 0) return why(w, ERR_IO, "reading " INPUT_NAME ": %s", strerror(errno));
        *count = (size_t)n;
        return ERR_OK;
    }
}

/* A file without a name, which disappears when the process ends in any way. */
static int open_nameless(const char *folder)
{
    char path[PATH_MAX];
    int fd = open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd >= 0) return fd;
    if (snprintf(path, sizeof path, "%s/input.tmp-XXXXXX", folder) >= (int)sizeof path) return -1;
    fd = mkostemp(path, O_CLOEXEC); /* a file system without O_TMPFILE */
    if (fd >= 0) unlink(path);
    return fd;
}

static enum err copy_input(const struct source_list *l, int to, struct why *w)
{
    static uint8_t chunk[128 << 10];
    for (size_t n = 1; n;) {
        enum err e = read_input(l, STDIN_FILENO, chunk, sizeof chunk, &n, w);
        if (e) return e;
        for (size_t done = 0; done < n;) {
            ssize_t m = write(to, chunk + done, n - done);
            if (m < 0 && errno == EINTR) continue;
            if (m < 0)
                return why(w, ERR_IO, "copying " INPUT_NAME " into %s: %s", l->aside,
                           strerror(errno));
            done += (size_t)m;
        }
    }
    return ERR_OK;
}

static enum err open_input(const struct source_list *l, int *fd, struct why *w)
{
    if (isatty(STDIN_FILENO))
        return why(w, ERR_USAGE,
                   INPUT_NAME
                   " is a terminal: pipe the text in, as in: zcat TEXT.gz | shoal prepare -");
    *fd = open_nameless(l->aside ? l->aside : ".");
    if (*fd < 0)
        return why(w, ERR_IO, "making a file for " INPUT_NAME " in %s: %s", l->aside,
                   strerror(errno));
    return copy_input(l, *fd, w);
}

/* ---- One file ---- */

static const char *special(mode_t mode)
{
    return S_ISFIFO(mode)                   ? "a pipe"
           : S_ISSOCK(mode)                 ? "a socket"
           : S_ISCHR(mode) || S_ISBLK(mode) ? "a device"
                                            : "no regular file";
}

static enum err look(struct source *s, struct why *w)
{
    struct stat st;
    if (s->fd >= 0 ? fstat(s->fd, &st) : stat(s->name, &st))
        return why(w, ERR_IO, "opening %s: %s", s->name, strerror(errno));
    if (!S_ISREG(st.st_mode))
        return why(w, ERR_IO,
                   "%s is %s, no regular file: texts are read more than once, so pipe it into "
                   "'shoal prepare -' or write it to a file",
                   s->name, special(st.st_mode));
    s->bytes = (uint64_t)st.st_size;
    return ERR_OK;
}

static bool ends(const char *name, size_t n, const char *ending)
{
    size_t m = strlen(ending);
    return n > m && !strncasecmp(name + n - m, ending, m);
}

/* Does its name mean JSON lines? */
static bool named_lines(const char *name, bool field)
{
    size_t n = strlen(name);
    if (ends(name, n, ".gz")) n -= 3;
    else if (ends(name, n, ".zst")) n -= 4;
    return ends(name, n, ".jsonl") || ends(name, n, ".ndjson") || (field && ends(name, n, ".json"));
}

/* The first bytes of its content, decompressed if its kind is already known. */
static enum err read_head(const struct source *s, uint8_t *head, size_t *count, struct why *w)
{
    struct unpack *u;
    enum err e = unpack_open(s, &u, w);
    if (e) return e;
    *count = 0;
    for (size_t n = 1; !e && n && *count < KIND_HEAD_BYTES; *count += n)
        e = unpack_read(u, head + *count, KIND_HEAD_BYTES - *count, &n, w);
    unpack_close(u);
    return e;
}

/* A file's kind, and then that of its decompressed content. */
static enum err find_kind(struct source *s, struct why *w)
{
    uint8_t head[KIND_HEAD_BYTES];
    struct kind_found k = {.kind = KIND_TEXT};
    for (int layer = 0; layer < 2; layer++) {
        size_t n;
        enum err e = read_head(s, head, &n, w);
        if (e) return e;
        k = kind_of(bytes_of(head, n));
        if (k.kind == KIND_FOREIGN)
            return why(w, ERR_FORMAT, "%s is %s%s, no text: %s", s->name,
                       layer ? "packed, and in it is " : "", k.what, k.remedy);
        if (layer && k.kind != KIND_TEXT)
            return why(w, ERR_FORMAT, "%s is packed twice: unpack it once", s->name);
        if (k.kind == KIND_TEXT) return ERR_OK;
        s->kind = k.kind;
    }
    return ERR_OK;
}

/* Checks the first of the JSON lines, to report a missing field before hours of reading. */
static enum err try_line(const struct source *s, const char *field, struct why *w)
{
    struct stream *t;
    bool more;
    enum err e = stream_open(s, field, &t, w);
    if (e) return e;
    e = stream_next(t, &more, w);
    stream_close(t);
    return e;
}

static enum err add(struct source_list *l, const char *name, int fd, struct why *w)
{
    if (l->count == l->room) {
        size_t room = l->room ? 2 * l->room : 64;
        struct source *sources = realloc(l->sources, room * sizeof *sources);
        if (!sources) return why(w, ERR_MEMORY, "no memory for the names of %zu files", room);
        l->sources = sources;
        l->room = room;
    }
    struct source s = {.name = strdup(name), .fd = fd, .kind = KIND_TEXT};
    if (!s.name) return why(w, ERR_MEMORY, "no memory for the names of files");
    enum err e = look(&s, w);
    if (!e) e = find_kind(&s, w);
    s.lines = fd >= 0 ? l->field != NULL : named_lines(name, l->field != NULL);
    if (!e && s.lines) e = try_line(&s, SOURCE_FIELD(l), w);
    if (e) {
        free(s.name);
        return e;
    }
    l->sources[l->count++] = s;
    l->bytes += s.bytes;
    return ERR_OK;
}

/* ---- Folders and lists ---- */

static int by_name(const FTSENT **a, const FTSENT **b)
{
    return strcmp((*a)->fts_name, (*b)->fts_name);
}

static enum err walk_one(struct source_list *l, FTS *tree, FTSENT *x, struct why *w)
{
    if (x->fts_level > 0 && x->fts_name[0] == '.') {
        fts_set(tree, x, FTS_SKIP);
        return ERR_OK;
    }
    switch (x->fts_info) {
    case FTS_D:
    case FTS_DP:
        return ERR_OK;
    case FTS_DC:
        return why(w, ERR_IO, "%s leads back to a folder above it: remove the link", x->fts_path);
    case FTS_DNR:
    case FTS_ERR:
    case FTS_NS:
        return why(w, ERR_IO, "opening %s: %s", x->fts_path, strerror(x->fts_errno));
    default:
        return l->stop && l->stop() ? why(w, ERR_STOPPED, "stopped while looking at files")
                                    : add(l, x->fts_path, -1, w);
    }
}

static enum err add_folder(struct source_list *l, const char *name, struct why *w)
{
    char *const paths[] = {(char *)name, NULL};
    size_t before = l->count;
    FTS *tree = fts_open(paths, FTS_LOGICAL | FTS_NOCHDIR, by_name);
    if (!tree) return why(w, ERR_IO, "opening %s: %s", name, strerror(errno));
    enum err e = ERR_OK;
    errno = 0;
    for (FTSENT *x; !e && (x = fts_read(tree)); errno = 0) e = walk_one(l, tree, x, w);
    if (!e && errno) e = why(w, ERR_IO, "reading %s: %s", name, strerror(errno));
    fts_close(tree);
    if (!e && l->count == before) e = why(w, ERR_USAGE, "the folder %s holds no files", name);
    return e;
}

enum err source_add(struct source_list *l, const char *name, struct why *w)
{
    struct stat s;
    if (strcmp(name, "-")) {
        if (!stat(name, &s) && S_ISDIR(s.st_mode)) return add_folder(l, name, w);
        return add(l, name, -1, w);
    }
    for (size_t i = 0; i < l->count; i++)
        if (l->sources[i].fd >= 0)
            return why(w, ERR_USAGE, INPUT_NAME " can be read once: name - once");
    int fd = -1;
    enum err e = open_input(l, &fd, w);
    if (!e) e = add(l, INPUT_NAME, fd, w);
    if (e && fd >= 0) close(fd);
    return e;
}

/* Reads a whole list, and adds a zero that is not counted. */
static enum err read_list(const struct source_list *l, const char *path, char **out, size_t *count,
                          struct why *w)
{
    bool input = !strcmp(path, "-");
    int fd = input ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    enum err e = fd < 0 ? why(w, ERR_IO, "opening %s: %s", path, strerror(errno)) : ERR_OK;
    char *all = NULL;
    size_t used = 0, room = 0;
    for (size_t n = 1; !e && n; used += n) {
        n = 0;
        if (room - used < 2) {
            room = 2 * room + (64 << 10);
            char *more = room > LIST_BYTES_MAX ? NULL : realloc(all, room);
            if (!more) {
                e = why(w, ERR_MEMORY, "the list %s is too long", path);
                break;
            }
            all = more;
        }
        e = read_input(l, fd, (uint8_t *)all + used, room - used - 1, &n, w);
    }
    if (fd >= 0 && !input) close(fd);
    if (e) {
        free(all);
        return e;
    }
    all[used] = 0;
    *out = all;
    *count = used;
    return ERR_OK;
}

enum err source_add_from(struct source_list *l, const char *path, struct why *w)
{
    char *all;
    size_t count, before = l->count;
    enum err e = read_list(l, path, &all, &count, w);
    if (e) return e;
    char end = memchr(all, 0, count) ? 0 : '\n';
    unsigned long long number = 1;
    for (char *at = all, *next; !e && at < all + count; at = next, number++) {
        char *stop = memchr(at, end, (size_t)(all + count - at));
        next = stop ? stop + 1 : all + count;
        if (stop) *stop = 0;
        if (end && stop && stop > at && stop[-1] == '\r') stop[-1] = 0;
        if (!*at) continue;
        e = !strcmp(at, "-") ? why(w, ERR_USAGE, "- is no file: name standard input as an argument")
                             : source_add(l, at, w);
        if (e) why_while(w, e, "%s:%llu", strcmp(path, "-") ? path : INPUT_NAME, number);
    }
    free(all);
    if (!e && l->count == before) e = why(w, ERR_USAGE, "%s names no files", path);
    return e;
}

void source_fini(struct source_list *l)
{
    for (size_t i = 0; i < l->count; i++) {
        free(l->sources[i].name);
        if (l->sources[i].fd >= 0) close(l->sources[i].fd);
    }
    free(l->sources);
    l->sources = NULL;
    l->count = l->room = 0;
    l->bytes = 0;
}
