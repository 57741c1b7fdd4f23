/* cublaslt_test.c -- products by cuBLASLt (cu/cublaslt.h), for which a library stands in
 * (cublaslt_fiber.cc), and what comes of it when the library or its file of choices is not as it
 * should be. The real one, where it is, gets the calls that need no GPU. */
#include <dlfcn.h>
#include <stdio.h>
#include <unistd.h>

#include "base/file.h"
#include "cu/cublaslt.h"
#include "product.h"

enum { ASCENDING, DESCENDING, HALVES, IN_PLACE }; /* the stand-in's algorithms: how they add up */

static char root[] = "/tmp/shoal-cublaslt-XXXXXX", cache[64];
static const char *stand_in;
static void *counted; /* the stand-in, open all the time: what it counts stays */
static const unsigned *suggested, *multiplied; /* calls of the stand-in */
static char said[2000];
static size_t said_count;

static void say(const char *sentence)
{
    snprintf(said, sizeof said, "%s", sentence);
    said_count++;
}

static void set_up(void)
{
    stand_in = getenv("CUBLASLT_BIN");
    cr_assert_not_null(stand_in,
                       "CUBLASLT_BIN must name the library of test/cuda/cublaslt_fiber.cc");
    counted = dlopen(stand_in, RTLD_NOW);
    cr_assert_not_null(counted, "%s", dlerror());
    suggested = dlsym(counted, "cublaslt_fiber_suggested");
    multiplied = dlsym(counted, "cublaslt_fiber_multiplied");
    cr_assert_not_null(mkdtemp(root));
    snprintf(cache, sizeof cache, "%s/cache", root);
    setenv("XDG_CACHE_HOME", cache, 1);
    unsetenv("CUDA_HOME");
}
static void tear_down(void)
{
    char command[100];
    snprintf(command, sizeof command, "rm -rf %s", root);
    cr_assert_eq(system(command), 0);
}
TestSuite(cublaslt, .init = set_up, .fini = tear_down);

static enum err open_with(struct backend *b, const char *path, struct why *w)
{
    return cuda_open(b, &(struct cuda_options){.bf16 = true, .cublaslt = path, .say = say}, w);
}
static struct backend backend_open(void)
{
    struct backend b;
    struct why w;
    cr_assert_eq(open_with(&b, stand_in, &w), ERR_OK, "%s", w.text);
    return b;
}

static const struct given some = {PRODUCT_WEIGHT, 24, 40, 200, ALIGNED, false, true, 0};

/* c of `some` by a backend that was just opened. */
static struct matrix once(const struct product *p)
{
    struct backend b = backend_open();
    struct matrix c = product_by(p, &b, cuda_multiply_bf16);
    cuda_close(&b);
    return c;
}

static float term(const struct product *p, size_t i, size_t j, size_t k)
{
    return (float)get(&p->a, k, i) * (float)get(&p->b, k, j);
}

/* c of `some`, added up as this algorithm does. */
static struct matrix by_hand(const struct product *p, int algorithm)
{
    const struct op_product *o = &p->o;
    struct matrix c = matrix_make(o->rows, o->columns, o->c_stride, 4, 16);
    for (size_t i = 0; i < o->rows; i++)
        for (size_t j = 0; j < o->columns; j++) {
            const size_t middle = algorithm == HALVES ? o->depth / 2 : o->depth;
            float first = 0, second = 0;
            for (size_t k = 0; k < middle; k++)
                first += term(p, i, j, algorithm == DESCENDING ? middle - 1 - k : k);
            for (size_t k = middle; k < o->depth; k++) second += term(p, i, j, k);
            if (algorithm == HALVES) first += second;
            put(&c, i, j, (double)(first + (float)get(&p->before, i, j)));
        }
    return c;
}

/* A backend that is just opened takes this algorithm. */
static void expect_algorithm(int algorithm, const char *when)
{
    struct product p = product_make(&some);
    struct matrix found = once(&p), expected = by_hand(&p, algorithm);
    cr_assert(matrix_same(&found, &expected), "%s", when);
    expect_right(&p, &found);
    matrix_free(&found);
    matrix_free(&expected);
    product_free(&p);
}

static void fastest_is(int algorithm)
{
    char text[8];
    snprintf(text, sizeof text, "%d", algorithm);
    setenv("CUBLASLT_FAST", text, 1);
}

/* ---- products ---- */

