#include "doubles.h"

#include "contact.h"
#include "member_probe.h"
#include "member_table.h"

#define PROOF span_s(5)
#define AGAIN span_ms(400)

/* The best of the links that have not been told to retire; NULL: there are fewer than two. */
static struct member_link *staying(const struct members *m, struct member *p)
{
    struct member_link *best = NULL;
    int count = 0;
    for (int j = 0; j < MEMBER_LINKS; j++) {
        struct member_link *l = &p->links[j];
        if (l->link == LINK_NONE || !l->greeted || l->retired) continue;
        if (!best || member_better_link(m, p, l, best)) best = l;
        count++;
    }
    return count > 1 ? best : NULL;
}

static void retire_others(struct member *p, const struct member_link *best, const struct sink *out)
{
    for (int j = 0; j < MEMBER_LINKS; j++) {
        struct member_link *l = &p->links[j];
        if (l->link == LINK_NONE || l == best || !l->greeted || l->retired) continue;
        l->retired = true;
        sink_act(out, &(struct action){.kind = ACTION_RETIRE, .peer = p->sid, .link = l->link});
    }
}

void doubles_greeted(struct members *m, int i, const struct sink *out)
{
    m->members[i].doubled = m->members[i].doubled_again = m->now;
    doubles_look(m, i, out);
}

void doubles_heard(struct members *m, int i, link_id link)
{
    struct member *p = &m->members[i];
    member_link_of(p, link)->heard = m->now;
    if (p->doubled.ns) p->doubled_again = m->now;
}

void doubles_look(struct members *m, int i, const struct sink *out)
{
    struct member *p = &m->members[i];
    if (p->doubled.ns == 0) return;
    struct member_link *best = staying(m, p);
    if (!best) {
        p->doubled = (instant){0};
    } else if (best->heard.ns >= p->doubled.ns) {
        retire_others(p, best, out);
        p->doubled = (instant){0};
    } else if (m->now.ns >= instant_after(p->doubled, PROOF).ns) {
        link_id mute = best->link;
        contact_hang_up(m, mute, CLOSE_DUPLICATE, "no sign of life on it, and another one lives",
                        out);
        contact_forget(m, mute);
        p->doubled = p->doubled_again = m->now;
    } else if (m->now.ns >= p->doubled_again.ns) {
        p->doubled_again = instant_after(m->now, AGAIN);
        members_ping(m, i, 0, out);
    }
}

instant doubles_due(const struct member *p)
{
    if (p->doubled.ns == 0) return INSTANT_NEVER;
    return instant_min(p->doubled_again, instant_after(p->doubled, PROOF));
}
