#include "data/prepare.h"

#include <assert.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/aside.h"
#include "base/file.h"
#include "base/pool.h"
#include "data/bpe.h"
#include "data/document.h"
#include "data/lexicon.h"
#include "data/shard.h"
#include "data/tokenizer.h"
#include "data/utf8.h"
#include "data/word.h"

#define PIECE_BYTES (256u << 10) /* documents that a thread processes at a time */

/* How the documents of these texts are split into training and held-out ones, so that there are
 * some of both. */
struct parting {
    struct document_rule rule;
    /* Index of a document that the share would put into the wrong split; UINT64_MAX: none. */
    uint64_t other;
};

/* Result of examining the documents, or the first of them. */
struct seen {
    uint64_t documents, bytes, held;
    uint64_t least, least_at; /* smallest hash, and the index of the first document that has it */
    uint64_t most, most_at;
};

/* Documents first .. first + count of a batch, and their results. Pieces do not depend on the
 * number of threads, and their results are used in order. */
struct piece {
    size_t first, count, bytes;
    struct lexicon words;                /* result of counting */
    uint32_t *ids[SHARD_SPLITS];         /* result of encoding */
    size_t id_count[SHARD_SPLITS], room; /* room: ids that fit in each */
    struct manifest_split splits[SHARD_SPLITS];
    uint64_t invalid;
    enum err err;
    struct why why;
};

struct scratch { /* of one thread */
    struct tokenizer_cache *cache;
    uint8_t *text; /* a document, repaired */
    size_t room;
};

struct output { /* the shards of one split */
    struct shard_writer *writer;
    struct shard_header next;
};

struct work {
    const struct prepare *p;
    struct pool *pool;
    struct source_list sources;
    struct parting parting;
    struct document_reader reader;
    uint64_t before; /* documents of the previous batches */
    struct piece *pieces;
    size_t piece_count, piece_room;
    struct scratch *scratch;
    struct tokenizer *tokenizer;
    struct lexicon words;
    uint64_t *seen; /* occurrences of each id in the validation split */
    struct output outputs[SHARD_SPLITS];
    struct manifest *m;
    struct aside aside;
};

/* ---- Documents ---- */

/* The split of a document of the batch. */
static uint32_t split_of(const struct work *k, size_t index)
{
    struct bytes document = k->reader.documents[index];
    bool held = (double)XXH3_64bits(document.data, document.count) * 0x1p-64 < k->p->validation;
    return held != (k->before + index == k->parting.other);
}

static enum err stopped(const struct work *k, struct why *w)
{
    if (!k->p->stop || !k->p->stop()) return ERR_OK;
    return why(w, ERR_STOPPED, "stopped: nothing was written");
}

/* Divides the batch into pieces; discards their previous contents but keeps the memory. */
static enum err cut_pieces(struct work *k, struct why *w)
{
    const struct document_reader *r = &k->reader;
    k->piece_count = 0;
    for (size_t i = 0; i < r->count;) {
        if (k->piece_count == k->piece_room) {
            size_t room = k->piece_room ? 2 * k->piece_room : 64;
            struct piece *pieces = realloc(k->pieces, room * sizeof *pieces);
            if (!pieces) return why(w, ERR_MEMORY, "no memory for the pieces of a batch");
            memset(pieces + k->piece_room, 0, (room - k->piece_room) * sizeof *pieces);
            k->pieces = pieces;
            k->piece_room = room;
        }
        struct piece *x = &k->pieces[k->piece_count++];
        x->first = i;
        for (x->bytes = 0; i < r->count && x->bytes < PIECE_BYTES; i++)
            x->bytes += r->documents[i].count;
        x->count = i - x->first;
    }
    return ERR_OK;
}

static enum err open_reader(struct work *k, struct why *w)
{
    size_t batch = k->p->batch_bytes ? k->p->batch_bytes : PREPARE_BATCH_BYTES;
    k->before = 0;
    return document_open(&k->reader, &k->sources, k->parting.rule, batch, w);
}

/* Reads the next batch; discards the results of the previous one. */
static enum err next_batch(struct work *k, const char *stage, struct why *w)
{
    const struct prepare *p = k->p;
    if (p->progress) p->progress(p->self, stage, document_position(&k->reader), k->sources.bytes);
    k->before += k->reader.count;
    enum err e = stopped(k, w);
    return e ? e : document_next(&k->reader, w);
}

/* Runs over all documents: `each` on every piece, on all threads, then `take` on every piece in
 * order. */
