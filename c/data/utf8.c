#include "data/utf8.h"

#include <string.h>

/* Table 3-7 of the standard, "Well-Formed UTF-8 Byte Sequences": the number of bytes after this
 * lead byte, and the bounds of the first of them; the others are 80 .. BF. */
static size_t follow(uint8_t lead, uint8_t *low, uint8_t *high)
{
    *low = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
    *high = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
    if (lead >= 0xc2 && lead <= 0xdf) return 1;
    if (lead >= 0xe0 && lead <= 0xef) return 2;
    if (lead >= 0xf0 && lead <= 0xf4) return 3;
    return 0;
}

uint32_t utf8_next(const uint8_t *data, size_t count, size_t *length)
{
    *length = 1;
    if (data[0] < 0x80) return data[0];
    uint8_t low, high;
    size_t more = follow(data[0], &low, &high);
    if (more == 0) return UTF8_INVALID;
    uint32_t c = data[0] & (0x3fu >> more);
    for (size_t i = 1; i <= more; i++) {
        if (i >= count || data[i] < low || data[i] > high) return UTF8_INVALID;
        c = c << 6 | (data[i] & 0x3fu);
        *length = i + 1;
        low = 0x80;
        high = 0xbf;
    }
    return c;
}

size_t utf8_write(uint32_t c, uint8_t out[4])
{
    if (c < 0x80) {
        out[0] = (uint8_t)c;
        return 1;
    }
    size_t more = c < 0x800 ? 1 : c < 0x10000 ? 2 : 3;
    static const uint8_t lead[] = {0, 0xc0, 0xe0, 0xf0};
    for (size_t i = more; i > 0; i--, c >>= 6) out[i] = (uint8_t)(0x80 | (c & 0x3f));
    out[0] = (uint8_t)(lead[more] | c);
    return more + 1;
}

/* Number of leading ASCII bytes, in whole words of 8. */
static size_t ascii(const uint8_t *data, size_t count)
{
    size_t n = 0;
    for (; count - n >= 8; n += 8) {
        uint64_t eight;
        memcpy(&eight, data + n, 8);
        if (eight & 0x8080808080808080u) break;
    }
    return n;
}

size_t utf8_repair(struct bytes text, uint8_t *out, uint64_t *invalid)
{
    size_t used = 0;
    for (size_t at = 0; at < text.count;) {
        size_t n = ascii(text.data + at, text.count - at);
        uint32_t c = 0;
        if (n == 0) c = utf8_next(text.data + at, text.count - at, &n);
        if (c == UTF8_INVALID) {
            used += utf8_write(UTF8_REPLACEMENT, out + used);
            ++*invalid;
        } else {
            memcpy(out + used, text.data + at, n);
            used += n;
        }
        at += n;
    }
    return used;
}
