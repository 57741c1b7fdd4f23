#include "base/near.h"

#include <stdint.h>
#include <string.h>

#include "base/whole.h"

#define DISTANCE_BYTES_MAX 64

size_t near_distance(const char *a, size_t a_bytes, const char *b, size_t b_bytes)
{
    if (a_bytes > DISTANCE_BYTES_MAX || b_bytes > DISTANCE_BYTES_MAX) return SIZE_MAX;
    /* Three rows of the table of distances between prefixes of a and b: the two previous ones and
     * this one. */
    size_t rows[3][DISTANCE_BYTES_MAX + 1];
    for (size_t j = 0; j <= b_bytes; j++) rows[0][j] = j;
    for (size_t i = 1; i <= a_bytes; i++) {
        size_t *now = rows[i % 3], *one = rows[(i + 2) % 3], *two = rows[(i + 1) % 3];
        now[0] = i;
        for (size_t j = 1; j <= b_bytes; j++) {
            now[j] = min_u64(min_u64(one[j], now[j - 1]) + 1, one[j - 1] + (a[i - 1] != b[j - 1]));
            bool swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
            if (swapped) now[j] = min_u64(now[j], two[j - 2] + 1);
        }
    }
    return rows[a_bytes % 3][b_bytes];
}

bool near_enough(size_t distance, size_t bytes)
{
    return distance <= (bytes < 5 ? 1 : bytes < 9 ? 2 : bytes / 3) && distance < bytes;
}

const char *near_word(const char *const *words, const char *word, size_t bytes)
{
    const char *best = NULL;
    size_t distance = SIZE_MAX;
    for (; *words; words++) {
        size_t d = near_distance(*words, strlen(*words), word, bytes);
        if (d >= distance || !near_enough(d, strlen(*words))) continue;
        distance = d;
        best = *words;
    }
    return best;
}
