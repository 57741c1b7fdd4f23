#include "choices.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"

struct head {
    char magic[8];
    uint64_t sum; /* checksum of everything after it */
    uint64_t count;
    char machine[CHOICES_MACHINE_BYTES];
};
static const char magic[8] = {'s', 'h', 'o', 'a', 'l', 'L', 't', '1'};
static_assert(sizeof(struct head) % 8 == 0 && sizeof(struct choice) % 8 == 0,
              "no padding, neither within nor between");

/* FNV-1a, http://www.isthe.com/chongo/tech/comp/fnv/: detects damage, not tampering. */
static uint64_t sum_of(uint64_t sum, const void *data, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++) sum = (sum ^ ((const uint8_t *)data)[i]) * 0x100000001b3u;
    return sum;
}
#define SUM_OF_NOTHING 0xcbf29ce484222325u

static uint64_t sum_of_file(const struct head *h, const struct choice *all)
{
    const size_t skip = offsetof(struct head, count);
    uint64_t sum = sum_of(SUM_OF_NOTHING, (const char *)h + skip, sizeof *h - skip);
    return sum_of(sum, all, h->count * sizeof *all);
}

static bool whole(const uint8_t *text, size_t bytes, const char *machine)
{
    struct head h;
    if (bytes < sizeof h) return false;
    memcpy(&h, text, sizeof h);
    return !memcmp(h.magic, magic, sizeof magic) && h.count <= CHOICES_MAX &&
           bytes == sizeof h + h.count * sizeof(struct choice) &&
           h.sum == sum_of_file(&h, (const struct choice *)(text + sizeof h)) &&
           !memcmp(h.machine, machine, sizeof h.machine);
}

static bool add(struct choices *c, const struct choice *one)
{
    bool none;
    uint8_t value[CHOICES_VALUE_BYTES];
    if (c->count == CHOICES_MAX || choices_find(c, one->shape, value, &none)) return false;
    c->all[c->count++] = *one;
    return true;
}

/* Adds the file's choices that we lack. False when it is damaged; a missing one is fine. */
static bool merge(struct choices *c)
{
    uint8_t *text;
    size_t bytes;
    const size_t most = sizeof(struct head) + CHOICES_MAX * sizeof(struct choice);
    if (!file_exists(c->path)) return true;
    if (file_read(c->path, most, &text, &bytes, NULL)) return false;
    const bool good = whole(text, bytes, c->machine);
    const struct choice *all = (const struct choice *)(text + sizeof(struct head));
    for (size_t i = 0; good && i < (bytes - sizeof(struct head)) / sizeof *all; i++)
        add(c, &all[i]);
    free(text);
    return good;
}

/* Choices that could not be written to a file, per machine, until the process ends: the GPUs of one
 * group, driven by one thread, must choose alike. */
struct unwritten {
    struct unwritten *next;
    struct choices c;
};
static struct unwritten *unwritten;

static struct choices *unwritten_of(const char *machine)
{
    for (struct unwritten *u = unwritten; u; u = u->next)
        if (!strcmp(u->c.machine, machine)) return &u->c;
    return NULL;
}

static void take(struct choices *c, const struct choices *from)
{
    for (size_t i = 0; from && i < from->count; i++) add(c, &from->all[i]);
}

static void keep_unwritten(struct choices *c)
{
    struct choices *to = unwritten_of(c->machine);
    if (!to) {
        struct unwritten *u = (struct unwritten *)calloc(1, sizeof *u);
        struct choice *all = (struct choice *)calloc(CHOICES_MAX, sizeof *all);
        if (!u || !all) return free(u), free(all);
        memcpy(u->c.machine, c->machine, sizeof u->c.machine);
        u->c.all = all;
        u->next = unwritten;
        unwritten = u;
        to = &u->c;
    }
    take(c, to); /* ours are newer, so they come first */
    memcpy(to->all, c->all, c->count * sizeof *c->all);
    to->count = c->count;
}

void choices_open(struct choices *c, const char *machine, void (*say)(const char *))
{
    char folder[400], text[600];
    *c = {};
    snprintf(c->machine, sizeof c->machine, "%s", machine);
    c->all = (struct choice *)calloc(CHOICES_MAX, sizeof *c->all);
    if (c->all) take(c, unwritten_of(c->machine));
    if (!c->all || !file_cache(folder, sizeof folder)) return;
    const uint64_t name = sum_of(SUM_OF_NOTHING, c->machine, strlen(c->machine));
    snprintf(c->path, sizeof c->path, "%s/cublaslt-%016llx", folder, (unsigned long long)name);
    if (merge(c)) return;
    snprintf(text, sizeof text, "%s is damaged: what it chose is measured again", c->path);
    if (say) say(text);
}

void choices_again(struct choices *c)
{
    if (!c->all) return;
    take(c, unwritten_of(c->machine));
    if (c->path[0]) merge(c);
}

void choices_close(struct choices *c)
{
    free(c->all);
    *c = {};
}

bool choices_find(const struct choices *c, const void *shape, void *value, bool *none)
{
    for (size_t i = 0; i < c->count; i++) {
        if (memcmp(c->all[i].shape, shape, CHOICES_SHAPE_BYTES)) continue;
        memcpy(value, c->all[i].value, CHOICES_VALUE_BYTES);
        *none = c->all[i].none;
        return true;
    }
    return false;
}

static enum err write_all(const struct choices *c, struct why *w)
{
    struct head h = {};
    char folder[sizeof c->path];
    memcpy(h.magic, magic, sizeof magic);
    memcpy(h.machine, c->machine, sizeof h.machine);
    h.count = c->count;
    h.sum = sum_of_file(&h, c->all);
    const struct bytes parts[] = {bytes_of(&h, sizeof h),
                                  bytes_of(c->all, c->count * sizeof *c->all)};
    snprintf(folder, sizeof folder, "%s", c->path);
    *strrchr(folder, '/') = 0;
    enum err e = file_make_dirs(folder, w);
    return e ? e : file_write_atomic(c->path, parts, 2, 0644, w);
}

void choices_keep(struct choices *c, const void *shape, const void *value,
                  void (*say)(const char *))
{
    struct why w;
    char text[WHY_BYTES + 100];
    struct choice one = {};
    if (!c->all) return;
    memcpy(one.shape, shape, sizeof one.shape);
    if (value) memcpy(one.value, value, sizeof one.value);
    one.none = !value;
    /* Ours is the newest: it comes first and replaces a known choice for the shape. */
    size_t kept = 0;
    for (size_t i = 0; i < c->count; i++)
        if (memcmp(c->all[i].shape, shape, sizeof one.shape)) c->all[kept++] = c->all[i];
    if (kept == CHOICES_MAX) kept--;
    memmove(c->all + 1, c->all, kept * sizeof *c->all);
    c->all[0] = one;
    c->count = kept + 1;
    if (!c->path[0]) return keep_unwritten(c);
    merge(c);
    if (!write_all(c, &w)) return;
    keep_unwritten(c);
    snprintf(text, sizeof text, "algorithms are chosen anew at the next start: %s", w.text);
    if (say) say(text);
    c->path[0] = 0;
}
