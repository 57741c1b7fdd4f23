#include "node.h"

#include <assert.h>

#include "contact.h"
#include "doubles.h"
#include "member_table.h"
#include "node_choice.h"
#include "node_hear.h"
#include "node_history.h"
#include "node_life.h"
#include "node_look.h"
#include "node_news.h"
#include "node_parts.h"
#include "node_relay.h"
#include "node_round.h"
#include "node_say.h"
#include "stranger.h"

/* SPEC.md, "A node's life". */
/* With count_steps: a repeatable run starts with everybody on the peer list. */
#define JOIN_PATIENCE_COUNTED span_s(20)
#define LATE                  span_ms(250)
/* Of a member's frames, datagrams and requests at once, and a second; and what each counts for beside
 * its bytes. */
#define MESSAGES_BURST ((uint64_t)2 << 20)
#define MESSAGES_RATE  ((uint64_t)256 << 10)
#define MESSAGE_COST   64
#define REQUEST_COST   8192

/* ---- after each event ---- */

static void decline(struct node *n)
{
    struct sink in = node_inner(n);
    enum match_reason why = MATCH_REASON_TRAINING;
    if (n->life == LIFE_SYNC || n->life == LIFE_ADOPT) why = MATCH_REASON_SYNC;
    if (n->life == LIFE_TRAIN && n->now.ns < n->sit_out_until.ns && node_sits_out(n))
        why = MATCH_REASON_BUSY;
    if (n->life == LIFE_DONE) why = MATCH_REASON_DONE;
    if (n->life == LIFE_LEAVING || n->life == LIFE_LEFT) why = MATCH_REASON_LEAVING;
    match_decline(&n->match, why, node_eta_ms(n), &in);
}

/* After any event: news, timers, and the transitions that follow, until nothing changes. */
static void settle(struct node *n)
{
    struct sink in = node_inner(n);
    if (n->life == LIFE_LEFT) return; /* the event has ended it */
    if (n->now.ns >= members_due(&n->members).ns) members_tick(&n->members, n->now, &in);
    node_read_news(n);
    node_relay_tick(n);
    if (n->cell_stale) node_refresh_cell(n);
    if (n->now.ns >= match_due(&n->match).ns) match_tick(&n->match, n->now, &in);
    if (n->now.ns >= reduce_due(&n->reduce).ns) reduce_tick(&n->reduce, n->now, &in);
    if (n->now.ns >= sync_due(&n->sync).ns) sync_tick(&n->sync, n->now, &in);
    node_live(n);
    if (n->life == LIFE_LEFT) return;
    decline(n);
    node_read_news(n);
    if (n->now.ns < n->publish_at.ns) return;
    node_publish(n);
    node_relay_progress(n);
}

static void protocol_error(struct node *n, link_id link, const char *why)
{
    int i = members_by_link(&n->members, link);
    struct action a = {.kind = ACTION_HANG_UP,
                       .peer = i == NOBODY ? 0 : n->members.members[i].sid,
                       .link = link,
                       .code = CLOSE_PROTOCOL,
                       .text = why};
    if (i == NOBODY && !stranger_of(&n->members, link)) return; /* already hung up */
    sink_act(n->out, &a);
    contact_refuse(&n->members, link);
}

#define NOT_ALLOWED "bytes that the protocol does not allow"

/* What a message costs whoever answers it: of requests whose answers are bulk only few are open at a
 * time, and their bytes are the link's own matter. */
static bool floods(struct node *n, int i, const struct event *e)
{
    uint64_t cost = MESSAGE_COST + e->bytes.count;
    if (e->kind == EVENT_REQUEST)
        cost = e->bytes.count && wire_bulk(e->bytes.data[0]) ? 0 : REQUEST_COST;
    return !bucket_take(&n->members.members[i].messages, cost, MESSAGES_BURST, MESSAGES_RATE,
                        n->now);
}

