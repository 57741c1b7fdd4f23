/* source_fuzz.c -- a file from anywhere, read as `shoal prepare` reads it: by its bytes as gzip,
 * zstd or text, and as JSON lines. It is refused with its name, or its texts come out in pieces
 * whose sizes do not matter. The first byte chooses; what inflates without end is left after 4
 * MiB. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "data/source.h"
#include "data/stream.h"

#define ENOUGH (4u << 20)

/* FNV-1a over all texts, and over how many there were. */
static enum err read_all(const struct source *s, size_t step, uint64_t *sum, struct why *w)
{
    static uint8_t chunk[65536];
    struct stream *t;
    size_t bytes = 0;
    *sum = 0xcbf29ce484222325u;
    enum err e = stream_open(s, "text", &t, w);
    if (e) return e;
    for (bool more = true; !e && bytes < ENOUGH;) {
        e = stream_next(t, &more, w);
        if (e || !more) break;
        for (size_t n = 1; !e && n && bytes < ENOUGH; bytes += n) {
            e = stream_read(t, chunk, step, &n, w);
            if (e) break;
            assert(n <= step);
            for (size_t i = 0; i < n; i++) *sum = (*sum ^ chunk[i]) * 0x100000001b3u;
        }
        *sum = (*sum ^ 0x100) * 0x100000001b3u;
    }
    assert(bytes >= ENOUGH || e || stream_position(t) == s->bytes);
    stream_close(t);
    if (bytes >= ENOUGH) *sum = 0; /* where it was left depends on the step */
    return e;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static int fd = -1;
    if (size == 0) return 0;
    if (fd < 0) fd = memfd_create("fuzz", 0);
    assert(fd >= 0 && ftruncate(fd, 0) == 0);
    assert(pwrite(fd, data + 1, size - 1, 0) == (ssize_t)(size - 1));
    struct kind_found k = kind_of((struct bytes){data + 1, size - 1});
    assert((k.kind == KIND_FOREIGN) == (k.remedy != NULL));
    struct source s = {.name = "the-name",
                       .fd = fd,
                       .bytes = size - 1,
                       .kind = k.kind == KIND_FOREIGN ? KIND_TEXT : k.kind,
                       .lines = data[0] & 1};
    uint64_t a, b;
    struct why w = {0};
    enum err e = read_all(&s, sizeof(uint8_t[65536]), &a, &w),
             f = read_all(&s, 1 + data[0] / 2, &b, &w);
    /* Noise is looked for in pieces of 8 KiB, so a reader of smaller ones may see none. */
    if (e || f) {
        assert(strstr(w.text, "the-name"));
        return 0;
    }
    assert(a == b);
    return 0;
}
