/* liar.c -- the program `shoal`, whose worker contributes something else than it has learned, for
 * tests. c/cpu/outer.c is built for it with liar_quantize_delta in the place of
 * outer_quantize_delta; all else is the real program. What LIAR in the environment says:
 *
 *     times10, minus10   ten times what it learned, or that in the other direction
 *     random             noise as large as the largest of what it learned
 *     stale              what it learned in its first round, again and again
 *
 * Everything that it says is properly made and signed; its weight is the true one. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "outer/outer.h"

#define CHUNKS_MAX 4096

bool liar_quantize_delta(const float *anchor, const float *parameters, size_t n, uint8_t *wire);

static struct first { /* what was learned in the first round */
    const float *of;
    uint8_t *wire;
} firsts[CHUNKS_MAX];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct rng dice;

static void scale_by(uint8_t *wire, size_t n, float by)
{
    const size_t blocks = ceil_div(n, OUTER_BLOCK);
    int8_t *q = (int8_t *)wire + blocks * sizeof(float);
    for (size_t b = 0; b < blocks; b++) {
        float s;
        memcpy(&s, wire + b * sizeof s, sizeof s);
        s *= by < 0 ? -by : by;
        memcpy(wire + b * sizeof s, &s, sizeof s);
    }
    for (size_t i = 0; by < 0 && i < n; i++) q[i] = (int8_t)-q[i];
}

static void make_noise(uint8_t *wire, size_t n)
{
    int8_t *q = (int8_t *)wire + ceil_div(n, OUTER_BLOCK) * sizeof(float);
    for (size_t i = 0; i < n; i++) q[i] = (int8_t)((int)rng_below(&dice, 255) - 127);
}

static void repeat_first(const float *parameters, uint8_t *wire, size_t n)
{
    struct first *f = firsts;
    while (f->of && f->of != parameters && f < firsts + CHUNKS_MAX - 1) f++;
    if (f->of == parameters) {
        memcpy(wire, f->wire, outer_wire_bytes(n));
        return;
    }
    f->of = parameters;
    f->wire = malloc(outer_wire_bytes(n));
    if (!f->wire) abort();
    memcpy(f->wire, wire, outer_wire_bytes(n));
}

bool liar_quantize_delta(const float *anchor, const float *parameters, size_t n, uint8_t *wire)
{
    const char *how = getenv("LIAR");
    if (!outer_quantize_delta(anchor, parameters, n, wire)) return false;
    if (!how) return true;
    pthread_mutex_lock(&lock);
    if (!strcmp(how, "times10")) scale_by(wire, n, 10);
    if (!strcmp(how, "minus10")) scale_by(wire, n, -10);
    if (!strcmp(how, "random")) make_noise(wire, n);
    if (!strcmp(how, "stale")) repeat_first(parameters, wire, n);
    pthread_mutex_unlock(&lock);
    return true;
}
