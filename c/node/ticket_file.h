/* ticket_file.h -- tickets and lists of revoked ones as files: lines of text, fit for a mail.
 *
 *     shoal ticket 1                              shoal revoked 1
 *     run 000102...                               run 000102...
 *     key d75a...511a                             key d75a...511a
 *     ticket ...   (swarm/ticket.h, in hex)       list ...   (REVOKED of swarm/wire.h, in hex)
 *
 * Run and key say what it is signed for and by whom: so a file of another run or of another owner
 * can be told from a forged one. */
#ifndef SHOAL_NODE_TICKET_FILE_H
#define SHOAL_NODE_TICKET_FILE_H

#include "base/err.h"
#include "swarm/ticket.h"

enum ticket_file_kind { TICKET_FILE_TICKET, TICKET_FILE_REVOKED };

struct ticket_file {
    enum ticket_file_kind kind;
    uint8_t run_id[CRYPTO_DIGEST_BYTES];
    uint8_t key[CRYPTO_KEY_BYTES];   /* the experiment's */
    uint8_t bytes[RECORD_BYTES_MAX]; /* as signed */
    size_t count;
    union { /* its fields */
        struct ticket ticket;
        struct record_revoked revoked;
    };
};

#define TICKET_FILE_BYTES_MAX 4096 /* of the text */

/* Reads the text; `path` is for the message. ERR_FORMAT unless it is one whole file of either kind
 * whose fields are valid. The signature is not verified. */
enum err ticket_file_parse(const char *path, struct bytes text, struct ticket_file *out,
                           struct why *w);

/* The same from a file. ERR_IO, ERR_FORMAT. */
enum err ticket_file_read(const char *path, struct ticket_file *out, struct why *w);

/* The text, at most TICKET_FILE_BYTES_MAX with its zero byte; its length. */
size_t ticket_file_print(const struct ticket_file *f, char out[TICKET_FILE_BYTES_MAX]);

/* Writes it in one go (file_write_atomic). ERR_IO. */
enum err ticket_file_write(const char *path, const struct ticket_file *f, struct why *w);

/* Has the key signed it for the run, both as the file says? */
bool ticket_file_signed(const struct crypto *c, const struct ticket_file *f);

#endif
