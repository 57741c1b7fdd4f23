#include "data/prepare.h"

#include <dirent.h>
#include <math.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include "data/corpus.h"
#include "data/document.h"
#include "data/tokenizer.h"
#include "sample.h"
#include "test/folder.h"

static char text_path[96], short_path[96], out[96], other[96];
static const char *texts[2];
static struct golden golden;
static struct prepare p;
static struct manifest m;
static struct why w;

static void write_text(const char *path, const struct text *t)
{
    struct bytes b = text_bytes(t);
    cr_assert_eq(file_write_atomic(path, &b, 1, 0600, &w), ERR_OK, "%s", w.text);
}

/* A file of about 1.5 MB in paragraphs and a short one, both with bytes that are no text. */
static void begin(void)
{
    struct text t = {0};
    golden = golden_open();
    folder_make();
    snprintf(text_path, sizeof text_path, "%s/long.txt", folder);
    snprintf(short_path, sizeof short_path, "%s/short.txt", folder);
    snprintf(out, sizeof out, "%s/corpus", folder);
    snprintf(other, sizeof other, "%s/other", folder);
    for (size_t i = 0; t.count < 1500000; i++) {
        sample(&golden, 10, i, &t);
        if (i % 1000 == 0) text_add(&t, "\xff", 1);
        if (i % 5 == 0) text_add_string(&t, "\n\n");
    }
    write_text(text_path, &t);
    t.count = 0;
    text_add_string(&t, "A short text, and what \xe4\xb8 breaks off.\n");
    write_text(short_path, &t);
    free(t.data);
    texts[0] = text_path;
    texts[1] = short_path;
    p = (struct prepare){.texts = texts,
                         .text_count = 2,
                         .out = out,
                         .vocab = 700,
                         .validation = 0.1,
                         .threads = 1,
                         .program = "test"};
}

static void end(void)
{
    folder_drop();
    golden_close(&golden);
}

TestSuite(prepare, .init = begin, .fini = end, .timeout = 120);

static void prepare(void)
{
    w.text[0] = 0;
    cr_assert_eq(prepare_run(&p, &m, &w), ERR_OK, "%s", w.text);
}

static void expect_failure(enum err err, const char *sentence)
{
    w.text[0] = 0;
    cr_expect_eq(prepare_run(&p, &m, &w), err, "%s", w.text);
    cr_expect_not_null(strstr(w.text, sentence), "it said: %s", w.text);
}

/* XXH3 over names and content of all files in a folder. */
static uint64_t folder_hash(const char *dir)
{
    struct dirent **list;
    int n = scandir(dir, &list, NULL, alphasort);
    uint64_t sum = 0;
    cr_assert_geq(n, 0);
    for (int i = 0; i < n; i++) {
        char path[512];
        uint8_t *data;
        size_t count;
        snprintf(path, sizeof path, "%s/%s", dir, list[i]->d_name);
        if (list[i]->d_name[0] != '.') {
            cr_assert_eq(file_read(path, 1 << 28, &data, &count, &w), ERR_OK);
            sum = rng_at(sum ^ XXH3_64bits(data, count),
                         XXH3_64bits(path + strlen(dir), strlen(path + strlen(dir))));
            free(data);
        }
        free(list[i]);
    }
    free(list);
    return sum;
}

Test(prepare, the_result_does_not_depend_on_threads_or_batches)
{
    p.shard_ids = 50000;
    prepare();
    cr_assert_geq(m.shard_count, 4);
    uint64_t want = folder_hash(out);
    manifest_fini(&m);
    p.force = true;
    for (size_t threads = 2; threads <= 5; threads += 3) {
        p.threads = threads;
        p.batch_bytes = threads * 100000;
        prepare();
        cr_expect_eq(folder_hash(out), want, "%zu threads", threads);
        manifest_fini(&m);
    }
}

/* All documents as document.h gives them; each must be found in the corpus, in order, in its
 * split. */