static void all_sizes(enum product_form form)
{
    static const char *const streams[] = {"now", "behind", "ahead"};
    struct backend b = backend_open();
    for (enum lie lie = ALIGNED; lie <= ANYHOW; lie++)
        for (size_t n = 0; n < sizeof sizes / sizeof *sizes; n++)
            for (size_t kind = 0; kind < 3; kind++) { /* bf16, fp32, fp32 added to */
                struct product p = product_make(&(struct given){
                    form, sizes[n][0], sizes[n][1], sizes[n][2], lie, kind == 0, kind == 2, 0});
                setenv("FIBER_STREAMS", streams[(n + kind) % 3], 1);
                struct matrix first = product_by(&p, &b, cuda_multiply_bf16);
                expect_right(&p, &first);
                struct matrix second = product_by(&p, &b, cuda_multiply_bf16);
                cr_assert(matrix_same(&first, &second), "it is measured into what it computes");
                matrix_free(&first);
                matrix_free(&second);
                product_free(&p);
            }
    cuda_close(&b);
    cr_assert_gt(*multiplied, 100);
}

Test(cublaslt, the_forward_product_is_right_at_any_size) { all_sizes(PRODUCT_FORWARD); }
Test(cublaslt, the_gradient_of_inputs_is_right_at_any_size) { all_sizes(PRODUCT_INPUT); }
Test(cublaslt, the_gradient_of_weights_is_right_at_any_size) { all_sizes(PRODUCT_WEIGHT); }

Test(cublaslt, a_product_is_measured_once_and_then_computed_once)
{
    struct product p = product_make(&some);
    struct backend b = backend_open();
    for (unsigned i = 0; i < 3; i++) {
        const unsigned before = *multiplied;
        struct matrix c = product_by(&p, &b, cuda_multiply_bf16);
        cr_assert_eq(*suggested, 1);
        cr_assert(i ? *multiplied == before + 1 : *multiplied > before + 6);
        matrix_free(&c);
    }
    cuda_close(&b);
    product_free(&p);
}

Test(cublaslt, products_accumulate)
{
    struct product p = product_make(&some);
    struct matrix c = once(&p);
    struct product again = p;
    again.before = c; /* what a second product is added to */
    struct matrix twice = once(&again);
    expect_right(&again, &twice);
    matrix_free(&twice);
    matrix_free(&c);
    product_free(&p);
}

Test(cublaslt, an_empty_sum_adds_nothing)
{
    struct product p = product_make(&some);
    p.o.depth = 0;
    struct matrix c = once(&p);
    cr_assert(matrix_same(&c, &p.before));
    cr_assert_eq(*multiplied, 0);
    matrix_free(&c);
    product_free(&p);
}

Test(cublaslt, operands_that_the_library_refuses_are_multiplied_by_our_own_product)
{
    struct given odd = some;
    odd.lie = START_ANYWHERE;
    struct product p = product_make(&odd);
    struct backend b = backend_open();
    const size_t skip = (uintptr_t)p.a.data % 4 ? 2 : 1; /* to 2 mod 4, wherever it begins */
    p.o.a = bf16_at(&p.a, 0, skip);
    p.o.rows -= skip;
    struct matrix theirs = product_by(&p, &b, cuda_multiply_bf16);
    struct matrix ours = product_by(&p, &b, cuda_product_bf16);
    cr_assert_eq(*multiplied, 0);
    cr_assert(matrix_same(&theirs, &ours));
    cuda_close(&b);
    matrix_free(&theirs);
    matrix_free(&ours);
    product_free(&p);
}

/* ---- choices ---- */

Test(cublaslt, the_fastest_algorithm_is_taken)
{
    for (int algorithm = ASCENDING; algorithm <= HALVES; algorithm++) {
        char version[16];
        snprintf(version, sizeof version, "%d", 130100 + algorithm); /* nothing is known of it */
        setenv("CUBLASLT_VERSION", version, 1);
        fastest_is(algorithm);
        expect_algorithm(algorithm, "another is taken");
    }
}

#define CANDIDATES                                                                                 \
    3 /* of the stand-in, each measured three times after a first product for nothing */

