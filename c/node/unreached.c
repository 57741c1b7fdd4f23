#include "node/unreached.h"

#include <stdio.h>
#include <string.h>

void unreached_init(struct unreached_table *t)
{
    pthread_mutex_init(&t->lock, NULL);
    t->count = 0;
}

void unreached_fini(struct unreached_table *t) { pthread_mutex_destroy(&t->lock); }

static size_t find(const struct unreached_table *t, const uint8_t id[CRYPTO_KEY_BYTES])
{
    size_t i = 0;
    while (i < t->count && memcmp(t->rows[i].id, id, CRYPTO_KEY_BYTES)) i++;
    return i;
}

void unreached_add(struct unreached_table *t, const uint8_t id[CRYPTO_KEY_BYTES],
                   const struct address *address, enum reach_reason reason, const char *why,
                   uint64_t now_ms)
{
    struct unreached row = {
        .address = *address, .reason = reason, .count = 1, .first_ms = now_ms, .last_ms = now_ms};
    memcpy(row.id, id, sizeof row.id);
    snprintf(row.why, sizeof row.why, "%s", why ? why : "");
    pthread_mutex_lock(&t->lock);
    size_t at = find(t, id);
    if (at < t->count && t->rows[at].reason == reason) {
        row.count = t->rows[at].count + 1;
        row.first_ms = t->rows[at].first_ms;
    }
    if (at == t->count && t->count < UNREACHED_MAX) t->count++;
    if (at == UNREACHED_MAX) at--; /* replaces the one tried longest ago */
    memmove(&t->rows[1], &t->rows[0], at * sizeof t->rows[0]);
    t->rows[0] = row;
    pthread_mutex_unlock(&t->lock);
}

/* REACH_REASONS: for any reason. */
static void drop(struct unreached_table *t, const uint8_t id[CRYPTO_KEY_BYTES],
                 enum reach_reason reason)
{
    pthread_mutex_lock(&t->lock);
    size_t at = find(t, id);
    if (at < t->count && (reason == REACH_REASONS || t->rows[at].reason == reason)) {
        t->count--;
        memmove(&t->rows[at], &t->rows[at + 1], (t->count - at) * sizeof t->rows[0]);
    }
    pthread_mutex_unlock(&t->lock);
}

void unreached_drop(struct unreached_table *t, const uint8_t id[CRYPTO_KEY_BYTES])
{
    drop(t, id, REACH_REASONS);
}

void unreached_mend(struct unreached_table *t, const uint8_t id[CRYPTO_KEY_BYTES],
                    enum reach_reason reason)
{
    drop(t, id, reason);
}

size_t unreached_list(struct unreached_table *t, struct unreached *out, size_t room)
{
    pthread_mutex_lock(&t->lock);
    size_t n = t->count < room ? t->count : room;
    if (n) memcpy(out, t->rows, n * sizeof *out);
    pthread_mutex_unlock(&t->lock);
    return n;
}
