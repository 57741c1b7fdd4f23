/* command.h -- the subcommands of shoal: one file each, one row each in main.c's table.
 *
 * A subcommand gets argv[0] = its own name, takes its options from a table (options.h), prints
 * results on stdout and errors as one sentence on stderr through command_failed, and returns the
 * exit code: 0 only on full success. */
#ifndef SHOAL_BIN_COMMAND_H
#define SHOAL_BIN_COMMAND_H

#include <stdbool.h>

#include "base/code.h"
#include "base/err.h"
#include "base/options.h"

struct command {
    const char *name;
    int (*main)(int argc, char **argv);
    const char *summary; /* one line for `shoal --help` */
};

/* Prints "shoal NAME: <story>" on stderr; returns CODE_USAGE for ERR_USAGE, else
 * CODE_ERROR. */
int command_failed(const char *name, const struct why *w);

/* Parses the command line by the table. False: help or a mistake was printed, and the command ends
 * with *code. `name` is the subcommand's, as for command_failed. If the option "json" was given,
 * claims stdout for JSON (object_claim_stdout). */
bool command_options(const char *name, struct options *o, int argc, char **argv, int *code);

/* A command that does several things, each named by the word that follows it. */
struct command_choice {
    const char *name;         /* the command's */
    const char *what;         /* such a word: "subject" */
    const char *names, *last; /* all of them, for messages: "cpu, gpu", "net" */
    const struct command *of;
    size_t count;
};

/* Does what the command line names, or prints help or the mistake; returns the exit code. */
int command_choose(const struct command_choice *c, int argc, char **argv);

/* Rows shared by several commands. */
#define COMMAND_DEVICE(to)                                                                         \
    {                                                                                              \
        "device",                                                                                  \
            .text = (to), .value = "DEVICE",                                                       \
            .help =                                                                                \
                "cpu, cuda (all GPUs), cuda:1 or cuda:0,2 (those) or auto (the GPUs where there "  \
                "are any), instead of machine.device"                                              \
    }
#define COMMAND_FRESH(to)                                                                          \
    {                                                                                              \
        "fresh", .flag = (to),                                                                     \
                 .help = "start anew; the checkpoints that are there are moved into a folder "     \
                         "before-1, before-2 and so on"                                            \
    }
#define COMMAND_EXPERIMENT(to)                                                                     \
    {                                                                                              \
        "EXPERIMENT.yaml", .argument = true, .text = (to),                                         \
                           .missing = "name an experiment: a YAML file"                            \
    }
#define COMMAND_SET(to)                                                                            \
    {                                                                                              \
        "set", .texts = (to), .value = "KEY=VALUE",                                                \
               .help = "override a key of the experiment, as train.optimizer.lr=1e-3; a path "     \
                       "starts from the working folder; may be given several times"                \
    }
#define COMMAND_CHECKPOINT(to)                                                                     \
    {                                                                                              \
        "CHECKPOINT", .argument = true, .text = (to),                                              \
                      .help = "a file, or a folder whose newest is taken",                         \
                      .missing = "name a checkpoint"                                               \
    }
#define COMMAND_JSON(to)                                                                           \
    {                                                                                              \
        "json", .flag = (to),                                                                      \
                .help = "print JSON for a program, and nothing else (docs/events.md)"              \
    }
#define COMMAND_STEPS_MAX 1000000000000u /* limit of train.steps */

/* The subcommands, by name: argv[0] is the name; each returns the exit code. */
int bench_main(int argc, char **argv);
int eval_main(int argc, char **argv);
int export_main(int argc, char **argv);
int generate_main(int argc, char **argv);
int init_main(int argc, char **argv);
int keygen_main(int argc, char **argv);
int plan_main(int argc, char **argv);
int prepare_main(int argc, char **argv);
int peers_main(int argc, char **argv);
int report_main(int argc, char **argv);
int run_main(int argc, char **argv);
int status_main(int argc, char **argv);
int swarm_main(int argc, char **argv);
int train_main(int argc, char **argv);
int ticket_main(int argc, char **argv);
int version_main(int argc, char **argv);

#endif