static enum err pass(struct work *k, const char *stage, void (*each)(void *, size_t, size_t),
                     enum err (*take)(struct work *, struct piece *, struct why *),
                     enum err (*after)(struct work *, struct why *), struct why *w)
{
    enum err e = open_reader(k, w);
    while (!e) {
        e = next_batch(k, stage, w);
        if (e || k->reader.count == 0) break;
        e = cut_pieces(k, w);
        if (!e) pool_run(k->pool, each, k, k->piece_count);
        for (size_t i = 0; i < k->piece_count && !e; i++) {
            struct piece *x = &k->pieces[i];
            e = x->err ? why(w, x->err, "%s", x->why.text) : take(k, x, w);
        }
        if (!e && after) e = after(k, w);
    }
    document_fini(&k->reader);
    return e;
}

/* ---- What is held out ---- */

/* Examines documents until there are some of both splits, or until the end. */
static enum err look(struct work *k, struct seen *s, struct why *w)
{
    *s = (struct seen){.least = UINT64_MAX};
    enum err e = open_reader(k, w);
    while (!e && (s->held == 0 || s->held == s->documents)) {
        e = next_batch(k, "looking", w);
        if (e || k->reader.count == 0) break;
        for (size_t i = 0; i < k->reader.count; i++, s->documents++) {
            struct bytes d = k->reader.documents[i];
            uint64_t hash = XXH3_64bits(d.data, d.count);
            if (!s->documents || hash < s->least) s->least = hash, s->least_at = s->documents;
            if (!s->documents || hash > s->most) s->most = hash, s->most_at = s->documents;
            s->held += split_of(k, i);
            s->bytes += d.count;
        }
    }
    document_fini(&k->reader);
    return e;
}

static bool parted(const struct seen *s) { return s->held > 0 && s->held < s->documents; }

/* Decides how to split texts and what to hold out, so that at least one document is held out and
 * one trains. If the documents already fall into both splits, nothing changes; otherwise all texts
 * are split finer, and if that does not help either, the document nearest to the other split is
 * moved there. */
static enum err part(struct work *k, struct why *w)
{
    struct seen s;
    k->parting = (struct parting){DOCUMENT_RULE, UINT64_MAX};
    enum err e = look(k, &s, w);
    if (e || parted(&s)) return e;
    if (s.documents == 0) return why(w, ERR_USAGE, "these files hold no text");
    k->parting.rule = document_finer(s.bytes);
    e = look(k, &s, w);
    if (e || parted(&s)) return e;
    if (s.documents == 1)
        return why(w, ERR_USAGE, "these files hold a single character: give a text to learn from");
    k->parting.other = s.held ? s.most_at : s.least_at;
    return ERR_OK;
}

/* The document as valid UTF-8, in the thread's scratch. */
static enum err repair(struct scratch *s, struct bytes document, struct bytes *out,
                       uint64_t *invalid, struct why *w)
{
    size_t room = 3 * document.count;
    if (room > s->room) {
        free(s->text);
        s->text = malloc(room);
        s->room = s->text ? room : 0;
        if (!s->text)
            return why(w, ERR_MEMORY, "no memory for a document of %zu bytes", document.count);
    }
    *out = bytes_of(s->text, utf8_repair(document, s->text, invalid));
    return ERR_OK;
}

/* ---- Learning a tokenizer ---- */

static enum err count_words(struct lexicon *l, struct bytes text, struct why *w)
{
    enum err e = ERR_OK;
    for (size_t at = 0, n; at < text.count && !e; at += n) {
        n = word_length(text.data + at, text.count - at);
        if (n > PREPARE_WORD_BYTES) n = PREPARE_WORD_BYTES;
        e = lexicon_add(l, bytes_of(text.data + at, n), 1, w);
    }
    return e;
}

/* Counts the text between occurrences of <|endoftext|>, which is already a token. */
static enum err count_document(struct lexicon *l, struct bytes text, struct why *w)
{
    const size_t mark = strlen(VOCABULARY_END_OF_TEXT);
    enum err e = ERR_OK;
    for (const uint8_t *at = text.data, *end = at + text.count; at < end && !e;) {
        const uint8_t *next = memmem(at, (size_t)(end - at), VOCABULARY_END_OF_TEXT, mark);
        e = count_words(l, bytes_of(at, (size_t)((next ? next : end) - at)), w);
        at = next ? next + mark : end;
    }
    return e;
}

static void count_piece(void *self, size_t index, size_t thread)
{
    struct work *k = self;
    struct piece *x = &k->pieces[index];
    lexicon_clear(&x->words);
    x->err = ERR_OK;
    for (size_t i = 0; i < x->count && !x->err; i++) {
        struct bytes document = k->reader.documents[x->first + i], text;
        uint64_t invalid = 0;
        if (split_of(k, x->first + i)) continue;
        x->err = repair(&k->scratch[thread], document, &text, &invalid, &x->why);
        if (!x->err) x->err = count_document(&x->words, text, &x->why);
    }
}