static void on_frame(struct node *n, const struct event *e)
{
    struct sink in = node_inner(n);
    int i = members_by_link(&n->members, e->link);
    if (i == NOBODY && !stranger_of(&n->members, e->link)) return; /* already hung up */
    const struct member *p = i == NOBODY ? NULL : &n->members.members[i];
    bool good = true;
    if (e->type == WIRE_HELLO) {
        good = members_hello(&n->members, e->link, e->bytes, n->now, &in);
    } else if (!p) {
        good = false;
    } else if (member_held_back(p, e->link) || member_over(p)) {
        return; /* nothing is accepted while its HELLO is held back, or it is out */
    } else if (!member_greeted(p, e->link)) {
        good = false;
    } else if (e->type == WIRE_SEEN) {
        good = members_seen(&n->members, e->link, e->bytes, n->now);
    } else if (e->type == WIRE_GOSSIP) {
        good = members_gossip(&n->members, e->link, e->bytes, n->now, &in);
    } else if (e->type == WIRE_RELAY) {
        good = node_on_relay(n, i, RELAY_FRAME, e);
    } else {
        good = node_hear_frame(n, i, e->type, e->bytes);
    }
    if (!good) protocol_error(n, e->link, NOT_ALLOWED);
}

static void on_request(struct node *n, const struct event *e)
{
    struct sink in = node_inner(n);
    int i = members_by_link(&n->members, e->link);
    uint8_t type = e->bytes.count ? e->bytes.data[0] : 0;
    sid s = i == NOBODY ? 0 : n->members.members[i].sid;
    bool greeted = i != NOBODY && member_greeted(&n->members.members[i], e->link);
    if (!greeted || e->bytes.count == 0) sink_answer_nothing(n->out, s, e->link, e->ticket);
    else if (type == WIRE_RELAY) {
        if (!node_on_relay(n, i, RELAY_REQUEST, e)) protocol_error(n, e->link, NOT_ALLOWED);
    } else if (type == WIRE_SYNC)
        members_sync(&n->members, e->link, e->ticket, e->bytes, n->now, &in);
    else if (sync_takes(type)) sync_request(&n->sync, s, e->link, e->ticket, e->bytes, &in);
    else node_hear_request(n, i, e, e->bytes);
}

static void on_reply(struct node *n, const struct event *e)
{
    struct sink in = node_inner(n);
    if (e->ticket & REDUCE_TICKET)
        (void)reduce_reply(&n->reduce, e->ticket, e->ok, e->bytes, n->now, &in);
    else if (e->ticket & SYNC_TICKET) sync_reply(&n->sync, e->ticket, e->ok, e->bytes, n->now, &in);
    else if (e->ticket & RELAY_TICKET) node_relay_result(n, e);
    else if (e->ticket == n->members.ticket && n->members.ticket)
        members_synced(&n->members, e->ok, e->bytes, n->now, &in);
}

static bool on_parcel(struct node *n, int i, const struct event *e)
{
    struct sink in = node_inner(n);
    if (e->bytes.count && e->bytes.data[0] == WIRE_RELAY)
        return node_on_relay(n, i, RELAY_PARCEL, e);
    return reduce_parcel(&n->reduce, n->members.members[i].sid, e->bytes, n->now, &in);
}

static void on_flow(struct node *n, sid peer, const struct event *e)
{
    reduce_flow(&n->reduce, peer, e->sent, e->received, n->now);
    sync_flow(&n->sync, peer, e->received, n->now);
}

