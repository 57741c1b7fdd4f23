#include "node/driver.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/amount.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/stop.h"
#include "config/shared.h"
#include "net/endpoint.h"
#include "net/http3.h"
#include "net/interface.h"
#include "net/link.h"
#include "net/loop.h"
#include "net/resolve.h"
#include "node/partial.h"
#include "node/peers.h"
#include "node/strangers.h"
#include "node/view.h"
#include "swarm/node.h"
#include "swarm/wire.h"

/* Failures to report after the present event; a round has at most 20 x 8 parcels in flight. */
#define LATER_MAX 256

#define UNREACHED_TOLD 32 /* most recent unreachable peers shown */

struct driver {
    struct driver_config c;
    struct loop *loop;
    struct endpoint *endpoint;
    struct node *node;
    struct arena room, past; /* past: the means of the latest rounds */
    struct partial partial;  /* what a download has brought */
    struct sink sink;
    struct peers peers;
    bool peers_open;
    struct strangers strangers;
    struct loop_call resolved; /* a peer list was fetched, or a name of one looked up */
    struct loop_timer tick, second;
    struct loop_call heard; /* the trainer has sent an event */
    struct loop_call closing;
    struct loop_socket signals;
    int signal_fd;
    struct stop stop;
    struct event later[LATER_MAX]; /* caused by an action during an event; handled after it */
    size_t later_first, later_count;
    bool stepping;
    pthread_t thread;
    bool started;
};

/* An action that fails is reported to the node as a separate event, since the node must not be
 * re-entered. */
static void report_later(struct driver *d, const struct event *e)
{
    /* The link is about to go down, which reports the same. */
    if (d->later_count == LATER_MAX) return;
    d->later[(d->later_first + d->later_count++) % LATER_MAX] = *e;
}

static void step(struct driver *d, struct event *e)
{
    e->now = clock_now();
    e->wall_ms = d->c.pass ? clock_unix_ms() : 0;
    node_step(d->node, e, &d->sink);
    while (d->later_count) {
        struct event next = d->later[d->later_first];
        d->later_first = (d->later_first + 1) % LATER_MAX;
        d->later_count--;
        next.now = clock_now();
        node_step(d->node, &next, &d->sink);
    }
    atomic_store(&d->c.exchange->share, node_epoch_share(d->node));
    loop_timer_set(d->loop, &d->tick, node_due(d->node));
}

/* Actions. */

/* Members by the first 16 digits of their IDs. */
static void note_sids(struct event_log *j, const struct note *n)
{
    char text[NODE_GROUP_MAX * 19 + 3] = "[", digits[FIRST_EIGHT_DIGITS];
    size_t used = 1;
    for (size_t i = 0; i < n->sids.count && i < NODE_GROUP_MAX; i++)
        used += (size_t)snprintf(text + used, sizeof text - used, "%s\"%s\"", i ? "," : "",
                                 first_eight_print(n->sids.value[i], digits));
    snprintf(text + used, sizeof text - used, "]");
    event_log_json(j, n->sids.key, text);
}

static void note(struct driver *d, const struct note *n)
{
    struct event_log *j = d->c.log;
    event_log_begin(j, n->name);
    for (size_t i = 0; i < sizeof n->numbers / sizeof n->numbers[0]; i++)
        if (n->numbers[i].key) event_log_u64(j, n->numbers[i].key, n->numbers[i].value);
    if (n->word.key) event_log_text(j, n->word.key, n->word.value);
    if (n->hex.key) event_log_hex(j, n->hex.key, n->hex.value.data, n->hex.value.count);
    if (n->sids.key) note_sids(j, n);
    event_log_end(j);
}

