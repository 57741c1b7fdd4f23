/* corpora.h -- a corpus for tests, written by hand: id number i of the training tokens is i +
 * `first`. */
#ifndef SHOAL_TEST_DATA_CORPORA_H
#define SHOAL_TEST_DATA_CORPORA_H

#include <xxhash.h>

#include "data/manifest.h"
#include "sample.h"

#define CORPORA_VOCAB            262144u
#define CORPORA_VALIDATION_FIRST 200000u /* id number i of the validation tokens is this + i */

static inline void make_shards(const char *dir, uint32_t split, uint64_t count, uint64_t shard_ids,
                               uint32_t first, struct manifest *m)
{
    struct shard_header h = {.id_bytes = 4, .split = split, .tokenizer = m->tokenizer}, done;
    for (uint64_t at = 0; at < count; h.index++, h.before = at) {
        char path[256], name[SHARD_NAME_BYTES];
        struct shard_writer *s;
        struct why w;
        snprintf(path, sizeof path, "%s/%s", dir, shard_name(split, h.index, name));
        cr_assert_eq(shard_create(path, &h, &s, &w), ERR_OK, "%s", w.text);
        for (uint64_t n = 0; n < shard_ids && at < count; n++, at++) {
            uint32_t id = (uint32_t)at + first;
            cr_assert_eq(shard_add(s, &id, 1, &w), ERR_OK, "%s", w.text);
        }
        cr_assert_eq(shard_finish(s, &done, &w), ERR_OK, "%s", w.text);
        m->shards = realloc(m->shards, (m->shard_count + 1) * sizeof *m->shards);
        m->shards[m->shard_count++] = done;
    }
    m->splits[split] = (struct manifest_split){.documents = 1, .bytes = count, .tokens = count};
}

static inline void make_corpus(const char *dir, uint64_t train, uint64_t validation,
                               uint64_t shard_ids, uint32_t first)
{
    static const char tokenizer[] = "{}";
    struct manifest m = {.files = 1,
                         .vocab = CORPORA_VOCAB,
                         .tokenizer = XXH3_64bits(tokenizer, sizeof tokenizer - 1),
                         .validation = 0.1,
                         .unigram_entropy = 1};
    char path[256];
    struct why w;
    cr_assert_eq(file_make_dirs(dir, &w), ERR_OK, "%s", w.text);
    make_shards(dir, 0, train, shard_ids, first, &m);
    make_shards(dir, 1, validation, shard_ids, CORPORA_VALIDATION_FIRST, &m);
    snprintf(path, sizeof path, "%s/%s", dir, MANIFEST_TOKENIZER);
    struct bytes b = bytes_of(tokenizer, sizeof tokenizer - 1);
    cr_assert_eq(file_write_atomic(path, &b, 1, 0600, &w), ERR_OK, "%s", w.text);
    char *text = manifest_print(&m, "test");
    cr_assert_not_null(text);
    snprintf(path, sizeof path, "%s/%s", dir, MANIFEST_NAME);
    b = bytes_of(text, strlen(text));
    cr_assert_eq(file_write_atomic(path, &b, 1, 0600, &w), ERR_OK, "%s", w.text);
    free(text);
    manifest_fini(&m);
}

#endif
