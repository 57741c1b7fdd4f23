#include "stranger.h"

#include "contact.h"

static uint32_t at_its_place(const struct members *m, const struct stranger_link *s)
{
    uint32_t count = 0;
    for (int i = 0; i < STRANGERS_MAX; i++)
        count += m->strangers[i].link != LINK_NONE &&
                 address_same_place(&m->strangers[i].address, &s->address);
    return count;
}

/* A free place, or the one to be given up. */
static struct stranger_link *place(struct members *m)
{
    struct stranger_link *worst = NULL;
    uint32_t most = 0;
    for (int i = 0; i < STRANGERS_MAX; i++) {
        struct stranger_link *s = &m->strangers[i];
        if (s->link == LINK_NONE) return s;
        uint32_t here = at_its_place(m, s);
        if (worst && (here < most || (here == most && s->since.ns >= worst->since.ns))) continue;
        worst = s;
        most = here;
    }
    return worst;
}

void stranger_add(struct members *m, const struct event *e, const struct sink *out)
{
    struct stranger_link *s = place(m);
    if (s->link != LINK_NONE)
        contact_hang_up(m, s->link, CLOSE_CROWDED, "too many wait whose HELLO has not come", out);
    *s = (struct stranger_link){.link = e->link, .address = e->address, .since = m->now};
    memcpy(s->id, e->id, sizeof s->id);
    memcpy(s->exporter, e->exporter, sizeof s->exporter);
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
