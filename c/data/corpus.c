#include "data/corpus.h"

#include <assert.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/file.h"
#include "data/manifest.h"
#include "data/shard.h"
#include "data/tokenizer.h"

static_assert(SHARD_SPLITS == CORPUS_SPLITS, "a shard's split is one of the corpus");

struct corpus_shard {
    struct bytes file;
    struct shard_header header;
};

static enum err path_of(char out[PATH_MAX], const char *dir, const char *name, struct why *w)
{
    if (snprintf(out, PATH_MAX, "%s/%s", dir, name) >= PATH_MAX)
        return why(w, ERR_IO, "the path %s/%s is too long", dir, name);
    return ERR_OK;
}

static enum err read_manifest(const char *dir, struct manifest *m, struct why *w)
{
    char path[PATH_MAX];
    enum err e = path_of(path, dir, MANIFEST_NAME, w);
    if (e) return e;
    if (!file_exists(path))
        return why(w, ERR_IO, "%s holds no %s: make a corpus with `shoal prepare TEXT... -o %s`",
                   dir, MANIFEST_NAME, dir);
    uint8_t *json;
    size_t count;
    e = file_read(path, MANIFEST_BYTES_MAX, &json, &count, w);
    if (e) return e;
    e = manifest_parse(path, bytes_of(json, count), m, w);
    free(json);
    return e;
}

static enum err check_tokenizer(const char *dir, const struct manifest *m, struct corpus *c,
                                struct why *w)
{
    char path[PATH_MAX];
    uint8_t *json;
    size_t count;
    enum err e = path_of(path, dir, MANIFEST_TOKENIZER, w);
    if (!e) e = file_read(path, TOKENIZER_BYTES_MAX, &json, &count, w);
    if (e) return e;
    bool same = XXH3_64bits(json, count) == m->tokenizer;
    free(json);
    if (!same)
        return why(w, ERR_FORMAT, "%s is not the tokenizer that this corpus was made with", path);
    c->tokenizer = strdup(path);
    return c->tokenizer ? ERR_OK : why(w, ERR_MEMORY, "no memory for a path");
}

static enum err open_shard(const char *dir, const struct manifest *m,
                           const struct shard_header *want, struct corpus_shard *s, struct why *w)
{
    char path[PATH_MAX], name[SHARD_NAME_BYTES];
    enum err e = path_of(path, dir, shard_name(want->split, want->index, name), w);
    if (!e) e = file_map(path, &s->file, w);
    if (!e) e = shard_parse(path, s->file, &s->header, w);
    if (e) return e;
    const struct shard_header *h = &s->header;
    if (h->id_bytes != want->id_bytes || h->split != want->split || h->index != want->index ||
        h->count != want->count || h->before != want->before || h->checksum != want->checksum ||
        h->tokenizer != want->tokenizer)
        return why(w, ERR_FORMAT, "%s is not the shard that the manifest describes", path);
    return shard_verify(path, s->file, h, m->vocab, w);
}

static enum err open_shards(const char *dir, const struct manifest *m, struct corpus *c,
                            struct why *w)
{
    for (size_t i = 0; i < CORPUS_SPLITS; i++) {
        c->shards[i] = calloc(m->shard_count + 1, sizeof *c->shards[i]);
        if (!c->shards[i]) return why(w, ERR_MEMORY, "no memory for the shards of a corpus");
    }
    enum err e = ERR_OK;
    for (size_t i = 0; i < m->shard_count && !e; i++) {
        uint32_t split = m->shards[i].split;
        e = open_shard(dir, m, &m->shards[i], &c->shards[split][c->shard_count[split]++], w);
    }
    return e;
}

enum err corpus_open(const char *dir, struct corpus **out, struct why *w)
{
    struct manifest m = {0};
    struct corpus *c = calloc(1, sizeof *c);
    enum err e = c ? read_manifest(dir, &m, w) : why(w, ERR_MEMORY, "no memory for a corpus");
    if (!e) e = check_tokenizer(dir, &m, c, w);
    if (!e) e = open_shards(dir, &m, c, w);
    if (e) {
        corpus_close(c);
    } else {
        for (size_t i = 0; i < CORPUS_SPLITS; i++) {
            c->tokens[i] = m.splits[i].tokens;
            c->documents[i] = m.splits[i].documents;
        }
        c->vocab = m.vocab;
        c->end_of_text = m.end_of_text;
        c->validation = m.validation;
        c->unigram_entropy = m.unigram_entropy;
        *out = c;
    }
    manifest_fini(&m);
    return e ? why_while(w, e, "opening corpus %s", dir) : ERR_OK;
}

void corpus_close(struct corpus *c)
{
    if (!c) return;
    for (size_t i = 0; i < CORPUS_SPLITS; i++) {
        for (size_t k = 0; k < c->shard_count[i]; k++) file_unmap(c->shards[i][k].file);
        free(c->shards[i]);
    }
    free((char *)c->tokenizer);
    free(c);
}

/* The shard that holds token `position`. */
static const struct corpus_shard *shard_at(const struct corpus *c, enum corpus_split split,
                                           uint64_t position)
{
    size_t low = 0, high = c->shard_count[split]; /* it is in [low, high) */
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (c->shards[split][middle].header.before <= position) low = middle;
        else high = middle;
    }
    return &c->shards[split][low];
}

void corpus_tokens(const struct corpus *c, enum corpus_split split, uint64_t position, size_t count,
                   uint32_t *out)
{
    assert(position <= c->tokens[split] && count <= c->tokens[split] - position);
    while (count) {
        const struct corpus_shard *s = shard_at(c, split, position);
        uint64_t first = position - s->header.before, left = s->header.count - first;
        size_t n = left < count ? (size_t)left : count;
        shard_ids(s->file, &s->header, first, n, out);
        position += n;
        out += n;
        count -= n;
    }
}
