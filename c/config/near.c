/* near.c -- what schema.h says in words: bounds, and the nearest known word. */
#include <stdio.h>
#include <string.h>

#include "base/whole.h"
#include "config/schema.h"

#define DISTANCE_BYTES_MAX 64

size_t schema_distance(const char *a, size_t a_bytes, const char *b, size_t b_bytes)
{
    if (a_bytes > DISTANCE_BYTES_MAX || b_bytes > DISTANCE_BYTES_MAX) return SIZE_MAX;
    /* Three rows of the table of distances between beginnings of a and b: two before, one before, this one. */
    size_t rows[3][DISTANCE_BYTES_MAX + 1];
    for (size_t j = 0; j <= b_bytes; j++) rows[0][j] = j;
    for (size_t i = 1; i <= a_bytes; i++) {
        size_t *now = rows[i % 3], *one = rows[(i + 2) % 3], *two = rows[(i + 1) % 3];
        now[0] = i;
        for (size_t j = 1; j <= b_bytes; j++) {
            now[j] = least(least(one[j], now[j - 1]) + 1, one[j - 1] + (a[i - 1] != b[j - 1]));
            bool swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
            if (swapped) now[j] = least(now[j], two[j - 2] + 1);
        }
    }
    return rows[a_bytes % 3][b_bytes];
}

/* A third of the letters may be wrong, two in short words: then it is another word. */
static bool is_near(size_t distance, size_t bytes)
{
    return distance <= (bytes / 3 > 2 ? bytes / 3 : 2) && distance < bytes;
}

const char *schema_near(const char *const *words, const char *word, size_t bytes)
{
    const char *best = NULL;
    size_t distance = SIZE_MAX;
    for (; *words; words++) {
        size_t d = schema_distance(*words, strlen(*words), word, bytes);
        if (d >= distance || !is_near(d, strlen(*words))) continue;
        distance = d;
        best = *words;
    }
    return best;
}

/* A path that ends in ".name", one within `mapping` before others; NULL when there is none. */
static const char *elsewhere(const char *mapping, const char *name, size_t bytes)
{
    const char *found = NULL;
    for (size_t i = 0; i < schema_count; i++) {
        const char *p = schema_keys[i].path;
        size_t n = strlen(p);
        if (n <= bytes || p[n - bytes - 1] != '.' || memcmp(p + n - bytes, name, bytes)) continue;
        if (!strncmp(p, mapping, strlen(mapping))) return p;
        if (!found) found = p;
    }
    return found;
}

const char *schema_advice(const char *mapping, const char *name, size_t bytes, char *out,
                          size_t room)
{
    const char *dot = *mapping ? "." : "", *child, *best = NULL;
    if (bytes && schema_find(name, bytes) != SCHEMA_NONE) {
        int first = (int)strcspn(name, ".");
        snprintf(out, room, "write it as %.*s: {%s: ...}", first, name, name + first + 1);
        return out;
    }
    size_t n, best_bytes = 0, distance = SIZE_MAX;
    for (size_t i = 0; schema_child(mapping, i, &child, &n); i++) {
        size_t d = schema_distance(child, n, name, bytes);
        if (d >= distance) continue;
        distance = d;
        best = child;
        best_bytes = n;
    }
    const char *other = bytes ? elsewhere(mapping, name, bytes) : NULL;
    if (best && is_near(distance, best_bytes) && !other) {
        snprintf(out, room, "did you mean %s%s%.*s?", mapping, dot, (int)best_bytes, best);
        return out;
    }
    if (other) {
        snprintf(out, room, "did you mean %s?", other);
        return out;
    }
    int at = snprintf(out, room, "it may hold ");
    for (size_t i = 0; schema_child(mapping, i, &child, &n) && (size_t)at < room; i++)
        at += snprintf(out + at, room - (size_t)at, "%s%.*s", i ? ", " : "", (int)n, child);
    if (best && bytes && (size_t)at < room)
        snprintf(out + at, room - (size_t)at, "; the nearest is %.*s", (int)best_bytes, best);
    return out;
}

static int number_range(const struct schema_key *k, char *out, size_t room)
{
    return snprintf(out, room, "%s %s %g and %s %g", k->count > 1 ? "each" : "a number",
                    k->above ? "above" : "of at least", k->low, k->below ? "below" : "at most",
                    k->high);
}

static int words_list(const struct schema_key *k, char *out, size_t room)
{
    int at = 0;
    for (size_t i = 0; k->words[i]; i++)
        at += snprintf(out + at, room - (size_t)at, "%s%s",
                       i == 0            ? ""
                       : k->words[i + 1] ? ", "
                                         : " or ",
                       k->words[i]);
    if (!strcmp(k->path, "swarm.access"))
        at += snprintf(out + at, room - (size_t)at, ", {psk: FILE} or {ticket: KEY}");
    return at;
}

static int preset_list(char *out, size_t room)
{
    int at = 0;
    for (const struct schema_preset *p = schema_presets; p->name; p++)
        at += snprintf(out + at, room - (size_t)at, "%s%s",
                       p == schema_presets ? ""
                       : p[1].name         ? ", "
                                           : " or ",
                       p->name);
    return at;
}

static int text_kind(const struct schema_key *k, char *out, size_t room)
{
    if (k->form == SCHEMA_FORM_PRESET) return preset_list(out, room);
    return snprintf(out, room, "a text of %llu to %llu bytes", (unsigned long long)k->least,
                    (unsigned long long)k->most);
}

const char *schema_allowed(const struct schema_key *k, char out[SCHEMA_TEXT_BYTES])
{
    size_t room = SCHEMA_TEXT_BYTES;
    int at = 0;
    switch (k->type) {
    case SCHEMA_U32:
    case SCHEMA_U64:
        at = snprintf(out, room, "a whole number from %llu to %llu", (unsigned long long)k->least,
                      (unsigned long long)k->most);
        break;
    case SCHEMA_F64:
        if (k->count > 1) at = snprintf(out, room, "a list of %u numbers, ", k->count);
        at += number_range(k, out + at, room - (size_t)at);
        break;
    case SCHEMA_BOOL:
        at = snprintf(out, room, "true or false");
        break;
    case SCHEMA_WORD:
        at = words_list(k, out, room);
        break;
    case SCHEMA_TEXT:
        at = text_kind(k, out, room);
        break;
    case SCHEMA_PEERS:
        at = snprintf(out, room, "a list of at most %d texts", EXPERIMENT_PEERS_MAX);
        break;
    case SCHEMA_DEVICE:
        at = snprintf(
            out, room,
            "auto, cpu, cuda or cuda:N,N... with at most %d different N from %llu to %llu",
            EXPERIMENT_GPUS_MAX, (unsigned long long)k->least, (unsigned long long)k->most);
        break;
    }
    snprintf(out + at, room - (size_t)at, "%s (%s)", k->automatic ? ", or auto" : "", k->what);
    return out;
}
