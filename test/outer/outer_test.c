#include "test/model/golden.h"

#include "outer/outer.h"

#define RULE(is_nesterov) ((struct outer_rule){0.7f, 0.9f, is_nesterov})

/* Bits of floats as the golden file keeps them. */
static float *bits_of(const struct golden *g, size_t *n, const char *name)
{
    return (float *)golden_integers(g, n, name);
}

static void assert_bits(const float *is, const float *wanted, size_t n, const char *what)
{
    for (size_t i = 0; i < n; i++) {
        uint32_t a, b;
        memcpy(&a, &is[i], 4);
        memcpy(&b, &wanted[i], 4);
        cr_assert_eq(a, b, "%s[%zu] is %08x, not %08x", what, i, a, b);
    }
}

static void assert_wire(const uint8_t *wire, const struct golden *g, size_t n, const char *name)
{
    char label[40];
    size_t blocks, count;
    snprintf(label, sizeof label, "%s_scales", name);
    uint32_t *scales = golden_integers(g, &blocks, label);
    snprintf(label, sizeof label, "%s_q", name);
    uint32_t *q = golden_integers(g, &count, label);
    cr_assert_eq(count, n);
    cr_assert_eq(blocks, (n + OUTER_BLOCK - 1) / OUTER_BLOCK);
    for (size_t b = 0; b < blocks; b++)
        cr_assert(!memcmp(wire + 4 * b, &scales[b], 4), "%s: scale %zu", name, b);
    for (size_t i = 0; i < n; i++)
        cr_assert_eq(wire[4 * blocks + i], q[i], "%s: q[%zu] is %d, not %d", name, i,
                     (int8_t)wire[4 * blocks + i], (int8_t)q[i]);
    cr_assert(outer_wire_valid(wire, n));
    free(scales);
    free(q);
}

Test(outer, each_step_has_the_bits_of_exact_arithmetic)
{
    struct golden g = golden_open("outer.bin");
    size_t n, m;
    float *anchor = bits_of(&g, &n, "anchor"), *momentum = bits_of(&g, &m, "momentum");
    float *total = bits_of(&g, &m, "total");
    uint32_t *weights = golden_integers(&g, &m, "weights");
    cr_assert_eq(m, 8);
    float *acc = calloc(n, sizeof *acc);
    uint8_t *wire = malloc(outer_wire_bytes(n));
    uint64_t sum = 0;
    for (int k = 0; k < 4; k++) {
        char name[20];
        snprintf(name, sizeof name, "theta%d", k);
        float *theta = bits_of(&g, &m, name);
        cr_assert(outer_quantize_delta(anchor, theta, n, wire));
        snprintf(name, sizeof name, "wire%d", k);
        assert_wire(wire, &g, n, name);
        uint64_t weight = weights[2 * k] | (uint64_t)weights[2 * k + 1] << 32;
        outer_accumulate(acc, wire, n, (float)weight);
        sum += weight;
        free(theta);
    }
    assert_bits(acc, total, n, "total");
    cr_assert(outer_quantize_mean(acc, n, (float)sum, wire));
    assert_wire(wire, &g, n, "mean");
    for (int nesterov = 0; nesterov < 2; nesterov++) {
        float *a = bits_of(&g, &m, nesterov ? "anchor_nesterov" : "anchor_plain");
        float *v = bits_of(&g, &m, nesterov ? "momentum_nesterov" : "momentum_plain");
        float *a_out = malloc(n * sizeof *a_out), *v_out = malloc(n * sizeof *v_out);
        outer_step(&RULE(nesterov), anchor, momentum, wire, n, a_out, v_out);
        assert_bits(a_out, a, n, "anchor");
        assert_bits(v_out, v, n, "momentum");
        memcpy(a_out, anchor, n * sizeof *a_out); /* and in place */
        memcpy(v_out, momentum, n * sizeof *v_out);
        outer_step(&RULE(nesterov), a_out, v_out, wire, n, a_out, v_out);
        assert_bits(a_out, a, n, "anchor in place");
        assert_bits(v_out, v, n, "momentum in place");
        free(a), free(v), free(a_out), free(v_out);
    }
    free(anchor), free(momentum), free(total), free(weights), free(acc), free(wire);
    golden_close(&g);
}

/* ---- the test vectors of SPEC.md: what the document says is what the code does ---- */

struct vector {
    struct outer_rule rule;
    size_t n;
    float anchor[16], momentum[16], theta[16], acc[16];
    uint8_t wire[16 + 4];
    uint64_t weights;
    int members, lines;
};

