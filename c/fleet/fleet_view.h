/* fleet_view.h -- what `shoal swarm` shows: joins, crashes and outer steps as lines, and on a
 * terminal a table of each worker's progress, redrawn in place. It uses only the workers' logs
 * (watch.h) and its caller's lines. */
#ifndef SHOAL_FLEET_FLEET_VIEW_H
#define SHOAL_FLEET_FLEET_VIEW_H

#include "base/instant.h"
#include "base/terminal.h"
#include "fleet/fleet.h"

struct fleet_view {
    const struct fleet *fleet;
    struct terminal terminal;
    instant due;                     /* when to redraw */
    size_t outers[FLEET_MAX + 1];    /* reported so far, of each worker */
    bool joined[FLEET_MAX + 1];      /* reported */
    double sent, sent_t, sent_per_s; /* bytes sent by all workers, time of that, rate up to then */
};

/* Shows on `fd`. `f` is lent. */
void fleet_view_init(struct fleet_view *v, const struct fleet *f, int fd);

/* Prints what is new in the logs, and redraws when it is time; `now_s`: unix seconds. */
void fleet_view_turn(struct fleet_view *v, instant now, double now_s);

/* Prints a permanent line. */
void fleet_view_say(struct fleet_view *v, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Prints the rest; the last table stays, if there was one. */
void fleet_view_end(struct fleet_view *v);

#endif
