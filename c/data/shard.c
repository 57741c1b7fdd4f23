#include "data/shard.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>

static const char magic[8] = {'S', 'H', 'O', 'A', 'L', 'T', 'O', 'K'};

const char *shard_name(uint32_t split, uint32_t index, char out[SHARD_NAME_BYTES])
{
    snprintf(out, SHARD_NAME_BYTES, "%s-%05u.bin", split ? "validation" : "train", index);
    return out;
}

static void print_header(const struct shard_header *h, uint8_t out[SHARD_HEADER_BYTES])
{
    struct writer w = writer_init(out, SHARD_HEADER_BYTES);
    writer_copy(&w, magic, sizeof magic);
    writer_u32(&w, SHARD_VERSION);
    writer_u32(&w, h->id_bytes);
    writer_u64(&w, h->count);
    writer_u64(&w, h->checksum);
    writer_u64(&w, h->before);
    writer_u32(&w, h->split);
    writer_u32(&w, h->index);
    writer_u64(&w, h->tokenizer);
    writer_u64(&w, XXH3_64bits(out, w.used));
    assert(!w.full && w.used == SHARD_HEADER_BYTES);
}

enum err shard_parse(const char *name, struct bytes file, struct shard_header *out, struct why *w)
{
    struct reader r = reader_init(file);
    struct bytes start = reader_bytes(&r, sizeof magic);
    if (r.bad || memcmp(start.data, magic, sizeof magic))
        return why(w, ERR_FORMAT, "%s is no token shard, or was not completed", name);
    uint32_t version = reader_u32(&r);
    if (!r.bad && version != SHARD_VERSION)
        return why(w, ERR_FORMAT, "%s has version %u of the shard format, this program reads %d",
                   name, version, SHARD_VERSION);
    out->id_bytes = reader_u32(&r);
    out->count = reader_u64(&r);
    out->checksum = reader_u64(&r);
    out->before = reader_u64(&r);
    out->split = reader_u32(&r);
    out->index = reader_u32(&r);
    out->tokenizer = reader_u64(&r);
    uint64_t sum = reader_u64(&r);
    if (r.bad) return why(w, ERR_FORMAT, "%s is truncated: its header is not whole", name);
    if (sum != XXH3_64bits(file.data, SHARD_HEADER_BYTES - sizeof sum))
        return why(w, ERR_FORMAT, "%s is damaged: its header does not match its checksum", name);
    if ((out->id_bytes != 2 && out->id_bytes != 4) || out->split >= SHARD_SPLITS)
        return why(w, ERR_FORMAT, "%s has a header that makes no sense", name);
    size_t bytes = reader_left(&r);
    if (bytes / out->id_bytes != out->count || bytes % out->id_bytes)
        return why(w, ERR_FORMAT,
                   "%s is %s: it should hold %llu ids of %u bytes and has %zu bytes of them", name,
                   bytes / out->id_bytes < out->count ? "truncated" : "too long",
                   (unsigned long long)out->count, out->id_bytes, bytes);
    return ERR_OK;
}

static uint32_t largest(const uint8_t *at, const struct shard_header *h)
{
    uint32_t most = 0;
    if (h->id_bytes == 2) {
        /* a mapping is aligned, and so is byte 64 of it */
        const uint16_t *ids = (const uint16_t *)at;
        uint16_t most16 = 0;
        for (size_t i = 0; i < h->count; i++) most16 = ids[i] > most16 ? ids[i] : most16;
        most = most16;
    } else {
        const uint32_t *ids = (const uint32_t *)at;
        for (size_t i = 0; i < h->count; i++) most = ids[i] > most ? ids[i] : most;
    }
    return most;
}

enum err shard_verify(const char *name, struct bytes file, const struct shard_header *h,
                      uint32_t vocab, struct why *w)
{
    const uint8_t *ids = file.data + SHARD_HEADER_BYTES;
    if (XXH3_64bits(ids, file.count - SHARD_HEADER_BYTES) != h->checksum)
        return why(w, ERR_FORMAT, "%s is damaged: its ids do not match their checksum", name);
    uint32_t most = largest(ids, h);
    if (most >= vocab)
        return why(w, ERR_FORMAT, "%s holds the id %u, but the tokenizer has %u tokens", name, most,
                   vocab);
    return ERR_OK;
}

