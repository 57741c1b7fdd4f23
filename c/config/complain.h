/* complain.h -- says what is wrong with a key's value, at its place. */
#ifndef SHOAL_CONFIG_COMPLAIN_H
#define SHOAL_CONFIG_COMPLAIN_H

#include "config/experiment_fields.h"
#include "config/schema.h"

/* Adds to x->mistakes "file:line:column: KEY: " or "--set KEY: " and the sentence; the key counts
 * as bad from now on. `at` is the value's place, or that of a part of it. */
void complain(struct experiment *x, const struct schema_key *k, struct experiment_place at,
              enum err e, const char *format, ...) __attribute__((format(printf, 5, 6)));

/* Says what is wrong with the value of `key` ("model.vocab"), found out later: "file:line:column:
 * key: " and the sentence. Returns `e`. */
enum err experiment_complain(const struct experiment *x, const char *key, struct why *w, enum err e,
                             const char *format, ...) __attribute__((format(printf, 5, 6)));

#endif
