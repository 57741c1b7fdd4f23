/* terminal.h -- a few lines at the bottom of a terminal that are drawn again in place, while other
 * lines scroll by above.
 *
 *     14:03:22 joined: 5c0cc73f                              lines that stay
 *     14:03:25 epoch 3: averaged with 3 others
 *     _                                                      an empty line, where the cursor rests
 *     epoch 3 of 20  step 61 of 400  loss 3.4567             the picture
 *     3 peers met, 4 known  12.3 kB/s sent
 *
 * The cursor rests above the picture, so that a terminal that breaks lines anew when it is made
 * narrower leaves nothing of them behind: from the cursor on all is erased before each drawing. For
 * the same reason what another part of the program writes meanwhile gets a line of its own. The
 * width is asked for at each drawing; no line is longer.
 *
 * A pipe, a file and TERM=dumb get no picture and no escape sequence: they are not live. No colour
 * is used anywhere. */
#ifndef SHOAL_BASE_TERMINAL_H
#define SHOAL_BASE_TERMINAL_H

#include <stdbool.h>
#include <stddef.h>

#define TERMINAL_LINES_MAX  48
#define TERMINAL_LINE_BYTES 512

struct terminal {
    int fd;
    bool live;  /* the cursor can be moved */
    bool utf8;  /* characters beyond ASCII are shown as they are, else as '?' */
    bool drawn; /* a picture stands there */
};

struct terminal_picture {
    char lines[TERMINAL_LINES_MAX][TERMINAL_LINE_BYTES];
    size_t count;
};

void terminal_init(struct terminal *t, int fd);

/* Columns and rows now; 80 and 24 where the system does not tell. At least 20 and 4. */
void terminal_size(const struct terminal *t, size_t *columns, size_t *rows);

/* Copies text so that it is safe to show: control characters, and what a terminal without UTF-8
 * cannot show, as '?'; at most `columns` columns, of one character each. */
void terminal_clean(const struct terminal *t, const char *text, size_t columns, char *to,
                    size_t room);

/* Adds a line; one too many is left out. */
void terminal_line(struct terminal_picture *p, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Adds fields that stand two spaces apart, on as many lines as `columns` need. */
void terminal_flow(struct terminal_picture *p, const char *const *fields, size_t count,
                   size_t columns);

/* Draws the picture, or as much of it as fits, in place of the one before. Nothing where it is not
 * live. */
void terminal_draw(struct terminal *t, const struct terminal_picture *p);

/* Writes a line that stays, above the picture, which is gone until the next drawing. Where it is
 * not live: just the line. */
void terminal_say(struct terminal *t, const char *text);

/* Takes the picture away. */
void terminal_clear(struct terminal *t);

#endif
