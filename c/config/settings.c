#include "config/settings.h"

#include <stdio.h>

#include "config/check.h"

enum err settings_say(const char *command, struct experiment *x, enum err e, struct why *w)
{
    struct mistakes *m = &x->mistakes;
    if (!e || m->count == 0) return e;
    mistakes_sort(m);
    for (size_t i = 0; i + 1 < m->count; i++)
        fprintf(stderr, "shoal %s: %s\n", command, m->all[i].text);
    const char *last = m->all[m->count - 1].text;
    return m->more ? why(w, e, "%s; and there are %zu more", last, m->more) : why(w, e, "%s", last);
}

enum err settings_read(const char *command, const struct settings *s, struct experiment *x,
                       struct why *w)
{
    enum err e =
        settings_say(command, x, experiment_read_with(s->path, s->sets, s->sets_count, x, w), w);
    return e ? e : experiment_set_device(x, s->device, w);
}

enum err settings_check_files(const char *command, struct experiment *x, struct why *w)
{
    return settings_say(command, x, experiment_check_files(x, w), w);
}
