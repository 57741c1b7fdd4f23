/* terminal.h -- a few lines at the bottom of a terminal that are redrawn in place, while other
 * lines scroll by above.
 *
 *     14:03:22 joined: 5c0cc73f                              permanent lines
 *     14:03:25 epoch 3: averaged with 3 others
 *     _                                                      an empty line with the cursor
 *     epoch 3 of 20  step 61 of 400  loss 3.4567             the picture
 *     3 peers met, 4 known  12.3 kB/s sent
 *
 * The cursor stays above the picture, so that a terminal that rewraps lines when made narrower
 * leaves no remains: everything from the cursor on is erased before each drawing. Also, output of
 * other parts of the program gets a line of its own. The width is queried at each drawing; no line
 * is longer.
 *
 * A pipe, a file and TERM=dumb are not live: they get no picture and no escape sequences. No
 * colours are used. */
#ifndef SHOAL_BASE_TERMINAL_H
#define SHOAL_BASE_TERMINAL_H

#include <stdbool.h>
#include <stddef.h>

#define TERMINAL_LINES_MAX  48
#define TERMINAL_LINE_BYTES 512

struct terminal {
    int fd;
    bool live;  /* the cursor can be moved */
    bool utf8;  /* characters beyond ASCII are shown unchanged, otherwise as '?' */
    bool drawn; /* a picture is on the screen */
};

struct terminal_picture {
    char lines[TERMINAL_LINES_MAX][TERMINAL_LINE_BYTES];
    size_t count;
};

void terminal_init(struct terminal *t, int fd);

/* Present columns and rows; 80 and 24 if unknown. At least 20 and 4. */
void terminal_size(const struct terminal *t, size_t *columns, size_t *rows);

/* Copies text so that it is safe to show: control characters, and characters that a terminal
 * without UTF-8 cannot show, become '?'; at most `columns` columns, of one character each. */
void terminal_clean(const struct terminal *t, const char *text, size_t columns, char *to,
                    size_t room);

/* Adds a line; dropped if there are too many. */
void terminal_line(struct terminal_picture *p, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Adds fields two spaces apart, on as many lines as `columns` need. */
void terminal_flow(struct terminal_picture *p, const char *const *fields, size_t count,
                   size_t columns);

/* Draws the picture, or as much of it as fits, replacing the previous one. Does nothing if not
 * live. */
void terminal_draw(struct terminal *t, const struct terminal_picture *p);

/* Writes a permanent line above the picture, which is erased until the next drawing. If not live:
 * only the line. */
void terminal_say(struct terminal *t, const char *text);

/* Erases the picture. */
void terminal_clear(struct terminal *t);

#endif
