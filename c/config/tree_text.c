#include "config/tree_text.h"

#include <stdio.h>

/* The length of the UTF-8 character at `p`, and its code point in *out; 0 when it is invalid (RFC
 * 3629). */
static size_t character(const uint8_t *p, size_t left, uint32_t *out)
{
    static const uint32_t least[5] = {0, 0, 0x80, 0x800, 0x10000};
    size_t n = p[0] < 0x80 ? 1 : p[0] >> 5 == 6 ? 2 : p[0] >> 4 == 14 ? 3 : p[0] >> 3 == 30 ? 4 : 0;
    if (n == 0 || n > left) return 0;
    uint32_t c = n == 1 ? p[0] : p[0] & (0x7fu >> n);
    for (size_t i = 1; i < n; i++) {
        if (p[i] >> 6 != 2) return 0;
        c = c << 6 | (p[i] & 0x3f);
    }
    if (c < least[n] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000)) return 0;
    *out = c;
    return n;
}

/* The characters that YAML calls printable (YAML 1.1, 5.1). */
static bool printable(uint32_t c)
{
    return c == '\t' || c == '\n' || c == '\r' || (c >= 0x20 && c < 0x7f) || c == 0x85 ||
           (c >= 0xa0 && c < 0xfffe) || c >= 0x10000;
}

/* May it occur within a line? Not a control character, a line's end or a byte order mark. */
static bool in_line(uint32_t c)
{
    return printable(c) && c >= 0x20 && c != 0x85 && c != 0x2028 && c != 0x2029 && c != 0xfeff;
}

bool tree_fits_line(const char *text, size_t bytes)
{
    uint32_t c = 0;
    for (size_t i = 0, n; i < bytes; i += n) {
        n = character((const uint8_t *)text + i, bytes - i, &c);
        if (n == 0 || !in_line(c)) return false;
    }
    return true;
}

size_t tree_quoted(const char *text, size_t bytes, char out[8])
{
    uint32_t c = 0;
    size_t n = character((const uint8_t *)text, bytes, &c);
    if (n == 0) snprintf(out, 8, "?");
    else if (c == '"' || c == '\\') snprintf(out, 8, "\\%c", (int)c);
    else if (in_line(c)) snprintf(out, 8, "%.*s", (int)n, text);
    else snprintf(out, 8, "\\u%04X", (unsigned)c & 0xffff);
    return n ? n : 1;
}

const char *tree_shown(const char *text, size_t bytes, char out[TREE_SHOWN_BYTES])
{
    size_t cut = bytes;
    if (bytes > 40) {
        cut = 40;
        /* Do not cut within a character. */
        while (cut > 0 && ((uint8_t)text[cut] & 0xc0) == 0x80) cut--;
    }
    size_t at = 0;
    out[at++] = '\'';
    for (size_t i = 0, n; i < cut; i += n ? n : 1) {
        uint32_t c = 0;
        n = character((const uint8_t *)text + i, cut - i, &c);
        bool plain = n > 0 && in_line(c);
        for (size_t k = 0; plain && k < n; k++) out[at++] = text[i + k];
        if (!plain) out[at++] = '?';
    }
    snprintf(out + at, TREE_SHOWN_BYTES - at, "%s", cut < bytes ? "...'" : "'");
    return out;
}

/* libyaml would also refuse these, but without a place. */
bool tree_text_check(const char *name, struct bytes text, struct mistakes *m)
{
    struct tree_place at = {1, 1};
    for (size_t i = 0; i < text.count;) {
        uint32_t c = 0;
        size_t n = character(text.data + i, text.count - i, &c);
        if (n == 0)
            mistakes_add(m, name, at.line, at.column, ERR_USAGE,
                         "byte 0x%02x is not UTF-8: save the file as UTF-8", text.data[i]);
        else if (!printable(c))
            mistakes_add(m, name, at.line, at.column, ERR_USAGE,
                         "control character U+%04X is not allowed: delete it", c);
        if (n == 0 || !printable(c)) return false;
        i += n;
        at.column++;
        if (c == '\n') at = (struct tree_place){at.line + 1, 1};
    }
    return true;
}
