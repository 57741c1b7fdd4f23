/* init.c -- `shoal init`: writes a first experiment for a corpus. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/object.h"
#include "bin/command.h"
#include "config/draft.h"
#include "config/settings.h"
#include "model/trainer.h"
#include "node/preflight.h"

struct wishes {
    const char *corpus, *preset, *output, *name;
    struct option_texts sets;
    double passes;
    bool force, json;
};

static bool take_options(int argc, char **argv, struct wishes *o, int *code)
{
    const struct option_row rows[] = {
        {"CORPUS", .argument = true, .text = &o->corpus, .help = "a folder made by shoal prepare",
         .missing = "name a corpus, a folder made by shoal prepare"},
        {"preset", .text = &o->preset, .value = "NAME",
         .help = "the model's shape: 2m, 14m, 60m, 150m or 1b (shoal plan --keys)"},
        {"out", 'o', .text = &o->output, .value = "FILE",
         .help = "where the experiment goes; paths in it start from its folder",
         .otherwise = "NAME.yaml"},
        {"name", .text = &o->name, .value = "NAME",
         .help = "its name: letters, digits, '-', '_', '.'",
         .otherwise = "the file's, or else the corpus'"},
        {"passes", .real = &o->passes, .low = 0, .high = 1000, .above = true, .value = "X",
         .help = "how often a worker reads the text; train.steps follows from it, 100 at least"},
        COMMAND_SET(&o->sets),
        {"force", .flag = &o->force, .help = "replace the experiment that FILE is"},
        COMMAND_JSON(&o->json),
        {0}};
    struct options table = {
        .command = "shoal init",
        .about = "Writes an experiment for a corpus: a YAML file with a comment for each line, "
                 "which shoal plan and shoal run take as it is. The vocabulary is the corpus', "
                 "the steps follow from its size, and the batch is one for a CPU or a small GPU. "
                 "What --set gives is written instead, and the rest follows from that.",
        .rows = rows};
    return command_options("init", &table, argc, argv, code);
}

/* The corpus's path without trailing slashes, relative to the experiment's folder. */
static enum err place_corpus(const char *corpus, const struct paths *paths,
                             char out[EXPERIMENT_PATH_BYTES], struct why *w)
{
    char given[EXPERIMENT_PATH_BYTES], whole[EXPERIMENT_PATH_BYTES];
    size_t n = strlen(corpus);
    while (n > 1 && corpus[n - 1] == '/') n--;
    bool fits = n < sizeof given;
    if (fits) snprintf(given, sizeof given, "%.*s", (int)n, corpus);
    if (fits && *given == '/') snprintf(out, EXPERIMENT_PATH_BYTES, "%s", given);
    else if (fits)
        fits = paths_join(paths->working, given, whole) && paths_relative(paths->file, whole, out);
    return fits ? ERR_OK
                : why(w, ERR_USAGE, "the path of the corpus is longer than %d bytes",
                      EXPERIMENT_PATH_BYTES - 1);
}

/* An existing file is kept, and --force replaces only an experiment: otherwise `-o` followed by the
 * wrong name would destroy that file. */
static enum err check_output(const struct wishes *o, const char *path, struct why *w)
{
    struct stat s;
    uint8_t *text;
    size_t count;
    if (lstat(path, &s)) return ERR_OK;
    if (S_ISDIR(s.st_mode))
        return why(w, ERR_USAGE, "%s is a folder: name a file with -o, as %s/mine.yaml", path,
                   path);
    if (!o->force)
        return why(w, ERR_USAGE, "%s exists: name another file with -o, or replace it with --force",
                   path);
    bool ours =
        S_ISREG(s.st_mode) && s.st_size < 1 << 20 && !file_read(path, 1 << 20, &text, &count, NULL);
    if (ours) {
        ours = !strncmp((char *)text, "experiment:", 11) || strstr((char *)text, "\nexperiment:");
        free(text);
    }
    return ours ? ERR_OK
                : why(w, ERR_USAGE, "%s exists and is no experiment: name another file with -o",
                      path);
}

static enum err check_words(const struct wishes *o, struct why *w)
{
    static const char *const own[][2] = {{"experiment.name=", "give it with --name"},
                                         {"model.preset=", "give it with --preset"},
                                         {"data.corpus=", "CORPUS is it already"}};
    for (size_t i = 0; i < o->sets.count; i++)
        for (size_t k = 0; k < sizeof own / sizeof *own; k++)
            if (!strncmp(o->sets.items[i], own[k][0], strlen(own[k][0])))
                return why(w, ERR_USAGE, "--set %s: %s", o->sets.items[i], own[k][1]);
    const char *letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.";
    if (o->name && (o->name[strspn(o->name, letters)] || o->name[0] == '.' ||
                    strlen(o->name) >= EXPERIMENT_NAME_BYTES))
        return why(w, ERR_USAGE,
                   "--name needs letters, digits, '-', '_' and '.', %d at most and no dot first, "
                   "not '%s'",
                   EXPERIMENT_NAME_BYTES - 1, o->name);
    return ERR_OK;
}