static void on_network(struct node *n, const struct event *e)
{
    struct sink in = node_inner(n);
    int i = members_by_link(&n->members, e->link);
    bool said = e->kind == EVENT_DATAGRAM || e->kind == EVENT_FRAME || e->kind == EVENT_PARCEL ||
                e->kind == EVENT_REQUEST;
    if (i != NOBODY && said) doubles_heard(&n->members, i, e->link);
    if (i != NOBODY && said && e->kind != EVENT_PARCEL && floods(n, i, e)) {
        protocol_error(n, e->link, "more messages than anybody needs");
        return;
    }
    switch (e->kind) {
    case EVENT_LINK_UP:
        members_link_up(&n->members, e, &in);
        break;
    case EVENT_LINK_DOWN:
        members_link_down(&n->members, e->link, e->code, n->now, &in);
        if (e->code == CLOSE_SELF) node_copied(n, e->said);
        break;
    case EVENT_LINK_MOVED:
        members_moved(&n->members, e->link, &e->address, n->now, &in);
        break;
    case EVENT_DIAL_FAILED:
        members_dial_failed(&n->members, e->id, &e->address, e->code, n->now, &in);
        break;
    case EVENT_ADDRESS:
        members_address_found(&n->members, e->id, &e->address, e->code, n->now);
        break;
    case EVENT_LISTED:
        members_listed(&n->members, e->id, &e->address, e->code, n->now);
        break;
    case EVENT_LIST_READ:
        members_list_read(&n->members, e->code);
        break;
    case EVENT_DATAGRAM:
        if (!members_datagram(&n->members, e->link, e->bytes, n->now, &in))
            protocol_error(n, e->link, NOT_ALLOWED);
        break;
    case EVENT_FRAME:
        on_frame(n, e);
        break;
    case EVENT_PARCEL:
        if (i != NOBODY && member_greeted(&n->members.members[i], e->link) && !on_parcel(n, i, e))
            protocol_error(n, e->link, NOT_ALLOWED);
        break;
    case EVENT_PARCEL_DONE:
        if (!e->ok) contact_broken(&n->members, e->link);
        node_read_news(n);
        if (e->ticket & REDUCE_TICKET)
            reduce_parcel_done(&n->reduce, e->ticket, e->ok, n->now, &in);
        else if (e->ticket & RELAY_TICKET) node_relay_result(n, e);
        break;
    case EVENT_REQUEST:
        on_request(n, e);
        break;
    case EVENT_REPLY:
        on_reply(n, e);
        break;
    case EVENT_TRAIN:
        rate_train(&n->up, e->count, e->took);
        break;
    case EVENT_FLOW:
        if (i != NOBODY) on_flow(n, n->members.members[i].sid, e);
        break;
    default:
        assert(!"not an event of the network");
    }
}

static void on_step(struct node *n, const struct event *e)
{
    /* A step that was running when the trainer was paused counts if training continues. */
    bool lives = n->life == LIFE_TRAIN || n->life == LIFE_MATCH || n->life == LIFE_REDUCE ||
                 n->life == LIFE_JOIN || n->life == LIFE_SYNC || n->life == LIFE_ADOPT;
    if (!lives) return;
    n->round = e->round;
    uint64_t said = n->members.progress.tokens_per_s, rate = n->round.tokens_per_s;
    if (said > 2 * rate || rate > 2 * said) node_publish_soon(n); /* others extrapolate from it */
}

void node_step(struct node *n, const struct event *in, const struct sink *out)
{
    if (n->life == LIFE_LEFT) return;
    n->out = out;
    n->now = instant_max(in->now, n->now);
    span late = instant_since(n->now, n->promised);
    if (late.ns > LATE.ns) members_late(&n->members, late);
    n->members.now = n->now;
    if (in->wall_ms) n->members.wall_ms = in->wall_ms, n->members.wall_at = n->now;
    switch (in->kind) {
    case EVENT_TICK:
        break;
    case EVENT_KEPT:
        sync_kept(&n->sync, &in->kept);
        break;
    case EVENT_STEP:
        on_step(n, in);
        break;
    case EVENT_SNAPSHOT:
        node_snapshot(n, in);
        break;
    case EVENT_APPLIED:
        node_applied(n, in);
        break;
    case EVENT_ADOPTED:
        node_adopted(n, in);
        break;
    case EVENT_LEAVE:
        node_leave(n);
        break;
    case EVENT_REVOKED: {
        struct sink to = node_inner(n);
        members_revoked(&n->members, in->bytes, &to);
        break;
    }
    default:
        on_network(n, in);
    }
    settle(n);
    n->promised = instant_max(node_due(n), n->now);
    n->out = NULL;
}

