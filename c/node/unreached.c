#include "node/unreached.h"

#include <stdio.h>
#include <string.h>

#include "net/link.h"

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
                   const struct address *address, enum unreached_reason reason, const char *why,
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
    if (at == UNREACHED_MAX) at--; /* the one tried longest ago makes room */
    memmove(&t->rows[1], &t->rows[0], at * sizeof t->rows[0]);
    t->rows[0] = row;
    pthread_mutex_unlock(&t->lock);
}

/* UNREACHED_REASONS: whatever the reason is. */
static void drop(struct unreached_table *t, const uint8_t id[CRYPTO_KEY_BYTES],
                 enum unreached_reason reason)
{
    pthread_mutex_lock(&t->lock);
    size_t at = find(t, id);
    if (at < t->count && (reason == UNREACHED_REASONS || t->rows[at].reason == reason)) {
        t->count--;
        memmove(&t->rows[at], &t->rows[at + 1], (t->count - at) * sizeof t->rows[0]);
    }
    pthread_mutex_unlock(&t->lock);
}

void unreached_drop(struct unreached_table *t, const uint8_t id[CRYPTO_KEY_BYTES])
{
    drop(t, id, UNREACHED_REASONS);
}

void unreached_mend(struct unreached_table *t, const uint8_t id[CRYPTO_KEY_BYTES],
                    enum unreached_reason reason)
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

const char *unreached_word(enum unreached_reason reason)
{
    static const char *const words[UNREACHED_REASONS] = {
        [UNREACHED_SILENT] = "no answer",
        [UNREACHED_KEY] = "wrong key",
        [UNREACHED_RUN] = "other experiment",
        [UNREACHED_VERSION] = "other version",
        [UNREACHED_FAMILY] = "other address family",
        [UNREACHED_FULL] = "full",
        [UNREACHED_NAME] = "name does not resolve",
        [UNREACHED_CLONE] = "our own key",
        [UNREACHED_OTHER] = "refused",
    };
    return (unsigned)reason < UNREACHED_REASONS ? words[reason] : "unknown";
}

enum unreached_reason unreached_of(uint32_t code, bool up)
{
    switch (code) {
    case CLOSE_WRONG_KEY:
        return UNREACHED_KEY;
    case CLOSE_RUN:
        return UNREACHED_RUN;
    case CLOSE_VERSION:
    case CLOSE_ALPN:
    case CLOSE_QUIC_VERSION:
        return UNREACHED_VERSION;
    case CLOSE_FAMILY:
        return UNREACHED_FAMILY;
    case CLOSE_BUSY:
        return UNREACHED_FULL;
    case CLOSE_SELF:
        return UNREACHED_CLONE;
    case CLOSE_OK:
    case CLOSE_DUPLICATE:
    case CLOSE_LEAVING:
        return UNREACHED_REASONS;
    case CLOSE_TIMEOUT:
    case CLOSE_IDLE:
    case CLOSE_GONE:
    case CLOSE_RESET:
        return up ? UNREACHED_REASONS : UNREACHED_SILENT;
    default:
        return up ? UNREACHED_REASONS : UNREACHED_OTHER;
    }
}
