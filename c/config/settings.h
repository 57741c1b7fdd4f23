/* settings.h -- the experiment of a command: its file, and changes from the command line.
 *
 * All mistakes are printed at once: all but the last here, the last one by command_failed, so that
 * each is on a line of its own and begins with the command's name. */
#ifndef SHOAL_CONFIG_SETTINGS_H
#define SHOAL_CONFIG_SETTINGS_H

#include "config/experiment.h"

struct settings {
    const char *path;
    const char *const *sets; /* of --set, "key=value" each */
    size_t sets_count;
    const char *device; /* of --device; NULL: the experiment's */
};

/* Reads the experiment. `command` is the name that is passed to command_failed. */
enum err settings_read(const char *command, const struct settings *s, struct experiment *x,
                       struct why *w);

/* Does experiment_check_files and prints its mistakes. */
enum err settings_check_files(const char *command, struct experiment *x, struct why *w);

/* Prints x's mistakes except the last one, which goes into `w`. Returns `e`, the error they were
 * found with. */
enum err settings_say(const char *command, struct experiment *x, enum err e, struct why *w);

#endif
