#include "model/checkpoint.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <xxhash.h>

#include "base/file.h"
#include "base/whole.h"

#define HEADER_BYTES 4096
#define SUM_BYTES    CHECKPOINT_SUM_BYTES

static const char magic[] = "SHOALCKP"; /* without its zero */
static const char *const section_names[CHECKPOINT_SECTIONS] = {"parameters", "moment1", "moment2",
                                                               "anchor", "momentum"};

/* Numbers in the file. */
static const uint32_t precision_numbers[] = {
    [PRECISION_FP32] = 1, [PRECISION_BF16] = 2, [PRECISION_AUTO] = 0};

struct section {
    uint64_t offset; /* 0: not in the file */
    uint8_t sum[SUM_BYTES];
};

void checkpoint_sum(const void *data, size_t count, uint8_t out[SUM_BYTES])
{
    XXH128_canonical_t canonical;
    XXH128_canonicalFromHash(&canonical, XXH3_128bits(data, count));
    memcpy(out, canonical.digest, SUM_BYTES);
}

static uint64_t aligned(uint64_t n) { return align_up(n, HEADER_BYTES); }

static void put_f64(struct writer *w, double v)
{
    uint64_t u;
    memcpy(&u, &v, sizeof u);
    writer_u64(w, u);
}

static double get_f64(struct reader *r)
{
    uint64_t u = reader_u64(r);
    double v;
    memcpy(&v, &u, sizeof v);
    return v;
}

static void encode(const struct checkpoint *c, const struct section table[CHECKPOINT_SECTIONS],
                   uint64_t file_bytes, uint8_t header[HEADER_BYTES])
{
    memset(header, 0, HEADER_BYTES);
    struct writer w = writer_init(header, HEADER_BYTES - SUM_BYTES);
    writer_copy(&w, magic, sizeof magic - 1);
    writer_u32(&w, CHECKPOINT_VERSION);
    writer_u32(&w, CHECKPOINT_SECTIONS);
    writer_u64(&w, file_bytes);
    writer_u64(&w, c->parameters);
    for (int i = 0; i < CHECKPOINT_SECTIONS; i++) {
        writer_u64(&w, table[i].offset);
        writer_copy(&w, table[i].sum, SUM_BYTES);
    }
    writer_u64(&w, c->step);
    writer_u64(&w, c->epoch);
    writer_copy(&w, c->lineage, sizeof c->lineage);
    writer_u64(&w, c->lineage_tokens);
    writer_u64(&w, c->round_steps);
    writer_u64(&w, c->round_tokens);
    writer_u64(&w, c->adam_steps);
    writer_u64(&w, c->position);
    writer_u64(&w, c->tokens);
    writer_u32(&w, c->micro_batch);
    writer_copy(&w, c->run_id, sizeof c->run_id);
    writer_copy(&w, c->identity, sizeof c->identity);
    const struct model_shape *s = &c->shape;
    const uint32_t whole[] = {s->layers, s->dim,   s->heads,   s->kv_heads,
                              s->ffn,    s->vocab, s->context, s->tied};
    for (size_t i = 0; i < sizeof whole / sizeof whole[0]; i++) writer_u32(&w, whole[i]);
    put_f64(&w, s->rope_theta);
    put_f64(&w, s->rms_eps);
    writer_copy(&w, c->corpus, sizeof c->corpus);
    writer_copy(&w, c->tokenizer, sizeof c->tokenizer);
    writer_u16(&w, (uint16_t)c->shared.count);
    writer_copy(&w, c->shared.text, c->shared.count);
    writer_copy(&w, c->kernels, sizeof c->kernels);
    writer_u32(&w, precision_numbers[c->precision]);
    assert(!w.full);
    checkpoint_sum(header, HEADER_BYTES - SUM_BYTES, header + HEADER_BYTES - SUM_BYTES);
}

static_assert(HEADER_BYTES - SUM_BYTES >= 1024 + SHARED_BYTES_MAX,
              "a header has room for the fields, which need less than 1 KiB, and the values");

/* A valid shape: all fields within the bounds of model_shape.h. */
static bool shape_can_be(const struct model_shape *s)
{
    bool counts = s->layers && s->layers <= 256 && s->heads && s->heads <= 256 && s->kv_heads &&
                  s->ffn && s->ffn <= 65536 && s->dim <= 16384 && s->vocab >= 257 &&
                  s->vocab <= 262144 && s->context && s->context <= 32768;
    return counts && s->heads % s->kv_heads == 0 && s->dim && s->dim % (2 * s->heads) == 0 &&
           s->rope_theta > 1 && s->rms_eps > 0;
}

