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

static enum err find(struct source_list *l, size_t files)
{
    enum err e = ERR_OK;
    *l = (struct source_list){0};
    for (size_t i = 0; i < files && !e; i++) e = source_add(l, names[i], &w);
    return e;
}

/* The lengths of all documents, as text: their concatenation must be that of the files. */
static size_t read_by(struct document_rule rule, size_t files, size_t batch, struct text *all,
                      size_t *lengths, size_t room)
{
    struct source_list l;
    struct document_reader r;
    size_t count = 0;
    cr_assert_eq(find(&l, files), ERR_OK, "%s", w.text);
    cr_assert_eq(document_open(&r, &l, rule, batch, &w), ERR_OK, "%s", w.text);
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
    cr_assert_eq(document_position(&r), l.bytes);
    document_fini(&r);
    source_fini(&l);
    return count;
}

static size_t read_all(size_t files, size_t batch, struct text *all, size_t *lengths, size_t room)
{
    return read_by(DOCUMENT_RULE, files, batch, all, lengths, room);
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

/* Texts of 2 to 300 characters of 1 to 4 bytes, with and without spaces, line ends and blank lines:
 * each gives two documents or more, which together are the text, cut between characters and alike
 * with any batch. */
Test(document, finer_rules_cut_any_text_of_two_characters)
{
    static const char *const characters[] = {"a", "\u00e9", "\u4e2d", "\U0001f600",
                                             " ", "\n",     "\n\n"};
    static size_t lengths[400], again[400];
    struct rng r = rng_init(5);
    for (int round = 0; round < 400; round++) {
        struct text t = {0}, all = {0};
        uint64_t kinds = 1 + rng_below(&r, 7), n = 2 + (round < 100 ? 0 : rng_below(&r, 300));
        for (uint64_t i = 0; i < n; i++) text_add_string(&t, characters[rng_below(&r, kinds)]);
        write_text(0, &t);
        struct document_rule rule = document_finer(t.count);
        size_t count = read_by(rule, 1, 1 << 20, &all, lengths, 400), at = 0;
        cr_assert_geq(count, 2, "round %d, %zu bytes", round, t.count);
        cr_assert(all.count == t.count && !memcmp(all.data, t.data, t.count));
        for (size_t i = 0; i < count; at += lengths[i++])
            cr_assert((t.data[at] & 0xc0) != 0x80, "round %d cuts a character", round);
        all.count = 0;
        cr_assert_eq(read_by(rule, 1, 1, &all, again, 400), count);
        cr_assert_eq(memcmp(lengths, again, count * sizeof *again), 0);
        free(t.data);
        free(all.data);
    }
}

Test(document, finer_rules_cut_long_texts_as_ever)
{
    struct document_rule rule = document_finer(900000);
    cr_assert_eq(rule.target, DOCUMENT_TARGET_BYTES);
    cr_assert_eq(rule.window, DOCUMENT_WINDOW_BYTES);
    cr_assert_eq(rule.whole, 0);
}