static void dial(struct driver *d, const struct action *a)
{
    struct why w = {0};
    if (endpoint_dial_within(d->endpoint, a->id, &a->address, a->patience, &w) != LINK_NONE) return;
    struct link_end end = {.code = w.err == ERR_UNSUPPORTED ? CLOSE_FAMILY : CLOSE_UNDIALLED,
                           .reason = w.text,
                           .dialled = true,
                           .address = a->address};
    memcpy(end.id, a->id, sizeof end.id);
    peers_ended(&d->peers, &end);
    struct event e = {.kind = EVENT_DIAL_FAILED, .code = end.code, .address = a->address};
    memcpy(e.id, a->id, sizeof e.id);
    report_later(d, &e);
}

static void reply(struct driver *d, const struct action *a)
{
    struct bytes parts[] = {a->bytes, a->more};
    link_reply(d->endpoint, a->link, a->ticket, parts, 2);
}

static void failed(struct driver *d, enum event_kind kind, const struct action *a)
{
    report_later(d, &(struct event){.kind = kind, .link = a->link, .ticket = a->ticket});
}

static void on_warn(void *ctx, const char *text)
{
    struct driver *d = ctx;
    fprintf(stderr, "shoal: %s\n", text);
    event_log_begin(d->c.log, "warning");
    event_log_text(d->c.log, "why", text);
    event_log_end(d->c.log);
}

static void keep(struct driver *d, const struct kept_chunk *k)
{
    struct why why = {0};
    struct replica *r = d->c.replica;
    const float *anchor = replica_spare(r, 0, k->chunk), *momentum = replica_spare(r, 1, k->chunk);
    if (!partial_keep(&d->partial, k, anchor, momentum, &why)) return;
    char text[sizeof why.text + 160];
    snprintf(text, sizeof text,
             "%s: a start after the end of this process downloads the swarm's state from its "
             "beginning; free space",
             why.text);
    on_warn(d, text);
}

static void keep_revoked(struct driver *d, struct bytes list)
{
    struct why why = {0};
    char text[sizeof why.text + 160];
    if (!d->c.pass || !pass_keep(d->c.pass, list, &why)) return;
    snprintf(text, sizeof text, "%s: this worker forgets the list of revoked tickets when it ends",
             why.text);
    on_warn(d, text);
}

static void act(void *self, struct action *a)
{
    struct driver *d = self;
    switch (a->kind) {
    case ACTION_DIAL:
        dial(d, a);
        break;
    case ACTION_HANG_UP:
        link_close(d->endpoint, a->link, a->code, a->text ? a->text : "");
        break;
    case ACTION_WELCOME:
        link_welcome(d->endpoint, a->link);
        break;
    case ACTION_RETIRE:
        link_retire(d->endpoint, a->link);
        break;
    case ACTION_DATAGRAM:
        link_datagram(d->endpoint, a->link, a->bytes);
        break;
    case ACTION_FRAME:
        /* A queue full of data that the peer does not acknowledge means a dead link. */
        if (!link_frame(d->endpoint, a->link, a->type, a->bytes))
            link_close(d->endpoint, a->link, CLOSE_BUSY, "takes no more frames");
        break;
    case ACTION_PARCEL:
        if (!link_parcel(d->endpoint, a->link, a->bytes, a->more, a->ticket))
            failed(d, EVENT_PARCEL_DONE, a);
        break;
    case ACTION_REQUEST:
        if (!link_request(d->endpoint, a->link, a->bytes, a->ticket)) failed(d, EVENT_REPLY, a);
        break;
    case ACTION_REPLY:
        reply(d, a);
        break;
    case ACTION_ORDER:
        if (a->order.kind == ORDER_APPLY) partial_drop(&d->partial);
        exchange_order(d->c.exchange, &a->order);
        break;
    case ACTION_STATE:
        replica_take(d->c.replica, a->part.vector, a->part.offset, a->part.floats);
        break;
    case ACTION_REPLAY:
        replica_replay(d->c.replica, a->replay.chunk, a->replay.mean);
        break;
    case ACTION_KEEP:
        keep(d, &a->keep);
        break;
    case ACTION_REVOKED:
        keep_revoked(d, a->revoked);
        break;
    case ACTION_NOTE:
        note(d, &a->note);
        break;
    }
}

