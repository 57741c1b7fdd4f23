/* checkpoint_test.c -- what is written comes back; what is damaged is refused, and the one before
 * it is used. */
#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/file.h"
#include "model/checkpoints.h"
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

static const char values[] = "train.optimizer.lr: 0.002\ntrain.steps: 60\n";

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
                           .corpus = "some/corpus",
                           .tokenizer = {7, 8}};
    c.shape.rope_theta = 1e4;
    c.shape.rms_eps = 1e-5;
    strcpy(c.kernels, "AVX-512 BF16");
    c.precision = PRECISION_BF16;
    c.shared.count = (size_t)snprintf(c.shared.text, sizeof c.shared.text, "%s", values);
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
    cr_assert_eq(checkpoints_save(folder, &c, keep, &w), ERR_OK, "%s", w.text);
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

/* What a run of sample()'s ID can use. */
static struct shared_ids ids = {.layout2 = {1, 2, 3}};
static struct shared ours;

static enum err newest(bool anchor, bool *found, char path[CHECKPOINTS_PATH_BYTES], struct why *w)
{
    ours.count = (size_t)snprintf(ours.text, sizeof ours.text, "%s",
                                  "train.optimizer.lr: 0.003\ntrain.steps: 60\n");
    const struct checkpoints_want want = {.ids = &ids, .shared = &ours, .anchor = anchor};
    return checkpoints_newest(folder, &want, found, path, w);
}

static void newest_is(uint64_t step)
{
    char path[CHECKPOINTS_PATH_BYTES];
    bool found;
    struct why w = {0};
    cr_assert_eq(newest(true, &found, path, &w), ERR_OK, "%s", w.text);
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
    cr_assert_arr_eq(out.tokenizer, in.tokenizer, sizeof in.tokenizer);
    cr_assert_eq(out.shared.count, sizeof values - 1);
    cr_assert_str_eq(out.shared.text, values);
    cr_assert_str_eq(out.kernels, "AVX-512 BF16");
    cr_assert_eq(out.precision, PRECISION_BF16);
    cr_assert(out.of_swarm);
}

Test(checkpoint, one_of_a_worker_alone_says_so)
{
    struct checkpoint c = sample(5), out = {0};
    c.sections[CHECKPOINT_ANCHOR] = c.sections[CHECKPOINT_MOMENTUM] = NULL;
    cr_assert_eq(checkpoints_save(folder, &c, 1, NULL), ERR_OK);
    cr_assert_eq(checkpoint_peek(path_of(5), &out, NULL), ERR_OK);
    cr_assert_not(out.of_swarm);
}

/* test/golden/checkpoint.py made them with the program of version 1. */
static void golden(const char *name, bool of_swarm, uint64_t step, const char *run_id)
{
    struct checkpoint c = {0};
    struct why w = {0};
    char path[128], hex[2 * CRYPTO_DIGEST_BYTES + 1];
    snprintf(path, sizeof path, "test/golden/%s", name);
    cr_assert_eq(checkpoint_peek(path, &c, &w), ERR_OK, "%s", w.text);
    float *all = calloc(c.parameters, sizeof *all);
    c.sections[of_swarm ? CHECKPOINT_ANCHOR : CHECKPOINT_PARAMETERS] = all;
    cr_assert_eq(checkpoint_read(path, c.parameters, &c, &w), ERR_OK, "%s", w.text);
    free(all);
    for (size_t i = 0; i < sizeof c.run_id; i++) snprintf(hex + 2 * i, 3, "%02x", c.run_id[i]);
    static const uint8_t unknown[CRYPTO_HASH_BYTES];
    cr_assert_str_eq(hex, run_id);
    cr_assert_eq(c.step, step);
    cr_assert_eq(c.of_swarm, of_swarm);
    cr_assert_eq(c.shared.count, 0);
    cr_assert_arr_eq(c.tokenizer, unknown, sizeof unknown);
    cr_assert(c.shape.layers == 1 && c.shape.dim == 16 && c.shape.context == 8);
    cr_assert_str_eq(c.corpus, "corpus");
}

