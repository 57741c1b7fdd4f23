/* tokenizer_fuzz.c -- a tokenizer.json from anywhere: it is refused, or what it encodes decodes to
 * the same bytes. The part of the input after the first zero byte is the text. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "data/tokenizer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *zero = size ? memchr(data, 0, size) : NULL;
    size_t json = zero ? (size_t)(zero - data) : size;
    struct bytes text = zero ? bytes_of(zero + 1, size - json - 1) : bytes_of(data, size);
    struct tokenizer *t;
    struct why w;
    if (tokenizer_parse("fuzz", bytes_of(data, json), &t, &w)) return 0;
    uint32_t *ids = malloc((text.count + 1) * sizeof *ids);
    uint8_t *back = malloc(text.count + 1);
    size_t count;
    enum err e = tokenizer_encode(t, NULL, text, ids, &count, &w);
    assert(!e && count <= text.count);
    for (size_t i = 0; i < count; i++) assert(ids[i] < tokenizer_vocab(t));
    size_t n = tokenizer_decode(t, ids, count, back, text.count);
    assert(n == text.count && (n == 0 || !memcmp(back, text.data, n)));
    free(ids);
    free(back);
    tokenizer_close(t);
    return 0;
}