/* A slow clock lasts for the first products and as many as one candidate is measured with. */
Test(cublaslt, a_gpu_that_is_slow_for_a_while_takes_the_fastest_algorithm_all_the_same)
{
    struct given other = some;
    char cold[16];
    other.rows = 32;
    struct product first = product_make(&other), p = product_make(&some);
    struct backend b = backend_open();
    struct matrix c = product_by(&first, &b, cuda_multiply_bf16); /* the GPU is warm */
    snprintf(cold, sizeof cold, "%u", *multiplied + CANDIDATES + 3);
    setenv("CUBLASLT_COLD", cold, 1);
    fastest_is(ASCENDING);
    struct matrix found = product_by(&p, &b, cuda_multiply_bf16), expected = by_hand(&p, ASCENDING);
    cr_assert(matrix_same(&found, &expected), "the first is measured on a slow clock, and loses");
    cuda_close(&b);
    matrix_free(&c);
    matrix_free(&found);
    matrix_free(&expected);
    product_free(&first);
    product_free(&p);
}

Test(cublaslt, a_gpu_is_warm_before_anything_is_measured)
{
    const unsigned measured = CANDIDATES * (1 + 3) + 1; /* and the product that is asked for */
    struct given other = some;
    other.rows = 32;
    struct product p = product_make(&some), q = product_make(&other);
    struct backend b = backend_open();
    struct matrix c = product_by(&p, &b, cuda_multiply_bf16);
    const unsigned at_first = *multiplied;
    cr_assert_gt(at_first, measured);
    struct matrix d = product_by(&q, &b, cuda_multiply_bf16);
    cr_assert_eq(*multiplied - at_first, measured, "it is warm still");
    cuda_close(&b);
    matrix_free(&c);
    matrix_free(&d);
    product_free(&p);
    product_free(&q);
}

Test(cublaslt, an_algorithm_that_adds_up_in_place_is_not_taken)
{
    setenv("CUBLASLT_IN_PLACE", "1", 1);
    fastest_is(IN_PLACE);
    struct product p = product_make(&some);
    struct matrix c = once(&p);
    expect_right(&p, &c);
    cr_assert_gt(*multiplied, 0);
    matrix_free(&c);
    product_free(&p);
}

Test(cublaslt, the_next_start_takes_the_same_algorithm)
{
    fastest_is(DESCENDING);
    expect_algorithm(DESCENDING, "the fastest at first");
    fastest_is(HALVES);
    const unsigned before = *multiplied;
    expect_algorithm(DESCENDING, "what was chosen at first");
    cr_assert_eq(*suggested, 1);
    cr_assert_eq(*multiplied, before + 1);
}

Test(cublaslt, an_algorithm_that_the_library_has_no_more_is_chosen_anew)
{
    fastest_is(DESCENDING);
    expect_algorithm(DESCENDING, "the fastest at first");
    setenv("CUBLASLT_GONE", "1", 1);
    fastest_is(HALVES);
    expect_algorithm(HALVES, "the fastest of those that are left");
    unsetenv("CUBLASLT_GONE");
    expect_algorithm(HALVES, "what was chosen last");
    cr_assert_eq(*suggested, 2);
}

Test(cublaslt, each_shape_has_a_choice_of_its_own)
{
    static const struct given others[] = {
        {PRODUCT_WEIGHT, 24, 40, 200, ALIGNED, false, false, 0},
        {PRODUCT_WEIGHT, 24, 40, 200, ALIGNED, false, true, 0},
        {PRODUCT_WEIGHT, 40, 24, 200, ALIGNED, false, true, 0},
        {PRODUCT_WEIGHT, 24, 40, 24, ALIGNED, false, true, 0},
        {PRODUCT_INPUT, 24, 40, 200, ALIGNED, false, false, 0},
        {PRODUCT_INPUT, 24, 40, 200, ALIGNED, true, false, 0},
    };
    struct backend b = backend_open();
    for (int turn = 0; turn < 2; turn++)
        for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
            struct product p = product_make(&others[i]);
            struct matrix c = product_by(&p, &b, cuda_multiply_bf16);
            expect_right(&p, &c);
            matrix_free(&c);
            product_free(&p);
        }
    cuda_close(&b);
    cr_assert_eq(*suggested, sizeof others / sizeof *others);
    b = backend_open(); /* and so in the file */
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        struct product p = product_make(&others[i]);
        struct matrix c = product_by(&p, &b, cuda_multiply_bf16);
        matrix_free(&c);
        product_free(&p);
    }
    cuda_close(&b);
    cr_assert_eq(*suggested, sizeof others / sizeof *others);
}

