#include "model/safetensors.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/file.h"

static void describe(FILE *f, const struct layout_tensor *t)
{
    size_t begin = t->offset * sizeof(float);
    fprintf(f, ",\"%s\":{\"dtype\":\"F32\",\"shape\":[", t->name);
    if (t->kind < LAYOUT_NORM_ATTENTION) fprintf(f, "%zu,", t->rows);
    fprintf(f, "%zu],\"data_offsets\":[%zu,%zu]}", t->columns, begin,
            begin + t->rows * t->columns * sizeof(float));
}

/* The padded header, which the caller frees. */
static enum err make_header(const struct layout *l, char **text, size_t *count, struct why *w)
{
    *text = NULL;
    FILE *f = open_memstream(text, count);
    if (!f) return why(w, ERR_MEMORY, "no memory for the header of a safetensors file");
    fputs("{\"__metadata__\":{\"format\":\"pt\"}", f);
    for (size_t i = 0; i < l->tensor_count; i++) {
        struct layout_tensor t = layout_at(l, i);
        describe(f, &t);
    }
    fputc('}', f);
    while (ftell(f) % 8) fputc(' ', f);
    bool failed = ferror(f);
    if (fclose(f) || failed)
        return why(w, ERR_MEMORY, "no memory for the header of a safetensors file");
    return ERR_OK;
}

enum err safetensors_write(const char *path, const struct layout *l, const float *parameters,
                           struct why *w)
{
    char *text;
    size_t count;
    enum err e = make_header(l, &text, &count, w);
    if (!e) {
        uint8_t length[8];
        struct writer out = writer_init(length, sizeof length);
        writer_u64(&out, count);
        const struct bytes parts[] = {bytes_of(length, sizeof length), bytes_of(text, count),
                                      bytes_of(parameters, l->parameters * sizeof(float))};
        e = file_write_atomic(path, parts, sizeof parts / sizeof parts[0], 0644, w);
    }
    free(text);
    return e;
}