Test(prepare, the_corpus_holds_each_document_once_and_its_end)
{
    struct tokenizer *t;
    struct corpus *c;
    struct document_reader r;
    uint64_t at[2] = {0, 0}, documents[2] = {0, 0};
    p.shard_ids = 77777;
    prepare();
    cr_assert_eq(corpus_open(out, &c, &w), ERR_OK, "%s", w.text);
    cr_assert_eq(tokenizer_read(c->tokenizer, &t, &w), ERR_OK, "%s", w.text);
    uint32_t *ids = malloc(4 << 20), *want = malloc(4 << 20);
    uint8_t *text = malloc(4 << 20);
    struct source_list l = {0};
    cr_assert_eq(source_add(&l, texts[0], &w) + source_add(&l, texts[1], &w), ERR_OK);
    cr_assert_eq(document_open(&r, &l, DOCUMENT_RULE, 1 << 20, &w), ERR_OK);
    while (document_next(&r, &w) == ERR_OK && r.count)
        for (size_t i = 0; i < r.count; i++) {
            struct bytes d = r.documents[i];
            uint64_t invalid = 0;
            size_t n, bytes = utf8_repair(d, text, &invalid);
            int split = (double)XXH3_64bits(d.data, d.count) * 0x1p-64 < 0.1;
            cr_assert_eq(tokenizer_encode(t, NULL, bytes_of(text, bytes), want, &n, &w), ERR_OK);
            want[n++] = tokenizer_end_of_text(t);
            corpus_tokens(c, (enum corpus_split)split, at[split], n, ids);
            cr_assert_eq(memcmp(ids, want, n * sizeof *ids), 0, "document %zu", i);
            at[split] += n;
            documents[split]++;
        }
    for (int s = 0; s < 2; s++) {
        cr_assert_eq(c->tokens[s], at[s]);
        cr_assert_eq(c->documents[s], documents[s]);
        cr_assert_gt(documents[s], 5);
    }
    document_fini(&r);
    source_fini(&l);
    free(ids);
    free(want);
    free(text);
    tokenizer_close(t);
    corpus_close(c);
    manifest_fini(&m);
}

/* The short file is made to be held out, and has a pair of letters a thousand times that the other
 * never has. */
Test(prepare, the_tokenizer_does_not_learn_from_what_is_held_out)
{
    struct tokenizer *t;
    struct text held = {0};
    char path[128];
    for (int i = 0; i < 1000; i++) text_add_string(&held, "\u2620\u2620 ");
    while (XXH3_64bits(held.data, held.count) * 0x1p-64 >= 0.1) text_add_string(&held, ".");
    write_text(short_path, &held);
    prepare();
    snprintf(path, sizeof path, "%s/tokenizer.json", out);
    cr_assert_eq(tokenizer_read(path, &t, &w), ERR_OK, "%s", w.text);
    for (uint32_t i = 0; i < tokenizer_vocab(t); i++) {
        struct bytes b = tokenizer_token(t, i);
        cr_assert(!memmem(b.data, b.count, "\u2620\u2620", 6),
                  "token %u was learned from held-out text", i);
    }
    p.force = true;
    text_add_string(&held, "."); /* now it is a text to learn from, and the token is there */
    while (XXH3_64bits(held.data, held.count) * 0x1p-64 < 0.1) text_add_string(&held, ".");
    write_text(short_path, &held);
    manifest_fini(&m);
    prepare();
    tokenizer_close(t);
    cr_assert_eq(tokenizer_read(path, &t, &w), ERR_OK, "%s", w.text);
    bool learned = false;
    for (uint32_t i = 0; i < tokenizer_vocab(t); i++) {
        struct bytes b = tokenizer_token(t, i);
        learned |= memmem(b.data, b.count, "\u2620\u2620", 6) != NULL;
    }
    cr_assert(learned);
    tokenizer_close(t);
    manifest_fini(&m);
    free(held.data);
}

Test(prepare, counts_what_it_read)
{
    struct stat a, b;
    prepare();
    cr_assert_eq(stat(text_path, &a) + stat(short_path, &b), 0);
    cr_assert_eq(m.splits[0].bytes + m.splits[1].bytes, (uint64_t)(a.st_size + b.st_size));
    cr_assert_gt(m.invalid_utf8, 5);
    cr_assert_eq(m.files, 2);
    cr_assert_eq(m.vocab, 700);
    manifest_fini(&m);
}

Test(prepare, the_unigram_entropy_is_that_of_the_validation_tokens)
{
    struct corpus *c;
    prepare();
    cr_assert_eq(corpus_open(out, &c, &w), ERR_OK, "%s", w.text);
    size_t n = (size_t)c->tokens[CORPUS_VALIDATION];
    uint32_t *ids = malloc(n * sizeof *ids);
    corpus_tokens(c, CORPUS_VALIDATION, 0, n, ids);
    double times[700] = {0}, sum = 0;
    for (size_t i = 0; i < n; i++) times[ids[i]] += 1;
    for (size_t i = 0; i < 700; i++) sum += times[i] ? times[i] * log((double)n / times[i]) : 0;
    cr_assert_float_eq(c->unigram_entropy, sum / (double)n, 1e-9);
    cr_assert_gt(c->unigram_entropy, 3.0);
    free(ids);
    corpus_close(c);
    manifest_fini(&m);
}

