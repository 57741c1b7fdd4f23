/* near.h -- the word that somebody meant: by how many letters two words differ, and which known
 * word is nearest. */
#ifndef SHOAL_BASE_NEAR_H
#define SHOAL_BASE_NEAR_H

#include <stdbool.h>
#include <stddef.h>

/* Letters to change, add, drop or swap with their neighbour to make one word the other; SIZE_MAX
 * when either is longer than 64 bytes. */
size_t near_distance(const char *a, size_t a_bytes, const char *b, size_t b_bytes);

/* Is a word of `bytes` bytes likely to be meant at this distance? One letter may be wrong in a
 * short word, two in one of up to eight, a third of a longer one: beyond that it is another
 * word. */
bool near_enough(size_t distance, size_t bytes);

/* The nearest of `words` (ended by NULL) to a word that is none of them; NULL when none is near. */
const char *near_word(const char *const *words, const char *word, size_t bytes);

#endif
