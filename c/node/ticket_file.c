#include "node/ticket_file.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"

static const char *const heads[] = {"shoal ticket 1", "shoal revoked 1"};
static const char *const names[] = {"ticket", "list"};

static int digit(uint8_t c)
{
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    return -1;
}

/* The next line without its end; the end may be that of Windows, or missing at the last one. */
static struct bytes next_line(struct bytes *rest)
{
    if (!rest->count) return bytes_of(rest->data, 0);
    const uint8_t *end = memchr(rest->data, '\n', rest->count);
    size_t n = end ? (size_t)(end - rest->data) : rest->count;
    struct bytes line = bytes_of(rest->data, n);
    *rest = bytes_of(rest->data + n + (end != NULL), rest->count - n - (end != NULL));
    if (line.count && line.data[line.count - 1] == '\r') line.count--;
    return line;
}

static bool is(struct bytes line, const char *text)
{
    return line.count == strlen(text) && !memcmp(line.data, text, line.count);
}

/* A line of this name and hexadecimal digits: the number of bytes, at most `room`; 0: it is not. */
static size_t hex_line(struct bytes *rest, const char *name, uint8_t *out, size_t room)
{
    struct bytes l = next_line(rest);
    size_t n = strlen(name);
    if (l.count < n + 1 || memcmp(l.data, name, n) != 0 || l.data[n] != ' ') return 0;
    l = bytes_of(l.data + n + 1, l.count - n - 1);
    if (l.count % 2 || l.count / 2 > room) return 0;
    for (size_t i = 0; i < l.count / 2; i++) {
        const int high = digit(l.data[2 * i]), low = digit(l.data[2 * i + 1]);
        if (high < 0 || low < 0) return 0;
        out[i] = (uint8_t)(high << 4 | low);
    }
    return l.count / 2;
}

static bool take_fields(struct ticket_file *f)
{
    const struct bytes b = bytes_of(f->bytes, f->count);
    struct record r;
    if (f->kind == TICKET_FILE_TICKET) return ticket_read(b, &f->ticket);
    if (!f->count || !record_read(b, &r) || r.kind != RECORD_REVOKED) return false;
    f->revoked = r.revoked;
    return true;
}

enum err ticket_file_parse(const char *path, struct bytes text, struct ticket_file *out,
                           struct why *w)
{
    memset(out, 0, sizeof *out);
    struct bytes head = next_line(&text);
    if (is(head, heads[TICKET_FILE_REVOKED])) out->kind = TICKET_FILE_REVOKED;
    else if (!is(head, heads[TICKET_FILE_TICKET]))
        return why(w, ERR_FORMAT,
                   "%s is neither a ticket nor a list of revoked ones: its first line must be "
                   "'%s' or '%s'",
                   path, heads[0], heads[1]);
    const char *name = names[out->kind];
    if (hex_line(&text, "run", out->run_id, sizeof out->run_id) != sizeof out->run_id)
        return why(w, ERR_FORMAT, "%s is damaged: its second line must be 'run' and 32 digits",
                   path);
    if (hex_line(&text, "key", out->key, sizeof out->key) != sizeof out->key)
        return why(w, ERR_FORMAT, "%s is damaged: its third line must be 'key' and 64 digits",
                   path);
    out->count = hex_line(&text, name, out->bytes, sizeof out->bytes);
    bool more = false;
    while (text.count)
        if (next_line(&text).count) more = true;
    if (more || !take_fields(out))
        return why(w, ERR_FORMAT,
                   "%s is damaged: its fourth and last line must be '%s' and the digits that "
                   "`shoal ticket` wrote",
                   path, name);
    return ERR_OK;
}

enum err ticket_file_read(const char *path, struct ticket_file *out, struct why *w)
{
    uint8_t *text;
    size_t count;
    enum err e = file_read(path, TICKET_FILE_BYTES_MAX, &text, &count, w);
    if (e) return e;
    e = ticket_file_parse(path, bytes_of(text, count), out, w);
    free(text);
    return e;
}

static_assert(2 * (RECORD_BYTES_MAX + CRYPTO_KEY_BYTES + CRYPTO_DIGEST_BYTES) + 64 <
                  TICKET_FILE_BYTES_MAX,
              "the longest text fits");

size_t ticket_file_print(const struct ticket_file *f, char out[TICKET_FILE_BYTES_MAX])
{
    char run[2 * CRYPTO_DIGEST_BYTES + 1], key[2 * CRYPTO_KEY_BYTES + 1],
        body[2 * RECORD_BYTES_MAX + 1];
    return (size_t)snprintf(out, TICKET_FILE_BYTES_MAX, "%s\nrun %s\nkey %s\n%s %s\n",
                            heads[f->kind], bytes_hex(f->run_id, sizeof f->run_id, run),
                            bytes_hex(f->key, sizeof f->key, key), names[f->kind],
                            bytes_hex(f->bytes, f->count, body));
}

enum err ticket_file_write(const char *path, const struct ticket_file *f, struct why *w)
{
    char text[TICKET_FILE_BYTES_MAX];
    const struct bytes all = bytes_of(text, ticket_file_print(f, text));
    return file_write_atomic(path, &all, 1, 0644, w);
}

bool ticket_file_signed(const struct crypto *c, const struct ticket_file *f)
{
    const struct bytes b = bytes_of(f->bytes, f->count);
    return f->kind == TICKET_FILE_TICKET ? ticket_signed(c, f->run_id, b, f->key)
                                         : record_verify(c, f->run_id, b, f->key);
}
