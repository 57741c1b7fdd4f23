/* settings.h -- the experiment that a command works on: its file, and what the command line changes
 * in it.
 *
 * Everything that is wrong is printed in one go: all sentences but the last here, the last one by
 * command_failed, so that each stands in a line of its own and begins with the command's name. */
#ifndef SHOAL_CONFIG_SETTINGS_H
#define SHOAL_CONFIG_SETTINGS_H

#include "config/experiment.h"

struct settings {
    const char *path;
    const char *const *sets; /* of --set, "key=value" each */
    size_t sets_count;
    const char *device; /* of --device; NULL: as the experiment says */
};

/* Reads the experiment. `command` is the name that command_failed will be given. */
enum err settings_read(const char *command, const struct settings *s, struct experiment *x,
                       struct why *w);

/* What experiment_check_files finds. */
enum err settings_check_files(const char *command, struct experiment *x, struct why *w);

/* Prints x's mistakes but for the last one, which goes into `w`. Returns `e`, with which they were
 * found. */
enum err settings_say(const char *command, struct experiment *x, enum err e, struct why *w);

#endif
