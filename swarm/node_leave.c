#include "node_leave.h"

#include "contact.h"
#include "member_table.h"
#include "node_look.h"
#include "node_say.h"

/* SPEC.md, "A node's life". */
#define DONE_PATIENCE span_s(60)
#define LEAVE_LINGER  span_ms(300) /* so that the goodbye is sent */

void node_done(struct node *n)
{
    n->leave_until = instant_after(n->now, DONE_PATIENCE);
    node_note(n, (struct note){.name = "done", .numbers = {{"epoch", n->state.epoch}}});
}

void node_goodbye(struct node *n)
{
    struct sink in = node_inner(n);
    match_leave(&n->match, &in);
    sync_stop(&n->sync);
    members_leave(&n->members, n->now, &in);
    n->leave_until = instant_after(n->now, LEAVE_LINGER);
}

void node_finish(struct node *n)
{
    struct sink in = node_inner(n);
    struct order o = {.kind = ORDER_FINISH};
    bool complete = n->state.epoch >= n->config.epochs;
    snprintf(o.text, sizeof o.text, "%s", complete ? "the run is complete" : "left the swarm");
    for (int i = 0; i < MEMBERS_MAX; i++)
        if (n->members.members[i].used) contact_drop(&n->members, i, CLOSE_LEAVING, &in);
    node_order(n, &o);
}

void node_finish_refused(struct node *n, struct bytes said)
{
    struct order o = {.kind = ORDER_FINISH, .refused = true};
    bytes_printable(said, o.text, sizeof o.text);
    node_order(n, &o);
}

bool node_everybody_done(const struct node *n)
{
    if (n->reduce.state != REDUCE_IDLE && !reduce_finished(&n->reduce)) return false;
    for (int i = 0; i < MEMBERS_MAX; i++) {
        const struct member *p = node_member(n, i);
        if (p && p->progress.epoch < n->config.epochs) return false;
    }
    return true;
}
