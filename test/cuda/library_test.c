/* library_test.c -- a library is found wherever it may be (cu/library.h), in the order that is
 * promised; a miss is one sentence. */
#include <criterion/criterion.h>
#include <dlfcn.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "cu/library.h"

#define NEW "libshoal_made_up.so.13"
#define OLD "libshoal_made_up.so.12"

static char root[] = "/tmp/shoal-library-XXXXXX";

/* An empty folder, and an environment in which no other holds a library. */
static void set_up(void)
{
    cr_assert_not_null(mkdtemp(root));
    for (const char *const *v = (const char *const[]){"CUDA_HOME", "CUDA_PATH", "CONDA_PREFIX",
                                                      "VIRTUAL_ENV", "PYTHONPATH", NULL};
         *v; v++)
        unsetenv(*v);
    setenv("HOME", root, 1);
    setenv("PATH", "/nowhere:relative", 1);
}
static void tear_down(void)
{
    char command[100];
    setenv("PATH", "/usr/bin:/bin", 1);
    snprintf(command, sizeof command, "rm -rf %s", root);
    cr_assert_eq(system(command), 0);
}
TestSuite(library, .init = set_up, .fini = tear_down);

static const char *in_root(const char *path)
{
    static char text[4][300];
    static size_t turn;
    char *out = text[turn++ % 4];
    snprintf(out, sizeof text[0], "%s/%s", root, path);
    return out;
}

/* Puts a library there: libm, by another name. */
static const char *put(const char *folder, const char *name)
{
    Dl_info libm;
    static char path[600];
    cr_assert(dladdr(dlsym(RTLD_DEFAULT, "cos"), &libm));
    cr_assert_eq(file_make_dirs(in_root(folder), NULL), ERR_OK);
    snprintf(path, sizeof path, "%s/%s", in_root(folder), name);
    cr_assert_eq(symlink(libm.dli_fname, path), 0);
    return path;
}

static struct library_wish wish_of(const char *path)
{
    return (struct library_wish){"made-up library", "machine.made_up", path, {NEW, OLD}};
}

static void expect_found(const char *path)
{
    struct library l;
    struct why w = {0};
    const struct library_wish wish = wish_of("");
    double (*cosine)(double) = NULL;
    const struct library_function functions[] = {{"cos", (void (**)(void)) & cosine}};
    cr_assert_eq(library_open(&l, &wish, &w), ERR_OK, "%s", w.text);
    cr_assert_str_eq(l.path, path);
    cr_assert_eq(library_find(&l, functions, 1, &w), ERR_OK, "%s", w.text);
    cr_assert_float_eq(cosine(0), 1, 0);
    library_close(&l);
}

Test(library, is_found_where_the_loader_looks)
{
    struct library l;
    const struct library_wish wish = {
        "libm", "machine.made_up", NULL, {"libnone.so.1", "libm.so.6"}};
    cr_assert_eq(library_open(&l, &wish, NULL), ERR_OK);
    cr_assert_str_eq(l.path, "libm.so.6");
    library_close(&l);
    library_close(&l);
}

Test(library, is_found_in_a_toolkit_before_what_pip_installed)
{
    put("env/lib/python3.12/site-packages/nvidia/cu13/lib", NEW);
    setenv("PATH", in_root("env/bin"), 1);
    cr_assert_eq(file_make_dirs(in_root("env/bin"), NULL), ERR_OK);
    const char *path = put("toolkit/lib64", OLD);
    setenv("CUDA_HOME", in_root("toolkit"), 1);
    expect_found(path);
}

Test(library, is_the_newest_of_a_folder)
{
    put("toolkit/lib64", OLD);
    const char *path = put("toolkit/lib64", NEW);
    setenv("CUDA_PATH", in_root("toolkit"), 1);
    expect_found(path);
}

Test(library, is_found_among_what_pip_installed_for_a_python_in_the_path)
{
    char expected[700], paths[700];
    put("env/lib/python3.12/site-packages/nvidia/cublas/lib", NEW);
    cr_assert_eq(file_make_dirs(in_root("env/bin"), NULL), ERR_OK);
    snprintf(paths, sizeof paths, "/nowhere:%s:/elsewhere", in_root("env/bin"));
    setenv("PATH", paths, 1);
    snprintf(expected, sizeof expected, "%s/%s",
             in_root("env/bin/../lib/python3.12/site-packages/nvidia/cublas/lib"), NEW);
    expect_found(expected);
}

Test(library, is_found_among_what_pip_installed_for_a_user)
{
    expect_found(put(".local/lib/python3.9/site-packages/nvidia/cu13/lib", NEW));
}

Test(library, is_found_in_the_virtual_environment_that_is_active)
{
    setenv("VIRTUAL_ENV", in_root("env"), 1);
    expect_found(put("env/lib/python3.12/site-packages/nvidia/cu13/lib", NEW));
}

Test(library, is_found_in_a_folder_of_packages_that_the_python_path_names)
{
    char paths[700];
    snprintf(paths, sizeof paths, "/nowhere:%s", in_root("packages"));
    setenv("PYTHONPATH", paths, 1);
    expect_found(put("packages/nvidia/cu13/lib", NEW));
}

