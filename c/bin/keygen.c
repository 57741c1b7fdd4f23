/* keygen.c -- `shoal keygen`: makes the identity of a node. */
#include <stdio.h>

#include "base/object.h"
#include "bin/command.h"
#include "net/identity.h"

#define DEFAULT_FILE "node.key"

int keygen_main(int argc, char **argv)
{
    const char *path = NULL, *show = NULL;
    bool json = false;
    const struct option_row rows[] = {{"out", 'o', .text = &path, .value = "FILE",
                                       .help = "where the key goes", .otherwise = DEFAULT_FILE},
                                      {"show", .text = &show, .value = "FILE",
                                       .help = "print the ID of the key in FILE and make none"},
                                      COMMAND_JSON(&json),
                                      {0}};
    struct options table = {
        .command = "shoal keygen",
        .about = "Makes a new identity (an Ed25519 key), readable by its owner alone, and prints "
                 "its ID. A file that exists is never overwritten. `shoal run` makes one by itself "
                 "where the experiment's swarm.identity is missing.",
        .rows = rows};
    char id[IDENTITY_TEXT_BYTES];
    struct identity *self;
    struct why w = {0};
    int code;
    if (!command_options("keygen", &table, argc, argv, &code)) return code;
    if (show && path) {
        why(&w, ERR_USAGE, "--out makes a key and --show reads one: give one of them");
        return command_failed("keygen", &w);
    }
    if (!path) path = DEFAULT_FILE;
    if (show ? identity_open(show, false, &self, &w) : identity_create(path, &self, &w))
        return command_failed("keygen", &w);
    identity_print(identity_id(self), id);
    identity_close(self);
    if (!json) {
        puts(id);
        return 0;
    }
    json_t *out = json_object();
    object_text(out, "id", id);
    object_text(out, "file", show ? show : path);
    object_bool(out, "made", !show);
    return object_print(out, &w) ? command_failed("keygen", &w) : 0;
}
