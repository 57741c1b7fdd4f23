/* command.h -- the subcommands of shoal: one file each, one row each in main.c's table.
 *
 * A subcommand gets argv[0] = its own name, prints results on stdout and errors as one sentence on stderr through
 * command_failed, knows --help, and returns the exit code: 0 only on success. */
#ifndef SHOAL_BIN_COMMAND_H
#define SHOAL_BIN_COMMAND_H

#include <stdbool.h>

#include "base/err.h"

#define SHOAL_VERSION "0.1.0"

struct command {
    const char *name;
    int (*main)(int argc, char **argv);
    const char *summary; /* one line for `shoal --help` */
};

/* Prints "shoal NAME: <story>" on stderr; returns the exit code for it: 2 for ERR_USAGE, 1 otherwise. */
int command_failed(const char *name, const struct why *w);

/* True when an argument is --help or -h; then `usage` was printed on stdout and the command returns 0. */
bool command_help(int argc, char **argv, const char *usage);

int bench_main(int argc, char **argv);
int eval_main(int argc, char **argv);
int export_main(int argc, char **argv);
int generate_main(int argc, char **argv);
int keygen_main(int argc, char **argv);
int plan_main(int argc, char **argv);
int prepare_main(int argc, char **argv);
int peers_main(int argc, char **argv);
int run_main(int argc, char **argv);
int status_main(int argc, char **argv);
int swarm_main(int argc, char **argv);
int train_main(int argc, char **argv);
int version_main(int argc, char **argv);

#endif