void shard_ids(struct bytes file, const struct shard_header *h, uint64_t first, size_t count,
               uint32_t *out)
{
    assert(first <= h->count && count <= h->count - first);
    const uint8_t *at = file.data + SHARD_HEADER_BYTES + first * h->id_bytes;
    if (h->id_bytes == 4) {
        memcpy(out, at, count * sizeof *out);
        return;
    }
    const uint16_t *ids = (const uint16_t *)at;
    for (size_t i = 0; i < count; i++) out[i] = ids[i];
}

/* ---- Writing ---- */

#define WRITE_IDS 65536

struct shard_writer {
    char path[PATH_MAX];
    int fd;
    struct shard_header header;
    XXH3_state_t *sum;
    size_t used; /* buffered ids */
    uint32_t ids[WRITE_IDS];
    uint16_t narrow[WRITE_IDS];
};

static enum err write_all(struct shard_writer *s, const uint8_t *from, size_t count, struct why *w)
{
    while (count) {
        ssize_t n = write(s->fd, from, count);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return why(w, ERR_IO, "writing %s: %s", s->path, strerror(errno));
        from += n;
        count -= (size_t)n;
    }
    return ERR_OK;
}

static enum err flush(struct shard_writer *s, struct why *w)
{
    const uint8_t *from = (const uint8_t *)s->ids;
    if (s->header.id_bytes == 2) {
        for (size_t i = 0; i < s->used; i++) {
            assert(s->ids[i] <= UINT16_MAX);
            s->narrow[i] = (uint16_t)s->ids[i];
        }
        from = (const uint8_t *)s->narrow;
    }
    size_t bytes = s->used * s->header.id_bytes;
    XXH3_64bits_update(s->sum, from, bytes);
    s->header.count += s->used;
    s->used = 0;
    return write_all(s, from, bytes, w);
}

enum err shard_create(const char *path, const struct shard_header *h, struct shard_writer **out,
                      struct why *w)
{
    static const uint8_t blank[SHARD_HEADER_BYTES];
    struct shard_writer *s = malloc(sizeof *s);
    XXH3_state_t *sum = XXH3_createState();
    if (!s || !sum) {
        free(s);
        XXH3_freeState(sum);
        return why(w, ERR_MEMORY, "no memory to write %s", path);
    }
    s->header = *h;
    s->header.count = 0;
    s->sum = sum;
    s->used = 0;
    snprintf(s->path, sizeof s->path, "%s", path);
    XXH3_64bits_reset(sum);
    s->fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    enum err e = s->fd < 0 ? why(w, ERR_IO, "creating %s: %s", path, strerror(errno))
                           : write_all(s, blank, sizeof blank, w);
    if (e) shard_abandon(s);
    else *out = s;
    return e;
}

void shard_abandon(struct shard_writer *s)
{
    if (!s) return;
    if (s->fd >= 0) close(s->fd);
    XXH3_freeState(s->sum);
    free(s);
}

enum err shard_add(struct shard_writer *s, const uint32_t *ids, size_t count, struct why *w)
{
    enum err e = ERR_OK;
    while (count && !e) {
        size_t n = WRITE_IDS - s->used < count ? WRITE_IDS - s->used : count;
        memcpy(s->ids + s->used, ids, n * sizeof *ids);
        s->used += n;
        ids += n;
        count -= n;
        if (s->used == WRITE_IDS) e = flush(s, w);
    }
    return e;
}

enum err shard_finish(struct shard_writer *s, struct shard_header *out, struct why *w)
{
    enum err e = flush(s, w);
    s->header.checksum = XXH3_64bits_digest(s->sum);
    uint8_t header[SHARD_HEADER_BYTES];
    print_header(&s->header, header);
    if (!e && pwrite(s->fd, header, sizeof header, 0) != sizeof header)
        e = why(w, ERR_IO, "writing %s: %s", s->path, strerror(errno));
    if (!e && fsync(s->fd)) e = why(w, ERR_IO, "syncing %s: %s", s->path, strerror(errno));
    *out = s->header;
    shard_abandon(s);
    return e;
}
