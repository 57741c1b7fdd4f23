#include "stranger.h"

#include "base/crowd.h"
#include "contact.h"

static bool waits(const void *ctx, size_t i, struct crowd_one *out)
{
    const struct members *m = ctx;
    *out = (struct crowd_one){&m->strangers[i].address, m->strangers[i].since};
    return m->strangers[i].link != LINK_NONE;
}

void stranger_add(struct members *m, const struct stranger_link *s, const struct sink *out)
{
    size_t at = 0;
    while (at < STRANGERS_MAX && m->strangers[at].link != LINK_NONE) at++;
    if (at == STRANGERS_MAX) {
        at = crowd_choose(STRANGERS_MAX, waits, m);
        contact_hang_up(m, m->strangers[at].link, CLOSE_CROWDED,
                        "too many wait whose HELLO has not come", out);
    }
    m->strangers[at] = *s;
}

const struct stranger_link *stranger_of(const struct members *m, link_id link)
{
    for (int i = 0; link != LINK_NONE && i < STRANGERS_MAX; i++)
        if (m->strangers[i].link == link) return &m->strangers[i];
    return NULL;
}

void stranger_forget(struct members *m, link_id link)
{
    for (int i = 0; i < STRANGERS_MAX; i++)
        if (m->strangers[i].link == link)
            m->strangers[i] = (struct stranger_link){.link = LINK_NONE};
}

void stranger_tick(struct members *m, const struct sink *out)
{
    for (int i = 0; i < STRANGERS_MAX; i++) {
        struct stranger_link *s = &m->strangers[i];
        if (s->link == LINK_NONE || m->now.ns < instant_after(s->since, HELLO_PATIENCE).ns)
            continue;
        contact_hang_up(m, s->link, CLOSE_PROTOCOL, "there was no HELLO", out);
        *s = (struct stranger_link){.link = LINK_NONE};
    }
}

instant stranger_due(const struct members *m)
{
    instant due = INSTANT_NEVER;
    for (int i = 0; i < STRANGERS_MAX; i++)
        if (m->strangers[i].link != LINK_NONE)
            due = instant_min(due, instant_after(m->strangers[i].since, HELLO_PATIENCE));
    return due;
}
