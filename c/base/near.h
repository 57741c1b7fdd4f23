/* near.h -- guesses a mistyped word: the edit distance of two words, and the nearest known word. */
#ifndef SHOAL_BASE_NEAR_H
#define SHOAL_BASE_NEAR_H

#include <stdbool.h>
#include <stddef.h>

/* Letters to change, add, drop or swap with their neighbour to turn one word into the other;
 * SIZE_MAX when either is longer than 64 bytes. */
size_t near_distance(const char *a, size_t a_bytes, const char *b, size_t b_bytes);

/* Is a word of `bytes` bytes likely to be meant at this distance? One letter may be wrong in a
 * short word, two in one of up to eight letters, a third of a longer one. */
bool near_enough(size_t distance, size_t bytes);

/* The nearest of `words` (ended by NULL) to a word that is not one of them; NULL when none is near
 * enough. */
const char *near_word(const char *const *words, const char *word, size_t bytes);

#endif