static void expect_chosen_anew(const char *variable, const char *value)
{
    fastest_is(DESCENDING);
    expect_algorithm(DESCENDING, "the fastest at first");
    setenv(variable, value, 1);
    fastest_is(HALVES);
    expect_algorithm(HALVES, "the fastest of another machine");
    unsetenv(variable);
    expect_algorithm(DESCENDING, "what was chosen at first, beside the other");
}
Test(cublaslt, another_version_of_the_library_is_measured_anew)
{
    expect_chosen_anew("CUBLASLT_VERSION", "130101");
}
Test(cublaslt, another_driver_is_measured_anew) { expect_chosen_anew("FIBER_DRIVER", "13010"); }
Test(cublaslt, another_gpu_is_measured_anew) { expect_chosen_anew("FIBER_GENERATION", "100"); }

/* The only file of choices. */
static const char *choices_path(void)
{
    static char path[300];
    char command[200];
    snprintf(command, sizeof command, "echo %s/shoal/*", cache);
    FILE *f = popen(command, "r");
    cr_assert(fgets(path, sizeof path, f));
    pclose(f);
    path[strcspn(path, "\n")] = 0;
    cr_assert(file_exists(path) && !strchr(path, ' '), "%s", path);
    return path;
}

static void put_bytes(const char *path, const uint8_t *data, size_t count)
{
    const struct bytes part = {data, count};
    cr_assert_eq(file_write_atomic(path, &part, 1, 0644, NULL), ERR_OK);
}

Test(cublaslt, a_damaged_file_of_choices_is_named_and_written_again)
{
    uint8_t *text;
    size_t bytes;
    fastest_is(DESCENDING);
    expect_algorithm(DESCENDING, "the fastest at first");
    const char *path = choices_path();
    cr_assert_eq(file_read(path, 1 << 20, &text, &bytes, NULL), ERR_OK);
    cr_assert_eq(said_count, 0);
    fastest_is(HALVES);
    const size_t places[] = {0, 8, 16, 24, 500, bytes - 1};
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        text[places[i]] ^= 1;
        put_bytes(path, text, bytes);
        text[places[i]] ^= 1;
        expect_algorithm(HALVES, "it is measured again");
        cr_assert_eq(said_count, i + 1);
        cr_assert(strstr(said, path) && strstr(said, "is damaged"), "%s", said);
        expect_algorithm(HALVES, "the file is whole again");
        cr_assert_eq(said_count, i + 1, "%s", said);
    }
    put_bytes(path, text, bytes - 8);
    expect_algorithm(HALVES, "a file that ends too early");
    put_bytes(path, text, 3);
    expect_algorithm(HALVES, "a file without a head");
    put_bytes(path, text, bytes);
    expect_algorithm(DESCENDING, "the first file once more");
    free(text);
}

Test(cublaslt, what_another_process_has_chosen_is_kept)
{
    struct given other = some;
    other.rows = 32;
    struct product p = product_make(&other), q = product_make(&some);
    struct backend first = backend_open(), second = backend_open();
    struct matrix c = product_by(&p, &first, cuda_multiply_bf16),
                  d = product_by(&q, &second, cuda_multiply_bf16);
    cuda_close(&first);
    cuda_close(&second);
    cr_assert_eq(*suggested, 2);
    first = backend_open();
    matrix_free(&c);
    matrix_free(&d);
    c = product_by(&p, &first, cuda_multiply_bf16), d = product_by(&q, &first, cuda_multiply_bf16);
    cuda_close(&first);
    cr_assert_eq(*suggested, 2, "both are in the file");
    matrix_free(&c);
    matrix_free(&d);
    product_free(&p);
    product_free(&q);
}

Test(cublaslt, gpus_of_one_machine_take_the_same_algorithm)
{
    struct cuda_options o = {.bf16 = true, .cublaslt = stand_in};
    struct backend gpus[2];
    struct matrix c[2];
    struct product p = product_make(&some);
    setenv("FIBER_DEVICES", "2", 1);
    for (int g = 0; g < 2; g++) {
        o.device = g;
        cr_assert_eq(cuda_open(&gpus[g], &o, NULL), ERR_OK);
    }
    for (int g = 0; g < 2; g++) {
        fastest_is(g ? HALVES : DESCENDING);
        c[g] = product_by(&p, &gpus[g], cuda_multiply_bf16);
    }
    cr_assert(matrix_same(&c[0], &c[1]));
    cr_assert_eq(*suggested, 1);
    for (int g = 0; g < 2; g++) cuda_close(&gpus[g]), matrix_free(&c[g]);
    product_free(&p);
}