static float from_hex(const char *word)
{
    uint32_t bits = (uint32_t)strtoul(word, NULL, 16);
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

static size_t split(char *line, char *words[20])
{
    size_t n = 0;
    for (char *w = strtok(line, " \n"); w && n < 20; w = strtok(NULL, " \n")) words[n++] = w;
    return n;
}

static void floats(char **words, size_t n, float *to)
{
    for (size_t i = 0; i < n; i++) to[i] = from_hex(words[i]);
}

static void assert_words_are_wire(char **words, const struct vector *v)
{
    float scale = from_hex(words[0]);
    cr_assert(!memcmp(&scale, v->wire, 4));
    for (size_t i = 0; i < v->n; i++) cr_assert_eq((int8_t)v->wire[4 + i], atoi(words[1 + i]));
}

static void take_line(struct vector *v, char **words, size_t count)
{
    float wanted[16];
    size_t n = count - 1;
    const char *name = words[0];
    v->lines++;
    if (!strcmp(name, "rule"))
        *v = (struct vector){.rule = {from_hex(words[1]), from_hex(words[2]), words[3][0] == 'n'},
                             .lines = v->lines};
    else if (!strcmp(name, "anchor")) floats(words + 1, v->n = n, v->anchor);
    else if (!strcmp(name, "momentum")) floats(words + 1, n, v->momentum);
    else if (!strcmp(name, "member")) {
        uint64_t weight = strtoull(words[1], NULL, 10);
        floats(words + 2, n - 1, v->theta);
        cr_assert(outer_quantize_delta(v->anchor, v->theta, v->n, v->wire));
        outer_accumulate(v->acc, v->wire, v->n, (float)weight);
        v->weights += weight;
    } else if (!strcmp(name, "wire")) assert_words_are_wire(words + 1, v);
    else if (!strcmp(name, "total")) {
        floats(words + 1, n, wanted);
        assert_bits(v->acc, wanted, v->n, "total");
    } else if (!strcmp(name, "mean")) {
        cr_assert(outer_quantize_mean(v->acc, v->n, (float)v->weights, v->wire));
        assert_words_are_wire(words + 1, v);
        outer_step(&v->rule, v->anchor, v->momentum, v->wire, v->n, v->anchor, v->momentum);
    } else if (!strcmp(name, "momentum'")) {
        floats(words + 1, n, wanted);
        assert_bits(v->momentum, wanted, v->n, "momentum'");
    } else if (!strcmp(name, "anchor'")) {
        floats(words + 1, n, wanted);
        assert_bits(v->anchor, wanted, v->n, "anchor'");
    } else cr_assert(false, "SPEC.md: what is a line of %s?", name);
}

Test(outer, the_test_vectors_of_the_specification_hold)
{
    uint8_t *data;
    size_t count;
    struct why w;
    cr_assert_eq(file_read("SPEC.md", 1 << 20, &data, &count, &w), ERR_OK, "%s", w.text);
    char *spec = calloc(count + 1, 1);
    memcpy(spec, data, count);
    char *at = strstr(spec, "    rule       ");
    cr_assert(at, "SPEC.md has no test vectors");
    struct vector v = {0};
    while (at) { /* indented lines and empty ones, up to the next text */
        char *end = strchr(at, '\n'), *words[20];
        if (at[0] != '\n' && strncmp(at, "    ", 4)) break;
        if (end) *end = 0;
        size_t n = split(at, words);
        if (n) take_line(&v, words, n);
        at = end ? end + 1 : NULL;
    }
    cr_assert_geq(v.lines, 36, "%d lines", v.lines);
    free(spec);
    free(data);
}

/* ---- against float64 ---- */

Test(outer, a_mean_is_within_rounding_of_the_float64_mean)
{
    enum { N = 1000, MEMBERS = 7 };
    static float anchor[N], theta[N], acc[N];
    static double exact[N];
    static uint8_t wire[N + 64];
    double weights = 0;
    for (int k = 0; k < MEMBERS; k++) {
        for (size_t i = 0; i < N; i++) {
            anchor[i] = (float)rng_at(1, i) * 0x1p-64f;
            theta[i] = anchor[i] + ((float)rng_at(2 + (uint64_t)k, i) * 0x1p-64f - 0.5f) * 0.01f;
        }
        cr_assert(outer_quantize_delta(anchor, theta, N, wire));
        double weight = 1000.0 + 777.0 * k;
        for (size_t i = 0; i < N; i++) {
            float s;
            memcpy(&s, wire + i / OUTER_BLOCK * 4, 4);
            double d = (double)s * (int8_t)wire[4 * ((N + 255) / 256) + i];
            cr_assert_leq(fabs(d - ((double)anchor[i] - (double)theta[i])), 0.5001 * (double)s);
            exact[i] += weight * d;
        }
        weights += weight;
        outer_accumulate(acc, wire, N, (float)weight);
    }
    cr_assert(outer_quantize_mean(acc, N, (float)weights, wire));
    for (size_t i = 0; i < N; i++) {
        float s;
        memcpy(&s, wire + i / OUTER_BLOCK * 4, 4);
        double d = (double)s * (int8_t)wire[4 * ((N + 255) / 256) + i];
        cr_assert_leq(fabs(d - exact[i] / weights), 0.5001 * (double)s);
    }
}

Test(outer, a_range_at_a_time_gives_what_the_whole_gives)
{
    enum { N = 5 * OUTER_BLOCK + 17 };
    static float anchor[N], theta[N], momentum[N], a[2][N], m[2][N];
    static uint8_t wire[2 * N];
    for (size_t i = 0; i < N; i++) {
        anchor[i] = (float)i * 0.001f;
        theta[i] = anchor[i] - (float)rng_at(1, i) * 0x1p-66f;
        momentum[i] = (float)rng_at(2, i) * 0x1p-70f;
    }
    cr_assert(outer_quantize_delta(anchor, theta, N, wire));
    outer_step(&RULE(true), anchor, momentum, wire, N, a[0], m[0]);
    for (size_t at = 0; at < N; at += 2 * OUTER_BLOCK) {
        size_t n = N - at < 2 * OUTER_BLOCK ? N - at : 2 * OUTER_BLOCK;
        cr_assert(outer_quantize_delta(anchor + at, theta + at, n, wire));
        outer_step(&RULE(true), anchor + at, momentum + at, wire, n, a[1] + at, m[1] + at);
    }
    cr_assert(!memcmp(a[0], a[1], sizeof a[0]));
    cr_assert(!memcmp(m[0], m[1], sizeof m[0]));
}

/* ---- what is refused ---- */

Test(outer, what_is_not_finite_is_refused_wherever_it_stands)
{
    enum { N = 2 * OUTER_BLOCK + 5 };
    static float anchor[N], theta[N], acc[N];
    static uint8_t wire[2 * N];
    const float bad[] = {NAN, -NAN, INFINITY, -INFINITY};
    cr_assert(outer_quantize_delta(anchor, theta, N, wire));
    cr_assert(outer_quantize_mean(acc, N, 1, wire));
    for (size_t b = 0; b < 4; b++)
        for (size_t i = 0; i < N; i += 1 + i % 13) {
            theta[i] = acc[i] = bad[b];
            cr_assert_not(outer_quantize_delta(anchor, theta, N, wire), "%g at %zu", bad[b], i);
            cr_assert_not(outer_quantize_mean(acc, N, 1, wire), "%g at %zu", bad[b], i);
            theta[i] = acc[i] = 0;
        }
    anchor[3] = 3e38f, theta[3] = -3e38f; /* finite, but not their difference */
    cr_assert_not(outer_quantize_delta(anchor, theta, N, wire));
    cr_assert_not(outer_quantize_mean(acc, N, 0, wire)); /* nobody's mean */
}

Test(outer, a_payload_that_quantization_cannot_have_made_is_refused)
{
    enum { N = OUTER_BLOCK + 3 };
    static uint8_t wire[2 * 4 + N];
    const uint32_t bad[] = {0x7f800000, 0x7fc00001, 0xff800000, 0xbf800000, 0x80000000, 0x7f800001};
    cr_assert(outer_wire_valid(wire, N));
    for (size_t b = 0; b < sizeof bad / sizeof *bad; b++)
        for (size_t block = 0; block < 2; block++) {
            memcpy(wire + 4 * block, &bad[b], 4);
            cr_assert_not(outer_wire_valid(wire, N), "scale %08x", bad[b]);
            memset(wire, 0, 8);
        }
    for (size_t i = 0; i < N; i++) {
        wire[8 + i] = 0x80;
        cr_assert_not(outer_wire_valid(wire, N), "-128 at %zu", i);
        wire[8 + i] = 0x7f;
        cr_assert(outer_wire_valid(wire, N));
        wire[8 + i] = 0;
    }
}

/* ---- layout ---- */

Test(outer, chunks_tile_the_vector_and_are_many_enough)
{
    const uint64_t sizes[] = {1,        255,           256,       257,       4096,
                              4097,     64 * 4096 - 1, 64 * 4096, 300000,    2000000,
                              16777215, 16777216,      16777217,  124000000, 1100048384};
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        struct outer_layout l = outer_layout_of(sizes[s]);
        cr_assert_eq(l.chunk_elements & (l.chunk_elements - 1), 0);
        cr_assert_geq(l.chunk_elements, 1u << 12);
        cr_assert_leq(l.chunk_elements, 1u << 18);
        cr_assert(l.chunks >= 64 || l.chunk_elements == 1u << 12, "%lu: %u chunks of %u", sizes[s],
                  l.chunks, l.chunk_elements);
        cr_assert(l.chunk_elements == 1u << 18 || l.chunks < 128 + 1);
        uint64_t elements = 0;
        size_t bytes = 0;
        for (uint32_t c = 0; c < l.chunks; c++) {
            size_t n = outer_chunk_count(&l, c);
            cr_assert_gt(n, 0);
            cr_assert_eq(outer_wire_offset(&l, c), bytes);
            elements += n;
            bytes += outer_wire_bytes(n);
        }
        cr_assert_eq(elements, sizes[s]);
        cr_assert_eq(bytes, outer_wire_bytes((size_t)sizes[s]));
    }
    cr_assert_eq(outer_layout_of(1100048384).chunks, 4197);
}
