/* bpe.h -- learns a byte-level BPE vocabulary from the words of a text (Sennrich et al., arXiv
 * 1508.07909).
 *
 * Id 0 is <|endoftext|>, 1 .. 256 are the bytes in the order of their letters (vocabulary.h), then
 * one token per merge. The most frequent pair is merged next; at a tie the one with the smaller
 * left id, then the smaller right id. Pairs that occur only once are not merged: training then ends
 * with fewer than `vocab` tokens. This is the rule of Hugging Face's BpeTrainer with min_frequency
 * 2 and the full byte alphabet, and produces the same merges. */
#ifndef SHOAL_DATA_BPE_H
#define SHOAL_DATA_BPE_H

#include <stdint.h>

#include "base/err.h"
#include "data/lexicon.h"
#include "data/vocabulary.h"

/* `vocab` from VOCABULARY_MIN to VOCABULARY_MAX; out->count is at most `vocab`. The order of the
 * words does not matter. The caller frees `out` with vocabulary_fini. ERR_MEMORY; ERR_STOPPED soon
 * after stop() returns nonzero (it may be NULL). */
enum err bpe_train(const struct lexicon *words, uint32_t vocab, unsigned (*stop)(void),
                   struct vocabulary *out, struct why *w);

#endif
