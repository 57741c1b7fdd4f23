/* amx.h -- the instructions of AMX that c/cpu/ asks for by name, in C, for processors without them
 * (as avx512.h those of AVX-512).
 *
 * What they do: Intel SDM volume 2, TDPBF16PS and its neighbours. They are stricter than a
 * processor: no tile may be used before LDTILECFG or after TILERELEASE, nor one that the
 * configuration gives no row. */
#ifndef SHOAL_TEST_CPU_AMX_H
#define SHOAL_TEST_CPU_AMX_H

#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "test/cpu/avx512.h"

struct amx_tile {
    size_t rows, row_bytes;
    uint32_t words[16][16];
};
static _Thread_local struct amx_tile amx_tiles[8];

static inline struct amx_tile *amx_tile(int number)
{
    struct amx_tile *t = &amx_tiles[number];
    assert(t->rows && t->row_bytes);
    return t;
}

static inline void amx_loadconfig(const void *config)
{
    const uint8_t *c = config;
    assert(c[0] == 1);
    for (size_t i = 0; i < 8; i++) {
        uint16_t row_bytes;
        memcpy(&row_bytes, c + 16 + 2 * i, sizeof row_bytes);
        assert(c[48 + i] <= 16 && row_bytes <= 64 && row_bytes % 4 == 0);
        amx_tiles[i] = (struct amx_tile){.rows = c[48 + i], .row_bytes = row_bytes};
    }
}
static inline void amx_release(void) { memset(amx_tiles, 0, sizeof amx_tiles); }
static inline void amx_zero(int number)
{
    struct amx_tile *t = amx_tile(number);
    memset(t->words, 0, sizeof t->words);
}
static inline void amx_load(int number, const void *from, size_t stride)
{
    struct amx_tile *t = amx_tile(number);
    memset(t->words, 0, sizeof t->words);
    for (size_t r = 0; r < t->rows; r++)
        memcpy(t->words[r], (const uint8_t *)from + r * stride, t->row_bytes);
}
static inline void amx_store(int number, void *to, size_t stride)
{
    const struct amx_tile *t = amx_tile(number);
    for (size_t r = 0; r < t->rows; r++)
        memcpy((uint8_t *)to + r * stride, t->words[r], t->row_bytes);
}

/* First the even numbers' products and the odd ones' along k, each sum rounded; then what came of
 * both, and then that is added to what is there. Subnormal numbers are 0 throughout. */
static inline void amx_dpbf16ps(int sums, int left, int right)
{
    struct amx_tile *s = amx_tile(sums);
    const struct amx_tile *a = amx_tile(left), *b = amx_tile(right);
    const avx512_words upper = (avx512_words){0} + -65536;
    assert(a->rows == s->rows && b->row_bytes == s->row_bytes && a->row_bytes == 4 * b->rows);
    for (size_t m = 0; m < s->rows; m++) {
        __m512 even = {0}, odd = {0};
        for (size_t k = 0; k < b->rows; k++) {
            const avx512_words x = (avx512_words){0} + (int32_t)a->words[m][k];
            const avx512_words y = (avx512_words)avx512_loadu_si512(b->words[k]);
            even = avx512_flush(avx512_fmadd_ps(avx512_flush((__m512)(x << 16)),
                                                avx512_flush((__m512)(y << 16)), even));
            odd = avx512_flush(avx512_fmadd_ps(avx512_flush((__m512)(x & upper)),
                                               avx512_flush((__m512)(y & upper)), odd));
        }
        const __m512 before = avx512_flush((__m512)avx512_loadu_si512(s->words[m]));
        const __m512 sum = avx512_flush(before + avx512_flush(even + odd));
        memcpy(s->words[m], &sum, s->row_bytes);
    }
}

#undef _tile_loadconfig
#undef _tile_release
#undef _tile_zero
#undef _tile_loadd
#undef _tile_stored
#undef _tile_dpbf16ps
#define _tile_loadconfig amx_loadconfig
#define _tile_release    amx_release
#define _tile_zero       amx_zero
#define _tile_loadd      amx_load
#define _tile_stored     amx_store
#define _tile_dpbf16ps   amx_dpbf16ps

#endif
