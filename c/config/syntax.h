/* syntax.h -- messages about wrong YAML that help, with the place that is wrong.
 *
 * libyaml says what its grammar missed, often a line too late: "could not find expected ':'" for
 * the `steps:400` of the line before. */
#ifndef SHOAL_CONFIG_SYNTAX_H
#define SHOAL_CONFIG_SYNTAX_H

#include <stdbool.h>
#include <yaml.h>

#include "base/bytes.h"
#include "config/mistakes.h"

/* Adds each `key:value` without a space between, and lets *text view a copy in which the space
 * is there: *copy, which the caller frees; NULL when nothing had to be mended. False without
 * memory. */
bool syntax_mend(const char *name, struct bytes *text,
                 bool (*is_key)(const char *word, size_t bytes), uint8_t **copy,
                 struct mistakes *found);

/* Adds why the parser, which has just failed, could not go on. Says nothing more where syntax_mend
 * has found something already: it may follow from that. */
void syntax_explain(const char *name, struct bytes text, const yaml_parser_t *p,
                    struct mistakes *found);

#endif
