/* syntax.h -- helpful messages about wrong YAML, with its place.
 *
 * libyaml reports what its grammar expected, often a line too late: "could not find expected ':'"
 * for the `steps:400` of the line before. */
#ifndef SHOAL_CONFIG_SYNTAX_H
#define SHOAL_CONFIG_SYNTAX_H

#include <stdbool.h>
#include <yaml.h>

#include "base/bytes.h"
#include "config/mistakes.h"

/* Reports each `key:value` without a space, and sets *text to a copy with the space inserted:
 * *copy, which the caller frees; NULL when there was none. False without memory. */
bool syntax_mend(const char *name, struct bytes *text,
                 bool (*is_key)(const char *word, size_t bytes), uint8_t **copy,
                 struct mistakes *found);

/* Reports why the parser has just failed. Adds nothing if syntax_mend has already found something,
 * since that may be the cause. */
void syntax_explain(const char *name, struct bytes text, const yaml_parser_t *p,
                    struct mistakes *found);

#endif
