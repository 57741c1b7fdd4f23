/* sample.h -- the golden files of test/golden/tokenizer.py and the texts that it made them from. */
#ifndef SHOAL_TEST_DATA_SAMPLE_H
#define SHOAL_TEST_DATA_SAMPLE_H

#include <criterion/criterion.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/rng.h"
#include "data/shard.h"
#include "data/utf8.h"

#define GOLDEN_TOKENIZER "test/golden/tokenizer.json"
#define GOLDEN_TANGLED   "test/golden/tokenizer_tangled.json"

struct text { /* grows; the test frees `data` */
    uint8_t *data;
    size_t count, room;
};

static inline struct bytes text_bytes(const struct text *t) { return bytes_of(t->data, t->count); }

static inline void text_add(struct text *t, const void *data, size_t count)
{
    if (t->room - t->count < count) {
        t->room = 2 * t->room + count + 64;
        t->data = realloc(t->data, t->room);
        cr_assert_not_null(t->data);
    }
    if (count) memcpy(t->data + t->count, data, count);
    t->count += count;
}

static inline void text_add_string(struct text *t, const char *s) { text_add(t, s, strlen(s)); }

static inline void text_add_character(struct text *t, uint32_t c)
{
    uint8_t utf8[4];
    text_add(t, utf8, utf8_write(c, utf8));
}

struct golden {
    json_t *root, *snippets;
    uint32_t *assigned; /* all characters of Unicode 14 */
    size_t assigned_count;
};

static inline struct golden golden_open(void)
{
    json_error_t error;
    struct golden g = {
        .root = json_load_file("test/golden/tokenizer_golden.json", JSON_ALLOW_NUL, &error)};
    cr_assert_not_null(g.root, "line %d: %s", error.line, error.text);
    g.snippets = json_object_get(g.root, "snippets");
    g.assigned = malloc(0x110000 * sizeof *g.assigned);
    size_t i;
    json_t *range;
    json_array_foreach(json_object_get(g.root, "assigned"), i, range)
    {
        json_int_t last = json_integer_value(json_array_get(range, 1));
        for (json_int_t c = json_integer_value(json_array_get(range, 0)); c <= last; c++)
            g.assigned[g.assigned_count++] = (uint32_t)c;
    }
    cr_assert_gt(g.assigned_count, 280000);
    return g;
}

static inline void golden_close(struct golden *g)
{
    json_decref(g->root);
    free(g->assigned);
}

/* The functions of tokenizer.py with the same names. */
static inline void sample(const struct golden *g, uint64_t key, uint64_t index, struct text *to)
{
    struct rng r = rng_init(rng_at(key, index));
    for (uint64_t left = rng_below(&r, 40); left > 0; left--) {
        uint64_t kind = rng_below(&r, 8);
        if (kind < 4) {
            json_t *s = json_array_get(g->snippets, rng_below(&r, json_array_size(g->snippets)));
            text_add(to, json_string_value(s), json_string_length(s));
        } else if (kind < 6) {
            text_add_character(to, 'a' + (uint32_t)rng_below(&r, 26));
        } else {
            text_add_character(to,
                               g->assigned[rng_below(&r, kind == 6 ? g->assigned_count : 2048)]);
        }
    }
}

static inline void sample_abc(uint64_t key, uint64_t index, struct text *to)
{
    struct rng r = rng_init(rng_at(key, index));
    for (uint64_t left = rng_below(&r, 60); left > 0; left--)
        text_add(to, &"abc"[rng_below(&r, 3)], 1);
}

static inline void sample_bytes(uint64_t key, uint64_t index, struct text *to)
{
    static const struct {
        uint8_t first, count;
    } kinds[] = {{0x00, 0x80}, {0x80, 0x40}, {0xc0, 0x40},
                 {0xe0, 0x18}, {0xed, 0x01}, {0xf0, 0x05}};
    struct rng r = rng_init(rng_at(key, index));
    for (uint64_t left = rng_below(&r, 24); left > 0; left--) {
        uint64_t k = rng_below(&r, sizeof kinds / sizeof kinds[0]);
        uint8_t b = (uint8_t)(kinds[k].first + rng_below(&r, kinds[k].count));
        text_add(to, &b, 1);
    }
}

static inline bool headers_equal(const struct shard_header *a, const struct shard_header *b)
{
    return a->id_bytes == b->id_bytes && a->split == b->split && a->index == b->index &&
           a->count == b->count && a->before == b->before && a->checksum == b->checksum &&
           a->tokenizer == b->tokenizer;
}

/* FNV-1a over ids. */
struct fnv {
    uint64_t value, count;
};
#define FNV_START ((struct fnv){0xcbf29ce484222325u, 0})

static inline void fnv_take(struct fnv *h, const uint32_t *ids, size_t count)
{
    for (size_t i = 0; i < count; i++)
        for (int b = 0; b < 32; b += 8)
            h->value = (h->value ^ (ids[i] >> b & 0xff)) * 0x100000001b3u;
    h->count += count;
}

/* Whether elements `at` and at + 1 of an array are this count and hash. */
static inline bool fnv_is(const struct fnv *h, const json_t *array, size_t at)
{
    char hex[17];
    snprintf(hex, sizeof hex, "%016" PRIx64, h->value);
    return json_integer_value(json_array_get(array, at)) == (json_int_t)h->count &&
           !strcmp(json_string_value(json_array_get(array, at + 1)), hex);
}

#endif