/* Events. */

static void on_link_up(void *ctx, link_id l, const uint8_t id[CRYPTO_KEY_BYTES],
                       const struct address *remote, bool dialled)
{
    struct driver *d = ctx;
    struct event e = {.kind = EVENT_LINK_UP, .link = l, .address = *remote, .dialled = dialled};
    memcpy(e.id, id, sizeof e.id);
    link_exporter(d->endpoint, l, e.exporter);
    step(d, &e);
}

static void on_link_moved(void *ctx, link_id l, const struct address *remote)
{
    step(ctx, &(struct event){.kind = EVENT_LINK_MOVED, .link = l, .address = *remote});
}

static void on_link_down(void *ctx, link_id l, const struct link_end *end)
{
    struct driver *d = ctx;
    struct event e = {.kind = end->up ? EVENT_LINK_DOWN : EVENT_DIAL_FAILED,
                      .link = l,
                      .code = end->code,
                      .address = end->address,
                      .dialled = end->dialled};
    if (end->by_peer && end->reason) e.said = bytes_of(end->reason, strlen(end->reason));
    memcpy(e.id, end->id, sizeof e.id);
    peers_ended(&d->peers, end);
    if (end->up || end->dialled) step(d, &e);
}

static void on_datagram(void *ctx, link_id l, struct bytes b)
{
    step(ctx, &(struct event){.kind = EVENT_DATAGRAM, .link = l, .bytes = b});
}

static void on_frame(void *ctx, link_id l, uint8_t type, struct bytes b)
{
    step(ctx, &(struct event){.kind = EVENT_FRAME, .link = l, .type = type, .bytes = b});
}

static void on_parcel(void *ctx, link_id l, struct bytes b)
{
    step(ctx, &(struct event){.kind = EVENT_PARCEL, .link = l, .bytes = b});
}

static void on_parcel_done(void *ctx, link_id l, uint64_t ticket, bool ok)
{
    step(ctx, &(struct event){.kind = EVENT_PARCEL_DONE, .link = l, .ticket = ticket, .ok = ok});
}

static void on_request(void *ctx, link_id l, uint64_t handle, struct bytes b)
{
    step(ctx, &(struct event){.kind = EVENT_REQUEST, .link = l, .ticket = handle, .bytes = b});
}

static void on_reply(void *ctx, link_id l, uint64_t ticket, bool ok, struct bytes b)
{
    step(ctx,
         &(struct event){.kind = EVENT_REPLY, .link = l, .ticket = ticket, .ok = ok, .bytes = b});
}

static void on_tick(void *ctx, instant now)
{
    (void)now;
    step(ctx, &(struct event){.kind = EVENT_TICK});
}

static void on_heard(void *ctx)
{
    struct driver *d = ctx;
    struct event e;
    while (exchange_heard(d->c.exchange, &e)) step(d, &e);
}

/* Peer lists. */

static void on_address(void *ctx, const uint8_t id[CRYPTO_KEY_BYTES], const struct address *a,
                       uint32_t list)
{
    struct event e = {.kind = EVENT_ADDRESS, .address = *a, .code = list};
    memcpy(e.id, id, sizeof e.id);
    step(ctx, &e);
}

static void on_listed(void *ctx, const struct peer_address *p, uint32_t list)
{
    struct event e = {.kind = EVENT_LISTED, .address = p->address, .code = list};
    memcpy(e.id, p->id, sizeof e.id);
    step(ctx, &e);
}

static void on_list_read(void *ctx, uint32_t list)
{
    step(ctx, &(struct event){.kind = EVENT_LIST_READ, .code = list});
}

static void on_resolved(void *ctx)
{
    struct driver *d = ctx;
    peers_answers(&d->peers);
}

static void wake_resolved(void *ctx)
{
    struct driver *d = ctx;
    loop_post(d->loop, &d->resolved);
}

static void wake(void *self)
{
    struct driver *d = self;
    loop_post(d->loop, &d->heard);
}

