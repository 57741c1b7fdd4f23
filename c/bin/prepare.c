/* prepare.c -- `shoal prepare`: text files -> tokenizer and shards. */
#include "data/prepare.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/machine.h"
#include "bin/command.h"

static const char usage[] =
    "usage: shoal prepare TEXT... -o CORPUS [options]\n\n"
    "Turns text files into a corpus that experiments train on: a folder with tokenizer.json "
    "(Hugging Face's\n"
    "format), token shards and manifest.json. A file up to 1 MiB is one document, a longer one is "
    "cut at blank\n"
    "lines into documents of about 8 KiB. Some documents, chosen by the hash of their text, are "
    "held out for\n"
    "validation. The name <|endoftext|> in a text is the token that ends a document. Bytes that "
    "are not UTF-8\n"
    "become U+FFFD and are counted.\n\n"
    "  -o, --out DIR        the corpus folder; written aside as DIR.part and renamed when it is "
    "whole\n"
    "      --vocab N        train a byte-level BPE tokenizer of N tokens, 257 .. 262144; default "
    "4096\n"
    "      --tokenizer FILE use this byte-level tokenizer.json instead\n"
    "      --validation X   share of documents held out, above 0 and below 0.5; default 0.01\n"
    "      --threads N      default: the processors that this process may use\n"
    "      --force          replace the corpus that is in DIR\n"
    "      --json           print the result as JSON\n";

/* Where we are, on stderr: a line that moves on a terminal, else a line every few seconds. */
struct meter {
    bool live;
    char stage[32];
    instant began, shown;
};

static void show(void *self, const char *stage, uint64_t done, uint64_t all)
{
    struct meter *m = self;
    instant now = clock_now();
    bool begins = strcmp(m->stage, stage) != 0;
    if (begins) {
        snprintf(m->stage, sizeof m->stage, "%s", stage);
        m->began = now;
    }
    span gap = span_ms(m->live ? 100 : 5000);
    if (!begins && instant_since(now, m->shown).ns < gap.ns) return;
    m->shown = now;
    double s = span_in_s(instant_since(now, m->began));
    double rate = s > 0 ? (double)done / s : 0;
    fprintf(stderr, m->live ? "\r\033[K%s" : "%s", stage);
    if (all) fprintf(stderr, "  %.1f of %.1f MB", (double)done * 1e-6, (double)all * 1e-6);
    if (rate > 0)
        fprintf(stderr, "  %.1f MB/s  %.0f s left", rate * 1e-6, (double)(all - done) / rate);
    if (!m->live) fputc('\n', stderr);
    fflush(stderr);
}

static enum err whole_number(const char *option, const char *text, uint64_t min, uint64_t max,
                             uint64_t *out, struct why *w)
{
    char *end;
    errno = 0;
    *out = strtoull(text, &end, 10);
    if (*text < '0' || *text > '9' || *end || errno || *out < min || *out > max)
        return why(w, ERR_USAGE, "--%s %s: it must be a whole number from %" PRIu64 " to %" PRIu64,
                   option, text, min, max);
    return ERR_OK;
}

static enum err share(const char *text, double *out, struct why *w)
{
    char *end;
    *out = strtod(text, &end);
    if (end == text || *end || !(*out > 0 && *out < 0.5))
        return why(w, ERR_USAGE, "--validation %s: it must be above 0 and below 0.5", text);
    return ERR_OK;
}

enum { OPT_VOCAB = 256, OPT_TOKENIZER, OPT_VALIDATION, OPT_THREADS, OPT_FORCE, OPT_JSON };

static const struct option options[] = {{"out", required_argument, NULL, 'o'},
                                        {"vocab", required_argument, NULL, OPT_VOCAB},
                                        {"tokenizer", required_argument, NULL, OPT_TOKENIZER},
                                        {"validation", required_argument, NULL, OPT_VALIDATION},
                                        {"threads", required_argument, NULL, OPT_THREADS},
                                        {"force", no_argument, NULL, OPT_FORCE},
                                        {"json", no_argument, NULL, OPT_JSON},
                                        {0}};

