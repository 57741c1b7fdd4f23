/* amount.h -- human-readable amounts. */
#ifndef SHOAL_BASE_AMOUNT_H
#define SHOAL_BASE_AMOUNT_H

#include <stdint.h>

/* "3 peers", "1 peer" */
const char *amount_count(uint64_t n, const char *one, const char *several, char out[64]);

/* "12 s", "3 min", "2 h 5 min", "3 days" */
const char *amount_time(double seconds, char out[32]);

/* "1.23 MB" */
const char *amount_bytes(double bytes, char out[32]);

#endif
