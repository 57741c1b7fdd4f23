#include "data/source_list.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include "data/stream.h"
#include "sample.h"
#include "test/folder.h"

static struct source_list list;
static struct why w;

static void begin(void)
{
    folder_make();
    list = (struct source_list){.aside = folder};
}

static void end(void)
{
    source_fini(&list);
    folder_drop();
}

TestSuite(source, .init = begin, .fini = end);

static const char *at(const char *name)
{
    static char paths[8][256];
    static int turn;
    turn = (turn + 1) % 8;
    snprintf(paths[turn], sizeof paths[turn], "%s/%s", folder, name);
    return paths[turn];
}

static const char *put_bytes(const char *name, const void *data, size_t count)
{
    const char *path = at(name);
    struct bytes b = bytes_of(data, count);
    cr_assert_eq(file_write_atomic(path, &b, 1, 0600, &w), ERR_OK, "%s", w.text);
    return path;
}

static const char *put(const char *name, const char *text)
{
    return put_bytes(name, text, strlen(text));
}

static size_t gzip(const void *data, size_t count, uint8_t *out, size_t room)
{
    z_stream z = {.next_in = (Bytef *)data,
                  .avail_in = (uInt)count,
                  .next_out = out,
                  .avail_out = (uInt)room};
    cr_assert_eq(deflateInit2(&z, 6, Z_DEFLATED, 31, 8, Z_DEFAULT_STRATEGY), Z_OK);
    cr_assert_eq(deflate(&z, Z_FINISH), Z_STREAM_END);
    deflateEnd(&z);
    return z.total_out;
}

/* All texts of the list's sources, each followed by a '|'; reads `step` bytes at a time. */
static enum err read_texts(size_t step, struct text *all)
{
    enum err e = ERR_OK;
    all->count = 0;
    for (size_t i = 0; i < list.count && !e; i++) {
        struct stream *s;
        e = stream_open(&list.sources[i], SOURCE_FIELD(&list), &s, &w);
        if (e) break;
        for (bool more = true; !e;) {
            e = stream_next(s, &more, &w);
            if (e || !more) break;
            uint8_t chunk[4096];
            for (size_t n = 1; !e && n; text_add(all, chunk, n)) {
                e = stream_read(s, chunk, step, &n, &w);
                if (e) n = 0;
            }
            text_add_string(all, "|");
        }
        stream_close(s);
    }
    text_add(all, "", 1);
    return e;
}

static void expect_texts(const char *want)
{
    static const size_t steps[] = {1, 7, 4096};
    struct text all = {0};
    for (int i = 0; i < 3; i++) {
        cr_assert_eq(read_texts(steps[i], &all), ERR_OK, "%s", w.text);
        cr_expect_str_eq((char *)all.data, want);
    }
    free(all.data);
}

static void expect_refused(const char *name, enum err err, const char *sentence)
{
    w.text[0] = 0;
    cr_expect_eq(source_add(&list, name, &w), err, "%s", w.text);
    cr_expect_not_null(strstr(w.text, sentence), "it said: %s", w.text);
    cr_expect_not_null(strstr(w.text, name), "without the name: %s", w.text);
}

Test(source, a_folder_is_all_files_in_it_and_below_sorted_without_hidden_ones)
{
    cr_assert_eq(mkdir(at("d"), 0700) + mkdir(at("d/b"), 0700) + mkdir(at("d/.git"), 0700), 0);
    put("d/c.txt", "three");
    put("d/a.txt", "one");
    put("d/b/x.txt", "two");
    put("d/.git/HEAD", "hidden");
    put("d/.hidden", "hidden");
    cr_assert_eq(symlink("c.txt", at("d/link")), 0);
    cr_assert_eq(source_add(&list, at("d"), &w), ERR_OK, "%s", w.text);
    expect_texts("one|two|three|three|");
    cr_assert_eq(mkdir(at("e"), 0700), 0);
    expect_refused(at("e"), ERR_USAGE, "holds no files");
    cr_assert_eq(symlink("..", at("d/b/up")), 0);
    cr_assert_eq(source_add(&list, at("d"), &w), ERR_IO);
    cr_assert_not_null(strstr(w.text, "d/b/up leads back to a folder above it"), "%s", w.text);
}

