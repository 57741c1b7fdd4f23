#include "cpu/kernels.h"

#include <string.h>

#include "cpu/features.h"

/* Narrowest first. */
static const struct {
    const char *name;
    bool (*here)(void);
    const struct kernels *fp32, *bf16;
} sets[] = {
    {"AVX2", features_avx2, &kernels_avx2, &kernels_avx2_bf16},
    {"AVX-512", features_avx512, &kernels_avx512, &kernels_avx512_bf16},
    {"AVX-512 BF16", features_avx512_bf16, &kernels_avx512, &kernels_avx512_pairs},
    {"AMX", features_amx, &kernels_avx512, &kernels_amx},
};

const struct kernels *kernels_named(const char *name, bool bf16)
{
    for (size_t i = 0; i < sizeof sets / sizeof sets[0]; i++)
        if (!strcmp(sets[i].name, name))
            return !sets[i].here() ? NULL : bf16 ? sets[i].bf16 : sets[i].fp32;
    return NULL;
}

const char *kernels_number(size_t number, bool bf16)
{
    if (number >= sizeof sets / sizeof sets[0] || !sets[number].here()) return NULL;
    return bf16 || number == 0 || sets[number].fp32 != sets[number - 1].fp32 ? sets[number].name
                                                                             : NULL;
}

const struct kernels *kernels_here(bool bf16)
{
    const struct kernels *best = NULL;
    for (size_t i = 0; i < sizeof sets / sizeof sets[0]; i++)
        if (sets[i].here()) best = bf16 ? sets[i].bf16 : sets[i].fp32;
    return best;
}
