/* node_choice.h -- which of several histories a node follows. Part of node.c, on the same struct.
 *
 * What a history weighs is only claimed by those who hold it: it counts among histories that enough
 * members work on. SPEC.md, "Which history". */
#ifndef SHOAL_SWARM_NODE_CHOICE_H
#define SHOAL_SWARM_NODE_CHOICE_H

#include "node_parts.h"

/* The linked live member whose history is to be followed instead of mine; NULL: mine is. */
const struct member *node_choice(struct node *n);
/* The same while `target` is downloaded: one to be followed instead of that. */
const struct member *node_choice_beyond(struct node *n, const struct lineage_state *target);

/* When a lighter history is followed that outvotes mine; INSTANT_NEVER: none does. */
instant node_outvoted_at(const struct node *n);

/* What I hold leads on from `lineage`: whoever still has that is late, and on my side. */
void node_comes_from(struct node *n, const uint8_t lineage[CRYPTO_DIGEST_BYTES]);
/* What I hold was downloaded: what led to it is not known. */
void node_comes_from_nothing(struct node *n);

#endif
