/* object.h -- one JSON object, filled field by field: how shoal speaks to programs, in the event
 * log and with --json.
 *
 *     json_t *o = json_object();
 *     object_u64(o, "step", 12);  object_f64(o, "loss", 3.5);
 *     char *line = object_line(o);                              {"step":12,"loss":3.5}
 *
 * jansson keeps and writes it; here is settled, once, what JSON cannot say: a number that is not
 * finite is null, text that is not UTF-8 has '?' for each of its bytes above 127, a whole number
 * above 2^63 - 1 loses its last digits. Reals are rounded to nine significant digits, enough for
 * any float. A field for which memory is short is left out. */
#ifndef SHOAL_BASE_OBJECT_H
#define SHOAL_BASE_OBJECT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

/* Of the event log and of all that --json prints (docs/events.md): a field that changes its meaning
 * or goes raises it, a new field or event does not. */
#define OBJECT_SCHEMA 1

/* Each sets a field, by the rules above. object_hex writes two lower-case digits for each byte. */
void object_u64(json_t *o, const char *key, uint64_t v);
void object_f64(json_t *o, const char *key, double v);
void object_bool(json_t *o, const char *key, bool v);
void object_text(json_t *o, const char *key, const char *v);
void object_hex(json_t *o, const char *key, const void *data, size_t count);
/* `text` is JSON already; null if it is not. */
void object_json(json_t *o, const char *key, const char *text);

/* The whole object in one line, without a newline; the caller frees it. NULL without memory. */
char *object_line(const json_t *o);

/* From here on stdout holds what object_print prints and nothing else: all that is printed in other
 * ways goes to stderr. Called once, before anything is printed; where it fails, stdout stays as it
 * was. */
void object_claim_stdout(void);

/* What object_print writes to: the claimed stdout, or stdout itself. */
int object_stdout(void);

/* Prints the object, with its schema, and a newline on stdout, and releases it (json_decref).
 * ERR_IO when stdout takes no more, ERR_MEMORY. */
enum err object_print(json_t *o, struct why *w);

/* Prints text that is JSON already, there too: for what jansson cannot hold, such as a whole number
 * of 64 bits. ERR_IO. */
enum err object_print_text(const char *text, struct why *w);

#endif
