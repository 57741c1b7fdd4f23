#include "node_life.h"

#include "node_choice.h"
#include "node_history.h"
#include "node_leave.h"
#include "node_look.h"
#include "node_round.h"
#include "node_say.h"

/* SPEC.md, "A node's life". */
#define SIT_OUT        span_s(60)
#define LEAVE_PATIENCE span_s(30)

/* Enters another state; publishes if others see a difference. */
static void enter(struct node *n, enum life life)
{
    enum peer_phase before = node_phase(n);
    n->life = life;
    if (node_phase(n) != before) node_publish_soon(n);
}

/* Continues training, or is done. */
static void to_train(struct node *n)
{
    bool done = n->state.epoch >= n->config.epochs;
    enter(n, done ? LIFE_DONE : LIFE_TRAIN);
    node_train(n, !done);
    if (done) node_done(n);
}

static void to_sync(struct node *n, const struct member *from)
{
    node_download(n, &from->progress);
    enter(n, LIFE_SYNC);
}

static void to_reduce(struct node *n)
{
    node_begin_reduce(n);
    enter(n, LIFE_REDUCE);
}

/* No group, or no average: a pause before the next attempt. */
static void to_solo(struct node *n)
{
    node_solo(n);
    to_train(n);
}

static void to_leaving(struct node *n)
{
    node_goodbye(n);
    enter(n, LIFE_LEAVING);
}

/* ---- what each state waits for ---- */

static void on_join(struct node *n)
{
    if (n->now.ns < n->join_until.ns && !members_all_heard(&n->members)) return;
    n->sit_out_until = instant_after(n->now, SIT_OUT);
    const struct member *ahead = node_ahead(n);
    if (ahead) to_sync(n, ahead);
    else to_train(n);
}

static void on_sync(struct node *n)
{
    node_follow(n);
    if (n->sync.state == SYNC_WHOLE) {
        node_order_adopt(n);
        enter(n, LIFE_ADOPT);
    } else if (node_sync_failed(n)) {
        const struct member *p = node_choice(n);
        bool went_on = p && p->progress.epoch > n->sync.target.epoch;
        node_give_up_sync(n);
        if (went_on) to_sync(n, p);
        else to_train(n);
    }
}

static void on_train(struct node *n)
{
    /* Counts from the start of training: only rounds that began before it are avoided. */
    (void)node_sits_out(n);
    if (n->match.state == MATCH_COMMITTED) {
        to_reduce(n);
        return;
    }
    const struct member *ahead = node_ahead(n);
    if (ahead) to_sync(n, ahead);
    else if (node_round_due(n)) {
        node_begin_match(n);
        enter(n, LIFE_MATCH);
    }
}

static void on_match(struct node *n)
{
    const struct member *ahead = NULL;
    if (n->match.state == MATCH_COMMITTED) to_reduce(n);
    else if (n->match.state == MATCH_SOLO || n->match.state == MATCH_IDLE) to_solo(n);
    else if (n->match.state != MATCH_LOCKED) {
        ahead = node_overtaking(n);
        if (!ahead) ahead = node_ahead(n);
    }
    if (ahead) to_sync(n, ahead);
}

static void on_reduce(struct node *n)
{
    if (n->reduce.state == REDUCE_AGREED) {
        node_order_apply(n);
        enter(n, LIFE_APPLY);
    } else if (n->reduce.state == REDUCE_FAILED) {
        node_order(n, &(struct order){.kind = ORDER_RESUME});
        node_note_certain(n);
        node_rest_match(n);
        to_solo(n);
    }
}

static void on_done(struct node *n)
{
    if (n->now.ns >= n->leave_until.ns || node_everybody_done(n)) to_leaving(n);
}

static void on_leaving(struct node *n)
{
    if (n->now.ns < n->leave_until.ns) return;
    node_finish(n);
    n->life = LIFE_LEFT;
}

static void look(struct node *n)
{
    switch (n->life) {
    case LIFE_JOIN:
        on_join(n);
        break;
    case LIFE_SYNC:
        on_sync(n);
        break;
    case LIFE_TRAIN:
        on_train(n);
        break;
    case LIFE_MATCH:
        on_match(n);
        break;
    case LIFE_REDUCE:
        on_reduce(n);
        break;
    case LIFE_DONE:
        on_done(n);
        break;
    case LIFE_LEAVING:
        on_leaving(n);
        break;
    case LIFE_ADOPT: /* node_adopted */
    case LIFE_APPLY: /* node_applied */
    case LIFE_LEFT:
        break;
    }
}

/* The user wants to leave: at once, except in a round, which others depend on. */
static void look_for_leave(struct node *n)
{
    bool busy = n->life == LIFE_REDUCE || n->life == LIFE_APPLY;
    bool here = n->life != LIFE_LEAVING && n->life != LIFE_LEFT;
    if (n->leaving && here && (!busy || n->now.ns >= n->leave_until.ns)) to_leaving(n);
}

void node_live(struct node *n)
{
    for (int i = 0; i < 4; i++) { /* bound: alone a node commits, agrees and applies in one call */
        enum life before = n->life;
        look(n);
        look_for_leave(n);
        if (n->life == before) break;
    }
}

/* ---- transitions from outside ---- */

void node_applied(struct node *n, const struct event *e)
{
    if (n->life != LIFE_APPLY) return;
    node_take_average(n, e);
    to_train(n);
}

void node_adopted(struct node *n, const struct event *e)
{
    if (n->life != LIFE_ADOPT) return;
    node_take_download(n, e);
    to_train(n);
}

void node_leave(struct node *n)
{
    if (n->life == LIFE_LEAVING || n->life == LIFE_LEFT || n->leaving) return;
    n->leaving = true;
    n->leave_until = instant_after(n->now, LEAVE_PATIENCE);
}

/* Only before the first round and without a usable link: later the other members refuse the copy,
 * and a lying peer must not be able to stop a worker in an active swarm. */
void node_copied(struct node *n, struct bytes said)
{
    if (n->averaged || n->leaving || members_any_usable(&n->members)) return;
    node_finish_refused(n, said);
    n->life = LIFE_LEFT;
}
