/* err.h -- how a function reports a failure whose cause lies outside the program.
 *
 * A function that can fail for a reason outside the program (a file, a peer, a setting, a device)
 * returns an `enum err` and describes it in a `struct why` that the caller owns; each layer may add
 * what it was doing:
 *
 *     reading checkpoint runs/a/3.ckpt: opening runs/a/3.ckpt: No such file or directory
 *
 * Our own mistakes are not errors: they are assertions. */
#ifndef SHOAL_BASE_ERR_H
#define SHOAL_BASE_ERR_H

#ifdef __cplusplus
extern "C" {
#endif

enum err {
    ERR_OK = 0,
    ERR_USAGE,   /* the command line or the experiment asks for something impossible */
    ERR_IO,      /* the file system failed */
    ERR_FORMAT,  /* a file is not what it should be: truncated, damaged, foreign, another version */
    ERR_WIRE,    /* a peer sent bytes that the protocol does not allow */
    ERR_NETWORK, /* socket, address, handshake, timeout */
    ERR_MEMORY,  /* not enough memory */
    ERR_DEVICE,  /* the compute device failed or is missing */
    ERR_UNSUPPORTED, /* described, but not built yet */
    ERR_NUMBER,      /* a loss or a gradient that is not finite */
    ERR_STOPPED,     /* the user asked the program to stop */
};

#define WHY_BYTES 1024

struct why {
    enum err err;
    char text[WHY_BYTES]; /* one sentence, no newline, always terminated; truncated if longer */
};

/* Sets the text and returns `e`, so that `return why(w, ERR_IO, ...)` reads well. `w` may be
 * NULL. */
enum err why(struct why *w, enum err e, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Prepends what this layer was doing, followed by ": ", and returns `e`. `w` may be NULL. */
enum err why_while(struct why *w, enum err e, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#ifdef __cplusplus
}
#endif
#endif
