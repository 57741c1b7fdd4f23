/* instant.h -- moments and durations as types that cannot be confused.
 *
 * Adding two moments, or passing bare milliseconds, does not compile. Nothing here reads a clock:
 * clock.h does, and swarm/ must not include it. */
#ifndef SHOAL_BASE_INSTANT_H
#define SHOAL_BASE_INSTANT_H

#include <stdbool.h>
#include <stdint.h>

typedef struct {
    uint64_t ns;
} instant; /* since some origin; monotonic */
typedef struct {
    uint64_t ns;
} span; /* a duration, never negative */

#define INSTANT_NEVER ((instant){UINT64_MAX})

static inline span span_ns(uint64_t n) { return (span){n}; }
static inline span span_us(uint64_t n) { return (span){n * 1000u}; }
static inline span span_ms(uint64_t n) { return (span){n * 1000000u}; }
static inline span span_s(uint64_t n) { return (span){n * 1000000000u}; }
static inline uint64_t span_in_ms(span s) { return s.ns / 1000000u; }
static inline span span_max(span a, span b) { return a.ns > b.ns ? a : b; }
static inline double span_in_s(span s) { return (double)s.ns * 1e-9; }

/* Saturates at INSTANT_NEVER. */
static inline instant instant_after(instant t, span s)
{
    return (instant){t.ns + s.ns < t.ns ? UINT64_MAX : t.ns + s.ns};
}
/* The time from `since` to `t`; 0 when `t` is not after `since`. */
static inline span instant_since(instant t, instant since)
{
    return (span){t.ns > since.ns ? t.ns - since.ns : 0};
}
static inline bool instant_reached(instant now, instant due) { return now.ns >= due.ns; }
static inline instant instant_min(instant a, instant b) { return a.ns < b.ns ? a : b; }
static inline instant instant_max(instant a, instant b) { return a.ns > b.ns ? a : b; }

#endif
