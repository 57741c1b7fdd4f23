/* fleet_view.h -- what `shoal swarm` shows: joins, crashes and outer steps as lines, and on a
 * terminal how far each worker is, drawn in place. It knows what the workers' logs say (watch.h)
 * and what its caller tells. */
#ifndef SHOAL_FLEET_FLEET_VIEW_H
#define SHOAL_FLEET_FLEET_VIEW_H

#include "base/instant.h"
#include "base/terminal.h"
#include "fleet/fleet.h"

struct fleet_view {
    const struct fleet *fleet;
    struct terminal terminal;
    instant due;                     /* of the next drawing */
    size_t outers[FLEET_MAX + 1];    /* told so far, of each worker */
    bool joined[FLEET_MAX + 1];      /* told */
    double sent, sent_t, sent_per_s; /* bytes of all workers, when, and the rate before that */
};

/* Shows on `fd`. `f` is lent. */
void fleet_view_init(struct fleet_view *v, const struct fleet *f, int fd);

/* Tells what is new in the logs, and draws when it is time; `now_s`: unix seconds. */
void fleet_view_turn(struct fleet_view *v, instant now, double now_s);

/* A line that stays. */
void fleet_view_say(struct fleet_view *v, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Tells the rest; the last table stays, where there was one. */
void fleet_view_end(struct fleet_view *v);

#endif