Test(prepare, a_given_tokenizer_is_copied_and_used)
{
    uint8_t *a, *b;
    size_t a_count, b_count;
    char path[128];
    p.tokenizer = GOLDEN_TOKENIZER;
    prepare();
    snprintf(path, sizeof path, "%s/tokenizer.json", out);
    cr_assert_eq(file_read(GOLDEN_TOKENIZER, 1 << 20, &a, &a_count, &w), ERR_OK);
    cr_assert_eq(file_read(path, 1 << 20, &b, &b_count, &w), ERR_OK);
    cr_assert(a_count == b_count && !memcmp(a, b, a_count));
    cr_assert_eq(m.vocab, 1500);
    free(a);
    free(b);
    manifest_fini(&m);
}

Test(prepare, a_corpus_is_replaced_only_when_forced)
{
    prepare();
    manifest_fini(&m);
    uint64_t first = folder_hash(out);
    p.vocab = 400;
    expect_failure(ERR_USAGE, "--force");
    cr_assert_eq(folder_hash(out), first);
    p.force = true;
    prepare();
    cr_assert_neq(folder_hash(out), first);
    cr_assert_eq(m.vocab, 400);
    manifest_fini(&m);
}

Test(prepare, a_folder_that_is_no_corpus_is_never_touched)
{
    char path[128];
    struct text t = {0};
    text_add_string(&t, "precious");
    cr_assert_eq(mkdir(out, 0700), 0);
    snprintf(path, sizeof path, "%s/thesis.txt", out);
    write_text(path, &t);
    p.force = true;
    expect_failure(ERR_USAGE, "is not a corpus");
    cr_assert(file_exists(path));
    free(t.data);
}

Test(prepare, failure_leaves_the_old_corpus_and_nothing_beside_it)
{
    char part[128];
    prepare();
    manifest_fini(&m);
    uint64_t first = folder_hash(out);
    p.force = true;
    p.vocab = 250000;
    expect_failure(ERR_USAGE, "a vocabulary of at most");
    cr_assert_eq(folder_hash(out), first);
    snprintf(part, sizeof part, "%s.part", out);
    cr_assert_not(file_exists(part));
}

/* What a process that was killed leaves is no corpus, and the next run clears it away. */
Test(prepare, an_interrupted_run_leaves_nothing_that_looks_whole)
{
    char path[160];
    struct text t = {0};
    struct corpus *c;
    text_add_string(&t, "half");
    snprintf(path, sizeof path, "%s.part", out);
    cr_assert_eq(mkdir(path, 0700), 0);
    static const char *const left[] = {"train-00000.bin", "train-00012.bin", "tokenizer.json",
                                       "lock", "manifest.json.tmp-4711"};
    for (size_t i = 0; i < sizeof left / sizeof left[0]; i++) {
        snprintf(path, sizeof path, "%s.part/%s", out, left[i]);
        write_text(path, &t);
    }
    cr_assert_eq(corpus_open(out, &c, &w), ERR_IO);
    prepare();
    manifest_fini(&m);
    cr_assert_eq(corpus_open(out, &c, &w), ERR_OK, "%s", w.text);
    corpus_close(c);
    cr_assert_not(file_exists(path));
    free(t.data);
}

Test(prepare, two_at_once_do_not_mix)
{
    char path[160];
    int fd;
    snprintf(path, sizeof path, "%s.part", out);
    cr_assert_eq(mkdir(path, 0700), 0);
    snprintf(path, sizeof path, "%s.part/lock", out);
    cr_assert_eq(file_lock(path, &fd, &w), ERR_OK);
    expect_failure(ERR_STOPPED, "is held by process");
    file_unlock(fd);
    prepare();
    manifest_fini(&m);
}

