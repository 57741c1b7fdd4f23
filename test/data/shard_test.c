#include "data/shard.h"

#include <unistd.h>

#include "sample.h"
#include "test/folder.h"

static char path[128];
static struct why w;
static uint32_t ids[100000];

static void begin(void)
{
    folder_make();
    snprintf(path, sizeof path, "%s/it", folder);
    struct rng r = rng_init(3);
    for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++) ids[i] = (uint32_t)rng_below(&r, 5000);
}

TestSuite(shard, .init = begin, .fini = folder_drop);

static struct shard_header write_shard(uint32_t id_bytes, size_t count)
{
    struct shard_header h = {.id_bytes = id_bytes,
                             .split = 1,
                             .index = 7,
                             .before = 99,
                             .tokenizer = 5},
                        done;
    struct shard_writer *s;
    cr_assert_eq(shard_create(path, &h, &s, &w), ERR_OK, "%s", w.text);
    for (size_t at = 0, n; at < count; at += n) {
        n = count - at < 777 ? count - at : 777;
        cr_assert_eq(shard_add(s, ids + at, n, &w), ERR_OK, "%s", w.text);
    }
    cr_assert_eq(shard_finish(s, &done, &w), ERR_OK, "%s", w.text);
    return done;
}

static enum err check(struct bytes file, uint32_t vocab, struct shard_header *h)
{
    w.text[0] = 0;
    enum err e = shard_parse("it", file, h, &w);
    return e ? e : shard_verify("it", file, h, vocab, &w);
}

static enum err read_shard(uint32_t vocab, struct shard_header *h)
{
    struct bytes file;
    cr_assert_eq(file_map(path, &file, &w), ERR_OK, "%s", w.text);
    enum err e = check(file, vocab, h);
    file_unmap(file);
    return e;
}

Test(shard, gives_back_what_was_written)
{
    for (uint32_t width = 2; width <= 4; width += 2) {
        struct shard_header done = write_shard(width, 100000), h;
        struct bytes file;
        static uint32_t back[1000];
        cr_assert_eq(read_shard(5000, &h), ERR_OK, "%s", w.text);
        cr_assert(headers_equal(&h, &done));
        cr_assert_eq(h.count, 100000);
        cr_assert_eq(h.index, 7);
        cr_assert_eq(h.before, 99);
        cr_assert_eq(file_map(path, &file, &w), ERR_OK);
        cr_assert_eq(file.count, SHARD_HEADER_BYTES + 100000 * width);
        shard_ids(file, &h, 99000, 1000, back);
        cr_assert_eq(memcmp(back, ids + 99000, sizeof back), 0);
        file_unmap(file);
    }
}

Test(shard, a_flipped_bit_is_found_wherever_it_is)
{
    struct shard_header h;
    uint8_t *all;
    size_t count;
    write_shard(2, 300);
    cr_assert_eq(file_read(path, 1 << 20, &all, &count, &w), ERR_OK);
    cr_assert_eq(count, SHARD_HEADER_BYTES + 600);
    for (size_t bit = 0; bit < 8 * count; bit++) {
        all[bit / 8] ^= (uint8_t)(1u << bit % 8);
        cr_expect_eq(check(bytes_of(all, count), 5000, &h), ERR_FORMAT, "bit %zu", bit);
        cr_expect_not_null(strstr(w.text, "it "), "no name in: %s", w.text);
        all[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    cr_assert_eq(check(bytes_of(all, count), 5000, &h), ERR_OK, "%s", w.text);
    free(all);
}

Test(shard, a_file_of_another_length_is_refused)
{
    struct shard_header h;
    for (size_t keep = 0; keep < SHARD_HEADER_BYTES + 600; keep += 29) {
        write_shard(2, 300);
        cr_assert_eq(truncate(path, (off_t)keep), 0);
        cr_expect_eq(read_shard(5000, &h), ERR_FORMAT, "%zu bytes", keep);
    }
    write_shard(2, 300);
    cr_assert_eq(truncate(path, SHARD_HEADER_BYTES + 602), 0);
    cr_expect_eq(read_shard(5000, &h), ERR_FORMAT);
    cr_expect_not_null(strstr(w.text, "too long"));
}

Test(shard, another_version_is_named)
{
    struct shard_header h;
    uint8_t *all;
    size_t count;
    write_shard(2, 10);
    cr_assert_eq(file_read(path, 1 << 20, &all, &count, &w), ERR_OK);
    all[8] = 2;
    cr_assert_eq(check(bytes_of(all, count), 5000, &h), ERR_FORMAT);
    cr_assert_not_null(strstr(w.text, "version 2 of the shard format, this program reads 1"));
    free(all);
}

Test(shard, one_that_was_not_completed_is_refused)
{
    struct shard_header h = {.id_bytes = 2};
    struct shard_writer *s;
    cr_assert_eq(shard_create(path, &h, &s, &w), ERR_OK);
    for (int i = 0; i < 2; i++) cr_assert_eq(shard_add(s, ids, 100000, &w), ERR_OK);
    shard_abandon(s);
    cr_assert_eq(read_shard(5000, &h), ERR_FORMAT);
    cr_assert_not_null(strstr(w.text, "was not completed"));
}

Test(shard, an_id_that_the_tokenizer_lacks_is_refused)
{
    struct shard_header h;
    ids[123] = 4999;
    write_shard(4, 200);
    cr_assert_eq(read_shard(5000, &h), ERR_OK);
    cr_assert_eq(read_shard(4999, &h), ERR_FORMAT);
    cr_assert_not_null(strstr(w.text, "id 4999"));
}
