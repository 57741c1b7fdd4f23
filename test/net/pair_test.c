/* pair_test.c -- the shared part of the tests (see pair.h); holds no test of its own. */
#include "pair.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

struct loop *loop;

instant own_now(void)
{
    static int file = -1; /* "processor time, time waited for a processor, turns", nanoseconds */
    char text[64];
    if (file < 0) file = open("/proc/thread-self/schedstat", O_RDONLY | O_CLOEXEC);
    ssize_t n = file < 0 ? 0 : pread(file, text, sizeof text - 1, 0);
    text[n > 0 ? n : 0] = 0;
    char *space = strchr(text, ' '); /* a kernel that does not count: the clock itself */
    return (instant){clock_now().ns - (space ? strtoull(space, NULL, 10) : 0)};
}

static bool accept_peer(void *ctx, const uint8_t id[CRYPTO_KEY_BYTES], bool dialled,
                        char reason[128])
{
    struct node *n = ctx;
    if (n->refuses) strcpy(reason, "you are of another experiment");
    return !n->refuses;
}

static void link_up(void *ctx, link_id l, const uint8_t id[CRYPTO_KEY_BYTES],
                    const struct address *remote, bool dialled)
{
    struct node *n = ctx;
    n->up = l;
    n->ups++;
    if (!n->cool) link_welcome(n->endpoint, l);
}

static void link_moved(void *ctx, link_id l, const struct address *remote)
{
    struct node *n = ctx;
    n->moves++;
}

static void link_down(void *ctx, link_id l, const struct link_end *end)
{
    struct node *n = ctx;
    n->downs++;
    n->down = l;
    n->end = *end;
    snprintf(n->reason, sizeof n->reason, "%s", end->reason);
}

static void frame(void *ctx, link_id l, uint8_t type, struct bytes b)
{
    struct node *n = ctx;
    saw(n->frames, &n->frame_count, (struct saw){.link = l, .type = type}, b);
}
static void parcel(void *ctx, link_id l, struct bytes b)
{
    struct node *n = ctx;
    saw(n->parcels, &n->parcel_count, (struct saw){.link = l}, b);
}
static void parcel_done(void *ctx, link_id l, uint64_t ticket, bool ok)
{
    struct node *n = ctx;
    saw(n->dones, &n->done_count, (struct saw){.link = l, .number = ticket, .ok = ok},
        bytes_of("", 0));
}
static void request(void *ctx, link_id l, uint64_t handle, struct bytes b)
{
    struct node *n = ctx;
    saw(n->requests, &n->request_count, (struct saw){.link = l, .number = handle}, b);
    struct bytes parts[PAIR_ECHO_MAX];
    cr_assert_leq(n->echo, PAIR_ECHO_MAX);
    for (int i = 0; i < n->echo; i++) parts[i] = b;
    if (n->echo) link_reply(n->endpoint, l, handle, parts, (size_t)n->echo);
}
static bool bulk(struct bytes request) { return request.count && request.data[0] == PAIR_BULK; }

static void train(void *ctx, uint64_t count, span took)
{
    struct node *n = ctx;
    n->trains++;
    n->train_bytes = count;
    n->train_took = took;
}

static void reply(void *ctx, link_id l, uint64_t ticket, bool ok, struct bytes b)
{
    struct node *n = ctx;
    saw(n->replies, &n->reply_count, (struct saw){.link = l, .number = ticket, .ok = ok}, b);
}
static void datagram(void *ctx, link_id l, struct bytes b)
{
    struct node *n = ctx;
    saw(n->datagrams, &n->datagram_count, (struct saw){.link = l}, b);
}
static void warn(void *ctx, const char *text)
{
    struct node *n = ctx;
    n->warnings++;
}

void node_open(struct node *n, const struct endpoint_config *c)
{
    struct endpoint_config defaults = endpoint_defaults("127.0.0.1:0");
    struct endpoint_handlers h = {.ctx = n,
                                  .accept = accept_peer,
                                  .link_up = link_up,
                                  .link_moved = link_moved,
                                  .link_down = link_down,
                                  .frame = frame,
                                  .parcel = parcel,
                                  .parcel_done = parcel_done,
                                  .request = request,
                                  .reply = reply,
                                  .bulk = bulk,
                                  .train = train,
                                  .datagram = datagram,
                                  .warn = warn};
    struct why w = {0};
    cr_assert_eq(endpoint_open(loop, c ? c : &defaults, n->self, &h, &n->endpoint, &w), ERR_OK,
                 "%s", w.text);
    n->address = endpoint_address(n->endpoint);
}

void node_start(struct node *n, const struct endpoint_config *c, uint8_t seed)
{
    uint8_t bytes[IDENTITY_SEED_BYTES] = {seed};
    struct why w = {0};
    if (!loop) cr_assert_eq(loop_open(&loop, &w), ERR_OK, "%s", w.text);
    memset(n, 0, sizeof *n);
    cr_assert_eq(identity_from_seed(bytes, &n->self, &w), ERR_OK, "%s", w.text);
    node_open(n, c);
}

static void forget(struct saw *list, size_t *count)
{
    for (size_t i = 0; i < *count; i++) free(list[i].bytes);
    *count = 0;
}

void node_forget(struct node *n)
{
    forget(n->frames, &n->frame_count);
    forget(n->parcels, &n->parcel_count);
    forget(n->requests, &n->request_count);
    forget(n->replies, &n->reply_count);
    forget(n->dones, &n->done_count);
    forget(n->datagrams, &n->datagram_count);
}

void node_stop(struct node *n)
{
    endpoint_close(n->endpoint);
    identity_close(n->self);
    node_forget(n);
}

link_id node_dial(struct node *n, const struct node *to)
{
    struct why w = {0};
    link_id l = endpoint_dial(n->endpoint, identity_id(to->self), &to->address, &w);
    cr_assert_neq(l, LINK_NONE, "%s", w.text);
    return l;
}

void link_pair(struct node *a, struct node *b, const struct endpoint_config *c)
{
    node_start(a, c, 1);
    node_start(b, c, 2);
    node_dial(a, b);
    turn_until(a->ups && b->ups, 5);
    cr_assert(a->ups == 1 && b->ups == 1, "no link: a says '%s', b says '%s'", a->reason,
              b->reason);
}

void need_ipv6(void)
{
    int fd = socket(AF_INET6, SOCK_DGRAM, 0);
    struct sockaddr_in6 at = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    bool have = fd >= 0 && !bind(fd, (struct sockaddr *)&at, sizeof at);
    close(fd);
    if (!have) cr_skip("no IPv6 on this machine");
}
