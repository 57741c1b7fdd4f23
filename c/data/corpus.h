/* corpus.h -- a folder made by `shoal prepare`, checked and mapped: token shards, their manifest,
 * the tokenizer.
 *
 * Opening reads every byte once and compares checksums, counts and token ids with the manifest: a
 * corpus that opens is exactly what was written. Nothing in it changes afterwards, so any number of
 * threads may read it. */
#ifndef SHOAL_DATA_CORPUS_H
#define SHOAL_DATA_CORPUS_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

enum corpus_split { CORPUS_TRAIN, CORPUS_VALIDATION, CORPUS_SPLITS };

struct corpus_shard; /* one mapped file */

struct corpus { /* read only */
    uint64_t tokens[CORPUS_SPLITS];
    uint64_t documents[CORPUS_SPLITS];
    uint32_t vocab;       /* ids are below this */
    uint32_t end_of_text; /* the id that ends each document */
    double validation;    /* the share of documents held out, as given to `shoal prepare` */
    /* In nats: entropy of the empirical distribution of the validation tokens. */
    double unigram_entropy;
    const char *tokenizer; /* path of tokenizer.json, for tokenizer_read */
    struct corpus_shard *shards[CORPUS_SPLITS];
    size_t shard_count[CORPUS_SPLITS];
};

/* Opens and verifies the corpus in folder `dir`. ERR_IO, ERR_FORMAT naming the file and its fault.
 * The caller closes it. */
enum err corpus_open(const char *dir, struct corpus **out, struct why *w);
void corpus_close(struct corpus *c);

/* Copies tokens [position, position + count) of a split into out[count], which must exist. */
void corpus_tokens(const struct corpus *c, enum corpus_split split, uint64_t position, size_t count,
                   uint32_t *out);

#endif