/* Number of other live members, linked or not. */
static size_t living_peers(const struct node_peer *peers, size_t count)
{
    size_t living = 0;
    for (size_t i = 0; i < count; i++)
        living += !peers[i].self &&
                  (peers[i].health == HEALTH_ALIVE || peers[i].health == HEALTH_SUSPECT);
    return living;
}

static void on_flow(void *ctx, link_id l, uint64_t sent, uint64_t received)
{
    step(ctx, &(struct event){.kind = EVENT_FLOW, .link = l, .sent = sent, .received = received});
}

static void on_train(void *ctx, uint64_t count, span took)
{
    step(ctx, &(struct event){.kind = EVENT_TRAIN, .count = count, .took = took});
}

static bool is_bulk(struct bytes request) { return request.count && wire_bulk(request.data[0]); }

/* The list of revoked tickets may have been written anew. */
static void reread_revoked(struct driver *d)
{
    struct bytes list;
    char story[PASS_STORY_BYTES];
    if (pass_reread(d->c.pass, &list, story))
        step(d, &(struct event){.kind = EVENT_REVOKED, .bytes = list});
    if (story[0]) on_warn(d, story);
}

static void look_at_pass(struct driver *d)
{
    struct pass *p = d->c.pass;
    const struct ticket *t = &p->own.ticket;
    char text[TICKET_STORY_BYTES + 32], time[TICKET_TIME_BYTES], left[32];
    reread_revoked(d);
    if (pass_over(p, clock_unix_ms())) {
        snprintf(text, sizeof text, "%s: leaving the swarm", p->over);
        on_warn(d, text);
        step(d, &(struct event){.kind = EVENT_LEAVE});
    }
    const uint64_t ends_s = pass_ends_s(p, clock_unix_ms());
    if (!ends_s) return;
    fprintf(stderr, "shoal: the ticket ends at %s, in %s: ask the experiment's owner for another\n",
            ticket_time(t->until_s, time), amount_time((double)ends_s, left));
    event_log_begin(d->c.log, "ticket_ends");
    event_log_u64(d->c.log, "serial", t->serial);
    event_log_u64(d->c.log, "until", t->until_s);
    event_log_u64(d->c.log, "left_s", ends_s);
    event_log_end(d->c.log);
}

static void on_second(void *ctx, instant now)
{
    struct driver *d = ctx;
    link_flows(d->endpoint, on_flow, d);
    struct endpoint_counters n = endpoint_counters(d->endpoint);
    struct loop_lag lag = loop_lag(d->loop, false);
    struct event_log *j = d->c.log;
    struct node_peer peers[NODE_PEERS_MAX];
    size_t count = node_peers(d->node, peers, NODE_PEERS_MAX);
    struct unreached unreached[UNREACHED_TOLD];
    size_t linked = peers_see(&d->peers, peers, count, now);
    event_log_begin(j, "net");
    event_log_u64(j, "sent", n.sent_bytes);
    event_log_u64(j, "received", n.received_bytes);
    event_log_u64(j, "relayed", node_relayed(d->node));
    event_log_u64(j, "peers", linked);
    event_log_u64(j, "known", living_peers(peers, count));
    event_log_u64(j, "unreachable", peers_unreached(&d->peers, unreached, UNREACHED_TOLD));
    event_log_f64(j, "lag_p50_ms", lag.p50_ms);
    event_log_f64(j, "lag_p99_ms", lag.p99_ms);
    event_log_f64(j, "lag_max_ms", lag.max_ms);
    event_log_u64(j, "wakeups", loop_wakeups(d->loop));
    event_log_end(j);
    strangers_tell(&d->strangers, &n, now, j);
    if (d->c.pass) look_at_pass(d);
    loop_timer_set(d->loop, &d->second, instant_after(now, span_s(1)));
}

