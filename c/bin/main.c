/* main.c -- finds the subcommand and runs it. */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include <nghttp3/version.h>
#include <ngtcp2/version.h>
#include <wolfssl/version.h>

#include "base/near.h"
#include "base/object.h"
#include "base/version.h"
#include "bin/command.h"
#include "node/device.h"

static const struct command commands[] = {
    {"prepare", prepare_main, "turn text files into a tokenizer and a corpus of tokens"},
    {"init", init_main, "write an experiment for a corpus, to begin with"},
    {"plan", plan_main, "say what an experiment takes, before anything is spent"},
    {"keygen", keygen_main, "make the identity of a node"},
    {"ticket", ticket_main, "let members into a swarm one by one, and out again"},
    {"run", run_main, "train as one worker of a swarm"},
    {"swarm", swarm_main, "start a whole swarm on this machine and watch it"},
    {"status", status_main, "the swarm as one peer sees it"},
    {"peers", peers_main, "a list of peers that a newcomer can start from"},
    {"report", report_main, "one HTML file with curves and events, from the logs of any machines"},
    {"train", train_main, "train one worker alone"},
    {"eval", eval_main, "how well a checkpoint's model predicts held-out text"},
    {"generate", generate_main, "text from a checkpoint's model"},
    {"export", export_main, "a checkpoint's model for other programs"},
    {"bench", bench_main, "how fast this machine is"},
    {"version", version_main, "print the version of shoal and of what it is built on"},
};

#define COMMAND_COUNT (sizeof commands / sizeof commands[0])

static void list(FILE *to, const struct command *of, size_t count)
{
    for (size_t i = 0; i < count; i++) fprintf(to, "  %-10s %s\n", of[i].name, of[i].summary);
}

static void usage(FILE *to)
{
    fprintf(to, "shoal trains one language model on many machines that nobody coordinates.\n\n"
                "usage: shoal COMMAND ...        shoal help COMMAND tells more\n\n");
    list(to, commands, COMMAND_COUNT);
    fprintf(to, "\nexit codes: 0 complete, 1 error, 2 wrong command line or experiment,\n"
                "3 stopped by a signal before the end with everything saved, 4 the last\n"
                "checkpoint could not be written, 130 ended at once by a second signal\n");
}

/* NULL: there is none. */
static const struct command *find(const struct command *of, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (!strcmp(name, of[i].name)) return &of[i];
    return NULL;
}

int command_failed(const char *name, const struct why *w)
{
    fprintf(stderr, "shoal %s: %s\n", name, w->text);
    return w->err == ERR_USAGE ? CODE_USAGE : CODE_ERROR;
}

bool command_options(const char *name, struct options *o, int argc, char **argv, int *code)
{
    struct why w = {0};
    *code = 0;
    enum err e = options_take(o, argc, argv, &w);
    if (e) *code = command_failed(name, &w);
    else if (o->help) options_usage(o, stdout);
    for (const struct option_row *r = o->rows; r->name && !e && !o->help; r++)
        if (!strcmp(r->name, "json") && r->flag && *r->flag) object_claim_stdout();
    return !e && !o->help;
}

static bool asks_for_help(const char *word)
{
    return !strcmp(word, "--help") || !strcmp(word, "-h");
}

int command_choose(const struct command_choice *c, int argc, char **argv)
{
    const char *word = argc >= 2 ? argv[1] : NULL;
    const struct command *chosen = word ? find(c->of, c->count, word) : NULL;
    struct why w;
    if (chosen) return chosen->main(argc - 1, argv + 1);
    if (word && asks_for_help(word)) {
        char upper[16];
        size_t n = 0;
        for (; c->what[n] && n < sizeof upper - 1; n++) upper[n] = (char)toupper(c->what[n]);
        upper[n] = 0;
        printf("usage: shoal %s %s ...        shoal %s %s --help tells more\n\n", c->name, upper,
               c->name, upper);
        list(stdout, c->of, c->count);
        return 0;
    }
    if (word)
        why(&w, ERR_USAGE, "there is no %s '%s': %s and %s are", c->what, word, c->names, c->last);
    else
        why(&w, ERR_USAGE, "name %s %s: %s or %s", strchr("aeiou", c->what[0]) ? "an" : "a",
            c->what, c->names, c->last);
    return command_failed(c->name, &w);
}

