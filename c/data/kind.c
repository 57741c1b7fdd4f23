#include "data/kind.h"

#include <string.h>

#include "data/utf8.h"

#define COLUMNS                                                                                    \
    "write its column of text as JSON lines (in Python: frame.to_json(NAME, orient='records', "    \
    "lines=True)) and name it with --field"
#define NO_TEXT "take it out of the list; only text teaches a model of text"

static const struct {
    size_t at;
    struct bytes mark;
    const char *what, *remedy;
} known[] = {
#define MARK(text)                                                                                 \
    {                                                                                              \
        (const uint8_t *)(text), sizeof(text) - 1                                                  \
    }
    {0, MARK("PAR1"), "a Parquet file", COLUMNS},
    {0, MARK("ARROW1\0\0"), "an Arrow file", COLUMNS},
    {0, MARK("\xff\xfe\0\0"), "UTF-32",
     "convert it first, as in: iconv -f UTF-32 -t UTF-8 OLD > NEW"},
    {0, MARK("\0\0\xfe\xff"), "UTF-32",
     "convert it first, as in: iconv -f UTF-32 -t UTF-8 OLD > NEW"},
    {0, MARK("\xff\xfe"), "UTF-16", "convert it first, as in: iconv -f UTF-16 -t UTF-8 OLD > NEW"},
    {0, MARK("\xfe\xff"), "UTF-16", "convert it first, as in: iconv -f UTF-16 -t UTF-8 OLD > NEW"},
    {0,
     MARK("\xfd"
          "7zXZ\0"),
     "packed by xz", "unpack it first, as in: xz -dc FILE | shoal prepare - ..."},
    {4, MARK("1AY&SY"), "packed by bzip2",
     "unpack it first, as in: bzip2 -dc FILE | shoal prepare - ..."},
    {0, MARK("\x04\x22\x4d\x18"), "packed by lz4",
     "unpack it first, as in: lz4 -dc FILE | shoal prepare - ..."},
    {0, MARK("PK\x03\x04"), "a ZIP archive", "unpack it first and name the folder"},
    {0, MARK("7z\xbc\xaf\x27\x1c"), "a 7z archive", "unpack it first and name the folder"},
    {257, MARK("ustar"), "a tar archive", "unpack it first (tar -xf FILE) and name the folder"},
    {0, MARK("%PDF-"), "a PDF", "take its text out first, as in: pdftotext FILE"},
    {0,
     MARK("\x7f"
          "ELF"),
     "a program", NO_TEXT},
    {0, MARK("\x89PNG\r\n"), "a picture", NO_TEXT},
    {0, MARK("\xff\xd8\xff"), "a picture", NO_TEXT},
    {0, MARK("SQLite format 3\0"), "an SQLite database",
     "write its text as JSON lines and name the field with --field"},
#undef MARK
};

static const struct kind_found text = {KIND_TEXT, NULL, NULL};

static struct kind_found foreign(const char *what, const char *remedy)
{
    return (struct kind_found){KIND_FOREIGN, what, remedy};
}

/* Control characters that do not occur in text, in particular zero. */
static bool control(uint8_t c)
{
    return (c < 0x20 && (c < 0x07 || c > 0x0d) && c != 0x1b) || c == 0x7f;
}

bool kind_noise(struct bytes b)
{
    size_t n = 0;
    for (size_t i = 0; i < b.count; i++) n += control(b.data[i]);
    return n > b.count / 20 + 2;
}

/* UTF-16 and UTF-32 of mostly Latin letters, recognized by the positions of zeros. */
static const struct kind_found *wide(struct bytes b)
{
    static const struct kind_found
        utf32 = {KIND_FOREIGN, "UTF-32 without a mark",
                 "convert it first, as in: iconv -f UTF-32LE (or BE) -t UTF-8 OLD > NEW"},
        little = {KIND_FOREIGN, "UTF-16 without a mark",
                  "convert it first, as in: iconv -f UTF-16LE -t UTF-8 OLD > NEW"},
        big = {KIND_FOREIGN, "UTF-16 without a mark",
               "convert it first, as in: iconv -f UTF-16BE -t UTF-8 OLD > NEW"};
    size_t zeros[2] = {0, 0}, half = b.count / 2;
    for (size_t i = 0; i < b.count; i++) zeros[i & 1] += b.data[i] == 0;
    if (half < 8) return NULL;
    if (zeros[0] + zeros[1] > b.count * 7 / 10) return &utf32;
    if (zeros[1] > half * 6 / 10 && zeros[0] <= half / 20) return &little;
    if (zeros[0] > half * 6 / 10 && zeros[1] <= half / 20) return &big;
    return NULL;
}

/* Number of bytes that are not UTF-8. The last character may be incomplete and does not count. */
static size_t invalid_bytes(struct bytes b)
{
    size_t sum = 0;
    for (size_t at = 0, n; at + 4 <= b.count; at += n)
        if (utf8_next(b.data + at, b.count - at, &n) == UTF8_INVALID) sum += n;
    return sum;
}

struct kind_found kind_of(struct bytes b)
{
    if (b.count > KIND_HEAD_BYTES) b.count = KIND_HEAD_BYTES;
    if (b.count >= 2 && !memcmp(b.data, "\x1f\x8b", 2))
        return (struct kind_found){KIND_GZIP, NULL, NULL};
    if (b.count >= 4 && !memcmp(b.data, "\x28\xb5\x2f\xfd", 4))
        return (struct kind_found){KIND_ZSTD, NULL, NULL};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (b.count >= known[i].at + known[i].mark.count &&
            !memcmp(b.data + known[i].at, known[i].mark.data, known[i].mark.count))
            return foreign(known[i].what, known[i].remedy);
    const struct kind_found *w = wide(b);
    if (w) return *w;
    if (kind_noise(b)) return foreign("binary", NO_TEXT);
    if (invalid_bytes(b) > b.count / 10 + 4)
        return foreign(
            "not UTF-8",
            "convert it first, as in: iconv -f latin1 (or what it is) -t UTF-8 OLD > NEW");
    return text;
}
