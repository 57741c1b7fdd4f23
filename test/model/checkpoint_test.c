/* checkpoint_test.c -- what is written comes back; what is damaged is refused, and the one before it is used. */
#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/file.h"
#include "model/checkpoint.h"
#include "test/folder.h"

#define N    1500 /* parameters: two pages a section, the second not full */
#define PAGE 4096

static float content[CHECKPOINT_SECTIONS][N];

static void begin(void)
{
    folder_make();
    for (int s = 0; s < CHECKPOINT_SECTIONS; s++)
        for (int i = 0; i < N; i++) content[s][i] = (float)(s * N + i) / 7;
}

TestSuite(checkpoint, .init = begin, .fini = folder_drop);

static struct checkpoint sample(uint64_t step)
{
    struct checkpoint c = {.shape = {.layers = 2,
                                     .dim = 64,
                                     .heads = 2,
                                     .kv_heads = 1,
                                     .ffn = 128,
                                     .vocab = 300,
                                     .context = 64,
                                     .tied = true},
                           .parameters = N,
                           .run_id = {1, 2, 3},
                           .identity = {4, 5},
                           .step = step,
                           .epoch = 11,
                           .lineage_tokens = 12,
                           .lineage = {6},
                           .round_steps = 13,
                           .round_tokens = 14,
                           .adam_steps = 15,
                           .position = 16,
                           .tokens = 17,
                           .micro_batch = 18,
                           .corpus = "some/corpus"};
    c.shape.rope_theta = 1e4;
    c.shape.rms_eps = 1e-5;
    for (int s = 0; s < CHECKPOINT_SECTIONS; s++) c.sections[s] = content[s];
    return c;
}

static char *path_of(uint64_t step)
{
    static char path[128];
    snprintf(path, sizeof path, "%s/step-%012llu.ckpt", folder, (unsigned long long)step);
    return path;
}

static void write_step(uint64_t step, uint32_t keep)
{
    struct checkpoint c = sample(step);
    struct why w = {0};
    cr_assert_eq(checkpoint_write(folder, &c, keep, NULL, &w), ERR_OK, "%s", w.text);
}

static void flip(const char *path, long at)
{
    FILE *f = fopen(path, "r+b");
    fseek(f, at, SEEK_SET);
    int c = fgetc(f);
    fseek(f, at, SEEK_SET);
    fputc(c ^ 1, f);
    fclose(f);
}

static void refused(const char *path, const char *reason)
{
    struct checkpoint c = {0};
    struct why w = {0};
    cr_assert_eq(checkpoint_read(path, N, &c, &w), ERR_FORMAT, "not refused: %s", reason);
    cr_assert_not_null(strstr(w.text, reason), "%s", w.text);
}

static void newest_is(uint64_t step)
{
    char path[EXPERIMENT_PATH_BYTES + 32];
    bool found;
    struct why w = {0};
    struct checkpoint c = sample(0);
    cr_assert_eq(checkpoint_newest(folder, c.run_id, &found, path, &w), ERR_OK, "%s", w.text);
    cr_assert(found);
    cr_assert_str_eq(path, path_of(step));
}

Test(checkpoint, comes_back_as_it_was_written)
{
    static float back[CHECKPOINT_SECTIONS][N];
    struct checkpoint in = sample(7), out = {0};
    struct why w = {0};
    write_step(7, 1);
    for (int s = 0; s < CHECKPOINT_SECTIONS; s++) out.sections[s] = back[s];
    cr_assert_eq(checkpoint_read(path_of(7), N, &out, &w), ERR_OK, "%s", w.text);
    cr_assert_arr_eq(back, content, sizeof content);
    cr_assert(out.step == 7 && out.epoch == 11 && out.lineage_tokens == 12);
    cr_assert(out.round_steps == 13 && out.round_tokens == 14 && out.adam_steps == 15);
    cr_assert(out.position == 16 && out.tokens == 17 && out.micro_batch == 18);
    cr_assert(out.shape.dim == 64 && out.shape.tied && out.shape.rms_eps == 1e-5);
    cr_assert_arr_eq(out.run_id, in.run_id, sizeof in.run_id);
    cr_assert_arr_eq(out.identity, in.identity, sizeof in.identity);
    cr_assert_arr_eq(out.lineage, in.lineage, sizeof in.lineage);
    cr_assert_str_eq(out.corpus, in.corpus);
}

