#include "base/object.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/bytes.h"

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
    char *text = malloc(2 * count + 1);
    if (!text) return;
    json_object_set_new(o, key, json_string(bytes_hex(data, count, text)));
    free(text);
}

void object_json(json_t *o, const char *key, const char *text)
{
    json_t *value = json_loads(text, JSON_DECODE_ANY, NULL);
    if (!value) /* a 64-bit number, such as a seed, loses its last digits */
        value = json_loads(text, JSON_DECODE_ANY | JSON_DECODE_INT_AS_REAL, NULL);
    json_object_set_new(o, key, value ? value : json_null());
}

/* Fifteen digits: enough for a decimal rounded by object_f64, and no more. */
char *object_line(const json_t *o) { return json_dumps(o, JSON_COMPACT | JSON_REAL_PRECISION(15)); }

static int claimed = -1;

void object_claim_stdout(void)
{
    fflush(stdout);
    claimed = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
    if (claimed >= 0) dup2(STDERR_FILENO, STDOUT_FILENO);
}

int object_stdout(void) { return claimed >= 0 ? claimed : STDOUT_FILENO; }

enum err object_print_text(const char *text, struct why *w)
{
    const size_t count = strlen(text);
    fflush(stdout);
    ssize_t n = 1;
    for (size_t done = 0; done < count && n > 0; done += n > 0 ? (size_t)n : 0) do
            n = write(object_stdout(), text + done, count - done);
        while (n < 0 && errno == EINTR);
    return n > 0 ? ERR_OK
                 : why(w, ERR_IO, "not all of the output could be written: %s", strerror(errno));
}

enum err object_print(json_t *o, struct why *w)
{
    json_t *whole = json_pack("{s:i}", "schema", OBJECT_SCHEMA);
    json_object_update(whole, o);
    char *line = object_line(whole);
    json_decref(whole);
    json_decref(o);
    if (!line) return why(w, ERR_MEMORY, "no memory to print JSON");
    const size_t count = strlen(line);
    char *text = realloc(line, count + 2);
    if (!text) {
        free(line);
        return why(w, ERR_MEMORY, "no memory to print JSON");
    }
    memcpy(text + count, "\n", 2);
    enum err e = object_print_text(text, w);
    free(text);
    return e;
}
