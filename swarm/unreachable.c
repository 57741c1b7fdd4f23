#include "unreachable.h"

#include <stdlib.h>

#include "member_push.h"
#include "member_table.h"

#define REACH_DELAY span_s(5) /* SPEC.md, "Membership" */

static int by_sid(const void *a, const void *b)
{
    const struct peer_unreached *x = a, *y = b;
    return (x->sid > y->sid) - (x->sid < y->sid);
}

void unreachable_now(const struct members *m, struct record_reach *out)
{
    *out = (struct record_reach){0};
    for (int i = 0; i < MEMBERS_MAX && out->count < RECORD_REACH_MAX; i++) {
        const struct member *p = &m->members[i];
        if (!member_live(p) || p->unreached == REACH_REASONS || member_any_link(p)) continue;
        out->list[out->count++] = (struct peer_unreached){p->sid, p->unreached};
    }
    qsort(out->list, out->count, sizeof *out->list, by_sid);
}

bool unreachable_same(const struct record_reach *a, const struct record_reach *b)
{
    if (a->count != b->count) return false;
    for (size_t i = 0; i < a->count; i++)
        if (a->list[i].sid != b->list[i].sid || a->list[i].reason != b->list[i].reason)
            return false;
    return true;
}

void unreachable_tick(struct members *m)
{
    struct record_reach now;
    unreachable_now(m, &now);
    if (unreachable_same(&now, &m->reach)) {
        m->reach_at = INSTANT_NEVER;
    } else if (m->reach_at.ns == INSTANT_NEVER.ns) {
        m->reach_at = instant_after(m->now, REACH_DELAY);
    } else if (m->now.ns >= m->reach_at.ns) {
        m->reach_at = INSTANT_NEVER;
        m->reach = now;
        members_publish_reach(m);
    }
}
