/* run.c -- `shoal run`: one worker of a swarm, as run on a cloud machine. */
#include <stdlib.h>

#include "bin/command.h"
#include "config/settings.h"
#include "node/worker.h"

/* The options: their help, and where their values go. */
static bool take_options(int argc, char **argv, const char **experiment, struct worker_options *o,
                         struct option_texts *peers, struct option_texts *sets, int *code)
{
    const struct option_row rows[] = {
        COMMAND_EXPERIMENT(experiment),
        {"listen", .text = &o->listen, .value = "HOST:PORT",
         .help = "UDP address to listen on, instead of swarm.listen"},
        {"peers", .texts = peers, .value = "PEER",
         .help = "a file or https URL of ID@host:port lines, or one such line; may be given "
                 "several times"},
        {"dir", .text = &o->dir, .value = "DIR",
         .help = "keep identity, checkpoints and log under DIR, instead of where the experiment "
                 "says"},
        COMMAND_DEVICE(&o->device),
        COMMAND_SET(sets),
        {"from", .text = &o->from, .value = "CHECKPOINT",
         .help = "start a new swarm with its parameters; all members must name the same, or one of "
                 "the same epoch"},
        {"quiet", 'q', .flag = &o->quiet,
         .help = "show nothing between the first line and the last; errors and warnings are told"},
        COMMAND_FRESH(&o->fresh),
        COMMAND_JSON(&o->json),
        {0}};
    struct options table = {
        .command = "shoal run",
        .about =
            "Trains as one worker of a swarm until the run is over, and tells what happens: on "
            "a terminal with lines that are drawn in place, elsewhere with a line every ten "
            "seconds. Ctrl-C, SIGTERM or SIGHUP: leave politely and save; once more, a second "
            "later: end at once.",
        .rows = rows};
    return command_options("run", &table, argc, argv, code);
}

int run_main(int argc, char **argv)
{
    static struct option_texts peers, sets;
    struct why w = {0};
    struct worker_options o = {0};
    struct worker_end end = {0};
    const char *experiment;
    int code;
    if (!take_options(argc, argv, &experiment, &o, &peers, &sets, &code)) return code;
    o.peers = peers.items;
    o.peers_count = peers.count;
    struct experiment *x = calloc(1, sizeof *x);
    enum err e = x ? ERR_OK : why(&w, ERR_MEMORY, "no memory to start");
    struct settings s = {
        .path = experiment, .sets = sets.items, .sets_count = sets.count, .device = o.device};
    if (!e) e = settings_read("run", &s, x, &w);
    if (!e) e = worker_run(x, &o, &end, &w);
    free(x);
    if (e) code = command_failed("run", &w);
    else if (end.stopped) code = CODE_STOPPED;
    return end.unsaved ? CODE_UNSAVED : code;
}
