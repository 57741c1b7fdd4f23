#include "node/partial.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/whole.h"
#include "model/checkpoint.h"

#define VERSION      1
#define HEADER_BYTES 64
#define SUM_BYTES    CHECKPOINT_SUM_BYTES
#define RECORD_BYTES (8 + CRYPTO_DIGEST_BYTES + SUM_BYTES)
#define DATA_ALIGN   4096
#define PATH_BYTES   sizeof((struct partial){0}.path)

static const char magic[] = "SHOALPRT"; /* without its zero */

static off_t record_at(uint32_t chunk) { return HEADER_BYTES + (off_t)chunk * RECORD_BYTES; }

static off_t data_at(const struct partial *p, uint32_t chunk)
{
    uint64_t begins = align_up((uint64_t)record_at(p->layout.chunks), DATA_ALIGN);
    return (off_t)(begins + outer_chunk_start(&p->layout, chunk) * 2 * sizeof(float));
}

static void header_of(const struct partial *p, uint8_t out[HEADER_BYTES])
{
    memset(out, 0, HEADER_BYTES);
    struct writer w = writer_init(out, HEADER_BYTES);
    writer_copy(&w, magic, sizeof magic - 1);
    writer_u32(&w, VERSION);
    writer_u32(&w, 0);
    writer_copy(&w, p->run_id, sizeof p->run_id);
    writer_u64(&w, p->layout.parameters);
}

static void record_of(const struct partial *p, const struct kept_chunk *k, const float *anchor,
                      const float *momentum, uint8_t out[RECORD_BYTES])
{
    const size_t bytes = outer_chunk_count(&p->layout, k->chunk) * sizeof(float);
    uint8_t summed[4 + 8 + CRYPTO_DIGEST_BYTES + 2 * SUM_BYTES], sums[2][SUM_BYTES];
    checkpoint_sum(anchor, bytes, sums[0]);
    checkpoint_sum(momentum, bytes, sums[1]);
    struct writer w = writer_init(summed, sizeof summed);
    writer_u32(&w, k->chunk);
    writer_u64(&w, k->epoch);
    writer_copy(&w, k->lineage, sizeof k->lineage);
    writer_copy(&w, sums, sizeof sums);
    memcpy(out, summed + 4, RECORD_BYTES - SUM_BYTES);
    checkpoint_sum(summed, sizeof summed, out + RECORD_BYTES - SUM_BYTES);
}

/* All of it, or false. */
static bool read_at(int fd, void *to, size_t count, off_t at)
{
    for (uint8_t *next = to; count;) {
        ssize_t n = pread(fd, next, count, at);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return false;
        next += n;
        at += n;
        count -= (size_t)n;
    }
    return true;
}

static bool write_at(int fd, const void *from, size_t count, off_t at)
{
    for (const uint8_t *next = from; count;) {
        ssize_t n = pwrite(fd, next, count, at);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return false;
        next += n;
        at += n;
        count -= (size_t)n;
    }
    return true;
}

static void path_in(const char *folder, char out[PATH_BYTES])
{
    snprintf(out, PATH_BYTES, "%s/partial", folder);
}

void partial_open(struct partial *p, const char *folder, const uint8_t run_id[CRYPTO_DIGEST_BYTES],
                  const struct outer_layout *l)
{
    uint8_t mine[HEADER_BYTES], found[HEADER_BYTES];
    *p = (struct partial){.fd = -1, .layout = *l};
    memcpy(p->run_id, run_id, sizeof p->run_id);
    path_in(folder, p->path);
    p->fd = open(p->path, O_RDWR | O_CLOEXEC);
    if (p->fd < 0) return;
    header_of(p, mine);
    if (!read_at(p->fd, found, sizeof found, 0) || memcmp(mine, found, sizeof mine))
        partial_drop(p);
}

void partial_remove(const char *folder)
{
    char path[PATH_BYTES];
    path_in(folder, path);
    unlink(path);
}

bool partial_read(const struct partial *p, uint32_t chunk, struct kept_chunk *out, float *anchor,
                  float *momentum)
{
    const size_t bytes = outer_chunk_count(&p->layout, chunk) * sizeof(float);
    const off_t at = data_at(p, chunk);
    uint8_t record[RECORD_BYTES], right[RECORD_BYTES];
    if (p->fd < 0 || !read_at(p->fd, record, sizeof record, record_at(chunk)) ||
        !read_at(p->fd, anchor, bytes, at) || !read_at(p->fd, momentum, bytes, at + (off_t)bytes))
        return false;
    struct reader r = reader_init(bytes_of(record, sizeof record));
    *out = (struct kept_chunk){.chunk = chunk, .epoch = reader_u64(&r)};
    reader_copy(&r, out->lineage, sizeof out->lineage);
    record_of(p, out, anchor, momentum, right);
    return !memcmp(record, right, sizeof record);
}

static bool begin(struct partial *p)
{
    uint8_t header[HEADER_BYTES];
    p->fd = open(p->path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    header_of(p, header);
    return p->fd >= 0 && write_at(p->fd, header, sizeof header, 0);
}

enum err partial_keep(struct partial *p, const struct kept_chunk *k, const float *anchor,
                      const float *momentum, struct why *w)
{
    const size_t bytes = outer_chunk_count(&p->layout, k->chunk) * sizeof(float);
    const off_t at = data_at(p, k->chunk);
    uint8_t record[RECORD_BYTES];
    if (p->failed) return ERR_OK;
    record_of(p, k, anchor, momentum, record);
    if ((p->fd >= 0 || begin(p)) && write_at(p->fd, anchor, bytes, at) &&
        write_at(p->fd, momentum, bytes, at + (off_t)bytes) &&
        write_at(p->fd, record, sizeof record, record_at(k->chunk)))
        return ERR_OK;
    why(w, ERR_IO, "%s: %s", p->path, strerror(errno));
    partial_drop(p);
    p->failed = true;
    return ERR_IO;
}

void partial_drop(struct partial *p)
{
    if (p->fd < 0) return;
    partial_close(p);
    unlink(p->path);
}

void partial_close(struct partial *p)
{
    if (p->fd >= 0) close(p->fd);
    p->fd = -1;
}
