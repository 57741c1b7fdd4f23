/* rng.h -- reproducible random numbers: a counter with a key, mixed by SplitMix64's finalizer
 * (Steele, Lea, Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014).
 *
 * The n-th number of a stream is a pure function of (key, n): streams can be read at any position,
 * in any order, on any number of threads. Not for secrets: keys and nonces come from struct
 * crypto. */
#ifndef SHOAL_BASE_RNG_H
#define SHOAL_BASE_RNG_H

#include <assert.h>
#include <stdint.h>

struct rng {
    uint64_t key;
    uint64_t count; /* numbers drawn so far: the whole state */
};

static inline uint64_t rng_mix(uint64_t x)
{
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

/* Number `index` of the stream `key`. */
static inline uint64_t rng_at(uint64_t key, uint64_t index)
{
    return rng_mix(rng_mix(key + 0x9e3779b97f4a7c15u) ^
                   rng_mix(index * 0x9e3779b97f4a7c15u + 0xd1b54a32d192ed03u));
}

static inline struct rng rng_init(uint64_t key) { return (struct rng){.key = key}; }

/* An independent stream for `label`: drawing from one does not affect the other. */
static inline struct rng rng_split(struct rng r, uint64_t label)
{
    return (struct rng){.key = rng_at(r.key ^ 0x5851f42d4c957f2du, label)};
}

static inline uint64_t rng_next(struct rng *r) { return rng_at(r->key, r->count++); }

/* Uniform in [0, n), n > 0, with negligible bias: less than n / 2^64. */
static inline uint64_t rng_below(struct rng *r, uint64_t n)
{
    assert(n > 0);
    return (uint64_t)(((unsigned __int128)rng_next(r) * n) >> 64);
}

/* Uniform in [0, 1), a multiple of 2^-53. */
static inline double rng_unit(struct rng *r) { return (double)(rng_next(r) >> 11) * 0x1p-53; }

#endif
