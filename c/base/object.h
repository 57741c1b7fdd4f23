/* object.h -- builds a JSON object field by field, for the event log and --json.
 *
 *     json_t *o = json_object();
 *     object_u64(o, "step", 12);  object_f64(o, "loss", 3.5);
 *     char *line = object_line(o);                              {"step":12,"loss":3.5}
 *
 * jansson stores and prints it; this file decides what JSON cannot represent: a number that is not
 * finite becomes null, text that is not UTF-8 gets '?' for each of its bytes above 127, a whole
 * number above 2^63 - 1 loses its last digits. Reals are rounded to nine significant digits, enough
 * for any float. Without memory a field is omitted. */
#ifndef SHOAL_BASE_OBJECT_H
#define SHOAL_BASE_OBJECT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

/* Schema version of the event log and of --json output (docs/events.md): increased when a field
 * changes its meaning or is removed, not for a new field or event. */
#define OBJECT_SCHEMA 1

/* Each sets a field by the rules above. object_hex writes two lower-case digits for each byte. */
void object_u64(json_t *o, const char *key, uint64_t v);
void object_f64(json_t *o, const char *key, double v);
void object_bool(json_t *o, const char *key, bool v);
void object_text(json_t *o, const char *key, const char *v);
void object_hex(json_t *o, const char *key, const void *data, size_t count);
/* `text` is already JSON; null if it is invalid. */
void object_json(json_t *o, const char *key, const char *text);

/* The whole object in one line, without a newline; the caller frees it. NULL without memory. */
char *object_line(const json_t *o);

/* From now on only object_print writes to stdout; all other output goes to stderr. Call it once,
 * before anything is printed; if it fails, stdout is unchanged. */
void object_claim_stdout(void);

/* The descriptor that object_print writes to: the claimed stdout, or stdout itself. */
int object_stdout(void);

/* Prints the object, with its schema, and a newline on stdout, and releases it (json_decref).
 * ERR_IO when writing fails, ERR_MEMORY. */
enum err object_print(json_t *o, struct why *w);

/* Prints text that is already JSON to the same place: for what jansson cannot represent, such as an
 * unsigned 64-bit number. ERR_IO. */
enum err object_print_text(const char *text, struct why *w);

#endif