Test(source, a_list_names_one_a_line_or_ends_each_by_zero)
{
    char text[1024];
    const char *a = put("a b.txt", "one"), *b = put("new\nline", "two");
    int n = snprintf(text, sizeof text, "%s\r\n\n%s", a, a);
    const char *lines = put_bytes("lines", text, (size_t)n);
    cr_assert_eq(source_add_from(&list, lines, &w), ERR_OK, "%s", w.text);
    n = snprintf(text, sizeof text, "%s%c%s%c", b, 0, a, 0);
    const char *zeros = put_bytes("zeros", text, (size_t)n);
    cr_assert_eq(source_add_from(&list, zeros, &w), ERR_OK, "%s", w.text);
    expect_texts("one|one|two|one|");
    n = snprintf(text, sizeof text, "%s\n/nonexistent\n", a);
    cr_assert_eq(source_add_from(&list, put_bytes("lines", text, (size_t)n), &w), ERR_IO);
    cr_assert_not_null(strstr(w.text, "lines:2: opening /nonexistent: No such file"), "%s", w.text);
    cr_assert_eq(source_add_from(&list, put("none", "\n\n"), &w), ERR_USAGE);
    cr_assert_not_null(strstr(w.text, "names no files"), "%s", w.text);
}

Test(source, a_hundred_thousand_files_are_found)
{
    struct text names = {0};
    const char *one = put("one", "x");
    for (int i = 0; i < 100000; i++) text_add_string(&names, one), text_add_string(&names, "\n");
    cr_assert_eq(source_add_from(&list, put_bytes("many", names.data, names.count), &w), ERR_OK);
    cr_assert_eq(list.count, 100000);
    cr_assert_eq(list.bytes, 100000);
    free(names.data);
}

Test(source, standard_input_is_copied_and_read_as_often_as_needed)
{
    int pipes[2], before = dup(0);
    cr_assert_eq(pipe(pipes), 0);
    cr_assert_eq(write(pipes[1], "from a pipe", 11), 11);
    close(pipes[1]);
    dup2(pipes[0], 0);
    cr_assert_eq(source_add(&list, "-", &w), ERR_OK, "%s", w.text);
    expect_texts("from a pipe|");
    cr_assert_eq(source_add(&list, "-", &w), ERR_USAGE);
    cr_assert_not_null(strstr(w.text, "can be read once"));
    dup2(before, 0);
    close(before);
    close(pipes[0]);
}

Test(source, gzip_and_zstd_are_unpacked_with_all_their_members)
{
    uint8_t packed[4096];
    size_t n = gzip("first ", 6, packed, 2048);
    n += gzip("second", 6, packed + n, 2048);
    memset(packed + n, 0, 100); /* padding, as of tapes */
    cr_assert_eq(source_add(&list, put_bytes("a.gz", packed, n + 100), &w), ERR_OK, "%s", w.text);
    n = ZSTD_compress(packed, 2048, "third ", 6, 3);
    n += ZSTD_compress(packed + n, 2048, "fourth", 6, 3);
    cr_assert_eq(source_add(&list, put_bytes("no-ending", packed, n), &w), ERR_OK, "%s", w.text);
    expect_texts("first second|third fourth|");
}

/* Whatever byte is wrong or missing, the file is named and nothing is taken for its end. */
Test(source, a_cut_or_damaged_file_is_named)
{
    struct text t = {0}, all = {0};
    uint8_t packed[65536], bad[65536];
    struct rng r = rng_init(1);
    while (t.count < 40000) text_add(&t, &"abcdefgh \n"[rng_below(&r, 10)], 1);
    for (int z = 0; z < 2; z++) {
        size_t n = z ? ZSTD_compress(packed, sizeof packed, t.data, t.count, 3)
                     : gzip(t.data, t.count, packed, sizeof packed);
        for (int i = 0; i < 60; i++) {
            size_t where = 4 + (size_t)rng_below(&r, n - 4), count = i & 1 ? where : n;
            memcpy(bad, packed, n);
            if (count == n) bad[where] ^= (uint8_t)(1 + rng_below(&r, 255));
            const char *path = put_bytes("bad", bad, count);
            source_fini(&list);
            enum err e = source_add(&list, path, &w);
            if (!e) e = read_texts(4096, &all);
            /* zstd without a checksum, and names and times in gzip's head, may change unseen. */
            if (!e && count == n) continue;
            cr_expect_eq(e, ERR_FORMAT, "%s", w.text);
            cr_expect_not_null(strstr(w.text, path), "%s", w.text);
        }
    }
    free(t.data);
    free(all.data);
}

