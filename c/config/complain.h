/* complain.h -- reports a mistake in a key's value, with its place. */
#ifndef SHOAL_CONFIG_COMPLAIN_H
#define SHOAL_CONFIG_COMPLAIN_H

#include "config/experiment_fields.h"
#include "config/schema.h"

/* Adds to x->mistakes "file:line:column: KEY: " or "--set KEY: " and the sentence, and marks the
 * key as bad. `at` is the place of the value, or of a part of it. */
void complain(struct experiment *x, const struct schema_key *k, struct experiment_place at,
              enum err e, const char *format, ...) __attribute__((format(printf, 5, 6)));

/* Reports a mistake in the value of `key` ("model.vocab") that was found after reading:
 * "file:line:column: key: " and the sentence. Returns `e`. */
enum err experiment_complain(const struct experiment *x, const char *key, struct why *w, enum err e,
                             const char *format, ...) __attribute__((format(printf, 5, 6)));

#endif