/* Without a file: two GPUs that are one worker, and the same process a second time. */
static void expect_one_choice(void)
{
    struct cuda_options o = {.bf16 = true, .cublaslt = stand_in, .say = say};
    struct backend gpus[2];
    struct matrix c[3];
    struct product p = product_make(&some);
    setenv("FIBER_DEVICES", "2", 1);
    for (int g = 0; g < 2; g++) {
        o.device = g;
        cr_assert_eq(cuda_open(&gpus[g], &o, NULL), ERR_OK);
    }
    for (int g = 0; g < 2; g++) {
        fastest_is(g ? HALVES : DESCENDING);
        c[g] = product_by(&p, &gpus[g], cuda_multiply_bf16);
    }
    for (int g = 0; g < 2; g++) cuda_close(&gpus[g]);
    c[2] = once(&p);
    cr_assert(matrix_same(&c[0], &c[1]));
    cr_assert(matrix_same(&c[0], &c[2]));
    cr_assert_eq(*suggested, 1);
    for (int i = 0; i < 3; i++) matrix_free(&c[i]);
    product_free(&p);
}

Test(cublaslt, gpus_of_one_machine_take_the_same_algorithm_without_a_cache_folder)
{
    unsetenv("XDG_CACHE_HOME");
    unsetenv("HOME");
    expect_one_choice();
}

Test(cublaslt, gpus_of_one_machine_take_the_same_algorithm_where_the_cache_cannot_be_written)
{
    setenv("XDG_CACHE_HOME", "/proc/nowhere", 1);
    expect_one_choice();
}

Test(cublaslt, a_cache_that_cannot_be_written_is_said_once_and_does_no_harm)
{
    struct given other = some;
    other.rows = 32;
    struct product p = product_make(&other), q = product_make(&some);
    setenv("XDG_CACHE_HOME", "/proc/nowhere", 1);
    struct backend b = backend_open();
    struct matrix c = product_by(&p, &b, cuda_multiply_bf16),
                  d = product_by(&q, &b, cuda_multiply_bf16);
    expect_right(&p, &c);
    expect_right(&q, &d);
    cr_assert_eq(said_count, 1);
    cr_assert_not_null(
        strstr(said, "algorithms are chosen anew at the next start: making folder /proc/nowhere"),
        "%s", said);
    cuda_close(&b);
    matrix_free(&c);
    matrix_free(&d);
    product_free(&p);
    product_free(&q);
}

Test(cublaslt, without_memory_to_measure_in_the_first_suggestion_serves_and_is_not_kept)
{
    struct product p = product_make(&some);
    char left[32];
    fastest_is(HALVES);
    struct backend b = backend_open();
    /* the workspace, the operands, and what reduce.cu needs */
    const size_t operands = p.a.block_bytes + p.b.block_bytes + p.before.block_bytes;
    snprintf(left, sizeof left, "%zu", ((size_t)32 << 20) + operands + (512 << 10) + 988);
    setenv("FIBER_MEMORY", left, 1);
    struct matrix found = product_by(&p, &b, cuda_multiply_bf16), expected = by_hand(&p, ASCENDING);
    cr_assert(matrix_same(&found, &expected));
    cuda_close(&b);
    unsetenv("FIBER_MEMORY");
    expect_algorithm(HALVES, "it is measured when there is memory");
    matrix_free(&found);
    matrix_free(&expected);
    product_free(&p);
}

/* ---- trouble ---- */

Test(cublaslt, a_library_that_suggests_nothing_leaves_the_product_to_ours)
{
    struct product p = product_make(&some);
    setenv("CUBLASLT_NONE", "1", 1);
    struct backend b = backend_open();
    struct matrix theirs = product_by(&p, &b, cuda_multiply_bf16),
                  ours = product_by(&p, &b, cuda_product_bf16);
    cr_assert(matrix_same(&theirs, &ours));
    cr_assert_eq(said_count, 1);
    cr_assert_not_null(
        strstr(said, "cuBLASLt has no algorithm for some products, the first of 24 x 40 x 200"),
        "%s", said);
    cuda_close(&b);
    unsetenv("CUBLASLT_NONE");
    matrix_free(&theirs);
    theirs = once(&p);
    cr_assert(matrix_same(&theirs, &ours), "the next start does the same");
    cr_assert_eq(*suggested, 1);
    matrix_free(&theirs);
    matrix_free(&ours);
    product_free(&p);
}

