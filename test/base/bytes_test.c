#include <criterion/criterion.h>

#include "base/bytes.h"

Test(bytes, a_reader_that_runs_out_stays_failed_and_gives_zeros)
{
    uint8_t three[3] = {1, 2, 3};
    struct reader r = reader_init(bytes_of(three, 3));
    cr_assert_eq(reader_u16(&r), 0x0201);
    cr_assert_eq(reader_u32(&r), 0);
    cr_assert(r.bad);
    cr_assert_eq(reader_u8(&r), 0);
    cr_assert_not(reader_done(&r));
}

Test(bytes, a_writer_that_is_full_keeps_what_fitted_and_takes_no_more)
{
    uint8_t room[6];
    struct writer w = writer_init(room, sizeof room);
    writer_u32(&w, 0x04030201);
    writer_u32(&w, 7);
    writer_u8(&w, 9);
    cr_assert(w.full);
    cr_assert_eq(w.used, 4);
    cr_assert_eq(room[0], 1);
    cr_assert_eq(room[3], 4);
}
