/* ticket_book.c -- the book of an experiment's key: the tickets that it has signed, one a line.
 *
 *     shoal tickets 1
 *     RUN KEY TICKET       in hexadecimal: those lines of the ticket's file, without their names */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "bin/ticket.h"

#define HEAD       "shoal tickets 1"
#define LINE_BYTES (2 * (CRYPTO_DIGEST_BYTES + CRYPTO_KEY_BYTES + TICKET_BYTES) + 2)
#define BOOK_BYTES ((size_t)64 << 20)

/* One line without its end: as a ticket's file. */
static bool take_line(const char *line, struct ticket_file *out)
{
    char text[TICKET_FILE_BYTES_MAX];
    if (strlen(line) != LINE_BYTES || strspn(line, "0123456789abcdef ") != LINE_BYTES) return false;
    int n = snprintf(text, sizeof text, "shoal ticket 1\nrun %.32s\nkey %.64s\nticket %s\n", line,
                     line + 33, line + 98);
    return !ticket_file_parse("a line", bytes_of(text, (size_t)n), out, NULL);
}

static enum err take_book(struct ticket_book *b, char *text, struct why *w)
{
    char *save = NULL, *line = strtok_r(text, "\n", &save);
    if (!line || strcmp(line, HEAD))
        return why(w, ERR_FORMAT, "%s is not a book of tickets: its first line must be '%s'",
                   b->path, HEAD);
    while ((line = strtok_r(NULL, "\n", &save))) {
        if (!take_line(line, &b->tickets[b->count]))
            return why(w, ERR_FORMAT,
                       "%s is damaged at its ticket %zu: put back a copy of it, or take the line "
                       "out",
                       b->path, b->count + 1);
        b->count++;
    }
    return ERR_OK;
}

static enum err read_book(struct ticket_book *b, struct why *w)
{
    uint8_t *text;
    size_t count;
    if (!file_exists(b->path)) return ERR_OK;
    enum err e = file_read(b->path, BOOK_BYTES, &text, &count, w);
    if (e) return e;
    b->tickets = calloc(count / LINE_BYTES + 1, sizeof *b->tickets);
    if (!b->tickets) e = why(w, ERR_MEMORY, "no memory for the tickets in %s", b->path);
    else if (strlen((char *)text) != count)
        e = why(w, ERR_FORMAT, "%s is not a book of tickets: it is not text", b->path);
    else e = take_book(b, (char *)text, w);
    free(text);
    return e;
}

enum err ticket_book_open(struct ticket_book *b, const char *key_path, bool lock, struct why *w)
{
    char path[TICKET_PATH_BYTES];
    memset(b, 0, sizeof *b);
    b->lock = -1;
    if (strlen(key_path) > TICKET_PATH_BYTES - 16)
        return why(w, ERR_USAGE, "the path %.64s... is too long", key_path);
    snprintf(b->path, sizeof b->path, "%s.tickets", key_path);
    snprintf(b->revoked, sizeof b->revoked, "%s.revoked", key_path);
    snprintf(path, sizeof path, "%s.lock", key_path);
    enum err e = lock ? file_lock(path, &b->lock, w) : ERR_OK;
    if (!e) e = read_book(b, w);
    b->has_list = file_exists(b->revoked);
    if (!e && b->has_list) e = ticket_file_read(b->revoked, &b->list, w);
    if (!e && b->has_list && b->list.kind != TICKET_FILE_REVOKED)
        e = why(w, ERR_FORMAT, "%s is a ticket, not a list of revoked ones: name it otherwise",
                b->revoked);
    return e;
}

uint32_t ticket_book_next(const struct ticket_book *b)
{
    uint32_t highest = 0;
    for (size_t i = 0; i < b->count; i++)
        if (b->tickets[i].ticket.serial > highest) highest = b->tickets[i].ticket.serial;
    if (b->has_list && b->list.revoked.below > highest + 1) highest = b->list.revoked.below - 1;
    return highest + 1;
}

enum err ticket_book_add(const struct ticket_book *b, const struct ticket_file *t, struct why *w)
{
    char run[2 * CRYPTO_DIGEST_BYTES + 1], key[2 * CRYPTO_KEY_BYTES + 1],
        body[2 * TICKET_BYTES + 1], line[LINE_BYTES + 2];
    uint8_t *text = NULL;
    size_t count = 0;
    int n = snprintf(line, sizeof line, "%s %s %s\n", bytes_hex(t->run_id, sizeof t->run_id, run),
                     bytes_hex(t->key, sizeof t->key, key), bytes_hex(t->bytes, t->count, body));
    enum err e = file_exists(b->path) ? file_read(b->path, BOOK_BYTES, &text, &count, w) : ERR_OK;
    const struct bytes parts[] = {bytes_of(text, count),
                                  bytes_of(HEAD "\n", count ? 0 : strlen(HEAD) + 1),
                                  bytes_of(line, (size_t)n)};
    if (!e) e = file_write_atomic(b->path, parts, 3, 0600, w);
    free(text);
    return e;
}

void ticket_book_close(struct ticket_book *b)
{
    free(b->tickets);
    b->tickets = NULL;
    if (b->lock >= 0) file_unlock(b->lock);
    b->lock = -1;
}
