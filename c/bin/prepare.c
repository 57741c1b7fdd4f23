/* prepare.c -- `shoal prepare`: texts -> tokenizer and shards. */
#include "data/prepare.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/amount.h"
#include "base/clock.h"
#include "base/machine.h"
#include "base/object.h"
#include "base/stop.h"
#include "base/terminal.h"
#include "base/version.h"
#include "bin/command.h"

/* Progress on stderr: a line redrawn in place on a terminal, otherwise a line every few seconds. */
struct meter {
    struct terminal terminal;
    char stage[32];
    instant began, shown;
};

static void show(void *self, const char *stage, uint64_t done, uint64_t all)
{
    struct meter *m = self;
    struct terminal_picture p = {.count = 0};
    char fields[4][64] = {"", "", "", ""}, left[32];
    const char *list[4] = {fields[0], fields[1], fields[2], fields[3]};
    size_t columns, rows;
    instant now = clock_now();
    bool begins = strcmp(m->stage, stage) != 0;
    if (begins) {
        snprintf(m->stage, sizeof m->stage, "%s", stage);
        m->began = now;
    }
    span gap = span_ms(m->terminal.live ? 100 : 5000);
    if (!begins && instant_since(now, m->shown).ns < gap.ns) return;
    m->shown = now;
    double s = span_in_s(instant_since(now, m->began));
    double rate = s > 0 ? (double)done / s : 0;
    snprintf(fields[0], sizeof fields[0], "%s", stage);
    if (all)
        snprintf(fields[1], sizeof fields[1], "%.1f of %.1f MB", (double)done * 1e-6,
                 (double)all * 1e-6);
    if (rate > 0) snprintf(fields[2], sizeof fields[2], "%.1f MB/s", rate * 1e-6);
    if (rate > 0 && all >= done)
        snprintf(fields[3], sizeof fields[3], "%s left",
                 amount_time((double)(all - done) / rate, left));
    terminal_size(&m->terminal, &columns, &rows);
    terminal_flow(&p, list, 4, m->terminal.live ? columns - 1 : TERMINAL_LINE_BYTES);
    if (m->terminal.live) terminal_draw(&m->terminal, &p);
    else terminal_say(&m->terminal, p.lines[0]);
}

static bool take_options(int argc, char **argv, struct prepare *p, bool *json, int *code)
{
    struct option_rest texts = {0};
    uint64_t vocab = 0, threads = p->threads;
    bool listed = false; /* --files-from, also abbreviated, names texts too */
    for (int i = 1; i < argc; i++) listed |= !strncmp(argv[i], "--fil", 5);
    const struct option_row rows[] = {
        {"TEXT", .argument = true, .rest = &texts,
         .missing =
             listed ? NULL : "name at least one text: a file, a folder, or - for standard input",
         .help = "a file, a folder (all files in it and below, but none whose name begins with a "
                 "dot), or - for standard input"},
        {"out", 'o', .text = &p->out, .value = "DIR",
         .help = "the corpus folder; written aside as DIR.part and renamed when it is whole",
         .missing = "say where the corpus goes: -o CORPUS"},
        {"files-from", .text = &p->files_from, .value = "FILE",
         .help = "more TEXTs, one a line of FILE (- for standard input) or ended by zero bytes"},
        {"field", .text = &p->field, .value = "NAME",
         .help = "the field of JSON lines that holds the text; with it, standard input and .json "
                 "files are JSON lines too",
         .otherwise = "text"},
        {"vocab", .whole = &vocab, .least = 257, .most = 262144, .value = "N",
         .help = "train a byte-level BPE tokenizer of N tokens, 257 .. 262144",
         .otherwise = "4096"},
        {"tokenizer", .text = &p->tokenizer, .value = "FILE",
         .help = "use this byte-level tokenizer.json instead"},
        {"validation", .real = &p->validation, .low = 0, .high = 0.5, .above = true, .below = true,
         .value = "X", .help = "share of documents held out, above 0 and below 0.5"},
        {"threads", .whole = &threads, .least = 1, .most = 1024, .value = "N", .help = "how many",
         .otherwise = "the processors that this process may use"},
        {"force", .flag = &p->force, .help = "replace the corpus that is in DIR"},
        COMMAND_JSON(json),
        {0}};
    struct options table = {
        .command = "shoal prepare",
        .about =
            "Turns texts into a corpus that experiments train on: a folder with tokenizer.json "
            "(Hugging Face's format), token shards and manifest.json. Texts packed by gzip or zstd "
            "are unpacked on the way; of .jsonl and .ndjson files each line is a JSON object with "
            "a text. A text up to 1 MiB is one document, a longer one is cut at blank lines into "
            "documents of about 8 KiB. Some documents, chosen by the hash of their text, are held "
            "out for validation; where there would be none, short texts are cut too. The name "
            "<|endoftext|> in a text is the token that ends a document. Bytes that are "
            "not UTF-8 become U+FFFD and are counted.",
        .rows = rows};
    if (!command_options("prepare", &table, argc, argv, code)) return false;
    if (vocab && p->tokenizer) {
        struct why w;
        why(&w, ERR_USAGE,
            "--vocab trains a tokenizer and --tokenizer brings one: give one of them");
        *code = command_failed("prepare", &w);
        return false;
    }
    if (vocab) p->vocab = (uint32_t)vocab;
    p->threads = (size_t)threads;
    p->texts = texts.items;
    p->text_count = texts.count;
    return true;
}