/* Answers the HTTP/3 requests of any client. */
static void on_http(void *ctx, const char *path, struct http3_reply *to)
{
    struct driver *d = ctx;
    if ((d->c.secret.count || d->c.pass) && !http3_from_here(to)) {
        static const char closed[] =
            "this swarm is closed (swarm.access): ask on the machine of one of its workers\n";
        http3_answer(to, 403, "text/plain", bytes_of(closed, sizeof closed - 1));
        return;
    }
    struct endpoint_counters n = endpoint_counters(d->endpoint);
    struct view_facts f = {.experiment = d->c.experiment->name,
                           .epochs = experiment_epochs(d->c.experiment),
                           .epoch_tokens =
                               d->c.experiment->outer.every * d->c.experiment->train.batch_tokens,
                           .parameters = d->c.replica->layout.parameters,
                           .net = n,
                           .relayed = node_relayed(d->node),
                           .listen = driver_address(d)};
    struct node_peer all[NODE_PEERS_MAX];
    f.peers = all;
    f.peers_count = node_peers(d->node, all, NODE_PEERS_MAX);
    struct unreached unreached[UNREACHED_TOLD];
    f.unreached = unreached;
    f.unreached_count = peers_unreached(&d->peers, unreached, UNREACHED_TOLD);
    f.now_ms = clock_unix_ms();
    memcpy(f.run_id, d->c.run_id, sizeof f.run_id);
    bool status = !strcmp(path, "/status"), peers = !strcmp(path, "/peers");
    char *text = status ? view_status(&f) : peers ? view_peers(&f) : NULL;
    const char *missing = "there are /status and /peers here\n";
    if (text)
        http3_answer(to, 200, status ? "application/json" : "text/plain",
                     bytes_of(text, strlen(text)));
    else
        http3_answer(to, status || peers ? 500 : 404, "text/plain",
                     bytes_of(missing, strlen(missing)));
    free(text);
}

static void on_signal(void *ctx, uint32_t events)
{
    (void)events;
    struct driver *d = ctx;
    struct signalfd_siginfo info;
    if (read(d->signal_fd, &info, sizeof info) != sizeof info) return;
    if (!stop_take(&d->stop, clock_now())) return;
    if (d->stop.count > 1) {
        fprintf(stderr,
                "shoal: ended at once; what was trained since the last checkpoint is lost\n");
        event_log_finish(d->c.log, span_s(1)); /* a disk that stands still does not keep us */
        _exit(STOP_CODE_AT_ONCE);
    }
    fprintf(stderr, "shoal: leaving the swarm; once more to end at once\n");
    step(d, &(struct event){.kind = EVENT_LEAVE});
}

static void on_closing(void *ctx)
{
    struct driver *d = ctx;
    on_second(d, clock_now()); /* final counts of what was sent */
    loop_stop(d->loop);
}

static void *thread_main(void *arg)
{
    struct driver *d = arg;
    peers_tell(&d->peers);
    loop_run(d->loop);
    return NULL;
}

/* Setting up. */

size_t driver_swarm_bytes(uint64_t parameters)
{
    return node_bytes(&(struct node_config){.parameters = parameters});
}

static enum err open_peers(struct driver *d, struct why *w)
{
    struct peers_config c = {.sources = d->c.peers,
                             .sources_count = d->c.peers_count,
                             .identity = d->c.experiment->swarm.identity,
                             .advertise = d->c.experiment->swarm.advertise,
                             .log = d->c.log,
                             .ctx = d,
                             .address = on_address,
                             .listed = on_listed,
                             .list_read = on_list_read,
                             .warn = on_warn,
                             .wake = wake_resolved};
    memcpy(c.self, identity_id(d->c.identity), sizeof c.self);
    memcpy(c.run_id, d->c.run_id, sizeof c.run_id);
    d->c.crypto->random(d->c.crypto->self, &c.seed, sizeof c.seed);
    d->peers_open = true;
    return peers_open(&d->peers, &c, w);
}