Test(prepare, says_what_cannot_be)
{
    static const char *const nothing[] = {"/nonexistent/text"};
    struct text t = {0};
    p.vocab = 256;
    expect_failure(ERR_USAGE, "from 257");
    p.vocab = 300000;
    expect_failure(ERR_USAGE, "to 262144");
    p.vocab = 200000;
    expect_failure(ERR_USAGE, "these texts give a vocabulary of at most");
    p.vocab = 700;
    p.validation = 0.5;
    expect_failure(ERR_USAGE, "below 0.5");
    p.validation = NAN;
    expect_failure(ERR_USAGE, "below 0.5");
    p.validation = 0.01;
    p.texts = nothing;
    p.text_count = 1;
    expect_failure(ERR_IO, "/nonexistent/text: No such file");
    p.texts = texts + 1;
    p.vocab = 257;
    write_text(short_path, &t);
    expect_failure(ERR_USAGE, "these files hold no text");
    text_add_string(&t, "\u4e2d");
    write_text(short_path, &t);
    expect_failure(ERR_USAGE, "hold a single character");
    p.out = ".";
    expect_failure(ERR_USAGE, "name a new one");
    p.tokenizer = short_path;
    p.texts = texts;
    p.out = out;
    expect_failure(ERR_FORMAT, "short.txt is not JSON");
    cr_assert_not(file_exists(out));
    free(t.data);
}

/* One document of `count` characters is not enough to hold some out, and its hash may fall on
 * either side. */
Test(prepare, holds_out_a_document_of_any_text_and_trains_on_one)
{
    static const double shares[] = {1e-9, 0.01, 0.1, 0.49};
    static const size_t sizes[] = {
        2, 3, 40, 1000, 8192, 20000, 200000, 900000, DOCUMENT_WHOLE_BYTES};
    struct text t = {0};
    p.texts = &texts[1];
    p.text_count = 1;
    p.vocab = 257;
    p.force = true;
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
        for (size_t k = 0; k < 4; k++) {
            t.count = 0;
            text_add_string(&t, "ab");
            for (uint64_t n = 0; t.count < sizes[i]; n++) sample(&golden, 11 + k, n, &t);
            t.count = sizes[i];
            p.validation = shares[k];
            write_text(short_path, &t);
            if (kind_of(text_bytes(&t)).kind != KIND_TEXT) continue; /* chance made noise */
            prepare();
            for (int s = 0; s < 2; s++)
                cr_expect_gt(m.splits[s].documents, 0, "%zu bytes at %g", sizes[i], shares[k]);
            cr_expect_eq(m.splits[0].bytes + m.splits[1].bytes, sizes[i]);
            manifest_fini(&m);
        }
    free(t.data);
}

/* All documents have one hash, so the share alone cannot tell them apart. */
Test(prepare, holds_out_a_document_where_all_are_the_same)
{
    struct text t = {0};
    for (int i = 0; i < 1000; i++) text_add_string(&t, "the same\n\n");
    write_text(short_path, &t);
    p.texts = &texts[1];
    p.text_count = 1;
    p.vocab = 260;
    prepare();
    cr_assert_eq(m.splits[1].documents, 1);
    cr_assert_gt(m.splits[0].documents, 10);
    manifest_fini(&m);
    free(t.data);
}

/* A file stays a document where some are held out and some are not: such corpora keep their
 * bytes. */
Test(prepare, texts_with_both_splits_are_cut_as_they_ever_were)
{
    struct text t = {0};
    const char *many[40];
    char paths[40][128];
    for (int i = 0; i < 40; i++) {
        t.count = 0;
        for (uint64_t n = 0; t.count < 500 + (size_t)i * 700; n++)
            sample(&golden, 30 + (uint64_t)i, n, &t);
        snprintf(paths[i], sizeof paths[i], "%s/many-%02d.txt", folder, i);
        write_text(paths[i], &t);
        many[i] = paths[i];
    }
    p.texts = many;
    p.text_count = 40;
    p.validation = 0.3;
    prepare();
    cr_assert_eq(m.splits[0].documents + m.splits[1].documents, 40, "%d and %d",
                 (int)m.splits[0].documents, (int)m.splits[1].documents);
    manifest_fini(&m);
    free(t.data);
}

static unsigned stopped(void) { return 1; }

Test(prepare, stops_when_it_is_told_to_and_leaves_nothing)
{
    char part[128];
    p.stop = stopped;
    expect_failure(ERR_STOPPED, "stopped");
    snprintf(part, sizeof part, "%s.part", out);
    cr_assert(!file_exists(part) && !file_exists(out));
}

Test(prepare, a_trailing_slash_and_missing_parents_are_fine)
{
    char path[160];
    snprintf(path, sizeof path, "%s/a/b//", other);
    p.out = path;
    prepare();
    manifest_fini(&m);
    snprintf(path, sizeof path, "%s/a/b/manifest.json", other);
    cr_assert(file_exists(path));
}