/* Fields added in version 2. */
static void decode_shared(struct reader *r, struct checkpoint *c)
{
    reader_copy(r, c->tokenizer, sizeof c->tokenizer);
    const size_t count = reader_u16(r);
    if (count >= sizeof c->shared.text) r->bad = true;
    else reader_copy(r, c->shared.text, count);
    c->shared.count = r->bad ? 0 : count;
}

/* Fields added in version 3. */
static void decode_computed(struct reader *r, struct checkpoint *c)
{
    reader_copy(r, c->kernels, sizeof c->kernels);
    c->kernels[sizeof c->kernels - 1] = 0;
    const uint32_t precision = reader_u32(r);
    for (int p = PRECISION_FP32; p <= PRECISION_AUTO; p++)
        if (precision_numbers[p] == precision) c->precision = (enum precision)p;
}

static enum err decode(const uint8_t header[HEADER_BYTES], struct checkpoint *c,
                       struct section table[CHECKPOINT_SECTIONS], uint64_t *file_bytes,
                       struct why *w)
{
    struct reader r = reader_init(bytes_of(header, HEADER_BYTES));
    uint8_t sum[SUM_BYTES];
    if (memcmp(reader_bytes(&r, sizeof magic - 1).data, magic, sizeof magic - 1))
        return why(w, ERR_FORMAT, "it is not a checkpoint of shoal");
    uint32_t version = reader_u32(&r);
    if (version < 1 || version > CHECKPOINT_VERSION)
        return why(w, ERR_FORMAT, "it is of version %u, this program reads versions 1 to %u",
                   version, CHECKPOINT_VERSION);
    checkpoint_sum(header, HEADER_BYTES - SUM_BYTES, sum);
    if (memcmp(sum, header + HEADER_BYTES - SUM_BYTES, SUM_BYTES))
        return why(w, ERR_FORMAT, "its header is damaged: the checksum does not match");
    if (reader_u32(&r) != CHECKPOINT_SECTIONS)
        return why(w, ERR_FORMAT, "its number of sections is wrong");
    memset(c, 0, sizeof *c);
    *file_bytes = reader_u64(&r);
    c->parameters = reader_u64(&r);
    for (int i = 0; i < CHECKPOINT_SECTIONS; i++) {
        table[i].offset = reader_u64(&r);
        reader_copy(&r, table[i].sum, SUM_BYTES);
    }
    c->step = reader_u64(&r);
    c->epoch = reader_u64(&r);
    reader_copy(&r, c->lineage, sizeof c->lineage);
    c->lineage_tokens = reader_u64(&r);
    c->round_steps = reader_u64(&r);
    c->round_tokens = reader_u64(&r);
    c->adam_steps = reader_u64(&r);
    c->position = reader_u64(&r);
    c->tokens = reader_u64(&r);
    c->micro_batch = reader_u32(&r);
    reader_copy(&r, c->run_id, sizeof c->run_id);
    reader_copy(&r, c->identity, sizeof c->identity);
    struct model_shape *s = &c->shape;
    uint32_t *const whole[] = {&s->layers, &s->dim,   &s->heads,  &s->kv_heads,
                               &s->ffn,    &s->vocab, &s->context};
    for (size_t i = 0; i < sizeof whole / sizeof whole[0]; i++) *whole[i] = reader_u32(&r);
    s->tied = reader_u32(&r) != 0;
    s->rope_theta = get_f64(&r);
    s->rms_eps = get_f64(&r);
    reader_copy(&r, c->corpus, sizeof c->corpus);
    c->corpus[sizeof c->corpus - 1] = 0;
    if (version >= 2) decode_shared(&r, c);
    c->precision = PRECISION_AUTO;
    if (version >= 3) decode_computed(&r, c);
    c->of_swarm = table[CHECKPOINT_ANCHOR].offset && table[CHECKPOINT_MOMENTUM].offset;
    if (r.bad) return why(w, ERR_FORMAT, "its header is too short");
    if (!shape_can_be(s)) return why(w, ERR_FORMAT, "its model's shape is none that can be");
    if (c->parameters == 0 || c->parameters > UINT64_C(1) << 40)
        return why(w, ERR_FORMAT, "it claims %llu parameters", (unsigned long long)c->parameters);
    return ERR_OK;
}

