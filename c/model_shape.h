/* model_shape.h -- the shape of a model, for all parts that need it: its parameters, the keys of
 * its experiment, its checkpoints. */
#ifndef SHOAL_MODEL_SHAPE_H
#define SHOAL_MODEL_SHAPE_H

#include <stdbool.h>
#include <stdint.h>

/* The shape of a Llama model; every matrix is [out, in], row-major. */
struct model_shape {
    uint32_t layers;   /* 1 .. 256 */
    uint32_t dim;      /* 16 .. 16384; a multiple of heads */
    uint32_t heads;    /* 1 .. 256; dim / heads is even */
    uint32_t kv_heads; /* divides heads */
    uint32_t ffn;      /* 16 .. 65536 */
    uint32_t vocab;    /* 257 .. 262144: 256 bytes and the end-of-text token at least */
    uint32_t context;  /* tokens of one sequence, 8 .. 32768 */
    double rope_theta; /* > 1 */
    double rms_eps;    /* 1e-5 */
    bool tied;         /* the head is the embedding */
};

/* Parameters of a model of this shape. */
static inline uint64_t model_shape_parameters(const struct model_shape *s)
{
    uint64_t dim = s->dim, kv_dim = dim / s->heads * s->kv_heads;
    uint64_t attention = 2 * dim * dim + 2 * dim * kv_dim; /* q and output; k and v */
    uint64_t feed = 3 * dim * s->ffn;                      /* gate, up, down */
    uint64_t block = attention + feed + 2 * dim;           /* and two norms */
    uint64_t ends = (s->tied ? 1 : 2) * dim * s->vocab;    /* embedding and head */
    return s->layers * block + ends + dim;                 /* and the last norm */
}

#endif
