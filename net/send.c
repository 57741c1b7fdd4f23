/* What connections wrote goes to the socket: all of a batch at once, or one packet at a time, or
 * later. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "base/clock.h"
#include "base/whole.h"
#include "internal.h"

#define HELD_PAUSE     span_ms(1) /* at 100 Mbit/s eight packets leave a device meanwhile */
#define HELD_TRIES_MAX 1000 /* then the device is stuck, and the packets are too old to help */
#define GSO_PAUSE      span_s(60) /* from a refusal of GSO to the next attempt: routes change */

/* Sends from the front of `rest`. UDP_FULL or UDP_BUSY with what is left, else nothing is left:
 * what the kernel refuses is lost, which ngtcp2 finds out. */
static enum udp_sent send_rest(struct endpoint *e, struct connection *c,
                               const struct sockaddr *from, const struct sockaddr *to,
                               struct bytes *rest, size_t segment)
{
    bool gso = e->udp.gso && (!c || instant_reached(clock_now(), c->gso_again));
    bool refused = false, too_long = false;
    while (rest->count) {
        size_t n = gso || rest->count < segment ? rest->count : segment;
        enum udp_sent sent = udp_send(&e->udp, from, to, bytes_of(rest->data, n), segment);
        if (sent == UDP_FULL || sent == UDP_BUSY) return sent;
        if (sent == UDP_NO_GSO) {
            gso = false;
            refused = true;
            continue;
        }
        if (sent == UDP_SENT) {
            e->counters.sent_bytes += n;
            e->counters.sent_datagrams += ceil_div(n, segment);
        }
        if (sent == UDP_TOO_LONG) {
            too_long = true;
            if (c) payload_too_long(&c->payload, n);
        }
        *rest = bytes_of(rest->data + n, rest->count - n);
    }
    if (!refused || too_long) return UDP_SENT; /* shorter packets may again leave together */
    if (c) c->gso_again = instant_after(clock_now(), GSO_PAUSE);
    if (!e->warned_gso)
        endpoint_warn(e, "a network device cannot segment UDP (GSO): its packets are sent one by "
                         "one, which takes more of the processor");
    e->warned_gso = true;
    return UDP_SENT;
}

/* ---- a device without room ---- */

void endpoint_unhold(struct connection *c)
{
    loop_timer_clear(c->endpoint->loop, &c->held_timer);
    free(c->held);
    c->held = NULL;
}

static void on_held(void *ctx, instant now)
{
    struct connection *c = ctx;
    struct held *h = c->held;
    struct bytes rest = bytes_of(h->bytes, h->count);
    enum udp_sent sent = send_rest(c->endpoint, c, &h->from.any, &h->to.any, &rest, h->segment);
    if (sent != UDP_SENT && h->tries++ < HELD_TRIES_MAX) {
        memmove(h->bytes, rest.data, rest.count);
        h->count = rest.count;
        loop_timer_set(c->endpoint->loop, &c->held_timer, instant_after(clock_now(), HELD_PAUSE));
        return;
    }
    endpoint_unhold(c);
    if (c->state <= CONNECTION_OPEN) connection_touch(c);
}

static void hold(struct connection *c, const struct sockaddr *from, const struct sockaddr *to,
                 struct bytes rest, size_t segment)
{
    /* A farewell is not kept: it is said again when the peer's next packet comes. */
    if (!c || c->state > CONNECTION_OPEN) return;
    assert(!c->held);
    struct held *h = malloc(sizeof *h + rest.count);
    if (!h) return;
    *h = (struct held){.count = rest.count, .segment = segment};
    memcpy(&h->from, from, udp_name_bytes(from));
    memcpy(&h->to, to, udp_name_bytes(to));
    memcpy(h->bytes, rest.data, rest.count);
    c->held = h;
    c->held_timer.fire = on_held;
    c->held_timer.ctx = c;
    loop_timer_set(c->endpoint->loop, &c->held_timer, instant_after(clock_now(), HELD_PAUSE));
}

/* ---- all of it ---- */

void endpoint_send(struct endpoint *e, struct connection *c, const ngtcp2_path *path, size_t count,
                   size_t segment)
{
    const struct sockaddr *from = path->local.addr, *to = path->remote.addr;
    struct bytes rest = bytes_of(e->out, count);
    assert(!e->send_blocked);
    if (c) c->sent += count;
    enum udp_sent sent = send_rest(e, c, from, to, &rest, segment);
    if (sent == UDP_BUSY) hold(c, from, to, rest, segment);
    if (sent != UDP_FULL) return;
    e->send_blocked = true;
    memmove(e->out, rest.data, rest.count);
    memcpy(&e->waiting.from, from, udp_name_bytes(from));
    memcpy(&e->waiting.to, to, udp_name_bytes(to));
    e->waiting.count = rest.count;
    e->waiting.segment = segment;
    e->waiting.link = c ? c->id : LINK_NONE;
    loop_rewatch(e->loop, &e->socket, EPOLLIN | EPOLLOUT);
}

void endpoint_writable(struct endpoint *e)
{
    struct connection *c = endpoint_connection(e, e->waiting.link);
    const struct sockaddr *from = &e->waiting.from.any, *to = &e->waiting.to.any;
    struct bytes rest = bytes_of(e->out, e->waiting.count);
    enum udp_sent sent = send_rest(e, c, from, to, &rest, e->waiting.segment);
    if (sent == UDP_FULL) {
        memmove(e->out, rest.data, rest.count);
        e->waiting.count = rest.count;
        return;
    }
    if (sent == UDP_BUSY) hold(c, from, to, rest, e->waiting.segment);
    e->send_blocked = false;
    loop_rewatch(e->loop, &e->socket, EPOLLIN);
    if (e->dirty) loop_defer(e->loop, &e->job);
}
