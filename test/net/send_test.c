/* send_test.c -- what the kernel may answer to a packet, and what becomes of the packets then. The
 * answers are ours: sendmsg is this file's, and the kernel's unless a test says otherwise. */
#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "net/internal.h"
#include "pair.h"

#define SEGMENT 103 /* UDP_SEGMENT */

static struct node a, b, c;

static struct {
    int error;       /* what sendmsg says; 0: the kernel decides */
    int error_cut;   /* what it says of what the kernel is to cut; 0: the same */
    int every;       /* of the calls that it concerns; 0: all */
    uint16_t port;   /* concerns only packets to it; 0: all */
    size_t longer;   /* only packets longer than that, or segments */
    bool cut;        /* only those that the kernel is to cut */
    uint32_t left;   /* so often */
    uint32_t said;   /* it did */
    uint32_t called; /* that it concerned */
} world;
static _Atomic uint32_t cuts; /* batches that the kernel cut; tests with threads send, too */

static size_t segment_of(const struct msghdr *m)
{
    for (struct cmsghdr *h = m->msg_control ? CMSG_FIRSTHDR(m) : NULL; h;
         h = CMSG_NXTHDR((struct msghdr *)m, h))
        if (h->cmsg_level == IPPROTO_UDP && h->cmsg_type == SEGMENT)
            return *(const uint16_t *)CMSG_DATA(h);
    return 0;
}

static bool concerned(const struct msghdr *m)
{
    if (!world.error || !m->msg_name) return false;
    struct address to = udp_address_of(m->msg_name);
    size_t segment = segment_of(m), length = segment ? segment : m->msg_iov->iov_len;
    if ((world.cut && !segment) || length <= world.longer) return false;
    if (world.port && world.port != to.port) return false;
    return ++world.called % (world.every ? (uint32_t)world.every : 1) == 0 && world.left;
}

ssize_t sendmsg(int fd, const struct msghdr *m, int flags)
{
    if (concerned(m)) {
        world.left--;
        world.said++;
        errno = world.error_cut && segment_of(m) ? world.error_cut : world.error;
        return -1;
    }
    ssize_t n = syscall(SYS_sendmsg, fd, m, flags);
    if (n > 0 && segment_of(m)) cuts++;
    return n;
}

static void fail(int error, const struct node *to)
{
    world.error = error;
    world.port = to ? to->address.port : 0;
    world.left = UINT32_MAX;
}

static void stop(void)
{
    memset(&world, 0, sizeof world);
    node_stop(&a);
    node_stop(&b);
    if (c.endpoint) node_stop(&c);
    loop_close(loop);
    loop = NULL;
}
TestSuite(send, .fini = stop, .timeout = 120);

static void pair(void)
{
    link_pair(&a, &b, NULL);
    turn_until(false, 0.3); /* the longest packets are found */
    cuts = 0;
}

/* A second link of a, to c; the first one's handle is returned. */
static link_id three(void)
{
    pair();
    link_id first = a.up;
    node_start(&c, NULL, 3);
    node_dial(&a, &c);
    turn_until(a.ups == 2 && c.ups, 10);
    cr_assert_eq(a.ups, 2);
    turn_until(false, 0.3);
    return first;
}

static uint64_t lost(link_id l)
{
    ngtcp2_conn_info i;
    ngtcp2_conn_get_conn_info2(endpoint_connection(a.endpoint, l)->quic, &i);
    return i.pkt_lost;
}

static uint8_t blob[100 << 10];
static void parcels(link_id l, int n)
{
    for (int i = 0; i < n; i++)
        cr_assert(link_parcel(a.endpoint, l, bytes_of("p", 1), bytes_of(blob, sizeof blob), 1));
}

Test(send, uses_all_that_ethernet_carries)
{
    pair();
    struct connection *l = endpoint_connection(a.endpoint, a.up);
    turn_until(l->payload.path == PAYLOAD_BYTES_MAX, 5);
    cr_assert_eq(l->payload.path, PAYLOAD_BYTES_MAX, "%zu", l->payload.path);
}

Test(send, waits_for_a_full_device_without_loss_and_without_spinning)
{
    pair();
    fail(ENOBUFS, &b);
    parcels(a.up, 1);
    turn_until(false, 0.2);
    cr_assert_eq(b.parcel_count, 0);
    cr_assert_gt(world.said, 20, "it tries again");
    cr_assert_lt(world.said, 250, "about once a millisecond: %u", world.said);
    world.error = 0;
    turn_until(a.done_count, 10);
    cr_assert_eq(b.parcel_count, 1);
    cr_assert_eq(lost(a.up), 0);
}

Test(send, gets_everything_through_a_device_that_is_often_full)
{
    pair();
    fail(ENOBUFS, &b);
    world.every = 2;
    parcels(a.up, 20);
    turn_until(a.done_count == 20, 20);
    cr_assert_eq(b.parcel_count, 20);
    cr_assert_gt(world.said, 10);
}

Test(send, to_one_peer_does_not_wait_for_the_device_of_another)
{
    const int errors[] = {ENOBUFS, EPERM, ENETUNREACH, EHOSTUNREACH, ENETDOWN};
    link_id first = three();
    for (size_t i = 0; i < sizeof errors / sizeof *errors; i++) {
        size_t before = a.done_count;
        fail(errors[i], &b);
        parcels(first, 1);
        turn_until(false, 0.05);
        cr_assert_gt(world.said, 0);
        parcels(a.up, 10);
        turn_until(a.done_count == before + 10, 5);
        cr_assert_eq(a.done_count, before + 10, "%s: %zu", strerror(errors[i]), a.done_count);
        world.error = 0;
        turn_until(a.done_count == before + 11, 20);
        cr_assert_eq(a.done_count, before + 11, "%s", strerror(errors[i]));
        world.said = 0;
    }
    cr_assert_eq(a.downs, 0);
}

