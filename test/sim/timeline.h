/* timeline.h -- a run as one HTML page: `sim SEED --html FILE`.
 *
 *     world.c, check.c, scenario.c --what happens--> timeline --at the end--> FILE
 *
 * The page is self-contained: this data as JSON, timeline.css and timeline.js. Nothing here draws
 * random numbers or changes the world: a seed gives the same events with the page and without.
 *
 *     {"world": {"repeat", "scenario", "far", "end", "rounds", "grouped", "violation", ...},
 *      "workers": [{"step", "mbps", "down", "absent"}],
 *      "spans":   [[node, what, from, to, epoch]]     index into "doing"
 *      "histories": [{"parent", "epoch", "lineage", "tokens", "members": [nodes], "won"}],
 *      "outer":   [[time, node, history, adopted]]    a node takes over this history's state
 *      "faults":  [{"kind", "plan", "from", "to", "node", "freezes", "side": [nodes]}],
 *      "notes":   [[time, node, name, text]]}
 *
 * Times are seconds since the start of the world; node -1: none. A history is the state that an
 * outer step leads to; `won`: it is in the past of the longest one, so there are as many of those
 * as the run reports rounds. */
#ifndef SHOAL_SIM_TIMELINE_H
#define SHOAL_SIM_TIMELINE_H

#include <stdbool.h>

struct world;
struct sim_node;
struct planned;
struct note;
struct timeline;

/* NULL when the run has no --html; then the other functions do nothing. */
struct timeline *timeline_open(const struct world *w);
void timeline_close(struct timeline *t);

/* Something has happened: records what nodes do now that they did not do before. */
void timeline_look(struct world *w);

void timeline_note(struct world *w, const struct sim_node *n, const struct note *note);

/* The node's outer step is done, or a download is in place. */
void timeline_outer(struct world *w, const struct sim_node *n, bool adopted);

/* A planned fault begins; its node, or NULL. */
void timeline_fault(struct world *w, const struct planned *p, const struct sim_node *n);

/* Writes the page. Prints a sentence and returns false if the file cannot be written. */
bool timeline_write(struct world *w);

#endif
