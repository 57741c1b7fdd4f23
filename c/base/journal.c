#include "base/journal.h"

#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

struct journal {
    FILE *file;
    pthread_mutex_t lock;
};

enum err journal_open(struct journal **out, const char *path, struct why *w)
{
    struct journal *j = calloc(1, sizeof *j);
    if (!j) return why(w, ERR_MEMORY, "no memory for the log %s", path);
    j->file = fopen(path, "ae");
    if (!j->file) {
        enum err e = why(w, ERR_IO, "opening log %s: %s", path, strerror(errno));
        free(j);
        return e;
    }
    pthread_mutex_init(&j->lock, NULL);
    *out = j;
    return ERR_OK;
}

void journal_close(struct journal *j)
{
    if (!j) return;
    fclose(j->file);
    pthread_mutex_destroy(&j->lock);
    free(j);
}

static void put_text(FILE *f, const char *s)
{
    fputc('"', f);
    for (; *s; s++) {
        unsigned char c = (unsigned char)*s;
        if (c == '"' || c == '\\') fprintf(f, "\\%c", c);
        else if (c < 0x20) fprintf(f, "\\u%04x", c);
        else fputc(c, f);
    }
    fputc('"', f);
}

void journal_begin(struct journal *j, const char *event)
{
    if (!j) return;
    pthread_mutex_lock(&j->lock);
    uint64_t ms = clock_unix_ms();
    fprintf(j->file, "{\"t\":%llu.%03u,\"event\":", (unsigned long long)(ms / 1000),
            (unsigned)(ms % 1000));
    put_text(j->file, event);
}

static FILE *field(struct journal *j, const char *key)
{
    fputc(',', j->file);
    put_text(j->file, key);
    fputc(':', j->file);
    return j->file;
}

void journal_u64(struct journal *j, const char *key, uint64_t v)
{
    if (j) fprintf(field(j, key), "%llu", (unsigned long long)v);
}

void journal_f64(struct journal *j, const char *key, double v)
{
    if (!j) return;
    if (isfinite(v)) fprintf(field(j, key), "%.9g", v);
    else fputs("null", field(j, key));
}

void journal_bool(struct journal *j, const char *key, bool v)
{
    if (j) fputs(v ? "true" : "false", field(j, key));
}

void journal_text(struct journal *j, const char *key, const char *v)
{
    if (j) put_text(field(j, key), v);
}

void journal_hex(struct journal *j, const char *key, const void *data, size_t count)
{
    if (!j) return;
    FILE *f = field(j, key);
    fputc('"', f);
    for (size_t i = 0; i < count; i++) fprintf(f, "%02x", ((const uint8_t *)data)[i]);
    fputc('"', f);
}

void journal_end(struct journal *j)
{
    if (!j) return;
    fputs("}\n", j->file);
    fflush(j->file);
    pthread_mutex_unlock(&j->lock);
}
