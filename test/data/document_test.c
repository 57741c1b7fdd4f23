#include "data/document.h"

#include <unistd.h>

#include "sample.h"
#include "test/folder.h"

static char paths[4][128];
static const char *names[4];
static struct why w;

static void begin(void)
{
    folder_make();
    for (int i = 0; i < 4; i++) {
        snprintf(paths[i], sizeof paths[i], "%s/%d", folder, i);
        names[i] = paths[i];
    }
}

TestSuite(document, .init = begin, .fini = folder_drop);

static void write_text(int i, const struct text *t)
{
    struct bytes b = text_bytes(t);
    cr_assert_eq(file_write_atomic(paths[i], &b, 1, 0600, &w), ERR_OK, "%s", w.text);
}

/* Lines of words, a blank line now and then; paragraphs of `lines` lines at most. */
static void add_paragraphs(struct text *t, uint64_t key, size_t bytes, uint64_t lines,
                           const char *blank)
{
    struct rng r = rng_init(key);
    while (t->count < bytes) {
        for (uint64_t n = 1 + rng_below(&r, 12); n > 0; n--) {
            char word[32];
            snprintf(word, sizeof word, "word%d \u00e9", (int)rng_below(&r, 1000));
            text_add_string(t, word);
        }
        text_add_string(t, rng_below(&r, lines) ? "\n" : blank);
    }
}

/* The lengths of all documents, as text: their concatenation must be that of the files. */
static size_t read_all(size_t files, size_t batch, struct text *all, size_t *lengths, size_t room)
{
    struct document_reader r;
    size_t count = 0;
    cr_assert_eq(document_open(&r, names, files, batch, &w), ERR_OK, "%s", w.text);
    for (;;) {
        cr_assert_eq(document_next(&r, &w), ERR_OK, "%s", w.text);
        if (r.count == 0) break;
        for (size_t i = 0; i < r.count; i++) {
            cr_assert_gt(r.documents[i].count, 0);
            cr_assert_lt(count, room);
            lengths[count++] = r.documents[i].count;
            text_add(all, r.documents[i].data, r.documents[i].count);
        }
    }
    document_fini(&r);
    return count;
}

Test(document, are_the_same_with_any_size_of_batch)
{
    static const size_t batches[] = {1, 4096, 65536, 100001, 1 << 20, 3000017, 16 << 20};
    static size_t want[4000], got[4000];
    struct text t = {0}, all = {0}, first = {0};
    add_paragraphs(&t, 1, 2500000, 8, "\n\n");
    write_text(0, &t);
    t.count = 0;
    add_paragraphs(&t, 2, 300000, 8, "\n\n");
    write_text(1, &t);
    t.count = 0;
    add_paragraphs(&t, 3, 4000000, 1500, "\n \t\r\n");
    write_text(2, &t);
    t.count = 0;
    while (t.count < 1300000) text_add_string(&t, "\u4e2d");
    write_text(3, &t);
    size_t n = read_all(4, 8 << 20, &first, want, 4000);
    cr_assert_gt(n, 300);
    for (size_t b = 0; b < sizeof batches / sizeof batches[0]; b++) {
        all.count = 0;
        cr_assert_eq(read_all(4, batches[b], &all, got, 4000), n, "batch %zu", batches[b]);
        cr_assert_eq(memcmp(got, want, n * sizeof *want), 0, "batch %zu", batches[b]);
        cr_assert_eq(all.count, first.count);
        cr_assert_eq(memcmp(all.data, first.data, all.count), 0, "batch %zu", batches[b]);
    }
    free(t.data);
    free(all.data);
    free(first.data);
}