static enum err open_endpoint(struct driver *d, struct why *w)
{
    struct endpoint_config ec = endpoint_defaults(d->c.listen);
    ec.bbr = d->c.experiment->swarm.congestion == CONGESTION_BBR;
    struct endpoint_handlers h = {.ctx = d,
                                  .link_up = on_link_up,
                                  .link_moved = on_link_moved,
                                  .link_down = on_link_down,
                                  .datagram = on_datagram,
                                  .frame = on_frame,
                                  .parcel = on_parcel,
                                  .parcel_done = on_parcel_done,
                                  .request = on_request,
                                  .bulk = is_bulk,
                                  .train = on_train,
                                  .reply = on_reply,
                                  .warn = on_warn};
    return endpoint_open(d->loop, &ec, d->c.identity, &h, &d->endpoint, w);
}

static_assert(SHARED_BYTES_MAX <= NODE_SHARED_MAX && SHARED_STORY_BYTES <= NODE_STORY_BYTES,
              "the swarm has room for what the experiment shares");

/* Memory for the means of the latest rounds, which members that missed them are served from: as many
 * rounds as the disk has room for. Returns their number. */
static uint32_t open_past(struct driver *d)
{
    const char *folder = d->c.experiment->checkpoint.dir;
    uint64_t parameters = d->c.replica->layout.parameters;
    struct why why;
    uint32_t rounds = NODE_PAST_MAX;
    while (rounds && arena_open_file(&d->past, folder, node_past_bytes(parameters, rounds), &why))
        rounds /= 2;
    if (rounds < NODE_PAST_MAX) {
        char text[sizeof why.text + 160];
        snprintf(
            text, sizeof text,
            "%s: %u of %d rounds are kept for members that miss some; free space and start again",
            why.text, rounds, NODE_PAST_MAX);
        on_warn(d, text);
    }
    return rounds;
}

/* Chunks of a download that an earlier process did not finish go to the spare buffers; those that are
 * older than the state are of one that was. */
static void take_partial(struct driver *d)
{
    struct replica *r = d->c.replica;
    uint32_t found = 0;
    partial_open(&d->partial, d->c.experiment->checkpoint.dir, d->c.run_id, &r->layout);
    for (uint32_t c = 0; d->partial.fd >= 0 && c < r->layout.chunks; c++) {
        struct event e = {.kind = EVENT_KEPT};
        bool whole =
            partial_read(&d->partial, c, &e.kept, replica_spare(r, 0, c), replica_spare(r, 1, c));
        if (!whole || e.kept.epoch <= r->state.epoch) continue;
        step(d, &e);
        found++;
    }
    if (!found) {
        partial_drop(&d->partial);
        return;
    }
    event_log_begin(d->c.log, "partial");
    event_log_u64(d->c.log, "chunks", found);
    event_log_u64(d->c.log, "of", r->layout.chunks);
    event_log_end(d->c.log);
}

static enum err open_node(struct driver *d, struct why *w)
{
    const struct experiment *x = d->c.experiment;
    struct node_config nc = {
        .incarnation = d->c.incarnation,
        .crypto = d->c.crypto,
        .parameters = d->c.replica->layout.parameters,
        .every = x->outer.every,
        .batch_tokens = x->train.batch_tokens,
        .epochs = experiment_epochs(x),
        .count_steps = x->outer.count == OUTER_COUNT_STEPS,
        .robust = x->outer.robust,
        .group_min = x->swarm.group_min,
        .group_max = x->swarm.group_max,
        .bandwidth_mbps = x->swarm.bandwidth_mbps,
        .shared = d->c.shared,
        .differ = shared_compare,
        .secret = d->c.secret,
        .bootstrap = d->peers.list.entries,
        .bootstrap_count = d->peers.list.count,
        .lists = (uint32_t)d->peers.list.urls_count,
        .advertise = d->peers.advertise,
        .past_rounds = open_past(d),
    };
    nc.past = d->past.start;
    if (d->c.pass) {
        nc.ticket_key = d->c.pass->own.key;
        nc.ticket = bytes_of(d->c.pass->own.bytes, d->c.pass->own.count);
    }
    memcpy(nc.id, identity_id(d->c.identity), sizeof nc.id);
    memcpy(nc.run_id, d->c.run_id, sizeof nc.run_id);
    uint64_t key;
    d->c.crypto->random(d->c.crypto->self, &key, sizeof key);
    nc.rng = rng_init(key);
    enum err e = arena_open(&d->room, node_bytes(&nc), w);
    if (e) return e;
    d->sink = (struct sink){d, act};
    d->node = node_init(&nc, &d->c.replica->state, &d->c.round, &d->room, clock_now(), &d->sink, w);
    arena_seal(&d->room);
    if (!d->node) return w->err;
    take_partial(d);
    if (!d->c.pass) return ERR_OK;
    reread_revoked(d); /* before anybody is met */
    if (pass_over(d->c.pass, clock_unix_ms()))
        return why(w, ERR_USAGE, "swarm.ticket: %s", d->c.pass->over);
    return ERR_OK;
}

