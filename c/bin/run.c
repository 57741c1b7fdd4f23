/* run.c -- `shoal run`: one worker of a swarm; what a cloud machine runs. */
#include <stdlib.h>
#include <string.h>

#include "bin/command.h"
#include "bin/worker.h"

static const char usage[] =
    "usage: shoal run EXPERIMENT.yaml [options]\n"
    "\n"
    "Trains as one worker of a swarm until the run is over. SIGTERM or Ctrl-C: leave politely and "
    "save.\n"
    "\n"
    "  --listen HOST:PORT   UDP address to listen on, instead of swarm.listen\n"
    "  --peers PEER         a file of ID@host:port lines, or one such line; may be given several "
    "times\n"
    "  --dir DIR            keep identity, checkpoints and log under DIR, instead of where the "
    "experiment says\n"
    "  --device DEVICE      cpu, cuda (all GPUs), cuda:1 or cuda:0,2 (those), instead of "
    "machine.device; auto takes the\n"
    "                       GPUs where there are any\n"
    "  --fresh              start anew; the first new checkpoint replaces those of later steps\n";

static enum err parse(int argc, char **argv, const char **experiment, struct worker_options *o,
                      const char **peers, struct why *w)
{
    for (int i = 1; i < argc; i++) {
        const char *a = argv[i];
        bool valued = !strcmp(a, "--listen") || !strcmp(a, "--peers") || !strcmp(a, "--dir") ||
                      !strcmp(a, "--device");
        if (valued && i + 1 >= argc)
            return why(w, ERR_USAGE, "%s needs a value; see shoal run --help", a);
        if (!strcmp(a, "--listen")) o->listen = argv[++i];
        else if (!strcmp(a, "--peers")) peers[o->peers_count++] = argv[++i];
        else if (!strcmp(a, "--dir")) o->dir = argv[++i];
        else if (!strcmp(a, "--device")) o->device = argv[++i];
        else if (!strcmp(a, "--fresh")) o->fresh = true;
        else if (a[0] == '-')
            return why(w, ERR_USAGE, "there is no option %s; see shoal run --help", a);
        else if (*experiment)
            return why(w, ERR_USAGE, "one experiment at a time: '%s' is the second", a);
        else *experiment = a;
    }
    if (!*experiment) return why(w, ERR_USAGE, "name an experiment file; see shoal run --help");
    return ERR_OK;
}

int run_main(int argc, char **argv)
{
    if (command_help(argc, argv, usage)) return 0;
    struct why w = {0};
    struct worker_options o = {0};
    const char *experiment = NULL, **peers = calloc((size_t)argc, sizeof *peers);
    struct experiment *x = calloc(1, sizeof *x);
    enum err e = peers && x ? parse(argc, argv, &experiment, &o, peers, &w)
                            : why(&w, ERR_MEMORY, "no memory to start");
    o.peers = peers;
    if (!e) e = experiment_read(experiment, x, &w);
    if (!e) e = experiment_set_device(x, o.device, &w);
    if (!e) e = worker_run(x, &o, &w);
    free(x);
    free(peers);
    return e ? command_failed("run", &w) : 0;
}