Test(cublaslt, a_library_whose_every_algorithm_fails_leaves_the_product_to_ours)
{
    struct product p = product_make(&some);
    setenv("CUBLASLT_FAILS", "1", 1);
    struct matrix c = once(&p);
    expect_right(&p, &c);
    cr_assert_gt(*multiplied, 1);
    matrix_free(&c);
    product_free(&p);
}

Test(cublaslt, a_product_that_fails_is_reported_by_what_waits_for_it)
{
    struct product p = product_make(&some);
    struct backend b = backend_open();
    struct why w;
    char next[16];
    struct matrix c = product_by(&p, &b, cuda_multiply_bf16);
    snprintf(next, sizeof next, "%u", *multiplied + 1);
    setenv("CUBLASLT_FAILS", next, 1);
    p.o.c = c.data;
    cuda_multiply_bf16(b.self, &p.o);
    cr_assert_eq(b.download(b.self, c.data, c.data, 0, &w), ERR_DEVICE);
    cr_assert_eq(
        strncmp(w.text,
                "GPU 0 failed in a product by cuBLASLt, which says that the stand-in failed: ", 74),
        0, "%s", w.text);
    cuda_close(&b);
    matrix_free(&c);
    product_free(&p);
}

Test(cublaslt, that_is_nowhere_is_said_and_our_own_product_serves)
{
    struct product p = product_make(&some);
    struct backend b;
    struct why w;
    dlclose(counted); /* or the loader would know it by its name */
    cr_assert_eq(open_with(&b, NULL, &w), ERR_OK, "%s", w.text);
    cr_assert_eq(said_count, 1);
    cr_assert_eq(strncmp(said, "our own matrix products serve: there is no cuBLASLt: ", 53), 0,
                 "%s", said);
    cr_assert_not_null(strstr(said, "let machine.cublaslt name its file"), "%s", said);
    cr_assert_str_eq(cuda_describe(&b), "fibers on the host, sm_90, own products");
    struct matrix c = product_by(&p, &b, cuda_multiply_bf16);
    expect_right(&p, &c);
    cuda_close(&b);
    matrix_free(&c);
    product_free(&p);
}

Test(cublaslt, in_a_toolkit_is_found)
{
    struct backend b;
    struct why w;
    char folder[100], path[200];
    snprintf(folder, sizeof folder, "%s/lib64", root);
    snprintf(path, sizeof path, "%s/libcublaslt_fiber.so", folder);
    cr_assert_eq(file_make_dirs(folder, NULL), ERR_OK);
    char *absolute = realpath(stand_in, NULL);
    cr_assert_eq(symlink(absolute, path), 0);
    setenv("CUDA_HOME", root, 1);
    setenv("CUBLASLT_VERSION", "120604", 1);
    dlclose(counted); /* or the loader would know it by its name */
    cr_assert_eq(open_with(&b, "", &w), ERR_OK, "%s", w.text);
    cr_assert_str_eq(cuda_describe(&b), "fibers on the host, sm_90, cuBLASLt 12.6");
    cr_assert_eq(said_count, 0, "%s", said);
    cuda_close(&b);
    free(absolute);
}

/* A file of its own: of one file the loader opens a second name as the first. */
static void copy_stand_in(const char *path)
{
    uint8_t *text;
    size_t bytes;
    cr_assert_eq(file_read(stand_in, (size_t)64 << 20, &text, &bytes, NULL), ERR_OK);
    put_bytes(path, text, bytes);
    free(text);
}

Test(cublaslt, that_is_too_new_for_the_driver_leaves_the_work_to_an_older_one)
{
    struct backend b;
    struct why w;
    char folder[100], path[200];
    snprintf(folder, sizeof folder, "%s/lib64", root);
    cr_assert_eq(file_make_dirs(folder, NULL), ERR_OK);
    snprintf(path, sizeof path, "%s/libcublaslt_fiber.so", folder);
    copy_stand_in(path);
    setenv("CUDA_HOME", root, 1);
    setenv("CUBLASLT_STATUS", "1", 1);
    dlclose(counted); /* or the loader would know it by its name */
    cr_assert_eq(open_with(&b, NULL, &w), ERR_OK, "%s", w.text);
    cr_assert_eq(said_count, 1);
    cr_assert_not_null(strstr(said, "libcublaslt_fiber.so does not start: the stand-in refuses"),
                       "%s", said);
    cuda_close(&b);
    snprintf(path, sizeof path, "%s/libcublaslt_fiber_old.so", folder);
    copy_stand_in(path);
    cr_assert_eq(open_with(&b, NULL, &w), ERR_OK, "%s", w.text);
    cr_assert_str_eq(cuda_describe(&b), "fibers on the host, sm_90, cuBLASLt 13.1");
    cr_assert_eq(said_count, 1, "%s", said);
    cuda_close(&b);
}

