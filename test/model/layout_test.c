#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "config/schema.h"
#include "model/init.h"
#include "model/layout.h"
#include "model/model.h"

static const struct model_shape small = {
    .layers = 3, .dim = 24, .heads = 4, .kv_heads = 2, .ffn = 40, .vocab = 300, .context = 16};

Test(layout, of_each_preset_has_the_parameters_of_opendiloco)
{
    static const struct {
        const char *name;
        size_t parameters;
    } known[] = {{"2m", 262464},
                 {"14m", 9766528},
                 {"60m", 102898688},
                 {"150m", 214983680},
                 {"1b", 1100048384}};
    size_t seen = 0;
    for (const struct schema_preset *p = schema_presets; p->name; p++, seen++) {
        struct model_shape s = p->shape;
        cr_assert_str_eq(p->name, known[seen].name);
        cr_assert_eq(layout_of(&s).parameters, known[seen].parameters, "%s", p->name);
        cr_assert_eq(model_shape_parameters(&s), known[seen].parameters, "%s", p->name);
    }
    cr_assert_eq(seen, sizeof known / sizeof known[0]);
}

static void tensors_fill_the_vector(bool tied)
{
    struct model_shape s = small;
    s.tied = tied;
    const struct layout l = layout_of(&s);
    size_t next = 0, decayed = 0;
    for (size_t t = 0; t < l.tensor_count; t++) {
        struct layout_tensor tensor = layout_at(&l, t);
        cr_assert_eq(tensor.offset, next, "%s", tensor.name);
        cr_assert_eq(layout_offset(&l, tensor.kind, tensor.layer), tensor.offset);
        cr_assert_eq(tensor.decay, tensor.rows > 1, "%s", tensor.name);
        next += tensor.rows * tensor.columns;
        if (tensor.decay) decayed = next;
    }
    cr_assert_eq(next, l.parameters);
    cr_assert_eq(decayed, l.decayed_count);
    cr_assert_eq(l.parameters, model_shape_parameters(&s));
    const struct layout_tensor first = layout_at(&l, 0), gate = layout_at(&l, 1 + 7 + 4);
    const struct layout_tensor last = layout_at(&l, l.tensor_count - 1);
    cr_assert_str_eq(first.name, "model.embed_tokens.weight");
    cr_assert_str_eq(gate.name, "model.layers.1.mlp.gate_proj.weight");
    cr_assert_str_eq(last.name, "model.norm.weight");
}

Test(layout, has_no_gap_and_puts_all_matrices_first)
{
    tensors_fill_the_vector(false);
    tensors_fill_the_vector(true);
}

Test(layout, of_a_tied_head_is_that_of_the_embedding)
{
    struct model_shape s = small;
    s.tied = true;
    const struct layout tied = layout_of(&s), untied = layout_of(&small);
    cr_assert_eq(layout_offset(&tied, LAYOUT_HEAD, 0), layout_offset(&tied, LAYOUT_EMBED, 0));
    cr_assert_eq(untied.parameters - tied.parameters, 300 * 24);
}

/* The constants of the issue: 6 operations a parameter that multiplies, and attention's causal
 * half. */
Test(model, counts_its_operations_by_hand)
{
    const double matrices = 300 * 24 + 3 * (24 * 24 * 2 + 2 * 12 * 24 + 3 * 24 * 40);
    cr_assert_eq(model_flops_per_token(&small), 6 * matrices + 6 * 3 * 24 * 16);
}

Test(init, draws_matrices_about_zero_with_the_stated_deviation)
{
    const struct model_shape s = {.layers = 2,
                                  .dim = 128,
                                  .heads = 4,
                                  .kv_heads = 4,
                                  .ffn = 512,
                                  .vocab = 1024,
                                  .context = 8};
    const struct layout l = layout_of(&s);
    float *p = malloc(l.parameters * sizeof(float));
    init_parameters(&l, 7, 0, l.parameters, p);
    for (size_t t = 0; t < l.tensor_count; t++) {
        struct layout_tensor tensor = layout_at(&l, t);
        const size_t n = tensor.rows * tensor.columns;
        double mean = 0, squares = 0, largest = 0;
        for (size_t i = 0; i < n; i++) {
            const double v = p[tensor.offset + i];
            mean += v / (double)n;
            squares += v * v / (double)n;
            if (fabs(v) > largest) largest = fabs(v);
        }
        if (!tensor.decay) {
            cr_assert_eq(mean, 1, "%s", tensor.name);
            cr_assert_eq(largest, 1, "%s", tensor.name);
            continue;
        }
        /* 16384 draws or more: the deviation of their mean is sigma / 128, that of sigma half a
         * percent. */
        const bool residual = tensor.kind == LAYOUT_O || tensor.kind == LAYOUT_DOWN;
        const double sigma = residual ? 0.01 : 0.02;
        cr_assert_float_eq(mean, 0, sigma / 25, "%s", tensor.name);
        cr_assert_float_eq(sqrt(squares) / sigma, 1, 0.025, "%s", tensor.name);
        cr_assert_leq(largest, 3.47 * sigma, "%s", tensor.name);
    }
    free(p);
}

Test(init, of_another_seed_is_another)
{
    const struct layout l = layout_of(&small);
    float a[64], b[64];
    init_parameters(&l, 1, 0, 64, a);
    init_parameters(&l, 2, 0, 64, b);
    for (size_t i = 0; i < 64; i++) cr_assert_neq(a[i], b[i]);
}

Test(init, gives_the_test_vectors_of_the_specification)
{
    const struct model_shape s = {
        .layers = 2, .dim = 32, .heads = 4, .kv_heads = 2, .ffn = 48, .vocab = 300, .context = 8};
    const struct layout l = layout_of(&s);
    uint8_t *spec;
    size_t count;
    struct why w;
    int seen = 0;
    cr_assert_eq(file_read("SPEC.md", 1 << 20, &spec, &count, &w), ERR_OK, "%s", w.text);
    for (char *at = (char *)spec; (at = strstr(at, "\n    from ")); at++) {
        unsigned long first;
        uint32_t wanted[6], made[6];
        int fields = sscanf(at, " from %lu %x %x %x %x %x %x", &first, &wanted[0], &wanted[1],
                            &wanted[2], &wanted[3], &wanted[4], &wanted[5]);
        if (fields != 7) continue;
        init_parameters(&l, 24301, first, 6, (float *)made);
        for (int i = 0; i < 6; i++) cr_assert_eq(made[i], wanted[i], "element %lu", first + i);
        seen++;
    }
    cr_assert_eq(seen, 6);
    free(spec);
}