instant node_due(const struct node *n)
{
    if (n->life == LIFE_LEFT) return INSTANT_NEVER;
    instant due = instant_min(members_due(&n->members), match_due(&n->match));
    due = instant_min(due, instant_min(reduce_due(&n->reduce), sync_due(&n->sync)));
    due = instant_min(instant_min(due, n->publish_at), relay_due(&n->relay, &n->members));
    if (n->life == LIFE_JOIN) due = instant_min(due, n->join_until);
    if (n->life == LIFE_SYNC && n->sync.servers_count == 0)
        due = instant_min(due, instant_after(n->sync.began, NODE_JOIN_PATIENCE));
    if (n->life == LIFE_DONE || n->life == LIFE_LEAVING || n->leaving)
        due = instant_min(due, n->leave_until);
    if (n->life == LIFE_TRAIN || n->life == LIFE_MATCH) {
        if (n->solo_until.ns > n->now.ns) due = instant_min(due, n->solo_until);
        if (n->due_since.ns != INSTANT_NEVER.ns) {
            instant then = instant_after(n->due_since, node_near_patience(n));
            if (then.ns > n->now.ns) due = instant_min(due, then);
        }
        if (node_outvoted_at(n).ns > n->now.ns) due = instant_min(due, node_outvoted_at(n));
        if (n->behind_since.ns != INSTANT_NEVER.ns) {
            instant then =
                instant_max(instant_after(n->behind_since, NODE_BEHIND_PATIENCE), n->sync_again);
            if (then.ns > n->now.ns) due = instant_min(due, then);
        }
    }
    return due;
}

/* ---- the start ---- */

static struct reduce_config reduce_config_of(const struct node_config *c)
{
    struct reduce_config r = {.crypto = c->crypto,
                              .layout = outer_layout_of(c->parameters),
                              .group_max = NODE_GROUP_MAX,
                              .robust = c->robust};
    memcpy(r.run_id, c->run_id, sizeof r.run_id);
    return r;
}

static struct sync_config sync_config_of(const struct node_config *c)
{
    return (struct sync_config){.crypto = c->crypto, .layout = outer_layout_of(c->parameters)};
}

size_t node_past_bytes(uint64_t parameters, uint32_t rounds)
{
    struct outer_layout l = outer_layout_of(parameters);
    return past_means_bytes(&l, rounds);
}

static size_t listed_room(const struct node_config *c)
{
    return c->bootstrap_count + (size_t)c->lists * NODE_LATER_MAX;
}

size_t node_bytes(const struct node_config *c)
{
    struct reduce_config r = reduce_config_of(c);
    struct sync_config s = sync_config_of(c);
    return sizeof(struct node) + 64 + sizeof(struct listed) * listed_room(c) + 64 +
           reduce_bytes(&r) + sync_bytes(&s) + past_bytes(&r.layout, c->past_rounds);
}