Test(source, json_lines_give_the_text_of_each)
{
    uint8_t packed[4096];
    static const char lines[] = "\xef\xbb\xbf{\"text\": \"one\", \"n\": 1}\r\n\n  \n{\"x\": [{}], "
                                "\"text\": \"t\\u00e9\\n\"}";
    cr_assert_eq(source_add(&list, put("a.jsonl", lines), &w), ERR_OK, "%s", w.text);
    size_t n = gzip(lines, sizeof lines - 1, packed, sizeof packed);
    cr_assert_eq(source_add(&list, put_bytes("a.ndjson.gz", packed, n), &w), ERR_OK, "%s", w.text);
    expect_texts("one|t\u00e9\n|one|t\u00e9\n|");
    cr_assert_eq(source_add(&list, put("plain.json", "{\"text\": 1}"), &w), ERR_OK, "%s", w.text);
    cr_assert_not(list.sources[2].lines);
    list.field = "body";
    cr_assert_eq(source_add(&list, put("c.json", "{\"body\": \"b\"}\n"), &w), ERR_OK, "%s", w.text);
    cr_assert(list.sources[3].lines);
}

Test(source, a_bad_line_is_named_by_file_and_number)
{
    static const char *const bad[][2] = {
        {"{\"text\": \"broken", "bad.jsonl:2: not JSON ("},
        {"[1]", "bad.jsonl:2: not a JSON object"},
        {"17", "bad.jsonl:2: not a JSON object"},
        {"{\"body\": \"b\", \"n\": 1}", "bad.jsonl:2: there is no field 'text': name the field of "
                                        "the text with --field (strings here: body)"},
        {"{\"text\": null}", "bad.jsonl:2: there is no string in 'text'"},
        {"{\"text\": \"\xff\"}", "bad.jsonl:2: not JSON ("}};
    struct text all = {0};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char text[256];
        snprintf(text, sizeof text, "{\"text\": \"good\"}\n%s\n", bad[i][0]);
        source_fini(&list);
        cr_assert_eq(source_add(&list, put("bad.jsonl", text), &w), ERR_OK, "%s", w.text);
        cr_expect_eq(read_texts(4096, &all), ERR_FORMAT);
        cr_expect_not_null(strstr(w.text, bad[i][1]), "it said: %s", w.text);
    }
    cr_assert_eq(source_add(&list, put("first.jsonl", "{}\n"), &w),
                 ERR_FORMAT); /* before any work */
    cr_assert_not_null(strstr(w.text, "first.jsonl:1: there is no field 'text'"), "%s", w.text);
    free(all.data);
}

Test(source, a_line_longer_than_any_text_is_refused_in_bounded_memory)
{
    struct text all = {0};
    const char *path = put("long.jsonl", "{\"text\": \"good\"}\n");
    int fd = open(path, O_WRONLY | O_APPEND);
    cr_assert_eq(ftruncate(fd, (off_t)STREAM_LINE_BYTES_MAX + (1 << 20)),
                 0); /* a hole: zeros without end */
    close(fd);
    list.count = 0;
    enum err e = source_add(&list, path, &w);
    if (!e) e = read_texts(4096, &all);
    cr_assert_eq(e, ERR_FORMAT);
    cr_assert_not_null(strstr(w.text, "long.jsonl"), "%s", w.text);
    free(all.data);
}