/* Writing. */

enum err checkpoint_write(const char *path, const struct checkpoint *c, struct why *w)
{
    static const uint8_t zeros[HEADER_BYTES];
    struct section table[CHECKPOINT_SECTIONS] = {0};
    struct bytes parts[1 + 2 * CHECKPOINT_SECTIONS];
    uint8_t header[HEADER_BYTES];
    size_t count = 1, bytes = c->parameters * sizeof(float);
    uint64_t at = HEADER_BYTES;
    for (int i = 0; i < CHECKPOINT_SECTIONS; i++) {
        if (!c->sections[i]) continue;
        table[i].offset = at;
        checkpoint_sum(c->sections[i], bytes, table[i].sum);
        parts[count++] = bytes_of(c->sections[i], bytes);
        parts[count++] = bytes_of(zeros, aligned(bytes) - bytes);
        at += aligned(bytes);
    }
    encode(c, table, at, header);
    parts[0] = bytes_of(header, sizeof header);
    enum err e = file_write_atomic(path, parts, count, 0644, w);
    return e ? why_while(w, e, "writing a checkpoint (the one before it is untouched)") : ERR_OK;
}

/* Reading. */

static enum err check_sections(struct bytes file, const struct section table[CHECKPOINT_SECTIONS],
                               uint64_t file_bytes, struct checkpoint *c, struct why *w)
{
    if (file.count != file_bytes)
        return why(w, ERR_FORMAT,
                   "it has %zu bytes and should have %llu: it is truncated, or was added to",
                   file.count, (unsigned long long)file_bytes);
    uint64_t bytes = c->parameters * sizeof(float);
    for (int i = 0; i < CHECKPOINT_SECTIONS; i++) {
        const struct section *s = &table[i];
        if (!s->offset && c->sections[i])
            return why(w, ERR_FORMAT, "it holds no %s: it was written by a worker alone",
                       section_names[i]);
        if (!s->offset) continue;
        if (s->offset % HEADER_BYTES || s->offset > file.count || bytes > file.count - s->offset)
            return why(w, ERR_FORMAT, "its %s lie outside of the file", section_names[i]);
        uint8_t sum[SUM_BYTES];
        checkpoint_sum(file.data + s->offset, bytes, sum);
        if (memcmp(sum, s->sum, SUM_BYTES))
            return why(w, ERR_FORMAT, "its %s are damaged: the checksum does not match",
                       section_names[i]);
        if (c->sections[i]) memcpy(c->sections[i], file.data + s->offset, bytes);
    }
    return ERR_OK;
}

static enum err read_file(struct bytes file, bool header_only, uint64_t parameters,
                          struct checkpoint *out, struct why *w)
{
    float *wanted[CHECKPOINT_SECTIONS];
    memcpy(wanted, out->sections, sizeof wanted);
    struct section table[CHECKPOINT_SECTIONS];
    uint64_t file_bytes;
    if (file.count < HEADER_BYTES)
        return why(w, ERR_FORMAT, "it has %zu bytes, less than a header", file.count);
    enum err e = decode(file.data, out, table, &file_bytes, w);
    if (e || header_only) return e;
    memcpy(out->sections, wanted, sizeof wanted);
    if (parameters && parameters != out->parameters)
        return why(w, ERR_FORMAT, "it is of a model of %llu parameters, %llu are expected",
                   (unsigned long long)out->parameters, (unsigned long long)parameters);
    return check_sections(file, table, file_bytes, out, w);
}

static enum err open_and_read(const char *path, bool header_only, uint64_t parameters,
                              struct checkpoint *out, struct why *w)
{
    struct bytes file;
    enum err e = file_map(path, &file, w);
    if (e) return why_while(w, e, "reading checkpoint %s", path);
    e = read_file(file, header_only, parameters, out, w);
    file_unmap(file);
    return e ? why_while(w, e, "reading checkpoint %s", path) : ERR_OK;
}

enum err checkpoint_peek(const char *path, struct checkpoint *out, struct why *w)
{
    memset(out->sections, 0, sizeof out->sections);
    return open_and_read(path, true, 0, out, w);
}

enum err checkpoint_read(const char *path, uint64_t parameters, struct checkpoint *out,
                         struct why *w)
{
    return open_and_read(path, false, parameters, out, w);
}