/* bin/python3 -> env/bin/python3 -> env/bin/python3.12 -> the system's, which has none. */
Test(library, is_found_among_what_pip_installed_for_a_python_that_is_reached_by_a_link)
{
    char expected[700];
    put("env/lib/python3.12/site-packages/nvidia/cu13/lib", NEW);
    for (const char *const *folder = (const char *const[]){"bin", "env/bin", "system", NULL};
         *folder; folder++)
        cr_assert_eq(file_make_dirs(in_root(*folder), NULL), ERR_OK);
    cr_assert_eq(symlink("../env/bin/python3", in_root("bin/python3")), 0);
    cr_assert_eq(symlink("python3.12", in_root("env/bin/python3")), 0);
    cr_assert_eq(symlink(in_root("system/python3.12"), in_root("env/bin/python3.12")), 0);
    setenv("PATH", in_root("bin"), 1);
    snprintf(expected, sizeof expected, "%s/%s",
             in_root("bin/../env/bin/../lib/python3.12/site-packages/nvidia/cu13/lib"), NEW);
    expect_found(expected);
    cr_assert_eq(unlink(in_root("env/bin/python3.12")), 0); /* links in a circle end */
    cr_assert_eq(symlink("python3", in_root("env/bin/python3.12")), 0);
    cr_assert_eq(unlink(expected), 0);
    struct library l;
    const struct library_wish wish = wish_of(NULL);
    cr_assert_eq(library_open(&l, &wish, NULL), ERR_DEVICE);
}

Test(library, stays_loaded_when_it_is_closed)
{
    struct library l;
    const char *path = getenv("CUBLASLT_BIN"); /* libm would stay anyhow */
    cr_assert_not_null(path);
    const struct library_wish wish = wish_of(path);
    cr_assert_null(dlopen(path, RTLD_NOW | RTLD_NOLOAD));
    cr_assert_eq(library_open(&l, &wish, NULL), ERR_OK);
    library_close(&l);
    void *again = dlopen(path, RTLD_NOW | RTLD_NOLOAD);
    cr_assert_not_null(again, "it would be loaded again at each opening");
    dlclose(again);
}

Test(library, that_is_nowhere_is_one_sentence_with_all_that_was_tried)
{
    struct library l;
    struct why w = {0};
    const struct library_wish wish = wish_of(NULL);
    cr_assert_eq(library_open(&l, &wish, &w), ERR_DEVICE);
    for (const char *const *part =
             (const char *const[]){"there is no made-up library", NEW " or " OLD,
                                   "where the loader looks", "$CUDA_HOME/lib64",
                                   "/usr/local/cuda*/lib64", "the nvidia folders that pip makes",
                                   "let machine.made_up name its file", NULL};
         *part; part++)
        cr_assert_not_null(strstr(w.text, *part), "'%s' is not in: %s", *part, w.text);
    cr_assert_lt(strlen(w.text), WHY_BYTES - 1);
    library_close(&l);
}

Test(library, that_cannot_be_opened_is_named_when_no_other_is_there)
{
    struct library l;
    struct why w = {0};
    struct library_wish wish = wish_of(NULL);
    cr_assert_eq(file_make_dirs(in_root("toolkit/lib64"), NULL), ERR_OK);
    const char *path = in_root("toolkit/lib64/" NEW);
    cr_assert_eq(
        file_write_atomic(path, &(struct bytes){(const uint8_t *)"text", 4}, 1, 0644, NULL),
        ERR_OK);
    setenv("CUDA_HOME", in_root("toolkit"), 1);
    cr_assert_eq(library_open(&l, &wish, &w), ERR_DEVICE);
    cr_assert_not_null(strstr(w.text, path), "%s", w.text);
    cr_assert_not_null(strstr(w.text, "cannot be opened: "), "%s", w.text);
    put("toolkit/lib64", OLD);
    cr_assert_eq(library_open(&l, &wish, &w), ERR_OK, "%s", w.text);
    library_close(&l);
}

Test(library, named_by_a_path_is_the_only_one_tried)
{
    struct library l;
    struct why w = {0};
    put("toolkit/lib64", NEW);
    setenv("CUDA_HOME", in_root("toolkit"), 1);
    struct library_wish wish = wish_of(in_root("nothing.so"));
    cr_assert_eq(library_open(&l, &wish, &w), ERR_DEVICE);
    cr_assert_eq(strncmp(w.text, "machine.made_up: ", 17), 0, "%s", w.text);
    cr_assert_not_null(strstr(w.text, "nothing.so cannot be opened"), "%s", w.text);
    wish.path = put("elsewhere", OLD);
    cr_assert_eq(library_open(&l, &wish, &w), ERR_OK, "%s", w.text);
    cr_assert_str_eq(l.path, wish.path);
    library_close(&l);
    cr_assert_eq(chdir(in_root("elsewhere")), 0);
    wish.path = OLD;
    cr_assert_eq(library_open(&l, &wish, &w), ERR_OK, "a file of the working folder: %s", w.text);
    library_close(&l);
}

Test(library, without_a_function_says_which)
{
    struct library l;
    struct why w = {0};
    void (*found[2])(void);
    const struct library_wish wish = {"libm", "machine.made_up", NULL, {"libm.so.6"}};
    cr_assert_eq(library_open(&l, &wish, &w), ERR_OK, "%s", w.text);
    cr_assert_eq(
        library_find(&l, (struct library_function[]){{"cos", &found[0]}, {"cosinus", &found[1]}}, 2,
                     &w),
        ERR_DEVICE);
    cr_assert_str_eq(w.text, "libm.so.6 has no function cosinus");
    library_close(&l);
}