Test(document, a_file_up_to_a_mebibyte_is_one)
{
    static size_t lengths[4000];
    struct text t = {0}, all = {0};
    add_paragraphs(&t, 4, DOCUMENT_WHOLE_BYTES, 8, "\n\n");
    t.count = DOCUMENT_WHOLE_BYTES;
    write_text(0, &t);
    cr_assert_eq(read_all(1, 1000, &all, lengths, 4000), 1);
    cr_assert_eq(lengths[0], DOCUMENT_WHOLE_BYTES);
    text_add_string(&t, ".");
    write_text(0, &t);
    all.count = 0;
    cr_assert_gt(read_all(1, 1000, &all, lengths, 4000), 100);
    cr_assert_eq(all.count, t.count);
    free(t.data);
    free(all.data);
}

Test(document, a_longer_file_is_cut_at_the_first_blank_line_after_8_KiB)
{
    static size_t lengths[4000];
    struct text t = {0}, all = {0};
    add_paragraphs(&t, 5, 2000000, 8, "\n\n");
    write_text(0, &t);
    size_t n = read_all(1, 1 << 20, &all, lengths, 4000), at = 0;
    for (size_t i = 0; i + 1 < n; i++) {
        cr_expect_geq(lengths[i], DOCUMENT_TARGET_BYTES);
        at += lengths[i];
        cr_expect_eq(memcmp(t.data + at - 2, "\n\n", 2), 0, "document %zu ends elsewhere", i);
        const uint8_t *from = t.data + at - lengths[i] + DOCUMENT_TARGET_BYTES;
        if (lengths[i] > DOCUMENT_TARGET_BYTES + 1)
            cr_expect_eq(
                (const uint8_t *)memmem(from, lengths[i] - DOCUMENT_TARGET_BYTES, "\n\n", 2),
                t.data + at - 2, "document %zu goes on behind a blank line", i);
    }
    free(t.data);
    free(all.data);
}

Test(document, without_blank_lines_is_cut_at_a_line_then_at_a_space_then_between_characters)
{
    static size_t lengths[4000];
    static const char *const parts[] = {"a line of text\n", "words ", "\u4e2d"};
    for (int k = 0; k < 3; k++) {
        struct text t = {0}, all = {0};
        while (t.count < 1500000) text_add_string(&t, parts[k]);
        write_text(0, &t);
        size_t n = read_all(1, 1 << 20, &all, lengths, 4000), at = 0;
        cr_expect_gt(n, 20);
        for (size_t i = 0; i + 1 < n; i++) {
            at += lengths[i];
            cr_expect(lengths[i] <= DOCUMENT_WINDOW_BYTES &&
                      lengths[i] > DOCUMENT_WINDOW_BYTES - 20);
            if (k == 0) cr_expect_eq(t.data[at - 1], '\n');
            if (k == 1) cr_expect_eq(t.data[at], ' ');
            if (k == 2) cr_expect_eq(at % 3, 0, "a character is cut");
        }
        free(t.data);
        free(all.data);
    }
}

Test(document, empty_files_hold_none)
{
    size_t lengths[4];
    struct text t = {0}, all = {0};
    write_text(0, &t);
    write_text(1, &t);
    text_add_string(&t, "x");
    write_text(2, &t);
    cr_assert_eq(read_all(3, 100, &all, lengths, 4), 1);
    free(t.data);
    free(all.data);
}

Test(document, says_what_is_wrong_with_a_file_before_anything_is_read)
{
    struct document_reader r;
    struct text t = {0};
    write_text(0, &t);
    cr_assert_eq(document_open(&r, names, 2, 100, &w), ERR_IO);
    cr_assert_not_null(strstr(w.text, names[1]));
    cr_assert_not_null(strstr(w.text, "No such file"));
    names[1] = folder;
    cr_assert_eq(document_open(&r, names, 2, 100, &w), ERR_IO);
    cr_assert_not_null(strstr(w.text, "is a folder: name the text files in it"));
    names[1] = "/dev/null";
    cr_assert_eq(document_open(&r, names, 2, 100, &w), ERR_IO);
    cr_assert_not_null(strstr(w.text, "no regular file"));
    free(t.data);
}