static enum err take_words(struct work *k, struct piece *x, struct why *w)
{
    return lexicon_add_all(&k->words, &x->words, w);
}

static enum err bound_words(struct work *k, struct why *w)
{
    if (k->words.count > PREPARE_WORDS_MAX || k->words.text_used > PREPARE_WORD_TEXT_MAX)
        lexicon_prune(&k->words, PREPARE_WORDS_MAX / 2, PREPARE_WORD_TEXT_MAX / 2);
    return ERR_OK;
}

static enum err learn(struct work *k, char **json, struct why *w)
{
    struct vocabulary v = {0};
    enum err e = pass(k, "counting words", count_piece, take_words, bound_words, w);
    if (!e && k->p->progress) k->p->progress(k->p->self, "merging", 0, 0);
    if (!e) e = bpe_train(&k->words, k->p->vocab, k->p->stop, &v, w);
    if (!e && v.count < k->p->vocab)
        e = why(w, ERR_USAGE,
                "these texts give a vocabulary of at most %u tokens, not %u: use --vocab %u or "
                "less, or "
                "give more text",
                v.count, k->p->vocab, v.count);
    if (!e && !(*json = vocabulary_print(&v)))
        e = why(w, ERR_MEMORY, "no memory for tokenizer.json");
    if (!e) e = tokenizer_open(&v, &k->tokenizer, w);
    vocabulary_fini(&v);
    lexicon_fini(&k->words);
    return e;
}

static enum err read_tokenizer(struct work *k, char **json, struct why *w)
{
    size_t count;
    enum err e = file_read(k->p->tokenizer, TOKENIZER_BYTES_MAX, (uint8_t **)json, &count, w);
    return e ? e : tokenizer_parse(k->p->tokenizer, bytes_of(*json, count), &k->tokenizer, w);
}

/* ---- Encoding ---- */

/* Appends a document's ids and <|endoftext|> to those of the piece. */
static enum err encode_document(struct work *k, struct piece *x, struct scratch *s, size_t index)
{
    uint32_t split = split_of(k, index);
    struct bytes document = k->reader.documents[index], text;
    enum err e = repair(s, document, &text, &x->invalid, &x->why);
    size_t need = x->id_count[split] + text.count + 1, n = 0;
    if (!e && need > x->room) {
        size_t room = 2 * need;
        for (int i = 0; i < SHARD_SPLITS && !e; i++) {
            uint32_t *ids = realloc(x->ids[i], room * sizeof *ids);
            if (!ids) e = why(&x->why, ERR_MEMORY, "no memory for %zu ids", room);
            else x->ids[i] = ids;
        }
        if (!e) x->room = room;
    }
    if (!e)
        e = tokenizer_encode(k->tokenizer, s->cache, text, x->ids[split] + x->id_count[split], &n,
                             &x->why);
    if (e) return e;
    x->ids[split][x->id_count[split] + n] = tokenizer_end_of_text(k->tokenizer);
    x->id_count[split] += n + 1;
    x->splits[split].documents++;
    x->splits[split].bytes += document.count;
    x->splits[split].tokens += n + 1;
    return ERR_OK;
}

static void encode_piece(void *self, size_t index, size_t thread)
{
    struct work *k = self;
    struct piece *x = &k->pieces[index];
    memset(x->id_count, 0, sizeof x->id_count);
    memset(x->splits, 0, sizeof x->splits);
    x->invalid = 0;
    x->err = ERR_OK;
    for (size_t i = 0; i < x->count && !x->err; i++)
        x->err = encode_document(k, x, &k->scratch[thread], x->first + i);
}

static enum err finish_shard(struct work *k, struct output *o, struct why *w)
{
    struct shard_header done;
    enum err e = shard_finish(o->writer, &done, w);
    o->writer = NULL;
    if (e) return e;
    struct shard_header *shards =
        realloc(k->m->shards, (k->m->shard_count + 1) * sizeof *k->m->shards);
    if (!shards) return why(w, ERR_MEMORY, "no memory for the list of shards");
    k->m->shards = shards;
    /* Training first, as in the manifest: insert a training shard before those of validation. */
    size_t at = k->m->shard_count++;
    for (; at > 0 && shards[at - 1].split > done.split; at--) shards[at] = shards[at - 1];
    shards[at] = done;
    o->next.index++;
    o->next.before += done.count;
    o->next.count = 0;
    return ERR_OK;
}