Test(checkpoint, of_version_1_is_read)
{
    golden("checkpoint_1_swarm.ckpt", true, 6, "2fd4c3511681ff9f11a500af8c89f283");
    golden("checkpoint_1_alone.ckpt", false, 4, "2fd4c3511681ff9f11a500af8c89f283");
}

/* test/golden/checkpoint.py made it with the program of version 2. */
Test(checkpoint, of_version_2_is_read)
{
    struct checkpoint c = {0};
    struct why w = {0};
    const char *path = "test/golden/checkpoint_2_alone.ckpt";
    cr_assert_eq(checkpoint_peek(path, &c, &w), ERR_OK, "%s", w.text);
    cr_assert_eq(checkpoint_read(path, c.parameters, &c, &w), ERR_OK, "%s", w.text);
    cr_assert_eq(c.step, 4);
    cr_assert_gt(c.shared.count, 0);
    cr_assert_str_eq(c.kernels, "");
    cr_assert_eq(c.precision, PRECISION_AUTO, "not known");
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
    flip(path_of(1), 9);
    refused(path_of(1), "it is of version 259, this program reads versions 1 to 3");
    flip(path_of(1), 9);
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

Test(checkpoint, of_another_shape_is_refused)
{
    struct checkpoint c = {0};
    struct why w = {0};
    write_step(1, 1);
    cr_assert_eq(checkpoint_read(path_of(1), N + 1, &c, &w), ERR_FORMAT);
    cr_assert_not_null(strstr(w.text, "1501 are expected"), "%s", w.text);
}

static void write_other(uint64_t step, bool anchor, uint8_t run)
{
    struct checkpoint c = sample(step);
    c.run_id[0] = run;
    if (!anchor) c.sections[CHECKPOINT_ANCHOR] = c.sections[CHECKPOINT_MOMENTUM] = NULL;
    cr_assert_eq(checkpoints_save(folder, &c, 9, NULL), ERR_OK);
}

Test(checkpoint, of_another_run_or_of_a_worker_alone_is_passed_over)
{
    write_step(1, 9);
    write_other(2, false, 1);
    write_other(3, true, 9);
    newest_is(1);
}

Test(checkpoint, when_none_is_of_this_run_one_sentence_says_which_keys_differ)
{
    struct why w = {0};
    char path[CHECKPOINTS_PATH_BYTES];
    bool found;
    for (uint64_t step = 1; step <= 3; step++) write_other(step, true, 9);
    cr_assert_eq(newest(true, &found, path, &w), ERR_FORMAT);
    cr_assert(!found);
    const char *said = strstr(w.text, "train.optimizer.lr is 0.003 here and 0.002 there");
    cr_assert_not_null(said, "%s", w.text);
    cr_assert_null(strstr(said + 1, "train.optimizer.lr"), "%s", w.text);
    cr_assert_not_null(strstr(w.text, "nor can the 2 before it"), "%s", w.text);
}

Test(checkpoint, when_all_are_of_a_worker_alone_it_says_so)
{
    struct why w = {0};
    char path[CHECKPOINTS_PATH_BYTES];
    bool found;
    write_other(4, false, 1);
    cr_assert_eq(newest(true, &found, path, &w), ERR_FORMAT);
    cr_assert_not_null(strstr(w.text, "worker alone"), "%s", w.text);
    cr_assert_eq(newest(false, &found, path, &w), ERR_OK);
    cr_assert(found);
}

Test(checkpoint, saving_leaves_what_is_of_another_kind)
{
    write_other(2, true, 9); /* another run's */
    write_other(30, true, 9);
    write_other(1, false, 1); /* ours, of a worker alone */
    write_other(20, false, 1);
    write_step(5, 1);
    write_step(6, 1);
    cr_assert(file_exists(path_of(1)) && file_exists(path_of(2)) && file_exists(path_of(20)));
    cr_assert(file_exists(path_of(30)) && file_exists(path_of(6)) && !file_exists(path_of(5)));
}

Test(checkpoint, another_kinds_file_of_the_same_step_gets_another_name)
{
    char kept[160];
    struct checkpoint c = {0};
    write_other(5, true, 9);
    write_step(5, 1);
    newest_is(5);
    snprintf(kept, sizeof kept, "%s.kept-1", path_of(5));
    cr_assert_eq(checkpoint_peek(kept, &c, NULL), ERR_OK);
    cr_assert_eq(c.run_id[0], 9);
}

Test(checkpoint, files_that_are_none_stay)
{
    static const char *const names[] = {"step-1.ckpt", "step-000000000001.ckpt.bak", "notes.txt",
                                        "step-000000000002.ckpt.tmp-12x"};
    char path[160];
    for (size_t i = 0; i < 4; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        fclose(fopen(path, "w"));
    }
    write_step(9, 1);
    cr_assert_eq(checkpoints_tidy(folder), 0);
    for (size_t i = 0; i < 4; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        cr_assert(file_exists(path), "%s", path);
    }
}

Test(checkpoint, what_killed_saves_left_is_removed)
{
    char path[160];
    write_step(1, 1);
    for (int i = 0; i < 3; i++) {
        snprintf(path, sizeof path, "%s.tmp-%d", path_of(1), 100 + i);
        fclose(fopen(path, "w"));
    }
    cr_assert_eq(checkpoints_tidy(folder), 3);
    cr_assert_not(file_exists(path));
    newest_is(1);
}

Test(checkpoint, what_is_set_aside_can_be_read_there)
{
    char aside[CHECKPOINTS_PATH_BYTES], path[CHECKPOINTS_PATH_BYTES], wanted[160];
    size_t count;
    bool found;
    for (int n = 1; n <= 2; n++) {
        write_step(1, 2);
        write_step(2, 2);
        cr_assert_eq(checkpoints_set_aside(folder, &count, aside, NULL), ERR_OK);
        cr_assert_eq(count, 2);
        snprintf(wanted, sizeof wanted, "%s/before-%d", folder, n);
        cr_assert_str_eq(aside, wanted);
        cr_assert_eq(newest(true, &found, path, NULL), ERR_OK);
        cr_assert_not(found);
        cr_assert_eq(checkpoints_find(aside, path, NULL), ERR_OK);
    }
    cr_assert_eq(checkpoints_set_aside(folder, &count, aside, NULL), ERR_OK);
    cr_assert_eq(count, 0);
}

Test(checkpoint, is_found_by_file_folder_and_the_folder_around)
{
    char out[CHECKPOINTS_PATH_BYTES], inner[160];
    struct why w = {0};
    cr_assert_eq(checkpoints_find(folder, out, &w), ERR_IO);
    cr_assert_not_null(strstr(w.text, "there is no checkpoint in"), "%s", w.text);
    snprintf(inner, sizeof inner, "%s/checkpoints", folder);
    cr_assert_eq(file_make_dirs(inner, NULL), ERR_OK);
    struct checkpoint c = sample(3);
    cr_assert_eq(checkpoints_save(inner, &c, 1, NULL), ERR_OK);
    cr_assert_eq(checkpoints_find(folder, out, NULL), ERR_OK);
    cr_assert_eq(checkpoints_find(inner, out, NULL), ERR_OK);
    cr_assert_eq(checkpoints_find(out, inner, NULL), ERR_OK);
    cr_assert_str_eq(out, inner);
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
    enum err e = checkpoints_save(folder, &c, 1, &w);
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
    char path[CHECKPOINTS_PATH_BYTES];
    bool found = true;
    cr_assert_eq(checkpoints_newest(folder, NULL, &found, path, NULL), ERR_OK);
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
        cr_assert_eq(checkpoints_save(folder, &c, 1, NULL), ERR_OK);
        refused(path_of(1), "shape");
    }
}
