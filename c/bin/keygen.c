/* keygen.c -- `shoal keygen`: makes the identity of a node. */
#include <stdio.h>
#include <string.h>

#include "bin/command.h"
#include "net/identity.h"

#define DEFAULT_FILE "node.key"

static const char usage[] =
    "usage: shoal keygen [-o FILE | --show FILE]\n\n"
    "Makes a new identity (an Ed25519 key) in FILE, " DEFAULT_FILE
    " unless said otherwise, readable by its owner\n"
    "alone, and prints its ID. A file that exists is never overwritten. "
    "`shoal run` makes one by itself where the\n"
    "experiment's swarm.identity is missing. --show prints the ID of one that exists.\n";

int keygen_main(int argc, char **argv)
{
    const char *path = DEFAULT_FILE;
    char id[IDENTITY_TEXT_BYTES];
    struct identity *self;
    struct why w = {0};
    if (command_help(argc, argv, usage)) return 0;
    bool show = argc == 3 && !strcmp(argv[1], "--show");
    if (show || (argc == 3 && !strcmp(argv[1], "-o"))) path = argv[2];
    else if (argc != 1) {
        why(&w, ERR_USAGE, "it takes '-o FILE' or '--show FILE'; see 'shoal keygen --help'");
        return command_failed("keygen", &w);
    }
    if (show ? identity_open(path, false, &self, &w) : identity_create(path, &self, &w))
        return command_failed("keygen", &w);
    puts(identity_print(identity_id(self), id));
    identity_close(self);
    return 0;
}
