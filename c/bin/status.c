/* status.c -- `shoal status` and `shoal peers`: the swarm as any one peer sees it. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "bin/ask.h"
#include "bin/command.h"

#define PEER_ROW(to)                                                                               \
    {                                                                                              \
        "PEER", .argument = true, .text = (to),                                                    \
                .missing = "name a peer: ID@host:port or host:port"                                \
    }

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
    struct why w = {0};
    const char *peer;
    bool watch = false, raw = false;
    const struct option_row rows[] = {
        PEER_ROW(&peer),
        {"watch", .flag = &watch, .help = "ask again every second, until Ctrl-C"},
        {"json", .flag = &raw, .help = "print the answer as it comes"},
        {0}};
    struct options table = {.command = "shoal status",
                            .about = "Asks PEER (ID@host:port or host:port) for its view of the "
                                     "swarm.",
                            .rows = rows};
    int code;
    if (!command_options("status", &table, argc, argv, &code)) return code;
    enum err e = ERR_OK;
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
    struct why w = {0};
    char *text = NULL;
    const char *peer;
    const struct option_row rows[] = {PEER_ROW(&peer), {0}};
    struct options table = {
        .command = "shoal peers",
        .about = "Prints the peers that PEER (ID@host:port or host:port) knows to be alive, as a "
                 "list that a newcomer can start from: shoal run EXPERIMENT.yaml --peers FILE",
        .rows = rows};
    int code;
    if (!command_options("peers", &table, argc, argv, &code)) return code;
    enum err e = ask(peer, "/peers", &text, &w);
    if (!e) fputs(text, stdout);
    free(text);
    return e ? command_failed("peers", &w) : 0;
}