static enum err open_signals(struct driver *d, struct why *w)
{
    sigset_t set;
    stop_signals(&set);
    d->signal_fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    if (d->signal_fd < 0) return why(w, ERR_IO, "watching for signals: %s", strerror(errno));
    d->signals = (struct loop_socket){.fd = d->signal_fd, .ready = on_signal, .ctx = d};
    return loop_watch(d->loop, &d->signals, EPOLLIN, w);
}

enum err driver_open(struct driver **out, const struct driver_config *c, struct why *w)
{
    struct driver *d = calloc(1, sizeof *d);
    if (!d) return why(w, ERR_MEMORY, "no memory for the network");
    d->c = *c;
    d->signal_fd = d->partial.fd = -1;
    d->tick = (struct loop_timer){.fire = on_tick, .ctx = d};
    d->second = (struct loop_timer){.fire = on_second, .ctx = d};
    d->heard = (struct loop_call){.run = on_heard, .ctx = d};
    d->closing = (struct loop_call){.run = on_closing, .ctx = d};
    d->resolved = (struct loop_call){.run = on_resolved, .ctx = d};
    enum err e = open_peers(d, w);
    if (!e) e = loop_open(&d->loop, w);
    if (!e) e = open_signals(d, w);
    if (!e) e = open_endpoint(d, w);
    if (!e) e = open_node(d, w);
    if (!e) e = peers_start(&d->peers, w);
    if (!e) http3_serve(d->endpoint, on_http, d);
    if (e) {
        driver_close(d);
        return e;
    }
    c->exchange->wake = wake;
    c->exchange->wake_self = d;
    loop_timer_set(d->loop, &d->tick, node_due(d->node));
    loop_timer_set(d->loop, &d->second, instant_after(clock_now(), span_s(1)));
    int rc = pthread_create(&d->thread, NULL, thread_main, d);
    if (rc) {
        driver_close(d);
        return why(w, ERR_MEMORY, "starting the network's thread: %s", strerror(rc));
    }
    d->started = true;
    *out = d;
    return ERR_OK;
}

struct address driver_address(const struct driver *d)
{
    struct address listen = endpoint_address(d->endpoint);
    return interface_reachable(&listen);
}

size_t driver_unreached(struct driver *d, struct unreached *out, size_t room)
{
    return peers_unreached(&d->peers, out, room);
}

void driver_close(struct driver *d)
{
    if (!d) return;
    if (d->started) {
        loop_post(d->loop, &d->closing);
        pthread_join(d->thread, NULL);
    }
    if (d->peers_open) peers_close(&d->peers);
    if (d->endpoint) endpoint_close(d->endpoint);
    if (d->signal_fd >= 0) {
        if (d->loop) loop_forget(d->loop, &d->signals);
        close(d->signal_fd);
    }
    if (d->loop) loop_close(d->loop);
    arena_close(&d->room);
    arena_close(&d->past);
    partial_close(&d->partial);
    free(d);
}
