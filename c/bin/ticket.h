/* ticket.h -- `shoal ticket ACTION`: what the owner of an experiment does; and the book of a key.
 *
 *     owner.key            the experiment's key, an identity (net/identity.h)
 *     owner.key.tickets    the book: each ticket that it has signed; serials come from it
 *     owner.key.revoked    the newest list of revoked tickets (node/ticket_file.h)
 *     owner.key.lock       held while one of these is written */
#ifndef SHOAL_BIN_TICKET_H
#define SHOAL_BIN_TICKET_H

#include "node/ticket_file.h"

/* argv[0] is the action's name; each returns the exit code. */
int ticket_key(int argc, char **argv);
int ticket_sign(int argc, char **argv);
int ticket_revoke(int argc, char **argv);
int ticket_list(int argc, char **argv);
int ticket_show(int argc, char **argv);

#define TICKET_PATH_BYTES 4096

struct ticket_book {
    char path[TICKET_PATH_BYTES];    /* of the book */
    char revoked[TICKET_PATH_BYTES]; /* of the list */
    int lock;                        /* -1: not held */
    struct ticket_file *tickets;     /* in the order in which they were signed */
    size_t count;
    bool has_list;
    struct ticket_file list; /* if has_list */
};

/* Reads book and list of the key in this file; what is not there is empty. `lock`: nobody else
 * writes them until ticket_book_close. ERR_IO, ERR_FORMAT, ERR_MEMORY, ERR_USAGE; ERR_STOPPED when
 * somebody else writes them. Call ticket_book_close in any case. */
enum err ticket_book_open(struct ticket_book *b, const char *key_path, bool lock, struct why *w);

/* The next serial: one more than the highest. */
uint32_t ticket_book_next(const struct ticket_book *b);

/* Appends a ticket to the book. ERR_IO. */
enum err ticket_book_add(const struct ticket_book *b, const struct ticket_file *t, struct why *w);

void ticket_book_close(struct ticket_book *b);

#endif
