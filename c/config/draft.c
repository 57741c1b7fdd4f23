#include "config/draft.h"

#include <ctype.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "config/experiment.h"
#include "config/value.h"

#define ROWS       17
#define SETS_MAX   512
#define ROW_BYTES  (EXPERIMENT_PATH_BYTES + SCHEMA_PATH_BYTES + 1)
#define EPOCHS_MIN 10   /* with fewer averages a swarm learns too little */
#define STEPS_MIN  100  /* of any run: a tenth of them is warmup */
#define BATCH_MIN  1024 /* tokens; smaller batches are too noisy */
#define EVALUATE   16384

/* Recipes that a CPU or a small GPU computes in seconds per step, with a learning rate for such a
 * batch. */
static const struct recipe {
    const char *preset;
    uint64_t context, batch_tokens;
    double lr;
} recipes[] = {{"2m", 128, 4096, 3e-3},     {"14m", 256, 8192, 2e-3},   {"60m", 512, 16384, 1e-3},
               {"150m", 1024, 65536, 6e-4}, {"1b", 1024, 131072, 4e-4}, {NULL, 1024, 131072, 4e-4}};

const struct schema_preset *draft_preset(const char *name, char known[128])
{
    size_t n = 0;
    known[0] = 0;
    for (const struct schema_preset *p = schema_presets; p->name; p++) {
        if (!strcmp(p->name, name)) return p;
        n += (size_t)snprintf(known + n, 128 - n, "%s%s",
                              p == schema_presets ? ""
                              : p[1].name         ? ", "
                                                  : " or ",
                              p->name);
    }
    return NULL;
}

void draft_name(const char *path, char out[EXPERIMENT_NAME_BYTES])
{
    size_t n = strlen(path), count = 0;
    while (n > 1 && path[n - 1] == '/') n--;
    size_t begin = n;
    while (begin > 0 && path[begin - 1] != '/') begin--;
    for (const char *const *end = (const char *const[]){".yaml", ".yml", NULL}; *end; end++)
        if (n > begin + strlen(*end) && !memcmp(path + n - strlen(*end), *end, strlen(*end)))
            n -= strlen(*end);
    for (size_t i = begin; i < n && count + 1 < EXPERIMENT_NAME_BYTES; i++) {
        bool fits = isalnum((unsigned char)path[i]) || (i > begin && strchr("-_.", path[i]));
        out[count++] = fits && (unsigned char)path[i] < 128 ? path[i] : '-';
    }
    out[count] = 0;
    if (!count || !isalnum((unsigned char)out[0])) snprintf(out, EXPERIMENT_NAME_BYTES, "mine");
}

static void choose_batch(struct draft *d, const struct recipe *r)
{
    const uint64_t least = d->tokens < d->held_out ? d->tokens : d->held_out;
    if (!d->context) {
        d->context = r->context;
        while (d->context > 8 && (least <= d->context || d->batch_tokens % d->context))
            d->context /= 2;
    }
    if (d->batch_tokens) return;
    d->batch_tokens = r->batch_tokens;
    while (d->batch_tokens > BATCH_MIN &&
           d->passes * (double)d->tokens < 2.0 * STEPS_MIN * (double)d->batch_tokens)
        d->batch_tokens /= 2;
    d->batch_tokens =
        d->batch_tokens < d->context ? d->context : d->batch_tokens / d->context * d->context;
}

/* The longest interval between averages that divides the steps and leaves at least EPOCHS_MIN. */
static uint64_t choose_every(uint64_t steps)
{
    uint64_t every = steps / EPOCHS_MIN < 500 ? steps / EPOCHS_MIN : 500;
    while (every > 1 && steps % every) every--;
    return every ? every : 1;
}