Test(source, what_is_no_text_is_refused_by_name_with_what_to_do)
{
    static const struct {
        const char *name;
        struct bytes head;
        const char *what, *remedy;
    } rows[] = {
#define HEAD(text) {(const uint8_t *)(text), sizeof(text) - 1}
        {"a.parquet", HEAD("PAR1\x15\x04"), "is a Parquet file", "--field"},
        {"a.arrow", HEAD("ARROW1\0\0"), "is an Arrow file", "--field"},
        {"a.utf16",
         HEAD("\xff\xfe"
              "a\0b\0"),
         "is UTF-16", "iconv -f UTF-16 "},
        {"b.utf16",
         HEAD("\xfe\xff"
              "\0a\0b"),
         "is UTF-16", "iconv -f UTF-16 "},
        {"a.utf32", HEAD("\xff\xfe\0\0a\0\0\0"), "is UTF-32", "iconv -f UTF-32 "},
        {"c.utf16", HEAD("a\0 \0t\0e\0x\0t\0 \0o\0f\0 \0w\0o\0r\0d\0s\0"),
         "is UTF-16 without a mark", "UTF-16LE"},
        {"d.utf16", HEAD("\0a\0 \0t\0e\0x\0t\0 \0o\0f\0 \0w\0o\0r\0d\0s"),
         "is UTF-16 without a mark", "UTF-16BE"},
        {"a.xz",
         HEAD("\xfd"
              "7zXZ\0"),
         "is packed by xz", "xz -dc"},
        {"a.bz2", HEAD("BZh91AY&SY"), "is packed by bzip2", "bzip2 -dc"},
        {"a.zip", HEAD("PK\x03\x04"), "is a ZIP archive", "unpack it first"},
        {"a.pdf", HEAD("%PDF-1.7"), "is a PDF", "pdftotext"},
        {"a.out",
         HEAD("\x7f"
              "ELF"),
         "is a program", "take it out"},
        {"a.png", HEAD("\x89PNG\r\n\x1a\n"), "is a picture", "take it out"},
        {"a.db", HEAD("SQLite format 3\0"), "is an SQLite database", "--field"},
        {"noise", HEAD("\0\1\2\3\4\5\6\0\1\2\3\4"), "is binary", "take it out"},
        {"a.koi8", HEAD("\xf0\xd2\xc9\xd7\xc5\xd4 \xd7\xd3\xc5\xcd \xf0\xd2\xc9\xd7\xc5\xd4"),
         "is not UTF-8", "iconv"},
#undef HEAD
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const char *path = put_bytes(rows[i].name, rows[i].head.data, rows[i].head.count);
        expect_refused(path, ERR_FORMAT, rows[i].what);
        cr_expect_not_null(strstr(w.text, rows[i].remedy), "no remedy: %s", w.text);
    }
    uint8_t packed[4096], tar[512] = "name";
    memcpy(tar + 257, "ustar", 5);
    size_t n = gzip(tar, sizeof tar, packed, sizeof packed);
    expect_refused(put_bytes("a.tar.gz", packed, n), ERR_FORMAT, "in it is a tar archive");
    n = gzip(packed, n, packed + 2048, 2048);
    expect_refused(put_bytes("a.gz.gz", packed + 2048, n), ERR_FORMAT, "is packed twice");
}

Test(source, text_stays_text)
{
    put("latin",
        "Some words, one of them na\xefve, others with \xe9: they are counted, not refused.");
    put("empty", "");
    put("control", "\x1b[31mred\x1b[0m\tand a bell\a\n");
    put_bytes("zero", "a zero\0 in the middle of a long line of text", 44);
    cr_assert_eq(source_add(&list, at("latin"), &w), ERR_OK, "%s", w.text);
    cr_assert_eq(source_add(&list, at("empty"), &w), ERR_OK, "%s", w.text);
    cr_assert_eq(source_add(&list, at("control"), &w), ERR_OK, "%s", w.text);
    cr_assert_eq(source_add(&list, at("zero"), &w), ERR_OK, "%s", w.text);
}

Test(source, what_turns_binary_later_is_refused_too)
{
    struct text t = {0}, all = {0};
    struct rng r = rng_init(2);
    while (t.count < 100000) text_add_string(&t, "a line of text\n");
    for (int i = 0; i < 100000; i++) text_add(&t, &(uint8_t){(uint8_t)rng_below(&r, 256)}, 1);
    cr_assert_eq(source_add(&list, put_bytes("installer.sh", t.data, t.count), &w), ERR_OK);
    struct stream *s;
    bool more;
    uint8_t *chunk = malloc(1 << 20);
    cr_assert_eq(stream_open(&list.sources[0], "", &s, &w) + stream_next(s, &more, &w), ERR_OK);
    size_t n;
    cr_assert_eq(stream_read(s, chunk, 1 << 20, &n, &w), ERR_FORMAT);
    cr_assert_not_null(strstr(w.text, "installer.sh is binary near byte"), "%s", w.text);
    stream_close(s);
    free(chunk);
    free(t.data);
    free(all.data);
}

Test(source, pipes_and_devices_are_refused_without_waiting)
{
    cr_assert_eq(mkfifo(at("pipe"), 0600), 0);
    expect_refused(at("pipe"), ERR_IO, "is a pipe, no regular file");
    expect_refused("/dev/null", ERR_IO, "is a device");
    expect_refused("/nonexistent", ERR_IO, "No such file");
}
