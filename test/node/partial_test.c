/* partial_test.c -- a download on disk, through the end of the process that began it. */
#include "node/partial.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define COUNT 9000 /* three chunks, the last one short */

static char folder[64], path[80];
static struct outer_layout layout;
static struct partial p;
static struct why w;
static float anchor[COUNT], momentum[COUNT], read_anchor[COUNT], read_momentum[COUNT];
static const uint8_t run_id[CRYPTO_DIGEST_BYTES] = {3};

static void begin(void)
{
    snprintf(folder, sizeof folder, "/tmp/shoal-partial-XXXXXX");
    cr_assert_not_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/partial", folder);
    layout = outer_layout_of(COUNT);
    cr_assert_eq(layout.chunks, 3);
    for (int i = 0; i < COUNT; i++) {
        anchor[i] = (float)i;
        momentum[i] = -(float)i;
    }
    partial_open(&p, folder, run_id, &layout);
}

static void end(void)
{
    partial_drop(&p);
    unlink(path);
    rmdir(folder);
}

TestSuite(partial, .init = begin, .fini = end);

static struct kept_chunk chunk(uint32_t c, uint64_t epoch)
{
    return (struct kept_chunk){.chunk = c, .epoch = epoch, .lineage = {7, 8}};
}

static void keep(uint32_t c, uint64_t epoch)
{
    struct kept_chunk k = chunk(c, epoch);
    size_t at = outer_chunk_start(&layout, c);
    cr_assert_eq(partial_keep(&p, &k, anchor + at, momentum + at, &w), ERR_OK, "%s", w.text);
}

/* Is it there, with this epoch and the vectors' values? */
static bool there(uint32_t c, uint64_t epoch)
{
    struct kept_chunk k, wanted = chunk(c, epoch);
    size_t at = outer_chunk_start(&layout, c), bytes = outer_chunk_count(&layout, c) * 4;
    return partial_read(&p, c, &k, read_anchor, read_momentum) && k.chunk == c &&
           k.epoch == epoch && !memcmp(k.lineage, wanted.lineage, sizeof k.lineage) &&
           !memcmp(read_anchor, anchor + at, bytes) && !memcmp(read_momentum, momentum + at, bytes);
}

static void again(void)
{
    partial_close(&p);
    partial_open(&p, folder, run_id, &layout);
}

static bool exists(void) { return access(path, F_OK) == 0; }

Test(partial, nothing_is_there_and_no_file_made_before_the_first_chunk)
{
    cr_assert(p.fd < 0 && !exists());
    cr_assert(!there(0, 5));
}

Test(partial, another_process_finds_what_was_kept)
{
    keep(2, 5);
    keep(0, 6);
    again();
    cr_assert(there(2, 5) && there(0, 6) && !there(1, 5));
}

Test(partial, a_chunk_that_was_brought_forward_replaces_the_one_before)
{
    keep(1, 5);
    for (int i = 0; i < COUNT; i++) anchor[i] += 1;
    keep(1, 6);
    again();
    cr_assert(there(1, 6));
}

Test(partial, a_chunk_that_was_written_in_part_is_not_there)
{
    keep(0, 5);
    keep(1, 5);
    struct stat s;
    cr_assert_eq(stat(path, &s), 0);
    for (off_t at = 64; at < s.st_size; at += at < 64 + 3 * 40 ? 1 : 997) { /* records: each byte */
        uint8_t b;
        int fd = open(path, O_RDWR);
        cr_assert(pread(fd, &b, 1, at) == 1);
        b ^= 0x10;
        cr_assert(pwrite(fd, &b, 1, at) == 1);
        struct kept_chunk k;
        bool first = partial_read(&p, 0, &k, read_anchor, read_momentum);
        bool second = partial_read(&p, 1, &k, read_anchor, read_momentum);
        bool padding = at >= 64 + 2 * 40 && at < 4096;
        cr_assert_eq(first + second, padding ? 2 : 1, "byte %ld", (long)at);
        b ^= 0x10;
        cr_assert(pwrite(fd, &b, 1, at) == 1);
        close(fd);
    }
    cr_assert_eq(truncate(path, s.st_size - 1), 0);
    again();
    cr_assert(there(0, 5) && !there(1, 5));
}

Test(partial, a_file_of_another_run_or_of_garbage_is_removed)
{
    static const uint8_t other[CRYPTO_DIGEST_BYTES] = {4};
    keep(0, 5);
    partial_close(&p);
    partial_open(&p, folder, other, &layout);
    cr_assert(p.fd < 0 && !exists());
    FILE *f = fopen(path, "w");
    fputs("no download", f);
    fclose(f);
    again();
    cr_assert(p.fd < 0 && !exists());
    keep(0, 5);
    again();
    cr_assert(there(0, 5));
}

Test(partial, a_fresh_start_removes_it)
{
    keep(0, 5);
    partial_close(&p);
    partial_remove(folder);
    partial_remove(folder);
    cr_assert(!exists());
}

Test(partial, dropped_is_gone)
{
    keep(0, 5);
    partial_drop(&p);
    cr_assert(!exists() && !there(0, 5));
    keep(1, 6); /* the next download */
    cr_assert(there(1, 6) && !there(0, 5));
}

Test(partial, a_disk_that_is_full_is_told_once_and_nothing_is_left)
{
    struct kept_chunk k = chunk(2, 5);
    struct rlimit small = {8192, RLIM_INFINITY};
    signal(SIGXFSZ, SIG_IGN);
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &small), 0);
    cr_assert_eq(partial_keep(&p, &k, anchor, momentum, &w), ERR_IO);
    cr_assert(strstr(w.text, path) && strstr(w.text, "large"), "%s", w.text);
    cr_assert(!exists());
    cr_assert_eq(partial_keep(&p, &k, anchor, momentum, &w), ERR_OK);
    cr_assert(!exists());
}