static json_t *split_json(const struct manifest_split *s)
{
    return json_pack("{s:I, s:I, s:I}", "documents", (json_int_t)s->documents, "bytes",
                     (json_int_t)s->bytes, "tokens", (json_int_t)s->tokens);
}

static enum err print_json(const struct prepare *p, const struct manifest *m, double seconds,
                           struct why *w)
{
    json_t *o = json_pack("{s:s, s:I, s:o, s:o, s:I, s:f, s:I, s:f}", "corpus", p->out, "vocab",
                          (json_int_t)m->vocab, "train", split_json(&m->splits[0]), "validation",
                          split_json(&m->splits[1]), "invalid_utf8", (json_int_t)m->invalid_utf8,
                          "unigram_entropy", m->unigram_entropy, "shards",
                          (json_int_t)m->shard_count, "seconds", seconds);
    return object_print(o, w);
}

static void print_text(const struct prepare *p, const struct manifest *m, double seconds)
{
    const struct manifest_split *s = m->splits;
    double bytes = (double)(s[0].bytes + s[1].bytes), tokens = (double)(s[0].tokens + s[1].tokens);
    printf("%s: %" PRIu64 " documents with %" PRIu64 " tokens to train on, %" PRIu64
           " with %" PRIu64 " held out\n",
           p->out, s[0].documents, s[0].tokens, s[1].documents, s[1].tokens);
    printf("vocabulary %u, %.2f bytes a token, unigram entropy %.3f nats, %.1f s, %.1f MB/s\n",
           m->vocab, bytes / tokens, m->unigram_entropy, seconds, bytes * 1e-6 / seconds);
    if (m->invalid_utf8)
        printf("%" PRIu64 " sequences of bytes were not UTF-8 and became U+FFFD\n",
               m->invalid_utf8);
}

int prepare_main(int argc, char **argv)
{
    struct why w = {0};
    bool json = false;
    struct meter meter = {.stage = ""};
    struct prepare p = {.vocab = 4096,
                        .validation = 0.01,
                        .threads = machine_processors(),
                        .program = SHOAL_VERSION,
                        .stop = stop_wishes,
                        .progress = show,
                        .self = &meter};
    struct manifest m;
    int code;
    if (!take_options(argc, argv, &p, &json, &code)) return code;
    stop_watch("\nshoal prepare: stopping\n", "\nshoal prepare: ended at once\n");
    terminal_init(&meter.terminal, STDERR_FILENO);
    instant began = clock_now();
    enum err e = prepare_run(&p, &m, &w);
    double seconds = span_in_s(instant_since(clock_now(), began));
    terminal_clear(&meter.terminal);
    if (e) {
        int code = command_failed("prepare", &w);
        return e == ERR_STOPPED && stop_wishes() ? STOP_CODE_AT_ONCE : code;
    }
    if (json) e = print_json(&p, &m, seconds, &w);
    else print_text(&p, &m, seconds);
    manifest_fini(&m);
    return e ? command_failed("prepare", &w) : 0;
}
