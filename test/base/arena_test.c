#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <signal.h>

#include "base/arena.h"

Test(arena, hands_out_zeroed_aligned_memory_until_it_is_full)
{
    static _Alignas(64) uint8_t storage[256];
    memset(storage, 0xff, sizeof storage);
    struct arena a;
    arena_init(&a, storage, sizeof storage);
    uint8_t *one = arena_take(&a, 3, 1);
    uint8_t *two = arena_take(&a, 64, 64);
    cr_assert_eq(one[0] | one[1] | one[2], 0);
    cr_assert_eq((uintptr_t)two % 64, 0);
    cr_assert_geq(two - one, 3);
    cr_assert_null(arena_take(&a, 256, 1));
    cr_assert_not_null(arena_take(&a, 64, 1));
}

Test(arena, asking_a_sealed_one_is_a_bug, .signal = SIGABRT)
{
    static uint8_t storage[64];
    struct arena a;
    arena_init(&a, storage, sizeof storage);
    arena_seal(&a);
    arena_take(&a, 1, 1);
}

Test(arena, memory_in_a_file_leaves_no_name_behind)
{
    char folder[] = "/tmp/arena-XXXXXX";
    struct arena a;
    struct why w;
    cr_assert_not_null(mkdtemp(folder));
    cr_assert_eq(arena_open_file(&a, folder, 1 << 20, &w), ERR_OK, "%s", w.text);
    memset(a.start, 7, a.bytes);
    cr_assert_eq(a.start[a.bytes - 1], 7);
    cr_assert_eq(rmdir(folder), 0, "the folder is empty");
    arena_close(&a);
    cr_assert_eq(arena_open_file(&a, folder, 1 << 20, &w), ERR_IO);
    cr_assert_not_null(strstr(w.text, folder));
}

Test(arena, a_file_that_the_disk_has_no_room_for_is_an_error_at_once)
{
    struct arena a;
    struct why w;
    cr_assert_eq(arena_open_file(&a, "/tmp", (size_t)1 << 56, &w), ERR_IO);
}
