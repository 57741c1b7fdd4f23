#include "base/object.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void object_u64(json_t *o, const char *key, uint64_t v)
{
    json_object_set_new(o, key,
                        v <= INT64_MAX ? json_integer((json_int_t)v) : json_real((double)v));
}

void object_f64(json_t *o, const char *key, double v)
{
    char digits[32];
    snprintf(digits, sizeof digits, "%.9g", v);
    json_object_set_new(o, key, isfinite(v) ? json_real(strtod(digits, NULL)) : json_null());
}

void object_bool(json_t *o, const char *key, bool v)
{
    json_object_set_new(o, key, json_boolean(v));
}

void object_text(json_t *o, const char *key, const char *v)
{
    json_t *text = json_string(v);
    char *ascii = text ? NULL : strdup(v);
    for (char *c = ascii; c && *c; c++)
        if ((unsigned char)*c > 127) *c = '?';
    json_object_set_new(o, key, text ? text : ascii ? json_string(ascii) : json_null());
    free(ascii);
}

void object_hex(json_t *o, const char *key, const void *data, size_t count)
{
    static const char digits[] = "0123456789abcdef";
    char *text = malloc(2 * count + 1);
    if (!text) return;
    for (size_t i = 0; i < count; i++) {
        const uint8_t byte = ((const uint8_t *)data)[i];
        text[2 * i] = digits[byte >> 4];
        text[2 * i + 1] = digits[byte & 15];
    }
    json_object_set_new(o, key, json_stringn(text, 2 * count));
    free(text);
}

void object_json(json_t *o, const char *key, const char *text)
{
    json_t *value = json_loads(text, JSON_DECODE_ANY, NULL);
    json_object_set_new(o, key, value ? value : json_null());
}

/* Fifteen digits: all of a decimal that object_f64 rounded, and no more. */
char *object_line(const json_t *o) { return json_dumps(o, JSON_COMPACT | JSON_REAL_PRECISION(15)); }

enum err object_print(json_t *o, struct why *w)
{
    char *line = object_line(o);
    json_decref(o);
    if (!line) return why(w, ERR_MEMORY, "no memory to print JSON");
    const bool printed = puts(line) >= 0 && !fflush(stdout);
    const int failed = errno;
    free(line);
    return printed ? ERR_OK : why(w, ERR_IO, "writing to stdout: %s", strerror(failed));
}
