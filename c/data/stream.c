#include "data/stream.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/whole.h"
#include "data/unpack.h"

#define LINE_CHUNK_BYTES (64u << 10)

struct stream {
    const struct source *source;
    const char *field;
    struct unpack *unpack;
    bool begun; /* the text of a plain file has begun */
    uint64_t text_at;

    /* JSON lines */
    uint8_t *held; /* bytes first .. used are not part of a returned line yet */
    size_t first, used, room;
    bool ended;
    uint64_t line;      /* present line number, from 1 */
    json_t *object;     /* of the present line */
    const char *string; /* the text within it */
    size_t left;        /* bytes of it not read yet */
};

/* Makes room for another chunk after the held bytes, which move to the front. */
static enum err make_room(struct stream *t, struct why *w)
{
    if (t->first) memmove(t->held, t->held + t->first, t->used - t->first);
    t->used -= t->first;
    t->first = 0;
    if (t->room - t->used >= LINE_CHUNK_BYTES) return ERR_OK;
    if (t->used > STREAM_LINE_BYTES_MAX)
        return why(w, ERR_FORMAT,
                   "%s:%llu: the line is longer than %u MiB: is it JSON, one object a line?",
                   t->source->name, (unsigned long long)t->line, STREAM_LINE_BYTES_MAX >> 20);
    size_t room = 2 * t->room + LINE_CHUNK_BYTES;
    uint8_t *held = realloc(t->held, room);
    if (!held) return why(w, ERR_MEMORY, "no memory for a line of %s", t->source->name);
    t->held = held;
    t->room = room;
    return ERR_OK;
}

enum err stream_open(const struct source *s, const char *field, struct stream **out, struct why *w)
{
    struct stream *t = calloc(1, sizeof *t);
    if (!t) return why(w, ERR_MEMORY, "no memory to read %s", s->name);
    t->source = s;
    t->field = field;
    enum err e = unpack_open(s, &t->unpack, w);
    if (!e && s->lines) e = make_room(t, w);
    if (e) stream_close(t);
    else *out = t;
    return e;
}

/* The next line without its end; false after the last. It is valid until the next call. */
static enum err next_line(struct stream *t, struct bytes *out, bool *more, struct why *w)
{
    enum err e = ERR_OK;
    size_t seen = 0; /* bytes after `first` known to hold no line end */
    t->line++;
    for (;;) {
        const uint8_t *line = t->held + t->first;
        const uint8_t *end =
            t->used - t->first > seen ? memchr(line + seen, '\n', t->used - t->first - seen) : NULL;
        if (!end && t->ended) end = t->held + t->used;
        if (end) {
            *out = bytes_of(line, (size_t)(end - line));
            *more = t->first < t->used;
            t->first = min_u64((size_t)(end - t->held) + 1, t->used);
            return ERR_OK;
        }
        seen = t->used - t->first;
        size_t n = 0;
        e = make_room(t, w);
        if (!e) e = unpack_read(t->unpack, t->held + t->used, LINE_CHUNK_BYTES, &n, w);
        if (e) return e;
        t->used += n;
        t->ended = n == 0;
    }
}

/* Skips the byte order mark that Windows programs write before the first line. */
static struct bytes without_mark(const struct stream *t, struct bytes line)
{
    bool mark = t->line == 1 && line.count >= 3 && !memcmp(line.data, "\xef\xbb\xbf", 3);
    return mark ? bytes_of(line.data + 3, line.count - 3) : line;
}

static bool blank(struct bytes line)
{
    for (size_t i = 0; i < line.count; i++)
        if (!memchr(" \t\r", line.data[i], 3)) return false;
    return true;
}

/* The names of an object's fields, for the message about a missing one. */
static void list_fields(json_t *object, char *to, size_t room)
{
    const char *key;
    json_t *value;
    size_t used = 0;
    json_object_foreach(object, key, value)
    {
        int n = json_is_string(value)
                    ? snprintf(to + used, room - used, "%s%s", used ? ", " : "", key)
                    : 0;
        used += n > 0 ? (size_t)n : 0;
        if (used >= room) break;
    }
    if (!used) snprintf(to, room, "none");
    if (used >= room) memcpy(to + room - 4, "...", 4);
}

static enum err take_line(struct stream *t, struct bytes line, struct why *w)
{
    json_error_t error;
    char fields[200];
    const char *name = t->source->name;
    unsigned long long number = t->line;
    t->object =
        json_loadb((const char *)line.data, line.count, JSON_ALLOW_NUL | JSON_DECODE_ANY, &error);
    if (!t->object)
        return why(w, ERR_FORMAT, "%s:%llu: not JSON (%s): each line must be one object", name,
                   number, error.text);
    if (!json_is_object(t->object))
        return why(w, ERR_FORMAT, "%s:%llu: not a JSON object: each line must be one", name,
                   number);
    json_t *value = json_object_get(t->object, t->field);
    if (!json_is_string(value)) {
        list_fields(t->object, fields, sizeof fields);
        return why(w, ERR_FORMAT,
                   "%s:%llu: %s '%s': name the field of the text with --field (strings here: %s)",
                   name, number, value ? "there is no string in" : "there is no field", t->field,
                   fields);
    }
    t->string = json_string_value(value);
    t->left = json_string_length(value);
    return ERR_OK;
}

enum err stream_next(struct stream *t, bool *more, struct why *w)
{
    *more = false;
    if (!t->source->lines) {
        *more = !t->begun;
        t->begun = true;
        return ERR_OK;
    }
    json_decref(t->object);
    t->object = NULL;
    t->left = 0;
    struct bytes line;
    bool there;
    enum err e;
    do e = next_line(t, &line, &there, w);
    while (!e && there && blank(line));
    if (!e && there) e = take_line(t, without_mark(t, line), w);
    *more = !e && there;
    return e;
}

enum err stream_read(struct stream *t, uint8_t *to, size_t room, size_t *count, struct why *w)
{
    if (t->source->lines) {
        *count = min_u64(room, t->left);
        if (*count) memcpy(to, t->string, *count);
        t->string += *count;
        t->left -= *count;
        return ERR_OK;
    }
    enum err e = unpack_read(t->unpack, to, room, count, w);
    for (size_t at = 0; !e && at + KIND_HEAD_BYTES <= *count; at += KIND_HEAD_BYTES)
        if (kind_noise(bytes_of(to + at, KIND_HEAD_BYTES)))
            e = why(w, ERR_FORMAT,
                    "%s is binary near byte %llu of its text: take it out of the list",
                    t->source->name, (unsigned long long)(t->text_at + at));
    t->text_at += *count;
    return e;
}

uint64_t stream_position(const struct stream *t) { return unpack_position(t->unpack); }

void stream_close(struct stream *t)
{
    if (!t) return;
    json_decref(t->object);
    unpack_close(t->unpack);
    free(t->held);
    free(t);
}
