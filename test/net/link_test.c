#include "pair.h"

static struct node a, b;

static void start(void) { link_pair(&a, &b, NULL); }
static void stop(void)
{
    node_stop(&a);
    node_stop(&b);
    loop_close(loop);
    loop = NULL;
}

TestSuite(link, .init = start, .fini = stop, .timeout = 30);

Test(link, carries_frames_both_ways_in_order)
{
    for (uint32_t i = 0; i < 200; i++) {
        cr_assert(link_frame(a.endpoint, a.up, (uint8_t)i, bytes_of(&i, sizeof i)));
        cr_assert(link_frame(b.endpoint, b.up, (uint8_t)i, bytes_of(&i, i % 5)));
    }
    turn_until(a.frame_count == 200 && b.frame_count == 200, 5);
    cr_assert_eq(a.frame_count, 200);
    cr_assert_eq(b.frame_count, 200);
    for (uint32_t i = 0; i < 200; i++) {
        cr_assert_eq(b.frames[i].type, (uint8_t)i);
        cr_assert_eq(b.frames[i].count, 4);
        cr_assert(!memcmp(b.frames[i].bytes, &i, 4));
        cr_assert_eq(a.frames[i].count, i % 5);
    }
}
