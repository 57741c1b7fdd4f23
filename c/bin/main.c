/* main.c -- finds the subcommand and runs it. */
#include <stdio.h>
#include <string.h>

#include <nghttp3/version.h>
#include <ngtcp2/version.h>
#include <wolfssl/version.h>

#include "bin/command.h"
#include "bin/device.h"

static const struct command commands[] = {
    {"prepare", prepare_main, "turn text files into a tokenizer and a corpus of tokens"},
    {"plan", plan_main, "say what an experiment takes, before anything is spent"},
    {"keygen", keygen_main, "make the identity of a node"},
    {"run", run_main, "train as one worker of a swarm"},
    {"swarm", swarm_main, "start a whole swarm on this machine and watch it"},
    {"status", status_main, "the swarm as one peer sees it"},
    {"peers", peers_main, "a list of peers that a newcomer can start from"},
    {"train", train_main, "train one worker alone"},
    {"eval", eval_main, "how well a checkpoint's model predicts held-out text"},
    {"generate", generate_main, "text from a checkpoint's model"},
    {"export", export_main, "a checkpoint's model for other programs"},
    {"bench", bench_main, "how fast this machine is"},
    {"version", version_main, "print the version of shoal and of what it is built on"},
};

#define COMMAND_COUNT (sizeof commands / sizeof commands[0])

static void usage(FILE *to)
{
    fprintf(to, "shoal trains one language model on many machines that nobody coordinates.\n\n"
                "usage: shoal COMMAND ...        shoal COMMAND --help tells more\n\n");
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        fprintf(to, "  %-10s %s\n", commands[i].name, commands[i].summary);
}

int command_failed(const char *name, const struct why *w)
{
    fprintf(stderr, "shoal %s: %s\n", name, w->text);
    return w->err == ERR_USAGE ? 2 : 1;
}

bool command_help(int argc, char **argv, const char *text)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") && strcmp(argv[i], "-h")) continue;
        fputs(text, stdout);
        return true;
    }
    return false;
}

int version_main(int argc, char **argv)
{
    if (command_help(argc, argv, "usage: shoal version\n")) return 0;
    printf("shoal %s\n"
           "protocol shoal/1, ngtcp2 %s, nghttp3 %s, wolfSSL %s\n"
           "computes on %s\n",
           SHOAL_VERSION, NGTCP2_VERSION, NGHTTP3_VERSION, LIBWOLFSSL_VERSION_STRING,
           device_built());
    return 0;
}

int main(int argc, char **argv)
{
    if (argc >= 2 && (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h"))) {
        usage(stdout);
        return 0;
    }
    for (size_t i = 0; argc >= 2 && i < COMMAND_COUNT; i++)
        if (!strcmp(argv[1], commands[i].name)) return commands[i].main(argc - 1, argv + 1);
    if (argc >= 2) fprintf(stderr, "shoal: there is no command '%s'\n\n", argv[1]);
    usage(stderr);
    return 2;
}