/* Refuses, before writing it, what `plan` and `run` would refuse, by the same checks. */
static enum err check_text(const char *path, struct bytes text, const struct paths *paths,
                           const struct corpus *corpus, struct why *w)
{
    static struct experiment x;
    enum err e = experiment_parse_with(path, text, NULL, 0, paths, &x, w);
    if (!e) e = settings_check_files("init", &x, w);
    if (!e) e = trainer_fits(&x, corpus, w);
    return e ? e : preflight_peers("init", &x, w);
}

/* Reports what was written, as text or, with --json, as JSON. */
static enum err tell(const struct draft *d, const struct experiment *x, const char *path, bool json,
                     struct why *w)
{
    const double passes =
        (double)x->train.steps * (double)x->train.batch_tokens / (double)d->tokens;
    if (!json) {
        printf("%s: model %s, %" PRIu64 " steps of %" PRIu64 " tokens (%.3g passes over the "
               "text), an average every %" PRIu64 "; next: shoal plan %s\n",
               path, d->preset->name, x->train.steps, x->train.batch_tokens, passes, x->outer.every,
               path);
        return ERR_OK;
    }
    json_t *out = json_object();
    object_text(out, "file", path);
    object_text(out, "experiment", x->name);
    object_text(out, "preset", d->preset->name);
    object_u64(out, "steps", x->train.steps);
    object_u64(out, "batch_tokens", x->train.batch_tokens);
    object_u64(out, "every", x->outer.every);
    object_f64(out, "passes", passes);
    return object_print(out, w);
}

static enum err write_draft(struct draft *d, const char *path, const struct corpus *corpus,
                            bool json, struct why *w)
{
    static struct experiment x;
    char *text = NULL;
    size_t count = 0;
    enum err e = draft_make(d, &x, w);
    e = settings_say("init", &x, e, w);
    if (e) return e;
    FILE *f = open_memstream(&text, &count);
    if (!f) return why(w, ERR_MEMORY, "no memory for an experiment");
    const char *slash = strrchr(path, '/');
    draft_print(d, &x, slash ? slash + 1 : path, f);
    if (fclose(f)) e = why(w, ERR_MEMORY, "no memory for an experiment");
    struct bytes part = bytes_of(text, count);
    if (!e) e = check_text(path, part, d->paths, corpus, w);
    if (!e) e = file_write_atomic(path, &part, 1, 0644, w);
    free(text);
    return e ? e : tell(d, &x, path, json, w);
}

static enum err init_corpus(const struct wishes *o, struct corpus **corpus, struct why *w)
{
    struct stat s;
    if (stat(o->corpus, &s))
        return why(w, ERR_USAGE,
                   "there is no corpus %s (%s): `shoal prepare TEXT... -o %s` makes one", o->corpus,
                   strerror(errno), o->corpus);
    if (!S_ISDIR(s.st_mode))
        return why(w, ERR_USAGE,
                   "%s is a file, not a corpus: `shoal prepare %s -o CORPUS` makes one of a text",
                   o->corpus, o->corpus);
    return corpus_open(o->corpus, corpus, w);
}

static enum err init(const struct wishes *o, struct why *w)
{
    char known[128], place[EXPERIMENT_PATH_BYTES], name[EXPERIMENT_NAME_BYTES];
    char path[EXPERIMENT_PATH_BYTES];
    struct corpus *corpus = NULL;
    struct paths paths;
    struct draft d = {.name = o->name ? o->name : name,
                      .corpus = place,
                      .preset = draft_preset(o->preset, known),
                      .passes = o->passes,
                      .sets = o->sets.items,
                      .sets_count = o->sets.count,
                      .paths = &paths};
    if (!d.preset)
        return why(w, ERR_USAGE, "there is no preset '%s': --preset needs %s", o->preset, known);
    draft_name(o->output ? o->output : o->corpus, name);
    if (snprintf(path, sizeof path, "%s%s", o->output ? o->output : d.name,
                 o->output ? "" : ".yaml") >= (int)sizeof path)
        return why(w, ERR_USAGE, "the name of the file is longer than %zu bytes", sizeof path - 1);
    enum err e = check_words(o, w);
    if (!e) e = init_corpus(o, &corpus, w);
    if (!e) e = check_output(o, path, w);
    if (!e) e = paths_of(path, &paths, w);
    if (!e) e = place_corpus(o->corpus, &paths, place, w);
    if (e) goto out;
    d.vocab = corpus->vocab;
    d.tokens = corpus->tokens[CORPUS_TRAIN];
    d.held_out = corpus->tokens[CORPUS_VALIDATION];
    e = write_draft(&d, path, corpus, o->json, w);
out:
    if (corpus) corpus_close(corpus);
    return e;
}

int init_main(int argc, char **argv)
{
    struct why w = {0};
    struct wishes o = {.preset = "14m", .passes = 4};
    int code;
    if (!take_options(argc, argv, &o, &code)) return code;
    return init(&o, &w) ? command_failed("init", &w) : 0;
}