int version_main(int argc, char **argv)
{
    bool json = false;
    const struct option_row rows[] = {COMMAND_JSON(&json), {0}};
    struct options table = {
        .command = "shoal version",
        .about = "Prints the version of shoal and of what it is built on, and what it computes on.",
        .rows = rows};
    int code;
    if (!command_options("version", &table, argc, argv, &code)) return code;
    if (json) {
        json_t *out = json_object();
        struct why w = {0};
        object_text(out, "version", SHOAL_VERSION);
        object_text(out, "protocol", "shoal/1");
        object_text(out, "ngtcp2", NGTCP2_VERSION);
        object_text(out, "nghttp3", NGHTTP3_VERSION);
        object_text(out, "wolfssl", LIBWOLFSSL_VERSION_STRING);
        object_text(out, "computes_on", device_built());
        return object_print(out, &w) ? command_failed("version", &w) : 0;
    }
    printf("shoal %s\n"
           "protocol shoal/1, ngtcp2 %s, nghttp3 %s, wolfSSL %s\n"
           "computes on %s\n",
           SHOAL_VERSION, NGTCP2_VERSION, NGHTTP3_VERSION, LIBWOLFSSL_VERSION_STRING,
           device_built());
    return 0;
}

static int unknown(const char *name)
{
    const char *names[COMMAND_COUNT + 2];
    for (size_t i = 0; i < COMMAND_COUNT; i++) names[i] = commands[i].name;
    names[COMMAND_COUNT] = "help";
    names[COMMAND_COUNT + 1] = NULL;
    const char *near = near_word(names, name, strlen(name));
    fprintf(stderr, "shoal: there is no %s '%.80s'%s%s%s; shoal --help lists them\n",
            *name == '-' ? "option" : "command", name, near ? "; did you mean " : "",
            near ? near : "", near ? "?" : "");
    return CODE_USAGE;
}

/* `shoal help [COMMAND [SUBJECT]]`: the same as COMMAND [SUBJECT] --help. */
static int help(int argc, char **argv)
{
    char *asked[4] = {NULL};
    int count = 0;
    for (int i = 1; i < argc && count < 2; i++) asked[count++] = argv[i];
    if (!count) {
        usage(stdout);
        return 0;
    }
    const struct command *c = find(commands, COMMAND_COUNT, asked[0]);
    if (!c) return unknown(asked[0]);
    asked[count++] = (char *)"--help";
    return c->main(count, asked);
}

/* If a standard descriptor is closed, the next opened file would get its number, and messages would
 * go into a checkpoint. So closed ones are filled with a descriptor on which writing fails. */
static void fill_standard_files(void)
{
    for (int fd = 0; fd <= 2; fd++)
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", fd ? O_RDONLY : O_WRONLY) < 0) return;
}

/* Output that could not be written is a failure: a full disk, a closed descriptor. */
static int close_output(const char *name, int code)
{
    errno = 0;
    const bool failed = ferror(stdout); /* an earlier error, whose errno is lost */
    if (!fflush(stdout) && !failed) return code;
    fprintf(stderr, "shoal%s%s: not all of the output could be written%s%s\n",
            *name == '-' ? "" : " ", *name == '-' ? "" : name, errno ? ": " : "",
            errno ? strerror(errno) : "");
    return code ? code : CODE_ERROR;
}

static int dispatch(int argc, char **argv, const char *name)
{
    const struct command *c = find(commands, COMMAND_COUNT, name);
    if (c) return c->main(argc - 1, argv + 1);
    if (asks_for_help(name) || !strcmp(name, "help")) return help(argc - 1, argv + 1);
    if (!strcmp(name, "--version") || !strcmp(name, "-V")) {
        puts("shoal " SHOAL_VERSION);
        return 0;
    }
    return unknown(name);
}

int main(int argc, char **argv)
{
    fill_standard_files();
    const char *name = argc >= 2 ? argv[1] : NULL;
    if (!name) {
        usage(stderr);
        return CODE_USAGE;
    }
    return close_output(name, dispatch(argc, argv, name));
}
