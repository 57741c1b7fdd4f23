/* criterion.h -- the little of Criterion that the tests of a GPU use, for a test program that is
 * carried to another machine.
 *
 * Criterion itself is a shared library that needs a dozen others and a glibc as new as the
 * distribution's; a machine with a GPU may have none of them. The same tests are compiled with this
 * header before Criterion's (build/gpu.zig), so here is only what they use, with Criterion's
 * meaning: a test runs in a process of its own, and ends at the first assertion that does not hold.
 * What follows the condition, if anything, is a format for printf(3) and what it wants. */
#ifndef SHOAL_TEST_CARRIED_CRITERION_H
#define SHOAL_TEST_CARRIED_CRITERION_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#define CARRIED 1 /* the device is a GPU, not fibers */

struct carried_test {
    const char *suite, *name;
    void (*body)(void);
    struct carried_test *next;
};

/* Adds a test, whose memory stays the caller's, to those that runner.c runs. */
void carried_add(struct carried_test *t);

/* Ends the process of the test. `more` is a format that begins with a space. */
_Noreturn void carried_failed(const char *file, int line, const char *condition, const char *more,
                              ...) __attribute__((format(printf, 4, 5)));
_Noreturn void carried_skipped(const char *reason);

#define Test(suite_, name_, ...)                                                                   \
    static void test_##suite_##_##name_(void);                                                     \
    __attribute__((constructor)) static void add_##suite_##_##name_(void)                          \
    {                                                                                              \
        static struct carried_test t = {#suite_, #name_, test_##suite_##_##name_, NULL};           \
        carried_add(&t);                                                                           \
    }                                                                                              \
    static void test_##suite_##_##name_(void)

#define carried_expect(holds, text, ...)                                                           \
    ((holds) ? (void)0 : carried_failed(__FILE__, __LINE__, text, " " __VA_ARGS__))

#define cr_assert(condition, ...)     carried_expect(condition, #condition, __VA_ARGS__)
#define cr_assert_not(condition, ...) carried_expect(!(condition), "!(" #condition ")", __VA_ARGS__)
#define cr_assert_eq(a, b, ...)       carried_expect((a) == (b), #a " == " #b, __VA_ARGS__)
#define cr_assert_neq(a, b, ...)      carried_expect((a) != (b), #a " != " #b, __VA_ARGS__)
#define cr_assert_gt(a, b, ...)       carried_expect((a) > (b), #a " > " #b, __VA_ARGS__)
#define cr_assert_lt(a, b, ...)       carried_expect((a) < (b), #a " < " #b, __VA_ARGS__)
#define cr_assert_geq(a, b, ...)      carried_expect((a) >= (b), #a " >= " #b, __VA_ARGS__)
#define cr_assert_leq(a, b, ...)      carried_expect((a) <= (b), #a " <= " #b, __VA_ARGS__)
#define cr_assert_float_eq(a, b, epsilon, ...)                                                     \
    carried_expect((a) - (b) <= (epsilon) && (b) - (a) <= (epsilon), #a " is near " #b, __VA_ARGS__)
#define cr_assert_not_null(p, ...)  carried_expect((p) != NULL, #p " is not NULL", __VA_ARGS__)
#define cr_assert_str_eq(a, b, ...) carried_expect(strcmp(a, b) == 0, #a " says " #b, __VA_ARGS__)
#define cr_skip(reason)             carried_skipped(reason)

#endif