Test(cublaslt, that_is_named_must_serve)
{
    struct backend b;
    struct why w;
    Dl_info libm;
    cr_assert_eq(open_with(&b, "/nowhere/lt.so", &w), ERR_DEVICE);
    cr_assert_eq(strncmp(w.text, "machine.cublaslt: /nowhere/lt.so cannot be opened: ", 51), 0,
                 "%s", w.text);
    cr_assert(dladdr(dlsym(RTLD_DEFAULT, "cos"), &libm));
    cr_assert_eq(open_with(&b, libm.dli_fname, &w), ERR_DEVICE);
    cr_assert_not_null(strstr(w.text, " has no function cublasLtGetVersion"), "%s", w.text);
    setenv("CUBLASLT_STATUS", "1", 1);
    cr_assert_eq(open_with(&b, stand_in, &w), ERR_DEVICE);
    cr_assert_not_null(strstr(w.text, " does not start: the stand-in refuses"), "%s", w.text);
    cr_assert_eq(said_count, 0, "%s", said);
    unsetenv("CUBLASLT_STATUS");
    setenv("FIBER_MEMORY", "20000000", 1);
    cr_assert_eq(open_with(&b, stand_in, &w), ERR_MEMORY);
    cr_assert_eq(strncmp(w.text, "taking the workspace of cuBLASLt: 32.0 MiB", 42), 0, "%s",
                 w.text);
}

Test(cublaslt, is_not_asked_for_in_fp32)
{
    struct backend b;
    struct why w;
    const struct cuda_options o = {.cublaslt = "/nowhere/lt.so", .say = say};
    cr_assert_eq(cuda_open(&b, &o, &w), ERR_OK, "%s", w.text);
    cr_assert_str_eq(cuda_describe(&b), "fibers on the host, sm_90");
    cr_assert_eq(said_count, 0);
    cuda_close(&b);
}

/* ---- the real one ---- */

Test(cublaslt, the_real_library_takes_our_descriptions)
{
    struct library l;
    struct lt_functions f;
    struct why w;
    Dl_info place;
    char path[512];
    const struct library_wish wish = {
        "cuBLASLt", "", NULL, {"libcublasLt.so.13", "libcublasLt.so.12"}};
    if (library_open(&l, &wish, &w)) cr_skip("%s", w.text);
    cr_assert(dladdr(dlsym(l.handle, "cublasLtCreate"), &place));
    snprintf(path, sizeof path, "%s", place.dli_fname);
    library_close(&l);
    cr_assert_eq(cublaslt_load(&l, &f, path, &w), ERR_OK, "%s", w.text);
    cr_assert(f.version() >= 120000 && f.version() < 140000, "version %zu", f.version());
    for (enum product_form form = PRODUCT_FORWARD; form <= PRODUCT_WEIGHT; form++) {
        struct product p = product_make(
            &(struct given){form, 24, 40, 200, ALIGNED, false, form == PRODUCT_WEIGHT, 0});
        struct lt_product described;
        cr_assert_eq(cublaslt_describe(&f, &p.o, &described), LT_SUCCESS);
        cublaslt_forget(&f, &described);
        product_free(&p);
    }
    void *preference, *desc;
    const int32_t wrong = 1;
    cr_assert_eq(cublaslt_prefer(&f, 16, &preference), LT_SUCCESS);
    cr_assert_eq(f.preference_destroy(preference), LT_SUCCESS);
    cr_assert_eq(f.desc_create(&desc, LT_COMPUTE_FP32, LT_FP32), LT_SUCCESS);
    cr_assert_eq(f.desc_set(desc, LT_DESC_TRANSPOSE_A, &wrong, 2), LT_INVALID_VALUE,
                 "it looks at sizes");
    f.desc_destroy(desc);
    library_close(&l);
}
