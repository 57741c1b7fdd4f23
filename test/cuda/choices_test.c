/* choices_test.c -- the file of chosen algorithms (cu/choices.h), by itself. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cu/choices.h"

/* Two processes that have read the file before either wrote it. */
Test(cublaslt, choices_of_two_who_write_at_the_same_time_are_both_kept)
{
    char cache[] = "/tmp/shoal-choices-XXXXXX", command[64];
    uint8_t shapes[2][CHOICES_SHAPE_BYTES] = {{1}, {2}}, found[CHOICES_VALUE_BYTES];
    const uint8_t values[2][CHOICES_VALUE_BYTES] = {{3}, {4}};
    struct choices c[2], later;
    bool none;
    cr_assert_not_null(mkdtemp(cache));
    setenv("XDG_CACHE_HOME", cache, 1);
    for (int i = 0; i < 2; i++) choices_open(&c[i], "a machine", NULL);
    for (int i = 0; i < 2; i++) choices_keep(&c[i], shapes[i], values[i], NULL);
    choices_open(&later, "a machine", NULL);
    for (int i = 0; i < 2; i++) {
        cr_assert(choices_find(&later, shapes[i], found, &none), "choice %d is lost", i);
        cr_assert_eq(memcmp(found, values[i], sizeof found), 0);
        cr_assert_not(none);
        choices_close(&c[i]);
    }
    choices_close(&later);
    snprintf(command, sizeof command, "rm -rf %s", cache);
    cr_assert_eq(system(command), 0);
}
