#include "model/init.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>

#include "base/rng.h"

#define STREAM_GENESIS 1    /* label of the random stream for genesis */
#define SIGMA          0.02 /* for every matrix that does not write into the residual stream */

/* The sum of four 16-bit words, centred on zero: nearly normal, exact in fp32. */
static float draw(uint64_t key, uint64_t index)
{
    uint64_t r = rng_at(key, index);
    int32_t sum = (int32_t)((r & 65535) + (r >> 16 & 65535) + (r >> 32 & 65535) + (r >> 48));
    return (float)(sum - 131070);
}

static float scale_of(const struct layout *l, enum layout_kind kind)
{
    bool residual = kind == LAYOUT_O || kind == LAYOUT_DOWN;
    double sigma = residual ? SIGMA / sqrt(2.0 * l->shape.layers) : SIGMA;
    return (float)(sigma / sqrt(4294967295.0 / 3.0));
}

void init_parameters(const struct layout *l, uint64_t seed, size_t first, size_t count, float *out)
{
    assert(first + count <= l->parameters);
    uint64_t key = rng_split(rng_init(seed), STREAM_GENESIS).key;
    size_t end = first + count;
    for (size_t t = 0; t < l->tensor_count; t++) {
        struct layout_tensor tensor = layout_at(l, t);
        size_t from = tensor.offset > first ? tensor.offset : first;
        size_t to = tensor.offset + tensor.rows * tensor.columns;
        if (to > end) to = end;
        float scale = scale_of(l, tensor.kind);
        for (size_t i = from; i < to; i++)
            out[i - first] = tensor.decay ? draw(key, i) * scale : 1.0f;
    }
}

enum err init_device(const struct layout *l, uint64_t seed, const struct backend *b,
                     float *parameters, struct why *w)
{
    const size_t most = (size_t)1 << 20;
    float *block = malloc(most * sizeof(float));
    if (!block) return why(w, ERR_MEMORY, "no memory for the first parameters");
    for (size_t first = 0; first < l->parameters; first += most) {
        const size_t left = l->parameters - first, count = left < most ? left : most;
        init_parameters(l, seed, first, count, block);
        b->upload(b->self, parameters + first, block, count * sizeof(float));
    }
    free(block);
    return ERR_OK;
}