static enum err write_ids(struct work *k, uint32_t split, const uint32_t *ids, size_t count,
                          struct why *w)
{
    struct output *o = &k->outputs[split];
    uint64_t most = k->p->shard_ids ? k->p->shard_ids : PREPARE_SHARD_IDS;
    enum err e = ERR_OK;
    while (count && !e) {
        if (!o->writer) {
            char path[PATH_MAX + SHARD_NAME_BYTES], name[SHARD_NAME_BYTES];
            snprintf(path, sizeof path, "%s/%s", k->aside.part,
                     shard_name(split, o->next.index, name));
            e = shard_create(path, &o->next, &o->writer, w);
            if (e) break;
        }
        size_t n = most - o->next.count < count ? (size_t)(most - o->next.count) : count;
        e = shard_add(o->writer, ids, n, w);
        o->next.count += n;
        ids += n;
        count -= n;
        if (!e && o->next.count == most) e = finish_shard(k, o, w);
    }
    return e;
}

static enum err take_ids(struct work *k, struct piece *x, struct why *w)
{
    for (size_t i = 0; i < x->id_count[1]; i++) k->seen[x->ids[1][i]]++;
    k->m->invalid_utf8 += x->invalid;
    enum err e = ERR_OK;
    for (uint32_t i = 0; i < SHARD_SPLITS && !e; i++) {
        k->m->splits[i].documents += x->splits[i].documents;
        k->m->splits[i].bytes += x->splits[i].bytes;
        k->m->splits[i].tokens += x->splits[i].tokens;
        e = write_ids(k, i, x->ids[i], x->id_count[i], w);
    }
    return e;
}

static double entropy(const uint64_t *times, size_t n, uint64_t all)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++) {
        double share = (double)times[i] / (double)all;
        if (times[i]) sum -= share * log(share);
    }
    return sum;
}

static enum err encode_all(struct work *k, struct why *w)
{
    uint32_t vocab = tokenizer_vocab(k->tokenizer);
    k->seen = calloc(vocab, sizeof *k->seen);
    if (!k->seen) return why(w, ERR_MEMORY, "no memory to count ids");
    for (uint32_t i = 0; i < SHARD_SPLITS; i++)
        k->outputs[i].next = (struct shard_header){
            .id_bytes = vocab <= 65536 ? 2 : 4, .split = i, .tokenizer = k->m->tokenizer};
    enum err e = ERR_OK;
    for (size_t i = 0; i < k->p->threads && !e; i++)
        e = tokenizer_cache_open(k->tokenizer, &k->scratch[i].cache, w);
    if (!e) e = pass(k, "encoding", encode_piece, take_ids, NULL, w);
    for (int i = 0; i < SHARD_SPLITS && !e; i++)
        if (k->outputs[i].writer) e = finish_shard(k, &k->outputs[i], w);
    if (e) return e;
    assert(k->m->splits[0].documents && k->m->splits[1].documents); /* part() ensures it */
    k->m->unigram_entropy = entropy(k->seen, vocab, k->m->splits[1].tokens);
    return ERR_OK;
}

/* ---- The folder ---- */

/* Is `name` a file of a corpus? */
static bool ours(const char *name)
{
    if (!strcmp(name, MANIFEST_NAME) || !strcmp(name, MANIFEST_TOKENIZER)) return true;
    for (uint32_t split = 0; split < SHARD_SPLITS; split++) {
        char shard[SHARD_NAME_BYTES];
        const char *dash = strchr(name, '-');
        if (dash && !strcmp(name, shard_name(split, (uint32_t)strtoul(dash + 1, NULL, 10), shard)))
            return true;
    }
    return false;
}

/* Checks that `out` may be written, before hours of work. */
static enum err check_out(struct work *k, struct why *w)
{
    char manifest[PATH_MAX + sizeof MANIFEST_NAME];
    enum err e = aside_init(&k->aside, k->p->out, "the corpus folder", ours, w);
    if (e) return e;
    snprintf(manifest, sizeof manifest, "%s/%s", k->aside.out, MANIFEST_NAME);
    if (file_exists(manifest) && !k->p->force)
        return why(w, ERR_USAGE,
                   "%s holds a corpus already: name another folder, or replace it with "
                   "--force",
                   k->aside.out);
    if (!file_exists(manifest) && !aside_free(&k->aside))
        return why(w, ERR_USAGE, "%s exists and is not a corpus: name another folder",
                   k->aside.out);
    return ERR_OK;
}

