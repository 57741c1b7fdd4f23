#include "base/terminal.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/whole.h"

#define ERASE_BELOW "\r\033[J"

/* The locale that setlocale would choose for characters. */
static bool speaks_utf8(void)
{
    static const char *const names[] = {"LC_ALL", "LC_CTYPE", "LANG"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const char *v = getenv(names[i]);
        if (v && *v) return strcasestr(v, "utf-8") || strcasestr(v, "utf8");
    }
    return false;
}

void terminal_init(struct terminal *t, int fd)
{
    const char *kind = getenv("TERM");
    *t = (struct terminal){.fd = fd, .utf8 = speaks_utf8()};
    t->live = isatty(fd) && kind && *kind && strcmp(kind, "dumb") && strcmp(kind, "unknown");
}

void terminal_size(const struct terminal *t, size_t *columns, size_t *rows)
{
    struct winsize size = {0};
    if (ioctl(t->fd, TIOCGWINSZ, &size)) size.ws_col = size.ws_row = 0;
    *columns = max_u64(size.ws_col ? size.ws_col : 80, 20);
    *rows = max_u64(size.ws_row ? size.ws_row : 24, 4);
}

/* Bytes of the character that begins here; 0 for an invalid first byte. */
static size_t character(const unsigned char *s)
{
    size_t n = s[0] < 0x80 ? 1 : s[0] >= 0xc2 && s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;
    if (s[0] >= 0x80 && (s[0] < 0xc2 || s[0] > 0xf4)) return 0;
    for (size_t i = 1; i < n; i++)
        if ((s[i] & 0xc0) != 0x80) return 0;
    return n;
}

void terminal_clean(const struct terminal *t, const char *text, size_t columns, char *to,
                    size_t room)
{
    const unsigned char *s = (const unsigned char *)text;
    size_t used = 0;
    for (size_t column = 0; *s && column < columns; column++) {
        size_t n = character(s);
        /* C0, DEL and, as two bytes, C1: a terminal may obey them. */
        const bool control = *s < 0x20 || *s == 0x7f || (s[0] == 0xc2 && s[1] < 0xa0);
        const bool shown = n && !control && (n == 1 || t->utf8);
        if (used + (shown ? n : 1) >= room) break;
        if (shown) memcpy(to + used, s, n);
        else to[used] = '?';
        used += shown ? n : 1;
        s += n ? n : 1;
    }
    to[used] = 0;
}

void terminal_line(struct terminal_picture *p, const char *format, ...)
{
    if (p->count == TERMINAL_LINES_MAX) return;
    va_list list;
    va_start(list, format);
    vsnprintf(p->lines[p->count++], TERMINAL_LINE_BYTES, format, list);
    va_end(list);
}

void terminal_flow(struct terminal_picture *p, const char *const *fields, size_t count,
                   size_t columns)
{
    char line[TERMINAL_LINE_BYTES] = "";
    for (size_t i = 0; i < count; i++) {
        const size_t used = strlen(line), more = strlen(fields[i]);
        const bool fits = used + 2 + more <= columns && used + 2 + more < sizeof line;
        if (!more) continue;
        if (used && !fits) {
            terminal_line(p, "%s", line);
            line[0] = 0;
        }
        const size_t at = strlen(line);
        snprintf(line + at, sizeof line - at, "%s%s", at ? "  " : "", fields[i]);
    }
    if (line[0]) terminal_line(p, "%s", line);
}

/* Errors are ignored: the terminal may be gone. */
static void put(const struct terminal *t, const char *text, size_t bytes)
{
    while (bytes) {
        ssize_t n = write(t->fd, text, bytes);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return;
        text += n;
        bytes -= (size_t)n;
    }
}

void terminal_draw(struct terminal *t, const struct terminal_picture *p)
{
    static const size_t room = 64 + TERMINAL_LINES_MAX * (TERMINAL_LINE_BYTES + 2);
    if (!t->live) return;
    char *out = malloc(room);
    if (!out) return;
    size_t columns, rows, used = (size_t)snprintf(out, room, ERASE_BELOW);
    terminal_size(t, &columns, &rows);
    /* Leaves space for the empty line, and one line for the shell. */
    const size_t count = min_u64(p->count, rows - 2);
    for (size_t i = 0; i < count; i++) {
        out[used++] = '\n';
        /* The last column stays free: some terminals wrap the line there, some do not. */
        terminal_clean(t, p->lines[i], columns - 1, out + used, TERMINAL_LINE_BYTES);
        used += strlen(out + used);
    }
    if (count) used += (size_t)snprintf(out + used, room - used, "\r\033[%zuA", count);
    put(t, out, used);
    free(out);
    t->drawn = true;
}

void terminal_clear(struct terminal *t)
{
    if (t->drawn) put(t, ERASE_BELOW, strlen(ERASE_BELOW));
    t->drawn = false;
}

void terminal_say(struct terminal *t, const char *text)
{
    char line[2 * TERMINAL_LINE_BYTES];
    terminal_clear(t);
    terminal_clean(t, text, sizeof line, line, sizeof line - 1);
    strcat(line, "\n");
    put(t, line, strlen(line));
}
