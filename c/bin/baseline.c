/* baseline.c -- reports that the processor is too old, before the first instruction that it does
 * not support.
 *
 * The rest of shoal is compiled for x86-64-v3 with AES and PCLMUL (build.zig), this file for any
 * x86-64; it runs before all other constructors and main. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cpu/features.h"

/* Adds a word to the list of what is missing. */
static void lacks(char list[160], const char *word)
{
    if (list[0]) strcat(list, ", ");
    strcat(list, word);
}

__attribute__((constructor(101))) static void look_at_the_processor(void)
{
    char missing[160] = "", text[400];
    uint32_t a = 0, b = 0, c = 0, d = 0, b7 = 0, c81 = 0;
    (void)__get_cpuid(1, &a, &b, &c, &d);
    const uint32_t c1 = c;
    if (__get_cpuid_count(7, 0, &a, &b, &c, &d)) b7 = b;
    if (__get_cpuid(0x80000001, &a, &b, &c, &d)) c81 = c;
    if (!features_avx2()) lacks(missing, "AVX2 with FMA");
    if (!(b7 & bit_BMI) || !(b7 & bit_BMI2)) lacks(missing, "BMI");
    if (!(c1 & bit_MOVBE)) lacks(missing, "MOVBE");
    if (!(c1 & bit_F16C)) lacks(missing, "F16C");
    if (!(c81 & bit_LZCNT)) lacks(missing, "LZCNT");
    if (!(c1 & bit_AES) || !(c1 & bit_PCLMUL)) lacks(missing, "AES");
    if (!missing[0]) return;
    int n = snprintf(
        text, sizeof text,
        "shoal: this processor lacks %s: shoal needs x86-64-v3 and AES, as Intel's have since "
        "Haswell and AMD's since Zen\n",
        missing);
    if (write(STDERR_FILENO, text, (size_t)n) < 0) _exit(1);
    _exit(1);
}
