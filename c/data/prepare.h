/* prepare.h -- text files -> a corpus: tokenizer.json, token shards, manifest.json.
 *
 *     names --source_list.h--> files --document.h--> documents: enough for both splits?
 *     files --document.h--> batches --all threads--> words --bpe.h--> tokenizer.json, unless given
 *     files --document.h--> batches --all threads--> ids ----shard.h--> train-*, validation-*
 *     then manifest.json
 *
 * A document goes to validation when the XXH3-64 of its bytes, as a fraction of 2^64, is below the
 * share: the same text is held out wherever it occurs, and the tokenizer is not trained on it
 * either. Where that would hold out none of the documents, or all, they are split finer
 * (document.h), and if necessary the one with the smallest hash is held out, or the one with the
 * largest trains: so any text of two characters yields both splits. The result depends on the bytes
 * of the texts and their order, not on the number of threads, nor on the size of a batch (unless
 * words are dropped, see below).
 *
 * Everything is written to OUT.part, which replaces OUT at the end: a failure before that leaves
 * OUT unchanged. */
#ifndef SHOAL_DATA_PREPARE_H
#define SHOAL_DATA_PREPARE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "data/manifest.h"

#define PREPARE_SHARD_IDS   (256u << 20) /* ids of a full shard: 512 MiB at two bytes */
#define PREPARE_BATCH_BYTES (16u << 20)

/* The tokenizer's training keeps at most this many different words; when there are more after a
 * batch, the rarest are dropped (lexicon_prune). A word of more than PREPARE_WORD_BYTES is counted
 * in parts of that size. */
#define PREPARE_WORDS_MAX     (2u << 20)
#define PREPARE_WORD_TEXT_MAX (64u << 20)
#define PREPARE_WORD_BYTES    256u

struct prepare {
    const char *const *texts; /* files, folders, "-" (source_list.h) */
    size_t text_count;
    const char *files_from; /* a file that lists more of them; NULL: none */
    const char *field;      /* field of JSON lines that holds the text; NULL: "text" */
    const char *out;        /* the folder */
    const char *tokenizer;  /* a tokenizer.json; NULL: train one */
    uint32_t vocab;         /* ids of the trained tokenizer */
    double validation;      /* share of documents, 0 < x < 0.5 */
    size_t threads;         /* >= 1 */
    bool force;             /* an old corpus in `out` may be replaced */
    size_t batch_bytes;     /* 0: PREPARE_BATCH_BYTES */
    uint64_t shard_ids;     /* 0: PREPARE_SHARD_IDS */
    const char *program;    /* version, for the manifest */
    unsigned (*stop)(void); /* nonzero: stop soon; may be NULL */
    /* Called now and then with the bytes of the files that a stage has read; may be NULL. */
    void (*progress)(void *self, const char *stage, uint64_t done, uint64_t all);
    void *self;
};

/* Makes the corpus. `out` describes it; the caller frees it with manifest_fini. ERR_USAGE for
 * options that are invalid or impossible with these texts, ERR_IO, ERR_FORMAT (source_list.h,
 * stream.h), ERR_MEMORY, ERR_STOPPED, and errors of tokenizer_read for a given tokenizer. */
enum err prepare_run(const struct prepare *p, struct manifest *out, struct why *w);

#endif