Test(send, gives_up_a_packet_that_a_device_never_takes)
{
    pair();
    fail(ENOBUFS, &b);
    parcels(a.up, 1);
    turn_until(!endpoint_connection(a.endpoint, a.up)->held && world.said, 20);
    cr_assert_geq(world.said, 1000);
    world.error = 0;
    turn_until(a.done_count, 20);
    cr_assert_eq(a.done_count, 1, "what was lost is sent anew");
}

Test(send, ends_a_link_whose_packets_wait)
{
    pair();
    fail(ENOBUFS, &b);
    parcels(a.up, 1);
    turn_until(world.said > 3, 5);
    link_close(a.endpoint, a.up, 7, "enough");
    turn_until(a.downs, 5);
    cr_assert_eq(a.end.code, 7);
    turn_until(false, 0.1);
    uint32_t before = world.said;
    world.error = 0;
    turn_until(false, 1); /* the connection is freed, and its timer with it */
    cr_assert_gt(before, 3);
}

Test(send, does_not_take_a_complaint_about_an_earlier_packet_for_one_about_this)
{
    const int errors[] = {ECONNREFUSED, EHOSTUNREACH, ENETUNREACH, EMSGSIZE, EPROTO, EACCES};
    pair();
    for (size_t i = 0; i < sizeof errors / sizeof *errors; i++) {
        world.said = 0;
        fail(errors[i], NULL);
        world.every = 2; /* the kernel says it once */
        parcels(a.up, 5);
        turn_until(a.done_count == 5 * (i + 1), 10);
        cr_assert_eq(a.done_count, 5 * (i + 1));
        cr_assert_gt(world.said, 5);
        cr_assert_eq(lost(a.up), 0, "%s", strerror(errors[i]));
    }
    cr_assert_eq(endpoint_connection(a.endpoint, a.up)->payload.cap, SIZE_MAX);
    cr_assert_eq(a.warnings, 0);
}

Test(send, goes_one_by_one_where_a_path_cannot_be_segmented_and_loses_nothing)
{
    const int errors[] = {EIO, EINVAL};
    link_id first = three();
    for (size_t i = 0; i < 2; i++) {
        size_t before = a.done_count;
        struct connection *broken = endpoint_connection(a.endpoint, first);
        broken->gso_again = (instant){0}; /* a minute later */
        fail(errors[i], &b);
        world.cut = true;
        world.said = 0;
        parcels(first, 5);
        turn_until(a.done_count == before + 5, 10);
        cr_assert_eq(a.done_count, before + 5);
        cr_assert_eq(lost(first), 0);
        cr_assert_leq(world.said, 4, "it is not tried for each batch: %u", world.said);
        cr_assert_eq(a.warnings, 1, "it is said once");
        cuts = 0;
        parcels(a.up, 5);
        turn_until(a.done_count == before + 10, 10);
        cr_assert_gt(cuts, 0, "other paths go on with it");
        cr_assert_gt(broken->gso_again.ns, instant_after(clock_now(), span_s(30)).ns);
    }
    world.error = 0;
    endpoint_connection(a.endpoint, first)->gso_again = (instant){0};
    cuts = 0;
    parcels(first, 5);
    turn_until(a.done_count == 25, 10);
    cr_assert_gt(cuts, 0, "and it is tried again");
}

/* A route into a tunnel: the kernel refuses what is longer than the new device takes. */
Test(send, goes_on_with_shorter_packets_where_a_device_takes_no_longer_ones)
{
    const int errors[] = {EINVAL, EMSGSIZE}; /* what older and newer kernels say of a batch */
    for (size_t i = 0; i < 2; i++) {
        if (i) stop();
        a = b = (struct node){0};
        pair();
        fail(EMSGSIZE, NULL);
        world.error_cut = errors[i];
        world.longer = 1372;
        parcels(a.up, 10);
        struct connection *l = endpoint_connection(a.endpoint, a.up);
        turn_until(world.said, 5);
        cr_assert_leq(l->payload.cap, 1372, "at once");
        turn_until(a.done_count == 10, 5);
        cr_assert_eq(a.done_count, 10);
        turn_until(l->payload.cap == 1372, 5);
        cr_assert_eq(l->payload.cap, 1372, "%zu", l->payload.cap);
        cuts = 0;
        parcels(a.up, 10);
        turn_until(a.done_count == 20, 5);
        cr_assert_eq(a.warnings, 0, "segmentation is not what failed");
        cr_assert_eq(l->gso_again.ns, 0);
    }
}

Test(send, waits_until_the_socket_is_writable)
{
    pair();
    fail(EAGAIN, &b);
    world.every = 3;
    parcels(a.up, 20);
    turn_until(a.done_count == 20, 20);
    cr_assert_eq(b.parcel_count, 20);
    cr_assert_gt(world.said, 5);
}

/* The socket was full, and then it is the device. */
Test(send, may_wait_for_the_socket_and_then_for_the_device)
{
    pair();
    fail(EAGAIN, &b);
    world.left = 1;
    parcels(a.up, 1);
    turn_until(world.said, 5);
    fail(ENOBUFS, &b);
    turn_until(world.said > 5, 5);
    cr_assert(!a.endpoint->send_blocked);
    world.error = 0;
    turn_until(a.done_count, 10);
    cr_assert_eq(b.parcel_count, 1);
    cr_assert_eq(lost(a.up), 0);
}
