#include "data/unpack.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include "base/whole.h"

#define CHUNK_BYTES (128u << 10)

struct unpack {
    const struct source *source;
    int fd;
    uint64_t at; /* position in the file */
    z_stream gzip;
    bool gzip_open;
    ZSTD_DStream *zstd;
    bool inside;        /* a member or frame has begun and not ended */
    size_t first, used; /* of `packed` */
    uint8_t packed[CHUNK_BYTES];
};

static enum err broken(const struct unpack *u, const char *what, struct why *w)
{
    return why(w, ERR_FORMAT, "%s is damaged near byte %llu (%s): fetch or pack it again",
               u->source->name, (unsigned long long)(u->at - (u->used - u->first)), what);
}

static enum err open_codec(struct unpack *u, struct why *w)
{
    if (u->source->kind == KIND_GZIP) {
        u->gzip_open = inflateInit2(&u->gzip, 16 + MAX_WBITS) == Z_OK;
        if (!u->gzip_open) return why(w, ERR_MEMORY, "no memory to unpack %s", u->source->name);
    }
    if (u->source->kind == KIND_ZSTD && !(u->zstd = ZSTD_createDStream()))
        return why(w, ERR_MEMORY, "no memory to unpack %s", u->source->name);
    return ERR_OK;
}

enum err unpack_open(const struct source *s, struct unpack **out, struct why *w)
{
    struct unpack *u = malloc(sizeof *u);
    if (!u) return why(w, ERR_MEMORY, "no memory to read %s", s->name);
    memset(u, 0, offsetof(struct unpack, packed));
    u->source = s;
    /* O_NONBLOCK: if the file was replaced by a pipe, do not wait for its other end. */
    u->fd = s->fd >= 0 ? s->fd : open(s->name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    enum err e =
        u->fd < 0 ? why(w, ERR_IO, "opening %s: %s", s->name, strerror(errno)) : open_codec(u, w);
    if (e) unpack_close(u);
    else *out = u;
    return e;
}

static enum err read_file(struct unpack *u, uint8_t *to, size_t room, size_t *count, struct why *w)
{
    ssize_t n;
    do n = pread(u->fd, to, room, (off_t)u->at);
    while (n < 0 && errno == EINTR);
    if (n < 0) return why(w, ERR_IO, "reading %s: %s", u->source->name, strerror(errno));
    u->at += (uint64_t)n;
    *count = (size_t)n;
    return ERR_OK;
}

/* One call of zlib. Zeros after the last member are padding, as in gzip(1). */
static enum err inflate_some(struct unpack *u, uint8_t *to, size_t room, size_t *count,
                             struct why *w)
{
    if (!u->inside) {
        while (u->first < u->used && u->packed[u->first] == 0 && u->gzip.total_in) u->first++;
        if (u->first == u->used) return ERR_OK;
        if (u->gzip.total_in && inflateReset(&u->gzip) != Z_OK) return broken(u, "gzip", w);
    }
    u->gzip.next_in = u->packed + u->first;
    u->gzip.avail_in = (uInt)(u->used - u->first);
    u->gzip.next_out = to;
    u->gzip.avail_out = (uInt)min_u64(room, 1u << 30);
    uInt offered = u->gzip.avail_out;
    int rc = inflate(&u->gzip, Z_NO_FLUSH);
    u->first = u->used - u->gzip.avail_in;
    u->inside = rc != Z_STREAM_END;
    *count = offered - u->gzip.avail_out;
    if (rc == Z_MEM_ERROR) return why(w, ERR_MEMORY, "no memory to unpack %s", u->source->name);
    if (rc != Z_OK && rc != Z_STREAM_END && rc != Z_BUF_ERROR)
        return broken(u, u->gzip.msg ? u->gzip.msg : "gzip", w);
    return ERR_OK;
}

static enum err zstd_some(struct unpack *u, uint8_t *to, size_t room, size_t *count, struct why *w)
{
    ZSTD_inBuffer in = {u->packed, u->used, u->first};
    ZSTD_outBuffer out = {to, room, 0};
    size_t rc = ZSTD_decompressStream(u->zstd, &out, &in);
    u->first = in.pos;
    *count = out.pos;
    if (ZSTD_isError(rc)) return broken(u, ZSTD_getErrorName(rc), w);
    u->inside = rc != 0;
    return ERR_OK;
}

enum err unpack_read(struct unpack *u, uint8_t *to, size_t room, size_t *count, struct why *w)
{
    enum kind kind = u->source->kind;
    enum err e = ERR_OK;
    *count = 0;
    if (kind == KIND_TEXT) return read_file(u, to, room, count, w);
    while (!e && *count == 0) {
        bool ended = false;
        /* First the codec's buffered output: it may produce more without further input. */
        if (u->first < u->used || u->inside) {
            e = kind == KIND_GZIP ? inflate_some(u, to, room, count, w)
                                  : zstd_some(u, to, room, count, w);
            if (e || *count) break;
        }
        if (u->first == u->used) {
            u->first = 0;
            e = read_file(u, u->packed, sizeof u->packed, &u->used, w);
            ended = u->used == 0;
        }
        if (!e && ended && u->inside)
            e = why(w, ERR_FORMAT, "%s breaks off after %llu bytes: fetch or pack it again",
                    u->source->name, (unsigned long long)u->at);
        if (ended) break;
    }
    return e;
}

uint64_t unpack_position(const struct unpack *u) { return u->at; }

void unpack_close(struct unpack *u)
{
    if (!u) return;
    if (u->gzip_open) inflateEnd(&u->gzip);
    ZSTD_freeDStream(u->zstd);
    if (u->fd >= 0 && u->source->fd < 0) close(u->fd);
    free(u);
}
