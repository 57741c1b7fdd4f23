#include "journal.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define COLUMNS                                                                                    \
    "from to packets bytes delivered delivered_bytes lost full cut too_long duplicated filtered\n"

/* struct traffic_count as an array, in the order of COLUMNS. */
#define COUNTS (sizeof(struct traffic_count) / sizeof(uint64_t))
static_assert(COUNTS == 10, "COLUMNS names all counts");

static enum err failed(const char *what, struct why *w)
{
    return why(w, ERR_IO, "%s: %s", what, strerror(errno));
}

/* Writes the line of a pair, less what came `before`, if that leaves anything. */
static void line(FILE *f, const struct traffic *t, uint32_t pair, const char *prefix,
                 const struct traffic_count *before)
{
    uint64_t now[COUNTS], then[COUNTS], any = 0;
    memcpy(now, &t->links[pair].count, sizeof now);
    memcpy(then, before, sizeof then);
    for (size_t i = 0; i < COUNTS; i++) any |= now[i] - then[i];
    if (!any) return;
    fprintf(f, "%s%u %u", prefix, pair / t->nodes, pair % t->nodes);
    for (size_t i = 0; i < COUNTS; i++) fprintf(f, " %lu", now[i] - then[i]);
    fputc('\n', f);
}

enum err journal_open(struct journal *j, const char *path, const struct traffic *t, instant now,
                      struct why *w)
{
    *j = (struct journal){.file = fopen(path, "w"), .due = instant_after(now, span_s(1))};
    if (!j->file) return failed(path, w);
    j->before = calloc((size_t)t->nodes * t->nodes, sizeof *j->before);
    if (!j->before) abort();
    fputs("unix_ms " COLUMNS, j->file);
    return ERR_OK;
}

enum err journal_write(struct journal *j, const struct traffic *t, instant now, uint64_t unix_ms,
                       struct why *w)
{
    char prefix[24];
    snprintf(prefix, sizeof prefix, "%lu ", unix_ms);
    for (uint32_t i = 0; i < t->nodes * t->nodes; i++) {
        line(j->file, t, i, prefix, &j->before[i]);
        j->before[i] = t->links[i].count;
    }
    j->due = instant_after(j->due, span_s(1));
    if (instant_reached(now, j->due)) j->due = instant_after(now, span_s(1));
    return fflush(j->file) ? failed("the journal", w) : ERR_OK;
}

void journal_close(struct journal *j)
{
    fclose(j->file);
    free(j->before);
    *j = (struct journal){0};
}

enum err journal_links(const char *path, const struct traffic *t, struct why *w)
{
    FILE *f = fopen(path, "w");
    if (!f) return failed(path, w);
    fputs("from to delay_ms rate_mbit loss up_mbit down_mbit\n", f);
    for (uint32_t i = 0; i < t->nodes * t->nodes; i++) {
        uint32_t from = i / t->nodes, to = i % t->nodes;
        const struct matrix_link *l = &t->links[i].is;
        if (from != to)
            fprintf(f, "%u %u %g %g %g %g %g\n", from, to, l->delay_ms, l->rate_mbit, l->loss,
                    t->lines[from].is.up_mbit, t->lines[to].is.down_mbit);
    }
    return fclose(f) ? failed(path, w) : ERR_OK;
}

enum err journal_report(const char *path, const struct traffic *t, struct why *w)
{
    static const struct traffic_count none = {0};
    FILE *f = fopen(path, "w");
    if (!f) return failed(path, w);
    fputs(COLUMNS, f);
    for (uint32_t i = 0; i < t->nodes * t->nodes; i++) line(f, t, i, "", &none);
    return fclose(f) ? failed(path, w) : ERR_OK;
}