Test(checkpoint, a_flipped_bit_in_any_section_or_the_header_is_named)
{
    static const char *const names[] = {"parameters", "moment1", "moment2", "anchor", "momentum"};
    write_step(1, 1);
    for (long s = 0; s < CHECKPOINT_SECTIONS; s++) {
        char reason[64];
        long at = PAGE * (1 + 2 * s) + (long)(N * sizeof(float)) - 1;
        snprintf(reason, sizeof reason, "its %s are damaged", names[s]);
        flip(path_of(1), at);
        refused(path_of(1), reason);
        flip(path_of(1), at);
    }
    flip(path_of(1), 200);
    refused(path_of(1), "its header is damaged");
    flip(path_of(1), 200);
    flip(path_of(1), 8);
    refused(path_of(1), "it is of version 0, this program reads version 1");
    flip(path_of(1), 8);
    flip(path_of(1), 0);
    refused(path_of(1), "not a checkpoint of shoal");
}

Test(checkpoint, a_truncated_one_is_refused_and_the_one_before_it_is_used)
{
    write_step(1, 3);
    write_step(2, 3);
    newest_is(2);
    cr_assert_eq(truncate(path_of(2), PAGE * 11 - 1), 0);
    refused(path_of(2), "truncated");
    newest_is(1);
    cr_assert_eq(truncate(path_of(2), 100), 0);
    refused(path_of(2), "less than a header");
    newest_is(1);
}

Test(checkpoint, of_another_run_or_shape_is_refused)
{
    struct checkpoint c = {0};
    struct why w = {0};
    static const uint8_t other[CRYPTO_DIGEST_BYTES] = {9};
    char path[EXPERIMENT_PATH_BYTES + 32];
    bool found;
    write_step(1, 1);
    cr_assert_eq(checkpoint_newest(folder, other, &found, path, &w), ERR_FORMAT);
    cr_assert(!found);
    cr_assert_not_null(strstr(w.text, "of another run"), "%s", w.text);
    cr_assert_eq(checkpoint_read(path_of(1), N + 1, &c, &w), ERR_FORMAT);
    cr_assert_not_null(strstr(w.text, "1501 are expected"), "%s", w.text);
}

Test(checkpoint, a_full_disk_leaves_the_old_ones)
{
    struct checkpoint c = sample(3);
    struct why w = {0};
    write_step(1, 2);
    write_step(2, 2);
    signal(SIGXFSZ, SIG_IGN);
    struct rlimit old, small = {.rlim_cur = 3 * PAGE, .rlim_max = RLIM_INFINITY};
    getrlimit(RLIMIT_FSIZE, &old);
    setrlimit(RLIMIT_FSIZE, &small);
    enum err e = checkpoint_write(folder, &c, 1, NULL, &w);
    setrlimit(RLIMIT_FSIZE, &old);
    cr_assert_eq(e, ERR_IO);
    cr_assert_not_null(strstr(w.text, "untouched"), "%s", w.text);
    cr_assert(file_exists(path_of(1)) && file_exists(path_of(2)) && !file_exists(path_of(3)));
    newest_is(2);
}

Test(checkpoint, only_the_newest_are_kept)
{
    for (uint64_t step = 9; step <= 12; step++) write_step(step, 2);
    cr_assert(!file_exists(path_of(9)) && !file_exists(path_of(10)));
    cr_assert(file_exists(path_of(11)) && file_exists(path_of(12)));
}

Test(checkpoint, a_fresh_start_replaces_those_of_later_steps)
{
    write_step(20, 1);
    write_step(7, 1);
    newest_is(7);
    cr_assert(!file_exists(path_of(20)));
}

Test(checkpoint, an_empty_folder_holds_none)
{
    char path[EXPERIMENT_PATH_BYTES + 32];
    bool found = true;
    cr_assert_eq(checkpoint_newest(folder, NULL, &found, path, NULL), ERR_OK);
    cr_assert(!found);
}

Test(checkpoint, of_a_shape_that_cannot_be_is_refused)
{
    struct checkpoint c = sample(1);
    for (int i = 0; i < 3; i++) {
        c.shape = sample(1).shape;
        if (i == 0) c.shape.heads = 0;
        if (i == 1) c.shape.kv_heads = 3;
        if (i == 2) c.shape.vocab = 0;
        cr_assert_eq(checkpoint_write(folder, &c, 1, NULL, NULL), ERR_OK);
        refused(path_of(1), "shape");
    }
}
