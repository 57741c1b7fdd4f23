#include <criterion/criterion.h>

#include "net/chunks.h"
#include "net/cid.h"
#include "net/frames.h"

Test(frames, come_out_whole_however_the_stream_is_cut)
{
    /* type 5 "abc", type 6 empty, type 7 of 300 bytes */
    uint8_t wire[4 + 3 + 4 + 4 + 300] = {5, 3, 0, 0, 'a', 'b', 'c', 6, 0, 0, 0, 7, 44, 1, 0};
    for (size_t i = 15; i < sizeof wire; i++) wire[i] = (uint8_t)i;
    for (size_t cut = 1; cut <= sizeof wire; cut++) {
        struct frames f;
        size_t count = 0, sizes[3];
        uint8_t types[3];
        frames_init(&f, 1000);
        for (size_t at = 0; at < sizeof wire; at += cut) {
            struct bytes in = bytes_of(wire + at, sizeof wire - at < cut ? sizeof wire - at : cut),
                         body;
            uint8_t type;
            enum frames_said said;
            while ((said = frames_take(&f, &in, &type, &body)) == FRAMES_ONE) {
                cr_assert_lt(count, 3);
                types[count] = type;
                sizes[count] = body.count;
                if (count == 0) cr_assert(!memcmp(body.data, "abc", 3));
                if (count == 2) cr_assert(!memcmp(body.data, wire + 15, 300));
                count++;
            }
            cr_assert_eq(said, FRAMES_MORE);
            cr_assert_eq(in.count, 0);
        }
        cr_assert_eq(count, 3, "cut into pieces of %zu", cut);
        cr_assert(types[0] == 5 && types[1] == 6 && types[2] == 7);
        cr_assert(sizes[0] == 3 && sizes[1] == 0 && sizes[2] == 300);
        frames_fini(&f);
    }
}

Test(frames, refuse_one_that_announces_too_much)
{
    struct frames f;
    uint8_t type;
    struct bytes body, in = bytes_of("\x01\x0b\x00\x00", 4), fits = bytes_of("\x01\x0a\x00\x00", 4);
    frames_init(&f, 10);
    cr_assert_eq(frames_take(&f, &in, &type, &body), FRAMES_TOO_LONG);
    frames_fini(&f);
    frames_init(&f, 10);
    cr_assert_eq(frames_take(&f, &fits, &type, &body), FRAMES_MORE);
    cr_assert_leq(f.body_room, 512, "nothing is taken for what was only announced");
    frames_fini(&f);
}

Test(cid, finds_what_was_added_until_it_is_dropped)
{
    struct cid_map m;
    static struct cid_entry *lists[50];
    cr_assert(cid_map_init(&m, 16, 42));
    for (size_t i = 0; i < 500; i++) {
        uint8_t id[CID_BYTES_MAX] = {(uint8_t)i, (uint8_t)(i >> 8)};
        cr_assert(cid_map_add(&m, id, 8 + i % 13, &lists[i % 50], &lists[i % 50]));
        cr_assert_not(cid_map_add(&m, id, 8 + i % 13, &lists[(i + 1) % 50], &lists[(i + 1) % 50]),
                      "one ID, one owner");
    }
    for (size_t k = 0; k < 50; k += 2) cid_map_drop_all(&m, &lists[k]);
    for (size_t i = 0; i < 500; i++) {
        uint8_t id[CID_BYTES_MAX] = {(uint8_t)i, (uint8_t)(i >> 8)};
        void *owner = i % 2 ? &lists[i % 50] : NULL;
        cr_assert_eq(cid_map_find(&m, id, 8 + i % 13), owner);
        cr_assert_null(cid_map_find(&m, id, 7), "the length is part of it");
        if (i % 2) cid_map_drop(&m, id, 8 + i % 13, &lists[i % 50]);
        cr_assert_null(cid_map_find(&m, id, 8 + i % 13));
    }
    for (size_t k = 0; k < 50; k++) cr_assert_null(lists[k]);
    cid_map_fini(&m);
}

static struct chunk *chunk_of_size(size_t count, uint8_t value)
{
    struct chunk *k = chunk_new(count);
    cr_assert_not_null(k);
    memset(k->bytes, value, count);
    return k;
}

Test(chunks, keep_what_was_sent_until_it_is_acknowledged)
{
    struct chunks q;
    chunks_init(&q);
    for (size_t i = 1; i <= 4; i++) chunks_add(&q, chunk_of_size(10 * i, (uint8_t)i));
    chunks_sent(&q, 25);
    cr_assert_eq(q.unsent->bytes[0], 2);
    cr_assert_eq(q.unsent->sent, 15);
    chunks_acked(&q, 9);
    cr_assert_eq(q.first->bytes[0], 1, "one byte of it is still on its way");
    chunks_acked(&q, 1);
    cr_assert_eq(q.first->bytes[0], 2);
    chunks_acked(&q, 15);
    cr_assert_eq(q.first->bytes[0], 2, "the rest of it is not even sent");
    chunks_sent(&q, 75);
    cr_assert_null(q.unsent);
    chunks_add(&q, chunk_of_size(5, 5)); /* after all was sent */
    cr_assert_eq(q.unsent->bytes[0], 5);
    chunks_acked(&q, 70);
    cr_assert_eq(q.first->bytes[0], 4);
    cr_assert_eq(chunks_clear(&q), 10, "5 of the fourth and 5 of the fifth");
    chunks_add(&q, chunk_of_size(3, 6)); /* empty again, and usable */
    chunks_sent(&q, 3);
    chunks_acked(&q, 3);
    cr_assert_null(q.first);
}