static enum err write_file(const struct work *k, const char *name, const char *text, struct why *w)
{
    char path[PATH_MAX + 32];
    snprintf(path, sizeof path, "%s/%s", k->aside.part, name);
    struct bytes all = bytes_of(text, strlen(text));
    return file_write_atomic(path, &all, 1, 0666, w);
}

/* ---- All together ---- */

static enum err check(const struct prepare *p, struct why *w)
{
    if (p->text_count == 0 && !p->files_from)
        return why(w, ERR_USAGE,
                   "name at least one text: a file, a folder, or - for standard input");
    if (!p->tokenizer && (p->vocab < VOCABULARY_MIN || p->vocab > VOCABULARY_MAX))
        return why(
            w, ERR_USAGE,
            "a vocabulary of %u tokens cannot be: from %u (256 bytes and the end of a text) to %u",
            p->vocab, VOCABULARY_MIN, VOCABULARY_MAX);
    if (!(p->validation > 0 && p->validation < 0.5))
        return why(w, ERR_USAGE, "--validation %g cannot be: above 0 and below 0.5", p->validation);
    return ERR_OK;
}

static void work_fini(struct work *k)
{
    for (size_t i = 0; i < k->piece_room; i++) {
        lexicon_fini(&k->pieces[i].words);
        for (int s = 0; s < SHARD_SPLITS; s++) free(k->pieces[i].ids[s]);
    }
    for (size_t i = 0; k->scratch && i < k->p->threads; i++) {
        tokenizer_cache_close(k->scratch[i].cache);
        free(k->scratch[i].text);
    }
    for (int i = 0; i < SHARD_SPLITS; i++) shard_abandon(k->outputs[i].writer);
    free(k->pieces);
    free(k->scratch);
    free(k->seen);
    lexicon_fini(&k->words);
    tokenizer_close(k->tokenizer);
    pool_close(k->pool);
    source_fini(&k->sources);
    aside_drop(&k->aside);
}

static enum err find_sources(struct work *k, struct why *w)
{
    const struct prepare *p = k->p;
    k->sources = (struct source_list){.field = p->field, .aside = k->aside.part, .stop = p->stop};
    enum err e = ERR_OK;
    for (size_t i = 0; i < p->text_count && !e; i++) e = source_add(&k->sources, p->texts[i], w);
    if (!e && p->files_from) e = source_add_from(&k->sources, p->files_from, w);
    bool lines = false;
    for (size_t i = 0; i < k->sources.count; i++) lines |= k->sources.sources[i].lines;
    if (!e && p->field && !lines)
        e = why(w, ERR_USAGE,
                "--field %s: none of these files is JSON lines by its name (.jsonl, .ndjson, "
                ".json): rename it or leave --field out",
                p->field);
    k->m->files = k->sources.count;
    return e;
}

/* Fills OUT.part. */
static enum err fill(struct work *k, struct why *w)
{
    char *json = NULL, *manifest = NULL;
    enum err e = part(k, w);
    if (!e) e = k->p->tokenizer ? read_tokenizer(k, &json, w) : learn(k, &json, w);
    if (!e) e = write_file(k, MANIFEST_TOKENIZER, json, w);
    if (!e) {
        k->m->tokenizer = XXH3_64bits(json, strlen(json));
        k->m->vocab = tokenizer_vocab(k->tokenizer);
        k->m->end_of_text = tokenizer_end_of_text(k->tokenizer);
        e = encode_all(k, w);
    }
    if (!e && !(manifest = manifest_print(k->m, k->p->program)))
        e = why(w, ERR_MEMORY, "no memory for a manifest");
    if (!e) e = write_file(k, MANIFEST_NAME, manifest, w);
    free(json);
    free(manifest);
    return e;
}

enum err prepare_run(const struct prepare *p, struct manifest *out, struct why *w)
{
    assert(p->threads >= 1);
    *out = (struct manifest){.validation = p->validation};
    struct work k = {.p = p, .m = out, .aside = {.lock = -1}};
    enum err e = check(p, w);
    if (!e) e = check_out(&k, w);
    if (!e) e = word_init(w);
    if (!e) e = pool_open(&k.pool, p->threads, 0, w);
    if (!e && !(k.scratch = calloc(p->threads, sizeof *k.scratch)))
        e = why(w, ERR_MEMORY, "no memory for %zu threads", p->threads);
    if (!e) e = aside_open(&k.aside, w);
    if (!e) e = find_sources(&k, w);
    if (!e) e = fill(&k, w);
    if (!e) e = stopped(&k, w);
    if (!e) e = aside_keep(&k.aside, w);
    work_fini(&k);
    if (e) manifest_fini(out);
    return e;
}
