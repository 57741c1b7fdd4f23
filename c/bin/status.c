/* status.c -- `shoal status` and `shoal peers`: the swarm as any one peer sees it. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bin/ask.h"
#include "bin/command.h"

static const char status_usage[] =
    "usage: shoal status PEER [--watch] [--json]\n"
    "\n"
    "Asks PEER (ID@host:port or host:port) for its view of the swarm.\n"
    "\n"
    "  --watch    ask again every second, until Ctrl-C\n"
    "  --json     print the answer as it comes\n";

static const char peers_usage[] =
    "usage: shoal peers PEER\n"
    "\n"
    "Prints the peers that PEER (ID@host:port or host:port) knows to be alive, as a list\n"
    "that a newcomer can start from: shoal run EXPERIMENT.yaml --peers FILE\n";

static const char *text_of(const json_t *o, const char *key)
{
    const char *s = json_string_value(json_object_get(o, key));
    return s ? s : "?";
}

static long long whole_of(const json_t *o, const char *key)
{
    return json_integer_value(json_object_get(o, key));
}

static void print_peer(const json_t *p)
{
    const json_t *loss = json_object_get(p, "loss");
    char said[16] = "-";
    if (json_is_number(loss)) snprintf(said, sizeof said, "%.4f", json_number_value(loss));
    printf("%.8s  %-24s %-8s %-8s %6lld %8lld %9lld %8s  %.8s%s\n", text_of(p, "id"),
           text_of(p, "address"), text_of(p, "health"), text_of(p, "phase"), whole_of(p, "epoch"),
           whole_of(p, "steps"), whole_of(p, "tokens_per_s"), said, text_of(p, "lineage"),
           json_is_true(json_object_get(p, "self")) ? "  (asked)" : "");
}

static enum err print_status(const char *text, const char *peer, struct why *w)
{
    json_error_t wrong;
    json_t *o = json_loads(text, 0, &wrong);
    if (!json_is_object(o)) {
        json_decref(o);
        return why(w, ERR_WIRE, "%s answered with something that is not JSON: %s", peer,
                   wrong.text);
    }
    printf("%s: run %.16s, %lld parameters, %lld epochs; this peer sent %.2f MB and received %.2f "
           "MB\n",
           text_of(o, "experiment"), text_of(o, "run"), whole_of(o, "parameters"),
           whole_of(o, "epochs"), (double)whole_of(o, "sent") * 1e-6,
           (double)whole_of(o, "received") * 1e-6);
    printf("%-8s  %-24s %-8s %-8s %6s %8s %9s %8s  %s\n", "id", "address", "health", "phase",
           "epoch", "steps", "tokens/s", "loss", "lineage");
    size_t i;
    json_t *p;
    json_array_foreach(json_object_get(o, "peers"), i, p) print_peer(p);
    json_decref(o);
    return ERR_OK;
}

int status_main(int argc, char **argv)
{
    if (command_help(argc, argv, status_usage)) return 0;
    struct why w = {0};
    const char *peer = NULL;
    bool watch = false, raw = false;
    for (int i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "--watch")) watch = true;
        else if (!strcmp(argv[i], "--json")) raw = true;
        else if (argv[i][0] == '-' || peer) {
            why(&w, ERR_USAGE, "'%s' is not understood; see shoal status --help", argv[i]);
            return command_failed("status", &w);
        } else peer = argv[i];
    }
    enum err e = peer ? ERR_OK : why(&w, ERR_USAGE, "name a peer: ID@host:port or host:port");
    do {
        char *text = NULL;
        if (!e) e = ask(peer, "/status", &text, &w);
        if (!e && watch && isatty(STDOUT_FILENO)) fputs("\033[H\033[2J", stdout);
        if (!e && raw) puts(text);
        else if (!e) e = print_status(text, peer, &w);
        fflush(stdout);
        free(text);
        if (!e && watch) sleep(1);
    } while (!e && watch);
    return e ? command_failed("status", &w) : 0;
}

int peers_main(int argc, char **argv)
{
    if (command_help(argc, argv, peers_usage)) return 0;
    struct why w = {0};
    char *text = NULL;
    enum err e = argc == 2 && argv[1][0] != '-'
                     ? ask(argv[1], "/peers", &text, &w)
                     : why(&w, ERR_USAGE, "name one peer: ID@host:port or host:port");
    if (!e) fputs(text, stdout);
    free(text);
    return e ? command_failed("peers", &w) : 0;
}
