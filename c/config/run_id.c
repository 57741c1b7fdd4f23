/* run_id.c -- the first layout of the run's ID (shared.h has the second), and the size of its
 * model. */
#include <assert.h>
#include <string.h>

#include "config/experiment.h"

#define RUN_ID_LAYOUT 1
#define RUN_ID_MAJOR  1 /* of the protocol when the layout was defined; never changes */
#define RUN_ID_BYTES  213

static void write_f64(struct writer *w, double v)
{
    uint64_t u;
    memcpy(&u, &v, sizeof u); /* IEEE 754 binary64 */
    writer_u64(w, u);
}

static void write_model(struct writer *w, const struct model_shape *s)
{
    uint32_t sizes[] = {s->layers, s->dim, s->heads, s->kv_heads, s->ffn, s->vocab, s->context};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) writer_u32(w, sizes[i]);
    write_f64(w, s->rope_theta);
    write_f64(w, s->rms_eps);
    writer_u8(w, s->tied);
}

static void write_train(struct writer *w, const struct experiment *x)
{
    writer_u64(w, x->train.steps);
    writer_u64(w, x->train.batch_tokens);
    write_f64(w, x->train.optimizer.lr);
    write_f64(w, x->train.optimizer.beta1);
    write_f64(w, x->train.optimizer.beta2);
    write_f64(w, x->train.optimizer.eps);
    write_f64(w, x->train.optimizer.weight_decay);
    write_f64(w, x->train.optimizer.clip);
    writer_u8(w, (uint8_t)x->train.schedule.kind);
    writer_u64(w, x->train.schedule.warmup);
    write_f64(w, x->train.schedule.final);
    write_f64(w, x->train.schedule.decay);
}

static void write_outer(struct writer *w, const struct experiment *x)
{
    writer_u64(w, x->outer.every);
    writer_u8(w, (uint8_t)x->outer.count);
    write_f64(w, x->outer.optimizer.lr);
    write_f64(w, x->outer.optimizer.momentum);
    writer_u8(w, x->outer.optimizer.nesterov);
    writer_u8(w, (uint8_t)x->outer.wire);
    writer_u32(w, x->outer.overlap);
    writer_u32(w, x->outer.fragments);
}

void experiment_run_id(const struct experiment *x, const uint8_t tokenizer[CRYPTO_HASH_BYTES],
                       const struct crypto *c, uint8_t out[CRYPTO_DIGEST_BYTES])
{
    /* Layout 1, little-endian, floats as IEEE 754 binary64, booleans and enums as one byte:
     *
     *     at   bytes  what
     *      0       2  layout: 1
     *      2       2  1: the protocol's major version when this was defined
     *      4       8  experiment.seed
     *     12     7x4  model: layers, dim, heads, kv_heads, ffn, vocab, context
     *     40     2x8  model: rope_theta, rms_eps
     *     56       1  model.tied
     *     57     2x8  train: steps, batch_tokens
     *     73     6x8  train.optimizer: lr, betas[0], betas[1], eps, weight_decay, clip
     *    121       1  train.schedule.kind: 0 cosine, 1 wsd, 2 constant
     *    122       8  train.schedule.warmup
     *    130     2x8  train.schedule: final, decay
     *    146       8  outer.every
     *    154       1  outer.count: 0 tokens, 1 steps
     *    155     2x8  outer.optimizer: lr, momentum
     *    171       1  outer.optimizer.nesterov
     *    172       1  outer.wire: 0 fp32, 1 bf16, 2 int8, 3 int4
     *    173     2x4  outer: overlap, fragments
     *    181      32  SHA-256 of tokenizer.json
     *    213          end; the run's ID is the first 16 bytes of the SHA-256 of all of it */
    uint8_t canonical[RUN_ID_BYTES];
    struct writer w = writer_init(canonical, sizeof canonical);
    writer_u16(&w, RUN_ID_LAYOUT);
    writer_u16(&w, RUN_ID_MAJOR);
    writer_u64(&w, x->seed);
    write_model(&w, &x->model);
    write_train(&w, x);
    write_outer(&w, x);
    writer_copy(&w, tokenizer, CRYPTO_HASH_BYTES);
    assert(!w.full && w.used == RUN_ID_BYTES);
    struct bytes all = writer_bytes(&w);
    crypto_digest(c, &all, 1, out);
}
