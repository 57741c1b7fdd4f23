#include "data/corpus.h"

#include <unistd.h>

#include "corpora.h"
#include "test/folder.h"

static char dir[96];
static struct corpus *c;
static struct why w;

static void begin(void)
{
    folder_make();
    snprintf(dir, sizeof dir, "%s/it", folder);
    make_corpus(dir, 1000, 100, 300, 0);
}

TestSuite(corpus, .init = begin, .fini = folder_drop);

static void shell(const char *format)
{
    char command[512];
    snprintf(command, sizeof command, "cd '%s' && %s", dir, format);
    cr_assert_eq(system(command), 0, "%s", command);
}

Test(corpus, opens_and_reads_across_shards)
{
    uint32_t ids[700];
    cr_assert_eq(corpus_open(dir, &c, &w), ERR_OK, "%s", w.text);
    cr_assert_eq(c->tokens[CORPUS_TRAIN], 1000);
    cr_assert_eq(c->tokens[CORPUS_VALIDATION], 100);
    cr_assert_eq(c->shard_count[CORPUS_TRAIN], 4);
    cr_assert_eq(c->vocab, CORPORA_VOCAB);
    for (uint64_t at = 0; at < 300; at += 13) {
        corpus_tokens(c, CORPUS_TRAIN, at, 700, ids);
        for (uint32_t i = 0; i < 700; i++) cr_assert_eq(ids[i], at + i);
    }
    corpus_tokens(c, CORPUS_VALIDATION, 40, 60, ids);
    cr_assert_eq(ids[59], CORPORA_VALIDATION_FIRST + 99);
    corpus_tokens(c, CORPUS_TRAIN, 1000, 0, ids);
    corpus_close(c);
}

Test(corpus, damage_is_found_and_named)
{
    static const struct {
        const char *what, *sentence;
    } damages[] = {
        {"truncate -s -1 train-00002.bin", "train-00002.bin is truncated"},
        {"truncate -s +4 train-00001.bin", "train-00001.bin is too long"},
        {"truncate -s 0 train-00000.bin", "train-00000.bin is no token shard"},
        {"rm validation-00000.bin", "validation-00000.bin: No such file"},
        {"printf X | dd of=train-00003.bin bs=1 seek=100 conv=notrunc status=none",
         "train-00003.bin is damaged: its ids"},
        {"printf X | dd of=train-00003.bin bs=1 seek=20 conv=notrunc status=none",
         "train-00003.bin is damaged: its header"},
        {"cp train-00000.bin train-00001.bin",
         "train-00001.bin is not the shard that the manifest describes"},
        {"cp validation-00000.bin train-00003.bin", "train-00003.bin is not the shard"},
        {"cp /etc/passwd train-00000.bin", "train-00000.bin is no token shard"},
        {"printf ' ' >> tokenizer.json",
         "tokenizer.json is not the tokenizer that this corpus was made with"},
        {"rm tokenizer.json", "tokenizer.json: No such file"},
        {"rm manifest.json", "holds no manifest.json: make a corpus with `shoal prepare"},
        {"sed -i 's/\"tokens\": 1000/\"tokens\": 1001/' manifest.json", "manifest.json is damaged"},
        {"sed -i 's/\"version\": 1/\"version\": 9/' manifest.json",
         "manifest.json has another version"},
        {"truncate -s 200 manifest.json", "manifest.json is not JSON"},
    };
    for (size_t i = 0; i < sizeof damages / sizeof damages[0]; i++) {
        shell("rm -f *");
        make_corpus(dir, 1000, 100, 300, 0);
        shell(damages[i].what);
        w.text[0] = 0;
        cr_expect_neq(corpus_open(dir, &c, &w), ERR_OK, "%s", damages[i].what);
        cr_expect_not_null(strstr(w.text, damages[i].sentence), "%s gave: %s", damages[i].what,
                           w.text);
        cr_expect_not_null(strstr(w.text, "opening corpus"));
    }
}

/* It is whole and has the right place and size; only the manifest knows that it is another
 * one's. */
Test(corpus, a_shard_of_another_corpus_is_refused)
{
    char command[256], old[96];
    strcpy(old, dir);
    snprintf(dir, sizeof dir, "%s/other", folder);
    make_corpus(dir, 1000, 100, 300, 1);
    cr_assert_eq(corpus_open(dir, &c, &w), ERR_OK, "%s", w.text);
    corpus_close(c);
    snprintf(command, sizeof command, "cp '%s/train-00002.bin' .", old);
    shell(command);
    cr_assert_eq(corpus_open(dir, &c, &w), ERR_FORMAT);
    cr_assert_not_null(
        strstr(w.text, "train-00002.bin is not the shard that the manifest describes"));
}

Test(corpus, an_empty_folder_and_a_missing_one_are_no_corpus)
{
    cr_assert_eq(corpus_open("/nonexistent/corpus", &c, &w), ERR_IO);
    cr_assert_not_null(strstr(w.text, "shoal prepare"));
    cr_assert_eq(corpus_open(folder, &c, &w), ERR_IO);
}