void draft_choose(struct draft *d)
{
    static const uint64_t every[] = {500, 200, 100, 50, 20, 10};
    const struct recipe *r = recipes;
    while (r->preset && strcmp(r->preset, d->preset->name)) r++;
    if (d->lr == 0) d->lr = r->lr;
    choose_batch(d, r);
    if (d->steps) {
        if (!d->every) d->every = choose_every(d->steps);
        return;
    }
    double steps = ceil(d->passes * (double)d->tokens / (double)d->batch_tokens);
    d->steps = steps < STEPS_MIN ? STEPS_MIN : steps > 1e12 ? 1000000000000u : (uint64_t)steps;
    size_t i = 0;
    while (every[i] > 10 && d->steps / every[i] < EPOCHS_MIN) i++;
    if (!d->every) d->every = every[i];
    uint64_t epochs = d->steps / d->every + (d->steps % d->every != 0);
    d->steps = epochs * d->every;
}

/* The text that --set gives for a key; NULL: none. */
static const char *set_text(const struct draft *d, const char *key)
{
    size_t n = strlen(key);
    for (size_t i = 0; i < d->sets_count; i++)
        if (!strncmp(d->sets[i], key, n) && d->sets[i][n] == '=') return d->sets[i] + n + 1;
    return NULL;
}

/* The same as a number >= 1; 0: none, or an invalid one, which the checks will refuse. */
static uint64_t set_whole(const struct draft *d, const char *key)
{
    const char *text = set_text(d, key);
    char *end = NULL;
    if (!text || !isdigit((unsigned char)*text)) return 0;
    uint64_t v = strtoull(text, &end, 10);
    return *end || v > 1000000000000u ? 0 : v;
}

static void path_place(const struct draft *d, char path[EXPERIMENT_PATH_BYTES])
{
    char whole[EXPERIMENT_PATH_BYTES], there[EXPERIMENT_PATH_BYTES] = "";
    if (!*path || *path == '/' || !strcmp(d->paths->working, d->paths->file)) return;
    if (paths_join(d->paths->working, path, whole) && paths_relative(d->paths->file, whole, there))
        memcpy(path, there, sizeof there);
}

/* Paths in `sets` are relative to the working folder; in the file they become relative to its
 * own. */
static void paths_place(const struct draft *d, struct experiment *x)
{
    for (size_t i = 0; i < schema_count; i++) {
        const struct schema_key *k = &schema_keys[i];
        if (k->form == SCHEMA_FORM_PATH && k->type == SCHEMA_TEXT && set_text(d, k->path))
            path_place(d, (char *)x + k->offset);
    }
    for (size_t i = 0; i < x->swarm.peers_count; i++)
        if (!value_is_peer(x->swarm.peers[i]) && !strstr(x->swarm.peers[i], "://"))
            path_place(d, x->swarm.peers[i]);
}

/* The lines of every draft, as "key=value". */
static size_t make_rows(const struct draft *d, char rows[ROWS][ROW_BYTES])
{
    const uint64_t evaluate = d->context > EVALUATE ? d->context : EVALUATE;
    size_t n = 0;
#define ROW(...) snprintf(rows[n++], ROW_BYTES, __VA_ARGS__)
    ROW("experiment.name=%s", d->name);
    ROW("experiment.seed=1");
    ROW("model.preset=%s", d->preset->name);
    ROW("model.vocab=%" PRIu32, d->vocab);
    ROW("model.context=%" PRIu64, d->context);
    ROW("data.corpus=%s", d->corpus);
    ROW("train.steps=%" PRIu64, d->steps);
    ROW("train.batch_tokens=%" PRIu64, d->batch_tokens);
    ROW("train.optimizer.lr=%g", d->lr);
    ROW("train.precision=fp32");
    ROW("outer.every=%" PRIu64, d->every);
    ROW("swarm.listen=0.0.0.0:4433");
    ROW("swarm.peers=[]");
    ROW("swarm.identity=node.key");
    ROW("checkpoint.dir=runs/%s", d->name);
    ROW("evaluate.tokens=%" PRIu64, evaluate);
    ROW("machine.device=auto");
#undef ROW
    return n;
}