static enum err take_option(int option, const char *given, struct prepare *p, bool *json,
                            bool *vocab, struct why *w)
{
    uint64_t n;
    enum err e = ERR_OK;
    switch (option) {
    case 'o':
        p->out = optarg;
        break;
    case OPT_VOCAB:
        e = whole_number("vocab", optarg, 257, 262144, &n, w);
        if (!e) p->vocab = (uint32_t)n;
        *vocab = true;
        break;
    case OPT_TOKENIZER:
        p->tokenizer = optarg;
        break;
    case OPT_VALIDATION:
        e = share(optarg, &p->validation, w);
        break;
    case OPT_THREADS:
        e = whole_number("threads", optarg, 1, 1024, &n, w);
        if (!e) p->threads = (size_t)n;
        break;
    case OPT_FORCE:
        p->force = true;
        break;
    case OPT_JSON:
        *json = true;
        break;
    case ':':
        e = why(w, ERR_USAGE, "%s needs a value; see 'shoal prepare --help'", given);
        break;
    default:
        e = why(w, ERR_USAGE, "there is no option %s; see 'shoal prepare --help'", given);
        break;
    }
    return e;
}

static enum err parse(int argc, char **argv, struct prepare *p, bool *json, struct why *w)
{
    bool vocab = false;
    enum err e = ERR_OK;
    opterr = 0;
    optind = 1;
    for (int option; !e;) {
        int at = optind;
        option = getopt_long(argc, argv, ":o:", options, NULL);
        if (option < 0) break;
        e = take_option(option, argv[at < optind ? optind - 1 : at], p, json, &vocab, w);
    }
    if (e) return e;
    p->texts = (const char *const *)argv + optind;
    p->text_count = (size_t)(argc - optind);
    if (!p->out) return why(w, ERR_USAGE, "say where the corpus goes: -o CORPUS");
    if (p->text_count == 0) return why(w, ERR_USAGE, "name at least one text file");
    if (vocab && p->tokenizer)
        return why(w, ERR_USAGE,
                   "--vocab trains a tokenizer and --tokenizer brings one: give one of them");
    return ERR_OK;
}

static json_t *split_json(const struct manifest_split *s)
{
    return json_pack("{s:I, s:I, s:I}", "documents", (json_int_t)s->documents, "bytes",
                     (json_int_t)s->bytes, "tokens", (json_int_t)s->tokens);
}

static void print_json(const struct prepare *p, const struct manifest *m, double seconds)
{
    json_t *o = json_pack("{s:s, s:I, s:o, s:o, s:I, s:f, s:I, s:f}", "corpus", p->out, "vocab",
                          (json_int_t)m->vocab, "train", split_json(&m->splits[0]), "validation",
                          split_json(&m->splits[1]), "invalid_utf8", (json_int_t)m->invalid_utf8,
                          "unigram_entropy", m->unigram_entropy, "shards",
                          (json_int_t)m->shard_count, "seconds", seconds);
    json_dumpf(o, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(12));
    putchar('\n');
    json_decref(o);
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
    struct meter meter = {.live = isatty(STDERR_FILENO)};
    struct prepare p = {.vocab = 4096,
                        .validation = 0.01,
                        .threads = machine_processors(),
                        .program = SHOAL_VERSION,
                        .progress = show,
                        .self = &meter};
    struct manifest m;
    if (command_help(argc, argv, usage)) return 0;
    if (parse(argc, argv, &p, &json, &w)) return command_failed("prepare", &w);
    instant began = clock_now();
    enum err e = prepare_run(&p, &m, &w);
    double seconds = span_in_s(instant_since(clock_now(), began));
    if (meter.live) fputs("\r\033[K", stderr);
    if (e) return command_failed("prepare", &w);
    if (json) print_json(&p, &m, seconds);
    else print_text(&p, &m, seconds);
    manifest_fini(&m);
    return 0;
}
