/* prepare.h -- text files -> a corpus: tokenizer.json, token shards, manifest.json.
 *
 *     names --source_list.h--> files --document.h--> documents: some to train on, some to hold out?
 *     files --document.h--> batches --all threads--> words --bpe.h--> tokenizer.json, unless given
 *     files --document.h--> batches --all threads--> ids ----shard.h--> train-*, validation-*
 *     then manifest.json
 *
 * A document goes to validation when the XXH3-64 of its bytes, as a fraction of 2^64, is below the
 * share: the same text is held out wherever it turns up, and the tokenizer does not learn from it
 * either. Where that would hold out none of the documents, or all, they are cut finer (document.h),
 * and if need be the one with the smallest hash is held out, or the one with the largest trains:
 * any text of two characters has both. The result depends on the bytes of the texts and their
 * order, not on the number of threads, nor on the size of a batch (unless words are forgotten, see
 * below).
 *
 * All is written into OUT.part, which takes OUT's place at the end: whatever happens before leaves
 * OUT as it was. */
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
 * batch, the rarest are forgotten (lexicon_prune). A word of more than PREPARE_WORD_BYTES is
 * counted in parts of that size. */
#define PREPARE_WORDS_MAX     (2u << 20)
#define PREPARE_WORD_TEXT_MAX (64u << 20)
#define PREPARE_WORD_BYTES    256u

struct prepare {
    const char *const *texts; /* files, folders, "-" (source_list.h) */
    size_t text_count;
    const char *files_from; /* a list of more of them; NULL: none */
    const char *field;      /* of JSON lines, the one that holds the text; NULL: "text" */
    const char *out;        /* the folder */
    const char *tokenizer;  /* a tokenizer.json; NULL: train one */
    uint32_t vocab;         /* ids of the trained one */
    double validation;      /* share of documents, 0 < x < 0.5 */
    size_t threads;         /* >= 1 */
    bool force;             /* an old corpus in `out` may be replaced */
    size_t batch_bytes;     /* 0: PREPARE_BATCH_BYTES */
    uint64_t shard_ids;     /* 0: PREPARE_SHARD_IDS */
    const char *program;    /* version, for the manifest */
    unsigned (*stop)(void); /* not 0: give up soon; may be NULL */
    /* Told from time to time how many bytes of the files a stage has read; may be NULL. */
    void (*progress)(void *self, const char *stage, uint64_t done, uint64_t all);
    void *self;
};

/* Makes the corpus. `out` describes it; the caller frees it with manifest_fini. ERR_USAGE for
 * what cannot be asked or cannot come out of these texts, ERR_IO, ERR_FORMAT (source_list.h,
 * stream.h), ERR_MEMORY, ERR_STOPPED, and what tokenizer_read says of a given tokenizer. */
enum err prepare_run(const struct prepare *p, struct manifest *out, struct why *w);

#endif