enum err draft_make(struct draft *d, struct experiment *x, struct why *w)
{
    char rows[ROWS][ROW_BYTES];
    const char *all[SETS_MAX];
    size_t count = 0;
    d->context = set_whole(d, "model.context");
    d->batch_tokens = set_whole(d, "train.batch_tokens");
    d->steps = set_whole(d, "train.steps");
    d->every = set_whole(d, "outer.every");
    draft_choose(d);
    size_t n = make_rows(d, rows);
    if (n + d->sets_count > SETS_MAX) return why(w, ERR_USAGE, "--set: too many of them");
    for (size_t i = 0; i < n; i++) {
        char *equals = strchr(rows[i], '=');
        *equals = 0;
        bool theirs = set_text(d, rows[i]);
        *equals = '=';
        if (!theirs) all[count++] = rows[i];
    }
    for (size_t i = 0; i < d->sets_count; i++) all[count++] = d->sets[i];
    enum err e = experiment_parse_with(d->name, bytes_of("{}", 2), all, count, NULL, x, w);
    if (!e) paths_place(d, x);
    return e;
}

/* Number of passes that the steps make. */
static double passes_of(const struct draft *d, const struct experiment *x)
{
    return (double)x->train.steps * (double)x->train.batch_tokens / (double)d->tokens;
}

struct comments { /* the comments with numbers in them */
    const struct draft *d;
    char text[160];
};

static const char *figures(struct comments *c, const struct experiment *x, const char *key)
{
    const struct model_shape *m = &x->model;
    c->text[0] = 0;
#define SAY(...) snprintf(c->text, sizeof c->text, __VA_ARGS__)
    if (!strcmp(key, "model.preset"))
        SAY("the shape: %u blocks, %u wide; %.3g million parameters in all", m->layers, m->dim,
            (double)model_shape_parameters(m) / 1e6);
    if (!strcmp(key, "train.steps"))
        SAY("inner steps of each worker: %.3g passes over the text's %" PRIu64 " tokens",
            passes_of(c->d, x), c->d->tokens);
    if (!strcmp(key, "train.batch_tokens"))
        SAY("of one inner step of one worker: %" PRIu64 " sequences",
            experiment_batch_sequences(x));
    if (!strcmp(key, "outer.every"))
        SAY("inner steps between averages, of which there are %" PRIu64 "; divides train.steps",
            experiment_epochs(x));
#undef SAY
    return c->text[0] ? c->text : NULL;
}

/* Only given keys get a line. */
static const char *comment(void *self, const struct experiment *x, size_t key)
{
    static const char *const words[][2] = {
        {"experiment.name", "shown by `shoal status` and in reports"},
        {"model.vocab", "entries of the corpus' tokenizer"},
        {"model.context", "tokens of a sequence"},
        {"train.optimizer.lr", "AdamW's, at its highest; lower it if the loss jumps"},
        {"train.precision", "fp32, bf16 or, the faster one of each machine, auto"},
        {"swarm.listen", "address and UDP port; --listen overrides it"},
        {"swarm.peers",
         "ID@host:port, files or https URLs of such lines; the first machine needs none"},
        {"swarm.identity", "this machine's key, made at the first start; never copy it"},
        {"checkpoint.dir", "checkpoints and the log of this machine"},
        {"machine.device", "the GPUs where there are any, else the CPU"},
    };
    const char *path = schema_keys[key].path;
    if (!x->places[key].given) return NULL;
    const char *special = figures(self, x, path);
    if (special) return special;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (!strcmp(words[i][0], path) && !set_text(((struct comments *)self)->d, path))
            return words[i][1];
    return schema_keys[key].what;
}

void draft_print(const struct draft *d, const struct experiment *x, const char *file, FILE *to)
{
    struct comments c = {.d = d};
    fprintf(to,
            "# An experiment, made by `shoal init` for the corpus %s.\n"
            "#     shoal plan %s      what it takes: memory, traffic, disk, time\n"
            "#     shoal run %s       one worker of the swarm; the same on each machine\n"
            "# experiment.seed, model, train and outer must be the same on all machines, or they "
            "do not meet;\n"
            "# the rest is each machine's own matter. Relative paths start from this file's "
            "folder.\n"
            "# What is left out has a default: `shoal plan --keys` lists all keys.\n\n",
            d->corpus, file, file);
    experiment_print_with(x, comment, &c, to);
}