static enum err check_config(const struct node_config *c, const struct lineage_state *s,
                             struct why *w)
{
    if (c->parameters == 0 || c->every == 0 || c->batch_tokens == 0 || c->epochs == 0)
        return why(w, ERR_USAGE, "a swarm needs parameters, steps, tokens and epochs above 0");
    if (c->group_min < 2 || c->group_min > c->group_max || c->group_max > NODE_GROUP_MAX)
        return why(w, ERR_USAGE, "group sizes must be 2 <= min (%u) <= max (%u) <= %u",
                   c->group_min, c->group_max, NODE_GROUP_MAX);
    if (c->past_rounds > NODE_PAST_MAX)
        return why(w, ERR_USAGE, "at most %d rounds are kept, not %u", NODE_PAST_MAX,
                   c->past_rounds);
    if (c->epochs > UINT32_MAX || s->epoch > c->epochs)
        return why(w, ERR_USAGE, "epoch %llu of a run of %llu", (unsigned long long)s->epoch,
                   (unsigned long long)c->epochs);
    if (c->secret.count && c->secret.count < NODE_SECRET_MIN)
        return why(w, ERR_USAGE, "a secret has at least %d bytes, not %zu", NODE_SECRET_MIN,
                   c->secret.count);
    if (c->ticket_key && c->ticket.count != TICKET_BYTES)
        return why(w, ERR_USAGE, "a ticket has %d bytes, not %zu", TICKET_BYTES, c->ticket.count);
    if (c->shared.count > NODE_SHARED_MAX)
        return why(w, ERR_USAGE, "%zu bytes of what members share, %d fit", c->shared.count,
                   NODE_SHARED_MAX);
    if (c->bootstrap_count > NODE_LISTED_MAX)
        return why(w, ERR_USAGE, "a peer list has at most %d entries, this one %zu",
                   NODE_LISTED_MAX, c->bootstrap_count);
    if (c->lists > NODE_LISTS_MAX)
        return why(w, ERR_USAGE, "at most %d peer lists may come later, not %u", NODE_LISTS_MAX,
                   c->lists);
    if (wire_sid(c->id) == 0) return why(w, ERR_USAGE, "this key's ID begins with 8 zero bytes");
    return ERR_OK;
}

static void init_parts(struct node *n, const struct node_config *c, struct listed *listed)
{
    struct member_config m = {.incarnation = c->incarnation,
                              .crypto = c->crypto,
                              .advertise = c->advertise,
                              .bootstrap = c->bootstrap,
                              .bootstrap_count = c->bootstrap_count,
                              .shared = c->shared,
                              .secret = c->secret,
                              .ticket_key = c->ticket_key,
                              .ticket = c->ticket,
                              .differ = c->differ,
                              .listed = listed,
                              .lists = c->lists};
    struct match_config t = {.incarnation = c->incarnation,
                             .crypto = c->crypto,
                             .group_min = c->group_min,
                             .weight_max = node_weight_max(c),
                             .count_steps = c->count_steps};
    memcpy(m.id, c->id, sizeof m.id);
    memcpy(m.run_id, c->run_id, sizeof m.run_id);
    memcpy(t.id, c->id, sizeof t.id);
    memcpy(t.run_id, c->run_id, sizeof t.run_id);
    members_init(&n->members, &m, rng_split(c->rng, 1), n->now);
    match_init(&n->match, &t);
    relay_init(&n->relay);
}

struct node *node_init(const struct node_config *c, const struct lineage_state *state,
                       const struct round_progress *round, struct arena *room, instant now,
                       const struct sink *out, struct why *w)
{
    struct reduce_config r = reduce_config_of(c);
    struct sync_config s = sync_config_of(c);
    if (check_config(c, state, w)) return NULL;
    struct node *n = arena_array(room, struct node, 1);
    struct listed *listed = arena_array(room, struct listed, listed_room(c));
    if (!n || !listed || !reduce_init(&n->reduce, &r, room) || !sync_init(&n->sync, &s, room) ||
        !past_init(&n->past, &r.layout, c->past_rounds, c->past, n->reduce.average.means, room)) {
        (void)why(w, ERR_MEMORY, "the swarm's buffers need %zu bytes", node_bytes(c));
        return NULL;
    }
    n->config = *c;
    n->now = n->promised = now;
    n->out = out;
    init_parts(n, c, listed);
    n->join_until = instant_after(now, c->count_steps ? JOIN_PATIENCE_COUNTED : NODE_JOIN_PATIENCE);
    n->published = n->publish_at = now;
    node_new_state(n, state, false);
    n->behind_since = n->outvoted_since = INSTANT_NEVER;
    n->round = *round;
    settle(n);
    n->promised = instant_max(node_due(n), n->now);
    n->out = NULL;
    return n;
}
