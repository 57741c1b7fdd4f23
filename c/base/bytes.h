/* bytes.h -- views of bytes, a reader that checks every length, a writer that never overflows.
 *
 * All integers are little-endian and of fixed width. Reader and writer remember the first failure
 * and stay failed, so that a message is read field by field and checked once, at its end. */
#ifndef SHOAL_BASE_BYTES_H
#define SHOAL_BASE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct bytes { /* a view: owns nothing */
    const uint8_t *data;
    size_t count;
};

static inline struct bytes bytes_of(const void *data, size_t count)
{
    return (struct bytes){(const uint8_t *)data, count};
}

/* Writes `count` bytes as 2 x count hexadecimal digits and a zero byte; returns `out`. */
static inline const char *bytes_hex(const uint8_t *from, size_t count, char *out)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < count; i++) {
        out[2 * i] = digits[from[i] >> 4];
        out[2 * i + 1] = digits[from[i] & 15];
    }
    out[2 * count] = 0;
    return out;
}

/* As text for a terminal: nothing but printable ASCII, '?' for the rest, as many as fit into `room`
 * with a zero byte; returns `out`. */
static inline const char *bytes_printable(struct bytes from, char *out, size_t room)
{
    size_t n = from.count < room ? from.count : room - 1;
    for (size_t i = 0; i < n; i++)
        out[i] = from.data[i] >= ' ' && from.data[i] <= '~' ? (char)from.data[i] : '?';
    out[n] = 0;
    return out;
}

struct reader {
    const uint8_t *at, *end;
    bool bad; /* read past the end; all later reads return zeros */
};

static inline struct reader reader_init(struct bytes b)
{
    /* NULL + 0 is undefined. */
    return (struct reader){b.data, b.count ? b.data + b.count : b.data, false};
}
static inline size_t reader_left(const struct reader *r) { return (size_t)(r->end - r->at); }

/* The next `count` bytes as a view into the message; an empty view and `bad` when there are
 * fewer. */
static inline struct bytes reader_bytes(struct reader *r, size_t count)
{
    if (r->bad || reader_left(r) < count) {
        r->bad = true;
        return (struct bytes){r->end, 0};
    }
    struct bytes b = {r->at, count};
    r->at += count;
    return b;
}
/* Copies `count` bytes; zeros when there are fewer. */
static inline void reader_copy(struct reader *r, void *to, size_t count)
{
    struct bytes b = reader_bytes(r, count);
    if (r->bad) memset(to, 0, count);
    else memcpy(to, b.data, count);
}
static inline uint64_t reader_uint(struct reader *r, size_t width)
{
    struct bytes b = reader_bytes(r, width);
    uint64_t v = 0;
    for (size_t i = b.count; i-- > 0;) v = v << 8 | b.data[i];
    return v;
}
static inline uint8_t reader_u8(struct reader *r) { return (uint8_t)reader_uint(r, 1); }
static inline uint16_t reader_u16(struct reader *r) { return (uint16_t)reader_uint(r, 2); }
static inline uint32_t reader_u32(struct reader *r) { return (uint32_t)reader_uint(r, 4); }
static inline uint64_t reader_u64(struct reader *r) { return reader_uint(r, 8); }
static inline float reader_f32(struct reader *r)
{
    uint32_t u = reader_u32(r);
    float f;
    memcpy(&f, &u, sizeof f);
    return f;
}
/* True when all reads succeeded and nothing is left over. */
static inline bool reader_done(const struct reader *r) { return !r->bad && r->at == r->end; }

struct writer {
    uint8_t *start;
    size_t room, used;
    bool full; /* something did not fit; everything before it is complete */
};

static inline struct writer writer_init(void *to, size_t room)
{
    return (struct writer){(uint8_t *)to, room, 0, false};
}
static inline struct bytes writer_bytes(const struct writer *w)
{
    return (struct bytes){w->start, w->used};
}
static inline void writer_copy(struct writer *w, const void *from, size_t count)
{
    if (w->full || w->room - w->used < count) {
        w->full = true;
        return;
    }
    if (count) memcpy(w->start + w->used, from, count);
    w->used += count;
}
static inline void writer_uint(struct writer *w, uint64_t v, size_t width)
{
    uint8_t b[8];
    for (size_t i = 0; i < width; i++) b[i] = (uint8_t)(v >> (8 * i));
    writer_copy(w, b, width);
}
static inline void writer_u8(struct writer *w, uint8_t v) { writer_uint(w, v, 1); }
static inline void writer_u16(struct writer *w, uint16_t v) { writer_uint(w, v, 2); }
static inline void writer_u32(struct writer *w, uint32_t v) { writer_uint(w, v, 4); }
static inline void writer_u64(struct writer *w, uint64_t v) { writer_uint(w, v, 8); }
static inline void writer_f32(struct writer *w, float f)
{
    uint32_t u;
    memcpy(&u, &f, sizeof u);
    writer_u32(w, u);
}

#endif
