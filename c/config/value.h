/* value.h -- one value of an experiment: from a node of the file into its field, by the schema's
 * row. */
#ifndef SHOAL_CONFIG_VALUE_H
#define SHOAL_CONFIG_VALUE_H

#include <stdio.h>

#include "config/schema.h"
#include "config/tree.h"

/* Stores the value of `node` in the row's field. False for an invalid value: then x->mistakes has
 * the place, what was found and what is allowed. */
bool value_store(const struct schema_key *k, const struct tree *d, const struct tree_node *node,
                 struct experiment *x);

/* Stores the text of a `--set KEY=TEXT`; x->places already marks it as set. */
bool value_set(const struct schema_key *k, const char *text, struct experiment *x);

/* Stores the row's `initial`, which exists and is valid. */
void value_store_initial(const struct schema_key *k, struct experiment *x);

/* Prints the row's value as in a file, like `experiment_print`: numbers with the fewest digits that
 * read back to the same value. */
void value_print(FILE *to, const struct schema_key *k, const struct experiment *x);

/* Sets x->machine.device from "auto", "cpu", "cuda" or "cuda:N,N...", distinct N up to `most`, at
 * most EXPERIMENT_GPUS_MAX of them; otherwise leaves it unchanged. */
enum value_fit { VALUE_FITS, VALUE_OTHER, VALUE_OUTSIDE };
enum value_fit value_device(struct experiment *x, const char *text, uint64_t most);

/* Is this "host:port", with a name, an IPv4 address or an IPv6 address in brackets, and a port >=
 * `port_least`? */
bool value_is_address(const char *text, uint32_t port_least);

/* The same for listening: the host may be *, the port 0. */
bool value_is_listen(const char *text);

/* Is this "ID@host:port", the ID 64 hexadecimal digits? */
bool value_is_peer(const char *text);

/* What a plain scalar looks like. */
enum value_look { VALUE_NOTHING, VALUE_BOOL, VALUE_WHOLE, VALUE_NUMBER, VALUE_WORD };
enum value_look value_look(const char *text, size_t bytes);

#endif
