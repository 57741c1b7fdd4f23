/* fiber_ptx.h -- the host's twins of cu/ptx.h, as the PTX ISA describes the instructions.
 *
 * They are stricter than a GPU may happen to be. ldmatrix takes a lane's row when that lane
 * arrives, so that rows which other lanes write without a __syncwarp between are missing. An
 * asynchronous copy fills its place with 0xff when it begins and moves the bytes at the wait, so
 * that who reads too early, or overwrites what others still read, is seen. */
#ifndef SHOAL_TEST_CUDA_FIBER_PTX_H
#define SHOAL_TEST_CUDA_FIBER_PTX_H

#include "fiber.h"

inline float float_of(struct bf16 x)
{
    uint32_t bits = (uint32_t)x.bits << 16;
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

inline struct bf16 bf16_of(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    if (x != x) return {0x7fff}; /* as cvt.rn.bf16.f32 does */
    return {(uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16)};
}

inline uint32_t bf16_pair(float low, float high)
{
    return bf16_of(low).bits | (uint32_t)bf16_of(high).bits << 16;
}

inline float exp2_fast(float x)
{
    float y = exp2f(x);
    return y < 0x1p-126f ? 0.0f : y;
}

namespace fiber
{

inline const warp *meet_rows(const char *what, const void *row)
{
    char brought[16];
    if ((uintptr_t)row % 16) fail("%s of a row that starts at no boundary of 16 bytes", what);
    if (!in_shared(row, 16)) fail("%s of a row outside shared memory", what);
    memcpy(brought, row, sizeof brought);
    return meet(what, ~0u, brought, sizeof brought);
}

inline uint32_t element(const warp *w, unsigned matrix, unsigned row, unsigned column)
{
    uint16_t bits;
    memcpy(&bits, w->out[matrix * 8 + row] + column * sizeof bits, sizeof bits);
    return bits;
}

/* Half `odd` of register r of what a lane brought to mma, a float. */
inline float half(const warp *w, unsigned lane, unsigned r, unsigned odd)
{
    struct bf16 x;
    memcpy(&x, w->out[lane] + r * 4 + odd * 2, sizeof x);
    return float_of(x);
}

} // namespace fiber

inline void ldmatrix(uint32_t r[4], const void *row)
{
    const fiber::warp *w = fiber::meet_rows("ldmatrix", row);
    const unsigned g = fiber::lane() / 4, t = fiber::lane() % 4;
    for (unsigned m = 0; m < 4; m++)
        r[m] = fiber::element(w, m, g, 2 * t) | fiber::element(w, m, g, 2 * t + 1) << 16;
}

inline void ldmatrix_transposed(uint32_t r[4], const void *row)
{
    const fiber::warp *w = fiber::meet_rows("ldmatrix_transposed", row);
    const unsigned g = fiber::lane() / 4, t = fiber::lane() % 4;
    for (unsigned m = 0; m < 4; m++)
        r[m] = fiber::element(w, m, 2 * t, g) | fiber::element(w, m, 2 * t + 1, g) << 16;
}

inline void mma(float c[4], const uint32_t a[4], const uint32_t b[2])
{
    struct {
        uint32_t a[4], b[2];
    } brought = {{a[0], a[1], a[2], a[3]}, {b[0], b[1]}};
    const fiber::warp *w = fiber::meet("mma", ~0u, &brought, sizeof brought);
    const unsigned g = fiber::lane() / 4, t = fiber::lane() % 4;
    float rows[2][16], columns[2][16];
    for (unsigned k = 0; k < 16; k++)
        for (unsigned i = 0; i < 2; i++) {
            rows[i][k] = fiber::half(w, g * 4 + k % 8 / 2, k / 8 * 2 + i, k % 2);
            columns[i][k] = fiber::half(w, (2 * t + i) * 4 + k % 8 / 2, 4 + k / 8, k % 2);
        }
    for (unsigned i = 0; i < 4; i++)
        for (unsigned k = 0; k < 16; k++) c[i] += rows[i / 2][k] * columns[i % 2][k];
}

inline void copy_async(void *to, const void *from, unsigned bytes)
{
    using namespace fiber;
    if ((uintptr_t)to % 16 || (uintptr_t)from % 16)
        fail("copy_async to or from no boundary of 16 bytes");
    if (!in_shared(to, 16)) fail("copy_async to a place outside shared memory");
    if (bytes > 16) fail("copy_async of %u bytes", bytes);
    if (now->copies == COPIES_MAX) fail("more than %u copies are under way", COPIES_MAX);
    now->copy[now->copies++] = {to, from, bytes, now->groups};
    memset(to, 0xff, 16);
}

inline void store_whole(void *to, const uint32_t words[4])
{
    if ((uintptr_t)to % 16) fiber::fail("store_whole to no boundary of 16 bytes");
    memcpy(to, words, 16);
}

inline void copy_commit() { fiber::now->groups++; }

template <int N> void copy_wait()
{
    using namespace fiber;
    unsigned left = 0;
    for (unsigned i = 0; i < now->copies; i++) {
        const struct copy c = now->copy[i];
        if (c.group + N >= now->groups) { /* of the latest N groups, or of none yet */
            now->copy[left++] = c;
            continue;
        }
        memset(c.to, 0, 16);
        memcpy(c.to, c.from, c.bytes);
    }
    now->copies = left;
}

#endif
